//! The protected domains: adding, changing and removing them, as JSON and for the command line.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::access::validate_parent_domain;
use crate::audit::{Event, Kind};
use crate::config::{as_sentence, check_domains, check_reach};
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::site::{CookieScope, ProtectedDomain, Setting, SettingRecord};
use crate::store::{CommitError, Versioned};
use crate::words::{Said, Words};

/// A domain as somebody typed it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedDomain {
    /// The domain.
    #[serde(default)]
    pub domain: String,
    /// A host of it that leads to Doorward; empty for none.
    #[serde(default)]
    pub portal: Option<String>,
    /// `domain` or `host`; `domain` if it is not said.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl TypedDomain {
    /// Judges what was typed.
    ///
    /// # Errors
    /// 422 that names the field `domain`, `portal` or `cookie`.
    pub fn judge(&self) -> Result<ProtectedDomain, Problem> {
        let refuse = |field, why: Said| Problem::unprocessable(field, "invalid_value", why);
        let cookie = match self.cookie.as_deref() {
            None => CookieScope::Domain,
            Some(text) => CookieScope::parse(text)
                .ok_or_else(|| refuse("cookie", Said::of(Words::domains_bad_cookie)))?,
        };
        // The portal is judged below.
        let domain = self.domain.trim();
        let domain = validate_parent_domain(domain, domain).map_err(|why| refuse("domain", why))?;
        let portal = self.portal.as_deref().map(str::trim).filter(|portal| !portal.is_empty());
        ProtectedDomain::new(domain.as_str(), portal, cookie)
            .map_err(|why| refuse("portal", as_sentence(why)))
    }
}

#[derive(Serialize)]
struct DomainDto<'a> {
    domain: &'a str,
    portal: Option<&'a str>,
    cookie: &'static str,
}

impl<'a> From<&'a ProtectedDomain> for DomainDto<'a> {
    fn from(own: &'a ProtectedDomain) -> Self {
        DomainDto { domain: &own.domain, portal: own.portal.as_deref(), cookie: own.cookie.as_str() }
    }
}

/// What changes.
#[derive(Debug)]
pub enum DomainChange {
    /// One more, at the end.
    Add(ProtectedDomain),
    /// Portal and cookie of one that is there.
    Change(ProtectedDomain),
    /// One less.
    Remove(String),
}

impl DomainChange {
    fn apply(&self, domains: &mut Vec<ProtectedDomain>) -> Result<(), Problem> {
        match self {
            DomainChange::Add(own) => domains.push(own.clone()),
            DomainChange::Change(own) => {
                let known = domains.iter_mut().find(|known| known.domain == own.domain);
                *known.ok_or_else(Problem::not_found)? = own.clone();
            }
            DomainChange::Remove(domain) => {
                let index = domains.iter().position(|known| known.domain == *domain);
                domains.remove(index.ok_or_else(Problem::not_found)?);
            }
        }
        Ok(())
    }

    fn described(&self, event: Event) -> Event {
        match self {
            DomainChange::Add(own) => event.detail("added", own),
            DomainChange::Change(own) => event.detail("changed", own),
            DomainChange::Remove(domain) => event.detail("removed", domain),
        }
    }
}

impl Admin {
    /// Changes the protected domains; in force from the next request on. Cookies of a domain that is removed, or that gets
    /// another kind of cookie, open nothing any more. `event` (of kind [`Kind::SettingChanged`], with its actor) becomes
    /// part of the same commit.
    ///
    /// # Errors
    /// 404 for a domain that is not there, 422 for a list that is not sound, 409 if the configuration fixes the list or
    /// somebody else changed it meanwhile.
    pub async fn change_domains(&self, change: DomainChange, event: Event) -> Result<(), Problem> {
        let setting = Setting::ProtectedDomain;
        if self.site.is_fixed(setting) {
            return Err(Problem::conflict("fixed_setting", Said::of(Words::domains_problem_fixed)));
        }
        let row = setting.key().as_bytes();
        let seen = self.store.get::<SettingRecord>(row)?;
        let mut domains = self.stored_domains(seen.as_ref())?;
        change.apply(&mut domains)?;
        let refuse = |why: Said| Problem::unprocessable("domain", "invalid_value", as_sentence(why));
        check_domains(&domains).map_err(refuse)?;
        if self.site.is_origin_set() && !matches!(change, DomainChange::Remove(_)) {
            check_reach(&domains, &self.site.origin().host)
                .map_err(|why| Problem::unprocessable("portal", "invalid_value", as_sentence(why)))?;
        }
        let text = domains.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut batch = self.store.batch();
        match &seen {
            Some(seen) => batch.require(row, seen),
            None => batch.require_absent::<SettingRecord>(row),
        };
        self.site.stage_set(&mut batch, setting, &text);
        self.audit.write(&mut batch, change.described(event.on(setting.key())));
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => {
                Err(Problem::conflict("domains_changed", Said::of(Words::domains_problem_changed)))
            }
            result => Ok(result?),
        }
    }
}

impl Admin {
    /// Returns the domains that a row holds, or the one of an installation from before there could be several. Not the list
    /// in memory, which follows a little after the row.
    fn stored_domains(
        &self,
        seen: Option<&Versioned<SettingRecord>>,
    ) -> Result<Vec<ProtectedDomain>, Problem> {
        let one;
        let text = match seen {
            Some(seen) => seen.value.value.as_str(),
            None => {
                one = self.store.get::<SettingRecord>(Setting::ONE_DOMAIN.as_bytes())?;
                one.as_ref().map_or("", |one| one.value.value.as_str())
            }
        };
        ProtectedDomain::parse_list(text).map_err(|why| Problem::internal(why.english()))
    }
}

/// `GET /api/v1/admin/domains`.
pub async fn list(room: &Admin, _request: &Request, _actor: &Principal) -> Result<Reply, Problem> {
    let domains = room.site.protected_domains();
    let domains: Vec<DomainDto<'_>> = domains.iter().map(DomainDto::from).collect();
    let is_fixed = room.site.is_fixed(Setting::ProtectedDomain);
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "domains": domains, "fixed": is_fixed })))
}

/// `POST /api/v1/admin/domains`: `{domain, portal?, cookie?}` protects one more. Needs a step-up, because return addresses
/// and cookies may lead there from then on.
pub async fn add(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let own = request.json::<TypedDomain>()?.judge()?;
    let event = room.event(Kind::SettingChanged, actor, &visit(room, request)?);
    room.change_domains(DomainChange::Add(own.clone()), event).await?;
    Ok(Reply::json(StatusCode::CREATED, &DomainDto::from(&own)))
}

/// `PUT /api/v1/admin/domains/{domain}`: `{portal?, cookie?}`. Needs a step-up.
pub async fn change(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let mut typed: TypedDomain = request.json()?;
    request.param("domain").clone_into(&mut typed.domain);
    let own = typed.judge()?;
    let event = room.event(Kind::SettingChanged, actor, &visit(room, request)?);
    room.change_domains(DomainChange::Change(own.clone()), event).await?;
    Ok(Reply::json(StatusCode::OK, &DomainDto::from(&own)))
}

/// `DELETE /api/v1/admin/domains/{domain}`: forward-auth answers for its hosts no longer. Needs a step-up.
pub async fn remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.require_fresh(actor)?;
    let event = room.event(Kind::SettingChanged, actor, &visit(room, request)?);
    room.change_domains(DomainChange::Remove(request.param("domain").to_owned()), event).await?;
    Ok(Reply::no_content())
}
