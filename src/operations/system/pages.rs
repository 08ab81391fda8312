//! The pages: overview, system, settings, the text for support, and what is seen of a request.

use http::StatusCode;

use super::certificate::Certificate;
use super::settings::{InEffect, Waiting};
use super::warnings::{self, Severity};
use super::{System, whoami};
use crate::admin::audit_pages::bar;
use crate::audit::Kind as EventKind;
use crate::crypto::key_ring::{KeyFacts, Phase};
use crate::http::outgoing::reason;
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::store::snapshots::{Reason, Stored};
use crate::views::chart::Chart;
use crate::views::system as views;
use crate::views::{Badge, Fact, FieldErrors, Kind, When};
use crate::words::{Said, Words};

const SYSTEM: &str = "/admin/system";
const DAY: u64 = 86_400;

fn event(
    room: &System,
    request: &Request,
    actor: &Principal,
    kind: EventKind,
) -> Result<crate::audit::Event, Problem> {
    Ok(room.event(kind, actor, &visit(room, request)?))
}

fn shown_warnings(found: &[warnings::Warning], t: Words) -> Vec<views::Warning> {
    let shown = |warning: &warnings::Warning| views::Warning {
        code: warning.code.as_str(),
        kind: match warning.severity {
            Severity::Broken => Kind::Danger,
            Severity::Warning => Kind::Warn,
            Severity::Notice => Kind::Info,
        },
        title: warning.title(t).to_owned(),
        text: warning.text(t),
        line: warning.line().to_owned(),
        url: warning.page().unwrap_or_default().to_owned(),
    };
    found.iter().map(shown).collect()
}

/// `GET /admin`.
pub async fn show_overview(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let seen = room.overview(&actor.user, t)?;
    let tile = |number: u64, label: &str, url: &str, is_odd: bool| views::Tile {
        number: number.to_string(),
        label: label.to_owned(),
        url: url.to_owned(),
        kind: if is_odd { Kind::Warn } else { Kind::Info },
    };
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let tiles = vec![
        tile(count(seen.people), t.overview_people(), "/admin/people", false),
        tile(seen.sign_ins, t.overview_sign_ins(), "/admin/audit?kind=sign_in.succeeded", false),
        tile(seen.refused, t.overview_refused(), "/admin/audit?kind=sign_in.&outcome=refused", false),
        tile(count(seen.paused), t.overview_paused(), "/admin/people?filter=suspended", seen.paused > 0),
    ];
    let page = views::Overview {
        frame: room.frame(request, actor, t.overview_title(), "overview"),
        tiles,
        chart: Chart { title: t.overview_chart().to_owned(), bars: seen.hours.iter().map(bar).collect() },
        warnings: shown_warnings(&seen.warnings, t),
        steps: seen.steps,
    };
    Reply::html(StatusCode::OK, &page)
}

/// `GET /admin/system`.
pub async fn show_system(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    system_page(room, request, actor, None)
}

fn system_page(
    room: &System,
    request: &Request,
    actor: &Principal,
    refused: Option<(&str, Problem)>,
) -> Result<Reply, Problem> {
    let t = request.words();
    let mut frame = room.frame(request, actor, t.system_title(), "system");
    frame = match request.query("done").as_deref() {
        Some("saved") => frame.with_notice(Kind::Ok, t.system_saved()),
        Some("replaced") => frame.with_notice(Kind::Ok, t.system_replaced()),
        Some("taken") => frame.with_notice(Kind::Ok, t.system_taken()),
        _ => frame,
    };
    let (mut status, mut errors, mut instance_name) = (StatusCode::OK, FieldErrors::none(), room.site.name());
    if let Some((typed, problem)) = refused {
        if problem.fields.is_empty() {
            return Err(problem);
        }
        status = problem.status;
        instance_name = typed.to_owned();
        errors = FieldErrors::said(t, &problem.fields);
    }
    let facts = room.facts();
    let snapshots = room.backups().list()?;
    let page = views::System {
        frame,
        facts: glance(room, &facts, &snapshots, t)?,
        warnings: shown_warnings(&warnings::examine(&facts), t),
        restart: restart(&room.waiting_settings(), t),
        instance_name,
        errors,
        snapshots: snapshots.iter().map(|stored| snapshot_row(stored, t)).collect(),
        keys: key_groups(room, t),
    };
    Reply::html(status, &page)
}

