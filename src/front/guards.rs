//! Who is calling, whether the request comes from our own pages, and what is said to those who may not go on.

use http::{HeaderName, HeaderValue, Method, header};

use crate::app::App;
use crate::http::{Problem, Reply, Request, csrf};
use crate::routes::{Face, Forgery, Method2, Route};
use crate::sessions::cookies::Cookie;
use crate::sessions::{Principal, SessionKind};
use crate::words::{Said, Words, english_only, said};

/// A signed-in browser, by its cookie. A broken or unknown cookie is nobody; two cookies of our name are refused.
pub(super) fn browser(app: &App, request: &Request) -> Result<Option<Principal>, Problem> {
    let cookie = Cookie::Session.read(&app.site, request).map_err(|_| ambiguous())?;
    Ok(cookie.and_then(|value| app.sessions.identify_cookie(value, request.now)))
}

/// A signed-in browser or a bearer token. Both at once are refused (WEB-05): a route reads one or the other.
pub(super) fn browser_or_program(app: &App, request: &Request) -> Result<Option<Principal>, Problem> {
    let authorization = request.header(&header::AUTHORIZATION).map_err(|_| {
        Problem::bad_request(
            "ambiguous_authorization",
            english_only("Send one Authorization header, not several."),
        )
    })?;
    let Some(authorization) = authorization else { return browser(app, request) };
    if Cookie::Session.read(&app.site, request).map_err(|_| ambiguous())?.is_some() {
        return Err(Problem::bad_request(
            "two_credentials",
            english_only("Send either the session cookie or a bearer token, not both."),
        ));
    }
    let token = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_start_matches(' '));
    let Some(token) = token else {
        return Err(Problem::unauthorized(
            "wrong_scheme",
            english_only("Send `Authorization: Bearer` with an access token."),
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    };
    match app.sessions.identify_bearer(token, request.now) {
        Ok(principal) => Ok(Some(principal)),
        Err(refusal) => {
            refusal.count(&app.metrics);
            Err(refusal.into())
        }
    }
}

fn ambiguous() -> Problem {
    Problem::bad_request("ambiguous_cookie", Said::of(Words::errors_cookie_twice))
}

/// CSRF (WEB-01 to WEB-03): where the request came from and, with a session, the token bound to it.
pub(super) fn check_forgery(
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
    csrf::check_origin(&request.headers, &expected)
        .map_err(|_| Problem::forbidden("csrf", said(move |t| t.errors_foreign_form_open(&expected))))?;
    let (Forgery::Session, Some(caller)) = (route.forgery, caller) else { return Ok(()) };
    let from_header = request.header(&HeaderName::from_static("x-csrf-token")).map_err(|_| {
        Problem::forbidden("csrf", english_only("Send one X-CSRF-Token header, not several."))
    })?;
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
    Err(Problem::forbidden("csrf", Said::of(Words::errors_old_page)))
}

pub(super) fn not_signed_in(face: Face, request: &Request) -> Result<Reply, Problem> {
    if face == Face::Page && request.method == Method::GET {
        let wanted = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("rd", wanted).finish();
        return Ok(Reply::see_other(&format!("/signin?{query}")));
    }
    let problem = Problem::unauthorized("not_signed_in", Said::of(Words::errors_sign_in_first));
    Err(match face {
        Face::Api | Face::OAuth => {
            problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        Face::Page => problem,
    })
}

pub(super) fn not_an_admin(face: Face) -> Problem {
    match face {
        Face::Api | Face::OAuth => {
            Problem::forbidden("not_allowed", english_only("This is for administrators."))
        }
        Face::Page => Problem::forbidden("not_allowed", Said::of(Words::errors_admins_only)),
    }
}
