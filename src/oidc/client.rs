//! An app that signs people in: what an administrator decides about it, and what follows from that. Pure.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::redirect_uri;
use super::scopes::{self, Scopes};
use crate::accounts::User;
use crate::crypto::client_jws::ClientAlgorithm;
use crate::crypto::foreign::ForeignHash;
use crate::crypto::jwe::KeyManagement;
use crate::crypto::jwk::ClientKeys;
use crate::crypto::signing::SigningAlgorithm;
use crate::kernel::secret::ct_eq;
use crate::kernel::text::{DisplayName, GroupName};
use crate::kernel::time::Timestamp;
use crate::sessions::Level;
use crate::words::{Said, Words, said};

/// The most addresses of one kind that a client registers.
const MOST_URIS: usize = 32;

/// The name of a client: `[A-Za-z0-9._~-]{1,128}`. Another namespace than users (OA-19).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Parses a name.
    ///
    /// # Errors
    /// A sentence that says what a name looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_sound = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-'));
        if is_sound {
            Ok(ClientId(text.into()))
        } else {
            Err("A client id has 1 to 128 letters, digits, dots, underscores, tildes and hyphens.")
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        ClientId::parse(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> String {
        id.0.as_ref().to_owned()
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// Returns the name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            /// Parses the name on the wire.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}

names! {
    /// Whether a client can keep a secret (RFC 6749 section 2.1).
    ClientKind {
        /// A server that keeps one.
        Confidential = "confidential",
        /// A browser or an app on a phone or desktop, which cannot.
        Public = "public",
    }
}

names! {
    /// How a client proves itself (OIDC Core section 9).
    AuthMethod {
        /// By secret, in the header or in the form: many apps do not say which.
        Any = "any",
        /// By secret in the header.
        Basic = "client_secret_basic",
        /// By secret in the form.
        Post = "client_secret_post",
        /// By a token signed with its own key.
        PrivateKeyJwt = "private_key_jwt",
        /// Not at all: a public client.
        None = "none",
    }
}

names! {
    /// What a token is given for (RFC 6749 section 1.3).
    GrantType {
        /// A code that a browser brought.
        AuthorizationCode = "authorization_code",
        /// A refresh token.
        RefreshToken = "refresh_token",
        /// The client itself.
        ClientCredentials = "client_credentials",
        /// A device without a browser (RFC 8628).
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
    }
}

names! {
    /// When people are asked whether an app may have what it asks for.
    ConsentMode {
        /// Once for each set of scopes.
        Once = "once",
        /// At every sign-in.
        Always = "always",
        /// Never: the app belongs to the house.
        Skip = "skip",
    }
}

names! {
    /// The rules that a client keeps to.
    Profile {
        /// Those of OAuth 2.0 and OpenID Connect.
        Standard = "standard",
        /// FAPI 2.0 Security Profile: pushed requests, PKCE, private keys, DPoP.
        Fapi2 = "fapi2",
    }
}

names! {
    /// Whether something must be, or may be.
    Demand {
        /// It must.
        Required = "required",
        /// It may.
        Optional = "optional",
    }
}

/// What an administrator decides about a client. JSON in the API, postcard in the store; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// The name that people see.
    pub name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// Whether it runs on people's own devices: loopback addresses may then have any port.
    pub is_native: bool,
    /// Where codes may be sent, to the letter.
    pub redirect_uris: Vec<String>,
    /// Where browsers may be sent after signing out, to the letter.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session ended.
    pub backchannel_logout_uri: Option<String>,
    /// How it proves itself.
    pub auth_method: AuthMethod,
    /// Where a sign-in can be started from here (OIDC Core section 4).
    pub initiate_login_uri: Option<String>,
    /// Its public keys.
    pub jwks: Option<ClientKeys>,
    /// Whether it must use PKCE; public clients always must.
    pub pkce: Demand,
    /// What it may ask tokens for.
    pub grants: Vec<GrantType>,
    /// Which scopes it may ask for.
    pub scopes: Scopes,
    /// The APIs that it may ask tokens for (RFC 8707).
    pub audiences: Vec<String>,
    /// Who may use it; everyone if empty.
    pub groups: Vec<GroupName>,
    /// What people must have proven.
    pub level: Level,
    /// How its id_tokens and logout tokens are signed.
    pub id_token_alg: SigningAlgorithm,
    /// How userinfo is signed, if it is.
    pub userinfo_alg: Option<SigningAlgorithm>,
    /// How its id_tokens are encrypted, if they are.
    pub id_token_encryption: Option<KeyManagement>,
    /// How userinfo is encrypted, if it is.
    pub userinfo_encryption: Option<KeyManagement>,
    /// Whether the claims of its scopes stand in the id_token too.
    pub claims_in_id_token: bool,
    /// When people are asked.
    pub consent: ConsentMode,
    /// The rules it keeps to.
    pub profile: Profile,
    /// Whether its tokens must be bound to a key of its own (RFC 9449).
    pub dpop: Demand,
    /// The life of its access tokens, if not that of all.
    pub access_token_seconds: Option<u32>,
    /// The longest pause between two refreshes, if not that of all.
    pub refresh_token_seconds: Option<u32>,
    /// Origins whose scripts may read the answers of the token endpoint.
    pub cors_origins: Vec<String>,
    /// Whether it is switched off.
    pub is_disabled: bool,
    /// Where people open it, for their list of apps; the last setting, because older ones end here in the store.
    pub launch_url: Option<String>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        let scopes = ["openid", "profile", "email", "groups", "offline_access"];
        ClientSettings {
            name: String::new(),
            initials: String::new(),
            kind: ClientKind::Confidential,
            is_native: false,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            initiate_login_uri: None,
            auth_method: AuthMethod::Any,
            jwks: None,
            pkce: Demand::Required,
            grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            scopes: Scopes::new(scopes.map(str::to_owned)),
            audiences: Vec::new(),
            groups: Vec::new(),
            level: Level::OneFactor,
            id_token_alg: SigningAlgorithm::Rs256,
            userinfo_alg: None,
            id_token_encryption: None,
            userinfo_encryption: None,
            claims_in_id_token: true,
            consent: ConsentMode::Once,
            profile: Profile::Standard,
            dpop: Demand::Optional,
            access_token_seconds: None,
            refresh_token_seconds: None,
            cors_origins: Vec::new(),
            is_disabled: false,
            launch_url: None,
        }
    }
}

/// A setting that was refused: its name and a sentence.
pub type Objection = (&'static str, Said);

impl ClientSettings {
    /// Fills in what follows from other settings, so that a form need not repeat it.
    #[must_use]
    pub fn completed(mut self) -> Self {
        self.name = self.name.trim().to_owned();
        if self.kind == ClientKind::Public {
            self.auth_method = AuthMethod::None;
            self.pkce = Demand::Required;
        }
        if self.profile == Profile::Fapi2 {
            self.pkce = Demand::Required;
            self.dpop = Demand::Required;
        }
        if self.initials.is_empty() {
            self.initials = crate::views::initials(&self.name);
        }
        self.grants.sort_unstable();
        self.grants.dedup();
        self.groups.sort_unstable();
        self.groups.dedup();
        self
    }

    /// Checks the settings; `is_scope` tells which scopes exist, `is_lab` whether plain http is fine for every host.
    pub fn objections(&self, is_scope: impl Fn(&str) -> bool, is_lab: bool) -> Vec<Objection> {
        let mut found = Vec::new();
        let mut object = |field: &'static str, why: Said| found.push((field, why));
        if let Err(error) = DisplayName::parse(&self.name) {
            object("name", Said::of(error.0));
        }
        if self.initials.chars().count() > 3 || self.initials.chars().any(char::is_control) {
            object("initials", Said::of(Words::apps_bad_initials));
        }
        for (field, uris) in [
            ("redirect_uris", &self.redirect_uris),
            ("post_logout_redirect_uris", &self.post_logout_redirect_uris),
        ] {
            if uris.len() > MOST_URIS {
                object(field, said(|t| t.apps_too_many_uris(MOST_URIS)));
            }
            for uri in uris {
                if let Err(why) = redirect_uri::check(uri, is_lab) {
                    object(field, why);
                }
            }
        }
        if self.may(GrantType::AuthorizationCode) && self.redirect_uris.is_empty() {
            object("redirect_uris", Said::of(Words::apps_needs_redirect));
        }
        self.object_to_uris(&mut object);
        self.object_to_keys(&mut object);
        self.object_to_grants(&mut object);
        for scope in self.scopes.iter() {
            if !scopes::is_name(scope) || !is_scope(scope) {
                let scope = scope.to_owned();
                object("scopes", said(move |t| t.apps_no_scope(&scope)));
            }
        }
        for (field, seconds, least, most) in [
            ("access_token_seconds", self.access_token_seconds, 60, 86_400),
            ("refresh_token_seconds", self.refresh_token_seconds, 3_600, 730 * 86_400),
        ] {
            if seconds.is_some_and(|seconds| !(least..=most).contains(&seconds)) {
                object(field, said(move |t| t.apps_bad_seconds(least, most)));
            }
        }
        found
    }

    fn object_to_uris(&self, object: &mut impl FnMut(&'static str, Said)) {
        if let Some(uri) = &self.backchannel_logout_uri
            && (uri.contains('#') || !is_web_address(uri))
        {
            object("backchannel_logout_uri", Said::of(Words::apps_bad_backchannel));
        }
        if self.launch_url.as_deref().is_some_and(|url| !is_web_address(url)) {
            object("launch_url", Said::of(Words::apps_bad_launch));
        }
        if let Some(uri) = &self.initiate_login_uri {
            let is_sound = uri.len() <= redirect_uri::LONGEST
                && url::Url::parse(uri).is_ok_and(|url| {
                    url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
                });
            if !is_sound {
                object("initiate_login_uri", Said::of(Words::apps_bad_initiate));
            }
        }
        if self.audiences.len() > MOST_URIS || !self.audiences.iter().all(|audience| is_resource(audience)) {
            object("audiences", Said::of(Words::apps_bad_audience));
        }
        if self.cors_origins.len() > MOST_URIS || !self.cors_origins.iter().all(|origin| is_origin(origin)) {
            object("cors_origins", Said::of(Words::apps_bad_origin));
        }
    }

    fn object_to_keys(&self, object: &mut impl FnMut(&'static str, Said)) {
        let has_signing_key = self.jwks.as_ref().is_some_and(|keys| {
            ClientAlgorithm::ALL
                .into_iter()
                .any(|algorithm| keys.find_for_signature(None, algorithm).is_some())
        });
        if self.auth_method == AuthMethod::PrivateKeyJwt && !has_signing_key {
            object("jwks", Said::of(Words::apps_needs_key));
        }
        for encryption in [self.id_token_encryption, self.userinfo_encryption].into_iter().flatten() {
            let has_key =
                self.jwks.as_ref().is_some_and(|keys| keys.find_for_encryption(encryption, None).is_some());
            if !has_key {
                object("jwks", said(move |t| t.apps_needs_encryption_key(encryption.as_str())));
            }
        }
    }

    fn object_to_grants(&self, object: &mut impl FnMut(&'static str, Said)) {
        if self.grants.is_empty() {
            object("grants", Said::of(Words::apps_needs_grant));
        }
        let is_public = self.kind == ClientKind::Public;
        if is_public && self.may(GrantType::ClientCredentials) {
            object("grants", Said::of(Words::apps_public_cannot));
        }
        if is_public != (self.auth_method == AuthMethod::None) {
            object("auth_method", Said::of(Words::apps_bad_auth_method));
        }
        if self.profile == Profile::Fapi2 {
            if self.auth_method != AuthMethod::PrivateKeyJwt {
                object("auth_method", Said::of(Words::apps_fapi_method));
            }
            if self.id_token_alg == SigningAlgorithm::Rs256 {
                object("id_token_alg", Said::of(Words::apps_fapi_algorithm));
            }
        }
    }

    /// Tells whether the client proves itself by secret.
    pub fn has_secret(&self) -> bool {
        matches!(self.auth_method, AuthMethod::Any | AuthMethod::Basic | AuthMethod::Post)
    }

    /// Tells whether the client may use a grant type.
    pub fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }
}

/// Tells whether `text` can name a resource (RFC 8707 section 2): absolute, no fragment.
pub fn is_resource(text: &str) -> bool {
    text.len() <= redirect_uri::LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains('#')
        && url::Url::parse(text).is_ok()
}

/// Tells whether `text` is the address of a page, without a user name.
fn is_web_address(text: &str) -> bool {
    text.len() <= redirect_uri::LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none()
        })
}

fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        // No wildcard: origins are compared to the letter, so it would only look as if it worked.
        matches!(url.scheme(), "https" | "http")
            && !text.contains('*')
            && url.origin().ascii_serialization() == text
    })
}

