//! stub
use crate::kernel::time::Timestamp;
use std::time::Duration;
pub struct ExpectedProof<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub access_token: Option<&'a str>,
    pub now: Timestamp,
    pub max_age: Duration,
    pub max_ahead: Duration,
    pub nonce: Option<&'a str>,
}
pub struct Proof {
    pub jkt: String,
    pub jti: String,
    pub iat: Timestamp,
    pub nonce: Option<String>,
}
pub fn verify_proof(_: &str, _: &ExpectedProof<'_>) -> Result<Proof, String> {
    Err("stub".into())
}
