//! The blocking driver, over scripted streams and over real sockets. Names with an `l` and a number are lines of the
//! list of hostile life cycles.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Buf;
use sockeye::blocking::{ReadHalf, Stream, Untimed, WebSocket, WriteHalf, from_halves};
use sockeye::{
    Agreed, CloseCode, Config, Connection, Error, Event, Kind, Message, Part, Prepared, ProtocolError, Role,
    SendErrorKind, Timeout, Writer,
};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// Deadlines that tests can wait for.
const FAST: Config = Config::DEFAULT
    .ping_interval(None)
    .pong_timeout(Some(Duration::from_millis(50)))
    .write_timeout(Some(Duration::from_millis(50)))
    .close_timeout(Some(Duration::from_millis(50)));

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

fn open<S: Stream>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    WebSocket::open(stream, role, Agreed::default(), config, &[])
}

/// What an end with that role puts on the wire.
fn encode(role: Role, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let (_, mut writer) = Connection::open(role, Agreed::default(), &Config::DEFAULT.unlimited()).split();
    write(&mut writer);
    let waiting = writer.outbox().remaining();
    writer.outbox().copy_to_bytes(waiting).into()
}

/// What an end with that role makes of those bytes.
fn decode(role: Role, bytes: &[u8]) -> Vec<Event<'static>> {
    let (mut reader, _) = Connection::open(role, Agreed::default(), &Config::DEFAULT.unlimited()).split();
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut events = Vec::new();
    while let Some(event) = reader.next(&mut input).unwrap() {
        events.push(event.into_owned());
    }
    events
}

fn text(text: &str) -> Event<'static> {
    Event::Message(Message::from(text).into_owned())
}

/// What one call of the stream does.
#[derive(Clone, Debug)]
enum Step {
    /// Moves up to so many bytes.
    Up(usize),
    Fail(ErrorKind),
    /// Claims to have moved more than it was given.
    Lie,
    /// Lets the timeout pass.
    Wait,
}

#[derive(Default)]
struct Record {
    written: Vec<u8>,
    writes: usize,
    flushes: usize,
    shut: bool,
    read_timeouts: Vec<Option<Duration>>,
    write_timeouts: Vec<Option<Duration>>,
}

/// A stream that gives `incoming`, then its end, along the lines of a script.
struct Script {
    incoming: VecDeque<u8>,
    reads: VecDeque<Step>,
    writes: VecDeque<Step>,
    /// The most that a read gives where the script says nothing.
    chunk: usize,
    /// What a read does when there is nothing left.
    end: Step,
    record: Arc<Mutex<Record>>,
}

impl Script {
    fn new(incoming: &[u8]) -> Self {
        Self {
            incoming: incoming.iter().copied().collect(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            chunk: usize::MAX,
            end: Step::Up(0),
            record: Arc::default(),
        }
    }

    fn record(&self) -> Arc<Mutex<Record>> {
        self.record.clone()
    }
}

fn wait(timeouts: &[Option<Duration>]) -> io::Error {
    thread::sleep(timeouts.last().copied().flatten().expect("a wait that has an end"));
    ErrorKind::WouldBlock.into()
}

impl Read for Script {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let default = if self.incoming.is_empty() { self.end.clone() } else { Step::Up(self.chunk) };
        match self.reads.pop_front().unwrap_or(default) {
            Step::Up(most) => {
                let count = most.min(room.len()).min(self.incoming.len());
                for (byte, incoming) in room.iter_mut().zip(self.incoming.drain(..count)) {
                    *byte = incoming;
                }
                Ok(count)
            }
            Step::Fail(kind) => Err(kind.into()),
            Step::Lie => Ok(room.len() + 1),
            Step::Wait => Err(wait(&self.record.lock().unwrap().read_timeouts)),
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut record = self.record.lock().unwrap();
        record.writes += 1;
        let (taken, claimed) = match self.writes.pop_front().unwrap_or(Step::Up(usize::MAX)) {
            Step::Up(most) => (most.min(bytes.len()), most.min(bytes.len())),
            Step::Fail(kind) => return Err(kind.into()),
            Step::Lie => (bytes.len(), bytes.len() + 1),
            Step::Wait => return Err(wait(&record.write_timeouts)),
        };
        record.written.extend_from_slice(&bytes[..taken]);
        Ok(claimed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.record.lock().unwrap().flushes += 1;
        Ok(())
    }
}

impl ReadHalf for Script {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO));
        self.record.lock().unwrap().read_timeouts.push(timeout);
        Ok(())
    }
}

impl WriteHalf for Script {
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO));
        self.record.lock().unwrap().write_timeouts.push(timeout);
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.record.lock().unwrap().shut = true;
        Ok(())
    }
}

/// A short conversation as an end with that role sends it, and the messages in it.
fn conversation(role: Role) -> (Vec<u8>, Vec<Message<'static>>) {
    let bytes = encode(role, |writer| {
        writer.send("Hello").unwrap();
        writer.ping(b"are you there").unwrap();
        let mut fragments = writer.start(Kind::Text).unwrap();
        fragments.write("h\u{e9}").unwrap();
        writer.ping(b"").unwrap();
        writer.resume().unwrap().finish_with("llo").unwrap();
        writer.send(vec![7; 300]).unwrap();
        writer.close(CloseCode::NORMAL, "bye").unwrap();
    });
    (bytes, vec!["Hello".into(), "h\u{e9}llo".into(), vec![7; 300].into()])
}

