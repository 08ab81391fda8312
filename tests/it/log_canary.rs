//! Secrets that walk through every flow, and a search for them afterwards: in the log at its finest level, and in the
//! clear on disk (AUD-04, TOK-13, OTP-01).

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use doorward::accounts::links::RESET_LIFETIME;
use doorward::accounts::records::{LinkPurpose, Role};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span;

use crate::harness::{Authenticator, Client, ORIGIN, Server};

static LOG: Mutex<String> = Mutex::new(String::new());

/// Writes every event and every span of every crate down, at every level.
struct Everything;

struct Writer<'a>(&'a mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Writer(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner)));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(log, "\n{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut Writer(&mut log));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

const RIGHT: &str = "canary-password-of-ada-right";
const WRONG: &str = "canary-password-of-ada-wrong";
const CHANGED: &str = "canary-password-of-ada-changed";

/// Everything secret that came by.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        assert!(value.len() >= 16, "{what} is too short to look for: {value:?}");
        self.0.push((what, value.clone()));
        value
    }

    fn add_cookies(&mut self, client: &Client) {
        for (name, value) in client.cookies.iter().filter(|(_, value)| value.len() >= 16) {
            println!("cookie {name}");
            self.add("a cookie", value.clone());
        }
    }
}

fn text(document: &serde_json::Value, name: &str) -> String {
    document[name].as_str().unwrap_or_else(|| panic!("{name} in {document}")).to_owned()
}

fn program(server: &Server, secrets: &mut Secrets) {
    let mut client = server.client();
    let login = |password: &str| json!({"username": "ada", "password": password});
    client.post("/api/v1/auth/login/api", login(WRONG)).expect(401);
    client.post("/api/v1/auth/login/api", json!({"username": RIGHT, "password": RIGHT})).expect(401);
    let tokens = client.post("/api/v1/auth/login/api", login(RIGHT)).expect(200).json();
    let access = secrets.add("an access token", text(&tokens, "access_token"));
    let refresh = secrets.add("a refresh token", text(&tokens, "refresh_token"));
    let begun = server.client().with_bearer(&access).post("/api/v1/users/me/totp", json!({})).json();
    let secret = secrets.add("a TOTP secret", text(&begun, "secret"));
    let authenticator = Authenticator::new(&secret, server.clock.clone());
    let body = json!({"code": "000000"});
    server.client().with_bearer(&access).post("/api/v1/users/me/totp/confirm", body);
    for field in ["code", "otp"] {
        let body = json!({ field: authenticator.code() });
        let confirmed = server.client().with_bearer(&access).post("/api/v1/users/me/totp/confirm", body);
        for code in confirmed.json()["recovery_codes"].as_array().into_iter().flatten() {
            secrets.add("a recovery code", code.as_str().unwrap());
        }
    }
    assert!(secrets.0.iter().filter(|(what, _)| *what == "a recovery code").count() == 10);
    server.clock.advance(Duration::from_secs(30));
    let pending = client.post("/api/v1/auth/login/api", login(RIGHT)).expect(200).json();
    let token = secrets.add("a pending token", text(&pending, "pending_token"));
    let mfa = |code: &str| json!({"pending_token": token, "otp": code});
    client.post("/api/v1/auth/mfa/api", mfa("canary-code-that-is-wrong")).expect(401);
    let recovery = secrets.0.iter().find(|(what, _)| *what == "a recovery code").unwrap().1.clone();
    let tokens = client.post("/api/v1/auth/mfa/api", mfa(&recovery)).expect(200).json();
    secrets.add("an access token", text(&tokens, "access_token"));
    secrets.add("a refresh token", text(&tokens, "refresh_token"));
    let body = json!({"refresh_token": refresh});
    if let Some(next) = client.post("/api/v1/auth/refresh/api", body.clone()).json()["refresh_token"].as_str()
    {
        secrets.add("a refresh token", next);
    }
    server.clock.advance(Duration::from_secs(60));
    client.post("/api/v1/auth/refresh/api", body).expect(401);
    client.post("/api/v1/auth/validate", json!({"token": access})).expect(200);
    client.post("/api/v1/auth/validate", json!({"token": "canary-token-that-is-none"})).expect(200);
    server.client().with_bearer("canary-token-that-is-none").get_json("/api/v1/users/me").expect(401);
    server
        .client()
        .with_header("Authorization", "Basic canary-basic-credentials")
        .get_json("/api/v1/users/me");
}

