//! Apps that register themselves (OIDC Registration 1.0, RFC 7591) and manage that (RFC 7592). Off unless the
//! configuration allows it, and then only with a token that an administrator made (OA-13). Nothing is ever fetched:
//! keys come by value (OA-12).

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Oidc;
use super::client::{
    AuthMethod, Client, ClientId, ClientKind, ClientSettings, ConsentMode, Demand, GrantType,
};
use super::clients::{AddError, Credentials, fresh_secret};
use super::error::OAuthError;
use super::records::InitialTokenRecord;
use super::scopes::Scopes;
use crate::audit::{Event, Kind};
use crate::crypto::jwe::KeyManagement;
use crate::crypto::jwk::ClientKeys;
use crate::crypto::mac::sha256;
use crate::crypto::signing::SigningAlgorithm;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::{SecretText, ct_eq};
use crate::kernel::time::Timestamp;
use crate::limits::Rule;
use crate::store::{Batch, CommitError, Versioned};
use crate::words::english_only;

/// Registrations from one place.
const REGISTRATIONS: Rule = Rule::new("app-registration", 20, Duration::from_secs(3600));
const DAY: Duration = Duration::from_secs(86_400);

/// What an app says of itself (OIDC Registration section 2, RFC 7591 section 2). What is not known here is passed over, as
/// both say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    client_id: Option<String>,
    client_name: Option<String>,
    application_type: Option<String>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    response_types: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    scope: Option<String>,
    jwks: Option<ClientKeys>,
    jwks_uri: Option<String>,
    sector_identifier_uri: Option<String>,
    subject_type: Option<String>,
    id_token_signed_response_alg: Option<String>,
    id_token_encrypted_response_alg: Option<String>,
    id_token_encrypted_response_enc: Option<String>,
    userinfo_signed_response_alg: Option<String>,
    userinfo_encrypted_response_alg: Option<String>,
    userinfo_encrypted_response_enc: Option<String>,
    backchannel_logout_uri: Option<String>,
    initiate_login_uri: Option<String>,
    dpop_bound_access_tokens: bool,
}

fn bad_metadata(why: impl Into<String>) -> OAuthError {
    OAuthError::new("invalid_client_metadata", why)
}

impl Metadata {
    fn read(request: &Request) -> Result<Metadata, OAuthError> {
        // Parsed strictly first (bounded depth, no name twice), then as far as it is known here.
        let document: Map<String, Value> =
            request.json().map_err(|problem| bad_metadata(problem.detail.english()))?;
        serde_json::from_value(Value::Object(document)).map_err(|error| bad_metadata(error.to_string()))
    }

