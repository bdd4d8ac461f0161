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

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// In the order of the report, with their titles.
const PARTS: [(&str, &str); 4] = [
    ("in_memory", "Receiving and sending in memory, nanoseconds per message"),
    ("sockets", "Echo over loopback, nanoseconds of the server's CPU time per message"),
    ("fan_out", "Sending to many, and to the slow"),
    ("memory", "Memory of a connection, bytes"),
];

fn run() -> Result<()> {
    let [from, to] = &std::env::args().skip(1).map(PathBuf::from).collect::<Vec<_>>()[..] else {
        return Err("usage: report FROM TO".into());
    };
    let mut results = Map::new();
    let mut text = String::from("# Results\n\n");
    text += &fs::read_to_string(from.join("machine.md")).map_err(|error| format!("machine.md: {error}"))?;
    text += "\n![CPU time and memory beside other crates](chart.svg)\n";
    for (part, title) in PARTS {
        text += &format!("\n## {title}\n\n");
        match read(&from.join(part).with_extension("json"))? {
            Some(rows) => {
                text += &tables::table(&rows);
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
