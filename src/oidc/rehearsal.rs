//! A rehearsal: an administrator signs in to an app as its people do, and Doorward stands in for the app.
//!
//! The request is one that the app could send, to one of its own redirect URIs, and everything on the way is real:
//! endpoint, questions, code, tokens. Only the answer goes to a page of ours instead of to the app, and nothing of it
//! leaves this program. What could go wrong with that, and what keeps it from happening:
//!
//! * The answer may go nowhere but to that page: its address is made here, never read from the request.
//! * Only the stay in which the rehearsal was begun may go on with it. A link to it is of no use to anybody else, so
//!   nobody can be made to sign in for an administrator to look at.
//! * The code is bound to a verifier that nobody knows but this program, and taken by the rehearsal alone, once; neither
//!   the app nor who watches the browser can do anything with it.
//! * What the person agrees to is not remembered, and the grant ends before anybody sees that there was one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::client::{AuthMethod, Client, ClientId, Demand, GrantType};
use super::client_auth::Authenticated;
use super::error::OAuthError;
use super::params::Params;
use super::records::UsedOnceRecord;
use super::request::Destination;
use super::scopes::Scopes;
use super::token::{Granted, TokenAnswer};
use super::{Oidc, authorize};
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::crypto::signing::verify_own;
use crate::http::Problem;
use crate::kernel::ids::{GrantId, SessionId};
use crate::kernel::secret::ct_eq;
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::store::{Batch, StoreError};

/// The parameter that begins a rehearsal. It means nothing in a request without a ticket of ours.
pub(super) const NAME: &str = "doorward_rehearsal";
/// How long a rehearsal may take.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long what came of it is kept.
const KEPT_FOR: Duration = Duration::from_secs(900);
/// How many results are kept at a time.
const MOST_KEPT: usize = 32;

/// Why an app cannot be tried out like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untestable {
    /// It is switched off.
    SwitchedOff,
    /// It gets no codes, so nobody signs in to it with a browser.
    NoCodes,
    /// It proves itself with a private key that only the app has (`private_key_jwt`).
    OwnKey,
    /// It must push its requests, which only the app can (FAPI 2.0).
    Pushes,
    /// Its tokens are bound to a key that only the app has (DPoP).
    Bound,
    /// What it is told is encrypted for a key that only the app has.
    Encrypted,
}

/// The steps of a sign-in to an app, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The request is taken, and its redirect URI is one of the app.
    Request,
    /// The person is signed in, has proven enough and may use the app.
    SignIn,
    /// The person agrees, if they are asked.
    Consent,
    /// The app gets a code.
    Code,
    /// The code is exchanged for tokens.
    Tokens,
    /// The id_token is signed by a published key and says what it must.
    IdToken,
    /// Userinfo answers with the same person.
    Userinfo,
    /// The tokens are taken back.
    End,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 8] = [
        Step::Request,
        Step::SignIn,
        Step::Consent,
        Step::Code,
        Step::Tokens,
        Step::IdToken,
        Step::Userinfo,
        Step::End,
    ];
}

