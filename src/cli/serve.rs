//! `doorward serve`: settings in, a running server, a clean stop.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::as_owner::AsOwner;
use super::{Failure, Global, control};
use crate::access::ForwardAuthSettings;
use crate::accounts::users::SecondFactorPolicy;
use crate::app::{Front, Options, Running};
use crate::config::{
    LogFormat, LogLevel, Origin, Rate, Registration, SecondFactor, Settings, UnknownAuthorization,
};
use crate::crypto::key_file::{self, Guard};
use crate::crypto::key_ring::Schedule;
use crate::crypto::keys::MasterKey;
use crate::crypto::password::HashSettings;
use crate::crypto::sealed::Sealer;
use crate::http::outgoing::OutgoingSettings;
use crate::kernel::random::Random;
use crate::kernel::time::SystemClock;
use crate::limits::{LimitSettings, Rule};
use crate::oidc::OidcSettings;
use crate::operations::lifecycle;
use crate::operations::notify::{Notify, Waiting};
use crate::operations::system::settings::SettingsReport;
use crate::sessions::Lifetimes;
use crate::setup::{Bootstrap, BootstrapPassword, KeyFile};
use crate::sign_in::SignInRules;
use crate::sign_in::registration::Policy;
use crate::site::Fixed;
use crate::store::{self, OpenSettings};

/// Verified tokens that are remembered: about 12 MB if there are that many at a time.
const TOKEN_CACHE: usize = 8192;

/// Password hashes that wait, however many threads there are (RES-01).
const LONGEST_HASH_QUEUE: usize = 64;

/// Flags of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Where to listen, such as 0.0.0.0:8080.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where to serve metrics, or off.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    /// Make a new store although there was one here. What is there is kept aside.
    #[arg(long)]
    accept_new_store: bool,
}

/// Runs the server until a signal stops it.
pub(super) fn run(args: &ServeArgs, global: &Global, front: Front) -> Result<ExitCode, Failure> {
    let mut flags = Vec::new();
    for (flag, key, value) in
        [("--listen", "server.listen", &args.listen), ("--metrics", "metrics.listen", &args.metrics)]
    {
        if let Some(value) = value {
            flags.push((flag.to_owned(), key.to_owned(), value.clone()));
        }
    }
    let settings = global.settings(flags.clone())?;
    log_to_stderr(&settings);
    lifecycle::keep_memory_private();
    let random = Random::os();
    let mut accept_new_store = args.accept_new_store;
    loop {
        let waiting = Notify::from_env().ask_to_wait();
        super::restore::apply(&settings, &random)?;
        let mut options = options(&settings, &random, accept_new_store)?;
        options.metrics_listen = settings.metrics_listen;
        let (global, flags) = (global.clone(), flags.clone());
        options.settings.read_again = Some(Arc::new(move || {
            let settings = global.settings(flags.clone()).map_err(|failure| failure.text)?;
            Ok(settings.shown_all())
        }));
        let runtime = runtime()?;
        let ended = runtime.block_on(serve(options, front, &settings, random.clone(), waiting))?;
        // Whatever still holds the store lets go of it.
        runtime.shutdown_timeout(Duration::from_secs(2));
        if ended == Ended::Stopped {
            return Ok(ExitCode::SUCCESS);
        }
        accept_new_store = false;
    }
}

/// Why the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was told to.
    Stopped,
    /// A backup waits to be put in place.
    ToRestore,
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // One core is served best by one thread: nothing has to wake anything else.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .worker_threads(cores.min(4))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("The runtime did not start: {error}")))
}

async fn serve(
    options: Options,
    front: Front,
    settings: &Settings,
    random: Random,
    waiting: Waiting,
) -> Result<Ended, Failure> {
    let notify = Notify::from_env();
    let mut stopping = lifecycle::on_signals()
        .map_err(|error| Failure::new(format!("Signals cannot be caught: {error}")))?;
    let socket = control::socket_path(settings);
    let running = Running::start(options, front, SystemClock::shared(), random)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    let control = control::listen(running.app.clone(), &socket)
        .map_err(|error| Failure::new(format!("{} cannot be made: {error}", socket.display())))?;
    bootstrap(&running, settings).await?;
    greet(&running, settings);
    notify.ready();
    let watchdog = tokio::spawn(feed_watchdog(running.app.clone(), notify.watchdog_interval()));
    drop(waiting);
    let ended = tokio::select! {
        () = lifecycle::stop_requested(&mut stopping) => Ended::Stopped,
        () = running.app.setup.restart_wanted() => Ended::ToRestore,
    };
    watchdog.abort();
    control.abort();
    let _ = std::fs::remove_file(&socket);
    match ended {
        Ended::Stopped => running.stop().await,
        Ended::ToRestore => running.stop_for_restart().await,
    }
    Ok(ended)
}

