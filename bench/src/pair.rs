//! Two endpoints and the path between them, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::link::{Link, LinkConfig};
use crate::message::{Sink, Source};
use crate::meter::Meter;
use crate::sizes::Sizes;
use crate::stack::{Output, Setup, Stack};

/// The two ends: who makes the offer and who answers it.
pub const OFFERER: usize = 0;
/// See [`OFFERER`].
pub const ANSWERER: usize = 1;

/// How long a connection may take to come about, in virtual time.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How often an endpoint may ask for the present moment before it is made to wait.
const MAX_OVERDUE: u32 = 16;
/// How long it is made to wait.
const OVERDUE_PAUSE: Duration = Duration::from_millis(1);
/// How many steps are made between two looks at the CPU clock.
const STEPS_BETWEEN_CHECKS: u32 = 1_024;

/// One endpoint, with what it has given out.
pub struct End<S> {
    /// The stack.
    pub stack: S,
    /// When the channel opened.
    pub opened: Option<Instant>,
    /// The messages that have arrived.
    pub sink: Sink,
    /// When it wants to be told of the time.
    pub deadline: Option<Instant>,
    /// At how many different moments it was given something to do.
    pub wake_ups: u64,
    woken: Option<Instant>,
    overdue: u32,
}

impl<S: Stack> End<S> {
    /// An endpoint that has given out nothing yet.
    pub fn new(stack: S) -> Self {
        Self { stack, opened: None, sink: Sink::default(), deadline: None, wake_ups: 0, woken: None, overdue: 0 }
    }

    /// Takes in a datagram. Drain it then.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Result<()> {
        self.wake(now);
        self.stack.handle_datagram(now, from, datagram)
    }

    /// Tells it of its deadline. Drain it then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        self.wake(now);
        self.stack.handle_timeout(now)
    }

    fn wake(&mut self, now: Instant) {
        if self.woken.is_none_or(|woken| woken < now) {
            self.woken = Some(now);
            self.wake_ups += 1;
        }
    }

    /// Takes everything out of it.
    pub fn drain(&mut self, now: Instant, mut send: impl FnMut(&[u8])) -> Result<()> {
        let (opened, sink) = (&mut self.opened, &mut self.sink);
        let deadline = self.stack.poll(now, &mut |output| match output {
            Output::Datagram(datagram) => send(datagram),
            Output::Message(message) => sink.take(message),
            Output::Open => *opened = opened.or(Some(now)),
        })?;
        // Some ask for a moment that has passed, again and again.
        self.overdue = if deadline.is_some_and(|at| at <= now) { self.overdue + 1 } else { 0 };
        let earliest = if self.overdue > MAX_OVERDUE { now + OVERDUE_PAUSE } else { now };
        self.deadline = deadline.map(|at| at.max(earliest));
        Ok(())
    }

    /// Whether its deadline has come.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }
}

/// Who does what while a connection comes about.
#[derive(Clone, Copy, Debug)]
pub struct Arrangement {
    /// The end that creates the channel.
    pub creator: usize,
    /// The end that sends the first message of the DTLS handshake; `None` for the one that the answerer chooses.
    pub dtls_client: Option<usize>,
    /// How long a description takes to the other end.
    pub signalling: Duration,
}

impl Default for Arrangement {
    /// The offerer wants something, and the answerer hears of it at once.
    fn default() -> Self {
        Self { creator: OFFERER, dtls_client: None, signalling: Duration::ZERO }
    }
}

/// Two endpoints and the path between them.
pub struct Pair<S> {
    /// The ends.
    pub ends: [End<S>; 2],
    /// The way from the end of the same number.
    pub links: [Link; 2],
    /// The time.
    pub now: Instant,
    addresses: [SocketAddr; 2],
    arrangement: Arrangement,
    batch: usize,
}

impl<S: Stack> Pair<S> {
    /// Two ends that know nothing of each other.
    pub fn new(buffer: Option<usize>, link: LinkConfig, arrangement: Arrangement) -> Result<Self> {
        let now = Instant::now();
        let addresses = [SocketAddr::from(([10, 0, 0, 1], 4_000)), SocketAddr::from(([10, 0, 0, 2], 5_000))];
        let end = |index: usize| {
            let setup = Setup {
                local: addresses[index],
                creates_channel: arrangement.creator == index,
                answers_as_client: arrangement.dtls_client.map(|client| client == ANSWERER),
                buffer,
            };
            Ok::<_, anyhow::Error>(End::new(S::new(now, setup)?))
        };
        let way_back = LinkConfig { seed: !link.seed, ..link };
        Ok(Self {
            ends: [end(OFFERER)?, end(ANSWERER)?],
            links: [Link::new(now, link), Link::new(now, way_back)],
            now,
            addresses,
            arrangement,
            batch: 1,
        })
    }

    /// How many datagrams that have arrived an endpoint is given before it is drained; 1 unless told otherwise.
    pub fn set_batch(&mut self, batch: usize) {
        self.batch = batch.max(1);
    }

