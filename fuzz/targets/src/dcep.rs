//! An authenticated peer that breaks the rules of data channels and of SCTP.

use std::collections::BTreeSet;
use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, DtlsTransportState, Message, SctpTransportState, SecureEvent};
use proto_machine::Machine;

use crate::hostile_association::{DATA, HostileAssociation, STREAMS, init};
use crate::input::Input;

/// The most operations in one input.
const MAX_OPERATIONS: usize = 150;
/// The largest message that the transport takes here.
const MAX_MESSAGE: usize = 64 * 1024;
/// Events that may wait before the application takes them: 64 KiB of them, 64 bytes each at the least (`SecureTransport`), and a few for each channel.
const MAX_EVENTS: usize = 1_024 + 8 * STREAMS as usize;

/// Payload protocol identifiers (RFC 8831 §8): DCEP, strings, bytes, empty ones, the deprecated ones, and two that mean nothing.
const IDENTIFIERS: [u32; 9] = [50, 51, 53, 56, 57, 54, 52, 0, u32::MAX];

/// Results of a request to reset streams (RFC 6525 §4.4), "Success - Performed" first, and one that means nothing.
const RESULTS: [u32; 8] = [1, 0, 2, 3, 4, 5, 6, u32::MAX];

/// A transport whose peer has set up DTLS and an association properly, and then sends what the input says: messages of the establishment protocol, data, any chunks, packets
/// that are none, and datagrams without keys.
///
/// Keys come from the operating system: of two runs, the bytes under DTLS are the same, the records are not.
///
/// - There are never more channels than streams, nor larger messages than permitted.
/// - A channel appears once, and reports nothing after it was closed.
/// - The transport comes to rest after every packet, and what waits for an application that does not read is bounded.
/// - After the association is lost, nothing more is delivered, and no channel is left; DTLS outlives it.
pub fn dcep(data: &[u8]) {
    let mut bench = Bench::new(data);
    bench.run();
    bench.association.polls = true;
    bench.association.pass_time(Duration::from_secs(60));
    bench.check();
    let transport = &bench.association.transport;
    assert_eq!(transport.dtls_state(), DtlsTransportState::Connected, "what is inside DTLS has ended it");
}

struct Bench<'a> {
    input: Input<'a>,
    association: HostileAssociation,
    /// Channels that were reported.
    known: BTreeSet<ChannelKey>,
    closed: BTreeSet<ChannelKey>,
    /// The application was told that the association is lost.
    is_lost: bool,
}

