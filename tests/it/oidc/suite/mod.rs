//! What every module of the conformance suite of the OpenID Foundation does and checks, as code: a provider at an https
//! address with a person of whom everything is known, clients, a browser with an empty jar, and the checks of answers.
//! What the suite only warns about is a failure here.

pub(crate) mod browser;
pub(crate) mod checks;
pub(crate) mod fapi;
pub(crate) mod keys;

use std::time::Duration;

use doorward::accounts::profile::Edit;
use doorward::accounts::records::Role;
use doorward::app::Options;
use doorward::crypto::signing::PrivateKey;
use doorward::kernel::time::{Clock, Timestamp};
use serde_json::{Value, json};

use self::browser::{Browser, Params, Visit, with_query};
use super::{App, basic, query};
use crate::harness::{Answer, Client, Server, lift_limits};

/// Who the provider is.
pub(crate) const ISSUER: &str = "https://id.example.org";
pub(crate) const HOST: &str = "id.example.org";
/// Who signs in.
pub(crate) const PERSON: &str = "ada";
/// Where codes go.
pub(crate) const CALLBACK: &str = "https://app.example.org/test/a/doorward/callback";
/// Where the browser goes after signing out.
pub(crate) const POST_LOGOUT: &str = "https://app.example.org/test/a/doorward/post_logout_redirect";

/// How authorization responses travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `response_mode` is not sent.
    Default,
    FormPost,
}

/// What is known of the person.
const PROFILE: [(&str, &str); 19] = [
    ("given_name", "Ada"),
    ("family_name", "Lovelace"),
    ("middle_name", "King"),
    ("nickname", "Ada"),
    ("profile", "https://example.org/ada"),
    ("picture", "https://example.org/ada.png"),
    ("website", "https://ada.example.org/"),
    ("gender", "female"),
    ("birthdate", "1815-12-10"),
    ("zoneinfo", "Europe/London"),
    ("locale", "en-GB"),
    ("phone_number", "+44 20 7946 0000"),
    ("phone_number_verified", "true"),
    ("email_verified", "true"),
    ("address.formatted", "12 St James's Square\nLondon SW1Y 4JH"),
    ("address.street_address", "12 St James's Square"),
    ("address.locality", "London"),
    ("address.postal_code", "SW1Y 4JH"),
    ("address.country", "United Kingdom"),
];

/// A run of one module.
pub(crate) struct Suite {
    pub(crate) server: Server,
    pub(crate) mode: Mode,
    admin: String,
    /// Metadata and keys as published, checked.
    pub(crate) metadata: Value,
    pub(crate) keys: Vec<Value>,
    /// The client that most modules are about.
    pub(crate) app: App,
    pub(crate) browser: Browser,
    /// Counts the values that must differ.
    count: u32,
}

/// A request as the suite makes it.
#[derive(Clone, Debug)]
pub(crate) struct Request(pub(crate) Vec<(String, String)>);

impl Request {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Replaces or adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Request {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => value.clone_into(own),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Request {
        self.0.retain(|(own, _)| own != name);
        self
    }
}

/// Tokens that were checked.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) body: Value,
    pub(crate) id_token: Value,
}

impl Tokens {
    pub(crate) fn text(&self, name: &str) -> &str {
        super::text(&self.body, name)
    }

    pub(crate) fn access_token(&self) -> &str {
        self.text("access_token")
    }

    pub(crate) fn auth_time(&self) -> u64 {
        self.id_token["auth_time"].as_u64().expect("auth_time")
    }
}

/// A client that asks the server by its public name, as a proxy in front of it hands requests on.
fn caller(server: &Server) -> Client {
    server.client().with_header("Host", HOST).with_header("X-Forwarded-Proto", "https")
}

impl Suite {
    /// Starts a provider and does what every module begins with: reads metadata and keys and checks them.
    pub(crate) fn start(mode: Mode) -> Suite {
        Suite::start_with(mode, json!({}), |_| {})
    }

    /// With other settings of the client and the provider.
    pub(crate) fn start_with(mode: Mode, settings: Value, change: impl FnOnce(&mut Options)) -> Suite {
        let server = Server::start_with(|options| {
            lift_limits(options);
            options.site.public_origin = Some(ISSUER.to_owned());
            options.site.default_origin = ISSUER.to_owned();
            change(options);
        });
        let key = PrivateKey::from_pem(include_str!("../rsa-key.pem")).unwrap();
        server.block_on(server.app().oidc.adopt_key(key, |_| {})).unwrap();
        let boss = server.add_bare_user("boss", Role::Owner);
        let admin = server.access_token(boss);
        let person = server.add_user(PERSON, Role::Member, &["family"]);
        let edits: Vec<Edit> =
            PROFILE.iter().map(|(name, value)| Edit::parse(name, Some(value)).unwrap()).collect();
        let profile = server.app().accounts.change_profile(
            person,
            |profile, _| {
                profile.apply(&edits);
                Ok(())
            },
            |_, _| {},
        );
        server.block_on(profile).unwrap();
        let browser = Browser { client: caller(&server), consents: true };
        let app = App { id: String::new(), secret: None };
        let (metadata, keys) = (Value::Null, Vec::new());
        let mut suite = Suite { server, mode, admin, metadata, keys, app, browser, count: 0 };
        suite.app = suite.add_app(settings);
        suite.metadata = checks::metadata(&suite.ask("/.well-known/openid-configuration"));
        suite.keys = suite.read_keys();
        suite
    }

    pub(crate) fn read_keys(&self) -> Vec<Value> {
        let uri = self.metadata["jwks_uri"].as_str().expect("jwks_uri");
        checks::keys(&self.ask(uri.strip_prefix(ISSUER).unwrap()))
    }

