//! The negotiation of permessage-deflate, rule by rule (RFC 7692 §5, §7.1), over bytes and over the types of `http`.
//! What comes of it, compressed messages, is tested elsewhere.
#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye::client::{self, Pending, Response};
use sockeye::deflate::{Parameters, WindowBits};
use sockeye::handshake::{ParametersError, RejectReason};
use sockeye::server::{self, Accept};
use sockeye::{Agreed, Config, Deflate, HandshakeError, Origins, Reject, blocking, tokio};

/// Everything as RFC 7692 has it without parameters.
const PLAIN: Parameters = Parameters::DEFAULT;
/// As this crate has it by default.
const FORGETFUL: Parameters =
    Parameters { server_no_context_takeover: true, client_no_context_takeover: true, ..PLAIN };

const EVERY_WINDOW: [WindowBits; 8] = [
    WindowBits::Bits8,
    WindowBits::Bits9,
    WindowBits::Bits10,
    WindowBits::Bits11,
    WindowBits::Bits12,
    WindowBits::Bits13,
    WindowBits::Bits14,
    WindowBits::Bits15,
];

fn bits(bits: u8) -> WindowBits {
    WindowBits::from_bits(bits).unwrap()
}

fn server_bits(count: u8) -> Parameters {
    Parameters { server_max_window_bits: bits(count), ..PLAIN }
}

fn client_bits(count: u8) -> Parameters {
    Parameters { client_max_window_bits: bits(count), ..PLAIN }
}

fn settings(wishes: Parameters) -> Deflate {
    Deflate::DEFAULT.parameters(wishes)
}

fn config(wishes: Parameters) -> Config {
    Config::DEFAULT.deflate(Some(settings(wishes)))
}

// The server's side

fn request(lines: &[&str]) -> server::Request {
    let lines: String = lines.iter().map(|line| format!("Sec-WebSocket-Extensions: {line}\r\n")).collect();
    let head = format!(
        "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n{lines}\r\n"
    );
    server::Handshake::new(&Config::DEFAULT).receive(&mut head.as_bytes()).unwrap().unwrap()
}

fn accept(lines: &[&str]) -> Result<Accept, Reject> {
    request(lines).accept(Origins::Same)
}

/// The extensions of a response, and nothing if it has none.
fn extensions_of(response: &[u8]) -> Option<String> {
    let response = str::from_utf8(response).unwrap();
    let mut lines = response.lines().filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    let found = lines.next().map(str::to_owned);
    assert_eq!(lines.next(), None, "one line at most");
    found
}

/// What a server with these wishes answers to these lines of offers.
#[track_caller]
fn answer_to(wishes: Parameters, lines: &[&str]) -> Option<String> {
    let mut connection = accept(lines).unwrap().connect(&config(wishes)).expect("an answer, whatever is offered");
    let answer = extensions_of(bytes::Buf::chunk(connection.writer().outbox()));
    let agreed = connection.agreed().deflate();
    let shown = agreed.map(|agreed| agreed.to_string());
    assert_eq!(shown, answer.as_ref().map(|answer| answer.replace("; server_max_window_bits=15", "")));

    let (response, over_http) = accept(lines).unwrap().deflate(&config(wishes)).into_http().unwrap();
    let header = response.headers().get("sec-websocket-extensions").map(|value| value.to_str().unwrap());
    assert_eq!((header, over_http.deflate()), (answer.as_deref(), agreed), "the same through `http`");
    answer
}

#[track_caller]
fn assert_answer(wishes: Parameters, offers: &str, answer: &str) {
    assert_eq!(answer_to(wishes, &[offers]).unwrap_or_default(), answer, "to {offers}");
}

/// An offer that is declined, so that the next one is taken.
#[track_caller]
fn assert_declined(offer: &str) {
    assert_answer(PLAIN, offer, "");
    assert_answer(PLAIN, &format!("{offer}, permessage-deflate; client_max_window_bits=9"), CLIENT_9);
}

const CLIENT_9: &str = "permessage-deflate; client_max_window_bits=9";

// The client's side

fn ask(config: &Config) -> (String, Pending) {
    let mut out = Vec::new();
    let request = client::Request::get("ws://example.com/chat").unwrap().protocol("chat");
    let pending = request.write(*b"the sample nonce", config, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), pending)
}

#[track_caller]
fn offer_of(wishes: Parameters) -> String {
    extensions_of(ask(&config(wishes)).0.as_bytes()).expect("an offer")
}

fn response(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("Sec-WebSocket-Extensions: {line}\r\n")).collect();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{lines}\r\n"
    )
}

