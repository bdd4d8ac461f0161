//! The bytes that wait to leave, as a [`bytes::Buf`].
//!
//! ```text
//!  bytes:   [ gone | header payload header payload header │ header payload ... ]
//!                  ▲ start                                ▲ at
//!  references:                                            └ a large payload that was not copied
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
    /// How many bytes have left since the beginning.
    written: u64,
    /// There only while something waits.
    waiting: Option<Box<Waiting>>,
}

/// What waits.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of `bytes` have left.
    start: usize,
    /// Payloads that were not copied, each with its place in `bytes`, and how long they are together.
    references: VecDeque<(usize, Bytes)>,
    referenced: usize,
    /// Where in `bytes` the last pong ends, and how many bytes of pongs may still wait before it.
    pongs_end: usize,
    pong_bytes: usize,
    latest_pong: Option<Box<Reply>>,
}

impl Outbox {
    pub(crate) fn new(masking_key: Option<MaskingKey>) -> Self {
        Self { masking_key, written: 0, waiting: None }
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
        self.waiting.as_ref().map_or(0, |waiting| waiting.len())
    }

    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Drops everything that waits.
    #[cfg(feature = "std")]
    pub(crate) fn clear(&mut self) {
        self.waiting = None;
    }

    /// Takes out everything that waits, to write it elsewhere.
    #[cfg(feature = "std")]
    pub(crate) fn take(&mut self) -> Self {
        Self { waiting: self.waiting.take(), ..Self::new(self.masking_key) }
    }

    /// Counts what has left since it was [taken](Self::take) out.
    #[cfg(feature = "std")]
    pub(crate) fn count_written(&mut self, taken: &mut Self) {
        self.written += core::mem::take(&mut taken.written);
    }

    /// The bytes to write next, see [`Buf::chunk`]. Empty if nothing waits.
    #[inline]
    pub fn chunk(&self) -> &[u8] {
        self.waiting.as_ref().map_or(&[], |waiting| waiting.chunk())
    }

    /// Takes what was written, see [`Buf::advance`].
    #[inline]
    pub fn advance(&mut self, count: usize) {
        let Some(waiting) = &mut self.waiting else { return };
        if !waiting.is_plain() {
            return self.advance_all(count);
        }
        let count = count.min(waiting.len());
        waiting.start += count;
        self.written += count as u64;
        self.release();
    }

    /// The same, whatever waits.
    #[cold]
    fn advance_all(&mut self, count: usize) {
        let Some(waiting) = &mut self.waiting else { return };
        self.written += waiting.advance(count) as u64;
        if waiting.start >= waiting.pongs_end {
            waiting.pong_bytes = 0;
            self.push_latest_pong();
        }
        self.release();
    }

    /// Gives the buffers back once all of it has left.
    #[inline]
    fn release(&mut self) {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.len() == 0) {
            waiting.give();
        }
    }

    pub(crate) fn is_masking(&self) -> bool {
        self.masking_key.is_some()
    }

    /// Queues bytes as they are: a handshake, or frames that were encoded before.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.with_room(bytes.len()).bytes.extend_from_slice(bytes);
    }

    /// The same without a copy, if they are many.
    pub(crate) fn push_shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_UP_TO {
            self.push_bytes(bytes);
        } else {
            self.with_room(0).push_reference(bytes.clone());
        }
    }

    /// Queues one frame; a copy of the payload is masked by a client.
    pub(crate) fn push_frame(&mut self, start: Start, payload: &[u8]) {
        let mask = self.masking_key.map(|draw| draw());
        let waiting = self.with_room(HeaderBytes::ROOM + payload.len());
        start.header(mask, payload.len() as u64).append_to(&mut waiting.bytes);
        if let Some(key) = mask {
            mask_copy(&mut waiting.bytes, payload, key);
        } else {
            waiting.bytes.extend_from_slice(payload);
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
                let waiting = self.with_room(HeaderBytes::ROOM);
                start.header(None, bytes.len() as u64).append_to(&mut waiting.bytes);
                waiting.push_reference(bytes);
            }
            Err(payload) => self.push_frame(start, &payload),
        }
    }

    /// Queues a reply, for which there is always room. Tells whether it is one more, rather than in the place of another.
    pub(crate) fn push_reply(&mut self, reply: Reply) -> bool {
        if let Some(waiting) = &mut self.waiting
            && reply.opcode == Opcode::Pong
            && waiting.pong_bytes >= REPLY_ROOM
        {
            match &mut waiting.latest_pong {
                Some(latest) => **latest = reply,
                none => {
                    *none = Some(Box::new(reply));
                    return true;
                }
            }
            return false;
        }
        self.push_latest_pong();
        self.push_frame(Start::whole(reply.opcode), reply.payload());
        if let Some(waiting) = &mut self.waiting {
            waiting.pong_bytes += SMALLEST_FRAME + reply.payload().len();
            waiting.pongs_end = waiting.bytes.len();
        }
        true
    }

    fn push_latest_pong(&mut self) {
        let Some(pong) = self.waiting.as_mut().and_then(|waiting| waiting.latest_pong.take()) else { return };
        self.push_frame(Start::whole(pong.opcode), pong.payload());
        if let Some(waiting) = &mut self.waiting {
            waiting.pongs_end = waiting.bytes.len();
        }
    }

    #[inline]
    fn with_room(&mut self, additional: usize) -> &mut Waiting {
        let waiting = self.waiting.get_or_insert_with(Waiting::take);
        if waiting.bytes.capacity() - waiting.bytes.len() < additional {
            waiting.make_room(additional);
        }
        waiting
    }
}

