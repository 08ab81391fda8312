//! Every way to tokens against every reason to refuse (GEN-01, GEN-02, OA-04, OA-15, REF-01, REF-07).
//!
//! A [`Path`] brings a person and an app to the very moment before something is issued. A [`Reason`] spoils it. The test
//! tries every pair: at once, and after a restart of the server. To add a reason, add a line to [`REASONS`]; where it
//! means nothing, add the pair to [`MEANS_NOTHING`].

use std::time::Duration;

use doorward::accounts::users::SecondFactorPolicy;
use doorward::kernel::time::Clock;
use doorward::sessions::Factors;

use super::steps::*;
use super::*;
use crate::harness::in_parallel;

const API: &str = "https://api.example.org";
const OTHER_API: &str = "https://other.example.org";
const SCOPE: &str = "openid email offline_access";

/// A person, an app, and what they are about to do.
struct Ready {
    number: usize,
    app: App,
    person: Person,
    /// Tokens that the app was given before, in the same signed-in stay.
    earlier: Option<Value>,
    /// The fields of the request that issues something.
    fields: Vec<(String, String)>,
    /// App and fields as they were before anything was spoilt.
    sound: Option<(App, Vec<(String, String)>)>,
    path: &'static Path,
}

impl Ready {
    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.fields.retain(|(own, _)| own != name);
    }

    fn elsewhere(&self, provider: &Provider) -> Client {
        provider.server.web_session_with(self.person.id, Factors::PASSWORD).client(&provider.server)
    }
}

/// A way on which something is issued.
struct Path {
    name: &'static str,
    /// Does everything but the last step.
    bring: fn(&Provider, &mut Ready),
    /// Whether the last step is the person's browser at the authorization endpoint, rather than the app at the token
    /// endpoint.
    is_visit: bool,
    /// How long the moment lasts.
    lifetime: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

const PATHS: &[Path] = &[
    Path {
        name: "authorization request",
        bring: bring_request,
        is_visit: true,
        lifetime: MINUTE.saturating_mul(30),
    },
    Path { name: "pushed request", bring: bring_pushed, is_visit: true, lifetime: MINUTE },
    Path { name: "code", bring: bring_code, is_visit: false, lifetime: MINUTE },
    Path { name: "code of a pushed request", bring: bring_pushed_code, is_visit: false, lifetime: MINUTE },
    Path {
        name: "refresh token",
        bring: bring_refresh,
        is_visit: false,
        lifetime: MINUTE.saturating_mul(7 * 24 * 60),
    },
    Path { name: "device code", bring: bring_device, is_visit: false, lifetime: MINUTE.saturating_mul(10) },
    Path {
        name: "client credentials",
        bring: |_, ready| ready.set("grant_type", "client_credentials"),
        is_visit: false,
        lifetime: MINUTE,
    },
];

const EXTRA: [(&str, &str); 3] = [("scope", SCOPE), ("resource", API), ("code_challenge_method", "S256")];

fn request_fields(provider: &Provider, ready: &Ready) -> Vec<(String, String)> {
    let challenge = challenge(VERIFIER);
    let extra = [EXTRA.as_slice(), &[("code_challenge", &challenge)]].concat();
    let path = provider.authorize_path(&ready.app, &extra);
    Redirect::of(&path).params.into_iter().collect()
}

fn to_query(fields: &[(String, String)]) -> String {
    let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    query(&pairs)
}

fn bring_request(provider: &Provider, ready: &mut Ready) {
    ready.fields = request_fields(provider, ready);
    // The person agrees once, so that the next visit is answered at once.
    agree(&mut ready.person.browser, &format!("/oauth2/authorize?{}", to_query(&ready.fields))).code();
}

fn bring_pushed(provider: &Provider, ready: &mut Ready) {
    bring_request(provider, ready);
    let challenge = challenge(VERIFIER);
    let extra = [EXTRA.as_slice(), &[("code_challenge", &challenge)]].concat();
    let uri = provider.push(&ready.app, &extra);
    ready.fields = vec![("client_id".to_owned(), ready.app.id.clone()), ("request_uri".to_owned(), uri)];
}

fn bring_code(provider: &Provider, ready: &mut Ready) {
    bring_request(provider, ready);
    take_code(ready);
}

fn bring_pushed_code(provider: &Provider, ready: &mut Ready) {
    bring_pushed(provider, ready);
    take_code(ready);
}

fn take_code(ready: &mut Ready) {
    let path = format!("/oauth2/authorize?{}", to_query(&ready.fields));
    let code = agree(&mut ready.person.browser, &path).code();
    ready.fields.clear();
    ready.set("grant_type", "authorization_code");
    ready.set("code", &code);
    ready.set("redirect_uri", CALLBACK);
    ready.set("code_verifier", VERIFIER);
}

fn bring_refresh(provider: &Provider, ready: &mut Ready) {
    bring_code(provider, ready);
    let tokens = ask(provider, ready).expect(200).json();
    ready.fields.clear();
    ready.set("grant_type", "refresh_token");
    ready.set("refresh_token", text(&tokens, "refresh_token"));
}

fn bring_device(provider: &Provider, ready: &mut Ready) {
    let device = provider.device(&ready.app, &[("scope", SCOPE), ("resource", API)]);
    decide_device(&mut ready.person.browser, &device, "allow").expect(200);
    ready.set("grant_type", DEVICE);
    ready.set("device_code", text(&device, "device_code"));
}

/// Why something is refused.
struct Reason {
    name: &'static str,
    spoil: fn(&Provider, &mut Ready),
    effect: Effect,
}

/// What else a reason does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing: it is a mistake of this one request, or of a stranger. The right request is still answered.
    Harmless,
    /// The tokens that the app was given before live on.
    TokensLive,
    /// They die too (GEN-02).
    TokensDie,
    /// Their time may be up anyway.
    Whatever,
}

