//! How often the portal sent a browser on to a host lately, as the browser itself remembers it: more than a few times is
//! a loop. Each host counts for itself, because whoever opens many apps at once is in no loop. Pure.

use data_encoding::BASE64URL_NOPAD;

use crate::crypto::mac::sha256;

/// The browser is sent on so many times within half a minute.
const MOST_HOPS: u8 = 4;
/// So many hosts are remembered; the one that was gone to the longest time ago makes room.
const MOST_HOSTS: usize = 16;
/// A host is told by so many characters.
const NAME: usize = 4;

/// What a browser remembers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hops(Vec<(String, u8)>);

impl Hops {
    /// Reads the value of the cookie. What is not understood counts as nothing: the browser fools only itself.
    pub(super) fn parse(value: &str) -> Hops {
        let entry = |part: &str| {
            let (name, count) = part.split_at_checked(NAME)?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        Hops(value.split('.').filter_map(entry).take(MOST_HOSTS).collect())
    }

    /// Writes the value of the cookie.
    pub(super) fn write(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(name, count)| format!("{name}{count}")).collect();
        parts.join(".")
    }

    /// Tells whether the browser was sent to `host` too often.
    pub(super) fn is_circle(&self, host: &str) -> bool {
        let name = name_of(host);
        self.0.iter().any(|(own, count)| *own == name && *count >= MOST_HOPS)
    }

    /// Counts that the browser is sent to `host`.
    pub(super) fn counted(mut self, host: &str) -> Hops {
        let name = name_of(host);
        let before = self.0.iter().find(|(own, _)| *own == name).map_or(0, |(_, count)| *count);
        self.0.retain(|(own, _)| *own != name);
        self.0.insert(0, (name, before.saturating_add(1).min(9)));
        self.0.truncate(MOST_HOSTS);
        self
    }

    /// Begins anew for `host`.
    pub(super) fn without(mut self, host: &str) -> Hops {
        let name = name_of(host);
        self.0.retain(|(own, _)| *own != name);
        self
    }
}

fn name_of(host: &str) -> String {
    let mut name = BASE64URL_NOPAD.encode(&sha256(host));
    name.truncate(NAME);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_counts_for_itself() {
        let mut hops = Hops::default();
        for _ in 0..3 {
            for host in ["a.example", "b.example"] {
                assert!(!hops.is_circle(host));
                hops = Hops::parse(&hops.counted(host).write());
            }
        }
        hops = hops.counted("a.example");
        assert!(hops.is_circle("a.example") && !hops.is_circle("b.example"));
        for _ in 0..300 {
            hops = hops.counted("a.example");
        }
        hops = Hops::parse(&hops.write());
        assert!(hops.is_circle("a.example"));
        hops = hops.without("a.example");
        assert!(!hops.is_circle("a.example"));
        for number in 0..40 {
            hops = hops.counted(&format!("{number}.example"));
        }
        assert!(hops.write().len() <= 100, "{}", hops.write());
    }

    #[test]
    fn what_is_not_understood_counts_as_nothing() {
        for value in ["", ".", "1", "4", "abcd", "abcdx", "abcd999", "ääää1", "abcd-1", "a.b.c"] {
            assert_eq!(Hops::parse(value), Hops::default(), "{value}");
        }
        assert_eq!(Hops::parse(&"abcd1.".repeat(1000)).0.len(), MOST_HOSTS);
    }
}
