//! Connecting over tokio.

mod stream;

pub use stream::ClientStream;

use std::boxed::Box;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use std::vec::Vec;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
#[cfg(feature = "rustls")]
use tokio_rustls::TlsConnector;

#[cfg(feature = "proxy")]
use super::Hop;
use super::addresses::{in_turn, literal};
use super::error::ConnectError;
#[cfg(feature = "proxy")]
use super::proxy::{ProxyError, tunnel_tokio};
use super::tls::Session;
#[cfg(feature = "rustls")]
use super::tls::TlsError;
use super::{Connect, Plan};
use crate::handshake::client;
use crate::io::tokio::WebSocket;
use crate::io::{Error, Timeout};
use crate::trace;

/// Connects to a WebSocket server: a URL will do, and [`Connect`] says more.
///
/// IPv6 and IPv4 addresses are tried in turn, 250 ms apart, until the first connection is open (RFC 8305). The future may
/// be dropped at any point, and all it has opened is closed then. tokio's runtime must have its IO and time enabled.
///
/// ```no_run
/// # async fn f() -> Result<(), sockeye::Error> {
/// let (mut ws, _response) = sockeye::tokio::connect("ws://localhost:8080/chat").await?;
/// ws.send("Hello").await?;
/// while let Some(message) = ws.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// The URL or another setting is wrong, the server could not be reached ([`Error::Connect`]), refused
/// ([`Error::status`]), broke the protocol, or let a deadline pass; which one names the stage.
pub async fn connect(to: impl Into<Connect>) -> Result<(WebSocket<ClientStream>, client::Response), Error> {
    let mut connect = to.into();
    loop {
        // Only what is open in the end is worth room in the caller's task.
        match Box::pin(attempt(&connect)).await {
            Ok(open) => return Ok(open),
            Err(error) => connect = connect.follow(error)?,
        }
    }
}

/// The same over a stream that leads to the server already: through a tunnel, a Unix socket, a test. TLS is still spoken
/// over it where the URL is `wss`. Redirects are not followed, for they lead elsewhere.
///
/// # Errors
/// As [`connect`].
pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    to: impl Into<Connect>,
) -> Result<(WebSocket<ClientStream<S>>, client::Response), Error> {
    let connect = to.into();
    let plan = connect.plan()?;
    let deadline = connect.deadline();
    Box::pin(open(&connect, plan, ClientStream::plain(stream), deadline)).await
}

async fn attempt(connect: &Connect) -> Result<(WebSocket<ClientStream>, client::Response), Error> {
    let plan = connect.plan()?;
    let deadline = connect.deadline();
    trace::dialing(plan.request.host(), plan.request.port());
    let stream = dial(connect, &plan.request, deadline).await.inspect_err(trace::unreachable)?;
    open(connect, plan, stream, deadline).await
}

/// A stream to the server, whatever it leads through.
async fn dial(connect: &Connect, request: &client::Request, deadline: Option<Instant>) -> Result<ClientStream, Error> {
    #[cfg(feature = "proxy")]
    if let Some(hop) = connect.hop(request)? {
        return through(connect, hop, deadline).await;
    }
    let addresses = match &connect.addresses {
        Some(addresses) => addresses.clone(),
        None => resolve(request.host(), request.port(), deadline).await?,
    };
    let socket = open_socket(connect, request.host(), addresses, deadline).await?;
    Ok(ClientStream::plain(socket))
}

#[cfg(feature = "proxy")]
async fn through(connect: &Connect, hop: Hop, deadline: Option<Instant>) -> Result<ClientStream, Error> {
    let Hop { server, session, host, port } = hop;
    let to_proxy = async {
        let addresses = resolve(server.host(), server.port(), deadline).await?;
        let socket = open_socket(connect, server.host(), addresses, deadline).await?;
        within_tls(ClientStream::plain(socket), session, deadline).await
    };
    let stream = to_proxy.await.map_err(ProxyError::unreachable)?;
    let tunnel = tunnel_tokio(&server, stream, &host, port, &connect.config);
    within(deadline, Timeout::Proxy, async { Ok(tunnel.await?) }).await
}

/// The two handshakes, where there are two.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    connect: &Connect,
    plan: Plan,
    stream: ClientStream<S>,
    deadline: Option<Instant>,
) -> Result<(WebSocket<ClientStream<S>>, client::Response), Error> {
    let stream = within_tls(stream, plan.session, deadline).await.inspect_err(trace::unreachable)?;
    WebSocket::client_with(stream, plan.request, &connect.config).await
}

async fn within_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: ClientStream<S>,
    session: Option<Session>,
    #[cfg_attr(not(feature = "rustls"), allow(unused_variables))] deadline: Option<Instant>,
) -> Result<ClientStream<S>, Error> {
    match session {
        None => Ok(stream),
        #[cfg(feature = "rustls")]
        Some(session) => within(deadline, Timeout::Tls, secure(stream, session)).await,
        #[cfg(not(feature = "rustls"))]
        Some(never) => match never {},
    }
}

/// §4.1: TLS comes before all else, and its failure ends the connection.
#[cfg(feature = "rustls")]
async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: ClientStream<S>,
    session: Session,
) -> Result<ClientStream<S>, Error> {
    let Session { config, name, host } = session;
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(ClientStream::tls_over(stream)),
        Err(error) => Err(TlsError::from_io(error, &host).map_or_else(Error::Io, Error::from)),
    }
}

