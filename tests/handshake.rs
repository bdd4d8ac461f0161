//! The opening handshake from bytes, rule by rule: RFC 6455 §3, §4, §9, §10.2 and §11, the rules of HTTP/1.1 that it
//! inherits, ambiguous points (`rfc_e_*`), and hostile inputs (`h*`, `c1`, `p3`).
#![cfg(all(feature = "std", feature = "handshake"))]
#![allow(clippy::unwrap_used)]

use sockeye::client::{self, Pending, Response};
use sockeye::handshake::{HeadError, InvalidArgument, RejectReason, UrlError, nonce};
use sockeye::server::{self, Accept};
use sockeye::{Config, Connection, Event, HandshakeError, Origins, Reject, Role, accept_key};

#[path = "support/fuzz_handshake.rs"]
mod fuzz_handshake;

const CONFIG: Config = Config::DEFAULT;

/// The lines of RFC 6455 §1.2.
const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://server.example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

/// The message with all lines of this header, or the start line if the name is empty, replaced by `lines`.
fn replace(message: &str, name: &str, lines: &[&str]) -> String {
    let mut replaced = String::new();
    let mut lines = Some(lines);
    for (at, line) in message.trim_end().split("\r\n").enumerate() {
        let is_it = if name.is_empty() { at == 0 } else { line.starts_with(&format!("{name}:")) };
        match is_it {
            true => lines.take().unwrap_or_default().iter().for_each(|line| replaced += &format!("{line}\r\n")),
            false => replaced += &format!("{line}\r\n"),
        }
    }
    lines.unwrap_or_default().iter().for_each(|line| replaced += &format!("{line}\r\n"));
    replaced + "\r\n"
}

fn request(name: &str, lines: &[&str]) -> String {
    replace(REQUEST, name, lines)
}

fn response(name: &str, lines: &[&str]) -> String {
    replace(RESPONSE, name, lines)
}

fn receive_with(config: &Config, bytes: impl AsRef<[u8]>) -> Result<Option<server::Request>, Reject> {
    server::Handshake::new(config).receive(&mut bytes.as_ref())
}

fn receive(bytes: impl AsRef<[u8]>) -> Result<server::Request, Reject> {
    receive_with(&CONFIG, bytes).map(|request| request.expect("the whole request"))
}

fn accept(bytes: impl AsRef<[u8]>) -> Result<Accept, Reject> {
    receive(bytes)?.accept(Origins::Same)
}

#[track_caller]
fn accepted(bytes: impl AsRef<[u8]>) -> Accept {
    accept(bytes).expect("a valid request")
}

#[track_caller]
fn assert_accepted(bytes: impl AsRef<[u8]>) {
    drop(accepted(bytes));
}

#[track_caller]
fn assert_rejected(bytes: impl AsRef<[u8]>, status: u16) -> RejectReason {
    let reject = accept(bytes.as_ref()).expect_err("an invalid request");
    assert_eq!(reject.status(), status, "{reject}");
    assert!(sent(&reject).starts_with(&format!("HTTP/1.1 {status} ")));
    reject.reason().clone()
}

