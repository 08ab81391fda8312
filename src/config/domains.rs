//! The root domains that Doorward protects: how each is written, and which lists of them are sound. Pure.

use std::fmt;

use super::values::parse_cookie_domain;
use crate::words::{Said, Words, english_only, said};

/// Most protected domains.
pub const MOST_DOMAINS: usize = 32;

/// Who can receive the cookie of the apps below a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieScope {
    /// Every host below the domain shares one cookie.
    Domain,
    /// Each app has a cookie of its own that no other host sees.
    Host,
}

impl CookieScope {
    /// Reads `domain` or `host`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "domain" => Some(CookieScope::Domain),
            "host" => Some(CookieScope::Host),
            _ => None,
        }
    }

    /// Returns the scope as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            CookieScope::Domain => "domain",
            CookieScope::Host => "host",
        }
    }
}

/// A root domain whose hosts are protected. Written `home.example`, `other.example portal=auth.other.example` or
/// `third.example cookie=host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedDomain {
    /// The domain, lower-case, without a dot at the end.
    pub domain: String,
    /// A host of the domain, with its port if it is not the usual one, that leads to Doorward, so that it can set the
    /// cookie of the domain. Needed where the public address lies outside the domain.
    pub portal: Option<String>,
    /// Who can receive the cookie.
    pub cookie: CookieScope,
}

impl ProtectedDomain {
    /// Checks domain and portal. The error is the end of a sentence, or empty.
    pub fn new(domain: &str, portal: Option<&str>, cookie: CookieScope) -> Result<Self, Said> {
        let domain = parse_cookie_domain(domain).map_err(english_only)?;
        let Some(portal) = portal else { return Ok(ProtectedDomain { domain, portal: None, cookie }) };
        if cookie == CookieScope::Host {
            return Err(Said::of(Words::domains_why_no_portal));
        }
        let Some(portal) = parse_portal(portal) else {
            let portal = portal.to_owned();
            return Err(said(move |t| t.domains_why_portal_host(&domain, &portal)));
        };
        let own = ProtectedDomain { domain, portal: Some(portal), cookie };
        if own.portal_host().is_some_and(|host| own.covers(host)) {
            return Ok(own);
        }
        let (domain, portal) = (own.domain, own.portal.unwrap_or_default());
        Err(said(move |t| t.domains_why_portal_elsewhere(&domain, &portal)))
    }

    /// Reads a domain with what follows it. The error is the end of a sentence, or empty.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let mut words = text.split_whitespace();
        let domain = words.next().unwrap_or_default();
        let (mut portal, mut cookie) = (None, None);
        for word in words {
            match word.split_once('=') {
                Some(("portal", host)) if portal.is_none() => portal = Some(host),
                Some(("cookie", scope)) if cookie.is_none() => {
                    let scope = CookieScope::parse(scope);
                    let wrong = || english_only(format!("“{word}” is neither cookie=domain nor cookie=host"));
                    cookie = Some(scope.ok_or_else(wrong)?);
                }
                _ => {
                    let why = format!("“{word}” is neither portal=HOST nor cookie=domain or cookie=host");
                    return Err(english_only(why));
                }
            }
        }
        ProtectedDomain::new(domain, portal, cookie.unwrap_or(CookieScope::Domain))
    }

    /// Reads a list with commas between the domains. The error is the end of a sentence, or empty.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Said> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let domains = items.map(ProtectedDomain::parse).collect::<Result<Vec<_>, _>>()?;
        check_domains(&domains)?;
        Ok(domains)
    }

    /// Tells whether `host` is the domain or lies below it. Case makes no difference.
    pub fn covers(&self, host: &str) -> bool {
        let Some((rest, end)) =
            host.len().checked_sub(self.domain.len()).and_then(|at| host.split_at_checked(at))
        else {
            return false;
        };
        (rest.is_empty() || rest.ends_with('.')) && end.eq_ignore_ascii_case(&self.domain)
    }

    /// Returns the portal without its port.
    pub fn portal_host(&self) -> Option<&str> {
        let portal = self.portal.as_deref()?;
        Some(portal.split_once(':').map_or(portal, |(host, _)| host))
    }
}

impl fmt::Display for ProtectedDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.domain)?;
        if let Some(portal) = &self.portal {
            write!(f, " portal={portal}")?;
        }
        if self.cookie == CookieScope::Host {
            f.write_str(" cookie=host")?;
        }
        Ok(())
    }
}

/// Reads `host[:port]`; the port of https goes without saying.
fn parse_portal(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
        None => (text.as_str(), None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return None;
    }
    Some(match port {
        Some(port) if port != 443 => format!("{host}:{port}"),
        _ => host.to_owned(),
    })
}

