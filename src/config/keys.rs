//! The one registry of settings. From it come the file, the environment, the flags, the documentation and what the
//! web interface shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;

use super::Origin;
use super::domains::ProtectedDomain;
use super::values::{
    LogFormat, LogLevel, Rate, Reader, Registration, SecondFactor, Shape, UnknownAuthorization, WebOrigin,
    cookie_domain, mebibytes, networks, networks_to_reach, number, path, protected_domains, rate, secret,
    socket, span, switch, time, username, web_origin,
};
use crate::kernel::secret::SecretText;
use crate::kernel::text::Username;

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.name`.
    pub name: &'static str,
    /// How it is written in TOML.
    pub shape: Shape,
    /// What is allowed, as the end of a sentence.
    pub allowed: String,
    /// The default, as text; empty for none.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// Whether its value is never shown. A secret can also be given by file: `NAME_file`, `DOORWARD_…_FILE`.
    pub is_secret: bool,
    /// Whether an admin may change it in the web interface while file, environment and flags leave it alone.
    pub is_editable: bool,
}

impl Key {
    /// Returns the environment variable: `DOORWARD_SECTION__NAME`.
    pub fn variable(&self) -> String {
        format!("DOORWARD_{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }
}

/// A value as it was found, before it is read.
#[derive(Clone)]
pub(super) struct Found {
    pub text: String,
    pub origin: Origin,
}

/// A value that was refused.
pub(super) struct Refused {
    pub key: &'static Key,
    pub why: String,
}

macro_rules! settings {
    ($( $(#[$attribute:ident])* $field:ident: $type:ty = $name:literal, $default:literal, $reader:expr, $help:literal; )+) => {
        /// Every setting, read and checked.
        #[derive(Clone)]
        pub struct Settings {
            $( #[doc = concat!("`", $name, "`: ", $help)] pub $field: $type, )+
            pub(super) found: BTreeMap<&'static str, Found>,
        }

        /// The registry, in the order of the documentation.
        pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| vec![$({
            let reader: Reader<$type> = $reader;
            Key {
                name: $name,
                shape: reader.shape,
                allowed: reader.allowed,
                default: $default,
                help: $help,
                is_secret: [$(stringify!($attribute)),*].contains(&"secret"),
                is_editable: [$(stringify!($attribute)),*].contains(&"editable"),
            }
        }),+]);

        impl Settings {
            /// Reads what was found; every key is in `found`. Collects all refusals.
            pub(super) fn read(found: BTreeMap<&'static str, Found>) -> Result<Self, Vec<Refused>> {
                let mut refused = Vec::new();
                $(
                    let $field: Option<$type> = {
                        let text = found.get($name).map_or($default, |found| found.text.as_str());
                        let reader: Reader<$type> = $reader;
                        match (reader.read)(text) {
                            Ok(value) => Some(value),
                            Err(why) => {
                                refused.extend(find($name).map(|key| Refused { key, why }));
                                None
                            }
                        }
                    };
                )+
                match ($($field,)+) {
                    ($(Some($field),)+) => Ok(Settings { $($field,)+ found }),
                    _ => Err(refused),
                }
            }
        }
    };
}

/// Finds a key by its name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

settings! {
    data_directory: PathBuf = "data.directory", "./data", path(),
        "Where Doorward keeps everything; one process at a time.";
    free_space_floor: Option<u64> = "data.free_space_floor_mib", "auto", mebibytes(0, 1_000_000).or_word("auto"),
        "Writes are refused while the disk has less free space than this, in MiB.";
    cache_bytes: u64 = "data.cache_mib", "16", mebibytes(1, 16_384),
        "Memory for the store's page cache, in MiB.";

    listen: SocketAddr = "server.listen", "127.0.0.1:8080", socket(),
        "Where the web server listens.";
    #[editable] public_origin: Option<WebOrigin> = "server.public_origin", "", web_origin().or_none(),
        "Where browsers find Doorward. Set by the wizard; until then http://localhost with the port.";
    #[editable] trusted_proxies: Vec<IpNet> = "server.trusted_proxies", "", networks(),
        "Reverse proxies whose X-Forwarded headers are believed and who may ask for forward-auth.";
    insecure_http: bool = "server.insecure_http", "false", switch(),
        "Allows sign-in over plain HTTP from other machines. For a lab only.";
    max_connections: usize = "server.max_connections", "1024", number(16, 100_000),
        "Connections at the same time; trusted proxies have as many again.";
    max_connections_per_address: usize = "server.max_connections_per_address", "128", number(4, 100_000),
        "Connections of one address at the same time; trusted proxies are not held to it.";
    metrics_listen: Option<SocketAddr> = "metrics.listen", "127.0.0.1:9180", socket().or_word("off"),
        "Where Prometheus finds /metrics.";

    outgoing_networks: Vec<IpNet> = "outgoing.allowed_networks", "", networks_to_reach(),
        "Networks beside the public internet that Doorward may call to tell apps of a sign-out, also by plain HTTP.";
    outgoing_ca_file: Option<PathBuf> = "outgoing.ca_file", "", path().or_none(),
        "A PEM file of certificate authorities that such calls believe beside the public ones.";

    #[editable] protect_domains: Vec<ProtectedDomain> = "protect.domains", "", protected_domains(),
        "The root domains of the apps behind forward-auth. Behind the name: portal=HOST, a host of that domain that leads to Doorward too, where the public address is of another domain; cookie=host, so that each app has a cookie of its own and not one for all of the domain.";
    #[editable] protect_domain: Option<String> = "protect.domain", "", cookie_domain().or_none(),
        "The same for one domain alone, as it was before there could be several.";

    forward_auth_empty_headers: bool = "forward_auth.empty_identity_headers", "true", switch(),
        "Names nobody by empty Remote-User, Remote-Groups, Remote-Name and Remote-Email when somebody passes unknown, so that no proxy lets a client's own copies through. Authelia sends none.";
    forward_auth_unknown_authorization: UnknownAuthorization = "forward_auth.unknown_authorization", "cookie", UnknownAuthorization::reader(),
        "What decides where an app's request carries an Authorization header that is not for Doorward: the cookie, or nothing (“refuse”, as Authelia does).";
    forward_auth_nginx_statuses: bool = "forward_auth.nginx_statuses_only", "true", switch(),
        "Answers nginx 200, 401 or 403 and nothing else, because nginx makes a 500 of the rest. Authelia answers 400 to what it does not understand.";
    forward_auth_assertion: bool = "forward_auth.assertion", "false", switch(),
        "Adds Remote-Assertion: who asks, as a JWT for this one app, good for 30 seconds, signed by a key of /api/v1/keys.";

    oidc_advertise_par: bool = "oidc.advertise_par", "false", switch(),
        "Names the endpoint for pushed authorization requests in the discovery document. Some apps use it whenever they see it, and fail.";
    oidc_dpop_nonce: bool = "oidc.dpop_nonce", "false", switch(),
        "Apps that bind tokens to their key (DPoP) must put a fresh nonce of ours into each proof.";
    oidc_registration: bool = "oidc.registration", "false", switch(),
        "Lets apps register themselves with a token that an administrator made (RFC 7591).";

    #[editable] session_idle: Duration = "session.idle_minutes", "30", span(MINUTE, 1, 1440),
        "A browser session ends after this many minutes without a request.";
    #[editable] session_absolute: Duration = "session.absolute_hours", "24", span(HOUR, 1, 24),
        "A browser session ends after this many hours in any case.";
    #[editable] session_remember: Duration = "session.remember_days", "30", span(DAY, 1, 365),
        "A browser session with “stay signed in” ends after this many days.";
    #[editable] token_access: Duration = "token.access_minutes", "30", span(MINUTE, 1, 1440),
        "How long an access token is valid, in minutes.";
    #[editable] token_refresh: Duration = "token.refresh_days", "7", span(DAY, 1, 365),
        "A refresh token that is not used for this many days ends.";
    #[editable] token_refresh_max: Duration = "token.refresh_max_days", "30", span(DAY, 1, 730),
        "A chain of refresh tokens ends after this many days in any case.";
    token_refresh_grace: Duration = "token.refresh_grace_seconds", "10", span(1, 0, 60),
        "A refresh repeated within this many seconds gets the same answer instead of ending the chain.";

    #[editable] registration: Registration = "accounts.registration", "closed", Registration::reader(),
        "Who may make an account.";
    #[editable] second_factor: SecondFactor = "accounts.second_factor", "admins", SecondFactor::reader(),
        "Who must have a second factor.";

    password_memory_kib: u32 = "password.memory_kib", "19456", number(19_456, 1_048_576),
        "Memory of one password hash, in KiB (argon2id).";
    password_passes: u32 = "password.passes", "2", number(2, 10),
        "Passes of one password hash over its memory (argon2id).";
    password_threads: Option<usize> = "password.threads", "auto", number(1, 64).or_word("auto"),
        "Password hashes at the same time; “auto” is one or two, by the number of cores.";
    password_idle_priority: bool = "password.idle_priority", "true", switch(),
        "Hash only while a core has nothing else to do, so that sign-ins slow nothing down. Turn it off where other programs keep every core busy.";

    limit_sign_in: Rate = "limits.sign_in", "5/5m", rate(),
        "Sign-in attempts of one address at one account.";
    limit_registration: Rate = "limits.registration", "3/1h", rate(),
        "Registrations of one address.";
    limit_totp: Rate = "limits.totp", "3/5m", rate(),
        "One-time codes tried at one account.";
    limit_upload: Rate = "limits.upload", "10/15m", rate(),
        "Uploads of one user.";
    limit_api: Rate = "limits.api", "100/1h", rate(),
        "API requests of one bearer token, or of one address without.";
    suspend_after: u32 = "limits.suspend_after", "5", number(3, 100),
        "Failed sign-ins of one place at one account before the place is shut out of it.";
    suspend_for: Duration = "limits.suspend_for", "12h", time(),
        "How long the place is shut out.";
    limit_table_entries: usize = "limits.table_entries", "65536", number(1_024, 16_777_216),
        "Addresses and accounts that the counters hold at the same time.";

    #[editable] audit_retention: Duration = "audit.retention_days", "30", span(DAY, 1, 3650),
        "Audit events are deleted after this many days.";

    log_format: LogFormat = "log.format", "text", LogFormat::reader(),
        "How log lines look.";
    log_level: LogLevel = "log.level", "info", LogLevel::reader(),
        "What is logged.";

    master_key_file_given: Option<PathBuf> = "keys.master_key_file", "", path().or_none(),
        "The key that seals every secret in the store. Default: $CREDENTIALS_DIRECTORY/master-key if it is there, else master.key in the data directory.";
    key_rotation: Duration = "keys.rotate_days", "90", span(DAY, 1, 3650),
        "A new signing key is made after this many days.";

    bootstrap_owner: Option<Username> = "bootstrap.owner", "", username().or_none(),
        "Makes this owner at the first start, without the wizard. Needs bootstrap.password_hash.";
    #[secret] bootstrap_password_hash: Option<SecretText> = "bootstrap.password_hash", "", secret().or_none(),
        "The owner's password as an argon2id hash ($argon2id$…).";
}
