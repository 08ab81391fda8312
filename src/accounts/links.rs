//! One-time links: an invitation or a password reset, 256 bits, stored as a hash, dead after use (PWD-11).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::records::{LinkPurpose, LinkRecord, Role};
use super::users::{AccountError, Accounts};
use crate::crypto::mac::sha256;
use crate::kernel::ids::UserId;
use crate::kernel::text::GroupName;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, Versioned};

/// How long an invitation lives.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a reset link lives.
pub const RESET_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The most links that one question looks at.
const MOST_LINKS: usize = 2000;

/// A link that nobody has used yet, without its secret.
pub struct OpenLink {
    /// What administrators name it by; it opens nothing.
    pub handle: String,
    /// What it is for, until when, and whom it was made for.
    pub record: LinkRecord,
    row: Vec<u8>,
    seen: Versioned<LinkRecord>,
}

/// Returns what the link of a row is named by: enough of the digest of its secret to find it again.
fn handle_of(row: &[u8]) -> String {
    BASE64URL_NOPAD.encode(row.get(..12).unwrap_or_default())
}

/// A link that may be used, as found.
pub struct FoundLink {
    row: [u8; 32],
    seen: Versioned<LinkRecord>,
}

impl FoundLink {
    /// What the link is for.
    pub fn purpose(&self) -> &LinkPurpose {
        &self.seen.value.purpose
    }
}

impl Accounts {
    /// Makes a link of the machine itself and returns its secret, which is shown once. `also` adds the audit event to the
    /// same commit.
    pub async fn make_link(
        &self,
        purpose: LinkPurpose,
        lifetime: Duration,
        also: impl FnOnce(&mut Batch),
    ) -> Result<String, AccountError> {
        let mut batch = self.store.batch();
        let (secret, _) = self.stage_make_link(&mut batch, purpose, lifetime, None);
        also(&mut batch);
        self.store.commit(batch).await?;
        Ok(secret)
    }

    /// Like [`Accounts::make_link`], in the caller's batch; also tells until when the link works. It works only as long as
    /// `made_by` is an administrator who might make it.
    pub fn stage_make_link(
        &self,
        batch: &mut Batch,
        purpose: LinkPurpose,
        lifetime: Duration,
        made_by: Option<UserId>,
    ) -> (String, Timestamp) {
        self.stage_make_noted_link(batch, purpose, lifetime, String::new(), made_by)
    }

    /// Like [`Accounts::stage_make_link`], with a note on whom it is for.
    pub fn stage_make_noted_link(
        &self,
        batch: &mut Batch,
        purpose: LinkPurpose,
        lifetime: Duration,
        note: String,
        made_by: Option<UserId>,
    ) -> (String, Timestamp) {
        let secret = BASE64URL_NOPAD.encode(&self.random.bytes::<32>());
        let row = sha256(secret.as_bytes());
        let created_at = self.clock.now();
        let expires_at = created_at.plus(lifetime);
        batch.insert_new(&row, &LinkRecord { purpose, expires_at, created_at, note, made_by });
        batch.expire::<LinkRecord>(&row, expires_at);
        (secret, expires_at)
    }

    /// Stages the end of every reset link of a user and returns how many still worked. If the links cannot be read, the
    /// commit fails.
    pub fn stage_withdraw_links(&self, batch: &mut Batch, user: UserId) -> usize {
        const PAGE: usize = 500;
        let now = self.clock.now();
        let mut withdrawn = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = match self.store.scan::<LinkRecord>(&[], after.as_deref(), PAGE) {
                Ok(page) => page,
                Err(fault) => {
                    batch.fail(fault);
                    return withdrawn;
                }
            };
            for (row, found) in &page {
                if found.value.purpose == LinkPurpose::ResetPassword(user) {
                    batch.remove::<LinkRecord>(row);
                    withdrawn += usize::from(found.value.expires_at > now);
                }
            }
            match page.last() {
                Some((row, _)) if page.len() == PAGE => after = Some(row.clone()),
                _ => return withdrawn,
            }
        }
    }

    /// Returns the links that work, newest first.
    pub fn open_links(&self) -> Result<Vec<OpenLink>, AccountError> {
        let now = self.clock.now();
        let found = self.store.scan::<LinkRecord>(&[], None, MOST_LINKS)?;
        let live =
            found.into_iter().filter(|(_, seen)| seen.value.expires_at > now && self.is_backed(&seen.value));
        let mut links: Vec<OpenLink> = live
            .map(|(row, seen)| OpenLink { handle: handle_of(&row), record: seen.value.clone(), row, seen })
            .collect();
        links
            .sort_unstable_by_key(|link| std::cmp::Reverse((link.record.created_at, link.record.expires_at)));
        Ok(links)
    }

    /// Stages that the open invitations to the group `from` are to `to` instead.
    pub fn stage_rename_group_in_links(
        &self,
        batch: &mut Batch,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<(), AccountError> {
        for link in self.open_links()? {
            let mut record = link.record;
            let LinkPurpose::Invite { groups, .. } = &mut record.purpose else { continue };
            if let Some(group) = groups.iter_mut().find(|group| *group == from) {
                *group = to.clone();
                batch.replace(&link.row, &link.seen, &record);
            }
        }
        Ok(())
    }

    /// Stages the end of one link; the commit conflicts if it is used at this moment.
    pub fn stage_withdraw_link(&self, batch: &mut Batch, link: &OpenLink) {
        batch.take(&link.row, &link.seen);
    }

    /// Finds a live link by its secret.
    pub fn find_link(&self, secret: &str) -> Result<Option<FoundLink>, AccountError> {
        let row = sha256(secret.as_bytes());
        let Some(seen) = self.store.get::<LinkRecord>(&row)? else { return Ok(None) };
        if seen.value.expires_at <= self.clock.now() || !self.is_backed(&seen.value) {
            return Ok(None);
        }
        Ok(Some(FoundLink { row, seen }))
    }

    /// Tells whether whoever made a link could make it now: an administrator who was shown the door comes in again by none
    /// (GEN-02).
    fn is_backed(&self, link: &LinkRecord) -> bool {
        let Some(made_by) = link.made_by else { return true };
        let role = match &link.purpose {
            LinkPurpose::Invite { role, .. } => Some(*role),
            LinkPurpose::ResetPassword(user) => self.user(user).map(|user| user.role),
        };
        let is_within = |power: Role| power.is_admin() && role.is_none_or(|role| role <= power);
        self.user(&made_by).is_some_and(|maker| maker.is_active() && is_within(maker.role))
    }

    /// Stages the use of a link: the commit that grants its effect also consumes it.
    pub fn stage_use_link(&self, batch: &mut Batch, link: &FoundLink) {
        batch.take(&link.row, &link.seen);
    }
}
