//! The life cycle of a connection over an asynchronous transport, written once against `poll`.

use std::boxed::Box;
use std::future::Future;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use bytes::Buf;

use super::clock::Clock;
use super::error::{Error, Timeout};
use super::input::Inbound;
use super::lent::LentWriter;
use super::wakers::{Side, Wakers};
use crate::config::Config;
use crate::connection::{self, Agreed, Backpressure, Closure, Connection, Ended};
use crate::frame::Role;
use crate::outbox::Outbox;
use crate::payload_buf::PayloadBuf;
use crate::reader::{Delivery, What};
use crate::timers::{Expired, Time, Timeouts, Timers};

/// What the driver needs of a runtime: a stream, and a clock. The runtimes' modules implement it.
pub trait Transport: Unpin {
    /// The runtime's clock.
    type Instant: Time;
    /// The runtime's sleep.
    type Sleep: Future<Output = ()>;

    /// Reads into `room`; 0 is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads a payload straight into its place, and counts it there.
    fn poll_read_payload(&mut self, cx: &mut Context<'_>, mut payload: PayloadBuf<'_>) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_read(cx, payload.spare()))?;
        payload.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Writes from the outbox, without taking from it.
    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>>;

    /// Passes on what the stream itself holds back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts the write side down.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The time now.
    fn now() -> Self::Instant;

    /// A sleep until then.
    fn sleep_until(deadline: Self::Instant) -> Self::Sleep;
}

/// How many reads one poll may make, so that a peer whose frames nobody sees cannot starve other tasks.
const READS_PER_POLL: usize = 16;

/// What the receiver asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Messages,
    Events,
    Parts,
}

/// Everything but the reader: what both ends of a connection share when it is split.
pub(crate) struct Shared<T: Transport> {
    pub(crate) transport: T,
    pub(crate) writer: LentWriter,
    pub(crate) wakers: Wakers,
    agreed: Agreed,
    closure: Option<Box<Closure>>,
    clock: Option<Box<Clock<T>>>,
    timeouts: Timeouts,
    pub(crate) backpressure: Backpressure,
    ended: Ended,
    role: Role,
    stage: Stage,
    /// The transport was given bytes after its last flush.
    unflushed: bool,
    failure: Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Our write side is shut down; the peer's end of stream is waited for.
    Shut,
    /// The peer takes nothing any more.
    Stalled,
    Done,
}

/// Why the connection failed, until that was reported.
enum Failure {
    None,
    Unreported(Box<Error>),
    Reported,
}

impl<T: Transport> Shared<T> {
    pub(crate) fn new(transport: T, connection: Connection, config: &Config, leftover: &[u8]) -> (Inbound, Self) {
        let role = connection.role();
        let (reader, writer, agreed) = connection.into_parts();
        let mut shared = Self {
            transport,
            writer: LentWriter::new(writer),
            wakers: Wakers::NONE,
            agreed,
            closure: None,
            clock: None,
            timeouts: Timeouts::new(config),
            backpressure: Backpressure::new(config),
            ended: Ended::default(),
            role,
            stage: Stage::Open,
            unflushed: false,
            failure: Failure::None,
        };
        if config.ping_interval.is_some() {
            shared.clock();
        }
        (Inbound::new(reader, leftover), shared)
    }

    pub(crate) fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    pub(crate) fn closure(&self) -> Option<&Closure> {
        self.closure.as_deref()
    }

    pub(crate) fn round_trip(&self) -> Option<std::time::Duration> {
        self.clock.as_ref()?.timers.round_trip()
    }

    /// Whether nothing will be received or sent any more.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The receiving side: goes on until what is `wanted` is ready in `inbound` (`true`) or the connection has ended.
    pub(crate) fn poll_receive(
        &mut self,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
        wanted: Wanted,
    ) -> Poll<Result<bool, Error>> {
        self.backpressure.settle(&self.writer);
        let combined = self.wakers.register(Side::Receiving, cx.waker());
        let result = self.receive(inbound, &mut context(&combined, cx.waker()), wanted);
        if result.is_ready() {
            self.wakers.settled(Side::Receiving);
        }
        result
    }

