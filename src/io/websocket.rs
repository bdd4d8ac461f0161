//! The verbs of an asynchronous connection.

use std::boxed::Box;
use std::fmt;
use std::future::{self, Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::driver::{Shared, Transport};
use super::error::Error;
use super::input::Inbound;
use super::lent::LentWriter;
use super::life::Wanted;
use super::opening;
use super::shutdown::Watch;
use super::statistics::Statistics;
use crate::close::CloseCode;
use crate::config::Config;
use crate::connection::{Agreed, Closure, Connection};
use crate::error::SendError;
use crate::frame::Role;
use crate::handshake::{Origins, Reject, client, server};
use crate::message::{Event, Kind, Message, Part};
use crate::trace;
use crate::writer::{Prepared, Writer};

/// An open connection over an asynchronous stream.
///
/// | verb | when it returns |
/// |---|---|
/// | [`try_send`](Self::try_send) | at once; the message waits in the outbox, or comes back |
/// | [`feed`](Self::feed) | the message waits in the outbox, which had room |
/// | [`flush`](Self::flush) | everything that waited has reached the kernel |
/// | [`send`](Self::send) | the message has reached the kernel: `feed`, then `flush` |
///
/// What was fed, and all automatic replies, leave together when the next `recv` would wait. While
/// [`Config::outbox_high_water`] or more waits, `feed` and `send` wait too, and while more than that was queued through
/// [`recv_with_writer`](Self::recv_with_writer), so does `recv`: a peer that does not read stalls, and nothing fails.
///
/// **It must be polled** while it is open, by `recv` as a rule: nobody else answers the peer's pings. Who has nothing to
/// receive parks [`Receiver::drain`](super::split::Receiver::drain) of a [split](Self::into_split) connection in a task.
///
/// **Every future may be dropped at any await point**: nothing is lost, torn or sent twice. What was accepted stays
/// accepted. Dropping the `WebSocket` itself drops the stream, without a Close.
pub struct WebSocket<T: Transport> {
    pub(super) inbound: Inbound,
    pub(super) shared: Shared<T>,
}

impl<T: Transport> WebSocket<T> {
    /// Waits for a client's opening handshake and accepts it, with the default configuration, from pages of the same
    /// host and from what is no browser.
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub async fn accept(stream: T::Stream) -> Result<Self, Error> {
        Self::accept_with(stream, &Config::DEFAULT, |request| request.accept(Origins::Same)).await
    }

    /// Waits for a client's opening handshake and answers as `answer` decides: by path, credentials, [`Origins`],
    /// subprotocols; with any status, headers and body where it refuses.
    ///
    #[cfg_attr(feature = "tokio", doc = "```")]
    #[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
    /// use sockeye::{Config, Error, Origins, server, tokio::WebSocket};
    /// use tokio::io::{AsyncRead, AsyncWrite};
    /// # struct User;
    /// # fn authenticate(_token: Option<&[u8]>) -> Option<User> { None }
    ///
    /// const CONFIG: Config = Config::DEFAULT.max_message_size(1 << 16);
    ///
    /// async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(WebSocket<S>, Option<User>), Error> {
    ///     let mut user = None;
    ///     let answer = |request: server::Request| {
    ///         if request.path() != "/chat" {
    ///             return Err(request.reject(404).header("Cache-Control", "no-store").body("there is only /chat\n"));
    ///         }
    ///         user = authenticate(request.headers().get("Authorization"));
    ///         if user.is_none() {
    ///             return Err(request.reject(401).header("WWW-Authenticate", "Bearer"));
    ///         }
    ///         let accept = request.accept(Origins::List(&["https://example.com"]))?; // or 403
    ///         Ok(accept.select(&["v2.chat", "chat"]).header("Set-Cookie", "seen=1"))
    ///     };
    ///     let ws = WebSocket::accept_with(stream, &CONFIG, answer).await?;
    ///     Ok((ws, user))
    /// }
    /// ```
    ///
    /// A `TcpStream` of tokio's is told to send at once what it is given, and `ws.get_ref().set_nodelay(false)` takes that
    /// back. Other streams are left alone: set the option of a socket inside of TLS before.
    ///
    /// # Errors
    /// The request was rejected, and the client told so; it did not come in time; or the stream failed.
    pub async fn accept_with(
        stream: T::Stream,
        config: &Config,
        answer: impl FnOnce(server::Request) -> Result<server::Accept, Reject>,
    ) -> Result<Self, Error> {
        Self::accept_async(stream, config, |request| future::ready(answer(request))).await
    }

    /// The same as [`accept_with`](Self::accept_with) where the answer takes time, for instance to look up who it is.
    ///
    /// All of it must be done within [`Config::handshake_timeout`]; if the answer is not there by then, the client is
    /// refused with 503.
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub async fn accept_async<F: Future<Output = Result<server::Accept, Reject>>>(
        stream: T::Stream,
        config: &Config,
        answer: impl FnOnce(server::Request) -> F,
    ) -> Result<Self, Error> {
        // What an opening needs is gone before the connection is made, and no task should have room for both.
        let opening = Box::pin(opening::accept(T::new(stream), config, answer));
        trace::Opening::new(Role::Server).drive(opening).await
    }

    /// Makes the opening handshake as a client, with the default configuration.
    ///
    /// For a `wss` URL the stream must be the one inside of TLS: what is sent here, credentials too, goes out as the
    /// stream sends it.
    ///
    /// # Errors
    /// As [`client_with`](Self::client_with).
    pub async fn client(stream: T::Stream, request: client::Request) -> Result<(Self, client::Response), Error> {
        Self::client_with(stream, request, &Config::DEFAULT).await
    }

    /// Makes the opening handshake as a client.
    ///
    /// # Errors
    /// The server refused, broke the protocol or did not answer in time; or the stream failed.
    pub async fn client_with(
        stream: T::Stream,
        request: client::Request,
        config: &Config,
    ) -> Result<(Self, client::Response), Error> {
        let opening = Box::pin(opening::client(T::new(stream), config, request)); // as above
        trace::Opening::new(Role::Client).drive(opening).await
    }

    /// A connection over a stream that some other HTTP stack has upgraded. `leftover` is what was read behind the
    /// handshake.
    pub fn open(stream: T::Stream, role: Role, agreed: Agreed, config: &Config, leftover: &[u8]) -> Self {
        Self::new(T::new(stream), Connection::open(role, agreed, config), config, leftover)
    }

    pub(crate) fn new(transport: T, connection: Connection, config: &Config, leftover: &[u8]) -> Self {
        let (inbound, shared) = Shared::new(transport, connection, config, leftover);
        Self { inbound, shared }
    }

    pub(crate) fn from_parts(inbound: Inbound, shared: Shared<T>) -> Self {
        Self { inbound, shared }
    }

    pub(crate) fn watch(&mut self, watch: Watch) {
        self.shared.wakers.watch(watch);
    }

    pub(crate) fn into_parts(self) -> (Inbound, Shared<T>) {
        (self.inbound, self.shared)
    }

    /// The stream.
    pub fn get_ref(&self) -> &T::Stream {
        self.shared.transport.get_ref()
    }

    /// The stream, to set its options. Reading from it or writing to it tears the connection.
    pub fn get_mut(&mut self) -> &mut T::Stream {
        self.shared.transport.get_mut()
    }

    /// The stream, without a Close. What was [received](Self::unread) or queued meanwhile is lost.
    pub fn into_inner(self) -> T::Stream {
        self.shared.transport.into_inner()
    }

    /// The next message, lent until the next call. `None` once the connection is closed.
    ///
    /// Pings, pongs and Close are handled inside; [`recv_event`](Self::recv_event) shows them. Whatever code the peer
    /// closed with, that is no failure here: [`closure`](Self::closure) tells it.
    ///
    /// # Errors
    /// The connection has failed. That is said once; then `None`.
    #[inline]
    pub async fn recv(&mut self) -> Result<Option<Message<'_>>, Error> {
        poll_fn(|cx| self.poll_ready_to_receive(cx, Wanted::Messages)).await?;
        Ok(self.inbound.message())
    }

    /// The next message together with the writer, to answer it from borrowed data without a copy:
    ///
    /// ```
    /// # use sockeye::{Error, tokio::WebSocket};
    /// # async fn echo(stream: tokio::net::TcpStream) -> Result<(), Error> {
    /// let mut ws = WebSocket::accept(stream).await?;
    /// while let Some((message, writer)) = ws.recv_with_writer().await? {
    ///     writer.send(message)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// What is queued leaves when the next call would wait. There is room for a message of any size whenever this
    /// returns one, unless what was sent apart from these answers fills [`Config::outbox_capacity`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub async fn recv_with_writer(&mut self) -> Result<Option<(Message<'_>, &mut LentWriter)>, Error> {
        poll_fn(|cx| self.poll_ready_to_receive(cx, Wanted::Messages)).await?;
        let writer = self.shared.life.lend_writer();
        Ok(self.inbound.message().map(|message| (message, writer)))
    }

    /// The next event of any kind. The answer that it calls for is queued, and leaves when the next call would wait. So
    /// go on after Close, until `None`: only then was it answered, and the stream shut down.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        poll_fn(|cx| self.poll_ready_to_receive(cx, Wanted::Events)).await?;
        Ok(self.inbound.event())
    }

    /// The next part of a message of any length, in constant memory; see [`Reader::next_part`](crate::Reader::next_part).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        poll_fn(|cx| self.poll_ready_to_receive(cx, Wanted::Parts)).await?;
        Ok(self.inbound.part())
    }

    #[inline]
    fn poll_ready_to_receive(&mut self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Result<(), Error>> {
        self.shared.poll_receive(&mut self.inbound, cx, wanted)
    }

    /// Sends a message, and waits until it has reached the kernel. Several go faster with [`feed`](Self::feed).
    ///
    /// # Errors
    /// The connection is closed or has failed, or a streamed message is unfinished.
    pub async fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Queues a message, as soon as the outbox has room.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.ready().await?;
        Ok(self.try_send(message)?)
    }

    /// Waits until everything queued has reached the kernel.
    ///
    /// # Errors
    /// The connection has failed.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.shared.poll_flushed_all(cx)).await
    }

    /// Waits until the outbox has room. Accepts nothing.
    ///
    /// # Errors
    /// The connection is closed or has failed.
    pub async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.shared.poll_room(cx)).await
    }

    /// Queues a message now, or gives it back.
    ///
    /// # Errors
    /// See [`Writer::send`].
    #[inline]
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        Writer::send(&mut self.shared.life.writer, message)
    }

    /// Queues a message that was prepared for many receivers now.
    ///
    /// # Errors
    /// See [`Writer::send_prepared`].
    pub fn try_send_prepared(&mut self, message: &Prepared) -> Result<(), SendError<'static>> {
        self.shared.life.writer.send_prepared(message)
    }

    /// Sends a message that was prepared for many receivers, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), Error> {
        self.ready().await?;
        self.try_send_prepared(message)?;
        self.flush().await
    }

    /// Sends a ping of at most 125 bytes. Keepalive pings are sent without this.
    ///
    /// # Errors
    /// As [`send`](Self::send), or the payload is too long.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.ready().await?;
        self.shared.life.writer.ping(payload)?;
        self.flush().await
    }

    /// Begins a message that is sent in pieces, each as a fragment. `recv` and control frames may go in between.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn start(&mut self, kind: Kind) -> Result<Fragments<'_, T>, Error> {
        self.ready().await?;
        self.shared.life.writer.start(kind)?;
        Ok(Fragments { websocket: self })
    }

    /// The message that was started and not finished.
    pub fn resume(&mut self) -> Option<Fragments<'_, T>> {
        self.shared.life.writer.resume()?;
        Some(Fragments { websocket: self })
    }

    /// Closes the connection: sends Close, discards messages until the peer's Close, and waits for the end of the
    /// stream. To go on receiving meanwhile, use [`start_close`](Self::start_close).
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection has failed; if the peer does not close in time,
    /// [`Timeout::Close`](crate::Timeout::Close). Drop the `WebSocket` then, as after success.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if !self.shared.life.writer.is_closed() {
            self.shared.life.writer.close(code, reason)?;
        }
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// Sends Close, and leaves it to `recv` to deliver what is still on the way, and to complete the closing.
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection is closed or has failed.
    pub async fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.shared.life.writer.close(code, reason)?;
        self.flush().await
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<&Closure> {
        self.shared.life.closure()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> &Agreed {
        self.shared.life.agreed()
    }

    /// The time between the latest answered keepalive ping and its pong.
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.round_trip()
    }

    /// What the connection has carried; `None` unless [`Config::statistics`] asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        self.shared.statistics(self.inbound.reader.counts())
    }

    /// The sending half of the core, to queue whatever it offers. [`flush`](Self::flush) or `recv` sends it.
    pub fn writer(&mut self) -> &mut LentWriter {
        &mut self.shared.life.writer
    }

    /// Bytes that were received and not used up. They are lost when the stream is taken out.
    pub fn unread(&self) -> &[u8] {
        self.inbound.unread()
    }
}

