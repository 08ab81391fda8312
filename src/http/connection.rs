//! One connection: hyper on a [`Wire`], and for each request the way from bytes to [`Request`] and from [`Reply`] to
//! bytes. Written so that a request without a body costs no allocation beyond its host and its answer.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::headers::finish;
use super::server::{Handler, LARGE_BODY, RequestMeta, RouteLimits, Shared};
use super::wire::{Flow, Patience, Wire};
use super::{Client, Problem, Reply, Request};

/// Serves one connection until it ends, or, once `stopped` says so, until the request under way is answered.
pub(super) async fn run<H: Handler, S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    peer: SocketAddr,
    shared: Arc<Shared<H>>,
    patience: Patience,
    mut stopped: watch::Receiver<()>,
) {
    let flow = Arc::new(Flow::default());
    let wire = Wire::new(socket, flow.clone(), patience);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let shared = shared.clone();
        let under_way = UnderWay::start(flow.clone());
        async move {
            let response = respond(&shared, peer, request, under_way.0.is_last.load(Ordering::Relaxed)).await;
            drop(under_way);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        // The wire keeps the time of heads: hyper's own clock would also end idle connections after ten seconds.
        .header_read_timeout(None)
        .max_buf_size(super::head::MAX_HEAD)
        // Not max_headers: the wire has counted them, and a limit of hyper's own costs an allocation a request.
        .serve_connection(wire, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // The sender says nothing; it is dropped when the server stops.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Counts a request as under way until dropped, also when hyper drops it half-way.
struct UnderWay(Arc<Flow>);

impl UnderWay {
    fn start(flow: Arc<Flow>) -> Self {
        flow.in_flight.fetch_add(1, Ordering::Relaxed);
        UnderWay(flow)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn respond<H: Handler>(
    shared: &Shared<H>,
    peer: SocketAddr,
    request: http::Request<Incoming>,
    is_last: bool,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let client = Client::resolve(peer, &parts.headers, &shared.settings.trusted_proxies);
    let is_https = client.is_https;
    let meta = RequestMeta {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        id: shared.request_id(),
        wants_html: wants_html(&parts.headers),
    };
    let limits = shared.handler.limits(&parts.method, parts.uri.path());
    let (reply, must_close) = match read_body(shared, &parts, body, limits).await {
        Ok(body) => {
            let request = to_request(shared, parts, body, client, &meta);
            (answer(shared, request, &meta, limits.deadline).await, is_last)
        }
        // What is left of the body is not worth reading.
        Err(problem) => (shared.handler.problem(&meta, problem), true),
    };
    let mut response = finish(reply, is_https);
    if must_close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn to_request<H>(
    shared: &Shared<H>,
    parts: request::Parts,
    body: Bytes,
    client: Client,
    meta: &RequestMeta,
) -> Request {
    Request {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body,
        client,
        id: meta.id,
        now: shared.settings.clock.now(),
        params: Vec::new(),
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Runs the handler: a panic is one 500 (INP-09), the deadline one 503. A handler that answers at once, as the
/// forward-auth check does, never touches a timer.
async fn answer<H: Handler>(
    shared: &Shared<H>,
    request: Request,
    meta: &RequestMeta,
    deadline: Duration,
) -> Reply {
    // The call itself happens inside the future too, so its panics are caught as well.
    let mut work = std::pin::pin!(async { shared.handler.handle(request).await });
    let mut guarded =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        });
    let at_once = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll(cx))).await;
    let outcome = match at_once {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => tokio::time::timeout(deadline, guarded).await,
    };
    let problem = match outcome {
        Ok(Ok(reply)) => return reply,
        Ok(Err(Panicked)) => Problem::internal("a handler panicked"),
        Err(_) => Problem::unavailable(
            "deadline",
            "This took too long. Please try again soon.",
            Duration::from_secs(5),
        )
        .because("the handler passed its deadline"),
    };
    shared.handler.problem(meta, problem)
}

struct Panicked;

/// Reads the body within the route's limits (INP-02).
async fn read_body<H>(
    shared: &Shared<H>,
    parts: &request::Parts,
    body: Incoming,
    limits: RouteLimits,
) -> Result<Bytes, Problem> {
    if limits.is_body_ignored {
        return Ok(Bytes::new());
    }
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "Doorward takes no compressed requests. Send it without Content-Encoding.",
        )
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let declared = body.size_hint().exact();
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limits.body)) {
        return Err(too_large(limits.body));
    }
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(limits.body);
    let _place = if expected > LARGE_BODY {
        match tokio::time::timeout(Duration::from_secs(2), shared.large_bodies.acquire()).await {
            Ok(Ok(place)) => Some(place),
            _ => {
                return Err(Problem::unavailable(
                    "busy",
                    "Too many uploads at the same time. Please try again soon.",
                    Duration::from_secs(5),
                ));
            }
        }
    } else {
        None
    };
    let extra = Duration::from_secs(u64::try_from(expected / (16 * 1024)).unwrap_or(u64::MAX));
    match tokio::time::timeout(shared.settings.body_timeout + extra, collect(body, limits.body)).await {
        Ok(result) => result,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The request took too long to arrive.",
        )),
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::bad_request("incomplete_body", "The request ended early or is badly chunked.")
                .because(error.to_string())
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("This address takes at most {limit} bytes."),
    )
}
