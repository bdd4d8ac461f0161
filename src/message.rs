//! What travels: messages, the events around them, and the parts of a message that is received piece by piece.
//!
//! Values with a lifetime are *lent*: they lie in the caller's input or in the reader's own buffer. What moving them
//! out costs:
//!
//! | from | `into_owned`, `into_bytes` | `into_vec`, `into_string` |
//! |---|---|---|
//! | a message that lay whole in the input | copies | copies |
//! | a message that was put together, at least half filling its buffer | moves | moves |
//! | a message that was put together, in a much larger buffer | copies | copies |
//! | `String`, `Vec<u8>` | moves | moves |
//! | `Bytes` | moves | moves if it is the only handle |
//! | `&str`, `&[u8]` | copies | copies |

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::{fmt, mem, ops::Deref, str};

use bytes::Bytes;

use crate::close::{CloseCode, CloseFrame};
use crate::frame::{MAX_CONTROL_PAYLOAD, Opcode};

/// Bytes that are lent or owned.
pub struct Payload<'a> {
    repr: Repr<'a>,
    /// May be sent compressed.
    is_compressible: bool,
}

enum Repr<'a> {
    /// In the caller's memory.
    Borrowed(&'a [u8]),
    /// In the buffer in which the reader put the message together; it can be taken.
    Assembled(&'a mut Vec<u8>),
    Owned(Bytes),
}

impl<'a> Payload<'a> {
    #[inline]
    const fn new(repr: Repr<'a>) -> Self {
        Self { repr, is_compressible: true }
    }

    #[inline]
    pub(crate) fn assembled(buffer: &'a mut Vec<u8>) -> Self {
        Self::new(Repr::Assembled(buffer))
    }

    /// The same bytes in another form.
    #[inline]
    const fn like<'b>(&self, repr: Repr<'b>) -> Payload<'b> {
        Payload { repr, is_compressible: self.is_compressible }
    }

    /// The same bytes, independent of where they were lent from.
    pub fn into_owned(self) -> Payload<'static> {
        let is_compressible = self.is_compressible;
        Payload { repr: Repr::Owned(self.into_bytes()), is_compressible }
    }

    /// The bytes as a reference-counted buffer of their own size.
    pub fn into_bytes(self) -> Bytes {
        match self.repr {
            Repr::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Repr::Assembled(buffer) => take_or_copy(buffer).into(),
            Repr::Owned(bytes) => bytes,
        }
    }

    /// The bytes as a vector.
    pub fn into_vec(self) -> Vec<u8> {
        match self.repr {
            Repr::Borrowed(bytes) => bytes.to_vec(),
            Repr::Assembled(buffer) => take_or_copy(buffer),
            Repr::Owned(bytes) => bytes.into(),
        }
    }

    /// A view of the same bytes.
    #[inline]
    pub fn borrow(&self) -> Payload<'_> {
        self.like(Repr::Borrowed(self))
    }

    /// The bytes without a copy, if they can be had so: owned, or alone in a buffer of about their size.
    #[inline]
    pub(crate) fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self.repr {
            Repr::Borrowed(_) => Err(self),
            Repr::Assembled(ref buffer) if worth_copying(buffer) => Err(self),
            _ => Ok(self.into_bytes()),
        }
    }
}

/// Taking a large buffer for a small message would pin memory that the message does not need.
fn worth_copying(buffer: &Vec<u8>) -> bool {
    buffer.len() < buffer.capacity() / 2
}

fn take_or_copy(buffer: &mut Vec<u8>) -> Vec<u8> {
    if worth_copying(buffer) {
        return buffer.clone();
    }
    let mut taken = mem::take(buffer);
    taken.shrink_to_fit();
    taken
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.repr {
            Repr::Borrowed(bytes) => bytes,
            Repr::Assembled(buffer) => buffer,
            Repr::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Payload<'_> {
    fn clone(&self) -> Self {
        self.like(match &self.repr {
            Repr::Borrowed(bytes) => Repr::Borrowed(bytes),
            Repr::Assembled(buffer) => Repr::Owned(Bytes::copy_from_slice(buffer)),
            Repr::Owned(bytes) => Repr::Owned(bytes.clone()),
        })
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

/// Shows the length only: payloads do not belong into logs.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(Repr::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::new(Repr::Borrowed(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::new(Repr::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Repr::Owned(bytes.into()))
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::new(Repr::Owned(bytes))
    }
}

impl PartialEq<[u8]> for Payload<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl From<Box<[u8]>> for Payload<'_> {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::new(Repr::Owned(bytes.into()))
    }
}

