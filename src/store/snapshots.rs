//! Verified snapshots in `snapshots/`: exports that were read back whole before they got their name (BAK-01).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::directory;
use super::export::{self, ExportError, Header, ReadReport};
use super::leftovers::HALF_WRITTEN;
use super::meta::{self, Instance, Schema};
use super::{Store, StoreError};
use crate::crypto::sealed::Sealer;
use crate::kernel::time::Timestamp;

pub(super) const EXTENSION: &str = "doorward-export";
/// Stands in the name of a snapshot that lacks records, because they were damaged in the store.
const INCOMPLETE: &str = "-incomplete";
/// Daily snapshots that are kept.
const DAYS: usize = 7;
/// Weekly snapshots that are kept.
const WEEKS: usize = 4;
/// Snapshots taken before a migration or a restore that are kept.
const PRECAUTIONS: usize = 3;
/// Bytes that stay free beside a new snapshot, which is at most about as large as the store twice.
const ROOM_BESIDE: u64 = 64 * 1024 * 1024;

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The daily one; thinned out to 7 daily and 4 weekly ones.
    Daily,
    /// Before something that changes the whole store; the last three are kept.
    Precaution,
    /// Because somebody asked; kept until somebody removes it.
    Asked,
}

impl Reason {
    /// Returns the word in the name of the file.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Daily => "daily",
            Reason::Precaution => "precaution",
            Reason::Asked => "asked",
        }
    }

    fn of(name: &str) -> Option<Reason> {
        let (_, rest) = name.split_once('-')?;
        [Reason::Daily, Reason::Precaution, Reason::Asked]
            .into_iter()
            .find(|reason| rest.strip_prefix(reason.word()).is_some_and(|rest| rest.starts_with(['.', '-'])))
    }
}

/// One file in `snapshots/`.
#[derive(Debug)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What reading it whole showed.
    pub state: Result<(Header, ReadReport), ExportError>,
}

/// A snapshot as its name tells; it got the name once it was read back whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The name of the file.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Whether no record was damaged when it was taken; such records are not in it.
    pub is_complete: bool,
}

/// Lists the snapshots of `dir` by their names, newest first, without reading them. Files that were put there under
/// other names are left out.
///
/// # Errors
/// If the directory cannot be read.
pub fn stored(dir: &Path) -> io::Result<Vec<Stored>> {
    let place = dir.join(directory::SNAPSHOTS);
    let mut stored = Vec::new();
    for name in names(&place)?.into_iter().rev() {
        let (Some(taken_at), Some(reason)) = (stamped(&name), Reason::of(&name)) else { continue };
        match fs::metadata(place.join(&name)) {
            Ok(metadata) => {
                let (bytes, is_complete) = (metadata.len(), is_complete(&name));
                stored.push(Stored { name, bytes, taken_at, reason, is_complete });
            }
            // It was thinned out in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stored)
}

/// Reads the snapshot with this name, one of those that [`stored`] lists; `None` if there is none or it is larger than
/// `most` bytes.
///
/// # Errors
/// If it cannot be read.
pub fn read(dir: &Path, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    // What is asked for is compared and never becomes a path (INP-08).
    let Some(found) = stored(dir)?.into_iter().find(|one| one.name == name) else { return Ok(None) };
    let file = File::open(dir.join(directory::SNAPSHOTS).join(&found.name))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, most.saturating_add(1)), &mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Reads the moment at the beginning of a name, as [`directory::stamp`] writes it.
fn stamped(name: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = name.get(range)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    if name.get(8..9)? != "T" || name.get(15..16)? != "Z" {
        return None;
    }
    let day = Timestamp::of_civil_date(number(0..4)?, number(4..6)?, number(6..8)?)?;
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    Some(day.plus(std::time::Duration::from_secs(hour * 3600 + minute * 60 + second)))
}

/// Writes an export of the running store to `out`. The store works on meanwhile, and the export shows one moment.
/// Damaged values are left out and counted, so that one of them does not end the making of backups.
///
/// # Errors
/// If the store cannot be read or `out` not be written.
pub fn export_to(
    store: &Store,
    out: &mut dyn io::Write,
    now: Timestamp,
) -> Result<export::Counts, ExportError> {
    let missing = || StoreError::Failed("the store does not name its installation and schema".to_owned());
    let instance = meta::read::<Instance>(store)?.ok_or_else(missing)?;
    let schema = meta::read::<Schema>(store)?.ok_or_else(missing)?;
    let header = Header::new(now, schema.version, instance.id, store.sealer().key_fingerprint());
    export::write(out, &header, store.engine().snapshot()?, store.sealer())
}

/// Writes an export to the new file `path` (mode 0600), reads it back, and only then gives it its name.
///
/// # Errors
/// If `path` exists, cannot be written, or what was written does not verify; nothing is left behind then.
pub fn export_file(store: &Store, path: &Path, now: Timestamp) -> Result<ReadReport, ExportError> {
    if directory::exists(path)? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())).into());
    }
    export_as(store, path, now, |_| Ok(path.to_owned())).map(|(_, report)| report)
}

