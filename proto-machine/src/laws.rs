//! The generic laws of machines, as a test harness (feature `laws`).
//!
//! A test describes two machines that talk to each other with a [`Scenario`], and calls [`check`]: every [`Law`] is tried on them in virtual time, and a violation
//! panics with the law's name, the seed and the moment. A scenario whose machine breaks a law because of something it wraps names it in [`Scenario::exceptions`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::{Machine, Rng, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};

/// What every machine owes to whoever drives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Law {
    /// The same seed and the same inputs give the same outputs.
    SameInputsSameOutputs,
    /// After `handle_timeout(now)` and a dry `poll_transmit(now)`, the next deadline is later than `now`.
    NoDueTimerSurvives,
    /// A call of `handle_timeout` before the deadline changes nothing.
    SpuriousTimeoutChangesNothing,
    /// What was drained stays drained until the next input, and draining does not move the deadline.
    DryPollsStayDry,
    /// After its last words, a closed machine says nothing, whatever arrives, and wants no more time.
    ClosedStaysClosed,
    /// Arbitrary bytes, and mutated real datagrams, never panic.
    ArbitraryBytesNeverPanic,
    /// Input that is not authenticated leaves no trace but in counters: a world without it goes on identically.
    UnauthenticatedInputLeavesNoTrace,
}

impl Law {
    /// All laws.
    pub const ALL: [Self; 7] = [
        Self::SameInputsSameOutputs,
        Self::NoDueTimerSurvives,
        Self::SpuriousTimeoutChangesNothing,
        Self::DryPollsStayDry,
        Self::ClosedStaysClosed,
        Self::ArbitraryBytesNeverPanic,
        Self::UnauthenticatedInputLeavesNoTrace,
    ];
}

/// Two machines that talk to each other, and the little that the harness must know of them.
pub trait Scenario {
    /// The machine under test.
    type Machine: Machine;

    /// Two machines made from `seed`, with everything done that an application does at the start, at [`Timestamp::ZERO`].
    fn pair(&self, seed: u64) -> [Self::Machine; 2];

    /// Hands `datagram`, which the other machine sent as `transmit`, to `receiver`.
    fn deliver(
        &self,
        now: Timestamp,
        receiver: &mut Self::Machine,
        transmit: <Self::Machine as Machine>::Transmit,
        datagram: &mut [u8],
    );

    /// Hands `noise` from somebody without keys to machine number `index`. `transmit` is that of the last real datagram for it, if there was one.
    fn inject(
        &self,
        now: Timestamp,
        index: usize,
        receiver: &mut Self::Machine,
        transmit: Option<<Self::Machine as Machine>::Transmit>,
        noise: &mut [u8],
    );

    /// Answers a socket request of machine number `index`.
    fn answer(&self, index: usize, request: SocketRequest) -> Option<SocketEvent> {
        let _ = (index, request);
        None
    }

    /// Plays the application and the signalling channel: `machines[index]` has reported `event`.
    fn on_event(
        &self,
        now: Timestamp,
        index: usize,
        event: &<Self::Machine as Machine>::Event,
        machines: &mut [Self::Machine; 2],
    ) {
        let _ = (now, index, event, machines);
    }

    /// Whether the two machines have reached the state in which they stay.
    fn is_established(&self, machines: &[Self::Machine; 2]) -> bool;

    /// Whether noise is to be without effect now. Protocols that begin in plaintext can only promise that once they have keys, and say so in their
    /// documentation.
    fn is_authenticated(&self, machines: &[Self::Machine; 2]) -> bool {
        let _ = machines;
        true
    }

    /// Closes a machine, as its application would.
    fn close(&self, now: Timestamp, machine: &mut Self::Machine);

    /// What of a datagram has to be the same in two runs: all of it, or its length where a wrapped dependency draws its own randomness.
    fn comparable(&self, datagram: &[u8]) -> Vec<u8> {
        datagram.to_vec()
    }

