//! The pages of the wizard: the way in, and the steps up to the address. Plain forms that lead to a redirect; what has
//! been done is kept, so reload, back and another window work.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};

pub use super::address_pages::{address, probe, seen, show_address};
pub use super::echo::echo;
pub use super::later_pages::{
    hide, passkey, protect, recovery_codes, second_factor, show_done, show_protect, show_recovery_codes,
    show_second_factor,
};
use super::records::SetupRecord;
use super::wizards::{IDLE, Wizard};
use super::{ClaimError, OwnerError, OwnerForm, Setup, claim};
use crate::accounts::{Role, User};
use crate::http::address::{host_matches, is_loopback_name, without_port};
use crate::http::problem::seconds_rounded_up;
use crate::http::{Form, Problem, Reply, Request, SetCookie};
use crate::kernel::secret::SecretText;
use crate::sessions::cookies::{Cookie, SETUP_COOKIE, SETUP_PATH};
use crate::sessions::{Principal, StartedSession};
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::sign_in::step_up_first;
use crate::views::errors::ErrorPage;
use crate::views::setup::{self as views, InsecureVisit, Step, Steps};
use crate::views::{Choice, FieldErrors, Frame, Wait};
use crate::words::{Lang, Said, Words};

/// How long the choice of a language is kept.
const LANGUAGE_KEPT: Duration = Duration::from_secs(400 * 86_400);

pub(super) static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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
    pub(super) fn find(room: &'a Setup, request: &'a Request) -> Result<Option<Here<'a>>, Problem> {
        let Some(token) = cookie(request)? else { return Ok(None) };
        let Some(wizard) = room.wizards.find(token, room.sign_in.clock.monotonic()) else { return Ok(None) };
        if !room.is_let_in(wizard.code.as_ref())?
            || wizard.owner.is_some_and(|id| room.is_ended(&id, &wizard))
        {
            return Ok(None);
        }
        let owner = wizard.owner.and_then(|id| room.sign_in.active_user(&id));
        let progress = room.progress().map_err(crate::store::CommitError::Store)?;
        Ok(Some(Here { room, request, token, wizard, progress, owner }))
    }

    pub(super) fn is_insecure(&self) -> bool {
        is_insecure(self.request)
    }

    /// Tells whether the session of this browser proved every factor within the last ten minutes.
    fn is_proof_fresh(&self) -> bool {
        let sign_in = &self.room.sign_in;
        let proof = self.wizard.session.and_then(|session| sign_in.sessions.proof(&session));
        match (&self.owner, proof) {
            (Some(owner), Some((factors, at))) => sign_in.is_proof_fresh(owner, factors, at),
            _ => false,
        }
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
            .with_csrf(self.room.wizards.csrf_token(self.token, &self.room.sign_in.random))
    }

    pub(super) fn steps(&self, current: Step) -> Steps {
        let t = self.request.words();
        if self.wizard.is_resumed {
            return Steps { items: Vec::new(), position: 0, label: "" };
        }
        // Once the setup is finished there is no way back: the pages are gone.
        let done: Vec<Step> = [Step::Welcome, Step::Address]
            .into_iter()
            .filter(|step| self.is_done(*step) && !self.room.is_finished())
            .collect();
        Steps::new(self.order(), &done, current, t)
    }

    /// Checks that a form was sent by a page of this very browser's wizard (SET-03), and reads it.
    pub(super) fn form(&self) -> Result<Form, Problem> {
        refuse_foreign(self.request)?;
        let form = self.request.form()?;
        self.check_csrf(form.text("csrf"))?;
        Ok(form)
    }

    /// Checks the token that a form of this browser carried.
    pub(super) fn check_csrf(&self, token: &str) -> Result<(), Problem> {
        if self.room.wizards.is_csrf_token(self.token, token) {
            return Ok(());
        }
        Err(Problem::forbidden("csrf", Said::of(Words::setup_form_is_old)))
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
            Some(here) if !may_see(&here.wizard) => Err(Problem::not_found()),
            // What is changed here takes a fresh proof, and the wizard lives longer than one (ADM-01).
            Some(here)
                if here.wizard.is_resumed && request.method == Method::POST && !here.is_proof_fresh() =>
            {
                Ok(Err(Reply::see_other(&format!("/admin{}", step.path()))))
            }
            Some(here) => Ok(Ok(here)),
            None => Err(Problem::not_found()),
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
    request
        .cookie(SETUP_COOKIE)
        .map_err(|_| Problem::bad_request("ambiguous_cookie", Said::of(Words::errors_cookie_twice)))
}

