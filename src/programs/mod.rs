//! Programs behind forward-auth: what they bring in the `Authorization` header of the app's request, and whom it speaks
//! for.
//!
//! * An **app token**, as bearer or as the password of `Basic`: wherever its owner and its hosts allow.
//! * The **password** of an account in `Basic`: only where the rule that decides says so, and never for an account that a
//!   password alone does not open.
//! * An **access token** of an OAuth client whose audience is the app and whose scope says so.
//!
//! Everything else is the business of the app, and the cookie decides. What is recognisably for us and wrong is refused.
//! All but a password that was not judged lately is answered from memory, without waiting.

pub mod api;
pub mod app_tokens;
pub mod header;
pub mod pages;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use crate::access::domain::is_below;
use crate::access::{Access, Asker, Caller, Credential, Inquiry, Programs, Proving};
use crate::accounts::User;
use crate::http::Request;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::sessions::{Factors, Level};
use crate::sign_in::{ProgramRefusal, SignIn, Visit};

use header::Authorization;
use verified::{State, Tag, Verified};

/// The scopes that let an access token open apps: our own, and the one that Authelia made known.
pub const SCOPES: [&str; 2] = ["doorward.forward_auth", "authelia.bearer.authz"];

/// How long a password may take, with all its turns. Our files for nginx let it wait for five seconds, and it makes a 500
/// of an answer that comes later.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whoever issues access tokens to OAuth clients.
pub trait Bearers: Send + Sync {
    /// Tells whom an access token speaks for at the app whose origin is `origin`, such as `https://photos.home.example`:
    /// [`Credential::Caller`], [`Credential::Refused`] for one of our own that does not open it, and
    /// [`Credential::Unknown`] for all that is none of ours. Must not wait.
    fn identify(&self, token: &str, origin: &str, now: Timestamp) -> Credential;
}

/// What proves programs. [`Access::attend_programs`] takes it.
pub struct Judge {
    sign_in: SignIn,
    bearers: Arc<dyn Bearers>,
    verified: Verified,
}

impl Judge {
    /// Joins what knows passwords and app tokens with what knows access tokens.
    pub fn new(sign_in: SignIn, bearers: Arc<dyn Bearers>) -> Self {
        let verified = Verified::new(&sign_in.random);
        Judge { sign_in, bearers, verified }
    }
}

impl Programs for Judge {
    fn identify(&self, access: &Access, request: &Request, inquiry: &Inquiry<'_>) -> Credential {
        match header::read(&request.headers) {
            Authorization::None => Credential::None,
            Authorization::Unknown => Credential::Unknown,
            Authorization::AppToken { token, name } => self.by_app_token(request, inquiry, &token, &name),
            Authorization::Bearer(token) => self.bearers.identify(token, &inquiry.origin(), request.now),
            Authorization::NoPassword if reads_basic(access, request, inquiry) => Credential::Refused,
            Authorization::NoPassword => Credential::Unknown,
            Authorization::Password { .. } if !reads_basic(access, request, inquiry) => Credential::Unknown,
            Authorization::Password { name, password } => {
                let tag = self.verified.tag(&name, &password);
                match self.known(request, &name, &tag) {
                    Some(Known::Right(user)) => as_password(access, request, inquiry, user),
                    Some(Known::Wrong) => Credential::Refused,
                    None => Credential::Unproven,
                }
            }
        }
    }

    fn prove<'a>(
        &'a self,
        access: &'a Access,
        request: &'a Request,
        inquiry: &'a Inquiry<'a>,
    ) -> Proving<'a> {
        Box::pin(async move {
            // What waited for its turn may be known by now.
            let credential = self.identify(access, request, inquiry);
            if !matches!(credential, Credential::Unproven) {
                return credential;
            }
            let Authorization::Password { name, password } = header::read(&request.headers) else {
                return Credential::Refused;
            };
            let tag = self.verified.tag(&name, &password);
            match self.judge(request, &name, &password, tag).await {
                Ok(user) => as_password(access, request, inquiry, user),
                Err(ProgramRefusal::Busy { retry_after }) => Credential::Busy { retry_after },
                Err(ProgramRefusal::Wrong | ProgramRefusal::NotNow) => Credential::Refused,
            }
        })
    }
}

