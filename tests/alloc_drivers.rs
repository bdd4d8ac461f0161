//! What the tokio and the blocking driver hold in memory, counted by the allocator. Each test runs in a thread of its
//! own, with its own counters and its own pool of buffers, so that tests do not disturb each other.

#![cfg(target_pointer_width = "64")] // whose sizes are stated

use std::cell::Cell;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye::blocking::{self, ReadHalf, WriteHalf};
use sockeye::{Agreed, Config, Role, futures, tokio as over_tokio};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

#[path = "support/counting.rs"]
mod counting;
#[path = "support/naive.rs"]
mod naive;

use counting::{counters, held};
use naive::{BINARY, CLOSE, FIN, TEXT};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How many bytes a value owns on the heap: what dropping it frees.
fn owned(value: impl Sized) -> isize {
    let before = held();
    drop(value);
    before - held()
}

#[track_caller]
fn assert_allocates_nothing(what: &str, work: impl FnOnce()) {
    let before = counters().allocations;
    work();
    assert_eq!(counters().allocations - before, 0, "{what}");
}

/// A peer that sends the same bytes so many times, then says nothing; it takes everything. It allocates nothing.
#[derive(Default)]
struct Peer {
    bytes: Cell<&'static [u8]>,
    /// How far they were read.
    at: Cell<usize>,
    times: Cell<usize>,
    taken: Cell<usize>,
}

impl Peer {
    fn send(&self, bytes: &'static [u8], times: usize) {
        self.bytes.set(bytes);
        self.times.set(times);
    }

    fn is_silent(&self) -> bool {
        self.times.get() == 0
    }

    fn give(&self, room: usize) -> Option<&'static [u8]> {
        if self.is_silent() {
            return None;
        }
        let (_, rest) = self.bytes.get().split_at(self.at.get());
        let (piece, rest) = rest.split_at(rest.len().min(room));
        self.at.set(self.at.get() + piece.len());
        if rest.is_empty() {
            self.at.set(0);
            self.times.set(self.times.get() - 1);
        }
        Some(piece)
    }

    fn swallow(&self, count: usize) -> usize {
        self.taken.set(self.taken.get() + count);
        count
    }
}

