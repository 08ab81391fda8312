//! The HTTP edge, spoken to in raw bytes: what real peers send, slow, broken and hostile ones included.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use doorward::http::{
    Answering, Handler, Problem, Reply, Request, RouteId, RouteLimits, ServerSettings, TrustedProxies,
    address, serve,
};
use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::harness::PATIENCE;

/// More than the buffers of two sockets hold.
const LARGE: usize = 32 * 1024 * 1024;

/// How many answers to `/watched` nobody waits for any more.
static GIVEN_UP: AtomicUsize = AtomicUsize::new(0);

/// A small application with one route for each thing that can go wrong.
struct Probe;

impl Handler for Probe {
    fn route(&self, _method: &Method, path: &str) -> (RouteId, RouteLimits) {
        let limits = match path {
            "/big" => RouteLimits::body(1024 * 1024),
            "/check" | "/panic-at-once" | "/at-once" | "/nothing" | "/large" | "/numbers" => {
                RouteLimits::without_body()
            }
            "/unread/who/at-once" | "/unread/who/slow" => RouteLimits::without_body(),
            "/who" => RouteLimits::body(64 * 1024),
            "/stuck" => RouteLimits { deadline: Duration::from_millis(50), ..RouteLimits::body(0) },
            _ => RouteLimits::body(16),
        };
        (RouteId(0), limits)
    }

    fn handle_at_once(&self, _route: RouteId, request: &Request) -> Option<Reply> {
        assert!(request.path() != "/panic-at-once", "as asked");
        match request.path() {
            "/at-once" => Some(text("at once")),
            "/nothing" => Some(Reply::no_content()),
            "/empty" => Some(Reply::empty(StatusCode::OK)),
            "/missing-at-once" => Some(Reply::bytes(StatusCode::NOT_FOUND, "text/plain", "none")),
            "/pieces" => Some(pieces()),
            "/large" => Some(text(&"x".repeat(LARGE))),
            "/numbers" => Some(text(&numbers())),
            "/who/at-once" | "/unread/who/at-once" => Some(who(request)),
            _ => None,
        }
    }

    fn handle<'a>(&'a self, _route: RouteId, request: &'a mut Request) -> Answering<'a> {
        Box::pin(answer(request))
    }

    fn refuse(&self, _route: RouteId, request: &Request, problem: Problem) -> Reply {
        Reply::json(problem.status, &problem.to_json(&request.id.to_string()))
    }
}

async fn answer(request: &Request) -> Reply {
    match request.path() {
        "/panic" => panic!("as asked"),
        "/stuck" => std::future::pending().await,
        "/watched" => {
            struct Gone;
            impl Drop for Gone {
                fn drop(&mut self) {
                    GIVEN_UP.fetch_add(1, Ordering::SeqCst);
                }
            }
            let _gone = Gone;
            std::future::pending().await
        }
        "/who" | "/who/at-once" => who(request),
        "/who/slow" | "/unread/who/slow" => {
            tokio::time::sleep(Duration::from_millis(3)).await;
            who(request)
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            text("slow")
        }
        "/yield" => {
            let others = Arc::new(AtomicBool::new(false));
            let seen = others.clone();
            tokio::spawn(async move { seen.store(true, Ordering::SeqCst) });
            tokio::task::yield_now().await;
            text(&format!("others went first: {}", others.load(Ordering::SeqCst)))
        }
        "/big" => text(&request.body.len().to_string()),
        "/whoami" => {
            text(&format!("{} {:?} {}", request.client.ip, request.client.host, request.client.is_https))
        }
        "/names" => {
            let names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
            text(&format!("{} {}", names.join(","), request.headers.had_underscores))
        }
        "/missing" => Probe.refuse(RouteId(0), request, Problem::not_found()),
        _ => text(&format!("{} {}", request.method, String::from_utf8_lossy(&request.body))),
    }
}

