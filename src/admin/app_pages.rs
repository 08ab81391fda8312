//! The pages about apps that sign people in through OpenID Connect.

use http::StatusCode;

use super::Admin;
use super::client_api::differing;
use crate::access::rule_words::{listed, people};
use crate::access::{DomainPattern, Policy, Rule};
use crate::audit::Kind as EventKind;
use crate::crypto::signing::SigningAlgorithm;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::GroupName;
use crate::oidc::client::{AuthMethod, ClientKind, ConsentMode, Demand};
use crate::oidc::presets::with_scheme;
use crate::oidc::scopes::Scopes;
use crate::oidc::{AddError, Client, ClientSettings};
use crate::sessions::{Level, Principal};
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::store::CommitError;
use crate::views::apps as views;
use crate::views::{Badge, Choice, Fact, FieldErrors, Kind, When};
use crate::words::Words;

/// The most hosts behind a proxy that the list shows.
const MOST_PROXIED: usize = 200;

/// `GET /admin/apps`.
pub async fn show_apps(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (t, clients) = (request.words(), room.oidc.clients());
    let card = |client: &std::sync::Arc<Client>| views::AppCard {
        url: app_url(client),
        name: client.settings.name.clone(),
        initials: client.settings.initials.clone(),
        kind: kind_of(client, t).to_owned(),
        who: who_may(&client.settings.groups, t),
        used: room.oidc.last_used(&client.id).map(When::from),
        badges: badges(client, t),
    };
    let mut cards: Vec<views::AppCard> = clients.iter().map(card).collect();
    cards.sort_unstable_by_key(|card| card.name.to_lowercase());
    let mut frame = room.frame(request, actor, t.apps_title(), "apps");
    if request.query("done").as_deref() == Some("removed") {
        frame = frame.with_notice(Kind::Ok, t.apps_removed());
    }
    Reply::html(StatusCode::OK, &views::Apps { frame, cards, proxied: proxied(room, t) })
}

fn kind_of(client: &Client, t: Words) -> &'static str {
    match client.settings.kind {
        ClientKind::Confidential => t.apps_kind_server(),
        ClientKind::Public => t.apps_kind_device(),
    }
}

fn who_may(groups: &[GroupName], t: Words) -> String {
    match groups {
        [] => t.apps_for_everyone().to_owned(),
        groups => t.apps_for_some(listed(groups, t.apps_and())),
    }
}

/// The hosts that access rules name outright, each with the first rule that lets somebody in.
fn proxied(room: &Admin, t: Words) -> Vec<views::AppCard> {
    let list = room.access.list();
    let mut seen = std::collections::BTreeSet::new();
    let mut cards = Vec::new();
    for rule in list.rules().iter().filter(|rule| rule.policy() != Policy::Deny) {
        for domain in rule.domains() {
            let DomainPattern::Exact(host) = domain else { continue };
            if seen.insert(host.to_string()) && cards.len() < MOST_PROXIED {
                cards.push(host_card(host, rule, t));
            }
        }
    }
    cards
}

fn host_card(host: &str, rule: &Rule, t: Words) -> views::AppCard {
    let note = rule.note().trim();
    let name = if note.is_empty() || note.chars().count() > 40 { host } else { note };
    let who = match (rule.policy(), rule.names_people()) {
        (Policy::Bypass, _) => t.apps_open_to_all().to_owned(),
        (_, true) => t.apps_for_some(people(rule, t)),
        (_, false) => t.apps_for_everyone().to_owned(),
    };
    views::AppCard {
        url: format!("/admin/rules?address=https%3A%2F%2F{host}%2F#test"),
        name: name.to_owned(),
        initials: crate::views::initials(name),
        kind: host.to_owned(),
        who,
        used: None,
        badges: Vec::new(),
    }
}

pub(super) fn app_url(client: &Client) -> String {
    format!("/admin/apps/{}", client.id)
}

fn badges(client: &Client, t: Words) -> Vec<Badge> {
    let mut badges = Vec::new();
    if client.settings.is_disabled {
        badges.push(Badge::new(Kind::Danger, t.apps_switched_off()));
    }
    if client.registered_itself {
        badges.push(Badge::new(Kind::Warn, t.apps_registered_itself()));
    }
    badges
}

