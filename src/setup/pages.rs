//! The pages of the wizard: the way in, and the steps up to the address. Plain forms that lead to a redirect; what has
//! been done is kept, so reload, back and another window work.

use std::sync::Arc;

use http::{HeaderName, StatusCode, header};

pub use super::later_pages::{
    hide, passkey, protect, recovery_codes, second_factor, show_done, show_protect, show_recovery_codes,
    show_second_factor,
};
use super::records::SetupRecord;
use super::sightings::Arrival;
use super::wizards::{IDLE, Wizard};
use super::{ClaimError, OwnerError, OwnerForm, Setup, checks, claim, is_forwarded};
use crate::accounts::{Role, User};
use crate::http::address::{host_matches, is_loopback_name, without_port};
use crate::http::problem::seconds_rounded_up;
use crate::http::{Form, Problem, Reply, Request, SetCookie};
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::sessions::cookies::{Cookie, SETUP_COOKIE, SETUP_PATH};
use crate::sessions::{Principal, StartedSession, frames};
use crate::sign_in::api::visit;
use crate::site::{Origin, Setting};
use crate::views::errors::ErrorPage;
use crate::views::setup::{self as views, InsecureVisit, Step, Steps};
use crate::views::{FieldErrors, Frame, Wait};
use crate::words::Words;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A browser at a step of the wizard that it may see.
pub(super) struct Here<'a> {
    pub(super) room: &'a Setup,
    pub(super) request: &'a Request,
    pub(super) token: &'a str,
    pub(super) wizard: Wizard,
    pub(super) progress: SetupRecord,
    pub(super) owner: Option<Arc<User>>,
}

/// Either the step, or the answer that is given instead.
pub(super) type Entered<'a> = Result<Here<'a>, Reply>;