    /// The laws that this machine is known to break, each with its reason.
    fn exceptions(&self) -> &'static [(Law, &'static str)] {
        &[]
    }
}

/// The one-way delay of the virtual link.
const DELAY: Duration = Duration::from_millis(20);
/// How long each world runs in virtual time.
const SPAN: Duration = Duration::from_secs(70);
/// The most actions one machine may want between two inputs.
const ACTION_BUDGET: usize = 10_000;
/// The most steps of a world in its whole life.
const STEP_BUDGET: usize = 200_000;

/// Tries every law on `scenario`, each with a few seeds.
///
/// # Panics
///
/// If a law is broken that is not among the exceptions, or if the scenario never gets established.
pub fn check<S: Scenario>(scenario: &S) {
    for law in Law::ALL {
        if scenario.exceptions().iter().any(|(exception, _)| *exception == law) {
            continue;
        }
        for seed in 1..=3 {
            check_one(scenario, law, seed);
        }
    }
}

fn check_one<S: Scenario>(scenario: &S, law: Law, seed: u64) {
    let plain = || World::new(scenario, law, seed).run(Disturbance::None);
    match law {
        // Both are checked at every step of a run.
        Law::NoDueTimerSurvives | Law::DryPollsStayDry => drop(plain()),
        Law::SameInputsSameOutputs => assert_same(law, seed, &plain(), &plain()),
        Law::SpuriousTimeoutChangesNothing => {
            let disturbed = World::new(scenario, law, seed).run(Disturbance::SpuriousTimeouts);
            assert_same(law, seed, &plain(), &disturbed);
        }
        Law::UnauthenticatedInputLeavesNoTrace => {
            let disturbed = World::new(scenario, law, seed).run(Disturbance::Noise { always: false });
            assert_same(law, seed, &plain(), &disturbed);
        }
        Law::ArbitraryBytesNeverPanic => {
            let mut world = World::new(scenario, law, seed);
            world.must_establish = false;
            drop(world.run(Disturbance::Noise { always: true }));
        }
        Law::ClosedStaysClosed => World::new(scenario, law, seed).run_and_close(),
    }
}

fn assert_same(law: Law, seed: u64, one: &[String], other: &[String]) {
    for (index, (left, right)) in one.iter().zip(other).enumerate() {
        assert!(left == right, "{law:?}, seed {seed}: line {index} differs\n  {left}\n  {right}");
    }
    assert!(one.len() == other.len(), "{law:?}, seed {seed}: {} lines against {}", one.len(), other.len());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    None,
    SpuriousTimeouts,
    /// Noise before every delivery; `always`: also while the machines cannot promise to be immune.
    Noise {
        always: bool,
    },
}

/// A datagram under way to a machine.
struct Flight<T> {
    receiver: usize,
    transmit: T,
    datagram: Vec<u8>,
}

struct World<'a, S: Scenario> {
    scenario: &'a S,
    law: Law,
    seed: u64,
    now: Timestamp,
    machines: [S::Machine; 2],
    /// In order of arrival; the number keeps those of one moment apart and in order.
    flights: BTreeMap<(Timestamp, u64), Flight<<S::Machine as Machine>::Transmit>>,
    sent: u64,
    steps: usize,
    last_transmit: [Option<<S::Machine as Machine>::Transmit>; 2],
    samples: Vec<Vec<u8>>,
    noise: Rng,
    /// What each machine did, a line each. Kept apart, since the order between two machines at one moment is the harness's.
    transcripts: [Vec<String>; 2],
    buffer: TransmitBuffer,
    must_establish: bool,
}

impl<'a, S: Scenario> World<'a, S> {
    fn new(scenario: &'a S, law: Law, seed: u64) -> Self {
        Self {
            scenario,
            law,
            seed,
            now: Timestamp::ZERO,
            machines: scenario.pair(seed),
            flights: BTreeMap::new(),
            sent: 0,
            steps: 0,
            last_transmit: [None; 2],
            samples: Vec::new(),
            noise: Seed::from_number(seed).child("noise").into_rng(),
            transcripts: [Vec::new(), Vec::new()],
            buffer: TransmitBuffer::new(1200),
            must_establish: true,
        }
    }

