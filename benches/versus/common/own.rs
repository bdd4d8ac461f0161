//! This crate's entrants in memory, by their names: first where messages are lent, then where they are owned.

pub const CORE: [&str; 2] = ["sockeye core", "sockeye core, owned"];
pub const TOKIO: [&str; 2] = ["sockeye::tokio", "sockeye::tokio, owned"];
pub const FUTURES: [&str; 2] = ["sockeye::futures", "sockeye::futures, owned"];
pub const BLOCKING: [&str; 2] = ["sockeye::blocking", "sockeye::blocking, owned"];

/// In the order of their own table. Only the core and tokio's driver, which lend, are beside other crates.
pub const ALL: [&str; 8] = [CORE[0], TOKIO[0], FUTURES[0], BLOCKING[0], CORE[1], TOKIO[1], FUTURES[1], BLOCKING[1]];

/// Whether it stands in their own table alone.
pub fn is_variant(name: &str) -> bool {
    ALL.contains(&name) && ![CORE[0], TOKIO[0]].contains(&name)
}
