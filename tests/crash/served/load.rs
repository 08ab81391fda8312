//! The clients that keep the server busy. Each remembers what was acknowledged to it, and what it asked last.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward::crypto::totp::{self, TotpSecret};
use doorward::kernel::time::{SharedClock, SystemClock};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::PASSWORD;
use super::wire::{self, Answer, Client};

/// Why a client stopped.
pub(super) enum Stop {
    /// The answer to the last request is lost.
    Lost,
    /// The server is busy with passwords, and said so.
    Busy,
    /// The server answered something that it must not.
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Stop::Lost
    }
}

/// Returns the time since this process started.
pub(super) fn monotonic() -> Duration {
    static CLOCK: LazyLock<SharedClock> = LazyLock::new(SystemClock::shared);
    CLOCK.monotonic()
}

fn wrong(what: &str, answer: &Answer) -> Stop {
    match answer.verdict().as_str() {
        "503 busy" => Stop::Busy,
        verdict => Stop::Wrong(format!("{what}: {verdict}")),
    }
}

/// The tokens of a session that was acknowledged.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        Tokens {
            access: answer.text("access_token").to_owned(),
            refresh: answer.text("refresh_token").to_owned(),
        }
    }
}

/// A person with an acknowledged second factor.
pub(super) struct Enrolled {
    pub(super) name: String,
    /// The code that confirmed it, which may never work again.
    pub(super) first_code: String,
    /// Recovery codes; empty if the answer that held them was lost, and with it whether there is a second factor.
    pub(super) unused: Vec<String>,
    pub(super) used: Vec<String>,
    /// A recovery code that was sent, and the answer lost.
    pub(super) doubtful: Option<String>,
}

/// Everything that was acknowledged, whoever asked.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) people: Mutex<Vec<String>>,
    /// Names that were asked for and not answered.
    pub(super) maybe_people: Mutex<HashSet<String>>,
    pub(super) disabled: Mutex<HashSet<String>>,
    pub(super) ended: Mutex<Vec<Tokens>>,
    pub(super) enrolled: Mutex<Vec<Enrolled>>,
    pub(super) wrong: Mutex<Vec<String>>,
    pub(super) acknowledged: AtomicU64,
    pub(super) rotations: AtomicU64,
    names: AtomicU64,
}

impl Ledger {
    pub(super) fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers a person that is certainly there.
    pub(super) fn add_person(&self, name: String) {
        self.maybe_people.lock().remove(&name);
        self.people.lock().push(name);
        self.count();
    }

    fn new_name(&self, kind: &str) -> String {
        let name = format!("{kind}{}", self.names.fetch_add(1, Ordering::Relaxed));
        self.maybe_people.lock().insert(name.clone());
        name
    }
}

/// Signs in with a password alone.
pub(super) fn sign_in(client: &mut Client, name: &str) -> io::Result<Answer> {
    client.post("/api/v1/auth/login/api", None, &json!({"username": name, "password": PASSWORD}))
}

pub(super) fn refresh(client: &mut Client, token: &str) -> io::Result<Answer> {
    client.post("/api/v1/auth/refresh/api", None, &json!({ "refresh_token": token }))
}

pub(super) fn validate(client: &mut Client, token: &str) -> io::Result<Answer> {
    client.post("/api/v1/auth/validate", None, &json!({ "token": token }))
}

pub(super) fn second_factor(client: &mut Client, pending: &str, code: &str) -> io::Result<Answer> {
    client.post("/api/v1/auth/mfa/api", None, &json!({"pending_token": pending, "otp": code}))
}

/// Where the server is.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) data: PathBuf,
    pub(super) is_over: AtomicBool,
}

/// One who uses the server.
pub(super) trait Worker: Send {
    /// Asks for one thing, or a few that belong together.
    fn step(&mut self, client: &mut Client, target: &Target, ledger: &Ledger) -> Result<(), Stop>;
}

