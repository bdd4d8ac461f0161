//! Messages → compressed messages (RFC 7692 §7.2.1).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zlib_rs::DeflateConfig;

use super::zlib::{Compressor, TAIL};
use super::{Deflate, Parameters, WindowBits, states};
use crate::frame::Role;
use crate::pool;

/// What an empty piece of a message is compressed to: the header of an empty stored block (§7.2.3.6).
const EMPTY: u8 = 0x00;

/// Compresses what one end sends.
///
/// **Its window is what the peer's decompressor has seen.** Whatever reaches the peer's window by another way makes it
/// forget, and whatever it has compressed is sent.
pub(crate) struct Deflater {
    config: DeflateConfig,
    takeover: bool,
    threshold: usize,
    /// Made when it is needed; without context takeover there is none between messages.
    context: Option<Box<Compressor>>,
}

impl Deflater {
    /// Nothing if the window is smaller than the compressor can keep to.
    pub(super) fn new(role: Role, parameters: &Parameters, deflate: &Deflate) -> Option<Self> {
        let (window, no_takeover) = match role {
            Role::Server => (parameters.server_max_window_bits, parameters.server_no_context_takeover),
            Role::Client => (parameters.client_max_window_bits, parameters.client_no_context_takeover),
        };
        if window == WindowBits::Bits8 {
            return None;
        }
        let config = DeflateConfig {
            level: deflate.level.into(),
            window_bits: -i32::from(window.bits()),
            mem_level: deflate.memory_level.into(),
            ..DeflateConfig::default()
        };
        Some(Self { config, takeover: !no_takeover, threshold: deflate.threshold, context: None })
    }

    /// Whether a whole message of this size is worth it.
    pub(crate) fn wants(&self, size: usize) -> bool {
        size >= self.threshold
    }

    /// From 9 to 15.
    pub(super) fn window_bits(&self) -> u8 {
        self.config.window_bits.unsigned_abs() as u8
    }

    /// A message, compressed; or nothing if it should go as it is, because it would grow. With context takeover it
    /// goes even so, for it is in our window already.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut compressed = pool::take();
        self.piece(payload, true, &mut compressed);
        if self.takeover || compressed.len() < payload.len() {
            return Some(compressed);
        }
        pool::give(compressed);
        None
    }

    /// A message compressed with a window of its own, for many connections of these parameters; or nothing if it would
    /// grow.
    pub(super) fn apart(&self, payload: &[u8]) -> Option<Vec<u8>> {
        Self { takeover: false, context: None, config: self.config, threshold: 0 }.message(payload)
    }

    /// Appends the next piece of a message to `output`, such that the peer can inflate all of it at once.
    pub(crate) fn piece(&mut self, piece: &[u8], fin: bool, output: &mut Vec<u8>) {
        if !piece.is_empty() {
            let context = self.context.get_or_insert_with(|| states::take_compressor(self.config));
            context.compress(piece, output);
            if fin {
                output.truncate(output.len().saturating_sub(TAIL.len()));
            }
        } else if fin {
            output.push(EMPTY);
        }
        if fin && !self.takeover {
            self.forget();
        }
    }

    /// The peer's window is not ours any more: the next message begins with an empty one.
    pub(crate) fn forget(&mut self) {
        if let Some(context) = self.context.take() {
            states::give_compressor(context);
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        self.forget();
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = if self.takeover { "with" } else { "without" };
        write!(f, "Deflater({} bits, {takeover} context takeover)", self.window_bits())
    }
}
