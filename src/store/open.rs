//! Opening the store of an installation: every doubt is a refusal that says what to run, never a fresh store beside
//! existing data (FAIL-04, KEY-02).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::beginning;
use super::check::{self, BackgroundCheck};
use super::directory::{self, DirectoryLock, LockError};
use super::engine::{CommitError, StoreError};
use super::guarded::{self, SledSettings};
use super::leftovers;
use super::meta::{self, Canary, CleanStop, Instance, SCHEMA_VERSION, Schema, Single as _};
use super::migrations;
use super::progress;
use super::sled_engine::SledEngine;
use super::snapshots;
use super::swap;
use super::writer::OnFailure;
use super::{Store, restore, wait};
use crate::crypto::password::step_back;
use crate::crypto::sealed::Sealer;
use crate::kernel::ids::InstanceId;
use crate::kernel::random::Random;
use crate::kernel::time::{SharedClock, Timestamp};

/// How to open a store. [`OpenSettings::new`] has the values for production.
#[derive(Clone)]
pub struct OpenSettings {
    /// The data directory.
    pub dir: PathBuf,
    /// sled's page cache in bytes; 16 MiB.
    pub cache_bytes: u64,
    /// The size of a log segment in bytes, fixed when the store is made; 256 KiB.
    pub segment_bytes: usize,
    /// Bytes of the disk that stay free; `None` is the larger of 64 MiB and the size of the store, at most 1 GiB.
    pub free_space_floor: Option<u64>,
    /// Makes a new store even though there was one here (`--accept-new-store`). What is there is kept.
    pub accept_new_store: bool,
    /// The caller knows that there was data, for example because it found a master key that it made itself.
    pub expect_data: bool,
    /// How the commands in refusals start: `doorward`, perhaps with `--config`.
    pub program: String,
    /// How long sled may take to open; 120 s.
    pub open_timeout: Duration,
    /// Called once if the store stops. The default logs and ends the process with code 70, so that it is restarted.
    pub on_failure: OnFailure,
}

impl fmt::Debug for OpenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSettings").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl OpenSettings {
    /// The settings of production for the data directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        OpenSettings {
            dir: dir.into(),
            cache_bytes: 16 * 1024 * 1024,
            segment_bytes: 256 * 1024,
            free_space_floor: None,
            accept_new_store: false,
            expect_data: false,
            program: "doorward".to_owned(),
            open_timeout: Duration::from_secs(120),
            on_failure: Arc::new(|why| {
                tracing::error!(why, "ending the process because the store stopped");
                std::process::exit(70);
            }),
        }
    }

    pub(super) fn sled(&self) -> SledSettings {
        SledSettings {
            cache_bytes: self.cache_bytes,
            segment_bytes: self.segment_bytes,
            timeout: self.open_timeout,
        }
    }
}

/// What kind of refusal this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Others may read the directory, or we may not.
    Permissions,
    /// Another process uses it.
    Locked,
    /// The files do not open or do not read.
    Damaged,
    /// There is no store where one was, or an empty one.
    DataMissing,
    /// The store belongs to another installation.
    Foreign,
    /// The master key does not fit.
    WrongKey,
    /// The store was written by a newer program.
    Newer,
    /// A file is not an export that can be imported.
    BadExport,
    /// The system refused something else.
    System,
}

/// Why the store was not opened. `Display` is for the administrator and says what to run.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenError {
    /// What kind of refusal this is.
    pub refusal: Refusal,
    text: String,
}

impl OpenError {
    /// The master key could not be read.
    pub fn unreadable_key() -> Self {
        OpenError::new(Refusal::WrongKey, "The master key could not be read.")
    }

    pub(super) fn new(refusal: Refusal, text: impl Into<String>) -> Self {
        OpenError { refusal, text: text.into() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.refusal, self.text)
    }
}

impl std::error::Error for OpenError {}

