//! Invitations and other links that wait to be used, as JSON for administrators.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::api::{LinkDto, parse_groups};
use super::by::By;
use super::invitations::{Invitation, USUAL_DAYS, WaitingLink};
use crate::accounts::Role;
use crate::accounts::records::LinkPurpose;
use crate::http::{Problem, Reply, Request};
use crate::kernel::text::GroupName;
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::api::visit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationDto {
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    days: Option<u32>,
}

/// A link that waits; never its secret.
#[derive(Serialize)]
struct WaitingDto {
    handle: String,
    /// `invitation` or `password`.
    kind: &'static str,
    /// Whose password it sets.
    username: Option<String>,
    role: Option<Role>,
    groups: Vec<GroupName>,
    note: String,
    created_at: Option<String>,
    expires_at: String,
}

impl From<WaitingLink> for WaitingDto {
    fn from(WaitingLink { link, user }: WaitingLink) -> Self {
        let (kind, role, groups) = match link.record.purpose {
            LinkPurpose::Invite { role, groups } => ("invitation", Some(role), groups),
            LinkPurpose::ResetPassword(_) => ("password", None, Vec::new()),
        };
        let created_at = link.record.created_at;
        WaitingDto {
            handle: link.handle,
            kind,
            username: user.map(|user| user.username.to_string()),
            role,
            groups,
            note: link.record.note,
            created_at: (created_at > Timestamp::ZERO).then(|| created_at.to_rfc3339()),
            expires_at: link.record.expires_at.to_rfc3339(),
        }
    }
}

/// `GET /api/v1/admin/invites`: every link that waits to be used, newest first.
pub async fn list(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let rows: Vec<WaitingDto> = room.waiting_links()?.into_iter().map(WaitingDto::from).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "invites": rows })))
}

/// `POST /api/v1/admin/invites`: `{role?, groups?, note?, days?}`. The answer holds the link, which is never shown again;
/// inviting an administrator needs a step-up.
pub async fn make(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let body: InvitationDto = request.json()?;
    let new = Invitation {
        role: body.role.unwrap_or(Role::Member),
        groups: parse_groups(body.groups.iter().map(String::as_str))?,
        note: body.note,
        days: body.days.unwrap_or(USUAL_DAYS),
    };
    let visit = visit(room, request)?;
    let link = room.invite(By::Person(actor, &visit), new).await?;
    Ok(Reply::json(StatusCode::CREATED, &LinkDto::from(link)))
}

/// `DELETE /api/v1/admin/invites/{handle}`: withdraws a link that was not used yet.
pub async fn withdraw(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let visit = visit(room, request)?;
    room.withdraw_link(By::Person(actor, &visit), request.param("handle")).await?;
    Ok(Reply::no_content())
}
