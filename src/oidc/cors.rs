//! Which scripts of other origins may read answers (WEB-06): public documents everybody's, answers of the token endpoint
//! and userinfo those of registered clients. Never with cookies, which play no part at these endpoints.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Oidc;
use crate::http::{Problem, Reply, Request};

const ANYBODY: HeaderValue = HeaderValue::from_static("*");

/// Lets every origin read a public document.
pub(super) fn allow_anybody(mut reply: Reply) -> Reply {
    reply.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    reply.set(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    reply
}

impl Oidc {
    /// Lets the origin of a registered client read an answer.
    pub(super) fn allow_client_origin(&self, request: &Request, mut reply: Reply) -> Reply {
        reply.headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let origin =
            request.header(&header::ORIGIN).ok().flatten().filter(|origin| self.is_client_origin(origin));
        if let Some(value) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
            reply.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
            reply.set(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, Retry-After"),
            );
            let policy = HeaderName::from_static("cross-origin-resource-policy");
            reply.set(policy, HeaderValue::from_static("cross-origin"));
        }
        reply
    }
}

/// `OPTIONS` of the endpoints that scripts may call: what a browser asks before it sends the request itself.
pub async fn preflight(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    let reply = room.allow_client_origin(request, Reply::empty(StatusCode::NO_CONTENT));
    if !reply.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        return Ok(reply);
    }
    Ok(reply
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"))
        .with(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Authorization, Content-Type, DPoP"),
        )
        .with(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")))
}
