//! Both drivers against a proxy that plays a script, at once and a byte at a time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::format;
use std::io::{self, Read, Write};
use std::string::ToString;
use std::vec::Vec;

use super::{Proxy, ProxyError, ProxyServer, ProxyUrlError, SocksReply, tunnel_blocking};
use crate::config::Config;
use crate::connect::ConnectError;
use crate::handshake::HeadError;
use crate::io::Timeout;

const HTTP: &str = "http://proxy.example:3128";
const SOCKS: &str = "socks5://proxy.example";
const CONNECT: &[u8] = b"CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\n\r\n";

/// Which bytes the proxy waits for, and what it then says.
type Turn<'a> = (&'a [u8], &'a [u8]);

/// A stream to a proxy that plays its turns and then ends the stream.
struct Script {
    turns: VecDeque<(Vec<u8>, Vec<u8>)>,
    readable: VecDeque<u8>,
    /// The most bytes that one call moves.
    piece: usize,
}

impl Script {
    fn new(turns: &[Turn<'_>], piece: usize) -> Self {
        let turns = turns.iter().map(|(request, answer)| (request.to_vec(), answer.to_vec())).collect();
        Self { turns, readable: VecDeque::new(), piece }
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.piece);
        self.readable.read(&mut buffer[..room])
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (request, answer) = self.turns.front_mut().expect("the proxy is asked no more than this");
        let count = bytes.len().min(self.piece);
        let expected: Vec<u8> = request.drain(..count.min(request.len())).collect();
        assert_eq!(bytes[..count].escape_ascii().to_string(), expected.escape_ascii().to_string());
        if request.is_empty() {
            self.readable.extend(answer.drain(..));
            self.turns.pop_front();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn server(url: &str) -> ProxyServer {
    ProxyServer::parse(url).expect("a proxy's URL")
}

/// What becomes of a tunnel through this script with both drivers, which is the same.
fn tunnel(url: &str, host: &str, turns: &[Turn<'_>]) -> Result<(), ProxyError> {
    let proxy = server(url);
    let mut outcome = None;
    for piece in [1, usize::MAX] {
        let blocking = tunnel_blocking(&proxy, Script::new(turns, piece), host, 80, &Config::DEFAULT);
        let results = [
            blocking.map(|script| script.turns.len()),
            #[cfg(feature = "tokio")]
            over_tokio::tunnel(&proxy, Script::new(turns, piece), host).map(|script| script.turns.len()),
        ];
        for result in results {
            let said = format!("{result:?}");
            let first = outcome.get_or_insert_with(|| (said.clone(), result));
            assert_eq!(said, first.0);
        }
    }
    outcome.expect("an outcome").1.map(|turns_left| assert_eq!(turns_left, 0))
}

#[cfg(feature = "tokio")]
mod over_tokio {
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

    use super::super::tunnel_tokio;
    use super::*;

    /// The script, never ready at once.
    struct Pending {
        script: Script,
        is_ready: bool,
    }

    impl Pending {
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<&mut Script> {
            self.is_ready = !self.is_ready;
            if self.is_ready {
                return Poll::Ready(&mut self.script);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    impl AsyncRead for Pending {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.poll_ready(cx).map(|script| {
                let count = script.read(buffer.initialize_unfilled())?;
                buffer.advance(count);
                Ok(())
            })
        }
    }

    impl AsyncWrite for Pending {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_ready(cx).map(|script| script.write(bytes))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    pub(super) fn tunnel(proxy: &ProxyServer, script: Script, host: &str) -> Result<Script, ProxyError> {
        fn is_send<F: Send>(future: F) -> F {
            future
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let stream = Pending { script, is_ready: false };
        let made = runtime.block_on(is_send(tunnel_tokio(proxy, stream, host, 80, &Config::DEFAULT)));
        made.map(|stream| stream.script)
    }

    /// The deadline is the caller's: whatever the tunnel waits for, dropping it closes the stream.
    #[tokio::test(start_paused = true)]
    async fn a_silent_proxy_sees_the_end_of_the_stream_when_the_deadline_passes() {
        let half_answers = [(HTTP, &b""[..]), (HTTP, b"HTTP/1.1 200 O"), (SOCKS, b""), (SOCKS, b"\x05")];
        for (url, half_answer) in half_answers {
            let (stream, mut at_proxy) = tokio::io::duplex(1024);
            tokio::io::AsyncWriteExt::write_all(&mut at_proxy, half_answer).await.expect("room");
            let proxy = server(url);
            let tunnel = tunnel_tokio(&proxy, stream, "server.example", 80, &Config::DEFAULT);
            assert!(tokio::time::timeout(Duration::from_secs(10), tunnel).await.is_err());
            let mut request = Vec::new();
            at_proxy.read_to_end(&mut request).await.expect("an end, not an error");
            assert!(!request.is_empty());
        }
    }

    /// TLS to the proxy may keep what is written until it is flushed.
    #[tokio::test]
    async fn what_is_asked_is_flushed_before_the_answer_is_waited_for() {
        for (url, answers) in [(HTTP, &[&b"HTTP/1.1 200 OK\r\n\r\n"[..]][..]), (SOCKS, &[NO_AUTHENTICATION, SUCCESS])] {
            let (stream, mut at_proxy) = tokio::io::duplex(1024);
            let proxy = async {
                for answer in answers {
                    assert!(at_proxy.read(&mut [0; 1024]).await.expect("a request") > 0);
                    tokio::io::AsyncWriteExt::write_all(&mut at_proxy, answer).await.expect("room");
                }
            };
            let server = server(url);
            let stream = tokio::io::BufWriter::new(stream);
            let tunnel = tunnel_tokio(&server, stream, "server.example", 80, &Config::DEFAULT);
            let (made, ()) = tokio::join!(tunnel, proxy);
            made.expect("a tunnel");
        }
    }
}

#[test]
fn any_success_makes_the_tunnel() {
    let answers = [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 299 \r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    for answer in answers {
        tunnel(HTTP, "server.example", &[(CONNECT, answer.as_bytes())]).expect(answer);
    }
}

#[test]
fn credentials_go_to_an_http_proxy() {
    let cases = [
        ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("user:p%40s%3As%2Fw%23%25", "dXNlcjpwQHM6cy93IyU="), // p@s:s/w#%
        ("Ren%C3%A9:%E5%AF%86", "UmVuw6k65a+G"),              // UTF-8, as RFC 7617 §2.1 has it
        ("token", "dG9rZW46"),                                // no password
        (":secret", "OnNlY3JldA=="),                          // no user
    ];
    for (user_info, encoded) in cases {
        let url = format!("https://{user_info}@proxy.example");
        let request = format!(
            "CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\nProxy-Authorization: Basic {encoded}\r\n\r\n"
        );
        tunnel(&url, "server.example", &[(request.as_bytes(), b"HTTP/1.1 200 OK\r\n\r\n")]).expect(user_info);
    }
}

#[test]
fn an_ipv6_address_is_in_brackets_for_http() {
    let request = b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n";
    for host in ["[2001:db8::1]", "2001:db8::1"] {
        tunnel(HTTP, host, &[(request, b"HTTP/1.1 200 OK\r\n\r\n")]).expect(host);
    }
}

fn answered(url: &str, answer: &str) -> ProxyError {
    let request = match url {
        HTTP => CONNECT.to_vec(),
        _ => {
            let encoded = "Proxy-Authorization: Basic dTpw\r\n\r\n";
            [&CONNECT[..CONNECT.len() - 2], encoded.as_bytes()].concat()
        }
    };
    tunnel(url, "server.example", &[(&request, answer.as_bytes())]).expect_err(answer)
}

#[test]
fn a_proxy_that_wants_credentials_gets_the_blame_right() {
    let with = "http://u:p@proxy.example";
    let basic = "HTTP/1.1 407 \r\nProxy-Authenticate: Negotiate, basic realm=\"x\"\r\nContent-Length: 9\r\n\r\n";
    let silent = "HTTP/1.1 407 \r\n\r\n";
    let confused = "HTTP/1.0 401 Unauthorized\r\n\r\n";
    let other = "HTTP/1.1 407 \r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Digest realm=\"x\"\r\n\r\n";
    for answer in [basic, silent, confused] {
        assert!(matches!(answered(HTTP, answer), ProxyError::CredentialsRequired));
        assert!(matches!(answered(with, answer), ProxyError::CredentialsRejected));
    }
    for url in [HTTP, with] {
        assert!(matches!(answered(url, other), ProxyError::UnknownAuthentication));
    }
}

/// It tells its status without its body, which may never end.
#[test]
fn a_refusal_is_told_without_its_body() {
    let body = "x".repeat(100_000);
    for status in [101, 302, 400, 403, 404, 500, 503] {
        let answer = format!("HTTP/1.1 {status} No\r\nX-Why: rules\r\nContent-Length: 100000\r\n\r\n{body}");
        let error = answered(HTTP, &answer);
        let ProxyError::Refused(refusal) = &error else { panic!("{error}") };
        assert_eq!((refusal.status(), refusal.headers().get("X-Why")), (status, Some(&b"rules"[..])));
        assert_eq!(refusal.body(), b"");
        assert!(error.to_string().contains(&format!("status {status}")));
    }
}

#[test]
fn what_is_no_answer_is_an_error() {
    let endless_line = format!("HTTP/1.1 200 {}", "x".repeat(20_000));
    let endless_lines = format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(100));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
    let answers =
        ["SSH-2.0-x\r\n\r\n", "\r\n", "HTTP/2 200\r\n\r\n", "\x05\0", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 2xx\r\n\r\n"];
    for answer in answers.into_iter().chain([&*endless_line, &*endless_lines]) {
        assert!(matches!(answered(HTTP, answer), ProxyError::Head(_)), "{answer}");
    }
    assert!(matches!(answered(HTTP, &interim), ProxyError::TooManyInterim { limit: 8 }));
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        assert!(matches!(answered(HTTP, answer), ProxyError::Closed), "{answer}");
    }
}

/// The server has not been spoken to; what is there already is not from it. What comes later is TLS's to judge.
#[test]
fn bytes_behind_success_are_refused_or_left_in_the_stream() {
    let turns: [Turn<'_>; 1] = [(CONNECT, b"HTTP/1.1 200 OK\r\n\r\nforged")];
    let proxy = server(HTTP);
    let at_once = tunnel_blocking(&proxy, Script::new(&turns, usize::MAX), "server.example", 80, &Config::DEFAULT);
    assert!(matches!(at_once.err(), Some(ProxyError::EarlyData)));
    let one_by_one = tunnel_blocking(&proxy, Script::new(&turns, 1), "server.example", 80, &Config::DEFAULT);
    assert_eq!(one_by_one.ok().map(|script| script.readable), Some(b"forged".to_vec().into()));
}

const GREETING: &[u8] = b"\x05\x01\x00";
const NO_AUTHENTICATION: &[u8] = b"\x05\x00";
const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0eserver.example\x00\x50";
const SUCCESS: &[u8] = b"\x05\x00\x00\x01\x7f\0\0\x01\x04\x38";

#[test]
fn socks5_is_told_the_name() {
    let answers = [SUCCESS, b"\x05\0\0\x03\x03abc\0\0", b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0"];
    for answer in answers {
        for url in [SOCKS, "socks5h://proxy.example"] {
            tunnel(url, "server.example", &[(GREETING, NO_AUTHENTICATION), (REQUEST, answer)]).expect("a tunnel");
        }
    }
    let address = [(GREETING, NO_AUTHENTICATION), (&b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"[..], SUCCESS)];
    tunnel(SOCKS, "127.0.0.1", &address).expect("a tunnel");
    let mut request = b"\x05\x01\x00\x04".to_vec();
    request.extend([0; 15]);
    request.extend(b"\x01\x00\x50");
    tunnel(SOCKS, "[::1]", &[(GREETING, NO_AUTHENTICATION), (&request, SUCCESS)]).expect("a tunnel");
    assert!(matches!(tunnel(SOCKS, &"x".repeat(256), &[]), Err(ProxyError::HostTooLong)));
}

/// The server may be the one to speak first in a protocol that is not ours; a byte of it is not lost.
#[test]
fn socks5_reads_nothing_behind_its_answer() {
    let success = [SUCCESS, b"more"].concat();
    let script = Script::new(&[(GREETING, NO_AUTHENTICATION), (REQUEST, &success)], usize::MAX);
    let made = tunnel_blocking(&server(SOCKS), script, "server.example", 80, &Config::DEFAULT);
    assert_eq!(made.ok().map(|script| script.readable), Some(b"more".to_vec().into()));
}

#[test]
fn socks5_authenticates_with_user_and_password() {
    let with = "socks5://Ren%C3%A9:p%40ss@proxy.example";
    let greeting = &b"\x05\x02\x00\x02"[..];
    let password = "\x01\x05René\x04p@ss".as_bytes();
    let asked = (greeting, &b"\x05\x02"[..]);
    tunnel(with, "server.example", &[asked, (password, b"\x01\x00"), (REQUEST, SUCCESS)]).expect("a tunnel");
    tunnel(with, "server.example", &[(greeting, NO_AUTHENTICATION), (REQUEST, SUCCESS)]).expect("a tunnel");
    let rejected = tunnel(with, "server.example", &[asked, (password, b"\x01\x01")]);
    assert!(matches!(rejected, Err(ProxyError::CredentialsRejected)));
    let unknown = tunnel(with, "server.example", &[(greeting, b"\x05\xff")]);
    assert!(matches!(unknown, Err(ProxyError::UnknownAuthentication)));
    for method in [b"\x05\xff", b"\x05\x02"] {
        let required = tunnel(SOCKS, "server.example", &[(GREETING, method)]);
        assert!(matches!(required, Err(ProxyError::CredentialsRequired)));
    }
}

#[test]
fn each_socks5_reply_is_told() {
    let replies = [
        SocksReply::GeneralFailure,
        SocksReply::NotAllowed,
        SocksReply::NetworkUnreachable,
        SocksReply::HostUnreachable,
        SocksReply::ConnectionRefused,
        SocksReply::TtlExpired,
        SocksReply::CommandNotSupported,
        SocksReply::AddressNotSupported,
    ];
    for (code, expected) in (1..).zip(replies) {
        let answer = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        let error = tunnel(SOCKS, "server.example", &[(GREETING, NO_AUTHENTICATION), (REQUEST, &answer)]);
        assert!(matches!(error, Err(ProxyError::Socks(reply)) if reply == expected), "{code}");
    }
}

#[test]
fn what_is_not_socks5_is_an_error() {
    let wrong_greetings = [&b"\x04\x00"[..], b"HTTP/1.1 400 \r\n\r\n", b"\x05\x07"];
    for answer in wrong_greetings {
        assert!(matches!(tunnel(SOCKS, "server.example", &[(GREETING, answer)]), Err(ProxyError::NotSocks)));
    }
    let wrong_replies = [
        &b"\x05\x09\0\x01\0\0\0\0\0\0"[..],
        b"\x05\0\x01\x01\0\0\0\0\0\0",
        b"\x05\0\0\x09\0\0\0\0\0\0",
        b"\x05\0\0\x03\x01\xff\0\0",
    ];
    for answer in wrong_replies {
        let error = tunnel(SOCKS, "server.example", &[(GREETING, NO_AUTHENTICATION), (REQUEST, answer)]);
        assert!(matches!(error, Err(ProxyError::NotSocks)), "{}", answer.escape_ascii());
    }
    for count in 0..2 {
        let error = tunnel(SOCKS, "server.example", &[(GREETING, &NO_AUTHENTICATION[..count])]);
        assert!(matches!(error, Err(ProxyError::Closed)));
    }
    for count in 0..SUCCESS.len() {
        let turns = [(GREETING, NO_AUTHENTICATION), (REQUEST, &SUCCESS[..count])];
        assert!(matches!(tunnel(SOCKS, "server.example", &turns), Err(ProxyError::Closed)), "{count}");
    }
}

/// L5: a stream that takes nothing, claims more than it was given, or is interrupted.
#[test]
fn l5_no_stream_is_trusted() {
    struct Liar {
        script: Script,
        claim: usize,
        interrupted: Cell<bool>,
    }
    impl Liar {
        fn interrupt(&self) -> io::Result<()> {
            if self.interrupted.replace(!self.interrupted.get()) {
                Ok(())
            } else {
                Err(io::ErrorKind::Interrupted.into())
            }
        }
    }
    impl Read for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupt()?;
            self.script.read(buffer)?;
            Ok(self.claim)
        }
    }
    impl Write for Liar {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupt()?;
            self.script.write(bytes)?;
            Ok(self.claim)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (url, turn) in [(HTTP, (CONNECT, &b"HTTP"[..])), (SOCKS, (GREETING, b"HTTP"))] {
        for claim in [0, usize::MAX] {
            let stream = Liar { script: Script::new(&[turn], usize::MAX), claim, interrupted: Cell::new(false) };
            let error = tunnel_blocking(&server(url), stream, "server.example", 80, &Config::DEFAULT).err();
            match claim {
                0 => assert!(matches!(error, Some(ProxyError::Io(error)) if error.kind() == io::ErrorKind::WriteZero)),
                _ => assert!(matches!(error, Some(ProxyError::Head(_) | ProxyError::NotSocks))),
            }
        }
    }
}

#[test]
fn a_url_names_a_proxy_or_says_why_not() {
    let good = [
        ("http://proxy.example", "http://proxy.example:80"),
        ("http://proxy.example:3128/", "http://proxy.example:3128"),
        ("HTTPS://Proxy.Example", "https://proxy.example:443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("user:secret@10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("socks5://user:secret@proxy.example", "socks5://proxy.example:1080"),
        ("socks5h://[::1]:9050", "socks5://[::1]:9050"),
    ];
    for (url, shown) in good {
        let server = server(url);
        assert_eq!(format!("{server:?}"), shown);
        assert_eq!(server.is_tls(), shown.starts_with("https"));
        assert_eq!(format!("{}:{}", server.host(), server.port()), shown.split_once("://").expect("a scheme").1);
        assert!(url.parse::<Proxy>().is_ok());
    }
    let long = format!("socks5://{}:p@proxy.example", "u".repeat(256));
    let bad = [
        ("", ProxyUrlError::Syntax),
        ("http://", ProxyUrlError::Syntax),
        ("http://proxy.example:99999", ProxyUrlError::Syntax),
        ("http://user:p/secret@proxy.example", ProxyUrlError::Syntax),
        ("http://user:12/secret@proxy.example", ProxyUrlError::Syntax),
        ("http://user:12#secret@proxy.example", ProxyUrlError::Syntax),
        ("http://user:12?secret@proxy.example", ProxyUrlError::Syntax),
        ("socks5://:1080", ProxyUrlError::Syntax),
        ("socks4://proxy.example", ProxyUrlError::Scheme),
        ("ftp://proxy.example", ProxyUrlError::Scheme),
        ("ws://proxy.example", ProxyUrlError::Scheme),
        ("http://a%3Ab:secret@proxy.example", ProxyUrlError::Credentials),
        ("http://a:secret%0D%0AX@proxy.example", ProxyUrlError::Credentials),
        ("http://a:%FF@proxy.example", ProxyUrlError::Credentials),
        ("socks5://user@proxy.example", ProxyUrlError::Credentials),
        (&long, ProxyUrlError::Credentials),
    ];
    for (url, expected) in bad {
        let error = Proxy::parse(url).expect_err(url);
        assert!(matches!(error, ProxyError::Url(error) if error == expected), "{url}: {error}");
    }
}

fn from_variables(variables: &[(&str, &str)]) -> Proxy {
    let find = |name: &str| variables.iter().find(|variable| variable.0 == name);
    Proxy::from_variables(|name| find(name).map(|variable| OsString::from(variable.1)))
}

#[test]
fn the_environment_names_the_proxies() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "Proxy { ws: none, wss: none }"),
        (&[("HTTP_PROXY", "a")], "Proxy { ws: http://a:80, wss: none }"),
        (&[("https_proxy", "https://b:1")], "Proxy { ws: none, wss: https://b:1 }"),
        (&[("all_proxy", "socks5h://c")], "Proxy { ws: socks5://c:1080, wss: socks5://c:1080 }"),
        (&[("ALL_PROXY", "c"), ("HTTP_PROXY", ""), ("http_proxy", "a")], "Proxy { ws: http://a:80, wss: http://c:80 }"),
        (&[("HTTP_PROXY", "a"), ("http_proxy", "b")], "Proxy { ws: http://a:80, wss: none }"),
        (
            &[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil"), ("HTTPS_PROXY", "b")],
            "Proxy { ws: none, wss: http://b:80 }",
        ),
        (&[("HTTPS_PROXY", "gopher://user:secret@b")], "Proxy { ws: none, wss: wrong HTTPS_PROXY }"),
    ];
    for (variables, shown) in cases {
        assert_eq!(format!("{:?}", from_variables(variables)), *shown);
    }
}

/// A connection that should have gone through a proxy must not go without one.
#[test]
fn a_wrong_variable_is_an_error_where_it_is_needed() {
    let proxy = from_variables(&[("HTTPS_PROXY", "gopher://user:secret@b"), ("NO_PROXY", "server.example")]);
    assert!(matches!(proxy.for_target(false, "other.example"), Ok(None)));
    assert!(matches!(proxy.for_target(true, "server.example"), Ok(None)));
    let error = proxy.for_target(true, "other.example").expect_err("a wrong URL");
    assert!(error.to_string().contains("HTTPS_PROXY") && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn no_proxy_lists_what_is_reached_directly() {
    let list = "localhost, .internal,example.com ,10.0.0.0/8,192.168.1.7,fd00::/8, ::1";
    let listed = from_variables(&[("ALL_PROXY", "a"), ("no_proxy", list)]);
    let explicit = Proxy::parse(HTTP).expect("a proxy's URL").no_proxy(list);
    for proxy in [&listed, &explicit] {
        for host in [
            "localhost",
            "db.internal",
            "example.com",
            "WWW.Example.Com",
            "10.1.2.3",
            "192.168.1.7",
            "[fd00::9]",
            "[::1]",
        ] {
            assert!(matches!(proxy.for_target(true, host), Ok(None)), "{host}");
        }
        for host in ["notexample.com", "example.com.evil", "11.0.0.1", "192.168.1.8", "[2001:db8::1]"] {
            assert!(matches!(proxy.for_target(true, host), Ok(Some(_))), "{host}");
        }
    }
    let none = explicit.clone().no_proxy("*");
    assert!(matches!(none.for_target(false, "anything"), Ok(None)));
    let all = explicit.no_proxy("");
    assert!(matches!(all.for_target(false, "localhost"), Ok(Some(_))));
}

/// P3: neither user nor password, in any spelling.
#[test]
fn p3_nothing_shows_credentials() {
    let url = "http://hidden:se%63ret@proxy.example";
    let proxy = Proxy::parse(url).expect("a proxy's URL");
    let mut shown = Vec::from([format!("{proxy:?}"), format!("{:?}", server(url))]);
    shown.push(format!("{:?}", Proxy::parse("ftp://hidden:secret@proxy.example")));
    shown.push(format!("{:?}", from_variables(&[("ALL_PROXY", "http://hidden:se/cret@proxy.example")])));
    for text in shown {
        assert!(!["hidden", "secret", "se%63", "cret"].iter().any(|part| text.contains(part)), "{text}");
    }
}

/// What happened, whose fault it is, and what to do about it.
#[test]
fn each_error_says_what_happened_and_what_to_do() {
    let refused = |status: u16| answered(HTTP, &format!("HTTP/1.1 {status} No\r\n\r\n"));
    let io = io::Error::from(io::ErrorKind::ConnectionReset);
    let table = [
        (ProxyUrlError::Syntax.into(), "not like `http://", "must be percent-encoded"),
        (ProxyUrlError::Scheme.into(), "does not begin with", "kinds that are known"),
        (ProxyUrlError::Credentials.into(), "cannot be sent", "1 to 255 bytes"),
        (
            ProxyError::Environment { variable: "ALL_PROXY", error: ProxyUrlError::Scheme },
            "environment variable ALL_PROXY is wrong",
            "kinds that are known",
        ),
        (ProxyError::Unreachable(ConnectError::TlsRequired.into()), "proxy cannot be reached", "change one of them"),
        (ProxyError::HostTooLong, "more than 255 bytes", "use a shorter name"),
        (ProxyError::CredentialsRequired, "proxy wants a user and a password", "put them into its URL"),
        (ProxyError::CredentialsRejected, "proxy does not accept", "correct them"),
        (ProxyError::UnknownAuthentication, "authentication that is not known", "must allow Basic"),
        (refused(403), "proxy refused the tunnel with status 403", "do not allow this host"),
        (refused(405), "status 405", "may be no proxy"),
        (refused(503), "status 503", "could not reach the server"),
        (refused(429), "status 429", "slow down"),
        (ProxyError::Head(HeadError::StartLine), "proxy's answer cannot be read", "may be no HTTP proxy"),
        (ProxyError::TooManyInterim { limit: 8 }, "more than 8 interim responses", "broken"),
        (ProxyError::EarlyData, "data behind its answer", "broken or forges data"),
        (ProxyError::NotSocks, "is not SOCKS5", "check the scheme"),
        (ProxyError::Closed, "proxy closed the connection", "check the scheme"),
        (ProxyError::Io(io), "connection to the proxy failed", "connection reset"),
        (ProxyError::Socks(SocksReply::GeneralFailure), "made no connection", "see its log"),
        (ProxyError::Socks(SocksReply::NotAllowed), "rules do not allow it", "ask who runs it"),
        (ProxyError::Socks(SocksReply::NetworkUnreachable), "server's network", "try again later"),
        (ProxyError::Socks(SocksReply::HostUnreachable), "cannot reach the server", "check the server's name"),
        (ProxyError::Socks(SocksReply::ConnectionRefused), "server refused the connection", "check that it runs"),
        (ProxyError::Socks(SocksReply::TtlExpired), "too long", "try again later"),
        (ProxyError::Socks(SocksReply::CommandNotSupported), "does not connect for others", "use another proxy"),
        (ProxyError::Socks(SocksReply::AddressNotSupported), "kind of address", "try the server's name"),
    ];
    for (error, what, advice) in table {
        let text = error.to_string();
        assert!(text.contains(what) && text.contains(advice), "{text}");
    }
    assert!(Timeout::Proxy.to_string().contains("`Connect::connect_timeout`"));
}
