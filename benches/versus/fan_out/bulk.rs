//! One large message to a receiver with a small window, who takes it bit by bit.

use std::error::Error;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;
use tokio::runtime::Runtime;
use versus::figures::Quartiles;
use versus::machine::{self, Cpu};
use versus::rows::{self, Row, exact};

use crate::peers::{Blocking, Core, Driver, Fastwebsockets, Peer, RawEpoll, RawTokio};
use crate::peers::{Sockudo, Soketto, TokioWebsockets, Tungstenite, Wtx, Yawc};
use crate::speakers::COLUMNS;
use crate::{Effort, Outcome, Selection};

/// The receiver's buffer, and how much it takes before it pauses, in bytes.
const WINDOW: usize = 64 << 10;
const SIP: usize = 32 << 10;
const PAUSE: Duration = Duration::from_micros(50);

/// Nobody may take longer.
const LIMIT: Duration = Duration::from_secs(120);

pub fn measure(effort: &Effort, only: &Selection, rows: &mut Vec<Row>) -> Outcome {
    let name = |what: &str, size: usize| format!("slow receiver, {} MiB, {what}", size >> 20);
    if !effort.sizes.iter().any(|size| only.has(&name("CPU", *size)) || only.has(&name("wall", *size))) {
        return Ok(());
    }
    println!(
        "Milliseconds to send one message to a receiver with a window of {} KiB that pauses again and again:",
        WINDOW >> 10
    );
    println!("the median of the rounds, and their quartiles.\n");
    let columns = COLUMNS;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    rows::head("message", &columns);
    let mut medians = Vec::new();
    for size in effort.sizes {
        let payload = Bytes::from(vec![b'x'; size]);
        let mut samples = vec![(Vec::new(), Vec::new()); columns.len()];
        for _ in 0..effort.rounds.div_ceil(2) {
            for (name, (cpu, wall)) in columns.iter().zip(&mut samples) {
                let (used, took) = send(name, &runtime, &payload)?;
                cpu.push(used.as_secs_f64() * 1e3);
                wall.push(took.as_secs_f64() * 1e3);
            }
        }
        let (cpu, wall): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        let row = |what, samples: Vec<Vec<f64>>| Row {
            name: name(what, size),
            figures: columns.iter().copied().zip(samples.into_iter().map(Quartiles::of)).collect(),
        };
        let (cpu, wall) = (row("CPU", cpu), row("wall", wall));
        medians.push(cpu.figures.iter().map(|(_, figure)| figure.median).collect::<Vec<_>>());
        for row in [cpu, wall] {
            rows::line(&row, &columns);
            rows.push(row);
        }
    }
    let (first, last) = (medians.first().expect("three sizes"), medians.last().expect("three sizes"));
    let growth = first.iter().zip(last).map(|(first, last)| exact(last / first));
    let row =
        Row { name: "slow receiver, growth of CPU".into(), figures: columns.iter().copied().zip(growth).collect() };
    rows::line(&row, &columns);
    rows.push(row);
    println!("\nThe last line is the CPU time of the largest by that of the smallest: 4 is linear, 16 is quadratic.\n");
    Ok(())
}

/// The CPU time of the sending thread, and how long it took until the last byte had come.
fn send(name: &str, runtime: &Runtime, payload: &Bytes) -> Result<(Duration, Duration), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&listener, RcvBuf, &WINDOW)?; // those that it accepts have it from the beginning
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let receiver = receiver(listener, payload.len());
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let (start, before, payload) = (Instant::now(), Cpu::of_thread()?, payload.clone());
    macro_rules! by_name {
        ($($tokio:ident),*; $($epoll:ident),*) => {
            match name {
                $(name if name == <$tokio<tokio::net::TcpStream> as Peer<_>>::NAME => runtime.block_on(async {
                    let stream = tokio::net::TcpStream::from_std(stream)?;
                    let mut peer = $tokio::open(stream, false).await;
                    tokio::time::timeout(LIMIT, peer.send(payload)).await?
                })?,)*
                $(name if name == <$epoll<TcpStream> as Blocking<_>>::NAME => {
                    $epoll::open(stream, false).send(payload, |stream| writable(stream, start + LIMIT))?
                })*
                name => return Err(format!("{name} is not known").into()),
            }
        };
    }
    by_name!(RawTokio, Driver, Tungstenite, Fastwebsockets, Soketto, TokioWebsockets, Sockudo, Yawc, Wtx; RawEpoll, Core);
    let cpu = Cpu::of_thread()? - before;
    receiver.join().map_err(|_| "the receiver has panicked")?.map_err(|error| format!("{name}: {error}"))?;
    Ok((cpu.total, start.elapsed()))
}

/// Waits until a socket takes more.
fn writable(stream: &TcpStream, until: Instant) -> Outcome {
    if Instant::now() >= until {
        return Err("it took too long".into());
    }
    poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(1000_u16))?;
    Ok(())
}

/// Takes so many bytes slowly.
fn receiver(listener: TcpListener, len: usize) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        machine::pin(1)?;
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (mut scratch, mut total, mut taken) = (vec![0; SIP], 0, 0);
        while total < len {
            let count = stream.read(&mut scratch)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (total, taken) = (total + count, taken + count);
            if taken >= SIP {
                taken = 0;
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    })
}
