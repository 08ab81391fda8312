//! What the store keeps of apps and of what people let them do.

use serde::{Deserialize, Serialize};

use super::claims::ClaimsRequest;
use super::client::ClientId;
use super::request::acr_of;
use super::scopes::Scopes;
use crate::crypto::signing::StoredKey;
use crate::kernel::ids::{GrantId, SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::sessions::Factors;
use crate::sessions::records::RefreshFamily;
use crate::store::{Record, Table, Versioned};

/// What stands in a row that is named by a SHA-256, with that name.
pub(super) type Found<R> = ([u8; 32], Versioned<R>);

macro_rules! record {
    ($name:ident, $table:ident) => {
        impl Record for $name {
            const TABLE: Table = Table::$table;
            const VERSION: u8 = 1;
        }
    };
    ($name:ident, $table:ident, $until:ident) => {
        impl Record for $name {
            const TABLE: Table = Table::$table;
            const VERSION: u8 = 1;
            fn expires_at(&self) -> Option<Timestamp> {
                Some(self.$until)
            }
        }
    };
}

/// An app. Row: client id. What was decided about it is in [`ClientPartRecord`]s, because it may be long.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClientRecord {
    /// How many parts there are.
    pub parts: u8,
    /// Counts changes, so that no two states of an app read the same in the store.
    pub revision: u64,
    /// SHA-256 digests of its secrets, newest first (TOK-13); at most two, so that one can be replaced without a gap.
    pub secrets: Vec<[u8; 32]>,
    /// When it was added.
    pub created_at: Timestamp,
    /// Digest of the token with which it manages its own registration, if it registered itself (RFC 7592).
    pub registration_token: Option<[u8; 32]>,
    /// A hash of its secret that another server made, until it is used for the first time here.
    pub foreign_secret: Option<String>,
}

#[derive(Deserialize)]
struct ClientRecord1 {
    parts: u8,
    revision: u64,
    secrets: Vec<[u8; 32]>,
    created_at: Timestamp,
    registration_token: Option<[u8; 32]>,
}

impl Record for ClientRecord {
    const TABLE: Table = Table::CLIENT;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        let ClientRecord1 { parts, revision, secrets, created_at, registration_token } =
            postcard::from_bytes(body).ok().filter(|_| version == 1)?;
        Some(ClientRecord { parts, revision, secrets, created_at, registration_token, foreign_secret: None })
    }
}

/// A part of [`ClientSettings`](super::client::ClientSettings) in postcard. Row: client id, `/`, number of the part.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClientPartRecord(pub Vec<u8>);

record!(ClientPartRecord, CLIENT_PART);

/// When somebody last signed in to an app. Row: client id.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClientUseRecord {
    /// The newest sign-in.
    pub at: Timestamp,
}

record!(ClientUseRecord, CLIENT_USE);

/// A signing key that apps verify. Row: key id.
#[derive(Clone, Serialize, Deserialize)]
pub struct OidcKeyRecord(pub StoredKey);

record!(OidcKeyRecord, OIDC_KEY);

/// A scope that an administrator made up. Row: name.
#[derive(Clone, Serialize, Deserialize)]
pub struct ScopeRecord {
    /// Claim name and the attribute of the person it shows.
    pub claims: Vec<(String, String)>,
}

record!(ScopeRecord, SCOPE);

/// What a person let an app do at one sign-in: what a code, a device code and a refresh token stand for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Permission {
    /// The app.
    pub client: ClientId,
    /// The person.
    pub user: UserId,
    /// The session it was given in, as apps know it; whatever ends that ends this.
    pub sid: SessionId,
    /// What it covers.
    pub scopes: Scopes,
    /// The APIs it covers (RFC 8707).
    pub resources: Vec<String>,
    /// Single claims that were asked for (OIDC Core section 5.5).
    pub claims: ClaimsRequest,
    /// What was proven.
    pub factors: Factors,
    /// When it was proven.
    pub authenticated_at: Timestamp,
    /// When it was given; it is void if the person's sessions were ended after that.
    pub given_at: Timestamp,
    /// The key it is bound to, as a JWK thumbprint (RFC 9449).
    pub jkt: Option<String>,
}

impl Permission {
    /// Returns the `acr` of what was proven.
    pub(super) fn acr(&self) -> &'static str {
        acr_of(self.factors, self.claims.asks_phr())
    }
}

