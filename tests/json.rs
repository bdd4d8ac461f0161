//! Messages as JSON, lent and owned.

use std::collections::HashMap;
use std::error::Error as _;

use sockeye::blocking::WebSocket;
use sockeye::{JsonError, Kind, Message};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Quote<'a> {
    product: &'a str,
    price: u64,
}

const QUOTE: Quote<'_> = Quote { product: "BTC-USD", price: 64_000 };
const JSON: &str = r#"{"product":"BTC-USD","price":64000}"#;

#[test]
fn a_value_travels_as_text_and_is_borrowed_from_the_lent_message() {
    let (mut client, mut server) = WebSocket::pair();
    client.send(Message::json(&QUOTE).expect("plain data")).expect("room");
    let (message, writer) = server.recv_with_writer().expect("open").expect("a message");
    assert_eq!((message.as_text(), message.kind()), (Some(JSON), Kind::Text));
    let quote: Quote<'_> = message.parse_json().expect("a quote");
    assert_eq!(quote, QUOTE);
    assert!(message.as_bytes().as_ptr_range().contains(&quote.product.as_ptr()), "it was copied");
    writer.send(Message::json(&quote).expect("plain data")).expect("room");
    server.flush().expect("open");
    assert_eq!(client.recv().expect("open").expect("a message").parse_json::<Quote<'_>>().expect("a quote"), QUOTE);
}

#[test]
fn binary_messages_are_read_alike() {
    assert_eq!(Message::from(JSON.as_bytes()).parse_json::<Quote<'_>>().expect("a quote"), QUOTE);
    let error =
        Message::from(b"{\"product\":\"\xff\xfe\",\"price\":1}").parse_json::<Quote<'_>>().expect_err("no UTF-8");
    assert!(error.is_malformed(), "{error}");
}

#[test]
fn the_error_says_whose_fault_it_is_and_nothing_of_the_message() {
    let cases = [
        (r#"{"product":"secret","price":"secret"}"#, false, "does not fit the type", 1, 36),
        (r#"{"secret":1}"#, false, "does not fit the type", 1, 12),
        ("\n{\"product\":\"secret", true, "breaks off", 2, 18),
        ("", true, "breaks off", 1, 0),
        (r#"{"product":"secret","price":1} {}"#, true, "is not JSON", 1, 32),
        ("secret", true, "is not JSON", 1, 1),
        (r#"{"product":"secret","product":"secret"}"#, false, "does not fit the type", 1, 29),
    ];
    for (text, is_malformed, what, line, column) in cases {
        let message = Message::from(text);
        let error: JsonError = message.parse_json::<Quote<'_>>().expect_err("no quote");
        assert_eq!(error.is_malformed(), is_malformed, "{text}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(what) && !shown.contains("secret"), "{shown}");
        assert!(shown.contains(&format!("(line {line}, column {column})")), "{shown}");
        assert!(error.source().is_none());
        assert_eq!(error.into_inner().column(), column);
    }
}

#[test]
fn depth_is_limited() {
    let deep = "[".repeat(100_000);
    assert!(Message::from(&*deep).parse_json::<serde_json::Value>().expect_err("too deep").is_malformed());
}

#[test]
fn what_json_cannot_say_is_an_error_of_the_caller() {
    let map = HashMap::from([((1, 2), 3)]);
    assert!(Message::json(&map).expect_err("a key that is no string").to_string().contains("key must be a string"));
}
