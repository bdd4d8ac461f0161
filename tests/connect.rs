//! From a URL to an open connection, over both drivers: what is wrong before a socket is opened, what is sent, what goes
//! wrong on the way, and where redirects lead.

#[path = "support/server.rs"]
mod server;
#[path = "support/stream.rs"]
mod stream;

use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use server::{DRIVERS, Driver, Server, accepting, redirect, runtime};
use sockeye::handshake::{InvalidArgument, UrlError};
use sockeye::{
    CloseCode, Config, Connect, ConnectError, Error, HandshakeError, Message, RedirectError, Timeout, blocking,
    tokio as over_tokio,
};
use stream::{Act, Scripted};

/// Some address where nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound")
}

/// A listener that takes no further connection, and what fills it.
fn full_listener() -> (tokio::net::TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("bound");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

/// The error of a connection that is refused before a socket is opened, over both drivers.
#[track_caller]
fn refused_before_io(connect: &Connect) -> Error {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let there = connect.clone().addresses([listener.local_addr().expect("bound")]);
    let [first, second] = DRIVERS.map(|driver| driver.open(there.clone()).expect_err("an invalid argument"));
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(listener.accept().expect_err("no connection").kind(), ErrorKind::WouldBlock);
    first
}

#[track_caller]
fn assert_url_error(url: &str, error: UrlError) {
    let found = refused_before_io(&url.into());
    let expected = HandshakeError::InvalidArgument(InvalidArgument::Url(error));
    assert!(matches!(&found, Error::Handshake(found) if *found == expected), "{url}: {found:?}");
}

/// The head of the request that is sent for this, wherever it is said to lead.
#[track_caller]
fn sent(driver: Driver, connect: Connect) -> String {
    let server = Server::start([accepting("")]);
    driver.open(connect.addresses([server.address])).expect("accepted");
    server.heads().remove(0)
}

// RFC 6455 §3: URLs

#[test]
fn rfc_6455_3_1_another_scheme_is_an_error_that_says_which_to_use() {
    for url in ["http://a", "https://a", "wsx://a", "a", "", "ws:a", "ws:/a", " ws://a", "localhost:80"] {
        assert_url_error(url, UrlError::Scheme);
    }
    let text = refused_before_io(&"https://a".into()).to_string();
    assert!(text.contains("ws:// for http://") && text.contains("wss:// for https://"), "{text}");
}

#[test]
fn rfc_6455_3_2_the_port_is_the_urls_or_the_schemes() {
    for driver in DRIVERS {
        assert!(sent(driver, "ws://example.com".into()).contains("\r\nHost: example.com\r\n"));
        assert!(sent(driver, "ws://example.com:80".into()).contains("\r\nHost: example.com\r\n"));
        assert!(sent(driver, "WS://example.com:443".into()).contains("\r\nHost: example.com:443\r\n"));
        let server = Server::start([accepting("")]);
        let opened = driver.open(server.url("/").into()).expect("accepted");
        assert_eq!(opened.peer, server.address, "an explicit port is where the connection goes");
    }
    for url in ["ws://a:65536", "ws://a:-1", "ws://a:8x", "ws://", "ws:///x", "ws://:80", "ws://[::1", "ws://a b"] {
        let error = if url.contains(' ') { UrlError::Character } else { UrlError::Host };
        assert_url_error(url, error);
    }
}

#[test]
fn rfc_6455_3_3_a_fragment_is_an_error() {
    for url in ["ws://a/#", "ws://a/x#y", "ws://a#y", "ws://a/?x#y", "ws://user:p#w@a/"] {
        assert_url_error(url, UrlError::Fragment);
    }
    assert!(sent(Driver::Tokio, "ws://a/%23".into()).starts_with("GET /%23 HTTP/1.1\r\n"));
}

#[test]
fn rfc_6455_3_4_the_resource_name_is_sent() {
    for (url, resource) in [
        ("ws://a", "/"),
        ("ws://a?", "/?"),
        ("ws://a?q", "/?q"),
        ("ws://a/b?", "/b?"),
        ("ws://a/b/c?d=/e?", "/b/c?d=/e?"),
        ("ws://a/b/../c", "/c"),
    ] {
        assert!(sent(Driver::Blocking, url.into()).starts_with(&format!("GET {resource} HTTP/1.1\r\n")), "{url}");
    }
}

#[test]
fn rfc_6455_3_5_a_host_that_is_not_ascii_is_converted() {
    for driver in DRIVERS {
        let head = sent(driver, "ws://B\u{fc}cher.example/\u{e9}?\u{fc}={x}".into());
        assert!(head.starts_with("GET /%C3%A9?%C3%BC=%7Bx%7D HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n"), "{head}");
    }
    assert!(sent(Driver::Tokio, "ws://EXAMPLE.com".into()).contains("Host: example.com\r\n"));
    assert!(sent(Driver::Tokio, "ws://[0::1]:81/".into()).contains("Host: [::1]:81\r\n"));
    assert_url_error("ws://xn--a\u{fc}/", UrlError::Host);
}

#[test]
fn rfc_6455_3_6_user_info_becomes_basic_authentication_and_shows_up_nowhere_else() {
    for driver in DRIVERS {
        for (user_info, credentials) in [
            ("user:pass", "dXNlcjpwYXNz"),
            ("us%40er:p%3Ass%C3%A9", "dXNAZXI6cDpzc8Op"),
            ("user", "dXNlcjo="),
            (":pass", "OnBhc3M="),
        ] {
            let connect = Connect::to(&format!("ws://{user_info}@example.com:81/x")).allow_plaintext_credentials();
            assert!(format!("{connect:?}").contains("\"ws://example.com:81/x\""), "{connect:?}");
            let head = sent(driver, connect);
            assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: example.com:81\r\n"), "{head}");
            assert!(head.contains(&format!("\r\nAuthorization: Basic {credentials}\r\n")), "{head}");
        }
    }
    let instead = Connect::to("ws://user:pass@a/").basic_auth("Aladdin", "open sesame").allow_plaintext_credentials();
    let head = sent(Driver::Tokio, instead);
    assert_eq!(head.matches("Authorization: ").count(), 1);
    assert!(head.contains("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "RFC 7617's own example: {head}");
}

// What is said with the request

#[test]
fn all_that_was_asked_for_is_sent_and_the_response_comes_back() {
    for driver in DRIVERS {
        let server = Server::start([accepting("Sec-WebSocket-Protocol: b\r\nSet-Cookie: c=d\r\n")]);
        let connect = Connect::to(&server.url("/x?y"))
            .protocol("a")
            .protocol("b")
            .header("X-First", "1")
            .header("X-First", b"\xe4")
            .origin("https://example.com");
        let opened = driver.open(connect).expect("accepted");
        assert_eq!(opened.answer, "Hello");
        assert_eq!(opened.agreed.subprotocol(), Some("b"));
        assert_eq!(opened.cookie.as_deref(), Some(&b"c=d"[..]));
        let head = &server.heads()[0];
        for line in [
            "Sec-WebSocket-Protocol: a, b",
            "X-First: 1\r\nX-First: \u{fffd}",
            "Origin: https://example.com",
            concat!("User-Agent: sockeye/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line:?} is missing in {head}");
        }
    }
}

#[test]
fn the_user_agent_is_ours_or_what_was_said() {
    let to = || Connect::to("ws://a");
    assert!(sent(Driver::Tokio, to().user_agent("them/2")).contains("\r\nUser-Agent: them/2\r\n"));
    assert!(!sent(Driver::Tokio, to().user_agent("")).contains("User-Agent"));
    let head = sent(Driver::Tokio, to().header("user-agent", "them/3"));
    assert!(head.contains("\r\nuser-agent: them/3\r\n") && !head.contains("sockeye/"), "{head}");
}

#[test]
fn the_socket_is_as_it_was_asked_for() {
    for driver in DRIVERS {
        let opened = |with: fn(Connect) -> Connect| {
            let server = Server::start([accepting("")]);
            driver.open(with(server.url("/").into())).expect("accepted")
        };
        assert!(opened(|connect| connect).nodelay);
        assert!(!opened(|connect| connect.nodelay(false)).nodelay);
        if cfg!(target_os = "linux") {
            let here = opened(|connect| connect.local_address(Ipv4Addr::new(127, 0, 0, 9).into())).local;
            assert_eq!(here.ip(), Ipv4Addr::new(127, 0, 0, 9));
        }
    }
}

// Bad arguments

#[test]
fn h7_no_argument_can_smuggle_a_line_in() {
    for bad in ["a\r\nb", "a\nb", "a\0b", "a\rb", "a\u{7f}b"] {
        let to = || Connect::to("ws://a/").allow_plaintext_credentials();
        for connect in [
            Connect::to(&format!("ws://a/{bad}")),
            Connect::to(&format!("ws://{bad}/")),
            Connect::to(&format!("ws://us{bad}er@a/")),
            to().protocol(bad),
            to().header(bad, "x"),
            to().header("X", bad),
            to().user_agent(bad),
            to().origin(bad),
            to().basic_auth(bad, "x"),
            to().basic_auth("x", bad),
            to().bearer(bad),
        ] {
            let error = refused_before_io(&connect);
            let is_argument = matches!(
                error,
                Error::Handshake(HandshakeError::InvalidArgument(_)) | Error::Connect(ConnectError::UserInfo)
            );
            assert!(is_argument, "{error:?}");
            assert!(!format!("{error} {error:?}").contains(bad), "{error:?}");
        }
    }
    let error = refused_before_io(&Connect::to("ws://us%0d%0aer:x@a/").allow_plaintext_credentials());
    assert!(matches!(error, Error::Connect(ConnectError::UserInfo)), "{error:?}");
    let error = refused_before_io(&Connect::to("ws://a/").header("Host", "b"));
    assert!(matches!(error, Error::Handshake(HandshakeError::InvalidArgument(_))), "{error:?}");
}

#[test]
fn credentials_travel_over_ws_only_where_that_is_allowed() {
    let to = || Connect::to("ws://localhost/");
    for connect in [
        "ws://user:pass@localhost/".into(),
        "ws://user@localhost/".into(),
        to().basic_auth("user", "pass"),
        to().bearer("token"),
        to().header("authorization", "Digest x"),
        to().header("COOKIE", "a=b"),
        to().header("Proxy-Authorization", "x"),
    ] {
        let error = refused_before_io(&connect);
        assert!(matches!(error, Error::Connect(ConnectError::PlaintextCredentials)), "{error:?}");
        sent(Driver::Tokio, connect.allow_plaintext_credentials());
    }
    let error = refused_before_io(&to().bearer("x").header("Authorization", "y").allow_plaintext_credentials());
    assert!(matches!(error, Error::Connect(ConnectError::RepeatedCredentials)), "{error:?}");
    let error = refused_before_io(&to().basic_auth("us:er", "x").allow_plaintext_credentials());
    assert!(matches!(error, Error::Connect(ConnectError::UserInfo)), "{error:?}");
    let error = refused_before_io(&to().require_tls());
    assert!(matches!(error, Error::Connect(ConnectError::TlsRequired)), "{error:?}");
}

#[cfg(not(feature = "rustls"))]
#[test]
fn without_the_feature_a_wss_url_is_an_error_that_names_it() {
    let error = refused_before_io(&"wss://user:pass@a/".into());
    assert!(matches!(error, Error::Connect(ConnectError::TlsUnavailable)), "{error:?}");
    assert!(error.to_string().contains("feature `rustls`"));
}

#[test]
fn p3_nothing_secret_is_shown() {
    let secret = "s3cret";
    let url = format!("ws://user:{secret}@a/x?token={secret}");
    let connect = Connect::to(&url).header("X-Key", secret).header("Cookie", secret).protocol(secret);
    let error = refused_before_io(&connect);
    let shown = format!("{connect:?} {:?} {error} {error:?}", connect.clone().bearer(secret));
    assert!(!shown.contains(secret) && !shown.contains("user"), "{shown}");
    for bad in ["http", "ws:"] {
        let connect = Connect::to(&url.replacen("ws", bad, 1));
        let error = refused_before_io(&connect);
        let shown = format!("{connect:?} {error} {error:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

// Failures on the way

#[test]
fn a_name_without_an_address_is_an_error_that_names_it() {
    // No resolver asks the network for a label of more than 63 bytes (RFC 1035 §2.3.4).
    let host = "a".repeat(70);
    for driver in DRIVERS {
        let error = driver.open(Connect::to(&format!("ws://{host}/?secret"))).expect_err("no address");
        assert!(matches!(&error, Error::Connect(ConnectError::Resolve { host: of, .. }) if **of == *host), "{error:?}");
        let error = driver.open(Connect::to("ws://a").addresses([])).expect_err("no address");
        assert!(matches!(error, Error::Connect(ConnectError::Resolve { .. })), "{error:?}");
        let here = Connect::to("ws://127.0.0.1:1/").local_address(Ipv6Addr::LOCALHOST.into());
        let error = driver.open(here).expect_err("another family");
        assert!(matches!(error, Error::Connect(ConnectError::AddressFamily { .. })), "{error:?}");
        let elsewhere: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let error = driver.open(Connect::to("ws://127.0.0.1:1/").local_address(elsewhere)).expect_err("not ours");
        let is_local = matches!(error, Error::Connect(ConnectError::LocalAddress { local, .. }) if local == elsewhere);
        assert!(is_local, "{error:?}");
    }
}

#[test]
fn a_closed_port_is_an_error_that_names_the_address() {
    for driver in DRIVERS {
        let (first, second) = (closed_port(), closed_port());
        let error = driver.open(Connect::to(&format!("ws://{first}/"))).expect_err("closed");
        assert!(
            matches!(error, Error::Connect(ConnectError::Connect { address, .. }) if address == first),
            "{error:?}"
        );
        assert!(error.to_string().contains(&first.to_string()), "{error}");
        assert!(!error.is_timeout());
        let error = driver.open(Connect::to("ws://a/").addresses([first, second])).expect_err("closed");
        assert!(
            matches!(error, Error::Connect(ConnectError::Connect { address, .. }) if address == first),
            "{error:?}"
        );
    }
}

#[test]
fn the_next_address_is_tried_when_one_fails() {
    for driver in DRIVERS {
        let server = Server::start([accepting("")]);
        let there = [closed_port(), closed_port(), server.address];
        assert_eq!(driver.open(Connect::to("ws://a/").addresses(there)).expect("accepted").peer, server.address);
        // Whatever the order in which the system names the families.
        let server = Server::start([accepting("")]);
        let url = server.url("/").replace("127.0.0.1", "localhost");
        assert_eq!(driver.open(url.into()).expect("accepted").peer, server.address);
    }
}

#[test]
fn a_silent_server_is_given_up_at_the_deadline_of_the_stage() {
    let at_once = |url: &str| Connect::to(url).connect_timeout(Some(Duration::ZERO));
    let briefly = Some(Duration::from_millis(20));
    for driver in DRIVERS {
        let error = driver.open(at_once("ws://localhost:1/")).expect_err("no time");
        assert!(matches!(error, Error::Timeout(Timeout::Resolve)) && error.is_timeout(), "{error:?}");

        let runtime = runtime();
        let (_listener, _waiting, address) = runtime.block_on(async { full_listener() });
        let full = Connect::to(&format!("ws://{address}/")).connect_timeout(briefly);
        let error = driver.open(full).expect_err("no answer");
        assert!(matches!(error, Error::Timeout(Timeout::Connect)) && error.is_timeout(), "{error:?}");

        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("ws://{}/", silent.local_addr().expect("bound"));
        let error =
            driver.open(Connect::to(&url).config(Config::DEFAULT.handshake_timeout(briefly))).expect_err("silence");
        assert!(matches!(error, Error::Timeout(Timeout::Handshake)) && error.is_timeout(), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_deadlines_are_ten_seconds_each() {
    let begun = tokio::time::Instant::now();
    let (_listener, _waiting, address) = full_listener();
    let error = over_tokio::connect(format!("ws://{address}/")).await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(Timeout::Connect)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), 10);

    let (near, _far) = tokio::io::duplex(1024);
    let error = over_tokio::connect_over(near, "ws://a/").await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[test]
fn h8_a_refusal_has_its_status_headers_and_a_bounded_body() {
    for (status, body) in [(200, "hello"), (401, "who?"), (503, "later"), (403, &*"x".repeat(100_000))] {
        for driver in DRIVERS {
            let head = format!("HTTP/1.1 {status} X\r\nX-Why: because\r\nContent-Length: {}\r\n\r\n", body.len());
            let server = Server::start([head + body]);
            let error = driver.open(server.url("/").into()).expect_err("refused");
            assert_eq!(error.status(), Some(status));
            let Error::Handshake(HandshakeError::Refused(refusal)) = error else { panic!("{error:?}") };
            assert_eq!(refusal.headers().get("x-why"), Some(&b"because"[..]));
            assert_eq!(refusal.body(), &body.as_bytes()[..body.len().min(16 << 10)]);
        }
    }
}

#[test]
fn a_server_that_closes_within_the_handshake_is_an_error() {
    for answer in ["", "HTTP/1.1 101 Switching Proto", "\x16\x03\x01"] {
        for driver in DRIVERS {
            let server = Server::start([answer.to_owned()]);
            let error = driver.open(server.url("/").into()).expect_err("closed");
            assert!(matches!(error, Error::Handshake(_)), "{error:?}");
        }
    }
}

// A stream that is there already

#[tokio::test]
async fn a_ready_made_stream_is_used_as_it_is() {
    let (near, far) = tokio::io::duplex(64);
    let server = tokio::spawn(async move {
        let mut ws = over_tokio::WebSocket::accept(far).await.expect("a request");
        ws.send("welcome").await.expect("open");
        ws.recv().await.expect("closed").is_none()
    });
    let (mut ws, response) = over_tokio::connect_over(near, "ws://example.com/chat").await.expect("accepted");
    assert_eq!(response.status(), 101);
    assert!(!ws.get_ref().is_tls());
    assert_eq!(ws.recv().await.expect("open"), Some(Message::from("welcome")));
    ws.close(CloseCode::NORMAL, "").await.expect("clean");
    assert!(server.await.expect("no panic"));
}

#[test]
fn a_ready_made_socket_is_used_as_it_is() {
    let server = Server::start([accepting("")]);
    let socket = TcpStream::connect(server.address).expect("listening");
    let here = socket.local_addr().expect("connected");
    let (mut ws, _) = blocking::connect_over(socket, "ws://elsewhere.example/x").expect("accepted");
    assert_eq!(ws.get_ref().get_ref().local_addr().expect("connected"), here);
    ws.close(CloseCode::NORMAL, "").expect("clean");
    assert!(server.heads()[0].contains("\r\nHost: elsewhere.example\r\n"));
}

#[test]
fn a_redirect_of_a_ready_made_stream_is_a_refusal() {
    let server = Server::start([redirect(302, "/elsewhere")]);
    let socket = TcpStream::connect(server.address).expect("listening");
    let connect = Connect::to("ws://elsewhere.example/x").redirects(5);
    assert_eq!(blocking::connect_over(socket, connect).expect_err("refused").status(), Some(302));
}

// Dropping

#[tokio::test(start_paused = true)]
async fn l3_a_future_that_is_dropped_at_any_poll_closes_its_stream() {
    for polls in 1..100 {
        let (stream, log) =
            Scripted::new([Act::Answer(|request| server::answer(&String::from_utf8_lossy(request), ""))]);
        log.hesitate();
        log.read_at_most(40);
        let mut future = Box::pin(over_tokio::connect_over(stream, "ws://a/"));
        let cx = &mut Context::from_waker(Waker::noop());
        for poll in 1..=polls {
            assert!(!log.is_dropped());
            if let std::task::Poll::Ready(opened) = future.as_mut().poll(cx) {
                drop(opened.expect("accepted"));
                assert!(log.is_dropped() && poll > 5, "opened at poll {poll}");
                return;
            }
        }
        drop(future);
        assert!(log.is_dropped(), "after {polls} polls");
    }
    panic!("never opened");
}

#[tokio::test]
async fn a_dropped_future_and_a_dropped_connection_close_their_sockets() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    {
        let mut connecting = pin!(over_tokio::connect(&*url));
        let wait = tokio::time::timeout(Duration::from_millis(5), &mut connecting).await;
        assert!(wait.is_err(), "nobody answers");
    }
    let mut rest = Vec::new();
    listener.accept().expect("a connection").0.read_to_end(&mut rest).expect("the end");
}

#[test]
fn every_handle_that_is_dropped_closes_its_socket() {
    // The server takes no connection before the one before has ended.
    let server = Server::start(vec![accepting(""); 7]);
    let url = || server.url("/");
    runtime().block_on(async {
        drop(over_tokio::connect(url()).await.expect("accepted"));
        let (receiver, sender) = over_tokio::connect(url()).await.expect("accepted").0.into_split();
        drop((receiver, sender.clone(), sender));
        drop(over_tokio::connect(url()).await.expect("accepted").0.into_inner());
    });
    drop(blocking::connect(url()).expect("accepted"));
    drop(blocking::connect(url()).expect("accepted").0.into_split().expect("a socket"));
    drop(blocking::connect(url()).expect("accepted").0.into_inner());
    assert_eq!(Driver::Blocking.open(url().into()).expect("accepted").answer, "Hello");
    assert_eq!(server.heads().len(), 7);
}

#[test]
fn a_connection_to_ws_can_be_split_for_two_threads() {
    let server = Server::start([accepting("")]);
    let (mut receiver, sender) =
        blocking::connect(server.url("/")).expect("accepted").0.into_split().expect("a socket");
    let thread = std::thread::spawn(move || sender.send("Hello").map(|()| sender));
    assert_eq!(receiver.recv().expect("open"), Some(Message::from("Hello")));
    drop(thread.join().expect("no panic").expect("open"));
}

// Redirects

#[test]
fn redirects_are_refusals_unless_they_are_asked_for() {
    for driver in DRIVERS {
        let server = Server::start([redirect(302, "/b")]);
        let error = driver.open(server.url("/a").into()).expect_err("refused");
        assert_eq!(error.status(), Some(302));
        for status in [300, 304, 305] {
            let server = Server::start([redirect(status, "/b")]);
            let error = driver.open(Connect::to(&server.url("/a")).redirects(5)).expect_err("refused");
            assert_eq!(error.status(), Some(status));
        }
    }
}

#[test]
fn redirects_lead_to_other_paths_and_servers() {
    for driver in DRIVERS {
        let last = Server::start([accepting("")]);
        let elsewhere = last.url("/z?q").replacen("ws", "http", 1);
        let first = Server::start([
            redirect(301, "b?x"),
            redirect(302, "/c"),
            redirect(303, "?d"),
            redirect(307, "./e/../f"),
            redirect(308, &elsewhere),
        ]);
        let opened = driver.open(Connect::to(&first.url("/x/a?old")).redirects(5)).expect("accepted");
        assert_eq!((opened.peer, &*opened.answer), (last.address, "Hello"));
        let targets =
            first.heads().iter().map(|head| head.split(' ').nth(1).expect("a target").to_owned()).collect::<Vec<_>>();
        assert_eq!(targets, ["/x/a?old", "/x/b?x", "/c", "/c?d", "/f"]);
        assert!(last.heads()[0].starts_with("GET /z?q HTTP/1.1\r\n"));
    }
}

#[test]
fn h11_a_circle_of_redirects_ends_at_the_limit() {
    for driver in DRIVERS {
        for (wanted, limit) in [(1, 1), (3, 3), (10, 10), (1000, 10)] {
            let server = Server::start(vec![redirect(302, "/again"); limit + 1]);
            let error = driver.open(Connect::to(&server.url("/")).redirects(wanted)).expect_err("a circle");
            let found = matches!(error, Error::Connect(ConnectError::Redirect(RedirectError::TooMany { limit: of })) if of == limit);
            assert!(found, "{error:?}");
            assert_eq!(server.heads().len(), limit + 1);
        }
    }
}

#[test]
fn h11_credentials_and_cookies_stay_with_their_origin() {
    for driver in DRIVERS {
        for to_itself in [true, false] {
            let other = Server::start([accepting("")]);
            let location = if to_itself { "/b".into() } else { other.url("/b").replace("//", "//evil:info@") };
            let first = Server::start([redirect(302, &location), accepting("")]);
            let url = first.url("/a").replace("//", "//user:pass@");
            let connect = Connect::to(&url).header("cookie", "a=b").header("Proxy-Authorization", "p");
            let connect = connect.header("X-Kept", "yes").allow_plaintext_credentials().redirects(1);
            driver.open(connect).expect("accepted");
            let before = first.heads().remove(0);
            let after = if to_itself { first.heads().remove(1) } else { other.heads().remove(0) };
            for secret in ["Authorization: Basic dXNlcjpwYXNz", "cookie: a=b", "Proxy-Authorization: p"] {
                assert!(before.contains(secret), "{before}");
                assert_eq!(after.contains(secret), to_itself, "{after}");
            }
            assert!(after.contains("X-Kept: yes") && !after.contains("ZXZpbDppbmZv"), "{after}");
        }
        let other = Server::start([accepting("")]);
        let first = Server::start([redirect(302, &other.url("/"))]);
        let connect = Connect::to(&first.url("/")).bearer("token").allow_plaintext_credentials().redirects(1);
        driver.open(connect).expect("accepted");
        assert!(first.heads()[0].contains("Authorization: Bearer token"));
        assert!(!other.heads()[0].contains("Authorization"));
    }
}

#[test]
fn a_redirect_to_nowhere_is_an_error() {
    use RedirectError::{Location, Url};
    for (answer, expected) in [
        ("HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n".to_owned(), Location),
        (redirect(302, "/a\r\nLocation: /b"), Location),
        (redirect(302, "ftp://a/"), Url(UrlError::Scheme)),
        (redirect(302, "http://[::1/"), Url(UrlError::Host)),
        (redirect(302, "/a#b"), Url(UrlError::Fragment)),
        (redirect(302, &"/a".repeat(10_000)), Url(UrlError::TooLong { limit: 16 << 10 })),
    ] {
        for driver in DRIVERS {
            let server = Server::start([answer.clone()]);
            let config = Config::DEFAULT.max_head_size(64 << 10);
            let error = driver.open(Connect::to(&server.url("/")).config(config).redirects(1)).expect_err("nowhere");
            let found = matches!(error, Error::Connect(ConnectError::Redirect(found)) if found == expected);
            assert!(found, "{error:?} for {answer:.60}");
        }
    }
}

#[test]
fn every_error_says_what_is_wrong_and_what_to_do() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused);
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let address = SocketAddr::new(local, 81);
    for (error, what, remedy) in [
        (ConnectError::TlsRequired, "URL is ws://", "change one of them"),
        (ConnectError::TlsUnavailable, "built without TLS", "feature `rustls`"),
        (ConnectError::PlaintextCredentials, "can read the credentials", "use wss://"),
        (ConnectError::RepeatedCredentials, "two credentials", "keep one"),
        (ConnectError::UserInfo, "contains a colon", "neither can be sent"),
        (ConnectError::Resolve { host: "a".into(), source: refused() }, "\"a\" cannot be resolved", "check the URL"),
        (ConnectError::AddressFamily { host: "a".into(), local }, "no address that can", "choose another"),
        (ConnectError::LocalAddress { local, source: refused() }, "127.0.0.1 cannot be used", "one of this machine"),
        (ConnectError::Connect { address, source: refused() }, "127.0.0.1:81: connection refused", "check that"),
        (RedirectError::TooMany { limit: 3 }.into(), "more than 3 times", "raise the limit"),
        (RedirectError::Location.into(), "without one readable `Location`", "it is broken"),
        (RedirectError::Url(UrlError::Scheme).into(), "no WebSocket", "ws:// for http://"),
        (RedirectError::Insecure.into(), "from wss:// to ws://", "use its new URL"),
    ] {
        let message = Error::from(error).to_string();
        assert!(message.contains(what) && message.contains(remedy), "{message}");
    }
    for (timeout, what) in [(Timeout::Resolve, "name service"), (Timeout::Connect, "take the connection")] {
        let message = timeout.to_string();
        assert!(message.contains(what) && message.contains("`Connect::connect_timeout`"), "{message}");
    }
}

#[test]
fn what_connects_can_be_moved_between_threads() {
    fn check<T: Send + Sync>(_: T) {}
    check(Connect::to("ws://a"));
    fn check_send(_: impl Send) {}
    check_send(over_tokio::connect("ws://a"));
    check_send(over_tokio::connect_over(tokio::io::duplex(1).0, "ws://a"));
}
