//! Every kind of caller, made without the cost of a real sign-in, and requests that reach the handler of any route.

use doorward::access::Dialect;
use doorward::accounts::records::{Role, Status};
use doorward::accounts::users::NewUser;
use doorward::kernel::ids::{SessionId, UserId};
use doorward::kernel::text::{DisplayName, Username};
use doorward::routes::{Action, Face, Method2, Route};
use doorward::sessions::{Factors, NewSession, SessionKind, StartedSession};

use crate::harness::{Answer, Client, ORIGIN, Server};

/// A browser session and everything that belongs to it.
pub(crate) struct WebSession {
    pub(crate) id: SessionId,
    pub(crate) cookie: String,
    pub(crate) app_cookie: String,
    pub(crate) refresh: String,
    pub(crate) csrf: String,
}

impl WebSession {
    /// Returns a browser that holds the session cookie and sends the CSRF token.
    pub(crate) fn client(&self, server: &Server) -> Client {
        let mut client = server.client().with_header("X-CSRF-Token", &self.csrf);
        client.cookies.push(("dw".to_owned(), self.cookie.clone()));
        client
    }
}

impl Server {
    /// Makes a user who has no password, so that nothing needs to be hashed.
    pub(crate) fn add_bare_user(&self, name: &str, role: Role) -> UserId {
        let app = self.app();
        self.block_on(async {
            let mut batch = app.store().batch();
            let new = NewUser {
                username: Username::parse(name).unwrap(),
                display_name: DisplayName::parse(name).unwrap(),
                email: None,
                groups: Vec::new(),
                role,
                password_hash: None,
            };
            let id = app.accounts.stage_create_knowingly(&mut batch, new, true).unwrap();
            app.store().commit(batch).await.unwrap();
            id
        })
    }

    fn start_session(&self, user: UserId, kind: SessionKind, factors: Factors) -> StartedSession {
        let app = self.app();
        self.block_on(async {
            let mut batch = app.store().batch();
            let new = NewSession {
                user,
                kind,
                factors,
                label: "test".to_owned(),
                place: "test".to_owned(),
                is_remembered: false,
                with_refresh: true,
                in_place_of: None,
            };
            let started =
                app.sessions.stage_start(&mut batch, new).unwrap_or_else(|problem| panic!("{problem:?}"));
            app.store().commit(batch).await.unwrap();
            started
        })
    }

    /// Starts a browser session with both factors.
    pub(crate) fn web_session(&self, user: UserId) -> WebSession {
        self.web_session_with(user, Factors::PASSWORD.with(Factors::TOTP))
    }

    /// Starts a browser session that proved `factors`.
    pub(crate) fn web_session_with(&self, user: UserId, factors: Factors) -> WebSession {
        let started = self.start_session(user, SessionKind::Web, factors);
        WebSession {
            id: started.id,
            cookie: started.cookie.unwrap().expose().clone(),
            // There is none while no domain is protected.
            app_cookie: started.forward_cookie.map(|cookie| cookie.expose().clone()).unwrap_or_default(),
            refresh: started.refresh_token.unwrap().expose().clone(),
            csrf: self.app().sessions.csrf_token(&started.id),
        }
    }

    /// Starts an API session and returns its access token.
    pub(crate) fn access_token(&self, user: UserId) -> String {
        let factors = Factors::PASSWORD.with(Factors::TOTP);
        let started = self.start_session(user, SessionKind::Api, factors);
        let tokens = self.app().sessions.issue(&started).unwrap_or_else(|problem| panic!("{problem:?}"));
        tokens.access_token.expose().clone()
    }

    pub(crate) fn disable(&self, user: UserId) {
        let change = self.app().accounts.change(
            user,
            |record| {
                record.status = Status::Disabled;
                Ok(())
            },
            |_, _| {},
        );
        self.block_on(change).unwrap();
    }
}

/// Returns the path of a route with something well-formed that does not exist in the place of each `{name}`.
pub(crate) fn path_of(route: &Route) -> String {
    route
        .path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "AAAAAAAAAAAAAAAAAAAAAA" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

/// Returns the content type that bodies of a route have.
pub(crate) fn content_type(route: &Route) -> &'static str {
    if takes_json(route) { "application/json" } else { "application/x-www-form-urlencoded" }
}

/// Tells whether bodies of a route are JSON: those of programs, and what registers an app (RFC 7591 section 3.1).
pub(crate) fn takes_json(route: &Route) -> bool {
    route.face == Face::Api || route.path.starts_with("/oauth2/register")
}

/// Sends an empty but sound request from our own pages, with what reverse proxies add for their routes.
pub(crate) fn knock(client: &mut Client, route: &Route) -> Answer {
    let is_write = route.method != Method2::Get;
    let mut headers = vec![("Accept", "application/json")];
    if is_write {
        headers.extend([("Origin", ORIGIN), ("Content-Type", content_type(route))]);
    }
    if let Action::Proxy(endpoint) = route.action {
        if endpoint.dialect == Dialect::ExtAuthz {
            // The app's own request, with a path of ours in front of its own.
            headers.push(("Host", "app.home.localhost"));
        }
        headers.extend([
            ("X-Original-URL", "https://app.home.localhost/"),
            ("X-Original-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.home.localhost"),
            ("X-Forwarded-Uri", "/"),
            ("X-Forwarded-Method", "GET"),
        ]);
    }
    let body: &[u8] = if is_write && takes_json(route) { b"{}" } else { b"" };
    client.send(route.method.as_str(), &path_of(route), &headers, body)
}

/// Returns the code of a problem document, or nothing.
pub(crate) fn code_of(answer: &Answer) -> String {
    match answer.header("content-type") {
        Some("application/problem+json") => answer.code(),
        _ => String::new(),
    }
}

/// Tells whether a route can only be reached by a signed-in person or program.
pub(crate) fn needs_sign_in(route: &Route) -> bool {
    !matches!(route.action, Action::Open(_) | Action::Document(_) | Action::Maybe(_) | Action::Proxy(_))
}

/// Tells whether a route can only be reached by administrators.
pub(crate) fn needs_admin(route: &Route) -> bool {
    matches!(route.action, Action::Admin(_) | Action::AdminBrowser(_))
}
