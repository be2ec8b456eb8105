//! SCTP over DTLS (RFC 8261), behind an interface of our own.
//!
//! An [`Sctp`] is set up by [`handshake`], carries data by an [`Engine`], and ends:
//!
//! ```text
//!                 INIT ACK came:                COOKIE ACK came, or data
//!                 COOKIE ECHO goes out
//!  SettingUp ───────────────────────▶ Echoed ───────────────────────────▶ Established
//!    │    │                             ▲ │ ▲                               │  ▲   │
//!    │    └── COOKIE ECHO of the peer ──┼─┼─┼───────────────────────────────┼──┘   │
//!    │                                  │ └─┘ ERROR: the cookie is stale    │      │
//!    │    (described in SDP: Established from the start)                    │      │
//!    ▼                                                                      ▼      ▼
//!  Closed ◀── abort(), ABORT or SHUTDOWN of the peer, a rule broken, a restart of the peer
//! ```
//!
//! In `Echoed` messages can be handed over, and the first of them go along with the COOKIE ECHO. In `Closed` there is at most one packet to be sent, and what had come can be read.

mod association;
mod checksum;
mod chunk;
mod engine;
mod handshake;
mod init_chunk;
mod out_of_the_blue;
pub(crate) mod packet;
mod protocol;
mod retransmission;
#[cfg(feature = "sctp-proto")]
mod wrapped;

use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, Rng, Timestamp};

use crate::{Reliability, SctpAgreement, SctpBackend, SctpFailure, SctpFailureReason, SctpSetUp};
use association::Association;
use engine::{Ended, Engine};
use handshake::{Extensions, Handshake, Outcome, Parameters};
pub use init_chunk::{InitChunk, InvalidInitChunk};
use packet::{Chunk, Packet, Parameter, TAG_REFLECTED, cause, chunk_type};
pub(crate) use protocol::PayloadProtocol;

/// What an association is told when it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SctpSettings {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// The largest packet to produce, in bytes.
    pub(crate) packet_size: usize,
    /// Bytes received and not yet read.
    pub(crate) receive_window: u32,
    pub(crate) max_receive_message_size: u32,
    /// Streams to offer in each direction.
    pub(crate) streams: u16,
    /// Of the set-up and, at first, of data.
    pub(crate) retransmission_timeout: Duration,
    /// How long the set-up may take. `None`: as long as it likes.
    pub(crate) set_up_time_limit: Option<Duration>,
    /// Of the path, as far as it is known before the set-up.
    pub(crate) round_trip_time: Option<Duration>,
    pub(crate) backend: SctpBackend,
    /// Whether to offer interleaving (RFC 8260).
    pub(crate) interleaving: bool,
    /// Whether to offer to leave out the checksum, which DTLS makes superfluous (RFC 9653).
    pub(crate) zero_checksum: bool,
    /// How often an idle path is probed (RFC 9260 §8.3). `None` if something else watches it, as ICE does.
    pub(crate) heartbeat_interval: Option<Duration>,
    /// Timeouts in a row after which the peer counts as unreachable (RFC 9260 §8.1). `None` if something else decides that, as ICE does.
    pub(crate) max_retransmissions: Option<u32>,
}

/// What has happened to the association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SctpEvent {
    /// Messages may be handed over. They go out with the COOKIE ECHO, if they fit, and else once it is established. Those of an earlier event of this kind are lost.
    Prepared {
        /// Streams in each direction: the smaller number.
        streams: u16,
    },
    /// It is established.
    Established {
        /// Streams in each direction: the smaller number.
        streams: u16,
    },
    /// There may be something to read on a stream.
    Readable(u16),
    /// The peer has reset its side of a stream, and all that came before has been read.
    IncomingReset(u16),
    /// Both sides of a stream are reset. Its number is free.
    ResetComplete(u16),
    /// A reset was refused or went wrong. The number of the stream is lost.
    ResetFailed(u16),
    /// The association has ended.
    Lost(SctpFailure),
}