enum Known {
    Right(Arc<User>),
    Wrong,
}

/// Tells whether a password is read for this request at all, whoever sent it.
fn reads_basic(access: &Access, request: &Request, inquiry: &Inquiry<'_>) -> bool {
    access.may_read_basic(inquiry, request.client.forwarded)
}

/// Returns the person whose password was right, if the rule that decides for them reads passwords. If another rule does, the
/// header was for the app.
fn as_password(access: &Access, request: &Request, inquiry: &Inquiry<'_>, user: Arc<User>) -> Credential {
    let caller = Caller {
        username: user.username.as_str(),
        groups: &user.groups,
        level: Level::OneFactor,
        client: None,
    };
    if !access.decide(inquiry, request.client.forwarded, Some(caller)).allows_basic {
        return Credential::Unknown;
    }
    Credential::Caller(Asker {
        user: Some(user),
        client: None,
        level: Level::OneFactor,
        factors: Factors::PASSWORD,
    })
}

fn visit(request: &Request) -> Visit<'_> {
    let label = request.headers.text(http::header::USER_AGENT);
    let (ip, label) = (request.client.ip, label.unwrap_or("unknown"));
    // Known devices are known by a cookie of ours, which no app gets to see.
    Visit { ip, request: request.id, label, device: None, session: None, can_tell: false }
}

/// Tells whether one of `patterns`, each `host` or `*.parent`, names `host`; none at all names every host.
fn opens(patterns: &[Box<str>], host: &str) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => is_below(host, parent),
            None => **pattern == *host,
        })
}

impl Judge {
    fn by_app_token(
        &self,
        request: &Request,
        inquiry: &Inquiry<'_>,
        token: &SecretText,
        name: &str,
    ) -> Credential {
        let is_open = |hosts: &[Box<str>]| opens(hosts, &inquiry.host);
        let found = self.sign_in.sessions.identify_app_token(token.expose(), request.now, is_open);
        let Some(found) = found else { return Credential::Refused };
        let user = found.user;
        let is_named = name.is_empty() || name.eq_ignore_ascii_case(user.username.as_str());
        if !is_named || self.sign_in.is_suspended_here(&user, &visit(request)) {
            return Credential::Refused;
        }
        let factors = found.token.factors;
        Credential::Caller(Asker { user: Some(user), client: None, level: factors.level(), factors })
    }

    /// Returns what is known of a name and a password without hashing.
    fn known(&self, request: &Request, name: &str, tag: &Tag) -> Option<Known> {
        let sign_in = &self.sign_in;
        if let Some(state) = self.verified.right(tag, sign_in.clock.monotonic()) {
            let user = sign_in.accounts.user(&state.user).filter(|user| State::of(user) == state);
            if let Some(user) = user.filter(|user| sign_in.password_suffices(user)) {
                // A suspension holds for whoever knows the password too (LIM-06).
                let is_suspended = sign_in.is_suspended_here(&user, &visit(request));
                return Some(if is_suspended { Known::Wrong } else { Known::Right(user) });
            }
            self.verified.forget(tag);
            return None;
        }
        let state = self.verified.wrong(tag)?;
        let now = sign_in.accounts.resolve(name).ok()?;
        if now.as_deref().map(State::of) == state {
            return Some(Known::Wrong);
        }
        self.verified.forget(tag);
        None
    }

