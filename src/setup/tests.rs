//! The use-cases over a store in memory. The pages are walked in `tests/it/setup.rs`.

use std::net::Ipv4Addr;
use std::path::Path;

use super::*;
use crate::access::snippet::Proxy;
use crate::accounts::Accounts;
use crate::accounts::users::SecondFactorPolicy;
use crate::audit::{Audit, DEFAULT_RETENTION, Filter};
use crate::crypto::key_ring::Schedule;
use crate::crypto::keys::MasterKey;
use crate::crypto::password::{HashSettings, PasswordHasher, Ticket, Verdict};
use crate::crypto::sealed::Sealer;
use crate::crypto::totp::{self, TotpSecret};
use crate::kernel::ids::RequestId;
use crate::kernel::random::Random;
use crate::kernel::time::{Clock, TestClock};
use crate::limits::{LimitSettings, Limits};
use crate::metrics::Metrics;
use crate::sessions::tokens::Tokens;
use crate::sessions::{Lifetimes, Sessions};
use crate::sign_in::SignInRules;
use crate::sign_in::registration::Policy;
use crate::site::{Fixed, Site};
use crate::store::{MemoryEngine, Store};
use crate::words::Words;

const PASSWORD: &str = "plum-anchor-violet";

/// A directory that goes away with the test.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        let name = u64::from_be_bytes(Random::os().bytes());
        let path = std::env::temp_dir().join(format!("doorward-setup-{name:016x}"));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Rig {
    dir: Directory,
    store: Store,
    clock: Arc<TestClock>,
    setup: Setup,
}

fn store() -> Store {
    let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([7; 32])));
    Store::new(Arc::new(MemoryEngine::default()), sealer, Random::os())
}

fn hasher() -> PasswordHasher {
    let settings = HashSettings {
        memory_kib: 8,
        passes: 1,
        threads: 2,
        queue_per_thread: 200,
        max_wait: Duration::from_secs(30),
        is_idle_priority: false,
        pepper: None,
    };
    PasswordHasher::start(settings, Random::os()).unwrap()
}

fn open(dir: &Directory, store: &Store, clock: &Arc<TestClock>) -> Setup {
    open_with(dir, store, clock, Fixed::default())
}

fn open_with(dir: &Directory, store: &Store, clock: &Arc<TestClock>, fixed: Fixed) -> Setup {
    let (random, master) = (Random::os(), MasterKey::from_bytes([7; 32]));
    let fixed = Fixed { default_origin: "http://localhost:8080".into(), ..fixed };
    let site = Site::open(store, fixed).unwrap();
    let audit = Audit::open(store.clone(), clock.clone(), random.clone(), DEFAULT_RETENTION).unwrap();
    let policy = SecondFactorPolicy::Admins;
    let accounts =
        Accounts::open(store.clone(), hasher(), clock.clone(), random.clone(), policy, Vec::new()).unwrap();
    let metrics = Arc::new(Metrics::new());
    let hour = Duration::from_secs(3600);
    let tokens = Tokens::open(
        store,
        clock.clone(),
        random.clone(),
        metrics.clone(),
        site.clone(),
        hour,
        Schedule::default(),
        10,
    )
    .unwrap();
    let lifetimes = Lifetimes {
        idle: hour,
        absolute: hour,
        remembered: hour,
        access_token: hour,
        refresh: hour,
        refresh_absolute: hour,
        refresh_grace: Duration::ZERO,
    };
    let sessions = Sessions::open(
        store.clone(),
        accounts.clone(),
        audit.clone(),
        clock.clone(),
        random.clone(),
        &master,
        lifetimes.clone(),
        tokens,
        Timestamp::ZERO,
        Arc::new(crate::store::clock_mark::ClockMark::load(store).unwrap()),
    )
    .unwrap();
    let limits = LimitSettings { caution_after_start: Duration::ZERO, ..LimitSettings::default() };
    let rule = Rule::new("test", 5, hour);
    let sign_in = SignIn::open(
        crate::sign_in::Parts {
            store: store.clone(),
            accounts,
            sessions,
            site: site.clone(),
            audit: audit.clone(),
            limits: Arc::new(Limits::new(limits, clock.clone(), &random)),
            metrics,
            clock: clock.clone(),
            random,
            rules: SignInRules {
                sign_in: rule,
                place: rule,
                suspend: rule,
                totp: rule,
                totp_hour: rule,
                registration: rule,
            },
            registration: Policy::Closed,
        },
        &master,
    )
    .unwrap();
    let access =
        Access::load(store.clone(), audit, site, crate::access::ForwardAuthSettings::default()).unwrap();
    let outgoing = Outgoing::new(crate::http::outgoing::OutgoingSettings::default()).unwrap();
    let parts = crate::oidc::Parts {
        sign_in: sign_in.clone(),
        lifetimes,
        keys: Schedule::default(),
        token_cache: 10,
        settings: crate::oidc::OidcSettings::default(),
        outgoing: outgoing.clone(),
    };
    let oidc = Oidc::open(parts, &master).unwrap();
    let listen = SocketAddr::from(([0, 0, 0, 0], 8080));
    let data_directory = dir.path().to_owned();
    let key_file = KeyFile::default();
    Setup::open(Parts { sign_in, access, oidc, outgoing, data_directory, key_file, listen }).unwrap()
}

