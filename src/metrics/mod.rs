//! Counters and times that every room may touch: a few nanoseconds each, no allocation. `operations` shows them to
//! Prometheus; nothing else reads them. Labels come from the enums below and never from a request (ADM-06).

mod labels;
#[cfg(test)]
mod tests;

pub use labels::{RefreshFault, Route, SignIn, TokenFault};

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use labels::Label;

/// Bounds for work in memory and for one signature: 5 µs to 5 ms.
const FAST: [f64; 10] = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3];

/// Bounds for work that waits for the disk: 250 µs to 2.5 s.
const DURABLE: [f64; 10] = [2.5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 1e-1, 2.5e-1, 1.0, 2.5];

/// The version in `doorward_build_info`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One counter for each value of a label.
struct Counters<L> {
    each: Box<[Counter]>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let each =
            L::ALL.iter().map(|label| family.get_or_create(&[(L::KEY, label.name())]).clone()).collect();
        registry.register(name, help, family);
        Counters { each, label: PhantomData }
    }

    fn inc(&self, label: L) {
        if let Some(counter) = self.each.get(label.index()) {
            counter.inc();
        }
    }
}

/// What is measured by looking rather than by counting; taken when Prometheus asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Users that exist.
    pub users: u64,
    /// Browser sessions and refresh token families that are alive.
    pub sessions: u64,
    /// Accounts that are suspended for a place.
    pub suspensions: u64,
    /// Password checks that wait for a hasher thread.
    pub hash_queue: u64,
    /// Audit events that wait for the next flush.
    pub audit_queue: u64,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Stored values that failed a check since the start.
    pub store_integrity_errors: u64,
    /// Whether the store takes writes.
    pub store_is_writable: bool,
}

struct Gauges {
    users: Gauge<i64>,
    sessions: Gauge<i64>,
    suspensions: Gauge<i64>,
    hash_queue: Gauge<i64>,
    audit_queue: Gauge<i64>,
    store_bytes: Gauge<i64>,
    store_integrity_errors: Gauge<i64>,
    store_writable: Gauge<i64>,
    resident_bytes: Gauge<i64>,
    /// Seconds since the epoch.
    process_start: Gauge<f64, AtomicU64>,
}

struct Shared {
    registry: Registry,
    tokens_created: Counter,
    tokens_validated: Counter,
    tokens_refreshed: Counter,
    tokens_expired: Counter,
    tokens_invalid: Counters<TokenFault>,
    refresh_failures: Counters<RefreshFault>,
    sign_ins: Counters<SignIn>,
    lockouts: Counter,
    rate_limited: Family<[(&'static str, &'static str); 1], Counter>,
    http: Box<[Counter]>,
    creation: Histogram,
    validation: Histogram,
    refresh: Histogram,
    gauges: Gauges,
    /// Two scrapes at once would mix their samples.
    scrape: Mutex<()>,
}