fn receive(config: &Config, lines: &[&str]) -> Result<Agreed, HandshakeError> {
    let received = ask(config).1.receive(&mut response(lines).as_bytes());
    let agreed = received.map(|response| response.expect("the whole response").agreed().clone());

    let mut over_http = http::Response::builder().status(101).header("Upgrade", "websocket");
    over_http =
        over_http.header("Connection", "Upgrade").header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let over_http = lines.iter().fold(over_http, |response, line| response.header("Sec-WebSocket-Extensions", *line));
    let request = client::Request::get("ws://example.com/chat").unwrap();
    let (_, pending) = request.into_http(*b"the sample nonce", config).unwrap();
    assert_eq!(agreed, pending.verify(&over_http.body(()).unwrap()), "the same through `http`");
    agreed
}

/// What a client with these wishes makes of this answer.
fn judge(wishes: Parameters, answer: &str) -> Result<Option<Parameters>, HandshakeError> {
    receive(&config(wishes), &[answer]).map(|agreed| agreed.deflate())
}

#[track_caller]
fn assert_agreed(wishes: Parameters, answer: &str, agreed: Parameters) {
    assert_eq!(judge(wishes, answer), Ok(Some(agreed)), "{answer}");
}

#[track_caller]
fn assert_failing(wishes: Parameters, answer: &str, error: ParametersError) {
    assert_eq!(judge(wishes, answer), Err(HandshakeError::ExtensionParameters(error)), "{answer}");
}

/// Both ends of one handshake: what each has agreed on.
fn shake_hands(client: &Config, server: &Config) -> (Agreed, Agreed) {
    let (sent, mut pending) = ask(client);
    let request = server::Handshake::new(server).receive(&mut sent.as_bytes()).unwrap().unwrap();
    let mut at_server = request.accept(Origins::Same).unwrap().select(&["chat"]).connect(server).unwrap();
    let agreed = at_server.agreed().clone();
    let mut back = bytes::Buf::chunk(at_server.writer().outbox());
    let response: Response = pending.receive(&mut back).unwrap().unwrap();
    assert_eq!(response.connect(client).agreed(), response.agreed());
    (response.agreed().clone(), agreed)
}

// What others send

#[test]
fn offers_of_other_implementations_are_answered() {
    const FORGET: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let forget = |rest: &str| format!("{FORGET}{rest}");
    for (offers, plainly, forgetfully) in [
        // Chromium, dart:io, Node's ws and Python's websockets
        ("permessage-deflate; client_max_window_bits", "permessage-deflate", FORGET.to_owned()),
        // Firefox, and Safari since 15
        ("permessage-deflate", "permessage-deflate", FORGET.to_owned()),
        // Safari before: another extension, which is no alias
        ("x-webkit-deflate-frame", "", String::new()),
        ("deflate-frame, x-webkit-deflate-frame; no_context_takeover", "", String::new()),
        // Python's websockets, tuned
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            forget("; server_max_window_bits=12; client_max_window_bits=12"),
        ),
        // Node's ws with all of its options
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=11",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=11",
            forget("; server_max_window_bits=10; client_max_window_bits=11"),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover",
            FORGET.to_owned(),
        ),
        // libwebsockets
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            "permessage-deflate; client_no_context_takeover",
            FORGET.to_owned(),
        ),
        // IXWebSocket
        (
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15",
            forget("; server_max_window_bits=15"),
        ),
        // RFC 7692 §7.1.3, and §5.2 with an algorithm that nobody has
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate; \
             client_max_window_bits",
            "permessage-deflate; server_max_window_bits=10",
            forget("; server_max_window_bits=10"),
        ),
        ("permessage-foo; use_y, permessage-foo, permessage-deflate", "permessage-deflate", FORGET.to_owned()),
        // Autobahn's 13.3 and 13.5 as they were, with a window that none can keep to
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_max_window_bits=8",
            "",
            String::new(),
        ),
        // Autobahn's 13.4
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_max_window_bits=15",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=15",
            forget("; server_max_window_bits=15"),
        ),
        // Autobahn's 13.7, then and now
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover; \
             server_max_window_bits=8, permessage-deflate; client_no_context_takeover; client_max_window_bits; \
             server_no_context_takeover, permessage-deflate; client_no_context_takeover; client_max_window_bits",
            FORGET,
            FORGET.to_owned(),
        ),
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover; \
             server_max_window_bits=9, permessage-deflate; client_no_context_takeover; client_max_window_bits; \
             server_no_context_takeover, permessage-deflate; client_no_context_takeover; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
            forget("; server_max_window_bits=9"),
        ),
    ] {
        assert_answer(PLAIN, offers, plainly);
        assert_answer(FORGETFUL, offers, &forgetfully);
    }
}

