//! Who is at the other end: the peer, and behind trusted proxies the client (FWD-01, FWD-02).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderName, header};
use ipnet::IpNet;

pub use crate::config::parse_network;

use super::byte_set::ByteSet;
use super::request_headers::{RequestHeaders, ascii};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// More hops than this and the chain is taken for forged.
const MAX_HOPS: usize = 32;

/// The proxies whose forwarding headers are believed. Cheap to clone; all clones see a change at once.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<ArcSwap<Vec<IpNet>>>);

impl TrustedProxies {
    /// Trusts these networks; an empty list trusts nobody.
    pub fn new(networks: Vec<IpNet>) -> Self {
        TrustedProxies(Arc::new(ArcSwap::from_pointee(networks)))
    }

    /// Replaces the list.
    pub fn set(&self, networks: Vec<IpNet>) {
        self.0.store(Arc::new(networks));
    }

    /// Returns the list.
    pub fn networks(&self) -> Vec<IpNet> {
        self.0.load().as_ref().clone()
    }

    /// Tells whether `address` is one of them. A v4-mapped v6 address counts as its v4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        is_in(&self.0.load(), address)
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The two ends of a request, as far as addresses tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client: the last hop that is not a trusted proxy, as far as that is known; else the peer. Canonical (never
    /// v4-mapped). For limits and the log, which need some address.
    pub ip: IpAddr,
    /// Whom a trusted proxy names as its client. `None` if the peer is not trusted, names nobody, or not readably. For
    /// what is decided in somebody's favor or against them by where they are.
    pub forwarded: Option<IpAddr>,
    /// The other end of the TCP connection. Canonical.
    pub peer: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub is_trusted_peer: bool,
    /// Whether the browser speaks HTTPS, as a trusted proxy says.
    pub is_https: bool,
    /// The host the client asked for, lower-case and with its port if it named one; `X-Forwarded-Host` counts only
    /// from a trusted proxy. `None` if absent or ambiguous.
    pub host: Option<String>,
}

impl Client {
    /// Reads the forwarding headers if, and only if, `peer` is trusted.
    pub fn resolve(peer: SocketAddr, headers: &RequestHeaders, trusted: &TrustedProxies) -> Self {
        let peer = peer.ip().to_canonical();
        let networks = trusted.0.load();
        if networks.is_empty() || !is_in(&networks, peer) {
            return Client {
                ip: peer,
                forwarded: None,
                peer,
                is_trusted_peer: false,
                is_https: false,
                host: single_host(headers, &header::HOST),
            };
        }
        let host = if headers.contains_key(&X_FORWARDED_HOST) {
            single_host(headers, &X_FORWARDED_HOST)
        } else {
            single_host(headers, &header::HOST)
        };
        let forwarded = last_untrusted_hop(headers, &networks);
        Client {
            ip: forwarded.unwrap_or(peer),
            forwarded,
            peer,
            is_trusted_peer: true,
            is_https: is_https(headers),
            host,
        }
    }

    /// Tells whether the request comes from this very machine and asks for it by a loopback name. Browsers treat
    /// such origins as secure, so plain HTTP is fine (SES-06).
    pub fn is_local(&self) -> bool {
        self.ip.is_loopback() && self.host.as_deref().is_some_and(|host| is_loopback_name(without_port(host)))
    }

    /// Returns where somebody who opens a page of ours comes from, for rules by network. A loopback peer that names nobody
    /// may be a proxy that is not trusted (yet), with the whole world behind it, so then nothing is known.
    pub fn visitor(&self) -> Option<IpAddr> {
        self.forwarded.or_else(|| (!self.peer.is_loopback()).then_some(self.peer))
    }

    /// Returns `https://host` or `http://host` as the client sees us, or `None` without a host.
    pub fn origin(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(if self.is_https { format!("https://{host}") } else { format!("http://{host}") })
    }
}

/// Tells whether `name` is `localhost`, a name below it, or a loopback address. Without a port.
pub fn is_loopback_name(name: &str) -> bool {
    const BELOW: &str = ".localhost";
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name
            .len()
            .checked_sub(BELOW.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(BELOW))
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Returns the host without its port; brackets of a v6 address stay.
pub fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| host.get(..=end).unwrap_or(host));
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Tells whether `host` (a `Host` value) is the host of `origin` (`https://auth.example.org[:port]`): case, a
/// trailing dot and the scheme's default port make no difference (WEB-12).
pub fn host_matches(origin: &str, host: &str) -> bool {
    let Some((scheme, origin_host)) = origin.split_once("://") else { return false };
    let default_port = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let (Some(wanted), Some(given)) = (host_and_port(origin_host), host_and_port(host)) else { return false };
    wanted.0.eq_ignore_ascii_case(given.0)
        && wanted.1.unwrap_or(default_port) == given.1.unwrap_or(default_port)
}

fn host_and_port(host: &str) -> Option<(&str, Option<&str>)> {
    let name = without_port(host);
    let rest = host.get(name.len()..)?;
    let port = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(':')?),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty()
        || port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()))
    {
        return None;
    }
    Some((name, port))
}

/// What host names, addresses and ports are made of.
const HOST_BYTES: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_:[]");

