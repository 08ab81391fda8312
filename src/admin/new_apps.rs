//! Adding apps, of presets or without: what the page, the API and the command line have in common.

use std::collections::BTreeMap;

use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::oidc::presets::{Preset, Values, check_against_discovery, find_or_suggest};
use crate::oidc::{Client, ClientId, ClientSettings, Oidc};
use crate::words::{Said, english_only};

/// Where an app of a preset lives, and the words that the preset leaves open.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Such as `https://photos.home.example`.
    pub url: String,
    /// By name.
    pub parameters: BTreeMap<String, String>,
}

/// Finds a preset by its id.
///
/// # Errors
/// 422 that names the one that may be meant.
pub fn preset(id: &str) -> Result<&'static Preset, Problem> {
    find_or_suggest(id).map_err(|why| Problem::unprocessable("preset", "no_such_preset", english_only(why)))
}

/// Returns the settings that a preset makes of a place.
///
/// # Errors
/// 422 that names the field `url`.
pub fn settings(preset: &Preset, place: &Place) -> Result<ClientSettings, Problem> {
    let made = preset.settings(&place.url, &place.parameters);
    made.map_err(|why| Problem::unprocessable("url", "invalid_value", why))
}

/// Returns the client id that an app of a preset gets: the name of the preset, unless another app has it.
pub fn id_for(oidc: &Oidc, preset: &Preset) -> Option<ClientId> {
    ClientId::parse(&preset.id).ok().filter(|id| oidc.check_new_id(id).is_ok())
}

/// What the admin of an app copies into its own form.
pub struct Pasting {
    /// Values with the labels of the form, and whether they hold the secret.
    pub rows: Vec<(String, SecretText, bool)>,
    /// A piece of configuration: the file, and the text.
    pub config: Option<(String, SecretText, bool)>,
    /// One sentence for each quirk.
    pub notes: &'static [String],
    /// What this server does not offer of what the app needs.
    pub missing: Vec<Said>,
}

/// Fills a preset in for a client; `secret` is known only at the moment when it was made.
pub fn pasting(
    oidc: &Oidc,
    preset: &'static Preset,
    client: &Client,
    secret: Option<SecretText>,
    place: &Place,
) -> Pasting {
    let mut values = Values::new(&oidc.issuer(), client.id.as_str(), secret, &place.url);
    values.parameters.clone_from(&place.parameters);
    let rows = preset.paste(&values).into_iter().map(|row| (row.label, row.value, row.is_secret));
    let config = preset
        .config
        .as_ref()
        .zip(preset.config_text(&values))
        .map(|(snippet, text)| (snippet.file.clone(), text, snippet.text.contains("{client_secret}")));
    Pasting {
        rows: rows.collect(),
        config,
        notes: &preset.notes,
        missing: check_against_discovery(preset, &oidc.metadata()),
    }
}
