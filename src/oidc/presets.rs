//! App presets: what a well-known app needs of its client, and what its admin copies where.
//!
//! One file an app in `web/presets`; the name of the file is the id. A preset holds the client (grants, scopes, redirect
//! URIs), rows to paste in the words of the app's own form, a snippet of its configuration and notes on its quirks.
//! Pure rules: nothing here knows the store or the clock.

mod address;
mod check;
mod settings;
mod template;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rust_embed::RustEmbed;
use serde::Deserialize;

pub use check::check_against_discovery;
pub use template::{Pasted, Values, render};

use super::client::{AuthMethod, ClientKind, GrantType};
use crate::crypto::signing::SigningAlgorithm;
use crate::kernel::near::distance;
use crate::kernel::secret::SecretText;
use crate::words::{Lang, Said, Words, said};
use address::AppAddress;
pub use address::with_scheme;

#[derive(RustEmbed)]
#[folder = "../../web/presets"]
struct Files;

/// Makes an enum whose variants have one spelling each, in files as in the protocol.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Returns the spelling.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }
    };
}

words! {
    /// What the app does about PKCE (RFC 7636).
    Pkce {
        /// It sends a challenge with S256; a request without one is refused.
        Required = "required",
        /// It may send one, by version or setting.
        Optional = "optional",
        /// It sends none; demanding one would lock everybody out.
        Off = "off",
    }
}

words! {
    /// Whether people are asked before the app learns about them.
    Consent {
        /// No: the app belongs to the house.
        FirstPartySkip = "first_party_skip",
        /// Yes; always so for public clients (RFC 8252 section 8.6).
        Ask = "ask",
    }
}

words! {
    /// What the app is for.
    Category {
        /// Open WebUI and its kind.
        Ai = "ai",
        /// Pages of links and tiles.
        Dashboards = "dashboards",
        /// Code, builds, registries.
        Development = "development",
        /// Papers, wikis and notes.
        Documents = "documents",
        /// Files and photos.
        Files = "files",
        /// Money.
        Finance = "finance",
        /// House and kitchen.
        Home = "home",
        /// Machines, containers, graphs, storage.
        Infrastructure = "infrastructure",
        /// Films, music, books, games.
        Media = "media",
        /// Chat.
        Messaging = "messaging",
        /// Tunnels, VPNs and proxies.
        Network = "network",
        /// Feeds and bookmarks.
        Reading = "reading",
        /// Passwords.
        Security = "security",
    }
}

/// A word that the admin of the app chooses and that stands in an address, such as the name of the provider in Jellyfin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its placeholder, without braces.
    pub name: String,
    /// What the app's own form calls it.
    pub label: String,
    /// What it is unless somebody says otherwise.
    pub default: String,
}

/// The client that the app needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// How it says who it is at the token endpoint.
    pub auth_method: AuthMethod,
    /// What it does about PKCE.
    pub pkce: Pkce,
    /// What it exchanges for tokens.
    #[serde(default = "code_only")]
    pub grants: Vec<GrantType>,
    /// The scopes it asks for.
    pub scopes: Vec<String>,
    /// Where codes go: paths of the app (`/callback`), `{app_url}…`, or whole native and web addresses.
    pub redirect_paths: Vec<String>,
    /// Where the browser may go after a sign-out, spelled the same way.
    #[serde(default)]
    pub post_logout_paths: Vec<String>,
    /// Where the app listens for back-channel logout, spelled the same way.
    pub backchannel_logout_path: Option<String>,
    /// What signs its id_tokens.
    #[serde(default = "rs256")]
    pub id_token_alg: SigningAlgorithm,
    /// Whether it looks for profile, e-mail and groups in the id_token itself instead of at userinfo.
    #[serde(default)]
    pub claims_in_id_token: bool,
    /// Whether people are asked.
    #[serde(default = "first_party")]
    pub consent: Consent,
    /// Whether it turns away people whose e-mail address is not verified.
    #[serde(default)]
    pub needs_email_verified: bool,
}

fn code_only() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode]
}

