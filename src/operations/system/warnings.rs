//! What is wrong with the running server, as data: each warning has a code, a severity, a title and a text, and names the
//! warnings that would explain it. One that another explains is not shown, so that the cause stands alone.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::certificate::Certificate;
use crate::kernel::time::Timestamp;
use crate::words::Words;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Broken,
    /// Something will not work, or is not safe.
    Warning,
    /// Somebody should know of it.
    Notice,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $severity:ident, because of [$($cause:ident),*];)*) => {
        /// What can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Code {
            /// All of them, the worst first.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// Returns the stable name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $code,)*
                }
            }

            /// Returns how bad it is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Code::$variant => Severity::$severity,)*
                }
            }

            /// Returns the warnings that explain this one.
            pub fn causes(self) -> &'static [Code] {
                match self {
                    $(Code::$variant => &[$(Code::$cause),*],)*
                }
            }
        }
    };
}

codes! {
    /// The store does not answer.
    StoreSilent = "store_silent", Broken, because of [];
    /// The store takes no writes because the disk is full.
    DiskFull = "disk_full", Broken, because of [StoreSilent];
    /// The store takes no writes for another reason.
    StoreReadOnly = "store_read_only", Broken, because of [StoreSilent, DiskFull];
    /// The clock stands behind its high-water mark.
    ClockBehind = "clock_behind", Broken, because of [];
    /// There is no key to sign with.
    NoSigningKey = "no_signing_key", Broken, because of [StoreSilent, StoreReadOnly, DiskFull, ClockBehind];
    /// The certificate of the public address has ended.
    CertificateEnded = "certificate_ended", Broken, because of [ClockBehind];
    /// Damaged values were found.
    StoreDamaged = "store_damaged", Broken, because of [];
    /// Little room is left.
    DiskLow = "disk_low", Warning, because of [DiskFull];
    /// The newest snapshot is old, or there is none.
    NoSnapshot = "no_snapshot", Warning, because of [StoreSilent, StoreReadOnly, DiskFull, DiskLow, ClockBehind];
    /// The certificate of the public address ends soon.
    CertificateEnds = "certificate_ends", Warning, because of [ClockBehind, CertificateEnded];
    /// People sign in over plain HTTP.
    PlainHttp = "plain_http", Warning, because of [];
    /// Plain HTTP from other machines is allowed although the address is https.
    PlainHttpAllowed = "plain_http_allowed", Warning, because of [PlainHttp];
    /// Apps are protected, but no proxy is trusted.
    NoProxy = "no_proxy", Warning, because of [];
    /// Audit events were dropped.
    EventsDropped = "events_dropped", Warning, because of [StoreSilent, StoreReadOnly, DiskFull];
    /// Used tokens came back.
    TokensReused = "tokens_reused", Warning, because of [];
    /// A passkey counted backwards.
    PasskeySuspicious = "passkey_suspicious", Warning, because of [];
    /// Requests of foreign pages were refused.
    RequestsForged = "requests_forged", Warning, because of [];
    /// The clock was moved.
    ClockStepped = "clock_stepped", Notice, because of [ClockBehind];
    /// Apps could not be told of a sign-out.
    AppsNotTold = "apps_not_told", Notice, because of [];
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// When this process started.
    pub started: Timestamp,
    /// Whether the store answered a read.
    pub store_reads: bool,
    /// Whether it takes writes.
    pub store_writes: bool,
    /// Bytes free on the disk of the store.
    pub free_bytes: Option<u64>,
    /// Bytes that the store takes.
    pub store_bytes: u64,
    /// Below this many free bytes nothing is written.
    pub floor_bytes: u64,
    /// Whether the clock stands behind the store.
    pub is_clock_behind: bool,
    /// Whether there is a key to sign with.
    pub has_signing_key: bool,
    /// Damaged values that the check after the start found, or that the newest snapshot lacks.
    pub damaged: u64,
    /// The newest verified snapshot.
    pub newest_snapshot: Option<Timestamp>,
    /// Whether the public address is https, or this machine itself.
    pub is_address_safe: bool,
    /// Whether `server.insecure_http` is on.
    pub allows_plain_http: bool,
    /// Whether there are protected domains.
    pub has_domains: bool,
    /// Whether a proxy is trusted.
    pub has_proxies: bool,
    /// The certificate of the public address, if somebody looked at it.
    pub certificate: Option<Certificate>,
    /// Events of the last day.
    pub last_day: LastDay,
}