fn sent(reject: &Reject) -> String {
    let mut out = Vec::new();
    reject.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn answer(accept: Accept) -> String {
    let mut out = Vec::new();
    accept.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn offer() -> client::Request {
    client::Request::get("ws://server.example.com/chat").unwrap().protocol("superchat").protocol("chat")
}

fn written(request: client::Request) -> String {
    let mut out = Vec::new();
    request.write(*b"the sample nonce", &CONFIG, &mut out).map(drop).unwrap();
    String::from_utf8(out).unwrap()
}

fn pending_with(request: client::Request, config: &Config) -> Pending {
    request.write(*b"the sample nonce", config, &mut Vec::new()).unwrap()
}

fn verify(bytes: impl AsRef<[u8]>) -> Result<Response, HandshakeError> {
    let response = pending_with(offer(), &CONFIG).receive(&mut bytes.as_ref());
    response.map(|response| response.expect("the whole response"))
}

#[track_caller]
fn assert_failing(bytes: impl AsRef<[u8]>, error: HandshakeError) {
    assert_eq!(verify(bytes).expect_err("an invalid response"), error);
}

fn invalid(request: client::Request) -> InvalidArgument {
    let mut out = Vec::new();
    let error = request.write([0; 16], &CONFIG, &mut out).expect_err("an invalid argument");
    assert!(out.is_empty(), "nothing is sent");
    let HandshakeError::InvalidArgument(error) = error else { panic!("{error}") };
    error
}

#[track_caller]
fn assert_url_error(url: &str, error: UrlError) {
    let found = client::Request::get(url).expect_err(url);
    assert_eq!(found, HandshakeError::InvalidArgument(InvalidArgument::Url(error)), "{url}");
}

// RFC 6455 §3: URLs

#[test]
fn rfc_6455_3_1_only_the_schemes_ws_and_wss() {
    for (url, is_secure) in [("ws://a", false), ("wss://a", true), ("WS://a", false), ("WsS://a", true)] {
        assert_eq!(client::Request::get(url).unwrap().is_secure(), is_secure);
    }
    for url in ["http://a", "https://a", "wsx://a", "//a", "a", "", "ws:a", "ws:/a", " ws://a"] {
        assert_url_error(url, UrlError::Scheme);
    }
}

#[test]
fn rfc_6455_3_2_default_ports() {
    for (url, port) in [("ws://a", 80), ("wss://a", 443), ("ws://a:443", 443), ("wss://a:80/x", 80), ("ws://a:/", 80)] {
        assert_eq!(client::Request::get(url).unwrap().port(), port, "{url}");
    }
    for url in
        ["ws://a:65536", "ws://a:-1", "ws://a:+1", "ws://a:8x", "ws://", "ws:///x", "ws://:80", "ws://[::1", "ws://a]"]
    {
        assert_url_error(url, UrlError::Host);
    }
}

#[test]
fn rfc_6455_3_3_no_fragment() {
    for url in ["ws://a/#", "ws://a/x#y", "ws://a#y", "ws://a/?x#y"] {
        assert_url_error(url, UrlError::Fragment);
    }
    assert_eq!(client::Request::get("ws://a/%23").unwrap().resource(), "/%23");
}

#[test]
fn rfc_6455_3_4_the_resource_name_is_path_and_query() {
    let cases = [
        ("ws://a", "/"),
        ("ws://a/", "/"),
        ("ws://a?", "/?"),
        ("ws://a?q", "/?q"),
        ("ws://a/b?", "/b?"),
        ("ws://a/b/c?d=/e?", "/b/c?d=/e?"),
    ];
    for (url, resource) in cases {
        assert_eq!(client::Request::get(url).unwrap().resource(), resource);
        assert!(written(client::Request::get(url).unwrap()).starts_with(&format!("GET {resource} HTTP/1.1\r\n")));
    }
}

#[test]
fn rfc_6455_3_5_other_characters_are_percent_encoded() {
    let request = client::Request::get("ws://a/é/\u{65e5}?q=ü&{x}").unwrap();
    assert_eq!(request.resource(), "/%C3%A9/%E6%97%A5?q=%C3%BC&%7Bx%7D");
    assert_eq!(client::Request::get("ws://a/%C3%A9").unwrap().resource(), "/%C3%A9");
    assert_url_error("ws://bücher.example/", UrlError::NonAsciiHost);
}

#[test]
fn rfc_6455_3_6_user_info_is_refused_and_not_shown() {
    assert_url_error("ws://user:secret@a/", UrlError::UserInfo);
    let error = client::Request::get("ws://user:secret@a/").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert_eq!(client::Request::get("ws://a/user@b").unwrap().resource(), "/user@b");
}

// RFC 6455 §4.1: the client

#[test]
fn rfc_6455_4_1_7_the_request_is_a_get_in_http_1_1() {
    assert!(written(offer()).starts_with("GET /chat HTTP/1.1\r\n") && written(offer()).ends_with("\r\n\r\n"));
}

#[test]
fn rfc_6455_4_1_8_the_target_is_the_resource_name() {
    let request = client::Request::get("ws://a/b%20c?d").unwrap();
    assert!(written(request).starts_with("GET /b%20c?d HTTP/1.1\r\n"));
}

#[test]
fn rfc_6455_4_1_9_one_host_with_the_port_if_it_is_not_the_default() {
    for (url, host) in [
        ("ws://a.example/", "a.example"),
        ("ws://a.example:80/", "a.example"),
        ("ws://a.example:443/", "a.example:443"),
        ("wss://a.example:443/", "a.example"),
        ("wss://a.example:8443/", "a.example:8443"),
        ("ws://[::1]:9001/", "[::1]:9001"),
        ("ws://[::1]/", "[::1]"),
    ] {
        let text = written(client::Request::get(url).unwrap());
        assert!(text.contains(&format!("\r\nHost: {host}\r\n")), "{text}");
        assert_eq!(text.matches("Host:").count(), 1);
    }
}

#[test]
fn rfc_6455_4_1_10_the_request_has_upgrade_websocket() {
    assert!(written(offer()).contains("\r\nUpgrade: websocket\r\n"));
}

#[test]
fn rfc_6455_4_1_11_the_request_has_connection_upgrade() {
    assert!(written(offer()).contains("\r\nConnection: Upgrade\r\n"));
}

#[test]
fn rfc_6455_4_1_12_the_key_is_the_nonce_in_base64() {
    assert!(written(offer()).contains("\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    assert_ne!(nonce(), nonce());
}

#[test]
fn rfc_6455_4_1_13_the_request_has_version_13() {
    assert!(written(offer()).contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

#[test]
fn rfc_6455_4_1_14_origin_is_the_callers() {
    assert!(!written(offer()).contains("Origin"));
    assert!(written(offer().origin("https://example.com")).contains("\r\nOrigin: https://example.com\r\n"));
    assert_eq!(invalid(offer().origin("a").origin("b")), InvalidArgument::ReservedHeader("Origin".into()));
}

#[test]
fn rfc_6455_4_1_15_subprotocols_are_unique_tokens_in_order() {
    assert!(written(offer()).contains("\r\nSec-WebSocket-Protocol: superchat, chat\r\n"));
    for bad in ["", "a b", "a,b", "ä", "a\r\nb", "a\0", "\"a\"", "a/b"] {
        assert_eq!(invalid(offer().protocol(bad)), InvalidArgument::Subprotocol(bad.into()));
    }
    assert_eq!(invalid(offer().protocol("chat")), InvalidArgument::RepeatedSubprotocol("chat".into()));
    assert!(written(offer().protocol("Chat")).contains("superchat, chat, Chat"));
}

#[test]
fn rfc_6455_4_1_16_no_connection_before_the_response_is_complete() {
    let mut pending = pending_with(offer(), &CONFIG);
    let (last, rest) = RESPONSE.as_bytes().split_last().unwrap();
    assert!(pending.receive(&mut &*rest).unwrap().is_none());
    let response = pending.receive(&mut &[*last][..]).unwrap().unwrap();
    assert_eq!(response.connect(&CONFIG).writer().outbox().queued(), 0);
}

#[test]
fn rfc_6455_4_1_17_headers_of_the_handshake_cannot_be_set() {
    for name in [
        "Host",
        "upgrade",
        "CONNECTION",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Accept",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        assert_eq!(invalid(offer().header(name, "x")), InvalidArgument::ReservedHeader(name.into()));
    }
}

#[test]
fn rfc_6455_4_1_18_a_refusal_shows_status_headers_and_body() {
    let refused = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n\
        Location: /login\r\nContent-Length: 5\r\n\r\nhello, and more";
    let Err(HandshakeError::Refused(refusal)) = verify(refused) else { panic!() };
    assert_eq!((refusal.status(), refusal.body()), (401, &b"hello"[..]));
    assert_eq!(refusal.headers().get_all("www-authenticate").collect::<Vec<_>>(), [&b"Basic"[..], b"Bearer"]);
    assert_eq!(refusal.headers().get("LOCATION"), Some(&b"/login"[..]));
}

#[test]
fn rfc_6455_4_1_19_a_response_needs_upgrade_websocket() {
    verify(response("Upgrade", &["upgrade: WebSocket"])).unwrap();
    for lines in [&[][..], &["Upgrade: websocketx"], &["Upgrade: h2c"], &["Upgrade:"]] {
        assert_failing(response("Upgrade", lines), HandshakeError::Upgrade);
    }
}

#[test]
fn rfc_6455_4_1_20_a_response_needs_connection_upgrade() {
    verify(response("Connection", &["connection: keep-alive, uPgRaDe"])).unwrap();
    verify(response("Connection", &["Connection: keep-alive", "Connection: Upgrade"])).unwrap();
    for lines in [&[][..], &["Connection: keep-alive"], &["Connection: upgraded"], &["Connection: x upgrade"]] {
        assert_failing(response("Connection", lines), HandshakeError::Connection);
    }
}

#[test]
fn rfc_6455_4_1_21_a_response_needs_the_right_accept() {
    verify(response("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: \t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t"])).unwrap();
    for line in ["", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", "dGhlIHNhbXBsZSBub25jZQ=="] {
        let line = format!("Sec-WebSocket-Accept: {line}");
        assert_failing(response("Sec-WebSocket-Accept", &[&line]), HandshakeError::Accept);
    }
    assert_failing(response("Sec-WebSocket-Accept", &[]), HandshakeError::Accept);
}

#[test]
fn rfc_6455_4_1_22_a_response_with_an_unoffered_extension_fails() {
    let line = "Sec-WebSocket-Extensions: permessage-deflate";
    assert_failing(response("Sec-WebSocket-Extensions", &[line]), HandshakeError::UnofferedExtension);
}

#[test]
fn rfc_6455_4_1_23_a_response_with_an_unoffered_subprotocol_fails() {
    for value in ["other", "Chat", "chat, superchat", ""] {
        let line = format!("Sec-WebSocket-Protocol: {value}");
        let bytes = response("Sec-WebSocket-Protocol", &[&line]);
        assert_failing(bytes, HandshakeError::UnofferedSubprotocol(value.into()));
    }
    let mut pending = pending_with(client::Request::get("ws://a").unwrap(), &CONFIG);
    let error = pending.receive(&mut RESPONSE.as_bytes()).unwrap_err();
    assert_eq!(error, HandshakeError::UnofferedSubprotocol("chat".into()));
}

#[test]
fn rfc_6455_4_1_24_header_names_have_no_case() {
    let lower = |text: &str| {
        let (start, headers) = text.split_once("\r\n").unwrap();
        let lines = headers.split("\r\n").map(|line| match line.split_once(':') {
            Some((name, value)) => format!("\r\n{}:{value}", name.to_lowercase()),
            None => format!("\r\n{line}"),
        });
        start.to_owned() + &lines.collect::<String>()
    };
    assert_eq!(accepted(lower(REQUEST)).subprotocols().count(), 2);
    verify(lower(RESPONSE)).unwrap();
}

#[test]
fn rfc_6455_4_1_25_what_was_agreed_is_readable() {
    let response = verify(RESPONSE).unwrap();
    assert_eq!(response.agreed().subprotocol(), Some("chat"));
    assert_eq!(response.status(), 101);
    let connection = response.connect(&CONFIG);
    assert_eq!((connection.agreed().subprotocol(), connection.role()), (Some("chat"), Role::Client));
}

#[test]
fn rfc_6455_4_1_26_bytes_behind_the_101_are_frames() {
    let mut bytes = RESPONSE.as_bytes().to_vec();
    bytes.extend_from_slice(b"\x81\x02Hi");
    let mut input = &bytes[..];
    let response = pending_with(offer(), &CONFIG).receive(&mut input).unwrap().unwrap();
    assert_eq!(input, b"\x81\x02Hi");
    assert_received(response.connect(&CONFIG), input, "Hi");
}

fn assert_received(mut connection: Connection, frames: &[u8], text: &str) {
    let mut frames = frames.to_vec();
    let Ok(Some(Event::Message(message))) = connection.next(&mut &mut frames[..]) else { panic!("no message") };
    assert_eq!(message, sockeye::Message::from(text));
}

// RFC 6455 §4.2: the server

#[test]
fn rfc_6455_4_2_1_1_any_deviation_is_an_http_error() {
    for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
        let reject = accept(request(name, &[])).expect_err(name);
        assert!((400..500).contains(&reject.status()) && sent(&reject).contains("\r\nConnection: "));
    }
}

#[test]
fn rfc_6455_4_2_1_2_only_get_in_http_1_1() {
    assert_eq!(assert_rejected(request("", &["POST /chat HTTP/1.1"]), 405), RejectReason::Method);
    assert_eq!(assert_rejected(request("", &["get /chat HTTP/1.1"]), 405), RejectReason::Method);
    assert_eq!(assert_rejected(request("", &["GET /chat HTTP/1.0"]), 505), RejectReason::HttpVersion);
}

#[test]
fn rfc_6455_4_2_1_3_a_whole_uri_is_accepted_as_target() {
    for (target, resource) in [
        ("http://server.example.com/chat?x", "/chat?x"),
        ("HTTPS://server.example.com:443", "/"),
        ("http://server.example.com?x", "/?x"),
    ] {
        let request = receive(request("", &[&format!("GET {target} HTTP/1.1")])).unwrap();
        assert_eq!(request.resource(), resource);
    }
    for target in ["*", "server.example.com:80", "ws:", "ftp://a/", "http://", "http://u@a/", "/a#b", "chat"] {
        let line = format!("GET {target} HTTP/1.1");
        assert_eq!(assert_rejected(request("", &[&line]), 400), RejectReason::Target, "{target}");
    }
}

#[test]
fn rfc_6455_4_2_1_4_host_is_needed() {
    assert_eq!(assert_rejected(request("Host", &[]), 400), RejectReason::Host);
    assert_eq!(receive(REQUEST).unwrap().host(), "server.example.com");
}

#[test]
fn rfc_6455_4_2_1_5_upgrade_contains_websocket() {
    for lines in [&["Upgrade: WebSocket"][..], &["Upgrade: h2c, websocket"], &["Upgrade: h2c", "Upgrade: ,websocket ,"]]
    {
        assert_accepted(request("Upgrade", lines));
    }
    for line in ["Upgrade: notupgrade", "Upgrade: websocketx", "Upgrade: xwebsocket", "Upgrade: web socket", "Upgrade:"]
    {
        assert_eq!(assert_rejected(request("Upgrade", &[line]), 426), RejectReason::Upgrade);
    }
}

#[test]
fn rfc_6455_4_2_1_6_connection_contains_upgrade() {
    for lines in [&["Connection: keep-alive, Upgrade"][..], &["connection: close", "CONNECTION: upgrade"]] {
        assert_accepted(request("Connection", lines));
    }
    for line in ["Connection: keep-alive", "Connection: notupgrade", "Connection: upgrade2"] {
        assert_eq!(assert_rejected(request("Connection", &[line]), 426), RejectReason::Connection);
    }
}

#[test]
fn rfc_6455_4_2_1_7_the_key_is_sixteen_bytes() {
    let long = "A".repeat(1000);
    for key in [
        "",
        "A",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "AAAA",
        &long,
        "dGhlIHNhbXBsZSBub25jZ_==",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhl HNhbXBsZSBub25jZQ==",
    ] {
        let line = format!("Sec-WebSocket-Key: {key}");
        assert_eq!(assert_rejected(request("Sec-WebSocket-Key", &[&line]), 400), RejectReason::Key, "{key}");
    }
}

#[test]
fn rfc_6455_4_2_1_8_the_rfcs_own_key_is_accepted() {
    let accept = accepted(request("Sec-WebSocket-Key", &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="]));
    assert!(answer(accept).contains("\r\nSec-WebSocket-Accept: OfS0wDaT5NoxF2gqm7Zj2YtetzM=\r\n"));
}

#[test]
fn rfc_6455_4_2_1_9_the_version_is_13() {
    assert_rejected(request("Sec-WebSocket-Version", &[]), 400);
    for version in ["8", "14", "013", "13, 8", "", "x", "13.0"] {
        let line = format!("Sec-WebSocket-Version: {version}");
        assert_eq!(assert_rejected(request("Sec-WebSocket-Version", &[&line]), 426), RejectReason::Version);
    }
}

#[test]
fn rfc_6455_4_2_1_10_no_origin_is_no_browser() {
    assert_accepted(request("Origin", &[]));
    assert_eq!(receive(request("Origin", &[])).unwrap().origin(), None);
}

#[test]
fn rfc_6455_4_2_1_11_unknown_headers_are_ignored() {
    assert_accepted(request("X", &["X-Unknown: 1", "Sec-WebSocket-Key1: 2", "Sec-Fetch-Mode: websocket"]));
}

#[test]
fn rfc_6455_4_2_2_2_any_answer_is_possible() {
    let request = receive(REQUEST).unwrap();
    let reject =
        request.reject(401).header("WWW-Authenticate", "Basic").header("WWW-Authenticate", "Bearer").body("who?");
    assert_eq!(
        sent(&reject),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\nwho?"
    );
    let redirect = request.reject(302).header("Location", "/other");
    assert_eq!(
        sent(&redirect),
        "HTTP/1.1 302 Found\r\nLocation: /other\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let json = request.reject(404).header("content-type", "application/json").body("{}");
    assert_eq!(sent(&json).matches("ontent-").count(), 2);
    for (asked, status) in [(101, 500), (199, 500), (200, 200), (599, 599), (600, 500), (0, 500), (u16::MAX, 500)] {
        assert_eq!(request.reject(asked).status(), status);
    }
}

#[test]
fn rfc_6455_4_2_2_3_an_unacceptable_origin_is_an_http_error() {
    assert_rejected(request("Origin", &["Origin: http://evil.example"]), 403);
}

#[test]
fn rfc_6455_4_2_2_4_the_subprotocol_is_one_of_the_clients() {
    let select = |supported: &[&str]| accepted(REQUEST).select(supported);
    assert_eq!(select(&["superchat", "chat"]).agreed().subprotocol(), Some("chat"), "the client's first");
    assert_eq!(select(&["superchat"]).agreed().subprotocol(), Some("superchat"));
    assert!(answer(select(&["chat"])).contains("\r\nSec-WebSocket-Protocol: chat\r\n"));
    assert!(!answer(select(&["Chat", "other"])).contains("Sec-WebSocket-Protocol"));
    let chosen = accepted(REQUEST).subprotocol("superchat");
    assert!(answer(chosen).contains("\r\nSec-WebSocket-Protocol: superchat\r\n"));
    let reject = accepted(REQUEST).subprotocol("SuperChat").connect(&CONFIG).unwrap_err();
    assert_eq!(reject.status(), 500);
    assert!(!sent(&reject).contains("SuperChat"), "the server's fault is not the client's business");
}

#[test]
fn rfc_6455_4_2_2_5_no_extension_is_accepted_that_was_not_offered() {
    assert!(!answer(accepted(REQUEST)).contains("Extensions"));
}

#[test]
fn rfc_6455_4_2_2_6_the_101_of_the_rfc() {
    assert_eq!(answer(accepted(REQUEST).select(&["chat"])), RESPONSE);
    assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn rfc_6455_4_2_2_7_accept_is_made_of_the_key_as_it_came() {
    let accept = accepted(request("Sec-WebSocket-Key", &["Sec-WebSocket-Key: \t AQIDBAUGBwgJCgsMDQ4PEA==  "]));
    let expected = accept_key(b"AQIDBAUGBwgJCgsMDQ4PEA==");
    assert_ne!(expected, accept_key(b"AQIDBAUGBwgJCgsMDQ4PEC=="), "the same bytes in another spelling");
    assert!(answer(accept).contains(std::str::from_utf8(&expected).unwrap()));
}

#[test]
fn rfc_6455_4_2_2_8_frames_follow_the_101() {
    let mut connection = accepted(REQUEST).select(&["chat"]).connect(&CONFIG).unwrap();
    connection.writer().send("Hi").unwrap();
    assert_eq!(connection.role(), Role::Server);
    let sent = bytes::Buf::copy_to_bytes(connection.writer().outbox(), RESPONSE.len() + 4);
    assert_eq!(sent, [RESPONSE.as_bytes(), b"\x81\x02Hi"].concat());
}

#[test]
fn rfc_6455_4_3_1_header_values_follow_their_grammar() {
    for value in ["", ",", "a b", "a;b", "\"a\"", "a, b/c", "ä"] {
        let line = format!("Sec-WebSocket-Protocol: {value}");
        let reason = assert_rejected(request("Sec-WebSocket-Protocol", &[&line]), 400);
        assert_eq!(reason, RejectReason::InvalidHeader("Sec-WebSocket-Protocol"), "{value}");
    }
    let accept = accepted(request("Sec-WebSocket-Protocol", &["Sec-WebSocket-Protocol: ,a ,\t, b,"]));
    assert_eq!(accept.subprotocols().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn rfc_6455_4_4_1_another_version_is_told_ours() {
    let reject = accept(request("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"])).unwrap_err();
    assert!(sent(&reject).starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    assert!(sent(&reject).contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

#[test]
fn rfc_6455_4_4_2_the_servers_versions_are_readable() {
    let refused = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13, 8\r\nsec-websocket-version: 7,x,256\r\n\
        Content-Length: 0\r\n\r\n";
    let Err(HandshakeError::Refused(refusal)) = verify(refused) else { panic!() };
    assert_eq!(refusal.versions().collect::<Vec<_>>(), [13, 8, 7]);
}

// RFC 6455 §9: the extension list

fn extensions(lines: &[&str]) -> Result<Vec<String>, Reject> {
    let lines: Vec<_> = lines.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}")).collect();
    let lines: Vec<_> = lines.iter().map(|line| &**line).collect();
    let accept = accept(request("Sec-WebSocket-Extensions", &lines))?;
    Ok(accept.extensions().map(|extension| format!("{} {:?}", extension.name(), extension.params())).collect())
}

#[test]
fn rfc_6455_9_1_1_a_malformed_list_is_refused() {
    for bad in [
        "",
        ",",
        "a b",
        "a;",
        ";a",
        "a;;b",
        "a; b=",
        "a; =b",
        "a; b=\"",
        "a; b=\"\"",
        "a; b=\"c",
        "a; b=\"c d\"",
        "a; b=\"c\\\"",
        "a; b=\"c\\",
        "a; b=\"c\"d",
        "a=b",
        "ä",
        "a; b=\"ä\"",
        "a, b c",
        "a; b=\"\\ä\"",
        "a; b=\\c",
    ] {
        let reject = extensions(&[bad]).expect_err(bad);
        assert_eq!(reject.reason(), &RejectReason::InvalidHeader("Sec-WebSocket-Extensions"));
        let line = format!("Sec-WebSocket-Extensions: {bad}");
        assert_failing(
            response("Sec-WebSocket-Extensions", &[&line]),
            HandshakeError::InvalidHeader("Sec-WebSocket-Extensions"),
        );
    }
}

#[test]
fn rfc_6455_9_1_2_several_lines_are_one_list() {
    assert_eq!(
        extensions(&["a; x", "b, c", ",a;,".trim_end_matches(";,")]).unwrap(),
        ["a [(\"x\", None)]", "b []", "c []", "a []"]
    );
}

#[test]
fn rfc_6455_9_1_3_a_quoted_value_is_the_same_as_a_plain_one() {
    let plain = extensions(&["a; bits=10"]).unwrap();
    for quoted in ["a; bits=\"10\"", "a;bits = \"1\\0\" ", "a\t;\tbits=\"\\1\\0\",", "a; bits=\"\\10\""] {
        assert_eq!(extensions(&[quoted]).unwrap(), plain, "{quoted}");
    }
    assert_eq!(
        extensions(&["a; x; y=1; x=2"]).unwrap(),
        ["a [(\"x\", None), (\"y\", Some(\"1\")), (\"x\", Some(\"2\"))]"]
    );
}

#[test]
fn rfc_6455_9_1_4_nothing_is_accepted_that_was_not_offered() {
    assert!(!answer(accepted(REQUEST)).contains("Sec-WebSocket-Extensions"));
    let reject = accepted(REQUEST).header("Sec-WebSocket-Extensions", "x").connect(&CONFIG).unwrap_err();
    assert_eq!(reject.status(), 500);
}

#[test]
fn rfc_6455_9_1_5_unknown_extensions_are_declined_silently() {
    let line = "Sec-WebSocket-Extensions: permessage-bzip2; level=9, foo";
    assert!(!answer(accepted(request("Sec-WebSocket-Extensions", &[line]))).contains("Extensions"));
}

// RFC 6455 §10

#[test]
fn rfc_6455_10_2_1_origins_are_the_same_host_any_or_a_list() {
    let check = |origin: &str, host: &str, origins| {
        let text = replace(&request("Origin", &[&format!("Origin: {origin}")]), "Host", &[&format!("Host: {host}")]);
        receive(text).unwrap().accept(origins).map(drop).map_err(|reject| assert_eq!(reject.status(), 403)).is_ok()
    };
    for (origin, host) in [
        ("http://a.example", "a.example"),
        ("https://a.example", "a.example"),
        ("https://A.example", "a.EXAMPLE:443"),
        ("http://a.example:80", "a.example"),
        ("http://a.example:8080", "a.example:8080"),
        ("http://[::1]:9", "[::1]:9"),
    ] {
        assert!(check(origin, host, Origins::Same), "{origin} {host}");
    }
    for (origin, host) in [
        ("http://a.example", "a.example:443"),
        ("https://a.example:8443", "a.example"),
        ("app://a.example", "a.example"),
    ] {
        assert!(!check(origin, host, Origins::Same), "{origin} {host}");
        assert!(check(origin, host, Origins::Any), "{origin} {host}");
    }
    let list = Origins::List(&["https://b.example", "c.example:81", "app://x"]);
    for (origin, is_allowed) in [
        ("https://b.example", true),
        ("https://B.example:443", true),
        ("http://b.example", false),
        ("https://b.example:81", false),
        ("http://c.example:81", true),
        ("https://c.example:81", true),
        ("http://c.example", false),
        ("app://x", true),
        ("web://x", false),
        ("https://a.example", false),
        ("null", false),
    ] {
        assert_eq!(check(origin, "a.example", list), is_allowed, "{origin}");
    }
}

#[test]
fn rfc_6455_10_5_1_credentials_are_the_applications() {
    let request = receive(request("Authorization", &["Authorization: Basic YTpi"])).unwrap();
    assert_eq!(request.headers().get("authorization"), Some(&b"Basic YTpi"[..]));
}

#[test]
fn rfc_6455_10_7_1_invalid_input_ends_the_handshake_for_good() {
    let mut handshake = server::Handshake::new(&CONFIG);
    assert!(handshake.receive(&mut &b"GET / HTTP/1.1\n"[..]).is_err());
    let mut input = REQUEST.as_bytes();
    assert_eq!(handshake.receive(&mut input).unwrap_err().reason(), &RejectReason::Head(HeadError::BareLineFeed));
    assert!(input.is_empty());
}

// RFC 6455 §11.3: how often a header may come

#[test]
fn rfc_6455_11_3_1_1_one_key() {
    let line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(assert_rejected(request("Sec-WebSocket-Key", &[line, line]), 400), RejectReason::Key);
}

#[test]
fn rfc_6455_11_3_2_1_extensions_may_repeat_in_a_request_only() {
    assert_eq!(extensions(&["a", "b"]).unwrap().len(), 2);
    let line = "Sec-WebSocket-Extensions: a";
    assert_failing(
        response("Sec-WebSocket-Extensions", &[line, line]),
        HandshakeError::InvalidHeader("Sec-WebSocket-Extensions"),
    );
}

#[test]
fn rfc_6455_11_3_3_1_one_accept() {
    let line = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_failing(response("Sec-WebSocket-Accept", &[line, line]), HandshakeError::Accept);
}

#[test]
fn rfc_6455_11_3_4_1_subprotocols_may_repeat_in_a_request_only() {
    let accept =
        accepted(request("Sec-WebSocket-Protocol", &["Sec-WebSocket-Protocol: a", "sec-websocket-protocol: b, c"]));
    assert_eq!(accept.subprotocols().collect::<Vec<_>>(), ["a", "b", "c"]);
    let line = "Sec-WebSocket-Protocol: chat";
    assert_failing(
        response("Sec-WebSocket-Protocol", &[line, line]),
        HandshakeError::InvalidHeader("Sec-WebSocket-Protocol"),
    );
}

#[test]
fn rfc_6455_11_3_5_1_one_version() {
    let line = "Sec-WebSocket-Version: 13";
    assert_rejected(request("Sec-WebSocket-Version", &[line, line]), 400);
}

// RFC 9110 and RFC 9112

#[test]
fn rfc_9110_7_8_1_an_upgrade_in_http_1_0_is_refused() {
    assert_rejected(request("", &["GET /chat HTTP/1.0"]), 505);
}

#[test]
fn rfc_9110_7_8_2_a_426_has_upgrade_and_connection_upgrade() {
    let text = sent(&accept(request("Upgrade", &[])).unwrap_err());
    assert!(
        text.contains("\r\nUpgrade: websocket\r\n") && text.contains("\r\nConnection: Upgrade, close\r\n"),
        "{text}"
    );
}

#[test]
fn rfc_9110_8_6_1_no_content_length_in_the_101() {
    let text = answer(accepted(REQUEST));
    assert!(!text.contains("Content-Length") && !text.contains("Transfer-Encoding"));
    verify(response("Content-Length", &["Content-Length: 0"])).unwrap();
    verify(response("Content-Length", &["Content-Length: 7", "Transfer-Encoding: chunked"])).unwrap();
    for name in ["Content-Length", "transfer-encoding"] {
        assert!(accepted(REQUEST).header(name, "0").connect(&CONFIG).is_err());
    }
}

#[test]
fn rfc_9110_15_2_1_interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    verify(interim.to_owned() + RESPONSE).unwrap();
}

#[test]
fn rfc_9110_6_4_1_a_request_with_a_body_is_refused() {
    for line in [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Content-Length: x",
        "Content-Length: -0",
        "Content-Length:",
    ] {
        assert_eq!(assert_rejected(request("X", &[line]), 400), RejectReason::Body, "{line}");
    }
    assert_rejected(request("X", &["Content-Length: 0", "Content-Length: 5"]), 400);
}

#[test]
fn rfc_9112_2_2_1_a_bare_cr_is_refused() {
    for text in ["GET / HTTP/1.1\rHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "\r\rGET / HTTP/1.1\r\n\r\n"]
    {
        assert_eq!(assert_rejected(text, 400), RejectReason::Head(HeadError::BareCarriageReturn));
    }
    assert_failing(RESPONSE.replace("Upgrade\r\n", "Upgrade\r"), HandshakeError::Head(HeadError::BareCarriageReturn));
}

#[test]
fn rfc_9112_2_2_2_a_bare_lf_is_refused() {
    assert_eq!(assert_rejected(REQUEST.replace("\r\n", "\n"), 400), RejectReason::Head(HeadError::BareLineFeed));
    assert_failing(RESPONSE.replace("\r\n", "\n"), HandshakeError::Head(HeadError::BareLineFeed));
}

#[test]
fn rfc_9112_2_2_3_empty_lines_before_the_request_are_ignored() {
    assert_accepted(format!("\r\n\r\n{REQUEST}"));
    let flood = "\r\n".repeat(10_000);
    assert_eq!(receive_with(&CONFIG, flood).unwrap_err().status(), 431, "within the limit of the head");
    assert_failing(format!("\r\n{RESPONSE}"), HandshakeError::Head(HeadError::StartLine));
}

#[test]
fn rfc_9112_3_1_the_request_line_is_exact() {
    for line in [
        "GET  /chat HTTP/1.1",
        "GET /chat  HTTP/1.1",
        " GET /chat HTTP/1.1",
        "GET /chat HTTP/1.1 ",
        "GET\t/chat HTTP/1.1",
        "GET /chat",
        "GET",
        "GET /ch at HTTP/1.1",
        "GET /chat http/1.1",
        "GET /chat HTTP/1.1x",
        "GET /chat HTTP/11",
        "G@T /chat HTTP/1.1",
        "GET /chät HTTP/1.1",
    ] {
        assert_rejected(request("", &[line]), 400);
    }
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0"] {
        assert_rejected(request("", &[&format!("GET /chat {version}")]), 505);
    }
}

#[test]
fn rfc_9112_3_2_1_exactly_one_valid_host() {
    for host in ["", "a b", "a:b", "a:1:2", "a:99999", "[::1", "[x]", "[::1]x", "u@a", "a/b", "ä", ":80", "http://a"] {
        assert_eq!(assert_rejected(request("Host", &[&format!("Host: {host}")]), 400), RejectReason::Host, "{host}");
    }
    assert_rejected(request("Host", &["Host: server.example.com", "Host: server.example.com"]), 400);
    for host in ["a", "a:", "a:80", "1.2.3.4:5", "[::1]", "[2001:db8::1]:443", "xn--bcher-kva.example", "a_b"] {
        let text = replace(&request("Origin", &[]), "Host", &[&format!("Host: {host}")]);
        assert_accepted(text);
    }
}

#[test]
fn rfc_9112_3_2_2_1_a_whole_uri_takes_the_place_of_host() {
    let text = request("", &["GET http://other.example:81/chat HTTP/1.1"]);
    assert_eq!(receive(&text).unwrap().host(), "other.example:81");
    assert_rejected(&text, 403);
    assert_accepted(replace(&text, "Origin", &["Origin: http://other.example:81"]));
}

#[test]
fn rfc_9112_5_1_no_space_before_the_colon() {
    assert_eq!(assert_rejected(request("X", &["X-A : b"]), 400), RejectReason::Head(HeadError::HeaderLine));
    assert_failing(response("X", &["X-A\t: b"]), HandshakeError::Head(HeadError::HeaderLine));
}

#[test]
fn rfc_9112_5_2_names_are_tokens_and_values_have_no_controls() {
    for line in [": b", "X A: b", "X(A): b", "nocolon", "ä: b"] {
        assert_eq!(assert_rejected(request("X", &[line]), 400), RejectReason::Head(HeadError::HeaderLine), "{line}");
    }
    for line in ["X: a\0b", "X: a\x01b", "X: a\x7fb", "X\x1b: a"] {
        assert_eq!(assert_rejected(request("X", &[line]), 400), RejectReason::Head(HeadError::ControlCharacter));
    }
    let request = receive(request("X", &["X-A: \t b\tc \t", "X-B:", "X-C: \u{e4}"])).unwrap();
    assert_eq!(request.headers().get("x-a"), Some(&b"b\tc"[..]));
    assert_eq!(request.headers().get("x-b"), Some(&b""[..]));
    assert_eq!(request.headers().get("x-c"), Some("\u{e4}".as_bytes()));
}

#[test]
fn rfc_9112_5_2_1_folded_lines_are_refused() {
    for line in ["X-A: b\r\n c", "X-A: b\r\n\tc"] {
        assert_eq!(assert_rejected(request("X", &[line]), 400), RejectReason::Head(HeadError::FoldedLine));
        assert_failing(response("X", &[line]), HandshakeError::Head(HeadError::FoldedLine));
    }
    assert_rejected("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
}

#[test]
fn rfc_9112_x_1_limits_hold_before_parsing() {
    let config = CONFIG.max_head_size(REQUEST.len()).max_headers(7).max_target_size(5);
    assert!(receive_with(&config, REQUEST).unwrap().is_some(), "exactly the limits");
    let status = |config: Config| receive_with(&config, REQUEST).unwrap_err().status();
    assert_eq!(status(config.max_head_size(REQUEST.len() - 1)), 431);
    assert_eq!(status(config.max_headers(6)), 431);
    assert_eq!(status(config.max_target_size(4)), 414);
    // Garbage beyond a limit is not looked at, nor waited for.
    let text = format!("GET /{} HTTP/1.1", "a".repeat(5));
    assert_eq!(receive_with(&config, text).unwrap_err().status(), 414);
}

// The ambiguous points, as they are judged

#[test]
fn rfc_e_20_a_repeated_upgrade_fails() {
    assert_failing(response("Upgrade", &["Upgrade: websocket", "Upgrade: websocket"]), HandshakeError::Upgrade);
}

#[test]
fn rfc_e_21_upgrade_is_exact_in_responses_and_a_list_in_requests() {
    assert_failing(response("Upgrade", &["Upgrade: websocket, h2c"]), HandshakeError::Upgrade);
    assert_accepted(request("Upgrade", &["Upgrade: websocket, h2c"]));
}

#[test]
fn rfc_e_22_connection_is_a_list() {
    assert_accepted(request("Connection", &["Connection: keep-alive, Upgrade"]));
}

#[test]
fn rfc_e_23_an_unoffered_extension_fails_the_handshake() {
    let line = "Sec-WebSocket-Extensions: foo; a=b";
    assert_failing(response("Sec-WebSocket-Extensions", &[line]), HandshakeError::UnofferedExtension);
}

#[test]
fn rfc_e_24_no_subprotocol_is_an_option() {
    let without = response("Sec-WebSocket-Protocol", &[]);
    assert_eq!(verify(&without).unwrap().agreed().subprotocol(), None);
    let strict = CONFIG.require_subprotocol(true);
    let error = pending_with(offer(), &strict).receive(&mut without.as_bytes()).unwrap_err();
    assert_eq!(error, HandshakeError::NoSubprotocol);
    let none_offered = client::Request::get("ws://a").unwrap();
    assert!(pending_with(none_offered, &strict).receive(&mut without.as_bytes()).is_ok());
}

#[test]
fn rfc_e_25_an_unoffered_subprotocol_fails() {
    let line = "Sec-WebSocket-Protocol: other";
    let error = HandshakeError::UnofferedSubprotocol("other".into());
    assert_failing(response("Sec-WebSocket-Protocol", &[line]), error);
}

#[test]
fn rfc_e_26_subprotocols_have_case() {
    assert_eq!(accepted(REQUEST).select(&["CHAT"]).agreed().subprotocol(), None);
}

#[test]
fn rfc_e_27_whether_to_go_on_without_a_subprotocol_is_the_applications() {
    let request = receive(REQUEST).unwrap();
    let accept = request.accept(Origins::Same).unwrap().select(&["other"]);
    assert_eq!(accept.agreed().subprotocol(), None);
    assert_eq!(request.reject(400).status(), 400);
}

#[test]
fn rfc_e_28_http_1_0_is_505_and_close() {
    let reject = accept(request("", &["GET /chat HTTP/1.0"])).unwrap_err();
    assert!(sent(&reject).starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\n"));
}

#[test]
fn rfc_e_29_another_method_is_405_with_allow() {
    let reject = accept(request("", &["PUT /chat HTTP/1.1"])).unwrap_err();
    assert!(sent(&reject).starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n"));
}

#[test]
fn rfc_e_30_no_upgrade_is_426() {
    assert_eq!(assert_rejected("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426), RejectReason::Upgrade);
}

#[test]
fn rfc_e_31_another_version_is_426_with_13() {
    let reject = accept(request("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 7"])).unwrap_err();
    assert!(reject.status() == 426 && sent(&reject).contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

#[test]
fn rfc_e_32_a_refused_origin_is_403() {
    assert_rejected(request("Origin", &["Origin: https://evil.example"]), 403);
}

#[test]
fn rfc_e_33_limits_are_414_and_431() {
    assert_rejected(request("", &[&format!("GET /{} HTTP/1.1", "a".repeat(8192))]), 414);
    assert_rejected(request("X", &[&format!("X: {}", "a".repeat(16 << 10))]), 431);
}

#[test]
fn rfc_e_34_repeated_key_version_and_origin_are_400() {
    for line in ["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==", "Sec-WebSocket-Version: 13", "Origin: http://a"] {
        let (name, _) = line.split_once(':').unwrap();
        assert_rejected(request(name, &[line, line]), 400);
    }
}

#[test]
fn rfc_e_35_lenient_line_forms_are_refused() {
    for line in ["X: a\r\n b", "X : a", "X: a\nY: b", "X: a\rb"] {
        assert_rejected(request("X", &[line]), 400);
    }
}

#[test]
fn rfc_e_36_data_behind_the_request_is_kept_as_frames() {
    let bytes = [REQUEST.as_bytes(), b"\x81\x82\x00\x00\x00\x00Hi"].concat();
    let mut input = &bytes[..];
    let request = server::Handshake::new(&CONFIG).receive(&mut input).unwrap().unwrap();
    assert_eq!(input.len(), 8);
    assert_received(request.accept(Origins::Same).unwrap().connect(&CONFIG).unwrap(), input, "Hi");
}

#[test]
fn rfc_e_37_data_behind_the_101_is_kept_as_frames() {
    let bytes = [RESPONSE.as_bytes(), b"\x88\x00"].concat();
    let mut input = &bytes[..];
    let mut pending = pending_with(offer(), &CONFIG);
    assert!(pending.receive(&mut input).unwrap().is_some());
    assert!(pending.receive(&mut input).unwrap().is_none(), "nothing more is taken");
    assert_eq!(input, b"\x88\x00");
}

#[test]
fn rfc_e_38_offers_with_odd_parameters_do_not_end_the_connection() {
    let offers = ["permessage-deflate; client_max_window_bits=\"99\"; x; x, permessage-deflate"];
    assert_eq!(extensions(&offers).unwrap().len(), 2);
}

#[test]
fn rfc_e_39_a_parameter_without_a_value_is_told_from_one_with() {
    let found = extensions(&["permessage-deflate; client_max_window_bits; server_max_window_bits=10"]).unwrap();
    assert_eq!(
        found,
        ["permessage-deflate [(\"client_max_window_bits\", None), (\"server_max_window_bits\", Some(\"10\"))]"]
    );
}

// Hostile inputs

#[test]
fn h1_large_heads_are_refused_before_parsing() {
    let mut handshake = server::Handshake::new(&CONFIG);
    let mut fed = 0;
    let reject = loop {
        fed += 1;
        if let Err(reject) = handshake.receive(&mut &b"a"[..]) {
            break reject;
        }
    };
    assert_eq!((reject.status(), fed), (431, (16 << 10) + 1));
    let lines = vec!["X: same"; 65];
    assert_rejected(request("X", &lines), 431);
    let error = verify(response("X", &lines)).unwrap_err();
    assert_eq!(error, HandshakeError::Head(HeadError::TooManyHeaders { limit: 64 }));
}

#[test]
fn h2_repeated_and_malformed_headers_are_refused() {
    for name in ["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
        for value in ["", "\u{e4}", "a, b", "\"", "\\"] {
            let line = format!("{name}: {value}");
            assert!(accept(request(name, &[&line])).is_err(), "{line}");
            assert!(accept(request(name, &[&line, &line])).is_err(), "{line}");
        }
    }
    for name in ["Upgrade", "Sec-WebSocket-Accept", "Connection"] {
        assert!(verify(response(name, &[&format!("{name}: \u{e4}")])).is_err());
    }
}

#[test]
fn h3_a_body_is_refused_but_an_empty_one_is_fine() {
    assert_rejected(request("X", &["Content-Length: 1"]), 400);
    assert_rejected(request("X", &["Transfer-Encoding: identity"]), 400);
    assert_accepted(request("X", &["Content-Length: 0"]));
}

#[test]
fn h4_words_are_compared_whole_and_without_case() {
    assert_rejected(request("Upgrade", &["Upgrade: notupgrade"]), 426);
    assert_rejected(request("Upgrade", &["Upgrade: websocketx"]), 426);
    assert_accepted(request("Connection", &["connection: keep-alive, upgrade"]));
    assert_accepted(request("Upgrade", &["upgrade: WEBSOCKET"]));
}

#[test]
fn h5_a_key_with_trailing_bits_is_accepted() {
    assert_eq!(&accept_key(b"AQIDBAUGBwgJCgsMDQ4PEC=="), b"OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
    assert_accepted(request("Sec-WebSocket-Key", &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="]));
}

#[test]
fn h6_a_response_beyond_the_offer_fails() {
    for (name, line) in [
        ("Sec-WebSocket-Accept", "Sec-WebSocket-Accept: OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
        ("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: other"),
        ("Sec-WebSocket-Extensions", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8"),
    ] {
        assert!(verify(response(name, &[line])).is_err(), "{line}");
    }
}

#[test]
fn h7_no_string_smuggles_a_line() {
    for bad in ["a\r\nX: y", "a\n", "a\r", "a\0", "\x7f"] {
        assert_url_error(&format!("ws://a/{bad}"), UrlError::Character);
        assert_url_error(&format!("ws://{bad}/"), UrlError::Character);
        assert_eq!(invalid(offer().header("X-A", bad)), InvalidArgument::HeaderValue("X-A".into()));
        assert_eq!(
            invalid(offer().header(bad, "x")),
            InvalidArgument::HeaderName(bad.get(..1).filter(|a| *a == "a").unwrap_or_default().into())
        );
        assert_eq!(invalid(offer().protocol(bad)), InvalidArgument::Subprotocol(bad.into()));
        assert_eq!(invalid(offer().origin(bad)), InvalidArgument::HeaderValue("Origin".into()));
        let reject = accepted(REQUEST).header("X-A", bad).connect(&CONFIG).unwrap_err();
        assert!(reject.status() == 500 && !sent(&reject).contains("X-A"));
        let reject = receive(REQUEST).unwrap().reject(401).header("X-B", "b").header("X-A", bad).body("secret");
        assert!(reject.status() == 500 && !sent(&reject).contains("X-") && !sent(&reject).contains("secret"));
        assert_eq!(reject.reason(), &RejectReason::InvalidArgument(InvalidArgument::HeaderValue("X-A".into())));
    }
}

#[test]
fn h8_after_a_refusal_nothing_is_a_frame_and_the_body_is_bounded() {
    let mut pending = pending_with(offer(), &CONFIG.max_body_size(10));
    let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n0123"[..];
    assert!(pending.receive(&mut input).unwrap().is_none() && input.is_empty());
    let mut input = &b"4567890\x81\x02Hi"[..];
    let Err(HandshakeError::Refused(refusal)) = pending.receive(&mut input) else { panic!() };
    assert_eq!((refusal.status(), refusal.body()), (200, &b"0123456789"[..]));
    assert!(input.is_empty());
    let mut input = RESPONSE.as_bytes();
    assert_eq!(pending.receive(&mut input).unwrap_err(), HandshakeError::Ended);
    assert!(input.is_empty());
    assert_eq!(pending.eof(), HandshakeError::Ended);
}

#[test]
fn h8_the_body_of_a_refusal_ends_as_http_says() {
    let body = |text: &str| {
        let mut pending = pending_with(offer(), &CONFIG);
        let result = pending.receive(&mut text.as_bytes()).map(drop).err();
        let is_complete = result.is_some();
        let HandshakeError::Refused(refusal) = result.unwrap_or_else(|| pending.eof()) else { panic!() };
        (String::from_utf8(refusal.body().to_vec()).unwrap(), is_complete)
    };
    let chunked = "HTTP/1.1 500 X\r\ntransfer-encoding: Chunked\r\n\r\n";
    for (text, expected, is_complete) in [
        ("HTTP/1.1 500 X\r\n\r\nuntil the end".to_owned(), "until the end", false),
        ("HTTP/1.0 500 X\r\n\r\nold".to_owned(), "old", false),
        ("HTTP/1.1 500\r\nContent-Length: 3\r\n\r\nabcd".to_owned(), "abc", true),
        ("HTTP/1.1 500 X\r\nContent-Length: 5\r\n\r\nabc".to_owned(), "abc", false),
        ("HTTP/1.1 500 X\r\nContent-Length: many\r\n\r\nabc".to_owned(), "abc", false),
        ("HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\nabc".to_owned(), "", true),
        (format!("{chunked}3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"), "abc0123456789", true),
        (format!("{chunked}3\r\nabcX"), "abc", true),
        (format!("{chunked}3\r\nab"), "ab", false),
        (format!("{chunked}fffffffffffffffffffff\r\nab"), "", true),
        (format!("{chunked}ffffffffffffffff\r\nab"), "ab", false),
        (format!("{chunked}{}", "0".repeat(100_000)), "", true),
        (format!("{chunked}1;{}", "x".repeat(100_000)), "", true),
    ] {
        assert_eq!(body(&text), (expected.to_owned(), is_complete), "{text}");
    }
}

#[test]
fn h10_cross_site_requests_are_refused() {
    for origin in [
        "null",
        "",
        "https://evil.example",
        "http://server.example.com.evil.example",
        "http://evilserver.example.com",
        "http://example.com",
        "http://server.example.com:81",
        "http://server.example.com@evil.example",
        "http://evil.example@server.example.com",
        "http://server.example.com/",
        "http://server.example.com.",
        "http://evil.example http://server.example.com",
        "server.example.com",
        "://server.example.com",
        "file://",
        "http://127.0.0.1",
        "chrome-extension://server.example.com",
        "http://server.example.com\u{e4}",
    ] {
        let text = request("Origin", &[&format!("Origin: {origin}"), "X-Forwarded-Host: evil.example"]);
        assert!(matches!(assert_rejected(&text, 403), RejectReason::Origin { .. }), "{origin}");
        assert!(receive(&text).unwrap().accept(Origins::Any).is_ok());
    }
    assert_accepted(request("Origin", &["Origin: HTTP://SERVER.example.com:80"]));
    let reject = accept(request("Origin", &["Origin: https://evil.example"])).unwrap_err();
    for text in [reject.to_string(), sent(&reject)] {
        for part in ["https://evil.example", "server.example.com", "Origins::List", "Origins::Any"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn h12_repeated_headers_stay_repeated() {
    let request = offer().header("Cookie", "a=1").header("cookie", "b=2").header("X", b"\xe4");
    let mut out = Vec::new();
    drop(request.write(nonce(), &CONFIG, &mut out).unwrap());
    let text = String::from_utf8_lossy(&out).into_owned();
    assert!(text.contains("\r\nCookie: a=1\r\ncookie: b=2\r\n"), "{text}");
    let text = answer(accepted(REQUEST).header("Set-Cookie", "a=1").header("Set-Cookie", "b=2"));
    assert!(text.ends_with("\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"), "{text}");
}

#[test]
fn h13_interim_responses_are_bounded() {
    let interim = |count| "HTTP/1.1 102 Processing\r\n\r\n".repeat(count) + RESPONSE;
    verify(interim(8)).unwrap();
    assert_failing(interim(9), HandshakeError::TooManyInterim { limit: 8 });
}

#[test]
fn c1_lists_cost_no_memory_and_no_second_look() {
    for value in
        [",".repeat(15_000), "a,".repeat(7_500), format!("a;b=\"{}\"", "\\c".repeat(7_400)), "a;b".repeat(4_000)]
    {
        let accept = accept(request("Origin", &[&format!("Sec-WebSocket-Extensions: {value}")]));
        assert!(accept.map_or(0, |accept| accept.extensions().count()) <= 7_500);
    }
}

#[test]
fn p3_secrets_are_not_shown() {
    let secret = "s3cret";
    let lines = [&*format!("Authorization: Basic {secret}"), &format!("Cookie: {secret}"), &format!("X-Key: {secret}")];
    let text = request("X", &lines).replace("/chat", &format!("/chat?token={secret}"));
    let received = receive(&text).unwrap();
    let accept = received.accept(Origins::Same).unwrap().header("Set-Cookie", secret);
    let reject = received.reject(403).header("Set-Cookie", secret).body(secret);
    let sending =
        client::Request::get(&format!("ws://a/?{secret}")).unwrap().header("Authorization", secret).protocol(secret);
    let line_as_name = invalid(sending.clone().header(&format!("Authorization: {secret}"), ""));
    let refused = verify(format!("HTTP/1.1 403 {secret}\r\nSet-Cookie: {secret}\r\nContent-Length: 6\r\n\r\n{secret}"))
        .unwrap_err();
    let origin = accept_err(&format!("Origin: https://user:{secret}@evil.example"));
    let shown = format!(
        "{received:?} {accept:?} {reject:?} {reject} {sending:?} {line_as_name:?} {line_as_name} {refused:?} {refused} {origin:?} {origin} {:?}",
        verify(response("Set-Cookie", &[&format!("Set-Cookie: {secret}")])).unwrap()
    );
    assert!(!shown.contains(secret), "{shown}");
}

fn accept_err(origin: &str) -> Reject {
    accept(request("Origin", &[origin])).unwrap_err()
}

// Cuts

/// Every kind of end, with something behind it.
fn messages() -> Vec<String> {
    let refusal = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nrest";
    vec![
        format!("\r\n{REQUEST}rest"),
        request("Upgrade", &[]) + "rest",
        request("X", &["X : y"]) + "rest",
        request("", &["GET /chat HTTP/1.0"]) + "rest",
        request("X", &["X: y\r\n z"]),
        REQUEST.replace("\r\nHost", "\nHost"),
        REQUEST.replace("chat\r\n", "ch\0at\r\n"),
        format!("HTTP/1.1 100 Continue\r\n\r\n{RESPONSE}rest"),
        response("Upgrade", &[]) + "rest",
        refusal.to_owned(),
        refusal.replace("Transfer-Encoding: chunked", "Content-Length: 7"),
    ]
}

#[test]
fn cuts_of_any_kind_give_the_same_result() {
    for message in messages() {
        for seed in 0..64 {
            let data = [&[seed], message.as_bytes()].concat();
            fuzz_handshake::request(&data);
            fuzz_handshake::response(&data);
        }
    }
}

/// Bytes that mean something to a head, put where they do not belong.
#[test]
fn damaged_messages_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let bytes = b"\r\n\0 \t:;,=\"\\/@#[]%?0fA\x7f\x80\xff";
    for message in messages() {
        for _ in 0..1_000 {
            let mut data = [b"?", message.as_bytes()].concat();
            for _ in 0..=draw(4) {
                let (at, byte) = (draw(data.len()), bytes[draw(bytes.len())]);
                if draw(2) == 0 { data[at] = byte } else { data.insert(at, byte) }
            }
            fuzz_handshake::request(&data);
            fuzz_handshake::response(&data);
        }
    }
}

#[test]
fn every_split_in_two_gives_the_same_result() {
    for message in messages() {
        let outcome = |at: usize| {
            let (first, second) = message.as_bytes().split_at(at);
            let mut handshake = server::Handshake::new(&CONFIG);
            let mut pending = pending_with(offer(), &CONFIG);
            let mut left = (second.to_vec(), second.to_vec());
            let mut requests = Vec::new();
            let mut responses = Vec::new();
            let (mut to_server, mut to_client) = (first, first);
            requests.push(format!("{:?}", handshake.receive(&mut to_server)));
            responses.push(format!("{:?}", pending.receive(&mut to_client)));
            left.0.splice(..0, to_server.iter().copied());
            left.1.splice(..0, to_client.iter().copied());
            let (mut to_server, mut to_client) = (&left.0[..], &left.1[..]);
            if requests == ["Ok(None)"] {
                requests = vec![format!("{:?}", handshake.receive(&mut to_server))];
            } else if requests[0].starts_with("Err") {
                to_server = &[];
            }
            if responses == ["Ok(None)"] {
                responses = vec![format!("{:?}", pending.receive(&mut to_client))];
            } else if responses[0].starts_with("Err") {
                to_client = &[];
            }
            (requests, responses, to_server.to_vec(), to_client.to_vec())
        };
        let whole = outcome(message.len());
        (0..message.len()).for_each(|at| assert_eq!(outcome(at), whole, "cut at {at} of {message:?}"));
    }
}

#[test]
fn a_closed_stream_is_told() {
    let mut pending = pending_with(offer(), &CONFIG);
    assert_eq!(pending.eof(), HandshakeError::Closed);
    assert_eq!(pending.eof(), HandshakeError::Ended);
}

#[test]
fn all_values_can_be_moved_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<server::Handshake>();
    check::<server::Request>();
    check::<Accept>();
    check::<Reject>();
    check::<client::Request>();
    check::<Pending>();
    check::<Response>();
    check::<HandshakeError>();
}
