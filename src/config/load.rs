//! Finding and merging what file, environment and flags say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keys::{Found, KEYS, Key, Refused, find};
use super::{ConfigError, Origin, Settings, Shape};
use crate::kernel::near::distance;

const PREFIX: &str = "DOORWARD_";
/// The variable that names the configuration file.
const CONFIG_VARIABLE: &str = "DOORWARD_CONFIG";
/// A secret file larger than this is no secret.
const MAX_SECRET: u64 = 64 * 1024;

/// Everything that may say something about settings.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags: the flag as it was written (`--listen`), key and value.
    pub flags: Vec<(String, String, String)>,
}

/// Splits `key=value`, as `--set` takes it.
pub fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("“{text}” is not KEY=VALUE, such as server.listen=0.0.0.0:8080")),
    }
}

impl Sources {
    /// Takes the environment of this process and the configuration file: the one that `config` or `DOORWARD_CONFIG`
    /// names, else the first there is of `/etc/doorward/doorward.toml`, `$XDG_CONFIG_HOME/doorward/doorward.toml`
    /// (`~/.config` without it) and `./doorward.toml`.
    pub fn of_process(
        config: Option<&Path>,
        flags: Vec<(String, String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named =
            config.map(Path::to_owned).or_else(|| variable(&environment, CONFIG_VARIABLE).map(PathBuf::from));
        let file = match named {
            Some(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    ConfigError::one(format!(
                        "The configuration file {} cannot be read: {error}.",
                        path.display()
                    ))
                })?;
                Some((path, text))
            }
            None => first_there_is(&usual_files(&environment))?,
        };
        Ok(Sources { file, environment, flags })
    }
}

fn usual_files(environment: &[(String, String)]) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/doorward/doorward.toml")];
    let home = variable(environment, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable(environment, "HOME").map(|home| Path::new(home).join(".config")));
    files.extend(home.map(|home| home.join("doorward/doorward.toml")));
    files.push(PathBuf::from("./doorward.toml"));
    files
}

fn first_there_is(files: &[PathBuf]) -> Result<Option<(PathBuf, String)>, ConfigError> {
    for path in files {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok(Some((path.clone(), text))),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) => {}
            // A file that is there and cannot be read must not be passed over (FAIL-05).
            Err(error) => {
                return Err(ConfigError::one(format!(
                    "The configuration file {} cannot be read: {error}.",
                    path.display()
                )));
            }
        }
    }
    Ok(None)
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// What has been found so far, and what is wrong with it.
#[derive(Default)]
struct Gathering {
    found: BTreeMap<&'static str, Found>,
    mistakes: Vec<String>,
}

