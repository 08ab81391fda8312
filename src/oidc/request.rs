//! An authorization request, read and checked (RFC 6749 section 4.1.1, OIDC Core section 3.1.2.1). Pure.
//!
//! Two steps, because where an error is shown depends on them: [`Destination`] first (client and redirect URI; without
//! them nothing is ever redirected, OA-03), then everything else.

use data_encoding::BASE64URL_NOPAD;

use super::claims::{self, ClaimsRequest};
use super::client::{Client, Demand, GrantType, is_resource};
use super::error::OAuthError;
use super::params::{LONGEST, Params};
use super::redirect_uri;
use super::scopes::Scopes;
use crate::sessions::{Factors, Level};
use crate::words::{Said, said};

/// The longest `state`.
const LONGEST_STATE: usize = 2048;
/// What is kept with a code has to fit into one row of the store: the longest `nonce`, and all names of scopes, resources
/// and claims together.
const LONGEST_NONCE: usize = 512;
const LONGEST_SCOPE: usize = 900;
const LONGEST_RESOURCES: usize = 800;
const LONGEST_CLAIMS: usize = 600;
/// The level names of `acr` (OIDC Core section 2).
pub const ACR_ONE: &str = "urn:doorward:1fa";
/// Two factors.
pub const ACR_TWO: &str = "urn:doorward:2fa";
/// Two factors that resist phishing (OpenID Connect Extended Authentication Profile ACR Values 1.0 section 2): a passkey is
/// among them. Said only to apps that ask for it, so that those that know [`ACR_TWO`] alone are not surprised.
pub const ACR_PHR: &str = "phr";

/// A value of `acr` that is known here, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Acr {
    One,
    Two,
    Phr,
}

impl Acr {
    fn parse(text: &str) -> Option<Acr> {
        match text {
            ACR_ONE => Some(Acr::One),
            ACR_TWO => Some(Acr::Two),
            ACR_PHR => Some(Acr::Phr),
            _ => None,
        }
    }

    fn level(self) -> Level {
        if self == Acr::One { Level::OneFactor } else { Level::TwoFactor }
    }
}

/// Returns the `acr` of what was proven; `asks_phr` tells whether [`ACR_PHR`] was asked for.
pub fn acr_of(factors: Factors, asks_phr: bool) -> &'static str {
    match factors.level() {
        Level::TwoFactor if asks_phr && factors.resists_phishing() => ACR_PHR,
        Level::TwoFactor => ACR_TWO,
        Level::OneFactor => ACR_ONE,
    }
}

/// How an answer travels (OAuth 2.0 Multiple Response Types section 2.1, Form Post Response Mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In a form that the browser posts there.
    FormPost,
}

/// Where answers and errors go: a client and one of its own redirect URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The redirect URI as the request named it.
    pub redirect_uri: String,
    /// How answers travel there.
    pub mode: ResponseMode,
    /// What the client wants back unchanged.
    pub state: Option<String>,
    /// A page of ours that gets the answer in the place of the client, at a rehearsal.
    pub(super) stand_in: Option<String>,
}

impl Destination {
    /// Reads the destination of a request of `client`.
    ///
    /// # Errors
    /// A sentence for the error page: nothing may be redirected (RFC 6749 section 4.1.2.1).
    pub fn read(client: &Client, params: &Params) -> Result<Destination, Said> {
        let Some(uri) = params.once("redirect_uri") else {
            let name = client.settings.name.clone();
            return Err(said(move |t| t.oidc_redirect_missing(&name)));
        };
        if !redirect_uri::is_registered(&client.settings.redirect_uris, uri, client.settings.is_native) {
            let name = client.settings.name.clone();
            return Err(said(move |t| t.oidc_redirect_foreign(&name)));
        }
        let mode = match params.once("response_mode") {
            Some("form_post") => ResponseMode::FormPost,
            _ => ResponseMode::Query,
        };
        let state = params.once("state").filter(|state| state.len() <= LONGEST_STATE);
        Ok(Destination {
            redirect_uri: uri.to_owned(),
            mode,
            state: state.map(str::to_owned),
            stand_in: None,
        })
    }

    /// Lets a page of ours get the answer in the place of the client.
    pub(super) fn stand_in(&mut self, path: String) {
        self.mode = ResponseMode::Query;
        self.stand_in = Some(path);
    }

    /// Returns where the browser takes the answer.
    pub fn answer_uri(&self) -> &str {
        self.stand_in.as_deref().unwrap_or(&self.redirect_uri)
    }
}

/// What the client wants to happen before it gets a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Show nothing.
    pub none: bool,
    /// Ask for the password again.
    pub login: bool,
    /// Ask whether the app may.
    pub consent: bool,
    /// Let the person choose an account.
    pub select_account: bool,
}

