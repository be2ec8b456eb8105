//! str0m, driven as its documentation asks: drained after every input.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, RtcConfig};

use crate::stack::{DATAGRAM_SIZE, LABEL, Output, Setup, Stack};

/// An `Rtc` and what has to be kept beside it.
pub struct Str0m {
    rtc: str0m::Rtc,
    local: SocketAddr,
    creates_channel: bool,
    pending: Option<SdpPendingOffer>,
    channel: Option<ChannelId>,
}

impl Stack for Str0m {
    fn new(now: Instant, setup: Setup) -> Result<Self> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(str0m::crypto::from_feature_flags().into())
            .set_mtu(DATAGRAM_SIZE..=usize::MAX);
        if let Some(buffer) = setup.buffer {
            config = config.set_sctp_max_buffered_amount(buffer).set_sctp_max_message_size(u32::try_from(buffer)?);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(setup.local, "udp")?);
        Ok(Self { rtc, local: setup.local, creates_channel: setup.creates_channel, pending: None, channel: None })
    }

    fn create_offer(&mut self, _now: Instant) -> Result<String> {
        let mut changes = self.rtc.sdp_api();
        // Without a channel there is nothing to offer.
        changes.add_channel(if self.creates_channel { LABEL } else { "unused" }.to_owned());
        let (offer, pending) = changes.apply().context("nothing to offer")?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    fn accept_offer(&mut self, _now: Instant, offer: &str) -> Result<String> {
        let answer = self.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer)?)?;
        if self.creates_channel {
            let config = ChannelConfig { label: LABEL.to_owned(), ..ChannelConfig::default() };
            self.rtc.direct_api().create_data_channel(config);
        }
        Ok(answer.to_sdp_string())
    }

    fn accept_answer(&mut self, _now: Instant, answer: &str) -> Result<()> {
        let pending = self.pending.take().context("no offer is pending")?;
        Ok(self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(answer)?)?)
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Result<()> {
        let contents = (&*datagram).try_into()?;
        let received = Receive { proto: Protocol::Udp, source: from, destination: self.local, contents };
        Ok(self.rtc.handle_input(Input::Receive(now, received))?)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        Ok(self.rtc.handle_input(Input::Timeout(now))?)
    }

    fn poll(&mut self, _now: Instant, emit: &mut dyn FnMut(Output<'_>)) -> Result<Option<Instant>> {
        loop {
            match self.rtc.poll_output()? {
                str0m::Output::Timeout(at) => return Ok(Some(at)),
                str0m::Output::Transmit(transmit) => emit(Output::Datagram(&transmit.contents)),
                str0m::Output::Event(Event::ChannelOpen(id, label)) if label == LABEL => {
                    self.channel = Some(id);
                    emit(Output::Open);
                }
                str0m::Output::Event(Event::ChannelData(message)) => emit(Output::Message(&message.data)),
                str0m::Output::Event(_) => {}
            }
        }
    }

    fn send(&mut self, _now: Instant, message: &[u8]) -> Result<bool> {
        let mut channel = self.channel.and_then(|id| self.rtc.channel(id)).context("the channel is closed")?;
        Ok(channel.write(true, message)?)
    }
}
