//! What people agreed to: by client and exact set of scopes (OA-14).

use super::Oidc;
use super::claims::{self, ClaimsRequest};
use super::client::{Client, ClientId, ConsentMode};
use super::clients::FORGOTTEN_AT_ONCE;
use super::records::{ConsentRecord, Permission};
use super::scopes::Scopes;
use crate::crypto::mac::sha256;
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, CommitError, StoreError, Versioned};

/// The most sets of scopes that are remembered for one app; the oldest makes room.
const MOST_SETS: usize = 16;

/// What a person is asked for: what the app would learn and do, and where it would act for them.
pub(super) struct Question {
    /// What is disclosed, claims by name included.
    pub(super) scopes: Scopes,
    /// APIs.
    resources: Vec<String>,
}

impl Question {
    /// Writes the question down as one text, which the page carries, so that the answer is to this very question.
    pub(super) fn to_text(&self) -> String {
        let mut text = self.scopes.to_string();
        for resource in &self.resources {
            text.push('\n');
            text.push_str(resource);
        }
        text
    }

    fn digest(&self) -> [u8; 32] {
        sha256(self.to_text())
    }
}

/// An app that a person agreed to, as lists show it.
pub struct Consent {
    /// The app.
    pub client: ClientId,
    /// What they last agreed to.
    pub scopes: Scopes,
    /// When they last agreed.
    pub given_at: Timestamp,
}

/// Proof that a person agrees to something at this moment, to be required by the commit that rests on it.
pub(super) struct Agreement(Option<(Vec<u8>, Versioned<ConsentRecord>)>);

impl Agreement {
    /// A rehearsal asks as a sign-in does and remembers nothing of the answer, so there is nothing to require.
    pub(super) fn of_rehearsal() -> Self {
        Agreement(None)
    }

    /// Adds to `batch` that it still stands: the batch conflicts if it is taken back meanwhile (GEN-03).
    pub(super) fn stage_require(&self, batch: &mut Batch) {
        if let Some((row, seen)) = &self.0 {
            batch.require(row, seen);
        }
    }
}

fn row(user: &UserId, client: &ClientId) -> Vec<u8> {
    [user.as_bytes().as_slice(), client.as_str().as_bytes()].concat()
}

impl Oidc {
    /// Returns the question that a request puts to a person.
    pub(super) fn question(
        &self,
        client: &Client,
        scopes: &Scopes,
        claims: &ClaimsRequest,
        resources: &[String],
    ) -> Question {
        let custom = self.custom_scopes();
        let mut resources = resources.to_vec();
        resources.sort_unstable();
        Question { scopes: claims::disclosed(scopes, claims, &client.settings.scopes, &custom), resources }
    }

    /// Tells whether a person agreed to this very question.
    pub(super) fn has_consented(
        &self,
        user: &UserId,
        client: &ClientId,
        question: &Question,
    ) -> Result<bool, StoreError> {
        let found = self.store.get::<ConsentRecord>(&row(user, client))?;
        Ok(found.is_some_and(|found| found.value.sets.contains(&question.digest())))
    }

    /// Tells whether a person agreed to anything with a client, and did not take it back.
    pub(super) fn agrees_at_all(&self, user: &UserId, client: &ClientId) -> Result<bool, StoreError> {
        Ok(self.store.get::<ConsentRecord>(&row(user, client))?.is_some())
    }

    /// Reads whether the client may still have what was given, and the person still agrees to it (GEN-02, OA-14).
    pub(super) fn agreement(
        &self,
        permission: &Permission,
        client: &Client,
    ) -> Result<Option<Agreement>, StoreError> {
        if !client.settings.scopes.covers(&permission.scopes) {
            return Ok(None);
        }
        if client.consent() == ConsentMode::Skip {
            return Ok(Some(Agreement(None)));
        }
        let question = self.question(client, &permission.scopes, &permission.claims, &permission.resources);
        let row = row(&permission.user, &client.id);
        let found = self.store.get::<ConsentRecord>(&row)?;
        let standing = found.filter(|found| found.value.sets.contains(&question.digest()));
        Ok(standing.map(|seen| Agreement(Some((row, seen)))))
    }

    /// Adds what a person agrees to now to `batch`.
    pub(super) fn stage_consent(
        &self,
        batch: &mut Batch,
        user: &UserId,
        client: &ClientId,
        question: &Question,
    ) -> Result<(), StoreError> {
        let row = row(user, client);
        let seen = self.store.get::<ConsentRecord>(&row)?;
        let mut record = seen.as_ref().map(|seen| seen.value.clone()).unwrap_or_default();
        let digest = question.digest();
        record.sets.retain(|set| *set != digest);
        record.sets.push(digest);
        record.latest = question.scopes.clone();
        let surplus = record.sets.len().saturating_sub(MOST_SETS);
        record.sets.drain(..surplus);
        record.given_at = self.clock.now();
        match &seen {
            Some(seen) => batch.replace(&row, seen, &record),
            None => batch.insert_new(&row, &record),
        };
        Ok(())
    }

    /// Lists the apps that a person agreed to.
    pub fn consents(&self, user: &UserId) -> Result<Vec<Consent>, StoreError> {
        let found = self.store.scan::<ConsentRecord>(user.as_bytes(), None, 1000)?;
        let mut consents = Vec::with_capacity(found.len());
        for (row, record) in found {
            let name = row.get(16..).and_then(|name| std::str::from_utf8(name).ok());
            if let Some(client) = name.and_then(|name| ClientId::parse(name).ok()) {
                let ConsentRecord { latest, given_at, .. } = record.value;
                consents.push(Consent { client, scopes: latest, given_at });
            }
        }
        Ok(consents)
    }

    /// Adds to `batch` that a person takes back what they agreed to: the grants of the app end with it (OA-14).
    pub fn stage_revoke_consent(&self, batch: &mut Batch, user: &UserId, client: &ClientId) {
        batch.remove::<ConsentRecord>(&row(user, client));
        for id in self.grants.of_user_and_client(user, client) {
            self.stage_end_grant(batch, id);
        }
        let (room, user, client) = (self.clone(), *user, client.clone());
        batch.after(move || {
            // What was committed after the grants were listed above.
            for id in room.grants.of_user_and_client(&user, &client) {
                room.grants.give_up(id);
            }
        });
    }

    /// Forgets everything that was agreed to with a client, a part at a time.
    pub(super) async fn forget_consents_of(&self, client: &ClientId) -> Result<(), CommitError> {
        let mut rows = Vec::new();
        let found = self.store.for_each::<ConsentRecord>(|row, _| {
            if row.get(16..) == Some(client.as_str().as_bytes()) {
                rows.push(row.to_vec());
            }
            Ok(())
        });
        found.map_err(CommitError::Store)?;
        for chunk in rows.chunks(FORGOTTEN_AT_ONCE) {
            let mut batch = self.store.batch();
            for row in chunk {
                batch.remove::<ConsentRecord>(row);
            }
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}
