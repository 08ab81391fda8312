//! The way of a request through the table of [`crate::routes`]: route → turn → setup gate → host → TLS → caller → CSRF →
//! rate → second factor → handler → reply.
//!
//! In the outermost package, which is compiled to be fast: every request comes this way, whatever room answers it.

mod answers;
mod entry;
mod guards;
mod second_factor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;

use crate::access::forward_auth::{self, Endpoint};
use crate::app::{App, StartError};
use crate::http::problem::seconds_rounded_up;
use crate::http::rate::RateFields;
use crate::http::{Answering, Handler, Problem, Reply, Request, RouteId, RouteLimits};
use crate::limits::Rule;
use crate::metrics::Route as RouteClass;
use crate::oidc::OAuthError;
use crate::routes::{Action, BODY, Face, Method2, ROUTES, Route};
use crate::sessions::Principal;
use crate::words::{Said, Words};

use answers::{answer_asset, error_page, log, with_rate_headers};
use entry::Entry;
use guards::not_signed_in;

/// Joins the table with the application: what answers every request.
///
/// # Errors
/// If a row of the table is wrong.
pub fn open(app: Arc<App>) -> Result<Arc<dyn Handler>, StartError> {
    let Rule { name, limit, window, .. } = app.api_rule;
    Ok(Arc::new(Service {
        app,
        routes: Routes::compile().map_err(StartError)?,
        turn: Semaphore::new(1),
        api_fields: RateFields::new(name, limit, window),
    }))
}

/// The routes of one path, each in the place of its method, by their place in the table.
type PathRoutes = [Option<RouteId>; Method2::COUNT];

/// The table, compiled for look-up.
struct Routes {
    /// Those without segments that vary: most.
    exact: HashMap<&'static str, PathRoutes>,
    varied: matchit::Router<PathRoutes>,
}

impl Routes {
    /// Compiles the table; the sentence says which row is wrong.
    fn compile() -> Result<Self, String> {
        let mut by_path: Vec<(&'static str, PathRoutes)> = Vec::new();
        for (place, route) in ROUTES.iter().enumerate() {
            let index = match by_path.iter().position(|(path, _)| *path == route.path) {
                Some(index) => index,
                None => {
                    by_path.push((route.path, [None; Method2::COUNT]));
                    by_path.len() - 1
                }
            };
            let slot = by_path.get_mut(index).and_then(|(_, routes)| routes.get_mut(route.method as usize));
            match slot {
                Some(slot @ None) => *slot = Some(RouteId(place)),
                _ => {
                    return Err(format!(
                        "{} {} stands twice in the table",
                        route.method.as_str(),
                        route.path
                    ));
                }
            }
        }
        let (mut exact, mut varied) = (HashMap::new(), matchit::Router::new());
        for (path, routes) in by_path {
            if path.contains('{') {
                varied.insert(path, routes).map_err(|error| format!("{path}: {error}"))?;
            } else {
                exact.insert(path, routes);
            }
        }
        Ok(Routes { exact, varied })
    }

    fn at(&self, path: &str) -> Option<&PathRoutes> {
        self.exact.get(path).or_else(|| self.varied.at(path).ok().map(|matched| matched.value))
    }

    fn find(&self, method: &Method, path: &str) -> RouteId {
        if path.starts_with(ASSETS) {
            return Found::ASSET;
        }
        let Some(routes) = self.at(path) else { return Found::NOTHING };
        let of = |method: Method2| routes.get(method as usize).copied().flatten();
        Method2::of(method).and_then(of).or_else(|| of(Method2::Any)).unwrap_or(Found::OTHER_METHODS)
    }

    /// Returns the routes of a path, whatever their method.
    fn of_path(&self, path: &str) -> impl Iterator<Item = &'static Route> {
        self.at(path).into_iter().flatten().flatten().filter_map(|route| ROUTES.get(route.0))
    }

