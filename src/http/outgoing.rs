//! The one way out of this program (OA-12): short calls to addresses that an administrator entered for an app, and
//! the doctor's visits to hosts of this installation ([`Visit`]).
//!
//! A name is resolved once, each of its addresses is judged ([`super::destinations`]), and the connection goes to a
//! judged address: a name that resolves to something else a moment later gains nothing. No redirect is followed, no
//! cookie kept, no proxy of the environment asked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::destinations::{is_allowed, likely_network, special};
use crate::words::{Said, Words, said};

pub mod certificate;
mod visit;

pub use visit::{Visit, Visited};

/// The largest head of an answer.
const LARGEST_HEAD: usize = 16 * 1024;
/// The most header lines of an answer.
const MOST_HEADERS: usize = 64;
/// How many addresses of a name are tried.
const MOST_TRIES: usize = 3;

/// What calls may reach, and for how long.
#[derive(Clone, Debug)]
pub struct OutgoingSettings {
    /// Networks that are not the public internet and may be called all the same, also by plain HTTP.
    pub allowed_networks: Vec<IpNet>,
    /// A PEM file of certificate authorities that are believed beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// The longest call, from the name to the end of the answer.
    pub timeout: Duration,
    /// How much of an answer is read.
    pub max_answer: usize,
}

impl Default for OutgoingSettings {
    fn default() -> Self {
        OutgoingSettings {
            allowed_networks: Vec::new(),
            ca_file: None,
            timeout: Duration::from_secs(5),
            max_answer: 256 * 1024,
        }
    }
}

/// Why a call did not get an answer. `Display` is a sentence for the log and the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingError {
    /// The URL is none that can be called.
    BadUrl(&'static str),
    /// Every address of the host is one that must be allowed first.
    NotAllowed {
        /// The first of them.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// A stranger's host that is no public one, or is not called by HTTPS.
    Stranger {
        /// The address.
        address: IpAddr,
    },
    /// Plain HTTP to an address that is not in an allowed network.
    PlainHttp {
        /// The address.
        address: IpAddr,
    },
    /// The name has no address.
    NotResolved(String),
    /// Nobody answers there.
    NotConnected(String),
    /// The certificate is not believed, or TLS failed otherwise.
    NotTrusted(String),
    /// The certificate has ended.
    Expired,
    /// The answer leads elsewhere.
    Redirected(StatusCode),
    /// What came back is no HTTP, or too much of it.
    BadAnswer(String),
    /// It took too long.
    TooSlow,
}

impl OutgoingError {
    /// Says why, in a sentence.
    pub fn in_words(&self, t: Words) -> String {
        match self {
            OutgoingError::BadUrl(why) => t.errors_away_url(why),
            OutgoingError::NotAllowed { address, .. } => {
                t.errors_away_not_allowed(address, likely_network(*address))
            }
            OutgoingError::Stranger { address } => t.errors_away_stranger(address),
            OutgoingError::PlainHttp { address } => t.errors_away_plain_http(likely_network(*address)),
            OutgoingError::NotResolved(why) => t.errors_away_not_found(reason(why, t)),
            OutgoingError::NotConnected(why) => t.errors_away_silent(reason(why, t)),
            OutgoingError::NotTrusted(why) => t.errors_away_tls(reason(why, t)),
            OutgoingError::Expired => t.errors_away_expired().to_owned(),
            OutgoingError::Redirected(status) => t.errors_away_redirect(status),
            OutgoingError::BadAnswer(why) => t.errors_away_no_http(why),
            OutgoingError::TooSlow => t.errors_away_slow().to_owned(),
        }
    }

    /// The same for whoever reads it.
    pub fn said(self) -> Said {
        said(move |t| self.in_words(t))
    }
}

/// Says a reason that the system or TLS gives in a few words, where it is one of the usual ones.
pub fn reason(why: &str, t: Words) -> String {
    let usual = [
        ("Name or service not known", t.errors_why_no_name()),
        ("No address associated", t.errors_why_no_name()),
        ("Connection refused", t.errors_why_refused()),
        ("unreachable", t.errors_why_unreachable()),
        ("No route to host", t.errors_why_unreachable()),
        ("failed to lookup address", t.errors_why_no_name()),
        (NO_ADDRESS, t.errors_why_no_address()),
        (NO_ANSWER, t.errors_why_no_answer()),
        ("Connection reset", t.errors_why_reset()),
        ("UnknownIssuer", t.errors_why_issuer()),
        ("Expired", t.errors_why_expired()),
        ("NotValidForName", t.errors_why_name()),
    ];
    // In English the words of the system tell experts more.
    let known = usual.iter().find(|(part, _)| why.contains(part)).filter(|_| t != Words::ENGLISH);
    known.map_or(why, |(_, said)| said).to_owned()
}

/// Why a name leads nowhere.
pub const NO_ADDRESS: &str = "it has no address";
/// Why nothing came back.
pub const NO_ANSWER: &str = "no answer";

impl fmt::Display for OutgoingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Words::ENGLISH))
    }
}

