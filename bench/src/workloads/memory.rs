//! W4: memory of an idle endpoint.

use std::time::Duration;

use anyhow::Result;

use super::{UNLIMITED, short_path};
use crate::memory::heap_in_use;
use crate::message::Source;
use crate::pair::Pair;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::Stack;

/// The messages of what is sent before.
const MESSAGE: usize = 16 * 1024;
/// How long a pair has been idle when it is looked at, in virtual time.
const IDLE: Duration = Duration::from_secs(5);

pub(super) fn idle<S: Stack>(pairs: usize, sent_before: u64) -> Result<Outcome> {
    // What is made once is of no endpoint.
    Pair::<S>::connected(None, short_path())?;
    let mut sizes = Sizes::default();
    let before = heap_in_use();
    let mut stacks = Vec::with_capacity(2 * pairs);
    for _ in 0..pairs {
        let mut pair = Pair::<S>::connected(None, short_path())?;
        if sent_before > 0 {
            pair.transfer(&mut Source::new(MESSAGE, sent_before, 0), None, UNLIMITED)?;
        }
        pair.run_until(pair.now + IDLE)?;
        sizes.add(&pair.sizes());
        stacks.extend(pair.ends.map(|end| end.stack));
    }
    let heap = heap_in_use().saturating_sub(before) as f64 / stacks.len().max(1) as f64;
    Ok(Outcome::new(
        &sizes,
        [("kB of heap per endpoint", heap / 1e3), ("kB of them in place", size_of::<S>() as f64 / 1e3)],
    ))
}