impl Waiting {
    #[inline]
    fn len(&self) -> usize {
        self.bytes.len() - self.start + self.referenced
    }

    /// Neither pongs nor payloads by reference are among it.
    #[inline]
    fn is_plain(&self) -> bool {
        self.referenced == 0 && self.pong_bytes == 0
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match self.references.front() {
            Some((at, payload)) if *at == self.start => payload,
            _ => self.bytes.get(self.start..self.run_end()).unwrap_or_default(),
        }
    }

    /// Where the bytes before the next payload by reference end.
    #[inline]
    fn run_end(&self) -> usize {
        self.references.front().map_or(self.bytes.len(), |(at, _)| *at)
    }

    fn push_reference(&mut self, payload: Bytes) {
        self.referenced += payload.len();
        self.references.push_back((self.bytes.len(), payload));
    }

    /// Takes up to `count` bytes, and tells how many.
    fn advance(&mut self, count: usize) -> usize {
        let mut left = count;
        while left > 0 {
            let run = left.min(self.run_end() - self.start);
            self.start += run;
            let taken = run + self.advance_reference(left - run);
            if taken == 0 {
                break;
            }
            left -= taken;
        }
        count - left
    }

    /// Takes up to `count` bytes of the payload by reference that is due, and tells how many.
    fn advance_reference(&mut self, count: usize) -> usize {
        let due = self.references.front_mut().filter(|(at, _)| *at == self.start);
        let Some((_, payload)) = due else { return 0 };
        let taken = count.min(payload.len());
        payload.advance(taken);
        self.referenced -= taken;
        if payload.is_empty() {
            self.references.pop_front();
        }
        taken
    }

    /// Drops what has left before the buffer grows. Each byte is moved at most once for one that left, so that the
    /// cost stays linear however little the peer reads at a time.
    #[cold]
    fn make_room(&mut self, additional: usize) {
        if self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.references.iter_mut().for_each(|(at, _)| *at -= self.start);
            self.pongs_end = self.pongs_end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 && additional < 4 << 10 {
            self.bytes.reserve_exact(4 << 10);
        }
        self.bytes.reserve(additional);
    }

    /// With room from an earlier one, if there is any.
    #[inline]
    fn take() -> Box<Self> {
        #[cfg(feature = "std")]
        return spare::LIST.with(thread::pop).unwrap_or_default();
        #[cfg(not(feature = "std"))]
        Box::default()
    }

    /// All of it has left. What a burst needed goes back to the allocator.
    #[inline]
    fn give(self: Box<Self>) {
        #[cfg(feature = "std")]
        if thread::is_worth_keeping(&self.bytes) && self.references.capacity() <= spare::MOST_REFERENCES {
            let mut waiting = self;
            waiting.bytes.clear();
            (waiting.start, waiting.pongs_end, waiting.pong_bytes) = (0, 0, 0);
            spare::LIST.with(|list| thread::push(list, waiting));
        }
        #[cfg(not(feature = "std"))]
        drop(self);
    }
}

#[cfg(feature = "std")]
mod spare {
    use super::{Box, Waiting};
    use crate::pool::thread::{List, Local};
    use core::cell::RefCell;

    /// Room for more payloads than this is not kept.
    pub(super) const MOST_REFERENCES: usize = 64;

    std::thread_local! {
        static THREAD: List<Box<Waiting>> = const { RefCell::new(alloc::vec::Vec::new()) };
    }
    pub(super) const LIST: Local<Box<Waiting>> = Local(&THREAD);
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
        let Some(waiting) = &self.waiting else { return 0 };
        let large = waiting.references.iter();
        let ends = large.clone().map(|(at, _)| *at).chain([waiting.bytes.len()]);
        let starts = [waiting.start].into_iter().chain(large.clone().map(|(at, _)| *at));
        let runs = starts.zip(ends).map(|(start, end)| waiting.bytes.get(start..end).unwrap_or_default());
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
