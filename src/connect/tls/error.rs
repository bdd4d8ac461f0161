//! What goes wrong in TLS, in words that say what to do.

use std::boxed::Box;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// Why TLS failed. Nothing of the opening handshake was sent (RFC 6455 §4.1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What was given as root certificates is none, or there is no root at all.
    #[error(
        "the root certificates are none, or cannot be used here; give certificates in PEM or DER, a `ClientConfig` its \
         own ones"
    )]
    Roots,
    /// A host that no certificate can be for.
    #[error("no certificate can be for the host \"{host}\"; check the URL")]
    Name {
        /// The host.
        host: Box<str>,
    },
    /// The certificate is for other hosts.
    #[error("the server's certificate is not for \"{host}\"; check the URL, or give the server one for this name")]
    WrongName {
        /// The host that was wanted.
        host: Box<str>,
    },
    /// The certificate's time is over.
    #[error("the server's certificate has expired; renew it, or set the clock of this machine")]
    Expired,
    /// The certificate's time has not come.
    #[error("the server's certificate is not valid yet; set the clock of this machine, or wait")]
    NotYetValid,
    /// The certificate comes from nobody who is trusted, or is signed by itself.
    #[error(
        "the server's certificate is self-signed, or from an issuer that is not trusted; if it is the right one, trust it \
         with `Tls::root_certificates`"
    )]
    UnknownIssuer,
    /// The certificate was revoked.
    #[error("the server's certificate was revoked by its issuer; the server needs another")]
    Revoked,
    /// The certificate is wrong in another way.
    #[error("the server's certificate is not accepted: {0}; the server needs another")]
    Certificate(CertificateError),
    /// The server ended TLS.
    #[error("the server refused TLS with the alert {0:?}; check what versions and certificates it wants")]
    Refused(AlertDescription),
    /// What came is not TLS.
    #[error("the server does not speak TLS at this port; check the port, or whether the URL should be ws://")]
    NotTls,
    /// The stream ended within TLS.
    #[error("the server closed the connection before TLS was established; check the port, and whether it speaks TLS")]
    Closed,
    /// TLS failed otherwise.
    #[error("TLS with the server failed: {0}; one of the two sides is broken or wants what the other has not")]
    Failed(#[from] rustls::Error),
}

impl TlsError {
    /// What a stream's error within the handshake with `host` means, if it is about TLS.
    pub(crate) fn from_io(error: io::Error, host: &str) -> Result<Self, io::Error> {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Ok(Self::Closed);
        }
        let failure = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        failure.map(|failure| Self::judge(failure, host)).ok_or(error)
    }

    fn judge(failure: &rustls::Error, host: &str) -> Self {
        use CertificateError as Certificate;
        match failure {
            rustls::Error::InvalidCertificate(error) => match error {
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    Self::WrongName { host: host.into() }
                }
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => Self::NotYetValid,
                Certificate::UnknownIssuer => Self::UnknownIssuer,
                Certificate::Revoked => Self::Revoked,
                _ => Self::Certificate(error.clone()),
            },
            rustls::Error::AlertReceived(alert) => Self::Refused(*alert),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            _ => Self::Failed(failure.clone()),
        }
    }
}