fn glance(
    room: &System,
    facts: &warnings::Facts,
    snapshots: &[Stored],
    t: Words,
) -> Result<Vec<Fact>, Problem> {
    let when = |at: Timestamp| When::from(at).in_words(&t);
    let mark = when(room.clock_mark());
    let clock = if facts.is_clock_behind { t.system_clock_behind(mark) } else { t.system_clock_fine(mark) };
    let tokens = room.sessions.tokens().key_facts();
    let signing = tokens.iter().find(|key| key.phase == Phase::Signing);
    let snapshot = snapshots.first().map_or_else(|| t.system_none_yet().to_owned(), |one| when(one.taken_at));
    let age = |at: Timestamp| age(facts.now, at, t);
    let copy = room.setup().last_backup()?;
    Ok(vec![
        Fact::new(t.system_version(), env!("CARGO_PKG_VERSION")),
        Fact::new(t.system_up_since(), when(room.started())),
        Fact::new(t.system_store_size(), size(facts.store_bytes)),
        Fact::new(t.system_free_space(), facts.free_bytes.map_or(t.system_unknown().to_owned(), size)),
        Fact::new(t.system_clock(), clock),
        Fact::new(t.system_last_snapshot(), snapshot),
        Fact::new(t.system_last_copy(), copy.map_or_else(|| t.system_none_yet().to_owned(), when)),
        Fact::new(
            t.system_key_age(),
            signing.map_or(t.system_none_yet().to_owned(), |key| age(key.activates)),
        ),
        Fact::new(t.system_certificate(), certificate(facts, t)),
    ])
}

fn certificate(facts: &warnings::Facts, t: Words) -> String {
    match &facts.certificate {
        None => t.system_certificate_unseen().to_owned(),
        Some(Certificate::None) => t.system_certificate_none().to_owned(),
        Some(Certificate::Good(None)) => t.system_certificate_good().to_owned(),
        Some(Certificate::Good(Some(ends))) => {
            let days = ends.since(facts.now).as_secs() / DAY;
            t.system_certificate_ends(When::from(*ends).in_words(&t), days)
        }
        Some(Certificate::Ended) => t.system_certificate_ended().to_owned(),
        Some(Certificate::NotBelieved(why)) => t.system_certificate_not_believed(reason(why, t)),
        Some(Certificate::NotReached(why)) => t.system_certificate_not_reached(reason(why, t)),
    }
}

fn age(now: Timestamp, at: Timestamp, t: Words) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..3600 => t.system_minutes((seconds / 60).max(1)),
        3600..172_800 => t.system_hours(seconds / 3600),
        _ => t.system_days(seconds / DAY),
    }
}

/// Returns `512 KiB`, `1.5 MiB`, `20 GiB`.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    let (unit, name) = match bytes {
        0..1_048_576 => return format!("{} KiB", bytes.div_ceil(KIB)),
        1_048_576..1_073_741_824 => (KIB * KIB, "MiB"),
        _ => (KIB * KIB * KIB, "GiB"),
    };
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    if whole >= 100 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
}

fn snapshot_row(stored: &Stored, t: Words) -> views::SnapshotRow {
    let reason = match stored.reason {
        Reason::Daily => t.system_reason_daily(),
        Reason::Precaution => t.system_reason_precaution(),
        Reason::Asked => t.system_reason_asked(),
    };
    views::SnapshotRow {
        url: format!("{SYSTEM}/backups/{}", stored.name),
        when: When::from(stored.taken_at),
        reason: reason.to_owned(),
        size: size(stored.bytes),
    }
}

fn key_groups(room: &System, t: Words) -> Vec<views::KeyGroup> {
    let row = |algorithm: String, key: KeyFacts| views::KeyRow {
        kid: key.kid,
        algorithm,
        phase: match key.phase {
            Phase::Coming => Badge::new(Kind::Info, t.system_phase_coming()),
            Phase::Signing => Badge::new(Kind::Ok, t.system_phase_signing()),
            Phase::Retired => Badge::new(Kind::Info, t.system_phase_retired()),
        },
        created: When::from(key.created),
        note: match key.phase {
            Phase::Signing => {
                room.days_left(key.activates).map(|days| t.system_key_next(days)).unwrap_or_default()
            }
            _ => String::new(),
        },
    };
    let tokens = room.sessions.tokens().key_facts();
    let apps = room.oidc.key_facts();
    vec![
        views::KeyGroup {
            which: "tokens",
            title: t.system_keys_tokens().to_owned(),
            hint: t.system_keys_tokens_hint().to_owned(),
            question: t.system_keys_tokens_question().to_owned(),
            rows: tokens.into_iter().map(|key| row("EdDSA".to_owned(), key)).collect(),
        },
        views::KeyGroup {
            which: "apps",
            title: t.system_keys_apps().to_owned(),
            hint: t.system_keys_apps_hint().to_owned(),
            question: t.system_keys_apps_question().to_owned(),
            rows: apps.into_iter().map(|(algorithm, key)| row(algorithm.to_string(), key)).collect(),
        },
    ]
}