    fn receive(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Result<bool, Error>> {
        for _ in 0..READS_PER_POLL {
            if self.parse(inbound, wanted) {
                return Poll::Ready(Ok(true));
            }
            if self.stage == Stage::Done {
                return Poll::Ready(self.take_failure().map_or(Ok(false), Err));
            }
            // The input is used up: what was queued meanwhile leaves together, before the wait for more.
            let _ = self.poll_write(cx);
            if self.stage == Stage::Stalled {
                self.finish(inbound);
                continue;
            }
            if self.poll_end(inbound, cx).is_ready() {
                continue;
            }
            // A peer that goes on sending must not keep us from seeing that its time to close is over.
            if self.writer.is_closed() && self.poll_clock(inbound, cx, true).is_ready() {
                continue;
            }
            let reading = self.backpressure.may_read(&self.writer);
            if reading && self.poll_read(inbound, cx).is_ready() {
                continue;
            }
            inbound.release();
            if self.poll_clock(inbound, cx, reading).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Goes through the input until something wanted is ready.
    #[inline]
    fn parse(&mut self, inbound: &mut Inbound, wanted: Wanted) -> bool {
        let delivery = if wanted == Wanted::Parts { Delivery::Parts } else { Delivery::Whole };
        if self.stage == Stage::Done {
            return false;
        }
        loop {
            match inbound.step(&mut self.writer, &mut self.ended, delivery) {
                Ok(Some(What::Message(_) | What::Piece { .. })) => return true,
                Ok(Some(what)) => {
                    if what == What::Pong {
                        self.clock().timers.pong(inbound.control(), T::now());
                    }
                    if wanted != Wanted::Messages {
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

    /// Reads once; ready when that changed anything.
    fn poll_read(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<()> {
        let payload = if inbound.reads_in_place() { inbound.reader.payload_buf() } else { None };
        let result = match payload {
            Some(payload) => ready!(self.transport.poll_read_payload(cx, payload)),
            None => ready!(self.transport.poll_read(cx, inbound.room())).inspect(|count| inbound.filled(*count)),
        };
        match result {
            Ok(0) => {
                self.ended.eof = true;
                if !inbound.reader.is_done() {
                    self.fail(Error::UnexpectedEof);
                    self.finish(inbound);
                }
            }
            Ok(_) => {
                if let Some(clock) = &mut self.clock {
                    clock.timers.heard();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.fail(error.into());
                self.finish(inbound);
            }
        }
        Poll::Ready(())
    }

    /// Does what is left to do once there is nothing more to hear; ready when that changed anything.
    fn poll_end(&mut self, inbound: &Inbound, cx: &mut Context<'_>) -> Poll<()> {
        let wants = connection::wants(self.role, &inbound.reader, &self.writer, self.ended);
        if wants.shutdown && self.stage == Stage::Open {
            // An error changes nothing: both ends have said what they had to say.
            let _ = ready!(self.transport.poll_shutdown(cx));
            self.stage = Stage::Shut;
        }
        if !wants.drop {
            return Poll::Pending;
        }
        self.finish(inbound);
        Poll::Ready(())
    }

    /// Judges the deadlines; ready when one has passed.
    fn poll_clock(&mut self, inbound: &Inbound, cx: &mut Context<'_>, reading: bool) -> Poll<()> {
        if self.writer.is_closed() {
            self.clock().timers.closing(T::now());
        }
        let Some(clock) = &mut self.clock else {
            return Poll::Pending;
        };
        match ready!(clock.poll(cx, reading)) {
            Expired::SendPing(payload) => {
                // A full outbox needs no ping to find out whether the peer is there: the write deadline does.
                let _ = self.writer.ping(&payload);
            }
            expired => {
                if let Some(timeout) = Timeout::from_expired(expired) {
                    self.fail(timeout.into());
                }
                self.finish(inbound);
            }
        }
        Poll::Ready(())
    }

    /// Remembers the first failure. Once both ends have closed, whatever happens to the transport is none.
    fn fail(&mut self, error: Error) {
        let is_clean = self.ended.closed && self.writer.is_closed();
        if !is_clean && let Failure::None = self.failure {
            self.failure = Failure::Unreported(Box::new(error));
        }
    }

    fn finish(&mut self, inbound: &Inbound) {
        self.ended.eof = true;
        self.stage = Stage::Done;
        self.closure = connection::closure(&inbound.reader, &self.writer, self.ended).map(Box::new);
        self.writer.abort();
        self.clock = None;
        self.wakers.wake_others();
    }

    fn take_failure(&mut self) -> Option<Error> {
        if let Failure::None = self.failure {
            return None;
        }
        match std::mem::replace(&mut self.failure, Failure::Reported) {
            Failure::Unreported(error) => Some(*error),
            Failure::None | Failure::Reported => None,
        }
    }

    fn clock(&mut self) -> &mut Clock<T> {
        self.clock.get_or_insert_with(|| {
            let now = T::now();
            let mut timers = Timers::with_timeouts(self.timeouts, now);
            timers.opened(now);
            Box::new(Clock::new(timers))
        })
    }

    /// Writes what waits; ready when all of it has left, or none of it can.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.try_write(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                // What the peer sent before it went away is still to be had.
                self.fail(error.into());
                self.writer.abort();
                Poll::Ready(())
            }
            Poll::Pending => {
                let now = T::now();
                let timers = &mut self.clock().timers;
                timers.write_blocked(now);
                if timers.write_stalled(now) {
                    self.stall();
                }
                Poll::Pending
            }
        }
    }

    /// The peer takes nothing any more; the receiver finishes.
    fn stall(&mut self) {
        self.stage = Stage::Stalled;
        self.fail(Timeout::Write.into());
        self.writer.abort();
        self.wakers.wake_others();
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.writer.queued() > 0 {
            let count = match ready!(self.transport.poll_write(cx, self.writer.outbox())) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => count.min(self.writer.queued()), // a transport that claims more lies
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            self.writer.outbox().advance(count);
            self.unflushed = true;
            if let Some(clock) = &mut self.clock {
                clock.timers.wrote();
            }
        }
        if self.unflushed {
            ready!(self.transport.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The sending side: until there is room for a message.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.writer.is_closed() {
            return Poll::Ready(Err(self.sending_failure()));
        }
        if self.backpressure.has_room(&self.writer) {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx, |shared, _| shared.backpressure.has_room(&shared.writer))
    }

    /// The sending side: until everything up to `position` has reached the kernel.
    #[inline]
    pub(crate) fn poll_flushed(&mut self, cx: &mut Context<'_>, position: u64) -> Poll<Result<(), Error>> {
        self.poll_send(cx, |shared, cx| {
            shared.writer.written() >= position && (!shared.unflushed || shared.transport.poll_flush(cx).is_ready())
        })
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        is_enough: impl FnOnce(&mut Self, &mut Context<'_>) -> bool,
    ) -> Poll<Result<(), Error>> {
        let combined = self.wakers.register(Side::Sending, cx.waker());
        let cx = &mut context(&combined, cx.waker());
        let is_over = self.poll_write(cx).is_ready() || is_enough(self, cx);
        if !is_over && self.clock().poll(cx, false).is_ready() {
            self.stall();
        }
        let result = if self.is_broken() {
            Poll::Ready(Err(self.sending_failure()))
        } else if is_over {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        };
        if result.is_ready() {
            self.wakers.settled(Side::Sending);
        }
        result
    }

    fn is_broken(&self) -> bool {
        !matches!(self.failure, Failure::None)
    }

    /// What a sender is told. The failure itself is the receiver's, if there is one apart from the sender.
    fn sending_failure(&mut self) -> Error {
        if let Wakers::One { .. } = self.wakers
            && let Some(error) = self.take_failure()
        {
            return error;
        }
        crate::error::SendErrorKind::Closed.into()
    }

    /// Resolves at the end of the connection, for those who only send.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage == Stage::Done {
            return Poll::Ready(());
        }
        let _ = self.wakers.register(Side::Sending, cx.waker());
        Poll::Pending
    }
}

/// The context with the waker that the transport is to be given.
fn context<'a>(combined: &'a Option<Waker>, task: &'a Waker) -> Context<'a> {
    Context::from_waker(combined.as_ref().unwrap_or(task))
}
