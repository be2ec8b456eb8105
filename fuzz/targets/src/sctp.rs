//! SCTP alone: two associations, and a network between them that is the input's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proto_dtls_sctp::Reliability;
use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_machine::{Seed, Timestamp};

use crate::forged_packet::{Forger, Glimpse};
use crate::input::Input;

/// The most operations in one input.
const MAX_OPERATIONS: usize = 300;
/// The largest packet, in bytes.
const PACKET_SIZE: usize = 1_200;
/// The most packets that an end has to send at one moment: a window of the smallest fragments, and answers.
const MAX_PACKETS: usize = 20_000;
/// What the network holds. More is lost.
const MAX_UNDER_WAY: usize = 2_000;
/// The streams that are used: neighbours, and the last.
pub(crate) const STREAMS: [u16; 6] = [0, 1, 2, 3, 64, 65_534];
/// The largest message, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// After this time without faults everything has come.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);

/// Two associations exchange messages of all kinds and reset streams, over a network that loses, repeats, reorders and delays what the input says. It may also change packets, or send
/// some of its own with the tags in use, which only the peer could under DTLS.
///
/// - Each end comes to rest whatever it is given; what is due is done; packets keep to their size.
/// - As long as nothing was changed or forged: every message comes at most once, undamaged, in order where that was asked for, and within five minutes of good network if it is reliable;
///   every reset is completed on both sides; nothing stays buffered; nobody gives up.
/// - An association that is lost says so once, and then is silent for good.
pub fn sctp(data: &[u8]) {
    let mut bench = Bench::new(data);
    bench.run();
    bench.settle();
    bench.check_contracts();
}

/// What an end has sent.
#[derive(Default)]
struct Sent {
    /// Length, and whether it must come, by stream and number.
    messages: BTreeMap<(u16, u32), (usize, bool)>,
    /// Numbers in the order in which they came, by stream.
    come: BTreeMap<u16, Vec<(u32, bool)>>,
    next: u32,
}

struct End {
    association: BareAssociation,
    sent: Sent,
    readable: BTreeSet<u16>,
    reads: bool,
    is_up: bool,
    is_lost: bool,
    /// Streams that this end has finished resetting.
    reset: BTreeSet<u16>,
}

struct Bench<'a> {
    input: Input<'a>,
    now: Timestamp,
    ends: [End; 2],
    /// Packets under way, and who gets them.
    network: VecDeque<(usize, Vec<u8>)>,
    /// What an eavesdropper knows of the packets of each end.
    glimpses: [Glimpse; 2],
    /// Nothing was changed or forged, and nobody has hung up.
    is_honest: bool,
    /// Streams that have been reset: what they still deliver is not compared.
    ended: BTreeSet<u16>,
}

fn filler(number: u32, index: usize) -> u8 {
    index.to_le_bytes()[0].wrapping_mul(31).wrapping_add(number.to_le_bytes()[0])
}

/// A payload that tells its number and whether it was to keep its order.
fn payload(number: u32, ordered: bool, length: usize) -> Bytes {
    let head = number.to_be_bytes().into_iter().chain([u8::from(ordered)]);
    head.chain((5..length.max(5)).map(|index| filler(number, index))).collect()
}

