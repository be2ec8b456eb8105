//! One data channel: what it says by itself, and the tests and floods that commands have asked for.

use std::collections::VecDeque;
use std::time::Duration;

use peer_core::{Message, Reliability};
use proto_machine::Timestamp;
use serde_json::Value;

use super::protocol::{
    EchoTestCommand, Event, FloodReport, FloodResult, Kind, Speed, Stats, hexadecimal, milliseconds, pattern, rounded,
};
use crate::behaviour::{ChannelBehaviour, FloodOutcome, FloodProgress, MAX_FLOOD_MESSAGE, MIN_FLOOD_MESSAGE, Request};

/// The most echo tests under way on a channel. The next one is refused.
pub const MAX_ECHO_TESTS: usize = 64;

/// A channel of the peer.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) label: String,
    pub(crate) behaviour: ChannelBehaviour,
    pub(crate) stage: ChannelStage,
    ordered: bool,
    reliability: Reliability,
    /// Counts the tests, so that no two of their messages are the same.
    tests_begun: u64,
    tests: VecDeque<EchoTest>,
    flood: Option<Flood>,
}

/// How far the life of a channel has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChannelStage {
    Connecting,
    Open,
    /// To be closed as soon as everything that waits has been sent.
    Draining,
    Closing,
}

/// What a flood is, beside what the behaviour knows of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Flood {
    pub(crate) id: Option<Value>,
    pub(crate) message_size: usize,
    /// How long to wait for the acknowledgement; `None`: not at all.
    pub(crate) acknowledgement: Option<Duration>,
    /// The one of `--mode flood`.
    pub(crate) is_main: bool,
    /// When the acknowledgement must have come, once everything is sent.
    pub(crate) deadline: Option<Timestamp>,
}

/// A flood that is over.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct EndedFlood {
    pub(crate) result: FloodResult,
    pub(crate) is_main: bool,
}

#[derive(Debug)]
struct EchoTest {
    id: Option<Value>,
    message: Message,
    began: Timestamp,
    deadline: Timestamp,
}

impl Channel {
    pub(crate) fn new(label: &str, ordered: bool, reliability: Reliability, echoes: bool) -> Self {
        Self {
            label: label.to_owned(),
            behaviour: ChannelBehaviour::unasked(echoes),
            stage: ChannelStage::Connecting,
            ordered,
            reliability,
            tests_begun: 0,
            tests: VecDeque::new(),
            flood: None,
        }
    }

    /// Takes in a message: the answer to a test, or something for the behaviour.
    pub(crate) fn handle_message(
        &mut self,
        now: Timestamp,
        message: Message,
        report: &mut impl FnMut(Event),
    ) -> Request {
        if let Some(place) = self.tests.iter().position(|test| test.message == message)
            && let Some(test) = self.tests.remove(place)
        {
            report(self.echo_result(&test, Ok(now)));
            return Request::Pump;
        }
        let resembles =
            |test: &EchoTest| test.message.kind == message.kind && test.message.payload.len() == message.payload.len();
        // Messages of a flood have any size.
        if !self.behaviour.is_receiving_flood()
            && let Some(place) = self.tests.iter().position(resembles)
            && let Some(test) = self.tests.remove(place)
        {
            report(self.echo_result(&test, Err("something else of the same size came back")));
            return Request::Pump;
        }
        let request = self.behaviour.handle_message(now, message);
        if let Some(flood) = self.behaviour.take_received_flood() {
            report(Event::Stats(Stats::FloodReceived {
                label: self.label.clone(),
                bytes: flood.count.bytes,
                messages: flood.count.messages,
                in_order: flood.in_order,
                crc32c: hexadecimal(flood.crc32c),
                speed: Speed::of(flood.count.bytes, flood.elapsed),
            }));
        }
        request
    }

