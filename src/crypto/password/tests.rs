use super::*;
use crate::kernel::secret::Secret;

/// Longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn settings() -> HashSettings {
    HashSettings {
        memory_kib: 64,
        passes: 1,
        threads: 1,
        max_wait: PATIENCE,
        is_idle_priority: false,
        ..HashSettings::default()
    }
}

fn start(settings: HashSettings) -> PasswordHasher {
    PasswordHasher::start(settings, Random::os()).unwrap()
}

fn text(password: &str) -> SecretText {
    Secret::new(password.to_owned())
}

/// bcrypt of "a", by another program.
const RIGHT: &str = "$2b$04$abcdefghijklmnopqrstuuMFdJu9yVgmagVAIC24fOZkaFqd3s9JC";
const STRANGER: Ticket = Ticket { place: 1, is_known_device: false };

#[tokio::test]
async fn a_password_verifies_against_its_own_hash_only() {
    let hasher = start(settings());
    let phc = hasher.hash(&text("correct horse"), STRANGER).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    let correct = Verdict::Correct { needs_rehash: false };
    assert_eq!(hasher.verify(&text("correct horse"), Some(&phc), STRANGER).await, Ok(correct));
    for wrong in ["correct hors", "correct horse ", "Correct horse", "correct horse\0", ""] {
        assert_eq!(hasher.verify(&text(wrong), Some(&phc), STRANGER).await, Ok(Verdict::Wrong), "{wrong:?}");
    }
    assert_ne!(phc, hasher.hash(&text("correct horse"), STRANGER).await.unwrap(), "salts repeat");
}

/// PWD-02: nothing is cut off, at a NUL byte or at any length.
#[tokio::test]
async fn every_byte_of_a_long_password_counts() {
    let hasher = start(settings());
    let long = "x".repeat(1023);
    let phc = hasher.hash(&text(&format!("{long}y")), STRANGER).await.unwrap();
    assert_eq!(hasher.verify(&text(&format!("{long}z")), Some(&phc), STRANGER).await, Ok(Verdict::Wrong));
    let phc = hasher.hash(&text("abc\0def"), STRANGER).await.unwrap();
    assert_eq!(hasher.verify(&text("abc\0xyz"), Some(&phc), STRANGER).await, Ok(Verdict::Wrong));
}

/// PWD-08: the same password from two keyboards, composed and decomposed, is one password.
#[tokio::test]
async fn composed_and_decomposed_characters_are_the_same_password() {
    let hasher = start(settings());
    let phc = hasher.hash(&text("Z\u{fc}rich caf\u{e9}"), STRANGER).await.unwrap();
    let verdict = hasher.verify(&text("Zu\u{308}rich cafe\u{301}"), Some(&phc), STRANGER).await;
    assert_eq!(verdict, Ok(Verdict::Correct { needs_rehash: false }));
    assert_eq!(normalize("\u{fb01}").as_str(), "fi");
}

/// ENU-01: an unknown user and an unusable hash cost one hash and answer like a wrong password.
#[tokio::test]
async fn unknown_users_and_unusable_hashes_cost_one_hash() {
    let hasher = start(settings());
    let huge =
        "$argon2id$v=19$m=4194304,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (count, phc) in [None, Some(""), Some("!"), Some("plain"), Some(huge)].into_iter().enumerate() {
        assert_eq!(hasher.verify(&text("x"), phc, STRANGER).await, Ok(Verdict::Wrong));
        assert_eq!(hasher.stats().done, count as u64 + 1);
    }
}

/// ENU-01: a hash from elsewhere costs a hash of ours on top, is compared byte for byte, and asks for another one.
#[tokio::test]
async fn a_foreign_hash_costs_one_of_ours_as_well() {
    let hasher = start(settings());
    let foreign = "$2b$04$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam";
    let foreign = ForeignHash::parse(foreign).unwrap();
    let before = hasher.stats().work_kib;
    assert_eq!(hasher.verify_foreign(&text("x"), &foreign, STRANGER).await, Ok(Verdict::Wrong));
    assert_eq!(hasher.stats().work_kib - before, 64);
    let right = ForeignHash::parse(RIGHT).unwrap();
    let verdict = hasher.verify_foreign(&text("a"), &right, STRANGER).await;
    assert_eq!(verdict, Ok(Verdict::Correct { needs_rehash: true }));
}

