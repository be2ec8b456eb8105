//! rtc, driven as its examples do.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::BytesMut;
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::stack::{DATAGRAM_SIZE, LABEL, Output, SEND_BUFFER, Setup, Stack};

/// Bytes that its DTLS 1.2 adds to an SCTP packet: the record header, the explicit nonce and the tag of AES-GCM.
const RECORD_OVERHEAD: usize = 13 + 8 + 16;
/// The largest message, in bytes, where buffers are lifted.
const MAX_MESSAGE_SIZE: u32 = 256 * 1024;

/// An `RTCPeerConnection` and what has to be kept beside it.
pub struct Rtc {
    connection: RTCPeerConnection,
    local: SocketAddr,
    creates_channel: bool,
    channel: Option<RTCDataChannelId>,
    send_buffer: usize,
}

impl Rtc {
    fn is_measured(&mut self, id: RTCDataChannelId) -> bool {
        self.connection.data_channel(id).is_some_and(|channel| channel.label() == LABEL)
    }
}

impl Stack for Rtc {
    fn new(now: Instant, setup: Setup) -> Result<Self> {
        let packet_size = u32::try_from(DATAGRAM_SIZE - RECORD_OVERHEAD)?;
        let mut settings = SettingEngineBuilder::new().with_sctp_mtu(packet_size);
        if let Some(client) = setup.answers_as_client {
            let role = if client { RTCDtlsRole::Client } else { RTCDtlsRole::Server };
            settings = settings.with_answering_dtls_role(role);
        }
        if let Some(buffer) = setup.buffer {
            settings = settings
                .with_sctp_max_receive_buffer_size(u32::try_from(buffer)?)
                .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_SIZE));
        }
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings.build())
            .build(now)?;
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: setup.local.ip().to_string(),
            port: setup.local.port(),
            component: 1,
            ..CandidateConfig::default()
        };
        let candidate = CandidateHostConfig { base_config, ..CandidateHostConfig::default() }.new_candidate_host()?;
        connection.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        Ok(Self {
            connection,
            local: setup.local,
            creates_channel: setup.creates_channel,
            channel: None,
            send_buffer: setup.buffer.unwrap_or(SEND_BUFFER),
        })
    }

    fn create_offer(&mut self, now: Instant) -> Result<String> {
        // Without a channel there is nothing to offer.
        let label = if self.creates_channel { LABEL } else { "unused" };
        self.connection.create_data_channel(label, None)?;
        let offer = self.connection.create_offer(None)?;
        self.connection.set_local_description(now, offer.clone())?;
        Ok(offer.sdp)
    }

    fn accept_offer(&mut self, now: Instant, offer: &str) -> Result<String> {
        self.connection.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        if self.creates_channel {
            self.connection.create_data_channel(LABEL, None)?;
        }
        let answer = self.connection.create_answer(None)?;
        self.connection.set_local_description(now, answer.clone())?;
        Ok(answer.sdp)
    }

    fn accept_answer(&mut self, now: Instant, answer: &str) -> Result<()> {
        Ok(self.connection.set_remote_description(now, RTCSessionDescription::answer(answer.to_owned())?)?)
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Result<()> {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        // Errors are of one packet; its examples log them.
        let _ = self.connection.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(&*datagram) });
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        let _ = self.connection.handle_timeout(now);
        Ok(())
    }

    fn poll(&mut self, _now: Instant, emit: &mut dyn FnMut(Output<'_>)) -> Result<Option<Instant>> {
        while let Some(event) = self.connection.poll_event() {
            if let RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) = event
                && self.is_measured(id)
            {
                self.channel = Some(id);
                emit(Output::Open);
            }
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.connection.poll_read() {
            if let RTCMessage::DataChannelMessage(_, message) = message {
                emit(Output::Message(&message.data));
            }
        }
        while let Some(transmit) = self.connection.poll_write() {
            emit(Output::Datagram(&transmit.message));
        }
        Ok(self.connection.poll_timeout())
    }

    fn send(&mut self, now: Instant, message: &[u8]) -> Result<bool> {
        let channel = self.channel.and_then(|id| self.connection.data_channel(id));
        let mut channel = channel.context("the channel is closed")?;
        if channel.outstanding_bytes() + message.len() > self.send_buffer {
            return Ok(false);
        }
        Ok(channel.send(now, BytesMut::from(message)).is_ok())
    }
}
