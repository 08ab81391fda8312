//! What people do with their own account: profile, password, second factor, sessions, activity, farewell.
//!
//! Every change and its audit event are one commit. What would let a thief of a session stay needs a fresh proof of
//! all factors first ([`SignIn::require_fresh`], OTP-08).

pub mod activity;
pub mod api;
pub mod export;
pub mod home;
pub mod pages;
pub mod passkey_api;
pub mod passkey_pages;
pub mod passkeys;
pub mod profile_api;

use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;

use crate::accounts::enrolment::{Asker, Enrolment};
use crate::accounts::profile::Edit;
use crate::accounts::records::UserRecord;
use crate::accounts::wording::of_password;
use crate::accounts::{ProfileRecord, Role};
use crate::audit::{Event, Filter, Kind, Page};
use crate::http::Problem;
use crate::http::copies::Copies;
use crate::kernel::ids::SessionId;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{DisplayName, Email};
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, Principal, SessionView};
use crate::sign_in::{Renewal, SignIn, SignInError, Visit};
use crate::store::Batch;
use crate::words::{Said, Words, said};

/// The use-cases of one's own account. Cheap to clone.
#[derive(Clone)]
pub struct MyAccount {
    sign_in: SignIn,
    glances: Arc<api::Glances>,
    /// Exports read much of the log.
    exports: Copies,
}

/// The rooms below, as signing in holds them.
impl std::ops::Deref for MyAccount {
    type Target = SignIn;
    fn deref(&self) -> &SignIn {
        &self.sign_in
    }
}

/// A change of one's own profile; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// The name shown.
    pub display_name: Option<DisplayName>,
    /// The address; `Some(None)` removes it.
    pub email: Option<Option<Email>>,
}

/// Names the claims that are changed, each once, for the audit. Their values are nobody else's business.
pub(crate) fn claims_of(edits: &[Edit]) -> String {
    let mut names: Vec<&str> = edits.iter().map(Edit::claim).collect();
    names.sort_unstable();
    names.dedup();
    names.join(" ")
}

/// Tells whether nothing may change because the caller's own session ended meanwhile.
fn is_signed_out(problem: &Problem) -> bool {
    problem.status == StatusCode::UNAUTHORIZED
}

/// The session in which the caller goes on after a change that ends all sessions.
struct Next<'a> {
    principal: &'a Principal,
    factors: Factors,
    proven_at: Timestamp,
    visit: &'a Visit<'a>,
    /// Whether app tokens go on too: what they stand on has not changed.
    spares_app_tokens: bool,
    staged: Mutex<Option<Result<Renewal, Problem>>>,
}

impl<'a> Next<'a> {
    fn new(principal: &'a Principal, factors: Factors, proven_at: Timestamp, visit: &'a Visit<'a>) -> Self {
        Next { principal, factors, proven_at, visit, spares_app_tokens: false, staged: Mutex::new(None) }
    }

    /// Returns the session once the change is on disk, `None` if there was no room for one; or why there is no change.
    fn of<T, E>(self, committed: Result<T, E>) -> Result<(T, Option<Renewal>), E>
    where
        E: From<Problem>,
    {
        match (committed, self.staged.into_inner()) {
            (Ok(done), staged) => Ok((done, staged.and_then(Result::ok))),
            (Err(_), Some(Err(problem))) if is_signed_out(&problem) => Err(problem.into()),
            (Err(error), _) => Err(error),
        }
    }
}

impl MyAccount {
    /// Takes the rooms that signing in is made of.
    pub fn new(sign_in: SignIn) -> Self {
        MyAccount { sign_in, glances: Arc::default(), exports: Copies::new(Words::account_export_busy) }
    }

    fn event(&self, kind: Kind, principal: &Principal, visit: &Visit<'_>) -> Event {
        Event::succeeded(kind)
            .by(principal.user.id, &principal.user.username)
            .from(visit.ip)
            .request(visit.request)
    }

    /// Changes name and address. Another address needs a fresh proof: apps may know the person by it.
    ///
    /// # Errors
    /// `step_up_required`, `email_taken`.
    pub async fn change_profile(
        &self,
        principal: &Principal,
        change: ProfileChange,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let user = &principal.user;
        let name = change.display_name.filter(|name| *name != user.display_name);
        let email = change.email.filter(|email| *email != user.email);
        let fields = match (&name, &email) {
            (None, None) => return Ok(()),
            (Some(_), None) => "display_name",
            (None, Some(_)) => "email",
            (Some(_), Some(_)) => "display_name email",
        };
        if email.is_some() {
            self.require_fresh(principal)?;
        }
        self.accounts
            .change(
                user.id,
                |record| {
                    if let Some(name) = &name {
                        record.display_name = name.clone();
                    }
                    if let Some(email) = &email {
                        record.email = email.clone();
                    }
                    Ok(())
                },
                |batch, _| {
                    let event = self.event(Kind::UserChanged, principal, visit).detail("fields", fields);
                    self.audit.write(batch, event);
                },
            )
            .await?;
        Ok(())
    }

