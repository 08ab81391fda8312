//! What root does with the data of a service that has a user of its own: as that user. Files of root would keep the service
//! out, and root would follow whatever links the service laid.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Gid, Uid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Failure;

/// While it lives, this thread and those that it starts write as the owner of the data. They may read whatever root may,
/// because the data, the key or an export may lie where that user cannot come.
pub(super) struct AsOwner {
    /// The groups of root; `None` if nothing was changed.
    former: Option<Vec<Gid>>,
}

impl AsOwner {
    /// Becomes the owner of the store in `directory`, or of the directory if it has none. Nothing happens unless this is root
    /// and the owner is not.
    ///
    /// # Errors
    /// If the system does not let root do that.
    pub(super) fn of(directory: &Path) -> Result<AsOwner, Failure> {
        let owner = fs::metadata(directory.join("store")).or_else(|_| fs::metadata(directory)).ok();
        let Some(owner) = owner.filter(|owner| geteuid().is_root() && owner.uid() != 0) else {
            return Ok(AsOwner { former: None });
        };
        let (uid, gid) = (owner.uid(), owner.gid());
        let refused = |error: io::Error| {
            Failure::new(format!(
                "{} belongs to user {uid}, and root cannot act for that user here: {error}. Run this as that user.",
                directory.display()
            ))
        };
        let groups = getgroups().map_err(|error| refused(error.into()))?;
        // From here on a drop takes it back.
        let acting = AsOwner { former: Some(groups) };
        act_as(Uid::from_raw(uid), Gid::from_raw(gid)).map_err(refused)?;
        Ok(acting)
    }

    /// Tells whether this writes as another user than it was started by.
    pub(super) fn is_other(&self) -> bool {
        self.former.is_some()
    }
}

/// Changes the effective ids alone, so that they can be changed back.
fn act_as(uid: Uid, gid: Gid) -> io::Result<()> {
    set_thread_groups(&[gid])?;
    set_thread_res_gid(None, Some(gid), None)?;
    // This takes all capabilities out of effect.
    set_thread_res_uid(None, Some(uid), None)?;
    let mut sets = capabilities(None)?;
    sets.effective = sets.permitted & CapabilitySet::DAC_READ_SEARCH;
    Ok(set_capabilities(None, sets)?)
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        let Some(groups) = &self.former else { return };
        let back = set_thread_res_uid(None, Some(Uid::ROOT), None)
            .and_then(|()| set_thread_res_gid(None, Some(Gid::ROOT), None))
            .and_then(|()| set_thread_groups(groups));
        if let Err(error) = back {
            tracing::warn!(%error, "root could not be itself again");
        }
    }
}
