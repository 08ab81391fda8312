//! Copies of the store beside a running server, which alone may open it: it lays them into the data directory, and the
//! command takes them from there. Without a server the command opens the store itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::{self, StoreCommand};
use super::{Failure, control, serve, told};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::config::Settings;

/// What the server wrote.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The name of the file in the data directory.
    name: PathBuf,
    records: u64,
}

fn event() -> Event {
    Event::succeeded(Kind::StoreExported).by_system("cli")
}

fn name_of(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

/// Writes everything to a file and says which.
pub(super) async fn export(app: &App) -> Result<String, Failure> {
    let (file, records) = app.system.hand_out_store(event()).await.map_err(told)?;
    serde_json::to_string(&Written { name: name_of(&file), records })
        .map_err(|error| Failure::new(error.to_string()))
}

/// Removes what [`export`] wrote, because the command that wanted it is gone.
pub(super) fn take_back(app: &App, answer: &str) {
    if let Ok(written) = serde_json::from_str::<Written>(answer) {
        app.system.take_back_store(&name_of(&written.name));
    }
}

/// Writes down that a snapshot is taken along.
pub(super) async fn fetch(app: &App, name: &str) -> Result<String, Failure> {
    app.system.hand_out_snapshot(name, event()).await.map_err(told)?;
    Ok(String::new())
}

/// Runs a command of the store, with the help of the server if one runs.
pub(super) fn run(
    mut command: StoreCommand,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match &mut command {
        StoreCommand::Snapshots { take: take @ true } => {
            if let Some(answer) = control::ask_server(&control::Order::TakeSnapshot, settings) {
                *take = answer.map(|_| false)?;
            }
        }
        StoreCommand::Export { file } => {
            is_new(file)?;
            if let Some(answer) = control::ask_server(&control::Order::ExportStore, settings) {
                return take_over(&answer?, file, settings, out);
            }
        }
        StoreCommand::Fetch { name, file } => {
            is_new(file)?;
            control::run(control::Order::FetchSnapshot(name.clone()), settings, out)?;
            return copy(&settings.data_directory.join("snapshots").join(name), file, out);
        }
        _ => {}
    }
    store::run(&command, &serve::store_context(settings)?, out).map_err(Failure::new)
}

/// Refuses to write over a file, before anything is made.
fn is_new(file: &Path) -> Result<(), Failure> {
    if file.as_os_str() != "-" && file.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} exists; name another file.", file.display())));
    }
    Ok(())
}

/// Takes what the server wrote to where it is wanted.
fn take_over(answer: &str, file: &Path, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let written: Written = serde_json::from_str(answer).map_err(|error| Failure::new(error.to_string()))?;
    let source = settings.data_directory.join(name_of(&written.name));
    let copied = copy(&source, file, out);
    let removed = fs::remove_file(&source);
    copied?;
    removed.map_err(|error| Failure::new(format!("{} cannot be removed: {error}", source.display())))?;
    if file.as_os_str() == "-" {
        return Ok(());
    }
    writeln!(out, "{} records written to {} and verified", written.records, file.display())
        .map_err(|error| Failure::new(error.to_string()))
}

/// Copies a file into a new one that others cannot read, or to `out`.
fn copy(source: &Path, file: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", source.display()));
    let unwritable = |error| Failure::new(format!("{} cannot be written: {error}", file.display()));
    let mut from = File::open(source).map_err(unreadable)?;
    if file.as_os_str() == "-" {
        return io::copy(&mut from, out).map(|_| ()).map_err(unwritable);
    }
    let mut to =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(unwritable)?;
    io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(unwritable)
}