/// Echoes until the end, as often as a stream that does not wait makes necessary. Returns how it ended.
fn echo<S: Stream>(ws: &mut WebSocket<S>) -> (Vec<Message<'static>>, Result<(), Error>) {
    let mut messages = Vec::new();
    let mut left = 100_000;
    loop {
        left -= 1;
        assert!(left > 0, "no end");
        match ws.recv_with_writer() {
            Ok(Some((message, writer))) => {
                if !writer.is_closed() {
                    writer.send(message.borrow()).unwrap();
                }
                messages.push(message.into_owned());
            }
            Ok(None) => return (messages, Ok(())),
            Err(error) if error.is_would_block() => {}
            Err(error) => return (messages, Err(error)),
        }
    }
}

/// What was said at the end stays said.
fn assert_over<S: Stream>(ws: &mut WebSocket<S>) {
    assert!(matches!(ws.recv(), Ok(None)));
    assert!(matches!(ws.recv_event(), Ok(None)));
    assert!(matches!(ws.recv_part(), Ok(None)));
    assert!(ws.next().is_none());
    assert!(ws.closure().is_some());
    let over = [SendErrorKind::Closed, SendErrorKind::Ended];
    assert!(matches!(ws.try_send("more"), Err(error) if over.contains(&error.kind())));
    assert!(matches!(ws.send("more"), Err(Error::Send(kind)) if over.contains(&kind)));
    assert!(ws.close(CloseCode::NORMAL, "").is_ok());
}

#[test]
fn l2_end_of_stream_at_every_byte() {
    for role in ROLES {
        let (bytes, messages) = conversation(other(role));
        for end in 0..=bytes.len() {
            for chunk in [1, 5, usize::MAX] {
                let mut script = Script::new(&bytes[..end]);
                script.chunk = chunk;
                let mut ws = open(script, role, &FAST);
                let (received, result) = echo(&mut ws);
                assert_eq!(received, messages[..received.len()]);
                let closure = ws.closure().unwrap().clone();
                if end == bytes.len() {
                    result.unwrap();
                    assert_eq!(received.len(), messages.len());
                    assert!(closure.was_clean && closure.by_peer);
                    assert_eq!((closure.code, &*closure.reason), (CloseCode::NORMAL, "bye"));
                } else {
                    assert!(matches!(result, Err(Error::UnexpectedEof)), "{result:?}");
                    assert!(!closure.was_clean);
                    assert_eq!(closure.code, CloseCode::ABNORMAL_CLOSURE);
                }
                assert_over(&mut ws);
            }
        }
    }
}

#[test]
fn l2_an_error_at_every_call() {
    for role in ROLES {
        let (bytes, messages) = conversation(other(role));
        for call in 0..30 {
            for (failing_read, chunk) in [(true, 16), (false, 16), (false, usize::MAX)] {
                let mut script = Script::new(&bytes);
                script.chunk = chunk;
                let steps = if failing_read { &mut script.reads } else { &mut script.writes };
                steps.extend(vec![Step::Up(16); call]);
                steps.push_back(Step::Fail(ErrorKind::ConnectionReset));
                let mut ws = open(script, role, &FAST);
                let (received, result) = echo(&mut ws);
                assert_eq!(received, messages[..received.len()]);
                match result {
                    Ok(()) => assert_eq!(received.len(), messages.len()),
                    Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                    Err(error) => panic!("{error}"),
                }
                assert_over(&mut ws);
            }
        }
    }
}

#[test]
fn l2_an_error_after_both_closes_is_no_failure() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| writer.close(CloseCode::NORMAL, "").unwrap());
        for failing_read in [true, false] {
            let mut script = Script::new(&incoming);
            script.end = Step::Fail(ErrorKind::ConnectionReset);
            if !failing_read {
                script.writes.push_back(Step::Fail(ErrorKind::BrokenPipe));
            }
            let mut ws = open(script, role, &FAST);
            assert!(matches!(ws.recv(), Ok(None)));
            assert!(ws.closure().unwrap().was_clean);
        }
    }
}

/// A script in which every call is preceded by some that come to nothing.
fn stutter(script: &mut Script, waits: bool) {
    for round in 0..2_000 {
        for steps in [&mut script.reads, &mut script.writes] {
            steps.push_back(Step::Fail(ErrorKind::Interrupted));
            if waits {
                steps.push_back(Step::Fail(ErrorKind::WouldBlock));
            }
            steps.push_back(Step::Up(1 + round % 3));
        }
    }
}

#[test]
fn l5_short_counts_and_interruptions_change_nothing() {
    for role in ROLES {
        let (bytes, messages) = conversation(other(role));
        let mut script = Script::new(&bytes);
        stutter(&mut script, false);
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        let (received, result) = echo(&mut ws);
        result.unwrap();
        assert_eq!(received, messages);
        assert_echoed(role, &record);
    }
}

/// Everything that `conversation` calls for was sent, in order.
fn assert_echoed(role: Role, record: &Mutex<Record>) {
    let record = record.lock().unwrap();
    let sent = decode(other(role), &record.written);
    let mut expected = conversation(other(role)).1.into_iter().map(Event::Message);
    let (first, second, third) = (expected.next().unwrap(), expected.next().unwrap(), expected.next().unwrap());
    let pong = |payload: &'static [u8]| Event::Pong(payload.into());
    assert_eq!(sent[..5], [first, pong(b"are you there"), pong(b""), second, third]);
    assert!(matches!(&sent[5..], [Event::Close(Some(frame))] if frame.code == CloseCode::NORMAL));
    assert_eq!(record.shut, role == Role::Server || record.shut);
}

