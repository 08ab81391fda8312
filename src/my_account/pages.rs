//! One's own account as pages. Every form leads to a redirect or to the same page with what is wrong; what needs a
//! fresh proof leads over `/step-up`.

use http::StatusCode;

use super::api::{parse_email, refused};
use super::passkey_pages::passkey_row;
use super::{MyAccount, ProfileChange};
use crate::accounts::enrolment::Enrolment;
use crate::audit::{AuditRow, Filter, Outcome};
use crate::crypto::recovery_code;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::DisplayName;
use crate::sessions::labels::device_name;
use crate::sessions::{Principal, SessionView, cookies, frames};
use crate::sign_in::api::visit;
use crate::sign_in::pages::in_groups;
use crate::sign_in::{Renewal, SignInError, step_up_first};
use crate::views::account as views;
use crate::views::account::Strip;
use crate::views::home::{AppTile, Home};
use crate::views::qr::qr_svg;
use crate::views::sign_in::Message;
use crate::views::{Event, FieldErrors, Frame, Kind, Pager, SessionRow, plural};
use crate::words::Words;

/// How many events a page of the activity has.
const PAGE: usize = 50;
/// With fewer recovery codes than this the page says so.
const FEW_CODES: u8 = 3;

pub(super) fn frame(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    title: &str,
    current: &'static str,
) -> Frame {
    let frame = frames::personal(&room.site, &room.sessions, request, principal, title, current);
    let done = match request.query("done").as_deref() {
        Some("saved") => "Saved.",
        Some("password") => {
            "Your password is changed. You are signed out everywhere else, and your app tokens ended."
        }
        Some("totp-removed") => "The authenticator app is removed. You are signed out everywhere else.",
        Some("passkey-removed") => "The passkey is removed. You are signed out everywhere else.",
        Some("passkey-added") => "The passkey is added. You are signed out everywhere else.",
        Some("ended") => "The session is ended.",
        Some("others-ended") => "All other sessions are ended.",
        _ => return frame,
    };
    frame.with_notice(Kind::Ok, done)
}

/// Returns how well an account is protected, and what to do about it.
fn strip(has_second_factor: bool, recovery_codes_left: u8) -> Strip {
    let (kind, text) = match (has_second_factor, recovery_codes_left) {
        (false, _) => (
            Kind::Warn,
            "Your password alone opens your account. Add a passkey or an authenticator app.".to_owned(),
        ),
        (true, 0) => (
            Kind::Warn,
            "You have no recovery codes left. Make new ones, or a lost phone locks you out.".to_owned(),
        ),
        (true, left) if left < FEW_CODES => (
            Kind::Warn,
            format!("You have only {} left. Make new ones.", plural(left.into(), "recovery code")),
        ),
        (true, _) => (Kind::Ok, "Your account is well protected.".to_owned()),
    };
    Strip { kind, text }
}

/// `GET /`: the home of a signed-in person. `hosts` are the apps that the access rules let the person open.
pub async fn home(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    hosts: Vec<String>,
) -> Result<Reply, Problem> {
    let user = &principal.user;
    let record = room.accounts.record(&user.id)?.value;
    let filter = Filter {
        user: Some(user.id),
        kind_prefix: Some("sign_in.succeeded".to_owned()),
        ..Filter::default()
    };
    let before = room.audit.page(&filter, None, 2)?.rows.into_iter().nth(1);
    let page = Home {
        frame: frame(room, request, principal, "Home", "home"),
        display_name: user.display_name.to_string(),
        strip: strip(user.has_second_factor(), record.recovery_codes_left),
        apps: hosts.into_iter().map(tile).collect(),
        last_sign_in: before.as_ref().map(|row| row.at.into()),
        last_sign_in_from: before.and_then(|row| row.place).unwrap_or_default(),
    };
    Reply::html(StatusCode::OK, &page)
}

