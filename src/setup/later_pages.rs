//! The pages of the wizard once there is an owner: second factor, recovery codes, first app, summary.

use std::sync::Arc;

use http::StatusCode;

use super::owner::Confirmed;
use super::pages::{Here, enter, field_errors};
use super::{Setup, checks};
use crate::access::snippet::Proxy;
use crate::accounts::enrolment::Asker;
use crate::accounts::{Role, User};
use crate::crypto::recovery_code;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::ct_eq;
use crate::oidc::presets;
use crate::sessions::labels::device_name;
use crate::sign_in::Visit;
use crate::sign_in::api::visit;
use crate::sign_in::ceremonies::{Ceremony, Credential};
use crate::sign_in::pages::in_groups;
use crate::views::admin::FilterLink;
use crate::views::setup::{self as views, NextStep, Step};
use crate::views::{Check, Choice, Fact, FieldErrors};
use crate::words::Words;

/// Lets the owner to a step.
fn enter_as_owner<'a>(
    room: &'a Setup,
    request: &'a Request,
    step: Step,
) -> Result<Result<(Here<'a>, Arc<User>), Reply>, Problem> {
    let here = match enter(room, request, step)? {
        Ok(here) => here,
        Err(reply) => return Ok(Err(reply)),
    };
    Ok(match here.owner.clone() {
        Some(owner) => Ok((here, owner)),
        None => Err(Reply::see_other("/setup")),
    })
}

/// `GET /setup/second-factor`.
pub async fn show_second_factor(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    match enter_as_owner(room, request, Step::SecondFactor)? {
        Ok((here, _)) if here.wizard.codes.is_some() => Ok(here.keep(Reply::see_other(here.next()))),
        Ok((here, owner)) => second_factor_page(&here, &owner, None, FieldErrors::none()).await,
        Err(reply) => Ok(reply),
    }
}

fn may_skip(room: &Setup) -> bool {
    !room.sign_in.accounts.second_factor_policy().requires(Role::Owner)
}

/// Returns why this browser can make no passkey here, if so: it would be for another address than the public one.
fn why_no_passkey(here: &Here<'_>) -> Option<String> {
    let sign_in = &here.room.sign_in;
    if let Some(why) = sign_in.passkeys_unavailable() {
        return Some(why(here.request.words()).to_owned());
    }
    let public = sign_in.site.origin().text;
    let is_here = here.request.client.origin().is_some_and(|seen| seen == public);
    (!is_here).then(|| here.request.words().setup_factor_passkey_elsewhere(public))
}

async fn second_factor_page(
    here: &Here<'_>,
    owner: &User,
    passkey_name: Option<&str>,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let sign_in = &here.room.sign_in;
    let asker = Asker::wizard(here.token);
    let enrolment = sign_in.accounts.show_totp(owner.id, asker, &sign_in.site.name()).await?;
    let no_passkey = why_no_passkey(here);
    let passkey = match no_passkey {
        Some(_) => String::new(),
        None => {
            let ceremony = Ceremony::Enrol(owner.id, here.token);
            sign_in.registration_options(&ceremony, owner)?.to_string()
        }
    };
    let label = here.request.headers.text(http::header::USER_AGENT);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::SecondFactor {
        frame: here.frame(here.request.words().setup_factor_title()).without_query(),
        steps: here.steps(Step::SecondFactor),
        passkey,
        passkey_name: passkey_name
            .map_or_else(|| device_name(label.unwrap_or_default(), here.request.words()), str::to_owned),
        no_passkey,
        qr: crate::views::qr::qr_svg(&enrolment.otpauth_uri).unwrap_or_default(),
        secret_text: in_groups(&enrolment.secret_base32),
        otpauth_uri: enrolment.otpauth_uri,
        may_skip: may_skip(here.room),
        errors,
    };
    here.page(status, &page)
}

