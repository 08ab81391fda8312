//! Administration of apps that sign people in through OpenID Connect.

use askama::Template;

use super::admin::FilterLink;
use super::frame::Frame;
use super::parts::{Badge, Check, Choice, Fact, FieldErrors, When};
use super::setup::Snippet;

/// One app in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCard {
    /// Address of the detail page: `/admin/apps/{id}`, or of the rules for an app behind a proxy.
    pub url: String,
    /// The name.
    pub name: String,
    /// One or two letters.
    pub initials: String,
    /// What kind of app it is; the host of an app behind a proxy.
    pub kind: String,
    /// Who may open it.
    pub who: String,
    /// When somebody last signed in to it; a sentence if nobody did.
    pub used: Option<When>,
    /// Such as `Switched off`.
    pub badges: Vec<Badge>,
}

/// `GET /admin/apps`.
#[derive(Debug, Template)]
#[template(path = "admin/apps.html")]
pub struct Apps {
    /// Common parts.
    pub frame: Frame,
    /// Apps that use OpenID Connect.
    pub cards: Vec<AppCard>,
    /// Apps behind a reverse proxy, as the access rules name them.
    pub proxied: Vec<AppCard>,
}

/// A well-known app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetTile {
    /// `/admin/apps/new/{preset}`.
    pub url: String,
    /// What it is called.
    pub name: String,
    /// One or two letters.
    pub initials: String,
    /// What it is for.
    pub category: String,
    /// Whether it fits what was searched for.
    pub is_found: bool,
}

/// `GET /admin/apps/new?q=…&category=…`: which app is it?
#[derive(Debug, Template)]
#[template(path = "admin/app_presets.html")]
pub struct AppPresets {
    /// Common parts.
    pub frame: Frame,
    /// What was searched for.
    pub q: String,
    /// The category that is shown; empty for all.
    pub category: String,
    /// Links to the categories.
    pub categories: Vec<FilterLink>,
    /// The well-known apps of the category.
    pub tiles: Vec<PresetTile>,
}

impl AppPresets {
    /// Whether nothing fits what was searched for.
    pub fn is_nothing_found(&self) -> bool {
        !self.tiles.iter().any(|tile| tile.is_found)
    }
}

/// A word that a preset leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The name of the field: `param-…`.
    pub id: String,
    /// What the app calls it.
    pub label: String,
    /// What it is.
    pub value: String,
}

/// What kind of app a form adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKind {
    /// A well-known one.
    Preset,
    /// Any that speaks OpenID Connect.
    Generic,
    /// One behind a reverse proxy.
    Proxied,
}

/// `GET /admin/apps/new/{preset}`.
///
/// Form: POST to the same address, fields `csrf`, `name`, `who` (radio), `group` (boxes); `url` and `param-…` for a preset
/// and behind a proxy, `redirect_uris` (one per line) and `kind` (radio) for any other app, `level` (radio) behind a proxy.
#[derive(Debug, Template)]
#[template(path = "admin/app_new.html")]
pub struct AppNew {
    /// Common parts.
    pub frame: Frame,
    /// Where the form goes.
    pub action: String,
    /// What is added.
    pub new: NewKind,
    /// What people do not know yet about it, in one sentence each.
    pub notes: Vec<String>,
    /// Where the app lives on the web; may be empty.
    pub website: String,
    /// Whether it is asked where the app lives.
    pub needs_url: bool,
    /// Prefilled name.
    pub name: String,
    /// Prefilled address.
    pub url: String,
    /// Words that the preset leaves open.
    pub words: Vec<Word>,
    /// Prefilled addresses, one per line.
    pub redirect_uris: String,
    /// Whether it can keep a secret.
    pub kinds: Vec<Choice>,
    /// What people must have proven.
    pub levels: Vec<Choice>,
    /// `everyone`, or `some`: the groups below.
    pub who: Vec<Choice>,
    /// The groups that there are.
    pub groups: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// One value to copy into the app's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What the app, or apps, call it.
    pub label: String,
    /// The value.
    pub value: String,
    /// Whether it stands for a secret that is shown no more.
    pub is_gone: bool,
}

/// Tabs of the pages of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHead {
    /// `/admin/apps/{id}`.
    pub url: String,
    /// One or two letters.
    pub initials: String,
    /// The name as it is.
    pub name: String,
    /// Such as `Switched off`.
    pub badges: Vec<Badge>,
    /// Which page is shown: `settings`, `values`, `test`, `claims`.
    pub current: &'static str,
}