/// Names an app by the first part of its host: `photos.home.example` is `Photos`.
fn tile(host: String) -> AppTile {
    let first = host.split('.').next().unwrap_or_default();
    let mut letters = first.chars();
    let name = letters
        .next()
        .map_or_else(String::new, |letter| letter.to_uppercase().collect::<String>() + letters.as_str());
    AppTile { name, url: format!("https://{host}/"), host }
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
    let user = &principal.user;
    let mut page = views::Profile {
        frame: frame(room, request, principal, "Profile", "profile"),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        role: role_word(user.role).to_owned(),
        groups: user.groups.iter().map(ToString::to_string).collect(),
        since: room.accounts.record(&user.id)?.value.created_at.into(),
        cannot_delete: room.cannot_delete(principal).map(str::to_owned),
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

/// Returns a role in words.
pub(crate) fn role_word(role: crate::accounts::Role) -> &'static str {
    match role {
        crate::accounts::Role::Owner => "Owner",
        crate::accounts::Role::Admin => "Admin",
        crate::accounts::Role::Member => "Member",
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
        frame: frame(room, request, principal, "Delete your account", "profile"),
        username: principal.user.username.to_string(),
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
        let errors = FieldErrors::one("confirm_username", "That is not the username of this account.");
        return delete_page(room, request, principal, StatusCode::UNPROCESSABLE_ENTITY, errors);
    }
    match room.delete(principal, &visit(room, request)?).await {
        Ok(()) => {
            let page = Message {
                frame: frames::anonymous(&room.site, request, "Account deleted"),
                text: "Your account is deleted, and you are signed out everywhere.".to_owned(),
                button: "Sign in with another account".to_owned(),
                url: "/signin".to_owned(),
            };
            Ok(cookies::revoke(&room.site, Reply::html(StatusCode::OK, &page)?))
        }
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/delete")),
        Err(problem) => Err(problem),
    }
}

/// `GET /account/security`.
pub async fn show_security(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    security_page(room, request, principal, StatusCode::OK, FieldErrors::none())
}

fn security_page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    status: StatusCode,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let user = &principal.user;
    let record = room.accounts.record(&user.id)?.value;
    let totp = room.accounts.totp_state(user.id)?.map(|state| views::TotpState {
        added: state.confirmed_at.into(),
        last_used: state.last_used.map(Into::into),
    });
    let page = views::Security {
        frame: frame(room, request, principal, "Security", "security"),
        username: user.username.to_string(),
        strip: strip(user.has_second_factor(), record.recovery_codes_left),
        password_changed: record.password_changed_at.map(Into::into),
        min_length: u32::try_from(room.accounts.minimum_password_length(user.role)).unwrap_or(u32::MAX),
        totp,
        cannot_remove_totp: room.cannot_remove_totp(principal).map(str::to_owned),
        recovery_left: record.recovery_codes_left.into(),
        recovery_total: u32::try_from(recovery_code::CODES).unwrap_or(u32::MAX),
        passkeys: room.list_passkeys(principal)?.iter().map(passkey_row).collect(),
        passkeys_unavailable: room.passkeys_unavailable(),
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /account/password`.
pub async fn submit_password(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    let current = SecretText::new(form.text("current_password").to_owned());
    let new = SecretText::new(form.text("new_password").to_owned());
    match room.change_password(principal, Some(&current), &new, &visit(room, request)?).await {
        Ok(renewal) => Ok(go_on(room, Reply::see_other("/account/security?done=password"), renewal)),
        Err(SignInError::Wrong) => {
            let errors = FieldErrors::one("current_password", "That is not your current password.");
            security_page(room, request, principal, StatusCode::UNPROCESSABLE_ENTITY, errors)
        }
        Err(error) => {
            let problem = Problem::from(error);
            let status = problem.status;
            let errors = field_errors(problem, "current_password", request.words())?;
            security_page(room, request, principal, status, errors)
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
    let title = if replaces { "Replace the authenticator app" } else { "Add an authenticator app" };
    let page = views::Totp {
        frame: frame(room, request, principal, title, "security"),
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
        frame: frame(room, request, &principal, "Keep these recovery codes", "security"),
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
pub(crate) fn session_row(view: &SessionView, current: Option<&Principal>) -> SessionRow {
    SessionRow {
        handle: view.id.to_string(),
        device: device_name(&view.label),
        place: view.place.clone(),
        since: view.started_at.into(),
        last_seen: view.last_seen.into(),
        is_current: current.is_some_and(|principal| principal.session == view.id),
    }
}

/// `GET /account/sessions`.
pub async fn show_sessions(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let views = room.list_sessions(principal)?;
    let page = views::Sessions {
        frame: frame(room, request, principal, "Sessions", "sessions"),
        rows: views.iter().map(|view| session_row(view, Some(principal))).collect(),
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

/// `GET /account/activity?before=…`.
pub async fn show_activity(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let before = request.query("before");
    let found = room.activity(principal, before.as_deref(), PAGE)?;
    let page = views::Activity {
        frame: frame(room, request, principal, "Activity", "activity"),
        events: found.rows.iter().map(|row| event_line(row, principal.user.username.as_str())).collect(),
        pager: Pager {
            label: String::new(),
            previous: before.map(|_| "/account/activity".to_owned()),
            next: found.next_cursor.map(|cursor| format!("/account/activity?before={cursor}")),
        },
    };
    Reply::html(StatusCode::OK, &page)
}

/// Returns an event as a line of the timeline of the person called `whose`.
pub(crate) fn event_line(row: &AuditRow, whose: &str) -> Event {
    let kind = match row.outcome {
        Outcome::Succeeded if is_noteworthy(&row.kind) => Kind::Warn,
        Outcome::Succeeded => Kind::Ok,
        Outcome::Refused | Outcome::Failed => Kind::Danger,
    };
    let mut text = if row.sentence.is_empty() { row.kind.clone() } else { row.sentence.to_owned() };
    if row.actor_id.is_some() && row.actor != whose {
        text = format!("{} By {}.", text, row.actor);
    }
    if let Some(user) = row.user.as_ref().filter(|user| *user != whose) {
        text = format!("{text} ({user})");
    }
    let device = row.details.iter().find(|(key, _)| key == "device").map(|(_, label)| device_name(label));
    let parts: Vec<String> = device.into_iter().chain(row.place.clone()).collect();
    Event { when: row.at.into(), kind, text, detail: parts.join(" · ") }
}

/// What a person should look at twice (AUD-07).
fn is_noteworthy(kind: &str) -> bool {
    const OF: [&str; 9] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strip_says_what_to_do() {
        assert_eq!(strip(true, 10).kind, Kind::Ok);
        assert!(strip(true, 1).text.contains("only 1 recovery code left"));
        assert!(strip(true, 0).text.contains("no recovery codes"));
        assert!(strip(false, 0).text.contains("authenticator app"));
    }

    #[test]
    fn apps_are_named_by_their_host() {
        let tile = tile("photos.home.example".to_owned());
        assert_eq!((tile.name.as_str(), tile.url.as_str()), ("Photos", "https://photos.home.example/"));
    }
}
