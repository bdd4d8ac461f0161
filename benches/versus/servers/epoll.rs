//! The event loop of the servers that have no runtime: edge-triggered, and one buffer for all sockets to read into.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::control::Control;
use crate::{Options, Outcome};

/// The most that a read brings.
pub const READ: usize = 64 << 10;

/// How many events one wait brings.
const EVENTS: usize = 256;

/// How long a ping may be late.
const PING_TICK: Duration = Duration::from_millis(50);

/// By how many places the table grows: never by much more than is needed.
const PLACES: usize = 256;

/// One connection.
pub trait Connected: Sized {
    fn new(stream: TcpStream) -> Self;

    /// Writes, reads and answers until the socket would block; whether it is still needed. Where the peer's stream
    /// `ends`, a read that fills less than its room is not the last one.
    fn drive(&mut self, scratch: &mut [u8], ends: bool) -> io::Result<bool>;

    /// Asks whether the peer is there.
    fn ping(&mut self) -> io::Result<()>;
}

/// Serves each connection, for ever.
pub fn run<C: Connected>(listener: TcpListener, options: Options) -> Outcome {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut control = Control::new()?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, listener.as_raw_fd() as u64))?;
    epoll.add(&control, EpollEvent::new(EpollFlags::EPOLLIN, control.as_raw_fd() as u64))?;
    let mut table = Table::<C>(Vec::new());
    let mut scratch = vec![0; READ];
    let mut events = [EpollEvent::empty(); EVENTS];
    let mut pings = options.ping.map(Pings::new);
    let timeout = if pings.is_some() { EpollTimeout::try_from(PING_TICK)? } else { EpollTimeout::NONE };
    loop {
        if let Some(pings) = &mut pings {
            pings.send(&mut table);
        }
        let count = match epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => continue,
            count => count?,
        };
        for event in &events[..count] {
            let descriptor = event.data() as RawFd;
            if descriptor == listener.as_raw_fd() {
                accept(&listener, &epoll, &mut table)?;
            } else if descriptor == control.as_raw_fd() {
                control.answer()?;
            } else {
                table.drive(descriptor, &mut scratch, event.events());
            }
        }
    }
}

fn accept<C: Connected>(listener: &TcpListener, epoll: &Epoll, table: &mut Table<C>) -> Outcome {
    // Once for reading and writing: nothing has to be registered anew when the peer is slow.
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                epoll.add(&stream, EpollEvent::new(interest, stream.as_raw_fd() as u64))?;
                table.insert(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The connections, each at the place of its descriptor, of which the kernel always gives the lowest.
struct Table<C>(Vec<Option<C>>);

impl<C: Connected> Table<C> {
    fn insert(&mut self, stream: TcpStream) {
        let place = stream.as_raw_fd() as usize;
        if place >= self.0.len() {
            let len = (place + 1).next_multiple_of(PLACES);
            self.0.reserve_exact(len - self.0.len());
            self.0.resize_with(len, || None);
        }
        self.0[place] = Some(C::new(stream));
    }

    fn drive(&mut self, descriptor: RawFd, scratch: &mut [u8], flags: EpollFlags) {
        let Some(place) = self.0.get_mut(descriptor as usize) else { return };
        let Some(connection) = place else { return };
        let ends = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if !connection.drive(scratch, ends).unwrap_or(false) {
            *place = None;
        }
    }
}

/// Pings go round the table, a few places at a time, so that no connection needs a timer.
struct Pings {
    interval: Duration,
    /// When the round began, and which place is next.
    began: Instant,
    next: usize,
}

impl Pings {
    fn new(interval: Duration) -> Self {
        Self { interval, began: Instant::now(), next: 0 }
    }

    /// Pings those whose turn has come.
    fn send<C: Connected>(&mut self, table: &mut Table<C>) {
        let part = (self.began.elapsed().as_secs_f64() / self.interval.as_secs_f64()).min(1.0);
        let end = (table.0.len() as f64 * part) as usize;
        for place in table.0.get_mut(self.next..end).unwrap_or_default() {
            if place.as_mut().is_some_and(|connection| connection.ping().is_err()) {
                *place = None;
            }
        }
        self.next = self.next.max(end);
        if part == 1.0 {
            (self.began, self.next) = (Instant::now(), 0);
        }
    }
}

/// What a read or a write has moved; `None` where it would block.
pub fn moved(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