    /// Returns the values of the `{name}` segments of a path, decoded.
    fn params(&self, path: &str) -> Vec<(String, String)> {
        let Ok(matched) = self.varied.at(path) else { return Vec::new() };
        matched.params.iter().map(|(name, value)| (name.to_owned(), decode(value))).collect()
    }
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// How long the check of an upload may take: all of it is read, and every seal opened.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(120);

/// Where the embedded files are.
const ASSETS: &str = "/assets/";

/// What the table says of a method and a path.
#[derive(Clone, Copy)]
enum Found {
    /// There may be a file of this name.
    Asset,
    /// There is a route.
    Route(&'static Route),
    /// There are routes, but for other methods.
    OtherMethods,
    /// There is nothing.
    Nothing,
}

impl Found {
    // Beyond any place in the table.
    const ASSET: RouteId = RouteId(usize::MAX);
    const OTHER_METHODS: RouteId = RouteId(usize::MAX - 1);
    const NOTHING: RouteId = RouteId(usize::MAX - 2);

    fn of(route: RouteId) -> Self {
        match ROUTES.get(route.0) {
            Some(route) => Found::Route(route),
            None if route == Found::ASSET => Found::Asset,
            None if route == Found::OTHER_METHODS => Found::OtherMethods,
            None => Found::Nothing,
        }
    }

    /// Returns the face that refusals show.
    fn face(self, path: &str) -> Face {
        match self {
            Found::Route(route) => route.face,
            _ => face_of(path),
        }
    }

    /// Returns the class that answers are counted in.
    fn class(self) -> RouteClass {
        match self {
            Found::Asset => RouteClass::Asset,
            Found::Route(route) => class_of(route),
            Found::OtherMethods | Found::Nothing => RouteClass::Unknown,
        }
    }
}

/// What answers requests: the table over the application.
struct Service {
    app: Arc<App>,
    routes: Routes,
    /// One turn for those that try to sign in.
    turn: Semaphore,
    /// What programs are told of the rule for requests.
    api_fields: RateFields,
}

impl Service {
    /// Waits until everybody who tried to sign in before has been looked at, and then until all else that has arrived
    /// in the meantime was. So of any number of sign-ins at once only one stands between two other requests.
    async fn wait_for_turn(&self) {
        let turn = self.turn.acquire().await;
        tokio::task::yield_now().await;
        drop(turn);
    }

    async fn through(&self, route: &'static Route, request: &Request) -> Result<Reply, Problem> {
        if route.is_in_turn {
            self.wait_for_turn().await;
        }
        let app = &*self.app;
        let (caller, verdict) = match self.enter(route, request)? {
            Entry::Answered(reply) => return Ok(reply),
            Entry::Open(caller, verdict) => (caller, verdict),
        };
        let answer = match (route.action, caller.as_ref()) {
            (Action::Open(handler), _) => handler(app, request).await,
            (Action::Document(handler), _) => handler(app, request),
            (Action::Maybe(handler), caller) => handler(app, request, caller).await,
            (Action::Browser(handler) | Action::User(handler), Some(caller)) => {
                handler(app, request, caller).await
            }
            (Action::Glance(handler), Some(caller)) => handler(app, request, caller),
            (Action::AdminBrowser(handler) | Action::Admin(handler), Some(caller)) => {
                match self.require_admin(route, request, caller) {
                    Ok(()) => handler(app, request, caller).await,
                    Err(problem) => Err(problem),
                }
            }
            (_, None) => not_signed_in(route.face, request),
            (Action::Proxy(_), _) => Err(Problem::not_found()),
        };
        with_rate_headers(&self.api_fields, answer, verdict)
    }