/// ENU-01: whatever is stored, an answer costs the same work, so that its time tells nothing about the account.
#[tokio::test]
async fn every_wrong_password_costs_the_same_work() {
    let hasher = start(HashSettings { memory_kib: 256, passes: 3, ..settings() });
    let own = hasher.hash(&text("p"), STRANGER).await.unwrap();
    let cheap = start(settings()).hash(&text("p"), STRANGER).await.unwrap();
    let peppered = start(HashSettings { pepper: Some(Secret::new([1; 32])), ..settings() });
    let peppered = peppered.hash(&text("p"), STRANGER).await.unwrap();
    for phc in
        [None, Some("$argon2id$broken"), Some(own.as_str()), Some(cheap.as_str()), Some(peppered.as_str())]
    {
        let before = hasher.stats().work_kib;
        assert_eq!(hasher.verify(&text("wrong"), phc, STRANGER).await, Ok(Verdict::Wrong));
        let work = hasher.stats().work_kib - before;
        assert!((766..=768).contains(&work), "{phc:?}: {work}");
    }
}

/// PWD-06: hashes of other parameters verify and ask to be replaced.
#[tokio::test]
async fn a_hash_of_other_parameters_asks_to_be_replaced() {
    let old = start(settings());
    let new = start(HashSettings { passes: 2, ..settings() });
    let phc = old.hash(&text("p"), STRANGER).await.unwrap();
    let verdict = new.verify(&text("p"), Some(&phc), STRANGER).await;
    assert_eq!(verdict, Ok(Verdict::Correct { needs_rehash: true }));
    assert_eq!(new.verify(&text("q"), Some(&phc), STRANGER).await, Ok(Verdict::Wrong));
    // From elsewhere: more memory than the buffer has, two lanes.
    let foreign = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
    let verdict = new.verify(&text("password"), Some(foreign), STRANGER).await;
    assert_eq!(verdict, Ok(Verdict::Correct { needs_rehash: true }));
}

/// PWD-07: with a pepper, the store alone does not verify a password.
#[tokio::test]
async fn a_peppered_hash_needs_its_pepper() {
    let peppered = |byte| start(HashSettings { pepper: Some(Secret::new([byte; 32])), ..settings() });
    let phc = peppered(1).hash(&text("p"), STRANGER).await.unwrap();
    assert!(phc.contains(",keyid="), "{phc}");
    let correct = Verdict::Correct { needs_rehash: false };
    assert_eq!(peppered(1).verify(&text("p"), Some(&phc), STRANGER).await, Ok(correct));
    assert_eq!(peppered(2).verify(&text("p"), Some(&phc), STRANGER).await, Ok(Verdict::Wrong));
    assert_eq!(start(settings()).verify(&text("p"), Some(&phc), STRANGER).await, Ok(Verdict::Wrong));
    let without_id = phc.replace(&phc[phc.find(",keyid=").unwrap()..phc.find(",keyid=").unwrap() + 13], "");
    assert_eq!(peppered(1).verify(&text("p"), Some(&without_id), STRANGER).await, Ok(Verdict::Wrong));
    // A hash from before the pepper still works and asks to be replaced.
    let plain = start(settings()).hash(&text("p"), STRANGER).await.unwrap();
    let verdict = peppered(1).verify(&text("p"), Some(&plain), STRANGER).await;
    assert_eq!(verdict, Ok(Verdict::Correct { needs_rehash: true }));
}

/// Waits for what another thread does.
async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// Keeps the thread busy: its end, and the answer that nobody reads; without it the job would be skipped.
type Hold = (std::sync::mpsc::Sender<()>, oneshot::Receiver<Outcome>);

/// A hasher whose one thread is busy until what comes with it is dropped.
async fn busy_hasher(settings: HashSettings) -> (PasswordHasher, Hold) {
    let hasher = start(settings);
    let (end, let_go) = std::sync::mpsc::channel();
    let ticket = Ticket { place: u64::MAX, is_known_device: true };
    let (answer, receiver) = oneshot::channel();
    let (password, work, state) = (normalize(""), Work::Hold { let_go }, Arc::default());
    hasher.enqueue(Job { password, work, ticket, state, answer }).unwrap();
    until(|| hasher.stats().running == 1).await;
    (hasher, (end, receiver))
}

