//! Access rules, audit and keys as JSON, for administrators.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::Admin;
use super::audit::{Export, Format, Question};
use crate::access::api as rules;
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::my_account::api::page_size;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::words::{Said, Words};

/// `GET /api/v1/admin/rules`.
pub async fn list_rules(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &rules::list_rules(&room.access)))
}

/// `PUT /api/v1/admin/rules`: `{version, rules}` replaces the list. Needs a step-up.
pub async fn put_rules(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let body: rules::PutRulesDto = request.json()?;
    let event = room.event(Kind::RuleChanged, actor, &visit(room, request)?);
    Ok(Reply::json(StatusCode::OK, &rules::put_rules(&room.access, &body, event).await?))
}

/// `GET /api/v1/admin/rules/draft`: the draft, or what one would start from.
pub async fn show_draft(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &rules::show_draft(&room.access)))
}

/// `PUT /api/v1/admin/rules/draft`: `{version, based_on, rules}` replaces the draft, or opens one.
pub async fn put_draft(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let body: rules::PutDraftDto = request.json()?;
    let event = room.event(Kind::RuleDrafted, actor, &visit(room, request)?);
    Ok(Reply::json(StatusCode::OK, &rules::put_draft(&room.access, &body, event).await?))
}

/// `DELETE /api/v1/admin/rules/draft?version=…` drops the draft; without a version, whatever it is by now.
pub async fn discard_draft(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let version = match request.query("version") {
        None => room.access.draft_state().version,
        Some(text) => text.parse().map_err(|_| {
            Problem::unprocessable("version", "invalid_value", Said::of(Words::rules_bad_version))
        })?,
    };
    let event = room.event(Kind::RuleDrafted, actor, &visit(room, request)?).detail("change", "discarded");
    room.access.discard_draft(version, event).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /api/v1/admin/rules/draft/apply`: `{version}` puts the draft in force and answers with the list. Needs a
/// step-up.
pub async fn apply_draft(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let body: rules::ApplyDraftDto = request.json()?;
    let event = room.event(Kind::RuleChanged, actor, &visit(room, request)?).detail("change", "applied");
    room.access.apply_draft(body.version, event).await?;
    Ok(Reply::json(StatusCode::OK, &rules::list_rules(&room.access)))
}

/// `POST /api/v1/admin/rules/check`: `{url, method?, username?, client?, level?, address?, draft?}` tells what would
/// happen by the rules in force, or by the draft, and why.
pub async fn check_rules(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let body: rules::CheckDto = request.json()?;
    let user = match &body.username {
        Some(name) => room.accounts.resolve(name)?,
        None => None,
    };
    Ok(Reply::json(StatusCode::OK, &rules::check_rules(&room.access, &body, user.as_ref(), Words::ENGLISH)?))
}

/// `GET /api/v1/admin/audit`: `who`, `kind`, `app`, `outcome`, `from`, `to`, `limit`, `cursor`; newest first.
pub async fn list_events(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let filter = Question::of(request).filter()?;
    let cursor = request.query("cursor");
    let page = room.audit.page(&filter, cursor.as_deref(), page_size(request)?).await?;
    let document = serde_json::json!({ "events": page.rows, "next_cursor": page.next_cursor });
    Ok(Reply::json(StatusCode::OK, &document))
}

/// `GET /api/v1/admin/audit/export`: the same as JSON Lines, or with `format=csv` as CSV; needs a step-up. A `Link` header with `rel="next"`
/// (RFC 8288) leads to the rest of a long log.
pub async fn export_events(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (question, format) = (Question::of(request), Format::of(request)?);
    exported(room, actor, room.export_audit(actor, &question, format, &visit(room, request)?).await?)
}

/// Answers an export as a file to keep, which is read while it is sent, and no longer than the caller may.
pub(super) fn exported(room: &Admin, actor: &Principal, mut export: Export) -> Result<Reply, Problem> {
    let (content_type, attachment) = match export.format {
        Format::Jsonl => ("application/x-ndjson", "attachment; filename=\"doorward-audit.jsonl\""),
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"doorward-audit.csv\""),
    };
    let reply = Reply::bytes(StatusCode::OK, content_type, Bytes::new())
        .with(header::CONTENT_DISPOSITION, HeaderValue::from_static(attachment))
        .followed_by(move || export.read_on().map(|lines| lines.map(Bytes::from)));
    room.sessions.only_for_admin(actor, reply)
}

/// `POST /api/v1/admin/keys/rotate`: replaces all signing keys at once; every access token is void after it, refresh
/// tokens and sessions stay (TOK-15). Needs a step-up.
pub async fn rotate_keys(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let event = room.event(Kind::KeysRotated, actor, &visit(room, request)?);
    room.sessions.replace_keys(|batch| room.audit.write(batch, event)).await?;
    Ok(Reply::json(StatusCode::OK, &room.sessions.tokens().public_keys()))
}
