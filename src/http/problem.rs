//! Problem documents (RFC 9457): what a client is told when something is refused, and what only the log is told.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use http::StatusCode;

use crate::words::{Said, Words};

/// A refusal: a [`Refusal`] in a box, because nearly every function may return one and hardly any does.
#[derive(Debug)]
pub struct Problem(Box<Refusal>);

impl Deref for Problem {
    type Target = Refusal;

    fn deref(&self) -> &Refusal {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Refusal {
        &mut self.0
    }
}

/// What a refusal says. `code` is stable and part of the API; `detail` is a sentence that says what to do; `private` goes
/// to the log with the request id and never to the client.
#[derive(Debug)]
pub struct Refusal {
    /// A 4xx or 5xx status.
    pub status: StatusCode,
    /// A stable machine-readable code, such as `token_expired`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: Said,
    /// Messages for single fields of a form or JSON body: field name, sentence.
    pub fields: Vec<(&'static str, Said)>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// Headers to add, such as `WWW-Authenticate` or `RateLimit`.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The cause, for the log alone.
    pub private: Option<String>,
    /// Extra members of the problem document, such as a pending token.
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// Makes a problem from status, code and sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: Said) -> Self {
        Problem(Box::new(Refusal {
            status,
            code,
            detail,
            fields: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
            private: None,
            members: serde_json::Map::new(),
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(code: &'static str, detail: Said) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: nobody is signed in, or the token is no good.
    pub fn unauthorized(code: &'static str, detail: Said) -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(code: &'static str, detail: Said) -> Self {
        Problem::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404: nothing here, or nothing that the caller may know of.
    pub fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not_found", Said::of(Words::errors_nothing_here))
    }

    /// 409: the state does not allow this.
    pub fn conflict(code: &'static str, detail: Said) -> Self {
        Problem::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422: well-formed, but a value is not acceptable.
    pub fn unprocessable(field: &'static str, code: &'static str, detail: Said) -> Self {
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone());
        problem.fields.push((field, detail));
        problem
    }

    /// 429: too many attempts.
    pub fn too_many_requests(code: &'static str, detail: Said, retry_after: Duration) -> Self {
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// 503: busy or out of space; nothing was changed.
    pub fn unavailable(code: &'static str, detail: Said, retry_after: Duration) -> Self {
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// 500: our fault. `private` says what happened.
    pub fn internal(private: impl Into<String>) -> Self {
        let mut problem =
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", Said::of(Words::errors_internal));
        problem.private = Some(private.into());
        problem
    }

    /// Adds a header.
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds the private cause.
    pub fn because(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }

    /// Adds a member to the document.
    pub fn with_member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Takes the refusal out of its box.
    pub fn into_refusal(self) -> Refusal {
        *self.0
    }

    /// Renders `application/problem+json`.
    pub fn to_json(&self, request_id: &str) -> serde_json::Value {
        let mut document = self.members.clone();
        document.insert("type".into(), "about:blank".into());
        document.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        document.insert("status".into(), self.status.as_u16().into());
        document.insert("code".into(), self.code.into());
        document.insert("detail".into(), self.detail.english().into());
        document.insert("request_id".into(), request_id.into());
        if let Some(wait) = self.retry_after {
            document.insert("retry_after".into(), seconds_rounded_up(wait).into());
        }
        if !self.fields.is_empty() {
            let fields: serde_json::Map<String, serde_json::Value> = self
                .fields
                .iter()
                .map(|(field, text)| ((*field).to_owned(), text.english().into()))
                .collect();
            document.insert("fields".into(), fields.into());
        }
        document.into()
    }
}

/// Returns whole seconds, rounded up, as `Retry-After` wants them.
pub fn seconds_rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