impl Rig {
    fn new() -> Rig {
        let (dir, store) = (Directory::new(), store());
        let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
        let setup = open(&dir, &store, &clock);
        Rig { dir, store, clock, setup }
    }

    fn restart(self) -> Rig {
        let setup = open(&self.dir, &self.store, &self.clock);
        Rig { setup, ..self }
    }

    /// The hash of the setup code, which a browser in the wizard brings.
    fn code(&self) -> [u8; 32] {
        claim::read(self.dir.path()).unwrap().unwrap().hash()
    }

    fn token(&self) -> String {
        claim::read(self.dir.path()).unwrap().unwrap().expose().to_owned()
    }

    async fn kinds(&self) -> Vec<String> {
        self.setup.sign_in.audit.flush().await.unwrap();
        let page = self.setup.sign_in.audit.part(&Filter::default(), None, 100).unwrap();
        page.rows.iter().map(|row| row.kind.clone()).collect()
    }
}

fn visit(last: u8) -> Visit<'static> {
    let ip = IpAddr::V4(Ipv4Addr::new(192, 168, last, 20));
    Visit {
        ip,
        request: RequestId([last; 16]),
        label: "Firefox",
        device: None,
        session: None,
        can_tell: true,
    }
}

fn form(username: &str) -> OwnerForm<'_> {
    OwnerForm { username, display_name: "Ada Lovelace", email: "" }
}

fn password() -> SecretText {
    SecretText::new(PASSWORD.to_owned())
}

/// SET-01: the code opens the wizard, works until there is an owner, and is gone then.
#[tokio::test]
async fn the_token_opens_the_wizard_until_there_is_an_owner() {
    let rig = Rig::new();
    let token = rig.token();
    assert!(rig.setup.banner().unwrap().contains(&format!("http://localhost:8080/setup#{token}")));
    assert!(matches!(rig.setup.claim("", &visit(1)), Err(ClaimError::Wrong)));
    assert!(matches!(rig.setup.claim(&"0".repeat(26), &visit(1)), Err(ClaimError::Wrong)));
    assert!(rig.setup.claim(&token.to_uppercase(), &visit(1)).is_ok());
    assert!(rig.setup.claim(&token.replace('-', " "), &visit(2)).is_ok());
    rig.setup.make_owner(&form("ada"), &password(), Some(&rig.code()), &visit(1)).await.unwrap();
    assert!(rig.setup.is_claimed() && !rig.setup.is_finished());
    assert!(!claim::path(rig.dir.path()).exists());
    assert!(rig.setup.banner().is_none());
    assert!(matches!(rig.setup.claim(&token, &visit(1)), Err(ClaimError::Taken)));
    let kinds = rig.kinds().await;
    for kind in [Kind::SetupClaimFailed, Kind::SetupClaimed, Kind::UserCreated] {
        assert!(kinds.iter().any(|name| name == kind.name()), "{kind:?} is missing in {kinds:?}");
    }
}

