//! What the blocking driver needs of a stream, and reads and writes that end in time.

use std::boxed::Box;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Buf;

use crate::io::vectored::with_slices;
use crate::outbox::Outbox;

/// The reading half of a stream, or the whole of it.
pub trait ReadHalf: Read {
    /// Sets how long a read may wait; `None` is for ever, and the duration is never zero. A read that has waited so
    /// long says [`WouldBlock`](ErrorKind::WouldBlock) or [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), or any other: then a read may wait for ever.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;
}

/// The writing half of a stream, or the whole of it.
pub trait WriteHalf: Write {
    /// Sets how long a write may wait before it takes at least one byte; `None` is for ever, and the duration is never
    /// zero. A write that has waited so long says [`WouldBlock`](ErrorKind::WouldBlock) or
    /// [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), or any other: then a write may wait for ever.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Whether what is written is sent at once (`TCP_NODELAY`), instead of waiting for more where that is not yet
    /// acknowledged. The driver writes what belongs together in one go, so it asks sockets that it accepts for this.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), as by default, for this is no TCP socket; or the stream's own.
    fn set_nodelay(&mut self, _nodelay: bool) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Tells the peer that nothing more will be written. Reading goes on.
    ///
    /// # Errors
    /// The stream's own.
    fn shutdown(&mut self) -> io::Result<()>;
}

/// A blocking stream whose reads and writes can be told to end in time: what has both halves.
///
/// The sockets of the standard library are streams. Others become one through a type of yours, which for TLS passes
/// what it is told on to the socket below, or through [`Untimed`], which has none:
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Duration;
/// use sockeye::blocking::{ReadHalf, WriteHalf};
///
/// struct Tls { session: Session, socket: TcpStream }
/// # struct Session;
/// # impl Session { fn send_close_notify(&mut self) {} }
/// # impl Read for Tls { fn read(&mut self, _: &mut [u8]) -> io::Result<usize> { Ok(0) } }
/// # impl Write for Tls {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { Ok(bytes.len()) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
///
/// impl ReadHalf for Tls {
///     fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_read_timeout(timeout)
///     }
/// }
/// impl WriteHalf for Tls {
///     fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_write_timeout(timeout)
///     }
///     fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
///         self.socket.set_nodelay(nodelay)
///     }
///     fn shutdown(&mut self) -> io::Result<()> {
///         self.session.send_close_notify();
///         self.flush()?;
///         self.socket.shutdown(Shutdown::Write)
///     }
/// }
/// ```
pub trait Stream: ReadHalf + WriteHalf {}

impl<S: ReadHalf + WriteHalf + ?Sized> Stream for S {}

/// Any `Read`, `Write` or both as a stream that **has no deadlines**: no keepalive, no timeout. A peer that falls
/// silent, or stops reading, holds the thread for as long as the stream itself lets it.
///
/// Where the stream gives up a read or write with `WouldBlock` by itself, the call says so
/// ([`Error::is_would_block`](crate::Error::is_would_block)) and can be repeated. Shutting it down only flushes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untimed<S>(pub S);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read> ReadHalf for Untimed<S> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl<S: Write> WriteHalf for Untimed<S> {
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

macro_rules! socket {
    ($socket:ty $(, $nodelay:ident)?) => {
        impl ReadHalf for $socket {
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_read_timeout(self, timeout)
            }
        }

        impl WriteHalf for $socket {
            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_write_timeout(self, timeout)
            }

            $(fn $nodelay(&mut self, nodelay: bool) -> io::Result<()> {
                Self::$nodelay(self, nodelay)
            })?

            fn shutdown(&mut self) -> io::Result<()> {
                Self::shutdown(self, std::net::Shutdown::Write)
            }
        }
    };
}

macro_rules! pointer {
    ($pointer:ty) => {
        impl<S: ReadHalf + ?Sized> ReadHalf for $pointer {
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }
        }

        impl<S: WriteHalf + ?Sized> WriteHalf for $pointer {
            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
                (**self).set_nodelay(nodelay)
            }

            fn shutdown(&mut self) -> io::Result<()> {
                (**self).shutdown()
            }
        }
    };
}

socket!(TcpStream, set_nodelay);
#[cfg(unix)]
socket!(UnixStream);
pointer!(&mut S);
pointer!(Box<S>);

/// The timeout a stream was last given, so that it is not given one for every message.
#[derive(Clone, Copy)]
pub(crate) enum Armed {
    Unknown,
    Set(Option<Duration>),
    /// The stream has none.
    Refused,
}

impl Armed {
    /// Gives the stream another timeout where the present one differs notably. Returns which is in force: `None` if a
    /// wait has no end of its own.
    #[inline]
    pub(crate) fn set(
        &mut self,
        wanted: Option<Duration>,
        arm: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> Option<Duration> {
        let wanted = wanted.map(|timeout| timeout.max(SHORTEST));
        match *self {
            Self::Refused => None,
            Self::Set(timeout) if is_near(timeout, wanted) => timeout,
            Self::Unknown | Self::Set(_) => {
                *self = if arm(wanted).is_ok() { Self::Set(wanted) } else { Self::Refused };
                if let Self::Set(timeout) = *self { timeout } else { None }
            }
        }
    }
}

/// Whether a difference is too small for another system call.
fn is_near(armed: Option<Duration>, wanted: Option<Duration>) -> bool {
    match (armed, wanted) {
        (Some(armed), Some(wanted)) => armed.abs_diff(wanted) <= wanted / 8,
        (armed, wanted) => armed == wanted,
    }
}

/// A timeout of zero would mean none to a socket.
const SHORTEST: Duration = Duration::from_millis(1);

/// Reads once. A count larger than the room is the stream's lie, and is cut.
#[inline]
pub(crate) fn read(stream: &mut (impl Read + ?Sized), room: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(room) {
            Ok(count) => return Ok(count.min(room.len())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes once from the outbox, and takes from it what the stream took.
#[inline]
pub(crate) fn write(stream: &mut (impl Write + ?Sized), outbox: &mut Outbox) -> io::Result<usize> {
    loop {
        let result = if outbox.chunk().len() == outbox.remaining() {
            stream.write(outbox.chunk())
        } else {
            with_slices(outbox, |slices| stream.write_vectored(slices))
        };
        match result {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                let count = count.min(outbox.remaining()); // a stream that claims more lies
                outbox.advance(count);
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Flushes what the stream itself holds back.
pub(crate) fn flush(stream: &mut (impl Write + ?Sized)) -> io::Result<()> {
    loop {
        match stream.flush() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether a read or write ended because its time was up, or would have had to wait.
pub(crate) fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