/// How many events of a kind the last day had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastDay {
    /// Times that damage was found.
    pub damaged: u32,
    /// Times that events were dropped.
    pub dropped: u32,
    /// Used tokens that came back.
    pub reused: u32,
    /// Passkeys that counted backwards.
    pub suspicious: u32,
    /// Forged requests.
    pub forged: u32,
    /// Steps of the clock.
    pub stepped: u32,
    /// Apps that were not told of a sign-out.
    pub not_told: u32,
}

/// A certificate that ends within this many days should have been renewed.
const SOON_DAYS: u64 = 14;

const MIB: u64 = 1024 * 1024;

/// How old the newest snapshot may be: they are taken daily.
const OLDEST_SNAPSHOT: Duration = Duration::from_secs(2 * 86_400);
/// How long after the start there may be none.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(3600);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// How often in the last day, or how many MiB or days; what the text says it is.
    pub number: u64,
}

impl Facts {
    fn is_active(&self, code: Code) -> Option<u64> {
        let when = |is_so: bool, number: u64| is_so.then_some(number);
        let counted = |count: u32| when(count > 0, count.into());
        let day = &self.last_day;
        let is_full = self.free_bytes.is_some_and(|free| free < self.floor_bytes.max(1));
        let wanted = (64 * MIB).max(self.store_bytes.saturating_mul(2)).saturating_add(self.floor_bytes);
        match code {
            Code::StoreSilent => when(!self.store_reads, 0),
            Code::DiskFull => when(!self.store_writes && is_full, self.free_bytes.unwrap_or(0) / MIB),
            Code::StoreReadOnly => when(!self.store_writes, 0),
            Code::ClockBehind => when(self.is_clock_behind, 0),
            Code::NoSigningKey => when(!self.has_signing_key, 0),
            Code::StoreDamaged => {
                let number = self.damaged.max(day.damaged.into());
                when(number > 0, number)
            }
            Code::DiskLow => self.free_bytes.filter(|free| *free < wanted).map(|free| free / MIB),
            Code::NoSnapshot => match self.newest_snapshot {
                Some(newest) => {
                    let age = self.now.since(newest);
                    when(age > OLDEST_SNAPSHOT, age.as_secs() / 86_400)
                }
                None => when(self.now.since(self.started) > FIRST_SNAPSHOT, 0),
            },
            Code::CertificateEnded => when(self.certificate == Some(Certificate::Ended), 0),
            Code::CertificateEnds => {
                let days = self.certificate.as_ref().and_then(|seen| seen.days_left(self.now));
                days.filter(|days| *days < SOON_DAYS)
            }
            Code::PlainHttp => when(!self.is_address_safe, 0),
            Code::PlainHttpAllowed => when(self.allows_plain_http, 0),
            Code::NoProxy => when(self.has_domains && !self.has_proxies, 0),
            Code::EventsDropped => counted(day.dropped),
            Code::TokensReused => counted(day.reused),
            Code::PasskeySuspicious => counted(day.suspicious),
            Code::RequestsForged => counted(day.forged),
            Code::ClockStepped => counted(day.stepped),
            Code::AppsNotTold => counted(day.not_told),
        }
    }
}

/// Returns what is wrong, the worst first, without what something else explains.
pub fn examine(facts: &Facts) -> Vec<Warning> {
    let active: Vec<(Code, u64)> =
        Code::ALL.iter().filter_map(|code| Some((*code, facts.is_active(*code)?))).collect();
    let is_explained =
        |code: Code| code.causes().iter().any(|cause| active.iter().any(|(one, _)| one == cause));
    active
        .iter()
        .filter(|(code, _)| !is_explained(*code))
        .map(|(code, number)| Warning { code: *code, severity: code.severity(), number: *number })
        .collect()
}