fn rs256() -> SigningAlgorithm {
    SigningAlgorithm::Rs256
}

fn first_party() -> Consent {
    Consent::FirstPartySkip
}

/// One value to paste.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What the app's own form or documentation calls it.
    pub label: String,
    /// The value, with placeholders.
    pub value: String,
}

/// A piece of the app's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snippet {
    /// The file it belongs into, such as `grafana.ini`.
    pub file: String,
    /// The text, with placeholders.
    pub text: String,
}

/// What one app needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name of its file without ending; what `doorward app preset ID` takes.
    #[serde(skip)]
    pub id: String,
    /// What the app is called.
    pub name: String,
    /// One or two letters instead of a logo.
    pub logo: String,
    /// Where the app lives on the web.
    pub website: String,
    /// What it is for.
    pub category: Category,
    /// Where this comes from: app and version whose documentation was read.
    pub source: String,
    /// One plain sentence for each quirk, in English.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The same in German.
    #[serde(default)]
    pub notes_de: Vec<String>,
    /// Words that the admin of the app chooses.
    #[serde(default, rename = "parameter")]
    pub parameters: Vec<Parameter>,
    /// The client.
    pub client: Client,
    /// Values to paste, in the order of the app's form.
    #[serde(rename = "paste")]
    pub rows: Vec<Row>,
    /// The same as a piece of configuration.
    pub config: Option<Snippet>,
}

impl Preset {
    /// Reads a preset from the text of its file.
    ///
    /// # Errors
    /// One sentence for each mistake.
    pub fn parse(id: &str, text: &str) -> Result<Self, Vec<String>> {
        let mut preset: Preset = toml::from_str(text).map_err(|error| vec![format!("{id}: {error}")])?;
        id.clone_into(&mut preset.id);
        let problems = validate::problems(&preset);
        if problems.is_empty() { Ok(preset) } else { Err(problems) }
    }

    /// Returns whether its addresses depend on where the app lives.
    pub fn needs_app_url(&self) -> bool {
        self.addresses().any(|address| !address::is_absolute(address))
    }

    /// Returns a sentence for each quirk.
    pub fn notes_in(&self, t: Words) -> &[String] {
        match t.lang() {
            Lang::En => &self.notes,
            Lang::De => &self.notes_de,
        }
    }

    /// Returns the redirect URIs of the app at `app_url`, with the parameters at their defaults.
    ///
    /// # Errors
    /// A sentence, if `app_url` is no web address.
    pub fn redirect_uris(&self, app_url: &str) -> Result<Vec<String>, Said> {
        self.redirect_uris_with(app_url, &BTreeMap::new())
    }

