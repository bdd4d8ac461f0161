//! `guard PATH COUNT`: does one thing COUNT times, for `run` to count the instructions of.

use std::hint::black_box;

use sockeye::{Agreed, Config, Connection, Event, Role};

/// A name, and what is done so many times.
type Path = (&'static str, fn(usize));

const PATHS: &[Path] = &[
    ("receive text 0", |count| receive(0x81, 0, count)),
    ("receive text 16", |count| receive(0x81, 16, count)),
    ("receive text 125", |count| receive(0x81, 125, count)),
    ("receive text 1024", |count| receive(0x81, 1024, count)),
    ("receive binary 16384", |count| receive(0x82, 16_384, count)),
    ("receive text 2 x 16", receive_fragments),
    ("receive ping", |count| receive(0x89, 16, count)),
    ("send 16", |count| send(Role::Server, 16, count)),
    ("send 1024", |count| send(Role::Server, 1024, count)),
    ("send masked 16", |count| send(Role::Client, 16, count)),
    ("send masked 1024", |count| send(Role::Client, 1024, count)),
    ("echo text 16", echo),
];

/// Without the generator, whose batches would be counted now and then.
const CONFIG: Config = Config::new(|| [1, 2, 3, 4]);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, count] = &args[..] else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, run) = PATHS.iter().find(|(name, _)| name == path).expect("a path");
    run(count.parse().expect("a number"));
}

fn open(role: Role) -> Connection {
    Connection::open(role, Agreed::default(), &CONFIG)
}

/// A masked frame.
fn frame(first: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![first];
    if len < 126 {
        frame.push(0x80 | len as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend((len as u16).to_be_bytes());
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(std::iter::repeat_n(b'a', len).zip([1, 2, 3, 4].into_iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Each message is copied to where a read would bring it, and followed by a call that finds nothing.
fn receive(first: u8, len: usize, count: usize) {
    let mut connection = open(Role::Server);
    take(&mut connection, &frame(first, len), count);
}

fn receive_fragments(count: usize) {
    let mut connection = open(Role::Server);
    take(&mut connection, &[frame(0x01, 16), frame(0x80, 16)].concat(), count);
}

fn take(connection: &mut Connection, wire: &[u8], count: usize) {
    let mut room = wire.to_vec();
    for _ in 0..count {
        room.copy_from_slice(wire);
        let mut input = &mut room[..];
        while let Some(event) = connection.next(&mut input).expect("valid") {
            black_box(&event);
        }
        leave(connection);
    }
}

fn send(role: Role, len: usize, count: usize) {
    let mut connection = open(role);
    let text = "a".repeat(len);
    for _ in 0..count {
        connection.writer().send(black_box(&text)).expect("room");
        leave(&mut connection);
    }
}

fn echo(count: usize) {
    let mut connection = open(Role::Server);
    let wire = frame(0x81, 16);
    let mut room = wire.clone();
    for _ in 0..count {
        room.copy_from_slice(&wire);
        let mut input = &mut room[..];
        while let Some((event, writer)) = connection.next_with_writer(&mut input).expect("valid") {
            if let Event::Message(message) = event {
                writer.send(message).expect("room");
            }
        }
        leave(&mut connection);
    }
}

/// What waits leaves at once.
fn leave(connection: &mut Connection) {
    let outbox = connection.writer().outbox();
    if outbox.queued() > 0 {
        let count = black_box(outbox.chunk()).len();
        outbox.advance(count);
    }
}
