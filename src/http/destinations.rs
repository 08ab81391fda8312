//! Which addresses this program may call (OA-12): the public internet, and what the administrator allowed. Everything
//! else is this machine, its network or nobody's, where a call in our name could do what its asker may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of IPv4 that are not the public internet (RFC 6890 and its registry).
const SPECIAL_V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0], 8, "of this machine"),
    ([10, 0, 0, 0], 8, "of a private network"),
    ([100, 64, 0, 0], 10, "of a provider's own network"),
    ([127, 0, 0, 0], 8, "of this machine"),
    ([169, 254, 0, 0], 16, "of a single link, where clouds keep their metadata"),
    ([172, 16, 0, 0], 12, "of a private network"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "reserved"),
    ([192, 168, 0, 0], 16, "of a private network"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "of a group"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// The only global unicast addresses of IPv6 that were ever given out.
const GLOBAL_V6: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// IPv6 in IPv4's place, behind a translator (RFC 6052).
const NAT64: ([u16; 8], u8) = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Networks of IPv6 that deserve a name of their own, or lie in [`GLOBAL_V6`] and are not the public internet.
const SPECIAL_V6: &[([u16; 8], u8, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 127, "of this machine"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "of a private network"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "of a single link"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "of a site"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "of a group"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "of a tunnel"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
];

fn v4_in(address: Ipv4Addr, network: [u8; 4], prefix: u8) -> bool {
    Ipv4Net::new(network.into(), prefix).is_ok_and(|network| network.contains(&address))
}

fn v6_in(address: Ipv6Addr, network: [u16; 8], prefix: u8) -> bool {
    Ipv6Net::new(network.into(), prefix).is_ok_and(|network| network.contains(&address))
}

/// Returns what an address is, if it is not one of the public internet: the end of “an address …”.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let found = SPECIAL_V4.iter().find(|(network, prefix, _)| v4_in(v4, *network, *prefix));
            found.map(|(_, _, what)| *what)
        }
        IpAddr::V6(v6) if v6_in(v6, NAT64.0, NAT64.1) => {
            let [.., a, b, c, d] = v6.octets();
            special(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(v6) => {
            let found = SPECIAL_V6.iter().find(|(network, prefix, _)| v6_in(v6, *network, *prefix));
            let is_global = v6_in(v6, GLOBAL_V6.0, GLOBAL_V6.1);
            found.map(|(_, _, what)| *what).or_else(|| (!is_global).then_some("reserved"))
        }
    }
}

/// Tells whether the administrator allowed an address. A v4-mapped one counts as its v4 address.
pub(super) fn is_allowed(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the network that an administrator would most likely allow to reach an address.
pub(super) fn likely_network(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = match address {
        IpAddr::V4(v4) if v4.is_private() => 24,
        IpAddr::V6(v6) if v6.is_unique_local() => 64,
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    IpNet::new(address, prefix).map_or_else(|_| IpNet::from(address), |network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// OA-12: everything that is not the public internet, in every way to write it.
    #[test]
    fn what_is_not_the_public_internet_is_known() {
        for special_one in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.5",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::192.168.1.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fd00:ec2::254",
        ] {
            assert!(special(ip(special_one)).is_some(), "{special_one}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(special(ip(public)), None, "{public}");
        }
    }

    #[test]
    fn a_likely_network_is_as_narrow_as_a_home() {
        for (address, network) in [
            ("192.168.1.7", "192.168.1.0/24"),
            ("::ffff:10.1.2.3", "10.1.2.0/24"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("fd12:3456:0:1::9", "fd12:3456:0:1::/64"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(likely_network(ip(address)).to_string(), network);
        }
        assert!(is_allowed(&["10.0.0.0/8".parse().unwrap()], ip("::ffff:10.1.2.3")));
        assert!(!is_allowed(&["10.0.0.0/8".parse().unwrap()], ip("::10.1.2.3")));
    }
}
