//! UTF-8 validation of a text that arrives in pieces (RFC 6455 §8.1). A character cut by the end of a piece is carried
//! over, so that every byte is looked at once and the first wrong one fails at once.

use core::str;

/// The validator's memory between two pieces: the first bytes of a character that is not complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Utf8 {
    carry: [u8; 4],
    len: u8,
}

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// A piece of text, cut where its characters end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// The character that the piece before began and this one completed.
    pub(crate) completed: Option<char>,
    /// Where the whole characters that follow it begin and end in this piece.
    pub(crate) whole: (usize, usize),
}

impl Utf8 {
    /// Takes the next piece.
    #[inline]
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Pieces, InvalidUtf8> {
        let (completed, start) = if self.len == 0 { (None, 0) } else { self.complete(piece)? };
        if self.len != 0 {
            return Ok(Pieces { completed, whole: (start, start) });
        }
        let rest = piece.get(start..).unwrap_or_default();
        let end = match validate(rest) {
            Ok(()) => rest.len(),
            Err(valid) => self.carry_over(rest.get(valid..).unwrap_or_default()).map(|()| valid)?,
        };
        Ok(Pieces { completed, whole: (start, start + end) })
    }

    /// How many bytes wait for the rest of their character, at most three.
    #[inline]
    pub(crate) fn carried(&self) -> usize {
        self.len as usize
    }

    /// The bytes that wait for the rest of their character.
    pub(crate) fn carry(&self) -> &[u8] {
        self.carry.get(..self.carried()).unwrap_or_default()
    }

    /// Ends the text: no character may be left incomplete.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result<(), InvalidUtf8> {
        if self.len == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Continues the carried character with the first bytes of `piece`; also tells how many of them it took.
    fn complete(&mut self, piece: &[u8]) -> Result<(Option<char>, usize), InvalidUtf8> {
        for (index, &byte) in piece.iter().enumerate() {
            *self.carry.get_mut(self.len as usize).ok_or(InvalidUtf8)? = byte;
            self.len += 1;
            let so_far = self.carry.get(..self.carried()).unwrap_or_default();
            #[cfg(test)]
            tests::look_at(so_far.len());
            match str::from_utf8(so_far) {
                Ok(text) => {
                    self.len = 0;
                    return Ok((text.chars().next(), index + 1));
                }
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                Err(_) => {}
            }
        }
        Ok((None, piece.len()))
    }