#[test]
fn answers_of_other_implementations_are_understood() {
    let twelve = Parameters { server_max_window_bits: bits(12), client_max_window_bits: bits(12), ..PLAIN };
    for (wishes, answer, agreed) in [
        // Node's ws, dart:io, and gorilla's for Go
        (PLAIN, "permessage-deflate", PLAIN),
        (PLAIN, "permessage-deflate; client_max_window_bits=15", PLAIN),
        (PLAIN, "permessage-deflate; server_no_context_takeover; client_no_context_takeover", FORGETFUL),
        (FORGETFUL, "permessage-deflate; client_no_context_takeover; server_no_context_takeover", FORGETFUL),
        // Python's websockets
        (PLAIN, "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", twelve),
        // any form that the grammar has
        (PLAIN, ",permessage-deflate ;server_max_window_bits = \"1\\2\"\t; client_max_window_bits=\"12\" ,,", twelve),
    ] {
        assert_agreed(wishes, answer, agreed);
    }
}

// RFC 7692 §5: the negotiation

#[test]
fn rfc_7692_5_1_a_client_offers_what_it_wishes() {
    for (wishes, offer) in [
        (PLAIN, "permessage-deflate; client_max_window_bits"),
        (
            FORGETFUL,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (server_bits(10), "permessage-deflate; server_max_window_bits=10; client_max_window_bits"),
        (client_bits(9), "permessage-deflate; client_max_window_bits=9"),
        (
            Parameters { client_no_context_takeover: true, client_max_window_bits: bits(8), ..server_bits(14) },
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=14; client_max_window_bits=8",
        ),
    ] {
        assert_eq!(offer_of(wishes), offer);
    }
    let (sent, _) = ask(&config(PLAIN));
    let next_to_the_protocol = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; ";
    assert!(sent.contains(next_to_the_protocol), "{sent}");
    let request = client::Request::get("ws://example.com/").unwrap();
    let (request, _) = request.into_http([0; 16], &config(FORGETFUL)).unwrap();
    assert_eq!(request.headers()["sec-websocket-extensions"], offer_of(FORGETFUL));
}

#[test]
fn rfc_7692_5_1_a_server_agrees_to_the_first_acceptable_offer_and_to_one_only() {
    let lines =
        ["foo; bar", "permessage-deflate; x, permessage-deflate; server_max_window_bits=11", "permessage-deflate"];
    assert_eq!(answer_to(PLAIN, &lines).as_deref(), Some("permessage-deflate; server_max_window_bits=11"));
    let lines = ["permessage-deflate", "permessage-deflate; server_max_window_bits=11"];
    assert_eq!(answer_to(PLAIN, &lines).as_deref(), Some("permessage-deflate"));
    for none in [&[][..], &["foo"], &["permessage-deflate-2, permessage, deflate"], &["Permessage-Deflate"]] {
        assert_eq!(answer_to(PLAIN, none), None);
    }
    let accept = accept(&["permessage-deflate; client_max_window_bits"]).unwrap().select(&["chat"]);
    let mut out = Vec::new();
    accept.deflate(&config(client_bits(9))).write(&mut out).unwrap();
    let sent = String::from_utf8(out).unwrap();
    let next_to_the_protocol = format!("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: {CLIENT_9}\r\n");
    assert!(sent.contains(&next_to_the_protocol), "{sent}");
}

#[test]
fn rfc_7692_5_1_the_choices_of_a_server_come_in_any_order() {
    type Step = fn(Accept) -> Accept;
    let offers = ["permessage-deflate; client_max_window_bits"];
    let deflate: Step = |accept| accept.deflate(&config(client_bits(9)));
    let steps: [(&[Step], Option<&str>, bool); 10] = [
        (&[], None, false),
        (&[deflate], None, true),
        (&[|accept| accept.select(&["chat"]), deflate], Some("chat"), true),
        (&[deflate, |accept| accept.select(&["chat"])], Some("chat"), true),
        (&[deflate, |accept| accept.select(&["other"])], None, true),
        (&[deflate, |accept| accept.subprotocol("chat")], Some("chat"), true),
        (&[|accept| accept.subprotocol("chat"), deflate, |accept| accept.select(&[])], None, true),
        (&[deflate, |accept| accept.deflate(&Config::DEFAULT)], None, false),
        (&[|accept| accept.deflate(&Config::DEFAULT), deflate], None, true),
        (&[|accept| accept.deflate(&config(PLAIN)), deflate], None, true),
    ];
    for (steps, subprotocol, is_compressed) in steps {
        let accept = steps.iter().fold(accept(&offers).unwrap(), |accept, step| step(accept));
        assert_eq!(accept.extensions().count(), 1, "the offers stay readable");
        let shown = accept.agreed().clone();
        let mut out = Vec::new();
        let agreed = accept.write(&mut out).unwrap();
        assert_eq!(shown, agreed);
        assert_eq!(agreed.subprotocol(), subprotocol);
        assert_eq!(agreed.deflate(), is_compressed.then_some(client_bits(9)));
        assert_eq!(extensions_of(&out).as_deref(), is_compressed.then_some(CLIENT_9));
    }
    // `connect` agrees by itself, unless it was decided before.
    let connect = |accept: Accept, config: Config| accept.connect(&config).unwrap().agreed().deflate();
    let fresh = || accept(&offers).unwrap();
    assert_eq!(connect(fresh(), config(server_bits(9))), Some(server_bits(9)));
    assert_eq!(connect(fresh().select(&["chat"]), config(PLAIN)), Some(PLAIN));
    assert_eq!(connect(deflate(fresh()), config(server_bits(9))), Some(client_bits(9)));
    assert_eq!(connect(fresh().deflate(&Config::DEFAULT), config(PLAIN)), None);
}

#[test]
fn rfc_7692_5_2_a_client_fails_on_a_configuration_that_it_did_not_offer() {
    let (_, mut pending) = ask(&config(client_bits(10)));
    let bytes = response(&["permessage-deflate; client_max_window_bits=11"]) + "\u{1}frames";
    let mut input = bytes.as_bytes();
    let error = HandshakeError::ExtensionParameters(ParametersError::TooLarge("client_max_window_bits"));
    assert_eq!(pending.receive(&mut input).unwrap_err(), error);
    assert!(input.is_empty(), "nothing of it is a frame");
    assert_eq!(pending.receive(&mut input).unwrap_err(), HandshakeError::Ended);
    for answer in ["foo", "permessage-deflate, foo", "foo; x, permessage-deflate", "Permessage-Deflate"] {
        assert_eq!(judge(PLAIN, answer), Err(HandshakeError::UnofferedExtension), "{answer}");
    }
    for answer in ["permessage-deflate, permessage-deflate", "permessage-deflate; x, permessage-deflate"] {
        assert_failing(PLAIN, answer, ParametersError::RepeatedExtension);
    }
    let invalid = Err(HandshakeError::InvalidHeader("Sec-WebSocket-Extensions"));
    assert_eq!(receive(&config(PLAIN), &["permessage-deflate", "permessage-deflate"]), invalid, "§11.3.2 of RFC 6455");
    assert_eq!(receive(&config(PLAIN), &[]), Ok(Agreed::default()), "a server may agree to nothing");
}

#[test]
fn nothing_is_negotiated_without_a_configuration() {
    let without = Config::DEFAULT;
    assert_eq!(extensions_of(ask(&without).0.as_bytes()), None);
    for answer in ["permessage-deflate", "permessage-deflate; x", "permessage-deflate, permessage-deflate"] {
        assert_eq!(receive(&without, &[answer]), Err(HandshakeError::UnofferedExtension));
    }
    let offers = ["permessage-deflate; client_max_window_bits"];
    let mut connection = accept(&offers).unwrap().connect(&without).unwrap();
    assert_eq!(extensions_of(bytes::Buf::chunk(connection.writer().outbox())), None);
    assert_eq!(connection.agreed().deflate(), None);
    let mut out = Vec::new();
    assert_eq!(accept(&offers).unwrap().write(&mut out).unwrap().deflate(), None);
    assert_eq!(extensions_of(&out), None);
    let (response, agreed) = accept(&offers).unwrap().into_http().unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions") && agreed.deflate().is_none());
    for (client, server) in [(without, without), (config(PLAIN), without), (without, config(PLAIN))] {
        let (at_client, at_server) = shake_hands(&client, &server);
        assert_eq!((at_client.deflate(), at_server.deflate()), (None, None));
    }
}

#[test]
fn an_extended_connect_negotiates_in_the_response_of_its_stack() {
    let accept = || {
        let request = http::Request::builder().method(http::Method::CONNECT).version(http::Version::HTTP_2);
        let request = request.uri("https://example.com/chat").header("Sec-WebSocket-Version", "13");
        let request = request.header("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        server::Request::from_http_connect(&parts, "websocket").unwrap().accept(Origins::Same).unwrap()
    };
    let (response, agreed) = accept().deflate(&config(FORGETFUL)).into_http().unwrap();
    let expected = Parameters { server_max_window_bits: bits(10), ..FORGETFUL };
    assert_eq!(response.headers()["sec-websocket-extensions"], expected.to_string());
    assert_eq!(agreed.deflate(), Some(expected));
    let untold = accept().connect(&config(PLAIN)).unwrap();
    assert_eq!(untold.agreed().deflate(), None, "nothing is agreed to that the client is not told");
    let told = accept().deflate(&config(PLAIN)).connect(&config(PLAIN)).unwrap();
    assert_eq!(told.agreed().deflate(), Some(server_bits(10)));
}

#[test]
fn drivers_negotiate_as_their_configuration_says() {
    let agreed = Parameters { server_max_window_bits: bits(11), client_max_window_bits: bits(10), ..FORGETFUL };
    let client = config(Parameters { server_max_window_bits: bits(11), ..FORGETFUL });
    let server = config(Parameters { server_max_window_bits: bits(12), ..client_bits(10) });
    let request = || client::Request::get("ws://example.com/").unwrap();
    let answer = |request: server::Request| request.accept(Origins::Same);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let at_client = std::thread::spawn(move || {
        let (ws, response) = blocking::WebSocket::client_with(stream, request(), &client).unwrap();
        assert_eq!(ws.agreed(), response.agreed());
        ws.agreed().deflate()
    });
    let at_server = blocking::WebSocket::accept_with(listener.accept().unwrap().0, &server, answer).unwrap();
    assert_eq!((at_client.join().unwrap(), at_server.agreed().deflate()), (Some(agreed), Some(agreed)));

    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (near, far) = ::tokio::io::duplex(1 << 12);
        let (at_client, at_server) = ::tokio::join!(
            tokio::WebSocket::client_with(near, request(), &client),
            tokio::WebSocket::accept_with(far, &server, answer)
        );
        let (at_client, at_server) = (at_client.unwrap().0, at_server.unwrap());
        assert_eq!((at_client.agreed().deflate(), at_server.agreed().deflate()), (Some(agreed), Some(agreed)));
    });
}

