//! Host names: how they are compared, which ones a rule names, and what a domain has to be for Doorward to protect it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::matcher::Caller;
use crate::words::{Said, Words, said};

/// Most bytes of a host name (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;
/// Most bytes of one label (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Returns the host name in the one form in which names are compared: lower case, without a trailing dot.
/// `None` if it is no host name (letters, digits, hyphen, underscore and dots); an address in brackets is none.
pub fn normal_host(raw: &str) -> Option<Cow<'_, str>> {
    let host = raw.strip_suffix('.').unwrap_or(raw);
    if host.is_empty() || host.len() > LONGEST_HOST {
        return None;
    }
    let mut has_upper = false;
    let mut label = 0_usize;
    let mut previous = b'.';
    for byte in host.bytes() {
        match byte {
            b'.' if label == 0 || previous == b'-' => return None,
            b'.' => label = 0,
            b'-' if label == 0 => return None,
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => label += 1,
            b'A'..=b'Z' => {
                has_upper = true;
                label += 1;
            }
            _ => return None,
        }
        if label > LONGEST_LABEL {
            return None;
        }
        previous = byte;
    }
    if label == 0 || previous == b'-' {
        return None;
    }
    Some(if has_upper { Cow::Owned(host.to_ascii_lowercase()) } else { Cow::Borrowed(host) })
}

/// Splits a short text at the first `byte`, which is ASCII. For what every check does quicker than `str::split_once`.
pub(super) fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    let (before, after) = text.split_at_checked(text.bytes().position(|own| own == byte)?)?;
    Some((before, after.get(1..)?))
}

/// Splits `host[:port]`. `None` for user info, brackets, an empty port or a port above 65535.
pub fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    match split_at_byte(authority, b':') {
        None => Some((authority, None)),
        Some((host, port)) => {
            let is_number =
                !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return None;
            }
            port.parse().ok().map(|port| (host, Some(port)))
        }
    }
}

/// Tells whether `host` lies below `parent` (both in normal form); a host does not lie below itself.
pub fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
}

/// Tells whether the name always means this machine (RFC 6761 section 6.3), so that plain HTTP to it is not sent
/// over a network.
pub fn is_local(host: &str) -> bool {
    host == "localhost" || is_below(host, "localhost")
}

/// The hosts that a rule names: one host, every host below a parent (not the parent itself), or those that carry the
/// caller's name. The name is shared with the index of all rules: there may be ten thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// Exactly this host.
    Exact(Arc<str>),
    /// Every host below this one, at any depth; written `*.parent`.
    Below(Arc<str>),
    /// The host that has the caller's username in front of this one; written `{user}.parent`.
    OfUser(Arc<str>),
    /// The hosts that have the name of a group of the caller in front of this one; written `{group}.parent`.
    OfGroup(Arc<str>),
}

impl DomainPattern {
    /// Parses `host`, `*.parent`, `{user}.parent` or `{group}.parent`; folds case and drops a trailing dot. The error
    /// is a sentence.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let text = text.trim();
        let typed = text.to_owned();
        let (name, make): (_, fn(Arc<str>) -> Self) = if let Some(parent) = text.strip_prefix("*.") {
            (parent, DomainPattern::Below)
        } else if let Some(parent) = text.strip_prefix("{user}.") {
            (parent, DomainPattern::OfUser)
        } else if let Some(parent) = text.strip_prefix("{group}.") {
            (parent, DomainPattern::OfGroup)
        } else {
            (text, DomainPattern::Exact)
        };
        if name.contains('*') {
            return Err(said(move |t| t.access_host_star(&typed)));
        }
        if name.contains(['{', '}']) {
            return Err(said(move |t| t.access_host_braces("{group}", &typed, "{user}")));
        }
        if name.contains("://") || name.contains('/') {
            return Err(said(move |t| t.access_host_address(&typed)));
        }
        if name.contains(':') {
            return Err(said(move |t| t.access_host_port(&typed)));
        }
        let host = normal_host(name).ok_or_else(|| said(move |t| t.access_host_wrong(&typed)))?;
        Ok(make(Arc::from(host)))
    }

    /// Returns the host that is named, or the parent of the hosts that are.
    pub fn name(&self) -> &Arc<str> {
        match self {
            DomainPattern::Exact(name)
            | DomainPattern::Below(name)
            | DomainPattern::OfUser(name)
            | DomainPattern::OfGroup(name) => name,
        }
    }

    /// Tells whether it depends on the caller which hosts are named.
    pub fn is_about_people(&self) -> bool {
        matches!(self, DomainPattern::OfUser(_) | DomainPattern::OfGroup(_))
    }

    /// Tells whether the pattern names `host` (in normal form) for some caller.
    pub fn names(&self, host: &str) -> bool {
        match self {
            DomainPattern::Exact(own) => **own == *host,
            DomainPattern::Below(parent) | DomainPattern::OfUser(parent) | DomainPattern::OfGroup(parent) => {
                is_below(host, parent)
            }
        }
    }

    /// Tells whether the pattern names `host` (in normal form) for this caller. Nobody who is signed in could be
    /// anyone.
    pub fn names_for(&self, host: &str, caller: Option<&Caller<'_>>) -> bool {
        let head =
            |parent: &str| host.strip_suffix(parent)?.strip_suffix('.').filter(|head| !head.is_empty());
        match (self, caller) {
            (DomainPattern::OfUser(parent), Some(caller)) => {
                head(parent).is_some_and(|head| caller.is_named(head.as_bytes()))
            }
            (DomainPattern::OfGroup(parent), Some(caller)) => {
                head(parent).is_some_and(|head| caller.is_in_group(head.as_bytes()))
            }
            _ => self.names(host),
        }
    }

    /// Tells whether every host that `other` names is named by this pattern too.
    pub fn covers(&self, other: &DomainPattern) -> bool {
        match (self, other) {
            (DomainPattern::Exact(_) | DomainPattern::Below(_), DomainPattern::Exact(host)) => {
                self.names(host)
            }
            (DomainPattern::Below(own), _) => **own == **other.name() || is_below(other.name(), own),
            _ => self == other,
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DomainPattern::Exact(host) => f.write_str(host),
            DomainPattern::Below(parent) => write!(f, "*.{parent}"),
            DomainPattern::OfUser(parent) => write!(f, "{{user}}.{parent}"),
            DomainPattern::OfGroup(parent) => write!(f, "{{group}}.{parent}"),
        }
    }
}

