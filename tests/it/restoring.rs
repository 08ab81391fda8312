//! Restoring a backup in the setup: over HTTP with everything that somebody could send, and with the real program, which
//! starts again by itself.

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::Role;
use doorward::app::Options;
use doorward::kernel::time::{Clock, SystemClock, TestClock, Timestamp};
use doorward::setup::claim;
use doorward::setup::restore::LARGEST_UPLOAD;
use doorward::store::meta::SCHEMA_VERSION;
use doorward::store::snapshots;

use crate::harness::{Answer, Client, PATIENCE, Server, TempDir, exchange};
use crate::trouble::program::Installation;

const BOUNDARY: &str = "----doorward-test";

fn start(change: impl FnOnce(&mut Options)) -> Server {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    Server::start_unclaimed(Arc::new(TempDir::new()), clock, |options| {
        options.site.public_origin = None;
        options.site.protected_domain = None;
        options.site.trusted_proxies.clear();
        change(options);
    })
}

/// Returns a backup of an installation with an owner, under the master key that all servers of the tests have.
fn backup() -> Vec<u8> {
    let server = Server::start();
    server.add_user("ada", Role::Owner, &[]);
    let mut bytes = Vec::new();
    snapshots::export_to(server.app().store(), &mut bytes, server.clock.now()).unwrap();
    bytes
}

fn claimed(server: &Server) -> Client {
    let token = claim::read(&server.dir.0).unwrap().unwrap().expose().to_owned();
    let mut client = server.client();
    client.form("/setup", &[("token", &token)]).expect(303);
    client
}

fn body(csrf: &str, backup: &[u8], key: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in [("csrf", csrf.as_bytes()), ("backup", backup), ("key", key.as_bytes())] {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn upload(client: &mut Client, csrf: &str, backup: &[u8], key: &str) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("Content-Type", kind.as_str()), ("Origin", "http://localhost"), ("Accept", "text/html")];
    client.send("POST", "/setup/restore", &headers, &body(csrf, backup, key))
}

/// Opens the page and sends its form.
fn restore(client: &mut Client, backup: &[u8], key: &str) -> Answer {
    let csrf = client.get("/setup/welcome").expect(200).input("csrf").unwrap();
    upload(client, &csrf, backup, key)
}

fn is_staged(server: &Server) -> bool {
    server.dir.0.join("restore").exists()
}

/// SET-01, SET-03: only a browser that gave the setup code may send a backup, and only by the form of its own page.
#[test]
fn nobody_restores_who_did_not_claim() {
    let (server, backup) = (start(|_| {}), backup());
    upload(&mut server.client(), "", &backup, "").expect(403);
    let mut guess = server.client();
    guess.cookies.push(("dw_setup".to_owned(), "guess".to_owned()));
    upload(&mut guess, "", &backup, "").expect(403);
    let mut client = claimed(&server);
    upload(&mut client, "", &backup, "").expect(403);
    upload(&mut client, "x", &backup, "").expect(403);
    let csrf = claimed(&server).get("/setup/welcome").expect(200).input("csrf").unwrap();
    upload(&mut client, &csrf, &backup, "").expect(403);
    let csrf = client.get("/setup/welcome").expect(200).input("csrf").unwrap();
    for (name, value) in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        let mut foreign = server.client().with_header(name, value);
        foreign.cookies = client.cookies.clone();
        upload(&mut foreign, &csrf, &backup, "").expect(403);
    }
    assert!(!is_staged(&server));
}