impl Settings {
    /// Reads every setting: default, then credential, file, environment, flag; the last one wins. All mistakes are
    /// reported at once.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut gathering = Gathering::default();
        let credentials = variable(&sources.environment, "CREDENTIALS_DIRECTORY").map(Path::new);
        if let Some(directory) = credentials {
            gathering.take_credentials(directory);
        }
        if let Some((path, text)) = &sources.file {
            gathering.take_file(path, text);
        }
        gathering.take_environment(&sources.environment);
        for (flag, name, value) in &sources.flags {
            gathering.take(name, value, &Origin::Flag(flag.clone()));
        }
        let Gathering { found, mut mistakes } = gathering;
        let texts = found.clone();
        match Settings::read(found) {
            Ok(settings) => {
                mistakes.extend(settings.contradictions());
                if mistakes.is_empty() { Ok(settings) } else { Err(ConfigError(mistakes)) }
            }
            Err(refused) => {
                mistakes.extend(refused.iter().map(|refused| sentence(refused, texts.get(refused.key.name))));
                Err(ConfigError(mistakes))
            }
        }
    }

    /// Settings that are fine alone but not together.
    fn contradictions(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut refuse = |is_wrong: bool, text: &str| {
            if is_wrong {
                mistakes.push(text.to_owned());
            }
        };
        refuse(
            self.session_idle > self.session_absolute,
            "session.idle_minutes is longer than session.absolute_hours; make it shorter.",
        );
        refuse(
            self.token_refresh > self.token_refresh_max,
            "token.refresh_days is longer than token.refresh_max_days; make it shorter.",
        );
        refuse(
            self.listen.port() != 0 && self.metrics_listen == Some(self.listen),
            "server.listen and metrics.listen are the same; give metrics another port, or \"off\".",
        );
        if let Some(origin) = &self.public_origin {
            refuse(
                !origin.is_https() && !origin.is_loopback() && !self.insecure_http,
                "server.public_origin is plain HTTP, where passwords can be read on the way; use https, or set server.insecure_http = true in a lab.",
            );
            let is_below = |domain: &String| {
                origin.host() == domain
                    || origin.host().strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            };
            refuse(
                !self.protect_domain.as_ref().is_none_or(is_below),
                "server.public_origin is not below protect.domain, so the apps could not share its sign-in; take the parent of both.",
            );
            if let Err(why) = super::check_reach(&self.protect_domains, origin.host()) {
                refuse(true, &format!("protect.domains and server.public_origin do not fit: {why}."));
            }
        }
        refuse(
            self.protect_domain.is_some() && !self.protect_domains.is_empty(),
            "protect.domain and protect.domains are both set; keep protect.domains, with all of the domains in it.",
        );
        refuse(
            self.bootstrap_owner.is_some() != self.bootstrap_password_hash.is_some(),
            "bootstrap.owner and bootstrap.password_hash go together; set both or neither.",
        );
        mistakes
    }
}

/// Says what is wrong with a value: key, value, origin, what is allowed.
fn sentence(refused: &Refused, found: Option<&Found>) -> String {
    let Refused { key, why } = refused;
    let value = match found {
        _ if key.is_secret => "a secret".to_owned(),
        Some(found) => format!("“{}”", found.text.escape_debug()),
        None => format!("“{}”", key.default),
    };
    let origin = found.map_or(&Origin::Default, |found| &found.origin);
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!("{} is {value} ({origin}), which is not allowed{why}. Allowed: {}.", key.name, key.allowed)
}

impl Gathering {
    fn put(&mut self, key: &'static Key, text: String, origin: Origin) {
        self.found.insert(key.name, Found { text, origin });
    }

    /// Takes a value from anywhere but the environment; `NAME_file` of a secret names a file.
    fn take(&mut self, name: &str, value: &str, origin: &Origin) {
        if let Some(key) = find(name) {
            return self.put(key, value.to_owned(), origin.clone());
        }
        let secret = name.strip_suffix("_file").and_then(find).filter(|key| key.is_secret);
        match secret {
            Some(key) => self.take_secret_file(key, Path::new(value), origin),
            None => self.mistakes.push(unknown(name, origin)),
        }
    }

    fn take_secret_file(&mut self, key: &'static Key, path: &Path, origin: &Origin) {
        let read = || -> std::io::Result<Zeroizing<String>> {
            use std::io::Read as _;
            let mut text = Zeroizing::new(String::new());
            std::fs::File::open(path)?.take(MAX_SECRET).read_to_string(&mut text)?;
            Ok(text)
        };
        match read() {
            Ok(text) => self.put(key, text.trim_end_matches(['\r', '\n']).to_owned(), origin.clone()),
            Err(error) => self.mistakes.push(format!(
                "{} ({origin}) names the file {}, which cannot be read: {error}.",
                key.name,
                path.display()
            )),
        }
    }

    /// systemd hands secrets over as files named after the key, with hyphens: `bootstrap-password-hash`.
    fn take_credentials(&mut self, directory: &Path) {
        for key in KEYS.iter().filter(|key| key.is_secret) {
            let path = directory.join(key.name.replace(['.', '_'], "-"));
            if path.exists() {
                self.take_secret_file(key, &path, &Origin::Credential(path.clone()));
            }
        }
        let master = directory.join("master-key");
        if let Some(key) = find("keys.master_key_file").filter(|_| master.exists()) {
            self.put(key, master.to_string_lossy().into_owned(), Origin::Credential(master));
        }
    }

