//! Every message by its contract: whole, at most once, in order where that was asked for, and surely where that was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proto_dtls_sctp::Reliability;

use crate::end::{Make, Outgoing};
use crate::link::{Faults, Opening, Pair};

/// How the messages of a stream are sent.
#[derive(Clone, Copy, Debug)]
struct Mode {
    ordered: bool,
    reliability: Reliability,
}

const MODES: [Mode; 8] = {
    const fn mode(ordered: bool, reliability: Reliability) -> Mode {
        Mode { ordered, reliability }
    }
    [
        mode(true, Reliability::Reliable),
        mode(false, Reliability::Reliable),
        mode(true, Reliability::MaxRetransmits(0)),
        mode(false, Reliability::MaxRetransmits(0)),
        mode(true, Reliability::MaxRetransmits(2)),
        mode(false, Reliability::MaxRetransmits(2)),
        mode(true, Reliability::MaxPacketLifetime(Duration::from_millis(60))),
        mode(false, Reliability::MaxPacketLifetime(Duration::from_millis(60))),
    ]
};

/// A payload that tells its number, and whose other bytes follow from it.
fn payload(number: u32, length: usize) -> Bytes {
    let mut bytes: Vec<u8> = (0..length.max(4)).map(|index| filler(number, index)).collect();
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn filler(number: u32, index: usize) -> u8 {
    u32::try_from(index).unwrap().wrapping_mul(31).wrapping_add(number.wrapping_mul(7)).to_be_bytes()[3]
}

fn number_of(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Where a payload is first not what it should be.
fn damage(number: u32, bytes: &[u8]) -> Option<usize> {
    bytes.iter().enumerate().skip(4).position(|(index, &byte)| byte != filler(number, index))
}

/// What was sent and what has come in one direction.
#[derive(Default)]
struct Direction {
    /// The length of each message, by stream and number.
    sent: BTreeMap<(u16, u32), usize>,
    /// By stream, in the order in which they came.
    come: BTreeMap<u16, Vec<u32>>,
    /// Bytes that have come.
    bytes: u64,
    /// The other end does not read any more: nothing must arrive.
    is_cut_off: bool,
}

impl Direction {
    fn note(&mut self, end: usize, stream: u16, bytes: &[u8]) {
        let number = number_of(bytes);
        let damage = damage(number, bytes);
        assert_eq!(damage, None, "to end {end}, stream {stream}: message {number} of {} bytes", bytes.len());
        assert_eq!(self.sent.get(&(stream, number)), Some(&bytes.len()), "stream {stream}, message {number}");
        let come = self.come.entry(stream).or_default();
        assert!(!come.contains(&number), "stream {stream}: message {number} came twice");
        if MODES[usize::from(stream)].ordered {
            assert!(come.last().is_none_or(|&last| last < number), "stream {stream}: {number} behind {come:?}");
        }
        come.push(number);
        self.bytes += bytes.len() as u64;
    }

    fn has(&self, stream: u16, number: u32) -> bool {
        self.come.get(&stream).is_some_and(|come| come.contains(&number))
    }

    fn is_complete(&self) -> bool {
        self.is_cut_off || self.missing().is_empty()
    }

    fn missing(&self) -> Vec<(u16, u32)> {
        let sent = self.sent.keys().copied();
        sent.filter(|&(stream, number)| is_sure(stream, number) && !self.has(stream, number)).collect()
    }
}

/// Whether a message must arrive.
fn is_sure(stream: u16, number: u32) -> bool {
    number >= LAST || MODES[usize::from(stream)].reliability == Reliability::Reliable
}

/// The last message of a stream in the first round, which is reliable: nothing before it may keep it from coming.
const LAST: u32 = 1_000_000;
/// How far the numbers of two rounds lie apart.
const ROUND: u32 = 1000;
const STREAMS: u16 = 8;

/// Two ends, and how often they use each stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) makes: [Make; 2],
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) opening: Opening,
    /// After each but the last, all streams are reset by one end or both.
    pub(crate) rounds: u32,
}

/// What came of it, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Bytes of messages.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// Streams that were free again at both ends.
    pub(crate) resets: u64,
}

impl Scenario {
    /// Sends messages of all modes both ways, in all rounds.
    pub(crate) fn run(self) -> Tally {
        let mut pair = Pair::new(self.makes, self.seed, self.faults, self.opening);
        assert!(pair.connect(), "{self:?}: not connected");
        let mut tally = Tally::default();
        let rounds = if self.makes.iter().all(|make| make.may_use_streams_again()) { self.rounds } else { 1 };
        for round in 0..rounds {
            let mut directions = [Direction::default(), Direction::default()];
            self.talk(&mut pair, round, &mut directions);
            let is_last = round + 1 == rounds;
            // A stream may be reset at once behind the data, if the other end has no more to say that must arrive.
            let closer = usize::try_from(pair.rng.below(2)).unwrap();
            let at_once = !is_last && self.makes[closer].resets_behind_data() && pair.rng.below(2) == 0;
            if at_once {
                (0..STREAMS).for_each(|stream| pair.ends[closer].reset(stream));
                directions[1 - closer].is_cut_off = true;
            }
            self.wait(&mut pair, round, &mut directions);
            if !is_last {
                self.reset(&mut pair, at_once, &mut directions);
                tally.resets += u64::from(STREAMS);
            }
            for direction in &directions {
                tally.sent += direction.sent.len() as u64;
                tally.delivered += direction.come.values().map(|come| come.len() as u64).sum::<u64>();
                tally.bytes += direction.bytes;
            }
        }
        tally.packets = pair.packets;
        tally
    }

