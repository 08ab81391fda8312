//! What the store keeps of users.

use serde::{Deserialize, Serialize};

use super::claims::AttributeValue;
use super::profile::{Address, ProfileRecord};
use crate::crypto::totp::{TotpAlgorithm, TotpKey, TotpSecret};
use crate::kernel::ids::UserId;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::kernel::time::Timestamp;
use crate::store::{Record, Table};

/// What a user may do in Doorward itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Signs in and manages the own account.
    Member,
    /// Manages people, rules and settings.
    Admin,
    /// An admin who set the instance up; the last one cannot be removed.
    Owner,
}

impl Role {
    /// Tells whether the role may administer.
    pub fn is_admin(self) -> bool {
        self >= Role::Admin
    }

    /// Returns the name used in the API and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// Parses the name used in the API and the CLI.
    pub fn parse(text: &str) -> Option<Role> {
        match text {
            "member" => Some(Role::Member),
            "admin" => Some(Role::Admin),
            "owner" => Some(Role::Owner),
            _ => None,
        }
    }
}

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// May sign in.
    Active,
    /// May not, until an admin enables the account again.
    Disabled,
}

/// A user without secrets. Row: user id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRecord {
    /// The sign-in name.
    pub username: Username,
    /// The name shown to people and apps.
    pub display_name: DisplayName,
    /// The address given to apps; never used to send anything unless configured.
    pub email: Option<Email>,
    /// The groups, in order, each once.
    pub groups: Vec<GroupName>,
    /// What the user may do here.
    pub role: Role,
    /// Whether the user may sign in.
    pub status: Status,
    /// Sessions begun before this moment are dead (logout everywhere, password change, disable).
    pub not_before: Timestamp,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the password was last set.
    pub password_changed_at: Option<Timestamp>,
    /// Whether a confirmed TOTP secret exists; changed in the same commit as the secret.
    pub has_totp: bool,
    /// How many recovery codes are left; changed in the same commit as the codes.
    pub recovery_codes_left: u8,
    /// Set when an admin reset the second factor and the user has not been told yet (OTP-11).
    pub notice: Option<String>,
    /// How many passkeys there are; changed in the same commit as the passkeys. The last field: version 1 ends before it.
    pub passkeys: u8,
}

impl UserRecord {
    /// Tells whether the password alone does not suffice.
    pub fn has_second_factor(&self) -> bool {
        self.has_totp || self.passkeys > 0
    }

    /// Tells whether there is anything to sign in with; who was only invited has nothing yet.
    pub fn has_credential(&self) -> bool {
        self.password_changed_at.is_some() || self.passkeys > 0
    }
}

impl Record for UserRecord {
    const TABLE: Table = Table::USER;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        const NO_PASSKEYS: u8 = 0;
        if version != 1 {
            return None;
        }
        let body = [body, &[NO_PASSKEYS]].concat();
        let (record, rest) = postcard::take_from_bytes(&body).ok()?;
        rest.is_empty().then_some(record)
    }
}

/// Username to user. Row: canonical username. The row of somebody who was deleted stays and points at nobody (PRI-03).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsernameRecord {
    /// Whose name it is.
    pub user: UserId,
}

impl Record for UsernameRecord {
    const TABLE: Table = Table::USERNAME;
    const VERSION: u8 = 1;
}

/// E-mail address to user. Row: lower-cased address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailRecord {
    /// Whose address it is.
    pub user: UserId,
}

impl Record for EmailRecord {
    const TABLE: Table = Table::EMAIL;
    const VERSION: u8 = 1;
}

/// A part of a profile. Row: user id for the claims, user id and `a` for the address, user id, `x` and the name for an
/// attribute. The row of the claims is written with every change, so whoever has seen it has seen the whole profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ProfileRow {
    /// Everything but address and attributes.
    Claims(Box<ProfileRecord>),
    /// The postal address.
    Address(Box<Address>),
    /// A custom attribute.
    Attribute(AttributeValue),
}

impl Record for ProfileRow {
    const TABLE: Table = Table::PROFILE;
    const VERSION: u8 = 1;
}

/// Imported subject to user. Row: the subject. The row stays, so that what was one person's `sub` never becomes another's
/// (OA-19, PRI-03).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// Whose it is or was.
    pub user: UserId,
}

impl Record for SubjectRecord {
    const TABLE: Table = Table::SUBJECT;
    const VERSION: u8 = 1;
}

/// A password hash. Row: user id.
#[derive(Clone, Serialize, Deserialize)]
pub struct PasswordRecord {
    /// argon2id in PHC string format.
    pub phc: String,
}

impl Record for PasswordRecord {
    const TABLE: Table = Table::PASSWORD;
    const VERSION: u8 = 1;
}

