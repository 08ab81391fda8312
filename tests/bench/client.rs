//! The load client of tests/bench/run, for what wrk cannot do: each of its clients keeps a state of its own.
//!
//! ```text
//! bench-client refresh ADDRESS SECONDS CLIENTS USER_PREFIX PASSWORD    rotates refresh tokens
//! bench-client sign-in ADDRESS SECONDS CLIENTS USER_PREFIX PASSWORD    signs in
//! bench-client exchange ADDRESS SECONDS CLIENTS USER_PREFIX PASSWORD CLIENT_ID SECRET REDIRECT_URI    exchanges codes
//! bench-client flood   ADDRESS SECONDS CLIENTS                         signs in with wrong passwords from everywhere
//! bench-client probe   ADDRESS SECONDS CLIENTS PATH [HEADER...]        asks one thing and measures how long it takes
//! ```
//!
//! The name in `Host` is taken from the variable BENCH_HOST. Prints one line of JSON: counts by status, answers per second, p50 and p99 in microseconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use doorward::kernel::random::Random;
use doorward::kernel::time::{SharedClock, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How many codes one client exchanges: as many as one signed-in stay may fetch, and a few less.
const CODES: usize = 250;
/// How often one client of a probe asks, unless BENCH_INTERVAL says so in microseconds. Not a whole millisecond, so that
/// it does not run in step with anything.
const PROBE_INTERVAL: u64 = 1_370;

type Failure = Box<dyn Error + Send + Sync>;

/// A connection that is kept, and made again when the server closes it.
struct Connection {
    address: String,
    host: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Returns the values of a header field, whose name is given in lower case.
    fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.split("\r\n").filter_map(move |line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Connection {
    fn new(address: &str) -> Self {
        let host = std::env::var("BENCH_HOST").unwrap_or_else(|_| address.to_owned());
        Connection { address: address.to_owned(), host, stream: None, buffer: Vec::with_capacity(16 * 1024) }
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[String],
        body: &str,
    ) -> Result<Answer, Failure> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            let kind = if body.starts_with('{') { "json" } else { "x-www-form-urlencoded" };
            request
                .push_str(&format!("Content-Type: application/{kind}\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request.as_bytes()).await?;
        let (answer, keeps_open) = read_answer(&mut stream, &mut self.buffer).await?;
        if keeps_open {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(Answer, bool), Failure> {
    buffer.clear();
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server hung up".into());
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..head_end).unwrap_or_default()).into_owned();
    let status: u16 = head.split(' ').nth(1).unwrap_or_default().parse()?;
    let lower = head.to_ascii_lowercase();
    let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length: usize = field("content-length").unwrap_or("0").parse()?;
    let keeps_open = field("connection") != Some("close");
    while buffer.len() < head_end + 4 + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server hung up".into());
        }
    }
    let body = buffer.get(head_end + 4..head_end + 4 + length).unwrap_or_default().to_vec();
    Ok((Answer { status, head, body }, keeps_open))
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u64>,
    micros: Vec<u32>,
    /// How long it was at work.
    took: Duration,
}

impl Seen {
    fn add(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    fn report(mut self) -> Value {
        let took = self.took;
        self.micros.sort_unstable();
        let at = |share: f64| {
            let last = self.micros.len().saturating_sub(1) as f64;
            self.micros.get((last * share) as usize).copied().unwrap_or(0)
        };
        let total: u64 = self.statuses.values().sum();
        let good: u64 =
            self.statuses.iter().filter(|(status, _)| **status < 300).map(|(_, count)| count).sum();
        json!({
            "answers": total,
            "good": good,
            "per_second": total as f64 / took.as_secs_f64(),
            "good_per_second": good as f64 / took.as_secs_f64(),
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "statuses": self.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
        })
    }
}

struct Plan {
    mode: String,
    address: String,
    length: Duration,
    rest: Vec<String>,
    /// How often one client of a probe asks.
    interval: Duration,
    clock: SharedClock,
    random: Random,
}

impl Plan {
    fn rest(&self, index: usize) -> Result<&str, Failure> {
        self.rest.get(index).map(String::as_str).ok_or_else(|| "an argument is missing".into())
    }
}

fn credentials(name: &str, password: &str) -> String {
    json!({ "username": name, "password": password }).to_string()
}

async fn sign_in(connection: &mut Connection, name: &str, password: &str) -> Result<Answer, Failure> {
    connection.ask("POST", "/api/v1/auth/login/api", &[], &credentials(name, password)).await
}

fn refresh_token(body: &[u8]) -> Result<String, Failure> {
    let answer: Value = serde_json::from_slice(body)?;
    let token = answer.get("refresh_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| format!("no refresh token in {answer}").into())
}

/// Signs in with patience, because the password queue is short.
async fn first_token(plan: &Plan, connection: &mut Connection, number: usize) -> Result<String, Failure> {
    let name = format!("{}{number}", plan.rest(0)?);
    for _ in 0..200 {
        let answer = sign_in(connection, &name, plan.rest(1)?).await?;
        match answer.status {
            200 => return refresh_token(&answer.body),
            429 | 503 => tokio::time::sleep(Duration::from_millis(250)).await,
            status => {
                return Err(format!("{name}: {status} {}", String::from_utf8_lossy(&answer.body)).into());
            }
        }
    }
    Err(format!("{name} was never let in").into())
}

/// Signs a browser in and returns its session cookie.
async fn browser_cookie(plan: &Plan, connection: &mut Connection, number: usize) -> Result<String, Failure> {
    let body = credentials(&format!("{}{number}", plan.rest(0)?), plan.rest(1)?);
    let headers = [format!("Origin: http://{}", connection.host), "Sec-Fetch-Site: same-origin".to_owned()];
    for _ in 0..200 {
        let answer = connection.ask("POST", "/api/v1/auth/login/web", &headers, &body).await?;
        match answer.status {
            200 => {
                let cookies = answer.fields("set-cookie").filter_map(|cookie| cookie.split(';').next());
                let session = cookies.into_iter().find(|cookie| cookie.starts_with("dw="));
                return session.map(|cookie| format!("Cookie: {cookie}")).ok_or_else(|| "no cookie".into());
            }
            429 | 503 => tokio::time::sleep(Duration::from_millis(250)).await,
            status => return Err(format!("web sign-in: {status}").into()),
        }
    }
    Err("nobody was let in".into())
}

/// Lets a browser fetch a code and returns the form that exchanges it.
async fn code_form(plan: &Plan, connection: &mut Connection, cookie: &str) -> Result<String, Failure> {
    let (client, redirect) = (plan.rest(2)?, plan.rest(4)?);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client)
        .append_pair("redirect_uri", redirect)
        .append_pair("response_type", "code")
        .append_pair("scope", "openid profile email offline_access")
        .finish();
    let path = format!("/oauth2/authorize?{query}");
    let answer = connection.ask("GET", &path, &[cookie.to_owned()], "").await?;
    let location = answer.fields("location").next().unwrap_or_default();
    let (_, query) = location.split_once('?').unwrap_or_default();
    let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
    let (_, code) = code.ok_or_else(|| format!("no code: {} {location}", answer.status))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code").append_pair("code", &code);
    form.append_pair("redirect_uri", redirect).append_pair("client_id", client);
    form.append_pair("client_secret", plan.rest(3)?);
    Ok(form.finish())
}

async fn client(plan: Arc<Plan>, number: usize, start: Arc<tokio::sync::Barrier>) -> Result<Seen, Failure> {
    let mut connection = Connection::new(&plan.address);
    let mut seen = Seen::default();
    let mut token = String::new();
    if plan.mode == "refresh" {
        token = first_token(&plan, &mut connection, number).await?;
    }
    let mut forms = Vec::new();
    if plan.mode == "exchange" {
        let cookie = browser_cookie(&plan, &mut connection, number).await?;
        for _ in 0..CODES {
            forms.push(code_form(&plan, &mut connection, &cookie).await?);
        }
    }
    start.wait().await;
    let start = plan.clock.monotonic();
    let until = start + plan.length;
    let mut due = plan.clock.monotonic();
    while plan.clock.monotonic() < until {
        let mut begun = plan.clock.monotonic();
        if plan.mode == "probe" {
            // Asked at fixed times, and what comes too late because the one before took so long is measured from when it
            // was due: who asks only after an answer skips the very moments at which the server stands still.
            due += plan.interval;
            if let Some(early) = due.checked_sub(begun) {
                tokio::time::sleep(early).await;
                due = plan.clock.monotonic();
            }
            begun = due;
        }
        let answer = match plan.mode.as_str() {
            "exchange" => {
                let Some(form) = forms.pop() else { break };
                connection.ask("POST", "/oauth2/token", &[], &form).await?
            }
            "refresh" => {
                let body = json!({ "refresh_token": token }).to_string();
                let answer = connection.ask("POST", "/api/v1/auth/refresh/api", &[], &body).await?;
                if answer.status != 200 {
                    return Err(format!(
                        "refresh: {} {}",
                        answer.status,
                        String::from_utf8_lossy(&answer.body)
                    )
                    .into());
                }
                token = refresh_token(&answer.body)?;
                answer
            }
            "sign-in" => {
                sign_in(&mut connection, &format!("{}{number}", plan.rest(0)?), plan.rest(1)?).await?
            }
            "flood" => {
                let [a, b, c, name @ ..] = plan.random.bytes::<7>();
                let from = format!("X-Forwarded-For: 203.{a}.{b}.{c}");
                let name = format!("nobody-{:08x}", u32::from_be_bytes(name));
                let body = credentials(&name, "wrong horse battery staple");
                let headers = [from, "X-Forwarded-Proto: https".to_owned()];
                connection.ask("POST", "/api/v1/auth/login/api", &headers, &body).await?
            }
            _ => connection.ask("GET", plan.rest(0)?, plan.rest.get(1..).unwrap_or_default(), "").await?,
        };
        seen.add(answer.status, plan.clock.monotonic() - begun);
    }
    seen.took = plan.clock.monotonic() - start;
    Ok(seen)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: bench-client MODE ADDRESS SECONDS CLIENTS ...");
    let (mode, address) = (next()?, next()?);
    let (seconds, clients): (u64, usize) = (next()?.parse()?, next()?.parse()?);
    let interval = std::env::var("BENCH_INTERVAL").ok().map(|text| text.parse()).transpose()?;
    let plan = Arc::new(Plan {
        mode,
        address,
        length: Duration::from_secs(seconds),
        rest: arguments.collect(),
        interval: Duration::from_micros(interval.unwrap_or(PROBE_INTERVAL)),
        clock: SystemClock::shared(),
        random: Random::os(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = Arc::new(tokio::sync::Barrier::new(clients));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..clients {
            tasks.spawn(client(plan.clone(), number, start.clone()));
        }
        let mut all = Seen::default();
        while let Some(seen) = tasks.join_next().await {
            let seen = seen??;
            all.micros.extend(seen.micros);
            all.took = all.took.max(seen.took);
            for (status, count) in seen.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
        }
        writeln!(std::io::stdout(), "{}", all.report())?;
        Ok(())
    })
}
