//! What a client is told when the store refuses.

use std::time::Duration;

use super::Problem;
use crate::store::{CommitError, StoreError};
use crate::words::{Said, Words};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { table } => {
                Problem::bad_request("too_large", Said::of(Words::errors_too_much_text)).because(table)
            }
            other => Problem::internal(other.to_string()),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Problem::conflict("conflict", Said::of(Words::errors_conflict)),
            CommitError::Unavailable(why) => Problem::unavailable(
                "store_unavailable",
                Said::of(Words::errors_store_unavailable),
                Duration::from_secs(10),
            )
            .because(why),
            CommitError::Store(error) => error.into(),
        }
    }
}
