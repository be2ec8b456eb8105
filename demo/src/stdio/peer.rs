//! One side of one peer connection: what it says, and what becomes of it.

use std::time::Duration;

use peer_core::{
    ChannelFailure, ChannelKey, DtlsTransportState, IceCandidate, IceConnectionState, IceGatheringState, Message, Peer,
    PeerConnectionState, PeerEvent, SctpTransportState,
};
use proto_dtls_sctp::SctpFailureReason;
use proto_machine::Timestamp;

use super::channel::{EndedFlood, Flood};
use super::channels::{Channels, message_event};
use super::input::{Input, MAX_LINE_BYTES};
use super::options::{CloseAfterFlood, Mode, Role, StdioOptions, Trickle};
use super::output::Output;
use super::protocol::{BadLine, Event, FloodReport, FloodResult, Request, milliseconds};
use crate::exchange::{self, Exchange, Outcome, Problem};
use crate::report::{Servers, ice_report};
use crate::signal::Signal;

/// The script's peer.
pub(crate) struct Session {
    pub(super) options: StdioOptions,
    pub(super) output: Output,
    pub(super) channels: Channels,
    pub(super) servers: Servers,
    pub(super) start: Start,
    exchange: Exchange,
    /// A description waits until it holds all candidates: `--trickle no`.
    description_due: bool,
    reported: Option<(PeerConnectionState, IceConnectionState)>,
    main_flood: MainFlood,
    end: End,
    /// Counts what the peer has told.
    events: u64,
}

/// Whether the first channels and the offer are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    Held,
    Made,
}

/// The flood of `--mode flood`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MainFlood {
    NotAsked,
    AwaitChannel,
    UnderWay,
    Over { ok: bool },
}

/// How far the connection is from its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It has not been connected.
    AwaitConnection,
    /// It has been.
    Connected,
    /// It is over, by the other side or by failure. What the peer still has to tell is told first.
    Over { verdict: Verdict, at_event: u64 },
    /// It is over, and the process is to stay.
    OverAndStaying { verdict: Verdict },
    /// The process ends.
    Leaving(Leave),
}

/// What the process has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    pub(crate) reason: &'static str,
}

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leave {
    /// It closes the connection, and says what it has come to.
    Closing(Verdict),
    /// It says what it has come to, and goes.
    Going(Verdict),
    /// It just goes.
    Abruptly,
}

impl Verdict {
    pub(super) const CLOSED: Self = Self { ok: true, reason: "closed" };
    const fn failed(reason: &'static str) -> Self {
        Self { ok: false, reason }
    }
}

impl Session {
    pub(crate) fn new(options: &StdioOptions, output: Output) -> Self {
        Self {
            channels: Channels::new(options.mode, options.high_water),
            servers: Servers::default(),
            start: if options.hold { Start::Held } else { Start::Made },
            exchange: Exchange::default(),
            description_due: false,
            reported: None,
            main_flood: if options.mode == Mode::Flood { MainFlood::AwaitChannel } else { MainFlood::NotAsked },
            end: End::AwaitConnection,
            events: 0,
            options: options.clone(),
            output,
        }
    }

    /// Creates the first channels, and an offerer's offer.
    pub(crate) fn begin(&mut self, now: Timestamp, peer: &mut Peer) {
        self.start = Start::Made;
        for init in self.options.first_channels() {
            if let Err(message) = self.channels.create(now, peer, &init) {
                self.error("create", message);
            }
        }
        if self.options.role == Role::Offerer {
            self.describe(now, peer, "offer");
        }
    }

    /// Whether [`begin`](Self::begin) waits for a command.
    pub(crate) fn is_held(&self) -> bool {
        self.start == Start::Held
    }

