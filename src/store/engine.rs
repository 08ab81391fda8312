//! The narrow waist: what any engine must offer. A second engine (over a network) implements just this.

use std::fmt;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;

/// What must hold for a batch to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The key has no value.
    Absent(Vec<u8>),
    /// The key still has exactly this value.
    Equals(Vec<u8>, Vec<u8>),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the key to the value.
    Put(Vec<u8>, Vec<u8>),
    /// Removes the key; removing a missing key is no error.
    Remove(Vec<u8>),
}

/// Preconditions and writes that apply all or nothing.
#[derive(Default)]
pub struct RawBatch {
    /// Checked against the newest state, in the order of commits.
    pub preconditions: Vec<Precondition>,
    /// Applied in order if every precondition holds.
    pub writes: Vec<Write>,
    /// Run in commit order after the data is on disk and before the answer is sent: this is where in-memory views
    /// are updated. They must be short and must not touch the engine.
    pub after: Vec<Box<dyn FnOnce() + Send>>,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The engine stopped after an I/O error; the process must be restarted.
    Failed(String),
    /// A value does not pass its checksum, its seal or its schema.
    Corrupt {
        /// The table it was found in.
        table: &'static str,
    },
    /// A value is larger than the store takes (3.5 KiB).
    TooLarge {
        /// The table it was meant for.
        table: &'static str,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Failed(why) => write!(f, "the store stopped: {why}"),
            StoreError::Corrupt { table } => write!(f, "a value of table {table} is damaged"),
            StoreError::TooLarge { table } => write!(f, "a value for table {table} is too large"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a batch did not apply. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// A precondition did not hold.
    Conflict,
    /// Writes are refused at the moment (free space below the floor, queue full); reads go on. Try again later.
    Unavailable(&'static str),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Conflict => f.write_str("someone else changed this at the same moment"),
            CommitError::Unavailable(why) => write!(f, "the store takes no writes now: {why}"),
            CommitError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommitError {}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        CommitError::Store(error)
    }
}

/// The answer to a commit, given once the data is on disk.
pub type CommitFuture = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A consistent view of everything, in key order.
pub type Snapshot = Box<dyn Iterator<Item = Result<Pair, StoreError>> + Send>;

/// An ordered key-value engine.
pub trait Engine: Send + Sync + 'static {
    /// Returns the value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns at most `limit` pairs whose key starts with `prefix`, ascending and after `after`, which is excluded.
    /// There is no descending scan: a table that is read newest first has rows that count down.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Applies `batch` all or nothing and answers after the data is on disk.
    fn commit(&self, batch: RawBatch) -> CommitFuture;

    /// Returns every pair as of one moment between two commits, in key order. Commits go on meanwhile. An engine
    /// whose data others back up need not offer it.
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Err(StoreError::Failed("this engine makes no exports".to_owned()))
    }

    /// Returns the bytes the engine holds on disk, for metrics; zero if it has none.
    fn size_on_disk(&self) -> u64 {
        0
    }

    /// Returns why writes are refused at the moment, if they are.
    fn write_refusal(&self) -> Option<&'static str> {
        None
    }
}

/// A range of an ordered map.
pub(super) type Span = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that a scan may return, as bounds for an ordered map; `None` if there can be none.
pub(super) fn span(prefix: &[u8], after: Option<&[u8]>) -> Option<Span> {
    let lower = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    let upper = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    let is_empty = match (&lower, &upper) {
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
        _ => false,
    };
    (!is_empty).then_some((lower, upper))
}

/// Returns the smallest key above every key that starts with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
