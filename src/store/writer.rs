//! The one thread that writes. It takes what waits in the queue, checks the preconditions of each batch against the
//! tree and the layers of the batches before it, and puts all of them to disk with one apply and one flush.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::durability;
use super::engine::{CommitError, Pair, Precondition, RawBatch, StoreError, Write};

/// At most this many batches share a flush.
const LARGEST_GROUP: usize = 256;
/// A group is closed before it exceeds this many bytes, so that it fits a segment of the log.
const LARGEST_GROUP_BYTES: usize = 192 * 1024;
/// An export reads this many records between two groups.
const EXPORT_SLICE: usize = 1000;
/// An export that its reader left behind by this many changed records is given up.
const MOST_PREIMAGES: usize = 100_000;

/// The answer to one batch.
pub(super) type Answer = oneshot::Sender<Result<(), CommitError>>;
/// Part of an export; an empty one is the end.
pub(super) type Chunk = Vec<Pair>;

/// A batch that waits.
pub(super) struct Commit {
    pub(super) batch: RawBatch,
    pub(super) bytes: usize,
    pub(super) answer: Answer,
}

pub(super) enum Job {
    Commit(Commit),
    Export(SyncSender<Chunk>),
    Stop,
}

/// Tells the process that the store stopped; it should exit so that it is started again.
pub type OnFailure = Arc<dyn Fn(&str) + Send + Sync>;

/// What the writer, its watchdog and the engine share.
pub(super) struct Shared {
    pub(super) dir: std::path::PathBuf,
    pub(super) failed: std::sync::OnceLock<String>,
    pub(super) on_failure: OnFailure,
    /// Jobs and bytes that wait.
    pub(super) queued: AtomicUsize,
    pub(super) queued_bytes: AtomicUsize,
    /// Grows whenever the writer gets something done.
    pub(super) progress: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) batches: AtomicU64,
    /// Bytes that must stay free.
    pub(super) floor: AtomicU64,
    pub(super) is_full: AtomicBool,
}

impl Shared {
    /// Reads the free space and returns whether it is below the floor.
    pub(super) fn check_space(&self) -> bool {
        let is_full = super::directory::free_bytes(&self.dir)
            .is_some_and(|free| free < self.floor.load(Ordering::Relaxed));
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            if is_full {
                tracing::error!(dir = %self.dir.display(), "the disk is almost full: writes are refused until there is space");
            } else {
                tracing::warn!(dir = %self.dir.display(), "there is space on the disk again: writes go on");
            }
        }
        is_full
    }

    /// Marks the store as failed; the first reason stays.
    pub(super) fn fail(&self, why: String) -> StoreError {
        tracing::error!(why, "the store stopped");
        StoreError::Failed(self.failed.get_or_init(|| why).clone())
    }
}

pub(super) const FULL: &str = "the disk is almost full";
pub(super) const CLOSING: &str = "the store is closing";

/// The newest value of each key that the group changes; `None` for a removed one.
type Overlay = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// Where an export is: everything up to `cursor` went out, and keys after it that changed since keep their old value.
struct Export {
    cursor: Option<Vec<u8>>,
    preimages: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    out: SyncSender<Chunk>,
    stuck: Option<Chunk>,
    is_finished: bool,
}

pub(super) struct Writer {
    pub(super) db: sled::Db,
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<Job>,
    carried: VecDeque<Job>,
    exports: Vec<Export>,
}

impl Writer {
    pub(super) fn new(db: sled::Db, shared: Arc<Shared>, jobs: Receiver<Job>) -> Self {
        Writer { db, shared, jobs, carried: VecDeque::new(), exports: Vec::new() }
    }

    /// Works until it is told to stop or the store fails.
    pub(super) fn run(mut self) {
        while self.shared.failed.get().is_none() {
            match self.next() {
                Some(Job::Commit(first)) => self.group(first),
                Some(Job::Export(out)) => {
                    let preimages = BTreeMap::new();
                    self.exports.push(Export {
                        cursor: None,
                        preimages,
                        out,
                        stuck: None,
                        is_finished: false,
                    });
                }
                Some(Job::Stop) => break,
                None => {}
            }
            self.serve_exports();
            self.shared.progress.fetch_add(1, Ordering::Relaxed);
        }
        self.dismiss_the_rest();
        if let Some(why) = self.shared.failed.get() {
            (self.shared.on_failure)(why);
        }
    }

