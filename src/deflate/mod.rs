//! permessage-deflate (RFC 7692): what may be agreed on, and how this end compresses.
//!
//! It is offered and accepted only where the configuration says so:
//!
//! ```
//! use sockeye::{Config, Deflate};
//!
//! const CONFIG: Config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT));
//! ```
//!
//! Compression is a trade. It saves bytes on the wire, and costs CPU and memory. It can also leak: where a secret and
//! data that an attacker chooses travel in one message, or in one window, the size tells whether they are alike (CRIME,
//! BREACH; RFC 7692 §8). Send such messages [`uncompressed`](crate::Message::uncompressed).
//!
//! # What it costs
//!
//! An idle connection whose ends forget their windows after each message, as [`Deflate::DEFAULT`] has it, owns 160 bytes
//! of heap for compression. The states that it borrows for a message, as long as that is under way, belong to the thread,
//! which keeps at most four of each.
//!
//! Where windows are kept, each connection owns a compressor and a decompressor from the first message on, in KiB:
//!
//! | window bits | compressor, memory level 9 | 8 | 5 | 1 | decompressor |
//! |---|---|---|---|---|---|
//! | 15 | 483 | 371 | 273 | 260 | 79 |
//! | 14 | 419 | 307 | 209 | 196 | 63 |
//! | 13 | 387 | 275 | 177 | 164 | 55 |
//! | 12 | 371 | 259 | 161 | 148 | 51 |
//! | 11 | 363 | 251 | 153 | 140 | 49 |
//! | 10 | 359 | 247 | 149 | 136 | 48 |
//! | 9 | 357 | 245 | 147 | 134 | 47 |
//!
//! Of the compressor, 128 KiB are a table that does not become smaller with the window, and of the decompressor, 32 KiB
//! are a window that does not become smaller than 15 bits. Below 12 bits there is next to nothing to gain.
//!
//! JSON of 1 KiB, a market feed, becomes as small as this; the times are those of one core:
//!
//! | level | windows | compressed to | to compress | to decompress |
//! |---|---|---|---|---|
//! | 1 | forgotten | 52 % | 3 µs | 1.3 µs |
//! | 6 | forgotten | 38 % | 12 µs | 2.5 µs |
//! | 1 | kept, 12 bits | 36 % | 2 µs | 1 µs |
//! | 6 | kept, 12 bits | 23 % | 10 µs | 2 µs |
//! | 1 | kept, 15 bits | 33 % | 2 µs | 1 µs |
//! | 6 | kept, 15 bits | 23 % | 17 µs | 2 µs |
//!
//! With a window of 9 bits, it becomes no smaller than 53 %. A memory level above 5 makes messages of 1 KiB no smaller,
//! and those of 1 MiB by a hundredth; one of 1 costs up to twice the time.
//!
//! **A server with many connections** keeps the default. If its messages are small and alike, and it has 212 KiB for each
//! connection, it keeps windows of 12 bits, which also takes less time than to clear a compressor for each message; even
//! messages of 64 bytes are then worth it:
//!
//! ```
//! use sockeye::Deflate;
//! use sockeye::deflate::WindowBits;
//!
//! const BITS: WindowBits = WindowBits::Bits12;
//! const DEFLATE: Deflate = Deflate::DEFAULT.context_takeover(true).window_bits(BITS, BITS).threshold(64);
//! ```

mod deflater;
mod forms;
mod inflater;
#[cfg(feature = "handshake")]
pub(crate) mod negotiation;
mod states;
mod zlib;

use alloc::boxed::Box;
use core::fmt;

use self::deflater::Deflater;
pub(crate) use self::forms::Forms;
use self::inflater::Inflater;
use crate::config::Config;
use crate::connection::Agreed;
use crate::frame::Role;

/// The sending half, apart from its writer, so that a connection without compression is no larger for it.
pub(crate) type Deflating = Box<Deflater>;

/// The receiving half.
pub(crate) type Inflating = Box<Inflater>;

/// What a connection has of compression, by what was agreed on.
pub(crate) fn halves(role: Role, agreed: &Agreed, config: &Config) -> (Option<Inflating>, Option<Deflating>) {
    let Some(parameters) = agreed.deflate() else { return (None, None) };
    let deflate = config.deflate.unwrap_or_default();
    let inflater = Inflater::new(role, &parameters, &deflate, config);
    (Some(Box::new(inflater)), Deflater::new(role, &parameters, &deflate).map(Box::new))
}

/// How permessage-deflate is negotiated and used, see [`Config::deflate`](crate::Config::deflate).
///
/// | setting | default | unit |
/// |---|---|---|
/// | `parameters` | `server_no_context_takeover; client_no_context_takeover` | |
/// | `level` | 1 | 0 to 9 |
/// | `memory_level` | 5 | 1 to 9 |
/// | `threshold` | 256 | bytes |
/// | `max_compressed_size` | an eighth more than the limit on the message, and 64 for each frame | bytes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Deflate {
    pub(crate) parameters: Parameters,
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) threshold: usize,
    pub(crate) max_compressed_size: Option<u64>,
}

