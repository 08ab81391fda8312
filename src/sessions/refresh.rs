//! Refresh tokens: opaque, rotated at every use, recognised when stolen.
//!
//! A token is `family id (16) | generation (4, BE) | secret (32) | tag (16)` in base64url. The tag is an HMAC over the
//! rest under a server key: a token that carries it was made here, so an authentic token that is neither the newest
//! nor its predecessor has been spent before, and its family is revoked (REF-04, RFC 9700 section 4.14.2). A guess has
//! no tag and harms nobody (REF-01). No row for each spent token is needed.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::records::RefreshFamily;
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::kernel::ids::SessionId;
use crate::kernel::secret::{SecretKey, SecretText, ct_eq};
use crate::kernel::time::Timestamp;

const SECRET: usize = 32;
const TAG: usize = 16;
const LENGTH: usize = 16 + 4 + SECRET + TAG;

/// A token as presented, its authenticity already checked.
pub struct Presented {
    /// The session or grant that the token belongs to.
    pub family: [u8; 16],
    pub(crate) generation: u32,
    secret: Zeroizing<[u8; SECRET]>,
}

/// What a presented token is to its family.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// The newest token: rotate.
    Current,
    /// Its predecessor within the grace window: answer the same successor again.
    Grace,
    /// Spent, or from a future that a restore has undone: revoke the family.
    Reused,
    /// Too old.
    Expired,
}

/// Starts a family and returns it with its first token.
pub fn start(
    key: &SecretKey,
    family: &[u8; 16],
    secret: &[u8; SECRET],
    now: Timestamp,
    sliding: Duration,
    absolute: Duration,
) -> (RefreshFamily, SecretText) {
    let ends_at = now.plus(absolute);
    let start = RefreshFamily {
        generation: 0,
        current: hash(secret),
        previous: None,
        salt: [0; 16],
        rotated_at: now,
        expires_at: now.plus(sliding).min(ends_at),
        ends_at,
    };
    (start, format(key, family, 0, secret))
}

/// Writes a token.
pub fn format(key: &SecretKey, family: &[u8; 16], generation: u32, secret: &[u8; SECRET]) -> SecretText {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
    bytes.extend_from_slice(family);
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(secret);
    let tag = tag(key, &bytes);
    bytes.extend_from_slice(&tag);
    SecretText::new(BASE64URL_NOPAD.encode(&bytes))
}

/// Reads a token; `None` if it was not made with `key`.
pub fn parse(key: &SecretKey, text: &str) -> Option<Presented> {
    if text.len() > 128 {
        return None;
    }
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
    if bytes.len() != LENGTH {
        return None;
    }
    let (body, presented_tag) = bytes.split_last_chunk::<TAG>()?;
    if !ct_eq(&tag(key, body), presented_tag) {
        return None;
    }
    let (family, rest) = body.split_first_chunk::<16>()?;
    let (generation, secret) = rest.split_first_chunk::<4>()?;
    Some(Presented {
        family: *family,
        generation: u32::from_be_bytes(*generation),
        secret: Zeroizing::new(secret.try_into().ok()?),
    })
}

/// Returns the session that a token names, without checking anything else.
pub(crate) fn named_session(text: &str) -> Option<SessionId> {
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.get(..text.len().min(128))?.as_bytes()).ok()?);
    bytes.first_chunk::<16>().map(|id| SessionId(*id))
}

fn tag(key: &SecretKey, body: &[u8]) -> [u8; TAG] {
    let mac = hmac_sha256(key.expose(), &[b"refresh-tag", body]);
    let mut tag = [0; TAG];
    tag.copy_from_slice(mac.first_chunk::<TAG>().unwrap_or(&[0; TAG]));
    tag
}

/// Hashes a secret for the store.
pub(crate) fn hash(secret: &[u8; SECRET]) -> [u8; 32] {
    sha256(secret)
}

/// Returns the family of a token that is not rotated, with its life drawn out (REF-06).
pub fn drawn_out(family: &RefreshFamily, now: Timestamp, sliding: Duration) -> RefreshFamily {
    RefreshFamily {
        // No window of grace opens for what a rotation before this spent.
        previous: None,
        rotated_at: now,
        expires_at: now.plus(sliding).min(family.ends_at),
        ..family.clone()
    }
}

impl Presented {
    /// Returns the session whose family it is, for tokens of Doorward's own API.
    pub(crate) fn session(&self) -> SessionId {
        SessionId(self.family)
    }

    /// Judges the token against its family.
    pub fn standing(&self, family: &RefreshFamily, now: Timestamp, grace: Duration) -> Standing {
        let hash = hash(&self.secret);
        if self.generation == family.generation && ct_eq(&hash, &family.current) {
            if now >= family.expires_at || now >= family.ends_at {
                return Standing::Expired;
            }
            return Standing::Current;
        }
        let is_predecessor = self.generation.checked_add(1) == Some(family.generation)
            && family.previous.is_some_and(|previous| ct_eq(&hash, &previous));
        // A clock that was set back must not widen the window, hence the comparison in both directions.
        let is_recent = now.since(family.rotated_at) < grace && family.rotated_at.since(now) < grace;
        if is_predecessor && is_recent { Standing::Grace } else { Standing::Reused }
    }

