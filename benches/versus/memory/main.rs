//! The memory of a connection: servers over sockeye beside servers over other crates, and beside a bare task or socket.
//!
//! Each server, in a process of its own, gets thousands of connections. Their number divides what the process has grown
//! by, after free memory was given back to the system, so that a connection's share of the allocator's and the runtime's
//! tables is in it; the kernel's memory for its socket is not. Pages are what the process has of its own, with all that
//! the allocator keeps; the heap is what was asked of it.

mod clients;
mod measure;
mod verdict;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use versus::machine::most_descriptors;
use versus::rows;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str =
    "usage: memory [--quick] [--rounds NUMBER] [--connections NUMBER] [--only PART_OF_A_NAME] [--json FILE]";

/// Descriptors for other things than connections.
const SPARE: usize = 100;

struct Arguments {
    rounds: usize,
    connections: usize,
    /// How many of them echo a large message.
    large: usize,
    only: String,
    json: Option<PathBuf>,
}

fn arguments() -> Result<Arguments> {
    // From round to round, it is the same but for some pages.
    let mut arguments = Arguments { rounds: 1, connections: 10_000, large: 500, only: String::new(), json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => {
                arguments = Arguments { rounds: 1, connections: 500, large: 5, ..arguments };
            }
            "--rounds" => arguments.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--connections" => {
                arguments.connections = value()?.parse().map_err(|_| "--connections needs a number")?;
                arguments.large = arguments.connections.div_ceil(20);
            }
            "--only" => arguments.only = value()?,
            "--json" => arguments.json = Some(value()?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.rounds == 0 || arguments.connections == 0 {
        return Err("--rounds and --connections need at least 1".into());
    }
    Ok(arguments)
}

fn run() -> Result<()> {
    let Arguments { rounds, connections, large, only, json } = arguments()?;
    let most = most_descriptors()?;
    if connections + SPARE > most {
        return Err(format!("{connections} connections need more than the {most} descriptors that are allowed").into());
    }
    let rows = measure::all(rounds, connections, large, &only)?;
    verdict::print(&rows);
    if let Some(file) = json {
        fs::write(&file, rows::json(&rows)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}