fn with_cookie(request: &Request, reply: Reply, token: &str) -> Reply {
    let cookie = SetCookie::host_only(SETUP_COOKIE, token).path(SETUP_PATH).same_site_strict().max_age(IDLE);
    reply.with_cookie(if request.client.is_https { cookie } else { cookie.insecure() })
}

/// Plain HTTP from another machine.
pub(super) fn is_insecure(request: &Request) -> bool {
    !request.client.is_https && !request.client.is_local()
}

pub(super) fn insecure_visit(room: &Setup, request: &Request) -> Option<InsecureVisit> {
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
    let t = request.words();
    t.setup_unknown_host_title().clone_into(&mut page.frame.title);
    page.sentence = t.setup_unknown_host(name);
    page.advice = t.setup_unknown_host_advice(room.listen().port());
    page.home_url.clear();
    Ok(Some(Reply::html(StatusCode::MISDIRECTED_REQUEST, &page)?))
}

/// Cross-site requests: whoever sends a form must be a page that this host served. The scheme is not compared,
/// because before the proxy is trusted nobody can tell it (SET-03).
pub(super) fn refuse_foreign(request: &Request) -> Result<(), Problem> {
    let refuse = || Problem::forbidden("csrf", Said::of(Words::setup_form_is_foreign));
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
            // The wizard adds second factors, so it asks who is there as the pages of the account do (OTP-08).
            if !room.sign_in.is_fresh(principal) {
                return Ok(step_up_first("/setup"));
            }
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
        frame: frames::anonymous(&room.sign_in.site, request, request.words().setup_claim_title()),
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
    let t = request.words();
    let wrong = |text: &str| {
        claim_page(room, request, FieldErrors::one("token", text), None, StatusCode::UNPROCESSABLE_ENTITY)
    };
    match room.claim(form.text("token"), &visit(&room.sign_in, request)?) {
        Ok(token) => Ok(with_cookie(request, Reply::see_other("/setup"), token.expose())),
        Err(ClaimError::Wrong) => wrong(t.setup_claim_wrong()),
        Err(ClaimError::Expired) => wrong(t.setup_claim_expired()),
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

pub(super) fn taken_page(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let page = views::Taken {
        frame: frames::anonymous(&room.sign_in.site, request, request.words().setup_taken_title()),
        by: room.taken_by(request.words()).map_err(crate::store::CommitError::Store)?,
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

pub(super) fn welcome_page(
    here: &Here<'_>,
    instance_name: String,
    errors: FieldErrors,
) -> Result<Reply, Problem> {
    let t = here.request.words();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Welcome {
        frame: here.frame(t.setup_welcome_title()),
        steps: here.steps(Step::Welcome),
        languages: Lang::ALL
            .iter()
            .map(|lang| Choice::new(lang.code(), lang.name(), *lang == t.lang()))
            .collect(),
        instance_name,
        is_insecure: here.is_insecure(),
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
        Ok(()) => {
            let reply = here.go_on()?;
            let chosen = Lang::ALL.into_iter().find(|lang| lang.code() == form.text("language"));
            Ok(match chosen {
                Some(lang) => with_language(request, reply, lang),
                None => reply,
            })
        }
        Err(problem) => welcome_page(&here, name.to_owned(), field_errors(problem, request.words())?),
    }
}

/// Keeps the language that was chosen, as the switch at the end of every page does.
fn with_language(request: &Request, reply: Reply, lang: Lang) -> Reply {
    let cookie = SetCookie::host_only(Lang::COOKIE, lang.code()).max_age(LANGUAGE_KEPT);
    reply.with_cookie(if request.client.is_https { cookie } else { cookie.insecure() })
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
        frame: here.frame(here.request.words().setup_owner_title()),
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
    let id = match room.make_owner(&filled, &password, here.wizard.code.as_ref(), &visit).await {
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
