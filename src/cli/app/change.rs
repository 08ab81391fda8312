//! `doorward app {add,set,secret,remove,enable,disable}`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::presets::{paste, section};
use super::shown::members;
use super::{AddArgs, find};
use crate::admin::client_api;
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::cli::Failure;
use crate::crypto::signing::SigningAlgorithm;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::text::GroupName;
use crate::oidc::client::ClientKind;
use crate::oidc::presets::{Preset, Values, check_against_discovery, find_or_suggest};
use crate::oidc::scopes::Scopes;
use crate::oidc::{AddError, Added, ClientId, ClientSettings};
use crate::words::Said;

/// An event of something that was done here.
pub(super) fn event(kind: Kind) -> Event {
    Event::succeeded(kind).by_system("cli")
}

/// Says why settings were refused: one line for each.
pub(super) fn refused(error: AddError) -> Failure {
    match error {
        AddError::Objections(objections) => {
            let lines: Vec<String> =
                objections.iter().map(|(field, why)| format!("{field}: {why}")).collect();
            Failure::new(lines.join("\n"))
        }
        AddError::NotFound => Failure::new("There is no such app. `doorward app list` shows all."),
        other => Failure::new(Problem::from(other).detail.english()),
    }
}

/// Where an app of a preset lives, and the words that it leaves open.
struct Place {
    url: String,
    parameters: BTreeMap<String, String>,
}

impl Place {
    fn of(args: &AddArgs) -> Result<Self, Failure> {
        let mut parameters = BTreeMap::new();
        for text in &args.params {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!(
                    "Write a parameter and its value, such as provider=house, not “{text}”."
                ))
            })?;
            parameters.insert(name.to_owned(), value.to_owned());
        }
        Ok(Place { url: args.url.clone().unwrap_or_default(), parameters })
    }
}

/// Adds an app.
pub(super) async fn add(app: &App, args: AddArgs) -> Result<String, Failure> {
    let place = Place::of(&args)?;
    let preset = args.preset.as_deref().map(find_or_suggest).transpose().map_err(Failure::new)?;
    let settings = settings_of(&args, preset, &place)?;
    let id = match args.id.as_deref().or(preset.map(|preset| preset.id.as_str())) {
        Some(id) => Some(ClientId::parse(id).map_err(Failure::usage)?),
        None => None,
    };
    let event = event(Kind::AppAdded).detail("name", &settings.name);
    let added = app.oidc.add_client(id, settings, |batch, id| app.audit.write(batch, event.on(id)));
    let added = added.await.map_err(|error| match error {
        AddError::Taken => {
            Failure::new("There is an app with this id already. Choose another one with --id.")
        }
        other => refused(other),
    })?;
    Ok(tell(app, added, preset, &place))
}

fn settings_of(args: &AddArgs, preset: Option<&Preset>, place: &Place) -> Result<ClientSettings, Failure> {
    let mut settings = match preset {
        Some(preset) => {
            preset.settings(&place.url, &place.parameters).map_err(|why| Failure::usage(why.english()))?
        }
        None => ClientSettings::default(),
    };
    if let Some(name) = &args.name {
        settings.name.clone_from(name);
    }
    settings.redirect_uris.extend(args.redirect_uris.iter().cloned());
    settings.post_logout_redirect_uris.extend(args.post_logout_uris.iter().cloned());
    if args.backchannel_uri.is_some() {
        settings.backchannel_logout_uri.clone_from(&args.backchannel_uri);
    }
    if args.public {
        settings.kind = ClientKind::Public;
    }
    if !args.scopes.is_empty() {
        settings.scopes = Scopes::parse(&args.scopes.join(" "))
            .ok_or_else(|| Failure::usage("A scope is a word of plain letters, such as email."))?;
    }
    for group in &args.groups {
        let group = GroupName::parse(group).map_err(|error| Failure::usage(error.to_string()))?;
        settings.groups.push(group);
    }
    if let Some(name) = &args.alg {
        settings.id_token_alg =
            SigningAlgorithm::parse(name).ok_or_else(|| Failure::usage("--alg is RS256, ES256 or EdDSA."))?;
    }
    Ok(settings)
}

/// Says what the admin of the app needs to know.
fn tell(app: &App, added: Added, preset: Option<&'static Preset>, place: &Place) -> String {
    let (client, secret) = (added.client, added.secret);
    let issuer = app.oidc.issuer();
    let mut text = format!("{} was added.\n\n", client.settings.name);
    let _ = writeln!(text, "Issuer          {issuer}");
    let _ = writeln!(text, "Client id       {}", client.id);
    match &secret {
        Some(secret) => {
            let _ = writeln!(text, "Client secret   {}", secret.expose());
            text.push_str("                The secret is not shown again.\n");
        }
        None => text.push_str("Client secret   none\n"),
    }
    section(&mut text, "Redirect URIs", &client.settings.redirect_uris);
    let Some(preset) = preset else { return text };
    let mut values = Values::new(&issuer, client.id.as_str(), secret, &place.url);
    values.parameters.clone_from(&place.parameters);
    section(&mut text, "Notes", &preset.notes);
    let missing: Vec<String> =
        check_against_discovery(preset, &app.oidc.metadata()).iter().map(Said::english).collect();
    section(&mut text, "What is missing here", &missing);
    paste(&mut text, preset, &values);
    text
}

