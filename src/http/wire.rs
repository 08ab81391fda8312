//! The byte stream between socket and hyper. A request that can be answered at once is answered here, and hyper never learns
//! of it; nor does it of heads that are refused. Any other one it is handed with its body, one at a time, but of its header
//! fields and of those of its answer it sees only what frames them (WEB-08). The clocks of idle connections, slow heads and
//! slow readers are kept here too (INP-01, INP-03).

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, header};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

use super::answer::{self, Date};
use super::arrival::{Arrival, Reception};
use super::buffer::Buffer;
use super::head::{self, Framing, Head, Refusal};
use super::headers::AnswerHeaders;
use super::request_headers::RequestHeaders;
use super::socket::Socket;

/// How long the ends of a connection may take. Idle and head times are separate: a proxy keeps connections open
/// between requests, but nobody needs ten seconds for one head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a head (or from the start of the connection) to its last.
    pub head: Duration,
    /// From one answer to the next head.
    pub idle: Duration,
    /// For the peer to take some bytes of an answer.
    pub write: Duration,
}

/// What the wire and the service of one connection know of each other.
#[derive(Default)]
pub(super) struct Flow {
    /// Requests whose handler runs at the moment.
    pub in_flight: AtomicUsize,
    /// Whether hyper has come with a request and nothing has been sent since.
    pub is_due: AtomicBool,
    /// What they hand each other past hyper.
    pub past_hyper: Mutex<PastHyper>,
    /// Set when the answer under way must be the last, because what follows on the wire cannot be trusted to be a head.
    pub is_last: AtomicBool,
}

/// What does not go through hyper.
#[derive(Default)]
pub(super) struct PastHyper {
    /// The request whose head hyper has been given, until hyper comes to the service with it. It belongs to that head and to
    /// no other: many people may share the connection of one proxy.
    request: Option<Box<Arrival>>,
    /// Room for the fields of the next one.
    spare: RequestHeaders,
    /// Room for what hyper sees of the next one. It takes it back with the answer.
    spare_map: HeaderMap,
    /// The fields of the answer that is to be sent next.
    answer: AnswerHeaders,
    /// Whether an answer was made while another one had not begun to be sent, so that nobody knows which one comes next.
    is_mixed_up: bool,
}

impl PastHyper {
    /// Returns the request that hyper comes with, of which it saw the fields in `map`. It comes once for each head; one that
    /// did not arrive is nobody's.
    pub(super) fn begin(&mut self, mut map: HeaderMap) -> Option<Box<Arrival>> {
        if map.len() <= MOST_SPARE {
            map.clear();
            self.spare_map = map;
        }
        self.request.take()
    }

    /// Tells whether hyper is to come with no request, and with no answer.
    fn is_idle(&self) -> bool {
        self.request.is_none() && !self.answer.is_due() && !self.is_mixed_up
    }

    /// Takes the fields of an answer that hyper is going to send, and those of its request, whose memory serves again. Returns
    /// an empty map for that answer.
    pub(super) fn end(&mut self, mut request: RequestHeaders, answer: AnswerHeaders) -> HeaderMap {
        self.is_mixed_up |= self.answer.is_due();
        self.answer = answer;
        request.clear();
        self.spare = request;
        std::mem::take(&mut self.spare_map)
    }
}

/// Where the next unread byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Head,
    Body(u64),
    UntilClose,
    Refused,
}

/// Who answers the next request. Two at a time would mix the bytes of two answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// We may: hyper is rid of every byte of every answer.
    Ours,
    /// hyper, until that is so again.
    Hypers,
    /// hyper, as the other end has a say in whether the connection stays open.
    HypersForGood,
}

/// How far it went with what has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// More has to arrive.
    Wait,
    /// hyper may have something.
    Approved,
    /// An answer is to be sent.
    Answered,
}

/// What the timer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    None,
    Idle,
    Head,
}

