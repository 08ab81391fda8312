//! The few calls of Authelia's own API that bookmarks, scripts and status pages make, in its shapes. They are other faces
//! of the same use-cases, with the same limits. Those that a cookie speaks for, or that set one, take requests from our own
//! pages alone.

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ambiguous_cookie, visit};
use super::destinations::Way;
use super::pending::{self, Wanted};
use super::{Attempt, Second, SignIn, SignInError, SignedIn, Step, Visit};
use crate::http::problem::seconds_rounded_up;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::sessions::cookies::{self, Cookie};
use crate::sessions::{Level, Principal, SessionKind};
use crate::words::english_only;

fn ok(data: Option<Value>) -> Reply {
    let document = match data {
        Some(data) => json!({ "status": "OK", "data": data }),
        None => json!({ "status": "OK" }),
    };
    Reply::json(StatusCode::OK, &document)
}

fn ko(problem: Problem) -> Reply {
    let mut reply =
        Reply::json(problem.status, &json!({ "status": "KO", "message": problem.detail.english() }));
    for (name, value) in &problem.headers {
        reply.headers.append(name.clone(), value.clone());
    }
    if let Some(wait) = problem.retry_after {
        reply.set(header::RETRY_AFTER, HeaderValue::from(seconds_rounded_up(wait).max(1)));
    }
    reply
}

