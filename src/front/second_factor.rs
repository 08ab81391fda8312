//! The guard of a session that the policy demands more of than it proved.

use http::Method;

use crate::app::App;
use crate::http::{Problem, Reply, Request};
use crate::routes::{Action, Face, Route};
use crate::sessions::Principal;
use crate::sign_in::second_factor_first;
use crate::words::{Said, Words};

/// What a session may reach that falls short of the policy (GEN-02): the way to a second factor, and the way out. The
/// pages of the setup are no routes of a signed-in person, and reverse proxies ask for the level that their rules name.
const TO_A_SECOND_FACTOR: [&str; 12] = [
    "/account/passkeys",
    "/account/totp",
    "/step-up",
    "/signout",
    "/api/v1/users/me/totp",
    "/api/v1/users/me/totp/confirm",
    "/api/v1/users/me/passkeys",
    "/api/v1/users/me/passkeys/options",
    "/api/v1/auth/step-up",
    "/api/v1/auth/step-up/options",
    "/api/v1/auth/logout",
    "/api/v1/auth/logout/all",
];

/// Sends whoever still lacks a second factor to it.
///
/// # Errors
/// 403 `second_factor_required` for whatever is not the reading of a page.
pub(super) fn comes_first(
    app: &App,
    route: &Route,
    request: &Request,
    caller: Option<&Principal>,
) -> Result<Option<Reply>, Problem> {
    let is_guarded =
        !matches!(route.action, Action::Open(_) | Action::Document(_) | Action::Maybe(_) | Action::Proxy(_));
    let Some(caller) = caller.filter(|caller| is_guarded && app.sessions.falls_short(caller)) else {
        return Ok(None);
    };
    if TO_A_SECOND_FACTOR.contains(&route.path) {
        return Ok(None);
    }
    if route.face == Face::Page && request.method == Method::GET {
        return Ok(Some(second_factor_first(caller)));
    }
    Err(Problem::forbidden("second_factor_required", Said::of(Words::errors_second_factor_first)))
}
