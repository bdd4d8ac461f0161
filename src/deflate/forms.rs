//! The compressed forms of a message for many.

use alloc::sync::Arc;
use std::sync::OnceLock;

use super::{Deflater, WindowBits};
use crate::pool;

/// One form for each size of window, made when the first connection needs it. What was compressed in one window can be
/// inflated in that of any connection, if it is not smaller.
#[derive(Clone)]
pub(crate) struct Forms<T>(Arc<[OnceLock<Option<T>>; WINDOWS]>);

/// From 9 to 15 bits.
const WINDOWS: usize = 7;

impl<T> Forms<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new([const { OnceLock::new() }; WINDOWS]))
    }

    /// The form for the window of `deflater`, or nothing if the message would grow.
    pub(crate) fn get(&self, deflater: &Deflater, payload: &[u8], form: impl FnOnce(&[u8]) -> T) -> Option<&T> {
        let window = usize::from(WindowBits::MAX.bits() - deflater.window_bits());
        let made = self.0.get(window)?.get_or_init(|| {
            let compressed = deflater.apart(payload)?;
            let made = form(&compressed);
            pool::give(compressed);
            Some(made)
        });
        made.as_ref()
    }
}
