//! The cookies that open apps behind a reverse proxy: one for all hosts below a domain, or one for a single host.
//!
//! Each has a secret that follows from its session by a one-way step with the scope in it, so what one app sees is worth
//! nothing at another, at another domain, or at Doorward itself (SES-05). All of them are the session: what ends it ends
//! them at the next request.

use super::cookies;
use super::live::Live;
use super::{Principal, Sessions, cookie_value, parse_cookie};
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::http::Request;
use crate::kernel::ids::SessionId;
use crate::kernel::secret::{SecretText, ct_eq};
use crate::kernel::time::Timestamp;
use crate::site::{CookieScope, ProtectedDomain, Site};
use std::time::Duration;

/// What a cookie opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    kind: CookieScope,
    name: &'a str,
}

impl<'a> Scope<'a> {
    /// Returns the scope of the cookie that the app `host` of `domain` receives; `host` in normal form.
    pub fn of(domain: &'a ProtectedDomain, host: &'a str) -> Self {
        match domain.cookie {
            CookieScope::Domain => Scope { kind: CookieScope::Domain, name: &domain.domain },
            CookieScope::Host => Scope { kind: CookieScope::Host, name: host },
        }
    }

    pub(super) fn text(self) -> String {
        format!("{}:{}", self.kind.as_str(), self.name)
    }
}

/// The hashes of cookies that a session was asked for lately, so that a check need not derive them again: four hosts and
/// domains of one session, the oldest makes room.
#[derive(Default)]
pub(super) struct Derived(parking_lot::RwLock<Vec<Known>>);

struct Known {
    kind: CookieScope,
    name: Box<str>,
    hash: [u8; 32],
}

impl Derived {
    const MOST: usize = 4;

    fn hash_of(&self, scope: Scope<'_>, derive: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        let is_it = |known: &&Known| known.kind == scope.kind && *known.name == *scope.name;
        if let Some(known) = self.0.read().iter().find(is_it) {
            return known.hash;
        }
        let hash = derive();
        let mut all = self.0.write();
        // Two requests at once may both have derived it.
        if !all.iter().any(|known| is_it(&known)) {
            if all.len() >= Derived::MOST {
                all.remove(0);
            }
            all.push(Known { kind: scope.kind, name: scope.name.into(), hash });
        }
        hash
    }
}

/// A cookie for apps, to set.
pub struct ForwardCookie {
    /// The value.
    pub value: SecretText,
    /// How long the browser should keep it; `None` until it closes.
    pub max_age: Option<Duration>,
}

impl Sessions {
    /// Identifies the caller by the cookie for `scope`, and slides the session. Two cookies of one name are nobody's
    /// (SES-11).
    pub fn identify_forward(
        &self,
        site: &Site,
        request: &Request,
        scope: Scope<'_>,
        now: Timestamp,
    ) -> Option<Principal> {
        let value = cookies::read_forward(site, request, scope.kind).ok().flatten()?;
        let (id, secret) = parse_cookie(value)?;
        let live = self.0.live.get(&id)?;
        let seed = live.forward_seed.as_ref()?;
        let hash = live.derived.hash_of(scope, || sha256(self.forward_secret(seed, scope)));
        self.admit_secret(id, &live, &secret, &hash, now)
    }

    /// Returns the secret of a session's cookie for `scope`.
    fn forward_secret(&self, seed: &[u8; 32], scope: Scope<'_>) -> [u8; 32] {
        let kind = scope.kind.as_str().as_bytes();
        hmac_sha256(self.0.refresh_key.expose(), &[b"forward-auth-scope", seed, kind, scope.name.as_bytes()])
    }

    pub(super) fn forward_value(&self, id: SessionId, seed: &[u8; 32], scope: Scope<'_>) -> SecretText {
        cookie_value(id, &self.forward_secret(seed, scope))
    }

    /// Returns the value of the cookie that our own pages set for the domain they are of, if there is one.
    pub(super) fn own_forward_value(&self, id: SessionId, seed: &[u8; 32]) -> Option<SecretText> {
        let domain = self.0.tokens.site().own_domain()?;
        Some(self.forward_value(id, seed, Scope::of(&domain, &domain.domain)))
    }

    /// Returns the cookie of a live session for the app `host` of `domain`; `None` if the session has ended.
    pub fn forward_cookie(
        &self,
        id: &SessionId,
        domain: &ProtectedDomain,
        host: &str,
        now: Timestamp,
    ) -> Option<ForwardCookie> {
        let live = self.0.live.get(id).filter(|live| live.is_fresh(now))?;
        let seed = live.forward_seed.as_ref()?;
        // A remembered session outlives the browser, and so does the way into its apps.
        let max_age = self.is_remembered(id).then(|| live.expires_at.since(now));
        Some(ForwardCookie { value: self.forward_value(*id, seed, Scope::of(domain, host)), max_age })
    }

    /// Returns who a live session speaks for, as if it had come with its own cookie, without sliding it.
    pub(super) fn look_at(&self, id: &SessionId, now: Timestamp) -> Option<Principal> {
        let live = self.0.live.get(id).filter(|live| live.is_fresh(now))?;
        self.admit(*id, &live)
    }

    pub(super) fn admit_secret(
        &self,
        id: SessionId,
        live: &Live,
        secret: &[u8; 32],
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Option<Principal> {
        if !ct_eq(&sha256(secret), hash) || !live.is_fresh(now) {
            return None;
        }
        let principal = self.admit(id, live)?;
        live.touch(now);
        Some(principal)
    }
}
