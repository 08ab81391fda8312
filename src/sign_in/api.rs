//! The JSON faces of signing in: the web flow (cookies) and the API flow (tokens), kept apart.

use std::fmt::Write as _;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::ceremonies::{Ceremony, Credential};
use super::passkeys::PasskeyAttempt;
use super::pending::{self, Wanted};
use super::registration::Registration;
use super::{Attempt, Ending, Proofs, Second, SignIn, SignInError, SignedIn, Step, Visit};
use crate::accounts::User;
use crate::accounts::enrolment::{Asker, Enrolment};
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::{Email, GroupName};
use crate::metrics::RefreshFault;
use crate::sessions::cookies::{self, Cookie};
use crate::sessions::{IssuedTokens, Principal, RefreshRefusal, SessionKind};
use crate::words::{Said, Words, english_only};

/// Returns who is knocking.
pub(crate) fn visit<'a>(room: &SignIn, request: &'a Request) -> Result<Visit<'a>, Problem> {
    let label = request.headers.text(http::header::USER_AGENT);
    let device = Cookie::Device.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let session = Cookie::Session.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let label = label.unwrap_or("unknown");
    Ok(Visit { ip: request.client.ip, request: request.id, label, device, session, can_tell: true })
}

pub(crate) fn ambiguous_cookie() -> Problem {
    Problem::bad_request("ambiguous_cookie", Said::of(Words::errors_cookie_twice))
}

/// A user as the API shows it to its owner.
#[derive(Serialize)]
pub(crate) struct UserDto<'a> {
    id: String,
    username: &'a str,
    display_name: &'a str,
    email: Option<&'a str>,
    groups: &'a [GroupName],
    role: &'static str,
    second_factor: bool,
}

impl<'a> UserDto<'a> {
    pub(crate) fn of(user: &'a User) -> Self {
        UserDto {
            id: user.id.to_string(),
            username: user.username.as_str(),
            display_name: user.display_name.as_str(),
            email: user.email.as_ref().map(Email::as_str),
            groups: &user.groups,
            role: user.role.as_str(),
            second_factor: user.has_second_factor(),
        }
    }
}

#[derive(Serialize)]
struct EnrolmentDto {
    otpauth_uri: String,
    secret: String,
    qr_svg: String,
}

