//! Whether sockeye keeps within what it may cost.

use versus::rows::Row;

use crate::measure::{AFTER_8_MIB, AFTER_16_KIB, BARE_TASK, CORE, DRIVER, HEAP, IDLE, KEEPALIVE, PAGES, name};

/// Pages are 4 KiB, so that a connection's share is never quite the same.
const SAME: f64 = 32.0;

/// Prints each limit, in bytes, and what there is.
pub fn print(rows: &[Row]) {
    let median = |server: &str, state, what| {
        let row = rows.iter().find(|row| row.name == name(state, what))?;
        row.figure(server).map(|figure| figure.median)
    };
    println!("\n| limit | bytes | are | |");
    println!("|---|--:|--:|---|");
    let line = |what: &str, limit: f64, is: Option<f64>| {
        let Some(is) = is else { return };
        println!("| {what} | {limit:.0} | {is:.0} | {} |", if is <= limit { "met" } else { "**not met**" });
    };
    let idle = |server, what| median(server, IDLE, what);
    let over_bare = idle(DRIVER, PAGES).zip(idle(BARE_TASK, PAGES)).map(|(own, bare)| own - bare);
    line("idle on tokio, pages, over a bare task", 260.0, over_bare);
    line("idle on tokio, heap", 768.0, idle(DRIVER, HEAP));
    line("idle on tokio with keepalive, heap", 880.0, idle(KEEPALIVE, HEAP));
    line("idle on epoll, pages", 272.0, idle(CORE, PAGES));
    for server in [DRIVER, KEEPALIVE, CORE] {
        for after in [AFTER_16_KIB, AFTER_8_MIB] {
            for what in [PAGES, HEAP] {
                let growth = median(server, after, what).zip(idle(server, what)).map(|(after, idle)| after - idle);
                line(&format!("{server}, {after}, {what}, more than idle"), SAME, growth);
            }
        }
    }
    println!();
}
