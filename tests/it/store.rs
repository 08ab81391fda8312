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
        settings.check_in_background = false;
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

#[test]
fn what_was_committed_is_there_after_the_next_open() {
    let place = Place::new();
    let opened = place.open();
    assert!(opened.is_new && opened.was_clean);
    let instance = opened.instance;
    put(&opened, "theme", "dark");
    opened.close();
    drop(opened);

    let opened = place.open();
    assert!(!opened.is_new && opened.was_clean);
    assert_eq!(opened.instance, instance);
    assert_eq!(get(&opened, "theme").as_deref(), Some("dark"));
    drop(opened);

    let opened = place.open();
    assert!(!opened.was_clean, "nobody closed it");
    assert_eq!(get(&opened, "theme").as_deref(), Some("dark"));
}

/// FAIL-01: each of sled's syncs is a real one in this binary.
#[test]
fn every_group_is_forced_to_disk_through_the_shim() {
    let place = Place::new();
    let opened = place.open();
    for number in 0..5 {
        let before = store::syncs();
        put(&opened, "counter", &number.to_string());
        assert!(store::syncs() > before);
    }
}

#[test]
fn waiting_batches_share_a_flush() {
    let place = Place::new();
    let opened = place.open();
    let before = opened.engine.stats();
    let mut waiting = Vec::new();
    for number in 0..64_u64 {
        for round in 0..10_u64 {
            let key = Table::SETTING.key(&(number * 100 + round).to_be_bytes());
            waiting.push(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![0; 100])])));
        }
    }
    for answer in waiting {
        wait(answer).unwrap();
    }
    let after = opened.engine.stats();
    assert_eq!(after.batches - before.batches, 640);
    let groups = after.groups - before.groups;
    assert!(groups <= 320, "640 batches took {groups} flushes");
    assert_eq!(after.queued, 0);
}

/// GEN-03: of any number of batches that consume the same object, one wins.
#[test]
fn exactly_one_of_many_conflicting_batches_wins() {
    let place = Place::new();
    let opened = place.open();
    let key = Table::SETTING.key(b"once");
    for round in 0..20_u32 {
        let seen = round.to_be_bytes().to_vec();
        wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key.clone(), seen.clone())]))).unwrap();
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                opened.engine.commit(raw(
                    vec![Precondition::Equals(key.clone(), seen.clone())],
                    vec![Write::Remove(key.clone())],
                ))
            })
            .collect();
        let verdicts: Vec<_> = waiting.into_iter().map(wait).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 1);
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Err(CommitError::Conflict)).count(), 49);
        assert_eq!(opened.engine.get(&key).unwrap(), None);
    }
}

#[test]
fn a_conflict_changes_nothing_and_runs_no_hook() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    let ran = Arc::new(AtomicU64::new(0));
    let count = ran.clone();
    let mut batch = opened.store.batch();
    batch.put(b"b", &Setting("2".to_owned())).insert_new(b"a", &Setting("3".to_owned())).after(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(wait(opened.store.commit(batch)), Err(CommitError::Conflict));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert!(opened.store.get::<Setting>(b"b").unwrap().is_none());
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
}

#[test]
fn hooks_run_in_commit_order_before_the_answer() {
    let place = Place::new();
    let opened = place.open();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..100_u32)
        .map(|number| {
            let order = order.clone();
            let mut batch = RawBatch {
                writes: vec![Write::Put(Table::SETTING.key(b"last"), number.to_be_bytes().to_vec())],
                ..RawBatch::default()
            };
            batch.after.push(Box::new(move || order.lock().unwrap().push(number)));
            opened.engine.commit(batch)
        })
        .collect();
    for (number, answer) in waiting.into_iter().enumerate() {
        wait(answer).unwrap();
        assert!(order.lock().unwrap().len() > number);
    }
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(opened.engine.get(&Table::SETTING.key(b"last")).unwrap(), Some(99_u32.to_be_bytes().to_vec()));
}

#[test]
fn a_hook_that_panics_stops_the_store() {
    let place = Place::new();
    let told = Arc::new(AtomicU64::new(0));
    let count = told.clone();
    let mut settings = place.settings();
    settings.on_failure = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let opened = place.open_with(&settings).unwrap();
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("1".to_owned())).after(|| panic!("a bug"));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Store(_))));
    assert!(matches!(wait(opened.store.commit(opened.store.batch())), Err(CommitError::Store(_))));
    opened.engine.close();
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(opened.engine.write_refusal().is_some());
}

#[test]
fn a_value_that_would_become_a_file_of_its_own_is_refused() {
    let place = Place::new();
    let opened = place.open();
    for number in 0..400_u32 {
        let key = Table::SETTING.key(&number.to_be_bytes());
        wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![number as u8; 3580])]))).unwrap();
    }
    let key = Table::SETTING.key(b"large");
    let refused = wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![1; 5000])])));
    assert!(matches!(refused, Err(CommitError::Store(store::StoreError::TooLarge { table: "setting" }))));
    opened.close();
    drop(opened);
    let _ = place.open();
    assert_eq!(fs::read_dir(place.dir.join("store/blobs")).unwrap().count(), 0);
}

