//! A list of header fields: what every form of a message is read into, and what extra headers are kept in.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::error::InvalidArgument;
use super::lists::is_token;

/// The header lines of a request or response, in their order, repeated ones included.
///
/// Values are bytes without the white space around them. `Debug` shows the names alone, because values may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq)]
struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| {
            let name = self.text.get(line.name.clone()).unwrap_or_default();
            let value = self.text.get(line.value.clone()).unwrap_or_default();
            (str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    /// The value of the first line with this name, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines with this name, in any case.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), lines: Vec::with_capacity(lines) }
    }

    /// The value, if exactly one line has this name.
    pub(crate) fn only(&self, name: &str) -> Found<'_> {
        let mut values = self.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Found::Nothing,
            (Some(value), None) => Found::Once(value),
            (Some(_), Some(_)) => Found::Repeated,
        }
    }

    /// Adds a line that a parser has checked.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
        let name = self.append(name.as_bytes());
        let value = self.append(trim(value));
        self.lines.push(Line { name, value });
    }

    /// Adds a line of the caller's: one that would change the meaning of the others must not get through.
    pub(crate) fn push_checked(&mut self, name: &str, value: &[u8], reserved: &[&str]) -> Result<(), InvalidArgument> {
        if !is_token(name) {
            // Whoever passes a whole line as the name does not want to see its value in a log.
            let start = name.split(|char: char| !char.is_ascii_alphanumeric() && char != '-').next();
            return Err(InvalidArgument::HeaderName(start.unwrap_or_default().into()));
        }
        if reserved.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(InvalidArgument::ReservedHeader(name.into()));
        }
        if value.iter().any(|&byte| is_control(byte)) {
            return Err(InvalidArgument::HeaderValue(name.into()));
        }
        self.push(name, value);
        Ok(())
    }

    /// Writes all lines as HTTP/1.1.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            write_line(out, name, value);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// How often a header that may come once was found.
pub(crate) enum Found<'a> {
    Nothing,
    Once(&'a [u8]),
    Repeated,
}

pub(crate) fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What a header value must not contain (RFC 9110 §5.5); of these, CR, LF and NUL would end or split the line.
pub(crate) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
