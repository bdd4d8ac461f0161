//! What is to be done.

use versus::naive::{self, FIN, TEXT};
use versus::payloads::{ascii, key, multibyte};

/// About how many bytes of frames are prepared, each with a masking key of its own.
const PREPARED: usize = 256 << 10;

pub struct Work {
    pub name: String,
    pub connections: usize,
    pub in_flight: usize,
    /// What is sent, again and again.
    pub frames: Frames,
    /// What comes back from a server that knows the protocol.
    pub reply: Frames,
}

/// Frames of the same length, one behind the other.
#[derive(Clone)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Of one frame.
    pub len: usize,
    count: usize,
}

impl Frames {
    fn new(frames: Vec<Vec<u8>>) -> Self {
        Self { len: frames[0].len(), count: frames.len(), bytes: frames.concat() }
    }

    /// The same, with so many more behind them that as many can be taken from any place in one piece.
    fn wrapped(mut self, more: usize) -> Self {
        let behind: Vec<u8> = self.bytes.iter().copied().cycle().take(more * self.len).collect();
        self.bytes.extend(behind);
        self
    }

    /// How many bytes there are before they repeat.
    pub fn cycle(&self) -> usize {
        self.len * self.count
    }

    /// The bytes from there on; the frames that are `wrapped` at most.
    #[inline]
    pub fn from(&self, at: usize) -> &[u8] {
        &self.bytes[at..]
    }
}

impl Work {
    fn new(name: &str, payload: &[u8], connections: usize, in_flight: usize) -> Self {
        let count = (PREPARED / (payload.len() + 8)).clamp(3, 4096) as u32;
        let frames = (0..count).map(|number| naive::frame(FIN | TEXT, Some(key(number)), payload)).collect();
        let s = if connections == 1 { "" } else { "s" };
        Self {
            name: format!("{name}, {connections} connection{s}, {in_flight} in flight"),
            connections,
            in_flight,
            frames: Frames::new(frames).wrapped(in_flight),
            reply: Frames::new(vec![naive::frame(FIN | TEXT, None, payload)]),
        }
    }
}

/// What would keep more than that in flight is left out.
const MOST_IN_FLIGHT: usize = 256 << 20;

pub fn all() -> Vec<Work> {
    let mut all = Vec::new();
    for (name, len) in [("20 B", 20), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)] {
        for connections in [1, 64, 512] {
            for in_flight in [1, 16] {
                if len * connections * in_flight <= MOST_IN_FLIGHT {
                    all.push(Work::new(name, &ascii(len), connections, in_flight));
                }
            }
        }
    }
    for (name, len) in [("multibyte 1 KiB", 1 << 10), ("multibyte 16 KiB", 16 << 10)] {
        for in_flight in [1, 16] {
            all.push(Work::new(name, &multibyte(len), 64, in_flight));
        }
    }
    all
}