/// Makes the owner that the configuration names, if there never was one; the wizard is closed then.
async fn bootstrap(running: &Running, settings: &Settings) -> Result<(), Failure> {
    let (Some(owner), false) = (&settings.bootstrap_owner, running.app.setup.is_claimed()) else {
        return Ok(());
    };
    let Some(hash) = &settings.bootstrap_password_hash else {
        return Err(Failure::usage(
            "bootstrap.owner needs bootstrap.password_hash (or DOORWARD_BOOTSTRAP__PASSWORD_HASH_FILE).",
        ));
    };
    let bootstrap = Bootstrap {
        username: owner.as_str(),
        display_name: "",
        email: "",
        password: BootstrapPassword::Hash(hash.expose().clone()),
        instance_name: None,
        origin: None,
        protected_domain: None,
        with_totp: false,
    };
    running.app.setup.bootstrap(bootstrap).await.map(|_| ()).map_err(|error| super::setup::refused(&error))
}

async fn feed_watchdog(app: Arc<crate::app::App>, interval: Option<Duration>) {
    let Some(interval) = interval else { return };
    let notify = Notify::from_env();
    loop {
        // A store that does not answer a read is no life worth reporting.
        if app.store().engine().get(b"m").is_ok() {
            notify.alive();
        }
        tokio::time::sleep(interval / 2).await;
    }
}

/// Tells the person at the terminal where to go.
fn greet(running: &Running, settings: &Settings) {
    let mut err = std::io::stderr().lock();
    match running.app.setup_banner(running.address) {
        Some(banner) => {
            let _ = writeln!(err, "{banner}");
        }
        None => {
            let origin = running.app.site.origin().text;
            let _ = writeln!(err, "Doorward is ready at {origin} (listening on {}).", running.address);
        }
    }
    if settings.insecure_http {
        let _ =
            writeln!(err, "Warning: server.insecure_http is on. Passwords cross the network unencrypted.");
    }
}

fn log_to_stderr(settings: &Settings) {
    let level = match settings.log_level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // A second subscriber in one process can only come from a test; the first one stays.
    let _ = match settings.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
}

/// Turns settings into what the application needs, with the master key.
pub(super) fn options(
    settings: &Settings,
    random: &Random,
    accept_new_store: bool,
) -> Result<Options, Failure> {
    let (master, is_new_key) = master_key(settings, random)?;
    let mut store = open_settings(settings);
    store.accept_new_store = accept_new_store;
    store.expect_data = !is_new_key && is_own_key(settings);
    let rule = |name, rate: Rate| Rule::new(name, rate.count, rate.window);
    let five_minutes = Duration::from_secs(300);
    let mut hashing = HashSettings {
        memory_kib: settings.password_memory_kib,
        is_idle_priority: settings.password_idle_priority,
        passes: settings.password_passes,
        ..HashSettings::default()
    };
    if let Some(threads) = settings.password_threads {
        hashing.threads = threads;
    }
    hashing.queue_per_thread =
        (LONGEST_HASH_QUEUE / hashing.threads.max(1)).clamp(1, hashing.queue_per_thread);
    Ok(Options {
        listen: settings.listen,
        metrics_listen: None,
        store,
        master,
        site: fixed(settings),
        lifetimes: Lifetimes {
            idle: settings.session_idle,
            absolute: settings.session_absolute,
            remembered: settings.session_remember,
            access_token: settings.token_access,
            refresh: settings.token_refresh,
            refresh_absolute: settings.token_refresh_max,
            refresh_grace: settings.token_refresh_grace,
        },
        keys: Schedule {
            rotate_every: settings.key_rotation,
            // Apps may be given tokens that live for a day.
            keep_after: settings.token_access.max(Duration::from_secs(86_400)) + Duration::from_secs(3600),
            ..Schedule::default()
        },
        token_cache: TOKEN_CACHE,
        hashing,
        limits: LimitSettings {
            exact_capacity: settings.limit_table_entries,
            paced_capacity: settings.limit_table_entries,
            caution_after_start: Duration::ZERO,
        },
        sign_in: SignInRules {
            sign_in: rule("sign-in", settings.limit_sign_in),
            place: Rule::new("place", settings.limit_sign_in.count.saturating_mul(8), five_minutes),
            suspend: Rule::new("suspend", settings.suspend_after, settings.suspend_for),
            totp: rule("totp", settings.limit_totp),
            totp_hour: Rule::new("totp-hour", 10, Duration::from_secs(3600)),
            registration: rule("registration", settings.limit_registration),
        },
        api_rule: rule("api", settings.limit_api),
        forward_auth: ForwardAuthSettings {
            empty_identity_headers: settings.forward_auth_empty_headers,
            refuse_unknown_authorization: settings.forward_auth_unknown_authorization
                == UnknownAuthorization::Refuse,
            nginx_statuses_only: settings.forward_auth_nginx_statuses,
            assertion: settings.forward_auth_assertion,
        },
        oidc: OidcSettings {
            advertise_par: settings.oidc_advertise_par,
            registration: settings.oidc_registration,
            dpop_nonce: settings.oidc_dpop_nonce,
        },
        registration: match settings.registration {
            Registration::Closed => Policy::Closed,
            Registration::Invitation => Policy::Invitation,
            Registration::Open => Policy::Open,
        },
        second_factor: match settings.second_factor {
            SecondFactor::Optional => SecondFactorPolicy::Optional,
            SecondFactor::Admins => SecondFactorPolicy::Admins,
            SecondFactor::Everyone => SecondFactorPolicy::Everyone,
        },
        audit_retention: settings.audit_retention,
        max_connections: settings.max_connections,
        max_connections_per_address: settings.max_connections_per_address,
        outgoing: OutgoingSettings {
            allowed_networks: settings.outgoing_networks.clone(),
            ca_file: settings.outgoing_ca_file.clone(),
            ..OutgoingSettings::default()
        },
        data_directory: settings.data_directory.clone(),
        settings: SettingsReport { running: settings.shown_all(), read_again: None },
        key_file: KeyFile { path: settings.master_key_file(), is_own: is_own_key(settings) },
    })
}

