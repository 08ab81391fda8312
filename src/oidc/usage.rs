//! When people last signed in to apps, so that an administrator sees which of them nobody uses.

use std::collections::HashMap;

use parking_lot::RwLock;

use super::Oidc;
use super::client::ClientId;
use super::records::ClientUseRecord;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, Store, StoreError};

/// The newest sign-in of each app, in memory.
pub(super) struct Usage(RwLock<HashMap<ClientId, Timestamp>>);

impl Usage {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        store.for_each::<ClientUseRecord>(|row, record| {
            let id = std::str::from_utf8(row).ok().and_then(|text| ClientId::parse(text).ok());
            all.insert(id.ok_or(StoreError::Corrupt { table: "client_use" })?, record.at);
            Ok(())
        })?;
        Ok(Usage(RwLock::new(all)))
    }
}

impl Oidc {
    /// Returns when somebody last signed in to an app.
    pub fn last_used(&self, client: &ClientId) -> Option<Timestamp> {
        self.usage.0.read().get(client).copied()
    }

    /// Adds to `batch` that somebody signs in to an app.
    pub(super) fn stage_use(&self, batch: &mut Batch, client: &ClientId, now: Timestamp) {
        batch.put(client.as_str().as_bytes(), &ClientUseRecord { at: now });
        let (room, client) = (self.clone(), client.clone());
        batch.after(move || {
            room.usage.0.write().insert(client, now);
        });
    }

    /// Adds to `batch` that this is forgotten.
    pub(super) fn stage_forget_use(&self, batch: &mut Batch, client: &ClientId) {
        batch.remove::<ClientUseRecord>(client.as_str().as_bytes());
        let (room, client) = (self.clone(), client.clone());
        batch.after(move || {
            room.usage.0.write().remove(&client);
        });
    }
}
