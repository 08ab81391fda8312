//! A request from its judged head on: who asks, for what, and the answer, if it needs no body and nothing to wait for.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Uri, header};

use super::head::Framing;
use super::server::{Handler, RouteId, RouteLimits, Shared};
use super::{Client, Problem, Reply, Request, RequestHeaders};

/// A request whose body has not been read.
pub(super) struct Arrival {
    pub request: Request,
    pub route: RouteId,
    pub limits: RouteLimits,
    /// The answer, if it could be given at once.
    pub reply: Option<Reply>,
}

/// Where the requests of one connection arrive.
pub(super) struct Reception {
    pub shared: Arc<Shared>,
    pub peer: SocketAddr,
}

impl Reception {
    /// Takes in a request, and has it answered if that needs no waiting. `None` if method or target cannot be read.
    pub(super) fn take(
        &self,
        method: &[u8],
        target: &[u8],
        framing: Framing,
        headers: RequestHeaders,
    ) -> Option<Arrival> {
        let method = Method::from_bytes(method).ok()?;
        let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target)).ok()?;
        let settings = &self.shared.settings;
        let client = Client::resolve(self.peer, &headers, &settings.trusted_proxies);
        let (route, limits) = self.shared.handler.route(&method, uri.path());
        let has_no_body = framing == Framing::Length(0) && !headers.contains_key(header::CONTENT_ENCODING);
        let request = Request {
            method,
            uri,
            headers,
            body: Bytes::new(),
            client,
            id: self.shared.request_id(),
            now: settings.clock.now(),
            params: Vec::new(),
        };
        let reply = (limits.is_body_ignored || has_no_body)
            .then(|| answer_at_once(&*self.shared.handler, route, &request))
            .flatten();
        Some(Arrival { request, route, limits, reply })
    }
}

/// Lets the handler answer without waiting for anything. A panic is one 500 (INP-09).
fn answer_at_once(handler: &dyn Handler, route: RouteId, request: &Request) -> Option<Reply> {
    catch_unwind(AssertUnwindSafe(|| handler.handle_at_once(route, request)))
        .unwrap_or_else(|_| Some(handler.refuse(route, request, panicked())))
}

/// What a handler that panicked is answered as.
pub(super) fn panicked() -> Problem {
    Problem::internal("a handler panicked")
}
