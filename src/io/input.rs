//! What was read and not used up, in a buffer that a connection owns only while something is in it.

use std::boxed::Box;
use std::cell::RefCell;
use std::vec;
use std::vec::Vec;

use crate::connection::{Ended, advance};
use crate::error::ProtocolError;
use crate::message::{Event, Kind, Message, Part};
use crate::pool;
use crate::pool::thread::{self, List, Local};
use crate::reader::{Delivery, Reader, Ready, Step, What};
use crate::writer::Writer;

/// The reading half of a driver: the reader and its input.
pub(crate) struct Inbound {
    pub(crate) reader: Reader,
    /// There only while it holds something.
    input: Option<Box<Input>>,
}

/// A buffer to read into, and what was read.
pub(crate) struct Input {
    buffer: Vec<u8>,
    /// Where the bytes of the latest step begin.
    lent: usize,
    /// What is not used up yet.
    start: usize,
    end: usize,
    /// How far the buffer was ever filled.
    used: usize,
    /// The event that was found last; its bytes lie here or in the reader, which nobody touches before it is gone.
    ready: Option<Ready>,
}

impl Inbound {
    /// `leftover` is what was read behind the handshake.
    pub(crate) fn new(reader: Reader, leftover: &[u8]) -> Self {
        let input = if leftover.is_empty() { None } else { Some(Box::new(Input::of(leftover.to_vec()))) };
        Self { reader, input }
    }

    /// One step over what is here: whether an event is ready, and which.
    #[inline]
    pub(crate) fn step(
        &mut self,
        writer: &mut Writer,
        ended: &mut Ended,
        delivery: Delivery,
    ) -> Result<Option<What>, ProtocolError> {
        let unread = self.input.as_deref_mut().map_or(&mut [][..], Input::begin_step);
        let step = advance(&mut self.reader, writer, ended, unread, delivery)?;
        let what = step.ready.as_ref().map(|ready| ready.what);
        if step.consumed > 0 || step.ready.is_some() {
            self.input.get_or_insert_with(Input::take).end_step(step);
        }
        Ok(what)
    }

    /// One step to the message that is next, if it lies here whole, as one frame: whether it does.
    #[inline]
    pub(crate) fn step_whole(&mut self) -> bool {
        let Some(input) = &mut self.input else { return false };
        let step = self.reader.step_whole(input.begin_step());
        step.map(|step| input.end_step(step)).is_some()
    }

