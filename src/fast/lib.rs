//! The rooms that every request passes, as a package of their own, compiled to be fast. `src/README.md` is the map of all
//! rooms.

#[path = "../kernel/mod.rs"]
pub mod kernel;
#[path = "../words/mod.rs"]
pub mod words;

#[path = "../config/mod.rs"]
pub mod config;
#[path = "../crypto/mod.rs"]
pub mod crypto;
#[path = "../http/mod.rs"]
pub mod http;
#[path = "../limits/mod.rs"]
pub mod limits;
#[path = "../metrics/mod.rs"]
pub mod metrics;
#[path = "../site/mod.rs"]
pub mod site;
#[path = "../store/mod.rs"]
pub mod store;

#[path = "../access/mod.rs"]
pub mod access;
#[path = "../accounts/mod.rs"]
pub mod accounts;
#[path = "../audit/mod.rs"]
pub mod audit;
#[path = "../sessions/mod.rs"]
pub mod sessions;
