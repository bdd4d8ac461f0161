//! The global allocator of the tests that count what is allocated.

#![allow(unsafe_code)] // a global allocator is unsafe to write
#![allow(dead_code, reason = "not every test looks at every counter")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts per thread. A reallocation counts as a new block beside the old one, which is the worst it can be.
struct Counting;

#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Bytes held now; negative if this thread freed what another had allocated.
    pub(crate) held: isize,
    pub(crate) peak: isize,
    pub(crate) allocations: usize,
    /// Bytes ever allocated.
    pub(crate) allocated: usize,
}

thread_local! {
    static COUNTERS: Cell<Counters> = const {
        Cell::new(Counters { held: 0, peak: 0, allocations: 0, allocated: 0 })
    };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|counters| {
            counters.held += layout.size() as isize;
            counters.peak = counters.peak.max(counters.held);
            counters.allocations += 1;
            counters.allocated += layout.size();
        });
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(|counters| counters.held -= layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

pub(crate) fn count(change: impl FnOnce(&mut Counters)) {
    let _ = COUNTERS.try_with(|cell| {
        let mut counters = cell.get();
        change(&mut counters);
        cell.set(counters);
    });
}

pub(crate) fn counters() -> Counters {
    COUNTERS.with(Cell::get)
}
