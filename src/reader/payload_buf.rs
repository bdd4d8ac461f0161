//! Reading a large payload straight into the buffer of its message.

use core::{fmt, ptr};

use bytes::{BufMut, buf::UninitSlice};

use super::Reader;
use super::assembly::Assembly;

/// Room for the payload under way, from [`Reader::payload_buf`]. What is read into it is unmasked and validated as it
/// is counted.
///
/// It is a [`BufMut`] for transports that fill uninitialized memory; [`spare`](Self::spare) and
/// [`advance`](Self::advance) serve those that need `&mut [u8]`.
pub struct PayloadBuf<'a> {
    reader: &'a mut Reader,
}

impl<'a> PayloadBuf<'a> {
    pub(super) fn new(reader: &'a mut Reader) -> Self {
        Self { reader }
    }

    /// How many bytes fit now: never beyond the end of the frame.
    pub fn room(&self) -> usize {
        let remaining = usize::try_from(self.reader.frame_remaining()).unwrap_or(usize::MAX);
        let buffer = self.reader.assembly.as_ref().map(|assembly| &assembly.buffer);
        buffer.map_or(0, |buffer| buffer.capacity() - buffer.len()).min(remaining)
    }

    /// The room as bytes. None of them shows what the memory held before.
    #[allow(unsafe_code)]
    pub fn spare(&mut self) -> &mut [u8] {
        let room = self.room();
        let Some(assembly) = &mut self.reader.assembly else { return &mut [] };
        let Assembly { buffer, initialized, .. } = &mut **assembly;
        let already = initialized.saturating_sub(buffer.len()).min(room);
        *initialized = buffer.len() + room;
        let Some(spare) = buffer.spare_capacity_mut().get_mut(..room) else {
            return &mut [];
        };
        for byte in spare.iter_mut().skip(already) {
            byte.write(0);
        }
        // SAFETY: the first `already` bytes were initialized by an earlier call, and the buffer was neither grown nor
        // given away since, which both reset `initialized`; the rest was initialized just now.
        unsafe { &mut *(ptr::from_mut(spare) as *mut [u8]) }
    }

    /// Counts bytes that were read into [`spare`](Self::spare), as many as it had at most.
    #[allow(unsafe_code)]
    pub fn advance(&mut self, count: usize) {
        let room = self.room();
        let Some(Assembly { buffer, initialized, .. }) = self.reader.assembly.as_deref_mut() else { return };
        let from = buffer.len();
        let count = count.min(room).min(initialized.saturating_sub(from));
        // SAFETY: within the capacity, and `spare` has initialized that much.
        unsafe { buffer.set_len(from + count) };
        self.reader.absorb(from);
    }
}

#[allow(unsafe_code)]
// SAFETY: `chunk_mut` is the spare capacity up to `room`, and `advance_mut` makes just that part of the buffer.
unsafe impl BufMut for PayloadBuf<'_> {
    fn remaining_mut(&self) -> usize {
        self.room()
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        let room = self.room();
        let spare = self.reader.assembly.as_mut().map(|assembly| assembly.buffer.spare_capacity_mut());
        UninitSlice::uninit(spare.and_then(|spare| spare.get_mut(..room)).unwrap_or_default())
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        let room = self.room();
        let Some(Assembly { buffer, .. }) = self.reader.assembly.as_deref_mut() else { return };
        let from = buffer.len();
        // SAFETY: within the capacity, and the caller has initialized that much.
        unsafe { buffer.set_len(from + count.min(room)) };
        self.reader.absorb(from);
    }
}

impl fmt::Debug for PayloadBuf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadBuf({} bytes of room)", self.room())
    }
}