/// SET-01, LIM-01: five wrong codes make one place wait, and no other.
#[test]
fn wrong_tokens_make_their_own_place_wait() {
    let rig = Rig::new();
    for _ in 0..5 {
        assert!(matches!(rig.setup.claim("nonsense", &visit(1)), Err(ClaimError::Wrong)));
    }
    assert!(matches!(rig.setup.claim(&rig.token(), &visit(1)), Err(ClaimError::Limited(_))));
    assert!(rig.setup.claim(&rig.token(), &visit(2)).is_ok(), "nobody is locked out by others");
    rig.clock.advance(Duration::from_secs(61));
    assert!(rig.setup.claim(&rig.token(), &visit(1)).is_ok());
}

/// SET-01: a code is good for an hour; the command line renews it while the server runs, and so does a restart.
#[test]
fn a_token_expires_and_is_renewed() {
    let rig = Rig::new();
    let first = rig.token();
    rig.clock.advance(Duration::from_secs(3599));
    assert!(rig.setup.claim(&first, &visit(1)).is_ok());
    rig.clock.advance(Duration::from_secs(1));
    assert!(matches!(rig.setup.claim(&first, &visit(1)), Err(ClaimError::Expired)));
    let renewed = claim::show(rig.dir.path(), false, &Random::os(), rig.clock.now()).unwrap().unwrap();
    assert!(matches!(rig.setup.claim(&first, &visit(1)), Err(ClaimError::Wrong)));
    assert!(rig.setup.claim(renewed.expose(), &visit(1)).is_ok());
    let before = renewed.expose().to_owned();
    let rig = rig.restart();
    assert_ne!(rig.token(), before);
    assert!(rig.setup.claim(&rig.token(), &visit(1)).is_ok());
}

/// SET-01: whoever came in by a code that was renewed since, such as one that was seen by a stranger, is out.
#[tokio::test]
async fn renewing_the_code_takes_out_who_came_in_by_the_old_one() {
    let rig = Rig::new();
    let cookie = rig.setup.claim(&rig.token(), &visit(1)).unwrap();
    let wizard = rig.setup.wizards.find(cookie.expose(), rig.clock.monotonic()).unwrap();
    let code = wizard.code.as_ref();
    assert!(rig.setup.is_let_in(code).unwrap());
    assert!(!rig.setup.is_let_in(None).unwrap(), "nobody came in without one");
    rig.clock.advance(Duration::from_secs(3600));
    assert!(rig.setup.is_let_in(code).unwrap(), "the wizard may take longer than the code lasts");
    claim::renew(rig.dir.path(), &Random::os(), rig.clock.now()).unwrap();
    assert!(!rig.setup.is_let_in(code).unwrap());
    let made = rig.setup.make_owner(&form("eve"), &password(), code, &visit(1)).await;
    assert!(matches!(made, Err(OwnerError::Problem(problem)) if problem.code == "setup_code_renewed"));
    assert!(!rig.setup.is_claimed());
    let again = rig.setup.claim(&rig.token(), &visit(2)).unwrap();
    let wizard = rig.setup.wizards.find(again.expose(), rig.clock.monotonic()).unwrap();
    rig.setup.make_owner(&form("ada"), &password(), wizard.code.as_ref(), &visit(2)).await.unwrap();
    assert!(rig.setup.is_let_in(code).unwrap(), "there is an owner, and other rules begin");
}

/// A machine without a battery starts in 1970 and leaps when it learns the time.
#[test]
fn a_leap_of_the_clock_does_not_end_the_hour() {
    let rig = Rig::new();
    rig.clock.set_wall(Timestamp::from_secs(2_000_000_000));
    assert!(rig.setup.claim(&rig.token(), &visit(1)).is_ok());
    rig.clock.set_wall(Timestamp::from_secs(1_000));
    rig.clock.advance(Duration::from_secs(3600));
    assert!(matches!(rig.setup.claim(&rig.token(), &visit(1)), Err(ClaimError::Expired)));
}

