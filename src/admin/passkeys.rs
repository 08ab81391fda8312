//! The passkeys of others: administrators see what there is and remove one, as JSON. They add none (ADM-02).

use http::StatusCode;

use super::Admin;
use super::authority::Deed;
use super::by::By;
use super::people::require_role;
use crate::accounts::User;
use crate::accounts::records::UserRecord;
use crate::accounts::told::Told;
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::PasskeyId;
use crate::my_account::passkey_api::PasskeyDto;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::store::Batch;

impl Admin {
    /// Removes one passkey of a person, such as that of a lost phone. Ends all their sessions; they are told at the next
    /// sign-in (OTP-11). Needs a fresh proof.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `step_up_required`, 404, `last_credential`, `second_factor_required`.
    pub async fn remove_passkey(&self, by: By<'_>, target: &User, handle: &str) -> Result<(), Problem> {
        by.require(target, Deed::Credentials)?;
        by.require_fresh(self)?;
        let id = PasskeyId::parse(handle).ok_or_else(Problem::not_found)?;
        let found = self.accounts.passkey(target.id, id)?.ok_or_else(Problem::not_found)?;
        let notice = Told::passkey_removed(by.name(), self.clock.now(), &found.seen.value.name).to_text();
        let also = |batch: &mut Batch, record: &UserRecord| {
            self.stage_end_everything(batch, target.id);
            let event = by.event(Kind::PasskeyRemoved).detail("passkey", id);
            self.audit.write(batch, event.on_user(target.id, &record.username));
        };
        let may = |record: &UserRecord| require_role(record, target);
        Ok(self.accounts.remove_passkey(target.id, id, Some(&notice), may, also).await?)
    }
}

/// `GET /api/v1/admin/users/{id}/passkeys`.
pub async fn list(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let found = room.accounts.passkeys(user.id)?;
    let rows: Vec<PasskeyDto> = found.iter().map(PasskeyDto::from).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "passkeys": rows })))
}

/// `DELETE /api/v1/admin/users/{id}/passkeys/{passkey}`: needs a step-up.
pub async fn remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    room.remove_passkey(By::Person(actor, &visit), &user, request.param("passkey")).await?;
    Ok(Reply::no_content())
}
