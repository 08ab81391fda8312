//! Looking at a host of one's own as a visitor would: the doctor's requests. TLS alone, with a certificate that is
//! believed, so that nothing can be reached this way that was not given the name of such a host; redirects are told and
//! not followed, and no more than the head of an answer is kept.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::{MOST_TRIES, Outgoing, OutgoingError, not_trusted, send};

/// A request of a visitor.
#[derive(Clone, Debug)]
pub struct Visit<'a> {
    /// The name that is looked up and must be in the certificate.
    pub name: &'a str,
    /// The port.
    pub port: u16,
    /// Where to connect to instead of the addresses of the name.
    pub address: Option<SocketAddr>,
    /// The method.
    pub method: Method,
    /// Path and query, sent as they are.
    pub target: &'a str,
    /// What the header `Host` says.
    pub host: &'a str,
    /// Further headers, in this order.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The answer to a visitor.
#[derive(Clone, Debug)]
pub struct Visited {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Whether nothing came behind the headers.
    pub is_empty: bool,
    /// The certificate, as DER.
    pub certificate: Vec<u8>,
}

impl Outgoing {
    /// Visits a host. Whoever calls makes sure that it is one of this installation.
    ///
    /// # Errors
    /// Why there was no answer; [`OutgoingError::NotTrusted`] or [`OutgoingError::Expired`] for the certificate.
    pub async fn visit(&self, visit: &Visit<'_>) -> Result<Visited, OutgoingError> {
        let timeout = self.settings.timeout;
        tokio::time::timeout(timeout, self.visit_in_time(visit)).await.unwrap_or(Err(OutgoingError::TooSlow))
    }

    async fn visit_in_time(&self, visit: &Visit<'_>) -> Result<Visited, OutgoingError> {
        let request = request(visit)?;
        let name = ServerName::try_from(visit.name.to_owned())
            .map_err(|_| OutgoingError::BadUrl("names a host that no certificate can be for"))?;
        let stream = reach(visit).await?;
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|error| not_trusted(&error))?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(<[_]>::first).map_or_else(Vec::new, |first| first.to_vec());
        let (head, mut rest) = send(stream, request).await?;
        // A WebSocket has no body, and stays open.
        let is_empty = head.status == StatusCode::SWITCHING_PROTOCOLS
            || !matches!(rest.body.frame().await, Some(Ok(frame)) if frame.data_ref().is_some_and(|data| !data.is_empty()));
        Ok(Visited { status: head.status, headers: head.headers, is_empty, certificate })
    }
}

async fn reach(visit: &Visit<'_>) -> Result<TcpStream, OutgoingError> {
    let addresses: Vec<SocketAddr> = match visit.address {
        Some(address) => vec![address],
        None => match tokio::net::lookup_host((visit.name, visit.port)).await {
            Ok(addresses) => addresses.take(MOST_TRIES).collect(),
            Err(error) => return Err(OutgoingError::NotResolved(error.to_string())),
        },
    };
    let mut refusal = OutgoingError::NotResolved("it has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = OutgoingError::NotConnected(format!("{address}: {error}")),
        }
    }
    Err(refusal)
}

fn request(visit: &Visit<'_>) -> Result<Request<Full<Bytes>>, OutgoingError> {
    let bad = OutgoingError::BadUrl("cannot be written as a request");
    let target: Uri = visit.target.parse().map_err(|_| bad.clone())?;
    let mut request = Request::builder()
        .method(visit.method.clone())
        .uri(target)
        .header(header::HOST, visit.host)
        .header(header::USER_AGENT, "Doorward doctor");
    for (name, value) in visit.headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::new())).map_err(|_| bad)
}
