//! Invitations: one-time links by which somebody makes an account of their own, with a role and groups that are chosen
//! beforehand. Also the links that wait to be used, whatever for, and withdrawing one.

use std::time::Duration;

use super::Admin;
use super::authority::Deed;
use super::by::By;
use super::people::Link;
use crate::accounts::links::OpenLink;
use crate::accounts::records::LinkPurpose;
use crate::accounts::{Role, User};
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::text::{GroupName, is_deceptive};
use crate::words::said;

/// The most invitations that wait at once.
const MOST_OPEN: usize = 500;
/// The longest note, in characters.
const LONGEST_NOTE: usize = 100;
/// The longest life of an invitation, in days.
pub const MOST_DAYS: u32 = 30;
/// How many days an invitation lives unless somebody says otherwise.
pub const USUAL_DAYS: u32 = 7;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An invitation as it is wanted.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The role of the new account.
    pub role: Role,
    /// Its groups.
    pub groups: Vec<GroupName>,
    /// Whom it is for, to tell invitations apart; may be empty.
    pub note: String,
    /// How many days it works.
    pub days: u32,
}

/// A link that waits to be used.
pub struct WaitingLink {
    /// The link.
    pub link: OpenLink,
    /// Whose password it sets; `None` for an invitation.
    pub user: Option<std::sync::Arc<User>>,
}

impl Admin {
    /// Makes an invitation. One that makes an administrator needs a fresh proof.
    ///
    /// # Errors
    /// `role_above_own`, `step_up_required`, 422 `note` or `days`, 409 `too_many_links`.
    pub async fn invite(&self, by: By<'_>, new: Invitation) -> Result<Link, Problem> {
        by.require_may_give(new.role)?;
        if new.role.is_admin() {
            by.require_fresh(self)?;
        }
        let note = new.note.trim().to_owned();
        if note.chars().count() > LONGEST_NOTE || note.chars().any(is_deceptive) {
            let sentence = said(|t| t.invitations_note_too_long(LONGEST_NOTE));
            return Err(Problem::unprocessable("note", "invalid_value", sentence));
        }
        if !(1..=MOST_DAYS).contains(&new.days) {
            let sentence = said(|t| t.invitations_days_wrong(MOST_DAYS));
            return Err(Problem::unprocessable("days", "invalid_value", sentence));
        }
        if self.accounts.open_links()?.len() >= MOST_OPEN {
            return Err(Problem::conflict("too_many_links", said(|t| t.invitations_too_many(MOST_OPEN))));
        }
        let mut event = by.event(Kind::LinkCreated).detail("role", new.role.as_str());
        if !new.groups.is_empty() {
            let groups: Vec<&str> = new.groups.iter().map(GroupName::as_str).collect();
            event = event.detail("groups", groups.join(" "));
        }
        if !note.is_empty() {
            event = event.on(&note);
        }
        let mut batch = self.store.batch();
        let purpose = LinkPurpose::Invite { role: new.role, groups: new.groups };
        let (secret, expires_at) =
            self.accounts.stage_make_noted_link(&mut batch, purpose, DAY * new.days, note, by.user());
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await?;
        Ok(Link { url: format!("{}/link/{secret}", self.site.origin().text), expires_at, is_invite: true })
    }

    /// Lists the links that wait to be used, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn waiting_links(&self) -> Result<Vec<WaitingLink>, Problem> {
        let links = self.accounts.open_links()?.into_iter();
        let whose = |link: OpenLink| match link.record.purpose {
            LinkPurpose::Invite { .. } => Some(WaitingLink { link, user: None }),
            LinkPurpose::ResetPassword(id) => {
                self.accounts.user(&id).map(|user| WaitingLink { link, user: Some(user) })
            }
        };
        Ok(links.filter_map(whose).collect())
    }

    /// Withdraws a link that was not used yet.
    ///
    /// # Errors
    /// 404, `role_above_own`, `owner_only`, `own_account`.
    pub async fn withdraw_link(&self, by: By<'_>, handle: &str) -> Result<(), Problem> {
        let mut waiting = self.waiting_links()?.into_iter();
        let WaitingLink { link, user } =
            waiting.find(|waiting| waiting.link.handle == handle).ok_or_else(Problem::not_found)?;
        let mut event = by.event(Kind::LinkWithdrawn);
        match (&user, &link.record.purpose) {
            (Some(user), _) => {
                by.require(user, Deed::Credentials)?;
                event = event.on_user(user.id, &user.username);
            }
            (None, LinkPurpose::Invite { role, .. }) => by.require_may_give(*role)?,
            (None, LinkPurpose::ResetPassword(_)) => return Err(Problem::not_found()),
        }
        if !link.record.note.is_empty() {
            event = event.on(&link.record.note);
        }
        let mut batch = self.store.batch();
        self.accounts.stage_withdraw_link(&mut batch, &link);
        self.audit.write(&mut batch, event);
        Ok(self.store.commit(batch).await?)
    }
}
