//! The extractor in a real axum server on loopback.
#![cfg(all(feature = "http2", feature = "deflate"))]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sockeye::handshake::RejectReason;
use sockeye::tokio::{Shutdown, WebSocket as Client};
use sockeye::{CloseCode, Config, Deflate, Error, HandshakeError, Origins, Role, client};
use sockeye_axum::{Rejection, WebSocket, WebSocketUpgrade};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(10);

fn app() -> Router {
    Router::new()
        .route("/echo", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)))
        .route("/chat", any(chat))
        .route("/any", any(async |upgrade: WebSocketUpgrade| upgrade.origins(Origins::Any).on_upgrade(echo)))
        .route("/list", any(list))
        .route("/page", any(page))
}

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    let config = Config::DEFAULT.max_message_size(5).deflate(Some(Deflate::DEFAULT));
    let upgrade = upgrade.config(config).protocols(["v2.chat", "chat"]);
    assert_eq!(upgrade.requested_protocols().collect::<Vec<_>>(), ["chat", "v2.chat"]);
    assert_eq!(upgrade.selected_protocol(), Some("v2.chat"), "the first of the server's");
    upgrade.on_upgrade(echo)
}

async fn list(upgrade: WebSocketUpgrade) -> Response {
    let allowed = [String::from("https://example.com")];
    upgrade.origins(Origins::List(&allowed.each_ref().map(String::as_str))).on_upgrade(echo)
}

/// A page and a WebSocket on one path.
async fn page(upgrade: Result<WebSocketUpgrade, Rejection>) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(echo),
        Err(rejection) if *rejection.reason() == RejectReason::Upgrade => "a page".into_response(),
        Err(rejection) => rejection.into_response(),
    }
}

async fn echo(mut ws: WebSocket) {
    let echoed: Result<(), Error> = async {
        while let Some((message, writer)) = ws.recv_with_writer().await? {
            writer.send(message)?;
        }
        Ok(())
    }
    .await;
    let _ = echoed; // the client sees what it sees
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn get(path: &str) -> client::Request {
    client::Request::get(&format!("ws://localhost{path}")).expect("a URL")
}

async fn connect(
    address: SocketAddr,
    request: client::Request,
    config: &Config,
) -> Result<(Client<TcpStream>, client::Response), Error> {
    Client::client_with(TcpStream::connect(address).await.expect("connected"), request, config).await
}

async fn refused(address: SocketAddr, request: client::Request) -> (u16, String) {
    match connect(address, request, &Config::DEFAULT).await.expect_err("refused") {
        Error::Handshake(HandshakeError::Refused(refusal)) => {
            (refusal.status(), String::from_utf8_lossy(refusal.body()).into_owned())
        }
        error => panic!("{error}"),
    }
}

/// What the server answers to a plain request.
async fn answer(address: SocketAddr, request: Request<Empty<Bytes>>) -> Response<String> {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("connected"));
    let (mut sender, connection) = conn::http1::handshake(stream).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Response::from_parts(parts, String::from_utf8(body.into()).expect("text"))
}

#[tokio::test]
async fn a_client_of_ours_is_echoed() {
    let address = serve(app()).await;
    let (mut ws, _) = connect(address, get("/echo"), &Config::DEFAULT).await.expect("accepted");
    let long = "x".repeat(1 << 19);
    for text in ["Hello", &long] {
        ws.send(text).await.expect("sent");
        assert_eq!(ws.recv().await.expect("received").expect("an echo").as_text(), Some(text));
    }
    ws.close(CloseCode::NORMAL, "bye").await.expect("closed");
    assert!(ws.closure().expect("ended").was_clean);
}

#[tokio::test]
async fn subprotocol_configuration_and_compression_are_the_handlers() {
    let address = serve(app()).await;
    let config = Config::DEFAULT.deflate(Some(Deflate::DEFAULT));
    let request = get("/chat").protocol("chat").protocol("v2.chat");
    let (mut ws, response) = connect(address, request, &config).await.expect("accepted");
    assert_eq!(ws.agreed().subprotocol(), Some("v2.chat"));
    assert!(response.headers().get("Sec-WebSocket-Extensions").is_some());
    ws.send("Hello").await.expect("sent");
    assert_eq!(ws.recv().await.expect("received").expect("an echo").as_text(), Some("Hello"));
    ws.send("longer").await.expect("sent");
    assert!(ws.recv().await.expect("a Close").is_none());
    assert_eq!(ws.closure().expect("ended").code, CloseCode::MESSAGE_TOO_BIG);
}

