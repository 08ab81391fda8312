//! The composition root: opens every room in order, owns the background jobs, and shuts down in order.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::{Access, ForwardAuthSettings};
use crate::accounts::Accounts;
use crate::accounts::records::{LinkRecord, PasskeyChallengeRecord, PendingTotpRecord};
use crate::accounts::users::SecondFactorPolicy;
use crate::admin::Admin;
use crate::audit::{Audit, Event, Kind};
use crate::crypto::key_ring::Schedule;
use crate::crypto::keys::MasterKey;
use crate::crypto::password::{HashSettings, HasherStats, PasswordHasher};
use crate::crypto::sealed::Sealer;
use crate::http::outgoing::{Outgoing, OutgoingSettings};
use crate::http::{Handler, Request, ServerSettings};
use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;
use crate::limits::{LimitSettings, Limits, Rule};
use crate::metrics::{Metrics, Sample};
use crate::my_account::MyAccount;
use crate::oidc::{self, Oidc, OidcSettings};
use crate::operations::doctor::outside::Outside;
use crate::operations::health::{Health, State};
use crate::operations::lifecycle;
use crate::operations::metrics as metrics_server;
use crate::operations::notify::Notify;
use crate::operations::system::settings::SettingsReport;
use crate::operations::system::{self, System};
use crate::programs::Judge;
use crate::sessions::records::HandoffRecord;
use crate::sessions::tokens::Tokens;
use crate::sessions::{Lifetimes, Sessions};
use crate::setup::{self, Setup};
use crate::sign_in::registration::Policy;
use crate::sign_in::{Parts, SignIn, SignInRules};
use crate::site::{Fixed, Site, SiteError};
use crate::store::clock_mark::ClockMark;
use crate::store::{self, CommitError, Keeper, OpenSettings, Opened};

/// Everything that is decided before the start.
pub struct Options {
    /// Where people and proxies connect.
    pub listen: SocketAddr,
    /// Where Prometheus connects, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How the store is opened.
    pub store: OpenSettings,
    /// The key that everything secret is sealed with.
    pub master: MasterKey,
    /// What the configuration fixes.
    pub site: Fixed,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// When signing keys change.
    pub keys: Schedule,
    /// The most verified tokens that are remembered.
    pub token_cache: usize,
    /// How passwords are hashed.
    pub hashing: HashSettings,
    /// The sizes of the counter tables.
    pub limits: LimitSettings,
    /// The rules of signing in.
    pub sign_in: SignInRules,
    /// The rule of the API.
    pub api_rule: Rule,
    /// Who may register.
    pub registration: Policy,
    /// Who must have a second factor.
    pub second_factor: SecondFactorPolicy,
    /// How reverse proxies are answered.
    pub forward_auth: ForwardAuthSettings,
    /// How apps sign people in.
    pub oidc: OidcSettings,
    /// Where this program may call out to.
    pub outgoing: OutgoingSettings,
    /// How long audit events are kept.
    pub audit_retention: Duration,
    /// The most connections at once.
    pub max_connections: usize,
    /// The most connections of one address.
    pub max_connections_per_address: usize,
    /// Where store snapshots and the setup token live.
    pub data_directory: PathBuf,
    /// The settings as people see them.
    pub settings: SettingsReport,
    /// Where the master key came from.
    pub key_file: setup::KeyFile,
}

/// The application: one field a room.
pub struct App {
    /// The installation.
    pub site: Site,
    /// Users and their factors.
    pub accounts: Accounts,
    /// Sessions and tokens.
    pub sessions: Sessions,
    /// Signing in.
    pub sign_in: SignIn,
    /// One's own account.
    pub my_account: MyAccount,
    /// Administration.
    pub admin: Admin,
    /// Access rules and forward-auth.
    pub access: Access,
    /// The OpenID Connect provider.
    pub oidc: Oidc,
    /// The first start.
    pub setup: Setup,
    /// The look at the running server.
    pub system: System,
    /// The doctor's look from outside.
    pub outside: Outside,
    /// Events.
    pub audit: Audit,
    /// Rate counters.
    pub limits: Arc<Limits>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The rule of the API.
    pub api_rule: Rule,
    clock: SharedClock,
    clock_mark: Arc<ClockMark>,
    /// By how many milliseconds the wall clock was ahead of the monotonic one a minute ago.
    clock_ahead: AtomicI64,
    keeper: Mutex<Option<Keeper>>,
    hasher: PasswordHasher,
    opened: Opened,
}