impl<'a> Bench<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            input: Input::new(data),
            association: HostileAssociation::new(),
            known: BTreeSet::new(),
            closed: BTreeSet::new(),
            is_lost: false,
        }
    }

    fn run(&mut self) {
        for _ in 0..MAX_OPERATIONS {
            if self.input.is_empty() {
                return;
            }
            self.operate();
            self.check();
        }
    }

    fn operate(&mut self) {
        match self.input.byte() % 12 {
            0 | 1 => self.open(),
            2 | 3 => self.data(),
            4 => self.any_chunks(),
            5 => self.any_packet(),
            6 => {
                let bytes = self.input.long_bytes().to_vec();
                self.association.send_packet(&bytes);
            }
            7 => {
                let mut datagram = self.input.long_bytes().to_vec();
                self.association.inject(&mut datagram);
            }
            8 => {
                let duration = Duration::from_millis(self.input.u16().into());
                self.association.pass_time(duration);
            }
            9 => self.act(),
            10 => self.reset_streams(),
            _ => {
                let flags = self.input.byte();
                self.association.reset_result = RESULTS[usize::from(flags >> 2) % RESULTS.len()];
                self.association.acknowledges = flags & 1 == 0;
                self.association.polls = flags & 2 == 0;
                self.association.exchange();
            }
        }
    }

    /// A DATA_CHANNEL_OPEN (RFC 8832 §5.1), more or less.
    fn open(&mut self) {
        let stream = u16::from(self.input.byte() % 80);
        let (kind, flaw) = (self.input.byte(), self.input.byte());
        let mut message = vec![if flaw & 1 == 0 { 3 } else { self.input.byte() }, kind];
        message.extend_from_slice(&self.input.u16().to_be_bytes());
        message.extend_from_slice(&self.input.u32().to_be_bytes());
        let (label, protocol) = (self.input.bytes(), self.input.bytes());
        for (text, bit) in [(label, 2), (protocol, 4)] {
            let length = if flaw & bit == 0 { u16::try_from(text.len()).unwrap() } else { self.input.u16() };
            message.extend_from_slice(&length.to_be_bytes());
        }
        message.extend_from_slice(label);
        message.extend_from_slice(protocol);
        if flaw & 8 != 0 {
            message.truncate(self.input.byte().into());
        }
        self.send_data(stream, 50, &message);
    }

    fn data(&mut self) {
        let stream = u16::from(self.input.byte() % 80);
        let identifier = self.input.choose(&IDENTIFIERS);
        let filling = [self.input.byte()];
        let size = if self.input.bool() { usize::from(self.input.u16()) % 1_100 } else { 1 };
        let payload = if size == 1 { self.input.bytes().to_vec() } else { filling.repeat(size) };
        self.send_data(stream, identifier, &payload);
    }

    /// A DATA chunk. Its flags, its TSN and its place in the stream may be wrong.
    fn send_data(&mut self, stream: u16, identifier: u32, payload: &[u8]) {
        let oddity = self.input.byte();
        // Beginning and end (RFC 9260 §3.3.1), so that the message is whole, but for the odd ones.
        let flags = if oddity & 1 == 0 { 3 } else { self.input.byte() % 16 };
        let tsn = match oddity >> 1 & 3 {
            0 | 1 => self.association.next_tsn,
            2 => self.association.next_tsn.wrapping_add(u32::from(self.input.byte())),
            _ => self.association.next_tsn.wrapping_sub(u32::from(self.input.byte())),
        };
        let sequence = if oddity & 8 == 0 { 0 } else { self.input.u16() };
        if tsn == self.association.next_tsn {
            self.association.next_tsn = tsn.wrapping_add(1);
        }
        // Unordered unless it is odd, so that the sequence number need not be kept.
        let flags = if oddity & 16 == 0 { flags | 4 } else { flags };
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&stream.to_be_bytes());
        value.extend_from_slice(&sequence.to_be_bytes());
        value.extend_from_slice(&identifier.to_be_bytes());
        value.extend_from_slice(payload);
        self.association.send(&[(DATA, flags, &value)]);
    }

    fn any_chunks(&mut self) {
        // RFC 9260, RFC 3758, RFC 6525, RFC 4820, RFC 8260, RFC 4895, RFC 5061, and unknown ones of each kind of treatment.
        let kinds = [3, 6, 7, 8, 9, 10, 11, 14, 1, 2, 4, 5, 130, 192, 132, 64, 194, 15, 193, 128, 63, 127, 191, 255, 0];
        let mut chunks = Vec::new();
        for _ in 0..=self.input.byte() % 4 {
            let (kind, flags) = (self.input.choose(&kinds), self.input.byte());
            let mut value = self.input.bytes().to_vec();
            if kind == 1 && flags & 0x80 != 0 {
                value = init(self.input.u32(), STREAMS);
            }
            // A cumulative TSN in front of SACK, SHUTDOWN and FORWARD TSN that is near to the truth.
            if matches!(kind, 3 | 7 | 192) && flags & 0x80 != 0 && value.len() >= 4 {
                let tsn = self.association.next_tsn.wrapping_add(u32::from(value[0]));
                value[..4].copy_from_slice(&tsn.to_be_bytes());
            }
            chunks.push((kind, flags, value));
        }
        let chunks: Vec<_> = chunks.iter().map(|(kind, flags, value)| (*kind, *flags, value.as_slice())).collect();
        self.association.send(&chunks);
    }

    /// A request to reset streams with the number that is due, unless it is odd: so that a stream can be ended, used again, and ended again.
    fn reset_streams(&mut self) {
        let oddity = self.input.byte();
        let mut number = self.association.next_request;
        if oddity & 1 != 0 {
            number = number.wrapping_add(u32::from(self.input.byte())).wrapping_sub(128);
        }
        let mut last_tsn = self.association.next_tsn.wrapping_sub(1);
        if oddity & 2 != 0 {
            last_tsn = last_tsn.wrapping_add(self.input.byte().into());
        }
        let streams: Vec<u16> = (0..oddity >> 2 & 7).map(|_| u16::from(self.input.byte() % 80)).collect();
        self.association.request_reset(number, last_tsn, &streams);
    }

    fn any_packet(&mut self) {
        let is_addressed = !self.input.byte().is_multiple_of(4);
        let rest = self.input.long_bytes();
        let packet = self.association.raw_packet(rest, is_addressed);
        self.association.send_packet(&packet);
    }

    /// What the application does.
    fn act(&mut self) {
        let association = &mut self.association;
        let now = association.now;
        let command = self.input.byte();
        let keys: Vec<_> = association.transport.channels().map(|(key, _)| key).collect();
        let key = keys.get(usize::from(command >> 2) % keys.len().max(1)).copied();
        match (command % 4, key) {
            (0, _) | (_, None) => {
                let negotiated = (command & 0x80 != 0).then(|| u16::from(self.input.byte() % 80));
                let options = DataChannelOptions {
                    negotiated,
                    ordered: command & 0x40 == 0,
                    ..DataChannelOptions::new(String::from_utf8_lossy(self.input.bytes()))
                };
                if let Ok(key) = association.transport.create_channel(now, options) {
                    self.known.insert(key);
                }
            }
            (1, Some(key)) => {
                let payload = vec![7; usize::from(self.input.u16())];
                let _refused = association.transport.send(now, key, Message::binary(payload));
            }
            (2, Some(key)) => {
                let _unknown = association.transport.close_channel(now, key);
            }
            (_, Some(key)) => {
                let _refused = association.transport.send(now, key, Message::text(""));
            }
        }
        association.exchange();
    }

    fn check(&mut self) {
        let events = std::mem::take(&mut self.association.events);
        assert!(events.len() <= MAX_EVENTS * 2, "{} events after one operation", events.len());
        for event in events {
            self.check_event(&event);
        }
        let transport = &self.association.transport;
        assert!(transport.channels().count() <= usize::from(STREAMS), "more channels than streams");
        if transport.sctp_state() == SctpTransportState::Closed {
            assert_eq!(transport.poll_timeout().filter(|deadline| deadline.at <= self.association.now), None);
            assert!(self.is_lost || !self.association.polls, "the association is lost, and nobody was told");
        }
        if self.is_lost {
            assert_eq!(transport.channels().count(), 0, "channels without an association");
        }
    }

    fn check_event(&mut self, event: &SecureEvent) {
        let is_about_dtls =
            matches!(event, SecureEvent::DtlsStateChange(_) | SecureEvent::NonceWarning | SecureEvent::Failed(_));
        assert!(!self.is_lost || is_about_dtls, "{event:?} after the association was lost");
        match event {
            SecureEvent::SctpStateChange(state) => self.is_lost = *state == SctpTransportState::Closed,
            SecureEvent::DataChannel { channel } => {
                assert!(self.known.insert(*channel), "{channel:?} appears twice");
            }
            SecureEvent::Message { channel, message } => {
                self.assert_alive(*channel, event);
                assert!(message.payload.len() <= MAX_MESSAGE, "a message of {} bytes", message.payload.len());
            }
            SecureEvent::ChannelOpen { channel }
            | SecureEvent::ChannelClosing { channel }
            | SecureEvent::ChannelError { channel, .. }
            | SecureEvent::BufferedAmountLow { channel }
            | SecureEvent::Writable { channel } => self.assert_alive(*channel, event),
            SecureEvent::ChannelClosed { channel } => {
                self.assert_alive(*channel, event);
                self.closed.insert(*channel);
            }
            _ => {}
        }
    }

    fn assert_alive(&self, channel: ChannelKey, event: &SecureEvent) {
        let is_alive = self.known.contains(&channel) && !self.closed.contains(&channel);
        assert!(is_alive, "{event:?} of a channel that is not there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else nothing behind the first message of the establishment protocol would be fuzzed.
    #[test]
    fn the_seeds_open_channels_from_both_sides_deliver_messages_and_close_channels() {
        let seeds = crate::seeds::of("dcep");
        let after = |seed: &Vec<u8>| {
            let mut bench = Bench::new(seed);
            bench.run();
            let received: u64 = {
                let views = bench.association.transport.channels();
                views.map(|(_, view)| view.statistics.messages_received).sum()
            };
            (bench.known.len(), received, bench.closed.len())
        };
        let outcomes: Vec<_> = seeds.iter().map(after).collect();
        assert!(outcomes.iter().any(|(known, ..)| *known >= 2), "{outcomes:?}");
        assert!(outcomes.iter().any(|(_, received, _)| *received > 0), "{outcomes:?}");
        assert!(outcomes.iter().any(|(.., closed)| *closed > 0), "{outcomes:?}");
    }
    #[test]
    fn the_seeds_end_a_stream_use_it_again_and_end_it_again() {
        let generations = |seed: &Vec<u8>| {
            let mut bench = Bench::new(seed);
            bench.run();
            let requests = bench.association.next_request - crate::hostile_association::FIRST_TSN;
            (requests, bench.closed.len())
        };
        let outcomes: Vec<_> = crate::seeds::of("dcep").iter().map(generations).collect();
        assert!(outcomes.iter().any(|&(requests, closed)| requests >= 3 && closed >= 3), "{outcomes:?}");
    }

    #[test]
    fn a_seed_sends_on_after_the_association_is_lost() {
        let is_lost = |seed: &Vec<u8>| {
            let mut bench = Bench::new(seed);
            while !bench.is_lost && !bench.input.is_empty() {
                bench.operate();
                bench.check();
            }
            bench.is_lost && !bench.input.is_empty()
        };
        assert!(crate::seeds::of("dcep").iter().any(is_lost));
    }

    #[test]
    #[should_panic(expected = "after the association was lost")]
    fn what_is_delivered_after_the_association_is_lost_is_found() {
        let mut bench = Bench::new(&[]);
        bench.check_event(&SecureEvent::SctpStateChange(SctpTransportState::Closed));
        bench.check_event(&SecureEvent::DtlsStateChange(DtlsTransportState::Closed));
        let channel = bench.association.transport.create_channel(bench.association.now, DataChannelOptions::new("c"));
        bench.check_event(&SecureEvent::Message { channel: channel.unwrap(), message: Message::text("late") });
    }
}