use Effect::{Harmless, TokensDie, TokensLive, Whatever};

const fn reason(name: &'static str, effect: Effect, spoil: fn(&Provider, &mut Ready)) -> Reason {
    Reason { name, spoil, effect }
}

const REASONS: &[Reason] = &[
    // -- the request is not that of the app it was meant for
    reason("wrong client", Harmless, |provider, ready| {
        ready.app = add_app(provider, &format!("other-{}", ready.number));
        if ready.path.is_visit {
            let id = ready.app.id.clone();
            ready.set("client_id", &id);
        }
    }),
    reason("wrong secret", Harmless, |_, ready| ready.app.secret = Some("guessed".to_owned())),
    reason("no secret", Harmless, |_, ready| ready.app.secret = None),
    reason("wrong redirect URI", Harmless, |_, ready| {
        ready.set("redirect_uri", "https://app.example.org/other")
    }),
    reason("redirect URI with a query", Harmless, |_, ready| {
        ready.set("redirect_uri", &format!("{CALLBACK}?x"))
    }),
    reason("no redirect URI", Harmless, |_, ready| ready.remove("redirect_uri")),
    reason("wrong verifier", Harmless, |_, ready| ready.set("code_verifier", &"x".repeat(43))),
    reason("challenge as verifier", Harmless, |_, ready| ready.set("code_verifier", &challenge(VERIFIER))),
    reason("no verifier", Harmless, |_, ready| ready.remove("code_verifier")),
    // -- the person
    reason("person disabled", TokensDie, |provider, ready| {
        provider
            .warden()
            .post(&format!("/api/v1/admin/users/{}/disable", ready.person.id), json!({}))
            .expect(204);
    }),
    reason("person disabled and enabled again", TokensDie, |provider, ready| {
        for what in ["disable", "enable"] {
            let path = format!("/api/v1/admin/users/{}/{what}", ready.person.id);
            provider.warden().post(&path, json!({})).expect(204);
        }
    }),
    reason("person deleted", TokensDie, |provider, ready| {
        let path = format!("/api/v1/admin/users/{}", ready.person.id);
        provider.warden().json("DELETE", &path, &json!({})).expect(204);
    }),
    reason("group lost", TokensDie, |provider, ready| {
        let path = format!("/api/v1/admin/users/{}", ready.person.id);
        provider.warden().json("PATCH", &path, &json!({ "groups": [] })).expect(200);
    }),
    // -- the app
    reason("client disabled", TokensDie, |provider, ready| {
        change(provider, ready, json!({ "is_disabled": true }))
    }),
    reason("client removed", TokensDie, |provider, ready| remove_app(provider, &ready.app)),
    reason("client removed and added again", TokensDie, |provider, ready| {
        remove_app(provider, &ready.app);
        provider.server.clock.advance(Duration::from_millis(1));
        ready.app = add_app(provider, &ready.app.id.clone());
    }),
    reason("client for another group", TokensDie, |provider, ready| {
        change(provider, ready, json!({ "groups": ["staff"] }))
    }),
    reason("second factor newly required by the client", TokensDie, |provider, ready| {
        change(provider, ready, json!({ "level": "two_factor" }));
    }),
    reason("grant type taken away", TokensLive, |provider, ready| {
        let used = ready.fields.iter().find(|(name, _)| name == "grant_type").map(|(_, value)| value.clone());
        let used = used.unwrap_or_else(|| "authorization_code".to_owned());
        let left: Vec<&str> = ALL_GRANTS.into_iter().filter(|grant| *grant != used).collect();
        change(provider, ready, json!({ "grants": left }));
    }),
    reason("scope taken away", TokensLive, |provider, ready| {
        change(provider, ready, json!({ "scopes": ["openid", "offline_access"] }));
    }),
    reason("resource taken away", TokensLive, |provider, ready| {
        change(provider, ready, json!({ "audiences": [] }))
    }),
    // -- what the person agreed to
    reason("consent revoked", TokensDie, |provider, ready| {
        let path = format!("/api/v1/users/me/consents/{}", ready.app.id);
        ready.elsewhere(provider).json("DELETE", &path, &json!({})).expect(204);
    }),
    reason("scope growth", Harmless, |_, ready| ready.set("scope", &format!("{SCOPE} groups"))),
    reason("unknown resource", Harmless, |_, ready| ready.set("resource", "https://unknown.example.org")),
    reason("resource growth", Harmless, |_, ready| ready.set("resource", OTHER_API)),
    // -- the signed-in stay
    reason("signed out", TokensDie, |_, ready| {
        ready.person.browser.post("/api/v1/auth/logout", json!({})).expect(204);
    }),
    reason("signed out by the app", TokensDie, |_, ready| {
        let page = ready.person.browser.get("/logout").expect(200);
        let csrf = page.input("csrf").unwrap();
        ready.person.browser.form("/logout", &[("csrf", &csrf), ("confirmed", "yes")]).expect(200);
    }),
    reason("signed out everywhere", TokensDie, |provider, ready| {
        ready.elsewhere(provider).post("/api/v1/auth/logout/all", json!({})).expect(204);
    }),
    reason("ended from the list", TokensDie, |provider, ready| {
        let path = format!("/api/v1/sessions/{}", ready.person.session.id);
        ready.elsewhere(provider).json("DELETE", &path, &json!({})).expect(204);
    }),
    reason("ended with all others", TokensDie, |provider, ready| {
        let answer = ready.elsewhere(provider).json("DELETE", "/api/v1/sessions", &json!({}));
        assert!(answer.status < 300, "{}", answer.text());
    }),
    reason("signed out by an administrator", TokensDie, |provider, ready| {
        provider
            .warden()
            .post(&format!("/api/v1/admin/users/{}/sign-out", ready.person.id), json!({}))
            .expect(204);
    }),
    reason("password changed", TokensDie, |provider, ready| {
        let body = json!({ "new_password": "walnut-harbor-eleven-comet" });
        ready.elsewhere(provider).post("/api/v1/users/me/password", body).expect(200);
    }),
    // -- its time
    reason("reuse", Whatever, |provider, ready| {
        let first = last_step(provider, ready);
        assert!(is_issued(&first), "the first use: {}", first.text());
        provider.server.clock.advance(Duration::from_secs(11));
    }),
    reason("expiry", Whatever, |provider, ready| provider.server.clock.advance(ready.path.lifetime + MINUTE)),
];

