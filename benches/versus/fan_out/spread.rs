//! One text to many receivers: what a delivery costs.
//!
//! This crate frames and compresses a prepared text once. For each receiver it copies a frame of up to 4 KiB into a buffer
//! of the thread's, and refers to a larger one; that nothing is allocated or compressed anew is what the allocations tell.

use std::error::Error;
use std::time::Duration;

use versus::figures::Quartiles;
use versus::machine::Cpu;
use versus::rows::{self, Row, exact};

use crate::counting;
use crate::receivers::Receivers;
use crate::speakers::{self, COLUMNS, Entrant, Memory, Source};
use crate::texts::{self, Work};
use crate::{Effort, Selection};

/// In memory, where a spread is short, it is done again for so long.
const SLICE: Duration = Duration::from_millis(10);

/// An entrant has this many blocks of rounds: the receivers of all at once would be too many descriptors.
const BLOCKS: usize = 3;

/// Appends to `rows` what each delivery costs.
pub fn measure(effort: &Effort, only: &Selection, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    let named = |place| texts::works().into_iter().map(move |work| (format!("{place}, {}", work.name), work));
    let wanted = |place| named(place).filter(|(name, _)| only.has(name)).collect::<Vec<_>>();
    let (in_memory, over_tcp) = (wanted("in memory"), wanted("over TCP"));
    if in_memory.len() + over_tcp.len() == 0 {
        return Ok(());
    }
    println!("Nanoseconds of CPU time per delivery of one text to {} receivers, its preparation", effort.receivers);
    println!("included: the median of the rounds, and their quartiles.\n");
    rows::head("text", &COLUMNS);
    let mut others = Vec::new();
    for (name, work) in in_memory {
        rounds(&mut Memory::default(), &name, &work, effort, rows, &mut others)?;
    }
    for (name, work) in over_tcp {
        rounds(&mut Receivers::start()?, &name, &work, effort, rows, &mut others)?;
    }
    println!(
        "\nOf that over TCP, what was used outside of the kernel, over all rounds; and allocations per delivery.\n"
    );
    rows::head("text", &COLUMNS);
    others.iter().for_each(|row| rows::line(row, &COLUMNS));
    rows.extend(others);
    println!();
    Ok(())
}

/// A block of rounds for each entrant, and again, so that what disturbs the machine disturbs them alike.
fn rounds<F: Source>(
    source: &mut F,
    name: &str,
    work: &Work,
    effort: &Effort,
    rows: &mut Vec<Row>,
    others: &mut Vec<Row>,
) -> Result<(), Box<dyn Error>> {
    let mut all = COLUMNS.map(|_| Samples::default());
    for block in 0..BLOCKS.min(effort.rounds) {
        let rounds = (block..effort.rounds).step_by(BLOCKS).count();
        for (name, samples) in COLUMNS.iter().zip(&mut all) {
            let entrant = speakers::entrant(name, source, work, effort.receivers)?;
            let Some(mut entrant) = entrant else { continue };
            slice(&mut entrant, source, work, effort)?; // everything is touched for the first time
            for _ in 0..rounds {
                let before = counting::counters().allocations;
                let (cpu, spreads) = slice(&mut entrant, source, work, effort)?;
                samples.take(cpu, counting::counters().allocations - before, spreads * effort.receivers);
            }
        }
    }
    let row = |name: String, figure: fn(&Samples) -> Quartiles| {
        let all = COLUMNS.iter().zip(&all).filter(|(_, samples)| samples.deliveries > 0);
        Row { name, figures: all.map(|(of, samples)| (*of, figure(samples))).collect() }
    };
    let cpu = row(name.into(), |samples| Quartiles::of(samples.each.clone()));
    rows::line(&cpu, &COLUMNS);
    rows.push(cpu);
    if source.is_kernel() {
        others.push(row(format!("{name}, user"), |samples| samples.per_delivery(samples.sum.user.as_nanos())));
    }
    others.push(row(format!("{name}, allocations"), |samples| samples.per_delivery(samples.allocations as u128)));
    Ok(())
}

#[derive(Default)]
struct Samples {
    /// Nanoseconds per delivery.
    each: Vec<f64>,
    sum: Cpu,
    allocations: usize,
    deliveries: usize,
}

impl Samples {
    fn take(&mut self, cpu: Cpu, allocations: usize, deliveries: usize) {
        self.each.push(cpu.total.as_nanos() as f64 / deliveries as f64);
        self.sum += cpu;
        self.allocations += allocations;
        self.deliveries += deliveries;
    }

    fn per_delivery(&self, sum: u128) -> Quartiles {
        exact(sum as f64 / self.deliveries as f64)
    }
}

/// The CPU time of some spreads, and their number.
fn slice<F: Source>(
    entrant: &mut Entrant,
    source: &mut F,
    work: &Work,
    effort: &Effort,
) -> Result<(Cpu, usize), Box<dyn Error>> {
    let bytes = entrant.frame_len * effort.receivers as u64;
    let before = Cpu::of_thread()?;
    for spreads in 1.. {
        source.expect(bytes)?;
        entrant.speaker.spread(work, &mut || source.have_come())?;
        let cpu = Cpu::of_thread()? - before;
        if source.is_kernel() || cpu.total >= SLICE {
            return Ok((cpu, spreads));
        }
    }
    unreachable!("no slice is that long")
}
