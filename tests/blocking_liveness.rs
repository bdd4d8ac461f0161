//! The blocking driver over streams that hold back, fail or flood at the worst moment.
#![cfg(feature = "std")]

use std::io::{self, ErrorKind, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sockeye::blocking::{ReadHalf, WebSocket, WriteHalf};
use sockeye::{Agreed, CloseCode, Config, Error, Event, Role, SendErrorKind, Timeout};

/// Deadlines that tests can wait for.
const FAST: Config = Config::DEFAULT
    .ping_interval(None)
    .write_timeout(Some(Duration::from_millis(50)))
    .close_timeout(Some(Duration::from_millis(50)));

/// A stream whose every call answers as it is told.
struct Told<R, W, F> {
    read: R,
    write: W,
    flush: F,
    read_timeout: Option<Duration>,
}

impl<R: FnMut(&mut [u8]) -> io::Result<usize>, W, F> Read for Told<R, W, F> {
    /// A read that would wait waits as long as it may.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        (self.read)(room).inspect_err(|_| sleep(self.read_timeout.unwrap_or_default()))
    }
}

impl<R, W: FnMut(&[u8]) -> io::Result<usize>, F: FnMut() -> io::Result<()>> Write for Told<R, W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.write)(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.flush)()
    }
}

impl<R: FnMut(&mut [u8]) -> io::Result<usize>, W, F> ReadHalf for Told<R, W, F> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout;
        Ok(())
    }
}

impl<R, W: FnMut(&[u8]) -> io::Result<usize>, F: FnMut() -> io::Result<()>> WriteHalf for Told<R, W, F> {
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open<R, W, F>(read: R, write: W, flush: F) -> WebSocket<Told<R, W, F>>
where
    R: FnMut(&mut [u8]) -> io::Result<usize>,
    W: FnMut(&[u8]) -> io::Result<usize>,
    F: FnMut() -> io::Result<()>,
{
    let stream = Told { read, write, flush, read_timeout: None };
    WebSocket::open(stream, Role::Client, Agreed::default(), &FAST, &[])
}

fn takes_all(bytes: &[u8]) -> io::Result<usize> {
    Ok(bytes.len())
}

#[test]
fn l10_a_flush_that_had_to_wait_once_is_no_stalled_write_later() {
    let mut flushes = 0;
    let flush = || {
        flushes += 1;
        if flushes == 1 { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    };
    let mut reads = 0;
    let read = |room: &mut [u8]| {
        reads += 1;
        if reads < 10 {
            sleep(Duration::from_millis(10)); // longer than a write may stall, all in all
            return Err(ErrorKind::WouldBlock.into());
        }
        room[..3].copy_from_slice(b"\x81\x01a");
        Ok(3)
    };
    let mut ws = open(read, takes_all, flush);
    ws.try_send("Hello").expect("room");
    let received = loop {
        match ws.recv() {
            Err(error) if error.is_would_block() => {}
            received => break received.expect("nothing is wrong"),
        }
    };
    assert_eq!(received, Some("a".into()));
}

#[test]
fn a_flush_that_lost_what_waited_says_so() {
    let mut close = Some(b"\x88\x00");
    let read = |room: &mut [u8]| {
        room[..2].copy_from_slice(close.take().ok_or(ErrorKind::ConnectionReset)?);
        Ok(2)
    };
    let mut writes = 0;
    let write = |_: &[u8]| {
        writes += 1;
        match writes {
            1 => Ok(1),
            2 => Err(ErrorKind::WouldBlock.into()),
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    };
    let mut ws = open(read, write, || Ok(()));
    ws.try_send("never arrives").expect("room");
    assert!(matches!(ws.recv_event(), Ok(Some(Event::Close(None)))));
    let error = ws.flush().expect_err("the stream broke before it had all been written");
    assert!(matches!(error, Error::Send(SendErrorKind::Closed)), "{error}");
}

#[test]
fn l1_a_peer_that_floods_instead_of_closing_does_not_keep_close_from_ending() {
    for frame in [&b"\x8a\x00"[..], b"\x82\x01a"] {
        let start = Instant::now();
        let read = |room: &mut [u8]| {
            assert!(start.elapsed() < Duration::from_secs(20), "no end");
            room[..frame.len()].copy_from_slice(frame);
            Ok(frame.len())
        };
        let mut ws = open(read, takes_all, || Ok(()));
        let error = ws.close(CloseCode::NORMAL, "").expect_err("it never closed");
        assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
    }
}
