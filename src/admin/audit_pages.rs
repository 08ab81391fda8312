//! The page of the audit log.

use http::StatusCode;

use super::Admin;
use super::audit::{Format, Question};
use super::system_api::exported;
use crate::audit::{AuditRow as Row, Filter, Hour, Outcome, place_in_words};
use crate::http::{Problem, Reply, Request};
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::audit as views;
use crate::views::chart::{Chart, HourBar};
use crate::views::people::FilterLink;
use crate::views::{Badge, Choice, Fact, Kind, Pager, When};
use crate::words::Words;

/// How many events a page shows.
const PAGE: usize = 50;

const PATH: &str = "/admin/audit";

type Say = fn(Words) -> &'static str;

/// The areas of events: the beginning of their kinds, and words for them.
const AREAS: [(&str, Say); 27] = [
    ("", Words::audit_everything),
    ("sign_in.", Words::audit_area_sign_in),
    ("step_up.", Words::audit_area_step_up),
    ("suspension.", Words::audit_area_suspension),
    ("session.", Words::audit_area_session),
    ("refresh.", Words::audit_area_refresh),
    ("password.", Words::audit_area_password),
    ("passkey.", Words::audit_area_passkey),
    ("totp.", Words::audit_area_totp),
    ("recovery_code", Words::audit_area_recovery),
    ("user.", Words::audit_area_user),
    ("group.", Words::audit_area_group),
    ("link.", Words::audit_area_link),
    ("rule.", Words::audit_area_rule),
    ("access.", Words::audit_area_access),
    ("app.", Words::audit_area_app),
    ("app_token.", Words::audit_area_app_token),
    ("program.", Words::audit_area_program),
    ("client.", Words::audit_area_client),
    ("setting.", Words::audit_area_setting),
    ("admin.", Words::audit_area_admin),
    ("request.", Words::audit_area_request),
    ("setup.", Words::audit_area_setup),
    ("keys.", Words::audit_area_keys),
    ("audit.", Words::audit_area_audit),
    ("store.", Words::audit_area_store),
    ("server.", Words::audit_area_server),
];

/// What is asked often: the beginning of a kind, an outcome, and words for it.
const OFTEN: [(&str, &str, Say); 7] = [
    ("", "", Words::audit_everything),
    ("", "refused", Words::audit_refused),
    ("sign_in.", "", Words::audit_area_sign_in),
    ("user.", "", Words::audit_area_user),
    ("app.", "", Words::audit_area_app),
    ("rule.", "", Words::audit_area_rule),
    ("access.", "", Words::audit_area_access),
];

/// `GET /admin/audit?who=…&kind=…&app=…&outcome=…&from=…&to=…&before=…`.
pub async fn show_audit(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let question = Question::of(request);
    let before = request.query("before");
    let mut frame = room.frame(request, actor, t.audit_title(), "audit");
    let mut status = StatusCode::OK;
    let (found, chart) = match question.filter() {
        Ok(filter) => {
            let found = room.audit.page(&filter, before.as_deref(), PAGE).await?;
            (found, chart(room, &question, &filter, t).await?)
        }
        Err(problem) => {
            status = problem.status;
            let errors = field_errors(problem, "who", t)?;
            let text: Vec<&str> = errors.iter().map(|(_, text)| text).collect();
            frame = frame.with_notice(Kind::Danger, text.join(" "));
            (crate::audit::Page { rows: Vec::new(), next_cursor: None }, Chart::default())
        }
    };
    let query = question.to_query();
    let next = found.next_cursor.as_ref().map(|cursor| address(PATH, &query, &format!("before={cursor}")));
    let export =
        |format: Format| address("/admin/audit/export", &query, &format!("format={}", format.as_str()));
    let page = views::Audit {
        frame,
        filters: OFTEN.iter().map(|often| often_asked(&question, often, t)).collect(),
        kinds: kinds(&question.kind, t),
        apps: apps(room, &question.app, t),
        outcomes: outcomes(&question.outcome, t),
        chart,
        rows: found.rows.into_iter().map(|found| row(room, found, t)).collect(),
        pager: Pager { previous: before.map(|_| address(PATH, &query, "")), next, ..Pager::by_time() },
        retention: t.audit_retention(room.audit.retention().as_secs() / 86_400),
        jsonl_url: export(Format::Jsonl),
        csv_url: export(Format::Csv),
        who: question.who,
        from: question.from,
        to: question.to,
    };
    Reply::html(status, &page)
}

