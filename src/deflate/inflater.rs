//! Compressed messages → messages (RFC 7692 §7.2.2).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::zlib::{Corrupt, Decompressor, Stop};
use super::{Deflate, Parameters, states};
use crate::config::Config;
use crate::error::ProtocolError;
use crate::frame::Role;
use crate::pool;

/// How many final blocks a message may have. Each costs a copy of the window, and need not be more than two bytes.
const MAX_FINAL_BLOCKS: u32 = 1 << 10;

/// Inflates what one end receives.
///
/// A block with BFINAL ends the decompressor's stream, though not the message, and with the stream goes its window. So
/// that it can begin again with the same window, what was inflated is [recorded](Self::record).
pub(crate) struct Inflater {
    takeover: bool,
    max_compressed_size: Option<u64>,
    max_final_blocks: u32,
    /// The size of the window.
    window: usize,
    /// Made when it is needed; without context takeover there is none between messages.
    context: Option<Box<Decompressor>>,
    /// The latest bytes of what was inflated, as far as the peer may refer to them.
    history: VecDeque<u8>,
    /// How many bytes of the message were inflated, and how many of them are in the history.
    inflated: u64,
    recorded: u64,
    final_blocks: u32,
}

impl Inflater {
    pub(super) fn new(role: Role, parameters: &Parameters, deflate: &Deflate, config: &Config) -> Self {
        let (window, no_takeover) = match role {
            Role::Server => (parameters.client_max_window_bits, parameters.client_no_context_takeover),
            Role::Client => (parameters.server_max_window_bits, parameters.server_no_context_takeover),
        };
        Self {
            takeover: !no_takeover,
            max_compressed_size: deflate.max_compressed_size,
            max_final_blocks: config.max_fragments.min(MAX_FINAL_BLOCKS),
            window: window.size(),
            context: None,
            history: VecDeque::new(),
            inflated: 0,
            recorded: 0,
            final_blocks: 0,
        }
    }

    /// How many bytes a message may have on the wire, in so many frames, that may inflate to `limit`.
    pub(crate) fn max_compressed_size(&self, limit: u64, frames: u32) -> u64 {
        // What cannot be compressed grows, at worst by an eighth with the smallest memory level; and each frame may have
        // been flushed.
        let growth = (limit / 8).saturating_add(64 * u64::from(frames));
        self.max_compressed_size.unwrap_or(limit.saturating_add(growth))
    }

    /// How many bytes of the message were inflated.
    pub(crate) fn inflated(&self) -> u64 {
        self.inflated
    }

    /// Inflates from the front of `input`, which is shortened by what was used up, to the end of `output`. Tells
    /// whether that is full: it has `max_len` bytes, and there may be more.
    #[inline]
    pub(crate) fn inflate(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
        max_len: usize,
    ) -> Result<bool, ProtocolError> {
        loop {
            let before = output.len();
            let context = self.context.get_or_insert_with(states::take_decompressor);
            let stop = context.inflate(input, output, max_len);
            self.inflated += (output.len() - before) as u64;
            match stop? {
                Stop::Hungry => return Ok(false),
                Stop::Full => return Ok(true),
                Stop::Final => self.begin_again(output)?,
            }
        }
    }

    /// Behind a block with BFINAL: a new stream with the same window (§7.2.2).
    fn begin_again(&mut self, output: &[u8]) -> Result<(), ProtocolError> {
        self.final_blocks = self.final_blocks.saturating_add(1);
        if self.final_blocks > self.max_final_blocks {
            return Err(ProtocolError::TooManyFragments { limit: self.max_final_blocks });
        }
        self.record(output);
        if let Some(context) = &mut self.context {
            context.reset();
            let (older, newer) = self.history.as_slices();
            context.remember(older);
            context.remember(newer);
        }
        Ok(())
    }

    /// Notes what was inflated to the end of `output`, before it is lent or cleared, or the decompressor's window goes.
    #[inline]
    pub(crate) fn record(&mut self, output: &[u8]) {
        let count = usize::try_from(self.inflated - self.recorded).unwrap_or(usize::MAX);
        let unrecorded = output.get(output.len().saturating_sub(count)..).unwrap_or_default();
        self.recorded = self.inflated;
        let kept = unrecorded.get(unrecorded.len().saturating_sub(self.window)..).unwrap_or_default();
        if self.history.capacity() == 0 && !self.takeover {
            self.history = pool::take().into(); // for this message only
        }
        let too_many = (self.history.len() + kept.len()).saturating_sub(self.window);
        self.history.drain(..too_many);
        if self.history.capacity() - self.history.len() < kept.len() {
            let growth = self.history.len().max(kept.len()).min(self.window - self.history.len());
            self.history.reserve_exact(growth);
        }
        self.history.extend(kept);
    }

    /// Ends the message, of which `output` is what was not recorded.
    pub(crate) fn finish(&mut self, output: &[u8]) -> Result<(), ProtocolError> {
        // A message without any payload has no context yet, and is cut like any other that is.
        self.context.as_mut().ok_or(Corrupt)?.finish()?;
        if self.takeover {
            self.record(output);
        } else {
            self.forget();
        }
        (self.inflated, self.recorded, self.final_blocks) = (0, 0, 0);
        Ok(())
    }

    fn forget(&mut self) {
        if let Some(context) = self.context.take() {
            states::give_decompressor(context);
        }
        self.history.clear(); // or it would be put in order first
        pool::give(mem::take(&mut self.history).into());
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        self.forget();
    }
}

impl From<Corrupt> for ProtocolError {
    fn from(_: Corrupt) -> Self {
        Self::InvalidDeflate
    }
}