async fn resolve(host: &str, port: u16, deadline: Option<Instant>) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = literal(host) {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    within(deadline, Timeout::Resolve, async {
        let failure = |source| ConnectError::Resolve { host: host.into(), source };
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(failure)?.collect();
        Ok(addresses)
    })
    .await
}

async fn open_socket(
    connect: &Connect,
    host: &str,
    addresses: Vec<SocketAddr>,
    deadline: Option<Instant>,
) -> Result<TcpStream, Error> {
    let (local, nodelay) = (connect.local_address, connect.nodelay);
    let addresses = in_turn(addresses, local);
    let race = race(addresses, |address| Box::pin(open_to(address, local, nodelay)));
    match within(deadline, Timeout::Connect, async { Ok(race.await) }).await? {
        Some(socket) => Ok(socket?),
        None => Err(ConnectError::no_address(host, local).into()),
    }
}

async fn open_to(address: SocketAddr, local: Option<IpAddr>, nodelay: bool) -> Result<TcpStream, ConnectError> {
    let failure = |source| ConnectError::Connect { address, source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failure)?;
    if let Some(local) = local {
        let bound = socket.bind(SocketAddr::new(local, 0));
        bound.map_err(|source| ConnectError::LocalAddress { local, source })?;
    }
    let stream = socket.connect(address).await.map_err(failure)?;
    stream.set_nodelay(nodelay).map_err(failure)?;
    Ok(stream)
}

/// RFC 8305 §5: the next address gets its turn when another has failed, or some time after the one before. The first
/// connection wins, and the other attempts are dropped; if all fail, the first failure counts.
async fn race<A, T, E, F: Future<Output = Result<T, E>> + Unpin>(
    addresses: Vec<A>,
    mut start: impl FnMut(A) -> F,
) -> Option<Result<T, E>> {
    let mut waiting = addresses.into_iter();
    let mut attempts = Vec::new();
    let mut failure = None;
    loop {
        match waiting.next() {
            Some(address) => attempts.push(start(address)),
            None if attempts.is_empty() => return failure.map(Err),
            None => {}
        }
        let next = next_of(&mut attempts);
        let done = if waiting.len() == 0 { Some(next.await) } else { timeout(ATTEMPT_DELAY, next).await.ok() };
        match done {
            Some(Ok(winner)) => return Some(Ok(winner)),
            Some(Err(error)) => {
                failure.get_or_insert(error);
            }
            None => {}
        }
    }
}

/// The result of the first attempt to end, which is then removed.
async fn next_of<T, F: Future<Output = T> + Unpin>(attempts: &mut Vec<F>) -> T {
    poll_fn(|cx| {
        for (at, attempt) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(done) = Pin::new(attempt).poll(cx) {
                drop(attempts.swap_remove(at));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

async fn within<T>(
    deadline: Option<Instant>,
    stage: Timeout,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match deadline {
        None => future.await,
        // What a stage before has used up is gone, however fast this one is.
        Some(deadline) if deadline <= Instant::now() => Err(stage.into()),
        Some(deadline) => timeout_at(deadline, future).await.unwrap_or_else(|_| Err(stage.into())),
    }
}

impl Connect {
    fn deadline(&self) -> Option<Instant> {
        self.connect_timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }
}

/// The recommended value of RFC 8305 §5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// An attempt: after so many milliseconds it says this.
    type Attempt = (u64, Result<&'static str, &'static str>);

    /// The result, when it was there, how many attempts were begun, and how many were held on to.
    async fn raced(attempts: &[Attempt]) -> (Option<Result<&'static str, &'static str>>, u128, usize, usize) {
        let (begun, held) = (AtomicUsize::new(0), Arc::new(()));
        let start = Instant::now();
        let result = race(attempts.to_vec(), |(delay, result)| {
            begun.fetch_add(1, Ordering::Relaxed);
            let held = held.clone();
            Box::pin(async move {
                sleep(Duration::from_millis(delay)).await;
                drop(held);
                result
            })
        })
        .await;
        (result, start.elapsed().as_millis(), begun.into_inner(), Arc::strong_count(&held) - 1)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_has_the_whole_time_of_the_stagger_for_itself() {
        assert_eq!(raced(&[(249, Ok("a")), (0, Ok("b"))]).await, (Some(Ok("a")), 249, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_begins_after_250_ms_and_the_loser_is_dropped() {
        assert_eq!(raced(&[(90_000, Ok("a")), (30, Ok("b")), (0, Ok("c"))]).await, (Some(Ok("b")), 280, 2, 0));
        assert_eq!(raced(&[(300, Ok("a")), (100, Ok("b"))]).await, (Some(Ok("a")), 300, 2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_begins_at_once_when_one_has_failed() {
        assert_eq!(raced(&[(7, Err("a")), (5, Ok("b"))]).await, (Some(Ok("b")), 12, 2, 0));
        assert_eq!(raced(&[(300, Err("a")), (90, Err("b")), (5, Ok("c"))]).await, (Some(Ok("c")), 305, 3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_counts_where_all_fail() {
        assert_eq!(raced(&[(300, Err("a")), (10, Err("b"))]).await, (Some(Err("b")), 300, 2, 0));
        assert_eq!(raced(&[]).await, (None, 0, 0, 0));
    }
}