    /// Connects two ends on a short path and returns once the channel is open on both.
    pub fn connected(buffer: Option<usize>, link: LinkConfig) -> Result<Self> {
        let mut pair = Self::new(buffer, link, Arrangement::default())?;
        pair.signal()?;
        pair.run_until_open()?;
        Ok(pair)
    }

    /// Carries the offer to the answerer and the answer back; afterwards it is the moment in which the offerer has the answer.
    pub fn signal(&mut self) -> Result<()> {
        let offer = self.ends[OFFERER].stack.create_offer(self.now)?;
        self.drain(OFFERER)?;
        self.run_until(self.now + self.arrangement.signalling)?;
        // What a party that insists on a role writes into its offer (RFC 8842 §5.2), and what the other has to answer.
        let roles = match self.arrangement.dtls_client {
            None => None,
            Some(OFFERER) => Some(("a=setup:active", "a=setup:passive")),
            Some(_) => Some(("a=setup:passive", "a=setup:active")),
        };
        let offer = roles.map_or(offer.clone(), |(offered, _)| offer.replace("a=setup:actpass", offered));
        let answer = self.ends[ANSWERER].stack.accept_offer(self.now, &offer)?;
        if let Some((offered, answered)) = roles {
            ensure!(answer.contains(answered), "{offered} was not answered with {answered}");
        }
        self.drain(ANSWERER)?;
        self.run_until(self.now + self.arrangement.signalling)?;
        self.ends[OFFERER].stack.accept_answer(self.now, &answer)?;
        self.drain(OFFERER)
    }

    /// Runs until the channel is open on both ends.
    pub fn run_until_open(&mut self) -> Result<()> {
        let limit = self.now + CONNECT_LIMIT;
        while self.ends.iter().any(|end| end.opened.is_none()) {
            self.step()?;
            ensure!(self.now < limit, "no open channel after {} s", CONNECT_LIMIT.as_secs());
        }
        Ok(())
    }

    /// Runs to a moment.
    pub fn run_until(&mut self, moment: Instant) -> Result<()> {
        while self.next_at().is_some_and(|at| at <= moment) {
            self.step()?;
        }
        self.now = moment;
        Ok(())
    }

    fn next_at(&self) -> Option<Instant> {
        let deadlines = self.ends.iter().filter_map(|end| end.deadline);
        self.links.iter().filter_map(Link::next_at).chain(deadlines).min()
    }

    /// Does what comes next, and returns the end that did it.
    pub fn step(&mut self) -> Result<usize> {
        let next = self.next_at().context("nobody waits for anything")?;
        self.now = self.now.max(next);
        let now = self.now;
        for to in [ANSWERER, OFFERER] {
            let from = 1 - to;
            let mut received = 0;
            while received < self.batch
                && let Some(mut datagram) = self.links[from].receive(now)
            {
                received += 1;
                self.ends[to].handle_datagram(now, self.addresses[from], &mut datagram)?;
                self.links[from].recycle(datagram);
            }
            if received > 0 {
                self.drain(to)?;
                return Ok(to);
            }
        }
        let Some(due) = self.ends.iter().position(|end| end.is_due(now)) else { bail!("nothing is due") };
        self.ends[due].handle_timeout(now)?;
        self.drain(due)?;
        Ok(due)
    }

    fn drain(&mut self, index: usize) -> Result<()> {
        let (now, link) = (self.now, &mut self.links[index]);
        self.ends[index].drain(now, |datagram| link.send(now, datagram))
    }

    /// Lets the offerer send as much as it takes.
    pub fn pump(&mut self, source: &mut Source) -> Result<()> {
        while let Some(message) = source.current() {
            if !self.ends[OFFERER].stack.send(self.now, message)? {
                return Ok(());
            }
            source.advance();
            self.drain(OFFERER)?;
        }
        Ok(())
    }

    /// Sends from the offerer until everything has arrived, until the moment `until`, or until `cpu_limit` is used up. Returns whether the last was not the case.
    pub fn transfer(&mut self, source: &mut Source, until: Option<Instant>, cpu_limit: Duration) -> Result<bool> {
        let meter = Meter::start();
        let mut steps = 0;
        self.pump(source)?;
        while self.ends[ANSWERER].sink.messages < source.end() {
            if let Some(until) = until
                && self.next_at().is_none_or(|at| at > until)
            {
                self.now = until;
                break;
            }
            if self.step()? == OFFERER {
                self.pump(source)?;
            }
            steps += 1;
            if steps % STEPS_BETWEEN_CHECKS == 0 && meter.cpu() > cpu_limit {
                self.ends[ANSWERER].sink.check()?;
                return Ok(false);
            }
        }
        self.ends[ANSWERER].sink.check()?;
        Ok(true)
    }

    /// The datagrams of both directions.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut sizes = self.links[OFFERER].sizes.clone();
        sizes.add(&self.links[ANSWERER].sizes);
        sizes
    }
}
