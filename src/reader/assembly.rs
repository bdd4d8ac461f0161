//! A message under way: what was received of it, and what is still to be known of it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{BLOCK, Frame};
use crate::error::ProtocolError;
use crate::mask::{self, mask, mask_copy};
use crate::message::Kind;
use crate::pool;
#[cfg(feature = "std")]
use crate::pool::thread;
use crate::utf8::Utf8;

/// A message that is being received, until it was lent.
#[derive(Default)]
pub(super) struct Assembly {
    /// Nothing once its last frame has come in full: then it is only lent.
    pub(super) message: Option<Unfinished>,
    /// What was received of the message, or the whole of it while it is lent.
    pub(super) buffer: Vec<u8>,
    /// How far the spare capacity of `buffer` has been initialized, counted from its start.
    pub(super) initialized: usize,
    /// The character that a cut divided, while it is lent as a part.
    pub(super) character: [u8; 4],
}

/// A message whose last frame has not come, or not come in full.
pub(super) struct Unfinished {
    pub(super) kind: Kind,
    pub(super) handling: Handling,
    /// It is inflated as it comes (RFC 7692 §6).
    pub(super) compressed: bool,
    pub(super) utf8: Utf8,
    pub(super) fragments: u32,
    /// The announced lengths of its frames so far.
    pub(super) announced: u64,
}

impl Unfinished {
    #[inline]
    pub(super) fn new(kind: Kind, compressed: bool) -> Self {
        let (handling, utf8) = (Handling::Assembled, Utf8::default());
        Self { kind, handling, compressed, utf8, fragments: 0, announced: 0 }
    }
}

/// What becomes of a message's payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// It is put together in the buffer, as long as no part of it was lent.
    Assembled,
    /// Its parts are lent as they come.
    Parts,
    /// Parts were lent, then a whole message was asked for: the rest is skipped.
    Discarded,
}

impl Assembly {
    /// Whether the message is being put together.
    pub(super) fn is_assembling(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.handling == Handling::Assembled)
    }

    /// Whether payload may be read straight into the buffer.
    pub(super) fn is_open_for_reads(&self) -> bool {
        self.is_assembling() && self.message.as_ref().is_some_and(|message| !message.compressed)
    }

    /// Appends payload of the frame.
    pub(super) fn append(&mut self, payload: &[u8], frame: Frame, limit: usize) -> Result<(), ProtocolError> {
        if payload.is_empty() {
            return Ok(());
        }
        self.reserve(payload.len(), frame, limit);
        let mut key = frame.key;
        // Each block is moved, unmasked and validated while it is in the first-level cache.
        for block in payload.chunks(BLOCK) {
            let at = self.buffer.len();
            let is_ascii = mask_copy(&mut self.buffer, block, key);
            key = mask::advance(key, block.len());
            validate(&mut self.message, self.buffer.get(at..).unwrap_or_default(), is_ascii)?;
        }
        Ok(())
    }

    /// Unmasks and validates what the buffer has behind its first `from` bytes.
    pub(super) fn unmask(&mut self, from: usize, mut key: [u8; 4]) -> Result<(), ProtocolError> {
        for block in self.buffer.get_mut(from..).unwrap_or_default().chunks_mut(BLOCK) {
            let is_ascii = mask(block, key);
            key = mask::advance(key, block.len());
            validate(&mut self.message, block, is_ascii)?;
        }
        Ok(())
    }

    /// Makes room for `arriving` bytes of the frame, and for more that will come up to the `limit` of the message:
    /// memory follows what was received, never what was announced.
    #[inline]
    pub(super) fn reserve(&mut self, arriving: usize, frame: Frame, limit: usize) {
        self.take_buffer();
        if self.buffer.capacity() - self.buffer.len() < arriving {
            self.grow(arriving, frame, limit);
        }
    }

    #[inline(never)]
    fn grow(&mut self, arriving: usize, frame: Frame, limit: usize) {
        let len = self.buffer.len();
        let frame_rest = usize::try_from(frame.remaining).unwrap_or(usize::MAX);
        let (least, most) =
            if frame.fin { (LARGE_GROWTH, frame_rest) } else { (SMALL_GROWTH, limit.saturating_sub(len)) };
        let additional = len.max(least);
        // A small rest is not worth growing once more.
        let additional = if most <= additional + SMALL_GROWTH { most } else { additional };
        #[cfg(feature = "std")]
        let additional = additional.max(thread::LEAST_KEPT);
        self.buffer.reserve_exact(additional.max(arriving));
        self.initialized = 0;
    }

    /// Makes sure that there is a buffer, whatever its size.
    #[inline]
    pub(super) fn take_buffer(&mut self) {
        if self.buffer.capacity() == 0 {
            self.buffer = pool::take();
            self.initialized = 0;
        }
    }

    /// Takes back what was lent while the message goes on.
    pub(super) fn discard_lent(&mut self) {
        if self.is_assembling() {
            self.initialized = 0;
        } else {
            self.discard_buffer();
        }
    }

    pub(super) fn discard_buffer(&mut self) {
        self.initialized = 0;
        pool::give(core::mem::take(&mut self.buffer));
    }

    /// One of the thread's, if it has any, perhaps with a buffer.
    #[inline]
    pub(super) fn take() -> Box<Self> {
        #[cfg(feature = "std")]
        return spare::LIST.with(thread::pop).unwrap_or_default();
        #[cfg(not(feature = "std"))]
        Box::default()
    }

    /// Gives it back, empty. What a large message needed goes back to the allocator.
    #[inline]
    pub(super) fn give(self: Box<Self>) {
        #[cfg(feature = "std")]
        {
            let mut assembly = self;
            (assembly.message, assembly.initialized) = (None, 0);
            assembly.buffer.clear();
            if !thread::is_worth_keeping(&assembly.buffer) {
                assembly.buffer = Vec::new();
            }
            spare::LIST.with(|list| thread::push(list, assembly));
        }
        #[cfg(not(feature = "std"))]
        drop(self);
    }
}

/// Validates the next piece of a text, which may be known to be ASCII.
#[inline]
fn validate(message: &mut Option<Unfinished>, piece: &[u8], is_ascii: bool) -> Result<(), ProtocolError> {
    match message {
        Some(message) if message.kind == Kind::Text && !(is_ascii && message.utf8.carried() == 0) => {
            message.utf8.push(piece).map(drop).map_err(|_| ProtocolError::InvalidUtf8)
        }
        _ => Ok(()),
    }
}

#[cfg(feature = "std")]
mod spare {
    use super::{Assembly, Box};
    use crate::pool::thread::{List, Local};
    use core::cell::RefCell;

    std::thread_local! {
        static THREAD: List<Box<Assembly>> = const { RefCell::new(alloc::vec::Vec::new()) };
    }
    pub(super) const LIST: Local<Box<Assembly>> = Local(&THREAD);
}

/// The least growth of the buffer while the rest of the message is known, and while it is not. The first growth and the
/// assembly itself are less than 64 KiB together.
const LARGE_GROWTH: usize = (64 << 10) - 128;
const SMALL_GROWTH: usize = 4 << 10;
