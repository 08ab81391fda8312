//! Authorization codes: opaque, for one client, one redirect URI and one use (OA-04).

use data_encoding::BASE64URL_NOPAD;

use super::records::{CodeRecord, Found, Permission};
use super::request::AuthorizationRequest;
use super::{CODE_LIFETIME, Oidc};
use crate::crypto::mac::sha256;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::store::{Batch, StoreError};

impl Oidc {
    /// Adds a code to `batch` and returns it; it is good once the batch is on disk.
    pub(super) fn stage_code(
        &self,
        batch: &mut Batch,
        request: &AuthorizationRequest,
        permission: Permission,
        now: Timestamp,
    ) -> SecretText {
        let code = SecretText::new(BASE64URL_NOPAD.encode(&self.random.bytes::<32>()));
        let row = sha256(code.expose());
        // A second use is still seen when every token of the first is over.
        let until = now.plus(super::access_token::LONGEST);
        let record = CodeRecord {
            permission,
            redirect_uri: sha256(&request.destination.redirect_uri),
            nonce: request.nonce.clone(),
            challenge: request.challenge.clone(),
            good_until: now.plus(CODE_LIFETIME),
            used_for: None,
            until,
        };
        batch.insert_new(&row, &record).expire::<CodeRecord>(&row, until);
        code
    }

    /// Finds a code; `None` if it was never given out.
    pub(super) fn find_code(&self, code: &str) -> Result<Option<Found<CodeRecord>>, StoreError> {
        let row = sha256(code);
        Ok(self.store.get::<CodeRecord>(&row)?.map(|found| (row, found)))
    }
}
