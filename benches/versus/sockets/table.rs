//! What was measured, for people and for programs.

use serde_json::{Map, Value, json};
use versus::figures::{Kind, Quartiles, number, ratio};

use crate::measure::{Contender, Figure, Row};

/// Whose CPU time is shown as a ratio to whose.
const RATIOS: [(&str, &str); 2] = [("sockeye", "raw-tokio"), ("sockeye-epoll", "raw-epoll")];

/// Prints the head of the first table.
pub fn head(contenders: &[Contender]) {
    println!("CPU time of the server in nanoseconds per message, in the program and in the kernel: the median of the");
    println!("rounds, and their quartiles. `best` is the best of the other Rust crates. 1 MiB is not sent over 512");
    println!("connections, nor 16 at once over 64: that would keep gigabytes in flight.\n");
    let names = contenders.iter().map(|contender| contender.name.clone());
    let ratios = RATIOS.iter().map(|(own, floor)| format!("{own} ÷ {floor}"));
    let foreign = foreign(contenders).map(|name| format!("sockeye-epoll ÷ {name}"));
    let columns: Vec<_> = names.chain(["sockeye ÷ best".into()]).chain(ratios).chain(foreign).collect();
    println!("| work | {} | best |", columns.join(" | "));
    println!("|---|{}---|", "--:|".repeat(columns.len()));
}

fn foreign(contenders: &[Contender]) -> impl Iterator<Item = &str> {
    let foreign = contenders.iter().filter(|contender| contender.kind == Kind::Foreign);
    foreign.map(|contender| contender.name.as_str())
}

/// Prints a work's line of the first table.
pub fn line(row: &Row) {
    let cells: Vec<_> = row.figures.iter().map(|figure| figure.cpu.cell()).collect();
    let cpu = |name| row.figure(name).map(|figure| figure.cpu.median);
    let best = row.best_peer();
    let to_best = ratio(cpu("sockeye"), best.map(|best| best.cpu.median));
    let contenders: Vec<_> = row.figures.iter().map(|figure| figure.contender.clone()).collect();
    let pairs = RATIOS.into_iter().chain(foreign(&contenders).map(|name| ("sockeye-epoll", name)));
    let ratios: Vec<_> = pairs.map(|(own, other)| ratio(cpu(own), cpu(other))).collect();
    let name = best.map_or("–", |best| &best.contender.name);
    println!("| {} | {} | {to_best} | {} | {name} |", row.work, cells.join(" | "), ratios.join(" | "));
}

/// Prints the other tables.
pub fn rest(rows: &[Row]) {
    println!("\nThe same in the program alone, of which the kernel only takes samples:");
    table(rows, |figure| number(figure.user.median));
    println!("\nThousands of messages per second, and how much of the time the server was at work. Where that is not");
    println!("nearly all, the load was the slower one, and the figure is not the server's:");
    table(rows, |figure| {
        let (thousands, busy) = (figure.messages_per_second.median / 1e3, figure.busy.median * 100.0);
        format!("{} ({busy:.0} %)", number(thousands))
    });
    println!("\nMicroseconds from sending a message to having its reply: the median, 99 % and 99.9 %:");
    table(rows, |figure| quantiles(figure).map(|nanoseconds| number(nanoseconds as f64 / 1e3)).join(" / "));
}

fn table(rows: &[Row], cell: impl Fn(&Figure) -> String) {
    let Some(first) = rows.first() else { return };
    let names: Vec<_> = first.figures.iter().map(|figure| &*figure.contender.name).collect();
    println!("\n| work | {} |", names.join(" | "));
    println!("|---|{}", "--:|".repeat(names.len()));
    for row in rows {
        let cells: Vec<_> = row.figures.iter().map(&cell).collect();
        println!("| {} | {} |", row.work, cells.join(" | "));
    }
}

fn quantiles(figure: &Figure) -> [u64; 3] {
    [0.5, 0.99, 0.999].map(|fraction| figure.latencies.quantile(fraction))
}

/// All of it.
pub fn json(rows: &[Row]) -> String {
    let rows: Map<_, _> = rows.iter().map(|row| (row.work.clone(), figures(row))).collect();
    format!("{:#}\n", Value::Object(rows))
}

fn figures(row: &Row) -> Value {
    let figure = |figure: &Figure| {
        let [p50, p99, p999] = quantiles(figure);
        json!({
            "cpu_ns": quartiles(figure.cpu),
            "user_ns": quartiles(figure.user),
            "messages_per_second": quartiles(figure.messages_per_second),
            "busy": quartiles(figure.busy),
            "latency_ns": {"p50": p50, "p99": p99, "p999": p999},
        })
    };
    row.figures.iter().map(|one| (one.contender.name.clone(), figure(one))).collect::<Map<_, _>>().into()
}

fn quartiles(Quartiles { median, p25, p75 }: Quartiles) -> Value {
    json!({"median": median, "p25": p25, "p75": p75})
}
