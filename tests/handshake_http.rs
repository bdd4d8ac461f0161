//! The opening handshake from and to the types of the `http` crate, and the extended CONNECT of RFC 8441 and RFC 9220.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)]

use http::{Method, Request, Response, StatusCode, Version};
use sockeye::handshake::{InvalidArgument, RejectReason};
use sockeye::{Config, Connection, HandshakeError, Origins, Reject, Role, client, server};

const CONFIG: Config = Config::new(|| [0; 4]);

fn request() -> Request<()> {
    let builder = Request::get("/chat?x").header("Host", "example.com").header("Upgrade", "websocket");
    let builder = builder.header("Connection", "keep-alive, Upgrade").header("Sec-WebSocket-Version", "13");
    let builder = builder.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    builder.header("Sec-WebSocket-Protocol", "superchat").header("Sec-WebSocket-Protocol", "chat").body(()).unwrap()
}

fn connect() -> Request<()> {
    let builder = Request::builder().method(Method::CONNECT).version(Version::HTTP_2).uri("https://example.com/chat?x");
    let builder = builder.header("Sec-WebSocket-Version", "13").header("Origin", "https://example.com");
    builder.header("Sec-WebSocket-Protocol", "chat, superchat").body(()).unwrap()
}

fn receive(request: Request<()>) -> Result<server::Request, Reject> {
    server::Request::from_http(&request.into_parts().0)
}

fn receive_connect(request: Request<()>) -> Result<server::Request, Reject> {
    server::Request::from_http_connect(&request.into_parts().0, "websocket")
}

fn offer() -> client::Request {
    client::Request::get("ws://example.com:81/chat?x").unwrap().protocol("chat")
}

fn response() -> Response<&'static str> {
    let builder = Response::builder().status(101).header("Upgrade", "WebSocket").header("Connection", "upgrade");
    let builder = builder.header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    builder.header("Sec-WebSocket-Protocol", "chat").body("a stack's own body").unwrap()
}

fn verify<B>(response: &Response<B>) -> Result<sockeye::Agreed, HandshakeError> {
    offer().into_http(*b"the sample nonce", &CONFIG).unwrap().1.verify(response)
}

#[test]
fn a_request_becomes_a_response_and_a_connection() {
    let received = receive(request()).unwrap();
    assert_eq!((received.path(), received.query(), received.host()), ("/chat", Some("x"), "example.com"));
    let accept =
        received.accept(Origins::Same).unwrap().select(&["chat"]).header("Set-Cookie", "a").header("set-cookie", "b");
    let (response, agreed) = accept.into_http().unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.headers().len(), 6);
    let mut connection = Connection::open(Role::Server, agreed, &CONFIG);
    assert_eq!(connection.agreed().subprotocol(), Some("chat"));
    assert_eq!(connection.writer().outbox().queued(), 0, "the stack sends the response");
}

#[test]
fn the_rules_are_those_for_bytes() {
    type Change = fn(&mut Request<()>);
    let cases: [(Change, u16); 14] = [
        (|request| *request.method_mut() = Method::POST, 405),
        (|request| *request.version_mut() = Version::HTTP_10, 505),
        (|request| *request.version_mut() = Version::HTTP_2, 505),
        (|request| *request.uri_mut() = "example.com:80".parse().unwrap(), 400),
        (|request| *request.uri_mut() = "*".parse().unwrap(), 400),
        (|request| drop(request.headers_mut().remove("host")), 400),
        (|request| assert!(request.headers_mut().append("host", "example.com".parse().unwrap())), 400),
        (|request| drop(request.headers_mut().remove("upgrade")), 426),
        (|request| drop(request.headers_mut().remove("connection")), 426),
        (|request| drop(request.headers_mut().insert("sec-websocket-version", "8".parse().unwrap())), 426),
        (|request| assert!(request.headers_mut().append("sec-websocket-key", "x".parse().unwrap())), 400),
        (|request| drop(request.headers_mut().insert("content-length", "5".parse().unwrap())), 400),
        (|request| drop(request.headers_mut().insert("origin", "http://evil.example".parse().unwrap())), 403),
        (|request| drop(request.headers_mut().insert("sec-websocket-extensions", ";".parse().unwrap())), 400),
    ];
    for (change, status) in cases {
        let mut request = request();
        change(&mut request);
        let reject = receive(request).and_then(|request| request.accept(Origins::Same)).unwrap_err();
        assert_eq!(reject.status(), status, "{reject}");
    }
}

#[test]
fn a_whole_uri_takes_the_place_of_host() {
    let mut request = request();
    *request.uri_mut() = "http://other.example:81/chat".parse().unwrap();
    assert_eq!(receive(request).unwrap().host(), "other.example:81");
}

#[test]
fn a_refusal_becomes_a_response() {
    let reject = receive(request()).unwrap().reject(401);
    let response = reject.header("WWW-Authenticate", "A").header("WWW-Authenticate", "B").body("who?").into_http();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers().get_all("www-authenticate").iter().count(), 2);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(response.headers()["content-length"], "4");
    assert_eq!(response.body(), b"who?");
    assert_eq!(receive(request()).unwrap().reject(204).body("none").into_http().body(), b"");
}