/// An open store.
pub struct Opened {
    /// Typed access.
    pub store: Store,
    /// The engine, for metrics and the end.
    pub engine: Arc<SledEngine>,
    /// The installation.
    pub instance: InstanceId,
    /// Whether the store was made just now.
    pub is_new: bool,
    /// Whether the last process closed it; true for a new one.
    pub was_clean: bool,
    /// The check that runs beside a server, from [`Opened::begin_check`] on.
    pub check: Arc<BackgroundCheck>,
    dir: PathBuf,
    program: String,
    clock: SharedClock,
    is_closed: AtomicBool,
    check_thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("instance", &self.instance)
            .field("is_new", &self.is_new)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Ends the use of the store: sets the clean-stop flag, puts everything that waits on disk and stops the writer.
    /// Blocks until done. A second call does nothing.
    pub fn close(&self) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.end_check();
        if let Err(error) = mark(&self.store, &self.dir, true, self.clock.now()) {
            tracing::warn!(%error, "the clean-stop flag could not be set");
        }
        self.engine.close();
    }
}

impl Opened {
    /// Says what to run when a record that is read at the start is damaged: what keeps all others, and what brings the newest
    /// verified snapshot back.
    pub fn remedy(&self) -> String {
        let file = self.dir.join(format!("sound-{}", self.clock.now().as_millis()));
        format!(
            "Nothing was deleted. These two commands keep every record but the damaged ones; look at people, groups and \
             access rules afterwards:\n  {program} store export {file}\n  {program} store import --replace {file}\n{}",
            snapshots::remedy(&self.dir, self.store.sealer(), &self.program),
            program = self.program,
            file = file.display(),
        )
    }

    /// Begins to check every value on a thread of its own. To be called once the server listens: with many records the
    /// check takes as much time as all the rest of a start, and nobody waits for it. A second call does nothing.
    pub fn begin_check(&self) {
        let mut thread = self.check_thread.lock();
        if thread.is_none() && !self.check.is_cancelled() {
            *thread = start_check(&self.store, &self.check);
        }
    }

    /// Waits for the check, which would otherwise hold the directory a moment longer than we do.
    fn end_check(&self) {
        self.check.cancel();
        if let Some(thread) = self.check_thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the check of the store panicked");
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.end_check();
    }
}

/// Returns whether `dir` holds a store, snapshots of one, or the id of an installation. A program that finds this
/// and no master key must not make one (KEY-02).
///
/// # Errors
/// If the directory cannot be read; that is not a "no".
pub fn has_data(dir: &Path) -> std::io::Result<bool> {
    Ok(has_store(dir)? || snapshots::any(dir)?)
}