/// Pairs that mean nothing: `*` stands for every path.
const MEANS_NOTHING: &[(&str, &[&str], &str)] = &[
    ("client credentials", &OF_A_PERSON, "no person plays a part"),
    ("client credentials", &["wrong client", "reuse", "expiry"], "every client may act for itself, any time"),
    ("client credentials", &["client removed and added again"], "it is a new client, and asks for itself"),
    (
        "client credentials",
        &["scope taken away", "resource taken away", "resource growth"],
        "it asked for none",
    ),
    ("client credentials", &OF_A_CODE, "there is no code"),
    ("refresh token", &OF_A_CODE, "the code is long gone"),
    ("device code", &OF_A_CODE, "the person's browser does not lead back to the device"),
    ("authorization request", &["wrong secret", "no secret"], "a browser knows no secret"),
    ("pushed request", &["wrong secret", "no secret"], "a browser knows no secret"),
    ("authorization request", &OF_A_VERIFIER, "it is asked for later"),
    ("pushed request", &OF_A_VERIFIER, "it is asked for later"),
    (
        "pushed request",
        &["wrong redirect URI", "redirect URI with a query", "no redirect URI"],
        "what was pushed counts",
    ),
    ("pushed request", &["scope growth", "unknown resource", "resource growth"], "what was pushed counts"),
    ("authorization request", &["reuse"], "a person may sign in as often as they like"),
];