    /// Goes the way of [`Service::through`] for a handler that need not wait.
    fn glance(
        &self,
        route: &'static Route,
        request: &Request,
        handler: for<'a> fn(&'a App, &'a Request, &'a Principal) -> Result<Reply, Problem>,
    ) -> Result<Reply, Problem> {
        match self.enter(route, request)? {
            Entry::Answered(reply) => Ok(reply),
            Entry::Open(None, verdict) => {
                with_rate_headers(&self.api_fields, not_signed_in(route.face, request), verdict)
            }
            Entry::Open(Some(caller), verdict) => {
                with_rate_headers(&self.api_fields, handler(&self.app, request, &caller), verdict)
            }
        }
    }

    /// Answers a reverse proxy; `None` if that takes time.
    fn answer_proxy(&self, request: &Request, endpoint: Endpoint) -> Option<Reply> {
        if let Some(reply) = self.app.setup.gate_proxy(endpoint.dialect) {
            return Some(reply.for_other_host());
        }
        let reply = forward_auth::check(&self.app.access, &self.app.sessions, request, endpoint)?;
        Some(self.leave_proxy(request, endpoint, reply))
    }

    /// Answers a reverse proxy where a password has to be hashed, or a browser arrives from the portal.
    async fn answer_proxy_in_time(&self, request: &Request, endpoint: Endpoint) -> Reply {
        // It takes its turn like everybody who tries to sign in.
        self.wait_for_turn().await;
        let (access, sessions) = (&self.app.access, &self.app.sessions);
        let reply = forward_auth::check_in_time(access, sessions, request, endpoint).await;
        self.leave_proxy(request, endpoint, reply)
    }

    fn leave_proxy(&self, request: &Request, endpoint: Endpoint, mut reply: Reply) -> Reply {
        self.app.setup.observe(endpoint.dialect, request, &reply);
        self.app.outside.note_question(endpoint.dialect, request, &mut reply);
        // Some proxies hand the answer on in the name of the app.
        reply.for_other_host()
    }

    fn wrong_method(&self, request: &Request) -> Reply {
        let face = self.routes.of_path(request.path()).next().map_or(Face::Api, |route| route.face);
        let allowed: Vec<&str> =
            self.routes.of_path(request.path()).map(|route| route.method.as_str()).collect();
        let mut problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            Said::of(Words::errors_method),
        );
        if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
            problem = problem.with_header(header::ALLOW, value);
        }
        self.refuse_as(face, request, problem)
    }

    /// Returns the path for the log: the pattern, where the path itself holds a secret (AUD-04).
    fn shown_path<'a>(&self, request: &'a Request) -> &'a str {
        let path = request.path();
        match self.routes.of_path(path).next() {
            Some(route) if route.path.contains("{secret}") || route.path.contains("{nonce}") => route.path,
            _ => path,
        }
    }

    /// Gives a refusal its form, and counts the answer.
    fn counted(&self, found: Found, request: &Request, answer: Result<Reply, Problem>) -> Reply {
        let reply = match answer {
            Ok(reply) => reply,
            Err(problem) => self.refuse_as(found.face(request.path()), request, problem),
        };
        self.app.metrics.http_request(found.class(), reply.status);
        reply
    }

    fn refuse_as(&self, face: Face, request: &Request, problem: Problem) -> Reply {
        log(request, self.shown_path(request), &problem);
        let id = request.id.to_string();
        let mut reply = if face == Face::Page && request.wants_html() {
            error_page(&self.app, request, &problem, &id)
        } else if face == Face::OAuth {
            return OAuthError::from(problem).reply();
        } else {
            let mut reply = Reply::json(problem.status, &problem.to_json(&id));
            reply.content_type = Some("application/problem+json");
            reply
        };
        for (name, value) in &problem.headers {
            reply.headers.append(name.clone(), value.clone());
        }
        if let Some(wait) = problem.retry_after {
            reply.set(header::RETRY_AFTER, HeaderValue::from(seconds_rounded_up(wait).max(1)));
        }
        reply
    }
}

