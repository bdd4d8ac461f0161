//! What was measured, for people and for programs.

use versus::figures::{Quartiles, ratio};

use crate::harness::{Figure, Row};
use crate::peers::{COLUMNS, CORE, DRIVER};

/// Prints the table's head.
pub fn head() {
    println!("Nanoseconds per message: the median of the rounds, and their quartiles. The ratios are to the best of");
    println!("the other crates: below 1, sockeye is faster.\n");
    println!("| work | {} | {CORE} ÷ best | {DRIVER} ÷ best | best |", COLUMNS.join(" | "));
    println!("|---|{}", "--:|".repeat(COLUMNS.len() + 2) + "---|");
}

/// Prints a work's line.
pub fn line(row: &Row) {
    let cells = COLUMNS.map(|name| row.figure(name).map_or("–".into(), |figure| figure.quartiles.cell()));
    let best = row.best_peer();
    let to_best = |name| ratio(row.figure(name).map(Figure::median), best.map(Figure::median));
    let name = best.map_or("–", |best| best.name);
    println!("| {} | {} | {} | {} | {name} |", row.work, cells.join(" | "), to_best(CORE), to_best(DRIVER));
}

/// All rows. No name has a character that JSON escapes.
pub fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| format!("  \"{}\": {{\n{}\n  }}", row.work, figures(row))).collect();
    format!("{{\n{}\n}}\n", rows.join(",\n"))
}

fn figures(row: &Row) -> String {
    let line = |Figure { name, quartiles: Quartiles { median, p25, p75 }, .. }: &Figure| {
        format!("    \"{name}\": {{\"median\": {median:.3}, \"p25\": {p25:.3}, \"p75\": {p75:.3}}}")
    };
    row.figures.iter().map(line).collect::<Vec<_>>().join(",\n")
}
