//! The HTTP surface as one table: method, path, who may call, body limit, rate rule, handler. And the way of a request
//! through it: route → setup gate → host → caller → rate → CSRF → handler → reply.
//!
//! The kind of handler names the guard: a handler that takes a [`Principal`] cannot be reached without one (GEN-06).

mod second_factor;
mod table;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::access::forward_auth::{self, Dialect};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::http::problem::seconds_rounded_up;
use crate::http::{Handler, Problem, Reply, Request, RequestMeta, RouteLimits, csrf};
use crate::limits::{Verdict, rate_limit_headers};
use crate::metrics::Route as RouteClass;
use crate::sessions::cookies::Cookie;
use crate::sessions::{Principal, SessionKind, frames};
use crate::views::errors::{ErrorPage, WrongHost};
use crate::views::{Wait, assets};

pub use table::ROUTES;

/// The answer of a handler, to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;

/// Who may call, and what is called.
#[derive(Clone, Copy)]
pub enum Action {
    /// Anyone; identity plays no part.
    Open(for<'a> fn(&'a App, &'a Request) -> Answer<'a>),
    /// Anyone; a signed-in browser is recognised.
    Maybe(for<'a> fn(&'a App, &'a Request, Option<Principal>) -> Answer<'a>),
    /// A signed-in browser.
    Browser(for<'a> fn(&'a App, &'a Request, Principal) -> Answer<'a>),
    /// A signed-in browser or a bearer token, never both (WEB-05).
    User(for<'a> fn(&'a App, &'a Request, Principal) -> Answer<'a>),
    /// An administrator's browser.
    AdminBrowser(for<'a> fn(&'a App, &'a Request, Principal) -> Answer<'a>),
    /// An administrator's browser or bearer token.
    Admin(for<'a> fn(&'a App, &'a Request, Principal) -> Answer<'a>),
    /// A reverse proxy that asks for a decision.
    Proxy(Dialect),
}

/// Which client a route is made for; decides how refusals look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// People: pages, redirects to the sign-in.
    Page,
    /// Programs: JSON problems.
    Api,
}

/// How requests of a route are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Not here: the use-case counts, or it is cheap.
    None,
    /// By bearer session, or by address when anonymous. The UI's own calls are free.
    Api,
}

/// What a request that changes something must prove about where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing: no cookie plays a part.
    None,
    /// That it was sent by our own pages; there is no session yet (login CSRF, SES-13).
    Origin,
    /// That, and the token of its session, if it came with a cookie (WEB-01).
    Session,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Route {
    /// The method; HEAD is answered like GET.
    pub method: Method2,
    /// The path, with `{name}` segments.
    pub path: &'static str,
    /// Guard and handler.
    pub action: Action,
    /// For people or for programs.
    pub face: Face,
    /// The largest body in bytes.
    pub body: usize,
    /// The rate rule.
    pub rate: Rate,
    /// The CSRF rule.
    pub forgery: Forgery,
}

/// The methods that routes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the methods of RFC 9110 section 9")]
pub enum Method2 {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method2 {
    const ALL: [Method2; 5] = [Method2::Get, Method2::Post, Method2::Put, Method2::Patch, Method2::Delete];

    fn of(method: &Method) -> Option<Method2> {
        match *method {
            Method::GET | Method::HEAD => Some(Method2::Get),
            Method::POST => Some(Method2::Post),
            Method::PUT => Some(Method2::Put),
            Method::PATCH => Some(Method2::Patch),
            Method::DELETE => Some(Method2::Delete),
            _ => None,
        }
    }

    /// Returns the method as it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method2::Get => "GET",
            Method2::Post => "POST",
            Method2::Put => "PUT",
            Method2::Patch => "PATCH",
            Method2::Delete => "DELETE",
        }
    }
}