// RFC 7692 §7.1: parameters

/// Elements that neither an offer nor an answer may be.
fn broken_elements() -> Vec<(String, ParametersError)> {
    use ParametersError::*;
    let mut broken = vec![
        ("foo".to_owned(), Unknown("foo".into())),
        ("foo=10".to_owned(), Unknown("foo".into())),
        ("Server_No_Context_Takeover".to_owned(), Unknown("Server_No_Context_Takeover".into())),
        ("no_context_takeover".to_owned(), Unknown("no_context_takeover".into())),
        ("server_max_window_bits=10; foo".to_owned(), Unknown("foo".into())),
        ("server_max_window_bits".to_owned(), InvalidValue("server_max_window_bits")),
        (format!("{}=1", "x".repeat(300)), Unknown(format!("{}...", "x".repeat(200)).into())),
    ];
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        broken.push((format!("{name}; {name}"), Repeated(name)));
        for value in ["true", "false", "0", "1", "15", "\"\\1\"", "x"] {
            broken.push((format!("{name}={value}"), InvalidValue(name)));
        }
    }
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        broken.push((format!("{name}=10; {name}=10"), Repeated(name)));
        broken.push((format!("{name}=10; server_no_context_takeover; {name}=9"), Repeated(name)));
        for value in WRONG_BITS {
            broken.push((format!("{name}={value}"), InvalidValue(name)));
            broken.push((format!("{name}=\"{value}\""), InvalidValue(name)));
        }
    }
    broken
}

