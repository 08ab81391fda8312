use std::fs;
use std::path::{Path, PathBuf};

use super::*;

#[test]
fn the_header_decides_by_weight() {
    for (header, lang) in [
        ("de", Some(Lang::De)),
        ("de-AT,de;q=0.9,en;q=0.8", Some(Lang::De)),
        ("en;q=0.5, de;q=0.7", Some(Lang::De)),
        ("fr, en;q=0.1", Some(Lang::En)),
        ("fr,nl", None),
        ("de;q=0, en", Some(Lang::En)),
        ("de;q=0", None),
        ("de;q=2, en", Some(Lang::En)),
        ("de;q=NaN, en", Some(Lang::En)),
        ("", None),
        ("*", None),
        (" DE ; q=1", Some(Lang::De)),
    ] {
        assert_eq!(Lang::from_header(header), lang, "{header}");
    }
    let long = format!("{},de", "xx,".repeat(100));
    assert_eq!(Lang::from_header(&long), None);
    assert_eq!(Lang::from_locales("fr-CA de en"), Some(Lang::De));
}

#[test]
fn values_in_markup_are_escaped_and_links_lead_only_where_they_may() {
    let mut rich = Rich::new();
    rich.tag("<strong>");
    rich.text("<script>alert(1)</script>\"'&");
    rich.tag("</strong>");
    let text = rich.to_string();
    assert!(!text.contains("<script") && !text.contains('"') && !text.contains('\''), "{text}");
    for (target, is_followed) in [
        ("/account", true),
        ("https://app.example/", true),
        ("otpauth://totp/x", true),
        ("//evil.example", false),
        ("/\\evil.example", false),
        ("/\t/evil.example", false),
        ("javascript:alert(1)", false),
        ("\" onclick=\"x", false),
        (" javascript:x", false),
    ] {
        let mut rich = Rich::new();
        rich.link(target);
        let text = rich.to_string();
        assert_eq!(text.contains(target), is_followed, "{text}");
        assert_eq!(text.matches('"').count(), 2, "{text}");
    }
}

#[test]
fn a_sentence_is_said_in_the_language_of_the_reader() {
    let german = Words::of(Lang::De);
    let plain = Said::of(Words::ui_copy);
    assert_eq!((plain.english(), plain.in_words(german)), ("Copy".to_owned(), "Kopieren".to_owned()));
    let counted = said(|words| words.ui_days(3_u64));
    assert_eq!((counted.english(), counted.in_words(german)), ("3 days".to_owned(), "3 Tage".to_owned()));
    assert_eq!(Words::ENGLISH.ui_days(1_u64), "1 day");
    assert_eq!(english_only("English alone").in_words(german), "English alone");
}

fn files(below: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// What no page says any more is not kept.
#[test]
fn every_key_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut uses, mut keys) = (Vec::new(), Vec::new());
    files(&root.join("src"), "rs", &mut uses);
    files(&root.join("web/templates"), "html", &mut uses);
    files(&root.join("web/i18n/en"), "toml", &mut keys);
    let text: String = uses.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let used: std::collections::BTreeSet<&str> = text.split(|c| !is_in_name(c)).collect();
    let mut unused = Vec::new();
    for path in keys {
        let section = path.file_stem().unwrap().to_str().unwrap();
        let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        unused.extend(
            table.keys().map(|key| format!("{section}_{key}")).filter(|name| !used.contains(name.as_str())),
        );
    }
    assert!(unused.is_empty(), "{unused:?}");
}
