//! The two ends of one connection, for two tasks or more.
//!
//! The receiver owns the reader and its input, so that messages can still be lent. Everything else is shared, under a
//! lock that is held for one poll and never across an await.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::driver::{Shared, Transport};
use super::error::Error;
use super::input::Inbound;
use super::lent::LentWriter;
use super::life::Wanted;
use super::statistics::Statistics;
use super::wakers::Wakers;
use super::websocket::WebSocket;
use crate::close::CloseCode;
use crate::connection::{Agreed, Closure};
use crate::error::SendError;
use crate::message::{Event, Kind, Message, Part};
use crate::writer::{Prepared, Writer};

struct Both<T: Transport> {
    shared: Mutex<Shared<T>>,
    senders: AtomicUsize,
    /// The receiver is there. Changed under the lock.
    receiving: AtomicBool,
}

impl<T: Transport> Both<T> {
    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> WebSocket<T> {
    /// Divides the connection into a receiver and a sender, which can be cloned.
    ///
    /// **The receiver must be polled** all the time: it answers pings, keeps the deadlines, and completes the closing.
    /// Who only sends parks [`Receiver::drain`] somewhere. If the receiver is dropped, sends still go out, but nobody
    /// answers the peer any more, nor sends what the kernel refused to [`Sender::try_send`].
    ///
    /// **Dropping the last sender closes the connection**: `let (receiver, _) = …` does so at once. Who only receives
    /// does not split.
    pub fn into_split(self) -> (Receiver<T>, Sender<T>) {
        let (inbound, mut shared) = self.into_parts();
        shared.wakers.share();
        shared.life.publish(&inbound.reader);
        let (senders, receiving) = (AtomicUsize::new(1), AtomicBool::new(true));
        let both = Arc::new(Both { shared: Mutex::new(shared), senders, receiving });
        (Receiver { inbound, end: ReceivingEnd(both.clone()) }, Sender { both })
    }
}

/// Tells the senders when the receiver is dropped.
struct ReceivingEnd<T: Transport>(Arc<Both<T>>);

impl<T: Transport> Drop for ReceivingEnd<T> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        self.0.receiving.store(false, Ordering::Relaxed);
        shared.wakers.wake_all();
        let watch = shared.wakers.unwatch();
        drop(shared); // who is waiting for the end of this connection is woken without the lock
        drop(watch);
    }
}

/// The receiving end of a split connection.
#[must_use = "a connection lives only while its receiver is polled"]
pub struct Receiver<T: Transport> {
    inbound: Inbound,
    end: ReceivingEnd<T>,
}

impl<T: Transport> Receiver<T> {
    /// The next message, see [`WebSocket::recv`].
    ///
    /// # Errors
    /// The connection has failed. That is said once; then `None`.
    pub async fn recv(&mut self) -> Result<Option<Message<'_>>, Error> {
        poll_fn(|cx| self.poll_ready(cx, Wanted::Messages)).await?;
        Ok(self.inbound.message())
    }

    /// The next event of any kind, see [`WebSocket::recv_event`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        poll_fn(|cx| self.poll_ready(cx, Wanted::Events)).await?;
        Ok(self.inbound.event())
    }

    /// The next part of a message, see [`WebSocket::recv_part`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        poll_fn(|cx| self.poll_ready(cx, Wanted::Parts)).await?;
        Ok(self.inbound.part())
    }

    /// Answers pings and discards messages until the connection has ended.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn drain(&mut self) -> Result<(), Error> {
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.end.0.lock().life.closure().cloned()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> Agreed {
        self.end.0.lock().life.agreed().clone()
    }

    /// The time between the latest answered keepalive ping and its pong.
    pub fn round_trip(&self) -> Option<Duration> {
        self.end.0.lock().round_trip()
    }

    /// What the connection has carried; `None` unless [`Config::statistics`](crate::Config::statistics) asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        self.end.0.lock().statistics(self.inbound.reader.counts())
    }

    /// Puts the ends together again, if they belong together and there is no other sender; else gives them back.
    ///
    /// # Errors
    /// The two ends.
    pub fn reunite(self, sender: Sender<T>) -> Result<WebSocket<T>, (Self, Sender<T>)> {
        if !Arc::ptr_eq(&self.end.0, &sender.both) || sender.both.senders.load(Ordering::Acquire) != 1 {
            return Err((self, sender));
        }
        let Self { inbound, end } = self;
        let both = end.0.clone();
        let watch = both.lock().wakers.unwatch(); // for this is not the end of the connection
        drop(end);
        both.senders.fetch_add(1, Ordering::Relaxed); // so that dropping the sender is not the end of sending
        drop(sender);
        match Arc::try_unwrap(both) {
            Ok(both) => {
                let mut shared = both.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
                shared.wakers = Wakers::NONE; // whoever polls next is the only one
                watch.into_iter().for_each(|watch| shared.wakers.watch(watch));
                Ok(WebSocket::from_parts(inbound, shared))
            }
            Err(both) => {
                both.receiving.store(true, Ordering::Relaxed);
                watch.into_iter().for_each(|watch| both.lock().wakers.watch(watch));
                Err((Self { inbound, end: ReceivingEnd(both.clone()) }, Sender { both }))
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<Result<(), Error>> {
        let mut shared = self.end.0.lock();
        let result = shared.poll_receive(&mut self.inbound, cx, wanted);
        shared.life.publish(&self.inbound.reader);
        result
    }

    /// Whether a message has come, which [`message`](Self::message) then lends, or the connection is closed.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        self.poll_ready(cx, Wanted::Messages).map_ok(|()| self.inbound.has_message())
    }

    /// The message that has come.
    #[cfg(feature = "tokio")]
    pub(crate) fn message(&mut self) -> Option<Message<'_>> {
        self.inbound.message()
    }
}

