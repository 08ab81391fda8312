//! The lowest rooms, as a package of their own, compiled to be small: what a check needs of them is kept in memory by those
//! above. `src/README.md` is the map of all rooms.

#[path = "../kernel/mod.rs"]
pub mod kernel;
#[path = "../words/mod.rs"]
pub mod words;

#[path = "../audit/mod.rs"]
pub mod audit;
#[path = "../config/mod.rs"]
pub mod config;
#[path = "../crypto/mod.rs"]
pub mod crypto;
#[path = "../store/mod.rs"]
pub mod store;