#[tokio::test]
async fn h10_pages_of_other_sites_are_refused_until_they_are_allowed() {
    let address = serve(app()).await;
    let from = |path, origin: &str| get(path).origin(origin);
    let (status, body) = refused(address, from("/echo", "https://evil.example")).await;
    assert_eq!(status, 403);
    assert!(body.contains("https://evil.example") && body.contains("localhost"), "{body}");
    assert_eq!(refused(address, from("/list", "https://evil.example")).await.0, 403);
    assert_eq!(refused(address, from("/list", "http://localhost")).await.0, 403);
    for (path, origin) in
        [("/echo", "http://localhost"), ("/any", "https://evil.example"), ("/list", "https://example.com")]
    {
        assert!(connect(address, from(path, origin), &Config::DEFAULT).await.is_ok(), "{path} {origin}");
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_answered_as_sockeye_does() {
    let address = serve(app()).await;
    let request = |method: Method, path: &str| {
        Request::builder().method(method).uri(path).header("Host", "localhost").body(Empty::new()).expect("a request")
    };
    let response = answer(address, request(Method::GET, "/echo")).await;
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert!(response.body().contains("no WebSocket handshake"), "{}", response.body());
    let response = answer(address, request(Method::POST, "/echo")).await;
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET".parse().expect("a value"))
    );
    let response = answer(address, request(Method::GET, "/page")).await;
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, "a page"));
    assert!(connect(address, get("/page"), &Config::DEFAULT).await.is_ok());
}

#[tokio::test]
async fn rfc_8441_5_a_stream_of_http_2_carries_a_connection() {
    let address = serve(app()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("connected"));
    let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = |protocol, path| {
        let request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
        let request = request.uri(format!("http://localhost/{path}")).header("Sec-WebSocket-Version", "13");
        let request = request.header("Sec-WebSocket-Protocol", "chat, v2.chat");
        request.extension(hyper::ext::Protocol::from_static(protocol)).body(Empty::<Bytes>::new()).expect("a request")
    };
    // The server allows extended CONNECT in its settings, which come before its first response.
    let plain = Request::get("http://localhost/echo").body(Empty::new()).expect("a request");
    let response = sender.send_request(plain).await.expect("a response");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let response = sender.send_request(request("connect-udp", "echo")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    assert!(response.headers().get("connection").is_none());
    let mut response = sender.send_request(request("websocket", "chat")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "v2.chat");
    let upgraded = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("a stream"));
    let mut ws = Client::open(upgraded, Role::Client, sockeye::Agreed::default(), &Config::DEFAULT, &[]);
    ws.send("Hello").await.expect("sent");
    assert_eq!(ws.recv().await.expect("received").expect("an echo").as_text(), Some("Hello"));
    ws.close(CloseCode::NORMAL, "").await.expect("closed");
}

#[tokio::test]
async fn a_failed_upgrade_is_told() {
    let (told, mut failures) = mpsc::unbounded_channel();
    let handler = async move |upgrade: WebSocketUpgrade| {
        let on_failure = move |error| drop(told.send(format!("{error}")));
        upgrade.on_failed_upgrade(on_failure).on_upgrade(async |_| panic!("nothing was upgraded"))
    };
    let service = TowerToHyperService::new(Router::new().route("/", any(handler)));
    let (client, server) = tokio::io::duplex(1 << 12);
    // A server that does not hand its streams out.
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service));
    assert!(Client::client(client, get("/")).await.is_ok(), "the response is sent");
    let failure = timeout(PATIENCE, failures.recv()).await.expect("told").expect("a failure");
    assert!(failure.contains("upgrade"), "{failure}");
}

#[tokio::test]
async fn without_a_server_nothing_is_upgraded() {
    let app = Router::new().route("/", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)));
    let request = Request::get("/").header("Host", "localhost").header("Upgrade", "websocket");
    let request = request.header("Connection", "upgrade").header("Sec-WebSocket-Version", "13");
    let request = request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").body(Body::empty());
    let response = TowerToHyperService::new(app).call(request.expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_shutdown_ends_what_axum_does_not_know_any_more() {
    let shutdown = Arc::new(Shutdown::new());
    let watching = shutdown.clone();
    let handler =
        async move |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async move |ws| echo(watching.watch(ws)).await);
    let address = serve(Router::new().route("/", any(handler))).await;
    let (mut ws, _) = connect(address, get("/"), &Config::DEFAULT).await.expect("accepted");
    ws.send("Hello").await.expect("sent");
    assert!(ws.recv().await.expect("received").is_some());
    let begun = shutdown.begin(CloseCode::GOING_AWAY, "", sleep(PATIENCE));
    let (gone, received) = tokio::join!(begun, ws.recv());
    assert_eq!(gone.expect("a valid Close").in_time, 1);
    assert!(received.expect("a Close").is_none());
    assert_eq!(ws.closure().expect("ended").code, CloseCode::GOING_AWAY);
}
