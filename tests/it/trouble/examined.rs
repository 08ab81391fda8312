//! `doorward doctor` sees what the wizard or the command line set, with a server and without.

use std::fs;

use serde_json::Value;

use super::damage::of_nobody;
use super::program::Installation;
use crate::harness::TempDir;

fn findings(installation: &Installation) -> Vec<Value> {
    let outcome = installation.run(["doctor", "--json"]);
    serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{outcome:?}"))
}

fn finding(findings: &[Value], code: &str) -> (String, String) {
    let found = findings.iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {findings:?}"));
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (text("severity"), text("sentence"))
}

/// An installation whose address and domain are in the store alone.
fn named() -> Installation {
    let dir = TempDir::new();
    let data = dir.0.join("data");
    let installation = Installation::bare(dir, data);
    let settings =
        ["--owner", "ada", "--origin", "https://auth.home.example", "--protect-domain", "home.example"];
    let mut arguments = vec!["setup", "--non-interactive", "--password-stdin"];
    arguments.extend(settings);
    installation.run_with_password(arguments).succeed();
    installation
}

#[test]
fn the_doctor_sees_what_was_set_in_the_store() {
    let installation = named();
    for is_running in [false, true] {
        let process = is_running.then(|| installation.serve());
        let findings = findings(&installation);
        let (severity, sentence) = finding(&findings, "public_origin");
        assert_eq!((severity.as_str(), is_running), ("ok", is_running), "{sentence}");
        assert!(sentence.contains("https://auth.home.example"), "{sentence}");
        // The domain is protected, and no proxy is trusted: only the store knows that.
        let (severity, sentence) = finding(&findings, "trusted_proxies");
        assert!(severity == "fix" && sentence.contains("home.example"), "{severity}: {sentence}");
        if let Some(process) = process {
            let (_, sentence) = finding(&findings, "store_opens");
            assert!(sentence.contains(&process.id().to_string()), "{sentence}");
            process.stop();
        }
    }
}

#[test]
fn the_doctor_sees_the_progress_of_the_store() {
    let installation = named();
    let file = installation.data.join("progress");
    let (severity, sentence) = finding(&findings(&installation), "progress");
    assert_eq!(severity, "ok", "{sentence}");
    for broken in [None, Some("not a number\n")] {
        match broken {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => fs::write(&file, text).unwrap(),
        }
        let (severity, sentence) = finding(&findings(&installation), "progress");
        assert!(severity == "fix" && sentence.contains("progress"), "{severity}: {sentence}");
        // Opening the store wrote it down again.
        assert_eq!(finding(&findings(&installation), "progress").0, "ok");
    }
    // A store that is behind is refused, and the doctor says so.
    fs::write(&file, "1000000\n").unwrap();
    let (severity, sentence) = finding(&findings(&installation), "store_opens");
    assert!(severity == "fix" && sentence.contains("newest records"), "{severity}: {sentence}");
    let (severity, sentence) = finding(&findings(&installation), "progress");
    assert!(severity == "skipped" && sentence.contains("1000000"), "{severity}: {sentence}");
}

/// FAIL-05: a stored setting that keeps the server from starting is named, with the line that lets it start.
#[test]
fn the_doctor_names_the_setting_that_is_refused() {
    let mut installation = named();
    installation.settings.push("protect.domain=other.example".to_owned());
    let refused = installation.refuse_to_serve();
    assert!(refused.err.contains("auth.home.example"), "{refused:?}");
    let (severity, sentence) = finding(&findings(&installation), "settings");
    assert!(severity == "fix" && sentence.contains("other.example"), "{severity}: {sentence}");
}

/// The service has a user of its own, and root asks: that the data are the service's is right.
#[test]
fn the_doctor_of_root_does_not_want_the_data_for_itself() {
    let Some(mut installation) = of_nobody() else { return };
    for is_running in [false, true] {
        let process = is_running.then(|| installation.serve());
        let uid = installation.uid.take();
        let (severity, sentence) = finding(&findings(&installation), "data_dir_mode");
        assert_eq!(severity, "ok", "{sentence}");
        installation.uid = uid;
        if let Some(process) = process {
            process.stop();
        }
    }
    // Data that the running server does not own are told of.
    let process = installation.serve();
    installation.uid = None;
    std::os::unix::fs::chown(&installation.data, Some(0), Some(0)).unwrap();
    let (severity, sentence) = finding(&findings(&installation), "data_dir_mode");
    assert!(severity == "fix" && sentence.contains("65534"), "{severity}: {sentence}");
    std::os::unix::fs::chown(&installation.data, Some(65_534), Some(65_534)).unwrap();
    process.stop();
}
