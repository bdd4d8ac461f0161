//! The bodies of the fuzz targets of the core. A panic is a find.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use bytes::BufMut;
use sockeye::frame::FrameHeader;
use sockeye::{Agreed, Config, Connection, Event, Message, Part, ProtocolError, Reader, Role};

use crate::naive::{self, Limits};

/// A header that is read is written again as the same bytes, and no prefix of it says anything else.
pub fn frame_header(data: &[u8]) {
    let parsed = FrameHeader::parse(data);
    for len in 0..data.len().min(FrameHeader::MAX_SIZE) {
        let earlier = FrameHeader::parse(&data[..len]);
        assert!(earlier == Ok(None) || earlier == parsed, "a longer input changes what a shorter one said");
    }
    if let Ok(Some((header, size))) = parsed {
        assert_eq!(header.encode().as_ref(), &data[..size]);
        assert_eq!(FrameHeader::parse(&data[..size]), parsed);
    }
}

/// The first bytes choose the role, the limits and how the rest is cut and read; the naive decoder tells what must
/// come of it.
pub fn decode(data: &[u8]) {
    let Some((&[switches, ref cuts @ ..], stream)) = data.split_first_chunk::<5>() else { return };
    let cuts = *cuts;
    let role = if switches & 1 == 0 { Role::Client } else { Role::Server };
    let limits = Limits {
        max_message_size: if switches & 2 == 0 { 1 << 20 } else { 100 },
        max_fragments: if switches & 4 == 0 { 1 << 17 } else { 3 },
        accept_long_lengths: switches & 8 != 0,
    };
    let config = Config::DEFAULT
        .max_message_size(limits.max_message_size as usize)
        .max_streamed_size(limits.max_message_size)
        .max_fragments(limits.max_fragments)
        .accept_long_lengths(limits.accept_long_lengths);
    let expected = naive::decode(role, limits, stream);

    let mut received = Received::new(role, &config);
    received.read_all(stream, cuts);
    assert_eq!((received.events, received.error), expected, "whole messages");

    let mut received = Received::new(role, &config);
    received.in_parts = true;
    received.read_all(stream, cuts);
    assert_eq!((received.events, received.error), expected, "parts");

    // Parts from some position on are the same messages.
    let mut received = Received::new(role, &config);
    let (front, back) = stream.split_at(stream.len().min(cuts[0] as usize));
    received.read_all(front, cuts);
    received.in_parts = true;
    received.read_all(back, cuts);
    assert_eq!((received.events, received.error), expected, "whole messages, then parts");
}

/// A reader and what came of it.
struct Received {
    reader: Reader,
    in_parts: bool,
    parts: Option<Message<'static>>,
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
}

impl Received {
    fn new(role: Role, config: &Config) -> Self {
        let (reader, _) = Connection::open(role, Agreed::default(), config).split();
        Self { reader, in_parts: false, parts: None, events: Vec::new(), error: None }
    }

    /// Gives the stream in pieces of the sizes in `cuts`, over and over, by the way that their low bits choose.
    fn read_all(&mut self, mut stream: &[u8], cuts: [u8; 4]) {
        for cut in cuts.into_iter().cycle() {
            if stream.is_empty() || self.error.is_some() {
                return;
            }
            let count = stream.len().min(1 + cut as usize / 4);
            let (piece, _) = stream.split_at(count);
            let used = match cut % 4 {
                0 if !self.in_parts => self.fill_spare(piece),
                1 if !self.in_parts => self.fill_buf_mut(piece),
                2 => self.two_phases(piece),
                _ => None,
            };
            let used = match used {
                Some(used) => used,
                None => {
                    self.read(piece);
                    count
                }
            };
            stream = &stream[used..];
        }
    }

    fn fill_spare(&mut self, piece: &[u8]) -> Option<usize> {
        let mut room = self.reader.payload_buf()?;
        let spare = room.spare();
        let count = spare.len().min(piece.len());
        spare[..count].copy_from_slice(&piece[..count]);
        room.advance(count);
        self.read(&[]);
        Some(count)
    }

    fn fill_buf_mut(&mut self, piece: &[u8]) -> Option<usize> {
        let mut room = self.reader.payload_buf()?;
        let count = room.remaining_mut().min(piece.len());
        room.put_slice(&piece[..count]);
        self.read(&[]);
        Some(count)
    }

    fn two_phases(&mut self, piece: &[u8]) -> Option<usize> {
        if self.in_parts {
            return None;
        }
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let step = match self.reader.step(&mut piece[at..]) {
                Ok(step) => step,
                Err(error) => {
                    self.error = Some(error);
                    return Some(piece.len());
                }
            };
            let Some(ready) = step.ready else { return Some(piece.len()) };
            let event = self.reader.event(ready, &piece[at..]).expect("the same input");
            self.events.push(event.into_owned());
            at += step.consumed;
        }
    }

    fn read(&mut self, piece: &[u8]) {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            let result = if self.in_parts {
                match self.reader.next_part(&mut input) {
                    Ok(Some(part)) => {
                        self.events.extend(join(&mut self.parts, part));
                        continue;
                    }
                    other => other.map(drop),
                }
            } else {
                match self.reader.next(&mut input) {
                    Ok(Some(event)) => {
                        self.events.push(event.into_owned());
                        continue;
                    }
                    other => other.map(drop),
                }
            };
            assert!(input.is_empty(), "the input is always used up");
            self.error = result.err();
            return;
        }
    }
}

/// Puts parts together, and tells the event that is whole.
fn join(parts: &mut Option<Message<'static>>, part: Part<'_>) -> Option<Event<'static>> {
    let (data, last) = match part {
        Part::Piece { data, last } => (data, last),
        Part::Ping(payload) => return Some(Event::Ping(payload.into_owned())),
        Part::Pong(payload) => return Some(Event::Pong(payload.into_owned())),
        Part::Close(close) => return Some(Event::Close(close.map(|close| close.into_owned()))),
        _ => panic!("a new kind of part"),
    };
    assert!(last || !data.as_bytes().is_empty(), "only the last piece may be empty");
    assert!(data.as_text().is_none_or(|text| str::from_utf8(text.as_bytes()).is_ok()), "text is UTF-8");
    let whole = match (parts.take(), data) {
        (None, data) => data.into_owned(),
        (Some(Message::Text(so_far)), Message::Text(more)) => Message::from(format!("{so_far}{more}")),
        (Some(Message::Binary(so_far)), Message::Binary(more)) => Message::from([&*so_far, &more].concat()),
        _ => panic!("a message keeps its type"),
    };
    if last {
        return Some(Event::Message(whole));
    }
    *parts = Some(whole);
    None
}