#[test]
fn l5_would_block_loses_nothing() {
    for role in ROLES {
        let (bytes, messages) = conversation(other(role));
        let mut script = Script::new(&bytes);
        stutter(&mut script, true);
        let record = script.record();
        let mut ws = open(script, role, &FAST).nonblocking();
        let (received, result) = echo(&mut ws);
        result.unwrap();
        assert_eq!(received, messages);
        assert_echoed(role, &record);
        let record = record.lock().unwrap();
        assert!(record.read_timeouts.is_empty() && record.write_timeouts.is_empty());
    }
}

#[test]
fn l5_a_write_that_takes_nothing_is_an_error() {
    for role in ROLES {
        let mut script = Script::new(&[]);
        script.writes.push_back(Step::Up(0));
        let mut ws = open(script, role, &FAST);
        assert!(matches!(ws.send("Hello"), Err(Error::Io(error)) if error.kind() == ErrorKind::WriteZero));
        assert_over(&mut ws);
    }
}

#[test]
fn l5_counts_larger_than_given_are_cut() {
    for role in ROLES {
        let mut script = Script::new(&[]);
        script.writes.push_back(Step::Lie);
        script.reads.push_back(Step::Lie);
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        ws.send("Hello").unwrap();
        assert_eq!(decode(other(role), &record.lock().unwrap().written), [text("Hello")]);
        // Whatever the buffer held is read as frames, which ends somehow.
        assert!(!echo(&mut ws).1.is_err_and(|error| error.is_would_block()));
        assert_over(&mut ws);
    }
}

#[test]
fn l6_data_after_close_is_discarded() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| writer.close(CloseCode::GOING_AWAY, "").unwrap());
        let late = encode(other(role), |writer| {
            writer.send("late").unwrap();
            writer.ping(b"late").unwrap();
            writer.close(CloseCode::NORMAL, "again").unwrap();
        });
        let script = Script::new(&[incoming, late].concat());
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        ws.close(CloseCode::NORMAL, "at once").unwrap();
        let closure = ws.closure().unwrap();
        assert_eq!((closure.code, closure.by_peer, closure.was_clean), (CloseCode::GOING_AWAY, false, true));
        assert_eq!(decode(other(role), &record.lock().unwrap().written).len(), 1);
        assert_over(&mut ws);
    }
}

#[test]
fn l6_nothing_is_sent_after_close() {
    for role in ROLES {
        let mut ws = open(Script::new(&[]), role, &FAST);
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        assert!(matches!(ws.start_close(CloseCode::NORMAL, ""), Err(Error::Send(SendErrorKind::Closed))));
        assert!(matches!(ws.ping(b""), Err(Error::Send(SendErrorKind::Closed))));
        assert!(matches!(ws.start(Kind::Text), Err(Error::Send(SendErrorKind::Closed))));
        assert!(matches!(ws.feed("late"), Err(Error::Send(SendErrorKind::Closed))));
    }
}

#[test]
fn l9_calls_in_any_order() {
    let mut seed = 1_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..1_000 {
        let role = ROLES[round % 2];
        let (mut bytes, _) = conversation(other(role));
        if draw(2) == 0 {
            let at = draw(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << draw(8);
        }
        let mut script = Script::new(&bytes);
        for _ in 0..20 {
            for steps in [&mut script.reads, &mut script.writes] {
                steps.push_back(match draw(20) {
                    0 => Step::Fail(ErrorKind::ConnectionReset),
                    1 => Step::Lie,
                    2..6 => Step::Fail(ErrorKind::WouldBlock),
                    most => Step::Up(most as usize),
                });
            }
        }
        let mut ws = open(script, role, &FAST.outbox_capacity(100).outbox_high_water(50)).nonblocking();
        for _ in 0..40 {
            match draw(16) {
                0 => drop(ws.recv()),
                1 => drop(ws.recv_event()),
                2 => drop(ws.recv_part()),
                3 => drop(ws.next()),
                4 => drop(ws.send("text")),
                5 => drop(ws.feed(vec![1; 70])),
                6 => drop(ws.flush()),
                7 => drop(ws.ping(&[0; 126])),
                8 => drop(ws.ping(b"ping")),
                9 => drop(ws.start(Kind::Binary)),
                10 => drop(ws.resume().map(|mut outgoing| outgoing.write(b"piece"))),
                11 => drop(ws.resume().map(|outgoing| outgoing.finish())),
                12 => drop(ws.try_send_prepared(&Prepared::new("prepared"))),
                13 if draw(4) == 0 => drop(ws.start_close(CloseCode::NORMAL, "")),
                14 if draw(8) == 0 => drop(ws.close(CloseCode(4000), "reason")),
                _ => drop((ws.closure().cloned(), ws.deadline(), ws.round_trip(), ws.unread().len())),
            }
        }
    }
}

#[test]
fn what_was_fed_and_all_replies_leave_in_one_write() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| {
            writer.ping(b"1").unwrap();
            writer.send("question").unwrap();
            writer.ping(b"2").unwrap();
        });
        let script = Script::new(&incoming);
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        ws.recv().unwrap().unwrap();
        ws.feed("answer").unwrap();
        ws.feed("and more").unwrap();
        assert_eq!(record.lock().unwrap().writes, 0);
        assert!(matches!(ws.recv(), Err(Error::UnexpectedEof)));
        let record = record.lock().unwrap();
        assert_eq!((record.writes, record.flushes), (1, 1));
        let pong = |payload: &'static [u8]| Event::Pong(payload.into());
        let expected = [pong(b"1"), text("answer"), text("and more"), pong(b"2")];
        assert_eq!(decode(other(role), &record.written), expected);
    }
}

