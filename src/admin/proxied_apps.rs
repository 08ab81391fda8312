//! Adding an app behind a reverse proxy: one access rule, and the lines for the proxy.

use http::StatusCode;
use url::Url;

use super::Admin;
use super::app_new::{Added, PROXIED, Typed, new_page};
use crate::access::domain::normal_host;
use crate::access::rules::shadowed;
use crate::access::snippet::{Addresses, Proxy, SnippetFile, files};
use crate::access::{ChangeError, DomainPattern, Draft, Edit, Policy, Rule, RuleParts};
use crate::audit::Kind as EventKind;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::site::Site;
use crate::views::FieldErrors;
use crate::views::admin::FilterLink;
use crate::views::apps as views;
use crate::views::setup::Snippet;
use crate::words::Words;

/// Where an app listens unless somebody edits the line.
const USUAL_APP: &str = "http://127.0.0.1:3000";

fn url_error(text: String) -> FieldErrors {
    FieldErrors::one("url", text)
}

/// Reads where an app lives; its host is one that the rules decide about.
fn host_of(t: Words, site: &Site, typed: &str) -> Result<String, FieldErrors> {
    let whole = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    let named = Url::parse(&whole)
        .ok()
        .and_then(|url| url.host_str().and_then(normal_host).map(|host| host.into_owned()));
    let host = named.ok_or_else(|| url_error(t.apps_bad_host().to_owned()))?;
    if *host == *site.origin().host {
        return Err(url_error(t.apps_own_host().to_owned()));
    }
    if site.is_protected_host(&host) {
        return Ok(host);
    }
    Err(url_error(match site.domain_names() {
        Some(domains) => t.apps_foreign_host(domains),
        None => t.apps_no_domain().to_owned(),
    }))
}

/// Tells whether a rule names a host outright.
pub(super) fn names(rule: &Rule, host: &str) -> bool {
    rule.domains().iter().any(|domain| matches!(domain, DomainPattern::Exact(own) if **own == *host))
}

fn rule_of(t: Words, typed: &Typed, host: &str) -> Result<Rule, FieldErrors> {
    let policy = if typed.level == "one_factor" { Policy::OneFactor } else { Policy::TwoFactor };
    let parts = RuleParts {
        domains: vec![host.to_owned()],
        groups: typed.groups(t)?.iter().map(ToString::to_string).collect(),
        policy: policy.as_str().to_owned(),
        note: typed.name.clone(),
        ..RuleParts::default()
    };
    Rule::build(&parts).map_err(|error| match error.field {
        "note" => FieldErrors::one("name", error.sentence.in_words(t)),
        "groups" => FieldErrors::one("group", error.sentence.in_words(t)),
        _ => url_error(error.sentence.in_words(t)),
    })
}

/// Adds the rule of an app: last, or before the first rule that would keep it from ever deciding. Where a draft is open it
/// becomes part of that.
pub(super) async fn submit(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    typed: &Typed,
) -> Result<Reply, Problem> {
    let t = request.words();
    let refused = |errors| new_page(room, request, actor, &Added::Proxied, typed, errors);
    if typed.name.is_empty() {
        return refused(FieldErrors::one("name", t.apps_needs_name()));
    }
    let (host, rule) = match host_of(t, &room.site, &typed.url)
        .and_then(|host| Ok((host.clone(), rule_of(t, typed, &host)?)))
    {
        Ok(both) => both,
        Err(errors) => return refused(errors),
    };
    let (draft, list) = (room.access.draft(), room.access.list());
    let rules = draft.as_deref().map_or_else(|| list.rules(), Draft::rules);
    if rules.iter().any(|own| names(own, &host)) {
        return refused(url_error(t.apps_host_taken(&host)));
    }
    let with: Vec<Rule> = rules.iter().cloned().chain([rule.clone()]).collect();
    let before = shadowed(&with).into_iter().find(|(late, _)| *late == with.len()).map(|(_, early)| early);
    let edit = Edit::Add(rule, before);
    let kind = if draft.is_some() { EventKind::RuleDrafted } else { EventKind::RuleChanged };
    let event = room.event(kind, actor, &visit(room, request)?).detail("change", "added");
    let made = if draft.is_some() {
        room.access.edit_draft(edit, room.access.draft_state(), event).await.map(|_| ())
    } else {
        room.access.edit(edit, list.version(), event).await.map(|_| ())
    };
    match made {
        Ok(()) => Ok(Reply::see_other(&format!("/admin/apps/new/{PROXIED}?host={host}"))),
        Err(ChangeError::Unsound(error)) => refused(url_error(error.sentence.in_words(t))),
        Err(error) => Err(error.into()),
    }
}

/// Shows the lines for a proxy in front of an app.
pub(super) fn lines_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    host: &str,
    doorward: String,
) -> Result<Reply, Problem> {
    let t = request.words();
    let host = host_of(t, &room.site, host).map_err(|_| Problem::not_found())?;
    let proxy = Proxy::parse(&request.query("proxy").unwrap_or_default()).unwrap_or(Proxy::Nginx);
    let addresses = Addresses {
        portal_origin: room.site.origin().text,
        doorward,
        host: host.clone(),
        app: USUAL_APP.to_owned(),
    };
    let snippet = |file: SnippetFile| Snippet {
        title: format!("{}: {}", proxy.title(), file.path.rsplit('/').next().unwrap_or_default()),
        place: file.place(t),
        text: file.text,
    };
    let link = |other: Proxy| FilterLink {
        label: other.title().to_owned(),
        url: format!("/admin/apps/new/{PROXIED}?host={host}&proxy={}#lines", other.as_str()),
        is_current: other == proxy,
    };
    let is_in_force = room.access.list().rules().iter().any(|rule| names(rule, &host));
    let page = views::AppProxied {
        frame: room.frame(request, actor, &host, "apps"),
        is_draft: !is_in_force,
        proxies: Proxy::ALL.into_iter().map(link).collect(),
        reload: proxy.reload(t).to_owned(),
        snippets: files(proxy, &addresses).map_err(Problem::internal)?.into_iter().map(snippet).collect(),
        host,
    };
    Reply::html(StatusCode::OK, &page)
}
