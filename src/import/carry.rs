//! Carrying over what was found: each thing is checked against what is here, told, and, if that is wished, written in a
//! commit of its own with its audit event. Nothing that is here already is changed.

use crate::access::{Access, ChangeError, Rule, RuleParts};
use crate::accounts::imported::ImportedUser;
use crate::accounts::profile::{Edit, EditFault};
use crate::accounts::users::AccountError;
use crate::accounts::{Accounts, ProfileRecord};
use crate::audit::{Audit, Event, Kind};
use crate::config::{CookieScope, ProtectedDomain, check_domains, check_reach};
use crate::crypto::foreign::ForeignHash;
use crate::crypto::signing::PrivateKey;
use crate::crypto::totp::TotpKey;
use crate::http::Problem;
use crate::kernel::text::{DisplayName, Email, GroupName, Username};
use crate::oidc::client::{ClientId, ClientSettings};

use crate::oidc::{AddError, Oidc, redirect_uri};
use crate::site::{Setting, Site};
use crate::store::{CommitError, Store};

use super::found::{Found, FoundClient, FoundDomain, FoundKey, FoundSecret, FoundUser};
use super::report::{Line, Outcome};

/// The rooms that things go to.
pub struct Rooms<'a> {
    /// Where people go.
    pub accounts: &'a Accounts,
    /// Where rules go.
    pub access: &'a Access,
    /// Where apps and keys go.
    pub oidc: &'a Oidc,
    /// Where domains go.
    pub site: &'a Site,
    /// Where it is told.
    pub audit: &'a Audit,
    /// Where it is written.
    pub store: &'a Store,
}

/// How it is to be done.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Wishes {
    /// Whether anything is written, or only told.
    pub is_applied: bool,
    /// Whether rules that are here already make room.
    pub replaces_rules: bool,
}

/// Carries over what was found; `source` names where it comes from in the audit log.
///
/// # Errors
/// If the store does not answer; what was written until then stays, and a second run goes on from there.
pub async fn carry(
    rooms: &Rooms<'_>,
    found: Found,
    wishes: Wishes,
    source: &str,
) -> Result<Vec<Line>, CommitError> {
    let carrier = Carrier { rooms, wishes, source };
    let mut lines = Vec::new();
    let mut listed = rooms.site.protected_domains();
    for domain in found.domains {
        lines.push(carrier.domain(domain, &mut listed).await?);
    }
    for key in found.keys {
        lines.push(carrier.key(key).await?);
    }
    for client in found.clients {
        lines.push(carrier.client(client).await?);
    }
    for user in found.users {
        carrier.user(user, &mut lines).await?;
    }
    carrier.rules(found.rules, &mut lines).await?;
    lines.extend(found.lines);
    Ok(lines)
}

struct Carrier<'a> {
    rooms: &'a Rooms<'a>,
    wishes: Wishes,
    source: &'a str,
}

/// Whether a use-case was refused for a reason that a person can change, or the store is at fault.
fn told(error: AddError) -> Result<String, CommitError> {
    match error {
        AddError::Commit(CommitError::Conflict) => Ok("Somebody else changed it meanwhile.".to_owned()),
        AddError::Commit(error) => Err(error),
        AddError::Objections(objections) => {
            Ok(objections.into_iter().map(|(_, why)| why.english()).collect::<Vec<_>>().join(" "))
        }
        other => Ok(Problem::from(other).detail.english()),
    }
}