#[test]
fn there_is_room_for_the_answer_to_each_message() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| (0..9).for_each(|_| writer.send("question").unwrap()));
        let config = FAST.outbox_capacity(1_000).outbox_high_water(500);
        let mut script = Script::new(&incoming);
        stutter(&mut script, true);
        let record = script.record();
        let mut ws = open(script, role, &config).nonblocking();
        let mut answers = 0;
        loop {
            match ws.recv_with_writer() {
                Ok(Some((_, writer))) => {
                    writer.send(vec![0; 2_000]).unwrap();
                    answers += 1;
                }
                Ok(None) => break,
                Err(error) => assert!(error.is_would_block() || matches!(error, Error::UnexpectedEof)),
            }
        }
        assert_eq!(answers, 9);
        assert!(record.lock().unwrap().written.len() > 8 * 2_000);
    }
}

#[test]
fn an_accepted_message_is_not_sent_twice() {
    for role in ROLES {
        let mut script = Script::new(&[]);
        let block = || Step::Fail(ErrorKind::WouldBlock);
        script.writes.extend([Step::Up(3), block(), block(), Step::Up(1), block()]);
        let record = script.record();
        let mut ws = open(script, role, &FAST).nonblocking();
        ws.send("Hello").unwrap(); // accepted, and partly written
        assert!(ws.flush().unwrap_err().is_would_block());
        assert!(ws.flush().unwrap_err().is_would_block());
        ws.flush().unwrap();
        assert_eq!(decode(other(role), &record.lock().unwrap().written), [text("Hello")]);
    }
}

#[test]
fn a_full_outbox_accepts_nothing_from_a_stream_that_does_not_wait() {
    for role in ROLES {
        let mut script = Script::new(&[]);
        script.writes.extend(vec![Step::Fail(ErrorKind::WouldBlock); 5]);
        let record = script.record();
        let mut ws = open(script, role, &FAST.outbox_high_water(10)).nonblocking();
        ws.send("longer than that").unwrap();
        assert!(ws.send("not accepted").unwrap_err().is_would_block());
        assert!(ws.start(Kind::Text).unwrap_err().is_would_block());
        while ws.flush().is_err_and(|error| error.is_would_block()) {}
        assert_eq!(decode(other(role), &record.lock().unwrap().written), [text("longer than that")]);
    }
}

#[test]
fn timeouts_are_not_set_for_every_message() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| (0..1_000).for_each(|_| writer.send("tick").unwrap()));
        let mut script = Script::new(&incoming);
        script.chunk = incoming.len() / 1_000;
        let record = script.record();
        let mut ws = open(script, role, &Config::DEFAULT);
        assert_eq!(echo(&mut ws).0.len(), 1_000);
        let record = record.lock().unwrap();
        assert_eq!(record.writes, 1_000);
        assert!(record.read_timeouts.len() <= 3 && record.write_timeouts.len() <= 3);
    }
}

#[test]
fn a_large_answer_is_written_before_more_is_read() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| writer.send("?").unwrap());
        let mut script = Script::new(&incoming);
        script.writes.extend([Step::Up(1_000), Step::Wait]);
        let record = script.record();
        let mut ws = open(script, role, &FAST.outbox_high_water(1_000));
        let (_, writer) = ws.recv_with_writer().unwrap().unwrap();
        writer.send(&[0; 5_000]).unwrap();
        // The deadline for a write passes, before anything was read.
        assert!(matches!(ws.recv(), Err(Error::Timeout(Timeout::Write))));
        assert_eq!(record.lock().unwrap().written.len(), 1_000);
        assert_over(&mut ws);
    }
}

#[test]
fn an_untimed_stream_says_itself_when_it_does_not_wait() {
    for role in ROLES {
        let incoming = encode(other(role), |writer| writer.send("Hello").unwrap());
        let mut script = Script::new(&incoming);
        script.reads.push_back(Step::Fail(ErrorKind::TimedOut));
        let record = script.record();
        let mut ws = open(Untimed(script), role, &Config::DEFAULT);
        assert!(ws.recv().unwrap_err().is_would_block());
        assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("Hello"));
        assert!(record.lock().unwrap().read_timeouts.is_empty());
        assert_eq!(ws.into_inner().0.incoming.len(), 0);
    }
}

#[test]
fn a_stream_that_does_not_wait_is_not_polled_in_a_loop() {
    let mut script = Script::new(&[]);
    script.end = Step::Fail(ErrorKind::WouldBlock);
    let mut ws = open(script, Role::Server, &Config::DEFAULT);
    assert!(ws.recv().unwrap_err().is_would_block());
}