impl AsyncRead for Peer {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(piece) = self.give(room.remaining()) else { return Poll::Pending };
        room.put_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.swallow(data.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Read for Peer {
    fn read(&mut self, mut room: &mut [u8]) -> io::Result<usize> {
        let piece = self.give(room.len()).ok_or(ErrorKind::WouldBlock)?;
        room.write(piece)
    }
}

impl Write for Peer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.swallow(data.len()))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.swallow(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadHalf for Peer {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl WriteHalf for Peer {
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([1, 2, 3, 4])
}

/// Runs in a tokio runtime whose tasks, and their timers, stay in this thread.
fn in_runtime(work: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { work() });
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

type Tokio = over_tokio::WebSocket<Peer>;
type Futures = futures::WebSocket<Compat<Peer>>;
type Blocking = blocking::WebSocket<Peer>;

/// A connection over any of the drivers.
trait Connected: Sized {
    const NAME: &str;

    fn open(role: Role, config: &Config) -> Self;

    fn peer(&self) -> &Peer;

    /// Receives what comes, and answers each message with itself, until the peer is silent or the connection ends.
    fn echo(&mut self) -> usize;
}

macro_rules! connected {
    ($driver:ident, $name:literal, $open:expr, $ws:ident => $peer:expr, $next:expr) => {
        impl Connected for $driver {
            const NAME: &str = $name;

            fn open(role: Role, config: &Config) -> Self {
                $open(role, config)
            }

            fn peer(&self) -> &Peer {
                let $ws = self;
                $peer
            }

            fn echo(&mut self) -> usize {
                let mut echoed = 0;
                let mut silent = false;
                while !silent {
                    // It is over when the peer was silent before the last look.
                    silent = self.peer().is_silent();
                    let $ws = &mut *self;
                    while let Some((message, writer)) = $next {
                        writer.send(message).expect("room");
                        echoed += 1;
                    }
                }
                echoed
            }
        }
    };
}

macro_rules! poll_next {
    ($ws:expr) => {
        match poll_once($ws.recv_with_writer()) {
            Poll::Ready(next) => next.expect("no failure"),
            Poll::Pending => None,
        }
    };
}

connected!(
    Tokio, "tokio",
    |role, config| Tokio::open(Peer::default(), role, Agreed::default(), config, &[]),
    ws => ws.get_ref(), poll_next!(ws)
);
connected!(
    Futures, "futures",
    |role, config| Futures::open(Peer::default().compat(), role, Agreed::default(), config, &[]),
    ws => ws.get_ref().get_ref(), poll_next!(ws)
);
connected!(
    Blocking, "blocking",
    |role, config| Blocking::open(Peer::default(), role, Agreed::default(), config, &[]).nonblocking(),
    ws => ws.get_ref(),
    match ws.recv_with_writer() {
        Err(error) if error.is_would_block() => None,
        next => next.expect("no failure"),
    }
);

/// A frame of the peer, which lives as long as the test.
fn frame(role: Role, first: u8, payload: &[u8]) -> &'static [u8] {
    naive::frame(first, key(role), payload).leak()
}

const QUIET: Config = Config::DEFAULT.ping_interval(None);

fn echo_small_messages<W: Connected>() {
    for config in [QUIET, Config::DEFAULT] {
        for role in BOTH {
            let small = frame(role, FIN | TEXT, b"twenty bytes of text");
            let batch: &[u8] = small.repeat(16).leak();
            let mut ws = W::open(role, &config);
            for (bytes, messages) in [(small, 1), (batch, 16)] {
                let mut run = |times| {
                    ws.peer().send(bytes, times);
                    assert_eq!(ws.echo(), times * messages);
                };
                run(2);
                assert_allocates_nothing(W::NAME, || run(1_000));
            }
            let echoed = ws.peer().taken.get();
            let overhead = if role == Role::Client { 26 } else { 22 };
            assert_eq!(echoed, 1_002 * 17 * overhead, "everything has left");
        }
    }
}

#[test]
fn a_thousand_small_echoes_allocate_nothing_once_warm() {
    in_runtime(echo_small_messages::<Tokio>);
    in_runtime(echo_small_messages::<Futures>);
    echo_small_messages::<Blocking>();
}

/// How much an open connection owns on the heap while its peer is silent: new, and after echoes of these sizes.
fn idle<W: Connected>(role: Role, config: &Config) -> Vec<isize> {
    let after = |sizes: &[usize]| {
        let mut ws = W::open(role, config);
        assert_eq!(ws.echo(), 0);
        for size in sizes {
            ws.peer().send(frame(role, FIN | BINARY, &vec![8; *size]), 1);
            assert_eq!(ws.echo(), 1);
            assert!(ws.peer().taken.get() > *size);
        }
        owned(ws)
    };
    vec![after(&[]), after(&[20]), after(&[16 * KIB]), after(&[8 * MIB]), after(&[8 * MIB, 20, 16 * KIB])]
}

fn assert_idle<W: Connected>(config: &Config, expected: usize) {
    let config = config.max_message_size(8 * MIB);
    for role in BOTH {
        assert_eq!(idle::<W>(role, &config), [expected as isize; 5], "{}, {role:?}", W::NAME);
    }
}

#[test]
fn m11_an_idle_connection_owns_nothing_but_the_sleep_of_its_keepalive() {
    in_runtime(|| assert_idle::<Tokio>(&Config::DEFAULT, size_of::<tokio::time::Sleep>()));
    in_runtime(|| assert_idle::<Tokio>(&QUIET, 0));
    // With keepalive there is also what a thread of futures-timer shares, and frees when it likes.
    in_runtime(|| assert_idle::<Futures>(&QUIET, 0));
    assert_idle::<Blocking>(&Config::DEFAULT, 0);
    assert_idle::<Blocking>(&QUIET, 0);
}

/// What each connection costs beside its heap. Who makes these larger means to. A socket of tokio's has 32 bytes, and 8
/// more where mio checks itself.
#[test]
fn the_structs_have_their_sizes() {
    macro_rules! assert_sizes {
        ($($connection:ty: $bytes:expr,)*) => {$(
            println!("{:>5} {}", size_of::<$connection>(), stringify!($connection));
            assert!(size_of::<$connection>() <= $bytes, stringify!($connection));
        )*};
    }
    assert_sizes! {
        sockeye::Connection: 160,
        sockeye::Reader: 80,
        sockeye::Writer: 48,
        sockeye::Timers<std::time::Instant>: 72,
        over_tokio::WebSocket<tokio::net::TcpStream>: 288 + size_of::<tokio::net::TcpStream>(),
        futures::WebSocket<Compat<tokio::net::TcpStream>>: 288 + size_of::<Compat<tokio::net::TcpStream>>(),
        blocking::WebSocket<std::net::TcpStream>: 400,
    }
}

fn open_and_close<W: Connected>() {
    for role in BOTH {
        let close = frame(role, FIN | CLOSE, b"\x03\xe8");
        let config = Config::DEFAULT;
        let cycle = |talk: bool| {
            let mut ws = W::open(role, &config);
            if talk {
                ws.peer().send(close, 1);
                ws.echo();
            }
        };
        cycle(true);
        let before = held();
        (0..50_000).for_each(|round| cycle(round % 2 == 0));
        assert_eq!(held() - before, 0, "{}, {role:?}", W::NAME);
    }
}

#[test]
fn l1_a_hundred_thousand_connections_leave_nothing_behind() {
    in_runtime(open_and_close::<Tokio>);
    open_and_close::<Blocking>();
}