/// A host header that occurs once, holds one value, and holds only bytes that hosts have.
fn single_host(headers: &RequestHeaders, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    if values.next().is_some() || value.is_empty() || value.len() > 260 {
        return None;
    }
    if !HOST_BYTES.has_all(value) {
        return None;
    }
    let mut host = std::str::from_utf8(value).ok()?.to_owned();
    host.make_ascii_lowercase();
    Some(host)
}

/// Reads all `X-Forwarded-For` headers as one list from the right and returns the first hop that is not trusted.
/// A hop that cannot be parsed ends the search: nothing beyond it can be believed, so the peer is used.
fn last_untrusted_hop(headers: &RequestHeaders, networks: &[IpNet]) -> Option<IpAddr> {
    let mut nearest = None;
    let mut seen = 0;
    for value in headers.get_all(&X_FORWARDED_FOR).rev() {
        for hop in ascii(value)?.rsplit(',') {
            seen += 1;
            let address = parse_hop(hop)?;
            if seen > MAX_HOPS {
                return None;
            }
            if !is_in(networks, address) {
                return Some(address);
            }
            nearest.get_or_insert(address);
        }
    }
    // Every hop is trusted, as where a whole home network is: then only what the nearest proxy saw by itself counts.
    // What stands further left may have been sent along by a client of that network.
    nearest
}

/// Parses one hop: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`, with or
/// without a zone (`fe80::1%eth0`) and quotes.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"');
    if hop.len() > 80 {
        return None;
    }
    let address = match hop.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if !port.is_empty() {
                port.strip_prefix(':')?.parse::<u16>().ok()?;
            }
            address
        }
        None => match hop.split_once(':') {
            Some((v4, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                v4
            }
            _ => hop,
        },
    };
    let address = address.split_once('%').map_or(address, |(address, _zone)| address);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// HTTPS, if every element of `X-Forwarded-Proto` says so; a chain of proxies may have added one each.
