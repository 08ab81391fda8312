//! Cryptography: every primitive the other rooms use, with the parameters already chosen.
//!
//! Nothing here knows users, requests or the store. Randomness and time come in as arguments. Only
//! [`key_file`] touches the disk and only [`password`] owns threads.

pub mod crockford;
pub mod jws;
pub mod key_file;
pub mod key_ring;
pub mod keys;
pub mod mac;
pub mod password;
pub mod password_policy;
pub mod recovery_code;
pub mod sealed;
pub mod totp;

mod argon;
mod strict_json;
