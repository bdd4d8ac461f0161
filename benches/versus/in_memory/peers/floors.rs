//! What it costs to have the bytes at all, and to look at them.

use std::hint::black_box;
use std::io::{Read, Write};

use bytes::Bytes;

use crate::Outcome;
use crate::harness::Contender;
use crate::wire::{READ, Sink, Wire};
use crate::work::{Direction, Work};

/// One copy: of all frames when they are received, of the payload when it is sent.
pub struct Copy {
    wire: Wire,
    sink: Sink,
    direction: Direction,
    reads: usize,
    scratch: Vec<u8>,
    payload: Bytes,
    count: usize,
}

impl Copy {
    pub const NAME: &'static str = "copy";

    pub fn new(work: &Work) -> Self {
        let wire = work.wire();
        Self {
            sink: wire.sink(),
            wire,
            direction: work.direction,
            reads: work.frames.len().div_ceil(READ),
            scratch: vec![0; READ],
            payload: work.payload.clone(),
            count: work.count,
        }
    }
}

impl Contender for Copy {
    fn pass(&mut self) -> Outcome {
        if self.direction == Direction::Receive {
            for _ in 0..self.reads {
                let count = self.wire.read(&mut self.scratch)?;
                black_box(&self.scratch[..count]);
            }
            return Ok(());
        }
        self.sink.borrow_mut().clear();
        for _ in 0..self.count {
            self.wire.write_all(black_box(&self.payload))?;
        }
        Ok(())
    }

    fn check(&mut self, _: &Work) -> Outcome {
        self.pass()
    }
}

/// Validation alone, of payloads that lie unmasked and in the cache.
pub struct Utf8 {
    payload: Bytes,
    count: usize,
}

impl Utf8 {
    pub const NAME: &'static str = "UTF-8";

    pub fn new(work: &Work) -> Self {
        Self { payload: work.payload.clone(), count: work.count }
    }
}

impl Contender for Utf8 {
    fn pass(&mut self) -> Outcome {
        for _ in 0..self.count {
            black_box(simdutf8::basic::from_utf8(black_box(&self.payload))?);
        }
        Ok(())
    }

    fn check(&mut self, _: &Work) -> Outcome {
        self.pass()
    }
}
