//! RFC 1951 and RFC 7692 by other means than the crate's own: a naive decoder that looks at every distance, and bare
//! streams of zlib-rs. Also connections that have agreed on permessage-deflate, and every way of reading from them.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use bytes::Buf;
use sockeye::deflate::{Parameters, WindowBits};
use sockeye::{Agreed, Config, Connection, Deflate, Event, Kind, Part, ProtocolError, Role};
use zlib_rs::{DeflateConfig, DeflateFlush, InflateFlush, Status};

pub const RSV1: u8 = 0x40;

/// What a sender takes away from the end of a message, and a receiver puts there again (§7.2.1, §7.2.2).
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

pub const WINDOWS: [WindowBits; 8] = [
    WindowBits::Bits8,
    WindowBits::Bits9,
    WindowBits::Bits10,
    WindowBits::Bits11,
    WindowBits::Bits12,
    WindowBits::Bits13,
    WindowBits::Bits14,
    WindowBits::Bits15,
];

/// The same for both ends.
pub fn parameters(window: WindowBits, takeover: bool) -> Parameters {
    Parameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: window,
        client_max_window_bits: window,
    }
}

/// Compresses everything, however small.
pub fn config() -> Config {
    Config::DEFAULT.deflate(Some(Deflate::DEFAULT.threshold(0)))
}

pub fn open(role: Role, parameters: Parameters, config: &Config) -> Connection {
    Connection::open(role, Agreed::default().with_deflate(parameters), config)
}

pub fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Takes all that waits to leave.
pub fn drain(connection: &mut Connection) -> Vec<u8> {
    let outbox = connection.writer().outbox();
    let mut bytes = Vec::new();
    while outbox.has_remaining() {
        bytes.extend(outbox.copy_to_bytes(outbox.remaining()));
    }
    bytes
}

/// Text that repeats itself at every distance, near and far.
pub fn text(len: usize) -> String {
    let mut text: String = (0..=len / 10).map(|n| format!("{{\"id\":{n},\"price\":{}}},é", n * 7919 % 1000)).collect();
    let end = (len.saturating_sub(1)..=len).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    text.truncate(end);
    text
}

/// Bytes that no compressor makes smaller.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

// ---- bare streams of zlib-rs ----

/// A compressor without any of the crate's rules.
pub struct RawDeflate(zlib_rs::Deflate);

impl RawDeflate {
    pub fn new(level: i32, window_bits: u8, mem_level: i32) -> Self {
        let window_bits = -i32::from(window_bits);
        Self(zlib_rs::Deflate::new_with_config(DeflateConfig { level, window_bits, mem_level, ..Default::default() }))
    }

    /// All that comes of the input with this flush.
    pub fn push(&mut self, mut input: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let mut output = Vec::new();
        let mut room = [0; 1000];
        loop {
            let (taken, written) = (self.0.total_in(), self.0.total_out());
            let status = self.0.compress(input, &mut room, flush).expect("a good stream");
            let written = (self.0.total_out() - written) as usize;
            output.extend(&room[..written]);
            input = &input[(self.0.total_in() - taken) as usize..];
            if written < room.len() && (input.is_empty() || status == Status::StreamEnd) {
                return output;
            }
        }
    }

    /// One message as RFC 7692 §7.2.1 has it.
    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            return vec![0];
        }
        let mut compressed = self.push(payload, DeflateFlush::SyncFlush);
        assert_eq!(compressed.split_off(compressed.len() - 4), TAIL);
        compressed
    }

    /// Ends the stream with a final block, and begins another.
    pub fn finish(&mut self, payload: &[u8]) -> Vec<u8> {
        let compressed = self.push(payload, DeflateFlush::Finish);
        self.0.reset();
        compressed
    }
}

/// A message of its own.
pub fn deflate(payload: &[u8]) -> Vec<u8> {
    RawDeflate::new(6, 15, 8).message(payload)
}

/// A decompressor with exactly this window.
pub struct RawInflate(zlib_rs::Inflate);

impl RawInflate {
    pub fn new(window_bits: u8) -> Self {
        Self(zlib_rs::Inflate::new(false, window_bits))
    }

    /// One message without final blocks, as RFC 7692 §7.2.2 has it; nothing if it is wrong.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let compressed = [payload, &TAIL].concat();
        let mut input = &compressed[..];
        let mut output = Vec::new();
        // Little room at a time makes every match refer to the window, and not to the output.
        let mut room = [0; 100];
        loop {
            let (taken, written) = (self.0.total_in(), self.0.total_out());
            self.0.decompress(input, &mut room, InflateFlush::NoFlush).ok()?;
            let written = (self.0.total_out() - written) as usize;
            output.extend(&room[..written]);
            input = &input[(self.0.total_in() - taken) as usize..];
            if written < room.len() {
                return input.is_empty().then_some(output);
            }
        }
    }
}

// ---- the naive decoder ----

