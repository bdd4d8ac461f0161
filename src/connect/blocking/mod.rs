//! Connecting with a thread that waits.

mod stream;
#[cfg(any(feature = "rustls", feature = "proxy"))]
mod timed;

pub use stream::ClientStream;

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use socket2::{Domain, Protocol, Socket, Type};

#[cfg(any(feature = "rustls", feature = "proxy"))]
use self::timed::Timed;
#[cfg(feature = "proxy")]
use super::Hop;
use super::addresses::{in_turn, literal};
use super::error::ConnectError;
#[cfg(feature = "proxy")]
use super::proxy::{ProxyError, tunnel_blocking};
use super::tls::Session;
#[cfg(feature = "rustls")]
use super::tls::TlsError;
use super::{Connect, Plan};
use crate::handshake::client;
use crate::io::blocking::{Stream, WebSocket};
use crate::io::{Error, Timeout};

/// Connects to a WebSocket server: a URL will do, and [`Connect`] says more.
///
/// The addresses of the host are tried one after the other, each with its share of the time.
///
/// ```no_run
/// let (mut ws, _response) = sockeye::blocking::connect("ws://localhost:8080/chat")?;
/// ws.send("Hello")?;
/// while let Some(message) = ws.recv()? {
///     println!("{message:?}");
/// }
/// # Ok::<_, sockeye::Error>(())
/// ```
///
/// # Errors
/// The URL or another setting is wrong, the server could not be reached ([`Error::Connect`]), refused
/// ([`Error::status`]), broke the protocol, or let a deadline pass; which one names the stage.
pub fn connect(to: impl Into<Connect>) -> Result<(WebSocket<ClientStream>, client::Response), Error> {
    let mut connect = to.into();
    loop {
        match attempt(&connect) {
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
pub fn connect_over<S: Stream>(
    stream: S,
    to: impl Into<Connect>,
) -> Result<(WebSocket<ClientStream<S>>, client::Response), Error> {
    let connect = to.into();
    let plan = connect.plan()?;
    open(&connect, plan, ClientStream::plain(stream), Deadline::of(&connect))
}

fn attempt(connect: &Connect) -> Result<(WebSocket<ClientStream>, client::Response), Error> {
    let plan = connect.plan()?;
    let deadline = Deadline::of(connect);
    let stream = dial(connect, &plan.request, deadline)?;
    open(connect, plan, stream, deadline)
}

/// A stream to the server, whatever it leads through.
fn dial(connect: &Connect, request: &client::Request, deadline: Deadline) -> Result<ClientStream, Error> {
    #[cfg(feature = "proxy")]
    if let Some(hop) = connect.hop(request)? {
        return through(connect, hop, deadline);
    }
    let addresses = match &connect.addresses {
        Some(addresses) => addresses.clone(),
        None => resolve(request.host(), request.port(), deadline)?,
    };
    let socket = open_socket(connect, request.host(), addresses, deadline)?;
    Ok(ClientStream::plain(socket))
}

#[cfg(feature = "proxy")]
fn through(connect: &Connect, hop: Hop, deadline: Deadline) -> Result<ClientStream, Error> {
    let Hop { server, session, host, port } = hop;
    let to_proxy = || {
        let addresses = resolve(server.host(), server.port(), deadline)?;
        let socket = open_socket(connect, server.host(), addresses, deadline)?;
        within_tls(ClientStream::plain(socket), session, deadline)
    };
    let mut stream = to_proxy().map_err(ProxyError::unreachable)?;
    if let Err(error) = tunnel_blocking(&server, Timed::new(&mut stream, deadline), &host, port, &connect.config) {
        deadline.remaining(Timeout::Proxy)?;
        return Err(error.into());
    }
    Ok(stream)
}

/// The two handshakes, where there are two.
fn open<S: Stream>(
    connect: &Connect,
    plan: Plan,
    stream: ClientStream<S>,
    deadline: Deadline,
) -> Result<(WebSocket<ClientStream<S>>, client::Response), Error> {
    let stream = within_tls(stream, plan.session, deadline)?;
    WebSocket::client_with(stream, plan.request, &connect.config)
}

fn within_tls<S: Stream>(
    stream: ClientStream<S>,
    session: Option<Session>,
    #[cfg_attr(not(feature = "rustls"), allow(unused_variables))] deadline: Deadline,
) -> Result<ClientStream<S>, Error> {
    match session {
        None => Ok(stream),
        #[cfg(feature = "rustls")]
        Some(session) => secure(stream, session, deadline),
        #[cfg(not(feature = "rustls"))]
        Some(never) => match never {},
    }
}

/// §4.1: TLS comes before all else, and its failure ends the connection.
#[cfg(feature = "rustls")]
fn secure<S: Stream>(
    mut stream: ClientStream<S>,
    session: Session,
    deadline: Deadline,
) -> Result<ClientStream<S>, Error> {
    let host = session.host.clone();
    let mut tls = session.start().map_err(ConnectError::from)?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut Timed::new(&mut stream, deadline)) {
            deadline.remaining(Timeout::Tls)?;
            return Err(
                TlsError::from_io(error, &host).map_or_else(Error::Io, |error| ConnectError::from(error).into())
            );
        }
    }
    Ok(ClientStream::tls_over(stream, tls))
}

/// The system's resolver cannot be told to end in time, so a thread of its own waits for it.
fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = literal(host) {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    let failure = |source| ConnectError::Resolve { host: host.into(), source };
    let name = std::string::String::from(host);
    let (answer, answered) = sync_channel(1);
    let resolver = move || {
        let addresses = (&*name, port).to_socket_addrs().map(Vec::from_iter);
        let _ = answer.send(addresses); // nobody may be waiting any more
    };
    thread::Builder::new().name("sockeye-resolve".into()).spawn(resolver).map_err(failure)?;
    let addresses = match deadline.remaining(Timeout::Resolve)? {
        Some(remaining) => answered.recv_timeout(remaining),
        None => answered.recv().map_err(RecvTimeoutError::from),
    };
    match addresses {
        Ok(addresses) => Ok(addresses.map_err(failure)?),
        Err(RecvTimeoutError::Timeout) => Err(Timeout::Resolve.into()),
        Err(RecvTimeoutError::Disconnected) => Err(failure(std::io::ErrorKind::Other.into()).into()),
    }
}

/// A connection to the first address that takes one. If none does, the first failure counts.
fn open_socket(
    connect: &Connect,
    host: &str,
    addresses: Vec<SocketAddr>,
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    let addresses = in_turn(addresses, connect.local_address);
    let mut left = addresses.len();
    let mut failure = None;
    for address in addresses {
        let remaining = deadline.remaining(Timeout::Connect)?;
        match open_to(connect, address, remaining.map(|remaining| share(remaining, left))) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure.get_or_insert(error),
        };
        left -= 1;
    }
    deadline.remaining(Timeout::Connect)?;
    Err(failure.unwrap_or_else(|| ConnectError::no_address(host, connect.local_address)).into())
}

