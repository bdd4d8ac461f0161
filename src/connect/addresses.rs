//! The order in which a host's addresses are tried.

use std::net::{IpAddr, SocketAddr};
use std::vec::Vec;

/// What of `addresses` can be reached from `local`, IPv6 and IPv4 in turn, beginning with what the resolver prefers
/// (RFC 8305 §4).
pub(crate) fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>, local: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut left: Vec<SocketAddr> = addresses.into_iter().collect();
    left.retain(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    let prefers_ipv4 = left.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = left.into_iter().partition(|address| address.is_ipv4() == prefers_ipv4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// The address that a host is already, with or without brackets.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    bare(host).parse().ok()
}

/// Without the brackets of an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(addresses: &[&str], local: Option<&str>) -> Vec<std::string::String> {
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().expect("an address"), 1));
        let ordered = in_turn(addresses, local.map(|local| local.parse().expect("an address")));
        ordered.iter().map(|address| std::format!("{}", address.ip())).collect()
    }

    #[test]
    fn the_families_take_turns_from_the_preferred_one_on() {
        assert_eq!(
            ordered(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"], None),
            ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]
        );
        assert_eq!(ordered(&["10.0.0.1", "10.0.0.2", "::1"], None), ["10.0.0.1", "::1", "10.0.0.2"]);
        assert!(ordered(&[], None).is_empty());
    }

    #[test]
    fn a_local_address_reaches_its_own_family() {
        assert_eq!(ordered(&["::1", "10.0.0.1", "::2"], Some("::5")), ["::1", "::2"]);
        assert!(ordered(&["::1"], Some("10.0.0.5")).is_empty());
    }

    #[test]
    fn an_address_is_known_with_and_without_brackets() {
        assert_eq!(literal("[::1]"), literal("::1"));
        assert!(literal("127.0.0.1").is_some_and(|address| address.is_ipv4()));
        assert_eq!(literal("example.com"), None);
    }
}
