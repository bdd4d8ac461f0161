//! Echo over loopback: servers over this crate beside servers over others, and beside servers that know no protocol.
//!
//! All servers of a work run at once, each a process on the first core; one at a time is loaded, from the second core.
//! What counts is the CPU time that a server takes for a message, which it tells itself. How many messages it sends back
//! in a second is as much a matter of the load, which for small messages costs as much as the answers.
//!
//! A floor reads up to 64 KiB at once. Who knows how much of a message is still to come can read more, and be below it.

mod cores;
mod histogram;
mod load;
mod measure;
mod table;
mod work;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use measure::{Contender, Effort};
use versus::figures::Kind;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: sockets [--quick] [--rounds NUMBER] [--only PART_OF_A_NAME] [--servers NAME,NAME...] \
    [--also NAME=COMMAND] [--json FILE]";

/// In the order of the table.
const CONTENDERS: [(&str, Kind); 13] = [
    ("raw-tokio", Kind::Floor),
    ("raw-epoll", Kind::Floor),
    ("sockeye", Kind::Own),
    ("sockeye-epoll", Kind::Own),
    ("tokio-tungstenite", Kind::Peer),
    ("tokio-tungstenite-lean", Kind::Peer),
    ("fastwebsockets", Kind::Peer),
    ("soketto", Kind::Peer),
    ("tokio-websockets", Kind::Peer),
    ("sockudo-ws", Kind::Peer),
    ("yawc", Kind::Peer),
    ("yawc-tuned", Kind::Peer),
    ("wtx", Kind::Peer),
];

struct Arguments {
    effort: Effort,
    only: String,
    contenders: Vec<Contender>,
    json: Option<PathBuf>,
}

fn arguments() -> Result<Arguments> {
    let effort = Effort { rounds: 9, warm_up: Duration::from_millis(40), slice: Duration::from_millis(250) };
    let contenders = CONTENDERS.map(|(name, kind)| Contender { name: name.into(), kind, command: None }).into();
    let mut arguments = Arguments { effort, only: String::new(), contenders, json: None };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => {
                let [warm_up, slice] = [2, 10].map(Duration::from_millis);
                arguments.effort = Effort { rounds: 1, warm_up, slice };
            }
            "--rounds" => arguments.effort.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--only" => arguments.only = value()?,
            "--servers" => {
                let chosen = value()?;
                arguments.contenders.retain(|contender| chosen.split(',').any(|name| contender.name == name));
            }
            "--also" => arguments.contenders.push(also(&value()?)?),
            "--json" => arguments.json = Some(value()?.into()),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.effort.rounds == 0 || arguments.contenders.is_empty() {
        return Err("there is nothing to be done".into());
    }
    Ok(arguments)
}

/// A server that is no part of this, and behaves as `server` does: it prints its port, and answers `usage`.
fn also(argument: &str) -> Result<Contender> {
    let (name, command) = argument.split_once('=').ok_or("--also needs NAME=COMMAND")?;
    Ok(Contender { name: name.into(), kind: Kind::Foreign, command: Some(command.into()) })
}

fn run() -> Result<()> {
    let Arguments { effort, only, contenders, json } = arguments()?;
    let cores = cores::Cores::of_this_process()?;
    let mut rows = Vec::new();
    table::head(&contenders);
    for work in work::all().iter().filter(|work| work.name.contains(&only)) {
        let row = measure::measure(work, &contenders, effort, &cores)?;
        table::line(&row);
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(format!("no work's name has {only:?} in it").into());
    }
    table::rest(&rows);
    if let Some(file) = json {
        fs::write(&file, table::json(&rows)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockets: {error}");
            ExitCode::FAILURE
        }
    }
}
