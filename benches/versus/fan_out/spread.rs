//! One text to many receivers: what a delivery costs.

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::counting::{self, Counters};
use crate::figures::{self, Figure, Row};
use crate::machine::Cpu;
use crate::receivers::Drain;
use crate::speakers::{self, Entrant, Memory, Source};
use crate::texts::{self, Work};
use crate::{Effort, Selection};

/// In memory, where a spread is short, it is done again for so long.
const SLICE: Duration = Duration::from_millis(10);

/// Appends to `rows` what each delivery costs.
pub fn measure(runtime: &Rc<Runtime>, effort: &Effort, only: &Selection, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    println!("Nanoseconds of CPU time per delivery of one text to {} receivers: the median of the rounds, and their", effort.receivers);
    println!("quartiles. The user lines are the part outside of the kernel, over all rounds.\n");
    figures::head("text", &speakers::columns());
    for work in texts::works() {
        let name = format!("in memory, {}", work.name);
        if only.has(&name) {
            rounds(&mut Memory, runtime, &name, &work, effort, rows)?;
        }
        let name = format!("over TCP, {}", work.name);
        if only.has(&name) {
            rounds(&mut Drain::start()?, runtime, &name, &work, effort, rows)?;
        }
    }
    println!("\nAllocations per delivery, in memory; the preparation of the text is among them.\n");
    figures::head("text", &speakers::columns());
    for work in texts::works() {
        let name = format!("allocations, {}", work.name);
        if only.has(&name) {
            allocations(runtime, name, &work, effort, rows)?;
        }
    }
    println!();
    Ok(())
}

/// All take turns, so that what disturbs the machine disturbs them alike.
fn rounds<F: Source>(
    source: &mut F,
    runtime: &Rc<Runtime>,
    name: &str,
    work: &Work,
    effort: &Effort,
    rows: &mut Vec<Row>,
) -> Result<(), Box<dyn Error>> {
    let mut entrants = speakers::entrants(source, runtime, work, effort.receivers)?;
    let mut samples = vec![Vec::new(); entrants.len()];
    let mut sums = vec![(Cpu::default(), 0); entrants.len()];
    for round in 0..=effort.rounds {
        for turn in 0..entrants.len() {
            let index = (round + turn) % entrants.len();
            let (cpu, spreads) = slice(&mut entrants[index], source, effort)?;
            // In the first round, everything is touched for the first time.
            if round > 0 {
                samples[index].push(per_delivery(cpu.total, spreads, effort));
                sums[index].0 += cpu;
                sums[index].1 += spreads;
            }
        }
    }
    let names = || entrants.iter().map(|entrant| entrant.speaker.name());
    let figures = names().zip(samples.into_iter().map(Figure::of)).collect();
    push(Row { name: name.into(), figures }, rows);
    if source.is_kernel() {
        let user = sums.into_iter().map(|(cpu, spreads)| Figure::exact(per_delivery(cpu.user, spreads, effort)));
        push(Row { name: format!("{name}, user"), figures: names().zip(user).collect() }, rows);
    }
    Ok(())
}

fn per_delivery(time: Duration, spreads: usize, effort: &Effort) -> f64 {
    time.as_nanos() as f64 / (spreads * effort.receivers) as f64
}

fn push(row: Row, rows: &mut Vec<Row>) {
    figures::line(&row, &speakers::columns());
    rows.push(row);
}

/// The CPU time of some spreads, and their number.
fn slice<F: Source>(entrant: &mut Entrant, source: &F, effort: &Effort) -> Result<(Cpu, usize), Box<dyn Error>> {
    let bytes = entrant.frame_len * effort.receivers as u64;
    let before = Cpu::of_thread()?;
    for spreads in 1.. {
        let arrived = || source.arrived();
        entrant.speaker.spread(&arrived, source.arrived() + bytes)?;
        let cpu = Cpu::of_thread()? - before;
        if source.is_kernel() || cpu.total >= SLICE {
            return Ok((cpu, spreads));
        }
    }
    unreachable!("no slice is that long")
}

fn allocations(
    runtime: &Rc<Runtime>,
    name: String,
    work: &Work,
    effort: &Effort,
    rows: &mut Vec<Row>,
) -> Result<(), Box<dyn Error>> {
    let mut figures = Vec::new();
    for mut entrant in speakers::entrants(&mut Memory, runtime, work, effort.receivers)? {
        slice(&mut entrant, &Memory, effort)?;
        let Counters { allocations: before, .. } = counting::counters();
        entrant.speaker.prepare(work);
        entrant.speaker.spread(&|| 0, 0)?;
        let allocations = counting::counters().allocations - before;
        figures.push((entrant.speaker.name(), Figure::exact(allocations as f64 / effort.receivers as f64)));
    }
    push(Row { name, figures }, rows);
    Ok(())
}