impl Deflate {
    /// Quick, and without memory between messages: neither end keeps its window from one message to the next.
    pub const DEFAULT: Self = Self {
        parameters: Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
        },
        level: 1,
        memory_level: 5,
        threshold: 256,
        max_compressed_size: None,
    };

    /// Whether both ends keep their windows from one message to the next (RFC 7692 §7.1.1). Small messages that are
    /// alike then become much smaller; each connection owns its compressor and decompressor as long as it lives.
    pub const fn context_takeover(mut self, takeover: bool) -> Self {
        self.parameters.server_no_context_takeover = !takeover;
        self.parameters.client_no_context_takeover = !takeover;
        self
    }

    /// The largest windows of the two compressors (RFC 7692 §7.1.2), which matter where they are kept.
    pub const fn window_bits(mut self, server: WindowBits, client: WindowBits) -> Self {
        self.parameters.server_max_window_bits = server;
        self.parameters.client_max_window_bits = client;
        self
    }

    /// All that a client asks for, and that a server agrees to at most, in the place of what was set before.
    pub const fn parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// How hard the compressor tries, from 1, the quickest, to 9; 0 stores. Larger is 9.
    pub const fn level(mut self, level: u8) -> Self {
        self.level = if level > 9 { 9 } else { level };
        self
    }

    /// How much memory the compressor has besides its window, from 1 to 9; beyond that the nearest of them.
    pub const fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = match level {
            0 => 1,
            1..=9 => level,
            _ => 9,
        };
        self
    }

    /// Messages of fewer bytes are sent uncompressed. Those sent in pieces are compressed in any case, for their length
    /// is not known.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How many bytes a compressed message may have on the wire, whatever it inflates to. The limits on messages bound
    /// what it inflates to.
    pub const fn max_compressed_size(mut self, bytes: u64) -> Self {
        self.max_compressed_size = Some(bytes);
        self
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The parameters of permessage-deflate (RFC 7692 §7.1), as they are wished for or agreed on.
///
/// `Display` writes them as an element of `Sec-WebSocket-Extensions`, without those that have their default:
///
/// ```
/// use sockeye::deflate::{Parameters, WindowBits};
///
/// let parameters = Parameters { client_max_window_bits: WindowBits::Bits12, ..Parameters::DEFAULT };
/// assert_eq!(parameters.to_string(), "permessage-deflate; client_max_window_bits=12");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// The server forgets its window after each message (§7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message (§7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The largest window of the server's compressor (§7.1.2.1).
    pub server_max_window_bits: WindowBits,
    /// The largest window of the client's compressor (§7.1.2.2).
    pub client_max_window_bits: WindowBits,
}

impl Parameters {
    /// What an offer without parameters means: both ends keep windows of 32 KiB.
    pub const DEFAULT: Self = Self {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: WindowBits::MAX,
        client_max_window_bits: WindowBits::MAX,
    };
}

impl Default for Parameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (name, is_set) in [
            (SERVER_NO_CONTEXT_TAKEOVER, self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT_TAKEOVER, self.client_no_context_takeover),
        ] {
            if is_set {
                write!(f, "; {name}")?;
            }
        }
        for (name, bits) in [
            (SERVER_MAX_WINDOW_BITS, self.server_max_window_bits),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits),
        ] {
            if bits < WindowBits::MAX {
                write!(f, "; {name}={}", bits.bits())?;
            }
        }
        Ok(())
    }
}

/// The size of a window, as the exponent of a power of two bytes (RFC 7692 §7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WindowBits {
    /// 256 bytes. No common compressor can keep to it; an end that has agreed to it sends its messages uncompressed.
    Bits8 = 8,
    /// 512 bytes.
    Bits9 = 9,
    /// 1 KiB.
    Bits10 = 10,
    /// 2 KiB.
    Bits11 = 11,
    /// 4 KiB.
    Bits12 = 12,
    /// 8 KiB.
    Bits13 = 13,
    /// 16 KiB.
    Bits14 = 14,
    /// 32 KiB.
    Bits15 = 15,
}

impl WindowBits {
    /// The largest window there is.
    pub const MAX: Self = Self::Bits15;

    /// The window of so many bits, from 8 to 15.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            8 => Self::Bits8,
            9 => Self::Bits9,
            10 => Self::Bits10,
            11 => Self::Bits11,
            12 => Self::Bits12,
            13 => Self::Bits13,
            14 => Self::Bits14,
            15 => Self::Bits15,
            _ => return None,
        })
    }

    /// From 8 to 15.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The size of the window in bytes.
    pub const fn size(self) -> usize {
        1 << self as u8
    }
}

/// Extensions and their parameters are compared with their case, as all tokens that are not said to have none.
const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
