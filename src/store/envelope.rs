//! How a record lies in the store: `version u8, flags u8, body, crc32c u32` where the body is postcard, sealed for
//! tables that hold secrets (KEY-03). Engines do not notice every flipped bit, so each value carries its own check.

use std::sync::Arc;

use super::{Protection, Record, StoreError};
use crate::crypto::sealed::{Context, Sealer};
use crate::kernel::random::Random;

/// The largest stored value. Larger ones would make sled write blob files, which it never syncs.
pub(super) const LARGEST_VALUE: usize = 3584;

pub(super) const FLAG_SEALED: u8 = 1;
/// The column that every seal of a record names.
pub(super) const COLUMN: &str = "record";

/// A record together with the exact bytes it was read from, so that a batch can require that nobody changed it.
#[derive(Clone)]
pub struct Versioned<R> {
    /// The record.
    pub value: R,
    pub(super) raw: Vec<u8>,
}

pub(super) fn close<R: Record>(
    sealer: &Arc<Sealer>,
    random: &Random,
    row: &[u8],
    record: &R,
) -> Result<Vec<u8>, StoreError> {
    let table = R::TABLE.name;
    let plain =
        zeroize::Zeroizing::new(postcard::to_allocvec(record).map_err(|_| StoreError::Corrupt { table })?);
    let mut value = Vec::with_capacity(plain.len() + 64);
    value.push(R::VERSION);
    match R::TABLE.protection {
        Protection::Checksummed => {
            value.push(0);
            value.extend_from_slice(&plain);
        }
        Protection::Sealed => {
            value.push(FLAG_SEALED);
            value.extend_from_slice(&sealer.seal(random, &context::<R>(row), &plain));
        }
    }
    value.extend_from_slice(&crc32c::crc32c(&value).to_be_bytes());
    if value.len() > LARGEST_VALUE {
        return Err(StoreError::TooLarge { table });
    }
    Ok(value)
}

pub(super) fn open<R: Record>(
    sealer: &Arc<Sealer>,
    row: &[u8],
    raw: Vec<u8>,
) -> Result<Versioned<R>, StoreError> {
    let damaged = StoreError::Corrupt { table: R::TABLE.name };
    let value = {
        let (version, flags, body) = split(&raw).ok_or(damaged.clone())?;
        let opened;
        let plain: &[u8] = match (R::TABLE.protection, flags) {
            (Protection::Checksummed, 0) => body,
            (Protection::Sealed, FLAG_SEALED) => {
                opened = sealer.open(&context::<R>(row), body).map_err(|_| damaged.clone())?;
                &opened
            }
            _ => return Err(damaged),
        };
        if version == R::VERSION {
            let (value, rest) = postcard::take_from_bytes(plain).map_err(|_| damaged.clone())?;
            if !rest.is_empty() {
                return Err(damaged);
            }
            value
        } else {
            R::upgrade(version, plain).ok_or(damaged)?
        }
    };
    Ok(Versioned { value, raw })
}

/// Returns version, flags and body if the checksum holds. Works for any table, so a check needs no schema.
pub(super) fn split(raw: &[u8]) -> Option<(u8, u8, &[u8])> {
    let (checked, crc) = raw.split_last_chunk::<4>()?;
    if crc32c::crc32c(checked) != u32::from_be_bytes(*crc) {
        return None;
    }
    match checked {
        [version, flags, body @ ..] => Some((*version, *flags, body)),
        _ => None,
    }
}

fn context<R: Record>(row: &[u8]) -> Context<'_> {
    Context { table: R::TABLE.name, row, column: COLUMN }
}
