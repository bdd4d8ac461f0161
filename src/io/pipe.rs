//! Streams in memory: one kind for every driver.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

#[cfg(any(feature = "tokio", feature = "futures"))]
use std::task::{Context, Poll};

use super::blocking::{self, ReadHalf, WriteHalf};
#[cfg(any(feature = "tokio", feature = "futures"))]
use super::driver::Transport;
#[cfg(any(feature = "tokio", feature = "futures"))]
use super::websocket::WebSocket;
use crate::config::Config;
use crate::connection::Agreed;
use crate::frame::Role;

/// One end of a connection in memory: a stream for any driver, like one of a pair of sockets.
///
/// Each direction holds so many bytes, and who writes more waits for its reader. When an end is dropped, the other reads
/// what is left, then the end of the stream; writing to it is a [`BrokenPipe`](ErrorKind::BrokenPipe).
///
/// ```
/// use std::io::{Read, Write};
/// use sockeye::testing::Pipe;
///
/// let (mut here, mut there) = Pipe::pair(1024);
/// here.write_all(b"Hello")?;
/// drop(here);
/// let mut text = String::new();
/// there.read_to_string(&mut text)?;
/// assert_eq!(text, "Hello");
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Pipe {
    end: Arc<End>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// What the clones of an end share.
struct End {
    incoming: Arc<Channel>,
    outgoing: Arc<Channel>,
}

/// One direction.
struct Channel {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more will be written.
    ended: bool,
    /// Nobody reads any more.
    abandoned: bool,
    /// The task that waits: to read while this is empty, or to write while it is full.
    waiting: Option<Waker>,
}

impl Pipe {
    /// Two ends, connected by `capacity` bytes in each direction, at least one.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (a, b) = (Arc::new(Channel::new(capacity)), Arc::new(Channel::new(capacity)));
        let other = End { incoming: b.clone(), outgoing: a.clone() };
        (Self::new(End { incoming: a, outgoing: b }), Self::new(other))
    }

    fn new(end: End) -> Self {
        Self { end: Arc::new(end), read_timeout: None, write_timeout: None }
    }

    /// Another handle for the same end, for a second thread, with the timeouts that this one has now.
    ///
    /// # Errors
    /// None: a socket has them.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { end: self.end.clone(), ..*self })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outgoing.change(|state| state.ended = true);
        self.incoming.change(|state| state.abandoned = true);
    }
}

impl Channel {
    fn new(capacity: usize) -> Self {
        let (bytes, capacity) = (VecDeque::new(), capacity.max(1));
        let state = State { bytes, capacity, ended: false, abandoned: false, waiting: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.changed(state);
    }

    /// Tells whoever waits for a change.
    fn changed(&self, mut state: MutexGuard<'_, State>) {
        let waiting = state.waiting.take();
        drop(state);
        self.changed.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Acts as soon as that can be done, and gives up when the time is up.
    fn wait(
        &self,
        timeout: Option<Duration>,
        mut act: impl FnMut(&mut State) -> Option<io::Result<usize>>,
    ) -> io::Result<usize> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if let Some(result) = act(&mut state) {
                self.changed(state);
                return result;
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Err(ErrorKind::WouldBlock.into()),
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Acts if that can be done, else wakes the task when it may be.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    fn poll(
        &self,
        cx: &Context<'_>,
        act: impl FnOnce(&mut State) -> Option<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let Some(result) = act(&mut state) else {
            state.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.changed(state);
        Poll::Ready(result)
    }
}

impl State {
    /// Reads what is there; `None` if there may be something later.
    fn read(&mut self, room: &mut [u8]) -> Option<io::Result<usize>> {
        let may_come = self.bytes.is_empty() && !self.ended && !room.is_empty();
        (!may_come).then(|| self.bytes.read(room))
    }

    /// Writes as much as there is room for; `None` if there may be some later.
    fn write(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.ended || self.abandoned {
            return Some(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = self.capacity - self.bytes.len();
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend(bytes);
        (room > 0).then_some(Ok(bytes.len()))
    }
}

impl Read for Pipe {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.end.incoming.wait(self.read_timeout, |state| state.read(room))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.end.outgoing.wait(self.write_timeout, |state| state.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadHalf for Pipe {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        Ok(())
    }
}

impl WriteHalf for Pipe {
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = timeout;
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.end.outgoing.change(|state| state.ended = true);
        Ok(())
    }
}

#[cfg(feature = "tokio")]
mod over_tokio {
    use std::pin::Pin;
    use std::task::ready;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Context, Pipe, Poll, WriteHalf, io};

    impl AsyncRead for Pipe {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let read = self.end.incoming.poll(cx, |state| state.read(room.initialize_unfilled()));
            room.advance(ready!(read)?);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pipe {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.end.outgoing.poll(cx, |state| state.write(bytes))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(self.shutdown())
        }
    }
}

#[cfg(feature = "futures")]
mod over_futures {
    use std::pin::Pin;

    use futures_io::{AsyncRead, AsyncWrite};

    use super::{Context, Pipe, Poll, WriteHalf, io};

    impl AsyncRead for Pipe {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
            self.end.incoming.poll(cx, |state| state.read(room))
        }
    }

    impl AsyncWrite for Pipe {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.end.outgoing.poll(cx, |state| state.write(bytes))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(self.shutdown())
        }
    }
}

#[cfg(any(feature = "tokio", feature = "futures"))]
impl<T: Transport<Stream = Pipe>> WebSocket<T> {
    /// A client and a server, open and connected in memory, for tests.
    ///
    /// ```
    /// # use sockeye::{CloseCode, Error, tokio::WebSocket};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let (mut client, mut server) = WebSocket::pair();
    /// client.send("Hello").await?;
    /// assert_eq!(server.recv().await?.expect("open").as_text(), Some("Hello"));
    /// # Ok(()) }
    /// ```
    pub fn pair() -> (Self, Self) {
        Self::pair_with(&Config::DEFAULT)
    }

    /// The same with this configuration for both.
    pub fn pair_with(config: &Config) -> (Self, Self) {
        let (a, b) = Pipe::pair(CAPACITY);
        let open = |stream, role| Self::open(stream, role, Agreed::default(), config, &[]);
        (open(a, Role::Client), open(b, Role::Server))
    }
}

impl blocking::WebSocket<Pipe> {
    /// A client and a server, open and connected in memory, for tests. Both may be used in one thread, as long as no
    /// more than 64 KiB wait to be received.
    ///
    /// ```
    /// use sockeye::blocking::WebSocket;
    ///
    /// let (mut client, mut server) = WebSocket::pair();
    /// client.send("Hello")?;
    /// assert_eq!(server.recv()?.expect("open").as_text(), Some("Hello"));
    /// # Ok::<_, sockeye::Error>(())
    /// ```
    pub fn pair() -> (Self, Self) {
        Self::pair_with(&Config::DEFAULT)
    }

    /// The same with this configuration for both.
    pub fn pair_with(config: &Config) -> (Self, Self) {
        let (a, b) = Pipe::pair(CAPACITY);
        let open = |stream, role| Self::open(stream, role, Agreed::default(), config, &[]);
        (open(a, Role::Client), open(b, Role::Server))
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [incoming, outgoing] = [&self.end.incoming, &self.end.outgoing].map(|channel| channel.lock().bytes.len());
        write!(f, "Pipe({incoming} bytes to read, {outgoing} to be read)")
    }
}

/// How many bytes a pair of connections holds in each direction.
const CAPACITY: usize = 64 << 10;
