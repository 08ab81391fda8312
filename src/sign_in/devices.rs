//! Known devices: a signed cookie says that someone has signed in completely with this account on this browser before,
//! so that a stranger who suspends the account for a shared address cannot lock its owner out (LIM-04).

use data_encoding::BASE64URL_NOPAD;

use crate::crypto::mac::hmac_sha256;
use crate::kernel::ids::UserId;
use crate::kernel::secret::{SecretKey, ct_eq};
use crate::kernel::time::Timestamp;

/// A browser that the whole family uses remembers so many accounts.
const MOST_ACCOUNTS: usize = 4;
const ENTRY: usize = 16 + 8 + 16;

/// Tells whether the cookie value proves that `user` has signed in here after `not_before`.
/// Returns bytes that stand for the device.
pub fn proves(key: &SecretKey, cookie: &str, user: &UserId, not_before: Timestamp) -> Option<[u8; 16]> {
    entries(key, cookie)
        .find(|entry| entry.user == *user && entry.issued_at > not_before)
        .map(|entry| entry.tag)
}

/// Returns the cookie value after `user` has signed in: the others stay, oldest out first.
pub fn remember(key: &SecretKey, cookie: Option<&str>, user: &UserId, now: Timestamp) -> String {
    let mut kept: Vec<_> =
        entries(key, cookie.unwrap_or_default()).filter(|entry| entry.user != *user).collect();
    kept.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.issued_at));
    kept.truncate(MOST_ACCOUNTS - 1);
    let mut bytes = encode(key, user, now);
    for entry in kept {
        bytes.extend_from_slice(&encode(key, &entry.user, entry.issued_at));
    }
    BASE64URL_NOPAD.encode(&bytes)
}

struct Entry {
    user: UserId,
    issued_at: Timestamp,
    tag: [u8; 16],
}

fn entries(key: &SecretKey, cookie: &str) -> impl Iterator<Item = Entry> {
    let bytes = if cookie.len() > 512 { None } else { BASE64URL_NOPAD.decode(cookie.as_bytes()).ok() };
    let mut entries = Vec::new();
    for chunk in bytes.unwrap_or_default().chunks_exact(ENTRY).take(MOST_ACCOUNTS) {
        let Some((user, rest)) = chunk.split_first_chunk::<16>() else { continue };
        let Some((millis, presented)) = rest.split_first_chunk::<8>() else { continue };
        let entry = Entry {
            user: UserId(*user),
            issued_at: Timestamp::from_millis(u64::from_be_bytes(*millis)),
            tag: tag(key, &UserId(*user), Timestamp::from_millis(u64::from_be_bytes(*millis))),
        };
        if ct_eq(&entry.tag, presented) {
            entries.push(entry);
        }
    }
    entries.into_iter()
}

fn encode(key: &SecretKey, user: &UserId, issued_at: Timestamp) -> Vec<u8> {
    let mut bytes = user.as_bytes().to_vec();
    bytes.extend_from_slice(&issued_at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&tag(key, user, issued_at));
    bytes
}

fn tag(key: &SecretKey, user: &UserId, issued_at: Timestamp) -> [u8; 16] {
    let mac =
        hmac_sha256(key.expose(), &[b"known-device", user.as_bytes(), &issued_at.as_millis().to_be_bytes()]);
    mac.first_chunk::<16>().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_knows_its_accounts_and_nothing_can_be_forged() {
        let key = SecretKey::new([3; 32]);
        let (ada, bob) = (UserId([1; 16]), UserId([2; 16]));
        let at = Timestamp::from_secs(1000);
        let cookie = remember(&key, None, &ada, at);
        let cookie = remember(&key, Some(&cookie), &bob, at);
        assert!(proves(&key, &cookie, &ada, Timestamp::ZERO).is_some());
        assert!(proves(&key, &cookie, &bob, Timestamp::ZERO).is_some());
        assert!(proves(&key, &cookie, &ada, at).is_none(), "a changed password forgets devices");
        assert!(proves(&SecretKey::new([4; 32]), &cookie, &ada, Timestamp::ZERO).is_none());
        let mut forged = BASE64URL_NOPAD.decode(cookie.as_bytes()).unwrap();
        forged[..16].copy_from_slice(&[9; 16]);
        assert!(proves(&key, &BASE64URL_NOPAD.encode(&forged), &UserId([9; 16]), Timestamp::ZERO).is_none());
        let mut cookie = cookie;
        for user in 10..30 {
            cookie = remember(
                &key,
                Some(&cookie),
                &UserId([user; 16]),
                at.plus(std::time::Duration::from_secs(user.into())),
            );
        }
        assert!(cookie.len() < 250);
        assert!(proves(&key, &cookie, &ada, Timestamp::ZERO).is_none());
    }
}
