//! A stream whose every read and write ends by one deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use super::Deadline;
use crate::io::Timeout;
use crate::io::blocking::Stream;

pub(super) struct Timed<'a, S> {
    stream: &'a mut S,
    deadline: Deadline,
}

impl<'a, S: Stream> Timed<'a, S> {
    pub(super) fn new(stream: &'a mut S, deadline: Deadline) -> Self {
        Self { stream, deadline }
    }

    /// Repeats what the stream gave up before the deadline. The error at the deadline is `TimedOut`.
    fn in_time<R>(&mut self, mut call: impl FnMut(&mut S, Option<Duration>) -> io::Result<R>) -> io::Result<R> {
        loop {
            let remaining = self.deadline.remaining(Timeout::Connect).map_err(|_| ErrorKind::TimedOut)?;
            match call(self.stream, remaining) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // Without a deadline, a stream that gives up by itself has the last word.
                    if remaining.is_none() {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }
}

impl<S: Stream> Read for Timed<'_, S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.in_time(|stream, remaining| {
            let _ = stream.set_read_timeout(remaining); // a stream that has none has no deadline
            stream.read(room)
        })
    }
}

impl<S: Stream> Write for Timed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time(|stream, remaining| {
            let _ = stream.set_write_timeout(remaining); // as above
            stream.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.in_time(|stream, _| stream.flush())
    }
}
