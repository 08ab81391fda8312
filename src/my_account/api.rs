//! One's own account as JSON. Browsers and programs call the same addresses; only a new session comes to a browser as
//! cookies and to a program as tokens.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{MyAccount, ProfileChange};
use crate::accounts::User;
pub(crate) use crate::accounts::wording::refused;
use crate::audit::AuditRow;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::SessionId;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{DisplayName, Email};
use crate::sessions::cookies;
use crate::sessions::labels::device_name;
use crate::sessions::{Principal, SessionKind, SessionView};
use crate::sign_in::api::{UserDto, add_tokens, enrolment_json, visit};
use crate::sign_in::{Renewal, SignInError};
use crate::words::{Said, Words, english_only};

/// How many rows a list has unless the request says otherwise.
const DEFAULT_PAGE: usize = 50;
/// The most rows of a list (INP-07).
const LARGEST_PAGE: usize = 200;

/// Returns the wanted number of rows: `limit` in the query, 1 to 200, or 50 (INP-07).
///
/// # Errors
/// 422 for anything else.
pub(crate) fn page_size(request: &Request) -> Result<usize, Problem> {
    let Some(text) = request.query("limit") else { return Ok(DEFAULT_PAGE) };
    text.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size)).ok_or_else(|| {
        Problem::unprocessable(
            "limit",
            "invalid_value",
            english_only(format!("`limit` is a number from 1 to {LARGEST_PAGE}.")),
        )
    })
}

/// Parses an address as a form or JSON sends it: an empty text removes it.
pub(crate) fn parse_email(text: &str) -> Result<Option<Email>, Problem> {
    match text.trim() {
        "" => Ok(None),
        text => Email::parse(text).map(Some).map_err(refused("email")),
    }
}

#[derive(Serialize)]
struct MeDto<'a> {
    #[serde(flatten)]
    user: UserDto<'a>,
    created_at: String,
    password_changed_at: Option<String>,
    recovery_codes_left: u8,
    second_factor_required: bool,
    session: String,
}

/// What sessions were shown of their account, as long as nothing of it changed: programs ask for it all the time.
pub(super) struct Glances(quick_cache::sync::Cache<SessionId, Glance>);

#[derive(Clone)]
struct Glance {
    user: Arc<User>,
    body: Bytes,
}

impl Default for Glances {
    fn default() -> Self {
        Glances(quick_cache::sync::Cache::new(1024))
    }
}