    fn talk(self, pair: &mut Pair, round: u32, directions: &mut [Direction; 2]) {
        for number in 0..12 {
            for stream in 0..STREAMS {
                for (end, direction) in directions.iter_mut().enumerate() {
                    let length = match pair.rng.below(10) {
                        0 => pair.rng.below(40_000),
                        1..=3 => pair.rng.below(4000),
                        _ => pair.rng.below(200),
                    };
                    let length = usize::try_from(length).unwrap();
                    let mode = mode_of(self.makes[end], stream);
                    send(pair, direction, end, (stream, mode), round * ROUND + number, length);
                }
            }
            let pause = Duration::from_millis(pair.rng.below(30));
            pair.run(pause, |pair| {
                collect(pair, directions);
                false
            });
        }
        for stream in 0..STREAMS {
            for (end, direction) in directions.iter_mut().enumerate() {
                let mode = Mode { reliability: Reliability::Reliable, ..MODES[usize::from(stream)] };
                send(pair, direction, end, (stream, mode), LAST + round * ROUND, 10);
            }
        }
    }

    /// Until everything has come that must.
    fn wait(self, pair: &mut Pair, round: u32, directions: &mut [Direction; 2]) {
        let done = pair.run(Duration::from_secs(120), |pair| {
            collect(pair, directions);
            directions.iter().all(|direction| direction.is_complete())
        });
        let missing = directions.each_ref().map(Direction::missing);
        assert!(done, "{self:?}, round {round}: missing {missing:?}");
        assert!(pair.ends.iter().all(|end| !end.is_lost()), "{self:?}, round {round}: lost");
        let is_empty = |pair: &mut Pair| {
            collect(pair, directions);
            pair.ends.iter_mut().all(|end| (0..STREAMS).all(|stream| end.buffered(stream) == 0))
        };
        assert!(pair.run(Duration::from_secs(60), is_empty), "{self:?}, round {round}: something is still buffered");
    }

    /// Until all streams are free at both ends, which one of them, or both, have reset.
    fn reset(self, pair: &mut Pair, is_begun: bool, directions: &mut [Direction; 2]) {
        for stream in 0..STREAMS {
            let closers: &[usize] = [&[0][..], &[1], &[0, 1]][usize::try_from(pair.rng.below(3)).unwrap()];
            if !is_begun {
                closers.iter().for_each(|&end| pair.ends[end].reset(stream));
            }
        }
        let mut free = [0; 2];
        let done = pair.run(Duration::from_secs(60), |pair| {
            collect(pair, directions);
            for (end, free) in pair.ends.iter_mut().zip(&mut free) {
                *free += std::iter::from_fn(|| end.poll_free_stream()).count();
            }
            free == [usize::from(STREAMS); 2]
        });
        assert!(done, "{self:?}: {free:?} of {STREAMS} streams are free");
    }
}

fn collect(pair: &mut Pair, directions: &mut [Direction; 2]) {
    for end in 0..2 {
        while let Some((stream, bytes)) = pair.ends[end].receive() {
            directions[1 - end].note(end, stream, &bytes);
        }
    }
}

/// The mode of a stream, as far as the sender is able to keep it.
fn mode_of(make: Make, stream: u16) -> Mode {
    let mode = MODES[usize::from(stream)];
    if make.may_give_up(mode.ordered) { mode } else { Mode { reliability: Reliability::Reliable, ..mode } }
}

fn send(
    pair: &mut Pair,
    direction: &mut Direction,
    end: usize,
    (stream, mode): (u16, Mode),
    number: u32,
    length: usize,
) {
    let Mode { ordered, reliability } = mode;
    let payload = payload(number, length);
    direction.sent.insert((stream, number), payload.len());
    assert!(pair.ends[end].send(pair.now, Outgoing { stream, payload, ordered, reliability }));
}

fn talk_over_every_link(makes: [Make; 2], seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let opening = [Opening::Both, Opening::Only(0), Opening::Only(1)][usize::try_from(seed % 3).unwrap()];
        for faults in [Faults::NONE, Faults::LOSSY, Faults::WILD] {
            Scenario { makes, seed, faults, opening, rounds: 2 }.run();
        }
    }
}

#[test]
fn ours_and_ours_keep_every_contract() {
    talk_over_every_link([Make::OWN; 2], 0..150);
}

#[test]
fn ours_and_ours_keep_every_contract_without_extensions() {
    talk_over_every_link([Make::PLAIN; 2], 1000..1100);
}

#[test]
fn ours_keeps_every_contract_with_each_extension_where_only_one_side_has_it() {
    talk_over_every_link([Make::OWN, Make::PLAIN], 2000..2050);
    talk_over_every_link([Make::Own { interleaving: true, zero_checksum: false }, Make::OWN], 2050..2100);
    talk_over_every_link([Make::OWN, Make::Own { interleaving: false, zero_checksum: true }], 2100..2150);
}

#[test]
fn ours_and_sctp_proto_keep_every_contract() {
    talk_over_every_link([Make::OWN, Make::SctpProto], 3000..3100);
}

#[test]
fn ours_and_dcsctp_keep_every_contract() {
    talk_over_every_link([Make::OWN, Make::DCSCTP], 4000..4100);
}

#[test]
fn ours_and_dcsctp_keep_every_contract_interleaved() {
    talk_over_every_link([Make::OWN, Make::Dcsctp { interleaving: true }], 5000..5100);
}