    /// Tells whether this is the newest token of its family.
    pub fn is_newest(&self, family: &RefreshFamily) -> bool {
        self.generation == family.generation && ct_eq(&hash(&self.secret), &family.current)
    }

    /// Returns the secret that follows this one. Needs the server key, this token and the family's salt together.
    pub fn successor(&self, key: &SecretKey, salt: &[u8; 16]) -> Zeroizing<[u8; SECRET]> {
        let generation = self.generation.wrapping_add(1).to_be_bytes();
        Zeroizing::new(hmac_sha256(
            key.expose(),
            &[b"refresh-successor", &self.family, &generation, self.secret.as_slice(), salt],
        ))
    }

    /// Returns the family after rotation.
    pub fn rotated(
        &self,
        family: &RefreshFamily,
        successor: &[u8; SECRET],
        salt: [u8; 16],
        now: Timestamp,
        sliding: Duration,
    ) -> RefreshFamily {
        RefreshFamily {
            generation: family.generation.wrapping_add(1),
            current: hash(successor),
            previous: Some(family.current),
            salt,
            rotated_at: now,
            expires_at: now.plus(sliding).min(family.ends_at),
            ends_at: family.ends_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::Random;

    const GRACE: Duration = Duration::from_secs(10);

    struct Fixture {
        key: SecretKey,
        family: RefreshFamily,
        first: Presented,
        start: Timestamp,
    }

    fn fixture() -> Fixture {
        let key = SecretKey::new([7; 32]);
        let start = Timestamp::from_secs(1_000_000);
        let secret = [9; 32];
        let token = format(&key, &Random::os().bytes(), 0, &secret);
        let family = RefreshFamily {
            generation: 0,
            current: hash(&secret),
            previous: None,
            salt: [0; 16],
            rotated_at: start,
            expires_at: start.plus(Duration::from_secs(100)),
            ends_at: start.plus(Duration::from_secs(1000)),
        };
        let first = parse(&key, token.expose()).unwrap();
        Fixture { key, family, first, start }
    }

    /// TOK-13: truncated, extended, changed in case or in any one character is unknown.
    #[test]
    fn only_the_whole_token_parses() {
        let Fixture { key, .. } = fixture();
        let token = format(&key, &[1; 16], 3, &[5; 32]);
        let text = token.expose();
        assert!(parse(&key, text).is_some());
        for index in 0..text.len() {
            assert!(parse(&key, &text[..index]).is_none());
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(parse(&key, std::str::from_utf8(&changed).unwrap()).is_none(), "{index}");
        }
        assert!(parse(&key, &format!("{text}A")).is_none());
        assert!(parse(&key, &text.to_uppercase()).is_none());
        assert!(parse(&SecretKey::new([8; 32]), text).is_none());
    }

    /// REF-03, REF-04: the predecessor is good for the grace window only, anything older never.
    #[test]
    fn an_older_token_than_the_predecessor_is_reuse() {
        let Fixture { key, family, first, start } = fixture();
        assert_eq!(first.standing(&family, start, GRACE), Standing::Current);
        let salt = [1; 16];
        let second_secret = first.successor(&key, &salt);
        assert_eq!(*second_secret, *first.successor(&key, &salt), "the same successor again");
        let family = first.rotated(&family, &second_secret, salt, start, Duration::from_secs(100));
        assert_eq!(first.standing(&family, start.plus(Duration::from_secs(9)), GRACE), Standing::Grace);
        assert_eq!(first.standing(&family, start.plus(Duration::from_secs(10)), GRACE), Standing::Reused);
        assert_eq!(first.standing(&family, start.minus(Duration::from_secs(60)), GRACE), Standing::Reused);
        assert_eq!(first.standing(&family, start, Duration::ZERO), Standing::Reused);
        let second = parse(&key, format(&key, &first.family, 1, &second_secret).expose()).unwrap();
        assert_eq!(second.standing(&family, start, GRACE), Standing::Current);
        let third_secret = second.successor(&key, &[2; 16]);
        let family = second.rotated(&family, &third_secret, [2; 16], start, Duration::from_secs(100));
        assert_eq!(first.standing(&family, start, GRACE), Standing::Reused);
        assert_eq!(second.standing(&family, start, GRACE), Standing::Grace);
    }

    /// REF-06: sliding, but never past the end of the family.
    #[test]
    fn rotation_slides_up_to_the_absolute_end() {
        let Fixture { key, family, first, start } = fixture();
        assert_eq!(first.standing(&family, family.expires_at, GRACE), Standing::Expired);
        let secret = first.successor(&key, &[1; 16]);
        let later = start.plus(Duration::from_secs(99));
        let family = first.rotated(&family, &secret, [1; 16], later, Duration::from_secs(100_000));
        assert_eq!(family.expires_at, family.ends_at);
    }
}
