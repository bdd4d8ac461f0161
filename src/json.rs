//! Messages as JSON (RFC 8259), through `serde_json`.

use core::fmt;

use serde_core::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::message::Message;

impl Message<'_> {
    /// The value as JSON, in a text message.
    ///
    /// ```
    /// use sockeye::Message;
    ///
    /// let message = Message::json(&("BTC-USD", 64_000))?;
    /// assert_eq!(message.as_text(), Some(r#"["BTC-USD",64000]"#));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// The value is nothing that JSON can say, such as a map whose keys are no strings: the caller's fault.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Message<'static>, serde_json::Error> {
        Ok(serde_json::to_string(value)?.into())
    }

    /// What the message says in JSON. Strings in it may be borrowed from the message, where it lies. A binary message is
    /// read alike.
    ///
    /// ```
    /// use sockeye::Message;
    ///
    /// let message = Message::from(r#"["BTC-USD",64000]"#);
    /// let (product, price): (&str, u32) = message.parse_json()?;
    /// assert_eq!((product, price), ("BTC-USD", 64_000));
    /// # Ok::<_, sockeye::JsonError>(())
    /// ```
    ///
    /// # Errors
    /// The message is no JSON, or JSON of something else.
    pub fn parse_json<'de, T: Deserialize<'de>>(&'de self) -> Result<T, JsonError> {
        let result = match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Binary(payload) => serde_json::from_slice(payload),
        };
        result.map_err(JsonError)
    }
}

/// Why a message could not be read as JSON. It shows where, and nothing of the message;
/// [`into_inner`](Self::into_inner) has all.
pub struct JsonError(serde_json::Error);

impl JsonError {
    /// Whether the message is no JSON at all, which is the peer's fault. Else it is JSON that does not fit the type that
    /// was asked for.
    pub fn is_malformed(&self) -> bool {
        self.0.classify() != Category::Data
    }

    /// The error of `serde_json`, which may quote from the message.
    pub fn into_inner(self) -> serde_json::Error {
        self.0
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0.classify() {
            Category::Data => "the peer sent JSON that does not fit the type it is read as; one of the two must change",
            Category::Eof => "the peer sent JSON that breaks off; each message must be a whole value",
            Category::Syntax | Category::Io => "the peer sent a message that is not JSON, where JSON was expected",
        };
        write!(f, "{what} (line {}, column {})", self.0.line(), self.0.column())
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({:?}, line {}, column {})", self.0.classify(), self.0.line(), self.0.column())
    }
}

/// Has no source: that may quote from the message.
impl core::error::Error for JsonError {}
