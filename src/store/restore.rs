//! Rewriting a store: import of an export, restore of a snapshot, compaction.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::beginning;
use super::directory::{self, DirectoryLock, STORE, STORE_NEW};
use super::engine::{CommitError, Engine, RawBatch, StoreError, Write};
use super::export::{self, Counts, ExportError, Leniency, Reader};
use super::guarded;
use super::meta::{self, Canary, Contents, Instance, NotBefore, OLDEST_SCHEMA, Schema, Single as _};
use super::open::{OpenError, OpenSettings, Opening, Refusal};
use super::sled_engine::SledEngine;
use super::swap::{self, Old};
use super::tables::{EXPIRY_TAG, Table};
use super::{Record as _, Store, check, envelope, progress, wait};
use crate::crypto::sealed::Sealer;
use crate::kernel::ids::InstanceId;
use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;

/// What a restore leaves behind: whoever had one of these has to begin anew (BAK-03).
const ENDED_BY_RESTORE: [Table; 4] = [Table::SESSION, Table::LINK, Table::TOTP_PENDING, Table::HANDOFF];

/// Below this size a store is not worth compacting at start.
const SMALLEST_TO_COMPACT: u64 = 64 * 1024 * 1024;
/// A store is worth compacting at start if it is this many times larger than its records.
const BLOAT: u64 = 4;

/// How to import.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Moves the store that is there into the quarantine.
    pub replace: bool,
    /// How forgiving to be about the file.
    pub leniency: Leniency,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// Records in the store now, by table.
    pub counts: Counts,
    /// Sessions, links and pending enrolments that were left out (BAK-03).
    pub ended: u64,
    /// Damaged lines that were left out; only with salvage.
    pub damaged: u64,
    /// Records of unknown tables that were left out.
    pub unknown: u64,
    /// Whether a holder of the master key was proven to have written all of it; otherwise only with salvage.
    pub is_authentic: bool,
    /// The installation.
    pub instance: InstanceId,
    /// Where the store that was replaced is kept.
    pub kept: Option<PathBuf>,
}

/// Reads the export `source` into a new store and puts it in place. The whole file is checked, and that a holder of the
/// master key wrote it, before anything is touched; the old store is kept in the quarantine; everything issued before now is refused afterwards (BAK-02, BAK-03).
/// The server must not run.
///
/// # Errors
/// [`OpenError`], after which the old store is in its place as it was.
pub fn import(
    settings: &OpenSettings,
    source: &Path,
    options: ImportOptions,
    sealer: &Arc<Sealer>,
    random: &Random,
    clock: &SharedClock,
) -> Result<ImportReport, OpenError> {
    let opening = Opening { settings, sealer, random, now: clock.now() };
    let _lock = opening.enter()?;
    let has_data = super::open::has_store(&settings.dir).map_err(|error| opening.system(&error))?;
    if has_data && !options.replace {
        return Err(OpenError::new(
            Refusal::BadExport,
            format!(
                "There is a store in {} already. To move it to the quarantine and import: {} store import --replace {}",
                settings.dir.display(),
                settings.program,
                source.display()
            ),
        ));
    }
    let bad = |error: ExportError| bad_export(source, &error);
    if !options.leniency.salvage {
        let reader = open_export(source, options.leniency).map_err(bad)?;
        reader.read(Some(sealer), &mut |_, _| Ok(())).map_err(bad)?;
    }
    let rebuilt = Rebuild::start(&opening)?;
    let reader = open_export(source, options.leniency).map_err(bad)?;
    let imported = rebuilt.import(reader, sealer).map_err(bad)?;
    let instance = rebuilt.make_ours(&opening, imported.instance).map_err(|error| bad(error.into()))?;
    rebuilt.finish(sealer).map_err(bad)?;
    let kept = swap::commit(&settings.dir, Old::Keep, instance, opening.now)
        .and_then(|kept| beginning::finish(&settings.dir).map(|()| kept))
        .map_err(|error| opening.system(&error))?;
    Ok(ImportReport { instance, kept, ..imported })
}

fn open_export(source: &Path, leniency: Leniency) -> Result<Reader<BufReader<File>>, ExportError> {
    Reader::new(BufReader::new(File::open(source)?), leniency)?.require_known_schema()
}

fn bad_export(source: &Path, error: &ExportError) -> OpenError {
    let refusal = match error {
        // A full disk, say: that tells nothing of the export.
        ExportError::Io(_) | ExportError::Store(_) => Refusal::System,
        _ => Refusal::BadExport,
    };
    OpenError::new(
        refusal,
        format!("{} was not imported, and nothing was changed: {error}.", source.display()),
    )
}

/// A store that is being built in `store.new`.
struct Rebuild {
    store: Store,
    engine: Arc<SledEngine>,
}