/// Writes an export beside `path`, reads it back, and gives it the name that `name` finds for it.
fn export_as(
    store: &Store,
    path: &Path,
    now: Timestamp,
    name: impl FnOnce(&ReadReport) -> io::Result<PathBuf>,
) -> Result<(PathBuf, ReadReport), ExportError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(HALF_WRITTEN);
    let temporary = PathBuf::from(temporary);
    let done = write_and_verify(store, &temporary, now).and_then(|report| {
        let path = name(&report)?;
        directory::rename(&temporary, &path)?;
        Ok((path, report))
    });
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}

fn write_and_verify(store: &Store, temporary: &Path, now: Timestamp) -> Result<ReadReport, ExportError> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut out = BufWriter::new(file);
    export_to(store, &mut out, now)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    drop(out);
    let (_, report) = export::verify(BufReader::new(File::open(temporary)?), Some(store.sealer()))?;
    Ok(report)
}

/// Takes a verified snapshot into `dir/snapshots` and removes those that are too many by now. Blocks while it runs
/// (seconds); the store works on.
///
/// # Errors
/// As [`export_file`]; also when the disk has no room for it above the free-space floor.
pub fn take(store: &Store, dir: &Path, reason: Reason, now: Timestamp) -> Result<PathBuf, ExportError> {
    if let Some(why) = store.engine().write_refusal() {
        return Err(io::Error::new(io::ErrorKind::StorageFull, why).into());
    }
    let room = store.engine().size_on_disk().saturating_mul(2).saturating_add(ROOM_BESIDE);
    if directory::free_bytes(dir).is_some_and(|free| free < room) {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has no room for a snapshot").into());
    }
    let place = dir.join(directory::SNAPSHOTS);
    directory::make_dir(&place)?;
    let stem = format!("{}-{}", directory::stamp(now), reason.word());
    let (path, report) = export_as(store, &place.join(format!("{stem}.{EXTENSION}")), now, |report| {
        free_name(&place, &stem, if report.left_out == 0 { "" } else { INCOMPLETE })
    })?;
    tracing::info!(path = %path.display(), records = report.counts.values().sum::<u64>(), "a snapshot was taken and verified");
    thin_out(&place)?;
    Ok(path)
}

/// Returns a path in `place` that is not taken.
fn free_name(place: &Path, stem: &str, mark: &str) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let path = place.join(format!("{stem}{mark}{suffix}.{EXTENSION}"));
        if !directory::exists(&path)? {
            return Ok(path);
        }
        number += 1;
    }
}

fn is_complete(name: &str) -> bool {
    !name.contains(INCOMPLETE)
}

