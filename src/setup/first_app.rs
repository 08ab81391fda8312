//! The first protected app: one access rule, and the lines for the proxy.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Setup;
use crate::access::domain::normal_host;
use crate::access::snippet::{Addresses, Proxy, SnippetFile, files};
use crate::access::{ChangeError, Edit, Policy, Rule, RuleParts};
use crate::accounts::User;
use crate::audit::Kind;
use crate::http::Problem;
use crate::oidc::AddError;
use crate::oidc::presets::{self, Values};
use crate::sign_in::Visit;
use crate::store::Batch;
use crate::views::setup::{AddedApp, Snippet};
use crate::views::{Choice, Fact};
use crate::words::{Said, Words, said};

/// Marks the rule that the wizard made, so that a second thought changes it instead of adding another one.
const NOTE: &str = "Made by the setup";
/// Where an app listens unless somebody edits the line.
const USUAL_APP: &str = "http://127.0.0.1:3000";
/// What the field `who` says besides a group.
const EVERYONE: &str = "everyone";
const OWNER: &str = "owner";
const GROUP_PREFIX: &str = "group:";
/// Offered while there are no groups yet.
const USUAL_GROUP: &str = "family";

impl Setup {
    /// Returns who may be let into the first app.
    pub(super) fn audiences(&self, chosen: &str, t: Words) -> Vec<Choice> {
        let chosen = if chosen.is_empty() { EVERYONE } else { chosen };
        let mut groups: Vec<String> = self
            .sign_in
            .accounts
            .directory()
            .list(|_| true)
            .iter()
            .flat_map(|user| user.groups.iter().map(ToString::to_string))
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(20);
        let is_new = groups.is_empty();
        if is_new {
            groups.push(USUAL_GROUP.to_owned());
        }
        let choice = |value: &str, label: String, hint: &str| Choice {
            value: value.to_owned(),
            label,
            hint: hint.to_owned(),
            selected: value == chosen,
        };
        let mut choices = vec![choice(EVERYONE, t.setup_protect_who_everyone().to_owned(), "")];
        for group in groups {
            let value = format!("{GROUP_PREFIX}{group}");
            let hint = if is_new { t.setup_protect_who_group_hint() } else { "" };
            choices.push(choice(&value, t.setup_protect_who_group(group), hint));
        }
        choices.push(choice(OWNER, t.setup_protect_who_me().to_owned(), ""));
        choices
    }

    /// Makes, or changes, the rule of the first app: two factors for those who may open it.
    ///
    /// # Errors
    /// 422 that names the fields `app_host` and `who`; or the store refused.
    pub(super) async fn protect(
        &self,
        app_host: &str,
        who: &str,
        owner: &User,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let host = self.judge_app_host(app_host)?;
        let (mut groups, mut users) = (Vec::new(), Vec::new());
        match (who, who.strip_prefix(GROUP_PREFIX)) {
            (EVERYONE, _) => {}
            (OWNER, _) => users.push(owner.username.to_string()),
            (_, Some(group)) => groups.push(group.to_owned()),
            _ => {
                let sentence = Said::of(Words::setup_protect_who_choose);
                return Err(Problem::unprocessable("who", "invalid_value", sentence));
            }
        }
        let parts = RuleParts {
            domains: vec![host.clone()],
            groups,
            users,
            policy: Policy::TwoFactor.as_str().to_owned(),
            note: NOTE.to_owned(),
            ..RuleParts::default()
        };
        let rule = Rule::build(&parts).map_err(|error| {
            let field = if error.field == "domains" { "app_host" } else { "who" };
            Problem::unprocessable(field, "invalid_value", error.sentence)
        })?;
        self.put_rule(rule, owner, visit).await?;
        let result = self
            .commit_progress(
                |record| {
                    record.app_host = Some(host.clone());
                    who.clone_into(&mut record.app_who);
                },
                |_| Ok(()),
            )
            .await;
        result.map_err(Problem::from)?;
        self.watch.start(&host);
        Ok(())
    }

    async fn put_rule(&self, rule: Rule, owner: &User, visit: &Visit<'_>) -> Result<(), Problem> {
        for _ in 0..super::TRIES {
            let list = self.access.list();
            let own = list.rules().iter().position(|rule| rule.parts().note == NOTE);
            let event = self.event(Kind::RuleChanged, Some(owner.id), visit);
            let result = match own {
                Some(index) => {
                    let edit = Edit::Change(index + 1, rule.clone());
                    self.access.edit(edit, list.version(), event).await
                }
                None => self.access.edit(Edit::Add(rule.clone(), Some(1)), list.version(), event).await,
            };
            match result {
                Err(ChangeError::Stale) => {}
                other => return other.map(|_| ()).map_err(Problem::from),
            }
        }
        Err(ChangeError::Stale.into())
    }

