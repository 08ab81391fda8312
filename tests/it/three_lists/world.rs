//! The world in which the actions are done: the program as a server with its data, an owner who has just signed in, in a
//! browser and as a program, and what an action needs, made anew each time.

use doorward::crypto::totp::{self, TotpSecret};
use doorward::kernel::time::SystemClock;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD};
use crate::software_key::SoftwareKey;
use crate::trouble::program::{Installation, Process};

/// What stands in for `{name}` in paths, fields, bodies and words.
pub(super) type Vars = Vec<(&'static str, String)>;

/// Puts values in the place of their names.
pub(super) fn filled(text: &str, vars: &Vars) -> String {
    let mut text = text.to_owned();
    for (name, value) in vars {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text.replace("{long}", &"x".repeat(400))
}

/// How something was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The status of HTTP, or the exit code.
    pub(super) status: u16,
    /// The code of the API.
    pub(super) code: String,
    /// All that was said.
    pub(super) text: String,
}

pub(super) struct World {
    installation: Installation,
    server: Process,
    browser: Client,
    csrf: String,
    pub(super) program: Client,
    count: u32,
}

impl World {
    pub(super) fn begin() -> World {
        let mut installation = Installation::new();
        for setting in [
            "server.public_origin=http://localhost",
            "accounts.second_factor=optional",
            "oidc.registration=true",
            "limits.api=100000/1h",
            "limits.sign_in=100000/5m",
            "limits.registration=100000/1h",
            "limits.totp=100000/5m",
            "limits.suspend_after=3",
            "password.idle_priority=false",
        ] {
            installation.settings.push(setting.to_owned());
        }
        let server = installation.serve();
        let token = server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
        let program = server.client().with_bearer(&token);
        let (browser, csrf) = browser_of(&server, "ada");
        World { installation, server, browser, csrf, program, count: 0 }
    }

    pub(super) fn end(self) {
        self.server.stop();
    }

    /// Returns the sequence number of the newest event.
    pub(super) fn marker(&mut self) -> u64 {
        self.events()["events"][0]["sequence"].as_u64().unwrap_or(0)
    }

    fn events(&mut self) -> Value {
        let path = "/api/v1/admin/audit?limit=50";
        if self.program.get_json(path).status == 401 {
            // The keys were rotated, and every access token is void.
            let token = self.server.sign_in().expect(200).json()["access_token"].as_str().unwrap().to_owned();
            self.program = self.server.client().with_bearer(&token);
        }
        self.program.get_json(path).expect(200).json()
    }

    /// Returns the kinds of what succeeded since, sorted.
    pub(super) fn kinds_since(&mut self, marker: u64) -> Vec<String> {
        let events = self.events();
        let new = events["events"].as_array().unwrap().iter().filter(|event| {
            // The server writes down that it started whenever it gets to it, and who signs in is no part of an action.
            let kind = event["kind"].as_str().unwrap();
            let is_of_server = kind.starts_with("server.") || kind.starts_with("sign_in.");
            event["sequence"].as_u64().unwrap() > marker && event["outcome"] == "succeeded" && !is_of_server
        });
        let mut kinds: Vec<String> = new.map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// Tells whether every event of a kind since has a detail.
    pub(super) fn has_detail(&mut self, marker: u64, kind: &str, detail: &str) -> bool {
        let events = self.events();
        let mut new = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["sequence"].as_u64().unwrap() > marker && event["kind"] == kind);
        new.all(|event| event["details"].as_array().unwrap().iter().any(|pair| pair[0] == detail))
    }

    /// Sends a form.
    pub(super) fn submit(&mut self, path: &str, fields: &[(&str, String)]) -> Option<Refusal> {
        // Forms that hold everything tell what they were made of.
        let page = path.strip_suffix("/profile").unwrap_or(path);
        let is_whole = page != path || fields.iter().any(|(name, _)| *name == "id_token_alg");
        let revision =
            if is_whole { self.browser.get(page).input("revision") } else { None }.unwrap_or_default();
        let mut all: Vec<(&str, &str)> = vec![("csrf", &self.csrf), ("revision", &revision)];
        all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = self.browser.form(path, &all);
        assert!(
            !answer
                .header("location")
                .is_some_and(|to| to.starts_with("/step-up") || to.starts_with("/signin")),
            "{path} leads elsewhere: {answer:?}"
        );
        // Rules that are others by now are shown again, with a word about it.
        if let Some(to) = answer.header("location").filter(|to| to.ends_with("?done=stale")) {
            let shown = self.browser.get(to).expect(200);
            return Some(Refusal { status: 409, code: String::new(), text: shown.text() });
        }
        refusal(&answer)
    }

    /// Changes the draft of the rules by a form, and puts it in force.
    pub(super) fn submit_by_draft(&mut self, path: &str, fields: &[(&str, String)]) -> Option<Refusal> {
        if let Some(refusal) = self.submit(path, fields) {
            return Some(refusal);
        }
        let draft = self.get("/api/v1/admin/rules/draft")["version"].to_string();
        self.submit("/admin/rules/draft/apply", &[("version", draft)])
    }

    /// Opens a page that is a download.
    pub(super) fn open(&mut self, path: &str) -> Option<Refusal> {
        refusal(&self.browser.get(path))
    }

    /// Calls the API.
    pub(super) fn call(&mut self, method: &str, path: &str, body: &str) -> Option<Refusal> {
        let answer = match method {
            "GET" => self.program.get_json(path),
            _ => {
                let body = if body.is_empty() { "{}" } else { body };
                let body: Value =
                    serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
                self.program.json(method, path, &body)
            }
        };
        refusal(&answer)
    }

    /// Runs a command.
    pub(super) fn run(&mut self, words: &[String], line: &str) -> Option<Refusal> {
        let words = words.iter().map(String::as_str);
        let outcome = if line.is_empty() {
            self.installation.run(words)
        } else {
            self.installation.type_in(words, line)
        };
        match outcome.code {
            Some(0) => None,
            code => Some(Refusal {
                status: u16::try_from(code.unwrap_or(1)).unwrap_or(1),
                code: String::new(),
                text: outcome.err,
            }),
        }
    }

    /// Returns a name that nobody had.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        self.count += 1;
        format!("{stem}{}", self.count)
    }

    pub(super) fn get(&mut self, path: &str) -> Value {
        self.program.get_json(path).expect(200).json()
    }

    pub(super) fn post(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.program.json("POST", path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub(super) fn command(&mut self, words: &[&str], line: &str) -> String {
        let words = words.iter().copied();
        let outcome = if line.is_empty() {
            self.installation.run(words)
        } else {
            self.installation.type_in(words, line)
        };
        outcome.succeed().out
    }

    /// Signs somebody in who has [`PASSWORD`].
    pub(super) fn session_of(&mut self, name: &str) -> Client {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = self.server.client().post("/api/v1/auth/login/api", body).expect(200).json();
        self.server.client().with_bearer(answer["access_token"].as_str().unwrap())
    }

    pub(super) fn browser_of(&mut self, name: &str) -> (Client, String) {
        browser_of(&self.server, name)
    }

    /// Fails to sign somebody in.
    pub(super) fn knock(&mut self, name: &str) {
        let body = json!({"username": name, "password": "wrong-every-time"});
        let _ = self.server.client().post("/api/v1/auth/login/api", body);
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.installation.dir.0.join(name).to_str().unwrap().to_owned()
    }
}

fn browser_of(server: &Process, name: &str) -> (Client, String) {
    let mut browser = server.client();
    let body = json!({"username": name, "password": PASSWORD});
    let answer = browser.post("/api/v1/auth/login/web", body).expect(200).json();
    (browser, answer["csrf_token"].as_str().unwrap().to_owned())
}

fn refusal(answer: &Answer) -> Option<Refusal> {
    if answer.status < 400 {
        return None;
    }
    let text = answer.text();
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = document["code"].as_str().unwrap_or_default().to_owned();
    // A page says it in markup, the API beside the field.
    let said: String = match document.as_object() {
        Some(_) => format!("{} {}", document["detail"].as_str().unwrap_or_default(), document["fields"]),
        None => text.replace("&#34;", "\"").replace("&#39;", "'").replace("&#38;", "&"),
    };
    Some(Refusal { status: answer.status, code, text: said })
}

// -- what actions need

/// Each kind of key is replaced in a commit with an event of its own; those that no app uses go at the first time.
pub(super) fn one_kind_of_keys(world: &mut World) -> Vars {
    world.command(&["keys", "rotate", "--apps"], "");
    Vars::new()
}

pub(super) fn nothing(_: &mut World) -> Vars {
    Vec::new()
}

/// A name for something that is not there yet.
pub(super) fn new_name(world: &mut World) -> Vars {
    vec![("new", world.fresh("new"))]
}

fn person_of(world: &mut World) -> (String, String) {
    let name = world.fresh("mia");
    let made = world.post("/api/v1/admin/users", &json!({"username": name}));
    (made["user"]["id"].as_str().unwrap().to_owned(), name)
}

/// Somebody who was invited.
pub(super) fn person(world: &mut World) -> Vars {
    let (id, name) = person_of(world);
    vec![("id", id), ("username", name)]
}

/// An id and a name that are nobody's.
pub(super) fn nobody(_: &mut World) -> Vars {
    vec![("id", "AAAAAAAAAAAAAAAAAAAAAA".to_owned()), ("username", "nobody-at-all".to_owned())]
}

/// Somebody with [`PASSWORD`].
fn member_of(world: &mut World) -> (String, String) {
    let name = world.fresh("tom");
    world.command(&["user", "add", &name, "--password-stdin"], PASSWORD);
    let found = world.get(&format!("/api/v1/admin/users?q={name}"));
    (found["users"][0]["id"].as_str().unwrap().to_owned(), name)
}

pub(super) fn disabled(world: &mut World) -> Vars {
    let (id, name) = person_of(world);
    world.post(&format!("/api/v1/admin/users/{id}/disable"), &json!({}));
    vec![("id", id), ("username", name)]
}

/// Somebody with an authenticator app.
pub(super) fn with_totp(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    let mut phone = world.session_of(&name);
    let begun = phone.post("/api/v1/users/me/totp", json!({})).expect(201).json();
    let secret = begun["secret"].as_str().unwrap().replace(' ', "");
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let step = totp::step_at(SystemClock::shared().now());
    let code = totp::code_at(&TotpSecret::from_slice(&secret).unwrap(), step);
    phone.post("/api/v1/users/me/totp/confirm", json!({"otp": code})).expect(200);
    vec![("id", id), ("username", name)]
}

pub(super) fn with_session(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    world.session_of(&name);
    let detail = world.get(&format!("/api/v1/admin/users/{id}"));
    let handle = detail["sessions"][0]["handle"].as_str().unwrap().to_owned();
    vec![("id", id), ("username", name), ("handle", handle)]
}

/// Somebody, and a handle of nothing.
pub(super) fn with_no_handle(world: &mut World) -> Vars {
    let mut vars = person(world);
    vars.extend(["handle", "token", "passkey", "client"].map(|name| (name, "nonsense".to_owned())));
    vars
}

pub(super) fn with_passkey(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    let mut phone = world.session_of(&name);
    let mut key = SoftwareKey::new();
    let options = phone.post("/api/v1/users/me/passkeys/options", json!({})).expect(200).json();
    let credential = key.create(&options);
    phone.post("/api/v1/users/me/passkeys", json!({"name": "Phone", "credential": credential})).expect(201);
    let listed = world.get(&format!("/api/v1/admin/users/{id}/passkeys"));
    let handle = listed["passkeys"][0]["id"].as_str().unwrap().to_owned();
    vec![("id", id), ("username", name), ("passkey", handle)]
}

pub(super) fn with_app_token(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    world.command(&["user", "app-token", "add", &name, "NAS"], "");
    let listed = world.get(&format!("/api/v1/admin/users/{id}/app-tokens"));
    let handle = listed["app_tokens"][0]["id"].as_str().unwrap().to_owned();
    vec![("id", id), ("username", name), ("token", handle)]
}

/// Somebody who is not paused, by the names that lifting wants.
pub(super) fn paused(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    for _ in 0..3 {
        world.knock(&name);
    }
    vec![("id", id), ("username", name)]
}

/// Somebody who allowed an app something.
pub(super) fn with_consent(world: &mut World) -> Vars {
    let (id, name) = member_of(world);
    let client = world.fresh("app");
    let redirect = "https://app.example.org/callback";
    world.post(
        "/api/v1/admin/clients",
        &json!({"id": client, "name": client, "redirect_uris": [redirect], "pkce": "optional"}),
    );
    let (mut browser, csrf) = world.browser_of(&name);
    let asked = format!(
        "/oauth2/authorize?client_id={client}&response_type=code&scope=openid&state=s&redirect_uri={}",
        form_urlencoded::byte_serialize(redirect.as_bytes()).collect::<String>()
    );
    let page = browser.get(&asked).expect(200);
    let text = page.text();
    let mut fields: Vec<(String, String)> = Vec::new();
    for tag in text.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = tag.split_once('"').unwrap();
        let value = rest.split_once("value=\"").unwrap().1.split_once('"').unwrap().0;
        let value = value.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'");
        if name != "csrf" && name != "decision" {
            fields.push((name.to_owned(), value.replace("&#60;", "<").replace("&#62;", ">")));
        }
    }
    let mut all = vec![("csrf", csrf.as_str()), ("decision", "allow")];
    all.extend(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let answer = browser.form("/oauth2/consent", &all);
    assert!(answer.status < 400, "{}", answer.text());
    vec![("id", id), ("username", name), ("client", client)]
}

pub(super) fn with_invitation(world: &mut World) -> Vars {
    let note = world.fresh("note");
    world.post("/api/v1/admin/invites", &json!({"note": note}));
    let listed = world.get("/api/v1/admin/invites");
    let invites = listed["invites"].as_array().unwrap();
    let own = invites.iter().find(|invite| invite["note"] == note.as_str()).unwrap();
    vec![("handle", own["handle"].as_str().unwrap().to_owned())]
}

pub(super) fn no_handle(_: &mut World) -> Vars {
    ["handle", "name", "domain", "client"].map(|name| (name, "nonsense".to_owned())).to_vec()
}

pub(super) fn group(world: &mut World) -> Vars {
    let name = world.fresh("group");
    world.post("/api/v1/admin/groups", &json!({"name": name}));
    let new = world.fresh("new");
    vec![("name", name), ("new", new)]
}

/// A group with a rule that names it.
pub(super) fn group_in_use(world: &mut World) -> Vars {
    let vars = group(world);
    let rule = format!("group={}", vars[0].1);
    world.command(&["rules", "add", "allow", "one_factor", "domain=x.home.localhost", &rule], "");
    vars
}

/// Two groups, the second of which has the name that the first wants.
pub(super) fn group_and_its_wish(world: &mut World) -> Vars {
    let name = group(world)[0].1.clone();
    let new = group(world)[0].1.clone();
    vec![("name", name), ("new", new)]
}

/// A group and somebody outside.
pub(super) fn group_and_person(world: &mut World) -> Vars {
    let mut vars = person(world);
    vars.push(("user", vars[0].1.clone()));
    vars.push(("name", group(world)[0].1.clone()));
    vars
}

/// A group and somebody in it.
pub(super) fn group_and_member(world: &mut World) -> Vars {
    let vars = group_and_person(world);
    let path = filled("/api/v1/admin/groups/{name}/members/{user}", &vars);
    world.program.json("PUT", &path, &json!({})).expect(204);
    vars
}

/// Somebody, and a group that there is not.
pub(super) fn person_and_no_group(world: &mut World) -> Vars {
    let mut vars = person(world);
    vars.push(("user", vars[0].1.clone()));
    vars.push(("name", "no-such-group".to_owned()));
    vars
}

// -- apps, domains, rules

/// The body of a draft with one rule.
pub(super) const DRAFT: &str = r#"{"version":{draft},"based_on":{version},"rules":[{"domains":["d.home.localhost"],"policy":"one_factor"}]}"#;

/// The form of an app, with another name.
pub(super) const APP_FORM: &[(&str, &str)] = &[
    ("name", "Other"),
    ("redirect_uris", "https://app.example.org/callback"),
    ("post_logout_redirect_uris", ""),
    ("backchannel_logout_uri", ""),
    ("scopes", "openid"),
    ("who", "everyone"),
    ("level", "one_factor"),
    ("consent", "once"),
    ("auth_method", "any"),
    ("id_token_alg", "RS256"),
];

/// The same with an address that no app may have.
pub(super) const BAD_APP_FORM: &[(&str, &str)] = &[
    ("name", "Other"),
    ("redirect_uris", "javascript:alert(1)"),
    ("scopes", "openid"),
    ("who", "everyone"),
    ("level", "one_factor"),
    ("consent", "once"),
    ("auth_method", "any"),
    ("id_token_alg", "RS256"),
];

/// A file for `app apply` with another name.
pub(super) const APP_FILE: &str =
    "app = [{ id = \"{client}\", name = \"Other\", redirect_uris = [\"https://app.example.org/callback\"] }]";

pub(super) fn scope(world: &mut World) -> Vars {
    let name = world.fresh("scope");
    let body = json!({"claims": {"cost_center": "cost_center"}});
    world.program.json("PUT", &format!("/api/v1/admin/scopes/{name}"), &body).expect(204);
    vec![("name", name)]
}

pub(super) fn domain(world: &mut World) -> Vars {
    let domain = format!("{}.example", world.fresh("domain"));
    world.post("/api/v1/admin/domains", &json!({"domain": domain, "portal": format!("auth.{domain}")}));
    vec![("domain", domain)]
}

/// A name for an app, and the form that takes any app.
pub(super) fn new_app(world: &mut World) -> Vars {
    vec![("new", world.fresh("new")), ("preset", "openid-connect".to_owned())]
}

pub(super) fn snapshot(world: &mut World) -> Vars {
    let made = world.post("/api/v1/admin/backups", &json!({}));
    vec![("name", made["name"].as_str().unwrap().to_owned())]
}

/// A private key.
pub(super) fn key(_: &mut World) -> Vars {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let text = data_encoding::BASE64.encode(key.as_ref());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", lines.join("\n"));
    vec![("pem", pem)]
}

pub(super) fn app(world: &mut World) -> Vars {
    let id = world.fresh("app");
    let body = json!({"id": id, "name": id, "redirect_uris": ["https://app.example.org/callback"]});
    world.post("/api/v1/admin/clients", &body);
    vec![("client", id)]
}

pub(super) fn app_with_two_secrets(world: &mut World) -> Vars {
    let vars = app(world);
    world.post(&filled("/api/v1/admin/clients/{client}/secret", &vars), &json!({}));
    vars
}

pub(super) fn app_that_is_off(world: &mut World) -> Vars {
    let vars = app(world);
    world.command(&["app", "disable", &vars[0].1], "");
    vars
}

/// No draft, and rules as they are.
pub(super) fn rules(world: &mut World) -> Vars {
    world.program.json("DELETE", "/api/v1/admin/rules/draft", &json!({}));
    state(world)
}

fn state(world: &mut World) -> Vars {
    let list = world.get("/api/v1/admin/rules");
    let draft = world.get("/api/v1/admin/rules/draft");
    vec![("version", list["version"].to_string()), ("draft", draft["version"].to_string())]
}

fn set_rules(world: &mut World, hosts: &[&str]) -> Vars {
    rules(world);
    let rule = |host: &&str| format!("allow one_factor domain={host}.home.localhost");
    let file = world.path("rules");
    std::fs::write(&file, hosts.iter().map(rule).collect::<Vec<_>>().join("\n")).unwrap();
    world.command(&["rules", "apply", &file], "");
    let mut vars = state(world);
    vars.push(("rule", first_rule(world)));
    vars
}

/// Finds how the page names the first rule.
fn first_rule(world: &mut World) -> String {
    let page = world.browser.get("/admin/rules").expect(200).text();
    let at = page.find("action=\"/admin/rules/").unwrap_or_else(|| panic!("{page}"));
    let rest = &page[at + "action=\"/admin/rules/".len()..];
    rest.split(['/', '"']).next().unwrap().to_owned()
}

pub(super) fn one_rule(world: &mut World) -> Vars {
    set_rules(world, &["x"])
}

pub(super) fn two_rules(world: &mut World) -> Vars {
    set_rules(world, &["x", "y"])
}

pub(super) fn draft(world: &mut World) -> Vars {
    let vars = rules(world);
    world
        .program
        .json("PUT", "/api/v1/admin/rules/draft", &serde_json::from_str(&filled(DRAFT, &vars)).unwrap())
        .expect(200);
    state(world)
}

/// One rule, by the versions of before it was joined by another.
pub(super) fn stale_rules(world: &mut World) -> Vars {
    let vars = set_rules(world, &["x"]);
    world.command(&["rules", "add", "allow", "one_factor", "domain=y.home.localhost"], "");
    vars
}

/// A file that is not there yet.
pub(super) fn new_file(world: &mut World) -> Vars {
    let name = world.fresh("file");
    vec![("file", world.path(&name))]
}

/// As many snapshots as anybody may ask for.
pub(super) fn many_snapshots(world: &mut World) -> Vars {
    while world.program.json("POST", "/api/v1/admin/backups", &json!({})).status < 300 {}
    Vec::new()
}
