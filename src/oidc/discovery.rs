//! The documents by which apps configure themselves: metadata (OIDC Discovery section 3, RFC 8414) and keys (RFC 7517).

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Oidc;
use super::claims;
use super::client::GrantType;
use super::cors::allow_anybody;
use super::request::{ACR_ONE, ACR_PHR, ACR_TWO};
use super::scopes::KNOWN;
use crate::crypto::jwe::KeyManagement;
use crate::crypto::mac::sha256;
use crate::http::request_headers::ascii;
use crate::http::{Problem, Reply, Request};
use crate::words::Lang;

/// How long apps may keep the documents, in seconds; new keys are published a day before they sign.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=600");

/// The claims that an id_token or userinfo has whatever the scopes are.
const OWN_CLAIMS: [&str; 10] = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"];

/// A document that is made once and kept until something it shows changes.
pub(super) struct Document {
    body: bytes::Bytes,
    tag: HeaderValue,
}

impl Document {
    fn of(value: &Value) -> Document {
        let body = serde_json::to_vec(value).unwrap_or_default();
        let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(sha256(&body).get(..12).unwrap_or_default()));
        Document {
            body: body.into(),
            tag: HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"doorward\"")),
        }
    }

    fn reply(&self, request: &Request) -> Reply {
        let is_known = request
            .headers
            .get_all(header::IF_NONE_MATCH)
            .filter_map(ascii)
            .any(|text| text.split(',').any(|tag| tag.trim() == self.tag));
        let reply = if is_known {
            Reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            Reply::bytes(StatusCode::OK, "application/json", self.body.clone())
        };
        allow_anybody(reply.with(header::ETAG, self.tag.clone()).with(header::CACHE_CONTROL, CACHE))
    }
}

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
pub fn metadata(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(room.documents().metadata.reply(request))
}

/// `GET /jwks.json`.
pub fn keys(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(room.documents().keys.reply(request))
}

/// Both documents, and what they were made of.
pub(super) struct Documents {
    origin: String,
    version: u64,
    metadata: Document,
    keys: Document,
}

impl Oidc {
    fn documents(&self) -> Arc<Documents> {
        // Read before the rest is: what changes meanwhile makes the documents anew at the next request.
        let version = self.version.load(std::sync::atomic::Ordering::Acquire);
        let kept = self.documents.load();
        if let Some(kept) = kept.as_ref()
            && kept.version == version
            && self.site.is_origin(&kept.origin)
        {
            return kept.clone();
        }
        let origin = self.issuer();
        let made = Arc::new(Documents {
            metadata: Document::of(&self.describe_provider(&origin)),
            keys: Document::of(&self.public_keys()),
            origin,
            version,
        });
        self.documents.store(Some(made.clone()));
        made
    }

    /// Returns the metadata as apps read it.
    pub fn metadata(&self) -> Value {
        self.describe_provider(&self.issuer())
    }

    fn describe_provider(&self, origin: &str) -> Value {
        let at = |path: &str| format!("{origin}{path}");
        let mut scopes: Vec<String> = KNOWN.iter().map(|name| (*name).to_owned()).collect();
        let custom = self.custom_scopes();
        scopes.extend(custom.iter().map(|(name, _)| name.clone()));
        let mut claims: Vec<String> =
            OWN_CLAIMS.into_iter().chain(claims::standard()).map(str::to_owned).collect();
        claims.extend(custom.iter().flat_map(|(_, shown)| shown.iter().map(|(claim, _)| claim.clone())));
        claims.dedup();
        let algorithms: Vec<&str> = self.used_algorithms().into_iter().map(|used| used.as_str()).collect();
        let secrets = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
        let with_none = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
        let client_algorithms = ["ES256", "EdDSA", "PS256", "RS256"];
        let mut document = self.describe_endpoints(&at);
        let supported = json!({
            "scopes_supported": scopes,
            "claims_supported": claims,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": GrantType::ALL,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
            "userinfo_signing_alg_values_supported": algorithms,
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": [ACR_ONE, ACR_TWO, ACR_PHR],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "display_values_supported": ["page"],
            "claim_types_supported": ["normal"],
            "ui_locales_supported": Lang::ALL.map(Lang::code),
        });
        let authentication = json!({
            "token_endpoint_auth_methods_supported": with_none,
            "token_endpoint_auth_signing_alg_values_supported": client_algorithms,
            "introspection_endpoint_auth_methods_supported": secrets,
            "introspection_endpoint_auth_signing_alg_values_supported": client_algorithms,
            "revocation_endpoint_auth_methods_supported": with_none,
            "revocation_endpoint_auth_signing_alg_values_supported": client_algorithms,
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256"],
            "id_token_encryption_alg_values_supported": KeyManagement::ALL,
            "id_token_encryption_enc_values_supported": ["A256GCM"],
            "userinfo_encryption_alg_values_supported": KeyManagement::ALL,
            "userinfo_encryption_enc_values_supported": ["A256GCM"],
        });
        let switches = json!({
            "claims_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "require_request_uri_registration": false,
            "authorization_response_iss_parameter_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
        });
        for part in [supported, authentication, switches] {
            if let Value::Object(part) = part {
                document.extend(part);
            }
        }
        Value::Object(document)
    }

    fn describe_endpoints(&self, at: &dyn Fn(&str) -> String) -> Map<String, Value> {
        let mut members: Map<String, Value> = [
            ("issuer", ""),
            ("authorization_endpoint", "/oauth2/authorize"),
            ("token_endpoint", "/oauth2/token"),
            ("userinfo_endpoint", "/oauth2/userinfo"),
            ("jwks_uri", "/jwks.json"),
            ("introspection_endpoint", "/oauth2/introspect"),
            ("revocation_endpoint", "/oauth2/revoke"),
            ("end_session_endpoint", "/logout"),
            ("device_authorization_endpoint", "/oauth2/device_authorization"),
        ]
        .into_iter()
        .map(|(name, path)| (name.to_owned(), at(path).into()))
        .collect();
        // Some apps use pushed requests whenever they see them, and fail (decision 13).
        if self.settings.advertise_par {
            members.insert("pushed_authorization_request_endpoint".to_owned(), at("/oauth2/par").into());
            members.insert("require_pushed_authorization_requests".to_owned(), false.into());
        }
        if self.settings.registration {
            members.insert("registration_endpoint".to_owned(), at("/oauth2/register").into());
        }
        members
    }
}
