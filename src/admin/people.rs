//! People: finding, making, changing, disabling, helping back in, removing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::Admin;
use super::authority::Deed;
use super::by::By;
use crate::accounts::links::{INVITE_LIFETIME, RESET_LIFETIME};
use crate::accounts::passwords::end_of_sessions;
use crate::accounts::profiles::Vouch;
use crate::accounts::records::{LinkPurpose, UserRecord};
use crate::accounts::users::{AccountError, NewUser};
use crate::accounts::{ProfileRecord, Role, Status, User};
use crate::audit::{Event, Kind};
use crate::crypto::mac::sha256;
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::text::{DisplayName, Email, GroupName, Username, is_deceptive};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError};
use crate::words::{Said, Words, said};

/// The longest reason for a pause of an account, in characters.
const LONGEST_REASON: usize = 200;

/// A new person, who chooses a password by a one-time link.
pub struct NewPerson {
    /// The sign-in name.
    pub username: Username,
    /// Whether the name may be that of somebody who was deleted.
    pub reuse_username: bool,
    /// The name shown.
    pub display_name: DisplayName,
    /// The address, if any.
    pub email: Option<Email>,
    /// Whether the address counts as verified; an administrator entered it.
    pub email_verified: bool,
    /// The role.
    pub role: Role,
    /// The groups.
    pub groups: Vec<GroupName>,
    /// A password that was typed at the machine itself, hashed; there is no link then.
    pub password_hash: Option<String>,
}

/// A change of a person; `None` leaves a field as it is (ADM-02: there are no other fields).
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    /// The name shown.
    pub display_name: Option<DisplayName>,
    /// The address; `Some(None)` removes it.
    pub email: Option<Option<Email>>,
    /// Whether the address counts as verified; without it a new address does, and the old one stays what it was.
    pub email_verified: Option<bool>,
    /// The role; needs a fresh proof.
    pub role: Option<Role>,
    /// All groups.
    pub groups: Option<Vec<GroupName>>,
    /// What the person looked like to whoever made the change ([`revision`]). A form holds every field, so an old one would
    /// undo what somebody else did meanwhile.
    pub revision: Option<String>,
}

/// Returns what stands for everything that [`PersonChange`] can change: it is another one after every change.
pub(super) fn revision(user: &User) -> String {
    let email = user.email.as_ref().map_or("", Email::as_str);
    let mut text = [user.display_name.as_str(), email, user.role.as_str()].join("\n");
    for group in user.groups.iter() {
        text.push('\n');
        text.push_str(group.as_str());
    }
    BASE64URL_NOPAD.encode(sha256(text.as_bytes()).get(..12).unwrap_or_default())
}

/// Refuses an edit of somebody whose role is not the one by which the actor's power over them was judged.
pub(super) fn require_role(record: &UserRecord, target: &User) -> Result<(), AccountError> {
    if record.role == target.role { Ok(()) } else { Err(CommitError::Conflict.into()) }
}

/// Refuses an edit of somebody who is not as they were looked at: what was judged, and what is written down of the change,
/// would be about somebody else.
fn require_as_seen(record: &UserRecord, target: &User) -> Result<(), AccountError> {
    let is_as_seen = record.display_name == target.display_name
        && record.email == target.email
        && *record.groups == *target.groups;
    if is_as_seen { require_role(record, target) } else { Err(CommitError::Conflict.into()) }
}

/// A one-time link, shown once.
pub struct Link {
    /// The whole address.
    pub url: String,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// Whether it is for a first password.
    pub is_invite: bool,
}