    /// Sends a message after all that wait.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(crate) fn send(&mut self, message: Message) -> Result<(), &'static str> {
        // The receiver would count it.
        if self.flood.is_some() {
            return Err("a flood is under way on this channel");
        }
        match self.behaviour.send(message) {
            Request::Pump | Request::Close => Ok(()),
            Request::Overflow => Err("too much waits to be sent on this channel"),
        }
    }

    /// Sends a pattern that is to come back.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(crate) fn begin_echo_test(&mut self, now: Timestamp, command: &EchoTestCommand) -> Result<(), &'static str> {
        if self.tests.len() >= MAX_ECHO_TESTS {
            return Err("too many tests are under way on this channel");
        }
        let message = pattern(command.kind, command.size, self.tests_begun);
        self.send(message.clone())?;
        self.behaviour.stop_echoing();
        self.tests_begun += 1;
        let deadline = now.saturating_add(Duration::from_millis(command.timeout));
        self.tests.push_back(EchoTest { id: command.id.clone(), message, began: now, deadline });
        Ok(())
    }

    /// Begins to flood.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn begin_flood(&mut self, bytes: u64, flood: Flood) -> Result<(), String> {
        if self.flood.is_some() || !self.behaviour.flood(bytes, flood.message_size) {
            return Err(format!(
                "one flood at a time, with {MIN_FLOOD_MESSAGE} to {MAX_FLOOD_MESSAGE} bytes a message"
            ));
        }
        self.flood = Some(flood);
        Ok(())
    }

    /// The flood that has ended by now: acknowledged, or sent if it is not to be acknowledged, or given up.
    /// `is_delivered` tells whether everything that was sent has arrived.
    pub(crate) fn ended_flood(&mut self, now: Timestamp, is_delivered: impl FnOnce() -> bool) -> Option<EndedFlood> {
        let flood = self.flood.as_mut()?;
        let (ok, outcome) = match (self.behaviour.flood_progress(), flood.acknowledgement) {
            (FloodProgress::Sending, _) => return None,
            (FloodProgress::Idle, _) => report(self.behaviour.last_flood()?, self.ordered),
            (FloodProgress::AwaitAcknowledgement { bytes, began }, None) if is_delivered() => {
                (true, FloodReport::Sent { bytes, speed: Speed::of(bytes, now - began), error: None })
            }
            (FloodProgress::AwaitAcknowledgement { .. }, None) => return None,
            (FloodProgress::AwaitAcknowledgement { bytes, began }, Some(patience)) => {
                if now < *flood.deadline.get_or_insert(now.saturating_add(patience)) {
                    return None;
                }
                let error = Some("no acknowledgement came in time");
                (false, FloodReport::Sent { bytes, speed: Speed::of(bytes, now - began), error })
            }
        };
        self.end_flood(ok, outcome)
    }

    fn end_flood(&mut self, ok: bool, outcome: FloodReport) -> Option<EndedFlood> {
        let flood = self.flood.take()?;
        self.behaviour.give_up_flood(self.reliability);
        let (id, label, msg_size) = (flood.id, self.label.clone(), flood.message_size);
        Some(EndedFlood { result: FloodResult { id, label, ok, msg_size, outcome }, is_main: flood.is_main })
    }

    /// Ends the tests whose time is over.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, report: &mut impl FnMut(Event)) {
        let (over, under_way) = std::mem::take(&mut self.tests).into_iter().partition(|test| test.deadline <= now);
        self.tests = under_way;
        let over: VecDeque<EchoTest> = over;
        for test in over {
            report(self.echo_result(&test, Err("nothing came back in time")));
        }
    }

    /// Ends everything that is under way, since the channel is about to be closed or is closed.
    pub(crate) fn give_up(&mut self, report: &mut impl FnMut(Event)) -> Option<EndedFlood> {
        for test in std::mem::take(&mut self.tests) {
            report(self.echo_result(&test, Err("the channel was closed")));
        }
        self.end_flood(false, FloodReport::Failed { error: "the channel was closed".to_owned() })
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`ended_flood`](Self::ended_flood) has something to do, if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let flood = self.flood.as_ref().and_then(|flood| flood.deadline);
        self.tests.iter().map(|test| test.deadline).chain(flood).min()
    }

    fn echo_result(&self, test: &EchoTest, came_back: Result<Timestamp, &str>) -> Event {
        Event::EchoResult {
            id: test.id.clone(),
            label: self.label.clone(),
            kind: Kind::from(test.message.kind),
            size: test.message.payload.len(),
            ok: came_back.is_ok(),
            ms: came_back.ok().map(|now| rounded(milliseconds(now) - milliseconds(test.began))),
            error: came_back.err().map(str::to_owned),
        }
    }
}

/// A flood that was acknowledged. Order is only promised by channels that keep it.
fn report(outcome: FloodOutcome, ordered: bool) -> (bool, FloodReport) {
    let FloodOutcome { sent, received, in_order, crc32c, elapsed } = outcome;
    let ok = received == sent && (in_order || !ordered);
    let (speed, crc32c) = (Speed::of(sent, elapsed), hexadecimal(crc32c));
    (ok, FloodReport::Acknowledged { bytes: sent, received, in_order, crc32c, speed })
}

#[cfg(test)]
mod tests;
