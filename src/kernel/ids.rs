//! Identifiers: 16 random bytes, written as 22 characters of unpadded base64url (RFC 4648 section 5).

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
                f.write_str(&BASE64URL_NOPAD.encode(&self.0))
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
    /// One request, for the log and for the person who reports a problem.
    RequestId
);
id!(
    /// One installation, made once with its store.
    InstanceId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form_and_nothing_else_parses() {
        let id = UserId::random(&Random::os());
        assert_eq!(UserId::parse(&id.to_string()), Some(id));
        for bad in ["", "a", &id.to_string()[..21], &format!("{id}A"), "!!!!!!!!!!!!!!!!!!!!!!"] {
            assert_eq!(UserId::parse(bad), None, "{bad}");
        }
    }
}
