//! SCTP over DTLS (RFC 8261), behind an interface of our own.

mod crc32c;
mod established;
mod guard;
mod handshake;
mod opening;
mod outgoing;
pub(crate) mod packet;
mod received;
mod resets;
mod retransmission;

use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, Rng, Timestamp};

use crate::{Reliability, SctpFailure, SctpFailureReason};
use established::Established;
pub(crate) use guard::PayloadProtocol;
use handshake::{Handshake, Outcome, Parameters};
use packet::{Chunk, Header, cause, chunk_type};

/// The T bit of ABORT and SHUTDOWN COMPLETE: the verification tag is the sender's own (RFC 9260 §8.5.1).
const TAG_REFLECTED: u8 = 1;

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
    pub(crate) max_send_message_size: u32,
    /// Streams to offer in each direction.
    pub(crate) streams: u16,
    /// Of the set-up and, at first, of data.
    pub(crate) retransmission_timeout: Duration,
    /// Of the path, as far as it is known before the set-up.
    pub(crate) round_trip_time: Option<Duration>,
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
    handshake: Handshake,
    link: Link,
    counters: SctpCounters,
}

enum Link {
    /// The set-up goes on.
    SettingUp,
    /// The COOKIE ECHO is under way, and the first packet of data with it.
    Echoed(Echoed),
    /// Data flows.
    Established(Box<Established>),
    /// It is over.
    Closed {
        /// What is left to be sent.
        last_packet: Option<Bytes>,
        /// What is left to be read.
        remains: Option<Box<Established>>,
    },
}

/// What waits for the COOKIE ACK.
struct Echoed {
    established: Box<Established>,
    /// The verification tag of the peer.
    peer_tag: u32,
    first_data: FirstData,
}

/// The first packet with data.
enum FirstData {
    /// There is none yet.
    Awaited,
    /// It does not fit behind the COOKIE ECHO.
    TooLong(Bytes),
    /// It goes out whenever the COOKIE ECHO does.
    Riding(Bytes),
}

impl Echoed {
    /// A COOKIE ECHO with the first data behind it (RFC 9260 §5.1 C: it may be bundled, and no other packet may be sent).
    fn bundle(&mut self, now: Timestamp, cookie_echo: Bytes, limit: usize) -> Bytes {
        if matches!(self.first_data, FirstData::Awaited)
            && let Some(data) = self.established.poll_packet(now)
        {
            let fits = packet::bundled_length(&cookie_echo, &data) <= limit;
            self.first_data = if fits { FirstData::Riding(data) } else { FirstData::TooLong(data) };
        }
        match &self.first_data {
            FirstData::Riding(data) => packet::bundle(&cookie_echo, data),
            FirstData::Awaited | FirstData::TooLong(_) => cookie_echo,
        }
    }

    /// The association. Data that went out with a COOKIE ECHO that was lost is sent again like any other.
    fn into_established(mut self) -> Box<Established> {
        if let FirstData::TooLong(data) = self.first_data {
            self.established.put_back(data);
        }
        self.established
    }
}

impl Sctp {
    /// Begins to set up the association.
    pub(crate) fn start(now: Timestamp, settings: SctpSettings, rng: Rng) -> Self {
        let handshake = Handshake::start(
            now,
            (settings.local_port, settings.remote_port),
            settings.receive_window,
            settings.streams,
            settings.retransmission_timeout,
            rng,
        );
        Self { settings, handshake, link: Link::SettingUp, counters: SctpCounters::default() }
    }

    pub(crate) fn counters(&self) -> SctpCounters {
        self.counters
    }

    /// The round-trip time of the set-up, if it could be measured.
    pub(crate) fn round_trip_time(&self) -> Option<Duration> {
        self.handshake.round_trip_time()
    }

    /// Takes in a packet.
    pub(crate) fn handle_packet(&mut self, now: Timestamp, packet: &Bytes, events: &mut Vec<SctpEvent>) {
        if matches!(self.link, Link::Closed { .. }) {
            return;
        }
        let Some((header, chunks)) = packet::parse(packet).filter(|(header, chunks)| self.is_ours(*header, chunks))
        else {
            self.counters.packets_dropped += 1;
            return;
        };
        // The checksum of a packet that goes on unchanged is checked by the association.
        let concerns_setup = chunks.iter().any(|chunk| is_control(chunk.kind));
        if concerns_setup && !packet::checksum_is_valid(packet) {
            self.counters.packets_dropped += 1;
            return;
        }
        for chunk in chunks.iter().filter(|chunk| is_control(chunk.kind)) {
            self.handle_control(now, *chunk, events);
        }
        if !concerns_setup
            && matches!(self.link, Link::SettingUp | Link::Echoed(_))
            && packet::checksum_is_valid(packet)
        {
            // RFC 9260 §6: DATA is sent in ESTABLISHED and the states of shutting down alone, so it tells that the other side has taken the COOKIE ECHO, and stands for a COOKIE ACK that was lost. The
            // section lets it be discarded ("SHOULD"), which would have it sent again.
            let outcome = self.handshake.handle_cookie_ack();
            self.conclude(now, outcome, events);
        }
        let Link::Established(established) = &mut self.link else {
            // RFC 9260 §6: DATA in any other state is discarded.
            return;
        };
        let control = chunks.iter().filter(|chunk| is_control(chunk.kind)).count();
        if control < chunks.len() {
            let admitted = established.handle_packet(now, packet, header, &chunks);
            self.counters.chunks_skipped += admitted.skipped.saturating_sub(control as u64);
        }
        self.collect(events);
    }

