//! The pages on which administrators keep apps.

use super::super::admin::FilterLink;
use super::super::apps::{self, Copied, NewKind};
use super::super::setup::Snippet;
use super::*;

fn card(id: &str, name: &str, used: Option<When>, badges: Vec<Badge>) -> apps::AppCard {
    apps::AppCard {
        url: format!("/admin/apps/{id}"),
        name: name.into(),
        initials: initials(name),
        kind: words().apps_kind_server().into(),
        who: words().apps_for_some("family, friends"),
        used,
        badges,
    }
}

fn off() -> Vec<Badge> {
    vec![Badge::new(Kind::Danger, words().apps_switched_off())]
}

fn head(name: &str, badges: Vec<Badge>, current: &'static str) -> apps::AppHead {
    apps::AppHead {
        url: "/admin/apps/immich".into(),
        initials: "Im".into(),
        name: name.into(),
        badges,
        current,
    }
}

fn app() -> apps::App {
    apps::App {
        frame: shell("Immich", "apps"),
        head: head("Immich", Vec::new(), "settings"),
        revision: "1-1".into(),
        secret: Some("8cFzq0x3mK1vYwT5nB7rQ2dLhJ6sGpXa9eUoIiZtRkM".into()),
        secrets: 2,
        has_secret: true,
        is_disabled: false,
        facts: vec![
            Fact::new(words().apps_value_client_id(), "immich"),
            Fact::new(words().apps_fact_added(), at(12, "14:02").in_words(&words())),
            Fact::new(words().apps_last_sign_in(), at(14, "14:02").in_words(&words())),
        ],
        name: "Immich".into(),
        launch_url: "https://photos.linden.example/".into(),
        redirect_uris: "https://photos.linden.example/auth/login\napp.immich:///oauth-callback".into(),
        post_logout_redirect_uris: String::new(),
        backchannel_logout_uri: "https://photos.linden.example/logout".into(),
        scopes: "openid profile email".into(),
        who: who(1),
        groups: chosen(&[("family", "family"), ("guests", "guests")], 0),
        levels: chosen(
            &[("one_factor", words().apps_level_one()), ("two_factor", words().rules_badge_two())],
            1,
        ),
        consents: chosen(
            &[
                ("once", words().apps_consent_once()),
                ("always", words().apps_consent_always()),
                ("skip", words().apps_consent_skip()),
            ],
            2,
        ),
        auth_methods: chosen(&[("any", words().apps_auth_any())], 0),
        algorithms: chosen(&[("RS256", "RS256"), ("ES256", "ES256")], 0),
        needs_pkce: true,
        may_choose_pkce: true,
        claims_in_id_token: false,
        errors: FieldErrors::none(),
    }
}

fn who(selected: usize) -> Vec<Choice> {
    chosen(&[("everyone", words().apps_who_everyone()), ("some", words().apps_who_some())], selected)
}

fn presets(q: &str) -> apps::AppPresets {
    let tile = |id: &str, name: &str, kind: &str| apps::PresetTile {
        url: format!("/admin/apps/new/{id}"),
        name: name.into(),
        initials: initials(name),
        category: kind.into(),
        is_found: name.to_lowercase().contains(q),
    };
    let link = |label: &str, is_current| FilterLink {
        label: label.into(),
        url: "/admin/apps/new?category=media".into(),
        is_current,
    };
    apps::AppPresets {
        frame: shell(words().apps_add(), "apps"),
        q: q.into(),
        category: String::new(),
        categories: vec![
            link(words().apps_all_kinds(), true),
            link(words().apps_category_files(), false),
            link(words().apps_category_media(), false),
        ],
        tiles: vec![
            tile("grafana", "Grafana", words().apps_category_infrastructure()),
            tile("immich", "Immich", words().apps_category_files()),
            tile("jellyfin", "Jellyfin", words().apps_category_media()),
            tile("paperless-ngx", "Paperless-ngx", words().apps_category_documents()),
        ],
    }
}

fn new(new: NewKind) -> apps::AppNew {
    apps::AppNew {
        frame: shell(&words().apps_add_preset("Gitea"), "apps"),
        action: "/admin/apps/new/gitea".into(),
        new,
        notes: vec![either("The authentication name stands in the redirect URI, so keep both the same.", "Der Authentication Name steht in der Redirect-Adresse, also muss er auf beiden Seiten gleich sein.").into()],
        website: "https://about.gitea.com".into(),
        needs_url: true,
        name: "Gitea".into(),
        url: String::new(),
        words: vec![apps::Word {
            id: "param-provider".into(),
            label: "Authentication Name".into(),
            value: "doorward".into(),
        }],
        redirect_uris: String::new(),
        kinds: Vec::new(),
        levels: Vec::new(),
        who: who(0),
        groups: chosen(&[("family", "family")], 1),
        errors: FieldErrors::none(),
    }
}

