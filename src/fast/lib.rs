//! The rooms that every request passes, as a package of their own, compiled to be fast. `src/README.md` is the map of all
//! rooms.

pub use doorward_core::{audit, config, crypto, kernel, store, words};

#[path = "../http/mod.rs"]
pub mod http;
#[path = "../limits/mod.rs"]
pub mod limits;
#[path = "../metrics/mod.rs"]
pub mod metrics;
#[path = "../site/mod.rs"]
pub mod site;

#[path = "../access/mod.rs"]
pub mod access;
#[path = "../accounts/mod.rs"]
pub mod accounts;
#[path = "../sessions/mod.rs"]
pub mod sessions;
