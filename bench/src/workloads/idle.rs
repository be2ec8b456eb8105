//! W6: CPU time and wake-ups of endpoints that have nothing to do but to stay connected.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;

use super::short_path;
use crate::meter::Meter;
use crate::pair::Pair;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::Stack;
use crate::udp::{Host, signalled_hosts};

/// How long a pair settles down before it is looked at.
const SETTLING: Duration = Duration::from_secs(5);
/// The same in real time.
const SETTLING_REAL: Duration = Duration::from_secs(3);
/// How long the connections may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How long connecting goes on before the next pair is added, so that the first do not time out.
const TURN: Duration = Duration::from_millis(2);

pub(super) fn in_virtual_time<S: Stack>(count: usize, seconds: u64) -> Result<Outcome> {
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut pair = Pair::<S>::connected(None, short_path())?;
        pair.run_until(pair.now + SETTLING)?;
        pairs.push(pair);
    }
    let wake_ups = |pairs: &[Pair<S>]| pairs.iter().flat_map(|pair| &pair.ends).map(|end| end.wake_ups).sum::<u64>();
    let datagrams = |pairs: &[Pair<S>]| pairs.iter().map(|pair| pair.sizes().count).sum::<u64>();
    let before = (wake_ups(&pairs), datagrams(&pairs));
    let meter = Meter::start();
    for pair in &mut pairs {
        pair.run_until(pair.now + Duration::from_secs(seconds))?;
    }
    let cpu = meter.cpu();
    let after = (wake_ups(&pairs), datagrams(&pairs));
    let mut sizes = Sizes::default();
    pairs.iter().for_each(|pair| sizes.add(&pair.sizes()));
    let endpoint_seconds = (2 * count) as f64 * seconds as f64;
    Ok(outcome(&sizes, cpu, after.0 - before.0, after.1 - before.1, endpoint_seconds))
}

fn outcome(sizes: &Sizes, cpu: Duration, wake_ups: u64, datagrams: u64, endpoint_seconds: f64) -> Outcome {
    Outcome::new(
        sizes,
        [
            ("µs CPU per endpoint second", cpu.as_secs_f64() * 1e6 / endpoint_seconds),
            ("wake-ups per endpoint minute", wake_ups as f64 * 60.0 / endpoint_seconds),
            ("datagrams per endpoint minute", datagrams as f64 * 60.0 / endpoint_seconds),
        ],
    )
}

/// All endpoints on one thread, with one set of sockets to wait for and one heap of deadlines.
pub(super) fn on_loopback<S: Stack>(count: usize, seconds: u64) -> Result<Outcome> {
    let mut hall = Hall::new()?;
    for _ in 0..count {
        for host in signalled_hosts::<S>()? {
            hall.add(host)?;
        }
        hall.run(Instant::now() + TURN)?;
    }
    let limit = Instant::now() + CONNECT_LIMIT;
    while hall.hosts.iter().any(|host| host.end.opened.is_none()) {
        hall.run(Instant::now() + 10 * TURN)?;
        ensure!(Instant::now() < limit, "not all channels are open after {} s", CONNECT_LIMIT.as_secs());
    }
    hall.run(Instant::now() + SETTLING_REAL)?;
    let wake_ups = |hosts: &[Host<S>]| hosts.iter().map(|host| host.end.wake_ups).sum::<u64>();
    let datagrams = |hosts: &[Host<S>]| hosts.iter().map(|host| host.sizes.count).sum::<u64>();
    let before = (wake_ups(&hall.hosts), datagrams(&hall.hosts));
    let meter = Meter::start();
    hall.run(Instant::now() + Duration::from_secs(seconds))?;
    let (cpu, wall) = (meter.cpu(), meter.wall().as_secs_f64());
    let after = (wake_ups(&hall.hosts), datagrams(&hall.hosts));
    let mut sizes = Sizes::default();
    hall.hosts.iter().for_each(|host| sizes.add(&host.sizes));
    Ok(outcome(&sizes, cpu, after.0 - before.0, after.1 - before.1, (2 * count) as f64 * wall))
}

struct Hall<S> {
    poll: Poll,
    events: Events,
    hosts: Vec<Host<S>>,
    /// Deadlines; those that are no longer their host's are passed over.
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl<S: Stack> Hall<S> {
    fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(64),
            hosts: Vec::new(),
            deadlines: BinaryHeap::new(),
        })
    }

    fn add(&mut self, mut host: Host<S>) -> Result<()> {
        let index = self.hosts.len();
        let descriptor = host.socket.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&descriptor), Token(index), Interest::READABLE)?;
        host.drain(Instant::now())?;
        self.hosts.push(host);
        self.note_deadline(index, None);
        Ok(())
    }

    fn note_deadline(&mut self, index: usize, before: Option<Instant>) {
        let deadline = self.hosts[index].end.deadline;
        if let Some(at) = deadline
            && deadline != before
        {
            self.deadlines.push(Reverse((at, index)));
        }
    }

    fn run(&mut self, until: Instant) -> Result<()> {
        loop {
            let mut now = Instant::now();
            while let Some(&Reverse((at, index))) = self.deadlines.peek()
                && at <= now
            {
                self.deadlines.pop();
                if self.hosts[index].end.deadline == Some(at) {
                    self.hosts[index].handle_timeout()?;
                    self.note_deadline(index, None);
                    now = Instant::now();
                }
            }
            if now >= until {
                return Ok(());
            }
            let next = self.deadlines.peek().map_or(until, |Reverse((at, _))| until.min(*at));
            match self.poll.poll(&mut self.events, Some(next.saturating_duration_since(now))) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for index in ready {
                let before = self.hosts[index].end.deadline;
                // To the end: what is left would not be announced again.
                while self.hosts[index].receive()? {}
                self.note_deadline(index, before);
            }
        }
    }
}
