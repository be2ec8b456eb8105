//! Streams that have one owner after the other (RFC 6525, RFC 8831 §6.7).
//!
//! ```text
//! own side      open ──want──▶ wanted ──request──▶ requested ──performed──▶ reset ─┐
//!                                 ▲                                                 ├─▶ free
//! side of peer  open ──request of the peer──▶ unread ──all was read──▶ reset ───────┘
//!                                                  └─ the own side is wanted reset
//! ```
//!
//! A stream has one owner until it is free. A request of the peer for a stream that is on its way there is answered "in progress": it would end the channel of a next owner
//! before that of the last is gone. So is one that comes before the data in front of it; what lies behind it is not taken in meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::sctp::SctpEvent;
use crate::sctp::chunk::reconfiguration::{self, Outcome, Reconfiguration};
use crate::sctp::chunk::tsn::Tsn;
use crate::sctp::packet::Builder;

/// Responses that wait to be sent. A peer that asks for more than are sent asks again.
const MAX_RESPONSES: usize = 8;

/// Where the own side of a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Own {
    Open,
    /// To be reset once what waits on it was sent.
    Wanted,
    Requested,
    Reset,
}

/// Where the side of the peer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Theirs {
    Open,
    /// Reset; what came before is not read.
    Unread,
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sides {
    own: Own,
    theirs: Theirs,
}

/// The request that waits for its response: one at a time (RFC 6525 §5.1.1).
#[derive(Debug)]
struct Request {
    number: u32,
    last_tsn: u32,
    streams: Vec<u16>,
    /// Whether it is to be sent (again).
    is_due: bool,
}

/// A request of the peer whose data has not all come.
#[derive(Debug)]
struct Deferred {
    number: u32,
    last_tsn: Tsn,
    streams: Vec<u16>,
}

/// What is done with the timer of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequestTimer {
    Leave,
    Restart,
    Stop,
}

/// All streams that are on their way to the next owner.
#[derive(Debug)]
pub(super) struct Resets {
    /// How many streams the peer may send on.
    inbound_streams: u16,
    streams: BTreeMap<u16, Sides>,
    wanted: BTreeSet<u16>,
    request: Option<Request>,
    next_number: u32,
    /// The next request of the peer.
    expected: u32,
    /// The answer to the last one.
    last_outcome: Outcome,
    deferred: Option<Deferred>,
    responses: VecDeque<(u32, Outcome)>,
    events: Vec<SctpEvent>,
}

