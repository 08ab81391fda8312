//! Who may open which app: ordered access rules, and the forward-auth dialects by which reverse proxies ask.
//!
//! [`rules`] says what a rule is, [`matcher`] which one decides, [`forward_auth`] how a proxy asks and is answered.
//! [`Access`] keeps the list: in the store, and compiled in memory, replaced in the same step as the commit.

pub mod api;
pub mod asker;
pub mod domain;
pub mod forward_auth;
mod host_index;
pub mod matcher;
pub mod patterns;
pub mod programs;
pub mod query;
mod records;
pub mod rule_text;
pub mod rules;
pub mod snippet;
pub mod subjects;

pub use asker::{Asker, Credential};
pub use domain::{DomainPattern, ParentDomain, validate_parent_domain};
pub use forward_auth::{Dialect, Endpoint, ForwardAuthSettings, Inquiry, Refusal};
pub use matcher::{Asked, Caller, Decision, Outcome};
pub use rules::{Policy, Rule, RuleError, RuleParts};

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::audit::{Audit, Event};
use crate::http::Problem;
use crate::sessions::Principal;
use crate::site::Site;
use crate::store::{CommitError, Store, StoreError};

use matcher::Matcher;
use records::{ListRecord, RuleRecord};

/// A list of rules with the number of its version.
#[derive(Debug, Default)]
pub struct RuleList {
    version: u64,
    matcher: Matcher,
}

impl RuleList {
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
    /// A rule or the list as a whole is not sound.
    Unsound(RuleError),
    /// The store did not take it.
    Commit(CommitError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Stale => {
                f.write_str("Someone else changed the rules meanwhile. Look at them again first.")
            }
            ChangeError::NoSuchRule(number) => write!(f, "There is no rule {number}."),
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
            ChangeError::Stale => Problem::conflict("rules_changed", error.to_string()),
            ChangeError::NoSuchRule(_) => {
                Problem::new(http::StatusCode::NOT_FOUND, "no_such_rule", error.to_string())
            }
            ChangeError::Unsound(error) => {
                Problem::unprocessable(error.field, "unsound_rule", error.sentence)
            }
            ChangeError::Commit(error) => error.into(),
        }
    }
}

