//! What was read and not used up: a buffer that a connection owns only while something is in it.

use std::vec::Vec;

use crate::connection::{Ended, advance};
use crate::error::ProtocolError;
use crate::message::{Event, Message, Part};
use crate::pool;
use crate::reader::{Delivery, Reader, Ready, Step, What};
use crate::writer::Writer;

/// The reading half of a driver: the reader and its input.
pub(crate) struct Inbound {
    pub(crate) reader: Reader,
    input: Input,
    /// The event that was found last; its bytes lie in `input` or in the reader, which nobody touches before it is gone.
    ready: Option<Ready>,
}

struct Input {
    buffer: Vec<u8>,
    /// Where the bytes of the latest step begin.
    lent: usize,
    /// What is not used up yet.
    start: usize,
    end: usize,
    /// How far the buffer was ever filled.
    used: usize,
}

impl Inbound {
    /// `leftover` is what was read behind the handshake.
    pub(crate) fn new(reader: Reader, leftover: &[u8]) -> Self {
        let mut input = Input { buffer: Vec::new(), lent: 0, start: 0, end: leftover.len(), used: leftover.len() };
        if !leftover.is_empty() {
            input.buffer = leftover.to_vec();
        }
        Self { reader, input, ready: None }
    }

    /// One step over what is here: whether an event is ready, and which.
    #[inline]
    pub(crate) fn step(
        &mut self,
        writer: &mut Writer,
        ended: &mut Ended,
        delivery: Delivery,
    ) -> Result<Option<What>, ProtocolError> {
        self.ready = None;
        let step = advance(&mut self.reader, writer, ended, self.input.unread(), delivery)?;
        self.take(step);
        Ok(self.ready.as_ref().map(|ready| ready.what))
    }

    /// One step to the message that is next, if it lies here whole, as one frame: whether it does.
    #[inline]
    pub(crate) fn step_whole(&mut self) -> bool {
        let step = self.reader.step_whole(self.input.unread());
        step.map(|step| self.take(step)).is_some()
    }

    #[inline]
    fn take(&mut self, step: Step) {
        self.input.lent = self.input.start;
        self.input.start += step.consumed;
        self.ready = step.ready;
    }

    /// The event that the latest step found.
    #[inline]
    pub(crate) fn event(&mut self) -> Option<Event<'_>> {
        let ready = self.ready.take()?;
        #[allow(unsafe_code)]
        // SAFETY: `ready` was set by the latest step, which was made over these bytes.
        Some(unsafe { self.reader.event_unchecked(ready, self.input.lent()) })
    }

    /// The message that the latest step found.
    #[inline]
    pub(crate) fn message(&mut self) -> Option<Message<'_>> {
        let Ready { what: What::Message(kind), place } = self.ready.take()? else { return None };
        #[allow(unsafe_code)]
        // SAFETY: as in `event`.
        Some(unsafe { self.reader.message_unchecked(kind, place, self.input.lent()) })
    }

    /// The part that the latest step found.
    pub(crate) fn part(&mut self) -> Option<Part<'_>> {
        let ready = self.ready.take()?;
        #[allow(unsafe_code)]
        // SAFETY: as in `event`.
        Some(unsafe { self.reader.part_unchecked(ready, self.input.lent()) })
    }

    /// The payload of the ping or pong that the latest step found.
    pub(crate) fn control(&self) -> &[u8] {
        self.ready.as_ref().map_or(&[], |ready| self.reader.control_at(ready, self.input.lent()))
    }

    /// Drops what was not used up: nothing that comes after the end of a connection is of interest.
    pub(crate) fn clear(&mut self) {
        self.ready = None;
        self.input.start = self.input.end;
    }

    /// Room to read into, where everything before was used up.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.ready = None;
        let input = &mut self.input;
        if input.buffer.len() != pool::BUFFER_SIZE {
            input.buffer = pool::take_filled();
            input.used = 0;
        }
        (input.lent, input.start, input.end) = (0, 0, 0);
        &mut input.buffer
    }

    /// Counts bytes that were read into the room; more than it had are the transport's lie, and are cut.
    #[inline]
    pub(crate) fn filled(&mut self, count: usize) {
        self.input.end = count.min(self.input.buffer.len());
        self.input.used = self.input.used.max(self.input.end);
    }

    /// Gives the buffer back while it holds nothing.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.input.start == self.input.end && self.ready.is_none() {
            pool::give_filled(core::mem::take(&mut self.input.buffer), self.input.used);
            (self.input.lent, self.input.start, self.input.end) = (0, 0, 0);
        }
    }

    /// How much of the payload under way is worth reading straight into its place.
    #[inline]
    pub(crate) fn reads_in_place(&self) -> bool {
        self.reader.frame_remaining() > pool::BUFFER_SIZE as u64 / 2
    }

    /// What was read and not used up, for who takes the stream back.
    pub(crate) fn unread(&self) -> &[u8] {
        self.input.buffer.get(self.input.start..self.input.end).unwrap_or_default()
    }
}

impl Input {
    #[inline]
    fn unread(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    #[inline]
    fn lent(&self) -> &[u8] {
        self.buffer.get(self.lent..self.end).unwrap_or_default()
    }
}