/// RES-03: a body that may not be sent is not read, and none is read beyond the limit.
#[test]
fn a_body_is_read_only_from_who_may_send_one() {
    let server = start(|_| {});
    let head = |cookie: &str, length: usize| {
        format!(
            "POST /setup/restore HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n{cookie}Content-Type: multipart/form-data; \
             boundary=x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    // Nothing of the body is sent, and the answer comes all the same.
    exchange(server.address, head("", LARGEST_UPLOAD).as_bytes()).expect(403);
    let client = claimed(&server);
    let cookie = format!("Cookie: dw_setup={}\r\n", client.cookie("dw_setup").unwrap());
    exchange(server.address, head(&cookie, LARGEST_UPLOAD + 1).as_bytes()).expect(413);
}

/// BAK-02: what is no backup, is damaged, cut off, changed or of another key is refused with a sentence, and nothing is
/// kept of it.
#[test]
fn foreign_and_damaged_backups_are_refused() {
    let (server, backup) = (start(|_| {}), backup());
    let mut client = claimed(&server);
    let text = String::from_utf8(backup.clone()).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let without_end = text.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    let (before, mac) = text.rsplit_once("\"mac\":\"").unwrap();
    let other_digit = if mac.starts_with('0') { '1' } else { '0' };
    let changed = format!("{before}\"mac\":\"{other_digit}{}", &mac[1..]);
    let mut flipped = backup.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (what, bytes, says) in [
        ("nothing", &b""[..], "Choose the file"),
        ("rubbish", b"GIF89a", "not a backup of Doorward"),
        ("another format", b"{\"format\":\"other\"}\n", "not a backup of Doorward"),
        ("no end", without_end.as_bytes(), "cut off"),
        ("half a line", &backup[..backup.len() - 40], "damaged"),
        ("a flipped bit", &flipped, "damaged"),
        (
            "an unsigned one",
            (first.replace("\"version\":2", "\"version\":1") + "\n").as_bytes(),
            "before backups were signed",
        ),
        (
            "a newer one",
            (first.replace(&format!("\"schema\":{SCHEMA_VERSION}"), "\"schema\":9") + "\n" + rest).as_bytes(),
            "newer",
        ),
        ("another signature", changed.as_bytes(), "somebody has changed it"),
    ] {
        let answer = restore(&mut client, bytes, "").expect(422);
        assert!(answer.text().contains(says), "{what}: {}", answer.text());
        assert!(!is_staged(&server), "{what}");
    }
    let other_key = first.replace(server.app().store().key_fingerprint(), "00000000");
    let other = other_key + "\n" + rest;
    assert!(restore(&mut client, other.as_bytes(), "").expect(422).text().contains("another master key"));
    assert!(restore(&mut client, other.as_bytes(), "nonsense").expect(422).text().contains("no key file"));
    let wrong = format!("{}\n", "ab".repeat(32));
    assert!(restore(&mut client, other.as_bytes(), &wrong).expect(422).text().contains("does not belong"));
    assert!(!is_staged(&server));
    let foreign = start(|options| options.key_file.is_own = false);
    let mut client = claimed(&foreign);
    let answer = restore(&mut client, other.as_bytes(), &wrong).expect(422);
    assert!(answer.text().contains("Put the right key there"), "{}", answer.text());
}

/// A backup in which nobody has an account would leave the setup open for whoever comes next.
#[test]
fn a_backup_without_accounts_is_refused() {
    let empty = start(|_| {});
    let mut bytes = Vec::new();
    snapshots::export_to(empty.app().store(), &mut bytes, empty.clock.now()).unwrap();
    let answer = restore(&mut claimed(&empty), &bytes, "").expect(422);
    assert!(answer.text().contains("no account"), "{}", answer.text());
}

/// SET-02: once there is an owner, nothing takes the place of the store.
#[test]
fn nobody_restores_once_there_is_an_owner() {
    let (server, backup) = (start(|_| {}), backup());
    let mut client = claimed(&server);
    let csrf = client.get("/setup/welcome").expect(200).input("csrf").unwrap();
    server.add_user("eve", Role::Owner, &[]);
    server.block_on(server.app().setup.close_without_owner()).unwrap();
    upload(&mut client, &csrf, &backup, "").expect(404);
    assert!(!is_staged(&server));
}

/// A sound backup is laid beside the store, and Doorward is asked to start again.
#[test]
fn a_sound_backup_waits_for_the_next_start() {
    let (server, backup) = (start(|_| {}), backup());
    let mut client = claimed(&server);
    let answer = restore(&mut client, &backup, "").expect(202);
    assert!(answer.text().contains("being restored") && answer.header("refresh").is_some());
    assert!(is_staged(&server));
    let wanted = server.app().setup.restart_wanted();
    server.block_on(async { tokio::time::timeout(PATIENCE, wanted).await.unwrap() });
}

/// The whole way with the real program: the other installation's key comes along, the server starts again by itself, its
/// people sign in as before, and the setup is over, also after the next start.
#[test]
fn a_backup_takes_the_place_of_an_empty_doorward() {
    let old = Installation::new();
    let file = old.dir.0.join("backup");
    old.run(["store", "export", file.to_str().unwrap()]).succeed();
    let backup = std::fs::read(&file).unwrap();
    let key = std::fs::read_to_string(old.data.join("master.key")).unwrap();

    let dir = TempDir::new();
    let data = dir.0.join("data");
    let new = Installation::bare(dir, data);
    let mut server = new.serve();
    let token = claim::read(&new.data).unwrap().unwrap().expose().to_owned();
    let mut client = server.client();
    client.form("/setup", &[("token", &token)]).expect(303);
    assert!(restore(&mut client, &backup, "").expect(422).text().contains("another master key"));
    restore(&mut client, &backup, &key).expect(202);
    let begun = SystemClock::shared();
    while !server.find_again() {
        assert!(begun.monotonic() < Duration::from_secs(60), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(server.log().contains("is in place") && !new.data.join("restore").exists(), "{}", server.log());
    assert_eq!(std::fs::read_to_string(new.data.join("master.key")).unwrap(), key);
    let is_over = |server: &crate::trouble::program::Process| {
        server.client().get("/setup").expect(404);
        server.sign_in().expect(200);
    };
    is_over(&server);
    assert!(!claim::path(&new.data).exists());
    server.stop();
    let server = new.serve();
    is_over(&server);
    server.stop();
}
