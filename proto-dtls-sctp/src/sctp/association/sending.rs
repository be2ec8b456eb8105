//! What goes into the next packet.

use proto_machine::Timestamp;

use super::{Association, Shutdown, Timer, opening};
use crate::sctp::chunk::data::{self, Data};
use crate::sctp::chunk::{forward_tsn, put_heartbeat, sack};
use crate::sctp::packet::{Builder, chunk_type};

/// Packets below which the congestion window is so small that the peer should not hold back its acknowledgements.
const SMALL_WINDOW: usize = 2;

impl Association {
    /// Writes the next packet, if anything is due: chunks that control the association in front of data (RFC 9260 §6.10).
    pub(super) fn write_next(&mut self, now: Timestamp, bytes: &mut Vec<u8>) -> bool {
        let mut builder = Builder::new(bytes, self.header, self.packet_size);
        self.write_answers(now, &mut builder);
        if self.resets.is_due() && self.resets.write(&mut builder, self.transmission.last(), &self.outbound) {
            self.timers.set(Timer::Reconfiguration, now + self.round_trip.timeout());
        }
        self.write_acknowledgement_and_data(now, &mut builder);
        self.write_shutdown_ack(now, &mut builder);
        builder.finish(!self.leaves_out_checksum)
    }

    /// Puts data behind a COOKIE ECHO. What went out with an earlier one went the same way as that.
    pub(super) fn write_first(&mut self, now: Timestamp, bytes: &mut Vec<u8>) {
        self.transmission.lose_all(now);
        self.opening.sent_again(now);
        let mut builder = Builder::resume(bytes, self.packet_size);
        self.write_data(now, &mut builder);
        // RFC 9653 §5.2: a packet with COOKIE ECHO has its checksum.
        builder.finish(true);
        self.put_opening_timer();
    }

    fn write_answers(&mut self, now: Timestamp, builder: &mut Builder<'_>) {
        while let Some(answer) = self.answers.front() {
            if !builder.chunk(answer.kind, 0, answer.value.len(), |bytes| bytes.extend_from_slice(&answer.value)) {
                return;
            }
            self.answers.pop_front();
        }
        if self.heartbeat_due && put_heartbeat(builder, now.as_nanos()) {
            self.heartbeat_due = false;
            self.heartbeat_sent = Some(now);
        }
    }

    /// A SACK goes along with data if there is room for both, and alone once it is due.
    fn write_acknowledgement_and_data(&mut self, now: Timestamp, builder: &mut Builder<'_>) {
        let is_due = self.acknowledgement.is_due;
        if !is_due && self.acknowledgement.packets == 0 {
            self.write_data(now, builder);
            return;
        }
        let position = builder.position();
        let has_sack = self.put_sack(builder);
        let has_data = self.write_data(now, builder);
        if has_data || is_due {
            if has_sack {
                self.note_sack();
            }
            return;
        }
        builder.truncate(position);
        self.write_data(now, builder);
    }

    fn put_sack(&mut self, builder: &mut Builder<'_>) -> bool {
        let window = u32::try_from(self.inbound.free_window()).unwrap_or(u32::MAX);
        let tracker = self.inbound.tracker();
        sack::put(builder, tracker.cumulative().wire(), window, tracker.gap_blocks(), tracker.duplicates())
    }

    fn note_sack(&mut self) {
        self.acknowledgement.is_due = false;
        self.acknowledgement.packets = 0;
        self.acknowledgement.window = self.inbound.free_window();
        self.timers.clear(Timer::DelayedSack);
        self.inbound.tracker().forget_duplicates();
    }

