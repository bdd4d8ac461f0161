//! Connecting.

mod proxy;

pub use proxy::{Proxy, ProxyError, ProxyUrlError, SocksReply};
