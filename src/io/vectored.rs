//! Writing many chunks of the outbox at once.

use std::io::IoSlice;

use bytes::Buf;

use crate::outbox::Outbox;

/// How many chunks go into one write.
const SLICES: usize = 16;

/// Shows the first chunks of the outbox to `write`.
pub(crate) fn with_slices<R>(outbox: &Outbox, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = outbox.chunks_vectored(&mut slices);
    write(slices.get(..count).unwrap_or_default())
}