    /// Adds a client as somebody registers one by hand for the suite: the given settings over the usual ones.
    pub(crate) fn add_app(&self, settings: Value) -> App {
        let mut body = json!({
            "name": "Conformance suite",
            "redirect_uris": [CALLBACK],
            "post_logout_redirect_uris": [POST_LOGOUT],
            "auth_method": "client_secret_basic",
            "pkce": "optional",
            "consent": "once",
            "claims_in_id_token": false,
            "scopes": ["openid", "profile", "email", "address", "phone", "offline_access"],
        });
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let mut admin = self.caller().with_bearer(&self.admin).with_header("Origin", ISSUER);
        let answer = admin.post("/api/v1/admin/clients", body).expect(201).json();
        App {
            id: answer["client"]["id"].as_str().unwrap().to_owned(),
            secret: answer["client_secret"].as_str().map(str::to_owned),
        }
    }

    /// A program that calls the provider.
    pub(crate) fn caller(&self) -> Client {
        caller(&self.server)
    }

    /// Reads a public document.
    pub(crate) fn ask(&self, path: &str) -> Answer {
        self.caller().get_json(path)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.server.clock.advance(Duration::from_secs(seconds));
    }

    /// Returns a value that was not used before: unreserved characters, as many as wished.
    pub(crate) fn fresh(&mut self, length: usize) -> String {
        self.count += 1;
        let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
        let seed = self.count as usize * 17;
        (0..length).map(|at| char::from(alphabet[(seed + at * 31 + at * at * 7) % alphabet.len()])).collect()
    }

    /// The request that modules change: `openid`, a state and a nonce of 10 characters.
    pub(crate) fn request(&mut self) -> Request {
        self.request_of(&self.app.clone())
    }

    pub(crate) fn request_of(&mut self, app: &App) -> Request {
        let (state, nonce) = (self.fresh(10), self.fresh(10));
        let request = Request(Vec::new())
            .with("client_id", &app.id)
            .with("redirect_uri", CALLBACK)
            .with("scope", "openid")
            .with("state", &state)
            .with("nonce", &nonce)
            .with("response_type", "code");
        match self.mode {
            Mode::Default => request,
            Mode::FormPost => request.with("response_mode", "form_post"),
        }
    }

    /// Sends the browser to the authorization endpoint.
    pub(crate) fn visit(&mut self, request: &Request) -> Visit {
        self.browser.get(&with_query("/oauth2/authorize", &request.0))
    }

    /// Sends the browser there and returns the code of the answer, checked.
    #[track_caller]
    pub(crate) fn authorize(&mut self, request: &Request) -> String {
        let visit = self.visit(request);
        self.code(&visit, request)
    }

    /// Returns the code of a visit that went well.
    #[track_caller]
    pub(crate) fn code(&self, visit: &Visit, request: &Request) -> String {
        let answer = checks::response(visit.at_app(), request, self.mode);
        checks::code(&answer)
    }

    /// Returns the answer to a request that is refused at the app; its error must be one of `allowed`.
    #[track_caller]
    pub(crate) fn error(&self, visit: &Visit, request: &Request, allowed: &[&str]) -> Params {
        let answer = checks::response(visit.at_app(), request, self.mode);
        checks::error(&answer, allowed);
        answer
    }

    /// Sends a form with `Authorization: Basic`.
    pub(crate) fn post_as(&self, app: &App, path: &str, fields: &[(&str, &str)]) -> Answer {
        let header = basic(&app.id, app.secret.as_deref().unwrap());
        self.post(path, fields, &[("Authorization", &header)])
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut all =
            vec![("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        all.extend_from_slice(headers);
        self.caller().send("POST", path, &all, query(fields).as_bytes())
    }

    /// Asks for tokens with a code, as the main client.
    pub(crate) fn exchange(&self, code: &str) -> Answer {
        self.exchange_as(&self.app, code, &[])
    }

    pub(crate) fn exchange_as(&self, app: &App, code: &str, extra: &[(&str, &str)]) -> Answer {
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        fields.extend_from_slice(extra);
        self.post_as(app, "/oauth2/token", &fields)
    }

    /// Checks tokens that were given for `request`.
    #[track_caller]
    pub(crate) fn check_tokens(&self, answer: &Answer, request: &Request) -> Tokens {
        let body = checks::tokens(answer, "Bearer");
        let id_token = self.check_id_token(super::text(&body, "id_token"), request.get("client_id").unwrap());
        assert_eq!(id_token["nonce"].as_str(), request.get("nonce"), "nonce");
        Tokens { body, id_token }
    }

    /// Checks an id_token and returns what it says. The nonce is left to the caller.
    #[track_caller]
    pub(crate) fn check_id_token(&self, token: &str, client_id: &str) -> Value {
        let (header, claims) = keys::verify(token, &self.keys);
        assert!(matches!(header["typ"].as_str(), None | Some("JWT")), "{header}");
        checks::id_token(&claims, client_id, self.now());
        claims
    }

    /// Asks userinfo by GET and checks the answer.
    #[track_caller]
    pub(crate) fn userinfo(&self, tokens: &Tokens) -> Value {
        let answer = self.caller().with_bearer(tokens.access_token()).get_json("/oauth2/userinfo");
        self.check_userinfo(&answer, tokens)
    }

    #[track_caller]
    pub(crate) fn check_userinfo(&self, answer: &Answer, tokens: &Tokens) -> Value {
        checks::userinfo(answer, &tokens.id_token, self.now())
    }

    /// The whole flow for a request, with everything that can be checked about it.
    #[track_caller]
    pub(crate) fn flow(&mut self, request: &Request) -> Tokens {
        let code = self.authorize(request);
        let tokens = self.check_tokens(&self.exchange(&code), request);
        self.userinfo(&tokens);
        tokens
    }
}
