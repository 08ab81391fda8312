//! The checks: pure functions from facts to one finding each.

use std::time::Duration;

use super::{Facts, Finding, PathFacts, ProgressFacts, RefusedSetting, Severity, StoreState};
use crate::kernel::time::Timestamp;
use crate::words::english_only;

type Check = fn(&Facts) -> Finding;

/// Every check, the most important first.
pub(super) const ALL: &[Check] = &[
    data_dir_mode,
    key_file_mode,
    store_opens,
    progress_is_written,
    settings_are_understood,
    clock_is_sane,
    public_origin_is_https,
    listen_is_private,
    proxies_are_trusted,
    disk_has_room,
    snapshots_exist,
    memory_suffices,
];

const MIB: u64 = 1024 * 1024;

/// No machine that runs this program has an earlier date: 2026-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp::from_secs(1_767_225_600);

/// How far clocks may differ before TOTP codes are refused.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// How far the clock may stand behind the newest time in the store.
const MOST_BEHIND: Duration = Duration::from_secs(120);

/// How old the newest verified snapshot may be: they are taken daily.
const OLDEST_SNAPSHOT: Duration = Duration::from_secs(2 * 86_400);

struct Answer {
    code: &'static str,
    title: &'static str,
}

impl Answer {
    fn ok(&self, sentence: impl Into<String>) -> Finding {
        self.finding(Severity::Ok, sentence.into(), None)
    }

    fn skipped(&self, sentence: impl Into<String>) -> Finding {
        self.finding(Severity::Skipped, sentence.into(), None)
    }

    fn fix(&self, sentence: impl Into<String>, line: impl Into<String>) -> Finding {
        self.finding(Severity::Fix, sentence.into(), Some(line.into()))
    }

    fn finding(&self, severity: Severity, sentence: String, line_to_paste: Option<String>) -> Finding {
        Finding {
            code: self.code,
            severity,
            title: english_only(self.title),
            sentence: english_only(sentence),
            line_to_paste,
        }
    }
}

/// Returns whether group or others may do anything with the path.
fn is_open_to_others(path: &PathFacts) -> bool {
    path.mode & 0o077 != 0
}

/// Quotes a path for a shell.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:".contains(&byte);
    if !path.is_empty() && path.bytes().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// KEY-02
fn data_dir_mode(facts: &Facts) -> Finding {
    let answer = Answer { code: "data_dir_mode", title: "Data directory is private" };
    let Some(dir) = &facts.data_dir else {
        return answer.skipped("There is no data directory yet; the first start makes it.");
    };
    let path = quoted(&dir.path);
    if let Some(user) = facts.user_id.filter(|user| *user != dir.owner) {
        let sentence =
            format!("{} belongs to user {}, but Doorward runs as user {user}.", dir.path, dir.owner);
        return answer.fix(sentence, format!("chown -R {user} {path}"));
    }
    if is_open_to_others(dir) {
        let sentence =
            format!("Other users of this machine may open {} (mode {:04o}).", dir.path, dir.mode & 0o7777);
        return answer.fix(sentence, format!("chmod 700 {path}"));
    }
    answer.ok(format!("Only Doorward's own user may open {}.", dir.path))
}

/// KEY-01, KEY-02
fn key_file_mode(facts: &Facts) -> Finding {
    let answer = Answer { code: "key_file_mode", title: "Key file is private" };
    let Some(file) = &facts.key_file else {
        return match facts.store {
            Some(StoreState::Opens | StoreState::InUse(_)) => answer
                .skipped("The key comes from somewhere other than a file, such as a systemd credential."),
            _ => answer.skipped("There is no key file yet; the first start makes it."),
        };
    };
    if is_open_to_others(file) {
        let sentence = format!(
            "Other users of this machine may read {} (mode {:04o}): with it and a copy of the store they have every secret.",
            file.path,
            file.mode & 0o7777
        );
        return answer.fix(sentence, format!("chmod 600 {}", quoted(&file.path)));
    }
    answer.ok(format!("Only its owner may read {}.", file.path))
}

