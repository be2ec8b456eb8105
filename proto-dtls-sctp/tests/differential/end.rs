//! The implementations behind one interface.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use dcsctp::api::{DcSctpSocket, Options, PpId, SendOptions, SocketEvent, SocketTime, StreamId};
use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_dtls_sctp::{Reliability, SctpBackend};
use proto_machine::{Seed, Timestamp};

/// One end of an association, of any make.
pub(crate) trait End {
    fn handle_packet(&mut self, now: Timestamp, packet: &[u8]);
    fn handle_timeout(&mut self, now: Timestamp);
    fn poll_timeout(&self) -> Option<Timestamp>;
    fn poll_packet(&mut self, now: Timestamp) -> Option<Vec<u8>>;
    fn is_up(&self) -> bool;
    fn is_lost(&self) -> bool;
    fn send(&mut self, now: Timestamp, message: Outgoing) -> bool;
    /// The next message that has arrived, and its stream.
    fn receive(&mut self) -> Option<(u16, Bytes)>;
    /// Bytes that wait to be sent or acknowledged on a stream.
    fn buffered(&mut self, stream: u16) -> usize;
    fn reset(&mut self, stream: u16);
    /// A stream whose both sides are reset.
    fn poll_free_stream(&mut self) -> Option<u16>;
}

#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: u16,
    pub(crate) payload: Bytes,
    pub(crate) ordered: bool,
    pub(crate) reliability: Reliability,
}

/// Which implementation, and what it offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Make {
    Own { interleaving: bool, zero_checksum: bool },
    SctpProto,
    Dcsctp { interleaving: bool },
}

impl Make {
    pub(crate) const OWN: Self = Self::Own { interleaving: true, zero_checksum: true };
    pub(crate) const PLAIN: Self = Self::Own { interleaving: false, zero_checksum: false };
    pub(crate) const DCSCTP: Self = Self::Dcsctp { interleaving: false };

    /// Version 0.1.16 of `dcsctp` stalls ordered streams for ever in two ways: it does not send the rest of a message whose lifetime ends while a part of it is on its way, and
    /// does not tell the peer; and the TSN that stands for the rest of one message that was given up may lie amid the fragments of another, whose TSNs must be consecutive
    /// (RFC 9260 §6.9). So it may give up what is unordered and interleaved, which keeps nothing else waiting, and must not give up anything else.
    pub(crate) fn may_give_up(self, ordered: bool) -> bool {
        match self {
            Self::Own { .. } | Self::SctpProto => true,
            Self::Dcsctp { interleaving } => interleaving && !ordered,
        }
    }

    /// Whether it resets a stream behind all that was handed over for it. `dcsctp` drops what it has not begun to send.
    pub(crate) fn resets_behind_data(self) -> bool {
        !matches!(self, Self::Dcsctp { .. })
    }

    /// Whether a stream may be reset and used again after messages on it were given up. Version 0.1.16 of `dcsctp`, interleaved, waits for ever to reset a stream on which the lifetime of a
    /// message has ended that was under way; and a fragment that comes behind the I-FORWARD-TSN that gives up its message stays with it, over a reset, and ends up in another message.
    pub(crate) fn may_use_streams_again(self) -> bool {
        self != Self::Dcsctp { interleaving: true }
    }

    /// The settings of what is ours.
    fn config(self, window: u32) -> Option<BareConfig> {
        let config = BareConfig { receive_window: window, streams: 64, ..BareConfig::default() };
        match self {
            Self::Own { interleaving, zero_checksum } => Some(BareConfig { interleaving, zero_checksum, ..config }),
            Self::SctpProto => Some(BareConfig { backend: SctpBackend::SctpProto, ..config }),
            Self::Dcsctp { .. } => None,
        }
    }

    pub(crate) fn start(self, now: Timestamp, seed: u64, window: u32) -> Box<dyn End> {
        match self {
            Self::Dcsctp { interleaving } => Box::new(Foreign::new(now, interleaving, window)),
            Self::Own { .. } | Self::SctpProto => {
                let config = self.config(window).unwrap();
                Box::new(Bare::new(BareAssociation::new(now, config, Seed::from_number(seed))))
            }
        }
    }

    /// Both are ours, and know from the start what the other one would say in INIT.
    pub(crate) fn start_agreed(makes: [Self; 2], now: Timestamp, seeds: [u64; 2], window: u32) -> [Box<dyn End>; 2] {
        let configs = makes.map(|make| make.config(window).expect("only what is ours can agree in advance"));
        [0, 1].map(|index| -> Box<dyn End> {
            let seed = |index: usize| Seed::from_number(seeds[index]);
            let peer = configs[1 - index].init_chunk(seed(1 - index));
            Box::new(Bare::new(BareAssociation::described(now, configs[index], seed(index), peer)))
        })
    }
}

struct Bare {
    association: BareAssociation,
    readable: VecDeque<u16>,
    free: VecDeque<u16>,
    up: bool,
    lost: bool,
}

impl Bare {
    fn new(association: BareAssociation) -> Self {
        let mut this = Self { association, readable: VecDeque::new(), free: VecDeque::new(), up: false, lost: false };
        this.take_events();
        this
    }

    fn take_events(&mut self) {
        while let Some(event) = self.association.poll_event() {
            match event {
                BareEvent::Established { .. } => self.up = true,
                BareEvent::Readable(stream) if !self.readable.contains(&stream) => self.readable.push_back(stream),
                BareEvent::Readable(_) | BareEvent::IncomingReset(_) => {}
                BareEvent::ResetComplete(stream) => {
                    self.free.push_back(stream);
                    self.readable.push_back(stream);
                }
                BareEvent::ResetFailed(stream) => panic!("stream {stream} cannot be reset"),
                BareEvent::Lost(failure) => {
                    eprintln!("{failure:?}");
                    self.lost = true;
                }
            }
        }
    }
}