/// A socket whose heads are judged.
pub(super) struct Wire {
    socket: Socket,
    reception: Reception,
    flow: Arc<Flow>,
    patience: Patience,
    buffer: Buffer,
    /// How much of `buffer` hyper may have.
    approved: usize,
    /// How much of `buffer` is known not to make a whole head.
    seen: usize,
    mode: Mode,
    turn: Turn,
    /// Room for the header fields of the next request.
    spare: RequestHeaders,
    date: Date,
    /// Whether the next head has to wait until an answer has been taken.
    is_held: bool,
    /// What the socket has not taken of an answer of ours, or of what hyper has handed over: the head of an answer and at most
    /// `MOST_AT_ONCE` behind it. Empty, it is room for the next one.
    rest: Vec<u8>,
    phase: Phase,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Wraps a fresh connection; its first head is due now.
    pub(super) fn new(socket: Socket, reception: Reception, flow: Arc<Flow>, patience: Patience) -> Self {
        Wire {
            socket,
            reception,
            flow,
            patience,
            buffer: Buffer::default(),
            approved: 0,
            seen: 0,
            mode: Mode::Head,
            turn: Turn::Ours,
            spare: RequestHeaders::default(),
            date: Date::default(),
            is_held: false,
            rest: Vec::new(),
            phase: Phase::Head,
            deadline: Instant::now() + patience.head,
            timer: None,
            write_timer: None,
        }
    }

    /// Looks at what has arrived.
    fn step(&mut self) -> Result<Step, Refusal> {
        match self.mode {
            Mode::Head => return self.take_head(),
            Mode::Body(left) => self.approve_body(left),
            Mode::UntilClose => self.approved = self.buffer.waiting().len(),
            Mode::Refused => {}
        }
        Ok(if self.approved > 0 { Step::Approved } else { Step::Wait })
    }

    fn take_head(&mut self) -> Result<Step, Refusal> {
        // One empty line before a request is tolerated (RFC 9112 section 2.2).
        if self.seen == 0 && self.buffer.waiting().starts_with(b"\r\n") {
            self.buffer.advance(2);
        }
        let waiting = self.buffer.waiting();
        if waiting.is_empty() {
            return Ok(Step::Wait);
        }
        if !self.spare.has_room() {
            self.spare = std::mem::take(&mut self.flow.past_hyper.lock().spare);
        }
        let Some(head) = head::read(waiting, self.seen, &mut self.spare)? else {
            self.seen = waiting.len();
            return Ok(Step::Wait);
        };
        self.seen = 0;
        if self.turn != Turn::Ours && self.flow.past_hyper.lock().request.is_some() {
            tracing::error!("a head was held back: the one before it has not been looked at");
            return Err(Refusal::Malformed);
        }
        let (method, target) = head.request_line(waiting).ok_or(Refusal::Malformed)?;
        let headers = std::mem::take(&mut self.spare);
        let arrival = self.reception.take(method, target, head.framing, headers).ok_or(Refusal::Malformed)?;
        self.phase = Phase::None;
        Ok(match self.answer(head, arrival) {
            None => Step::Answered,
            Some(arrival) => {
                self.hand_over(head, arrival);
                Step::Approved
            }
        })
    }

    /// Writes the answer of a request that has one already, if hyper need not know of either. Else returns the request.
    fn answer(&mut self, head: Head, mut arrival: Arrival) -> Option<Arrival> {
        // Whatever says more of the message or of the connection is hyper's.
        let is_plain = head.is_http_11 && !arrival.request.headers.has_framing();
        if self.turn != Turn::Ours || !is_plain {
            return Some(arrival);
        }
        let Some(reply) = arrival.reply.take_if(|reply| answer::is_short(reply)) else {
            return Some(arrival);
        };
        let mut request = arrival.request;
        let is_https = request.client.is_https;
        answer::write(&mut self.rest, reply, &request.method, is_https, &mut self.date, request.now);
        request.headers.clear();
        self.spare = request.headers;
        self.buffer.advance(head.length);
        None
    }

    /// Lets hyper have a head, with what has come of its body: hyper would make room anew for what comes by itself.
    fn hand_over(&mut self, head: Head, arrival: Arrival) {
        let headers = &arrival.request.headers;
        let is_for_good = !head.is_http_11 || headers.contains_key(header::CONNECTION);
        if is_for_good || self.turn == Turn::HypersForGood {
            self.turn = Turn::HypersForGood;
        } else {
            self.turn = Turn::Hypers;
        }
        self.approved = self.buffer.keep(head.length, head.pieces_from_the_end(headers));
        self.flow.past_hyper.lock().request = Some(Box::new(arrival));
        match head.framing {
            Framing::Length(length) => self.approve_body(length),
            Framing::Chunked => {
                self.flow.is_last.store(true, Ordering::Relaxed);
                self.mode = Mode::UntilClose;
            }
        }
    }

