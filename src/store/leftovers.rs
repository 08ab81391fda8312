//! Copies that were being made, or waited for somebody who takes them along, when the process was killed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{directory, snapshots};
use crate::kernel::time::Timestamp;

/// What is written gets its name only once it was read back whole.
pub(super) const HALF_WRITTEN: &str = ".tmp";
/// How the name of a copy begins that waits in the data directory. No person gives a file such a name.
const HANDED_OUT: &str = "handed-out-";

/// Returns where a copy of everything waits that is made at `now` for somebody who moves it from there.
pub fn hand_out_place(dir: &Path, now: Timestamp) -> PathBuf {
    dir.join(format!("{HANDED_OUT}{}", now.as_millis()))
}

/// Removes the copies that an earlier process left. Whoever calls holds the lock of `dir`, so nobody makes any now.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    remove_those(dir, &is_handed_out)?;
    remove_those(&dir.join(directory::SNAPSHOTS), &is_half_a_snapshot)
}

fn is_handed_out(name: &str) -> bool {
    let number = name.strip_prefix(HANDED_OUT).map(|rest| rest.strip_suffix(HALF_WRITTEN).unwrap_or(rest));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_half_a_snapshot(name: &str) -> bool {
    let whole = name.strip_suffix(HALF_WRITTEN).map(Path::new);
    whole.and_then(Path::extension) == Some(OsStr::new(snapshots::EXTENSION))
}

fn remove_those(place: &Path, is_left: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_left) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            tracing::info!(file = %entry.path().display(), "an unfinished copy was removed");
        }
    }
    Ok(())
}
