//! Browser sessions, refresh token families, access tokens and revocation; and the one function that decides who a
//! caller is ([`Sessions::identify_cookie`] and [`Sessions::identify_bearer`] meet in `Sessions::admit`, GEN-01).

pub mod principal;
pub mod records;

pub use principal::{Factors, Level, Principal};
