//! `doorward doctor`: looks at this installation, or at hosts of apps from outside, and says what to mend. Changes none
//! of the data.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::as_owner::AsOwner;
use super::{Failure, control, serve};
use crate::access::snippet::Proxy;
use crate::app::App;
use crate::config::{Settings, WebOrigin};
use crate::crypto::key_file::{self, Guard};
use crate::crypto::sealed::Sealer;
use crate::kernel::random::Random;
use crate::kernel::time::{SystemClock, Timestamp};
use crate::operations::doctor::outside::Look;
use crate::operations::doctor::{
    self, Facts, Finding, ProgressFacts, RefusedSetting, Severity, SnapshotFacts, StoreState, look,
};
use crate::site::{Site, SiteError};
use crate::store::clock_mark::ClockMark;
use crate::store::{self, Store, progress, snapshots};

/// The exit code when something is to be mended.
const FINDINGS: u8 = 2;

/// Flags of `doctor`.
///
/// With hosts it visits these through their proxy, as strangers and forgers would; Doorward must be running. What an app
/// receives is seen where Doorward itself is the app: give a host of its own to it in the proxy, with the same lines as
/// for an app, and add the rule: bypass domain=THAT-HOST path=^/doorward-probe-
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Protected hosts to look at from outside, such as photos.home.example.
    hosts: Vec<String>,
    /// The reverse proxy, if its answers do not tell: nginx, caddy, traefik, haproxy, npm, swag, apache or envoy.
    #[arg(long, value_parser = super::proxy_snippet::proxy)]
    proxy: Option<Proxy>,
    /// Connect to this address instead of those of the host, such as 192.168.1.5:443.
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print a text for people who help, without secrets, names, addresses and paths.
    #[arg(long, conflicts_with_all = ["hosts", "json"])]
    support: bool,
}

pub(super) fn run(args: &DoctorArgs, settings: &Settings, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if args.support {
        control::run(control::Order::Support, settings, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.hosts.is_empty() {
        return look_from_outside(args, settings, out);
    }
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
    let line = finding.line_to_paste.as_deref();
    print_parts(finding.severity, &finding.title.english(), &finding.sentence.english(), line, out)
}

fn print_parts(
    severity: Severity,
    title: &str,
    sentence: &str,
    line: Option<&str>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mark = match severity {
        Severity::Ok => "ok  ",
        Severity::Fix => "FIX ",
        Severity::Skipped => "-   ",
    };
    writeln!(out, "{mark} {title}: {sentence}")?;
    match line {
        Some(line) => writeln!(out, "       {line}"),
        None => Ok(()),
    }
}

/// What the running server is asked to look at.
#[derive(Serialize, Deserialize)]
pub(super) struct LookOrder {
    host: String,
    proxy: Option<String>,
    connect: Option<SocketAddr>,
}

/// A finding as it comes back.
#[derive(Serialize, Deserialize)]
struct Shown {
    code: String,
    severity: Severity,
    title: String,
    sentence: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line_to_paste: Option<String>,
}

fn look_from_outside(
    args: &DoctorArgs,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let mut all = serde_json::Map::new();
    let mut is_to_be_mended = false;
    for host in &args.hosts {
        let order = LookOrder {
            host: host.clone(),
            proxy: args.proxy.map(|proxy| proxy.as_str().to_owned()),
            connect: args.connect,
        };
        let answer = control::ask_server(&control::Order::Outside(order), settings)
            .ok_or_else(|| Failure::new("Doorward is not running here. Start it, and ask again."))??;
        let findings: Vec<Shown> = serde_json::from_str(&answer).map_err(|error| failed(&error))?;
        is_to_be_mended |= findings.iter().any(|finding| finding.severity == Severity::Fix);
        if args.json {
            all.insert(host.clone(), serde_json::to_value(&findings).map_err(|error| failed(&error))?);
            continue;
        }
        writeln!(out, "{host}").map_err(|error| failed(&error))?;
        for finding in &findings {
            let line = finding.line_to_paste.as_deref();
            print_parts(finding.severity, &finding.title, &finding.sentence, line, out)
                .map_err(|error| failed(&error))?;
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&all).map_err(|error| failed(&error))?;
        writeln!(out, "{text}").map_err(|error| failed(&error))?;
    }
    Ok(if is_to_be_mended { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

/// What the running server answers about a host.
pub(super) async fn look_outside(app: &App, order: LookOrder) -> Result<String, Failure> {
    let look = Look {
        host: order.host,
        proxy: order.proxy.as_deref().and_then(Proxy::parse),
        address: order.connect,
        doorward: app.setup.own_url(),
    };
    let findings = app.outside.examine(&look).await.map_err(|why| Failure::new(why.english()))?;
    serde_json::to_string(&findings).map_err(|error| Failure::new(error.to_string()))
}

/// What only the process that has the store open can see.
#[derive(Serialize, Deserialize)]
struct Inside {
    process: u32,
    #[serde(default)]
    user_id: Option<u32>,
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
            user_id: Some(look::user_id()),
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
    let guard = serve::key_guard(settings);
    let sealer = key_file::load_kept_by(guard, &key_path).ok().map(|key| Arc::new(Sealer::new(&key)));
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
    // Root may look at the data of a service that has a user of its own; which one, that service alone can say.
    let user_id = match (&state, look::user_id()) {
        (StoreState::InUse(_), _) => inside.as_ref().and_then(|inside| inside.user_id),
        (_, 0) => None,
        (_, own) => Some(own),
    };
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
        user_id,
        data_dir: look::path(directory),
        key_file: if guard == Guard::Owner { look::path(&key_path) } else { None },
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
    let is_verified = listed.state.as_ref().is_ok_and(|(_, report)| report.left_out == 0);
    Some(SnapshotFacts { taken_at, is_verified })
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
    let _owner = match AsOwner::of(&settings.data_directory) {
        Ok(owner) => owner,
        Err(failure) => return StoreState::Broken(failure.text).into(),
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
