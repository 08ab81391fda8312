//! The setup token: 128 random bits that prove that whoever opens the wizard can read the log or the data directory of
//! this machine (SET-01).
//!
//! The file `setup-token` in the data directory is the truth: the server writes it when it starts without an owner and
//! reads it at every claim, so that the command line can renew it while the server runs. Of the token that the server
//! made itself it remembers the hash alone, to measure its hour by the clock that nobody can move.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::crypto::crockford;
use crate::crypto::mac::sha256;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;

/// The name of the file in the data directory.
pub const FILE_NAME: &str = "setup-token";
/// How long a token is good for.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// 26 characters hold 130 bits.
const CHARACTERS: usize = 26;
const LONGEST_FILE: u64 = 256;

/// The token file could not be read or written.
#[derive(Debug)]
pub struct TokenFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The setup code in {} cannot be read or written: {}. Check that the directory belongs to the user that Doorward runs as.",
            self.path.display(),
            self.error
        )
    }
}

impl std::error::Error for TokenFileError {}

/// A setup token.
pub struct SetupToken {
    text: SecretText,
    /// When it stops being good.
    pub expires_at: Timestamp,
}

impl SetupToken {
    fn random(random: &Random, now: Timestamp) -> Self {
        SetupToken { text: SecretText::new(shown(random.bytes())), expires_at: now.plus(LIFETIME) }
    }

    /// Returns the token in groups of four, for a person to copy.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns the hash by which a typed token is compared.
    pub fn hash(&self) -> [u8; 32] {
        normalize(self.text.expose()).map_or([0; 32], |text| sha256(text.as_bytes()))
    }
}

fn shown(bytes: [u8; 16]) -> String {
    crockford::shown(bytes, CHARACTERS)
}

/// Brings a typed token to its one canonical form; `None` if it cannot be a token.
pub fn normalize(typed: &str) -> Option<String> {
    crockford::normalize(typed, CHARACTERS)
}

/// Returns the path of the file in a data directory.
pub fn path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

