//! A restore that was asked for while the server runs. The store in use cannot be exchanged, so a verified export is laid
//! beside it, and the next start puts it in the place of a store that belongs to nobody.
//!
//! ```text
//! restore/export       the export
//! restore/key          the master key that it was made under, if that is another one
//! ```
//!
//! The directory gets its name when both files are on disk. Whatever the moment at which the process or the power dies,
//! the next start finds the store as it was, with the restore still to come, or the restored one.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory;
use super::export::{ExportError, Header, Leniency, ReadReport, Reader};
use super::open::{self, OpenError, OpenSettings, Refusal};
use super::restore::{self, ImportOptions, ImportReport};
use super::{Store, StoreError};
use crate::crypto::key_file::{self, Guard};
use crate::crypto::keys::MasterKey;
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;

const PLACE: &str = "restore";
const UNFINISHED: &str = "restore.new";
const EXPORT: &str = "export";
const KEY: &str = "key";

/// Reads an export whole: it must be of a known schema, sound, and written by a holder of `key`.
///
/// # Errors
/// The first fault.
pub fn verify(export: &[u8], sealer: &Sealer) -> Result<(Header, ReadReport), ExportError> {
    let reader = Reader::new(export, Leniency::default())?.require_known_schema()?;
    let header = reader.header().clone();
    let report = reader.read(Some(sealer), &mut |_, _| Ok(()))?;
    Ok((header, report))
}

/// Lays a verified export beside the store in `dir`, with its key if that is another one than the store's. One that was
/// laid there before is replaced.
///
/// # Errors
/// If the directory cannot be written; nothing is staged then.
pub fn stage(dir: &Path, export: &[u8], key: Option<&MasterKey>) -> std::io::Result<()> {
    let (unfinished, place) = (dir.join(UNFINISHED), dir.join(PLACE));
    directory::remove_tree(&unfinished)?;
    directory::make_dir(&unfinished)?;
    directory::write_file(&unfinished.join(EXPORT), export)?;
    if let Some(key) = key {
        directory::write_file(&unfinished.join(KEY), key.to_file_text().as_bytes())?;
    }
    directory::remove_tree(&place)?;
    directory::rename(&unfinished, &place)
}

/// What became of a restore that waited.
#[derive(Debug)]
pub enum Applied {
    /// None waited.
    Nothing,
    /// The store is the restored one.
    Restored(ImportReport),
    /// It had been put in place before the last stop.
    Finished,
    /// The store belongs to somebody by now, so it stays; where the export is kept.
    Kept(PathBuf),
    /// The export could not be read after all; why, and where it is kept.
    Refused(String, PathBuf),
}

/// Puts a restore that waits in place. No server may run, and the master key must be read after this. `is_free` tells
/// whether a store belongs to nobody yet.
///
/// # Errors
/// If the directory cannot be read or written; the next start tries again.
pub fn apply(
    settings: &OpenSettings,
    (key_path, guard): (&Path, Guard),
    random: &Random,
    clock: &SharedClock,
    is_free: &dyn Fn(&Store) -> Result<bool, StoreError>,
) -> Result<Applied, OpenError> {
    let place = settings.dir.join(PLACE);
    let system = |error: std::io::Error| {
        OpenError::new(Refusal::System, format!("{} cannot be used: {error}.", place.display()))
    };
    directory::remove_tree(&settings.dir.join(UNFINISHED)).map_err(system)?;
    if !directory::exists(&place).map_err(system)? {
        return Ok(Applied::Nothing);
    }
    let read_key = |path: &Path, guard: Guard| {
        key_file::load_kept_by(guard, path)
            .map_err(|error| OpenError::new(Refusal::WrongKey, error.to_string()))
    };
    let key_to_come = match directory::exists(&place.join(KEY)).map_err(system)? {
        true => Some(read_key(&place.join(KEY), Guard::Owner)?),
        false => None,
    };
    let sealer_now = Arc::new(Sealer::new(&read_key(key_path, guard)?));
    let sealer_then =
        key_to_come.as_ref().map_or_else(|| sealer_now.clone(), |key| Arc::new(Sealer::new(key)));
    let put_away = || {
        let kept = directory::quarantine(&settings.dir, &place, clock.now()).map_err(system)?;
        // The key belongs to nothing here, and is in the hands of whoever brought it.
        match fs::remove_file(kept.join(KEY)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(system(error)),
            _ => Ok(kept),
        }
    };
    let is_done = match look(settings, &sealer_now, random, clock, is_free) {
        Ok(true) => false,
        // Without a key of its own, a restore that is in place looks like a store that is somebody's.
        Ok(false) => return put_away().map(Applied::Kept),
        Err(error) if error.refusal == Refusal::WrongKey && key_to_come.is_some() => {
            look(settings, &sealer_then, random, clock, is_free)?;
            true
        }
        Err(error) => return Err(error),
    };
    let report = if is_done {
        None
    } else {
        let options = ImportOptions { replace: true, leniency: Leniency::default() };
        match restore::import(settings, &place.join(EXPORT), options, &sealer_then, random, clock) {
            Ok(report) => Some(report),
            Err(error) if error.refusal == Refusal::BadExport => {
                return Ok(Applied::Refused(error.to_string(), put_away()?));
            }
            Err(error) => return Err(error),
        }
    };
    if let Some(key) = &key_to_come {
        directory::write_file(key_path, key.to_file_text().as_bytes()).map_err(system)?;
    }
    directory::remove_tree(&place).map_err(system)?;
    directory::sync_dir(&settings.dir).map_err(system)?;
    Ok(report.map_or(Applied::Finished, Applied::Restored))
}