type PathRoutes = [Option<&'static Route>; 5];

/// The table, compiled for look-up.
pub struct Routes {
    router: matchit::Router<PathRoutes>,
}

impl Routes {
    /// Compiles the table; the sentence says which row is wrong.
    pub fn compile() -> Result<Self, String> {
        let mut by_path: Vec<(&'static str, PathRoutes)> = Vec::new();
        for route in ROUTES {
            let index = match by_path.iter().position(|(path, _)| *path == route.path) {
                Some(index) => index,
                None => {
                    by_path.push((route.path, [None; 5]));
                    by_path.len() - 1
                }
            };
            let slot = by_path.get_mut(index).and_then(|(_, routes)| routes.get_mut(route.method as usize));
            match slot {
                Some(slot @ None) => *slot = Some(route),
                _ => {
                    return Err(format!(
                        "{} {} stands twice in the table",
                        route.method.as_str(),
                        route.path
                    ));
                }
            }
        }
        let mut router = matchit::Router::new();
        for (path, routes) in by_path {
            router.insert(path, routes).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(Routes { router })
    }

    fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(matched) = self.router.at(path) else { return Found::Nothing };
        let route =
            Method2::of(method).and_then(|method| matched.value.get(method as usize).copied().flatten());
        match route {
            Some(route) => {
                let params =
                    matched.params.iter().map(|(name, value)| (name.to_owned(), decode(value))).collect();
                Found::Route(route, params)
            }
            None => Found::OtherMethods(matched.value),
        }
    }
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

enum Found<'a> {
    Route(&'static Route, Vec<(String, String)>),
    OtherMethods(&'a PathRoutes),
    Nothing,
}

/// What answers requests: the table over the application.
pub struct Service {
    app: Arc<App>,
    routes: Routes,
}

impl Service {
    /// Joins the table with the application.
    pub fn new(app: Arc<App>) -> Result<Self, String> {
        Ok(Service { app, routes: Routes::compile()? })
    }

    async fn answer(&self, request: &mut Request) -> Reply {
        let path = request.uri.path();
        if let Some(asset) = path.strip_prefix("/assets/") {
            return answer_asset(asset, request);
        }
        let (route, params) = match self.routes.find(&request.method, path) {
            Found::Route(route, params) => (route, params),
            Found::OtherMethods(routes) => return self.wrong_method(request, routes),
            Found::Nothing => return self.refuse(request, face_of(path), Problem::not_found()),
        };
        request.params = params;
        let class = class_of(route);
        let reply = match self.through(route, request).await {
            Ok(reply) => reply,
            Err(problem) => self.refuse(request, route.face, problem),
        };
        self.app.metrics.http_request(class, reply.status);
        reply
    }

    async fn through(&self, route: &'static Route, request: &Request) -> Result<Reply, Problem> {
        let app = &*self.app;
        if let Action::Proxy(dialect) = route.action {
            return Ok(self.answer_proxy(request, dialect));
        }
        if !is_operations(route.path) {
            if let Some(reply) = app.setup.gate(request)? {
                return Ok(reply);
            }
            if let Some(reply) = self.wrong_host(route, request)? {
                return Ok(reply);
            }
        }
        let caller = match route.action {
            Action::Open(_) => None,
            Action::Maybe(_) | Action::Browser(_) | Action::AdminBrowser(_) => browser(app, request)?,
            Action::User(_) | Action::Admin(_) => browser_or_program(app, request)?,
            Action::Proxy(_) => None,
        };
        let verdict = self.count(route, request, caller.as_ref())?;
        check_forgery(app, route, request, caller.as_ref())?;
        if let Some(reply) = second_factor::comes_first(app, route, request, caller.as_ref())? {
            return Ok(reply);
        }
        let reply = match (route.action, caller) {
            (Action::Open(handler), _) => handler(app, request).await,
            (Action::Maybe(handler), caller) => handler(app, request, caller).await,
            (Action::Browser(handler) | Action::User(handler), Some(caller)) => {
                handler(app, request, caller).await
            }
            (Action::AdminBrowser(handler) | Action::Admin(handler), Some(caller)) => {
                if !caller.user.role.is_admin() {
                    let event = Event::refused(Kind::AdminRefused).by(caller.user.id, &caller.user.username);
                    app.audit.note(event.on(route.path).from(request.client.ip).request(request.id));
                    return Err(not_an_admin(route.face));
                }
                handler(app, request, caller).await
            }
            (_, None) => return not_signed_in(route.face, request),
            (Action::Proxy(_), _) => Err(Problem::not_found()),
        };
        Ok(with_rate_headers(reply?, verdict))
    }

    fn answer_proxy(&self, request: &Request, dialect: Dialect) -> Reply {
        if let Some(reply) = self.app.setup.gate_proxy(dialect) {
            return reply.for_other_host();
        }
        let reply = forward_auth::check(&self.app.access, &self.app.sessions, request, dialect);
        self.app.setup.observe(dialect, request, &reply);
        // Some proxies hand the answer on in the name of the app.
        reply.for_other_host()
    }

    /// Counts a request of the API (LIM-01). Refused requests never reach the handler.
    fn count(
        &self,
        route: &Route,
        request: &Request,
        caller: Option<&Principal>,
    ) -> Result<Option<Verdict>, Problem> {
        let is_own_page = caller.is_some_and(|caller| caller.kind == SessionKind::Web);
        if route.rate == Rate::None || is_own_page {
            return Ok(None);
        }
        let rule = &self.app.api_rule;
        let verdict = match caller {
            Some(caller) => {
                let key = self.app.limits.key(rule, caller.session.as_bytes());
                self.app.limits.acquire(rule, &key)
            }
            None => self.app.limits.acquire_place(rule, request.client.ip, b"").verdict,
        };
        if verdict.allowed {
            return Ok(Some(verdict));
        }
        self.app.metrics.rate_limited(rule.name);
        let mut problem = Problem::too_many_requests(
            "rate_limited",
            "There were too many requests. Please wait and try again.",
            verdict.retry_after,
        );
        problem.headers.extend(rate_headers(rule.name, &verdict));
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
        let origin = self.app.site.origin();
        if route.face == Face::Api {
            let detail = format!("This is {}; requests for another host are not answered.", origin.text);
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail));
        }
        let page = WrongHost {
            frame: frames::anonymous(&self.app.site, request, "Wrong address"),
            opened: host.to_owned(),
            lives_at: origin.text,
            request_id: request.id.to_string(),
        };
        Ok(Some(Reply::html(StatusCode::MISDIRECTED_REQUEST, &page)?))
    }

    fn wrong_method(&self, request: &Request, routes: &PathRoutes) -> Reply {
        let face = routes.iter().flatten().next().map_or(Face::Api, |route| route.face);
        let allowed: Vec<&str> = Method2::ALL
            .iter()
            .filter(|method| routes.get(**method as usize).is_some_and(Option::is_some))
            .map(|method| method.as_str())
            .collect();
        let mut problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take this method.",
        );
        if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
            problem = problem.with_header(header::ALLOW, value);
        }
        self.refuse(request, face, problem)
    }

    fn refuse(&self, request: &Request, face: Face, problem: Problem) -> Reply {
        let meta = RequestMeta {
            method: request.method.clone(),
            uri: request.uri.clone(),
            id: request.id,
            wants_html: request.wants_html(),
        };
        self.refuse_with(&meta, face, problem)
    }

    /// Returns the path for the log: the pattern, where the path itself holds a secret (AUD-04).
    fn shown_path<'a>(&self, meta: &'a RequestMeta) -> &'a str {
        let path = meta.uri.path();
        let pattern = self.routes.router.at(path).ok();
        let route = pattern.and_then(|matched| matched.value.iter().flatten().next().copied());
        match route {
            Some(route) if route.path.contains("{secret}") || route.path.contains("{nonce}") => route.path,
            _ => path,
        }
    }

    fn refuse_with(&self, meta: &RequestMeta, face: Face, problem: Problem) -> Reply {
        log(meta, self.shown_path(meta), &problem);
        let id = meta.id.to_string();
        let mut reply = if face == Face::Page && meta.wants_html {
            error_page(&self.app, &problem, &id)
        } else {
            let mut reply = Reply::json(problem.status, &problem.to_json(&id));
            reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            reply
        };
        for (name, value) in problem.headers {
            reply.headers.append(name, value);
        }
        if let Some(wait) = problem.retry_after {
            reply.set(header::RETRY_AFTER, HeaderValue::from(seconds_rounded_up(wait).max(1)));
        }
        reply
    }
}