impl Handler for Service {
    fn route(&self, method: &Method, path: &str) -> (RouteId, RouteLimits) {
        let found = self.routes.find(method, path);
        let limits = match Found::of(found) {
            Found::Route(Route { action: Action::Proxy(_), .. }) => RouteLimits::without_body(),
            Found::Route(route) if route.is_upload => RouteLimits::body(route.body).within(UPLOAD_DEADLINE),
            Found::Route(route) => RouteLimits::body(route.body),
            Found::Asset | Found::OtherMethods | Found::Nothing => RouteLimits::without_body(),
        };
        (found, limits)
    }

    fn admit(&self, route: RouteId, request: &Request) -> Option<Reply> {
        let found = Found::of(route);
        let Found::Route(route) = found else { return None };
        let admitted = if route.is_upload {
            self.app.setup.admit_upload(request).map(|()| None)
        } else if route.body > BODY {
            self.admit_large(route, request)
        } else {
            return None;
        };
        let reply = admitted.unwrap_or_else(|problem| Some(self.refuse_as(route.face, request, problem)))?;
        self.app.metrics.http_request(found.class(), reply.status);
        Some(reply)
    }

    fn handle_at_once(&self, route: RouteId, request: &Request) -> Option<Reply> {
        let found = Found::of(route);
        let answer = match found {
            Found::Asset => Ok(answer_asset(request)),
            Found::Route(Route { action: Action::Proxy(endpoint), .. }) => {
                let reply = self.answer_proxy(request, *endpoint)?;
                self.app.metrics.http_request(RouteClass::ForwardAuth, reply.status);
                return Some(reply);
            }
            Found::Route(route @ Route { action: Action::Glance(handler), .. }) => {
                self.glance(route, request, *handler)
            }
            Found::Route(route @ Route { action: Action::Document(handler), .. }) => {
                self.enter(route, request).and_then(|entry| match entry {
                    Entry::Answered(reply) => Ok(reply),
                    Entry::Open(..) => handler(&self.app, request),
                })
            }
            Found::Route(_) => return None,
            Found::OtherMethods => Ok(self.wrong_method(request)),
            Found::Nothing => self.app.outside.note_app(request).ok_or_else(Problem::not_found),
        };
        Some(self.counted(found, request, answer))
    }

    fn handle<'a>(&'a self, route: RouteId, request: &'a mut Request) -> Answering<'a> {
        Box::pin(async move {
            let found = Found::of(route);
            let Found::Route(route) = found else {
                return self.counted(found, request, Err(Problem::not_found()));
            };
            if route.path.contains('{') {
                request.params = self.routes.params(request.path());
            }
            let answer = match route.action {
                // In a box of its own, or every other answer in the making would be as large.
                Action::Proxy(endpoint) => Ok(Box::pin(self.answer_proxy_in_time(request, endpoint)).await),
                _ => self.through(route, request).await,
            };
            self.counted(found, request, answer)
        })
    }

    fn refuse(&self, route: RouteId, request: &Request, problem: Problem) -> Reply {
        self.counted(Found::of(route), request, Err(problem))
    }
}

fn is_operations(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/api/health")
}

fn face_of(path: &str) -> Face {
    if path.starts_with("/api/") || is_operations(path) { Face::Api } else { Face::Page }
}

/// Where people and programs sign in.
const SIGN_IN_PATHS: [&str; 4] = ["/api/v1/auth", "/signin", "/api/firstfactor", "/api/secondfactor"];

fn class_of(route: &Route) -> RouteClass {
    match (route.action, route.face) {
        (Action::Proxy(_), _) => RouteClass::ForwardAuth,
        _ if is_operations(route.path) => RouteClass::Health,
        _ if route.path == "/api/v1/auth/validate" => RouteClass::Validate,
        _ if route.path.starts_with("/api/v1/admin") || route.path.starts_with("/admin") => RouteClass::Admin,
        _ if SIGN_IN_PATHS.iter().any(|start| route.path.starts_with(start)) => RouteClass::SignIn,
        (_, Face::Api | Face::OAuth) => RouteClass::Api,
        (_, Face::Page) => RouteClass::Page,
    }
}
