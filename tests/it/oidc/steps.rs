//! Steps that several files take: people without passwords, pages that ask, devices, pushed requests.

use doorward::accounts::records::Role;
use doorward::accounts::users::SecondFactorPolicy;
use doorward::sessions::Factors;

use super::*;
use crate::callers::WebSession;

/// Everything that a client may ask tokens for.
pub(crate) const ALL_GRANTS: [&str; 4] = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
];
/// The grant type of RFC 8628.
pub(crate) const DEVICE: &str = ALL_GRANTS[3];

/// A person with a browser in which they are signed in by password.
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) session: WebSession,
    pub(crate) browser: Client,
}

impl Provider {
    /// An administrator who proved who they are just now, whatever the clock says.
    pub(crate) fn warden(&self) -> Client {
        let app = self.server.app();
        let known = self.server.block_on(async { app.accounts.resolve("warden") }).unwrap();
        let id = known.map_or_else(|| self.server.add_bare_user("warden", Role::Admin), |user| user.id);
        self.server.client().with_bearer(&self.server.access_token(id))
    }

    /// Makes a person in the group `friends`.
    pub(crate) fn person(&self, name: &str) -> Person {
        let id = self.server.add_bare_user(name, Role::Member);
        let mut warden = self.warden();
        warden.post("/api/v1/admin/groups", json!({ "name": "friends" }));
        warden
            .json("PATCH", &format!("/api/v1/admin/users/{id}"), &json!({ "groups": ["friends"] }))
            .expect(200);
        let session = self.server.web_session_with(id, Factors::PASSWORD);
        let browser = session.client(&self.server);
        Person { id, session, browser }
    }

    /// Stops the server and starts it again over the same data.
    pub(crate) fn restart(self) -> Provider {
        self.restart_with(SecondFactorPolicy::Optional)
    }

    /// As [`Provider::restart`], and asks for more from now on.
    pub(crate) fn restart_with(self, policy: SecondFactorPolicy) -> Provider {
        let Provider { server, ada, admin } = self;
        let (dir, clock) = (server.dir.clone(), server.clock.clone());
        drop(server);
        let server = Server::start_at(dir, clock, |options| {
            lift_limits(options);
            options.second_factor = policy;
        });
        Provider { server, ada, admin }
    }

    /// Pushes a request and returns its reference.
    #[track_caller]
    pub(crate) fn push(&self, app: &App, extra: &[(&str, &str)]) -> String {
        let path = self.authorize_path(app, extra);
        let params = Redirect::of(&path).params;
        let fields: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "client_id").collect();
        let answer = self.post_as(app, "/oauth2/par", &fields).expect(201).json();
        text(&answer, "request_uri").to_owned()
    }

    /// Lets a device ask for a code.
    #[track_caller]
    pub(crate) fn device(&self, app: &App, fields: &[(&str, &str)]) -> Value {
        self.post_as(app, "/oauth2/device_authorization", fields).expect(200).json()
    }

    /// Asks for the tokens of a device.
    pub(crate) fn poll(&self, app: &App, device: &Value) -> Answer {
        let fields = [("grant_type", DEVICE), ("device_code", text(device, "device_code"))];
        self.post_as(app, "/oauth2/token", &fields)
    }

    /// Introspects as the client that the token was given to.
    pub(crate) fn is_active(&self, app: &App, token: &str) -> bool {
        let answer = self.post_as(app, "/oauth2/introspect", &[("token", token)]);
        answer.status == 200 && answer.json()["active"] == true
    }
}

/// Says yes (or no) on the page that asks about an app, and returns the answer.
#[track_caller]
pub(crate) fn decide(browser: &mut Client, page: &Answer, decision: &str) -> Answer {
    let field =
        |name: &str| unescape(&page.input(name).unwrap_or_else(|| panic!("no {name}: {}", page.text())));
    let (csrf, request, question) = (field("csrf"), field("request"), field("question"));
    let fields = [("csrf", &*csrf), ("request", &request), ("question", &question), ("decision", decision)];
    browser.form("/oauth2/consent", &fields)
}

/// Goes to an authorization request, says yes if asked, and returns the redirect.
#[track_caller]
pub(crate) fn agree(browser: &mut Client, path: &str) -> Redirect {
    let mut answer = browser.get(path);
    if answer.status == 200 {
        answer = decide(browser, &answer, "allow");
    }
    assert_eq!(answer.status, 303, "{}", answer.text());
    Redirect::of(answer.header("location").unwrap())
}

/// Lets a device in, or not.
#[track_caller]
pub(crate) fn decide_device(browser: &mut Client, device: &Value, decision: &str) -> Answer {
    let code = text(device, "user_code");
    let page = browser.get(&format!("/device?{}", query(&[("user_code", code)]))).expect(200);
    let csrf = page.input("csrf").unwrap();
    browser.form("/device", &[("csrf", &csrf), ("user_code", code), ("decision", decision)])
}

/// Returns the error of an answer of an OAuth endpoint.
#[track_caller]
pub(crate) fn error_of(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", answer.text())).to_owned()
}