/// A password hash that another program made, until its owner signs in. Row: user id. With a [`PasswordRecord`] beside it
/// it counts for nothing.
#[derive(Clone, Serialize, Deserialize)]
pub struct ForeignPasswordRecord {
    /// As [`ForeignHash::parse`](crate::crypto::foreign::ForeignHash::parse) takes it.
    pub digest: String,
}

impl Record for ForeignPasswordRecord {
    const TABLE: Table = Table::FOREIGN_PASSWORD;
    const VERSION: u8 = 1;
}

/// A confirmed TOTP secret. Row: user id.
#[derive(Clone, Serialize, Deserialize)]
pub struct TotpRecord {
    /// 160 bits (RFC 4226 section 4) where it was made here.
    pub secret: Vec<u8>,
    /// The highest step ever accepted; a code of this or an earlier step is refused (OTP-04).
    pub last_step: u64,
    /// When it was confirmed.
    pub confirmed_at: Timestamp,
    /// Wrong codes in a row since the last right one (OTP-06).
    pub failures: u32,
    /// The hash of its codes.
    pub algorithm: TotpAlgorithm,
    /// The digits of its codes.
    pub digits: u8,
    /// The seconds of its steps.
    pub period: u32,
}

#[derive(Deserialize)]
struct TotpRecord1 {
    secret: [u8; 20],
    last_step: u64,
    confirmed_at: Timestamp,
    failures: u32,
}

impl TotpRecord {
    /// Returns the record of a key that was confirmed by a code of `last_step`.
    pub fn new(key: &TotpKey, last_step: u64, confirmed_at: Timestamp) -> Self {
        TotpRecord {
            secret: key.expose().to_vec(),
            last_step,
            confirmed_at,
            failures: 0,
            algorithm: key.algorithm(),
            digits: key.digits(),
            period: key.period(),
        }
    }

    /// Returns the key; `None` if what is stored is none, which accepts no code.
    pub fn key(&self) -> Option<TotpKey> {
        TotpKey::build(&self.secret, self.algorithm, self.digits, self.period)
    }
}

impl Record for TotpRecord {
    const TABLE: Table = Table::TOTP;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        let TotpRecord1 { secret, last_step, confirmed_at, failures } =
            postcard::from_bytes(body).ok().filter(|_| version == 1)?;
        let key = TotpKey::from(&TotpSecret::from_bytes(secret));
        Some(TotpRecord { failures, ..TotpRecord::new(&key, last_step, confirmed_at) })
    }
}

/// A TOTP secret waiting for its first code. Row: user id, digest of who asked for it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PendingTotpRecord {
    /// 160 bits.
    pub secret: [u8; 20],
    /// When it dies unless confirmed (OTP-02).
    pub expires_at: Timestamp,
    /// Which secret was in use when this one was made; it may take the place of that one alone.
    pub displaces: Option<[u8; 16]>,
}

#[derive(Deserialize)]
struct PendingTotpRecord1 {
    secret: [u8; 20],
    expires_at: Timestamp,
}

impl Record for PendingTotpRecord {
    const TABLE: Table = Table::TOTP_PENDING;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        let PendingTotpRecord1 { secret, expires_at } =
            postcard::from_bytes(body).ok().filter(|_| version == 1)?;
        Some(PendingTotpRecord { secret, expires_at, displaces: None })
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }
}

/// An unused recovery code. Row: user id, SHA-256 digest of user and code. Using it removes it.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecoveryCodeRecord {
    /// When the set was made.
    pub created_at: Timestamp,
}

impl Record for RecoveryCodeRecord {
    const TABLE: Table = Table::RECOVERY_CODE;
    const VERSION: u8 = 1;
}

/// A passkey. Row: user id, passkey id. It proves itself by a signature, so nothing of it is secret; it is sealed so that
/// nobody can put another key in its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyRecord {
    /// The id that the authenticator gave it.
    pub credential: Vec<u8>,
    /// The public key in COSE form.
    pub key: Vec<u8>,
    /// The highest counter seen; zero if it does not count.
    pub counter: u32,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// Whether it may be copied to other devices. Never changes (PK-04).
    pub is_backup_eligible: bool,
    /// Whether it was.
    pub is_backed_up: bool,
    /// Whether it ever made sure who the person is.
    pub is_user_verified: bool,
    /// How browsers reach it, as they said.
    pub transports: Vec<String>,
}

impl Record for PasskeyRecord {
    const TABLE: Table = Table::PASSKEY;
    const VERSION: u8 = 1;
}

/// Passkey to user: no credential is known twice (PK-04). Row: passkey id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyOwnerRecord {
    /// Whose it is.
    pub user: UserId,
}

