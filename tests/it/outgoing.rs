//! The one way out, against real sockets: what may be called, and how little a host that is called can do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::http::outgoing::{Outgoing, OutgoingError, OutgoingSettings};
use http::StatusCode;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

use crate::harness::PATIENCE;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A host that takes each connection with the same answer and remembers what it was asked.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub(crate) fn start(answer: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static) -> Host {
        Host::serve(None, answer)
    }

    pub(crate) fn start_tls(answer: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static) -> Host {
        Host::start_tls_as("server.pem", answer)
    }

    /// As [`Host::start_tls`], with another certificate.
    pub(crate) fn start_tls_as(
        certificate: &str,
        answer: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static,
    ) -> Host {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_file(tls(certificate)).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(tls("server.key")).unwrap())
            .unwrap();
        Host::serve(Some(Arc::new(config)), answer)
    }

    fn serve(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static,
    ) -> Host {
        let listener = TcpListener::bind(if tls.is_some() { "0.0.0.0:0" } else { "127.0.0.1:0" }).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::default());
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen, tls) = (answer.clone(), Arc::clone(&seen), tls.clone());
                std::thread::spawn(move || converse(stream.unwrap(), tls, &seen, &*answer));
            }
        });
        Host { address, asked }
    }

    fn url(&self, scheme: &str, host: &str) -> Url {
        Url::parse(&format!("{scheme}://{host}:{}/logout?x=1", self.address.port())).unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().len()
    }
}

fn converse(
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str, &mut dyn Write),
) {
    let Some(config) = tls else {
        let Some(asked) = read_request(&mut stream) else { return };
        seen.lock().push(asked.clone());
        return answer(&asked, &mut stream);
    };
    let mut session = rustls::ServerConnection::new(config).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut stream);
    let Some(asked) = read_request(&mut stream) else { return };
    seen.lock().push(asked.clone());
    answer(&asked, &mut stream);
}

fn read_request(stream: &mut dyn Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

pub(crate) fn tls(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls").join(name)
}

pub(crate) fn say(answer: &'static [u8]) -> impl Fn(&str, &mut dyn Write) {
    move |_, stream| stream.write_all(answer).unwrap_or_default()
}

fn settings(allowed: &[&str]) -> OutgoingSettings {
    OutgoingSettings {
        allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
        ca_file: Some(tls("ca.pem")),
        ..OutgoingSettings::default()
    }
}

fn call(settings: OutgoingSettings, url: &Url) -> Result<StatusCode, OutgoingError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outgoing = Outgoing::new(settings).unwrap();
    runtime.block_on(outgoing.post_form(url, "logout_token=abc".into()))
}

#[test]
fn a_form_reaches_a_host_with_a_certificate_of_the_own_authority() {
    let host = Host::start_tls(say(OK));
    for name in ["127.0.0.1", "localhost"] {
        let url = host.url("https", name);
        assert_eq!(call(settings(&["127.0.0.0/8", "::1/128"]), &url), Ok(StatusCode::OK), "{name}");
    }
    let asked = host.asked.lock().last().unwrap().to_lowercase();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    lines.sort_unstable();
    let host_line = format!("host: localhost:{}", host.address.port());
    assert_eq!(
        lines,
        [
            "connection: close",
            "content-length: 16",
            "content-type: application/x-www-form-urlencoded",
            host_line.as_str(),
            "post /logout?x=1 http/1.1",
            "user-agent: doorward",
        ]
    );
    assert_eq!(body, "logout_token=abc");
}

/// OA-12: without permission neither this machine nor its network is called, by name or by address.
#[test]
fn a_host_of_this_machine_is_not_called_without_permission() {
    for (host, scheme) in [(Host::start_tls(say(OK)), "https"), (Host::start(say(OK)), "http")] {
        for name in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
            let refused = call(settings(&["10.0.0.0/8"]), &host.url(scheme, name)).unwrap_err();
            assert!(matches!(refused, OutgoingError::NotAllowed { .. }), "{name}: {refused}");
        }
        assert_eq!(host.count(), 0);
    }
}

