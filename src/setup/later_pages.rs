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
use crate::sessions::labels::device_name;
use crate::sign_in::api::visit;
use crate::sign_in::ceremonies::{Ceremony, Credential};
use crate::sign_in::pages::in_groups;
use crate::views::admin::FilterLink;
use crate::views::setup::{self as views, NextStep, Step};
use crate::views::{Check, Fact, FieldErrors};

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
    (!is_here).then(|| format!("A passkey is made at {public}, and you opened another address."))
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
    let label = here.request.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::SecondFactor {
        frame: here.frame("Your second factor"),
        steps: here.steps(Step::SecondFactor),
        passkey,
        passkey_name: passkey_name.map_or_else(|| device_name(label.unwrap_or_default()), str::to_owned),
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
        let errors = FieldErrors::one("name", "Your browser sent no passkey. Please use the button.");
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
        let text = "That code was not accepted. Wait for the next one and try again; if it keeps failing, look at the clock of this machine.";
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
        frame: here.frame("Keep these recovery codes"),
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
        errors.push("saved", "Tick the box once you have kept the codes.");
    }
    let wanted = pending.codes.get(pending.ask_for.saturating_sub(1));
    let wanted = wanted.and_then(|code| recovery_code::normalize(code.expose()));
    let typed = recovery_code::normalize(form.text("typed"));
    let is_same = matches!((&wanted, &typed), (Some(a), Some(b)) if ct_eq(a.as_bytes(), b.as_bytes()));
    if !is_same {
        errors.push(
            "typed",
            format!("That is not code number {}. Type it as it stands above.", pending.ask_for),
        );
    }
    if !errors.is_empty() {
        return recovery_codes_page(&here, &owner, errors);
    }
    room.commit_progress(|record| record.are_codes_kept = true, |_| Ok(())).await?;
    room.wizards.update(here.token, |wizard| wizard.codes = None);
    here.go_on()
}

/// `GET /setup/protect`: the first app.
pub async fn show_protect(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    match enter_as_owner(room, request, Step::Protect)? {
        Ok((here, _)) => {
            let host = here.progress.app_host.clone().unwrap_or_default();
            let who = here.progress.app_who.clone();
            let proxy = request.query("proxy").unwrap_or_default();
            protect_page(&here, (&host, &who, &proxy), Vec::new(), FieldErrors::none())
        }
        Err(reply) => Ok(reply),
    }
}

fn protect_page(
    here: &Here<'_>,
    (app_host, who, proxy): (&str, &str, &str),
    test: Vec<Check>,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let room = here.room;
    let proxy = Proxy::parse(proxy).unwrap_or(Proxy::Nginx);
    let snippets = match &here.progress.app_host {
        Some(host) => room.snippets(proxy, host)?,
        None => Vec::new(),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Protect {
        frame: here.frame("Your first app"),
        steps: here.steps(Step::Protect),
        app_host: app_host.to_owned(),
        example_host: room.example_host(),
        who: room.audiences(who),
        proxies: Proxy::ALL.into_iter().map(|other| proxy_link(other, other == proxy)).collect(),
        proxy: proxy.as_str().to_owned(),
        reload: proxy.reload().to_owned(),
        snippets,
        test,
        errors,
    };
    here.page(status, &page)
}

fn proxy_link(proxy: Proxy, is_current: bool) -> FilterLink {
    let url = format!("{}?proxy={}#lines", Step::Protect.path(), proxy.as_str());
    FilterLink { label: proxy.title().to_owned(), url, is_current }
}

/// `POST /setup/protect`: `save` makes the rule, `test` looks what the proxy asked, `finish` and `skip` end the setup.
pub async fn protect(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let (here, owner) = match enter_as_owner(room, request, Step::Protect)? {
        Ok(entered) => entered,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let visit = visit(&room.sign_in, request)?;
    let (host, who, proxy) = (form.text("app_host"), form.text("who"), form.text("proxy"));
    let saved = here.progress.app_host.clone();
    match (form.text("action"), saved) {
        ("skip", _) | ("finish", Some(_)) if here.wizard.is_resumed => here.go_on(),
        ("skip", _) | ("finish", Some(_)) => {
            room.finish(owner.id, &visit).await?;
            room.wizards.update(here.token, |wizard| wizard.may_see_summary = true);
            Ok(here.keep(Reply::see_other(Step::Done.path())))
        }
        ("test", Some(saved)) => {
            let found = checks::first_app(&saved, &room.watch.seen(&saved));
            protect_page(&here, (&saved, &here.progress.app_who, proxy), found, FieldErrors::none())
        }
        _ => match room.protect(host, who, &owner, &visit).await {
            Ok(()) => Ok(here.keep(Reply::see_other(Step::Protect.path()))),
            Err(problem) => {
                protect_page(&here, (host, who, proxy), Vec::new(), field_errors(problem, request.words())?)
            }
        },
    }
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
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "None yet".to_owned());
    let facts = vec![
        Fact::new("Name", site.name()),
        Fact::new("Address", origin.text.clone()),
        Fact::new("Owner", owner.username.to_string()),
        Fact::new("Second factor", second_factor_word(&owner)),
        Fact::new("Recovery codes", codes_left.to_string()),
        Fact::new("Domain of your apps", or_none(domain)),
        Fact::new("First app", or_none(here.progress.app_host.clone())),
    ];
    let is_here = request.client.origin().is_some_and(|seen| seen == origin.text);
    let moved_to = (!is_here).then(|| origin.text.clone());
    let base = moved_to.clone().unwrap_or_default();
    let next = |title: &str, text: &str, path: &str| NextStep {
        title: title.to_owned(),
        text: text.to_owned(),
        url: format!("{base}{path}"),
    };
    let mut left = room.open_steps(&owner)?;
    for step in &mut left {
        step.url = format!("{base}{}", step.url);
    }
    let page = views::Done {
        frame: here.frame("All set"),
        steps: here.steps(Step::Done),
        facts,
        health: room.health(),
        left,
        next: vec![
            next("Add people", "Send each of them a link; they choose their own password.", "/admin/people"),
            next("Look at the access rules", "Who may open which app.", "/admin/rules"),
            next("Look after your account", "Password, authenticator app, sessions.", "/account/security"),
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
    room.hide_checklist(&owner, &visit(&room.sign_in, request)?).await?;
    Ok(here.keep(Reply::see_other(Step::Done.path())))
}

fn second_factor_word(owner: &User) -> &'static str {
    match (owner.has_totp, owner.passkeys > 0) {
        (true, true) => "Passkey and authenticator app",
        (true, false) => "Authenticator app",
        (false, true) => "Passkey",
        (false, false) => "None yet",
    }
}
