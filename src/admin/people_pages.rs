//! The pages about people.

use http::StatusCode;

use super::Admin;
use super::api::parse_groups;
use super::authority::roles_to_give;
use super::by::By;
use super::people::NewPerson;
use super::people_search::{Order, Place, Search, Which};
use super::person_pages::{Shown, person_page};
use crate::accounts::{Role, User};
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::text::{DisplayName, GroupName, Username};
use crate::my_account::api::{parse_email, refused};
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::people as views;
use crate::views::{Badge, Choice, FieldErrors, Frame, Kind, Pager, initials};
use crate::words::{Said, Words};

/// How many people a page shows.
pub(super) const PAGE: usize = 50;

pub(super) fn frame(room: &Admin, request: &Request, actor: &Principal, title: &str) -> Frame {
    let frame = room.frame(request, actor, title, "people");
    let t = frame.t;
    let done = match request.query("done").as_deref() {
        Some("saved") => t.people_done_saved(),
        Some("disabled") => t.people_done_disabled(),
        Some("enabled") => t.people_done_enabled(),
        Some("reset") => t.people_done_reset(),
        Some("signed-out") => t.people_done_signed_out(),
        Some("lifted") => t.people_done_lifted(),
        Some("deleted") => t.people_done_deleted(),
        Some("claim") => t.people_done_claim(),
        Some("passkey") => t.people_done_passkey(),
        Some("session") => t.people_done_session(),
        Some("app-token") => t.people_done_app_token(),
        Some("consent") => t.people_done_consent(),
        Some("withdrawn") => t.people_done_withdrawn(),
        Some("stale") => return frame.with_notice(Kind::Warn, t.ui_stale()),
        _ => return frame,
    };
    frame.with_notice(Kind::Ok, done)
}

/// Returns a role in words.
pub(super) fn role_word(t: Words, role: Role) -> &'static str {
    match role {
        Role::Owner => t.people_role_owner(),
        Role::Admin => t.people_role_admin(),
        Role::Member => t.people_role_member(),
    }
}

/// The address of a list like this one: with what is asked for, but where it begins.
pub(super) fn list_url(search: &Search) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let after = search.after.as_ref().map(Place::to_cursor).unwrap_or_default();
    let group = search.group.as_ref().map_or("", GroupName::as_str);
    for (name, value) in [
        ("q", search.q.as_str()),
        ("filter", search.which.as_str()),
        ("group", group),
        ("sort", search.order.as_str()),
        ("after", after.as_str()),
    ] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { "/admin/people".to_owned() } else { format!("/admin/people?{query}") }
}

/// Reads what the address of a list asks for; what makes no sense is left out.
fn search_of(request: &Request) -> Search {
    Search {
        q: request.query("q").unwrap_or_default(),
        which: request.query("filter").and_then(|filter| Which::parse(&filter)).unwrap_or_default(),
        group: request.query("group").and_then(|group| GroupName::parse(&group).ok()),
        order: request.query("sort").and_then(|sort| Order::parse(&sort)).unwrap_or_default(),
        after: request.query("after").and_then(|after| Place::parse(&after)),
    }
}

/// `GET /admin/people?q=…&filter=…&group=…&sort=…&after=…`.
pub async fn show_people(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let search = search_of(request);
    let found = room.find_people(&search, PAGE);
    let t = request.words();
    let rows = found.people.iter().map(|user| person_row(room, t, user, found.suspended.contains(&user.id)));
    let label = |which| match which {
        Which::All => t.people_filter_all(),
        Which::Admins => t.people_filter_admins(),
        Which::NoSecondFactor => t.people_filter_no_second_factor(),
        Which::Suspended => t.people_filter_suspended(),
        Which::Disabled => t.people_filter_disabled(),
        Which::Invited => t.people_filter_invited(),
    };
    let first = Search { after: None, ..search.clone() };
    let filter_link = |which: Which| views::FilterLink {
        label: label(which).to_owned(),
        url: list_url(&Search { which, ..first.clone() }),
        is_current: which == search.which,
    };
    let sort = |order: Order| {
        let label = match order {
            Order::Username => t.people_sort_username(),
            Order::LastSeen => t.people_sort_seen(),
            Order::Newest => t.people_sort_newest(),
        };
        Choice::new(order.as_str(), label, order == search.order)
    };
    let page = views::People {
        frame: frame(room, request, actor, t.people_title()),
        filter: search.which.as_str().to_owned(),
        group: search.group.as_ref().map(ToString::to_string).unwrap_or_default(),
        sorts: Order::EVERY.into_iter().map(sort).collect(),
        filters: Which::EVERY.into_iter().map(filter_link).collect(),
        group_filter: search.group.as_ref().map(|group| views::FilterLink {
            label: t.people_filter_group(group),
            url: list_url(&Search { group: None, ..first.clone() }),
            is_current: true,
        }),
        waiting: room.waiting_links()?.len(),
        rows: rows.collect(),
        pager: Pager {
            label: found.total.map(|total| t.people_count(total)).unwrap_or_default(),
            previous: search
                .after
                .as_ref()
                .map(|_| list_url(&Search { after: found.before, ..first.clone() })),
            next: found.next.map(|next| list_url(&Search { after: Some(next), ..first.clone() })),
            ..Pager::default()
        },
        q: search.q,
    };
    Reply::html(StatusCode::OK, &page)
}

