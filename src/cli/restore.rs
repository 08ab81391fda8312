//! Putting a backup in place that was brought in the setup, before the server opens its store.

use std::time::Duration;

use super::{Failure, serve};
use crate::audit::{Audit, DEFAULT_RETENTION, Event, Kind};
use crate::config::Settings;
use crate::kernel::random::Random;
use crate::kernel::time::{SharedClock, SystemClock};
use crate::setup::restore::is_free;
use crate::store::staged::{self, Applied};
use crate::store::{self, OpenError, OpenSettings, Refusal, wait};

/// How often a store that was closed a moment ago is tried again.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Puts a backup in place that waits, if there is one, and says so in the log.
///
/// # Errors
/// If the data directory cannot be read or written; nothing is lost then.
pub(super) fn apply(settings: &Settings, random: &Random) -> Result<(), Failure> {
    let (store, clock) = (serve::open_settings(settings), SystemClock::shared());
    let (key_path, guard) = (settings.master_key_file(), serve::key_guard(settings));
    let mut tries = 0;
    let applied = loop {
        match staged::apply(&store, (&key_path, guard), random, &clock, &is_free) {
            Err(error) if error.refusal == Refusal::Locked && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            other => break other.map_err(|error| Failure::new(error.to_string()))?,
        }
    };
    match applied {
        Applied::Nothing => return Ok(()),
        Applied::Restored(report) => {
            let records: u64 = report.counts.values().sum();
            tracing::info!(
                records,
                "the backup that was brought in the setup is in place; everybody signs in again"
            );
        }
        Applied::Finished => tracing::info!("the backup that was brought in the setup is in place"),
        Applied::Kept(kept) => {
            tracing::warn!(kept = %kept.display(), "a backup waited to be restored, but this Doorward belongs to somebody; it was not");
            return Ok(());
        }
        Applied::Refused(why, kept) => {
            tracing::error!(why, kept = %kept.display(), "a backup waited to be restored and could not be read; the setup is open again");
            return Ok(());
        }
    }
    if let Err(error) = note(settings, &store, random, &clock) {
        tracing::warn!(%error, "the audit log does not tell of the restore");
    }
    Ok(())
}

/// Writes down in the audit log that the store came from a backup (AUD-01).
fn note(
    settings: &Settings,
    store: &OpenSettings,
    random: &Random,
    clock: &SharedClock,
) -> Result<(), OpenError> {
    let context = serve::store_context(settings).map_err(|_| OpenError::unreadable_key())?;
    let opened = store::open(store, &context.sealer, random, clock)?;
    let audit = Audit::open(opened.store.clone(), clock.clone(), random.clone(), DEFAULT_RETENTION);
    if let Ok(audit) = audit {
        let mut batch = opened.store.batch();
        audit.write(&mut batch, Event::succeeded(Kind::StoreImported).by_system("setup"));
        if let Err(error) = wait(opened.store.commit(batch)) {
            tracing::warn!(%error, "the audit log does not tell of the restore");
        }
    }
    opened.close();
    Ok(())
}