pub(crate) fn enrolment_json(enrolment: &Enrolment) -> serde_json::Value {
    let qr_svg = crate::views::qr::qr_svg(&enrolment.otpauth_uri)
        .map(|svg| svg.labelled("QR code").to_string())
        .unwrap_or_default();
    serde_json::json!(EnrolmentDto {
        otpauth_uri: enrolment.otpauth_uri.clone(),
        secret: enrolment.secret_base32.clone(),
        qr_svg,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginDto {
    username: String,
    password: String,
    #[serde(default)]
    otp: Option<String>,
    #[serde(default)]
    remember: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MfaDto {
    #[serde(default)]
    pending_token: Option<String>,
    #[serde(default)]
    otp: Option<String>,
    #[serde(default)]
    passkey: Option<Credential>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasskeyDto {
    credential: Credential,
    #[serde(default)]
    remember: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshDto {
    refresh_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidateDto {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterDto {
    username: String,
    password: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    invitation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepUpDto {
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    otp: Option<String>,
    #[serde(default)]
    passkey: Option<Credential>,
}

/// `POST /api/v1/users`: registers by policy; 201 with a TOTP secret that waits for its first code.
pub async fn register(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: RegisterDto = request.json()?;
    let password = SecretText::new(body.password);
    let registration = Registration {
        username: &body.username,
        display_name: &body.display_name,
        email: &body.email,
        password: &password,
        invitation: &body.invitation,
    };
    let registered = room.register(registration, &visit(room, request)?).await?;
    let document = serde_json::json!({
        "user": UserDto::of(&registered.user),
        "totp": enrolment_json(&registered.enrolment),
    });
    Ok(Reply::json(StatusCode::CREATED, &document))
}

/// `POST /api/v1/auth/login/web`: cookies and a CSRF token, or `mfa_required` with a pending cookie.
pub async fn login_web(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let step = login(room, request, SessionKind::Web).await?;
    match step {
        Step::SignedIn(signed_in) => web_answer(room, &signed_in, None),
        Step::Pending { token, wanted } => {
            let reply = Reply::json(StatusCode::OK, &pending_json(room, &token, wanted, false).await?);
            Ok(Cookie::Pending.set(&room.site, reply, token.expose(), Some(pending::LIFETIME)))
        }
    }
}

/// `POST /api/v1/auth/login/api`: tokens, or `mfa_required` with a pending token.
pub async fn login_api(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    match login(room, request, SessionKind::Api).await? {
        Step::SignedIn(signed_in) => api_answer(room, &signed_in, None),
        Step::Pending { token, wanted } => {
            Ok(Reply::json(StatusCode::OK, &pending_json(room, &token, wanted, true).await?))
        }
    }
}

async fn login(room: &SignIn, request: &Request, kind: SessionKind) -> Result<Step, Problem> {
    let body: LoginDto = request.json()?;
    let password = SecretText::new(body.password);
    let attempt = Attempt {
        name: &body.username,
        password: &password,
        code: body.otp.as_deref(),
        kind,
        is_remembered: body.remember,
        with_refresh: true,
        return_to: None,
    };
    Ok(room.attempt(attempt, &visit(room, request)?).await?)
}

async fn pending_json(
    room: &SignIn,
    token: &SecretText,
    wanted: Wanted,
    with_token: bool,
) -> Result<serde_json::Value, Problem> {
    let mut document = serde_json::json!({ "expires_in": pending::LIFETIME.as_secs() });
    match wanted {
        Wanted::SecondFactor => {
            put(&mut document, "status", "mfa_required");
            let (_, user) = room.waiting(token.expose()).ok_or(SignInError::NothingPending)?;
            let mut methods = Vec::with_capacity(3);
            if user.has_totp {
                methods.push("totp");
            }
            if user.passkeys > 0 && room.passkeys_unavailable().is_none() {
                methods.push("passkey");
                let ceremony = Ceremony::SecondFactor(user.id, token.expose());
                put(&mut document, "passkey_options", room.proof_options(&ceremony)?);
            }
            methods.push("recovery_code");
            put(&mut document, "methods", methods);
        }
        Wanted::Enrolment => {
            put(&mut document, "status", "mfa_enrolment_required");
            let (_, user) = room.waiting(token.expose()).ok_or(SignInError::NothingPending)?;
            let asker = Asker::waiting_sign_in(token.expose());
            let enrolment = room.accounts.begin_totp(user.id, asker, &room.site.name()).await?;
            put(&mut document, "totp", enrolment_json(&enrolment));
            let ceremony = Ceremony::Enrol(user.id, token.expose());
            if let Ok(options) = room.registration_options(&ceremony, &user) {
                put(&mut document, "passkey_options", options);
            }
        }
    }
    if with_token {
        put(&mut document, "pending_token", token.expose().as_str());
    }
    Ok(document)
}

/// `POST /api/v1/auth/mfa/web`: the second factor of a web sign-in; the pending token is the cookie.
pub async fn mfa_web(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: MfaDto = request.json()?;
    let cookie = Cookie::Pending.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let token = cookie.ok_or(SignInError::NothingPending)?;
    match mfa(room, request, token, &body, SessionKind::Web).await? {
        (Some(signed_in), codes) => web_answer(room, &signed_in, codes),
        (None, codes) => Ok(enrolled_answer(codes)),
    }
}

/// `POST /api/v1/auth/mfa/api`: the second factor of an API sign-in.
pub async fn mfa_api(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: MfaDto = request.json()?;
    let token = body.pending_token.as_deref().ok_or_else(|| {
        Problem::unprocessable("pending_token", "missing_field", english_only("`pending_token` is missing."))
    })?;
    match mfa(room, request, token, &body, SessionKind::Api).await? {
        (Some(signed_in), codes) => api_answer(room, &signed_in, codes),
        (None, codes) => Ok(enrolled_answer(codes)),
    }
}

async fn mfa(
    room: &SignIn,
    request: &Request,
    token: &str,
    body: &MfaDto,
    kind: SessionKind,
) -> Result<(Option<SignedIn>, Option<Vec<String>>), Problem> {
    let visit = visit(room, request)?;
    let wanted = room.waiting(token).map(|(waiting, _)| waiting.wanted);
    let second = match (&body.otp, &body.passkey) {
        (Some(code), None) => Second::Code(code),
        (None, Some(passkey)) => Second::Passkey(passkey),
        _ => {
            let sentence = english_only("Send either `otp` or `passkey`.");
            return Err(Problem::unprocessable("otp", "missing_field", sentence));
        }
    };
    if wanted == Some(Wanted::Enrolment) {
        let ending = Ending { kind, with_refresh: true };
        let (signed_in, codes) = match second {
            Second::Code(code) => room.finish_enrolment(token, code, ending, &visit).await?,
            Second::Passkey(passkey) => room.finish_passkey_enrolment(token, passkey, ending, &visit).await?,
        };
        return Ok((signed_in, Some(codes)));
    }
    Ok((Some(room.finish(token, second, kind, true, &visit).await?), None))
}

/// The factor is set up, and no session could begin: the person signs in again, and has the recovery codes.
fn enrolled_answer(codes: Option<Vec<String>>) -> Reply {
    let document = serde_json::json!({ "status": "enrolled", "recovery_codes": codes.unwrap_or_default() });
    Reply::json(StatusCode::OK, &document)
}

/// `POST /api/v1/auth/passkey/options`: what a browser needs to sign in with a passkey, without a name.
pub async fn passkey_options(room: &SignIn, _request: &Request) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &room.proof_options(&Ceremony::SignIn)?))
}

/// `POST /api/v1/auth/passkey/web`: `{credential, remember?}`; cookies and a CSRF token.
pub async fn passkey_web(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    web_answer(room, &passkey(room, request, SessionKind::Web).await?, None)
}

/// `POST /api/v1/auth/passkey/api`: `{credential}`; tokens.
pub async fn passkey_api(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    api_answer(room, &passkey(room, request, SessionKind::Api).await?, None)
}

async fn passkey(room: &SignIn, request: &Request, kind: SessionKind) -> Result<SignedIn, Problem> {
    let body: PasskeyDto = request.json()?;
    let attempt = PasskeyAttempt {
        credential: &body.credential,
        kind,
        is_remembered: body.remember,
        with_refresh: true,
        return_to: None,
    };
    Ok(room.attempt_passkey(attempt, &visit(room, request)?).await?)
}

/// Adds a member to an object.
fn put(document: &mut serde_json::Value, name: &str, value: impl Into<serde_json::Value>) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

fn signed_in_json(signed_in: &SignedIn, codes: Option<Vec<String>>) -> serde_json::Value {
    let mut document = serde_json::json!({
        "status": "signed_in",
        "session": signed_in.started.id.to_string(),
        "user": UserDto::of(&signed_in.user),
    });
    if let Some(codes) = codes {
        put(&mut document, "recovery_codes", codes);
    }
    if let Some(left) = signed_in.recovery_codes_left {
        put(&mut document, "recovery_codes_left", left);
    }
    if let Some(notice) = &signed_in.notice {
        put(&mut document, "notice", notice.english());
    }
    document
}

fn web_answer(room: &SignIn, signed_in: &SignedIn, codes: Option<Vec<String>>) -> Result<Reply, Problem> {
    let mut document = signed_in_json(signed_in, codes);
    put(&mut document, "csrf_token", room.sessions.csrf_token(&signed_in.started.id));
    let reply = Reply::json(StatusCode::OK, &document);
    Ok(cookies::grant(&room.site, reply, &signed_in.started, &signed_in.device))
}

fn api_answer(room: &SignIn, signed_in: &SignedIn, codes: Option<Vec<String>>) -> Result<Reply, Problem> {
    let mut document = signed_in_json(signed_in, codes);
    add_tokens(&mut document, &room.sessions.issue(&signed_in.started)?);
    Ok(Reply::json(StatusCode::OK, &document))
}

pub(crate) fn add_tokens(document: &mut serde_json::Value, tokens: &IssuedTokens) {
    put(document, "token_type", "Bearer");
    put(document, "access_token", tokens.access_token.expose().as_str());
    put(document, "expires_in", tokens.expires_in.as_secs());
    if let Some(refresh) = &tokens.refresh_token {
        put(document, "refresh_token", refresh.expose().as_str());
    }
    if let Some(life) = tokens.refresh_expires_in {
        put(document, "refresh_expires_in", life.as_secs());
    }
}

/// `POST /api/v1/auth/refresh/api`: rotates the refresh token in the body; never reads a cookie (REF-11).
pub async fn refresh_api(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: RefreshDto = request.json()?;
    let refreshed = refresh(room, &body.refresh_token, SessionKind::Api).await?;
    let mut document = serde_json::json!({ "session": refreshed.session.to_string() });
    add_tokens(&mut document, &refreshed.tokens);
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `POST /api/v1/auth/refresh/web`: rotates the refresh cookie; needs the CSRF token of the session (REF-11).
pub async fn refresh_web(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let cookie = Cookie::Refresh.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let token = cookie.ok_or_else(invalid_refresh)?;
    let session = crate::sessions::refresh_session(token).ok_or_else(invalid_refresh)?;
    let presented = request.headers.text("x-csrf-token").unwrap_or_default();
    if !room.sessions.is_csrf_token(&session, presented) {
        return Err(Problem::forbidden(
            "csrf",
            english_only("The CSRF token of this session is missing or wrong."),
        ));
    }
    let refreshed = refresh(room, token, SessionKind::Web).await?;
    let document = serde_json::json!({
        "session": refreshed.session.to_string(),
        "csrf_token": room.sessions.csrf_token(&refreshed.session),
        "user": UserDto::of(&refreshed.user),
    });
    Ok(cookies::grant_refreshed(&room.site, Reply::json(StatusCode::OK, &document), &refreshed))
}

async fn refresh(
    room: &SignIn,
    token: &str,
    kind: SessionKind,
) -> Result<crate::sessions::Refreshed, Problem> {
    let started = room.clock.monotonic();
    match room.sessions.refresh(token, kind).await {
        Ok(refreshed) => {
            room.metrics.token_refreshed(room.clock.monotonic().saturating_sub(started));
            Ok(refreshed)
        }
        Err(refusal) => {
            let (fault, problem) = match refusal {
                RefreshRefusal::Invalid => (RefreshFault::Unknown, invalid_refresh()),
                RefreshRefusal::Expired => (
                    RefreshFault::Expired,
                    Problem::unauthorized(
                        "refresh_expired",
                        english_only("This session has expired. Sign in again."),
                    ),
                ),
                RefreshRefusal::Reused => (
                    RefreshFault::Reused,
                    Problem::unauthorized(
                        "refresh_reused",
                        english_only(
                            "This refresh token had been used before, so its session was ended. Sign in again.",
                        ),
                    ),
                ),
                RefreshRefusal::Problem(problem) => (RefreshFault::Unavailable, problem),
            };
            room.metrics.refresh_failed(fault);
            Err(problem)
        }
    }
}

fn invalid_refresh() -> Problem {
    Problem::unauthorized(
        "refresh_invalid",
        english_only("This refresh token is not valid any more. Sign in again."),
    )
}

/// `POST /api/v1/auth/validate`: tells what an access token is worth, with distinct codes.
pub async fn validate(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let body: ValidateDto = request.json()?;
    let started = room.clock.monotonic();
    match room.sessions.validate(&body.token, request.now) {
        Ok(verified) => {
            room.metrics.token_validated(room.clock.monotonic().saturating_sub(started));
            let expires_in = verified.claims.exp.saturating_sub(request.now.as_secs());
            // The claims are JSON already, and were made once for many answers.
            let claims = verified.shown.get();
            let mut answer = String::with_capacity(claims.len() + 64);
            // Writing to a String cannot fail.
            let _ = write!(answer, r#"{{"active":true,"expires_in":{expires_in},"claims":{claims}}}"#);
            Ok(Reply::bytes(StatusCode::OK, "application/json", answer))
        }
        Err(refusal) => {
            refusal.count(&room.metrics);
            let answer =
                serde_json::json!({ "active": false, "code": refusal.code(), "detail": refusal.detail() });
            Ok(Reply::json(StatusCode::OK, &answer))
        }
    }
}

/// `POST /api/v1/auth/logout`: ends this session.
pub async fn logout(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    room.sign_out(principal, &visit(room, request)?).await?;
    Ok(signed_out(room, principal))
}

/// `POST /api/v1/auth/logout/all`: ends every session of this user.
pub async fn logout_all(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    room.sign_out_everywhere(principal, &visit(room, request)?).await?;
    Ok(signed_out(room, principal))
}

fn signed_out(room: &SignIn, principal: &Principal) -> Reply {
    let reply = Reply::no_content();
    match principal.kind {
        SessionKind::Api => reply,
        SessionKind::Web => {
            let mut reply = cookies::revoke(&room.site, reply);
            crate::http::headers::clear_site_data(&mut reply);
            reply
        }
    }
}

/// `POST /api/v1/auth/step-up`: proves the factors again, for sensitive changes within the next ten minutes.
pub async fn step_up(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let body: StepUpDto = request.json()?;
    let password = body.password.map(SecretText::new);
    let proofs =
        Proofs { password: password.as_ref(), code: body.otp.as_deref(), passkey: body.passkey.as_ref() };
    match room.step_up(principal, proofs, &visit(room, request)?).await? {
        Some(signed_in) => web_answer(room, &signed_in, None),
        None => Ok(Reply::no_content()),
    }
}

/// `POST /api/v1/auth/step-up/options`: what a browser needs to step up with a passkey.
pub async fn step_up_options(
    room: &SignIn,
    _request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let ceremony = Ceremony::StepUp(principal.user.id, principal.session);
    Ok(Reply::json(StatusCode::OK, &room.proof_options(&ceremony)?))
}

/// `GET /api/v1/keys`: the public keys of access tokens (RFC 7517).
pub async fn public_keys(room: &SignIn, _request: &Request) -> Result<Reply, Problem> {
    let cache = http::HeaderValue::from_static("public, max-age=300");
    Ok(Reply::json(StatusCode::OK, &room.sessions.tokens().public_keys())
        .with(http::header::CACHE_CONTROL, cache))
}
