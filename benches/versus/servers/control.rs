//! The commands on standard input, one to a line:
//!
//! - `usage` prints what was taken so far, see `usage`
//! - `trim` gives free memory back to the system, as far as the allocator can, and prints `trimmed`
//!
//! At its end the process exits.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::exit;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::Outcome;
use crate::usage::{self, Times};

pub struct Control {
    stdin: io::Stdin,
    line: Vec<u8>,
    /// What answering has cost, which is none of the server's work.
    answering: Times,
}

impl Control {
    pub fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let flags = OFlag::from_bits_retain(fcntl(&stdin, FcntlArg::F_GETFL)?);
        fcntl(&stdin, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { stdin, line: Vec::with_capacity(64), answering: Times::default() })
    }

    /// Answers what has come, and returns when nothing more is there.
    pub fn answer(&mut self) -> Outcome {
        let mut bytes = [0; 64];
        loop {
            match nix::unistd::read(&self.stdin, &mut bytes).map_err(io::Error::from) {
                Ok(0) => exit(0),
                Ok(count) => bytes[..count].iter().try_for_each(|byte| self.take(*byte))?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, byte: u8) -> Outcome {
        if byte != b'\n' {
            self.line.push(byte);
            return Ok(());
        }
        self.obey()?;
        self.line.clear();
        Ok(())
    }

    fn obey(&mut self) -> Outcome {
        let times = Times::now()?;
        match &*self.line {
            b"usage" => usage::print(times.since(self.answering))?,
            b"trim" => {
                trim();
                println!("trimmed");
            }
            _ => println!("the commands are usage and trim"),
        }
        self.answering.add(Times::now()?.since(times));
        Ok(())
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.stdin.as_raw_fd()
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
