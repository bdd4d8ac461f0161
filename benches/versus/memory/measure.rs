//! One server after the other, each brought from state to state.

use versus::child::Server;
use versus::figures::Quartiles;
use versus::rows::{self, Row};

use crate::Result;
use crate::clients::Clients;

pub const BARE_TASK: &str = "raw-tokio";
pub const BARE_SOCKET: &str = "raw-epoll";
pub const DRIVER: &str = "sockeye-no-keepalive";
pub const KEEPALIVE: &str = "sockeye";
pub const CORE: &str = "sockeye-epoll";

/// In the order of the table.
const COLUMNS: [&str; 14] = [
    BARE_TASK,
    BARE_SOCKET,
    DRIVER,
    KEEPALIVE,
    CORE,
    "tokio-tungstenite",
    "tokio-tungstenite-lean",
    "fastwebsockets",
    "soketto",
    "soketto-lean",
    "tokio-websockets",
    "sockudo-ws",
    "yawc",
    "wtx",
];

/// Those who have permessage-deflate.
const COMPRESS: [&str; 8] = [DRIVER, KEEPALIVE, CORE, "soketto", "soketto-lean", "sockudo-ws", "yawc", "wtx"];

pub const IDLE: &str = "idle";
pub const AFTER_16_KIB: &str = "after an echo of 16 KiB";
pub const AFTER_8_MIB: &str = "after an echo of 8 MiB";
const COMPRESSION_IDLE: &str = "compression agreed, idle";
const COMPRESSION_AFTER: &str = "compression agreed, after an echo of 1 KiB";
const STATES: [&str; 5] = [IDLE, AFTER_16_KIB, AFTER_8_MIB, COMPRESSION_IDLE, COMPRESSION_AFTER];

pub const PAGES: &str = "pages";
pub const HEAP: &str = "heap";
pub const ALLOCATIONS: &str = "allocations per small echo";

/// How many small echoes are counted.
const ECHOES: usize = 1000;

/// How many connections are opened and closed before it begins.
const WARM_UP: usize = 16;

/// The name of a state's row.
pub fn name(state: &str, what: &str) -> String {
    format!("{state}, {what}")
}

/// A sample of one server: the row's name, and what is told there.
type Sample = (String, f64);

pub fn all(rounds: usize, connections: usize, large: usize, only: &str) -> Result<Vec<Row>> {
    println!("Bytes per connection, of {connections}; 8 MiB were sent back on {large} of them. Who has no");
    println!("permessage-deflate has a dash there.\n");
    let columns: Vec<_> = COLUMNS.into_iter().filter(|name| name.contains(only)).collect();
    let mut samples = Vec::new();
    for _ in 0..rounds {
        for server in &columns {
            let mut take = |name: &str, result: Result<Vec<Sample>>| {
                let taken = result.map_err(|error| format!("{server}, {name}: {error}"))?;
                samples.extend(taken.into_iter().map(|sample| (*server, sample)));
                Ok::<_, String>(())
            };
            take("plain", plain(server, connections, large))?;
            if COMPRESS.contains(server) {
                take("compressed", compressed(server, connections))?;
            }
        }
    }
    let states = STATES.iter().flat_map(|state| [name(state, PAGES), name(state, HEAP)]);
    rows::head("state", &columns);
    let row = |row: String| {
        let of = |server: &str| {
            let mine = samples.iter().filter(|(of, (name, _))| *of == server && *name == row);
            mine.map(|(_, (_, value))| *value).collect::<Vec<_>>()
        };
        let figures = columns.iter().map(|server| (*server, of(server))).filter(|(_, samples)| !samples.is_empty());
        let row =
            Row { figures: figures.map(|(server, samples)| (server, Quartiles::of(samples))).collect(), name: row };
        rows::line(&row, &columns);
        row
    };
    Ok(states.chain([ALLOCATIONS.into()]).map(row).collect())
}

fn plain(name: &'static str, connections: usize, large: usize) -> Result<Vec<Sample>> {
    let mut server = Server::named(name, &[])?;
    let mut clients = Clients::new(server.port, name.starts_with("raw-"), false);
    let start = warm(&mut server, &mut clients)?;
    clients.open(connections)?;
    let idle = memory(&mut server)?.since(start, connections);
    clients.echo(connections, 16 << 10)?;
    let before = memory(&mut server)?;
    let after_16_kib = before.since(start, connections);
    clients.echo(1, 125)?;
    let asked = server.usage()?.get("allocations");
    let before_echoes = server.usage()?.get("allocations");
    for _ in 0..ECHOES {
        clients.echo(1, 125)?;
    }
    // To tell them takes some as well, as many each time.
    let allocations = server.usage()?.get("allocations") - before_echoes - (before_echoes - asked);
    clients.echo(large, 8 << 20)?;
    // The others are as they were.
    let after_8_mib = after_16_kib.plus(memory(&mut server)?.since(before, large));
    let mut samples = Vec::new();
    for (state, memory) in [(IDLE, idle), (AFTER_16_KIB, after_16_kib), (AFTER_8_MIB, after_8_mib)] {
        samples.extend(memory.samples(state));
    }
    samples.push((ALLOCATIONS.into(), allocations / ECHOES as f64));
    Ok(samples)
}

fn compressed(name: &'static str, connections: usize) -> Result<Vec<Sample>> {
    let mut server = Server::named(name, &["--compress"])?;
    let mut clients = Clients::new(server.port, false, true);
    clients.open(1)?;
    let takes = clients.echo(1, 1 << 10);
    clients.close();
    let start = if takes.is_ok() { warm(&mut server, &mut clients)? } else { memory(&mut server)? };
    clients.open(connections)?;
    let mut samples = memory(&mut server)?.since(start, connections).samples(COMPRESSION_IDLE).to_vec();
    match takes {
        Ok(()) => {
            clients.echo(connections, 1 << 10)?;
            samples.extend(memory(&mut server)?.since(start, connections).samples(COMPRESSION_AFTER));
        }
        Err(error) => println!("{name} does not take a compressed message: {error}\n"),
    }
    Ok(samples)
}

/// What a server has when it was used, and nobody is there.
fn warm(server: &mut Server, clients: &mut Clients) -> Result<Memory> {
    clients.open(WARM_UP)?;
    clients.echo(WARM_UP, 1 << 10)?;
    clients.close();
    while server.usage()?.get("connections") > 0.0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    memory(server)
}

#[derive(Clone, Copy)]
struct Memory {
    pages: f64,
    heap: f64,
}

/// What the server has after it gave back what is free.
fn memory(server: &mut Server) -> Result<Memory> {
    server.trim()?;
    let usage = server.usage()?;
    Ok(Memory { pages: usage.get("anonymous_bytes"), heap: usage.get("heap_bytes") })
}

impl Memory {
    fn since(self, earlier: Self, connections: usize) -> Self {
        let each = |now: f64, earlier: f64| (now - earlier) / connections.max(1) as f64;
        Self { pages: each(self.pages, earlier.pages), heap: each(self.heap, earlier.heap) }
    }

    fn plus(self, other: Self) -> Self {
        Self { pages: self.pages + other.pages, heap: self.heap + other.heap }
    }

    fn samples(self, state: &str) -> [Sample; 2] {
        [(name(state, PAGES), self.pages), (name(state, HEAP), self.heap)]
    }
}
