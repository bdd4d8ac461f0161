//! TLS by rustls.

mod error;
mod verifier;

pub use error::TlsError;

use std::boxed::Box;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::vec::Vec;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, RootCertStore};

use super::addresses::bare;
use super::error::ConnectError;

/// Whom a client trusts, and how it speaks TLS otherwise.
///
/// By default it trusts whom the platform trusts, as other programs on the machine do. It says which host it wants
/// (SNI), asks for `http/1.1` (ALPN), resumes sessions, and speaks TLS 1.2 and 1.3 with rustls' *ring* provider,
/// whatever provider the program uses elsewhere. What it reads and prepares once, clones share.
///
/// ```
/// use sockeye::{Connect, Tls};
///
/// # fn f(pem: &[u8]) {
/// let inside = Connect::to("wss://intranet.example/").tls(Tls::no_roots().root_certificates(pem));
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Tls {
    trust: Trust,
    roots: Vec<CertificateDer<'static>>,
    /// Something given as roots was none.
    are_roots_invalid: bool,
    built: Arc<OnceLock<Arc<ClientConfig>>>,
}

#[derive(Clone, Copy, Debug)]
enum Trust {
    Platform,
    Bundled,
    Roots,
    Anyone,
    Custom,
}

impl Tls {
    /// Trusts whom the platform trusts, by its own judgement where it has one (Windows, Apple, Android).
    pub fn platform_roots() -> Self {
        // The roots are read from the disk once, not for every connection.
        static SHARED: OnceLock<Tls> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(Trust::Platform)).clone()
    }

    /// Trusts the roots of Mozilla that this build contains, whatever the platform says. They age with the build.
    pub fn bundled_roots() -> Self {
        Self::new(Trust::Bundled)
    }

    /// Trusts nobody but whom [`root_certificates`](Self::root_certificates) adds.
    pub fn no_roots() -> Self {
        Self::new(Trust::Roots)
    }

    /// Trusts these certificates too: any number in PEM, or one in DER. What is none is an error when a connection is
    /// opened. A `ClientConfig` has roots of its own, and none can be added to it.
    pub fn root_certificates(mut self, pem_or_der: &[u8]) -> Self {
        let before = self.roots.len();
        if pem_or_der.windows(PEM.len()).any(|window| window == PEM) {
            for certificate in CertificateDer::pem_slice_iter(pem_or_der) {
                match certificate {
                    Ok(certificate) => self.roots.push(certificate),
                    Err(_) => self.are_roots_invalid = true,
                }
            }
        } else {
            self.roots.push(pem_or_der.to_vec().into());
        }
        self.are_roots_invalid |= self.roots.len() == before || matches!(self.trust, Trust::Custom);
        self.rebuilt()
    }

    /// Trusts anyone who answers: what is sent and received **may be read and changed by anyone on the way**. For
    /// experiments alone.
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        if let (Trust::Custom, Some(config)) = (self.trust, self.built.get()) {
            let mut config = ClientConfig::clone(config);
            let verifier = verifier::anyone(config.crypto_provider());
            config.dangerous().set_certificate_verifier(verifier);
            return config.into();
        }
        self.trust = Trust::Anyone;
        self.rebuilt()
    }

    fn new(trust: Trust) -> Self {
        Self { trust, roots: Vec::new(), are_roots_invalid: false, built: Arc::default() }
    }

    /// What was built goes by other settings.
    fn rebuilt(mut self) -> Self {
        self.built = Arc::default();
        self
    }

    /// What speaks TLS with this host, which may have the brackets of a URL.
    pub(super) fn session(&self, host: &str) -> Result<Session, ConnectError> {
        let name = ServerName::try_from(bare(host)).map_err(|_| TlsError::Name { host: host.into() })?;
        Ok(Session { config: self.config()?, name: name.to_owned(), host: host.into() })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if self.are_roots_invalid {
            return Err(TlsError::Roots);
        }
        if let Some(config) = self.built.get() {
            return Ok(config.clone());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = self.verifier(&provider)?;
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let verified = versions.dangerous().with_custom_certificate_verifier(verifier);
        let config = Arc::new(with_alpn(verified.with_no_client_auth()));
        Ok(self.built.get_or_init(|| config).clone())
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let mut store = RootCertStore::empty();
        match self.trust {
            Trust::Platform => return verifier::platform(&self.roots, provider),
            Trust::Anyone => return Ok(verifier::anyone(provider)),
            Trust::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Trust::Roots | Trust::Custom => {}
        }
        for root in &self.roots {
            store.add(root.clone()).map_err(|_| TlsError::Roots)?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider.clone()).build();
        match verifier {
            Ok(verifier) => Ok(verifier),
            Err(_) => Err(TlsError::Roots),
        }
    }
}

/// A configuration of rustls as it is, for client certificates, pinning or another provider; but for ALPN, which is
/// always `http/1.1`.
impl From<ClientConfig> for Tls {
    fn from(config: ClientConfig) -> Self {
        let tls = Self::new(Trust::Custom);
        tls.built.get_or_init(|| Arc::new(with_alpn(config)));
        tls
    }
}

impl From<Arc<ClientConfig>> for Tls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Arc::unwrap_or_clone(config).into()
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::platform_roots()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tls = f.debug_struct("Tls");
        tls.field("trust", &self.trust).field("root_certificates", &self.roots.len()).finish()
    }
}

/// TLS with one host, before its first byte.
pub(super) struct Session {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
    /// For errors.
    pub(super) host: Box<str>,
}

impl Session {
    pub(super) fn start(self) -> Result<ClientConnection, TlsError> {
        Ok(ClientConnection::new(self.config, self.name)?)
    }
}

/// Nothing but HTTP/1.1 can be upgraded (RFC 6455 §4.1), and a server that prefers another protocol must know that.
fn with_alpn(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = [b"http/1.1".to_vec()].into();
    config
}

const PEM: &[u8] = b"-----BEGIN ";