/// Owned messages, until the connection is closed.
impl<T: Transport> Stream for Receiver<T> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let result = ready!(this.poll_ready(cx, Wanted::Messages));
        Poll::Ready(result.map(|()| this.inbound.message().map(Message::into_owned)).transpose())
    }
}

impl<T: Transport> FusedStream for Receiver<T> {
    fn is_terminated(&self) -> bool {
        self.end.0.lock().life.is_terminated()
    }
}

/// The sending end of a split connection; clones send on the same connection. When the last one is dropped, the
/// connection is closed with code 1000, after everything queued.
#[must_use = "dropping the last sender closes the connection"]
pub struct Sender<T: Transport> {
    both: Arc<Both<T>>,
}

impl<T: Transport> Sender<T> {
    /// Sends a message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// The connection is closed, or has failed; the receiver knows why.
    pub async fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Queues a message, as soon as the outbox has room. [`flush`](Self::flush) sends it, or the receiver's next wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.accept(|writer| writer.send(message)).await
    }

    /// Queues something as soon as the outbox has room.
    async fn accept(&self, queue: impl FnOnce(&mut LentWriter) -> Result<(), Error>) -> Result<(), Error> {
        let mut queue = Some(queue);
        poll_fn(|cx| {
            let mut shared = self.both.lock();
            ready!(shared.poll_room(cx))?;
            // Under the same lock, so that no other sender takes the room.
            Poll::Ready(queue.take().map_or(Ok(()), |queue| queue(&mut shared.life.writer)))
        })
        .await
    }

    /// Waits until everything that is queued now has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn flush(&self) -> Result<(), Error> {
        let position = self.position();
        poll_fn(|cx| self.poll_flushed(cx, position)).await
    }

    /// Where the stream will be when all that is queued now has reached the kernel.
    pub(crate) fn position(&self) -> u64 {
        self.both.lock().life.position()
    }

    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>, position: u64) -> Poll<Result<(), Error>> {
        self.both.lock().poll_flushed(cx, position)
    }

    /// Waits until the outbox has room. Accepts nothing.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn ready(&self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_room(cx)).await
    }

    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.both.lock().poll_room(cx)
    }

    /// Writes a message as far as the kernel takes it now, behind what waits already. The rest leaves as soon as the
    /// peer reads, by the receiver's doing. If too much waits, the message comes back: the peer is too slow.
    ///
    /// # Errors
    /// See [`Writer::send`](crate::Writer::send).
    pub fn try_send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError<'m>> {
        let mut shared = self.both.lock();
        Writer::send(&mut shared.life.writer, message)?;
        shared.write_now();
        Ok(())
    }

    /// Sends a message that was prepared for many receivers, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        self.accept(|writer| Ok(writer.send_prepared(message)?)).await?;
        self.flush().await
    }

    /// The same as [`try_send`](Self::try_send) with a message that was prepared for many receivers.
    ///
    /// # Errors
    /// See [`Writer::send_prepared`](crate::Writer::send_prepared).
    pub fn try_send_prepared(&self, message: &Prepared) -> Result<(), SendError<'static>> {
        let mut shared = self.both.lock();
        shared.life.writer.send_prepared(message)?;
        shared.write_now();
        Ok(())
    }

    /// Sends a ping of at most 125 bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send), or the payload is too long.
    pub async fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.accept(|writer| Ok(writer.ping(payload)?)).await?;
        self.flush().await
    }

    /// Begins a message that is sent in pieces, each as a fragment. Until it is finished, no sender can send another;
    /// control frames go in between.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn start(&self, kind: Kind) -> Result<SenderFragments<'_, T>, Error> {
        self.accept(|writer| Ok(writer.start(kind).map(drop)?)).await?;
        Ok(SenderFragments { sender: self })
    }

    /// The message that was started, by whichever sender, and not finished.
    pub fn resume(&self) -> Option<SenderFragments<'_, T>> {
        self.both.lock().life.writer.resume()?;
        Some(SenderFragments { sender: self })
    }

    /// Sends Close, as [`WebSocket::start_close`] does. The receiver delivers what is still on the way, and completes the closing; [`closed`](Self::closed)
    /// waits for that.
    ///
    /// # Errors
    /// The code or the reason may not be sent, or the connection is closed or has failed.
    pub async fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.try_close(code, reason)?;
        self.flush().await
    }

    /// The same without waiting, for instance to go through many connections that are to end.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn try_close(&self, code: CloseCode, reason: &str) -> Result<(), SendError<'static>> {
        let mut shared = self.both.lock();
        shared.life.writer.close(code, reason)?;
        shared.write_now();
        shared.wakers.wake_all(); // the receiver has a deadline now
        Ok(())
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.both.lock().life.closure().cloned()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> Agreed {
        self.both.lock().life.agreed().clone()
    }

    /// How many bytes wait to leave.
    pub fn queued(&self) -> usize {
        self.both.lock().life.pending()
    }

    /// What the connection has carried, as far as the receiver has looked at it; `None` unless
    /// [`Config::statistics`](crate::Config::statistics) asks for it.
    pub fn statistics(&self) -> Option<Statistics> {
        let shared = self.both.lock();
        shared.statistics(shared.life.published())
    }

    /// Waits for the end of the connection, or until the receiver is dropped, for it alone can bring the end about.
    pub async fn closed(&self) {
        poll_fn(|cx| {
            let mut shared = self.both.lock();
            if self.both.receiving.load(Ordering::Relaxed) { shared.poll_closed(cx) } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Whether the connection is closed for sending.
    pub fn is_closed(&self) -> bool {
        self.both.lock().life.writer.is_closed()
    }
}

/// A message that a [`Sender`] sends in pieces. Dropping this changes nothing; [`Sender::resume`] makes it again.
pub struct SenderFragments<'a, T: Transport> {
    sender: &'a Sender<T>,
}

impl<T: Transport> SenderFragments<'_, T> {
    /// Sends the next piece, as soon as the outbox has room.
    ///
    /// # Errors
    /// The connection is closed or has failed, or the piece has another type than the message.
    pub async fn write<'m>(&mut self, piece: impl Into<Message<'m>>) -> Result<(), Error> {
        let piece = piece.into();
        self.sender.accept(|writer| writer.write_piece(piece)).await?;
        self.sender.both.lock().write_now();
        Ok(())
    }

    /// Ends the message, and waits until it has reached the kernel.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn finish(self) -> Result<(), Error> {
        self.sender.accept(LentWriter::finish_pieces).await?;
        self.sender.flush().await
    }
}

impl<T: Transport> fmt::Debug for SenderFragments<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SenderFragments").field(&self.sender).finish()
    }
}

/// `poll_close` sends Close with code 1000 and flushes it.
impl<T: Transport> Sink<Message<'static>> for Sender<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), Error> {
        self.both.lock().life.writer.send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.both.lock().poll_flushed_all(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Closed already is as good.
        let _ = self.try_close(CloseCode::NORMAL, "");
        self.poll_flush(cx)
    }
}

impl<T: Transport> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.both.senders.fetch_add(1, Ordering::Relaxed);
        Self { both: self.both.clone() }
    }
}

impl<T: Transport> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.both.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut shared = self.both.lock();
            // Closed already is as good.
            let _ = shared.life.writer.close(CloseCode::NORMAL, "");
            shared.write_now();
            shared.wakers.wake_all();
        }
    }
}

impl<T: Transport> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.inbound.reader).finish()
    }
}

impl<T: Transport> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.both.lock().life.writer).finish()
    }
}