/// RFC 1951 without regard to speed. The window is everything so far.
#[derive(Default)]
pub struct Naive {
    output: Vec<u8>,
    /// How many bytes the next message may have.
    pub most: Option<usize>,
    /// The furthest that a match has reached back.
    pub furthest: usize,
    /// How many blocks there were of each type.
    pub blocks: [usize; 3],
    pub final_blocks: usize,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<usize> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn bits(&mut self, count: usize) -> Option<usize> {
        (0..count).try_fold(0, |value, n| Some(value | self.bit()? << n))
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn is_at_end(&self) -> bool {
        self.at == 8 * self.bytes.len()
    }
}

/// How many codes there are of each length, and the symbols in the order of their codes.
struct Huffman {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Huffman {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        lengths.iter().filter(|len| **len > 0).for_each(|len| counts[*len] += 1);
        let of_length = |len| lengths.iter().enumerate().filter(move |(_, l)| **l == len).map(|(symbol, _)| symbol);
        Self { counts, symbols: (1..16).flat_map(of_length).collect() }
    }

    /// No code is used twice; and none is left over, unless there is only one.
    fn is_whole(&self, may_be_one: bool) -> bool {
        let longest = (1..16).rev().find(|len| self.counts[*len] > 0).unwrap_or_default();
        let free = self.counts[1..].iter().try_fold(1usize, |free, count| (2 * free).checked_sub(*count));
        free.is_some_and(|free| free == 0 || longest == 0 || may_be_one && longest == 1)
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit()?;
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

impl Naive {
    /// What a compressed message means; nothing if it is wrong.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let compressed = [payload, &TAIL].concat();
        let mut bits = Bits { bytes: &compressed, at: 0 };
        let from = self.output.len();
        let most = from.saturating_add(self.most.take().unwrap_or(usize::MAX));
        let mut last_is_empty = false;
        while !bits.is_at_end() {
            let is_final = bits.bit()? == 1;
            let kind = bits.bits(2)?;
            *self.blocks.get_mut(kind)? += 1;
            let before = self.output.len();
            match kind {
                0 => self.stored(&mut bits, most)?,
                1 => {
                    let lengths: Vec<usize> =
                        [(8, 144), (9, 112), (7, 24), (8, 8)].iter().flat_map(|&(len, n)| vec![len; n]).collect();
                    self.compressed(&mut bits, &Huffman::new(&lengths), &Huffman::new(&[5; 30]), most)?;
                }
                _ => self.dynamic(&mut bits, most)?,
            }
            last_is_empty = kind == 0 && before == self.output.len();
            if is_final {
                self.final_blocks += 1;
                bits.align();
            }
        }
        last_is_empty.then(|| self.output[from..].to_vec())
    }

    fn stored(&mut self, bits: &mut Bits<'_>, most: usize) -> Option<()> {
        bits.align();
        let (len, check) = (bits.bits(16)?, bits.bits(16)?);
        if len ^ check != 0xffff || self.output.len() + len > most {
            return None;
        }
        for _ in 0..len {
            let byte = bits.bits(8)?;
            self.output.push(byte as u8);
        }
        Some(())
    }

    fn dynamic(&mut self, bits: &mut Bits<'_>, most: usize) -> Option<()> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances, codes) = (257 + bits.bits(5)?, 1 + bits.bits(5)?, 4 + bits.bits(4)?);
        let mut lengths = [0; 19];
        for symbol in &ORDER[..codes] {
            lengths[*symbol] = bits.bits(3)?;
        }
        let code = Huffman::new(&lengths);
        if literals > 286 || distances > 30 || !code.is_whole(false) {
            return None;
        }
        let mut lengths: Vec<usize> = Vec::new();
        while lengths.len() < literals + distances {
            let (len, times) = match code.symbol(bits)? {
                16 => (*lengths.last()?, 3 + bits.bits(2)?),
                17 => (0, 3 + bits.bits(3)?),
                18 => (0, 11 + bits.bits(7)?),
                len => (len, 1),
            };
            lengths.extend(vec![len; times]);
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return None;
        }
        let (literals, distances) = lengths.split_at(literals);
        let (literals, distances) = (Huffman::new(literals), Huffman::new(distances));
        if !literals.is_whole(true) || !distances.is_whole(true) {
            return None;
        }
        self.compressed(bits, &literals, &distances, most)
    }

    fn compressed(&mut self, bits: &mut Bits<'_>, literals: &Huffman, distances: &Huffman, most: usize) -> Option<()> {
        loop {
            if self.output.len() > most {
                return None;
            }
            let symbol = literals.symbol(bits)?;
            let len = match symbol {
                0..=255 => {
                    self.output.push(symbol as u8);
                    continue;
                }
                256 => return Some(()),
                257..=264 => symbol - 254,
                265..=284 => {
                    let extra = (symbol - 261) / 4;
                    ((4 + (symbol - 265) % 4) << extra) + 3 + bits.bits(extra)?
                }
                285 => 258,
                _ => return None,
            };
            let distance = match distances.symbol(bits)? {
                code @ 0..=3 => code + 1,
                code @ 4..=29 => {
                    let extra = code / 2 - 1;
                    ((2 + code % 2) << extra) + 1 + bits.bits(extra)?
                }
                _ => return None,
            };
            self.furthest = self.furthest.max(distance);
            let start = self.output.len().checked_sub(distance)?;
            for at in start..start + len {
                self.output.push(self.output[at]);
            }
        }
    }

    /// The window is empty again.
    pub fn forget(&mut self) {
        self.output.clear();
    }
}

// ---- reading in every way ----

/// By which functions a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Next,
    Part,
    Step,
    StepPart,
}

pub const WAYS: [Way; 4] = [Way::Next, Way::Part, Way::Step, Way::StepPart];

/// What came of a stream: whole messages, how many other events, and how it failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub messages: Vec<(Kind, Vec<u8>)>,
    pub others: usize,
    pub error: Option<ProtocolError>,
}

