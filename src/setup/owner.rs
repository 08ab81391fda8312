//! Making the owner: the one commit that turns a machine that belongs to nobody into somebody's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use super::pages::Here;
use super::records::OwnerRecord;
use super::wizards::PendingCodes;
use super::{Setup, forget_token};
use crate::accounts::enrolment::Asker;
use crate::accounts::passkeys::parse_name;
use crate::accounts::records::UserRecord;
use crate::accounts::users::{AccountError, NewUser};
use crate::accounts::wording::of_text;
use crate::accounts::{ProfileRecord, Role, User};
use crate::audit::{Event, Kind};
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{DisplayName, Email, Username};
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, NewSession, SessionKind, StartedSession};
use crate::sign_in::Visit;
use crate::sign_in::ceremonies::{Ceremony, Credential};
use crate::store::meta::{self, Single};
use crate::store::{Batch, CommitError};
use crate::words::{Said, Words, said};

/// What the future owner fills in.
pub struct OwnerForm<'a> {
    /// The wanted username.
    pub username: &'a str,
    /// The name shown; empty takes the username.
    pub display_name: &'a str,
    /// The e-mail address; may be empty.
    pub email: &'a str,
}

/// Why there is no owner after this.
#[derive(Debug)]
pub enum OwnerError {
    /// Somebody else was faster.
    Taken,
    /// Anything else; `fields` tell what to change.
    Problem(Problem),
}

impl From<Problem> for OwnerError {
    fn from(problem: Problem) -> Self {
        OwnerError::Problem(problem)
    }
}

/// Checks names and address of an owner. Every field that is wrong is named.
pub(super) fn judge(form: &OwnerForm<'_>) -> Result<NewUser, Problem> {
    let mut fields = Vec::new();
    let shown = if form.display_name.trim().is_empty() { form.username } else { form.display_name };
    let username = Username::parse(form.username);
    let display_name = DisplayName::parse(shown);
    let email = match form.email.trim() {
        "" => Ok(None),
        text => Email::parse(text).map(Some),
    };
    match (username, display_name, email) {
        (Ok(username), Ok(display_name), Ok(email)) => {
            let groups = Vec::new();
            return Ok(NewUser {
                username,
                display_name,
                email,
                groups,
                role: Role::Owner,
                password_hash: None,
            });
        }
        (username, display_name, email) => {
            if let Err(error) = username {
                fields.push(("username", of_text(error)));
            }
            if let Err(error) = display_name
                && !form.display_name.trim().is_empty()
            {
                fields.push(("display_name", of_text(error)));
            }
            if let Err(error) = email {
                fields.push(("email", of_text(error)));
            }
        }
    }
    let sentences: Vec<Said> = fields.iter().map(|(_, sentence)| sentence.clone()).collect();
    let all = move |t| sentences.iter().map(|sentence| sentence.in_words(t)).collect::<Vec<_>>().join(" ");
    let mut problem = Problem::unprocessable("username", "invalid_value", said(all));
    problem.fields = fields;
    Err(problem)
}

/// The owner's authenticator app is in use.
pub(super) struct Confirmed {
    /// Recovery codes, to be shown and typed back.
    pub(super) codes: PendingCodes,
    /// The session of this browser, if it may have one.
    pub(super) started: Option<StartedSession>,
    /// From when on this browser's place in the wizard counts: just after the moment that ended all earlier ones.
    pub(super) came_in_at: Timestamp,
}

/// Where and how an owner comes to be.
pub(super) struct Claim<'a> {
    /// What is kept of the address.
    pub(super) place: String,
    /// The browser, or `None` for the command line.
    pub(super) visit: Option<&'a Visit<'a>>,
}

impl Claim<'_> {
    fn event(&self, kind: Kind, user: UserId, name: &Username) -> Event {
        let event = Event::succeeded(kind).on_user(user, name);
        match self.visit {
            Some(visit) => event.by(user, name).from(visit.ip).request(visit.request),
            None => event.by_system("cli"),
        }
    }
}