/// FAIL-04, FAIL-06
fn store_opens(facts: &Facts) -> Finding {
    let answer = Answer { code: "store_opens", title: "Store opens" };
    match &facts.store {
        None => answer.skipped("The store was not looked at."),
        Some(StoreState::Opens) => answer.ok("The store opens, and its key fits."),
        Some(StoreState::InUse(Some(process))) => {
            answer.ok(format!("Doorward is running (process {process}) and has the store."))
        }
        Some(StoreState::InUse(None)) => answer.ok("Doorward is running and has the store."),
        Some(StoreState::Missing) => answer.skipped("There is no store yet; the first start makes it."),
        Some(StoreState::Broken(why)) => {
            let sentence = format!(
                "The store does not open: {why}. Nothing was changed; a verified snapshot can take its place."
            );
            answer.fix(sentence, "doorward store snapshots")
        }
    }
}

/// FAIL-01: sled takes a log that was cut short for an older store; the number beside it tells.
fn progress_is_written(facts: &Facts) -> Finding {
    let answer = Answer { code: "progress", title: "A loss of records would be noticed" };
    let Some(ProgressFacts { path, written, reached }) = &facts.progress else {
        return answer.skipped("There is no store yet.");
    };
    match (written, reached) {
        (None, _) => {
            let sentence = format!(
                "{path} is missing or holds no number: a store that lost its newest records would not be noticed. The next start writes it again."
            );
            answer.fix(sentence, "systemctl restart doorward")
        }
        (Some(written), Some(reached)) if reached < written => {
            let sentence = format!(
                "The store is at {reached}, but {path} says that it had come to {written}: its newest records are lost."
            );
            answer.fix(sentence, "doorward store snapshots")
        }
        (Some(written), Some(reached)) => {
            answer.ok(format!("The store is at {reached}, and {path} says at least {written}."))
        }
        (Some(written), None) => answer.skipped(format!(
            "{path} says that the store has come to {written} at least, but the store could not be asked."
        )),
    }
}

/// FAIL-05
fn settings_are_understood(facts: &Facts) -> Finding {
    let answer = Answer { code: "settings", title: "Address and domain are understood" };
    let Some(RefusedSetting { key, why }) = &facts.refused_setting else {
        return answer.ok("Address, domain and proxies are understood.");
    };
    let example = if *key == "protect.domain" { "home.example" } else { "https://auth.home.example" };
    answer.fix(format!("Doorward does not start: {why}"), format!("{key} = \"{example}\""))
}

/// FAIL-03
fn clock_is_sane(facts: &Facts) -> Finding {
    let answer = Answer { code: "clock", title: "Clock is right" };
    let line = "timedatectl set-ntp true";
    if facts.now < EARLIEST {
        let sentence = format!(
            "This machine believes it is {}. Until its clock is right no tokens are issued.",
            facts.now
        );
        return answer.fix(sentence, line);
    }
    if let Some(mark) = facts.clock_mark
        && facts.now.plus(MOST_BEHIND) < mark
    {
        let sentence = format!(
            "The clock says {}, but the store has already seen {mark}. Until the clock is right no tokens are issued.",
            facts.now
        );
        return answer.fix(sentence, line);
    }
    match facts.clock_skew {
        Some(skew) if skew > MOST_SKEW => {
            let sentence = format!(
                "The clock is {} seconds away from the other one that was asked: codes of authenticator apps will be refused.",
                skew.as_secs()
            );
            answer.fix(sentence, line)
        }
        _ => answer.ok(format!("The clock says {}.", facts.now)),
    }
}

fn public_origin_is_https(facts: &Facts) -> Finding {
    let answer = Answer { code: "public_origin", title: "Public address uses HTTPS" };
    let Some(origin) = &facts.public_origin else {
        return answer.skipped("No public address is set yet; the wizard asks for it.");
    };
    if origin.starts_with("https://") {
        return answer.ok(format!("People open {origin}."));
    }
    if is_local_origin(origin) {
        return answer.ok(format!("{origin} is this machine itself, where plain HTTP is safe."));
    }
    let sentence = format!(
        "People open {origin}: passwords and sessions cross the network in clear, and passkeys do not work."
    );
    answer
        .fix(sentence, format!("server.public_origin = \"https://{}\"", origin.trim_start_matches("http://")))
}

