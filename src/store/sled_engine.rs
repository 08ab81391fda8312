//! The engine of one machine: sled 0.34, one tree, one writer thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::directory::{DirectoryLock, panic_text};
use super::engine::{CommitError, CommitFuture, Engine, Pair, RawBatch, Snapshot, StoreError, Write, span};
use super::tables::Table;
use super::writer::{CLOSING, Chunk, Commit, FULL, Job, OnFailure, Shared, Writer};

/// Batches that may wait for the writer.
const LONGEST_QUEUE: usize = 4096;
/// Bytes that may wait for the writer.
const HEAVIEST_QUEUE: usize = 32 * 1024 * 1024;
/// Bytes in one batch.
const LARGEST_BATCH: usize = 512 * 1024;
/// Bytes of one key with its value: 17 of them, the most in a leaf page, stay below a quarter of a segment.
const LARGEST_PAIR: usize = 3840;
/// Seconds without progress after which the watchdog ends the process.
const PATIENCE_SECS: u32 = 10;

/// What the engine did and holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Batches answered since start, conflicts included.
    pub batches: u64,
    /// Groups put on disk since start; a group is one apply and one flush for all batches that waited.
    pub groups: u64,
    /// Times that data was forced to disk since the process started.
    pub syncs: u64,
    /// Batches waiting now.
    pub queued: usize,
    /// Bytes free where the store lies; zero if unknown.
    pub free_bytes: u64,
}

/// sled behind one writer thread. Dropping it stops the writer after the batches that already wait.
pub struct SledEngine {
    // Fields are dropped in this order: the database before the right to use its directory.
    db: sled::Db,
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop_watching: Mutex<Option<Sender<()>>>,
    _lock: Option<DirectoryLock>,
}

impl std::fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SledEngine")
    }
}

impl SledEngine {
    /// Starts the writer and the watchdog of an open database in `dir`.
    pub(super) fn start(
        db: sled::Db,
        dir: &Path,
        floor: u64,
        on_failure: OnFailure,
        lock: Option<DirectoryLock>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            failed: std::sync::OnceLock::new(),
            on_failure,
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            floor: AtomicU64::new(floor),
            is_full: AtomicBool::new(false),
        });
        shared.check_space();
        let (jobs, queue) = sync_channel(LONGEST_QUEUE);
        let writer = Writer::new(db.clone(), shared.clone(), queue);
        let writer =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run())?;
        let (stop_watching, stopped) = channel();
        let watched = shared.clone();
        let watchdog = std::thread::Builder::new()
            .name("store-watchdog".to_owned())
            .spawn(move || watch(&watched, &stopped))?;
        Ok(SledEngine {
            db,
            shared,
            jobs,
            threads: Mutex::new(vec![writer, watchdog]),
            stop_watching: Mutex::new(Some(stop_watching)),
            _lock: lock,
        })
    }

    /// Takes no more batches, puts those that wait on disk, and stops the writer. Reads go on. Blocks until done.
    pub fn close(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        // The writer has already left if the store failed.
        let _ = self.jobs.send(Job::Stop);
        self.stop_watching.lock().take();
        for thread in threads {
            let is_writer_itself = thread.thread().id() == std::thread::current().id();
            if !is_writer_itself && let Err(panic) = thread.join() {
                tracing::error!(panic = panic_text(&*panic), "a thread of the store panicked");
            }
        }
    }

    /// Returns the free space below which nothing is written.
    pub fn free_space_floor(&self) -> u64 {
        self.shared.floor.load(Ordering::Relaxed)
    }

    /// Sets how many bytes must stay free; below that, writes are refused (FAIL-02). Takes effect at once.
    pub fn set_free_space_floor(&self, bytes: u64) {
        self.shared.floor.store(bytes, Ordering::Relaxed);
        self.shared.check_space();
    }

    /// Returns what the engine did and holds.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            batches: self.shared.batches.load(Ordering::Relaxed),
            groups: self.shared.groups.load(Ordering::Relaxed),
            syncs: super::durability::syncs(),
            queued: self.shared.queued.load(Ordering::Relaxed),
            free_bytes: super::directory::free_bytes(&self.shared.dir).unwrap_or(0),
        }
    }

    /// Returns why the store stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.shared.failed.get().cloned()
    }

    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        self.read(|db| Ok(db.iter().next().transpose()?.is_none()))
    }

    fn read<T>(&self, reading: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(|| reading(&self.db))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(StoreError::Failed(error.to_string())),
            Err(panic) => Err(StoreError::Failed(format!("sled panicked: {}", panic_text(&*panic)))),
        }
    }

    fn enqueue(&self, batch: RawBatch) -> Result<oneshot::Receiver<Result<(), CommitError>>, CommitError> {
        if let Some(why) = self.shared.failed.get() {
            return Err(StoreError::Failed(why.clone()).into());
        }
        let bytes = weigh(&batch)?;
        let (answer, answered) = oneshot::channel();
        if self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed) > HEAVIEST_QUEUE {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(CommitError::Unavailable(BUSY));
        }
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        let refused = match self.jobs.try_send(Job::Commit(Commit { batch, bytes, answer })) {
            Ok(()) => return Ok(answered),
            Err(TrySendError::Full(_)) => CommitError::Unavailable(BUSY),
            Err(TrySendError::Disconnected(_)) => gone(&self.shared),
        };
        self.shared.queued.fetch_sub(1, Ordering::Relaxed);
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(refused)
    }
}

