//! The forward-auth contract over real HTTP: every cell of the tables of endpoints, answers and headers, for every way in
//! which a proxy asks.

mod answers;
mod assertion;
mod calls;
mod inputs;
mod portal;
mod switches;
mod visitors;

use doorward::access::ForwardAuthSettings;
use doorward::accounts::records::Role;
use doorward::app::Options;
use doorward::sessions::Factors;

use crate::harness::{Answer, Client, Server, lift_limits};

/// Where people sign in.
const PORTAL: &str = "https://auth.home.example";

/// An app for each outcome.
const RULES: &[&str] = &[
    "bypass domain=open.home.example",
    "bypass domain=photos.home.example path=^/share/",
    "deny domain=closed.home.example",
    "allow one_factor domain=photos.home.example",
    "allow one_factor domain=family.home.example group=family",
    "allow two_factor domain=bank.home.example",
    "bypass domain=forms.home.example method=GET",
    "allow two_factor domain=forms.home.example",
];

/// Starts an installation as it is behind a real proxy: https everywhere, and the proxy on this machine.
fn start_with(settings: ForwardAuthSettings) -> Server {
    start_changed(|options| options.forward_auth = settings)
}

fn start_changed(change: impl FnOnce(&mut Options)) -> Server {
    let server = Server::start_with(|options| {
        lift_limits(options);
        options.site.public_origin = Some(PORTAL.to_owned());
        options.site.default_origin = PORTAL.to_owned();
        options.site.protected_domain = Some("home.example".to_owned());
        change(options);
    });
    server.set_rules(RULES);
    server
}

fn start() -> Server {
    start_with(ForwardAuthSettings::default())
}

/// How a proxy asks: each endpoint, and the old one in both of its ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    AuthRequest,
    ForwardAuth,
    ExtAuthz,
    LegacyUrl,
    LegacyForwarded,
}

const ALL: [By; 5] = [By::AuthRequest, By::ForwardAuth, By::ExtAuthz, By::LegacyUrl, By::LegacyForwarded];

/// The request of somebody to an app.
#[derive(Clone, Debug)]
struct Visit<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    /// Whatever the browser sends.
    headers: Vec<(&'a str, &'a str)>,
    cookie: Option<String>,
}

fn visit<'a>(method: &'a str, host: &'a str, target: &'a str) -> Visit<'a> {
    Visit { method, host, target, headers: vec![("Accept", "text/html,*/*;q=0.8")], cookie: None }
}

impl<'a> Visit<'a> {
    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name, value));
        }
        self
    }

    fn of(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self
    }

    fn url(&self) -> String {
        format!("https://{}{}", self.host, self.target)
    }
}

/// Asks about a visit as a proxy of this kind does.
fn ask(server: &Server, by: By, visit: &Visit<'_>) -> Answer {
    let legacy = format!("/api/verify?rd={PORTAL}");
    match by {
        By::AuthRequest => ask_at(server, by, "/api/authz/auth-request", visit),
        By::ForwardAuth => ask_at(server, by, "/api/authz/forward-auth", visit),
        // Envoy puts its prefix, with a slash at the end, before the path.
        By::ExtAuthz => ask_at(server, by, &format!("/api/authz/ext-authz/{}", visit.target), visit),
        By::LegacyUrl | By::LegacyForwarded => ask_at(server, by, &legacy, visit),
    }
}

/// Asks at an address of one's choice.
fn ask_at(server: &Server, by: By, path: &str, visit: &Visit<'_>) -> Answer {
    let url = visit.url();
    let mut headers = visit.headers.clone();
    let forwarded = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", visit.host),
        ("X-Forwarded-Uri", visit.target),
        ("X-Forwarded-Method", visit.method),
    ];
    let method = match by {
        By::AuthRequest => {
            headers.extend([("X-Original-URL", url.as_str()), ("X-Original-Method", visit.method)]);
            "GET"
        }
        By::ForwardAuth => {
            headers.extend(forwarded);
            "GET"
        }
        By::ExtAuthz => {
            headers.extend([("Host", visit.host), ("X-Forwarded-Proto", "https")]);
            visit.method
        }
        By::LegacyUrl => {
            headers.extend([("X-Original-URL", url.as_str()), ("X-Forwarded-Method", visit.method)]);
            "GET"
        }
        By::LegacyForwarded => {
            headers.extend(forwarded);
            "GET"
        }
    };
    let cookie = visit.cookie.as_ref().map(|value| format!("__Secure-dw_fa={value}"));
    headers.extend(cookie.as_deref().map(|cookie| ("Cookie", cookie)));
    server.client().send(method, path, &headers, b"")
}

/// Makes a person and returns the cookie that apps of theirs receive.
fn person(server: &Server, name: &str, groups: &[&str], factors: Factors) -> String {
    let id = server.add_user(name, Role::Member, groups);
    server.web_session_with(id, factors).app_cookie
}

fn two_factors() -> Factors {
    Factors::PASSWORD.with(Factors::TOTP)
}

fn identity(answer: &Answer) -> [Option<&str>; 4] {
    ["remote-user", "remote-groups", "remote-name", "remote-email"].map(|name| answer.header(name))
}

const NOBODY: [Option<&str>; 4] = [Some(""), Some(""), Some(""), Some("")];
const NONE: [Option<&str>; 4] = [None, None, None, None];

/// Returns where a denied visit is sent.
fn way_in(visit: &Visit<'_>) -> String {
    let rd: String = form_urlencoded::byte_serialize(visit.url().as_bytes()).collect();
    format!("{PORTAL}/?rd={rd}&rm={}", visit.method)
}

/// A browser that opens Doorward itself through the proxy.
fn browser(server: &Server) -> Client {
    server
        .client()
        .with_header("Host", "auth.home.example")
        .with_header("X-Forwarded-Proto", "https")
        .with_header("Origin", PORTAL)
}
