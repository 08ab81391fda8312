//! A real server on port 0 with a real store and a clock that the test moves, and a client that speaks HTTP/1.1 in
//! the open, so that a test can send anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use doorward::access::ForwardAuthSettings;
use doorward::accounts::enrolment::Asker;
use doorward::accounts::records::Role;
use doorward::accounts::users::{NewUser, SecondFactorPolicy};
use doorward::app::{App, Options, Running};
use doorward::crypto::key_ring::Schedule;
use doorward::crypto::keys::MasterKey;
use doorward::crypto::password::{HashSettings, Ticket};
use doorward::crypto::totp::{self, TotpSecret};
use doorward::http::outgoing::OutgoingSettings;
use doorward::kernel::ids::UserId;
use doorward::kernel::random::Random;
use doorward::kernel::secret::SecretText;
use doorward::kernel::text::{DisplayName, Email, GroupName, Username};
use doorward::kernel::time::{Clock, SystemClock, TestClock, Timestamp};
use doorward::limits::{LimitSettings, Rule};
use doorward::oidc::OidcSettings;
use doorward::operations::system::settings::SettingsReport;
use doorward::sessions::Lifetimes;
use doorward::sign_in::SignInRules;
use doorward::sign_in::registration::Policy;
use doorward::site::Fixed;
use doorward::store::OpenSettings;

/// A password that passes every rule.
pub(crate) const PASSWORD: &str = "plum-anchor-violet-seventy";
/// Where the tests' Doorward lives.
pub(crate) const ORIGIN: &str = "http://localhost";

/// Longer than anything takes, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what somebody else does.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = SystemClock::shared();
    while !is_so() {
        assert!(begun.monotonic() < PATIENCE, "it does not happen that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory that goes away with the test.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::SeqCst);
            let path = std::env::temp_dir().join(format!("doorward-it-{}-{number}", std::process::id()));
            // A run that was killed leaves its directory behind, and numbers of processes come again.
            match std::fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}"),
            }
        };
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        TempDir(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the options of a test server over `dir`.
pub(crate) fn options(dir: &Path) -> Options {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let mut store = OpenSettings::new(dir);
    store.free_space_floor = Some(0);
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        metrics_listen: None,
        store,
        master: MasterKey::from_bytes([42; 32]),
        site: Fixed {
            public_origin: Some(ORIGIN.to_owned()),
            protected_domain: Some("home.localhost".to_owned()),
            default_origin: ORIGIN.to_owned(),
            trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
            ..Fixed::default()
        },
        lifetimes: Lifetimes {
            idle: minutes(30),
            absolute: minutes(24 * 60),
            remembered: minutes(30 * 24 * 60),
            access_token: minutes(30),
            refresh: minutes(7 * 24 * 60),
            refresh_absolute: minutes(30 * 24 * 60),
            refresh_grace: Duration::from_secs(10),
        },
        keys: Schedule::default(),
        token_cache: 1000,
        // The floor of PWD-05 is the default; tests would only take longer with it.
        // Many servers share the machine with each other's tests, so nobody waits for an idle core.
        hashing: HashSettings {
            memory_kib: 19_456,
            passes: 2,
            is_idle_priority: false,
            // Nor does a busy machine turn anybody away.
            max_wait: Duration::from_secs(60),
            ..HashSettings::default()
        },
        limits: LimitSettings { caution_after_start: Duration::ZERO, ..LimitSettings::default() },
        sign_in: SignInRules {
            sign_in: Rule::new("sign-in", 5, minutes(5)),
            place: Rule::new("place", 200, minutes(5)),
            suspend: Rule::new("suspend", 5, minutes(12 * 60)),
            totp: Rule::new("totp", 3, minutes(5)),
            totp_hour: Rule::new("totp-hour", 10, minutes(60)),
            registration: Rule::new("registration", 3, minutes(60)),
        },
        api_rule: Rule::new("api", 1000, minutes(60)),
        registration: Policy::Open,
        second_factor: SecondFactorPolicy::Optional,
        forward_auth: ForwardAuthSettings::default(),
        oidc: OidcSettings::default(),
        outgoing: OutgoingSettings::default(),
        audit_retention: minutes(30 * 24 * 60),
        max_connections: 1024,
        max_connections_per_address: 1024,
        data_directory: dir.to_owned(),
        settings: SettingsReport::default(),
        key_file: doorward::setup::KeyFile { path: dir.join("master.key"), is_own: true },
    }
}

