//! A client over tokio that stays connected (RFC 6455 §7.2.3).
//!
//! ```no_run
//! use sockeye::{Error, client::Request, tokio::{Reconnect, WebSocket}};
//! use tokio::net::TcpStream;
//!
//! # async fn run() -> Result<(), Error> {
//! let mut ws = Reconnect::new(|_attempt| async {
//!     let request = Request::get("ws://127.0.0.1:9001/feed")?.header("Authorization", "Bearer abc"); // a fresh token
//!     let stream = TcpStream::connect(request.address()).await?;
//!     let (mut ws, _response) = WebSocket::client(stream, request).await?;
//!     ws.send("subscribe").await?; // again on each connection
//!     Ok(ws)
//! });
//! let sender = ws.sender(); // for other tasks, and to answer messages
//! while let Some(message) = ws.recv().await? {
//!     if let Err(error) = sender.send(message).await {
//!         eprintln!("{error}"); // `error.into_message()` is the message, to keep or to drop
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What is lost
//!
//! Nothing is sent twice, and nothing is kept to be sent later: a message that meets no connection comes back. What the
//! server sent while there was no connection, and what was on its way when one was lost, is gone; only a protocol of the
//! application can ask for it again.

mod link;
mod state;

pub use link::Sender;
pub use state::{Attempt, Cause, State};

use std::boxed::Box;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::tokio::{Receiver, WebSocket};
use super::{Error, Timeout};
use crate::backoff::Backoff;
use crate::close::CloseCode;
use crate::connection::Closure;
use crate::error::{SendError, SendErrorKind};
use crate::message::Message;
use crate::trace;

/// A client that stays connected, see the [module](self).
///
/// **It must be polled**, by [`recv`](Self::recv) as a rule: that is what connects, answers pings, notices a loss, waits
/// and connects again. Nothing happens in between, and no task is started; who only sends has a task of its own go on
/// receiving, and sends through a [`sender`](Self::sender). **Every future may be dropped at any await point**: an
/// attempt, and a delay, go on where they were at the next call.
///
/// Dropping it drops its connection and its timers, and says Close if that can be written at once.
#[must_use = "it connects when `recv` is called"]
pub struct Reconnect<S: AsyncRead + AsyncWrite + Unpin> {
    connector: Box<dyn FnMut(Attempt) -> Connecting<S> + Send>,
    on_open: Option<Arc<Hook<S>>>,
    retry_if: Box<dyn FnMut(&Cause) -> bool + Send>,
    backoff: Backoff,
    max_retry_after: Duration,
    attempt_timeout: Option<Duration>,
    stage: Stage<S>,
    /// Why the latest attempt failed, or the latest connection was lost.
    why: Option<Arc<Cause>>,
    /// How the last connection was closed.
    closure: Option<Closure>,
    sender: Sender<S>,
}

/// What a hook of [`Reconnect::on_open`] returns: a boxed future.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

type Hook<S> = dyn Fn(&mut WebSocket<S>) -> Opening<'_> + Send + Sync;
type Connecting<S> = Pin<Box<dyn Future<Output = Result<WebSocket<S>, Error>> + Send>>;

