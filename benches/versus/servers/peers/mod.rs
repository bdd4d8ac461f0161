//! Who can be measured.

mod fastwebsockets;
mod raw_epoll;
mod raw_tokio;
mod sockeye;
mod sockeye_epoll;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod wtx;
mod yawc;

use std::net::TcpListener;

use crate::{Options, Outcome};

type Serve = fn(TcpListener, Options) -> Outcome;

/// Each with whether it has permessage-deflate.
const ALL: [(&str, bool, Serve); 15] = [
    ("sockeye", true, self::sockeye::serve),
    ("sockeye-no-keepalive", true, self::sockeye::serve_without_keepalive),
    ("sockeye-epoll", true, sockeye_epoll::serve),
    ("tokio-tungstenite", false, self::tungstenite::serve),
    ("tokio-tungstenite-lean", false, self::tungstenite::serve_lean),
    ("fastwebsockets", false, self::fastwebsockets::serve),
    ("tokio-websockets", false, self::tokio_websockets::serve),
    ("soketto", true, self::soketto::serve),
    ("soketto-lean", true, self::soketto::serve_lean),
    ("sockudo-ws", true, sockudo::serve),
    ("yawc", true, self::yawc::serve),
    ("yawc-tuned", true, self::yawc::serve_tuned),
    ("wtx", true, self::wtx::serve),
    ("raw-tokio", false, raw_tokio::serve),
    ("raw-epoll", false, raw_epoll::serve),
];

pub fn names() -> String {
    ALL.map(|(name, ..)| name).join(", ")
}

/// The server of that name, if it can do what is asked.
pub fn find(name: &str, options: Options) -> Result<Serve, String> {
    let found = ALL.iter().find(|(known, ..)| *known == name);
    let (_, compresses, serve) = found.ok_or_else(|| format!("{name} is none of {}", names()))?;
    if options.compress && !compresses {
        return Err(format!("{name} has no permessage-deflate"));
    }
    Ok(*serve)
}
