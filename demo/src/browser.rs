//! One browser and its peer: signalling in and out, states as they change, and what the peer's channels do.

use std::collections::BTreeMap;
use std::fmt::Display;

use peer_core::{ChannelKey, DataChannelOptions, IceConnectionState, Peer, PeerConnectionState, PeerEvent};
use proto_machine::Timestamp;
use tokio::sync::mpsc;

use crate::behaviour::{ChannelBehaviour, MAX_WAITING_BYTES, Request};
use crate::exchange::{Exchange, Outcome, Problem, describe};
use crate::pump::{self, close};
use crate::report::{Servers, ice_report, sctp, selected_pair, transport};
use crate::signal::{FromBrowser, PeerReport, Signal, ToBrowser};

/// The most channels of a browser at a time. The next one is closed as soon as it is open.
pub const MAX_CHANNELS: usize = 64;
/// Bytes buffered in a channel before the peer stops to send on it.
const HIGH_WATER: usize = 1 << 18;
/// Bytes buffered in a channel at which it goes on.
const LOW_WATER: usize = 1 << 16;

/// What is known of a browser beside its peer.
pub(crate) struct Browser {
    reports: mpsc::Sender<ToBrowser>,
    gone: bool,
    exchange: Exchange,
    servers: Servers,
    channels: BTreeMap<ChannelKey, Channel>,
}

struct Channel {
    label: String,
    behaviour: ChannelBehaviour,
}

impl Browser {
    /// A browser that has just arrived; it is told its number.
    pub(crate) fn new(number: u64, reports: mpsc::Sender<ToBrowser>) -> Self {
        let exchange = Exchange::default();
        let servers = Servers::default();
        let mut browser = Self { reports, gone: false, exchange, servers, channels: BTreeMap::new() };
        browser.report(ToBrowser::Hello { peer: number });
        browser
    }

    /// Whether it has gone away, or does not read what it is told.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Opens the channel "chat" from this side, and makes the offer.
    pub(crate) fn offer(&mut self, now: Timestamp, peer: &mut Peer) {
        match peer.create_data_channel(now, DataChannelOptions::new("chat")) {
            Ok(_) => self.describe(now, peer, "offer"),
            Err(error) => self.complain("offer", &error),
        }
    }

    /// What the browser says.
    pub(crate) fn handle_message(&mut self, now: Timestamp, peer: &mut Peer, message: FromBrowser) {
        match message {
            FromBrowser::Report => self.report_path(peer),
            FromBrowser::Signal(signal) => self.handle_signal(now, peer, signal),
        }
    }

    fn handle_signal(&mut self, now: Timestamp, peer: &mut Peer, signal: Signal) {
        let Outcome { answer_due, problems } = self.exchange.handle_signal(now, peer, signal);
        for Problem { place, message } in problems {
            self.complain(place, &message);
        }
        if answer_due {
            self.describe(now, peer, "answer");
        }
    }

