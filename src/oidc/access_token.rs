//! Access tokens of apps: JWTs of RFC 9068, signed with the keys of our own API and meant for another audience (TOK-12).
//!
//! The token id begins with the grant that it was issued for, so that a token is as alive as its grant.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::Oidc;
use super::client::{Client, Demand, GrantType};
use super::error::OAuthError;
use super::records::{Permission, RevokedTokenRecord};
use super::scopes::Scopes;
use crate::access::asker::{Asker, Credential};
use crate::accounts::User;
use crate::crypto::client_jws::{unverified_issuer, unverified_type};
use crate::crypto::mac::sha256;
use crate::kernel::ids::GrantId;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::programs::{Bearers, SCOPES};
use crate::sessions::tokens::ACCESS_TYPE;
use crate::sessions::{Factors, TokenRefusal};
use crate::store::{Batch, Store, StoreError};

/// The longest life of an access token of an app.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// The key that a token is bound to (RFC 9449 section 6.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Confirmation {
    /// Its JWK thumbprint.
    pub(super) jkt: String,
}

/// The claims of an access token (RFC 9068 section 2.2).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessClaims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    pub(super) client_id: String,
    pub(super) scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cnf: Option<Confirmation>,
}

/// A token whose signature and claims have been verified.
pub(super) struct VerifiedAccess {
    pub(super) claims: AccessClaims,
    /// What it covers.
    pub(super) scopes: Scopes,
    /// The grant it was issued for; `None` for a client that acts for itself.
    pub(super) grant: Option<GrantId>,
    keys: u64,
}

/// A token that speaks for somebody at this moment.
pub(super) struct Admitted {
    pub(super) token: Arc<VerifiedAccess>,
    pub(super) client: Arc<Client>,
    /// The person, and what they gave; `None` for a client that acts for itself.
    pub(super) person: Option<(Arc<User>, Arc<Permission>)>,
}

/// Verified tokens, and those that were revoked before their time.
pub(super) struct AccessTokens {
    verified: Cache<[u8; 32], Arc<VerifiedAccess>>,
    revoked: RwLock<HashMap<String, Timestamp>>,
}

impl Admitted {
    /// Returns what the token covers of what its client may still have (OA-15).
    pub(super) fn scopes(&self) -> Cow<'_, Scopes> {
        let (own, allowed) = (&self.token.scopes, &self.client.settings.scopes);
        if allowed.covers(own) { Cow::Borrowed(own) } else { Cow::Owned(own.within(allowed)) }
    }
}

impl AccessTokens {
    pub(super) fn load(store: &Store, cache_entries: usize) -> Result<Self, StoreError> {
        let mut revoked = HashMap::new();
        store.for_each::<RevokedTokenRecord>(|row, record| {
            revoked.insert(String::from_utf8_lossy(row).into_owned(), record.until);
            Ok(())
        })?;
        Ok(AccessTokens { verified: Cache::new(cache_entries), revoked: RwLock::new(revoked) })
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.revoked.write().retain(|_, until| *until > now);
    }
}

/// What a token is issued for.
pub(super) struct Issue<'a> {
    /// The client.
    pub(super) client: &'a Client,
    /// The subject.
    pub(super) sub: String,
    /// The grant and what was given, unless the client acts for itself.
    pub(super) grant: Option<(GrantId, &'a Permission)>,
    /// What it covers.
    pub(super) scopes: &'a Scopes,
    /// The API it is for; our own userinfo if none is named.
    pub(super) resource: Option<&'a str>,
    /// The key it is bound to.
    pub(super) jkt: Option<String>,
    /// When it begins.
    pub(super) issued_at: Timestamp,
    /// The second half of its id.
    pub(super) nonce: [u8; 16],
}

fn token_id(grant: Option<GrantId>, nonce: [u8; 16]) -> String {
    let grant = grant.map_or([0; 16], |grant| grant.0);
    BASE64URL_NOPAD.encode(&[grant, nonce].concat())
}

fn grant_of(jti: &str) -> Option<Option<GrantId>> {
    let bytes = BASE64URL_NOPAD.decode(jti.as_bytes()).ok()?;
    let (grant, rest) = bytes.split_first_chunk::<16>()?;
    (rest.len() == 16).then(|| (*grant != [0; 16]).then_some(GrantId(*grant)))
}

impl Oidc {
    /// Returns the audience of tokens that name no API: userinfo.
    pub(super) fn own_audience(&self) -> String {
        format!("{}/oauth2", self.issuer())
    }

    /// Returns the life of a client's access tokens.
    pub(super) fn access_lifetime(&self, client: &Client) -> Duration {
        match client.settings.access_token_seconds {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => self.lifetimes.access_token.min(LONGEST),
        }
    }

    /// Signs an access token.
    pub(super) fn issue_access(&self, issue: Issue<'_>) -> Result<SecretText, OAuthError> {
        let permission = issue.grant.map(|(_, permission)| permission);
        let claims = AccessClaims {
            iss: self.issuer(),
            sub: issue.sub,
            aud: issue.resource.map_or_else(|| self.own_audience(), str::to_owned),
            exp: issue.issued_at.plus(self.access_lifetime(issue.client)).as_secs(),
            iat: issue.issued_at.as_secs(),
            jti: token_id(issue.grant.map(|(id, _)| id), issue.nonce),
            client_id: issue.client.id.to_string(),
            scope: issue.scopes.to_string(),
            auth_time: permission.map(|permission| permission.authenticated_at.as_secs()),
            acr: permission.map(|permission| permission.acr().to_owned()),
            cnf: issue.jkt.map(|jkt| Confirmation { jkt }),
        };
        Ok(self.sessions.tokens().sign(&claims)?)
    }

