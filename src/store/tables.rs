//! The register of tables. The first byte of a key is the table's tag; tags are never reused.

use crate::kernel::time::Timestamp;

/// How values of a table are protected on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Readable, with a checksum.
    Checksummed,
    /// Sealed with the master key; the seal names table and row, so a value cannot be moved (KEY-03).
    Sealed,
}

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The first byte of every key.
    pub tag: u8,
    /// The name in exports, seals and messages.
    pub name: &'static str,
    /// How values are protected.
    pub protection: Protection,
}

const fn plain(tag: u8, name: &'static str) -> Table {
    Table { tag, name, protection: Protection::Checksummed }
}

const fn sealed(tag: u8, name: &'static str) -> Table {
    Table { tag, name, protection: Protection::Sealed }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $constant:ident = $make:ident($tag:literal, $name:literal);)*) => {
        impl Table {
            $($(#[$doc])* pub const $constant: Table = $make($tag, $name);)*
        }
        /// Every table there is; an export with another one is refused.
        pub const TABLES: &[Table] = &[$(Table::$constant),*];
    };
}

tables! {
    /// Facts about the installation: schema, instance id, clock high-water mark, setup state. Row: name.
    META = plain(b'm', "meta");
    /// The canary that tells whether the master key fits the store. Row: empty.
    CANARY = sealed(b'M', "canary");
    /// Users without their secrets. Row: user id.
    USER = plain(b'u', "user");
    /// Username to user id. Row: canonical username.
    USERNAME = plain(b'U', "username");
    /// E-mail address to user id. Row: lower-cased address.
    EMAIL = plain(b'E', "email");
    /// Profile claims of users. Row: user id, alone or with the part.
    PROFILE = plain(b'P', "profile");
    /// Imported subject identifier to user id. Row: the subject.
    SUBJECT = plain(b'J', "subject");
    /// Groups that exist. Row: group name.
    GROUP = plain(b'g', "group");
    /// Password hashes. Row: user id.
    PASSWORD = sealed(b'p', "password");
    /// Password hashes that other programs made, until their owners sign in. Row: user id.
    FOREIGN_PASSWORD = sealed(b'F', "foreign_password");
    /// TOTP secrets and the last accepted step. Row: user id.
    TOTP = sealed(b't', "totp");
    /// TOTP secrets not yet confirmed. Row: user id, who asked.
    TOTP_PENDING = sealed(b'T', "totp_pending");
    /// Digests of recovery codes. Row: user id, code digest.
    RECOVERY_CODE = sealed(b'r', "recovery_code");
    /// Passkeys. Row: user id, passkey id.
    PASSKEY = sealed(b'y', "passkey");
    /// Passkey to user. Row: passkey id.
    PASSKEY_OWNER = sealed(b'Y', "passkey_owner");
    /// What authenticators know users by. Row: user id.
    PASSKEY_HANDLE = sealed(b'h', "passkey_handle");
    /// Challenges that were answered. Row: digest of the challenge.
    PASSKEY_CHALLENGE = plain(b'z', "passkey_challenge");
    /// One-time links (invite, reset). Row: digest of the link secret.
    LINK = sealed(b'o', "link");
    /// Browser sessions and refresh token families. Row: session id.
    SESSION = sealed(b's', "session");
    /// When and from where people last signed in. Row: user id.
    SIGNED_IN = plain(b'N', "signed_in");
    /// Tickets that take a sign-in to another host or domain. Row: digest of the ticket.
    HANDOFF = sealed(b'H', "handoff");
    /// Revoked sessions until their last access token has expired. Row: session id.
    REVOKED = plain(b'v', "revoked");
    /// App tokens, and of whom there are any. Row: user id, alone or with the id of the token.
    APP_TOKEN = sealed(b'b', "app_token");
    /// Suspensions of an account for a place. Row: keyed hash of both.
    SUSPENSION = plain(b'l', "suspension");
    /// Failures that suspend nobody yet. Row: what they are counted against, keyed hash.
    FAILURE = plain(b'f', "failure");
    /// Token signing keys. Row: key id.
    SIGNING_KEY = sealed(b'k', "signing_key");
    /// Access rules. Row: position.
    ACCESS_RULE = plain(b'R', "access_rule");
    /// Access rules that are not in force yet. Row: position.
    ACCESS_DRAFT = plain(b'w', "access_draft");
    /// Settings that an administrator changed in the UI. Row: key.
    SETTING = plain(b'c', "setting");
    /// Audit events. Row: time in ms (u64 BE), sequence (u64 BE).
    AUDIT = plain(b'a', "audit");
    /// Apps that sign people in through OpenID Connect. Row: client id.
    CLIENT = sealed(b'C', "client");
    /// What was decided about an app, in parts. Row: client id, `/`, number of the part.
    CLIENT_PART = sealed(b'i', "client_part");
    /// When somebody last signed in to an app. Row: client id.
    CLIENT_USE = plain(b'Q', "client_use");
    /// Signing keys that apps verify. Row: key id.
    OIDC_KEY = sealed(b'K', "oidc_key");
    /// Scopes that an administrator made up. Row: name.
    SCOPE = plain(b'S', "scope");
    /// Authorization codes, unused and used. Row: digest of the code.
    CODE = sealed(b'd', "code");
    /// What people let apps do, with their refresh token families. Row: grant id.
    GRANT = sealed(b'G', "grant");
    /// What people agreed to. Row: user id, client id.
    CONSENT = plain(b'n', "consent");
    /// Pushed authorization requests. Row: digest of the reference.
    PUSHED = sealed(b'q', "pushed");
    /// Devices that wait for somebody to let them in. Row: digest of the device code.
    DEVICE = sealed(b'D', "device");
    /// Code that people type to device. Row: the code.
    USER_CODE = plain(b'e', "user_code");
    /// What may be used once by a program that proves itself: assertions. Row: digest.
    USED_ONCE = plain(b'1', "used_once");
    /// Access tokens that were revoked before their time. Row: token id.
    REVOKED_TOKEN = plain(b'V', "revoked_token");
    /// Tokens with which apps may register themselves. Row: digest.
    INITIAL_TOKEN = plain(b'I', "initial_token");
    /// What apps have still to be told of stays that ended. Row: random.
    LOGOUT_NOTICE = sealed(b'L', "logout_notice");
    /// Keys of address pseudonyms. Row: epoch (u64 BE).
    PSEUDONYM_KEY = sealed(b'A', "pseudonym_key");
}

/// The tag of the expiry index: `x, table tag, expiry ms (u64 BE), row`.
pub(super) const EXPIRY_TAG: u8 = b'x';

impl Table {
    /// Returns the full key of `row`.
    pub fn key(self, row: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(row.len() + 1);
        key.push(self.tag);
        key.extend_from_slice(row);
        key
    }

    /// Returns the row of a full key of this table.
    pub fn row(self, key: &[u8]) -> Option<&[u8]> {
        match key {
            [tag, row @ ..] if *tag == self.tag => Some(row),
            _ => None,
        }
    }

    /// Returns the table with this tag.
    pub fn by_tag(tag: u8) -> Option<Table> {
        TABLES.iter().copied().find(|table| table.tag == tag)
    }

    /// Returns the table with this name.
    pub fn by_name(name: &str) -> Option<Table> {
        TABLES.iter().copied().find(|table| table.name == name)
    }
}

pub(super) fn expiry_prefix(table: Table) -> Vec<u8> {
    vec![EXPIRY_TAG, table.tag]
}

pub(super) fn expiry_key(table: Table, at: Timestamp, row: &[u8]) -> Vec<u8> {
    let mut key = expiry_prefix(table);
    key.extend_from_slice(&at.as_millis().to_be_bytes());
    key.extend_from_slice(row);
    key
}

pub(super) fn split_expiry_key(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (millis, row) = key.get(2..)?.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(u64::from_be_bytes(*millis)), row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_names_are_unique() {
        for (index, table) in TABLES.iter().enumerate() {
            assert_ne!(table.tag, EXPIRY_TAG);
            for other in &TABLES[index + 1..] {
                assert_ne!(table.tag, other.tag, "{} and {}", table.name, other.name);
                assert_ne!(table.name, other.name);
            }
        }
    }
}
