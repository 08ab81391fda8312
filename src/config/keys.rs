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
use crate::words::Words;

/// One setting.
#[derive(Debug)]
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
    pub help: fn(Words) -> &'static str,
    /// Whether its value is never shown. A secret can also be given by file: `NAME_file`, `DOORWARD_…_FILE`.
    pub is_secret: bool,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

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
    ($( $(#[$attribute:ident])* $field:ident: $type:ty = $name:literal, $default:literal, $reader:expr, $help:expr; )+) => {
        /// Every setting, read and checked.
        #[derive(Clone)]
        pub struct Settings {
            $( #[doc = concat!("`", $name, "`")] pub $field: $type, )+
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
        Words::settings_data_directory;
    free_space_floor: Option<u64> = "data.free_space_floor_mib", "auto", mebibytes(0, 1_000_000).or_word("auto"),
        Words::settings_data_free_space_floor_mib;
    cache_bytes: u64 = "data.cache_mib", "16", mebibytes(1, 16_384),
        Words::settings_data_cache_mib;

    listen: SocketAddr = "server.listen", "127.0.0.1:8080", socket(),
        Words::settings_server_listen;
    public_origin: Option<WebOrigin> = "server.public_origin", "", web_origin().or_none(),
        Words::settings_server_public_origin;
    trusted_proxies: Vec<IpNet> = "server.trusted_proxies", "", networks(),
        Words::settings_server_trusted_proxies;
    insecure_http: bool = "server.insecure_http", "false", switch(),
        Words::settings_server_insecure_http;
    max_connections: usize = "server.max_connections", "1024", number(16, 100_000),
        Words::settings_server_max_connections;
    max_connections_per_address: usize = "server.max_connections_per_address", "128", number(4, 100_000),
        Words::settings_server_max_connections_per_address;
    metrics_listen: Option<SocketAddr> = "metrics.listen", "127.0.0.1:9180", socket().or_word("off"),
        Words::settings_metrics_listen;

    outgoing_networks: Vec<IpNet> = "outgoing.allowed_networks", "", networks_to_reach(),
        Words::settings_outgoing_allowed_networks;
    outgoing_ca_file: Option<PathBuf> = "outgoing.ca_file", "", path().or_none(),
        Words::settings_outgoing_ca_file;

    protect_domains: Vec<ProtectedDomain> = "protect.domains", "", protected_domains(),
        Words::settings_protect_domains;
    protect_domain: Option<String> = "protect.domain", "", cookie_domain().or_none(),
        Words::settings_protect_domain;

    forward_auth_empty_headers: bool = "forward_auth.empty_identity_headers", "true", switch(),
        Words::settings_forward_auth_empty_identity_headers;
    forward_auth_unknown_authorization: UnknownAuthorization = "forward_auth.unknown_authorization", "cookie", UnknownAuthorization::reader(),
        Words::settings_forward_auth_unknown_authorization;
    forward_auth_nginx_statuses: bool = "forward_auth.nginx_statuses_only", "true", switch(),
        Words::settings_forward_auth_nginx_statuses_only;
    forward_auth_assertion: bool = "forward_auth.assertion", "false", switch(),
        Words::settings_forward_auth_assertion;

    oidc_advertise_par: bool = "oidc.advertise_par", "false", switch(),
        Words::settings_oidc_advertise_par;
    oidc_dpop_nonce: bool = "oidc.dpop_nonce", "false", switch(),
        Words::settings_oidc_dpop_nonce;
    oidc_registration: bool = "oidc.registration", "false", switch(),
        Words::settings_oidc_registration;

    session_idle: Duration = "session.idle_minutes", "30", span(MINUTE, 1, 1440),
        Words::settings_session_idle_minutes;
    session_absolute: Duration = "session.absolute_hours", "24", span(HOUR, 1, 24),
        Words::settings_session_absolute_hours;
    session_remember: Duration = "session.remember_days", "30", span(DAY, 1, 365),
        Words::settings_session_remember_days;
    token_access: Duration = "token.access_minutes", "30", span(MINUTE, 1, 1440),
        Words::settings_token_access_minutes;
    token_refresh: Duration = "token.refresh_days", "7", span(DAY, 1, 365),
        Words::settings_token_refresh_days;
    token_refresh_max: Duration = "token.refresh_max_days", "30", span(DAY, 1, 730),
        Words::settings_token_refresh_max_days;
    token_refresh_grace: Duration = "token.refresh_grace_seconds", "10", span(1, 0, 60),
        Words::settings_token_refresh_grace_seconds;

    registration: Registration = "accounts.registration", "closed", Registration::reader(),
        Words::settings_accounts_registration;
    second_factor: SecondFactor = "accounts.second_factor", "admins", SecondFactor::reader(),
        Words::settings_accounts_second_factor;

    password_memory_kib: u32 = "password.memory_kib", "19456", number(19_456, 1_048_576),
        Words::settings_password_memory_kib;
    password_passes: u32 = "password.passes", "2", number(2, 10),
        Words::settings_password_passes;
    password_threads: Option<usize> = "password.threads", "auto", number(1, 64).or_word("auto"),
        Words::settings_password_threads;
    password_idle_priority: bool = "password.idle_priority", "true", switch(),
        Words::settings_password_idle_priority;

    limit_sign_in: Rate = "limits.sign_in", "5/5m", rate(),
        Words::settings_limits_sign_in;
    limit_registration: Rate = "limits.registration", "3/1h", rate(),
        Words::settings_limits_registration;
    limit_totp: Rate = "limits.totp", "3/5m", rate(),
        Words::settings_limits_totp;
    limit_api: Rate = "limits.api", "100/1h", rate(),
        Words::settings_limits_api;
    suspend_after: u32 = "limits.suspend_after", "5", number(3, 100),
        Words::settings_limits_suspend_after;
    suspend_for: Duration = "limits.suspend_for", "12h", time(),
        Words::settings_limits_suspend_for;
    limit_table_entries: usize = "limits.table_entries", "65536", number(1_024, 16_777_216),
        Words::settings_limits_table_entries;

    audit_retention: Duration = "audit.retention_days", "30", span(DAY, 1, 3650),
        Words::settings_audit_retention_days;

    log_format: LogFormat = "log.format", "text", LogFormat::reader(),
        Words::settings_log_format;
    log_level: LogLevel = "log.level", "info", LogLevel::reader(),
        Words::settings_log_level;

    master_key_file_given: Option<PathBuf> = "keys.master_key_file", "", path().or_none(),
        Words::settings_keys_master_key_file;
    key_rotation: Duration = "keys.rotate_days", "90", span(DAY, 1, 3650),
        Words::settings_keys_rotate_days;

    bootstrap_owner: Option<Username> = "bootstrap.owner", "", username().or_none(),
        Words::settings_bootstrap_owner;
    #[secret] bootstrap_password_hash: Option<SecretText> = "bootstrap.password_hash", "", secret().or_none(),
        Words::settings_bootstrap_password_hash;
}
