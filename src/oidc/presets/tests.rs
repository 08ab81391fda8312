//! Every preset is sound; a preset that is not sound is refused with a sentence.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::kernel::secret::Secret;

/// A preset that keeps to every rule, to be broken.
const SOUND: &str = r#"
name = "Thing"
logo = "Th"
website = "https://thing.example"
category = "media"
source = "Thing 1."

[client]
kind = "confidential"
auth_method = "client_secret_basic"
pkce = "required"
scopes = ["openid", "email"]
redirect_paths = ["/callback"]

[[paste]]
label = "Issuer"
value = "{issuer}"
"#;

fn values(preset: &str) -> (&'static Preset, Values) {
    let secret = Secret::new("s3cret-value".to_owned());
    let values =
        Values::new("https://id.home.example", "client-1", Some(secret), "https://app.home.example/");
    (find(preset).unwrap(), values)
}

fn discovery() -> serde_json::Value {
    json!({
        "issuer": "https://id.home.example",
        "authorization_endpoint": "https://id.home.example/oauth2/authorize",
        "token_endpoint": "https://id.home.example/oauth2/token",
        "userinfo_endpoint": "https://id.home.example/oauth2/userinfo",
        "jwks_uri": "https://id.home.example/jwks.json",
        "end_session_endpoint": "https://id.home.example/logout",
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "scopes_supported": ["openid", "profile", "email", "address", "phone", "groups", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "code_challenge_methods_supported": ["S256"],
        "backchannel_logout_supported": true
    })
}

#[test]
fn every_file_is_a_sound_preset() {
    let mut problems = Vec::new();
    for (id, text) in texts() {
        problems.extend(Preset::parse(&id, &text).err().unwrap_or_default());
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 200 {
                problems.push(format!("{id}.toml:{}: the line has more than 200 characters", number + 1));
            }
            if line.trim_end() != line {
                problems.push(format!("{id}.toml:{}: the line ends with a space", number + 1));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(list().len(), texts().count(), "no file is left out");
    assert_eq!(list().len(), Files::iter().count(), "every file is a preset");
    assert!(list().len() >= 24, "{} presets", list().len());
}

#[test]
fn ids_and_names_are_unique() {
    let ids: BTreeSet<&str> = list().iter().map(|preset| preset.id.as_str()).collect();
    let names: BTreeSet<String> = list().iter().map(|preset| preset.name.to_lowercase()).collect();
    assert_eq!((ids.len(), names.len()), (list().len(), list().len()));
}

/// OA-01, OA-02: what a preset registers is an exact, whole address with https, or of a native app.
#[test]
fn every_preset_resolves_to_whole_addresses() {
    for preset in list() {
        let (none, app) = (BTreeMap::new(), "https://app.home.example:8443/sub/");
        let mut uris = preset.redirect_uris(app).unwrap();
        assert!(!uris.is_empty(), "{}", preset.id);
        uris.extend(preset.post_logout_uris(app, &none).unwrap());
        uris.extend(preset.backchannel_logout_uri(app, &none).unwrap());
        for uri in &uris {
            assert!(address::problem(uri).is_none(), "{}: {uri}", preset.id);
            assert!(!uri.contains(['{', '}']), "{}: {uri}", preset.id);
        }
        assert_eq!(preset.needs_app_url(), preset.redirect_uris("").is_err(), "{}", preset.id);
    }
}

#[test]
fn every_preset_pastes_without_a_placeholder_left() {
    for preset in list() {
        let (_, values) = values(&preset.id);
        let known: Vec<&str> = template::PLACEHOLDERS.to_vec();
        let left = |text: &str| template::names(text).any(|name| known.contains(&name));
        for row in preset.paste(&values) {
            assert!(!left(row.value.expose()), "{}: {}", preset.id, row.label);
            assert_eq!(row.is_secret, row.value.expose().contains("s3cret-value"), "{}", preset.id);
        }
        if let Some(text) = preset.config_text(&values) {
            assert!(!left(text.expose()), "{}: {}", preset.id, text.expose());
        }
        let pastes_secret = preset.paste(&values).iter().any(|row| row.is_secret);
        assert_eq!(pastes_secret, preset.client.kind == ClientKind::Confidential, "{}", preset.id);
    }
}

#[test]
fn addresses_follow_the_app_and_its_parameters() {
    let immich = find("immich").unwrap();
    assert_eq!(
        immich.redirect_uris(" https://Photos.home.example/ ").unwrap(),
        [
            "https://photos.home.example/auth/login",
            "https://photos.home.example/user-settings",
            "app.immich:///oauth-callback"
        ]
    );
    let jellyfin = find("jellyfin").unwrap();
    let mut parameters = BTreeMap::new();
    let at = "https://tv.home.example";
    assert_eq!(jellyfin.redirect_uris(at).unwrap(), ["https://tv.home.example/sso/OID/redirect/doorward"]);
    parameters.insert("provider".to_owned(), "house".to_owned());
    assert_eq!(
        jellyfin.redirect_uris_with(at, &parameters).unwrap(),
        ["https://tv.home.example/sso/OID/redirect/house"]
    );
    assert_eq!(
        find("freshrss").unwrap().redirect_uris("https://rss.home.example").unwrap(),
        ["https://rss.home.example:443/i/oidc/", "https://rss.home.example/i/oidc/"]
    );
    assert_eq!(
        find("proxmox-ve").unwrap().redirect_uris("https://pve.home.example:8006/").unwrap(),
        ["https://pve.home.example:8006", "https://pve.home.example:8006/"]
    );
    assert_eq!(
        find("tailscale").unwrap().redirect_uris("").unwrap(),
        ["https://login.tailscale.com/a/oauth_response"]
    );
    assert_eq!(
        find("grafana").unwrap().redirect_uris("http://localhost:3000").unwrap(),
        ["http://localhost:3000/login/generic_oauth"]
    );
    let bare = find("nextcloud").unwrap().backchannel_logout_uri("https://cloud.home.example", &parameters);
    assert_eq!(
        bare.unwrap().unwrap(),
        "https://cloud.home.example/index.php/apps/user_oidc/backchannel-logout/house"
    );
}

/// OA-01, OA-02: an address that could match more than itself, run code or carry a code in clear is refused with a
/// sentence.
#[test]
fn odd_addresses_of_apps_are_refused() {
    let immich = find("immich").unwrap();
    for odd in [
        "",
        "//photos.home.example",
        "ftp://photos.home.example",
        "http://photos.home.example",
        "http://192.168.0.9:2283",
        "http://localhost.home.example",
        "javascript:alert(1)",
        "data:text/html,hi",
        "https://",
        "https://user:pw@photos.home.example",
        "https://ok.example@evil.example",
        "https://*.home.example",
        "https://photos.home.example/?next=x",
        "https://photos.home.example/#x",
        "https://photos.home.example/{provider}",
        "https://photos.home.example\\.evil.example",
        "https://photos home.example",
        "https://photos.home.example/\nhttps://evil.example",
    ] {
        let refused = immich.redirect_uris(odd).unwrap_err().english();
        assert!(refused.ends_with('.') && refused.len() < 200, "{odd}: {refused}");
    }
    let jellyfin = find("jellyfin").unwrap();
    for odd in ["", "a/b", "../x", "a b", "x?y", "x#y", "é", "{app_url}", &"x".repeat(65)] {
        let parameters = BTreeMap::from([("provider".to_owned(), odd.to_owned())]);
        assert!(jellyfin.redirect_uris_with("https://tv.home.example", &parameters).is_err(), "{odd}");
    }
}

#[test]
fn values_are_pasted_in_the_words_of_the_app() {
    let (grafana, values) = values("grafana");
    let rows: BTreeMap<String, String> = grafana
        .paste(&values)
        .into_iter()
        .map(|row| (row.label.clone(), row.value.expose().clone()))
        .collect();
    assert_eq!(rows["Auth URL"], "https://id.home.example/oauth2/authorize");
    assert_eq!(rows["Client secret"], "s3cret-value");
    let ini = grafana.config_text(&values).unwrap();
    assert!(ini.expose().contains("root_url = https://app.home.example\n"), "{}", ini.expose());
    assert!(ini.expose().contains("contains(groups[*], 'admin')"), "text with brackets stays");
    let later = Values { client_secret: None, ..values };
    assert!(grafana.paste(&later).iter().any(|row| row.value.expose() == "THE-CLIENT-SECRET"));
}

#[test]
fn braces_of_other_programs_stay_as_they_are() {
    let (paperless, values) = values("paperless-ngx");
    let rows = paperless.paste(&values);
    let row = rows.iter().find(|row| row.label == "PAPERLESS_SOCIALACCOUNT_PROVIDERS").unwrap();
    let parsed: serde_json::Value = serde_json::from_str(row.value.expose()).unwrap();
    let app = &parsed["openid_connect"]["APPS"][0];
    assert_eq!(app["provider_id"], "doorward");
    assert_eq!(app["settings"]["server_url"], "https://id.home.example");
    let yaml = find("synapse").unwrap().config_text(&values).unwrap();
    assert!(yaml.expose().contains("\"{{ user.preferred_username }}\""), "{}", yaml.expose());
    assert_eq!(
        render("{} {a b} {UPPER} {unknown} {issuer", &values).expose(),
        "{} {a b} {UPPER} {unknown} {issuer"
    );
}

/// A value is text: what looks like a placeholder inside it is not filled in again.
#[test]
fn values_are_filled_in_once() {
    let values = Values::new("https://id.home.example", "{client_secret}", None, "https://app.home.example");
    assert_eq!(render("{client_id}", &values).expose(), "{client_secret}");
}

#[test]
fn snippets_in_toml_are_toml() {
    let (proxy, values) = values("oauth2-proxy");
    let text = proxy.config_text(&values).unwrap();
    let parsed: toml::Table = toml::from_str(text.expose()).unwrap();
    assert_eq!(parsed["redirect_url"].as_str(), Some("https://app.home.example/oauth2/callback"));
}

#[test]
fn every_preset_fits_a_provider_that_offers_everything() {
    for preset in list() {
        assert_eq!(check_against_discovery(preset, &discovery()), Vec::new(), "{}", preset.id);
    }
}

#[test]
fn what_the_provider_lacks_is_said() {
    let without = |preset: &str, member: &str, value: serde_json::Value| {
        let mut discovery = discovery();
        discovery[member] = value;
        check_against_discovery(find(preset).unwrap(), &discovery)
            .iter()
            .map(crate::words::Said::english)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cases = [
        ("grafana", "token_endpoint_auth_methods_supported", json!(["none"]), "client_secret_basic"),
        (
            "immich",
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_basic"]),
            "client_secret_post",
        ),
        ("opencloud", "token_endpoint_auth_methods_supported", json!(["client_secret_basic"]), "none"),
        ("outline", "grant_types_supported", json!(["authorization_code"]), "refresh_token"),
        ("vaultwarden", "scopes_supported", json!(["openid", "profile", "email"]), "offline_access"),
        ("bookstack", "id_token_signing_alg_values_supported", json!(["EdDSA"]), "RS256"),
        ("vaultwarden", "code_challenge_methods_supported", json!(["plain"]), "S256"),
        ("immich", "backchannel_logout_supported", json!(false), "back-channel"),
        ("grafana", "end_session_endpoint", json!(null), "end_session_endpoint"),
        ("grafana", "userinfo_endpoint", json!(null), "userinfo_endpoint"),
        ("grafana", "response_types_supported", json!(["id_token"]), "code"),
    ];
    for (preset, member, value, said) in cases {
        let text = without(preset, member, value);
        assert!(text.contains(said) && text.ends_with('.'), "{preset} {member}: {text}");
    }
    assert_eq!(without("wallos", "code_challenge_methods_supported", json!([])), "", "Wallos has no PKCE");
    assert!(check_against_discovery(find("grafana").unwrap(), &json!("odd")).len() > 5);
}

#[test]
fn a_preset_that_breaks_a_rule_is_refused() {
    assert!(Preset::parse("thing", SOUND).is_ok());
    let cases = [
        ("\"Thing\"", "\"\"", "name"),
        ("\"Th\"", "\"Thi\"", "logo"),
        ("https://thing.example", "http://thing.example", "website"),
        ("\"media\"", "\"toys\"", "toys"),
        ("Thing 1.", "Thing 1", "sentence"),
        ("name =", "colour = 1\nname =", "colour"),
        ("pkce =", "secret = 1\npkce =", "secret"),
        ("\"required\"", "\"maybe\"", "maybe"),
        ("\"required\"", "\"required\"\nid_token_alg = \"none\"", "none"),
        ("\"required\"", "\"required\"\nid_token_alg = \"HS256\"", "HS256"),
        ("\"required\"", "\"required\"\ngrants = [\"password\"]", "password"),
        ("\"required\"", "\"required\"\ngrants = [\"refresh_token\"]", "authorization_code is missing"),
        ("\"required\"", "\"required\"\ngrants = [\"authorization_code\", \"refresh_token\"]", "go together"),
        ("[\"openid\", \"email\"]", "[\"email\"]", "first scope"),
        ("\"email\"]", "\"email\", \"offline_access\"]", "go together"),
        ("\"email\"]", "\"email\", \"pets\"]", "no note tells of the scope pets"),
        ("\"client_secret_basic\"", "\"none\"", "only they"),
        ("\"confidential\"", "\"public\"", "only they"),
        ("[\"/callback\"]", "[]", "no redirect path"),
        ("/callback", "callback", "not an address"),
        ("/callback", "//evil.example", "leaves the app"),
        ("/callback", "{app_url}.evil.example", "leaves the app"),
        ("/callback", "JaVaScRiPt:alert(1)", "never allowed"),
        ("/callback", "http://thing.example/callback", "needs https"),
        ("/callback", "/callback#x", "fragment"),
        ("/callback", "/callback/*", "no exact address"),
        ("/callback", "/callback/{provider}", "no exact address"),
        ("{issuer}", "{isuer}", "{isuer}"),
        ("\"Issuer\"", "\"\"", "empty"),
    ];
    for (from, to, said) in cases {
        assert!(SOUND.contains(from), "{from}");
        let problems = Preset::parse("thing", &SOUND.replacen(from, to, 1)).unwrap_err().join(" ");
        assert!(problems.contains(said), "{from} -> {to}: {problems}");
    }
    assert!(Preset::parse("Thing_1", SOUND).is_err());
}

/// OA-05: a public client has PKCE and asks for consent.
#[test]
fn public_presets_are_the_strict_kind() {
    for preset in list().iter().filter(|preset| preset.client.kind == ClientKind::Public) {
        let client = &preset.client;
        assert_eq!((client.pkce, client.consent), (Pkce::Required, Consent::Ask), "{}", preset.id);
    }
    let public = SOUND.replace("confidential", "public").replace("client_secret_basic", "none");
    let lax = public.replace("\"required\"", "\"optional\"\nconsent = \"ask\"");
    assert!(Preset::parse("thing", &lax).unwrap_err().join(" ").contains("PKCE"));
    assert!(Preset::parse("thing", &public).unwrap_err().join(" ").contains("consent"));
    let secret = public
        .replace("\"required\"", "\"required\"\nconsent = \"ask\"")
        .replace("{issuer}", "{client_secret}");
    assert!(Preset::parse("thing", &secret).unwrap_err().join(" ").contains("no secret"));
}

#[test]
fn an_unknown_id_gets_a_suggestion() {
    for (given, meant) in [
        ("imich", "immich"),
        ("Grafana", "grafana"),
        ("home assistant", "home-assistant"),
        ("argocd", "argo-cd"),
        ("paperless", "paperless-ngx"),
        ("ownCloud", "ocis"),
    ] {
        let text = find_or_suggest(given).unwrap_err();
        assert!(text.contains(&format!("Did you mean {meant}?")), "{text}");
    }
    let text = find_or_suggest("something-entirely-else\n").unwrap_err();
    assert!(text.contains("lists all of them") && !text.contains('\n'), "{text}");
    assert_eq!(find_or_suggest("immich").unwrap().name, "Immich");
}

#[test]
fn an_address_may_be_typed_without_its_scheme() {
    for (typed, whole) in [
        ("photos.home.example", "https://photos.home.example"),
        ("photos.home.example/albums?x=1", "https://photos.home.example/albums?x=1"),
        ("nas:8443", "https://nas:8443"),
        ("localhost/x", "https://localhost/x"),
        ("[fd00::1]:8443", "https://[fd00::1]:8443"),
    ] {
        assert_eq!(with_scheme(typed), whole);
    }
    for as_it_is in
        ["", "nas", "http://nas", "javascript:alert(1)", "data:text/html,x", "app.immich:///x", "/x", "a:b:1"]
    {
        assert_eq!(with_scheme(as_it_is), as_it_is);
    }
}
