//! The token endpoint (RFC 6749 section 3.2).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Oidc;
use super::access_token::Issue;
use super::client::{Client, Demand, GrantType};
use super::client_auth::Authenticated;
use super::consents::Agreement;
use super::error::OAuthError;
use super::id_token::IdToken;
use super::params::Params;
use super::records::{CodeRecord, GrantRecord, Permission};
use super::request::read_resources;
use super::scopes::Scopes;
use crate::accounts::User;
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::GrantId;
use crate::kernel::secret::{SecretText, ct_eq};
use crate::kernel::time::Timestamp;
use crate::sessions::records::RefreshFamily;
use crate::sessions::refresh::{self, Presented, Standing};
use crate::store::{CommitError, Versioned};

/// How often a change is tried again when another request changed the same grant.
const TRIES: usize = 4;
/// How often the life of a refresh token that is not rotated is drawn out: not at every use, because each is a write.
const DRAWN_OUT_EVERY: Duration = Duration::from_secs(3600);

/// What the endpoint answers (RFC 6749 section 5.1).
#[derive(Serialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
}

/// A grant that tokens are made of.
pub(super) struct Granted {
    pub(super) id: GrantId,
    pub(super) user: Arc<User>,
    pub(super) permission: Permission,
    pub(super) refresh_token: Option<SecretText>,
    pub(super) nonce: Option<String>,
    /// When the tokens begin, and the second half of the access token's id.
    pub(super) issued_at: Timestamp,
    pub(super) token_nonce: [u8; 16],
}

/// `POST /oauth2/token`.
pub async fn exchange(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let reply = match answer(room, request).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    };
    Ok(room.allow_client_origin(request, reply))
}

async fn answer(room: &Oidc, request: &Request) -> Result<Reply, OAuthError> {
    let call = room.authenticate(request).await?;
    let jkt = room.read_client_dpop(request, &call.client)?;
    if call.client.settings.dpop == Demand::Required && jkt.is_none() {
        // RFC 9449 section 5 has a name for proofs that are wrong, but none for those that are missing.
        return Err(OAuthError::invalid_request("This client must send a DPoP proof (RFC 9449)."));
    }
    let grant = GrantType::parse(call.params.require("grant_type")?)
        .ok_or_else(|| OAuthError::new("unsupported_grant_type", "This grant_type does not exist here."))?;
    if !call.client.settings.may(grant) {
        return Err(OAuthError::new("unauthorized_client", "This client may not use this grant_type."));
    }
    let granted = match grant {
        GrantType::ClientCredentials => return room.for_itself(&call, jkt, request.now),
        GrantType::AuthorizationCode => room.redeem_code(&call, jkt.as_deref(), request.now).await?,
        GrantType::RefreshToken => room.refresh(&call, jkt.as_deref(), request.now).await?,
        GrantType::DeviceCode => room.redeem_device(&call, jkt.as_deref(), request.now).await?,
    };
    Ok(no_store(&room.make_tokens(&call, granted, jkt)?))
}

fn no_store(answer: &TokenAnswer) -> Reply {
    Reply::json(StatusCode::OK, answer)
        .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with(header::PRAGMA, HeaderValue::from_static("no-cache"))
}

/// Checks a PKCE verifier (RFC 7636 section 4.6, OA-05): a challenge that was sent must be met, and a verifier without
/// one is refused.
fn check_pkce(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthError> {
    let is_right = match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let is_unreserved =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            let is_sound = (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_unreserved);
            let digest = data_encoding::BASE64URL_NOPAD.encode(&sha256(verifier));
            is_sound && ct_eq(digest.as_bytes(), challenge.as_bytes())
        }
        _ => false,
    };
    if is_right {
        Ok(())
    } else {
        Err(OAuthError::invalid_grant("The code_verifier does not fit the code_challenge."))
    }
}

impl Oidc {
    /// Returns the longest pause between two refreshes of a client.
    fn refresh_lifetime(&self, client: &Client) -> Duration {
        match client.settings.refresh_token_seconds {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => self.lifetimes.refresh,
        }
    }

    /// Returns when an access token of now is surely over.
    fn tokens_end(&self, client: &Client, now: Timestamp) -> Timestamp {
        now.plus(self.access_lifetime(client)).plus(Duration::from_secs(60))
    }

