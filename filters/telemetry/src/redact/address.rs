//! Client addresses, without the part that tells one client from the next.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The network of an address: /24 of IPv4, also where it is mapped into IPv6, and /48 of IPv6. A port and a zone go.
/// `None` for what is no address.
pub(super) fn network(address: &str) -> Option<IpAddr> {
    let address = match SocketAddr::from_str(address) {
        Ok(socket) => socket.ip(),
        Err(_) => {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
            let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
            IpAddr::from_str(bare).ok()?
        }
    };
    Some(match address {
        IpAddr::V4(address) => IpAddr::V4(network_of_v4(address)),
        IpAddr::V6(address) => IpAddr::V6(match address.to_ipv4_mapped() {
            Some(mapped) => network_of_v4(mapped).to_ipv6_mapped(),
            None => {
                let [a, b, c, ..] = address.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
            }
        }),
    })
}

fn network_of_v4(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_host_part_goes() {
        let table = [
            ("203.0.113.77", "203.0.113.0"),
            ("203.0.113.77:51234", "203.0.113.0"),
            ("2001:db8:1234:5678:9abc:def0:1:2", "2001:db8:1234::"),
            ("[2001:db8:1234:5678::1]:443", "2001:db8:1234::"),
            ("[2001:db8:1234:5678::1]", "2001:db8:1234::"),
            ("fe80::1%eth0", "fe80::"),
            ("[fe80::1%5]:80", "fe80::"),
            ("::ffff:203.0.113.77", "::ffff:203.0.113.0"),
            ("[::ffff:203.0.113.77]:80", "::ffff:203.0.113.0"),
            ("::1", "::"),
        ];
        for (address, expected) in table {
            assert_eq!(network(address).map(|address| address.to_string()).as_deref(), Some(expected), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_has_no_network() {
        for text in ["", "-", "localhost", "203.0.113", "203.0.113.256", "/var/run/x.sock", "::g", "[::1", "1.2.3.4:x"]
        {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
