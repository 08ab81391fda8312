//! A text for people who help: what runs here, without secrets, names, addresses and paths. It is made of numbers, codes
//! and words of this program alone: of settings only switches and numbers stand in it, of everything else whether it is
//! set.

use std::fmt::Write as _;

use super::System;
use super::warnings;
use crate::audit::Kind;
use crate::config::Shape;
use crate::crypto::key_ring::KeyFacts;
use crate::operations::doctor::look;
use crate::store::meta::SCHEMA_VERSION;

const MIB: u64 = 1024 * 1024;

impl System {
    /// Writes the text.
    pub fn support_text(&self) -> String {
        let mut text = String::new();
        self.write_program(&mut text);
        self.write_state(&mut text);
        self.write_settings(&mut text);
        self.write_last_day(&mut text);
        text
    }

    // Writing to a String cannot fail, here and below.
    fn write_program(&self, text: &mut String) {
        let facts = self.facts();
        let up = facts.now.since(facts.started).as_secs();
        let _ = writeln!(text, "doorward {}", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "target: {}-{}", std::env::consts::ARCH, std::env::consts::OS);
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let _ = writeln!(text, "cores: {cores}");
        let memory = look::available_bytes().map_or_else(|| "unknown".to_owned(), |b| (b / MIB).to_string());
        let _ = writeln!(text, "available memory, MiB: {memory}");
        let _ = writeln!(text, "time: {}", facts.now);
        let _ = writeln!(text, "up for, minutes: {}", up / 60);
        let _ = writeln!(text, "schema of the store: {SCHEMA_VERSION}");
        let _ = writeln!(text, "store, MiB: {}", facts.store_bytes.div_ceil(MIB));
        let free = facts.free_bytes.map_or_else(|| "unknown".to_owned(), |b| (b / MIB).to_string());
        let _ = writeln!(text, "free on its disk, MiB: {free}");
        let _ = writeln!(text, "\nwarnings:");
        let found = warnings::examine(&facts);
        for warning in &found {
            let _ = writeln!(text, "  {} ({})", warning.code.as_str(), warning.number);
        }
        if found.is_empty() {
            text.push_str("  none\n");
        }
    }

    fn write_state(&self, text: &mut String) {
        let directory = self.accounts.directory();
        let now = self.clock.now();
        let scheme = match (self.site.is_origin_set(), self.site.origin().is_https) {
            (false, _) => "not set",
            (true, true) => "https",
            (true, false) => "http",
        };
        let age = |key: &KeyFacts| now.since(key.created).as_secs() / 86_400;
        let tokens: Vec<String> = self
            .sessions
            .tokens()
            .key_facts()
            .iter()
            .map(|key| format!("{:?} {} d", key.phase, age(key)))
            .collect();
        let apps: Vec<String> = self
            .oidc
            .key_facts()
            .iter()
            .map(|(algorithm, key)| format!("{algorithm} {:?} {} d", key.phase, age(key)))
            .collect();
        let clients = self.oidc.clients();
        for (name, value) in [
            ("people", directory.len().to_string()),
            ("administrators", directory.count_active(|user| user.role.is_admin()).to_string()),
            ("with a second factor", directory.count_active(|user| user.has_second_factor()).to_string()),
            ("sessions", self.sessions.live_count().to_string()),
            ("paused accounts", self.lockout.len().to_string()),
            ("access rules", self.access.list().rules().len().to_string()),
            ("protected domains", self.site.protected_domains().len().to_string()),
            ("trusted proxies", self.site.trusted_proxies().networks().len().to_string()),
            ("apps with OpenID Connect", clients.len().to_string()),
            ("public address", scheme.to_owned()),
            ("keys of access tokens", tokens.join(", ")),
            ("keys for apps", apps.join(", ")),
            ("snapshots", self.backups().list().map_or(0, |list| list.len()).to_string()),
        ] {
            let _ = writeln!(text, "{}{name}: {value}", if name == "people" { "\n" } else { "" });
        }
    }

    fn write_settings(&self, text: &mut String) {
        text.push_str("\nsettings that are not the default:\n");
        let running = &self.0.parts.settings.running;
        for shown in running.iter().filter(|shown| shown.origin.kind() != "default") {
            let is_plain = matches!(shown.key.shape, Shape::Integer | Shape::Switch)
                || shown.key.shape == Shape::IntegerOrText && shown.value.parse::<u64>().is_ok();
            let value = match (shown.key.is_secret || !is_plain, shown.value.is_empty()) {
                (false, _) => shown.value.as_str(),
                (true, false) => "set",
                (true, true) => "empty",
            };
            let _ = writeln!(text, "  {} = {value} ({})", shown.key.name, shown.origin.kind());
        }
        let waiting = self.waiting_settings();
        if !waiting.is_empty() {
            let mistakes = if waiting.mistakes.is_some() { "the configuration has mistakes" } else { "" };
            let _ = writeln!(text, "wait for a restart: {} {mistakes}", waiting.changed.join(" "));
        }
    }

    fn write_last_day(&self, text: &mut String) {
        text.push_str("\nevents of the last day, done and not:\n");
        for kind in Kind::ALL {
            let sum = |wanted: bool| self.count(|one, is_done| one == *kind && is_done == wanted);
            let (done, refused) = (sum(true), sum(false));
            if done + refused > 0 {
                let _ = writeln!(text, "  {}: {done} {refused}", kind.name());
            }
        }
    }
}
