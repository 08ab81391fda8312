//! id_tokens (OIDC Core section 2).

use serde_json::{Map, Value, json};

use super::claims::{ClaimsRequest, Person};
use super::client::Client;
use super::error::OAuthError;
use super::records::Permission;
use super::scopes::Scopes;
use super::{ID_TOKEN_LIFETIME, Oidc};
use crate::accounts::User;
use crate::crypto::jwe;
use crate::crypto::signing::verify_own;
use crate::kernel::time::Timestamp;

/// What an id_token is made of.
pub(super) struct IdToken<'a> {
    pub(super) client: &'a Client,
    pub(super) user: &'a User,
    pub(super) permission: &'a Permission,
    /// The nonce of the request; not repeated when a token is refreshed (OIDC Core section 12.2).
    pub(super) nonce: Option<&'a str>,
}

/// What an id_token says that was given to somebody before.
pub(super) struct Hint {
    pub(super) sub: String,
    pub(super) client_id: String,
}

impl Oidc {
    /// Makes an id_token, encrypted if the client wants that.
    pub(super) fn id_token(&self, token: &IdToken<'_>, now: Timestamp) -> Result<String, OAuthError> {
        let (client, permission) = (token.client, token.permission);
        let mut claims = self.id_token_claims(client, token.user, &permission.scopes, &permission.claims)?;
        // Written last: nothing from a profile takes their place (OA-19).
        for (name, value) in [
            ("iat", json!(now.as_secs())),
            ("exp", json!(now.plus(ID_TOKEN_LIFETIME).as_secs())),
            ("auth_time", json!(permission.authenticated_at.as_secs())),
            ("acr", json!(permission.acr())),
            ("amr", json!(permission.factors.amr())),
            ("sid", json!(permission.sid.to_string())),
            ("jti", json!(data_encoding::BASE64URL_NOPAD.encode(&self.random.bytes::<16>()))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        match token.nonce {
            Some(nonce) => claims.insert("nonce".to_owned(), nonce.into()),
            None => claims.remove("nonce"),
        };
        let signed = self.sign(client.settings.id_token_alg, None, &Value::Object(claims))?;
        match client.settings.id_token_encryption {
            Some(method) => encrypted(client, method, &signed),
            None => Ok(signed),
        }
    }

    /// Returns what an id_token tells of a person, without what belongs to one sign-in.
    pub(super) fn id_token_claims(
        &self,
        client: &Client,
        user: &User,
        scopes: &Scopes,
        by_name: &ClaimsRequest,
    ) -> Result<Map<String, Value>, OAuthError> {
        let profile = self.profile(user)?;
        let mut claims = Map::new();
        let custom = self.custom_scopes();
        let person = Person { user, profile: profile.as_ref(), custom: &custom };
        if client.settings.claims_in_id_token {
            person.add_by_scope(scopes, &mut claims);
        }
        person.add_by_name(&by_name.id_token, &client.settings.scopes, &mut claims);
        for (name, value) in [
            ("iss", self.issuer()),
            ("sub", self.subject(user, profile.as_ref())),
            ("aud", client.id.to_string()),
        ] {
            claims.insert(name.to_owned(), value.into());
        }
        Ok(claims)
    }

    /// Reads an id_token that we gave out before, however long ago (OIDC Core section 3.1.2.1, RP-Initiated Logout
    /// section 2). `None` unless one of our keys signed it and it was meant for one client.
    pub(super) fn read_hint(&self, token: &str) -> Option<Hint> {
        let token = verify_own(token, |kid| self.keys.find(kid)).ok()?;
        // Kinds exclude each other (TOK-04): an id_token has no type here.
        if token.typ.is_some() {
            return None;
        }
        // Signed userinfo has no type either, and does not say when somebody signed in.
        token.claims.get("auth_time")?;
        let text = |name: &str| token.claims.get(name).and_then(Value::as_str).map(str::to_owned);
        if !self.site.is_origin(&text("iss")?) {
            return None;
        }
        Some(Hint { sub: text("sub")?, client_id: text("aud")? })
    }
}

/// Encrypts a signed token for a client (TOK-14): signed first, then sealed.
pub(super) fn encrypted(
    client: &Client,
    method: jwe::KeyManagement,
    signed: &str,
) -> Result<String, OAuthError> {
    let key = client.settings.jwks.as_ref().and_then(|keys| keys.find_for_encryption(method, None));
    let key = key.ok_or_else(|| OAuthError::server_error("a client has no key for encryption"))?;
    jwe::encrypt(signed.as_bytes(), key, method, Some("JWT"))
        .map_err(|error| OAuthError::server_error(error.to_string()))
}
