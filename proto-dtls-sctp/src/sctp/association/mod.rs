//! An established association: everything after the set-up.
//!
//! | room | what it knows |
//! | --- | --- |
//! | [`outbound`] | messages that wait, and whose turn it is |
//! | [`transmission`] | chunks that were sent and not acknowledged |
//! | [`opening`] | which of them opens a channel, and is sent again sooner |
//! | [`congestion`], [`round_trip`] | how much may be in flight, and for how long |
//! | [`tracker`] | which TSNs of the peer have come |
//! | [`reassembly`], [`inbound`] | how they become messages that can be read |
//! | [`queues`] | the queues of all streams, in either direction |
//! | [`resets`] | streams between one owner and the next |
//!
//! This file joins them: what a chunk of the peer means to each, and what goes into the next packet.
//!
//! ```text
//! handle_packet ─▶ DATA ─────────▶ inbound (tracker ▸ reassembly ▸ streams) ─▶ read
//!                ─▶ SACK ────────▶ transmission ─▶ congestion, round_trip; settled bytes ─▶ outbound
//!                ─▶ FORWARD TSN ─▶ inbound        RE-CONFIG ─▶ resets ─▶ inbound, outbound
//! write ─▶ outbound ─▶ transmission ─▶ write_packet: answers, responses and requests, SACK, what was given up,
//!                                                    what was lost, what is new
//! ```
//!
//! The peer may end the association in order (RFC 9260 §9.2). This side never begins that: what W3C has close at once is aborted, and so SHUTDOWN-PENDING and SHUTDOWN-SENT do not exist.
//!
//! ```text
//! NotBegun ── SHUTDOWN ──▶ Received ── all is acknowledged / SHUTDOWN ACK ──▶ Acknowledged ── SHUTDOWN COMPLETE, or T5 ──▶ ended
//!                                                                             └──┘ T2, SHUTDOWN / SHUTDOWN ACK
//! ```

mod congestion;
mod inbound;
mod opening;
mod outbound;
mod queues;
mod reassembly;
mod resets;
mod round_trip;
mod sending;
mod stream_map;
mod tracker;
mod transmission;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, TimerKey, TimerTable, Timestamp};

use super::chunk::data::{self, Framing};
use super::chunk::tsn::Tsn;
use super::chunk::{self, forward_tsn, reconfiguration, sack};
use super::engine::{Ended, Engine};
use super::handshake::Parameters;
use super::packet::{self, Chunk, Header, Packet, cause, chunk_type};
use super::{OutgoingMessage, PayloadProtocol, SctpEvent, SctpSettings, is_control};
use crate::Reliability;
use congestion::{CongestionController, NewReno, Progress};
use inbound::{Inbound, Taken};
use opening::Opening;
use outbound::{Limit, Outbound};
use resets::{RequestTimer, Resets};
use round_trip::RoundTrip;
use transmission::{Acknowledged, Transmission};

/// How long a SACK is held back for a second packet. RFC 9260 §6.2 permits 500 ms; a sender in a call has to learn of losses sooner.
const SACK_DELAY: Duration = Duration::from_millis(20);
/// Packets with data after which a SACK is due (RFC 9260 §6.2).
const SACK_EVERY: usize = 2;
/// Answers of a kind that wait to be sent.
const MAX_ANSWERS: usize = 8;
/// How long nothing is said again about messages that were given up, at least: a round trip may take no time at all.
const MIN_FORWARD_PAUSE: Duration = Duration::from_millis(10);
/// How long the peer may take to end the association in order: the T5-shutdown-guard timer (RFC 9260 §9.2), five times the longest retransmission timeout.
const SHUTDOWN_GUARD: Duration = Duration::from_secs(15);
/// The range of the first slow start threshold, in bytes.
const THRESHOLD: (usize, usize) = (64 * 1024, 64 * 1024 * 1024);
/// The rate at which slow start ends, in bytes per second: what a path that nothing is known about may carry without loss.
const THRESHOLD_RATE: f64 = 12_500_000.0;
/// The round-trip time while none has been measured.
const DEFAULT_ROUND_TRIP_TIME: Duration = Duration::from_millis(100);

