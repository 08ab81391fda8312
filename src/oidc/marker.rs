//! The mark that a request carries through the sign-in page: "at this moment I asked for a fresh proof". It belongs to
//! one request and cannot be made by anybody else, so nobody can pretend to have been asked earlier (OA-14).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::Oidc;
use super::params::Params;
use crate::crypto::mac::hmac_sha256;
use crate::kernel::secret::ct_eq;
use crate::kernel::time::Timestamp;

/// The parameter. No client may send it.
pub(super) const NAME: &str = "doorward_asked_at";
/// How long somebody may take to sign in.
const LIFETIME: Duration = Duration::from_secs(3600);

impl Oidc {
    /// Makes the mark of a request.
    pub(super) fn mark(&self, params: &Params, now: Timestamp) -> String {
        format!("{}.{}", now.as_millis(), BASE64URL_NOPAD.encode(&self.mark_mac(params, now)))
    }

    /// Reads the mark of a request: when it first asked for a fresh proof.
    pub(super) fn asked_at(&self, params: &Params, now: Timestamp) -> Option<Timestamp> {
        let (millis, mac) = params.once(NAME)?.split_once('.')?;
        let asked = Timestamp::from_millis(millis.parse().ok()?);
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        let is_recent = asked <= now && now.since(asked) < LIFETIME;
        (is_recent && ct_eq(&mac, &self.mark_mac(params, asked))).then_some(asked)
    }

    fn mark_mac(&self, params: &Params, asked: Timestamp) -> [u8; 32] {
        let millis = asked.as_millis().to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&millis];
        for (name, value) in params.pairs().filter(|(name, _)| *name != NAME) {
            parts.push(name.as_bytes());
            parts.push(value.as_bytes());
        }
        hmac_sha256(self.marker_key.expose(), &parts)
    }
}
