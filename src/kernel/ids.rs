//! Identifiers: 16 random bytes, written as 22 characters of unpadded base64url (RFC 4648 section 5).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use data_encoding::BASE64URL_NOPAD;

use super::random::Random;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Makes a fresh identifier.
            pub fn random(random: &Random) -> Self {
                $name(random.bytes())
            }

            /// Returns the 16 bytes, as used in store keys.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Parses exactly the form that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 22 {
                    return None;
                }
                let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
                bytes.try_into().ok().map($name)
            }

            /// Takes exactly 16 bytes, as found in a store key.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map($name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut text = [0; 22];
                BASE64URL_NOPAD.encode_mut(&self.0, &mut text);
                f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id!(
    /// A user. The `sub` of every token; random, stable, never reused.
    UserId
);
id!(
    /// A session: a browser session or a refresh token family. The `sid` of tokens and the handle in lists; not a secret.
    SessionId
);
id!(
    /// What one person let one app do, with its refresh token family. Not a secret.
    GrantId
);
id!(
    /// An app token: the handle by which its owner revokes it. Not a secret.
    AppTokenId
);
id!(
    /// A passkey: a digest of the id that its authenticator gave it, and the handle in lists. Not a secret.
    PasskeyId
);
id!(
    /// One request, for the log and for the person who reports a problem.
    RequestId
);
id!(
    /// One installation, made once with its store.
    InstanceId
);

/// A map by identifier. Every request looks some up.
pub type IdMap<Id, Value> = HashMap<Id, Value, BuildHasherDefault<IdHasher>>;

/// Takes the last eight bytes of an identifier for its hash: they are random already, and only we make identifiers, so
/// nobody can choose some that collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_finds_every_id_again() {
        let ids: Vec<_> = (0..1000).map(|_| UserId::random(&Random::os())).collect();
        let map: IdMap<UserId, usize> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        assert!(ids.iter().enumerate().all(|(index, id)| map.get(id) == Some(&index)));
        let hashes: std::collections::HashSet<u64> = ids
            .iter()
            .map(|id| std::hash::BuildHasher::hash_one(&BuildHasherDefault::<IdHasher>::default(), id))
            .collect();
        assert_eq!(hashes.len(), ids.len());
    }

    #[test]
    fn an_id_survives_its_text_form_and_nothing_else_parses() {
        let id = UserId::random(&Random::os());
        assert_eq!(UserId::parse(&id.to_string()), Some(id));
        for bad in ["", "a", &id.to_string()[..21], &format!("{id}A"), "!!!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(UserId::parse(bad), None, "{bad}");
        }
    }
}
