//! Who is woken when the transport is ready.
//!
//! A transport remembers one waker for reading and one for writing, but both ends of a connection do both: receiving
//! writes replies, and TLS reads in order to write. When two tasks drive one connection, each would replace the other's
//! waker and put it to sleep for ever. So as soon as a second task shows up while the first may still wait, the
//! transport is given one combined waker, on every poll, which wakes them all.

use std::boxed::Box;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::vec::Vec;

use super::shutdown::Watch;

/// Which end of the connection a task drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receiving = 1,
    Sending = 2,
}

/// The tasks that drive a connection.
pub(crate) enum Wakers {
    /// One task, whose own waker the transport gets. `waiting` has the bits of the sides that may wait.
    One { waker: Option<Waker>, waiting: u8 },
    /// More than one.
    Many(Arc<Combined>),
    /// One or more, whom a shutdown wakes as well.
    Watched(Box<Watched>),
}

/// The tasks of a connection that ends with others. Boxed, so that the others need no room for it.
pub(crate) struct Watched {
    tasks: Wakers,
    watch: Watch,
}

/// Wakes every task that has asked since the last time.
#[derive(Default)]
pub(crate) struct Combined(Mutex<Tasks>);

#[derive(Default)]
struct Tasks {
    receiving: Option<Waker>,
    sending: Vec<Waker>,
}

impl Wakers {
    pub(crate) const NONE: Self = Self::One { waker: None, waiting: 0 };

    /// Remembers who polls. Returns the waker to give to the transport, if it is not the task's own.
    #[inline]
    pub(crate) fn register(&mut self, side: Side, task: &Waker) -> Option<Waker> {
        if let Self::Watched(watched) = self {
            let combined = watched.tasks.register(side, task);
            watched.watch.register(combined.as_ref().unwrap_or(task));
            return combined;
        }
        if let Self::One { waker, waiting } = self {
            let others = *waiting & !(side as u8);
            match waker {
                Some(waker) if waker.will_wake(task) => {}
                Some(waker) if others != 0 => {
                    let combined = Combined::default();
                    let other = if others == Side::Receiving as u8 { Side::Receiving } else { Side::Sending };
                    combined.register(other, waker);
                    *self = Self::Many(Arc::new(combined));
                    return self.register(side, task);
                }
                _ => *waker = Some(task.clone()),
            }
            *waiting |= side as u8;
            return None;
        }
        if let Self::Many(combined) = self {
            combined.register(side, task);
        }
        self.combined()
    }

    /// The waker of them all, if there are several.
    pub(crate) fn combined(&self) -> Option<Waker> {
        match self {
            Self::One { .. } => None,
            Self::Many(combined) => Some(combined.clone().into()),
            Self::Watched(watched) => watched.tasks.combined(),
        }
    }

    /// That side has got what it waited for.
    #[inline]
    pub(crate) fn settled(&mut self, side: Side) {
        match self {
            Self::One { waiting, .. } => *waiting &= !(side as u8),
            Self::Many(_) => {}
            Self::Watched(watched) => watched.tasks.settled(side),
        }
    }

    /// From now on there are several tasks.
    pub(crate) fn share(&mut self) {
        match self {
            Self::One { .. } => *self = Self::Many(Arc::default()),
            Self::Many(_) => {}
            Self::Watched(watched) => watched.tasks.share(),
        }
    }

    /// Whether there are several tasks, so that one who sends is apart from the one who receives.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::One { .. } => false,
            Self::Many(_) => true,
            Self::Watched(watched) => watched.tasks.is_shared(),
        }
    }

    /// From now on a shutdown has its say.
    pub(crate) fn watch(&mut self, watch: Watch) {
        if let Self::Watched(watched) = self {
            watched.watch = watch;
            return;
        }
        let tasks = mem::replace(self, Self::NONE);
        *self = Self::Watched(Box::new(Watched { tasks, watch }));
    }

    /// No longer.
    pub(crate) fn unwatch(&mut self) -> Option<Watch> {
        match mem::replace(self, Self::NONE) {
            Self::Watched(watched) => {
                *self = watched.tasks;
                Some(watched.watch)
            }
            tasks => {
                *self = tasks;
                None
            }
        }
    }

    /// The connection's part in a shutdown.
    #[inline]
    pub(crate) fn watched(&mut self) -> Option<&mut Watch> {
        if let Self::Watched(watched) = self { Some(&mut watched.watch) } else { None }
    }

    /// Wakes everyone who waits. One task may drive both sides, so it may have to come back for the other one.
    pub(crate) fn wake_all(&self) {
        match self {
            Self::One { waker: Some(waker), waiting } if *waiting != 0 => waker.wake_by_ref(),
            Self::One { .. } => {}
            Self::Many(combined) => combined.wake_all(),
            Self::Watched(watched) => watched.tasks.wake_all(),
        }
    }
}

impl Combined {
    fn register(&self, side: Side, task: &Waker) {
        let mut tasks = self.lock();
        match side {
            Side::Receiving => match &mut tasks.receiving {
                Some(waker) => waker.clone_from(task),
                none => *none = Some(task.clone()),
            },
            Side::Sending if tasks.sending.iter().any(|waker| waker.will_wake(task)) => {}
            Side::Sending => tasks.sending.push(task.clone()),
        }
    }

    fn wake_all(&self) {
        let tasks = mem::take(&mut *self.lock());
        tasks.receiving.into_iter().chain(tasks.sending).for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Combined {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
