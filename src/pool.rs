//! The thread's free list of buffers, so that a connection owns one only while it holds data.
//!
//! Only buffers of a usual size are kept, and only a few: what a burst needed goes back to the allocator.

use alloc::vec::Vec;

/// The size of the buffers that drivers read into, and the largest capacity that is kept.
pub(crate) const BUFFER_SIZE: usize = 64 << 10;

/// Smaller buffers are not worth keeping.
#[cfg(feature = "std")]
const MIN_KEPT: usize = 1 << 10;

/// How many buffers of each sort a thread keeps.
#[cfg(feature = "std")]
const MAX_KEPT: usize = 8;

#[cfg(feature = "std")]
std::thread_local! {
    static EMPTY: core::cell::RefCell<Vec<Vec<u8>>> = const { core::cell::RefCell::new(Vec::new()) };
}

/// An empty buffer with whatever capacity is at hand, possibly none.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    #[cfg(feature = "std")]
    {
        EMPTY.try_with(|list| list.try_borrow_mut().ok()?.pop()).ok().flatten().unwrap_or_default()
    }
    #[cfg(not(feature = "std"))]
    Vec::new()
}

/// Gives a buffer back, whatever it holds; also to no effect if it is not worth keeping.
#[inline]
pub(crate) fn give(mut buffer: Vec<u8>) {
    #[cfg(feature = "std")]
    if (MIN_KEPT..=BUFFER_SIZE).contains(&buffer.capacity()) {
        buffer.clear();
        // A thread that is ending has no list any more; then the buffer is simply freed.
        let _ = EMPTY.try_with(|list| {
            if let Ok(mut list) = list.try_borrow_mut()
                && list.len() < MAX_KEPT
            {
                list.push(buffer);
            }
        });
    }
    #[cfg(not(feature = "std"))]
    buffer.clear();
}
