//! What stands between a request and its handler, in this order: setup gate, host, TLS, caller, CSRF, rate rule, second
//! factor. And whom the guard refuses before a large body is read.

use std::time::Duration;

use http::StatusCode;

use super::answers::{refused_with, with_rate_headers};
use super::guards::{browser, browser_or_program, check_forgery, not_an_admin, not_signed_in};
use super::{Service, is_operations, second_factor};
use crate::audit::{Event, Kind};
use crate::http::rate::RateFields;
use crate::http::{Problem, Reply, Request};
use crate::limits::{Rule, Verdict};
use crate::routes::{Action, Face, Method2, Rate, Route};
use crate::sessions::handoff::PORTAL_PATH;
use crate::sessions::{Principal, SessionKind};
use crate::sign_in::frames;
use crate::views::Frame;
use crate::views::errors::WrongHost;
use crate::words::{Said, Words, english_only, said};

/// How often one browser session may change something: far more than people do, and far less than fills a disk with
/// audit events (RES-04). What only looks is free.
const PAGES_RULE: Rule = Rule::new("pages", 300, Duration::from_secs(300));

/// How often it is told of a person that a page of somebody else used a session of theirs.
const TOLD_OF_FORGERY: Rule = Rule::new("told-of-forgery", 1, Duration::from_secs(60));

/// How often it is told of a person that they tried the administration without being an administrator.
const TOLD_OF_ADMIN: Rule = Rule::new("told-of-admin", 5, Duration::from_secs(60));

/// How far a request came before its handler.
pub(super) enum Entry {
    /// It was answered on the way.
    Answered(Reply),
    /// It may go on: who calls, and what the rate rule says.
    Open(Option<Principal>, Option<Verdict>),
}

impl Service {
    /// Everything that stands between a request and its handler.
    pub(super) fn enter(&self, route: &'static Route, request: &Request) -> Result<Entry, Problem> {
        if let Some(reply) = self.turn_away(route, request)? {
            return Ok(Entry::Answered(reply));
        }
        let caller = self.identify(route, request)?;
        // Forged requests must not use up what the person themself may do, so they are not counted.
        if let Err(problem) = check_forgery(&self.app, route, request, caller.as_ref()) {
            if let Some(caller) = &caller {
                self.tell(&TOLD_OF_FORGERY, Kind::RequestForged, route, request, caller);
            }
            return Err(problem);
        }
        let verdict = self.count(route, request, caller.as_ref())?;
        match second_factor::comes_first(&self.app, route, request, caller.as_ref()) {
            Ok(None) => Ok(Entry::Open(caller, verdict)),
            Ok(Some(reply)) => Ok(Entry::Answered(reply)),
            Err(problem) => Err(refused_with(&self.api_fields, problem, verdict)),
        }
    }

    /// Answers what nobody gets here, whoever asks.
    fn turn_away(&self, route: &Route, request: &Request) -> Result<Option<Reply>, Problem> {
        if is_operations(route.path) {
            return Ok(None);
        }
        if let Some(reply) = self.app.setup.gate(request)? {
            return Ok(Some(reply));
        }
        if let Some(reply) = self.wrong_host(route, request)? {
            return Ok(Some(reply));
        }
        self.refuse_plain_http(route, request)?;
        Ok(None)
    }

    /// Finds who calls, where the route asks. Bad tokens are counted by place.
    fn identify(&self, route: &Route, request: &Request) -> Result<Option<Principal>, Problem> {
        match route.action {
            Action::Open(_) | Action::Document(_) | Action::Proxy(_) => Ok(None),
            Action::Maybe(_) | Action::Browser(_) | Action::AdminBrowser(_) => browser(&self.app, request),
            Action::User(_) | Action::Glance(_) | Action::Admin(_) => {
                match browser_or_program(&self.app, request) {
                    Err(problem) => {
                        Err(refused_with(&self.api_fields, problem, self.count_bad_token(route, request)?))
                    }
                    found => found,
                }
            }
        }
    }

    /// Answers who may not call before their large body is read, or strangers would keep everybody else from sending one
    /// (RES-04). Whoever may goes the whole way afterwards, and is counted there.
    pub(super) fn admit_large(
        &self,
        route: &'static Route,
        request: &Request,
    ) -> Result<Option<Reply>, Problem> {
        let is_admins = match route.action {
            Action::Browser(_) | Action::User(_) | Action::Glance(_) => false,
            Action::AdminBrowser(_) | Action::Admin(_) => true,
            Action::Open(_) | Action::Maybe(_) | Action::Document(_) | Action::Proxy(_) => return Ok(None),
        };
        if let Some(reply) = self.turn_away(route, request)? {
            return Ok(Some(reply));
        }
        match self.identify(route, request)? {
            Some(caller) if is_admins => self.require_admin(route, request, &caller).map(|()| None),
            Some(_) => Ok(None),
            None => {
                let verdict = self.count(route, request, None)?;
                with_rate_headers(&self.api_fields, not_signed_in(route.face, request), verdict).map(Some)
            }
        }
    }

    /// Refuses whoever is no administrator.
    pub(super) fn require_admin(
        &self,
        route: &Route,
        request: &Request,
        caller: &Principal,
    ) -> Result<(), Problem> {
        if caller.user.role.is_admin() {
            return Ok(());
        }
        self.tell(&TOLD_OF_ADMIN, Kind::AdminRefused, route, request, caller);
        Err(not_an_admin(route.face))
    }

