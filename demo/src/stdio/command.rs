//! What the script's commands do.

use std::time::Duration;

use peer_core::Peer;
use proto_machine::Timestamp;

use super::channel::Flood;
use super::peer::{Leave, Session, Verdict};
use super::protocol::{
    Command, EchoTestCommand, Event, FloodCommand, FloodReport, FloodResult, SendCommand, too_large,
};
use super::report::statistics;
use crate::report::ice_report;

impl Session {
    pub(super) fn handle_command(&mut self, now: Timestamp, peer: &mut Peer, command: Command) {
        match command {
            Command::Start if self.is_held() => self.begin(now, peer),
            Command::Start => self.error("start", "it has started already: --hold makes it wait"),
            Command::Create(init) => {
                if let Err(message) = self.channels.create(now, peer, &init) {
                    self.error("create", message);
                }
            }
            Command::Send(command) => {
                if let Err(message) = self.send(now, peer, &command) {
                    self.error("send", message);
                }
            }
            Command::EchoTest(command) => self.echo_test(now, peer, command),
            Command::Flood(command) => self.flood(now, peer, command),
            Command::Stats { id } => self.output.event(&Event::Stats(statistics(peer, id))),
            Command::RestartIce => self.error("restart-ice", "not yet: an ICE restart is not supported"),
            Command::IceReport => self.output.event(&Event::IceReport(ice_report(peer, &self.servers))),
            Command::CloseChannel { label } => {
                let closed = self.channels.close(now, peer, &label, &mut |event| self.output.event(&event));
                match closed {
                    Ok(ended) => self.handle_ended_floods(now, peer, ended),
                    Err(message) => self.error("close-channel", message),
                }
            }
            Command::Close => self.leave(Leave::Closing(self.verdict(Verdict::CLOSED))),
            Command::Exit => self.leave(Leave::Going(self.verdict(Verdict { ok: true, reason: "exit" }))),
        }
    }

    /// Begins to flood a channel.
    pub(super) fn begin_flood(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        label: &str,
        bytes: u64,
        flood: Flood,
    ) -> Result<(), String> {
        let max_size = max_message_size(peer);
        if flood.message_size > max_size {
            return Err(too_large(flood.message_size, max_size));
        }
        let (key, channel) = self.channels.find(label)?;
        channel.begin_flood(bytes, flood)?;
        self.channels.pump(now, peer, key, &mut |event| self.output.event(&event));
        Ok(())
    }

    fn send(&mut self, now: Timestamp, peer: &mut Peer, command: &SendCommand) -> Result<(), String> {
        let max_size = max_message_size(peer);
        let (key, channel) = self.channels.find(&command.label)?;
        let message = command.message(max_size)?;
        if message.payload.len() > max_size {
            return Err(too_large(message.payload.len(), max_size));
        }
        channel.send(message)?;
        if command.no_echo {
            channel.behaviour.stop_echoing();
        }
        self.channels.pump(now, peer, key, &mut |event| self.output.event(&event));
        Ok(())
    }

    fn echo_test(&mut self, now: Timestamp, peer: &mut Peer, command: EchoTestCommand) {
        if let Err(error) = self.begin_echo_test(now, peer, &command) {
            let EchoTestCommand { id, label, kind, size, .. } = command;
            let error = Some(error);
            self.output.event(&Event::EchoResult { id, label, kind, size, ok: false, ms: None, error });
        }
    }

    fn begin_echo_test(&mut self, now: Timestamp, peer: &mut Peer, command: &EchoTestCommand) -> Result<(), String> {
        let max_size = max_message_size(peer);
        if command.size > max_size {
            return Err(too_large(command.size, max_size));
        }
        let (key, channel) = self.channels.find(&command.label)?;
        channel.begin_echo_test(now, command)?;
        self.channels.pump(now, peer, key, &mut |event| self.output.event(&event));
        Ok(())
    }

    fn flood(&mut self, now: Timestamp, peer: &mut Peer, command: FloodCommand) {
        let FloodCommand { id, label, bytes, msg_size, ack_timeout } = command;
        let patience = Duration::from_millis(ack_timeout.unwrap_or(self.options.ack_timeout));
        let acknowledgement = (!self.options.no_ack).then_some(patience);
        let flood = Flood { id: id.clone(), message_size: msg_size, acknowledgement, is_main: false, deadline: None };
        if let Err(error) = self.begin_flood(now, peer, &label, bytes, flood) {
            let outcome = FloodReport::Failed { error };
            self.output.event(&Event::FloodResult(FloodResult { id, label, ok: false, msg_size, outcome }));
        }
    }
}

/// What the other side accepts, in bytes. Before that is known no channel is open.
fn max_message_size(peer: &Peer) -> usize {
    peer.max_message_size().unwrap_or(0)
}
