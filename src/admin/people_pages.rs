//! The pages about people.

use http::StatusCode;

use super::Admin;
use super::api::{cursor, parse_cursor, parse_groups};
use super::authority::{Deed, objection, roles_to_give};
use super::people::{Link, NewPerson, PersonChange, Which};
use crate::accounts::{Role, User};
use crate::audit::Filter;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::text::{DisplayName, GroupName, Username};
use crate::my_account::api::{parse_email, refused};
use crate::my_account::pages::{event_line, field_errors, role_word, session_row};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::admin as views;
use crate::views::{
    Badge, Choice, Fact, FieldErrors, Frame, Kind, OneTimeLink, Pager, When, initials, plural,
};

/// How many people a page shows.
const PAGE: usize = 50;
/// How many events the timeline of a person shows.
const TIMELINE: usize = 20;

fn frame(room: &Admin, request: &Request, actor: &Principal, title: &str) -> Frame {
    let frame = room.frame(request, actor, title, "people");
    let done = match request.query("done").as_deref() {
        Some("saved") => "Saved.",
        Some("disabled") => "Disabled. Every session has ended.",
        Some("enabled") => "Enabled. The person can sign in again.",
        Some("reset") => "The second factor is reset. The person is told at the next sign-in.",
        Some("signed-out") => "Signed out on every device.",
        Some("lifted") => "The pause is lifted.",
        Some("deleted") => "The account is deleted.",
        _ => return frame,
    };
    frame.with_notice(Kind::Ok, done)
}

/// `GET /admin`.
pub async fn entry(_room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::see_other("/admin/people"))
}

fn list_url(q: &str, which: Which, after: Option<&Username>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let after = after.map(cursor).unwrap_or_default();
    for (name, value) in [("q", q), ("filter", which.as_str()), ("after", after.as_str())] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { "/admin/people".to_owned() } else { format!("/admin/people?{query}") }
}

/// `GET /admin/people?q=…&filter=…&after=…`.
pub async fn show_people(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let q = request.query("q").unwrap_or_default();
    let which = request.query("filter").and_then(|filter| Which::parse(&filter)).unwrap_or_default();
    let after = request.query("after").and_then(|after| parse_cursor(&after));
    let found = room.find_people(&q, which, after.as_ref(), PAGE);
    let suspended = room.lockout.suspended_users();
    let rows = found.people.iter().map(|user| {
        Ok(views::PersonRow {
            url: person_url(user),
            username: user.username.to_string(),
            display_name: user.display_name.to_string(),
            initials: initials(user.display_name.as_str()),
            role: role_word(user.role).to_owned(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            badges: badges(room, user, suspended.contains(&user.id))?,
            last_seen: room.sessions.last_seen(&user.id).map(Into::into),
        })
    });
    let label = |which| match which {
        Which::All => "All",
        Which::Admins => "Admins",
        Which::NoSecondFactor => "No second factor",
        Which::Suspended => "Suspended",
        Which::Disabled => "Disabled",
    };
    let filter_link = |filter: Which| views::FilterLink {
        label: label(filter).to_owned(),
        url: list_url(&q, filter, None),
        is_current: filter == which,
    };
    let count = match found.total {
        1 => "1 person".to_owned(),
        total => format!("{total} people"),
    };
    let page = views::People {
        frame: frame(room, request, actor, "People"),
        filter: which.as_str().to_owned(),
        filters: Which::EVERY.into_iter().map(filter_link).collect(),
        rows: rows.collect::<Result<_, Problem>>()?,
        pager: Pager {
            label: count,
            previous: after.map(|_| list_url(&q, which, None)),
            next: found.next.map(|next| list_url(&q, which, Some(&next))),
        },
        q,
    };
    Reply::html(StatusCode::OK, &page)
}

fn person_url(user: &User) -> String {
    format!("/admin/people/{}", user.id)
}

fn badges(room: &Admin, user: &User, is_suspended: bool) -> Result<Vec<Badge>, Problem> {
    let mut badges = Vec::new();
    if !user.is_active() {
        badges.push(Badge::new(Kind::Danger, "Disabled"));
    }
    if is_suspended {
        badges.push(Badge::new(Kind::Warn, "Suspended"));
    }
    if room.accounts.record(&user.id)?.value.password_changed_at.is_none() {
        badges.push(Badge::new(Kind::Info, "Invited"));
    } else if !user.has_second_factor() {
        badges.push(Badge::new(Kind::Warn, "No second factor"));
    }
    Ok(badges)
}

fn role_choices(own: Role, chosen: Role) -> Vec<Choice> {
    let choice = |role: Role| Choice::new(role.as_str(), role_word(role), role == chosen);
    let mut choices: Vec<Choice> = roles_to_give(own).map(choice).collect();
    if chosen > own {
        choices.push(choice(chosen));
    }
    choices
}

fn group_choices(room: &Admin, chosen: &[GroupName]) -> Result<Vec<Choice>, Problem> {
    let mut names: Vec<GroupName> = room.list_groups()?.into_iter().map(|group| group.name).collect();
    names.extend(chosen.iter().cloned());
    names.sort();
    names.dedup();
    let choice = |name: &GroupName| Choice::new(name.as_str(), name.as_str(), chosen.contains(name));
    Ok(names.iter().map(choice).collect())
}

/// What was typed into the form of a new or known person.
struct Typed<'a> {
    display_name: &'a str,
    email: &'a str,
    role: Option<Role>,
    groups: Result<Vec<GroupName>, Problem>,
    /// The groups that were ticked, whatever else is wrong.
    ticked: Vec<GroupName>,
    new_group: &'a str,
}