impl From<&Bytes> for Payload<'_> {
    fn from(bytes: &Bytes) -> Self {
        bytes.clone().into()
    }
}

impl From<Payload<'_>> for Bytes {
    fn from(payload: Payload<'_>) -> Self {
        payload.into_bytes()
    }
}

impl From<Payload<'_>> for Vec<u8> {
    fn from(payload: Payload<'_>) -> Self {
        payload.into_vec()
    }
}

/// UTF-8 that is lent or owned.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<'a>(Payload<'a>);

impl<'a> Text<'a> {
    /// # Safety
    /// The payload is valid UTF-8.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) unsafe fn new_unchecked(payload: Payload<'a>) -> Self {
        Self(payload)
    }

    /// The text.
    #[inline]
    #[allow(unsafe_code)]
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes a string, or bytes that were validated.
        unsafe { str::from_utf8_unchecked(&self.0) }
    }

    /// The same text, independent of where it was lent from.
    pub fn into_owned(self) -> Text<'static> {
        Text(self.0.into_owned())
    }

    /// The text as a string.
    #[allow(unsafe_code)]
    pub fn into_string(self) -> String {
        // SAFETY: as in `as_str`.
        unsafe { String::from_utf8_unchecked(self.0.into_vec()) }
    }

    /// The bytes of the text.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// A view of the same text.
    #[inline]
    pub fn borrow(&self) -> Text<'_> {
        Text(self.0.borrow())
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

/// Shows the length only: payloads do not belong into logs.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

/// Validates the bytes and takes them without a copy.
impl TryFrom<Bytes> for Text<'_> {
    type Error = str::Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, str::Utf8Error> {
        str::from_utf8(&bytes)?;
        Ok(Self(bytes.into()))
    }
}

impl<'a> From<Text<'a>> for Payload<'a> {
    #[inline]
    fn from(text: Text<'a>) -> Self {
        text.0
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.into_string()
    }
}

/// Which type a message has (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes whose meaning is the application's.
    Binary,
}

impl Kind {
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// Application data: what an application sends and receives (RFC 6455 §5.6).
///
/// ```
/// use sockeye::Message;
///
/// let message = Message::from("héllo");
/// assert_eq!(message.as_text(), Some("héllo"));
/// assert_eq!(message.as_bytes(), "héllo".as_bytes());
/// assert_eq!(format!("{message:?}"), "Text(6 bytes)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(Text<'a>),
    /// Bytes whose meaning is the application's.
    Binary(Payload<'a>),
}

impl<'a> Message<'a> {
    /// Text or binary.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Whether it is text.
    #[inline]
    pub fn is_text(&self) -> bool {
        self.kind() == Kind::Text
    }

    /// The text as a string, or the message if it is none.
    ///
    /// # Errors
    /// The binary message.
    pub fn into_string(self) -> Result<String, Self> {
        match self {
            Self::Text(text) => Ok(text.into_string()),
            Self::Binary(_) => Err(self),
        }
    }

    /// The bytes, of text as well.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => &text.0,
            Self::Binary(payload) => payload,
        }
    }

    /// The same message, independent of where it was lent from.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(text.into_owned()),
            Self::Binary(payload) => Message::Binary(payload.into_owned()),
        }
    }

    /// The bytes as a reference-counted buffer.
    pub fn into_bytes(self) -> Bytes {
        self.into_payload().into_bytes()
    }

    /// The bytes as a vector.
    pub fn into_vec(self) -> Vec<u8> {
        self.into_payload().into_vec()
    }

    /// A view of the same message, to send it and keep it.
    #[inline]
    pub fn borrow(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text.borrow()),
            Self::Binary(payload) => Message::Binary(payload.borrow()),
        }
    }

    /// The same message, to be sent as it is where compression was agreed on: for a secret beside data that an attacker
    /// may choose (RFC 7692 §8). A message that is sent in pieces is compressed or not as its first piece says.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        match &mut self {
            Self::Text(Text(payload)) | Self::Binary(payload) => payload.is_compressible = false,
        }
        self
    }

    #[inline]
    pub(crate) fn is_compressible(&self) -> bool {
        match self {
            Self::Text(Text(payload)) | Self::Binary(payload) => payload.is_compressible,
        }
    }

    #[inline]
    pub(crate) fn into_payload(self) -> Payload<'a> {
        match self {
            Self::Text(text) => text.0,
            Self::Binary(payload) => payload,
        }
    }
}

