//! What a person allowed apps, as JSON for themselves.

use http::StatusCode;
use serde_json::{Value, json};

use super::Oidc;
use super::client::ClientId;
use super::my_apps::AppWithAccess;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::UserId;
use crate::sessions::Principal;
use crate::sign_in::api::visit;

/// `GET /api/v1/users/me/apps`: the apps that have access to the account.
pub async fn list_apps(room: &Oidc, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &json!({ "apps": document(room, &principal.user.id).await? })))
}

/// Writes the apps that have access to an account as the API shows them.
///
/// # Errors
/// If the store cannot be read.
pub async fn document(room: &Oidc, user: &UserId) -> Result<Value, Problem> {
    let app = |app: AppWithAccess| {
        json!({
            "client": app.client.id.as_str(),
            "name": app.client.settings.name,
            "scopes": app.scopes,
            "since": app.since.to_rfc3339(),
            "last_used": app.last_used.map(|at| at.to_rfc3339()),
            "sign_ins": app.sign_ins,
            "offline": app.is_offline,
        })
    };
    Ok(room.apps_with_access(user).await?.into_iter().map(app).collect())
}

/// `DELETE /api/v1/users/me/apps/{client}`: takes the access of an app back; its tokens end at once (OA-14).
pub async fn revoke_app(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let id = ClientId::parse(request.param("client")).map_err(|_| Problem::not_found())?;
    room.revoke_app(principal, &id, &visit(&room.sign_in, request)?).await?;
    Ok(Reply::no_content())
}

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

/// `DELETE /api/v1/users/me/consents/{client}`: takes back what an app was allowed; its tokens end at once (OA-14). Where
/// nothing was allowed, nothing is left to do.
pub async fn revoke(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    match revoke_app(room, request, principal).await {
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(Reply::no_content()),
        other => other,
    }
}
