//! What the store keeps of app tokens.

use serde::{Deserialize, Serialize};

use crate::kernel::time::Timestamp;
use crate::sessions::Factors;
use crate::store::{Record, Table};

/// A row of the table. Row: user id for the set, user id and token id for a token.
#[derive(Clone, Serialize, Deserialize)]
pub enum AppTokenRow {
    /// That the user has app tokens. Whatever adds one or ends all of them builds on the same state of this row, so
    /// that none appears in the moment in which all end.
    Set {
        /// Counts the tokens that were ever made.
        made: u64,
    },
    /// One token.
    Token(Box<AppTokenRecord>),
}

/// An app token. The secret is kept as SHA-256 hash only (TOK-13).
#[derive(Clone, Serialize, Deserialize)]
pub struct AppTokenRecord {
    /// The hash of the whole token.
    pub digest: [u8; 32],
    /// What its owner calls it.
    pub name: String,
    /// The hosts that it opens, each `host` or `*.parent`; none: every app that its owner may open.
    pub hosts: Vec<String>,
    /// What its owner had proven when making it.
    pub factors: Factors,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it dies by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as it was written down.
    pub last_used: Option<Timestamp>,
}

impl Record for AppTokenRow {
    const TABLE: Table = Table::APP_TOKEN;
    const VERSION: u8 = 1;
}