/// FAIL-02: below the floor writes change nothing, reads go on, and space alone brings writes back.
#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    opened.engine.set_free_space_floor(u64::MAX);
    assert!(opened.engine.write_refusal().is_some());
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("2".to_owned()));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Unavailable(_))));
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
    assert!(snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).is_err());
    opened.engine.set_free_space_floor(0);
    assert_eq!(opened.engine.write_refusal(), None);
    put(&opened, "a", "2");
    opened.close();
    drop(opened);

    let mut settings = place.settings();
    settings.free_space_floor = Some(u64::MAX);
    let opened = place.open_with(&settings).unwrap();
    assert_eq!(get(&opened, "a").as_deref(), Some("2"), "a store opens for reading while the disk is full");
}

#[test]
fn a_closed_store_takes_no_writes_and_still_reads() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    opened.close();
    opened.close();
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("2".to_owned()));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Unavailable(_))));
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
}

/// FAIL-06
#[test]
fn a_second_process_is_refused() {
    let place = Place::new();
    let opened = place.open();
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Locked);
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(opened);
    let _ = place.open();
}

/// KEY-02
#[test]
fn a_directory_that_others_may_read_is_refused() {
    let place = filled(1);
    for mode in [0o750, 0o705, 0o770, 0o701] {
        fs::set_permissions(&place.dir, fs::Permissions::from_mode(mode)).unwrap();
        let refused = place.refusal();
        assert_eq!(refused.refusal, Refusal::Permissions);
        assert!(refused.to_string().contains(&format!("chmod 700 {}", place.dir.display())), "{refused}");
    }
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o700)).unwrap();
    let _ = place.open();
}

#[test]
fn everything_in_the_directory_is_for_its_owner_alone() {
    let place = filled(1);
    let opened = place.open();
    let snapshot =
        snapshots::take(&opened.store, &place.dir, Reason::Asked, Timestamp::from_secs(NOW)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.dir), 0o700);
    assert_eq!(mode(&place.dir.join("snapshots")), 0o700);
    assert_eq!(mode(&snapshot), 0o600);
}

/// FAIL-04: an empty store beside the traces of an installation would reopen its setup to whoever comes first.
#[test]
fn a_missing_store_is_never_replaced_by_an_empty_one() {
    let place = filled(3);
    let former = fs::read_to_string(place.dir.join("instance-id")).unwrap();
    fs::rename(place.dir.join("store"), place.dir.parent().unwrap().join("elsewhere")).unwrap();
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::DataMissing);
    assert!(refused.to_string().contains("--accept-new-store"), "{refused}");
    assert!(!place.dir.join("store").exists());

    fs::create_dir(place.dir.join("store")).unwrap();
    assert_eq!(place.refusal().refusal, Refusal::DataMissing, "an empty one is no better");

    let mut settings = place.settings();
    settings.accept_new_store = true;
    let opened = place.open_with(&settings).unwrap();
    assert!(opened.is_new);
    assert_ne!(format!("{}\n", opened.instance), former);
    assert!(place.quarantined().iter().any(|name| name.ends_with("instance-id")), "the former id is kept");
}

/// FAIL-04
#[test]
fn a_caller_that_knows_of_data_gets_no_empty_store() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.expect_data = true;
    assert_eq!(place.open_with(&settings).unwrap_err().refusal, Refusal::DataMissing);
    assert!(!store::has_data(&place.dir).unwrap());
    let _ = place.open();
    assert!(store::has_data(&place.dir).unwrap());
}

#[test]
fn a_store_of_another_installation_is_refused() {
    let (ours, theirs) = (filled(1), filled(1));
    fs::remove_dir_all(ours.dir.join("store")).unwrap();
    fs::rename(theirs.dir.join("store"), ours.dir.join("store")).unwrap();
    let refused = ours.refusal();
    assert_eq!(refused.refusal, Refusal::Foreign);
    assert!(refused.to_string().contains("instance-id"), "{refused}");
}

/// KEY-02
#[test]
fn a_wrong_master_key_is_named_as_such() {
    let mut place = filled(1);
    place.key = 8;
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::WrongKey);
    assert!(refused.to_string().contains("master key does not fit"), "{refused}");
    place.key = 7;
    assert_eq!(get(&place.open(), "row0"), Some("x".repeat(200)));
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let place = filled(1);
    let opened = place.open();
    let mut batch = opened.store.batch();
    let schema = meta::Schema { version: meta::SCHEMA_VERSION + 1, app: "99.0.0".to_owned() };
    meta::put(&mut batch, &schema);
    wait(opened.store.commit(batch)).unwrap();
    drop(opened);
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Newer);
    assert!(refused.to_string().contains("99.0.0"), "{refused}");
}

