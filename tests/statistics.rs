//! What is counted where statistics are on: exactly what the examples of the RFCs say, the same for any cuts and however
//! messages are received, and by both ends of any driver alike.

#[path = "support/naive.rs"]
mod naive;

use std::net;
use std::thread;
use std::time::Duration;

use bytes::Buf;
use naive::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT};
use sockeye::deflate::Parameters;
use sockeye::{
    Agreed, Config, Connection, Counts, Deflate, Event, Kind, Message, Origins, Prepared, Role, Statistics, blocking,
    client, futures, tokio as over_tokio,
};
use tokio::io::duplex;
use tokio_util::compat::TokioAsyncReadCompatExt;

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const COUNTING: Config = Config::DEFAULT.statistics(true).ping_interval(None);

/// Messages, compressed ones, frames, bytes of payload, bytes on the wire.
type Numbers = [u64; 5];

fn numbers(counts: Counts) -> Numbers {
    let Counts { messages, compressed_messages, frames, payload_bytes, wire_bytes, .. } = counts;
    [messages, compressed_messages, frames, payload_bytes, wire_bytes]
}

fn sum(numbers: impl IntoIterator<Item = Numbers>) -> Numbers {
    numbers.into_iter().fold([0; 5], |sum, numbers| std::array::from_fn(|at| sum[at] + numbers[at]))
}