const BUSY: &str = "too many writes are waiting";

impl Drop for SledEngine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let Some(span) = span(prefix, after) else { return Ok(Vec::new()) };
        let pair = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
            pair.map(|(key, value)| (key.to_vec(), value.to_vec()))
        };
        // Forward alone: sled's iterator backwards brings a constant of 1 MiB into the binary.
        self.read(|db| db.range::<Vec<u8>, _>(span).take(limit).map(pair).collect())
    }

    fn commit(&self, batch: RawBatch) -> CommitFuture {
        match self.enqueue(batch) {
            Ok(answered) => {
                let shared = self.shared.clone();
                Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone(&shared))) })
            }
            Err(refused) => Box::pin(std::future::ready(Err(refused))),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (out, chunks) = sync_channel(4);
        if self.jobs.send(Job::Export(out)).is_err() {
            return Err(StoreError::Failed(CLOSING.to_owned()));
        }
        Ok(Box::new(Chunks { chunks, current: Vec::new().into_iter(), is_done: false }))
    }

    fn size_on_disk(&self) -> u64 {
        self.read(sled::Db::size_on_disk).unwrap_or(0)
    }

    fn write_refusal(&self) -> Option<&'static str> {
        if self.shared.failed.get().is_some() {
            Some("the store stopped")
        } else if self.shared.is_full.load(Ordering::Relaxed) {
            Some(FULL)
        } else {
            None
        }
    }
}

/// What to tell somebody whose batch the writer did not take any more.
fn gone(shared: &Shared) -> CommitError {
    match shared.failed.get() {
        Some(why) => CommitError::Store(StoreError::Failed(why.clone())),
        None => CommitError::Unavailable(CLOSING),
    }
}

/// Returns the bytes of a batch, and refuses one with a value that sled would put into a file of its own.
fn weigh(batch: &RawBatch) -> Result<usize, CommitError> {
    let mut bytes = 0;
    let mut table = "batch";
    for write in &batch.writes {
        let (key, size) = match write {
            Write::Put(key, value) => (key, key.len() + value.len()),
            Write::Remove(key) => (key, key.len()),
        };
        table = key.first().and_then(|tag| Table::by_tag(*tag)).map_or("unknown", |table| table.name);
        if size > LARGEST_PAIR {
            return Err(StoreError::TooLarge { table }.into());
        }
        bytes += size;
    }
    if bytes > LARGEST_BATCH { Err(StoreError::TooLarge { table }.into()) } else { Ok(bytes) }
}

struct Chunks {
    chunks: Receiver<Chunk>,
    current: std::vec::IntoIter<Pair>,
    is_done: bool,
}

impl Iterator for Chunks {
    type Item = Result<Pair, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.current.next() {
            return Some(Ok(pair));
        }
        if self.is_done {
            return None;
        }
        match self.chunks.recv() {
            Ok(chunk) => {
                self.is_done = chunk.is_empty();
                self.current = chunk.into_iter();
                self.current.next().map(Ok)
            }
            Err(_) => {
                self.is_done = true;
                Some(Err(StoreError::Failed("the store could not be read to its end".to_owned())))
            }
        }
    }
}

/// Looks at the free space every second, and ends the process when the writer hangs: sled is known to deadlock, and
/// a door that answers nothing is worse than a restart.
fn watch(shared: &Shared, stopped: &Receiver<()>) {
    let mut seen = 0;
    let mut idle_secs = 0;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_secs(1)) {
        shared.check_space();
        let progress = shared.progress.load(Ordering::Relaxed);
        let is_waiting = shared.queued.load(Ordering::Relaxed) > 0 && shared.failed.get().is_none();
        idle_secs = if is_waiting && progress == seen { idle_secs + 1 } else { 0 };
        seen = progress;
        if idle_secs >= PATIENCE_SECS {
            tracing::error!("the store's writer made no progress for {PATIENCE_SECS} s; ending the process");
            std::process::abort();
        }
    }
}
