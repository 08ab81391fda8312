//! FAIL-05: what the configuration or the store says about names and addresses is understood, or nothing starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use doorward::access::validate_parent_domain;
use doorward::app::{Options, Running};
use doorward::config::parse_cookie_domain;
use doorward::kernel::random::Random;
use doorward::kernel::time::{TestClock, Timestamp};
use doorward::site::{Setting, SettingRecord};

use crate::harness::{Server, TempDir, options};
use crate::trouble::program::Installation;

/// Starts over `dir` and returns why it refused, if it did.
fn refusal(dir: &TempDir, change: impl FnOnce(&mut Options)) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut options = options(&dir.0);
    change(&mut options);
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    match runtime.block_on(Running::start(options, doorward::front::open, clock, Random::os())) {
        Ok(running) => {
            runtime.block_on(running.stop());
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Nothing is configured: the store alone says where Doorward lives.
fn by_the_store(options: &mut Options) {
    options.site.public_origin = None;
    options.site.protected_domain = None;
}

/// Writes settings as an older version or a careless restore might have left them.
fn store(dir: &Arc<TempDir>, settings: &[(Setting, &str)]) {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    let server = Server::start_at(dir.clone(), clock, by_the_store);
    let mut batch = server.app().store().batch();
    for (setting, value) in settings {
        batch.put(setting.key().as_bytes(), &SettingRecord { value: (*value).to_owned() });
    }
    server.block_on(server.app().store().commit(batch)).unwrap();
}

#[test]
fn a_configured_domain_that_is_not_ones_own_stops_the_start() {
    let dir = TempDir::new();
    for bad in ["com", "duckdns.org", ".x", "a:80", "home", "192.168.1.5", "168.1.5", "a b.example"] {
        let why = refusal(&dir, |options| {
            options.site.public_origin = None;
            options.site.protected_domain = Some(bad.to_owned());
        });
        let why = why.unwrap_or_else(|| panic!("it started with {bad}"));
        assert!(why.contains("protect.domain") && why.contains(bad) && why.ends_with('.'), "{why}");
    }
    assert_eq!(refusal(&dir, |_| {}), None);
}

#[test]
fn a_configured_address_that_is_none_stops_the_start() {
    let dir = TempDir::new();
    for bad in ["nonsense", "https://a.example/x", "ftp://a.example"] {
        let why = refusal(&dir, |options| {
            options.site.public_origin = Some(bad.to_owned());
            options.site.protected_domain = None;
        });
        let why = why.unwrap_or_else(|| panic!("it started with {bad}"));
        assert!(why.contains("server.public_origin") && why.contains(bad), "{why}");
    }
    let why = refusal(&dir, |options| options.site.trusted_proxies.push("0.0.0.0/0".parse().unwrap()));
    assert!(why.unwrap().contains("server.trusted_proxies"));
}

#[test]
fn a_stored_setting_that_is_not_understood_stops_the_start_until_it_is_configured() {
    for (setting, bad, good) in [
        (Setting::ProtectedDomain, "co.uk", "home.example"),
        (Setting::PublicOrigin, "nonsense", "https://auth.home.example"),
    ] {
        let dir = Arc::new(TempDir::new());
        store(&dir, &[(setting, bad)]);
        let why = refusal(&dir, by_the_store).unwrap_or_else(|| panic!("it started with {bad}"));
        assert!(why.contains(setting.key()) && why.contains(bad), "{why}");
        let mended = refusal(&dir, |options| {
            by_the_store(options);
            match setting {
                Setting::PublicOrigin => options.site.public_origin = Some(good.to_owned()),
                _ => options.site.protected_domain = Some(good.to_owned()),
            }
        });
        assert_eq!(mended, None);
    }
}

/// WEB-11, SES-05: the address lies below the domain, whoever set which of them.
#[test]
fn an_address_outside_the_domain_stops_the_start() {
    let dir = Arc::new(TempDir::new());
    store(&dir, &[(Setting::PublicOrigin, "https://auth.home.example")]);
    let with_domain = |domain: &str| {
        let domain = domain.to_owned();
        refusal(&dir, move |options| {
            options.site.public_origin = None;
            options.site.protected_domain = Some(domain);
        })
    };
    let why = with_domain("other.example").expect("it started");
    assert!(why.contains("other.example") && why.contains("auth.home.example"), "{why}");
    assert_eq!(with_domain("home.example"), None);
}

/// FWD-01: a stored network that is none, or is everybody, is left out; the others are trusted.
#[test]
fn a_stored_proxy_that_is_not_understood_is_not_trusted() {
    let dir = Arc::new(TempDir::new());
    store(&dir, &[(Setting::TrustedProxies, "10.0.0.0/8, nonsense, 0.0.0.0/0, 192.0.2.7")]);
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    let server = Server::start_at(dir, clock, |options| options.site.trusted_proxies.clear());
    let trusted: Vec<_> =
        server.app().site.trusted_proxies().networks().iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "192.0.2.7/32"]);
}

/// The wizard and the configuration take the same domains.
#[test]
fn the_wizard_and_the_configuration_judge_a_domain_alike() {
    for domain in [
        "home.example",
        "Home.Example.",
        "my_home.example",
        "home.lan",
        "me.duckdns.org",
        "apps.example.co.uk",
        "com",
        "duckdns.org",
        "localhost",
        ".home.example",
        "*.home.example",
        "home.example:443",
        "192.168.1.5",
        "168.1.5",
        "home.0x7f",
        "::1",
        "a b.example",
        "home..example",
        "-a.example",
        "a-.example",
    ] {
        let host = format!("auth.{}", domain.trim_end_matches('.').to_lowercase());
        let by_wizard = validate_parent_domain(domain, &host).ok().map(|domain| domain.to_string());
        assert_eq!(parse_cookie_domain(domain).ok(), by_wizard, "{domain}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// KEY-01, KEY-02: systemd lets a service into a credential by an access control list, whose mask stands where the rights of
/// the group do (0440, in a directory of 0550). Such a file is a key; the same file named by a setting is open to a group.
#[test]
fn a_credential_of_systemd_may_be_the_key() {
    let mut installation = Installation::new();
    let place = installation.dir.0.join("credentials");
    let key = place.join("master-key");
    fs::create_dir(&place).unwrap();
    fs::rename(installation.data.join("master.key"), &key).unwrap();
    let modes = |of_place: u32, of_key: u32| {
        set_mode(&place, of_place);
        set_mode(&key, of_key);
    };
    modes(0o550, 0o440);
    installation.settings.push(format!("keys.master_key_file={}", key.display()));
    let refused = installation.refuse_to_serve();
    assert!(
        refused.err.contains("can be read by others") && refused.err.contains("chmod 600"),
        "{refused:?}"
    );
    installation.settings.pop();
    installation.environment.push(("CREDENTIALS_DIRECTORY".to_owned(), place.display().to_string()));
    let process = installation.serve();
    process.sign_in().expect(200);
    process.stop();
    let findings = installation.run(["doctor", "--json"]).out;
    let findings: Vec<serde_json::Value> = serde_json::from_str(&findings).unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == "key_file_mode").unwrap();
    assert_eq!(finding["severity"], "skipped", "{finding}");
    for (of_place, of_key) in [(0o550, 0o444), (0o550, 0o460), (0o550, 0o450), (0o555, 0o440), (0o570, 0o440)]
    {
        modes(of_place, of_key);
        let refused = installation.refuse_to_serve();
        let says = refused.err.contains("can be read by others") && !refused.err.contains("chmod");
        assert!(says, "{of_place:o} {of_key:o}: {refused:?}");
    }
    set_mode(&place, 0o700);
}