    /// Changes the own profile claims, and returns them. What apps take for the word of an administrator is not the
    /// person's to change (OA-19, ADM-02). Another telephone number needs a fresh proof, as another address does.
    ///
    /// # Errors
    /// `not_yours`, `step_up_required`.
    pub async fn change_claims(
        &self,
        principal: &Principal,
        edits: &[Edit],
        visit: &Visit<'_>,
    ) -> Result<ProfileRecord, Problem> {
        if let Some(edit) = edits.iter().find(|edit| edit.is_for_administrators()) {
            let claim = edit.claim();
            let sentence = said(move |t| t.account_not_yours(claim));
            return Err(Problem::unprocessable(claim, "not_yours", sentence));
        }
        let id = principal.user.id;
        let before = self.accounts.profile(&id)?.unwrap_or_default();
        let is_other_number =
            |edit: &Edit| matches!(edit, Edit::PhoneNumber(number) if *number != before.phone_number);
        if edits.iter().any(is_other_number) {
            self.require_fresh(principal)?;
        }
        let change = |profile: &mut ProfileRecord, _: &UserRecord| {
            profile.apply(edits);
            Ok(())
        };
        let also = |batch: &mut Batch, _: &UserRecord| {
            let event = self.event(Kind::UserChanged, principal, visit);
            self.audit.write(batch, event.detail("fields", claims_of(edits)));
        };
        Ok(self.accounts.change_profile(id, change, also).await?)
    }

    /// Tells why the account cannot be deleted by its owner, if it cannot.
    pub fn cannot_delete(&self, principal: &Principal) -> Option<Said> {
        let is_only = |role: Role| {
            principal.user.role == role
                && principal.user.has_credential()
                && self.accounts.directory().count_active(|user| user.role >= role && user.has_credential())
                    <= 1
        };
        if is_only(Role::Owner) {
            return Some(Said::of(Words::account_only_owner));
        }
        is_only(Role::Admin).then(|| Said::of(Words::account_only_admin))
    }

    /// Deletes the caller's own account with everything that speaks for it.
    ///
    /// # Errors
    /// `step_up_required`, `last_owner`, `last_admin`.
    pub async fn delete(&self, principal: &Principal, visit: &Visit<'_>) -> Result<(), Problem> {
        self.require_fresh(principal)?;
        if let Some(sentence) = self.cannot_delete(principal) {
            let code = if principal.user.role == Role::Owner { "last_owner" } else { "last_admin" };
            return Err(Problem::conflict(code, sentence));
        }
        let id = principal.user.id;
        self.accounts
            .delete(id, |batch, record| {
                self.stage_end_everything(batch, id);
                self.sessions.stage_forget_sign_ins(batch, &id);
                self.lockout.stage_lift(batch, id, None);
                let event = self.event(Kind::UserDeleted, principal, visit).on_user(id, &record.username);
                self.audit.write(batch, event);
            })
            .await?;
        Ok(())
    }

    /// Sets a new password after the current one or a fresh proof. Every session, link and waiting sign-in ends in the
    /// same commit (PWD-09); the caller goes on in a new session, unless there is no room for one.
    ///
    /// # Errors
    /// `step_up_required`, a wrong current password, a limit, or a new password that is not acceptable.
    pub async fn change_password(
        &self,
        principal: &Principal,
        current: Option<&SecretText>,
        new: &SecretText,
        visit: &Visit<'_>,
    ) -> Result<Option<Renewal>, SignInError> {
        let user = &principal.user;
        let email = user.email.as_ref().map(Email::as_str);
        match current {
            Some(current) => self.confirm_password(principal, current, visit).await?,
            None => self.require_fresh(principal)?,
        }
        self.accounts
            .check_password(new, user.role, user.username.as_str(), email)
            .map_err(|error| Problem::unprocessable("new_password", error.code(), of_password(&error)))?;
        let phc = self.accounts.hash_password(new, self.ticket(visit)).await?;
        // The password alone makes an account with a second factor no fresher than it was (OTP-08).
        let is_whole_proof = current.is_some() && !user.has_second_factor();
        let proven_at = if is_whole_proof { self.clock.now() } else { principal.authenticated_at };
        let next = Next::new(principal, principal.factors, proven_at, visit);
        let also = |batch: &mut Batch, record: &UserRecord| {
            self.stage_next(batch, record, &next);
            self.audit.write(batch, self.event(Kind::PasswordChanged, principal, visit));
        };
        let committed = self.accounts.set_password(user.id, &phc, also).await;
        next.of(committed.map_err(SignInError::from)).map(|((), renewal)| renewal)
    }