/// SET-02, GEN-03: of a hundred people who finish the owner form at the same moment, one becomes the owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_parallel_claims_one_succeeds() {
    let rig = Rig::new();
    let code = rig.code();
    let claims: Vec<_> = (0..100_u8)
        .map(|number| {
            let setup = rig.setup.clone();
            tokio::spawn(async move {
                // Half of them want the same name, so that it is not the name that decides.
                let name = if number % 2 == 0 { "ada".to_owned() } else { format!("ada{number}") };
                setup.make_owner(&form(&name), &password(), Some(&code), &visit(number)).await
            })
        })
        .collect();
    let mut owners = Vec::new();
    for claim in claims {
        match claim.await.unwrap() {
            Ok(id) => owners.push(id),
            Err(OwnerError::Taken) => {}
            Err(OwnerError::Problem(problem)) => panic!("{problem:?}"),
        }
    }
    assert_eq!(owners.len(), 1);
    assert_eq!(rig.setup.sign_in.accounts.directory().len(), 1);
    let by = rig.setup.taken_by(Words::ENGLISH).unwrap();
    assert!(by.contains("15 Jan 2027") && by.contains("from 192.168."), "{by}");
    let claimed = rig.kinds().await.iter().filter(|kind| *kind == Kind::SetupClaimed.name()).count();
    assert_eq!(claimed, 1);
}

/// SET-02: "claimed" is a fact of its own. Deleting everybody does not open the setup again, and neither does a
/// restart after that.
#[tokio::test]
async fn deleting_every_user_does_not_open_the_setup_again() {
    let rig = Rig::new();
    let token = rig.token();
    let owner = rig.setup.make_owner(&form("ada"), &password(), Some(&rig.code()), &visit(1)).await.unwrap();
    let rig = rig.restart();
    assert!(rig.setup.is_claimed());
    // No use-case lets the last admin go, so a broken store has to play its part.
    let mut batch = rig.store.batch();
    batch.remove::<crate::accounts::records::UserRecord>(owner.as_bytes());
    batch.remove::<crate::accounts::records::UsernameRecord>(b"ada");
    rig.store.commit(batch).await.unwrap();
    let rig = rig.restart();
    assert!(rig.setup.sign_in.accounts.directory().is_empty());
    assert!(rig.setup.is_claimed());
    assert!(!claim::path(rig.dir.path()).exists());
    assert!(matches!(rig.setup.claim(&token, &visit(1)), Err(ClaimError::Taken)));
    let again = rig.setup.make_owner(&form("eve"), &password(), None, &visit(2)).await;
    assert!(matches!(again, Err(OwnerError::Taken)));
    // Not even past the flag in memory, with a code of the file.
    rig.setup.is_claimed.store(false, Ordering::Release);
    claim::renew(rig.dir.path(), &Random::os(), rig.clock.now()).unwrap();
    let again = rig.setup.make_owner(&form("eve"), &password(), Some(&rig.code()), &visit(2)).await;
    assert!(matches!(again, Err(OwnerError::Taken)));
}

/// SET-02: users that came from elsewhere leave nothing to claim.
#[tokio::test]
async fn a_store_with_users_and_without_an_owner_is_not_open() {
    let rig = Rig::new();
    let mut batch = rig.store.batch();
    let new = owner::judge(&form("ada")).unwrap();
    rig.setup.sign_in.accounts.stage_create(&mut batch, new).unwrap();
    rig.store.commit(batch).await.unwrap();
    let rig = rig.restart();
    assert!(rig.setup.is_claimed() && rig.setup.is_finished());
    assert!(!claim::path(rig.dir.path()).exists());
}

#[tokio::test]
async fn wrong_fields_are_named_all_at_once() {
    let rig = Rig::new();
    let form = OwnerForm { username: "Ada Lovelace", display_name: "\u{202e}", email: "x" };
    let Err(OwnerError::Problem(problem)) =
        rig.setup.make_owner(&form, &password(), Some(&rig.code()), &visit(1)).await
    else {
        panic!("accepted")
    };
    let fields: Vec<_> = problem.fields.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["username", "display_name", "email"]);
    // PWD-01, PWD-04: eight characters are enough beside a second factor; common ones are not.
    for (bad, field) in [("short", "password"), ("password1", "password")] {
        let bad = SecretText::new(bad.to_owned());
        let result =
            rig.setup.make_owner(&super::tests::form("ada"), &bad, Some(&rig.code()), &visit(1)).await;
        let Err(OwnerError::Problem(problem)) = result else { panic!("accepted") };
        assert_eq!(problem.fields.first().unwrap().0, field);
    }
    assert!(!rig.setup.is_claimed());
    assert_eq!(rig.setup.minimum_password_length(), 8);
}