    /// Writes what was given up, then what was lost, then what is new. Whether anything was written.
    fn write_data(&mut self, now: Timestamp, builder: &mut Builder<'_>) -> bool {
        let position = builder.position();
        if self.forward_due {
            self.write_forward(now, builder);
        }
        self.transmission.begin_packet();
        let in_flight = self.transmission.in_flight();
        // RFC 9260 §6.1 B, a packet at a time.
        let permitted = in_flight == 0 || in_flight + self.packet_size <= self.congestion.window();
        if (permitted || self.fast_retransmit) && self.write_lost(now, builder) {
            self.fast_retransmit = false;
        }
        if permitted && !self.transmission.has_lost() {
            self.write_new(now, builder);
        }
        if self.forward_due && builder.position() == position {
            // Messages were given up in place of being sent.
            self.write_forward(now, builder);
        }
        if self.transmission.is_outstanding() && self.timers.get(Timer::Retransmission).is_none() {
            self.timers.set(Timer::Retransmission, now + self.round_trip.timeout());
        }
        builder.position() > position
    }

    fn write_forward(&mut self, now: Timestamp, builder: &mut Builder<'_>) {
        self.forward_due = false;
        if self.transmission.forward_point().is_none() {
            return;
        }
        let capacity = forward_tsn::capacity(self.framing, builder.room());
        let (point, skipped) = self.transmission.skipped(capacity);
        if point > self.transmission.cumulative()
            && forward_tsn::put(builder, self.framing, point.wire(), skipped.into_iter())
        {
            self.forwarded = Some((point, now));
        } else {
            self.forward_due = true;
        }
    }

    /// Whether the peer is asked to acknowledge at once: it must not wait for a second packet that does not come (RFC 9260 §6.1, the I bit).
    fn wants_immediate_acknowledgement(&self) -> bool {
        self.round_trip.expirations() > 0 || self.congestion.window() <= SMALL_WINDOW * self.packet_size
    }

    fn write_lost(&mut self, now: Timestamp, builder: &mut Builder<'_>) -> bool {
        let immediate = self.wants_immediate_acknowledgement();
        let mut written = false;
        while let Some((tsn, length)) = self.transmission.next_lost(now) {
            if (self.framing.overhead() + length).next_multiple_of(4) > builder.room() {
                break;
            }
            let Some(data) = self.transmission.retransmit(now, tsn) else { break };
            written |= data::put(builder, self.framing, Data { immediate, ..data });
            // RFC 9260 §7.2.4 5: the timer runs anew for the earliest chunk; but an OPEN that is sent again early leaves it alone, and is sent again when that expires as well.
            if tsn == self.transmission.cumulative().next() && !self.opening.watches(tsn) {
                self.timers.set(Timer::Retransmission, now + self.round_trip.timeout());
            }
        }
        self.settle_abandoned(now);
        written
    }

    fn write_new(&mut self, now: Timestamp, builder: &mut Builder<'_>) {
        let immediate = self.wants_immediate_acknowledgement();
        while !self.outbound.is_empty() && !self.transmission.is_full() {
            let left = self.peer_window.saturating_sub(self.transmission.payload_in_flight());
            // RFC 9260 §6.1 A: one chunk may always be in flight.
            let probes = !self.transmission.is_outstanding();
            let window = if probes { usize::MAX } else { left };
            let Some(fragment) = self.outbound.next(now, builder.room(), window) else { return };
            if !fragment.label.place.beginning && fragment.limit.is_exceeded(now, 0) {
                self.transmission.push_abandoned(now, fragment);
                self.settle_abandoned(now);
                continue;
            }
            if opening::is_open(&fragment) {
                self.opening.sent(now, self.transmission.last().next());
                self.put_opening_timer();
            }
            self.is_probing |= fragment.payload.len() > left;
            let Some(data) = self.transmission.push(now, fragment) else { return };
            data::put(builder, self.framing, Data { immediate, ..data });
        }
    }

    /// RFC 9260 §9.2: once everything that was handed over is acknowledged.
    fn write_shutdown_ack(&mut self, now: Timestamp, builder: &mut Builder<'_>) {
        let is_done = self.outbound.is_empty() && !self.transmission.is_outstanding();
        if self.shutdown != Shutdown::NotBegun
            && self.shutdown_ack_due
            && is_done
            && builder.chunk(chunk_type::SHUTDOWN_ACK, 0, 0, |_| {})
        {
            self.shutdown_ack_due = false;
            self.shutdown = Shutdown::Acknowledged;
            self.timers.set(Timer::Shutdown, now + self.round_trip.timeout());
        }
    }
}