/// Tells which request this is, and whose: the two come different ways.
fn who(request: &Request) -> Reply {
    let cookies: Vec<_> =
        request.headers.get_all(http::header::COOKIE).map(String::from_utf8_lossy).collect();
    let body = String::from_utf8_lossy(&request.body);
    text(&format!("{} {} {body}", request.query("n").unwrap_or_default(), cookies.join("&")))
}

/// More than is sent together with its head, and no two pieces of it the same.
fn numbers() -> String {
    (0..10_000).map(|number| format!("{number}\n")).collect()
}

/// An answer that is made while it is sent, with rests in between.
fn pieces() -> Reply {
    let mut left = 40;
    text("begin ").followed_by(move || {
        left -= 1;
        Ok((left >= 0).then(|| Bytes::from_static(if left % 3 == 0 { b"piece " } else { b"" })))
    })
}

fn text(body: &str) -> Reply {
    Reply::bytes(StatusCode::OK, "text/plain", body.to_owned().into_bytes())
}

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        Server::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), change)
    }

    /// Starts one whose sockets take little at a time.
    fn start_narrow() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Those that it accepts have it from the listener.
        socket.set_send_buffer_size(4096).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Server::start_on(socket.listen(8).unwrap(), |_| {})
    }

    fn start_on(listener: TcpListener, change: impl FnOnce(&mut ServerSettings)) -> Self {
        let address = listener.local_addr().unwrap();
        let mut settings =
            ServerSettings::new(TrustedProxies::default(), SystemClock::shared(), Random::os());
        change(&mut settings);
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(serve(
            listener,
            settings,
            Arc::new(Probe),
            Box::pin(async move {
                let _ = stopped.await;
            }),
        ));
        Server { address, stop: Some(stop), done }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a new connection and returns everything up to its end.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open after {:?}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a Content-Length and leaves the connection open.
async fn one(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let mut byte = [0];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.unwrap().unwrap();
        assert_eq!(count, 1, "ended after {:?}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
        if answer.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head
        .to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[track_caller]
fn assert_protected(answer: &str) {
    let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for needed in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "permissions-policy: ",
        "cache-control: no-store",
    ] {
        assert!(head.contains(needed), "{needed} is missing in {answer:.2000}");
    }
    assert!(!head.contains("\nserver:"), "{answer}");
}

/// WEB-08: no answer leaves without the security headers, whoever makes it.
#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::start(|_| {}).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(17_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        // Answered at once; the connection is ended by whoever refuses what comes behind it.
        ("GET /at-once HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n", 200),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n", 204),
        ("GET /panic-at-once HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n", 500),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("\r\nGET / HTTP/1.0\r\n\r\n", 200),
        ("GET /missing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        ("GET /panic HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 500),
        ("GET /stuck HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 503),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n12345678901234567", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nxx", 415),
        (&long, 414),
        (&many, 431),
        (&huge, 431),
    ] {
        let answer = server.say(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{request:.60} {answer}");
        assert_protected(&answer);
    }
}

/// INP-03: what could smuggle a second request is 400 and the end of the connection.
#[tokio::test]
async fn smuggling_ends_the_connection() {
    let server = Server::start(|_| {}).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\nHost: a\n\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nHost : a\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n{smuggled}"),
    ] {
        let answer = server.say(request.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{request} {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            2 - usize::from(!answer.contains("This is not HTTP/1.1")),
            "{answer}"
        );
        assert!(!answer.contains("/smuggled") && answer.contains("connection: close"), "{answer}");
    }
    // After a chunked body nothing more is read: the answer closes.
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = server.say(format!("{chunked}{smuggled}").as_bytes()).await;
    assert!(answer.contains("POST abc") && answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1);
}

/// INP-01: a head that does not arrive in time ends the connection, and so does an idle one.
#[tokio::test]
async fn slow_heads_and_idle_connections_time_out() {
    let server = Server::start(|settings| {
        settings.head_timeout = Duration::from_millis(150);
        settings.idle_timeout = Duration::from_secs(2);
    })
    .await;
    let started = tokio::time::Instant::now();
    for beginning in ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        assert_eq!(server.say(beginning.as_bytes()).await, "", "{beginning}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "that is the time of an idle connection");

    // A trickle does not win time.
    let mut slow = server.connect().await;
    let mut sent = 0;
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(sent < 20, "{sent} bytes were taken");

    // Between requests the longer time holds; a slow handler is not cut off by either.
    let mut idle = server.connect().await;
    idle.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(status(&one(&mut idle).await), 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(status(&one(&mut idle).await), 200);
    assert_eq!(rest(&mut idle).await, "");

    // And after an answer that was given at once.
    let mut idle = server.connect().await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        idle.write_all(b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(status(&one(&mut idle).await), 200);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let waited = tokio::time::Instant::now();
    assert_eq!(rest(&mut idle).await, "");
    assert!((1..4).contains(&waited.elapsed().as_secs()), "{:?}", waited.elapsed());
}

/// INP-01: as long as an answer is taken, slowly but steadily, neither the time of heads nor that of idle connections runs.
#[tokio::test]
async fn a_slow_reader_gets_the_whole_answer() {
    let server = Server::start(|settings| {
        settings.head_timeout = Duration::from_millis(150);
        settings.idle_timeout = Duration::from_millis(150);
    })
    .await;
    for behind in ["", "GET / HT"] {
        let mut slow = server.connect().await;
        let head = format!("GET /large HTTP/1.1\r\nHost: a\r\n\r\n{behind}");
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            let mut piece = vec![0; 1024 * 1024];
            let count = slow.read(&mut piece).await.unwrap();
            answer.extend_from_slice(piece.get(..count).unwrap());
        }
        // The end of the idle connection, or of half a head, ends the answer.
        let rest = rest(&mut slow).await;
        let body = answer.iter().chain(rest.as_bytes()).filter(|byte| **byte == b'x').count();
        assert!(body >= LARGE, "{body} bytes came, behind them {behind:?}");
    }
}

/// RES-04: nothing is made any more for a client that has gone, whatever it sent last.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_given_up() {
    let server = Server::start(|_| {}).await;
    for (count, behind) in ["", "\r", "GET / HT"].into_iter().enumerate() {
        let mut client = server.connect().await;
        let head = format!("GET /watched HTTP/1.1\r\nHost: a\r\n\r\n{behind}");
        client.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(GIVEN_UP.load(Ordering::SeqCst), count);
        drop(client);
        // Sooner than the deadline of a route, which ends it as well.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(GIVEN_UP.load(Ordering::SeqCst), count + 1, "behind it {behind:?}");
    }
}

/// INP-01, INP-02: a body has a size and a time.
#[tokio::test]
async fn bodies_have_a_size_and_a_time() {
    let hasty = Server::start(|settings| settings.body_timeout = Duration::from_millis(200)).await;
    let late = hasty.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(status(&late), 408);
    assert_protected(&late);
    let server = Server::start(|_| {}).await;
    let chunked = server
        .say(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n")
        .await;
    assert_eq!(status(&chunked), 413);
    let early = server.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n").await;
    assert_eq!(status(&early), 413);
    let ignored = server
        .say(b"POST /check HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n")
        .await;
    assert_eq!(status(&ignored), 200);
    let mut large =
        b"POST /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n".to_vec();
    large.resize(large.len() + 900_000, b'x');
    assert!(server.say(&large).await.ends_with("\r\n900000"));
    let broken = server.say(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    assert_eq!(status(&broken), 400);
    assert_protected(&broken);
}

/// FWD-09: a header name with an underscore never reaches a handler, because gateways read it as a hyphen.
#[tokio::test]
async fn names_with_underscores_are_dropped() {
    let server = Server::start(|_| {}).await;
    let answer = server
        .say(b"GET /names HTTP/1.1\r\nRemote_User: admin\r\nHost: a\r\nX_Forwarded_For: 1\r\nRemote-Groups: x\r\nConnection: close\r\n\r\n")
        .await;
    // They leave a mark, for the doctor.
    assert!(answer.ends_with("\r\nhost,remote-groups,connection true"), "{answer}");
    let without = server.say(b"GET /names HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(without.ends_with("\r\nhost,connection false"), "{without}");
    let with_body = server
        .say(b"POST / HTTP/1.1\r\nContent_Length: 999\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        .await;
    assert!(with_body.ends_with("POST abc"), "{with_body}");
}

/// FWD-01: forwarding headers count only from a trusted peer.
#[tokio::test]
async fn forwarding_headers_count_from_trusted_peers_alone() {
    let ask =
        b"GET /whoami HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-Host: Auth.Example.org\r\nConnection: close\r\n\r\n";
    let server = Server::start(|_| {}).await;
    let answer = server.say(ask).await;
    assert!(answer.ends_with("127.0.0.1 Some(\"inner\") false"), "{answer}");
    assert!(!answer.contains("strict-transport-security"));
    let server = Server::start(|settings| {
        settings.trusted_proxies.set(vec![address::parse_network("127.0.0.1").unwrap()]);
    })
    .await;
    let answer = server.say(ask).await;
    assert!(answer.ends_with("192.0.2.7 Some(\"auth.example.org\") true"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"));
}

/// INP-09: a panic is one 500; the connection and the server go on.
#[tokio::test]
async fn a_panic_is_one_answer() {
    let server = Server::start(|_| {}).await;
    let mut stream = server.connect().await;
    for expected in [("/panic", 500), ("/", 200), ("/panic", 500), ("/panic-at-once", 500), ("/", 200)] {
        stream.write_all(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", expected.0).as_bytes()).await.unwrap();
        assert_eq!(status(&one(&mut stream).await), expected.1);
    }
}

/// RES-02: a handler that lets others go first is not asked again before they went. Sign-ins take turns by it.
#[tokio::test]
async fn a_handler_that_yields_lets_others_go_first() {
    let server = Server::start(|_| {}).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /yield HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = one(&mut stream).await;
    assert!(answer.ends_with("others went first: true"), "{answer}");
}

/// INP-01: connections are capped for each address and in total, and places come back.
#[tokio::test]
async fn connections_are_capped() {
    let server = Server::start(|settings| {
        settings.max_connections = 4;
        settings.max_connections_per_address = 2;
    })
    .await;
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(ask).await.unwrap();
        assert_eq!(status(&one(stream).await), 200);
    }
    let mut third = server.connect().await;
    let _ = third.write_all(ask).await;
    let mut byte = [0];
    assert!(!matches!(third.read(&mut byte).await, Ok(1..)), "a third connection was served");
    drop(first);
    for attempt in 0.. {
        let mut again = server.connect().await;
        let _ = again.write_all(ask).await;
        if matches!(again.read(&mut byte).await, Ok(1)) {
            break;
        }
        assert!(attempt < 100, "the place never came back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// FAIL-06: stopping lets the request under way finish, and closes what is idle.
#[tokio::test]
async fn stopping_finishes_what_is_under_way() {
    let mut server = Server::start(|_| {}).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    one(&mut idle).await;
    let mut idle_at_once = server.connect().await;
    idle_at_once.write_all(b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    one(&mut idle_at_once).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.take().unwrap().send(()).unwrap();
    assert!(rest(&mut busy).await.ends_with("slow"));
    assert_eq!((rest(&mut idle).await, rest(&mut idle_at_once).await), (String::new(), String::new()));
    tokio::time::timeout(PATIENCE, server.done).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// FAIL-06: what the socket has not taken yet when the server stops is sent before the connection ends.
#[tokio::test]
async fn stopping_leaves_no_answer_half_sent() {
    let mut server = Server::start_narrow();
    let (mut reading, mut writing) = narrow(server.address).await.into_split();
    let sending = tokio::spawn(async move {
        let requests = "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000);
        // The server may have ended the connection by then.
        let _ = writing.write_all(requests.as_bytes()).await;
        writing
    });
    // Now nothing more fits into the socket.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut answers = Vec::new();
    // What was never read of the requests may cost the end of what is on its way.
    let _ = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answers)).await.unwrap();
    drop(sending.await.unwrap());
    let answers = String::from_utf8(answers).unwrap();
    let count = answers.matches("HTTP/1.1 200 OK\r\n").count();
    assert!((1..2000).contains(&count), "{count}");
    assert_eq!(answers.matches("\r\n\r\nat once").count(), count);
    assert!(answers.ends_with("at once"), "{}", &answers[answers.len() - 300..]);
    tokio::time::timeout(PATIENCE, server.done).await.unwrap().unwrap();
}

/// What is answered at once stands behind all of the answer before it, however slowly that comes, and is the same as if hyper
/// had framed it.
#[tokio::test]
async fn answers_at_once_keep_their_place_and_their_form() {
    let server = Server::start_narrow();
    let ask = |kind: &str, path: &str, more: &str| format!("{kind} {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    let (mut requests, mut expected) = (String::new(), Vec::new());
    for round in 0..12 {
        for path in
            ["/at-once", "/pieces", "/at-once", "/nothing", "/slow", "/at-once", "/numbers", "/at-once"]
        {
            if round > 3 && path == "/slow" {
                continue;
            }
            requests += &ask("GET", path, "");
            expected.push(match path {
                "/pieces" => format!("begin {}", "piece ".repeat(14)),
                "/numbers" => numbers(),
                "/slow" => "slow".to_owned(),
                "/nothing" => String::new(),
                _ => "at once".to_owned(),
            });
        }
    }
    requests += &ask("GET", "/at-once", "Connection: close\r\n");
    let (mut reading, mut writing) = narrow(server.address).await.into_split();
    let sending = tokio::spawn(async move {
        writing.write_all(requests.as_bytes()).await.unwrap();
        writing
    });
    let mut answers = String::new();
    tokio::time::timeout(PATIENCE, reading.read_to_string(&mut answers)).await.unwrap().unwrap();
    drop(sending.await.unwrap());
    let told: Vec<_> = answers.split("HTTP/1.1 20").skip(1).collect();
    assert_eq!(told.len(), expected.len() + 1);
    for (told, expected) in told.iter().zip(&expected) {
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        let is_chunked = head.contains("transfer-encoding: chunked");
        let pieces = || body.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(if is_chunked { pieces() } else { body.to_owned() }, *expected);
    }

    // With a word on the connection they come by hyper.
    for kind in ["GET", "HEAD"] {
        for path in ["/at-once", "/nothing", "/missing-at-once", "/empty"] {
            let lines = |answer: &str| -> Vec<String> {
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                let mut lines: Vec<_> = head
                    .lines()
                    .filter(|line| !line.starts_with("date: ") && !line.starts_with("connection: "))
                    .map(str::to_owned)
                    .collect();
                assert_eq!(head.matches("\r\ndate: ").count(), 1, "{head}");
                lines.sort_unstable();
                lines.push(body.to_owned());
                lines
            };
            let hypers = server.say(ask(kind, path, "Connection: close\r\n").as_bytes()).await;
            let mut stream = server.connect().await;
            stream.write_all(ask(kind, path, "").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(lines(&rest(&mut stream).await), lines(&hypers), "{kind} {path}");
        }
    }
}

/// Many requests in one packet are answered in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(|_| {}).await;
    let answer = server
        .say(
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\
              GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\
              POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2",
        )
        .await;
    let bodies: Vec<_> = answer.split("\r\n\r\n").collect();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert!(
        bodies[1].starts_with("POST 1") && bodies[2].starts_with("slow") && bodies[3] == "POST 2",
        "{answer}"
    );
}

/// WEB-08: what all answers have stands in each of them once and in the right place, however the socket takes them, and
/// whatever else hyper writes.
#[tokio::test]
async fn every_one_of_many_answers_has_the_security_headers() {
    let server = Server::start(|_| {}).await;
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // Answered at once, and before their body has been read.
    let unread = "POST /at-once HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let asked = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    for (request, body, count) in [
        (unread, "at once", 5000),
        ("GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n", "at once", 5000),
        (asked, "POST abc", 500),
        ("GET /numbers HTTP/1.1\r\nHost: a\r\n\r\n", &*numbers(), 300),
    ] {
        let (mut reading, mut writing) = narrow(server.address).await.into_split();
        let requests = request.repeat(count) + close;
        let sending = tokio::spawn(async move {
            writing.write_all(requests.as_bytes()).await.unwrap();
            writing
        });
        // Now nothing more fits into the socket.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut answers = Vec::new();
        let read = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answers)).await;
        assert!(read.is_ok(), "nothing more comes after {} bytes", answers.len());
        drop(sending.await.unwrap());
        let answers = String::from_utf8(answers).unwrap().replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        let answers: Vec<_> = answers.split("HTTP/1.1 200 OK\r\n").collect();
        assert_eq!((answers.len(), answers[0]), (count + 2, ""), "{body:.20}");
        for answer in &answers[1..] {
            assert_protected(answer);
            assert_eq!(answer.matches("nosniff").count(), 1, "{answer:.2000}");
        }
        let bodies = answers.iter().map(|answer| answer.split("\r\n\r\n").nth(1).unwrap_or_default());
        assert!(bodies.skip(1).take(count).all(|told| told == body), "{body:.20}");
    }
}

/// Many people share the connection of one proxy: whatever comes in whatever pieces, the fields of one head never go with the
/// request of another.
#[tokio::test]
async fn each_request_has_the_fields_of_its_own_head() {
    let server = Server::start(|_| {}).await;
    let (mut requests, mut expected) = (String::new(), Vec::new());
    for n in 0..600 {
        let path = ["/who/at-once", "/who", "/who/slow", "/unread/who/at-once"][n % 4];
        let cookie = if n % 7 == 0 { String::new() } else { format!("Cookie: of-{n}\r\n") };
        let unseen = if n % 11 == 0 { format!("X-Long: {}\r\n", "x".repeat(9000)) } else { String::new() };
        // More than hyper reads at a time. From the first one on no answer is given without it.
        let seen = if n % 17 == 0 && n > 400 {
            format!("Connection: {}\r\n", "x".repeat(9000))
        } else {
            String::new()
        };
        let query = if n % 19 == 0 { "&x".repeat(5000) } else { String::new() };
        let empty = if n % 13 == 0 { "\r\n" } else { "" };
        // A body that nobody reads ends the connection unless it is there already.
        let body = match n % 5 {
            _ if path.starts_with("/unread") => String::new(),
            0 | 1 if n % 4 == 1 && n % 3 == 0 => "large".repeat(4000) + &n.to_string(),
            0 => "abc".to_owned(),
            1 => "def".to_owned(),
            _ => String::new(),
        };
        let (kind, framing) = match (n % 5, body.len()) {
            (_, 0) => ("GET", String::new()),
            (0, length) => ("POST", format!("Content-Length: {length}\r\n")),
            (_, length) => {
                ("POST", format!("expect: 100-continue\r\nContent_Length: 9\r\nCONTENT-LENGTH:{length} \r\n"))
            }
        };
        requests += &format!(
            "{empty}{kind} {path}?n={n}{query} HTTP/1.1\r\n{unseen}{framing}{seen}Host: a\r\n{cookie}\r\n{body}"
        );
        let of = cookie.trim_end().trim_start_matches("Cookie: ");
        expected.push(format!("{n} {of} {body}"));
    }
    requests += "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for step in [100, 333, 4096, 20_000, requests.len()] {
        let (mut reading, mut writing) = server.connect().await.into_split();
        let pieces = requests.clone();
        let sending = tokio::spawn(async move {
            for piece in pieces.as_bytes().chunks(step) {
                writing.write_all(piece).await.unwrap();
            }
            writing
        });
        let mut answers = String::new();
        let read = tokio::time::timeout(PATIENCE, reading.read_to_string(&mut answers)).await;
        assert!(read.is_ok(), "by {step}: nothing more comes after {} bytes", answers.len());
        drop(sending.await.unwrap());
        let answers = answers.replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        let told: Vec<_> = answers
            .split("HTTP/1.1 200 OK\r\n")
            .filter_map(|answer| answer.split("\r\n\r\n").nth(1))
            .collect();
        for (told, expected) in told.iter().zip(&expected) {
            assert_eq!(told, expected, "by {step}");
        }
        assert_eq!(told.len(), expected.len() + 1, "by {step}");
    }
}

/// A body that is there goes with its head, also when nobody reads it.
#[tokio::test]
async fn behind_a_body_that_came_with_its_head_the_next_request_is_answered() {
    let server = Server::start(|_| {}).await;
    let mut stream = server.connect().await;
    for n in 0..60 {
        let path = ["/unread/who/at-once", "/who/slow", "/who"][n % 3];
        let body =
            if n % 6 < 3 { "abc" } else { "GET /who?n=0 HTTP/1.1\r\nHost: a\r\nCookie: of-all\r\n\r\n" };
        let body = &body[..body.len().min(if path == "/who/slow" { 16 } else { 99 })];
        let head = format!("POST {path}?n={n} HTTP/1.1\r\nHost: a\r\nCookie: of-{n}\r\n");
        let said = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(said.as_bytes()).await.unwrap();
        let answer = one(&mut stream).await;
        let read = if path.starts_with("/unread") { "" } else { body };
        assert!(answer.ends_with(&format!("\r\n\r\n{n} of-{n} {read}")), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

/// INP-03: what is still to come of a body that nobody reads would be taken for a head, so the connection ends, and says so.
#[tokio::test]
async fn behind_a_body_that_nobody_waited_for_nothing_is_answered() {
    let server = Server::start(|_| {}).await;
    let next = "GET /who?n=2 HTTP/1.1\r\nHost: a\r\n\r\n";
    for path in ["/unread/who/at-once", "/unread/who/slow"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let head = format!("GET {path}?n=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n{expect}\r\n");
            for together in [false, true] {
                let mut stream = server.connect().await;
                let mut said = head.clone();
                if together {
                    said += next;
                }
                stream.write_all(said.as_bytes()).await.unwrap();
                let answer = one(&mut stream).await;
                assert!(answer.contains("\r\nconnection: close\r\n"), "{path} {expect}: {answer}");
                assert!(answer.ends_with("1  "), "{answer}");
                // It may be gone already.
                let _ = stream.write_all(next.as_bytes()).await;
                let mut more = Vec::new();
                let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut more)).await.expect("it ends");
                assert_eq!(String::from_utf8_lossy(&more), "", "{path} {expect}");
            }
        }
    }
}

/// The word that a body is wanted goes out once and before the answer, however full the socket is.
#[tokio::test]
async fn who_waits_with_a_body_is_told_once_that_it_is_wanted() {
    let server = Server::start_narrow();
    let (mut reading, mut writing) = narrow(server.address).await.into_split();
    let count = 100;
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
            writing.write_all(head).await.unwrap();
            // By then nothing more fits into the socket.
            tokio::time::sleep(Duration::from_millis(5)).await;
            writing.write_all(b"abc").await.unwrap();
        }
        writing.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        writing
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut answers = Vec::new();
    loop {
        let mut piece = [0; 307];
        let read = tokio::time::timeout(PATIENCE, reading.read(&mut piece)).await.unwrap();
        let came = read.unwrap();
        answers.extend_from_slice(&piece[..came]);
        if came == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(sending.await.unwrap());
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("\r\n\r\nPOST abc").count(), count, "{answers:.2000}");
    assert_eq!(answers.matches("100 Continue").count(), count);
    assert_eq!(answers.matches("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n").count(), count);
}

/// Connects by a socket that takes little at a time.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// INP-03: a head that is refused waits for its turn like any other, or the client takes the refusal for the answer to
/// what it asked before.
#[tokio::test]
async fn a_refused_head_is_answered_after_what_came_before_it() {
    let server = Server::start(|_| {}).await;
    let started = tokio::time::Instant::now();
    let answer =
        server.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nBad Name: x\r\n\r\n").await;
    assert!(started.elapsed() < Duration::from_secs(5), "its turn was over long ago");
    let [first, second] = ["HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request"].map(|line| answer.find(line));
    assert!(first == Some(0) && second > answer.find("\r\n\r\nslow") && second.is_some(), "{answer}");
    assert_protected(&answer);
    for count in 1..=3 {
        let mut heads = "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count);
        heads.push_str("GET / HTTP/1.1\r\nBad Name: x\r\n\r\n");
        let answer = server.say(heads.as_bytes()).await;
        assert_eq!(answer.matches("\r\n\r\nat once").count(), count, "{answer}");
        let refused = answer.find("HTTP/1.1 400 Bad Request");
        assert!(refused > answer.rfind("\r\n\r\nat once"), "{answer}");
    }
}

/// INP-01, FAIL-06: whoever comes in a crowd has the same clocks as everybody, and is told when the server stops. A task that
/// has used up its turn is refused by every timer it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crowd_leaves_nobody_without_a_clock() {
    for head in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for count in 120..=128 {
            let server = Server::start(|settings| {
                settings.head_timeout = Duration::from_millis(150);
                settings.idle_timeout = Duration::from_millis(150);
            })
            .await;
            for mut one in crowd(server.address, count, head).await {
                one.set_read_timeout(Some(PATIENCE)).unwrap();
                let ended = std::io::Read::read_to_end(&mut one, &mut Vec::new());
                assert!(ended.is_ok(), "of {count} one is left open: {ended:?}");
            }
            let mut server = Server::start(|_| {}).await;
            let waiting = crowd(server.address, count, head).await;
            drop(server.stop.take());
            let stopped = tokio::time::timeout(Duration::from_secs(3), &mut server.done).await;
            assert!(stopped.is_ok(), "of {count} one does not know that the server stops");
            drop(waiting);
        }
    }
}

/// Connects many at once, so that the server finds all of them in one turn.
async fn crowd(address: SocketAddr, count: usize, head: &str) -> Vec<std::net::TcpStream> {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    // There is one worker, and it is busy now.
    let busy = tokio::spawn(async move { wait.recv() });
    let mut all = Vec::new();
    for _ in 0..count {
        let mut one = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut one, head.as_bytes()).unwrap();
        all.push(one);
    }
    drop(go);
    let _ = busy.await;
    // What they are sent is read once everybody has had a turn.
    tokio::time::sleep(Duration::from_millis(50)).await;
    all
}

/// WEB-08: random heads never get an answer of the library's own making.
#[tokio::test]
async fn no_head_gets_an_answer_without_our_headers() {
    let server = Server::start(|_| {}).await;
    let random = Random::os();
    let pieces: [&[u8]; 24] = [
        b"GET",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: a\r\n",
        b"X: y\r\n",
        b":",
        b"\0",
        b"\xff",
        b"?",
        b"*",
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\t",
        b"%00",
        b"POST",
        b"0\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
    ];
    let mut answered = 0;
    for number in 0..1500 {
        let mut request = match number % 2 {
            0 => b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
            _ => b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        };
        for byte in random.bytes::<3>() {
            let at = usize::from(random.bytes::<1>()[0]) % request.len();
            let piece = pieces[usize::from(byte) % pieces.len()];
            request.splice(at..at, piece.iter().copied());
        }
        let mut stream = server.connect().await;
        stream.write_all(&request).await.unwrap();
        let _ = stream.shutdown().await;
        let answer = rest(&mut stream).await;
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        if !answer.is_empty() {
            answered += 1;
            assert_protected(answer);
        }
    }
    assert!(answered > 500, "{answered}");
}
