//! The oracle: RFC 6455 framing without regard to cuts, copies or speed. Tests, fuzz targets and benches compare the
//! crate with it.

// Every program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::borrow::Cow;

use sockeye::{CloseCode, CloseFrame, Event, Kind, Message, ProtocolError, Role};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
pub const FIN: u8 = 0x80;

/// What a receiver tolerates.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_message_size: u64,
    pub max_fragments: u32,
    pub accept_long_lengths: bool,
}

/// The limits of `Config::DEFAULT`.
pub const DEFAULT_LIMITS: Limits =
    Limits { max_message_size: 1 << 20, max_fragments: 1 << 17, accept_long_lengths: false };

/// One frame as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode: the first byte.
    pub first: u8,
    pub key: Option<[u8; 4]>,
    /// The announced length.
    pub len: u64,
    /// What of the payload is there, unmasked.
    pub payload: Vec<u8>,
}

/// The events, then the error that ended them, if one did.
pub type Outcome = (Vec<Event<'static>>, Option<ProtocolError>);

/// What `role` makes of everything it receives.
pub fn decode(role: Role, limits: Limits, mut stream: &[u8]) -> Outcome {
    let mut events = Vec::new();
    let mut message = None;
    loop {
        let frame = match read_frame(&mut stream, limits.accept_long_lengths) {
            Ok(Some(frame)) => frame,
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        };
        match interpret(role, limits, &mut message, frame) {
            Ok(Some(close @ Event::Close(_))) => {
                events.push(close);
                return (events, None);
            }
            Ok(event) => events.extend(event),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// The message under way.
struct Unfinished {
    kind: Kind,
    frames: u32,
    announced: u64,
    payload: Vec<u8>,
}

fn interpret(
    role: Role,
    limits: Limits,
    message: &mut Option<Unfinished>,
    frame: Frame,
) -> Result<Option<Event<'static>>, ProtocolError> {
    if frame.first & 0x70 != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    match (role, frame.key) {
        (Role::Server, None) => return Err(ProtocolError::UnmaskedFrame),
        (Role::Client, Some(_)) => return Err(ProtocolError::MaskedFrame),
        _ => {}
    }
    let is_complete = frame.payload.len() as u64 == frame.len;
    match frame.first & 0x0f {
        CLOSE if is_complete => return close(&frame.payload).map(|close| Some(Event::Close(close))),
        PING if is_complete => return Ok(Some(Event::Ping(frame.payload.into()))),
        PONG if is_complete => return Ok(Some(Event::Pong(frame.payload.into()))),
        CLOSE | PING | PONG => return Ok(None),
        CONTINUATION if message.is_none() => return Err(ProtocolError::UnexpectedContinuation),
        CONTINUATION => {}
        _ if message.is_some() => return Err(ProtocolError::ExpectedContinuation),
        opcode => {
            let kind = if opcode == TEXT { Kind::Text } else { Kind::Binary };
            *message = Some(Unfinished { kind, frames: 0, announced: 0, payload: Vec::new() });
        }
    }
    let whole = message.as_mut().expect("a message is under way");
    whole.announced = whole.announced.saturating_add(frame.len);
    if whole.announced > limits.max_message_size {
        return Err(ProtocolError::MessageTooBig { limit: limits.max_message_size });
    }
    whole.frames += 1;
    if whole.frames > limits.max_fragments {
        return Err(ProtocolError::TooManyFragments { limit: limits.max_fragments });
    }
    whole.payload.extend(&frame.payload);
    let is_last = is_complete && frame.first & FIN != 0;
    if whole.kind == Kind::Text
        && let Err(error) = str::from_utf8(&whole.payload)
        && (is_last || error.error_len().is_some())
    {
        return Err(ProtocolError::InvalidUtf8);
    }
    if !is_last {
        return Ok(None);
    }
    let whole = message.take().expect("a message is under way");
    Ok(Some(Event::Message(match whole.kind {
        Kind::Text => Message::from(String::from_utf8(whole.payload).expect("validated")),
        Kind::Binary => Message::from(whole.payload),
    })))
}

fn close(payload: &[u8]) -> Result<Option<CloseFrame<'static>>, ProtocolError> {
    match payload {
        [] => Ok(None),
        [_] => Err(ProtocolError::TruncatedCloseCode),
        [high, low, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*high, *low]));
            if !matches!(code.0, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(ProtocolError::InvalidCloseCode(code));
            }
            match String::from_utf8(reason.to_vec()) {
                Ok(reason) => Ok(Some(CloseFrame { code, reason: Cow::Owned(reason) })),
                Err(_) => Err(ProtocolError::InvalidCloseReason),
            }
        }
    }
}

