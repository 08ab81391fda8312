//! One connection: hyper on a [`Wire`], and for each request that the wire does not answer itself the way over its body to
//! the [`Reply`], and to the response that hyper frames.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::sync::watch;
use tokio::task::coop::unconstrained;

use super::arrival::{Arrival, Reception, panicked};
use super::headers::finish;
use super::reply::Payload;
use super::server::{Handler, LARGE_BODY, RouteId, RouteLimits, STRANGERS_BODY, Shared};
use super::socket::Socket;
use super::wire::{Flow, Patience, Wire};
use super::{Problem, Reply, Request, RequestHeaders};
use crate::words::{Said, Words, english_only, said};

/// Serves one connection until it ends, or, once `stopped` says so, until the request under way is answered.
pub(super) async fn run(
    socket: Socket,
    peer: SocketAddr,
    shared: Arc<Shared>,
    patience: Patience,
    mut stopped: watch::Receiver<()>,
) {
    let flow = Arc::new(Flow::default());
    let wire = Wire::new(socket, Reception { shared: shared.clone(), peer }, flow.clone(), patience);
    let service = service_fn(move |request| respond(&shared, request, &flow));
    let connection = http1::Builder::new()
        // The wire keeps the time of heads: hyper's own clock would also end idle connections after ten seconds.
        .header_read_timeout(None)
        .max_buf_size(super::head::MAX_HEAD)
        // Answers are small: one buffer for head and body costs the kernel less than two that it must gather.
        .writev(false)
        // Not max_headers: the wire has counted them, and a limit of hyper's own costs an allocation a request.
        .serve_connection(wire, service);
    let mut connection = std::pin::pin!(connection);
    // The sender says nothing; it is dropped when the server stops.
    let stop = stopped.clone();
    let mut stopping = std::pin::pin!(unconstrained(stopped.changed()));
    let mut is_watching = false;
    // By hand, because this runs several times a request: to be woken once it is enough to have asked once, as the task
    // stays the same (but asked outside of its budget, or nobody listens), and to look whether the server stops costs next
    // to nothing.
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if !is_watching {
            is_watching = true;
            let _ = stopping.as_mut().poll(cx);
        }
        if stop.has_changed().is_err() { Poll::Ready(None) } else { Poll::Pending }
    });
    let ended = match ended.await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Counts a request as under way until dropped, also when hyper drops it half-way.
pub(super) struct UnderWay(Arc<Flow>);

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

/// A response, made or in the making. Small, because hyper moves it: what takes time lives in a box of its own, and
/// what takes none needs no box.
enum Responding {
    Made(Option<Response<Payload>>),
    InTheMaking(Pin<Box<dyn Future<Output = Response<Payload>> + Send>>),
}

impl Future for Responding {
    type Output = Result<Response<Payload>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // Polled once more after it was ready, which hyper never does, it would wait for ever.
            Responding::Made(response) => response.take().map_or(Poll::Pending, |made| Poll::Ready(Ok(made))),
            Responding::InTheMaking(work) => work.as_mut().poll(cx).map(Ok),
        }
    }
}