impl Glances {
    /// Returns the document that `make` makes of this state of the user.
    fn of(&self, principal: &Principal, make: impl FnOnce() -> Reply) -> Reply {
        // A user is replaced as a whole when anything of them changes.
        let known = self.0.get(&principal.session).filter(|known| Arc::ptr_eq(&known.user, &principal.user));
        if let Some(known) = known {
            return Reply::bytes(StatusCode::OK, "application/json", known.body);
        }
        let reply = make();
        if reply.status == StatusCode::OK {
            let glance = Glance { user: principal.user.clone(), body: reply.body.clone() };
            self.0.insert(principal.session, glance);
        }
        reply
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileDto {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordDto {
    #[serde(default)]
    current_password: Option<String>,
    new_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmDto {
    otp: String,
}

#[derive(Serialize)]
pub(super) struct SessionDto {
    handle: String,
    kind: SessionKind,
    device: String,
    place: String,
    started_at: String,
    last_seen: String,
    ends_at: String,
    factors: Vec<&'static str>,
    is_current: bool,
}

impl SessionDto {
    pub(super) fn of(view: &SessionView, principal: &Principal) -> Self {
        SessionDto {
            handle: view.id.to_string(),
            kind: view.kind,
            device: device_name(&view.label, Words::ENGLISH),
            place: view.place.clone(),
            started_at: view.started_at.to_rfc3339(),
            last_seen: view.last_seen.to_rfc3339(),
            ends_at: view.ends_at.to_rfc3339(),
            factors: view.factors.amr(),
            is_current: view.id == principal.session,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ActivityDto {
    at: String,
    kind: String,
    sentence: &'static str,
    outcome: &'static str,
    by: String,
    place: Option<String>,
    details: serde_json::Map<String, serde_json::Value>,
}

impl From<AuditRow> for ActivityDto {
    fn from(row: AuditRow) -> Self {
        ActivityDto {
            at: row.at.to_rfc3339(),
            kind: row.kind,
            sentence: row.sentence,
            outcome: row.outcome.as_str(),
            by: row.actor,
            place: row.place,
            details: row.details.into_iter().map(|(key, value)| (key, value.into())).collect(),
        }
    }
}

/// `GET /api/v1/users/me`.
pub fn show(room: &MyAccount, principal: &Principal) -> Reply {
    room.glances.of(principal, || me(room, principal, &principal.user))
}

fn me(room: &MyAccount, principal: &Principal, user: &User) -> Reply {
    let document = MeDto {
        user: UserDto::of(user),
        created_at: user.created_at.to_rfc3339(),
        password_changed_at: user.password_changed_at.map(|at| at.to_rfc3339()),
        recovery_codes_left: user.recovery_codes_left,
        second_factor_required: room.accounts.second_factor_policy().requires(user.role),
        session: principal.session.to_string(),
    };
    Reply::json(StatusCode::OK, &document)
}

/// `PATCH /api/v1/users/me`: `{display_name?, email?}`; an empty `email` removes the address.
pub async fn change(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let body: ProfileDto = request.json()?;
    let display_name = body.display_name.as_deref().map(DisplayName::parse).transpose();
    let change = ProfileChange {
        display_name: display_name.map_err(refused("display_name"))?,
        email: body.email.as_deref().map(parse_email).transpose()?,
    };
    room.change_profile(principal, change, &visit(room, request)?).await?;
    let changed = room.accounts.user(&principal.user.id).ok_or_else(Problem::not_found)?;
    Ok(me(room, principal, &changed))
}

/// `DELETE /api/v1/users/me`: deletes the account; needs a step-up.
pub async fn delete(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    room.delete(principal, &visit(room, request)?).await?;
    Ok(without_session(room, principal, Reply::no_content()))
}

fn without_session(room: &MyAccount, principal: &Principal, reply: Reply) -> Reply {
    match principal.kind {
        SessionKind::Api => reply,
        SessionKind::Web => cookies::revoke(&room.site, reply),
    }
}

/// Answers with the session that took the place of the caller's: cookies for a browser, tokens for a program. Without
/// one the caller has to sign in again.
pub(super) fn with_renewal(
    room: &MyAccount,
    principal: &Principal,
    mut document: serde_json::Value,
    renewal: Option<Renewal>,
) -> Result<Reply, Problem> {
    let Some(renewal) = renewal else {
        return Ok(without_session(room, principal, Reply::json(StatusCode::OK, &document)));
    };
    let mut set = |name: &str, value: String| {
        if let Some(members) = document.as_object_mut() {
            members.insert(name.to_owned(), value.into());
        }
    };
    set("session", renewal.started.id.to_string());
    match principal.kind {
        SessionKind::Api => {
            add_tokens(&mut document, &room.sessions.issue(&renewal.started)?);
            Ok(Reply::json(StatusCode::OK, &document))
        }
        SessionKind::Web => {
            set("csrf_token", room.sessions.csrf_token(&renewal.started.id));
            let reply = Reply::json(StatusCode::OK, &document);
            Ok(cookies::grant(&room.site, reply, &renewal.started, &renewal.device))
        }
    }
}

/// `POST /api/v1/users/me/password`: `{current_password?, new_password}`; without the current one it needs a step-up.
/// Every session ends; the answer carries the new one.
pub async fn change_password(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let body: PasswordDto = request.json()?;
    let current = body.current_password.map(SecretText::new);
    let new = SecretText::new(body.new_password);
    let changed = room.change_password(principal, current.as_ref(), &new, &visit(room, request)?).await;
    let renewal = changed.map_err(|error| match error {
        // The caller is signed in; only what was typed is wrong.
        SignInError::Wrong => Problem::unprocessable(
            "current_password",
            "wrong_password",
            Said::of(Words::account_wrong_password),
        ),
        error => error.into(),
    })?;
    let status = if renewal.is_some() { "changed" } else { "signed_out" };
    with_renewal(room, principal, serde_json::json!({ "status": status }), renewal)
}

/// `POST /api/v1/users/me/totp`: starts the enrolment of an authenticator app; needs a step-up.
pub async fn begin_totp(
    room: &MyAccount,
    _request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let enrolment = room.begin_totp(principal).await?;
    Ok(Reply::json(StatusCode::CREATED, &enrolment_json(&enrolment)))
}

/// `POST /api/v1/users/me/totp/confirm`: `{otp}`; answers with the recovery codes, shown once. Every session ends; the
/// answer carries the new one.
pub async fn confirm_totp(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let body: ConfirmDto = request.json()?;
    let (codes, renewal) = room.confirm_totp(principal, &body.otp, &visit(room, request)?).await?;
    with_renewal(room, principal, serde_json::json!({ "recovery_codes": codes }), renewal)
}

/// `DELETE /api/v1/users/me/totp`: removes the authenticator app; needs a step-up. Every session ends; the answer carries
/// the new one.
pub async fn remove_totp(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let renewal = room.remove_totp(principal, &visit(room, request)?).await?;
    with_renewal(room, principal, serde_json::json!({ "status": "removed" }), renewal)
}

/// `POST /api/v1/users/me/recovery-codes`: ten new codes, shown once; needs a step-up. Every session ends; the answer
/// carries the new one.
pub async fn renew_recovery_codes(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let (codes, renewal) = room.renew_recovery_codes(principal, &visit(room, request)?).await?;
    with_renewal(room, principal, serde_json::json!({ "recovery_codes": codes }), renewal)
}

/// `GET /api/v1/sessions`: the caller's sessions and devices.
pub async fn list_sessions(
    room: &MyAccount,
    _request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let views = room.list_sessions(principal)?;
    let rows: Vec<_> = views.iter().map(|view| SessionDto::of(view, principal)).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "sessions": rows })))
}

/// `DELETE /api/v1/sessions/{handle}`: ends one of the caller's sessions; another than the current needs a step-up.
pub async fn end_session(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let handle = request.param("handle");
    room.end_session(principal, handle, &visit(room, request)?).await?;
    let reply = Reply::no_content();
    let is_current = handle == principal.session.to_string();
    Ok(if is_current { without_session(room, principal, reply) } else { reply })
}

/// `DELETE /api/v1/sessions`: ends all of the caller's sessions but the current one; needs a step-up.
pub async fn end_other_sessions(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let ended = room.end_other_sessions(principal, &visit(room, request)?).await?;
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "ended": ended })))
}

/// `GET /api/v1/users/me/activity`: what happened with the account, newest first; `cursor`, `limit`.
pub async fn activity(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let cursor = request.query("cursor");
    let page = room.activity(principal, cursor.as_deref(), page_size(request)?).await?;
    let rows: Vec<ActivityDto> = page.rows.into_iter().map(ActivityDto::from).collect();
    let document = serde_json::json!({ "events": rows, "next_cursor": page.next_cursor });
    Ok(Reply::json(StatusCode::OK, &document))
}