impl<'a> Here<'a> {
    /// Finds the browser by its cookie; without one it is sent to the way in.
    fn find(room: &'a Setup, request: &'a Request) -> Result<Option<Here<'a>>, Problem> {
        let Some(token) = cookie(request)? else { return Ok(None) };
        let Some(wizard) = room.wizards.find(token, room.sign_in.clock.monotonic()) else { return Ok(None) };
        if wizard.owner.is_some_and(|id| room.is_ended(&id, &wizard)) {
            return Ok(None);
        }
        let owner = wizard.owner.and_then(|id| room.sign_in.active_user(&id));
        let progress = room.progress().map_err(crate::store::CommitError::Store)?;
        Ok(Some(Here { room, request, token, wizard, progress, owner }))
    }

    pub(super) fn is_insecure(&self) -> bool {
        is_insecure(self.request)
    }

    fn order(&self) -> &'static [Step] {
        if self.is_insecure() { &Step::ORDER_INSECURE } else { &Step::ORDER }
    }

    fn is_done(&self, step: Step) -> bool {
        let accepts = !self.is_insecure() || self.wizard.accepts_insecure || self.owner.is_some();
        match step {
            Step::Welcome => self.progress.is_named,
            Step::Owner => self.owner.is_some(),
            Step::Address => self.progress.is_addressed && accepts,
            Step::SecondFactor => {
                let has_factor = self.owner.as_ref().is_some_and(|owner| owner.has_second_factor());
                (has_factor || self.progress.is_second_factor_skipped) && self.wizard.codes.is_none()
            }
            Step::Protect | Step::Done => self.room.is_finished(),
        }
    }

    /// Returns the path of the first step that is not done.
    pub(super) fn next(&self) -> &'static str {
        let step = self.order().iter().copied().find(|step| !self.is_done(*step)).unwrap_or(Step::Done);
        match step {
            Step::SecondFactor if self.wizard.codes.is_some() => "/setup/recovery-codes",
            step => step.path(),
        }
    }

    /// A step may be seen when all steps before it are done; a finished one again, unless it makes something that
    /// exists once.
    fn may_see(&self, step: Step) -> bool {
        let is_once = matches!(step, Step::Owner | Step::SecondFactor);
        let before_done = self.order().iter().take_while(|other| **other != step).all(|s| self.is_done(*s));
        before_done && !(is_once && self.is_done(step))
    }

    pub(super) fn frame(&self, title: &str) -> Frame {
        frames::anonymous(&self.room.sign_in.site, self.request, title)
            .with_csrf(self.room.wizards.csrf_token(self.token))
    }

    pub(super) fn steps(&self, current: Step) -> Steps {
        if self.wizard.is_resumed {
            return Steps { items: Vec::new(), position: 0, label: "" };
        }
        // Once the setup is finished there is no way back: the pages are gone.
        let done: Vec<Step> = [Step::Welcome, Step::Address]
            .into_iter()
            .filter(|step| self.is_done(*step) && !self.room.is_finished())
            .collect();
        Steps::new(self.order(), &done, current)
    }

    /// Checks that a form was sent by a page of this very browser's wizard (SET-03), and reads it.
    pub(super) fn form(&self) -> Result<Form, Problem> {
        refuse_foreign(self.request)?;
        let form = self.request.form()?;
        if self.room.wizards.is_csrf_token(self.token, form.text("csrf")) {
            return Ok(form);
        }
        Err(Problem::forbidden(
            "csrf",
            "This page was opened in another session or is too old. Reload it and try again.",
        ))
    }

    /// Lets the browser stay for another while.
    pub(super) fn keep(&self, reply: Reply) -> Reply {
        with_cookie(self.request, reply, self.token)
    }

    pub(super) fn page(
        &self,
        status: StatusCode,
        page: &impl crate::views::Template,
    ) -> Result<Reply, Problem> {
        Ok(self.keep(Reply::html(status, page)?))
    }

    /// Goes on to the next step, seen with what has changed meanwhile; after the setup, back to the list of what is open.
    pub(super) fn go_on(&self) -> Result<Reply, Problem> {
        if self.wizard.is_resumed {
            return Ok(self.keep(Reply::see_other("/admin")));
        }
        let next = Here::find(self.room, self.request)?.map_or("/setup", |here| here.next());
        Ok(self.keep(Reply::see_other(next)))
    }

    /// Whether an ordinary session may begin here: not over plain HTTP from another machine (SES-06), and not where
    /// the browser would refuse its cookie.
    pub(super) fn may_have_session(&self) -> bool {
        let (site, client) = (&self.room.sign_in.site, &self.request.client);
        let is_safe = client.is_https || client.is_local() || site.allows_insecure_http();
        is_safe && (client.is_https || !site.has_secure_cookies())
    }

    /// Gives the browser the cookies of an ordinary session.
    pub(super) fn grant(&self, reply: Reply, started: &StartedSession) -> Reply {
        let site = &self.room.sign_in.site;
        let session = started.id;
        self.room.wizards.update(self.token, |wizard| wizard.session = Some(session));
        let mut reply = reply;
        if let Some(cookie) = &started.cookie {
            reply = Cookie::Session.set(site, reply, cookie.expose(), started.cookie_max_age);
        }
        if let Some(cookie) = &started.forward_cookie {
            reply = Cookie::ForwardAuth.set(site, reply, cookie.expose(), started.cookie_max_age);
        }
        reply
    }
}

/// Lets a browser to a step, or says what happens instead.
pub(super) fn enter<'a>(room: &'a Setup, request: &'a Request, step: Step) -> Result<Entered<'a>, Problem> {
    let found = Here::find(room, request)?;
    if room.is_finished() {
        let may_see = |wizard: &Wizard| match step {
            Step::Done => wizard.may_see_summary,
            Step::Address | Step::Protect => wizard.is_resumed,
            _ => false,
        };
        return match found {
            Some(here) if may_see(&here.wizard) => Ok(Ok(here)),
            _ => Err(Problem::not_found()),
        };
    }
    if let Some(reply) = refuse_unknown_host(room, request)? {
        return Ok(Err(reply));
    }
    let Some(here) = found else { return Ok(Err(Reply::see_other("/setup"))) };
    if room.is_claimed() && here.owner.is_none() {
        return Ok(Err(taken_page(room, request)?));
    }
    if !here.may_see(step) {
        return Ok(Err(here.keep(Reply::see_other(here.next()))));
    }
    Ok(Ok(here))
}

