//! The calls of zlib-rs, in the form in which its streams are used here: raw, and into the spare room of a vector.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

/// The end of the empty stored block with which a message ends. It is not sent (RFC 7692 §7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The least room that is made at a time.
const ROOM: usize = 4 << 10;

/// A compressor and its window.
pub(super) struct Compressor {
    stream: Deflate,
    config: DeflateConfig,
}

impl Compressor {
    pub(super) fn new(config: DeflateConfig) -> Box<Self> {
        Box::new(Self { stream: Deflate::new_with_config(config), config })
    }

    /// Whether it was made like this.
    pub(super) fn is(&self, config: &DeflateConfig) -> bool {
        self.config == *config
    }

    /// Forgets what it has seen. Every call of `compress` leaves it between two blocks, which this relies on.
    pub(super) fn reset(&mut self) {
        self.stream.reset();
    }

    /// Appends all of `input` to `output`, compressed, with an empty stored block at its end. `input` is not empty:
    /// a second empty block in a row would not be written.
    #[allow(unsafe_code)]
    pub(super) fn compress(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        loop {
            if output.capacity() - output.len() < ROOM / 4 {
                output.reserve(ROOM.max(input.len() / 4));
            }
            let (taken, written) = (self.stream.total_in(), self.stream.total_out());
            let result = self.stream.compress_uninit(input, output.spare_capacity_mut(), DeflateFlush::SyncFlush);
            debug_assert!(result.is_ok(), "the stream is never finished, so it takes whatever comes");
            let written = (self.stream.total_out() - written) as usize;
            // SAFETY: the compressor has written that much into the spare room.
            unsafe { output.set_len(output.len() + written) };
            input = input.get((self.stream.total_in() - taken) as usize..).unwrap_or_default();
            // With room to spare, nothing is held back.
            if input.is_empty() && output.len() < output.capacity() || result.is_err() {
                return;
            }
        }
    }
}

/// A decompressor and its window of 32 KiB, which serves smaller windows as well.
pub(super) struct Decompressor(Inflate);

/// What was not valid DEFLATE (RFC 1951).
pub(super) struct Corrupt;

/// Why inflating stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// All input is used up, and nothing more can be had from it.
    Hungry,
    /// The output is as long as it may be.
    Full,
    /// A block with BFINAL has ended. There may be more behind it.
    Final,
}

impl Decompressor {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self(Inflate::new(false, 15)))
    }

    /// Forgets what it has seen.
    pub(super) fn reset(&mut self) {
        self.0.reset(false);
    }

    /// Goes on behind what was inflated elsewhere.
    pub(super) fn remember(&mut self, window: &[u8]) {
        let result = self.0.set_dictionary(window);
        debug_assert!(result.is_ok(), "a raw stream takes a dictionary at any time");
    }

    /// Inflates from the front of `input`, which is shortened by what was used up, to the end of `output`, until that
    /// has `max_len` bytes. Memory grows with what was inflated.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn inflate(&mut self, input: &mut &[u8], output: &mut Vec<u8>, max_len: usize) -> Result<Stop, Corrupt> {
        loop {
            let most = max_len.saturating_sub(output.len());
            if most == 0 {
                return Ok(Stop::Full);
            }
            if output.len() == output.capacity() {
                output.reserve_exact(output.len().max(ROOM).min(most));
            }
            let room = output.spare_capacity_mut();
            let room_len = room.len().min(most);
            let (taken, written) = (self.0.total_in(), self.0.total_out());
            let room = room.get_mut(..room_len).unwrap_or_default();
            let result = self.0.decompress_uninit(input, room, InflateFlush::NoFlush);
            let written = (self.0.total_out() - written) as usize;
            // SAFETY: the decompressor has written that much into the spare room.
            unsafe { output.set_len(output.len() + written) };
            *input = input.get((self.0.total_in() - taken) as usize..).unwrap_or_default();
            match result {
                // What came before the error counts first, where it is too much.
                Err(_) if output.len() < max_len => return Err(Corrupt),
                Ok(Status::StreamEnd) => return Ok(Stop::Final),
                _ if written < room_len => return Ok(Stop::Hungry),
                _ => {}
            }
        }
    }

    /// Takes the [`TAIL`], which must be the end of a stored block without content: whatever else it might be read as,
    /// the message was cut.
    #[inline]
    pub(super) fn finish(&mut self) -> Result<(), Corrupt> {
        let [a, b, c, d] = TAIL;
        // At the end of a block the decompressor is to stop, in front of a byte that cannot follow.
        let (taken, written) = (self.0.total_in(), self.0.total_out());
        let result = self.0.decompress(&[a, b, c, d, 0xff], &mut [0; 8], InflateFlush::Block);
        let at_its_end = self.0.total_in() - taken == TAIL.len() as u64 && self.0.total_out() == written;
        if result == Ok(Status::Ok) && at_its_end { Ok(()) } else { Err(Corrupt) }
    }
}
