//! Kinds of routes: what most rows of the table have in common, and what a few of them have otherwise.

use super::{Action, Face, Forgery, Method2, Rate, Route};
use crate::access::forward_auth::Endpoint;
use crate::setup::restore::LARGEST_UPLOAD;
use Method2::Get;

/// The largest JSON body or form of most routes, in bytes (INP-02).
pub const BODY: usize = 16 * 1024;

pub(super) const fn page(method: Method2, path: &'static str, action: Action) -> Route {
    let forgery = match (method, action) {
        (Method2::Get, _) => Forgery::None,
        (_, Action::Browser(_) | Action::AdminBrowser(_)) => Forgery::Session,
        _ => Forgery::Origin,
    };
    let body = match method {
        Method2::Get => 0,
        _ => BODY,
    };
    Route {
        method,
        path,
        action,
        face: Face::Page,
        body,
        rate: Rate::None,
        forgery,
        is_plain_http_fine: false,
        is_upload: false,
        is_in_turn: false,
    }
}

pub(super) const fn api(method: Method2, path: &'static str, action: Action) -> Route {
    let forgery = match action {
        Action::User(_)
        | Action::Glance(_)
        | Action::Admin(_)
        | Action::Browser(_)
        | Action::AdminBrowser(_) => Forgery::Session,
        _ => Forgery::None,
    };
    let body = match method {
        Method2::Get => 0,
        _ => BODY,
    };
    Route {
        method,
        path,
        action,
        face: Face::Api,
        body,
        rate: Rate::Api,
        forgery,
        is_plain_http_fine: false,
        is_upload: false,
        is_in_turn: false,
    }
}

/// Somebody tries to sign in or to join; many do at once when they are up to no good.
pub(super) const fn in_turn(mut route: Route) -> Route {
    route.is_in_turn = true;
    route
}

/// The use-case has limits of its own.
pub(super) const fn limited_inside(mut route: Route) -> Route {
    route.rate = Rate::None;
    route
}

/// The answer sets cookies, so the request must come from our own pages (login CSRF, SES-13).
pub(super) const fn from_own_pages(mut route: Route) -> Route {
    route.forgery = Forgery::Origin;
    route
}

/// A page of the setup checks by itself where its forms come from: there is no session yet, and the public origin is
/// what it is about to ask for.
pub(super) const fn first_start(method: Method2, path: &'static str, action: Action) -> Route {
    let mut route = over_plain_http(page(method, path, action));
    route.forgery = Forgery::None;
    route
}

/// Takes a backup of a whole store.
pub(super) const fn with_upload(mut route: Route) -> Route {
    route.body = LARGEST_UPLOAD;
    route.is_upload = true;
    route
}

/// Answered over plain HTTP from other machines too. The setup warns of it by itself; services of the same network may
/// ask whether a token that they were sent is good.
pub(super) const fn over_plain_http(mut route: Route) -> Route {
    route.is_plain_http_fine = true;
    route
}

/// A whole list of rules comes at once.
pub(super) const fn with_large_body(mut route: Route) -> Route {
    route.body = 4 * 1024 * 1024;
    route
}

/// The form carries an address of ours or of an app, which may be long and is escaped once more.
pub(super) const fn with_target(mut route: Route) -> Route {
    route.body = 32 * 1024;
    route
}

/// A whole profile may come at once, with all its attributes.
pub(super) const fn with_attributes(mut route: Route) -> Route {
    route.body = 128 * 1024;
    route
}

/// An endpoint of OAuth 2.0: programs that prove themselves, or bring a token; no cookie plays a part.
pub(super) const fn oauth(method: Method2, path: &'static str, action: Action) -> Route {
    let mut route = limited_inside(api(method, path, action));
    route.face = Face::OAuth;
    route.forgery = Forgery::None;
    route
}

/// An endpoint of OAuth 2.0 that takes JSON.
pub(super) const fn oauth_json(method: Method2, path: &'static str, action: Action) -> Route {
    let mut route = oauth(method, path, action);
    if !matches!(method, Method2::Get) {
        route.body = 64 * 1024;
    }
    route
}

/// A public document.
pub(super) const fn document(path: &'static str, action: Action) -> Route {
    over_plain_http(limited_inside(api(Get, path, action)))
}

/// A page that other sites may send forms to: it only leads on, or checks by itself where the form comes from.
pub(super) const fn from_other_sites(mut route: Route) -> Route {
    route.forgery = Forgery::None;
    route
}

pub(super) const fn proxy(method: Method2, path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        method,
        path,
        action: Action::Proxy(endpoint),
        face: Face::Api,
        body: 0,
        rate: Rate::None,
        forgery: Forgery::None,
        is_plain_http_fine: true,
        is_upload: false,
        is_in_turn: false,
    }
}
