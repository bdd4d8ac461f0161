//! How what is ready is lent: positions first, then one borrow of the input or of the reader.

use core::mem;

use super::{Delivery, Reader};
use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::message::{Event, Kind, Message, Part, Payload, Text};
use crate::utf8;

/// What one [`Reader::step`] did.
#[derive(Debug)]
pub struct Step {
    /// How many bytes of the input are used up. All of them, if nothing is ready.
    pub consumed: usize,
    /// What can be had from [`Reader::event`] now.
    pub ready: Option<Ready>,
}

/// The position of an event that is ready, see [`Reader::step`].
#[derive(Debug)]
pub struct Ready {
    pub(crate) what: What,
    pub(crate) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Message(Kind),
    Piece { kind: Kind, last: bool },
    Ping,
    Pong,
    Close,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Input { start: usize, end: usize },
    Buffer,
    Control,
    Character { len: u8 },
}

impl Reader {
    /// The next event in `input`, which is shortened by what was used up. `None` means that the input is empty and
    /// nothing more can be produced from it.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. All input is used up then; every further call says the same.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if input.is_empty() && self.needs_input() {
            return Ok(None);
        }
        if let Some(message) = self.take_whole(input) {
            return Ok(Some(Event::Message(message)));
        }
        self.next_event(input, |_, _, _| {})
    }

    /// The same, lending messages piece by piece as they come: a message of any length in constant memory.
    ///
    /// Pieces of text end where characters end. Calling [`next`](Self::next) after a piece of a message discards the rest
    /// of it.
    ///
    /// # Errors
    /// As [`next`](Self::next), with the limit [`Config::max_streamed_size`](crate::Config::max_streamed_size).
    #[inline]
    pub fn next_part<'a, 'i: 'a>(&'a mut self, input: &mut &'i mut [u8]) -> Result<Option<Part<'a>>, ProtocolError> {
        self.next_part_and(input, |_, _, _| {})
    }

    /// [`next`](Self::next) without its short cuts. `answer` sees the step before its event is lent.
    #[inline]
    pub(crate) fn next_event<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
        answer: impl FnOnce(&Self, &[u8], &Result<Step, ProtocolError>),
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let (ready, used) = self.take_step(input, Delivery::Whole, answer)?;
        #[allow(unsafe_code)]
        // SAFETY: the step was made over these very bytes.
        Ok(ready.map(|ready| unsafe { self.event_unchecked(ready, used) }))
    }

    /// [`next_part`](Self::next_part), in the same way.
    #[inline]
    pub(crate) fn next_part_and<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
        answer: impl FnOnce(&Self, &[u8], &Result<Step, ProtocolError>),
    ) -> Result<Option<Part<'a>>, ProtocolError> {
        let (ready, used) = self.take_step(input, Delivery::Parts, answer)?;
        #[allow(unsafe_code)]
        // SAFETY: the step was made over these very bytes.
        Ok(ready.map(|ready| unsafe { self.part_unchecked(ready, used) }))
    }

    #[inline]
    fn take_step<'i>(
        &mut self,
        input: &mut &'i mut [u8],
        delivery: Delivery,
        answer: impl FnOnce(&Self, &[u8], &Result<Step, ProtocolError>),
    ) -> Result<(Option<Ready>, &'i mut [u8]), ProtocolError> {
        let whole = mem::take(input);
        let result = self.advance(whole, delivery);
        answer(self, whole, &result);
        let step = result?;
        let Some((used, rest)) = whole.split_at_mut_checked(step.consumed) else {
            return Ok((None, &mut []));
        };
        *input = rest;
        Ok((step.ready, used))
    }

    /// [`next`](Self::next) in two phases, for those who own both the buffer and the reader: first how far the input
    /// was used and whether something is ready, then the [`event`](Self::event) itself, lent from both.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    #[inline]
    pub fn step(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        self.advance(input, Delivery::Whole)
    }

    /// The first phase of [`next_part`](Self::next_part).
    ///
    /// # Errors
    /// As [`next_part`](Self::next_part).
    #[inline]
    pub fn step_part(&mut self, input: &mut [u8]) -> Result<Step, ProtocolError> {
        self.advance(input, Delivery::Parts)
    }

    /// The event that [`step`](Self::step) found, lent from the same `input`. Text is validated again, because nothing
    /// but the caller's word says that the input is the same; `None` if it is not.
    pub fn event<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Option<Event<'a>> {
        let checked = self.checked(ready, input)?;
        #[allow(unsafe_code)]
        // SAFETY: checked above.
        Some(unsafe { self.event_unchecked(checked, input) })
    }

    /// The part that [`step_part`](Self::step_part) found, as [`event`](Self::event).
    pub fn part<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Option<Part<'a>> {
        let checked = self.checked(ready, input)?;
        #[allow(unsafe_code)]
        // SAFETY: checked above.
        Some(unsafe { self.part_unchecked(checked, input) })
    }

    /// Passes a position on if it fits the input and this reader.
    fn checked(&self, ready: Ready, input: &[u8]) -> Option<Ready> {
        if ready.what == What::Close {
            return self.close_frame().is_some().then_some(ready);
        }
        let bytes = self.lendable(ready.place, input)?;
        let is_text = matches!(ready.what, What::Message(Kind::Text) | What::Piece { kind: Kind::Text, .. });
        (!is_text || utf8::is_valid(bytes)).then_some(ready)
    }

    #[inline]
    pub(super) fn lendable<'a>(&'a self, place: Place, input: &'a [u8]) -> Option<&'a [u8]> {
        match place {
            Place::Input { start, end } => input.get(start..end),
            // A message that is being put together is not to be had, even while something else is lent.
            Place::Buffer => {
                let assembly = self.assembly.as_ref().filter(|assembly| self.lent && !assembly.is_assembling())?;
                Some(&assembly.buffer)
            }
            Place::Control => self.control.as_deref().filter(|_| self.lent)?.bytes(),
            Place::Character { len } => self.assembly.as_ref()?.character.get(..len as usize),
        }
    }

    /// # Safety
    /// `ready` comes from the latest step, and `input` is what that step was made over; or it passed `checked`.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn event_unchecked<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Event<'a> {
        match ready.what {
            What::Message(kind) | What::Piece { kind, .. } => {
                // SAFETY: the step validated the text.
                Event::Message(unsafe { self.message_unchecked(kind, ready.place, input) })
            }
            What::Ping => Event::Ping(self.payload(ready.place, input)),
            What::Pong => Event::Pong(self.payload(ready.place, input)),
            What::Close => Event::Close(self.close_frame().flatten().map(CloseFrame::borrow)),
        }
    }

    /// # Safety
    /// As [`event_unchecked`](Self::event_unchecked).
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn part_unchecked<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Part<'a> {
        let last = match ready.what {
            What::Piece { last, .. } => last,
            _ => true,
        };
        // SAFETY: passed on.
        match unsafe { self.event_unchecked(ready, input) } {
            Event::Message(data) => Part::Piece { data, last },
            Event::Ping(payload) => Part::Ping(payload),
            Event::Pong(payload) => Part::Pong(payload),
            Event::Close(frame) => Part::Close(frame),
        }
    }

    /// # Safety
    /// If `kind` is text, the bytes at `place` are UTF-8.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn message_unchecked<'a>(&'a mut self, kind: Kind, place: Place, input: &'a [u8]) -> Message<'a> {
        let payload = self.payload(place, input);
        match kind {
            // SAFETY: passed on.
            Kind::Text => Message::Text(unsafe { Text::new_unchecked(payload) }),
            Kind::Binary => Message::Binary(payload),
        }
    }

    #[inline]
    fn payload<'a>(&'a mut self, place: Place, input: &'a [u8]) -> Payload<'a> {
        match place {
            Place::Buffer => self
                .assembly
                .as_mut()
                .map_or(Payload::from(&[][..]), |assembly| Payload::assembled(&mut assembly.buffer)),
            place => self.lendable(place, input).unwrap_or_default().into(),
        }
    }

    /// The payload of the ping or pong that is ready.
    pub(crate) fn payload_at<'a>(&'a self, ready: &Ready, input: &'a [u8]) -> &'a [u8] {
        self.lendable(ready.place, input).unwrap_or_default()
    }
}
