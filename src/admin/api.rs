//! People as JSON, for administrators.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::by::By;
use super::people::{Link, NewPerson, PersonChange};
use super::people_search::{Found, Order, Place, Search, Which};
use crate::accounts::{Role, Status, User};
use crate::http::{Problem, Reply, Request};
use crate::kernel::text::{DisplayName, GroupName, Username};
use crate::my_account::api::{page_size, parse_email, refused};
use crate::sessions::labels::device_name;
use crate::sessions::{Principal, SessionKind, SessionView};
use crate::sign_in::api::visit;
use crate::words::{Words, english_only};

/// A person as administrators see them; never anything secret (GEN-07).
#[derive(Serialize)]
struct PersonDto {
    id: String,
    username: String,
    display_name: String,
    email: Option<String>,
    groups: Vec<String>,
    role: Role,
    status: Status,
    second_factor: bool,
    /// Sign-in is paused from some place.
    suspended: bool,
    /// Attempts from unknown devices have to wait, wherever they come from.
    delayed: bool,
    last_seen: Option<String>,
}

#[derive(Serialize)]
struct DetailDto {
    #[serde(flatten)]
    person: PersonDto,
    created_at: String,
    password_changed_at: Option<String>,
    recovery_codes_left: u8,
    email_verified: bool,
    sessions: Vec<SessionDto>,
    suspensions: Vec<SuspensionDto>,
}

#[derive(Serialize)]
struct SessionDto {
    handle: String,
    kind: SessionKind,
    device: String,
    place: String,
    started_at: String,
    last_seen: String,
}

impl From<SessionView> for SessionDto {
    fn from(view: SessionView) -> Self {
        SessionDto {
            handle: view.id.to_string(),
            kind: view.kind,
            device: device_name(&view.label, Words::ENGLISH),
            place: view.place,
            started_at: view.started_at.to_rfc3339(),
            last_seen: view.last_seen.to_rfc3339(),
        }
    }
}

#[derive(Serialize)]
struct SuspensionDto {
    handle: String,
    place: String,
    until: String,
}

#[derive(Serialize)]
pub(super) struct LinkDto {
    url: String,
    expires_at: String,
}

