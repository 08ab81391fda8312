//! Makes `Words` from `web/i18n`: one method for each key, typed by what the text holds. A key that one language lacks,
//! has too many, or spells with other values than English does, ends the build.
//!
//! `web/i18n/LANGUAGE/SECTION.toml` holds flat keys. `key = "text {name}"` becomes `section_key(name)`; a table
//! `{ one = "1 day", other = "{n} days" }` chooses by the number `n`; `**bold**`, `` `code` `` and `[label]({url})` make
//! it return markup with escaped values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// The languages, as folders and as variants of `Lang`; the first one says which keys there are.
const LANGUAGES: [(&str, &str); 2] = [("en", "En"), ("de", "De")];

type Failure = Box<dyn std::error::Error>;

/// One text of one language.
#[derive(Clone)]
enum Text {
    One(String),
    Plural { one: String, other: String },
}

/// A piece of a text.
enum Piece {
    Plain(String),
    Value(String),
    Markup(&'static str),
    Link(Box<Piece>),
}

fn main() -> Result<(), Failure> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../web/i18n");
    // Cargo reads what a build script prints.
    io::Write::write_all(&mut io::stdout(), b"cargo::rerun-if-changed=../../web/i18n\n")?;
    let mut languages = Vec::new();
    for (folder, _) in LANGUAGES {
        languages.push(read(&root.join(folder))?);
    }
    let mut code = String::from("impl Words {\n");
    let mut problems = Vec::new();
    let Some((english, others)) = languages.split_first() else { return Err("there is no language".into()) };
    for (other, (folder, _)) in others.iter().zip(LANGUAGES.iter().skip(1)) {
        problems.extend(
            english.keys().filter(|key| !other.contains_key(*key)).map(|key| format!("{folder} lacks {key}")),
        );
        problems.extend(
            other
                .keys()
                .filter(|key| !english.contains_key(*key))
                .map(|key| format!("only {folder} has {key}")),
        );
    }
    for (key, text) in english {
        let texts: Vec<&Text> =
            std::iter::once(text).chain(others.iter().filter_map(|other| other.get(key))).collect();
        match method(key, &texts) {
            Ok(method) => code.push_str(&method),
            Err(why) => problems.push(format!("{key}: {why}")),
        }
    }
    code.push_str("}\n");
    if !problems.is_empty() {
        return Err(format!("web/i18n: {}", problems.join("; ")).into());
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("words.rs"), code)?;
    Ok(())
}

/// Reads every section of a language: `section_key` to text.
fn read(folder: &Path) -> Result<BTreeMap<String, Text>, Failure> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(section) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else {
            continue;
        };
        let table: toml::Table =
            fs::read_to_string(&path)?.parse().map_err(|error| format!("{}: {error}", path.display()))?;
        for (key, value) in table {
            let name = format!("{section}_{key}");
            if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                return Err(format!("{}: {key} is no name of a key", path.display()).into());
            }
            let text = text(&value).ok_or_else(|| format!("{}: {key} is no text", path.display()))?;
            found.insert(name, text);
        }
    }
    Ok(found)
}

fn text(value: &toml::Value) -> Option<Text> {
    match value {
        toml::Value::String(text) => Some(Text::One(text.clone())),
        toml::Value::Table(table) if table.len() == 2 => Some(Text::Plural {
            one: table.get("one")?.as_str()?.to_owned(),
            other: table.get("other")?.as_str()?.to_owned(),
        }),
        _ => None,
    }
}

/// Writes the method of a key; the texts stand in the order of [`LANGUAGES`].
fn method(key: &str, texts: &[&Text]) -> Result<String, String> {
    let is_plural = texts.iter().any(|text| matches!(text, Text::Plural { .. }));
    let (mut values, mut is_markup, mut arms) = (Vec::new(), Vec::new(), String::new());
    let mut forms = Vec::new();
    for (text, (_, variant)) in texts.iter().zip(LANGUAGES) {
        match text {
            Text::One(text) => forms.push((variant, "", pieces(text)?)),
            Text::Plural { one, other } => {
                forms.push((variant, "one", pieces(one)?));
                forms.push((variant, "other", pieces(other)?));
            }
        }
    }
    for (_, form, pieces) in &forms {
        let mut names: BTreeSet<&str> = pieces.iter().filter_map(Piece::value).collect();
        if is_plural {
            names.insert("n");
        }
        values.push(names);
        if *form != "one" {
            is_markup.push(pieces.iter().any(|piece| !matches!(piece, Piece::Plain(_) | Piece::Value(_))));
        }
    }
    let Some(names) = values.first().cloned() else { return Err("no text".to_owned()) };
    // "1 day" may leave its number out, and nothing else.
    if values.iter().any(|other| *other != names) {
        return Err("the values in braces differ between the languages".to_owned());
    }
    let is_rich = is_markup.iter().any(|is| *is);
    for (variant, form, pieces) in &forms {
        let guard = if *form == "one" { " if n == 1" } else { "" };
        let body = if is_rich { rich(pieces) } else { plain(pieces, names.is_empty()) };
        let _ = writeln!(arms, "            Lang::{variant}{guard} => {body},");
    }
    let mut head: String = String::new();
    for name in &names {
        let kind = if is_plural && *name == "n" { "impl Count" } else { "impl ::std::fmt::Display" };
        let _ = write!(head, ", {name}: {kind}");
    }
    let (constant, answer) = match (is_rich, names.is_empty()) {
        (true, _) => ("", "Rich"),
        (false, true) => ("const ", "&'static str"),
        (false, false) => ("", "String"),
    };
    let count = if is_plural { "        let n = n.count();\n" } else { "" };
    let says = match texts.first() {
        Some(Text::One(text)) => text,
        Some(Text::Plural { other, .. }) => other,
        None => "",
    };
    let says: String = says.split_whitespace().collect::<Vec<_>>().join(" ");
    // clippy counts `self`.
    let expected = if names.len() > 6 {
        "    #[expect(clippy::too_many_arguments, reason = \"a text has as many values as it has\")]\n"
    } else {
        ""
    };
    Ok(format!(
        "    #[doc = {says:?}]\n{expected}    #[must_use]\n    pub {constant}fn {key}(self{head}) -> {answer} {{\n{count}        match self.0 {{\n{arms}        }}\n    }}\n"
    ))
}