/// What runs at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timer {
    /// T3-rtx (RFC 9260 §6.3.2)
    Retransmission,
    /// Of the OPEN of a channel.
    Opening,
    DelayedSack,
    /// Of the request to reset streams (RFC 6525 §5.1.1).
    Reconfiguration,
    /// T2-shutdown (RFC 9260 §9.2)
    Shutdown,
    /// T5-shutdown-guard
    ShutdownGuard,
    /// RFC 9260 §8.3
    Heartbeat,
}

impl TimerKey for Timer {
    const ALL: &'static [Self] = &[
        Self::Retransmission,
        Self::Opening,
        Self::DelayedSack,
        Self::Reconfiguration,
        Self::Shutdown,
        Self::ShutdownGuard,
        Self::Heartbeat,
    ];

    fn reason(self) -> &'static str {
        match self {
            Self::Retransmission => "sctp retransmission",
            Self::Opening => "sctp channel opening",
            Self::DelayedSack => "sctp acknowledgement",
            Self::Reconfiguration => "sctp stream reset",
            Self::Shutdown | Self::ShutdownGuard => "sctp shutdown",
            Self::Heartbeat => "sctp heartbeat",
        }
    }
}

/// Whether the peer ends the association in order (RFC 9260 §9.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    NotBegun,
    /// SHUTDOWN-RECEIVED: what was handed over is still sent.
    Received,
    /// SHUTDOWN-ACK-SENT
    Acknowledged,
}

/// What is to be said about what has come.
#[derive(Debug)]
struct Acknowledgement {
    is_due: bool,
    /// Data has come: the first of it is acknowledged at once.
    has_begun: bool,
    /// Packets with data since the last SACK.
    packets: usize,
    /// The window that the last SACK told, in bytes.
    window: usize,
}

/// A chunk of the peer that is answered.
#[derive(Debug)]
struct Answer {
    kind: u8,
    value: Vec<u8>,
}

/// An established association.
#[derive(Debug)]
pub(super) struct Association {
    header: Header,
    packet_size: usize,
    framing: Framing,
    streams: u16,
    inbound_streams: u16,
    receive_window: usize,
    peer_forwards: bool,
    leaves_out_checksum: bool,
    heartbeat_interval: Option<Duration>,
    max_retransmissions: Option<u32>,
    inbound: Inbound,
    outbound: Outbound,
    transmission: Transmission,
    opening: Opening,
    congestion: Box<dyn CongestionController>,
    round_trip: RoundTrip,
    /// While a loss is repaired: the last TSN that had been sent when it was found (RFC 9260 §7.2.4).
    recovery: Option<Tsn>,
    /// A chunk is sent again at once, whatever the congestion window (RFC 9260 §7.2.4).
    fast_retransmit: bool,
    /// The window that the peer has told last, in bytes.
    peer_window: usize,
    /// What is in flight is more than the peer has room for (RFC 9260 §6.1 A).
    is_probing: bool,
    /// What was told of the messages that were given up, and when.
    forwarded: Option<(Tsn, Timestamp)>,
    forward_due: bool,
    acknowledgement: Acknowledgement,
    resets: Resets,
    answers: VecDeque<Answer>,
    heartbeat_due: bool,
    /// When the HEARTBEAT was sent that is not answered yet.
    heartbeat_sent: Option<Timestamp>,
    shutdown: Shutdown,
    shutdown_ack_due: bool,
    timers: TimerTable<Timer>,
    ended: Option<Ended>,
}

/// What slow start ends at: what the path may carry in a round trip, or what the peer has room for.
fn first_threshold(peer_window: u32, round_trip_time: Option<Duration>) -> usize {
    let bytes = round_trip_time.unwrap_or(DEFAULT_ROUND_TRIP_TIME).as_secs_f64() * THRESHOLD_RATE;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast to an integer saturates")]
    let threshold = bytes as usize;
    threshold.clamp(THRESHOLD.0, THRESHOLD.1).min(size(peer_window))
}

fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Association {
    pub(super) fn new(now: Timestamp, settings: SctpSettings, local: Parameters, peer: Parameters) -> Self {
        let framing = if local.interleaving && peer.interleaving { Framing::Interleaved } else { Framing::Plain };
        let overhead = packet::HEADER_SIZE + framing.overhead();
        let max_payload = settings.packet_size.saturating_sub(overhead) / 4 * 4;
        let receive_window = size(settings.receive_window);
        let max_message_size = size(settings.max_receive_message_size);
        let threshold = first_threshold(peer.window, settings.round_trip_time);
        let inbound_streams = local.inbound_streams.min(peer.outbound_streams);
        let mut timers = TimerTable::default();
        if let Some(interval) = settings.heartbeat_interval {
            timers.set(Timer::Heartbeat, now + interval);
        }
        Self {
            header: Header {
                source_port: settings.local_port,
                destination_port: settings.remote_port,
                verification_tag: peer.tag,
            },
            packet_size: settings.packet_size,
            framing,
            streams: inbound_streams.min(local.outbound_streams).min(peer.inbound_streams),
            inbound_streams,
            receive_window,
            peer_forwards: match framing {
                Framing::Plain => peer.forward_tsn,
                Framing::Interleaved => peer.interleaved_forward_tsn,
            },
            leaves_out_checksum: local.zero_checksum && peer.zero_checksum,
            heartbeat_interval: settings.heartbeat_interval,
            max_retransmissions: settings.max_retransmissions,
            inbound: Inbound::new(framing, inbound_streams, peer.initial_tsn, receive_window, max_message_size),
            outbound: Outbound::new(framing, max_payload.max(4), size(peer.window)),
            transmission: Transmission::new(framing, local.initial_tsn),
            opening: Opening::new(settings.retransmission_timeout),
            congestion: Box::new(NewReno::new(settings.packet_size, threshold)),
            round_trip: RoundTrip::new(settings.retransmission_timeout, settings.round_trip_time),
            recovery: None,
            fast_retransmit: false,
            peer_window: size(peer.window),
            is_probing: false,
            forwarded: None,
            forward_due: false,
            acknowledgement: Acknowledgement { is_due: false, has_begun: false, packets: 0, window: receive_window },
            resets: Resets::new(local.initial_tsn, peer.initial_tsn, inbound_streams),
            answers: VecDeque::new(),
            heartbeat_due: false,
            heartbeat_sent: None,
            shutdown: Shutdown::NotBegun,
            shutdown_ack_due: false,
            timers,
            ended: None,
        }
    }

    fn end(&mut self, ended: Ended) {
        self.ended = self.ended.or(Some(ended));
    }

    /// Takes in a chunk. Whether it was skipped.
    fn handle_chunk(&mut self, now: Timestamp, chunk: &Chunk<'_>) -> bool {
        match chunk.kind {
            chunk_type::SACK => match sack::read(chunk) {
                Some(sack) => {
                    self.handle_acknowledgement(now, sack.cumulative_tsn, Some(&sack));
                    false
                }
                None => true,
            },
            chunk_type::HEARTBEAT => {
                let permitted = chunk::heartbeat_info(chunk.value).is_some();
                !(permitted && self.answer(chunk_type::HEARTBEAT_ACK, chunk.value))
            }
            chunk_type::HEARTBEAT_ACK => self.handle_heartbeat_ack(now, chunk.value),
            chunk_type::RE_CONFIG => {
                let Some(parameters) = reconfiguration::read(chunk.value) else { return true };
                let timer = self.resets.handle(parameters, &mut self.inbound, &mut self.outbound);
                self.set_request_timer(now, timer);
                false
            }
            chunk_type::FORWARD_TSN | chunk_type::I_FORWARD_TSN => {
                if (chunk.kind == chunk_type::I_FORWARD_TSN) != (self.framing == Framing::Interleaved) {
                    // RFC 8260 §2.3.1
                    self.end(Ended::Violation(cause::PROTOCOL_VIOLATION));
                    return true;
                }
                let Some(forward) = forward_tsn::read(self.framing, chunk) else { return true };
                // RFC 3758 §3.6: one that brings nothing new is answered at once too.
                self.acknowledgement.is_due = true;
                if self.inbound.forward(&forward) {
                    self.resets.review_deferred(&mut self.inbound, &mut self.outbound);
                }
                false
            }
            chunk_type::SHUTDOWN => {
                let Some(tsn) = packet::u32_at(chunk.value, 0).filter(|_| chunk.value.len() == 4) else { return true };
                self.handle_shutdown(now, tsn);
                false
            }
            // RFC 9260 §9.2
            chunk_type::SHUTDOWN_ACK if self.shutdown == Shutdown::Acknowledged => {
                self.end(Ended::ShutDownByBoth);
                false
            }
            // This side sends no SHUTDOWN, so that it answers nothing; and an ERROR is for the log.
            chunk_type::SHUTDOWN_ACK | chunk_type::ERROR => true,
            _ => true,
        }
    }

    /// Takes in a fragment. Whether it was skipped.
    fn handle_data(&mut self, chunk: &Chunk<'_>, immediate: &mut bool) -> bool {
        let Some(data) = data::read(self.framing, chunk) else {
            self.end(Ended::Violation(cause::PROTOCOL_VIOLATION));
            return true;
        };
        if data.payload.is_empty() {
            // RFC 9260 §3.3.10.9
            self.end(Ended::NoUserData(data.tsn));
            return true;
        }
        let tsn = self.inbound.tracker().cumulative().nearest(data.tsn);
        *immediate |= data.immediate;
        if data.label.stream >= self.inbound_streams {
            // RFC 9260 §6.5: acknowledged, reported and dropped.
            *immediate = true;
            if self.inbound.pass_over(tsn) == Taken::New {
                self.answer(chunk_type::ERROR, &chunk::invalid_stream_report(data.label.stream));
            }
            return true;
        }
        if self.resets.is_behind_deferred(data.label.stream, tsn) {
            return true;
        }
        match self.inbound.insert(tsn, &data) {
            Taken::New => false,
            Taken::Duplicate => {
                *immediate = true;
                false
            }
            Taken::Refused => {
                *immediate = true;
                true
            }
            Taken::Violation => {
                self.end(Ended::Violation(cause::PROTOCOL_VIOLATION));
                true
            }
        }
    }

    /// A packet with data was taken in (RFC 9260 §6.2).
    fn note_data(&mut self, now: Timestamp, immediate: bool) {
        self.resets.review_deferred(&mut self.inbound, &mut self.outbound);
        self.acknowledgement.packets += 1;
        // RFC 9260 §5.1: the first at once.
        let is_first = !std::mem::replace(&mut self.acknowledgement.has_begun, true);
        if immediate || is_first || self.acknowledgement.packets >= SACK_EVERY {
            self.acknowledgement.is_due = true;
            self.timers.clear(Timer::DelayedSack);
        } else if self.timers.get(Timer::DelayedSack).is_none() {
            self.timers.set(Timer::DelayedSack, now + SACK_DELAY);
        }
    }

    /// Takes in what the peer acknowledges, in a SACK or in a SHUTDOWN.
    fn handle_acknowledgement(&mut self, now: Timestamp, cumulative: u32, sack: Option<&sack::Sack<'_>>) {
        let outbound = &mut self.outbound;
        let gaps = sack.into_iter().flat_map(sack::Sack::gaps);
        let result =
            self.transmission.acknowledge(now, cumulative, gaps, &mut |stream, bytes| outbound.settle(stream, bytes));
        match result {
            Ok(Some(acknowledged)) => {
                let window = sack.map_or(self.peer_window, |sack| size(sack.window));
                self.note_acknowledged(now, acknowledged, window);
            }
            Ok(None) => {}
            Err(transmission::NeverSent) => {
                // A SHUTDOWN is not believed in this respect, but it still ends the association.
                if sack.is_some() {
                    self.end(Ended::Violation(cause::PROTOCOL_VIOLATION));
                }
            }
        }
    }

    fn note_acknowledged(&mut self, now: Timestamp, acknowledged: Acknowledged, window: usize) {
        if acknowledged.bytes > 0 {
            self.round_trip.confirm();
        }
        if let Some(sample) = acknowledged.round_trip_time {
            self.round_trip.measure(sample);
        }
        self.opening.acknowledged(self.transmission.cumulative());
        self.put_opening_timer();
        // RFC 9260 §7.2.1: what ends a recovery acknowledges what was sent before and in it, and lets nothing grow either.
        let in_recovery = self.recovery.is_some();
        if self.recovery.is_some_and(|end| self.transmission.cumulative() >= end) {
            self.recovery = None;
        }
        self.congestion.on_acknowledged(Progress {
            bytes: acknowledged.bytes,
            in_flight: acknowledged.in_flight,
            cumulative_advanced: acknowledged.cumulative_advanced,
            in_recovery,
        });
        if acknowledged.found_lost && self.recovery.is_none() {
            self.recovery = Some(self.transmission.last());
            self.fast_retransmit = true;
            self.congestion.on_loss();
        }
        self.peer_window = window;
        if self.is_probing && window > self.transmission.payload_in_flight() {
            // The peer has dropped what it had no room for. That is no sign of congestion.
            self.is_probing = false;
            self.transmission.lose_all(now);
        }
        if !self.transmission.is_outstanding() {
            self.timers.clear(Timer::Retransmission);
            self.is_probing = false;
        } else if acknowledged.cumulative_advanced {
            // RFC 9260 §6.3.2 R3
            self.timers.set(Timer::Retransmission, now + self.round_trip.timeout());
        }
        self.settle_abandoned(now);
    }

    /// Messages were given up: what is left of them is not sent, and the peer is told (RFC 3758 §3.5).
    fn settle_abandoned(&mut self, now: Timestamp) {
        for (stream, message) in self.transmission.take_abandoned() {
            if let Some(rest) = self.outbound.abandon(stream, message) {
                // All that was sent may have come: only a TSN for the rest lets the peer know that no more will.
                self.transmission.push_abandoned(now, rest);
            }
        }
        let Some(point) = self.transmission.forward_point() else { return };
        let pause = self.round_trip.smoothed().unwrap_or_else(|| self.round_trip.timeout()).max(MIN_FORWARD_PAUSE);
        self.forward_due |= self.forwarded.is_none_or(|(told, at)| told < point || now - at >= pause);
        if self.timers.get(Timer::Retransmission).is_none() {
            self.timers.set(Timer::Retransmission, now + self.round_trip.timeout());
        }
    }

    /// Queues an answer, if there is room for it.
    fn answer(&mut self, kind: u8, value: &[u8]) -> bool {
        let fits = packet::HEADER_SIZE + packet::CHUNK_HEADER_SIZE + value.len() <= self.packet_size / 4 * 4;
        let waiting = self.answers.iter().filter(|answer| answer.kind == kind).count();
        let has_room = fits && waiting < MAX_ANSWERS;
        if has_room {
            self.answers.push_back(Answer { kind, value: value.to_vec() });
        }
        has_room
    }

    fn handle_heartbeat_ack(&mut self, now: Timestamp, value: &[u8]) -> bool {
        let moment = chunk::heartbeat_moment(value).map(Timestamp::from_nanos);
        let Some(sent) = self.heartbeat_sent.take_if(|sent| Some(*sent) == moment) else { return true };
        self.round_trip.confirm();
        self.round_trip.measure(now - sent);
        false
    }

    /// What waits for an answer has waited for too long (RFC 9260 §6.3.3 E2, §8.1).
    fn note_expiry(&mut self) {
        self.round_trip.back_off();
        if self.max_retransmissions.is_some_and(|limit| self.round_trip.expirations() > limit) {
            self.end(Ended::Unreachable);
        }
    }

    fn set_request_timer(&mut self, now: Timestamp, timer: RequestTimer) {
        if timer != RequestTimer::Leave {
            // RFC 6525 §5.2.7 H2: a peer that answers is there, even if it is not ready yet.
            self.round_trip.confirm();
        }
        match timer {
            RequestTimer::Leave => {}
            RequestTimer::Restart => self.timers.set(Timer::Reconfiguration, now + self.round_trip.timeout()),
            RequestTimer::Stop => self.timers.clear(Timer::Reconfiguration),
        }
    }

    fn handle_shutdown(&mut self, now: Timestamp, cumulative: u32) {
        self.handle_acknowledgement(now, cumulative, None);
        if self.shutdown == Shutdown::NotBegun {
            self.shutdown = Shutdown::Received;
            self.timers.set(Timer::ShutdownGuard, now + SHUTDOWN_GUARD);
        }
        self.shutdown_ack_due = true;
    }

    fn handle_expired(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Retransmission => self.handle_retransmission_timeout(now),
            Timer::Opening => self.handle_opening_timeout(now),
            Timer::DelayedSack => self.acknowledgement.is_due = true,
            Timer::Reconfiguration => {
                self.round_trip.back_off();
                self.resets.handle_timeout();
            }
            Timer::Shutdown => {
                self.note_expiry();
                self.shutdown_ack_due = true;
            }
            Timer::ShutdownGuard => self.end(Ended::ShutDown),
            Timer::Heartbeat => {
                if self.heartbeat_sent.take().is_some() {
                    self.note_expiry();
                }
                // RFC 9260 §8.3: only on an idle path.
                self.heartbeat_due = !self.transmission.is_outstanding();
                if let Some(interval) = self.heartbeat_interval {
                    self.timers.set(Timer::Heartbeat, now + interval);
                }
            }
        }
    }

    /// RFC 9260 §6.3.3
    fn handle_retransmission_timeout(&mut self, now: Timestamp) {
        if !self.transmission.is_outstanding() {
            return;
        }
        // RFC 9260 §6.1 A: a peer that is slow to read is not away, and the path is not congested.
        if self.is_probing {
            self.round_trip.back_off();
        } else {
            self.note_expiry();
            self.congestion.on_timeout();
        }
        self.recovery = None;
        self.fast_retransmit = false;
        self.transmission.lose_all(now);
        self.forwarded = None;
        self.timers.set(Timer::Retransmission, now + self.round_trip.timeout());
        self.settle_abandoned(now);
    }

    fn handle_opening_timeout(&mut self, now: Timestamp) {
        if let Some(tsn) = self.opening.take_due(now) {
            if self.transmission.suspect(now, tsn) {
                self.fast_retransmit = true;
            } else {
                self.opening.acknowledged(tsn);
            }
        }
        self.put_opening_timer();
    }

    fn put_opening_timer(&mut self) {
        match self.opening.due() {
            Some(due) => self.timers.set(Timer::Opening, due),
            None => self.timers.clear(Timer::Opening),
        }
    }

    /// RFC 9260 §3.2: the two highest bits of the type of an unknown chunk say whether to report it, and whether to go on. `true` to go on.
    fn handle_unknown(&mut self, chunk: &Chunk<'_>) -> bool {
        if chunk.kind & 0x40 != 0 {
            self.answer(chunk_type::ERROR, &chunk::unrecognized_chunk_report(chunk));
        }
        chunk.kind & 0x80 != 0
    }

    /// Whether a chunk type is known, but for those of data.
    fn is_known(kind: u8) -> bool {
        matches!(
            kind,
            0..=chunk_type::COOKIE_ACK
                | chunk_type::SHUTDOWN_COMPLETE
                | chunk_type::RE_CONFIG
                | chunk_type::FORWARD_TSN
                | chunk_type::I_FORWARD_TSN
        )
    }

    /// Tells the peer that there is room again, if it was told that there was little.
    fn review_window(&mut self) {
        let step = self.receive_window / 4;
        if self.acknowledgement.window < step && self.inbound.free_window() > self.acknowledgement.window + step {
            self.acknowledgement.is_due = true;
        }
    }
}

