//! One's own data as one document: everything that is kept about a person here, and no secret of it (GEN-07).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::api::{ActivityDto, SessionDto};
use super::pages::{frame, needs_step_up};
use super::passkey_api::PasskeyDto;
use super::{MyAccount, profile_api};
use crate::audit::{Filter, Kind, LARGEST_PAGE};
use crate::http::{Problem, Reply, Request};
use crate::limits::Rule;
use crate::sessions::Principal;
use crate::sessions::app_tokens::AppToken;
use crate::sign_in::api::{UserDto, visit};
use crate::sign_in::{SignInError, Visit, step_up_first};
use crate::views::account as views;

/// How many events the document holds at most.
const MOST_EVENTS: usize = 5000;
/// How many times the log is read for them, at most: 250,000 events.
const MOST_READS: usize = 500;

/// How many of them an account gets.
const EXPORTS: Rule = Rule::new("export", 10, Duration::from_secs(3600));

/// What the document says about itself.
const FORMAT: &str = "doorward.account/1";

impl MyAccount {
    /// Returns everything that is kept about the caller here; `apps` have access to the account. The event is on disk
    /// before anything is handed out.
    ///
    /// # Errors
    /// `step_up_required`; 429 after many; 503 while somebody else's is made.
    pub async fn export(
        &self,
        principal: &Principal,
        apps: Value,
        visit: &Visit<'_>,
    ) -> Result<Value, Problem> {
        self.require_fresh(principal)?;
        let verdict = self.limits.acquire(&EXPORTS, &self.limits.key(&EXPORTS, principal.user.id.as_bytes()));
        if !verdict.allowed {
            return Err(SignInError::Limited { policy: EXPORTS.name, verdict }.into());
        }
        let mut batch = self.store.batch();
        self.audit.write(&mut batch, self.event(Kind::DataExported, principal, visit));
        self.store.commit(batch).await?;
        let user = &principal.user;
        let profile = self.accounts.profile(&user.id)?.unwrap_or_default();
        let sessions = self.list_sessions(principal)?;
        let tokens = self.sessions.app_tokens_of(&user.id);
        let (room, of) = (self.clone(), principal.clone());
        let (events, is_all) = self.exports.work(move || room.all_activity(&of)).await??;
        Ok(json!({
            "format": FORMAT,
            "exported_at": self.clock.now().to_rfc3339(),
            "from": { "name": self.site.name(), "address": self.site.origin().text },
            "account": UserDto::of(user),
            "profile": profile_api::document(&profile),
            "factors": self.factors(principal)?,
            "sessions": sessions.iter().map(|view| SessionDto::of(view, principal)).collect::<Vec<_>>(),
            "apps": apps,
            "app_tokens": tokens.iter().map(|token| app_token(token)).collect::<Vec<_>>(),
            "activity": events,
            "activity_is_complete": is_all,
        }))
    }

    fn factors(&self, principal: &Principal) -> Result<Value, Problem> {
        let record = self.accounts.record(&principal.user.id)?.value;
        let totp = self.accounts.totp_state(principal.user.id)?.map(|state| {
            json!({
                "created_at": state.confirmed_at.to_rfc3339(),
                "last_used": state.last_used.map(|at| at.to_rfc3339()),
            })
        });
        let passkeys: Vec<PasskeyDto> = self.list_passkeys(principal)?.iter().map(PasskeyDto::from).collect();
        Ok(json!({
            "account_created_at": record.created_at.to_rfc3339(),
            "password_changed_at": record.password_changed_at.map(|at| at.to_rfc3339()),
            "totp": totp,
            "recovery_codes_left": record.recovery_codes_left,
            "passkeys": passkeys,
        }))
    }

    /// Returns the caller's events, the newest first, and whether these are all there are.
    fn all_activity(&self, principal: &Principal) -> Result<(Vec<ActivityDto>, bool), Problem> {
        let filter = Filter::of_user(principal.user.id);
        let mut events = Vec::new();
        let mut cursor = None;
        for _ in 0..MOST_READS {
            let page = self.audit.part(&filter, cursor.as_deref(), LARGEST_PAGE)?;
            events.extend(page.rows.into_iter().map(ActivityDto::from));
            cursor = page.next_cursor;
            if events.len() > MOST_EVENTS {
                events.truncate(MOST_EVENTS);
                break;
            }
            if cursor.is_none() {
                return Ok((events, true));
            }
        }
        Ok((events, false))
    }
}

fn app_token(token: &AppToken) -> Value {
    json!({
        "name": token.name.as_ref(),
        "hosts": token.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "created_at": token.created_at.to_rfc3339(),
        "expires_at": token.expires_at.map(|at| at.to_rfc3339()),
        "last_used": token.last_used().map(|at| at.to_rfc3339()),
    })
}

/// `GET /api/v1/users/me/export`: everything that is kept about the caller; needs a step-up.
pub async fn api(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: Value,
) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, &room.export(principal, apps, &visit(room, request)?).await?))
}

/// `GET /account/export`: what the file holds, and the button for it.
pub async fn show(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let page = views::Export {
        frame: frame(room, request, principal, request.words().account_title_export(), "profile"),
        is_fresh: room.is_fresh(principal),
    };
    Reply::html(StatusCode::OK, &page)
}

/// `POST /account/export`: the file.
pub async fn download(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: Value,
) -> Result<Reply, Problem> {
    let document = match room.export(principal, apps, &visit(room, request)?).await {
        Ok(document) => document,
        Err(problem) if needs_step_up(&problem) => return Ok(step_up_first("/account/export")),
        Err(problem) => return Err(problem),
    };
    let text =
        serde_json::to_string_pretty(&document).map_err(|error| Problem::internal(error.to_string()))?;
    // A username holds letters, digits, dots, hyphens and underscores alone.
    Ok(Reply::file(&format!("doorward-{}.json", principal.user.username), "application/json", text))
}