impl std::error::Error for OutgoingError {}

/// The way out. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing {
    settings: Arc<OutgoingSettings>,
    tls: TlsConnector,
    /// Whether the networks that an administrator allowed are left out.
    is_for_strangers: bool,
}

impl Outgoing {
    /// Reads the certificate authorities.
    ///
    /// # Errors
    /// A sentence that says what is wrong with `ca_file`.
    pub fn new(settings: OutgoingSettings) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &settings.ca_file {
            let refuse = |why: &dyn fmt::Display| format!("outgoing.ca_file {}: {why}.", path.display());
            let text = std::fs::read(path).map_err(|error| refuse(&error))?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
            let certificates = certificates.map_err(|_| refuse(&"the file is damaged"))?;
            if certificates.is_empty() {
                return Err(refuse(&"there is no PEM certificate in it"));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| refuse(&error))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}."))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Outgoing {
            settings: Arc::new(settings),
            tls: TlsConnector::from(Arc::new(config)),
            is_for_strangers: false,
        })
    }

    /// Returns the way out to hosts that no administrator entered: public addresses alone, by HTTPS alone.
    #[must_use]
    pub fn for_strangers(&self) -> Self {
        Outgoing { is_for_strangers: true, ..self.clone() }
    }

    /// Sends a form and returns the status of the answer, whose body is read up to the limit and thrown away.
    ///
    /// # Errors
    /// Why there was no answer. A redirect is an error; any other status is an answer.
    pub async fn post_form(&self, url: &Url, body: Bytes) -> Result<StatusCode, OutgoingError> {
        let deadline = tokio::time::Instant::now() + self.settings.timeout;
        let (head, rest) = tokio::time::timeout_at(deadline, self.exchange(url, body))
            .await
            .unwrap_or(Err(OutgoingError::TooSlow))?;
        let status = head.status;
        if status.is_redirection() {
            return Err(OutgoingError::Redirected(status));
        }
        // The answer is known; a host that goes on talking only loses the connection.
        let _ = tokio::time::timeout_at(deadline, read_away(rest, self.settings.max_answer)).await;
        Ok(status)
    }

    async fn exchange(&self, url: &Url, body: Bytes) -> Result<(Parts, Rest), OutgoingError> {
        let is_https = judge_url(url)?;
        let stream = self.connect(url, is_https).await?;
        let request = request(url, body)?;
        if !is_https {
            return send(stream, request).await;
        }
        let name = server_name(url)?;
        let stream = self.tls.connect(name, stream).await;
        send(stream.map_err(|error| not_trusted(&error))?, request).await
    }

    /// Connects to the first address of the host that is allowed and answers.
    async fn connect(&self, url: &Url, is_https: bool) -> Result<TcpStream, OutgoingError> {
        let addresses = resolve(url).await?;
        let mut judged = Vec::with_capacity(MOST_TRIES);
        let mut refusal = OutgoingError::NotResolved(NO_ADDRESS.to_owned());
        for address in addresses {
            match self.judge(address.ip(), is_https) {
                Ok(()) => judged.push(address),
                Err(refused) if matches!(refusal, OutgoingError::NotResolved(_)) => refusal = refused,
                Err(_) => {}
            }
        }
        judged.truncate(MOST_TRIES);
        let patience = self.settings.timeout / u32::try_from(judged.len()).unwrap_or(1).max(1);
        for address in judged {
            refusal = match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => OutgoingError::NotConnected(error.to_string()),
                Err(_) => OutgoingError::TooSlow,
            };
        }
        Err(refusal)
    }

    /// Judges one address of a host.
    fn judge(&self, address: IpAddr, is_https: bool) -> Result<(), OutgoingError> {
        if self.is_for_strangers && (special(address).is_some() || !is_https) {
            return Err(OutgoingError::Stranger { address: address.to_canonical() });
        }
        if is_allowed(&self.settings.allowed_networks, address) {
            return Ok(());
        }
        if let Some(what) = special(address) {
            return Err(OutgoingError::NotAllowed { address: address.to_canonical(), what });
        }
        if is_https { Ok(()) } else { Err(OutgoingError::PlainHttp { address: address.to_canonical() }) }
    }
}

/// Says why there is no TLS with a host.
fn not_trusted(error: &std::io::Error) -> OutgoingError {
    use rustls::CertificateError::{Expired, ExpiredContext};
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => OutgoingError::Expired,
        _ => OutgoingError::NotTrusted(error.to_string()),
    }
}

