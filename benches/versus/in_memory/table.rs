//! What was measured, for people and for programs.

use versus::figures::{Quartiles, ratio};
use versus::own;

use crate::harness::{Figure, Row};
use crate::peers::COLUMNS;

/// Prints the first table's head.
pub fn head() {
    println!("Nanoseconds per message: the median of the rounds, and their quartiles. The ratios are to the best of");
    println!("the other crates: below 1, sockeye is faster. It lends messages here; those that tungstenite,");
    println!(
        "fastwebsockets, tokio-websockets and sockudo-ws receive are owned, and soketto fills a buffer of its user's."
    );
    println!("What is sent is binary: nobody looks at a text that is sent, whose type says that it is one.\n");
    let ratios = [own::CORE, own::TOKIO].map(|[name, _]| format!("{name} ÷ best"));
    println!("| work | {} | {} | best |", COLUMNS.join(" | "), ratios.join(" | "));
    println!("|---|{}", "--:|".repeat(COLUMNS.len() + 2) + "---|");
}

/// Prints a work's line of the first table.
pub fn line(row: &Row) {
    let best = row.best_peer().map_or("–", |best| best.name);
    println!("| {} | {} | {} | {best} |", row.work, cells(row, &COLUMNS), to_best(row, [own::CORE[0], own::TOKIO[0]]));
}

/// Prints the second table: this crate alone, over each driver, with lent messages and with owned ones.
pub fn own(rows: &[Row]) {
    println!(
        "\nThe same over each driver of sockeye, in the same rounds. Owned messages are received with `into_owned`,"
    );
    println!("by `Stream` or by `Iterator`, and sent as `Bytes`, by `Sink` where there is one.\n");
    let ratios = [own::CORE, own::TOKIO].map(|[_, name]| format!("{name} ÷ best"));
    println!("| work | {} | {} |", own::ALL.join(" | "), ratios.join(" | "));
    println!("|---|{}", "--:|".repeat(own::ALL.len() + ratios.len()));
    for row in rows {
        println!("| {} | {} | {} |", row.work, cells(row, &own::ALL), to_best(row, [own::CORE[1], own::TOKIO[1]]));
    }
}

fn cells(row: &Row, columns: &[&str]) -> String {
    let cell = |name: &&str| row.figure(name).map_or("–".into(), |figure| figure.quartiles.cell());
    columns.iter().map(cell).collect::<Vec<_>>().join(" | ")
}

/// How long they take, to the best of the other crates.
fn to_best(row: &Row, names: [&str; 2]) -> String {
    let best = row.best_peer().map(Figure::median);
    names.map(|name| ratio(row.figure(name).map(Figure::median), best)).join(" | ")
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