impl Record for PasskeyOwnerRecord {
    const TABLE: Table = Table::PASSKEY_OWNER;
    const VERSION: u8 = 1;
}

/// What authenticators know a user by: 64 random bytes, which tell nothing (PK-05). Row: user id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyHandleRecord {
    /// The bytes.
    pub handle: Vec<u8>,
}

impl Record for PasskeyHandleRecord {
    const TABLE: Table = Table::PASSKEY_HANDLE;
    const VERSION: u8 = 1;
}

/// A challenge that was answered, so that it is answered once (PK-01). Row: SHA-256 of the challenge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyChallengeRecord {
    /// When it dies by itself.
    pub expires_at: Timestamp,
}

impl Record for PasskeyChallengeRecord {
    const TABLE: Table = Table::PASSKEY_CHALLENGE;
    const VERSION: u8 = 1;

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }
}

/// What a one-time link is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkPurpose {
    /// Set a new password for this user. Never skips the second factor (PWD-12).
    ResetPassword(UserId),
    /// Make an account with this role and these groups.
    Invite {
        /// The role of the new user.
        role: Role,
        /// The groups of the new user.
        groups: Vec<GroupName>,
    },
}

/// A one-time link. Row: SHA-256 of its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct LinkRecord {
    /// What it does.
    pub purpose: LinkPurpose,
    /// When it dies.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whom it is for, as whoever made it noted; may be empty.
    pub note: String,
    /// The administrator who made it; `None` for the machine itself. Version 1 ends before these three.
    pub made_by: Option<UserId>,
}

impl Record for LinkRecord {
    const TABLE: Table = Table::LINK;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        let (purpose, expires_at) = postcard::from_bytes(body).ok().filter(|_| version == 1)?;
        let (created_at, note) = (Timestamp::ZERO, String::new());
        Some(LinkRecord { purpose, expires_at, created_at, note, made_by: None })
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret that an earlier version left waiting is read, and displaces nothing.
    #[test]
    fn a_waiting_secret_of_the_first_version_is_read() {
        let expires_at = Timestamp::from_secs(7);
        let body = postcard::to_allocvec(&([9_u8; 20], expires_at)).unwrap();
        let record = PendingTotpRecord::upgrade(1, &body).unwrap();
        assert_eq!((record.secret, record.expires_at, record.displaces), ([9; 20], expires_at, None));
        assert!(PendingTotpRecord::upgrade(3, &body).is_none());
    }

    /// Secrets that an earlier version confirmed go on making the same codes.
    #[test]
    fn a_confirmed_secret_of_the_first_version_is_read() {
        let body = postcard::to_allocvec(&([9_u8; 20], 7_u64, Timestamp::from_secs(5), 3_u32)).unwrap();
        let record = TotpRecord::upgrade(1, &body).unwrap();
        assert_eq!((record.last_step, record.confirmed_at, record.failures), (7, Timestamp::from_secs(5), 3));
        let key = record.key().unwrap();
        assert_eq!((key.digits(), key.period(), key.algorithm()), (6, 30, TotpAlgorithm::Sha1));
        assert_eq!(key.code_at(8), crate::crypto::totp::code_at(&TotpSecret::from_bytes([9; 20]), 8));
        assert!(TotpRecord::upgrade(3, &body).is_none());
    }

    /// Links that an earlier version handed out go on working.
    #[test]
    fn a_link_of_the_first_version_is_read() {
        let purpose = LinkPurpose::ResetPassword(UserId([7; 16]));
        let body = postcard::to_allocvec(&(&purpose, Timestamp::from_secs(5))).unwrap();
        let link = LinkRecord::upgrade(1, &body).unwrap();
        assert_eq!(
            (link.purpose, link.expires_at, link.note.as_str()),
            (purpose, Timestamp::from_secs(5), "")
        );
        assert!(LinkRecord::upgrade(3, &body).is_none());
    }

    /// Whoever was here before there were passkeys is still here, and has none.
    #[test]
    fn a_user_of_the_first_version_is_read() {
        let body = postcard::to_allocvec(&(
            ("ada", "Ada", Some("ada@home.example"), ["family"].as_slice()),
            (Role::Owner, Status::Active, Timestamp::from_secs(5), Timestamp::from_secs(6)),
            (Some(Timestamp::from_secs(7)), true, 9_u8, None::<String>),
        ))
        .unwrap();
        let user = UserRecord::upgrade(1, &body).unwrap();
        assert_eq!((user.username.as_str(), user.role, user.passkeys), ("ada", Role::Owner, 0));
        assert!(user.has_totp && user.has_second_factor() && user.recovery_codes_left == 9);
        assert!(UserRecord::upgrade(1, &body[..body.len() - 1]).is_none());
        assert!(UserRecord::upgrade(3, &body).is_none());
    }
}
