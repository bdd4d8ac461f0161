//! The program between two pipes.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::thread;

use sockeye::blocking::WebSocket;
use sockeye::{CloseCode, Config, Error, Origins};

/// Echoes to one client, and says which code it closed with.
fn serve() -> (SocketAddr, thread::JoinHandle<Result<CloseCode, Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let mut ws = WebSocket::accept_with(stream, &Config::DEFAULT, |request| {
            if request.headers().get("X-Token") != Some(b"a: b") {
                return Err(request.reject(401));
            }
            Ok(request.accept(Origins::Same)?.select(&["chat"]))
        })?;
        while let Some((message, writer)) = ws.recv_with_writer()? {
            writer.send(message)?;
        }
        Ok(ws.closure().expect("the connection has ended").code)
    });
    (address, server)
}

fn run(address: SocketAddr, options: &[&str], input: &[u8]) -> (Output, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_client"));
    let program = program.arg(format!("ws://{address}/")).args(options);
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("started");
    let mut pipe = child.stdin.take().expect("a pipe");
    let output = thread::scope(|scope| {
        scope.spawn(move || drop(pipe.write_all(input))); // it need not read all of it
        child.wait_with_output().expect("ended")
    });
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

const OPTIONS: &[&str] = &["--header", "X-Token: a: b", "--subprotocol", "other", "--subprotocol", "chat", "--json"];

#[test]
fn lines_and_commands_go_in_and_messages_come_out() {
    let (address, server) = serve();
    let input = b"Hello\n/ping now\n//slash\n/what\n/close x\n{\"a\":[1]}\n";
    let (output, errors) = run(address, OPTIONS, input);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello\n/slash\n{\n  \"a\": [\n    1\n  ]\n}\n");
    for line in ["connected, chat", "pong now", "/close [CODE] [REASON]", "invalid digit", "closed by us with 1000"] {
        assert!(errors.contains(line), "{line:?} is not in {errors}");
    }
    assert_eq!(server.join().expect("no panic").expect("a clean end"), CloseCode::NORMAL);
}

#[test]
fn more_than_pipes_hold_goes_both_ways() {
    let (address, server) = serve();
    let line = "x".repeat(1000) + "\n";
    let input = line.repeat(20_000).into_bytes();
    let (output, errors) = run(address, OPTIONS, &input);
    assert!(output.status.success() && output.stdout == input, "{errors}");
    assert!(server.join().expect("no panic").is_ok());
}

#[test]
fn a_close_of_the_callers_and_a_refusal_are_told() {
    let (address, server) = serve();
    let (output, errors) = run(address, OPTIONS, b"/close 4001 enough of it\nlate\n");
    assert!(output.status.success() && errors.contains("4001") && errors.contains("enough of it"), "{errors}");
    assert_eq!(server.join().expect("no panic").expect("a clean end"), CloseCode(4001));

    let (address, server) = serve();
    let (output, errors) = run(address, &[], b"Hello\n");
    assert!(output.status.code() == Some(1) && errors.contains("401"), "{errors}");
    assert_eq!(server.join().expect("no panic").expect_err("refused").status(), Some(401));
}
