//! Connections that are opened, upgraded and closed again, by the `server` of each crate.
//!
//! That of fastwebsockets and of yawc takes this crate's handshake: theirs comes with hyper.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use versus::child::Server;
use versus::figures::Quartiles;
use versus::naive::{self, CLOSE, FIN};
use versus::opening;
use versus::payloads::key;
use versus::rows::{self, Row};

use crate::{Effort, Outcome, Selection};

const NAME: &str = "handshake";

/// In the order of the table.
const COLUMNS: [&str; 11] = [
    "raw-tokio",
    "raw-epoll",
    "sockeye",
    "sockeye-epoll",
    "tokio-tungstenite",
    "fastwebsockets",
    "soketto",
    "tokio-websockets",
    "sockudo-ws",
    "yawc",
    "wtx",
];

/// How many are under way at once.
const AT_ONCE: usize = 32;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn measure(effort: &Effort, only: &Selection, rows: &mut Vec<Row>) -> Outcome {
    if !only.has(NAME) {
        return Ok(());
    }
    println!(
        "Microseconds of the server's CPU time to accept a connection, upgrade it and close it: the median of the"
    );
    println!("rounds, and their quartiles. The raw ones know no HTTP: they send back what comes until that ends.\n");
    rows::head("", &COLUMNS);
    versus::machine::pin(0)?;
    let mut servers = Vec::new();
    for name in COLUMNS {
        servers.push((name, Server::named(name, &[])?));
    }
    versus::machine::pin(1)?;
    let (mut cpu, mut rates) = (HashMap::new(), HashMap::new());
    for _ in 0..=effort.rounds {
        for (name, server) in &mut servers {
            let (used, took) = batches(server, name.starts_with("raw-"), effort.handshakes)
                .map_err(|error| format!("{name}: {error}"))?;
            cpu.entry(*name).or_insert_with(Vec::new).push(used / effort.handshakes as f64 / 1e3);
            rates.entry(*name).or_insert_with(Vec::new).push(effort.handshakes as f64 / took.as_secs_f64());
        }
    }
    let row = |name: &str, mut samples: HashMap<&'static str, Vec<f64>>| {
        // In the first round, everything is touched for the first time.
        let mut figure = |of| Quartiles::of(samples.remove(of).unwrap_or_default().split_off(1));
        Row { name: name.into(), figures: COLUMNS.map(|of| (of, figure(of))).into() }
    };
    for row in [row("handshake, CPU", cpu), row("handshakes a second", rates)] {
        rows::line(&row, &COLUMNS);
        rows.push(row);
    }
    println!("\nHow many there are in a second is as much a matter of the client, on the other core.\n");
    Ok(())
}

/// Nanoseconds of CPU time for so many, and how long they took.
fn batches(server: &mut Server, is_raw: bool, count: usize) -> Result<(f64, Duration), Box<dyn Error>> {
    let (before, start) = (server.usage()?.cpu_ns(), Instant::now());
    let mut left = count;
    while left > 0 {
        let batch = left.min(AT_ONCE);
        open_and_close(server.port, batch, is_raw)?;
        left -= batch;
    }
    let took = start.elapsed();
    Ok((server.usage()?.cpu_ns() - before, took))
}

fn open_and_close(port: u16, count: usize, is_raw: bool) -> Outcome {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(opening::request(port).as_bytes())?;
        streams.push(stream);
    }
    let close = naive::frame(FIN | CLOSE, Some(key(0)), &1000_u16.to_be_bytes());
    for stream in &mut streams {
        if is_raw {
            stream.read_exact(&mut vec![0; opening::request(port).len()])?;
        } else {
            opening::read_response(stream)?;
            stream.write_all(&close)?;
        }
    }
    for stream in &mut streams {
        if is_raw {
            stream.shutdown(std::net::Shutdown::Write)?;
        }
        let mut answer = Vec::new();
        // Some answer Close, and some reset the connection.
        let _ = stream.read_to_end(&mut answer);
        if !is_raw && answer.first() != Some(&(FIN | CLOSE)) {
            return Err("it does not answer Close".into());
        }
    }
    Ok(())
}
