//! The timers of a connection, and the one sleep that waits for them.

use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::driver::Transport;
use crate::timers::{Expired, Timers};

pub(crate) struct Clock<T: Transport> {
    pub(crate) timers: Timers<T::Instant>,
    /// There only while there is a deadline, and never later than that.
    sleep: Option<Pin<Box<T::Sleep>>>,
}

impl<T: Transport> Clock<T> {
    pub(crate) fn new(timers: Timers<T::Instant>) -> Self {
        Self { timers, sleep: None }
    }

    /// Gives the sleep up if there is no deadline.
    #[inline]
    pub(crate) fn rest(&mut self) {
        if self.sleep.is_some() && self.timers.deadline().is_none() {
            self.sleep = None;
        }
    }

    /// There are no deadlines any more.
    pub(crate) fn retire(&mut self) {
        self.sleep = None;
    }

    /// What is due, or a promise to wake the task when something may be. With `reading` false nothing was read just
    /// now, and only the progress of writes is judged.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Expired> {
        let mut fired = false;
        loop {
            let deadline = if reading { self.timers.deadline() } else { self.timers.write_deadline() };
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(T::sleep_until(deadline)));
            // Deadlines mostly move away. An early wake costs less than arming the sleep anew each time.
            if fired || deadline < T::wakes_at(sleep) {
                sleep.set(T::sleep_until(deadline));
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            fired = true;
            let now = T::now();
            let expired = if reading {
                self.timers.expire(now)
            } else {
                self.timers.write_stalled(now).then_some(Expired::WriteStalled)
            };
            if let Some(expired) = expired {
                return Poll::Ready(expired);
            }
        }
    }
}
