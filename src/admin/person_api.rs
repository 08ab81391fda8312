//! Sessions of others, and what they allowed apps, as JSON for administrators.

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::by::By;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;

/// `DELETE /api/v1/admin/users/{id}/sessions/{handle}`: ends one session; the detail of a person lists them.
pub async fn end_session(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.end_person_session(By::Person(actor, &visit), &user, request.param("handle")).await?;
    Ok(Reply::no_content())
}

/// `GET /api/v1/admin/users/{id}/consents`: the apps that a person let do something.
pub async fn list_consents(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let consents = room.oidc.consents(&user.id)?.into_iter();
    let rows: Vec<Value> = consents
        .map(|consent| {
            let name = room.oidc.client(consent.client.as_str()).map(|client| client.settings.name.clone());
            json!({
                "client": consent.client.as_str(),
                "name": name,
                "scopes": consent.scopes,
                "given_at": consent.given_at.to_rfc3339(),
            })
        })
        .collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "consents": rows })))
}

/// `DELETE /api/v1/admin/users/{id}/consents/{client}`: takes back what a person allowed an app.
pub async fn revoke_consent(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.revoke_consent(By::Person(actor, &visit), &user, request.param("client")).await?;
    Ok(Reply::no_content())
}
