//! The OpenID Connect provider, asked as apps ask: real requests to a real server.

mod app_pages;
mod basic_modules;
mod changes;
mod conformance_basic;
mod conformance_config;
mod conformance_fapi;
mod conformance_fapi_par;
mod conformance_form_post;
mod conformance_logout;
mod cross_origin;
mod devices;
mod flow;
mod mistakes;
mod phishing;
mod presets;
mod proofs;
mod questions;
mod refusals;
mod registration;
mod rehearsals;
pub(crate) mod steps;
mod suite;
mod tokens;

use std::collections::HashMap;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use doorward::accounts::records::Role;
use doorward::app::Options;
use doorward::crypto::mac::sha256;
use doorward::crypto::signing::PrivateKey;
use doorward::kernel::ids::UserId;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, ORIGIN, PASSWORD, Server, cheapen_hashing, lift_limits};

/// Where the tests' app takes codes.
pub(crate) const CALLBACK: &str = "https://app.example.org/callback";
/// Where it returns after signing out.
pub(crate) const GOODBYE: &str = "https://app.example.org/goodbye";
/// A verifier of RFC 7636 appendix B, and its challenge.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A provider with an administrator and a person, `ada`, who has only a password.
pub(crate) struct Provider {
    pub(crate) server: Server,
    pub(crate) ada: UserId,
    admin: String,
}

/// A client as an app knows itself.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// An answer of the authorization endpoint at the redirect URI.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// The address without its query.
    pub(crate) to: String,
    /// The parameters.
    pub(crate) params: HashMap<String, String>,
}

impl Redirect {
    pub(crate) fn of(location: &str) -> Redirect {
        let (to, query) = location.split_once('?').unwrap_or((location, ""));
        let params = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Redirect { to: to.to_owned(), params }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.get("code").unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }
}

/// Returns the S256 challenge of a verifier.
pub(crate) fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&sha256(verifier))
}

/// Returns the claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

/// Returns the header of a token.
pub(crate) fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(header.as_bytes()).unwrap()).unwrap()
}