/// Runs the command that a refusal names, through the library.
fn follow(place: &Place, refused: &OpenError) -> store::ImportReport {
    let text = refused.to_string();
    let (_, path) = text.rsplit_once("doorward store import --replace ").expect(&text);
    place.import(Path::new(path), REPLACE).unwrap()
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

#[test]
fn a_truncated_store_names_the_snapshot_that_restores_it() {
    let (place, snapshot) = with_snapshot();
    let db = fs::OpenOptions::new().write(true).open(place.dir.join("store/db")).unwrap();
    db.set_len(db.metadata().unwrap().len() / 3).unwrap();
    drop(db);
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Damaged, "{refused}");
    assert!(refused.to_string().contains(&snapshot.display().to_string()), "{refused}");

    place.clock.advance(Duration::from_secs(3600));
    let report = follow(&place, &refused);
    assert_eq!(report.counts.get("setting"), Some(&300));
    assert!(report.kept.unwrap().join("db").exists(), "the damaged store is kept");
    let opened = place.open();
    for number in 0..300 {
        assert_eq!(get(&opened, &format!("row{number}")), Some("x".repeat(200)));
    }
    assert_eq!(meta::not_before(&opened.store).unwrap(), Timestamp::from_secs(NOW + 3600));
}

/// Whatever bit is flipped: the store refuses with the way back, or what it reads is right. (A flip in the newest
/// part of sled's log can make it forget the newest records without a word; the snapshot is what remains then.)
#[test]
fn a_flipped_bit_never_yields_a_wrong_value() {
    let (place, _) = with_snapshot();
    let original = fs::read(place.dir.join("store/db")).unwrap();
    for trial in 0..24_usize {
        let mut damaged = original.clone();
        let at = (trial * 7919 + 4096) * 37 % damaged.len();
        damaged[at] ^= 1 << (trial % 8);
        let copy = Place::new();
        fs::create_dir_all(copy.dir.join("store/blobs")).unwrap();
        fs::set_permissions(&copy.dir, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(place.dir.join("store/conf"), copy.dir.join("store/conf")).unwrap();
        fs::copy(place.dir.join("instance-id"), copy.dir.join("instance-id")).unwrap();
        fs::write(copy.dir.join("store/db"), damaged).unwrap();
        match copy.open_with(&copy.settings()) {
            Err(error) => {
                let is_plain = matches!(
                    error.refusal,
                    Refusal::Damaged | Refusal::DataMissing | Refusal::WrongKey | Refusal::Foreign
                );
                assert!(is_plain && error.to_string().contains("doorward"), "byte {at}: {error}");
            }
            Ok(opened) => {
                for number in 0..300 {
                    let row = format!("row{number}");
                    if let Ok(Some(found)) = opened.store.get::<Setting>(row.as_bytes()) {
                        assert_eq!(found.value.0, "x".repeat(200), "byte {at}");
                    }
                    if let Ok(Some(found)) = opened.store.get::<Sealed>(row.as_bytes()) {
                        assert_eq!(found.value.0, "x".repeat(200), "byte {at}");
                    }
                }
                let report = store::check_now(opened.store.engine(), &copy.sealer());
                drop(report);
            }
        }
    }
}

/// Runs `work` on a thread that acts as the user `nobody`, if we may do that.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::fs::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

/// FAIL-04: no permission to read is not "nothing is there".
#[test]
fn a_store_that_may_not_be_read_is_refused() {
    let (place, snapshot) = with_snapshot();
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(place.dir.join("store/db"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let nobody = (Some(65534), Some(65534));
    let whole = |path: &Path| {
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(path, nobody.0, nobody.1).unwrap();
        }
    };
    if rustix::process::geteuid().is_root() {
        let refused = as_nobody(|| place.refusal());
        assert_eq!(refused.refusal, Refusal::Permissions, "{refused}");
        assert!(
            refused.to_string().contains(&format!("chown -R 65534 {}", place.dir.display())),
            "{refused}"
        );
    }
    for path in [
        &place.dir,
        &place.dir.join("lock"),
        &place.dir.join("store"),
        &place.dir.join("snapshots"),
        &snapshot,
    ] {
        whole(path);
    }
    let before = fs::read(place.dir.join("instance-id")).unwrap();
    let refused = as_nobody(|| place.refusal());
    assert_eq!(refused.refusal, Refusal::Permissions, "{refused}");
    assert!(refused.to_string().contains(&snapshot.display().to_string()), "{refused}");
    assert_eq!(fs::read(place.dir.join("instance-id")).unwrap(), before);
    fs::set_permissions(place.dir.join("store/db"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(get(&place.open(), "row0"), Some("x".repeat(200)), "nothing was harmed");
}

/// sled takes a half-written snapshot of its page table for the newest one and then does not open.
#[test]
fn a_half_written_page_table_snapshot_is_set_aside() {
    let place = filled(50);
    fs::write(place.dir.join("store/snap.FFFFFFFFFFFFFFF0.generating"), b"half").unwrap();
    assert_eq!(get(&place.open(), "row49"), Some("x".repeat(200)));
    assert!(place.quarantined().iter().any(|name| name.ends_with(".generating")));
}

#[test]
fn a_damaged_page_table_snapshot_costs_nothing() {
    let place = filled(50);
    let mut damaged = 0;
    for entry in fs::read_dir(place.dir.join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            damaged += 1;
        }
    }
    if damaged == 0 {
        fs::write(place.dir.join("store/snap.FFFFFFFFFFFFFFF0"), b"damaged").unwrap();
    }
    let opened = place.open();
    for number in 0..50 {
        assert_eq!(get(&opened, &format!("row{number}")), Some("x".repeat(200)));
    }
    assert!(place.quarantined().iter().any(|name| name.ends_with("store")), "the damaged store is kept");
}

#[test]
fn a_snapshot_under_load_shows_one_moment() {
    let place = filled(1);
    let opened = Arc::new(place.open());
    let key = |number: u64| Table::SETTING.key(&(1_000_000 + number).to_be_bytes());
    // Every batch adds one to all of 3000 rows spread over the table, ten rows at a time in one batch per step would
    // tear; so each batch rewrites the same 100 rows with one number.
    let rows: Vec<Vec<u8>> = (0..100).map(|row| key(row * 37)).collect();
    for filler in 0..5000 {
        let write = Write::Put(Table::SESSION.key(&(filler as u64).to_be_bytes()), vec![1; 20]);
        drop(opened.engine.commit(raw(Vec::new(), vec![write])));
    }
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (writer, rows_written, stopped) = (opened.clone(), rows.clone(), stop.clone());
    let thread = std::thread::spawn(move || {
        let mut number = 0_u64;
        while !stopped.load(Ordering::SeqCst) {
            number += 1;
            let writes = rows_written
                .iter()
                .map(|key| Write::Put(key.clone(), number.to_be_bytes().to_vec()))
                .collect();
            match wait(writer.engine.commit(raw(Vec::new(), writes))) {
                Ok(()) | Err(CommitError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        number
    });
    std::thread::sleep(Duration::from_millis(50));
    let mut moments = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let pairs: Vec<_> = opened.engine.snapshot().unwrap().map(Result::unwrap).collect();
        assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0), "in key order");
        let seen: std::collections::BTreeSet<_> =
            pairs.iter().filter(|(key, _)| rows.contains(key)).map(|(_, value)| value.clone()).collect();
        assert_eq!(seen.len(), 1, "the snapshot is torn");
        moments.extend(seen);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(thread.join().unwrap() > 10);
    assert!(moments.len() > 1, "nothing was written meanwhile");
}

/// BAK-01, BAK-03
#[test]
fn a_restore_ends_sessions_and_refuses_what_was_issued_before() {
    let place = filled(2);
    let opened = place.open();
    let mut batch = opened.store.batch();
    let expires = Timestamp::from_secs(NOW + 1000);
    batch.put(b"session", &Passing { expires }).expire::<Passing>(b"session", expires);
    wait(opened.store.commit(batch)).unwrap();
    let snapshot =
        snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    drop(opened);
    assert_eq!(
        place.import(&snapshot, ImportOptions::default()).unwrap_err().refusal,
        Refusal::BadExport,
        "only --replace replaces"
    );
    place.clock.advance(Duration::from_secs(60));
    let report = place.import(&snapshot, REPLACE).unwrap();
    assert_eq!(report.ended, 2);
    let opened = place.open();
    assert!(opened.store.get::<Passing>(b"session").unwrap().is_none());
    assert_eq!(meta::read::<NotBefore>(&opened.store).unwrap().unwrap().at, Timestamp::from_secs(NOW + 60));
    assert_eq!(get(&opened, "row1"), Some("x".repeat(200)));
}

/// BAK-02: the whole file is checked before anything is touched.
#[test]
fn a_damaged_export_changes_nothing() {
    let (place, snapshot) = with_snapshot();
    let text = fs::read(&snapshot).unwrap();
    let bad = place.dir.parent().unwrap().join("bad");
    let mut flipped = text.clone();
    flipped[text.len() / 2] ^= 1;
    let middle = text.iter().take(text.len() / 2).rposition(|byte| *byte == b'\n').unwrap();
    let line_gone: Vec<u8> = {
        let next = text.iter().skip(middle + 1).position(|byte| *byte == b'\n').unwrap() + middle + 1;
        text[..middle].iter().chain(&text[next..]).copied().collect()
    };
    for damaged in [
        text[..text.len() - 1].to_vec(),
        text[..=middle].to_vec(),
        flipped,
        line_gone,
        b"{}\n".to_vec(),
        Vec::new(),
    ] {
        fs::write(&bad, &damaged).unwrap();
        let refused = place.import(&bad, REPLACE).unwrap_err();
        assert_eq!(refused.refusal, Refusal::BadExport, "{refused}");
        assert!(place.quarantined().is_empty());
    }
    let mut other = Place::new();
    other.key = 9;
    assert_eq!(other.import(&snapshot, REPLACE).unwrap_err().refusal, Refusal::BadExport, "a wrong key");
    assert_eq!(get(&place.open(), "row299"), Some("x".repeat(200)));
}

#[test]
fn salvage_keeps_every_sound_record() {
    let (place, snapshot) = with_snapshot();
    let mut lines: Vec<Vec<u8>> =
        fs::read(&snapshot).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let is_row = |line: &[u8]| line.starts_with(b"{\"t\":\"setting\"");
    let first = lines.iter().position(|line| is_row(line)).unwrap();
    lines[first][40] ^= 1;
    lines[first + 1] = b"garbage".to_vec();
    lines[first + 2] = vec![b'x'; 40_000];
    lines.truncate(lines.len() - 4);
    let bad = place.dir.parent().unwrap().join("bad");
    fs::write(&bad, lines.join(&b'\n')).unwrap();
    let options = ImportOptions { replace: true, leniency: Leniency { salvage: true, skip_unknown: false } };
    let report = place.import(&bad, options).unwrap();
    assert_eq!(report.counts.get("setting"), Some(&297));
    assert!(report.damaged >= 3, "{report:?}");
    let opened = place.open();
    assert_eq!(opened.store.scan::<Setting>(b"", None, 1000).unwrap().len(), 297);
}

#[test]
fn unknown_records_are_an_error_unless_skipped() {
    let (place, snapshot) = with_snapshot();
    let text = fs::read_to_string(&snapshot).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let extra = r#"{"t":"starship","k":"AAAA","v":"AAAA"}"#;
    lines.insert(1, extra);
    let end = lines.pop().unwrap();
    let before: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (start, _) = end.split_once("\"sha256\"").unwrap();
    let hash = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(before.as_bytes()));
    let future = place.dir.parent().unwrap().join("future");
    fs::write(&future, format!("{before}{start}\"sha256\":\"{hash}\"}}\n")).unwrap();
    let refused = place.import(&future, REPLACE).unwrap_err();
    assert!(refused.to_string().contains("starship"), "{refused}");
    let options = ImportOptions { replace: true, leniency: Leniency { salvage: false, skip_unknown: true } };
    assert_eq!(place.import(&future, options).unwrap().unknown, 1);
}

#[test]
fn compaction_keeps_every_record_and_gives_space_back() {
    let place = Place::new();
    let opened = place.open();
    for round in 0..60_u8 {
        for part in 0..20_u64 {
            let writes = (0..40_u64)
                .map(|row| Write::Put(Table::SETTING.key(&(part * 40 + row).to_be_bytes()), vec![round; 400]))
                .collect();
            drop(opened.engine.commit(raw(Vec::new(), writes)));
        }
        wait(opened.engine.commit(RawBatch::default())).unwrap();
    }
    put(&opened, "a", "1");
    let before: Vec<_> = opened.engine.snapshot().unwrap().map(Result::unwrap).collect();
    opened.close();
    let instance = opened.instance;
    drop(opened);
    let report = store::compact(&place.settings(), &place.sealer(), &Random::os(), &place.clock()).unwrap();
    assert_eq!(report.records, before.len() as u64);
    assert!(report.after < report.before, "{report:?}");
    let opened = place.open();
    assert!(opened.was_clean);
    assert_eq!(opened.instance, instance);
    let strip = |pairs: Vec<(Vec<u8>, Vec<u8>)>| -> Vec<_> {
        pairs.into_iter().filter(|(key, _)| key != &Table::META.key(b"clean_stop")).collect()
    };
    assert_eq!(strip(opened.engine.snapshot().unwrap().map(Result::unwrap).collect()), strip(before));
    for gone in ["store.new", "store.old", "store.swap"] {
        assert!(!place.dir.join(gone).exists(), "{gone}");
    }
}

#[test]
fn a_bloated_store_is_compacted_at_start() {
    let place = Place::new();
    let opened = place.open();
    let mut waiting = Vec::new();
    for part in 0..500_u64 {
        let writes = (0..50_u64)
            .map(|row| Write::Put(Table::AUDIT.key(&(part * 50 + row).to_be_bytes()), vec![7; 3500]))
            .collect();
        waiting.push(opened.engine.commit(raw(Vec::new(), writes)));
        if waiting.len() == 20 {
            waiting.drain(..).for_each(|answer| wait(answer).unwrap());
        }
    }
    for part in 0..500_u64 {
        let writes = (0..50_u64)
            .map(|row| Write::Remove(Table::AUDIT.key(&(part * 50 + row).to_be_bytes())))
            .collect();
        drop(opened.engine.commit(raw(Vec::new(), writes)));
    }
    put(&opened, "a", "1");
    opened.close();
    drop(opened);
    let size = || fs::metadata(place.dir.join("store/db")).unwrap().len();
    assert!(size() > 64 * 1024 * 1024, "{}", size());
    let opened = place.open();
    assert!(size() < 4 * 1024 * 1024, "{}", size());
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
    assert!(opened.engine.scan(&[Table::AUDIT.tag], None, 10, false).unwrap().is_empty());
}

/// A crash between any two steps of a swap leaves a store that opens, old or new, whole.
#[test]
fn an_interrupted_swap_is_finished_at_the_next_start() {
    for stage in 0..3 {
        let place = filled(3);
        let instance = fs::read_to_string(place.dir.join("instance-id")).unwrap();
        let newer = filled(5);
        let newer_instance = fs::read_to_string(newer.dir.join("instance-id")).unwrap();
        fs::rename(newer.dir.join("store"), place.dir.join("store.new")).unwrap();
        let expected = if stage == 0 {
            // Not decided yet.
            (instance, 3)
        } else {
            fs::write(place.dir.join("store.swap"), format!("store.old\n{newer_instance}")).unwrap();
            if stage == 2 {
                fs::rename(place.dir.join("store"), place.dir.join("store.old")).unwrap();
            }
            (newer_instance, 5)
        };
        let opened = place.open();
        assert_eq!(format!("{}\n", opened.instance), expected.0);
        assert_eq!(opened.store.scan::<Setting>(b"", None, 10).unwrap().len(), expected.1);
        for gone in ["store.new", "store.old", "store.swap"] {
            assert!(!place.dir.join(gone).exists(), "{gone} at stage {stage}");
        }
    }
}

#[test]
fn snapshots_are_listed_with_what_reading_them_showed() {
    let (place, first) = with_snapshot();
    let opened = place.open();
    let second =
        snapshots::take(&opened.store, &place.dir, Reason::Asked, Timestamp::from_secs(NOW + 9)).unwrap();
    assert!(!snapshots::is_daily_due(&place.dir, Timestamp::from_secs(NOW + 9)).unwrap());
    assert!(snapshots::is_daily_due(&place.dir, Timestamp::from_secs(NOW + 86_400)).unwrap());
    let mut text = fs::read(&second).unwrap();
    let middle = text.len() / 2;
    text[middle] ^= 1;
    fs::write(&second, text).unwrap();
    let listed = snapshots::list(&place.dir, Some(&place.sealer())).unwrap();
    let paths: Vec<_> = listed.iter().map(|snapshot| snapshot.path.clone()).collect();
    assert_eq!(paths, [second, first]);
    assert!(listed[0].state.is_err());
    assert!(listed[1].state.is_ok());
}

#[test]
fn the_check_in_the_background_counts_what_is_damaged() {
    let place = filled(20);
    let opened = place.open();
    let mut value = opened.engine.get(&Table::PASSWORD.key(b"row3")).unwrap().unwrap();
    value[30] ^= 1;
    let wrong = Write::Put(Table::SETTING.key(b"row4"), b"no envelope".to_vec());
    let moved = Write::Put(
        Table::PASSWORD.key(b"row5"),
        opened.engine.get(&Table::PASSWORD.key(b"row6")).unwrap().unwrap(),
    );
    let damaged = Write::Put(Table::PASSWORD.key(b"row3"), value);
    wait(opened.engine.commit(raw(Vec::new(), vec![damaged, wrong, moved]))).unwrap();
    drop(opened);
    let mut settings = place.settings();
    settings.check_in_background = true;
    let opened = place.open_with(&settings).unwrap();
    for _ in 0..500 {
        if opened.check.report().is_finished {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = opened.check.report();
    assert!(report.is_finished);
    assert_eq!(report.damaged, 3);
    assert!(report.checked > 40);
    snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    let listed = snapshots::list(&place.dir, Some(&place.sealer())).unwrap();
    let (_, report) = listed[0].state.as_ref().unwrap();
    assert_eq!(report.left_out, 3, "one damaged value does not end the making of backups");
}

#[test]
fn purge_removes_what_expired_and_follows_what_slid() {
    let place = Place::new();
    let opened = place.open();
    let at = |secs: u64| Timestamp::from_secs(NOW + secs);
    let mut batch = opened.store.batch();
    for (row, indexed, expires) in [("gone", 10, 10), ("slid", 10, 500), ("later", 900, 900)] {
        batch
            .put(row.as_bytes(), &Passing { expires: at(expires) })
            .expire::<Passing>(row.as_bytes(), at(indexed));
    }
    batch.expire::<Passing>(b"never", at(5));
    wait(opened.store.commit(batch)).unwrap();
    let rows = || -> Vec<String> {
        let found = opened.store.scan::<Passing>(b"", None, 10).unwrap();
        found.into_iter().map(|(row, _)| String::from_utf8(row).unwrap()).collect()
    };
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 2)).unwrap(), 2);
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 2)).unwrap(), 1);
    assert_eq!(rows(), ["later", "slid"]);
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 100)).unwrap(), 0);
    assert_eq!(wait(opened.store.purge::<Passing>(at(500), 100)).unwrap(), 1);
    assert_eq!(rows(), ["later"]);
    assert_eq!(wait(opened.store.purge::<Passing>(at(900), 100)).unwrap(), 1);
    assert!(opened.engine.scan(b"x", None, 10, false).unwrap().is_empty());
}

