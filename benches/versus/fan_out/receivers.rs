//! Receivers on sockets: a process of its own, on the second core, reads and forgets.
//!
//! It is this program again, and told what to do over a connection at whose end it exits. A line asks for new
//! connections, or for an answer when so many more bytes have come.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use versus::machine;

use crate::Outcome;

/// The argument, before an address, that makes this program the receivers.
pub const ARGUMENT: &str = "--be-the-receivers";

/// The other end of the receivers' process.
pub struct Receivers {
    process: Child,
    control: TcpStream,
}

impl Receivers {
    pub fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?.to_string();
        let mut process =
            Command::new(std::env::current_exe()?).args([ARGUMENT, &address]).stdin(Stdio::null()).spawn()?;
        listener.set_nonblocking(true)?;
        let control = loop {
            match listener.accept() {
                Ok((control, _)) => break control,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if process.try_wait()?.is_some() => return Err("the receivers have exited".into()),
                Err(_) => std::thread::sleep(crate::TICK),
            }
        };
        control.set_nodelay(true)?;
        Ok(Self { process, control })
    }

    /// The ends to send to, of so many new connections, which do not block. Those before are closed.
    pub fn open(&mut self, count: usize) -> io::Result<Vec<TcpStream>> {
        // A listener for each call, so that no pair of addresses has more connections than a client has ports.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        self.ask(Order::Open { port: listener.local_addr()?.port(), count: count as u64 })?;
        let accepted = |_| {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        (0..count).map(accepted).collect()
    }

    /// From now on, so many bytes are to come.
    pub fn expect(&mut self, bytes: u64) -> io::Result<()> {
        self.ask(Order::Expect { bytes })
    }

    /// Whether they have come. It says so once.
    pub fn have_come(&mut self) -> io::Result<bool> {
        self.control.set_nonblocking(true)?;
        let result = self.control.read_exact(&mut [0]);
        self.control.set_nonblocking(false)?;
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn ask(&mut self, order: Order) -> io::Result<()> {
        self.control.write_all(&order.bytes())
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have exited already
        let _ = self.process.wait();
    }
}

enum Order {
    Open { port: u16, count: u64 },
    Expect { bytes: u64 },
}

const ORDER_SIZE: usize = 10;

impl Order {
    /// No listener has port 0.
    fn bytes(&self) -> [u8; ORDER_SIZE] {
        let (port, number) = match *self {
            Self::Open { port, count } => (port, count),
            Self::Expect { bytes } => (0, bytes),
        };
        let mut bytes = [0; ORDER_SIZE];
        bytes[..2].copy_from_slice(&port.to_be_bytes());
        bytes[2..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn read(control: &mut TcpStream) -> io::Result<Self> {
        let (mut port, mut number) = ([0; 2], [0; 8]);
        control.read_exact(&mut port)?;
        control.read_exact(&mut number)?;
        let number = u64::from_be_bytes(number);
        Ok(match u16::from_be_bytes(port) {
            0 => Self::Expect { bytes: number },
            port => Self::Open { port, count: number },
        })
    }
}

/// The receivers' process, until the control connection ends.
pub fn be(address: &str) -> Outcome {
    machine::most_descriptors()?;
    machine::pin(1)?;
    let mut control = TcpStream::connect(address)?;
    control.set_nodelay(true)?;
    let address: SocketAddr = address.parse()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&control, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX))?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut scratch = vec![0; 64 << 10];
    let (mut missing, mut came) = (None, 0);
    let mut events = [EpollEvent::empty(); 1024];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            count => count?,
        };
        for event in &events[..count] {
            if event.data() == u64::MAX {
                match Order::read(&mut control) {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(error.into()),
                    Ok(Order::Expect { bytes }) => missing = Some(bytes),
                    Ok(Order::Open { port, count }) => {
                        streams.clear();
                        for _ in 0..count {
                            let stream = TcpStream::connect((address.ip(), port))?;
                            stream.set_nonblocking(true)?;
                            epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, stream.as_raw_fd() as u64))?;
                            insert(&mut streams, stream);
                        }
                    }
                }
                continue;
            }
            let Some(stream) = streams.get_mut(event.data() as usize) else { continue };
            match stream.as_ref().map(|mut stream| stream.read(&mut scratch)) {
                Some(Ok(count @ 1..)) => came += count as u64,
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                _ => *stream = None,
            }
        }
        if let Some(bytes) = missing.filter(|bytes| came >= *bytes) {
            (missing, came) = (None, came - bytes);
            control.write_all(&[1])?;
        }
    }
}

/// Each has its place by its descriptor.
fn insert(streams: &mut Vec<Option<TcpStream>>, stream: TcpStream) {
    let place = stream.as_raw_fd() as usize;
    if place >= streams.len() {
        streams.resize_with(place + 1, || None);
    }
    streams[place] = Some(stream);
}
