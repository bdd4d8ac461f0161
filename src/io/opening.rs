//! The opening handshake over an asynchronous transport, under its deadline.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::vec::Vec;

use bytes::Buf;

use super::clock::Clock;
use super::driver::{READS_PER_POLL, Transport};
use super::error::{Error, Timeout};
use super::input::Input;
use super::life::MAX_DRAINED;
use super::websocket::WebSocket;
use crate::config::Config;
use crate::handshake::{HandshakeError, Reject, client, nonce, server};
use crate::outbox::Outbox;
use crate::timers::Timers;

/// Reads a request, and answers it as `answer` decides.
pub(crate) async fn accept<T: Transport, F: Future<Output = Result<server::Accept, Reject>>>(
    transport: T,
    config: &Config,
    answer: impl FnOnce(server::Request) -> F,
) -> Result<WebSocket<T>, Error> {
    transport.set_nodelay();
    let mut opening = Opening::new(transport, config);
    let mut handshake = server::Handshake::new(config);
    let received = opening.receive(|input| handshake.receive(input).transpose()).await?;
    let Some((request, leftover)) = received else {
        return Err(Error::UnexpectedEof);
    };
    let answered = match request {
        Ok(request) => opening.wait_for(answer(request), config).await,
        Err(reject) => Err(reject),
    };
    let mut connection = match answered.and_then(|accept| accept.connect(config)) {
        Ok(connection) => connection,
        Err(reject) => {
            opening.refuse(&reject).await;
            return Err(reject.into());
        }
    };
    opening.send(connection.writer().outbox()).await?;
    Ok(WebSocket::new(opening.transport, connection, config, &leftover))
}

/// Sends the request, and reads the response.
pub(crate) async fn client<T: Transport>(
    transport: T,
    config: &Config,
    request: client::Request,
) -> Result<(WebSocket<T>, client::Response), Error> {
    let mut opening = Opening::new(transport, config);
    let mut head = Vec::new();
    let mut pending = request.write(nonce(), config, &mut head)?;
    opening.send(&mut Outbox::of(&head)).await?;
    let received = opening.receive(|input| pending.receive(input).transpose()).await;
    let (response, leftover) = match received {
        Ok(Some((response, leftover))) => (response?, leftover),
        Ok(None) => return Err(pending.eof().into()),
        // A refusal whose body did not come to its end is a refusal.
        Err(error) => return Err(pending.eof().refused().map_or(error, HandshakeError::into)),
    };
    let connection = response.connect(config);
    Ok((WebSocket::new(opening.transport, connection, config, &leftover), response))
}

struct Opening<T: Transport> {
    transport: T,
    clock: Clock<T>,
}

impl<T: Transport> Opening<T> {
    fn new(transport: T, config: &Config) -> Self {
        Self { transport, clock: Clock::new(Timers::new(config, T::now())) }
    }

    /// Reads until `take` has got what it wants; also returns what it has left. `None` at the end of the stream.
    async fn receive<R>(
        &mut self,
        mut take: impl FnMut(&mut &[u8]) -> Option<R>,
    ) -> Result<Option<(R, Vec<u8>)>, Error> {
        poll_fn(|cx| {
            for _ in 0..READS_PER_POLL {
                // A peer that goes on sending must not keep us from seeing that its time is over.
                if let Poll::Ready(result) = self.poll_deadline(cx) {
                    return Poll::Ready(result);
                }
                // No buffer is kept while nothing comes: a slow peer costs what it has sent.
                let mut buffer = Input::take();
                let taken = self.poll_read(cx, buffer.room()).map_ok(|count| {
                    buffer.filled(count);
                    let mut input = buffer.unread();
                    let taken = take(&mut input);
                    (count, taken.map(|taken| (taken, input.to_vec())))
                });
                buffer.give();
                match ready!(taken)? {
                    (0, _) => return Poll::Ready(Ok(None)),
                    (_, Some(taken)) => return Poll::Ready(Ok(Some(taken))),
                    (_, None) => {}
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Waits for the application's answer. If that takes too long, the client is told so, under a deadline of its own.
    async fn wait_for<R>(
        &mut self,
        answer: impl Future<Output = Result<R, Reject>>,
        config: &Config,
    ) -> Result<R, Reject> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let _ = ready!(self.clock.poll(cx, true));
            self.clock = Clock::new(Timers::new(config, T::now()));
            Poll::Ready(Err(Reject::refused(503)))
        })
        .await
    }

    async fn send(&mut self, outbox: &mut Outbox) -> Result<(), Error> {
        poll_fn(|cx| {
            while outbox.has_remaining() {
                match self.transport.poll_write(cx, outbox) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                    Poll::Ready(Ok(count)) => outbox.advance(count),
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Pending => return self.poll_deadline(cx),
                }
            }
            match self.transport.poll_flush(cx) {
                Poll::Ready(result) => Poll::Ready(result.map_err(Error::from)),
                Poll::Pending => self.poll_deadline(cx),
            }
        })
        .await
    }

    /// Sends the refusal, and drains what the client still sends: unread data would turn the refusal into a reset.
    /// However that ends, it is the refusal that matters.
    async fn refuse(&mut self, reject: &Reject) {
        if self.send(&mut Outbox::of(&reject.to_vec())).await.is_err() || self.shut_down().await.is_err() {
            return;
        }
        let mut drained = 0;
        let drain = |input: &mut &[u8]| {
            drained += std::mem::take(input).len();
            (drained > MAX_DRAINED).then_some(())
        };
        let _ = self.receive(drain).await;
    }

    async fn shut_down(&mut self) -> Result<(), Error> {
        poll_fn(|cx| match self.transport.poll_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Error::from)),
            Poll::Pending => self.poll_deadline(cx),
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Error>> {
        loop {
            match self.transport.poll_read(cx, buffer) {
                Poll::Ready(Ok(count)) => return Poll::Ready(Ok(count.min(buffer.len()))),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return self.poll_deadline(cx),
            }
        }
    }

    fn poll_deadline<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, Error>> {
        self.clock.poll(cx, true).map(|_| Err(Timeout::Handshake.into()))
    }
}
