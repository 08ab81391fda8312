//! Back-channel logout: apps hear of the end of a stay, once it is on disk and until they have taken it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::accounts::records::Role;
use doorward::audit::{Audit, AuditRow, Filter};
use doorward::crypto::keys::MasterKey;
use doorward::crypto::sealed::Sealer;
use doorward::http::outgoing::{Outgoing, OutgoingSettings};
use doorward::kernel::random::Random;
use doorward::kernel::time::{Clock, SharedClock, TestClock, Timestamp};
use doorward::oidc::backchannel::{Backchannel, GIVE_UP_AFTER, LogoutNotice, LogoutTokens, MOST_WAITING};
use doorward::sessions::{EndedSession, OnEnd};
use doorward::store::{Batch, OpenSettings, Opened, Store};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::harness::{ORIGIN, Server, TempDir, until};
use crate::outgoing::Host;

/// Signs logout tokens for every client but `gone`.
struct Signer {
    key: Ed25519KeyPair,
    clock: Arc<dyn Clock>,
}

impl LogoutTokens for Signer {
    fn make(&self, notice: &LogoutNotice) -> Option<String> {
        let now = self.clock.now().as_secs();
        let header = json!({"alg": "EdDSA", "typ": "logout+jwt"});
        let claims = json!({
            "iss": ORIGIN, "aud": notice.client_id, "iat": now, "exp": now + 120, "sub": notice.subject,
            "sid": notice.sid, "jti": BASE64URL_NOPAD.encode(&notice.token_jti),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = BASE64URL_NOPAD.encode(self.key.sign(signed.as_bytes()).as_ref());
        (notice.client_id != "gone").then(|| format!("{signed}.{signature}"))
    }
}

/// Tells one app of every stay that ends.
struct Tell {
    channel: Backchannel,
    uri: String,
    now: Timestamp,
}

impl OnEnd for Tell {
    fn stage(&self, batch: &mut Batch, ended: &EndedSession) {
        self.channel.stage(
            batch,
            LogoutNotice::new(
                &Random::os(),
                "app".to_owned(),
                self.uri.clone(),
                ended.user.to_string(),
                Some(ended.sid.to_string()),
                self.now,
            ),
        );
    }
}

/// A store with notices, and what delivers them.
struct Desk {
    dir: Arc<TempDir>,
    clock: Arc<TestClock>,
    store: Store,
    audit: Audit,
    channel: Backchannel,
    signer: Arc<Signer>,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    opened: Option<Opened>,
}

impl Desk {
    fn start() -> Desk {
        Desk::over(Arc::new(TempDir::new()), TestClock::at(Timestamp::from_secs(1_800_000_000)))
    }

    fn over(dir: Arc<TempDir>, clock: Arc<TestClock>) -> Desk {
        let mut settings = OpenSettings::new(&dir.0);
        settings.free_space_floor = Some(0);
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([42; 32])));
        let shared: SharedClock = clock.clone();
        let opened = doorward::store::open(&settings, &sealer, &Random::os(), &shared).unwrap();
        let store = opened.store.clone();
        let audit = Audit::open(store.clone(), shared, Random::os(), GIVE_UP_AFTER * 30).unwrap();
        Desk { opened: Some(opened), ..Desk::beside(dir, clock, store, audit) }
    }

    /// Works on a store that somebody else opened.
    fn beside(dir: Arc<TempDir>, clock: Arc<TestClock>, store: Store, audit: Audit) -> Desk {
        let outgoing = Outgoing::new(OutgoingSettings {
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..OutgoingSettings::default()
        });
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let channel =
            Backchannel::open(store.clone(), audit.clone(), clock.clone(), Random::os(), outgoing.unwrap());
        Desk {
            channel: channel.unwrap(),
            signer: Arc::new(Signer { key, clock: clock.clone() }),
            stop: watch::channel(false).0,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            opened: None,
            dir,
            clock,
            store,
            audit,
        }
    }

    /// Starts the worker.
    fn work(&self) {
        self.runtime.spawn(self.channel.clone().run(self.signer.clone(), self.stop.subscribe()));
    }

