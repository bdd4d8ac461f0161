//! The memory of the machine, as the kernel tells it.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::Result;

/// More than this part of the memory, of TCP's buffers and of the machine's open files is never used.
const MOST: f64 = 0.8;
const MOST_FILES: f64 = 0.95;

/// How many bytes of the kernel come and go without us, in half a second, and how many of those it may take.
const LITTLE: f64 = 1e6;
const SETTLING: usize = 40;

/// Why there should not be more connections, if that is so.
pub fn shortage() -> Result<Option<String>> {
    let info = fs::read_to_string("/proc/meminfo")?;
    let (total, available) = (bytes(&info, "MemTotal:")?, bytes(&info, "MemAvailable:")?);
    let used = 1.0 - available / total;
    if used > MOST {
        return Ok(Some(format!("{:.0} % of {:.1} GiB are in use", used * 100.0, total / f64::from(1 << 30))));
    }
    let files = first_number("/proc/sys/fs/file-nr")?;
    for (what, used, most, file) in [
        ("TCP's buffers, in pages", tcp_pages()?, MOST, "/proc/sys/net/ipv4/tcp_mem"),
        ("open files of the machine", files, MOST_FILES, "/proc/sys/fs/file-max"),
    ] {
        // A network namespace does not show what holds for the whole machine.
        let Ok(limits) = fs::read_to_string(file) else { continue };
        let limit = limits.split_whitespace().next_back().ok_or_else(|| format!("{file} is empty"))?.parse::<f64>()?;
        if used > most * limit {
            return Ok(Some(format!("{what}: {used:.0} of the {limit:.0} that {file} allows")));
        }
    }
    Ok(None)
}

/// What the kernel keeps, of which sockets are nearly all that changes.
#[derive(Clone, Copy)]
pub struct Kernel {
    slabs: f64,
    buffers: f64,
}

impl Kernel {
    pub fn now() -> Result<Self> {
        const PAGE: f64 = 4096.0;
        let slabs = bytes(&fs::read_to_string("/proc/meminfo")?, "Slab:")?;
        Ok(Self { slabs, buffers: tcp_pages()? * PAGE })
    }

    /// When what was closed is no longer in it: as soon as it grows less no more, or after a while.
    pub fn settled() -> Result<Self> {
        let mut before = Self::now()?;
        for _ in 0..SETTLING {
            thread::sleep(Duration::from_millis(500));
            let now = Self::now()?;
            if now.since(before) > -LITTLE {
                return Ok(now);
            }
            before = now;
        }
        Ok(before)
    }

    pub fn since(self, earlier: Self) -> f64 {
        self.slabs - earlier.slabs + self.buffers - earlier.buffers
    }
}

/// The pages in the buffers of all sockets.
fn tcp_pages() -> Result<f64> {
    let sockets = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).and_then(|line| line.rsplit(' ').next());
    Ok(tcp.ok_or("the kernel does not tell its TCP memory")?.parse()?)
}

fn first_number(file: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    Ok(text.split_whitespace().next().ok_or_else(|| format!("{file} is empty"))?.parse()?)
}

fn bytes(info: &str, field: &str) -> Result<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kibibytes.ok_or_else(|| format!("the kernel does not tell {field}"))? * 1024.0)
}
