//! Limits, switches and deadlines, with their defaults.

use core::time::Duration;

#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::frame::Lengths;

/// The limits, switches and deadlines of a connection. Every limit is on by default.
///
/// | setting | default | unit |
/// |---|---|---|
/// | `max_message_size` | 1048576 | bytes |
/// | `max_streamed_size` | 1073741824 | bytes |
/// | `max_fragments` | 131072 | frames |
/// | `accept_long_lengths` | false | |
/// | `outbox_capacity` | 2097152 | bytes |
/// | `outbox_high_water` | 65536 | bytes |
/// | `max_head_size` | 16384 | bytes |
/// | `max_headers` | 64 | header lines |
/// | `max_target_size` | 8192 | bytes |
/// | `max_body_size` | 16384 | bytes |
/// | `require_subprotocol` | false | |
/// | `handshake_timeout` | 10s | |
/// | `ping_interval` | 20s | |
/// | `pong_timeout` | 20s | |
/// | `write_timeout` | 30s | |
/// | `close_timeout` | 10s | |
/// | `idle_timeout` | None | |
/// | `statistics` | false | |
/// | `deflate` | None | |
///
/// A deadline of `None` does not exist. Deadlines are kept in whole milliseconds: parts of one are cut off, and more than
/// 49 days count as 49. The two sizes of the outbox count as 4 GiB if they are more.
///
/// ```
/// use std::time::Duration;
/// use sockeye::Config;
///
/// const CONFIG: Config = Config::DEFAULT
///     .max_message_size(64 << 20)
///     .ping_interval(Some(Duration::from_secs(5)));
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Config {
    pub(crate) max_message_size: usize,
    pub(crate) max_streamed_size: u64,
    pub(crate) max_fragments: u32,
    pub(crate) lengths: Lengths,
    pub(crate) outbox_capacity: usize,
    pub(crate) outbox_high_water: usize,
    pub(crate) max_head_size: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_target_size: usize,
    pub(crate) max_body_size: usize,
    pub(crate) require_subprotocol: bool,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) statistics: bool,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<Deflate>,
    pub(crate) masking_key: MaskingKey,
}

/// A source of masking keys: a new, unpredictable one at each call (RFC 6455 §10.3).
pub type MaskingKey = fn() -> [u8; 4];

impl Config {
    /// The defaults of the table above, with masking keys from a cryptographically strong generator that the
    /// operating system seeds.
    #[cfg(feature = "std")]
    pub const DEFAULT: Self = Self::new(crate::random::key);

    /// The defaults of the table above, with masking keys from `masking_key`.
    ///
    /// Only clients draw keys. Each must be new and unpredictable: whoever can foresee it can put bytes of his choice
    /// on the wire and poison the caches of broken proxies (RFC 6455 §10.3).
    pub const fn new(masking_key: MaskingKey) -> Self {
        Self {
            max_message_size: 1 << 20,
            max_streamed_size: 1 << 30,
            max_fragments: 1 << 17,
            lengths: Lengths::Shortest,
            outbox_capacity: 2 << 20,
            outbox_high_water: 64 << 10,
            max_head_size: 16 << 10,
            max_headers: 64,
            max_target_size: 8 << 10,
            max_body_size: 16 << 10,
            require_subprotocol: false,
            handshake_timeout: Some(Duration::from_secs(10)),
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Some(Duration::from_secs(20)),
            write_timeout: Some(Duration::from_secs(30)),
            close_timeout: Some(Duration::from_secs(10)),
            idle_timeout: None,
            statistics: false,
            #[cfg(feature = "deflate")]
            deflate: None,
            masking_key,
        }
    }

    /// Lifts the limits on messages, their fragments and the outbox; those on the handshake, and the deadlines, stay.
    /// Only for peers that are trusted as much as this program itself.
    pub const fn unlimited(mut self) -> Self {
        self.max_message_size = usize::MAX;
        self.max_streamed_size = u64::MAX;
        self.max_fragments = u32::MAX;
        self.outbox_capacity = usize::MAX;
        self
    }

    /// The largest message [`Reader::next`](crate::Reader::next) puts together, in bytes over all its fragments, and
    /// inflated if it was compressed. A larger one fails the connection with 1009.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The largest message [`Reader::next_part`](crate::Reader::next_part) passes through piece by piece, in bytes. A
    /// larger one fails the connection with 1009.
    pub const fn max_streamed_size(mut self, bytes: u64) -> Self {
        self.max_streamed_size = bytes;
        self
    }

