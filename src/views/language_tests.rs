//! A German visitor reads German: no text and no attribute of a page is left in English.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::samples::all_in;
use crate::words::Lang;

/// Words that English sentences hardly do without, and German ones never hold.
const ENGLISH: [&str; 51] = [
    "the", "and", "your", "you", "is", "not", "with", "of", "this", "that", "for", "are", "from", "has",
    "have", "be", "been", "by", "cannot", "does", "did", "there", "their", "they", "who", "what", "when",
    "which", "without", "how", "it", "its", "to", "on", "or", "if", "no", "yes", "nobody", "somebody",
    "only", "then", "than", "should", "must", "may", "can", "please", "where", "every", "other",
];

/// Texts that stay as they are, with the reason.
const STAYS: [(&str, &str); 4] = [
    ("Client secret", "a label of the app's own form"),
    ("Name of OID Provider", "a label of the app's own form"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)", "a header of the browser"),
    ("English", "the name of a language, in that language"),
];

/// German texts that name words of the syntax of rules.
const SYNTAX: [&str; 2] = ["query_and", "query_operator"];

/// Attributes that people read or hear.
const READ: [&str; 6] = ["title", "aria-label", "alt", "placeholder", "content", "label"];

/// Elements whose text is code, names or what somebody typed.
const CODE: [&str; 5] = ["code", "pre", "textarea", "script", "svg"];

/// Returns what people read or hear of a page: texts between tags, and attributes.
fn read(html: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), Vec::new());
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("");
        match (CODE.contains(&name), tag.starts_with('/')) {
            (true, true) => inside.truncate(inside.len().saturating_sub(1)),
            (true, false) => inside.push(name),
            _ => {}
        }
        if inside.is_empty() || CODE.contains(&name) {
            found.extend(attributes(tag));
        }
        if inside.is_empty() {
            found.push(plain(text));
        }
    }
    found.retain(|text| text.chars().any(char::is_alphabetic));
    found
}

/// Returns the attributes of a tag that are read, and what scripts say.
fn attributes(tag: &str) -> Vec<String> {
    let pairs = tag.split("=\"").collect::<Vec<_>>();
    let named = pairs.windows(2).filter_map(|pair| {
        let name = pair[0].rsplit([' ', '"']).next()?;
        let is_said = name.starts_with("data-") && tag.starts_with("script");
        (READ.contains(&name) || is_said).then(|| plain(pair[1].split('"').next().unwrap_or("")))
    });
    named.collect()
}

fn plain(text: &str) -> String {
    let text = text.replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"").replace("&#60;", "<");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the English words of a text, without those in quotes and in names with dots, dashes or underscores.
fn english_words(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "._-/:=@'’".contains(c)));
    words.map(|word| word.trim_matches(['.', ':'])).filter(|word| ENGLISH.contains(word)).collect()
}

/// Returns every plain English text that reads otherwise in German.
fn dictionary() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/i18n");
    let texts = |lang: &str| {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(root.join(lang)).unwrap() {
            let path = entry.unwrap().path();
            let section = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            for (key, value) in table {
                let text = value.as_str().unwrap_or_default().to_owned();
                found.insert(format!("{section}_{key}"), text);
            }
        }
        found
    };
    let german = texts("de");
    let other = |(key, text): &(String, String)| german.get(key).is_some_and(|german| german != text);
    let same: Vec<&String> = german.values().collect();
    let english = texts("en").into_iter().filter(other);
    english
        .filter(|(_, text)| !text.is_empty() && !same.contains(&text))
        .map(|(key, text)| (text, key))
        .collect()
}

#[test]
fn german_pages_speak_german() {
    let (dictionary, mut left) = (dictionary(), Vec::new());
    for page in all_in(Lang::De) {
        for text in read(&page.html) {
            if STAYS.iter().any(|(stays, _)| *stays == text) {
                continue;
            }
            if let Some(key) = dictionary.get(&text) {
                left.push(format!("{}: {text} ({key})", page.name));
            } else if let [first, ..] = english_words(&text)[..] {
                left.push(format!("{}: {text} ({first})", page.name));
            }
        }
    }
    left.sort();
    left.dedup();
    assert!(left.is_empty(), "{} texts are English:\n{}", left.len(), left.join("\n"));
}

/// The net catches what it is there for.
#[test]
fn english_is_found() {
    let html = "<p aria-label=\"Copy the key\">Gut</p><script data-copied=\"It is copied\" src=\"/x\"></script>\
                <code>if the</code><p>Alles <strong>with two</strong> Faktoren</p>";
    let found: Vec<String> = read(html).into_iter().filter(|text| !english_words(text).is_empty()).collect();
    assert_eq!(found, ["Copy the key", "It is copied", "with two"]);
    assert!(
        english_words("Zu domain=x path=^/the/ oder the-client und is.example gehört nichts.").is_empty()
    );
    assert!(dictionary().contains_key("Nothing here"));
}

/// No text of the dictionary itself is a copy of the English one, or half English.
#[test]
fn the_german_dictionary_is_german() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/i18n/de");
    let mut left = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        for (key, value) in table {
            let forms = match &value {
                toml::Value::Table(forms) => forms.values().filter_map(toml::Value::as_str).collect(),
                other => vec![other.as_str().unwrap_or_default()],
            };
            for form in forms {
                // Code, and values in braces, are no words.
                let mut words: String = form.split('`').step_by(2).collect::<Vec<_>>().join(" ");
                while let Some((before, (_, after))) =
                    words.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
                {
                    words = format!("{before}•{after}");
                }
                if SYNTAX.contains(&key.as_str()) {
                    continue;
                }
                if let [first, ..] = english_words(&words)[..] {
                    left.push(format!("{}: {form} ({first})", key));
                }
            }
        }
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}