/// `GET /admin/apps/{id}/values`, and what adding an app answers: what goes into the app's own form.
#[derive(Debug, Template)]
#[template(path = "admin/app_values.html")]
pub struct AppValues {
    /// Common parts.
    pub frame: Frame,
    /// The app.
    pub head: AppHead,
    /// Whether it was added just now.
    pub is_new: bool,
    /// A secret that was just made; shown once.
    pub secret: Option<String>,
    /// Whether it has a secret at all.
    pub has_secret: bool,
    /// Values with the labels of the app's own form; empty if the app is none of the well-known ones.
    pub rows: Vec<Copied>,
    /// A piece of its configuration.
    pub config: Option<Snippet>,
    /// One sentence for each quirk.
    pub notes: Vec<String>,
    /// What this server does not offer of what the app needs.
    pub missing: Vec<String>,
    /// The addresses that the app takes codes at.
    pub redirect_uris: Vec<String>,
    /// Client id, issuer and endpoints, as most apps call them.
    pub values: Vec<Copied>,
    /// Whether a sign-in can be tried out.
    pub is_testable: bool,
}

/// What an app behind a reverse proxy needs: `GET /admin/apps/new/reverse-proxy?host=…&proxy=…`.
#[derive(Debug, Template)]
#[template(path = "admin/app_proxied.html")]
pub struct AppProxied {
    /// Common parts.
    pub frame: Frame,
    /// The host of the app.
    pub host: String,
    /// Whether its rule is in the draft and not in force.
    pub is_draft: bool,
    /// The proxies that there are lines for.
    pub proxies: Vec<FilterLink>,
    /// How the proxy loads them, as a sentence.
    pub reload: String,
    /// The lines.
    pub snippets: Vec<Snippet>,
}

/// `GET /admin/apps/{id}`.
///
/// Forms, POST below `url`: itself (`csrf` and the fields of the settings), `/secret`, `/drop-secret`, `/switch`,
/// `/remove` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/app.html")]
pub struct App {
    /// Common parts.
    pub frame: Frame,
    /// The app.
    pub head: AppHead,
    /// What the form was made of; it is refused if that is something else by then.
    pub revision: String,
    /// A secret that was just made; shown once.
    pub secret: Option<String>,
    /// How many secrets are good.
    pub secrets: usize,
    /// Whether the app proves itself by secret.
    pub has_secret: bool,
    /// Whether it is switched off.
    pub is_disabled: bool,
    /// What is said about it, such as when it was added.
    pub facts: Vec<Fact>,
    /// The name as typed.
    pub name: String,
    /// Where people open it; may be empty.
    pub launch_url: String,
    /// One per line.
    pub redirect_uris: String,
    /// One per line.
    pub post_logout_redirect_uris: String,
    /// May be empty.
    pub backchannel_logout_uri: String,
    /// Separated by spaces.
    pub scopes: String,
    /// `everyone`, or `some`: the groups below.
    pub who: Vec<Choice>,
    /// Who may use it.
    pub groups: Vec<Choice>,
    /// What people must have proven.
    pub levels: Vec<Choice>,
    /// When people are asked.
    pub consents: Vec<Choice>,
    /// How the app proves itself.
    pub auth_methods: Vec<Choice>,
    /// How its id_tokens are signed.
    pub algorithms: Vec<Choice>,
    /// Whether it must use PKCE.
    pub needs_pkce: bool,
    /// Whether that can be chosen.
    pub may_choose_pkce: bool,
    /// Whether claims stand in the id_token too.
    pub claims_in_id_token: bool,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// `GET /admin/apps/{id}/remove`. Form: POST to the same address, field `csrf`.
#[derive(Debug, Template)]
#[template(path = "admin/app_remove.html")]
pub struct AppRemove {
    /// Common parts.
    pub frame: Frame,
    /// The app.
    pub head: AppHead,
}

/// A claim that an app is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it stands in the id_token.
    pub in_id_token: bool,
    /// Whether userinfo answers it.
    pub in_userinfo: bool,
}

/// `GET /admin/apps/{id}/test`: a sign-in as the app's people do it.
///
/// Form: POST to the same address, fields `csrf`, `redirect_uri` (choice).
#[derive(Debug, Template)]
#[template(path = "admin/app_test.html")]
pub struct AppTest {
    /// Common parts.
    pub frame: Frame,
    /// The app.
    pub head: AppHead,
    /// Why it cannot be tried out; may be empty.
    pub untestable: String,
    /// The addresses that the app takes codes at.
    pub redirect_uris: Vec<Choice>,
    /// What came of the last test: one line for each step. Empty before a test.
    pub checks: Vec<Check>,
    /// Whether every step went well.
    pub is_fine: bool,
    /// What the app would have been told.
    pub claims: Vec<ClaimRow>,
}

/// `GET /admin/apps/{id}/claims?user=…&scope=…`: what the app would be told of somebody.
#[derive(Debug, Template)]
#[template(path = "admin/app_claims.html")]
pub struct AppClaims {
    /// Common parts.
    pub frame: Frame,
    /// The app.
    pub head: AppHead,
    /// The username.
    pub user: String,
    /// The scopes that the app may ask for.
    pub scopes: Vec<Choice>,
    /// Who it is about; empty before somebody asked.
    pub person: String,
    /// Whether the app is open to them.
    pub is_admitted: bool,
    /// What it would be told.
    pub claims: Vec<ClaimRow>,
    /// Errors on `user`.
    pub errors: FieldErrors,
}
