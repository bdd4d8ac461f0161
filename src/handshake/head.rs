//! The head of a request or response, from bytes that come in any pieces.
//!
//! Each byte is looked at once as it comes: line ends are checked, and the limits hold before anything is parsed. When
//! the empty line has come, `httparse` reads the header lines, once.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::HeadError;
use super::headers::{Headers, is_control};
use crate::config::Config;

/// A head under way. It owns the bytes received so far and nothing else.
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    limits: Limits,
    kind: HeadKind,
    place: Place,
    #[cfg(test)]
    scanned: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Request,
    Response,
}

/// A whole head, not yet judged.
pub(crate) struct Head {
    pub(crate) start_line: Box<[u8]>,
    pub(crate) headers: Headers,
}

struct Limits {
    size: usize,
    headers: usize,
    target: usize,
}

/// Where in the head the next byte belongs, with the counts that limits are on.
#[derive(Default)]
struct Place {
    /// Bytes so far, empty lines before the start line included.
    size: usize,
    in_headers: bool,
    /// Bytes so far in this line.
    column: usize,
    after_cr: bool,
    /// Spaces so far in the start line; the target of a request is behind the first.
    spaces: usize,
    target: usize,
    headers: usize,
}

impl HeadBuffer {
    pub(crate) fn new(kind: HeadKind, config: &Config) -> Self {
        let target = if kind == HeadKind::Request { config.max_target_size } else { usize::MAX };
        let limits = Limits { size: config.max_head_size, headers: config.max_headers, target };
        Self {
            bytes: Vec::new(),
            limits,
            kind,
            place: Place::default(),
            #[cfg(test)]
            scanned: 0,
        }
    }

    /// Takes bytes up to the end of the head, and leaves the rest in `input`.
    pub(crate) fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Head>, HeadError> {
        let whole = *input;
        *input = &[];
        for (at, &byte) in whole.iter().enumerate() {
            if self.scan(byte)? {
                let (head, rest) = whole.split_at_checked(at + 1).unwrap_or((whole, &[]));
                *input = rest;
                self.bytes.extend_from_slice(head);
                return self.finish().map(Some);
            }
        }
        self.bytes.extend_from_slice(whole);
        Ok(None)
    }

    /// Whether nothing has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.place.size == 0
    }

    /// Looks at the next byte, and tells whether it ends the head.
    #[inline]
    fn scan(&mut self, byte: u8) -> Result<bool, HeadError> {
        #[cfg(test)]
        {
            self.scanned += 1;
        }
        let place = &mut self.place;
        place.size += 1;
        if place.size > self.limits.size {
            return Err(HeadError::TooLarge { limit: self.limits.size });
        }
        match byte {
            b'\n' if place.after_cr => return self.end_line(),
            _ if place.after_cr => return Err(HeadError::BareCarriageReturn),
            b'\r' => place.after_cr = true,
            b'\n' => return Err(HeadError::BareLineFeed),
            _ if is_control(byte) => return Err(HeadError::ControlCharacter),
            _ => {
                if place.in_headers {
                    self.scan_header(byte)?
                } else {
                    self.scan_start_line(byte)?
                }
                self.place.column += 1;
            }
        }
        Ok(false)
    }

    fn scan_start_line(&mut self, byte: u8) -> Result<(), HeadError> {
        let place = &mut self.place;
        if byte == b' ' {
            place.spaces += 1;
        } else if place.spaces == 1 {
            place.target += 1;
            if place.target > self.limits.target {
                return Err(HeadError::TargetTooLong { limit: self.limits.target });
            }
        }
        Ok(())
    }

    fn scan_header(&mut self, byte: u8) -> Result<(), HeadError> {
        if self.place.column > 0 {
            return Ok(());
        }
        if matches!(byte, b' ' | b'\t') {
            return Err(HeadError::FoldedLine);
        }
        self.place.headers += 1;
        if self.place.headers > self.limits.headers {
            return Err(HeadError::TooManyHeaders { limit: self.limits.headers });
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<bool, HeadError> {
        let place = &mut self.place;
        let is_empty = place.column == 0;
        place.after_cr = false;
        place.column = 0;
        if place.in_headers {
            return Ok(is_empty);
        }
        // RFC 9112 §2.2: a server ignores empty lines before the request line. They count towards the head's size.
        if is_empty && self.kind == HeadKind::Response {
            return Err(HeadError::StartLine);
        }
        place.in_headers = !is_empty;
        Ok(false)
    }

    /// Parses the complete head, and makes ready for another.
    fn finish(&mut self) -> Result<Head, HeadError> {
        let bytes = core::mem::take(&mut self.bytes);
        let place = core::mem::take(&mut self.place);
        let mut head = &bytes[..];
        while let Some(rest) = head.strip_prefix(b"\r\n") {
            head = rest;
        }
        let end = head.iter().position(|&byte| byte == b'\r').unwrap_or(head.len());
        let (start_line, rest) = head.split_at_checked(end).unwrap_or_default();
        let lines = rest.strip_prefix(b"\r\n").unwrap_or_default();
        Ok(Head { start_line: start_line.into(), headers: parse_headers(lines, place.headers)? })
    }
}

fn parse_headers(lines: &[u8], count: usize) -> Result<Headers, HeadError> {
    let mut parsed = alloc::vec![httparse::EMPTY_HEADER; count];
    match httparse::parse_headers(lines, &mut parsed) {
        Ok(httparse::Status::Complete((_, parsed))) => {
            let mut headers = Headers::with_capacity(parsed.len(), lines.len());
            parsed.iter().for_each(|header| headers.push(header.name, header.value));
            Ok(headers)
        }
        _ => Err(HeadError::HeaderLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C1: the work on a head is the number of its bytes, however it is cut.
    #[test]
    fn c1_each_byte_of_a_head_is_scanned_once() {
        let config = Config::new(|| [0; 4]);
        let mut head = alloc::string::String::from("GET / HTTP/1.1\r\n");
        while head.len() < 16_000 {
            head.push_str("X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
            head.push_str(&"a".repeat(400));
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        for size in [1, 7, 4096, head.len()] {
            let mut buffer = HeadBuffer::new(HeadKind::Request, &config);
            let mut complete = None;
            for mut piece in head.as_bytes().chunks(size) {
                complete = buffer.receive(&mut piece).unwrap_or(None);
            }
            assert!(complete.is_some());
            assert_eq!(buffer.scanned, head.len());
        }
    }
}
