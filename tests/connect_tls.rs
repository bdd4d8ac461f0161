//! `wss`, over both drivers: who is trusted, what the server sees of it, and that nothing is sent to who is not.

#[path = "support/server.rs"]
mod server;

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use server::{DRIVERS, Driver, Server, accepting, redirect, serve};
use sockeye::{
    CloseCode, Config, Connect, ConnectError, Error, RedirectError, Timeout, Tls, TlsError, blocking,
    tokio as over_tokio,
};
use tokio::io::AsyncReadExt;

const NAME: &str = "server.example";

/// Who signs the servers' certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, names: &[&str], (first, last): (i32, i32)) -> Identity {
        let (params, key) = (params(names, (first, last)), KeyPair::generate().expect("a key"));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { chain: vec![certificate.der().clone()], key }
    }

    /// Trusts nobody else.
    fn trusted(&self) -> Tls {
        Tls::no_roots().root_certificates(self.certificate.der())
    }
}

/// What a server shows.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn params(names: &[&str], (first, last): (i32, i32)) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    (params.not_before, params.not_after) = (date_time_ymd(first, 1, 1), date_time_ymd(last, 1, 1));
    params
}

fn self_signed() -> Identity {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(&[NAME], VALID).self_signed(&key).expect("a certificate");
    Identity { chain: vec![certificate.der().clone()], key }
}

/// From the first of January to another.
const VALID: (i32, i32) = (2000, 4000);

/// What a server saw of its clients.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: Option<String>,
    protocol: Option<Vec<u8>>,
    /// Whether the handshake of TLS came to its end.
    is_open: bool,
    heads: Vec<String>,
}

struct TlsServer {
    address: SocketAddr,
    thread: JoinHandle<Seen>,
}

impl TlsServer {
    /// Gives one connection after the other its answer, inside of TLS.
    fn start(identity: Identity, answers: impl IntoIterator<Item = String>) -> Self {
        Self::start_with(identity, rustls::DEFAULT_VERSIONS, answers)
    }

