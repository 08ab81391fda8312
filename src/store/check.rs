//! Checks of what is stored: the checksum of every value, the seal of every sealed one, and index rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::engine::{Engine, StoreError};
use super::envelope;
use super::tables::{self, EXPIRY_TAG, Protection, Table};
use crate::crypto::sealed::{Context, Sealer};

/// What is known about one stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Soundness {
    Sound,
    UnknownTable,
    Damaged,
    DoesNotOpen,
}

/// Checks one pair; without a `sealer` sealed values are checked by their checksum alone.
pub(super) fn soundness(key: &[u8], value: &[u8], sealer: Option<&Sealer>) -> Soundness {
    let Some((tag, row)) = key.split_first() else { return Soundness::UnknownTable };
    if *tag == EXPIRY_TAG {
        let names_a_table = row.first().is_some_and(|tag| Table::by_tag(*tag).is_some());
        let is_sound = names_a_table && value.is_empty() && tables::split_expiry_key(key).is_some();
        return if is_sound { Soundness::Sound } else { Soundness::Damaged };
    }
    let Some(table) = Table::by_tag(*tag) else { return Soundness::UnknownTable };
    let Some((_, flags, body)) = envelope::split(value) else { return Soundness::Damaged };
    match (table.protection, flags, sealer) {
        (Protection::Checksummed, 0, _) | (Protection::Sealed, envelope::FLAG_SEALED, None) => {
            Soundness::Sound
        }
        (Protection::Sealed, envelope::FLAG_SEALED, Some(sealer)) => {
            match sealer.open(&Context { table: table.name, row, column: envelope::COLUMN }, body) {
                Ok(_) => Soundness::Sound,
                Err(_) => Soundness::DoesNotOpen,
            }
        }
        _ => Soundness::Damaged,
    }
}

/// What a check found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Pairs looked at.
    pub checked: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Values that fail their checksum or their seal, and keys of no known table. Zero in a sound store.
    pub damaged: u64,
    /// Index rows whose record is gone. Normal: the purge removes them when their time comes.
    pub dangling: u64,
    /// Whether everything was looked at.
    pub is_finished: bool,
}

/// A check that runs beside the server; what it finds damaged is the metric `store_integrity_errors` and a warning.
#[derive(Debug, Default)]
pub struct BackgroundCheck {
    checked: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
    dangling: AtomicU64,
    is_finished: AtomicBool,
    is_cancelled: AtomicBool,
}

impl BackgroundCheck {
    /// Returns what was found so far.
    pub fn report(&self) -> CheckReport {
        CheckReport {
            checked: self.checked.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            dangling: self.dangling.load(Ordering::Relaxed),
            is_finished: self.is_finished.load(Ordering::Relaxed),
        }
    }

    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// Pairs that are looked at between two rests.
const SLICE: usize = 128;

/// Checks everything there is, in slices with `pause` between them.
///
/// # Errors
/// If the engine cannot read; the counts so far stand in `check`.
pub(super) fn run(
    engine: &dyn Fn() -> Option<Arc<dyn Engine>>,
    sealer: &Sealer,
    check: &BackgroundCheck,
    pause: Duration,
) -> Result<(), StoreError> {
    let mut last: Option<Vec<u8>> = None;
    // The engine is let go of between slices, and the check ends with it.
    while let Some(engine) = engine() {
        let slice = engine.scan(b"", last.as_deref(), SLICE)?;
        for (key, value) in &slice {
            check.checked.fetch_add(1, Ordering::Relaxed);
            check.bytes.fetch_add((key.len() + value.len()) as u64, Ordering::Relaxed);
            if soundness(key, value, Some(sealer)) != Soundness::Sound {
                check.damaged.fetch_add(1, Ordering::Relaxed);
                let table =
                    key.first().and_then(|tag| Table::by_tag(*tag)).map_or("unknown", |table| table.name);
                tracing::error!(table, "a stored value is damaged");
            } else if is_dangling(engine.as_ref(), key)? {
                check.dangling.fetch_add(1, Ordering::Relaxed);
            }
        }
        match slice.into_iter().next_back() {
            Some((key, _)) => last = Some(key),
            None => {
                check.is_finished.store(true, Ordering::Relaxed);
                break;
            }
        }
        if check.is_cancelled() {
            break;
        }
        drop(engine);
        std::thread::sleep(pause);
    }
    Ok(())
}

fn is_dangling(engine: &dyn Engine, key: &[u8]) -> Result<bool, StoreError> {
    let (Some(EXPIRY_TAG), Some(tag), Some((_, row))) =
        (key.first().copied(), key.get(1), tables::split_expiry_key(key))
    else {
        return Ok(false);
    };
    let Some(table) = Table::by_tag(*tag) else { return Ok(false) };
    Ok(engine.get(&table.key(row))?.is_none())
}

/// Checks everything at once and returns what was found; for the command line.
///
/// # Errors
/// If the engine cannot read.
pub fn check_now(engine: &Arc<dyn Engine>, sealer: &Sealer) -> Result<CheckReport, StoreError> {
    let check = BackgroundCheck::default();
    run(&|| Some(engine.clone()), sealer, &check, Duration::ZERO)?;
    Ok(check.report())
}