/// `POST /setup/passkey`: adds the passkey; from here on the owner's session has two factors.
pub async fn passkey(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::SecondFactor)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    if here.wizard.codes.is_some() {
        return here.go_on();
    }
    let name = form.text("name");
    let Some(credential) = Credential::parse(form.text("credential")) else {
        let errors = FieldErrors::one("name", request.words().setup_factor_passkey_not_sent());
        return second_factor_page(&here, &owner, Some(name), errors).await;
    };
    let visit = visit(&room.sign_in, request)?;
    let has_session = here.may_have_session();
    match room.add_passkey(&owner, &here, (&credential, name), has_session, &visit).await {
        Ok(confirmed) => go_on_confirmed(&here, confirmed),
        Err(mut problem) => {
            // There is nothing to type for a credential: what is wrong with it stands at the name.
            for (field, _) in &mut problem.fields {
                *field = "name";
            }
            second_factor_page(&here, &owner, Some(name), field_errors(problem, request.words())?).await
        }
    }
}

/// Shows the recovery codes to the browser that has just confirmed its second factor.
fn go_on_confirmed(here: &Here<'_>, confirmed: Confirmed) -> Result<Reply, Problem> {
    let Confirmed { codes, started, came_in_at } = confirmed;
    here.room.wizards.update(here.token, |wizard| {
        wizard.codes = Some(codes);
        wizard.session = None;
        wizard.started_at = came_in_at;
    });
    let reply = here.go_on()?;
    Ok(match &started {
        Some(started) => here.grant(reply, started),
        None => reply,
    })
}

/// `POST /setup/second-factor`: confirms the app; from here on the owner's session has two factors.
pub async fn second_factor(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::SecondFactor)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    if here.wizard.codes.is_some() {
        return here.go_on();
    }
    if form.text("action") == "skip" && may_skip(room) {
        room.commit_progress(|record| record.is_second_factor_skipped = true, |_| Ok(())).await?;
        return here.go_on();
    }
    let visit = visit(&room.sign_in, request)?;
    let has_session = here.may_have_session();
    let confirmed = room.confirm_second_factor(&owner, &here, form.text("code"), has_session, &visit).await?;
    let Some(confirmed) = confirmed else {
        let text = request.words().setup_factor_code_wrong();
        return second_factor_page(&here, &owner, None, FieldErrors::one("code", text)).await;
    };
    go_on_confirmed(&here, confirmed)
}

/// `GET /setup/recovery-codes`: the codes, which only this browser's wizard still knows.
pub async fn show_recovery_codes(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    match enter_as_owner(room, request, Step::SecondFactor)? {
        Ok((here, owner)) => recovery_codes_page(&here, &owner, FieldErrors::none()),
        Err(reply) => Ok(reply),
    }
}

fn recovery_codes_page(here: &Here<'_>, owner: &User, errors: FieldErrors) -> Result<Reply, Problem> {
    let Some(pending) = &here.wizard.codes else { return here.go_on() };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::RecoveryCodes {
        frame: here.frame(here.request.words().setup_codes_title()).without_query(),
        steps: here.steps(Step::SecondFactor),
        username: owner.username.to_string(),
        codes: pending.codes.iter().map(|code| code.expose().clone()).collect(),
        ask_for: pending.ask_for,
        errors,
    };
    here.page(status, &page)
}

/// `POST /setup/recovery-codes`: the tick, and one code typed back.
pub async fn recovery_codes(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::SecondFactor)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let Some(pending) = &here.wizard.codes else { return here.go_on() };
    let mut errors = FieldErrors::none();
    if !form.is_ticked("saved") {
        errors.push("saved", request.words().setup_codes_not_saved());
    }
    let wanted = pending.codes.get(pending.ask_for.saturating_sub(1));
    let wanted = wanted.and_then(|code| recovery_code::normalize(code.expose()));
    let typed = recovery_code::normalize(form.text("typed"));
    let is_same = matches!((&wanted, &typed), (Some(a), Some(b)) if ct_eq(a.as_bytes(), b.as_bytes()));
    if !is_same {
        errors.push("typed", request.words().setup_codes_wrong(pending.ask_for));
    }
    if !errors.is_empty() {
        return recovery_codes_page(&here, &owner, errors);
    }
    room.commit_progress(|record| record.are_codes_kept = true, |_| Ok(())).await?;
    room.wizards.update(here.token, |wizard| wizard.codes = None);
    here.go_on()
}

