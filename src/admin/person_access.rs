//! What speaks for a person, one by one: sessions, app tokens, and what apps were allowed. Administrators see it and end
//! it; they make none of it (ADM-02).

use super::Admin;
use super::authority::Deed;
use super::by::By;
use crate::accounts::User;
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::ids::SessionId;
use crate::oidc::ClientId;
use crate::programs::app_tokens;

impl Admin {
    /// Ends one session of a person, and with it the stay that apps know.
    ///
    /// # Errors
    /// `owner_only`, 404.
    pub async fn end_person_session(&self, by: By<'_>, target: &User, handle: &str) -> Result<(), Problem> {
        by.require(target, Deed::SignOut)?;
        let id = SessionId::parse(handle).ok_or_else(Problem::not_found)?;
        if self.sessions.owner(&id) != Some(target.id) {
            return Err(Problem::not_found());
        }
        let mut batch = self.store.batch();
        self.sessions.stage_end(&mut batch, id);
        let event = by.event(Kind::SessionEnded).on_user(target.id, &target.username);
        self.audit.write(&mut batch, event.detail("session", id));
        Ok(self.store.commit(batch).await?)
    }

    /// Revokes an app token of a person; programs that use it are refused from the next request on.
    ///
    /// # Errors
    /// `owner_only`, 404.
    pub async fn revoke_app_token(&self, by: By<'_>, target: &User, handle: &str) -> Result<(), Problem> {
        by.require(target, Deed::SignOut)?;
        let event = by.event(Kind::AppTokenRevoked).on_user(target.id, &target.username);
        app_tokens::revoke(self, &target.id, handle, event).await
    }

    /// Takes back what a person allowed an app; the tokens of the app for them end at once (OA-14).
    ///
    /// # Errors
    /// `owner_only`, 404.
    pub async fn revoke_consent(&self, by: By<'_>, target: &User, client: &str) -> Result<(), Problem> {
        by.require(target, Deed::SignOut)?;
        let id = ClientId::parse(client).map_err(|_| Problem::not_found())?;
        if !self.oidc.consents(&target.id)?.iter().any(|consent| consent.client == id) {
            return Err(Problem::not_found());
        }
        let mut batch = self.store.batch();
        self.oidc.stage_revoke_consent(&mut batch, &target.id, &id);
        let event = by.event(Kind::ConsentRevoked).on_user(target.id, &target.username);
        self.audit.write(&mut batch, event.on(id.as_str()));
        self.store.commit(batch).await?;
        Ok(self.oidc.forget_given_up().await?)
    }
}