    /// Returns the redirect URIs of the app at `app_url`; `parameters` by name go before the defaults.
    ///
    /// # Errors
    /// A sentence, if `app_url` is no web address or a parameter holds more than letters, digits, `.`, `_` and `-`.
    pub fn redirect_uris_with(
        &self,
        app_url: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Said> {
        self.resolve(&self.client.redirect_paths, app_url, parameters)
    }

    /// Returns where the browser may go after a sign-out (RP-Initiated Logout section 3.1).
    ///
    /// # Errors
    /// As [`Preset::redirect_uris_with`].
    pub fn post_logout_uris(
        &self,
        app_url: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Said> {
        self.resolve(&self.client.post_logout_paths, app_url, parameters)
    }

    /// Returns where the app listens for back-channel logout, if it does (Back-Channel Logout section 2.2).
    ///
    /// # Errors
    /// As [`Preset::redirect_uris_with`].
    pub fn backchannel_logout_uri(
        &self,
        app_url: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Said> {
        let path = self.client.backchannel_logout_path.as_slice();
        Ok(self.resolve(path, app_url, parameters)?.into_iter().next())
    }

    /// Returns the rows to paste, filled in.
    pub fn paste(&self, values: &Values) -> Vec<Pasted> {
        let row = |row: &Row| Pasted {
            label: row.label.clone(),
            value: self.fill(&row.value, values),
            is_secret: template::names(&row.value).any(|name| name == "client_secret"),
        };
        self.rows.iter().map(row).collect()
    }

    /// Returns the piece of configuration, filled in, if the preset has one.
    pub fn config_text(&self, values: &Values) -> Option<SecretText> {
        self.config.as_ref().map(|snippet| self.fill(&snippet.text, values))
    }

    /// Fills a template of this preset in: with `values`, and with the defaults of parameters that they do not name.
    fn fill(&self, template: &str, values: &Values) -> SecretText {
        template::fill(template, |name| {
            values.get(name).map(str::to_owned).or_else(|| self.derived(name, values))
        })
    }

    /// The placeholders whose value follows from the preset.
    fn derived(&self, name: &str, values: &Values) -> Option<String> {
        match name {
            "scopes" => Some(self.client.scopes.join(" ")),
            "redirect_uri" => {
                let uris = self.redirect_uris_with(&values.app_url, &values.parameters).ok()?;
                uris.into_iter().next()
            }
            _ => self.parameter(name).map(|parameter| parameter.default.clone()),
        }
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    fn addresses(&self) -> impl Iterator<Item = &String> {
        let client = &self.client;
        client.redirect_paths.iter().chain(&client.post_logout_paths).chain(&client.backchannel_logout_path)
    }

    fn resolve(
        &self,
        paths: &[String],
        app_url: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Said> {
        if let Some((name, _)) = parameters.iter().find(|(_, value)| !address::is_parameter(value)) {
            let name = name.clone();
            return Err(said(move |t| t.apps_bad_word(&name)));
        }
        let needs_app = paths.iter().any(|path| !address::is_absolute(path));
        let app = if needs_app { Some(AppAddress::parse(app_url)?) } else { None };
        let word = |name: &str| {
            parameters.get(name).or_else(|| self.parameter(name).map(|parameter| &parameter.default)).cloned()
        };
        Ok(paths.iter().map(|path| address::resolve(path, app.as_ref(), word)).collect())
    }
}

/// Returns all presets, ordered by name.
pub fn list() -> &'static [Preset] {
    static PRESETS: OnceLock<Vec<Preset>> = OnceLock::new();
    PRESETS.get_or_init(|| {
        // A test reads every file; only somebody who edits them under a debug build can leave one out here.
        let mut presets: Vec<Preset> =
            texts().filter_map(|(id, text)| Preset::parse(&id, &text).ok()).collect();
        presets.sort_unstable_by_key(|preset| preset.name.to_lowercase());
        presets
    })
}

/// The files: id and text.
fn texts() -> impl Iterator<Item = (String, String)> {
    Files::iter().filter_map(|name| {
        let id = name.strip_suffix(".toml")?.to_owned();
        let file = Files::get(&name)?;
        Some((id, String::from_utf8_lossy(&file.data).into_owned()))
    })
}

/// Returns the preset with exactly this id.
pub fn find(id: &str) -> Option<&'static Preset> {
    list().iter().find(|preset| preset.id == id)
}

/// Returns the preset with this id.
///
/// # Errors
/// A sentence that names the preset that may be meant.
pub fn find_or_suggest(id: &str) -> Result<&'static Preset, String> {
    if let Some(preset) = find(id) {
        return Ok(preset);
    }
    let given: String = id.chars().filter(|character| !character.is_control()).take(40).collect();
    let wanted = given.to_lowercase().replace(' ', "-");
    let nearest = list()
        .iter()
        .map(|preset| {
            let name = preset.name.to_lowercase().replace(' ', "-");
            // Who types "paperless" means paperless-ngx, however many letters are missing.
            let begins = wanted.len() >= 3 && (preset.id.starts_with(&wanted) || name.starts_with(&wanted));
            let letters = distance(&wanted, &preset.id).min(distance(&wanted, &name));
            (if begins { 1 } else { letters }, preset)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2.max(wanted.len() / 4));
    Err(match nearest {
        Some((_, preset)) => format!("There is no preset {given}. Did you mean {}?", preset.id),
        None => format!("There is no preset {given}. `doorward app presets` lists all of them."),
    })
}