impl Warning {
    /// Returns a few words.
    pub fn title(&self, t: Words) -> &'static str {
        match self.code {
            Code::StoreSilent => t.health_store_silent(),
            Code::DiskFull => t.health_disk_full(),
            Code::StoreReadOnly => t.health_store_read_only(),
            Code::ClockBehind => t.health_clock_behind(),
            Code::NoSigningKey => t.health_no_signing_key(),
            Code::StoreDamaged => t.health_store_damaged(),
            Code::DiskLow => t.health_disk_low(),
            Code::NoSnapshot => t.health_no_snapshot(),
            Code::CertificateEnded => t.health_certificate_ended(),
            Code::CertificateEnds => t.health_certificate_ends(),
            Code::PlainHttp => t.health_plain_http(),
            Code::PlainHttpAllowed => t.health_plain_http_allowed(),
            Code::NoProxy => t.health_no_proxy(),
            Code::EventsDropped => t.health_events_dropped(),
            Code::TokensReused => t.health_tokens_reused(),
            Code::PasskeySuspicious => t.health_passkey_suspicious(),
            Code::RequestsForged => t.health_requests_forged(),
            Code::ClockStepped => t.health_clock_stepped(),
            Code::AppsNotTold => t.health_apps_not_told(),
        }
    }

    /// Returns what was seen and what to do.
    pub fn text(&self, t: Words) -> String {
        let n = self.number;
        match self.code {
            Code::StoreSilent => t.health_store_silent_text().to_owned(),
            Code::DiskFull => t.health_disk_full_text(n),
            Code::StoreReadOnly => t.health_store_read_only_text().to_owned(),
            Code::ClockBehind => t.health_clock_behind_text().to_owned(),
            Code::NoSigningKey => t.health_no_signing_key_text().to_owned(),
            Code::StoreDamaged => t.health_store_damaged_text().to_owned(),
            Code::DiskLow => t.health_disk_low_text(n),
            Code::NoSnapshot if n == 0 => t.health_no_snapshot_text().to_owned(),
            Code::NoSnapshot => t.health_old_snapshot_text(n),
            Code::CertificateEnded => t.health_certificate_ended_text().to_owned(),
            Code::CertificateEnds => t.health_certificate_ends_text(n),
            Code::PlainHttp => t.health_plain_http_text().to_owned(),
            Code::PlainHttpAllowed => t.health_plain_http_allowed_text().to_owned(),
            Code::NoProxy => t.health_no_proxy_text().to_owned(),
            Code::EventsDropped => t.health_events_dropped_text().to_owned(),
            Code::TokensReused => t.health_tokens_reused_text(n),
            Code::PasskeySuspicious => t.health_passkey_suspicious_text(n),
            Code::RequestsForged => t.health_requests_forged_text(n),
            Code::ClockStepped => t.health_clock_stepped_text(n),
            Code::AppsNotTold => t.health_apps_not_told_text(n),
        }
    }

    /// Returns the page that helps, if one does: its address, and which events to look at.
    pub fn page(&self) -> Option<&'static str> {
        Some(match self.code {
            Code::StoreDamaged | Code::NoSnapshot => "/admin/system#backups",
            Code::NoProxy => "/admin/doctor",
            Code::EventsDropped => "/admin/audit?kind=audit.events_dropped",
            Code::TokensReused => "/admin/audit?kind=refresh.reused",
            Code::PasskeySuspicious => "/admin/audit?kind=passkey.suspicious",
            Code::RequestsForged => "/admin/audit?kind=request.forged",
            Code::ClockStepped => "/admin/audit?kind=clock.stepped",
            Code::AppsNotTold => "/admin/audit?kind=client.logout_failed",
            _ => return None,
        })
    }

    /// Returns the line that mends it, where there is one.
    pub fn line(&self) -> &'static str {
        match self.code {
            Code::ClockBehind => "timedatectl set-ntp true",
            Code::StoreDamaged => "doorward store check",
            Code::PlainHttpAllowed => "server.insecure_http = false",
            Code::NoProxy => "server.trusted_proxies = [\"127.0.0.1\"]",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        let now = Timestamp::from_secs(1_800_000_000);
        Facts {
            now,
            started: now.minus(Duration::from_secs(86_400)),
            store_reads: true,
            store_writes: true,
            free_bytes: Some(10_000 * MIB),
            store_bytes: MIB,
            floor_bytes: 32 * MIB,
            is_clock_behind: false,
            has_signing_key: true,
            damaged: 0,
            newest_snapshot: Some(now.minus(Duration::from_secs(3600))),
            is_address_safe: true,
            allows_plain_http: false,
            has_domains: true,
            has_proxies: true,
            certificate: Some(Certificate::Good(Some(now.plus(Duration::from_secs(30 * 86_400))))),
            last_day: LastDay::default(),
        }
    }

    fn codes(facts: &Facts) -> Vec<&'static str> {
        examine(facts).iter().map(|warning| warning.code.as_str()).collect()
    }

    #[test]
    fn a_sound_server_has_no_warnings() {
        assert_eq!(codes(&sound()), Vec::<&str>::new());
    }

    #[test]
    fn a_cause_hides_what_follows_from_it() {
        let full = Facts {
            store_writes: false,
            free_bytes: Some(MIB),
            newest_snapshot: None,
            last_day: LastDay { dropped: 2, ..LastDay::default() },
            ..sound()
        };
        assert_eq!(codes(&full), ["disk_full"]);
        let behind = Facts { is_clock_behind: true, has_signing_key: false, ..sound() };
        assert_eq!(codes(&behind), ["clock_behind"]);
        let lab = Facts { is_address_safe: false, allows_plain_http: true, ..sound() };
        assert_eq!(codes(&lab), ["plain_http"]);
    }

    #[test]
    fn each_fault_alone_is_told() {
        let now = sound().now;
        for (facts, code) in [
            (Facts { store_reads: false, ..sound() }, "store_silent"),
            (Facts { store_writes: false, ..sound() }, "store_read_only"),
            (Facts { has_signing_key: false, ..sound() }, "no_signing_key"),
            (Facts { free_bytes: Some(70 * MIB), ..sound() }, "disk_low"),
            (Facts { damaged: 1, ..sound() }, "store_damaged"),
            (Facts { newest_snapshot: None, ..sound() }, "no_snapshot"),
            (
                Facts { newest_snapshot: Some(now.minus(Duration::from_secs(300_000))), ..sound() },
                "no_snapshot",
            ),
            (Facts { allows_plain_http: true, ..sound() }, "plain_http_allowed"),
            (Facts { has_proxies: false, ..sound() }, "no_proxy"),
            (Facts { certificate: Some(Certificate::Ended), ..sound() }, "certificate_ended"),
            (
                Facts {
                    certificate: Some(Certificate::Good(Some(now.plus(Duration::from_secs(13 * 86_400))))),
                    ..sound()
                },
                "certificate_ends",
            ),
            (Facts { last_day: LastDay { reused: 1, ..LastDay::default() }, ..sound() }, "tokens_reused"),
            (Facts { last_day: LastDay { not_told: 3, ..LastDay::default() }, ..sound() }, "apps_not_told"),
        ] {
            assert_eq!(codes(&facts), [code]);
        }
        let young = Facts { newest_snapshot: None, started: now, ..sound() };
        assert_eq!(codes(&young), Vec::<&str>::new());
        for unseen in [None, Some(Certificate::None), Some(Certificate::NotReached(String::new()))] {
            assert_eq!(codes(&Facts { certificate: unseen, ..sound() }), Vec::<&str>::new());
        }
    }

    /// Whatever explains another stands before it, so no two explain each other.
    #[test]
    fn causes_come_first() {
        let place = |code: Code| Code::ALL.iter().position(|one| *one == code);
        for code in Code::ALL {
            for cause in code.causes() {
                assert!(place(*cause) < place(*code), "{} and {}", cause.as_str(), code.as_str());
            }
        }
    }
}