const WRONG_BITS: [&str; 24] = [
    "7",
    "16",
    "0",
    "1",
    "08",
    "09",
    "010",
    "0008",
    "+9",
    "-9",
    "+8",
    "9.0",
    "9e0",
    "0x9",
    "0xf",
    "1e1",
    "80",
    "150",
    "264",
    "4294967305",
    "18446744073709551625",
    "x",
    "true",
    "~",
];

#[test]
fn rfc_7692_7_1_1_a_server_declines_what_is_not_in_order_and_goes_on() {
    for (element, _) in broken_elements() {
        assert_declined(&format!("permessage-deflate; {element}"));
    }
    assert_declined("permessage-deflate; client_max_window_bits; client_max_window_bits=10");
    assert_declined("permessage-deflate; client_max_window_bits; client_max_window_bits");
    assert_declined("permessage-deflate; server_max_window_bits=8");
}

#[test]
fn rfc_7692_7_1_2_a_client_fails_on_what_is_not_in_order() {
    for (element, error) in broken_elements() {
        assert_failing(PLAIN, &format!("permessage-deflate; {element}"), error);
    }
}

#[test]
fn rfc_7692_7_1_3_no_context_takeover_has_no_value() {
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        assert_answer(PLAIN, &format!("permessage-deflate; {name}"), &format!("permessage-deflate; {name}"));
        for value in ["=1", "=\"1\"", " = true"] {
            let element = format!("permessage-deflate; {name}{value}");
            assert_declined(&element);
            assert_failing(PLAIN, &element, ParametersError::InvalidValue(name));
        }
    }
    for wishes in [PLAIN, FORGETFUL] {
        assert!(!offer_of(wishes).contains("takeover="), "and none is sent");
    }
}

