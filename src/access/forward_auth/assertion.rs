//! `Remote-Assertion`: who asks, signed, so that an app need not trust plain headers (FWD-10). A JWT (RFC 7519) for the
//! app's own origin that lives half a minute, under a key of `GET /api/v1/keys`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::Serialize;

use super::inquiry::Inquiry;
use crate::access::asker::Asker;
use crate::accounts::User;
use crate::kernel::ids::UserId;
use crate::kernel::text::GroupName;
use crate::kernel::time::Timestamp;
use crate::sessions::Factors;
use crate::sessions::tokens::Tokens;
use crate::site::Site;

/// The header.
pub(super) static REMOTE_ASSERTION: HeaderName = HeaderName::from_static("remote-assertion");

/// The `typ` of the token: no other kind of ours has it (RFC 8725 section 3.11).
const TYPE: &str = "remote-assertion+jwt";
/// For how long it is good, in seconds.
const LIFETIME: u64 = 30;
/// For how long one is handed out again, in seconds: signing takes as long as a hundred checks.
const REUSED_FOR: u64 = 15;
/// Assertions that are kept.
const KEPT: usize = 4096;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    preferred_username: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    groups: &'a [GroupName],
    amr: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    iat: u64,
    exp: u64,
}

/// Whom an assertion is about, and for which app.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    factors: Factors,
    client: Option<Box<str>>,
    app: String,
}

struct Made {
    user: Arc<User>,
    at: u64,
    keys: u64,
    header: HeaderValue,
}

/// Assertions that were just made.
pub(in crate::access) struct Assertions(quick_cache::sync::Cache<Key, Arc<Made>>);

impl Default for Assertions {
    fn default() -> Self {
        Assertions(quick_cache::sync::Cache::new(KEPT))
    }
}

impl Assertions {
    /// Returns the assertion about `asker` for the app of `inquiry`. `None` for an app that acts for nobody, or if
    /// there is no key to sign with.
    pub(super) fn of(
        &self,
        asker: &Asker,
        inquiry: &Inquiry<'_>,
        tokens: &Tokens,
        site: &Site,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let user = asker.user.as_ref()?;
        let key = Key {
            user: user.id,
            factors: asker.factors,
            client: asker.client.clone(),
            app: inquiry.origin(),
        };
        let (now, keys) = (now.as_secs(), tokens.changes());
        let known = self.0.get(&key).filter(|made| {
            // Not one from a future that a clock was set back from, nor one by a key that is gone.
            Arc::ptr_eq(&made.user, user) && made.keys == keys && now >= made.at && now - made.at < REUSED_FOR
        });
        if let Some(known) = known {
            return Some(known.header.clone());
        }
        let claims = Claims {
            iss: &site.origin().text,
            aud: &key.app,
            sub: user.id.to_string(),
            preferred_username: user.username.as_str(),
            name: user.display_name.as_str(),
            email: user.email.as_ref().map(crate::kernel::text::Email::as_str),
            groups: &user.groups,
            amr: asker.factors.amr(),
            client_id: asker.client.as_deref(),
            iat: now,
            exp: now + LIFETIME,
        };
        let token = tokens.sign_as(TYPE, &claims).ok()?;
        let header = HeaderValue::from_str(token.expose()).ok()?;
        self.0.insert(key, Arc::new(Made { user: user.clone(), at: now, keys, header: header.clone() }));
        Some(header)
    }
}
