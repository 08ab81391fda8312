//! HTTP/1.1 over a connection that stays open, and the control socket, with nothing in between that could retry.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes; who waits longer has lost it.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that arrived whole. It counts as acknowledged.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// Returns a text of the body; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the problem code, `active`, or whatever tells this answer from others.
    pub(super) fn verdict(&self) -> String {
        format!("{} {}", self.status, self.text("code"))
    }

    pub(super) fn is_active(&self) -> bool {
        self.body.get("active").and_then(Value::as_bool).unwrap_or_default()
    }
}

/// A client of the server.
pub(super) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Client { address, stream: None }
    }

    /// Asks; an error means that the answer is lost, and nobody knows what became of the request.
    pub(super) fn post(&mut self, path: &str, bearer: Option<&str>, body: &Value) -> io::Result<Answer> {
        let body = body.to_string();
        let mut head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        if let Some(token) = bearer {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.exchange(head.as_bytes())
    }

    /// Asks whether the process answers at all.
    pub(super) fn is_alive(&mut self) -> bool {
        self.exchange(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .is_ok_and(|answer| answer.status == 200)
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(request)?;
        let answer = read(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(cut());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| cut())?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(|_| cut())? };
    Ok(Answer { status, body })
}

/// Gives a command to the running server, as `doorward WORDS` does, with what that reads from standard input; returns what it
/// prints, or why it refused.
pub(super) fn order(data: &Path, words: &str, read: Option<&str>) -> io::Result<Result<String, String>> {
    let words: Vec<&str> = words.split(' ').collect();
    let order = json!({"Command": {"words": words, "input": {"text": read, "digests": {}}}});
    let mut stream = UnixStream::connect(data.join("control.sock"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{order}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value =
        serde_json::from_str(&line).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let text = answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_done = answer.get("is_done").and_then(Value::as_bool).unwrap_or_default();
    Ok(if is_done { Ok(text) } else { Err(text) })
}
