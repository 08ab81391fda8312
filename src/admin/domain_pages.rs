//! The pages about protected domains.

use http::StatusCode;

use super::Admin;
use super::domains::{DomainChange, TypedDomain};
use crate::audit::Kind as EventKind;
use crate::http::{Form, Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::site::{CookieScope, Place, ProtectedDomain, Setting};
use crate::views::domains as views;
use crate::views::domains::DomainRow;
use crate::views::{Choice, FieldErrors, Kind};
use crate::words::Words;

/// `GET /admin/domains`.
pub async fn show_domains(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    list_page(room, request, actor, &TypedDomain::default(), None)
}

fn list_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    typed: &TypedDomain,
    problem: Option<Problem>,
) -> Result<Reply, Problem> {
    let (status, errors) = errors_of(problem, request.words())?;
    let t = request.words();
    let mut frame = room.frame(request, actor, t.domains_title(), "domains");
    frame = match request.query("done").as_deref() {
        Some("saved") => frame.with_notice(Kind::Ok, t.domains_saved()),
        Some("removed") => frame.with_notice(Kind::Ok, t.domains_removed()),
        _ => frame,
    };
    let page = views::Domains {
        frame,
        rows: room.site.protected_domains().iter().map(|own| row(room, own, t)).collect(),
        is_fixed: room.site.is_fixed(Setting::ProtectedDomain),
        portal_host: room.site.origin().host,
        domain: typed.domain.clone(),
        portal: typed.portal.clone().unwrap_or_default(),
        cookies: cookie_choices(typed.cookie.as_deref(), request.words()),
        errors,
    };
    Reply::html(status, &page)
}

fn row(room: &Admin, own: &ProtectedDomain, t: Words) -> DomainRow {
    let sentence = match room.site.place_of(own) {
        Place::App => t.domains_row_app().to_owned(),
        Place::Here => t.domains_row_here().to_owned(),
        Place::Portal(origin) => t.domains_row_portal(origin),
    };
    DomainRow { url: url_of(own), domain: own.domain.clone(), sentence }
}

fn url_of(own: &ProtectedDomain) -> String {
    format!("/admin/domains/{}", own.domain)
}

fn cookie_choices(chosen: Option<&str>, t: Words) -> Vec<Choice> {
    let chosen = chosen.unwrap_or(CookieScope::Domain.as_str());
    [
        (CookieScope::Domain, t.domains_cookie_domain(), t.domains_cookie_domain_hint()),
        (CookieScope::Host, t.domains_cookie_host(), t.domains_cookie_host_hint()),
    ]
    .into_iter()
    .map(|(scope, label, hint)| Choice {
        value: scope.as_str().to_owned(),
        label: label.to_owned(),
        hint: hint.to_owned(),
        selected: scope.as_str() == chosen,
    })
    .collect()
}

/// Sets what is wrong beside the fields; whatever has no field is not for this page.
fn errors_of(problem: Option<Problem>, words: Words) -> Result<(StatusCode, FieldErrors), Problem> {
    let Some(problem) = problem else { return Ok((StatusCode::OK, FieldErrors::none())) };
    if problem.fields.is_empty() {
        return Err(problem);
    }
    Ok((problem.status, FieldErrors::said(words, &problem.fields)))
}

fn typed(form: &Form) -> TypedDomain {
    TypedDomain {
        domain: form.text("domain").to_owned(),
        portal: Some(form.text("portal").to_owned()),
        cookie: Some(form.text("cookie").to_owned()).filter(|cookie| !cookie.is_empty()),
    }
}

async fn submit(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    change: Result<DomainChange, Problem>,
) -> Result<(), Problem> {
    let event = room.event(EventKind::SettingChanged, actor, &visit(room, request)?);
    room.change_domains(change?, event).await
}

/// `POST /admin/domains`: protects one more.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first("/admin/domains"));
    }
    let typed = typed(&request.form()?);
    match submit(room, request, actor, typed.judge().map(DomainChange::Add)).await {
        Ok(()) => Ok(Reply::see_other("/admin/domains?done=saved")),
        Err(problem) => list_page(room, request, actor, &typed, Some(problem)),
    }
}

fn found(room: &Admin, request: &Request) -> Result<ProtectedDomain, Problem> {
    let mut domains = room.site.protected_domains().into_iter();
    domains.find(|own| own.domain == request.param("domain")).ok_or_else(Problem::not_found)
}

/// `GET /admin/domains/{domain}`.
pub async fn show_domain(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let own = found(room, request)?;
    let cookie = Some(own.cookie.as_str().to_owned());
    let typed = TypedDomain { domain: own.domain.clone(), portal: own.portal.clone(), cookie };
    domain_page(room, request, actor, &own, &typed, None)
}

fn domain_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    own: &ProtectedDomain,
    typed: &TypedDomain,
    problem: Option<Problem>,
) -> Result<Reply, Problem> {
    let (status, errors) = errors_of(problem, request.words())?;
    let page = views::Domain {
        frame: room.frame(request, actor, &own.domain, "domains"),
        url: url_of(own),
        is_fixed: room.site.is_fixed(Setting::ProtectedDomain),
        portal_host: room.site.origin().host,
        portal: typed.portal.clone().unwrap_or_default(),
        cookies: cookie_choices(typed.cookie.as_deref(), request.words()),
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /admin/domains/{domain}`.
pub async fn submit_domain(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let own = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&url_of(&own)));
    }
    let typed = TypedDomain { domain: own.domain.clone(), ..typed(&request.form()?) };
    match submit(room, request, actor, typed.judge().map(DomainChange::Change)).await {
        Ok(()) => Ok(Reply::see_other("/admin/domains?done=saved")),
        Err(problem) => domain_page(room, request, actor, &own, &typed, Some(problem)),
    }
}

/// `POST /admin/domains/{domain}/remove`.
pub async fn remove_domain(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let own = found(room, request)?;
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first(&url_of(&own)));
    }
    submit(room, request, actor, Ok(DomainChange::Remove(own.domain))).await?;
    Ok(Reply::see_other("/admin/domains?done=removed"))
}
