//! What the table itself answers: embedded files, pages of refusals, and the headers of rate limits.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::http::problem::seconds_rounded_up;
use crate::http::rate::RateFields;
use crate::http::request_headers::ascii;
use crate::http::{Problem, Reply, Request};
use crate::limits::Verdict;
use crate::sign_in::frames;
use crate::views::errors::ErrorPage;
use crate::views::{Wait, assets};

/// Says what the rate rule has left.
pub(super) fn with_rate_headers(
    fields: &RateFields,
    answer: Result<Reply, Problem>,
    verdict: Option<Verdict>,
) -> Result<Reply, Problem> {
    match answer {
        Ok(mut reply) => {
            if let Some(verdict) = &verdict {
                reply.tell_rate(fields, verdict);
            }
            Ok(reply)
        }
        Err(problem) => Err(refused_with(fields, problem, verdict)),
    }
}

/// Says it in a refusal, which was counted like any other answer. What a stricter rule says comes first.
pub(super) fn refused_with(fields: &RateFields, mut problem: Problem, verdict: Option<Verdict>) -> Problem {
    if let Some(verdict) = &verdict {
        for (name, value) in fields.of(verdict) {
            if !problem.headers.iter().any(|(own, _)| *own == name) {
                problem.headers.push((name, value));
            }
        }
    }
    problem
}

pub(super) fn log(request: &Request, path: &str, problem: &Problem) {
    let (id, status, code) = (request.id, problem.status.as_u16(), problem.code);
    let method = &request.method;
    let cause = problem.private.as_deref().unwrap_or("");
    // Being busy is no fault of the program, and a flood must not fill the log; metrics count it.
    let is_only_busy = problem.status == StatusCode::SERVICE_UNAVAILABLE && problem.private.is_none();
    if problem.status.is_server_error() && !is_only_busy {
        tracing::error!(request = %id, %method, path, status, code, cause, "request failed");
    } else {
        tracing::debug!(request = %id, %method, path, status, code, cause, "request refused");
    }
}

pub(super) fn error_page(app: &App, request: &Request, problem: &Problem, request_id: &str) -> Reply {
    let mut frame = frames::anonymous(&app.site, request, "");
    // What was refused is not repeated, not even in a hidden field.
    frame.here = "/".to_owned();
    let mut page = ErrorPage::for_status(frame, problem.status.as_u16(), request_id);
    if !matches!(problem.code, "not_found" | "internal" | "method_not_allowed") {
        page.sentence = problem.detail.in_words(request.words());
    }
    // Only who asked too often is told so; the advice for a busy server says to wait as well.
    let is_limited = problem.status == StatusCode::TOO_MANY_REQUESTS;
    page.wait = problem
        .retry_after
        .filter(|_| is_limited)
        .map(|wait| Wait::rate_limited(request.words(), seconds_rounded_up(wait)));
    Reply::html(problem.status, &page).unwrap_or_else(|_| Reply::empty(problem.status))
}

/// Answers an embedded file: an exact name with its hash, immutable (WEB-13).
pub(super) fn answer_asset(request: &Request) -> Reply {
    let Some(asset) = assets::asset(request.path()) else { return Reply::empty(StatusCode::NOT_FOUND) };
    if request.method != Method::GET && request.method != Method::HEAD {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let takes_gzip = request
        .headers
        .get_all(header::ACCEPT_ENCODING)
        .filter_map(ascii)
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
