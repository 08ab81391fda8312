//! The cookies that carry sessions: names, scopes and lives in one place (SES-04, SES-05).
//!
//! With an https origin every cookie is `Secure` and its name carries the `__Host-` or `__Secure-` prefix, which a
//! sibling app cannot forge. Plain http (localhost, or a lab that asked for it) can have neither.

use std::time::Duration;

use super::{ForwardCookie, Refreshed, StartedSession};
use crate::http::cookies::SetCookie;
use crate::http::request::Ambiguous;
use crate::http::{Reply, Request};
use crate::site::{CookieScope, ProtectedDomain, Site};

/// The path of the refresh cookie: it travels to the refresh endpoint alone (REF-11).
pub const REFRESH_PATH: &str = "/api/v1/auth/refresh/web";
/// The cookie of a browser in the setup, which acts as the owner there.
pub const SETUP_COOKIE: &str = "dw_setup";
/// The path of that cookie.
pub const SETUP_PATH: &str = "/setup";
const DEVICE_AGE: Duration = Duration::from_secs(400 * 24 * 3600);

/// One of our cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The browser session.
    Session,
    /// A sign-in that waits for its second factor.
    Pending,
    /// Known devices.
    Device,
    /// The refresh token of the web API.
    Refresh,
    /// The session as forward-auth sees it, for all hosts below a domain.
    ForwardAuth,
    /// The session as forward-auth sees it, for one host.
    ForwardHost,
    /// The mark of the browser that was sent for a ticket, for one host.
    Handoff,
}

impl Cookie {
    /// Returns the name.
    pub fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Cookie::Session, true) => "__Host-dw",
            (Cookie::Session, false) => "dw",
            (Cookie::Pending, true) => "__Host-dw_pending",
            (Cookie::Pending, false) => "dw_pending",
            (Cookie::Device, true) => "__Host-dw_device",
            (Cookie::Device, false) => "dw_device",
            (Cookie::Refresh, true) => "__Secure-dw_refresh",
            (Cookie::Refresh, false) => "dw_refresh",
            (Cookie::ForwardAuth, true) => "__Secure-dw_fa",
            (Cookie::ForwardAuth, false) => "dw_fa",
            (Cookie::ForwardHost, true) => "__Host-dw_app",
            (Cookie::ForwardHost, false) => "dw_app",
            (Cookie::Handoff, true) => "__Host-dw_handoff",
            (Cookie::Handoff, false) => "dw_handoff",
        }
    }

    /// Reads the cookie; two of the same name are refused (SES-11).
    pub fn read<'a>(self, site: &Site, request: &'a Request) -> Result<Option<&'a str>, Ambiguous> {
        request.cookie(self.name(site.has_secure_cookies()))
    }

    fn scoped(self, site: &Site, cookie: SetCookie) -> Option<SetCookie> {
        let cookie = match self {
            Cookie::Session | Cookie::Device | Cookie::ForwardHost | Cookie::Handoff => cookie,
            Cookie::Pending => cookie.same_site_strict(),
            Cookie::Refresh => cookie.path(REFRESH_PATH).same_site_strict(),
            Cookie::ForwardAuth => cookie.domain(&site.own_domain()?.domain),
        };
        Some(if site.has_secure_cookies() { cookie } else { cookie.insecure() })
    }

    /// Adds the cookie to a reply; `max_age` of `None` keeps it until the browser closes.
    pub fn set(self, site: &Site, reply: Reply, value: &str, max_age: Option<Duration>) -> Reply {
        let mut cookie = SetCookie::host_only(self.name(site.has_secure_cookies()), value);
        if let Some(age) = max_age {
            cookie = cookie.max_age(age);
        }
        match self.scoped(site, cookie) {
            Some(cookie) => reply.with_cookie(cookie),
            None => reply,
        }
    }

    /// Removes the cookie from the browser.
    pub fn clear(self, site: &Site, reply: Reply) -> Reply {
        let cookie = SetCookie::expired(self.name(site.has_secure_cookies()));
        match self.scoped(site, cookie) {
            Some(cookie) => reply.with_cookie(cookie),
            None => reply,
        }
    }
}

/// Which cookie opens what is of a scope.
fn forward_kind(scope: CookieScope) -> Cookie {
    match scope {
        CookieScope::Domain => Cookie::ForwardAuth,
        CookieScope::Host => Cookie::ForwardHost,
    }
}

/// Reads the cookie that opens apps.
pub(super) fn read_forward<'a>(
    site: &Site,
    request: &'a Request,
    scope: CookieScope,
) -> Result<Option<&'a str>, Ambiguous> {
    forward_kind(scope).read(site, request)
}

/// Gives a browser the cookie that opens the apps of `domain`, from a host that may set it.
pub fn grant_forward(site: &Site, reply: Reply, domain: &ProtectedDomain, cookie: &ForwardCookie) -> Reply {
    let kind = forward_kind(domain.cookie);
    let mut set = SetCookie::host_only(kind.name(site.has_secure_cookies()), cookie.value.expose());
    if domain.cookie == CookieScope::Domain {
        set = set.domain(&domain.domain);
    }
    if let Some(age) = cookie.max_age {
        set = set.max_age(age);
    }
    reply.with_cookie(if site.has_secure_cookies() { set } else { set.insecure() })
}

/// Gives a browser the cookies of a session that was just committed, and takes the pending one.
pub fn grant(site: &Site, reply: Reply, started: &StartedSession, device: &str) -> Reply {
    let mut reply = Cookie::Pending.clear(site, reply);
    if let Some(cookie) = &started.cookie {
        reply = Cookie::Session.set(site, reply, cookie.expose(), started.cookie_max_age);
    }
    if let Some(cookie) = &started.forward_cookie {
        reply = Cookie::ForwardAuth.set(site, reply, cookie.expose(), started.cookie_max_age);
    }
    // Without one of its own the session must not be followed by that of whoever sat here before (SES-03).
    reply = match (&started.refresh_token, started.refresh_max_age()) {
        (Some(token), Some(age)) => Cookie::Refresh.set(site, reply, token.expose(), Some(age)),
        _ => Cookie::Refresh.clear(site, reply),
    };
    Cookie::Device.set(site, reply, device, Some(DEVICE_AGE))
}

/// Gives a browser the cookies of a rotated session.
pub fn grant_refreshed(site: &Site, mut reply: Reply, refreshed: &Refreshed) -> Reply {
    if let Some(cookie) = &refreshed.cookie {
        reply = Cookie::Session.set(site, reply, cookie.expose(), None);
    }
    if let Some(cookie) = &refreshed.forward_cookie {
        reply = Cookie::ForwardAuth.set(site, reply, cookie.expose(), None);
    }
    if let Some(token) = &refreshed.tokens.refresh_token {
        reply = Cookie::Refresh.set(site, reply, token.expose(), refreshed.tokens.refresh_expires_in);
    }
    reply
}

/// Takes all cookies of a session back; the known device stays known.
pub fn revoke(site: &Site, reply: Reply) -> Reply {
    let reply = [Cookie::Session, Cookie::ForwardAuth, Cookie::Refresh, Cookie::Pending]
        .into_iter()
        .fold(reply, |reply, cookie| cookie.clear(site, reply));
    let setup = SetCookie::expired(SETUP_COOKIE).path(SETUP_PATH).same_site_strict();
    reply.with_cookie(if site.has_secure_cookies() { setup } else { setup.insecure() })
}
