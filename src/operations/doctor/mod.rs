//! The doctor: what is wrong with this installation, why it matters, and the line that mends it.
//!
//! [`Facts`] are collected by whoever can see them (the CLI, the server, the wizard); [`examine`] turns them into
//! [`Finding`]s and touches nothing.

mod checks;
pub mod look;
pub mod outside;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::kernel::time::Timestamp;
use crate::words::Said;

/// What a finding asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well.
    Ok,
    /// Somebody should do what the finding says.
    Fix,
    /// It could not be looked at, or does not apply here.
    Skipped,
}

fn in_english<S: Serializer>(said: &Said, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&said.english())
}

/// The answer of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// A stable name, such as `key_file_mode`.
    pub code: &'static str,
    /// What it asks for.
    pub severity: Severity,
    /// A few words, the same whatever the answer.
    #[serde(serialize_with = "in_english")]
    pub title: Said,
    /// One sentence or two: what was seen and, if it is to be mended, what could happen.
    #[serde(serialize_with = "in_english")]
    pub sentence: Said,
    /// The command or configuration line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_to_paste: Option<String>,
}

/// What was seen of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// The path, for messages.
    pub path: String,
    /// Permission bits, such as `0o700`.
    pub mode: u32,
    /// The numeric owner.
    pub owner: u32,
}

/// What happened when the store was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It opened, or is open in this process.
    Opens,
    /// A running Doorward has it; with its process id, if known.
    InUse(Option<u32>),
    /// There is none yet.
    Missing,
    /// It does not open, and why.
    Broken(String),
}

/// One snapshot of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Whether it was read back and found whole.
    pub is_verified: bool,
}

/// The number that shows whether the store went back in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressFacts {
    /// The file beside the store.
    pub path: String,
    /// What stands in the file, if it holds a number.
    pub written: Option<u64>,
    /// How far the store has come, if it could be asked.
    pub reached: Option<u64>,
}

/// A setting that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSetting {
    /// Its key.
    pub key: &'static str,
    /// Sentences that say what is wrong with it.
    pub why: String,
}

/// Everything the checks look at. What could not be seen is `None`, and its check is skipped.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The user id that runs the server; `None` if nobody here knows.
    pub user_id: Option<u32>,
    /// The data directory, if it exists.
    pub data_dir: Option<PathFacts>,
    /// The file of the master key, if there is one.
    pub key_file: Option<PathFacts>,
    /// The store.
    pub store: Option<StoreState>,
    /// How far the store has come, once there is one.
    pub progress: Option<ProgressFacts>,
    /// The setting that keeps Doorward from starting, if there is one.
    pub refused_setting: Option<RefusedSetting>,
    /// The wall clock.
    pub now: Timestamp,
    /// The latest time that the store has seen.
    pub clock_mark: Option<Timestamp>,
    /// How far a browser's or a time server's clock is away from ours, if one was asked.
    pub clock_skew: Option<Duration>,
    /// The public origin that is configured or was set in the wizard, such as `https://auth.example.org`.
    pub public_origin: Option<String>,
    /// The trusted proxies, those of the configuration and those that were set in the wizard.
    pub trusted_proxies: Vec<String>,
    /// The domain that forward-auth protects, if it is on.
    pub protected_domain: Option<String>,
    /// Where the server listens.
    pub listen: Vec<SocketAddr>,
    /// Whether sign-in over plain HTTP was allowed explicitly.
    pub allows_insecure_http: bool,
    /// Bytes free on the disk of the data directory.
    pub free_bytes: Option<u64>,
    /// Bytes that the store takes.
    pub store_bytes: u64,
    /// Snapshots, in any order; `None` if they could not be listed.
    pub snapshots: Option<Vec<SnapshotFacts>>,
    /// Bytes that hashing passwords takes: threads times memory cost.
    pub hash_bytes: u64,
    /// Bytes this process may use: the smaller of available memory and what its control group allows.
    pub available_bytes: Option<u64>,
}

/// Runs every check. The order is that of importance, and is stable.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    checks::ALL.iter().map(|check| check(facts)).collect()
}

/// Tells whether anything is to be mended.
pub fn needs_fixing(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Fix)
}
