//! The thread's free lists of buffers, so that a connection owns one only while it holds data.
//!
//! Only buffers of a usual size are kept, and only a few: what a burst needed goes back to the allocator.

use alloc::vec::Vec;

/// The size of the buffers that drivers read into.
#[cfg(feature = "std")]
pub(crate) const BUFFER_SIZE: usize = 64 << 10;

/// An empty buffer with whatever capacity is at hand, possibly none.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    #[cfg(feature = "std")]
    return thread::BUFFERS.with(thread::pop).unwrap_or_default();
    #[cfg(not(feature = "std"))]
    Vec::new()
}

/// Gives a buffer back, whatever it holds.
#[inline]
pub(crate) fn give(buffer: Vec<u8>) {
    #[cfg(feature = "std")]
    if thread::is_worth_keeping(&buffer) {
        let mut buffer = buffer;
        buffer.clear();
        thread::BUFFERS.with(|list| thread::push(list, buffer));
    }
    #[cfg(not(feature = "std"))]
    drop(buffer);
}

#[cfg(feature = "std")]
pub(crate) mod thread {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use std::thread::LocalKey;

    /// Smaller buffers are not worth keeping.
    pub(crate) const LEAST_KEPT: usize = 1 << 10;

    /// Nor are larger ones: answers to what one read brought, and one more, fit in.
    const MAX_KEPT_SIZE: usize = 2 * super::BUFFER_SIZE;

    /// How many buffers of each sort a thread keeps.
    const MAX_KEPT: usize = 8;

    /// Whether the buffer is of a usual size.
    #[inline]
    pub(crate) fn is_worth_keeping(buffer: &Vec<u8>) -> bool {
        (LEAST_KEPT..=MAX_KEPT_SIZE).contains(&buffer.capacity())
    }

    pub(crate) type List<T> = RefCell<Vec<T>>;

    /// A list of the thread, which may be ending and have none any more.
    pub(crate) struct Local<T: 'static>(pub(crate) &'static LocalKey<List<T>>);

    impl<T> Local<T> {
        #[inline]
        pub(crate) fn with<R: Default>(&self, act: impl FnOnce(&List<T>) -> R) -> R {
            self.0.try_with(act).unwrap_or_default()
        }
    }

    std::thread_local! {
        static LIST: List<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    pub(super) const BUFFERS: Local<Vec<u8>> = Local(&LIST);

    #[inline]
    pub(crate) fn pop<T>(list: &List<T>) -> Option<T> {
        list.borrow_mut().pop()
    }

    #[inline]
    pub(crate) fn push<T>(list: &List<T>, item: T) {
        let mut list = list.borrow_mut();
        if list.len() < MAX_KEPT {
            list.push(item);
        }
    }
}
