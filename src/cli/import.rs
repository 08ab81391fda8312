//! `doorward import`: moving here from another sign-in server. Without `--apply` it only tells.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::{Failure, control};
use crate::app::App;
use crate::config::Settings;
use crate::import::carry::{Rooms, Wishes, carry};
use crate::import::{
    Found, LARGEST_FILE, Line, MOST_FILES, Report, SourceFile, authelia, pocket_id, tinyauth,
};

/// How many people or apps travel at a time.
const PIECE: usize = 100;
/// The largest file that a template may name.
const LARGEST_SECRET: u64 = 64 * 1024;

/// Where to move from.
#[derive(Subcommand)]
pub(super) enum ImportCommand {
    /// From Authelia: a folder with configuration.yml, users_database.yml and what `authelia storage user totp export`,
    /// `... webauthn export` and `... identifiers export` wrote.
    Authelia(From),
    /// From Pocket ID: the database.json of `pocket-id export`, or the folder it was unpacked to.
    PocketId(From),
    /// From tinyauth: a file with its users, one `name:hash[:seed]` a line.
    Tinyauth(From),
}

/// What to read, and what to do with it.
#[derive(Args)]
pub(super) struct From {
    /// The folder or file.
    path: PathBuf,
    /// Carry over what the report tells; without it nothing is changed.
    #[arg(long)]
    apply: bool,
    /// Put the access rules that are found in the place of those that are here.
    #[arg(long)]
    replace_rules: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// A piece of a move as it travels.
#[derive(Serialize, Deserialize)]
pub(super) struct ImportOrder {
    source: String,
    found: Found,
    wishes: Wishes,
}

pub(super) fn run(
    command: ImportCommand,
    settings: impl FnOnce() -> Result<Settings, Failure>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (source, from, found) = match command {
        ImportCommand::Authelia(from) => {
            let found = read_authelia(&from.path)?;
            ("authelia", from, found)
        }
        ImportCommand::PocketId(from) => {
            let path = if from.path.is_dir() { from.path.join("database.json") } else { from.path.clone() };
            let found = pocket_id::read(&read_named(&path, None, LARGEST_FILE).map_err(Failure::new)?);
            ("pocket-id", from, found)
        }
        ImportCommand::Tinyauth(from) => {
            let found = tinyauth::read(&read_named(&from.path, None, LARGEST_FILE).map_err(Failure::new)?);
            ("tinyauth", from, found)
        }
    };
    let wishes = Wishes { is_applied: from.apply, replaces_rules: from.replace_rules };
    let order = |found| control::Order::Import(ImportOrder { source: source.to_owned(), found, wishes });
    let mut found = found.without_doubles();
    let told = std::mem::take(&mut found.lines);
    let orders = found.into_pieces(PIECE).into_iter().map(order).collect();
    let mut report = Report { is_applied: wishes.is_applied, lines: Vec::new() };
    for answer in control::run_all(orders, &settings()?)? {
        let lines: Vec<Line> = serde_json::from_str(&answer)
            .map_err(|_| Failure::new("The server gave no answer; look at its log."))?;
        report.lines.extend(lines);
    }
    report.lines.extend(told);
    let text = if from.json {
        serde_json::to_string_pretty(&report).map_err(|error| Failure::new(error.to_string()))? + "\n"
    } else {
        report.to_text()
    };
    out.write_all(text.as_bytes()).map_err(|error| Failure::new(error.to_string()))
}

/// Carries out a piece that has travelled.
pub(super) async fn carry_out(app: &App, order: ImportOrder) -> Result<String, Failure> {
    let rooms = Rooms {
        accounts: &app.accounts,
        access: &app.access,
        oidc: &app.oidc,
        site: &app.site,
        audit: &app.audit,
        store: app.store(),
    };
    let lines = carry(&rooms, order.found, order.wishes, &order.source)
        .await
        .map_err(|error| Failure::new(format!("{error} Run it again: what is done is not done twice.")))?;
    serde_json::to_string(&lines).map_err(|error| Failure::new(error.to_string()))
}

fn read_authelia(folder: &Path) -> Result<Found, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
    let root = folder.canonicalize().map_err(cannot)?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&root).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    if paths.len() > MOST_FILES {
        return Err(Failure::new(format!("{} holds more than {MOST_FILES} YAML files.", folder.display())));
    }
    let mut files = Vec::new();
    let mut unread = Vec::new();
    for path in paths {
        match read_named(&path, Some(&root), LARGEST_FILE) {
            Ok(file) => files.push(file),
            Err(why) => unread.push(Line::not_carried("file", name_of(&path), why)),
        }
    }
    let mut found = authelia::read(&files, &|named| read_secret(&root, named));
    if !unread.is_empty() {
        found.leave_rules_out();
    }
    found.lines.extend(unread);
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Reads a regular file of at most `most` bytes. With `root`, it must lie below that folder, links followed.
fn read_named(path: &Path, root: Option<&Path>, most: u64) -> Result<SourceFile, String> {
    let name = name_of(path);
    let cannot = |error: std::io::Error| format!("{name} cannot be read: {error}");
    let real = path.canonicalize().map_err(cannot)?;
    if root.is_some_and(|root| !real.starts_with(root)) {
        return Err(format!("{name} is a link that leads out of the folder."));
    }
    // A pipe would wait for somebody to write; so it is opened without waiting, and refused.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{name} is no file."));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(format!("{name} is larger than {} KiB.", most / 1024));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(format!("{name} is an archive. Unpack it first: unzip {name}"));
    }
    if bytes.starts_with(b"SQLite format 3\0") {
        return Err(format!("{name} is a database. Write it out first: pocket-id export"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is no text."))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(SourceFile { name, text })
}

/// Finds the file that a template names. Inside a container it lies under another path, such as `/config`, so leading
/// folders are left out one by one until it is found below the folder.
fn read_secret(root: &Path, named: &str) -> Option<String> {
    let parts: Option<Vec<_>> = Path::new(named)
        .components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    let parts = parts?;
    (0..parts.len()).find_map(|skipped| {
        let path: PathBuf =
            std::iter::once(root.as_os_str()).chain(parts.iter().skip(skipped).copied()).collect();
        read_named(&path, Some(root), LARGEST_SECRET).ok().map(|file| file.text)
    })
}
