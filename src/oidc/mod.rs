//! The OpenID Connect provider.
//!
//! [`presets`] says what well-known apps need of a client.

pub mod presets;
