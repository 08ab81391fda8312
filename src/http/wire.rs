//! The byte stream between socket and hyper. It hands over one judged head and its body at a time, answers heads that
//! it refuses itself (with the security headers), drops header lines with underscores, and keeps the clocks of idle
//! connections, slow heads and slow readers (INP-01, INP-03).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::head::{self, Framing, Refusal};

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
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Requests whose handler runs at the moment.
    pub in_flight: AtomicUsize,
    /// Set when the answer under way must be the last, because what follows on the wire cannot be trusted to be a head.
    pub is_last: AtomicBool,
    /// Whether the last head had names with an underscore, which were taken out.
    pub had_underscores: AtomicBool,
}

/// Where the next unread byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Head,
    Body(u64),
    UntilClose,
    Refused,
}

/// What the timer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    None,
    Idle,
    Head,
}

/// A socket whose heads are judged. Generic so that tests need no socket.
pub(super) struct Wire<S> {
    socket: S,
    flow: Arc<Flow>,
    patience: Patience,
    buffer: BytesMut,
    /// How much of `buffer` hyper may have.
    approved: usize,
    /// How much of `buffer` has been searched for the end of the head.
    scanned: usize,
    mode: Mode,
    /// Why the head at the front of `buffer` is refused, while an answer is under way.
    waiting_refusal: Option<Refusal>,
    phase: Phase,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

const READ_SIZE: usize = 4 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a fresh connection; its first head is due now.
    pub(super) fn new(socket: S, flow: Arc<Flow>, patience: Patience) -> Self {
        Wire {
            socket,
            flow,
            patience,
            buffer: BytesMut::new(),
            approved: 0,
            scanned: 0,
            mode: Mode::Head,
            waiting_refusal: None,
            phase: Phase::Head,
            deadline: Instant::now() + patience.head,
            timer: None,
            write_timer: None,
        }
    }

