//! What every page must hold, whatever it shows.

use super::samples::{NASTY, all, all_in};
use super::*;
use crate::kernel::time::Timestamp;
use crate::words::{Lang, Words};

/// Returns every tag of a page: the text between `<` and `>`.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or("")).collect()
}

/// Returns the value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].split('"').next()
}

fn is_tag(tag: &str, names: &[&str]) -> bool {
    names.contains(&tag.split([' ', '/']).next().unwrap_or(""))
}

/// WEB-07: nothing on a page needs `unsafe-inline`.
#[test]
fn no_page_has_inline_script_style_or_handlers() {
    for page in all() {
        for tag in tags(&page.html) {
            assert!(attribute(tag, "style").is_none(), "{}: {tag}", page.name);
            assert!(!is_tag(tag, &["style", "base", "object", "iframe"]), "{}: {tag}", page.name);
            assert!(
                !tag.contains(" on") || !tag.contains("=\"") || !has_handler(tag),
                "{}: {tag}",
                page.name
            );
            if is_tag(tag, &["script"]) {
                assert!(
                    attribute(tag, "src").is_some_and(|src| src.starts_with("/assets/")),
                    "{}: {tag}",
                    page.name
                );
                assert!(
                    attribute(tag, "integrity").is_some_and(|hash| hash.starts_with("sha384-")),
                    "{}: {tag}",
                    page.name
                );
            }
            assert!(!tag.contains("javascript:"), "{}: {tag}", page.name);
        }
    }
}

fn has_handler(tag: &str) -> bool {
    tag.split(' ').any(|part| part.starts_with("on") && part.contains('='))
}

#[test]
fn every_visible_control_has_a_label() {
    for page in all() {
        let wrapped: Vec<&str> =
            page.html.split("<label").skip(1).map(|l| l.split("</label>").next().unwrap()).collect();
        for tag in tags(&page.html).into_iter().filter(|tag| is_tag(tag, &["input", "select", "textarea"])) {
            if attribute(tag, "type") == Some("hidden") || attribute(tag, "aria-label").is_some() {
                continue;
            }
            let by_id =
                attribute(tag, "id").is_some_and(|id| page.html.contains(&format!("<label for=\"{id}\"")));
            let by_wrapping = wrapped.iter().any(|label| label.contains(tag));
            assert!(by_id || by_wrapping, "{}: {tag}", page.name);
        }
    }
}

#[test]
fn ids_are_unique_and_references_lead_somewhere() {
    for page in all() {
        let mut ids: Vec<&str> =
            tags(&page.html).into_iter().filter_map(|tag| attribute(tag, "id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{}: an id occurs twice", page.name);
        for tag in tags(&page.html) {
            for name in
                ["aria-describedby", "for", "aria-labelledby", "aria-controls", "data-copy", "data-show"]
            {
                for id in attribute(tag, name).unwrap_or("").split_whitespace() {
                    assert!(ids.contains(&id), "{}: {name} {id}", page.name);
                }
            }
            if let Some(id) = attribute(tag, "href").and_then(|href| href.strip_prefix('#')) {
                assert!(ids.contains(&id), "{}: link to #{id}", page.name);
            }
        }
    }
}

/// WEB-09: text of people stays text.
#[test]
fn text_of_people_is_escaped() {
    let mut seen = 0;
    for page in all() {
        assert!(!page.html.contains("<script>"), "{}", page.name);
        assert!(!page.html.contains("alert(1)</"), "{}", page.name);
        assert!(!page.html.contains(NASTY), "{}", page.name);
        seen += page.html.matches("&#60;script&#62;").count();
    }
    assert!(seen > 8, "the samples put markup into only {seen} places");
}

/// WEB-01: the token travels in every form that changes something here, and in none that leads elsewhere.
#[test]
fn every_post_form_carries_the_csrf_field() {
    for page in all() {
        for form in page.html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let leads_elsewhere = attribute(form, "action").is_some_and(|action| !action.starts_with('/'));
            if form.contains("method=\"post\"") && !leads_elsewhere {
                assert!(form.contains("name=\"csrf\" value=\"c5rf.t0ken\""), "{}", page.name);
            } else {
                assert!(!form.contains("csrf"), "{}: the token would leave us", page.name);
            }
        }
    }
}

#[test]
fn every_page_has_language_one_heading_a_main_part_and_a_skip_link() {
    for page in all() {
        assert!(page.html.trim_start().starts_with("<!doctype html>"), "{}", page.name);
        assert!(page.html.contains("<html lang=\"en\""), "{}", page.name);
        assert_eq!(page.html.matches("<h1>").count(), 1, "{}", page.name);
        assert_eq!(page.html.matches("<main id=\"main\"").count(), 1, "{}", page.name);
        assert!(page.html.contains("class=\"skip\" href=\"#main\""), "{}", page.name);
        assert!(!page.html.contains("<title> "), "{}: no title", page.name);
    }
}

#[test]
fn every_page_is_there_in_every_language() {
    let english = all();
    for lang in Lang::ALL {
        let pages = all_in(lang);
        assert_eq!(pages.len(), english.len());
        for page in pages {
            assert!(
                page.html.contains(&format!("<html lang=\"{}\" dir=\"ltr\"", lang.code())),
                "{}",
                page.name
            );
        }
    }
    let german: String = all_in(Lang::De).into_iter().map(|page| page.html).collect();
    for left in ["Skip to content", "Dark colors", "Sign out here", "Sign in with a passkey", "Nothing here"]
    {
        assert!(!german.contains(left), "{left}");
    }
}