    fn settings(self) -> Result<ClientSettings, OAuthError> {
        for (name, is_given) in [
            ("jwks_uri", self.jwks_uri.is_some()),
            ("sector_identifier_uri", self.sector_identifier_uri.is_some()),
        ] {
            if is_given {
                return Err(bad_metadata(format!("{name} is never fetched here; send jwks by value.")));
            }
        }
        if self.response_types.is_some_and(|types| types.iter().any(|kind| kind != "code")) {
            return Err(bad_metadata("The only response_type here is code."));
        }
        if self.subject_type.is_some_and(|kind| kind != "public") {
            return Err(bad_metadata("The only subject_type here is public."));
        }
        let is_native = match self.application_type.as_deref() {
            None | Some("web") => false,
            Some("native") => true,
            Some(_) => return Err(bad_metadata("The application_type is web or native.")),
        };
        let auth_method = match self.token_endpoint_auth_method.as_deref() {
            None => AuthMethod::Basic,
            Some("any") => return Err(bad_metadata("This token_endpoint_auth_method does not exist.")),
            Some(name) => AuthMethod::parse(name)
                .ok_or_else(|| bad_metadata("This token_endpoint_auth_method does not exist here."))?,
        };
        let grants = match self.grant_types {
            None => vec![GrantType::AuthorizationCode],
            Some(names) => names
                .iter()
                .map(|name| GrantType::parse(name))
                .collect::<Option<_>>()
                .ok_or_else(|| bad_metadata("One of the grant_types does not exist here."))?,
        };
        let defaults = ClientSettings::default();
        let scopes = match self.scope.as_deref() {
            None => defaults.scopes.clone(),
            Some(text) => {
                Scopes::parse(text).ok_or_else(|| bad_metadata("The scope holds what is not allowed."))?
            }
        };
        // Nobody here vouches for the app, so a scheme of its own must at least name a domain (RFC 8252 section 7.1).
        let is_plain = |uri: &String| {
            let scheme = uri.split(':').next().unwrap_or_default();
            !scheme.contains('.') && !matches!(scheme, "https" | "http")
        };
        if self.redirect_uris.iter().any(is_plain) {
            let why = "A scheme of the app's own is a domain name in reverse, such as com.example.app.";
            return Err(OAuthError::new("invalid_redirect_uri", why));
        }
        let kind =
            if auth_method == AuthMethod::None { ClientKind::Public } else { ClientKind::Confidential };
        Ok(ClientSettings {
            name: self.client_name.unwrap_or_else(|| "An app without a name".to_owned()),
            kind,
            is_native,
            redirect_uris: self.redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            backchannel_logout_uri: self.backchannel_logout_uri,
            initiate_login_uri: self.initiate_login_uri,
            auth_method,
            jwks: self.jwks,
            // Most who register themselves know PKCE; those that do not are confidential (OA-05).
            pkce: Demand::Optional,
            grants,
            scopes,
            id_token_alg: algorithm(self.id_token_signed_response_alg.as_deref())?
                .unwrap_or(SigningAlgorithm::Rs256),
            userinfo_alg: algorithm(self.userinfo_signed_response_alg.as_deref())?,
            id_token_encryption: encryption(
                self.id_token_encrypted_response_alg.as_deref(),
                self.id_token_encrypted_response_enc.as_deref(),
            )?,
            userinfo_encryption: encryption(
                self.userinfo_encrypted_response_alg.as_deref(),
                self.userinfo_encrypted_response_enc.as_deref(),
            )?,
            claims_in_id_token: false,
            consent: ConsentMode::Once,
            dpop: if self.dpop_bound_access_tokens { Demand::Required } else { Demand::Optional },
            ..defaults
        })
    }
}

fn algorithm(name: Option<&str>) -> Result<Option<SigningAlgorithm>, OAuthError> {
    name.map(|name| {
        SigningAlgorithm::parse(name)
            .ok_or_else(|| bad_metadata("Tokens are signed with RS256, ES256 or EdDSA here."))
    })
    .transpose()
}

fn encryption(alg: Option<&str>, enc: Option<&str>) -> Result<Option<KeyManagement>, OAuthError> {
    if enc.is_some_and(|enc| enc != "A256GCM") || (enc.is_some() && alg.is_none()) {
        return Err(bad_metadata("The only content encryption here is A256GCM, together with an algorithm."));
    }
    alg.map(|name| {
        KeyManagement::parse(name)
            .ok_or_else(|| bad_metadata("Keys are encrypted by ECDH-ES or RSA-OAEP-256 here."))
    })
    .transpose()
}

impl From<AddError> for OAuthError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Objections(objections) => {
                let (field, why) = objections.into_iter().next().unwrap_or(("client", english_only("")));
                let code =
                    if field == "redirect_uris" { "invalid_redirect_uri" } else { "invalid_client_metadata" };
                OAuthError::new(code, why.english())
            }
            other => Problem::from(other).into(),
        }
    }
}

/// `POST /oauth2/register`.
pub async fn register(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(room.register(request).await.unwrap_or_else(OAuthError::reply))
}

/// `GET /oauth2/register/{client}`.
pub async fn show(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let shown = room.registered(request).map(|client| Reply::json(StatusCode::OK, &room.describe(&client)));
    Ok(shown.unwrap_or_else(OAuthError::reply))
}

/// `PUT /oauth2/register/{client}`: replaces everything (RFC 7592 section 2.2).
pub async fn replace(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(room.replace_registration(request).await.unwrap_or_else(OAuthError::reply))
}

/// `DELETE /oauth2/register/{client}`.
pub async fn remove(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(room.remove_registration(request).await.unwrap_or_else(OAuthError::reply))
}

