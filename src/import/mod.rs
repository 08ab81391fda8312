//! Moving here from another sign-in server.
//!
//! Readers ([`authelia`], [`pocket_id`], [`tinyauth`]) turn files into [`Found`], purely; [`carry`] checks what was found
//! against what is here, tells what it would do, and does it. Nothing that is here already is ever changed.

pub mod authelia;
pub mod carry;
pub mod found;
pub mod pocket_id;
pub mod report;
pub mod tinyauth;
pub mod yaml;

pub use found::Found;
pub use report::{Line, Outcome, Report};

/// A file as it was read, with the name that reports call it by.
pub struct SourceFile {
    /// The name, without folders.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The largest file that is read.
pub const LARGEST_FILE: u64 = 8 * 1024 * 1024;
/// The most files of a folder that are read.
pub const MOST_FILES: usize = 64;
/// The most people, apps and rules of one move.
pub const MOST_USERS: usize = 20_000;
/// The most apps.
pub const MOST_CLIENTS: usize = 1000;