    /// Runs until the span is over, and returns what happened, a line each.
    fn run(mut self, disturbance: Disturbance) -> Vec<String> {
        self.run_until(Timestamp::ZERO + SPAN, disturbance);
        let established = self.scenario.is_established(&self.machines);
        assert!(
            established || !self.must_establish,
            "{:?}, seed {}: never established\n{}",
            self.law,
            self.seed,
            self.transcripts.concat().join("\n")
        );
        self.transcripts.concat()
    }

    fn run_until(&mut self, end: Timestamp, disturbance: Disturbance) {
        self.drain();
        while let Some(next) = self.next_moment().filter(|&next| next <= end) {
            self.steps += 1;
            assert!(self.steps < STEP_BUDGET, "{:?}, seed {}: no rest at {:?}", self.law, self.seed, self.now);
            if disturbance == Disturbance::SpuriousTimeouts {
                self.spurious_timeouts(next);
            }
            self.now = self.now.max(next);
            if let Disturbance::Noise { always } = disturbance {
                self.make_noise(always);
            }
            self.step();
            self.drain();
        }
        self.now = end;
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let arrival = self.flights.keys().next().map(|&(at, _)| at);
        let deadlines = self.machines.iter().filter_map(|machine| machine.poll_timeout().map(|deadline| deadline.at));
        arrival.into_iter().chain(deadlines).min()
    }

    /// Delivers what has arrived, then lets due timers fire.
    fn step(&mut self) {
        let later = self.flights.split_off(&(self.now, u64::MAX));
        for (_, flight) in std::mem::replace(&mut self.flights, later) {
            self.last_transmit[flight.receiver] = Some(flight.transmit);
            self.samples.push(flight.datagram.clone());
            let mut datagram = flight.datagram;
            let machine = &mut self.machines[flight.receiver];
            self.scenario.deliver(self.now, machine, flight.transmit, &mut datagram);
            self.drain();
        }
        for index in 0..2 {
            let due = |deadline: crate::Deadline| deadline.at <= self.now;
            if self.machines[index].poll_timeout().is_some_and(due) {
                self.machines[index].handle_timeout(self.now);
                self.drain();
                let next = self.machines[index].poll_timeout();
                assert!(
                    next.is_none_or(|deadline| deadline.at > self.now),
                    "{:?}, seed {}: still due at {:?}: {next:?}",
                    Law::NoDueTimerSurvives,
                    self.seed,
                    self.now
                );
            }
        }
    }

    fn spurious_timeouts(&mut self, next: Timestamp) {
        let halfway = self.now + (next - self.now) / 2;
        if halfway >= next {
            return;
        }
        self.now = self.now.max(halfway);
        for machine in &mut self.machines {
            machine.handle_timeout(halfway);
        }
        self.drain();
    }

    fn make_noise(&mut self, always: bool) {
        if !always && !self.scenario.is_authenticated(&self.machines) {
            return;
        }
        for index in 0..2 {
            let mut noise = self.noise_datagram();
            let transmit = self.last_transmit[index];
            self.scenario.inject(self.now, index, &mut self.machines[index], transmit, &mut noise);
        }
        self.drain();
    }

