//! Every route with every kind of caller, compared with `matrix.txt` (GEN-06). A route that is not in the file fails.
//! After a change that was meant, look at the difference and write the file anew with `DOORWARD_BLESS=1`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use doorward::accounts::records::Role;
use doorward::routes::{Action, Method2, ROUTES, Route};
use serde_json::json;

use crate::callers::{code_of, knock, needs_admin, needs_sign_in};
use crate::harness::{Answer, Client, PASSWORD, Server, cheapen_hashing, lift_limits};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix.txt");

const HEAD: &str = "\
# Who reaches which route. One row a route, one word a caller.
#
#   ok      the handler answered 2xx or 3xx to an empty request
#   bad     the handler refused the empty request
#   signin  sign in first: 401, or a redirect to the sign-in page
#   admin   403, for administrators only
#   one     400, two credentials at once
#
";

/// The callers, in the order of the columns.
const CALLERS: [&str; 14] = [
    "anonymous",
    "pending",
    "pending-bearer",
    "member",
    "member-bearer",
    "admin",
    "admin-bearer",
    "disabled",
    "disabled-bearer",
    "both",
    "app-cookie",
    "app-as-session",
    "session-as-app",
    "basic",
];

/// Who may never pass a guard, whatever the file says.
const NOBODIES: [&str; 8] = [
    "anonymous",
    "pending",
    "disabled",
    "disabled-bearer",
    "app-cookie",
    "app-as-session",
    "session-as-app",
    "pending-bearer",
];

struct Cast<'a> {
    server: &'a Server,
    count: u32,
    known: HashMap<&'static str, Client>,
}

impl Cast<'_> {
    fn client(&mut self, caller: &'static str) -> Client {
        if let Some(client) = self.known.get(caller) {
            return client.clone();
        }
        let client = self.make(caller);
        self.known.insert(caller, client.clone());
        client
    }

    fn make(&mut self, caller: &str) -> Client {
        self.count += 1;
        let server = self.server;
        let role = if caller.starts_with("member") { Role::Member } else { Role::Admin };
        let mut client = server.client();
        if matches!(caller, "pending" | "pending-bearer") {
            let token = self.pending();
            if caller == "pending" {
                client.cookies =
                    vec![("dw_pending".to_owned(), token.clone()), ("dw".to_owned(), token.clone())];
                return client;
            }
            return client.with_bearer(&token);
        }
        if caller == "anonymous" {
            return client;
        }
        let user = server.add_bare_user(&format!("{caller}-{}", self.count), role);
        let cookie = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let session = server.web_session(user);
        match caller {
            "member" | "admin" | "disabled" => client = session.client(server),
            "member-bearer" | "admin-bearer" | "disabled-bearer" => {
                client.bearer = Some(server.access_token(user));
            }
            "both" => client = session.client(server).with_bearer(&server.access_token(user)),
            "app-cookie" => client.cookies.push(cookie("dw_fa", &session.app_cookie)),
            "app-as-session" => {
                client = session.client(server);
                client.cookies = vec![cookie("dw", &session.app_cookie)];
            }
            "session-as-app" => client.cookies.push(cookie("dw_fa", &session.cookie)),
            "basic" => client = client.with_header("Authorization", "Basic YWRhOnBsdW0="),
            other => panic!("{other}"),
        }
        if caller.starts_with("disabled") {
            server.disable(user);
        }
        client
    }

    /// A sign-in of an administrator whose second factor is still missing.
    fn pending(&self) -> String {
        let body = json!({"username": "pending", "password": PASSWORD});
        let answer = self.server.client().post("/api/v1/auth/login/api", body).expect(200).json();
        assert_eq!(answer["status"], "mfa_required");
        answer["pending_token"].as_str().unwrap().to_owned()
    }
}

fn class(route: &Route, answer: &Answer) -> &'static str {
    let code = code_of(answer);
    let is_sign_in_page = answer.header("location").is_some_and(|to| to.starts_with("/signin?rd="));
    match answer.status {
        400 if code == "two_credentials" => "one",
        401 if matches!(route.action, Action::Proxy(_)) => "signin",
        401 if code == "not_signed_in" || code == "wrong_scheme" || code.starts_with("token_") => "signin",
        303 if is_sign_in_page => "signin",
        403 if code == "not_allowed" => "admin",
        403 if code == "csrf" => panic!("the request carries what CSRF asks for: {}", answer.text()),
        429 if needs_sign_in(route) => panic!("the limits are out of the way: {}", answer.text()),
        200..400 => "ok",
        400..500 => "bad",
        other => panic!("{} {} answers {other}: {}", route.method.as_str(), route.path, answer.text()),
    }
}

