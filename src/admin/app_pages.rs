//! The pages about apps that sign people in through OpenID Connect.

use http::StatusCode;

use super::Admin;
use crate::audit::Kind as EventKind;
use crate::crypto::signing::SigningAlgorithm;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::GroupName;
use crate::oidc::client::{AuthMethod, ClientKind, ConsentMode, Demand};
use crate::oidc::scopes::Scopes;
use crate::oidc::{AddError, Client, ClientSettings};
use crate::sessions::{Level, Principal};
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::apps as views;
use crate::views::{Badge, Choice, Fact, FieldErrors, Kind, When};

/// `GET /admin/apps`.
pub async fn show_apps(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let clients = room.oidc.clients();
    let rows = clients.iter().map(|client| views::AppRow {
        url: app_url(client),
        id: client.id.to_string(),
        name: client.settings.name.clone(),
        initials: client.settings.initials.clone(),
        badges: badges(client),
    });
    let mut rows: Vec<views::AppRow> = rows.collect();
    rows.sort_by_key(|row| row.name.to_lowercase());
    let mut frame = room.frame(request, actor, "Apps", "apps");
    if request.query("done").as_deref() == Some("removed") {
        frame = frame.with_notice(Kind::Ok, "The app is removed.");
    }
    Reply::html(StatusCode::OK, &views::Apps { frame, rows })
}

fn app_url(client: &Client) -> String {
    format!("/admin/apps/{}", client.id)
}

fn badges(client: &Client) -> Vec<Badge> {
    let mut badges = Vec::new();
    if client.settings.is_disabled {
        badges.push(Badge::new(Kind::Danger, "Switched off"));
    }
    if client.registered_itself {
        badges.push(Badge::new(Kind::Warn, "Registered itself"));
    }
    badges
}

fn kinds(chosen: ClientKind) -> Vec<Choice> {
    let choice = |kind: ClientKind, label: &str, hint: &str| Choice {
        hint: hint.to_owned(),
        ..Choice::new(kind.as_str(), label, kind == chosen)
    };
    vec![
        choice(ClientKind::Confidential, "On a server", "Most self-hosted apps. It gets a secret."),
        choice(
            ClientKind::Public,
            "In the browser, or on a phone or computer",
            "It cannot keep a secret and uses PKCE instead.",
        ),
    ]
}

/// `GET /admin/apps/new`.
pub async fn show_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    new_page(room, request, actor, &ClientSettings::default(), FieldErrors::none())
}

fn new_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    typed: &ClientSettings,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::AppNew {
        frame: room.frame(request, actor, "Add an app", "apps"),
        name: typed.name.clone(),
        redirect_uris: typed.redirect_uris.join("\n"),
        kinds: kinds(typed.kind),
        errors,
    };
    Reply::html(status, &page)
}

fn lines(form: &Form, field: &str) -> Vec<String> {
    form.text(field).split_whitespace().map(str::to_owned).collect()
}

/// `POST /admin/apps/new`: adds the app and shows its secret once.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first("/admin/apps/new"));
    }
    let form = request.form()?;
    let settings = ClientSettings {
        name: form.text("name").to_owned(),
        redirect_uris: lines(&form, "redirect_uris"),
        kind: ClientKind::parse(form.text("kind")).unwrap_or(ClientKind::Confidential),
        ..ClientSettings::default()
    };
    let event = room.event(EventKind::AppAdded, actor, &visit(room, request)?).detail("name", &settings.name);
    let added = room
        .oidc
        .add_client(None, settings.clone(), |batch, client| room.audit.write(batch, event.on(client)))
        .await;
    match added {
        Ok(added) => app_page(room, request, actor, &added.client, Shown::with_secret(added.secret)),
        Err(AddError::Objections(objections)) => {
            new_page(room, request, actor, &settings, errors_of(objections))
        }
        Err(error) => Err(error.into()),
    }
}