impl<'a> Typed<'a> {
    fn of(form: &'a Form) -> Self {
        let names =
            form.all("group").chain(Some(form.text("new_group").trim()).filter(|name| !name.is_empty()));
        Typed {
            display_name: form.text("display_name"),
            email: form.text("email"),
            role: Role::parse(form.text("role")),
            groups: parse_groups(names).map_err(|mut problem| {
                // The boxes cannot be wrong; what was typed can.
                problem.fields.iter_mut().for_each(|(field, _)| *field = "new_group");
                problem
            }),
            ticked: form.all("group").filter_map(|name| GroupName::parse(name).ok()).collect(),
            new_group: form.text("new_group"),
        }
    }

    /// Returns the groups to tick, and what to leave in the field of a new one: only what is no group name.
    fn shown_groups(&self) -> (&[GroupName], &'a str) {
        match &self.groups {
            Ok(groups) => (groups, ""),
            Err(_) => (&self.ticked, self.new_group),
        }
    }

    fn role(&self) -> Result<Role, Problem> {
        self.role.ok_or_else(|| Problem::unprocessable("role", "invalid_value", "Choose a role."))
    }
}

/// `GET /admin/people/new`.
pub async fn show_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    new_page(room, request, actor, None)
}

fn new_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    refused: Option<(Problem, &Form)>,
) -> Result<Reply, Problem> {
    let mut page = views::PersonNew {
        frame: frame(room, request, actor, "Add a person"),
        username: String::new(),
        display_name: String::new(),
        email: String::new(),
        roles: role_choices(actor.user.role, Role::Member),
        groups: group_choices(room, &[])?,
        new_group: String::new(),
        errors: FieldErrors::none(),
    };
    let mut status = StatusCode::OK;
    if let Some((problem, form)) = refused {
        status = problem.status;
        let typed = Typed::of(form);
        form.text("username").clone_into(&mut page.username);
        typed.display_name.clone_into(&mut page.display_name);
        typed.email.clone_into(&mut page.email);
        page.roles = role_choices(actor.user.role, typed.role.unwrap_or(Role::Member));
        let (groups, new_group) = typed.shown_groups();
        page.groups = group_choices(room, groups)?;
        new_group.clone_into(&mut page.new_group);
        page.errors = field_errors(problem, "username", request.words())?;
    }
    Reply::html(status, &page)
}

/// `POST /admin/people/new`: makes the account and shows its link once.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let visit = visit(room, request)?;
    let made = match parse_new(&form) {
        Ok(new) => room.create_person(actor, new, &visit).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((user, link)) => {
            let shown = Shown { link: Some(link), status: StatusCode::CREATED, ..Shown::default() };
            person_page(room, request, actor, &user, shown)
        }
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first("/admin/people/new")),
        Err(mut problem) => {
            if problem.code == "email_taken" {
                let said = problem.detail.clone();
                problem.fields.push(("email", said));
            }
            if problem.code == "username_used_before" {
                let text = "Somebody who was deleted had this username. Access rules and apps may still know them by it. \
                            To give it away all the same, tick the box below it.";
                problem.fields.push(("reuse_username", text.into()));
            }
            new_page(room, request, actor, Some((problem, &form)))
        }
    }
}