pub(super) fn person_row(room: &Admin, t: Words, user: &User, is_suspended: bool) -> views::PersonRow {
    views::PersonRow {
        url: person_url(user),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        initials: initials(user.display_name.as_str()),
        role: role_word(t, user.role).to_owned(),
        groups: user.groups.iter().map(ToString::to_string).collect(),
        badges: badges(t, user, is_suspended || room.lockout.is_delayed(user.id)),
        last_seen: room.sessions.last_seen(&user.id).map(Into::into),
    }
}

pub(super) fn person_url(user: &User) -> String {
    format!("/admin/people/{}", user.id)
}

pub(super) fn badges(t: Words, user: &User, is_suspended: bool) -> Vec<Badge> {
    let mut badges = Vec::new();
    if !user.is_active() {
        badges.push(Badge::new(Kind::Danger, t.people_badge_disabled()));
    }
    if is_suspended {
        badges.push(Badge::new(Kind::Warn, t.people_badge_suspended()));
    }
    if user.password_changed_at.is_none() {
        badges.push(Badge::new(Kind::Info, t.people_badge_invited()));
    } else if !user.has_second_factor() {
        badges.push(Badge::new(Kind::Warn, t.people_badge_no_second_factor()));
    }
    badges
}

pub(super) fn role_choices(t: Words, own: Role, chosen: Role) -> Vec<Choice> {
    let choice = |role: Role| Choice::new(role.as_str(), role_word(t, role), role == chosen);
    let mut choices: Vec<Choice> = roles_to_give(own).map(choice).collect();
    if chosen > own {
        choices.push(choice(chosen));
    }
    choices
}

pub(super) fn group_choices(room: &Admin, chosen: &[GroupName]) -> Result<Vec<Choice>, Problem> {
    let mut names: Vec<GroupName> = room.list_groups()?.into_iter().map(|group| group.name).collect();
    names.extend(chosen.iter().cloned());
    names.sort_unstable();
    names.dedup();
    let choice = |name: &GroupName| Choice::new(name.as_str(), name.as_str(), chosen.contains(name));
    Ok(names.iter().map(choice).collect())
}

/// What was typed into the form of a new or known person.
pub(super) struct Typed<'a> {
    pub(super) display_name: &'a str,
    pub(super) email: &'a str,
    pub(super) role: Option<Role>,
    pub(super) groups: Result<Vec<GroupName>, Problem>,
    /// The groups that were ticked, whatever else is wrong.
    ticked: Vec<GroupName>,
    new_group: &'a str,
}

impl<'a> Typed<'a> {
    pub(super) fn of(form: &'a Form) -> Self {
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
    pub(super) fn shown_groups(&self) -> (&[GroupName], &'a str) {
        match &self.groups {
            Ok(groups) => (groups, ""),
            Err(_) => (&self.ticked, self.new_group),
        }
    }

    pub(super) fn role(&self) -> Result<Role, Problem> {
        self.role.ok_or_else(|| {
            Problem::unprocessable("role", "invalid_value", Said::of(Words::people_choose_role))
        })
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
        frame: frame(room, request, actor, request.words().people_add()),
        username: String::new(),
        display_name: String::new(),
        email: String::new(),
        roles: role_choices(request.words(), actor.user.role, Role::Member),
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
        page.roles = role_choices(request.words(), actor.user.role, typed.role.unwrap_or(Role::Member));
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
        Ok(new) => room.create_person(By::Person(actor, &visit), new).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((user, link)) => {
            let shown = Shown { link, status: StatusCode::CREATED, ..Shown::default() };
            person_page(room, request, actor, &user, shown).await
        }
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first("/admin/people/new")),
        Err(mut problem) => {
            if problem.code == "email_taken" {
                let said = problem.detail.clone();
                problem.fields.push(("email", said));
            }
            if problem.code == "username_used_before" {
                problem.fields.push(("reuse_username", Said::of(Words::people_reuse_why)));
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
        password_hash: None,
    })
}