    /// Random bytes, or a real datagram that was cut, flipped or extended. A bit of every eight bytes is flipped in any case: a packet may consist of
    /// several authentic parts, and a replay of one of them is not noise.
    fn noise_datagram(&mut self) -> Vec<u8> {
        let below = |rng: &mut Rng, bound: usize| usize::try_from(rng.below(bound as u64)).unwrap_or(0);
        let sample = below(&mut self.noise, self.samples.len() + 1);
        let Some(mut datagram) = self.samples.get(sample).cloned().filter(|datagram| !datagram.is_empty()) else {
            let mut random = vec![0; below(&mut self.noise, 200)];
            self.noise.fill(&mut random);
            return random;
        };
        let position = below(&mut self.noise, datagram.len());
        match self.noise.below(3) {
            0 => datagram.truncate(position),
            1 => datagram.insert(position, 0),
            _ => {}
        }
        for part in datagram.chunks_mut(8) {
            let position = below(&mut self.noise, part.len());
            part[position] ^= 1 << self.noise.below(8);
        }
        datagram
    }

    /// Carries out what both machines want until both only want to wait: an event of one may be an input of the other.
    fn drain(&mut self) {
        let rest = (0..ACTION_BUDGET).any(|_| !self.act(0) && !self.act(1));
        assert!(rest, "{:?}, seed {}: more than {ACTION_BUDGET} actions at {:?}", self.law, self.seed, self.now);
        self.assert_dry(0);
        self.assert_dry(1);
    }

    /// Carries out one action of a machine; `false` if it only wants to wait.
    fn act(&mut self, index: usize) -> bool {
        self.buffer.clear();
        if let Some(transmit) = self.machines[index].poll_transmit(self.now, 8, &mut self.buffer) {
            for datagram in self.buffer.datagrams() {
                let mut line = format!("{:?} {index} sends {transmit:?} ", self.now);
                for byte in self.scenario.comparable(datagram) {
                    let _ = write!(line, "{byte:02x}");
                }
                self.transcripts[index].push(line);
                self.sent += 1;
                let flight = Flight { receiver: 1 - index, transmit, datagram: datagram.to_vec() };
                self.flights.insert((self.now + DELAY, self.sent), flight);
            }
            return true;
        }
        if let Some(request) = self.machines[index].poll_socket_request() {
            self.transcripts[index].push(format!("{:?} {index} asks {request:?}", self.now));
            if let Some(event) = self.scenario.answer(index, request) {
                self.machines[index].handle_socket_event(self.now, event);
            }
            return true;
        }
        if let Some(event) = self.machines[index].poll_event() {
            self.transcripts[index].push(format!("{:?} {index} reports {event:?}", self.now));
            self.scenario.on_event(self.now, index, &event, &mut self.machines);
            return true;
        }
        false
    }

    fn assert_dry(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let deadline = machine.poll_timeout();
        self.buffer.clear();
        let dry = machine.poll_transmit(self.now, 8, &mut self.buffer).is_none()
            && machine.poll_socket_request().is_none()
            && machine.poll_event().is_none()
            && machine.poll_timeout() == deadline;
        assert!(dry, "{:?}, seed {}: not dry at {:?}", Law::DryPollsStayDry, self.seed, self.now);
    }