/// An authorization code. Row: SHA-256 of the code.
#[derive(Clone, Serialize, Deserialize)]
pub struct CodeRecord {
    /// What it stands for.
    pub permission: Permission,
    /// SHA-256 of the redirect URI it was sent to.
    pub redirect_uri: [u8; 32],
    /// The nonce of the request.
    pub nonce: Option<String>,
    /// The S256 challenge (RFC 7636).
    pub challenge: Option<String>,
    /// When it can be exchanged no more.
    pub good_until: Timestamp,
    /// The grant that it was exchanged for. Used codes are kept, so that a second use is seen (OA-04).
    pub used_for: Option<GrantId>,
    /// When the row may go.
    pub until: Timestamp,
}

record!(CodeRecord, CODE, until);

/// A grant. Row: grant id.
#[derive(Clone, Serialize, Deserialize)]
pub struct GrantRecord {
    /// What was given.
    pub permission: Permission,
    /// The refresh token family, if there is one.
    pub refresh: Option<RefreshFamily>,
    /// When the last of its tokens is over.
    pub until: Timestamp,
}

record!(GrantRecord, GRANT, until);

/// What a person agreed to. Row: user id, client id.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// SHA-256 of each set of scopes as it was asked for, oldest first (OA-14).
    pub sets: Vec<[u8; 32]>,
    /// The newest set.
    pub latest: Scopes,
    /// When they last agreed.
    pub given_at: Timestamp,
}

record!(ConsentRecord, CONSENT);

/// A pushed authorization request (RFC 9126). Row: SHA-256 of the reference.
#[derive(Clone, Serialize, Deserialize)]
pub struct PushedRecord {
    /// Whose.
    pub client: ClientId,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// Whether a browser came with it already: it then stays good until the person has signed in.
    pub is_opened: bool,
    /// When it is good no more.
    pub until: Timestamp,
}

record!(PushedRecord, PUSHED, until);

/// How far a device came.
#[derive(Clone, Serialize, Deserialize)]
pub enum DeviceState {
    /// It waits.
    Waiting,
    /// Somebody let it in.
    Allowed(Permission),
    /// Somebody refused it.
    Refused,
}

/// A device that waits (RFC 8628). Row: SHA-256 of the device code.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Whose.
    pub client: ClientId,
    /// What it asks for.
    pub scopes: Scopes,
    /// The APIs it asks for.
    pub resources: Vec<String>,
    /// The code that people type, without the hyphen.
    pub user_code: String,
    /// A pseudonym of the address it asked from.
    pub place: String,
    /// The key it is bound to.
    pub jkt: Option<String>,
    /// How far it came.
    pub state: DeviceState,
    /// When it is over.
    pub until: Timestamp,
}

record!(DeviceRecord, DEVICE, until);

/// From the code that people type to the device. Row: the code.
#[derive(Clone, Serialize, Deserialize)]
pub struct UserCodeRecord {
    /// The row of the device.
    pub device: [u8; 32],
    /// When it is over.
    pub until: Timestamp,
}

record!(UserCodeRecord, USER_CODE, until);

/// Something that was used and must not be used again. Row: its digest.
#[derive(Clone, Serialize, Deserialize)]
pub struct UsedOnceRecord {
    /// When nobody would take it any more.
    pub until: Timestamp,
}

record!(UsedOnceRecord, USED_ONCE, until);

/// An access token that was revoked. Row: its id.
#[derive(Clone, Serialize, Deserialize)]
pub struct RevokedTokenRecord {
    /// When it would have expired.
    pub until: Timestamp,
}

record!(RevokedTokenRecord, REVOKED_TOKEN, until);

/// A token with which apps may register themselves (RFC 7591). Row: its digest.
#[derive(Clone, Serialize, Deserialize)]
pub struct InitialTokenRecord {
    /// How many apps it may still register.
    pub left: u32,
    /// When it is over.
    pub until: Timestamp,
}

record!(InitialTokenRecord, INITIAL_TOKEN, until);

#[cfg(test)]
mod tests {
    use super::*;

    /// Apps that an earlier version added keep their secrets.
    #[test]
    fn an_app_of_the_first_version_is_read() {
        let old = (2_u8, 7_u64, vec![[3_u8; 32]], Timestamp::from_secs(5), None::<[u8; 32]>);
        let record = ClientRecord::upgrade(1, &postcard::to_allocvec(&old).unwrap()).unwrap();
        assert_eq!((record.parts, record.revision, record.secrets), (2, 7, vec![[3; 32]]));
        assert!(record.foreign_secret.is_none());
    }
}
