//! Connecting with a thread that waits.

mod stream;
#[cfg(any(feature = "rustls", feature = "proxy"))]
mod timed;

pub use stream::ClientStream;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::string::String;
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
use crate::trace;

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
    trace::dialing(plan.request.host(), plan.request.port());
    let stream = dial(connect, &plan.request, deadline).inspect_err(trace::unreachable)?;
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
    let stream = within_tls(stream, plan.session, deadline).inspect_err(trace::unreachable)?;
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
    let mut tls = session.start()?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut Timed::new(&mut stream, deadline)) {
            deadline.remaining(Timeout::Tls)?;
            return Err(TlsError::from_io(error, &host).map_or_else(Error::Io, Error::from));
        }
    }
    Ok(ClientStream::tls_over(stream, tls))
}

fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = literal(host) {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    let name = String::from(host);
    let addresses = in_time(deadline, move || Ok((&*name, port).to_socket_addrs()?.collect()))?;
    Ok(addresses.map_err(|source| ConnectError::Resolve { host: host.into(), source })?)
}

/// The system's resolver cannot be told to end in time, so a thread of its own waits for it.
fn in_time<T: Send + 'static>(
    deadline: Deadline,
    look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, Error> {
    let remaining = deadline.remaining(Timeout::Resolve)?;
    let (answer, answered) = sync_channel(1);
    let resolver = move || {
        let _ = answer.send(look_up()); // nobody may be waiting any more
    };
    if let Err(error) = thread::Builder::new().name("sockeye-resolve".into()).spawn(resolver) {
        return Ok(Err(error));
    }
    let answer = match remaining {
        Some(remaining) => answered.recv_timeout(remaining),
        None => answered.recv().map_err(RecvTimeoutError::from),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(RecvTimeoutError::Timeout) => Err(Timeout::Resolve.into()),
        Err(RecvTimeoutError::Disconnected) => Ok(Err(io::ErrorKind::Other.into())),
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
    let (mut failure, mut is_late) = (None, false);
    for address in addresses {
        let timeout = deadline.remaining(Timeout::Connect)?.map(|remaining| share(remaining, left));
        match open_to(connect, address, timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                is_late |= timeout.is_some() && error.is_timeout();
                failure.get_or_insert(error);
            }
        }
        left -= 1;
    }
    // What was given up could have come, had there been more time.
    if is_late {
        return Err(Timeout::Connect.into());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(milliseconds: u64) -> Deadline {
        Deadline(Instant::now().checked_add(Duration::from_millis(milliseconds)))
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_given_up_at_the_deadline() {
        let (hold, held) = sync_channel::<()>(0);
        let silent = move || held.recv().map_err(io::Error::other);
        assert!(matches!(in_time(deadline(5), silent), Err(Error::Timeout(Timeout::Resolve))));
        drop(hold);
        assert!(matches!(in_time(deadline(0), || Ok(())), Err(Error::Timeout(Timeout::Resolve))));
    }

    #[test]
    fn a_resolver_that_answers_or_dies_ends_the_wait() {
        for deadline in [deadline(60_000), Deadline(None)] {
            assert!(matches!(in_time(deadline, || Ok(7)), Ok(Ok(7))));
            assert!(matches!(in_time(deadline, || Err::<(), _>(io::ErrorKind::NotFound.into())), Ok(Err(_))));
        }
    }

    #[test]
    fn each_address_has_a_share_of_the_time_that_is_worth_an_attempt() {
        let share = |remaining, left| share(Duration::from_secs(remaining), left).as_secs();
        assert_eq!((share(10, 1), share(10, 2), share(9, 3), share(10, 20), share(1, 5)), (10, 5, 3, 2, 1));
    }
}