/// A client as every request sees it.
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// What was decided about it.
    pub settings: ClientSettings,
    /// Digests of its secrets, newest first; at most two.
    pub(super) secrets: Vec<[u8; 32]>,
    /// The hash of a secret that another server made, until the secret is used here.
    pub(super) foreign_secret: Option<ForeignHash>,
    /// When it was added.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub revision: u64,
    /// Origins whose scripts may read answers: those registered, and for public clients those of their addresses.
    pub origins: Vec<String>,
    /// Whether it registered itself: it is never trusted without asking (OA-13).
    pub registered_itself: bool,
}

impl Client {
    /// Returns a client as it would be with these settings and without a secret, to try requests and presets on.
    pub fn trial(id: ClientId, settings: ClientSettings) -> Self {
        Client {
            origins: Client::origins_of(&settings),
            id,
            settings,
            secrets: Vec::new(),
            foreign_secret: None,
            created_at: Timestamp::ZERO,
            revision: 0,
            registered_itself: false,
        }
    }

    /// Tells whether a person may use the app (OA-15).
    pub fn admits(&self, user: &User) -> bool {
        let groups = &self.settings.groups;
        !self.settings.is_disabled
            && (groups.is_empty() || groups.iter().any(|group| user.is_in(group.as_str())))
    }