/// Returns what stands above each page of an app.
pub(super) fn head(client: &Client, current: &'static str, t: Words) -> views::AppHead {
    views::AppHead {
        url: app_url(client),
        initials: client.settings.initials.clone(),
        name: client.settings.name.clone(),
        badges: badges(client, t),
        current,
    }
}

pub(super) fn lines(form: &Form, field: &str) -> Vec<String> {
    form.text(field).split_whitespace().map(str::to_owned).collect()
}

/// What a page shows beside the app itself.
#[derive(Default)]
struct Shown {
    secret: Option<SecretText>,
    typed: Option<ClientSettings>,
    errors: Option<FieldErrors>,
}

impl Shown {
    fn with_secret(secret: Option<SecretText>) -> Self {
        Shown { secret, ..Shown::default() }
    }
}

pub(super) fn found(room: &Admin, request: &Request) -> Result<std::sync::Arc<Client>, Problem> {
    room.oidc.client(request.param("id")).ok_or_else(Problem::not_found)
}

/// `GET /admin/apps/{id}`.
pub async fn show_app(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    app_page(room, request, actor, &*found(room, request)?, Shown::default())
}

fn app_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    client: &Client,
    shown: Shown,
) -> Result<Reply, Problem> {
    let t = request.words();
    let is_wrong = shown.errors.is_some();
    let settings = shown.typed.as_ref().unwrap_or(&client.settings);
    let mut frame = room.frame(request, actor, &client.settings.name, "apps");
    let notice = match request.query("done").as_deref() {
        Some("saved") => t.apps_done_saved(),
        Some("dropped") => t.apps_done_dropped(),
        Some("on") => t.apps_done_on(),
        Some("off") => t.apps_done_off(),
        _ => "",
    };
    if !notice.is_empty() {
        frame = frame.with_notice(Kind::Ok, notice);
    }
    if request.query("done").as_deref() == Some("stale") {
        frame = frame.with_notice(Kind::Warn, t.ui_stale());
    }
    let method_word = |method: AuthMethod| match method {
        AuthMethod::Any => t.apps_auth_any(),
        AuthMethod::Basic => t.apps_auth_basic(),
        AuthMethod::Post => t.apps_auth_post(),
        AuthMethod::PrivateKeyJwt => t.apps_auth_key(),
        AuthMethod::None => t.apps_auth_none(),
    };
    let is_public = settings.kind == ClientKind::Public;
    let methods = AuthMethod::ALL.iter().filter(|method| (**method == AuthMethod::None) == is_public);
    let page = views::App {
        frame,
        head: head(client, "settings", t),
        revision: revision(client),
        secret: shown.secret.map(|secret| secret.expose().clone()),
        secrets: client.secret_count(),
        has_secret: client.settings.has_secret(),
        is_disabled: client.settings.is_disabled,
        facts: facts(room, client, t),
        name: settings.name.clone(),
        launch_url: settings.launch_url.clone().unwrap_or_default(),
        redirect_uris: settings.redirect_uris.join("\n"),
        post_logout_redirect_uris: settings.post_logout_redirect_uris.join("\n"),
        backchannel_logout_uri: settings.backchannel_logout_uri.clone().unwrap_or_default(),
        scopes: settings.scopes.to_string(),
        who: who_choices(t, Some(!settings.groups.is_empty())),
        groups: group_choices(room, &settings.groups.iter().map(ToString::to_string).collect::<Vec<_>>())?,
        levels: level_choices(t, settings.level),
        consents: consent_choices(t, settings.consent),
        auth_methods: methods
            .map(|method| Choice::new(method.as_str(), method_word(*method), *method == settings.auth_method))
            .collect(),
        algorithms: SigningAlgorithm::ALL
            .iter()
            .map(|own| Choice::new(own.as_str(), own.as_str(), *own == settings.id_token_alg))
            .collect(),
        needs_pkce: settings.pkce == Demand::Required,
        may_choose_pkce: !is_public,
        claims_in_id_token: settings.claims_in_id_token,
        errors: shown.errors.unwrap_or_else(FieldErrors::none),
    };
    Reply::html(if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &page)
}

