//! What both drivers judge alike: the life of a connection, apart from its stream and its clock.

use std::boxed::Box;
use std::io;
use std::time::Duration;

use super::error::{Error, Timeout};
use super::input::Inbound;
use super::lent::LentWriter;
use super::statistics::Statistics;
use crate::close::CloseCode;
use crate::config::Config;
use crate::connection::{self, Agreed, Backpressure, Closure, Connection, Ended, Wants};
use crate::counts::Counts;
use crate::error::SendErrorKind;
use crate::message::Kind;
use crate::reader::{Delivery, Reader, What};
use crate::timers::Expired;
use crate::trace;

/// What the receiver asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Messages,
    Events,
    Parts,
    /// Pieces of binary messages that have bytes, and whatever piece shows that a message is text.
    Bytes,
    /// Only the end.
    Nothing,
}

impl Wanted {
    fn delivery(self) -> Delivery {
        match self {
            Self::Messages | Self::Events => Delivery::Whole,
            Self::Parts | Self::Bytes | Self::Nothing => Delivery::Parts,
        }
    }

    fn includes(self, what: What, inbound: &Inbound) -> bool {
        match (self, what) {
            (Self::Events | Self::Parts, _) => true,
            (Self::Messages, what) => matches!(what, What::Message(_) | What::Piece { .. }),
            (Self::Bytes, What::Piece { kind, .. }) => kind == Kind::Text || !inbound.payload().is_empty(),
            (Self::Bytes | Self::Nothing, _) => false,
        }
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    /// The peer takes nothing any more.
    Stalled,
    Done,
}

/// Everything but the reader, the stream and the clock.
pub(crate) struct Life {
    pub(crate) writer: LentWriter,
    pub(crate) stage: Stage,
    /// Our write side is shut down.
    pub(crate) shut: bool,
    /// How many bytes a thread has taken out of the outbox to write them.
    pub(crate) in_flight: usize,
    /// The transport was given bytes after its last flush.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) unflushed: bool,
    agreed: Agreed,
    aside: Option<Box<Aside>>,
    backpressure: Backpressure,
    /// Something was dropped that waited to leave.
    lost: bool,
    ended: Ended,
    /// The connection has failed.
    broken: bool,
}

/// What most connections have nothing of as long as they are open.
#[derive(Default)]
struct Aside {
    closure: Option<Closure>,
    /// Why the connection has failed, until that was reported.
    failure: Option<Error>,
    /// What was received, for those who only send.
    received: Counts,
}

impl Life {
    pub(crate) fn new(connection: Connection, config: &Config, leftover: &[u8]) -> (Inbound, Self) {
        let (reader, writer, agreed) = connection.into_parts();
        let life = Self {
            writer: LentWriter::new(writer),
            stage: Stage::Open,
            shut: false,
            in_flight: 0,
            #[cfg(any(feature = "tokio", feature = "futures"))]
            unflushed: false,
            agreed,
            aside: None,
            backpressure: Backpressure::new(config),
            lost: false,
            ended: Ended::default(),
            broken: false,
        };
        (Inbound::new(reader, leftover), life)
    }

    pub(crate) fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    pub(crate) fn closure(&self) -> Option<&Closure> {
        self.aside.as_ref()?.closure.as_ref()
    }

    /// What was counted, with what the reader has `received`.
    pub(crate) fn statistics(&self, received: Option<Counts>, round_trip: Option<Duration>) -> Option<Statistics> {
        let sent = self.writer.counts()?;
        let sent = Counts { wire_bytes: sent.wire_bytes + self.in_flight as u64, ..sent };
        Some(Statistics { received: received?, sent, round_trip, queued: self.pending() })
    }

    /// Tells those who only send what the reader has received.
    #[inline]
    pub(crate) fn publish(&mut self, reader: &Reader) {
        if let Some(counts) = reader.counts() {
            self.aside.get_or_insert_default().received = counts;
        }
    }

    /// What was [published](Self::publish) last.
    pub(crate) fn published(&self) -> Option<Counts> {
        self.aside.as_ref().map(|aside| aside.received)
    }

    /// Whether something of a message was queued since this was asked last, or waits to leave. Asked after an attempt to
    /// write: what is left then is what the peer is slow to take.
    pub(crate) fn take_active(&mut self) -> bool {
        self.writer.take_active() || self.pending() > 0
    }

    /// Whether nothing will be received or sent any more.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether the connection has failed, reported or not.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether nothing will be received any more, and a failure has been reported.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) fn is_terminated(&self) -> bool {
        self.is_done() && self.aside.as_ref().is_none_or(|aside| aside.failure.is_none())
    }

    /// Whether the peer's stream has ended.
    pub(crate) fn is_eof(&self) -> bool {
        self.ended.eof
    }

    /// The commonest case of [`parse`](Self::parse): a message that lies in the input whole, as one frame.
    #[inline]
    pub(crate) fn parse_whole(&self, inbound: &mut Inbound, wanted: Wanted) -> bool {
        wanted == Wanted::Messages && !self.is_done() && inbound.step_whole()
    }

    /// Goes through the input until something wanted is ready. `on_pong` gets the payload of each pong.
    #[inline]
    pub(crate) fn parse(&mut self, inbound: &mut Inbound, wanted: Wanted, mut on_pong: impl FnMut(&[u8])) -> bool {
        if self.is_done() {
            return false;
        }
        if self.parse_whole(inbound, wanted) {
            return true;
        }
        loop {
            match inbound.step(&mut self.writer, &mut self.ended, wanted.delivery()) {
                Ok(Some(what)) => {
                    if what == What::Pong {
                        on_pong(inbound.payload());
                    }
                    if wanted.includes(what, inbound) {
                        return true;
                    }
                }
                Ok(None) => return false,
                Err(error) => {
                    inbound.clear();
                    self.fail(error.into());
                    return false;
                }
            }
        }
    }