/// Works until the server is gone.
pub(super) fn work(worker: &mut dyn Worker, target: &Target, ledger: &Ledger) {
    let mut client = Client::new(target.address);
    // The server may still be starting; nothing is asked before it answers.
    while !client.is_alive() {
        if target.is_over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    loop {
        match worker.step(&mut client, target, ledger) {
            Ok(()) => {}
            Err(Stop::Busy) => std::thread::sleep(Duration::from_millis(10)),
            Err(Stop::Lost) => {
                if !target.is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(500));
                    if !target.is_over.load(Ordering::Relaxed) {
                        ledger.wrong.lock().push("an answer was lost while the server lived".to_owned());
                    }
                }
                return;
            }
            Err(Stop::Wrong(what)) => return ledger.wrong.lock().push(what),
        }
    }
}

/// Rotates the refresh tokens of one family, as fast as it can.
pub(super) struct Rotator {
    pub(super) name: String,
    pub(super) family: Option<Family>,
}

/// What the client of a family knows.
pub(super) struct Family {
    pub(super) newest: Tokens,
    /// The acknowledged token before the newest.
    pub(super) spent: Option<String>,
    /// When the newest was first used, if no answer came; by the monotonic clock.
    pub(super) asked: Option<Duration>,
}

impl Family {
    /// Tells whether a use that was not answered may be longer ago than the grace window, on a very slow machine.
    pub(super) fn is_late(&self) -> bool {
        self.asked.is_some_and(|asked| monotonic() - asked > Duration::from_secs(9))
    }

    /// Uses the newest token.
    pub(super) fn rotate(&mut self, client: &mut Client) -> Result<Answer, Stop> {
        self.asked.get_or_insert_with(monotonic);
        let answer = refresh(client, &self.newest.refresh)?;
        if answer.status == 200 {
            let before = std::mem::replace(&mut self.newest, Tokens::of(&answer));
            if before.refresh == self.newest.refresh {
                return Err(Stop::Wrong("a rotation answered the same token".to_owned()));
            }
            self.spent = Some(before.refresh);
            self.asked = None;
        }
        Ok(answer)
    }
}

impl Worker for Rotator {
    fn step(&mut self, client: &mut Client, _: &Target, ledger: &Ledger) -> Result<(), Stop> {
        let Some(family) = &mut self.family else {
            let answer = sign_in(client, &self.name)?;
            if answer.status != 200 {
                return Err(wrong(&format!("{} cannot sign in", self.name), &answer));
            }
            ledger.count();
            self.family = Some(Family { newest: Tokens::of(&answer), spent: None, asked: None });
            return Ok(());
        };
        let is_late = family.is_late();
        let answer = family.rotate(client)?;
        if answer.status == 200 {
            ledger.count();
            ledger.rotations.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if is_late {
            self.family = None;
            return Ok(());
        }
        Err(wrong("the newest acknowledged refresh token is refused", &answer))
    }
}

/// Signs in and out.
pub(super) struct Visitor {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) open: Option<OpenSession>,
}

/// A session whose sign-in was acknowledged.
pub(super) struct OpenSession {
    pub(super) tokens: Tokens,
    /// Whether the sign-out was sent. Until then the session must be there.
    pub(super) is_ending: bool,
}

impl Worker for Visitor {
    fn step(&mut self, client: &mut Client, _: &Target, ledger: &Ledger) -> Result<(), Stop> {
        let answer = sign_in(client, &self.name)?;
        if answer.status != 200 {
            return Err(wrong(&format!("{} cannot sign in", self.name), &answer));
        }
        ledger.count();
        self.count += 1;
        let open = self.open.insert(OpenSession { tokens: Tokens::of(&answer), is_ending: false });
        let path = match self.count % 4 {
            0 => "/api/v1/auth/logout/all",
            _ => "/api/v1/auth/logout",
        };
        open.is_ending = true;
        let answer = client.post(path, Some(&open.tokens.access), &json!({}))?;
        if answer.status != 204 {
            return Err(wrong("a session cannot be ended", &answer));
        }
        ledger.count();
        ledger.ended.lock().extend(self.open.take().map(|open| open.tokens));
        Ok(())
    }
}

/// Registers over HTTP.
pub(super) struct Registrar;

