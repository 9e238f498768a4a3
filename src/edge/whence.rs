//! Whence a request comes: the peer of its socket, or, where that is a proxy of the operator's own, whom the proxies name.
//!
//! `X-Forwarded-For` is a list to which each proxy appends the peer it had
//! (<https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>). Whoever calls may have begun it, so it is read
//! from its end, and believed for as long as a trusted proxy has written.

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderMap};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Puts the client's address where the peer's stood. One that cannot be told is taken away: what is bound to addresses stays shut.
pub(super) fn tell(trusted: &[IpNet], request: &mut Request) {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else { return };
    if !is_in(trusted, peer.ip()) {
        return;
    }
    match client(peer.ip(), trusted, request.headers()) {
        Some(address) => {
            let port = if address == peer.ip().to_canonical() { peer.port() } else { 0 };
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, port)));
        }
        None => {
            request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
        }
    }
}

/// The address that a request came from, where it is known.
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip().to_canonical())
}

/// The last address that is no trusted proxy; the first of all, where every one is. `None`: what stands there is no address.
fn client(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> Option<IpAddr> {
    let mut address = peer.to_canonical();
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for hop in line.to_str().ok()?.rsplit(',') {
            if !is_in(trusted, address) {
                return Some(address);
            }
            address = read(hop.trim())?;
        }
    }
    Some(address)
}

fn is_in(ranges: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    ranges.iter().any(|range| range.contains(&address))
}

/// An address; some proxies write its port behind it, and IPv6 in brackets.
fn read(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|whole| whole.ip()));
    address.ok().map(|address| address.to_canonical())
}