    fn start_with(
        identity: Identity,
        versions: &[&'static SupportedProtocolVersion],
        answers: impl IntoIterator<Item = String>,
    ) -> Self {
        let config = Arc::new(server_config(identity, versions));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let answers = Vec::from_iter(answers);
        let thread = thread::spawn(move || {
            let (mut seen, heads) = (Seen::default(), Mutex::default());
            for answer in answers {
                let (mut socket, _) = listener.accept().expect("a connection");
                let mut tls = ServerConnection::new(config.clone()).expect("a session");
                seen.is_open = tls.complete_io(&mut socket).is_ok() && !tls.is_handshaking();
                seen.name = tls.server_name().map(str::to_owned);
                seen.protocol = tls.alpn_protocol().map(<[u8]>::to_vec);
                if seen.is_open {
                    serve(StreamOwned::new(tls, socket), &answer, &heads);
                }
            }
            Seen { heads: heads.into_inner().expect("no panic"), ..seen }
        });
        Self { address, thread }
    }

    /// A connection to it, under its name.
    fn connect(&self, url: &str, tls: Tls) -> Connect {
        Connect::to(url).addresses([self.address]).tls(tls)
    }

    fn seen(self) -> Seen {
        self.thread.join().expect("no panic")
    }
}

fn server_config(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
    let mut config = builder.with_no_client_auth().with_single_cert(identity.chain, key).expect("an identity");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn client_config(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// The failure of TLS with a server that shows this, to which nothing was sent.
#[track_caller]
fn untrusted(driver: Driver, identity: Identity, tls: Tls) -> TlsError {
    let server = TlsServer::start(identity, [accepting("")]);
    let error = driver.open(server.connect(&format!("wss://{NAME}/secret"), tls)).expect_err("not trusted");
    let seen = server.seen();
    assert!(!seen.is_open && seen.heads.is_empty(), "{seen:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let Error::Connect(ConnectError::Tls(error)) = error else { panic!("{error:?}") };
    error
}

#[test]
fn rfc_6455_4_1_5_and_6_tls_comes_first_and_names_the_host_and_the_protocol() {
    let authority = Authority::new("One");
    for driver in DRIVERS {
        for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
            let server = TlsServer::start_with(authority.sign(&[NAME], VALID), versions, [accepting("")]);
            let connect = server.connect(&format!("wss://user:pass@{NAME}/chat"), authority.trusted());
            let opened = driver.open(connect.require_tls()).expect("trusted");
            assert_eq!((&*opened.answer, opened.is_tls, opened.peer), ("Hello", true, server.address));
            let seen = server.seen();
            assert_eq!(seen.name.as_deref(), Some(NAME));
            assert_eq!(seen.protocol.as_deref(), Some(&b"http/1.1"[..]));
            let head = &seen.heads[0];
            assert!(head.starts_with(&format!("GET /chat HTTP/1.1\r\nHost: {NAME}\r\n")), "{head}");
            assert!(head.contains("\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
        }
    }
}

#[test]
fn a_certificate_may_be_for_an_address() {
    let authority = Authority::new("One");
    for driver in DRIVERS {
        let server = TlsServer::start(authority.sign(&["127.0.0.1"], VALID), [accepting("")]);
        let url = format!("wss://{}/", server.address);
        driver.open(Connect::to(&url).tls(authority.trusted())).expect("trusted");
        let seen = server.seen();
        assert_eq!(seen.name, None, "RFC 6066 §3: an address is no name");
        assert!(
            seen.heads[0]
                .contains(&format!("\r\nHost: {}\r\n", url.trim_start_matches("wss://").trim_end_matches('/')))
        );
    }
}

#[test]
fn rfc_6455_4_1_5_a_wrong_certificate_is_told_and_nothing_is_sent() {
    let authority = Authority::new("One");
    let this = |names: &[&str], valid| (authority.sign(names, valid), authority.trusted());
    for driver in DRIVERS {
        let (identity, tls) = this(&["other.example"], VALID);
        let error = untrusted(driver, identity, tls);
        assert!(matches!(&error, TlsError::WrongName { host } if **host == *NAME), "{error:?}");
        let (identity, tls) = this(&[NAME], (2000, 2001));
        let error = untrusted(driver, identity, tls);
        assert!(matches!(error, TlsError::Expired), "{error:?}");
        let (identity, tls) = this(&[NAME], (3000, 4000));
        let error = untrusted(driver, identity, tls);
        assert!(matches!(error, TlsError::NotYetValid), "{error:?}");
        for tls in [
            authority.trusted(),
            Tls::bundled_roots(),
            Tls::platform_roots().root_certificates(authority.certificate.der()),
        ] {
            let error = untrusted(driver, self_signed(), tls.clone());
            assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
            let error = untrusted(driver, Authority::new("Another").sign(&[NAME], VALID), tls);
            assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
        }
    }
}

#[test]
fn roots_come_in_der_and_pem_and_beside_others() {
    let (authority, other) = (Authority::new("One"), Authority::new("Another"));
    let pem = [other.certificate.pem(), "some words between\n".to_owned(), authority.certificate.pem()].concat();
    for tls in [
        Tls::no_roots().root_certificates(pem.as_bytes()),
        Tls::bundled_roots().root_certificates(authority.certificate.der()),
        Tls::platform_roots().root_certificates(authority.certificate.pem().as_bytes()),
        Tls::from(client_config(&authority)),
        Tls::from(Arc::new(client_config(&authority))),
        Tls::no_roots().dangerous_accept_any_certificate(),
    ] {
        for driver in DRIVERS {
            let server = TlsServer::start(authority.sign(&[NAME], VALID), [accepting("")]);
            driver.open(server.connect(&format!("wss://{NAME}/"), tls.clone())).expect("trusted");
            assert_eq!(server.seen().protocol.as_deref(), Some(&b"http/1.1"[..]), "{tls:?}");
        }
    }
    for driver in DRIVERS {
        for identity in [self_signed(), Authority::new("Another").sign(&["other.example"], (2000, 2001))] {
            let server = TlsServer::start(identity, [accepting("")]);
            let tls = Tls::default().dangerous_accept_any_certificate();
            driver.open(server.connect(&format!("wss://{NAME}/"), tls)).expect("trusted");
        }
        let mut config = client_config(&authority);
        config.enable_sni = false;
        let server = TlsServer::start(self_signed(), [accepting("")]);
        let tls = Tls::from(config).dangerous_accept_any_certificate();
        driver.open(server.connect(&format!("wss://{NAME}/"), tls)).expect("trusted");
        assert_eq!(server.seen().name, None, "all else is as it was configured");
    }
}

#[test]
fn roots_that_are_none_are_an_error_before_a_socket_is_opened() {
    let authority = Authority::new("One");
    let pem = authority.certificate.pem();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    for tls in [
        Tls::no_roots(),
        Tls::no_roots().root_certificates(b""),
        Tls::bundled_roots().root_certificates(b"no certificate"),
        Tls::bundled_roots().root_certificates(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        Tls::bundled_roots().root_certificates(pem.replacen("MI", "!!", 1).as_bytes()),
        Tls::from(client_config(&authority)).root_certificates(pem.as_bytes()),
    ] {
        for driver in DRIVERS {
            let connect = Connect::to("wss://a/").addresses([listener.local_addr().expect("bound")]).tls(tls.clone());
            let error = driver.open(connect).expect_err("no roots");
            assert!(matches!(error, Error::Connect(ConnectError::Tls(TlsError::Roots))), "{error:?} for {tls:?}");
            assert_eq!(listener.accept().expect_err("no connection").kind(), ErrorKind::WouldBlock);
        }
    }
    let error = Driver::Tokio.open(Connect::to("wss://a_%25b/").tls(authority.trusted())).expect_err("no name");
    assert!(
        matches!(error, Error::Connect(ConnectError::Tls(TlsError::Name { .. })) | Error::Handshake(_)),
        "{error:?}"
    );
}

#[test]
fn a_server_without_tls_is_told() {
    type Answer = (&'static [u8], fn(&TlsError) -> bool);
    let answers: [Answer; 3] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", |error| matches!(error, TlsError::NotTls)),
        (b"", |error| matches!(error, TlsError::Closed)),
        (b"\x15\x03\x03\0\x02\x02\x28", |error| matches!(error, TlsError::Refused(_))),
    ];
    for (answer, is_expected) in answers {
        for driver in DRIVERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let url = format!("wss://{}/", listener.local_addr().expect("bound"));
            let server = thread::spawn(move || {
                let mut stream = listener.accept().expect("a connection").0;
                let hello = stream.read(&mut [0; 4096]).expect("a hello");
                stream.write_all(answer).expect("open");
                hello
            });
            let error = driver.open(Connect::to(&url).tls(Tls::bundled_roots())).expect_err("no TLS");
            assert!(server.join().expect("no panic") > 100);
            let Error::Connect(ConnectError::Tls(error)) = error else { panic!("{error:?}") };
            assert!(is_expected(&error), "{error:?}");
        }
    }
}

#[test]
fn a_server_that_falls_silent_in_tls_is_given_up_at_the_deadline() {
    for driver in DRIVERS {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("wss://{}/", silent.local_addr().expect("bound"));
        let connect = Connect::to(&url).tls(Tls::bundled_roots()).connect_timeout(Some(Duration::from_millis(20)));
        let error = driver.open(connect).expect_err("silence");
        assert!(matches!(error, Error::Timeout(Timeout::Tls)) && error.is_timeout(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("TLS") && text.contains("`Connect::connect_timeout`"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_tls_over_a_ready_made_stream() {
    let (near, _far) = tokio::io::duplex(4096);
    let begun = tokio::time::Instant::now();
    let connect = Connect::to("wss://a/").tls(Tls::bundled_roots());
    let error = over_tokio::connect_over(near, connect).await.expect_err("silence");
    assert!(matches!(error, Error::Timeout(Timeout::Tls)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn l3_a_future_that_is_dropped_within_tls_closes_its_stream() {
    let (near, mut far) = tokio::io::duplex(4096);
    let mut connecting = Box::pin(over_tokio::connect_over(near, Connect::to("wss://a/").tls(Tls::bundled_roots())));
    assert!(connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(connecting);
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.expect("the end");
    assert_eq!(sent.first(), Some(&22), "a hello (RFC 8446 §5.1)");
}

/// Sends a large message, waits for the echo, and closes.
macro_rules! echo_large {
    ($connecting:expr $(, $await:tt)?) => {{
        let message: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).take(1 << 20).collect();
        let (mut ws, _) = $connecting$(.$await)?.expect("trusted");
        ws.feed("first")$(.$await)?.expect("room");
        ws.feed(&message[..])$(.$await)?.expect("room");
        ws.send("last")$(.$await)?.expect("sent");
        assert_eq!(ws.recv()$(.$await)?.expect("open").expect("open").as_text(), Some("first"));
        assert!(ws.recv()$(.$await)?.expect("open").expect("open").as_bytes() == message);
        assert_eq!(ws.recv()$(.$await)?.expect("open").expect("open").as_text(), Some("last"));
        let tls = ws.get_ref().tls().expect("TLS");
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(tls.peer_certificates().expect("verified").len(), 1);
        ws.close(CloseCode::NORMAL, "")$(.$await)?.expect("clean");
        assert!(ws.closure().expect("closed").was_clean);
    }};
}

#[test]
fn large_messages_pass_in_both_directions() {
    let authority = Authority::new("One");
    for driver in DRIVERS {
        let server = TlsServer::start(authority.sign(&[NAME], VALID), [accepting("")]);
        let connect = server.connect(&format!("wss://{NAME}/"), authority.trusted());
        match driver {
            Driver::Tokio => server::runtime().block_on(async { echo_large!(over_tokio::connect(connect), await) }),
            Driver::Blocking => echo_large!(blocking::connect(connect)),
        }
        assert!(server.seen().is_open);
    }
}

/// Waits for what the server does after the handshake.
macro_rules! end {
    ($connecting:expr $(, $await:tt)?) => {{
        let (mut ws, _) = $connecting$(.$await)?.expect("trusted");
        let end = ws.recv()$(.$await)?.expect_err("no message");
        end
    }};
}

/// How a connection ends whose server does this with the socket after TLS and the handshake.
fn end_after(driver: Driver, config: Config, then: fn(StreamOwned<ServerConnection, TcpStream>)) -> Error {
    let authority = Authority::new("One");
    let tls_config = Arc::new(server_config(authority.sign(&[NAME], VALID), rustls::DEFAULT_VERSIONS));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = thread::spawn(move || {
        let socket = listener.accept().expect("a connection").0;
        let mut stream = StreamOwned::new(ServerConnection::new(tls_config).expect("a session"), socket);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        stream.write_all(&server::answer(&String::from_utf8(head).expect("ASCII"), "")).expect("open");
        stream.flush().expect("open");
        then(stream);
    });
    let connect = Connect::to(&format!("wss://{NAME}/")).addresses([address]).tls(authority.trusted()).config(config);
    let error = match driver {
        Driver::Tokio => server::runtime().block_on(async { end!(over_tokio::connect(connect), await) }),
        Driver::Blocking => end!(blocking::connect(connect)),
    };
    server.join().expect("no panic");
    error
}

#[test]
fn the_end_of_the_stream_is_the_end_with_and_without_close_notify() {
    for driver in DRIVERS {
        let error = end_after(driver, Config::DEFAULT, drop);
        assert!(matches!(error, Error::UnexpectedEof), "{error:?}");
        let error = end_after(driver, Config::DEFAULT, |mut stream| {
            stream.conn.send_close_notify();
            stream.flush().expect("open");
        });
        assert!(matches!(error, Error::UnexpectedEof), "{error:?}");
    }
}

#[test]
fn l8_the_deadlines_of_the_connection_reach_the_socket_below_tls() {
    let config = Config::DEFAULT
        .ping_interval(Some(Duration::from_millis(10)))
        .pong_timeout(Some(Duration::from_millis(10)))
        .close_timeout(Some(Duration::from_millis(10)));
    for driver in DRIVERS {
        let begun = Instant::now();
        let error = end_after(driver, config, |mut stream| {
            // Takes what comes and says nothing, until the client gives up.
            let _ = stream.sock.read_to_end(&mut Vec::new());
        });
        assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_ready_made_stream_is_secured_too() {
    let authority = Authority::new("One");
    for driver in DRIVERS {
        let server = TlsServer::start(authority.sign(&[NAME], VALID), [accepting("")]);
        let socket = TcpStream::connect(server.address).expect("listening");
        let connect = Connect::to(&format!("wss://{NAME}/")).tls(authority.trusted());
        match driver {
            Driver::Blocking => echo_large!(blocking::connect_over(socket, connect)),
            Driver::Tokio => server::runtime().block_on(async {
                socket.set_nonblocking(true).expect("a socket");
                let socket = tokio::net::TcpStream::from_std(socket).expect("a runtime");
                echo_large!(over_tokio::connect_over(socket, connect), await)
            }),
        }
        assert!(server.seen().is_open);
    }
}

#[test]
fn tls_is_not_divided_between_threads() {
    let authority = Authority::new("One");
    let server = TlsServer::start(authority.sign(&[NAME], VALID), [accepting("")]);
    let (ws, _) = blocking::connect(server.connect(&format!("wss://{NAME}/"), authority.trusted())).expect("trusted");
    assert_eq!(ws.into_split().expect_err("TLS").kind(), ErrorKind::Unsupported);
    assert!(server.seen().is_open, "and its end is seen");
}

#[test]
fn h11_redirects_lead_from_ws_to_wss_and_never_back() {
    let authority = Authority::new("One");
    for driver in DRIVERS {
        let secure = TlsServer::start(authority.sign(&["localhost"], VALID), [accepting("")]);
        let location = format!("https://localhost:{}/b", secure.address.port());
        let plain = Server::start([redirect(301, &location)]);
        let connect = Connect::to(&plain.url("/a")).bearer("token").allow_plaintext_credentials();
        let opened = driver.open(connect.redirects(1).tls(authority.trusted())).expect("accepted");
        assert!(opened.is_tls);
        assert!(plain.heads()[0].contains("token") && !secure.seen().heads[0].contains("token"));

        for scheme in ["ws", "http"] {
            let plain = Server::start([accepting("")]);
            let location = plain.url("/").replacen("ws", scheme, 1);
            let secure = TlsServer::start(authority.sign(&[NAME], VALID), [redirect(302, &location)]);
            let connect = secure.connect(&format!("wss://{NAME}/"), authority.trusted()).redirects(5);
            let error = driver.open(connect).expect_err("a step back");
            let is_insecure = matches!(error, Error::Connect(ConnectError::Redirect(RedirectError::Insecure)));
            assert!(is_insecure, "{error:?}");
            assert!(plain.heads().is_empty());
        }

        let plain = Server::start([redirect(302, "/b")]);
        let connect = Connect::to(&plain.url("/a")).require_tls().redirects(1);
        assert!(matches!(driver.open(connect), Err(Error::Connect(ConnectError::TlsRequired))));
    }
}

#[test]
fn every_error_of_tls_says_what_is_wrong_and_what_to_do() {
    let host = || NAME.into();
    for (error, what, remedy) in [
        (TlsError::Roots, "root certificates", "PEM or DER"),
        (TlsError::Name { host: host() }, "\"server.example\"", "check the URL"),
        (TlsError::WrongName { host: host() }, "not for \"server.example\"", "check the URL"),
        (TlsError::Expired, "expired", "renew it"),
        (TlsError::NotYetValid, "not valid yet", "set the clock"),
        (TlsError::UnknownIssuer, "self-signed, or from an issuer", "`Tls::root_certificates`"),
        (TlsError::Revoked, "revoked", "needs another"),
        (TlsError::Certificate(rustls::CertificateError::BadEncoding), "not accepted: BadEncoding", "needs another"),
        (TlsError::Refused(rustls::AlertDescription::HandshakeFailure), "alert HandshakeFailure", "check what"),
        (TlsError::NotTls, "does not speak TLS", "check the port"),
        (TlsError::Closed, "closed the connection", "check the port"),
        (TlsError::Failed(rustls::Error::DecryptError), "decrypt", "broken"),
    ] {
        let message = Error::from(ConnectError::from(error)).to_string();
        assert!(message.contains(what) && message.contains(remedy), "{message}");
    }
}