fn address(path: &str, query: &str, more: &str) -> String {
    let parts: Vec<&str> = [query, more].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

fn often_asked(question: &Question, (kind, outcome, say): &(&str, &str, Say), t: Words) -> FilterLink {
    let asked = Question { kind: (*kind).to_owned(), outcome: (*outcome).to_owned(), ..Question::default() };
    FilterLink {
        label: say(t).to_owned(),
        url: address(PATH, &asked.to_query(), ""),
        is_current: asked.to_query() == question.to_query(),
    }
}

/// The areas; a kind that is none of them, such as one that a link named, stands for itself.
fn kinds(chosen: &str, t: Words) -> Vec<Choice> {
    let areas = AREAS.iter().map(|(prefix, say)| Choice::new(*prefix, say(t), *prefix == chosen));
    let mut kinds: Vec<Choice> = areas.collect();
    if !AREAS.iter().any(|(prefix, _)| *prefix == chosen) {
        kinds.push(Choice::new(chosen, chosen, true));
    }
    kinds
}

fn apps(room: &Admin, chosen: &str, t: Words) -> Vec<Choice> {
    let mut apps = vec![Choice::new("", t.audit_all(), chosen.is_empty())];
    let clients = room.oidc.clients();
    let named = |client: &std::sync::Arc<crate::oidc::client::Client>| {
        let id = client.id.as_str();
        Choice::new(id, client.settings.name.clone(), id == chosen)
    };
    apps.extend(clients.iter().map(named));
    if !apps.iter().any(|choice| choice.selected) {
        apps.push(Choice::new(chosen, chosen, true));
    }
    apps
}

fn outcomes(chosen: &str, t: Words) -> Vec<Choice> {
    [
        ("", t.audit_all()),
        ("succeeded", t.audit_done()),
        ("refused", t.audit_refused()),
        ("failed", t.audit_failed()),
    ]
    .into_iter()
    .map(|(value, label)| Choice::new(value, label, value == chosen))
    .collect()
}

/// Counts what the filter lets through, by hour: what is counted already where the filter asks for kinds alone, else by
/// looking at a bounded number of events.
async fn chart(room: &Admin, question: &Question, filter: &Filter, t: Words) -> Result<Chart, Problem> {
    let is_counted = filter.name.is_none()
        && filter.target.is_none()
        && filter.from.is_none()
        && filter.until.is_none()
        && filter.outcome != Some(Outcome::Failed);
    let hours = if is_counted {
        let done = filter.outcome.map(|outcome| outcome == Outcome::Succeeded);
        room.audit.last_day(|kind, is_done| {
            kind.name().starts_with(&question.kind) && done.is_none_or(|done| done == is_done)
        })
    } else {
        match room.audit.hours(filter).await? {
            Some(hours) => hours,
            None => return Ok(Chart::default()),
        }
    };
    let area = AREAS.iter().find(|(prefix, _)| *prefix == question.kind);
    let area = area.map_or(question.kind.as_str(), |(_, say)| say(t));
    let title = match filter.until {
        Some(until) => t.audit_chart_until(area, When::from(until).in_words(&t)),
        None if question.kind.is_empty() => t.audit_chart_all().to_owned(),
        None => t.audit_chart_area(area),
    };
    Ok(Chart { title, bars: hours.iter().map(bar).collect() })
}

/// One bar.
pub(crate) fn bar(hour: &Hour) -> HourBar {
    HourBar {
        label: format!("{:02}:00", hour.start.as_secs() / 3600 % 24),
        ok: hour.succeeded,
        refused: hour.refused,
    }
}

fn row(room: &Admin, row: Row, t: Words) -> views::AuditRow {
    let outcome = match row.outcome {
        Outcome::Succeeded => Badge::new(Kind::Ok, t.audit_badge_ok()),
        Outcome::Refused => Badge::new(Kind::Danger, t.audit_badge_refused()),
        Outcome::Failed => Badge::new(Kind::Danger, t.audit_badge_failed()),
    };
    let action = row.said(t);
    let asked = Question { who: row.actor.clone(), ..Question::default() };
    let actor_url = row.actor_id.map(|_| address(PATH, &asked.to_query(), "")).unwrap_or_default();
    let app = row.app().and_then(|id| room.oidc.client(id));
    let mut facts: Vec<Fact> = row.details.into_iter().map(|(key, value)| Fact::new(key, value)).collect();
    facts.extend(app.as_ref().map(|app| Fact::new(t.apps_value_client_id(), app.id.as_str())));
    let target = app.map(|app| app.settings.name.clone()).or(row.target);
    let targets: Vec<String> = row.user.into_iter().chain(target).collect();
    facts.extend(row.request.map(|request| Fact::new(t.audit_fact_request(), request)));
    facts.push(Fact::new(t.audit_fact_kind(), row.kind));
    facts.push(Fact::new(t.audit_fact_number(), row.sequence.to_string()));
    views::AuditRow {
        when: row.at.into(),
        seq: row.sequence,
        actor: if row.actor == "nobody" { "—".to_owned() } else { row.actor },
        actor_url,
        action,
        target: targets.join(" "),
        outcome,
        place: row.place.map(|place| place_in_words(&place, t)).unwrap_or_default(),
        facts,
    }
}

/// `GET /admin/audit/export`: the events as a file; needs a step-up.
pub async fn export(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (question, format) = (Question::of(request), Format::of(request)?);
    match room.export_audit(actor, &question, format, &visit(room, request)?).await {
        Ok(export) => exported(room, actor, export),
        Err(problem) if problem.code == "step_up_required" => {
            Ok(step_up_first(&address(PATH, &question.to_query(), "")))
        }
        Err(problem) => Err(problem),
    }
}
