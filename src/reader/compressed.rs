//! Payload that is inflated as it comes (RFC 7692 §6.2), into the buffer of its message.

use super::assembly::{Assembly, Handling, Unfinished};
use super::lending::{Place, Ready, Step, What};
use super::{BLOCK, Delivery, Frame, Reader, State, WholeMessage};
use crate::error::ProtocolError;
use crate::mask::{self, mask};
use crate::message::Kind;

impl Reader {
    /// Takes payload of a message that is put together, or of one whose rest is skipped: its window is needed all the
    /// same.
    pub(super) fn whole_compressed(&mut self, mut key: [u8; 4], payload: &mut [u8]) -> Result<(), ProtocolError> {
        for block in payload.chunks_mut(BLOCK) {
            mask(block, key);
            key = mask::advance(key, block.len());
            let mut rest = &*block;
            while self.inflate(&mut rest, Delivery::Whole)? {}
        }
        Ok(())
    }

    /// The step that finds a compressed message whole in the input, as one frame.
    pub(super) fn take_compressed(&mut self, whole: &WholeMessage, input: &mut [u8]) -> Result<Step, ProtocolError> {
        let payload = input.get_mut(whole.start..whole.end).unwrap_or_default();
        let announced = payload.len() as u64;
        self.begin_message(Unfinished { fragments: 1, announced, ..Unfinished::new(whole.kind, true) });
        self.check_announced(Delivery::Whole)?;
        self.active = true;
        self.count_frame();
        self.whole_compressed(whole.key, payload)?;
        Ok(Step { consumed: whole.end, ready: self.finish_message()? })
    }

    /// Takes payload of a message whose parts are lent as they come; also tells where in the input that ends.
    pub(super) fn piece_compressed(
        &mut self,
        frame: Frame,
        input: &mut [u8],
        mut at: usize,
        end: usize,
    ) -> Result<(Option<Ready>, usize), ProtocolError> {
        let mut frame = frame;
        self.begin_piece();
        let full = loop {
            let block = input.get_mut(at..end.min(at + BLOCK)).unwrap_or_default();
            mask(block, frame.key);
            let mut rest = &*block;
            let full = self.inflate(&mut rest, Delivery::Parts)?;
            let used = block.len() - rest.len();
            frame = frame.after(used);
            // What the output had no room for comes again.
            mask(block.get_mut(used..).unwrap_or_default(), frame.key);
            at += used;
            if full || at == end {
                break full;
            }
        };
        // A full piece may not be all that the input makes: the frame stays in progress until no more comes of it.
        let done = frame.remaining == 0 && !full;
        self.state = if done { State::Start } else { State::Payload(frame) };
        Ok((self.end_piece(done && frame.fin)?, at))
    }

    /// A piece begins with the bytes of a character that the one before withheld.
    fn begin_piece(&mut self) {
        let Some(assembly) = &mut self.assembly else { return };
        assembly.take_buffer();
        assembly.buffer.clear();
        if let Some(message) = &assembly.message {
            assembly.buffer.extend_from_slice(message.utf8.carry());
        }
    }

    fn end_piece(&mut self, last: bool) -> Result<Option<Ready>, ProtocolError> {
        let (Some(assembly), Some(inflater)) = (&mut self.assembly, &mut self.inflater) else { return Ok(None) };
        let Some(message) = &mut assembly.message else { return Ok(None) };
        let kind = message.kind;
        inflater.record(&assembly.buffer);
        if last {
            inflater.finish(&[])?;
            message.utf8.finish().map_err(|_| ProtocolError::InvalidUtf8)?;
            assembly.message = None;
        } else if assembly.buffer.len() > message.utf8.carried() {
            assembly.buffer.truncate(assembly.buffer.len() - message.utf8.carried());
            message.handling = Handling::Parts;
        } else {
            // Nothing to lend. If nothing ever was, `next` may still want the whole message.
            if message.handling == Handling::Parts || assembly.buffer.is_empty() {
                assembly.discard_buffer();
            }
            return Ok(None);
        }
        self.lent = true;
        if last {
            self.count_message(0, true);
        }
        Ok(Some(Ready { what: What::Piece { kind, last }, place: Place::Buffer }))
    }

    /// Inflates from the front of `input` to the end of the buffer. Tells whether that has as many bytes as a piece may
    /// have, so that there may be more.
    #[inline]
    pub(super) fn inflate(&mut self, input: &mut &[u8], delivery: Delivery) -> Result<bool, ProtocolError> {
        let (Some(assembly), Some(inflater)) = (self.assembly.as_deref_mut(), &mut self.inflater) else {
            return Ok(false);
        };
        assembly.take_buffer();
        let Assembly { message: Some(message), buffer, .. } = assembly else { return Ok(false) };
        let before = buffer.len();
        let (limit, most) = match (message.handling, delivery) {
            (Handling::Assembled, Delivery::Whole) => (self.max_message_size as u64, usize::MAX),
            _ => (self.max_streamed_size, BLOCK),
        };
        // One byte beyond the limit tells that it is exceeded.
        let allowed =
            usize::try_from(limit.saturating_sub(inflater.inflated()).saturating_add(1)).unwrap_or(usize::MAX);
        let result = inflater.inflate(input, buffer, before.saturating_add(allowed).min(most));
        let excess = inflater.inflated().saturating_sub(limit);
        if let Some(counts) = &mut self.counts {
            counts.payload_bytes += (buffer.len() - before) as u64;
        }
        if message.handling == Handling::Discarded {
            inflater.record(buffer);
            buffer.clear();
        } else if message.kind == Kind::Text {
            // What is wrong before the limit, or before what cannot be inflated, fails first, as if it had come alone.
            let new = buffer.get(before..buffer.len().saturating_sub(excess as usize)).unwrap_or_default();
            message.utf8.push(new).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        if excess > 0 { Err(ProtocolError::MessageTooBig { limit }) } else { result }
    }
}
