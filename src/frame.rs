//! The frame header of RFC 6455 §5.2, to and from bytes. Values only: no state, no buffer, no policy.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |   (16 or 64 bits, if the      |
//! |N|V|V|V|       |S|             |    7 bits are 126 or 127)     |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
//! |  masking key (32 bits, if MASK is set), then the payload      |
//! +---------------------------------------------------------------+
//! ```

use alloc::vec::Vec;

use crate::error::ProtocolError;

/// Which end of the connection this is. Clients mask what they send, servers do not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that sent the opening handshake.
    Client,
    /// The end that answered it.
    Server,
}

/// What a frame carries (RFC 6455 §5.2). The reserved opcodes 3–7 and 11–15 have no value here: they are an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message under way (0).
    Continuation = 0,
    /// The first or only frame of a text message (1).
    Text = 1,
    /// The first or only frame of a binary message (2).
    Binary = 2,
    /// The closing handshake (8).
    Close = 8,
    /// A ping, to be answered by a pong (9).
    Ping = 9,
    /// The answer to a ping, or an unsolicited heartbeat (10).
    Pong = 10,
}

impl Opcode {
    /// The opcode of these four bits, or `None` if they are reserved.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is Close, Ping or Pong (RFC 6455 §5.5).
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0b1000 != 0
    }
}

/// The largest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The header of one frame.
///
/// ```
/// use sockeye::frame::{FrameHeader, Opcode};
///
/// // RFC 6455 §5.7: a single-frame unmasked text message that contains "Hello"
/// let (header, size) = FrameHeader::parse(b"\x81\x05Hello")?.expect("a whole header");
/// assert_eq!((header.opcode, header.len, size), (Opcode::Text, 5, 2));
/// assert_eq!(header.encode().as_ref(), b"\x81\x05");
/// # Ok::<_, sockeye::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// This is the last frame of its message.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3, as the bits 4, 2 and 1. Zero unless an extension gives them a meaning.
    pub rsv: u8,
    /// What the frame carries.
    pub opcode: Opcode,
    /// The masking key, in a frame from a client.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes, at most 2^63 − 1.
    pub len: u64,
}

impl FrameHeader {
    /// The size of the longest header, in bytes.
    pub const MAX_SIZE: usize = 14;

    /// Reads the header that `bytes` begin with, and its size in bytes; `None` if it is not there in full yet.
    ///
    /// Bytes are judged in the order in which they arrive, so that a longer input never turns one error into another,
    /// and a reserved opcode is refused by the first byte alone.
    ///
    /// # Errors
    /// A reserved opcode, a control frame that is fragmented or longer than 125 bytes (§5.5), a length that is not in
    /// its shortest form or whose highest bit is set (§5.2). Masking and RSV bits are for the caller to judge.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        Self::parse_with(bytes, Lengths::Shortest)
    }

    #[inline]
    pub(crate) fn parse_with(bytes: &[u8], lengths: Lengths) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let Some(opcode) = Opcode::from_bits(first & 0b1111) else {
            return Err(ProtocolError::ReservedOpcode(first & 0b1111));
        };
        let fin = first & 0b1000_0000 != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControlFrame);
        }

        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let short = second & 0b0111_1111;
        if opcode.is_control() && short as usize > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlFrameTooLong);
        }

        let (len, mask_at) = match short {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
                Some(long) => (u64::from_be_bytes(long), 10),
                None => return Ok(None),
            },
            len => (u64::from(len), 2),
        };
        if len > i64::MAX as u64 {
            return Err(ProtocolError::LengthOverflow);
        }
        if lengths == Lengths::Shortest && mask_at != length_end(len) {
            return Err(ProtocolError::NonMinimalLength);
        }

        let masked = second & 0b1000_0000 != 0;
        let (mask, size) = if masked {
            match bytes.get(mask_at..mask_at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()) {
                Some(key) => (Some(key), mask_at + 4),
                None => return Ok(None),
            }
        } else {
            (None, mask_at)
        };
        let rsv = first >> 4 & 0b111;
        Ok(Some((Self { fin, rsv, opcode, mask, len }, size)))
    }

    /// The bytes of this header, the length in its shortest form (§5.2).
    #[inline]
    pub fn encode(&self) -> HeaderBytes {
        Start(u8::from(self.fin) << 7 | (self.rsv & 0b111) << 4 | self.opcode as u8).header(self.mask, self.len)
    }
}

