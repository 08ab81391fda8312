//! Overview, audit and system with sample data.

use super::super::admin::FilterLink;
use super::super::audit::{Audit, AuditRow};
use super::super::chart::{Chart, HourBar};
use super::super::setup::OpenStep;
use super::super::system::{
    KeyGroup, KeyRow, Overview, Section, SettingRow, Settings, SnapshotRow, Support, System, Tile, Warning,
    Whoami,
};
use super::super::{Badge, Choice, Fact, FieldErrors, Kind, Pager};
use super::{NASTY, Sample, at, either, sample, shell, words};

fn chart(title: &str) -> Chart {
    let bar = |hour: u32| HourBar {
        label: format!("{hour:02}:00"),
        ok: (hour * 7) % 13,
        refused: u32::from(hour.is_multiple_of(5)) * 3,
    };
    Chart { title: title.into(), bars: (0..24).map(bar).collect() }
}

fn audit() -> Audit {
    let row = |seq: u64, actor: &str, action: &str, target: &str, outcome: Badge| AuditRow {
        when: at(12, "13:59"),
        seq,
        actor: actor.into(),
        actor_url: if actor == "ana" { "/admin/audit?who=ana".into() } else { String::new() },
        action: action.into(),
        target: target.into(),
        outcome,
        place: "192.168.x.x (k3fw-9qzd)".into(),
        facts: vec![
            Fact::new(words().audit_fact_request(), "r_01HX9"),
            Fact::new(either("device", "Gerät"), NASTY),
            Fact::new(words().audit_fact_kind(), "sign_in.succeeded"),
            Fact::new(words().audit_fact_number(), seq.to_string()),
        ],
    };
    let filter =
        |label: &str, url: &str, is_current| FilterLink { label: label.into(), url: url.into(), is_current };
    Audit {
        frame: shell(words().audit_title(), "audit"),
        filters: vec![
            filter(words().audit_everything(), "/admin/audit", true),
            filter(words().audit_refused(), "/admin/audit?outcome=refused", false),
            filter(words().audit_area_sign_in(), "/admin/audit?kind=sign_in.", false),
            filter(words().people_title(), "/admin/audit?kind=user.", false),
            filter(words().apps_title(), "/admin/audit?kind=app.", false),
            filter(words().rules_title(), "/admin/audit?kind=rule.", false),
            filter(words().audit_area_access(), "/admin/audit?kind=access.", false),
        ],
        who: String::new(),
        kinds: vec![
            Choice::new("", words().audit_everything(), true),
            Choice::new("sign_in.", words().audit_area_sign_in(), false),
        ],
        apps: vec![Choice::new("", words().apps_all_kinds(), true), Choice::new("c_7", NASTY, false)],
        outcomes: vec![
            Choice::new("", words().apps_all_kinds(), true),
            Choice::new("refused", words().audit_refused(), false),
        ],
        from: String::new(),
        to: "2026-11-12".into(),
        chart: chart(words().audit_chart_all()),
        rows: vec![
            row(
                812,
                "ana",
                words().events_sign_in_succeeded(),
                "",
                Badge::new(Kind::Ok, words().audit_badge_ok()),
            ),
            row(
                811,
                "—",
                words().events_sign_in_failed(),
                "ben",
                Badge::new(Kind::Danger, words().audit_badge_refused()),
            ),
            row(
                810,
                "ana",
                words().events_link_created(),
                "ben",
                Badge::new(Kind::Ok, words().audit_badge_ok()),
            ),
        ],
        pager: Pager { next: Some("/admin/audit?before=763".into()), ..Pager::by_time() },
        retention: words().audit_retention(30_u64),
        jsonl_url: "/admin/audit/export?format=jsonl".into(),
        csv_url: "/admin/audit/export?format=csv".into(),
    }
}

