//! New accounts by policy, and what one-time links do.

use std::sync::Arc;

use super::{SignIn, SignInError, Visit};
use crate::accounts::User;
use crate::accounts::enrolment::Enrolment;
use crate::accounts::links::FoundLink;
use crate::accounts::records::{LinkPurpose, Role};
use crate::accounts::users::NewUser;
use crate::accounts::wording::refused;
use crate::audit::{Event, Kind, Outcome};
use crate::crypto::password::Ticket;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::limits::Place;
use crate::store::CommitError;
use crate::words::{Said, Words};

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nobody but administrators.
    Closed,
    /// Whoever has an invitation.
    Invitation,
    /// Everyone.
    Open,
}

/// What a person fills in.
pub struct Registration<'a> {
    /// The wanted username.
    pub username: &'a str,
    /// The wanted display name; empty takes the username.
    pub display_name: &'a str,
    /// The e-mail address; may be empty.
    pub email: &'a str,
    /// The password.
    pub password: &'a SecretText,
    /// The secret of an invitation; may be empty.
    pub invitation: &'a str,
}

/// A live link and, for a reset, whose it is.
pub type OfferedLink = (FoundLink, Option<Arc<User>>);

/// A new account.
pub struct Registered {
    /// The user.
    pub user: Arc<User>,
    /// A TOTP secret that waits ten minutes for its first code.
    pub enrolment: Enrolment,
}

