//! As many idle connections as the machine allows, to this crate's servers over tokio and over epoll.
//!
//! Servers and clients are several processes where one may not have so many descriptors. At a tenth, a half and all of
//! the connections it is measured what they take; then one in a hundred sends a small message each second, and is
//! answered, while every connection is pinged every 30 seconds. Where the cores are too few for that, clients answer too
//! late, and the server over tokio gives them up: then `--ping` makes it less often.
//!
//! It stops before memory, or what the kernel allows, is used up, and tells at how many. All of it ends after `--limit`,
//! with what is written by then.

mod clients;
mod memory;
mod processes;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use versus::child::Server;
use versus::machine::most_descriptors;
use versus::rows::{self, Row, exact};

use memory::Kernel;
use processes::Clients;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: scale [--quick] [--connections NUMBER] [--servers NAME,NAME...] [--ping SECONDS] \
    [--seconds NUMBER] [--limit SECONDS] [--json FILE]";

/// What is told of each number of connections.
const COLUMNS: [&str; 5] = [
    "in the program, bytes each",
    "in the kernel, bytes each",
    "seconds to open",
    "CPU, percent of a core",
    "CPU, µs per message or ping",
];

/// Descriptors of a process for other things than connections.
const SPARE: usize = 200;

/// How many connections there may be to one address: of the 28 000 ports that a client has, the kernel looks through one
/// half before it takes any of the other.
pub(crate) const PER_ADDRESS: usize = 10_000;

/// At which parts of all connections it is measured, in percent.
const STEPS: [usize; 3] = [10, 50, 100];

struct Arguments {
    connections: usize,
    servers: Vec<String>,
    /// How often each connection is pinged, in seconds.
    ping: String,
    /// How long it is measured what those who talk cost.
    length: Duration,
    /// How long all of it may take.
    limit: Duration,
    json: Option<PathBuf>,
}

fn arguments() -> Result<Arguments> {
    let servers = vec!["sockeye".into(), "sockeye-epoll".into()];
    let (length, limit) = (Duration::from_secs(60), Duration::from_secs(1800));
    let mut arguments = Arguments { connections: 100_000, servers, ping: "30".into(), length, limit, json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => (arguments.connections, arguments.length) = (1000, Duration::from_secs(1)),
            "--connections" => arguments.connections = value()?.parse().map_err(|_| "--connections needs a number")?,
            "--servers" => arguments.servers = value()?.split(',').map(str::to_owned).collect(),
            "--ping" => arguments.ping = value()?,
            "--limit" => arguments.limit = Duration::from_secs(value()?.parse()?),
            "--json" => arguments.json = Some(value()?.into()),
            "--seconds" => arguments.length = Duration::from_secs(value()?.parse()?),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.connections < 100 || arguments.length.is_zero() {
        return Err("there must be 100 connections at least, and a second".into());
    }
    Ok(arguments)
}

fn run() -> Result<()> {
    if let Some(port) = clients::port() {
        return clients::be(port?);
    }
    let arguments = arguments()?;
    let most = most_descriptors()?;
    let each = most - SPARE;
    println!(
        "{} connections; a process may have {most} descriptors, so that there are {} servers and as many clients.",
        arguments.connections,
        arguments.connections.div_ceil(each)
    );
    println!(
        "In the program: the growth of all servers' own pages, divided by the connections. In the kernel: the growth"
    );
    println!(
        "of its slabs and of TCP's buffers, by `/proc/meminfo` and `/proc/net/sockstat`, for both ends together.\n"
    );
    rows::head("server", &COLUMNS);
    end_after(arguments.limit);
    let mut rows = Vec::new();
    for name in &arguments.servers {
        measure(name, &arguments, each, &mut rows)?;
    }
    Ok(())
}

/// The processes that were started end with this one.
fn end_after(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("scale: it took more than {} seconds, which `--limit` sets", limit.as_secs());
        std::process::exit(1);
    });
}

/// Some servers of one sort, as one.
struct Servers(Vec<Server>);

