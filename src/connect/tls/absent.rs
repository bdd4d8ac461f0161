//! Without the feature `rustls` there is no TLS.

use super::error::ConnectError;

#[derive(Clone, Default)]
pub(super) struct Tls(());

pub(super) enum Session {}

impl Tls {
    pub(super) fn session(&self, _: &str) -> Result<Session, ConnectError> {
        Err(ConnectError::TlsUnavailable)
    }
}