fn errors_of(objections: Vec<(&'static str, String)>) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for (field, why) in objections {
        errors.push(field, why);
    }
    errors
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

fn found(room: &Admin, request: &Request) -> Result<std::sync::Arc<Client>, Problem> {
    room.oidc.client(request.param("id")).ok_or_else(Problem::not_found)
}

/// `GET /admin/apps/{id}`.
pub async fn show_app(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    app_page(room, request, actor, &*found(room, request)?, Shown::default())
}

fn values(room: &Admin, client: &Client) -> Vec<views::Copied> {
    let issuer = room.oidc.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    [
        ("Client ID", client.id.to_string()),
        ("Issuer", issuer.clone()),
        ("Discovery address", at("/.well-known/openid-configuration")),
        ("Authorization endpoint", at("/oauth2/authorize")),
        ("Token endpoint", at("/oauth2/token")),
        ("Userinfo endpoint", at("/oauth2/userinfo")),
        ("Sign-out endpoint", at("/logout")),
    ]
    .map(|(label, value)| views::Copied { label, value })
    .to_vec()
}

fn app_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    client: &Client,
    shown: Shown,
) -> Result<Reply, Problem> {
    let is_wrong = shown.errors.is_some();
    let settings = shown.typed.as_ref().unwrap_or(&client.settings);
    let mut frame = room.frame(request, actor, &client.settings.name, "apps");
    let notice = match request.query("done").as_deref() {
        Some("saved") => "Saved. It is in force now.",
        Some("dropped") => "The old secret is not good any more.",
        Some("on") => "Switched on.",
        Some("off") => "Switched off. Its tokens are refused.",
        _ => "",
    };
    if !notice.is_empty() {
        frame = frame.with_notice(Kind::Ok, notice);
    }
    let method_word = |method: AuthMethod| match method {
        AuthMethod::Any => "By secret, in whatever way it likes",
        AuthMethod::Basic => "By secret in the header (client_secret_basic)",
        AuthMethod::Post => "By secret in the form (client_secret_post)",
        AuthMethod::PrivateKeyJwt => "By its own key (private_key_jwt)",
        AuthMethod::None => "Not at all: it is public",
    };
    let is_public = settings.kind == ClientKind::Public;
    let methods = AuthMethod::ALL.iter().filter(|method| (**method == AuthMethod::None) == is_public);
    let page = views::App {
        frame,
        url: app_url(client),
        initials: client.settings.initials.clone(),
        shown_name: client.settings.name.clone(),
        badges: badges(client),
        secret: shown.secret.map(|secret| secret.expose().clone()),
        values: values(room, client),
        secrets: client.secret_count(),
        has_secret: client.secret_count() > 0,
        is_disabled: client.settings.is_disabled,
        facts: vec![Fact { label: "Added".to_owned(), value: When::from(client.created_at).text }],
        name: settings.name.clone(),
        redirect_uris: settings.redirect_uris.join("\n"),
        post_logout_redirect_uris: settings.post_logout_redirect_uris.join("\n"),
        backchannel_logout_uri: settings.backchannel_logout_uri.clone().unwrap_or_default(),
        scopes: settings.scopes.to_string(),
        groups: group_choices(room, &settings.groups)?,
        levels: level_choices(settings.level),
        consents: consent_choices(settings.consent),
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

fn group_choices(room: &Admin, chosen: &[GroupName]) -> Result<Vec<Choice>, Problem> {
    let mut names: Vec<GroupName> = room.list_groups()?.into_iter().map(|group| group.name).collect();
    names.extend(chosen.iter().cloned());
    names.sort();
    names.dedup();
    Ok(names.iter().map(|name| Choice::new(name.as_str(), name.as_str(), chosen.contains(name))).collect())
}

fn level_choices(chosen: Level) -> Vec<Choice> {
    vec![
        Choice::new("one_factor", "A password is enough", chosen == Level::OneFactor),
        Choice::new("two_factor", "Two factors", chosen == Level::TwoFactor),
    ]
}

fn consent_choices(chosen: ConsentMode) -> Vec<Choice> {
    let word = |mode: ConsentMode| match mode {
        ConsentMode::Once => "Once, and again when it asks for more",
        ConsentMode::Always => "At every sign-in",
        ConsentMode::Skip => "Never: the app belongs to the house",
    };
    ConsentMode::ALL.iter().map(|mode| Choice::new(mode.as_str(), word(*mode), *mode == chosen)).collect()
}

/// Reads the settings that the form holds; everything else stays as it is.
fn settings_of(form: &Form, own: &ClientSettings) -> Result<ClientSettings, FieldErrors> {
    let mut settings = own.clone();
    form.text("name").clone_into(&mut settings.name);
    settings.redirect_uris = lines(form, "redirect_uris");
    settings.post_logout_redirect_uris = lines(form, "post_logout_redirect_uris");
    settings.backchannel_logout_uri =
        Some(form.text("backchannel_logout_uri").trim().to_owned()).filter(|uri| !uri.is_empty());
    let scopes = Scopes::parse(form.text("scopes"));
    settings.scopes =
        scopes.ok_or_else(|| FieldErrors::one("scopes", "A scope holds what is not allowed."))?;
    let groups = form.all("group").map(GroupName::parse).collect::<Result<Vec<_>, _>>();
    settings.groups = groups.map_err(|error| FieldErrors::one("group", error.to_string()))?;
    settings.level = if form.text("level") == "two_factor" { Level::TwoFactor } else { Level::OneFactor };
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
    let settings = match settings_of(&form, &client.settings) {
        Ok(settings) => settings,
        Err(errors) => {
            let shown = Shown { errors: Some(errors), ..Shown::default() };
            return app_page(room, request, actor, &client, shown);
        }
    };
    let event = room.event(EventKind::AppChanged, actor, &visit(room, request)?).on(client.id.as_str());
    let changed =
        room.oidc.change_client(&client.id, settings.clone(), |batch| room.audit.write(batch, event)).await;
    match changed {
        Ok(client) => Ok(done(&client, "saved")),
        Err(AddError::Objections(objections)) => {
            let errors = Some(errors_of(objections));
            app_page(room, request, actor, &client, Shown { typed: Some(settings), errors, secret: None })
        }
        Err(error) => Err(error.into()),
    }
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
