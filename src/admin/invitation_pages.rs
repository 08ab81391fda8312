//! The pages about invitations.

use http::StatusCode;

use super::Admin;
use super::api::parse_groups;
use super::by::By;
use super::invitations::{Invitation, USUAL_DAYS, WaitingLink};
use super::people::Link;
use super::people_pages::{frame, group_choices, role_choices, role_word};
use crate::accounts::Role;
use crate::accounts::records::LinkPurpose;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::text::GroupName;
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::people as views;
use crate::views::{Choice, FieldErrors, Kind, OneTimeLink};
use crate::words::{Said, Words};

const LIST: &str = "/admin/people/invitations";
const INVITE: &str = "/admin/people/invite";
/// How long an invitation may work, as the page offers it.
const DAYS: [u32; 4] = [1, 3, 7, 30];

/// `GET /admin/people/invitations`.
pub async fn show_list(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    list_page(room, request, actor, StatusCode::OK, None, None)
}

fn list_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    status: StatusCode,
    link: Option<OneTimeLink>,
    refusal: Option<String>,
) -> Result<Reply, Problem> {
    let mut frame = frame(room, request, actor, request.words().invitations_title());
    if let Some(sentence) = refusal {
        frame = frame.with_notice(Kind::Danger, sentence);
    }
    let rows = room.waiting_links()?.into_iter().map(|link| waiting_row(request.words(), link)).collect();
    Reply::html(status, &views::Invitations { frame, link, rows })
}

fn waiting_row(t: Words, WaitingLink { link, user }: WaitingLink) -> views::WaitingRow {
    let (usual, detail) = match (&user, &link.record.purpose) {
        (Some(user), _) if user.password_changed_at.is_none() => {
            (t.invitations_first_password(&user.display_name), user.username.to_string())
        }
        (Some(user), _) => (t.invitations_new_password(&user.display_name), user.username.to_string()),
        (None, LinkPurpose::Invite { role, groups }) => {
            let names = groups.iter().map(GroupName::as_str);
            let detail: Vec<&str> = std::iter::once(role_word(t, *role)).chain(names).collect();
            (t.invitations_invitation().to_owned(), detail.join(" · "))
        }
        (None, LinkPurpose::ResetPassword(_)) => (t.people_password().to_owned(), String::new()),
    };
    let title = if link.record.note.is_empty() { usual } else { link.record.note };
    views::WaitingRow { handle: link.handle, title, detail, until: link.record.expires_at.into() }
}

/// `GET /admin/people/invite`.
pub async fn show_invite(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    invite_page(room, request, actor, None)
}

fn invite_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    refused: Option<(Problem, &Form)>,
) -> Result<Reply, Problem> {
    let t = request.words();
    let days = |chosen: u32| {
        let choice =
            |days: u32| Choice::new(days.to_string(), t.invitations_days_count(days), days == chosen);
        DAYS.into_iter().map(choice).collect()
    };
    let mut page = views::Invite {
        frame: frame(room, request, actor, t.invitations_invite()),
        note: String::new(),
        roles: role_choices(t, actor.user.role, Role::Member),
        groups: group_choices(room, &[])?,
        days: days(USUAL_DAYS),
        errors: FieldErrors::none(),
    };
    let mut status = StatusCode::OK;
    if let Some((problem, form)) = refused {
        status = problem.status;
        form.text("note").clone_into(&mut page.note);
        page.roles = role_choices(t, actor.user.role, Role::parse(form.text("role")).unwrap_or(Role::Member));
        let ticked: Vec<GroupName> =
            form.all("group").filter_map(|name| GroupName::parse(name).ok()).collect();
        page.groups = group_choices(room, &ticked)?;
        page.days = days(form.text("days").parse().unwrap_or(USUAL_DAYS));
        page.errors = field_errors(problem, "note", request.words())?;
    }
    Reply::html(status, &page)
}

/// `POST /admin/people/invite`: makes the link and shows it once.
pub async fn submit_invite(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let made = match parse(&form) {
        Ok(invitation) => room.invite(By::Person(actor, &visit), invitation).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(Link { url, expires_at, .. }) => {
            let link = OneTimeLink::new(form.text("note").trim(), true, url, expires_at);
            list_page(room, request, actor, StatusCode::CREATED, Some(link), None)
        }
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first(INVITE)),
        Err(problem) => invite_page(room, request, actor, Some((problem, &form))),
    }
}

fn parse(form: &Form) -> Result<Invitation, Problem> {
    Ok(Invitation {
        role: Role::parse(form.text("role")).ok_or_else(|| {
            Problem::unprocessable("role", "invalid_value", Said::of(Words::people_choose_role))
        })?,
        groups: parse_groups(form.all("group"))?,
        note: form.text("note").to_owned(),
        // No number is no number of days either, and refused in the same words.
        days: form.text("days").parse().unwrap_or(0),
    })
}

/// `POST /admin/people/invitations/withdraw`.
pub async fn withdraw(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    match room.withdraw_link(By::Person(actor, &visit), form.text("handle")).await {
        Ok(()) => Ok(Reply::see_other(&format!("{LIST}?done=withdrawn"))),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            let gone = request.words().invitations_gone().to_owned();
            list_page(room, request, actor, problem.status, None, Some(gone))
        }
        Err(problem) if problem.status.is_client_error() => list_page(
            room,
            request,
            actor,
            problem.status,
            None,
            Some(problem.detail.in_words(request.words())),
        ),
        Err(problem) => Err(problem),
    }
}
