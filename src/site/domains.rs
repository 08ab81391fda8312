//! The protected domains, ready for the question that every forward-auth check asks: whose app is this host? Pure.

use std::fmt;
use std::sync::Arc;

use crate::config::{CookieScope, ProtectedDomain};

/// A list of domains.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    listed: Arc<[ProtectedDomain]>,
    /// The longest name first, so that the first that fits is the nearest.
    nearest_first: Arc<[Arc<ProtectedDomain>]>,
}

impl Domains {
    pub(super) fn new(listed: Vec<ProtectedDomain>) -> Self {
        let mut nearest_first: Vec<_> = listed.iter().cloned().map(Arc::new).collect();
        nearest_first.sort_unstable_by_key(|own| std::cmp::Reverse(own.domain.len()));
        Domains { listed: listed.into(), nearest_first: nearest_first.into() }
    }

    /// Returns the domains as they were named.
    pub(super) fn listed(&self) -> &[ProtectedDomain] {
        &self.listed
    }

    pub(super) fn find(&self, is_it: impl Fn(&ProtectedDomain) -> bool) -> Option<&Arc<ProtectedDomain>> {
        self.nearest_first.iter().find(|own| is_it(own))
    }

    /// Returns the domain of the app `host`. Neither `own_host`, where people sign in, nor a portal is an app. Case and a
    /// dot at the end are the same. Allocates nothing.
    pub(super) fn of_app(&self, host: &str, own_host: &str) -> Option<&Arc<ProtectedDomain>> {
        let host = host.trim_end_matches('.');
        let domain = self.find(|own| own.covers(host))?;
        let is_portal = |own: &Arc<ProtectedDomain>| {
            own.portal_host().is_some_and(|portal| portal.eq_ignore_ascii_case(host))
        };
        let is_ours = host.eq_ignore_ascii_case(own_host) || self.nearest_first.iter().any(is_portal);
        (!is_ours).then_some(domain)
    }

    /// Returns the domain whose cookie a page at `own_host` can set. Where none holds that host, as in a lab, one without a
    /// portal takes its place.
    pub(super) fn own(&self, own_host: &str) -> Option<&Arc<ProtectedDomain>> {
        let is_shared = |own: &ProtectedDomain| own.cookie == CookieScope::Domain;
        self.find(|own| is_shared(own) && own.covers(own_host))
            .or_else(|| self.find(|own| is_shared(own) && own.portal.is_none()))
    }

    /// Returns the domain that `own_host` belongs to, else the first.
    pub(super) fn main(&self, own_host: &str) -> Option<&ProtectedDomain> {
        self.listed.iter().find(|own| own.covers(own_host)).or_else(|| self.listed.first())
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, own) in self.listed.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{own}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(text: &str) -> Domains {
        Domains::new(ProtectedDomain::parse_list(text).unwrap())
    }

    #[test]
    fn what_lies_below_a_protected_domain_is_an_app_of_the_nearest() {
        let domains = domains(
            "home.example, other.example portal=auth.other.example, third.example cookie=host, \
             sub.third.example portal=id.sub.third.example",
        );
        let of = |host: &str| domains.of_app(host, "auth.home.example").map(|own| own.domain.clone());
        for (host, domain) in [
            ("home.example", "home.example"),
            ("a.home.example", "home.example"),
            ("A.b.Home.EXAMPLE.", "home.example"),
            ("ä.home.example", "home.example"),
            ("auth.home.example.other.example", "other.example"),
            ("x.third.example", "third.example"),
            ("x.sub.third.example", "sub.third.example"),
        ] {
            assert_eq!(of(host).as_deref(), Some(domain), "{host}");
        }
        for host in [
            "auth.home.example",
            "Auth.home.example.",
            "AUTH.other.example",
            "id.sub.third.example",
            "myhome.example",
            "example",
            "",
            ".",
            "ähome.example",
        ] {
            assert_eq!(of(host), None, "{host}");
        }
    }
}