impl Handler for Service {
    fn limits(&self, method: &Method, path: &str) -> RouteLimits {
        match self.routes.router.at(path) {
            Ok(matched) => {
                let route = Method2::of(method)
                    .and_then(|method| matched.value.get(method as usize).copied().flatten());
                match route {
                    Some(Route { action: Action::Proxy(_), .. }) => RouteLimits::without_body(),
                    Some(route) => RouteLimits::body(route.body),
                    None => RouteLimits::without_body(),
                }
            }
            Err(_) => RouteLimits::without_body(),
        }
    }

    async fn handle(&self, mut request: Request) -> Reply {
        self.answer(&mut request).await
    }

    fn problem(&self, meta: &RequestMeta, problem: Problem) -> Reply {
        let face = match self.routes.find(&meta.method, meta.uri.path()) {
            Found::Route(route, _) => route.face,
            _ => face_of(meta.uri.path()),
        };
        self.refuse_with(meta, face, problem)
    }
}

/// A signed-in browser, by its cookie. A broken or unknown cookie is nobody; two cookies of our name are refused.
fn browser(app: &App, request: &Request) -> Result<Option<Principal>, Problem> {
    let cookie = Cookie::Session.read(&app.site, request).map_err(|_| ambiguous())?;
    Ok(cookie.and_then(|value| app.sessions.identify_cookie(value, request.now)))
}

