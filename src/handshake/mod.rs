//! The opening handshake of RFC 6455 §4, for both ends, without IO.
//!
//! ```text
//!            client                                          server
//!  Request::get(url)                                  Handshake::new(&config)
//!     │ .protocol .header .origin                        │
//!     │ .write(nonce, &config, &mut out)                 │
//!     ▼                 ──── GET … Upgrade ────▶         ▼ .receive(&mut input)  ──▶ Reject
//!  Pending                                            Request: path, headers, origin, offers
//!     │                                                  │ .accept(Origins::Same) ──▶ Reject
//!     │                                                  ▼
//!     │                                               Accept: .select .header
//!     ▼ .receive(&mut input)  ◀──── 101 ────             ▼ .connect(&config)
//!  Response ──▶ HandshakeError                        Connection, the 101 first in its outbox
//!     │ .connect(&config)
//!     ▼
//!  Connection
//! ```
//!
//! **Each `receive` takes the bytes of one head from its input and leaves the rest: those are frames**, the first
//! input of the [`Connection`](crate::Connection). Bytes may come in any pieces. Each is looked at once, limits hold
//! while it comes, and the result is the same however the input was cut.
//!
//! With the feature `http` the same steps go from and to the types of the `http` crate, for use behind another HTTP
//! stack: [`server::Request`] and [`client::Request`] say how.
//!
//! ```
//! use sockeye::{Config, Origins, client, handshake, server};
//!
//! let config = Config::DEFAULT;
//! let mut out = Vec::new();
//! let mut pending =
//!     client::Request::get("ws://example.com/room")?.protocol("chat").write(handshake::nonce(), &config, &mut out)?;
//!
//! let mut input = &out[..]; // over the network
//! let request = server::Handshake::new(&config).receive(&mut input)?.expect("the whole request");
//! assert_eq!(request.path(), "/room");
//! let mut at_server = request.accept(Origins::Same)?.select(&["superchat", "chat"]).connect(&config)?;
//!
//! let outbox = at_server.writer().outbox();
//! let mut input = outbox.chunk(); // and back
//! let response = pending.receive(&mut input)?.expect("the whole response");
//! let at_client = response.connect(&config);
//! assert_eq!(at_client.agreed().subprotocol(), Some("chat"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod body;
pub mod client;
mod error;
pub(crate) mod head;
mod headers;
#[cfg(feature = "http")]
mod http;
mod lists;
mod origin;
mod reject;
pub mod server;
mod url;

#[cfg(feature = "deflate")]
pub use error::ParametersError;
pub use error::{HandshakeError, HeadError, InvalidArgument, Refusal, UrlError};
pub use headers::Headers;
pub use lists::{Extension, Extensions, Params, Tokens};
pub use origin::Origins;
pub use reject::{Reject, RejectReason};

#[cfg(feature = "deflate")]
pub(crate) use self::{error::shown, lists::is_extension_list};
#[cfg(feature = "connect")]
pub(crate) use self::{headers::Found, url::MAX_URL_SIZE};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The value of `Sec-WebSocket-Accept` that answers this value of `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
///
/// The key is taken as the text that travelled, without white space around it.
///
/// ```
/// assert_eq!(&sockeye::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    base64(&digest)
}

/// Sixteen bytes from a cryptographically strong generator that the operating system seeds: the nonce of one client
/// handshake (RFC 6455 §4.1), new for each.
#[cfg(feature = "std")]
pub fn nonce() -> [u8; 16] {
    crate::random::random()
}

/// The key that a client sends for this nonce.
pub(crate) fn key(nonce: [u8; 16]) -> [u8; 24] {
    base64(&nonce)
}

/// Whether this is the base64 of sixteen bytes: 22 digits and two signs of padding. The bits that the last digit has
/// too many need not be zero; they are not in RFC 6455's own example (§1.2).
pub(crate) fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>() else { return false };
    digits.len() == 22 && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || matches!(digit, b'+' | b'/'))
}

/// `N` is the length of the padded base64 of `bytes`.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written.ok(), Some(N));
    text
}

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version of the protocol (RFC 6455 §4.1).
const VERSION: &str = "13";