/// Returns whether the newest daily snapshot is from another day than `now`.
///
/// # Errors
/// If the directory cannot be read.
pub fn is_daily_due(dir: &Path, now: Timestamp) -> io::Result<bool> {
    let stamp = directory::stamp(now);
    let today = stamp.get(..8).unwrap_or_default();
    Ok(!names(&dir.join(directory::SNAPSHOTS))?
        .iter()
        .any(|name| Reason::of(name) == Some(Reason::Daily) && name.starts_with(today)))
}

/// Lists the snapshots of `dir`, newest first, each read whole; with `sealer` also its sealed values.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(dir: &Path, sealer: Option<&Sealer>) -> io::Result<Vec<Listed>> {
    let place = dir.join(directory::SNAPSHOTS);
    let mut listed = Vec::new();
    for name in names(&place)?.into_iter().rev() {
        listed.push(look_at(place.join(name), sealer)?);
    }
    Ok(listed)
}

/// Returns the newest snapshot of `dir` that is whole and known to this program, if there is one.
fn newest_verified(dir: &Path, sealer: Option<&Sealer>) -> Option<Listed> {
    let place = dir.join(directory::SNAPSHOTS);
    let names = names(&place).ok()?;
    let is_usable = |listed: &Listed| {
        listed.state.as_ref().is_ok_and(|(header, _)| header.schema <= super::meta::SCHEMA_VERSION)
    };
    names.into_iter().rev().filter_map(|name| look_at(place.join(name), sealer).ok()).find(is_usable)
}

/// Names the newest verified snapshot and the command that restores it.
pub(super) fn remedy(dir: &Path, sealer: &Sealer, program: &str) -> String {
    match newest_verified(dir, Some(sealer)) {
        Some(snapshot) => {
            let created = snapshot.state.map(|(header, _)| header.created).unwrap_or_default();
            format!(
                "The newest verified snapshot was made at {created}. To restore it: {program} store import --replace {}",
                snapshot.path.display()
            )
        }
        None => format!(
            "There is no verified snapshot in {}. If you have one elsewhere: {program} store import --replace FILE",
            dir.join(directory::SNAPSHOTS).display()
        ),
    }
}

/// Returns whether `dir` holds any snapshot at all.
pub(super) fn any(dir: &Path) -> io::Result<bool> {
    Ok(!names(&dir.join(directory::SNAPSHOTS))?.is_empty())
}

fn look_at(path: PathBuf, sealer: Option<&Sealer>) -> io::Result<Listed> {
    let file = File::open(&path)?;
    let bytes = file.metadata()?.len();
    Ok(Listed { path, bytes, state: export::verify(BufReader::new(file), sealer) })
}

