//! The headers by which an app is told who asks.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::accounts::User;
use crate::http::Fields;
use crate::http::headers::WrittenHeaders;
use crate::kernel::ids::UserId;

static REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
static REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
static REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
static REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");

/// What proxies are told of users, made once for each state of a user.
pub(in crate::access) struct Identities(quick_cache::sync::Cache<UserId, Arc<Identity>>);

struct Identity {
    user: Arc<User>,
    headers: Arc<WrittenHeaders>,
}

impl Default for Identities {
    fn default() -> Self {
        Identities(quick_cache::sync::Cache::new(1024))
    }
}

impl Identities {
    /// Returns the headers of a 200 for `user`.
    pub(super) fn of(&self, user: &Arc<User>) -> Arc<WrittenHeaders> {
        // A user is replaced as a whole when anything of them changes, and one that is held here cannot make room for
        // another at the same address.
        if let Some(known) = self.0.get(&user.id).filter(|known| Arc::ptr_eq(&known.user, user)) {
            return known.headers.clone();
        }
        let headers = Arc::new(identity_headers(Some(user)));
        self.0.insert(user.id, Arc::new(Identity { user: user.clone(), headers: headers.clone() }));
        headers
    }
}

/// Returns the four headers, empty for an anonymous caller (FWD-08).
pub(super) fn identity_headers(user: Option<&User>) -> WrittenHeaders {
    let mut groups = String::new();
    for group in user.iter().flat_map(|user| user.groups.iter()) {
        if !groups.is_empty() {
            groups.push(',');
        }
        groups.push_str(group.as_str());
    }
    // UTF-8 as it is; a control character would end the header or be refused (FWD-10).
    let display_name = user.map_or("", |user| user.display_name.as_str());
    let name: String = display_name.chars().filter(|character| !character.is_control()).collect();
    let email = user.and_then(|user| user.email.as_ref()).map_or("", |email| email.as_str());
    let mut headers = Fields::default();
    for (header, text) in [
        (&REMOTE_USER, user.map_or("", |user| user.username.as_str())),
        (&REMOTE_GROUPS, &groups),
        (&REMOTE_NAME, &name),
        (&REMOTE_EMAIL, email),
    ] {
        // What cannot be a header value becomes an empty one: the header itself must never be missing.
        let value = HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""));
        headers.insert(header.clone(), value);
    }
    headers.into()
}