/// Reads the token of a data directory; `None` if there is no file, or none that holds a token.
///
/// # Errors
/// If the file is there and cannot be read, or others than its owner may read it.
pub fn read(dir: &Path) -> Result<Option<SetupToken>, TokenFileError> {
    let path = path(dir);
    let fail = |error| TokenFileError { path: path.clone(), error };
    let non_blocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(non_blocking).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        let why = "others than its owner can reach it";
        return Err(fail(io::Error::new(io::ErrorKind::PermissionDenied, why)));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(fail)?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Option<SetupToken> {
    let mut lines = text.lines();
    let token = lines.next()?;
    normalize(token)?;
    let expires = lines.next()?.strip_prefix("expires ")?.parse().ok()?;
    Some(SetupToken { text: SecretText::new(token.to_owned()), expires_at: Timestamp::from_millis(expires) })
}

/// Writes a new token into a data directory, in place of an older one.
///
/// # Errors
/// If the directory cannot be written.
pub fn renew(dir: &Path, random: &Random, now: Timestamp) -> Result<SetupToken, TokenFileError> {
    let path = path(dir);
    let fail = |error| TokenFileError { path: path.clone(), error };
    let token = SetupToken::random(random, now);
    let name = format!(".{FILE_NAME}.{}", data_encoding::HEXLOWER.encode(&random.bytes::<8>()));
    let fresh = dir.join(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(fail)?;
    let written = write(&mut file, dir, &token).and_then(|()| fs::rename(&fresh, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&fresh);
        return Err(fail(error));
    }
    Ok(token)
}

fn write(file: &mut File, dir: &Path, token: &SetupToken) -> io::Result<()> {
    let owner = fs::metadata(dir)?;
    // Root may renew the token of a server that runs as another user, who must be able to read it.
    if owner.uid() != file.metadata()?.uid() {
        fchown(&*file, Some(owner.uid()), Some(owner.gid()))?;
    }
    let text =
        zeroize::Zeroizing::new(format!("{}\nexpires {}\n", token.expose(), token.expires_at.as_millis()));
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes the file; there is nothing to claim any more.
///
/// # Errors
/// If the file is there and cannot be removed.
pub fn remove(dir: &Path) -> Result<(), TokenFileError> {
    let path = path(dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TokenFileError { path, error }),
        _ => Ok(()),
    }
}

/// For the command line: returns the token of a server that waits for its owner. An expired one is renewed, and any
/// one if `is_renewal`. `None` if there is nothing to claim: Doorward has an owner, or was never started here.
///
/// # Errors
/// If the file cannot be read or written.
pub fn show(
    dir: &Path,
    is_renewal: bool,
    random: &Random,
    now: Timestamp,
) -> Result<Option<SetupToken>, TokenFileError> {
    if !path(dir).exists() {
        return Ok(None);
    }
    match read(dir)? {
        Some(token) if !is_renewal && token.expires_at > now => Ok(Some(token)),
        _ => renew(dir, random, now).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::Directory;
    use super::*;

    /// SET-01: 128 bits, all of which are in the text.
    #[test]
    fn every_bit_of_the_randomness_is_in_the_token() {
        let mut seen = std::collections::HashSet::from([shown([0; 16])]);
        for bit in 0..128 {
            let mut bytes = [0; 16];
            bytes[bit / 8] = 1 << (bit % 8);
            assert!(seen.insert(shown(bytes)), "bit {bit}");
        }
        assert_eq!(shown([0xff; 16]), "7zzz-zzzz-zzzz-zzzz-zzzz-zzzz-zz");
    }

    #[test]
    fn typing_is_forgiving_and_guessing_is_not() {
        let token = "0123-4567-89ab-cdef-ghjk-mnpq-rs";
        let canonical = token.replace('-', "");
        for typed in [token, " O123 4567 89AB CDEF GHJK MNPQ RS\n", "0l23456789abcdefghjkmnpqrs"] {
            assert_eq!(normalize(typed).as_deref(), Some(canonical.as_str()), "{typed}");
        }
        for bad in ["", "0123", &canonical[1..], &format!("{canonical}0"), &"-".repeat(500)] {
            assert_eq!(normalize(bad), None, "{bad}");
        }
    }

    /// SET-01: the file is for its owner's eyes, and is replaced whole.
    #[test]
    fn the_file_is_private_and_replaced_whole() {
        let dir = Directory::new();
        let now = Timestamp::from_secs(1000);
        assert!(read(dir.path()).unwrap().is_none());
        let first = renew(dir.path(), &Random::os(), now).unwrap();
        let second = renew(dir.path(), &Random::os(), now).unwrap();
        assert_ne!(first.expose(), second.expose());
        let read_back = read(dir.path()).unwrap().unwrap();
        assert_eq!(read_back.expose(), second.expose());
        assert_eq!((read_back.hash(), read_back.expires_at), (second.hash(), now.plus(LIFETIME)));
        assert_eq!(fs::metadata(path(dir.path())).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
        fs::set_permissions(path(dir.path()), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(dir.path()).is_err());
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert!(read(dir.path()).unwrap().is_none());
    }

    #[test]
    fn the_command_line_shows_a_good_token_and_renews_a_spent_one() {
        let dir = Directory::new();
        let now = Timestamp::from_secs(1000);
        assert!(show(dir.path(), true, &Random::os(), now).unwrap().is_none(), "nothing to claim");
        let made = renew(dir.path(), &Random::os(), now).unwrap();
        let shown = show(dir.path(), false, &Random::os(), now).unwrap().unwrap();
        assert_eq!(shown.expose(), made.expose());
        let renewed = show(dir.path(), true, &Random::os(), now).unwrap().unwrap();
        assert_ne!(renewed.expose(), made.expose());
        let later = now.plus(LIFETIME);
        let after = show(dir.path(), false, &Random::os(), later).unwrap().unwrap();
        assert_ne!(after.expose(), renewed.expose());
        fs::write(path(dir.path()), "rubbish").unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        assert!(show(dir.path(), false, &Random::os(), later).unwrap().is_some());
    }
}
