//! Ending many connections at once, each from within its own task.

use std::boxed::Box;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

use super::driver::Transport;
use super::websocket::WebSocket;
use crate::close::{CloseCode, CloseFrame};
use crate::error::SendErrorKind;
use crate::writer::Writer;

/// Ends any number of connections: closes each, waits for the peers, and drops at a deadline what is left.
///
/// Clone it into the tasks, and let each [watch](Self::watch) its connection. When the shutdown
/// [begins](Self::begin), whatever a task does with its connection notices by itself: `recv` sends Close, discards
/// messages until the peer's Close, which nobody could answer any more, and then says `None`. So a handler's loop just
/// ends, and a server that stops is these few lines more:
///
/// ```
/// # #[cfg(feature = "tokio")] mod server {
/// use std::time::Duration;
/// use sockeye::tokio::{Shutdown, WebSocket};
/// use sockeye::{CloseCode, Error};
/// use tokio::net::{TcpListener, TcpStream};
///
/// async fn serve(listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
///     let shutdown = Shutdown::new();
///     loop {
///         tokio::select! {
///             accepted = listener.accept() => drop(tokio::spawn(echo(accepted?.0, shutdown.clone()))),
///             _ = tokio::signal::ctrl_c() => break,
///         }
///     }
///     let deadline = tokio::time::sleep(Duration::from_secs(10));
///     let gone = shutdown.begin(CloseCode::GOING_AWAY, "the server restarts", deadline).await?;
///     println!("{} ended, {} were dropped", gone.in_time, gone.dropped);
///     Ok(())
/// }
///
/// async fn echo(stream: TcpStream, shutdown: Shutdown) -> Result<(), Error> {
///     let mut ws = shutdown.watch(WebSocket::accept(stream).await?);
///     while let Some((message, writer)) = ws.recv_with_writer().await? {
///         writer.send(message)?;
///     }
///     Ok(())
/// }
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Shutdown {
    hub: Arc<Hub>,
}

/// What became of the connections of a [`Shutdown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// How many were gone before the deadline.
    pub in_time: usize,
    /// How many were still there, and were dropped.
    pub dropped: usize,
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the connection end with the others. If the shutdown has begun already, it ends at once.
    ///
    /// It is watched until the `WebSocket` is dropped or, once it is [split](WebSocket::into_split), its receiver.
    pub fn watch<T: Transport>(&self, mut websocket: WebSocket<T>) -> WebSocket<T> {
        websocket.watch(Watch::new(self.hub.clone()));
        websocket
    }

    /// Closes all connections, and waits until every one of them is gone, or until `deadline`, which may be a sleep, a
    /// second Ctrl-C, or whichever comes first.
    ///
    /// A connection that waits at the deadline, in whichever verb, fails with
    /// [`Timeout::Close`](crate::Timeout::Close); [`Config::close_timeout`](crate::Config::close_timeout) holds as well.
    /// What a task does apart from its connection is not interrupted: then the connection ends when the task comes back
    /// to it, or is dropped.
    ///
    /// Dropping this future stops the wait and the deadline, and nothing else. It can be made again, and keeps the first
    /// code and reason.
    ///
    /// # Errors
    /// The code or the reason may not be sent. Nothing has begun.
    pub async fn begin(
        &self,
        code: CloseCode,
        reason: &str,
        deadline: impl Future<Output = ()>,
    ) -> Result<Gone, SendErrorKind> {
        if !code.may_travel() {
            return Err(SendErrorKind::InvalidCloseCode(code));
        }
        if reason.len() > CloseFrame::MAX_REASON {
            return Err(SendErrorKind::ControlFrameTooLong);
        }
        self.hub.begin(code, reason);
        let mut deadline = pin!(deadline);
        let dropped = poll_fn(|cx| match self.hub.poll_empty(cx) {
            Poll::Ready(()) => Poll::Ready(0),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| self.hub.expire()),
        })
        .await;
        Ok(Gone { in_time: self.hub.lock().gone, dropped })
    }

    /// How many connections are watched now.
    pub fn watched(&self) -> usize {
        self.hub.lock().connections.len()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.hub.lock();
        f.debug_struct("Shutdown")
            .field("watched", &state.connections.len())
            .field("begun", &state.order.is_some())
            .finish()
    }
}

