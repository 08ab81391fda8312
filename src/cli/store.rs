//! `doorward store`: export, import, check, compact, snapshots. For a stopped server, except `export`, `snapshots` and
//! `fetch`, which the running one helps with ([`super::handed_out`]).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use crate::audit::{Audit, DEFAULT_RETENTION, Event, Kind};
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::store::clock_mark::ClockMark;
use crate::store::export::{Counts, ExportError, Leniency};
use crate::store::snapshots::{self, Reason};
use crate::store::{self, ImportOptions, OpenError, OpenSettings, Opened, Refusal, Store, wait};

/// What to do with the store.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Write everything to a file that `import` reads. Sealed values stay sealed with the master key.
    Export {
        /// The new file; `-` writes to standard output.
        file: PathBuf,
    },
    /// Read an export or a snapshot into the data directory. Everyone has to sign in again afterwards.
    Import {
        /// The export or snapshot.
        file: PathBuf,
        /// Move the store that is there into quarantine/ first. Nothing is deleted.
        #[arg(long)]
        replace: bool,
        /// Keep every sound record of a damaged, cut-off or unsigned file. Nothing then proves who wrote it.
        #[arg(long)]
        salvage: bool,
        /// Leave out kinds of records that this version does not know.
        #[arg(long)]
        skip_unknown: bool,
    },
    /// Read everything and check every checksum and seal.
    Check,
    /// Rewrite the store so that it takes less of the disk.
    Compact,
    /// List the verified snapshots, newest first.
    Snapshots {
        /// Take one now.
        #[arg(long)]
        take: bool,
    },
    /// Copy a snapshot to a file.
    Fetch {
        /// The name that `snapshots` shows.
        name: String,
        /// The new file; `-` writes to standard output.
        file: PathBuf,
    },
    /// Take the present time as right although the store has seen a later one.
    ResetClock,
}

/// What the commands work with.
pub struct StoreContext {
    /// Where the store is and how to open it.
    pub settings: OpenSettings,
    /// The key that belongs to it.
    pub sealer: Arc<Sealer>,
    /// Randomness.
    pub random: Random,
    /// Time.
    pub clock: SharedClock,
}

/// Runs `command` and writes its report to `out`.
///
/// # Errors
/// The sentence for standard error; the exit code is then not zero.
pub fn run(command: &StoreCommand, context: &StoreContext, out: &mut dyn Write) -> Result<(), String> {
    match command {
        StoreCommand::Export { file } => export(context, file, out),
        StoreCommand::Import { file, replace, salvage, skip_unknown } => {
            let leniency = Leniency { salvage: *salvage, skip_unknown: *skip_unknown };
            import(context, file, ImportOptions { replace: *replace, leniency }, out)
        }
        StoreCommand::Check => check(context, out),
        StoreCommand::Compact => compact(context, out),
        StoreCommand::Snapshots { take } => list_snapshots(context, *take, out),
        StoreCommand::Fetch { .. } => Err("This needs the data.".to_owned()),
        StoreCommand::ResetClock => reset_clock(context, out),
    }
}

fn open(context: &StoreContext) -> Result<Opened, String> {
    let mut settings = context.settings.clone();
    settings.accept_new_store = false;
    settings.expect_data = true;
    store::open(&settings, &context.sealer, &context.random, &context.clock)
        .map_err(|error| explain(context, &error))
}

