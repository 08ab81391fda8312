//! The page of a person.

use http::StatusCode;

use super::Admin;
use super::authority::{Deed, objection};
use super::people::{Link, revision};
use super::people_pages::{Typed, badges, frame, group_choices, person_url, role_choices, role_word};
use crate::accounts::{ProfileRecord, User};
use crate::audit::{AuditRow, Filter, Kind as Happened, place_in_words};
use crate::http::{Form, Problem, Reply, Request};
use crate::my_account::pages::{event_line, field_errors, session_row};
use crate::sessions::Principal;
use crate::sign_in::step_up_first;
use crate::views::people as views;
use crate::views::{Badge, Event, Fact, FieldErrors, Kind, OneTimeLink, When, initials};
use crate::words::Words;

/// How many events the timeline of a person shows.
const TIMELINE: usize = 20;

/// What the page of a person shows besides the person.
#[derive(Default)]
pub(super) struct Shown<'a> {
    pub(super) status: StatusCode,
    pub(super) link: Option<Link>,
    pub(super) errors: FieldErrors,
    /// The profile as it was typed, if it was refused.
    pub(super) typed: Option<&'a Form>,
    /// A refusal that belongs to no field.
    pub(super) refusal: Option<String>,
}

/// `GET /admin/people/{id}`.
pub async fn show_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    person_page(room, request, actor, &user, Shown::default()).await
}

pub(super) async fn person_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
    mut shown: Shown<'_>,
) -> Result<Reply, Problem> {
    let user = room.accounts.user(&user.id).ok_or_else(Problem::not_found)?;
    let mut page = as_it_is(room, request, actor, &user).await?;
    if let Some(sentence) = shown.refusal.take() {
        page.frame = page.frame.with_notice(Kind::Danger, sentence);
    }
    page.link = shown
        .link
        .take()
        .map(|link| OneTimeLink::new(user.display_name.as_str(), link.is_invite, link.url, link.expires_at));
    page.errors = shown.errors;
    match shown.typed {
        Some(form) if form.get("claim").is_some() => {
            form.text("claim").clone_into(&mut page.claim);
            form.text("value").clone_into(&mut page.claim_value);
        }
        Some(form) if form.get("reason").is_some() => form.text("reason").clone_into(&mut page.reason),
        Some(form) => {
            let typed = Typed::of(form);
            typed.display_name.clone_into(&mut page.profile_name);
            typed.email.clone_into(&mut page.email);
            page.roles = role_choices(request.words(), actor.user.role, typed.role.unwrap_or(user.role));
            let (groups, new_group) = typed.shown_groups();
            page.groups = group_choices(room, groups)?;
            new_group.clone_into(&mut page.new_group);
            form.text("revision").clone_into(&mut page.revision);
        }
        None => {}
    }
    Reply::html(shown.status, &page)
}

async fn as_it_is(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
) -> Result<views::Person, Problem> {
    let t = request.words();
    let suspensions = room.lockout.of_user(&user.id);
    let cannot_change = objection(&actor.user, user, Deed::State).map(|(_, sentence)| sentence(t));
    let filter = Filter::of_user(user.id);
    let timeline = room.audit.page(&filter, None, TIMELINE).await?.rows;
    let is_delayed = room.lockout.is_delayed(user.id);
    let mut badges = badges(t, user, is_delayed || !suspensions.is_empty());
    if user.role.is_admin() {
        badges.insert(0, Badge::new(Kind::Info, role_word(t, user.role)));
    }
    let profile = room.accounts.profile(&user.id)?.unwrap_or_default();
    Ok(views::Person {
        frame: frame(room, request, actor, user.display_name.as_str()),
        url: person_url(user),
        revision: revision(user),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        profile_name: user.display_name.to_string(),
        initials: initials(user.display_name.as_str()),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        roles: role_choices(t, actor.user.role, user.role),
        groups: group_choices(room, &user.groups)?,
        new_group: String::new(),
        badges,
        facts: facts(room, t, user),
        claims: claims(&profile),
        claim: String::new(),
        claim_value: String::new(),
        password_set: user.password_changed_at.map(Into::into),
        totp_since: room.accounts.totp_state(user.id)?.map(|state| state.confirmed_at.into()),
        passkeys: passkeys(room, user)?,
        recovery_codes: user.recovery_codes_left.into(),
        is_disabled: !user.is_active(),
        disabled_why: if user.is_active() { String::new() } else { disabled_why(room, t, user).await? },
        reason: String::new(),
        has_second_factor: user.has_second_factor(),
        may_change: cannot_change.is_none(),
        cannot_change: cannot_change.unwrap_or_default().to_owned(),
        suspensions: suspensions
            .into_iter()
            .map(|view| views::Suspension {
                handle: view.handle,
                place: place_in_words(&view.place, t),
                until: view.until.into(),
            })
            .collect(),
        is_delayed,
        link: None,
        sessions: room
            .sessions
            .list(&user.id)?
            .iter()
            .map(|view| session_row(view, Some(actor), t))
            .collect(),
        tokens: tokens(room, t, user),
        consents: consents(room, user)?,
        timeline: timeline.iter().map(|row| timeline_line(room, row, user, t)).collect(),
        errors: FieldErrors::none(),
    })
}