impl Engine for Association {
    fn streams(&self) -> u16 {
        self.streams
    }

    fn handle_packet(&mut self, now: Timestamp, packet: &Packet<'_>) -> u64 {
        let mut skipped = 0;
        let mut has_data = false;
        let mut immediate = self.inbound.tracker().has_gaps();
        for chunk in packet.chunks().filter(|chunk| !is_control(chunk.kind)) {
            if chunk.kind == self.framing.chunk_type() && self.is_shut_down() {
                // RFC 9260 §6: data is received in ESTABLISHED alone; a peer sends SHUTDOWN when all of its own is acknowledged.
                skipped += 1;
            } else if chunk.kind == self.framing.chunk_type() {
                has_data = true;
                skipped += u64::from(self.handle_data(&chunk, &mut immediate));
            } else if matches!(chunk.kind, chunk_type::DATA | chunk_type::I_DATA) {
                // RFC 8260 §2.2.1: all of it is interleaved, or none.
                self.end(Ended::Violation(cause::PROTOCOL_VIOLATION));
            } else if Self::is_known(chunk.kind) {
                skipped += u64::from(self.handle_chunk(now, &chunk));
            } else {
                skipped += 1;
                if !self.handle_unknown(&chunk) {
                    break;
                }
            }
            if self.ended.is_some() {
                break;
            }
        }
        if has_data {
            let immediate = immediate || self.inbound.tracker().has_gaps();
            self.note_data(now, immediate);
        }
        skipped
    }