/// A page is rendered within 100 µs; without optimization it may take fifty times as long. The best of many times counts,
/// so that a busy machine does not fail what is quick.
#[test]
fn rendering_takes_no_time() {
    let most = std::time::Duration::from_micros(if cfg!(debug_assertions) { 5000 } else { 100 });
    for page in all() {
        let took = (0..500).map(|_| page.time()).find(|took| *took <= most);
        assert!(took.is_some(), "{}: {:?}", page.name, page.time());
    }
}

#[test]
fn every_asset_a_page_names_exists() {
    for page in all() {
        for tag in tags(&page.html) {
            for name in ["src", "href"] {
                match attribute(tag, name) {
                    Some(path) if path.starts_with("/assets/") => {
                        assert!(assets::asset(path).is_some(), "{}: {path}", page.name);
                    }
                    Some("") => panic!("{}: empty {name} in {tag}", page.name),
                    _ => {}
                }
            }
        }
    }
}

/// Budgets of the wire (gzip): the stylesheet 5.25 KiB; a page with all it loads 11 KiB for sign-in, 16 KiB elsewhere.
#[test]
fn pages_stay_small() {
    let css = assets::asset(assets::asset_url("app.css")).unwrap();
    assert!(css.gzip.len() < 5 * 1024 + 256, "app.css: {} bytes", css.gzip.len());
    for page in all() {
        let mut total = assets::gzip(page.html.as_bytes()).len();
        for tag in tags(&page.html) {
            if let Some(asset) = attribute(tag, "src").or(attribute(tag, "href")).and_then(assets::asset) {
                assert!(asset.body.len() < 3 * 1024 || asset.path.ends_with(".css"), "{}", asset.path);
                total += asset.gzip.len();
            }
        }
        let budget =
            if page.name.starts_with("signin") && !page.html.contains("class=\"qr\"") { 11 } else { 16 };
        assert!(total < budget * 1024, "{}: {total} bytes", page.name);
    }
}

/// WEB-13: only exact paths are known.
#[test]
fn unknown_asset_paths_are_not_found() {
    let css = assets::asset_url("app.css");
    assert!(assets::asset(css).is_some());
    for path in
        ["/assets/app.css", "/assets/../app.css", "app.css", "", "/assets/", "/assets/app.000000000000.css"]
    {
        assert!(assets::asset(path).is_none(), "{path}");
    }
    assert!(assets::asset(&css.to_uppercase()).is_none());
    assert_eq!(assets::asset_url("nothing.css"), "");
}

#[test]
fn gzip_bodies_unpack_to_the_plain_ones() {
    use std::io::Read as _;
    for asset in assets::assets().iter() {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(asset.gzip.as_slice()).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, asset.body.as_ref(), "{}", asset.path);
    }
}

#[test]
fn moments_read_well() {
    let when = When::from(Timestamp::from_secs(1_794_492_120));
    assert_eq!(when.iso, "2026-11-12T14:02:00Z");
    assert_eq!(when.in_words(&Words::ENGLISH), "12 Nov 2026, 14:02 UTC");
    assert_eq!(when.in_words(&Words::of(Lang::De)), "12. Nov. 2026, 14:02 UTC");
    let odd = When { iso: "soon".into() };
    assert_eq!(odd.in_words(&Words::of(Lang::De)), "soon");
}

#[test]
fn waits_are_told_in_the_largest_sensible_unit() {
    assert!(Wait::rate_limited(Words::ENGLISH, 1).text.ends_with("in 1 second."));
    assert!(Wait::rate_limited(Words::ENGLISH, 240).text.ends_with("in 4 minutes."));
    assert!(Wait::rate_limited(Words::ENGLISH, 43_200).text.ends_with("in 12 hours."));
}

#[test]
fn initials_take_first_and_last_word() {
    assert_eq!(initials("Ana Maria Lindqvist"), "AL");
    assert_eq!(initials("ben"), "B");
    assert_eq!(initials("  "), "?");
    assert_eq!(initials("ßeta"), "SS");
}

#[test]
fn a_qr_code_has_a_quiet_zone_and_a_limit() {
    let svg = qr::qr_svg("otpauth://totp/a?secret=JBSWY3DP").unwrap();
    assert!(svg.as_str().contains("M4 4h7v1h-7z"));
    assert!(qr::qr_svg(&"x".repeat(3000)).is_none());
}

#[test]
fn going_back_is_offered_only_to_finished_steps() {
    use setup::{Step, Steps};
    let steps = Steps::new(&Step::ORDER, &[Step::Welcome], Step::Address, crate::words::Words::ENGLISH);
    assert_eq!(steps.position, 3);
    let urls: Vec<_> = steps.items.iter().filter_map(|item| item.url).collect();
    assert_eq!(urls, ["/setup/welcome"]);
}

#[test]
fn the_theme_cookie_is_read_strictly() {
    assert_eq!(Theme::from_cookie("dark"), Theme::Dark);
    assert_eq!(Theme::from_cookie("\"><script>"), Theme::Auto);
}
