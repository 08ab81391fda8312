//! The HTTP edge: one server loop with limits, request and response types, cookies, CSRF, client addresses, problem
//! documents and the headers that no response can leave without. Knows nothing of accounts or sessions.
//!
//! The way in: bytes come by `socket` into a `buffer`, `wire` lets only sound heads through (`head`) and keeps their fields
//! (`request_headers`), and `arrival` makes a request of a head, resolves the client and asks the [`Handler`] whether it can
//! answer at once. If so, `wire` writes that `answer`. If not, hyper frames body and answer: `connection` reads the body
//! within the route's limits and lets the handler take its time. Either way the headers of an answer are those that
//! `headers` says, and `wire` writes them. What this program asks of others goes through `outgoing` alone.

pub mod address;
mod answer;
mod arrival;
mod buffer;
mod byte_set;
mod connection;
pub mod cookies;
pub mod copies;
pub mod csrf;
mod destinations;
mod fields;
pub mod form;
mod head;
pub mod headers;
pub mod json;
pub mod multipart;
pub mod outgoing;
pub mod path;
pub mod problem;
pub mod rate;
pub mod redirect;
pub mod reply;
pub mod request;
pub mod request_headers;
pub mod server;
mod socket;
mod store_errors;
mod wire;

pub use address::{Client, TrustedProxies};
pub use cookies::SetCookie;
pub use fields::Fields;
pub use form::Form;
pub use problem::Problem;
pub use reply::Reply;
pub use request::{Ambiguous, Request};
pub use request_headers::RequestHeaders;
pub use server::{Answering, Handler, RouteId, RouteLimits, ServerSettings, serve};