fn warnings() -> Vec<Warning> {
    let warning = |code: &'static str, kind, title: &str, text: &str, line: &str, url: &str| Warning {
        code,
        kind,
        title: title.into(),
        text: text.into(),
        line: line.into(),
        url: url.into(),
    };
    vec![
        warning(
            "clock_behind",
            Kind::Danger,
            words().health_clock_behind(),
            words().health_clock_behind_text(),
            "timedatectl set-ntp true",
            "",
        ),
        warning(
            "no_proxy",
            Kind::Warn,
            words().health_no_proxy(),
            words().health_no_proxy_text(),
            "server.trusted_proxies = [\"127.0.0.1\"]",
            "/admin/doctor",
        ),
        warning(
            "apps_not_told",
            Kind::Info,
            words().health_apps_not_told(),
            &words().health_apps_not_told_text(3_u64),
            "",
            "/admin/audit?kind=client.logout_failed",
        ),
    ]
}

fn overview(is_well: bool) -> Overview {
    let tile = |number: &str, label: &str, url: &str, kind| Tile {
        number: number.into(),
        label: label.into(),
        url: url.into(),
        kind,
    };
    let step = |code, label: &str, sentence: &str, url: &str| OpenStep {
        code,
        label: label.into(),
        sentence: sentence.into(),
        url: url.into(),
    };
    let paused = if is_well { Kind::Info } else { Kind::Warn };
    Overview {
        frame: shell(words().overview_title(), "overview"),
        tiles: vec![
            tile("7", words().people_title(), "/admin/people", Kind::Info),
            tile("132", words().overview_sign_ins(), "/admin/audit?kind=sign_in.succeeded", Kind::Info),
            tile("15", words().overview_refused(), "/admin/audit?kind=sign_in.&outcome=refused", Kind::Info),
            tile(
                if is_well { "0" } else { "2" },
                words().overview_paused(),
                "/admin/people?filter=suspended",
                paused,
            ),
        ],
        chart: chart(words().overview_chart()),
        warnings: if is_well { Vec::new() } else { warnings() },
        steps: if is_well {
            Vec::new()
        } else {
            vec![
                step(
                    "address",
                    words().setup_open_https(),
                    words().setup_open_address_text(),
                    "/admin/setup/address",
                ),
                step(
                    "second-admin",
                    words().overview_second_admin(),
                    words().overview_second_admin_text(),
                    "/admin/people",
                ),
            ]
        },
    }
}

fn system(is_well: bool) -> System {
    let key = |kid: &str, algorithm: &str, phase, note: &str| KeyRow {
        kid: kid.into(),
        algorithm: algorithm.into(),
        phase,
        created: at(2, "09:14"),
        note: note.into(),
    };
    let snapshot = |day, reason: &str| SnapshotRow {
        url: format!("/admin/system/backups/202611{day:02}T031500Z-daily.doorward-export"),
        when: at(day, "03:15"),
        reason: reason.into(),
        size: "1.4 MiB".into(),
        is_complete: true,
    };
    System {
        frame: shell(words().system_title(), "system"),
        facts: vec![
            Fact::new(words().system_version(), "0.1.0"),
            Fact::new(words().system_up_since(), at(2, "09:14").in_words(&words())),
            Fact::new(words().setup_health_store(), "1.4 MiB"),
            Fact::new(words().system_free_space(), "21.3 GiB"),
            Fact::new(
                words().setup_check_clock(),
                words().system_clock_fine(at(12, "13:59").in_words(&words())),
            ),
            Fact::new(words().system_last_snapshot(), at(12, "03:15").in_words(&words())),
            Fact::new(words().system_key_age(), words().system_days(10_u64)),
            Fact::new(
                words().system_certificate(),
                words().system_certificate_ends(at(27, "14:02").in_words(&words()), 45_u64),
            ),
        ],
        warnings: if is_well { Vec::new() } else { warnings() },
        restart: if is_well { Vec::new() } else { vec![words().system_restart_changed("server.listen")] },
        instance_name: if is_well { "Linden Street".into() } else { String::new() },
        errors: if is_well {
            FieldErrors::none()
        } else {
            FieldErrors::one("instance_name", words().setup_welcome_name_short())
        },
        snapshots: if is_well {
            vec![
                snapshot(12, words().system_reason_daily()),
                snapshot(11, words().system_reason_daily()),
                SnapshotRow { is_complete: false, ..snapshot(10, words().system_reason_asked()) },
            ]
        } else {
            Vec::new()
        },
        keys: vec![
            KeyGroup {
                which: "tokens",
                title: words().system_keys_tokens().into(),
                hint: words().system_keys_tokens_hint().into(),
                question: words().system_keys_tokens_question().into(),
                rows: vec![
                    key("zYx9bq0E", "EdDSA", Badge::new(Kind::Info, words().system_phase_retired()), ""),
                    key(
                        "Q3dTv8Lm",
                        "EdDSA",
                        Badge::new(Kind::Ok, words().system_phase_signing()),
                        &words().system_key_next(80),
                    ),
                ],
            },
            KeyGroup {
                which: "apps",
                title: words().system_keys_apps().into(),
                hint: words().system_keys_apps_hint().into(),
                question: words().system_keys_apps_question().into(),
                rows: vec![key(
                    "Hh27Ka1c",
                    "RS256",
                    Badge::new(Kind::Ok, words().system_phase_signing()),
                    &words().system_key_next(80),
                )],
            },
        ],
    }
}