fn restart(waiting: &Waiting, t: Words) -> Vec<String> {
    let changed = waiting.changed.iter().map(|key| t.system_restart_changed(key));
    changed.chain(waiting.mistakes.as_ref().map(|why| t.system_restart_mistakes(why))).collect()
}

/// `POST /admin/system/name`.
pub async fn rename(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let name = form.text("instance_name");
    match room.rename_instance(name, event(room, request, actor, EventKind::SettingChanged)?).await {
        Ok(()) => Ok(Reply::see_other("/admin/system?done=saved")),
        Err(problem) => system_page(room, request, actor, Some((name, problem))),
    }
}

/// `POST /admin/system/keys`: `which` is `tokens` or `apps`; needs a step-up.
pub async fn rotate_keys(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(SYSTEM));
    }
    let event = event(room, request, actor, EventKind::KeysRotated)?;
    match request.form()?.text("which") {
        "tokens" => room.rotate_token_keys(event).await?,
        "apps" => room.rotate_app_keys(event).await?,
        _ => return Err(Problem::bad_request("invalid_value", Said::of(Words::system_bad_keys))),
    }
    Ok(Reply::see_other("/admin/system?done=replaced"))
}

/// `POST /admin/system/backups`: takes a snapshot now.
pub async fn take_backup(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    room.take_snapshot(event(room, request, actor, EventKind::StoreExported)?).await?;
    Ok(Reply::see_other("/admin/system?done=taken"))
}

/// `GET /admin/system/backups/{name}`: the snapshot as a file; needs a step-up.
pub async fn read_backup(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(SYSTEM));
    }
    let name = request.param("name");
    let event = event(room, request, actor, EventKind::StoreExported)?;
    super::api::as_file(room, actor, name, room.read_snapshot(name, event).await?)
}

/// `GET /admin/system/settings`.
pub async fn show_settings(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let waiting = room.waiting_settings();
    let mut sections: Vec<views::Section> = Vec::new();
    for InEffect { key, value, origin, help, .. } in room.settings_in_effect(t) {
        let name = key.split('.').next().unwrap_or(key);
        let row = views::SettingRow {
            key,
            value,
            is_set: origin != "default",
            origin: origin.split(" + ").map(|one| origin_in_words(one, t)).collect::<Vec<_>>().join(" + "),
            help,
            is_waiting: waiting.changed.contains(&key),
        };
        match sections.last_mut().filter(|section| section.name == name) {
            Some(section) => section.rows.push(row),
            None => sections.push(views::Section { name: name.to_owned(), rows: vec![row] }),
        }
    }
    let page = views::Settings {
        frame: room.frame(request, actor, t.system_settings(), "system"),
        restart: restart(&waiting, t),
        sections,
    };
    Reply::html(StatusCode::OK, &page)
}

fn origin_in_words(origin: &str, t: Words) -> String {
    match (origin, origin.split_once(' ')) {
        ("default", _) => t.system_origin_default().to_owned(),
        ("store", _) => t.system_origin_store().to_owned(),
        (_, Some(("environment", name))) => t.system_origin_environment(name),
        (_, Some(("flag", name))) => t.system_origin_flag(name),
        _ => origin.to_owned(),
    }
}

/// `GET /admin/system/support`.
pub async fn show_support(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let frame = room.frame(request, actor, t.system_support(), "system");
    Reply::html(StatusCode::OK, &views::Support { frame, text: room.support_text() })
}

/// `GET /whoami`.
pub async fn show_whoami(room: &System, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let seen = whoami::look(request);
    let yes_or_no = |is_so: bool| if is_so { t.system_yes() } else { t.system_no() };
    let proxy = if seen.is_trusted_proxy { t.system_whoami_proxy() } else { t.system_whoami_direct() };
    let facts = vec![
        Fact::new(t.system_whoami_address(), seen.address),
        Fact::new(t.system_whoami_peer(), format!("{} ({proxy})", seen.peer)),
        Fact::new(t.system_whoami_secure(), yes_or_no(seen.is_https)),
        Fact::new(t.system_whoami_host(), seen.host.unwrap_or_else(|| t.system_unknown().to_owned())),
    ];
    let header = |header: whoami::SeenHeader| {
        let hidden = || t.system_hidden_value(header.length);
        Fact::new(header.name.clone(), header.value.clone().unwrap_or_else(hidden))
    };
    let page = views::Whoami {
        frame: room.frame(request, actor, t.system_whoami(), "system"),
        facts,
        headers: seen.headers.into_iter().map(header).collect(),
    };
    Reply::html(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (1, "1 KiB"),
            (524_288, "512 KiB"),
            (1_572_864, "1.5 MiB"),
            (157_286_400, "150 MiB"),
            (21_474_836_480, "20.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