    /// Takes note of what a read brought: whether bytes were heard. What the bytes are is [`parse`](Self::parse)'s.
    pub(crate) fn note_read(&mut self, inbound: &Inbound, result: io::Result<usize>) -> bool {
        match result {
            Ok(0) => {
                self.ended.eof = true;
                if !inbound.reader.is_done() {
                    self.fail(Error::UnexpectedEof);
                    self.finish(inbound);
                }
                false
            }
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => {
                self.fail(error.into());
                self.finish(inbound);
                false
            }
        }
    }

    /// Remembers the first failure. Once both ends have closed, whatever happens to the transport is none.
    pub(crate) fn fail(&mut self, error: Error) {
        let is_clean = self.ended.closed && self.writer.is_closed();
        if !is_clean && !self.broken {
            self.broken = true;
            trace::failed(self.writer.role(), &error);
            self.aside.get_or_insert_default().failure = Some(error);
        }
    }

    /// Does what a deadline that has passed calls for.
    pub(crate) fn expire(&mut self, inbound: &Inbound, expired: Expired) {
        match expired {
            // A full outbox needs no ping to find out whether the peer is there: the write deadline does.
            Expired::SendPing(payload) => return drop(self.writer.ping(&payload)),
            // Closed already is as good.
            Expired::Idle => return drop(self.writer.close(CloseCode::GOING_AWAY, "idle")),
            _ => {}
        }
        if let Some(timeout) = Timeout::from_expired(expired) {
            self.fail(timeout.into());
        }
        self.finish(inbound);
    }

    /// The connection has ended.
    pub(crate) fn finish(&mut self, inbound: &Inbound) {
        self.ended.eof = true;
        let was_done = self.is_done();
        self.stage = Stage::Done;
        let closure = connection::closure(&inbound.reader, &self.writer, self.ended);
        let was_clean = !self.is_broken();
        let closure = closure.map(|closure| Closure { was_clean: closure.was_clean && was_clean, ..closure });
        if let Some(closure) = closure.as_ref().filter(|_| !was_done) {
            trace::closed(self.writer.role(), closure);
        }
        self.aside.get_or_insert_default().closure = closure;
        self.abort();
    }

    /// Drops what waits: it will not leave any more.
    pub(crate) fn abort(&mut self) {
        self.lost |= self.pending() > 0;
        self.writer.abort();
    }

    /// Ends the connection over a text message, for who takes bytes only (§7.4.1).
    pub(crate) fn refuse_text(&mut self) {
        // Closed already is as good.
        let _ = self.writer.close(CloseCode::UNSUPPORTED_DATA, "");
        self.fail(Error::UnexpectedText);
    }

    /// Whether a stream of bytes that ends here is complete: only a peer that closes normally says so.
    pub(crate) fn end_of_bytes(&self) -> Result<(), Error> {
        let code = self.closure().map_or(CloseCode::ABNORMAL_CLOSURE, |closure| closure.code);
        let is_complete = matches!(code, CloseCode::NORMAL | CloseCode::NO_STATUS_RECEIVED) && !self.broken;
        if is_complete { Ok(()) } else { Err(Error::Incomplete(code)) }
    }

    /// The failure, the first time it is asked for.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.aside.as_mut()?.failure.take()
    }

    /// What a sender is told. The failure itself is the receiver's, if there is one `apart` from the sender.
    pub(crate) fn sending_failure(&mut self, apart: bool) -> Error {
        let failure = if apart { None } else { self.take_failure() };
        failure.unwrap_or_else(|| self.refusal().into())
    }

    /// Why nothing more can be sent.
    pub(crate) fn refusal(&self) -> SendErrorKind {
        self.writer.refusal().unwrap_or(SendErrorKind::Ended)
    }

    /// What the transport should do while `pending` bytes wait to leave.
    pub(crate) fn wants(&self, inbound: &Inbound, pending: usize) -> Wants {
        connection::wants(self.writer.role(), &inbound.reader, &self.writer, pending, self.ended)
    }

    /// How many bytes wait to leave, wherever they are.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.writer.queued() + self.in_flight
    }

    /// How many bytes have left since the beginning.
    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.writer.written()
    }

    /// Where the stream will be when all that waits now has left. After something was lost that is never reached.
    pub(crate) fn position(&self) -> u64 {
        self.written() + self.pending() as u64 + u64::from(self.lost)
    }

    /// Whether the outbox has room for a message now.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.backpressure.has_room(self.pending())
    }

    /// Hands the writer out to answer a message.
    #[inline]
    pub(crate) fn lend_writer(&mut self) -> &mut LentWriter {
        self.backpressure.lend();
        &mut self.writer
    }

    /// The writer is back.
    #[inline]
    pub(crate) fn settle_writer(&mut self) {
        if self.backpressure.is_lent() {
            self.backpressure.settle(self.position());
        }
    }

    /// Whether the peer may be given cause for more answers. After Close there are none.
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        self.writer.is_closed() || self.backpressure.may_read(self.written(), self.position())
    }
}

/// Who sends more than this behind a request that was refused does not deserve to read why.
#[cfg(feature = "handshake")]
pub(crate) const MAX_DRAINED: usize = 1 << 20;