/// What was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SctpCounters {
    pub(crate) packets_dropped: u64,
    pub(crate) chunks_skipped: u64,
    pub(crate) unexpected_inits: u64,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct OutgoingMessage {
    pub(crate) stream: u16,
    pub(crate) protocol: PayloadProtocol,
    /// Not empty.
    pub(crate) payload: Bytes,
    pub(crate) ordered: bool,
    pub(crate) reliability: Reliability,
}

/// One end of an association.
pub(crate) struct Sctp {
    settings: SctpSettings,
    set_up: SctpSetUp,
    handshake: Handshake,
    link: Link,
    counters: SctpCounters,
}

enum Link {
    /// The set-up goes on.
    SettingUp,
    /// The COOKIE ECHO is under way, and the first packet of data with it.
    Echoed {
        engine: Box<dyn Engine>,
        /// The verification tag of the peer.
        peer_tag: u32,
    },
    /// Data flows.
    Established(Box<dyn Engine>),
    /// It is over.
    Closed {
        /// What is left to be sent.
        last_packet: Option<Bytes>,
        /// What is left to be read.
        remains: Option<Box<dyn Engine>>,
    },
}

impl Sctp {
    /// Begins to set up the association.
    pub(crate) fn start(now: Timestamp, settings: SctpSettings, mut rng: Rng) -> Self {
        let local = settings.local_parameters(&mut rng);
        let (pause, time_limit) = (settings.retransmission_timeout, settings.set_up_time_limit);
        let handshake = Handshake::start(now, settings.ports(), local, pause, time_limit, rng);
        Self::new(settings, SctpSetUp::Handshake, handshake)
    }

    /// An association that is established from the start: the peer has the [`InitChunk`] that [`SctpSettings::init_chunk`] makes of the same randomness, and this is the peer's.
    pub(crate) fn start_agreed(
        now: Timestamp,
        settings: SctpSettings,
        peer: InitChunk,
        mut rng: Rng,
        events: &mut Vec<SctpEvent>,
    ) -> Self {
        let (local, InitChunk(peer)) = (settings.local_parameters(&mut rng), peer);
        let handshake = Handshake::agreed(settings.ports(), local, peer, settings.retransmission_timeout, rng);
        let mut this = Self::new(settings, SctpSetUp::Descriptions, handshake);
        this.prepare(now, peer, events);
        this.establish(events);
        this
    }

    fn new(settings: SctpSettings, set_up: SctpSetUp, handshake: Handshake) -> Self {
        Self { settings, set_up, handshake, link: Link::SettingUp, counters: SctpCounters::default() }
    }

    pub(crate) fn counters(&self) -> SctpCounters {
        self.counters
    }

    /// What both sides can do, once the association is established.
    pub(crate) fn agreement(&self) -> Option<SctpAgreement> {
        let (local, peer) = (self.handshake.local(), self.handshake.peer()?);
        Some(SctpAgreement {
            set_up: self.set_up,
            outbound_streams: local.outbound_streams.min(peer.inbound_streams),
            inbound_streams: local.inbound_streams.min(peer.outbound_streams),
            partial_reliability: local.forward_tsn && peer.forward_tsn,
            stream_resets: local.reconfiguration && peer.reconfiguration,
            interleaving: local.interleaving && peer.interleaving,
            zero_checksum: local.zero_checksum && peer.zero_checksum,
        })
    }

    /// The round-trip time, if it could be measured.
    pub(crate) fn round_trip_time(&self) -> Option<Duration> {
        let measured = if let Link::Established(engine) = &self.link { engine.round_trip_time() } else { None };
        measured.or_else(|| self.handshake.round_trip_time())
    }

