//! What the store keeps of events.

use serde::{Deserialize, Serialize};

use super::event::{Actor, Outcome};
use crate::kernel::ids::{RequestId, UserId};
use crate::kernel::text::Username;
use crate::kernel::time::Timestamp;
use crate::store::{Record, Table};

/// One event. Row: the complements of the time in ms (u64 BE) and of the sequence (u64 BE), so that the newest event
/// comes first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The name of the kind, so that the event outlives its place in the register.
    pub kind: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// The user it was done to.
    pub user: Option<(UserId, Username)>,
    /// Anything else it was done to.
    pub target: Option<String>,
    /// Where it came from: shortened prefix and pseudonym, never an address.
    pub place: Option<String>,
    /// The request it was part of.
    pub request: Option<RequestId>,
    /// Keys and values.
    pub details: Vec<(String, String)>,
}

impl Record for AuditRecord {
    const TABLE: Table = Table::AUDIT;
    const VERSION: u8 = 1;
}

/// How far sequence numbers have been handed out. Row: `audit_sequence`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SequenceRecord {
    /// The next start begins at this number or later.
    pub(super) reserved: u64,
}

impl SequenceRecord {
    pub(super) const ROW: &'static [u8] = b"audit_sequence";
}

impl Record for SequenceRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 1;
}

/// The key of the address pseudonyms of one epoch. Row: epoch (u64 BE).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PseudonymKeyRecord {
    /// 256 random bits.
    pub(super) key: [u8; 32],
}

impl Record for PseudonymKeyRecord {
    const TABLE: Table = Table::PSEUDONYM_KEY;
    const VERSION: u8 = 1;
}

/// Returns the row of an event. With sequence 0 it is the border of `at`: what happened before that moment comes after it.
pub(super) fn row(at: Timestamp, sequence: u64) -> [u8; 16] {
    let mut row = [0; 16];
    let (time, rest) = row.split_at_mut(8);
    time.copy_from_slice(&(!at.as_millis()).to_be_bytes());
    rest.copy_from_slice(&(!sequence).to_be_bytes());
    row
}

/// Reads a row back.
pub(super) fn split_row(row: &[u8]) -> Option<(Timestamp, u64)> {
    let (time, rest) = row.split_first_chunk::<8>()?;
    let sequence: [u8; 8] = rest.try_into().ok()?;
    Some((Timestamp::from_millis(!u64::from_be_bytes(*time)), !u64::from_be_bytes(sequence)))
}