impl Carrier<'_> {
    fn event(&self, kind: Kind) -> Event {
        Event::succeeded(kind).by_system("import").detail("from", self.source)
    }

    /// Adds a domain to those that are protected. One that the public address lies outside of needs its own portal, which
    /// then has to lead here, as the former one led there.
    async fn domain(
        &self,
        found: FoundDomain,
        listed: &mut Vec<ProtectedDomain>,
    ) -> Result<Line, CommitError> {
        let FoundDomain { domain: name, portal } = found;
        let site = self.rooms.site;
        let line = |outcome, why: String| Ok(Line::new("domain", &name, outcome, why));
        if listed.iter().any(|here| here.domain.eq_ignore_ascii_case(&name)) {
            return line(Outcome::AlreadyHere, String::new());
        }
        if site.is_fixed(Setting::ProtectedDomain) {
            return line(
                Outcome::Conflict,
                "The configuration has the domains: add it to protect.domains.".to_owned(),
            );
        }
        if !site.is_origin_set() {
            let why = "Set the address of Doorward first: doorward setup, or server.public_origin.";
            return line(Outcome::NotCarried, why.to_owned());
        }
        let host = site.origin().host;
        let added = ProtectedDomain::new(&name, None, CookieScope::Domain).and_then(|domain| {
            if domain.covers(&host) || portal.is_empty() {
                return Ok(domain);
            }
            ProtectedDomain::new(&name, Some(&portal), CookieScope::Domain)
        });
        let mut all = listed.clone();
        let checked = added.and_then(|domain| {
            all.push(domain);
            check_domains(&all).and_then(|()| check_reach(&all, &host))
        });
        if let Err(why) = checked {
            let why = why.english();
            let why = if why.is_empty() { "it is no domain".to_owned() } else { why };
            return line(Outcome::NotCarried, format!("It cannot be protected: {why}."));
        }
        if self.wishes.is_applied {
            let text = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let mut batch = self.rooms.store.batch();
            site.stage_set(&mut batch, Setting::ProtectedDomain, &text);
            let event = self.event(Kind::SettingChanged).on(Setting::ProtectedDomain.key());
            let event = event.detail("value", &text);
            self.rooms.audit.write(&mut batch, event);
            self.rooms.store.commit(batch).await?;
        }
        let why = all.last().filter(|domain| domain.portal.is_some()).map_or_else(String::new, |_| {
            format!("Let {portal} lead to Doorward, so that people who are signed in are known there too.")
        });
        *listed = all;
        line(Outcome::Carried, why)
    }

    async fn key(&self, found: FoundKey) -> Result<Line, CommitError> {
        let FoundKey { name, pem } = found;
        let pem = zeroize::Zeroizing::new(pem);
        let key = match PrivateKey::from_pem(pem.trim()) {
            Ok(key) => key,
            Err(error) => return Ok(Line::not_carried("key", name, error.to_string())),
        };
        let (kid, algorithm) = (key.kid().to_owned(), key.algorithm());
        if self.rooms.oidc.has_key(&kid) {
            return Ok(Line::new("key", name, Outcome::AlreadyHere, format!("It is called {kid} here.")));
        }
        if self.wishes.is_applied {
            let event = self.event(Kind::KeysRotated).detail("keys", "apps").detail("imported", &kid);
            self.rooms.oidc.adopt_key(key, |batch| self.rooms.audit.write(batch, event)).await?;
        }
        let why = format!("It signs what apps verify with {algorithm}, and is called {kid} here.");
        Ok(Line::new("key", name, Outcome::Carried, why))
    }

    async fn client(&self, found: FoundClient) -> Result<Line, CommitError> {
        let FoundClient { id: name, settings, secret, mut notes } = found;
        let id = match ClientId::parse(&name) {
            Ok(id) => id,
            Err(why) => return Ok(Line::not_carried("app", name, why)),
        };
        if self.rooms.oidc.client(id.as_str()).is_some() {
            return Ok(Line::new("app", name, Outcome::AlreadyHere, "It was not touched."));
        }
        let settings = self.tidied(settings, &mut notes);
        let settings = match self.rooms.oidc.check(settings) {
            Ok(settings) => settings,
            Err(error) => return Ok(Line::not_carried("app", name, told(error)?)),
        };
        if let Err(error) = self.rooms.oidc.check_new_id(&id) {
            return Ok(Line::new("app", name, Outcome::Conflict, told(error)?));
        }
        let secret = match secret {
            FoundSecret::Hash(hash) if ForeignHash::parse(&hash).is_err() => {
                notes.push("Its secret cannot be read here.".to_owned());
                FoundSecret::Nothing
            }
            other => other,
        };
        if settings.has_secret() && secret == FoundSecret::Nothing {
            notes.push(format!("It needs a new secret: doorward app secret {id}."));
        }
        if self.wishes.is_applied
            && let Err(error) = self.add_client(id, settings, secret).await
        {
            return Ok(Line::new("app", name, Outcome::Conflict, told(error)?));
        }
        Ok(Line::new("app", name, Outcome::Carried, notes.join(" ")))
    }

    async fn add_client(
        &self,
        id: ClientId,
        settings: ClientSettings,
        secret: FoundSecret,
    ) -> Result<(), AddError> {
        let oidc = self.rooms.oidc;
        let event = self.event(Kind::AppAdded).on(id.as_str());
        let also = |batch: &mut crate::store::Batch, _: &str| self.rooms.audit.write(batch, event);
        match secret {
            FoundSecret::Nothing => oidc.add_client(Some(id), settings, also).await,
            FoundSecret::Sha256(digest) => oidc.add_client_with_digest(id, settings, digest, also).await,
            FoundSecret::Hash(hash) => oidc.add_client_with_foreign_secret(id, settings, hash, also).await,
        }
        .map(|_| ())
    }

    /// Leaves out addresses that cannot be registered here, one by one.
    fn tidied(&self, mut settings: ClientSettings, notes: &mut Vec<String>) -> ClientSettings {
        let may_be_plain = self.rooms.oidc.is_lab();
        for uris in [&mut settings.redirect_uris, &mut settings.post_logout_redirect_uris] {
            uris.retain(|uri| match redirect_uri::check(uri, may_be_plain) {
                Ok(()) => true,
                Err(why) => {
                    notes.push(why.english());
                    false
                }
            });
        }
        settings
    }

    async fn user(&self, found: FoundUser, lines: &mut Vec<Line>) -> Result<(), CommitError> {
        let name = found.username.clone();
        let (user, mut notes) = match prepare(&found) {
            Ok(prepared) => prepared,
            Err(why) => {
                lines.push(Line::not_carried("user", name, why));
                return Ok(());
            }
        };
        let has_totp = user.totp.is_some();
        let username = user.username.clone();
        let mut user = Some(user);
        let mut batch = self.rooms.store.batch();
        let mut staged = self.stage(&mut batch, &mut user, &found, &mut notes);
        if matches!(staged, Err(AccountError::EmailTaken)) {
            notes.push("Somebody here has the same address, so it was left out.".to_owned());
            let without = FoundUser { email: String::new(), ..found.clone() };
            user = prepare(&without).ok().map(|(user, _)| user);
            batch = self.rooms.store.batch();
            staged = self.stage(&mut batch, &mut user, &without, &mut notes);
        }
        let id = match staged {
            Ok(id) => id,
            Err(AccountError::UsernameTaken) => {
                lines.push(self.there_already(&found, &username)?);
                return Ok(());
            }
            Err(AccountError::Commit(error)) => return Err(error),
            Err(error) => {
                lines.push(Line::new("user", name, Outcome::Conflict, Problem::from(error).detail.english()));
                return Ok(());
            }
        };
        if self.wishes.is_applied {
            let audit = self.rooms.audit;
            let event = self.event(Kind::UserCreated).on_user(id, &username);
            let groups = found.groups.join(" ");
            let event = if groups.is_empty() { event } else { event.detail("groups", groups) };
            audit.write(&mut batch, event);
            if has_totp {
                audit.write(&mut batch, self.event(Kind::TotpEnrolled).on_user(id, &username));
            }
            match self.rooms.store.commit(batch).await {
                Err(CommitError::Conflict) => {
                    let why = "Somebody else took the name or the address meanwhile.";
                    lines.push(Line::new("user", name, Outcome::Conflict, why));
                    return Ok(());
                }
                other => other?,
            }
        }
        lines.push(Line::new("user", name, Outcome::Carried, notes.join(" ")));
        Ok(())
    }

    fn stage(
        &self,
        batch: &mut crate::store::Batch,
        user: &mut Option<ImportedUser>,
        found: &FoundUser,
        notes: &mut Vec<String>,
    ) -> Result<crate::kernel::ids::UserId, AccountError> {
        let user = user.take().ok_or(AccountError::NotFound)?;
        match self.rooms.accounts.stage_import(batch, user) {
            // The person is more than the name that apps know; they are told, and keep the rest.
            Err(AccountError::SubjectTaken) => {
                notes.push(
                    "Somebody here has or had the same sub, so apps will take this person for somebody new."
                        .to_owned(),
                );
                let without = FoundUser { subject: None, ..found.clone() };
                let (user, _) = prepare(&without).map_err(|_| AccountError::NotFound)?;
                *batch = self.rooms.store.batch();
                self.rooms.accounts.stage_import(batch, user)
            }
            other => other,
        }
    }

    /// Tells how an account that is here differs from the one that was found.
    fn there_already(&self, found: &FoundUser, username: &Username) -> Result<Line, CommitError> {
        let accounts = self.rooms.accounts;
        let here = accounts.resolve(username.as_str()).map_err(CommitError::Store)?;
        let mut differences = Vec::new();
        if let Some(here) = here {
            if found.totp.is_some() && !here.has_totp {
                differences.push("it has no authenticator app here");
            }
            let subject = accounts.subject(&here.id).ok();
            if found.subject.is_some() && subject != found.subject {
                differences.push("apps know it by another sub here");
            }
        }
        let name = &found.username;
        Ok(if differences.is_empty() {
            Line::new("user", name, Outcome::AlreadyHere, "It was not touched.")
        } else {
            let why = format!("There is an account of this name already: {}.", differences.join(", and "));
            Line::new("user", name, Outcome::Conflict, why)
        })
    }

    /// Rules are read in order, so they are taken as a list or not at all.
    async fn rules(&self, found: Vec<RuleParts>, lines: &mut Vec<Line>) -> Result<(), CommitError> {
        let mut rules = Vec::with_capacity(found.len());
        for (number, parts) in found.iter().enumerate() {
            match Rule::build(parts) {
                Ok(rule) => rules.push(rule),
                Err(error) => {
                    let why = format!("{error} So no rule was carried over.");
                    lines.push(Line::not_carried("rules", format!("rule {}", number + 1), why));
                    return Ok(());
                }
            }
        }
        if rules.is_empty() {
            return Ok(());
        }
        let list = self.rooms.access.list();
        let texts: Vec<String> = rules.iter().map(ToString::to_string).collect();
        let tell = |lines: &mut Vec<Line>, outcome, why: &str| {
            lines.extend(texts.iter().map(|text| Line::new("rule", text, outcome, why)));
        };
        if list.rules() == rules {
            tell(lines, Outcome::AlreadyHere, "");
            return Ok(());
        }
        if !list.rules().is_empty() && !self.wishes.replaces_rules {
            let why = format!(
                "There are {} rules here already, and which one comes first decides. Add --replace-rules to put the {} \
                 that were found in their place.",
                list.rules().len(),
                rules.len()
            );
            lines.push(Line::new("rules", "all", Outcome::Conflict, why));
            return Ok(());
        }
        if self.wishes.is_applied {
            let event = self.event(Kind::RuleChanged);
            match self.rooms.access.replace_all(rules, list.version(), event).await {
                Ok(_) => {}
                Err(ChangeError::Commit(error)) => return Err(error),
                Err(error) => {
                    lines.push(Line::new("rules", "all", Outcome::Conflict, error.to_string()));
                    return Ok(());
                }
            }
        }
        tell(lines, Outcome::Carried, "");
        Ok(())
    }
}