fn respond(shared: &Arc<Shared>, request: http::Request<Incoming>, flow: &Arc<Flow>) -> Responding {
    flow.is_due.store(true, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let Some(arrival) = flow.past_hyper.lock().begin(parts.headers) else {
        tracing::error!("a request came that had not arrived");
        let reply = Reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
        let response = make(reply, false, RequestHeaders::default(), flow);
        return Responding::Made(Some(close_after(response, true)));
    };
    let Arrival { request, route, limits, reply } = *arrival;
    let is_last = flow.is_last.load(Ordering::Relaxed);
    if let Some(reply) = reply {
        let mut response = make(reply, request.client.is_https, request.headers, flow);
        response.body_mut().keep(|| UnderWay::start(flow.clone()));
        return Responding::Made(Some(close_after(response, is_last)));
    }
    let under_way = UnderWay::start(flow.clone());
    Responding::InTheMaking(work(shared.clone(), route, request, body, limits, is_last, under_way))
}

/// Reads the body, then lets the handler take its time.
fn work(
    shared: Arc<Shared>,
    route: RouteId,
    mut request: Request,
    mut body: Incoming,
    limits: RouteLimits,
    is_last: bool,
    under_way: UnderWay,
) -> Pin<Box<dyn Future<Output = Response<Payload>> + Send>> {
    // What comes of it after the answer was made would be taken for a head.
    let has_unread_body = limits.is_body_ignored && !body.is_end_stream();
    // A block, because an `async fn` would hold each argument twice.
    Box::pin(async move {
        let (reply, must_close) = match shared.handler.admit(route, &request) {
            // What is left of the body is not worth reading.
            Some(reply) => (reply, true),
            None => match read_body(&shared, &request.headers, &mut body, limits).await {
                Ok(body) => {
                    request.body = body;
                    (answer(&*shared.handler, route, &mut request, limits.deadline).await, is_last)
                }
                Err(problem) => (shared.handler.refuse(route, &request, problem), true),
            },
        };
        let mut response = make(reply, request.client.is_https, request.headers, &under_way.0);
        response.body_mut().keep(|| under_way);
        close_after(response, must_close || has_unread_body)
    })
}

/// Turns a reply into a response that hyper writes next. `headers` are those of the request.
fn make(reply: Reply, is_https: bool, headers: RequestHeaders, flow: &Flow) -> Response<Payload> {
    let (mut response, answer) = finish(reply, is_https);
    *response.headers_mut() = flow.past_hyper.lock().end(headers, answer);
    response
}

/// Says that the connection ends with this response, if it does.
fn close_after(mut response: Response<Payload>, must_close: bool) -> Response<Payload> {
    if must_close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn too_slow() -> Problem {
    Problem::unavailable("deadline", Said::of(Words::errors_deadline), Duration::from_secs(5))
        .because("the handler passed its deadline")
}

/// Runs the handler: a panic is one 500 (INP-09), the deadline one 503. A handler that need not wait never touches a
/// timer.
async fn answer(handler: &dyn Handler, route: RouteId, request: &mut Request, deadline: Duration) -> Reply {
    let problem = {
        // The call itself happens inside the future too, so its panics are caught as well.
        let mut work = std::pin::pin!(async { handler.handle(route, &mut *request).await });
        let mut timer = None;
        let outcome = poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(Poll::Ready(reply)) => return Poll::Ready(Ok(reply)),
                Ok(Poll::Pending) => {}
                Err(_) => return Poll::Ready(Err(panicked())),
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(deadline)));
            timer.as_mut().poll(cx).map(|()| Err(too_slow()))
        });
        match outcome.await {
            Ok(reply) => return reply,
            Err(problem) => problem,
        }
    };
    handler.refuse(route, request, problem)
}

/// Reads the body within the route's limits (INP-02).
async fn read_body(
    shared: &Shared,
    headers: &RequestHeaders,
    body: &mut Incoming,
    limits: RouteLimits,
) -> Result<Bytes, Problem> {
    if limits.is_body_ignored {
        return Ok(Bytes::new());
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            english_only("Doorward takes no compressed requests. Send it without Content-Encoding."),
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
        let places =
            if limits.body > STRANGERS_BODY { &shared.large_bodies } else { &shared.strangers_bodies };
        match Box::pin(tokio::time::timeout(Duration::from_secs(2), places.acquire())).await {
            Ok(Ok(place)) => Some(place),
            _ => {
                return Err(Problem::unavailable(
                    "busy",
                    Said::of(Words::errors_too_many_uploads),
                    Duration::from_secs(5),
                ));
            }
        }
    } else {
        None
    };
    let extra = Duration::from_secs(u64::try_from(expected / (16 * 1024)).unwrap_or(u64::MAX));
    let mut collected = std::pin::pin!(collect(body, limits.body));
    // A body that came with its head needs no timer.
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(collected.as_mut().poll(cx))).await {
        return result;
    }
    match Box::pin(tokio::time::timeout(shared.settings.body_timeout + extra, collected)).await {
        Ok(result) => result,
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", Said::of(Words::errors_body_late)))
        }
    }
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::bad_request("incomplete_body", Said::of(Words::errors_body_cut))
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
        said(move |t| t.errors_body_too_large(limit)),
    )
}