const OF_A_PERSON: [&str; 17] = [
    "person disabled",
    "person disabled and enabled again",
    "person deleted",
    "group lost",
    "client for another group",
    "second factor newly required by the client",
    "second factor newly required by the policy",
    "consent revoked",
    "signed out",
    "signed out by the app",
    "signed out everywhere",
    "ended from the list",
    "ended with all others",
    "signed out by an administrator",
    "password changed",
    "expiry",
    "reuse",
];
const OF_A_VERIFIER: [&str; 3] = ["wrong verifier", "challenge as verifier", "no verifier"];
const OF_A_CODE: [&str; 6] = [
    "wrong redirect URI",
    "redirect URI with a query",
    "no redirect URI",
    "wrong verifier",
    "challenge as verifier",
    "no verifier",
];

fn means_nothing(path: &str, reason: &str) -> bool {
    MEANS_NOTHING.iter().any(|(own, reasons, _)| *own == path && reasons.contains(&reason))
}

fn add_app(provider: &Provider, id: &str) -> App {
    let settings = json!({
        "id": id,
        "name": "Grafana",
        "redirect_uris": [CALLBACK, "https://app.example.org/second"],
        "grants": ALL_GRANTS,
        "scopes": ["openid", "email", "groups", "offline_access"],
        "groups": ["friends"],
        "audiences": [API, OTHER_API],
        "consent": "once",
    });
    let answer = provider.warden().post("/api/v1/admin/clients", settings).expect(201).json();
    App { id: id.to_owned(), secret: answer["client_secret"].as_str().map(str::to_owned) }
}

fn change(provider: &Provider, ready: &Ready, settings: Value) {
    let path = format!("/api/v1/admin/clients/{}", ready.app.id);
    provider.warden().json("PATCH", &path, &settings).expect(200);
}

fn remove_app(provider: &Provider, app: &App) {
    provider.warden().json("DELETE", &format!("/api/v1/admin/clients/{}", app.id), &json!({})).expect(204);
}