    /// What has come from stdin.
    pub(crate) fn handle_input(&mut self, now: Timestamp, peer: &mut Peer, input: Input) {
        match input {
            Input::Line(line) => match Request::parse(&line) {
                Ok(Request::Signal(signal)) => self.handle_signal(now, peer, signal),
                Ok(Request::Command(command)) => self.handle_command(now, peer, command),
                Err(BadLine { place, message }) => self.error(place, message),
            },
            Input::TooLong => self.error("stdin", format!("passed over a line of more than {MAX_LINE_BYTES} bytes")),
            Input::End => {
                let verdict = match self.end {
                    End::AwaitConnection => Verdict::failed("stdin ended before there was a connection"),
                    _ => self.verdict(Verdict { ok: true, reason: "stdin ended" }),
                };
                self.leave(Leave::Closing(verdict));
            }
        }
    }

    /// What the peer tells.
    pub(crate) fn handle_event(&mut self, now: Timestamp, peer: &mut Peer, event: PeerEvent) {
        self.events += 1;
        match event {
            PeerEvent::IceConnectionStateChange(_) => self.report_state(now, peer),
            PeerEvent::ConnectionStateChange(state) => self.handle_connection_state(now, peer, state),
            PeerEvent::IceCandidate(Some(candidate)) => self.handle_candidate(&candidate),
            PeerEvent::IceGatheringStateChange(IceGatheringState::Complete) if self.description_due => {
                self.tell_description(peer);
            }
            PeerEvent::IceCandidateError(error) => self.servers.note_error(&error),
            PeerEvent::DataChannel { channel } => match self.channels.accept(now, peer, channel) {
                Ok(()) => self.handle_open(now, peer, channel, true),
                Err(message) => self.error("channel", message),
            },
            PeerEvent::ChannelOpen { channel } => self.handle_open(now, peer, channel, false),
            PeerEvent::Message { channel, message } => self.handle_message(now, peer, channel, message),
            PeerEvent::BufferedAmountLow { channel } | PeerEvent::Writable { channel } => {
                self.channels.pump(now, peer, channel, &mut |event| self.output.event(&event));
            }
            PeerEvent::ChannelError { channel, error } => {
                let label = self.channels.label(channel).unwrap_or_default().to_owned();
                self.output.event(&Event::ChannelError { label, message: error.to_string() });
                if is_fault(&error) {
                    self.over(Verdict::failed("the association has failed"));
                }
            }
            PeerEvent::ChannelClosed { channel } => {
                let ended = self.channels.closed(now, channel, &mut |event| self.output.event(&event));
                self.handle_ended_floods(now, peer, ended);
            }
            // Either may be lost with its datagram: the other is enough.
            PeerEvent::SctpStateChange(SctpTransportState::Closed)
            | PeerEvent::DtlsStateChange(DtlsTransportState::Closed) => self.over(Verdict::CLOSED),
            PeerEvent::TransportFailed(error) => {
                self.error("transport", error.to_string());
                self.over(Verdict::failed("the transport has failed"));
            }
            PeerEvent::TransportRefused(error) => {
                self.error("transport", error.to_string());
                self.over(Verdict::failed("the transport was refused"));
            }
            _ => {}
        }
    }