impl Outcome {
    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let messages = texts.into_iter().map(|text| (Kind::Text, text.as_bytes().to_vec())).collect();
        Self { messages, ..Self::default() }
    }

    pub fn failed(error: ProtocolError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    fn take(&mut self, partial: &mut Vec<u8>, part: Part<'_>) {
        match part {
            Part::Piece { data, last } => {
                assert!(last || !data.as_bytes().is_empty(), "only the last piece may be empty");
                assert!(data.as_text().is_none_or(|text| str::from_utf8(text.as_bytes()).is_ok()), "text is UTF-8");
                partial.extend_from_slice(data.as_bytes());
                if last {
                    self.messages.push((data.kind(), std::mem::take(partial)));
                }
            }
            _ => self.others += 1,
        }
    }

    pub fn payloads(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|(_, payload)| &payload[..]).collect()
    }
}

/// A connection, and what came of what it received.
pub struct Receiver {
    pub connection: Connection,
    pub outcome: Outcome,
    /// What is here of a message whose last part has not come.
    pub partial: Vec<u8>,
}

impl Receiver {
    pub fn new(role: Role, parameters: Parameters, config: &Config) -> Self {
        let connection = open(role, parameters, config);
        Self { connection, outcome: Outcome::default(), partial: Vec::new() }
    }

    /// Takes bytes as they come from the wire.
    pub fn receive(&mut self, bytes: &[u8], way: Way) {
        let mut bytes = bytes.to_vec();
        if let Err(error) = self.try_receive(&mut bytes, way) {
            self.outcome.error = Some(error);
        }
    }

    fn try_receive(&mut self, mut input: &mut [u8], way: Way) -> Result<(), ProtocolError> {
        let Self { connection, outcome, partial } = self;
        loop {
            match way {
                Way::Next => {
                    let Some(event) = connection.next(&mut input)? else { return Ok(()) };
                    outcome.take(partial, whole(event));
                }
                Way::Part => {
                    let Some(part) = connection.next_part(&mut input)? else { return Ok(()) };
                    outcome.take(partial, part);
                }
                Way::Step => {
                    let step = connection.step(input)?;
                    let Some(ready) = step.ready else { return Ok(()) };
                    outcome.take(partial, whole(connection.event(ready, input).expect("the same input")));
                    input = &mut input[step.consumed..];
                }
                Way::StepPart => {
                    let step = connection.step_part(input)?;
                    let Some(ready) = step.ready else { return Ok(()) };
                    outcome.take(partial, connection.part(ready, input).expect("the same input"));
                    input = &mut input[step.consumed..];
                }
            }
        }
    }
}

fn whole(event: Event<'_>) -> Part<'_> {
    match event {
        Event::Message(data) => Part::Piece { data, last: true },
        Event::Ping(payload) => Part::Ping(payload),
        Event::Pong(payload) => Part::Pong(payload),
        Event::Close(frame) => Part::Close(frame),
        _ => panic!("a new kind of event"),
    }
}

/// What comes of a stream that arrives in pieces of this size.
pub fn receive(
    role: Role,
    parameters: Parameters,
    config: &Config,
    stream: &[u8],
    way: Way,
    size: usize,
) -> (Outcome, Vec<u8>) {
    let mut receiver = Receiver::new(role, parameters, config);
    for piece in stream.chunks(size) {
        if receiver.outcome.error.is_none() {
            receiver.receive(piece, way);
        }
    }
    (receiver.outcome, receiver.partial)
}

/// What comes of a stream, in whatever way it is read and however it arrives.
#[track_caller]
pub fn receive_all_ways(role: Role, parameters: Parameters, config: &Config, stream: &[u8]) -> Outcome {
    let (expected, _) = receive(role, parameters, config, stream, Way::Next, usize::MAX);
    for way in WAYS {
        for size in [usize::MAX, 1, 7, 1000] {
            if size == 1 && stream.len() > 100_000 {
                continue;
            }
            let (outcome, partial) = receive(role, parameters, config, stream, way, size);
            assert!(outcome == expected, "{role:?}, {way:?} in pieces of {size}: {:?}", outcome.error);
            assert!(matches!(way, Way::Part | Way::StepPart) || partial.is_empty());
        }
    }
    expected
}