fn parse_new(form: &Form) -> Result<NewPerson, Problem> {
    let typed = Typed::of(form);
    let username = Username::parse(form.text("username").trim()).map_err(refused("username"))?;
    let shown = if typed.display_name.trim().is_empty() { username.as_str() } else { typed.display_name };
    Ok(NewPerson {
        display_name: DisplayName::parse(shown).map_err(refused("display_name"))?,
        username,
        reuse_username: form.text("reuse_username") == "yes",
        email: parse_email(typed.email)?,
        email_verified: true,
        role: typed.role()?,
        groups: typed.groups?,
    })
}

/// What the page of a person shows besides the person.
#[derive(Default)]
struct Shown<'a> {
    status: StatusCode,
    link: Option<Link>,
    errors: FieldErrors,
    /// The profile as it was typed, if it was refused.
    typed: Option<&'a Form>,
    /// A refusal that belongs to no field.
    refusal: Option<String>,
}

/// `GET /admin/people/{id}`.
pub async fn show_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    person_page(room, request, actor, &user, Shown::default())
}

fn person_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
    shown: Shown<'_>,
) -> Result<Reply, Problem> {
    let user = room.accounts.user(&user.id).ok_or_else(Problem::not_found)?;
    let suspensions = room.lockout.of_user(&user.id);
    let cannot_change = objection(&actor.user, &user, Deed::State).map(|(_, sentence)| sentence);
    let filter = Filter { user: Some(user.id), ..Filter::default() };
    let timeline = room.audit.page(&filter, None, TIMELINE)?.rows;
    let mut badges = badges(room, &user, !suspensions.is_empty())?;
    if user.role.is_admin() {
        badges.insert(0, Badge::new(Kind::Info, role_word(user.role)));
    }
    let mut frame = frame(room, request, actor, user.display_name.as_str());
    if let Some(sentence) = shown.refusal {
        frame = frame.with_notice(Kind::Danger, sentence);
    }
    let mut page = views::Person {
        frame,
        url: person_url(&user),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        profile_name: user.display_name.to_string(),
        initials: initials(user.display_name.as_str()),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        roles: role_choices(actor.user.role, user.role),
        groups: group_choices(room, &user.groups)?,
        new_group: String::new(),
        badges,
        facts: facts(room, &user)?,
        is_disabled: !user.is_active(),
        has_second_factor: user.has_second_factor(),
        may_change: cannot_change.is_none(),
        cannot_change: cannot_change.unwrap_or_default().to_owned(),
        suspensions: suspensions
            .into_iter()
            .map(|view| views::Suspension {
                handle: view.handle,
                place: view.place,
                until: view.until.into(),
            })
            .collect(),
        link: shown.link.map(|link| {
            OneTimeLink::new(user.display_name.as_str(), link.is_invite, link.url, link.expires_at)
        }),
        sessions: room.sessions.list(&user.id)?.iter().map(|view| session_row(view, Some(actor))).collect(),
        timeline: timeline.iter().map(|row| event_line(row, user.username.as_str())).collect(),
        errors: shown.errors,
    };
    if let Some(form) = shown.typed {
        let typed = Typed::of(form);
        typed.display_name.clone_into(&mut page.profile_name);
        typed.email.clone_into(&mut page.email);
        page.roles = role_choices(actor.user.role, typed.role.unwrap_or(user.role));
        let (groups, new_group) = typed.shown_groups();
        page.groups = group_choices(room, groups)?;
        new_group.clone_into(&mut page.new_group);
    }
    Reply::html(shown.status, &page)
}

fn facts(room: &Admin, user: &User) -> Result<Vec<Fact>, Problem> {
    let record = room.accounts.record(&user.id)?.value;
    let text = |at| When::from(at).text;
    let seen = room.sessions.last_seen(&user.id).map_or_else(|| "Not signed in".to_owned(), text);
    let mut facts = vec![
        Fact::new("Created", text(record.created_at)),
        Fact::new("Last seen", seen),
        Fact::new("Password set", record.password_changed_at.map_or_else(|| "Not yet".to_owned(), text)),
    ];
    match room.accounts.totp_state(user.id)? {
        Some(state) => {
            let since = format!("Authenticator app since {}", text(state.confirmed_at));
            facts.push(Fact::new("Second factor", since));
            let left = plural(record.recovery_codes_left.into(), "code");
            facts.push(Fact::new("Recovery codes", format!("{left} left")));
        }
        None => facts.push(Fact::new("Second factor", "None")),
    }
    Ok(facts)
}

