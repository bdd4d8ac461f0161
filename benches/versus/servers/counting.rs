//! The global allocator: the system's, with two counters, at the same cost for all servers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Bytes on the heap now.
pub fn live() -> u64 {
    LIVE.load(Relaxed)
}

/// Blocks ever allocated, a reallocation being one more.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// A server has one thread, so that an addition need not be atomic, which would cost more.
#[inline]
fn add(counter: &AtomicU64, change: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(change as u64), Relaxed);
}

// SAFETY: every call is passed on to the system's allocator; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(&LIVE, layout.size());
        add(&ALLOCATIONS, 1);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(&LIVE, layout.size());
        add(&ALLOCATIONS, 1);
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(&LIVE, layout.size().wrapping_neg());
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(&LIVE, new_size.wrapping_sub(layout.size()));
        add(&ALLOCATIONS, 1);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