    /// Takes in a packet.
    pub(crate) fn handle_packet(&mut self, now: Timestamp, packet: &[u8], events: &mut Vec<SctpEvent>) {
        let packet = Packet::parse(packet).filter(|packet| self.is_for_our_ports(packet) && self.is_intact(packet));
        let Some(packet) = packet else {
            self.counters.packets_dropped += 1;
            return;
        };
        if self.is_out_of_the_blue(&packet) {
            return self.answer_out_of_the_blue(&packet);
        }
        if !self.is_ours(&packet) {
            self.counters.packets_dropped += 1;
            return;
        }
        let mut control = 0;
        if SETUP_CHUNKS.iter().any(|&kind| packet.has(kind)) {
            let read = packet.chunks().take_while(|chunk| !packet::ends_packet(chunk.kind));
            for chunk in read.filter(|chunk| is_control(chunk.kind)) {
                control += 1;
                let is_taken = self.handle_control(now, chunk, events);
                if chunk.kind == chunk_type::COOKIE_ECHO && !is_taken {
                    // RFC 9260 §5.1.5 2, 4: what rides behind a cookie that is not valid is dropped with it.
                    return;
                }
            }
        }
        if control == 0 && self.is_setting_up() {
            let outcome = self.handle_early(now, &packet);
            self.conclude(now, outcome, events);
        }
        let Link::Established(engine) = &mut self.link else {
            // RFC 9260 §6: DATA in any other state is discarded.
            return;
        };
        if control < packet.chunk_count() {
            self.counters.chunks_skipped += engine.handle_packet(now, &packet);
        }
        self.collect(events);
    }

    fn is_setting_up(&self) -> bool {
        matches!(self.link, Link::SettingUp | Link::Echoed { .. })
    }

    /// Takes in a packet without chunks of the set-up while that goes on.
    fn handle_early(&mut self, now: Timestamp, packet: &Packet<'_>) -> Outcome {
        if packet.chunks().any(|chunk| SENT_WHEN_ESTABLISHED.contains(&chunk.kind)) {
            // RFC 9260 §6: DATA and what belongs to it is sent in ESTABLISHED and the states of shutting down alone, so it tells that the other side has taken the COOKIE ECHO, and
            // stands for a COOKIE ACK that was lost. The section lets it be discarded ("SHOULD"), which would have it sent again.
            return self.handshake.handle_cookie_ack();
        }
        let error = packet.chunks().find(|chunk| chunk.kind == chunk_type::ERROR);
        error.map_or(Outcome::Dropped, |error| self.handshake.handle_error(now, error.value))
    }

    /// Whether there is no association that a packet might belong to: not any more, or, for a SHUTDOWN ACK, not yet (RFC 9260 §8.5.1 E).
    fn is_out_of_the_blue(&self, packet: &Packet<'_>) -> bool {
        match &self.link {
            Link::SettingUp | Link::Echoed { .. } => packet.has(chunk_type::SHUTDOWN_ACK),
            Link::Established(_) => false,
            Link::Closed { .. } => true,
        }
    }

    /// A peer that has not heard of the end is told again.
    fn answer_out_of_the_blue(&mut self, packet: &Packet<'_>) {
        let Some(answer) = out_of_the_blue::answer(packet) else { return };
        match &mut self.link {
            Link::Closed { last_packet, .. } => {
                last_packet.get_or_insert(answer);
            }
            Link::SettingUp | Link::Echoed { .. } | Link::Established(_) => self.handshake.send_answer(answer),
        }
    }

    fn is_for_our_ports(&self, packet: &Packet<'_>) -> bool {
        let header = packet.header;
        header.source_port == self.settings.remote_port && header.destination_port == self.settings.local_port
    }