impl Setup {
    /// Makes the owner for a browser in the wizard. The account, the fact that there is an owner, and the audit
    /// events are one commit; the setup token dies with it. `code` is the hash of the one that let the browser in.
    pub(super) async fn make_owner(
        &self,
        form: &OwnerForm<'_>,
        password: &SecretText,
        code: Option<&[u8; 32]>,
        visit: &Visit<'_>,
    ) -> Result<UserId, OwnerError> {
        if self.is_claimed() {
            return Err(OwnerError::Taken);
        }
        let mut new = judge(form)?;
        self.check_password(&new, password)?;
        let hash = self.sign_in.accounts.hash_password(password, self.sign_in.ticket(visit)).await;
        new.password_hash = Some(hash.map_err(Problem::from)?);
        let claim = Claim { place: self.sign_in.audit.place(visit.ip), visit: Some(visit) };
        let ip = visit.ip;
        let id = self
            .commit_owner(new, claim, |batch| {
                if !self.is_let_in(code)? {
                    return Err(Problem::forbidden("setup_code_renewed", Said::of(Words::setup_form_is_old)));
                }
                let setup = self.clone();
                batch.after(move || *setup.claimed_from.lock() = Some(ip));
                Ok(())
            })
            .await?;
        tracing::info!(client = %visit.ip, request = %visit.request, "the owner's account was made");
        Ok(id)
    }

    pub(super) fn check_password(&self, new: &NewUser, password: &SecretText) -> Result<(), Problem> {
        let email = new.email.as_ref().map(Email::as_str);
        self.sign_in.accounts.check_password(password, Role::Owner, new.username.as_str(), email)?;
        Ok(())
    }

    /// Commits a new owner together with what `also` adds; requires that there never was one (SET-02).
    pub(super) async fn commit_owner(
        &self,
        new: NewUser,
        claim: Claim<'_>,
        also: impl FnOnce(&mut Batch) -> Result<(), Problem>,
    ) -> Result<UserId, OwnerError> {
        let (username, has_email) = (new.username.clone(), new.email.is_some());
        let mut batch = self.sign_in.store.batch();
        let user = match self.sign_in.accounts.stage_create(&mut batch, new) {
            // The name is taken because the winner of a race chose the same one.
            Err(AccountError::UsernameTaken | AccountError::EmailTaken) if self.is_claimed() => {
                return Err(OwnerError::Taken);
            }
            other => other.map_err(Problem::from)?,
        };
        if has_email {
            // Whoever sets the installation up is its administrator and vouches for the address.
            let profile = ProfileRecord { email_verified: true, ..ProfileRecord::default() };
            self.sign_in.accounts.stage_new_profile(&mut batch, user, profile).map_err(Problem::from)?;
        }
        let record = OwnerRecord { user, at: self.sign_in.clock.now(), place: claim.place.clone() };
        batch.insert_new(OwnerRecord::ROW, &record);
        for kind in [Kind::SetupClaimed, Kind::UserCreated] {
            self.sign_in.audit.write(&mut batch, claim.event(kind, user, &username));
        }
        let is_claimed = self.is_claimed.clone();
        batch.after(move || is_claimed.store(true, Ordering::Release));
        also(&mut batch)?;
        match self.sign_in.store.commit(batch).await {
            Ok(()) => {
                forget_token(self);
                Ok(user)
            }
            Err(CommitError::Conflict) => {
                let record = meta::read::<OwnerRecord>(&self.sign_in.store).map_err(CommitError::Store);
                match record.map_err(Problem::from)? {
                    Some(_) => Err(OwnerError::Taken),
                    None => Err(Problem::from(CommitError::Conflict).into()),
                }
            }
            Err(error) => Err(Problem::from(error).into()),
        }
    }

    /// Starts an ordinary session of the owner, for a browser whose connection its cookie may travel on.
    pub(super) async fn start_session(
        &self,
        user: UserId,
        visit: &Visit<'_>,
    ) -> Result<StartedSession, Problem> {
        let mut batch = self.sign_in.store.batch();
        let started = self.stage_session(&mut batch, user, Factors::PASSWORD, Timestamp::ZERO, visit)?;
        self.sign_in.store.commit(batch).await?;
        Ok(started)
    }

