//! How reverse proxies ask, and how they are answered. Paths, headers, statuses and the redirect are the ones that
//! recipes for the Authelia endpoints of the same names expect; where we depart, it says so here:
//!
//! * A 200 always carries the four `Remote-*` headers, empty for an anonymous caller: a proxy that merges headers
//!   would let the client's own copies through (FWD-08). `forward_auth.empty_identity_headers`.
//! * The nginx endpoint answers 200, 401 or 403 and nothing else: nginx turns the rest into a 500.
//!   `forward_auth.nginx_statuses_only`.
//! * An `Authorization` header that is not for us is the app's own business, and the cookie decides.
//!   `forward_auth.unknown_authorization`.
//! * The old endpoint refuses two families of headers that contradict each other: one of them is the client's.
//! * Only trusted proxies and this machine are answered (FWD-03), and a doubled header of the own family is refused
//!   (FWD-04).
//!
//! [`endpoint`] are the addresses, [`inquiry`] what is asked, [`portal`] where people are sent, [`identity`] and
//! [`assertion`] what an app is told, [`answer`] the statuses, and [`check`] joins them.

mod answer;
mod assertion;
mod check;
mod endpoint;
mod identity;
mod inquiry;
mod notes;
mod portal;
#[cfg(test)]
mod tests;

pub(super) use assertion::Assertions;
pub(super) use check::admit;
pub use check::{check, check_in_time};
pub use endpoint::{Dialect, Endpoint, ForwardAuthSettings};
pub(super) use identity::Identities;
pub use inquiry::{EXT_AUTHZ, Inquiry, Question, Refusal, is_method, parse_url, read};
pub(super) use notes::{Complaints, Denials};