    /// Starts the enrolment of an authenticator app; the one in use works until the first code of the new one.
    ///
    /// # Errors
    /// `step_up_required` (OTP-02, OTP-08).
    pub async fn begin_totp(&self, principal: &Principal) -> Result<Enrolment, Problem> {
        self.require_fresh(principal)?;
        let asker = Asker::session(&principal.session);
        Ok(self.accounts.begin_totp(principal.user.id, asker, &self.site.name()).await?)
    }

    /// Returns the enrolment that waits for this session, or starts one, so that a page can be shown again.
    ///
    /// # Errors
    /// `step_up_required`.
    pub async fn waiting_totp(&self, principal: &Principal) -> Result<Enrolment, Problem> {
        self.require_fresh(principal)?;
        let asker = Asker::session(&principal.session);
        Ok(self.accounts.show_totp(principal.user.id, asker, &self.site.name()).await?)
    }

    /// Confirms the enrolment with its first code. Every session, link and waiting sign-in ends in the same commit: who
    /// got in with the password alone is out (REF-07). The caller goes on in a new session that stands on two factors,
    /// unless there is no room for one. Returns the recovery codes, shown once.
    ///
    /// # Errors
    /// `step_up_required`, `invalid_code`, `enrolled_elsewhere`.
    pub async fn confirm_totp(
        &self,
        principal: &Principal,
        code: &str,
        visit: &Visit<'_>,
    ) -> Result<(Vec<String>, Option<Renewal>), Problem> {
        self.require_fresh(principal)?;
        let (asker, factors) = (Asker::session(&principal.session), principal.factors.with(Factors::TOTP));
        let next = Next::new(principal, factors, principal.authenticated_at, visit);
        let confirmed = self
            .accounts
            .confirm_totp(principal.user.id, asker, code, |batch, record| {
                self.stage_next(batch, record, &next);
                self.audit.write(batch, self.event(Kind::TotpEnrolled, principal, visit));
                self.audit.write(batch, self.event(Kind::RecoveryCodesMade, principal, visit));
            })
            .await?;
        let confirmed = confirmed.ok_or_else(|| {
            Problem::unprocessable("otp", "invalid_code", Said::of(Words::account_code_refused))
        });
        next.of(confirmed)
    }

    /// Tells why the authenticator app cannot be removed, if it cannot.
    pub fn cannot_remove_totp(&self, principal: &Principal) -> Option<Said> {
        let user = &principal.user;
        let is_required = user.passkeys == 0 && self.accounts.second_factor_policy().requires(user.role);
        is_required.then(|| Said::of(Words::account_factor_required))
    }

    /// Removes the authenticator app, and the recovery codes unless there are passkeys. Everything else that speaks for the
    /// caller ends in the same commit (REF-07); the new session stands on what else was proven.
    ///
    /// # Errors
    /// `step_up_required` (OTP-08), `no_second_factor`, `second_factor_required`.
    pub async fn remove_totp(
        &self,
        principal: &Principal,
        visit: &Visit<'_>,
    ) -> Result<Option<Renewal>, Problem> {
        self.require_fresh(principal)?;
        if !principal.user.has_totp {
            return Err(Problem::conflict("no_second_factor", Said::of(Words::account_no_totp)));
        }
        if let Some(sentence) = self.cannot_remove_totp(principal) {
            return Err(Problem::conflict("second_factor_required", sentence));
        }
        let factors = if principal.user.passkeys == 0 {
            Factors::PASSWORD
        } else {
            principal.factors.without(Factors::TOTP.with(Factors::RECOVERY))
        };
        let next = Next::new(principal, factors, principal.authenticated_at, visit);
        let also = |batch: &mut Batch, record: &UserRecord| {
            self.stage_next(batch, record, &next);
            self.audit.write(batch, self.event(Kind::TotpRemoved, principal, visit));
        };
        let committed = self.accounts.remove_totp(principal.user.id, also).await;
        next.of(committed.map_err(Problem::from)).map(|((), renewal)| renewal)
    }