    fn stage_session(
        &self,
        batch: &mut Batch,
        user: UserId,
        factors: Factors,
        ended: Timestamp,
        visit: &Visit<'_>,
    ) -> Result<StartedSession, Problem> {
        let new = NewSession {
            user,
            kind: SessionKind::Web,
            factors,
            label: visit.label.to_owned(),
            place: self.sign_in.audit.place(visit.ip),
            is_remembered: false,
            with_refresh: false,
            in_place_of: None,
        };
        let started = self.sign_in.sessions.stage_start_after(batch, new, ended, None)?;
        let event = self.event(Kind::SignInSucceeded, Some(user), visit);
        self.sign_in.audit.write(batch, event.detail("factors", factors.amr().join(" ")));
        Ok(started)
    }

    /// Confirms the owner's authenticator app. Every session of one factor ends, and one of two factors begins in the
    /// place of this browser's, in the commit that enrols the app (SES-02, REF-07). `None` if the code was wrong.
    pub(super) async fn confirm_second_factor(
        &self,
        user: &User,
        here: &Here<'_>,
        code: &str,
        has_session: bool,
        visit: &Visit<'_>,
    ) -> Result<Option<Confirmed>, Problem> {
        // Staging runs again if somebody else changed the account at the same moment; the last one counts.
        let started: Mutex<Option<Result<StartedSession, Problem>>> = Mutex::new(None);
        let ended = Mutex::new(Timestamp::ZERO);
        let confirmed = self
            .sign_in
            .accounts
            .confirm_totp(user.id, Asker::wizard(here.token), code, |batch, record| {
                self.sign_in.audit.write(batch, self.event(Kind::TotpEnrolled, Some(user.id), visit));
                self.sign_in.stage_end_everything(batch, user.id);
                *ended.lock() = record.not_before;
                if has_session {
                    let factors = Factors::PASSWORD.with(Factors::TOTP);
                    let staged = self.stage_session(batch, user.id, factors, record.not_before, visit);
                    *started.lock() = Some(staged);
                }
            })
            .await?;
        let Some(codes) = confirmed else { return Ok(None) };
        Ok(Some(self.confirmed(codes, started, ended)))
    }

    fn confirmed(
        &self,
        codes: Vec<String>,
        started: Mutex<Option<Result<StartedSession, Problem>>>,
        ended: Mutex<Timestamp>,
    ) -> Confirmed {
        // The factor is on disk, so its recovery codes are shown, with a session or without.
        let started = started.into_inner().and_then(|staged| {
            staged
                .inspect_err(|error| {
                    tracing::warn!(?error, "no session could begin after a second factor was set up")
                })
                .ok()
        });
        let [choice] = self.sign_in.random.bytes::<1>();
        let ask_for = usize::from(choice) % codes.len().max(1) + 1;
        let codes = Arc::new(codes.into_iter().map(SecretText::new).collect());
        let came_in_at = ended.into_inner().plus(Duration::from_millis(1));
        Confirmed { codes: PendingCodes { codes, ask_for }, started, came_in_at }
    }

    /// Adds the owner's passkey; what else happens is as with an authenticator app.
    ///
    /// # Errors
    /// `invalid_passkey`, `passkey_known`, 422 on `name`.
    pub(super) async fn add_passkey(
        &self,
        user: &User,
        here: &Here<'_>,
        (credential, name): (&Credential, &str),
        has_session: bool,
        visit: &Visit<'_>,
    ) -> Result<Confirmed, Problem> {
        let name = parse_name(name)?;
        let ceremony = Ceremony::Enrol(user.id, here.token);
        let judged = self.sign_in.judge_new_passkey(&ceremony, credential, &name)?;
        let (id, proven) = (judged.id(), judged.factors());
        let started: Mutex<Option<Result<StartedSession, Problem>>> = Mutex::new(None);
        let ended = Mutex::new(Timestamp::ZERO);
        let also = |batch: &mut Batch, own: &UserRecord| {
            judged.stage(batch);
            let event = self.event(Kind::PasskeyAdded, Some(user.id), visit).detail("passkey", id);
            self.sign_in.audit.write(batch, event.detail("name", &name));
            self.sign_in.stage_end_everything(batch, user.id);
            *ended.lock() = own.not_before;
            if has_session {
                let factors = Factors::PASSWORD.with(proven);
                *started.lock() = Some(self.stage_session(batch, user.id, factors, own.not_before, visit));
            }
        };
        let codes = self.sign_in.accounts.add_passkey(user.id, &judged.new, |_| Ok(()), also).await?;
        Ok(self.confirmed(codes, started, ended))
    }
}