/// A signed-in browser or a bearer token. Both at once are refused (WEB-05): a route reads one or the other.
fn browser_or_program(app: &App, request: &Request) -> Result<Option<Principal>, Problem> {
    let authorization = request.header(&header::AUTHORIZATION).map_err(|_| {
        Problem::bad_request("ambiguous_authorization", "Send one Authorization header, not several.")
    })?;
    let Some(authorization) = authorization else { return browser(app, request) };
    if Cookie::Session.read(&app.site, request).map_err(|_| ambiguous())?.is_some() {
        return Err(Problem::bad_request(
            "two_credentials",
            "Send either the session cookie or a bearer token, not both.",
        ));
    }
    let token = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_start_matches(' '));
    let Some(token) = token else {
        return Err(Problem::unauthorized(
            "wrong_scheme",
            "Send `Authorization: Bearer` with an access token.",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    };
    match app.sessions.identify_bearer(token, request.now) {
        Ok(principal) => Ok(Some(principal)),
        Err(refusal) => {
            app.count_token_refusal(refusal);
            Err(refusal.into())
        }
    }
}

fn ambiguous() -> Problem {
    Problem::bad_request(
        "ambiguous_cookie",
        "The browser sent the same cookie twice. Delete the cookies of this domain and try again.",
    )
}

/// CSRF (WEB-01 to WEB-03): where the request came from and, with a session, the token bound to it.
fn check_forgery(
    app: &App,
    route: &Route,
    request: &Request,
    caller: Option<&Principal>,
) -> Result<(), Problem> {
    let changes_something = route.method != Method2::Get;
    let has_cookie = caller.is_some_and(|caller| caller.kind == SessionKind::Web);
    let is_needed = match route.forgery {
        Forgery::None => false,
        Forgery::Origin => true,
        Forgery::Session => has_cookie,
    };
    if !changes_something || !is_needed {
        return Ok(());
    }
    let expected = app.expected_origin(request);
    csrf::check_origin(&request.headers, &expected).map_err(|_| {
        Problem::forbidden(
            "csrf",
            format!("This request did not come from our own pages. Open {expected} and try again."),
        )
    })?;
    let (Forgery::Session, Some(caller)) = (route.forgery, caller) else { return Ok(()) };
    let from_header = request
        .header(&HeaderName::from_static("x-csrf-token"))
        .map_err(|_| Problem::forbidden("csrf", "Send one X-CSRF-Token header, not several."))?;
    let is_right = match from_header {
        Some(token) => app.sessions.is_csrf_token(&caller.session, token),
        None if route.face == Face::Page => {
            app.sessions.is_csrf_token(&caller.session, request.form()?.text("csrf"))
        }
        None => false,
    };
    if is_right {
        return Ok(());
    }
    Err(Problem::forbidden(
        "csrf",
        "This page was opened in another session or is too old. Reload it and try again.",
    ))
}

fn not_signed_in(face: Face, request: &Request) -> Result<Reply, Problem> {
    if face == Face::Page && request.method == Method::GET {
        let wanted = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("rd", wanted).finish();
        return Ok(Reply::see_other(&format!("/signin?{query}")));
    }
    let problem = Problem::unauthorized("not_signed_in", "Sign in first.");
    Err(match face {
        Face::Api => problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        Face::Page => problem,
    })
}

fn not_an_admin(face: Face) -> Problem {
    match face {
        Face::Api => Problem::forbidden("not_allowed", "This is for administrators."),
        Face::Page => Problem::forbidden("not_allowed", "This page is for administrators."),
    }
}

fn is_operations(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn face_of(path: &str) -> Face {
    if path.starts_with("/api/") || is_operations(path) { Face::Api } else { Face::Page }
}

fn class_of(route: &Route) -> RouteClass {
    match (route.action, route.face) {
        (Action::Proxy(_), _) => RouteClass::ForwardAuth,
        _ if is_operations(route.path) => RouteClass::Health,
        _ if route.path == "/api/v1/auth/validate" => RouteClass::Validate,
        _ if route.path.starts_with("/api/v1/admin") || route.path.starts_with("/admin") => RouteClass::Admin,
        _ if route.path.starts_with("/api/v1/auth") || route.path.starts_with("/signin") => {
            RouteClass::SignIn
        }
        (_, Face::Api) => RouteClass::Api,
        (_, Face::Page) => RouteClass::Page,
    }
}

fn with_rate_headers(mut reply: Reply, verdict: Option<Verdict>) -> Reply {
    if let Some(verdict) = verdict {
        for (name, value) in rate_headers("api", &verdict) {
            reply.set(name, value);
        }
    }
    reply
}

fn rate_headers(policy: &str, verdict: &Verdict) -> Vec<(HeaderName, HeaderValue)> {
    rate_limit_headers(policy, verdict)
        .into_iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
        })
        .collect()
}