    fn collect(&mut self, events: &mut Vec<SctpEvent>) {
        if self.inbound.has_news() {
            events.extend(self.inbound.news().map(SctpEvent::Readable));
        }
        events.append(&mut self.resets.take_events());
    }

    fn ended(&self) -> Option<Ended> {
        self.ended
    }

    fn is_shut_down(&self) -> bool {
        self.shutdown != Shutdown::NotBegun
    }

    fn awaits_shutdown_complete(&self) -> bool {
        self.shutdown == Shutdown::Acknowledged
    }

    fn repeat_shutdown_ack(&mut self) -> bool {
        let awaits = self.awaits_shutdown_complete();
        self.shutdown_ack_due |= awaits;
        awaits
    }

    fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.take_due(now) {
            self.handle_expired(now, timer);
        }
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.timers.next()
    }

    fn write_packet(&mut self, now: Timestamp, bytes: &mut Vec<u8>) -> bool {
        self.write_next(now, bytes)
    }

    fn write_behind_cookie_echo(&mut self, now: Timestamp, bytes: &mut Vec<u8>) {
        self.write_first(now, bytes);
    }

    fn open_stream(&mut self, stream: u16, weight: u16) {
        if stream < self.streams {
            self.outbound.set_weight(stream, weight);
        }
    }

    fn write(&mut self, now: Timestamp, message: OutgoingMessage) -> bool {
        let OutgoingMessage { stream, protocol, payload, ordered, reliability } = message;
        let Some(identifier) = protocol.identifier() else { return false };
        let is_writable = stream < self.streams && self.resets.is_writable(stream) && !self.is_shut_down();
        if payload.is_empty() || !is_writable {
            return false;
        }
        let limit = match reliability {
            _ if !self.peer_forwards => Limit::Never,
            Reliability::Reliable => Limit::Never,
            Reliability::MaxRetransmits(count) => Limit::Retransmissions(count),
            Reliability::MaxPacketLifetime(lifetime) => Limit::Until(now + lifetime),
        };
        self.outbound.push(stream, identifier, payload, !ordered, limit);
        true
    }

    fn buffered(&mut self, stream: u16) -> usize {
        self.outbound.buffered(stream)
    }

    fn take_settled(&mut self, streams: &mut Vec<u16>) {
        self.outbound.take_settled(streams);
    }

    fn read(&mut self, stream: u16) -> Option<(PayloadProtocol, Bytes)> {
        let (message, finished) = self.inbound.read(stream)?;
        if finished {
            self.resets.finish_theirs(stream, &mut self.inbound, &mut self.outbound);
        }
        self.review_window();
        Some((PayloadProtocol::from_identifier(message.protocol), message.payload))
    }

    fn reset_stream(&mut self, stream: u16) {
        self.resets.want(stream, &mut self.inbound, &mut self.outbound);
        self.review_window();
    }
}

#[cfg(test)]
mod tests;
