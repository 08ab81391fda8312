//! Userinfo (OIDC Core section 5.3): what the app may know of the person, for an access token.

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Oidc;
use super::access_token::Admitted;
use super::claims::{ClaimsRequest, Person};
use super::error::OAuthError;
use super::id_token::encrypted;
use super::params::Params;
use super::scopes::Scopes;
use crate::accounts::User;
use crate::http::{Problem, Reply, Request};
use crate::sessions::TokenRefusal;

/// `GET` and `POST /oauth2/userinfo`.
pub async fn show(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let reply = match room.userinfo(request) {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    };
    Ok(room.allow_client_origin(request, reply))
}

/// How a token came.
pub(super) struct Presented {
    pub(super) token: String,
    pub(super) scheme: &'static str,
}

/// Finds the access token of a request: in the header or, in a POST, in the form (RFC 6750 section 2). Never in the
/// address, and never in two places.
pub(super) fn read_token(request: &Request) -> Result<Presented, OAuthError> {
    let header = request
        .header(&header::AUTHORIZATION)
        .map_err(|_| OAuthError::invalid_request("Send one Authorization header."))?;
    let is_form = request.method == Method::POST && !request.body.is_empty();
    let in_form =
        if is_form { Params::of_form(request)?.get("access_token").map(str::to_owned) } else { None };
    match (header, in_form) {
        (Some(_), Some(_)) => Err(OAuthError::invalid_request("Send the access token once.")),
        (None, Some(token)) => Ok(Presented { token, scheme: "Bearer" }),
        (Some(header), None) => {
            let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
            let scheme = ["Bearer", "DPoP"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
            let scheme = scheme.ok_or_else(no_token)?;
            Ok(Presented { token: token.trim_start_matches(' ').to_owned(), scheme })
        }
        (None, None) => Err(no_token()),
    }
}

/// A request without a token learns the scheme and nothing else (RFC 6750 section 3.1).
fn no_token() -> OAuthError {
    let mut error = OAuthError::new("invalid_token", "Send Authorization: Bearer with an access token.");
    error.status = StatusCode::UNAUTHORIZED;
    for scheme in ["Bearer", "DPoP algs=\"ES256 EdDSA PS256\""] {
        error.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme)));
    }
    error
}

impl Oidc {
    /// Verifies the token of a request with everything it stands on, and the key it is bound to (RFC 9449 section 7.1).
    pub(super) fn admit_request(&self, request: &Request) -> Result<Admitted, OAuthError> {
        let presented = read_token(request)?;
        let scheme = presented.scheme;
        let refuse = |refusal: TokenRefusal| OAuthError::invalid_token(scheme, refusal.detail());
        let admitted = self.admit_access(&presented.token, request.now).map_err(refuse)?;
        let bound = admitted.token.claims.cnf.as_ref().map(|cnf| cnf.jkt.as_str());
        match (bound, scheme) {
            (None, "Bearer") => {}
            (Some(bound), "DPoP") => {
                let proven = self
                    .read_dpop(request, request.path(), Some(&presented.token))
                    .map_err(OAuthError::for_resource)?;
                if proven.as_deref() != Some(bound) {
                    return Err(OAuthError::invalid_token(
                        scheme,
                        "The DPoP proof is missing or of another key.",
                    ));
                }
            }
            _ => {
                return Err(OAuthError::invalid_token(
                    scheme,
                    "The token is bound in another way than it was sent.",
                ));
            }
        }
        Ok(admitted)
    }

    fn userinfo(&self, request: &Request) -> Result<Reply, OAuthError> {
        let admitted = self.admit_request(request)?;
        let token = &admitted.token;
        if token.claims.aud != self.own_audience() {
            return Err(OAuthError::invalid_token("Bearer", "The token is meant for another API."));
        }
        let scopes = admitted.scopes();
        let person = admitted.person.as_ref().filter(|_| scopes.has("openid"));
        let Some((user, permission)) = person else {
            let mut error = OAuthError::new("insufficient_scope", "Userinfo needs the scope openid.");
            error.status = StatusCode::FORBIDDEN;
            let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\", scope=\"openid\"");
            error.headers.push((header::WWW_AUTHENTICATE, challenge));
            return Err(error);
        };
        let client = &admitted.client;
        let claims = self.userinfo_claims(client, user, &scopes, &permission.claims)?;
        if client.settings.userinfo_alg.is_none() && client.settings.userinfo_encryption.is_none() {
            return Ok(Reply::document(StatusCode::OK, &Value::Object(claims)));
        }
        self.signed_userinfo(client, claims)
    }

    /// Returns what userinfo tells of a person.
    pub(super) fn userinfo_claims(
        &self,
        client: &super::Client,
        user: &User,
        scopes: &Scopes,
        by_name: &ClaimsRequest,
    ) -> Result<Map<String, Value>, OAuthError> {
        let profile = self.profile(user)?;
        let custom = self.custom_scopes();
        let known = Person { user, profile: profile.as_ref(), custom: &custom };
        let mut claims = Map::new();
        known.add_by_scope(scopes, &mut claims);
        known.add_by_name(&by_name.userinfo, &client.settings.scopes, &mut claims);
        claims.insert("sub".to_owned(), self.subject(user, profile.as_ref()).into());
        Ok(claims)
    }

    /// Userinfo as a token (OIDC Core section 5.3.2), for clients that registered for it.
    fn signed_userinfo(
        &self,
        client: &super::Client,
        mut claims: Map<String, Value>,
    ) -> Result<Reply, OAuthError> {
        claims.insert("iss".to_owned(), json!(self.issuer()));
        claims.insert("aud".to_owned(), json!(client.id.as_str()));
        let algorithm = client.settings.userinfo_alg.unwrap_or(client.settings.id_token_alg);
        let mut token = self.sign(algorithm, None, &Value::Object(claims))?;
        if let Some(method) = client.settings.userinfo_encryption {
            token = encrypted(client, method, &token)?;
        }
        Ok(Reply::bytes(StatusCode::OK, "application/jwt", token))
    }
}