/// Adds what can be had while the server runs.
fn explain(context: &StoreContext, error: &OpenError) -> String {
    let newest =
        || snapshots::list(&context.settings.dir, None).ok()?.into_iter().find(|one| one.state.is_ok());
    match (error.refusal, error) {
        (Refusal::Locked, error) => match newest() {
            Some(snapshot) => format!(
                "{error}. While it runs, you can copy the newest verified snapshot: {}",
                snapshot.path.display()
            ),
            None => error.to_string(),
        },
        (_, error) => error.to_string(),
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

/// Writes down in the audit log what the command line does with the store as a whole (AUD-01).
fn note(store: &Store, context: &StoreContext, kind: Kind) -> Result<(), String> {
    let (clock, random) = (context.clock.clone(), context.random.clone());
    let audit = Audit::open(store.clone(), clock, random, DEFAULT_RETENTION).map_err(text)?;
    let mut batch = store.batch();
    audit.write(&mut batch, Event::succeeded(kind).by_system("cli"));
    wait(store.commit(batch)).map_err(text)
}

fn export(context: &StoreContext, file: &Path, out: &mut dyn Write) -> Result<(), String> {
    if file == Path::new("-") {
        let mut out = io::BufWriter::new(out);
        return exported(context, |store, now| snapshots::export_to(store, &mut out, now)).map(|_| ());
    }
    let records = export_file(context, file)?;
    writeln!(out, "{records} records written to {} and verified", file.display()).map_err(text)
}

/// Writes everything to a new file, and returns how many records that are.
pub(super) fn export_file(context: &StoreContext, file: &Path) -> Result<u64, String> {
    let report = exported(context, |store, now| snapshots::export_file(store, file, now))?;
    Ok(total(&report.counts))
}

fn exported<T>(
    context: &StoreContext,
    write: impl FnOnce(&Store, Timestamp) -> Result<T, ExportError>,
) -> Result<T, String> {
    let opened = open(context)?;
    // The way out of a full disk stays open: an export goes on even if nothing can be written down.
    let _ = note(&opened.store, context, Kind::StoreExported);
    let written = write(&opened.store, context.clock.now()).map_err(text)?;
    opened.close();
    Ok(written)
}

fn import(
    context: &StoreContext,
    file: &Path,
    options: ImportOptions,
    out: &mut dyn Write,
) -> Result<(), String> {
    let report =
        store::import(&context.settings, file, options, &context.sealer, &context.random, &context.clock)
            .map_err(|error| explain(context, &error))?;
    let opened = open(context)?;
    let noted = note(&opened.store, context, Kind::StoreImported);
    opened.close();
    let mut lines = vec![format!("{} records imported", total(&report.counts))];
    if let Err(error) = noted {
        lines.push(format!("the audit log does not tell of the import: {error}"));
    }
    if report.ended > 0 {
        lines.push(format!("{} sessions and links were ended: everyone signs in again", report.ended));
    }
    if report.damaged > 0 {
        lines.push(format!("{} damaged lines were left out", report.damaged));
    }
    if report.unknown > 0 {
        lines.push(format!("{} records of unknown kinds were left out", report.unknown));
    }
    if !report.is_authentic {
        lines.push(
            "nothing proves who wrote this file: check users, roles, groups and access rules before anyone signs in"
                .to_owned(),
        );
    }
    if let Some(kept) = report.kept {
        lines.push(format!("the former store is kept in {}", kept.display()));
    }
    lines.push(
        "check the list of administrators and recovery codes used since the snapshot was made".to_owned(),
    );
    writeln!(out, "{}", lines.join("\n")).map_err(text)
}

fn check(context: &StoreContext, out: &mut dyn Write) -> Result<(), String> {
    let opened = open(context)?;
    let report = store::check_now(opened.store.engine(), &context.sealer).map_err(text)?;
    if report.damaged > 0 {
        // The answer below tells of the damage in any case.
        let _ = note(&opened.store, context, Kind::StoreDamaged);
    }
    opened.close();
    writeln!(out, "{} records checked, {} damaged", report.checked, report.damaged).map_err(text)?;
    if report.damaged == 0 {
        Ok(())
    } else {
        Err("the store holds damaged values; restore a snapshot".to_owned())
    }
}

fn compact(context: &StoreContext, out: &mut dyn Write) -> Result<(), String> {
    let report = store::compact(&context.settings, &context.sealer, &context.random, &context.clock)
        .map_err(|error| explain(context, &error))?;
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    writeln!(
        out,
        "{} records: {} MiB before, {} MiB now",
        report.records,
        mib(report.before),
        mib(report.after)
    )
    .map_err(text)
}

fn list_snapshots(context: &StoreContext, take: bool, out: &mut dyn Write) -> Result<(), String> {
    if take {
        let opened = open(context)?;
        let now = context.clock.now();
        snapshots::take(&opened.store, &context.settings.dir, Reason::Asked, now).map_err(text)?;
        opened.close();
    }
    let listed = snapshots::list(&context.settings.dir, Some(&context.sealer)).map_err(text)?;
    if listed.is_empty() {
        writeln!(out, "no snapshots yet").map_err(text)?;
    }
    for snapshot in listed {
        let state = match snapshot.state {
            Ok((header, report)) if report.left_out > 0 => {
                let (records, left_out) = (total(&report.counts), report.left_out);
                format!(
                    "INCOMPLETE  {}  {records} records; damaged and not in it: {left_out}",
                    header.created
                )
            }
            Ok((header, report)) => {
                format!("verified  {}  {} records", header.created, total(&report.counts))
            }
            Err(error) => format!("DAMAGED   {error}"),
        };
        writeln!(out, "{}  {} KiB  {state}", snapshot.path.display(), snapshot.bytes.div_ceil(1024))
            .map_err(text)?;
    }
    Ok(())
}

fn reset_clock(context: &StoreContext, out: &mut dyn Write) -> Result<(), String> {
    let opened = open(context)?;
    let now = context.clock.now();
    let mark = ClockMark::load(&opened.store).map_err(text)?;
    wait(mark.reset(&opened.store, now)).map_err(text)?;
    opened.close();
    writeln!(out, "the clock of this machine is taken as right: {now}").map_err(text)
}
