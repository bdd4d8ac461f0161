//! The thread's free lists of buffers and of zlib's states, so that a connection owns one only while it holds data.
//!
//! Only buffers of a usual size are kept, and only a few: what a burst needed goes back to the allocator.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;

#[cfg(feature = "deflate")]
use zlib_rs::DeflateConfig;

#[cfg(feature = "deflate")]
use crate::deflate::{Compressor, Decompressor};

/// The size of the buffers that drivers read into, and the largest capacity that is kept.
#[cfg(feature = "std")]
pub(crate) const BUFFER_SIZE: usize = 64 << 10;

/// An empty buffer with whatever capacity is at hand, possibly none.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    #[cfg(feature = "std")]
    return thread::EMPTY.with(thread::pop).unwrap_or_default();
    #[cfg(not(feature = "std"))]
    Vec::new()
}

/// Gives a buffer back, whatever it holds.
#[inline]
pub(crate) fn give(buffer: Vec<u8>) {
    #[cfg(feature = "std")]
    if (thread::MIN_KEPT..=BUFFER_SIZE).contains(&buffer.capacity()) {
        let mut buffer = buffer;
        buffer.clear();
        thread::EMPTY.with(|list| thread::push(list, buffer));
    }
    #[cfg(not(feature = "std"))]
    drop(buffer);
}

/// A buffer of `BUFFER_SIZE` zeros, to read into.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn take_filled() -> Vec<u8> {
    thread::FILLED.with(thread::pop).unwrap_or_else(|| alloc::vec![0; BUFFER_SIZE])
}

/// Gives a buffer from [`take_filled`] back, into whose first `used` bytes something was read. They are cleared: a stream
/// that counts bytes which it never wrote would make another connection receive them.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn give_filled(mut buffer: Vec<u8>, used: usize) {
    if buffer.len() == BUFFER_SIZE {
        buffer.get_mut(..used).unwrap_or_default().fill(0);
        thread::FILLED.with(|list| thread::push(list, buffer));
    }
}

/// A compressor like this that has seen nothing, if one is at hand.
#[cfg(feature = "deflate")]
pub(crate) fn take_compressor(config: &DeflateConfig) -> Option<Box<Compressor>> {
    let mut compressor = thread::COMPRESSORS.with(|list| thread::pop_where(list, |kept| kept.is(config)))?;
    compressor.reset();
    Some(compressor)
}

/// Gives a compressor back, whatever it has seen.
#[cfg(feature = "deflate")]
pub(crate) fn give_compressor(compressor: Box<Compressor>) {
    thread::COMPRESSORS.with(|list| thread::push_latest(list, compressor));
}

/// A decompressor that has seen nothing, if one is at hand.
#[cfg(feature = "deflate")]
pub(crate) fn take_decompressor() -> Option<Box<Decompressor>> {
    let mut decompressor = thread::DECOMPRESSORS.with(|list| thread::pop_where(list, |_| true))?;
    decompressor.reset();
    Some(decompressor)
}

/// Gives a decompressor back, whatever it has seen.
#[cfg(feature = "deflate")]
pub(crate) fn give_decompressor(decompressor: Box<Decompressor>) {
    thread::DECOMPRESSORS.with(|list| thread::push_latest(list, decompressor));
}

#[cfg(feature = "std")]
mod thread {
    use alloc::vec::Vec;
    use core::cell::RefCell;
    use std::thread::LocalKey;

    #[cfg(feature = "deflate")]
    pub(super) use self::states::*;

    /// Smaller buffers are not worth keeping.
    pub(super) const MIN_KEPT: usize = 1 << 10;

    /// How many buffers of each sort a thread keeps.
    const MAX_KEPT: usize = 8;

    pub(super) type List<T> = RefCell<Vec<T>>;

    /// A list of the thread, which may be ending and have none any more.
    pub(super) struct Local<T: 'static>(&'static LocalKey<List<T>>);

    impl<T> Local<T> {
        #[inline]
        pub(super) fn with<R: Default>(&self, act: impl FnOnce(&List<T>) -> R) -> R {
            self.0.try_with(act).unwrap_or_default()
        }
    }

    std::thread_local! {
        static EMPTY_LIST: List<Vec<u8>> = const { RefCell::new(Vec::new()) };
        static FILLED_LIST: List<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    pub(super) const EMPTY: Local<Vec<u8>> = Local(&EMPTY_LIST);
    pub(super) const FILLED: Local<Vec<u8>> = Local(&FILLED_LIST);

    #[inline]
    pub(super) fn pop<T>(list: &List<T>) -> Option<T> {
        list.borrow_mut().pop()
    }

    #[inline]
    pub(super) fn push(list: &List<Vec<u8>>, buffer: Vec<u8>) {
        let mut list = list.borrow_mut();
        if list.len() < MAX_KEPT {
            list.push(buffer);
        }
    }

    #[cfg(feature = "deflate")]
    mod states {
        use alloc::boxed::Box;
        use alloc::vec::Vec;
        use core::cell::RefCell;

        use super::{List, Local};
        use crate::deflate::{Compressor, Decompressor};

        /// How many states of each sort a thread keeps. A compressor has up to half a megabyte.
        const MAX_STATES: usize = 4;

        std::thread_local! {
            static COMPRESSOR_LIST: List<Box<Compressor>> = const { RefCell::new(Vec::new()) };
            static DECOMPRESSOR_LIST: List<Box<Decompressor>> = const { RefCell::new(Vec::new()) };
        }
        pub(crate) const COMPRESSORS: Local<Box<Compressor>> = Local(&COMPRESSOR_LIST);
        pub(crate) const DECOMPRESSORS: Local<Box<Decompressor>> = Local(&DECOMPRESSOR_LIST);

        /// Takes the latest that fits.
        pub(crate) fn pop_where<T>(list: &List<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
            let mut list = list.borrow_mut();
            let at = list.iter().rposition(fits)?;
            Some(list.remove(at))
        }

        /// Keeps it in the place of the oldest, which may be of a sort that nobody needs any more.
        pub(crate) fn push_latest<T>(list: &List<T>, state: T) {
            let mut list = list.borrow_mut();
            if list.len() == MAX_STATES {
                list.remove(0);
            }
            list.push(state);
        }
    }
}