/// SET-03: the setup fixes the public origin and the trusted proxies, and refuses what cannot work.
#[tokio::test]
async fn an_address_is_judged_and_kept() {
    let rig = Rig::new();
    for (origin, domain, field) in [
        ("auth.home.example", "", "origin"),
        ("https://auth.home.example/path", "", "origin"),
        ("http://192.168.1.5:8080", "", "origin"),
        ("https://auth.home.example", "example.org", "cookie_domain"),
        ("https://auth.home.example", "*.home.example", "cookie_domain"),
        ("https://auth.github.io", "github.io", "cookie_domain"),
        ("https://auth.home.co.uk", "co.uk", "cookie_domain"),
        ("http://localhost:8080", "localhost", "cookie_domain"),
    ] {
        let problem = rig.setup.judge_address(origin, domain, false).err().unwrap();
        assert_eq!(problem.fields.first().unwrap().0, field, "{origin} {domain}");
    }
    assert!(rig.setup.judge_address("http://192.168.1.5:8080", "", true).is_ok());
    let good = rig.setup.judge_address("https://auth.home.example", "Home.Example", false).unwrap();
    rig.setup.set_address(&good, None, &visit(1)).await.unwrap();
    let proxy: IpAddr = "172.18.0.3".parse().unwrap();
    for peer in ["172.18.0.3", "::1", "172.18.0.3"] {
        rig.setup.trust_proxy(peer.parse().unwrap(), None, &visit(1)).await.unwrap();
    }
    let rig = rig.restart();
    let site = &rig.setup.sign_in.site;
    assert_eq!(site.origin().text, "https://auth.home.example");
    assert_eq!(site.protected_domain().as_deref(), Some("home.example"));
    assert_eq!(site.trusted_proxies().networks().len(), 2);
    assert!(site.trusted_proxies().contains(proxy));
    assert!(!site.trusted_proxies().contains("172.18.0.4".parse().unwrap()));
    assert!(rig.setup.progress().unwrap().is_addressed);
}

/// FAIL-05: an address outside the domain that the configuration fixes would not start again.
#[tokio::test]
async fn an_address_outside_the_configured_domain_is_refused() {
    let rig = Rig::new();
    let fixed = Fixed { protected_domain: Some("home.example".into()), ..Fixed::default() };
    let setup = open_with(&rig.dir, &rig.store, &rig.clock, fixed);
    let problem = setup.judge_address("https://auth.example.org", "", false).err().unwrap();
    assert_eq!(problem.fields.first().unwrap().0, "origin");
    let address = setup.judge_address("https://auth.home.example", "", false).unwrap();
    assert_eq!(address.protected_domain.as_deref(), Some("home.example"));
}