fn facts(room: &Admin, client: &Client, t: Words) -> Vec<Fact> {
    let used = room.oidc.last_used(&client.id).map(|at| When::from(at).in_words(&t));
    vec![
        Fact::new(t.apps_value_client_id(), client.id.as_str()),
        Fact::new(t.apps_fact_added(), When::from(client.created_at).in_words(&t)),
        Fact::new(t.apps_last_sign_in(), used.unwrap_or_else(|| t.apps_never_used().to_owned())),
    ]
}

/// Returns the groups that there are, and those that are chosen.
pub(super) fn group_choices(room: &Admin, chosen: &[String]) -> Result<Vec<Choice>, Problem> {
    let mut names: Vec<String> =
        room.list_groups()?.into_iter().map(|group| group.name.to_string()).collect();
    names.extend(chosen.iter().cloned());
    names.sort_unstable();
    names.dedup();
    Ok(names
        .into_iter()
        .map(|name| Choice::new(name.clone(), name.clone(), chosen.contains(&name)))
        .collect())
}

/// Returns the two answers to who may use an app.
pub(super) fn who_choices(t: Words, is_for_some: Option<bool>) -> Vec<Choice> {
    vec![
        Choice::new("everyone", t.apps_who_everyone(), is_for_some == Some(false)),
        Choice::new("some", t.apps_who_some(), is_for_some == Some(true)),
    ]
}

/// Reads the answer to whom something is for; no other answer means anything.
pub(super) fn is_for_some(form: &Form) -> Option<bool> {
    match form.text("who") {
        "everyone" => Some(false),
        "some" => Some(true),
        _ => None,
    }
}

/// Reads who may use an app: no groups mean everyone, so that has to be said.
pub(super) fn groups_of<'a>(
    t: Words,
    is_for_some: Option<bool>,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<GroupName>, FieldErrors> {
    match is_for_some {
        None => return Err(FieldErrors::one("who", t.apps_choose_who())),
        Some(false) => return Ok(Vec::new()),
        Some(true) => {}
    }
    let groups = names.map(GroupName::parse).collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(|error| FieldErrors::one("group", error.to_string()))?;
    if groups.is_empty() {
        return Err(FieldErrors::one("group", t.apps_choose_group()));
    }
    Ok(groups)
}

fn level_choices(t: Words, chosen: Level) -> Vec<Choice> {
    vec![
        Choice::new("one_factor", t.apps_level_one(), chosen == Level::OneFactor),
        Choice::new("two_factor", t.apps_level_two(), chosen == Level::TwoFactor),
    ]
}

fn consent_choices(t: Words, chosen: ConsentMode) -> Vec<Choice> {
    let word = |mode: ConsentMode| match mode {
        ConsentMode::Once => t.apps_consent_once(),
        ConsentMode::Always => t.apps_consent_always(),
        ConsentMode::Skip => t.apps_consent_skip(),
    };
    ConsentMode::ALL.iter().map(|mode| Choice::new(mode.as_str(), word(*mode), *mode == chosen)).collect()
}

/// Reads the settings that the form holds; everything else stays as it is.
fn settings_of(t: Words, form: &Form, own: &ClientSettings) -> Result<ClientSettings, FieldErrors> {
    let mut settings = own.clone();
    form.text("name").clone_into(&mut settings.name);
    settings.redirect_uris = lines(form, "redirect_uris");
    settings.post_logout_redirect_uris = lines(form, "post_logout_redirect_uris");
    settings.backchannel_logout_uri =
        Some(form.text("backchannel_logout_uri").trim().to_owned()).filter(|uri| !uri.is_empty());
    let scopes = Scopes::parse(form.text("scopes"));
    settings.scopes = scopes.ok_or_else(|| FieldErrors::one("scopes", t.apps_bad_scopes()))?;
    settings.launch_url =
        Some(with_scheme(form.text("launch_url").trim()).into_owned()).filter(|url| !url.is_empty());
    settings.groups = groups_of(t, is_for_some(form), form.all("group"))?;
    settings.level = if form.text("level") == "one_factor" { Level::OneFactor } else { Level::TwoFactor };
    if let Some(consent) = ConsentMode::parse(form.text("consent")) {
        settings.consent = consent;
    }
    if let Some(method) = AuthMethod::parse(form.text("auth_method")) {
        settings.auth_method = method;
    }
    if let Some(algorithm) = SigningAlgorithm::parse(form.text("id_token_alg")) {
        settings.id_token_alg = algorithm;
    }
    settings.pkce = if form.is_ticked("pkce") { Demand::Required } else { Demand::Optional };
    settings.claims_in_id_token = form.is_ticked("claims_in_id_token");
    Ok(settings)
}