impl Admin {
    /// Makes an account without a password, and the link by which the person chooses one (PWD-11). Making an
    /// administrator needs a fresh proof.
    ///
    /// # Errors
    /// `role_above_own`, `step_up_required`, `username_taken`, `username_used_before`, `email_taken`.
    pub async fn create_person(
        &self,
        by: By<'_>,
        new: NewPerson,
    ) -> Result<(Arc<User>, Option<Link>), Problem> {
        by.require_may_give(new.role)?;
        if new.role.is_admin() {
            by.require_fresh(self)?;
        }
        let (username, role, is_invited) = (new.username.clone(), new.role, new.password_hash.is_none());
        let has_verified_email = new.email_verified && new.email.is_some();
        let groups = listed(&new.groups);
        let fields = [
            ("email", new.email.is_some()),
            ("email_verified", has_verified_email),
            ("reuse_username", new.reuse_username),
        ];
        let mut batch = self.store.batch();
        let id = self.accounts.stage_create_knowingly(
            &mut batch,
            NewUser {
                username: new.username,
                display_name: new.display_name,
                email: new.email,
                groups: new.groups,
                role: new.role,
                password_hash: new.password_hash,
            },
            new.reuse_username,
        )?;
        if has_verified_email {
            let profile = ProfileRecord { email_verified: true, ..ProfileRecord::default() };
            self.accounts.stage_new_profile(&mut batch, id, profile)?;
        }
        let event = by.event(Kind::UserCreated).on_user(id, &username).detail("role", role.as_str());
        let event = event.detail("fields", chosen(&fields));
        let event = if groups.is_empty() { event } else { event.detail("groups", groups) };
        self.audit.write(&mut batch, event);
        let link = is_invited.then(|| self.stage_link(&mut batch, by, id, INVITE_LIFETIME, true));
        if is_invited {
            self.audit.write(&mut batch, by.event(Kind::LinkCreated).on_user(id, &username));
        }
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => {
                Err(Problem::conflict("username_taken", Said::of(Words::people_taken_meanwhile)))
            }
            other => Ok(other?),
        }?;
        let user = self.accounts.user(&id).ok_or_else(Problem::not_found)?;
        Ok((user, link))
    }

    fn stage_link(
        &self,
        batch: &mut Batch,
        by: By<'_>,
        id: UserId,
        lifetime: Duration,
        is_invite: bool,
    ) -> Link {
        let purpose = LinkPurpose::ResetPassword(id);
        let (secret, expires_at) = self.accounts.stage_make_link(batch, purpose, lifetime, by.user());
        Link { url: format!("{}/link/{secret}", self.site.origin().text), expires_at, is_invite }
    }

    /// Makes a one-time link by which the person chooses a new password; earlier links of that person end. It skips
    /// no second factor (PWD-12). Needs a fresh proof.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `step_up_required`.
    pub async fn make_person_link(&self, by: By<'_>, target: &User) -> Result<Link, Problem> {
        by.require(target, Deed::Credentials)?;
        by.require_fresh(self)?;
        let seen = self.accounts.record(&target.id)?;
        if seen.value.role != target.role {
            return Err(CommitError::Conflict.into());
        }
        let is_invite = seen.value.password_changed_at.is_none();
        let lifetime = if is_invite { INVITE_LIFETIME } else { RESET_LIFETIME };
        let mut batch = self.store.batch();
        // Who is being promoted at this moment is not within the actor's power any more.
        batch.require(target.id.as_bytes(), &seen);
        if self.accounts.stage_withdraw_links(&mut batch, target.id) > 0 {
            let event = by.event(Kind::LinkWithdrawn).on_user(target.id, &target.username);
            self.audit.write(&mut batch, event);
        }
        let link = self.stage_link(&mut batch, by, target.id, lifetime, is_invite);
        let event = by.event(Kind::LinkCreated).on_user(target.id, &target.username);
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await?;
        Ok(link)
    }

    /// Changes a person. Another role needs a fresh proof and ends the person's sessions, links and waiting sign-ins, so
    /// that the rules of the new role hold at once. Whoever changes their own groups gives themselves what is open to
    /// those, so that needs a fresh proof too.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `role_above_own`, `step_up_required`, `last_admin`, `email_taken`; `conflict` if the
    /// person is not as they were looked at.
    pub async fn change_person(
        &self,
        by: By<'_>,
        target: &User,
        change: PersonChange,
    ) -> Result<(), Problem> {
        by.require(target, Deed::Profile)?;
        if change.revision.as_ref().is_some_and(|seen| *seen != revision(target)) {
            return Err(CommitError::Conflict.into());
        }
        let role = change.role.filter(|role| *role != target.role);
        if let Some(role) = role {
            by.require(target, Deed::Role)?;
            by.require_may_give(role)?;
            by.require_fresh(self)?;
        }
        // As on one's own account page: apps may know the person by the address.
        let is_other_email = change.email.as_ref().is_some_and(|email| *email != target.email);
        let has_other_groups = change.groups.as_ref().is_some_and(|groups| !is_same(groups, &target.groups));
        if by.is(target.id) && (is_other_email || change.email_verified.is_some() || has_other_groups) {
            by.require_fresh(self)?;
        }
        let id = target.id;
        let vouch = change.email_verified.map_or(Vouch::Administrator, Vouch::Says);
        let edit = |record: &mut UserRecord| {
            require_as_seen(record, target)?;
            if let Some(name) = &change.display_name {
                record.display_name = name.clone();
            }
            if let Some(email) = &change.email {
                record.email = email.clone();
            }
            if let Some(groups) = &change.groups {
                record.groups = groups.clone();
            }
            if let Some(role) = role {
                record.role = role;
                record.not_before = end_of_sessions(record.not_before, self.clock.now());
            }
            Ok(())
        };
        self.accounts
            .change_vouching(id, vouch, edit, |batch, record| {
                let event = |kind| by.event(kind).on_user(id, &record.username);
                if role.is_some() {
                    // A link made by somebody who had power over the old role has none over the new one.
                    self.stage_end_everything(batch, id);
                    let event = event(Kind::UserRoleChanged).detail("from", target.role.as_str());
                    self.audit.write(batch, event.detail("to", record.role.as_str()));
                }
                if *record.groups != *target.groups {
                    let event = event(Kind::UserGroupsChanged).detail("groups", listed(&record.groups));
                    self.audit.write(batch, event);
                }
                let fields = chosen(&[
                    ("display_name", record.display_name != target.display_name),
                    ("email", record.email != target.email),
                    ("email_verified", change.email_verified.is_some()),
                ]);
                if !fields.is_empty() {
                    self.audit.write(batch, event(Kind::UserChanged).detail("fields", fields));
                }
            })
            .await?;
        Ok(())
    }

    /// Disables a person: sign-in is refused, and every session, token, link and waiting sign-in ends at once. The
    /// `reason`, which may be empty, is for other administrators and stands in the audit log.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `last_admin`, 422 `reason`.
    pub async fn disable_person(&self, by: By<'_>, target: &User, reason: &str) -> Result<(), Problem> {
        by.require(target, Deed::State)?;
        let reason = reason.trim();
        if reason.chars().count() > LONGEST_REASON || reason.chars().any(is_deceptive) {
            let sentence = said(|t| t.people_reason_too_long(LONGEST_REASON));
            return Err(Problem::unprocessable("reason", "invalid_value", sentence));
        }
        let event = || match reason {
            "" => by.event(Kind::UserDisabled),
            reason => by.event(Kind::UserDisabled).detail("reason", reason),
        };
        self.edit(target, event, |record| {
            record.status = Status::Disabled;
            record.not_before = end_of_sessions(record.not_before, self.clock.now());
        })
        .await
    }

    /// Enables a person again. Earlier sessions stay dead.
    ///
    /// # Errors
    /// `owner_only`, `own_account`.
    pub async fn enable_person(&self, by: By<'_>, target: &User) -> Result<(), Problem> {
        by.require(target, Deed::State)?;
        self.edit(target, || by.event(Kind::UserEnabled), |record| record.status = Status::Active).await
    }

    /// Ends every session of a person and their app tokens: whoever does this for somebody wants nothing to speak for them
    /// until they sign in again. People who sign themselves out keep the tokens of their programs.
    ///
    /// # Errors
    /// `owner_only`.
    pub async fn sign_person_out(&self, by: By<'_>, target: &User) -> Result<(), Problem> {
        by.require(target, Deed::SignOut)?;
        self.accounts
            .change(
                target.id,
                |record| {
                    require_role(record, target)?;
                    record.not_before = end_of_sessions(record.not_before, self.clock.now());
                    Ok(())
                },
                |batch, record| {
                    let tokens = self.sessions.app_tokens_of(&target.id).len();
                    self.sessions.stage_end_all(batch, &target.id, None);
                    self.sessions.stage_end_app_tokens(batch, target.id);
                    let event = by.event(Kind::AllSessionsEnded).detail("app_tokens", tokens);
                    self.audit.write(batch, event.on_user(target.id, &record.username));
                },
            )
            .await?;
        Ok(())
    }

    async fn edit(
        &self,
        target: &User,
        event: impl Fn() -> Event + Send + Sync,
        edit: impl Fn(&mut UserRecord) + Send + Sync,
    ) -> Result<(), Problem> {
        let id = target.id;
        self.accounts
            .change(
                id,
                |record| {
                    require_role(record, target)?;
                    edit(record);
                    Ok(())
                },
                |batch, record| {
                    if record.status == Status::Disabled {
                        self.stage_end_everything(batch, id);
                    }
                    self.audit.write(batch, event().on_user(id, &record.username));
                },
            )
            .await?;
        Ok(())
    }

    /// Takes a person's authenticator app, passkeys and recovery codes away, for a lost phone. Ends all sessions; the person is
    /// told at the next sign-in (OTP-11). Needs a fresh proof.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `step_up_required`, `no_second_factor`.
    pub async fn reset_second_factor(&self, by: By<'_>, target: &User) -> Result<(), Problem> {
        by.require(target, Deed::Credentials)?;
        by.require_fresh(self)?;
        if !target.has_second_factor() {
            return Err(Problem::conflict("no_second_factor", Said::of(Words::people_nothing_to_reset)));
        }
        let (id, now) = (target.id, self.clock.now());
        let notice = crate::accounts::told::Told::factors_reset(by.name(), now).to_text();
        let change = |record: &mut UserRecord| {
            require_role(record, target)?;
            record.notice = Some(notice.clone());
            record.not_before = end_of_sessions(record.not_before, self.clock.now());
            Ok(())
        };
        self.accounts
            .reset_second_factor(id, change, |batch, record| {
                self.stage_end_everything(batch, id);
                let event: Event = by.event(Kind::SecondFactorReset);
                self.audit.write(batch, event.on_user(id, &record.username));
            })
            .await?;
        Ok(())
    }

    /// Lifts the suspension with this handle, or all of a person with the delay that failures from everywhere earned.
    ///
    /// # Errors
    /// 404 if there is none.
    pub async fn lift_suspension(
        &self,
        by: By<'_>,
        target: &User,
        handle: Option<&str>,
    ) -> Result<(), Problem> {
        by.require(target, Deed::Lift)?;
        let mut batch = self.store.batch();
        let is_delayed = handle.is_none() && self.lockout.is_delayed(target.id);
        if self.lockout.stage_lift(&mut batch, target.id, handle) == 0 && !is_delayed {
            let mut problem = Problem::not_found();
            problem.detail = Said::of(Words::people_not_paused);
            return Err(problem);
        }
        let event = by.event(Kind::SuspensionLifted);
        self.audit.write(&mut batch, event.on_user(target.id, &target.username));
        Ok(self.store.commit(batch).await?)
    }

    /// Deletes a person with everything that speaks for them. Needs a fresh proof: it cannot be undone.
    ///
    /// # Errors
    /// `owner_only`, `own_account`, `step_up_required`, `last_admin`.
    pub async fn delete_person(&self, by: By<'_>, target: &User) -> Result<(), Problem> {
        by.require(target, Deed::State)?;
        by.require_fresh(self)?;
        let id = target.id;
        let also = |batch: &mut Batch, record: &UserRecord| {
            self.stage_end_everything(batch, id);
            self.sessions.stage_forget_sign_ins(batch, &id);
            self.lockout.stage_lift(batch, id, None);
            let event = by.event(Kind::UserDeleted);
            self.audit.write(batch, event.on_user(id, &record.username));
        };
        Ok(self.accounts.delete_if(id, |record| require_role(record, target), also).await?)
    }
}

/// Lists the groups, for an event.
pub(super) fn listed(groups: &[GroupName]) -> String {
    groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(" ")
}

/// Lists the fields of which it is true, for an event: their names, never what stands in them.
fn chosen(fields: &[(&str, bool)]) -> String {
    let names = fields.iter().filter(|(_, is_so)| *is_so).map(|(name, _)| *name);
    names.collect::<Vec<_>>().join(" ")
}

/// Tells whether two lists hold the same groups.
fn is_same(groups: &[GroupName], others: &[GroupName]) -> bool {
    groups.iter().collect::<BTreeSet<_>>() == others.iter().collect::<BTreeSet<_>>()
}
