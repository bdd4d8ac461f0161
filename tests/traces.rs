//! What `tracing` is told: all of it, line by line, over every driver; and that no secret is in it.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sockeye::tokio::{Reconnect, reconnect};
use sockeye::{
    Agreed, Backoff, CloseCode, Config, Connect, Error, Origins, ProtocolError, Reject, Role, blocking, client,
    futures, server, tokio as over_tokio,
};
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::compat::TokioAsyncReadCompatExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{self, DefaultGuard};
use tracing::{Event, Metadata, Subscriber};

/// Writes a line for each event of the crate, with the spans that it is in.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    spans: Vec<String>,
    entered: Vec<u64>,
}

impl Lines {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic while it was held")
    }

    /// Listens to this thread.
    fn listen(&self) -> DefaultGuard {
        subscriber::set_default(self.clone())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen().lines)
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        }
        .expect("a string takes everything");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sockeye"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Fields(&mut text));
        let mut seen = self.seen();
        seen.spans.push(text);
        Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut seen = self.seen();
        let mut line = event.metadata().level().to_string();
        for span in &seen.entered {
            write!(line, " [{}]", seen.spans[*span as usize - 1]).expect("a string takes everything");
        }
        event.record(&mut Fields(&mut line));
        seen.lines.push(line);
    }

    fn enter(&self, span: &Id) {
        self.seen().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.seen().entered.pop();
    }
}

const CONFIG: Config = Config::DEFAULT.ping_interval(None);

/// What an ordinary conversation tells of the client, and of the server.
const CLIENT: [&str; 2] = [
    r#"DEBUG [handshake role="client"] the connection is open"#,
    r#"DEBUG the connection has ended role="client" code=1000 by_peer=false was_clean=true"#,
];
const SERVER: [&str; 2] = [
    r#"DEBUG [handshake role="server"] the connection is open"#,
    r#"DEBUG the connection has ended role="server" code=1000 by_peer=true was_clean=true"#,
];

fn sorted<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn request() -> client::Request {
    client::Request::get("ws://localhost/chat?token=secret-query")
        .expect("a URL")
        .header("Authorization", "secret-header")
        .header("Cookie", "id=secret-cookie")
}

fn answer(request: server::Request) -> Result<server::Accept, Reject> {
    Ok(request.accept(Origins::Same)?.header("Set-Cookie", "id=secret-cookie"))
}

fn refuse(request: server::Request) -> Result<server::Accept, Reject> {
    Err(request.reject(401).header("WWW-Authenticate", "secret-realm").body("secret-body"))
}

/// Sends secrets in every kind of frame, and closes with one.
macro_rules! confide {
    ($client:expr, $server:expr $(, $await:tt)?) => {{
        let (client, server) = (&mut $client, &mut $server);
        client.send("secret-payload")$(.$await)?.expect("sent");
        client.ping(b"secret-ping")$(.$await)?.expect("sent");
        assert!(server.recv()$(.$await)?.expect("open").is_some());
        client.start_close(CloseCode::NORMAL, "secret-reason")$(.$await)?.expect("sent");
    }};
}

fn assert_no_secret(lines: &[String]) {
    for line in lines {
        assert!(!line.contains("secret"), "{line}");
    }
}

/// What both ends of a conversation over an asynchronous driver tell.
macro_rules! conversation {
    ($driver:ident, $a:expr, $b:expr) => {{
        use $driver::WebSocket;
        let lines = Lines::default();
        let _listening = lines.listen();
        let accepting = WebSocket::accept_with($b, &CONFIG, answer);
        let (client, server) = tokio::join!(WebSocket::client_with($a, request(), &CONFIG), accepting);
        let (mut client, mut server) = (client.expect("connected").0, server.expect("accepted"));
        confide!(client, server, await);
        let (client, server) =
            tokio::join!(async { client.recv().await.map(drop) }, async { server.recv().await.map(drop) });
        assert!(client.is_ok() && server.is_ok());
        lines.take()
    }};
}

/// What a refusal tells.
macro_rules! refusal {
    ($driver:ident, $a:expr, $b:expr) => {{
        use $driver::WebSocket;
        let lines = Lines::default();
        let _listening = lines.listen();
        let accepting = WebSocket::accept_with($b, &CONFIG, refuse);
        let (client, server) = tokio::join!(WebSocket::client_with($a, request(), &CONFIG), accepting);
        assert!(client.is_err() && server.is_err());
        lines.take()
    }};
}

