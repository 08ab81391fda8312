//! Settings: one registry of keys, read from defaults, file, environment and flags in that order, later ones winning.
//!
//! Almost nothing is required: `doorward serve` without a file works. What cannot be understood stops the start with a
//! sentence that names key, value, origin and what is allowed (FAIL-05). What an admin changes in the web interface is
//! data in the store and gives way to what stands here.

mod domains;
mod keys;
mod load;
mod show;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};

pub use domains::{CookieScope, MOST_DOMAINS, ProtectedDomain, as_sentence, check_domains, check_reach};
pub use keys::{KEYS, Key, Settings, find};
pub use load::{Sources, parse_assignment};
pub use show::{Shown, documentation_table};
pub use values::{
    LogFormat, LogLevel, Rate, Registration, SecondFactor, Shape, UnknownAuthorization, WebOrigin,
    parse_cookie_domain, parse_network,
};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file of systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(PathBuf),
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl Origin {
    /// Returns what kind of place it is, without names and paths: `default`, `credential`, `file`, `environment`, `flag`.
    pub fn kind(&self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::Credential(_) => "credential",
            Origin::File(_) => "file",
            Origin::Environment(_) => "environment",
            Origin::Flag(_) => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Credential(path) => write!(f, "credential {}", path.display()),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What is wrong with the configuration: one sentence for each mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl ConfigError {
    pub(super) fn one(text: impl Into<String>) -> Self {
        ConfigError(vec![text.into()])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Returns where the value of `key` comes from, or `None` for an unknown key.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        find(key)?;
        Some(self.found.get(key).map_or(&Origin::Default, |found| &found.origin))
    }

    /// Tells whether file, environment or flags fix the value, so that the web interface cannot change it.
    pub fn is_fixed(&self, key: &str) -> bool {
        self.origin(key).is_some_and(|origin| *origin != Origin::Default)
    }

    /// Returns the file of the master key.
    pub fn master_key_file(&self) -> PathBuf {
        self.master_key_file_given.clone().unwrap_or_else(|| self.data_directory.join("master.key"))
    }

    /// Returns the address to print for people: `http://localhost:8080`. Never 127.0.0.1, where browsers allow no
    /// passkeys.
    pub fn local_link(&self) -> String {
        let ip = self.listen.ip();
        if ip.is_loopback() || ip.is_unspecified() {
            format!("http://localhost:{}", self.listen.port())
        } else {
            format!("http://{}", self.listen)
        }
    }

    /// Returns where browsers find Doorward as far as the configuration says, or the local link. Without a slash.
    pub fn public_origin_or_local(&self) -> String {
        self.public_origin.as_ref().map_or_else(|| self.local_link(), WebOrigin::to_text)
    }

    /// Returns settings for tests: defaults, data in `directory`, any free port, and password hashes that are smaller and
    /// faster than a configuration may ask for (PWD-05).
    pub fn for_tests(directory: &Path) -> Self {
        let flags = [
            ("data.directory", directory.to_string_lossy().into_owned()),
            ("data.free_space_floor_mib", "0".to_owned()),
            ("data.cache_mib", "4".to_owned()),
            ("server.listen", "127.0.0.1:0".to_owned()),
            ("metrics.listen", "off".to_owned()),
            ("password.threads", "1".to_owned()),
            ("password.idle_priority", "false".to_owned()),
        ];
        let found = flags
            .into_iter()
            .map(|(name, text)| (name, keys::Found { text, origin: Origin::Flag("for tests".to_owned()) }))
            .collect();
        match Settings::read(found) {
            Ok(mut settings) => {
                (settings.password_memory_kib, settings.password_passes) = (8192, 1);
                settings
            }
            Err(refused) => {
                // Reached only if a line above no longer fits its key; every test would show it at once.
                let names: Vec<_> = refused.iter().map(|refused| refused.key.name).collect();
                tracing::error!(?names, "the settings for tests are refused");
                std::process::abort()
            }
        }
    }
}
