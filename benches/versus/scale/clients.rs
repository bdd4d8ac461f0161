//! Clients that wait, answer pings, and talk when they are told to.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::SockRef;
use versus::machine::most_descriptors;
use versus::naive::{self, BINARY, FIN, PING, PONG};
use versus::opening;
use versus::payloads::{ascii, key};

use crate::{PER_ADDRESS, Result};

/// The argument, before a port, that makes this program the clients.
pub const ARGUMENT: &str = "--be-the-clients";

/// The size of a message.
const MESSAGE: usize = 64;

/// One in so many talks.
const TALKS: usize = 100;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked who is to talk.
const TICK: Duration = Duration::from_millis(10);

/// How many events one wait brings.
const EVENTS: usize = 4096;

const STDIN: u64 = u64::MAX;

/// The port of the server, if this process is to be the clients.
pub fn port() -> Option<Result<u16>> {
    let mut given = std::env::args().skip(1);
    (given.next()? == ARGUMENT).then(|| Ok(given.next().ok_or("a port is missing")?.parse()?))
}

/// The clients, until standard input ends. `open COUNT` opens so many, `talk SECONDS` has some talk, and tells how many
/// messages and pings were answered.
pub fn be(port: u16) -> Result<()> {
    most_descriptors()?;
    let stdin = io::stdin();
    let flags = OFlag::from_bits_retain(fcntl(&stdin, FcntlArg::F_GETFL)?);
    fcntl(&stdin, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(stdin.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STDIN))?;
    let mut clients = Clients { epoll, streams: Vec::new(), port, answered: 0, talk: None, lines: VecDeque::new() };
    while clients.turn()? {}
    Ok(())
}

struct Clients {
    epoll: Epoll,
    streams: Vec<TcpStream>,
    port: u16,
    /// Messages and pings so far.
    answered: usize,
    talk: Option<Talk>,
    /// What was asked for.
    lines: VecDeque<u8>,
}

struct Talk {
    began: Instant,
    length: Duration,
    /// How many messages were sent.
    sent: usize,
    /// What had been answered before.
    before: usize,
}

impl Clients {
    /// Does what there is to do; whether to go on.
    fn turn(&mut self) -> Result<bool> {
        self.talk()?;
        let mut events = [EpollEvent::empty(); EVENTS];
        let timeout = if self.talk.is_some() { EpollTimeout::try_from(TICK)? } else { EpollTimeout::NONE };
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            count => count?,
        };
        // Pings that have come wait for nothing: to open connections takes a while.
        let mut is_asked = false;
        for event in &events[..count] {
            if event.data() == STDIN {
                is_asked = true;
            } else {
                self.answered += answer(&self.streams[event.data() as usize])?;
            }
        }
        if is_asked { self.listen() } else { Ok(true) }
    }

    /// Obeys what stands on standard input; whether there may be more.
    fn listen(&mut self) -> Result<bool> {
        let mut bytes = [0; 64];
        match nix::unistd::read(io::stdin(), &mut bytes) {
            Ok(0) => return Ok(false),
            Ok(count) => self.lines.extend(&bytes[..count]),
            Err(nix::errno::Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(end) = self.lines.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8(self.lines.drain(..=end).collect())?;
            match line.trim().split_once(' ') {
                Some(("open", count)) => self.open(count.parse()?)?,
                Some(("talk", seconds)) => {
                    let length = Duration::from_secs(seconds.parse()?);
                    self.talk = Some(Talk { began: Instant::now(), length, sent: 0, before: self.answered });
                }
                _ => return Err("it was asked for what it does not know".into()),
            }
        }
        Ok(true)
    }

    fn open(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let number = self.streams.len();
            let address = Ipv4Addr::new(127, 0, 0, 1 + (number / PER_ADDRESS) as u8);
            let mut stream = TcpStream::connect((address, self.port))?;
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?; // nothing is left of it in the kernel
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(opening::request(self.port).as_bytes())?;
            opening::read_response(&mut stream)?;
            stream.set_nonblocking(true)?;
            self.epoll.add(stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            self.streams.push(stream);
        }
        println!("opened");
        Ok(())
    }

    /// Sends the messages that are due: those who talk do so evenly over each second.
    fn talk(&mut self) -> Result<()> {
        let Some(talk) = &mut self.talk else { return Ok(()) };
        let talkers = self.streams.len() / TALKS;
        let elapsed = talk.began.elapsed();
        if elapsed >= talk.length {
            println!("{}", self.answered - talk.before);
            self.talk = None;
            return Ok(());
        }
        let message = naive::frame(FIN | BINARY, Some(key(1)), &ascii(MESSAGE));
        let due = (elapsed.as_secs_f64() * talkers as f64) as usize;
        while talk.sent < due {
            let mut stream = &self.streams[talk.sent % talkers * TALKS];
            stream.write_all(&message)?;
            talk.sent += 1;
        }
        Ok(())
    }
}

/// Reads what has come, and tells how many messages and pings it was. So small frames always come whole.
fn answer(mut stream: &TcpStream) -> Result<usize> {
    let mut bytes = [0; 4096];
    let count = match stream.read(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
        count => count?,
    };
    let (mut rest, mut frames) = (&bytes[..count], 0);
    while let [head, len, after @ ..] = rest {
        let (payload, next) = after.split_at_checked(usize::from(*len)).ok_or("a frame was cut")?;
        match *head {
            head if head == FIN | PING => stream.write_all(&naive::frame(FIN | PONG, Some(key(0)), payload))?,
            head if head == FIN | BINARY && payload.len() == MESSAGE => {}
            _ => return Err("something else came than a message or a ping".into()),
        }
        (rest, frames) = (next, frames + 1);
    }
    if frames == 0 { Err("the server has closed a connection".into()) } else { Ok(frames) }
}
