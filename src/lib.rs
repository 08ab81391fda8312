//! Doorward, the sign-in appliance. `src/README.md` is the map of rooms and the list of invariants.

pub mod kernel;
pub mod words;

pub mod config;
pub mod crypto;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod site;
pub mod store;
pub mod views;

pub mod access;
pub mod accounts;
pub mod admin;
pub mod audit;
pub mod import;
pub mod my_account;
pub mod oidc;
pub mod operations;
pub mod sessions;
pub mod setup;
pub mod sign_in;

pub mod app;
pub mod cli;
pub mod routes;