    /// Makes ten new recovery codes; the old ones and everything else that speaks for the caller die in the same commit
    /// (REF-07). Returns them, shown once.
    ///
    /// # Errors
    /// `step_up_required` (OTP-08), `no_second_factor`.
    pub async fn renew_recovery_codes(
        &self,
        principal: &Principal,
        visit: &Visit<'_>,
    ) -> Result<(Vec<String>, Option<Renewal>), Problem> {
        self.require_fresh(principal)?;
        self.require_second_factor(principal)?;
        let next = Next::new(principal, principal.factors, principal.authenticated_at, visit);
        let next = Next { spares_app_tokens: true, ..next };
        let also = |batch: &mut Batch, record: &UserRecord| {
            self.stage_next(batch, record, &next);
            self.audit.write(batch, self.event(Kind::RecoveryCodesMade, principal, visit));
        };
        let committed = self.accounts.renew_recovery_codes(principal.user.id, also).await;
        next.of(committed.map_err(Problem::from))
    }

    /// Adds the session in which the caller goes on to `batch`, and the end of everything else that speaks for them. Runs again if somebody else changed the account at the same moment; the last one counts.
    fn stage_next(&self, batch: &mut Batch, record: &UserRecord, next: &Next<'_>) {
        let principal = next.principal;
        let (factors, at) = (next.factors, next.proven_at);
        let staged = self.stage_renewal(batch, principal, factors, at, record.not_before, next.visit);
        match &staged {
            Err(problem) if is_signed_out(problem) => {
                batch.conflict();
            }
            Err(problem) => {
                tracing::warn!(code = problem.code, "no session follows: the caller has to sign in again");
            }
            Ok(_) => {}
        }
        let spared = staged.is_ok().then_some(principal.session);
        self.stage_end_everything_but(batch, principal.user.id, spared);
        if !next.spares_app_tokens {
            self.sessions.stage_end_app_tokens(batch, principal.user.id);
        }
        *next.staged.lock() = Some(staged);
    }

    fn require_second_factor(&self, principal: &Principal) -> Result<(), Problem> {
        if principal.user.has_second_factor() {
            return Ok(());
        }
        Err(Problem::conflict("no_second_factor", Said::of(Words::account_no_second_factor)))
    }

    /// Lists the caller's sessions: the current one first, then the most recently used.
    pub fn list_sessions(&self, principal: &Principal) -> Result<Vec<SessionView>, Problem> {
        let mut views = self.sessions.list(&principal.user.id)?;
        if let Some(own) = views.iter().position(|view| view.id == principal.session) {
            views.get_mut(..=own).unwrap_or_default().rotate_right(1);
        }
        Ok(views)
    }

    /// Ends one of the caller's sessions. Another one than the current needs a fresh proof (SES-10).
    ///
    /// # Errors
    /// 404 for a session that is not the caller's or not there (ENU-04), `step_up_required`.
    pub async fn end_session(
        &self,
        principal: &Principal,
        handle: &str,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let id = SessionId::parse(handle).ok_or_else(Problem::not_found)?;
        if self.sessions.owner(&id) != Some(principal.user.id) {
            return Err(Problem::not_found());
        }
        if id != principal.session {
            self.require_fresh(principal)?;
        }
        let mut batch = self.store.batch();
        self.sessions.stage_end(&mut batch, id);
        self.audit.write(&mut batch, self.event(Kind::SessionEnded, principal, visit).detail("session", id));
        Ok(self.store.commit(batch).await?)
    }

    /// Ends all of the caller's sessions but the current one. Returns how many.
    ///
    /// # Errors
    /// `step_up_required` (SES-10).
    pub async fn end_other_sessions(
        &self,
        principal: &Principal,
        visit: &Visit<'_>,
    ) -> Result<usize, Problem> {
        self.require_fresh(principal)?;
        let mut batch = self.store.batch();
        let ended = self.sessions.stage_end_all(&mut batch, &principal.user.id, Some(principal.session));
        let event = self.event(Kind::AllSessionsEnded, principal, visit);
        self.audit.write(&mut batch, event.detail("spared", "the current one").detail("ended", ended));
        self.store.commit(batch).await?;
        Ok(ended)
    }

    /// Returns what happened with the caller's account, newest first (AUD-07).
    pub async fn activity(
        &self,
        principal: &Principal,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, Problem> {
        let filter = Filter::of_user(principal.user.id);
        Ok(self.audit.page(&filter, cursor, limit).await?)
    }
}