fn browser(server: &Server, secrets: &mut Secrets) {
    let mut client = server.client();
    client.form("/signin", &[("username", "bob"), ("password", WRONG)]).expect(401);
    client.form("/signin", &[("username", "bob"), ("password", RIGHT)]).expect(303);
    secrets.add_cookies(&client);
    let page = client.get("/step-up").expect(200);
    let csrf = secrets.add("a CSRF token", page.input("csrf").unwrap());
    client.form("/step-up", &[("csrf", &csrf), ("password", WRONG)]).expect(401);
    client.form("/step-up", &[("csrf", "canary-csrf-that-is-wrong"), ("password", RIGHT)]).expect(403);
    client.form("/step-up", &[("csrf", &csrf), ("password", RIGHT)]).expect(303);
    secrets.add_cookies(&client);
    // Bodies that cannot be read, and values where they do not belong.
    let json = [("Content-Type", "application/json"), ("Origin", ORIGIN)];
    for body in [
        format!(r#"{{"username":"bob","password":"{RIGHT}","password":"{WRONG}"}}"#),
        format!(r#"{{"username":"bob","{RIGHT}":1}}"#),
        format!(r#"{{"username":"bob","password":["{RIGHT}"]}}"#),
        format!(r#"{{"username":"bob","password":"{RIGHT}"#),
    ] {
        for path in ["/api/v1/auth/login/api", "/api/v1/auth/login/web", "/api/v1/users"] {
            let status = client.send("POST", path, &json, body.as_bytes()).status;
            assert!((400..500).contains(&status), "{path} {status}");
        }
    }
    client.get(&format!("/signin?password={RIGHT}&rd=canary-query-value-here"));
    let csrf = client.get("/step-up").expect(200).input("csrf").unwrap();
    client.form("/signout", &[("csrf", &csrf)]).expect(200);
    client.cookies.push(("dw".to_owned(), "canary-cookie-that-is-none".to_owned()));
    client.get("/account");
}

fn links(server: &Server, secrets: &mut Secrets) {
    let ada = server.app().accounts.resolve("ada").unwrap().unwrap().id;
    let link = server.app().accounts.make_link(LinkPurpose::ResetPassword(ada), RESET_LIFETIME, |_| {});
    let link = secrets.add("a link", server.block_on(link).unwrap());
    let path = format!("/link/{link}");
    let mut client = server.client();
    client.get(&path).expect(200);
    client.form(&path, &[("password", "short")]).expect(422);
    // Refused before the handler, by origin, type and size, and in a method that is none.
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    client.send("POST", &path, &[form, ("Origin", "https://evil.example")], b"").expect(403);
    client.send("POST", &path, &[("Origin", ORIGIN)], b"x").expect(415);
    client.send("POST", &path, &[form, ("Origin", ORIGIN)], &[b'x'; 20_000]).expect(413);
    client.send("PUT", &path, &[], b"").expect(405);
    server.client().with_header("Host", "evil.example").get(&path).expect(421);
    client.form(&path, &[("password", CHANGED)]).expect(200);
    client.form(&path, &[("password", CHANGED)]).expect(410);
}

/// Returns every byte on disk below the data directory.
fn disk(folder: &std::path::Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            disk(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.extend(bytes);
        }
    }
}

/// AUD-04: no password, code, token, cookie, seed or link in the log; TOK-13, OTP-01: nor in the clear on disk.
#[test]
fn no_secret_is_written_down() {
    // Under a runner with one process for all tests the log of the others is searched along with ours.
    let _ = tracing::subscriber::set_global_default(Everything);
    let server = Server::start();
    server.add_user_with("ada", Role::Member, &[], RIGHT);
    server.add_user_with("bob", Role::Admin, &[], RIGHT);
    let mut secrets = Secrets::default();
    for canary in [RIGHT, WRONG, CHANGED] {
        secrets.add("a password", canary);
    }
    for canary in [
        "canary-code-that-is-wrong",
        "canary-token-that-is-none",
        "canary-basic-credentials",
        "canary-csrf-that-is-wrong",
        "canary-query-value-here",
        "canary-cookie-that-is-none",
    ] {
        secrets.add("something sent", canary);
    }
    program(&server, &mut secrets);
    browser(&server, &mut secrets);
    links(&server, &mut secrets);
    server.block_on(server.app().audit.flush()).unwrap();
    let folder = server.dir.clone();
    let totp = secrets.0.iter().find(|(what, _)| *what == "a TOTP secret").unwrap().1.replace(' ', "");
    drop(server);
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.contains("request refused") && log.lines().count() > 20, "the log is seen: {log}");
    for (what, value) in &secrets.0 {
        let line = log.lines().find(|line| line.contains(value.as_str()));
        assert!(line.is_none(), "{what} is in the log: {line:?}");
    }
    let mut bytes = Vec::new();
    disk(&folder.0, &mut bytes);
    let raw = data_encoding::BASE32_NOPAD.decode(totp.as_bytes()).unwrap();
    let texts = secrets.0.iter().map(|(what, value)| (*what, value.clone().into_bytes()));
    for (what, value) in texts.chain([("a TOTP secret in binary", raw)]) {
        assert!(!bytes.windows(value.len()).any(|window| window == value), "{what} is on disk in the clear");
    }
}
