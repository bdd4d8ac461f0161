//! What a server is shown to let us in.

use std::boxed::Box;
use std::format;
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A value for `Authorization`.
#[derive(Clone)]
pub(crate) enum Authorization {
    Value(Box<str>),
    /// A user name or password that cannot be sent.
    Impossible,
}

impl Authorization {
    /// RFC 7617 §2: the user name ends at the first colon, and neither part has control characters.
    pub(crate) fn basic(user: &[u8], password: &[u8]) -> Self {
        if user.contains(&b':') || [user, password].concat().iter().any(u8::is_ascii_control) {
            return Self::Impossible;
        }
        let pair: Vec<u8> = [user, b":", password].concat();
        Self::Value(format!("Basic {}", STANDARD.encode(pair)).into())
    }

    /// RFC 6750 §2.1.
    pub(crate) fn bearer(token: &str) -> Self {
        Self::Value(format!("Bearer {token}").into())
    }
}

/// Whether a header is for this server alone, and for nobody who listens.
pub(crate) fn is_secret(name: &str) -> bool {
    ["Authorization", "Cookie", "Proxy-Authorization"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
}
