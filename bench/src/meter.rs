//! Wall time and CPU time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Measures from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    began: Instant,
    cpu: Duration,
}

impl Meter {
    /// Begins to measure.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_time() }
    }

    /// Wall time since.
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// CPU time since, of all threads.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        cpu_time() - self.cpu
    }
}
