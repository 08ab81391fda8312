//! The apps of a person: which they may open, which have access to their account, and taking that back.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use super::Oidc;
use super::client::{Client, ClientId, GrantType};
use super::scopes::Scopes;
use crate::audit::{Event, Filter, Kind};
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::Visit;

/// How many sign-ins to apps are looked at for when an app was last used.
const SIGN_INS: usize = 200;

/// An app that has access to a person's account.
pub struct AppWithAccess {
    /// The app.
    pub client: Arc<Client>,
    /// What it may see and do.
    pub scopes: Scopes,
    /// Since when, as far as it is known.
    pub since: Timestamp,
    /// When it last used it, as far as it is known.
    pub last_used: Option<Timestamp>,
    /// How many sign-ins of it are alive.
    pub sign_ins: usize,
    /// Whether one of them goes on while the person is away.
    pub is_offline: bool,
}

/// A live sign-in of an app, for [`AppWithAccess`].
pub(super) struct LiveSignIn {
    pub(super) client: ClientId,
    pub(super) scopes: Scopes,
    pub(super) given_at: Timestamp,
    pub(super) used_at: Timestamp,
    pub(super) is_offline: bool,
}

/// An app that a person may open from here.
#[derive(Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub name: String,
    /// One or two letters in place of a logo.
    pub initials: String,
    /// Where it begins.
    pub url: String,
    /// The host of that, for people to compare.
    pub host: String,
    /// Whether it asks for more factors than the session has proven.
    pub asks_more: bool,
}

impl Client {
    /// Returns where the app begins: what an administrator says, else where it wants sign-ins to be started (OIDC Core
    /// section 4), else the home of the first web address that it takes codes at. `None` for what lives on devices or takes
    /// no people in.
    pub fn launch_url(&self, issuer: &str) -> Option<Url> {
        let settings = &self.settings;
        if let Some(url) = settings.launch_url.as_deref() {
            return Url::parse(url).ok();
        }
        if settings.is_native || !settings.may(GrantType::AuthorizationCode) {
            return None;
        }
        let web = |uri: &str| Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        if let Some(mut url) = settings.initiate_login_uri.as_deref().and_then(web) {
            url.query_pairs_mut().append_pair("iss", issuer);
            return Some(url);
        }
        let mut url = settings.redirect_uris.iter().find_map(|uri| web(uri))?;
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    }
}

impl Oidc {
    /// Lists the apps that a person may open. One that registered itself is nobody's recommendation: it is there only for
    /// those who let it in before (OA-13).
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn launches(&self, principal: &Principal) -> Result<Vec<Launch>, Problem> {
        let (user, issuer) = (&principal.user, self.issuer());
        let mut launches = Vec::new();
        for client in self.clients() {
            if !client.admits(user)
                || client.registered_itself && !self.agrees_at_all(&user.id, &client.id)?
            {
                continue;
            }
            let Some(url) = client.launch_url(&issuer) else { continue };
            launches.push(Launch {
                name: client.settings.name.clone(),
                initials: client.settings.initials.clone(),
                host: url.host_str().unwrap_or_default().to_owned(),
                url: url.into(),
                asks_more: client.settings.level > principal.level(),
            });
        }
        Ok(launches)
    }

