//! Passkeys against a real server, with a software authenticator that lies where it can.

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::accounts::users::SecondFactorPolicy;
use doorward::audit::Filter;
use doorward::crypto::keys::MasterKey;
use doorward::crypto::sealed::Sealer;
use doorward::kernel::random::Random;
use doorward::kernel::time::{Clock, SharedClock};
use doorward::store::export::Leniency;
use doorward::store::{self, ImportOptions, OpenSettings, snapshots};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server, TempDir, in_parallel};
use crate::software_key::{PRESENT, SoftwareKey, VERIFIED, encode};

const MINE: &str = "/api/v1/users/me/passkeys";
const OPTIONS: &str = "/api/v1/users/me/passkeys/options";

fn password_step(server: &Server, name: &str) -> Value {
    let body = json!({"username": name, "password": PASSWORD});
    server.client().post("/api/v1/auth/login/api", body).expect(200).json()
}

fn bearer(server: &Server, answer: &Value) -> Client {
    server.client().with_bearer(answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")))
}

fn add(client: &mut Client, key: &mut SoftwareKey) -> Answer {
    let options = client.post(OPTIONS, json!({})).expect(200).json();
    let credential = key.create(&options);
    client.post(MINE, json!({"name": "My key", "credential": credential}))
}

/// Makes a user with a passkey; the client is the session that follows.
fn with_passkey(server: &Server, name: &str, flags: u8) -> (SoftwareKey, Client, Value) {
    server.add_user(name, Role::Member, &[]);
    let mut client = bearer(server, &password_step(server, name));
    let mut key = SoftwareKey::new();
    key.flags = flags;
    let added = add(&mut client, &mut key).expect(201).json();
    let client = bearer(server, &added);
    (key, client, added)
}

fn sign_in_options(server: &Server) -> Value {
    server.client().post("/api/v1/auth/passkey/options", json!({})).expect(200).json()
}

pub(crate) fn sign_in(server: &Server, key: &SoftwareKey) -> Answer {
    let credential = key.get(&sign_in_options(server));
    server.client().post("/api/v1/auth/passkey/api", json!({"credential": credential}))
}

pub(crate) fn events(server: &Server, kind: &str) -> usize {
    let app = server.app();
    server.block_on(app.audit.flush()).unwrap();
    let filter = Filter { kind_prefix: Some(kind.to_owned()), ..Filter::default() };
    app.audit.part(&filter, None, 200).unwrap().rows.len()
}

/// PK-03, PK-05: a passkey signs in without a name, as two factors; options tell nobody apart.
#[test]
fn a_passkey_is_a_whole_sign_in() {
    let server = Server::start();
    let (key, _, added) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    assert_eq!(added["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(key.handle.len(), 64);
    let options = sign_in_options(&server);
    assert_eq!((&options["userVerification"], &options["rpId"]), (&json!("required"), &json!("localhost")));
    assert_eq!(options["allowCredentials"], json!([]));
    let answer = sign_in(&server, &key).expect(200).json();
    assert_eq!(answer["user"]["username"], "ada");
    let mut client = bearer(&server, &answer);
    let sessions = client.get_json("/api/v1/sessions").expect(200).json();
    assert_eq!(sessions["sessions"][0]["factors"], json!(["hwk", "user", "mfa"]));
    let mine = client.get_json(MINE).expect(200).json();
    assert_eq!(
        (&mine["passkeys"][0]["name"], &mine["passkeys"][0]["user_verified"]),
        (&json!("My key"), &json!(true))
    );
    assert!(mine["passkeys"][0]["last_used"].is_string());
    // The browser gets cookies.
    let mut browser = server.client();
    let credential = key.get(&sign_in_options(&server));
    browser.post("/api/v1/auth/passkey/web", json!({"credential": credential})).expect(200);
    browser.get("/account/security").expect(200);
    assert_eq!(events(&server, "passkey.added"), 1);
}

/// PK-01, GEN-03: of a hundred parallel uses of one answer one succeeds, and none after it.
#[test]
fn an_answer_is_used_once() {
    let server = Server::start_with(crate::harness::lift_limits);
    let (key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let body = json!({"credential": key.get(&sign_in_options(&server))});
    let (client, again) = (server.client(), body.clone());
    let answers =
        in_parallel(100, move |_| client.clone().post("/api/v1/auth/passkey/api", body.clone()).status);
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 99, "{answers:?}");
    let late = server.client().post("/api/v1/auth/passkey/api", again);
    assert_eq!(late.expect(401).code(), "invalid_passkey");
}

/// RES-04: a sign-in by passkey costs next to nothing and writes to the disk, so nobody makes them by the thousand.
#[test]
fn nobody_fills_the_disk_with_sign_ins() {
    let server = Server::start();
    let (key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let (other, _, _) = with_passkey(&server, "bob", PRESENT | VERIFIED);
    let statuses: Vec<u16> = (0..61).map(|_| sign_in(&server, &key).status).collect();
    assert!(statuses[..60].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(statuses[60], 429);
    sign_in(&server, &other).expect(200);
    server.clock.advance(Duration::from_secs(301));
    sign_in(&server, &key).expect(200);
}

/// PK-01: five minutes, and no longer, also for one that was answered, and not after a restart either.
#[test]
fn a_challenge_dies_after_five_minutes() {
    let server = Server::start();
    let (key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let credential = |server: &Server| key.get(&sign_in_options(server));
    let late = credential(&server);
    server.clock.advance(Duration::from_secs(300));
    server.client().post("/api/v1/auth/passkey/api", json!({"credential": late})).expect(401);
    let used = credential(&server);
    server.client().post("/api/v1/auth/passkey/api", json!({"credential": used})).expect(200);
    let server = server.restart();
    server.client().post("/api/v1/auth/passkey/api", json!({"credential": used})).expect(401);
}

/// PK-02, PK-03, PK-04: whatever differs from what was asked is refused, and all of it alike.
#[test]
fn lies_are_refused() {
    let server = Server::start();
    let (mut key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let handle = key.handle.clone();
    type Lie = fn(&mut SoftwareKey);
    let lies: [(&str, Lie); 11] = [
        ("another site", |key| key.origin = "http://badlocalhost".to_owned()),
        ("another port", |key| key.origin = "http://localhost:81".to_owned()),
        ("another scheme", |key| key.origin = "https://localhost".to_owned()),
        ("another relying party", |key| key.rp_id = "home.localhost".to_owned()),
        ("nobody there", |key| key.flags = VERIFIED),
        ("touched only", |key| key.flags = PRESENT),
        ("backed up without being eligible", |key| key.flags = PRESENT | VERIFIED | 16),
        ("eligible all at once", |key| key.flags = PRESENT | VERIFIED | 8),
        ("in a frame", |key| key.more = r#","topOrigin":"http://evil.example""#.to_owned()),
        ("another user", |key| key.handle = vec![7; 64]),
        ("no user", |key| key.handle = Vec::new()),
    ];
    for (name, lie) in lies {
        lie(&mut key);
        let answer = sign_in(&server, &key);
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_passkey"), "{name}");
        key.origin = crate::harness::ORIGIN.to_owned();
        key.rp_id = "localhost".to_owned();
        key.flags = PRESENT | VERIFIED;
        key.more = String::new();
        key.handle = handle.clone();
    }
    let mut stranger = SoftwareKey::new();
    stranger.handle = handle;
    sign_in(&server, &stranger).expect(401);
    stranger.id = key.id.clone();
    sign_in(&server, &stranger).expect(401);
    assert_eq!(events(&server, "sign_in.failed"), 13);
    sign_in(&server, &key).expect(200);
}

/// PK-01: what one person was asked, another cannot answer; and no ceremony takes the answer of another.
#[test]
fn ceremonies_cannot_be_swapped() {
    let server = Server::start();
    let (ada, mut adas, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let (bob, mut bobs, _) = with_passkey(&server, "bob", PRESENT | VERIFIED);
    // Registration: the options of Ada, answered into the account of Bob.
    let options = adas.post(OPTIONS, json!({})).expect(200).json();
    let credential = SoftwareKey::new().create(&options);
    let swapped = bobs.post(MINE, json!({"name": "x", "credential": credential}));
    assert_eq!(swapped.expect(422).code(), "invalid_passkey");
    // Step-up: the challenge of Ada, answered by Bob and the other way round.
    let options = adas.post("/api/v1/auth/step-up/options", json!({})).expect(200).json();
    assert_eq!(options["allowCredentials"][0]["id"], encode(&ada.id));
    adas.post("/api/v1/auth/step-up", json!({"passkey": bob.get(&options)})).expect(401);
    bobs.post("/api/v1/auth/step-up", json!({"passkey": bob.get(&options)})).expect(401);
    bobs.post("/api/v1/auth/step-up", json!({"passkey": ada.get(&options)})).expect(401);
    // A step-up is no sign-in, a sign-in no step-up, a second factor neither.
    let answer = json!({"credential": ada.get(&options)});
    server.client().post("/api/v1/auth/passkey/api", answer).expect(401);
    let answer = json!({"passkey": ada.get(&sign_in_options(&server))});
    adas.post("/api/v1/auth/step-up", answer).expect(401);
    let (one, other) = (password_step(&server, "ada"), password_step(&server, "bob"));
    let finish = |pending: &Value, passkey: Value| {
        let body = json!({"pending_token": pending["pending_token"], "passkey": passkey});
        server.client().post("/api/v1/auth/mfa/api", body)
    };
    let (to_one, to_other) = (&one["passkey_options"], &other["passkey_options"]);
    assert_eq!(finish(&one, ada.get(to_other)).expect(401).code(), "invalid_passkey");
    finish(&other, bob.get(to_one)).expect(401);
    finish(&other, ada.get(to_other)).expect(401);
    finish(&one, ada.get(&sign_in_options(&server))).expect(401);
    let credential = json!({"credential": ada.get(to_one)});
    server.client().post("/api/v1/auth/passkey/api", credential).expect(401);
    // Each in its place works.
    adas.post("/api/v1/auth/step-up", json!({"passkey": ada.get(&options)})).expect(204);
    finish(&one, ada.get(to_one)).expect(200);
    finish(&other, bob.get(to_other)).expect(200);
}

/// PK-03: a key that was only touched is the factor beside the password, and no sign-in.
#[test]
fn a_touched_key_is_a_second_factor() {
    let server = Server::start();
    let (key, _, added) = with_passkey(&server, "ada", PRESENT);
    sign_in(&server, &key).expect(401);
    let pending = password_step(&server, "ada");
    assert_eq!(pending["methods"], json!(["passkey", "recovery_code"]));
    let body = |passkey: Value| json!({"pending_token": pending["pending_token"], "passkey": passkey});
    let passkey = key.get(&pending["passkey_options"]);
    let answer = server.client().post("/api/v1/auth/mfa/api", body(passkey)).expect(200).json();
    let mut client = bearer(&server, &answer);
    let sessions = client.get_json("/api/v1/sessions").expect(200).json();
    assert_eq!(sessions["sessions"][0]["factors"], json!(["pwd", "hwk", "mfa"]));
    // Beside it a step-up needs the password.
    let options = client.post("/api/v1/auth/step-up/options", json!({})).expect(200).json();
    client.post("/api/v1/auth/step-up", json!({"passkey": key.get(&options)})).expect(422);
    let both = json!({"passkey": key.get(&options), "password": PASSWORD});
    client.post("/api/v1/auth/step-up", both).expect(204);
    // The page says so in words, and is no dead end.
    let mut browser = server.client();
    leads_by_password(&mut browser);
    let credential = key.get(&offered(&browser.get("/signin/second-factor").expect(200)));
    browser.form("/signin/second-factor", &[("credential", &credential.to_string())]).expect(303);
    let page = browser.get("/step-up").expect(200);
    let (csrf, credential) = (page.input("csrf").unwrap(), key.get(&offered(&page)).to_string());
    let alone = browser.form("/step-up", &[("csrf", &csrf), ("credential", &credential)]).expect(422).text();
    assert!(alone.contains("id=\"problem\"") && alone.contains("id=\"step-up-form\""), "{alone}");
    // The codes that came with it open the account as well.
    let pending = password_step(&server, "ada");
    let code = &added["recovery_codes"][0];
    let body = json!({"pending_token": pending["pending_token"], "otp": code});
    server.client().post("/api/v1/auth/mfa/api", body).expect(200);
}

fn leads_by_password(browser: &mut Client) {
    let fields = [("username", "ada"), ("password", PASSWORD)];
    let answer = browser.form("/signin", &fields).expect(303);
    assert_eq!(answer.header("location"), Some("/signin/second-factor"));
}

/// Returns the options that a page offers to a passkey.
fn offered(page: &Answer) -> Value {
    let text = page.text();
    let options = text.split("data-options=\"").nth(1).unwrap().split('"').next().unwrap();
    serde_json::from_str(&options.replace("&#34;", "\"").replace("&#38;", "&")).unwrap()
}

/// A name that is none is told beside the passkeys, and nothing is lost.
#[test]
fn a_name_that_is_none_is_told_on_the_page() {
    let server = Server::start();
    let (_, mut client, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let handle = client.get_json(MINE).expect(200).json()["passkeys"][0]["id"].as_str().unwrap().to_owned();
    let id = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let session = server.web_session(id);
    let mut browser = server.client();
    browser.cookies.push(("dw".to_owned(), session.cookie));
    let fields = [("csrf", &*session.csrf), ("passkey", &*handle), ("name", "Fam\u{1F468}\u{200D}\u{1F469}")];
    let page = browser.form("/account/passkeys/rename", &fields).expect(422).text();
    assert!(page.contains("href=\"#passkeys\"") && page.contains("My key"), "{page}");
}

/// A page that renews its options now and then takes nothing from what programs of the same place may ask.
#[test]
fn options_of_open_pages_cost_a_place_nothing() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..150 {
        client.post("/api/v1/auth/passkey/options", json!({})).expect(200);
    }
    client.post("/api/v1/auth/refresh/api", json!({"refresh_token": "nonsense"})).expect(401);
}

/// PK-06: a counter that falls is a sign, written down, and no refusal.
#[test]
fn a_counter_that_falls_is_told() {
    let server = Server::start();
    let (mut key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    for (counter, told) in [(5, 0), (6, 0), (6, 1), (2, 2), (7, 2)] {
        key.counter = counter;
        sign_in(&server, &key).expect(200);
        assert_eq!(events(&server, "passkey.suspicious"), told, "{counter}");
    }
}

/// PK-04, OTP-08, PK-07: adding asks for a fresh proof, of the second factor too; no credential is known twice.
#[test]
fn adding_needs_a_fresh_proof_and_a_new_credential() {
    let server = Server::start();
    let (mut key, mut adas, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let (_, mut bobs, _) = with_passkey(&server, "bob", PRESENT | VERIFIED);
    assert_eq!(add(&mut bobs, &mut key).expect(409).code(), "passkey_known");
    assert_eq!(add(&mut adas, &mut key).expect(409).code(), "passkey_known");
    let options = adas.post(OPTIONS, json!({})).expect(200).json();
    let made = SoftwareKey::new().create(&options);
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(adas.post(OPTIONS, json!({})).expect(403).code(), "step_up_required");
    let body = json!({"name": "late", "credential": made});
    assert_eq!(adas.post(MINE, body).expect(403).code(), "step_up_required");
    assert_eq!(adas.post("/api/v1/auth/step-up", json!({"password": PASSWORD})).status, 401);
}

/// REF-07, decision 34: adding and removing end every other session, and the answer carries the new one.
#[test]
fn a_change_ends_every_other_session() {
    let server = Server::start();
    let (key, mut client, added) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let mut other = bearer(&server, &sign_in(&server, &key).expect(200).json());
    let mut second = SoftwareKey::new();
    server.clock.advance(Duration::from_secs(1));
    let answer = add(&mut client, &mut second).expect(201).json();
    assert!(answer.get("recovery_codes").is_none(), "there were some already");
    assert_eq!(other.get_json(MINE).expect(401).code(), "token_revoked");
    let mut client = bearer(&server, &answer);
    let path = format!("{MINE}/{}", added["id"].as_str().unwrap());
    client.json("PATCH", &path, &json!({"name": "Old phone"})).expect(204);
    client.json("PATCH", &path, &json!({"name": "\u{202e}"})).expect(422);
    let mine = client.get_json(MINE).expect(200).json();
    assert_eq!(mine["passkeys"][0]["name"], "Old phone");
    let answer = client.json("DELETE", &path, &json!({})).expect(200).json();
    client.get_json(MINE).expect(401);
    let mut client = bearer(&server, &answer);
    assert_eq!(client.get_json(MINE).expect(200).json()["passkeys"].as_array().unwrap().len(), 1);
    client.json("DELETE", &path, &json!({})).expect(404);
    sign_in(&server, &key).expect(401);
    sign_in(&server, &second).expect(200);
}

/// PK-08: what nothing else stands for stays; nobody touches the passkeys of others.
#[test]
fn the_last_credential_stays() {
    let server = Server::start_with(|options| options.second_factor = SecondFactorPolicy::Everyone);
    server.add_user("bob", Role::Member, &[]);
    let ada = server.add_user("ada", Role::Member, &[]);
    let (app, _) = server.enrol_totp(ada);
    let pending = password_step(&server, "ada");
    let body = json!({"pending_token": pending["pending_token"], "otp": app.code()});
    let answer = server.client().post("/api/v1/auth/mfa/api", body).expect(200).json();
    let mut key = SoftwareKey::new();
    let added = add(&mut bearer(&server, &answer), &mut key).expect(201).json();
    let mut client = bearer(&server, &added);
    // With a passkey the app may go, and then the passkey may not.
    let answer = client.json("DELETE", "/api/v1/users/me/totp", &json!({})).expect(200).json();
    let mut client = bearer(&server, &answer);
    let path = format!("{MINE}/{}", added["id"].as_str().unwrap());
    assert_eq!(client.json("DELETE", &path, &json!({})).expect(409).code(), "second_factor_required");
    assert_eq!(client.get_json("/api/v1/users/me").expect(200).json()["recovery_codes_left"], 10);
    // Without a password it is the last one.
    let mut batch = server.app().store().batch();
    batch.remove::<doorward::accounts::records::PasswordRecord>(ada.as_bytes());
    server.block_on(server.app().store().commit(batch)).unwrap();
    assert_eq!(client.json("DELETE", &path, &json!({})).expect(409).code(), "last_credential");
    // A reset takes all of it away.
    let reset = server.app().accounts.reset_second_factor(ada, |_| Ok(()), |_, _| {});
    server.block_on(reset).unwrap();
    sign_in(&server, &key).expect(401);
    let user = server.app().accounts.user(&ada).unwrap();
    assert!(!user.has_second_factor() && server.app().accounts.passkeys(ada).unwrap().is_empty());
}

/// GEN-02, LIM-04: disabled and suspended accounts are refused, whatever proves itself.
#[test]
fn disabled_and_suspended_accounts_are_refused() {
    let server = Server::start();
    let (key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    for _ in 0..5 {
        let wrong = json!({"username": "ada", "password": "wrong-wrong-wrong"});
        server.client().post("/api/v1/auth/login/api", wrong);
    }
    assert_eq!(sign_in(&server, &key).expect(429).code(), "suspended");
    server.clock.advance(Duration::from_secs(13 * 3600));
    let pending = password_step(&server, "ada");
    let accounts = &server.app().accounts;
    let ada = accounts.resolve("ada").unwrap().unwrap().id;
    let disable = |record: &mut doorward::accounts::records::UserRecord| {
        record.status = doorward::accounts::Status::Disabled;
        Ok(())
    };
    server.block_on(accounts.change(ada, disable, |_, _| {})).unwrap();
    assert_eq!(sign_in(&server, &key).expect(401).code(), "invalid_passkey");
    let passkey = key.get(&pending["passkey_options"]);
    let body = json!({"pending_token": pending["pending_token"], "passkey": passkey});
    server.client().post("/api/v1/auth/mfa/api", body).expect(401);
    // Whoever is deleted leaves nothing behind.
    server.block_on(accounts.delete(ada, |_, _| {})).unwrap();
    assert!(accounts.find_passkey(&key.id).unwrap().is_none());
    assert!(accounts.passkey_handle(ada).unwrap().is_none());
}

/// OTP-06, OTP-07: five refusals end a waiting sign-in.
#[test]
fn a_waiting_sign_in_ends_after_five_refusals() {
    let server = Server::start();
    let (mut key, _, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let pending = password_step(&server, "ada");
    key.flags = VERIFIED;
    let body =
        json!({"pending_token": pending["pending_token"], "passkey": key.get(&pending["passkey_options"])});
    let codes: Vec<String> = (0..6)
        .map(|_| server.client().post("/api/v1/auth/mfa/api", body.clone()).expect(401).code())
        .collect();
    assert_eq!(codes[..4], ["invalid_passkey"; 4]);
    assert_eq!(codes[4..], ["too_many_codes", "sign_in_expired"]);
}

/// At an address where browsers refuse passkeys nobody is offered one.
#[test]
fn without_a_name_there_are_no_passkeys() {
    let server = Server::start_with(|options| {
        options.site.public_origin = Some("http://127.0.0.1".to_owned());
        options.site.protected_domain = None;
    });
    let mut client = server.client().with_header("Host", "127.0.0.1");
    let answer = client.post("/api/v1/auth/passkey/options", json!({}));
    assert_eq!(answer.expect(409).code(), "passkeys_unavailable");
}

/// RES-03: an account has a bounded number of passkeys.
#[test]
fn at_most_twenty() {
    let server = Server::start();
    let (_, mut client, _) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    for _ in 1..20 {
        let answer = add(&mut client, &mut SoftwareKey::new()).expect(201).json();
        client = bearer(&server, &answer);
    }
    assert_eq!(add(&mut client, &mut SoftwareKey::new()).expect(409).code(), "too_many_passkeys");
}

/// Returns what a page gives the browser for a passkey.
pub(crate) fn options_of(page: &Answer) -> Value {
    let text = page.text();
    let rest = text.split("data-options=\"").nth(1).unwrap_or_else(|| panic!("no options: {text}"));
    let escaped = rest.split('"').next().unwrap();
    serde_json::from_str(&escaped.replace("&#34;", "\"").replace("&quot;", "\"")).unwrap()
}

/// The pages carry the answer of the browser as text: adding with recovery codes, signing in, the second factor, step-up,
/// naming, removing.
#[test]
fn the_pages_take_what_the_browser_answers() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = server.client();
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    let page = browser.get("/account/passkeys").expect(200);
    let mut key = SoftwareKey::new();
    let (csrf, made) = (page.input("csrf").unwrap(), key.create(&options_of(&page)).to_string());
    let nothing = [("csrf", csrf.as_str()), ("name", "Phone"), ("credential", "")];
    assert!(browser.form("/account/passkeys", &nothing).expect(422).text().contains("Please use the button"));
    let add = [("csrf", csrf.as_str()), ("name", "Phone"), ("credential", made.as_str())];
    let codes = browser.form("/account/passkeys", &add).expect(200).text();
    assert!(codes.contains("Keep these recovery codes"), "{codes}");
    // Without a name.
    let mut browser = server.client();
    let answer = key.get(&options_of(&browser.get("/signin").expect(200))).to_string();
    let fields = [("rd", "/account/security"), ("credential", answer.as_str())];
    let reply = browser.form("/signin/passkey", &fields).expect(303);
    assert!(reply.header("location").unwrap().ends_with("/account/security"), "{reply:?}");
    let again = server.client().form("/signin/passkey", &fields).expect(401).text();
    assert!(again.contains("That passkey was not accepted"), "{again}");
    server.client().form("/signin/passkey", &[("credential", "{}")]).expect(401);
    // Behind the password.
    let mut browser = server.client();
    let reply = browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    assert_eq!(reply.header("location"), Some("/signin/second-factor"));
    let page = browser.get("/signin/second-factor").expect(200);
    assert!(!page.text().contains("id=\"code\""), "there is no app");
    let wrong = browser.form("/signin/second-factor", &[("credential", "nonsense")]).expect(401);
    let answer = key.get(&options_of(&wrong)).to_string();
    browser.form("/signin/second-factor", &[("credential", &answer)]).expect(303);
    // Before a change.
    let page = browser.get("/step-up").expect(200);
    let csrf = page.input("csrf").unwrap();
    let answer = key.get(&options_of(&page)).to_string();
    browser.form("/step-up", &[("csrf", &csrf), ("credential", "nonsense")]).expect(401);
    let fields = [("csrf", csrf.as_str()), ("password", ""), ("code", ""), ("credential", answer.as_str())];
    browser.form("/step-up", &fields).expect(303);
    let page = browser.get("/account/security").expect(200);
    let (csrf, id) = (page.input("csrf").unwrap(), page.input("passkey").unwrap());
    let fields = [("csrf", csrf.as_str()), ("passkey", id.as_str()), ("name", "Blue <key>")];
    browser.form("/account/passkeys/rename", &fields).expect(303);
    assert!(browser.get("/account/security").expect(200).text().contains("Blue &#60;key&#62;"));
    browser.form("/account/passkeys/remove", &fields[..2]).expect(303);
    assert!(!browser.get("/account/security").expect(200).text().contains("Blue"));
}

/// OTP-11, ADM-01: administrators see and remove the passkeys of others with a fresh proof, and their owner is told.
#[test]
fn administrators_remove_passkeys_of_others() {
    let server = Server::start();
    let (key, mut adas, added) = with_passkey(&server, "ada", PRESENT | VERIFIED);
    let (boss_key, _, _) = {
        server.add_user("olga", Role::Admin, &[]);
        let mut client = bearer(&server, &password_step(&server, "olga"));
        let mut key = SoftwareKey::new();
        let added = add(&mut client, &mut key).expect(201).json();
        (key, client, added)
    };
    let mut olga = bearer(&server, &sign_in(&server, &boss_key).expect(200).json());
    let ada = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let path = format!("/api/v1/admin/users/{ada}/passkeys");
    let listed = olga.get_json(&path).expect(200).json();
    assert_eq!(listed["passkeys"][0]["id"], added["id"]);
    adas.get_json(&path).expect(403);
    let one = format!("{path}/{}", added["id"].as_str().unwrap());
    let (now, ten_minutes) = (olga.clone(), Duration::from_secs(601));
    server.clock.advance(ten_minutes);
    assert_eq!(now.clone().json("DELETE", &one, &json!({})).expect(403).code(), "step_up_required");
    let mut olga = bearer(&server, &sign_in(&server, &boss_key).expect(200).json());
    olga.json("DELETE", &one, &json!({})).expect(204);
    olga.json("DELETE", &one, &json!({})).expect(404);
    adas.get_json(MINE).expect(401);
    sign_in(&server, &key).expect(401);
    let told = password_step(&server, "ada");
    assert!(told["notice"].as_str().unwrap().contains("removed your passkey"), "{told}");
}

/// BAK-03, PK-05: an export and a snapshot hold passkeys whole. Brought into another place they sign in as before, while
/// sessions ended and answers that were given stay used.
#[test]
fn passkeys_come_along_in_exports_and_snapshots() {
    for is_snapshot in [false, true] {
        let server = Server::start();
        let (mut key, mut client, added) = with_passkey(&server, "ada", PRESENT | VERIFIED);
        key.counter = 7;
        let used = json!({"credential": key.get(&sign_in_options(&server))});
        server.client().post("/api/v1/auth/passkey/api", used.clone()).expect(200);
        let file = server.dir.0.join("moved");
        let (store, now) = (server.app().store().clone(), server.clock.now());
        let file = if is_snapshot {
            snapshots::take(&store, &server.dir.0, snapshots::Reason::Asked, now).unwrap()
        } else {
            snapshots::export_file(&store, &file, now).unwrap();
            file
        };
        let place = Arc::new(TempDir::new());
        let mut settings = OpenSettings::new(&place.0);
        settings.free_space_floor = Some(0);
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([42; 32])));
        let clock: SharedClock = server.clock.clone();
        let options = ImportOptions { replace: false, leniency: Leniency::default() };
        let report = store::import(&settings, &file, options, &sealer, &Random::os(), &clock).unwrap();
        assert_eq!((report.damaged, report.unknown), (0, 0));
        let clock = server.clock.clone();
        drop((store, server));
        clock.advance(Duration::from_secs(1));
        let moved = Server::start_at(place, clock, |_| {});
        moved.client().post("/api/v1/auth/passkey/api", used).expect(401);
        client.address = moved.address;
        client.get_json(MINE).expect(401);
        // A copy from before the move is told: what was counted came along.
        key.counter = 3;
        sign_in(&moved, &key).expect(200);
        assert_eq!(events(&moved, "passkey.suspicious"), 1);
        key.counter = 8;
        let mut client = bearer(&moved, &sign_in(&moved, &key).expect(200).json());
        let mine = client.get_json(MINE).expect(200).json();
        assert_eq!(mine["passkeys"][0]["id"], added["id"]);
        assert_eq!(mine["passkeys"][0]["name"], "My key");
        // One authenticator holds one passkey for the account: the new place asks it by the same handle.
        let options = client.post(OPTIONS, json!({})).expect(200).json();
        assert_eq!(options["user"]["id"], encode(&key.handle));
        assert_eq!(options["excludeCredentials"][0]["id"], encode(&key.id));
    }
}
