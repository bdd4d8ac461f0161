//! What a server has taken so far.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::{Outcome, counting};

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// An open connection, counted.
pub struct Opened(());

impl Opened {
    pub fn new() -> Self {
        OPEN.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

/// CPU time of the process.
#[derive(Clone, Copy, Default)]
pub struct Times {
    user_ns: i64,
    system_ns: i64,
}

impl Times {
    pub fn now() -> nix::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let ns = |time: nix::sys::time::TimeVal| time.num_microseconds() * 1000;
        Ok(Self { user_ns: ns(usage.user_time()), system_ns: ns(usage.system_time()) })
    }

    pub fn since(self, earlier: Self) -> Self {
        Self { user_ns: self.user_ns - earlier.user_ns, system_ns: self.system_ns - earlier.system_ns }
    }

    pub fn add(&mut self, other: Self) {
        self.user_ns += other.user_ns;
        self.system_ns += other.system_ns;
    }
}

/// Prints it all as a line of JSON; `times` are those to tell.
///
/// The sum of the CPU times is exact. Where the kernel samples, as it mostly does, their shares are not: only over many
/// of its ticks.
pub fn print(times: Times) -> Outcome {
    let (live, allocations) = (counting::live(), counting::allocations());
    let memory = fs::read_to_string("/proc/self/smaps_rollup")?;
    let Times { user_ns, system_ns } = times;
    println!(
        "{{\"user_ns\": {user_ns}, \"system_ns\": {system_ns}, \"rss_bytes\": {}, \"private_bytes\": {}, \
         \"anonymous_bytes\": {}, \"heap_bytes\": {live}, \"allocations\": {allocations}, \"connections\": {}}}",
        bytes(&memory, "Rss")?,
        bytes(&memory, "Private_Clean")? + bytes(&memory, "Private_Dirty")?,
        bytes(&memory, "Anonymous")?,
        OPEN.load(Relaxed),
    );
    Ok(())
}

fn bytes(memory: &str, field: &str) -> Result<u64, String> {
    let line = memory.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or_else(|| format!("the kernel does not tell {field}"))
}
