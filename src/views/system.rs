//! Administration: overview and system.

use askama::Template;

use super::chart::Chart;
use super::frame::{Frame, Kind};
use super::parts::{Badge, Fact, FieldErrors, When};
use super::setup::OpenStep;

/// A number that leads to more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The number.
    pub number: String,
    /// What it counts.
    pub label: String,
    /// Where more of it is.
    pub url: String,
    /// How it feels: `Warn` where somebody should look.
    pub kind: Kind,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Stable name.
    pub code: &'static str,
    /// Color and icon.
    pub kind: Kind,
    /// A few words.
    pub title: String,
    /// What was seen and what to do.
    pub text: String,
    /// The line that mends it; may be empty.
    pub line: String,
    /// The page that helps; may be empty.
    pub url: String,
}

/// `GET /admin`.
///
/// Form: POST `/admin/checklist/hide` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/overview.html")]
pub struct Overview {
    /// Common parts.
    pub frame: Frame,
    /// Numbers.
    pub tiles: Vec<Tile>,
    /// Sign-ins of the last day.
    pub chart: Chart,
    /// What is wrong, the worst first.
    pub warnings: Vec<Warning>,
    /// What is left.
    pub steps: Vec<OpenStep>,
}

/// One signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: String,
    /// What it does.
    pub phase: Badge,
    /// When it was made.
    pub created: When,
    /// What comes next, in words; may be empty.
    pub note: String,
}

/// Keys that are replaced together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGroup {
    /// What is posted: `tokens` or `apps`.
    pub which: &'static str,
    /// What they sign.
    pub title: String,
    /// What happens when they are replaced.
    pub hint: String,
    /// What is asked before.
    pub question: String,
    /// The keys, oldest first.
    pub rows: Vec<KeyRow>,
}

/// One verified snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Where it is fetched.
    pub url: String,
    /// When it was taken.
    pub when: When,
    /// Such as `daily`.
    pub reason: String,
    /// Such as `1.2 MiB`.
    pub size: String,
    /// Whether no record was damaged when it was taken; such records are not in it.
    pub is_complete: bool,
}

/// `GET /admin/system`.
///
/// Forms: POST `/admin/system/name` (`csrf`, `instance_name`), POST `/admin/system/keys` (`csrf`, `which`), POST
/// `/admin/system/backups` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/system.html")]
pub struct System {
    /// Common parts.
    pub frame: Frame,
    /// Numbers and ages.
    pub facts: Vec<Fact>,
    /// What is wrong, the worst first.
    pub warnings: Vec<Warning>,
    /// What waits for a restart, in sentences.
    pub restart: Vec<String>,
    /// The name of the installation, prefilled.
    pub instance_name: String,
    /// Errors on `instance_name`.
    pub errors: FieldErrors,
    /// Verified snapshots, newest first.
    pub snapshots: Vec<SnapshotRow>,
    /// Signing keys.
    pub keys: Vec<KeyGroup>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    /// The key.
    pub key: &'static str,
    /// The value; empty for none.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// What it does.
    pub help: &'static str,
    /// Whether it is another one than the default.
    pub is_set: bool,
    /// Whether a restart would change it.
    pub is_waiting: bool,
}

/// Settings of one section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub rows: Vec<SettingRow>,
}

/// `GET /admin/system/settings`.
#[derive(Debug, Template)]
#[template(path = "admin/settings.html")]
pub struct Settings {
    /// Common parts.
    pub frame: Frame,
    /// What waits for a restart, in sentences.
    pub restart: Vec<String>,
    /// All sections.
    pub sections: Vec<Section>,
}

/// `GET /admin/system/support`.
#[derive(Debug, Template)]
#[template(path = "admin/support.html")]
pub struct Support {
    /// Common parts.
    pub frame: Frame,
    /// The text.
    pub text: String,
}

/// `GET /whoami`.
#[derive(Debug, Template)]
#[template(path = "admin/whoami.html")]
pub struct Whoami {
    /// Common parts.
    pub frame: Frame,
    /// What was understood of the request.
    pub facts: Vec<Fact>,
    /// Headers; a hidden value is a sentence.
    pub headers: Vec<Fact>,
}
