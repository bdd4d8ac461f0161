//! A stream that follows a script, counts what is done to it, and can misbehave.

// Every program that includes this file uses a part of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the next read does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Data(Vec<u8>),
    /// The bytes that this makes of everything written so far.
    Answer(fn(&[u8]) -> Vec<u8>),
    /// Counts bytes that were never written.
    Claim(usize),
    Fail(io::ErrorKind),
    Block,
    End,
}

pub(crate) struct Scripted(Log);

/// The other end of a scripted stream: what was done to it, and how it is to behave.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: VecDeque<Act>,
    repeated: Option<Act>,
    written: Vec<u8>,
    calls: usize,
    reads: usize,
    writes: usize,
    /// The most that one read gives.
    piece: Option<usize>,
    /// How many bytes reads give before the stream ends.
    left: Option<usize>,
    hesitates: bool,
    hesitated: bool,
    fail_call: Option<(usize, io::ErrorKind)>,
    write_nothing: bool,
    claim_too_much: bool,
    shut: bool,
}

impl Scripted {
    pub(crate) fn new(script: impl IntoIterator<Item = Act>) -> (Self, Log) {
        let state = State { script: script.into_iter().collect(), ..State::default() };
        let log = Log(Arc::new(Mutex::new(state)));
        (Self(log.clone()), log)
    }
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it was held")
    }

    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    pub(crate) fn reads(&self) -> usize {
        self.state().reads
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.state().shut
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.state().script.is_empty()
    }

    /// The call with this number fails, whether it reads or writes.
    pub(crate) fn fail_call(&self, number: usize, kind: io::ErrorKind) {
        self.state().fail_call = Some((number, kind));
    }

    /// No read gives more than so many bytes.
    pub(crate) fn read_at_most(&self, piece: usize) {
        self.state().piece = Some(piece);
    }

    /// The stream ends behind so many bytes.
    pub(crate) fn end_after(&self, count: usize) {
        self.state().left = Some(count);
    }

    /// Every call is pending once before it does anything.
    pub(crate) fn hesitate(&self) {
        self.state().hesitates = true;
    }

    /// Nobody holds the stream any more.
    pub(crate) fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn write_nothing(&self) {
        self.state().write_nothing = true;
    }

    pub(crate) fn claim_too_much(&self) {
        self.state().claim_too_much = true;
    }

    /// The first act of the script is there for every read.
    pub(crate) fn repeat_for_ever(&self) {
        let mut state = self.state();
        state.repeated = state.script.pop_front();
    }
}

impl State {
    fn hesitates(&mut self, cx: &mut Context<'_>) -> bool {
        self.hesitated = self.hesitates && !self.hesitated;
        if self.hesitated {
            cx.waker().wake_by_ref();
        }
        self.hesitated
    }

    fn next_act(&mut self) -> Option<Act> {
        let most = self.piece.unwrap_or(usize::MAX).min(self.left.unwrap_or(usize::MAX));
        let act = self.repeated.clone().or_else(|| self.script.pop_front());
        let mut data = match act {
            _ if self.left == Some(0) => return Some(Act::End),
            Some(Act::Data(data)) => data,
            Some(Act::Answer(answer)) => answer(&self.written),
            act => return act,
        };
        let rest = data.split_off(data.len().min(most));
        if !rest.is_empty() {
            self.script.push_front(Act::Data(rest));
        }
        Some(Act::Data(data))
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fail_call {
            Some((number, kind)) if number + 1 == self.calls => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if state.hesitates(cx) {
            return Poll::Pending;
        }
        state.reads += 1;
        state.call()?;
        match state.next_act() {
            Some(Act::Data(mut data)) => {
                let rest = data.split_off(data.len().min(room.remaining()));
                room.put_slice(&data);
                if let Some(left) = &mut state.left {
                    *left -= data.len();
                }
                if !rest.is_empty() && state.repeated.is_none() {
                    state.script.push_front(Act::Data(rest));
                }
                Poll::Ready(Ok(()))
            }
            Some(Act::Claim(count)) => {
                room.initialize_unfilled_to(count);
                room.advance(count);
                Poll::Ready(Ok(()))
            }
            Some(Act::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(Act::End) => Poll::Ready(Ok(())),
            Some(Act::Answer(_) | Act::Block) | None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if state.hesitates(cx) {
            return Poll::Pending;
        }
        state.writes += 1;
        state.call()?;
        if state.write_nothing {
            return Poll::Ready(Ok(0));
        }
        state.written.extend_from_slice(data);
        Poll::Ready(Ok(if state.claim_too_much { data.len() + 1000 } else { data.len() }))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state().shut = true;
        Poll::Ready(Ok(()))
    }
}

/// The same for who blocks; a script for him does not say `Block`.
pub(crate) struct Blocking(pub(crate) Scripted);

impl Read for Blocking {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        ready(Pin::new(&mut self.0).poll_read(&mut Context::from_waker(Waker::noop()), &mut room))?;
        Ok(room.filled().len())
    }
}

impl Write for Blocking {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        ready(Pin::new(&mut self.0).poll_write(&mut Context::from_waker(Waker::noop()), data))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ready<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