    /// Writes down what was refused to a person, as often as `rule` says: it may go on all day (AUD-01, AUD-06, RES-04).
    fn tell(&self, rule: &Rule, kind: Kind, route: &Route, request: &Request, caller: &Principal) {
        let limits = &self.app.limits;
        if limits.acquire(rule, &limits.key(rule, caller.user.id.as_bytes())).allowed {
            let event = Event::refused(kind).by(caller.user.id, &caller.user.username);
            self.app.audit.note(event.on(route.path).from(request.client.ip).request(request.id));
        }
    }

    /// Counts a request of the API (LIM-01). Refused requests never reach the handler.
    fn count(
        &self,
        route: &Route,
        request: &Request,
        caller: Option<&Principal>,
    ) -> Result<Option<Verdict>, Problem> {
        let browser = caller.filter(|caller| caller.kind == SessionKind::Web);
        if browser.is_some() && route.method == Method2::Get || browser.is_none() && route.rate == Rate::None
        {
            return Ok(None);
        }
        let rule = if browser.is_some() { &PAGES_RULE } else { &self.app.api_rule };
        let verdict = match caller {
            Some(caller) => {
                let key = self.app.limits.key(rule, caller.session.as_bytes());
                self.app.limits.acquire(rule, &key)
            }
            None => self.app.limits.acquire_place(rule, request.client.ip, b"").verdict,
        };
        self.require_allowed(rule, &verdict)?;
        Ok(browser.is_none().then_some(verdict))
    }

    /// Counts a bad token: a place may bring as many of them as requests without one (LIM-01). They have a count of their
    /// own, or one program with an old token would keep all others of its place from asking for new ones.
    fn count_bad_token(&self, route: &Route, request: &Request) -> Result<Option<Verdict>, Problem> {
        if route.rate == Rate::None {
            return Ok(None);
        }
        let Rule { limit, window, .. } = self.app.api_rule;
        let rule = Rule::new("bad-token", limit, window);
        let verdict = self.app.limits.acquire_place(&rule, request.client.ip, b"").verdict;
        self.require_allowed(&rule, &verdict)?;
        Ok(Some(verdict))
    }

    /// Refuses what a rate rule does not admit.
    fn require_allowed(&self, rule: &Rule, verdict: &Verdict) -> Result<(), Problem> {
        if verdict.allowed {
            return Ok(());
        }
        self.app.metrics.rate_limited(rule.name);
        let mut problem = Problem::too_many_requests(
            "rate_limited",
            Said::of(Words::errors_too_many_requests),
            verdict.retry_after,
        );
        problem.headers.extend(RateFields::new(rule.name, rule.limit, rule.window).of(verdict));
        Err(problem)
    }

    /// Answers 421 for a host that is not ours (WEB-12): links, cookies and the issuer hold for one origin only.
    fn wrong_host(&self, route: &Route, request: &Request) -> Result<Option<Reply>, Problem> {
        // The setup has a rule of its own (SET-03): it is where the address is decided. Once finished it is gone.
        if route.path.starts_with("/setup") {
            return Ok(None);
        }
        let host = request.client.host.as_deref().unwrap_or_default();
        if self.app.site.is_own_host(host) || !self.app.site.is_origin_set() && request.client.is_local() {
            return Ok(None);
        }
        // The proxy of the first app was told to come here.
        if route.path == "/" && self.app.setup.plays_the_app(request) {
            return Ok(Some(Reply::see_other(crate::setup::echo::PATH).for_other_host()));
        }
        let origin = self.app.site.origin();
        // The portal of another domain is there to set its cookie, and leads on to where people sign in.
        if self.app.site.domain_of_portal(host).is_some() {
            match route.path {
                PORTAL_PATH => return Ok(None),
                "/" => {
                    let rest = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                    return Ok(Some(Reply::see_other(&format!("{}{rest}", origin.text))));
                }
                _ => {}
            }
        }
        if route.face != Face::Page {
            let detail = format!("This is {}; requests for another host are not answered.", origin.text);
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", english_only(detail)));
        }
        let page = WrongHost {
            // What is chosen at another host would be lost.
            frame: Frame {
                here: String::new(),
                ..frames::anonymous(&self.app.site, request, request.words().errors_wrong_host())
            },
            opened: host.to_owned(),
            lives_at: origin.text,
            request_id: request.id.to_string(),
        };
        Ok(Some(Reply::html(StatusCode::MISDIRECTED_REQUEST, &page)?))
    }

    /// Refuses what is not for everybody's eyes over plain HTTP from another machine, unless the owner asked for it
    /// (SES-06).
    fn refuse_plain_http(&self, route: &Route, request: &Request) -> Result<(), Problem> {
        let (site, client) = (&self.app.site, &request.client);
        if route.is_plain_http_fine || client.is_https || client.is_local() || site.allows_insecure_http() {
            return Ok(());
        }
        let origin = site.origin();
        let (home, peer) = (origin.text, client.peer);
        let detail = if origin.is_https && !client.is_trusted_peer {
            said(move |t| t.errors_insecure_proxy(&home, peer))
        } else {
            said(move |t| t.errors_insecure(&home))
        };
        Err(Problem::forbidden("insecure_connection", detail))
    }
}