    /// Returns when people are asked; whoever registered itself never skips that (OA-13).
    pub fn consent(&self) -> ConsentMode {
        match self.settings.consent {
            ConsentMode::Skip if self.registered_itself => ConsentMode::Once,
            mode => mode,
        }
    }

    /// Tells whether the secret with this SHA-256 is good.
    pub fn knows_secret(&self, digest: &[u8; 32]) -> bool {
        self.secrets.iter().any(|own| ct_eq(own, digest))
    }

    /// Returns how many secrets are good.
    pub fn secret_count(&self) -> usize {
        self.secrets.len() + usize::from(self.foreign_secret.is_some())
    }

    /// Tells whether the client keeps to FAPI 2.0.
    pub fn is_fapi(&self) -> bool {
        self.settings.profile == Profile::Fapi2
    }

    pub(super) fn origins_of(settings: &ClientSettings) -> Vec<String> {
        let mut origins = settings.cors_origins.clone();
        if settings.kind == ClientKind::Public {
            let of_addresses = settings.redirect_uris.iter().filter_map(|uri| url::Url::parse(uri).ok());
            origins.extend(
                of_addresses
                    .filter(|url| matches!(url.scheme(), "https" | "http"))
                    .map(|url| url.origin().ascii_serialization()),
            );
        }
        origins.sort_unstable();
        origins.dedup();
        origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ClientSettings {
        ClientSettings {
            name: "Grafana".to_owned(),
            redirect_uris: vec!["https://grafana.example.org/login/generic_oauth".to_owned()],
            ..ClientSettings::default()
        }
        .completed()
    }

    fn objected(settings: ClientSettings) -> Vec<&'static str> {
        let objections = settings.completed().objections(|scope| scopes::KNOWN.contains(&scope), false);
        objections.into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn sound_settings_pass_and_contradictions_are_named() {
        assert!(objected(settings()).is_empty());
        let with = |change: fn(&mut ClientSettings)| {
            let mut settings = settings();
            change(&mut settings);
            objected(settings)
        };
        assert_eq!(with(|s| s.name = " ".to_owned()), ["name"]);
        assert_eq!(with(|s| s.redirect_uris.clear()), ["redirect_uris"]);
        assert_eq!(with(|s| s.redirect_uris = vec!["http://app.example.org/".to_owned()]), ["redirect_uris"]);
        assert_eq!(with(|s| s.scopes = Scopes::parse("openid nonsense").unwrap()), ["scopes"]);
        assert_eq!(with(|s| s.auth_method = AuthMethod::None), ["auth_method"]);
        assert_eq!(with(|s| s.auth_method = AuthMethod::PrivateKeyJwt), ["jwks"]);
        assert_eq!(with(|s| s.grants.clear()), ["grants"]);
        assert_eq!(with(|s| s.access_token_seconds = Some(5)), ["access_token_seconds"]);
        assert_eq!(with(|s| s.audiences = vec!["api".to_owned()]), ["audiences"]);
        assert_eq!(with(|s| s.cors_origins = vec!["https://a.example/x".to_owned()]), ["cors_origins"]);
        assert_eq!(
            with(|s| s.backchannel_logout_uri = Some("ftp://x/".to_owned())),
            ["backchannel_logout_uri"]
        );
        assert_eq!(with(|s| s.launch_url = Some("javascript:alert(1)".to_owned())), ["launch_url"]);
        assert!(with(|s| s.launch_url = Some("https://photos.home.example/".to_owned())).is_empty());
        assert_eq!(with(|s| s.profile = Profile::Fapi2), ["auth_method", "id_token_alg"]);
        let public = with(|s| {
            s.kind = ClientKind::Public;
            s.grants.push(GrantType::ClientCredentials);
        });
        assert_eq!(public, ["grants"]);
    }

    /// OA-05: a public client cannot do without PKCE, whatever was sent.
    #[test]
    fn a_public_client_always_needs_pkce() {
        let settings = ClientSettings { kind: ClientKind::Public, pkce: Demand::Optional, ..settings() };
        assert_eq!(settings.completed().pkce, Demand::Required);
    }

    #[test]
    fn client_ids_are_narrow() {
        for good in ["grafana", "A.b_c~d-1", &"x".repeat(128)] {
            assert!(ClientId::parse(good).is_ok());
        }
        for bad in ["", "a b", "a/b", "a:b", "\u{e4}", &"x".repeat(129)] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
    }
}