#[test]
fn rfc_7692_7_1_4_and_d3_window_bits_are_8_to_15_in_decimal_without_leading_zeros() {
    for name in ["server_max_window_bits", "client_max_window_bits"] {
        for window in EVERY_WINDOW {
            let count = window.bits();
            for value in [format!("{count}"), format!("\"{count}\""), format!("\"\\{count}\""), format!(" {count} ")] {
                let element = format!("permessage-deflate; {name}={value}");
                let agreed = if name.starts_with('s') { server_bits(count) } else { client_bits(count) };
                assert_agreed(PLAIN, &element, agreed);
                match (name, count) {
                    ("server_max_window_bits", 8) => assert_declined(&element),
                    ("client_max_window_bits", 15) => assert_answer(PLAIN, &element, "permessage-deflate"),
                    _ => assert_answer(PLAIN, &element, &format!("permessage-deflate; {name}={count}")),
                }
            }
        }
        for value in WRONG_BITS.into_iter().flat_map(|value| [value.to_owned(), format!("\"{value}\"")]) {
            let element = format!("permessage-deflate; {name}={value}");
            assert_declined(&element);
            assert_failing(PLAIN, &element, ParametersError::InvalidValue(name));
        }
    }
}

#[test]
fn d3_values_beyond_the_grammar_are_a_malformed_header() {
    for value in ["", "\"\"", "\" 9\"", "\"9 \"", "\"+ 9\"", "9 9", "\"9", "9\"", "9;", "9=9", "٩", "\"٩\"", "\t"] {
        for name in ["server_max_window_bits", "client_max_window_bits", "client_no_context_takeover"] {
            let element = format!("permessage-deflate; {name}={value}");
            let reject = accept(&[&element]).expect_err(&element);
            assert_eq!(reject.reason(), &RejectReason::InvalidHeader("Sec-WebSocket-Extensions"));
            let received = ask(&config(PLAIN)).1.receive(&mut response(&[&element]).as_bytes());
            assert_eq!(received.unwrap_err(), HandshakeError::InvalidHeader("Sec-WebSocket-Extensions"), "{element}");
        }
    }
}

// RFC 7692 §7.1.1: context takeover

#[test]
fn rfc_7692_7_1_1_1_1_the_servers_promise_to_forget_is_in_its_answer_and_read_there() {
    const ANSWER: &str = "permessage-deflate; server_no_context_takeover";
    let wishes = Parameters { server_no_context_takeover: true, ..PLAIN };
    assert_answer(PLAIN, ANSWER, ANSWER);
    assert_answer(wishes, "permessage-deflate", ANSWER); // unasked
    assert_answer(wishes, ANSWER, ANSWER);
    assert_agreed(PLAIN, ANSWER, wishes);
    assert_agreed(wishes, ANSWER, wishes);
    assert_failing(wishes, "permessage-deflate", ParametersError::Missing("server_no_context_takeover"));
}

#[test]
fn rfc_7692_7_1_1_1_2_an_offer_that_asks_the_server_to_forget_is_accepted() {
    for offer in [
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        "permessage-deflate;server_no_context_takeover;client_no_context_takeover;server_max_window_bits=15",
    ] {
        let agreed = accept(&[offer]).unwrap().connect(&config(PLAIN)).unwrap().agreed().deflate().unwrap();
        assert!(agreed.server_no_context_takeover, "{offer}");
    }
}

