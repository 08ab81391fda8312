//! The pages on which administrators add apps: which one, three questions, and what to paste where.

use std::collections::BTreeMap;

use http::StatusCode;

use super::Admin;
use super::app_pages::{self as pages, found, group_choices, head, lines, who_choices};
use super::new_apps::{self, Place};
use crate::audit::Kind as EventKind;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::GroupName;
use crate::oidc::client::{Client, ClientKind, ClientSettings};
use crate::oidc::presets::{self, Category, Preset};
use crate::oidc::{AddError, Oidc};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::admin::FilterLink;
use crate::views::apps as views;
use crate::views::apps::{Copied, NewKind, Word};
use crate::views::setup::Snippet;
use crate::views::{Choice, FieldErrors};
use crate::words::Words;

/// Where an app without a preset is added.
const GENERIC: &str = "openid-connect";
/// Where an app behind a reverse proxy is added.
pub(super) const PROXIED: &str = "reverse-proxy";
/// What the field of a word that a preset leaves open begins with.
const WORD: &str = "param-";

fn in_words(category: Category, t: Words) -> &'static str {
    match category {
        Category::Ai => t.apps_category_ai(),
        Category::Dashboards => t.apps_category_dashboards(),
        Category::Development => t.apps_category_development(),
        Category::Documents => t.apps_category_documents(),
        Category::Files => t.apps_category_files(),
        Category::Finance => t.apps_category_finance(),
        Category::Home => t.apps_category_home(),
        Category::Infrastructure => t.apps_category_infrastructure(),
        Category::Media => t.apps_category_media(),
        Category::Messaging => t.apps_category_messaging(),
        Category::Network => t.apps_category_network(),
        Category::Reading => t.apps_category_reading(),
        Category::Security => t.apps_category_security(),
    }
}

/// `GET /admin/apps/new?q=…&category=…`.
pub async fn show_presets(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let q = request.query("q").unwrap_or_default();
    let wanted = request.query("category").unwrap_or_default();
    let all = presets::list();
    let mut kinds: Vec<Category> = all.iter().map(|preset| preset.category).collect();
    kinds.sort_unstable_by_key(|kind| in_words(*kind, t));
    kinds.dedup();
    let chosen = kinds.iter().copied().find(|kind| kind.as_str() == wanted);
    let link = |kind: Option<Category>| FilterLink {
        label: kind.map_or(t.apps_all_kinds(), |kind| in_words(kind, t)).to_owned(),
        url: kind.map_or_else(
            || "/admin/apps/new".to_owned(),
            |kind| format!("/admin/apps/new?category={}", kind.as_str()),
        ),
        is_current: kind == chosen,
    };
    let tile = |preset: &Preset| views::PresetTile {
        url: format!("/admin/apps/new/{}", preset.id),
        name: preset.name.clone(),
        initials: preset.logo.clone(),
        category: in_words(preset.category, t).to_owned(),
        is_found: fits(preset, &q, t),
    };
    let page = views::AppPresets {
        frame: room.frame(request, actor, t.apps_add(), "apps"),
        category: chosen.map_or("", Category::as_str).to_owned(),
        categories: std::iter::once(None).chain(kinds.into_iter().map(Some)).map(link).collect(),
        tiles: all
            .iter()
            .filter(|preset| chosen.is_none_or(|kind| preset.category == kind))
            .map(tile)
            .collect(),
        q,
    };
    Reply::html(StatusCode::OK, &page)
}

