//! Places: address prefixes, the unit in which the network hands out addresses (LIM-01).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address prefix: IPv4 /32 and /24, IPv6 /64, /56 and /48. IPv6 addresses below a /64 are one place, because
/// one household or server has the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    address: IpAddr,
    bits: u8,
}

impl Place {
    /// Returns the finest place of an address. An IPv4 address inside IPv6 (`::ffff:203.0.113.7`) is the IPv4 one.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::prefix(address, 32),
            IpAddr::V6(_) => Self::prefix(address, 64),
        }
    }

    fn prefix(address: IpAddr, bits: u8) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Place { address, bits }
    }

    /// Returns the next wider place that has a limit of its own: /32 → /24; /64 → /56 → /48.
    pub fn coarser(self) -> Option<Self> {
        let bits = match (self.address, self.bits) {
            (IpAddr::V4(_), 32) => 24,
            (IpAddr::V6(_), 64) => 56,
            (IpAddr::V6(_), 56) => 48,
            _ => return None,
        };
        Some(Self::prefix(self.address, bits))
    }

    /// Returns how many times the limit of the finest place this place has.
    pub fn weight(self) -> u32 {
        match (self.address, self.bits) {
            (IpAddr::V4(_), 24) => 8,
            (IpAddr::V6(_), 56) => 4,
            (IpAddr::V6(_), 48) => 16,
            _ => 1,
        }
    }

    /// Returns a number for the part of the network that shares a bucket when a table is full: IPv4 /16, IPv6 /32.
    pub(super) fn neighborhood(self) -> u64 {
        match self.address {
            IpAddr::V4(address) => 4 << 32 | u64::from(address.to_bits() >> 16),
            IpAddr::V6(address) => 6 << 32 | u64::try_from(address.to_bits() >> 96).unwrap_or(0),
        }
    }

    /// The length of [`Place::to_short`].
    pub(super) const SHORT: usize = 9;

    /// Returns nine bytes that differ for different places, and are never all zero: how long the prefix is, which tells
    /// the family as well, and the prefix, of which no place has more than 64 bits.
    pub(super) fn to_short(self) -> [u8; Self::SHORT] {
        let prefix = match self.address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0),
        };
        let mut short = [0; Self::SHORT];
        let [bits, rest @ ..] = &mut short;
        *bits = self.bits;
        *rest = prefix.to_le_bytes();
        short
    }

    /// Returns 18 bytes that differ for different places.
    pub fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        let (family, address) = match self.address {
            IpAddr::V4(address) => (4, Ipv6Addr::from_bits(u128::from(address.to_bits())).octets()),
            IpAddr::V6(address) => (6, address.octets()),
        };
        let [first, second, rest @ ..] = &mut bytes;
        (*first, *second) = (family, self.bits);
        *rest = address;
        bytes
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(address: &str) -> Vec<String> {
        std::iter::successors(Some(Place::of(address.parse().unwrap())), |place| place.coarser())
            .map(|place| format!("{place} x{}", place.weight()))
            .collect()
    }

    /// LIM-01: IPv6 counts by /64, /56 and /48, never by address.
    #[test]
    fn places_widen_in_the_steps_in_which_addresses_are_handed_out() {
        assert_eq!(chain("203.0.113.77"), ["203.0.113.77/32 x1", "203.0.113.0/24 x8"]);
        assert_eq!(
            chain("2001:db8:1:2345:6::7"),
            ["2001:db8:1:2345::/64 x1", "2001:db8:1:2300::/56 x4", "2001:db8:1::/48 x16"]
        );
        assert_eq!(chain("::1"), ["::/64 x1", "::/56 x4", "::/48 x16"]);
    }

    /// LIM-01: a mapped address is the IPv4 address it stands for.
    #[test]
    fn mapped_addresses_are_unmapped() {
        assert_eq!(chain("::ffff:203.0.113.77"), chain("203.0.113.77"));
    }

    #[test]
    fn different_places_have_different_bytes() {
        let four = Place::of("1.2.3.4".parse().unwrap());
        let six = Place::of("::102:304".parse().unwrap());
        let bytes = [four, four.coarser().unwrap(), six, six.coarser().unwrap()].map(Place::to_bytes);
        let distinct: std::collections::HashSet<_> = bytes.into_iter().collect();
        assert_eq!(distinct.len(), bytes.len());
    }
}