/// Why a step went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The app does not admit the person.
    NotAdmitted,
    /// The person said no.
    SaidNo,
    /// The app would be told this (RFC 6749 section 5.2): the name of the error and a sentence.
    Told(&'static str, String),
    /// Something in the token is not what it must be.
    Claim(&'static str),
    /// Tokens are good that should not be.
    StillGood,
}

/// What came of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The redirect URI of the request, if it came so far.
    pub redirect_uri: Option<String>,
    /// The step that went wrong.
    pub failed: Option<(Step, Fault)>,
    /// What the app was given.
    pub scopes: Scopes,
    /// What the id_token said.
    pub id_token: Map<String, Value>,
    /// What userinfo answered.
    pub userinfo: Map<String, Value>,
    /// What was given and taken back: kind, and how many characters it had.
    pub tokens: Vec<(&'static str, usize)>,
}

/// Results, newest last.
#[derive(Default)]
pub(super) struct Rehearsals(Mutex<VecDeque<Kept>>);

struct Kept {
    sid: SessionId,
    client: ClientId,
    at: Timestamp,
    result: Arc<Rehearsed>,
}

/// What begins a rehearsal: for one stay, one person and one app.
pub(super) struct Ticket {
    text: String,
    /// When it was made.
    at: Timestamp,
}

impl Oidc {
    /// Tells why a sign-in to an app cannot be rehearsed, if so.
    pub fn untestable(client: &Client) -> Option<Untestable> {
        let settings = &client.settings;
        let is_sealed = settings.id_token_encryption.is_some() || settings.userinfo_encryption.is_some();
        match () {
            () if settings.is_disabled => Some(Untestable::SwitchedOff),
            () if !settings.may(GrantType::AuthorizationCode) => Some(Untestable::NoCodes),
            () if client.is_fapi() => Some(Untestable::Pushes),
            () if settings.auth_method == AuthMethod::PrivateKeyJwt => Some(Untestable::OwnKey),
            () if settings.dpop == Demand::Required => Some(Untestable::Bound),
            () if is_sealed => Some(Untestable::Encrypted),
            () => None,
        }
    }

    /// Begins a rehearsal; returns where the browser goes. `None` if the app cannot be tried out, or the address is none of
    /// its own.
    pub fn begin_rehearsal(
        &self,
        principal: &Principal,
        client: &Client,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Option<String> {
        let is_own = client.settings.redirect_uris.iter().any(|own| own == redirect_uri);
        if !is_own || Oidc::untestable(client).is_some() {
            return None;
        }
        let random: [u8; 16] = self.random.bytes();
        let body = [now.as_millis().to_be_bytes().as_slice(), &random].concat();
        let mac = self.ticket_mac(&body, principal, &client.id);
        let text = BASE64URL_NOPAD.encode(&[body, mac.to_vec()].concat());
        let pairs = [
            ("client_id", client.id.to_string()),
            ("redirect_uri", redirect_uri.to_owned()),
            ("response_type", "code".to_owned()),
            ("scope", client.settings.scopes.to_string()),
            ("state", text.clone()),
            ("nonce", self.rehearsal_nonce(&text)),
            ("code_challenge", challenge(&self.rehearsal_verifier(&text))),
            ("code_challenge_method", "S256".to_owned()),
            (NAME, text),
        ];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Some(format!("{}?{query}", authorize::PATH))
    }

    fn ticket_mac(&self, body: &[u8], principal: &Principal, client: &ClientId) -> [u8; 32] {
        let (sid, user) = (principal.sid, principal.user.id);
        let parts = [b"ticket", body, sid.as_bytes(), user.as_bytes(), client.as_str().as_bytes()];
        hmac_sha256(self.rehearsal_key.expose(), &parts)
    }

    fn rehearsal_verifier(&self, ticket: &str) -> String {
        let mac = hmac_sha256(self.rehearsal_key.expose(), &[b"verifier", ticket.as_bytes()]);
        BASE64URL_NOPAD.encode(&mac)
    }

    fn rehearsal_nonce(&self, ticket: &str) -> String {
        let mac = hmac_sha256(self.rehearsal_key.expose(), &[b"nonce", ticket.as_bytes()]);
        BASE64URL_NOPAD.encode(&mac)
    }

    /// Reads a ticket: `None` unless it was made for this very stay, person and app, not long ago.
    fn read_ticket(
        &self,
        text: &str,
        principal: &Principal,
        client: &Client,
        now: Timestamp,
    ) -> Option<Ticket> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (body, mac) = bytes.split_at_checked(24)?;
        if !ct_eq(mac, &self.ticket_mac(body, principal, &client.id)) {
            return None;
        }
        let at = Timestamp::from_millis(u64::from_be_bytes(*body.first_chunk::<8>()?));
        let is_recent = at <= now && now.since(at) < LIFETIME;
        (is_recent && principal.user.role.is_admin()).then(|| Ticket { text: text.to_owned(), at })
    }

    /// Turns the answer of a request with a ticket to our own page. `None` unless the request is the one that
    /// [`Oidc::begin_rehearsal`] made, in the stay that it was made for: nothing may be answered then.
    pub(super) fn divert(
        &self,
        client: &Client,
        (outer, inner): (&Params, &Params),
        destination: &mut Destination,
        caller: Option<&Principal>,
        now: Timestamp,
    ) -> Option<Ticket> {
        let ticket = self.read_ticket(outer.once(NAME)?, caller?, client, now)?;
        let is_sound = Oidc::untestable(client).is_none()
            && inner.once("state") == Some(&ticket.text)
            && inner.once("nonce") == Some(&self.rehearsal_nonce(&ticket.text))
            && inner.once("code_challenge") == Some(&challenge(&self.rehearsal_verifier(&ticket.text)));
        if !is_sound {
            return None;
        }
        destination.stand_in(format!("/admin/apps/{}/test/done", client.id));
        Some(ticket)
    }

    /// Adds to `batch` that a ticket is used; the commit fails if it was used before. Tells whether it is still good.
    pub(super) fn stage_use_ticket(&self, batch: &mut Batch, ticket: &Ticket) -> Result<bool, StoreError> {
        let row = sha256([b"rehearsal ".as_slice(), ticket.text.as_bytes()].concat());
        if self.store.get::<UsedOnceRecord>(&row)?.is_some() {
            return Ok(false);
        }
        let until = ticket.at.plus(LIFETIME);
        batch.insert_new(&row, &UsedOnceRecord { until }).expire::<UsedOnceRecord>(&row, until);
        Ok(true)
    }

    /// Takes the answer that came back to our page, does what the app would do with it, and takes everything back. `None`
    /// if the answer is of no rehearsal that was begun in this stay.
    ///
    /// # Errors
    /// The store refused.
    pub async fn end_rehearsal(
        &self,
        principal: &Principal,
        client: &Arc<Client>,
        answer: &Params,
        now: Timestamp,
    ) -> Result<Option<Arc<Rehearsed>>, Problem> {
        let ticket = answer.once("state").and_then(|text| self.read_ticket(text, principal, client, now));
        let Some(ticket) = ticket else { return Ok(None) };
        let mut result = Rehearsed {
            redirect_uri: None,
            failed: None,
            scopes: Scopes::default(),
            id_token: Map::new(),
            userinfo: Map::new(),
            tokens: Vec::new(),
        };
        let is_ours = answer.once("iss").is_some_and(|iss| self.site.is_origin(iss));
        match (answer.once("code"), answer.once("error")) {
            _ if !is_ours => return Ok(None),
            (Some(code), None) => {
                if !self.redeem_rehearsal(principal, client, &ticket, code, &mut result, now).await? {
                    return Ok(None);
                }
            }
            (None, Some(error)) => {
                let told = answer.once("error_description").unwrap_or_default();
                result.failed = Some(refused(client, principal, error, told));
            }
            _ => return Ok(None),
        }
        let result = Arc::new(result);
        let mut kept = self.rehearsals.0.lock();
        kept.retain(|other| other.sid != principal.sid || other.client != client.id);
        while kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept {
            sid: principal.sid,
            client: client.id.clone(),
            at: now,
            result: result.clone(),
        });
        Ok(Some(result))
    }

    /// Returns what came of the last rehearsal of an app in a stay.
    pub fn rehearsed(
        &self,
        principal: &Principal,
        client: &ClientId,
        now: Timestamp,
    ) -> Option<Arc<Rehearsed>> {
        let mut kept = self.rehearsals.0.lock();
        kept.retain(|one| now.since(one.at) < KEPT_FOR);
        let found = kept.iter().find(|one| one.sid == principal.sid && one.client == *client);
        found.map(|one| one.result.clone())
    }

    /// Redeems the code of a rehearsal. Tells whether it was one.
    async fn redeem_rehearsal(
        &self,
        principal: &Principal,
        client: &Arc<Client>,
        ticket: &Ticket,
        code: &str,
        result: &mut Rehearsed,
        now: Timestamp,
    ) -> Result<bool, Problem> {
        let Some((_, seen)) = self.find_code(code)? else { return Ok(false) };
        let (record, permission) = (&seen.value, &seen.value.permission);
        let is_own = permission.client == client.id
            && permission.user == principal.user.id
            && permission.sid == principal.sid
            && record.challenge.as_deref() == Some(&challenge(&self.rehearsal_verifier(&ticket.text)));
        // A page that is loaded again is no theft.
        if !is_own || record.used_for.is_some() {
            return Ok(false);
        }
        let own =
            client.settings.redirect_uris.iter().find(|uri| sha256(uri.as_str()) == record.redirect_uri);
        let Some(redirect_uri) = own else { return Ok(false) };
        result.redirect_uri = Some(redirect_uri.clone());
        result.scopes = permission.scopes.clone();
        let params = Params::from(vec![
            ("code".to_owned(), code.to_owned()),
            ("redirect_uri".to_owned(), redirect_uri.clone()),
            ("code_verifier".to_owned(), self.rehearsal_verifier(&ticket.text)),
        ]);
        let call = Authenticated { client: client.clone(), params, is_rehearsal: true };
        match self.redeem_code(&call, None, now).await {
            Ok(granted) => {
                let id = granted.id;
                let tokens = self.look_at_tokens(&call, granted, ticket, result, now);
                self.take_back(id, tokens, result, now).await?;
            }
            Err(error) => result.failed = Some((Step::Tokens, told(error))),
        }
        Ok(true)
    }

    /// Looks at what the app would get. Returns the access token, if there is one.
    fn look_at_tokens(
        &self,
        call: &Authenticated,
        granted: Granted,
        ticket: &Ticket,
        result: &mut Rehearsed,
        now: Timestamp,
    ) -> Option<TokenAnswer> {
        let tokens = match self.make_tokens(call, granted, None) {
            Ok(tokens) => tokens,
            Err(error) => {
                result.failed = Some((Step::Tokens, told(error)));
                return None;
            }
        };
        result.tokens.push(("access_token", tokens.access_token.len()));
        if let Some(token) = &tokens.id_token {
            result.tokens.push(("id_token", token.len()));
            match self.judge_id_token(token, &call.client, ticket, now) {
                Ok(claims) => result.id_token = claims,
                Err(fault) => result.failed = Some((Step::IdToken, fault)),
            }
        }
        if let Some(token) = &tokens.refresh_token {
            result.tokens.push(("refresh_token", token.len()));
        }
        if result.failed.is_none() && result.scopes.has("openid") {
            match self.judge_userinfo(&tokens.access_token, &result.id_token, now) {
                Ok(claims) => result.userinfo = claims,
                Err(fault) => result.failed = Some((Step::Userinfo, fault)),
            }
        }
        Some(tokens)
    }

    /// Checks an id_token as apps do (OIDC Core section 3.1.3.7).
    fn judge_id_token(
        &self,
        token: &str,
        client: &Client,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Fault> {
        let own = verify_own(token, |kid| self.keys.find(kid)).map_err(|_| Fault::Claim("signature"))?;
        let is_right_key =
            self.keys.find(&own.kid).is_some_and(|key| key.algorithm() == client.settings.id_token_alg);
        let text = |name: &str| own.claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| own.claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        for (claim, is_right) in [
            ("alg", is_right_key),
            ("iss", text("iss") == self.issuer()),
            ("aud", text("aud") == client.id.as_str()),
            ("nonce", text("nonce") == self.rehearsal_nonce(&ticket.text)),
            ("exp", number("exp") > now.as_secs()),
            ("sub", !text("sub").is_empty()),
        ] {
            if !is_right {
                return Err(Fault::Claim(claim));
            }
        }
        Ok(own.claims)
    }

    fn judge_userinfo(
        &self,
        access_token: &str,
        id_token: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Fault> {
        let refused = |why: &str| Fault::Told("invalid_token", why.to_owned());
        let admitted = self.admit_access(access_token, now).map_err(|refusal| refused(refusal.detail()))?;
        let Some((user, permission)) = &admitted.person else { return Err(refused("")) };
        let scopes = admitted.scopes();
        let claims = self.userinfo_claims(&admitted.client, user, &scopes, &permission.claims);
        let claims = claims.map_err(told)?;
        // Apps compare the two (OIDC Core section 5.3.2).
        if claims.get("sub") == id_token.get("sub") { Ok(claims) } else { Err(Fault::Claim("sub")) }
    }

    /// Ends the grant, and looks whether its tokens are refused.
    async fn take_back(
        &self,
        id: GrantId,
        tokens: Option<TokenAnswer>,
        result: &mut Rehearsed,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut batch = self.store.batch();
        self.stage_end_grant(&mut batch, id);
        self.store.commit(batch).await?;
        let is_good = tokens.is_some_and(|tokens| self.admit_access(&tokens.access_token, now).is_ok());
        if is_good && result.failed.is_none() {
            result.failed = Some((Step::End, Fault::StillGood));
        }
        Ok(())
    }
}

fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&sha256(verifier))
}