impl From<Link> for LinkDto {
    fn from(link: Link) -> Self {
        LinkDto { url: link.url, expires_at: link.expires_at.to_rfc3339() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDto {
    username: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    reuse_username: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeDto {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiftDto {
    #[serde(default)]
    handle: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisableDto {
    #[serde(default)]
    reason: String,
}

fn person_dto(room: &Admin, user: &User, suspended: bool) -> PersonDto {
    PersonDto {
        id: user.id.to_string(),
        username: user.username.to_string(),
        display_name: user.display_name.to_string(),
        email: user.email.as_ref().map(ToString::to_string),
        groups: user.groups.iter().map(ToString::to_string).collect(),
        role: user.role,
        status: user.status,
        second_factor: user.has_second_factor(),
        suspended,
        delayed: room.lockout.is_delayed(user.id),
        last_seen: room.sessions.last_seen(&user.id).map(|at| at.to_rfc3339()),
    }
}

/// Parses the names of groups.
pub(super) fn parse_groups<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<GroupName>, Problem> {
    names.map(|name| GroupName::parse(name).map_err(refused("group"))).collect()
}

fn detail(room: &Admin, user: &User) -> Result<DetailDto, Problem> {
    let user = room.accounts.user(&user.id).ok_or_else(Problem::not_found)?;
    let record = room.accounts.record(&user.id)?.value;
    let profile = room.accounts.profile(&user.id)?;
    let suspensions: Vec<SuspensionDto> = room
        .lockout
        .of_user(&user.id)
        .into_iter()
        .map(|view| SuspensionDto { handle: view.handle, place: view.place, until: view.until.to_rfc3339() })
        .collect();
    Ok(DetailDto {
        person: person_dto(room, &user, !suspensions.is_empty()),
        created_at: record.created_at.to_rfc3339(),
        password_changed_at: record.password_changed_at.map(|at| at.to_rfc3339()),
        recovery_codes_left: record.recovery_codes_left,
        email_verified: profile.is_some_and(|profile| profile.email_verified),
        sessions: room.sessions.list(&user.id)?.into_iter().map(SessionDto::from).collect(),
        suspensions,
    })
}

/// Reads what a list of people is asked for: `q`, `filter`, `group`, `sort`, `cursor`.
fn search_of(request: &Request) -> Result<Search, Problem> {
    let named = |name| request.query(name).unwrap_or_default();
    let wrong = |field, sentence: &'static str| {
        Problem::unprocessable(field, "invalid_value", english_only(sentence))
    };
    let which = Which::parse(&named("filter")).ok_or_else(|| {
        wrong("filter", "A filter is `admins`, `no-second-factor`, `suspended`, `disabled` or `invited`.")
    })?;
    let order = Order::parse(&named("sort"))
        .ok_or_else(|| wrong("sort", "People are sorted by `seen` or `newest`."))?;
    let group = match named("group").as_str() {
        "" => None,
        name => Some(GroupName::parse(name).map_err(refused("group"))?),
    };
    Ok(Search { q: named("q"), which, group, order, after: Place::parse(&named("cursor")) })
}

/// Answers a list of people.
pub(super) fn people_json(room: &Admin, found: &Found) -> serde_json::Value {
    let rows: Vec<PersonDto> =
        found.people.iter().map(|user| person_dto(room, user, found.suspended.contains(&user.id))).collect();
    serde_json::json!({
        "users": rows,
        "total": found.total,
        "next_cursor": found.next.as_ref().map(Place::to_cursor),
    })
}

/// `GET /api/v1/admin/users`: `q`, `filter` (`admins`, `no-second-factor`, `suspended`, `disabled`, `invited`), `group`,
/// `sort` (`seen`, `newest`; by username without it), `limit`, `cursor`. There is no `total` where nobody counted.
pub async fn list_people(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let found = room.find_people(&search_of(request)?, page_size(request)?);
    Ok(Reply::json(StatusCode::OK, &people_json(room, &found)))
}

/// `POST /api/v1/admin/users`: `{username, display_name?, email?, email_verified?, role?, groups?}`. There is no password
/// to give: the answer holds a one-time link by which the person chooses one (PWD-11).
pub async fn create_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let body: NewDto = request.json()?;
    let username = Username::parse(&body.username).map_err(refused("username"))?;
    let shown =
        if body.display_name.trim().is_empty() { username.as_str() } else { body.display_name.as_str() };
    let new = NewPerson {
        display_name: DisplayName::parse(shown).map_err(refused("display_name"))?,
        username,
        reuse_username: body.reuse_username,
        email: parse_email(&body.email)?,
        email_verified: body.email_verified.unwrap_or(true),
        role: body.role.unwrap_or(Role::Member),
        groups: parse_groups(body.groups.iter().map(String::as_str))?,
        password_hash: None,
    };
    let visit = visit(room, request)?;
    let (user, link) = room.create_person(By::Person(actor, &visit), new).await?;
    let document = serde_json::json!({ "user": detail(room, &user)?, "link": link.map(LinkDto::from) });
    Ok(Reply::json(StatusCode::CREATED, &document))
}

/// `GET /api/v1/admin/users/{id}`.
pub async fn show_person(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    Ok(Reply::json(StatusCode::OK, &detail(room, &user)?))
}

/// `PATCH /api/v1/admin/users/{id}`: `{display_name?, email?, email_verified?, role?, groups?}`; another role needs a
/// step-up.
pub async fn change_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let body: ChangeDto = request.json()?;
    let display_name = body.display_name.as_deref().map(DisplayName::parse).transpose();
    let groups = body.groups.as_ref().map(|names| parse_groups(names.iter().map(String::as_str)));
    let change = PersonChange {
        display_name: display_name.map_err(refused("display_name"))?,
        email: body.email.as_deref().map(parse_email).transpose()?,
        email_verified: body.email_verified,
        role: body.role,
        groups: groups.transpose()?,
        revision: None,
    };
    let visit = visit(room, request)?;
    room.change_person(By::Person(actor, &visit), &user, change).await?;
    Ok(Reply::json(StatusCode::OK, &detail(room, &user)?))
}

/// `DELETE /api/v1/admin/users/{id}`: needs a step-up.
pub async fn delete_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.delete_person(By::Person(actor, &visit), &user).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/users/{id}/disable`: `{reason?}`, or nothing.
pub async fn disable_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let body: DisableDto = if request.body.is_empty() { DisableDto::default() } else { request.json()? };
    let visit = visit(room, request)?;
    room.disable_person(By::Person(actor, &visit), &user, &body.reason).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/users/{id}/enable`.
pub async fn enable_person(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.enable_person(By::Person(actor, &visit), &user).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/users/{id}/link`: a one-time link for a new password; needs a step-up.
pub async fn make_link(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    let link = room.make_person_link(By::Person(actor, &visit), &user).await?;
    Ok(Reply::json(StatusCode::CREATED, &LinkDto::from(link)))
}

/// `POST /api/v1/admin/users/{id}/reset-second-factor`: needs a step-up.
pub async fn reset_second_factor(
    room: &Admin,
    request: &Request,
    actor: &Principal,
) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.reset_second_factor(By::Person(actor, &visit), &user).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/users/{id}/sign-out`: ends every session of the person.
pub async fn sign_person_out(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.sign_person_out(By::Person(actor, &visit), &user).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/users/{id}/lift`: `{handle?}`; without one all suspensions of the person.
pub async fn lift_suspension(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let body: LiftDto = request.json()?;
    let visit = visit(room, request)?;
    room.lift_suspension(By::Person(actor, &visit), &user, body.handle.as_deref()).await?;
    Ok(Reply::no_content())
}