#[test]
fn rfc_7692_7_1_1_2_1_a_client_forgets_where_the_answer_or_its_own_offer_says_so() {
    const ANSWER: &str = "permessage-deflate; client_no_context_takeover";
    let wishes = Parameters { client_no_context_takeover: true, ..PLAIN };
    assert_agreed(PLAIN, ANSWER, wishes); // unasked
    assert_agreed(wishes, ANSWER, wishes);
    assert_agreed(wishes, "permessage-deflate", wishes); // its hint binds itself
    assert_answer(PLAIN, ANSWER, ANSWER);
    assert_answer(wishes, "permessage-deflate", ANSWER);
}

// RFC 7692 §7.1.2: windows

#[test]
fn rfc_7692_7_1_2_1_1_an_accepted_limit_on_the_servers_window_is_answered_with_no_more() {
    for wish in EVERY_WINDOW {
        for asked in EVERY_WINDOW {
            let offer = format!("permessage-deflate; server_max_window_bits={}", asked.bits());
            let expected = match asked {
                WindowBits::Bits8 => String::new(),
                _ => format!("permessage-deflate; server_max_window_bits={}", wish.min(asked).bits().max(9)),
            };
            assert_answer(server_bits(wish.bits()), &offer, &expected);
        }
        let unasked = match wish {
            WindowBits::Bits15 => "permessage-deflate".to_owned(),
            _ => format!("permessage-deflate; server_max_window_bits={}", wish.bits().max(9)),
        };
        assert_answer(server_bits(wish.bits()), "permessage-deflate", &unasked);
    }
}

#[test]
fn rfc_7692_7_1_2_1_2_a_client_takes_any_limit_of_the_server_within_its_offer() {
    for wish in EVERY_WINDOW {
        let wishes = server_bits(wish.bits());
        for answered in EVERY_WINDOW {
            let answer = format!("permessage-deflate; server_max_window_bits={}", answered.bits());
            if answered <= wish {
                assert_agreed(wishes, &answer, server_bits(answered.bits()));
            } else {
                assert_failing(wishes, &answer, ParametersError::TooLarge("server_max_window_bits"));
            }
        }
        if wish < WindowBits::MAX {
            assert_failing(wishes, "permessage-deflate", ParametersError::Missing("server_max_window_bits"));
        }
    }
}

#[test]
fn rfc_7692_7_1_2_2_1_the_clients_limit_may_lack_its_value_in_an_offer_only() {
    const ELEMENT: &str = "permessage-deflate; client_max_window_bits";
    assert_answer(PLAIN, ELEMENT, "permessage-deflate");
    assert_answer(client_bits(10), ELEMENT, "permessage-deflate; client_max_window_bits=10");
    assert_failing(PLAIN, ELEMENT, ParametersError::InvalidValue("client_max_window_bits"));
    assert_eq!(offer_of(PLAIN), ELEMENT);
}

#[test]
fn rfc_7692_7_1_2_2_2_the_clients_limit_is_answered_within_its_offer_or_not_at_all() {
    for wish in EVERY_WINDOW {
        let wishes = client_bits(wish.bits());
        assert_answer(wishes, "permessage-deflate", "permessage-deflate");
        let agreed = accept(&["permessage-deflate"]).unwrap().connect(&config(wishes)).unwrap().agreed().deflate();
        assert_eq!(agreed, Some(PLAIN), "a client that cannot be limited has the largest window");
        for limit in EVERY_WINDOW {
            let offer = format!("permessage-deflate; client_max_window_bits={}", limit.bits());
            assert_answer(wishes, &offer, &client_bits(wish.min(limit).bits()).to_string());
            if limit <= wish {
                assert_agreed(wishes, &offer, client_bits(limit.bits())); // as an answer, now
            } else {
                assert_failing(wishes, &offer, ParametersError::TooLarge("client_max_window_bits"));
            }
        }
    }
}

#[test]
fn rfc_7692_7_1_2_2_3_a_client_keeps_to_the_window_that_it_offered() {
    for wish in EVERY_WINDOW {
        assert_agreed(client_bits(wish.bits()), "permessage-deflate", client_bits(wish.bits()));
    }
    assert_agreed(PLAIN, "permessage-deflate; client_max_window_bits=8", client_bits(8));
}

