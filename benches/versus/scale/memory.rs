//! The memory of the machine, as the kernel tells it.

use std::fs;

use crate::Result;

/// More than this part of the memory is never used.
const MOST: f64 = 0.8;

/// Why there should not be more connections, if that is so.
pub fn shortage() -> Result<Option<String>> {
    let info = fs::read_to_string("/proc/meminfo")?;
    let (total, available) = (bytes(&info, "MemTotal:")?, bytes(&info, "MemAvailable:")?);
    let used = 1.0 - available / total;
    Ok((used > MOST).then(|| format!("{:.0} % of {:.1} GiB are in use", used * 100.0, total / f64::from(1 << 30))))
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
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).and_then(|line| line.rsplit(' ').next());
        Ok(Self { slabs, buffers: tcp.ok_or("the kernel does not tell its TCP memory")?.parse::<f64>()? * PAGE })
    }

    pub fn since(self, earlier: Self) -> f64 {
        self.slabs - earlier.slabs + self.buffers - earlier.buffers
    }
}

fn bytes(info: &str, field: &str) -> Result<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kibibytes.ok_or_else(|| format!("the kernel does not tell {field}"))? * 1024.0)
}
