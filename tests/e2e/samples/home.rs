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
use super::{NASTY, Sample, at, sample, shell};

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
            Fact::new("request", "r_01HX9"),
            Fact::new("device", NASTY),
            Fact::new("kind", "sign_in.succeeded"),
            Fact::new("number", seq.to_string()),
        ],
    };
    let filter =
        |label: &str, url: &str, is_current| FilterLink { label: label.into(), url: url.into(), is_current };
    Audit {
        frame: shell("Audit", "audit"),
        filters: vec![
            filter("Everything", "/admin/audit", true),
            filter("Refused", "/admin/audit?outcome=refused", false),
            filter("Sign-ins", "/admin/audit?kind=sign_in.", false),
            filter("People", "/admin/audit?kind=user.", false),
            filter("Apps", "/admin/audit?kind=app.", false),
            filter("Access rules", "/admin/audit?kind=rule.", false),
            filter("Refused at apps", "/admin/audit?kind=access.", false),
        ],
        who: String::new(),
        kinds: vec![Choice::new("", "Everything", true), Choice::new("sign_in.", "Sign-ins", false)],
        apps: vec![Choice::new("", "All", true), Choice::new("c_7", NASTY, false)],
        outcomes: vec![Choice::new("", "All", true), Choice::new("refused", "Refused", false)],
        from: String::new(),
        to: "2026-11-12".into(),
        chart: chart("Events, last 24 hours"),
        rows: vec![
            row(812, "ana", "Signed in.", "", Badge::new(Kind::Ok, "done")),
            row(811, "—", "A sign-in was refused.", "ben", Badge::new(Kind::Danger, "refused")),
            row(810, "ana", "A one-time link was made.", "ben", Badge::new(Kind::Ok, "done")),
        ],
        pager: Pager { next: Some("/admin/audit?before=763".into()), ..Pager::by_time() },
        retention: "Addresses are stored shortened. Events and addresses are deleted after 30 days.".into(),
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
            "The clock is behind",
            "The store has already seen a later time. No tokens are issued until the clock of this machine is right.",
            "timedatectl set-ntp true",
            "",
        ),
        warning(
            "no_proxy",
            Kind::Warn,
            "No reverse proxy is trusted",
            "Apps are to be protected, but a proxy on another machine is refused, and behind one on this machine every visitor looks the same.",
            "server.trusted_proxies = [\"127.0.0.1\"]",
            "/admin/doctor",
        ),
        warning(
            "apps_not_told",
            Kind::Info,
            "Apps were not told of a sign-out",
            "3 times in the last 24 hours. There, people may still be signed in.",
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
        frame: shell("Overview", "overview"),
        tiles: vec![
            tile("7", "People", "/admin/people", Kind::Info),
            tile("132", "Sign-ins in 24 hours", "/admin/audit?kind=sign_in.succeeded", Kind::Info),
            tile("15", "Refused in 24 hours", "/admin/audit?kind=sign_in.&outcome=refused", Kind::Info),
            tile(if is_well { "0" } else { "2" }, "Paused now", "/admin/people?filter=suspended", paused),
        ],
        chart: chart("Sign-ins, last 24 hours"),
        warnings: if is_well { Vec::new() } else { warnings() },
        steps: if is_well {
            Vec::new()
        } else {
            vec![
                step(
                    "address",
                    "An address with HTTPS",
                    "Without it passkeys do not work, and other devices cannot sign in safely.",
                    "/admin/setup/address",
                ),
                step(
                    "second-admin",
                    "A second administrator",
                    "Somebody should be able to help when you cannot sign in.",
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
    };
    System {
        frame: shell("System", "system"),
        facts: vec![
            Fact::new("Version", "0.1.0"),
            Fact::new("Running since", "2 Nov 2026, 09:14 UTC"),
            Fact::new("Store", "1.4 MiB"),
            Fact::new("Free on its disk", "21.3 GiB"),
            Fact::new("Clock", "right, newest entry 12 Nov 2026, 13:59 UTC"),
            Fact::new("Last snapshot", "12 Nov 2026, 03:15 UTC"),
            Fact::new("Signing key", "10 days old"),
            Fact::new("Certificate", "good for 45 more days, until 27 Dec 2026, 14:02"),
        ],
        warnings: if is_well { Vec::new() } else { warnings() },
        restart: if is_well {
            Vec::new()
        } else {
            vec!["server.listen is another one in the configuration than in the running server.".into()]
        },
        instance_name: if is_well { "Linden Street".into() } else { String::new() },
        errors: if is_well {
            FieldErrors::none()
        } else {
            FieldErrors::one("instance_name", "Give it a name of 1 to 64 characters, such as Home.")
        },
        snapshots: if is_well {
            vec![snapshot(12, "daily"), snapshot(11, "daily"), snapshot(10, "somebody asked")]
        } else {
            Vec::new()
        },
        keys: vec![
            KeyGroup {
                which: "tokens",
                title: "Access tokens of Doorward".into(),
                hint: "Replace them if one became known. Every access token is void then; programs get new ones with their refresh tokens, people stay signed in.".into(),
                question: "Replace the keys of access tokens? Every access token issued so far is void.".into(),
                rows: vec![
                    key("zYx9bq0E", "EdDSA", Badge::new(Kind::Info, "still verifies"), ""),
                    key("Q3dTv8Lm", "EdDSA", Badge::new(Kind::Ok, "signs"), "changes in 80 days"),
                ],
            },
            KeyGroup {
                which: "apps",
                title: "What apps verify".into(),
                hint: "Replace them if one became known. Apps fetch the new ones by themselves; until then a sign-in to them may fail.".into(),
                question: "Replace the keys that apps verify sign-ins with?".into(),
                rows: vec![key("Hh27Ka1c", "RS256", Badge::new(Kind::Ok, "signs"), "changes in 80 days")],
            },
        ],
    }
}

fn settings() -> Settings {
    let row = |key, value: &str, origin: &str, help| SettingRow {
        key,
        value: value.into(),
        origin: origin.into(),
        help,
        is_set: origin != "default",
        is_waiting: key == "server.listen",
    };
    let section = |name: &str, rows| Section { name: name.into(), rows };
    Settings {
        frame: shell("Settings", "system"),
        restart: vec!["server.listen is another one in the configuration than in the running server.".into()],
        sections: vec![
            section(
                "instance",
                vec![row("instance.name", NASTY, "set here", "The name shown on every page.")],
            ),
            section(
                "server",
                vec![
                    row("server.listen", "127.0.0.1:8080", "flag --listen", "Where the web server listens."),
                    row(
                        "server.public_origin",
                        "https://auth.linden.example",
                        "/etc/doorward/doorward.toml",
                        "Where browsers find Doorward. Set by the wizard; until then http://localhost with the port.",
                    ),
                    row(
                        "server.insecure_http",
                        "false",
                        "default",
                        "Allows sign-in over plain HTTP. For a lab only.",
                    ),
                ],
            ),
            section(
                "bootstrap",
                vec![
                    row(
                        "bootstrap.owner",
                        "",
                        "default",
                        "Makes this owner at the first start, without the wizard.",
                    ),
                    row(
                        "bootstrap.password_hash",
                        "••••••••",
                        "environment DOORWARD_BOOTSTRAP__PASSWORD_HASH",
                        "The owner's password as an argon2id hash ($argon2id$…).",
                    ),
                ],
            ),
        ],
    }
}

pub(super) fn pages() -> Vec<Sample> {
    let whoami = Whoami {
        frame: shell("What Doorward sees of you", "system"),
        facts: vec![
            Fact::new("Your address", "192.168.1.23"),
            Fact::new("Connection from", "127.0.0.1 (a trusted proxy)"),
            Fact::new("Encrypted", "yes"),
            Fact::new("Host", "auth.linden.example"),
        ],
        headers: vec![
            Fact::new("host", "auth.linden.example"),
            Fact::new("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
            Fact::new("cookie", "hidden, 181 characters"),
            Fact::new("x-forwarded-for", NASTY),
        ],
    };
    let support = Support {
        frame: shell("Text for support", "system"),
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