/// Writes a query.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Provider {
    pub(crate) fn start() -> Provider {
        Provider::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> Provider {
        let server = Server::start_with(|options| {
            lift_limits(options);
            cheapen_hashing(options);
            change(options);
        });
        Provider::over(server)
    }

    /// Takes a server that has just been started over an empty directory.
    pub(crate) fn over(server: Server) -> Provider {
        // Making an RSA key takes a second, and every test would wait for it.
        let key = PrivateKey::from_pem(include_str!("rsa-key.pem")).unwrap();
        server.block_on(server.app().oidc.adopt_key(key, |_| {})).unwrap();
        server.add_user("boss", Role::Owner, &[]);
        let ada = server.add_user("ada", Role::Member, &["family"]);
        let answer = server
            .client()
            .post("/api/v1/auth/login/api", json!({ "username": "boss", "password": PASSWORD }))
            .expect(200);
        let admin = answer.json()["access_token"].as_str().unwrap().to_owned();
        Provider { server, ada, admin }
    }

    pub(crate) fn admin(&self) -> Client {
        self.server.client().with_bearer(&self.admin)
    }

    /// Adds a client: the given settings over those of a confidential one with [`CALLBACK`] and optional PKCE.
    pub(crate) fn add_app(&self, settings: Value) -> App {
        let mut body = json!({
            "name": "Grafana",
            "redirect_uris": [CALLBACK],
            "post_logout_redirect_uris": [GOODBYE],
            "pkce": "optional",
            "consent": "skip",
        });
        let members = body.as_object_mut().unwrap();
        members.extend(settings.as_object().unwrap().clone());
        let answer = self.admin().post("/api/v1/admin/clients", body).expect(201).json();
        App {
            id: answer["client"]["id"].as_str().unwrap().to_owned(),
            secret: answer["client_secret"].as_str().map(str::to_owned),
        }
    }

    /// Changes the settings of a client.
    pub(crate) fn change_app(&self, app: &App, settings: Value) {
        self.admin().json("PATCH", &format!("/api/v1/admin/clients/{}", app.id), &settings).expect(200);
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Client {
        self.server.client()
    }

    /// A browser in which ada is signed in.
    pub(crate) fn ada(&self) -> Client {
        let mut browser = self.browser();
        self.sign_in(&mut browser, "/signin", "ada");
        browser
    }

    /// Signs in at a sign-in page and returns the answer to the form.
    #[track_caller]
    pub(crate) fn sign_in(&self, browser: &mut Client, page: &str, name: &str) -> Answer {
        let shown = browser.get(page).expect(200);
        assert!(shown.text().contains("id=\"sign-in\""), "no sign-in form: {}", shown.text());
        let rd = shown.input("rd").map(|rd| unescape(&rd)).unwrap_or_default();
        let mut fields = vec![("username", name), ("password", PASSWORD)];
        if !rd.is_empty() {
            fields.push(("rd", &rd));
        }
        let answer = browser.form("/signin", &fields);
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer
    }

    /// Returns the parameters of a sound request of `app`.
    pub(crate) fn request(&self, app: &App) -> Vec<(String, String)> {
        [
            ("client_id", app.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Goes to the authorization endpoint with a sound request, changed by `extra`: a value replaces, an empty one
    /// removes.
    pub(crate) fn authorize(&self, browser: &mut Client, app: &App, extra: &[(&str, &str)]) -> Answer {
        browser.get(&self.authorize_path(app, extra))
    }

    pub(crate) fn authorize_path(&self, app: &App, extra: &[(&str, &str)]) -> String {
        let mut params = self.request(app);
        for (name, value) in extra {
            params.retain(|(own, _)| own != name);
            if !value.is_empty() {
                params.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let pairs: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        format!("/oauth2/authorize?{}", query(&pairs))
    }

    /// As [`Provider::authorize`], and returns the redirect to the app.
    #[track_caller]
    pub(crate) fn redirect(&self, browser: &mut Client, app: &App, extra: &[(&str, &str)]) -> Redirect {
        let answer = self.authorize(browser, app, extra);
        assert_eq!(answer.status, 303, "{}", answer.text());
        let redirect = Redirect::of(answer.header("location").unwrap());
        assert!(redirect.to.starts_with("https://app.example.org/"), "not to the app: {redirect:?}");
        assert_eq!(redirect.get("iss"), Some(ORIGIN), "RFC 9207");
        redirect
    }

    /// Sends a form to an OAuth endpoint with the client's secret in the header.
    pub(crate) fn post_as(&self, app: &App, path: &str, fields: &[(&str, &str)]) -> Answer {
        match &app.secret {
            Some(secret) => self.post_form(path, fields, Some(&basic(&app.id, secret))),
            None => {
                let mut fields = fields.to_vec();
                fields.push(("client_id", &app.id));
                self.post_form(path, &fields, None)
            }
        }
    }

    /// Sends a form to an OAuth endpoint as it is.
    pub(crate) fn post_form(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Answer {
        let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
        if let Some(value) = authorization {
            headers.push(("Authorization", value));
        }
        self.server.client().send("POST", path, &headers, query(fields).as_bytes())
    }

    /// Exchanges a code that was sent to [`CALLBACK`].
    pub(crate) fn exchange(&self, app: &App, code: &str, extra: &[(&str, &str)]) -> Answer {
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        fields.extend_from_slice(extra);
        self.post_as(app, "/oauth2/token", &fields)
    }

    /// Takes ada through the whole flow and returns the token answer.
    #[track_caller]
    pub(crate) fn tokens(&self, app: &App, extra: &[(&str, &str)]) -> Value {
        let mut browser = self.ada();
        self.tokens_in(&mut browser, app, extra)
    }

    /// Takes a signed-in browser through the whole flow.
    #[track_caller]
    pub(crate) fn tokens_in(&self, browser: &mut Client, app: &App, extra: &[(&str, &str)]) -> Value {
        let code = self.redirect(browser, app, extra).code();
        self.exchange(app, &code, &[]).expect(200).json()
    }

    /// Asks userinfo with an access token.
    pub(crate) fn userinfo(&self, token: &str) -> Answer {
        self.server.client().with_bearer(token).get_json("/oauth2/userinfo")
    }

    /// Refreshes.
    pub(crate) fn refresh(&self, app: &App, token: &str, extra: &[(&str, &str)]) -> Answer {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend_from_slice(extra);
        self.post_as(app, "/oauth2/token", &fields)
    }
}

/// Writes `Authorization: Basic`, form-encoded as RFC 6749 section 2.3.1 says.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", BASE64.encode(format!("{}:{}", encoded(id), encoded(secret)).as_bytes()))
}

/// Undoes the escapes of a template.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#61;", "=")
}

#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}