impl<'a> From<&'a Message<'_>> for Message<'a> {
    #[inline]
    fn from(message: &'a Message<'_>) -> Self {
        message.borrow()
    }
}

impl<'a> From<Text<'a>> for Message<'a> {
    #[inline]
    fn from(text: Text<'a>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Payload<'a>> for Message<'a> {
    #[inline]
    fn from(payload: Payload<'a>) -> Self {
        Self::Binary(payload)
    }
}

macro_rules! message_from {
    ($variant:ident: $($from:ty),+) => {$(
        impl<'a> From<$from> for Message<'a> {
            #[inline]
            fn from(data: $from) -> Self {
                Self::$variant(data.into())
            }
        }
    )+};
}

message_from!(Text: &'a str, &'a String, String, Cow<'a, str>);
message_from!(Binary: &'a [u8], &'a Vec<u8>, Vec<u8>, Box<[u8]>, Bytes, &Bytes);

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes.into())
    }
}

/// Anything a peer can make happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// A ping (RFC 6455 §5.5.2), with at most 125 bytes. It calls for a pong.
    Ping(Payload<'a>),
    /// A pong (RFC 6455 §5.5.3), with at most 125 bytes.
    Pong(Payload<'a>),
    /// The first Close (RFC 6455 §5.5.1). It calls for a Close, unless one was sent.
    Close(Option<CloseFrame<'a>>),
}

impl Event<'_> {
    /// The same event, independent of where it was lent from.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Ping(payload) => Event::Ping(payload.into_owned()),
            Self::Pong(payload) => Event::Pong(payload.into_owned()),
            Self::Close(frame) => Event::Close(frame.map(CloseFrame::into_owned)),
        }
    }

    /// What the RFC wants sent in answer, for [`Writer::reply`](crate::Writer::reply).
    #[must_use = "a reply is to be sent"]
    pub fn reply(&self) -> Option<Reply> {
        match self {
            Self::Message(_) | Self::Pong(_) => None,
            Self::Ping(payload) => Some(Reply::pong(payload)),
            Self::Close(frame) => Some(Reply::echo(frame.as_ref())),
        }
    }
}

/// What [`Reader::next_part`](crate::Reader::next_part) lends: a piece of a message, or what came between.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// The next bytes of the message under way, cut where the network or the peer cut them, text between characters.
    /// The last piece of a message may be empty.
    Piece {
        /// The bytes, with the type of the message.
        data: Message<'a>,
        /// Whether this piece ends the message.
        last: bool,
    },
    /// A ping.
    Ping(Payload<'a>),
    /// A pong.
    Pong(Payload<'a>),
    /// The first Close.
    Close(Option<CloseFrame<'a>>),
}

/// The control frame that answers an event or an error, by value, so that reader and writer need not know each other.
#[derive(Clone, Copy)]
pub struct Reply {
    pub(crate) opcode: Opcode,
    len: u8,
    payload: [u8; MAX_CONTROL_PAYLOAD],
}

impl Reply {
    /// A Close without a code, the answer to one without (RFC 6455 §5.5.1).
    pub(crate) const EMPTY_CLOSE: Self = Self { opcode: Opcode::Close, len: 0, payload: [0; MAX_CONTROL_PAYLOAD] };

    /// A pong with the payload of its ping (§5.5.3); what is beyond 125 bytes is cut off.
    pub fn pong(payload: &[u8]) -> Self {
        Self { opcode: Opcode::Pong, ..Self::EMPTY_CLOSE }.with(payload)
    }

    /// A Close with a code and no reason; empty if the code may not travel.
    pub fn close(code: CloseCode) -> Self {
        Self::close_with(code, "")
    }

    /// A Close with a code and a reason; what is beyond 123 bytes of it is cut off.
    pub(crate) fn close_with(code: CloseCode, reason: &str) -> Self {
        if !code.may_travel() {
            return Self::EMPTY_CLOSE;
        }
        Self::EMPTY_CLOSE.with(&code.0.to_be_bytes()).with(reason.as_bytes())
    }

    /// The Close that answers this one: what it says, said again (RFC 6455 §5.5.1).
    pub(crate) fn echo(frame: Option<&CloseFrame<'_>>) -> Self {
        frame.map_or(Self::EMPTY_CLOSE, |frame| Self::close_with(frame.code, &frame.reason))
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        let room = self.payload.iter_mut().skip(self.len.into());
        self.len += room.zip(bytes).map(|(room, byte)| *room = *byte).count() as u8;
        self
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.payload.get(..self.len as usize).unwrap_or_default()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({:?}, {} bytes)", self.opcode, self.len)
    }
}
