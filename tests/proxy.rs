//! Through a proxy on a loopback port to the end: with both drivers, with TLS below and above the tunnel, and every way
//! it can fail. Names here end in `.invalid`, so that whoever resolves one without the proxy gets nowhere.

#[path = "support/server.rs"]
mod server;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use server::{DRIVERS, accepting, redirect, runtime, serve};
use sockeye::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sockeye::rustls::{ServerConfig, ServerConnection, StreamOwned};
use sockeye::{Connect, ConnectError, Error, Proxy, ProxyError, SocksReply, Timeout, Tls};

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that is the server too: what goes through its tunnels it answers itself.
struct Fake {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Fake {
    /// Does the same with each of so many connections, one after the other.
    fn start(connections: usize, mut each: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let thread = thread::spawn(move || {
            (0..connections).for_each(|_| each(listener.accept().expect("a connection").0));
        });
        Self { address, thread }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Waits for its end, which fails the test if it failed.
    fn end(self) {
        self.thread.join().expect("the proxy is content");
    }
}

fn proxy(url: &str) -> Proxy {
    Proxy::parse(url).expect("a proxy's URL")
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.extend(byte);
    }
    String::from_utf8(head).expect("text")
}

#[track_caller]
fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).expect("bytes");
    assert_eq!(read.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

/// That nothing more comes, and that the client is gone.
#[track_caller]
fn expect_end(mut stream: impl Read) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    assert_eq!(rest.escape_ascii().to_string(), "");
}

/// The error of both drivers, which is the same.
#[track_caller]
fn failure(connect: &Connect) -> Error {
    let [first, second] = DRIVERS.map(|driver| driver.open(connect.clone()).expect_err("a failure"));
    assert_eq!(first.to_string(), second.to_string());
    first
}

#[track_caller]
fn proxy_failure(connect: &Connect) -> ProxyError {
    match failure(connect) {
        Error::Connect(ConnectError::Proxy(error)) => error,
        other => panic!("not the proxy's: {other:?}"),
    }
}

#[test]
fn rfc_6455_4_1_3_ws_goes_through_connect() {
    let fake = Fake::start(2, |mut stream| {
        let head = read_head(&mut stream);
        assert_eq!(
            head,
            "CONNECT server.invalid:80 HTTP/1.1\r\nHost: server.invalid:80\r\n\
             Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
        );
        stream.write_all(ESTABLISHED).expect("sent");
        let heads = Mutex::default();
        serve(stream, &accepting(""), &heads);
        let head = heads.into_inner().expect("no panic").concat();
        assert!(head.starts_with("GET /chat HTTP/1.1\r\nHost: server.invalid\r\n"), "{head}");
        assert!(!head.contains("Proxy-"), "{head}");
    });
    let url = format!("http://user:p%40ss@{}", fake.address);
    for driver in DRIVERS {
        let opened = driver.open(Connect::to("ws://server.invalid/chat").proxy(proxy(&url))).expect("open");
        assert_eq!((opened.answer.as_str(), opened.peer), ("Hello", fake.address));
    }
    fake.end();
}

#[test]
fn rfc_6455_4_1_3_ws_goes_through_socks5() {
    let fake = Fake::start(2, |mut stream| {
        expect(&mut stream, b"\x05\x02\x00\x02");
        stream.write_all(b"\x05\x02").expect("sent");
        expect(&mut stream, b"\x01\x04user\x04p@ss");
        stream.write_all(b"\x01\x00").expect("sent");
        expect(&mut stream, b"\x05\x01\x00\x03\x0eserver.invalid\x00\x50");
        stream.write_all(b"\x05\x00\x00\x01\0\0\0\0\0\0").expect("sent");
        serve(stream, &accepting(""), &Mutex::default());
    });
    let url = format!("socks5h://user:p%40ss@{}", fake.address);
    for driver in DRIVERS {
        let opened = driver.open(Connect::to("ws://server.invalid/chat").proxy(proxy(&url))).expect("open");
        assert_eq!(opened.answer, "Hello");
    }
    fake.end();
}