#[test]
fn parts_and_pieces() {
    for role in ROLES {
        let (bytes, _) = conversation(other(role));
        let mut script = Script::new(&bytes);
        script.chunk = 7;
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        ws.start(Kind::Text).unwrap().write("one ").unwrap();
        let (mut data, mut ends) = (Vec::new(), 0);
        while let Some(part) = ws.recv_part().unwrap() {
            let between = matches!(part, Part::Ping(_));
            match part {
                Part::Piece { data: piece, last } => {
                    data.extend_from_slice(piece.as_bytes());
                    ends += usize::from(last);
                }
                Part::Ping(_) => {}
                Part::Close(frame) => assert_eq!(frame.unwrap().code, CloseCode::NORMAL),
                part => panic!("{part:?}"),
            }
            if between {
                ws.resume().unwrap().write("two ").unwrap();
            }
        }
        assert_eq!((data.len(), ends), (5 + 6 + 300, 3));
        // The peer's Close was answered inside our message, which stays unfinished.
        let sent = decode(other(role), &record.lock().unwrap().written);
        assert_eq!(sent.len(), 3);
        assert!(matches!(&sent[2], Event::Close(_)));
    }
}

#[test]
fn a_streamed_message_arrives_whole() {
    for role in ROLES {
        let script = Script::new(&[]);
        let record = script.record();
        let mut ws = open(script, role, &FAST);
        ws.start(Kind::Text).unwrap().write("Hel").unwrap();
        assert!(matches!(ws.send("no"), Err(Error::Send(SendErrorKind::Unfinished))));
        ws.ping(b"between").unwrap();
        assert!(matches!(ws.resume().unwrap().write(b"bytes"), Err(Error::Send(SendErrorKind::WrongKind))));
        ws.resume().unwrap().write("lo").unwrap();
        ws.resume().unwrap().finish().unwrap();
        assert!(ws.resume().is_none());
        let sent = decode(other(role), &record.lock().unwrap().written);
        assert_eq!(sent, [Event::Ping(b"between".into()), text("Hello")]);
    }
}

#[test]
fn leftover_bytes_are_the_first_input() {
    let leftover = encode(Role::Client, |writer| writer.send("early").unwrap());
    let stream = Script::new(&[]);
    let mut ws = WebSocket::open(stream, Role::Server, Agreed::default(), &FAST, &leftover);
    assert_eq!(ws.unread(), leftover);
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("early"));
    assert!(ws.unread().is_empty());
}

#[test]
fn a_failure_is_the_last_item() {
    for role in ROLES {
        let mut incoming = encode(other(role), |writer| writer.send("good").unwrap());
        incoming.extend_from_slice(&[0xff, 0xff, 0xff]);
        let script = Script::new(&incoming);
        let record = script.record();
        let ws = open(script, role, &FAST);
        let items: Vec<_> = ws.collect();
        assert!(matches!(&items[..], [Ok(message), Err(Error::Protocol(_))] if message.as_text() == Some("good")));
        let record = record.lock().unwrap();
        assert!(record.shut);
        let sent = decode(other(role), &record.written);
        assert!(matches!(&sent[..], [Event::Close(Some(frame))] if frame.code == CloseCode::PROTOCOL_ERROR));
    }
}

// Over real sockets.

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn in_time<R>(limit: Duration, act: impl FnOnce() -> R) -> R {
    let began = Instant::now();
    let result = act();
    assert!(began.elapsed() < limit, "took {:?}", began.elapsed());
    result
}

const SOON: Duration = Duration::from_secs(2);

#[test]
fn echo_and_close_by_either_end() {
    for closing in ROLES {
        let (ours, theirs) = tcp();
        let peer = thread::spawn(move || {
            let mut ws = open(theirs, other(closing), &Config::DEFAULT);
            echo(&mut ws).1.unwrap();
            let closure = ws.closure().unwrap();
            assert!(closure.was_clean && closure.by_peer);
            assert_eq!((closure.code, &*closure.reason), (CloseCode(4000), "bye"));
        });
        let mut ws = open(ours, closing, &Config::DEFAULT);
        let large = "x".repeat(300_000);
        for sent in ["Hello", "", &large] {
            ws.send(sent).unwrap();
            assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some(sent));
        }
        in_time(SOON, || ws.close(CloseCode(4000), "bye")).unwrap();
        let closure = ws.closure().unwrap();
        assert!(closure.was_clean && !closure.by_peer);
        assert_over(&mut ws);
        peer.join().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn echo_over_a_unix_socket() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let peer = thread::spawn(move || echo(&mut open(theirs, Role::Server, &Config::DEFAULT)).1.unwrap());
    let mut ws = open(Box::new(ours), Role::Client, &Config::DEFAULT);
    ws.send(vec![1; 1_000_000]).unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_bytes().len(), 1_000_000);
    ws.close(CloseCode::NORMAL, "").unwrap();
    peer.join().unwrap();
}

#[test]
fn l1_close_ends_at_its_deadline() {
    for role in ROLES {
        let (ours, _silent) = tcp();
        let mut ws = open(ours, role, &FAST);
        let result = in_time(SOON, || ws.close(CloseCode::NORMAL, ""));
        assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
        assert!(!ws.closure().unwrap().was_clean);
        assert_over(&mut ws);
    }
}

#[test]
fn l1_a_client_does_not_wait_for_ever_for_the_end_of_the_stream() {
    let (ours, mut theirs) = tcp();
    theirs.write_all(&encode(Role::Server, |writer| writer.close(CloseCode::NORMAL, "").unwrap())).unwrap();
    let mut ws = open(ours, Role::Client, &FAST);
    assert!(matches!(in_time(SOON, || ws.recv().map(|_| ())), Ok(())));
    assert!(ws.closure().unwrap().was_clean);
}

