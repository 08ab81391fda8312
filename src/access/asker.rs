//! Who asks by way of a reverse proxy, and what an `Authorization` header proves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::matcher::Caller;
use super::{Access, Inquiry};
use crate::accounts::User;
use crate::http::Request;
use crate::sessions::{Factors, Level, Principal};

/// Who asks: a person, a program of a person, or an app of its own. Found by a cookie or by an `Authorization` header.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The person as the directory has them now; `None` for an app that acts for nobody.
    pub user: Option<Arc<User>>,
    /// The id of the OAuth client whose access token was sent, if one was.
    pub client: Option<Box<str>>,
    /// How much was proven.
    pub level: Level,
    /// What was proven, for the `amr` claim.
    pub factors: Factors,
}

impl Asker {
    /// Returns what the access rules look at.
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            username: self.user.as_ref().map_or("", |user| user.username.as_str()),
            groups: self.user.as_ref().map_or(&[], |user| &user.groups),
            level: self.level,
            client: self.client.as_deref(),
        }
    }
}

impl From<Principal> for Asker {
    fn from(principal: Principal) -> Self {
        let level = principal.level();
        Asker { user: Some(principal.user), client: None, level, factors: principal.factors }
    }
}

/// What an `Authorization` header comes to.
#[derive(Clone, Debug)]
pub enum Credential {
    /// There is none.
    None,
    /// There is one that is not for us: a scheme that we do not know, or what the app itself gave out. The cookie
    /// decides, unless the configuration says otherwise.
    Unknown,
    /// It proves who asks.
    Caller(Asker),
    /// It is for us and wrong. Whoever may pass without a name passes all the same.
    Refused,
    /// A password would have to be hashed, and there is no room for one more. nginx takes nothing but 403 for it.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Nobody can tell without hashing a password: ask [`Programs::prove`].
    Unproven,
}

/// What an `Authorization` header comes to, in the making.
pub type Proving<'a> = Pin<Box<dyn Future<Output = Credential> + Send + 'a>>;

/// Whoever judges what programs bring in the `Authorization` header of the app's request: the room `programs`, which sees
/// this one and not the other way around.
pub trait Programs: Send + Sync {
    /// Tells at once what the credential of a proxied request comes to, if that can be told without hashing a password.
    fn identify(&self, access: &Access, request: &Request, inquiry: &Inquiry<'_>) -> Credential;

    /// Proves a credential that takes time to prove. Called only after [`Programs::identify`] returned
    /// [`Credential::Unproven`].
    fn prove<'a>(&'a self, access: &'a Access, request: &'a Request, inquiry: &'a Inquiry<'a>)
    -> Proving<'a>;
}
