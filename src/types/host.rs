//! What the host of a URL is, by its letters: this machine, a network that only machines here see, the metadata of a cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `localhost`, and what is below it (RFC 6761, section 6.3); with the dot at the end as well.
pub fn is_local_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name == "localhost" || name.ends_with(".localhost")
}

/// The address that `host` is, if it is one. One of IPv4 that is written as one of IPv6 is one of IPv4.
pub fn address(host: &str) -> Option<IpAddr> {
    let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    let IpAddr::V6(six) = address else { return Some(address) };
    let four = match six.segments() {
        // Mapped, compatible, and by the prefix of RFC 6052.
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some((high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some((high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        // By 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    let four = four.map(|(high, low)| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    Some(four.map_or(address, IpAddr::V4))
}

/// Is it of this machine, or of a network that only machines here see?
pub fn is_inside(host: &str) -> bool {
    let inside = |address: IpAddr| match address {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            // 100.64.0.0/10 is shared among customers of a network (RFC 6598); what begins with 0 is of this one (RFC 1122).
            let is_shared = first == 100 && (64..128).contains(&second);
            four.is_loopback() || four.is_private() || first == 0 || is_shared
        }
        IpAddr::V6(six) => six.is_loopback() || six.is_unspecified() || six.is_unique_local(),
    };
    is_local_name(host) || is_forbidden(host) || address(host).is_some_and(inside)
}

/// Is it of one link only, where clouds tell machines their credentials, or of no single machine?
pub fn is_forbidden(host: &str) -> bool {
    // What AWS answers at by IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let name = host.strip_suffix('.').unwrap_or(host);
    // By these names Google's and Alibaba's clouds tell them.
    if ["metadata.google.internal", "metadata.goog", "100.100.100.200"].iter().any(|one| name.eq_ignore_ascii_case(one))
    {
        return true;
    }
    address(host).is_some_and(|address| match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local() || six.is_multicast() || six == METADATA,
    })
}

#[cfg(test)]
mod tests {
    use super::{is_forbidden, is_inside};

    #[test]
    fn metadata_is_known_in_every_spelling() {
        let all =
            ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "metadata.google.internal"];
        for host in all {
            assert!(is_forbidden(host) && is_inside(host), "{host}");
        }
        for host in ["127.0.0.1", "10.0.0.1", "localhost", "api.example.com", "169.253.0.1"] {
            assert!(!is_forbidden(host), "{host}");
        }
    }
}
