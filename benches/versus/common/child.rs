//! A server in a process of its own, which prints its port and tells what it takes.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use serde_json::Value;

/// How long an answer, or the end of the process, may take: many servers may share a core.
const PATIENCE: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    /// Starts `server NAME`, which lies beside this program.
    pub fn named(name: &str, options: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("server");
        Self::start(Command::new(program).arg(name).args(options))
    }

    /// Starts any program that behaves as `server` does.
    pub fn foreign(command: &str) -> Result<Self> {
        Self::start(Command::new("sh").args(["-c", &format!("exec {command}")]))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut server = Self { stdin: child.stdin.take(), child, stdout, port: 0 };
        server.port = server.line()?.trim().parse()?;
        Ok(server)
    }

    /// What it has taken since it was started, see the server's `usage`.
    pub fn usage(&mut self) -> Result<Usage> {
        self.ask("usage")?;
        Ok(Usage(serde_json::from_str(&self.line()?)?))
    }

    /// Has it give free memory back to the system.
    pub fn trim(&mut self) -> Result<()> {
        self.ask("trim")?;
        self.line().map(drop)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ask(&mut self, what: &str) -> Result<()> {
        Ok(writeln!(self.stdin.as_mut().ok_or("no input")?, "{what}")?)
    }

    fn line(&mut self) -> Result<String> {
        let timeout = u16::try_from(PATIENCE.as_millis())?;
        let mut fds = [PollFd::new(self.stdout.get_ref().as_fd(), PollFlags::POLLIN)];
        if self.stdout.buffer().is_empty() && poll(&mut fds, timeout)? == 0 {
            return Err("the server says nothing".into());
        }
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("the server has ended".into());
        }
        Ok(line)
    }
}

/// It ends when its input does, or is made to.
impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One answer to `usage`.
pub struct Usage(Value);

impl Usage {
    /// 0 for what the server does not tell.
    pub fn get(&self, field: &str) -> f64 {
        self.0[field].as_f64().unwrap_or_default()
    }

    /// Nanoseconds of CPU time, in the program and in the kernel.
    pub fn cpu_ns(&self) -> f64 {
        self.get("user_ns") + self.get("system_ns")
    }
}