/// Tells whether a preset has every word of a search.
fn fits(preset: &Preset, q: &str, t: Words) -> bool {
    let text = format!("{} {} {}", preset.name, preset.id, in_words(preset.category, t)).to_lowercase();
    q.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// What a form adds.
pub(super) enum Added {
    Preset(&'static Preset),
    Generic,
    Proxied,
}

impl Added {
    fn of(request: &Request) -> Result<Self, Problem> {
        match request.param("preset") {
            GENERIC => Ok(Added::Generic),
            PROXIED => Ok(Added::Proxied),
            id => presets::find(id).map(Added::Preset).ok_or_else(Problem::not_found),
        }
    }

    pub(super) fn path(&self) -> String {
        let last = match self {
            Added::Preset(preset) => &preset.id,
            Added::Generic => GENERIC,
            Added::Proxied => PROXIED,
        };
        format!("/admin/apps/new/{last}")
    }
}

/// What was typed.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) url: String,
    words: BTreeMap<String, String>,
    redirect_uris: Vec<String>,
    kind: Option<ClientKind>,
    pub(super) level: String,
    /// Whom it is for: nothing, if that was not said.
    is_for_some: Option<bool>,
    groups: Vec<String>,
}

impl Typed {
    fn of_form(form: &Form, added: &Added) -> Self {
        let mut words = BTreeMap::new();
        if let Added::Preset(preset) = added {
            for parameter in &preset.parameters {
                let text = form.text(&format!("{WORD}{}", parameter.name)).trim();
                if !text.is_empty() {
                    words.insert(parameter.name.clone(), text.to_owned());
                }
            }
        }
        Typed {
            name: form.text("name").trim().to_owned(),
            url: form.text("url").trim().to_owned(),
            words,
            redirect_uris: lines(form, "redirect_uris"),
            kind: ClientKind::parse(form.text("kind")),
            level: form.text("level").to_owned(),
            is_for_some: pages::is_for_some(form),
            groups: form.all("group").map(str::to_owned).collect(),
        }
    }

    /// Returns the groups that may use the app; none means everyone.
    pub(super) fn groups(&self, t: Words) -> Result<Vec<GroupName>, FieldErrors> {
        pages::groups_of(t, self.is_for_some, self.groups.iter().map(String::as_str))
    }

    fn place(&self) -> Place {
        Place { url: self.url.clone(), parameters: self.words.clone() }
    }
}

/// `GET /admin/apps/new/{preset}`; behind a proxy also `?host=…&proxy=…`, which shows the lines. What is added needs a
/// fresh proof, and nobody should lose what they typed to it. `doorward` is where a proxy reaches us.
pub async fn show_new(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    doorward: String,
) -> Result<Reply, Problem> {
    let added = Added::of(request)?;
    if let (Added::Proxied, Some(host)) = (&added, request.query("host")) {
        return super::proxied_apps::lines_page(room, request, actor, &host, doorward);
    }
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&added.path()));
    }
    let name = match &added {
        Added::Preset(preset) => preset.name.clone(),
        _ => String::new(),
    };
    let level = "two_factor".to_owned();
    let typed = Typed { name, level, is_for_some: Some(false), ..Typed::default() };
    new_page(room, request, actor, &added, &typed, FieldErrors::none())
}

pub(super) fn new_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    added: &Added,
    typed: &Typed,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let t = request.words();
    let (title, new) = match added {
        Added::Preset(preset) => (t.apps_add_preset(&preset.name), NewKind::Preset),
        Added::Generic => (t.apps_add_oidc().to_owned(), NewKind::Generic),
        Added::Proxied => (t.apps_add_proxied().to_owned(), NewKind::Proxied),
    };
    let preset = match added {
        Added::Preset(preset) => Some(*preset),
        _ => None,
    };
    let word = |parameter: &presets::Parameter| Word {
        id: format!("{WORD}{}", parameter.name),
        label: parameter.label.clone(),
        value: typed.words.get(&parameter.name).unwrap_or(&parameter.default).clone(),
    };
    let page = views::AppNew {
        frame: room.frame(request, actor, &title, "apps"),
        action: added.path(),
        new,
        notes: preset.map(|preset| preset.notes_in(t).to_vec()).unwrap_or_default(),
        website: preset.map(|preset| preset.website.clone()).unwrap_or_default(),
        needs_url: preset.map_or(new == NewKind::Proxied, Preset::needs_app_url),
        name: typed.name.clone(),
        url: typed.url.clone(),
        words: preset.map(|preset| preset.parameters.iter().map(word).collect()).unwrap_or_default(),
        redirect_uris: typed.redirect_uris.join("\n"),
        kinds: kinds(t, typed.kind.unwrap_or(ClientKind::Confidential)),
        levels: if new == NewKind::Proxied { levels(t, &typed.level) } else { Vec::new() },
        who: who_choices(t, typed.is_for_some),
        groups: group_choices(room, &typed.groups)?,
        errors,
    };
    Reply::html(status, &page)
}

fn kinds(t: Words, chosen: ClientKind) -> Vec<Choice> {
    let choice = |kind: ClientKind, label: &str, hint: &str| Choice {
        hint: hint.to_owned(),
        ..Choice::new(kind.as_str(), label, kind == chosen)
    };
    vec![
        choice(ClientKind::Confidential, t.apps_on_server(), t.apps_on_server_hint()),
        choice(ClientKind::Public, t.apps_on_device(), t.apps_on_device_hint()),
    ]
}

fn levels(t: Words, chosen: &str) -> Vec<Choice> {
    vec![
        Choice::new("one_factor", t.apps_need_one(), chosen == "one_factor"),
        Choice::new("two_factor", t.apps_need_two(), chosen == "two_factor"),
    ]
}

/// `POST /admin/apps/new/{preset}`: adds the app and shows what to paste where, its secret among it, once.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let added = Added::of(request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&added.path()));
    }
    let typed = Typed::of_form(&request.form()?, &added);
    let preset = match &added {
        Added::Proxied => return super::proxied_apps::submit(room, request, actor, &typed).await,
        Added::Preset(preset) => Some(*preset),
        Added::Generic => None,
    };
    let made = match settings_of(request.words(), preset, &typed) {
        Ok(settings) => add(room, request, actor, preset, settings).await,
        Err(errors) => return new_page(room, request, actor, &added, &typed, errors),
    };
    match made {
        Ok(made) => {
            let shown = Shown { is_new: true, secret: made.secret, place: Some(typed.place()) };
            values_page(room, request, actor, &made.client, shown)
        }
        Err(AddError::Objections(objections)) => {
            new_page(room, request, actor, &added, &typed, FieldErrors::said(request.words(), &objections))
        }
        Err(error) => Err(error.into()),
    }
}