    /// Lets hyper have what is there of a body of which so much is still to come, beside what it may have already.
    fn approve_body(&mut self, left: u64) {
        let here = self.buffer.waiting().len() - self.approved;
        let here = u64::try_from(here).unwrap_or(u64::MAX).min(left);
        self.approved += usize::try_from(here).unwrap_or(0);
        self.mode = if here == left { Mode::Head } else { Mode::Body(left - here) };
    }

    /// Checks the clock that runs at the moment; called whenever it is the other end's turn to send or to read.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wanted = match self.mode {
            // It is our turn, or hyper's.
            Mode::Head if self.approved > 0 || self.is_answering() => Phase::None,
            Mode::Head if self.buffer.waiting().is_empty() && self.phase != Phase::Head => Phase::Idle,
            Mode::Head => Phase::Head,
            _ => Phase::None,
        };
        if wanted == Phase::None {
            return Poll::Pending;
        }
        if wanted != self.phase {
            let allowed = if wanted == Phase::Idle { self.patience.idle } else { self.patience.head };
            self.deadline = Instant::now() + allowed;
            self.phase = wanted;
        }
        // The timer may lag behind the deadline: setting it anew for every request would cost more than waking once
        // too early now and then. It must never lie beyond the deadline.
        let deadline = self.deadline;
        let is_new = self.timer.is_none();
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        // One task has the connection for all of its life, so the timer knows whom to wake since it was polled first.
        if !is_new && !timer.is_elapsed() {
            return Poll::Pending;
        }
        // To a task that has used up its turn a timer would not even listen.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Takes the turn back from hyper when it flushes. It does so only when it has nothing left of what it was to send; unless
    /// a request or an answer is still under way, nothing more will come. After the last answer of a connection this does no
    /// harm, as hyper never reads another head.
    fn end_turn(&mut self) {
        if self.turn == Turn::Hypers && !self.is_answering() && self.flow.past_hyper.lock().is_idle() {
            self.turn = Turn::Ours;
        }
    }

    /// Tells whether an answer is being made, or waits for the peer to take it.
    fn is_answering(&self) -> bool {
        self.flow.in_flight.load(Ordering::Relaxed) > 0
            || self.flow.is_due.load(Ordering::Relaxed)
            || self.write_timer.is_some()
    }

    /// Answers a refused head as far as the socket takes it at once, and drains what the peer has sent so far, so
    /// that closing does not cut the answer off.
    fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) {
        self.mode = Mode::Refused;
        // A task that has used up its turn may finish here all the same: it never comes back to it.
        let said = poll_fn(|cx| {
            self.say(refusal, cx);
            Poll::Ready(())
        });
        let _ = pin!(unconstrained(said)).poll(cx);
    }

    fn say(&mut self, refusal: Refusal, cx: &mut Context<'_>) {
        let mut answer = answer_to(refusal).as_bytes();
        while !answer.is_empty() {
            match self.socket.poll_send(cx, answer) {
                Poll::Ready(Ok(written)) if written > 0 => answer = answer.get(written..).unwrap_or_default(),
                _ => break,
            }
        }
        let _ = self.socket.poll_shutdown(cx);
        self.buffer = Buffer::default();
        for _ in 0..16 {
            if !matches!(self.socket.poll_recv(cx, self.buffer.room()), Poll::Ready(Ok(1..))) {
                break;
            }
        }
        self.buffer = Buffer::default();
    }

    /// Takes some of an answer from hyper, and sends it.
    fn poll_answer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.flow.is_due.store(false, Ordering::Relaxed);
        ready!(self.poll_rest(cx))?;
        let headers = {
            let mut past = self.flow.past_hyper.lock();
            if past.is_mixed_up {
                tracing::error!("an answer was held back: two were made at once");
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            std::mem::take(&mut past.answer)
        };
        let taken = if headers.is_due() {
            let Some((before, after)) = split_answer(bytes) else {
                // Rather no answer than one without them.
                tracing::error!("an answer was held back: it does not begin as one");
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            self.rest.extend_from_slice(before);
            headers.write(&mut self.rest);
            let after = after.get(..MOST_AT_ONCE).unwrap_or(after);
            self.rest.extend_from_slice(after);
            before.len() + after.len()
        } else if bytes == CONTINUE {
            // Or hyper might come with the answer behind some of it.
            self.rest.extend_from_slice(bytes);
            bytes.len()
        } else {
            return self.poll_send(cx, bytes);
        };
        // What has been copied is ours, so hyper is rid of it whether or not the socket takes it now.
        match self.poll_rest(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    /// Sends what hyper is rid of.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut rest = std::mem::take(&mut self.rest);
        let mut sent = 0;
        let outcome = loop {
            match self.poll_send(cx, rest.get(sent..).unwrap_or_default()) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
            if sent >= rest.len() {
                break Poll::Ready(Ok(()));
            }
        };
        rest.drain(..sent);
        if rest.is_empty() {
            // What one long answer needed is not kept for the life of the connection.
            rest.shrink_to(USUAL_ANSWER);
        }
        self.rest = rest;
        outcome
    }

    /// Sends some bytes, within the time that the peer has to take some.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.socket.poll_send(cx, bytes);
        if result.is_ready() {
            self.write_timer = None;
            return result;
        }
        let patience = self.patience.write;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// So many requests of one connection are answered before others have their turn.
const MOST_IN_A_ROW: usize = 16;
/// Of a map with more fields than this the memory is not kept.
const MOST_SPARE: usize = 4;
/// The most of a body that is sent together with its head.
const MOST_AT_ONCE: usize = 32 * 1024;
/// The room for an answer that a connection keeps while it waits.
const USUAL_ANSWER: usize = 2 * 1024;

/// What hyper sends to who waits with a body until it is wanted.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Splits the beginning of an answer behind its status line, and behind the one of a 100 (Continue) in front of it that is
/// still to be sent. `None` if it is none.
fn split_answer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = if bytes.starts_with(CONTINUE) { CONTINUE.len() } else { 0 };
    let answer = bytes.get(start..).filter(|answer| answer.starts_with(b"HTTP/1."))?;
    bytes.split_at_checked(start + memchr::memchr(b'\n', answer)? + 1)
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let mut answered = 0;
        loop {
            if wire.approved > 0 {
                let count = wire.approved.min(out.remaining());
                out.put_slice(wire.buffer.waiting().get(..count).unwrap_or_default());
                wire.buffer.advance(count);
                wire.approved -= count;
                return Poll::Ready(Ok(()));
            }
            if wire.mode == Mode::Refused {
                return Poll::Ready(Ok(()));
            }
            // What comes next is answered in its turn: when the answers to all that came before have been taken.
            wire.is_held =
                wire.mode == Mode::Head && !wire.buffer.waiting().is_empty() && wire.is_answering();
            if wire.is_held {
                // A part of a head does not hide that the other end goes away.
                if wire.buffer.waiting().len() >= head::MAX_HEAD || head::has_end(wire.buffer.waiting(), 0) {
                    return Poll::Pending;
                }
            } else {
                match wire.step() {
                    Ok(Step::Approved) => continue,
                    Ok(Step::Answered) => {
                        if let Poll::Ready(Err(error)) = wire.poll_rest(cx) {
                            return Poll::Ready(Err(error));
                        }
                        answered += 1;
                        if answered == MOST_IN_A_ROW {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        continue;
                    }
                    Ok(Step::Wait) => {}
                    Err(refusal) => {
                        wire.refuse(refusal, cx);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            match wire.socket.poll_recv(cx, wire.buffer.room()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(count)) => wire.buffer.add(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(wire.poll_clock(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_answer(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        self.end_turn();
        // Nothing else wakes the connection for a head whose turn has come: its bytes have been read long ago.
        if self.is_held && !self.is_answering() {
            self.is_held = false;
            cx.waker().wake_by_ref();
        }
        // Now it is the other end's turn. Whether hyper looks for its next head only then or has done so before is its own
        // affair.
        if self.poll_clock(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.mode == Mode::Refused {
            return Poll::Ready(Ok(()));
        }
        ready!(wire.poll_rest(cx))?;
        wire.socket.poll_shutdown(cx)
    }
}

/// The answer to a refused head.
fn answer_to(refusal: Refusal) -> &'static str {
    static ANSWERS: LazyLock<[String; 5]> = LazyLock::new(|| {
        [
            answer(
                "400 Bad Request",
                400,
                "malformed_request",
                "This is not HTTP/1.1 as RFC 9112 defines it.",
                "",
            ),
            answer(
                "405 Method Not Allowed",
                405,
                "method_not_allowed",
                "Doorward does not answer this method.",
                "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
            ),
            answer("414 URI Too Long", 414, "uri_too_long", "The address is longer than 16 KiB.", ""),
            answer(
                "431 Request Header Fields Too Large",
                431,
                "headers_too_large",
                "The request has more than 32 KiB or more than 100 headers. Clearing this site's cookies may help.",
                "",
            ),
            answer("505 HTTP Version Not Supported", 505, "http_version", "Doorward speaks HTTP/1.1.", ""),
        ]
    });
    let [malformed, method, target, large, version] = &*ANSWERS;
    match refusal {
        Refusal::Malformed => malformed,
        Refusal::Method => method,
        Refusal::TargetTooLong => target,
        Refusal::HeadTooLarge => large,
        Refusal::Version => version,
    }
}

fn answer(status_line: &str, status: u16, code: &str, detail: &str, extra: &str) -> String {
    let title = status_line.split_once(' ').map_or(status_line, |(_, title)| title);
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"code":"{code}","detail":"{detail}"}}"#
    );
    let mut headers = Vec::new();
    AnswerHeaders::of_refusal().write(&mut headers);
    format!(
        "HTTP/1.1 {status_line}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{extra}{}\r\n{body}",
        body.len(),
        String::from_utf8_lossy(&headers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Client, Reply, Request, RouteId, RouteLimits, TrustedProxies};
    use crate::kernel::ids::RequestId;
    use crate::kernel::time::Timestamp;
    use http::{Method, StatusCode, Uri};

    fn answer() -> AnswerHeaders {
        AnswerHeaders::of(&mut Reply::empty(StatusCode::OK), false)
    }

    fn arrival(headers: RequestHeaders) -> Arrival {
        let peer = ([127, 0, 0, 1], 50_000).into();
        let request = Request {
            method: Method::GET,
            uri: Uri::from_static("/"),
            client: Client::resolve(peer, &headers, &TrustedProxies::default()),
            headers,
            body: bytes::Bytes::new(),
            id: RequestId([0; 16]),
            now: Timestamp::ZERO,
            params: Vec::new(),
        };
        Arrival { request, route: RouteId(0), limits: RouteLimits::body(0), reply: None }
    }

    /// Whatever hyper does: no fields serve twice, and no answer takes the place of another.
    #[test]
    fn the_fields_of_a_request_are_taken_once_and_those_of_two_answers_are_never_mixed_up() {
        let mut past = PastHyper::default();
        assert!(past.begin(HeaderMap::new()).is_none());
        let fields: RequestHeaders = [("cookie", "a")].into_iter().collect();
        past.request = Some(Box::new(arrival(fields.clone())));
        assert!(!past.is_idle());
        assert_eq!(past.begin(HeaderMap::new()).unwrap().request.headers, fields);
        assert!(past.is_idle() && past.begin(HeaderMap::new()).is_none());
        past.end(fields, answer());
        assert_eq!((past.spare.iter().count(), past.is_mixed_up, past.is_idle()), (0, false, false));
        past.end(RequestHeaders::default(), answer());
        assert!(past.is_mixed_up);
    }

    #[test]
    fn the_map_that_hyper_gets_back_is_empty() {
        let mut past = PastHyper::default();
        for count in [1, MOST_SPARE + 1] {
            let names = (0..count).map(|number| format!("x-{number}").parse::<http::HeaderName>().unwrap());
            let seen = names.map(|name| (name, http::HeaderValue::from_static("secret"))).collect();
            let _ = past.begin(seen);
            let map = past.end(RequestHeaders::default(), AnswerHeaders::default());
            assert_eq!((map.len(), map.capacity() > 0), (0, count == 1));
        }
    }
}