#[test]
fn l8_a_silent_peer_is_found() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let mut ws = open(ours, role, &FAST.ping_interval(Some(Duration::from_millis(30))));
        let result = in_time(SOON, || ws.recv().map(|_| ()));
        assert!(matches!(result, Err(Error::Timeout(Timeout::Pong))), "{result:?}");
        assert_over(&mut ws);
        drop(ws);
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        assert!(matches!(decode(other(role), &received)[..], [Event::Ping(_)]));
    }
}

#[test]
fn l8_any_byte_is_a_sign_of_life() {
    let (ours, mut theirs) = tcp();
    let peer = thread::spawn(move || {
        for byte in encode(Role::Client, |writer| writer.send("slow as can be").unwrap()) {
            theirs.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        theirs
    });
    let mut ws = open(ours, Role::Server, &FAST.ping_interval(Some(Duration::from_millis(20))));
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("slow as can be"));
    drop(peer.join().unwrap());
}

#[test]
fn l8_pings_are_answered_and_timed() {
    let (ours, theirs) = tcp();
    let config = FAST.ping_interval(Some(Duration::from_millis(20)));
    let peer = thread::spawn(move || {
        let mut ws = open(theirs, Role::Server, &FAST);
        let mut pings = 0;
        while pings < 3 {
            pings += usize::from(matches!(ws.recv_event().unwrap(), Some(Event::Ping(_))));
        }
        ws.close(CloseCode::NORMAL, "").unwrap();
    });
    let mut ws = open(ours, Role::Client, &config);
    assert!(matches!(in_time(SOON, || ws.recv().map(|_| ())), Ok(())));
    assert!(ws.round_trip().is_some());
    peer.join().unwrap();
}

#[test]
fn l10_a_peer_that_drips_and_never_reads() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let drips = encode(other(role), |writer| (0..10_000).for_each(|_| writer.send("drip").unwrap()));
        let peer = thread::spawn(move || {
            for byte in drips {
                if theirs.write_all(&[byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
        let mut ws = open(ours, role, &FAST.outbox_capacity(usize::MAX).outbox_high_water(usize::MAX));
        ws.writer().send(vec![0; 32 << 20]).unwrap();
        let result = in_time(SOON, || ws.drain_all());
        assert!(matches!(result, Err(Error::Timeout(Timeout::Write))), "{result:?}");
        drop(ws);
        peer.join().unwrap();
    }
}

trait DrainAll {
    fn drain_all(&mut self) -> Result<(), Error>;
}

impl<S: Stream> DrainAll for WebSocket<S> {
    fn drain_all(&mut self) -> Result<(), Error> {
        while self.recv()?.is_some() {}
        Ok(())
    }
}

#[test]
fn l10_a_send_that_makes_no_progress_ends() {
    for role in ROLES {
        let (ours, _never_reads) = tcp();
        let mut ws = open(ours, role, &FAST);
        let result = in_time(SOON, || ws.send(vec![0; 32 << 20]));
        assert!(matches!(result, Err(Error::Timeout(Timeout::Write))), "{result:?}");
        assert_over(&mut ws);
    }
}

#[test]
fn l11_an_application_that_pauses_keeps_its_peer() {
    let (ours, theirs) = tcp();
    let config = FAST.ping_interval(Some(Duration::from_millis(10)));
    let config = config.pong_timeout(Some(Duration::from_millis(10)));
    let peer = thread::spawn(move || echo(&mut open(theirs, Role::Server, &FAST)).1.unwrap());
    let mut ws = open(ours, Role::Client, &config);
    for _ in 0..3 {
        ws.send("Hello").unwrap();
        thread::sleep(Duration::from_millis(60));
        assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("Hello"));
    }
    ws.close(CloseCode::NORMAL, "").unwrap();
    peer.join().unwrap();
}

#[test]
fn l12_close_reaches_the_peer_though_unread_data_waits() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let ours_thread = thread::spawn(move || {
            let mut ws = open(ours, role, &Config::DEFAULT);
            let error = ws.recv().unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::ReservedOpcode(_))), "{error}");
            assert_over(&mut ws);
        });
        let mut bad = vec![0x83, if role == Role::Server { 0x80 } else { 0 }];
        bad.resize(3 << 20, 0); // far more than is read at once
        theirs.write_all(&bad).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        let events = decode(other(role), &received);
        assert!(matches!(&events[..], [Event::Close(Some(frame))] if frame.code == CloseCode::PROTOCOL_ERROR));
        ours_thread.join().unwrap();
    }
}

#[test]
fn an_abort_inside_a_message() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let message = encode(other(role), |writer| writer.send(vec![0; 100_000]).unwrap());
        theirs.write_all(&message[..70_000]).unwrap();
        drop(theirs);
        let mut ws = open(ours, role, &FAST);
        assert!(matches!(ws.recv(), Err(Error::UnexpectedEof)));
        assert_over(&mut ws);
    }
}

