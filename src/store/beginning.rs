//! The first start of an installation. Until its store is whole nothing in the directory is data, and a start that ended
//! too early, on a full disk or by a power cut, is begun anew instead of being taken for a store that was lost.

use std::path::Path;
use std::{fs, io};

use super::directory::{self, INSTANCE, STORE};
use super::open::{OpenError, OpenSettings, Refusal, SMALLEST_FLOOR};
use super::snapshots;

/// It lies in the data directory from before the first key is made until the store is whole.
const MARKER: &str = "first-start";

/// What a new store takes of the disk, several times over.
const ROOM: u64 = 4 * 1024 * 1024;

/// Notes that the first start is under way in `settings.dir`. Called before the master key is made, and only where there
/// are neither data nor a key that belonged to any.
///
/// # Errors
/// Others can read the directory, or the disk has no room for a store.
pub fn begin(settings: &OpenSettings) -> Result<(), OpenError> {
    let dir = &settings.dir;
    let refuse = |refusal, text: String| OpenError::new(refusal, text);
    directory::prepare(dir).map_err(|why| refuse(Refusal::Permissions, why))?;
    require_room(settings)?;
    directory::write_file(&dir.join(MARKER), b"")
        .map_err(|error| refuse(Refusal::System, format!("{} cannot be written: {error}.", dir.display())))
}

/// Refuses if the disk has no room for a new store.
pub(super) fn require_room(settings: &OpenSettings) -> Result<(), OpenError> {
    let needed = settings.free_space_floor.unwrap_or(SMALLEST_FLOOR).saturating_add(ROOM);
    match directory::free_bytes(&settings.dir) {
        Some(free) if free < needed => Err(OpenError::new(
            Refusal::System,
            format!(
                "The disk of {} has {} MiB free, and Doorward needs {} MiB to begin. Make room and start again.",
                settings.dir.display(),
                free >> 20,
                needed >> 20
            ),
        )),
        _ => Ok(()),
    }
}

/// Tells whether a first start began in `dir` and did not come to its end. Nothing was acknowledged then.
pub(super) fn is_unfinished(dir: &Path) -> io::Result<bool> {
    Ok(directory::exists(&dir.join(MARKER))?
        && !directory::exists(&dir.join(INSTANCE))?
        && !snapshots::any(dir)?)
}

/// Removes what an unfinished first start left of a store. Whoever calls holds the lock of `dir`.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    if is_unfinished(dir)? { directory::remove_tree(&dir.join(STORE)) } else { Ok(()) }
}

/// Notes that the store is whole.
pub(super) fn finish(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(MARKER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => directory::sync_dir(dir),
    }
}