/// Checks what holds between the domains of a list: none twice, none below one whose cookie would reach it, too.
/// The error is the end of a sentence.
pub fn check_domains(domains: &[ProtectedDomain]) -> Result<(), Said> {
    if domains.len() > MOST_DOMAINS {
        return Err(said(|t| t.domains_why_too_many(MOST_DOMAINS)));
    }
    for (index, own) in domains.iter().enumerate() {
        for other in domains.iter().skip(index + 1) {
            if own.domain == other.domain {
                let domain = own.domain.clone();
                return Err(said(move |t| t.domains_why_twice(&domain)));
            }
            let (outer, inner) = match (own.covers(&other.domain), other.covers(&own.domain)) {
                (true, _) => (own, other),
                (_, true) => (other, own),
                _ => continue,
            };
            if outer.cookie == CookieScope::Domain {
                let (inner, outer) = (inner.domain.clone(), outer.domain.clone());
                return Err(said(move |t| t.domains_why_below(&inner, &outer)));
            }
        }
    }
    Ok(())
}

/// Checks that a browser which signs in at `host`, the host of the public address, gets to every cookie. The error is
/// the end of a sentence.
pub fn check_reach(domains: &[ProtectedDomain], host: &str) -> Result<(), Said> {
    for own in domains {
        let domain = &own.domain;
        if own.portal_host().is_some_and(|portal| portal.eq_ignore_ascii_case(host)) {
            let host = host.to_owned();
            return Err(said(move |t| t.domains_why_portal_is_home(&host)));
        }
        if own.cookie == CookieScope::Domain && own.portal.is_none() && !own.covers(host) {
            let (domain, host) = (domain.clone(), host.to_owned());
            return Err(said(move |t| t.domains_why_unreached(&domain, &host)));
        }
    }
    Ok(())
}

/// Makes a sentence of the end of one.
pub fn as_sentence(why: Said) -> Said {
    said(move |t| {
        let why = why.in_words(t);
        let mut characters = why.chars();
        let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", characters.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_written_in_one_line_and_read_again() {
        for (text, written) in [
            ("home.example", "home.example"),
            ("Home.Example. cookie=domain", "home.example"),
            ("other.example portal=Auth.Other.Example", "other.example portal=auth.other.example"),
            ("other.example portal=auth.other.example:443", "other.example portal=auth.other.example"),
            ("other.example portal=auth.other.example:8443", "other.example portal=auth.other.example:8443"),
            ("other.example portal=other.example", "other.example portal=other.example"),
            (" third.example   cookie=host ", "third.example cookie=host"),
        ] {
            assert_eq!(ProtectedDomain::parse(text).unwrap().to_string(), written, "{text}");
        }
        for bad in [
            "",
            "co.uk",
            "duckdns.org cookie=host",
            "home.example cookie=both",
            "home.example portal",
            "home.example portal=a.home.example portal=b.home.example",
            "home.example portal=auth.other.example",
            "home.example portal=authhome.example",
            "home.example portal=https://auth.home.example",
            "home.example portal=auth.home.example:x",
            "home.example portal=a_b..home.example",
            "home.example portal=auth.home.example cookie=host",
            "home.example other.example",
        ] {
            assert!(ProtectedDomain::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_reaches_no_domain_but_its_own() {
        let check = |text: &str| ProtectedDomain::parse_list(text);
        for good in [
            "",
            "home.example",
            "home.example,other.example portal=auth.other.example,third.example cookie=host",
            "home.example cookie=host, sub.home.example portal=auth.sub.home.example",
            "home.example cookie=host, sub.home.example cookie=host",
            "home.example, myhome.example",
        ] {
            assert!(check(good).is_ok(), "{good}: {:?}", check(good));
        }
        for bad in [
            "home.example, home.example cookie=host",
            "home.example, sub.home.example cookie=host",
            "sub.home.example cookie=host, home.example",
            "home.example, a.b.home.example",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=MOST_DOMAINS).map(|number| format!("d{number}.example")).collect();
        assert!(check(&many.join(",")).is_err());
        assert!(check(&many[1..].join(",")).is_ok());
    }

    #[test]
    fn every_cookie_can_be_set_from_somewhere() {
        let check =
            |text: &str| check_reach(&ProtectedDomain::parse_list(text).unwrap(), "auth.home.example");
        assert_eq!(
            check("home.example,other.example portal=x.other.example,third.example cookie=host"),
            Ok(())
        );
        assert_eq!(check("home.example portal=x.home.example"), Ok(()));
        for bad in ["other.example", "auth.home.example.org", "home.example portal=auth.home.example"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
