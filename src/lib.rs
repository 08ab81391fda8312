//! Doorward, the sign-in appliance. `src/README.md` is the map of rooms and the list of invariants.

pub use doorward_core::{
    accounts, audit, config, crypto, http, kernel, limits, metrics, sessions, site, store, words,
};

pub mod views;

pub mod access;
pub mod admin;
pub mod import;
pub mod my_account;
pub mod oidc;
pub mod operations;
pub mod setup;
pub mod sign_in;

pub mod app;
pub mod cli;
pub mod routes;
