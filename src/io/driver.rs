//! The life cycle of a connection over an asynchronous transport, written once against `poll`.

use std::future::Future;
use std::io;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::clock::Clock;
use super::error::{Error, Timeout};
use super::input::Inbound;
use super::life::{Life, Stage, Wanted};
use super::shutdown::Order;
use super::statistics::Statistics;
use super::wakers::{Side, Wakers};
use crate::config::Config;
use crate::connection::Connection;
use crate::counts::Counts;
use crate::outbox::Outbox;
use crate::reader::PayloadBuf;
use crate::timers::{Time, Timers};

/// What the driver needs of a runtime: a stream, and a clock. The runtimes' modules implement it.
pub trait Transport: Sealed + Unpin {
    /// The stream.
    type Stream;
    /// The runtime's clock.
    #[doc(hidden)]
    type Instant: Time + Unpin;
    /// The runtime's sleep.
    #[doc(hidden)]
    type Sleep: Future<Output = ()>;

    /// Takes the stream.
    #[doc(hidden)]
    fn new(stream: Self::Stream) -> Self;

    /// Makes a socket send at once what it is given; other streams are left alone.
    #[doc(hidden)]
    fn set_nodelay(&self) {}

    /// The stream.
    #[doc(hidden)]
    fn get_ref(&self) -> &Self::Stream;

    /// The stream.
    #[doc(hidden)]
    fn get_mut(&mut self) -> &mut Self::Stream;

    /// Gives the stream back.
    #[doc(hidden)]
    fn into_inner(self) -> Self::Stream;

    /// Reads into `room`; 0 is the end of the stream.
    #[doc(hidden)]
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads a payload straight into its place, and counts it there.
    #[doc(hidden)]
    fn poll_read_payload(&mut self, cx: &mut Context<'_>, mut payload: PayloadBuf<'_>) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_read(cx, payload.spare()))?;
        payload.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Writes from the outbox, without taking from it.
    #[doc(hidden)]
    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>>;

    /// Passes on what the stream itself holds back.
    #[doc(hidden)]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts the write side down.
    #[doc(hidden)]
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Polls apart from the budget that the runtime gives to a task, which says nothing of the stream.
    #[doc(hidden)]
    fn poll_unbudgeted(cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>) -> Poll<()> {
        poll(cx)
    }

    /// The time now.
    #[doc(hidden)]
    fn now() -> Self::Instant;

    /// A sleep until then.
    #[doc(hidden)]
    fn sleep_until(deadline: Self::Instant) -> Self::Sleep;

    /// When the sleep ends.
    #[doc(hidden)]
    fn wakes_at(sleep: &Self::Sleep) -> Self::Instant;
}

/// Keeps [`Transport`] ours to change.
pub trait Sealed {}

/// How many reads one poll may make, so that a peer whose frames nobody sees cannot starve other tasks.
pub(crate) const READS_PER_POLL: usize = 16;

/// Everything but the reader: what both ends of a connection share when it is split.
pub(crate) struct Shared<T: Transport> {
    pub(crate) transport: T,
    pub(crate) life: Life,
    pub(crate) wakers: Wakers,
    clock: Clock<T>,
}

impl<T: Transport> Shared<T> {
    pub(crate) fn new(transport: T, connection: Connection, config: &Config, leftover: &[u8]) -> (Inbound, Self) {
        let (inbound, life) = Life::new(connection, config, leftover);
        let now = T::now();
        let mut timers = Timers::new(config, now);
        timers.opened(now);
        let clock = Clock::new(timers);
        (inbound, Self { transport, life, wakers: Wakers::NONE, clock })
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.clock.timers.round_trip()
    }

    pub(crate) fn statistics(&self, received: Option<Counts>) -> Option<Statistics> {
        self.life.statistics(received, self.round_trip())
    }

    /// The receiving side: goes on until what is `wanted` is ready in `inbound`, or the connection has ended.
    #[inline]
    pub(crate) fn poll_receive(
        &mut self,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
        wanted: Wanted,
    ) -> Poll<Result<(), Error>> {
        self.life.settle_writer();
        // Of many messages that came together, only the first needs to know of the task and the transport.
        if !self.life.writer.is_closed() && self.life.may_read() && self.life.parse_whole(inbound, wanted) {
            self.wakers.settled(Side::Receiving);
            return Poll::Ready(Ok(()));
        }
        self.poll_receive_any(inbound, cx, wanted)
    }