    fn run_and_close(mut self) {
        self.run_until(Timestamp::ZERO + SPAN / 2, Disturbance::None);
        self.scenario.close(self.now, &mut self.machines[0]);
        self.drain();
        let last_words = self.transcripts[0].len();
        self.run_until(Timestamp::ZERO + SPAN, Disturbance::Noise { always: true });
        for mut datagram in self.samples.clone() {
            if let Some(transmit) = self.last_transmit[0] {
                self.scenario.deliver(self.now, &mut self.machines[0], transmit, &mut datagram);
            }
        }
        self.machines[0].handle_timeout(self.now);
        self.drain();
        let name = Law::ClosedStaysClosed;
        let words = &self.transcripts[0];
        assert!(words.len() == last_words, "{name:?}, seed {}:\n{}", self.seed, words.join("\n"));
        assert!(self.machines[0].poll_timeout().is_none(), "{name:?}, seed {}: wants time", self.seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deadline, Segments};

    /// Sends a keyed counter every second and reports what it hears; its flaws can be switched on.
    struct Beacon {
        key: u8,
        next: Option<Timestamp>,
        due: bool,
        count: u8,
        heard: Vec<u8>,
        flaw: Option<Law>,
    }

    impl Machine for Beacon {
        type Input<'a> = &'a mut [u8];
        type Event = u8;
        type Transmit = Segments;

        fn handle_input(&mut self, _: Timestamp, input: &mut [u8]) {
            if self.next.is_none() && self.flaw != Some(Law::ClosedStaysClosed) {
                return;
            }
            match *input {
                [key, count, check] if check == key ^ count && (key == self.key) => self.heard.push(count),
                _ if self.flaw == Some(Law::UnauthenticatedInputLeavesNoTrace) => self.heard.push(0),
                _ if self.flaw == Some(Law::ArbitraryBytesNeverPanic) => panic!("{:?}", self.flaw),
                _ => {}
            }
        }

        fn handle_timeout(&mut self, now: Timestamp) {
            if self.flaw == Some(Law::SpuriousTimeoutChangesNothing) {
                self.count = self.count.wrapping_add(1);
            }
            if self.next.is_some_and(|next| next <= now) {
                self.due = true;
                let period = u64::from(self.flaw != Some(Law::NoDueTimerSurvives)) * 1_000;
                self.next = Some(now + Duration::from_millis(period));
            }
        }

        fn poll_transmit(&mut self, _: Timestamp, _: usize, buffer: &mut TransmitBuffer) -> Option<Segments> {
            if !std::mem::take(&mut self.due) {
                if self.flaw == Some(Law::DryPollsStayDry) {
                    self.next = self.next.map(|next| next + Duration::from_nanos(1));
                }
                return None;
            }
            self.count = self.count.wrapping_add(1);
            assert!(buffer.push(&[self.key, self.count, self.key ^ self.count]));
            buffer.segments()
        }

        fn poll_event(&mut self) -> Option<u8> {
            self.heard.pop()
        }

        fn poll_timeout(&self) -> Option<Deadline> {
            self.next.map(|at| Deadline { at, reason: "beacon" })
        }
    }

    struct Beacons {
        flaw: Option<Law>,
        runs: std::cell::Cell<u8>,
    }

    impl Scenario for Beacons {
        type Machine = Beacon;

        fn pair(&self, seed: u64) -> [Beacon; 2] {
            let mut key = u8::try_from(seed).unwrap() | 0x80;
            if self.flaw == Some(Law::SameInputsSameOutputs) {
                self.runs.set(self.runs.get() + 1);
                key += self.runs.get();
            }
            [0, 500].map(|offset| Beacon {
                key,
                next: Some(Timestamp::from_millis(offset)),
                due: false,
                count: 0,
                heard: Vec::new(),
                flaw: self.flaw,
            })
        }

        fn deliver(&self, now: Timestamp, receiver: &mut Beacon, _: Segments, datagram: &mut [u8]) {
            receiver.handle_input(now, datagram);
        }

        fn inject(&self, now: Timestamp, _: usize, receiver: &mut Beacon, _: Option<Segments>, noise: &mut [u8]) {
            receiver.handle_input(now, noise);
        }

        fn is_established(&self, machines: &[Beacon; 2]) -> bool {
            machines.iter().all(|machine| machine.count > 0)
        }

        fn close(&self, _: Timestamp, machine: &mut Beacon) {
            machine.next = None;
        }
    }

    fn broken_laws(flaw: Option<Law>) -> Vec<Law> {
        let breaks = |law: &Law| {
            let beacons = Beacons { flaw, runs: std::cell::Cell::default() };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_one(&beacons, *law, 1))).is_err()
        };
        Law::ALL.into_iter().filter(breaks).collect()
    }

    #[test]
    fn a_lawful_machine_passes() {
        check(&Beacons { flaw: None, runs: std::cell::Cell::default() });
    }

    #[test]
    fn each_law_catches_the_machine_that_breaks_it() {
        for law in Law::ALL {
            assert!(broken_laws(Some(law)).contains(&law), "{law:?} catches nothing");
        }
    }
}