/// Returns the names of the snapshots in `place`, oldest first.
fn names(place: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Some(name) = entry?.file_name().to_str()
            && Path::new(name).extension().is_some_and(|extension| extension == EXTENSION)
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Complete snapshots make room for complete ones alone: damage must not push out what was whole before it.
fn thin_out(place: &Path) -> io::Result<()> {
    let (complete, incomplete): (Vec<String>, Vec<String>) =
        names(place)?.into_iter().partition(|name| is_complete(name));
    for name in superfluous(&complete).into_iter().chain(superfluous(&incomplete)) {
        fs::remove_file(place.join(name))?;
    }
    directory::sync_dir(place)
}

/// Returns those of `names` (oldest first) that need not be kept: of the daily ones all but the newest of each of
/// the last seven days and of each of the last four weeks that have any, of the precautions all but three.
fn superfluous(names: &[String]) -> Vec<&String> {
    let mut days: Vec<&str> = Vec::new();
    let mut weeks: Vec<u64> = Vec::new();
    let mut precautions = 0;
    let mut superfluous = Vec::new();
    for name in names.iter().rev() {
        match Reason::of(name) {
            Some(Reason::Daily) => {
                let day = name.get(..8).unwrap_or_default();
                let week = week_of(day);
                let is_new_day = !days.contains(&day) && days.len() < DAYS;
                let is_new_week = !weeks.contains(&week) && weeks.len() < WEEKS;
                if is_new_day {
                    days.push(day);
                }
                if is_new_week {
                    weeks.push(week);
                }
                if !is_new_day && !is_new_week {
                    superfluous.push(name);
                }
            }
            Some(Reason::Precaution) => {
                precautions += 1;
                if precautions > PRECAUTIONS {
                    superfluous.push(name);
                }
            }
            Some(Reason::Asked) | None => {}
        }
    }
    superfluous
}

/// Returns the number of the week (from Monday) of a day written `YYYYMMDD`; by the inverse of `civil_date`.
fn week_of(day: &str) -> u64 {
    let number =
        |range: std::ops::Range<usize>| day.get(range).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let (year, month, day) = (number(0..4), number(4..6).max(1), number(6..8));
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day.saturating_sub(1);
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // Day 0 of this count, 0000-03-01, is a Wednesday.
    (days + 2) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_change_on_mondays() {
        // 2026-11-22 is a Sunday, 2024-02-29 a Thursday, 2000-01-01 a Saturday.
        assert_eq!(week_of("20261122") + 1, week_of("20261123"));
        assert_eq!(week_of("20261116"), week_of("20261122"));
        assert_eq!(week_of("20240229"), week_of("20240303"));
        assert_eq!(week_of("20240303") + 1, week_of("20240304"));
        assert_eq!(week_of("20000102") + 1, week_of("20000103"));
    }

    #[test]
    fn seven_days_and_four_weeks_stay() {
        let start = 1_790_000_000;
        let mut names: Vec<String> = Vec::new();
        for day in 0..120 {
            for part in 0..2 {
                let at = Timestamp::from_secs(start + day * 86_400 + part * 3600);
                names.push(format!("{}-daily.{EXTENSION}", directory::stamp(at)));
                let gone: Vec<String> = superfluous(&names).into_iter().cloned().collect();
                names.retain(|name| !gone.contains(name));
            }
        }
        let asked = format!("20200101T000000Z-asked.{EXTENSION}");
        names.insert(0, asked.clone());
        assert!(names.len() >= 8 && names.len() <= 12, "{names:?}");
        let last_seven: Vec<String> = (113..120)
            .map(|day| {
                format!(
                    "{}-daily.{EXTENSION}",
                    directory::stamp(Timestamp::from_secs(start + day * 86_400 + 3600))
                )
            })
            .collect();
        for name in &last_seven {
            assert!(names.contains(name), "{name} is missing in {names:?}");
        }
        let weeks: std::collections::BTreeSet<u64> = names.iter().skip(1).map(|name| week_of(name)).collect();
        assert_eq!(weeks.len(), 4, "{names:?}");
        assert!(!superfluous(&names).contains(&&asked));
    }

    #[test]
    fn a_name_says_its_moment() {
        let at = Timestamp::from_secs(1_790_000_123);
        let name = format!("{}-daily.{EXTENSION}", directory::stamp(at));
        assert_eq!(stamped(&name), Some(at));
        for bad in ["", "20261122-daily.doorward-export", "20261322T010203Z-daily", "2026é122T010203Z"] {
            assert_eq!(stamped(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_says_its_reason() {
        assert_eq!(Reason::of("20261122T010203Z-daily.doorward-export"), Some(Reason::Daily));
        assert_eq!(Reason::of("20261122T010203Z-precaution-1.doorward-export"), Some(Reason::Precaution));
        assert_eq!(Reason::of("20261122T010203Z-asked.doorward-export"), Some(Reason::Asked));
        assert_eq!(Reason::of("20261122T010203Z-daily-incomplete.doorward-export"), Some(Reason::Daily));
        assert!(!is_complete("20261122T010203Z-daily-incomplete-1.doorward-export"));
        assert_eq!(Reason::of("holiday.doorward-export"), None);
        assert_eq!(Reason::of("a-dailyx"), None);
    }
}