/// What all connections of a shutdown share.
#[derive(Default)]
struct Hub {
    /// A connection need not take the lock to learn that nothing has begun.
    begun: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The Close to send, once the shutdown has begun.
    order: Option<(CloseCode, Box<str>)>,
    /// The deadline has passed.
    is_over: bool,
    connections: HashMap<u64, Arc<Bell>>,
    next_key: u64,
    /// How many have gone since the shutdown began.
    gone: usize,
    /// Who waits for the last one.
    waiting: Vec<Waker>,
}

impl Hub {
    fn begin(&self, code: CloseCode, reason: &str) {
        let mut state = self.lock();
        state.order.get_or_insert_with(|| (code, reason.into()));
        // Who registers from now on finds this; who has registered before is woken.
        self.begun.store(true, Ordering::Release);
        Self::wake_connections(state);
    }

    /// Ends what is left; how much that is.
    fn expire(&self) -> usize {
        let mut state = self.lock();
        state.is_over = true;
        let left = state.connections.len();
        Self::wake_connections(state);
        left
    }

    /// Waking may run anything, and so may dropping a waker: never under the lock.
    fn wake_connections(state: MutexGuard<'_, State>) {
        let connections: Vec<_> = state.connections.values().cloned().collect();
        drop(state);
        connections.iter().for_each(|bell| bell.ring());
    }

    fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.connections.is_empty() {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn add(&self, bell: Arc<Bell>) -> u64 {
        let mut state = self.lock();
        let key = state.next_key;
        state.next_key += 1;
        state.connections.insert(key, bell);
        key
    }

    fn remove(&self, key: u64) {
        let mut state = self.lock();
        let bell = state.connections.remove(&key);
        state.gone += usize::from(state.order.is_some());
        let waiting = if state.connections.is_empty() { mem::take(&mut state.waiting) } else { Vec::new() };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        drop(bell);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the tasks of one connection.
#[derive(Default)]
struct Bell(Mutex<Option<Waker>>);

impl Bell {
    fn register(&self, new: &Waker) {
        match &mut *self.lock() {
            Some(waker) => waker.clone_from(new),
            none => *none = Some(new.clone()),
        }
    }

    fn ring(&self) {
        let waker = self.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's part in a shutdown.
pub(crate) struct Watch {
    hub: Arc<Hub>,
    key: u64,
    bell: Arc<Bell>,
    /// The Close that was sent is the shutdown's.
    closed: bool,
}

/// What a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on until the peer's Close, and deliver messages only if the caller closed before.
    Close { discard: bool },
    /// End now.
    End,
}

impl Watch {
    fn new(hub: Arc<Hub>) -> Self {
        let bell = Arc::<Bell>::default();
        let key = hub.add(bell.clone());
        Self { hub, key, bell, closed: false }
    }

    /// Remembers whom to wake when something begins: the transport's waker, which wakes everyone who waits.
    pub(crate) fn register(&self, waker: &Waker) {
        self.bell.register(waker);
    }

    /// What there is to do, once the shutdown has begun. Who asks has registered before.
    pub(crate) fn heed(&mut self, writer: &mut Writer) -> Option<Order> {
        if !self.hub.begun.load(Ordering::Acquire) {
            return None;
        }
        let state = self.hub.lock();
        let (code, reason) = state.order.as_ref()?;
        self.closed |= writer.close(*code, reason).is_ok();
        Some(if state.is_over { Order::End } else { Order::Close { discard: self.closed } })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.remove(self.key);
    }
}