impl<'a> Bench<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut input = Input::new(data);
        let setup = input.byte();
        let now = Timestamp::from_millis(1_000);
        let end = |index: u8| {
            let small = setup >> 4 & 1 == 1;
            let config = BareConfig {
                packet_size: PACKET_SIZE,
                receive_window: if small { 2 * 16 * 1024 } else { 256 * 1024 },
                max_message_size: 16 * 1024,
                interleaving: setup >> index & 1 == 0,
                zero_checksum: setup >> (2 + index) & 1 == 0,
                heartbeat_interval: (setup >> 5 & 1 == 1).then_some(Duration::from_secs(5)),
                ..BareConfig::default()
            };
            End {
                association: BareAssociation::new(now, config, Seed::from_number(u64::from(index) + 1)),
                sent: Sent::default(),
                readable: BTreeSet::new(),
                reads: true,
                is_up: false,
                is_lost: false,
                reset: BTreeSet::new(),
            }
        };
        let ends = [end(0), end(1)];
        let mut bench = Self {
            input,
            now,
            ends,
            network: VecDeque::new(),
            glimpses: [Glimpse::default(), Glimpse::default()],
            is_honest: true,
            ended: BTreeSet::new(),
        };
        (0..2).for_each(|end| bench.drain(end));
        if setup >> 6 & 1 == 0 {
            // Most inputs begin with an association that is established.
            (0..8).for_each(|_| bench.deliver(8));
        }
        bench
    }

    fn run(&mut self) {
        for _ in 0..MAX_OPERATIONS {
            if self.input.is_empty() {
                return;
            }
            self.operate();
        }
    }

    fn operate(&mut self) {
        match self.input.byte() % 16 {
            0..=2 => self.send(),
            3 | 4 => {
                let count = usize::from(self.input.byte() % 32) + 1;
                self.deliver(count);
            }
            5 => drop(self.take_packet()),
            6 => {
                let packet = self.take_packet();
                self.network.extend(packet.iter().cloned().chain(packet.clone()));
            }
            7 => {
                let packet = self.take_packet();
                self.network.extend(packet);
            }
            8 | 9 => {
                let duration = Duration::from_millis(self.input.u16().into());
                self.pass_time(duration);
            }
            10 => self.reset(),
            11 => {
                let (end, reads) = (self.end(), self.input.bool());
                self.ends[end].reads = reads;
                self.read(end);
                self.drain(end);
            }
            12 => {
                let (end, stream, weight) = (self.end(), self.input.choose(&STREAMS), self.input.u16());
                self.ends[end].association.set_weight(stream, weight);
            }
            13 => self.change(),
            14 => self.forge(),
            _ => {
                let end = self.end();
                if self.input.byte() == 0xAB {
                    self.is_honest = false;
                    self.ends[end].is_lost = true;
                    self.ends[end].association.abort();
                    self.drain(end);
                }
            }
        }
    }

    fn end(&mut self) -> usize {
        usize::from(self.input.bool())
    }

    fn send(&mut self) {
        let end = self.end();
        let (stream, kind, size) = (self.input.choose(&STREAMS), self.input.byte(), self.input.byte());
        let length = match kind >> 6 {
            0 | 1 => usize::from(size),
            2 => usize::from(size) * 16,
            _ => usize::from(size) * 64,
        };
        let ordered = kind & 1 == 0;
        let reliability = match kind >> 1 & 3 {
            0 | 1 => Reliability::Reliable,
            2 => Reliability::MaxRetransmits(u16::from(kind >> 3 & 3)),
            _ => Reliability::MaxPacketLifetime(Duration::from_millis(u64::from(kind >> 3 & 7) * 40)),
        };
        let End { association, sent, .. } = &mut self.ends[end];
        let number = sent.next;
        let payload = payload(number, ordered, length.min(MAX_MESSAGE));
        let length = payload.len();
        if association.send(self.now, stream, payload, ordered, reliability) {
            sent.messages.insert((stream, number), (length, reliability == Reliability::Reliable));
            sent.next += 1;
        }
        self.drain(end);
    }

    fn reset(&mut self) {
        let (end, stream) = (self.end(), self.input.choose(&STREAMS));
        // Once for each stream, and behind a message: an end that does not know of a stream has nothing to answer.
        let End { association, is_up, .. } = &mut self.ends[end];
        if *is_up
            && !self.ended.contains(&stream)
            && association.send(self.now, stream, payload(0, false, 5), true, Reliability::Reliable)
        {
            self.ended.insert(stream);
            association.reset_stream(stream);
            self.read(end);
            self.drain(end);
        }
    }

    /// One of the next packets under way.
    fn take_packet(&mut self) -> Option<(usize, Vec<u8>)> {
        let index = usize::from(self.input.byte()) % self.network.len().max(1);
        self.network.remove(index)
    }

    /// Changes a packet behind its common header, and leaves its checksum out or makes it right.
    fn change(&mut self) {
        let Some((to, mut packet)) = self.take_packet() else { return };
        self.is_honest = false;
        for _ in 0..=self.input.byte() % 4 {
            let at = 12 + self.input.index(packet.len().saturating_sub(12).max(1));
            let value = self.input.byte();
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        Forger::seal(&mut packet, self.input.bool());
        self.network.push_front((to, packet));
        self.deliver(1);
    }

    fn forge(&mut self) {
        let to = self.end();
        self.is_honest = false;
        let mut packet = Forger { to: &self.glimpses[to], from: &self.glimpses[1 - to] }.packet(&mut self.input);
        Forger::seal(&mut packet, self.input.bool());
        self.network.push_front((to, packet));
        self.deliver(1);
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some((to, packet)) = self.network.pop_front() else { return };
            self.ends[to].association.handle_packet(self.now, &packet);
            self.drain(to);
        }
    }

    /// Lets an end say and send everything.
    fn drain(&mut self, end: usize) {
        self.take_events(end);
        let mut packet = Vec::new();
        let mut count = 0;
        while self.ends[end].association.write_packet(self.now, &mut packet) {
            count += 1;
            assert!(count < MAX_PACKETS, "end {end} sends without end");
            assert!(packet.len() <= PACKET_SIZE && packet.len().is_multiple_of(4), "{} bytes", packet.len());
            self.glimpses[end].note(&packet);
            if self.network.len() < MAX_UNDER_WAY {
                self.network.push_back((1 - end, packet.clone()));
            }
        }
        self.take_events(end);
        if self.ends[end].is_lost {
            assert!(count <= 1, "end {end} is lost, and says {count} last words");
            assert_eq!(self.ends[end].association.poll_timeout(), None);
        }
    }

    fn take_events(&mut self, end: usize) {
        while let Some(event) = self.ends[end].association.poll_event() {
            match event {
                BareEvent::Readable(stream) => {
                    self.ends[end].readable.insert(stream);
                }
                BareEvent::ResetComplete(stream) => {
                    self.ends[end].reset.insert(stream);
                }
                BareEvent::ResetFailed(stream) => assert!(!self.is_honest, "reset of {stream} failed"),
                BareEvent::Lost(failure) => {
                    assert!(!self.is_honest, "end {end} gives up: {failure:?}");
                    assert!(!self.ends[end].is_lost, "end {end} is lost twice");
                    self.ends[end].is_lost = true;
                }
                BareEvent::Established { .. } => self.ends[end].is_up = true,
                BareEvent::IncomingReset(_) => {}
            }
            self.read(end);
        }
    }

    fn read(&mut self, end: usize) {
        if !self.ends[end].reads {
            return;
        }
        while let Some(stream) = self.ends[end].readable.pop_first() {
            while let Some(message) = self.ends[end].association.receive(stream) {
                if self.is_honest && !self.ended.contains(&stream) {
                    self.note(1 - end, stream, &message);
                }
            }
        }
    }

    /// A message of an end has come at the other.
    fn note(&mut self, from: usize, stream: u16, message: &[u8]) {
        let number = u32::from_be_bytes(message[..4].try_into().unwrap());
        let is_ordered = message[4] == 1;
        let sent = &mut self.ends[from].sent;
        let length = sent.messages.get(&(stream, number)).map(|&(length, _)| length);
        assert_eq!(length, Some(message.len()), "message {number} on {stream}");
        let is_whole = message.iter().enumerate().skip(5).all(|(index, &byte)| byte == filler(number, index));
        assert!(is_whole, "message {number} on {stream} is damaged");
        let come = sent.come.entry(stream).or_default();
        assert!(come.iter().all(|&(other, _)| other != number), "message {number} on {stream} came twice");
        let in_order = !is_ordered || come.iter().all(|&(other, ordered)| !ordered || other < number);
        assert!(in_order, "message {number} on {stream} came behind {come:?}");
        come.push((number, is_ordered));
    }

    fn pass_time(&mut self, duration: Duration) {
        let end_of_it = self.now + duration;
        while let Some(due) = self.next_deadline().filter(|due| *due <= end_of_it) {
            self.now = self.now.max(due);
            self.expire();
        }
        self.now = end_of_it;
        self.expire();
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.ends.iter().filter_map(|end| end.association.poll_timeout()).map(|deadline| deadline.at).min()
    }

    fn expire(&mut self) {
        for end in 0..2 {
            self.ends[end].association.handle_timeout(self.now);
            self.drain(end);
            let next = self.ends[end].association.poll_timeout();
            assert!(next.is_none_or(|deadline| deadline.at > self.now), "still due at {:?}: {next:?}", self.now);
        }
    }

    /// Everything is read, and nothing is lost any more.
    fn settle(&mut self) {
        let end_of_it = self.now + SETTLES_WITHIN;
        for end in 0..2 {
            self.ends[end].reads = true;
            self.read(end);
            self.drain(end);
        }
        while self.now < end_of_it {
            // What answers itself for ever at one moment would not let time pass.
            let mut budget = MAX_PACKETS;
            while !self.network.is_empty() {
                assert!(budget > 0, "packets without end");
                budget -= 1;
                self.deliver(1);
            }
            if self.is_honest && self.is_done() {
                return;
            }
            let next = self.next_deadline().unwrap_or(end_of_it);
            self.now = self.now.max(next).min(end_of_it);
            self.expire();
        }
    }

    fn is_done(&mut self) -> bool {
        self.missing().is_none() && self.ends.iter().all(|end| self.ended.is_subset(&end.reset))
    }

    /// A reliable message that has not come, or something that is still buffered.
    fn missing(&mut self) -> Option<String> {
        for (from, end) in self.ends.iter_mut().enumerate() {
            for (&(stream, number), &(_, is_sure)) in &end.sent.messages {
                let has_come =
                    || end.sent.come.get(&stream).is_some_and(|come| come.iter().any(|&(other, _)| other == number));
                if is_sure && !self.ended.contains(&stream) && !has_come() {
                    return Some(format!("message {number} of end {from} on {stream}"));
                }
            }
            for stream in STREAMS {
                let buffered = end.association.buffered(stream);
                if buffered > 0 {
                    return Some(format!("{buffered} bytes of end {from} on {stream}"));
                }
            }
        }
        None
    }

    fn check_contracts(&mut self) {
        if self.is_honest {
            assert_eq!(self.missing(), None, "not there after {SETTLES_WITHIN:?} without faults");
            for (index, end) in self.ends.iter().enumerate() {
                assert!(self.ended.is_subset(&end.reset), "end {index} has reset {:?} of {:?}", end.reset, self.ended);
            }
        }
    }
}