    /// Whether the verification tag is that of this association (RFC 9260 §8.5), and nothing stands beside what must stand alone (§6.10).
    fn is_ours(&self, packet: &Packet<'_>) -> bool {
        let header = packet.header;
        let alone = packet.chunk_count() == 1;
        if packet.has(chunk_type::INIT) {
            // RFC 9260 §3.3.2 and §8.5.1 A
            return alone && header.verification_tag == 0;
        }
        if (packet.has(chunk_type::INIT_ACK) || packet.has(chunk_type::SHUTDOWN_COMPLETE)) && !alone {
            return false;
        }
        let may_be_reflected = packet.has(chunk_type::ABORT) || packet.has(chunk_type::SHUTDOWN_COMPLETE);
        let is_reflected = |chunk: Chunk<'_>| {
            matches!(chunk.kind, chunk_type::ABORT | chunk_type::SHUTDOWN_COMPLETE) && chunk.flags & TAG_REFLECTED != 0
        };
        if may_be_reflected && packet.chunks().any(is_reflected) {
            // RFC 9260 §8.5.1 B and C
            return self.handshake.header().is_some_and(|ours| ours.verification_tag == header.verification_tag);
        }
        // RFC 9260 §5.2.2: an INIT that comes late is answered with a tag of its own.
        let answers_cookie = || packet.chunks().next().is_some_and(|chunk| chunk.kind == chunk_type::COOKIE_ECHO);
        header.verification_tag == self.handshake.local().tag
            || self.handshake.has_offered(header.verification_tag) && answers_cookie()
    }

    /// Whether the checksum is right, or may be left out (RFC 9653 §5.3).
    fn is_intact(&self, packet: &Packet<'_>) -> bool {
        let may_be_zero = self.handshake.local().zero_checksum
            && !packet.has(chunk_type::INIT)
            && !packet.has(chunk_type::COOKIE_ECHO);
        may_be_zero && packet.checksum_is_zero() || packet.checksum_is_valid()
    }

    /// Takes in a chunk that sets the association up or ends it. Whether it was not dropped.
    fn handle_control(&mut self, now: Timestamp, chunk: Chunk<'_>, events: &mut Vec<SctpEvent>) -> bool {
        let outcome = match chunk.kind {
            // RFC 9260 §9.2
            chunk_type::INIT if self.repeat_shutdown_ack() => Outcome::Dropped,
            chunk_type::INIT => self.handshake.handle_init(now, chunk.value),
            chunk_type::INIT_ACK => self.handshake.handle_init_ack(now, chunk.value),
            chunk_type::COOKIE_ECHO => self.handshake.handle_cookie_echo(now, chunk.value),
            chunk_type::COOKIE_ACK => self.handshake.handle_cookie_ack(),
            // RFC 9260 §9.2: it only means something after SHUTDOWN ACK.
            chunk_type::SHUTDOWN_COMPLETE if self.awaits_shutdown_complete() => {
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::ShutDownByPeer };
                self.lose(failure, None, events);
                return true;
            }
            // RFC 9260 §3.3.7
            chunk_type::ABORT if packet::parameters(chunk.value).all(|cause| cause.is_some()) => {
                let failure = SctpFailure {
                    cause_code: packet::first_cause(chunk.value),
                    reason: SctpFailureReason::AbortedByPeer,
                };
                self.lose(failure, None, events);
                return true;
            }
            _ => Outcome::Dropped,
        };
        let is_taken = outcome != Outcome::Dropped;
        self.conclude(now, outcome, events);
        is_taken
    }

    /// Carries out what a chunk has led to.
    fn conclude(&mut self, now: Timestamp, outcome: Outcome, events: &mut Vec<SctpEvent>) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::UnexpectedInit => self.counters.unexpected_inits += 1,
            Outcome::Dropped => self.counters.chunks_skipped += 1,
            Outcome::CookieEchoed(peer) => self.prepare(now, peer, events),
            Outcome::Established(peer) => {
                self.prepare(now, peer, events);
                self.establish(events);
            }
            Outcome::TimedOut => {
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::SetUpTimedOut };
                let abort = self.handshake.header().map(|header| packet::abort(header, cause::USER_INITIATED_ABORT));
                self.lose(failure, abort, events);
            }
            Outcome::Refused { cause_code, abort } => {
                let failure = SctpFailure { cause_code: Some(cause_code), reason: SctpFailureReason::PeerMisbehaved };
                self.lose(failure, Some(abort), events);
            }
            // RFC 9260 §5.2.4 A: the old association comes to its end first.
            Outcome::Restarted { peer_tag } if self.repeat_shutdown_ack() => {
                let cause = Parameter { kind: cause::COOKIE_RECEIVED_WHILE_SHUTTING_DOWN, value: &[] };
                self.handshake.report(peer_tag, cause);
            }
            Outcome::Restarted { peer_tag } => {
                // W3C knows no restart of an association: the new one is refused, the old one lost.
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::PeerRestarted };
                let abort = packet::abort(self.handshake.header_to(peer_tag), cause::RESTART_WITH_NEW_ADDRESSES);
                self.lose(failure, Some(abort), events);
            }
        }
    }

    /// Makes the association that both sides have described, so that it can be given messages, unless it is there already.
    fn prepare(&mut self, now: Timestamp, peer: Parameters, events: &mut Vec<SctpEvent>) {
        if matches!(self.link, Link::Echoed { peer_tag, .. } if peer_tag == peer.tag) {
            return;
        }
        match self.engine(now, peer) {
            Some(engine) => {
                let streams = engine.streams();
                self.link = Link::Echoed { engine, peer_tag: peer.tag };
                events.push(SctpEvent::Prepared { streams });
            }
            None => self.misbehaved(cause::PROTOCOL_VIOLATION, &[], events),
        }
    }

    fn establish(&mut self, events: &mut Vec<SctpEvent>) {
        match std::mem::replace(&mut self.link, Link::SettingUp) {
            Link::Echoed { engine, .. } => {
                events.push(SctpEvent::Established { streams: engine.streams() });
                self.link = Link::Established(engine);
            }
            // It could not be made.
            other => self.link = other,
        }
    }

    /// What carries the data. `None` if it refuses what the peer says about itself.
    fn engine(&self, now: Timestamp, peer: Parameters) -> Option<Box<dyn Engine>> {
        let round_trip_time = self.handshake.round_trip_time().or(self.settings.round_trip_time);
        let settings = SctpSettings { round_trip_time, ..self.settings };
        let local = self.handshake.local();
        match settings.backend {
            SctpBackend::Own => Some(Box::new(Association::new(now, settings, local, peer))),
            #[cfg(feature = "sctp-proto")]
            SctpBackend::SctpProto => Some(Box::new(wrapped::Established::new(now, settings, local, peer)?)),
        }
    }

    /// Whether the peer has begun to end the association in order: no message is taken any more.
    pub(crate) fn is_shutting_down(&self) -> bool {
        matches!(&self.link, Link::Established(engine) if engine.is_shut_down())
    }

    fn awaits_shutdown_complete(&self) -> bool {
        matches!(&self.link, Link::Established(engine) if engine.awaits_shutdown_complete())
    }

    fn repeat_shutdown_ack(&mut self) -> bool {
        if let Link::Established(engine) = &mut self.link { engine.repeat_shutdown_ack() } else { false }
    }

    /// Moves what the association has to say to `events`, and ends it if it has ended itself.
    fn collect(&mut self, events: &mut Vec<SctpEvent>) {
        let Link::Established(engine) = &mut self.link else {
            return;
        };
        engine.collect(events);
        let Some(ended) = engine.ended() else { return };
        let (reason, last_packet) = match ended {
            Ended::Violation(cause_code) => return self.misbehaved(cause_code, &[], events),
            Ended::NoUserData(tsn) => return self.misbehaved(cause::NO_USER_DATA, &tsn.to_be_bytes(), events),
            Ended::ShutDown => (SctpFailureReason::ShutDownByPeer, None),
            Ended::ShutDownByBoth => {
                let complete = |header| packet::single(header, chunk_type::SHUTDOWN_COMPLETE, 0, &[]);
                (SctpFailureReason::ShutDownByPeer, self.handshake.header().map(complete))
            }
            Ended::Unreachable => (SctpFailureReason::PeerUnreachable, None),
        };
        self.lose(SctpFailure { cause_code: None, reason }, last_packet, events);
    }

    /// The peer broke a rule, which an ABORT tells it, with what belongs to the cause.
    fn misbehaved(&mut self, cause_code: u16, information: &[u8], events: &mut Vec<SctpEvent>) {
        let cause = Parameter { kind: cause_code, value: information };
        let abort = self.handshake.header().map(|header| packet::abort_with(header, 0, cause));
        let failure = SctpFailure { cause_code: Some(cause_code), reason: SctpFailureReason::PeerMisbehaved };
        self.lose(failure, abort, events);
    }

    fn lose(&mut self, failure: SctpFailure, last_packet: Option<Bytes>, events: &mut Vec<SctpEvent>) {
        if matches!(self.link, Link::Closed { .. }) {
            return;
        }
        let remains = match std::mem::replace(&mut self.link, Link::SettingUp) {
            Link::Established(engine) => Some(engine),
            Link::SettingUp | Link::Echoed { .. } | Link::Closed { .. } => None,
        };
        self.link = Link::Closed { last_packet, remains };
        events.push(SctpEvent::Lost(failure));
    }

    /// Ends the association at once. What is left to be sent is an ABORT, if the peer's tag is known.
    pub(crate) fn abort(&mut self) {
        if matches!(self.link, Link::Closed { .. }) {
            return;
        }
        // RFC 8831 leaves open how a whole association ends; browsers abort it.
        let last_packet = self.handshake.header().map(|header| packet::abort(header, cause::USER_INITIATED_ABORT));
        self.link = Link::Closed { last_packet, remains: None };
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp, events: &mut Vec<SctpEvent>) {
        match &mut self.link {
            Link::SettingUp | Link::Echoed { .. } => {
                let outcome = self.handshake.handle_timeout(now);
                self.conclude(now, outcome, events);
            }
            Link::Established(engine) => {
                engine.handle_timeout(now);
                self.collect(events);
            }
            Link::Closed { .. } => {}
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Deadline> {
        match &self.link {
            Link::SettingUp | Link::Echoed { .. } => {
                self.handshake.poll_timeout().map(|at| Deadline { at, reason: "sctp set-up" })
            }
            Link::Established(engine) => engine.poll_timeout(),
            Link::Closed { .. } => None,
        }
    }

    /// Writes the next packet to send in place of what is in the buffer, and says whether there was one.
    pub(crate) fn write_packet(&mut self, now: Timestamp, bytes: &mut Vec<u8>, events: &mut Vec<SctpEvent>) -> bool {
        if let Link::Closed { last_packet, .. } = &mut self.link {
            return copy(last_packet.take(), bytes);
        }
        let written = if let Some(packet) = self.handshake.poll_packet() {
            bytes.clear();
            bytes.extend_from_slice(&packet);
            if let Link::Echoed { engine, .. } = &mut self.link
                && packet::begins_with(&packet, chunk_type::COOKIE_ECHO)
            {
                engine.write_behind_cookie_echo(now, bytes);
            }
            true
        } else if let Link::Established(engine) = &mut self.link {
            engine.write_packet(now, bytes)
        } else {
            false
        };
        self.collect(events);
        written
    }

    /// Makes a stream known on this side. Its share in what is sent goes by its weight.
    pub(crate) fn open_stream(&mut self, stream: u16, weight: u16) {
        match &mut self.link {
            Link::Established(engine) | Link::Echoed { engine, .. } => engine.open_stream(stream, weight),
            Link::SettingUp | Link::Closed { .. } => {}
        }
    }

    /// Hands over a message, and says whether it was taken.
    pub(crate) fn write(&mut self, now: Timestamp, message: OutgoingMessage) -> bool {
        match &mut self.link {
            Link::Established(engine) | Link::Echoed { engine, .. } => engine.write(now, message),
            Link::SettingUp | Link::Closed { .. } => false,
        }
    }

    /// Bytes handed over for a stream and not yet acknowledged or abandoned.
    pub(crate) fn buffered(&mut self, stream: u16) -> usize {
        match &mut self.link {
            Link::Established(engine) => engine.buffered(stream),
            Link::SettingUp | Link::Echoed { .. } | Link::Closed { .. } => 0,
        }
    }

    /// Appends the streams whose [`buffered`](Self::buffered) bytes may have become fewer since this was asked last.
    pub(crate) fn take_settled(&mut self, streams: &mut Vec<u16>) {
        if let Link::Established(engine) = &mut self.link {
            engine.take_settled(streams);
        }
    }

    /// Forgets what is left to be read of an association that was lost.
    pub(crate) fn forget_remains(&mut self) {
        if let Link::Closed { remains, .. } = &mut self.link {
            *remains = None;
        }
    }

    /// The next complete message of a stream; also when the association was lost.
    pub(crate) fn read(&mut self, stream: u16, events: &mut Vec<SctpEvent>) -> Option<(PayloadProtocol, Bytes)> {
        let message = match &mut self.link {
            Link::Established(engine) => engine.read(stream),
            Link::Closed { remains, .. } => remains.as_mut()?.read(stream),
            Link::SettingUp | Link::Echoed { .. } => None,
        };
        self.collect(events);
        message
    }

    /// Resets this side of a stream, after what was handed over for it. What the peer still sends on it is not read any more.
    pub(crate) fn reset_stream(&mut self, stream: u16, events: &mut Vec<SctpEvent>) {
        if let Link::Established(engine) = &mut self.link {
            engine.reset_stream(stream);
            self.collect(events);
        }
    }
}

impl SctpSettings {
    /// What this side is going to say in INIT, if the association starts from the same randomness.
    pub(crate) fn init_chunk(&self, mut rng: Rng) -> InitChunk {
        InitChunk(self.local_parameters(&mut rng))
    }

    fn local_parameters(&self, rng: &mut Rng) -> Parameters {
        Parameters::draw(self.receive_window, self.streams, self.extensions(), rng)
    }

    fn ports(&self) -> (u16, u16) {
        (self.local_port, self.remote_port)
    }

    fn extensions(&self) -> Extensions {
        match self.backend {
            SctpBackend::Own => Extensions { interleaving: self.interleaving, zero_checksum: self.zero_checksum },
            #[cfg(feature = "sctp-proto")]
            SctpBackend::SctpProto => Extensions { interleaving: false, zero_checksum: false },
        }
    }
}

fn copy(packet: Option<Bytes>, bytes: &mut Vec<u8>) -> bool {
    let Some(packet) = packet else { return false };
    bytes.clear();
    bytes.extend_from_slice(&packet);
    true
}

/// What is handled here, and not by the engine.
const SETUP_CHUNKS: [u8; 6] = [
    chunk_type::INIT,
    chunk_type::INIT_ACK,
    chunk_type::COOKIE_ECHO,
    chunk_type::COOKIE_ACK,
    chunk_type::ABORT,
    chunk_type::SHUTDOWN_COMPLETE,
];

/// What an end only sends once the association is established on its side.
const SENT_WHEN_ESTABLISHED: [u8; 7] = [
    chunk_type::DATA,
    chunk_type::SACK,
    chunk_type::HEARTBEAT,
    chunk_type::I_DATA,
    chunk_type::RE_CONFIG,
    chunk_type::FORWARD_TSN,
    chunk_type::I_FORWARD_TSN,
];

fn is_control(kind: u8) -> bool {
    SETUP_CHUNKS.contains(&kind)
}

#[cfg(test)]
mod tests;
