//! Apps and scopes as JSON, for administrators.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::by::By;
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::oidc::{Client, ClientId, ClientSettings};
use crate::sessions::Principal;
use crate::sign_in::api::visit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeDto {
    claims: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistrationDto {
    #[serde(default = "one")]
    uses: u32,
    #[serde(default = "one")]
    days: u32,
}

fn one() -> u32 {
    1
}

/// A client as administrators see it; never its secrets (GEN-07).
pub(crate) fn client_json(client: &Client) -> Value {
    let mut document = serde_json::to_value(&client.settings).unwrap_or(Value::Null);
    if let Value::Object(members) = &mut document {
        members.insert("id".to_owned(), client.id.as_str().into());
        members.insert("secrets".to_owned(), client.secret_count().into());
        members.insert("registered_itself".to_owned(), client.registered_itself.into());
        members.insert("created_at".to_owned(), client.created_at.to_rfc3339().into());
    }
    document
}

/// Reads settings: `base` with what `body` says in its place.
///
/// # Errors
/// 422 that names the setting.
pub(crate) fn settings_of(
    base: &ClientSettings,
    body: Map<String, Value>,
) -> Result<ClientSettings, Problem> {
    let mut document = serde_json::to_value(base).unwrap_or_else(|_| json!({}));
    if let Value::Object(members) = &mut document {
        members.extend(body);
    }
    serde_json::from_value(document).map_err(|error| {
        let text: String = error.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
        Problem::unprocessable("client", "invalid_value", format!("This is no app: {text}."))
    })
}

fn found(room: &Admin, request: &Request) -> Result<std::sync::Arc<Client>, Problem> {
    room.oidc.client(request.param("id")).ok_or_else(Problem::not_found)
}

/// `GET /api/v1/admin/clients`.
pub async fn list(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let clients: Vec<Value> = room.oidc.clients().iter().map(|client| client_json(client)).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "clients": clients })))
}

/// `POST /api/v1/admin/clients`: adds an app. The answer holds its secret, which is never shown again.
pub async fn add(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let mut body: Map<String, Value> = request.json()?;
    let id = match body.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => {
            Some(ClientId::parse(&id).map_err(|why| Problem::unprocessable("id", "invalid_value", why))?)
        }
        Some(_) => return Err(Problem::unprocessable("id", "invalid_value", "The id is a text.")),
    };
    let settings = settings_of(&ClientSettings::default(), body)?;
    let event = room.event(Kind::AppAdded, actor, &visit(room, request)?);
    let event = event.detail("name", &settings.name);
    let added =
        room.oidc.add_client(id, settings, |batch, client| room.audit.write(batch, event.on(client))).await?;
    let mut answer = json!({ "client": client_json(&added.client) });
    if let (Some(secret), Some(members)) = (&added.secret, answer.as_object_mut()) {
        members.insert("client_secret".to_owned(), secret.expose().as_str().into());
    }
    Ok(Reply::json(StatusCode::CREATED, &answer))
}

/// `GET /api/v1/admin/clients/{id}`.
pub async fn show(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &client_json(&*found(room, request)?)))
}

/// `PATCH /api/v1/admin/clients/{id}`: changes what the body names.
pub async fn change(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let client = found(room, request)?;
    let settings = settings_of(&client.settings, request.json()?)?;
    let event = room.event(Kind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    let changed =
        room.oidc.change_seen_client(&client, settings, |batch| room.audit.write(batch, event)).await?;
    Ok(Reply::json(StatusCode::OK, &client_json(&changed)))
}

/// `DELETE /api/v1/admin/clients/{id}`: removes an app with everything that people gave it.
pub async fn remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let client = found(room, request)?;
    let event = room.event(Kind::AppRemoved, actor, &visit(room, request)?).on(client.id.as_str());
    room.oidc.remove_client(&client.id, |batch| room.audit.write(batch, event)).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/clients/{id}/secret`: a second secret; the first stays good until it is taken away.
pub async fn renew_secret(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let client = found(room, request)?;
    let event = room.event(Kind::AppSecretMade, actor, &visit(room, request)?).on(client.id.as_str());
    let secret = room.oidc.renew_secret(&client.id, |batch| room.audit.write(batch, event)).await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "client_secret": secret.expose() })))
}

/// `DELETE /api/v1/admin/clients/{id}/secret`: takes the older of two secrets away.
pub async fn drop_old_secret(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let client = found(room, request)?;
    let event = room.event(Kind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    room.oidc
        .drop_old_secret(&client.id, |batch| room.audit.write(batch, event.detail("secret", "old")))
        .await?;
    Ok(Reply::no_content())
}

/// `GET /api/v1/admin/scopes`: those that an administrator made up.
pub async fn list_scopes(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let scopes: Map<String, Value> = room
        .oidc
        .custom_scopes()
        .iter()
        .map(|(name, claims)| {
            let claims: Map<String, Value> =
                claims.iter().map(|(claim, attribute)| (claim.clone(), attribute.as_str().into())).collect();
            (name.clone(), json!({ "claims": claims }))
        })
        .collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "scopes": scopes })))
}

/// `PUT /api/v1/admin/scopes/{name}`: `{claims: {claim: attribute}}`.
pub async fn put_scope(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let body: ScopeDto = request.json()?;
    let claims = body.claims.into_iter().collect();
    let visit = visit(room, request)?;
    room.put_scope(By::Person(actor, &visit), request.param("name"), claims).await?;
    Ok(Reply::no_content())
}

/// `DELETE /api/v1/admin/scopes/{name}`.
pub async fn remove_scope(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let visit = visit(room, request)?;
    room.remove_scope(By::Person(actor, &visit), request.param("name")).await?;
    Ok(Reply::no_content())
}

/// `POST /api/v1/admin/registration-tokens`: `{uses?, days?}` makes a token with which apps may register themselves.
pub async fn make_registration_token(
    room: &Admin,
    request: &Request,
    actor: &Principal,
) -> Result<Reply, Problem> {
    let body: RegistrationDto = request.json()?;
    let visit = visit(room, request)?;
    let (token, until) =
        room.make_registration_token(By::Person(actor, &visit), body.uses, body.days).await?;
    let answer = json!({ "token": token.expose(), "expires_at": until.to_rfc3339() });
    Ok(Reply::json(StatusCode::CREATED, &answer))
}

/// `DELETE /api/v1/admin/registration-tokens`: none of those that were made is good any more.
pub async fn drop_registration_tokens(
    room: &Admin,
    request: &Request,
    actor: &Principal,
) -> Result<Reply, Problem> {
    let visit = visit(room, request)?;
    room.drop_registration_tokens(By::Person(actor, &visit)).await?;
    Ok(Reply::no_content())
}
