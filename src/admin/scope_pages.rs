//! The page about scopes and apps that register themselves.

use http::StatusCode;

use super::Admin;
use super::by::By;
use crate::http::{Form, Problem, Reply, Request};
use crate::my_account::pages::field_errors;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::scopes as views;
use crate::views::{FieldErrors, Kind};
use crate::words::{Said, Words};

const PAGE: &str = "/admin/scopes";

/// What the page shows besides what there is.
#[derive(Default)]
struct Shown<'a> {
    status: StatusCode,
    token: Option<views::Token>,
    errors: FieldErrors,
    typed: Option<&'a Form>,
}

/// `GET /admin/scopes`.
pub async fn show(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    page(room, request, actor, Shown::default())
}

fn page(room: &Admin, request: &Request, actor: &Principal, shown: Shown<'_>) -> Result<Reply, Problem> {
    let t = request.words();
    let mut frame = room.frame(request, actor, t.scopes_title(), "apps");
    let done = match request.query("done").as_deref() {
        Some("saved") => Some(t.scopes_done_saved()),
        Some("removed") => Some(t.scopes_done_removed()),
        Some("dropped") => Some(t.scopes_done_dropped()),
        _ => None,
    };
    if let Some(done) = done {
        frame = frame.with_notice(Kind::Ok, done);
    }
    let scopes = room.oidc.custom_scopes();
    let row = |(name, claims): &(String, Vec<(String, String)>)| views::ScopeRow {
        name: name.clone(),
        claims: claims
            .iter()
            .map(|(claim, attribute)| format!("{claim} = attributes.{attribute}"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let typed = |field: &str| shown.typed.map_or_else(String::new, |form| form.text(field).to_owned());
    let number = |field: &str, usual: &str| match typed(field) {
        text if text.is_empty() => usual.to_owned(),
        text => text,
    };
    let view = views::Scopes {
        rows: scopes.iter().map(row).collect(),
        name: typed("name"),
        claims: typed("claims"),
        uses: number("uses", "1"),
        days: number("days", "1"),
        token: shown.token,
        errors: shown.errors,
        frame,
    };
    Reply::html(shown.status, &view)
}

/// Reads `claim=attribute`, one a line.
fn parse_claims(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let wrong = || Problem::unprocessable("claims", "invalid_value", Said::of(Words::scopes_claims_wrong));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (claim, attribute) = line.split_once('=').ok_or_else(wrong)?;
        Ok((claim.trim().to_owned(), attribute.trim().to_owned()))
    };
    lines.map(pair).collect()
}

fn refused(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    form: &Form,
    field: &'static str,
    problem: Problem,
) -> Result<Reply, Problem> {
    if problem.code == "step_up_required" {
        return Ok(step_up_first(PAGE));
    }
    let status = problem.status;
    let errors = field_errors(problem, field, request.words())?;
    page(room, request, actor, Shown { status, errors, typed: Some(form), ..Shown::default() })
}

/// `POST /admin/scopes`: makes a scope, or changes it.
pub async fn put(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    let put = match parse_claims(form.text("claims")) {
        Ok(claims) => room.put_scope(By::Person(actor, &visit), form.text("name").trim(), claims).await,
        Err(problem) => Err(problem),
    };
    match put {
        Ok(()) => Ok(Reply::see_other(&format!("{PAGE}?done=saved"))),
        Err(problem) => refused(room, request, actor, &form, "claims", problem),
    }
}

/// `POST /admin/scopes/remove`.
pub async fn remove(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    match room.remove_scope(By::Person(actor, &visit), form.text("name")).await {
        Ok(()) => Ok(Reply::see_other(&format!("{PAGE}?done=removed"))),
        Err(problem) => refused(room, request, actor, &form, "name", problem),
    }
}

/// `POST /admin/registration-tokens`: makes a token and shows it once.
pub async fn make_token(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    // No number is no number in the range either, and refused in the same words.
    let number = |field| form.text(field).trim().parse().unwrap_or(0);
    let made = room.make_registration_token(By::Person(actor, &visit), number("uses"), number("days")).await;
    match made {
        Ok((token, until)) => {
            let token = Some(views::Token { text: token.expose().to_owned(), until: until.into() });
            page(room, request, actor, Shown { status: StatusCode::CREATED, token, ..Shown::default() })
        }
        Err(problem) => refused(room, request, actor, &form, "uses", problem),
    }
}

/// `POST /admin/registration-tokens/drop`: makes every such token useless.
pub async fn drop_tokens(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (form, visit) = (request.form()?, visit(room, request)?);
    match room.drop_registration_tokens(By::Person(actor, &visit)).await {
        Ok(()) => Ok(Reply::see_other(&format!("{PAGE}?done=dropped"))),
        Err(problem) => refused(room, request, actor, &form, "uses", problem),
    }
}