    /// Keeps the bytes of a character that may yet become valid.
    fn carry_over(&mut self, incomplete: &[u8]) -> Result<(), InvalidUtf8> {
        match (str::from_utf8(incomplete), self.carry.get_mut(..incomplete.len())) {
            (Err(error), Some(room)) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                room.copy_from_slice(incomplete);
                self.len = incomplete.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

/// Validates a whole text.
#[inline]
pub(crate) fn is_valid(text: &[u8]) -> bool {
    #[cfg(test)]
    tests::look_at(text.len());
    #[cfg(feature = "std")]
    return simdutf8::basic::from_utf8(text).is_ok();
    #[cfg(not(feature = "std"))]
    return str::from_utf8(text).is_ok();
}

/// Validates, and tells on failure how many bytes from the start are whole characters.
#[inline]
fn validate(text: &[u8]) -> Result<(), usize> {
    #[cfg(test)]
    tests::look_at(text.len());
    #[cfg(feature = "std")]
    return simdutf8::compat::from_utf8(text).map(drop).map_err(|error| error.valid_up_to());
    #[cfg(not(feature = "std"))]
    return str::from_utf8(text).map(drop).map_err(|error| error.valid_up_to());
}

#[cfg(test)]
mod tests {
    extern crate std; // in builds without the feature too

    use super::*;
    use crate::{Agreed, Config, Connection, Event, Role};
    use alloc::{string::String, vec, vec::Vec};
    use core::cell::Cell;

    std::thread_local! {
        /// How many bytes this thread has looked at, the same one as often as it was looked at.
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn look_at(count: usize) {
        LOOKED_AT.with(|sum| sum.set(sum.get() + count));
    }

    /// Sequences from the Unicode standard's table 3-7 and its edges, and what surrounds them.
    fn samples() -> Vec<Vec<u8>> {
        let mut samples: Vec<Vec<u8>> =
            ["", "a", "é", "\u{7ff}", "\u{800}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "κόσμε"]
                .into_iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
        for wrong in [
            &[0x80][..],
            &[0xc0, 0x80],
            &[0xc1, 0xbf],
            &[0xe0, 0x9f, 0xbf],
            &[0xed, 0xa0, 0x80],
            &[0xf0, 0x8f, 0xbf, 0xbf],
            &[0xf4, 0x90, 0x80, 0x80],
            &[0xf5],
            &[0xff],
            &[0xce],
            &[0xe2, 0x82],
            &[0xf0, 0x9f, 0x92],
            &[0xce, 0x41],
        ] {
            for prefix in ["", "x", "é"] {
                let mut sample = prefix.as_bytes().to_vec();
                sample.extend(wrong);
                samples.push(sample.clone());
                sample.extend(b"tail");
                samples.push(sample);
            }
        }
        samples
    }

    #[test]
    fn any_two_cuts_give_the_text_or_the_failure_of_the_whole() {
        for sample in samples() {
            for first in 0..=sample.len() {
                for second in first..=sample.len() {
                    let mut utf8 = Utf8::default();
                    let mut text = String::new();
                    let mut take = |piece: &[u8]| {
                        let pieces = utf8.push(piece)?;
                        text.extend(pieces.completed);
                        text.push_str(
                            str::from_utf8(&piece[pieces.whole.0..pieces.whole.1]).expect("whole characters"),
                        );
                        Ok::<_, InvalidUtf8>(())
                    };
                    let result = take(&sample[..first])
                        .and_then(|()| take(&sample[first..second]))
                        .and_then(|()| take(&sample[second..]))
                        .and_then(|()| utf8.finish());
                    assert_eq!(result.is_ok(), str::from_utf8(&sample).is_ok(), "{sample:x?} at {first}, {second}");
                    if result.is_ok() {
                        assert_eq!(text.as_bytes(), sample);
                    }
                }
            }
        }
    }

    #[test]
    fn a_wrong_byte_fails_at_once() {
        for sample in samples() {
            let Err(error) = str::from_utf8(&sample) else { continue };
            let Some(_) = error.error_len() else { continue };
            let failed_at = (0..sample.len()).find(|&at| {
                let mut utf8 = Utf8::default();
                sample[..=at].iter().any(|&byte| utf8.push(&[byte]).is_err())
            });
            let must_fail_at = (0..sample.len())
                .find(|&at| matches!(str::from_utf8(&sample[..=at]), Err(error) if error.error_len().is_some()));
            assert_eq!(failed_at, must_fail_at, "{sample:x?}");
        }
        assert!(is_valid(&vec![b'a'; 1000]));
        assert!(!is_valid(&[&[b'a'; 1000][..], &[0xff]].concat()));
    }

    /// C2: the work on a text is a fixed number of looks at each of its bytes, however it is cut into frames and reads.
    #[test]
    fn c2_no_byte_of_a_text_is_validated_again() {
        let text = "\u{3ba}\u{1f980}a".repeat(10_000);
        for frame in [1, 2, 3, 100, 125] {
            let mut stream = vec![0x01, 0x00];
            for payload in text.as_bytes().chunks(frame) {
                stream.extend([0x00, payload.len() as u8]);
                stream.extend(payload);
            }
            stream.extend([0x80, 0x00]);
            for read in [1, 2, 7, 1_000, stream.len()] {
                let config = Config::new(|| [0; 4]);
                let (mut reader, _) = Connection::open(Role::Client, Agreed::default(), &config).split();
                LOOKED_AT.with(|sum| sum.set(0));
                let mut whole = None;
                for piece in stream.clone().chunks_mut(read) {
                    let mut input = piece;
                    while let Some(event) = reader.next(&mut input).expect("valid") {
                        let Event::Message(message) = event else { panic!("a message") };
                        whole = Some(message.as_bytes() == text.as_bytes());
                    }
                }
                assert_eq!(whole, Some(true));
                let looks = LOOKED_AT.with(Cell::get);
                assert!(looks >= text.len() && looks <= 3 * text.len(), "{looks} looks at {} bytes", text.len());
            }
        }
    }
}
