//! Payload that is lent piece by piece as it comes, for messages of any length in constant memory.

use super::assembly::{Assembly, Handling, Unfinished};
use super::lending::{Place, Ready, What};
use super::{Frame, Reader};
use crate::error::ProtocolError;
use crate::mask::mask;
use crate::message::Kind;
use crate::pool;
use crate::utf8::Utf8;

impl Reader {
    /// Takes payload of a message whose parts are lent as they come; also tells where in the input that ends.
    pub(super) fn piece(
        &mut self,
        frame: Frame,
        input: &mut [u8],
        at: usize,
        end: usize,
    ) -> Result<(Option<Ready>, usize), ProtocolError> {
        let Some(&Unfinished { kind, handling, compressed, .. }) = self.message() else {
            return Ok((None, end));
        };
        if handling == Handling::Discarded {
            if compressed {
                self.whole_compressed(frame.key, input.get_mut(at..end).unwrap_or_default())?;
            }
            let frame = self.received(frame, end - at);
            return Ok((self.finish_frame(frame)?, end));
        }
        if let Some(ready) = self.lend_begun() {
            return Ok((Some(ready), at));
        }
        if compressed {
            return self.piece_compressed(frame, input, at, end);
        }
        let Some(assembly) = &mut self.assembly else { return Ok((None, end)) };
        let Some(message) = &mut assembly.message else { return Ok((None, end)) };
        let here = input.get_mut(at..end).unwrap_or_default();
        let (place, used) = match kind {
            Kind::Text if message.utf8.carried() > 0 => {
                let (character, used) = complete_character(&mut message.utf8, here, frame.key)?;
                let len = character.map_or(0, |character| character.encode_utf8(&mut assembly.character).len());
                (Place::Character { len: len as u8 }, at + used)
            }
            Kind::Text => {
                mask(here, frame.key);
                let pieces = message.utf8.push(here).map_err(|_| ProtocolError::InvalidUtf8)?;
                (Place::Input { start: at + pieces.whole.0, end: at + pieces.whole.1 }, end)
            }
            Kind::Binary => {
                mask(here, frame.key);
                (Place::Input { start: at, end }, end)
            }
        };
        let frame = self.received(frame, used - at);
        let last = frame.fin && frame.remaining == 0;
        let is_empty = self.lendable(place, input).is_none_or(<[u8]>::is_empty);
        let ready = (last || !is_empty).then_some(Ready { what: What::Piece { kind, last }, place });
        self.note_piece(last, ready.is_some())?;
        Ok((ready, used))
    }

    /// Takes note that a piece, perhaps the last one, was received, and whether it is to be lent.
    fn note_piece(&mut self, last: bool, is_lent: bool) -> Result<(), ProtocolError> {
        let Some(Assembly { message: slot, buffer, .. }) = self.assembly.as_deref_mut() else { return Ok(()) };
        let Some(message) = slot else { return Ok(()) };
        if last {
            message.utf8.finish().map_err(|_| ProtocolError::InvalidUtf8)?;
            *slot = None;
            self.lent = true; // perhaps the character in it is
            self.count_message(0, false);
        } else if is_lent {
            message.handling = Handling::Parts;
        } else if message.handling == Handling::Assembled && message.utf8.carried() > 0 {
            // Nothing was lent yet, so `next` may still want the whole message.
            let carry = message.utf8.carry();
            *buffer = pool::take();
            buffer.extend_from_slice(carry);
        }
        Ok(())
    }

    /// What is complete of a message that began with `next`, as its first part.
    fn lend_begun(&mut self) -> Option<Ready> {
        let assembly = self.assembly.as_mut().filter(|assembly| !assembly.buffer.is_empty())?;
        let message = assembly.message.as_mut()?;
        if message.compressed
            && let Some(inflater) = &mut self.inflater
        {
            inflater.record(&assembly.buffer);
        }
        assembly.buffer.truncate(assembly.buffer.len() - message.utf8.carried());
        if assembly.buffer.is_empty() {
            assembly.discard_buffer();
            return None;
        }
        message.handling = Handling::Parts;
        self.lent = true;
        Some(Ready { what: What::Piece { kind: message.kind, last: false }, place: Place::Buffer })
    }
}

/// Unmasks and takes only as many bytes as the character that a cut divided still needs.
fn complete_character(
    utf8: &mut Utf8,
    payload: &mut [u8],
    key: [u8; 4],
) -> Result<(Option<char>, usize), ProtocolError> {
    for (index, (byte, key)) in payload.iter_mut().zip(key.into_iter().cycle()).enumerate() {
        *byte ^= key;
        let pieces = utf8.push(&[*byte]).map_err(|_| ProtocolError::InvalidUtf8)?;
        if pieces.completed.is_some() {
            return Ok((pieces.completed, index + 1));
        }
    }
    Ok((None, payload.len()))
}
