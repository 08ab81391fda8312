//! What an app would be told of a person, without anybody signing in.

use serde_json::{Map, Value};

use super::claims::ClaimsRequest;
use super::scopes::Scopes;
use super::{Client, OAuthError, Oidc};
use crate::accounts::User;

/// What an app would be told.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The scopes that count: those asked for, as far as the app may.
    pub scopes: Scopes,
    /// What stands in the id_token; none without the scope `openid`.
    pub id_token: Map<String, Value>,
    /// What userinfo answers; none without the scope `openid`.
    pub userinfo: Map<String, Value>,
    /// Whether the app is open to the person at all.
    pub is_admitted: bool,
}

impl Oidc {
    /// Returns what `client` would be told of `user` if it asked for `scopes`; for all that it may, if that is `None`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn preview(
        &self,
        client: &Client,
        user: &User,
        scopes: Option<&Scopes>,
    ) -> Result<Preview, OAuthError> {
        let allowed = &client.settings.scopes;
        let scopes = scopes.map_or_else(|| allowed.clone(), |asked| asked.within(allowed));
        let (mut id_token, mut userinfo) = (Map::new(), Map::new());
        if scopes.has("openid") {
            let by_name = ClaimsRequest::default();
            id_token = self.id_token_claims(client, user, &scopes, &by_name)?;
            userinfo = self.userinfo_claims(client, user, &scopes, &by_name)?;
        }
        let is_admitted = user.is_active() && client.admits(user);
        Ok(Preview { scopes, id_token, userinfo, is_admitted })
    }
}
