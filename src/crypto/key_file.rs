//! The master key on disk: one file that only its owner can read (KEY-01, KEY-02).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::keys::MasterKey;
use crate::kernel::random::Random;

/// More than any key file holds.
const MAX_LENGTH: u64 = 256;

/// Why there is no key. Every text says what to do.
#[derive(Debug)]
pub enum KeyFileError {
    /// There is no file, and a new key must not be made because there are data that need the old one.
    Missing(PathBuf),
    /// The file can be read by others.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    Malformed(PathBuf),
    /// The file is a directory, a device or the like.
    NotAFile(PathBuf),
    /// The file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::Missing(path) => write!(
                f,
                "The key file {} is missing, but there are data that were sealed with it. Put the file back from your backup; a new key could not read them.",
                path.display()
            ),
            KeyFileError::Exposed { path, mode } => write!(
                f,
                "The key file {0} can be read by others (mode {mode:04o}). Run: chmod 600 {0}",
                path.display()
            ),
            KeyFileError::Malformed(path) => write!(
                f,
                "The key file {} does not hold a key: 64 hexadecimal digits on one line. Put it back from your backup.",
                path.display()
            ),
            KeyFileError::NotAFile(path) => {
                write!(f, "The key file {} is not a regular file. Give the path of a file.", path.display())
            }
            KeyFileError::Io { path, error } => write!(
                f,
                "The key file {} cannot be read or written: {error}. Check that it belongs to the user that Doorward runs as.",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyFileError {}

/// Reads the key at `path`. If there is none and `may_create` allows it, makes a fresh one there first: mode 0600,
/// never over an existing file, on disk with its directory entry before this returns.
///
/// Pass `may_create` only when there are no data yet (KEY-02, FAIL-04).
///
/// # Errors
/// [`KeyFileError`], whose text tells the operator what to do.
pub fn load_or_create(path: &Path, random: &Random, may_create: bool) -> Result<MasterKey, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing(_)) if may_create => create(path, random),
        result => result,
    }
}

/// Reads the key at `path`.
///
/// # Errors
/// [`KeyFileError`], whose text tells the operator what to do.
pub fn load(path: &Path) -> Result<MasterKey, KeyFileError> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Io { path: path.to_owned(), error },
    };
    // Not blocking: a FIFO in place of the file must not hang the start.
    let non_blocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(non_blocking).open(path).map_err(fail)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_LENGTH as usize));
    match file.take(MAX_LENGTH).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(KeyFileError::Malformed(path.to_owned()));
        }
        Err(error) => return Err(fail(error)),
    }
    MasterKey::parse_file(&text).map_err(|_| KeyFileError::Malformed(path.to_owned()))
}

fn create(path: &Path, random: &Random) -> Result<MasterKey, KeyFileError> {
    let fail = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".tmp");
    let fresh = PathBuf::from(fresh);
    let moved = write_fresh(&fresh, random).and_then(|()| move_to_new(&fresh, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&fresh);
        // Another start was faster, and its key counts.
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(fail(error));
        }
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail)?;
    // Read, not remembered: what counts is what the next start will find.
    load(path)
}

/// Writes a fresh key to `path`, over what a start that was cut off left there.
fn write_fresh(path: &Path, random: &Random) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(MasterKey::random(random).to_file_text().as_bytes())?;
    file.sync_all()
}

/// Moves a file to a name that nothing has: half a key under the right name would stop every later start.
fn move_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can promise it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(io::ErrorKind::AlreadyExists.into()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let name: u64 = u64::from_be_bytes(Random::os().bytes());
            let path = std::env::temp_dir().join(format!("doorward-key-{name:016x}"));
            fs::create_dir(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// KEY-01: the key is readable by its owner alone and is the same at every start.
    #[test]
    fn a_key_is_made_once_and_read_ever_after() {
        let directory = Directory::new();
        let path = directory.0.join("key");
        let made = load_or_create(&path, &Random::os(), true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(load_or_create(&path, &Random::os(), true).unwrap().fingerprint(), made.fingerprint());
        assert_eq!(load_or_create(&path, &Random::os(), false).unwrap().fingerprint(), made.fingerprint());
    }

    /// FAIL-04: a kill during the first start leaves the whole key or none, so the next start is like the first.
    #[test]
    fn half_a_key_never_has_the_name_of_the_key() {
        let directory = Directory::new();
        let path = directory.0.join("key");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    if let Ok(text) = fs::read_to_string(&path) {
                        assert_eq!(text.trim_end().len(), 64, "{text:?}");
                    }
                }
            });
            for _ in 0..200 {
                load_or_create(&path, &Random::os(), true).unwrap();
                fs::remove_file(&path).unwrap();
            }
            is_over.store(true, Ordering::SeqCst);
        });
        fs::write(directory.0.join("key.tmp"), "half a k").unwrap();
        let made = load_or_create(&path, &Random::os(), true).unwrap();
        assert_eq!(load(&path).unwrap().fingerprint(), made.fingerprint());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "nothing is left beside it");
    }

    /// KEY-02, FAIL-04: a missing key beside data is an error, never a reason to make a new one.
    #[test]
    fn a_missing_key_is_not_replaced_unless_allowed() {
        let directory = Directory::new();
        let path = directory.0.join("key");
        let error = load_or_create(&path, &Random::os(), false).unwrap_err();
        assert!(error.to_string().contains("Put the file back"), "{error}");
        assert!(!path.exists());
    }

    /// KEY-02
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = Directory::new();
        let path = directory.0.join("key");
        load_or_create(&path, &Random::os(), true).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_create(&path, &Random::os(), true).unwrap_err();
            assert!(matches!(error, KeyFileError::Exposed { .. }));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load(&path).is_ok());
    }

    /// KEY-02: what is there and not a key is never written over.
    #[test]
    fn a_file_that_holds_no_key_is_refused_and_kept() {
        let directory = Directory::new();
        let path = directory.0.join("key");
        for content in ["", "abc", &"a".repeat(63), &"a".repeat(5000), "\u{0}", "zz"] {
            let _ = fs::remove_file(&path);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = load_or_create(&path, &Random::os(), true).unwrap_err();
            assert!(matches!(error, KeyFileError::Malformed(_)), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(matches!(load(&path).unwrap_err(), KeyFileError::Malformed(_)));
        assert!(matches!(load(&directory.0).unwrap_err(), KeyFileError::NotAFile(_)));
    }
}
