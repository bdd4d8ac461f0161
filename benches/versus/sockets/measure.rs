//! The measurement: all servers take turns, so that what disturbs the machine disturbs them alike.

use std::time::Duration;

use versus::child::Server;
use versus::figures::{Kind, Quartiles};

use crate::Result;
use crate::cores::Cores;
use crate::histogram::Histogram;
use crate::load::{Care, Load, takes_invalid_text};
use crate::work::Work;

#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// How long each server is loaded before it is measured.
    pub warm_up: Duration,
    /// How long each server is measured in a round.
    pub slice: Duration,
}

#[derive(Clone)]
pub struct Contender {
    pub name: String,
    pub kind: Kind,
    /// Where it is none of ours.
    pub command: Option<String>,
}

pub struct Row {
    pub work: String,
    pub figures: Vec<Figure>,
}

/// What one server has done.
pub struct Figure {
    pub contender: Contender,
    /// Nanoseconds of CPU time per message, in the program and in the kernel.
    pub cpu: Quartiles,
    /// The same in the program alone.
    pub user: Quartiles,
    pub messages_per_second: Quartiles,
    /// How much of the time it was at work.
    pub busy: Quartiles,
    /// Nanoseconds from sending a message to having its reply, in all rounds.
    pub latencies: Histogram,
}

impl Row {
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.contender.name == name)
    }

    /// The peer with the lowest median of CPU time.
    pub fn best_peer(&self) -> Option<&Figure> {
        let peers = self.figures.iter().filter(|figure| figure.contender.kind == Kind::Peer);
        peers.min_by(|one, other| one.cpu.median.total_cmp(&other.cpu.median))
    }
}

pub fn measure(work: &Work, contenders: &[Contender], effort: Effort, cores: &Cores) -> Result<Row> {
    let mut tested = Vec::new();
    for contender in contenders {
        let opened = Tested::open(work, contender, cores);
        tested.push(opened.map_err(|error| format!("{}: {}: {error}", work.name, contender.name))?);
    }
    for round in 0..effort.rounds {
        // Nobody always runs behind the same one.
        for turn in 0..tested.len() {
            let index = (round + turn) % tested.len();
            let outcome = tested[index].slice(round == 0, effort);
            outcome.map_err(|error| format!("{}: {}: {error}", work.name, contenders[index].name))?;
        }
    }
    let figures = contenders.iter().zip(tested).map(|(contender, tested)| tested.figure(contender)).collect();
    Ok(Row { work: work.name.clone(), figures })
}

/// A server that runs, and its load.
struct Tested<'a> {
    load: Load<'a>,
    server: Server,
    samples: Vec<Sample>,
    latencies: Histogram,
}

struct Sample {
    cpu: f64,
    user: f64,
    messages_per_second: f64,
    busy: f64,
}

impl<'a> Tested<'a> {
    fn open(work: &'a Work, contender: &Contender, cores: &Cores) -> Result<Self> {
        cores.start_servers()?;
        let server = match &contender.command {
            None => Server::named(&contender.name, &[]),
            Some(command) => Server::foreign(command),
        };
        cores.load()?;
        let server = server?;
        let raw = contender.kind == Kind::Floor;
        if !raw && takes_invalid_text(server.port)? {
            return Err("text is not validated".into());
        }
        let load = Load::open(work, server.port, raw)?;
        Ok(Self { load, server, samples: Vec::new(), latencies: Histogram::new() })
    }

    fn slice(&mut self, first: bool, effort: Effort) -> Result<()> {
        let care = if first { Care::EveryByte } else { Care::Lengths };
        self.load.run(effort.warm_up, care, &mut Histogram::new())?;
        let before = self.server.usage()?;
        let ran = self.load.run(effort.slice, Care::Lengths, &mut self.latencies)?;
        let after = self.server.usage()?;
        let (messages, elapsed) = (ran.messages as f64, ran.elapsed.as_secs_f64());
        let cpu = after.cpu_ns() - before.cpu_ns();
        self.samples.push(Sample {
            cpu: cpu / messages,
            user: (after.get("user_ns") - before.get("user_ns")) / messages,
            messages_per_second: messages / elapsed,
            busy: cpu / 1e9 / elapsed,
        });
        Ok(())
    }

    fn figure(self, contender: &Contender) -> Figure {
        let quartiles = |of: fn(&Sample) -> f64| Quartiles::of(self.samples.iter().map(of).collect());
        Figure {
            contender: contender.clone(),
            cpu: quartiles(|sample| sample.cpu),
            user: quartiles(|sample| sample.user),
            messages_per_second: quartiles(|sample| sample.messages_per_second),
            busy: quartiles(|sample| sample.busy),
            latencies: self.latencies,
        }
    }
}