/// Frames of a server and what they count: RFC 6455 §5.7 and RFC 7692 §7.2.3, and what goes between fragments.
const EXAMPLES: [(&[u8], Numbers); 9] = [
    (b"\x81\x05Hello", [1, 0, 1, 5, 7]),
    (b"\x01\x03Hel\x80\x02lo", [1, 0, 2, 5, 9]),
    (b"\x89\x05Hello", [0, 0, 1, 0, 7]),
    (b"\x8a\x05Hello", [0, 0, 1, 0, 7]),
    (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", [1, 1, 1, 5, 9]),
    (b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", [1, 1, 2, 5, 11]),
    (b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", [1, 1, 1, 5, 13]),
    (b"\x02\x01\xff\x89\x00\x00\x00\x80\x02\xfe\xfd", [1, 0, 4, 3, 11]),
    (b"\x82\x00", [1, 0, 1, 0, 2]),
];

/// How the messages are asked for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Whole,
    Parts,
    /// Messages that were begun in parts are given up.
    Both,
}

const ASKS: [Ask; 3] = [Ask::Whole, Ask::Parts, Ask::Both];

fn open(role: Role, config: &Config) -> Connection {
    Connection::open(role, Agreed::default().with_deflate(Parameters::DEFAULT), config)
}

/// Receives all of it, in pieces of this size.
fn receive(connection: &mut Connection, bytes: &[u8], piece: usize, ask: Ask) {
    for (at, piece) in bytes.chunks(piece).enumerate() {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            let is_part = matches!(ask, Ask::Parts) || matches!(ask, Ask::Both) && at % 2 == 0;
            let found = if is_part {
                connection.next_part(&mut input).expect("in order").is_some()
            } else {
                connection.next(&mut input).expect("in order").is_some()
            };
            if !found {
                break;
            }
        }
    }
}

fn received(connection: &mut Connection) -> Numbers {
    numbers(connection.halves().0.counts().expect("counted"))
}

fn sent(connection: &mut Connection) -> Numbers {
    numbers(connection.writer().counts().expect("counted"))
}

#[test]
fn nothing_is_counted_unasked() {
    let mut connection = open(Role::Client, &Config::DEFAULT);
    receive(&mut connection, b"\x81\x05Hello", 7, Ask::Whole);
    connection.writer().send("Hello").expect("room");
    let (reader, writer) = connection.halves();
    assert_eq!((reader.counts(), writer.counts()), (None, None));
    let (client, _server) = blocking::WebSocket::pair();
    assert_eq!(client.statistics(), None);
}

#[test]
fn what_the_rfcs_show_counts_the_same_for_any_cuts() {
    for ask in ASKS {
        for (bytes, expected) in EXAMPLES {
            for piece in 1..=bytes.len() {
                let mut connection = open(Role::Client, &COUNTING);
                receive(&mut connection, bytes, piece, ask);
                assert_eq!(received(&mut connection), expected, "{bytes:02x?} in pieces of {piece}, {ask:?}");
            }
        }
        let all = EXAMPLES.map(|(bytes, _)| bytes).concat();
        let expected = sum(EXAMPLES.map(|(_, numbers)| numbers));
        for piece in [1, 2, 7, all.len()] {
            let mut connection = open(Role::Client, &COUNTING);
            receive(&mut connection, &all, piece, ask);
            assert_eq!(received(&mut connection), expected, "in pieces of {piece}, {ask:?}");
        }
    }
}

#[test]
fn what_comes_behind_close_counts_for_nothing() {
    for ask in ASKS {
        let mut connection = open(Role::Client, &COUNTING);
        receive(&mut connection, b"\x82\x01a\x88\x02\x03\xe8\x82\x01b", 100, ask);
        assert_eq!(received(&mut connection), [1, 0, 2, 1, 7]);
        assert_eq!(sent(&mut connection), [0, 0, 1, 0, 8], "the Close that answers");
    }
}

#[test]
fn a_payload_that_is_read_into_its_place_counts_as_it_comes() {
    for role in ROLES {
        let key = (role == Role::Server).then_some([1, 2, 3, 4]);
        let frame = naive::frame(FIN | BINARY, key, &[7; 100_000]);
        let head = frame.len() - 100_000;
        let mut connection = open(role, &COUNTING);
        receive(&mut connection, &frame[..head + 10], usize::MAX, Ask::Whole);
        assert_eq!(received(&mut connection), [0, 0, 1, 10, head as u64 + 10]);
        let mut rest = &frame[head + 10..];
        while let Some(mut payload) = connection.payload_buf() {
            let count = payload.spare().len().min(rest.len());
            payload.spare()[..count].copy_from_slice(&rest[..count]);
            payload.advance(count);
            rest = &rest[count..];
            let came = (100_000 - rest.len()) as u64;
            assert_eq!(received(&mut connection), [0, 0, 1, came, head as u64 + came]);
        }
        receive(&mut connection, b"", 1, Ask::Whole);
        assert!(matches!(connection.next(&mut &mut [][..]), Ok(Some(Event::Message(_)))));
        assert_eq!(received(&mut connection), [1, 0, 1, 100_000, frame.len() as u64]);
    }
}

#[test]
fn whatever_is_sent_counts_once() {
    let config = COUNTING.deflate(Some(Deflate::DEFAULT.threshold(100)));
    let mut connection = open(Role::Server, &config);
    let writer = connection.writer();
    let long = "a".repeat(1_000);
    let mut expected = Vec::new();
    let mut before = 0;
    let mut check = |writer: &mut sockeye::Writer, messages, compressed, frames, payload| {
        let wire = writer.queued() as u64;
        expected.push([messages, compressed, frames, payload, wire - before]);
        before = wire;
        assert_eq!(numbers(writer.counts().expect("counted")), sum(expected.clone()));
    };
    writer.send("Hello").expect("room");
    check(writer, 1, 0, 1, 5);
    writer.send(&long).expect("room");
    check(writer, 1, 1, 1, 1_000);
    writer.send(Message::from(&long).uncompressed()).expect("room");
    check(writer, 1, 0, 1, 1_000);
    writer.send(vec![7; 50_000]).expect("room");
    check(writer, 1, 1, 1, 50_000);
    let (short, long) = (Prepared::new("again"), Prepared::new(&*long));
    writer.send_prepared(&short).expect("room");
    check(writer, 1, 0, 1, 5);
    writer.send_prepared(&long).expect("room");
    check(writer, 1, 1, 1, 1_000);
    writer.start(Kind::Text).expect("room").write("Hel").expect("room");
    check(writer, 0, 0, 1, 3);
    writer.ping(b"between").expect("room");
    check(writer, 0, 0, 1, 0);
    writer.resume().expect("unfinished").finish_with("lo").expect("room");
    check(writer, 1, 1, 1, 2);
    writer.pong(b"").expect("room");
    check(writer, 0, 0, 1, 0);
    assert!(writer.send_prepared(&short).is_ok());
    check(writer, 1, 0, 1, 5);
    writer.close(sockeye::CloseCode::NORMAL, "done").expect("open");
    check(writer, 0, 0, 1, 0);
    assert!(writer.send("late").is_err() && writer.ping(b"").is_err());
    check(writer, 0, 0, 0, 0);
}

/// Of a flood of pings only the latest is answered, and counted.
#[test]
fn a_pong_that_takes_the_place_of_another_counts_once() {
    let mut connection = open(Role::Server, &COUNTING);
    let pings = naive::frame(FIN | PING, Some([1, 2, 3, 4]), &[7; 100]).repeat(500);
    receive(&mut connection, &pings, 1_000, Ask::Whole);
    assert_eq!(received(&mut connection), [0, 0, 500, 0, pings.len() as u64]);
    let mut written = Vec::new();
    while connection.writer().queued() > 0 {
        written.extend_from_slice(connection.writer().outbox().chunk());
        let count = connection.writer().outbox().chunk().len();
        connection.writer().outbox().advance(count);
    }
    let pongs = naive::frames(&written).len() as u64;
    assert!((2..500).contains(&pongs), "{pongs}");
    assert_eq!(sent(&mut connection), [0, 0, pongs, 0, written.len() as u64]);
}

/// Numbers that look random.
struct Numerals(u64);

impl Numerals {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit) as usize
    }
}

