//! The HTTP edge: one server loop with limits, request and response types, cookies, CSRF, client addresses, problem
//! documents and the headers that no response can leave without. Knows nothing of accounts or sessions.

pub mod problem;
pub mod reply;
pub mod request;

pub use problem::Problem;
pub use reply::Reply;
pub use request::Request;