/// Answers with the description of a client, and with its secret if it was just made.
fn described(status: StatusCode, mut document: Value, secret: Option<&SecretText>) -> Reply {
    if let (Some(secret), Some(members)) = (secret, document.as_object_mut()) {
        members.insert("client_secret".to_owned(), secret.expose().as_str().into());
        members.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    Reply::json(status, &document).with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

fn bearer(request: &Request) -> Result<&str, OAuthError> {
    let refused =
        || OAuthError::invalid_token("Bearer", "Send Authorization: Bearer with the token for this.");
    let header = request.header(&header::AUTHORIZATION).map_err(|_| refused())?.ok_or_else(refused)?;
    let (scheme, token) = header.split_once(' ').ok_or_else(refused)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_start_matches(' ')) } else { Err(refused()) }
}

impl Oidc {
    /// Makes a token with which apps may register themselves.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`].
    pub async fn make_initial_token(
        &self,
        uses: u32,
        days: u32,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(SecretText, Timestamp), CommitError> {
        let token = fresh_secret(&self.random);
        let (row, until) = (sha256(token.expose()), self.clock.now().plus(DAY * days));
        let mut batch = self.store.batch();
        batch
            .insert_new(&row, &InitialTokenRecord { left: uses, until })
            .expire::<InitialTokenRecord>(&row, until);
        also(&mut batch);
        self.store.commit(batch).await?;
        Ok((token, until))
    }

    /// Makes every token useless that apps may register themselves with.
    ///
    /// # Errors
    /// As [`crate::store::Store::commit`].
    pub async fn drop_initial_tokens(&self, also: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
        let mut batch = self.store.batch();
        for (row, _) in
            self.store.scan::<InitialTokenRecord>(&[], None, 10_000).map_err(CommitError::Store)?
        {
            batch.remove::<InitialTokenRecord>(&row);
        }
        also(&mut batch);
        self.store.commit(batch).await
    }

    fn refuse_if_off(&self) -> Result<(), OAuthError> {
        if self.settings.registration {
            return Ok(());
        }
        let mut error = OAuthError::invalid_request("Apps cannot register themselves here.");
        error.status = StatusCode::FORBIDDEN;
        Err(error)
    }

    fn initial_token(
        &self,
        request: &Request,
    ) -> Result<([u8; 32], Versioned<InitialTokenRecord>), OAuthError> {
        let row = sha256(bearer(request)?);
        let found = self.store.get::<InitialTokenRecord>(&row)?;
        let seen = found.filter(|seen| seen.value.left > 0 && seen.value.until > request.now);
        let why = "The token for registering is unknown, used up or expired.";
        Ok((row, seen.ok_or_else(|| OAuthError::invalid_token("Bearer", why))?))
    }

    async fn register(&self, request: &Request) -> Result<Reply, OAuthError> {
        self.refuse_if_off()?;
        self.limit_place(&REGISTRATIONS, request, "", "Too many apps at once.")?;
        let (row, seen) = self.initial_token(request)?;
        let settings = Metadata::read(request)?.settings()?;
        let token = fresh_secret(&self.random);
        let event = Event::succeeded(Kind::AppRegistered).from(request.client.ip).request(request.id);
        let mut rest = seen.value.clone();
        rest.left -= 1;
        let credentials =
            Credentials { registration_token: Some(sha256(token.expose())), ..Credentials::default() };
        // One use of the token and the client are one commit (GEN-03).
        let added = self
            .add_client_with(None, settings, credentials, |batch, id| {
                if rest.left == 0 {
                    batch.take(&row, &seen);
                } else {
                    batch.replace(&row, &seen, &rest);
                }
                self.audit.write(batch, event.on(id));
            })
            .await
            .map_err(|error| match error {
                AddError::Taken => {
                    OAuthError::invalid_token("Bearer", "The token was used at the same moment.")
                }
                other => other.into(),
            })?;
        let mut document = self.describe(&added.client);
        if let Some(members) = document.as_object_mut() {
            members.insert("registration_access_token".to_owned(), token.expose().as_str().into());
        }
        Ok(described(StatusCode::CREATED, document, added.secret.as_ref()))
    }

    /// Returns the client whose registration a request manages. An unknown client and a wrong token look alike.
    fn registered(&self, request: &Request) -> Result<std::sync::Arc<Client>, OAuthError> {
        self.refuse_if_off()?;
        let refused = || OAuthError::invalid_token("Bearer", "This token does not manage this client.");
        let digest = sha256(bearer(request)?);
        let client = self.client(request.param("client")).ok_or_else(refused)?;
        let record = self.client_record(&client.id)?;
        let is_right = record.value.registration_token.is_some_and(|own| ct_eq(&own, &digest));
        if is_right { Ok(client) } else { Err(refused()) }
    }

    async fn replace_registration(&self, request: &Request) -> Result<Reply, OAuthError> {
        let client = self.registered(request)?;
        let metadata = Metadata::read(request)?;
        if metadata.client_id.as_deref() != Some(client.id.as_str()) {
            return Err(bad_metadata("Send the client_id with the rest (RFC 7592 section 2.2)."));
        }
        let mut settings = metadata.settings()?;
        // What an administrator decided about the app stays decided. Who took a scope or a grant type away is not kept, so
        // the app cannot take either back.
        let own = &client.settings;
        settings.scopes = settings.scopes.within(&own.scopes);
        settings.grants.retain(|grant| own.may(*grant));
        settings.claims_in_id_token = own.claims_in_id_token;
        settings.launch_url.clone_from(&own.launch_url);
        if own.initials != crate::views::initials(&own.name) {
            settings.initials.clone_from(&own.initials);
        }
        settings.groups.clone_from(&own.groups);
        settings.level = own.level;
        settings.is_disabled = own.is_disabled;
        settings.consent = own.consent;
        settings.audiences.clone_from(&own.audiences);
        settings.cors_origins.clone_from(&own.cors_origins);
        settings.profile = own.profile;
        (settings.access_token_seconds, settings.refresh_token_seconds) =
            (own.access_token_seconds, own.refresh_token_seconds);
        // What must be, must be.
        settings.pkce = settings.pkce.min(own.pkce);
        settings.dpop = settings.dpop.min(own.dpop);
        let event = self.registration_event(Kind::AppChanged, request, &client.id);
        // Whoever proved itself by a key, or not at all, has none yet.
        let needs_secret = settings.has_secret() && client.secret_count() == 0;
        let secret = needs_secret.then(|| fresh_secret(&self.random));
        let digest = secret.as_ref().map(|secret| sha256(secret.expose()));
        let audited = |batch: &mut Batch| self.audit.write(batch, event);
        let changed = self.change_client_with(&client, settings, digest, audited).await?;
        Ok(described(StatusCode::OK, self.describe(&changed), secret.as_ref()))
    }

    async fn remove_registration(&self, request: &Request) -> Result<Reply, OAuthError> {
        let client = self.registered(request)?;
        let event = self.registration_event(Kind::AppRemoved, request, &client.id);
        self.remove_client(&client.id, |batch| self.audit.write(batch, event)).await?;
        Ok(Reply::no_content())
    }

    fn registration_event(&self, kind: Kind, request: &Request, client: &ClientId) -> Event {
        Event::succeeded(kind).on(client.as_str()).from(request.client.ip).request(request.id)
    }

    /// Describes a client as it described itself (RFC 7591 section 3.2.1).
    fn describe(&self, client: &Client) -> Value {
        let settings = &client.settings;
        let mut document = json!({
            "client_id": client.id.as_str(),
            "client_id_issued_at": client.created_at.as_secs(),
            "client_name": settings.name,
            "application_type": if settings.is_native { "native" } else { "web" },
            "redirect_uris": settings.redirect_uris,
            "post_logout_redirect_uris": settings.post_logout_redirect_uris,
            "response_types": ["code"],
            "grant_types": settings.grants,
            "token_endpoint_auth_method": settings.auth_method.as_str(),
            "scope": settings.scopes.to_string(),
            "subject_type": "public",
            "id_token_signed_response_alg": settings.id_token_alg,
            "dpop_bound_access_tokens": settings.dpop == Demand::Required,
            "registration_client_uri":
                format!("{}/oauth2/register/{}", self.issuer(), client.id),
        });
        let Some(members) = document.as_object_mut() else { return document };
        for (name, text) in [
            ("backchannel_logout_uri", settings.backchannel_logout_uri.as_deref()),
            ("initiate_login_uri", settings.initiate_login_uri.as_deref()),
            ("userinfo_signed_response_alg", settings.userinfo_alg.map(SigningAlgorithm::as_str)),
            ("id_token_encrypted_response_alg", settings.id_token_encryption.map(KeyManagement::as_str)),
            ("userinfo_encrypted_response_alg", settings.userinfo_encryption.map(KeyManagement::as_str)),
        ] {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.into());
            }
        }
        if let Some(keys) = &settings.jwks {
            members.insert("jwks".to_owned(), keys.to_json());
        }
        document
    }
}
