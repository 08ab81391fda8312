//! The launch page, apps with access, sessions and the export.

use super::super::home::{AppTile, Home};
use super::*;

fn many_apps() -> [&'static str; 9] {
    [
        "Grafana",
        "Home Assistant",
        "Immich",
        "Jellyfin",
        "Mealie",
        "Miniflux",
        "Nextcloud",
        NASTY,
        either(
            "Paperless-ngx with a name that is far too long for its tile",
            "Paperless-ngx mit einem Namen, der viel zu lang für seine Kachel ist",
        ),
    ]
}

fn home(apps: &[&str], query: &str) -> Home {
    let tile = |name: &&str| AppTile {
        name: (*name).into(),
        initials: initials(name),
        host: "photos.linden.example".into(),
        url: "https://photos.linden.example/".into(),
        asks_more: name.starts_with('M'),
    };
    Home {
        frame: shell(words().home_title(), "home"),
        display_name: "Ana".into(),
        strip: None,
        apps: apps.iter().map(tile).collect(),
        has_search: !query.is_empty(),
        query: query.into(),
        last_sign_in: Some(at(11, "20:30")),
        last_sign_in_from: words().ui_device_on("Firefox", "Linux"),
    }
}

fn apps_with_access() -> account::AppsWithAccess {
    let row = |name: &str, stays_signed_in: bool| account::AppRow {
        client: format!("client-{stays_signed_in}"),
        name: name.into(),
        initials: initials(name),
        items: vec![words().oidc_email().into(), words().oidc_groups().into()],
        since: at(3, "08:15"),
        last_used: stays_signed_in.then(|| at(12, "13:59")),
        is_signed_in: true,
        stays_signed_in,
        asks_again: stays_signed_in,
    };
    account::AppsWithAccess {
        frame: shell(words().account_title_apps(), "apps-with-access"),
        rows: vec![row("Immich", true), row(NASTY, false)],
    }
}

fn sessions_page() -> account::Sessions {
    let program = |session| account::ProgramRow { session, ends: at(19, "13:59") };
    account::Sessions {
        frame: shell(words().account_title_sessions(), "sessions"),
        rows: sessions(),
        programs: sessions().into_iter().skip(2).map(program).collect(),
        stays: vec![account::AppStay {
            name: "Immich".into(),
            since: at(3, "08:15"),
            last_used: Some(at(12, "13:59")),
        }],
    }
}

pub(super) fn all() -> Vec<Sample> {
    vec![
        sample("home", home(&[either("Photos", "Fotos"), either("Music", "Musik")], "")),
        sample("home-many", home(&many_apps(), "a")),
        sample("home-none-found", home(&[], "jelly")),
        sample(
            "home-empty",
            Home {
                frame: shell(words().home_title(), "home")
                    .with_notice(Kind::Ok, words().account_done_saved()),
                display_name: NASTY.into(),
                strip: Some(strip(Kind::Warn, words().account_strip_no_factor())),
                last_sign_in: None,
                last_sign_in_from: String::new(),
                ..home(&[], "")
            },
        ),
        sample("account-apps", apps_with_access()),
        sample("account-apps-none", account::AppsWithAccess { rows: Vec::new(), ..apps_with_access() }),
        sample(
            "account-export",
            account::Export { frame: shell(words().account_title_export(), "profile"), is_fresh: true },
        ),
        sample(
            "account-export-confirm",
            account::Export { frame: shell(words().account_title_export(), "profile"), is_fresh: false },
        ),
        sample("account-sessions", sessions_page()),
    ]
}