    /// Whether ports and verification tag are those of this association (RFC 9260 §8.5).
    fn is_ours(&self, header: Header, chunks: &[Chunk<'_>]) -> bool {
        if header.source_port != self.settings.remote_port || header.destination_port != self.settings.local_port {
            return false;
        }
        let only = if let [only] = chunks { Some(only) } else { None };
        if chunks.iter().any(|chunk| chunk.kind == chunk_type::INIT) {
            // RFC 9260 §3.3.2 and §8.5.1 A
            return only.is_some() && header.verification_tag == 0;
        }
        if chunks.iter().any(|chunk| chunk.kind == chunk_type::INIT_ACK) && only.is_none() {
            return false;
        }
        let reflected = chunks.iter().any(|chunk| {
            matches!(chunk.kind, chunk_type::ABORT | chunk_type::SHUTDOWN_COMPLETE) && chunk.flags & TAG_REFLECTED != 0
        });
        if reflected {
            // RFC 9260 §8.5.1 B and C
            return self.handshake.header().is_some_and(|ours| ours.verification_tag == header.verification_tag);
        }
        // RFC 9260 §5.2.2: an INIT that comes late is answered with a tag of its own.
        let answers_cookie = chunks.first().is_some_and(|chunk| chunk.kind == chunk_type::COOKIE_ECHO);
        header.verification_tag == self.handshake.local().tag
            || answers_cookie && self.handshake.has_offered(header.verification_tag)
    }

    fn handle_control(&mut self, now: Timestamp, chunk: Chunk<'_>, events: &mut Vec<SctpEvent>) {
        let outcome = match chunk.kind {
            chunk_type::INIT => self.handshake.handle_init(now, chunk.value),
            chunk_type::INIT_ACK => self.handshake.handle_init_ack(now, chunk.value),
            chunk_type::COOKIE_ECHO => self.handshake.handle_cookie_echo(now, chunk.value),
            chunk_type::COOKIE_ACK => self.handshake.handle_cookie_ack(),
            // RFC 9260 §9.2: it only means something after SHUTDOWN ACK.
            chunk_type::SHUTDOWN_COMPLETE if self.is_shutting_down() => {
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::ShutDownByPeer };
                return self.lose(failure, None, events);
            }
            chunk_type::ABORT => {
                let failure = SctpFailure {
                    cause_code: packet::first_cause(chunk.value),
                    reason: SctpFailureReason::AbortedByPeer,
                };
                return self.lose(failure, None, events);
            }
            _ => Outcome::Dropped,
        };
        self.conclude(now, outcome, events);
    }