/// The first byte of a header.
#[derive(Clone, Copy)]
pub(crate) struct Start(u8);

impl Start {
    #[inline]
    pub(crate) const fn new(fin: bool, opcode: Opcode) -> Self {
        Self((fin as u8) << 7 | opcode as u8)
    }

    /// Of a frame on its own.
    #[inline]
    pub(crate) const fn whole(opcode: Opcode) -> Self {
        Self::new(true, opcode)
    }

    /// The same of a compressed message (RFC 7692 §6).
    #[inline]
    pub(crate) const fn compressed(self) -> Self {
        Self(self.0 | RSV1 << 4)
    }

    /// The header that begins like this, the length in its shortest form (§5.2).
    #[inline]
    pub(crate) fn header(self, mask: Option<[u8; 4]>, len: u64) -> HeaderBytes {
        // As one number, the first byte lowest: that takes no stores of single bytes.
        let (short, extended, mask_at) = if len <= 125 {
            (len as u8, 0, 2)
        } else if len <= 0xffff {
            (126, u64::from((len as u16).swap_bytes()), 4)
        } else {
            (127, len.swap_bytes(), 10)
        };
        let mut second = short;
        let (mut bits, mut size) = (u128::from(extended) << 16, mask_at);
        if let Some(key) = mask {
            second |= 0b1000_0000;
            bits |= u128::from(u32::from_le_bytes(key)) << (8 * mask_at);
            size += 4;
        }
        bits |= u128::from(self.0) | u128::from(second) << 8;
        HeaderBytes { bytes: bits.to_le_bytes(), size: size as u8 }
    }
}

/// RSV1 among the bits of [`FrameHeader::rsv`].
pub(crate) const RSV1: u8 = 0b100;

/// The bytes of one header, from [`FrameHeader::encode`].
#[derive(Clone, Copy, Debug)]
pub struct HeaderBytes {
    bytes: [u8; HeaderBytes::ROOM],
    size: u8,
}

impl HeaderBytes {
    /// How much they are written into.
    pub(crate) const ROOM: usize = 16;

    /// Appends them to a buffer. A copy of one size, of which the rest is cut off, is quicker than one of many sizes.
    #[inline]
    pub(crate) fn append_to(&self, buffer: &mut Vec<u8>) {
        let end = buffer.len() + self.size as usize;
        buffer.extend_from_slice(&self.bytes);
        buffer.truncate(end);
    }
}

impl AsRef<[u8]> for HeaderBytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.size as usize).unwrap_or_default()
    }
}

/// Which encodings of a length are accepted from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// "The minimal number of bytes MUST be used" (§5.2).
    Shortest,
    /// Any, for peers that get this wrong.
    Any,
}

/// Where the length field ends when written in its shortest form.
#[inline]
const fn length_end(len: u64) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_survives_the_round_trip_and_every_prefix_waits() {
        for opcode in (0..16).filter_map(Opcode::from_bits) {
            for len in [0, 1, 125, 126, 127, 65_535, 65_536, u64::from(u32::MAX), i64::MAX as u64] {
                for mask in [None, Some([1, 2, 3, 4])] {
                    for rsv in 0..8 {
                        if opcode.is_control() && len > 125 {
                            continue;
                        }
                        let header = FrameHeader { fin: true, rsv, opcode, mask, len };
                        let bytes = header.encode();
                        let bytes = bytes.as_ref();
                        assert_eq!(FrameHeader::parse(bytes), Ok(Some((header, bytes.len()))));
                        for cut in 0..bytes.len() {
                            assert_eq!(FrameHeader::parse(&bytes[..cut]), Ok(None), "{header:?} cut at {cut}");
                        }
                    }
                }
            }
        }
    }
}
