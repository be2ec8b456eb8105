//! What malloc hands out: calls while they are counted, and bytes in use.
#![expect(unsafe_code, reason = "an allocator that counts has to be one, and glibc tells its figures through C only")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with a counter in front. While it does not count it costs one branch.
#[derive(Debug)]
pub struct CountingAllocator;

/// Counts allocations while `run` runs. Those of C libraries are not among them.
pub fn count_allocations<R>(run: impl FnOnce() -> R) -> (R, u64) {
    let before = CALLS.load(Relaxed);
    COUNTING.store(true, Relaxed);
    let result = run();
    COUNTING.store(false, Relaxed);
    (result, CALLS.load(Relaxed) - before)
}

/// Bytes that glibc has handed out and not got back, those of C libraries and malloc's own overhead included.
#[must_use]
pub fn heap_in_use() -> usize {
    // SAFETY: mallinfo2 has no preconditions; it fills a plain structure of integers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn note() {
    if COUNTING.load(Relaxed) {
        CALLS.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