/// Takes all that waits to leave.
fn write(writer: &mut sockeye::Writer) -> bytes::Bytes {
    let queued = writer.queued();
    writer.outbox().copy_to_bytes(queued)
}

/// Queues something, and tells how many messages it ends.
fn queue_anything(writer: &mut sockeye::Writer, pick: &mut Numerals) -> u64 {
    let text = "sea and sky ".repeat(pick.below(300));
    match pick.below(6) {
        0 => writer.send(&text).map(|()| 1),
        1 => writer.send(vec![pick.below(256) as u8; pick.below(70_000)]).map(|()| 1),
        2 => writer.send_prepared(&Prepared::new(&text)).map(|()| 1),
        3 => writer.ping(&[7; 12][..pick.below(12)]).map(|()| 0),
        4 => writer.start(Kind::Text).map(|mut fragments| fragments.write(&text).expect("room")).map(|()| 0),
        _ => writer.send("short").map(|()| 1),
    }
    .or_else(|_| writer.resume().expect("unfinished").finish_with(&text).map(|()| 1))
    .expect("room")
}

#[test]
fn what_one_end_has_sent_the_other_has_received() {
    let configs = [None, Some(Deflate::DEFAULT), Some(Deflate::DEFAULT.context_takeover(true).threshold(0))];
    for (deflate, seed) in configs.into_iter().flat_map(|deflate| [1, 2, 3].map(|seed| (deflate, seed))) {
        let config = COUNTING.deflate(deflate).outbox_capacity(1 << 30);
        let agreed = || match deflate {
            Some(_) => Agreed::default().with_deflate(Parameters::DEFAULT),
            None => Agreed::default(),
        };
        let mut pick = Numerals(seed);
        let mut ends = ROLES.map(|role| Connection::open(role, agreed(), &config));
        let mut messages = [0; 2];
        for round in 0..300 {
            let [from, to] = &mut ends;
            messages[round % 2] += queue_anything(from.writer(), &mut pick);
            if pick.below(3) == 0 {
                let written = write(from.writer());
                let ask = ASKS[pick.below(3)];
                receive(to, &written, 1 + pick.below(20_000), ask);
            }
            ends.reverse();
        }
        // The last pings are answered in the second round, and the last pongs received in the third.
        for _ in 0..4 {
            let [from, to] = &mut ends;
            while from.writer().queued() > 0 {
                let written = write(from.writer());
                receive(to, &written, usize::MAX, Ask::Whole);
            }
            ends.reverse();
        }
        let [client, server] = &mut ends;
        assert_eq!(sent(client), received(server), "{deflate:?}");
        assert_eq!(sent(server), received(client), "{deflate:?}");
        assert_eq!([sent(client)[0], sent(server)[0]], messages);
        assert_eq!(sent(client)[1] > 0, deflate.is_some());
    }
}

/// What the ends of `talk` have sent.
const ASKED: Numbers = [3, 0, 6, 15, 52];
const ANSWERED: Numbers = [3, 0, 4, 15, 24];

fn assert_both(client: Option<Statistics>, server: Option<Statistics>) {
    let (client, server) = (client.expect("counted"), server.expect("counted"));
    assert_eq!(numbers(client.sent), ASKED);
    assert_eq!(client.sent, server.received);
    assert_eq!(numbers(server.sent), ANSWERED);
    assert_eq!(server.sent, client.received);
    assert_eq!((client.queued, server.queued, client.round_trip), (0, 0, None));
}

/// Three messages, one of them in pieces, and a ping, all of which are answered.
macro_rules! talk {
    ($client:expr, $server:expr $(, $await:tt)?) => {{
        let (client, server) = (&mut $client, &mut $server);
        client.feed("Hello")$(.$await)?.expect("room");
        assert_eq!(client.statistics().expect("counted").queued, 11);
        let mut pieces = client.start(Kind::Text)$(.$await)?.expect("room");
        pieces.write("Hel")$(.$await)?.expect("room");
        pieces.write("lo")$(.$await)?.expect("room");
        pieces.finish()$(.$await)?.expect("sent");
        client.ping(b"?")$(.$await)?.expect("sent");
        client.send_prepared(&Prepared::new("again"))$(.$await)?.expect("sent");
        for _ in 0..3 {
            let (message, writer) = server.recv_with_writer()$(.$await)?.expect("open").expect("a message");
            writer.send(message).expect("room");
        }
        server.flush()$(.$await)?.expect("sent");
        for _ in 0..3 {
            client.recv()$(.$await)?.expect("open").expect("an answer");
        }
        assert_both(client.statistics(), server.statistics());
    }};
}