/// Brings a fresh person and a fresh app to the moment before the last step.
fn bring(provider: &Provider, path: &'static Path, number: usize) -> Ready {
    let person = provider.person(&format!("person-{number}"));
    let app = add_app(provider, &format!("app-{number}"));
    let mut ready = Ready { number, app, person, earlier: None, fields: Vec::new(), sound: None, path };
    let challenge = challenge(VERIFIER);
    let extra = [("scope", SCOPE), ("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let code = agree(&mut ready.person.browser, &provider.authorize_path(&ready.app, &extra)).code();
    let earlier = provider.exchange(&ready.app, &code, &[("code_verifier", VERIFIER)]).expect(200).json();
    assert!(lives(provider, &ready.app, &earlier));
    ready.earlier = Some(earlier);
    (path.bring)(provider, &mut ready);
    ready.sound = Some((ready.app.clone(), ready.fields.clone()));
    ready
}

/// Sends the request that issues something.
fn last_step(provider: &Provider, ready: &Ready) -> Answer {
    if ready.path.is_visit {
        let mut browser = Client { address: provider.server.address, ..ready.person.browser.clone() };
        return browser.get(&format!("/oauth2/authorize?{}", to_query(&ready.fields)));
    }
    ask(provider, ready)
}

fn ask(provider: &Provider, ready: &Ready) -> Answer {
    let fields: Vec<(&str, &str)> = ready.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    provider.post_as(&ready.app, "/oauth2/token", &fields)
}

fn is_issued(answer: &Answer) -> bool {
    match answer.status {
        303 => Redirect::of(answer.header("location").unwrap()).get("code").is_some(),
        200 => answer.text().contains("access_token"),
        _ => false,
    }
}

/// Tells whether the tokens are good for anything; userinfo, introspection and refreshing must agree.
#[track_caller]
fn lives(provider: &Provider, app: &App, tokens: &Value) -> bool {
    let is_admitted = match provider.userinfo(text(tokens, "access_token")).status {
        200 => true,
        401 => false,
        other => panic!("userinfo answers {other}"),
    };
    for name in ["access_token", "refresh_token"] {
        assert_eq!(provider.is_active(app, text(tokens, name)), is_admitted, "introspection of the {name}");
    }
    is_admitted
}

/// Takes the last step, which must be refused, and looks at what became of everything else.
fn must_be_refused(provider: &Provider, ready: &mut Ready, reason: &Reason) -> Result<(), String> {
    let pair = format!("{} / {}", ready.path.name, reason.name);
    let earlier = ready.earlier.clone().unwrap();
    if reason.effect == TokensDie && lives(provider, &ready.app, &earlier) {
        return Err(format!("{pair}: the tokens of before live on"));
    }
    let answer = last_step(provider, ready);
    if is_issued(&answer) {
        return Err(format!("{pair}: issued"));
    }
    if !ready.path.is_visit {
        let is_sound = matches!(answer.status, 400 | 401)
            && answer.json()["error"].is_string()
            && answer.header("cache-control").is_some_and(|value| value.contains("no-store"));
        if !is_sound {
            return Err(format!("{pair}: refused with {} {}", answer.status, answer.text()));
        }
    }
    let (app, fields) = ready.sound.clone().unwrap();
    if matches!(reason.effect, TokensLive | Harmless) && !lives(provider, &app, &earlier) {
        return Err(format!("{pair}: the tokens of before died"));
    }
    if reason.effect == Harmless {
        (ready.app, ready.fields) = (app, fields);
        // Devices may not ask at once again (RFC 8628 section 3.5).
        provider.server.clock.advance(Duration::from_secs(6));
        let answer = last_step(provider, ready);
        if !is_issued(&answer) {
            return Err(format!("{pair}: the right request is refused afterwards: {}", answer.text()));
        }
    }
    Ok(())
}

/// Brings a person and an app to the last step and spoils it.
fn bring_spoilt(provider: &Provider, path: &'static Path, number: usize, reason: &Reason) -> Ready {
    let mut ready = bring(provider, path, number);
    (reason.spoil)(provider, &mut ready);
    ready
}

fn walk(path: &'static Path) {
    let mut provider = Provider::start();
    let mut numbers = 1..;
    let mut next = || numbers.next().unwrap();
    let ready = bring(&provider, path, next());
    let answer = last_step(&provider, &ready);
    assert!(is_issued(&answer), "{}: nothing spoils it: {}", path.name, answer.text());
    let reasons = REASONS.iter().filter(|reason| !means_nothing(path.name, reason.name));
    let (of_time, timeless): (Vec<_>, Vec<_>) = reasons.partition(|reason| reason.name == "expiry");
    let mut failures = Vec::new();
    for reason in &timeless {
        let mut ready = bring_spoilt(&provider, path, next(), reason);
        failures.extend(must_be_refused(&provider, &mut ready, reason).err());
    }
    // Once more with a restart in between.
    let unspoilt = bring(&provider, path, next());
    let spoilt: Vec<Ready> =
        timeless.iter().map(|reason| bring_spoilt(&provider, path, next(), reason)).collect();
    provider = provider.restart();
    for (mut ready, reason) in spoilt.into_iter().zip(&timeless) {
        // Nothing is too old yet when its turn comes.
        let before = provider.server.clock.now();
        let refused = must_be_refused(&provider, &mut ready, reason);
        failures.extend(refused.err().map(|why| format!("after a restart: {why}")));
        provider.server.clock.set_wall(before);
    }
    if !is_issued(&last_step(&provider, &unspoilt)) {
        failures.push("only a restart, and it is refused".to_owned());
    }
    let policy = reason("second factor newly required by the policy", TokensDie, |_, _| {});
    if !means_nothing(path.name, policy.name) {
        let mut ready = bring(&provider, path, next());
        provider = provider.restart_with(SecondFactorPolicy::Everyone);
        failures.extend(must_be_refused(&provider, &mut ready, &policy).err());
        provider = provider.restart();
    }
    for reason in &of_time {
        let mut ready = bring_spoilt(&provider, path, next(), reason);
        failures.extend(must_be_refused(&provider, &mut ready, reason).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_authorization_request_is_refused_for_every_reason() {
    walk(&PATHS[0]);
}

#[test]
fn a_pushed_request_is_refused_for_every_reason() {
    walk(&PATHS[1]);
}

#[test]
fn a_code_is_refused_for_every_reason() {
    walk(&PATHS[2]);
}

#[test]
fn a_code_of_a_pushed_request_is_refused_for_every_reason() {
    walk(&PATHS[3]);
}

#[test]
fn a_refresh_token_is_refused_for_every_reason() {
    walk(&PATHS[4]);
}

#[test]
fn a_device_code_is_refused_for_every_reason() {
    walk(&PATHS[5]);
}

#[test]
fn client_credentials_are_refused_for_every_reason() {
    walk(&PATHS[6]);
}

/// The list of what means nothing names only what there is.
#[test]
fn every_exception_names_a_path_and_a_reason() {
    for (path, reasons, _) in MEANS_NOTHING {
        assert!(PATHS.iter().any(|own| own.name == *path), "{path}");
        for reason in *reasons {
            let is_known = REASONS.iter().any(|own| own.name == *reason);
            assert!(is_known || *reason == "second factor newly required by the policy", "{reason}");
        }
    }
}

/// Uses the same thing in 100 threads at the same moment.
fn a_hundred_times(path: &'static Path) -> (Provider, Ready, Vec<Answer>) {
    let provider = Provider::start();
    let ready = bring(&provider, path, 1);
    let provider = std::sync::Arc::new(provider);
    let ready = std::sync::Arc::new(ready);
    let (all, it) = (provider.clone(), ready.clone());
    let answers = in_parallel(100, move |_| last_step(&all, &it));
    let unwrap = "every thread is over";
    let provider = std::sync::Arc::into_inner(provider).expect(unwrap);
    (provider, std::sync::Arc::into_inner(ready).expect(unwrap), answers)
}

/// GEN-03, OA-04: one use of a code succeeds at most, and since all the others are reuse, what it gave is void.
#[test]
fn a_hundred_uses_of_a_code_give_one_grant_which_the_reuse_ends() {
    for index in [2, 3] {
        let (provider, ready, answers) = a_hundred_times(&PATHS[index]);
        let issued: Vec<Value> = answers.iter().filter(|a| is_issued(a)).map(Answer::json).collect();
        assert!(issued.len() <= 1, "{}", issued.len());
        for answer in answers.iter().filter(|answer| !is_issued(answer)) {
            assert_eq!((answer.status, &*error_of(answer)), (400, "invalid_grant"), "{}", answer.text());
        }
        for tokens in &issued {
            assert!(!provider.is_active(&ready.app, text(tokens, "access_token")));
            assert!(!provider.is_active(&ready.app, text(tokens, "refresh_token")));
        }
        assert!(
            lives(&provider, &ready.app, ready.earlier.as_ref().unwrap()),
            "an earlier grant is another matter"
        );
    }
}

/// REF-02, REF-03: parallel refreshes of an app that lost count all get the same successor, and that is good.
#[test]
fn a_hundred_refreshes_have_one_successor() {
    let (provider, ready, answers) = a_hundred_times(&PATHS[4]);
    let mut successors: Vec<String> = answers
        .iter()
        .filter(|a| is_issued(a))
        .map(|a| text(&a.json(), "refresh_token").to_owned())
        .collect();
    assert!(!successors.is_empty());
    successors.sort();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    provider.refresh(&ready.app, &successors[0], &[]).expect(200);
}

/// GEN-03: one device code lets one device in, one pushed request gives one code.
#[test]
fn a_hundred_uses_of_a_device_code_or_a_pushed_request_have_one_success() {
    for index in [5, 1] {
        let (_, _, answers) = a_hundred_times(&PATHS[index]);
        assert_eq!(answers.iter().filter(|answer| is_issued(answer)).count(), 1, "{}", PATHS[index].name);
    }
}
