//! A TCP connection whose bytes go by bare system calls. The C library's `recv` and `send` are points where POSIX lets
//! a thread be cancelled, and to watch over that costs more than the look for what has arrived.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// An open connection.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Socket(stream)
    }

    /// Reads what has arrived, as far as there is room. Returns how many bytes; none at the end of the stream.
    pub(super) fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let received = self.at_once(Interest::READABLE, room.len(), || {
                Ok(recv(&self.0, &mut *room, RecvFlags::empty())?.1)
            });
            if let Some(received) = received {
                return Poll::Ready(received);
            }
        }
    }

    /// Sends as many of `bytes` as the socket takes. Returns how many.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Nearly always there is room, so that is asked only afterwards.
            let sent = self
                .at_once(Interest::WRITABLE, bytes.len(), || Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?));
            if let Some(sent) = sent {
                return Poll::Ready(sent);
            }
            ready!(self.0.poll_write_ready(cx))?;
        }
    }

    /// Moves up to `wanted` bytes without waiting; `None` if it has to wait after all.
    fn at_once(
        &self,
        interest: Interest,
        wanted: usize,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let mut moved = 0;
        let outcome = self.0.try_io(interest, || {
            moved = call()?;
            // Fewer than wanted says that the next call would have to wait (epoll(7), question 9), so it need not be made.
            if moved > 0 && moved < wanted { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => (moved > 0).then_some(Ok(moved)),
            outcome => Some(outcome.map(|()| moved)),
        }
    }

    /// Ends the sending side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