/// Checks somebody, and says what has to be known. What is not sound is left out, except the name.
fn prepare(found: &FoundUser) -> Result<(ImportedUser, Vec<String>), String> {
    let mut notes = Vec::new();
    let username = Username::parse(&found.username).map_err(|error| error.to_string())?;
    if username.as_str() != found.username {
        notes.push(format!("The username is {username} here."));
    }
    let display_name = match DisplayName::parse(&found.display_name) {
        Ok(name) => name,
        Err(error) => {
            if !found.display_name.is_empty() {
                notes.push(format!("{error} The username takes its place."));
            }
            DisplayName::parse(username.as_str()).map_err(|error| error.to_string())?
        }
    };
    let email = match Email::parse(&found.email) {
        Ok(email) => Some(email),
        Err(_) if found.email.is_empty() => None,
        Err(error) => {
            notes.push(format!("{error} The address was left out."));
            None
        }
    };
    let mut groups = Vec::with_capacity(found.groups.len());
    for group in &found.groups {
        match GroupName::parse(group) {
            Ok(name) => {
                if name.as_str() != group {
                    notes.push(format!("The group {group} is {name} here."));
                }
                groups.push(name);
            }
            Err(error) => notes.push(format!("The group “{group}” was left out. {error}")),
        }
    }
    let totp = found.totp.as_ref().and_then(|totp| {
        let key = TotpKey::build(&totp.secret, totp.algorithm, totp.digits, totp.period);
        if key.is_none() {
            notes.push("The authenticator app cannot be used here; the person sets up a new one.".to_owned());
        }
        key
    });
    // Nobody gets in by half of what was asked of them there.
    let is_half = found.totp.is_some() && totp.is_none();
    let password =
        found.password.as_ref().filter(|_| !is_half).filter(|hash| match ForeignHash::parse(hash) {
            Ok(_) => true,
            Err(why) => {
                notes.push(why.to_owned());
                false
            }
        });
    if password.is_none() {
        notes.push(format!("There is no password: doorward user link {username}."));
    }
    let profile = profile_of(found, email.is_some(), &mut notes);
    let password = password.cloned();
    let is_disabled = found.is_disabled;
    Ok((ImportedUser { username, display_name, email, groups, is_disabled, password, totp, profile }, notes))
}

fn profile_of(found: &FoundUser, has_email: bool, notes: &mut Vec<String>) -> ProfileRecord {
    let mut profile =
        ProfileRecord { email_verified: has_email && found.is_email_verified, ..ProfileRecord::default() };
    let subject = found.subject.iter().map(|subject| ("subject", subject.as_str()));
    let claims = found.claims.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut edits = Vec::new();
    for (key, value) in claims.chain(subject) {
        match Edit::parse(key, Some(value)) {
            Ok(edit) => edits.push(edit),
            Err(EditFault::Unknown) => notes.push(format!("The claim {key} does not exist here.")),
            Err(EditFault::Value(_, error)) => notes.push(format!("{key} was left out. {error}")),
        }
    }
    profile.apply(&edits);
    profile
}
