//! Redirects, for who asks for them (RFC 9110 §15.4).

use super::Connect;
use super::credentials::is_secret;
use super::error::{ConnectError, RedirectError};
use crate::handshake::{Found, HandshakeError, Refusal};
use crate::io::Error;

impl Connect {
    /// The next connection to try after this failure, if it is a redirect that may be followed. The failure otherwise.
    pub(crate) fn follow(self, error: Error) -> Result<Self, Error> {
        match &error {
            Error::Handshake(HandshakeError::Refused(refusal))
                if self.max_redirects > 0 && matches!(refusal.status(), 301 | 302 | 303 | 307 | 308) =>
            {
                self.redirect(refusal).map_err(|error| ConnectError::from(error).into())
            }
            _ => Err(error),
        }
    }

    fn redirect(mut self, refusal: &Refusal) -> Result<Self, RedirectError> {
        if self.followed == self.max_redirects {
            return Err(RedirectError::TooMany { limit: self.max_redirects });
        }
        let Found::Once(location) = refusal.headers().only("Location") else { return Err(RedirectError::Location) };
        let location = str::from_utf8(location).map_err(|_| RedirectError::Location)?;
        let mut target = self.target.clone()?.redirected(location)?;
        let origin = self.target?;
        if origin.is_secure() && !target.is_secure() {
            return Err(RedirectError::Insecure);
        }
        if origin.is_same_origin(&target) {
            target.user_info = origin.user_info;
        } else {
            self.authorization = None;
            self.headers.retain(|(name, _)| !is_secret(name));
            self.addresses = None;
        }
        self.target = Ok(target);
        self.followed += 1;
        Ok(self)
    }
}

/// More are no detour but a circle.
pub(crate) const MAX_REDIRECTS: usize = 10;
