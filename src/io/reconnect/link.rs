//! The current connection, for those who send.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::state::{Attempt, State};
use crate::error::{SendError, SendErrorKind};
use crate::io::tokio::Sender as Current;
use crate::message::Message;

/// Sends on whichever connection is open; clones do the same.
///
/// It lives as long as it likes: the connection is the [`Reconnect`](super::Reconnect)'s, and is not kept by senders.
pub struct Sender<S: AsyncRead + AsyncWrite + Unpin> {
    link: Arc<Link<S>>,
}

pub(super) struct Link<S: AsyncRead + AsyncWrite + Unpin> {
    states: watch::Sender<State>,
    slot: Mutex<Slot<S>>,
}

struct Slot<S: AsyncRead + AsyncWrite + Unpin> {
    current: Option<Current<S>>,
    /// How many connections there were, so that a message is not half one's and half another's.
    number: u64,
    /// Whether there will be no other.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    pub(super) fn new() -> Self {
        let slot = Mutex::new(Slot { current: None, number: 0, closed: false });
        Self { link: Arc::new(Link { states: watch::Sender::new(State::Connecting(Attempt::default())), slot }) }
    }

    /// Sends a message, and waits until it has reached the kernel.
    ///
    /// It goes out on the connection that is open now. While there is none, or when that one is lost before it took the
    /// message, the message comes back at once: nothing is kept to be sent later.
    ///
    /// # Errors
    /// [`SendErrorKind::Disconnected`], with the message; [`SendErrorKind::Ended`] once it is closed for good, with the
    /// message. **Without a message**, the connection was lost while it was on its way, and nobody knows if it arrived.
    pub async fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        let mut message = Some(message.into());
        let number = self.link.slot().number;
        let position = poll_fn(|cx| self.link.poll_accept(cx, number, &mut message)).await?;
        poll_fn(|cx| self.link.poll_flushed(cx, number, position)).await.map_err(SendError::from)
    }

    /// Writes a message as far as the kernel takes it now; the rest leaves as soon as the peer reads.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendErrorKind::Full`]: the peer reads too slowly. The message comes back.
    pub fn try_send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        let slot = self.link.slot();
        match &slot.current {
            Some(current) => current.try_send(message).map_err(|error| slot.explained(error)),
            None => Err(slot.refused(Some(message.into()))),
        }
    }

    /// What is being done now.
    pub fn state(&self) -> State {
        self.link.states.borrow().clone()
    }

    /// What is being done, to wait for changes. Only the latest state is kept for those who look rarely.
    ///
    /// ```
    /// # use sockeye::tokio::reconnect::{Sender, State};
    /// # async fn wait(sender: Sender<tokio::net::TcpStream>) {
    /// let mut states = sender.states();
    /// let reached = states.wait_for(|state| matches!(state, State::Open | State::Closed)).await;
    /// # drop(reached) }
    /// ```
    pub fn states(&self) -> watch::Receiver<State> {
        self.link.states.subscribe()
    }

    /// There is another state, and in it this connection, or none.
    pub(super) fn enter(&self, state: State, current: Option<Current<S>>) {
        let mut slot = self.link.slot();
        slot.number += u64::from(current.is_some());
        slot.closed |= matches!(state, State::Closed);
        let lost = std::mem::replace(&mut slot.current, current);
        drop(slot); // who looks at a state may send meanwhile
        self.link.states.send_if_modified(|latest| {
            let is_old = matches!((&*latest, &state), (State::Closed, State::Closed));
            *latest = state;
            !is_old
        });
        drop(lost); // which tells the peer, where that is of use
    }

    /// Acts on the current connection, if there is one.
    pub(super) fn with_current<R>(&self, act: impl FnOnce(&Current<S>) -> R) -> Option<R> {
        self.link.slot().current.as_ref().map(act)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Takes the message as soon as the connection with this number has room. Returns where its stream will be when the
    /// message has left.
    fn poll_accept<'m>(
        &self,
        cx: &mut Context<'_>,
        number: u64,
        message: &mut Option<Message<'m>>,
    ) -> Poll<Result<u64, SendError<'m>>> {
        let slot = self.slot();
        let Some(current) = slot.of(number) else {
            return Poll::Ready(Err(slot.refused(message.take())));
        };
        if ready!(current.poll_room(cx)).is_err() {
            return Poll::Ready(Err(slot.refused(message.take())));
        }
        // Everyone who sends holds the slot, so the room is still there.
        let sent = message.take().map_or(Ok(()), |message| current.try_send(message));
        Poll::Ready(sent.map(|()| current.position()).map_err(|error| slot.explained(error)))
    }

    fn poll_flushed(&self, cx: &mut Context<'_>, number: u64, position: u64) -> Poll<Result<(), SendErrorKind>> {
        let slot = self.slot();
        let Some(current) = slot.of(number) else {
            return Poll::Ready(Err(slot.refusal()));
        };
        current.poll_flushed(cx, position).map_err(|_| slot.refusal())
    }

    fn slot(&self) -> MutexGuard<'_, Slot<S>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Slot<S> {
    fn of(&self, number: u64) -> Option<&Current<S>> {
        self.current.as_ref().filter(|_| self.number == number)
    }

    /// An error of the connection, as one of the client: that a connection has ended means little to it.
    fn explained<'m>(&self, error: SendError<'m>) -> SendError<'m> {
        match error.kind() {
            SendErrorKind::Closed | SendErrorKind::Ended => self.refused(error.into_message()),
            _ => error,
        }
    }

    fn refused<'m>(&self, message: Option<Message<'m>>) -> SendError<'m> {
        SendError { kind: self.refusal(), message }
    }

    fn refusal(&self) -> SendErrorKind {
        if self.closed { SendErrorKind::Ended } else { SendErrorKind::Disconnected }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Clone for Sender<S> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Sender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.link.states.borrow()).finish()
    }
}