    /// Verifies signature and claims of an access token, whatever it is meant for.
    pub(super) fn verify_access(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<VerifiedAccess>, TokenRefusal> {
        let tokens = self.sessions.tokens();
        let digest = sha256(token.as_bytes());
        // Read before the keys are: what is verified under keys that change meanwhile is verified again.
        let keys = tokens.changes();
        if let Some(verified) = self.access_tokens.verified.get(&digest)
            && verified.keys == keys
            && self.site.is_origin(&verified.claims.iss)
        {
            return if now.as_secs() >= verified.claims.exp {
                Err(TokenRefusal::Expired)
            } else {
                Ok(verified)
            };
        }
        let claims: AccessClaims = tokens.check(token, |audience| !audience.is_empty(), LONGEST, now)?;
        if now.as_secs() >= claims.exp {
            return Err(TokenRefusal::Expired);
        }
        let scopes = Scopes::parse(&claims.scope).ok_or(TokenRefusal::InvalidClaims)?;
        let grant = grant_of(&claims.jti).ok_or(TokenRefusal::InvalidClaims)?;
        let verified = Arc::new(VerifiedAccess { claims, scopes, grant, keys });
        self.access_tokens.verified.insert(digest, verified.clone());
        Ok(verified)
    }

    /// Verifies an access token and reads anew whatever may have changed since it was issued: the token itself, the
    /// client, the grant, the session, the person (GEN-02).
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub(super) fn admit_access(&self, token: &str, now: Timestamp) -> Result<Admitted, TokenRefusal> {
        let token = self.verify_access(token, now)?;
        if self.access_tokens.revoked.read().contains_key(&token.claims.jti) {
            return Err(TokenRefusal::Revoked);
        }
        let client = self.client(&token.claims.client_id).ok_or(TokenRefusal::Revoked)?;
        // A client that must bind its tokens from now on has none that are not.
        let must_be_bound = client.settings.dpop == Demand::Required;
        if client.settings.is_disabled || must_be_bound && token.claims.cnf.is_none() {
            return Err(TokenRefusal::Revoked);
        }
        // The client may have lost the API since.
        let aud = &token.claims.aud;
        if *aud != self.own_audience() && !client.settings.audiences.contains(aud) {
            return Err(TokenRefusal::Revoked);
        }
        let Some(id) = token.grant else {
            // An app that was removed and added again under the same name is another one.
            let may = client.settings.may(GrantType::ClientCredentials)
                && token.claims.iat >= client.created_at.as_secs();
            let is_own = token.claims.sub == client.id.as_str();
            return if may && is_own {
                Ok(Admitted { token, client, person: None })
            } else {
                Err(TokenRefusal::Revoked)
            };
        };
        let permission = self.grants.get(&id, now).ok_or(TokenRefusal::Revoked)?;
        if permission.client != client.id {
            return Err(TokenRefusal::InvalidClaims);
        }
        let user = self.admit(&permission, &client).ok_or(TokenRefusal::Revoked)?;
        Ok(Admitted { token, client, person: Some((user, permission)) })
    }

    /// Adds the revocation of one access token to `batch` (RFC 7009).
    pub(super) fn stage_revoke_access(&self, batch: &mut Batch, token: &VerifiedAccess) {
        let until = Timestamp::from_secs(token.claims.exp).plus(Duration::from_secs(60));
        let row = token.claims.jti.as_bytes();
        batch.put(row, &RevokedTokenRecord { until }).expire::<RevokedTokenRecord>(row, until);
        let (room, jti) = (self.clone(), token.claims.jti.clone());
        batch.after(move || {
            room.access_tokens.revoked.write().insert(jti, until);
        });
    }
}

/// Access tokens of apps where a reverse proxy asks (RFC 6750): those whose audience is the app that is asked about, and
/// whose scope says that they may.
impl Bearers for Oidc {
    fn identify(&self, token: &str, origin: &str, now: Timestamp) -> Credential {
        let admitted = match self.admit_access(token, now) {
            Ok(admitted) => admitted,
            Err(_) if self.looks_like_ours(token) => return Credential::Refused,
            Err(_) => return Credential::Unknown,
        };
        let claims = &admitted.token.claims;
        let is_meant = claims.aud.strip_suffix('/').unwrap_or(&claims.aud) == origin;
        let scopes = admitted.scopes();
        let may = SCOPES.iter().any(|scope| scopes.has(scope));
        // Whoever sends a bound token without a proof may have stolen it (RFC 9449 section 7.2).
        if !is_meant || !may || claims.cnf.is_some() {
            return Credential::Refused;
        }
        let client = Some(Box::from(admitted.client.id.as_str()));
        let (user, factors) = match admitted.person {
            Some((user, permission)) => (Some(user), permission.factors),
            None => (None, Factors::NONE),
        };
        Credential::Caller(Asker { user, client, level: factors.level(), factors })
    }
}

impl Oidc {
    /// Tells whether a token claims to be an access token that we signed. Nothing of it is believed.
    fn looks_like_ours(&self, token: &str) -> bool {
        unverified_type(token).is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TYPE))
            && unverified_issuer(token).is_some_and(|issuer| self.site.is_origin(&issuer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_id_names_its_grant() {
        let id = GrantId([7; 16]);
        assert_eq!(grant_of(&token_id(Some(id), [1; 16])), Some(Some(id)));
        assert_eq!(grant_of(&token_id(None, [1; 16])), Some(None));
        for bad in ["", "x", &BASE64URL_NOPAD.encode(&[1; 31]), &BASE64URL_NOPAD.encode(&[1; 33])] {
            assert_eq!(grant_of(bad), None, "{bad}");
        }
    }
}