impl Resets {
    /// RFC 6525 §4.1: the first request of each side has the number of its first TSN.
    pub(super) fn new(initial_tsn: u32, initial_tsn_of_peer: u32, inbound_streams: u16) -> Self {
        Self {
            inbound_streams,
            streams: BTreeMap::new(),
            wanted: BTreeSet::new(),
            request: None,
            next_number: initial_tsn,
            expected: initial_tsn_of_peer,
            last_outcome: Outcome::BadSequenceNumber,
            deferred: None,
            responses: VecDeque::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<SctpEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether messages may be written to a stream.
    pub(super) fn is_writable(&self, stream: u16) -> bool {
        self.streams.get(&stream).is_none_or(|sides| sides.own == Own::Open)
    }

    /// Whether a chunk lies behind the reset of a request whose data has not all come (RFC 6525 §5.2.2 E2 has it queued; it is as good not to acknowledge it).
    pub(super) fn is_behind_deferred(&self, stream: u16, tsn: Tsn) -> bool {
        self.deferred.as_ref().is_some_and(|deferred| {
            tsn > deferred.last_tsn && (deferred.streams.is_empty() || deferred.streams.contains(&stream))
        })
    }

    /// The application is done with a stream.
    pub(super) fn want(&mut self, stream: u16, inbound: &mut Inbound, outbound: &mut Outbound) {
        self.want_own(stream);
        if inbound.discard(stream) {
            self.finish_theirs(stream, inbound, outbound);
        }
    }

    fn want_own(&mut self, stream: u16) {
        let sides = self.streams.entry(stream).or_insert(Sides { own: Own::Open, theirs: Theirs::Open });
        if sides.own == Own::Open {
            sides.own = Own::Wanted;
            self.wanted.insert(stream);
        }
    }

    /// Everything before the reset of the peer has been read.
    pub(super) fn finish_theirs(&mut self, stream: u16, inbound: &mut Inbound, outbound: &mut Outbound) {
        self.want_own(stream);
        if let Some(sides) = self.streams.get_mut(&stream)
            && sides.theirs != Theirs::Reset
        {
            sides.theirs = Theirs::Reset;
            self.events.push(SctpEvent::IncomingReset(stream));
            self.free_if_reset(stream, inbound, outbound);
        }
    }

    fn free_if_reset(&mut self, stream: u16, inbound: &mut Inbound, outbound: &mut Outbound) {
        if self.streams.get(&stream) == Some(&Sides { own: Own::Reset, theirs: Theirs::Reset }) {
            self.streams.remove(&stream);
            outbound.restart(stream);
            outbound.forget(stream);
            self.events.push(SctpEvent::ResetComplete(stream));
            inbound.release(stream);
        }
    }

    /// Takes in a RE-CONFIG chunk.
    pub(super) fn handle(
        &mut self,
        parameters: Vec<Reconfiguration>,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
    ) -> RequestTimer {
        let mut timer = RequestTimer::Leave;
        for parameter in parameters {
            match parameter {
                Reconfiguration::Response { number, outcome } => {
                    timer = self.handle_response(number, outcome, inbound, outbound);
                }
                Reconfiguration::OutgoingReset { number, answered, last_tsn, streams } => {
                    // RFC 6525 §5.2.2 E1: what the peer has answered by the time of its request is answered.
                    if self.request.as_ref().is_some_and(|request| request.number == answered) {
                        timer = self.handle_response(answered, Outcome::Performed, inbound, outbound);
                    }
                    self.handle_request(number, last_tsn, streams, inbound, outbound);
                }
                Reconfiguration::Unserved(number) => {
                    if self.is_next(number) {
                        self.refuse(number, Outcome::Denied);
                    }
                }
            }
        }
        timer
    }

    fn respond(&mut self, number: u32, outcome: Outcome) {
        if self.responses.len() < MAX_RESPONSES {
            self.responses.push_back((number, outcome));
        }
    }

    /// Whether a request is the next one. If it is not, it is answered.
    fn is_next(&mut self, number: u32) -> bool {
        if number == self.expected.wrapping_sub(1) && self.last_outcome != Outcome::BadSequenceNumber {
            // It comes again: its response was lost.
            self.respond(number, self.last_outcome);
        } else if number != self.expected {
            self.respond(number, Outcome::BadSequenceNumber);
        }
        number == self.expected
    }

    /// The next request changes nothing.
    fn refuse(&mut self, number: u32, outcome: Outcome) {
        self.deferred = None;
        self.expected = self.expected.wrapping_add(1);
        self.last_outcome = outcome;
        self.respond(number, outcome);
    }

    fn handle_request(
        &mut self,
        number: u32,
        last_tsn: u32,
        streams: Vec<u16>,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
    ) {
        if !self.is_next(number) {
            return;
        }
        if streams.iter().any(|&stream| stream >= self.inbound_streams) {
            return self.refuse(number, Outcome::Failed);
        }
        let last_tsn = inbound.tracker().cumulative().nearest(last_tsn);
        if last_tsn > inbound.tracker().cumulative() {
            self.deferred = Some(Deferred { number, last_tsn, streams });
            return self.respond(number, Outcome::InProgress);
        }
        self.deferred = None;
        self.perform(number, &streams, inbound, outbound);
    }

    /// The cumulative TSN has advanced: a request may have waited for that.
    pub(super) fn review_deferred(&mut self, inbound: &mut Inbound, outbound: &mut Outbound) {
        if let Some(deferred) = self.deferred.take_if(|deferred| deferred.last_tsn <= inbound.tracker().cumulative()) {
            self.perform(deferred.number, &deferred.streams, inbound, outbound);
        }
    }

    fn perform(&mut self, number: u32, streams: &[u16], inbound: &mut Inbound, outbound: &mut Outbound) {
        let is_early = |stream| self.streams.get(stream).is_some_and(|sides| sides.theirs != Theirs::Open);
        if streams.is_empty() && self.streams.keys().any(is_early) || streams.iter().any(is_early) {
            return self.respond(number, Outcome::InProgress);
        }
        // A request names up to thousands of streams, the same ones again and again if it pleases. None means all.
        let named: BTreeSet<u16> = if streams.is_empty() {
            inbound.known_streams().chain(outbound.known_streams()).chain(self.streams.keys().copied()).collect()
        } else {
            let is_known =
                |stream: &u16| inbound.knows(*stream) || outbound.knows(*stream) || self.streams.contains_key(stream);
            streams.iter().copied().filter(is_known).collect()
        };
        self.expected = self.expected.wrapping_add(1);
        self.last_outcome = Outcome::Performed;
        self.respond(number, Outcome::Performed);
        for stream in named {
            self.streams.entry(stream).or_insert(Sides { own: Own::Open, theirs: Theirs::Open }).theirs =
                Theirs::Unread;
            if inbound.reset(stream) {
                self.finish_theirs(stream, inbound, outbound);
            }
        }
    }

    fn handle_response(
        &mut self,
        number: u32,
        outcome: Outcome,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
    ) -> RequestTimer {
        let Some(request) = self.request.take_if(|request| request.number == number) else {
            return RequestTimer::Leave;
        };
        match outcome {
            // RFC 6525 §5.2.7 H2: it is sent again when the timer expires.
            Outcome::InProgress | Outcome::AlreadyInProgress => {
                self.request = Some(request);
                return RequestTimer::Restart;
            }
            Outcome::Performed => {
                for stream in request.streams {
                    if let Some(sides) = self.streams.get_mut(&stream) {
                        sides.own = Own::Reset;
                    }
                    outbound.restart(stream);
                    self.free_if_reset(stream, inbound, outbound);
                }
            }
            Outcome::Denied | Outcome::BadSequenceNumber | Outcome::Failed => {
                for stream in request.streams {
                    self.streams.remove(&stream);
                    self.events.push(SctpEvent::ResetFailed(stream));
                }
            }
        }
        RequestTimer::Stop
    }

    /// The timer of the request has expired.
    pub(super) fn handle_timeout(&mut self) {
        if let Some(request) = &mut self.request {
            request.is_due = true;
        }
    }

    /// Whether something is to be sent.
    pub(super) fn is_due(&self) -> bool {
        !self.responses.is_empty() || self.request.as_ref().map_or(!self.wanted.is_empty(), |request| request.is_due)
    }

    /// Writes what is due and fits. `true` if a request was written, whose timer starts.
    pub(super) fn write(&mut self, builder: &mut Builder<'_>, last_tsn: Tsn, outbound: &Outbound) -> bool {
        while let Some(&(number, outcome)) = self.responses.front() {
            if !reconfiguration::put_response(builder, number, outcome) {
                return false;
            }
            self.responses.pop_front();
        }
        if self.request.is_none() {
            self.make_request(builder, last_tsn, outbound);
        }
        let answered = self.expected.wrapping_sub(1);
        let Some(request) = self.request.as_mut().filter(|request| request.is_due) else { return false };
        let numbers = [request.number, answered, request.last_tsn];
        let written = reconfiguration::put_outgoing_reset(builder, numbers, &request.streams);
        request.is_due = !written;
        written
    }

    /// RFC 6525 §5.1.2: one request for all streams that may be reset and fit a packet.
    fn make_request(&mut self, builder: &Builder<'_>, last_tsn: Tsn, outbound: &Outbound) {
        let capacity = builder.capacity().saturating_sub(reconfiguration::RESET_OVERHEAD) / 2;
        let ready = self.wanted.iter().copied().filter(|&stream| !outbound.is_waiting(stream));
        let streams: Vec<u16> = ready.take(capacity).collect();
        if streams.is_empty() {
            return;
        }
        for stream in &streams {
            self.wanted.remove(stream);
            if let Some(sides) = self.streams.get_mut(stream) {
                sides.own = Own::Requested;
            }
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.request = Some(Request { number, last_tsn: last_tsn.wire(), streams, is_due: true });
    }
}