fn copied(label: &str, value: &str) -> Copied {
    Copied { label: label.into(), value: value.into(), is_gone: false }
}

fn values(secret: Option<&str>) -> apps::AppValues {
    apps::AppValues {
        frame: shell("Grafana", "apps"),
        head: head("Grafana", Vec::new(), "values"),
        is_new: secret.is_some(),
        secret: None,
        has_secret: true,
        rows: vec![
            copied(words().apps_value_client_id(), "grafana"),
            Copied {
                label: "Client secret".into(),
                value: secret.unwrap_or_default().into(),
                is_gone: secret.is_none(),
            },
            copied("Scopes", "openid profile email groups"),
            copied("Auth URL", "https://auth.linden.example/oauth2/authorize"),
            copied("API URL", "https://auth.linden.example/oauth2/userinfo"),
        ],
        config: Some(Snippet {
            title: "grafana.ini".into(),
            place: "grafana.ini".into(),
            text: "[auth.generic_oauth]\nenabled = true\nname = Doorward\nrole_attribute_path = contains(groups[*], 'admin') && 'Admin' || 'Viewer'\n".into(),
        }),
        notes: vec![either("Grafana looks into the id_token before it asks userinfo.", "Grafana sieht in das id_token, bevor es userinfo fragt.").into()],
        missing: Vec::new(),
        redirect_uris: vec!["https://grafana.linden.example/login/generic_oauth".into()],
        values: vec![copied(words().apps_value_client_id(), "grafana"), copied(words().apps_value_issuer(), "https://auth.linden.example")],
        is_testable: true,
    }
}

fn claim(name: &str, value: &str, in_id_token: bool) -> apps::ClaimRow {
    apps::ClaimRow { name: name.into(), value: value.into(), in_id_token, in_userinfo: true }
}

fn claims() -> Vec<apps::ClaimRow> {
    vec![
        claim("email", "ana@linden.example", false),
        claim("groups", "family, printers", true),
        claim("name", NASTY, true),
        claim("sub", "01JCQ6Y0T6M1M0Y8Q6N3R5S7T9", true),
    ]
}

fn test(checks: Vec<Check>, untestable: &str) -> apps::AppTest {
    let is_fine = checks.iter().all(|check| check.state == CheckState::Pass);
    apps::AppTest {
        frame: shell("Grafana", "apps"),
        head: head("Grafana", Vec::new(), "test"),
        untestable: untestable.into(),
        redirect_uris: chosen(
            &[
                (
                    "https://grafana.linden.example/login/generic_oauth",
                    "https://grafana.linden.example/login/generic_oauth",
                ),
                ("app:/cb", "app:/cb"),
            ],
            0,
        ),
        claims: if is_fine && !checks.is_empty() { claims() } else { Vec::new() },
        is_fine,
        checks,
    }
}

fn check(state: CheckState, label: &str, sentence: &str) -> Check {
    Check { state, label: label.into(), sentence: sentence.into(), snippet: String::new() }
}

fn steps(goes_well: bool) -> Vec<Check> {
    let (bad, later) =
        if goes_well { (CheckState::Pass, CheckState::Pass) } else { (CheckState::Fix, CheckState::Skipped) };
    vec![
        check(
            CheckState::Pass,
            words().apps_step_request(),
            &words().apps_passed_request(
                "email groups openid profile",
                "https://grafana.linden.example/login/generic_oauth",
            ),
        ),
        check(CheckState::Pass, words().apps_step_sign_in(), &words().apps_passed_sign_in("ana")),
        check(bad, words().apps_step_consent(), words().apps_fault_said_no()),
        check(later, words().apps_step_tokens(), words().apps_not_reached()),
    ]
}

fn claims_page(person: &str, is_admitted: bool, errors: FieldErrors) -> apps::AppClaims {
    apps::AppClaims {
        frame: shell("Grafana", "apps"),
        head: head("Grafana", off(), "claims"),
        user: "ana".into(),
        scopes: chosen(&[("email", "email"), ("openid", "openid"), ("profile", "profile")], 1),
        person: person.into(),
        is_admitted,
        claims: claims(),
        errors,
    }
}

