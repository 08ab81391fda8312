//! How clients prove who they are (RFC 6749 section 2.3, OIDC Core section 9): exactly one way in a request, and the one
//! they registered (OA-09).

use std::sync::Arc;
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{HeaderName, HeaderValue, header};

use super::Oidc;
use super::client::{AuthMethod, Client};
use super::error::OAuthError;
use super::params::Params;
use super::records::UsedOnceRecord;
use crate::audit::{Event, Kind};
use crate::crypto::client_assertion::{self, Expected};
use crate::crypto::client_jws::{self, ClientAlgorithm};
use crate::crypto::dpop::{self, ExpectedProof};
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::crypto::password::{Busy, Ticket};
use crate::crypto::replay::Novelty;
use crate::http::{Problem, Request};
use crate::kernel::secret::{SecretText, ct_eq};
use crate::kernel::time::Timestamp;
use crate::limits::{Place, Rule};
use crate::store::CommitError;
use crate::words::english_only;

/// The type of a signed assertion (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Proofs from one place in the name of clients that prove nothing: anybody may send them, and each takes room in memory
/// for a while (LIM-01).
const PROOFS: Rule = Rule::new("dpop-proofs", 300, Duration::from_secs(300));
/// How often it is written down that somebody did not prove to be a client: they may go on all day (AUD-01, AUD-06).
const UNPROVEN: Rule = Rule::new("app-not-proven", 1, Duration::from_secs(60));
/// How soon to try again when the memory for proofs is full.
const FULL_FOR: Duration = Duration::from_secs(10);
/// How long it is remembered that an assertion was used, beyond its end: the clock may be set back a little.
const USED_FOR: Duration = Duration::from_secs(60);
/// How long a nonce is handed out, in seconds; it is taken for as long again.
const NONCE_WINDOW: u64 = 300;
/// The longest secret that is compared with a hash from elsewhere.
const LONGEST_FOREIGN_SECRET: usize = 512;
/// How many such comparisons run or wait at a time.
pub(super) const MOST_FOREIGN_CHECKS: usize = 4;
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A client that proved who it is, and what it sent. Made only by [`Oidc::authenticate`], and by a rehearsal, whose tokens
/// never leave this program.
pub(super) struct Authenticated {
    pub(super) client: Arc<Client>,
    pub(super) params: Params,
    /// Whether an administrator rehearses a sign-in to the app.
    pub(super) is_rehearsal: bool,
}

