//! The addresses at which proxies ask, and the switches by which an installation answers as Authelia does where
//! Doorward departs from it.

/// How a proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx `auth_request`: `X-Original-URL` and `X-Original-Method`.
    AuthRequest,
    /// Traefik, Caddy, HAProxy: `X-Forwarded-Proto`, `-Host`, `-Uri` and `-Method`.
    ForwardAuth,
    /// Envoy and Istio: `X-Forwarded-Proto`, `Host`, and the app's path behind our own; any method.
    ExtAuthz,
    /// The endpoint that there was before the others: `X-Original-URL`, else `X-Forwarded-*`; any method.
    Legacy,
}

/// One address that proxies ask at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How they ask.
    pub dialect: Dialect,
    /// Whether it is for programs alone: no cookie is read, and whoever must sign in is asked for a name and a
    /// password by the `WWW-Authenticate` header instead of being led to a page.
    pub is_basic: bool,
}

impl Endpoint {
    /// Returns an endpoint for people and programs.
    pub const fn new(dialect: Dialect) -> Self {
        Endpoint { dialect, is_basic: false }
    }

    /// Returns an endpoint for programs.
    pub const fn basic(dialect: Dialect) -> Self {
        Endpoint { dialect, is_basic: true }
    }
}

/// Where answers depart from Authelia's; each can be turned back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardAuthSettings {
    /// A 200 for somebody unknown carries the four identity headers, empty (FWD-08).
    pub empty_identity_headers: bool,
    /// An `Authorization` header that is not for us is refused, instead of leaving the decision to the cookie.
    pub refuse_unknown_authorization: bool,
    /// The nginx endpoint answers 200, 401 and 403 and nothing else.
    pub nginx_statuses_only: bool,
    /// A 200 for somebody known carries a signed `Remote-Assertion`.
    pub assertion: bool,
}

impl Default for ForwardAuthSettings {
    fn default() -> Self {
        ForwardAuthSettings {
            empty_identity_headers: true,
            refuse_unknown_authorization: false,
            nginx_statuses_only: true,
            assertion: false,
        }
    }
}