/// All of them.
pub(super) fn all() -> Vec<Sample> {
    let mut errors = FieldErrors::one("redirect_uris", words().apps_needs_redirect());
    errors.push("scopes", words().apps_no_scope("pets"));
    errors.push("group", words().apps_choose_group());
    let list = |cards, proxied| apps::Apps { frame: shell(words().apps_title(), "apps"), cards, proxied };
    let photos = apps::AppCard {
        kind: "photos.linden.example".into(),
        who: words().apps_for_some("family, ada"),
        ..card("x", either("Photos", "Fotos"), None, Vec::new())
    };
    let used = Some(at(14, "14:02"));
    let generic = apps::AppNew {
        words: Vec::new(),
        notes: Vec::new(),
        website: String::new(),
        needs_url: false,
        kinds: chosen(&[("confidential", words().apps_on_server()), ("public", words().apps_on_device())], 0),
        errors: FieldErrors::one("redirect_uris", words().apps_needs_redirect()),
        ..new(NewKind::Generic)
    };
    let mut unmet = FieldErrors::one("url", words().apps_bad_host());
    unmet.push("group", words().apps_choose_group());
    let proxied = apps::AppNew {
        words: Vec::new(),
        notes: Vec::new(),
        website: String::new(),
        levels: chosen(
            &[("one_factor", words().apps_need_one()), ("two_factor", words().apps_need_two())],
            1,
        ),
        who: who(1),
        errors: unmet,
        ..new(NewKind::Proxied)
    };
    let lines = |is_draft| apps::AppProxied {
        frame: shell("photos.linden.example", "apps"),
        host: "photos.linden.example".into(),
        is_draft,
        proxies: vec![
            FilterLink {
                label: "nginx".into(),
                url: "/admin/apps/new/reverse-proxy".into(),
                is_current: true,
            },
            FilterLink {
                label: "Caddy".into(),
                url: "/admin/apps/new/reverse-proxy".into(),
                is_current: false,
            },
        ],
        reload: words().access_proxy_nginx().into(),
        snippets: vec![Snippet {
            title: "nginx: photos.linden.example.conf".into(),
            place: words().access_proxy_save("/etc/nginx/sites-available/photos.linden.example.conf"),
            text: "server {\n    listen 443 ssl;\n}\n".into(),
        }],
    };
    let private = words().apps_untestable_own_key();
    vec![
        sample(
            "admin-apps",
            list(
                vec![card("immich", "Immich", used, Vec::new()), card("x", NASTY, None, off())],
                vec![photos],
            ),
        ),
        sample("admin-apps-empty", list(Vec::new(), Vec::new())),
        sample("admin-app-presets", presets("")),
        sample("admin-app-presets-none", presets("<b>nothing")),
        sample("admin-app-new-preset", new(NewKind::Preset)),
        sample("admin-app-new", apps::AppNew { name: NASTY.into(), ..generic }),
        sample("admin-app-new-proxied", proxied),
        sample("admin-app-proxied", lines(false)),
        sample("admin-app-proxied-draft", lines(true)),
        sample("admin-app-values-new", values(Some("8cFzq0x3mK1vYwT5nB7rQ2dLhJ6sGpXa9eUoIiZtRkM"))),
        sample("admin-app-values", apps::AppValues { missing: vec![NASTY.into()], ..values(None) }),
        sample(
            "admin-app-values-other",
            apps::AppValues {
                is_new: true,
                secret: Some("8cFzq0x3mK1vYwT5nB7rQ2dLhJ6sGpXa9eUoIiZtRkM".into()),
                rows: Vec::new(),
                config: None,
                notes: Vec::new(),
                ..values(None)
            },
        ),
        sample("admin-app", app()),
        sample(
            "admin-app-wrong",
            apps::App {
                head: head(NASTY, off(), "settings"),
                secret: None,
                secrets: 0,
                has_secret: false,
                is_disabled: true,
                groups: Vec::new(),
                may_choose_pkce: false,
                errors,
                ..app()
            },
        ),
        sample(
            "admin-app-remove",
            apps::AppRemove { frame: shell("Immich", "apps"), head: head(NASTY, Vec::new(), "settings") },
        ),
        sample("admin-app-test", test(Vec::new(), "")),
        sample("admin-app-test-fine", test(steps(true), "")),
        sample("admin-app-test-refused", test(steps(false), "")),
        sample("admin-app-test-untestable", test(Vec::new(), private)),
        sample(
            "admin-app-claims",
            claims_page("", true, FieldErrors::one("user", words().apps_no_account("x"))),
        ),
        sample("admin-app-claims-shown", claims_page("Ana Lindqvist", true, FieldErrors::none())),
        sample("admin-app-claims-refused", claims_page(NASTY, false, FieldErrors::none())),
    ]
}
