//! App tokens as JSON, for their owner.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::app_tokens::{self, Wish};
use crate::http::{Problem, Reply, Request};
use crate::sessions::app_tokens::AppToken;
use crate::sessions::{Level, Principal};
use crate::sign_in::SignIn;
use crate::sign_in::api::visit;

/// An app token without its secret.
#[derive(Debug, Serialize)]
pub struct AppTokenDto {
    id: String,
    name: String,
    hosts: Vec<String>,
    level: Level,
    created_at: String,
    expires_at: Option<String>,
    last_used: Option<String>,
}

impl From<&AppToken> for AppTokenDto {
    fn from(token: &AppToken) -> Self {
        AppTokenDto {
            id: token.id.to_string(),
            name: token.name.to_string(),
            hosts: token.hosts.iter().map(ToString::to_string).collect(),
            level: token.factors.level(),
            created_at: token.created_at.to_rfc3339(),
            expires_at: token.expires_at.map(|at| at.to_rfc3339()),
            last_used: token.last_used().map(|at| at.to_rfc3339()),
        }
    }
}

#[derive(Serialize)]
struct MadeDto {
    #[serde(flatten)]
    shown: AppTokenDto,
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WishDto {
    name: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    expires_in_days: Option<u32>,
}

/// `GET /api/v1/users/me/app-tokens`: the caller's app tokens, the newest first.
pub async fn list(room: &SignIn, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let tokens = room.sessions.app_tokens_of(&principal.user.id);
    let rows: Vec<AppTokenDto> = tokens.iter().map(|token| AppTokenDto::from(&**token)).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "app_tokens": rows })))
}

/// `POST /api/v1/users/me/app-tokens`: `{name, hosts?, expires_in_days?}`; needs a step-up. The answer holds the token,
/// shown once.
pub async fn make(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let body: WishDto = request.json()?;
    let wish = Wish { name: body.name, hosts: body.hosts, days: body.expires_in_days };
    let sound = wish.parse(request.now)?;
    let made = app_tokens::make(room, principal, sound, &visit(room, request)?).await?;
    let tokens = room.sessions.app_tokens_of(&principal.user.id);
    let shown = tokens.iter().find(|token| token.id == made.id).ok_or_else(Problem::not_found)?;
    let document = MadeDto { shown: AppTokenDto::from(&**shown), token: made.token.expose().clone() };
    Ok(Reply::json(StatusCode::CREATED, &document))
}

/// `DELETE /api/v1/users/me/app-tokens/{token}`: revokes one of the caller's app tokens.
pub async fn revoke(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let event = app_tokens::revoked_by_owner(principal, &visit(room, request)?);
    app_tokens::revoke(room, &principal.user.id, request.param("token"), event).await?;
    Ok(Reply::no_content())
}