#[test]
fn plain_http_is_for_allowed_networks() {
    let host = Host::start(say(b"HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(call(settings(&["127.0.0.0/8"]), &host.url("http", "127.0.0.1")), Ok(StatusCode::NO_CONTENT));
}

/// OA-12: a certificate of nobody we know is refused, and so is one for another name.
#[test]
fn a_certificate_that_is_not_believed_ends_the_call() {
    let host = Host::start_tls(say(OK));
    let stranger = OutgoingSettings { ca_file: None, ..settings(&["127.0.0.0/8"]) };
    let refused = call(stranger, &host.url("https", "127.0.0.1")).unwrap_err();
    assert!(matches!(refused, OutgoingError::NotTrusted(_)), "{refused}");
    let refused = call(settings(&["127.0.0.0/8"]), &host.url("https", "127.0.0.2")).unwrap_err();
    assert!(matches!(refused, OutgoingError::NotTrusted(_)), "{refused}");
    assert_eq!(host.count(), 0);
}

/// OA-12: a redirect is a failure, wherever it leads.
/// A certificate that has ended is told apart from one that was never believed.
#[test]
fn a_certificate_that_has_ended_is_told() {
    let host = Host::start_tls_as("expired.pem", say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let mut own = settings(&["127.0.0.0/8"]);
    own.ca_file = Some(tls("expired-ca.pem"));
    assert_eq!(call(own, &host.url("https", "localhost")), Err(OutgoingError::Expired));
    assert_eq!(host.count(), 0);
}

#[test]
fn a_redirect_is_not_followed() {
    let target = Host::start(say(OK));
    for status in [301, 302, 303, 307, 308] {
        let location = format!(
            "HTTP/1.1 {status} Go\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
            target.address
        );
        let host = Host::start(move |_, stream| stream.write_all(location.as_bytes()).unwrap());
        let refused = call(settings(&["127.0.0.0/8"]), &host.url("http", "127.0.0.1")).unwrap_err();
        assert_eq!(refused, OutgoingError::Redirected(StatusCode::from_u16(status).unwrap()));
    }
    assert_eq!(target.count(), 0);
}

/// OA-12: the whole call has one deadline, however slowly the host talks.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn a_slow_host_does_not_hold_the_call() {
    let slow = OutgoingSettings { timeout: Duration::from_millis(400), ..settings(&["127.0.0.0/8"]) };
    let silent = Host::start(|_, _| std::thread::sleep(Duration::from_secs(20)));
    let dripping = Host::start(|_, stream| {
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    // One that accepts nothing: the handshake of TLS never comes.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = Url::parse(&format!("https://{}/", mute.local_addr().unwrap())).unwrap();
    for url in [silent.url("http", "127.0.0.1"), dripping.url("http", "127.0.0.1"), mute] {
        let start = Instant::now();
        let refused = call(slow.clone(), &url).unwrap_err();
        assert!(matches!(refused, OutgoingError::TooSlow | OutgoingError::NotConnected(_)), "{refused}");
        assert!(start.elapsed() < Duration::from_secs(15));
    }
    // An answer whose body never ends is an answer.
    let endless = Host::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
        std::thread::sleep(Duration::from_secs(20));
    });
    let slow = OutgoingSettings { timeout: Duration::from_secs(2), ..slow };
    assert_eq!(call(slow, &endless.url("http", "127.0.0.1")), Ok(StatusCode::OK));
}

/// OA-12: a huge answer is cut, and a huge head is none.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn a_huge_answer_is_cut() {
    let sent = Arc::new(Mutex::new(0));
    let count = sent.clone();
    let huge = Host::start(move |_, stream| {
        let mut write = |bytes: &[u8]| stream.write_all(bytes).map(|()| *count.lock() += bytes.len());
        let _ = write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while write(&[b'x'; 65536]).is_ok() {}
    });
    let start = Instant::now();
    let patient = OutgoingSettings { timeout: PATIENCE, ..settings(&["127.0.0.0/8"]) };
    assert_eq!(call(patient, &huge.url("http", "127.0.0.1")), Ok(StatusCode::OK));
    assert!(start.elapsed() < PATIENCE / 2, "cut, not timed out");
    // What was sent beyond the limit stands in the buffers of the sockets.
    assert!(*sent.lock() < 32 * 1024 * 1024, "{}", sent.lock());
    let big_head = Host::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let many_heads = Host::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        let _ = stream.write_all("X: y\r\n".repeat(100).as_bytes());
        let _ = stream.write_all(b"Content-Length: 0\r\n\r\n");
    });
    let nonsense = Host::start(say(b"220 mail ready\r\n"));
    for host in [big_head, many_heads, nonsense] {
        let refused = call(settings(&["127.0.0.0/8"]), &host.url("http", "127.0.0.1")).unwrap_err();
        assert!(matches!(refused, OutgoingError::BadAnswer(_)), "{refused}");
    }
}

/// FAIL-05: a file of authorities that holds none stops the start.
#[test]
fn a_file_of_authorities_without_one_is_refused() {
    let file = OutgoingSettings { ca_file: Some(tls("server.key")), ..OutgoingSettings::default() };
    assert!(Outgoing::new(file).err().unwrap().contains("outgoing.ca_file"));
}
