//! Doorward, the sign-in appliance. `src/README.md` is the map of rooms and the list of invariants.
//!
//! The rooms are three packages, so that each can be compiled as it needs to be; here they are one again.

pub use doorward_core::{audit, config, crypto, kernel, store, words};
pub use doorward_fast::{access, accounts, http, limits, metrics, sessions, site};
pub use doorward_small::{
    admin, app, cli, import, my_account, oidc, operations, programs, routes, setup, sign_in, views,
};

pub mod front;