    /// Ends what has come to its end by now: tests, floods, the process.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, peer: &mut Peer) {
        let ended = self.channels.handle_timeout(now, peer, &mut |event| self.output.event(&event));
        self.handle_ended_floods(now, peer, ended.into_iter().map(|(_, flood)| flood));
        if now >= self.time_limit() {
            self.leave(Leave::Closing(self.verdict(Verdict::failed("timeout"))));
        }
        match self.end {
            End::Over { verdict, at_event } if at_event == self.events => {
                if self.options.stay {
                    self.end = End::OverAndStaying { verdict };
                } else {
                    self.leave(Leave::Closing(self.verdict(verdict)));
                }
            }
            End::Over { verdict, .. } => self.end = End::Over { verdict, at_event: self.events },
            _ => {}
        }
    }

    /// How long nothing has to be done, unless something happens.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        if matches!(self.end, End::Over { .. } | End::Leaving(_)) {
            return Duration::ZERO;
        }
        self.channels.deadline().map_or(self.time_limit(), |deadline| deadline.min(self.time_limit())) - now
    }

    /// How the process is to end, if it is.
    pub(crate) fn leaving(&self) -> Option<Leave> {
        match self.end {
            End::Leaving(leave) => Some(leave),
            _ => None,
        }
    }

    /// Closes the connection, with all that is under way.
    pub(crate) fn close(&mut self, now: Timestamp, peer: &mut Peer) {
        let ended = self.channels.close_all(now, &mut |event| self.output.event(&event));
        for flood in ended {
            self.output.event(&Event::FloodResult(flood.result));
        }
        peer.close(now);
        self.report_state(now, peer);
    }

    /// The last event.
    pub(crate) fn done(&mut self, now: Timestamp, Verdict { ok, reason }: Verdict) {
        self.output.event(&Event::Done { ok, reason, ms: milliseconds(now) });
    }

    /// Makes the process end. What was decided first stands.
    pub(super) fn leave(&mut self, leave: Leave) {
        if self.leaving().is_none() {
            self.end = End::Leaving(leave);
        }
    }

    /// What is to be said at an end that is `otherwise` due: earlier failures count.
    pub(super) fn verdict(&self, otherwise: Verdict) -> Verdict {
        match (self.end, self.main_flood) {
            (End::Over { verdict, .. } | End::OverAndStaying { verdict }, _) if !verdict.ok => verdict,
            (_, MainFlood::NotAsked | MainFlood::Over { ok: true }) => otherwise,
            _ if !otherwise.ok => otherwise,
            (_, MainFlood::AwaitChannel | MainFlood::UnderWay) => Verdict::failed("the flood has not come to its end"),
            (_, MainFlood::Over { ok: false }) => Verdict::failed("the flood has failed"),
        }
    }

    pub(super) fn error(&mut self, place: &'static str, message: impl Into<String>) {
        self.output.event(&Event::Error { place, message: message.into() });
    }

    /// Reports floods that are over. The one of `--mode flood` decides what follows.
    pub(super) fn handle_ended_floods(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        ended: impl IntoIterator<Item = EndedFlood>,
    ) {
        for EndedFlood { result, is_main } in ended {
            let (ok, label) = (result.ok, result.label.clone());
            self.output.event(&Event::FloodResult(result));
            if is_main {
                self.main_flood = MainFlood::Over { ok };
                self.follow_main_flood(now, peer, &label);
            }
        }
    }

    fn follow_main_flood(&mut self, now: Timestamp, peer: &mut Peer, label: &str) {
        match self.options.close {
            CloseAfterFlood::None => {}
            CloseAfterFlood::Channel => {
                let report = &mut |event| self.output.event(&event);
                // It may be the closing of the channel that has ended the flood.
                let _closed_already = self.channels.close(now, peer, label, report);
            }
            CloseAfterFlood::Pc if self.options.stay => {
                let verdict = self.verdict(Verdict::CLOSED);
                self.close(now, peer);
                self.end = End::OverAndStaying { verdict };
            }
            CloseAfterFlood::Pc => self.leave(Leave::Closing(self.verdict(Verdict::CLOSED))),
            CloseAfterFlood::Abrupt => self.leave(Leave::Abruptly),
        }
    }

    fn handle_open(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey, by_remote: bool) {
        let Some(event) = self.channels.open(now, peer, key, by_remote) else { return };
        self.output.event(&event);
        if self.main_flood != MainFlood::AwaitChannel {
            return;
        }
        let Event::Open { label, .. } = event else { return };
        let acknowledgement = (!self.options.no_ack).then(|| Duration::from_millis(self.options.ack_timeout));
        let message_size = self.options.msg_size;
        let flood = Flood { id: None, message_size, acknowledgement, is_main: true, deadline: None };
        self.main_flood = MainFlood::UnderWay;
        if let Err(error) = self.begin_flood(now, peer, &label, self.options.bytes, flood) {
            let outcome = FloodReport::Failed { error };
            let result = FloodResult { id: None, label, ok: false, msg_size: message_size, outcome };
            self.handle_ended_floods(now, peer, [EndedFlood { result, is_main: true }]);
        }
    }

    fn handle_message(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey, message: Message) {
        if self.options.verbose
            && let Some(label) = self.channels.label(key)
        {
            self.output.event(&message_event(label, message.kind, message.payload.len()));
        }
        self.channels.handle_message(now, peer, key, message, &mut |event| self.output.event(&event));
    }

    fn handle_connection_state(&mut self, now: Timestamp, peer: &mut Peer, state: PeerConnectionState) {
        self.report_state(now, peer);
        match state {
            PeerConnectionState::Connected if self.end == End::AwaitConnection => self.end = End::Connected,
            PeerConnectionState::Failed => {
                let statistics = peer.statistics();
                // The end of DTLS is the end of consent (RFC 7675 §5.2): that is how the other side's farewell shows in ICE.
                let is_farewell = statistics.transport.dtls_state == DtlsTransportState::Closed
                    || statistics.sctp.state == SctpTransportState::Closed;
                if is_farewell {
                    self.over(Verdict::CLOSED);
                } else if peer.ice_connection_state() == IceConnectionState::Failed {
                    self.output.event(&Event::IceReport(ice_report(peer, &self.servers)));
                    self.over(Verdict::failed("ICE has failed"));
                }
            }
            _ => {}
        }
    }

    /// Reports the states if they have changed.
    fn report_state(&mut self, now: Timestamp, peer: &Peer) {
        let states = (peer.connection_state(), peer.ice_connection_state());
        if self.reported.replace(states) != Some(states) {
            let (connection, ice) = (states.0.name(), states.1.name());
            self.output.event(&Event::State { connection, ice, ms: milliseconds(now) });
        }
    }

    /// The connection is over. The first reason stands, but that a failure explains what looked like a farewell.
    fn over(&mut self, verdict: Verdict) {
        let is_first = match self.end {
            End::AwaitConnection | End::Connected => true,
            End::Over { verdict: earlier, .. } => earlier.ok && !verdict.ok,
            End::OverAndStaying { .. } | End::Leaving(_) => false,
        };
        if is_first {
            self.end = End::Over { verdict, at_event: self.events };
        }
    }

    fn handle_signal(&mut self, now: Timestamp, peer: &mut Peer, signal: Signal) {
        let Outcome { answer_due, problems } = self.exchange.handle_signal(now, peer, signal);
        for Problem { place, message } in problems {
            self.error(place, message);
        }
        if answer_due {
            self.describe(now, peer, "answer");
        }
    }

    /// Makes the description that is due, and tells it as soon as it holds what it is to hold.
    fn describe(&mut self, now: Timestamp, peer: &mut Peer, place: &'static str) {
        let gathers = peer.ice_gathering_state() != IceGatheringState::Complete;
        match exchange::describe(now, peer) {
            Err(error) => self.error(place, error.to_string()),
            Ok(_) if self.options.trickle == Trickle::No && gathers => self.description_due = true,
            Ok(_) => self.tell_description(peer),
        }
    }

    fn tell_description(&mut self, peer: &Peer) {
        self.description_due = false;
        if let Some(description) = exchange::local_description(peer) {
            self.output.event(&Event::Signal(description));
        }
        if self.options.trickle == Trickle::No {
            self.output.event(&Event::Signal(Signal::EndOfCandidates));
        }
    }

    fn handle_candidate(&mut self, candidate: &IceCandidate) {
        if let Some(url) = &candidate.url {
            self.servers.note_candidate(url, &candidate.candidate);
        }
        if self.options.trickle == Trickle::Yes {
            let signal = if candidate.is_end_of_candidates() {
                Signal::EndOfCandidates
            } else {
                Signal::Candidate(candidate.to_init().into())
            };
            self.output.event(&Event::Signal(signal));
        }
    }

    fn time_limit(&self) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_secs(self.options.timeout))
    }
}

/// RFC 9260 §3.3.10.12
const USER_INITIATED_ABORT: u16 = 12;

/// Whether a channel was lost by a fault, not by the farewell of the other side.
fn is_fault(failure: &ChannelFailure) -> bool {
    let ChannelFailure::Sctp(failure) = failure else { return false };
    match failure.reason {
        SctpFailureReason::AbortedByPeer => failure.cause_code.is_some_and(|code| code != USER_INITIATED_ABORT),
        SctpFailureReason::ShutDownByPeer | SctpFailureReason::TransportClosed => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