#[test]
fn l7_a_ping_flood_and_a_large_transfer() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let large = vec![1; 4 << 20];
        let bytes = encode(other(role), |writer| {
            writer.start(Kind::Binary).unwrap();
            for chunk in large.chunks(1 << 10) {
                writer.resume().unwrap().write(chunk).unwrap();
                (0..100).for_each(|_| writer.ping(&[0; 125]).unwrap());
            }
            writer.resume().unwrap().finish().unwrap();
        });
        // The peer reads none of the pongs before it has sent everything.
        let peer = thread::spawn(move || {
            theirs.write_all(&bytes).unwrap();
            theirs
        });
        let mut ws = open(ours, role, &Config::DEFAULT.unlimited());
        let message = in_time(Duration::from_secs(20), || ws.recv().unwrap().unwrap().into_vec());
        assert_eq!(message, large);
        drop(peer.join().unwrap());
    }
}

#[test]
fn l13_two_ends_that_only_send_end_at_the_deadline() {
    let (ours, theirs) = tcp();
    let send = |stream, role| {
        thread::spawn(move || open(stream, role, &FAST).send(vec![0; 32 << 20]).map_err(|error| error.is_timeout()))
    };
    let results =
        in_time(SOON, || [send(ours, Role::Client), send(theirs, Role::Server)].map(|end| end.join().unwrap()));
    assert!(results.contains(&Err(true)), "{results:?}");
}

#[test]
fn l13_two_split_ends_that_send_at_each_other() {
    const ROUNDS: u8 = 6;
    let (ours, theirs) = tcp();
    let end = |stream: TcpStream, role| {
        thread::spawn(move || {
            let config = Config::DEFAULT.max_message_size(usize::MAX);
            let (mut receiver, sender) = open(stream, role, &config).into_split().unwrap();
            let sending = thread::spawn(move || {
                for round in 0..ROUNDS {
                    sender.send(vec![round; 4 << 20]).unwrap();
                    (0..200).for_each(|_| sender.feed(vec![round; 10_000]).unwrap());
                    sender.ping(b"still there?").unwrap();
                }
                sender.send("done").unwrap();
                sender
            });
            let mut bytes = 0;
            while let Some(Message::Binary(data)) = receiver.recv().unwrap() {
                assert!(data.iter().all(|byte| *byte == data[0]));
                bytes += data.len();
            }
            assert_eq!(bytes, ROUNDS as usize * ((4 << 20) + 200 * 10_000));
            drop(sending.join().unwrap());
            receiver.drain().unwrap();
            assert!(receiver.closure().unwrap().was_clean);
        })
    };
    let ends = [end(ours, Role::Client), end(theirs, Role::Server)];
    in_time(Duration::from_secs(20), || ends.map(|end| end.join().unwrap()));
}

#[test]
fn l4_many_senders_and_pings_both_ways() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 300;
    let (ours, theirs) = tcp();
    let end = |stream: TcpStream, role| {
        thread::spawn(move || {
            let config = FAST.ping_interval(Some(Duration::from_millis(1))).write_timeout(Some(SOON));
            let config = config.pong_timeout(Some(SOON)).close_timeout(Some(SOON)).outbox_high_water(500);
            let (mut receiver, sender) = open(stream, role, &config).into_split().unwrap();
            let sending: Vec<_> = (0..SENDERS)
                .map(|number| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        for count in 0..MESSAGES {
                            match count % 3 {
                                0 => sender.send(format!("{number} {count}")).unwrap(),
                                1 => sender.feed(format!("{number} {count}")).unwrap(),
                                _ => while sender.try_send(format!("{number} {count}")).is_err() {},
                            }
                        }
                        sender.flush().unwrap();
                    })
                })
                .collect();
            let mut next = [0; SENDERS];
            while next != [MESSAGES; SENDERS] {
                let message = receiver.recv().unwrap().unwrap();
                let (number, count) = message.as_text().unwrap().split_once(' ').unwrap();
                let expected = &mut next[number.parse::<usize>().unwrap()];
                assert_eq!(count, expected.to_string(), "in order, and none twice");
                *expected += 1;
            }
            sending.into_iter().for_each(|sending| sending.join().unwrap());
            drop(sender);
            receiver.drain().unwrap();
            let closure = receiver.closure().unwrap();
            assert_eq!((closure.code, closure.was_clean), (CloseCode::NORMAL, true));
        })
    };
    let ends = [end(ours, Role::Client), end(theirs, Role::Server)];
    in_time(Duration::from_secs(10), || ends.map(|end| end.join().unwrap()));
}

#[test]
fn l1_close_of_a_split_connection_ends_at_its_deadline() {
    for role in ROLES {
        let (ours, _silent) = tcp();
        let (mut receiver, sender) = open(ours, role, &FAST).into_split().unwrap();
        let receiving = thread::spawn(move || receiver.drain());
        thread::sleep(Duration::from_millis(20)); // the receiver waits for the peer by now
        sender.close(CloseCode::NORMAL, "").unwrap();
        assert!(sender.is_closed());
        assert!(matches!(sender.send("late"), Err(Error::Send(SendErrorKind::Closed))));
        let result = in_time(SOON, || receiving.join().unwrap());
        assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
    }
}