    async fn judge(
        &self,
        request: &Request,
        name: &str,
        password: &SecretText,
        tag: Tag,
    ) -> Result<Arc<User>, ProgramRefusal> {
        let sign_in = &self.sign_in;
        let busy = |_| ProgramRefusal::Busy { retry_after: PATIENCE };
        let before = sign_in.accounts.resolve(name).map_err(busy)?.as_deref().map(State::of);
        let visit = visit(request);
        let judging = sign_in.prove_program(name, password, &visit);
        let too_long = || Err(ProgramRefusal::Busy { retry_after: PATIENCE });
        let judged = tokio::time::timeout(PATIENCE, judging).await.unwrap_or_else(|_| too_long());
        match &judged {
            Ok(user) => self.verified.put_right(tag, State::of(user), sign_in.clock.monotonic()),
            Err(ProgramRefusal::Wrong) => self.verified.put_wrong(tag, before),
            Err(ProgramRefusal::NotNow | ProgramRefusal::Busy { .. }) => {}
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::matcher::{Asked, Matcher};
    use crate::access::{Rule, RuleParts};
    use crate::kernel::text::GroupName;

    /// Every list of up to three rules, every person and address: where a rule that reads passwords decides for anybody,
    /// passwords are read; and where no list of rules could let that happen, they are not.
    #[test]
    fn passwords_are_read_wherever_a_rule_for_somebody_says_so() {
        let host = json!(["a.home.example"]);
        let pool: Vec<Rule> = [
            json!({"domains": host, "policy": "bypass", "path": "^/open/"}),
            json!({"domains": host, "policy": "deny", "groups": ["robots"]}),
            json!({"domains": host, "policy": "one_factor", "groups": ["robots"], "programs": ["basic"]}),
            json!({"domains": host, "policy": "one_factor", "users": ["ada"], "path": "^/dav/", "programs": ["basic"]}),
            json!({"domains": ["*.home.example"], "policy": "one_factor", "methods": ["PUT"], "programs": ["basic"]}),
            json!({"domains": ["*.home.example"], "policy": "one_factor"}),
            json!({"domains": host, "policy": "two_factor", "groups": ["family"]}),
            json!({"domains": host, "policy": "bypass"}),
        ]
        .into_iter()
        .map(|parts| Rule::build(&serde_json::from_value::<RuleParts>(parts).unwrap()).unwrap())
        .collect();
        let group = |name: &str| vec![GroupName::parse(name).unwrap()];
        let people = [("ada", group("family")), ("robot", group("robots")), ("eve", Vec::new())];
        let mut unread = 0;
        let numbers = || 0..=pool.len();
        for (first, second, third) in numbers().flat_map(|first| {
            numbers().flat_map(move |second| numbers().map(move |third| (first, second, third)))
        }) {
            let rules: Vec<Rule> =
                [first, second, third].iter().filter_map(|index| pool.get(*index).cloned()).collect();
            let matcher = Matcher::new(rules.clone());
            for (path, method) in
                [("/", "GET"), ("/", "PUT"), ("/dav/x", "GET"), ("/open/x", "PUT")].map(|(p, m)| (Some(p), m))
            {
                let address = Some(std::net::IpAddr::from([192, 0, 2, 1]));
                let asked =
                    Asked { host: "a.home.example", path, query: None, method: Some(method), address };
                let for_somebody = people.iter().any(|(username, groups)| {
                    let caller = Caller { username, groups, level: Level::OneFactor, client: None };
                    matcher.decide(asked, Some(caller)).allows_basic
                });
                let is_read = matcher.may_read_basic(asked);
                assert!(is_read || !for_somebody, "{rules:?} {asked:?}");
                unread += usize::from(!is_read);
            }
        }
        assert!(unread > 1000, "{unread}");
        let alone = |index: usize| Matcher::new(pool.get(index).cloned().into_iter().collect());
        let asked = |path, method| Asked {
            host: "a.home.example",
            path: Some(path),
            query: None,
            method: Some(method),
            address: Some(std::net::IpAddr::from([192, 0, 2, 1])),
        };
        assert!(alone(3).may_read_basic(asked("/dav/x", "GET")));
        assert!(!alone(3).may_read_basic(asked("/", "GET")));
        assert!(!alone(4).may_read_basic(asked("/", "GET")));
        assert!(!alone(5).may_read_basic(asked("/", "GET")));
    }

    #[test]
    fn an_app_token_opens_its_hosts_and_no_neighbours() {
        let patterns: Vec<Box<str>> = vec!["photos.home.example".into(), "*.dav.home.example".into()];
        for host in ["photos.home.example", "a.dav.home.example", "a.b.dav.home.example"] {
            assert!(opens(&patterns, host), "{host}");
            assert!(opens(&[], host), "{host}");
        }
        for host in ["home.example", "x.photos.home.example", "dav.home.example", "evildav.home.example"] {
            assert!(!opens(&patterns, host), "{host}");
        }
    }
}
