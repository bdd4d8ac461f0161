//! Sending to many: sockeye beside other crates, on the same work and in one run.
//!
//! One text goes to thousands of receivers, in memory and over sockets of the loopback interface, by the least that each
//! crate's documentation asks for: a message whose payload is shared is sent to one receiver after the other. With the
//! other crates a receiver that does not read then holds all others up, and their documentation has a channel and a task
//! for each; sockeye keeps what the kernel refuses, and goes on. Sockets are written to on the first core, and drained on
//! the second.
//!
//! What a large message costs that a slow receiver takes bit by bit is measured as well, for three sizes: if twice the
//! size takes four times as long, what waits is moved each time that some of it leaves.
//!
//! Last comes what a server spends on a connection that is opened, upgraded and closed.

mod bulk;
mod handshakes;
mod peers;
mod receivers;
mod sink;
mod speakers;
mod spread;
mod texts;

#[path = "../../../tests/support/counting.rs"]
mod counting;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What may have gone wrong.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

const USAGE: &str =
    "usage: fan_out [--quick] [--rounds NUMBER] [--receivers NUMBER] [--only PART_OF_A_NAME] [--json FILE]";

/// How often somebody looks whether it is time to go on.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Descriptors for other things than receivers.
const SPARE: usize = 100;

pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) receivers: usize,
    /// The large messages, in bytes.
    pub(crate) sizes: [usize; 3],
    /// How many connections are opened in a round.
    pub(crate) handshakes: usize,
}

/// Which lines are wanted.
pub(crate) struct Selection(String);

impl Selection {
    pub(crate) fn has(&self, name: &str) -> bool {
        name.contains(&self.0)
    }
}

struct Arguments {
    effort: Effort,
    only: Selection,
    json: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let effort = Effort { rounds: 9, receivers: 10_000, sizes: [12 << 20, 24 << 20, 48 << 20], handshakes: 2000 };
    let mut arguments = Arguments { effort, only: Selection(String::new()), json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        let effort = &mut arguments.effort;
        match argument.as_str() {
            "--quick" => {
                *effort = Effort { rounds: 1, receivers: 100, sizes: [1 << 20, 2 << 20, 4 << 20], handshakes: 100 }
            }
            "--rounds" => effort.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--receivers" => effort.receivers = value()?.parse().map_err(|_| "--receivers needs a number")?,
            "--only" => arguments.only = Selection(value()?),
            "--json" => arguments.json = Some(value()?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.effort.rounds == 0 || arguments.effort.receivers == 0 {
        return Err("--rounds and --receivers need at least 1".into());
    }
    Ok(arguments)
}

fn run() -> Outcome {
    if let [_, first, address] = &std::env::args().collect::<Vec<_>>()[..]
        && first == receivers::ARGUMENT
    {
        return receivers::be(address);
    }
    let Arguments { effort, only, json } = arguments()?;
    let most = versus::machine::most_descriptors()?;
    if effort.receivers + SPARE > most {
        return Err(
            format!("{} receivers need more than the {most} descriptors that are allowed", effort.receivers).into()
        );
    }
    versus::machine::pin(0)?;
    // A large block that grows is remapped by the allocator, and not copied.
    counting::count_growth_in_place();
    let mut rows = Vec::new();
    spread::measure(&effort, &only, &mut rows)?;
    bulk::measure(&effort, &only, &mut rows)?;
    handshakes::measure(&effort, &only, &mut rows)?;
    if rows.is_empty() {
        return Err("no line has such a name".into());
    }
    if let Some(file) = json {
        fs::write(&file, versus::rows::json(&rows)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fan_out: {error}");
            ExitCode::FAILURE
        }
    }
}
