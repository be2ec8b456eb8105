//! `dcsctp`, the SCTP of libwebrtc in Rust.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketTime, StreamId,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
};

use super::{Engine, EngineConfig, PACKET_SIZE};

pub(super) struct Dcsctp {
    socket: Box<dyn DcSctpSocket>,
    packets: VecDeque<Vec<u8>>,
    up: bool,
}

fn moment(now: Duration) -> SocketTime {
    SocketTime::zero() + now
}

impl Dcsctp {
    fn take_events(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.packets.push_back(packet),
                SocketEvent::OnConnected() => self.up = true,
                _ => {}
            }
        }
    }
}

impl Engine for Dcsctp {
    fn new(config: EngineConfig) -> Result<Self> {
        let mut options = Options {
            mtu: PACKET_SIZE,
            max_receiver_window_buffer_size: usize::try_from(config.window)?,
            max_send_buffer_size: usize::MAX,
            per_stream_send_queue_limit: usize::MAX,
            ..Options::default()
        };
        if !config.with_checksum {
            options.zero_checksum_alternate_error_detection_method =
                ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS;
        }
        let mut socket = dcsctp::new_socket("bench", &options);
        if !config.passive {
            socket.connect();
        }
        Ok(Self { socket, packets: VecDeque::new(), up: false })
    }

    fn is_up(&mut self) -> bool {
        self.take_events();
        self.up
    }

    fn handle_packet(&mut self, now: Duration, packet: &[u8]) {
        self.socket.advance_time(moment(now));
        self.socket.handle_input(packet);
        self.take_events();
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.socket.advance_time(moment(now));
        self.take_events();
    }

    fn take_packets(&mut self, now: Duration, limit: usize, packets: &mut Vec<Vec<u8>>, _: &mut Vec<Vec<u8>>) {
        self.socket.advance_time(moment(now));
        self.take_events();
        let count = self.packets.len().min(limit);
        packets.extend(self.packets.drain(..count));
    }

    fn open(&mut self, _: u16) -> Result<()> {
        Ok(())
    }

    fn send(&mut self, now: Duration, stream: u16, message: &Bytes) -> Result<()> {
        self.socket.advance_time(moment(now));
        let message = Message::new(StreamId(stream), PpId(53), message.to_vec());
        let sent = self.socket.send(message, &SendOptions::default());
        self.take_events();
        sent.map_err(|error| anyhow!("{error:?}"))
    }

    fn receive(&mut self, take: &mut dyn FnMut(u16, &[u8])) {
        while let Some(message) = self.socket.get_next_message() {
            take(message.stream_id.0, &message.payload);
        }
    }
}
