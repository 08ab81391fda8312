//! What a person allowed apps, as JSON for themselves.

use http::StatusCode;
use serde_json::{Value, json};

use super::Oidc;
use super::client::ClientId;
use crate::audit::{Event, Kind};
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;

/// `GET /api/v1/users/me/consents`.
pub async fn list(room: &Oidc, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let consents: Vec<Value> = room
        .consents(&principal.user.id)?
        .into_iter()
        .filter_map(|consent| {
            let client = room.client(consent.client.as_str())?;
            Some(json!({
                "client": consent.client.as_str(),
                "name": client.settings.name,
                "scopes": consent.scopes,
                "given_at": consent.given_at.to_rfc3339(),
            }))
        })
        .collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "consents": consents })))
}

/// `DELETE /api/v1/users/me/consents/{client}`: takes back what an app was allowed; its tokens end at once (OA-14).
pub async fn revoke(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let id = ClientId::parse(request.param("client")).map_err(|_| Problem::not_found())?;
    let user = &principal.user;
    let mut batch = room.store.batch();
    room.stage_revoke_consent(&mut batch, &user.id, &id);
    let event = Event::succeeded(Kind::ConsentRevoked).by(user.id, &user.username).on(id.as_str());
    room.audit.write(&mut batch, event.from(request.client.ip).request(request.id));
    room.store.commit(batch).await?;
    // What was being given in that moment, before we say that it is done.
    room.drop_given_up().await?;
    Ok(Reply::no_content())
}