/// Why Doorward did not start: a text for the administrator that says what to do.
#[derive(Debug)]
pub struct StartError(pub String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn because(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StartError {
    move |why| StartError(format!("{what}: {why}"))
}

impl App {
    /// Opens every room. Blocks on the store; no socket is bound yet.
    pub async fn open(options: &Options, clock: SharedClock, random: Random) -> Result<Arc<App>, StartError> {
        let sealer = Arc::new(Sealer::new(&options.master));
        let opened = store::open(&options.store, &sealer, &random, &clock)
            .map_err(|error| StartError(error.to_string()))?;
        let store = opened.store.clone();
        let reading = |error: &dyn std::fmt::Display| {
            StartError(format!("The store could not be read: {error}. {}", opened.remedy()))
        };
        let clock_mark = Arc::new(ClockMark::load(&store).map_err(|error| reading(&error))?);
        let not_before = store::meta::not_before(&store).map_err(|error| reading(&error))?;
        let site = Site::open(&store, options.site.clone()).map_err(|error| match error {
            SiteError::Store(error) => reading(&error),
            refused @ SiteError::Refused { .. } => StartError(refused.to_string()),
        })?;
        let audit = Audit::open(store.clone(), clock.clone(), random.clone(), options.audit_retention)
            .map_err(|error| reading(&error))?;
        let mut hashing = options.hashing.clone();
        hashing.pepper = Some(options.master.derive("password pepper"));
        let hasher = PasswordHasher::start(hashing, random.clone())
            .map_err(|error| because("The password hasher did not start")(&error))?;
        let metrics = Arc::new(Metrics::new());
        metrics.set_started(clock.now());
        let accounts = Accounts::open(
            store.clone(),
            hasher.clone(),
            clock.clone(),
            random.clone(),
            options.second_factor,
            vec!["doorward".to_owned()],
        )
        .map_err(|error| reading(&error))?
        .with_decoys(options.master.derive("decoys of foreign passwords"))
        .with_site(site.clone());
        let tokens = Tokens::open(
            &store,
            clock.clone(),
            random.clone(),
            metrics.clone(),
            site.clone(),
            options.lifetimes.access_token,
            options.keys,
            options.token_cache,
        )
        .map_err(|error| reading(&error))?;
        let sessions = Sessions::open(
            store.clone(),
            accounts.clone(),
            audit.clone(),
            clock.clone(),
            random.clone(),
            &options.master,
            options.lifetimes.clone(),
            tokens,
            not_before,
            clock_mark.clone(),
        )
        .map_err(|error| reading(&error))?;
        let limits = Arc::new(Limits::new(options.limits, clock.clone(), &random));
        let parts = Parts {
            store: store.clone(),
            accounts: accounts.clone(),
            sessions: sessions.clone(),
            site: site.clone(),
            audit: audit.clone(),
            limits: limits.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            random: random.clone(),
            rules: options.sign_in.clone(),
            registration: options.registration,
        };
        let sign_in = SignIn::open(parts, &options.master).map_err(|error| reading(&error))?;
        let access = Access::load(store.clone(), audit.clone(), site.clone(), options.forward_auth)
            .map_err(|error| reading(&error))?;
        let outgoing = Outgoing::new(options.outgoing.clone())
            .map_err(|why| because("Calls to apps could not be prepared")(&why))?;
        let oidc = Oidc::open(
            oidc::Parts {
                sign_in: sign_in.clone(),
                lifetimes: options.lifetimes.clone(),
                keys: options.keys,
                token_cache: options.token_cache,
                settings: options.oidc,
                outgoing: outgoing.clone(),
            },
            &options.master,
        )
        .map_err(|error| reading(&error))?;
        access.attend_programs(Arc::new(Judge::new(sign_in.clone(), oidc.bearers())));
        let setup = Setup::open(setup::Parts {
            sign_in: sign_in.clone(),
            access: access.clone(),
            oidc: oidc.clone(),
            outgoing: outgoing.clone(),
            data_directory: options.data_directory.clone(),
            key_file: options.key_file.clone(),
            listen: options.listen,
        })
        .map_err(|error| match error {
            setup::OpenError::Store(error) => reading(&error),
            error @ setup::OpenError::Token(_) => because("The setup could not be prepared")(&error),
        })?;
        setup.keep_closed().await;
        let outside = Outside::new(site.clone(), outgoing.clone(), sign_in.random.clone(), clock.clone());
        let admin = Admin::new(sign_in.clone(), access.clone(), oidc.clone());
        let system = System::new(system::Parts {
            admin: admin.clone(),
            setup: setup.clone(),
            settings: options.settings.clone(),
            keys: options.keys,
            engine: opened.engine.clone(),
            check: opened.check.clone(),
            clock_mark: clock_mark.clone(),
            directory: options.data_directory.clone(),
            outgoing: outgoing.clone(),
        });
        let app = Arc::new(App {
            system,
            outside,
            site,
            accounts,
            sessions,
            my_account: MyAccount::new(sign_in.clone()),
            admin,
            sign_in,
            access,
            oidc,
            setup,
            audit,
            limits,
            metrics,
            api_rule: options.api_rule,
            clock_ahead: AtomicI64::new(ahead(&clock)),
            clock,
            clock_mark,
            keeper: Mutex::new(None),
            hasher,
            opened,
        });
        app.sessions
            .keep_key_schedule()
            .await
            .map_err(|error| because("The signing keys could not be made")(&error))?;
        Ok(app)
    }

    /// Returns the origin that forms must come from: our own, or during the setup the one that was opened.
    pub fn expected_origin(&self, request: &Request) -> String {
        if !self.site.is_origin_set()
            && let Some(origin) = request.client.origin()
        {
            return origin;
        }
        self.site.origin().text
    }

    /// The store, for tools that work on it directly.
    pub fn store(&self) -> &store::Store {
        &self.opened.store
    }

    /// The engine of the store, for its free-space floor and its numbers.
    pub fn engine(&self) -> &Arc<store::SledEngine> {
        &self.opened.engine
    }

    /// Returns the wall clock.
    pub fn now(&self) -> crate::kernel::time::Timestamp {
        self.clock.now()
    }

    /// Returns what to print at the start of an unclaimed installation.
    pub fn setup_banner(&self, address: SocketAddr) -> Option<String> {
        self.setup.set_listen(address);
        self.setup.banner()
    }

    /// Takes snapshots of the store and remembers its clock, from now on and until [`App::close`].
    fn keep_store(&self, options: &Options) -> Result<(), StartError> {
        let mark = self.clock_mark.clone();
        let keeper =
            Keeper::start(self.opened.store.clone(), &options.data_directory, self.clock.clone(), mark)
                .map_err(|error| because("The keeper of the store did not start")(&error))?;
        *self.keeper.lock() = Some(keeper);
        Ok(())
    }

    /// Writes what waits and closes the store. Nothing acknowledged waits; it is about events, last uses and failures.
    pub async fn close(&self) {
        let last_writes = async {
            if let Err(error) = self.sessions.sweep().await {
                tracing::warn!(%error, "the last uses of sessions could not be written");
            }
            if let Err(error) = self.sign_in.save().await {
                tracing::warn!(%error, "the latest failures to sign in could not be written");
            }
            if let Err(error) = self.audit.flush().await {
                tracing::error!(%error, "the last audit events could not be written");
            }
        };
        if tokio::time::timeout(Duration::from_secs(1), last_writes).await.is_err() {
            tracing::warn!("the last writes took too long");
        }
        if let Some(mut keeper) = self.keeper.lock().take() {
            keeper.stop();
        }
        self.opened.close();
    }

    /// Answers `/readyz`.
    pub fn health(&self) -> Health {
        let engine = self.opened.store.engine();
        Health::ready(State {
            write_refusal: engine.write_refusal(),
            store_reads: engine.get(b"m").is_ok(),
            clock_is_behind: self.clock_mark.is_clock_behind(self.clock.now()),
            has_signing_key: self.sessions.tokens().has_signing_key(),
        })
    }

    /// Does what [`Running`] does every minute: ends what is over, writes down what changed in memory.
    ///
    /// # Errors
    /// As [`store::Store::commit`]; the next time does the rest.
    pub async fn every_minute(&self) -> Result<(), CommitError> {
        self.watch_clock();
        let now = self.clock.now();
        let store = &self.opened.store;
        self.sessions.sweep().await?;
        self.sign_in.sweep().await?;
        self.oidc.sweep().await?;
        while store.purge::<PendingTotpRecord>(now, 500).await? == 500 {}
        while store.purge::<LinkRecord>(now, 500).await? == 500 {}
        while store.purge::<PasskeyChallengeRecord>(now, 500).await? == 500 {}
        while store.purge::<HandoffRecord>(now, 500).await? == 500 {}
        self.sessions.keep_key_schedule().await
    }

    /// Writes down that somebody moved the wall clock, which runs along with the monotonic one otherwise (FAIL-03).
    fn watch_clock(&self) {
        let ahead = ahead(&self.clock);
        let before = self.clock_ahead.swap(ahead, Ordering::Relaxed);
        let step = ahead.saturating_sub(before);
        if step.unsigned_abs() > u64::try_from(store::clock_mark::TOLERANCE.as_millis()).unwrap_or(u64::MAX) {
            let event = Event::succeeded(Kind::ClockStepped).by_system("clock");
            self.audit.note(event.detail("seconds", step / 1000));
        }
    }

    /// Returns what the password hasher does and has done.
    pub fn hashing(&self) -> HasherStats {
        self.hasher.stats()
    }

    fn sample(&self) -> Sample {
        let engine = self.opened.store.engine();
        Sample {
            users: self.accounts.directory().len() as u64,
            sessions: self.sessions.live_count() as u64,
            suspensions: self.sign_in.lockout().len() as u64,
            hash_queue: self.hasher.stats().queued as u64,
            audit_queue: self.audit.queued() as u64,
            store_bytes: engine.size_on_disk(),
            store_integrity_errors: self.opened.check.report().damaged,
            store_is_writable: engine.write_refusal().is_none(),
        }
    }
}

/// Makes what answers every request of an application: `front::open`, which sees this room and not the other way around.
pub type Front = fn(Arc<App>) -> Result<Arc<dyn Handler>, StartError>;

/// A running Doorward.
pub struct Running {
    /// The application.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where metrics are served.
    pub metrics_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    jobs: Vec<JoinHandle<()>>,
}

impl Running {
    /// Binds the sockets and starts to answer, by what `front` makes of the application.
    pub async fn start(
        options: Options,
        front: Front,
        clock: SharedClock,
        random: Random,
    ) -> Result<Running, StartError> {
        let app = App::open(&options, clock.clone(), random.clone()).await?;
        app.keep_store(&options)?;
        let listener = TcpListener::bind(options.listen).await.map_err(|error| {
            StartError(format!(
                "{} cannot be listened on: {error}. Is another program using it?",
                options.listen
            ))
        })?;
        let address = listener.local_addr().map_err(|error| StartError(error.to_string()))?;
        app.setup.set_listen(address);
        let (stop, stopping) = watch::channel(false);
        let mut jobs = vec![
            tokio::spawn(app.audit.clone().run(stopping.clone())),
            tokio::spawn(keep_house(app.clone(), stopping.clone())),
            tokio::spawn(app.oidc.clone().tell_apps(stopping.clone())),
            tokio::spawn(app.system.clone().watch_certificate(stopping.clone())),
        ];
        let mut metrics_address = None;
        if let Some(wanted) = options.metrics_listen {
            let listener = metrics_server::bind(wanted).await.map_err(|error| {
                StartError(format!(
                    "{wanted} cannot be listened on for metrics: {error}. Set metrics.listen to another address or `off`."
                ))
            })?;
            metrics_address = listener.local_addr().ok();
            let (sampled, metrics) = (app.clone(), (*app.metrics).clone());
            let sample = move || sampled.sample();
            jobs.push(tokio::spawn(metrics_server::serve_metrics(
                listener,
                metrics,
                sample,
                stopping.clone(),
            )));
        }
        let mut settings = ServerSettings::new(app.site.trusted_proxies().clone(), clock, random);
        settings.max_connections = options.max_connections;
        settings.max_connections_per_address = options.max_connections_per_address;
        let handler = front(app.clone())?;
        let mut stopped = stopping;
        let server = tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.wait_for(|is_stopping| *is_stopping).await;
            };
            crate::http::serve(listener, settings, handler, Box::pin(shutdown)).await;
        });
        app.audit.note(Event::succeeded(Kind::ServerStarted).by_system("server"));
        app.opened.begin_check();
        Ok(Running { app, address, metrics_address, stop, server, jobs })
    }

    /// Stops in order: no new connections, requests under way finish, events are written, the store closes.
    pub async fn stop(self) {
        self.stop_saying(&Notify::from_env()).await;
    }

    /// As [`Running::stop`], without telling the service manager: the same process starts again.
    pub async fn stop_for_restart(self) {
        self.stop_saying(&Notify::default()).await;
    }

    async fn stop_saying(self, notify: &Notify) {
        let _ = self.stop.send(true);
        let drained = async {
            // A server that panicked has no connections left.
            let _ = self.server.await;
        };
        lifecycle::stop(notify, drained, &self.app.audit).await;
        for job in &self.jobs {
            job.abort();
        }
        self.app.close().await;
    }
}

/// Returns by how many milliseconds the wall clock is ahead of the monotonic one.
fn ahead(clock: &SharedClock) -> i64 {
    let millis = |millis: u128| i64::try_from(millis).unwrap_or(i64::MAX);
    millis(clock.now().as_millis().into()).saturating_sub(millis(clock.monotonic().as_millis()))
}

/// The background jobs that keep tables small and clocks honest.
async fn keep_house(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        if let Err(error) = app.every_minute().await {
            tracing::warn!(%error, "housekeeping could not write; it will try again");
        }
    }
}

/// Tells whether an address is reachable from other machines.
pub fn is_exposed(address: IpAddr) -> bool {
    !address.is_loopback()
}
