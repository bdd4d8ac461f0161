//! A client like those that run commands in a cluster: hyper sends the request and hands its stream over, sockeye judges
//! the response and speaks on the stream. Each message begins with the number of a channel; no payload is copied to get
//! that byte in front of it, or away from it.

use std::convert::Infallible;
use std::future::ready;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, client as http_client, server as http_server, upgrade};
use hyper_util::rt::TokioIo;
use sockeye::handshake::{HandshakeError, nonce};
use sockeye::tokio::WebSocket;
use sockeye::{Agreed, CloseCode, Config, Error, Kind, Message, Origins, Reject, Role, client, server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, duplex};

const SUBPROTOCOL: &str = "v4.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

/// A session in which a command runs.
struct Session {
    ws: WebSocket<TokioIo<Upgraded>>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Session {
    /// Asks for a session over a stream on which nothing was sent yet.
    async fn open(stream: DuplexStream) -> Result<Self, Failure> {
        let request =
            client::Request::get("ws://cluster/api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true")?;
        let request = request.protocol(SUBPROTOCOL).header("Authorization", "Bearer token");
        let (request, pending) = request.into_http(nonce(), &Config::DEFAULT)?;
        let (mut sender, connection) = http_client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let mut response = sender.send_request(request.map(|()| Empty::<Bytes>::new())).await?;
        let agreed = match pending.verify(&response) {
            Ok(agreed) => agreed,
            Err(error @ HandshakeError::Refused(_)) => {
                let body = response.into_body().collect().await?.to_bytes();
                return Err(format!("{error}: {}", String::from_utf8_lossy(&body)).into());
            }
            Err(error) => return Err(error.into()),
        };
        if agreed.subprotocol() != Some(SUBPROTOCOL) {
            return Err("the server does not speak of channels".into());
        }
        let stream = TokioIo::new(upgrade::on(&mut response).await?);
        Ok(Self { ws: WebSocket::open(stream, Role::Client, agreed, &Config::DEFAULT, &[]) })
    }

    async fn send<'m>(&mut self, channel: u8, payload: impl Into<Message<'m>>) -> Result<(), Error> {
        send(&mut self.ws, channel, payload).await
    }

    /// What comes next, lent; a message without a channel is the end as well.
    async fn recv(&mut self) -> Result<Option<Packet<'_>>, Error> {
        Ok(self.ws.recv().await?.and_then(Packet::new))
    }
}

/// A message with a channel.
struct Packet<'a>(Message<'a>);

impl<'a> Packet<'a> {
    fn new(message: Message<'a>) -> Option<Self> {
        (!message.as_bytes().is_empty()).then_some(Self(message))
    }

    fn channel(&self) -> u8 {
        self.0.as_bytes()[0]
    }

    fn payload(&self) -> &[u8] {
        &self.0.as_bytes()[1..]
    }

    /// The payload to keep: a large one is moved out of where it was put together.
    fn into_payload(self) -> Bytes {
        self.0.into_bytes().slice(1..)
    }
}

/// Sends one message of two fragments, in one write: the channel's byte, and the payload from where it lies.
async fn send<'m, S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    channel: u8,
    payload: impl Into<Message<'m>>,
) -> Result<(), Error> {
    ws.ready().await?;
    let mut message = ws.writer().start(Kind::Binary)?;
    message.write(&[channel])?;
    message.finish_with(payload)?;
    ws.flush().await
}

/// Serves one connection with hyper, whose requests are answered so.
fn serve<B: Body<Data = Bytes, Error = Infallible> + Send + 'static>(
    respond: impl Fn(Request<Incoming>) -> Response<B> + Send + 'static,
) -> DuplexStream {
    let (client, stream) = duplex(1 << 16);
    let service = service_fn(move |request| ready(Ok::<_, Infallible>(respond(request))));
    let connection = http_server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::spawn(connection.with_upgrades());
    client
}