/// A request whose parameters are all understood.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Where the answer goes.
    pub destination: Destination,
    /// What is asked for, as far as the client may ask for it.
    pub scopes: Scopes,
    /// Comes back in the id_token.
    pub nonce: Option<String>,
    /// The S256 challenge (RFC 7636).
    pub challenge: Option<String>,
    /// What must happen first.
    pub prompt: Prompt,
    /// How old the last proof may be, in seconds.
    pub max_age: Option<u64>,
    /// The level that must be reached.
    pub level: Level,
    /// Whether an error is to be answered if that level cannot be reached, rather than a lower one.
    pub is_level_essential: bool,
    /// Claims by name.
    pub claims: ClaimsRequest,
    /// The person who must be signed in.
    pub sub: Option<String>,
    /// APIs (RFC 8707).
    pub resources: Vec<String>,
    /// An id_token of before, not verified yet.
    pub id_token_hint: Option<String>,
    /// The key that the code is to be bound to (RFC 9449 section 10).
    pub dpop_jkt: Option<String>,
}

impl AuthorizationRequest {
    /// Reads everything but the destination. `is_pushed` tells whether the parameters came by PAR.
    ///
    /// # Errors
    /// What to tell the client at the destination.
    pub fn read(
        client: &Client,
        destination: Destination,
        params: &Params,
        is_pushed: bool,
    ) -> Result<AuthorizationRequest, OAuthError> {
        params.refuse_duplicates()?;
        refuse_objects(params)?;
        check_response(client, params)?;
        if client.is_fapi() && !is_pushed {
            return Err(OAuthError::invalid_request("This client must push its requests (RFC 9126)."));
        }
        for (name, longest) in [("state", LONGEST_STATE), ("nonce", LONGEST_NONCE)] {
            if params.get(name).is_some_and(|text| text.len() > longest) {
                return Err(OAuthError::invalid_request(format!(
                    "The parameter {name} is longer than {longest} characters."
                )));
            }
        }
        let prompt = read_prompt(params.get("prompt"))?;
        let scopes = read_scopes(client, params.get("scope"))?;
        let challenge = read_challenge(client, params)?;
        let claims = match params.get("claims") {
            None => claims::ParsedClaims::default(),
            Some(text) => claims::parse(text).ok_or_else(|| {
                OAuthError::invalid_request(
                    "The parameter claims is not what OIDC Core section 5.5 describes.",
                )
            })?,
        };
        let names = claims.request.userinfo.iter().chain(&claims.request.id_token);
        if names.map(|name| name.len() + 1).sum::<usize>() > LONGEST_CLAIMS {
            return Err(OAuthError::invalid_request("The parameter claims names too much."));
        }
        let resources = read_resources(client, params)?;
        let max_age =
            match params.get("max_age") {
                None => None,
                Some(text) => Some(text.parse::<u64>().map_err(|_| {
                    OAuthError::invalid_request("The parameter max_age is a number of seconds.")
                })?),
            };
        let wanted = wanted_level(client, params.get("acr_values"), &claims)?;
        let dpop_jkt = params.get("dpop_jkt").map(str::to_owned);
        if dpop_jkt.as_deref().is_some_and(|jkt| !is_digest(jkt)) {
            return Err(OAuthError::invalid_request("The parameter dpop_jkt is no SHA-256 thumbprint."));
        }
        Ok(AuthorizationRequest {
            destination,
            scopes,
            nonce: params.get("nonce").map(str::to_owned),
            challenge,
            prompt,
            max_age,
            level: wanted.level,
            is_level_essential: wanted.is_essential,
            claims: if wanted.is_phr { claims.request.and_phr() } else { claims.request },
            sub: claims.sub,
            resources,
            id_token_hint: params.get("id_token_hint").map(str::to_owned),
            dpop_jkt,
        })
    }
}

/// Requests by object or by reference are refused and never fetched (OA-11).
fn refuse_objects(params: &Params) -> Result<(), OAuthError> {
    if params.get("request").is_some() {
        return Err(OAuthError::new(
            "request_not_supported",
            "Send the parameters themselves, or push them.",
        ));
    }
    if params.get("request_uri").is_some() {
        return Err(OAuthError::new(
            "request_uri_not_supported",
            "Send the parameters themselves, or push them.",
        ));
    }
    if params.get("registration").is_some() {
        return Err(OAuthError::new("registration_not_supported", "Clients are registered beforehand."));
    }
    Ok(())
}

fn check_response(client: &Client, params: &Params) -> Result<(), OAuthError> {
    match params.get("response_type") {
        None => return Err(OAuthError::invalid_request("The parameter response_type is missing.")),
        Some("code") => {}
        Some(_) => {
            return Err(OAuthError::new("unsupported_response_type", "The only response_type here is code."));
        }
    }
    if !client.settings.may(GrantType::AuthorizationCode) {
        return Err(OAuthError::new("unauthorized_client", "This client may not use authorization codes."));
    }
    match params.get("response_mode") {
        None | Some("query" | "form_post") => Ok(()),
        Some(_) => Err(OAuthError::invalid_request("The response modes here are query and form_post.")),
    }
}

