//! Rotation of refresh tokens: reads the family, judges the token, and commits the successor before it answers.

use std::sync::Arc;

use super::refresh::{self, Presented, Standing};
use super::tokens::{Grant, IssuedTokens};
use super::{SessionKind, Sessions};
use crate::accounts::User;
use crate::audit::{Event, Kind, Outcome};
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::http::Problem;
use crate::kernel::ids::SessionId;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::store::{CommitError, Versioned};

use super::records::{RefreshFamily, SessionRecord};

const TRIES: usize = 4;

/// Why a refresh was refused.
#[derive(Debug)]
pub enum RefreshRefusal {
    /// Not a token of ours, or its session has ended, or the account may not sign in.
    Invalid,
    /// The token was not used for too long.
    Expired,
    /// The token had been used before; its family is revoked now.
    Reused,
    /// The store or the signer failed.
    Problem(Problem),
}

/// What a refresh gives.
pub struct Refreshed {
    /// Whose session it is.
    pub user: Arc<User>,
    /// The session.
    pub session: SessionId,
    /// New tokens; the access token is meant for API sessions.
    pub tokens: IssuedTokens,
    /// The new browser cookie of a web session.
    pub cookie: Option<SecretText>,
    /// The forward-auth cookie of a web session, for our own domain.
    pub forward_cookie: Option<SecretText>,
}

impl Sessions {
    /// Rotates a refresh token of a session of the given kind (REF-01 to REF-09).
    pub async fn refresh(&self, token: &str, kind: SessionKind) -> Result<Refreshed, RefreshRefusal> {
        let presented = refresh::parse(&self.0.refresh_key, token).ok_or(RefreshRefusal::Invalid)?;
        self.refuse_while_clock_is_behind().map_err(RefreshRefusal::Problem)?;
        for _ in 0..TRIES {
            let now = self.0.clock.now();
            let found =
                self.record(&presented.session()).map_err(|error| RefreshRefusal::Problem(error.into()))?;
            let seen = found.ok_or(RefreshRefusal::Invalid)?;
            let user = self.user_of(&presented, &seen.value, kind)?;
            let Some(family) = seen.value.refresh.clone() else { return Err(RefreshRefusal::Invalid) };
            match presented.standing(&family, now, self.0.lifetimes.refresh_grace) {
                Standing::Expired => return Err(RefreshRefusal::Expired),
                Standing::Reused => return Err(self.revoke_reused(&presented, &user).await),
                Standing::Grace => return self.answer(&presented, &family, user, &seen.value),
                Standing::Current => match self.rotate(&presented, &seen, &family, now).await {
                    Ok(record) => {
                        let Some(family) = &record.refresh else { return Err(RefreshRefusal::Invalid) };
                        return self.answer(&presented, family, user, &record);
                    }
                    Err(CommitError::Conflict) => {}
                    Err(error) => return Err(RefreshRefusal::Problem(error.into())),
                },
            }
        }
        Err(RefreshRefusal::Problem(CommitError::Conflict.into()))
    }

    /// Re-reads everything that may have changed since the sign-in (GEN-02, REF-07).
    fn user_of(
        &self,
        presented: &Presented,
        record: &SessionRecord,
        kind: SessionKind,
    ) -> Result<Arc<User>, RefreshRefusal> {
        if record.kind != kind {
            return Err(RefreshRefusal::Invalid);
        }
        let live = self.0.live.get(&presented.session()).ok_or(RefreshRefusal::Invalid)?;
        let principal = self.admit(presented.session(), &live).ok_or(RefreshRefusal::Invalid)?;
        if self.falls_short(&principal) {
            return Err(RefreshRefusal::Invalid);
        }
        Ok(principal.user)
    }

    async fn rotate(
        &self,
        presented: &Presented,
        seen: &Versioned<SessionRecord>,
        family: &RefreshFamily,
        now: Timestamp,
    ) -> Result<SessionRecord, CommitError> {
        let salt = self.0.random.bytes();
        let successor = presented.successor(&self.0.refresh_key, &salt);
        let mut record = seen.value.clone();
        let rotated = presented.rotated(family, &successor, salt, now, self.0.lifetimes.refresh);
        record.last_seen = now;
        if record.kind == SessionKind::Web {
            let secret = self.web_secret(presented.session(), &rotated);
            record.cookie_hash = Some(sha256(secret));
            record.expires_at = now.plus(self.0.lifetimes.absolute).min(rotated.ends_at);
        }
        record.refresh = Some(rotated);
        let mut batch = self.0.store.batch();
        batch.replace(presented.session().as_bytes(), seen, &record);
        let (sessions, id, kept) = (self.clone(), presented.session(), record.clone());
        batch.after(move || sessions.0.live.put(id, &kept));
        self.0.store.commit(batch).await?;
        Ok(record)
    }

    /// The cookie secret after a rotation follows from the family state and the server key, so that the grace window
    /// can answer the same again.
    fn web_secret(&self, session: SessionId, family: &RefreshFamily) -> [u8; 32] {
        let generation = family.generation.to_be_bytes();
        hmac_sha256(
            self.0.refresh_key.expose(),
            &[b"web-cookie", session.as_bytes(), &generation, &family.current, &family.salt],
        )
    }

    fn answer(
        &self,
        presented: &Presented,
        family: &RefreshFamily,
        user: Arc<User>,
        record: &SessionRecord,
    ) -> Result<Refreshed, RefreshRefusal> {
        let session = presented.session();
        let successor = presented.successor(&self.0.refresh_key, &family.salt);
        let refresh_token =
            refresh::format(&self.0.refresh_key, session.as_bytes(), family.generation, &successor);
        let generation = family.generation.to_be_bytes();
        let jti_seed = hmac_sha256(
            self.0.refresh_key.expose(),
            &[b"access-jti", session.as_bytes(), &generation, &family.salt],
        );
        let jti = jti_seed.first_chunk::<16>().copied().unwrap_or_default();
        let access_token = self
            .0
            .tokens
            .issue(&Grant {
                user: &user,
                session,
                factors: record.factors,
                authenticated_at: record.authenticated_at,
                issued_at: family.rotated_at,
                jti,
            })
            .map_err(RefreshRefusal::Problem)?;
        let secret = (record.kind == SessionKind::Web).then(|| self.web_secret(session, family));
        Ok(Refreshed {
            user,
            session,
            tokens: IssuedTokens {
                access_token,
                expires_in: self.0.lifetimes.access_token,
                refresh_token: Some(refresh_token),
                refresh_expires_in: Some(family.expires_at.since(family.rotated_at)),
            },
            cookie: secret.map(|secret| super::cookie_value(session, &secret)),
            // The same as before: apps at other domains could not be given another one.
            forward_cookie: record.forward_seed.and_then(|seed| self.own_forward_value(session, &seed)),
        })
    }

    async fn revoke_reused(&self, presented: &Presented, user: &User) -> RefreshRefusal {
        let mut batch = self.0.store.batch();
        self.stage_end(&mut batch, presented.session());
        let event = Event::new(Kind::RefreshReused, Outcome::Refused)
            .on_user(user.id, &user.username)
            .detail("session", presented.session());
        self.0.audit.write(&mut batch, event);
        match self.0.store.commit(batch).await {
            Ok(()) => RefreshRefusal::Reused,
            Err(error) => RefreshRefusal::Problem(error.into()),
        }
    }
}
