//! One's own account as pages. Every form leads to a redirect or to the same page with what is wrong; what needs a
//! fresh proof leads over `/step-up`.

use http::StatusCode;

use super::api::{parse_email, refused};
use super::home::strip;
use super::passkey_pages::passkey_row;
use super::{MyAccount, ProfileChange};
use crate::accounts::enrolment::Enrolment;
use crate::audit::{AuditRow, Outcome, place_in_words};
use crate::crypto::recovery_code;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::DisplayName;
use crate::sessions::labels::device_name;
use crate::sessions::{Principal, SessionKind, SessionView, cookies};
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::sign_in::pages::in_groups;
use crate::sign_in::{Renewal, SignInError, step_up_first};
use crate::views::account as views;
use crate::views::qr::qr_svg;
use crate::views::sign_in::Message;
use crate::views::{Event, FieldErrors, Frame, Kind, SessionRow};
use crate::words::Words;

pub(super) fn frame(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    title: &str,
    current: &'static str,
) -> Frame {
    let frame = frames::personal(&room.site, &room.sessions, request, principal, title, current);
    let t = frame.t;
    let done = match request.query("done").as_deref() {
        Some("saved") => t.account_done_saved(),
        Some("password") => t.account_done_password(),
        Some("totp-removed") => t.account_done_totp_removed(),
        Some("passkey-removed") => t.account_done_passkey_removed(),
        Some("passkey-added") => t.account_done_passkey_added(),
        Some("ended") => t.account_done_ended(),
        Some("others-ended") => t.account_done_others_ended(),
        _ => return frame,
    };
    frame.with_notice(Kind::Ok, done)
}

/// `GET /account`.
pub async fn show_profile(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    profile_page(room, request, principal, None)
}

fn profile_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    refused: Option<(Problem, String, String)>,
) -> Result<Reply, Problem> {
    let (user, t) = (&principal.user, request.words());
    let mut page = views::Profile {
        frame: frame(room, request, principal, t.account_title_profile(), "profile"),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        role: role_in_words(user.role, t).to_owned(),
        groups: user.groups.iter().map(ToString::to_string).collect(),
        since: room.accounts.record(&user.id)?.value.created_at.into(),
        cannot_delete: room.cannot_delete(principal).map(|why| why.in_words(t)),
        errors: FieldErrors::none(),
    };
    let mut status = StatusCode::OK;
    if let Some((problem, display_name, email)) = refused {
        status = problem.status;
        page.errors = field_errors(problem, "email", request.words())?;
        (page.display_name, page.email) = (display_name, email);
    }
    Reply::html(status, &page)
}

/// Returns a role in the words of a language.
pub(crate) fn role_in_words(role: crate::accounts::Role, t: Words) -> &'static str {
    match role {
        crate::accounts::Role::Owner => t.account_role_owner(),
        crate::accounts::Role::Admin => t.account_role_admin(),
        crate::accounts::Role::Member => t.account_role_member(),
    }
}

/// Turns a refusal into messages beside the fields; one that names no field goes to `otherwise`. What the person can
/// do nothing about stays a problem.
pub(crate) fn field_errors(
    problem: Problem,
    otherwise: &'static str,
    words: Words,
) -> Result<FieldErrors, Problem> {
    let is_for_nobody = matches!(problem.status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED);
    if problem.status.is_server_error() || is_for_nobody {
        return Err(problem);
    }
    if problem.fields.is_empty() {
        return Ok(FieldErrors::one(otherwise, problem.detail.in_words(words)));
    }
    Ok(FieldErrors::said(words, &problem.fields))
}

pub(super) fn needs_step_up(problem: &Problem) -> bool {
    problem.code == "step_up_required"
}

/// `POST /account`.
pub async fn submit_profile(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    let (display_name, email) = (form.text("display_name"), form.text("email"));
    let visit = visit(room, request)?;
    let parsed = DisplayName::parse(display_name)
        .map_err(refused("display_name"))
        .and_then(|name| Ok(ProfileChange { display_name: Some(name), email: Some(parse_email(email)?) }));
    let changed = match parsed {
        Ok(change) => room.change_profile(principal, change, &visit).await,
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(()) => Ok(Reply::see_other("/account?done=saved")),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account")),
        Err(problem) => {
            let typed = Some((problem, display_name.to_owned(), email.to_owned()));
            profile_page(room, request, principal, typed)
        }
    }
}

/// `GET /account/delete`.
pub async fn show_delete(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    if room.cannot_delete(principal).is_some() {
        return Ok(Reply::see_other("/account"));
    }
    if !room.is_fresh(principal) {
        return Ok(step_up_first("/account/delete"));
    }
    delete_page(room, request, principal, StatusCode::OK, FieldErrors::none())
}

