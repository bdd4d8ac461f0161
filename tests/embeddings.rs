//! Protocols of others over this library, as their authors would write them.

#[path = "support/counting.rs"]
mod counting;

use std::future::poll_fn;
use std::time::Duration;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use sockeye::{Config, Message, futures};
use tokio::task::JoinSet;
use tokio::time::timeout;
use yamux::{Connection, Mode};

/// The transport of Engine.IO (protocol 4): a digit before each text packet, binary packets as they are.
mod engine_io {
    use bytes::Bytes;
    use sockeye::tokio::{Receiver, Sender};
    use sockeye::{Error, Message};
    use tokio::io::{AsyncRead, AsyncWrite};

    #[derive(Debug, PartialEq)]
    pub enum Packet {
        Ping,
        Pong,
        /// UTF-8.
        Text(Bytes),
        Binary(Bytes),
    }

    /// Sends packets together.
    pub async fn send<S>(sender: &Sender<S>, packets: impl IntoIterator<Item = Packet>) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        for packet in packets {
            match packet {
                Packet::Ping => sender.feed("2").await?,
                Packet::Pong => sender.feed("3").await?,
                Packet::Binary(bytes) => sender.feed(bytes).await?,
                Packet::Text(bytes) => {
                    let text = std::str::from_utf8(&bytes).expect("UTF-8");
                    sender.feed(format!("4{text}")).await?;
                }
            }
        }
        sender.flush().await
    }

    /// The next packet. Its payload is the message's own memory behind the digit.
    pub async fn receive<S>(receiver: &mut Receiver<S>) -> Result<Option<Packet>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Ok(receiver.recv().await?.map(|message| match message {
            Message::Binary(payload) => Packet::Binary(payload.into_bytes()),
            Message::Text(text) if *text == *"2" => Packet::Ping,
            Message::Text(text) if *text == *"3" => Packet::Pong,
            Message::Text(text) => Packet::Text(text.into_bytes().slice(1..)),
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn engine_io_packets_leave_together_and_come_out_without_a_copy() {
    use engine_io::{Packet, receive, send};
    const LARGE: usize = 700_000;
    // Nothing wakes the task but the pair.
    let (client, server) = sockeye::tokio::WebSocket::pair_with(&Config::DEFAULT.ping_interval(None));
    let ((mut at_client, from_client), (mut at_server, from_server)) = (client.into_split(), server.into_split());

    // What was fed leaves together.
    let polls = (0..100).map(|_| Packet::Ping).chain([Packet::Pong]);
    from_client.feed("4first").await.expect("room");
    assert_eq!(from_client.queued(), 2 + 4 + 6, "a header, a key, and a payload that wait");
    send(&from_client, polls).await.expect("open");
    assert_eq!(from_client.queued(), 0);
    assert_eq!(receive(&mut at_server).await.expect("open"), Some(Packet::Text("first".into())));
    for _ in 0..100 {
        assert_eq!(receive(&mut at_server).await.expect("open"), Some(Packet::Ping));
    }
    assert_eq!(receive(&mut at_server).await.expect("open"), Some(Packet::Pong));

    // A large text is moved into the outbox, and out of the message it came in.
    let text = "x".repeat(LARGE);
    let binary = bytes::Bytes::from(vec![7; LARGE]);
    let before = counting::counters().allocated;
    from_server.feed(text.clone()).await.expect("room");
    let fed = counting::counters().allocated - before;
    assert!(fed < LARGE + 4_096, "the clone alone, not {fed} bytes");
    let receiving = async {
        let message = at_client.recv().await.expect("open").expect("a message");
        let at = message.as_bytes().as_ptr();
        let before = counting::counters().allocated;
        let moved = message.into_string().expect("text");
        let allocated = counting::counters().allocated - before;
        assert!(allocated < 1_000 || moved.as_ptr() == at, "{allocated} bytes");
        assert!(moved == text);
        receive(&mut at_client).await.expect("open")
    };
    let packets = [Packet::Binary(binary.clone())];
    let (packet, sent) = tokio::join!(receiving, send(&from_server, packets));
    sent.expect("open");
    assert_eq!(packet, Some(Packet::Binary(binary)));

    // Dropping the sender is the end.
    drop(from_client);
    let (server_end, client_end) = tokio::join!(receive(&mut at_server), receive(&mut at_client));
    assert_eq!((server_end.expect("clean"), client_end.expect("clean")), (None, None));
}

#[tokio::test(start_paused = true)]
async fn engine_io_payloads_stay_where_the_message_was_put_together() {
    let (mut client, mut server) = sockeye::tokio::WebSocket::pair();
    let large = format!("4{}", "ä".repeat(400_000));
    let receiving = async {
        let message = client.recv().await.expect("open").expect("a message");
        let Message::Text(text) = message else { panic!("binary") };
        let at = text.as_ptr();
        let bytes = text.into_bytes();
        let payload = bytes.slice(1..);
        assert_eq!(payload.as_ptr(), at.wrapping_add(1), "moved, not copied");
        payload
    };
    let (payload, sent) = tokio::join!(receiving, server.send(&large));
    sent.expect("open");
    assert!(payload == large.as_bytes()[1..]);
}

/// Many streams over one connection, both ways, with the flow control of yamux.
#[tokio::test(start_paused = true)]
async fn a_yamux_tunnel_carries_many_streams_of_megabytes() {
    const STREAMS: usize = 8;
    const LEN: usize = 1 << 20;
    let talk = async {
        let (client, server) = futures::WebSocket::pair_with(&Config::DEFAULT.ping_interval(None));
        let mut server = Connection::new(server.into_bytes(), yamux::Config::default(), Mode::Server);
        let serving = tokio::spawn(async move {
            let mut echoes = JoinSet::new();
            while let Some(stream) = poll_fn(|cx| server.poll_next_inbound(cx)).await {
                let (mut reader, mut writer) = stream.expect("open").split();
                echoes.spawn(async move {
                    futures_util::io::copy(&mut reader, &mut writer).await.expect("open");
                    writer.close().await.expect("open");
                });
            }
            echoes.join_all().await.len()
        });

        let mut client = Connection::new(client.into_bytes(), yamux::Config::default(), Mode::Client);
        let mut asking = JoinSet::new();
        for index in 0..STREAMS {
            let stream = poll_fn(|cx| client.poll_new_outbound(cx)).await.expect("open");
            asking.spawn(exchange(stream, index));
        }
        // Who drives the connection: until all streams are done, then to its end.
        let mut asking = Box::pin(asking.join_all());
        tokio::select! {
            _ = &mut asking => {}
            inbound = poll_fn(|cx| client.poll_next_inbound(cx)) => panic!("{inbound:?}"),
        }
        poll_fn(|cx| client.poll_close(cx)).await.expect("a clean end");
        assert_eq!(serving.await.expect("no panic"), STREAMS);
    };
    async fn exchange(stream: yamux::Stream, index: usize) {
        let data: Vec<u8> = (0..LEN).map(|at| (at * 31 + index) as u8).collect();
        let (mut reader, mut writer) = stream.split();
        let send = async {
            writer.write_all(&data).await.expect("open");
            writer.close().await.expect("open");
        };
        let mut echo = Vec::new();
        let (_, read) = tokio::join!(send, reader.read_to_end(&mut echo));
        read.expect("open");
        assert!(echo == data, "stream {index}");
    }
    timeout(Duration::from_secs(3600), talk).await.expect("no hang");
}