enum Stage<S: AsyncRead + AsyncWrite + Unpin> {
    /// Nobody has asked for anything yet.
    New,
    Connecting(Connecting<S>),
    Open {
        receiver: Receiver<S>,
        since: Instant,
    },
    Waiting(Pin<Box<Sleep>>),
    /// `close` was called while a connection was open.
    Closing(Receiver<S>),
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Reconnect<S> {
    /// A client whose connections `connector` makes, the first one too, which is tried again like any other. It is called
    /// for each attempt, and so is the place for what changes: a fresh token, another URL, a message to subscribe again.
    /// When it fails, the attempt has.
    pub fn new<F>(mut connector: impl FnMut(Attempt) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S>, Error>> + Send + 'static,
    {
        Self {
            connector: Box::new(move |attempt| Box::pin(connector(attempt))),
            on_open: None,
            retry_if: Box::new(Cause::is_transient),
            backoff: Backoff::DEFAULT,
            max_retry_after: Duration::from_secs(300),
            attempt_timeout: Some(Duration::from_secs(60)),
            stage: Stage::New,
            why: None,
            closure: None,
            sender: Sender::new(),
        }
    }

    /// Runs after each connect, before any message is received or sent by others, to subscribe again for instance. When it
    /// fails, the attempt has. The same as the last lines of a connector, for one that comes from elsewhere:
    ///
    /// ```
    /// # use sockeye::{Error, tokio::{Reconnect, WebSocket}};
    /// # async fn connect() -> Result<WebSocket<tokio::io::DuplexStream>, Error> { Err(Error::UnexpectedEof) }
    /// let ws = Reconnect::new(|_| connect()).on_open(|ws| Box::pin(ws.send("subscribe")));
    /// ```
    pub fn on_open(mut self, hook: impl Fn(&mut WebSocket<S>) -> Opening<'_> + Send + Sync + 'static) -> Self {
        self.on_open = Some(Arc::new(hook));
        self
    }

    /// The delays between attempts; [`Backoff::DEFAULT`] without this.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What is worth another attempt; [`Cause::is_transient`] without this. After anything else it is closed for good.
    ///
    /// ```
    /// # use sockeye::{CloseCode, Error, tokio::{Reconnect, WebSocket}};
    /// # let connector = |_| async { Err::<WebSocket<tokio::io::DuplexStream>, _>(Error::UnexpectedEof) };
    /// // A server that closes with 1000 once a day, though its feed never ends.
    /// let ws = Reconnect::new(connector)
    ///     .retry_if(|cause| cause.is_transient() || cause.close_code() == Some(CloseCode::NORMAL));
    /// ```
    pub fn retry_if(mut self, is_worth_it: impl FnMut(&Cause) -> bool + Send + 'static) -> Self {
        self.retry_if = Box::new(is_worth_it);
        self
    }

    /// The longest `Retry-After` of a refusal that is obeyed; a longer one counts as this. 5 minutes without this. The
    /// delay of the [`backoff`](Self::backoff) comes on top, or all clients would come back together.
    pub fn max_retry_after(mut self, limit: Duration) -> Self {
        self.max_retry_after = limit;
        self
    }

    /// How long one attempt may take, with all that the connector waits for. 60 seconds without this; the deadlines
    /// inside of the connector are shorter as a rule.
    pub fn attempt_timeout(mut self, limit: Option<Duration>) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// The next message, lent until the next call, from this connection or a later one. `None` once it is closed for
    /// good: by [`close`](Self::close), or by a peer that [ends it](Cause::is_transient), as [`closure`](Self::closure)
    /// tells.
    ///
    /// # Errors
    /// What is not worth another attempt, or made the last one fail that the [`backoff`](Self::backoff) allows. That is
    /// said once; then `None`.
    pub async fn recv(&mut self) -> Result<Option<Message<'_>>, Error> {
        poll_fn(|cx| self.poll_message(cx)).await?;
        Ok(self.message())
    }

    /// Waits until a connection is open, without taking a message from it.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); [`SendErrorKind::Ended`] if it is closed for good.
    pub async fn connected(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_open(cx)).await?;
        if let Stage::Open { .. } = self.stage { Ok(()) } else { Err(SendErrorKind::Ended.into()) }
    }

