//! The global allocator of the tests that count what is allocated.

#![allow(unsafe_code)] // a global allocator is unsafe to write
#![allow(dead_code, reason = "not every test looks at every counter")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts per thread. A reallocation counts as a new block beside the old one, which is the worst it can be, unless the
/// test asks to [count growth in place](count_growth_in_place).
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
    static IN_PLACE: Cell<bool> = const { Cell::new(false) };
}

/// From now on a reallocation in this thread counts as the difference alone. That is what it costs where the system's
/// allocator remaps pages, as it does for large blocks; small ones, which it may move, weigh little in a peak.
pub(crate) fn count_growth_in_place() {
    IN_PLACE.with(|in_place| in_place.set(true));
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

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if IN_PLACE.try_with(Cell::get).unwrap_or_default() {
            count(|counters| {
                counters.held += new_size as isize - layout.size() as isize;
                counters.peak = counters.peak.max(counters.held);
                counters.allocations += 1;
                counters.allocated += new_size.saturating_sub(layout.size());
            });
            // SAFETY: passed on.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller has promised that the new size makes a layout.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the layout is valid, and not empty, by the same promise.
        let new_block = unsafe { self.alloc(new_layout) };
        if !new_block.is_null() {
            // SAFETY: both blocks are at least this long, and they are two.
            unsafe { block.copy_to_nonoverlapping(new_block, layout.size().min(new_size)) };
            // SAFETY: the caller has promised that the block has this layout.
            unsafe { self.dealloc(block, layout) };
        }
        new_block
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

pub(crate) fn held() -> isize {
    counters().held
}

/// Asserts that `work` allocates nothing.
#[track_caller]
pub(crate) fn assert_allocates_nothing(what: &str, work: impl FnOnce()) {
    let before = counters();
    work();
    let after = counters();
    assert_eq!(after.allocations - before.allocations, 0, "{what}");
}