async fn ask(
    hasher: &PasswordHasher,
    count: u64,
    ticket: impl Fn(u64) -> Ticket,
) -> Vec<tokio::task::JoinHandle<Result<Verdict, Busy>>> {
    let before = hasher.stats();
    let asked: Vec<_> = (0..count)
        .map(|index| {
            let (hasher, ticket) = (hasher.clone(), ticket(index));
            tokio::spawn(async move { hasher.verify(&text("x"), None, ticket).await })
        })
        .collect();
    let seen = |stats: HasherStats| stats.queued as u64 + stats.refused;
    until(|| seen(hasher.stats()) >= seen(before) + count).await;
    asked
}

/// RES-01: the queue is bounded, strangers get half of it, one place gets two jobs, and the rest is told when to come back.
#[tokio::test]
async fn a_flood_leaves_room_for_known_devices() {
    let (hasher, hold) = busy_hasher(HashSettings { queue_per_thread: 8, ..settings() }).await;
    let same_place = ask(&hasher, 5, |_| STRANGER).await;
    assert_eq!((hasher.stats().queued, hasher.stats().refused), (2, 3));
    let strangers = ask(&hasher, 50, |index| Ticket { place: 100 + index, is_known_device: false }).await;
    assert_eq!(hasher.stats().queued, 4, "strangers hold more than half of the queue");
    let known = ask(&hasher, 10, |index| Ticket { place: 100 + index, is_known_device: true }).await;
    assert_eq!(hasher.stats().queued, 8);
    assert_eq!(hasher.stats().refused, 3 + 48 + 6);
    for handle in same_place.into_iter().chain(strangers).chain(known) {
        if !handle.is_finished() {
            handle.abort();
            continue;
        }
        let busy = handle.await.unwrap().unwrap_err();
        assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&busy.retry_after));
    }
    drop(hold);
}

/// RES-01: nobody waits for long, and a job whose asker left is not computed and takes no room.
#[tokio::test]
async fn a_job_that_nobody_waits_for_is_skipped() {
    let settings = HashSettings { queue_per_thread: 4, max_wait: Duration::from_millis(20), ..settings() };
    let (hasher, hold) = busy_hasher(settings).await;
    let busy = hasher.verify(&text("x"), None, STRANGER).await;
    assert!(busy.is_err(), "waited for the whole queue");
    assert_eq!(hasher.stats().refused, 1);
    for _ in 0..10 {
        let password = text("x");
        let asked = hasher.verify(&password, None, STRANGER);
        tokio::select! {
            biased;
            answer = asked => panic!("answered while the thread is busy: {answer:?}"),
            // It has its place in the queue, and its asker leaves.
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(hasher.stats().refused, 1, "those who left took room");
    drop(hold);
    until(|| hasher.stats().abandoned == 11).await;
    assert_eq!((hasher.stats().queued, hasher.stats().done), (0, 1));
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_threads() {
    let hasher = start(settings());
    let shared = Arc::downgrade(&hasher.0.shared);
    let second = hasher.clone();
    drop(hasher);
    assert_eq!(second.verify(&text("x"), None, STRANGER).await, Ok(Verdict::Wrong));
    drop(second);
    until(|| shared.strong_count() == 0).await;
}

#[test]
fn settings_beyond_the_bounds_are_refused() {
    for wrong in [
        HashSettings { memory_kib: 7, ..settings() },
        HashSettings { memory_kib: 65_537, ..settings() },
        HashSettings { passes: 0, ..settings() },
        HashSettings { passes: 11, ..settings() },
        HashSettings { threads: 0, ..settings() },
        HashSettings { queue_per_thread: 0, ..settings() },
    ] {
        assert!(PasswordHasher::start(wrong, Random::os()).is_err());
    }
}

/// RES-02: hashers run while a core has nothing else to do, unless they are told not to.
#[test]
fn hashers_step_back() {
    for (is_idle_priority, policy) in [(true, "5"), (false, "0")] {
        let hasher = start(HashSettings { is_idle_priority, ..settings() });
        let is_stepped_back = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
            tasks.into_iter().any(|task| {
                let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
                let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
                // Field 41 is the policy (proc_pid_stat(5)); what follows the name in brackets starts with field 3.
                let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').collect::<Vec<_>>());
                name.starts_with("password-hash")
                    && fields.is_some_and(|fields| fields.get(38) == Some(&policy))
            })
        };
        // The thread does so as its first step.
        let is_seen = (0..10_000).any(|_| {
            is_stepped_back() || {
                std::thread::sleep(Duration::from_millis(5));
                false
            }
        });
        assert!(is_seen, "no thread has policy {policy}");
        drop(hasher);
    }
}