impl SignIn {
    /// Makes an account by policy. The invitation, the names and the audit event are one commit.
    pub async fn register(
        &self,
        registration: Registration<'_>,
        visit: &Visit<'_>,
    ) -> Result<Registered, SignInError> {
        let link = self.admit_registration(registration.invitation)?;
        let verdict = self.limits.acquire_place(&self.rules.registration, visit.ip, b"").verdict;
        if !verdict.allowed {
            return Err(SignInError::Limited { policy: self.rules.registration.name, verdict });
        }
        let (role, groups) = match link.as_ref().map(FoundLink::purpose) {
            Some(LinkPurpose::Invite { role, groups }) => (*role, groups.clone()),
            _ => (Role::Member, Vec::new()),
        };
        let new = self.judge_registration(&registration, role, groups, visit).await?;
        let username = new.username.clone();
        let mut batch = self.store.batch();
        let id = self.accounts.stage_create(&mut batch, new)?;
        if let Some(link) = &link {
            self.accounts.stage_use_link(&mut batch, link);
            let event = Event::succeeded(Kind::LinkUsed).by(id, &username).from(visit.ip);
            self.audit.write(&mut batch, event.request(visit.request));
        }
        let enrolment = self.accounts.stage_begin_totp(&mut batch, id, username.as_str(), &self.site.name());
        let event =
            Event::new(Kind::UserCreated, Outcome::Succeeded).by(id, &username).on_user(id, &username);
        self.audit.write(&mut batch, event.from(visit.ip).request(visit.request));
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => return Err(taken_meanwhile().into()),
            other => other?,
        }
        let user = self.accounts.user(&id).ok_or_else(Problem::not_found)?;
        Ok(Registered { user, enrolment })
    }

    fn admit_registration(&self, invitation: &str) -> Result<Option<FoundLink>, SignInError> {
        let closed = Problem::forbidden("registration_closed", Said::of(Words::join_closed));
        let uninvited = Problem::forbidden("invitation_required", Said::of(Words::join_uninvited));
        if invitation.is_empty() {
            return match self.registration {
                Policy::Open => Ok(None),
                Policy::Invitation => Err(uninvited.into()),
                Policy::Closed => Err(closed.into()),
            };
        }
        // An administrator's invitation is good under every policy: it is an administrator making an account.
        match self.accounts.find_link(invitation)? {
            Some(link) if matches!(link.purpose(), LinkPurpose::Invite { .. }) => Ok(Some(link)),
            _ => Err(link_gone().into()),
        }
    }

    async fn judge_registration(
        &self,
        registration: &Registration<'_>,
        role: Role,
        groups: Vec<GroupName>,
        visit: &Visit<'_>,
    ) -> Result<NewUser, SignInError> {
        let username = Username::parse(registration.username).map_err(refused("username"))?;
        let shown = if registration.display_name.trim().is_empty() {
            username.as_str()
        } else {
            registration.display_name
        };
        let display_name = DisplayName::parse(shown).map_err(refused("display_name"))?;
        let email = match registration.email.trim() {
            "" => None,
            text => Some(Email::parse(text).map_err(refused("email"))?),
        };
        self.accounts
            .check_password(registration.password, role, username.as_str(), email.as_ref().map(Email::as_str))
            .map_err(Problem::from)?;
        let phc = self.accounts.hash_password(registration.password, self.ticket(visit)).await?;
        Ok(NewUser { username, display_name, email, groups, role, password_hash: Some(phc) })
    }

    pub(crate) fn ticket(&self, visit: &Visit<'_>) -> Ticket {
        Ticket { place: self.limits.place_hash(Place::of(visit.ip)), is_known_device: false }
    }

    /// Returns what a link is for and, for a reset, whose; `None` if it is used up, expired or never was.
    pub fn look_at_link(&self, secret: &str) -> Result<Option<OfferedLink>, SignInError> {
        let Some(link) = self.accounts.find_link(secret)? else { return Ok(None) };
        match link.purpose() {
            LinkPurpose::ResetPassword(id) => {
                let user = self.accounts.user(id);
                Ok(user.map(|user| (link, Some(user))))
            }
            LinkPurpose::Invite { .. } => Ok(Some((link, None))),
        }
    }

    /// Sets a new password by a reset link. It signs nobody in, skips no second factor and lifts no disablement
    /// (PWD-12); it ends all sessions and the suspensions of the account.
    pub async fn reset_password(
        &self,
        secret: &str,
        password: &SecretText,
        visit: &Visit<'_>,
    ) -> Result<(), SignInError> {
        let verdict = self.limits.acquire_place(&self.rules.place, visit.ip, b"link");
        if !verdict.verdict.allowed {
            return Err(SignInError::Limited { policy: self.rules.place.name, verdict: verdict.verdict });
        }
        let Some((link, Some(user))) = self.look_at_link(secret)? else {
            self.audit
                .note(Event::new(Kind::LinkRefused, Outcome::Refused).from(visit.ip).request(visit.request));
            return Err(link_gone().into());
        };
        self.limits.release_place(&self.rules.place, verdict.reservation);
        self.accounts
            .check_password(
                password,
                user.role,
                user.username.as_str(),
                user.email.as_ref().map(Email::as_str),
            )
            .map_err(Problem::from)?;
        let phc = self.accounts.hash_password(password, self.ticket(visit)).await?;
        let result = self
            .accounts
            .set_password(user.id, &phc, |batch, record| {
                self.accounts.stage_use_link(batch, &link);
                self.stage_end_everything(batch, user.id);
                self.lockout.stage_lift(batch, user.id, None);
                for kind in [Kind::LinkUsed, Kind::PasswordReset] {
                    let event = Event::new(kind, Outcome::Succeeded).by(user.id, &record.username);
                    self.audit.write(batch, event.from(visit.ip).request(visit.request));
                }
            })
            .await;
        match result.map_err(SignInError::from) {
            Err(SignInError::Commit(CommitError::Conflict)) => Err(link_gone().into()),
            other => other,
        }
    }
}

fn taken_meanwhile() -> Problem {
    Problem::conflict("username_taken", Said::of(Words::join_taken_meanwhile))
}

/// The answer to a link that is used up, expired or never was.
pub fn link_gone() -> Problem {
    Problem::new(http::StatusCode::GONE, "link_gone", Said::of(Words::join_link_gone))
}

impl From<crate::crypto::password::Busy> for SignInError {
    fn from(busy: crate::crypto::password::Busy) -> Self {
        SignInError::Problem(busy.into())
    }
}