    /// The event that the latest step found.
    #[inline]
    pub(crate) fn event(&mut self) -> Option<Event<'_>> {
        let input = self.input.as_deref_mut()?;
        let ready = input.ready.take()?;
        #[allow(unsafe_code)]
        // SAFETY: `ready` was set by the latest step, which was made over these bytes.
        Some(unsafe { self.reader.event_unchecked(ready, input.lent()) })
    }

    /// The message that the latest step found.
    #[inline]
    pub(crate) fn message(&mut self) -> Option<Message<'_>> {
        let input = self.input.as_deref_mut()?;
        let Ready { what: What::Message(kind), place } = input.ready.take()? else { return None };
        #[allow(unsafe_code)]
        // SAFETY: as in `event`.
        Some(unsafe { self.reader.message_unchecked(kind, place, input.lent()) })
    }

    /// Whether the latest step found a message, and nobody has it yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_message(&self) -> bool {
        let ready = self.input.as_deref().and_then(|input| input.ready.as_ref());
        ready.is_some_and(|ready| matches!(ready.what, What::Message(_)))
    }

    /// The part that the latest step found.
    pub(crate) fn part(&mut self) -> Option<Part<'_>> {
        let input = self.input.as_deref_mut()?;
        let ready = input.ready.take()?;
        #[allow(unsafe_code)]
        // SAFETY: as in `event`.
        Some(unsafe { self.reader.part_unchecked(ready, input.lent()) })
    }

    /// Whether the latest step found a message or a part of one.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) fn holds_data(&self) -> bool {
        let ready = self.input.as_deref().and_then(|input| input.ready.as_ref());
        ready.is_some_and(|ready| matches!(ready.what, What::Message(_) | What::Piece { .. }))
    }

    /// The kind of the piece that the latest step found, which stays where it is.
    pub(crate) fn kind_of_piece(&self) -> Option<Kind> {
        match self.input.as_deref()?.ready.as_ref()?.what {
            What::Piece { kind, .. } => Some(kind),
            _ => None,
        }
    }

    /// The payload of the ping, pong or piece that the latest step found, which stays where it is.
    pub(crate) fn payload(&self) -> &[u8] {
        let ready = self.input.as_deref().and_then(|input| Some((input.ready.as_ref()?, input.lent())));
        ready.map_or(&[], |(ready, lent)| self.reader.payload_at(ready, lent))
    }

    /// Drops what was not used up: nothing that comes after the end of a connection is of interest.
    pub(crate) fn clear(&mut self) {
        if let Some(input) = &mut self.input {
            input.ready = None;
            input.start = input.end;
        }
    }

    /// Room to read into, where everything before was used up.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let input = self.input.get_or_insert_with(Input::take);
        if !input.is_reusable() {
            *input = Input::take();
        }
        input.room()
    }

    /// Counts bytes that were read into the room; more than it had are the transport's lie, and are cut.
    #[inline]
    pub(crate) fn filled(&mut self, count: usize) {
        if let Some(input) = &mut self.input {
            input.filled(count);
        }
    }

    /// Gives the buffer back while it holds nothing.
    #[inline]
    pub(crate) fn release(&mut self) {
        if let Some(input) = self.input.take_if(|input| input.start == input.end && input.ready.is_none()) {
            input.give();
        }
    }

    /// How much of the payload under way is worth reading straight into its place.
    #[inline]
    pub(crate) fn reads_in_place(&self) -> bool {
        self.reader.frame_remaining() > pool::BUFFER_SIZE as u64 / 2
    }

    /// What was read and not used up, for who takes the stream back.
    pub(crate) fn unread(&self) -> &[u8] {
        self.input.as_deref().map_or(&[], Input::unread)
    }
}

impl Input {
    /// One to read into, of the thread's if it has any.
    #[inline]
    pub(crate) fn take() -> Box<Self> {
        SPARE
            .with(thread::pop)
            .unwrap_or_else(|| Box::new(Self { end: 0, used: 0, ..Self::of(vec![0; pool::BUFFER_SIZE]) }))
    }

    fn of(buffer: Vec<u8>) -> Self {
        let end = buffer.len();
        Self { buffer, lent: 0, start: 0, end, used: end, ready: None }
    }

    fn is_reusable(&self) -> bool {
        self.buffer.len() == pool::BUFFER_SIZE
    }

    /// Gives it back to the thread. The bytes that were read into it are cleared: a stream that counts bytes which it
    /// never wrote would make another connection receive them.
    #[inline]
    pub(crate) fn give(mut self: Box<Self>) {
        if self.is_reusable() {
            self.buffer.get_mut(..self.used).unwrap_or_default().fill(0);
            (self.lent, self.start, self.end, self.used, self.ready) = (0, 0, 0, 0, None);
            SPARE.with(|list| thread::push(list, self));
        }
    }

    /// All of the buffer, to read into. What was read before is gone.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        (self.lent, self.start, self.end, self.ready) = (0, 0, 0, None);
        &mut self.buffer
    }

    #[inline]
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = count.min(self.buffer.len());
        self.used = self.used.max(self.end);
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// What a step is to look at.
    #[inline]
    fn begin_step(&mut self) -> &mut [u8] {
        self.ready = None;
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    #[inline]
    fn end_step(&mut self, step: Step) {
        self.lent = self.start;
        self.start += step.consumed;
        self.ready = step.ready;
    }

    /// What the latest step looked at.
    #[inline]
    fn lent(&self) -> &[u8] {
        self.buffer.get(self.lent..self.end).unwrap_or_default()
    }
}

std::thread_local! {
    static LIST: List<Box<Input>> = const { RefCell::new(Vec::new()) };
}
const SPARE: Local<Box<Input>> = Local(&LIST);
