//! WebSockets of [`sockeye`] in [axum] handlers: the extractor [`WebSocketUpgrade`], to be used like axum's own.
//!
//! ```
//! use axum::{Router, response::Response, routing::any};
//! use sockeye::Error;
//! use sockeye_axum::{WebSocket, WebSocketUpgrade};
//!
//! let app: Router = Router::new().route("/echo", any(handler));
//!
//! async fn handler(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.protocols(["chat"]).on_upgrade(|ws| async {
//!         if let Err(error) = echo(ws).await {
//!             eprintln!("{error}");
//!         }
//!     })
//! }
//!
//! async fn echo(mut ws: WebSocket) -> Result<(), Error> {
//!     while let Some((message, writer)) = ws.recv_with_writer().await? {
//!         writer.send(message)?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What is different from axum's own:
//! - a page of another site may not connect, until [`origins`](WebSocketUpgrade::origins) allows it;
//! - limits, keepalive and compression are one [`Config`], see [`config`](WebSocketUpgrade::config);
//! - the [`WebSocket`] is sockeye's, whose messages are lent. It is also a `Stream` and a `Sink` of owned ones.
//!
//! axum sets no TCP option unless it is told to: `listener.tap_io(|stream| drop(stream.set_nodelay(true)))`, with
//! `axum::serve::ListenerExt`, makes short messages leave at once.
//!
//! [axum]: https://docs.rs/axum/0.8

use std::fmt;

use axum_core::Error;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::Version;
use http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sockeye::handshake::RejectReason;
use sockeye::server::{Accept, Request};
use sockeye::{Config, Origins, Reject, Role};

/// An open connection, over the stream that hyper has upgraded.
pub type WebSocket = sockeye::tokio::WebSocket<TokioIo<Upgraded>>;

/// Takes a WebSocket's opening handshake out of a request.
///
/// Over HTTP/1.1 that is a `GET`, over HTTP/2 a `CONNECT` (RFC 8441, feature `http2`). A route with
/// `axum::routing::any` takes both. Requests that are no handshake, or not in order, are answered by the [`Rejection`].
#[must_use = "the client waits for the response that `on_upgrade` makes"]
pub struct WebSocketUpgrade<F = DefaultOnFailedUpgrade> {
    request: Request,
    accept: Accept,
    /// The page that asks may not connect.
    forbidden: Option<Reject>,
    config: Config,
    on_upgrade: OnUpgrade,
    on_failed_upgrade: F,
}

impl<F> WebSocketUpgrade<F> {
    /// The limits, deadlines and compression of the connection, instead of [`Config::DEFAULT`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The pages that may connect, instead of [`Origins::Same`]. Others are answered with 403.
    pub fn origins(mut self, origins: Origins<'_>) -> Self {
        self.forbidden = self.request.accept(origins).err();
        self
    }

    /// Chooses the first of these subprotocols that the client offers, or none (RFC 6455 §1.9).
    pub fn protocols<P: AsRef<str>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let mut protocols = protocols.into_iter();
        let chosen = protocols.find(|name| self.requested_protocols().any(|offered| offered == name.as_ref()));
        if let Some(chosen) = chosen {
            self.accept = self.accept.subprotocol(chosen.as_ref());
        }
        self
    }

    /// The subprotocols that the client offers, the most wanted first.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &str> {
        self.accept.subprotocols()
    }

    /// The subprotocol that was chosen.
    pub fn selected_protocol(&self) -> Option<&str> {
        self.accept.agreed().subprotocol()
    }

    /// What to do if the connection breaks before it is upgraded. Nothing, by default.
    pub fn on_failed_upgrade<C: OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        let Self { request, accept, forbidden, config, on_upgrade, on_failed_upgrade: _ } = self;
        WebSocketUpgrade { request, accept, forbidden, config, on_upgrade, on_failed_upgrade: callback }
    }

    /// Makes the response that accepts the handshake, and runs `callback` with the connection in a task of its own as
    /// soon as the response is sent. If the handshake cannot be accepted, the response says so, and nothing is run.
    #[must_use = "the connection is upgraded by returning this response"]
    pub fn on_upgrade<C, Fut>(self, callback: C) -> Response
    where
        F: OnFailedUpgrade,
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Self { accept, forbidden, config, on_upgrade, on_failed_upgrade, .. } = self;
        if let Some(reject) = forbidden {
            return Rejection(reject).into_response();
        }
        #[cfg(feature = "deflate")]
        let accept = accept.deflate(&config);
        let (response, agreed) = match accept.into_http() {
            Ok(accepted) => accepted,
            Err(reject) => return Rejection(reject).into_response(),
        };
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let stream = TokioIo::new(upgraded); // which begins with what hyper has read already
                    callback(WebSocket::open(stream, Role::Server, agreed, &config, &[])).await;
                }
                Err(error) => on_failed_upgrade.call(Error::new(error)),
            }
        });
        response.map(|()| Body::empty())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let request = receive(parts)?;
        let accept = request.accept(Origins::Any)?;
        let forbidden = request.accept(Origins::Same).err();
        let on_upgrade = parts.extensions.remove().ok_or_else(|| not_upgradable(&request))?;
        let (config, on_failed_upgrade) = (Config::DEFAULT, DefaultOnFailedUpgrade);
        Ok(Self { request, accept, forbidden, config, on_upgrade, on_failed_upgrade })
    }
}

fn receive(parts: &Parts) -> Result<Request, Reject> {
    if parts.version < Version::HTTP_2 {
        return Request::from_http(parts);
    }
    #[cfg(feature = "http2")]
    let protocol = parts.extensions.get().map_or("", hyper::ext::Protocol::as_str);
    #[cfg(not(feature = "http2"))]
    let protocol = ""; // hyper does not let it through
    Request::from_http_connect(parts, protocol)
}

/// Something in between, or a test without a server, has taken away what hyper puts in each request.
fn not_upgradable(request: &Request) -> Reject {
    request.reject(500).body("the server cannot upgrade this connection\n")
}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("request", &self.request)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A request that is no handshake, or one that is not in order, and the response to it: sockeye's [`Reject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Reject);

impl Rejection {
    /// Why.
    pub fn reason(&self) -> &RejectReason {
        self.0.reason()
    }

    /// The response, to change it.
    pub fn into_reject(self) -> Reject {
        self.0
    }
}

impl From<Reject> for Rejection {
    fn from(reject: Reject) -> Self {
        Self(reject)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_http().map(Body::from)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Rejection {}

/// What to do if the connection breaks before it is upgraded; see [`WebSocketUpgrade::on_failed_upgrade`].
pub trait OnFailedUpgrade: Send + 'static {
    /// Is told what happened.
    fn call(self, error: Error);
}

impl<F: FnOnce(Error) + Send + 'static> OnFailedUpgrade for F {
    fn call(self, error: Error) {
        self(error);
    }
}

/// Nothing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DefaultOnFailedUpgrade;

impl OnFailedUpgrade for DefaultOnFailedUpgrade {
    fn call(self, _: Error) {}
}
