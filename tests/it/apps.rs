//! `doorward app` and the keys of apps, as an administrator types them.

use std::fs;

use doorward::crypto::mac::sha256;
use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD};
use crate::oidc::{Redirect, VERIFIER, basic, challenge, claims, query};
use crate::trouble::program::{Installation, Outcome, Process};

const ORIGIN: &str = "http://localhost";
const APP: &str = "https://rss.home.example";

fn installation() -> Installation {
    let mut installation = Installation::new();
    installation.settings.push(format!("server.public_origin={ORIGIN}"));
    installation.settings.push("accounts.second_factor=optional".to_owned());
    // Making an RSA key takes a while in a build for tests.
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oidc/rsa-key.pem");
    installation.run(["keys", "import", key]).succeed();
    installation
}

/// Returns what stands behind a label.
#[track_caller]
fn value_of(outcome: &Outcome, label: &str) -> String {
    let line = outcome.out.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label}: {outcome:?}")).trim().to_owned()
}

fn signed_in(server: &Process) -> Client {
    let mut browser = server.client();
    browser.get("/signin").expect(200);
    browser.form("/signin", &[("username", "ada"), ("password", PASSWORD)]).expect(303);
    browser
}

/// Takes ada through a sign-in to an app and returns the status of the exchange and its answer.
fn sign_in_to(server: &Process, id: &str, secret: &str, callback: &str) -> (u16, Value) {
    let mut browser = signed_in(server);
    let asked = query(&[
        ("client_id", id),
        ("redirect_uri", callback),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge", &challenge(VERIFIER)),
        ("code_challenge_method", "S256"),
    ]);
    let answer = browser.get(&format!("/oauth2/authorize?{asked}")).expect(303);
    let code = Redirect::of(answer.header("location").unwrap()).code();
    let fields = query(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", callback),
        ("code_verifier", VERIFIER),
    ]);
    let authorization = basic(id, secret);
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", authorization.as_str())];
    let answer = server.client().send("POST", "/oauth2/token", &headers, fields.as_bytes());
    (answer.status, answer.json())
}

fn events(server: &Process) -> Vec<Value> {
    let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut ada = server.client().with_bearer(&token);
    let list = ada.get_json("/api/v1/admin/audit?limit=200").expect(200).json();
    list["events"].as_array().unwrap_or_else(|| panic!("{list}")).clone()
}

/// AUD-01: every change of the command line is an event of its own.
#[test]
fn an_app_that_was_added_from_a_preset_signs_people_in() {
    let installation = installation();
    let server = installation.serve();
    let outcome = installation.run(["app", "add", "--preset", "miniflux", "--url", APP]).succeed();
    let (id, secret) = (value_of(&outcome, "Client id"), value_of(&outcome, "Client secret"));
    assert_eq!(id, "miniflux");
    assert_eq!(secret.len(), 43, "256 bits");
    let callback = format!("{APP}/oauth2/oidc/callback");
    for part in [
        "OAUTH2_CLIENT_ID=miniflux\n".to_owned(),
        format!("OAUTH2_CLIENT_SECRET={secret}\n"),
        format!("OAUTH2_REDIRECT_URL={callback}\n"),
        format!("OAUTH2_OIDC_DISCOVERY_ENDPOINT={ORIGIN}"),
    ] {
        assert!(outcome.out.contains(&part), "{part} in {}", outcome.out);
    }
    assert!(!outcome.out.contains("What is missing"), "{}", outcome.out);
    let (status, tokens) = sign_in_to(&server, &id, &secret, &callback);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(claims(tokens["id_token"].as_str().unwrap())["aud"], id.as_str());
    // A second secret is good beside the first, until that is dropped (TOK-13).
    let renewed = installation.run(["app", "secret", &id]).succeed();
    let second = renewed.out.lines().next().unwrap().to_owned();
    for good in [&secret, &second] {
        assert_eq!(sign_in_to(&server, &id, good, &callback).0, 200);
    }
    installation.run(["app", "secret", &id, "--drop-old"]).succeed();
    assert_eq!(sign_in_to(&server, &id, &secret, &callback).0, 401);
    assert_eq!(sign_in_to(&server, &id, &second, &callback).0, 200);
    // Nothing that can be looked at holds a secret (GEN-07).
    for command in [vec!["app", "list"], vec!["app", "show", &id]] {
        let shown = installation.run(command.iter().copied()).succeed().out;
        assert!(shown.contains("miniflux") && !shown.contains(&second), "{shown}");
    }
    let twice = installation.run(["app", "add", "--preset", "miniflux", "--url", APP]);
    assert!(twice.code == Some(1) && twice.err.contains("--id"), "{twice:?}");
    installation.run(["app", "disable", &id]).succeed();
    let refused = signed_in(&server).get(&format!("/oauth2/authorize?client_id={id}"));
    assert!(refused.status >= 400, "{}", refused.status);
    installation.run(["app", "enable", &id]).succeed();
    assert_eq!(sign_in_to(&server, &id, &second, &callback).0, 200);
    installation.run(["app", "remove", &id]).succeed();
    assert_eq!(installation.run(["app", "list"]).succeed().out, "");
    let gone = installation.run(["app", "show", &id]);
    assert!(gone.code == Some(1) && gone.err.contains("app list"), "{gone:?}");
    let events = events(&server);
    for (kind, count) in [("app.added", 1), ("app.secret_made", 1), ("app.changed", 3), ("app.removed", 1)] {
        let found: Vec<&Value> = events.iter().filter(|event| event["kind"] == kind).collect();
        assert_eq!(found.len(), count, "{kind}: {found:?}");
        for event in found {
            assert!(event.to_string().contains("cli") && event.to_string().contains(&id), "{event}");
        }
    }
    server.stop();
}