impl Rebuild {
    fn start(opening: &Opening<'_>) -> Result<Self, OpenError> {
        let dir = &opening.settings.dir;
        let place = dir.join(STORE_NEW);
        let made = directory::remove_tree(&place).and_then(|()| directory::make_dir(&place));
        made.map_err(|error| opening.system(&error))?;
        let other = |why: String| opening.system(&io::Error::other(why));
        let db = guarded::open_new(&place, &opening.settings.sled()).map_err(other)?;
        let floor = opening.settings.free_space_floor.unwrap_or(0);
        let engine = SledEngine::start(db, dir, floor, Arc::new(|_| {}), None)
            .map_err(|error| opening.system(&error))?;
        let engine = Arc::new(engine);
        let store = Store::new(engine.clone(), opening.sealer.clone(), opening.random.clone());
        Ok(Rebuild { store, engine })
    }

    fn import(&self, reader: Reader<BufReader<File>>, sealer: &Sealer) -> Result<ImportReport, ExportError> {
        let instance = InstanceId::parse(&reader.header().instance)
            .ok_or(ExportError::Malformed { line: 1, why: "the installation is not named" })?;
        let mut filling = Filling::new(&self.engine);
        let mut ended = 0;
        let mut counts = Counts::new();
        let report = reader.read(Some(sealer), &mut |key, value| {
            if is_ended(&key) {
                ended += 1;
                return Ok(());
            }
            let name =
                key.first().and_then(|tag| Table::by_tag(*tag)).map_or(export::EXPIRY, |table| table.name);
            *counts.entry(name.to_owned()).or_insert(0) += 1;
            Ok(filling.put(key, value)?)
        })?;
        filling.flush()?;
        Ok(ImportReport {
            counts,
            ended,
            damaged: report.damaged,
            unknown: report.unknown,
            is_authentic: report.is_authentic,
            instance,
            kept: None,
        })
    }

    /// Makes sure the store names its installation and schema and holds a canary (a salvaged one may lack them), and
    /// refuses from now on what was issued before.
    fn make_ours(&self, opening: &Opening<'_>, named: InstanceId) -> Result<InstanceId, StoreError> {
        let mut batch = self.store.batch();
        let instance = match meta::read::<Instance>(&self.store)? {
            Some(instance) => instance.id,
            None => {
                meta::put(&mut batch, &Instance { id: named, created: opening.now });
                named
            }
        };
        if meta::read::<Schema>(&self.store)?.is_none() {
            meta::put(
                &mut batch,
                // Migrations do not mind what is in the new form already.
                &Schema { version: OLDEST_SCHEMA, app: env!("CARGO_PKG_VERSION").to_owned() },
            );
        }
        if meta::read::<Canary>(&self.store)?.is_none() {
            meta::put(&mut batch, &Canary::new(opening.random));
        }
        meta::put(&mut batch, &NotBefore { at: opening.now });
        // What is imported is older than what was here; that it takes its place is wanted.
        let expected = progress::expected(&opening.settings.dir).unwrap_or_default();
        meta::put(&mut batch, &meta::Progress { count: progress::reached(&self.store)?.max(expected) });
        wait(self.store.commit(batch)).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(instance)
    }

    /// Checks everything that was written, and closes.
    fn finish(self, sealer: &Sealer) -> Result<(), ExportError> {
        let engine: Arc<dyn Engine> = self.engine.clone();
        let report = check::check_now(&engine, sealer)?;
        if report.damaged > 0 {
            return Err(StoreError::Failed(format!("{} values do not read back", report.damaged)).into());
        }
        self.engine.close();
        Ok(())
    }
}

fn is_ended(key: &[u8]) -> bool {
    let tag = match key {
        [EXPIRY_TAG, tag, ..] => tag,
        [tag, ..] => tag,
        [] => return false,
    };
    ENDED_BY_RESTORE.iter().any(|table| table.tag == *tag)
}

/// Writes many pairs in batches of a size that one group holds.
struct Filling<'a> {
    engine: &'a SledEngine,
    batch: RawBatch,
    bytes: usize,
}

impl<'a> Filling<'a> {
    const ENOUGH: usize = 128 * 1024;

