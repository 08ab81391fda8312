//! Precedence, mistakes, suggestions and secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::words::Words;

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| (PathBuf::from("/etc/doorward/doorward.toml"), file.to_owned())),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        flags: flags
            .iter()
            .map(|(flag, key, value)| ((*flag).to_owned(), (*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Settings {
    Settings::load(&sources(file, environment, flags)).unwrap_or_else(|error| panic!("{error}"))
}

fn mistakes(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
    Settings::load(&sources(file, environment, flags))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("doorward-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn nothing_is_required() {
    let settings = load("", &[], &[]);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.local_link(), "http://localhost:8080");
    assert_eq!(settings.public_origin_or_local(), "http://localhost:8080");
    assert_eq!(settings.data_directory, Path::new("./data"));
    assert_eq!(settings.master_key_file(), Path::new("./data/master.key"));
    assert_eq!(settings.free_space_floor, None);
    assert_eq!(settings.limit_sign_in, Rate { count: 5, window: Duration::from_secs(300) });
    assert_eq!(settings.suspend_for, Duration::from_secs(12 * 3600));
    assert_eq!(settings.registration, Registration::Closed);
    assert_eq!(settings.second_factor, SecondFactor::Admins);
    assert!(settings.trusted_proxies.is_empty() && settings.public_origin.is_none());
    for key in KEYS.iter() {
        assert_eq!(settings.origin(key.name), Some(&Origin::Default), "{}", key.name);
        assert!(!settings.is_fixed(key.name));
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "[server]\nlisten = \"10.0.0.1:1\"\n";
    let environment = [("DOORWARD_SERVER__LISTEN", "10.0.0.2:2")];
    let flags = [("--listen", "server.listen", "10.0.0.3:3")];
    let found = |settings: Settings| {
        (settings.listen.to_string(), settings.origin("server.listen").unwrap().to_string())
    };
    assert_eq!(found(load("", &[], &[])), ("127.0.0.1:8080".into(), "default".into()));
    assert_eq!(found(load(file, &[], &[])), ("10.0.0.1:1".into(), "/etc/doorward/doorward.toml".into()));
    assert_eq!(
        found(load(file, &environment, &[])),
        ("10.0.0.2:2".into(), "environment DOORWARD_SERVER__LISTEN".into())
    );
    assert_eq!(found(load(file, &environment, &flags)), ("10.0.0.3:3".into(), "flag --listen".into()));
    assert!(load(file, &[], &[]).is_fixed("server.listen"));
}

#[test]
fn values_of_every_shape_are_read() {
    let settings = load(
        "[server]\ntrusted_proxies = [\"172.18.0.0/16\", \"::1\"]\ninsecure_http = true\nmax_connections = 64\n\
         public_origin = \"https://Auth.Example.org/\"\n[password]\nthreads = 2\n[data]\nfree_space_floor_mib = \"auto\"\n\
         [metrics]\nlisten = \"off\"\n[protect]\ndomain = \"Example.org\"\n",
        &[("DOORWARD_PASSWORD__THREADS", "auto"), ("DOORWARD_DATA__FREE_SPACE_FLOOR_MIB", "100")],
        &[],
    );
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert!(settings.insecure_http);
    assert_eq!(settings.max_connections, 64);
    assert_eq!(settings.public_origin_or_local(), "https://auth.example.org");
    assert_eq!(settings.password_threads, None);
    assert_eq!(settings.free_space_floor, Some(100 * 1024 * 1024));
    assert_eq!(settings.metrics_listen, None);
    assert_eq!(settings.protect_domain.as_deref(), Some("example.org"));
    let listed = load("", &[("DOORWARD_SERVER__TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2")], &[]);
    assert_eq!(listed.trusted_proxies.len(), 2);
}

/// FAIL-05: an unknown key stops the start, and the sentence says what may be meant.
#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    for (text, meant) in [
        (mistakes("[server]\nlisen = \"x\"\n", &[], &[]), "server.listen"),
        (mistakes("[sever]\nlisten = \"x\"\n", &[], &[]), "server.listen"),
        (mistakes("[server]\ntrusted_proxy = []\n", &[], &[]), "server.trusted_proxies"),
        (mistakes("[limits]\nsignin = \"5/5m\"\n", &[], &[]), "limits.sign_in"),
        (mistakes("", &[("DOORWARD_SERVER__PUBLIC_ORIGN", "x")], &[]), "server.public_origin"),
        (mistakes("", &[("DOORWARD_LISTEN", "x")], &[]), "server.listen"),
        (mistakes("", &[], &[("--set", "log.levl", "x")]), "log.level"),
    ] {
        assert!(text.contains(&format!("Did you mean {meant}?")), "{text}");
    }
    let text = mistakes("[xyzzy]\nplugh = 1\n", &[], &[]);
    assert!(
        text.contains("There is no setting xyzzy.plugh (/etc/doorward/doorward.toml).")
            && text.contains("`doorward config list`")
            && !text.contains("mean"),
        "{text}"
    );
    assert!(mistakes("listen = \"x\"\n", &[], &[]).contains("There is no setting listen"));
    assert!(mistakes("[server\n", &[], &[]).contains("is not TOML"));
    assert!(mistakes("[server.listen]\nport = 1\n", &[], &[]).contains("server.listen is written as table"));
}

/// FAIL-05: a value that is not allowed stops the start; the sentence names key, value, origin and what is allowed.
#[test]
fn wrong_values_say_what_is_allowed() {
    let text = mistakes("[token]\nrefresh_grace_seconds = 61\n", &[], &[]);
    for part in
        ["token.refresh_grace_seconds", "“61”", "/etc/doorward/doorward.toml", "a number from 0 to 60"]
    {
        assert!(text.contains(part), "{text}");
    }
    for (file, part) in [
        ("[token]\nrefresh_grace_seconds = \"10\"\n", "written as string"),
        ("[server]\ninsecure_http = \"yes\"\n", "true or false"),
        ("[server]\nlisten = 8080\n", "ADDRESS:PORT"),
        ("[server]\nlisten = \"8080\"\n", "ADDRESS:PORT"),
        ("[server]\ntrusted_proxies = \"10.0.0.1\"\n", "a list of addresses"),
        ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n", "would trust everybody"),
        ("[server]\ntrusted_proxies = [\"proxy\"]\n", "neither an address nor a network"),
        ("[server]\npublic_origin = \"https://a.example/x\"\n", "only scheme, host and port"),
        ("[accounts]\nregistration = \"Open\"\n", "one of closed, invitation, open"),
        ("[limits]\nsign_in = \"5\"\n", "COUNT/TIME"),
        ("[protect]\ndomain = \"co.uk\"\n", "strangers"),
        ("[protect]\ndomain = \"168.1.5\"\n", "shared by several apps"),
        ("[bootstrap]\nowner = \"a b\"\n", "A username holds only"),
    ] {
        let text = mistakes(file, &[], &[]);
        assert!(text.contains(part), "{file}: {text}");
    }
    let many = mistakes("[server]\nlisten = 1\nmax_connections = 1\n[log]\nlevel = \"loud\"\n", &[], &[]);
    assert_eq!(many.lines().count(), 3, "{many}");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (file, part) in [
        ("[session]\nidle_minutes = 1440\nabsolute_hours = 1\n", "session.idle_minutes"),
        ("[token]\nrefresh_days = 60\n", "token.refresh_days"),
        ("[metrics]\nlisten = \"127.0.0.1:8080\"\n", "metrics.listen"),
        ("[server]\npublic_origin = \"http://auth.example.org\"\n", "plain HTTP"),
        (
            "[server]\npublic_origin = \"https://auth.example.net\"\n[protect]\ndomain = \"example.org\"\n",
            "not below",
        ),
        (
            "[server]\npublic_origin = \"https://badexample.org\"\n[protect]\ndomain = \"example.org\"\n",
            "not below",
        ),
        ("[bootstrap]\nowner = \"ada\"\n", "bootstrap.password_hash"),
    ] {
        assert!(mistakes(file, &[], &[]).contains(part), "{file}");
    }
    load("[server]\npublic_origin = \"http://auth.example.org\"\ninsecure_http = true\n", &[], &[]);
    load("[server]\npublic_origin = \"http://localhost:8080\"\n", &[], &[]);
    load(
        "[server]\npublic_origin = \"https://auth.example.org\"\n[protect]\ndomain = \"example.org\"\n",
        &[],
        &[],
    );
}

/// FAIL-05: a secret comes from one place, and is shown nowhere.
#[test]
fn secrets_come_from_one_place_and_stay_hidden() {
    let folder = Folder::new("secrets");
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
    let file = folder.write("hash", &format!("{hash}\n"));
    let owner = ("DOORWARD_BOOTSTRAP_OWNER", "ada");
    for settings in [
        load("", &[owner, ("DOORWARD_BOOTSTRAP__PASSWORD_HASH", hash)], &[]),
        load("", &[owner, ("DOORWARD_BOOTSTRAP__PASSWORD_HASH_FILE", &file)], &[]),
        load("", &[owner, ("DOORWARD_BOOTSTRAP_PASSWORD_HASH_FILE", &file)], &[]),
        load(&format!("[bootstrap]\npassword_hash_file = \"{file}\"\n"), &[owner], &[]),
        load("", &[owner], &[("--set", "bootstrap.password_hash_file", &file)]),
    ] {
        assert_eq!(settings.bootstrap_password_hash.as_ref().unwrap().expose(), hash);
        assert_eq!(settings.bootstrap_owner.as_ref().unwrap().as_str(), "ada");
        let shown = settings.show_with_origin();
        assert!(shown.contains("password_hash = \"••••••••\"") && !shown.contains("argon2id$v"), "{shown}");
    }
    let both = mistakes(
        "",
        &[
            owner,
            ("DOORWARD_BOOTSTRAP__PASSWORD_HASH", hash),
            ("DOORWARD_BOOTSTRAP__PASSWORD_HASH_FILE", &file),
        ],
        &[],
    );
    assert!(both.contains("are both set"), "{both}");
    let missing = mistakes("", &[owner, ("DOORWARD_BOOTSTRAP__PASSWORD_HASH_FILE", "/nowhere/hash")], &[]);
    assert!(missing.contains("/nowhere/hash, which cannot be read"), "{missing}");
    let not_secret = mistakes("", &[("DOORWARD_SERVER__LISTEN_FILE", &file)], &[]);
    assert!(not_secret.contains("There is no setting"), "{not_secret}");
}

/// SEC-01: mistakes are shown to every administrator and stand in logs; no line of the file comes along.
#[test]
fn no_mistake_shows_what_stands_beside_it() {
    for file in [
        "[bootstrap]\npassword_hash = $argon2id$canary\n",
        "[bootstrap]\npassword_hash = \"canary\n",
        "[bootstrap]\npassword_hash = canary\n",
        "[bootstrap]\npassword_hash = \"canary\\q\"\n",
        "[bootstrap]\npassword_hash = [\"canary\"]\n",
        "[bootstrap]\npassword_hash = 'canary' 'canary'\n",
    ] {
        let text = mistakes(file, &[], &[]);
        assert!(!text.contains("canary"), "{file}: {text}");
        assert!(text.contains("line 2:") || text.contains("no text"), "{file}: {text}");
    }
}

#[test]
fn credentials_of_systemd_are_found_by_themselves() {
    let folder = Folder::new("credentials");
    let key = folder.write("master-key", "00");
    folder.write("bootstrap-password-hash", "$argon2id$x\n");
    let directory = folder.0.to_string_lossy().into_owned();
    let environment = [("CREDENTIALS_DIRECTORY", directory.as_str()), ("DOORWARD_BOOTSTRAP__OWNER", "ada")];
    let settings = load("", &environment, &[]);
    assert_eq!(settings.master_key_file(), Path::new(&key));
    assert_eq!(settings.bootstrap_password_hash.as_ref().unwrap().expose(), "$argon2id$x");
    assert!(matches!(settings.origin("keys.master_key_file"), Some(Origin::Credential(_))));
    let named = load("[keys]\nmaster_key_file = \"/k\"\n", &environment, &[]);
    assert_eq!(named.master_key_file(), Path::new("/k"));
}

#[test]
fn foreign_variables_do_not_stop_the_start() {
    load(
        "",
        &[
            ("DOORWARD_PORT", "tcp://10.0.0.1:8080"),
            ("DOORWARD_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("DOORWARD_SERVICE_HOST", "10.0.0.1"),
            ("DOORWARD_CONFIG", "/x"),
            ("PATH", "/bin"),
        ],
        &[],
    );
}

#[test]
fn what_is_shown_can_be_read_back() {
    let settings = load(
        "[server]\ntrusted_proxies = [\"10.0.0.1\"]\n[data]\nfree_space_floor_mib = 5\n",
        &[("DOORWARD_LOG__LEVEL", "debug")],
        &[],
    );
    let shown = settings.show_with_origin();
    assert!(shown.contains("# environment DOORWARD_LOG__LEVEL") && shown.contains("# default"), "{shown}");
    let again = load(&shown, &[], &[]);
    for key in KEYS.iter() {
        assert_eq!(again.shown(key.name), settings.shown(key.name), "{}", key.name);
    }
    let table = documentation_table();
    for key in KEYS.iter() {
        assert!(table.contains(&format!("| `{}` | `{}`", key.name, key.variable())));
        assert!((key.help)(Words::ENGLISH).ends_with('.'), "{}", key.name);
    }
}

#[test]
fn settings_for_tests_use_their_own_folder() {
    let settings = Settings::for_tests(Path::new("/x"));
    assert_eq!(settings.data_directory, Path::new("/x"));
    assert_eq!(settings.listen.port(), 0);
    assert_eq!(settings.metrics_listen, None);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let error = Sources::of_process(Some(Path::new("/nowhere/doorward.toml")), Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/doorward.toml cannot be read"), "{error}");
    assert_eq!(parse_assignment("a.b = c=d"), Ok(("a.b".into(), "c=d".into())));
    assert!(parse_assignment("a.b").is_err());
}

/// PWD-05, SES-07: what would make password hashes or the longest session weaker than they must be is refused, with the
/// range that is allowed.
#[test]
fn nobody_configures_less_than_the_floor() {
    for (key, value, range) in [
        ("password.memory_kib", "8192", "19456"),
        ("password.memory_kib", "19455", "19456"),
        ("password.passes", "1", "2"),
        ("password.passes", "11", "10"),
        ("session.absolute_hours", "25", "24"),
    ] {
        let text = mistakes("", &[], &[("--set", key, value)]);
        assert!(text.contains(key) && text.contains(range), "{key}={value}: {text}");
    }
    let settings = load("", &[], &[("--set", "session.absolute_hours", "24")]);
    assert_eq!((settings.password_memory_kib, settings.password_passes), (19_456, 2));
}