#[test]
fn an_app_without_a_preset_is_described_by_flags() {
    let installation = installation();
    let own = ["app", "add", "--name", "My App", "--id", "mine", "--redirect-uri", "com.example.app:/back"];
    let flags = ["--public", "--scope", "openid email", "--group", "family", "--alg", "ES256"];
    let outcome = installation.run(own.into_iter().chain(flags)).succeed();
    assert_eq!(value_of(&outcome, "Client secret"), "none");
    let shown = installation.run(["app", "show", "mine"]).succeed().out;
    let read: toml::Table = toml::from_str(&shown).unwrap();
    let expected = json!({"app": [{
        "id": "mine", "name": "My App", "initials": "MA", "kind": "public", "auth_method": "none",
        "redirect_uris": ["com.example.app:/back"], "scopes": ["email", "openid"], "groups": ["family"],
        "id_token_alg": "ES256",
    }]});
    assert_eq!(serde_json::to_value(&read).unwrap(), expected);
    for (arguments, said) in [
        (vec!["app", "add"], "--preset"),
        (vec!["app", "add", "--name", "x"], "redirect_uris:"),
        (vec!["app", "add", "--name", "x", "--url", "https://a.example"], "--preset"),
        (vec!["app", "add", "--preset", "grafna", "--url", APP], "Did you mean grafana?"),
        (vec!["app", "add", "--preset", "grafana"], "Give the address of the app"),
        (vec!["app", "add", "--preset", "grafana", "--url", APP, "--param", "a=b"], "no parameters"),
        (vec!["app", "add", "--preset", "grafana", "--url", APP, "--alg", "none"], "RS256"),
        (vec!["app", "add", "--preset", "grafana", "--url", APP, "--id", "a b"], "client id"),
        (vec!["app", "add", "--name", "x", "--redirect-uri", "javascript:alert(1)"], "redirect_uris:"),
        (vec!["app", "secret", "mine"], "without a secret"),
    ] {
        let outcome = installation.run(arguments.iter().copied());
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{arguments:?}: {outcome:?}");
    }
    assert_eq!(installation.run(["app", "list"]).succeed().out.lines().count(), 1);
}

const SECRET: &str = "0123456789abcdef0123456789abcdef-grafana";

