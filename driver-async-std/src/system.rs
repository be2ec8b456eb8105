//! What a peer needs of the system: time, addresses and entropy.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use peer_core::InterfaceAddress;
use proto_machine::{Seed, Timestamp};

/// Monotonic time since a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    /// The moment as a timer wants it; `None` if it lies beyond what the system can express.
    pub(crate) fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.start.checked_add(at.since_epoch())
    }
}

/// Time since the Unix epoch, zero if the system's clock is set before 1970.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The addresses of all interfaces that are up, loopback and link-local ones included: which of them become candidates is for the configuration to say.
///
/// # Errors
/// What the system says if it cannot list them.
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let up = interfaces.into_iter().filter(if_addrs::Interface::is_oper_up);
    Ok(up
        .map(|interface| InterfaceAddress { address: interface.ip(), index: interface.index.unwrap_or_default() })
        .collect())
}

/// A seed from the system's generator.
pub(crate) fn system_seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::from_bytes(bytes))
}
