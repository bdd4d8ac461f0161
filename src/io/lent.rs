//! The writer as the drivers lend it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::error::Error;
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::writer::Writer;

/// The [`Writer`] of a connection, as `recv_with_writer` lends it together with a message.
///
/// What is queued leaves when the next `recv` would wait, or with `flush`. Unlike the core's,
/// [`send`](Self::send) reports the drivers' [`Error`], which outlives the message: so `?` works in any function.
pub struct LentWriter(Writer);

impl LentWriter {
    pub(crate) fn new(writer: Writer) -> Self {
        Self(writer)
    }

    /// Queues a message, see [`Writer::send`], which gives the message back on failure.
    ///
    /// # Errors
    /// [`Error::Send`]: this end has closed, a streamed message is unfinished, or the outbox is full.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        Ok(self.0.send(message)?)
    }

    /// Queues the next piece of the streamed message. Only Close can have ended it.
    pub(crate) fn write_piece(&mut self, piece: Message<'_>) -> Result<(), Error> {
        let mut fragments = self.0.resume().ok_or(SendErrorKind::Closed)?;
        Ok(fragments.write(piece)?)
    }

    /// Ends the streamed message.
    pub(crate) fn finish_pieces(&mut self) -> Result<(), Error> {
        let fragments = self.0.resume().ok_or(SendErrorKind::Closed)?;
        Ok(fragments.finish()?)
    }
}

impl Deref for LentWriter {
    type Target = Writer;

    #[inline]
    fn deref(&self) -> &Writer {
        &self.0
    }
}

impl DerefMut for LentWriter {
    #[inline]
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.0
    }
}

impl fmt::Debug for LentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
