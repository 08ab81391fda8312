//! A response as handlers make it. It goes out only by `AnswerHeaders::of`, which says what security headers it must have,
//! so no response can leave without them (WEB-08).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use askama::Template;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;

use super::connection::UnderWay;
use super::cookies::SetCookie;
use super::headers::WrittenHeaders;
use super::rate::{RateFields, RateStanding};
use super::{Fields, Problem};
use crate::limits::Verdict;

type Next = dyn FnMut() -> Result<Option<Bytes>, Problem> + Send + Sync;

/// What is sent at a time of an answer that may be broken off.
const PIECE: usize = 256 * 1024;

/// What follows a body.
pub(super) struct Rest {
    next: Box<Next>,
    /// How many bytes are still to come, where that is known.
    left: Option<u64>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

/// The body of a response on its way.
#[derive(Default)]
pub struct Payload {
    whole: Bytes,
    rest: Option<Box<Rest>>,
    /// Whether the last that was asked of the rest gave something.
    has_given: bool,
    /// The request counts as under way as long as there is a rest.
    under_way: Option<UnderWay>,
}

impl Payload {
    pub(super) fn new(whole: Bytes, rest: Option<Box<Rest>>) -> Self {
        Payload { whole, rest, has_given: false, under_way: None }
    }

    /// Keeps a request under way until everything is sent.
    pub(super) fn keep(&mut self, under_way: impl FnOnce() -> UnderWay) {
        if self.rest.is_some() {
            self.under_way = Some(under_way());
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if !this.whole.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.whole)))));
        }
        let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
        // Between two pieces other requests have their turn, however quickly this one is read.
        if std::mem::take(&mut this.has_given) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match (rest.next)() {
            Ok(Some(bytes)) if bytes.is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(Some(bytes)) => {
                this.has_given = true;
                rest.left = rest.left.map(|left| left.saturating_sub(bytes.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            ended => {
                this.rest = None;
                this.under_way = None;
                Poll::Ready(ended.err().map(|problem| Err(io::Error::other(problem.detail.to_string()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.left == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.rest.as_ref().map_or(Some(0), |rest| rest.left);
        left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + self.whole.len() as u64))
    }
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The media type of the body; `None` without one.
    pub content_type: Option<&'static str>,
    /// What the rule for requests has left.
    pub(super) rate: Option<RateStanding>,
    /// Headers beyond these and the ones every response gets. `Cache-Control: no-store` is added unless one is set here.
    pub headers: Fields,
    /// The body, or its beginning.
    pub body: Bytes,
    /// What follows the body, made while it is sent.
    pub(super) rest: Option<Box<Rest>>,
    /// Origins that forms of this page may lead to beyond our own (WEB-07), such as the app to return to.
    pub form_targets: Vec<String>,
    /// Origins that scripts of this page may fetch from beyond our own, such as the address the wizard probes.
    pub connect_targets: Vec<String>,
    /// Whether scripts of this page compile WebAssembly (argon2id in the browser).
    pub runs_wasm: bool,
    /// Whether a proxy may hand this answer on in the name of another host, as with forward-auth. What binds a
    /// browser to HTTPS for a year (HSTS) is then left to that host.
    pub is_for_other_host: bool,
    /// What a reverse proxy is told of who asks. Such an answer ends there, so it has no headers that are for browsers.
    pub identity: Option<Arc<WrittenHeaders>>,
}

impl Reply {
    /// Answers with a status and nothing else.
    pub fn empty(status: StatusCode) -> Self {
        Reply {
            status,
            content_type: None,
            rate: None,
            headers: Fields::default(),
            body: Bytes::new(),
            rest: None,
            form_targets: Vec::new(),
            connect_targets: Vec::new(),
            runs_wasm: false,
            is_for_other_host: false,
            identity: None,
        }
    }

    /// Returns the first value of a header that the answer sets itself, but for its content type and what is left of a rule.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name).or_else(|| self.identity.as_ref()?.get(name))
    }

    /// Tells whether the answer is data and no page.
    pub(super) fn is_data(&self) -> bool {
        matches!(self.content_type, Some("application/json" | "application/problem+json"))
    }

    /// Answers 204.
    pub fn no_content() -> Self {
        Reply::empty(StatusCode::NO_CONTENT)
    }

    /// Answers with JSON.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let mut body = Self::room_for_json();
        let outcome = serde_json::to_writer(&mut body, value);
        Self::written(status, body, outcome)
    }

    /// Answers with a JSON document. Unlike [`Reply::json`], which is compiled for the room that calls it, this one is
    /// compiled here, where it is fast.
    pub fn document(status: StatusCode, document: &serde_json::Value) -> Self {
        let mut body = Self::room_for_json();
        let outcome = serde_json::to_writer(&mut body, document);
        Self::written(status, body, outcome)
    }

    /// Room for most answers, so that the text does not move while it grows.
    fn room_for_json() -> Vec<u8> {
        Vec::with_capacity(768)
    }

    fn written(status: StatusCode, body: Vec<u8>, outcome: serde_json::Result<()>) -> Self {
        match outcome {
            Ok(()) => Reply::bytes(status, "application/json", body),
            Err(_) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Answers with a page. Templates escape what people typed.
    pub fn html(status: StatusCode, page: &impl Template) -> Result<Self, Problem> {
        Reply::rendered(status, page.render())
    }

    fn rendered(status: StatusCode, page: askama::Result<String>) -> Result<Self, Problem> {
        let body = page.map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Reply::bytes(status, "text/html; charset=utf-8", body.into_bytes()))
    }

    /// Answers with bytes of a fixed content type.
    pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Reply::empty(status);
        reply.body = body.into();
        reply.content_type = Some(content_type);
        reply
    }

    /// Answers a file to keep. Its name is one of ours, so it needs no quoting.
    pub fn file(name: &str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Reply::bytes(StatusCode::OK, content_type, body);
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            reply.set(header::CONTENT_DISPOSITION, value);
        }
        reply
    }

    /// Answers 303 See Other: the next request is a GET (OA-07).
    pub fn see_other(location: &str) -> Self {
        let mut reply = Reply::empty(StatusCode::SEE_OTHER);
        if let Ok(location) = HeaderValue::from_str(location) {
            reply.set(header::LOCATION, location);
        }
        reply
    }

    /// Says what the rule for requests has left, unless the answer tells of a stricter one.
    pub fn tell_rate(&mut self, fields: &RateFields, verdict: &Verdict) {
        if !self.headers.contains_key("ratelimit") {
            self.rate = Some(fields.standing(verdict));
        }
    }

    /// Sets a header.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets a header; for chaining.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends what `next` returns behind the body, until it returns nothing. It is asked for more only when the other
    /// end has room, so a long answer takes little memory; bytes may be none. An error breaks the answer off.
    pub fn followed_by(
        mut self,
        next: impl FnMut() -> Result<Option<Bytes>, Problem> + Send + Sync + 'static,
    ) -> Self {
        self.rest = Some(Box::new(Rest { next: Box::new(next), left: None }));
        self
    }

    /// Sends the body and what follows it only as long as `may` says so, which is asked before each piece. An error breaks
    /// the answer off.
    pub fn as_long_as(mut self, may: impl Fn() -> Result<(), Problem> + Send + Sync + 'static) -> Self {
        let (mut whole, mut rest) = (std::mem::take(&mut self.body), self.rest.take());
        let left = rest.is_none().then_some(whole.len() as u64);
        let next = move || {
            may()?;
            if whole.is_empty() {
                return rest.as_mut().map_or(Ok(None), |rest| (rest.next)());
            }
            Ok(Some(whole.split_to(whole.len().min(PIECE))))
        };
        self.rest = Some(Box::new(Rest { next: Box::new(next), left }));
        self
    }

    /// Adds a cookie.
    pub fn with_cookie(mut self, cookie: SetCookie) -> Self {
        if let Ok(value) = HeaderValue::from_str(&cookie.to_header()) {
            self.headers.append(header::SET_COOKIE, value);
        }
        self
    }

    /// Lets the forms of this page lead to `origin` after a redirect.
    pub fn with_form_target(mut self, origin: String) -> Self {
        self.form_targets.push(origin);
        self
    }

    /// Lets the scripts of this page fetch from `origin`.
    pub fn with_connect_target(mut self, origin: String) -> Self {
        self.connect_targets.push(origin);
        self
    }

    /// Lets the scripts of this page compile WebAssembly.
    pub fn with_wasm(mut self) -> Self {
        self.runs_wasm = true;
        self
    }

    /// Marks an answer that a proxy may hand on in the name of another host.
    pub fn for_other_host(mut self) -> Self {
        self.is_for_other_host = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RES-04: whoever reads a long answer as fast as it can be made does not keep all others waiting.
    #[test]
    fn between_two_pieces_others_have_their_turn() {
        let mut left = 3;
        let reply = Reply::no_content().followed_by(move || {
            left -= 1;
            Ok((left >= 0).then(|| Bytes::from_static(b"piece")))
        });
        let mut payload = Payload::new(Bytes::from_static(b"first"), reply.rest);
        let mut seen = String::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        loop {
            match Pin::new(&mut payload).poll_frame(&mut context) {
                Poll::Ready(Some(frame)) => seen.push(if frame.is_ok() { 'r' } else { 'e' }),
                Poll::Ready(None) => break,
                Poll::Pending => seen.push('p'),
            }
        }
        assert_eq!(seen, "rrprprp");
    }
}
