//! The opening handshake over a blocking stream, under its deadline.

use std::io;
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::stream::{self, Stream, is_wait};
use super::websocket::WebSocket;
use crate::config::Config;
use crate::frame::Role;
use crate::handshake::{HandshakeError, Origins, Reject, client, nonce, server};
use crate::io::error::{Error, Timeout};
use crate::io::input::Input;
use crate::io::life::MAX_DRAINED;
use crate::outbox::Outbox;
use crate::timers::Time;
use crate::trace;

impl<S: Stream> WebSocket<S> {
    /// Waits for a client's opening handshake and accepts it, with the default configuration, from pages of the same
    /// host and from what is no browser.
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub fn accept(stream: S) -> Result<Self, Error> {
        Self::accept_with(stream, &Config::DEFAULT, |request| request.accept(Origins::Same))
    }

    /// Waits for a client's opening handshake and answers as `answer` decides: by path, credentials, [`Origins`],
    /// subprotocols; with any status, headers and body where it refuses.
    ///
    /// ```
    /// use sockeye::{Config, Error, Origins, server, blocking::{Stream, WebSocket}};
    /// # struct User;
    /// # fn authenticate(_token: Option<&[u8]>) -> Option<User> { None }
    ///
    /// const CONFIG: Config = Config::DEFAULT.max_message_size(1 << 16);
    ///
    /// fn accept<S: Stream>(stream: S) -> Result<(WebSocket<S>, Option<User>), Error> {
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
    ///     let ws = WebSocket::accept_with(stream, &CONFIG, answer)?;
    ///     Ok((ws, user))
    /// }
    /// ```
    ///
    /// A `TcpStream` is told to send at once what it is given ([`set_nodelay`](super::WriteHalf::set_nodelay)), and
    /// `ws.get_ref().set_nodelay(false)` takes that back.
    ///
    /// # Errors
    /// The request was rejected, and the client told so; it did not come in time; or the stream failed.
    pub fn accept_with(
        stream: S,
        config: &Config,
        answer: impl FnOnce(server::Request) -> Result<server::Accept, Reject>,
    ) -> Result<Self, Error> {
        trace::Opening::new(Role::Server).run(|| accept(stream, config, answer))
    }

    /// Makes the opening handshake as a client, with the default configuration.
    ///
    /// For a `wss` URL the stream must be the one inside of TLS: what is sent here, credentials too, goes out as the
    /// stream sends it.
    ///
    /// # Errors
    /// As [`client_with`](Self::client_with).
    pub fn client(stream: S, request: client::Request) -> Result<(Self, client::Response), Error> {
        Self::client_with(stream, request, &Config::DEFAULT)
    }

    /// Makes the opening handshake as a client.
    ///
    /// # Errors
    /// The server refused, broke the protocol or did not answer in time; or the stream failed.
    pub fn client_with(
        stream: S,
        request: client::Request,
        config: &Config,
    ) -> Result<(Self, client::Response), Error> {
        trace::Opening::new(Role::Client).run(|| client(stream, request, config))
    }
}

/// Reads a request, and answers it as `answer` decides.
fn accept<S: Stream>(
    mut stream: S,
    config: &Config,
    answer: impl FnOnce(server::Request) -> Result<server::Accept, Reject>,
) -> Result<WebSocket<S>, Error> {
    let _ = stream.set_nodelay(true); // slower without; what is wrong with the socket will show
    let mut opening = Opening::new(stream, config);
    let mut handshake = server::Handshake::new(config);
    let Some((request, leftover)) = opening.receive(|input| handshake.receive(input).transpose())? else {
        return Err(Error::UnexpectedEof);
    };
    match request.and_then(answer).and_then(|accept| accept.connect(config)) {
        Ok(mut connection) => {
            opening.send(connection.writer().outbox())?;
            Ok(WebSocket::new(opening.stream, connection, config, &leftover))
        }
        Err(reject) => {
            opening.refuse(&reject);
            Err(reject.into())
        }
    }
}

/// Sends the request, and reads the response.
fn client<S: Stream>(
    stream: S,
    request: client::Request,
    config: &Config,
) -> Result<(WebSocket<S>, client::Response), Error> {
    let mut opening = Opening::new(stream, config);
    let mut head = Vec::new();
    let mut pending = request.write(nonce(), config, &mut head)?;
    opening.send(&mut Outbox::of(&head))?;
    let received = opening.receive(|input| pending.receive(input).transpose());
    let (response, leftover) = match received {
        Ok(Some((response, leftover))) => (response?, leftover),
        Ok(None) => return Err(pending.eof().into()),
        Err(error) => return Err(pending.eof().refused().map_or(error, HandshakeError::into)),
    };
    Ok((WebSocket::new(opening.stream, response.connect(config), config, &leftover), response))
}

struct Opening<S> {
    stream: S,
    deadline: Option<Instant>,
}

impl<S: Stream> Opening<S> {
    fn new(stream: S, config: &Config) -> Self {
        let deadline = config.handshake_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { stream, deadline }
    }

    /// How long the next read or write may wait.
    fn remaining(&self) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.since(Instant::now()) {
            Duration::ZERO => Err(Timeout::Handshake.into()),
            remaining => Ok(Some(remaining.max(Duration::from_millis(1)))),
        }
    }

    /// Reads until `take` has got what it wants; also returns what it has left. `None` at the end of the stream.
    fn receive<R>(&mut self, mut take: impl FnMut(&mut &[u8]) -> Option<R>) -> Result<Option<(R, Vec<u8>)>, Error> {
        let mut buffer = Input::take();
        let received = loop {
            let remaining = self.remaining()?;
            let _ = self.stream.set_read_timeout(remaining); // a stream that has none has no deadline
            match stream::read(&mut self.stream, buffer.room()) {
                Ok(0) => break None,
                Ok(count) => buffer.filled(count),
                Err(error) => return Err(self.failure(error)),
            }
            let mut input = buffer.unread();
            if let Some(taken) = take(&mut input) {
                break Some((taken, input.to_vec()));
            }
        };
        buffer.give();
        Ok(received)
    }

    fn send(&mut self, outbox: &mut Outbox) -> Result<(), Error> {
        while outbox.queued() > 0 {
            let remaining = self.remaining()?;
            let _ = self.stream.set_write_timeout(remaining); // as above
            stream::write(&mut self.stream, outbox).map_err(|error| self.failure(error))?;
        }
        stream::flush(&mut self.stream).map_err(|error| self.failure(error))
    }

    /// Sends the refusal, and drains what the client still sends: unread data would turn the refusal into a reset.
    /// However that ends, it is the refusal that matters.
    fn refuse(&mut self, reject: &Reject) {
        if self.send(&mut Outbox::of(&reject.to_vec())).is_err() || self.stream.shutdown().is_err() {
            return;
        }
        let mut drained = 0;
        let _ = self.receive(|input| {
            drained += std::mem::take(input).len();
            (drained > MAX_DRAINED).then_some(())
        });
    }

    /// A wait that the stream ended is the deadline's, if that has passed.
    fn failure(&self, error: io::Error) -> Error {
        match self.remaining() {
            Err(timeout) if is_wait(&error) => timeout,
            _ => error.into(),
        }
    }
}
