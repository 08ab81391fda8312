//! Pushed authorization requests (RFC 9126): the client sends the parameters itself and gets a reference for the browser.
//!
//! A reference is good for a minute. Once a browser came with it, it stays good until the person has signed in, and is
//! used up when the request is answered.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::Oidc;
use super::client::{AuthMethod, Client};
use super::error::OAuthError;
use super::params::Params;
use super::records::PushedRecord;
use super::request::{AuthorizationRequest, Destination};
use crate::crypto::mac::sha256;
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::limits::Rule;
use crate::store::{Batch, CommitError, StoreError};

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a reference waits for a browser.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a browser may take to sign in with it.
const OPENED_LIFETIME: Duration = Duration::from_secs(1200);
/// Requests in the name of a client that proves nothing, from one place: anybody may send them, and each takes room in
/// the store for a while.
const PUSHES: Rule = Rule::new("pushed-requests", 120, Duration::from_secs(600));
/// What fits into a row of the store.
const LONGEST: usize = 3000;
/// Parameters that prove the client and are not part of the request.
const NOT_KEPT: [&str; 4] = ["client_secret", "client_assertion", "client_assertion_type", "request_uri"];

/// A pushed request that a browser came with.
pub(super) struct Pushed {
    row: [u8; 32],
}

impl Pushed {
    /// Tells whether a `request_uri` is a reference of ours; whatever else it is, is never fetched (OA-11).
    pub(super) fn is_reference(uri: &str) -> bool {
        uri.starts_with(PREFIX)
    }
}

fn row_of(uri: &str) -> [u8; 32] {
    sha256(uri)
}

/// `POST /oauth2/par`.
pub async fn push(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let reply = match room.push(request).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    };
    Ok(room.allow_client_origin(request, reply))
}

impl Oidc {
    async fn push(&self, request: &Request) -> Result<Reply, OAuthError> {
        let call = self.authenticate(request).await?;
        let (client, params) = (&*call.client, &call.params);
        if client.settings.auth_method == AuthMethod::None {
            let why = "Too many requests at once. Wait a moment.";
            self.limit_place(&PUSHES, request, client.id.as_str(), why)?;
        }
        if params.get("request_uri").is_some() {
            return Err(OAuthError::invalid_request(
                "A pushed request holds no request_uri (RFC 9126 section 2.1).",
            ));
        }
        let jkt = self.read_client_dpop(request, client)?;
        let mut pairs: Vec<(String, String)> = params
            .pairs()
            .filter(|(name, _)| !NOT_KEPT.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if let Some(jkt) = jkt {
            match params.get("dpop_jkt") {
                None => pairs.push(("dpop_jkt".to_owned(), jkt)),
                Some(named) if named == jkt => {}
                Some(_) => {
                    return Err(OAuthError::new(
                        "invalid_dpop_proof",
                        "The dpop_jkt is not that of the DPoP proof.",
                    ));
                }
            }
        }
        if pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() > LONGEST {
            return Err(OAuthError::invalid_request(format!(
                "The parameters are longer than {LONGEST} characters altogether."
            )));
        }
        let inner = Params::from(pairs.clone());
        let destination =
            Destination::read(client, &inner).map_err(|why| OAuthError::invalid_request(why.english()))?;
        AuthorizationRequest::read(client, destination, &inner, true)?;
        let uri = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&self.random.bytes::<32>()));
        let (row, until) = (row_of(&uri), request.now.plus(LIFETIME));
        let record = PushedRecord { client: client.id.clone(), parameters: pairs, is_opened: false, until };
        let mut batch = self.store.batch();
        batch.insert_new(&row, &record).expire::<PushedRecord>(&row, until);
        self.store.commit(batch).await?;
        let answer = json!({ "request_uri": uri, "expires_in": LIFETIME.as_secs() });
        Ok(Reply::json(StatusCode::CREATED, &answer)
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")))
    }

    /// Finds a pushed request of a client; `None` if it is unknown, over, or somebody else's. With `opens` it is written
    /// down that a browser came with it.
    pub(super) async fn open_pushed(
        &self,
        client: &Client,
        uri: &str,
        opens: bool,
        now: Timestamp,
    ) -> Result<Option<(Params, Pushed)>, Problem> {
        let row = row_of(uri);
        let Some(seen) = self.store.get::<PushedRecord>(&row)? else { return Ok(None) };
        if seen.value.client != client.id || seen.value.until <= now {
            return Ok(None);
        }
        if opens && !seen.value.is_opened {
            let mut record = seen.value.clone();
            record.is_opened = true;
            record.until = now.plus(OPENED_LIFETIME);
            let mut batch = self.store.batch();
            batch.replace(&row, &seen, &record).expire::<PushedRecord>(&row, record.until);
            match self.store.commit(batch).await {
                // Another tab opened it at the same moment.
                Ok(()) | Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some((Params::from(seen.value.parameters), Pushed { row })))
    }

    /// Looks at a pushed request, to say where it leads.
    pub(super) fn peek_pushed(&self, client: &Client, uri: &str) -> Option<Params> {
        let found = self.store.get::<PushedRecord>(&row_of(uri)).ok()??;
        let is_good = found.value.client == client.id && found.value.until > self.clock.now();
        is_good.then(|| Params::from(found.value.parameters))
    }

    /// Uses up a pushed request that is answered with a refusal of the person's.
    pub(super) async fn use_pushed(&self, pushed: &Pushed) -> Result<(), OAuthError> {
        let mut batch = self.store.batch();
        if !self.stage_use_pushed(&mut batch, pushed)? {
            return Ok(());
        }
        match self.store.commit(batch).await {
            // Another tab answered it at the same moment.
            Ok(()) | Err(CommitError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds to `batch` that a pushed request is answered; false if it was already (GEN-03).
    pub(super) fn stage_use_pushed(&self, batch: &mut Batch, pushed: &Pushed) -> Result<bool, StoreError> {
        let Some(seen) = self.store.get::<PushedRecord>(&pushed.row)? else { return Ok(false) };
        batch.take(&pushed.row, &seen);
        Ok(true)
    }
}