/// Every metric of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// Starts all counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let gauges = gauges(&mut registry);
        let r = registry.sub_registry_with_prefix("doorward");
        r.register("build", "The running version", Info::new([("version", VERSION)]));
        let http_family = Family::<[(&'static str, &'static str); 2], Counter>::default();
        let http = Route::ALL
            .iter()
            .flat_map(|route| CLASSES.map(|class| [("route", route.name()), ("status", class)]))
            .map(|labels| http_family.get_or_create(&labels).clone())
            .collect();
        r.register("http_requests", "Requests by class of route and of status", http_family);
        let rate_limited = Family::default();
        r.register("rate_limited", "Requests refused by a rate limit, by its policy", rate_limited.clone());
        let shared = Shared {
            tokens_created: counter(r, "tokens_created", "Access tokens issued"),
            tokens_validated: counter(r, "tokens_validated", "Access tokens checked and found good"),
            tokens_refreshed: counter(r, "tokens_refreshed", "Refresh tokens rotated"),
            tokens_expired: counter(r, "tokens_expired", "Access tokens refused because they had expired"),
            tokens_invalid: Counters::register(
                r,
                "tokens_invalid",
                "Access tokens refused for another reason",
            ),
            refresh_failures: Counters::register(r, "refresh_failures", "Refresh tokens refused"),
            sign_ins: Counters::register(r, "sign_ins", "Sign-in attempts by result"),
            lockouts: counter(r, "lockouts", "Accounts suspended for a place"),
            rate_limited,
            http,
            creation: histogram(r, "token_creation", "Time to make and sign an access token", FAST),
            validation: histogram(r, "token_validation", "Time to check an access token", FAST),
            refresh: histogram(r, "token_refresh", "Time to rotate a refresh token, on disk", DURABLE),
            gauges,
            scrape: Mutex::new(()),
            registry,
        };
        Metrics { shared: Arc::new(shared) }
    }

    /// Counts an access token that was issued, and how long that took.
    pub fn token_created(&self, took: Duration) {
        self.shared.tokens_created.inc();
        self.shared.creation.observe(took.as_secs_f64());
    }

    /// Counts an access token that was checked and found good, and how long that took.
    pub fn token_validated(&self, took: Duration) {
        self.shared.tokens_validated.inc();
        self.shared.validation.observe(took.as_secs_f64());
    }

    /// Counts an access token that was refused because it had expired.
    pub fn token_expired(&self) {
        self.shared.tokens_expired.inc();
    }

    /// Counts an access token that was refused for any other reason.
    pub fn token_invalid(&self, fault: TokenFault) {
        self.shared.tokens_invalid.inc(fault);
    }

    /// Counts a rotated refresh token, and how long the rotation took with its commit.
    pub fn token_refreshed(&self, took: Duration) {
        self.shared.tokens_refreshed.inc();
        self.shared.refresh.observe(took.as_secs_f64());
    }

    /// Counts a refused refresh token.
    pub fn refresh_failed(&self, fault: RefreshFault) {
        self.shared.refresh_failures.inc(fault);
    }

    /// Counts a sign-in attempt.
    pub fn sign_in(&self, result: SignIn) {
        self.shared.sign_ins.inc(result);
    }

    /// Counts an account that was suspended for a place.
    pub fn locked_out(&self) {
        self.shared.lockouts.inc();
    }

    /// Counts a request refused by a rate limit. `policy` is the name of the policy, fixed in code.
    pub fn rate_limited(&self, policy: &'static str) {
        self.shared.rate_limited.get_or_create(&[("policy", policy)]).inc();
    }

    /// Counts an answered request.
    pub fn http_request(&self, route: Route, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(counter) = self.shared.http.get(route.index() * CLASSES.len() + class) {
            counter.inc();
        }
    }

    /// Sets when the process started.
    pub fn set_started(&self, at: crate::kernel::time::Timestamp) {
        self.shared.gauges.process_start.set(at.as_secs() as f64);
    }

    /// Renders everything in the OpenMetrics text format. `resident_bytes` is the memory of the process.
    pub fn render(&self, sample: Sample, resident_bytes: u64) -> String {
        let _one_at_a_time = self.shared.scrape.lock();
        let gauges = &self.shared.gauges;
        for (gauge, value) in [
            (&gauges.users, sample.users),
            (&gauges.sessions, sample.sessions),
            (&gauges.suspensions, sample.suspensions),
            (&gauges.hash_queue, sample.hash_queue),
            (&gauges.audit_queue, sample.audit_queue),
            (&gauges.store_bytes, sample.store_bytes),
            (&gauges.store_integrity_errors, sample.store_integrity_errors),
            (&gauges.store_writable, u64::from(sample.store_is_writable)),
            (&gauges.resident_bytes, resident_bytes),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let mut text = String::with_capacity(16 * 1024);
        match prometheus_client::encoding::text::encode(&mut text, &self.shared.registry) {
            Ok(()) => text,
            // Writing to a String does not fail; an empty answer would look like a healthy one.
            Err(_) => "# EOF\n".to_owned(),
        }
    }
}

/// The classes of HTTP status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn histogram(registry: &mut Registry, name: &str, help: &str, bounds: [f64; 10]) -> Histogram {
    let histogram = Histogram::new(bounds);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

fn gauges(root: &mut Registry) -> Gauges {
    let resident_bytes = Gauge::default();
    root.register("process_resident_memory_bytes", "Resident memory of the process", resident_bytes.clone());
    let process_start = Gauge::default();
    root.register("process_start_time_seconds", "When the process started", process_start.clone());
    let r = root.sub_registry_with_prefix("doorward");
    let mut gauge = |name: &str, help: &str| {
        let gauge = Gauge::default();
        r.register(name, help, gauge.clone());
        gauge
    };
    Gauges {
        users: gauge("users", "Users that exist"),
        sessions: gauge("sessions", "Sessions that are alive"),
        suspensions: gauge("suspensions", "Accounts that are suspended for a place"),
        hash_queue: gauge("hash_queue_length", "Password checks that wait"),
        audit_queue: gauge("audit_queue_length", "Audit events that wait to be written"),
        store_bytes: gauge("store_bytes", "Bytes of the store on disk"),
        store_integrity_errors: gauge(
            "store_integrity_errors",
            "Stored values that failed the check after the start",
        ),
        store_writable: gauge("store_writable", "Whether the store takes writes (1) or not (0)"),
        resident_bytes,
        process_start,
    }
}
