//! One's own passkeys as JSON.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::MyAccount;
use super::api::with_renewal;
use crate::accounts::passkeys::Passkey;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::ceremonies::Credential;

/// A passkey as its owner and administrators see it.
#[derive(Serialize)]
pub(crate) struct PasskeyDto {
    id: String,
    name: String,
    created_at: String,
    last_used: Option<String>,
    user_verified: bool,
    synced: bool,
}

impl From<&Passkey> for PasskeyDto {
    fn from(passkey: &Passkey) -> Self {
        let record = &passkey.seen.value;
        PasskeyDto {
            id: passkey.id.to_string(),
            name: record.name.clone(),
            created_at: record.created_at.to_rfc3339(),
            last_used: record.last_used.map(|at| at.to_rfc3339()),
            user_verified: record.is_user_verified,
            synced: record.is_backed_up,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDto {
    name: String,
    credential: Credential,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameDto {
    name: String,
}

/// `GET /api/v1/users/me/passkeys`.
pub async fn list(room: &MyAccount, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let rows: Vec<PasskeyDto> = room.list_passkeys(principal)?.iter().map(PasskeyDto::from).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "passkeys": rows })))
}

/// `POST /api/v1/users/me/passkeys/options`: what a browser needs to make a passkey; needs a step-up.
pub async fn options(room: &MyAccount, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &room.begin_passkey(principal)?))
}

/// `POST /api/v1/users/me/passkeys`: `{name, credential}`; needs a step-up. Every session ends; the answer carries the new
/// one, and recovery codes if this is the first second factor.
pub async fn add(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let body: NewDto = request.json()?;
    let added = room.add_passkey(principal, &body.credential, &body.name, &visit(room, request)?).await?;
    let mut document = serde_json::json!({ "id": added.id.to_string() });
    if let (Some(members), false) = (document.as_object_mut(), added.recovery_codes.is_empty()) {
        members.insert("recovery_codes".to_owned(), added.recovery_codes.into());
    }
    let mut reply = with_renewal(room, principal, document, added.renewal)?;
    reply.status = StatusCode::CREATED;
    Ok(reply)
}

/// `PATCH /api/v1/users/me/passkeys/{passkey}`: `{name}`.
pub async fn rename(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let body: NameDto = request.json()?;
    let visit = visit(room, request)?;
    room.rename_passkey(principal, request.param("passkey"), &body.name, &visit).await?;
    Ok(Reply::no_content())
}

/// `DELETE /api/v1/users/me/passkeys/{passkey}`: needs a step-up. Every session ends; the answer carries the new one.
pub async fn remove(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let visit = visit(room, request)?;
    let renewal = room.remove_passkey(principal, request.param("passkey"), &visit).await?;
    with_renewal(room, principal, serde_json::json!({ "status": "removed" }), renewal)
}