/// Judges all of a URL but its host, and tells whether it is https.
fn judge_url(url: &Url) -> Result<bool, OutgoingError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutgoingError::BadUrl("holds a user name or a password"));
    }
    match url.scheme() {
        "https" => Ok(true),
        "http" => Ok(false),
        _ => Err(OutgoingError::BadUrl("is neither https nor http")),
    }
}

/// Finds the addresses of the host, once.
async fn resolve(url: &Url) -> Result<Vec<SocketAddr>, OutgoingError> {
    let port = url.port_or_known_default().ok_or(OutgoingError::BadUrl("has no port"))?;
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(vec![SocketAddr::new(address.into(), port)]),
        Some(Host::Ipv6(address)) => Ok(vec![SocketAddr::new(address.into(), port)]),
        Some(Host::Domain(name)) => match tokio::net::lookup_host((name, port)).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(OutgoingError::NotResolved(error.to_string())),
        },
        None => Err(OutgoingError::BadUrl("names no host")),
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, OutgoingError> {
    let bad = OutgoingError::BadUrl("names a host that no certificate can be for");
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Some(Host::Ipv6(address)) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|_| bad),
        None => Err(bad),
    }
}

fn request(url: &Url, body: Bytes) -> Result<Request<Full<Bytes>>, OutgoingError> {
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(OutgoingError::BadUrl("names no host")),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Request::post(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "Doorward")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| OutgoingError::BadUrl("cannot be written as a request"))
}

/// What is left of an answer after its head. Dropping it closes the connection.
struct Rest {
    body: Incoming,
    connection: AbortOnDrop,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(Parts, Rest), OutgoingError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bad = |error: hyper::Error| OutgoingError::BadAnswer(error.to_string());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(bad)?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        // What goes wrong on the connection fails the request below.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(bad)?;
    let (head, body) = answer.into_parts();
    Ok((head, Rest { body, connection }))
}

async fn read_away(rest: Rest, limit: usize) {
    let Rest { mut body, connection: _connection } = rest;
    let mut left = limit;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(allowed: &[&str], url: &str) -> OutgoingError {
        let outgoing = Outgoing::new(OutgoingSettings {
            allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
            // Nothing may leave this test: what is not refused does not get far.
            timeout: Duration::from_millis(200),
            ..OutgoingSettings::default()
        })
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = Url::parse(url).unwrap();
        runtime.block_on(outgoing.post_form(&url, Bytes::new())).unwrap_err()
    }

    /// OA-12: an address in an odd spelling is the address it means.
    #[test]
    fn every_spelling_of_a_private_address_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "0",
            "0.0.0.0",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[fd00::1]",
            "[fe80::1]",
            "10.0.0.1",
            "100.64.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "localhost",
            "LOCALHOST",
        ] {
            for scheme in ["https", "http"] {
                let refused = refusal(&[], &format!("{scheme}://{host}:9/x"));
                assert!(matches!(refused, OutgoingError::NotAllowed { .. }), "{scheme} {host}: {refused}");
            }
        }
    }

    /// OA-12: what an administrator allowed is not for strangers.
    #[test]
    fn strangers_reach_public_addresses_by_https_alone() {
        let outgoing = Outgoing::new(OutgoingSettings {
            allowed_networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            ..OutgoingSettings::default()
        })
        .unwrap();
        let judge = |outgoing: &Outgoing, address: &str, is_https| {
            outgoing.judge(address.parse().unwrap(), is_https).is_ok()
        };
        for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(judge(&outgoing, address, false), "{address}");
            assert!(!judge(&outgoing.for_strangers(), address, true), "{address}");
        }
        for address in ["93.184.216.34", "2606:2800:220:1::1"] {
            assert!(judge(&outgoing.for_strangers(), address, true), "{address}");
            assert!(!judge(&outgoing.for_strangers(), address, false), "{address}");
        }
    }

    /// OA-12: nothing but plain http and https URLs without a secret in them; plain HTTP only where it was allowed.
    #[test]
    fn only_sound_urls_are_called() {
        for url in ["ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1/", "data:text/plain,x"] {
            assert!(matches!(refusal(&[], url), OutgoingError::BadUrl(_)), "{url}");
        }
        for url in ["https://a:b@127.0.0.1/", "https://a@127.0.0.1/", "https://:b@127.0.0.1/"] {
            assert!(matches!(refusal(&["127.0.0.0/8"], url), OutgoingError::BadUrl(_)), "{url}");
        }
        assert!(matches!(refusal(&["10.0.0.0/8"], "http://8.8.8.8/"), OutgoingError::PlainHttp { .. }));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = refusal(&[], "https://192.168.1.7/logout").to_string();
        assert!(text.contains("add 192.168.1.0/24 to outgoing.allowed_networks"), "{text}");
        let missing =
            OutgoingSettings { ca_file: Some("/nonexistent".into()), ..OutgoingSettings::default() };
        assert!(Outgoing::new(missing).err().unwrap().contains("outgoing.ca_file"));
    }
}