    /// A grant outlives its tokens where the app wants to be told of the end of the session: its own session goes on.
    fn kept_until(&self, client: &Client, tokens_end: Timestamp, now: Timestamp) -> Timestamp {
        if client.settings.backchannel_logout_uri.is_none() {
            return tokens_end;
        }
        tokens_end.max(now.plus(self.lifetimes.absolute.max(self.lifetimes.remembered)))
    }

    /// Makes the tokens of a grant.
    pub(super) fn make_tokens(
        &self,
        call: &Authenticated,
        granted: Granted,
        jkt: Option<String>,
    ) -> Result<TokenAnswer, OAuthError> {
        let (client, permission) = (&*call.client, &granted.permission);
        let (scopes, resource) = narrowed(&call.params, client, permission)?;
        let profile = self.profile(&granted.user)?;
        let access_token = self.issue_access(Issue {
            client,
            sub: self.subject(&granted.user, profile.as_ref()),
            grant: Some((granted.id, permission)),
            scopes: &scopes,
            resource: resource.as_deref(),
            jkt: jkt.clone(),
            issued_at: granted.issued_at,
            nonce: granted.token_nonce,
        })?;
        let id_token = if permission.scopes.has("openid") {
            let nonce = granted.nonce.as_deref();
            let token = IdToken { client, user: &granted.user, permission, nonce };
            Some(self.id_token(&token, self.clock.now())?)
        } else {
            None
        };
        Ok(TokenAnswer {
            access_token: access_token.expose().clone(),
            token_type: if jkt.is_some() { "DPoP" } else { "Bearer" },
            expires_in: self.access_lifetime(client).as_secs(),
            scope: scopes.to_string(),
            id_token,
            refresh_token: granted.refresh_token.map(|token| token.expose().clone()),
        })
    }

    /// A client acts for itself (RFC 6749 section 4.4). Nothing is written: the token is as alive as the client.
    fn for_itself(
        &self,
        call: &Authenticated,
        jkt: Option<String>,
        now: Timestamp,
    ) -> Result<Reply, OAuthError> {
        let client = &*call.client;
        let asked = Scopes::parse(call.params.get("scope").unwrap_or_default()).ok_or_else(|| {
            OAuthError::new("invalid_scope", "The parameter scope holds what is not allowed.")
        })?;
        // Scopes that speak of a person mean nothing without one.
        let allowed = Scopes::new(
            client
                .settings
                .scopes
                .iter()
                .filter(|name| !super::scopes::KNOWN.contains(name))
                .map(str::to_owned),
        );
        if !allowed.covers(&asked) {
            return Err(OAuthError::new(
                "invalid_scope",
                "This client may not ask for one of these scopes for itself.",
            ));
        }
        let scopes = if asked.is_empty() { allowed } else { asked };
        let resources = read_resources(client, &call.params)?;
        let [resource] = only_one(&resources)?;
        let access_token = self.issue_access(Issue {
            client,
            sub: client.id.to_string(),
            grant: None,
            scopes: &scopes,
            resource,
            jkt: jkt.clone(),
            issued_at: now,
            nonce: self.random.bytes(),
        })?;
        Ok(no_store(&TokenAnswer {
            access_token: access_token.expose().clone(),
            token_type: if jkt.is_some() { "DPoP" } else { "Bearer" },
            expires_in: self.access_lifetime(client).as_secs(),
            scope: scopes.to_string(),
            id_token: None,
            refresh_token: None,
        }))
    }