#[test]
fn h7_no_string_smuggles_a_line() {
    let accept = receive(request()).unwrap().accept(Origins::Same).unwrap();
    let reject = accept.header("X-A", "b\r\nX-B: c").into_http().unwrap_err();
    assert_eq!(reject.reason(), &RejectReason::InvalidArgument(InvalidArgument::HeaderValue("X-A".into())));
    assert_eq!(reject.into_http().status(), 500);
    assert!(offer().header("X-A", "b\n").into_http([0; 16], &CONFIG).is_err());
}

#[test]
fn a_client_sends_and_verifies() {
    let (request, pending) =
        offer().header("Cookie", "a").header("Cookie", "b").into_http(*b"the sample nonce", &CONFIG).unwrap();
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert_eq!(request.uri(), "/chat?x");
    assert_eq!(request.headers()["host"], "example.com:81");
    assert_eq!(request.headers()["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request.headers().get_all("cookie").iter().count(), 2);
    assert_eq!(pending.verify(&response()).unwrap().subprotocol(), Some("chat"));
    let accept = receive(request).unwrap().accept(Origins::Same).unwrap().select(&["chat"]);
    assert!(pending.verify(&accept.into_http().unwrap().0).is_ok(), "both ends agree");
}

#[test]
fn h6_a_response_beyond_the_offer_fails() {
    for (name, value, error) in [
        ("upgrade", "h2c", HandshakeError::Upgrade),
        ("connection", "close", HandshakeError::Connection),
        ("sec-websocket-accept", "x", HandshakeError::Accept),
        ("sec-websocket-protocol", "x", HandshakeError::UnofferedSubprotocol("x".into())),
        ("sec-websocket-extensions", "x", HandshakeError::UnofferedExtension),
    ] {
        let mut response = response();
        response.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(verify(&response).unwrap_err(), error);
    }
    let refused = Response::builder().status(429).header("Retry-After", "5").body(()).unwrap();
    let Err(HandshakeError::Refused(refusal)) = verify(&refused) else { panic!() };
    assert_eq!((refusal.status(), refusal.headers().get("retry-after")), (429, Some(&b"5"[..])));
}

#[test]
fn rfc_8441_4_1_an_extended_connect_has_method_protocol_scheme_path_and_authority() {
    let request = receive_connect(connect()).unwrap();
    assert_eq!((request.path(), request.query(), request.host()), ("/chat", Some("x"), "example.com"));
    let mut plain = connect();
    *plain.uri_mut() = "example.com:443".parse().unwrap();
    assert_eq!(receive_connect(plain).unwrap_err().status(), 400);
    let mut get = connect();
    *get.method_mut() = Method::GET;
    let response = receive_connect(get).unwrap_err().into_http();
    assert_eq!((response.status().as_u16(), response.headers().get("allow")), (405, None));
    let mut old = connect();
    *old.version_mut() = Version::HTTP_11;
    assert_eq!(receive_connect(old).unwrap_err().status(), 505);
}

#[test]
fn rfc_8441_5_1_no_key_and_no_upgrade() {
    let accept = receive_connect(connect()).unwrap().accept(Origins::Same).unwrap();
    let (response, _) = accept.into_http().unwrap();
    assert!(response.headers().is_empty());
    let accept = receive_connect(connect()).unwrap().accept(Origins::Same).unwrap();
    let mut connection = accept.connect(&CONFIG).unwrap();
    assert_eq!(connection.writer().outbox().queued(), 0);
    let reject = receive_connect(connect()).unwrap().reject(404).into_http();
    assert!(reject.headers().get("connection").is_none());
}

#[test]
fn rfc_8441_5_2_origin_version_and_lists_keep_their_meaning() {
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("sec-websocket-version", "8", 400),
        ("sec-websocket-protocol", "a b", 400),
        ("sec-websocket-extensions", ";", 400),
    ] {
        let mut request = connect();
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = receive_connect(request).unwrap().accept(Origins::Same).unwrap_err().into_http();
        assert_eq!(response.status(), status);
        assert!(response.headers().get("upgrade").is_none() && response.headers().get("connection").is_none());
        assert_eq!(response.headers().contains_key("sec-websocket-version"), name == "sec-websocket-version");
    }
}

#[test]
fn rfc_8441_5_3_success_is_200() {
    let accept = receive_connect(connect()).unwrap().accept(Origins::Same).unwrap().select(&["superchat"]);
    let (response, agreed) = accept.into_http().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "superchat");
    assert_eq!(agreed.subprotocol(), Some("superchat"));
}

#[test]
fn rfc_9220_3_2_an_unknown_protocol_is_501() {
    let mut request = connect();
    *request.version_mut() = Version::HTTP_3;
    let (parts, ()) = request.into_parts();
    assert_eq!(server::Request::from_http_connect(&parts, "connect-udp").unwrap_err().status(), 501);
    assert!(server::Request::from_http_connect(&parts, "websocket").is_ok());
}