/// A message that is being sent in pieces. Dropping this changes nothing; [`WebSocket::resume`] makes it again.
pub struct Fragments<'a, T: Transport> {
    websocket: &'a mut WebSocket<T>,
}

impl<T: Transport> Fragments<'_, T> {
    /// Queues the next piece, as soon as the outbox has room. [`finish`](Self::finish), `flush` or `recv` sends it.
    ///
    /// # Errors
    /// The connection is closed or has failed, or the piece has another type than the message.
    pub async fn write<'m>(&mut self, piece: impl Into<Message<'m>>) -> Result<(), Error> {
        self.websocket.ready().await?;
        self.websocket.shared.life.writer.write_piece(piece.into())
    }

    /// Ends the message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn finish(self) -> Result<(), Error> {
        self.websocket.ready().await?;
        self.websocket.shared.life.writer.finish_pieces()?;
        self.websocket.flush().await
    }
}

/// Owned messages, until the connection is closed.
impl<T: Transport> Stream for WebSocket<T> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let result = ready!(this.poll_ready_to_receive(cx, Wanted::Messages));
        Poll::Ready(result.map(|()| this.inbound.message().map(Message::into_owned)).transpose())
    }
}

impl<T: Transport> FusedStream for WebSocket<T> {
    fn is_terminated(&self) -> bool {
        self.shared.life.is_terminated()
    }
}

/// `poll_close` sends Close with code 1000 and flushes it. It does not receive: the peer's messages, and its Close, are
/// still for the stream to deliver.
impl<T: Transport> Sink<Message<'static>> for WebSocket<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().shared.poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), Error> {
        Ok(self.get_mut().try_send(message)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().shared.poll_flushed_all(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if !this.shared.life.writer.is_closed() {
            this.shared.life.writer.close(CloseCode::NORMAL, "")?;
            // From now on the stream, which may wait elsewhere, has a deadline.
            this.shared.wakers.wake_all();
        }
        this.shared.poll_flushed_all(cx)
    }
}

impl<T: Transport> fmt::Debug for WebSocket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("reader", &self.inbound.reader)
            .field("writer", &self.shared.life.writer)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> fmt::Debug for Fragments<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fragments").field(&self.websocket).finish()
    }
}