fn server() -> Server {
    let server = Server::start_with(|options| {
        lift_limits(options);
        cheapen_hashing(options);
    });
    server.add_bare_user("keeper", Role::Admin);
    let pending = server.add_user("pending", Role::Admin, &[]);
    server.enrol_totp(pending);
    server.set_rules(&["allow one_factor domain=app.home.localhost"]);
    server
}

fn measure() -> BTreeMap<String, Vec<&'static str>> {
    let server = server();
    let mut cast = Cast { server: &server, count: 0, known: HashMap::new() };
    let mut rows = BTreeMap::new();
    for route in ROUTES {
        let mut row = Vec::new();
        for caller in CALLERS {
            let answer = knock(&mut cast.client(caller), route);
            let class = class(route, &answer);
            // What changed something may have ended sessions, accounts or keys.
            if route.path == "/api/v1/admin/keys/rotate" {
                cast.known.clear();
            } else if route.method != Method2::Get && (class == "ok" || caller.starts_with("pending")) {
                cast.known.remove(caller);
            }
            // New signing keys void the access tokens of everybody.
            if route.path.ends_with("/keys/rotate") && class == "ok" {
                cast.known.clear();
            }
            let name =
                format!("{} {} as {caller}: {} {}", route.method.as_str(), route.path, class, answer.text());
            if needs_sign_in(route) && NOBODIES.contains(&caller) {
                assert_eq!(class, "signin", "{name}");
            }
            if needs_admin(route) && caller.starts_with("member") {
                assert!(matches!(class, "signin" | "admin"), "{name}");
            }
            if matches!(route.action, Action::Proxy(_)) && caller != "app-cookie" {
                assert_eq!(class, "signin", "{name}");
            }
            row.push(class);
        }
        rows.insert(format!("{} {}", route.method.as_str(), route.path), row);
    }
    rows
}

fn write(rows: &BTreeMap<String, Vec<&'static str>>) -> String {
    let width = rows.keys().map(String::len).max().unwrap_or(0);
    let mut text = HEAD.to_owned();
    let line = |name: &str, words: &[&str]| {
        let cells: Vec<String> =
            CALLERS.iter().zip(words).map(|(caller, word)| format!("{word:<0$}", caller.len())).collect();
        format!("{name:<width$}  {}", cells.join("  ")).trim_end().to_owned()
    };
    writeln!(text, "{}", line("#", &CALLERS)).unwrap();
    for (name, row) in rows {
        writeln!(text, "{}", line(name, row)).unwrap();
    }
    text
}

fn read(text: &str) -> BTreeMap<String, Vec<String>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let name = format!("{} {}", words.next().unwrap(), words.next().unwrap());
            (name, words.collect())
        })
        .collect()
}

/// GEN-06, GEN-01, GEN-02, SES-05, OTP-07: every route answers every kind of caller as the checked-in file says.
#[test]
fn every_route_answers_every_caller_as_written_down() {
    let rows = measure();
    if std::env::var_os("DOORWARD_BLESS").is_some() {
        std::fs::write(FILE, write(&rows)).unwrap();
        return;
    }
    let written = read(&std::fs::read_to_string(FILE).unwrap());
    let mut faults = String::new();
    for (name, row) in &rows {
        match written.get(name) {
            None => writeln!(faults, "{name} is not in matrix.txt; it answers {row:?}").unwrap(),
            Some(expected) => {
                for ((caller, word), expected) in CALLERS.iter().zip(row).zip(expected) {
                    if word != expected {
                        writeln!(faults, "{name} as {caller}: {word}, not {expected}").unwrap();
                    }
                }
                assert_eq!(expected.len(), row.len(), "{name}");
            }
        }
    }
    for name in written.keys().filter(|name| !rows.contains_key(*name)) {
        writeln!(faults, "{name} is in matrix.txt and not in the table").unwrap();
    }
    assert!(
        faults.is_empty(),
        "\n{faults}\nIf this was meant: DOORWARD_BLESS=1, then read the difference.\n"
    );
}