pub(super) fn has_store(dir: &Path) -> std::io::Result<bool> {
    if beginning::is_unfinished(dir)? {
        return Ok(false);
    }
    for name in [directory::STORE, directory::INSTANCE, directory::SWAP_MARKER] {
        if directory::exists(&dir.join(name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens the store in `settings.dir`, or makes one if there never was one.
///
/// # Errors
/// [`OpenError`], after which nothing has changed except that damaged files may lie in `quarantine/`.
pub fn open(
    settings: &OpenSettings,
    sealer: &Arc<Sealer>,
    random: &Random,
    clock: &SharedClock,
) -> Result<Opened, OpenError> {
    let opening = Opening { settings, sealer, random, now: clock.now() };
    let (store, engine) = opening.open_engine()?;
    let is_new = opening.examine(&store, &engine)?;
    let was_clean = is_new || read_meta::<CleanStop>(&opening, &store)?.is_some_and(|stop| stop.is_clean);
    match mark(&store, &settings.dir, false, opening.now) {
        // Reads go on while the disk is full (FAIL-02).
        Ok(()) | Err(CommitError::Unavailable(_)) => {}
        Err(error) => return Err(opening.write_error(&error)),
    }
    migrations::run(&store, &settings.dir, migrations::ALL, opening.now).map_err(|why| {
        OpenError::new(Refusal::System, format!("A migration failed and the store is as it was: {why}."))
    })?;
    let instance = read_meta::<Instance>(&opening, &store)?
        .ok_or_else(|| opening.damaged("the store does not name its installation"))?
        .id;
    opening.write_instance_file(instance)?;
    beginning::finish(&settings.dir).map_err(|error| opening.system(&error))?;
    if !was_clean {
        tracing::warn!("the last process did not close the store; what it acknowledged is there");
    }
    Ok(Opened {
        store,
        engine,
        instance,
        is_new,
        was_clean,
        check: Arc::default(),
        dir: settings.dir.clone(),
        program: settings.program.clone(),
        clock: clock.clone(),
        is_closed: AtomicBool::new(false),
        check_thread: Mutex::default(),
    })
}

fn mark(store: &Store, dir: &Path, is_clean: bool, at: Timestamp) -> Result<(), CommitError> {
    let mut batch = store.batch();
    meta::put(&mut batch, &CleanStop { is_clean, at });
    let count = progress::stage(store, &mut batch)?;
    wait(store.commit(batch))?;
    progress::note(dir, count);
    Ok(())
}

fn read_meta<S: meta::Single>(opening: &Opening<'_>, store: &Store) -> Result<Option<S>, OpenError> {
    meta::read::<S>(store).map_err(|error| opening.damaged(&error.to_string()))
}

/// How long the check rests after each slice.
const REST: Duration = Duration::from_millis(2);

fn start_check(store: &Store, check: &Arc<BackgroundCheck>) -> Option<JoinHandle<()>> {
    let engine = Arc::downgrade(store.engine());
    let (sealer, random, check) = (store.sealer.clone(), store.random.clone(), check.clone());
    let started = std::thread::Builder::new().name("store-check".to_owned()).spawn(move || {
        // Not idle: sled's readers hold a lock that the writer waits for, and on a busy core an idle thread would not get
        // to let go of it.
        step_back(false);
        if let Err(error) = check::run(&|| engine.upgrade(), &sealer, &check, REST) {
            tracing::error!(%error, "the check of the store ended early");
        }
        let report = check.report();
        if report.is_finished
            && let Some(engine) = engine.upgrade()
            && let Err(error) = restore::note_contents(&Store::new(engine, sealer, random), report.bytes)
        {
            tracing::debug!(%error, "what the check of the store counted was not noted");
        }
    });
    match started {
        Ok(thread) => Some(thread),
        Err(error) => {
            tracing::error!(%error, "the check of the store did not start");
            None
        }
    }
}

pub(super) struct Opening<'a> {
    pub(super) settings: &'a OpenSettings,
    pub(super) sealer: &'a Arc<Sealer>,
    pub(super) random: &'a Random,
    pub(super) now: Timestamp,
}

impl Opening<'_> {
    fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// Checks the directory, takes the lock, and finishes a swap that a crash interrupted.
    pub(super) fn enter(&self) -> Result<DirectoryLock, OpenError> {
        directory::prepare(self.dir()).map_err(|why| self.refuse_with_remedy(Refusal::Permissions, &why))?;
        let lock = match DirectoryLock::take(self.dir()) {
            Ok(lock) => lock,
            Err(LockError::Taken(by)) => {
                return Err(OpenError::new(
                    Refusal::Locked,
                    format!(
                        "Another Doorward (process {by}) uses {}. Stop it first: systemctl stop doorward",
                        self.dir().display()
                    ),
                ));
            }
            Err(LockError::Io(error)) => {
                let why = directory::unreadable(self.dir(), &error);
                return Err(self.refuse_with_remedy(Refusal::Permissions, &why));
            }
        };
        swap::resume(self.dir())
            .and_then(|()| leftovers::remove(self.dir()))
            .and_then(|()| beginning::clear(self.dir()))
            .map_err(|error| self.system(&error))?;
        Ok(lock)
    }

    /// Refuses if there is no store.
    pub(super) fn require_store(&self) -> Result<(), OpenError> {
        match directory::exists(&self.dir().join(directory::STORE)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(OpenError::new(
                Refusal::DataMissing,
                format!("There is no store in {}.", self.dir().display()),
            )),
            Err(error) => Err(self.system(&error)),
        }
    }

    fn open_engine(&self) -> Result<(Store, Arc<SledEngine>), OpenError> {
        let lock = self.enter()?;
        let place = self.dir().join(directory::STORE);
        let readable = directory::exists(&place)
            .and_then(|is_there| if is_there { readable(&place) } else { self.refuse_to_start_over() });
        readable.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.data_missing("There is no store in it."),
            _ => self.refuse_with_remedy(Refusal::Permissions, &directory::unreadable(&place, &error)),
        })?;
        let open_db =
            || guarded::open(self.dir(), &self.settings.sled(), self.now).map_err(|why| self.damaged(&why));
        if !directory::exists(&place).map_err(|error| self.system(&error))? {
            beginning::require_room(self.settings)?;
        }
        let mut db = open_db()?;
        let floor = self.settings.free_space_floor.unwrap_or_else(|| default_floor(&db));
        if restore::is_worth_compacting(&db, self, floor) {
            restore::rewrite(self, db, &lock)?;
            db = open_db()?;
        }
        let engine = SledEngine::start(db, self.dir(), floor, self.settings.on_failure.clone(), Some(lock))
            .map_err(|error| self.system(&error))?;
        let engine = Arc::new(engine);
        Ok((Store::new(engine.clone(), self.sealer.clone(), self.random.clone()), engine))
    }

    /// Returns a `NotFound` error if there was a store here once; nobody may make a new one by accident.
    fn refuse_to_start_over(&self) -> std::io::Result<()> {
        if beginning::is_unfinished(self.dir())? {
            return Ok(());
        }
        let expects = self.settings.expect_data
            || directory::exists(&self.dir().join(directory::INSTANCE))?
            || snapshots::any(self.dir())?;
        if expects && !self.settings.accept_new_store {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        }
        Ok(())
    }

    /// Checks that the store is ours and in a known schema. Makes it ours if it is new; returns whether it was.
    fn examine(&self, store: &Store, engine: &SledEngine) -> Result<bool, OpenError> {
        if engine.is_empty().map_err(|error| self.damaged(&error.to_string()))? {
            self.refuse_to_start_over().map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => self.data_missing("The store in it is empty."),
                _ => self.system(&error),
            })?;
            self.make_new(store)?;
            return Ok(true);
        }
        let schema =
            read_meta::<Schema>(self, store)?.ok_or_else(|| self.damaged("it does not name its schema"))?;
        if schema.version > SCHEMA_VERSION {
            return Err(OpenError::new(
                Refusal::Newer,
                format!(
                    "The store in {} was written by Doorward {} (schema {}), which is newer than this one (schema \
                     {SCHEMA_VERSION}). Install that version or a later one, or restore a snapshot that was taken \
                     before the upgrade. {}",
                    self.dir().display(),
                    schema.app,
                    schema.version,
                    self.remedy()
                ),
            ));
        }
        match store.get::<Canary>(Canary::ROW) {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(self.damaged("the record that tells whether the master key fits is missing"));
            }
            Err(StoreError::Corrupt { .. }) => {
                return Err(OpenError::new(
                    Refusal::WrongKey,
                    format!(
                        "The master key does not fit the store in {}. Put back the key file that belongs to it; \
                         without it, what is sealed cannot be read.",
                        self.dir().display()
                    ),
                ));
            }
            Err(error) => return Err(self.damaged(&error.to_string())),
        }
        self.refuse_a_store_of_the_past(store)?;
        Ok(false)
    }

    /// Refuses a store that has lost its newest records: going on could let people in who were shut out.
    fn refuse_a_store_of_the_past(&self, store: &Store) -> Result<(), OpenError> {
        let file = self.dir().join(directory::PROGRESS);
        let expected = progress::expected(self.dir()).map_err(|error| {
            self.refuse_with_remedy(Refusal::Permissions, &directory::unreadable(&file, &error))
        })?;
        let reached = progress::reached(store).map_err(|error| self.damaged(&error.to_string()))?;
        if reached >= expected {
            return Ok(());
        }
        Err(self.refuse_with_remedy(
            Refusal::Damaged,
            &format!(
                "The store in {dir} has lost its newest records (it had come to {expected} and is at {reached}). \
                 Nothing was deleted. Going on with it could let people in who were shut out since. If you put an \
                 older copy of it back yourself, remove the file {file} and start again.",
                dir = self.dir().display(),
                file = file.display()
            ),
        ))
    }

    fn make_new(&self, store: &Store) -> Result<(), OpenError> {
        let file = self.dir().join(directory::INSTANCE);
        if directory::exists(&file).map_err(|error| self.system(&error))? {
            let kept =
                directory::quarantine(self.dir(), &file, self.now).map_err(|error| self.system(&error))?;
            tracing::warn!(kept = %kept.display(), "a new store was asked for; the id of the former installation was kept");
        }
        let mut batch = store.batch();
        meta::put(&mut batch, &Schema { version: SCHEMA_VERSION, app: env!("CARGO_PKG_VERSION").to_owned() });
        meta::put(&mut batch, &Instance { id: InstanceId::random(self.random), created: self.now });
        meta::put(&mut batch, &Canary::new(self.random));
        meta::put(&mut batch, &CleanStop { is_clean: false, at: self.now });
        let count = progress::expected(self.dir()).map_err(|error| self.system(&error))?;
        meta::put(&mut batch, &meta::Progress { count });
        wait(store.commit(batch)).map_err(|error| self.write_error(&error))
    }

    /// Compares the file beside the store with the store, or writes it if it is missing.
    fn write_instance_file(&self, instance: InstanceId) -> Result<(), OpenError> {
        let file = self.dir().join(directory::INSTANCE);
        match std::fs::read_to_string(&file) {
            Ok(text) if InstanceId::parse(text.trim()) == Some(instance) => Ok(()),
            Ok(_) => Err(self.refuse_with_remedy(
                Refusal::Foreign,
                &format!(
                    "The store in {dir} belongs to another installation ({instance}) than the file {file} says. Put \
                     back the store that belongs here. If this store is the right one, remove that file and start again.",
                    dir = self.dir().display(),
                    file = file.display()
                ),
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                directory::write_file(&file, format!("{instance}\n").as_bytes()).map_err(|error| self.system(&error))
            }
            Err(error) => Err(self.refuse_with_remedy(Refusal::Permissions, &directory::unreadable(&file, &error))),
        }
    }

    fn data_missing(&self, what: &str) -> OpenError {
        self.refuse_with_remedy(
            Refusal::DataMissing,
            &format!(
                "{dir} belongs to an installation that has data. {what} Doorward does not start with an empty store, \
                 because whoever came first could then claim it. If the disk was not mounted, mount it. If you want \
                 to begin anew and lose all accounts, start once with --accept-new-store.",
                dir = self.dir().display()
            ),
        )
    }

    pub(super) fn damaged(&self, why: &str) -> OpenError {
        self.refuse_with_remedy(
            Refusal::Damaged,
            &format!("The store in {} does not open: {why}. Nothing was deleted.", self.dir().display()),
        )
    }

    pub(super) fn system(&self, error: &std::io::Error) -> OpenError {
        OpenError::new(
            Refusal::System,
            format!("The data directory {} cannot be used: {error}.", self.dir().display()),
        )
    }

    fn write_error(&self, error: &CommitError) -> OpenError {
        match error {
            CommitError::Unavailable(why) => OpenError::new(
                Refusal::System,
                format!(
                    "The store in {} takes no writes: {why}. Make room and start again.",
                    self.dir().display()
                ),
            ),
            other => self.damaged(&other.to_string()),
        }
    }

    fn refuse_with_remedy(&self, refusal: Refusal, text: &str) -> OpenError {
        let remedy = self.remedy();
        OpenError::new(refusal, format!("{text} {remedy}"))
    }

    fn remedy(&self) -> String {
        snapshots::remedy(self.dir(), self.sealer, &self.settings.program)
    }
}

fn readable(place: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            // sled removes an old page table snapshot at the end of an open; nobody else is here now.
            std::fs::OpenOptions::new().read(true).write(true).open(entry.path())?;
        }
    }
    Ok(())
}

/// The bytes of the disk that stay free beside a small store.
pub(super) const SMALLEST_FLOOR: u64 = 64 * 1024 * 1024;

fn default_floor(db: &sled::Db) -> u64 {
    const MOST: u64 = 1024 * 1024 * 1024;
    db.size_on_disk().unwrap_or(SMALLEST_FLOOR).clamp(SMALLEST_FLOOR, MOST)
}
