//! The HTTP surface as one table: method, path, who may call, body limit, rate rule, handler. `front` answers by it.
//!
//! The kind of handler names the guard: a handler that takes a [`Principal`] cannot be reached without one (GEN-06).

mod between;
mod kinds;
mod preferences;
mod table;

use std::future::Future;
use std::pin::Pin;

use http::Method;

use crate::access::forward_auth::Endpoint;
use crate::app::App;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;

pub use kinds::BODY;
pub use table::ROUTES;

/// The answer of a handler, to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;

/// Who may call, and what is called.
#[derive(Clone, Copy)]
pub enum Action {
    /// Anyone; identity plays no part.
    Open(for<'a> fn(&'a App, &'a Request) -> Answer<'a>),
    /// Anyone; a signed-in browser is recognised.
    Maybe(for<'a> fn(&'a App, &'a Request, Option<&'a Principal>) -> Answer<'a>),
    /// A signed-in browser.
    Browser(for<'a> fn(&'a App, &'a Request, &'a Principal) -> Answer<'a>),
    /// A signed-in browser or a bearer token, never both (WEB-05).
    User(for<'a> fn(&'a App, &'a Request, &'a Principal) -> Answer<'a>),
    /// As `User`, for what is answered from memory without waiting for anything.
    Glance(for<'a> fn(&'a App, &'a Request, &'a Principal) -> Result<Reply, Problem>),
    /// An administrator's browser.
    AdminBrowser(for<'a> fn(&'a App, &'a Request, &'a Principal) -> Answer<'a>),
    /// An administrator's browser or bearer token.
    Admin(for<'a> fn(&'a App, &'a Request, &'a Principal) -> Answer<'a>),
    /// Anyone, for a document that is answered from memory without waiting for anything.
    Document(for<'a> fn(&'a App, &'a Request) -> Result<Reply, Problem>),
    /// A reverse proxy that asks for a decision.
    Proxy(Endpoint),
}

/// Which client a route is made for; decides how refusals look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// People: pages, redirects to the sign-in.
    Page,
    /// Programs: JSON problems.
    Api,
    /// OAuth clients: errors of RFC 6749.
    OAuth,
}

/// How requests of a route are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Not here: the use-case counts, or it is cheap.
    None,
    /// By bearer session, or by address when anonymous. The UI's own calls have a rule of their own.
    Api,
}

/// What a request that changes something must prove about where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing: no cookie plays a part.
    None,
    /// That it was sent by our own pages; there is no session yet (login CSRF, SES-13).
    Origin,
    /// That, and the token of its session, if it came with a cookie (WEB-01).
    Session,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Route {
    /// The method; HEAD is answered like GET.
    pub method: Method2,
    /// The path, with `{name}` segments.
    pub path: &'static str,
    /// Guard and handler.
    pub action: Action,
    /// For people or for programs.
    pub face: Face,
    /// The largest body in bytes.
    pub body: usize,
    /// The rate rule.
    pub rate: Rate,
    /// The CSRF rule.
    pub forgery: Forgery,
    /// Whether it is answered over plain HTTP from other machines (SES-06): nothing that signs anybody in, shows
    /// anything of them or takes a secret is.
    pub is_plain_http_fine: bool,
    /// Whether it takes a file, which is read only from those who may send one.
    pub is_upload: bool,
    /// Whether its requests take turns, so that a flood of sign-ins leaves room for everything else (RES-02).
    pub is_in_turn: bool,
}

/// The methods that routes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the methods of RFC 9110 section 9")]
pub enum Method2 {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Every method that has no row of its own.
    Any,
}

impl Method2 {
    /// How many there are.
    pub const COUNT: usize = 7;

    /// Takes the method of a request; `None` for one that no row names.
    pub fn of(method: &Method) -> Option<Method2> {
        match *method {
            Method::GET | Method::HEAD => Some(Method2::Get),
            Method::POST => Some(Method2::Post),
            Method::PUT => Some(Method2::Put),
            Method::PATCH => Some(Method2::Patch),
            Method::DELETE => Some(Method2::Delete),
            Method::OPTIONS => Some(Method2::Options),
            _ => None,
        }
    }

    /// Returns the method as it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method2::Get => "GET",
            Method2::Post => "POST",
            Method2::Put => "PUT",
            Method2::Patch => "PATCH",
            Method2::Delete => "DELETE",
            Method2::Options => "OPTIONS",
            Method2::Any => "ANY",
        }
    }
}