    /// The same, whatever comes.
    #[inline(never)]
    fn poll_receive_any(
        &mut self,
        inbound: &mut Inbound,
        cx: &mut Context<'_>,
        wanted: Wanted,
    ) -> Poll<Result<(), Error>> {
        let combined = self.wakers.register(Side::Receiving, cx.waker());
        let result = self.receive(inbound, &mut context(&combined, cx.waker()), wanted);
        if result.is_ready() {
            self.wakers.settled(Side::Receiving);
        }
        result
    }

    fn receive(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Result<(), Error>> {
        let order = self.heed_shutdown(cx);
        if order == Some(Order::End) && !self.life.is_done() {
            self.finish(inbound);
        }
        for _ in 0..READS_PER_POLL {
            // What is received may be answered, so there must be room for an answer before it is looked at.
            let parsing = self.life.may_read();
            if parsing && self.parse(inbound, wanted) {
                if order == Some(Order::Close { discard: true }) && inbound.holds_data() {
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            if self.life.is_done() {
                inbound.release();
                return Poll::Ready(self.life.take_failure().map_or(Ok(()), Err));
            }
            // The input is used up: what was queued meanwhile leaves together, before the wait for more.
            let _ = self.poll_write(cx);
            if self.life.stage == Stage::Stalled {
                self.finish(inbound);
                continue;
            }
            if !parsing && self.life.may_read() || self.poll_end(inbound, cx).is_ready() {
                continue;
            }
            // A peer that goes on sending must not keep us from seeing that its time to close is over.
            if self.life.writer.is_closed() && self.poll_clock(inbound, cx, true).is_ready() {
                continue;
            }
            let reading = parsing && self.life.may_read();
            // After its end the stream has nothing more to say, but it would say so again and again.
            if reading && !self.life.is_eof() && self.poll_read(inbound, cx).is_ready() {
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

    /// Does what a shutdown asks for. Who is told to end has nothing more to send.
    fn heed_shutdown(&mut self, cx: &mut Context<'_>) -> Option<Order> {
        let order = self.wakers.watched()?.heed(&mut self.life.writer)?;
        if order == Order::End && self.life.stage == Stage::Open {
            let _ = self.poll_write(cx); // the Close may be on its way only now
            self.stall(Timeout::Close);
        }
        Some(order)
    }

    /// Goes through the input until something wanted is ready.
    #[inline]
    fn parse(&mut self, inbound: &mut Inbound, wanted: Wanted) -> bool {
        let Self { life, clock, .. } = self;
        life.parse(inbound, wanted, |payload| {
            clock.timers.pong(payload, T::now());
        })
    }

    /// Reads once; ready when that changed anything.
    fn poll_read(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<()> {
        let payload = if inbound.reads_in_place() { inbound.reader.payload_buf() } else { None };
        let result = match payload {
            Some(payload) => ready!(self.transport.poll_read_payload(cx, payload)),
            None => ready!(self.transport.poll_read(cx, inbound.room())).inspect(|count| inbound.filled(*count)),
        };
        if self.life.note_read(inbound, result) {
            self.clock.timers.heard();
        } else if self.life.is_done() {
            self.retire();
        }
        Poll::Ready(())
    }

    /// Does what is left to do once there is nothing more to hear; ready when that changed anything.
    fn poll_end(&mut self, inbound: &Inbound, cx: &mut Context<'_>) -> Poll<()> {
        let wants = self.life.wants(inbound, self.life.pending());
        if wants.shutdown && !self.life.shut {
            // An error changes nothing: both ends have said what they had to say.
            let _ = ready!(self.transport.poll_shutdown(cx));
            self.life.shut = true;
        }
        if !wants.drop {
            return Poll::Pending;
        }
        self.finish(inbound);
        Poll::Ready(())
    }

    /// Judges the deadlines; ready when one has passed.
    fn poll_clock(&mut self, inbound: &mut Inbound, cx: &mut Context<'_>, reading: bool) -> Poll<()> {
        if self.life.writer.is_closed() {
            self.clock.timers.closing(T::now());
        }
        if self.clock.timers.minds_idleness() && (inbound.reader.take_active() | self.life.take_active()) {
            self.clock.timers.active(T::now());
        }
        let expired = ready!(self.clock.poll(cx, reading));
        self.life.expire(inbound, expired);
        if self.life.is_done() {
            self.retire();
        }
        Poll::Ready(())
    }

    fn finish(&mut self, inbound: &Inbound) {
        self.life.finish(inbound);
        self.retire();
    }

    /// There is nothing more to wait for.
    fn retire(&mut self) {
        self.clock.retire();
        self.wakers.wake_all();
    }

    /// Writes what waits; ready when all of it has left, or none of it can.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.try_write(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                // What the peer sent before it went away is still to be had.
                self.life.fail(error.into());
                self.life.abort();
                // From now on the receiver has a deadline.
                self.wakers.wake_all();
                Poll::Ready(())
            }
            Poll::Pending => {
                let now = T::now();
                let timers = &mut self.clock.timers;
                timers.write_blocked(now);
                if timers.write_stalled(now) {
                    self.stall(Timeout::Write);
                }
                Poll::Pending
            }
        }
    }

    /// Writes as far as the kernel takes it now. When it takes more, the receiver goes on.
    pub(crate) fn write_now(&mut self) {
        let Some(waker) = self.wakers.combined() else { return };
        let mut cx = Context::from_waker(&waker);
        let _ = T::poll_unbudgeted(&mut cx, |cx| self.poll_write_and_leave(cx));
    }

    /// The same for a task that has something to send, and comes back for the rest when it likes.
    pub(crate) fn poll_write_now(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let combined = self.wakers.register(Side::Sending, cx.waker());
        let _ = self.poll_write_and_leave(&mut context(&combined, cx.waker()));
        self.wakers.settled(Side::Sending);
        if self.life.is_broken() { Err(self.sending_failure()) } else { Ok(()) }
    }

    /// Writes for one who does not wait for the rest.
    fn poll_write_and_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let was_blocked = self.clock.timers.write_deadline().is_some();
        let written = self.poll_write(cx);
        if written.is_pending() && !was_blocked {
            self.wakers.wake_all(); // the receiver has a deadline now
        }
        written
    }

    /// The peer has let a deadline pass; the receiver finishes.
    fn stall(&mut self, timeout: Timeout) {
        self.life.stage = Stage::Stalled;
        self.life.fail(timeout.into());
        self.life.abort();
        self.wakers.wake_all();
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.clock.timers.minds_idleness() && self.life.writer.take_active() {
            self.clock.timers.active(T::now());
        }
        while self.life.writer.queued() > 0 {
            let count = match ready!(self.transport.poll_write(cx, self.life.writer.outbox())) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => count.min(self.life.writer.queued()), // a transport that claims more lies
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            self.life.writer.outbox().advance(count);
            self.life.unflushed = true;
            self.clock.timers.wrote();
        }
        if self.life.unflushed {
            ready!(self.transport.poll_flush(cx))?;
            self.life.unflushed = false;
            self.clock.timers.wrote();
        }
        // A sleep that only a write needed is not kept for the next one.
        self.clock.rest();
        Poll::Ready(Ok(()))
    }

    /// The sending side: until there is room for a message.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.life.writer.is_closed() {
            return Poll::Ready(Err(self.sending_failure()));
        }
        if self.life.has_room() {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx, |shared, _| shared.life.has_room())
    }

    /// The sending side: until everything up to `position` has reached the kernel.
    #[inline]
    pub(crate) fn poll_flushed(&mut self, cx: &mut Context<'_>, position: u64) -> Poll<Result<(), Error>> {
        ready!(self.poll_send(cx, |shared, cx| {
            shared.life.written() >= position && (!shared.life.unflushed || shared.transport.poll_flush(cx).is_ready())
        }))?;
        // Both ends may have closed, so that nothing has failed, before all of it had left.
        let is_lost = self.life.written() < position;
        Poll::Ready(if is_lost { Err(self.sending_failure()) } else { Ok(()) })
    }

    /// The sending side: until everything that waits has reached the kernel.
    pub(crate) fn poll_flushed_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let position = self.life.position();
        self.poll_flushed(cx, position)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        is_enough: impl FnOnce(&mut Self, &mut Context<'_>) -> bool,
    ) -> Poll<Result<(), Error>> {
        let combined = self.wakers.register(Side::Sending, cx.waker());
        let cx = &mut context(&combined, cx.waker());
        let _ = self.heed_shutdown(cx);
        let is_over = self.poll_write(cx).is_ready() || is_enough(self, cx);
        if !is_over && self.clock.poll(cx, false).is_ready() {
            self.stall(Timeout::Write);
        }
        let result = if self.life.is_broken() {
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

    /// What a sender is told.
    fn sending_failure(&mut self) -> Error {
        self.life.sending_failure(self.wakers.is_shared())
    }

    /// Resolves at the end of the connection, for those who only send.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.life.is_done() {
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