fn timeline_line(room: &Admin, row: &AuditRow, user: &User, t: Words) -> Event {
    let app = row.app().map(|id| room.oidc.client(id).map_or(id.to_owned(), |app| app.settings.name.clone()));
    event_line(row, user.username.as_str(), app.as_deref(), t)
}

fn facts(room: &Admin, t: Words, user: &User) -> Vec<Fact> {
    let text = |at| When::from(at).in_words(&t);
    let seen = room.sessions.last_seen(&user.id).map_or_else(|| t.people_not_signed_in().to_owned(), text);
    vec![Fact::new(t.people_created(), text(user.created_at)), Fact::new(t.people_last_seen(), seen)]
}

fn claims(profile: &ProfileRecord) -> Vec<Fact> {
    let texts = profile.texts().into_iter().filter_map(|(name, value)| Some(Fact::new(name, value?)));
    let address = profile.address.parts().map(|(part, value)| Fact::new(format!("address.{part}"), value));
    let attributes = profile.attributes.iter();
    let attributes =
        attributes.map(|(name, value)| Fact::new(format!("attributes.{name}"), value.to_string()));
    let subject = profile.subject.iter().map(|subject| Fact::new("subject", subject.as_str()));
    let flags = [
        ("email_verified", profile.email_verified),
        ("phone_number_verified", profile.phone_number_verified),
    ];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| Fact::new(name, "true"));
    texts.chain(address).chain(attributes).chain(subject).chain(flags).collect()
}

fn passkeys(room: &Admin, user: &User) -> Result<Vec<views::Held>, Problem> {
    let held = |passkey: crate::accounts::passkeys::Passkey| views::Held {
        handle: passkey.id.to_string(),
        name: passkey.seen.value.name.clone(),
        detail: String::new(),
        added: passkey.seen.value.created_at.into(),
        used: passkey.seen.value.last_used.map(Into::into),
    };
    Ok(room.accounts.passkeys(user.id)?.into_iter().map(held).collect())
}

fn tokens(room: &Admin, t: Words, user: &User) -> Vec<views::Held> {
    let tokens = room.sessions.app_tokens_of(&user.id);
    let held = |token: &std::sync::Arc<crate::sessions::app_tokens::AppToken>| views::Held {
        handle: token.id.to_string(),
        name: token.name.to_string(),
        detail: match token.hosts.is_empty() {
            true => t.people_tokens_everything().to_owned(),
            false => token.hosts.join(", "),
        },
        added: token.created_at.into(),
        used: token.last_used().map(Into::into),
    };
    tokens.iter().map(held).collect()
}

fn consents(room: &Admin, user: &User) -> Result<Vec<views::Held>, Problem> {
    let held = |consent: crate::oidc::consents::Consent| {
        let client = room.oidc.client(consent.client.as_str());
        views::Held {
            name: client
                .map_or_else(|| consent.client.to_string(), |client| client.settings.name.to_string()),
            detail: consent.scopes.to_string(),
            added: consent.given_at.into(),
            used: None,
            handle: consent.client.to_string(),
        }
    };
    Ok(room.oidc.consents(&user.id)?.into_iter().map(held).collect())
}

/// Says since when an account is disabled, by whom and why, as far as the audit log still knows.
async fn disabled_why(room: &Admin, t: Words, user: &User) -> Result<String, Problem> {
    let kind_prefix = Some(Happened::UserDisabled.name().to_owned());
    let filter = Filter { kind_prefix, ..Filter::of_user(user.id) };
    let Some(row) = room.audit.page(&filter, None, 1).await?.rows.into_iter().next() else {
        return Ok(t.people_disabled_nobody().to_owned());
    };
    let mut text = t.people_disabled_since(When::from(row.at).in_words(&t), &row.actor);
    if let Some((_, reason)) = row.details.iter().find(|(key, _)| key == "reason") {
        text.push(' ');
        text.push_str(&t.people_disabled_reason(reason));
    }
    Ok(text)
}

/// Ends a form of a person: back to the page with what was done, over the step-up, or the page with the refusal.
pub(super) async fn finish(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
    done: &str,
    result: Result<(), Problem>,
) -> Result<Reply, Problem> {
    finish_form(room, request, actor, user, done, result, None).await
}

/// As [`finish`]; after a refusal the page keeps what was typed.
pub(super) async fn finish_form(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
    done: &str,
    result: Result<(), Problem>,
    typed: Option<&Form>,
) -> Result<Reply, Problem> {
    let url = person_url(user);
    match result {
        Ok(()) => Ok(Reply::see_other(&format!("{url}?done={done}"))),
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first(&url)),
        Err(problem) if problem.code == "conflict" => Ok(Reply::see_other(&format!("{url}?done=stale"))),
        Err(problem) if problem.status.is_client_error() => {
            let mut shown = Shown { status: problem.status, typed, ..Shown::default() };
            match problem.code {
                // Whoever ended it, it is not there; a use-case may say that in better words.
                "not_found" if problem.detail == Problem::not_found().detail => {
                    shown.refusal = Some(request.words().people_gone().to_owned());
                }
                "email_taken" => {
                    shown.errors = FieldErrors::one("email", problem.detail.in_words(request.words()))
                }
                _ if problem.fields.is_empty() => {
                    shown.refusal = Some(problem.detail.in_words(request.words()))
                }
                _ => shown.errors = field_errors(problem, "display_name", request.words())?,
            }
            person_page(room, request, actor, user, shown).await
        }
        Err(problem) => Err(problem),
    }
}
