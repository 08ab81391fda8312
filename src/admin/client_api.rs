//! Apps and scopes as JSON, for administrators.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::by::By;
use super::new_apps::{self, Pasting, Place};
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::oidc::presets::{self, Preset};
use crate::oidc::scopes::Scopes;
use crate::oidc::{Client, ClientId, ClientSettings};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::words::{Said, Words, english_only, said};

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
        Problem::unprocessable("client", "invalid_value", english_only(format!("This is no app: {text}.")))
    })
}

/// Lists the settings that are different, for an event: their names, never what stands in them.
pub(crate) fn differing(old: &ClientSettings, new: &ClientSettings) -> String {
    let document = |settings| serde_json::to_value(settings).unwrap_or_default();
    let (old, new) = (document(old), document(new));
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return String::new() };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    changed.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn found(room: &Admin, request: &Request) -> Result<std::sync::Arc<Client>, Problem> {
    room.oidc.client(request.param("id")).ok_or_else(Problem::not_found)
}

/// `GET /api/v1/admin/clients`.
pub async fn list(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let clients: Vec<Value> = room.oidc.clients().iter().map(|client| client_json(client)).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "clients": clients })))
}

/// Takes what a body says of a preset: `preset`, `url` and `parameters`.
fn take_preset(body: &mut Map<String, Value>) -> Result<Option<(&'static Preset, Place)>, Problem> {
    let mut text = |name: &'static str| match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::unprocessable(name, "invalid_value", english_only("This is a text."))),
    };
    let (id, url) = (text("preset")?, text("url")?);
    let parameters = match body.remove("parameters") {
        None | Some(Value::Null) => std::collections::BTreeMap::new(),
        Some(value) => serde_json::from_value(value).map_err(|_| {
            Problem::unprocessable(
                "parameters",
                "invalid_value",
                english_only("Parameters are texts by name."),
            )
        })?,
    };
    let place = Place { url: url.unwrap_or_default(), parameters };
    match id {
        Some(id) => Ok(Some((new_apps::preset(&id)?, place))),
        None if place.url.is_empty() && place.parameters.is_empty() => Ok(None),
        None => Err(Problem::unprocessable(
            "preset",
            "invalid_value",
            english_only("An address and parameters are for a preset: name one."),
        )),
    }
}

fn pasting_json(pasting: &Pasting) -> Value {
    let rows =
        pasting.rows.iter().map(|(label, value, _)| json!({ "label": label, "value": value.expose() }));
    let config =
        pasting.config.as_ref().map(|(file, text, _)| json!({ "file": file, "text": text.expose() }));
    json!({
        "paste": rows.collect::<Vec<_>>(),
        "config": config,
        "notes": pasting.notes,
        "missing": pasting.missing.iter().map(Said::english).collect::<Vec<_>>(),
    })
}

/// `GET /api/v1/admin/presets`: what is known of apps that people use.
pub async fn list_presets(_room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let show = |preset: &Preset| {
        let parameters = preset.parameters.iter().map(|parameter| {
            json!({ "name": parameter.name, "label": parameter.label, "default": parameter.default })
        });
        json!({
            "id": preset.id,
            "name": preset.name,
            "category": preset.category.as_str(),
            "website": preset.website,
            "needs_url": preset.needs_app_url(),
            "parameters": parameters.collect::<Vec<_>>(),
        })
    };
    let all: Vec<Value> = presets::list().iter().map(show).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "presets": all })))
}

/// `GET /api/v1/admin/clients/{id}/claims?username=…&scope=…`: what the app would be told of a person.
pub async fn preview(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let name = request.query("username").unwrap_or_default();
    let user = room.accounts.resolve(&name)?.ok_or_else(|| {
        Problem::unprocessable("username", "no_such_user", said(move |t| t.apps_no_account(&name)))
    })?;
    let scopes = match request.query("scope") {
        None => None,
        Some(text) => Some(Scopes::parse(&text).ok_or_else(|| {
            Problem::unprocessable("scope", "invalid_value", Said::of(Words::apps_bad_scopes))
        })?),
    };
    let preview = room
        .oidc
        .preview(&client, &user, scopes.as_ref())
        .map_err(|error| Problem::internal(error.private.unwrap_or(error.description)))?;
    let answer = json!({
        "scope": preview.scopes.to_string(),
        "is_admitted": preview.is_admitted,
        "id_token": preview.id_token,
        "userinfo": preview.userinfo,
    });
    Ok(Reply::json(StatusCode::OK, &answer))
}

/// `POST /api/v1/admin/clients`: adds an app, of a `preset` at an `url` with `parameters` or without. The answer holds its
/// secret, which is never shown again.
pub async fn add(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let mut body: Map<String, Value> = request.json()?;
    let id = match body.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(
            ClientId::parse(&id)
                .map_err(|why| Problem::unprocessable("id", "invalid_value", english_only(why)))?,
        ),
        Some(_) => {
            return Err(Problem::unprocessable("id", "invalid_value", english_only("The id is a text.")));
        }
    };
    let made = take_preset(&mut body)?;
    let (base, id) = match &made {
        Some((preset, place)) => {
            (new_apps::settings(preset, place)?, id.or_else(|| new_apps::id_for(&room.oidc, preset)))
        }
        None => (ClientSettings::default(), id),
    };
    let settings = settings_of(&base, body)?;
    let event = room.event(Kind::AppAdded, actor, &visit(room, request)?);
    let event = event.detail("name", &settings.name);
    let added =
        room.oidc.add_client(id, settings, |batch, client| room.audit.write(batch, event.on(client))).await?;
    let mut answer = json!({ "client": client_json(&added.client) });
    if let (Some((preset, place)), Some(members)) = (made, answer.as_object_mut()) {
        let pasting = new_apps::pasting(&room.oidc, preset, &added.client, added.secret.clone(), &place);
        members.insert("preset".to_owned(), pasting_json(&pasting));
    }
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
    let event = event.detail("fields", differing(&client.settings, &settings));
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
