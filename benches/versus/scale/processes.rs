//! The clients of a server, in a process of their own: this program again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Result;
use crate::clients::ARGUMENT;

pub struct Clients {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Clients {
    pub fn start(port: u16) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([ARGUMENT, &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let (stdin, stdout) = (process.stdin.take().ok_or("no input")?, process.stdout.take().ok_or("no output")?);
        Ok(Self { process, stdin, stdout: BufReader::new(stdout) })
    }

    pub fn ask(&mut self, what: &str) -> Result<()> {
        Ok(writeln!(self.stdin, "{what}")?)
    }

    /// What it says when it has done what it was asked for.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("the clients have ended".into());
        }
        Ok(line.trim().into())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended already
        let _ = self.process.wait();
    }
}