fn settings_of(
    words: Words,
    preset: Option<&'static Preset>,
    typed: &Typed,
) -> Result<ClientSettings, FieldErrors> {
    let groups = typed.groups(words)?;
    let base = match preset {
        Some(preset) => new_apps::settings(preset, &typed.place())
            .map_err(|problem| FieldErrors::said(words, &problem.fields))?,
        None => ClientSettings {
            redirect_uris: typed.redirect_uris.clone(),
            kind: typed.kind.unwrap_or(ClientKind::Confidential),
            ..ClientSettings::default()
        },
    };
    Ok(ClientSettings { name: typed.name.clone(), groups, ..base })
}

async fn add(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    preset: Option<&'static Preset>,
    settings: ClientSettings,
) -> Result<crate::oidc::Added, AddError> {
    let visit = visit(room, request).map_err(|_| AddError::NotFound)?;
    let event = room.event(EventKind::AppAdded, actor, &visit).detail("name", &settings.name);
    let id = preset.and_then(|preset| new_apps::id_for(&room.oidc, preset));
    room.oidc.add_client(id, settings, |batch, client| room.audit.write(batch, event.on(client))).await
}

/// What a page of values shows beside the app itself.
#[derive(Default)]
pub(super) struct Shown {
    is_new: bool,
    secret: Option<SecretText>,
    /// Where the app lives, if it was said just now.
    place: Option<Place>,
}

/// `GET /admin/apps/{id}/values`.
pub async fn show_values(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    values_page(room, request, actor, &*found(room, request)?, Shown::default())
}

fn values_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    client: &Client,
    shown: Shown,
) -> Result<Reply, Problem> {
    // An app that was added of a preset has its name, unless that was taken.
    let preset = presets::find(client.id.as_str());
    let t = request.words();
    let place = shown.place.unwrap_or_else(|| Place {
        url: client.settings.launch_url.clone().unwrap_or_default(),
        ..Place::default()
    });
    let (mut rows, mut config) = (Vec::new(), None);
    let (mut notes, mut missing) = (Vec::new(), Vec::new());
    if let Some(preset) = preset {
        let pasting = new_apps::pasting(&room.oidc, preset, client, shown.secret.clone(), &place);
        let is_gone = shown.secret.is_none();
        rows.extend(pasting.rows.into_iter().map(|(label, value, is_secret)| Copied {
            label,
            value: value.expose().clone(),
            is_gone: is_secret && is_gone,
        }));
        config = pasting.config.map(|(file, text, has_secret)| Snippet {
            title: file.clone(),
            place: if has_secret && is_gone { t.apps_config_place(&file) } else { file },
            text: text.expose().clone(),
        });
        notes = preset.notes_in(t).to_vec();
        missing = pasting.missing.iter().map(|why| why.in_words(t)).collect();
    }
    let page = views::AppValues {
        frame: room.frame(request, actor, &client.settings.name, "apps"),
        head: head(client, "values", t),
        is_new: shown.is_new,
        secret: shown.secret.filter(|_| preset.is_none()).map(|secret| secret.expose().clone()),
        has_secret: client.secret_count() > 0,
        rows,
        config,
        notes,
        missing,
        redirect_uris: client.settings.redirect_uris.clone(),
        values: values(room, client, t),
        is_testable: Oidc::untestable(client).is_none(),
    };
    Reply::html(StatusCode::OK, &page)
}

fn values(room: &Admin, client: &Client, t: Words) -> Vec<Copied> {
    let issuer = room.oidc.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    [
        (t.apps_value_client_id(), client.id.to_string()),
        (t.apps_value_issuer(), issuer.clone()),
        (t.apps_value_discovery(), at("/.well-known/openid-configuration")),
        (t.apps_value_authorize(), at("/oauth2/authorize")),
        (t.apps_value_token(), at("/oauth2/token")),
        (t.apps_value_userinfo(), at("/oauth2/userinfo")),
        (t.apps_value_keys(), at("/jwks.json")),
        (t.apps_value_logout(), at("/logout")),
    ]
    .map(|(label, value)| Copied { label: label.to_owned(), value, is_gone: false })
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_found_by_name_and_by_what_they_are_for() {
        let immich = presets::find("immich").unwrap();
        for q in ["", "imm", "IMMICH", "photos", "files immich"] {
            assert!(fits(immich, q, Words::ENGLISH), "{q}");
        }
        assert!(!fits(immich, "grafana", Words::ENGLISH));
        for name in [GENERIC, PROXIED] {
            assert!(presets::find(name).is_none(), "{name} is the name of a page");
        }
    }
}