/// FAIL-03
#[test]
fn a_clock_behind_its_high_water_mark_is_noticed_after_a_restart() {
    let place = Place::new();
    let opened = place.open();
    let mark = ClockMark::load(&opened.store).unwrap();
    let at = |secs: u64| Timestamp::from_secs(NOW + secs);
    assert!(!mark.is_clock_behind(at(0)));
    wait(mark.persist(&opened.store, at(10_000))).unwrap();
    wait(mark.persist(&opened.store, at(9_000))).unwrap();
    drop(opened);
    let opened = place.open();
    let mark = ClockMark::load(&opened.store).unwrap();
    assert_eq!(mark.at(), at(10_000));
    assert!(mark.is_clock_behind(at(9_000)));
    assert!(mark.is_clock_behind(Timestamp::ZERO));
    assert!(!mark.is_clock_behind(at(9_990)), "a small step back is NTP at work");
    wait(mark.reset(&opened.store, at(100))).unwrap();
    assert!(!mark.is_clock_behind(at(100)));
    assert_eq!(ClockMark::load(&opened.store).unwrap().at(), at(100));
}

#[derive(Clone, Debug)]
enum Step {
    Commit { preconditions: Vec<(u8, Option<u8>)>, writes: Vec<(u8, Option<u8>)> },
    Scan { prefix: Vec<u8>, from: Option<Vec<u8>>, limit: usize, descending: bool },
}