impl Worker for Registrar {
    fn step(&mut self, client: &mut Client, _: &Target, ledger: &Ledger) -> Result<(), Stop> {
        let name = ledger.new_name("web");
        let body = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org")});
        let answer = client.post("/api/v1/users", None, &body)?;
        if answer.status != 201 {
            return Err(wrong("a registration is refused", &answer));
        }
        ledger.add_person(name);
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
}

/// Adds and disables people on the machine itself.
pub(super) struct Clerk;

fn tell(target: &Target, words: &str, read: Option<&str>) -> Result<(), Stop> {
    match wire::order(&target.data, words, read)? {
        Ok(_) => Ok(()),
        Err(why) => Err(Stop::Wrong(format!("an order is refused: {why}"))),
    }
}

impl Worker for Clerk {
    fn step(&mut self, _: &mut Client, target: &Target, ledger: &Ledger) -> Result<(), Stop> {
        let name = ledger.new_name("cli");
        tell(target, &format!("user add {name} --group family"), None)?;
        ledger.add_person(name.clone());
        tell(target, &format!("user disable {name}"), None)?;
        ledger.disabled.lock().insert(name);
        ledger.count();
        std::thread::sleep(Duration::from_millis(10));
        Ok(())
    }
}

/// Sets up second factors, and signs in with a recovery code.
pub(super) struct Enroller;

impl Worker for Enroller {
    fn step(&mut self, client: &mut Client, target: &Target, ledger: &Ledger) -> Result<(), Stop> {
        let name = ledger.new_name("admin");
        tell(
            target,
            &format!("user add {name} --group family --role admin --password-stdin"),
            Some(PASSWORD),
        )?;
        ledger.add_person(name.clone());
        let answer = sign_in(client, &name)?;
        if answer.text("status") != "mfa_enrolment_required" {
            return Err(wrong("an administrator need not enrol", &answer));
        }
        let base32 = answer.body.pointer("/totp/secret").and_then(Value::as_str).unwrap_or_default();
        let code = code(base32).ok_or_else(|| Stop::Wrong(format!("no TOTP secret: {base32:?}")))?;
        let mut person =
            Enrolled { name, first_code: code.clone(), unused: Vec::new(), used: Vec::new(), doubtful: None };
        let confirmed = second_factor(client, answer.text("pending_token"), &code);
        let codes = confirmed.as_ref().ok().and_then(|answer| answer.body.get("recovery_codes")?.as_array());
        let codes = codes.into_iter().flatten().filter_map(Value::as_str);
        person.unused = codes.map(str::to_owned).collect();
        let is_confirmed = confirmed.as_ref().is_ok_and(|answer| answer.status == 200);
        let result = if is_confirmed { person.recover(client, ledger) } else { Ok(()) };
        ledger.enrolled.lock().push(person);
        let confirmed = confirmed?;
        if confirmed.status != 200 {
            return Err(wrong("the first code is refused", &confirmed));
        }
        result
    }
}

impl Enrolled {
    /// Signs in with one recovery code.
    fn recover(&mut self, client: &mut Client, ledger: &Ledger) -> Result<(), Stop> {
        ledger.count();
        let answer = sign_in(client, &self.name)?;
        if answer.text("status") != "mfa_required" {
            return Err(wrong("no second factor is asked for after it was confirmed", &answer));
        }
        let Some(code) = self.unused.pop() else {
            return Err(Stop::Wrong("a confirmed second factor came without recovery codes".to_owned()));
        };
        self.doubtful = Some(code.clone());
        let answer = second_factor(client, answer.text("pending_token"), &code)?;
        if answer.status != 200 {
            return Err(wrong("a recovery code is refused", &answer));
        }
        ledger.count();
        self.used.extend(self.doubtful.take());
        Ok(())
    }
}

fn code(base32: &str) -> Option<String> {
    let secret = data_encoding::BASE32_NOPAD.decode(base32.replace(' ', "").as_bytes()).ok()?;
    let secret = TotpSecret::from_slice(&secret)?;
    Some(totp::code_at(&secret, totp::step_at(SystemClock::shared().now())))
}