fn cookie(request: &Request) -> Result<Option<&str>, Problem> {
    request.cookie(SETUP_COOKIE).map_err(|_| {
        Problem::bad_request(
            "ambiguous_cookie",
            "The browser sent the same cookie twice. Delete the cookies of this address and try again.",
        )
    })
}

fn with_cookie(request: &Request, reply: Reply, token: &str) -> Reply {
    let cookie = SetCookie::host_only(SETUP_COOKIE, token).path(SETUP_PATH).same_site_strict().max_age(IDLE);
    reply.with_cookie(if request.client.is_https { cookie } else { cookie.insecure() })
}

/// Plain HTTP from another machine.
pub(super) fn is_insecure(request: &Request) -> bool {
    !request.client.is_https && !request.client.is_local()
}

fn insecure_visit(room: &Setup, request: &Request) -> Option<InsecureVisit> {
    if !is_insecure(request) {
        return None;
    }
    let host = without_port(request.client.host.as_deref().unwrap_or("HOST"));
    let port = room.listen().port();
    Some(InsecureVisit {
        ssh_command: format!("ssh -L 8080:localhost:{port} {}", host.trim_matches(['[', ']'])),
        tunnel_url: "http://localhost:8080/setup".to_owned(),
    })
}

/// DNS rebinding: a page of a stranger's name that points at this machine must not be a page of ours. Until somebody
/// decided the address, Doorward answers to IP addresses and to localhost alone (SET-03).
fn refuse_unknown_host(room: &Setup, request: &Request) -> Result<Option<Reply>, Problem> {
    let site = &room.sign_in.site;
    let host = request.client.host.as_deref().unwrap_or_default();
    let name = without_port(host);
    let is_known = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
        || is_loopback_name(name)
        || (site.is_origin_set() && host_matches(&site.origin().text, host));
    if is_known {
        return Ok(None);
    }
    let mut page = ErrorPage::for_status(frames::anonymous(site, request, ""), 421, request.id.to_string());
    "Not by this name yet".clone_into(&mut page.frame.title);
    page.sentence = format!("Doorward does not know the name {name} yet.");
    page.advice = format!(
        "Open it by the IP address of this machine or through a tunnel as http://localhost:{}/setup. \
         Or start Doorward with server.public_origin set to the address you opened.",
        room.listen().port()
    );
    page.home_url.clear();
    Ok(Some(Reply::html(StatusCode::MISDIRECTED_REQUEST, &page)?))
}

/// Cross-site requests: whoever sends a form must be a page that this host served. The scheme is not compared,
/// because before the proxy is trusted nobody can tell it (SET-03).
fn refuse_foreign(request: &Request) -> Result<(), Problem> {
    let refuse = || {
        Problem::forbidden(
            "csrf",
            "This form did not come from the page it belongs to. Reload the page and try again; a reverse proxy in \
             between must pass the Host header on.",
        )
    };
    let site = request.header(&SEC_FETCH_SITE).map_err(|_| refuse())?;
    let origin = request.header(&header::ORIGIN).map_err(|_| refuse())?;
    let host = request.client.host.as_deref().unwrap_or_default();
    let is_ours = |origin: &str| host_matches(origin, host);
    let is_own_page = match site {
        Some("same-origin") => origin.is_none_or(is_ours),
        None => origin.is_some_and(is_ours),
        Some(_) => false,
    };
    if is_own_page { Ok(()) } else { Err(refuse()) }
}

/// Turns the fields of a refusal into what the page shows beside them; anything else stays a refusal.
pub(super) fn field_errors(problem: Problem, words: Words) -> Result<FieldErrors, Problem> {
    if problem.fields.is_empty() {
        return Err(problem);
    }
    Ok(FieldErrors::said(words, &problem.fields))
}

