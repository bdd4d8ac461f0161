//! What `run` tests against other software.
//!
//! - `ports COUNT` prints free ports, one a line
//! - `serve CERTIFICATE KEY` sends every message back, over TLS
//! - `echo tokio|blocking URL [--root CERTIFICATE] [--proxy URL|environment] [--origin ORIGIN]` says `echoed`, or why not

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use sockeye::{CloseCode, Connect, Proxy, Tls, blocking, tokio as over_tokio};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["ports", count] => ports(count),
        ["serve", certificate, key] => in_runtime(serve(certificate, key)),
        ["echo", "tokio", url, ref options @ ..] => connect(url, options).and_then(|url| in_runtime(echo_tokio(url))),
        ["echo", "blocking", url, ref options @ ..] => connect(url, options).and_then(echo_blocking),
        _ => Err("ports, serve or echo".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(outcome: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(outcome)
}

/// All bound at once, so that they differ.
fn ports(count: &str) -> Outcome {
    let listeners =
        (0..count.parse()?).map(|_: u16| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    for listener in listeners {
        println!("{}", listener.local_addr()?.port());
    }
    Ok(())
}

async fn serve(certificate: &str, key: &str) -> Outcome {
    let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on wss://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = serve_one(acceptor, stream).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve_one(acceptor: TlsAcceptor, stream: tokio::net::TcpStream) -> Result<(), sockeye::Error> {
    let mut ws = over_tokio::WebSocket::accept(acceptor.accept(stream).await?).await?;
    while let Some((message, writer)) = ws.recv_with_writer().await? {
        writer.send(message)?;
    }
    Ok(())
}

fn connect(url: &str, options: &[&str]) -> Result<Connect, Box<dyn Error>> {
    let mut connect = Connect::to(url);
    for option in options.chunks(2) {
        connect = match *option {
            ["--root", path] => connect.tls(Tls::no_roots().root_certificates(&std::fs::read(path)?)),
            ["--proxy", "environment"] => connect.proxy(Proxy::from_env()),
            ["--proxy", url] => connect.proxy(Proxy::parse(url)?),
            ["--origin", origin] => connect.origin(origin),
            _ => return Err("an option is unknown".into()),
        };
    }
    Ok(connect)
}

async fn echo_tokio(url: Connect) -> Outcome {
    let (mut ws, _) = over_tokio::connect(url).await?;
    for message in messages() {
        ws.send(&*message).await?;
        let echo = ws.recv().await?.ok_or("closed instead of echoed")?;
        judge(echo.as_text(), &message)?;
    }
    ws.close(CloseCode::NORMAL, "").await?;
    println!("echoed");
    Ok(())
}

fn echo_blocking(url: Connect) -> Outcome {
    let (mut ws, _) = blocking::connect(url)?;
    for message in messages() {
        ws.send(&*message)?;
        let echo = ws.recv()?.ok_or("closed instead of echoed")?;
        judge(echo.as_text(), &message)?;
    }
    ws.close(CloseCode::NORMAL, "")?;
    println!("echoed");
    Ok(())
}

/// A small one, and one of many TLS records and reads.
fn messages() -> [String; 2] {
    ["Hello".into(), "many words ".repeat(20_000)]
}

fn judge(echo: Option<&str>, message: &str) -> Outcome {
    if echo == Some(message) { Ok(()) } else { Err("the echo differs".into()) }
}