    /// Carries out what a chunk has led to.
    fn conclude(&mut self, now: Timestamp, outcome: Outcome, events: &mut Vec<SctpEvent>) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::UnexpectedInit => self.counters.unexpected_inits += 1,
            Outcome::Dropped => self.counters.chunks_skipped += 1,
            Outcome::CookieEchoed(peer) => self.prepare(now, peer, events),
            Outcome::Established(peer) => {
                if !matches!(&self.link, Link::Echoed(echoed) if echoed.peer_tag == peer.tag) {
                    self.prepare(now, peer, events);
                }
                self.establish(events);
            }
            Outcome::Restarted { peer_tag } => {
                // W3C knows no restart of an association: the new one is refused, the old one lost.
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::PeerRestarted };
                let abort = packet::abort(self.handshake.header_to(peer_tag), cause::RESTART_WITH_NEW_ADDRESSES);
                self.lose(failure, Some(abort), events);
            }
        }
    }

    /// Makes the association that both sides have described, so that it can be given messages.
    fn prepare(&mut self, now: Timestamp, peer: Parameters, events: &mut Vec<SctpEvent>) {
        match Established::new(now, self.settings(), self.handshake.local(), peer) {
            Some(established) => {
                let streams = established.streams();
                let established = Box::new(established);
                self.link = Link::Echoed(Echoed { established, peer_tag: peer.tag, first_data: FirstData::Awaited });
                events.push(SctpEvent::Prepared { streams });
            }
            None => self.misbehaved(cause::PROTOCOL_VIOLATION, events),
        }
    }

    fn establish(&mut self, events: &mut Vec<SctpEvent>) {
        match std::mem::replace(&mut self.link, Link::SettingUp) {
            Link::Echoed(echoed) => {
                let established = echoed.into_established();
                events.push(SctpEvent::Established { streams: established.streams() });
                self.link = Link::Established(established);
            }
            // It could not be made.
            other => self.link = other,
        }
    }

    /// The settings, with what the set-up has shown.
    fn settings(&self) -> SctpSettings {
        SctpSettings { round_trip_time: self.round_trip_time().or(self.settings.round_trip_time), ..self.settings }
    }

    /// Whether the peer has begun to end the association in order: no message is taken any more.
    pub(crate) fn is_shutting_down(&self) -> bool {
        matches!(&self.link, Link::Established(established) if established.is_shut_down())
    }

    /// Moves what the association has to say to `events`, and ends it if it has ended itself.
    fn collect(&mut self, events: &mut Vec<SctpEvent>) {
        let Link::Established(established) = &mut self.link else {
            return;
        };
        established.collect(events);
        if let Some(cause_code) = established.violation() {
            self.misbehaved(cause_code, events);
        } else if established.is_closed() {
            if established.is_shut_down() {
                let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::ShutDownByPeer };
                self.lose(failure, None, events);
            } else {
                self.misbehaved(cause::PROTOCOL_VIOLATION, events);
            }
        }
    }

    fn misbehaved(&mut self, cause_code: u16, events: &mut Vec<SctpEvent>) {
        let abort = self.handshake.header().map(|header| packet::abort(header, cause_code));
        let failure = SctpFailure { cause_code: Some(cause_code), reason: SctpFailureReason::PeerMisbehaved };
        self.lose(failure, abort, events);
    }

    fn lose(&mut self, failure: SctpFailure, last_packet: Option<Bytes>, events: &mut Vec<SctpEvent>) {
        if matches!(self.link, Link::Closed { .. }) {
            return;
        }
        let remains = match std::mem::replace(&mut self.link, Link::SettingUp) {
            Link::Established(established) => Some(established),
            Link::SettingUp | Link::Echoed(_) | Link::Closed { .. } => None,
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
            Link::SettingUp | Link::Echoed(_) => self.handshake.handle_timeout(now),
            Link::Established(established) => {
                established.handle_timeout(now);
                self.collect(events);
            }
            Link::Closed { .. } => {}
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Deadline> {
        match &self.link {
            Link::SettingUp | Link::Echoed(_) => {
                self.handshake.poll_timeout().map(|at| Deadline { at, reason: "sctp set-up" })
            }
            Link::Established(established) => established.poll_timeout().map(|at| Deadline { at, reason: "sctp" }),
            Link::Closed { .. } => None,
        }
    }

    /// The next packet to send.
    pub(crate) fn poll_packet(&mut self, now: Timestamp, events: &mut Vec<SctpEvent>) -> Option<Bytes> {
        if let Link::Closed { last_packet, .. } = &mut self.link {
            return last_packet.take();
        }
        let packet = match (self.handshake.poll_packet(), &mut self.link) {
            (Some(packet), Link::Echoed(echoed)) if packet::begins_with(&packet, chunk_type::COOKIE_ECHO) => {
                Some(echoed.bundle(now, packet, self.settings.packet_size))
            }
            (Some(packet), _) => Some(packet),
            (None, Link::Established(established)) => established.poll_packet(now),
            (None, Link::SettingUp | Link::Echoed(_) | Link::Closed { .. }) => None,
        };
        self.collect(events);
        packet
    }

    /// Makes a stream known on this side.
    pub(crate) fn open_stream(&mut self, stream: u16) {
        match &mut self.link {
            Link::Established(established) | Link::Echoed(Echoed { established, .. }) => {
                established.open_stream(stream);
            }
            Link::SettingUp | Link::Closed { .. } => {}
        }
    }

    /// Hands over a message, and says whether it was taken.
    pub(crate) fn write(&mut self, message: OutgoingMessage) -> bool {
        match &mut self.link {
            Link::Established(established) | Link::Echoed(Echoed { established, .. }) => established.write(message),
            Link::SettingUp | Link::Closed { .. } => false,
        }
    }

    /// Bytes handed over for a stream and not yet acknowledged or abandoned.
    pub(crate) fn buffered(&mut self, stream: u16) -> usize {
        match &mut self.link {
            Link::Established(established) => established.buffered(stream),
            Link::SettingUp | Link::Echoed(_) | Link::Closed { .. } => 0,
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
            Link::Established(established) => established.read(stream),
            Link::Closed { remains, .. } => remains.as_mut()?.read(stream),
            Link::SettingUp | Link::Echoed(_) => None,
        };
        self.collect(events);
        message
    }

    /// Resets this side of a stream, after what was handed over for it. What the peer still sends on it is not read any more.
    pub(crate) fn reset_stream(&mut self, stream: u16, events: &mut Vec<SctpEvent>) {
        if let Link::Established(established) = &mut self.link {
            established.reset_stream(stream);
            self.collect(events);
        }
    }
}

/// Whether a chunk is handled here, and not by the association.
fn is_control(kind: u8) -> bool {
    matches!(
        kind,
        chunk_type::INIT
            | chunk_type::INIT_ACK
            | chunk_type::COOKIE_ECHO
            | chunk_type::COOKIE_ACK
            | chunk_type::ABORT
            | chunk_type::SHUTDOWN_COMPLETE
    )
}

#[cfg(test)]
mod interop_tests;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod reset_tests;
#[cfg(test)]
mod tests;