/// `GET /setup`: the way in. The owner comes back in by signing in.
pub async fn show(room: &Setup, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    if room.is_finished() {
        return Err(Problem::not_found());
    }
    if let Some(reply) = refuse_unknown_host(room, request)? {
        return Ok(reply);
    }
    if let Some(here) = Here::find(room, request)? {
        if room.is_claimed() && here.owner.is_none() {
            return taken_page(room, request);
        }
        return Ok(here.keep(Reply::see_other(here.next())));
    }
    if !room.is_claimed() {
        return claim_page(room, request, FieldErrors::none(), None, StatusCode::OK);
    }
    match caller {
        Some(principal) if principal.user.role == Role::Owner => {
            let token = room.resume(principal);
            Ok(with_cookie(request, Reply::see_other("/setup"), token.expose()))
        }
        Some(_) => Err(Problem::not_found()),
        None => Ok(Reply::see_other("/signin?rd=%2Fsetup")),
    }
}

/// Lets an administrator into the wizard again, at a step that may be done after the setup.
pub(super) fn resumed(room: &Setup, request: &Request, principal: &Principal, step: Step) -> Reply {
    let token = room.resume(principal);
    room.wizards.update(token.expose(), |wizard| wizard.is_resumed = true);
    with_cookie(request, Reply::see_other(step.path()), token.expose())
}

fn claim_page(
    room: &Setup,
    request: &Request,
    errors: FieldErrors,
    wait: Option<Wait>,
    status: StatusCode,
) -> Result<Reply, Problem> {
    let page = views::Claim {
        frame: frames::anonymous(&room.sign_in.site, request, "Set up Doorward"),
        token_file: claim::path(&room.data_directory).display().to_string(),
        errors,
        wait,
        insecure: insecure_visit(room, request),
    };
    Reply::html(status, &page)
}

/// `POST /setup`: judges the setup code.
pub async fn claim(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    if room.is_finished() {
        return Err(Problem::not_found());
    }
    if let Some(reply) = refuse_unknown_host(room, request)? {
        return Ok(reply);
    }
    refuse_foreign(request)?;
    let form = request.form()?;
    let wrong = |text: &str| {
        claim_page(room, request, FieldErrors::one("token", text), None, StatusCode::UNPROCESSABLE_ENTITY)
    };
    match room.claim(form.text("token"), &visit(&room.sign_in, request)?) {
        Ok(token) => Ok(with_cookie(request, Reply::see_other("/setup"), token.expose())),
        Err(ClaimError::Wrong) => wrong("That is not the setup code. Copy it again from the log."),
        Err(ClaimError::Expired) => {
            wrong("This setup code is more than an hour old. Make a new one: sudo doorward setup-token")
        }
        Err(ClaimError::Limited(wait)) => {
            let seconds = seconds_rounded_up(wait).max(1);
            let wait = Some(Wait::rate_limited(request.words(), seconds));
            let reply = claim_page(room, request, FieldErrors::none(), wait, StatusCode::TOO_MANY_REQUESTS)?;
            Ok(reply.with(header::RETRY_AFTER, http::HeaderValue::from(seconds)))
        }
        Err(ClaimError::Taken) => taken_page(room, request),
        Err(ClaimError::Problem(problem)) => Err(problem),
    }
}

fn taken_page(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let page = views::Taken {
        frame: frames::anonymous(&room.sign_in.site, request, "Setup is already done"),
        by: room.taken_by().map_err(crate::store::CommitError::Store)?,
    };
    Reply::html(StatusCode::CONFLICT, &page)
}

/// `GET /setup/welcome`.
pub async fn show_welcome(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    match enter(room, request, Step::Welcome)? {
        Ok(here) => {
            let name = room.sign_in.site.name();
            welcome_page(&here, name, FieldErrors::none())
        }
        Err(reply) => Ok(reply),
    }
}