fn delete_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    status: StatusCode,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let page = views::Delete {
        frame: frame(room, request, principal, request.words().account_title_delete(), "profile"),
        username: principal.user.username.to_string(),
        passkeys: principal.user.passkeys.into(),
        app_tokens: room.sessions.app_tokens_of(&principal.user.id).len(),
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /account/delete`.
pub async fn submit_delete(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    if form.text("confirm_username").trim() != principal.user.username.as_str() {
        let errors = FieldErrors::one("confirm_username", request.words().account_wrong_username());
        return delete_page(room, request, principal, StatusCode::UNPROCESSABLE_ENTITY, errors);
    }
    match room.delete(principal, &visit(room, request)?).await {
        Ok(()) => {
            let t = request.words();
            let page = Message {
                frame: frames::anonymous(&room.site, request, t.account_title_deleted()),
                text: t.account_deleted().to_owned(),
                button: t.account_another_account().to_owned(),
                url: "/signin".to_owned(),
            };
            Ok(cookies::revoke(&room.site, Reply::html(StatusCode::OK, &page)?))
        }
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/delete")),
        Err(problem) => Err(problem),
    }
}

/// `GET /account/security`. `apps` have access to the account.
pub async fn show_security(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: usize,
) -> Result<Reply, Problem> {
    security_page(room, request, principal, apps, (StatusCode::OK, FieldErrors::none()))
}

pub(super) fn security_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: usize,
    (status, errors): (StatusCode, FieldErrors),
) -> Result<Reply, Problem> {
    let (user, t) = (&principal.user, request.words());
    let record = room.accounts.record(&user.id)?.value;
    let totp = room.accounts.totp_state(user.id)?.map(|state| views::TotpState {
        added: state.confirmed_at.into(),
        last_used: state.last_used.map(Into::into),
    });
    let page = views::Security {
        frame: frame(room, request, principal, t.account_title_security(), "security"),
        username: user.username.to_string(),
        strip: strip(
            t,
            user.has_second_factor(),
            record.recovery_codes_left,
            room.passkeys_unavailable().is_none(),
        ),
        password_changed: record.password_changed_at.map(Into::into),
        min_length: u32::try_from(room.accounts.minimum_password_length(user.role)).unwrap_or(u32::MAX),
        totp,
        cannot_remove_totp: room.cannot_remove_totp(principal).map(|why| why.in_words(t)),
        recovery_left: record.recovery_codes_left.into(),
        recovery_total: u32::try_from(recovery_code::CODES).unwrap_or(u32::MAX),
        passkeys: room.list_passkeys(principal)?.iter().map(passkey_row).collect(),
        passkeys_unavailable: room.passkeys_unavailable().map(|why| why(request.words())),
        sessions: room.list_sessions(principal)?.len(),
        apps,
        app_tokens: room.sessions.app_tokens_of(&user.id).len(),
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /account/password`. `apps` have access to the account.
pub async fn submit_password(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: usize,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    let current = SecretText::new(form.text("current_password").to_owned());
    let new = SecretText::new(form.text("new_password").to_owned());
    match room.change_password(principal, Some(&current), &new, &visit(room, request)?).await {
        Ok(renewal) => Ok(go_on(room, Reply::see_other("/account/security?done=password"), renewal)),
        Err(SignInError::Wrong) => {
            let errors = FieldErrors::one("current_password", request.words().account_wrong_password());
            security_page(room, request, principal, apps, (StatusCode::UNPROCESSABLE_ENTITY, errors))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let status = problem.status;
            let errors = field_errors(problem, "current_password", request.words())?;
            security_page(room, request, principal, apps, (status, errors))
        }
    }
}

/// `GET /account/totp`: adds or replaces the authenticator app.
pub async fn show_totp(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    match room.waiting_totp(principal).await {
        Ok(enrolment) => {
            totp_page(room, request, principal, enrolment, (StatusCode::OK, FieldErrors::none()))
        }
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/totp")),
        Err(problem) => Err(problem),
    }
}

fn totp_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    enrolment: Enrolment,
    (status, errors): (StatusCode, FieldErrors),
) -> Result<Reply, Problem> {
    let replaces = principal.user.has_totp;
    let t = request.words();
    let title = if replaces { t.account_title_totp_replace() } else { t.account_title_totp_add() };
    let page = views::Totp {
        frame: frame(room, request, principal, title, "security").without_query(),
        qr: qr_svg(&enrolment.otpauth_uri).unwrap_or_default(),
        secret_text: in_groups(&enrolment.secret_base32),
        otpauth_uri: enrolment.otpauth_uri,
        replaces,
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /account/totp`: confirms the app and shows the recovery codes once.
pub async fn submit_totp(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    match room.confirm_totp(principal, form.text("code"), &visit(room, request)?).await {
        Ok((codes, renewal)) => codes_page(room, request, principal, codes, renewal),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/totp")),
        Err(problem) if problem.code == "invalid_code" => {
            let errors = FieldErrors::one("code", problem.detail.in_words(request.words()));
            let enrolment = room.waiting_totp(principal).await?;
            totp_page(room, request, principal, enrolment, (problem.status, errors))
        }
        Err(problem) => Err(problem),
    }
}

pub(super) fn codes_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    codes: Vec<String>,
    renewal: Option<Renewal>,
) -> Result<Reply, Problem> {
    // The forms of this page belong to the session that begins with it (WEB-02).
    let mut principal = principal.clone();
    if let Some(renewal) = &renewal {
        principal.session = renewal.started.id;
    }
    let page = views::RecoveryCodes {
        frame: frame(room, request, &principal, request.words().account_title_codes(), "security"),
        username: principal.user.username.to_string(),
        codes,
    };
    Ok(go_on(room, Reply::html(StatusCode::OK, &page)?, renewal))
}

/// Gives the browser the session that took the place of its own, or takes its cookies if none did.
pub(super) fn go_on(room: &MyAccount, reply: Reply, renewal: Option<Renewal>) -> Reply {
    match renewal {
        Some(renewal) => cookies::grant(&room.site, reply, &renewal.started, &renewal.device),
        None => cookies::revoke(&room.site, reply),
    }
}

/// `POST /account/totp/remove`.
pub async fn remove_totp(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    match room.remove_totp(principal, &visit(room, request)?).await {
        Ok(renewal) => Ok(go_on(room, Reply::see_other("/account/security?done=totp-removed"), renewal)),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/security")),
        Err(problem) => Err(problem),
    }
}

/// `POST /account/recovery-codes`: makes ten new codes and shows them once.
pub async fn renew_recovery_codes(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    match room.renew_recovery_codes(principal, &visit(room, request)?).await {
        Ok((codes, renewal)) => codes_page(room, request, principal, codes, renewal),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/security")),
        Err(problem) => Err(problem),
    }
}

/// Returns a session as lists show it.
pub(crate) fn session_row(view: &SessionView, current: Option<&Principal>, t: Words) -> SessionRow {
    SessionRow {
        handle: view.id.to_string(),
        device: device_name(&view.label, t),
        place: place_in_words(&view.place, t),
        since: view.started_at.into(),
        last_seen: view.last_seen.into(),
        is_current: current.is_some_and(|principal| principal.session == view.id),
    }
}

/// `GET /account/sessions`. `stays` are the apps that stay signed in.
pub async fn show_sessions(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    stays: Vec<views::AppStay>,
) -> Result<Reply, Problem> {
    let sessions = room.list_sessions(principal)?;
    let (browsers, programs): (Vec<_>, Vec<_>) =
        sessions.iter().partition(|view| view.kind == SessionKind::Web);
    let t = request.words();
    let program = |view: &SessionView| views::ProgramRow {
        session: session_row(view, Some(principal), t),
        ends: view.ends_at.into(),
    };
    let page = views::Sessions {
        frame: frame(room, request, principal, t.account_title_sessions(), "sessions"),
        rows: browsers.into_iter().map(|view| session_row(view, Some(principal), t)).collect(),
        programs: programs.into_iter().map(program).collect(),
        stays,
    };
    Reply::html(StatusCode::OK, &page)
}

/// `POST /account/sessions/end`.
pub async fn end_session(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    match room.end_session(principal, form.text("handle"), &visit(room, request)?).await {
        Ok(()) => Ok(Reply::see_other("/account/sessions?done=ended")),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/sessions")),
        // It ended by itself meanwhile, or the page is old: the list shows what there is.
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(Reply::see_other("/account/sessions")),
        Err(problem) => Err(problem),
    }
}

/// `POST /account/sessions/end-others`.
pub async fn end_other_sessions(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    match room.end_other_sessions(principal, &visit(room, request)?).await {
        Ok(_) => Ok(Reply::see_other("/account/sessions?done=others-ended")),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/sessions")),
        Err(problem) => Err(problem),
    }
}

/// Returns an event as a line of the timeline of the person called `whose`; `app` is the name of the app it is about.
pub(crate) fn event_line(row: &AuditRow, whose: &str, app: Option<&str>, t: Words) -> Event {
    let kind = match row.outcome {
        Outcome::Succeeded if is_noteworthy(&row.kind) => Kind::Warn,
        Outcome::Succeeded => Kind::Ok,
        Outcome::Refused | Outcome::Failed => Kind::Danger,
    };
    let mut text = row.said(t);
    if row.actor_id.is_some() && row.actor != whose {
        text = t.audit_by(&row.actor, text);
    }
    if let Some(user) = row.user.as_ref().filter(|user| *user != whose) {
        text = format!("{text} ({user})");
    }
    if let Some(app) = app {
        text = format!("{text} ({app})");
    }
    let device = row.details.iter().find(|(key, _)| key == "device").map(|(_, label)| device_name(label, t));
    let parts: Vec<String> =
        device.into_iter().chain(row.place.iter().map(|place| place_in_words(place, t))).collect();
    Event { when: row.at.into(), kind, text, detail: parts.join(" · ") }
}

/// What a person should look at twice (AUD-07).
pub(super) fn is_noteworthy(kind: &str) -> bool {
    const OF: [&str; 10] = [
        "account.",
        "password.",
        "totp.",
        "passkey.",
        "second_factor.",
        "app_token.",
        "recovery_code",
        "sign_in.new_device",
        "user.",
        "link.",
    ];
    OF.iter().any(|prefix| kind.starts_with(prefix))
}
