//! Servers on one core, the load on another.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Result;

pub struct Cores {
    servers: usize,
    load: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub fn of_this_process() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let servers = cores.next().ok_or("there is no core")?;
        let load = cores.next().unwrap_or_else(|| {
            eprintln!("sockets: servers and load share the only core");
            servers
        });
        Ok(Self { servers, load })
    }

    /// What is started from now on runs where servers do.
    pub fn start_servers(&self) -> Result<()> {
        pin(self.servers)
    }

    /// This process runs where the load does.
    pub fn load(&self) -> Result<()> {
        pin(self.load)
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
