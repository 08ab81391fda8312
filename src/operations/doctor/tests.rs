use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1024 * 1024;

/// An installation with nothing wrong.
fn sound() -> Facts {
    Facts {
        user_id: Some(990),
        data_dir: Some(PathFacts { path: "/var/lib/doorward".into(), mode: 0o700, owner: 990 }),
        key_file: Some(PathFacts { path: "/var/lib/doorward/master.key".into(), mode: 0o600, owner: 990 }),
        store: Some(StoreState::Opens),
        progress: Some(ProgressFacts {
            path: "/var/lib/doorward/progress".into(),
            written: Some(7),
            reached: Some(8),
        }),
        refused_setting: None,
        now: NOW,
        clock_mark: Some(NOW.minus(DAY)),
        clock_skew: Some(Duration::from_secs(2)),
        public_origin: Some("https://auth.example.org".into()),
        trusted_proxies: vec!["127.0.0.1/32".into()],
        protected_domain: Some("example.org".into()),
        listen: vec!["127.0.0.1:8080".parse().unwrap()],
        allows_insecure_http: false,
        free_bytes: Some(500 * MIB),
        store_bytes: 4 * MIB,
        snapshots: Some(vec![SnapshotFacts { taken_at: NOW.minus(DAY), is_verified: true }]),
        hash_bytes: 38 * MIB,
        available_bytes: Some(512 * MIB),
    }
}

/// Returns the only finding that is not ok, after `change`.
fn found(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = sound();
    change(&mut facts);
    let mut findings: Vec<_> =
        examine(&facts).into_iter().filter(|finding| finding.severity != Severity::Ok).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn fix(code: &str, line: &str, change: impl FnOnce(&mut Facts)) {
    let finding = found(change);
    assert_eq!((finding.code, finding.severity), (code, Severity::Fix), "{finding:?}");
    assert_eq!(finding.line_to_paste.as_deref(), Some(line));
    assert!(finding.sentence.english().ends_with('.'), "{finding:?}");
}

#[test]
fn a_sound_installation_has_nothing_to_mend() {
    let findings = examine(&sound());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Ok), "{findings:?}");
    assert!(!needs_fixing(&findings));
    for (index, finding) in findings.iter().enumerate() {
        assert!(!findings[index + 1..].iter().any(|other| other.code == finding.code), "{}", finding.code);
    }
}

#[test]
fn before_the_first_start_everything_is_skipped_or_well() {
    let facts = Facts { now: NOW, ..Facts::default() };
    let findings = examine(&facts);
    assert!(!needs_fixing(&findings), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.line_to_paste.is_none()));
}

/// KEY-02: files that others may read are named, with the line that closes them.
#[test]
fn files_that_others_may_read_are_found() {
    fix("data_dir_mode", "chmod 700 /var/lib/doorward", |facts| {
        facts.data_dir.as_mut().unwrap().mode = 0o750
    });
    fix("data_dir_mode", "chown -R 990 /var/lib/doorward", |facts| {
        facts.data_dir.as_mut().unwrap().owner = 0
    });
    fix("key_file_mode", "chmod 600 /var/lib/doorward/master.key", |facts| {
        facts.key_file.as_mut().unwrap().mode = 0o644;
    });
    fix("key_file_mode", r"chmod 600 '/a b/it'\''s; rm -r'", |facts| {
        *facts.key_file.as_mut().unwrap() =
            PathFacts { path: "/a b/it's; rm -r".into(), mode: 0o604, owner: 0 };
    });
}

#[test]
fn a_store_that_does_not_open_is_found() {
    fix("store_opens", "doorward store snapshots", |facts| {
        facts.store = Some(StoreState::Broken("bad page".into()))
    });
    let mut facts = sound();
    facts.store = Some(StoreState::InUse(Some(77)));
    assert!(examine(&facts).iter().any(|finding| finding.sentence.english().contains("process 77")));
}