    /// Exchanges an authorization code for a grant (RFC 6749 section 4.1.3). Who asks is checked before anything is
    /// used up: a stranger cannot burn a code (OA-04).
    pub(super) async fn redeem_code(
        &self,
        call: &Authenticated,
        jkt: Option<&str>,
        now: Timestamp,
    ) -> Result<Granted, OAuthError> {
        let params = &call.params;
        let code = params.require("code")?;
        let refused =
            || OAuthError::invalid_grant("The code is unknown, expired, used, or meant for another client.");
        for _ in 0..TRIES {
            let (row, seen) = self.find_code(code)?.ok_or_else(refused)?;
            let record = &seen.value;
            if record.permission.client != call.client.id {
                return Err(refused());
            }
            if let Some(grant) = record.used_for {
                self.end_reused(grant, "code").await?;
                return Err(refused());
            }
            if now >= record.good_until {
                return Err(refused());
            }
            let redirect_uri = params.require("redirect_uri")?;
            if !ct_eq(&sha256(redirect_uri), &record.redirect_uri) {
                return Err(OAuthError::invalid_grant("The redirect_uri is not that of the request."));
            }
            check_pkce(record.challenge.as_deref(), params.get("code_verifier"))?;
            // Refused before it is used up: a request that cannot be answered costs no code.
            narrowed(params, &call.client, &record.permission)?;
            if record.permission.jkt.as_deref().is_some_and(|bound| Some(bound) != jkt) {
                return Err(OAuthError::invalid_grant("The code is bound to another DPoP key."));
            }
            let permission = &record.permission;
            let is_signed_in = self.sessions.is_signed_in(&permission.user, &permission.sid, now);
            let user = self.admit(permission, &call.client).filter(|_| is_signed_in).ok_or_else(refused)?;
            let agreement = if call.is_rehearsal {
                Agreement::of_rehearsal()
            } else {
                self.agreement(permission, &call.client)?.ok_or_else(refused)?
            };
            match self.grant_for_code(call, row, &seen, (user, agreement), jkt, now).await {
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
                Ok(granted) => {
                    // The session may have ended while the grant was written.
                    if self.grants.get(&granted.id, now).is_none() {
                        return Err(refused());
                    }
                    return Ok(granted);
                }
            }
        }
        Err(CommitError::Conflict.into())
    }

    async fn grant_for_code(
        &self,
        call: &Authenticated,
        row: [u8; 32],
        seen: &Versioned<CodeRecord>,
        (user, agreement): (Arc<User>, Agreement),
        jkt: Option<&str>,
        now: Timestamp,
    ) -> Result<Granted, CommitError> {
        let mut permission = seen.value.permission.clone();
        permission.jkt = bound_key(&call.client, jkt);
        let mut batch = self.store.batch();
        agreement.stage_require(&mut batch);
        let granted = self.stage_new_grant(&mut batch, call, user, permission, now);
        let mut used = seen.value.clone();
        used.used_for = Some(granted.id);
        batch.replace(&row, seen, &used);
        self.store.commit(batch).await?;
        Ok(Granted { nonce: seen.value.nonce.clone(), ..granted })
    }

    /// Adds a new grant to `batch`, with a refresh token if the person agreed to offline access.
    pub(super) fn stage_new_grant(
        &self,
        batch: &mut crate::store::Batch,
        call: &Authenticated,
        user: Arc<User>,
        permission: Permission,
        now: Timestamp,
    ) -> Granted {
        let client = &*call.client;
        let id = GrantId::random(&self.random);
        let is_offline =
            permission.scopes.has("offline_access") && client.settings.may(GrantType::RefreshToken);
        let sliding = self.refresh_lifetime(client);
        let (refresh, refresh_token) = if is_offline {
            let absolute = self.lifetimes.refresh_absolute.max(sliding);
            let secret = self.random.bytes();
            let (family, token) =
                refresh::start(&self.refresh_key, id.as_bytes(), &secret, now, sliding, absolute);
            (Some(family), Some(token))
        } else {
            (None, None)
        };
        let tokens_end = self.tokens_end(client, now);
        let until = refresh.as_ref().map_or(tokens_end, |family| family.expires_at.max(tokens_end));
        let until = self.kept_until(client, until, now);
        let record = GrantRecord { permission, refresh, until };
        self.stage_grant(batch, id, &record);
        Granted {
            id,
            user,
            permission: record.permission,
            refresh_token,
            nonce: None,
            issued_at: now,
            token_nonce: self.random.bytes(),
        }
    }

