//! Who may open which app: ordered access rules, and the forward-auth dialects by which reverse proxies ask.
//!
//! [`rules`] says what a rule is, [`matcher`] which one decides, [`forward_auth`] how a proxy asks and is answered.
//! [`Access`] keeps the list: in the store, and compiled in memory, replaced in the same step as the commit.

pub mod api;
pub mod asker;
pub mod changes;
pub mod domain;
pub mod drafts;
pub mod edits;
mod explain;
pub mod forward_auth;
mod host_index;
pub mod matcher;
pub mod patterns;
pub mod query;
mod records;
mod renames;
pub mod rule_text;
pub mod rule_words;
pub mod rules;
mod size;
pub mod snippet;
pub mod subjects;

pub use asker::{Asker, Credential, Programs, Proving};
pub use domain::{DomainPattern, ParentDomain, validate_parent_domain};
pub use drafts::{Draft, Seen};
pub use edits::{Edit, Step};
pub use forward_auth::{Dialect, Endpoint, ForwardAuthSettings, Inquiry, Refusal};
pub use matcher::{Asked, Caller, Decision, Outcome};
pub use rules::{Policy, Rule, RuleError, RuleParts};

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::audit::{Audit, Event};
use crate::http::Problem;
use crate::sessions::Principal;
use crate::site::Site;
use crate::store::{CommitError, Store, StoreError};
use crate::words::{Said, Words, said};

use matcher::Matcher;
use records::{ListRecord, RuleRecord};

/// A list of rules with the number of its version.
#[derive(Debug, Default)]
pub struct RuleList {
    version: u64,
    matcher: Matcher,
}

impl RuleList {
    fn new(version: u64, rules: Vec<Rule>) -> Self {
        RuleList { version, matcher: Matcher::new(rules) }
    }

    /// Returns the version, which a change must name.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the rules in order.
    pub fn rules(&self) -> &[Rule] {
        self.matcher.rules()
    }
}

/// Why a change of the list was refused. Nothing was changed.
#[derive(Debug)]
pub enum ChangeError {
    /// The list is not the one that the change was made for.
    Stale,
    /// There is no rule with this number.
    NoSuchRule(usize),
    /// No draft is open.
    NoDraft,
    /// A rule or the list as a whole is not sound.
    Unsound(RuleError),
    /// The store did not take it.
    Commit(CommitError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Stale => f.write_str(Words::ENGLISH.rules_stale()),
            ChangeError::NoSuchRule(number) => f.write_str(&Words::ENGLISH.rules_no_such_rule(number)),
            ChangeError::NoDraft => f.write_str(Words::ENGLISH.rules_no_draft()),
            ChangeError::Unsound(error) => error.fmt(f),
            ChangeError::Commit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        ChangeError::Commit(error.into())
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Stale => Problem::conflict("rules_changed", Said::of(Words::rules_stale)),
            ChangeError::NoSuchRule(number) => {
                let why = said(move |t| t.rules_no_such_rule(number));
                Problem::new(http::StatusCode::NOT_FOUND, "no_such_rule", why)
            }
            ChangeError::NoDraft => {
                Problem::new(http::StatusCode::NOT_FOUND, "no_draft", Said::of(Words::rules_no_draft))
            }
            ChangeError::Unsound(error) => {
                Problem::unprocessable(error.field, "unsound_rule", error.sentence)
            }
            ChangeError::Commit(error) => error.into(),
        }
    }
}

/// A host that the rules name, and what they say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHost {
    /// The host.
    pub host: String,
    /// What happens to somebody who opens its home.
    pub outcome: Outcome,
}

/// The access rules. Cheap to clone; all clones see a change at once.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    audit: Audit,
    list: ArcSwap<RuleList>,
    desk: ArcSwap<drafts::Desk>,
    site: Site,
    complaints: forward_auth::Complaints,
    denials: forward_auth::Denials,
    identities: forward_auth::Identities,
    programs: OnceLock<Arc<dyn Programs>>,
    assertions: forward_auth::Assertions,
    settings: ForwardAuthSettings,
}

impl Access {
    /// Reads the rules of `store`. Changes and refused people go to `audit`; `site` tells where Doorward is and what
    /// it protects, `settings` how proxies are answered.
    ///
    /// # Errors
    /// If the store cannot be read, or a stored rule is not sound: it is never skipped.
    pub fn load(
        store: Store,
        audit: Audit,
        site: Site,
        settings: ForwardAuthSettings,
    ) -> Result<Access, StoreError> {
        let damaged = StoreError::Corrupt { table: "access_rule" };
        let list =
            store.get::<ListRecord>(ListRecord::ROW)?.map_or_else(ListRecord::default, |list| list.value);
        let mut rules = Vec::new();
        // One more than may be there, so that a surplus is seen.
        let found = store.scan::<RuleRecord>(&[], None, rules::MOST_RULES + 1)?;
        for (position, (row, record)) in (0_u32..).zip(found) {
            if row != position.to_be_bytes() {
                return Err(damaged);
            }
            rules.push(Rule::try_from(record.value).map_err(|_| damaged.clone())?);
        }
        if u32::try_from(rules.len()) != Ok(list.count) {
            return Err(damaged);
        }
        let list = RuleList::new(list.version, rules);
        let desk = drafts::Desk::load(&store)?;
        Ok(Access {
            shared: Arc::new(Shared {
                store,
                audit,
                list: ArcSwap::from_pointee(list),
                desk: ArcSwap::from_pointee(desk),
                site,
                complaints: forward_auth::Complaints::default(),
                denials: forward_auth::Denials::default(),
                identities: forward_auth::Identities::default(),
                programs: OnceLock::new(),
                assertions: forward_auth::Assertions::default(),
                settings,
            }),
        })
    }

