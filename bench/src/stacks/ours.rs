//! This stack: a `Peer`, polled as its front page shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use driver_mio::{system_seed, wall_clock};
use peer_core::proto_machine::{
    Action, Machine, Path, Received, SocketEvent, SocketRequest, Timestamp, TransmitBuffer,
};
use peer_core::{
    Certificate, ChannelKey, Configuration, DataChannelOptions, Entropy, InterfaceAddress, Message, Peer, PeerEvent,
    SdpType, SendError, SessionDescriptionInit,
};

use crate::stack::{DATAGRAM_SIZE, LABEL, Output, SEND_BUFFER, Setup, Stack};

/// A peer and what has to be kept beside it.
pub struct Ours {
    peer: Peer,
    local: SocketAddr,
    epoch: Instant,
    buffer: TransmitBuffer,
    send_buffer: usize,
    creates_channel: bool,
    channel: Option<ChannelKey>,
}

impl Ours {
    fn timestamp(&self, now: Instant) -> Timestamp {
        Timestamp::ZERO + now.saturating_duration_since(self.epoch)
    }

    /// Gives the peer the sockets that it asks for, so that its candidate stands in the description.
    fn open_sockets(&mut self, now: Timestamp) {
        while let Some(request) = self.peer.poll_socket_request() {
            if let SocketRequest::BindUdp { socket, .. } = request {
                self.peer.handle_socket_event(now, SocketEvent::Opened { socket, local: self.local });
            }
        }
    }

    fn describe(&mut self, now: Timestamp) -> Result<String> {
        if self.creates_channel {
            self.channel = Some(self.peer.create_data_channel(now, DataChannelOptions::new(LABEL))?);
        }
        self.peer.set_interfaces(now, &[InterfaceAddress::new(self.local.ip())]);
        self.peer.set_local_description(now, None)?;
        self.open_sockets(now);
        Ok(self.peer.local_description().context("it was just set")?.sdp)
    }
}

impl Stack for Ours {
    fn new(now: Instant, setup: Setup) -> Result<Self> {
        Ok(Self {
            peer: new_peer(setup.buffer)?,
            local: setup.local,
            epoch: now,
            buffer: TransmitBuffer::new(DATAGRAM_SIZE),
            send_buffer: setup.buffer.unwrap_or(SEND_BUFFER),
            creates_channel: setup.creates_channel,
            channel: None,
        })
    }

    fn create_offer(&mut self, now: Instant) -> Result<String> {
        self.describe(self.timestamp(now))
    }

    fn accept_offer(&mut self, now: Instant, offer: &str) -> Result<String> {
        let now = self.timestamp(now);
        let offer = SessionDescriptionInit { sdp_type: SdpType::Offer, sdp: offer.to_owned() };
        self.peer.set_remote_description(now, offer)?;
        self.describe(now)
    }

    fn accept_answer(&mut self, now: Instant, answer: &str) -> Result<()> {
        let answer = SessionDescriptionInit { sdp_type: SdpType::Answer, sdp: answer.to_owned() };
        Ok(self.peer.set_remote_description(self.timestamp(now), answer)?)
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Result<()> {
        self.peer.handle_input(self.timestamp(now), Received { path: Path::udp(self.local, from), datagram });
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        self.peer.handle_timeout(self.timestamp(now));
        Ok(())
    }

    fn poll(&mut self, now: Instant, emit: &mut dyn FnMut(Output<'_>)) -> Result<Option<Instant>> {
        let now = self.timestamp(now);
        loop {
            match self.peer.poll_action(now, TransmitBuffer::MAX_SEGMENTS, &mut self.buffer) {
                Action::Transmit(_) => {
                    self.buffer.datagrams().for_each(|datagram| emit(Output::Datagram(datagram)));
                }
                Action::Socket(_) => {}
                Action::Event(PeerEvent::Message { message, .. }) => emit(Output::Message(&message.payload)),
                Action::Event(PeerEvent::ChannelOpen { channel } | PeerEvent::DataChannel { channel }) => {
                    self.channel = Some(channel);
                    emit(Output::Open);
                }
                Action::Event(PeerEvent::TransportFailed(error)) => bail!("the transport failed: {error}"),
                Action::Event(_) => {}
                Action::Wait(deadline) => return Ok(deadline.map(|deadline| self.epoch + deadline.at.since_epoch())),
            }
        }
    }

    fn send(&mut self, now: Instant, message: &[u8]) -> Result<bool> {
        let now = self.timestamp(now);
        let key = self.channel.context("no channel yet")?;
        send(&mut self.peer, now, key, message, self.send_buffer)
    }
}

/// A peer with a certificate of its own that may use loopback addresses, and offers a section for data in any case. What it receives and has in flight is bounded by `buffer` bytes, if
/// given.
pub(crate) fn new_peer(buffer: Option<usize>) -> Result<Peer> {
    let certificate = Certificate::generate(system_seed()?, wall_clock(), Entropy::System)?;
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.gather_loopback = true;
    configuration.always_negotiate_data_channels = true;
    if let Some(buffer) = buffer {
        configuration.secure_transport.receive_buffer = buffer;
        configuration.secure_transport.send_window = buffer;
    }
    Ok(Peer::new(configuration, system_seed()?)?)
}

/// Sends a message unless as much waits as an application lets wait.
pub(crate) fn send(
    peer: &mut Peer,
    now: Timestamp,
    key: ChannelKey,
    message: &[u8],
    send_buffer: usize,
) -> Result<bool> {
    let mut channel = peer.channel(key).context("the channel is closed")?;
    let buffered = channel.view().map_or(0, |view| view.buffered_amount);
    if buffered + message.len() > send_buffer {
        return Ok(false);
    }
    match channel.send(now, Message::binary(Bytes::copy_from_slice(message))) {
        Ok(()) => Ok(true),
        Err(SendError::BufferFull) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
