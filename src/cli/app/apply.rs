//! `doorward app apply`: apps as a file says, as often as one likes.
//!
//! The whole file is judged before anything is changed. What a table leaves out is as in a new app, so the file alone
//! says what an app may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::change::{event, fresh_secret, refused};
use super::find;
use super::shown::members;
use crate::admin::client_api::settings_of;
use crate::app::App;
use crate::audit::Kind;
use crate::cli::Failure;
use crate::cli::input::{Input, read_file};
use crate::crypto::mac::sha256;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::oidc::presets::find_or_suggest;
use crate::oidc::{AddError, ClientId, ClientSettings};

/// How long a secret from outside is at least: only its digest is kept, which hides nothing that can be guessed.
const SHORTEST_SECRET: usize = 32;
const LONGEST_SECRET: usize = 512;
/// The largest file, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "app")]
    apps: Vec<Spanned<toml::Table>>,
}

impl File {
    fn parse(text: &str) -> Result<File, Failure> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            Failure::usage(format!("Line {line}: {}", error.message().trim()))
        })
    }
}

/// Returns the number of the line that holds a byte.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

/// Reads a file, and the secrets beside it that it names: of those, only digests travel.
///
/// # Errors
/// A file cannot be read, the text is no TOML, or a secret is too short to be safe.
pub(super) fn read(file: &Path) -> Result<Input, Failure> {
    let mut input = Input::of(read_file(file, LONGEST_FILE)?);
    for table in File::parse(input.text()?)?.apps {
        let Some(name) = table.get_ref().get("secret_file").and_then(toml::Value::as_str) else {
            continue;
        };
        let path = file.parent().unwrap_or(Path::new("")).join(name);
        let secret = SecretText::new(read_file(&path, LONGEST_FILE)?);
        let secret = secret.expose().trim_end_matches(['\n', '\r']);
        let is_sound = (SHORTEST_SECRET..=LONGEST_SECRET).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_sound {
            return Err(Failure::usage(format!(
                "{} must hold {SHORTEST_SECRET} to {LONGEST_SECRET} letters, digits and signs in one line, made at \
                 random: `openssl rand -hex 32`.",
                path.display()
            )));
        }
        input.digests.insert(name.to_owned(), sha256(secret));
    }
    Ok(input)
}

/// What one table asks for, judged.
struct Wanted {
    id: ClientId,
    settings: ClientSettings,
    /// SHA-256 of the secret, if it was made elsewhere.
    digest: Option<[u8; 32]>,
    /// How to learn what to paste where, if there is a preset.
    advice: Option<String>,
}

/// A table while it is read: complains with the line.
struct Table<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    faults: &'a mut Vec<String>,
}

impl Table<'_> {
    /// Complains about a setting: the line where it stands, or else where its table begins.
    fn object(&mut self, field: &str, why: impl std::fmt::Display) {
        let mut at = self.start;
        let mut offset = self.start;
        for line in self.text.get(self.start..self.end).unwrap_or_default().split_inclusive('\n') {
            let is_it =
                line.split_once('=').is_some_and(|(name, _)| name.trim().trim_matches(['"', '\'']) == field);
            if is_it {
                at = offset;
                break;
            }
            offset += line.len();
        }
        self.faults.push(format!("Line {}: {field}: {why}", line_of(self.text, at)));
    }
}

fn take_text(members: &mut Map<String, Value>, name: &str, table: &mut Table<'_>) -> Option<String> {
    match members.remove(name)? {
        Value::String(text) => Some(text),
        _ => {
            table.object(name, "This is a text in quotes.");
            None
        }
    }
}

