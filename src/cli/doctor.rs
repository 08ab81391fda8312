//! `doorward doctor`: looks at this installation and says what to mend. Changes none of the data.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::{Failure, control, serve};
use crate::config::{Settings, WebOrigin};
use crate::crypto::key_file;
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::{SystemClock, Timestamp};
use crate::operations::doctor::{self, Facts, Finding, Severity, SnapshotFacts, StoreState, look};
use crate::store::clock_mark::ClockMark;
use crate::store::{self, snapshots};

/// The exit code when something is to be mended.
const FINDINGS: u8 = 2;

/// Flags of `doctor`.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs, settings: &Settings, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(&gather(settings));
    let written = if args.json {
        let text =
            serde_json::to_string_pretty(&findings).map_err(|error| Failure::new(error.to_string()))?;
        writeln!(out, "{text}")
    } else {
        findings.iter().try_for_each(|finding| print(finding, out))
    };
    written.map_err(|error| Failure::new(error.to_string()))?;
    Ok(if doctor::needs_fixing(&findings) { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

fn print(finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let mark = match finding.severity {
        Severity::Ok => "ok  ",
        Severity::Fix => "FIX ",
        Severity::Skipped => "-   ",
    };
    writeln!(out, "{mark} {}: {}", finding.title, finding.sentence)?;
    match &finding.line_to_paste {
        Some(line) => writeln!(out, "       {line}"),
        None => Ok(()),
    }
}

fn gather(settings: &Settings) -> Facts {
    let directory = &settings.data_directory;
    let clock = SystemClock::shared();
    let key_path = settings.master_key_file();
    let sealer = key_file::load(&key_path).ok().map(|key| Arc::new(Sealer::new(&key)));
    let (state, clock_mark) = look_at_store(settings, sealer.as_ref());
    let listed = snapshots::list(directory, sealer.as_deref()).ok();
    let threads = settings.password_threads.unwrap_or(2) as u64;
    Facts {
        user_id: look::user_id(),
        data_dir: look::path(directory),
        key_file: look::path(&key_path),
        store: Some(state),
        now: clock.now(),
        clock_mark,
        clock_skew: None,
        public_origin: settings.public_origin.as_ref().map(WebOrigin::to_text),
        trusted_proxies: settings.trusted_proxies.iter().map(ToString::to_string).collect(),
        protected_domain: settings.protect_domain.clone(),
        listen: vec![settings.listen],
        allows_insecure_http: settings.insecure_http,
        free_bytes: look::free_bytes(directory),
        store_bytes: look::size_of(directory),
        snapshots: listed.map(|listed| listed.iter().filter_map(snapshot_facts).collect()),
        hash_bytes: threads * u64::from(settings.password_memory_kib) * 1024,
        available_bytes: look::available_bytes(),
    }
}

fn snapshot_facts(listed: &snapshots::Listed) -> Option<SnapshotFacts> {
    let modified = std::fs::metadata(&listed.path).ok()?.modified().ok()?;
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    let taken_at = Timestamp::from_secs(since_epoch.as_secs());
    Some(SnapshotFacts { taken_at, is_verified: listed.state.is_ok() })
}

fn look_at_store(settings: &Settings, sealer: Option<&Arc<Sealer>>) -> (StoreState, Option<Timestamp>) {
    if UnixStream::connect(control::socket_path(settings)).is_ok() {
        return (StoreState::InUse(None), None);
    }
    if !store::has_data(&settings.data_directory).unwrap_or(false) {
        return (StoreState::Missing, None);
    }
    let Some(sealer) = sealer else {
        return (StoreState::Broken("the master key cannot be read".to_owned()), None);
    };
    let random = Random::os();
    match store::open(&serve::open_settings(settings), sealer, &random, &SystemClock::shared()) {
        Ok(opened) => {
            let mark = ClockMark::load(&opened.store).ok().map(|mark| mark.at());
            opened.close();
            (StoreState::Opens, mark)
        }
        Err(error) if error.refusal == store::Refusal::Locked => (StoreState::InUse(None), None),
        Err(error) => (StoreState::Broken(error.to_string()), None),
    }
}