/// TLS to the proxy, with its name, and within the tunnel TLS to the server, with the server's.
#[test]
fn rfc_6455_4_1_3_wss_goes_through_a_proxy_within_tls() {
    let names = ["127.0.0.1".to_owned(), "server.invalid".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (made.cert.der().clone(), PrivateKeyDer::try_from(made.signing_key.serialize_der()));
    let config = tls_config(certificate.clone(), key.expect("a key"));
    let fake = Fake::start(2, move |stream| {
        let mut to_proxy = within_tls(&config, stream);
        assert!(read_head(&mut to_proxy).starts_with("CONNECT server.invalid:443 HTTP/1.1\r\n"));
        to_proxy.write_all(ESTABLISHED).and_then(|()| to_proxy.flush()).expect("sent");
        let mut to_server = within_tls(&config, to_proxy);
        to_server.conn.complete_io(&mut to_server.sock).expect("a handshake");
        assert_eq!(to_server.conn.server_name(), Some("server.invalid"));
        serve(to_server, &accepting(""), &Mutex::default());
    });
    let tls = Tls::no_roots().root_certificates(&certificate);
    for driver in DRIVERS {
        let connect = Connect::to("wss://server.invalid/").tls(tls.clone()).proxy(proxy(&fake.url("https")));
        let opened = driver.open(connect).expect("open");
        assert!(opened.is_tls);
        assert_eq!(opened.answer, "Hello");
    }
    fake.end();
}

fn tls_config(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    let provider = Arc::new(sockeye::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert([certificate].into(), key);
    Arc::new(config.expect("a certificate"))
}

fn within_tls<S: Read + Write>(config: &Arc<ServerConfig>, stream: S) -> StreamOwned<ServerConnection, S> {
    StreamOwned::new(ServerConnection::new(config.clone()).expect("a session"), stream)
}

/// A proxy whose certificate is not trusted learns nothing, not even its own password.
#[test]
fn a_proxy_that_is_not_trusted_is_told_nothing() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = tls_config(made.cert.der().clone(), key);
    let fake = Fake::start(2, move |stream| {
        assert!(within_tls(&config, stream).read(&mut [0; 64]).is_err());
    });
    let url = format!("https://user:secret@{}", fake.address);
    let connect = Connect::to("ws://server.invalid/").tls(Tls::bundled_roots()).proxy(proxy(&url));
    let error = proxy_failure(&connect);
    assert!(matches!(&error, ProxyError::Unreachable(cause) if matches!(**cause, ConnectError::Tls(_))), "{error:?}");
    fake.end();
}

/// What a proxy answers, and whether this is the error for it.
type Refusal = (&'static [u8], fn(&ProxyError) -> bool);

/// Nothing that was meant for the server comes to a proxy that has refused.
#[test]
fn rfc_6455_4_1_4_a_proxy_that_refuses_is_an_error() {
    let cases: [Refusal; 5] = [
        (b"HTTP/1.1 407 \r\nContent-Length: 99999\r\n\r\n<html>", |error| {
            matches!(error, ProxyError::CredentialsRequired)
        }),
        (b"HTTP/1.1 403 No\r\n\r\n", |error| matches!(error, ProxyError::Refused(refusal) if refusal.status() == 403)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", |error| matches!(error, ProxyError::Head(_))),
        (b"", |error| matches!(error, ProxyError::Closed)),
        (b"HTTP/1.1 200 OK\r\nX: ", |error| matches!(error, ProxyError::Closed)),
    ];
    for (answer, is_expected) in cases {
        let fake = Fake::start(2, |mut stream| {
            assert!(read_head(&mut stream).starts_with("CONNECT "));
            stream.write_all(answer).and_then(|()| stream.shutdown(std::net::Shutdown::Write)).expect("sent");
            expect_end(stream);
        });
        let error = proxy_failure(&Connect::to("ws://server.invalid/").proxy(proxy(&fake.url("http"))));
        assert!(is_expected(&error), "{error:?}");
        fake.end();
    }
}

#[test]
fn rfc_6455_4_1_4_a_server_that_socks5_cannot_reach_is_an_error() {
    let fake = Fake::start(2, |mut stream| {
        expect(&mut stream, b"\x05\x01\x00");
        stream.write_all(b"\x05\x00").expect("sent");
        expect(&mut stream, b"\x05\x01\x00\x03\x0eserver.invalid\x00\x50");
        stream.write_all(b"\x05\x04\x00\x01\0\0\0\0\0\0").expect("sent");
        expect_end(stream);
    });
    let error = proxy_failure(&Connect::to("ws://server.invalid/").proxy(proxy(&fake.url("socks5"))));
    assert!(matches!(error, ProxyError::Socks(SocksReply::HostUnreachable)), "{error:?}");
    fake.end();
}

/// The deadline names the stage, and the socket is closed with it.
#[test]
fn a_silent_proxy_runs_into_the_deadline() {
    for half_answer in [&b""[..], b"HTTP/1.1 200 OK\r\n"] {
        let fake = Fake::start(2, move |mut stream| {
            read_head(&mut stream);
            stream.write_all(half_answer).expect("sent");
            expect_end(stream);
        });
        let connect = Connect::to("ws://server.invalid/").connect_timeout(Some(Duration::from_millis(50)));
        let error = failure(&connect.proxy(proxy(&fake.url("http"))));
        assert!(matches!(error, Error::Timeout(Timeout::Proxy)) && error.is_timeout(), "{error:?}");
        fake.end();
    }
}

#[test]
fn dropping_the_future_closes_the_socket_to_the_proxy() {
    let (asked, is_asked) = tokio::sync::oneshot::channel();
    let mut asked = Some(asked);
    let fake = Fake::start(1, move |mut stream| {
        read_head(&mut stream);
        asked.take().expect("one connection").send(()).expect("somebody waits");
        expect_end(stream);
    });
    let connect = Connect::to("ws://server.invalid/").proxy(proxy(&fake.url("http")));
    runtime().block_on(async {
        let connecting = tokio::spawn(async { sockeye::tokio::connect(connect).await.map(|_| ()) });
        is_asked.await.expect("asked");
        connecting.abort();
        assert!(connecting.await.expect_err("aborted").is_cancelled());
    });
    fake.end();
}

/// It is the proxy that cannot be reached, and not the server.
#[test]
fn a_proxy_that_is_not_there_is_told_apart_from_the_server() {
    let closed =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let connect = Connect::to("ws://server.invalid/").proxy(proxy(&format!("http://u:secret@{closed}")));
    let error = proxy_failure(&connect);
    assert!(matches!(&error, ProxyError::Unreachable(cause) if matches!(**cause, ConnectError::Connect { .. })));
    let text = error.to_string();
    assert!(text.starts_with("the proxy cannot be reached: ") && !text.contains("secret"), "{text}");
}

#[test]
fn what_no_proxy_lists_is_connected_directly() {
    let server = server::Server::start([accepting(""), accepting("")]);
    let nowhere = proxy("http://proxy.invalid").no_proxy("127.0.0.0/8");
    for driver in DRIVERS {
        let opened = driver.open(Connect::to(&server.url("/")).proxy(nowhere.clone())).expect("open");
        assert_eq!(opened.peer, server.address);
    }
}

/// H11: the proxy is asked anew for each server, with its own credentials.
#[test]
fn h11_a_redirect_goes_through_the_proxy_too() {
    let answers = [redirect(302, "ws://other.invalid:81/"), accepting("")];
    let mut steps = ["server.invalid:80", "other.invalid:81"].into_iter().zip(answers).cycle();
    let fake = Fake::start(4, move |mut stream| {
        let (target, answer) = steps.next().expect("endless");
        let head = read_head(&mut stream);
        assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{head}");
        stream.write_all(ESTABLISHED).expect("sent");
        serve(stream, &answer, &Mutex::default());
    });
    let url = format!("http://u:p@{}", fake.address);
    for driver in DRIVERS {
        driver.open(Connect::to("ws://server.invalid/").redirects(1).proxy(proxy(&url))).expect("open");
    }
    fake.end();
}

#[test]
fn an_address_that_was_given_is_what_the_proxy_is_asked_for() {
    let fake = Fake::start(2, |mut stream| {
        assert!(read_head(&mut stream).starts_with("CONNECT [2001:db8::1]:8080 HTTP/1.1\r\n"));
        stream.write_all(ESTABLISHED).expect("sent");
        serve(stream, &accepting(""), &Mutex::default());
    });
    let address: SocketAddr = "[2001:db8::1]:8080".parse().expect("an address");
    for driver in DRIVERS {
        let connect = Connect::to("ws://server.invalid/").addresses([address]).proxy(proxy(&fake.url("http")));
        driver.open(connect).expect("open");
    }
    fake.end();
}
