//! What the measurements ask of the system: a core, CPU time, descriptors.

use std::io;
use std::ops::{AddAssign, Sub};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Lets the calling thread, and those that it starts, run on this core only. Without so many cores, anywhere.
pub fn pin(core: usize) -> io::Result<()> {
    if core as i64 >= sysconf(SysconfVar::_NPROCESSORS_ONLN)?.unwrap_or(1) {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// CPU time.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub total: Duration,
    /// The part outside of the kernel, which the kernel knows by sampling: only over seconds does it mean something.
    pub user: Duration,
}

impl Cpu {
    /// What the calling thread has used.
    pub fn of_thread() -> io::Result<Self> {
        let user = getrusage(UsageWho::RUSAGE_THREAD)?.user_time();
        let user = Duration::new(user.tv_sec().unsigned_abs(), user.tv_usec() as u32 * 1000);
        Ok(Self { total: clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into(), user })
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { total: self.total.saturating_sub(earlier.total), user: self.user.saturating_sub(earlier.user) }
    }
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
    }
}

/// Lets the process have as many descriptors open as it may, and tells how many that is: for root, whatever the kernel
/// can.
pub fn most_descriptors() -> io::Result<usize> {
    const MOST: u64 = 1 << 20;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = if setrlimit(Resource::RLIMIT_NOFILE, MOST, MOST).is_ok() { MOST } else { hard };
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most as usize)
}