/// What the configuration fixes of name and address.
pub(super) fn fixed(settings: &Settings) -> Fixed {
    Fixed {
        public_origin: settings.public_origin.as_ref().map(crate::config::WebOrigin::to_text),
        protected_domain: settings.protect_domain.clone(),
        protected_domains: settings.protect_domains.iter().map(ToString::to_string).collect(),
        trusted_proxies: settings.trusted_proxies.clone(),
        insecure_http: settings.insecure_http,
        default_origin: settings.local_link(),
    }
}

pub(super) fn open_settings(settings: &Settings) -> OpenSettings {
    let mut store = OpenSettings::new(&settings.data_directory);
    store.cache_bytes = settings.cache_bytes;
    store.free_space_floor = settings.free_space_floor;
    store.program = format!("doorward --data {}", settings.data_directory.display());
    store
}

/// Reads the master key, or makes it at the very first start. Beside existing data a missing key is never made anew
/// (KEY-02): it could not open them, and would hide that the right one is lost.
fn master_key(settings: &Settings, random: &Random) -> Result<(MasterKey, bool), Failure> {
    let directory = &settings.data_directory;
    prepare_directory(directory)?;
    let path = settings.master_key_file();
    let has_data = store::has_data(directory)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", directory.display())))?;
    let is_new = !has_data && !path.exists();
    if is_new || (!has_data && !is_own_key(settings)) {
        store::begin(&open_settings(settings)).map_err(|error| Failure::new(error.to_string()))?;
    }
    let key = match key_guard(settings) {
        Guard::Owner => key_file::load_or_create(&path, random, !has_data),
        Guard::Systemd => key_file::load_kept_by(Guard::Systemd, &path),
    };
    let key = key.map_err(|error| Failure::new(error.to_string()))?;
    Ok((key, is_new))
}

/// Tells who keeps the master key from others.
pub(super) fn key_guard(settings: &Settings) -> Guard {
    match settings.origin("keys.master_key_file") {
        Some(Origin::Credential(_)) => Guard::Systemd,
        _ => Guard::Owner,
    }
}

/// Tells whether the key lies where Doorward makes it itself; a key that an administrator provides may be there
/// before the first start.
fn is_own_key(settings: &Settings) -> bool {
    settings.master_key_file() == settings.data_directory.join("master.key")
}

fn prepare_directory(directory: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Failure::new(format!("{} cannot be made: {error}", directory.display())))
}

/// What `doorward store` works with, as the owner of the data.
pub(super) fn owned_store_context(
    settings: &Settings,
) -> Result<(super::store::StoreContext, AsOwner), Failure> {
    let owner = AsOwner::of(&settings.data_directory)?;
    Ok((store_context(settings)?, owner))
}

/// What `doorward store` works with. A missing key is not made: it is that of the store, or of the file to import.
pub(super) fn store_context(settings: &Settings) -> Result<super::store::StoreContext, Failure> {
    let master =
        key_file::load(&settings.master_key_file()).map_err(|error| Failure::new(error.to_string()))?;
    Ok(super::store::StoreContext {
        settings: open_settings(settings),
        sealer: Arc::new(Sealer::new(&master)),
        random: Random::os(),
        clock: SystemClock::shared(),
    })
}