/// Tells whether the store is free.
fn look(
    settings: &OpenSettings,
    sealer: &Arc<Sealer>,
    random: &Random,
    clock: &SharedClock,
    is_free: &dyn Fn(&Store) -> Result<bool, StoreError>,
) -> Result<bool, OpenError> {
    let opened = open::open(settings, sealer, random, clock)?;
    let answer = is_free(&opened.store);
    opened.close();
    answer.map_err(|error| OpenError::new(Refusal::Damaged, error.to_string()))
}

/// Reads the header of an export without judging the rest.
///
/// # Errors
/// If it is none.
pub fn header(export: &[u8]) -> Result<Header, ExportError> {
    Ok(Reader::new(BufReader::new(export), Leniency::default())?.require_known_schema()?.header().clone())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::crypto::mac::sha256;
    use crate::kernel::time::{SystemClock, Timestamp};
    use crate::store::meta::{ClockHighWater, Single as _};
    use crate::store::{Opened, snapshots, wait};

    /// A store in a directory of its own that goes away with the test. It is somebody's once it has a mark.
    struct Place {
        dir: PathBuf,
        key: MasterKey,
    }

    impl Place {
        fn new(seed: u8) -> Place {
            let name = u64::from_be_bytes(Random::os().bytes());
            let dir = std::env::temp_dir().join(format!("doorward-staged-{name:016x}"));
            directory::make_dir(&dir).unwrap();
            let place = Place { dir, key: MasterKey::from_bytes([seed; 32]) };
            directory::write_file(&place.key_path(), place.key.to_file_text().as_bytes()).unwrap();
            place.open().close();
            place
        }

        fn key_path(&self) -> PathBuf {
            self.dir.join("master.key")
        }

        fn settings(&self) -> OpenSettings {
            let mut settings = OpenSettings::new(&self.dir);
            settings.free_space_floor = Some(0);
            settings
        }

        /// Opens it with the key that lies there.
        fn open(&self) -> Opened {
            let sealer = Arc::new(Sealer::new(&key_file::load(&self.key_path()).unwrap()));
            open::open(&self.settings(), &sealer, &Random::os(), &SystemClock::shared()).unwrap()
        }

        fn mark(&self) {
            let opened = self.open();
            let mut batch = opened.store.batch();
            batch.put(ClockHighWater::ROW, &ClockHighWater { at: Timestamp::from_secs(7) });
            wait(opened.store.commit(batch)).unwrap();
            opened.close();
        }

        fn export(&self) -> Vec<u8> {
            let opened = self.open();
            let mut bytes = Vec::new();
            snapshots::export_to(&opened.store, &mut bytes, Timestamp::from_secs(7)).unwrap();
            opened.close();
            bytes
        }

        fn is_marked(&self) -> bool {
            let opened = self.open();
            let is_free = is_free(&opened.store).unwrap();
            opened.close();
            !is_free
        }

        fn apply(&self) -> Applied {
            self.apply_with(&self.settings()).unwrap()
        }

        fn apply_with(&self, settings: &OpenSettings) -> Result<Applied, OpenError> {
            let path = self.key_path();
            apply(settings, (&path, Guard::Owner), &Random::os(), &SystemClock::shared(), &is_free)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    fn is_free(store: &Store) -> Result<bool, StoreError> {
        Ok(super::super::meta::read::<ClockHighWater>(store)?.is_none())
    }

    fn digest(place: &Place) -> [u8; 32] {
        sha256(fs::read(place.key_path()).unwrap())
    }

    /// BAK-02: a backup of another installation takes the place of an empty store, with its key, and waits for nobody
    /// else's eyes.
    #[test]
    fn a_restore_brings_store_and_key() {
        let (old, new) = (Place::new(1), Place::new(2));
        old.mark();
        stage(&new.dir, &old.export(), Some(&old.key)).unwrap();
        for (path, mode) in [("restore", 0o700), ("restore/export", 0o600), ("restore/key", 0o600)] {
            let found = fs::metadata(new.dir.join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{path}");
        }
        assert!(!new.is_marked(), "nothing has changed yet");
        assert!(matches!(new.apply(), Applied::Restored(_)));
        assert!(new.is_marked() && digest(&new) == digest(&old));
        assert!(!new.dir.join(PLACE).exists());
        assert!(matches!(new.apply(), Applied::Nothing));
    }

    /// FAIL-01: whatever the moment of a kill, the next start has the empty store or the restored one.
    #[test]
    fn a_restore_survives_a_kill_at_every_moment() {
        let (old, new) = (Place::new(1), Place::new(2));
        old.mark();
        let bytes = old.export();
        // While the files were written.
        directory::make_dir(&new.dir.join(UNFINISHED)).unwrap();
        directory::write_file(&new.dir.join(UNFINISHED).join(EXPORT), &bytes).unwrap();
        assert!(matches!(new.apply(), Applied::Nothing));
        assert!(!new.is_marked() && !new.dir.join(UNFINISHED).exists());
        // While the new store was built.
        stage(&new.dir, &bytes, Some(&old.key)).unwrap();
        directory::make_dir(&new.dir.join(directory::STORE_NEW)).unwrap();
        assert!(!new.is_marked());
        // Between the store and its key.
        let options = ImportOptions { replace: true, leniency: Leniency::default() };
        let sealer = Arc::new(Sealer::new(&old.key));
        let export = new.dir.join(PLACE).join(EXPORT);
        let clock = SystemClock::shared();
        restore::import(&new.settings(), &export, options, &sealer, &Random::os(), &clock).unwrap();
        assert_ne!(digest(&new), digest(&old));
        assert!(matches!(new.apply(), Applied::Finished));
        assert!(new.is_marked() && digest(&new) == digest(&old));
        // Between the key and the end.
        stage(&new.dir, &bytes, Some(&old.key)).unwrap();
        assert!(matches!(new.apply(), Applied::Kept(_)));
        assert!(new.is_marked() && !new.dir.join(PLACE).exists());
    }

    /// SET-02: a store that is somebody's by now stays; and a file that was spoiled meanwhile leaves the empty one.
    #[test]
    fn what_cannot_be_restored_is_put_away() {
        let (old, new) = (Place::new(1), Place::new(2));
        old.mark();
        let bytes = old.export();
        stage(&new.dir, bytes.get(..bytes.len() / 2).unwrap(), Some(&old.key)).unwrap();
        let Applied::Refused(_, kept) = new.apply() else { panic!("it was not refused") };
        assert!(kept.join(EXPORT).exists() && !kept.join(KEY).exists());
        assert!(!new.is_marked());
        new.mark();
        let before = digest(&new);
        stage(&new.dir, &bytes, Some(&old.key)).unwrap();
        let Applied::Kept(kept) = new.apply() else { panic!("it was not kept") };
        assert!(!kept.join(KEY).exists(), "no key lies about");
        assert!(new.is_marked() && digest(&new) == before);
    }

    /// FAIL-02: a full disk says nothing about the backup, which waits until there is room.
    #[test]
    fn a_full_disk_does_not_put_a_good_backup_away() {
        let (old, new) = (Place::new(1), Place::new(2));
        old.mark();
        stage(&new.dir, &old.export(), Some(&old.key)).unwrap();
        let mut full = new.settings();
        full.free_space_floor = Some(u64::MAX);
        let refused = new.apply_with(&full).unwrap_err();
        assert!(refused.refusal == Refusal::System && refused.to_string().contains("disk"), "{refused}");
        assert!(new.dir.join(PLACE).join(KEY).exists());
        assert!(matches!(new.apply(), Applied::Restored(_)));
        assert!(new.is_marked() && digest(&new) == digest(&old));
    }
}