/// `POST /admin/apps/{id}`.
pub async fn submit_app(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&app_url(&client)));
    }
    let form = request.form()?;
    // The form holds everything, so an old one would undo what somebody else did meanwhile.
    if form.text("revision") != revision(&client) {
        return Ok(done(&client, "stale"));
    }
    let settings = match settings_of(request.words(), &form, &client.settings) {
        Ok(settings) => settings,
        Err(errors) => {
            let shown = Shown { errors: Some(errors), ..Shown::default() };
            return app_page(room, request, actor, &client, shown);
        }
    };
    let event = room.event(EventKind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    let event = event.detail("fields", differing(&client.settings, &settings));
    let changed =
        room.oidc.change_seen_client(&client, settings.clone(), |batch| room.audit.write(batch, event)).await;
    match changed {
        Ok(client) => Ok(done(&client, "saved")),
        Err(AddError::Commit(CommitError::Conflict)) => Ok(done(&client, "stale")),
        Err(AddError::Objections(objections)) => {
            let errors = Some(FieldErrors::said(request.words(), &objections));
            app_page(room, request, actor, &client, Shown { typed: Some(settings), errors, secret: None })
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns what stands for the settings of an app: it is another one after every change.
fn revision(client: &Client) -> String {
    format!("{}-{}", client.created_at.as_millis(), client.revision)
}

fn done(client: &Client, what: &str) -> Reply {
    Reply::see_other(&format!("{}?done={what}", app_url(client)))
}

/// `POST /admin/apps/{id}/secret`: makes a second secret and shows it once.
pub async fn new_secret(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&app_url(&client)));
    }
    let event = room.event(EventKind::AppSecretMade, actor, &visit(room, request)?).on(client.id.as_str());
    let secret = room.oidc.renew_secret(&client.id, |batch| room.audit.write(batch, event)).await?;
    app_page(room, request, actor, &*found(room, request)?, Shown::with_secret(Some(secret)))
}

/// `POST /admin/apps/{id}/drop-secret`.
pub async fn drop_secret(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&app_url(&client)));
    }
    let event = room.event(EventKind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    let event = event.detail("secret", "old");
    room.oidc.drop_old_secret(&client.id, |batch| room.audit.write(batch, event)).await?;
    Ok(done(&client, "dropped"))
}

/// `POST /admin/apps/{id}/switch`: on or off.
pub async fn switch(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&app_url(&client)));
    }
    let is_disabled = request.form()?.text("to") == "off";
    let settings = ClientSettings { is_disabled, ..client.settings.clone() };
    let event = room.event(EventKind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    let event = event.detail("switched", if is_disabled { "off" } else { "on" });
    room.oidc.change_client(&client.id, settings, |batch| room.audit.write(batch, event)).await?;
    Ok(done(&client, if is_disabled { "off" } else { "on" }))
}

/// `GET /admin/apps/{id}/remove`: asks once more.
pub async fn ask_to_remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let frame = room.frame(request, actor, &client.settings.name, "apps");
    Reply::html(StatusCode::OK, &views::AppRemove { frame, head: head(&client, "settings", request.words()) })
}

/// `POST /admin/apps/{id}/remove`.
pub async fn remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&app_url(&client)));
    }
    let event = room.event(EventKind::AppRemoved, actor, &visit(room, request)?).on(client.id.as_str());
    room.oidc.remove_client(&client.id, |batch| room.audit.write(batch, event)).await?;
    Ok(Reply::see_other("/admin/apps?done=removed"))
}
