//! The pages: one plain struct per page, filled by a handler, rendered by a template of `web/templates`.
//!
//! This room knows strings, numbers and rows; it knows nothing of users, sessions or rules. A handler fills a
//! struct; the template escapes everything, and nothing in it needs JavaScript. The few
//! values that reach a page unescaped have a type of their own ([`Svg`]) that only this room can make.
//!
//! Every form posts the hidden field `csrf` ([`Frame::csrf`]); the doc comment of each page lists its forms:
//! method, path and field names.

pub mod account;
pub mod admin;
pub mod apps;
pub mod assets;
pub mod audit;
pub mod chart;
pub mod doctor;
pub mod domains;
pub mod errors;
mod frame;
pub mod home;
mod navigation;
pub mod oidc;
mod parts;
pub mod people;
mod pieces;
pub mod qr;
pub mod scopes;
pub mod setup;
pub mod sign_in;
pub mod system;

#[cfg(test)]
mod language_tests;
#[cfg(test)]
#[path = "../../tests/e2e/samples.rs"]
mod samples;
#[cfg(test)]
mod tests;

pub use crate::words;
pub use askama::Template;
pub use frame::{Frame, Kind, Notice, Theme, Viewer};
pub use parts::{
    Badge, Check, CheckState, Choice, Event, Fact, FieldErrors, Goal, Hidden, OneTimeLink, Pager, SessionRow,
    Svg, Wait, When, initials,
};
