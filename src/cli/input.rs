//! What a command reads before it travels: the server may not be allowed to read it, and shall wait for nobody's input.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Failure;

/// The longest password that standard input is read for.
const LONGEST_PASSWORD: u64 = 4096;

/// What a command takes beside its words; wiped on drop.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Input {
    /// A password, a file, or where an export goes on.
    pub(super) text: Option<String>,
    /// By the name of the file that a table of `app apply` gives, SHA-256 of the secret in it.
    pub(super) digests: BTreeMap<String, [u8; 32]>,
}

impl Input {
    /// What was read.
    pub(super) fn of(text: String) -> Input {
        Input { text: Some(text), digests: BTreeMap::new() }
    }

    /// Returns what was read.
    ///
    /// # Errors
    /// Nothing was.
    pub(super) fn text(&self) -> Result<&str, Failure> {
        let none = || Failure::new("This command came without what it takes from standard input or a file.");
        self.text.as_deref().ok_or_else(none)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Reads one line from standard input.
pub(super) fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST_PASSWORD)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("The password cannot be read: {error}")))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(
            "Give the password on standard input, such as: doorward user passwd ada < file",
        ));
    }
    Ok(line.to_owned())
}

/// Reads a file of at most `longest` bytes; `-` is standard input.
pub(super) fn read_file(file: &Path, longest: u64) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(format!("{} cannot be read: {error}", file.display()));
    let mut text = String::new();
    let source: &mut dyn Read = if file.as_os_str() == "-" {
        &mut std::io::stdin().lock()
    } else {
        &mut std::fs::File::open(file).map_err(unreadable)?
    };
    source.take(longest + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > longest {
        return Err(Failure::new(format!("{} is larger than {} KiB.", file.display(), longest / 1024)));
    }
    Ok(text)
}