fn welcome_page(here: &Here<'_>, instance_name: String, errors: FieldErrors) -> Result<Reply, Problem> {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Welcome {
        frame: here.frame("Welcome"),
        steps: here.steps(Step::Welcome),
        instance_name,
        errors,
    };
    here.page(status, &page)
}

/// `POST /setup/welcome`.
pub async fn welcome(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Welcome)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let name = form.text("instance_name");
    match room.set_name(name, here.wizard.owner, &visit(&room.sign_in, request)?).await {
        Ok(()) => here.go_on(),
        Err(problem) => welcome_page(&here, name.to_owned(), field_errors(problem, request.words())?),
    }
}

/// `GET /setup/owner`.
pub async fn show_owner(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    match enter(room, request, Step::Owner)? {
        Ok(here) => owner_page(&here, None, FieldErrors::none()),
        Err(reply) => Ok(reply),
    }
}

fn owner_page(here: &Here<'_>, form: Option<&Form>, errors: FieldErrors) -> Result<Reply, Problem> {
    let typed = |name| form.map_or("", |form| form.text(name)).to_owned();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Owner {
        frame: here.frame("Your account"),
        steps: here.steps(Step::Owner),
        username: typed("username"),
        display_name: typed("display_name"),
        email: typed("email"),
        min_length: here.room.minimum_password_length(),
        errors,
        insecure: insecure_visit(here.room, here.request),
    };
    here.page(status, &page)
}

/// `POST /setup/owner`: makes the owner. Of any number of these, one succeeds.
pub async fn owner(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Owner)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let password = SecretText::new(form.text("password").to_owned());
    let filled = OwnerForm {
        username: form.text("username"),
        display_name: form.text("display_name"),
        email: form.text("email"),
    };
    let visit = visit(&room.sign_in, request)?;
    let id = match room.make_owner(&filled, &password, &visit).await {
        Ok(id) => id,
        Err(OwnerError::Taken) => return taken_page(room, request),
        Err(OwnerError::Problem(problem)) => {
            return owner_page(&here, Some(&form), field_errors(problem, request.words())?);
        }
    };
    room.wizards.update(here.token, |wizard| wizard.owner = Some(id));
    let reply = here.go_on()?;
    if !here.may_have_session() {
        return Ok(reply);
    }
    let started = room.start_session(id, &visit).await?;
    Ok(here.grant(reply, &started))
}

/// `GET /setup/address`.
pub async fn show_address(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Address)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let site = &room.sign_in.site;
    let seen = request.client.origin().unwrap_or_else(|| site.origin().text);
    let origin = if site.is_origin_set() { site.origin().text } else { seen };
    let typed = TypedAddress {
        origin,
        cookie_domain: site.protected_domain().unwrap_or_default(),
        browser_time: None,
        is_checked: false,
    };
    address_page(&here, &typed, FieldErrors::none())
}

struct TypedAddress {
    origin: String,
    cookie_domain: String,
    browser_time: Option<Timestamp>,
    is_checked: bool,
}