    /// Lists the apps that have access to the account of a person: those they agreed to and those that are signed in now.
    /// By name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn apps_with_access(&self, user: &UserId) -> Result<Vec<AppWithAccess>, Problem> {
        let mut apps = self.live_and_agreed(user)?;
        if apps.is_empty() {
            return Ok(apps);
        }
        let kind_prefix = Some(Kind::AppSignedIn.name().to_owned());
        let filter = Filter { kind_prefix, ..Filter::of_user(*user) };
        for row in self.audit.page(&filter, None, SIGN_INS).await?.rows {
            let used = apps.iter_mut().find(|app| row.target.as_deref() == Some(app.client.id.as_str()));
            if let Some(app) = used {
                app.last_used = app.last_used.max(Some(row.at));
            }
        }
        Ok(apps)
    }

    /// Like [`Oidc::apps_with_access`], without looking for sign-ins that are over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn live_and_agreed(&self, user: &UserId) -> Result<Vec<AppWithAccess>, Problem> {
        let mut found: HashMap<ClientId, AppWithAccess> = HashMap::new();
        let bare = |client, scopes, since| AppWithAccess {
            client,
            scopes,
            since,
            last_used: None,
            sign_ins: 0,
            is_offline: false,
        };
        for consent in self.consents(user)? {
            if let Some(client) = self.client(consent.client.as_str()) {
                found.insert(consent.client, bare(client, consent.scopes, consent.given_at));
            }
        }
        for live in self.grants.of_user(user, self.clock.now()) {
            let Some(client) = self.client(live.client.as_str()) else { continue };
            let app =
                found.entry(live.client).or_insert_with(|| bare(client, Scopes::default(), live.given_at));
            app.scopes = app.scopes.with(&live.scopes);
            app.since = app.since.min(live.given_at);
            app.last_used = app.last_used.max(Some(live.used_at));
            app.sign_ins += 1;
            app.is_offline |= live.is_offline;
        }
        let mut apps: Vec<AppWithAccess> = found.into_values().collect();
        apps.sort_by_cached_key(|app| (app.client.settings.name.to_lowercase(), app.client.id.clone()));
        Ok(apps)
    }

    /// Takes back what a person allowed an app: what they agreed to, and every token of it, at once (OA-14). The app is
    /// told to sign them out, if it wants to know.
    ///
    /// # Errors
    /// 404 if the app has no access to the account (ENU-04).
    pub async fn revoke_app(
        &self,
        principal: &Principal,
        client: &ClientId,
        visit: &Visit<'_>,
    ) -> Result<(), Problem> {
        let user = &principal.user;
        let live = self.grants.permissions_of(&user.id, client);
        if live.is_empty() && !self.agrees_at_all(&user.id, client)? {
            return Err(Problem::not_found());
        }
        let mut batch = self.store.batch();
        self.stage_revoke_consent(&mut batch, &user.id, client);
        let mut told = Vec::new();
        for permission in live {
            if !told.contains(&permission.sid) {
                self.stage_tell(&mut batch, &permission);
                told.push(permission.sid);
            }
        }
        let event = Event::succeeded(Kind::ConsentRevoked).by(user.id, &user.username).on(client.as_str());
        self.audit.write(&mut batch, event.from(visit.ip).request(visit.request));
        self.store.commit(batch).await?;
        self.forget_given_up().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientSettings;
    use super::*;

    fn launch(settings: ClientSettings) -> Option<String> {
        let client = Client::trial(ClientId::parse("app").unwrap(), settings);
        client.launch_url("https://auth.home.example").map(String::from)
    }

    fn at(uri: &str) -> ClientSettings {
        ClientSettings { redirect_uris: vec![uri.to_owned()], ..ClientSettings::default() }
    }

    #[test]
    fn an_app_begins_where_it_says_or_at_the_home_of_its_address() {
        assert_eq!(launch(at("https://a.example:8443/cb?x=1")).as_deref(), Some("https://a.example:8443/"));
        let mut both = at("app.immich:///oauth");
        assert_eq!(launch(both.clone()), None);
        both.redirect_uris.push("https://photos.example/auth/login".to_owned());
        assert_eq!(launch(both.clone()).as_deref(), Some("https://photos.example/"));
        both.initiate_login_uri = Some("https://photos.example/start?a=b".to_owned());
        let started = "https://photos.example/start?a=b&iss=https%3A%2F%2Fauth.home.example";
        assert_eq!(launch(both.clone()).as_deref(), Some(started));
        both.is_native = true;
        assert_eq!(launch(both.clone()), None);
        both.launch_url = Some("https://photos.example/albums".to_owned());
        assert_eq!(launch(both).as_deref(), Some("https://photos.example/albums"));
        let device = ClientSettings { grants: vec![GrantType::DeviceCode], ..at("https://a.example/cb") };
        assert_eq!(launch(device), None);
    }
}