    fn restart(self) -> Desk {
        let (dir, clock) = (self.dir.clone(), self.clock.clone());
        self.opened.as_ref().unwrap().close();
        // The lock of the directory goes with the last part that knows the store.
        drop(self);
        Desk::over(dir, clock)
    }

    fn stage(&self, client_id: &str, host: &Host, count: usize) {
        let mut batch = self.store.batch();
        for index in 0..count {
            let uri = format!("http://{}/logout", host.address);
            let (subject, now) = (format!("person-{index}"), self.clock.now());
            let notice = LogoutNotice::new(&Random::os(), client_id.to_owned(), uri, subject, None, now);
            self.channel.stage(&mut batch, notice);
        }
        self.runtime.block_on(self.store.commit(batch)).unwrap();
    }

    /// Waits until so many calls in vain are written down.
    #[track_caller]
    fn until_in_vain(&self, calls: u32) {
        until("the app answers", || {
            let mut attempts = 0;
            let read = self.store.for_each::<LogoutNotice>(|_, notice| {
                attempts += notice.attempts;
                Ok(())
            });
            read.unwrap();
            attempts == calls
        });
    }

    fn failures(&self) -> Vec<AuditRow> {
        self.runtime.block_on(self.audit.flush()).unwrap();
        let filter = Filter { kind_prefix: Some("client.logout_failed".to_owned()), ..Filter::default() };
        self.audit.part(&filter, None, 200).unwrap().rows
    }

    fn claims(&self, asked: &str) -> Value {
        let body = asked.split_once("\r\n\r\n").unwrap().1;
        let token = body.strip_prefix("logout_token=").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        UnparsedPublicKey::new(&ED25519, self.signer.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        let claims = BASE64URL_NOPAD.decode(signed.split_once('.').unwrap().1.as_bytes()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }
}

/// A host that answers with these statuses one after the other, the last one again and again.
fn host(statuses: &'static [u16]) -> Host {
    let next = AtomicUsize::new(0);
    Host::start(move |_, stream| {
        let status = statuses[next.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1)];
        let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: /\r\n\r\n");
    })
}

/// OA-20: signing out tells the app, with a signed token and nothing else.
#[test]
fn an_app_hears_of_a_sign_out() {
    let (server, app) = (Server::start(), host(&[200]));
    let (store, audit) = (server.app().store().clone(), server.app().audit.clone());
    let desk = Desk::beside(server.dir.clone(), server.clock.clone(), store, audit);
    desk.work();
    let uri = format!("http://{}/logout", app.address);
    let tell = Tell { channel: desk.channel.clone(), uri, now: desk.clock.now() };
    server.app().sessions.add_on_end(Arc::new(tell));
    let ada = server.add_bare_user("ada", Role::Member);
    let session = server.web_session(ada);
    session.client(&server).post("/api/v1/auth/logout", json!({})).expect(204);
    until("the app is told", || app.count() == 1 && desk.channel.waiting() == 0);
    let asked = app.asked.lock().clone();
    assert!(asked[0].starts_with("POST /logout HTTP/1.1\r\n"), "{}", asked[0]);
    let claims = desk.claims(&asked[0]);
    assert_eq!(claims["sid"], session.id.to_string());
    assert_eq!(claims["sub"], ada.to_string());
    assert_eq!(claims["aud"], "app");
    assert!(desk.failures().is_empty());
}

#[test]
fn an_app_that_fails_is_told_later_with_the_same_jti() {
    let (desk, app) = (Desk::start(), host(&[503, 302, 204]));
    desk.work();
    desk.stage("app", &app, 1);
    for (calls, pause) in [(1, 5), (2, 30)] {
        // The answer has to arrive before the clock moves.
        desk.until_in_vain(calls);
        desk.clock.advance(Duration::from_secs(pause - 1));
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(app.count(), calls as usize, "not before its time");
        desk.clock.advance(Duration::from_secs(1));
    }
    until("no notice waits", || desk.channel.waiting() == 0);
    let asked = app.asked.lock().clone();
    let tries: Vec<Value> = asked.iter().map(|asked| desk.claims(asked)["jti"].clone()).collect();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|jti| *jti == tries[0]));
    assert!(desk.failures().is_empty());
}