fn address_page(here: &Here<'_>, typed: &TypedAddress, errors: FieldErrors) -> Result<Reply, Problem> {
    let (room, request) = (here.room, here.request);
    let site = &room.sign_in.site;
    let client = &request.client;
    let host = client.host.as_deref().unwrap_or_default();
    let candidate = if site.is_fixed(Setting::PublicOrigin) {
        Some(site.origin())
    } else {
        Origin::parse(&typed.origin).ok()
    };
    let is_elsewhere =
        |origin: &Origin| !host_matches(&origin.text, host) || origin.is_https != client.is_https;
    let mut checks = Vec::new();
    let (mut probe_url, mut continue_at) = (None, None);
    if let Some(origin) = candidate.as_ref().filter(|_| typed.is_checked) {
        let (nonce, arrival) =
            room.probes.prepare(&origin.text, &room.sign_in.random, room.sign_in.clock.monotonic());
        checks = checks::address(&checks::AddressFacts {
            origin,
            host,
            is_https: client.is_https,
            is_local: client.is_local(),
            client: client.ip,
            peer: client.peer,
            is_trusted_peer: client.is_trusted_peer,
            is_forwarded: is_forwarded(request),
            browser_time: typed.browser_time,
            now: request.now,
            arrival: arrival.as_ref(),
            allows_insecure_http: site.allows_insecure_http(),
        });
        if is_elsewhere(origin) {
            probe_url = Some(format!("{}/setup/probe/{nonce}", origin.text));
            let works = arrival.as_ref().is_some_and(|arrival| fits(origin, arrival));
            continue_at = works.then(|| format!("{}/setup", origin.text));
        }
    }
    let proxy = (is_forwarded(request) || client.is_trusted_peer)
        .then(|| views::ProxyQuestion { peer: client.peer.to_string(), is_trusted: client.is_trusted_peer });
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Address {
        frame: here.frame("Where Doorward lives"),
        steps: here.steps(Step::Address),
        origin: candidate.as_ref().map_or_else(|| typed.origin.clone(), |origin| origin.text.clone()),
        cookie_domain: typed.cookie_domain.clone(),
        checks,
        proxy,
        insecure: insecure_visit(room, request),
        continue_at,
        probe_url: probe_url.clone(),
        errors,
    };
    let reply = here.page(status, &page)?;
    Ok(match (probe_url, candidate) {
        (Some(_), Some(origin)) => reply.with_connect_target(origin.text),
        _ => reply,
    })
}

fn fits(origin: &Origin, arrival: &Arrival) -> bool {
    arrival.host.as_deref().is_some_and(|host| host_matches(&origin.text, host))
        && arrival.is_https == origin.is_https
}

/// `POST /setup/address`: `check` looks, `trust-proxy` believes the proxy, anything else keeps the address.
pub async fn address(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Address)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let visit = visit(&room.sign_in, request)?;
    if form.text("action") == "trust-proxy" {
        if is_forwarded(request) && !request.client.is_trusted_peer {
            room.trust_proxy(request.client.peer, here.wizard.owner, &visit).await?;
        }
        return Ok(here.keep(Reply::see_other(Step::Address.path())));
    }
    let typed = TypedAddress {
        origin: form.text("origin").trim().to_owned(),
        cookie_domain: form.text("cookie_domain").trim().to_owned(),
        browser_time: form.text("browser_time").parse().ok().map(Timestamp::from_millis),
        is_checked: true,
    };
    let accepts = form.text("accept_insecure") == "yes" || (here.owner.is_some() && !here.is_insecure());
    let mut errors = FieldErrors::none();
    let judged = room.judge_address(&typed.origin, &typed.cookie_domain, accepts);
    if form.text("action") == "check" {
        // Only looking: the box need not be ticked for that.
        if let Err(problem) = room.judge_address(&typed.origin, &typed.cookie_domain, true) {
            errors = field_errors(problem, request.words())?;
        }
        return address_page(&here, &typed, errors);
    }
    if here.is_insecure() && !accepts {
        errors.push(
            "accept_insecure",
            "Open this page through a tunnel or over HTTPS, or tick the box to continue without.",
        );
        return address_page(&here, &typed, errors);
    }
    let judged = match judged {
        Ok(judged) => judged,
        Err(problem) => return address_page(&here, &typed, field_errors(problem, request.words())?),
    };
    room.set_address(&judged, here.wizard.owner, &visit).await?;
    if here.is_insecure() {
        room.wizards.update(here.token, |wizard| wizard.accepts_insecure = true);
    }
    here.go_on()
}

/// `GET /setup/probe/{nonce}`: the visitor's browser tries the public address. Any host is fine here: which one
/// arrives is what the probe is for. It says nothing about this Doorward.
pub async fn probe(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    if room.is_finished() {
        return Err(Problem::not_found());
    }
    room.probes.arrived(request.param("nonce"), request);
    // The page that asks has another origin and reads nothing; without this its browser would call it a failure.
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    Ok(Reply::no_content().with(policy, http::HeaderValue::from_static("cross-origin")))
}