/// Ends a form of a person: back to the page with what was done, over the step-up, or the page with the refusal.
fn finish(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    user: &User,
    done: &str,
    result: Result<(), Problem>,
) -> Result<Reply, Problem> {
    finish_form(room, request, actor, user, done, result, None)
}

/// As [`finish`]; after a refusal the page keeps what was typed.
fn finish_form(
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
        Err(problem) if problem.status.is_client_error() => {
            let mut shown = Shown { status: problem.status, typed, ..Shown::default() };
            match problem.code {
                "email_taken" => {
                    shown.errors = FieldErrors::one("email", problem.detail.in_words(request.words()))
                }
                _ if problem.fields.is_empty() => {
                    shown.refusal = Some(problem.detail.in_words(request.words()))
                }
                _ => shown.errors = field_errors(problem, "display_name", request.words())?,
            }
            person_page(room, request, actor, user, shown)
        }
        Err(problem) => Err(problem),
    }
}

/// `POST /admin/people/{id}/profile`.
pub async fn submit_profile(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let form = request.form()?;
    let visit = visit(room, request)?;
    let result = match parse_change(&form) {
        Ok(change) => room.change_person(actor, &user, change, &visit).await,
        Err(problem) => Err(problem),
    };
    finish_form(room, request, actor, &user, "saved", result, Some(&form))
}

fn parse_change(form: &Form) -> Result<PersonChange, Problem> {
    let typed = Typed::of(form);
    Ok(PersonChange {
        display_name: Some(DisplayName::parse(typed.display_name).map_err(refused("display_name"))?),
        email: Some(parse_email(typed.email)?),
        email_verified: None,
        role: Some(typed.role()?),
        groups: Some(typed.groups?),
    })
}

/// `POST /admin/people/{id}/disable`.
pub async fn disable(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let result = room.disable_person(actor, &user, &visit(room, request)?).await;
    finish(room, request, actor, &user, "disabled", result)
}

/// `POST /admin/people/{id}/enable`.
pub async fn enable(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let result = room.enable_person(actor, &user, &visit(room, request)?).await;
    finish(room, request, actor, &user, "enabled", result)
}

/// `POST /admin/people/{id}/reset-second-factor`.
pub async fn reset_second_factor(
    room: &Admin,
    request: &Request,
    actor: &Principal,
) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let result = room.reset_second_factor(actor, &user, &visit(room, request)?).await;
    finish(room, request, actor, &user, "reset", result)
}

/// `POST /admin/people/{id}/link`: makes a link and shows it once.
pub async fn make_link(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    match room.make_person_link(actor, &user, &visit(room, request)?).await {
        Ok(link) => {
            let shown = Shown { link: Some(link), ..Shown::default() };
            person_page(room, request, actor, &user, shown)
        }
        Err(problem) => finish(room, request, actor, &user, "", Err(problem)),
    }
}

/// `POST /admin/people/{id}/sign-out`.
pub async fn sign_out(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let result = room.sign_person_out(actor, &user, &visit(room, request)?).await;
    finish(room, request, actor, &user, "signed-out", result)
}

/// `POST /admin/people/{id}/lift`.
pub async fn lift(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let form = request.form()?;
    let result = room.lift_suspension(actor, &user, form.get("handle"), &visit(room, request)?).await;
    // It ended by itself meanwhile: what was wanted is so.
    let result = result.or_else(|problem| match problem.status {
        StatusCode::NOT_FOUND => Ok(()),
        _ => Err(problem),
    });
    finish(room, request, actor, &user, "lifted", result)
}

/// `POST /admin/people/{id}/delete`.
pub async fn delete(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    match room.delete_person(actor, &user, &visit(room, request)?).await {
        Ok(()) => Ok(Reply::see_other("/admin/people?done=deleted")),
        Err(problem) => finish(room, request, actor, &user, "", Err(problem)),
    }
}
