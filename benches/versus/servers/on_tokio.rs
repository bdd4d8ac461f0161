//! What all servers over tokio have in common: a runtime of one thread, with a task for each connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};

use futures_util::future::{Either, select};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::control::Control;

/// Serves each connection, for ever.
pub fn run<F>(listener: std::net::TcpListener, serve: impl Fn(TcpStream) -> F) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let accepting = accept(TcpListener::from_std(listener)?, serve);
        match select(pin!(accepting), pin!(control())).await {
            Either::Left((outcome, _)) | Either::Right((outcome, _)) => outcome,
        }
    })
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn control() -> Outcome {
    // SAFETY: standard input stays open, and always is the same descriptor.
    let mut control = unsafe { AsyncFd::register_with_interest(Control::new()?, Interest::READABLE)? };
    loop {
        let mut ready = control.readable_mut().await?;
        ready.get_inner_mut().answer()?;
        ready.clear_ready();
    }
}

/// Sends every message back over a socket that is a `Stream` and a `Sink`. Answers wait for each other, and leave when
/// there is nothing more to be read: what `feed` and `flush` are for.
pub async fn echo<S, M, E>(mut socket: S, is_data: impl Fn(&M) -> bool) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    poll_fn(|cx| {
        loop {
            ready!(socket.poll_ready_unpin(cx))?;
            match socket.poll_next_unpin(cx)? {
                Poll::Ready(Some(message)) if is_data(&message) => socket.start_send_unpin(message)?,
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(socket.poll_flush_unpin(cx))?;
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

/// How many messages are taken before they are answered.
const BATCH: usize = 32;

/// The same for a crate that writes what waits whenever it reads: messages that are there are taken before they are
/// answered.
pub async fn echo_in_batches<S, M, E>(mut socket: S, is_data: impl Fn(&M) -> bool) -> Result<(), E>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
{
    let mut taken = VecDeque::new();
    poll_fn(|cx| {
        loop {
            let mut is_idle = false;
            while taken.len() < BATCH && !is_idle {
                match socket.poll_next_unpin(cx)? {
                    Poll::Ready(Some(message)) if is_data(&message) => taken.push_back(message),
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => is_idle = true,
                }
            }
            while !taken.is_empty() {
                ready!(socket.poll_ready_unpin(cx))?;
                taken.pop_front().map_or(Ok(()), |message| socket.start_send_unpin(message))?;
            }
            if is_idle {
                taken = VecDeque::new(); // an idle connection keeps no memory
                ready!(socket.poll_flush_unpin(cx))?;
                return Poll::Pending;
            }
        }
    })
    .await
}
