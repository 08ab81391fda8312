//! The pages about groups.

use http::StatusCode;

use super::Admin;
use super::by::By;
use super::group_api::{group_of, parse_name};
use super::groups::GroupView;
use super::people_pages::{PAGE, person_row};
use super::people_search::{Place, Search};
use crate::accounts::User;
use crate::http::{Problem, Reply, Request};
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::people as views;
use crate::views::{FieldErrors, Frame, Kind, Pager};
use crate::words::{Said, Words};

const LIST: &str = "/admin/groups";

fn frame(room: &Admin, request: &Request, actor: &Principal, title: &str) -> Frame {
    let frame = room.frame(request, actor, title, "groups");
    let t = frame.t;
    let done = match request.query("done").as_deref() {
        Some("created") => t.groups_done_created(),
        Some("renamed") => t.groups_done_renamed(),
        Some("deleted") => t.groups_done_deleted(),
        Some("joined") => t.groups_done_joined(),
        Some("left") => t.groups_done_left(),
        _ => return frame,
    };
    frame.with_notice(Kind::Ok, done)
}

fn url_of(group: &GroupView) -> String {
    format!("{LIST}/{}", group.name)
}

fn row(group: &GroupView) -> views::GroupRow {
    views::GroupRow {
        url: url_of(group),
        name: group.name.to_string(),
        members: group.members,
        rules: group.rules,
        apps: group.apps,
    }
}

/// `GET /admin/groups`.
pub async fn show_groups(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    list_page(room, request, actor, StatusCode::OK, String::new(), FieldErrors::none())
}

fn list_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    status: StatusCode,
    name: String,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let rows = room.list_groups()?.iter().map(row).collect();
    let page = views::Groups {
        frame: frame(room, request, actor, request.words().groups_title()),
        rows,
        name,
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /admin/groups`.
pub async fn create(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let made = match parse_name(form.text("name")) {
        Ok(name) => room.create_group(By::Person(actor, &visit), &name).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(()) => Ok(Reply::see_other(&format!("{LIST}?done=created"))),
        Err(problem) => {
            let (status, typed) = (problem.status, form.text("name").to_owned());
            list_page(room, request, actor, status, typed, field_errors(problem, "name", request.words())?)
        }
    }
}

/// What the page of a group shows besides the group.
#[derive(Default)]
struct Shown {
    status: StatusCode,
    username: String,
    name: Option<String>,
    errors: FieldErrors,
    refusal: Option<String>,
}

/// `GET /admin/groups/{name}?after=…`.
pub async fn show_group(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    group_page(room, request, actor, Shown::default())
}

fn group_page(room: &Admin, request: &Request, actor: &Principal, shown: Shown) -> Result<Reply, Problem> {
    let group = room.group(&group_of(request)?)?;
    let after = request.query("after").and_then(|after| Place::parse(&after));
    let is_first = after.is_none();
    let search = Search { group: Some(group.name.clone()), after, ..Search::default() };
    let found = room.find_people(&search, PAGE);
    let url = url_of(&group);
    let at = |place: Place| format!("{url}?after={}", place.to_cursor());
    let mut frame = frame(room, request, actor, group.name.as_str());
    if let Some(sentence) = shown.refusal {
        frame = frame.with_notice(Kind::Danger, sentence);
    }
    let page = views::Group {
        frame,
        members: found
            .people
            .iter()
            .map(|user| person_row(room, request.words(), user, found.suspended.contains(&user.id)))
            .collect(),
        pager: Pager {
            previous: (!is_first).then(|| found.before.map_or_else(|| url.clone(), at)),
            next: found.next.map(at),
            ..Pager::default()
        },
        username: shown.username,
        name: shown.name.unwrap_or_else(|| group.name.to_string()),
        is_free: group.members + group.rules + group.apps == 0,
        group: row(&group),
        errors: shown.errors,
    };
    Reply::html(shown.status, &page)
}

/// `POST /admin/groups/{name}/rename`.
pub async fn rename(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let from = group_of(request)?;
    let renamed = match parse_name(form.text("name")) {
        Ok(to) => room.rename_group(By::Person(actor, &visit), &from, &to).await.map(|()| to),
        Err(problem) => Err(problem),
    };
    match renamed {
        Ok(to) => Ok(Reply::see_other(&format!("{LIST}/{to}?done=renamed"))),
        Err(problem) => {
            let (status, name) = (problem.status, Some(form.text("name").to_owned()));
            let errors = field_errors(problem, "name", request.words())?;
            group_page(room, request, actor, Shown { status, name, errors, ..Shown::default() })
        }
    }
}

/// `POST /admin/groups/{name}/delete`.
pub async fn delete(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let visit = visit(room, request)?;
    match room.delete_group(By::Person(actor, &visit), &group_of(request)?).await {
        Ok(()) => Ok(Reply::see_other(&format!("{LIST}?done=deleted"))),
        Err(problem) if problem.status == StatusCode::CONFLICT => {
            let (status, refusal) = (problem.status, Some(problem.detail.in_words(request.words())));
            group_page(room, request, actor, Shown { status, refusal, ..Shown::default() })
        }
        Err(problem) => Err(problem),
    }
}

/// Finds whom the form names.
fn named(room: &Admin, username: &str) -> Result<std::sync::Arc<User>, Problem> {
    let sentence = Said::of(Words::groups_nobody);
    let nobody = || Problem::unprocessable("username", "no_such_user", sentence);
    room.accounts.resolve(username)?.ok_or_else(nobody)
}

/// `POST /admin/groups/{name}/join`.
pub async fn join(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let name = group_of(request)?;
    let username = form.text("username").trim();
    let joined = match named(room, username) {
        Ok(user) => room.put_in_group(By::Person(actor, &visit), &user, &name).await,
        Err(problem) => Err(problem),
    };
    match joined {
        Ok(()) => Ok(Reply::see_other(&format!("{LIST}/{name}?done=joined"))),
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first(&format!("{LIST}/{name}"))),
        Err(problem) => {
            let (status, username) = (problem.status, username.to_owned());
            let errors = field_errors(problem, "username", request.words())?;
            group_page(room, request, actor, Shown { status, username, errors, ..Shown::default() })
        }
    }
}

/// `POST /admin/groups/{name}/leave`.
pub async fn leave(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let name = group_of(request)?;
    let left = match named(room, form.text("username")) {
        Ok(user) => room.take_out_of_group(By::Person(actor, &visit), &user, &name).await,
        Err(problem) => Err(problem),
    };
    match left {
        // Nobody is left in a group that nobody made, so it is gone.
        Ok(()) if room.group(&name).is_err() => Ok(Reply::see_other(&format!("{LIST}?done=left"))),
        Ok(()) => Ok(Reply::see_other(&format!("{LIST}/{name}?done=left"))),
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first(&format!("{LIST}/{name}"))),
        Err(problem) if problem.status.is_client_error() => {
            let (status, refusal) = (problem.status, Some(problem.detail.in_words(request.words())));
            group_page(room, request, actor, Shown { status, refusal, ..Shown::default() })
        }
        Err(problem) => Err(problem),
    }
}