fn read_prompt(text: Option<&str>) -> Result<Prompt, OAuthError> {
    let mut prompt = Prompt::default();
    let mut count = 0;
    for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        count += 1;
        match word {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            _ => {
                return Err(OAuthError::invalid_request(
                    "The parameter prompt knows none, login, consent and select_account.",
                ));
            }
        }
    }
    if prompt.none && count > 1 {
        return Err(OAuthError::invalid_request("prompt=none stands alone."));
    }
    Ok(prompt)
}

/// Scopes that the client may not ask for are left out; the token answer tells what is left (RFC 6749 section 3.3).
fn read_scopes(client: &Client, text: Option<&str>) -> Result<Scopes, OAuthError> {
    let refuse = |why: &str| OAuthError::new("invalid_scope", why);
    let asked = Scopes::parse(text.unwrap_or_default()).ok_or_else(|| {
        refuse("The parameter scope holds characters that are not allowed, or too many names.")
    })?;
    let allowed = asked.within(&client.settings.scopes);
    if allowed.to_string().len() > LONGEST_SCOPE {
        return Err(refuse("The parameter scope is too long."));
    }
    if !asked.is_empty() && allowed.is_empty() {
        return Err(refuse("This client may ask for none of these scopes."));
    }
    if asked.has("openid") && !allowed.has("openid") {
        return Err(refuse("This client may not ask for openid."));
    }
    let may_refresh = client.settings.may(GrantType::RefreshToken);
    Ok(if may_refresh { allowed } else { allowed.without("offline_access") })
}

/// PKCE: S256 alone (RFC 7636, RFC 9700 section 2.1.1, OA-05).
fn read_challenge(client: &Client, params: &Params) -> Result<Option<String>, OAuthError> {
    let (challenge, method) = (params.get("code_challenge"), params.get("code_challenge_method"));
    match (challenge, method) {
        (None, None) if client.settings.pkce == Demand::Required => Err(OAuthError::invalid_request(
            "This client must use PKCE: send code_challenge and code_challenge_method=S256.",
        )),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(OAuthError::invalid_request("code_challenge_method came without code_challenge."))
        }
        (Some(challenge), Some("S256")) if is_digest(challenge) => Ok(Some(challenge.to_owned())),
        (Some(_), Some("S256")) => {
            Err(OAuthError::invalid_request("The code_challenge is no SHA-256 digest."))
        }
        (Some(_), _) => Err(OAuthError::invalid_request("The only code_challenge_method here is S256.")),
    }
}

/// Tells whether `text` is a SHA-256 digest in base64url.
pub(super) fn is_digest(text: &str) -> bool {
    BASE64URL_NOPAD.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
}

/// Reads the resources of a request (RFC 8707 section 2).
///
/// # Errors
/// `invalid_target` for one that the client is not registered for.
pub(super) fn read_resources(client: &Client, params: &Params) -> Result<Vec<String>, OAuthError> {
    let mut resources = Vec::new();
    for resource in params.all("resource") {
        let is_known = client.settings.audiences.iter().any(|own| own == resource);
        if resource.len() > LONGEST || !is_resource(resource) || !is_known {
            return Err(OAuthError::new(
                "invalid_target",
                "This client is not registered for that resource.",
            ));
        }
        if !resources.iter().any(|known: &String| known == resource) {
            resources.push(resource.to_owned());
        }
    }
    if resources.iter().map(String::len).sum::<usize>() > LONGEST_RESOURCES {
        return Err(OAuthError::new("invalid_target", "These are too many resources at once."));
    }
    Ok(resources)
}

/// What a request wants to be proven.
struct Wanted {
    level: Level,
    is_phr: bool,
    is_essential: bool,
}

/// Returns the level that must be reached: that of the client, or a higher one that the request names. Names that are
/// not known are passed over, unless one of them is essential (OIDC Core section 5.5.1.1).
fn wanted_level(
    client: &Client,
    acr_values: Option<&str>,
    claims: &claims::ParsedClaims,
) -> Result<Wanted, OAuthError> {
    let own = client.settings.level;
    if !claims.essential_acr.is_empty() {
        let known = claims.essential_acr.iter().filter_map(|name| Acr::parse(name));
        let least = known.min().ok_or_else(|| {
            OAuthError::new(
                "unmet_authentication_requirements",
                "None of the required acr values exists here.",
            )
        })?;
        return Ok(Wanted { level: own.max(least.level()), is_phr: least == Acr::Phr, is_essential: true });
    }
    let mut liked =
        acr_values.unwrap_or_default().split(' ').chain(claims.voluntary_acr.iter().map(String::as_str));
    // In order of preference (OIDC Core section 3.1.2.1): the first that is known here.
    let first = liked.find_map(Acr::parse);
    Ok(Wanted {
        level: own.max(first.map_or(own, Acr::level)),
        is_phr: first == Some(Acr::Phr),
        is_essential: own == Level::TwoFactor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_read() {
        assert!(read_prompt(None).unwrap() == Prompt::default());
        let both = read_prompt(Some("login consent")).unwrap();
        assert!(both.login && both.consent && !both.none);
        assert!(read_prompt(Some("none")).unwrap().none);
        assert!(read_prompt(Some("none login")).is_err());
        assert!(read_prompt(Some("sudo")).is_err());
    }
}