/// FAIL-01: a store that went back in time is found, and a missing number without which nobody would notice.
#[test]
fn a_store_of_the_past_is_found() {
    let change = |written, reached| {
        move |facts: &mut Facts| {
            let progress = facts.progress.as_mut().unwrap();
            (progress.written, progress.reached) = (written, reached);
        }
    };
    fix("progress", "systemctl restart doorward", change(None, Some(8)));
    fix("progress", "doorward store snapshots", change(Some(9), Some(8)));
    assert_eq!(found(change(Some(9), None)).severity, Severity::Skipped);
}

/// FAIL-05: a setting that keeps the server from starting is named.
#[test]
fn a_setting_that_is_refused_is_found() {
    fix("settings", "protect.domain = \"home.example\"", |facts| {
        facts.refused_setting =
            Some(RefusedSetting { key: "protect.domain", why: "protect.domain is “com”.".into() });
    });
}

/// FAIL-03: a clock before the program's own date, behind the store, or away from others is found.
#[test]
fn a_clock_that_is_wrong_is_found() {
    let line = "timedatectl set-ntp true";
    fix("clock", line, |facts| {
        facts.now = Timestamp::from_secs(3600);
        facts.snapshots = Some(vec![SnapshotFacts { taken_at: facts.now, is_verified: true }]);
        facts.clock_mark = None;
    });
    fix("clock", line, |facts| facts.clock_mark = Some(NOW.plus(Duration::from_secs(121))));
    fix("clock", line, |facts| facts.clock_skew = Some(Duration::from_secs(31)));
}

#[test]
fn passwords_in_clear_are_found() {
    fix("public_origin", "server.public_origin = \"https://auth.example.org\"", |facts| {
        facts.public_origin = Some("http://auth.example.org".into());
    });
    fix("listen", "server.insecure_http = false", |facts| {
        facts.listen = vec!["[::]:8080".parse().unwrap()];
        facts.allows_insecure_http = true;
    });
}

#[test]
fn an_open_address_without_a_proxy_is_found() {
    let facts = Facts {
        listen: vec!["192.168.1.5:8080".parse().unwrap()],
        trusted_proxies: Vec::new(),
        protected_domain: None,
        ..sound()
    };
    let finding = examine(&facts).into_iter().find(|finding| finding.code == "listen").unwrap();
    assert_eq!(finding.severity, Severity::Fix);
    assert_eq!(finding.line_to_paste.as_deref(), Some("server.listen = \"127.0.0.1:8080\""));
}

#[test]
fn a_proxy_that_is_unknown_or_too_trusted_is_found() {
    fix("trusted_proxies", "server.trusted_proxies = [\"127.0.0.1\"]", |facts| facts.trusted_proxies.clear());
    fix("trusted_proxies", "server.trusted_proxies = [\"127.0.0.1\"]", |facts| {
        facts.trusted_proxies.push("0.0.0.0/0".into())
    });
}

#[test]
fn a_full_disk_missing_snapshots_and_little_memory_are_found() {
    fix("disk_space", "journalctl --vacuum-size=100M", |facts| facts.free_bytes = Some(63 * MIB));
    fix("disk_space", "journalctl --vacuum-size=100M", |facts| facts.store_bytes = 251 * MIB);
    fix("snapshots", "doorward store snapshots --take", |facts| facts.snapshots = Some(Vec::new()));
    fix("snapshots", "doorward store snapshots --take", |facts| {
        facts.snapshots.as_mut().unwrap()[0].is_verified = false
    });
    fix("snapshots", "doorward store snapshots --take", |facts| {
        facts.snapshots.as_mut().unwrap()[0].taken_at = NOW.minus(3 * DAY)
    });
    fix("memory", "password.threads = 1", |facts| facts.available_bytes = Some(151 * MIB));
}

#[test]
fn what_cannot_be_seen_is_skipped() {
    assert_eq!(found(|facts| facts.free_bytes = None).severity, Severity::Skipped);
    assert_eq!(found(|facts| facts.snapshots = None).severity, Severity::Skipped);
    assert_eq!(found(|facts| facts.available_bytes = None).severity, Severity::Skipped);
    assert_eq!(found(|facts| facts.key_file = None).code, "key_file_mode");
    assert_eq!(found(|facts| facts.listen.clear()).code, "listen");
}