fn is_local_origin(origin: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn listen_is_private(facts: &Facts) -> Finding {
    let answer = Answer { code: "listen", title: "Plain HTTP is not exposed" };
    let exposed = facts.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
    let Some(address) = exposed else {
        return match facts.listen.first() {
            Some(address) => answer.ok(format!("Only this machine can reach {address}.")),
            None => answer.skipped("It is not known where the server listens."),
        };
    };
    let has_proxy = !facts.trusted_proxies.is_empty();
    if facts.allows_insecure_http {
        let sentence = format!(
            "{address} takes sign-ins over plain HTTP from the whole network, because server.insecure_http is on: anyone on the way can read passwords."
        );
        return answer.fix(sentence, "server.insecure_http = false");
    }
    if has_proxy {
        return answer.ok(format!(
            "{address} is open to the network for the reverse proxy; sign-in over plain HTTP is refused."
        ));
    }
    let sentence =
        format!("{address} is open to the network without a reverse proxy in front of it that adds HTTPS.");
    answer.fix(sentence, format!("server.listen = \"127.0.0.1:{}\"", address.port()))
}

fn proxies_are_trusted(facts: &Facts) -> Finding {
    let answer = Answer { code: "trusted_proxies", title: "Reverse proxy is known" };
    let everyone = facts.trusted_proxies.iter().find(|network| network.ends_with("/0"));
    if let Some(network) = everyone {
        let sentence = format!(
            "{network} trusts everyone: any visitor may claim any address, and every limit by address is void."
        );
        return answer.fix(sentence, "server.trusted_proxies = [\"127.0.0.1\"]");
    }
    match (&facts.protected_domain, facts.trusted_proxies.is_empty()) {
        (Some(domain), true) => {
            let sentence = format!(
                "Apps under {domain} are to be protected, but no reverse proxy is trusted. One on another machine is refused; \
                 behind one on this machine nobody can tell visitors apart: rules by network refuse them all, and they share one limit."
            );
            answer.fix(sentence, "server.trusted_proxies = [\"127.0.0.1\"]")
        }
        (None, true) => answer.skipped("No app is protected through a reverse proxy."),
        (_, false) => answer.ok(format!("Trusted: {}.", facts.trusted_proxies.join(", "))),
    }
}

/// FAIL-02
fn disk_has_room(facts: &Facts) -> Finding {
    let answer = Answer { code: "disk_space", title: "Disk has room" };
    let Some(free) = facts.free_bytes else {
        return answer.skipped("The free space could not be read.");
    };
    let wanted = (64 * MIB).max(facts.store_bytes.saturating_mul(2));
    if free < wanted {
        let sentence = format!(
            "{} MiB are free, but {} MiB are wanted: nothing can be saved once the disk is full.",
            free / MIB,
            wanted.div_ceil(MIB)
        );
        return answer.fix(sentence, "journalctl --vacuum-size=100M");
    }
    answer.ok(format!(
        "{} MiB are free; the store takes {} MiB.",
        free / MIB,
        facts.store_bytes.div_ceil(MIB)
    ))
}

fn snapshots_exist(facts: &Facts) -> Finding {
    let answer = Answer { code: "snapshots", title: "A verified snapshot exists" };
    let line = "doorward store snapshots --take";
    let Some(snapshots) = &facts.snapshots else {
        return answer.skipped("The snapshots could not be listed.");
    };
    let newest =
        snapshots.iter().filter(|snapshot| snapshot.is_verified).map(|snapshot| snapshot.taken_at).max();
    match newest {
        Some(newest) if facts.now.since(newest) <= OLDEST_SNAPSHOT => {
            answer.ok(format!("The newest one that was read back and found whole is from {newest}."))
        }
        Some(newest) => {
            answer.fix(format!("The newest one that was found whole is from {newest}, which is old."), line)
        }
        None if snapshots.is_empty() && matches!(facts.store, None | Some(StoreState::Missing)) => {
            answer.skipped("There is nothing to save yet.")
        }
        None if snapshots.is_empty() => {
            answer.fix("There is none: if the disk fails, every account is lost.", line)
        }
        None => answer.fix("None of those that exist was found whole.", line),
    }
}

/// RES-01
fn memory_suffices(facts: &Facts) -> Finding {
    let answer = Answer { code: "memory", title: "Memory suffices for hashing passwords" };
    let Some(available) = facts.available_bytes else {
        return answer.skipped("The available memory could not be read.");
    };
    let (hashing, available_mib) = (facts.hash_bytes.div_ceil(MIB), available / MIB);
    if facts.hash_bytes.saturating_mul(4) > available {
        let sentence = format!(
            "Hashing passwords takes {hashing} MiB, more than a quarter of the {available_mib} MiB that Doorward may use."
        );
        return answer.fix(sentence, "password.threads = 1");
    }
    answer.ok(format!("Hashing passwords takes {hashing} MiB of {available_mib} MiB."))
}
