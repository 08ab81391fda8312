//! Profile claims of others, for administrators: what they may change, and its JSON.

use http::StatusCode;

use super::Admin;
use super::authority::Deed;
use super::by::By;
use super::people::require_role;
use crate::accounts::profile::Edit;
use crate::accounts::records::UserRecord;
use crate::accounts::{ProfileRecord, User};
use crate::audit::Kind;
use crate::http::{Problem, Reply, Request};
use crate::my_account::claims_of;
use crate::my_account::profile_api::{document, edits_of};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::store::{Batch, CommitError};

impl Admin {
    /// Changes the profile claims of a person, and returns them. Another subject needs a fresh proof: apps open to it what
    /// belongs to whoever had it. So does what apps may know the actor by, on the actor's own account.
    ///
    /// # Errors
    /// `owner_only`, `step_up_required`, `subject_taken`, `too_many_attributes`, `no_email`.
    pub async fn change_claims(
        &self,
        by: By<'_>,
        target: &User,
        edits: &[Edit],
    ) -> Result<ProfileRecord, Problem> {
        by.require(target, Deed::Profile)?;
        let is_own = by.is(target.id);
        let is_sensitive = |edit: &Edit| match edit {
            Edit::Subject(_) => true,
            Edit::PhoneNumber(_) => is_own,
            other => is_own && other.is_for_administrators(),
        };
        if edits.iter().any(is_sensitive) {
            by.require_fresh(self)?;
        }
        let vouches_for_email = edits.iter().any(|edit| matches!(edit, Edit::EmailVerified(true)));
        let change = |profile: &mut ProfileRecord, user: &UserRecord| {
            require_role(user, target)?;
            // Who vouches for an address vouches for the one they saw.
            if vouches_for_email && user.email != target.email {
                return Err(CommitError::Conflict.into());
            }
            profile.apply(edits);
            Ok(())
        };
        let also = |batch: &mut Batch, user: &UserRecord| {
            let event = by.event(Kind::UserChanged).on_user(target.id, &user.username);
            self.audit.write(batch, event.detail("fields", claims_of(edits)));
        };
        Ok(self.accounts.change_profile(target.id, change, also).await?)
    }
}

/// `GET /api/v1/admin/users/{id}/profile`.
pub async fn show(room: &Admin, request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let profile = room.accounts.profile(&user.id)?.unwrap_or_default();
    Ok(Reply::json(StatusCode::OK, &document(&profile)))
}

/// `PATCH /api/v1/admin/users/{id}/profile`: the standard claims of OpenID Connect, `email_verified`,
/// `phone_number_verified`, `attributes` and `subject`; null removes one. Another subject needs a step-up.
pub async fn change(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let edits = edits_of(&request.json()?)?;
    let visit = visit(room, request)?;
    let profile = room.change_claims(By::Person(actor, &visit), &user, &edits).await?;
    Ok(Reply::json(StatusCode::OK, &document(&profile)))
}