/// Takes every limit away, for tests that ask more than any person would.
pub(crate) fn lift_limits(options: &mut Options) {
    for rule in [
        &mut options.api_rule,
        &mut options.sign_in.sign_in,
        &mut options.sign_in.place,
        &mut options.sign_in.suspend,
        &mut options.sign_in.totp,
        &mut options.sign_in.totp_hour,
        &mut options.sign_in.registration,
    ] {
        rule.limit = 10_000_000;
    }
}

/// Makes passwords cheap to hash, for tests that sign in again and again and prove something else.
pub(crate) fn cheapen_hashing(options: &mut Options) {
    (options.hashing.memory_kib, options.hashing.passes) = (64, 1);
}

/// A running Doorward.
pub(crate) struct Server {
    pub(crate) dir: Arc<TempDir>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> Server {
        let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
        Server::start_at(Arc::new(TempDir::new()), clock, change)
    }

    /// Starts over `dir`, with the setup closed: a test makes the users it needs.
    pub(crate) fn start_at(
        dir: Arc<TempDir>,
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut Options),
    ) -> Server {
        let server = Server::start_unclaimed(dir, clock, change);
        let setup = &server.app().setup;
        if !setup.is_claimed() {
            server.block_on(setup.close_without_owner()).unwrap();
        }
        server
    }

    /// Starts over `dir` as it is; an empty one waits for its owner.
    pub(crate) fn start_unclaimed(
        dir: Arc<TempDir>,
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut Options),
    ) -> Server {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut options = options(&dir.0);
        change(&mut options);
        let running = runtime
            .block_on(Running::start(options, doorward::front::open, clock.clone(), Random::os()))
            .expect("the server starts");
        Server { dir, clock, address: running.address, runtime, running: Some(running) }
    }

    /// Stops in order and starts again over the same data.
    pub(crate) fn restart(self) -> Server {
        self.restart_with(|_| {})
    }

    pub(crate) fn restart_with(mut self, change: impl FnOnce(&mut Options)) -> Server {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.stop());
        let (dir, clock) = (self.dir.clone(), self.clock.clone());
        drop(self);
        Server::start_at(dir, clock, change)
    }

    /// Asks the listener of the metrics, if the options want one.
    pub(crate) fn metrics_client(&self) -> Client {
        let address = self.running.as_ref().unwrap().metrics_address.unwrap();
        Client { address, cookies: Vec::new(), bearer: None, headers: Vec::new() }
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.running.as_ref().unwrap().app
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits until somebody's password is being hashed.
    #[track_caller]
    pub(crate) fn until_hashing(&self) {
        until("a password is hashed", || self.app().hashing().running > 0);
    }

    /// Makes a user with [`PASSWORD`].
    pub(crate) fn add_user(&self, name: &str, role: Role, groups: &[&str]) -> UserId {
        self.add_user_with(name, role, groups, PASSWORD)
    }

    pub(crate) fn add_user_with(&self, name: &str, role: Role, groups: &[&str], password: &str) -> UserId {
        let app = self.app();
        self.block_on(async {
            let password = SecretText::new(password.to_owned());
            let phc = app.accounts.hash_password(&password, Ticket::default()).await.unwrap();
            let mut batch = app.store().batch();
            let id = app
                .accounts
                .stage_create(
                    &mut batch,
                    NewUser {
                        username: Username::parse(name).unwrap(),
                        display_name: DisplayName::parse(&format!("{name} Person")).unwrap(),
                        email: Some(Email::parse(&format!("{name}@example.org")).unwrap()),
                        groups: groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
                        role,
                        password_hash: Some(phc),
                    },
                )
                .unwrap();
            app.store().commit(batch).await.unwrap();
            id
        })
    }

    /// Enrols TOTP for a user and returns the authenticator and the recovery codes.
    pub(crate) fn enrol_totp(&self, user: UserId) -> (Authenticator, Vec<String>) {
        let app = self.app();
        let asker = Asker::command_line();
        let enrolment = self.block_on(app.accounts.begin_totp(user, asker, "Test")).unwrap();
        let authenticator = Authenticator::new(&enrolment.secret_base32, self.clock.clone());
        let codes = self
            .block_on(app.accounts.confirm_totp(user, asker, &authenticator.code(), |_, _| {}))
            .unwrap()
            .expect("the first code is right");
        self.clock.advance(Duration::from_secs(30));
        (authenticator, codes)
    }

    /// Replaces the access rules, one a line.
    pub(crate) fn set_rules(&self, lines: &[&str]) {
        let rules = lines.iter().map(|line| doorward::access::rule_text::parse_line(line).unwrap()).collect();
        let access = &self.app().access;
        let event = doorward::audit::Event::succeeded(doorward::audit::Kind::RuleChanged).by_system("test");
        self.block_on(access.replace_all(rules, access.list().version(), event)).unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address, cookies: Vec::new(), bearer: None, headers: Vec::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

/// An authenticator app.
#[derive(Clone)]
pub(crate) struct Authenticator {
    secret: Vec<u8>,
    clock: Arc<TestClock>,
}

impl Authenticator {
    pub(crate) fn new(base32: &str, clock: Arc<TestClock>) -> Authenticator {
        let secret = data_encoding::BASE32_NOPAD.decode(base32.replace(' ', "").as_bytes()).unwrap();
        Authenticator { secret, clock }
    }

    pub(crate) fn code(&self) -> String {
        let secret = TotpSecret::from_slice(&self.secret).unwrap();
        totp::code_at(&secret, totp::step_at(self.clock.now()))
    }

    /// Waits for the next code and returns it.
    pub(crate) fn next_code(&self) -> String {
        self.clock.advance(Duration::from_secs(30));
        self.code()
    }
}

/// A client with a cookie jar.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Returns the value of a hidden or visible input of a page.
    pub(crate) fn input(&self, name: &str) -> Option<String> {
        let text = self.text();
        let at = text.find(&format!("name=\"{name}\""))?;
        let tag_start = text[..at].rfind('<')?;
        let tag = &text[tag_start..tag_start + text[tag_start..].find('>')?];
        let value = tag.split("value=\"").nth(1)?;
        Some(value[..value.find('"')?].to_owned())
    }
}

impl Client {
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Client {
        if name == "X-Forwarded-For" {
            // Who comes from elsewhere comes by TLS (SES-06).
            self.headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_bearer(mut self, token: &str) -> Client {
        self.bearer = Some(token.to_owned());
        self
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "text/html,*/*")], b"")
    }

    pub(crate) fn get_json(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "application/json")], b"")
    }

    pub(crate) fn json(&mut self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        let headers =
            [("Content-Type", "application/json"), ("Accept", "application/json"), ("Origin", ORIGIN)];
        self.send(method, path, &headers, &body)
    }

    pub(crate) fn post(&mut self, path: &str, body: serde_json::Value) -> Answer {
        self.json("POST", path, &body)
    }

    pub(crate) fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "text/html"),
            ("Origin", ORIGIN),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.send("POST", path, &headers, body.as_bytes())
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if !has("host") && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        if !self.cookies.is_empty() {
            let jar: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.push_str(&format!("Cookie: {}\r\n", jar.join("; ")));
        }
        if let Some(token) = &self.bearer {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers.iter().filter(|(name, _)| !has(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let answer = exchange(self.address, &[head.as_bytes(), body].concat());
        self.keep_cookies(&answer);
        answer
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(own, _)| own != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

/// Runs `attempt` in `count` threads at the same moment.
pub(crate) fn in_parallel<T: Send + 'static>(
    count: usize,
    attempt: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let (barrier, attempt) = (Arc::new(Barrier::new(count)), Arc::new(attempt));
    let threads: Vec<_> = (0..count)
        .map(|index| {
            let (barrier, attempt) = (barrier.clone(), attempt.clone());
            std::thread::spawn(move || {
                barrier.wait();
                attempt(index)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Sends bytes and reads the whole answer.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A server that refuses a large body need not wait for the rest of it; what it said is there to read.
    if let Err(error) = stream.write_all(bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    parse(&answer)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        })
        .collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = joined(&answer.body);
    }
    answer
}

/// Puts the chunks of a body together, which must be whole (RFC 9112 section 7.1).
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        let rest = &chunks[end + 2..];
        body.extend_from_slice(&rest[..size]);
        assert_eq!(&rest[size..size + 2], b"\r\n");
        chunks = &rest[size + 2..];
        if size == 0 {
            assert!(chunks.is_empty());
            return body;
        }
    }
}