fn open_to(connect: &Connect, address: SocketAddr, timeout: Option<Duration>) -> Result<TcpStream, ConnectError> {
    let failure = |source| ConnectError::Connect { address, source };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(failure)?;
    if let Some(local) = connect.local_address {
        let bound = socket.bind(&SocketAddr::new(local, 0).into());
        bound.map_err(|source| ConnectError::LocalAddress { local, source })?;
    }
    match timeout {
        Some(timeout) => socket.connect_timeout(&address.into(), timeout),
        None => socket.connect(&address.into()),
    }
    .map_err(failure)?;
    socket.set_tcp_nodelay(connect.nodelay).map_err(failure)?;
    Ok(socket.into())
}

/// What one of `left` addresses may take of the remaining time: enough to be worth the attempt, and no more than leaves
/// the others theirs.
fn share(remaining: Duration, left: usize) -> Duration {
    let equal = remaining / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    equal.max(SHORTEST_ATTEMPT).min(remaining)
}

/// When the server must have been reached.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn of(connect: &Connect) -> Self {
        Self(connect.connect_timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// How long this stage may still wait; `None` is for ever.
    fn remaining(self, stage: Timeout) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.0 else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(stage.into()),
            remaining => Ok(Some(remaining.max(Duration::from_millis(1)))),
        }
    }
}

/// A handshake over a slow link takes about so long.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(2);
