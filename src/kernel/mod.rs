//! Foundations of the foundations: time, randomness, identifiers, text types and secrets.
//!
//! Nothing here does I/O. Time and randomness are values that are passed in (`Clock`, `Random`), so a test owns
//! them; text types can only be made by parsing, so a handler cannot forget a rule.

pub mod ids;
pub mod near;
pub mod random;
pub mod secret;
pub mod text;
pub mod time;
pub mod when;
