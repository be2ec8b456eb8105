//! W2: throughput over UDP on the loopback interface, one thread for each end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::message::Source;
use crate::meter::Meter;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::Stack;
use crate::udp::{Host, signalled_hosts};

/// How long a thread sleeps at most before it looks whether the other is done.
pub(super) const NAP: Duration = Duration::from_millis(20);

/// Tells the other thread that this one has ended, for better or worse.
pub(super) struct Ended<'a>(pub(super) &'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn transfer<S: Stack>(size: usize, total: u64) -> Result<Outcome> {
    let [mut sender, mut receiver] = signalled_hosts::<S>()?;
    let mut source = Source::new(size, total, 0);
    let count = source.end();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let _ended = Ended(&ended);
            send(&mut sender, &mut source, &ended).map(|()| sender.sizes)
        });
        let received = {
            let _ended = Ended(&ended);
            receive(&mut receiver, count, &ended)
        };
        let mut sizes = sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        let meter = received?;
        receiver.end.sink.check()?;
        sizes.add(&receiver.sizes);
        Ok(outcome(&sizes, receiver.end.sink.bytes, meter))
    })
}

fn send<S: Stack>(host: &mut Host<S>, source: &mut Source, ended: &AtomicBool) -> Result<()> {
    host.drain(Instant::now())?;
    while !ended.load(Ordering::Relaxed) {
        let busy = host.receive()?;
        host.handle_timeout()?;
        if host.end.opened.is_some() {
            host.pump(source)?;
        }
        if !busy {
            host.wait(NAP)?;
        }
    }
    Ok(())
}

/// What was used up from the first message to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    wall: f64,
    cpu: f64,
}

impl From<Meter> for Used {
    fn from(meter: Meter) -> Self {
        Self { wall: meter.wall().as_secs_f64(), cpu: meter.cpu().as_secs_f64() }
    }
}

fn receive<S: Stack>(host: &mut Host<S>, count: u64, ended: &AtomicBool) -> Result<Used> {
    host.drain(Instant::now())?;
    let mut meter = None;
    while host.end.sink.messages < count {
        if ended.load(Ordering::Relaxed) {
            return Err(anyhow!("the sender gave up"));
        }
        let busy = host.receive()?;
        host.handle_timeout()?;
        if host.end.opened.is_some() && meter.is_none() {
            meter = Some(Meter::start());
        }
        if !busy {
            host.wait(NAP)?;
        }
    }
    meter.map(Used::from).context("nothing was to be sent")
}

pub(super) fn outcome(sizes: &Sizes, bytes: u64, used: Used) -> Outcome {
    Outcome::new(sizes, [("MB/s", bytes as f64 / 1e6 / used.wall), ("CPU s per GB", used.cpu / (bytes as f64 / 1e9))])
}