/// What goes along with a sign-in. The fields of Authelia's OpenID flows are known and mean nothing here, where the way
/// on is an address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstFactorDto {
    username: String,
    password: String,
    #[serde(default, rename = "keepMeLoggedIn")]
    keep_me_logged_in: bool,
    #[serde(default, rename = "targetURL")]
    target_url: Option<String>,
    #[serde(default, rename = "requestMethod")]
    _request_method: Option<String>,
    #[serde(default, rename = "workflow")]
    _workflow: Option<String>,
    #[serde(default, rename = "workflowID")]
    _workflow_id: Option<String>,
    #[serde(default, rename = "flow")]
    _flow: Option<String>,
    #[serde(default, rename = "flowID")]
    _flow_id: Option<String>,
    #[serde(default, rename = "subflow")]
    _subflow: Option<String>,
    #[serde(default, rename = "userCode")]
    _user_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TotpDto {
    token: String,
    #[serde(default, rename = "targetURL")]
    target_url: Option<String>,
    #[serde(default, rename = "workflow")]
    _workflow: Option<String>,
    #[serde(default, rename = "workflowID")]
    _workflow_id: Option<String>,
    #[serde(default, rename = "flow")]
    _flow: Option<String>,
    #[serde(default, rename = "flowID")]
    _flow_id: Option<String>,
    #[serde(default, rename = "subflow")]
    _subflow: Option<String>,
    #[serde(default, rename = "userCode")]
    _user_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoutDto {
    #[serde(default, rename = "targetURL")]
    target_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UriDto {
    uri: String,
}

/// `GET /api/health`: the process answers.
pub async fn health(_room: &SignIn, _request: &Request) -> Result<Reply, Problem> {
    Ok(ok(None))
}

/// `GET /api/state`: who the browser is, and how much it has proven (0, 1 or 2).
pub async fn state(_room: &SignIn, _request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let level = match caller.map(Principal::level) {
        None => 0,
        Some(Level::OneFactor) => 1,
        Some(Level::TwoFactor) => 2,
    };
    Ok(ok(Some(json!({
        "username": caller.map_or("", |caller| caller.user.username.as_str()),
        "authentication_level": level,
        "factor_knowledge": caller.is_some(),
        "default_redirection_url": "",
    }))))
}

/// `GET /api/configuration`: what the sign-in offers.
pub async fn configuration(_room: &SignIn, _request: &Request) -> Result<Reply, Problem> {
    Ok(ok(Some(json!({
        "available_methods": ["totp"],
        "password_change_disabled": false,
        "password_reset_disabled": true,
    }))))
}

/// `POST /api/checks/safe-redirection`: tells whether an address may be returned to (WEB-11). 401 for nobody.
pub async fn safe_redirection(
    room: &SignIn,
    request: &Request,
    caller: Option<&Principal>,
) -> Result<Reply, Problem> {
    let body: UriDto = request.json()?;
    if caller.is_none() {
        return Ok(ko(Problem::unauthorized("not_signed_in", english_only("Sign in first."))));
    }
    Ok(ok(Some(json!({ "ok": is_safe(room, Some(&body.uri)) }))))
}

/// Tells whether an absolute address leads to our own pages or to a protected app.
fn is_safe(room: &SignIn, address: Option<&str>) -> bool {
    address
        .is_some_and(|address| !address.starts_with('/') && Way::to(room, Some(address)).target().is_some())
}

/// `POST /api/firstfactor`: the password. Signs in, or leaves a cookie for [`second_factor_totp`] where the account has a
/// second factor; the answer of the latter names no way on.
pub async fn first_factor(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: FirstFactorDto = request.json()?;
    let password = SecretText::new(body.password);
    let target = body.target_url.as_deref();
    let attempt = Attempt {
        name: &body.username,
        password: &password,
        code: None,
        kind: SessionKind::Web,
        is_remembered: body.keep_me_logged_in,
        with_refresh: false,
        return_to: Way::to(room, target).target().map(|url| url.to_string()),
    };
    match room.attempt(attempt, &silent(room, request)?).await {
        Ok(Step::SignedIn(signed_in)) => Ok(signed_in_reply(room, &signed_in, target)),
        Ok(Step::Pending { token, wanted: Wanted::SecondFactor }) => {
            Ok(Cookie::Pending.set(&room.site, ok(None), token.expose(), Some(pending::LIFETIME)))
        }
        Ok(Step::Pending { wanted: Wanted::Enrolment, .. }) => {
            let origin = room.site.origin().text;
            let sentence =
                format!("This account must have a second factor first. Sign in at {origin} to set it up.");
            Ok(ko(Problem::forbidden("second_factor_required", english_only(sentence))))
        }
        Err(error) => Ok(ko(error.into())),
    }
}

/// `POST /api/secondfactor/totp`: the code, after [`first_factor`] in the same browser.
pub async fn second_factor_totp(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: TotpDto = request.json()?;
    let cookie = Cookie::Pending.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let Some(token) = cookie else { return Ok(ko(SignInError::NothingPending.into())) };
    let visit = silent(room, request)?;
    match room.finish(token, Second::Code(&body.token), SessionKind::Web, false, &visit).await {
        Ok(signed_in) => {
            let target = body.target_url.as_deref().or(signed_in.return_to.as_deref());
            Ok(signed_in_reply(room, &signed_in, target))
        }
        Err(error) => Ok(ko(error.into())),
    }
}

/// Who is knocking, by way of answers that have no place for more than they must say.
fn silent<'a>(room: &SignIn, request: &'a Request) -> Result<Visit<'a>, Problem> {
    Ok(Visit { can_tell: false, ..visit(room, request)? })
}

fn signed_in_reply(room: &SignIn, signed_in: &SignedIn, target: Option<&str>) -> Reply {
    let way = Way::to(room, target);
    let data = way.target().is_some().then(|| {
        let url = way.url();
        let own = if url.starts_with('/') { room.site.origin().text } else { String::new() };
        json!({ "redirect": format!("{own}{url}") })
    });
    cookies::grant(&room.site, ok(data), &signed_in.started, &signed_in.device)
}

/// `POST /api/logout`: ends the session, and tells whether `targetURL` may be followed.
pub async fn logout(room: &SignIn, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let body: LogoutDto = request.json()?;
    let reply = ok(Some(json!({ "safeTargetURL": is_safe(room, body.target_url.as_deref()) })));
    let Some(principal) = caller else { return Ok(reply) };
    room.sign_out(principal, &visit(room, request)?).await?;
    let mut reply = cookies::revoke(&room.site, reply);
    crate::http::headers::clear_site_data(&mut reply);
    Ok(reply)
}
