//! The listener for Prometheus: one address of its own that serves `GET /metrics` and nothing else (ADM-06).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::metrics::{Metrics, Sample};

/// The largest number of open connections; a scraper needs one.
const MOST_CONNECTIONS: usize = 8;

/// How long a scraper may take for its headers, and how long a connection may live.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
const CONNECTION_WITHIN: Duration = Duration::from_secs(300);

/// How long to wait after an accept failed, as it does when file descriptors run out.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// Binds the listener for [`serve_metrics`].
///
/// # Errors
/// If the address is taken or not ours.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves the metrics on `listener` until `shutdown` turns true. `sample` is asked at each scrape and must not block.
pub async fn serve_metrics(
    listener: TcpListener,
    metrics: Metrics,
    sample: impl Fn() -> Sample + Send + Sync + 'static,
    mut shutdown: watch::Receiver<bool>,
) {
    let sample: Arc<dyn Fn() -> Sample + Send + Sync> = Arc::new(sample);
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|is_over| *is_over) => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the metrics listener could not accept");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        // One scraper too many is dropped rather than queued.
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let (metrics, sample) = (metrics.clone(), sample.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let response = answer(request.method(), request.uri().path(), &metrics, sample.as_ref());
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // A scraper that hangs up is not our trouble.
            let _ = tokio::time::timeout(CONNECTION_WITHIN, connection).await;
        });
    }
}

fn answer(
    method: &Method,
    path: &str,
    metrics: &Metrics,
    sample: &(dyn Fn() -> Sample + Send + Sync),
) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match (method, path) {
        (&Method::GET, "/metrics") => {
            let text = metrics.render(sample(), resident_bytes());
            (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
        }
        (_, "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "Only GET.\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "Only /metrics is here.\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the resident memory of this process in bytes; zero where it cannot be read.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib_of(&status, "VmRSS:").unwrap_or(0).saturating_mul(1024)
}

/// Reads a line such as `VmRSS:   5120 kB` of a file under `/proc`.
pub(super) fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// ADM-06: the listener serves the metrics and nothing else.
    #[tokio::test]
    async fn the_listener_serves_metrics_and_nothing_else() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, shutdown) = watch::channel(false);
        let sample = || Sample { users: 42, ..Sample::default() };
        let task = tokio::spawn(serve_metrics(listener, Metrics::new(), sample, shutdown));
        let answer = ask(address, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("\ndoorward_users 42\n"), "{answer}");
        assert!(!answer.contains("process_resident_memory_bytes 0"), "{answer}");
        assert!(ask(address, "POST /metrics").await.starts_with("HTTP/1.1 405"));
        for path in ["/", "/healthz", "/metrics/", "/api/v1/users/me"] {
            assert!(ask(address, &format!("GET {path}")).await.starts_with("HTTP/1.1 404"), "{path}");
        }
        stop.send(true).unwrap();
        task.await.unwrap();
    }

    #[test]
    fn memory_is_read_from_the_kernels_own_text() {
        assert_eq!(kib_of("VmPeak:  9 kB\nVmRSS:\t  5120 kB\n", "VmRSS:"), Some(5120));
        assert_eq!(kib_of("VmRSS: many kB", "VmRSS:"), None);
        assert!(resident_bytes() > 1024 * 1024);
    }
}
