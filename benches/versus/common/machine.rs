//! What the measurements ask of the system: a core, CPU time, descriptors.

use std::io;
use std::mem;
use std::ops::{AddAssign, Sub};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Lets the calling thread, and those that it starts, run on this core only. Without so many cores, anywhere.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: it has no preconditions.
    if core as libc::c_long >= unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } {
        return Ok(());
    }
    // SAFETY: all zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is as large as is said, and is only read by the second call.
    check(unsafe {
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set)
    })
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
        // SAFETY: all zeros are a valid value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        let mut total = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the places are large enough.
        check(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) })?;
        // SAFETY: the place is large enough.
        check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut total) })?;
        let libc::timeval { tv_sec, tv_usec } = usage.ru_utime;
        Ok(Self {
            total: Duration::new(total.tv_sec.unsigned_abs(), total.tv_nsec as u32),
            user: Duration::new(tv_sec.unsigned_abs(), tv_usec as u32 * 1000),
        })
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

/// Lets the process have so many descriptors open.
pub fn allow_descriptors(count: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place is large enough.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    if limit.rlim_cur >= count {
        return Ok(());
    }
    limit.rlim_cur = count;
    limit.rlim_max = limit.rlim_max.max(count);
    // SAFETY: the place is only read.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })
        .map_err(|error| io::Error::other(format!("{count} descriptors are needed: {error}; root may have them")))
}

/// Limits what the socket receives ahead of its reader; on a listener, before anyone connects, that of those it accepts.
pub fn limit_receive_buffer(socket: &impl AsRawFd, bytes: libc::c_int) -> io::Result<()> {
    let len = mem::size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the value is as long as is said, and is only read.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const bytes).cast(), len)
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