/// A parent domain whose hosts Doorward protects, in normal form. The forward-auth cookie may be set for it, so that every
/// host below it can receive that cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentDomain(Box<str>);

impl ParentDomain {
    /// Returns the domain, such as `home.example`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParentDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the parent domain that an admin typed: a domain with a dot, no address, not a public suffix (so that no
/// stranger's site shares the cookie), and `portal_host` is it or lies below it (otherwise browsers would refuse
/// the cookie). The error is a sentence.
pub fn validate_parent_domain(text: &str, portal_host: &str) -> Result<ParentDomain, Said> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Said::of(Words::access_domain_empty));
    }
    if text.starts_with("*.") || text.starts_with('.') {
        return Err(Said::of(Words::access_domain_star));
    }
    if text.contains("://") || text.contains('/') {
        return Err(Said::of(Words::access_domain_address));
    }
    if text.contains('[') || text.parse::<Ipv4Addr>().is_ok() || text.matches(':').count() > 1 {
        return Err(Said::of(Words::access_domain_numbers));
    }
    if text.contains(':') {
        return Err(Said::of(Words::access_domain_port));
    }
    let typed = text.to_owned();
    let domain = normal_host(text).ok_or_else(|| said(move |t| t.access_domain_wrong(&typed)))?.into_owned();
    if is_numeric(&domain) {
        return Err(Said::of(Words::access_domain_numbers));
    }
    if !domain.contains('.') {
        return Err(said(move |t| t.access_domain_dot(&domain)));
    }
    if psl2::lookup(&domain).and_then(|found| found.registrable_domain()).is_none() {
        return Err(said(move |t| t.access_domain_suffix(&domain)));
    }
    let portal = normal_host(portal_host).unwrap_or_default();
    if *portal != *domain && !is_below(&portal, &domain) {
        let host = portal_host.to_owned();
        return Err(said(move |t| t.access_domain_elsewhere(&domain, &host)));
    }
    Ok(ParentDomain(domain.into_boxed_str()))
}

