//! What a client is told when the store refuses.

use std::time::Duration;

use super::Problem;
use crate::store::{CommitError, StoreError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { table } => {
                Problem::bad_request("too_large", "There is too much text in this request.").because(table)
            }
            other => Problem::internal(other.to_string()),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Problem::conflict(
                "conflict",
                "Someone else changed this at the same moment. Please try again.",
            ),
            CommitError::Unavailable(why) => Problem::unavailable(
                "store_unavailable",
                "Doorward cannot save anything at the moment. Nothing was changed; please try again soon.",
                Duration::from_secs(10),
            )
            .because(why),
            CommitError::Store(error) => error.into(),
        }
    }
}
