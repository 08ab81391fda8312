//! `doorward doctor`: looks at this installation and says what to mend. Changes none of the data.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Failure, control, serve};
use crate::app::App;
use crate::config::{Settings, WebOrigin};
use crate::crypto::key_file;
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::{SystemClock, Timestamp};
use crate::operations::doctor::{
    self, Facts, Finding, ProgressFacts, RefusedSetting, Severity, SnapshotFacts, StoreState, look,
};
use crate::site::{Site, SiteError};
use crate::store::clock_mark::ClockMark;
use crate::store::{self, Store, progress, snapshots};

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

/// What only the process that has the store open can see.
#[derive(Serialize, Deserialize)]
struct Inside {
    process: u32,
    clock_mark: Option<Timestamp>,
    progress: Option<u64>,
    public_origin: Option<String>,
    trusted_proxies: Vec<String>,
    protected_domain: Option<String>,
}

impl Inside {
    fn of(store: &Store, site: &Site) -> Inside {
        Inside {
            process: std::process::id(),
            clock_mark: ClockMark::load(store).ok().map(|mark| mark.at()),
            progress: progress::reached(store).ok(),
            public_origin: site.is_origin_set().then(|| site.origin().text),
            trusted_proxies: site.trusted_proxies().networks().iter().map(ToString::to_string).collect(),
            protected_domain: site.protected_domain(),
        }
    }
}

/// What the running server answers.
pub(super) fn look_inside(app: &App) -> Result<String, Failure> {
    serde_json::to_string(&Inside::of(app.store(), &app.site))
        .map_err(|error| Failure::new(error.to_string()))
}

/// What was found out about the store.
struct Seen {
    state: StoreState,
    inside: Option<Inside>,
    refused_setting: Option<RefusedSetting>,
}

impl From<StoreState> for Seen {
    fn from(state: StoreState) -> Self {
        Seen { state, inside: None, refused_setting: None }
    }
}

fn gather(settings: &Settings) -> Facts {
    let directory = &settings.data_directory;
    let clock = SystemClock::shared();
    let key_path = settings.master_key_file();
    let sealer = key_file::load(&key_path).ok().map(|key| Arc::new(Sealer::new(&key)));
    // Opening the store writes it down again.
    let written = progress::written(directory).ok().flatten();
    let Seen { state, inside, refused_setting } = look_at_store(settings, sealer.as_ref());
    let listed = snapshots::list(directory, sealer.as_deref()).ok();
    let threads = settings.password_threads.unwrap_or(2) as u64;
    let progress = (state != StoreState::Missing).then(|| ProgressFacts {
        path: progress::file(directory).display().to_string(),
        written,
        reached: inside.as_ref().and_then(|inside| inside.progress),
    });
    let clock_mark = inside.as_ref().and_then(|inside| inside.clock_mark);
    // Without a look inside only the configuration is known.
    let (public_origin, trusted_proxies, protected_domain) = match inside {
        Some(inside) => (inside.public_origin, inside.trusted_proxies, inside.protected_domain),
        None => (
            settings.public_origin.as_ref().map(WebOrigin::to_text),
            settings.trusted_proxies.iter().map(ToString::to_string).collect(),
            settings
                .protect_domain
                .clone()
                .or_else(|| settings.protect_domains.first().map(|own| own.domain.clone())),
        ),
    };
    Facts {
        user_id: look::user_id(),
        data_dir: look::path(directory),
        key_file: look::path(&key_path),
        store: Some(state),
        progress,
        refused_setting,
        now: clock.now(),
        clock_mark,
        clock_skew: None,
        public_origin,
        trusted_proxies,
        protected_domain,
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

fn look_at_store(settings: &Settings, sealer: Option<&Arc<Sealer>>) -> Seen {
    if let Some(answer) = control::ask_server(&control::Order::Doctor, settings) {
        // A server of another version says nothing; that it runs is known all the same.
        let inside: Option<Inside> = answer.ok().and_then(|text| serde_json::from_str(&text).ok());
        let state = StoreState::InUse(inside.as_ref().map(|inside| inside.process));
        return Seen { state, inside, refused_setting: None };
    }
    if !store::has_data(&settings.data_directory).unwrap_or(false) {
        return StoreState::Missing.into();
    }
    let Some(sealer) = sealer else {
        return StoreState::Broken("the master key cannot be read".to_owned()).into();
    };
    let random = Random::os();
    match store::open(&serve::open_settings(settings), sealer, &random, &SystemClock::shared()) {
        Ok(opened) => {
            let seen = match Site::open(&opened.store, serve::fixed(settings)) {
                Ok(site) => {
                    let inside = Some(Inside::of(&opened.store, &site));
                    Seen { state: StoreState::Opens, inside, refused_setting: None }
                }
                Err(SiteError::Refused { key, why }) => Seen {
                    state: StoreState::Opens,
                    inside: None,
                    refused_setting: Some(RefusedSetting { key, why }),
                },
                Err(error) => StoreState::Broken(error.to_string()).into(),
            };
            opened.close();
            seen
        }
        Err(error) if error.refusal == store::Refusal::Locked => StoreState::InUse(None).into(),
        Err(error) => StoreState::Broken(error.to_string()).into(),
    }
}
