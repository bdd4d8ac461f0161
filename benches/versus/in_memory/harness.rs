//! The measurement: all entrants take turns, so that what disturbs the machine disturbs them alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use versus::figures::{Kind, Quartiles};

use crate::Outcome;
use crate::work::Work;

#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// How long each entrant runs in a round.
    pub slice: Duration,
}

/// Somebody who does a work.
pub trait Contender {
    /// Does it once.
    fn pass(&mut self) -> Outcome;

    /// Does it once and checks every payload.
    fn check(&mut self, work: &Work) -> Outcome;
}

pub struct Entrant {
    pub name: &'static str,
    pub kind: Kind,
    pub contender: Box<dyn Contender>,
}

/// Nanoseconds per message.
pub struct Figure {
    pub name: &'static str,
    pub kind: Kind,
    pub quartiles: Quartiles,
}

impl Figure {
    pub fn median(&self) -> f64 {
        self.quartiles.median
    }
}

pub struct Row {
    pub work: String,
    pub figures: Vec<Figure>,
}

impl Row {
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// The peer with the lowest median.
    pub fn best_peer(&self) -> Option<&Figure> {
        let peers = self.figures.iter().filter(|figure| figure.kind == Kind::Peer);
        peers.min_by(|one, other| one.median().total_cmp(&other.median()))
    }
}

pub fn measure(work: &Work, mut entrants: Vec<Entrant>, effort: Effort) -> Result<Row, Box<dyn std::error::Error>> {
    for entrant in &mut entrants {
        let outcome = entrant.contender.check(work);
        outcome.map_err(|error| format!("{}: {}: {error}", work.name, entrant.name))?;
    }
    let mut samples = vec![Vec::with_capacity(effort.rounds); entrants.len()];
    for round in 0..effort.rounds {
        // Nobody always runs behind the same one.
        for turn in 0..entrants.len() {
            let index = (round + turn) % entrants.len();
            let per_pass = slice(&mut *entrants[index].contender, effort.slice)?;
            samples[index].push(per_pass / work.count as f64);
        }
    }
    let figures = entrants.iter().zip(samples).map(|(entrant, samples)| figure(entrant, samples)).collect();
    Ok(Row { work: work.name.clone(), figures })
}

/// Nanoseconds per pass.
fn slice(contender: &mut dyn Contender, length: Duration) -> Result<f64, Box<dyn std::error::Error>> {
    contender.pass()?; // the caches still belong to the one before
    let start = Instant::now();
    for passes in 1_u32.. {
        black_box(&mut *contender).pass()?;
        let elapsed = start.elapsed();
        if elapsed >= length {
            return Ok(elapsed.as_nanos() as f64 / f64::from(passes));
        }
    }
    unreachable!("no slice is that long")
}

fn figure(entrant: &Entrant, samples: Vec<f64>) -> Figure {
    Figure { name: entrant.name, kind: entrant.kind, quartiles: Quartiles::of(samples) }
}
