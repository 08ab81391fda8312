//! What the store keeps of sessions.

use serde::{Deserialize, Serialize};

use super::principal::Factors;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::store::{Record, Table};

/// How a session is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// A browser: an HttpOnly cookie.
    Web,
    /// A program: access and refresh tokens.
    Api,
}

/// A session. Row: session id. Secrets are kept as SHA-256 hashes only (TOK-13).
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Whose session it is.
    pub user: UserId,
    /// Browser or program.
    pub kind: SessionKind,
    /// When the person signed in; sessions at or before the user's `not_before` are dead.
    pub started_at: Timestamp,
    /// When factors were last proven.
    pub authenticated_at: Timestamp,
    /// What was proven.
    pub factors: Factors,
    /// Hash of the browser cookie's secret.
    pub cookie_hash: Option<[u8; 32]>,
    /// What the secrets of forward-auth cookies are derived from under a server key: others for each host or domain, and
    /// useless at Doorward itself (SES-05). Worth nothing without that key.
    pub forward_seed: Option<[u8; 32]>,
    /// The refresh family, if there is one.
    pub refresh: Option<RefreshFamily>,
    /// When the session was last used, as far as it was written down.
    pub last_seen: Timestamp,
    /// The longest pause in milliseconds.
    pub idle_ms: u64,
    /// When the cookie dies whatever happens.
    pub expires_at: Timestamp,
    /// The browser or program as it named itself, shortened.
    pub label: String,
    /// A pseudonym of the address it started from (PRI-01).
    pub place: String,
    /// Whether "remember me" was chosen.
    pub is_remembered: bool,
    /// The id of the first session of the signed-in stay, by which apps know all of it; `None` for the session's own.
    /// Version 1 ends before it.
    pub sid: Option<SessionId>,
    /// The sign-in of the same person before this stay, as far as it is known. The last field: version 2 ends before it.
    pub before: Option<SignedInRecord>,
}

/// When and from where somebody last signed in. Row: user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInRecord {
    /// When.
    pub at: Timestamp,
    /// A pseudonym of the address (PRI-01).
    pub place: String,
}

impl Record for SignedInRecord {
    const TABLE: Table = Table::SIGNED_IN;
    const VERSION: u8 = 1;
}

/// The refresh token family of a session. Only the newest token and its predecessor are known, as hashes; older ones
/// are recognised by the authenticity tag that every token carries.
#[derive(Clone, Serialize, Deserialize)]
pub struct RefreshFamily {
    /// Counts rotations.
    pub generation: u32,
    /// Hash of the newest token's secret.
    pub current: [u8; 32],
    /// Hash of the secret it replaced.
    pub previous: Option<[u8; 32]>,
    /// From this salt and the predecessor the newest secret is derived, so that a client that lost the answer gets
    /// the same successor again within the grace window (REF-03).
    pub salt: [u8; 16],
    /// When the newest token was made.
    pub rotated_at: Timestamp,
    /// When the newest token dies unless used (REF-06).
    pub expires_at: Timestamp,
    /// When the family dies whatever happens (REF-06).
    pub ends_at: Timestamp,
}

impl SessionRecord {
    /// Returns when nothing of the session can be alive any more.
    pub fn ends_at(&self) -> Timestamp {
        self.refresh.as_ref().map_or(self.expires_at, |family| family.expires_at.max(self.expires_at))
    }
}

impl Record for SessionRecord {
    const TABLE: Table = Table::SESSION;
    const VERSION: u8 = 3;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        const NOTHING: u8 = 0;
        let missing: &[u8] = match version {
            1 => &[NOTHING; 2],
            2 => &[NOTHING],
            _ => return None,
        };
        let body = zeroize::Zeroizing::new([body, missing].concat());
        let (record, rest) = postcard::take_from_bytes(&body).ok()?;
        rest.is_empty().then_some(record)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.ends_at())
    }
}

/// A session that was ended before its time. Row: session id. Kept until the last access token of the session has
/// expired, so that a token can be told to be revoked.
#[derive(Clone, Serialize, Deserialize)]
pub struct RevokedRecord {
    /// When the entry may go.
    pub until: Timestamp,
}

impl Record for RevokedRecord {
    const TABLE: Table = Table::REVOKED;
    const VERSION: u8 = 1;

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

/// A ticket that takes a sign-in to another host or domain, once. Row: digest of the ticket.
#[derive(Clone, Serialize, Deserialize)]
pub struct HandoffRecord {
    /// The session that the ticket speaks for.
    pub session: SessionId,
    /// The scope that it is good for, such as `host:app.home.example`.
    pub scope: String,
    /// The hash of the mark that the browser must bring.
    pub mark: [u8; 32],
    /// When it is too late.
    pub expires_at: Timestamp,
}

impl Record for HandoffRecord {
    const TABLE: Table = Table::HANDOFF;
    const VERSION: u8 = 1;

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Random;

    /// Version 1, as it was.
    #[derive(Serialize)]
    struct First {
        user: UserId,
        kind: SessionKind,
        started_at: Timestamp,
        authenticated_at: Timestamp,
        factors: Factors,
        cookie_hash: Option<[u8; 32]>,
        forward_seed: Option<[u8; 32]>,
        refresh: Option<RefreshFamily>,
        last_seen: Timestamp,
        idle_ms: u64,
        expires_at: Timestamp,
        label: String,
        place: String,
        is_remembered: bool,
    }

    #[test]
    fn a_session_of_the_first_version_is_read_and_is_its_own_stay() {
        let at = Timestamp::from_secs(1_800_000_000);
        let first = First {
            user: UserId::random(&Random::os()),
            kind: SessionKind::Web,
            started_at: at,
            authenticated_at: at,
            factors: Factors::PASSWORD,
            cookie_hash: Some([1; 32]),
            forward_seed: Some([2; 32]),
            refresh: None,
            last_seen: at,
            idle_ms: 60_000,
            expires_at: at.plus(std::time::Duration::from_secs(60)),
            label: "Firefox".to_owned(),
            place: "place".to_owned(),
            is_remembered: true,
        };
        let body = postcard::to_allocvec(&first).unwrap();
        let read = SessionRecord::upgrade(1, &body).unwrap();
        assert_eq!((read.user, read.cookie_hash), (first.user, first.cookie_hash));
        assert!(read.is_remembered && read.place == "place" && read.sid.is_none() && read.before.is_none());
        assert!(SessionRecord::upgrade(1, &body[..body.len() - 1]).is_none());
        assert!(SessionRecord::upgrade(1, &[body.as_slice(), &[0]].concat()).is_none());
        assert!(SessionRecord::upgrade(0, &body).is_none());
        // The second version knew stays, and nothing of the sign-in before.
        let sid = SessionId::random(&Random::os());
        let second = postcard::to_allocvec(&(&first, Some(sid))).unwrap();
        let read = SessionRecord::upgrade(2, &second).unwrap();
        assert_eq!((read.user, read.sid, read.before), (first.user, Some(sid), None));
        assert!(SessionRecord::upgrade(2, &body).is_none());
        assert!(SessionRecord::upgrade(3, &second).is_none());
    }
}