#[test]
fn an_app_that_refuses_or_never_answers_is_given_up_and_it_is_written_down() {
    let (desk, refusing, failing) = (Desk::start(), host(&[400]), host(&[500]));
    desk.work();
    desk.stage("refusing", &refusing, 1);
    until("no notice waits", || desk.channel.waiting() == 0);
    desk.stage("failing", &failing, 1);
    desk.until_in_vain(1);
    desk.clock.advance(GIVE_UP_AFTER);
    until("no notice waits", || desk.channel.waiting() == 0);
    assert_eq!((refusing.count(), failing.count()), (1, 1));
    let told: Vec<_> = desk.failures().into_iter().map(|row| row.target).collect();
    assert_eq!(told, [Some("failing".to_owned()), Some("refusing".to_owned())]);
}

#[test]
fn an_app_that_is_gone_is_not_called() {
    let (desk, app) = (Desk::start(), host(&[200]));
    desk.work();
    desk.stage("gone", &app, 3);
    until("no notice waits", || desk.channel.waiting() == 0);
    assert_eq!(app.count(), 0);
    assert!(desk.failures().is_empty());
}

/// FAIL-01: what waits survives a stop in order, with the count of its calls.
#[test]
fn notices_survive_a_restart() {
    let (desk, app) = (Desk::start(), host(&[503, 200]));
    desk.work();
    desk.stage("app", &app, 1);
    desk.until_in_vain(1);
    let desk = desk.restart();
    assert_eq!(desk.channel.waiting(), 1);
    desk.work();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(app.count(), 1, "it remembers when to call again");
    desk.clock.advance(Duration::from_secs(5));
    until("no notice waits", || desk.channel.waiting() == 0);
    assert_eq!(app.count(), 2);
    let desk = desk.restart();
    assert_eq!(desk.channel.waiting(), 0, "what was taken does not come back");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// FAIL-01: what a kill leaves behind is what was on disk at the moment of the answer; the notice is in it.
#[test]
fn notices_survive_a_kill() {
    let (desk, app) = (Desk::start(), host(&[200]));
    desk.stage("app", &app, 3);
    let left_behind = Arc::new(TempDir::new());
    copy(&desk.dir.0, &left_behind.0);
    let desk = Desk::over(left_behind, desk.clock.clone());
    assert_eq!(desk.channel.waiting(), 3);
    desk.work();
    until("no notice waits", || desk.channel.waiting() == 0);
    assert_eq!(app.count(), 3);
}

/// RES-03: an app that hangs is called twice at the same time at most, and nobody waits for it.
#[test]
fn a_slow_app_holds_up_nobody() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (now.clone(), most.clone());
    let slow = Host::start(move |_, stream| {
        peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1500));
        count.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let (desk, quick) = (Desk::start(), host(&[200]));
    desk.stage("slow", &slow, 20);
    desk.stage("quick", &quick, 40);
    desk.work();
    until("the quick app is told", || quick.count() == 40);
    assert!(slow.count() < 20, "the slow one was waited for");
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// RES-03: what waits is bounded; the oldest give way, and it is written down.
#[test]
fn the_oldest_notices_give_way() {
    let (desk, app) = (Desk::start(), host(&[500]));
    desk.stage("oldest", &app, 300);
    for _ in 0..MOST_WAITING / 1000 {
        desk.clock.advance(Duration::from_secs(1));
        desk.stage("app", &app, 1000);
    }
    // Nothing of it is due: only the bound is at work.
    let before = desk.clock.now().minus(Duration::from_secs(600));
    desk.clock.set_wall(before);
    desk.work();
    until("the oldest are gone", || desk.channel.waiting() == MOST_WAITING);
    let failures = desk.failures();
    let counts: Vec<_> =
        failures.iter().flat_map(|row| row.details.clone()).filter(|(key, _)| key == "count").collect();
    assert_eq!(counts.iter().map(|(_, count)| count.parse::<usize>().unwrap()).sum::<usize>(), 300);
}