fn is_https(headers: &RequestHeaders) -> bool {
    let mut is_any = false;
    for value in headers.get_all(&X_FORWARDED_PROTO) {
        let Some(value) = ascii(value) else { return false };
        for element in value.split(',') {
            let element = element.trim();
            if !element.eq_ignore_ascii_case("https") && !element.eq_ignore_ascii_case("wss") {
                return false;
            }
            is_any = true;
        }
    }
    is_any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> RequestHeaders {
        pairs.iter().copied().collect()
    }

    fn resolve(peer: &str, pairs: &[(&'static str, &str)]) -> Client {
        let trusted = TrustedProxies::new(vec![
            parse_network("10.0.0.0/8").unwrap(),
            parse_network("fd00::/8").unwrap(),
            parse_network("127.0.0.1").unwrap(),
        ]);
        Client::resolve(SocketAddr::new(peer.parse().unwrap(), 1), &headers(pairs), &trusted)
    }

    /// FWD-02: the rightmost hop that is not a trusted proxy is the client, however it is written.
    #[test]
    fn the_client_is_the_rightmost_untrusted_hop() {
        for (peer, forwarded, client) in [
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", vec!["1.1.1.1, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", vec!["1.1.1.1, 192.0.2.7, 10.9.9.9"], "192.0.2.7"),
            ("10.0.0.1", vec!["1.1.1.1", "192.0.2.7", "10.9.9.9"], "192.0.2.7"),
            ("10.0.0.1", vec!["1.1.1.1,192.0.2.7", "10.9.9.9,10.1.1.1"], "192.0.2.7"),
            // A client inside a trusted network cannot choose another address of it.
            ("10.0.0.1", vec!["10.2.2.2, 10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", vec!["10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", vec!["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", vec!["::ffff:192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", vec!["[::ffff:192.0.2.7]:80"], "192.0.2.7"),
            ("10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", vec!["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", vec!["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", vec!["fe80::1%eth0"], "fe80::1"),
            ("10.0.0.1", vec!["\"[2001:db8::1]:443\""], "2001:db8::1"),
            ("::ffff:10.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("fd00::5", vec!["192.0.2.7"], "192.0.2.7"),
            // A hop that cannot be read: the peer.
            ("10.0.0.1", vec!["unknown"], "10.0.0.1"),
            ("10.0.0.1", vec![""], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.7,"], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.7, _hidden, 10.0.0.9"], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.7:99999"], "10.0.0.1"),
            ("10.0.0.1", vec!["[192.0.2.7"], "10.0.0.1"),
            ("10.0.0.1", vec!["[2001:db8::1]x"], "10.0.0.1"),
            ("10.0.0.1", vec!["example.org"], "10.0.0.1"),
            ("10.0.0.1", vec!["192.0.2.07"], "10.0.0.1"),
            ("10.0.0.1", vec!["0x7f.1"], "10.0.0.1"),
            // …but what stands to the left of the client is never read.
            ("10.0.0.1", vec!["garbage, 192.0.2.7"], "192.0.2.7"),
        ] {
            let pairs: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            let found = resolve(peer, &pairs);
            let client: IpAddr = client.parse().unwrap();
            assert_eq!(found.ip, client, "{peer} {forwarded:?}");
            assert!(found.is_trusted_peer);
            // Whoever stands in for a client that nobody named is never taken for one.
            let is_named = forwarded.last().is_some_and(|last| last.ends_with(&client.to_string()));
            assert!(found.forwarded.is_none_or(|named| named == client), "{peer} {forwarded:?}");
            assert!(found.forwarded.is_some() || !is_named, "{peer} {forwarded:?}");
            if client.to_string() == peer {
                assert_eq!(found.forwarded, None, "{peer} {forwarded:?}");
            }
        }
    }

    /// FWD-01: without trust, every forwarding header is ignored.
    #[test]
    fn headers_of_an_untrusted_peer_are_ignored() {
        let client = resolve(
            "192.0.2.66",
            &[
                ("host", "Auth.Example.org:8080"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("forwarded", "for=1.2.3.4;proto=https;host=evil.example"),
                ("x-real-ip", "1.2.3.4"),
                ("cf-connecting-ip", "1.2.3.4"),
            ],
        );
        assert_eq!(client.ip, "192.0.2.66".parse::<IpAddr>().unwrap());
        assert!(!client.is_trusted_peer && !client.is_https);
        assert_eq!((client.forwarded, client.visitor()), (None, Some(client.peer)));
        assert_eq!(client.host.as_deref(), Some("auth.example.org:8080"));
        let nobody = Client::resolve(
            "127.0.0.1:1".parse().unwrap(),
            &headers(&[("x-forwarded-for", "1.2.3.4")]),
            &TrustedProxies::default(),
        );
        assert_eq!(nobody.ip, "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!((nobody.forwarded, nobody.visitor()), (None, None));
    }

    #[test]
    fn a_trusted_proxy_says_scheme_and_host() {
        for (proto, https) in [
            (vec![], false),
            (vec!["https"], true),
            (vec!["HTTPS"], true),
            (vec!["wss"], true),
            (vec!["http"], false),
            (vec!["https,https"], true),
            (vec!["https, http"], false),
            (vec!["http", "https"], false),
            (vec![""], false),
        ] {
            let pairs: Vec<_> = proto.iter().map(|value| ("x-forwarded-proto", *value)).collect();
            assert_eq!(resolve("10.0.0.1", &pairs).is_https, https, "{proto:?}");
        }
        for (pairs, host) in [
            (vec![("host", "a.example")], Some("a.example")),
            (vec![("host", "internal"), ("x-forwarded-host", "A.Example:8443")], Some("a.example:8443")),
            (vec![("host", "internal"), ("x-forwarded-host", "a.example, b.example")], None),
            (
                vec![
                    ("host", "internal"),
                    ("x-forwarded-host", "a.example"),
                    ("x-forwarded-host", "b.example"),
                ],
                None,
            ),
            (vec![("host", "internal"), ("x-forwarded-host", "")], None),
            (vec![("host", "a.example/x")], None),
            (vec![("host", "user@a.example")], None),
            (vec![("host", "[2001:DB8::1]:80")], Some("[2001:db8::1]:80")),
            (vec![], None),
        ] {
            assert_eq!(resolve("10.0.0.1", &pairs).host.as_deref(), host, "{pairs:?}");
        }
    }

    /// WEB-12: only case, a trailing dot and the default port may differ.
    #[test]
    fn host_comparison_knows_default_ports() {
        for (origin, host, matches) in [
            ("https://auth.example.org", "auth.example.org", true),
            ("https://auth.example.org", "AUTH.example.org:443", true),
            ("https://auth.example.org", "auth.example.org.", true),
            ("https://auth.example.org", "auth.example.org:80", false),
            ("https://auth.example.org", "auth.example.org:8443", false),
            ("https://auth.example.org:8443", "auth.example.org:8443", true),
            ("https://auth.example.org:8443", "auth.example.org", false),
            ("http://localhost:8080", "localhost:8080", true),
            ("http://localhost", "localhost:80", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://[::1]:8080", "[::1]", false),
            ("https://auth.example.org", "evil.example.org", false),
            ("https://auth.example.org", "auth.example.org.evil.example", false),
            ("https://auth.example.org", "auth.example.org:", false),
            ("https://auth.example.org", "auth.example.org:443x", false),
            ("https://auth.example.org", "", false),
        ] {
            assert_eq!(host_matches(origin, host), matches, "{origin} {host}");
        }
    }

    #[test]
    fn local_means_loopback_address_and_name() {
        for (peer, host, local) in [
            ("127.0.0.1", "localhost:8080", true),
            ("127.0.0.1", "dw.localhost", true),
            ("::1", "[::1]:8080", true),
            ("127.0.0.1", "127.0.0.1:8080", true),
            ("127.0.0.1", "auth.example.org", false),
            ("192.0.2.1", "localhost", false),
            ("127.0.0.1", "localhost.evil.example", false),
        ] {
            let client = Client::resolve(
                SocketAddr::new(peer.parse().unwrap(), 1),
                &headers(&[("host", host)]),
                &TrustedProxies::default(),
            );
            assert_eq!(client.is_local(), local, "{peer} {host}");
        }
    }
}
