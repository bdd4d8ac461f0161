//! Messages as a stream of bytes reads them: piece by piece, and no further than its caller has room.

use super::error::Error;
use super::input::Inbound;
use super::life::{Life, Wanted};
use crate::message::Kind;

/// How far a stream of bytes was read.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// How much of the piece at hand was read.
    read: usize,
    /// A text message came; nothing after it counts.
    is_refused: bool,
}

impl Pieces {
    /// What to receive next.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.is_refused { Wanted::Nothing } else { Wanted::Bytes }
    }

    /// Looks at what was received: whether it is the end.
    ///
    /// # Errors
    /// It is, and the stream may be incomplete.
    pub(crate) fn is_end(&mut self, inbound: &mut Inbound, life: &mut Life) -> Result<bool, Error> {
        match inbound.kind_of_piece() {
            Some(Kind::Binary) => Ok(false),
            Some(Kind::Text) => {
                inbound.part();
                self.is_refused = true;
                life.refuse_text();
                Ok(false)
            }
            None => life.end_of_bytes().map(|()| true),
        }
    }

    /// The bytes at hand.
    pub(crate) fn unread<'a>(&self, inbound: &'a Inbound) -> &'a [u8] {
        let piece = if inbound.kind_of_piece().is_some() { inbound.payload() } else { &[] };
        piece.get(self.read..).unwrap_or_default()
    }

    /// Counts bytes at hand as read.
    pub(crate) fn consume(&mut self, inbound: &mut Inbound, count: usize) {
        self.read = self.read.saturating_add(count);
        if self.unread(inbound).is_empty() {
            inbound.part();
            self.read = 0;
        }
    }
}

/// As much of what is to be written as one message takes.
pub(crate) fn first_message(bytes: &[u8]) -> &[u8] {
    first(bytes, MAX_WRITE)
}

/// As much of the bytes as there is room for.
pub(crate) fn first(bytes: &[u8], room: usize) -> &[u8] {
    bytes.get(..room).unwrap_or(bytes)
}

/// Copies as much of the bytes as there is room for; tells how many.
pub(crate) fn copy(bytes: &[u8], room: &mut [u8]) -> usize {
    let bytes = first(bytes, room.len());
    if let Some(room) = room.get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
    bytes.len()
}

/// The longest message that one write makes, in bytes.
const MAX_WRITE: usize = 64 << 10;