/// Accepts with these subprotocols, and echoes the input until `exit`.
fn session(mut request: Request<Incoming>, supported: &[&str]) -> Result<Response<()>, Reject> {
    let upgraded = upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let request = server::Request::from_http(&parts)?;
    assert_eq!(
        (request.path(), request.query()),
        ("/api/v1/namespaces/default/pods/web/exec", Some("command=sh&stdin=true"))
    );
    let (response, agreed) = request.accept(Origins::Same)?.select(supported).into_http()?;
    tokio::spawn(async move {
        let stream = TokioIo::new(upgraded.await?);
        run(WebSocket::open(stream, Role::Server, agreed, &Config::DEFAULT, &[])).await
    });
    Ok(response)
}

async fn run(mut ws: WebSocket<TokioIo<Upgraded>>) -> Result<(), Failure> {
    send(&mut ws, STDOUT, &[]).await?; // servers begin with an empty message on each channel
    while let Some(packet) = ws.recv().await?.and_then(Packet::new) {
        let (channel, payload) = (packet.channel(), packet.into_payload());
        match channel {
            STDIN if payload == "exit\n" => {
                send(&mut ws, STATUS, br#"{"status":"Success"}"#).await?;
                ws.close(CloseCode::NORMAL, "").await?;
            }
            STDIN => send(&mut ws, STDOUT, payload).await?,
            _ => {}
        }
    }
    Ok(())
}

fn agreeing(supported: &'static [&str]) -> DuplexStream {
    serve(move |request| session(request, supported).expect("a handshake").map(|()| Empty::new()))
}

#[tokio::test]
async fn a_session_over_channels() {
    let mut session = Session::open(agreeing(&[SUBPROTOCOL])).await.expect("a session");
    session.send(RESIZE, br#"{"Width":80,"Height":24}"#).await.expect("sent");
    let greeting = session.recv().await.expect("received").expect("a packet");
    assert_eq!((greeting.channel(), greeting.payload()), (STDOUT, &b""[..]));

    for payload in [&b"ls\n"[..], &[0; 1 << 19]] {
        session.send(STDIN, payload).await.expect("sent");
        let packet = session.recv().await.expect("received").expect("a packet");
        assert_eq!((packet.channel(), packet.payload()), (STDOUT, payload));
    }

    session.send(STDIN, b"exit\n").await.expect("sent");
    let status = session.recv().await.expect("received").expect("a packet");
    assert_eq!((status.channel(), status.into_payload()), (STATUS, Bytes::from(r#"{"status":"Success"}"#)));
    assert!(session.recv().await.expect("a Close").is_none());
    assert!(session.ws.closure().expect("ended").was_clean);
}

#[tokio::test]
async fn the_byte_and_the_payload_are_two_fragments_of_one_message() {
    let (end, mut peer) = duplex(1 << 12);
    let mut ws = WebSocket::open(end, Role::Server, Agreed::default(), &Config::DEFAULT, &[]);
    send(&mut ws, STDOUT, b"ls").await.expect("sent");
    let mut frames = [0; 7];
    peer.read_exact(&mut frames).await.expect("two frames");
    assert_eq!(frames, [0x02, 1, STDOUT, 0x80, 2, b'l', b's']);
}

#[tokio::test]
async fn h6_a_response_that_is_none_fails() {
    let refused = serve(|_| Response::builder().status(403).body(String::from("no such pod")).expect("a response"));
    let error = Session::open(refused).await.err().expect("refused").to_string();
    assert!(error.contains("403") && error.contains("no such pod"), "{error}");

    let error = Session::open(agreeing(&[])).await.err().expect("no subprotocol").to_string();
    assert!(error.contains("channels"), "{error}");

    let client = serve(|_| {
        let response = Response::builder().status(101).header("Upgrade", "websocket").header("Connection", "Upgrade");
        let of_another_key = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        response.header("Sec-WebSocket-Accept", of_another_key).body(Empty::new()).expect("a response")
    });
    let error = Session::open(client).await.err().expect("another key");
    assert_eq!(error.downcast_ref(), Some(&HandshakeError::Accept));
}
