//! Where to listen: `host:port`, and whether only this machine can reach it.

use std::net::IpAddr;

/// What `listen` is when nobody says.
pub(super) const DEFAULT: &str = "127.0.0.1:8080";

/// Checks the form of `text`; the error says what is wrong with it.
pub(super) fn check(text: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("expected an address such as `{DEFAULT}` or `[::1]:8080`, {what}"));
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong("found no port");
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return wrong("found a port that is no number from 0 to 65535");
    }
    if host.is_empty() {
        return wrong("found no host (`0.0.0.0` is every IPv4 address of this machine)");
    }
    let is_name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        None if is_name(host) => Ok(()),
        None => wrong("found a host that is neither a name nor an address (an IPv6 address stands in brackets)"),
        Some(Some(host)) if host.parse::<std::net::Ipv6Addr>().is_ok() => Ok(()),
        Some(_) => wrong("found brackets around something that is no IPv6 address"),
    }
}

/// Whether only this machine can reach `listen`.
pub(super) fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_addresses() {
        for good in ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:65535", "[::]:80", "localhost:80", "gate-way.example:80"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "8080",
            ":8080",
            "localhost",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:",
            "::1:80",
            "[::1:80",
            "[a]:80",
            "a b:80",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn knows_loopback() {
        for inside in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "LocalHost:80"] {
            assert!(is_loopback(inside), "{inside}");
        }
        for outside in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.com:80", "localhost.example.com:80"] {
            assert!(!is_loopback(outside), "{outside}");
        }
    }
}
