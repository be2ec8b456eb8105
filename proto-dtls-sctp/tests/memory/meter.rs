//! How much of the heap is taken, by whom it is asked.

use allocation_counter::AllocationInfo;

/// What one machine has of the heap: every call of it is measured, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Bytes, as they were asked for.
    held: i64,
    peak: i64,
    calls: u64,
    allocations: u64,
}

impl Meter {
    /// Runs something that the machine does. What it returns must not be of the heap.
    pub(crate) fn measure<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let mut result = None;
        let AllocationInfo { count_total, bytes_current, bytes_max, .. } =
            allocation_counter::measure(|| result = Some(run()));
        self.peak = self.peak.max(self.held + i64::try_from(bytes_max).unwrap());
        self.held += bytes_current;
        self.calls += 1;
        self.allocations += count_total;
        result.unwrap()
    }

    pub(crate) fn peak(&self) -> usize {
        usize::try_from(self.peak).unwrap()
    }

    pub(crate) fn held(&self) -> usize {
        usize::try_from(self.held).unwrap()
    }

    /// Allocations so far.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocations
    }
}

/// Runs something whose allocations are not the machine's.
pub(crate) fn aside<R>(run: impl FnOnce() -> R) -> R {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(run()));
    result.unwrap()
}

#[test]
fn what_is_held_and_what_was_held_for_a_moment_are_told_apart() {
    let mut meter = Meter::default();
    let mut kept = Vec::new();
    meter.measure(|| {
        drop(std::hint::black_box(vec![0_u8; 5000]));
        kept = std::hint::black_box(vec![0_u8; 1000]);
    });
    assert_eq!((meter.held(), meter.peak()), (1000, 5000));
    meter.measure(|| aside(|| drop(std::hint::black_box(vec![0_u8; 9000]))));
    // What others have given away is taken off when it is freed.
    assert_eq!(meter.peak(), 5000);
    meter.measure(|| kept = Vec::new());
    assert_eq!(meter.allocations(), 2);
}
