//! Introspection (RFC 7662) and revocation (RFC 7009). Both tell a client nothing about tokens of others (OA-16).

use http::StatusCode;
use serde_json::{Value, json};

use super::Oidc;
use super::client::Client;
use super::error::OAuthError;
use super::records::GrantRecord;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::GrantId;
use crate::kernel::time::Timestamp;
use crate::sessions::refresh;
use crate::store::CommitError;

/// `POST /oauth2/introspect`.
pub async fn introspect(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(match room.introspect(request).await {
        Ok(document) => Reply::document(StatusCode::OK, &document),
        Err(error) => error.reply(),
    })
}

/// `POST /oauth2/revoke`.
pub async fn revoke(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let reply = match room.revoke(request).await {
        Ok(()) => Reply::empty(StatusCode::OK),
        Err(error) => error.reply(),
    };
    Ok(room.allow_client_origin(request, reply))
}

impl Oidc {
    async fn introspect(&self, request: &Request) -> Result<Value, OAuthError> {
        let call = self.authenticate(request).await?;
        // A public client proves nothing, so anybody could ask in its name (RFC 7662 section 2.1).
        if call.client.settings.auth_method == super::client::AuthMethod::None {
            return Err(OAuthError::invalid_client());
        }
        let token = call.params.require("token")?;
        let found = self.inspect_access(&call.client, token, request.now);
        let found = match found {
            Some(document) => Some(document),
            None => self.inspect_refresh(&call.client, token, request.now)?,
        };
        // Unknown, over, revoked, or somebody else's: all the same (OA-16).
        Ok(found.unwrap_or_else(|| json!({ "active": false })))
    }

    /// Describes an access token of the client.
    fn inspect_access(&self, client: &Client, token: &str, now: Timestamp) -> Option<Value> {
        let admitted = self.admit_access(token, now).ok()?;
        let claims = &admitted.token.claims;
        if admitted.client.id != client.id {
            return None;
        }
        let mut document = json!({
            "active": true,
            "iss": claims.iss,
            "sub": claims.sub,
            "aud": claims.aud,
            "exp": claims.exp,
            "iat": claims.iat,
            "jti": claims.jti,
            "client_id": claims.client_id,
            "scope": admitted.scopes().to_string(),
            "token_type": if claims.cnf.is_some() { "DPoP" } else { "Bearer" },
        });
        let members = document.as_object_mut()?;
        if let Some(cnf) = &claims.cnf {
            members.insert("cnf".to_owned(), json!({ "jkt": cnf.jkt }));
        }
        if let Some((user, permission)) = &admitted.person {
            members.insert("username".to_owned(), user.username.as_str().into());
            members.insert("auth_time".to_owned(), permission.authenticated_at.as_secs().into());
        }
        Some(document)
    }

    fn inspect_refresh(
        &self,
        client: &Client,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Value>, OAuthError> {
        let Some((id, record)) = self.refresh_grant(client, token)? else { return Ok(None) };
        let permission = &record.permission;
        let Some(family) = &record.refresh else { return Ok(None) };
        let is_newest = refresh::parse(&self.refresh_key, token)
            .is_some_and(|presented| presented.is_newest(family) && now < family.expires_at);
        let stands = is_newest && self.grants.get(&id, now).is_some();
        let Some(user) = self.admit(permission, client).filter(|_| stands) else { return Ok(None) };
        let profile = self.profile(&user)?;
        Ok(Some(json!({
            "active": true,
            "iss": self.issuer(),
            "sub": self.subject(&user, profile.as_ref()),
            "exp": family.expires_at.as_secs(),
            "client_id": client.id.as_str(),
            "scope": permission.scopes.to_string(),
            "username": user.username.as_str(),
        })))
    }

    fn refresh_grant(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<Option<(GrantId, GrantRecord)>, OAuthError> {
        let Some(presented) = refresh::parse(&self.refresh_key, token) else { return Ok(None) };
        let id = GrantId(presented.family);
        let found = self.store.get::<GrantRecord>(id.as_bytes())?;
        let record = found.map(|found| found.value).filter(|record| record.permission.client == client.id);
        Ok(record.map(|record| (id, record)))
    }

    /// Revokes a token of the client. What is unknown or somebody else's is left alone and answered alike (RFC 7009
    /// section 2.2). A refresh token takes its whole grant along (section 2.1), an access token itself alone.
    async fn revoke(&self, request: &Request) -> Result<(), OAuthError> {
        let call = self.authenticate(request).await?;
        let token = call.params.require("token")?;
        let mut batch = self.store.batch();
        if let Some((id, _)) = self.refresh_grant(&call.client, token)? {
            self.stage_end_grant(&mut batch, id);
        } else if let Ok(verified) = self.verify_access(token, request.now)
            && verified.claims.client_id == call.client.id.as_str()
        {
            self.stage_revoke_access(&mut batch, &verified);
        } else {
            return Ok(());
        }
        match self.store.commit(batch).await {
            Ok(()) => Ok(()),
            // Somebody revoked it at the same moment.
            Err(CommitError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