impl Servers {
    fn start(name: &str, count: usize, ping: &str) -> Result<Self> {
        let options = ["--address", "0.0.0.0:0", "--ping", ping];
        Ok(Self((0..count).map(|_| Server::named(name, &options)).collect::<Result<_>>()?))
    }

    /// The sum of a figure.
    fn usage(&mut self, field: &str) -> Result<f64> {
        self.0.iter_mut().map(|server| Ok(server.usage()?.get(field))).sum()
    }

    fn cpu(&mut self) -> Result<Duration> {
        Ok(Duration::from_nanos((self.usage("user_ns")? + self.usage("system_ns")?) as u64))
    }

    fn pages(&mut self) -> Result<f64> {
        self.0.iter_mut().try_for_each(Server::trim)?;
        self.usage("anonymous_bytes")
    }
}

fn measure(name: &str, arguments: &Arguments, each: usize, rows: &mut Vec<Row>) -> Result<()> {
    let count = arguments.connections.div_ceil(each);
    let mut servers = Servers::start(name, count, &arguments.ping)?;
    let mut clients = servers.0.iter().map(|server| Clients::start(server.port)).collect::<Result<Vec<_>>>()?;
    let (pages, kernel) = (servers.pages()?, Kernel::settled()?);
    let (mut open, mut opening) = (0, Duration::ZERO);
    for step in STEPS {
        let wanted = arguments.connections * step / 100;
        let start = Instant::now();
        let full = fill(&mut clients, &mut open, wanted)?;
        opening += start.elapsed();
        let in_program = (servers.pages()? - pages) / open as f64;
        let in_kernel = Kernel::now()?.since(kernel) / open as f64;
        let talk = talk(&mut servers, &mut clients, arguments.length)?;
        let figures = [in_program, in_kernel, opening.as_secs_f64(), talk.busy * 100.0, talk.per_message * 1e6];
        let row = Row {
            name: format!("{name}, {open} connections"),
            figures: COLUMNS.into_iter().zip(figures.map(exact)).collect(),
        };
        rows::line(&row, &COLUMNS);
        rows.push(row);
        if let Some(file) = &arguments.json {
            fs::write(file, rows::json(rows)).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        if servers.usage("connections")? as usize != open {
            return Err(format!("{name}: some connections were lost").into());
        }
        if let Some(reason) = full {
            println!("\nIt stopped at {open} connections of {}: {reason}.\n", arguments.connections);
            break;
        }
    }
    Ok(())
}

/// Opens connections until there are so many, or says why not.
fn fill(clients: &mut [Clients], open: &mut usize, wanted: usize) -> Result<Option<String>> {
    /// How many each client opens between two looks at the memory.
    const BATCH: usize = 500;
    while *open < wanted {
        if let Some(reason) = memory::shortage()? {
            return Ok(Some(reason));
        }
        let (mut left, count) = (wanted - *open, clients.len());
        let share = left.div_ceil(count).min(BATCH);
        let mut shares = Vec::new();
        for client in clients.iter_mut() {
            let share = share.min(left);
            client.ask(&format!("open {share}"))?;
            left -= share;
            shares.push(share);
        }
        for (client, share) in clients.iter_mut().zip(shares) {
            client.answer()?;
            *open += share;
        }
    }
    Ok(None)
}

/// What it costs that some talk.
struct Talk {
    /// Of one core.
    busy: f64,
    /// Seconds of CPU time for an echo, or for a ping and its pong.
    per_message: f64,
}

fn talk(servers: &mut Servers, clients: &mut [Clients], length: Duration) -> Result<Talk> {
    let (before, start) = (servers.cpu()?, Instant::now());
    for client in clients.iter_mut() {
        client.ask(&format!("talk {}", length.as_secs()))?;
    }
    let mut messages = 0.0;
    for client in clients {
        messages += client.answer()?.parse::<f64>()?;
    }
    let (used, took) = (servers.cpu()? - before, start.elapsed());
    Ok(Talk { busy: used.as_secs_f64() / took.as_secs_f64(), per_message: used.as_secs_f64() / messages.max(1.0) })
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}