    fn judge_app_host(&self, typed: &str) -> Result<String, Problem> {
        let refuse = |sentence: Said| Problem::unprocessable("app_host", "invalid_value", sentence);
        // People copy it from the address bar.
        let bare = typed.trim();
        let bare = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://")).unwrap_or(bare);
        let bare = bare.split_once('/').map_or(bare, |(host, _)| host);
        let host = normal_host(bare).ok_or_else(|| {
            let typed = typed.trim().to_owned();
            refuse(said(move |t| t.setup_protect_no_host(&typed)))
        })?;
        let site = &self.sign_in.site;
        let Some(domain) = site.protected_domain() else {
            return Err(refuse(Said::of(Words::setup_protect_no_domain)));
        };
        if *host == *site.origin().host {
            return Err(refuse(Said::of(Words::setup_protect_own_host)));
        }
        if !site.is_protected_host(&host) {
            return Err(refuse(said(move |t| t.setup_protect_elsewhere(&domain))));
        }
        Ok(host.into_owned())
    }

    /// Adds an app that signs people in by itself, as its preset says, and returns what to copy into it.
    ///
    /// # Errors
    /// 422 that names the fields `preset` and `app_url`; or the store refused.
    pub(super) async fn add_app(
        &self,
        preset: &str,
        app_url: &str,
        owner: &User,
        visit: &Visit<'_>,
    ) -> Result<AddedApp, Problem> {
        let refuse = |field, why: Said| Problem::unprocessable(field, "invalid_value", why);
        let preset = presets::find(preset);
        let preset = preset.ok_or_else(|| refuse("preset", Said::of(Words::setup_app_unknown)))?;
        let settings = preset.settings(app_url, &BTreeMap::new()).map_err(|why| refuse("app_url", why))?;
        let event = self.event(Kind::AppAdded, Some(owner.id), visit).detail("name", &settings.name);
        let also = |batch: &mut Batch, id: &str| self.sign_in.audit.write(batch, event.on(id));
        let added = match self.oidc.add_client(None, settings, also).await {
            Ok(added) => added,
            Err(AddError::Objections(objections)) => {
                let all =
                    move |t| objections.iter().map(|(_, why)| why.in_words(t)).collect::<Vec<_>>().join(" ");
                return Err(refuse("app_url", said(all)));
            }
            Err(error) => return Err(error.into()),
        };
        let id = added.client.id.to_string();
        let kept = self.commit_progress(|record| record.app_client = Some(id.clone()), |_| Ok(())).await;
        kept.map_err(Problem::from)?;
        let has_secret = added.secret.is_some();
        let values = Values::new(&self.oidc.issuer(), &id, added.secret, app_url);
        let mut facts: Vec<Fact> = preset
            .paste(&values)
            .into_iter()
            .map(|row| Fact::new(row.label, row.value.expose().clone()))
            .collect();
        if let (Some(snippet), Some(text)) = (&preset.config, preset.config_text(&values)) {
            facts.push(Fact::new(snippet.file.clone(), text.expose().clone()));
        }
        Ok(AddedApp { name: preset.name.clone(), has_secret, values: facts })
    }

    /// Returns what can be said again of an app that was added, without its secret.
    pub(super) fn client_again(&self, id: &str, t: Words) -> Option<AddedApp> {
        let client = self.oidc.client(id)?;
        let issuer = self.oidc.issuer();
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        let values = vec![
            Fact::new(t.apps_value_client_id(), client.id.to_string()),
            Fact::new(t.apps_value_issuer(), issuer),
            Fact::new(t.apps_value_discovery(), discovery),
        ];
        Some(AddedApp { name: client.settings.name.clone(), has_secret: false, values })
    }

    /// Returns where a proxy on this machine reaches Doorward.
    pub fn own_url(&self) -> String {
        let ip = self.listen().ip();
        let ip = if ip.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { ip };
        format!("http://{}", SocketAddr::new(ip, self.listen().port()))
    }

    /// Returns the files for the proxy in front of an app, or of Doorward in the place of one.
    ///
    /// # Errors
    /// 500 if an address of ours is no address.
    pub(super) fn snippets(
        &self,
        proxy: Proxy,
        host: &str,
        plays_app: bool,
        t: Words,
    ) -> Result<Vec<Snippet>, Problem> {
        let addresses = Addresses {
            portal_origin: self.sign_in.site.origin().text,
            doorward: self.own_url(),
            host: host.to_owned(),
            app: if plays_app { self.own_url() } else { USUAL_APP.to_owned() },
        };
        let files = files(proxy, &addresses).map_err(Problem::internal)?;
        let snippet = |file: SnippetFile| Snippet {
            title: format!("{}: {}", proxy.title(), file.path.rsplit('/').next().unwrap_or_default()),
            place: file.place(t),
            text: file.text,
        };
        Ok(files.into_iter().map(snippet).collect())
    }

    /// Returns an example of an app's host.
    pub(super) fn example_host(&self) -> String {
        let domain = self.sign_in.site.protected_domain();
        format!("photos.{}", domain.as_deref().unwrap_or("home.example"))
    }
}
