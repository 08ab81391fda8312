//! The overview and the system as JSON, for administrators.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::System;
use super::overview::Told;
use super::whoami;
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::store::snapshots::Stored;
use crate::words::Words;

/// `GET /api/v1/admin/overview`.
pub async fn overview(room: &System, _request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let seen = room.overview(&actor.user, Words::ENGLISH)?;
    let steps: Vec<&str> = seen.steps.iter().map(|step| step.code).collect();
    let warnings: Vec<Told> = seen.warnings.into_iter().map(Told::from).collect();
    let document = json!({
        "people": seen.people,
        "sign_ins": seen.sign_ins,
        "refused": seen.refused,
        "paused": seen.paused,
        "hours": seen.hours,
        "warnings": warnings,
        "steps": steps,
    });
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `GET /api/v1/admin/settings`: every setting with its origin, and what waits for a restart.
pub async fn list_settings(room: &System, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let document =
        json!({ "settings": room.settings_in_effect(Words::ENGLISH), "restart": room.waiting_settings() });
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `PATCH /api/v1/admin/settings`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsDto {
    instance_name: String,
}

/// `PATCH /api/v1/admin/settings`: `{instance_name}`.
pub async fn change_settings(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let SettingsDto { instance_name } = request.json()?;
    let event = room.event(Kind::SettingChanged, actor, &visit(room, request)?);
    room.rename_instance(&instance_name, event).await?;
    Ok(Reply::no_content())
}

/// `GET /api/v1/admin/keys`: the signing keys, what each does and since when; no key itself.
pub async fn list_keys(room: &System, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let apps: Vec<serde_json::Value> = room
        .oidc
        .key_facts()
        .into_iter()
        .map(|(algorithm, key)| {
            json!({ "algorithm": algorithm, "kid": key.kid, "phase": key.phase,
                "created": key.created.to_rfc3339(), "activates": key.activates.to_rfc3339() })
        })
        .collect();
    let tokens: Vec<serde_json::Value> = room
        .sessions
        .tokens()
        .key_facts()
        .into_iter()
        .map(|key| {
            json!({ "algorithm": "EdDSA", "kid": key.kid, "phase": key.phase,
                "created": key.created.to_rfc3339(), "activates": key.activates.to_rfc3339() })
        })
        .collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "tokens": tokens, "apps": apps })))
}

/// `POST /api/v1/admin/keys/apps/rotate`: replaces the keys that apps verify sign-ins with. Needs a step-up.
pub async fn rotate_app_keys(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let event = room.event(Kind::KeysRotated, actor, &visit(room, request)?);
    room.rotate_app_keys(event).await?;
    Ok(Reply::json(StatusCode::OK, &room.oidc.public_keys()))
}

fn dto(stored: &Stored) -> serde_json::Value {
    json!({
        "name": stored.name,
        "bytes": stored.bytes,
        "taken_at": stored.taken_at.to_rfc3339(),
        "reason": stored.reason.word(),
    })
}

/// `GET /api/v1/admin/backups`: the verified snapshots, newest first.
pub async fn list_backups(room: &System, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let backups: Vec<serde_json::Value> = room.backups().list()?.iter().map(dto).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "backups": backups })))
}

/// `POST /api/v1/admin/backups`: takes a snapshot now.
pub async fn take_backup(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let event = room.event(Kind::StoreExported, actor, &visit(room, request)?);
    Ok(Reply::json(StatusCode::CREATED, &dto(&room.take_snapshot(event).await?)))
}

/// `GET /api/v1/admin/backups/{name}`: the snapshot itself. Needs a step-up.
pub async fn read_backup(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let event = room.event(Kind::StoreExported, actor, &visit(room, request)?);
    let name = request.param("name");
    as_file(room, actor, name, room.read_snapshot(name, event).await?)
}

/// Answers a snapshot as a file to keep, as long as the caller may have it.
pub(super) fn as_file(
    room: &System,
    actor: &Principal,
    name: &str,
    bytes: Vec<u8>,
) -> Result<Reply, Problem> {
    let reply = Reply::file(&format!("doorward-{name}"), "application/octet-stream", bytes);
    room.sessions.only_for_admin(actor, reply)
}

/// `GET /api/v1/admin/support`: the text for people who help.
pub async fn support(room: &System, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::bytes(StatusCode::OK, "text/plain; charset=utf-8", room.support_text()))
}

/// `GET /api/v1/admin/whoami`: what is seen of this request.
pub async fn show_whoami(_room: &System, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &whoami::look(request)))
}
