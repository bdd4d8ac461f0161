//! An echo server over one of the crates, for those who load it and measure what it takes.
//!
//! `server NAME` listens, prints its port and sends every message back, in one thread. A line on its standard input
//! asks for something, see `control`; it exits when that ends, so that none outlives who started it.

mod control;
mod counting;
mod epoll;
mod handshake;
mod on_tokio;
mod peers;
mod usage;

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{Backlog, listen};

/// What may have gone wrong.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: server NAME [--address ADDRESS:PORT] [--compress] [--ping SECONDS]";

#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// permessage-deflate is accepted.
    pub(crate) compress: bool,
    /// How often this crate's servers ping each connection, if that is not left to them.
    pub(crate) ping: Option<Duration>,
}

struct Arguments {
    name: String,
    address: SocketAddr,
    options: Options,
}

fn arguments() -> Result<Arguments, Box<dyn Error + Send + Sync>> {
    let mut given = std::env::args().skip(1);
    let name = given.next().ok_or_else(|| format!("{USAGE}\nnames: {}", peers::names()))?;
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut arguments = Arguments { name, address, options: Options { compress: false, ping: None } };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--compress" => arguments.options.compress = true,
            "--ping" => {
                let seconds = given.next().ok_or("--ping needs a value")?.parse()?;
                arguments.options.ping = Some(Duration::from_secs(seconds));
            }
            "--address" => arguments.address = given.next().ok_or("--address needs a value")?.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(arguments)
}

fn run() -> Outcome {
    let Arguments { name, address, options } = arguments()?;
    let serve = peers::find(&name, options)?;
    raise_descriptor_limit();
    let listener = TcpListener::bind(address)?;
    // Many may come at once.
    listen(&listener, Backlog::new(4096)?)?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    serve(listener, options)
}

/// As far as it is allowed.
fn raise_descriptor_limit() {
    const MOST: u64 = 1 << 20;
    if setrlimit(Resource::RLIMIT_NOFILE, MOST, MOST).is_err()
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // the few that there are may do
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error}");
            ExitCode::FAILURE
        }
    }
}