/// Keys that share prefixes and end in the bytes that are awkward for ranges.
fn key(index: u8) -> Vec<u8> {
    const TAILS: [&[u8]; 8] = [b"", b"\0", b"a", b"a\xff", b"\xff", b"\xff\xff", b"b", b"ba"];
    let mut key = vec![[b'a', b'c', b's'][usize::from(index / 8 % 3)]];
    key.extend_from_slice(TAILS[usize::from(index % 8)]);
    key
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pairs = |most| proptest::collection::vec((0..24_u8, proptest::option::of(0..3_u8)), 0..most);
    let commit =
        (pairs(3), pairs(6)).prop_map(|(preconditions, writes)| Step::Commit { preconditions, writes });
    let bound = || proptest::option::of((0..24_u8).prop_map(key));
    let prefix = prop_oneof![Just(Vec::new()), (0..24_u8).prop_map(key)];
    let scan = (prefix, bound(), 0..20_usize, any::<bool>())
        .prop_map(|(prefix, from, limit, descending)| Step::Scan { prefix, from, limit, descending });
    proptest::collection::vec(prop_oneof![2 => commit, 1 => scan], 1..60)
}

fn to_batch(preconditions: &[(u8, Option<u8>)], writes: &[(u8, Option<u8>)]) -> RawBatch {
    raw(
        preconditions
            .iter()
            .map(|(index, value)| match value {
                Some(value) => Precondition::Equals(key(*index), vec![*value]),
                None => Precondition::Absent(key(*index)),
            })
            .collect(),
        writes
            .iter()
            .map(|(index, value)| match value {
                Some(value) => Write::Put(key(*index), vec![*value]),
                None => Write::Remove(key(*index)),
            })
            .collect(),
    )
}