fn settings() -> Settings {
    let row = |key, value: &str, origin: &str, help| SettingRow {
        key,
        value: value.into(),
        origin: if origin == "default" { words().system_origin_default().into() } else { origin.into() },
        help,
        is_set: origin != "default",
        is_waiting: key == "server.listen",
    };
    let section = |name: &str, rows| Section { name: name.into(), rows };
    Settings {
        frame: shell(words().system_settings(), "system"),
        restart: vec![words().system_restart_changed("server.listen")],
        sections: vec![
            section(
                "instance",
                vec![row(
                    "instance.name",
                    NASTY,
                    words().system_origin_store(),
                    words().settings_instance_name(),
                )],
            ),
            section(
                "server",
                vec![
                    row(
                        "server.listen",
                        "127.0.0.1:8080",
                        &words().system_origin_flag("--listen"),
                        words().settings_server_listen(),
                    ),
                    row(
                        "server.public_origin",
                        "https://auth.linden.example",
                        "/etc/doorward/doorward.toml",
                        words().settings_server_public_origin(),
                    ),
                    row("server.insecure_http", "false", "default", words().settings_server_insecure_http()),
                ],
            ),
            section(
                "bootstrap",
                vec![
                    row("bootstrap.owner", "", "default", words().settings_bootstrap_owner()),
                    row(
                        "bootstrap.password_hash",
                        "••••••••",
                        &words().system_origin_environment("DOORWARD_BOOTSTRAP__PASSWORD_HASH"),
                        words().settings_bootstrap_password_hash(),
                    ),
                ],
            ),
        ],
    }
}

pub(super) fn pages() -> Vec<Sample> {
    let whoami = Whoami {
        frame: shell(words().system_whoami(), "system"),
        facts: vec![
            Fact::new(words().system_whoami_address(), "192.168.1.23"),
            Fact::new(words().system_whoami_peer(), format!("127.0.0.1 ({})", words().system_whoami_proxy())),
            Fact::new(words().system_whoami_secure(), words().system_yes()),
            Fact::new(words().system_whoami_host(), "auth.linden.example"),
        ],
        headers: vec![
            Fact::new("host", "auth.linden.example"),
            Fact::new("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
            Fact::new("cookie", words().system_hidden_value(181_u64)),
            Fact::new("x-forwarded-for", NASTY),
        ],
    };
    let support = Support {
        frame: shell(words().system_support(), "system"),
        text: "doorward 0.1.0\ntarget: aarch64-linux\ncores: 4\n\nwarnings:\n  none\n".into(),
    };
    vec![
        sample("admin-overview", overview(true)),
        sample("admin-overview-new", overview(false)),
        sample("admin-audit", audit()),
        sample(
            "admin-audit-empty",
            Audit { rows: Vec::new(), chart: Chart::default(), pager: Pager::default(), ..audit() },
        ),
        sample("admin-system", system(true)),
        sample("admin-system-trouble", system(false)),
        sample("admin-settings", settings()),
        sample("admin-support", support),
        sample("admin-whoami", whoami),
    ]
}
