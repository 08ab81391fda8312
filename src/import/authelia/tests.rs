//! The reader, on texts as they are found in the wild.

use super::*;
use crate::import::found::FoundSecret;
use crate::oidc::client::{AuthMethod, ConsentMode, Demand};
use crate::sessions::Level;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn config(text: &str) -> Found {
    read(&[file("configuration.yml", text)], &|_| None)
}

fn told(found: &Found, kind: &str) -> Vec<String> {
    let lines = found.lines.iter().filter(|line| line.kind == kind);
    lines.map(|line| format!("{}: {}", line.name, line.why)).collect()
}

#[test]
fn rules_are_read_with_their_networks_and_subjects() {
    let found = config(
        "session: {cookies: [{domain: home.example, authelia_url: 'https://auth.home.example'}]}\n\
         definitions: {network: {lan: ['10.0.0.0/8', '192.168.0.0/16']}}\n\
         access_control:\n  default_policy: one_factor\n  networks: [{name: vpn, networks: 172.16.0.0/12}]\n  rules:\n\
         \x20 - domain: [a.home.example, '{user}.home.example']\n    policy: two_factor\n    networks: [lan, vpn, 1.2.3.4]\n\
         \x20   subject: ['user:ada', ['group:dev', 'group:ops']]\n    resources: ['^/api([/?].*)?$']\n    methods: [GET]\n\
         \x20   query:\n    - - key: a\n        value: 1\n      - {operator: absent, key: b}\n\
         \x20 - domain_regex: '^(?P<User>\\w+)\\.home\\.example$'\n    policy: deny\n",
    );
    assert_eq!(told(&found, "rules"), Vec::<String>::new());
    let [first, second, last] = found.rules.as_slice() else { panic!("{} rules", found.rules.len()) };
    assert_eq!(first.networks, ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "1.2.3.4"]);
    assert_eq!(first.subjects, [vec!["user:ada"], vec!["group:dev", "group:ops"]]);
    assert_eq!((first.query[0][0].operator.as_str(), first.query[0][0].value.as_str()), ("equal", "1"));
    assert_eq!(first.query[0][1].operator, "absent");
    assert_eq!(second.domain_regex.len(), 1);
    assert_eq!(
        (last.domains.as_slice(), last.policy.as_str()),
        (&["home.example", "*.home.example"].map(str::to_owned)[..], "one_factor")
    );
    let [domain] = found.domains.as_slice() else { panic!("{:?}", found.domains) };
    assert_eq!((domain.domain.as_str(), domain.portal.as_str()), ("home.example", "auth.home.example"));
}

/// What one rule refuses, a later one might allow: so a list with a hole is no list.
#[test]
fn one_rule_that_cannot_be_read_keeps_all_of_them_back() {
    for bad in [
        "{domain: x.home.example, policy: deny, subject: 'group:a,b'}",
        "{domain: x.home.example, policy: maybe}",
        "{domain: x.home.example, policy: deny, networks: [unknown]}",
        "{domain: x.home.example, policy: deny, new_key: 1}",
        "{domain: x.home.example, policy: deny, resources: ['(']}",
        "{domain: {a: 1}, policy: deny}",
        "text",
    ] {
        let found = config(&format!(
            "access_control:\n  rules:\n  - {bad}\n  - {{domain: '*.home.example', policy: bypass}}\n"
        ));
        assert!(found.rules.is_empty(), "{bad}");
        let told = told(&found, "rules");
        assert!(told[0].starts_with("rule 1: "), "{told:?}");
    }
}

#[test]
fn apps_are_read_with_what_their_secrets_are() {
    let found = config(
        "identity_providers:\n  oidc:\n    authorization_policies:\n      staff: {default_policy: deny, rules: [{policy: one_factor, subject: 'group:staff'}]}\n\
         \x20     odd: {default_policy: two_factor, rules: [{policy: deny, subject: 'user:eve'}]}\n    clients:\n\
         \x20   - {client_id: a, client_name: App A, client_secret: '$pbkdf2-sha512$310000$c8p78n7pUMln0jzvd4aK4Q$JNRBzwAo0ek5qKn50cFzzvE9RXV88h1wJn5KGiHrD0YKtZaR/nCb2CJPOsKaPK0hjf.9yHxzQGZziziccp6Yng', redirect_uris: 'https://a.home.example/cb', authorization_policy: staff, token_endpoint_auth_method: client_secret_post, consent_mode: implicit}\n\
         \x20   - {client_id: b, client_secret: '$plaintext$hush', redirect_uris: ['https://b.home.example/cb'], authorization_policy: odd, require_pkce: true, scopes: [openid, custom]}\n\
         \x20   - {client_id: c, public: true, redirect_uris: ['https://c.home.example/cb'], sector_identifier_uri: 'https://x.example/'}\n\
         \x20   - {client_id: d, client_secret: x, token_endpoint_auth_method: client_secret_jwt}\n",
    );
    let [a, b, c] = found.clients.as_slice() else { panic!("{} apps", found.clients.len()) };
    assert!(matches!(&a.secret, FoundSecret::Hash(hash) if hash.starts_with("$pbkdf2-sha512$")));
    assert_eq!(
        (a.settings.auth_method, a.settings.consent, a.settings.level),
        (AuthMethod::Post, ConsentMode::Skip, Level::OneFactor)
    );
    assert_eq!(a.settings.groups.len(), 1);
    assert!(matches!(b.secret, FoundSecret::Sha256(digest) if digest == crate::crypto::mac::sha256("hush")));
    assert!(b.settings.is_disabled && b.settings.pkce == Demand::Required);
    assert!(b.notes.iter().any(|note| note.contains("custom")), "{:?}", b.notes);
    assert_eq!((c.settings.auth_method, c.settings.level), (AuthMethod::None, Level::TwoFactor));
    assert!(c.notes[0].contains("somebody new"), "{:?}", c.notes);
    assert!(told(&found, "app")[0].starts_with("d: "));
}