fn file(installation: &Installation, text: &str) -> String {
    let file = installation.dir.0.join("apps.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn good_file() -> String {
    let digest = data_encoding::HEXLOWER.encode(&sha256(SECRET));
    format!(
        r#"# Two apps and a third.
[[app]]
id = "rss"
preset = "miniflux"
url = "{APP}"
secret_file = "rss.secret"

[[app]]
id = "metrics"
name = "Metrics"
redirect_uris = ["https://metrics.home.example/back"]
secret_sha256 = "{digest}"
pkce = "optional"
consent = "skip"

[[app]]
id = "tv"
preset = "jellyfin"
url = "https://tv.home.example"
parameters = {{ provider = "house" }}
groups = ["family"]
"#
    )
}

/// What a file says is so after the first time, and the second time finds nothing to do.
#[test]
fn a_file_of_apps_is_applied_once() {
    let installation = installation();
    fs::write(installation.dir.0.join("rss.secret"), format!("{SECRET}\n")).unwrap();
    let path = file(&installation, &good_file());
    let server = installation.serve();
    let first = installation.run(["app", "apply", &path]).succeed().out;
    for part in ["rss: added\n", "metrics: added\n", "tv: added\n  Client secret, not shown again: "] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert_eq!(first.matches("Client secret").count(), 1, "only what was made here is shown: {first}");
    let callback = format!("{APP}/oauth2/oidc/callback");
    assert_eq!(sign_in_to(&server, "rss", SECRET, &callback).0, 200);
    let back = "https://metrics.home.example/back";
    assert_eq!(sign_in_to(&server, "metrics", SECRET, back).0, 200);
    let shown = installation.run(["app", "show", "tv"]).succeed().out;
    assert!(shown.contains("/sso/OID/redirect/house") && shown.contains("groups = [\"family\"]"), "{shown}");
    let count = events(&server).len();
    let again = || installation.run(["app", "apply", &path]).succeed().out;
    assert_eq!(again(), "rss: unchanged\nmetrics: unchanged\ntv: unchanged\n");
    assert!(events(&server).iter().filter(|event| event["kind"] == "app.changed").count() == 0 && count > 0);
    // What somebody changed by hand is put right, and what the file says anew is done.
    installation.run(["app", "disable", "metrics"]).succeed();
    assert_eq!(again(), "rss: unchanged\nmetrics: changed (is_disabled)\ntv: unchanged\n");
    let other = format!("{SECRET}-2");
    fs::write(installation.dir.0.join("rss.secret"), &other).unwrap();
    file(&installation, &good_file().replace("groups = [\"family\"]\n", "consent = \"once\"\n"));
    assert_eq!(again(), "rss: changed (secret)\nmetrics: unchanged\ntv: changed (consent, groups)\n");
    for secret in [SECRET, &other] {
        assert_eq!(sign_in_to(&server, "rss", secret, &callback).0, 200, "the older one until it is dropped");
    }
    // An app that shall have a secret gets one.
    let text = "[[app]]\nid = \"x\"\nname = \"X\"\nredirect_uris = [\"https://x.example/\"]\n";
    file(&installation, &format!("{text}kind = \"public\"\n"));
    assert_eq!(again(), "x: added\n");
    file(&installation, text);
    let confidential = again();
    assert!(confidential.starts_with("x: changed (auth_method, kind)\n  Client secret"), "{confidential}");
    // What is not in the file stays, unless somebody says otherwise.
    assert_eq!(installation.run(["app", "list"]).succeed().out.lines().count(), 4);
    let pruned = installation.run(["app", "apply", "--prune", &path]).succeed().out;
    assert_eq!(pruned, "x: unchanged\nmetrics: removed\nrss: removed\ntv: removed\n");
    // What `show` prints is a file that `apply` takes.
    let shown = installation.run(["app", "show", "x"]).succeed().out;
    file(&installation, &shown);
    assert_eq!(again(), "x: unchanged\n");
    server.stop();
}

/// Everything is judged before anything is changed, and each fault is told with its line.
#[test]
fn a_bad_file_of_apps_changes_nothing() {
    let installation = installation();
    fs::write(installation.dir.0.join("rss.secret"), SECRET).unwrap();
    fs::write(installation.dir.0.join("short.secret"), "hunter2\n").unwrap();
    let server = installation.serve();
    let good = good_file();
    let cases = [
        ("id = \"tv\"", "id = \"tv\"\nid = \"tv2\"", "Line 18: "),
        ("id = \"tv\"", "id = tv", "Line 17: "),
        ("id = \"tv\"", "id = \"a b\"", "Line 17: id: A client id has"),
        ("id = \"tv\"", "id = 7", "Line 17: id: "),
        ("id = \"tv\"\n", "", "Line 16: id: Each app has an id"),
        ("id = \"tv\"", "id = \"rss\"", "Line 17: id: Another table"),
        (
            "\"jellyfin\"",
            "\"jelyfin\"",
            "Line 18: preset: There is no preset jelyfin. Did you mean jellyfin?",
        ),
        ("\"https://tv.home.example\"", "\"tv\"", "Line 19: url: "),
        ("provider = \"house\"", "provider = \"../x\"", "Line 19: url: provider takes"),
        ("provider = \"house\"", "room = \"x\"", "no parameter room"),
        ("\"family\"", "\"a,b\"", "Line 21: groups: "),
        ("pkce = \"optional\"", "pkce = \"off\"", "Line 13: pkce: "),
        ("pkce = \"optional\"", "pkxe = \"off\"", "Line 13: pkxe: "),
        ("pkce = \"optional\"", "scopes = [\"openid\", \"pets\"]", "Line 13: scopes: There is no scope pets"),
        ("pkce = \"optional\"", "auth_method = \"none\"", "Line 13: auth_method: "),
        ("pkce = \"optional\"", "kind = \"public\"", "auth_method: This app proves itself without a secret"),
        ("pkce = \"optional\"", "url = \"https://a.example\"", "Line 13: url: This belongs to a preset"),
        ("https://metrics.home.example/back", "https://*.home.example/", "Line 11: redirect_uris: "),
        ("secret_sha256 = \"", "secret_sha256 = \"0", "Line 12: secret_sha256: "),
        ("secret_sha256 = \"", "secret_file = \"rss.secret\"\nsecret_sha256 = \"", "Give the secret once"),
        ("rss.secret", "none.secret", "none.secret cannot be read"),
        ("rss.secret", "short.secret", "short.secret must hold 32"),
        ("[[app]]\nid = \"rss\"", "[[ap]]\nid = \"rss\"", "Line 2: unknown field `ap`"),
    ];
    for (from, to, said) in cases {
        assert!(good.contains(from), "{from}");
        let path = file(&installation, &good.replacen(from, to, 1));
        let outcome = installation.run(["app", "apply", "--prune", &path]);
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{from} -> {to}: {outcome:?}");
        assert!(!outcome.err.contains("hunter2") && !outcome.err.contains(SECRET), "{outcome:?}");
    }
    assert_eq!(installation.run(["app", "list"]).succeed().out, "");
    let kinds: Vec<String> = events(&server).iter().map(|event| event["kind"].to_string()).collect();
    assert!(!kinds.iter().any(|kind| kind.contains("app.")), "{kinds:?}");
    // Several faults are told at once.
    let two = good.replace("\"optional\"", "\"off\"").replace("\"family\"", "\"a,b\"");
    let outcome = installation.run(["app", "apply", &file(&installation, &two)]);
    for said in ["Line 13: pkce:", "Line 21: groups:", "Nothing was changed."] {
        assert!(outcome.err.contains(said), "{outcome:?}");
    }
    server.stop();
}

/// TOK-15: the keys that apps verify with are replaced at once, and one from elsewhere is taken over.
#[test]
fn keys_of_apps_are_imported_and_replaced() {
    let installation = installation();
    let server = installation.serve();
    let published = || {
        let keys = server.client().get_json("/jwks.json").expect(200).json();
        let of = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys["keys"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let imported = published();
    assert_eq!(imported.len(), 1);
    let shown = installation.run(["keys", "list", "--apps"]).succeed().out;
    assert!(shown.contains(&imported[0]) && !shown.contains("\"d\""), "{shown}");
    let tokens = installation.run(["keys", "list"]).succeed().out;
    assert!(!tokens.contains(&imported[0]), "{tokens}");
    installation.run(["keys", "rotate", "--apps"]).succeed();
    let replaced = published();
    assert!(replaced.len() == 1 && replaced != imported, "{replaced:?}");
    assert_eq!(installation.run(["keys", "list"]).succeed().out, tokens, "the other keys stay");
    let outcome = installation.type_in(["keys", "import", "-"], "no key");
    assert!(outcome.code == Some(1) && !outcome.err.contains("no key"), "{outcome:?}");
    server.stop();
}

/// `app set` changes the settings that are named and nothing else.
#[test]
fn settings_of_an_app_are_changed_one_by_one() {
    let installation = installation();
    let server = installation.serve();
    let add =
        ["app", "add", "--name", "Photos", "--id", "photos", "--redirect-uri", "https://a.home.example/cb"];
    installation.run(add).succeed();
    let read = |outcome: Outcome| {
        let file: toml::Table = toml::from_str(&outcome.succeed().out).unwrap();
        serde_json::to_value(&file).unwrap()["app"][0].clone()
    };
    let set = |settings: &[&str]| {
        installation.run(["app", "set", "photos"].into_iter().chain(settings.iter().copied()))
    };
    let show = || installation.run(["app", "show", "photos"]);
    let first = read(show());
    let mut expected = first.clone();
    for (name, value) in [
        ("name", json!("Albums")),
        ("groups", json!(["family", "friends"])),
        ("launch_url", json!("https://a.home.example/")),
        ("consent", json!("skip")),
        ("is_disabled", json!(true)),
        ("access_token_seconds", json!(300)),
        ("redirect_uris", json!(["https://a.home.example/cb", "https://b.home.example/cb"])),
    ] {
        expected[name] = value;
    }
    let shown = read(set(&[
        "name=Albums",
        "groups=family, friends",
        "launch_url=https://a.home.example/",
        "consent=skip",
        "is_disabled=true",
        "access_token_seconds=300",
        "redirect_uris=https://a.home.example/cb,https://b.home.example/cb",
    ]));
    assert_eq!(shown, expected);
    assert_eq!(read(show()), expected);
    // One that is wrong keeps all that are named with it from being changed.
    for (settings, said) in [
        (&["name"][..], "such as name=Photos"),
        (&["nmae=x"], "There is no setting nmae."),
        (&["id=other"], "There is no setting id."),
        (&["is_disabled=perhaps"], "is no value of this setting"),
        (&["access_token_seconds=soon"], "is no value of this setting"),
        (&["consent=never"], "This is no app"),
        (&["name=Other", "redirect_uris=javascript:alert(1)"], "redirect_uris: "),
        (&["name=Other", "launch_url=javascript:alert(1)"], "launch_url: "),
        (&["name=Other", "groups=a;b"], "This is no app"),
        (&[], "SETTING=VALUE"),
    ] {
        let outcome = set(settings);
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{settings:?}: {outcome:?}");
    }
    let unknown = installation.run(["app", "set", "albums", "name=x"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("There is no app “albums”."), "{unknown:?}");
    assert_eq!(read(show()), expected);
    // An empty value takes the usual one.
    let usual =
        ["name=Photos", "groups=", "launch_url=", "consent=", "is_disabled=", "access_token_seconds="];
    expected = first;
    expected["redirect_uris"] = json!(["https://a.home.example/cb", "https://b.home.example/cb"]);
    assert_eq!(read(set(&usual)), expected);
    let changes = events(&server).into_iter().filter(|event| event["kind"] == "app.changed");
    let changes: Vec<String> = changes.map(|event| event.to_string()).collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
    for part in ["cli", "photos", "access_token_seconds", "launch_url"] {
        assert!(changes.iter().all(|event| event.contains(part)), "{part}: {changes:?}");
    }
    server.stop();
}

/// `app claims` shows what the API shows, for everybody and every scope, and tells when nothing would be told.
#[test]
fn what_an_app_is_told_of_a_person_is_shown() {
    let installation = installation();
    let server = installation.serve();
    let add =
        ["app", "add", "--name", "Photos", "--id", "photos", "--redirect-uri", "https://a.home.example/cb"];
    installation.run(add.into_iter().chain(["--group", "family"])).succeed();
    for (name, group) in [("mia", "family"), ("tom", "friends")] {
        let email = format!("{name}@home.example");
        installation.run(["user", "add", name, "--email", &email, "--group", group]).succeed();
    }
    let count = || {
        // Whoever looks signs in, and the server writes down that it started whenever it gets to it.
        let is_other = |event: &Value| {
            let kind = event["kind"].as_str().unwrap();
            !kind.starts_with("sign_in.") && !kind.starts_with("server.")
        };
        events(&server).into_iter().filter(is_other).count()
    };
    let before = count();
    let claims_of = |words: &[&str]| {
        installation.run(["app", "claims", "photos"].into_iter().chain(words.iter().copied()))
    };
    let shown = claims_of(&["mia"]).succeed().out;
    assert!(!shown.contains("may not use"), "{shown}");
    let read: toml::Table = toml::from_str(&shown).unwrap();
    let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut ada = server.client().with_bearer(&token);
    let answer = ada.get_json("/api/v1/admin/clients/photos/claims?username=mia").expect(200).json();
    for part in ["id_token", "userinfo"] {
        let read = serde_json::to_value(&read[part]).unwrap();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&read), names(&answer[part]), "{part}");
        assert_eq!(read["sub"], answer[part]["sub"]);
        assert_eq!(read["email"], "mia@home.example", "{shown}");
    }
    let less = claims_of(&["mia", "--scope", "openid"]).succeed().out;
    assert!(less.starts_with("# Scopes: openid\n") && !less.contains("mia@home.example"), "{less}");
    let more = claims_of(&["mia", "--scope", "openid", "--scope", "email"]).succeed().out;
    assert!(more.contains("mia@home.example"), "{more}");
    let refused = claims_of(&["tom"]).succeed().out;
    assert!(refused.contains("# tom may not use Photos: nothing of this is told."), "{refused}");
    for (words, said) in [
        (vec!["app", "claims", "photos", "nobody"], "There is no account “nobody”."),
        (vec!["app", "claims", "albums", "mia"], "There is no app “albums”."),
        (vec!["app", "claims", "photos", "mia", "--scope", "a\"b"], "A scope is a word of plain letters"),
        (vec!["app", "claims", "photos"], "USER"),
    ] {
        let outcome = installation.run(words.iter().copied());
        assert!(outcome.code != Some(0) && outcome.err.contains(said), "{words:?}: {outcome:?}");
    }
    assert_eq!(count(), before, "looking changes nothing");
    server.stop();
}

/// The API adds an app of a preset as the page and the command do, and answers with what to paste where.
#[test]
fn the_api_adds_an_app_of_a_preset() {
    let installation = installation();
    let server = installation.serve();
    let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut ada = server.client().with_bearer(&token);
    let presets = ada.get_json("/api/v1/admin/presets").expect(200).json();
    let known = presets["presets"].as_array().unwrap();
    let miniflux = known.iter().find(|preset| preset["id"] == "miniflux").unwrap();
    assert_eq!(miniflux["needs_url"], true);
    let mut add = |body: Value| ada.post("/api/v1/admin/clients", body);
    let made = add(json!({"preset": "miniflux", "url": APP})).expect(201).json();
    let callback = format!("{APP}/oauth2/oidc/callback");
    assert_eq!(made["client"]["id"], "miniflux");
    assert_eq!(made["client"]["redirect_uris"], json!([callback]));
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    let pasted = made["preset"].to_string();
    for part in ["OAUTH2_CLIENT_ID=miniflux".to_owned(), format!("OAUTH2_CLIENT_SECRET={secret}")] {
        assert!(pasted.contains(&part), "{part} in {pasted}");
    }
    assert_eq!(made["preset"]["missing"], json!([]));
    assert_eq!(sign_in_to(&server, "miniflux", &secret, &callback).0, 200);
    // What the body says besides wins, and a second one of the same preset gets a name of its own.
    let body =
        json!({"preset": "miniflux", "url": "https://b.home.example", "name": "News", "groups": ["family"]});
    let second = add(body).expect(201).json();
    assert_ne!(second["client"]["id"], "miniflux");
    assert_eq!(
        (&second["client"]["name"], &second["client"]["groups"]),
        (&json!("News"), &json!(["family"]))
    );
    let house = json!({"provider": "house"});
    let tv =
        add(json!({"preset": "jellyfin", "url": APP, "id": "tv", "parameters": house})).expect(201).json();
    assert_eq!(tv["client"]["redirect_uris"], json!([format!("{APP}/sso/OID/redirect/house")]));
    for (body, code, said) in [
        (json!({"preset": "grafna", "url": APP}), "no_such_preset", "Did you mean grafana?"),
        (json!({"preset": "grafana"}), "invalid_value", "Give the address of the app"),
        (json!({"preset": "grafana", "url": "nowhere"}), "invalid_value", "url"),
        (
            json!({"preset": "grafana", "url": APP, "parameters": {"a": "b"}}),
            "invalid_value",
            "no parameters",
        ),
        (
            json!({"preset": "jellyfin", "url": APP, "parameters": {"provider": "../x"}}),
            "invalid_value",
            "provider",
        ),
        (json!({"preset": "jellyfin", "url": APP, "parameters": ["x"]}), "invalid_value", "texts by name"),
        (json!({"preset": 7}), "invalid_value", "This is a text."),
        (json!({"name": "x", "url": APP}), "invalid_value", "name one"),
        (
            json!({"preset": "grafana", "url": APP, "redirect_uris": ["javascript:alert(1)"]}),
            "invalid_value",
            "javascript",
        ),
    ] {
        let answer = add(body.clone()).expect(422);
        assert!(answer.code() == code && answer.text().contains(said), "{body}: {}", answer.text());
    }
    assert_eq!(events(&server).iter().filter(|event| event["kind"] == "app.added").count(), 3);
    assert_eq!(installation.run(["app", "list"]).succeed().out.lines().count(), 3);
    server.stop();
}
