//! The page of the audit log.

use http::StatusCode;

use super::Admin;
use super::audit::Question;
use super::system_api::exported;
use crate::audit::{AuditRow as Row, Outcome};
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::admin as views;
use crate::views::chart::HourBar;
use crate::views::{Badge, Choice, Fact, Kind, Pager, plural};

/// How many events a page shows.
const PAGE: usize = 50;
/// How many hours the bars show.
const HOURS: usize = 24;

/// The areas of events: the beginning of their kinds, and a word for them.
const AREAS: [(&str, &str); 16] = [
    ("", "Everything"),
    ("sign_in.", "Sign-ins"),
    ("step_up.", "Confirmations"),
    ("suspension.", "Lifted pauses"),
    ("session.", "Sessions"),
    ("refresh.", "Reused refresh tokens"),
    ("password.", "Passwords"),
    ("totp.", "Authenticator apps"),
    ("recovery_code", "Recovery codes"),
    ("user.", "People"),
    ("group.", "Groups"),
    ("link.", "One-time links"),
    ("rule.", "Access rules"),
    ("access.", "Refused at apps"),
    ("setting.", "Settings"),
    ("server.", "Starts and stops"),
];

/// `GET /admin/audit?who=…&kind=…&outcome=…&from=…&to=…&before=…`.
pub async fn show_audit(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let question = Question::of(request);
    let before = request.query("before");
    let mut frame = room.frame(request, actor, "Audit", "audit");
    let mut status = StatusCode::OK;
    let found = match question.filter() {
        Ok(filter) => room.audit.page(&filter, before.as_deref(), PAGE)?,
        Err(problem) => {
            status = problem.status;
            let errors = field_errors(problem, "who", request.words())?;
            let text: Vec<&str> = errors.iter().map(|(_, text)| text).collect();
            frame = frame.with_notice(Kind::Danger, text.join(" "));
            crate::audit::Page { rows: Vec::new(), next_cursor: None }
        }
    };
    let query = question.to_query();
    let address = |path: &str, more: &str| {
        let parts: Vec<&str> = [query.as_str(), more].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
    };
    let next = found.next_cursor.as_ref().map(|cursor| address("/admin/audit", &format!("before={cursor}")));
    let days = room.audit.retention().as_secs() / 86_400;
    let page = views::Audit {
        frame,
        kinds: AREAS
            .iter()
            .map(|(prefix, label)| Choice::new(*prefix, *label, *prefix == question.kind))
            .collect(),
        outcomes: outcomes(&question.outcome),
        bars_title: format!("Sign-ins in the last {HOURS} hours"),
        bars: bars(room)?,
        rows: found.rows.into_iter().map(row).collect(),
        pager: Pager { label: String::new(), previous: before.map(|_| address("/admin/audit", "")), next },
        retention: format!(
            "Addresses are stored shortened. Events and addresses are deleted after {}.",
            plural(days, "day")
        ),
        export_url: address("/admin/audit/export", ""),
        chain: None,
        who: question.who,
        from: question.from,
        to: question.to,
    };
    Reply::html(status, &page)
}

fn outcomes(chosen: &str) -> Vec<Choice> {
    [("", "All"), ("succeeded", "Done"), ("refused", "Refused"), ("failed", "Failed")]
        .into_iter()
        .map(|(value, label)| Choice::new(value, label, value == chosen))
        .collect()
}

/// Counts sign-ins by hour. Events beside a sign-in, such as a new device, are no sign-ins of their own.
fn bars(room: &Admin) -> Result<Vec<HourBar>, Problem> {
    let succeeded = room.audit.hours("sign_in.succeeded", HOURS)?;
    let all = room.audit.hours("sign_in.", HOURS)?;
    let label = |start: Timestamp| format!("{:02}:00", start.as_secs() / 3600 % 24);
    let bar = |(ok, all): (&crate::audit::Hour, &crate::audit::Hour)| HourBar {
        label: label(ok.start),
        ok: ok.succeeded,
        refused: all.refused,
    };
    Ok(succeeded.iter().zip(&all).map(bar).collect())
}

fn row(row: Row) -> views::AuditRow {
    let outcome = match row.outcome {
        Outcome::Succeeded => Badge::new(Kind::Ok, "ok"),
        Outcome::Refused => Badge::new(Kind::Danger, "refused"),
        Outcome::Failed => Badge::new(Kind::Danger, "failed"),
    };
    let targets: Vec<String> = row.user.into_iter().chain(row.target).collect();
    let mut facts: Vec<Fact> = row.details.into_iter().map(|(key, value)| Fact::new(key, value)).collect();
    facts.extend(row.request.map(|request| Fact::new("request", request)));
    facts.push(Fact::new("kind", row.kind.clone()));
    views::AuditRow {
        when: row.at.into(),
        seq: row.sequence,
        actor: if row.actor == "nobody" { "—".to_owned() } else { row.actor },
        action: if row.sentence.is_empty() { row.kind } else { row.sentence.to_owned() },
        target: targets.join(" "),
        outcome,
        place: row.place.unwrap_or_default(),
        facts,
    }
}

/// `GET /admin/audit/export`: the events as a file; needs a step-up.
pub async fn export(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (question, cursor) = (Question::of(request), request.query("cursor"));
    match room.export_audit(actor, &question, cursor.as_deref(), &visit(room, request)?).await {
        Ok(export) => Ok(exported(export, "/admin/audit/export", &question)),
        Err(problem) if problem.code == "step_up_required" => {
            let query = question.to_query();
            let next =
                if query.is_empty() { "/admin/audit".to_owned() } else { format!("/admin/audit?{query}") };
            Ok(step_up_first(&next))
        }
        Err(problem) => Err(problem),
    }
}