enum Proof<'a> {
    Secret { id: String, secrets: Vec<String>, method: AuthMethod },
    Assertion(&'a str),
    Nothing(&'a str),
}

impl Oidc {
    /// Reads the form of a request and proves the client that sent it.
    ///
    /// # Errors
    /// `invalid_request` for two proofs at once, `invalid_client` for everything else.
    pub(super) async fn authenticate(&self, request: &Request) -> Result<Authenticated, OAuthError> {
        let params = Params::of_form(request)?;
        let client = self.authenticated_client(request, &params).await.map_err(|error| {
            let is_by_header = request.headers.contains_key(header::AUTHORIZATION);
            if error.code == "invalid_client" {
                self.note_unproven(request, &params);
            }
            if error.code == "invalid_client" && is_by_header { error.with_basic_challenge() } else { error }
        })?;
        Ok(Authenticated { client, params, is_rehearsal: false })
    }

    async fn authenticated_client(
        &self,
        request: &Request,
        params: &Params,
    ) -> Result<Arc<Client>, OAuthError> {
        let found = match read_proof(request, params)? {
            Proof::Secret { id, secrets, method } => {
                self.client_of_secret(request, &id, &secrets, method).await?
            }
            Proof::Assertion(assertion) => {
                return self.client_of_assertion(assertion, params, request.now).await;
            }
            Proof::Nothing(id) => {
                self.client(id).filter(|client| client.settings.auth_method == AuthMethod::None)
            }
        };
        let client =
            found.filter(|client| !client.settings.is_disabled).ok_or_else(OAuthError::invalid_client)?;
        if params.get("client_id").is_some_and(|id| id != client.id.as_str()) {
            return Err(OAuthError::invalid_client());
        }
        Ok(client)
    }

    /// Writes down that a client did not prove itself, once a minute for each place and client.
    fn note_unproven(&self, request: &Request, params: &Params) {
        let named = match read_proof(request, params) {
            Ok(Proof::Secret { id, .. }) => Some(id),
            Ok(Proof::Assertion(assertion)) => client_jws::unverified_issuer(assertion),
            Ok(Proof::Nothing(id)) => Some(id.to_owned()),
            Err(_) => None,
        };
        // Names that nobody registered are a stranger's words, and count as one.
        let client = named.and_then(|id| self.client(&id));
        let name = client.as_ref().map_or("", |client| client.id.as_str());
        if !self.limits.acquire_place(&UNPROVEN, request.client.ip, name.as_bytes()).verdict.allowed {
            return;
        }
        let mut event = Event::refused(Kind::AppNotProven).from(request.client.ip).request(request.id);
        if client.is_some() {
            event = event.on(name);
        }
        self.audit.note(event);
    }

    /// Takes a place in the budget of the caller's place for what anybody may ask.
    pub(super) fn limit_place(
        &self,
        rule: &Rule,
        request: &Request,
        subject: &str,
        why: &'static str,
    ) -> Result<(), OAuthError> {
        let verdict = self.limits.acquire_place(rule, request.client.ip, subject.as_bytes()).verdict;
        if verdict.allowed {
            return Ok(());
        }
        Err(Problem::too_many_requests("rate_limited", english_only(why), verdict.retry_after).into())
    }

    async fn client_of_secret(
        &self,
        request: &Request,
        id: &str,
        secrets: &[String],
        method: AuthMethod,
    ) -> Result<Option<Arc<Client>>, OAuthError> {
        let Some(client) = self.client(id) else { return Ok(None) };
        let is_allowed =
            matches!(client.settings.auth_method, AuthMethod::Any) || client.settings.auth_method == method;
        if !is_allowed {
            return Ok(None);
        }
        if secrets.iter().any(|secret| client.knows_secret(&sha256(secret))) {
            return Ok(Some(client));
        }
        for secret in secrets {
            if self.knows_foreign_secret(request, &client, secret).await? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// Compares a secret with the hash that another server made of it. That takes a good part of a second, so it is done
    /// where passwords are compared, for few at a time, and once: a SHA-256 then takes the place of the hash.
    async fn knows_foreign_secret(
        &self,
        request: &Request,
        client: &Client,
        secret: &str,
    ) -> Result<bool, OAuthError> {
        let Some(hash) = &client.foreign_secret else { return Ok(false) };
        if client.settings.is_disabled || secret.len() > LONGEST_FOREIGN_SECRET {
            return Ok(false);
        }
        let busy = || Problem::from(Busy { retry_after: Duration::from_secs(2) });
        let _turn = self.foreign_checks.try_acquire().map_err(|_| busy())?;
        let place = self.limits.place_hash(Place::of(request.client.ip));
        let ticket = Ticket { place, is_known_device: false };
        let secret = SecretText::new(secret.to_owned());
        let checked = self.accounts.verify_foreign_secret(&secret, hash, ticket).await;
        if !checked.map_err(Problem::from)? {
            return Ok(false);
        }
        let event = Event::succeeded(Kind::AppChanged)
            .by_system("server")
            .on(client.id.as_str())
            .detail("secret", "hashed anew")
            .request(request.id);
        let settled =
            self.settle_secret(client, sha256(secret.expose()), |batch| self.audit.write(batch, event)).await;
        if settled.is_err() {
            // Somebody else changed the app, or the disk is full: the next use tries again.
            tracing::warn!(client = client.id.as_str(), "the secret of an app could not be hashed anew");
        }
        Ok(true)
    }

    /// private_key_jwt (RFC 7523, OA-10): each assertion is good once.
    async fn client_of_assertion(
        &self,
        assertion: &str,
        params: &Params,
        now: Timestamp,
    ) -> Result<Arc<Client>, OAuthError> {
        let wrong = OAuthError::invalid_client;
        if params.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(wrong());
        }
        let named = client_jws::unverified_issuer(assertion).ok_or_else(wrong)?;
        if params.get("client_id").is_some_and(|id| id != named) {
            return Err(wrong());
        }
        let client = self.client(&named).ok_or_else(wrong)?;
        let settings = &client.settings;
        if settings.auth_method != AuthMethod::PrivateKeyJwt || settings.is_disabled {
            return Err(wrong());
        }
        let keys = settings.jwks.as_ref().ok_or_else(wrong)?;
        let allowed: &[ClientAlgorithm] = if client.is_fapi() {
            &[ClientAlgorithm::Ps256, ClientAlgorithm::Es256, ClientAlgorithm::EdDsa]
        } else {
            &[ClientAlgorithm::Ps256, ClientAlgorithm::Es256, ClientAlgorithm::EdDsa, ClientAlgorithm::Rs256]
        };
        let token = client_jws::verify_client(assertion, keys, allowed).map_err(|_| wrong())?;
        let issuer = self.issuer();
        let token_endpoint = format!("{issuer}/oauth2/token");
        let others: &[&str] = if client.is_fapi() { &[] } else { &[&token_endpoint] };
        let expected = Expected { client_id: client.id.as_str(), issuer: &issuer, audiences: others, now };
        let checked = client_assertion::check(&token, &expected).map_err(|_| wrong())?;
        let row = sha256([client.id.as_str().as_bytes(), b"\0", checked.jti.as_bytes()].concat());
        self.use_once(row, checked.expires_at.plus(USED_FOR)).await.map_err(|error| match error {
            CommitError::Conflict => wrong(),
            other => other.into(),
        })?;
        Ok(client)
    }

    /// Uses something up that may be used once; a conflict tells that it was (GEN-03).
    async fn use_once(&self, row: [u8; 32], until: Timestamp) -> Result<(), CommitError> {
        let mut batch = self.store.batch();
        batch.insert_new(&row, &UsedOnceRecord { until }).expire::<UsedOnceRecord>(&row, until);
        self.store.commit(batch).await
    }

    /// Reads the DPoP proof that a client sends to an endpoint of its own, as [`Oidc::read_dpop`] does.
    ///
    /// # Errors
    /// `invalid_dpop_proof`, and 429 for too many in the name of clients that prove nothing.
    pub(super) fn read_client_dpop(
        &self,
        request: &Request,
        client: &Client,
    ) -> Result<Option<String>, OAuthError> {
        if client.settings.auth_method == AuthMethod::None && request.headers.contains_key(&DPOP) {
            self.limit_place(&PROOFS, request, "", "Too many proofs at once. Wait a moment.")?;
        }
        self.read_dpop(request, request.path(), None)
    }

    /// Reads the DPoP proof of a request to one of our endpoints, if it has one (RFC 9449 section 4.3). Returns the
    /// thumbprint of the key.
    ///
    /// # Errors
    /// `invalid_dpop_proof`.
    pub(super) fn read_dpop(
        &self,
        request: &Request,
        path: &str,
        access_token: Option<&str>,
    ) -> Result<Option<String>, OAuthError> {
        let refuse = |why: &str| OAuthError::new("invalid_dpop_proof", why);
        let header = request.header(&DPOP).map_err(|_| refuse("Send one DPoP header."))?;
        let Some(proof) = header else { return Ok(None) };
        let url = format!("{}{path}", self.issuer());
        let expected =
            ExpectedProof { method: request.method.as_str(), url: &url, access_token, now: request.now };
        let proof = dpop::verify_proof(proof, &expected).map_err(|error| refuse(&error.to_string()))?;
        if self.settings.dpop_nonce && !self.is_nonce(proof.nonce.as_deref(), request.now) {
            return Err(self.wants_nonce(request.now));
        }
        // A proof from before this process began may have been seen by the one before.
        let is_from_before = proof.iat.plus(Duration::from_secs(1)) < self.started_at;
        let key = sha256([proof.jkt.as_bytes(), b"\0", proof.jti.as_bytes()].concat());
        let now = self.clock.monotonic();
        match self.proofs.first_time(key, now + dpop::MAX_AGE + dpop::MAX_AHEAD + dpop::MAX_AHEAD, now) {
            Novelty::New if !is_from_before => Ok(Some(proof.jkt)),
            Novelty::New | Novelty::Seen => Err(refuse("This proof was used before. Make a new one.")),
            Novelty::Full => {
                let why = english_only("Too many proofs at once. Wait a moment.");
                Err(Problem::unavailable("busy", why, FULL_FOR).into())
            }
        }
    }
}

/// Nonces (RFC 9449 section 8): with them a client cannot make proofs in advance for later. One for each five minutes, the
/// same for everybody and made of the time, so that nothing has to be kept.
impl Oidc {
    fn nonce_of(&self, window: u64) -> String {
        let mac = hmac_sha256(self.marker_key.expose(), &[b"dpop-nonce", &window.to_be_bytes()]);
        BASE64URL_NOPAD.encode(mac.first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    /// Tells whether a proof holds the nonce of now or the one before.
    fn is_nonce(&self, nonce: Option<&str>, now: Timestamp) -> bool {
        let window = now.as_secs() / NONCE_WINDOW;
        nonce.is_some_and(|nonce| {
            [window, window.saturating_sub(1)]
                .iter()
                .any(|window| ct_eq(self.nonce_of(*window).as_bytes(), nonce.as_bytes()))
        })
    }

    fn wants_nonce(&self, now: Timestamp) -> OAuthError {
        let mut error = OAuthError::new(
            "use_dpop_nonce",
            "Repeat this with the nonce of the DPoP-Nonce header in the proof.",
        );
        if let Ok(nonce) = HeaderValue::from_str(&self.nonce_of(now.as_secs() / NONCE_WINDOW)) {
            error.headers.push((HeaderName::from_static("dpop-nonce"), nonce));
        }
        error
    }
}

fn read_proof<'a>(request: &Request, params: &'a Params) -> Result<Proof<'a>, OAuthError> {
    let header = request
        .header(&header::AUTHORIZATION)
        .map_err(|_| OAuthError::invalid_request("Send one Authorization header."))?;
    let (secret, assertion) = (params.get("client_secret"), params.get("client_assertion"));
    let proofs =
        usize::from(header.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
    if proofs > 1 {
        return Err(OAuthError::invalid_request("Prove the client in one way, not in several at once."));
    }
    if let Some(header) = header {
        let (id, secrets) = read_basic(header).ok_or_else(OAuthError::invalid_client)?;
        return Ok(Proof::Secret { id, secrets, method: AuthMethod::Basic });
    }
    if let Some(assertion) = assertion {
        return Ok(Proof::Assertion(assertion));
    }
    let id = params.get("client_id").ok_or_else(OAuthError::invalid_client)?;
    Ok(match secret {
        Some(secret) => {
            Proof::Secret { id: id.to_owned(), secrets: vec![secret.to_owned()], method: AuthMethod::Post }
        }
        None => Proof::Nothing(id),
    })
}

/// Reads `Authorization: Basic`: the name, and the secret in each of its readings. Both are form-encoded first (RFC 6749
/// section 2.3.1), which many apps forget, so the secret counts decoded and as it is.
pub fn read_basic(header: &str) -> Option<(String, Vec<String>)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 4096 {
        return None;
    }
    let bytes = zeroize::Zeroizing::new(BASE64.decode(encoded.trim().as_bytes()).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let mut secrets = vec![secret.to_owned()];
    secrets.extend(decoded(secret).filter(|decoded| decoded != secret));
    Some((decoded(id)?, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OA-09: form-decoded and raw, both count.
    #[test]
    fn basic_credentials_are_read_both_ways() {
        let header = format!("Basic {}", BASE64.encode(b"my%2Eapp:a%2Bb+c"));
        let (id, secrets) = read_basic(&header).unwrap();
        assert_eq!(id, "my.app");
        assert_eq!(secrets, ["a%2Bb+c", "a+b c"]);
        for bad in ["Bearer abc", "Basic", "Basic !!!", "Basic YWJj"] {
            assert!(read_basic(bad).is_none(), "{bad}");
        }
    }
}