    /// Sends a message on the connection that is open, see [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<(), SendError<'m>>> {
        self.sender.send(message)
    }

    /// Sends on whichever connection is open, from other tasks, or while a message is lent.
    pub fn sender(&self) -> Sender<S> {
        self.sender.clone()
    }

    /// What is being done now.
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// What is being done, to wait for changes; see [`Sender::states`].
    pub fn states(&self) -> watch::Receiver<State> {
        self.sender.states()
    }

    /// Closes it for good: ends the delay or the attempt, or closes the connection as
    /// [`WebSocket::close`](crate::asynchronous::WebSocket::close) does.
    ///
    /// # Errors
    /// As [`WebSocket::close`](crate::asynchronous::WebSocket::close). It is closed for good all the same, unless the code
    /// or the reason may not be sent.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.start_close(code, reason)?;
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// How it was closed for good, if that was by Close.
    pub fn closure(&self) -> Option<&Closure> {
        self.closure.as_ref()
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let close = |current: &super::tokio::Sender<S>| match current.try_close(code, reason) {
            Err(error) if !current.is_closed() => Err(error),
            _ => Ok(()),
        };
        self.sender.with_current(close).transpose()?;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open { receiver, .. } | Stage::Closing(receiver) => Stage::Closing(receiver),
            _ => Stage::Closed,
        };
        self.sender.enter(State::Closed, None);
        Ok(())
    }

    /// Ready when a message can be [lent](Self::message), or it is closed for good.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.poll_open(cx))?;
            let (Stage::Open { receiver, .. } | Stage::Closing(receiver)) = &mut self.stage else {
                return Poll::Ready(Ok(()));
            };
            let cause = match ready!(receiver.poll_message(cx)) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => receiver.closure().map_or(Error::UnexpectedEof.into(), Cause::Closed),
                Err(error) => error.into(),
            };
            self.ended(cause)?;
        }
    }

    /// Ready when a connection is open, as far as is known, or it is closed for good.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.stage {
                Stage::New => self.connect(),
                Stage::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.connect();
                }
                Stage::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                    Ok(ws) => self.opened(ws),
                    Err(error) => self.wait(error.into())?,
                },
                Stage::Open { .. } | Stage::Closing(_) | Stage::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    fn message(&mut self) -> Option<Message<'_>> {
        match &mut self.stage {
            Stage::Open { receiver, .. } | Stage::Closing(receiver) => receiver.message(),
            _ => None,
        }
    }

    fn connect(&mut self) {
        let attempt = Attempt { failures: self.backoff.attempts(), why: self.why.clone() };
        self.sender.enter(State::Connecting(attempt.clone()), None);
        trace::attempting(attempt.failures);
        let (connecting, hook, limit) = ((self.connector)(attempt), self.on_open.clone(), self.attempt_timeout);
        let opening = async move {
            let mut ws = connecting.await?;
            if let Some(hook) = hook {
                hook(&mut ws).await?;
            }
            Ok(ws)
        };
        self.stage = Stage::Connecting(match limit {
            Some(limit) => {
                Box::pin(async move { timeout(limit, opening).await.unwrap_or_else(|_| Err(Timeout::Attempt.into())) })
            }
            None => Box::pin(opening),
        });
    }

    fn opened(&mut self, ws: WebSocket<S>) {
        let (receiver, sender) = ws.into_split();
        self.stage = Stage::Open { receiver, since: Instant::now() };
        self.sender.enter(State::Open, Some(sender));
    }

    /// The connection has ended.
    fn ended(&mut self, cause: Cause) -> Result<(), Error> {
        if let Stage::Open { since, .. } = self.stage {
            self.backoff.lasted(since.elapsed());
            return self.wait(cause);
        }
        self.end(cause)
    }

    /// Begins the delay before the next attempt, if there is to be one.
    fn wait(&mut self, cause: Cause) -> Result<(), Error> {
        let delay = if (self.retry_if)(&cause) { self.backoff.next() } else { None };
        let Some(delay) = delay else { return self.end(cause) };
        let delay = delay.saturating_add(cause.retry_after().min(self.max_retry_after));
        let now = Instant::now();
        let until = now.checked_add(delay).unwrap_or_else(|| now + DISTANT);
        trace::waiting(delay, &cause);
        let why = Arc::new(cause);
        self.why = Some(why.clone());
        self.sender.enter(State::Waiting { until, why }, None);
        self.stage = Stage::Waiting(Box::pin(sleep_until(until)));
        Ok(())
    }

    /// It is closed for good.
    fn end(&mut self, cause: Cause) -> Result<(), Error> {
        self.sender.enter(State::Closed, None);
        self.stage = Stage::Closed;
        match cause {
            Cause::Failed(error) => Err(error),
            Cause::Closed(closure) => {
                self.closure = Some(closure);
                Ok(())
            }
        }
    }
}

/// Owned messages, until it is closed for good.
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for Reconnect<S> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let result = ready!(this.poll_message(cx));
        Poll::Ready(result.map(|()| this.message().map(Message::into_owned)).transpose())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> FusedStream for Reconnect<S> {
    fn is_terminated(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Reconnect<S> {
    fn drop(&mut self) {
        self.sender.enter(State::Closed, None);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Reconnect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("sender", &self.sender)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// As good as for ever.
const DISTANT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