fn log(meta: &RequestMeta, path: &str, problem: &Problem) {
    let (id, status, code) = (meta.id, problem.status.as_u16(), problem.code);
    let method = &meta.method;
    let cause = problem.private.as_deref().unwrap_or("");
    if problem.status.is_server_error() {
        tracing::error!(request = %id, %method, path, status, code, cause, "request failed");
    } else {
        tracing::debug!(request = %id, %method, path, status, code, cause, "request refused");
    }
}

fn error_page(app: &App, problem: &Problem, request_id: &str) -> Reply {
    let frame = crate::views::Frame::new("", app.site.name());
    let mut page = ErrorPage::for_status(frame, problem.status.as_u16(), request_id);
    if !matches!(problem.code, "not_found" | "internal" | "method_not_allowed") {
        problem.detail.clone_into(&mut page.sentence);
    }
    page.wait = problem.retry_after.map(|wait| Wait::rate_limited(seconds_rounded_up(wait)));
    Reply::html(problem.status, &page).unwrap_or_else(|_| Reply::empty(problem.status))
}

/// Answers an embedded file: an exact name with its hash, immutable (WEB-13).
fn answer_asset(name: &str, request: &Request) -> Reply {
    let path = format!("/assets/{name}");
    let Some(asset) = assets::asset(&path) else { return Reply::empty(StatusCode::NOT_FOUND) };
    if request.method != Method::GET && request.method != Method::HEAD {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let takes_gzip = request
        .headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("gzip"));
    let mut reply = if takes_gzip && !asset.gzip.is_empty() {
        Reply::bytes(StatusCode::OK, asset.content_type, Bytes::from_static(&asset.gzip))
            .with(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
    } else {
        Reply::bytes(StatusCode::OK, asset.content_type, Bytes::from_static(&asset.body))
    };
    reply.set(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    reply
}
