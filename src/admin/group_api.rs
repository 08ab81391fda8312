//! Groups as JSON, for administrators.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;

use super::Admin;
use super::api::people_json;
use super::by::By;
use super::people_search::{Place, Search};
use crate::accounts::User;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::UserId;
use crate::kernel::text::GroupName;
use crate::my_account::api::{page_size, refused};
use crate::sessions::Principal;
use crate::sign_in::api::visit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupDto {
    name: String,
}

/// Reads the group that the `{name}` of the path names.
pub(super) fn group_of(request: &Request) -> Result<GroupName, Problem> {
    GroupName::parse(request.param("name")).map_err(|_| Problem::not_found())
}

/// Reads what somebody typed as the name of a group.
///
/// # Errors
/// 422 `name`.
pub(super) fn parse_name(text: &str) -> Result<GroupName, Problem> {
    GroupName::parse(text.trim()).map_err(refused("name"))
}

fn member_of(room: &Admin, request: &Request) -> Result<Arc<User>, Problem> {
    let id = UserId::parse(request.param("user")).ok_or_else(Problem::not_found)?;
    room.accounts.user(&id).ok_or_else(Problem::not_found)
}

/// `GET /api/v1/admin/groups`.
pub async fn list_groups(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "groups": room.list_groups()? })))
}

/// `GET /api/v1/admin/groups/{name}`: the group and its members, `limit` at a time from `cursor` on.
pub async fn show_group(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let name = group_of(request)?;
    let group = room.group(&name)?;
    let after = request.query("cursor").and_then(|cursor| Place::parse(&cursor));
    let search = Search { group: Some(name), after, ..Search::default() };
    let mut document = people_json(room, &room.find_people(&search, page_size(request)?));
    if let Some(members) = document.as_object_mut() {
        members.insert("group".to_owned(), serde_json::json!(group));
    }
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `POST /api/v1/admin/groups`: `{name}`.
pub async fn create_group(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let body: GroupDto = request.json()?;
    let name = parse_name(&body.name)?;
    let visit = visit(room, request)?;
    room.create_group(By::Person(actor, &visit), &name).await?;
    Ok(Reply::json(StatusCode::CREATED, &room.group(&name)?))
}

/// `PATCH /api/v1/admin/groups/{name}`: `{name}` gives the group another name, for people, rules and apps as well.
pub async fn rename_group(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let from = group_of(request)?;
    let body: GroupDto = request.json()?;
    let to = parse_name(&body.name)?;
    let visit = visit(room, request)?;
    room.rename_group(By::Person(actor, &visit), &from, &to).await?;
    Ok(Reply::json(StatusCode::OK, &room.group(&to)?))
}

/// `DELETE /api/v1/admin/groups/{name}`: only a group that nobody is in and no rule or app names.
pub async fn delete_group(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let name = group_of(request)?;
    let visit = visit(room, request)?;
    room.delete_group(By::Person(actor, &visit), &name).await?;
    Ok(Reply::no_content())
}

/// `PUT /api/v1/admin/groups/{name}/members/{user}`.
pub async fn add_member(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (name, user) = (group_of(request)?, member_of(room, request)?);
    let visit = visit(room, request)?;
    room.put_in_group(By::Person(actor, &visit), &user, &name).await?;
    Ok(Reply::no_content())
}

/// `DELETE /api/v1/admin/groups/{name}/members/{user}`.
pub async fn remove_member(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (name, user) = (group_of(request)?, member_of(room, request)?);
    let visit = visit(room, request)?;
    room.take_out_of_group(By::Person(actor, &visit), &user, &name).await?;
    Ok(Reply::no_content())
}
