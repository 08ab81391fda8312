//! `doorward app {presets,preset}`: what well-known apps need.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::oidc::presets::{self, Preset, Values};
use crate::words::Said;

pub(super) fn list() -> String {
    let mut text = String::new();
    for preset in presets::list() {
        let _ = writeln!(text, "{}\t{}\t{}", preset.id, preset.name, preset.category.as_str());
    }
    text
}

pub(super) fn show(preset: &Preset, url: Option<&str>) -> Result<String, String> {
    let client = &preset.client;
    let mut text = format!("{}, {}\n{}\n\n", preset.name, preset.category.as_str(), preset.website);
    let yes_no = |is: bool| if is { "yes" } else { "no" };
    let grants: Vec<&str> = client.grants.iter().map(|grant| grant.as_str()).collect();
    let lines = [
        ("Client", client.kind.as_str().to_owned()),
        ("Sends its secret by", client.auth_method.as_str().to_owned()),
        ("PKCE", client.pkce.as_str().to_owned()),
        ("Grants", grants.join(" ")),
        ("Scopes", client.scopes.join(" ")),
        ("id_token", client.id_token_alg.as_str().to_owned()),
        ("Claims in the id_token", yes_no(client.claims_in_id_token).to_owned()),
        ("Needs a verified e-mail", yes_no(client.needs_email_verified).to_owned()),
        ("Consent", client.consent.as_str().to_owned()),
    ];
    for (label, value) in lines {
        let _ = writeln!(text, "{label:<24}{value}");
    }
    let addresses = Addresses::of(preset, url).map_err(|why| why.english())?;
    section(&mut text, "Redirect URIs", &addresses.redirect);
    section(&mut text, "After signing out", &addresses.post_logout);
    section(&mut text, "Back-channel logout", &addresses.backchannel);
    section(&mut text, "Notes", &preset.notes);
    let mut values = Values::unfilled();
    if let Some(url) = url {
        values.app_url = Values::new("", "", None, url).app_url;
    }
    paste(&mut text, preset, &values);
    let _ = writeln!(text, "\nSource: {}", preset.source);
    Ok(text)
}

/// Adds the values that the admin of the app copies, in the words of the app.
pub(super) fn paste(text: &mut String, preset: &Preset, values: &Values) {
    text.push_str("\nPaste into the app\n");
    for row in preset.paste(values) {
        let _ = writeln!(text, "  {}: {}", row.label, row.value.expose());
    }
    if let (Some(snippet), Some(filled)) = (&preset.config, preset.config_text(values)) {
        let _ = write!(text, "\n{}\n\n{}", snippet.file, filled.expose());
    }
}

pub(super) fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// The addresses of an app: whole if it is known where it lives, else as the preset spells them.
struct Addresses {
    redirect: Vec<String>,
    post_logout: Vec<String>,
    backchannel: Vec<String>,
}

impl Addresses {
    fn of(preset: &Preset, url: Option<&str>) -> Result<Self, Said> {
        let client = &preset.client;
        let defaults = BTreeMap::new();
        Ok(match url {
            Some(url) => Addresses {
                redirect: preset.redirect_uris(url)?,
                post_logout: preset.post_logout_uris(url, &defaults)?,
                backchannel: preset.backchannel_logout_uri(url, &defaults)?.into_iter().collect(),
            },
            None => Addresses {
                redirect: client.redirect_paths.clone(),
                post_logout: client.post_logout_paths.clone(),
                backchannel: client.backchannel_logout_path.iter().cloned().collect(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(id: &str, url: Option<&str>) -> Result<String, String> {
        show(presets::find_or_suggest(id)?, url)
    }

    #[test]
    fn presets_are_listed_one_a_line() {
        let text = list();
        assert!(text.contains("immich\tImmich\tfiles\n"), "{text}");
        assert_eq!(text.lines().count(), presets::list().len());
    }

    #[test]
    fn a_preset_is_shown_with_placeholders() {
        let text = preset("immich", None).unwrap();
        for part in
            ["  /auth/login\n", "  Issuer URL: {issuer}\n", "  Client Secret: {client_secret}\n", "RS256"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = preset("miniflux", None).unwrap();
        assert!(text.contains("OAUTH2_REDIRECT_URL={redirect_uri}\n"), "{text}");
    }

    #[test]
    fn an_address_fills_the_redirect_uris_in() {
        let text = preset("miniflux", Some("https://rss.home.example/")).unwrap();
        assert!(text.contains("  https://rss.home.example/oauth2/oidc/callback\n"), "{text}");
        assert!(
            text.contains("OAUTH2_REDIRECT_URL=https://rss.home.example/oauth2/oidc/callback\n"),
            "{text}"
        );
        assert!(preset("miniflux", Some("rss")).unwrap_err().contains("https://app.home.example"));
    }

    #[test]
    fn a_mistyped_preset_is_suggested() {
        assert!(preset("imich", None).unwrap_err().contains("Did you mean immich?"));
    }

    #[test]
    fn every_preset_can_be_shown() {
        for one in presets::list() {
            let text = preset(&one.id, Some("https://app.home.example")).unwrap();
            assert!(text.contains(&one.name) && text.ends_with(".\n"), "{text}");
        }
    }
}