#[tokio::test]
async fn a_second_thought_about_the_first_app_changes_its_rule() {
    let rig = Rig::new();
    let id = rig.setup.make_owner(&form("ada"), &password(), Some(&rig.code()), &visit(1)).await.unwrap();
    let owner = rig.setup.sign_in.accounts.user(&id).unwrap();
    let refused = rig.setup.protect("photos.home.example", "everyone", &owner, &visit(1)).await.unwrap_err();
    assert_eq!(refused.fields.first().unwrap().0, "app_host", "there is no domain yet");
    let address = rig.setup.judge_address("https://auth.home.example", "home.example", false).unwrap();
    rig.setup.set_address(&address, Some(id), &visit(1)).await.unwrap();
    for (host, who, field) in [
        ("photos.example.org", "everyone", "app_host"),
        ("auth.home.example", "everyone", "app_host"),
        ("a b", "everyone", "app_host"),
        ("photos.home.example", "nobody", "who"),
        ("photos.home.example", "group:no such", "who"),
    ] {
        let problem = rig.setup.protect(host, who, &owner, &visit(1)).await.unwrap_err();
        assert_eq!(problem.fields.first().unwrap().0, field, "{host} {who}");
    }
    let lines = |rig: &Rig| -> Vec<String> {
        rig.setup.access.list().rules().iter().map(ToString::to_string).collect()
    };
    rig.setup.protect("https://Photos.home.example/", "everyone", &owner, &visit(1)).await.unwrap();
    assert_eq!(lines(&rig), ["allow two_factor domain=photos.home.example # Made by the setup"]);
    rig.setup.protect("films.home.example", "group:family", &owner, &visit(1)).await.unwrap();
    assert_eq!(lines(&rig), ["allow two_factor domain=films.home.example group=family # Made by the setup"]);
    rig.setup.protect("films.home.example", "owner", &owner, &visit(1)).await.unwrap();
    assert_eq!(lines(&rig), ["allow two_factor domain=films.home.example user=ada # Made by the setup"]);
    for proxy in Proxy::ALL {
        let snippets = rig.setup.snippets(proxy, "films.home.example", false, Words::ENGLISH).unwrap();
        assert!(snippets.iter().any(|file| file.text.contains("127.0.0.1")), "{}", proxy.title());
    }
}

/// The whole setup without a browser, and with a second factor that works right away.
#[tokio::test]
async fn a_script_sets_up_everything_in_one_go() {
    let rig = Rig::new();
    let made = rig
        .setup
        .bootstrap(Bootstrap {
            username: "Ada",
            display_name: "",
            email: "ada@home.example",
            password: BootstrapPassword::Plain(password()),
            instance_name: Some("Linden Street"),
            origin: Some("https://auth.home.example"),
            protected_domain: Some("home.example"),
            with_totp: true,
        })
        .await
        .unwrap();
    assert_eq!(made.username, "ada");
    assert!(rig.setup.is_finished());
    let totp = made.totp.unwrap();
    assert_eq!(totp.recovery_codes.len(), 10);
    let secret = data_encoding::BASE32_NOPAD.decode(totp.secret_base32.as_bytes()).unwrap();
    let code = totp::code_at(&TotpSecret::from_slice(&secret).unwrap(), totp::step_at(rig.clock.now()));
    let mut batch = rig.store.batch();
    let proven = rig.setup.sign_in.accounts.stage_second_factor(&mut batch, made.user, &code).unwrap();
    assert!(proven.is_some(), "the present code is still good");
    let rig = rig.restart();
    assert!(rig.setup.is_claimed() && rig.setup.is_finished());
    let site = &rig.setup.sign_in.site;
    assert_eq!((site.name().as_str(), site.origin().host.as_str()), ("Linden Street", "auth.home.example"));
    let again = Bootstrap {
        username: "eve",
        display_name: "",
        email: "",
        password: BootstrapPassword::Plain(password()),
        instance_name: None,
        origin: None,
        protected_domain: None,
        with_totp: false,
    };
    assert!(matches!(rig.setup.bootstrap(again).await, Err(OwnerError::Taken)));
}

#[tokio::test]
async fn a_script_may_bring_a_hash_and_nothing_but_a_hash() {
    let rig = Rig::new();
    let phc = hasher().hash(&password(), Ticket::default()).await.unwrap();
    let bootstrap = |hash: String| Bootstrap {
        username: "ada",
        display_name: "Ada",
        email: "",
        password: BootstrapPassword::Hash(hash),
        instance_name: None,
        origin: None,
        protected_domain: None,
        with_totp: false,
    };
    for bad in [PASSWORD.to_owned(), String::new(), phc.replace("argon2id", "argon2i")] {
        let result = rig.setup.bootstrap(bootstrap(bad)).await;
        assert!(matches!(result, Err(OwnerError::Problem(problem)) if problem.code == "invalid_hash"));
    }
    let made = rig.setup.bootstrap(bootstrap(format!("{phc}\n"))).await.unwrap();
    assert!(made.totp.is_none());
    let verdict = hasher().verify(&password(), Some(&phc), Ticket::default()).await.unwrap();
    assert!(matches!(verdict, Verdict::Correct { .. }));
    assert!(rig.setup.sign_in.accounts.user(&made.user).is_some());
}
