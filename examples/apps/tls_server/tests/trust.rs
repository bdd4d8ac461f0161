//! The program, and clients that do and do not trust its certificate.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::{env, fs, process};

use sockeye::tokio::WebSocket;
use sockeye::{CloseCode, client};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The program, which ends with the test.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start(certificate: &str) -> (Self, u16) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tls_server"));
        let mut child = program.args(["0", certificate]).stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut server = Self { child, lines };
        let line = server.lines.next().expect("a line").expect("text");
        let port = line.strip_prefix("listening on wss://localhost:").expect("the address");
        (server, port.parse().expect("a port"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(port: u16, roots: RootCertStore) -> std::io::Result<TlsStream<TcpStream>> {
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(tls)).connect(name, TcpStream::connect(("127.0.0.1", port)).await?).await
}

#[tokio::test]
async fn only_who_trusts_the_certificate_gets_in() {
    let path = env::temp_dir().join(format!("sockeye-tls-{}.pem", process::id()));
    let (_server, port) = Server::start(path.to_str().expect("a path"));
    assert!(connect(port, RootCertStore::empty()).await.is_err());

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&path).expect("a certificate")).expect("a root");
    fs::remove_file(&path).expect("written");
    let stream = connect(port, roots).await.expect("trusted");
    let request = client::Request::get(&format!("wss://localhost:{port}/")).expect("a URL");
    let (mut ws, _) = WebSocket::client(stream, request).await.expect("accepted");
    ws.send("Hello").await.expect("sent");
    assert_eq!(ws.recv().await.expect("received").expect("an echo").as_text(), Some("Hello"));
    ws.close(CloseCode::NORMAL, "").await.expect("closed");
    assert!(ws.closure().expect("ended").was_clean);
}
