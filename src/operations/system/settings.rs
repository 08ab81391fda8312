//! Settings as administrators see them: what is in effect, where it comes from, and what waits for a restart.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::System;
use crate::audit::Event;
use crate::config::{Origin, Shown};
use crate::http::Problem;
use crate::setup::parse_instance_name;
use crate::site::{Setting, Site};
use crate::words::Words;

/// Reads the configuration once more.
type ReadAgain = Arc<dyn Fn() -> Result<Vec<Shown>, String> + Send + Sync>;

/// The settings at the start, and how to read them again.
#[derive(Clone, Default)]
pub struct SettingsReport {
    /// Every setting, secrets masked.
    pub running: Vec<Shown>,
    /// Reads the configuration as it is now.
    pub read_again: Option<ReadAgain>,
}

impl fmt::Debug for SettingsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsReport").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InEffect {
    /// The key, such as `server.listen`.
    pub key: &'static str,
    /// The value as text; a secret is masked.
    pub value: String,
    /// Where it comes from: `default`, `store`, or the file, variable or flag.
    pub origin: String,
    /// What it does.
    pub help: &'static str,
    /// Whether it can be changed while the server runs, and is not fixed by the configuration.
    pub is_editable: bool,
}

/// What the configuration says now that the server does not know of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Keys whose value is another one now.
    pub changed: Vec<&'static str>,
    /// Why the configuration would not be understood, if so: the next start would fail.
    pub mistakes: Option<String>,
}

impl Waiting {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.mistakes.is_none()
    }
}

/// Where a value that an administrator chose comes from.
const STORE: &str = "store";

/// Returns what an administrator chose for a key that the configuration leaves alone.
fn chosen(site: &Site, key: &str) -> Option<String> {
    let is_free = |setting: Setting| !site.is_fixed(setting);
    match key {
        "server.public_origin" if is_free(Setting::PublicOrigin) && site.is_origin_set() => {
            Some(site.origin().text)
        }
        "protect.domains" if is_free(Setting::ProtectedDomain) => {
            let domains: Vec<String> = site.protected_domains().iter().map(ToString::to_string).collect();
            (!domains.is_empty()).then(|| domains.join(","))
        }
        _ => None,
    }
}

impl System {
    /// Returns every setting in effect, the name of the installation first. What each does is said in a language.
    pub fn settings_in_effect(&self, t: Words) -> Vec<InEffect> {
        let name = InEffect {
            key: Setting::InstanceName.key(),
            value: self.site.name(),
            origin: STORE.to_owned(),
            help: t.settings_instance_name(),
            is_editable: true,
        };
        let trusted = self.site.trusted_proxies().networks();
        let shown = |shown: &Shown| {
            let mut own = InEffect {
                key: shown.key.name,
                value: shown.value.clone(),
                origin: shown.origin.to_string(),
                help: (shown.key.help)(t),
                is_editable: matches!(shown.key.name, "protect.domains") && shown.origin == Origin::Default,
            };
            if let Some(value) = chosen(&self.site, own.key) {
                (own.value, own.origin) = (value, STORE.to_owned());
            }
            // Networks that the wizard added stand beside those of the configuration.
            if own.key == "server.trusted_proxies" {
                let all: Vec<String> = trusted.iter().map(ToString::to_string).collect();
                if all.join(",") != own.value && !all.is_empty() {
                    own.origin = match own.value.as_str() {
                        "" => STORE.to_owned(),
                        _ => format!("{} + {STORE}", own.origin),
                    };
                    own.value = all.join(",");
                }
            }
            own
        };
        std::iter::once(name).chain(self.0.parts.settings.running.iter().map(shown)).collect()
    }

    /// Reads the configuration once more and tells what a restart would change.
    pub fn waiting_settings(&self) -> Waiting {
        let SettingsReport { running, read_again } = &self.0.parts.settings;
        let Some(read_again) = read_again else { return Waiting::default() };
        match read_again() {
            Ok(now) => {
                let is_other =
                    |one: &&Shown| running.iter().any(|was| was.key == one.key && was.value != one.value);
                Waiting {
                    changed: now.iter().filter(is_other).map(|one| one.key.name).collect(),
                    mistakes: None,
                }
            }
            Err(mistakes) => Waiting { changed: Vec::new(), mistakes: Some(mistakes) },
        }
    }

    /// Gives the installation another name. `event` tells who does.
    ///
    /// # Errors
    /// 422 that names `instance_name`.
    pub async fn rename_instance(&self, name: &str, event: Event) -> Result<(), Problem> {
        let name = parse_instance_name(name)?;
        let mut batch = self.store.batch();
        self.site.stage_set(&mut batch, Setting::InstanceName, name.as_str());
        let event = event.on(Setting::InstanceName.key()).detail("to", name.as_str());
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await.map_err(Problem::from)
    }
}