fn told(error: OAuthError) -> Fault {
    Fault::Told(error.code, error.description)
}

/// Finds the step that an error of the authorization endpoint belongs to.
fn refused(client: &Client, principal: &Principal, error: &str, told: &str) -> (Step, Fault) {
    const KNOWN: [(&str, Step); 7] = [
        ("login_required", Step::SignIn),
        ("unmet_authentication_requirements", Step::SignIn),
        ("consent_required", Step::Consent),
        ("invalid_scope", Step::Request),
        ("unauthorized_client", Step::Request),
        ("temporarily_unavailable", Step::Code),
        ("server_error", Step::Code),
    ];
    if error == "access_denied" {
        return if client.admits(&principal.user) {
            (Step::Consent, Fault::SaidNo)
        } else {
            (Step::SignIn, Fault::NotAdmitted)
        };
    }
    let told: String = told.chars().filter(|c| !c.is_control()).take(200).collect();
    match KNOWN.into_iter().find(|(name, _)| *name == error) {
        Some((name, step)) => (step, Fault::Told(name, told)),
        None => (Step::Request, Fault::Told("invalid_request", told)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::ClientSettings;

    #[test]
    fn apps_with_keys_of_their_own_cannot_be_rehearsed() {
        let of = |change: fn(&mut ClientSettings)| {
            let mut settings = ClientSettings::default();
            change(&mut settings);
            let id = ClientId::parse("app").unwrap();
            Oidc::untestable(&Client::trial(id, settings))
        };
        assert_eq!(of(|_| {}), None);
        assert_eq!(of(|s| s.is_disabled = true), Some(Untestable::SwitchedOff));
        assert_eq!(of(|s| s.grants = vec![GrantType::ClientCredentials]), Some(Untestable::NoCodes));
        assert_eq!(of(|s| s.auth_method = AuthMethod::PrivateKeyJwt), Some(Untestable::OwnKey));
        assert_eq!(of(|s| s.dpop = Demand::Required), Some(Untestable::Bound));
        assert_eq!(of(|s| s.profile = super::super::client::Profile::Fapi2), Some(Untestable::Pushes));
    }
}
