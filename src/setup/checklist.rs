//! What is still open after the setup, for the overview of administrators: each step with its sentence and the page where
//! it is done.

use super::Setup;
use crate::accounts::{Role, User};
use crate::audit::{Event, Kind};
use crate::http::address::is_loopback_name;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::UserId;
use crate::sessions::Principal;
use crate::sign_in::Visit;
use crate::sign_in::api::visit;
use crate::store::CommitError;
use crate::views::setup::OpenStep;
use crate::views::{Check, CheckState};
use crate::words::Words;

/// Where the list is shown.
const OVERVIEW: &str = "/admin";

impl Setup {
    /// Returns the steps that are still open for this administrator, in the order of the wizard; none if somebody put the
    /// list away. The page that shows them offers a button "Hide this": POST `/admin/checklist/hide`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open_steps(&self, user: &User, t: Words) -> Result<Vec<OpenStep>, Problem> {
        let progress = self.progress().map_err(CommitError::Store)?;
        if progress.is_checklist_hidden {
            return Ok(Vec::new());
        }
        self.all_open_steps(user, t)
    }

    /// Tells whether somebody put the list of open steps away.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn is_checklist_hidden(&self) -> Result<bool, Problem> {
        Ok(self.progress().map_err(CommitError::Store)?.is_checklist_hidden)
    }

    /// As [`Setup::open_steps`], whether or not the list was put away.
    fn all_open_steps(&self, user: &User, t: Words) -> Result<Vec<OpenStep>, Problem> {
        let progress = self.progress().map_err(CommitError::Store)?;
        let site = &self.sign_in.site;
        let origin = site.origin();
        let mut open = Vec::new();
        let mut add = |code, label: &str, sentence: &str, url: &str| {
            let (label, sentence, url) = (label.to_owned(), sentence.to_owned(), url.to_owned());
            open.push(OpenStep { code, label, sentence, url });
        };
        let address = "/admin/setup/address";
        if is_loopback_name(&origin.host) {
            add("address", t.setup_open_address(), t.setup_open_address_text(), address);
        } else if !origin.is_https && !site.allows_insecure_http() {
            add("https", t.setup_open_https(), t.setup_open_https_refused(), address);
        } else if !origin.is_https {
            add("https", t.setup_open_https(), t.setup_open_https_lab(), address);
        }
        if !user.has_second_factor() {
            add("second-factor", t.setup_open_factor(), t.setup_open_factor_text(), "/account/security");
        } else if self.are_codes_unconfirmed(user, progress.are_codes_kept) {
            add("recovery-codes", t.setup_open_codes(), t.setup_open_codes_text(), "/account/security");
        }
        if site.protected_domain().is_none() && progress.app_client.is_none() {
            add("first-app", t.setup_open_app(), t.setup_open_app_no_domain(), address);
        } else if progress.app_host.is_none() && progress.app_client.is_none() {
            add("first-app", t.setup_open_app(), t.setup_open_app_text(), "/admin/setup/protect");
        }
        if progress.backed_up_at.is_none() {
            add("backup", t.setup_open_backup(), t.setup_open_backup_text(), "/admin/backup");
        }
        Ok(open)
    }

    /// Tells how this machine is doing, as far as it can be seen right after the setup.
    pub(super) fn health(&self, t: Words) -> Vec<Check> {
        let store = match self.sign_in.store.engine().write_refusal() {
            None => Check::new(CheckState::Pass, t.setup_health_store(), t.setup_health_store_pass()),
            Some(why) => Check::new(CheckState::Fix, t.setup_health_store(), t.setup_health_store_fix(why)),
        };
        let key = t.setup_health_key_text(self.key_file.path.display());
        vec![
            store,
            Check::new(CheckState::Pass, t.setup_health_key(), key),
            Check::new(CheckState::Pass, t.setup_health_snapshots(), t.setup_health_snapshots_text()),
        ]
    }

    /// The owner of the wizard alone was asked to type a code back; other administrators made theirs elsewhere.
    fn are_codes_unconfirmed(&self, user: &User, are_kept: bool) -> bool {
        user.role == Role::Owner
            && !are_kept
            && self.sign_in.accounts.record(&user.id).is_ok_and(|own| own.value.recovery_codes_left == 10)
    }

    /// Puts the list of open steps away, for everybody; `event` tells who did.
    ///
    /// # Errors
    /// If the store takes no write.
    pub async fn hide_checklist(&self, event: Event) -> Result<(), Problem> {
        let event = event.on("checklist").detail("value", "hidden");
        let result = self
            .commit_progress(
                |record| record.is_checklist_hidden = true,
                |batch| {
                    self.sign_in.audit.write(batch, event.clone());
                    Ok(())
                },
            )
            .await;
        result.map_err(Problem::from)
    }

    /// [`Setup::hide_checklist`] for somebody who asks over HTTP.
    pub(super) async fn hide_checklist_for(&self, by: UserId, visit: &Visit<'_>) -> Result<(), Problem> {
        self.hide_checklist(self.event(Kind::SettingChanged, Some(by), visit)).await
    }
}

/// `POST /admin/checklist/hide`.
pub async fn hide(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    room.hide_checklist_for(principal.user.id, &visit(&room.sign_in, request)?).await?;
    Ok(Reply::see_other(OVERVIEW))
}

/// `GET /api/v1/admin/checklist`.
pub async fn list(room: &Setup, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let steps: Vec<serde_json::Value> = room
        .open_steps(&principal.user, Words::ENGLISH)?
        .into_iter()
        .map(|step| {
            let OpenStep { code, label, sentence, url } = step;
            serde_json::json!({ "code": code, "label": label, "sentence": sentence, "url": url })
        })
        .collect();
    Ok(Reply::json(http::StatusCode::OK, &serde_json::json!({ "open": steps })))
}

/// `POST /api/v1/admin/checklist/hide`.
pub async fn hide_by_api(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    room.hide_checklist_for(principal.user.id, &visit(&room.sign_in, request)?).await?;
    Ok(Reply::no_content())
}

/// `GET /admin/setup/{step}`: lets an administrator who has just proven all factors do a step again that was skipped.
pub async fn resume(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let step = super::resumable(request.param("step")).ok_or_else(Problem::not_found)?;
    if room.sign_in.require_fresh(principal).is_err() {
        return Ok(crate::sign_in::step_up_first(request.path()));
    }
    Ok(super::pages::resumed(room, request, principal, step))
}
