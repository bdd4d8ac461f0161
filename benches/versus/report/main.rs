//! Everything that was measured, in one file for people, one for programs and one chart.
//!
//! `report FROM TO` reads in one directory what the parts have written as `PART.json`, and the lines about the machine
//! from `machine.md`; in the other it writes `results.md`, `results.json` and `chart.svg`.

mod chart;
mod tables;

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value};
use versus::own;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A table of the report.
struct Section {
    title: &'static str,
    part: &'static str,
    /// Whose columns it has.
    has: fn(&str) -> bool,
}

/// In the order of the report.
const SECTIONS: [Section; 6] = [
    Section {
        title: "Receiving and sending in memory, nanoseconds per message",
        part: "in_memory",
        has: |name| !own::is_variant(name),
    },
    Section {
        title: "The same over each driver of this crate, with lent and with owned messages",
        part: "in_memory",
        has: |name| own::ALL.contains(&name),
    },
    Section {
        title: "Echo over loopback, nanoseconds of the server's CPU time per message",
        part: "sockets",
        has: |_| true,
    },
    Section { title: "Sending to many, and to the slow", part: "fan_out", has: |_| true },
    Section { title: "Memory of a connection, bytes", part: "memory", has: |_| true },
    Section { title: "Very many connections", part: "scale", has: |_| true },
];

fn run() -> Result<()> {
    let [from, to] = &std::env::args().skip(1).map(PathBuf::from).collect::<Vec<_>>()[..] else {
        return Err("usage: report FROM TO".into());
    };
    let mut results = Map::new();
    let mut text = String::from("# Results\n\n");
    text += &fs::read_to_string(from.join("machine.md")).map_err(|error| format!("machine.md: {error}"))?;
    text += "\n![CPU time and memory beside other crates](chart.svg)\n";
    for Section { title, part, has } in SECTIONS {
        text += &format!("\n## {title}\n\n");
        match read(&from.join(part).with_extension("json"))? {
            Some(rows) => {
                text += &tables::table(&rows, has);
                results.insert(part.into(), rows.into());
            }
            None => text += "Not measured.\n",
        }
    }
    let results = Value::Object(results);
    fs::create_dir_all(to)?;
    write(to, "results.md", &text)?;
    write(to, "results.json", &format!("{results}\n"))?;
    write(to, "chart.svg", &chart::draw(&results)?)
}

/// The rows of a part, if there are any.
fn read(file: &Path) -> Result<Option<Map<String, Value>>> {
    match fs::read_to_string(file) {
        Ok(json) => Ok(Some(serde_json::from_str(&json).map_err(|error| format!("{}: {error}", file.display()))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display()).into()),
    }
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    Ok(fs::write(directory.join(name), text).map_err(|error| format!("{name}: {error}"))?)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}