fn assert_refusal(lines: Vec<String>) {
    assert_no_secret(&lines);
    let [client, server] = &sorted(lines.iter().map(String::as_str))[..] else { panic!("two lines: {lines:?}") };
    assert!(
        client.starts_with(r#"INFO [handshake role="client"] the handshake has failed status=401 error="#),
        "{client}"
    );
    assert_eq!(server, r#"INFO [handshake role="server"] refused the handshake status=401"#);
}

#[tokio::test]
async fn p3_the_asynchronous_drivers_tell_how_connections_begin_and_end_and_no_secret() {
    let (a, b) = duplex(1 << 12);
    let over_tokio = conversation!(over_tokio, a, b);
    let (a, b) = duplex(1 << 12);
    let over_futures = conversation!(futures, a.compat(), b.compat());
    for lines in [over_tokio, over_futures] {
        assert_no_secret(&lines);
        assert_eq!(sorted(lines.iter().map(String::as_str)), sorted([CLIENT, SERVER].concat()));
    }
}

#[tokio::test]
async fn p3_the_asynchronous_drivers_tell_that_they_refused_and_no_secret() {
    let (a, b) = duplex(1 << 12);
    assert_refusal(refusal!(over_tokio, a, b));
    let (a, b) = duplex(1 << 12);
    assert_refusal(refusal!(futures, a.compat(), b.compat()));
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    (client, listener.accept().expect("connected").0)
}

#[test]
fn p3_the_blocking_driver_tells_the_same() {
    use blocking::WebSocket;
    let (ours, theirs) = tcp();
    let serving = thread::spawn(move || {
        let lines = Lines::default();
        let _listening = lines.listen();
        let mut server = WebSocket::accept_with(theirs, &CONFIG, answer).expect("accepted");
        while server.recv().expect("no failure").is_some() {}
        lines.take()
    });
    let lines = Lines::default();
    let _listening = lines.listen();
    let (mut client, _) = WebSocket::client_with(ours, request(), &CONFIG).expect("connected");
    client.send("secret-payload").expect("sent");
    client.ping(b"secret-ping").expect("sent");
    client.close(CloseCode::NORMAL, "secret-reason").expect("closed");
    assert_eq!(lines.take(), CLIENT);
    assert_eq!(serving.join().expect("no panic"), SERVER);

    let (ours, theirs) = tcp();
    let serving = thread::spawn(move || {
        let lines = Lines::default();
        let _listening = lines.listen();
        WebSocket::accept_with(theirs, &CONFIG, refuse).expect_err("refused");
        lines.take()
    });
    WebSocket::client_with(ours, request(), &CONFIG).expect_err("refused");
    assert_refusal([lines.take(), serving.join().expect("no panic")].concat());
}

fn assert_failure(lines: &[String]) {
    let error = ProtocolError::UnmaskedFrame;
    let expected = [
        format!(r#"INFO the connection has failed role="server" error={error}"#),
        r#"DEBUG the connection has ended role="server" code=1006 by_peer=false was_clean=false"#.into(),
    ];
    assert_eq!(lines, expected);
}

/// Once, and the error as it is.
#[tokio::test]
async fn rfc_6455_7_1_7_1_a_failure_is_told_with_its_error() {
    let broken = b"\x81\x06secret";
    let lines = Lines::default();
    let _listening = lines.listen();
    let (mut a, b) = duplex(1 << 12);
    let mut ws = over_tokio::WebSocket::open(b, Role::Server, Agreed::default(), &CONFIG, &[]);
    a.write_all(broken).await.expect("room");
    a.shutdown().await.expect("open");
    assert!(matches!(ws.recv().await, Err(Error::Protocol(_))));
    assert!(matches!(ws.recv().await, Ok(None)));
    assert_failure(&lines.take());

    let (mut a, b) = duplex(1 << 12);
    let mut ws = futures::WebSocket::open(b.compat(), Role::Server, Agreed::default(), &CONFIG, &[]);
    a.write_all(broken).await.expect("room");
    a.shutdown().await.expect("open");
    assert!(matches!(ws.recv().await, Err(Error::Protocol(_))));
    assert_failure(&lines.take());

    let (mut a, b) = tcp();
    let mut ws = blocking::WebSocket::open(b, Role::Server, Agreed::default(), &CONFIG, &[]);
    a.write_all(broken).expect("room");
    a.shutdown(std::net::Shutdown::Write).expect("open");
    assert!(matches!(ws.recv(), Err(Error::Protocol(_))));
    assert_failure(&lines.take());
}

/// The host and the port, and neither credentials nor what is behind them.
#[tokio::test]
async fn p3_a_client_from_a_url_tells_where_it_connects_to_and_no_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let url = format!("ws://user:secret-password@127.0.0.1:{port}/secret-path?token=secret-query");
    let connect = || Connect::to(&url).allow_plaintext_credentials().config(CONFIG);
    drop(listener);
    let lines = Lines::default();
    let _listening = lines.listen();
    for blocking in [false, true] {
        if blocking {
            blocking::connect(connect()).map(drop).expect_err("nobody listens");
        } else {
            over_tokio::connect(connect()).await.map(drop).expect_err("nobody listens");
        }
        let lines = lines.take();
        let [connecting, failed] = &lines[..] else { panic!("two lines: {lines:?}") };
        assert_eq!(connecting, &format!(r#"DEBUG connecting host="127.0.0.1" port={port}"#));
        assert!(failed.starts_with("INFO not connected error="), "{failed}");
        assert_no_secret(&lines);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_connected_tells_when_it_tries_again() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let backoff = Backoff::DEFAULT.max_attempts(Some(1));
    let connector = |_: reconnect::Attempt| async {
        Err::<over_tokio::WebSocket<tokio::io::DuplexStream>, _>(Error::UnexpectedEof)
    };
    let mut ws = Reconnect::new(connector).backoff(backoff);
    assert!(matches!(ws.recv().await, Err(Error::UnexpectedEof)));
    let lines = lines.take();
    let [first, waiting, second] = &lines[..] else { panic!("three lines: {lines:?}") };
    assert_eq!(first, "DEBUG making an attempt to connect failures=0");
    assert!(waiting.starts_with("INFO waiting before the next attempt to connect delay="), "{waiting}");
    assert!(waiting.ends_with(&format!("why={}", Error::UnexpectedEof)), "{waiting}");
    assert_eq!(second, "DEBUG making an attempt to connect failures=1");
}

/// Messages, pings and pongs are nothing to tell.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_a_message() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let (mut client, mut server) = over_tokio::WebSocket::pair();
    for _ in 0..10 {
        client.send("Hello").await.expect("sent");
        server.recv().await.expect("open").expect("a message");
        let quiet = Duration::from_secs(25); // longer than it takes to ping
        let _ = tokio::time::timeout(quiet, async { tokio::join!(client.recv(), server.recv()) }).await;
    }
    assert_eq!(lines.take(), [""; 0]);
}
