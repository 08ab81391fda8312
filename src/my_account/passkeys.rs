//! The passkeys of one's own account: adding, naming, removing (PK-08, OTP-08). Adding and removing end everything else
//! that speaks for the caller, as every change of the second factor does.

use serde_json::Value;

use super::{MyAccount, Next};
use crate::accounts::passkeys::{Passkey, parse_name};
use crate::accounts::records::UserRecord;
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::ids::PasskeyId;
use crate::sessions::{Factors, Principal};
use crate::sign_in::ceremonies::{Ceremony, Credential};
use crate::sign_in::{Renewal, Visit};
use crate::store::Batch;

/// What adding a passkey came to.
pub struct AddedPasskey {
    /// Its handle.
    pub id: PasskeyId,
    /// The recovery codes, shown once; none if there were some already.
    pub recovery_codes: Vec<String>,
    /// The session in which the caller goes on.
    pub renewal: Option<Renewal>,
}

impl MyAccount {
    /// Returns the caller's passkeys, the oldest first.
    pub fn list_passkeys(&self, principal: &Principal) -> Result<Vec<Passkey>, Problem> {
        Ok(self.accounts.passkeys(principal.user.id)?)
    }

    /// Returns what a browser needs to make a passkey for the caller.
    ///
    /// # Errors
    /// `step_up_required` (OTP-08), `passkeys_unavailable`.
    pub fn begin_passkey(&self, principal: &Principal) -> Result<Value, Problem> {
        self.require_fresh(principal)?;
        let ceremony = Ceremony::Register(principal.user.id, principal.session);
        self.registration_options(&ceremony, &principal.user)
    }

    /// Adds the passkey that the browser made.
    ///
    /// # Errors
    /// `step_up_required`, `invalid_passkey`, `passkey_known`, `too_many_passkeys`.
    pub async fn add_passkey(
        &self,
        principal: &Principal,
        credential: &Credential,
        name: &str,
        visit: &Visit<'_>,
    ) -> Result<AddedPasskey, Problem> {
        self.require_fresh(principal)?;
        let name = parse_name(name)?;
        let ceremony = Ceremony::Register(principal.user.id, principal.session);
        let judged = self.judge_new_passkey(&ceremony, credential, &name)?;
        let (id, factors) = (judged.id(), principal.factors.with(judged.factors()));
        let next = Next::new(principal, factors, principal.authenticated_at, visit);
        let also = |batch: &mut Batch, own: &UserRecord| {
            judged.stage(batch);
            self.stage_next(batch, own, &next);
            let event = self.event(Kind::PasskeyAdded, principal, visit).detail("passkey", id);
            self.audit.write(batch, event.detail("name", &name));
        };
        let committed = self.accounts.add_passkey(principal.user.id, &judged.new, |_| Ok(()), also).await;
        let (recovery_codes, renewal) = next.of(committed.map_err(Problem::from))?;
        Ok(AddedPasskey { id, recovery_codes, renewal })
    }

    /// Gives a passkey another name. Nothing that opens the account changes, so no fresh proof is asked for.
    ///
    /// # Errors
    /// 404, or 422 on `name`.
    pub async fn rename_passkey(
        &self,
        principal: &Principal,
        handle: &str,
        name: &str,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let id = PasskeyId::parse(handle).ok_or_else(Problem::not_found)?;
        let name = parse_name(name)?;
        let also = |batch: &mut Batch| {
            let event = self.event(Kind::PasskeyChanged, principal, visit).detail("passkey", id);
            self.audit.write(batch, event.detail("name", &name));
        };
        Ok(self.accounts.rename_passkey(principal.user.id, id, &name, also).await?)
    }

    /// Removes a passkey of the caller.
    ///
    /// # Errors
    /// 404, `step_up_required` (OTP-08), `last_credential` (PK-08), `second_factor_required`.
    pub async fn remove_passkey(
        &self,
        principal: &Principal,
        handle: &str,
        visit: &Visit<'_>,
    ) -> Result<Option<Renewal>, Problem> {
        let id = PasskeyId::parse(handle).ok_or_else(Problem::not_found)?;
        let user = &principal.user;
        self.accounts.passkey(user.id, id)?.ok_or_else(Problem::not_found)?;
        self.require_fresh(principal)?;
        let leaves_password_alone = user.passkeys <= 1 && !user.has_totp;
        let proven = principal.factors;
        let factors =
            if leaves_password_alone && proven.has(Factors::PASSWORD) { Factors::PASSWORD } else { proven };
        let next = Next::new(principal, factors, principal.authenticated_at, visit);
        let also = |batch: &mut Batch, own: &UserRecord| {
            self.stage_next(batch, own, &next);
            let event = self.event(Kind::PasskeyRemoved, principal, visit);
            self.audit.write(batch, event.detail("passkey", id));
        };
        let committed = self.accounts.remove_passkey(user.id, id, None, |_| Ok(()), also).await;
        next.of(committed.map_err(Problem::from)).map(|((), renewal)| renewal)
    }
}