    fn new(engine: &'a SledEngine) -> Self {
        Filling { engine, batch: RawBatch::default(), bytes: 0 }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.bytes += key.len() + value.len();
        self.batch.writes.push(Write::Put(key, value));
        if self.bytes >= Self::ENOUGH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        wait(self.engine.commit(batch)).map_err(|error| StoreError::Failed(error.to_string()))
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactReport {
    /// Records copied.
    pub records: u64,
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk after.
    pub after: u64,
}

/// Rewrites the store so that it takes as little of the disk as it can. Nothing is lost if the process or the power
/// dies at any moment. The server must not run.
///
/// # Errors
/// [`OpenError`], after which the old store is in its place as it was.
pub fn compact(
    settings: &OpenSettings,
    sealer: &Arc<Sealer>,
    random: &Random,
    clock: &SharedClock,
) -> Result<CompactReport, OpenError> {
    let opening = Opening { settings, sealer, random, now: clock.now() };
    let lock = opening.enter()?;
    opening.require_store()?;
    let db =
        guarded::open(&settings.dir, &settings.sled(), opening.now).map_err(|why| opening.damaged(&why))?;
    rewrite(&opening, db, &lock)
}

/// Returns whether the store is so bloated that a start should compact it, and the disk has room for that.
pub(super) fn is_worth_compacting(db: &sled::Db, opening: &Opening<'_>, floor: u64) -> bool {
    let Ok(size) = db.size_on_disk() else { return false };
    if size <= SMALLEST_TO_COMPACT {
        return false;
    }
    // To look would read most of the store, which is much of its start. So the last check has to have found reason to,
    // or has to be missing.
    if noted_contents(db, opening.sealer).is_some_and(|contents| !is_bloated(contents.bytes, size)) {
        return false;
    }
    let mut logical = 0_u64;
    for pair in db.iter() {
        // What does not read is for the examination after this to report.
        let Ok((key, value)) = pair else { return false };
        logical = logical.saturating_add((key.len() + value.len()) as u64);
        if !is_bloated(logical, size) {
            return false;
        }
    }
    let room = logical.saturating_mul(BLOAT).saturating_add(floor);
    directory::free_bytes(&opening.settings.dir).is_some_and(|free| free > room)
}

fn is_bloated(logical: u64, size: u64) -> bool {
    logical.saturating_mul(BLOAT) < size
}

fn noted_contents(db: &sled::Db, sealer: &Arc<Sealer>) -> Option<Contents> {
    let raw = db.get(Contents::TABLE.key(Contents::ROW)).ok()??;
    envelope::open(sealer, Contents::ROW, raw.to_vec()).ok().map(|found| found.value)
}

/// Notes for the next start how much a check found in a store that may have to be compacted; nothing in a smaller one.
pub(super) fn note_contents(store: &Store, bytes: u64) -> Result<(), CommitError> {
    if store.engine().size_on_disk() <= SMALLEST_TO_COMPACT {
        return Ok(());
    }
    let mut batch = store.batch();
    meta::put(&mut batch, &Contents { bytes });
    wait(store.commit(batch))
}

/// Copies every pair of `db` into a fresh store, compares both, and swaps them.
pub(super) fn rewrite(
    opening: &Opening<'_>,
    db: sled::Db,
    _lock: &DirectoryLock,
) -> Result<CompactReport, OpenError> {
    let dir = &opening.settings.dir;
    let failed = |error: StoreError| opening.damaged(&error.to_string());
    let old = Arc::new(
        SledEngine::start(db, dir, 0, Arc::new(|_| {}), None).map_err(|error| opening.system(&error))?,
    );
    let before = old.size_on_disk();
    let old_store = Store::new(old.clone(), opening.sealer.clone(), opening.random.clone());
    let instance = meta::read::<Instance>(&old_store)
        .map_err(failed)?
        .ok_or_else(|| opening.damaged("the store does not name its installation"))?
        .id;
    let rebuilt = Rebuild::start(opening)?;
    let mut filling = Filling::new(&rebuilt.engine);
    let original = digest(old.as_ref(), &mut |key, value| filling.put(key, value)).map_err(failed)?;
    filling.flush().map_err(failed)?;
    let copy = digest(rebuilt.engine.as_ref(), &mut |_, _| Ok(())).map_err(failed)?;
    if copy != original {
        return Err(opening.damaged("its copy does not have the same contents"));
    }
    rebuilt.engine.close();
    drop(rebuilt);
    drop(old_store);
    old.close();
    drop(old);
    swap::commit(dir, Old::Remove, instance, opening.now).map_err(|error| opening.system(&error))?;
    let after = size_of(&dir.join(STORE)).map_err(|error| opening.system(&error))?;
    tracing::info!(records = original.0, before, after, "the store was compacted");
    Ok(CompactReport { records: original.0, before, after })
}

/// Returns the number of pairs and a hash of them in order, and gives each to `take`.
fn digest(
    engine: &dyn Engine,
    take: &mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(u64, [u8; 32]), StoreError> {
    let mut hash = Sha256::new();
    let mut records = 0;
    for pair in engine.snapshot()? {
        let (key, value) = pair?;
        for part in [&key, &value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        records += 1;
        take(key, value)?;
    }
    Ok((records, hash.finalize().into()))
}

fn size_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
