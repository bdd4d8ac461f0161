//! The start of a refusal's body (RFC 9112 §6), for people to read: bounded, and without complaint where it is broken.

use alloc::vec::Vec;

use super::headers::Headers;
use super::lists::contains_word;

/// A body under way.
pub(crate) struct Body {
    kept: Vec<u8>,
    limit: usize,
    framing: Framing,
    /// How many more bytes may say how the body is cut, rather than be of it.
    overhead: usize,
}

enum Framing {
    /// This many bytes are to come.
    Length(u64),
    Chunked(Chunk),
    /// All that comes until the stream ends.
    UntilEnd,
}

/// Where in a chunked body the next byte belongs (RFC 9112 §7.1).
enum Chunk {
    Size {
        so_far: u64,
    },
    /// The rest of the size's line.
    Extension {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// The line end behind the data.
    DataEnd,
}

impl Body {
    pub(crate) fn new(status: u16, headers: &Headers, limit: usize) -> Self {
        Self { kept: Vec::new(), limit, framing: framing(status, headers), overhead: limit }
    }

    /// Takes the bytes of a body, and tells whether it is complete, or as much of it as is kept.
    pub(crate) fn receive(&mut self, mut input: &[u8]) -> bool {
        while !self.is_complete() {
            let Some((&next, rest)) = input.split_first() else { return false };
            self.framing = match &self.framing {
                Framing::UntilEnd => {
                    self.keep(&mut input, u64::MAX);
                    Framing::UntilEnd
                }
                &Framing::Length(left) => Framing::Length(left - self.keep(&mut input, left)),
                &Framing::Chunked(Chunk::Data { left }) => match left - self.keep(&mut input, left) {
                    0 => Framing::Chunked(Chunk::DataEnd),
                    left => Framing::Chunked(Chunk::Data { left }),
                },
                Framing::Chunked(_) if self.overhead == 0 => Framing::Length(0),
                Framing::Chunked(chunk) => {
                    input = rest;
                    self.overhead -= 1;
                    chunk.line(next)
                }
            };
        }
        true
    }

    pub(crate) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    fn is_complete(&self) -> bool {
        self.kept.len() >= self.limit || matches!(self.framing, Framing::Length(0))
    }

    /// Keeps up to `count` bytes, as the limit allows, and tells how many.
    fn keep(&mut self, input: &mut &[u8], count: u64) -> u64 {
        let room = self.limit - self.kept.len();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(room).min(input.len());
        let (kept, rest) = input.split_at_checked(count).unwrap_or_default();
        self.kept.extend_from_slice(kept);
        *input = rest;
        count as u64
    }
}

impl Chunk {
    /// What comes behind this byte of a line. Anything that is no chunk ends the body.
    fn line(&self, byte: u8) -> Framing {
        Framing::Chunked(match (self, byte) {
            (Self::Size { so_far: size } | Self::Extension { size }, b'\n') if *size == 0 => return Framing::Length(0),
            (Self::Size { so_far: size } | Self::Extension { size }, b'\n') => Self::Data { left: *size },
            (Self::Extension { size }, _) => Self::Extension { size: *size },
            (Self::Size { so_far }, byte) => match (byte as char).to_digit(16) {
                Some(digit) => match so_far.checked_mul(16) {
                    Some(size) => Self::Size { so_far: size | u64::from(digit) },
                    None => return Framing::Length(0),
                },
                None => Self::Extension { size: *so_far },
            },
            (Self::DataEnd, b'\n') => Self::Size { so_far: 0 },
            (Self::DataEnd, b'\r') => Self::DataEnd,
            _ => return Framing::Length(0),
        })
    }
}

/// RFC 9112 §6.3.
fn framing(status: u16, headers: &Headers) -> Framing {
    if matches!(status, 204 | 304) {
        return Framing::Length(0);
    }
    if let Some(coding) = headers.get("Transfer-Encoding") {
        let is_chunked = contains_word(coding, "chunked");
        return if is_chunked { Framing::Chunked(Chunk::Size { so_far: 0 }) } else { Framing::UntilEnd };
    }
    let length = headers.get("Content-Length").and_then(|length| str::from_utf8(length).ok()?.parse().ok());
    length.map_or(Framing::UntilEnd, Framing::Length)
}
