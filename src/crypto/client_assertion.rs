//! stub
use crate::kernel::time::Timestamp;
use serde_json::{Map, Value};
pub struct Expected<'a> {
    pub client_id: &'a str,
    pub issuer: &'a str,
    pub audiences: &'a [&'a str],
    pub now: Timestamp,
}
pub struct Checked {
    pub jti: String,
    pub expires_at: Timestamp,
}
pub fn check(_: &Map<String, Value>, _: &Expected<'_>) -> Result<Checked, ()> {
    Err(())
}