    /// Returns the list as it is now.
    pub fn list(&self) -> Arc<RuleList> {
        self.shared.list.load_full()
    }

    /// Replaces all rules, if the list still has version `seen`; returns the new version. `event` (of kind
    /// [`crate::audit::Kind::RuleChanged`], with its actor) becomes part of the same commit.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn replace_all(&self, rules: Vec<Rule>, seen: u64, event: Event) -> Result<u64, ChangeError> {
        let mut batch = self.shared.store.batch();
        let list = self.write_list(&mut batch, rules, seen, event)?;
        let version = list.version;
        let shared = self.shared.clone();
        batch.after(move || shared.list.store(list));
        match self.shared.store.commit(batch).await {
            Ok(()) => Ok(version),
            Err(CommitError::Conflict) => Err(ChangeError::Stale),
            Err(error) => Err(ChangeError::Commit(error)),
        }
    }

    /// Changes one rule of the list that has version `seen`; returns the new version.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn edit(&self, edit: Edit, seen: u64, event: Event) -> Result<u64, ChangeError> {
        let list = self.list_at(seen)?;
        let (rules, rule) = edit.apply(list.rules())?;
        if rules == list.rules() {
            return Ok(seen);
        }
        self.replace_all(rules, seen, event.on(&rule)).await
    }

    /// Returns the list if it has the version that a change was made for: a number means nothing in another one.
    fn list_at(&self, seen: u64) -> Result<Arc<RuleList>, ChangeError> {
        let list = self.list();
        if list.version() == seen { Ok(list) } else { Err(ChangeError::Stale) }
    }

    /// Decides what happens to the request behind `inquiry`, which comes from `address`, if that is known, asked by
    /// `caller`.
    pub fn decide(
        &self,
        inquiry: &Inquiry<'_>,
        address: Option<IpAddr>,
        caller: Option<Caller<'_>>,
    ) -> Decision {
        self.shared.list.load().matcher.decide(asked(inquiry, address), caller)
    }

    /// Tells whether a password is read for the request behind `inquiry` at all, whoever sent it: whether one of the rules
    /// that may come to decide it says so. Does not look at the name, so that the answer tells nothing about it (ENU-01).
    pub fn may_read_basic(&self, inquiry: &Inquiry<'_>, address: Option<IpAddr>) -> bool {
        self.shared.list.load().matcher.may_read_basic(asked(inquiry, address))
    }

    /// Lets programs pass with credentials of their own from now on. Once, at the start; without it every `Authorization`
    /// header is unknown.
    pub fn attend_programs(&self, programs: Arc<dyn Programs>) {
        // A second call changes nothing.
        let _ = self.shared.programs.set(programs);
    }

    /// Returns what the rules say to `caller`, who comes from `address`, about each host that they name outright or by the
    /// caller's username; in the order of the rules, each once. What they leave to a default is not in the list.
    pub fn named_hosts(&self, caller: &Principal, address: Option<IpAddr>) -> Vec<NamedHost> {
        let list = self.shared.list.load();
        let who = Caller::person(caller);
        let own = |domain: &DomainPattern| match domain {
            DomainPattern::Exact(host) => Some(host.to_string()),
            DomainPattern::OfUser(parent) => Some(format!("{}.{parent}", who.username)),
            DomainPattern::Below(_) | DomainPattern::OfGroup(_) => None,
        };
        let judge = |host: String| {
            let asked = Asked { host: &host, path: Some("/"), query: None, method: Some("GET"), address };
            let outcome = list.matcher.decide(asked, Some(who)).outcome;
            NamedHost { host, outcome }
        };
        let mut seen = HashSet::new();
        let named = list.rules().iter().flat_map(Rule::domains).filter_map(own);
        named
            .filter(|host| seen.insert(host.clone()) && self.shared.site.is_protected_host(host))
            .map(judge)
            .collect()
    }

    /// Decides a return address of the sign-in pages (`rd` and `rm`) for a browser at `address`: whether signing in at a
    /// higher level is needed to open it. `None` if the address is no page of a protected app, so that it must not be returned to (WEB-11).
    pub fn decide_return(
        &self,
        url: &str,
        method: Option<&str>,
        address: Option<IpAddr>,
        caller: Option<&Principal>,
    ) -> Option<Decision> {
        let inquiry = forward_auth::parse_url(url, method.unwrap_or("GET")).ok()?;
        forward_auth::admit(&inquiry, &self.shared.site).ok()?;
        Some(self.decide(&inquiry, address, caller.map(Caller::person)))
    }
}

fn asked<'a>(inquiry: &'a Inquiry<'_>, address: Option<IpAddr>) -> Asked<'a> {
    Asked {
        host: &inquiry.host,
        path: inquiry.path.as_deref().ok(),
        query: inquiry.query(),
        method: inquiry.method,
        address,
    }
}

#[cfg(test)]
mod tests;
