//! soketto over buffered halves, as in its examples. It leaves the validation of text to its user, who does it here as
//! in its documentation.

use bytes::Bytes;
use futures_util::io::{BufReader, BufWriter};
use sockeye::Role;
use soketto::connection::Builder;
use soketto::{Data, Mode, Receiver, Sender};

use super::Peer;
use crate::Outcome;
use crate::wire::{READ, Wire, now};

type Buffered = BufReader<BufWriter<Wire>>;

pub struct Halves {
    sender: Sender<Buffered>,
    receiver: Receiver<Buffered>,
    message: Vec<u8>,
}

impl Peer for Halves {
    const NAME: &'static str = "soketto";

    fn open(wire: Wire, role: Role) -> Self {
        let mode = match role {
            Role::Client => Mode::Client,
            Role::Server => Mode::Server,
        };
        let stream = BufReader::with_capacity(READ, BufWriter::with_capacity(READ, wire));
        let (sender, receiver) = Builder::new(stream, mode).finish();
        Self { sender, receiver, message: Vec::new() }
    }

    fn receive(&mut self, count: usize, mut seen: impl FnMut(&[u8])) -> Outcome {
        now(async {
            for _ in 0..count {
                self.message.clear();
                match self.receiver.receive_data(&mut self.message).await? {
                    Data::Text(_) => seen(str::from_utf8(&self.message)?.as_bytes()),
                    Data::Binary(_) => seen(&self.message),
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, count: usize, payload: &Bytes) -> Outcome {
        now(async {
            for _ in 0..count {
                self.sender.send_binary(payload).await?;
                self.sender.flush().await?;
            }
            Ok(())
        })
    }
}