impl Piece {
    fn value(&self) -> Option<&str> {
        match self {
            Piece::Value(name) => Some(name),
            Piece::Link(target) => target.value(),
            Piece::Plain(_) | Piece::Markup(_) => None,
        }
    }
}

/// Returns an expression of a text without markup.
fn plain(pieces: &[Piece], is_constant: bool) -> String {
    let names_nothing = pieces.iter().all(|piece| piece.value().is_none());
    let mut format = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(text) if names_nothing => format.push_str(text),
            Piece::Plain(text) => format.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Value(name) => {
                let _ = write!(format, "{{{name}}}");
            }
            Piece::Markup(_) | Piece::Link(_) => {}
        }
    }
    match (is_constant, names_nothing) {
        (true, _) => format!("{format:?}"),
        (false, true) => format!("{format:?}.to_owned()"),
        (false, false) => format!("format!({format:?})"),
    }
}

/// Returns an expression of a text with markup.
fn rich(pieces: &[Piece]) -> String {
    let mut code = String::from("{ let mut out = Rich::new();");
    for piece in pieces {
        let _ = match piece {
            Piece::Plain(text) => write!(code, " out.text({text:?});"),
            Piece::Value(name) => write!(code, " out.text(&{name});"),
            Piece::Markup(tag) => write!(code, " out.tag({tag:?});"),
            Piece::Link(target) => match &**target {
                Piece::Value(name) => write!(code, " out.link(&{name});"),
                Piece::Plain(text) => write!(code, " out.link({text:?});"),
                Piece::Markup(_) | Piece::Link(_) => Ok(()),
            },
        };
    }
    code.push_str(" out }");
    code
}

/// Takes a text apart.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut found, mut plain, mut rest) = (Vec::new(), String::new(), text);
    let (mut is_bold, mut is_code) = (false, false);
    let mut open_link: Option<Piece> = None;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '{' => {
                let (name, _) = rest.split_once('}').ok_or("a brace is not closed")?;
                let name = name.trim_start_matches('{');
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                    return Err(format!("{{{name}}} is no name of a value"));
                }
                (Some(Piece::Value(name.to_owned())), name.len() + 2)
            }
            '*' if rest.starts_with("**") => {
                is_bold = !is_bold;
                (Some(Piece::Markup(if is_bold { "<strong>" } else { "</strong>" })), 2)
            }
            '`' => {
                is_code = !is_code;
                (Some(Piece::Markup(if is_code { "<code>" } else { "</code>" })), 1)
            }
            '[' if open_link.is_none() => {
                let (_, after) = rest.split_once("](").ok_or("a link has no target")?;
                let (target, _) = after.split_once(')').ok_or("a link is not closed")?;
                let name = target.trim_start_matches('{').trim_end_matches('}');
                let target = if name.len() < target.len() {
                    Piece::Value(name.to_owned())
                } else {
                    Piece::Plain(name.to_owned())
                };
                open_link = Some(Piece::Plain(String::new()));
                (Some(Piece::Link(Box::new(target))), 1)
            }
            ']' if open_link.is_some() => {
                open_link = None;
                let (target, _) = rest.split_once(')').ok_or("a link is not closed")?;
                (Some(Piece::Markup("</a>")), target.len() + 1)
            }
            other => {
                plain.push(other);
                (None, other.len_utf8())
            }
        };
        if let Some(piece) = piece {
            if !plain.is_empty() {
                found.push(Piece::Plain(std::mem::take(&mut plain)));
            }
            found.push(piece);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    if is_bold || is_code || open_link.is_some() {
        return Err("bold, code or a link is not closed".to_owned());
    }
    if !plain.is_empty() {
        found.push(Piece::Plain(plain));
    }
    Ok(found)
}