/// Changes the settings that are named.
pub(super) async fn set(app: &App, id: &str, changes: &[String]) -> Result<String, Failure> {
    let client = find(app, id)?;
    let (own, usual) = (members(&client.settings), members(&ClientSettings::default()));
    let mut body = Map::new();
    for change in changes {
        let (name, value) = change.split_once('=').ok_or_else(|| {
            Failure::usage(format!("Write a setting and its value, such as name=Photos, not “{change}”."))
        })?;
        let usual = usual.get(name).ok_or_else(|| {
            Failure::usage(format!("There is no setting {name}. `doorward app show` names them."))
        })?;
        body.insert(name.to_owned(), setting(own.get(name).unwrap_or(usual), usual, value)?);
    }
    let names: Vec<&str> = body.keys().map(String::as_str).collect();
    let event = event(Kind::AppChanged).on(&client.id).detail("fields", names.join(" "));
    let settings = client_api::settings_of(&client.settings, body)
        .map_err(|problem| Failure::usage(problem.detail.english()))?;
    let changed = app.oidc.change_seen_client(&client, settings, |batch| app.audit.write(batch, event));
    Ok(super::shown::client(&*changed.await.map_err(refused)?))
}

/// Reads the value of a setting by the kind of value that it has.
fn setting(own: &Value, usual: &Value, text: &str) -> Result<Value, Failure> {
    if text.is_empty() {
        return Ok(if usual.is_array() { Value::Array(Vec::new()) } else { usual.clone() });
    }
    let wrong = || Failure::usage(format!("“{text}” is no value of this setting."));
    match (own, usual) {
        (Value::Array(_), _) => {
            let items = text.split([',', ' ']).map(str::trim).filter(|item| !item.is_empty());
            Ok(items.map(|item| Value::String(item.to_owned())).collect())
        }
        (Value::Bool(_), _) => text.parse().map(Value::Bool).map_err(|_| wrong()),
        (Value::Number(_) | Value::Object(_), _) => serde_json::from_str(text).map_err(|_| wrong()),
        // What is not set yet says nothing about its kind.
        (Value::Null, _) if text.starts_with('{') || text.bytes().all(|byte| byte.is_ascii_digit()) => {
            serde_json::from_str(text).map_err(|_| wrong())
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Gives an app a second secret.
pub(super) async fn renew_secret(app: &App, id: &str) -> Result<String, Failure> {
    let secret = fresh_secret(app, &find(app, id)?.id).await?;
    Ok(format!(
        "{}\nThis is a new secret of {id}; it is not shown again. The one before stays good until\n\
         doorward app secret {id} --drop-old\n",
        secret.expose()
    ))
}

/// Gives an app a second secret and returns it.
pub(super) async fn fresh_secret(app: &App, id: &ClientId) -> Result<SecretText, Failure> {
    let event = event(Kind::AppSecretMade).on(id);
    app.oidc.renew_secret(id, |batch| app.audit.write(batch, event)).await.map_err(refused)
}

/// Takes the older of two secrets away.
pub(super) async fn drop_old_secret(app: &App, id: &str) -> Result<String, Failure> {
    let client = find(app, id)?;
    if client.secret_count() < 2 {
        return Ok(format!("{id} has no older secret.\n"));
    }
    let event = event(Kind::AppChanged).on(&client.id).detail("secret", "old");
    app.oidc.drop_old_secret(&client.id, |batch| app.audit.write(batch, event)).await.map_err(refused)?;
    Ok(format!("The older secret of {id} is dropped.\n"))
}

/// Removes an app.
pub(super) async fn remove(app: &App, id: &str) -> Result<String, Failure> {
    let client = find(app, id)?;
    let event = event(Kind::AppRemoved).on(&client.id).detail("name", &client.settings.name);
    app.oidc.remove_client(&client.id, |batch| app.audit.write(batch, event)).await.map_err(refused)?;
    Ok(format!("{id} is removed.\n"))
}

/// Switches an app on or off.
pub(super) async fn switch(app: &App, id: &str, is_on: bool) -> Result<String, Failure> {
    let client = find(app, id)?;
    let state = if is_on { "enabled" } else { "disabled" };
    if client.settings.is_disabled == is_on {
        let settings = ClientSettings { is_disabled: !is_on, ..client.settings.clone() };
        let event = event(Kind::AppChanged).on(&client.id).detail("fields", "is_disabled");
        app.oidc
            .change_client(&client.id, settings, |batch| app.audit.write(batch, event))
            .await
            .map_err(refused)?;
    }
    Ok(format!("{id} is {state}.\n"))
}