impl End for Bare {
    fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) {
        self.association.handle_packet(now, packet);
        self.take_events();
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.association.handle_timeout(now);
        self.take_events();
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.association.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_packet(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        let mut packet = Vec::new();
        let written = self.association.write_packet(now, &mut packet);
        self.take_events();
        written.then_some(packet)
    }

    fn is_up(&self) -> bool {
        self.up && !self.lost
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn send(&mut self, now: Timestamp, message: Outgoing) -> bool {
        self.association.set_weight(message.stream, 256);
        self.association.send(now, message.stream, message.payload, message.ordered, message.reliability)
    }

    fn receive(&mut self) -> Option<(u16, Bytes)> {
        while let Some(&stream) = self.readable.front() {
            if let Some(payload) = self.association.receive(stream) {
                self.take_events();
                return Some((stream, payload));
            }
            self.readable.pop_front();
        }
        None
    }

    fn buffered(&mut self, stream: u16) -> usize {
        self.association.buffered(stream)
    }

    fn reset(&mut self, stream: u16) {
        self.association.reset_stream(stream);
        self.take_events();
    }

    fn poll_free_stream(&mut self) -> Option<u16> {
        self.free.pop_front()
    }
}

/// `dcsctp`. Its tags and sequence numbers come from a generator of its own.
struct Foreign {
    socket: Box<dyn DcSctpSocket>,
    packets: VecDeque<Vec<u8>>,
    up: bool,
    lost: bool,
    /// Sides of streams that are reset: of this end, and of the peer.
    reset: [Vec<u16>; 2],
    asked: Vec<u16>,
    free: VecDeque<u16>,
}

fn moment(now: Timestamp) -> SocketTime {
    SocketTime::zero() + now.since_epoch()
}

impl Foreign {
    fn new(now: Timestamp, interleaving: bool, window: u32) -> Self {
        let options = Options {
            enable_message_interleaving: interleaving,
            max_receiver_window_buffer_size: usize::try_from(window).unwrap(),
            max_send_buffer_size: usize::MAX,
            per_stream_send_queue_limit: usize::MAX,
            max_retransmissions: None,
            max_init_retransmits: None,
            rto_max: Duration::from_secs(3),
            mtu: 1200,
            ..Options::default()
        };
        let mut socket = dcsctp::new_socket("dcsctp", &options);
        socket.advance_time(moment(now));
        socket.connect();
        Self {
            socket,
            packets: VecDeque::new(),
            up: false,
            lost: false,
            reset: Default::default(),
            asked: Vec::new(),
            free: VecDeque::new(),
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.packets.push_back(packet),
                SocketEvent::OnConnected() => self.up = true,
                SocketEvent::OnClosed() | SocketEvent::OnConnectionRestarted() => self.lost = true,
                SocketEvent::OnAborted(kind, text) => {
                    eprintln!("dcsctp: {kind:?} {text}");
                    self.lost = true;
                }
                SocketEvent::OnStreamsResetPerformed(streams) => self.note_reset(0, &streams),
                SocketEvent::OnIncomingStreamReset(streams) => {
                    for stream in &streams {
                        self.reset(stream.0);
                    }
                    self.note_reset(1, &streams);
                }
                _ => {}
            }
        }
    }

    fn note_reset(&mut self, side: usize, streams: &[StreamId]) {
        self.reset[side].extend(streams.iter().map(|stream| stream.0));
        let [own, theirs] = &mut self.reset;
        while let Some(index) = own.iter().position(|stream| theirs.contains(stream)) {
            let stream = own.remove(index);
            theirs.retain(|&other| other != stream);
            self.asked.retain(|&other| other != stream);
            self.free.push_back(stream);
        }
    }
}

impl End for Foreign {
    fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) {
        self.socket.advance_time(moment(now));
        self.socket.handle_input(packet);
        self.take_events();
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.socket.advance_time(moment(now));
        self.take_events();
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let time = self.socket.poll_timeout();
        (time != SocketTime::infinite_future()).then(|| Timestamp::ZERO + (time - SocketTime::zero()))
    }

    fn poll_packet(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        self.socket.advance_time(moment(now));
        self.take_events();
        self.packets.pop_front()
    }

    fn is_up(&self) -> bool {
        self.up && !self.lost
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn send(&mut self, now: Timestamp, message: Outgoing) -> bool {
        self.socket.advance_time(moment(now));
        let (lifetime, max_retransmissions) = match message.reliability {
            Reliability::Reliable => (None, None),
            Reliability::MaxRetransmits(count) => (None, Some(count)),
            Reliability::MaxPacketLifetime(lifetime) => (Some(lifetime), None),
        };
        let options = SendOptions { unordered: !message.ordered, lifetime, max_retransmissions, lifecycle_id: None };
        let payload = message.payload.to_vec();
        let sent = self.socket.send(dcsctp::api::Message::new(StreamId(message.stream), PpId(53), payload), &options);
        self.take_events();
        sent.is_ok()
    }

    fn receive(&mut self) -> Option<(u16, Bytes)> {
        let message = self.socket.get_next_message()?;
        Some((message.stream_id.0, message.payload.into()))
    }

    fn buffered(&mut self, stream: u16) -> usize {
        self.socket.buffered_amount(StreamId(stream))
    }

    fn reset(&mut self, stream: u16) {
        if !self.asked.contains(&stream) {
            self.asked.push(stream);
            let _ = self.socket.reset_streams(&[StreamId(stream)]);
        }
    }

    fn poll_free_stream(&mut self) -> Option<u16> {
        self.free.pop_front()
    }
}