    /// Waits for a job; returns `None` now and then while an export is under way.
    fn next(&mut self) -> Option<Job> {
        if let Some(job) = self.carried.pop_front() {
            return Some(job);
        }
        let job = if self.exports.is_empty() {
            self.jobs.recv().unwrap_or(Job::Stop)
        } else if self.exports.iter().all(|export| export.stuck.is_some()) {
            match self.jobs.recv_timeout(Duration::from_millis(2)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => Job::Stop,
            }
        } else {
            match self.jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => Job::Stop,
            }
        };
        self.dequeued(&job);
        Some(job)
    }

    fn dequeued(&self, job: &Job) {
        if let Job::Commit(commit) = job {
            self.shared.queued_bytes.fetch_sub(commit.bytes, Ordering::Relaxed);
        }
    }

    fn group(&mut self, first: Commit) {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < LARGEST_GROUP
            && self.carried.is_empty()
            && let Ok(job) = self.jobs.try_recv()
        {
            self.dequeued(&job);
            match job {
                Job::Commit(commit) if bytes + commit.bytes <= LARGEST_GROUP_BYTES => {
                    bytes += commit.bytes;
                    group.push(commit);
                }
                other => self.carried.push_back(other),
            }
        }
        let size = group.len();
        let work = catch_unwind(AssertUnwindSafe(|| self.apply(&mut group)));
        let verdicts = match work {
            Ok(Ok(verdicts)) => verdicts,
            Ok(Err(why)) => vec![Err(CommitError::Store(self.shared.fail(why))); size],
            Err(panic) => {
                let why = format!("sled panicked: {}", super::directory::panic_text(&*panic));
                vec![Err(CommitError::Store(self.shared.fail(why))); size]
            }
        };
        self.answer(group, verdicts);
    }

    /// Puts the group on disk and returns the verdict on each batch.
    fn apply(&mut self, group: &mut [Commit]) -> Result<Vec<Result<(), CommitError>>, String> {
        let is_full = self.shared.check_space();
        let mut overlay = Overlay::new();
        let mut verdicts = Vec::with_capacity(group.len());
        for commit in group.iter_mut() {
            let batch = &mut commit.batch;
            if is_full && !batch.writes.is_empty() {
                verdicts.push(Err(CommitError::Unavailable(FULL)));
            } else if self.holds(&overlay, &batch.preconditions)? {
                for write in batch.writes.drain(..) {
                    match write {
                        Write::Put(key, value) => overlay.insert(key, Some(value)),
                        Write::Remove(key) => overlay.insert(key, None),
                    };
                }
                verdicts.push(Ok(()));
            } else {
                verdicts.push(Err(CommitError::Conflict));
            }
        }
        if !overlay.is_empty() {
            self.keep_preimages(&overlay)?;
            let syncs = durability::syncs();
            let mut merged = sled::Batch::default();
            for (key, value) in overlay {
                match value {
                    Some(value) => merged.insert(key, value),
                    None => merged.remove(key),
                }
            }
            self.db.apply_batch(merged).and_then(|()| self.db.flush()).map_err(|error| error.to_string())?;
            if durability::has_failed() {
                return Err("the disk refused to sync".to_owned());
            }
            durability::self_test(syncs)?;
            self.shared.groups.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.batches.fetch_add(group.len() as u64, Ordering::Relaxed);
        Ok(verdicts)
    }

    fn holds(&self, overlay: &Overlay, preconditions: &[Precondition]) -> Result<bool, String> {
        for precondition in preconditions {
            let (key, wanted) = match precondition {
                Precondition::Absent(key) => (key, None),
                Precondition::Equals(key, value) => (key, Some(value.as_slice())),
            };
            let holds = match overlay.get(key) {
                Some(newest) => newest.as_deref() == wanted,
                None => self.db.get(key).map_err(|error| error.to_string())?.as_deref() == wanted,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs the hooks of the winners in commit order, then answers everyone.
    fn answer(&self, group: Vec<Commit>, mut verdicts: Vec<Result<(), CommitError>>) {
        let mut answers = Vec::with_capacity(group.len());
        for (commit, verdict) in group.into_iter().zip(verdicts.iter_mut()) {
            if verdict.is_ok() {
                for update in commit.batch.after {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(update)) {
                        // A view in memory is now behind the disk; only a restart rebuilds it.
                        let why = format!(
                            "an update after a commit panicked: {}",
                            super::directory::panic_text(&*panic)
                        );
                        *verdict = Err(CommitError::Store(self.shared.fail(why)));
                    }
                }
            }
            answers.push(commit.answer);
        }
        // Only now, so that the watchdog also sees an update that hangs; and before the first answer, because whoever
        // has it and commits again would be counted twice.
        self.shared.queued.fetch_sub(answers.len(), Ordering::Relaxed);
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            // Whoever stopped waiting does not need the answer.
            let _ = answer.send(verdict);
        }
    }

    fn keep_preimages(&mut self, overlay: &Overlay) -> Result<(), String> {
        for export in &mut self.exports {
            for key in overlay.keys() {
                let is_out = export.cursor.as_ref().is_some_and(|cursor| key <= cursor);
                if !is_out && !export.preimages.contains_key(key) {
                    let before = self.db.get(key).map_err(|error| error.to_string())?;
                    export.preimages.insert(key.clone(), before.map(|value| value.to_vec()));
                }
            }
        }
        self.exports.retain(|export| export.preimages.len() <= MOST_PREIMAGES);
        Ok(())
    }

    fn serve_exports(&mut self) {
        let db = &self.db;
        let mut failed = None;
        self.exports.retain_mut(|export| match catch_unwind(AssertUnwindSafe(|| export.advance(db))) {
            Ok(Ok(goes_on)) => goes_on,
            Ok(Err(error)) => {
                failed = Some(error.to_string());
                false
            }
            Err(panic) => {
                failed = Some(super::directory::panic_text(&*panic));
                false
            }
        });
        if let Some(why) = failed {
            // The reader sees an export without an end. Serving goes on: what is damaged may be one page.
            tracing::error!(why, "the store could not be read for an export");
        }
    }

    /// Answers everything that still waits after a stop or a failure.
    fn dismiss_the_rest(&mut self) {
        let verdict = match self.shared.failed.get() {
            Some(why) => CommitError::Store(StoreError::Failed(why.clone())),
            None => CommitError::Unavailable(CLOSING),
        };
        let waiting: Vec<Job> = self.carried.drain(..).chain(self.jobs.try_iter()).collect();
        for job in waiting {
            if let Job::Commit(commit) = job {
                self.shared.queued.fetch_sub(1, Ordering::Relaxed);
                let _ = commit.answer.send(Err(verdict.clone()));
            }
        }
    }
}

impl Export {
    /// Sends the next slice; returns whether there is more to do.
    fn advance(&mut self, db: &sled::Db) -> sled::Result<bool> {
        let chunk = match self.stuck.take() {
            Some(chunk) => chunk,
            None => self.slice(db)?,
        };
        let is_end = chunk.is_empty();
        match self.out.try_send(chunk) {
            Ok(()) => Ok(!is_end),
            Err(TrySendError::Full(chunk)) => {
                self.stuck = Some(chunk);
                Ok(true)
            }
            Err(TrySendError::Disconnected(_)) => Ok(false),
        }
    }

    fn slice(&mut self, db: &sled::Db) -> sled::Result<Chunk> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        while !self.is_finished {
            let lower = self.cursor.clone().map_or(Unbounded, Excluded);
            let mut slice = BTreeMap::new();
            for pair in db.range::<Vec<u8>, _>((lower.clone(), Unbounded)).take(EXPORT_SLICE) {
                let (key, value) = pair?;
                slice.insert(key.to_vec(), value.to_vec());
            }
            let upper = match slice.last_key_value() {
                Some((last, _)) if slice.len() == EXPORT_SLICE => Included(last.clone()),
                _ => Unbounded,
            };
            let changed: Vec<Vec<u8>> =
                self.preimages.range((lower, upper.clone())).map(|(key, _)| key.clone()).collect();
            self.is_finished = upper == Unbounded;
            if let Included(upper) = upper {
                self.cursor = Some(upper);
            }
            for key in changed {
                match self.preimages.remove(&key) {
                    Some(Some(before)) => slice.insert(key, before),
                    _ => slice.remove(&key),
                };
            }
            // A slice of records that are all newer than the export is empty, but not the end.
            if !slice.is_empty() {
                return Ok(slice.into_iter().collect());
            }
        }
        Ok(Chunk::new())
    }
}