/// Lets each end be split, and asks the halves. Those who only send know what the receiver has looked at.
macro_rules! split {
    ($client:expr, $server:expr, $split:expr $(, $await:tt)?) => {{
        let ((mut receiver, sender), mut server) = ($split($client), $server);
        let expected = receiver.statistics().expect("counted");
        assert_eq!(numbers(expected.sent), ASKED);
        assert_eq!(sender.statistics(), Some(expected));
        sender.send("Hello")$(.$await)?.expect("sent");
        server.recv()$(.$await)?.expect("open").expect("a message");
        server.send("Hello")$(.$await)?.expect("sent");
        receiver.recv()$(.$await)?.expect("open").expect("a message");
        for statistics in [receiver.statistics(), sender.clone().statistics()] {
            let statistics = statistics.expect("counted");
            assert_eq!(numbers(statistics.sent), sum([ASKED, [1, 0, 1, 5, 11]]));
            assert_eq!(numbers(statistics.received), sum([ANSWERED, [1, 0, 1, 5, 7]]));
            assert_eq!(statistics.queued, 0);
        }
    }};
}

fn request() -> client::Request {
    client::Request::get("ws://localhost/").expect("a URL")
}

/// The bytes of the opening handshake are not among those that are counted.
#[tokio::test]
async fn both_ends_count_alike_over_tokio() {
    use over_tokio::WebSocket;
    let (a, b) = duplex(1 << 16);
    let answer = |request: sockeye::server::Request| request.accept(Origins::Same);
    let accepting = WebSocket::accept_with(b, &COUNTING, answer);
    let (client, server) = tokio::join!(WebSocket::client_with(a, request(), &COUNTING), accepting);
    let (mut client, mut server) = (client.expect("connected").0, server.expect("accepted"));
    talk!(client, server, await);
    split!(client, server, WebSocket::into_split, await);
}

#[tokio::test]
async fn both_ends_count_alike_over_futures() {
    use futures::WebSocket;
    let (a, b) = duplex(1 << 16);
    let answer = |request: sockeye::server::Request| request.accept(Origins::Same);
    let accepting = WebSocket::accept_with(b.compat(), &COUNTING, answer);
    let (client, server) = tokio::join!(WebSocket::client_with(a.compat(), request(), &COUNTING), accepting);
    let (mut client, mut server) = (client.expect("connected").0, server.expect("accepted"));
    talk!(client, server, await);
    split!(client, server, WebSocket::into_split, await);
}

#[test]
fn both_ends_count_alike_over_threads() {
    use blocking::WebSocket;
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let ours = net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (theirs, _) = listener.accept().expect("connected");
    let answer = |request: sockeye::server::Request| request.accept(Origins::Same);
    let accepting = thread::spawn(move || WebSocket::accept_with(theirs, &COUNTING, answer).expect("accepted"));
    let (mut client, _) = WebSocket::client_with(ours, request(), &COUNTING).expect("connected");
    let mut server = accepting.join().expect("no panic");
    talk!(client, server);
    split!(client, server, |client: WebSocket<net::TcpStream>| client.into_split().expect("a socket"));
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_is_that_of_keepalive() {
    let config = COUNTING.ping_interval(Some(Duration::from_secs(5)));
    let (mut client, mut server) = over_tokio::WebSocket::pair_with(&config);
    let waiting = async { server.recv().await.expect("open").map(drop) };
    let _ = tokio::time::timeout(Duration::from_secs(12), async { tokio::join!(client.recv(), waiting) }).await;
    let statistics = client.statistics().expect("counted");
    assert!(statistics.round_trip.is_some_and(|time| time < Duration::from_secs(1)));
    assert_eq!(statistics.round_trip, client.round_trip());
    assert_eq!(numbers(statistics.sent)[2], 4, "two pings and two pongs");
}

/// Frames that break off a connection are counted as far as they were in order.
#[test]
fn a_connection_that_fails_keeps_its_numbers() {
    let mut connection = open(Role::Server, &COUNTING);
    let good = naive::frame(FIN | TEXT, Some([1, 2, 3, 4]), b"good");
    let bad = naive::frame(FIN | CONTINUATION, Some([1, 2, 3, 4]), b"bad");
    receive(&mut connection, &good, 100, Ask::Whole);
    connection.next(&mut &mut bad.clone()[..]).expect_err("nothing to continue");
    assert_eq!(received(&mut connection), [1, 0, 1, 4, 10]);
    assert_eq!(naive::frames(connection.writer().outbox().chunk())[0].first, FIN | CLOSE);
    let (frames, wire) = (sent(&mut connection)[2], sent(&mut connection)[4]);
    assert_eq!((frames, wire), (1, connection.writer().queued() as u64));
}