/// In which direction a rule moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One place towards the start.
    Up,
    /// One place towards the end.
    Down,
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
    site: Site,
    complaints: forward_auth::Complaints,
    denials: forward_auth::Denials,
    identities: forward_auth::Identities,
    programs: OnceLock<programs::Programs>,
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
        let list = RuleList { version: list.version, matcher: Matcher::new(rules) };
        Ok(Access {
            shared: Arc::new(Shared {
                store,
                audit,
                list: ArcSwap::from_pointee(list),
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
        rules::check_size(&rules).map_err(ChangeError::Unsound)?;
        let store = &self.shared.store;
        let stored = store.get::<ListRecord>(ListRecord::ROW)?;
        let old = stored.as_ref().map_or_else(ListRecord::default, |list| list.value);
        if old.version != seen {
            return Err(ChangeError::Stale);
        }
        let count = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let new = ListRecord { version: seen.saturating_add(1), count };
        let mut batch = store.batch();
        match &stored {
            Some(stored) => batch.replace(ListRecord::ROW, stored, &new),
            None => batch.insert_new(ListRecord::ROW, &new),
        };
        for (position, rule) in (0_u32..).zip(&rules) {
            batch.put(&position.to_be_bytes(), &RuleRecord::from(rule));
        }
        for position in count..old.count {
            batch.remove::<RuleRecord>(&position.to_be_bytes());
        }
        self.shared.audit.write(&mut batch, event.detail("rules", count).detail("version", new.version));
        let list = Arc::new(RuleList { version: new.version, matcher: Matcher::new(rules) });
        let shared = self.shared.clone();
        batch.after(move || shared.list.store(list));
        match store.commit(batch).await {
            Ok(()) => Ok(new.version),
            Err(CommitError::Conflict) => Err(ChangeError::Stale),
            Err(error) => Err(ChangeError::Commit(error)),
        }
    }

    /// Adds a rule before rule `number` (from 1), or at the end.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn add(
        &self,
        rule: Rule,
        number: Option<usize>,
        seen: u64,
        event: Event,
    ) -> Result<u64, ChangeError> {
        let list = self.list_at(seen)?;
        let mut rules = list.rules().to_vec();
        let index = match number {
            None => rules.len(),
            Some(number) => number
                .checked_sub(1)
                .filter(|index| *index <= rules.len())
                .ok_or(ChangeError::NoSuchRule(number))?,
        };
        let event = event.on(&rule);
        rules.insert(index, rule);
        self.replace_all(rules, seen, event).await
    }

    /// Puts another rule in the place of rule `number` (from 1).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn change(
        &self,
        number: usize,
        rule: Rule,
        seen: u64,
        event: Event,
    ) -> Result<u64, ChangeError> {
        let list = self.list_at(seen)?;
        let mut rules = list.rules().to_vec();
        let place = number.checked_sub(1).and_then(|index| rules.get_mut(index));
        let event = event.on(&rule);
        *place.ok_or(ChangeError::NoSuchRule(number))? = rule;
        self.replace_all(rules, seen, event).await
    }

    /// Removes rule `number` (from 1).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn remove(&self, number: usize, seen: u64, event: Event) -> Result<u64, ChangeError> {
        let list = self.list_at(seen)?;
        let mut rules = list.rules().to_vec();
        let index = number.checked_sub(1).filter(|index| *index < rules.len());
        let removed = rules.remove(index.ok_or(ChangeError::NoSuchRule(number))?);
        self.replace_all(rules, seen, event.on(&removed)).await
    }

    /// Moves rule `number` (from 1) by one place. At the end of the list nothing changes.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn move_by(
        &self,
        number: usize,
        step: Step,
        seen: u64,
        event: Event,
    ) -> Result<u64, ChangeError> {
        let list = self.list_at(seen)?;
        let mut rules = list.rules().to_vec();
        let index = number.checked_sub(1).filter(|index| *index < rules.len());
        let index = index.ok_or(ChangeError::NoSuchRule(number))?;
        let other = match step {
            Step::Up => index.checked_sub(1),
            Step::Down => Some(index + 1).filter(|next| *next < rules.len()),
        };
        let Some(other) = other else { return Ok(seen) };
        rules.swap(index, other);
        self.replace_all(rules, seen, event).await
    }

    /// Returns the list if it has the version that a change was made for: a number means nothing in another one.
    fn list_at(&self, seen: u64) -> Result<Arc<RuleList>, ChangeError> {
        let list = self.list();
        if list.version() == seen { Ok(list) } else { Err(ChangeError::Stale) }
    }

    /// Decides what happens to the request behind `inquiry`, which comes from `address`, asked by `caller`.
    pub fn decide(&self, inquiry: &Inquiry<'_>, address: IpAddr, caller: Option<Caller<'_>>) -> Decision {
        self.shared.list.load().matcher.decide(asked(inquiry, address), caller)
    }

    /// Returns the hosts that rules name outright and that `caller` may open from `address`, perhaps after one more
    /// factor; in the order of the rules, each once.
    pub fn hosts_for(&self, caller: &Principal, address: IpAddr) -> Vec<String> {
        let list = self.shared.list.load();
        let mut hosts: Vec<String> = Vec::new();
        for domain in list.rules().iter().flat_map(Rule::domains) {
            let DomainPattern::Exact(host) = domain else { continue };
            let asked = Asked { host, path: Some("/"), query: None, method: "GET", address };
            let is_open = || {
                let outcome = list.matcher.decide(asked, Some(Caller::person(caller))).outcome;
                !matches!(outcome, Outcome::Forbidden)
            };
            if !hosts.iter().any(|known| **known == **host)
                && self.shared.site.is_protected_host(host)
                && is_open()
            {
                hosts.push(host.to_string());
            }
        }
        hosts
    }

    /// Decides a return address of the sign-in pages (`rd` and `rm`) for a browser at `address`: whether signing in at a
    /// higher level is needed to open it. `None` if the address is no page of a protected app, so that it must not be returned to (WEB-11).
    pub fn decide_return(
        &self,
        url: &str,
        method: Option<&str>,
        address: IpAddr,
        caller: Option<&Principal>,
    ) -> Option<Decision> {
        let inquiry = forward_auth::parse_url(url, method.unwrap_or("GET")).ok()?;
        forward_auth::admit(&inquiry, &self.shared.site).ok()?;
        Some(self.decide(&inquiry, address, caller.map(Caller::person)))
    }
}

fn asked<'a>(inquiry: &'a Inquiry<'_>, address: IpAddr) -> Asked<'a> {
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