#[test]
fn l10_a_stalled_sender_is_known_to_both_ends() {
    for role in ROLES {
        let (ours, mut theirs) = tcp();
        let (mut receiver, sender) = open(ours, role, &FAST).into_split().unwrap();
        let receiving = thread::spawn(move || receiver.drain());
        let waiting = thread::spawn({
            let sender = sender.clone();
            move || {
                thread::sleep(Duration::from_millis(20));
                sender.send("behind it")
            }
        });
        // A ping on the way in must not make the receiver wait for the writer.
        theirs.write_all(&encode(other(role), |writer| writer.ping(b"").unwrap())).unwrap();
        let result = in_time(SOON, || sender.send(vec![0; 32 << 20]));
        assert!(matches!(result, Err(Error::Send(SendErrorKind::Ended))), "{result:?}");
        assert!(waiting.join().unwrap().is_err());
        let result = in_time(SOON, || receiving.join().unwrap());
        assert!(matches!(result, Err(Error::Timeout(Timeout::Write))), "{result:?}");
    }
}

#[test]
fn l8_a_split_connection_finds_a_silent_peer() {
    let (ours, _silent) = tcp();
    let config = FAST.ping_interval(Some(Duration::from_millis(30)));
    let (mut receiver, sender) = open(ours, Role::Client, &config).into_split().unwrap();
    let result = in_time(SOON, || receiver.drain());
    assert!(matches!(result, Err(Error::Timeout(Timeout::Pong))), "{result:?}");
    assert!(receiver.next().is_none());
    assert!(sender.is_closed());
}

#[test]
fn replies_leave_while_the_application_only_receives() {
    for role in ROLES {
        let (ours, theirs) = tcp();
        let (mut receiver, sender) = open(ours, role, &Config::DEFAULT).into_split().unwrap();
        let receiving = thread::spawn(move || receiver.drain());
        let mut peer = open(theirs, other(role), &Config::DEFAULT);
        peer.ping(b"now").unwrap();
        assert_eq!(peer.recv_event().unwrap(), Some(Event::Pong(b"now".into())));
        // Close by the peer: the receiver answers, and a server leaves first.
        in_time(SOON, || peer.close(CloseCode::NORMAL, "")).unwrap();
        receiving.join().unwrap().unwrap();
        drop(sender);
    }
}

#[test]
fn the_last_sender_closes() {
    for role in ROLES {
        let (ours, theirs) = tcp();
        let (mut receiver, sender) = open(ours, role, &Config::DEFAULT).into_split().unwrap();
        let clone = sender.clone();
        drop(sender);
        clone.feed("last words").unwrap();
        drop(clone);
        let mut peer = open(theirs, other(role), &Config::DEFAULT);
        assert_eq!(peer.recv().unwrap().unwrap().as_text(), Some("last words"));
        let receiving = thread::spawn(move || receiver.drain());
        assert!(in_time(SOON, || peer.recv().unwrap().is_none()));
        assert_eq!(peer.closure().unwrap().code, CloseCode::NORMAL);
        receiving.join().unwrap().unwrap();
    }
}

#[test]
fn reunited() {
    let (ours, theirs) = tcp();
    let peer = thread::spawn(move || echo(&mut open(theirs, Role::Server, &Config::DEFAULT)).1.unwrap());
    let mut ws = open(ours, Role::Client, &Config::DEFAULT);
    ws.feed("one").unwrap(); // still in the outbox when it is split
    let (receiver, sender) = ws.into_split().unwrap();
    let (receiver, sender) = receiver.reunite(sender).unwrap_err(); // it still is
    sender.flush().unwrap();
    let clone = sender.clone();
    let (receiver, sender) = receiver.reunite(sender).unwrap_err(); // another sender
    drop(clone);
    let mut ws = receiver.reunite(sender).unwrap();
    ws.send("two").unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("one"));
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("two"));
    ws.close(CloseCode::NORMAL, "").unwrap();
    peer.join().unwrap();
}

#[test]
fn two_halves_of_another_kind() {
    let (their_read, our_write) = io::pipe().unwrap();
    let (our_read, their_write) = io::pipe().unwrap();
    let agreed = Agreed::default;
    let peer = thread::spawn(move || {
        let (read, write) = (Untimed(their_read), Untimed(their_write));
        let (mut receiver, sender) = from_halves(read, write, Role::Server, agreed(), &Config::DEFAULT, &[]);
        while let Some(message) = receiver.recv().unwrap() {
            sender.send(message).unwrap();
        }
    });
    let (read, write) = (Untimed(our_read), Untimed(our_write));
    let (mut receiver, sender) = from_halves(read, write, Role::Client, agreed(), &Config::DEFAULT, &[]);
    sender.send("Hello").unwrap();
    assert_eq!(receiver.recv().unwrap().unwrap().as_text(), Some("Hello"));
    sender.close(CloseCode::NORMAL, "").unwrap();
    // A pipe has no half to shut down: the end of the stream comes when the peer's ends are dropped.
    receiver.drain().unwrap();
    peer.join().unwrap();
}

#[test]
fn l9_a_full_outbox_counts_what_is_being_written() {
    let (ours, theirs) = tcp();
    let config = Config::DEFAULT.outbox_capacity(1 << 20);
    let (_receiver, sender) = open(ours, Role::Server, &config).into_split().unwrap();
    let writing = thread::spawn({
        let sender = sender.clone();
        move || sender.send(vec![0; 32 << 20])
    });
    let mut refused = None;
    while refused.is_none() && !writing.is_finished() {
        refused = sender.try_send("one more").err();
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), SendErrorKind::Full);
    assert_eq!(refused.into_message().unwrap().as_text(), Some("one more"));
    assert_eq!(sender.try_send_prepared(&Prepared::new("nor this")).unwrap_err().kind(), SendErrorKind::Full);
    drop(theirs);
    assert!(writing.join().unwrap().is_err());
}