/// `GET /setup/protect`: the first app; with `test`, what its proxy has asked so far.
pub async fn show_protect(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, _) = match enter_as_owner(room, request, Step::Protect)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let has_client = here.progress.app_client.is_some() && here.progress.app_host.is_none();
    let is_oidc = request.query("how").map_or(has_client, |how| how == OIDC);
    let mut shown = Shown {
        is_oidc,
        app_host: here.progress.app_host.clone().unwrap_or_default(),
        who: here.progress.app_who.clone(),
        proxy: request.query("proxy").unwrap_or_default(),
        plays_app: request.query("app").is_some_and(|app| app == ECHO),
        ..Shown::default()
    };
    if is_oidc {
        shown.added =
            here.progress.app_client.as_deref().and_then(|id| room.client_again(id, request.words()));
    }
    if let (Some(host), true) = (&here.progress.app_host, request.query("test").is_some()) {
        let forged = room.visit_app(host).await;
        let asked = room.watch.seen(host);
        shown.test = checks::first_app(host, &asked, forged.as_ref(), request.words());
        shown.seen = asked.state();
    }
    protect_page(&here, shown)
}

/// The word for an app that signs people in by itself.
const OIDC: &str = "oidc";
/// The word for Doorward itself in the place of the app.
const ECHO: &str = "echo";

/// What the page of the first app shows.
#[derive(Default)]
struct Shown {
    is_oidc: bool,
    app_host: String,
    who: String,
    proxy: String,
    plays_app: bool,
    preset: String,
    app_url: String,
    added: Option<views::AddedApp>,
    test: Vec<Check>,
    seen: String,
    errors: FieldErrors,
}

fn protect_page(here: &Here<'_>, shown: Shown) -> Result<Reply, Problem> {
    let room = here.room;
    let t = here.request.words();
    let proxy = Proxy::parse(&shown.proxy).unwrap_or(Proxy::Nginx);
    let snippets = match &here.progress.app_host {
        Some(host) => room.snippets(proxy, host, shown.plays_app, t)?,
        None => Vec::new(),
    };
    let status = if shown.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Protect {
        frame: here.frame(t.setup_protect_title()),
        steps: here.steps(Step::Protect),
        is_oidc: shown.is_oidc,
        presets: presets::list()
            .iter()
            .map(|preset| Choice::new(&preset.id, &preset.name, preset.id == shown.preset))
            .collect(),
        app_url: shown.app_url,
        added: shown.added,
        domain: room.sign_in.site.protected_domain(),
        seen_url: if shown.test.is_empty() { String::new() } else { "/setup/seen?app".to_owned() },
        seen: shown.seen,
        app_host: shown.app_host,
        example_host: room.example_host(),
        who: room.audiences(&shown.who, t),
        proxies: Proxy::ALL
            .into_iter()
            .map(|other| FilterLink {
                label: other.title().to_owned(),
                url: lines_url(other, shown.plays_app),
                is_current: other == proxy,
            })
            .collect(),
        plays_app: shown.plays_app,
        other_app_url: lines_url(proxy, !shown.plays_app),
        proxy: proxy.as_str().to_owned(),
        reload: proxy.reload(t).to_owned(),
        snippets,
        test: shown.test,
        errors: shown.errors,
    };
    here.page(status, &page)
}

fn lines_url(proxy: Proxy, plays_app: bool) -> String {
    format!("{}#lines", protect_url(proxy, plays_app))
}

fn protect_url(proxy: Proxy, plays_app: bool) -> String {
    let app = if plays_app { format!("&app={ECHO}") } else { String::new() };
    format!("{}?proxy={}{app}", Step::Protect.path(), proxy.as_str())
}