/// What says nothing of whom it is for is for nobody.
#[test]
fn an_app_whose_policy_names_nobody_is_switched_off() {
    let found = config(
        "identity_providers:\n  oidc:\n    authorization_policies:\n      staff: {default_policy: deny, rules: [{policy: one_factor, subject: []}]}\n\
         \x20   clients:\n    - {client_id: a, client_secret: '$plaintext$', redirect_uris: 'https://a.home.example/cb', authorization_policy: staff}\n",
    );
    assert!(found.clients[0].settings.is_disabled);
    assert!(matches!(found.clients[0].secret, FoundSecret::Nothing), "no secret is no secret");
}

#[test]
fn the_first_key_of_a_kind_comes_last_so_that_it_signs() {
    let found = config(
        "identity_providers: {oidc: {jwks: [{key_id: one, key: A}, {key_id: two, algorithm: ES256, key: B}, {algorithm: RS512, key: C}]}}",
    );
    let names: Vec<&str> = found.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!(told(&found, "key").len(), 1);
}

#[test]
fn people_get_their_apps_and_subjects_by_name() {
    let files = [
        file(
            "users_database.yml",
            "users:\n  ada: {displayname: Ada, password: '$6$x', email: a@b.example, groups: [dev], disabled: yes, extra: {quota: 5, tags: [a]}}\n",
        ),
        file(
            "totp.yml",
            "totp_configurations:\n- {username: ada, algorithm: SHA512, digits: 8, period: 60, secret: R0VaREdOQlZHWTNUUU9KUUdFWkRHTkJWR1kzVFFPSlE=}\n- {username: eve, secret: '!'}\n",
        ),
        file(
            "ids.yml",
            "identifiers:\n- {service: openid, sector_id: '', username: ada, identifier: 0f3c0a8e-0000-4000-8000-000000000001}\n- {service: openid, sector_id: x, username: ada, identifier: y}\n",
        ),
        file("keys.yml", "webauthn_credentials:\n- {username: ada, description: Yubi}\n"),
    ];
    let found = read(&files, &|_| None);
    let ada = &found.users[0];
    let totp = ada.totp.as_ref().unwrap();
    assert_eq!((totp.secret.as_slice(), totp.digits, totp.period), (&b"12345678901234567890"[..], 8, 60));
    assert_eq!(ada.subject.as_deref(), Some("0f3c0a8e-0000-4000-8000-000000000001"));
    assert!(ada.is_disabled && ada.claims.contains(&("attributes.quota".to_owned(), "5".to_owned())));
    for kind in ["totp", "subject", "passkey", "claim", "file"] {
        assert_eq!(told(&found, kind).len(), 1, "{kind}: {:?}", found.lines);
    }
}

/// Nothing is dropped without a word.
#[test]
fn every_key_that_is_not_read_is_told() {
    let found = config(
        "server: {}\nnew_thing: 1\nsession: {name: x, domain: home.example}\nidentity_providers: {oidc: {hmac_secret: h, clients: []}, saml: {}}\naccess_control: {other: 1}\n",
    );
    let told = told(&found, "setting");
    for name in [
        "server",
        "new_thing",
        "session.name",
        "identity_providers.oidc.hmac_secret",
        "identity_providers.saml",
        "access_control.other",
    ] {
        assert!(told.iter().any(|line| line.starts_with(&format!("{name}: "))), "{name}: {told:?}");
    }
}

/// A key or secret that a template names comes from below the folder, or is told.
#[test]
fn what_a_template_hides_is_told_or_read() {
    let text = "identity_providers: {oidc: {jwks: [{key: '{{ secret \"/config/key.pem\" }}'}], clients: [{client_id: a, client_secret: '{{ secret \"/s\" }}', redirect_uris: ['https://a.example/']}]}}";
    let known = read(&[file("configuration.yml", text)], &|name| {
        (name == "/config/key.pem").then(|| "PEM".to_owned())
    });
    assert_eq!(known.keys[0].pem, "PEM");
    assert!(matches!(known.clients[0].secret, FoundSecret::Nothing));
    assert_eq!(told(&known, "template").len(), 1);
}
