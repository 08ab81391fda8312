//! The administrators' look at the running server: how it is, what is left to set up, settings with their origin, keys,
//! backups, and a text for people who help.

pub mod api;
pub mod backups;
pub mod certificate;
mod overview;
pub mod pages;
pub mod settings;
pub mod support;
pub mod warnings;
pub mod whoami;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::admin::Admin;
use crate::audit::{HOURS, Kind};
use crate::crypto::key_ring::Schedule;
use crate::http::Problem;
use crate::http::outgoing::Outgoing;
use crate::kernel::time::Timestamp;
use crate::operations::doctor::look;
use crate::setup::Setup;
use crate::store::clock_mark::ClockMark;
use crate::store::{BackgroundCheck, Engine as _, SledEngine, snapshots};

use backups::Backups;
use settings::SettingsReport;
use warnings::{Facts, LastDay};

/// The use-cases. Cheap to clone.
#[derive(Clone)]
pub struct System(Arc<Inner>);

/// What the use-cases work with.
pub struct Parts {
    /// Administration.
    pub admin: Admin,
    /// The first start.
    pub setup: Setup,
    /// The settings at the start, and how to read them again.
    pub settings: SettingsReport,
    /// When signing keys change.
    pub keys: Schedule,
    /// The engine of the store.
    pub engine: Arc<SledEngine>,
    /// The check of what is stored that runs beside the server.
    pub check: Arc<BackgroundCheck>,
    /// The high-water mark of the clock.
    pub clock_mark: Arc<ClockMark>,
    /// The data directory.
    pub directory: PathBuf,
    /// The way out, to look at the public address.
    pub outgoing: Outgoing,
}

struct Inner {
    parts: Parts,
    started: Timestamp,
    backups: Backups,
    certificate: Mutex<Option<certificate::Look>>,
}

/// Administration and the rooms below it.
impl std::ops::Deref for System {
    type Target = Admin;
    fn deref(&self) -> &Admin {
        &self.0.parts.admin
    }
}

impl System {
    /// Takes its parts; the server starts now.
    pub fn new(parts: Parts) -> Self {
        let started = parts.admin.clock.now();
        let copies = parts.setup.copies().clone();
        let backups = Backups::new(parts.admin.store.clone(), parts.directory.clone(), copies);
        System(Arc::new(Inner { parts, started, backups, certificate: Mutex::new(None) }))
    }

    /// Returns the first start.
    pub fn setup(&self) -> &Setup {
        &self.0.parts.setup
    }

    /// Returns when the server started.
    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    /// Returns the latest time that the store has seen.
    pub fn clock_mark(&self) -> Timestamp {
        self.0.parts.clock_mark.at()
    }

    /// Returns in how many days a key that signs since `activates` is followed by another.
    pub fn days_left(&self, activates: Timestamp) -> Option<u64> {
        let ends = activates.plus(self.0.parts.keys.rotate_every);
        let now = self.clock.now();
        (ends > now).then(|| ends.since(now).as_secs() / 86_400)
    }

    /// Returns the makers of backups.
    pub fn backups(&self) -> &Backups {
        &self.0.backups
    }

    /// Looks at everything that warnings are made of. Reads a directory and asks the system for the free space, and
    /// nothing of the log.
    pub fn facts(&self) -> Facts {
        let Parts { engine, check, clock_mark, directory, .. } = &self.0.parts;
        let now = self.clock.now();
        let origin = self.site.origin();
        let newest = snapshots::stored(directory).ok().and_then(|stored| stored.into_iter().next());
        let is_incomplete = newest.as_ref().is_some_and(|newest| !newest.is_complete);
        Facts {
            now,
            started: self.0.started,
            store_reads: engine.get(b"m").is_ok(),
            store_writes: engine.write_refusal().is_none(),
            free_bytes: look::free_bytes(directory),
            store_bytes: engine.size_on_disk(),
            floor_bytes: engine.free_space_floor(),
            is_clock_behind: clock_mark.is_clock_behind(now),
            has_signing_key: self.sessions.tokens().has_signing_key(),
            damaged: check.report().damaged.max(u64::from(is_incomplete)),
            newest_snapshot: newest.map(|newest| newest.taken_at),
            is_address_safe: origin.is_https || crate::http::address::is_loopback_name(&origin.host),
            allows_plain_http: self.site.allows_insecure_http(),
            has_domains: !self.site.protected_domains().is_empty(),
            has_proxies: !self.site.trusted_proxies().networks().is_empty(),
            certificate: self.certificate(),
            last_day: self.last_day(),
        }
    }

    fn last_day(&self) -> LastDay {
        let of = |kind: Kind| self.count(|one, _| one == kind);
        LastDay {
            damaged: of(Kind::StoreDamaged),
            dropped: of(Kind::EventsDropped),
            reused: of(Kind::RefreshReused).saturating_add(of(Kind::AppTokenReused)),
            suspicious: of(Kind::PasskeySuspicious),
            forged: of(Kind::RequestForged),
            stepped: of(Kind::ClockStepped),
            not_told: of(Kind::ClientLogoutFailed),
        }
    }

    /// Counts events of the last [`HOURS`] hours.
    fn count(&self, is_wanted: impl Fn(Kind, bool) -> bool) -> u32 {
        let hours = self.audit.last_day(is_wanted);
        debug_assert_eq!(hours.len(), HOURS);
        hours.iter().fold(0, |sum: u32, hour| sum.saturating_add(hour.succeeded).saturating_add(hour.refused))
    }

    /// Replaces the keys that apps verify sign-ins with. `event` tells who does.
    ///
    /// # Errors
    /// If they cannot be stored.
    pub async fn rotate_app_keys(&self, event: crate::audit::Event) -> Result<(), Problem> {
        let event = event.detail("keys", "apps");
        let audit = self.audit.clone();
        self.oidc.replace_keys(|batch| audit.write(batch, event.clone())).await.map_err(Problem::from)
    }

    /// Replaces the keys of access tokens. `event` tells who does.
    ///
    /// # Errors
    /// If they cannot be stored.
    pub async fn rotate_token_keys(&self, event: crate::audit::Event) -> Result<(), Problem> {
        let audit = self.audit.clone();
        self.sessions.replace_keys(|batch| audit.write(batch, event)).await.map_err(Problem::from)
    }
}