/// `POST /setup/protect`: `save` makes the rule, `add-app` an app that signs people in by itself, `test` looks what the
/// proxy asked, `finish` and `skip` end the setup.
pub async fn protect(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::Protect)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let visit = visit(&room.sign_in, request)?;
    let text = |field: &str| form.text(field).to_owned();
    let (saved, client) = (&here.progress.app_host, &here.progress.app_client);
    match form.text("action") {
        "skip" | "finish" if here.wizard.is_resumed => here.go_on(),
        "skip" => end(&here, &owner, &visit).await,
        "finish" if saved.is_some() || client.is_some() => end(&here, &owner, &visit).await,
        "test" if saved.is_some() => {
            let proxy = Proxy::parse(form.text("proxy")).unwrap_or(Proxy::Nginx);
            let place = format!("{}&test=1#test-result", protect_url(proxy, form.text("app") == ECHO));
            Ok(here.keep(Reply::see_other(&place)))
        }
        // Sent again, it must not be added again.
        "add-app" if client.is_some() => {
            Ok(here.keep(Reply::see_other(&format!("{}?how={OIDC}", Step::Protect.path()))))
        }
        "add-app" => match room.add_app(form.text("preset"), form.text("app_url"), &owner, &visit).await {
            Ok(added) => protect_page(&here, Shown { is_oidc: true, added: Some(added), ..Shown::default() }),
            Err(problem) => {
                let errors = field_errors(problem, request.words())?;
                let (preset, app_url) = (text("preset"), text("app_url"));
                protect_page(&here, Shown { is_oidc: true, preset, app_url, errors, ..Shown::default() })
            }
        },
        _ => match room.protect(form.text("app_host"), form.text("who"), &owner, &visit).await {
            Ok(()) => Ok(here.keep(Reply::see_other(Step::Protect.path()))),
            Err(problem) => {
                let errors = field_errors(problem, request.words())?;
                let (app_host, who, proxy) = (text("app_host"), text("who"), text("proxy"));
                protect_page(&here, Shown { app_host, who, proxy, errors, ..Shown::default() })
            }
        },
    }
}

/// Ends the setup and leads to the summary.
async fn end(here: &Here<'_>, owner: &User, visit: &Visit<'_>) -> Result<Reply, Problem> {
    here.room.finish(owner.id, visit).await?;
    here.room.wizards.update(here.token, |wizard| wizard.may_see_summary = true);
    Ok(here.keep(Reply::see_other(Step::Done.path())))
}

/// `GET /setup/done`: the summary, for the browser that finished the setup and for nobody else.
pub async fn show_done(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::Done)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let codes_left = room.sign_in.accounts.record(&owner.id)?.value.recovery_codes_left;
    let site = &room.sign_in.site;
    let origin = site.origin();
    let domain = site.protected_domain();
    let t = request.words();
    let or_none = |value: Option<String>| value.unwrap_or_else(|| t.setup_fact_none().to_owned());
    let app = here.progress.app_client.as_deref().and_then(|id| room.oidc.client(id));
    let app = here.progress.app_host.clone().or_else(|| app.map(|client| client.settings.name.clone()));
    let facts = vec![
        Fact::new(t.setup_fact_name(), site.name()),
        Fact::new(t.setup_fact_address(), origin.text.clone()),
        Fact::new(t.setup_fact_owner(), owner.username.to_string()),
        Fact::new(t.setup_fact_factor(), second_factor_word(&owner, t)),
        Fact::new(t.setup_fact_codes(), codes_left.to_string()),
        Fact::new(t.setup_fact_domain(), or_none(domain)),
        Fact::new(t.setup_fact_app(), or_none(app)),
    ];
    let is_here = request.client.origin().is_some_and(|seen| seen == origin.text);
    let moved_to = (!is_here).then(|| origin.text.clone());
    let base = moved_to.clone().unwrap_or_default();
    let next = |title: &str, text: &str, path: &str| NextStep {
        title: title.to_owned(),
        text: text.to_owned(),
        url: format!("{base}{path}"),
    };
    let mut left = room.open_steps(&owner, t)?;
    for step in &mut left {
        step.url = format!("{base}{}", step.url);
    }
    let page = views::Done {
        frame: here.frame(t.setup_done_title()),
        steps: here.steps(Step::Done),
        facts,
        health: room.health(t),
        left,
        next: vec![
            next(t.setup_next_people(), t.setup_next_people_text(), "/admin/people"),
            next(t.setup_next_rules(), t.setup_next_rules_text(), "/admin/rules"),
            next(t.setup_next_account(), t.setup_next_account_text(), "/account/security"),
        ],
        moved_to,
    };
    here.page(StatusCode::OK, &page)
}

/// `POST /setup/done`: puts the list of what is open away.
pub async fn hide(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::Done)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    here.form()?;
    room.hide_checklist_for(owner.id, &visit(&room.sign_in, request)?).await?;
    Ok(here.keep(Reply::see_other(Step::Done.path())))
}

fn second_factor_word(owner: &User, t: Words) -> &'static str {
    match (owner.has_totp, owner.passkeys > 0) {
        (true, true) => t.setup_fact_passkey_and_app(),
        (true, false) => t.setup_fact_authenticator(),
        (false, true) => t.setup_fact_passkey(),
        (false, false) => t.setup_fact_none(),
    }
}
