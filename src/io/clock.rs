//! The timers of a connection, and the one sleep that waits for them.

use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::driver::Transport;
use crate::timers::{Expired, Timers};

/// Made when the first deadline exists.
pub(crate) struct Clock<T: Transport> {
    pub(crate) timers: Timers<T::Instant>,
    sleep: Option<Pin<Box<T::Sleep>>>,
    /// When `sleep` wakes us; never later than the timers' deadline.
    armed: Option<T::Instant>,
}

impl<T: Transport> Clock<T> {
    pub(crate) fn new(timers: Timers<T::Instant>) -> Self {
        Self { timers, sleep: None, armed: None }
    }

    /// What is due, or a promise to wake the task when something may be. With `reading` false nothing was read just
    /// now, and only the progress of writes is judged.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Expired> {
        loop {
            let deadline = if reading { self.timers.deadline() } else { self.timers.write_deadline() };
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            // Deadlines mostly move away. An early wake costs less than arming the sleep anew each time.
            if self.armed.is_none_or(|armed| deadline < armed) {
                self.arm(deadline);
            }
            let Some(sleep) = &mut self.sleep else {
                return Poll::Pending;
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
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

    fn arm(&mut self, deadline: T::Instant) {
        let sleep = T::sleep_until(deadline);
        match &mut self.sleep {
            Some(armed) => armed.set(sleep),
            none => *none = Some(Box::pin(sleep)),
        }
        self.armed = Some(deadline);
    }
}