    /// Decides how much of the buffer hyper may have. Tells whether there is something.
    fn approve(&mut self) -> Result<bool, Refusal> {
        match self.mode {
            Mode::Head => {
                // One empty line before a request is tolerated (RFC 9112 section 2.2).
                if self.scanned == 0 && self.buffer.starts_with(b"\r\n") {
                    self.buffer.advance(2);
                }
                if self.buffer.is_empty() {
                    return Ok(false);
                }
                let Some(end) = head::find_end(&self.buffer, self.scanned)? else {
                    self.scanned = self.buffer.len();
                    return Ok(false);
                };
                let sound = head::judge(self.buffer.get(..end).unwrap_or_default())?;
                self.scanned = 0;
                self.approved = end - self.drop_lines(end, &sound.underscored);
                self.mode = match sound.framing {
                    Framing::Length(0) => Mode::Head,
                    Framing::Length(length) => Mode::Body(length),
                    Framing::Chunked => {
                        self.flow.is_last.store(true, Ordering::Relaxed);
                        Mode::UntilClose
                    }
                };
                self.phase = Phase::None;
            }
            Mode::Body(left) => {
                let here = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX).min(left);
                self.approved = usize::try_from(here).unwrap_or(0);
                self.mode = if here == left { Mode::Head } else { Mode::Body(left - here) };
            }
            Mode::UntilClose => self.approved = self.buffer.len(),
            Mode::Refused => return Ok(false),
        }
        Ok(self.approved > 0)
    }

    /// Takes lines out of the head of `end` bytes at the front of the buffer. Returns how many bytes went.
    fn drop_lines(&mut self, end: usize, lines: &[std::ops::Range<usize>]) -> usize {
        self.flow.had_underscores.store(!lines.is_empty(), Ordering::Relaxed);
        if lines.is_empty() {
            return 0;
        }
        let mut kept = BytesMut::with_capacity(self.buffer.len());
        let mut from = 0;
        for line in lines {
            kept.extend_from_slice(self.buffer.get(from..line.start).unwrap_or_default());
            from = line.end;
        }
        kept.extend_from_slice(self.buffer.get(from..).unwrap_or_default());
        let gone = self.buffer.len() - kept.len();
        self.buffer = kept;
        gone.min(end)
    }

    /// Checks the clock that runs at the moment; called before waiting for bytes.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wanted = match self.mode {
            Mode::Head if self.buffer.is_empty() && self.phase != Phase::Head => Phase::Idle,
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
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.deadline {
                if self.flow.in_flight.load(Ordering::Relaxed) == 0 {
                    return Poll::Ready(());
                }
                self.deadline = now + self.patience.idle;
            }
            timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Tells whether an answer is being made, or waits for the peer to take it.
    fn is_answering(&self) -> bool {
        self.flow.in_flight.load(Ordering::Relaxed) > 0 || self.write_timer.is_some()
    }

    /// Answers a refused head as far as the socket takes it at once, and drains what the peer has sent so far, so
    /// that closing does not cut the answer off.
    fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) {
        self.mode = Mode::Refused;
        let mut answer = answer_to(refusal).as_bytes();
        while !answer.is_empty() {
            match Pin::new(&mut self.socket).poll_write(cx, answer) {
                Poll::Ready(Ok(written)) if written > 0 => answer = answer.get(written..).unwrap_or_default(),
                _ => break,
            }
        }
        let _ = Pin::new(&mut self.socket).poll_shutdown(cx);
        for _ in 0..16 {
            self.buffer.clear();
            self.buffer.reserve(READ_SIZE);
            let mut read = std::pin::pin!(self.socket.read_buf(&mut self.buffer));
            if !matches!(read.as_mut().poll(cx), Poll::Ready(Ok(1..))) {
                break;
            }
        }
        self.buffer = BytesMut::new();
    }

    /// Idle time counts from the last bytes of an answer, not from the end of the request.
    fn restart_idle_time(&mut self) {
        if self.phase == Phase::Idle {
            self.deadline = Instant::now() + self.patience.idle;
        }
    }

    fn poll_write_clock<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
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

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        loop {
            if wire.approved > 0 {
                let count = wire.approved.min(out.remaining());
                out.put_slice(wire.buffer.get(..count).unwrap_or_default());
                wire.buffer.advance(count);
                wire.approved -= count;
                return Poll::Ready(Ok(()));
            }
            if wire.mode == Mode::Refused {
                return Poll::Ready(Ok(()));
            }
            match wire.waiting_refusal.take().map_or_else(|| wire.approve(), Err) {
                Ok(true) => continue,
                Ok(false) => {}
                // It is answered in its turn: when all that came before has been.
                Err(refusal) if wire.is_answering() => {
                    wire.waiting_refusal = Some(refusal);
                    ready!(wire.poll_clock(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Err(refusal) => {
                    wire.refuse(refusal, cx);
                    return Poll::Ready(Ok(()));
                }
            }
            wire.buffer.reserve(READ_SIZE);
            let read = {
                let mut read = std::pin::pin!(wire.socket.read_buf(&mut wire.buffer));
                read.as_mut().poll(cx)
            };
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(wire.poll_clock(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.restart_idle_time();
        let result = Pin::new(&mut wire.socket).poll_write(cx, bytes);
        wire.poll_write_clock(cx, result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut wire.socket).poll_flush(cx);
        let result = wire.poll_write_clock(cx, result);
        // Nothing else wakes the connection for a refusal whose turn has come: its bytes have been read long ago.
        if wire.waiting_refusal.is_some() && !wire.is_answering() {
            cx.waker().wake_by_ref();
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.mode == Mode::Refused {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut wire.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.restart_idle_time();
        let result = Pin::new(&mut wire.socket).poll_write_vectored(cx, slices);
        wire.poll_write_clock(cx, result)
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
    format!(
        "HTTP/1.1 {status_line}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{extra}{}\r\n{body}",
        body.len(),
        super::headers::as_text(),
    )
}
