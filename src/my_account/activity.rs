//! What happened with one's own account, in plain words (AUD-07).

use http::StatusCode;

use super::MyAccount;
use super::pages::{frame, is_noteworthy};
use crate::audit::{AuditRow, Kind as What, Outcome, place_in_words};
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sessions::labels::device_name;
use crate::views::account as views;
use crate::views::{Event, Kind, Pager};
use crate::words::Words;

/// How many events a page has.
const PAGE: usize = 50;

/// Returns the name of an app by its id, if there still is one.
pub type NameOf<'a> = Box<dyn Fn(&str) -> Option<String> + Send + Sync + 'a>;

/// `GET /account/activity?before=…`. `name_of` knows the apps.
pub async fn show(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    name_of: NameOf<'_>,
) -> Result<Reply, Problem> {
    let (before, t) = (request.query("before"), request.words());
    let found = room.activity(principal, before.as_deref(), PAGE).await?;
    let page = views::Activity {
        frame: frame(room, request, principal, t.account_title_activity(), "activity"),
        events: found.rows.iter().map(|row| line(row, principal, &name_of, t)).collect(),
        pager: Pager {
            previous: before.map(|_| "/account/activity".to_owned()),
            next: found.next_cursor.map(|cursor| format!("/account/activity?before={cursor}")),
            ..Pager::by_time()
        },
    };
    Reply::html(StatusCode::OK, &page)
}

/// Returns an event as a line of the caller's own timeline.
fn line(row: &AuditRow, principal: &Principal, name_of: &NameOf<'_>, t: Words) -> Event {
    let kind = match row.outcome {
        Outcome::Succeeded if is_noteworthy(&row.kind) => Kind::Warn,
        Outcome::Succeeded => Kind::Ok,
        Outcome::Refused | Outcome::Failed => Kind::Danger,
    };
    let is_of_others = row.user_id.is_some_and(|user| user != principal.user.id);
    let mut text = if is_of_others { row.said(t) } else { sentence(row, name_of, t) };
    match row.actor_id {
        Some(actor) if actor == principal.user.id => {}
        Some(_) => text = format!("{text} {}", t.activity_by_person(&row.actor)),
        None if row.actor.starts_with('(') => text = format!("{text} {}", t.activity_by_system()),
        None => {}
    }
    // What an administrator did to somebody else is theirs to find in the audit; here it says to whom.
    if let Some(user) = row.user.as_ref().filter(|_| is_of_others) {
        text = format!("{text} ({user})");
    }
    let device = row.details.iter().find(|(key, _)| key == "device").map(|(_, label)| device_name(label, t));
    let parts: Vec<String> =
        device.into_iter().chain(row.place.iter().map(|place| place_in_words(place, t))).collect();
    Event { when: row.at.into(), kind, text, detail: parts.join(" · ") }
}

/// Says what happened to the one whose account it is. What is none of the account's reads as the audit has it.
fn sentence(row: &AuditRow, name_of: &NameOf<'_>, t: Words) -> String {
    let id = row.app().unwrap_or_default();
    let app = &name_of(id).unwrap_or_else(|| id.to_owned());
    let text = match What::parse(&row.kind) {
        Some(What::SignInSucceeded) => t.activity_sign_in_succeeded(),
        Some(What::SignInFailed) => t.activity_sign_in_failed(),
        Some(What::SecondFactorFailed) => t.activity_second_factor_failed(),
        Some(What::SignInLimited) => t.activity_sign_in_limited(),
        Some(What::SignInSuspended) => t.activity_sign_in_suspended(),
        Some(What::SuspensionLifted) => t.activity_suspension_lifted(),
        Some(What::NewDevice) => t.activity_new_device(),
        Some(What::StepUpSucceeded) => t.activity_step_up_succeeded(),
        Some(What::StepUpFailed) => t.activity_step_up_failed(),
        Some(What::SessionEnded) => t.activity_session_ended(),
        Some(What::AllSessionsEnded) => t.activity_sessions_ended(),
        Some(What::RefreshReused) => t.activity_refresh_reused(),
        Some(What::PasswordChanged) => t.activity_password_changed(),
        Some(What::PasswordReset) => t.activity_password_reset(),
        Some(What::TotpEnrolled) => t.activity_totp_enrolled(),
        Some(What::TotpRemoved) => t.activity_totp_removed(),
        Some(What::PasskeyAdded) => t.activity_passkey_added(),
        Some(What::PasskeyChanged) => t.activity_passkey_changed(),
        Some(What::PasskeyRemoved) => t.activity_passkey_removed(),
        Some(What::PasskeySuspicious) => t.activity_passkey_suspicious(),
        Some(What::RecoveryCodesMade) => t.activity_codes_made(),
        Some(What::RecoveryCodeUsed) => t.activity_code_used(),
        Some(What::SecondFactorReset) => t.activity_second_factor_reset(),
        Some(What::DataExported) => t.activity_exported(),
        Some(What::LinkUsed) => t.activity_link_used(),
        Some(What::AppSignedIn) => return t.activity_app_signed_in(app),
        Some(What::AppRefused) => return t.activity_app_refused(app),
        Some(What::AppTokenReused) => return t.activity_app_token_reused(app),
        Some(What::ConsentRevoked) => return t.activity_consent_revoked(app),
        Some(What::AppTokenMade) => t.activity_app_token_made(),
        Some(What::AppTokenRevoked) => t.activity_app_token_revoked(),
        Some(What::ProgramSignedIn) => t.activity_program_signed_in(),
        Some(What::ProgramRefused) => t.activity_program_refused(),
        Some(What::AccessDenied) => t.activity_access_denied(),
        Some(What::UserCreated) => t.activity_user_created(),
        Some(What::UserChanged) => t.activity_user_changed(),
        Some(What::UserRoleChanged) => t.activity_user_role_changed(),
        Some(What::UserGroupsChanged) => t.activity_user_groups_changed(),
        Some(What::UserDisabled) => t.activity_user_disabled(),
        Some(What::UserEnabled) => t.activity_user_enabled(),
        Some(What::LinkCreated) => t.activity_link_created(),
        Some(What::LinkWithdrawn) => t.activity_link_withdrawn(),
        Some(_) | None => return row.said(t),
    };
    text.to_owned()
}