    fn take_file(&mut self, path: &Path, text: &str) {
        let origin = Origin::File(path.to_owned());
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // The line itself is not shown: it may hold a secret.
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let why = error.message().trim();
                return self.mistakes.push(format!("{} is not TOML: line {line}: {why}", path.display()));
            }
        };
        for (section, value) in table {
            let toml::Value::Table(entries) = value else {
                self.mistakes.push(unknown(&section, &origin));
                continue;
            };
            for (name, value) in entries {
                let name = format!("{section}.{name}");
                let shape = find(&name).map_or(Shape::Text, |key| key.shape);
                match text_of(shape, &value) {
                    Some(text) => self.take(&name, &text, &origin),
                    None => match find(&name) {
                        Some(key) => self.mistakes.push(format!(
                            "{name} is written as {} ({origin}), which is not allowed. Allowed: {}.",
                            if key.is_secret { "no text" } else { value.type_str() },
                            key.allowed
                        )),
                        None => self.mistakes.push(unknown(&name, &origin)),
                    },
                }
            }
        }
    }

    fn take_environment(&mut self, environment: &[(String, String)]) {
        let mut seen: BTreeMap<&'static str, String> = BTreeMap::new();
        for (variable, value) in environment {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            if variable == CONFIG_VARIABLE || is_service_link(rest) {
                continue;
            }
            let origin = Origin::Environment(variable.clone());
            let (key, is_file) = match (by_variable(rest), rest.strip_suffix("_FILE").and_then(by_variable)) {
                (Some(key), _) => (key, false),
                (None, Some(key)) if key.is_secret => (key, true),
                _ => {
                    let name = rest.to_ascii_lowercase().replacen("__", ".", 1);
                    self.mistakes.push(unknown(&name, &origin));
                    continue;
                }
            };
            if let Some(other) = seen.insert(key.name, variable.clone()) {
                self.mistakes.push(format!("{variable} and {other} are both set; keep one of them."));
            } else if is_file {
                self.take_secret_file(key, Path::new(value), &origin);
            } else {
                self.put(key, value.clone(), origin);
            }
        }
    }
}

/// Container orchestrators add variables for every service, and one may well be called doorward.
fn is_service_link(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

/// Finds the key of `SECTION__NAME`; one underscore is taken too where people write `BOOTSTRAP_OWNER`.
fn by_variable(rest: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| {
        let name = key.name.to_ascii_uppercase();
        rest == name.replace('.', "__") || rest == name.replace('.', "_")
    })
}

/// Writes a TOML value as the text that readers take, if it has the right shape.
fn text_of(shape: Shape, value: &toml::Value) -> Option<String> {
    match (shape, value) {
        (Shape::Text | Shape::IntegerOrText, toml::Value::String(text)) => Some(text.clone()),
        (Shape::Integer | Shape::IntegerOrText, toml::Value::Integer(number)) => Some(number.to_string()),
        (Shape::Switch, toml::Value::Boolean(switch)) => Some(switch.to_string()),
        (Shape::List, toml::Value::Array(items)) => {
            let items: Option<Vec<&str>> =
                items.iter().map(|item| item.as_str().filter(|text| !text.contains(','))).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Says that a key does not exist, and which one may be meant.
fn unknown(name: &str, origin: &Origin) -> String {
    let name: String = name.chars().filter(|character| !character.is_control()).take(80).collect();
    let nearest = KEYS
        .iter()
        .map(|key| {
            let whole = distance(&name, key.name);
            let tail = key.name.split_once('.').map_or(usize::MAX, |(_, tail)| {
                let given = name.rsplit_once('.').map_or(name.as_str(), |(_, given)| given);
                distance(given, tail) + 1
            });
            (whole.min(tail), key)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 3.max(name.len() / 4));
    match nearest {
        Some((_, key)) => format!("There is no setting {name} ({origin}). Did you mean {}?", key.name),
        None => format!("There is no setting {name} ({origin}). `doorward config list` lists all of them."),
    }
}
