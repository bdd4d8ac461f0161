//! Receiving and sending in memory: sockeye beside other crates, on the same work and in one run.
//!
//! Each works over the same stream, which never waits: a read copies up to 64 KiB of frames from memory, as one from a
//! socket would, and a write copies to memory. Each crate is set up as its documentation recommends, and draws masking
//! keys from a strong generator. Text is validated by all of them, which is checked, as is every payload.
//!
//! Where buffers come to lie is the same for a whole run: from run to run, large messages can differ by a fifth, which
//! the quartiles do not show.

mod harness;
mod peers;
mod table;
mod wire;
mod work;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use harness::Effort;

/// What may have gone wrong.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

const USAGE: &str = "usage: in_memory [--quick] [--rounds NUMBER] [--only PART_OF_A_NAME] [--json FILE]";

struct Arguments {
    effort: Effort,
    only: String,
    json: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let effort = Effort { rounds: 15, slice: Duration::from_millis(10) };
    let mut arguments = Arguments { effort, only: String::new(), json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => arguments.effort = Effort { rounds: 1, slice: Duration::from_millis(1) },
            "--rounds" => arguments.effort.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--only" => arguments.only = value()?,
            "--json" => arguments.json = Some(value()?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.effort.rounds == 0 {
        return Err("--rounds needs at least 1".into());
    }
    Ok(arguments)
}

fn run() -> Outcome {
    let arguments = arguments()?;
    // Some make timers, which look for a runtime; nothing ever waits for one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    table::head();
    let mut rows = Vec::new();
    for work in work::all().iter().filter(|work| work.name.contains(&arguments.only)) {
        let row = harness::measure(work, peers::entrants(work), arguments.effort)?;
        table::line(&row);
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(format!("no work's name has {:?} in it", arguments.only).into());
    }
    table::own(&rows);
    if let Some(file) = arguments.json {
        fs::write(&file, table::json(&rows)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("in_memory: {error}");
            ExitCode::FAILURE
        }
    }
}
