//! The bytes that wait to leave, as a [`bytes::Buf`].
//!
//! ```text
//!  bytes:   [ gone | header payload header payload header │ header payload ... ]
//!                  ▲ start                                ▲ at
//!  by_reference:                                          └ a large payload that was not copied
//! ```
//! Small payloads are copied behind their headers, so that many messages leave in one write. A large payload that the
//! message owns stays where it is and leaves between the bytes before and after its place.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::fmt;

use bytes::{Buf, Bytes};

use crate::config::MaskingKey;
use crate::frame::{HeaderBytes, MAX_CONTROL_PAYLOAD, Opcode, Start};
use crate::mask::mask_copy;
use crate::message::{Payload, Reply};
use crate::pool;
#[cfg(feature = "std")]
use crate::pool::thread;

/// Up to this many bytes a copy costs less than one more slice in a vectored write.
const COPY_UP_TO: usize = 4 << 10;

/// The size of an empty frame of a client.
const SMALLEST_FRAME: usize = 6;

/// How many bytes of pongs may wait: sixteen of the largest. Beyond that only the latest is kept (RFC 6455 §5.5.3), so
/// that a flood of pings cannot grow memory.
const REPLY_ROOM: usize = 16 * (SMALLEST_FRAME + MAX_CONTROL_PAYLOAD);

/// Bytes waiting to leave; the transport takes them through [`bytes::Buf`].
///
/// `remaining` is what waits, `chunk` and `chunks_vectored` show it, and `advance` tells how much was written; it
/// never panics, too large a count just empties the outbox.
pub struct Outbox {
    /// How a client draws its keys; servers do not mask.
    masking_key: Option<MaskingKey>,
    bytes: Vec<u8>,
    /// How many of `bytes` have left.
    start: usize,
    /// How many bytes have left since the beginning.
    written: u64,
    by_reference: Option<Box<ByReference>>,
    /// Where in `bytes` the last pong ends, and how many bytes of pongs may still wait before it.
    pongs_end: usize,
    pong_bytes: usize,
    latest_pong: Option<Box<Reply>>,
}

/// Payloads that were not copied, each with its place in `bytes`.
#[derive(Default)]
struct ByReference {
    payloads: VecDeque<(usize, Bytes)>,
    len: usize,
}

impl ByReference {
    /// With room from an earlier one, if there is any.
    fn take() -> Box<Self> {
        #[cfg(feature = "std")]
        return spare::REFERENCES.with(thread::pop).unwrap_or_default();
        #[cfg(not(feature = "std"))]
        Box::default()
    }

    /// All of them have left.
    fn give(self: Box<Self>) {
        #[cfg(feature = "std")]
        if self.payloads.capacity() <= spare::MOST {
            spare::REFERENCES.with(|list| thread::push(list, self));
        }
        #[cfg(not(feature = "std"))]
        drop(self);
    }
}

#[cfg(feature = "std")]
mod spare {
    use super::{Box, ByReference};
    use crate::pool::thread::{List, Local};
    use core::cell::RefCell;

    /// Room for more payloads than this is not kept.
    pub(super) const MOST: usize = 64;

    std::thread_local! {
        static LIST: List<Box<ByReference>> = const { RefCell::new(alloc::vec::Vec::new()) };
    }
    pub(super) const REFERENCES: Local<Box<ByReference>> = Local(&LIST);
}

impl Outbox {
    pub(crate) fn new(masking_key: Option<MaskingKey>) -> Self {
        Self {
            masking_key,
            bytes: Vec::new(),
            start: 0,
            written: 0,
            by_reference: None,
            pongs_end: 0,
            pong_bytes: 0,
            latest_pong: None,
        }
    }

