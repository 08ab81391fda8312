//! The store on a real disk: what it promises about durability, atomicity, damage and recovery.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward::crypto::keys::MasterKey;
use doorward::crypto::sealed::Sealer;
use doorward::kernel::random::Random;
use doorward::kernel::time::{SharedClock, TestClock, Timestamp};
use doorward::store::clock_mark::ClockMark;
use doorward::store::export::{self, Leniency};
use doorward::store::meta::{self, NotBefore};
use doorward::store::snapshots::{self, Reason};
use doorward::store::{
    self, CommitError, Engine, ImportOptions, MemoryEngine, OpenError, OpenSettings, Opened, Precondition,
    RawBatch, Record, Refusal, Table, Write, wait,
};
use proptest::prelude::*;

mod engine;
mod opening;
mod recovery;
mod upkeep;

const NOW: u64 = 1_795_000_000;

/// A directory of its own that is removed at the end.
struct Place {
    dir: PathBuf,
    clock: Arc<TestClock>,
    key: u8,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.dir.parent().unwrap());
    }
}

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = std::env::temp_dir().join(format!("doorward-store-{}-{number}", std::process::id()));
        fs::create_dir(&parent).unwrap();
        Place { dir: parent.join("data"), clock: TestClock::at(Timestamp::from_secs(NOW)), key: 7 }
    }

    fn settings(&self) -> OpenSettings {
        let mut settings = OpenSettings::new(&self.dir);
        settings.free_space_floor = Some(1024 * 1024);
        settings.on_failure = Arc::new(|_| {});
        settings
    }

    fn sealer(&self) -> Arc<Sealer> {
        Arc::new(Sealer::new(&MasterKey::from_bytes([self.key; 32])))
    }

    fn clock(&self) -> SharedClock {
        self.clock.clone()
    }

    fn open_with(&self, settings: &OpenSettings) -> Result<Opened, OpenError> {
        store::open(settings, &self.sealer(), &Random::os(), &self.clock())
    }

    fn open(&self) -> Opened {
        self.open_with(&self.settings()).unwrap()
    }

    fn refusal(&self) -> OpenError {
        self.open_with(&self.settings()).unwrap_err()
    }

    fn import(&self, source: &Path, options: ImportOptions) -> Result<store::ImportReport, OpenError> {
        store::import(&self.settings(), source, options, &self.sealer(), &Random::os(), &self.clock())
    }

    fn quarantined(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.join("quarantine")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const REPLACE: ImportOptions =
    ImportOptions { replace: true, leniency: Leniency { salvage: false, skip_unknown: false } };

#[derive(serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq)]
struct Setting(String);
impl Record for Setting {
    const TABLE: Table = Table::SETTING;
    const VERSION: u8 = 1;
}

#[derive(serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq)]
struct Sealed(String);
impl Record for Sealed {
    const TABLE: Table = Table::PASSWORD;
    const VERSION: u8 = 1;
}

#[derive(serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq)]
struct Passing {
    expires: Timestamp,
}
impl Record for Passing {
    const TABLE: Table = Table::SESSION;
    const VERSION: u8 = 1;
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires)
    }
}

fn put(opened: &Opened, row: &str, value: &str) {
    let mut batch = opened.store.batch();
    batch.put(row.as_bytes(), &Setting(value.to_owned()));
    batch.put(row.as_bytes(), &Sealed(value.to_owned()));
    wait(opened.store.commit(batch)).unwrap();
}

fn get(opened: &Opened, row: &str) -> Option<String> {
    let plain = opened.store.get::<Setting>(row.as_bytes()).unwrap().map(|found| found.value.0);
    let sealed = opened.store.get::<Sealed>(row.as_bytes()).unwrap().map(|found| found.value.0);
    assert_eq!(plain, sealed);
    plain
}

fn raw(preconditions: Vec<Precondition>, writes: Vec<Write>) -> RawBatch {
    RawBatch { preconditions, writes, after: Vec::new() }
}

/// A store with `count` rows that was closed.
fn filled(count: u32) -> Place {
    let place = Place::new();
    let opened = place.open();
    for number in 0..count {
        put(&opened, &format!("row{number}"), &"x".repeat(200));
    }
    opened.close();
    place
}

fn with_snapshot() -> (Place, PathBuf) {
    let place = filled(300);
    let opened = place.open();
    let snapshot =
        snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    opened.close();
    drop(opened);
    (place, snapshot)
}