    /// Rotates a refresh token (RFC 6749 section 6, REF-01 to REF-09).
    async fn refresh(
        &self,
        call: &Authenticated,
        jkt: Option<&str>,
        now: Timestamp,
    ) -> Result<Granted, OAuthError> {
        let refused = || {
            OAuthError::invalid_grant("The refresh token is unknown, expired, used, or not this client's.")
        };
        let token = call.params.require("refresh_token")?;
        let presented = refresh::parse(&self.refresh_key, token).ok_or_else(refused)?;
        let id = GrantId(presented.family);
        for _ in 0..TRIES {
            let seen = self.store.get::<GrantRecord>(id.as_bytes())?.ok_or_else(refused)?;
            let record = &seen.value;
            // A stranger's guess does not harm the family (REF-01).
            if record.permission.client != call.client.id {
                return Err(refused());
            }
            if record.permission.jkt.is_some() && record.permission.jkt.as_deref() != jkt {
                return Err(OAuthError::invalid_grant("The refresh token is bound to another DPoP key."));
            }
            // Refused before it is used up: a request that cannot be answered costs no token.
            narrowed(&call.params, &call.client, &record.permission)?;
            let is_alive = self.grants.get(&id, now).is_some();
            let user =
                self.admit(&record.permission, &call.client).filter(|_| is_alive).ok_or_else(refused)?;
            let agreement = self.agreement(&record.permission, &call.client)?.ok_or_else(refused)?;
            let family = record.refresh.as_ref().ok_or_else(refused)?;
            match presented.standing(family, now, self.lifetimes.refresh_grace) {
                Standing::Expired => return Err(refused()),
                Standing::Reused => {
                    self.end_reused(id, "refresh token").await?;
                    return Err(refused());
                }
                Standing::Grace => return Ok(self.refreshed(&presented, record, user)),
                // FAPI 2.0 section 5.3.2.1: tokens that are bound to a key are not rotated.
                Standing::Current if call.client.is_fapi() => {
                    match self.draw_out(&seen, (id, family), &call.client, &agreement, now).await {
                        Ok(()) => {
                            return Ok(self.kept(record, user, SecretText::new(token.to_owned()), id, now));
                        }
                        Err(CommitError::Conflict) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Standing::Current => {
                    match self.rotate(&presented, &seen, &call.client, &agreement, now).await {
                        Ok(record) => return Ok(self.refreshed(&presented, &record, user)),
                        Err(CommitError::Conflict) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Err(CommitError::Conflict.into())
    }

    async fn rotate(
        &self,
        presented: &Presented,
        seen: &Versioned<GrantRecord>,
        client: &Client,
        agreement: &Agreement,
        now: Timestamp,
    ) -> Result<GrantRecord, CommitError> {
        let id = GrantId(presented.family);
        let Some(family) = &seen.value.refresh else { return Err(CommitError::Conflict) };
        let salt: [u8; 16] = self.random.bytes();
        let successor = presented.successor(&self.refresh_key, &salt);
        let rotated = presented.rotated(family, &successor, salt, now, self.refresh_lifetime(client));
        self.put_family(seen, (id, rotated), client, agreement, now).await
    }

    /// Draws the life of a refresh token out that is used and not rotated, every hour at most.
    async fn draw_out(
        &self,
        seen: &Versioned<GrantRecord>,
        (id, family): (GrantId, &RefreshFamily),
        client: &Client,
        agreement: &Agreement,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let sliding = self.refresh_lifetime(client);
        let outlives = self.tokens_end(client, now) > seen.value.until;
        if outlives || now.since(family.rotated_at) >= DRAWN_OUT_EVERY.min(sliding / 4) {
            let family = refresh::drawn_out(family, now, sliding);
            self.put_family(seen, (id, family), client, agreement, now).await?;
        }
        Ok(())
    }

    /// Writes the new state of the refresh tokens of a grant.
    async fn put_family(
        &self,
        seen: &Versioned<GrantRecord>,
        (id, family): (GrantId, RefreshFamily),
        client: &Client,
        agreement: &Agreement,
        now: Timestamp,
    ) -> Result<GrantRecord, CommitError> {
        let mut record = seen.value.clone();
        record.until = self.kept_until(client, family.expires_at.max(self.tokens_end(client, now)), now);
        record.refresh = Some(family);
        let mut batch = self.store.batch();
        batch.require(id.as_bytes(), seen);
        agreement.stage_require(&mut batch);
        self.stage_grant_change(&mut batch, id, record.clone());
        self.store.commit(batch).await?;
        Ok(record)
    }

    /// What follows a token that was rotated: the same again for as long as the window of grace is open (REF-03).
    fn refreshed(&self, presented: &Presented, record: &GrantRecord, user: Arc<User>) -> Granted {
        let id = GrantId(presented.family);
        let (generation, salt, issued_at) =
            record.refresh.as_ref().map_or((0, [0; 16], self.clock.now()), |family| {
                (family.generation, family.salt, family.rotated_at)
            });
        let successor = presented.successor(&self.refresh_key, &salt);
        let token = refresh::format(&self.refresh_key, id.as_bytes(), generation, &successor);
        let seed = hmac_sha256(
            self.refresh_key.expose(),
            &[b"access-nonce", id.as_bytes(), &generation.to_be_bytes(), &salt],
        );
        Granted {
            id,
            user,
            permission: record.permission.clone(),
            refresh_token: Some(token),
            nonce: None,
            issued_at,
            token_nonce: seed.first_chunk::<16>().copied().unwrap_or_default(),
        }
    }

    fn kept(
        &self,
        record: &GrantRecord,
        user: Arc<User>,
        token: SecretText,
        id: GrantId,
        now: Timestamp,
    ) -> Granted {
        Granted {
            id,
            user,
            permission: record.permission.clone(),
            refresh_token: Some(token),
            nonce: None,
            issued_at: now,
            token_nonce: self.random.bytes(),
        }
    }
}

/// Returns the key that the refresh token of a client is bound to. One that proves itself is bound by that already (RFC
/// 9449 section 5).
pub(super) fn bound_key(client: &Client, jkt: Option<&str>) -> Option<String> {
    let is_bound = client.is_fapi() || client.settings.auth_method == super::client::AuthMethod::None;
    jkt.filter(|_| is_bound).map(str::to_owned)
}

/// Returns what an access token covers: the grant, or less if the request asks for less (RFC 6749 section 6, REF-08).
pub(super) fn narrowed(
    params: &Params,
    client: &Client,
    permission: &Permission,
) -> Result<(Scopes, Option<String>), OAuthError> {
    let scopes = match params.get("scope") {
        None => permission.scopes.clone(),
        Some(text) => Scopes::parse(text)
            .filter(|asked| permission.scopes.covers(asked))
            .ok_or_else(|| OAuthError::new("invalid_scope", "The scope is wider than what was agreed to."))?,
    };
    let asked = read_resources(client, params)?;
    if !asked.iter().all(|resource| permission.resources.contains(resource)) {
        return Err(OAuthError::new("invalid_target", "The resource is not one that was agreed to."));
    }
    let resources = if asked.is_empty() { &permission.resources } else { &asked };
    // A token is for one audience; of several that were agreed to, the first counts unless the request names another.
    let resource =
        if asked.is_empty() { resources.first().map(String::as_str) } else { only_one(resources)?[0] };
    if resource.is_some_and(|resource| !client.settings.audiences.iter().any(|own| own == resource)) {
        return Err(OAuthError::new("invalid_target", "This client is not registered for that resource."));
    }
    Ok((scopes, resource.map(str::to_owned)))
}

/// A token has one audience (RFC 8707 section 2.2 lets the server say so).
fn only_one(resources: &[String]) -> Result<[Option<&str>; 1], OAuthError> {
    match resources {
        [] => Ok([None]),
        [one] => Ok([Some(one)]),
        _ => Err(OAuthError::new("invalid_target", "Ask for a token of one resource at a time.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OA-05: RFC 7636 appendix B; a challenge must be met, and nothing else passes for it.
    #[test]
    fn a_verifier_fits_its_challenge_and_nothing_else() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(check_pkce(Some(challenge), Some(verifier)).is_ok());
        assert!(check_pkce(None, None).is_ok());
        for (challenge, given) in [
            (Some(challenge), None),
            (None, Some(verifier)),
            (Some(challenge), Some(challenge)),
            (Some(challenge), Some(&verifier[..42])),
            (Some(verifier), Some(verifier)),
        ] {
            assert!(check_pkce(challenge, given).is_err(), "{challenge:?} {given:?}");
        }
    }
}
