//! The rooms that few requests pass, as a package of their own, compiled to be small. `src/README.md` is the map of all
//! rooms.

pub use doorward_core::{audit, config, crypto, kernel, store, words};
pub use doorward_fast::{access, accounts, http, limits, metrics, sessions, site};

#[path = "../views/mod.rs"]
pub mod views;

#[path = "../admin/mod.rs"]
pub mod admin;
#[path = "../import/mod.rs"]
pub mod import;
#[path = "../my_account/mod.rs"]
pub mod my_account;
#[path = "../oidc/mod.rs"]
pub mod oidc;
#[path = "../operations/mod.rs"]
pub mod operations;
#[path = "../programs/mod.rs"]
pub mod programs;
#[path = "../setup/mod.rs"]
pub mod setup;
#[path = "../sign_in/mod.rs"]
pub mod sign_in;

#[path = "../app.rs"]
pub mod app;
#[path = "../cli/mod.rs"]
pub mod cli;
#[path = "../routes/mod.rs"]
pub mod routes;