    /// What its peer says.
    pub(crate) fn handle_event(&mut self, now: Timestamp, peer: &mut Peer, event: PeerEvent) {
        match event {
            PeerEvent::SignalingStateChange(state) => self.state("signaling", state.name()),
            PeerEvent::IceGatheringStateChange(state) => self.state("ice-gathering", state.name()),
            PeerEvent::IceConnectionStateChange(state) => {
                self.state("ice-connection", state.name());
                if state == IceConnectionState::Failed {
                    self.report_path(peer);
                }
            }
            PeerEvent::ConnectionStateChange(state) => {
                self.state("connection", state.name());
                if state == PeerConnectionState::Failed {
                    self.report_path(peer);
                }
            }
            PeerEvent::IceCandidateError(error) => self.servers.note_error(&error),
            PeerEvent::IceCandidate(Some(candidate)) if candidate.is_end_of_candidates() => {
                self.report(ToBrowser::Signal(Signal::EndOfCandidates));
            }
            PeerEvent::IceCandidate(Some(candidate)) => {
                self.report(ToBrowser::Signal(Signal::Candidate(candidate.to_init().into())));
            }
            PeerEvent::DataChannel { channel } | PeerEvent::ChannelOpen { channel } => {
                self.channel_open(now, peer, channel);
            }
            PeerEvent::Message { channel, message } => {
                let Some(Channel { behaviour, .. }) = self.channels.get_mut(&channel) else { return };
                let request = behaviour.handle_message(now, message);
                // One bound for all channels of a browser, or many channels would be a way around it.
                let waiting: usize = self.channels.values().map(|channel| channel.behaviour.waiting_bytes()).sum();
                let request = if waiting > MAX_WAITING_BYTES { Request::Overflow } else { request };
                self.carry_out(now, peer, channel, request);
            }
            PeerEvent::BufferedAmountLow { channel } | PeerEvent::Writable { channel } => self.pump(now, peer, channel),
            PeerEvent::ChannelError { error, .. } => self.complain("channel", &error),
            PeerEvent::ChannelClosed { channel } => {
                if let Some(Channel { label, .. }) = self.channels.remove(&channel) {
                    self.report(ToBrowser::Channel { label, state: "closed" });
                }
            }
            PeerEvent::TransportFailed(error) => self.complain("transport", &error),
            PeerEvent::TransportRefused(error) => self.complain("transport", &error),
            _ => {}
        }
    }

    /// Makes the description that is due, and sends it.
    fn describe(&mut self, now: Timestamp, peer: &mut Peer, place: &'static str) {
        match describe(now, peer) {
            Ok(Some(description)) => self.report(ToBrowser::Signal(description)),
            Ok(None) => {}
            Err(error) => self.complain(place, &error),
        }
    }

    fn channel_open(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey) {
        if self.channels.len() >= MAX_CHANNELS {
            close(now, peer, key);
            return self.complain("channel", &format!("closed: {MAX_CHANNELS} channels are open already"));
        }
        let Some(mut channel) = peer.channel(key) else { return };
        let Some(label) = channel.view().map(|view| view.label.to_owned()) else { return };
        let _closed_meanwhile = channel.set_buffered_amount_low_threshold(LOW_WATER);
        let behaviour = ChannelBehaviour::new(&label);
        self.channels.insert(key, Channel { label: label.clone(), behaviour });
        self.report(ToBrowser::Channel { label, state: "open" });
    }

    fn carry_out(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey, request: Request) {
        match request {
            Request::Pump => self.pump(now, peer, key),
            Request::Close => close(now, peer, key),
            Request::Overflow => {
                close(now, peer, key);
                self.complain(
                    "channel",
                    &format!(
                        "closed: more than {MAX_WAITING_BYTES} bytes of echoes, or too many of them, wait to be read"
                    ),
                );
            }
        }
    }

    /// Sends what the behaviour of a channel has to say, as far as there is room.
    fn pump(&mut self, now: Timestamp, peer: &mut Peer, key: ChannelKey) {
        let Some(Channel { behaviour, .. }) = self.channels.get_mut(&key) else { return };
        if let Some(error) = pump::pump(now, peer, key, behaviour, HIGH_WATER) {
            self.complain("channel", &error);
        }
    }

    fn report_path(&mut self, peer: &Peer) {
        let statistics = peer.statistics();
        self.report(ToBrowser::Report(Box::new(PeerReport {
            pair: selected_pair(&statistics),
            transport: transport(&statistics.transport),
            sctp: sctp(&statistics.sctp),
            max_message_size: statistics.sctp.max_message_size,
            ice: ice_report(peer, &self.servers),
        })));
    }

    fn state(&mut self, name: &'static str, value: &'static str) {
        self.report(ToBrowser::State { name, value });
    }

    fn complain(&mut self, place: &'static str, error: &dyn Display) {
        self.report(ToBrowser::Error { place, message: error.to_string() });
    }

    fn report(&mut self, report: ToBrowser) {
        self.gone |= self.reports.try_send(report).is_err();
    }
}

#[cfg(test)]
pub(crate) mod tests;
