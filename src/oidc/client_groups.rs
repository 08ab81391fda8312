//! The groups that apps are kept for.

use super::Oidc;
use super::clients::{AddError, stage_settings};
use crate::kernel::text::GroupName;
use crate::store::Batch;

impl Oidc {
    /// Adds to `batch` that every app that names the group `from` names `to` instead.
    ///
    /// # Errors
    /// If an app cannot be read.
    pub fn stage_rename_group(
        &self,
        batch: &mut Batch,
        from: &GroupName,
        to: &GroupName,
    ) -> Result<(), AddError> {
        for client in self.clients().iter().filter(|client| client.settings.groups.contains(from)) {
            let mut settings = client.settings.clone();
            settings.groups.retain(|group| group != from && group != to);
            settings.groups.push(to.clone());
            settings.groups.sort_unstable();
            let seen = self.client_record(&client.id)?;
            if seen.value.revision != client.revision {
                return Err(crate::store::CommitError::Conflict.into());
            }
            let mut record = seen.value.clone();
            stage_settings(batch, &client.id, &mut record, &settings)?;
            batch.replace(client.id.as_str().as_bytes(), &seen, &record);
            self.publish(batch, &client.id, settings, &record);
        }
        Ok(())
    }
}