#[test]
fn every_error_says_what_is_wrong_and_what_to_do() {
    use ParametersError::*;
    for (error, said) in [
        (RepeatedExtension, "it agrees to more than one offer"),
        (Unknown("foo".into()), "there is no parameter \"foo\""),
        (Repeated("server_max_window_bits"), "`server_max_window_bits` is repeated"),
        (InvalidValue("client_max_window_bits"), "the value of `client_max_window_bits` is missing, superfluous or"),
        (Missing("server_no_context_takeover"), "`server_no_context_takeover` was asked for and is missing"),
        (TooLarge("client_max_window_bits"), "`client_max_window_bits` is larger than what was offered"),
    ] {
        let message = HandshakeError::from(error).to_string();
        assert!(message.starts_with("the server's answer to the offer of permessage-deflate is wrong: "), "{message}");
        assert!(message.contains(said) && message.ends_with("; fix the server, or offer none"), "{message}");
    }
}

// Anything

fn window() -> impl Strategy<Value = WindowBits> {
    (8..=15_u8).prop_map(bits)
}

fn parameters() -> impl Strategy<Value = Parameters> {
    (any::<bool>(), any::<bool>(), window(), window()).prop_map(|(server_forgets, client_forgets, server, client)| {
        Parameters {
            server_no_context_takeover: server_forgets,
            client_no_context_takeover: client_forgets,
            server_max_window_bits: server,
            client_max_window_bits: client,
        }
    })
}

/// Elements that follow the grammar, and mostly mean something.
fn grammatical_list() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => Just("server_no_context_takeover".to_owned()),
        4 => Just("client_no_context_takeover".to_owned()),
        4 => Just("server_max_window_bits".to_owned()),
        4 => Just("client_max_window_bits".to_owned()),
        1 => "[!#-'*+\\-.^-z|~0-9A-Z]{1,12}",
    ];
    let value = prop_oneof![
        4 => Just(String::new()),
        4 => (7..17_u8).prop_map(|bits| format!("={bits}")),
        2 => (8..16_u8).prop_map(|bits| format!(" = \"\\{bits}\"")),
        1 => "=[!#-'*+\\-.^-z|~0-9A-Z]{1,30}",
        1 => "=\"(\\\\?[!#-'*+\\-.^-z|~0-9A-Z]){1,5}\"",
    ];
    let parameter = (name, value).prop_map(|(name, value)| format!(" ;{name}{value}"));
    let extension = prop_oneof![5 => Just("permessage-deflate".to_owned()), 1 => "[!#-'*+\\-.^-z|~0-9A-Z]{1,20}"];
    let element = (extension, vec(parameter, 0..4)).prop_map(|(name, parameters)| name + &parameters.concat());
    vec(element, 1..4).prop_map(|elements| elements.join(" ,, "))
}

proptest! {
    #[test]
    fn our_client_and_our_server_always_agree_on_the_same(at_client in parameters(), at_server in parameters()) {
        let (client, server) = shake_hands(&config(at_client), &config(at_server));
        prop_assert_eq!(&client, &server);
        let Some(agreed) = client.deflate() else {
            prop_assert_eq!(at_client.server_max_window_bits, WindowBits::Bits8, "what no server can do");
            return Ok(());
        };
        for wishes in [at_client, at_server] {
            prop_assert!(agreed.server_no_context_takeover >= wishes.server_no_context_takeover);
            prop_assert!(agreed.client_no_context_takeover >= wishes.client_no_context_takeover);
            prop_assert!(agreed.server_max_window_bits <= wishes.server_max_window_bits.max(WindowBits::Bits9));
            prop_assert!(agreed.client_max_window_bits <= wishes.client_max_window_bits);
        }
        prop_assert!(agreed.server_max_window_bits <= at_client.server_max_window_bits);
        prop_assert!(agreed.server_max_window_bits >= WindowBits::Bits9);
    }

    #[test]
    fn no_grammatical_list_fails_a_server(wishes in parameters(), list in grammatical_list()) {
        let answer = answer_to(wishes, &[&list]);
        if let Some(answer) = answer {
            // What it answers is in order for the client, as far as that can be told without its offer.
            let known = Parameters { client_max_window_bits: WindowBits::MAX, ..PLAIN };
            prop_assert!(judge(known, &answer).is_ok(), "{}", answer);
            prop_assert!(!answer.contains("client_max") || list.contains("client_max_window_bits"));
        }
        let _ = judge(wishes, &list);
    }

    #[test]
    fn no_list_at_all_panics(wishes in parameters(), list in "[ -~\t]{0,60}|(permessage-deflate|[;,=\"\\\\ ]|[a-z]*_[a-z_]*|[0-9]){0,12}") {
        if let Ok(accept) = accept(&[&list]) {
            prop_assert!(accept.connect(&config(wishes)).is_ok());
        }
        let _ = ask(&config(wishes)).1.receive(&mut response(&[&list]).as_bytes());
    }
}
