//! Cryptography: every primitive the other rooms use, with the parameters already chosen.
//!
//! Nothing here knows users, requests or the store. Randomness and time come in as arguments; ring alone, which signs
//! with RSA and on P-256 in [`signing`] and agrees on keys in [`jwe`], asks the operating system itself. Only
//! [`key_file`] touches the disk and only [`password`] owns threads.

pub mod client_assertion;
pub mod client_jws;
pub mod crockford;
pub mod dpop;
pub mod foreign;
pub mod jwe;
pub mod jwk;
pub mod jws;
pub mod key_file;
pub mod key_ring;
pub mod keys;
pub mod mac;
pub mod password;
pub mod password_policy;
pub mod public_jwk;
pub mod recovery_code;
pub mod replay;
pub mod sealed;
pub mod signing;
pub mod totp;
pub mod webauthn;

mod argon;
mod compact;
mod der;
mod p256;
mod pem;
mod private_key_file;
mod rsa_key;
mod strict_json;