/// The next frame, as far as it is there; `None` if its header is not. Each byte is judged when it is read.
fn read_frame(stream: &mut &[u8], accept_long_lengths: bool) -> Result<Option<Frame>, ProtocolError> {
    let Some(first) = take(stream, 1) else { return Ok(None) };
    let first = first[0];
    let opcode = first & 0x0f;
    if matches!(opcode, 3..=7 | 11..=15) {
        return Err(ProtocolError::ReservedOpcode(opcode));
    }
    let is_control = opcode >= 8;
    if is_control && first & FIN == 0 {
        return Err(ProtocolError::FragmentedControlFrame);
    }
    let Some(second) = take(stream, 1) else { return Ok(None) };
    let (is_masked, short) = (second[0] & 0x80 != 0, second[0] & 0x7f);
    if is_control && short > 125 {
        return Err(ProtocolError::ControlFrameTooLong);
    }
    let size = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(long) = take(stream, size) else { return Ok(None) };
    let len = match size {
        0 => u64::from(short),
        _ => long.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
    };
    if len >> 63 != 0 {
        return Err(ProtocolError::LengthOverflow);
    }
    let is_minimal = match size {
        0 => true,
        2 => len > 125,
        _ => len > 65535,
    };
    if !is_minimal && !accept_long_lengths {
        return Err(ProtocolError::NonMinimalLength);
    }
    let key = if is_masked {
        let Some(key) = take(stream, 4) else { return Ok(None) };
        Some([key[0], key[1], key[2], key[3]])
    } else {
        None
    };
    let here = usize::try_from(len).unwrap_or(usize::MAX).min(stream.len());
    let mut payload = take(stream, here).expect("it is there").to_vec();
    xor(&mut payload, key.unwrap_or_default());
    Ok(Some(Frame { first, key, len, payload }))
}

fn take<'a>(stream: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = stream.split_at_checked(count)?;
    *stream = rest;
    Some(taken)
}

/// RFC 6455 §5.3: octet i is XORed with octet i mod 4 of the key.
pub fn xor(payload: &mut [u8], key: [u8; 4]) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
}

/// All frames of bytes that end with one, whatever they mean.
pub fn frames(mut stream: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let frame = read_frame(&mut stream, true).expect("frames").expect("whole headers");
        assert_eq!(frame.payload.len() as u64, frame.len, "a torn frame");
        frames.push(frame);
    }
    frames
}

/// A frame with any first byte, its length in the shortest form.
pub fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, key, payload.len() as u64);
    let at = bytes.len();
    bytes.extend(payload);
    xor(&mut bytes[at..], key.unwrap_or_default());
    bytes
}

/// A header that may announce anything, its length in the shortest form.
pub fn header(first: u8, key: Option<[u8; 4]>, len: u64) -> Vec<u8> {
    let size = match len {
        0..=125 => 0,
        126..=65535 => 2,
        _ => 8,
    };
    header_with(first, key, len, size)
}

/// A header whose length takes 0, 2 or 8 further bytes, needed or not.
pub fn header_with(first: u8, key: Option<[u8; 4]>, len: u64, size: usize) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = match size {
        0 => vec![first, mask_bit | len as u8],
        2 => vec![first, mask_bit | 126],
        _ => vec![first, mask_bit | 127],
    };
    bytes.extend(&len.to_be_bytes()[8 - size..]);
    bytes.extend(key.into_iter().flatten());
    bytes
}