/// The real engine and the model agree on every verdict, every scan and the final state, also when batches share a
/// group.
#[test]
fn the_engine_behaves_like_its_model() {
    let place = Place::new();
    let opened = place.open();
    let engine: &dyn Engine = opened.engine.as_ref();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(steps(), any::<bool>()), |(steps, waits)| {
            let model = MemoryEngine::default();
            let clear: Vec<Write> = [b'a', b'c', b's']
                .iter()
                .flat_map(|tag| engine.scan(&[*tag], None, 1000, false).unwrap())
                .map(|(key, _)| Write::Remove(key))
                .collect();
            wait(engine.commit(raw(Vec::new(), clear))).unwrap();
            let mut waiting = Vec::new();
            for step in &steps {
                match step {
                    Step::Commit { preconditions, writes } => {
                        let expected = wait(model.commit(to_batch(preconditions, writes)));
                        let answer = engine.commit(to_batch(preconditions, writes));
                        if waits {
                            prop_assert_eq!(wait(answer), expected);
                        } else {
                            waiting.push((answer, expected));
                        }
                    }
                    Step::Scan { prefix, from, limit, descending } => {
                        for (answer, expected) in waiting.drain(..) {
                            prop_assert_eq!(wait(answer), expected);
                        }
                        let scan = |engine: &dyn Engine| {
                            let mut found = engine.scan(prefix, from.as_deref(), 1000, *descending).unwrap();
                            found.retain(|(key, _)| matches!(key.first(), Some(b'a' | b'c' | b's')));
                            found.truncate(*limit);
                            found
                        };
                        prop_assert_eq!(scan(engine), scan(&model));
                        if !prefix.is_empty() {
                            let limited = |engine: &dyn Engine| {
                                engine.scan(prefix, from.as_deref(), *limit, *descending).unwrap()
                            };
                            prop_assert_eq!(limited(engine), limited(&model));
                        }
                    }
                }
            }
            for (answer, expected) in waiting {
                prop_assert_eq!(wait(answer), expected);
            }
            let all = |engine: &dyn Engine| -> Vec<(Vec<u8>, Vec<u8>)> {
                let pairs = engine.snapshot().unwrap().map(Result::unwrap);
                pairs.filter(|(key, _)| matches!(key.first(), Some(b'a' | b'c' | b's'))).collect()
            };
            prop_assert_eq!(all(engine), all(&model));
            for index in 0..24 {
                prop_assert_eq!(engine.get(&key(index)).unwrap(), model.get(&key(index)).unwrap());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_export_reads_back_what_was_written() {
    let (place, snapshot) = with_snapshot();
    let file = std::io::BufReader::new(fs::File::open(&snapshot).unwrap());
    let (header, report) = export::verify(file, Some(&place.sealer())).unwrap();
    assert_eq!(header.schema, meta::SCHEMA_VERSION);
    assert!(report.is_whole);
    assert_eq!(report.counts.get("setting"), Some(&300));
    assert_eq!(report.counts.get("password"), Some(&300));
}

/// Clocks move under the keeper as they would in a day.
#[test]
fn the_keeper_takes_daily_snapshots_and_remembers_the_time() {
    let place = filled(1);
    let opened = place.open();
    let mark = Arc::new(ClockMark::load(&opened.store).unwrap());
    let mut keeper =
        store::Keeper::start(opened.store.clone(), &place.dir, place.clock(), mark.clone()).unwrap();
    let count = || snapshots::list(&place.dir, None).unwrap().len();
    for day in 1..=2 {
        place.clock.set_wall(Timestamp::from_secs(NOW + day * 86_400));
        for _ in 0..20 {
            // The thread may read the clock for the first time only now.
            place.clock.advance(Duration::from_secs(300));
            std::thread::sleep(Duration::from_millis(1100));
            if count() == day as usize {
                break;
            }
        }
        assert_eq!(count(), day as usize);
    }
    place.clock.set_wall(Timestamp::from_secs(NOW + 3 * 86_400));
    keeper.stop();
    assert_eq!(ClockMark::load(&opened.store).unwrap().at(), Timestamp::from_secs(NOW + 3 * 86_400));
}

/// The commands as the administrator runs them.
#[test]
fn the_commands_export_replace_check_and_list() {
    use doorward::cli::store::{StoreCommand, StoreContext, run};
    let (place, snapshot) = with_snapshot();
    let context = StoreContext {
        settings: place.settings(),
        sealer: place.sealer(),
        random: Random::os(),
        clock: place.clock(),
    };
    let run = |command: StoreCommand| {
        let mut out = Vec::new();
        run(&command, &context, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    let file = place.dir.parent().unwrap().join("out");
    assert!(run(StoreCommand::Export { file: file.clone() }).unwrap().contains("verified"));
    assert!(run(StoreCommand::Export { file: file.clone() }).is_err(), "an export overwrites nothing");
    let text = run(StoreCommand::Export { file: "-".into() }).unwrap();
    assert!(text.starts_with("{\"format\":\"doorward-export\"") && text.ends_with("\"}\n"));
    assert!(run(StoreCommand::Check).unwrap().contains(" 0 damaged"));
    assert!(run(StoreCommand::Compact).unwrap().contains("records"));
    assert!(run(StoreCommand::Snapshots { take: true }).unwrap().matches("verified").count() == 2);
    assert!(run(StoreCommand::ResetClock).unwrap().contains("2026"));
    let import =
        |replace| StoreCommand::Import { file: file.clone(), replace, salvage: false, skip_unknown: false };
    assert!(run(import(false)).unwrap_err().contains("--replace"));
    assert!(run(import(true)).unwrap().contains("is kept in"));
    let opened = place.open();
    assert_eq!(get(&opened, "row299"), Some("x".repeat(200)));
    let refused = run(StoreCommand::Export { file: "-".into() }).unwrap_err();
    assert!(refused.contains("Another Doorward") && refused.contains("snapshots/"), "{refused}");
    drop(snapshot);
}
