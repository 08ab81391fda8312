//! The app tokens of others as JSON: administrators see what there is and revoke it. They make none (ADM-02).

use http::StatusCode;

use super::Admin;
use super::by::By;
use crate::http::{Problem, Reply, Request};
use crate::programs::api::AppTokenDto;
use crate::sessions::Principal;
use crate::sign_in::api::visit;

/// `GET /api/v1/admin/users/{id}/app-tokens`.
pub async fn list(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let tokens = room.sessions.app_tokens_of(&user.id);
    let rows: Vec<AppTokenDto> = tokens.iter().map(|token| AppTokenDto::from(&**token)).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "app_tokens": rows })))
}

/// `DELETE /api/v1/admin/users/{id}/app-tokens/{token}`.
pub async fn revoke(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.revoke_app_token(By::Person(actor, &visit), &user, request.param("token")).await?;
    Ok(Reply::no_content())
}