    /// The largest number of frames one message may be cut into, at least one; more fail the connection with 1009. A
    /// compressed message may have as many final DEFLATE blocks, but no more than 1024.
    pub const fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = if frames == 0 { 1 } else { frames };
        self
    }

    /// Accepts payload lengths that are not in their shortest form, which RFC 6455 §5.2 forbids.
    pub const fn accept_long_lengths(mut self, accept: bool) -> Self {
        self.lengths = if accept { Lengths::Any } else { Lengths::Shortest };
        self
    }

    /// How many bytes may wait to leave before a send is refused, in bytes. The limit is soft for one message: it is
    /// accepted while less than this waits, however large it is.
    ///
    /// Who answers each message of an input before writing anything, by [`Connection::next_with_writer`], needs room for
    /// all of these answers. The default has it for an echo of messages of the default size, in inputs of up to 256 KiB.
    ///
    /// [`Connection::next_with_writer`]: crate::Connection::next_with_writer
    pub const fn outbox_capacity(mut self, bytes: usize) -> Self {
        self.outbox_capacity = bytes;
        self
    }

    /// With this many bytes waiting, a driver's `feed` and `send` wait; with more bytes of answers, so does its
    /// `recv`, so that a peer that does not read cannot make us answer more. A mark that is not below
    /// [`outbox_capacity`](Self::outbox_capacity) counts as just below it.
    pub const fn outbox_high_water(mut self, bytes: usize) -> Self {
        self.outbox_high_water = bytes;
        self
    }

    /// The largest head of a request or response, in bytes up to and including the empty line. A server answers
    /// a larger one with 431; for a client it is a `HeadError`.
    pub const fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = bytes;
        self
    }

    /// The largest number of header lines, repeated ones included. A server answers more with 431; for a
    /// client they are a `HeadError`.
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.max_headers = lines;
        self
    }

    /// The longest request target, in bytes. Longer: 414.
    pub const fn max_target_size(mut self, bytes: usize) -> Self {
        self.max_target_size = bytes;
        self
    }

    /// How much of the body of a refusal a client keeps, in bytes.
    pub const fn max_body_size(mut self, bytes: usize) -> Self {
        self.max_body_size = bytes;
        self
    }

    /// Whether a client that offered subprotocols fails when the server chose none. RFC 6455 lets it go on; browsers
    /// fail.
    pub const fn require_subprotocol(mut self, require: bool) -> Self {
        self.require_subprotocol = require;
        self
    }

    /// How long the opening handshake may take.
    pub const fn handshake_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How often a ping asks whether the peer is alive, however much it sends.
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How long after a ping some byte, not necessarily the pong, must have come.
    pub const fn pong_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.pong_timeout = timeout;
        self
    }

    /// How long a write may go without any progress.
    pub const fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long the closing handshake, and the wait for the end of the stream after it, may take.
    pub const fn close_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long the connection may go without a message, or a part of one, in either direction, before this end closes it
    /// with 1001: nothing has gone wrong, and who wants to come back may. That is no failure of the connection. Pings and
    /// pongs are no messages, so that keepalive does not keep it open, and what waits to leave is none that has.
    pub const fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Whether messages, frames and bytes are counted, see [`Counts`](crate::Counts). A connection then owns about a
    /// hundred bytes of heap for it.
    pub const fn statistics(mut self, count: bool) -> Self {
        self.statistics = count;
        self
    }

    /// Whether permessage-deflate (RFC 7692) is offered and accepted, and how it is used. `None` is without
    /// compression, see [`deflate`](crate::deflate).
    #[cfg(feature = "deflate")]
    pub const fn deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self
    }
}

#[cfg(feature = "std")]
impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl core::fmt::Debug for Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut config = f.debug_struct("Config");
        config
            .field("max_message_size", &self.max_message_size)
            .field("max_streamed_size", &self.max_streamed_size)
            .field("max_fragments", &self.max_fragments)
            .field("accept_long_lengths", &(self.lengths == Lengths::Any))
            .field("outbox_capacity", &self.outbox_capacity)
            .field("outbox_high_water", &self.outbox_high_water)
            .field("max_head_size", &self.max_head_size)
            .field("max_headers", &self.max_headers)
            .field("max_target_size", &self.max_target_size)
            .field("max_body_size", &self.max_body_size)
            .field("require_subprotocol", &self.require_subprotocol)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("pong_timeout", &self.pong_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("close_timeout", &self.close_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("statistics", &self.statistics);
        #[cfg(feature = "deflate")]
        config.field("deflate", &self.deflate);
        config.finish_non_exhaustive()
    }
}