/// Judges the whole file.
fn judge(app: &App, input: &Input) -> Result<Vec<Wanted>, Failure> {
    let text = input.text()?;
    let tables = File::parse(text)?.apps;
    let starts: Vec<usize> = tables.iter().map(|table| table.span().start).collect();
    let (mut faults, mut wanted, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for table in tables {
        let start = table.span().start;
        let end = starts.iter().copied().filter(|other| *other > start).min().unwrap_or(text.len());
        let mut place = Table { text, start, end, faults: &mut faults };
        let one = judge_one(app, input, table.into_inner(), &mut place);
        if let Some(one) = one {
            if seen.insert(one.id.clone()) {
                wanted.push(one);
            } else {
                place.object("id", "Another table has this id already.");
            }
        }
    }
    if faults.is_empty() {
        return Ok(wanted);
    }
    faults.push("Nothing was changed.".to_owned());
    Err(Failure::usage(faults.join("\n")))
}

/// Judges a table; `None` after a complaint.
fn judge_one(app: &App, input: &Input, table: toml::Table, place: &mut Table<'_>) -> Option<Wanted> {
    let before = place.faults.len();
    let Ok(Value::Object(mut members)) = serde_json::to_value(table) else {
        place.object("app", "This is no table of settings.");
        return None;
    };
    let id = take_text(&mut members, "id", place);
    let Some(id) = id.as_deref().map(ClientId::parse) else {
        place.object("id", "Each app has an id here, such as id = \"grafana\".");
        return None;
    };
    let id = id.map_err(|why| place.object("id", why)).ok();
    let digest = judge_secret(input, &mut members, place);
    let (base, advice) = judge_preset(&mut members, place)?;
    let mut settings = base;
    // One at a time, so that a complaint names the setting.
    for (name, value) in members {
        match settings_of(&settings, Map::from_iter([(name.clone(), value)])) {
            Ok(changed) => settings = changed,
            Err(problem) => place.object(&name, problem.detail.english()),
        }
    }
    if place.faults.len() > before {
        return None;
    }
    let id = id?;
    let settings = match app.oidc.check(settings) {
        Ok(settings) => settings,
        Err(AddError::Objections(objections)) => {
            for (field, why) in objections {
                place.object(field, why);
            }
            return None;
        }
        Err(other) => {
            place.object("id", Problem::from(other).detail.english());
            return None;
        }
    };
    if app.oidc.client(id.as_str()).is_none()
        && let Err(error) = app.oidc.check_new_id(&id)
    {
        place.object("id", Problem::from(error).detail.english());
    }
    if digest.is_some() && !settings.has_secret() {
        place.object("auth_method", "This app proves itself without a secret, so leave the secret out.");
    }
    (place.faults.len() == before).then_some(Wanted { id, settings, digest, advice })
}

/// Reads `secret_file` or `secret_sha256`.
fn judge_secret(input: &Input, members: &mut Map<String, Value>, place: &mut Table<'_>) -> Option<[u8; 32]> {
    let file = take_text(members, "secret_file", place);
    let hex = take_text(members, "secret_sha256", place);
    if file.is_some() && hex.is_some() {
        place.object("secret_sha256", "Give the secret once: as a file or as a digest.");
        return None;
    }
    if let Some(hex) = hex {
        let digest = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        if digest.is_none() {
            place.object("secret_sha256", "This is the SHA-256 of the secret in 64 hexadecimal digits.");
        }
        return digest;
    }
    let digest = input.digests.get(&file?).copied();
    if digest.is_none() {
        place.object("secret_file", "The file was not read; try again.");
    }
    digest
}

/// Reads `preset`, `url` and `parameters`: returns the settings to begin with, and what to tell about them.
fn judge_preset(
    members: &mut Map<String, Value>,
    place: &mut Table<'_>,
) -> Option<(ClientSettings, Option<String>)> {
    let preset = take_text(members, "preset", place);
    let url = take_text(members, "url", place);
    let mut parameters = BTreeMap::new();
    match members.remove("parameters") {
        None => {}
        Some(Value::Object(words)) => {
            for (name, word) in words {
                match word {
                    Value::String(word) => {
                        parameters.insert(name, word);
                    }
                    _ => place.object("parameters", format!("{name} is a text in quotes.")),
                }
            }
        }
        Some(_) => place.object("parameters", "Write them as { provider = \"house\" }."),
    }
    let Some(preset) = preset else {
        for (field, is_given) in [("url", url.is_some()), ("parameters", !parameters.is_empty())] {
            if is_given {
                place.object(field, "This belongs to a preset, and there is none here.");
            }
        }
        return Some((ClientSettings::default(), None));
    };
    let preset = find_or_suggest(&preset).map_err(|why| place.object("preset", why)).ok()?;
    let settings = preset.settings(url.as_deref().unwrap_or_default(), &parameters);
    let settings = settings.map_err(|why| place.object("url", why)).ok()?;
    let at = url.map(|url| format!(" --url {url}")).unwrap_or_default();
    Some((settings, Some(format!("doorward app preset {}{at}", preset.id))))
}

/// Makes apps as the file says.
///
/// # Errors
/// A complaint for each fault of the file, and nothing was changed; or what the store said.
pub(super) async fn run(app: &App, input: &Input, prune: bool) -> Result<String, Failure> {
    let wanted = judge(app, input)?;
    let mut text = String::new();
    for one in &wanted {
        make(app, one, &mut text).await?;
    }
    for client in app.oidc.clients().into_iter().filter(|client| prune && !client.registered_itself) {
        if !wanted.iter().any(|one| one.id == client.id) {
            super::change::remove(app, client.id.as_str()).await?;
            let _ = writeln!(text, "{}: removed", client.id);
        }
    }
    Ok(text)
}

/// Adds an app, or changes what differs.
async fn make(app: &App, wanted: &Wanted, text: &mut String) -> Result<(), Failure> {
    let Wanted { id, settings, digest, advice } = wanted;
    let Some(client) = app.oidc.client(id.as_str()) else {
        let event = event(Kind::AppAdded).detail("name", &settings.name);
        let also = |batch: &mut crate::store::Batch, id: &str| app.audit.write(batch, event.on(id));
        let added = match digest {
            Some(digest) => {
                app.oidc.add_client_with_digest(id.clone(), settings.clone(), *digest, also).await
            }
            None => app.oidc.add_client(Some(id.clone()), settings.clone(), also).await,
        };
        let secret = added.map_err(refused)?.secret;
        let _ = writeln!(text, "{id}: added");
        tell_secret(text, secret.as_ref());
        if let Some(advice) = advice {
            let _ = writeln!(text, "  What to paste where: {advice}");
        }
        return Ok(());
    };
    let mut changes: Vec<String> = Vec::new();
    if client.settings != *settings {
        let (before, after) = (members(&client.settings), members(settings));
        changes.extend(
            after.into_iter().filter(|(name, value)| before.get(name) != Some(value)).map(|(name, _)| name),
        );
        let event = event(Kind::AppChanged).on(id).detail("fields", changes.join(" "));
        let change = app.oidc.change_client(id, settings.clone(), |batch| app.audit.write(batch, event));
        change.await.map_err(refused)?;
    }
    if let Some(digest) = digest.filter(|digest| !client.knows_secret(digest)) {
        let event = event(Kind::AppSecretMade).on(id);
        app.oidc.adopt_secret(id, digest, |batch| app.audit.write(batch, event)).await.map_err(refused)?;
        changes.push("secret".to_owned());
    }
    let is_bare = settings.has_secret() && find(app, id.as_str())?.secret_count() == 0;
    let secret = if is_bare { Some(fresh_secret(app, id).await?) } else { None };
    let _ = match changes.as_slice() {
        [] => writeln!(text, "{id}: unchanged"),
        _ => writeln!(text, "{id}: changed ({})", changes.join(", ")),
    };
    tell_secret(text, secret.as_ref());
    Ok(())
}

fn tell_secret(text: &mut String, secret: Option<&SecretText>) {
    if let Some(secret) = secret {
        let _ = writeln!(text, "  Client secret, not shown again: {}", secret.expose());
    }
}
