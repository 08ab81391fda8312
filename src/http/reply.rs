//! A response as handlers make it. It becomes bytes only in `headers::finish`, which adds the security headers, so no
//! response can leave without them (WEB-08).

use askama::Template;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Problem;
use super::cookies::SetCookie;

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers beyond the ones every response gets. `Cache-Control: no-store` is added unless one is set here.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Origins that forms of this page may lead to beyond our own (WEB-07), such as the app to return to.
    pub form_targets: Vec<String>,
    /// Origins that scripts of this page may fetch from beyond our own, such as the address the wizard probes.
    pub connect_targets: Vec<String>,
    /// Whether scripts of this page compile WebAssembly (argon2id in the browser).
    pub runs_wasm: bool,
    /// Whether a proxy may hand this answer on in the name of another host, as with forward-auth. What binds a
    /// browser to HTTPS for a year (HSTS) is then left to that host.
    pub is_for_other_host: bool,
    /// Whether the answer ends at a reverse proxy that asked for a decision; no browser sees its headers.
    pub is_for_proxy: bool,
}

impl Reply {
    /// Answers with a status and nothing else.
    pub fn empty(status: StatusCode) -> Self {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            form_targets: Vec::new(),
            connect_targets: Vec::new(),
            runs_wasm: false,
            is_for_other_host: false,
            is_for_proxy: false,
        }
    }

    /// Tells whether the answer is data and no page.
    pub(super) fn is_data(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        matches!(kind, Some(b"application/json" | b"application/problem+json"))
    }

    /// Answers 204.
    pub fn no_content() -> Self {
        Reply::empty(StatusCode::NO_CONTENT)
    }

    /// Answers with JSON.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Room for most answers, so that the text does not move while it grows.
        let mut body = Vec::with_capacity(768);
        match serde_json::to_writer(&mut body, value) {
            Ok(()) => Reply::bytes(status, "application/json", body),
            Err(_) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Answers with a page. Templates escape what people typed.
    pub fn html(status: StatusCode, page: &impl Template) -> Result<Self, Problem> {
        let body = page.render().map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Reply::bytes(status, "text/html; charset=utf-8", body.into_bytes()))
    }

    /// Answers with bytes of a fixed content type.
    pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Reply::empty(status);
        reply.body = body.into();
        reply.set(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
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

    /// Sets a header.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets a header; for chaining.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
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
