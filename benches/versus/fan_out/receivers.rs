//! Where texts are sent to: sinks in memory, or sockets that a thread of its own drains.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::machine;

/// Sockets whose other ends are read and forgotten on the second core.
pub struct Drain {
    registry: Registry,
    ends: std::sync::mpsc::Sender<TcpStream>,
    arrived: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
    opened: usize,
}

impl Drain {
    pub fn start() -> io::Result<Self> {
        let mut poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let (ends, given) = std::sync::mpsc::channel();
        let (arrived, stopping) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (arrived.clone(), stopping.clone());
        let thread = thread::spawn(move || {
            machine::pin(1)?;
            let (mut events, mut streams) = (Events::with_capacity(1024), Vec::new());
            let mut scratch = vec![0; 64 << 10];
            while !stop.load(Ordering::Relaxed) {
                match poll.poll(&mut events, Some(Duration::from_millis(50))) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => result?,
                }
                streams.extend(given.try_iter());
                for event in &events {
                    let Some(stream) = streams.get_mut(event.token().0) else { continue };
                    count.fetch_add(drain(stream, &mut scratch), Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { registry, ends, arrived, stopping, thread: Some(thread), opened: 0 })
    }

    /// How many bytes have come.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// The ends to send to, of so many new connections. They do not block.
    pub fn open(&mut self, count: usize) -> io::Result<Vec<std::net::TcpStream>> {
        // A listener for each call, so that no pair of addresses has more connections than a client has ports.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let end = std::net::TcpStream::connect(address)?;
            end.set_nonblocking(true)?;
            let mut end = TcpStream::from_std(end);
            self.registry.register(&mut end, Token(self.opened), Interest::READABLE)?;
            self.opened += 1;
            self.ends.send(end).map_err(io::Error::other)?;
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        Ok(streams)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("fan_out: the receivers: {error}");
        }
    }
}

/// Reads all there is.
fn drain(stream: &mut TcpStream, scratch: &mut [u8]) -> u64 {
    let mut total = 0;
    while let Ok(count @ 1..) = stream.read(scratch) {
        total += count as u64;
    }
    total
}