/// Tells whether the last label is a number, which makes a host an IPv4 address for browsers (WHATWG URL, "ends in a
/// number").
fn is_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (raw, normal) in [
            ("photos.home.example", "photos.home.example"),
            ("Photos.HOME.example.", "photos.home.example"),
            ("a_b.example", "a_b.example"),
            ("x", "x"),
        ] {
            assert_eq!(normal_host(raw).as_deref(), Some(normal), "{raw}");
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let long_host = "a.".repeat(128);
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.b..",
            "-a.b",
            "a-.b",
            "a.-b",
            "a.b-",
            "a b",
            "a/b",
            "a\\b",
            "a@b",
            "a:1",
            "[::1]",
            "ä.example",
            "a\0b",
            "a%2eb",
            "*.a",
            &long_label,
            &long_host,
        ] {
            assert_eq!(normal_host(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn authorities_have_no_user_info_and_sound_ports() {
        assert_eq!(split_authority("a.example"), Some(("a.example", None)));
        assert_eq!(split_authority("a.example:8443"), Some(("a.example", Some(8443))));
        for bad in ["a:", "a:65536", "a:1:2", "a:+1", "a:1a", "u:p@a.example", "[::1]:80", "a:000080"] {
            assert_eq!(split_authority(bad), None, "{bad}");
        }
        assert_eq!(split_authority("u@a.example").and_then(|(host, _)| normal_host(host)), None);
    }

    #[test]
    fn below_needs_a_dot_at_the_seam() {
        assert!(is_below("a.home.example", "home.example"));
        assert!(is_below("a.b.home.example", "home.example"));
        for not_below in ["home.example", "evilhome.example", "home.example.evil", ".home.example", ""] {
            assert!(!is_below(not_below, "home.example"), "{not_below}");
        }
    }

    #[test]
    fn patterns_name_hosts() {
        let exact = DomainPattern::parse("Photos.Home.Example.").unwrap();
        assert_eq!(exact.to_string(), "photos.home.example");
        assert!(exact.names("photos.home.example") && !exact.names("x.photos.home.example"));
        let below = DomainPattern::parse("*.home.example").unwrap();
        assert_eq!(below.to_string(), "*.home.example");
        assert!(below.names("a.b.home.example") && !below.names("home.example"));
        assert!(below.covers(&exact) && !exact.covers(&below));
        assert!(below.covers(&DomainPattern::parse("*.x.home.example").unwrap()));
        for bad in ["", "*", "*.", "a.*.b", "**.a", "https://a.b", "a.b/c", "a.b:80", "a b"] {
            let sentence = DomainPattern::parse(bad).unwrap_err().english();
            assert!(sentence.ends_with('.'), "{bad}: {sentence}");
        }
    }

    /// A name in front of a parent must be the caller's, whatever the case; a program without a person has none.
    #[test]
    fn names_in_hosts_are_the_callers() {
        use crate::kernel::text::GroupName;
        let groups = [GroupName::parse("dev").unwrap()];
        let caller = |username| Caller {
            username,
            groups: &groups,
            level: crate::sessions::Level::OneFactor,
            client: None,
        };
        let (ada, program) = (caller("ada"), caller(""));
        let user = DomainPattern::parse("{user}.Home.example").unwrap();
        let group = DomainPattern::parse("{group}.home.example").unwrap();
        assert_eq!(
            (user.to_string(), group.to_string()),
            ("{user}.home.example".into(), "{group}.home.example".into())
        );
        for (pattern, host, caller, names) in [
            (&user, "ada.home.example", Some(&ada), true),
            (&user, "bob.home.example", Some(&ada), false),
            (&user, "x.ada.home.example", Some(&ada), false),
            (&user, "home.example", Some(&ada), false),
            (&user, ".home.example", Some(&program), false),
            (&user, "bob.home.example", None, true),
            (&user, "home.example", None, false),
            (&group, "dev.home.example", Some(&ada), true),
            (&group, "dev.home.example", Some(&program), true),
            (&group, "ada.home.example", Some(&ada), false),
        ] {
            assert_eq!(pattern.names_for(host, caller), names, "{pattern} {host}");
        }
        let below = DomainPattern::parse("*.home.example").unwrap();
        assert!(below.covers(&user) && !user.covers(&group) && user.covers(&user) && !user.covers(&below));
        assert!(!user.covers(&DomainPattern::parse("ada.home.example").unwrap()));
        for bad in [
            "{user}",
            "{user}.",
            "{name}.a.example",
            "a.{user}.example",
            "*.{user}.example",
            "{user}a.example",
        ] {
            let sentence = DomainPattern::parse(bad).unwrap_err().english();
            assert!(sentence.ends_with('.'), "{bad}: {sentence}");
        }
    }

    #[test]
    fn the_parent_domain_is_ones_own() {
        for (text, portal) in [
            ("home.example", "auth.home.example"),
            ("Home.Example.", "auth.home.example"),
            ("home.example", "home.example"),
            ("me.duckdns.org", "auth.me.duckdns.org"),
            ("home.localhost", "auth.home.localhost"),
            ("home.lan", "auth.home.lan"),
            ("example.co.uk", "auth.example.co.uk"),
            ("apps.example.co.uk", "auth.apps.example.co.uk"),
        ] {
            assert!(
                validate_parent_domain(text, portal).is_ok(),
                "{text}: {:?}",
                validate_parent_domain(text, portal)
            );
        }
        for (text, portal) in [
            ("", "auth.home.example"),
            ("example", "auth.example"),
            ("localhost", "auth.localhost"),
            ("co.uk", "auth.co.uk"),
            ("duckdns.org", "auth.duckdns.org"),
            ("github.io", "auth.github.io"),
            (".home.example", "auth.home.example"),
            ("*.home.example", "auth.home.example"),
            ("https://home.example", "auth.home.example"),
            ("home.example:8443", "auth.home.example"),
            ("192.168.1.5", "192.168.1.5"),
            ("168.1.5", "192.168.1.5"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("home.example", "auth.other.example"),
            ("home.example", "authhome.example"),
            ("auth.home.example", "home.example"),
            ("home..example", "auth.home..example"),
        ] {
            let sentence = validate_parent_domain(text, portal).unwrap_err().english();
            assert!(sentence.ends_with('.'), "{text}: {sentence}");
        }
    }
}