    /// Bytes that are no frames.
    #[cfg(all(feature = "std", feature = "handshake"))]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut outbox = Self::new(None);
        outbox.push_bytes(bytes);
        outbox
    }

    /// How many bytes wait to leave.
    #[inline]
    pub fn queued(&self) -> usize {
        self.bytes.len() - self.start + self.by_reference.as_ref().map_or(0, |large| large.len)
    }

    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Drops everything that waits.
    #[cfg(feature = "std")]
    pub(crate) fn clear(&mut self) {
        *self = Self { written: self.written, ..Self::new(self.masking_key) };
    }

    /// Takes out everything that waits.
    #[cfg(feature = "std")]
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new(self.masking_key))
    }

    /// The bytes to write next, see [`Buf::chunk`]. Empty if nothing waits.
    #[inline]
    pub fn chunk(&self) -> &[u8] {
        match self.next_reference() {
            Some((at, payload)) if *at == self.start => payload,
            _ => self.bytes.get(self.start..self.run_end()).unwrap_or_default(),
        }
    }

    /// Takes what was written, see [`Buf::advance`].
    #[inline]
    pub fn advance(&mut self, count: usize) {
        if self.by_reference.is_some() || self.pong_bytes > 0 {
            return self.advance_all(count);
        }
        let count = count.min(self.bytes.len() - self.start);
        self.start += count;
        self.written += count as u64;
        self.release();
    }

    /// The same, whatever waits.
    fn advance_all(&mut self, mut count: usize) {
        while count > 0 {
            let run = count.min(self.run_end() - self.start);
            self.start += run;
            count -= run;
            let taken = self.advance_reference(count);
            count -= taken;
            if run + taken == 0 {
                break;
            }
            self.written += (run + taken) as u64;
        }
        if self.start >= self.pongs_end {
            self.pong_bytes = 0;
            self.push_latest_pong();
        }
        self.release();
    }

    pub(crate) fn is_masking(&self) -> bool {
        self.masking_key.is_some()
    }

    /// Queues bytes as they are: a handshake, or frames that were encoded before.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The same without a copy, if they are many.
    pub(crate) fn push_shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_UP_TO { self.push_bytes(bytes) } else { self.push_reference(bytes.clone()) }
    }

    /// Queues one frame; a copy of the payload is masked by a client.
    pub(crate) fn push_frame(&mut self, start: Start, payload: &[u8]) {
        self.reserve(HeaderBytes::ROOM + payload.len());
        if let Some(key) = self.push_header(start, payload.len()) {
            mask_copy(&mut self.bytes, payload, key);
        } else {
            self.bytes.extend_from_slice(payload);
        }
    }

    /// Queues one frame, its payload without a copy if that is possible and worth it.
    #[inline]
    pub(crate) fn push_payload(&mut self, start: Start, payload: Payload<'_>) {
        if payload.len() <= COPY_UP_TO || self.is_masking() {
            self.push_frame(start, &payload);
        } else {
            self.push_large(start, payload);
        }
    }

    fn push_large(&mut self, start: Start, payload: Payload<'_>) {
        match payload.try_into_bytes() {
            Ok(bytes) => {
                self.reserve(HeaderBytes::ROOM);
                self.push_header(start, bytes.len());
                self.push_reference(bytes);
            }
            Err(payload) => self.push_frame(start, &payload),
        }
    }

    /// Queues a reply, for which there is always room.
    pub(crate) fn push_reply(&mut self, reply: Reply) {
        if reply.opcode == Opcode::Pong && self.pong_bytes >= REPLY_ROOM {
            match &mut self.latest_pong {
                Some(latest) => **latest = reply,
                none => *none = Some(Box::new(reply)),
            }
            return;
        }
        self.push_latest_pong();
        self.push_frame(Start::whole(reply.opcode), reply.payload());
        self.pong_bytes += SMALLEST_FRAME + reply.payload().len();
        self.pongs_end = self.bytes.len();
    }

    fn push_latest_pong(&mut self) {
        if let Some(pong) = self.latest_pong.take() {
            self.push_frame(Start::whole(pong.opcode), pong.payload());
            self.pongs_end = self.bytes.len();
        }
    }

    #[inline]
    fn push_header(&mut self, start: Start, len: usize) -> Option<[u8; 4]> {
        let mask = self.masking_key.map(|draw| draw());
        start.header(mask, len as u64).append_to(&mut self.bytes);
        mask
    }

    fn push_reference(&mut self, payload: Bytes) {
        let large = self.by_reference.get_or_insert_with(ByReference::take);
        large.len += payload.len();
        large.payloads.push_back((self.bytes.len(), payload));
    }

    #[inline]
    fn reserve(&mut self, additional: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes = pool::take();
        }
        if self.bytes.capacity() - self.bytes.len() < additional {
            self.make_room(additional);
        }
    }

    /// Drops what has left before the buffer grows. Each byte is moved at most once for one that left, so that the
    /// cost stays linear however little the peer reads at a time.
    #[cold]
    fn make_room(&mut self, additional: usize) {
        if self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            if let Some(large) = &mut self.by_reference {
                large.payloads.iter_mut().for_each(|(at, _)| *at -= self.start);
            }
            self.pongs_end = self.pongs_end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 && additional < 4 << 10 {
            self.bytes.reserve_exact(4 << 10);
        }
        self.bytes.reserve(additional);
    }

    /// Where the bytes before the next payload by reference end.
    #[inline]
    fn run_end(&self) -> usize {
        self.next_reference().map_or(self.bytes.len(), |(at, _)| *at)
    }

    #[inline]
    fn next_reference(&self) -> Option<&(usize, Bytes)> {
        self.by_reference.as_ref()?.payloads.front()
    }

    /// Takes up to `count` bytes of the payload by reference that is due, and tells how many.
    fn advance_reference(&mut self, count: usize) -> usize {
        let Some(large) = &mut self.by_reference else { return 0 };
        let Some((_, payload)) = large.payloads.front_mut().filter(|(at, _)| *at == self.start) else { return 0 };
        let taken = count.min(payload.len());
        payload.advance(taken);
        large.len -= taken;
        if payload.is_empty() {
            large.payloads.pop_front();
        }
        if large.payloads.is_empty()
            && let Some(large) = self.by_reference.take()
        {
            large.give();
        }
        taken
    }

    /// Gives the buffer back once all of it has left.
    #[inline]
    fn release(&mut self) {
        if self.start == self.bytes.len() && self.by_reference.is_none() {
            self.start = 0;
            self.pongs_end = 0;
            pool::give(core::mem::take(&mut self.bytes));
        }
    }
}

impl Buf for Outbox {
    #[inline]
    fn remaining(&self) -> usize {
        self.queued()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        Self::chunk(self)
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let large = self.by_reference.iter().flat_map(|large| &large.payloads);
        let ends = large.clone().map(|(at, _)| *at).chain([self.bytes.len()]);
        let starts = [self.start].into_iter().chain(large.clone().map(|(at, _)| *at));
        let runs = starts.zip(ends).map(|(start, end)| self.bytes.get(start..end).unwrap_or_default());
        let payloads = large.map(|(_, payload)| &**payload).chain([&[][..]]);
        let chunks = runs.zip(payloads).flat_map(|(run, payload)| [run, payload]).filter(|chunk| !chunk.is_empty());
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = std::io::IoSlice::new(chunk);
            count += 1;
        }
        count
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        Self::advance(self, count);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} bytes)", self.queued())
    }
}
