use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::*;
use crate::crypto::keys::MasterKey;
use crate::crypto::sealed::Sealer;
use crate::kernel::ids::{RequestId, UserId};
use crate::kernel::text::Username;
use crate::kernel::time::{Clock, TestClock};
use crate::store::{CommitFuture, Engine, MemoryEngine, RawBatch};

const DAY: Duration = Duration::from_secs(86_400);

/// The memory engine, which can be told to refuse writes.
#[derive(Default)]
struct Refusing {
    memory: MemoryEngine,
    is_full: AtomicBool,
}

impl Engine for Refusing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.memory.scan(prefix, after, limit)
    }

    fn commit(&self, batch: RawBatch) -> CommitFuture {
        if self.is_full.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(CommitError::Unavailable("no space"))));
        }
        self.memory.commit(batch)
    }
}

struct Fixture {
    engine: Arc<Refusing>,
    clock: Arc<TestClock>,
    store: Store,
    audit: Audit,
}

impl Fixture {
    fn new() -> Self {
        let engine = Arc::new(Refusing::default());
        let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([7; 32])));
        let store = Store::new(engine.clone(), sealer, Random::os());
        let audit = open(&store, &clock);
        Fixture { engine, clock, store, audit }
    }

    async fn write(&self, event: Event) {
        let mut batch = self.store.batch();
        self.audit.write(&mut batch, event);
        self.store.commit(batch).await.unwrap();
    }

    fn rows(&self) -> Vec<AuditRow> {
        self.audit.part(&Filter::default(), None, LARGEST_PAGE).unwrap().rows
    }
}

fn open(store: &Store, clock: &Arc<TestClock>) -> Audit {
    Audit::open(store.clone(), clock.clone(), Random::os(), DEFAULT_RETENTION).unwrap()
}

fn ada() -> (UserId, Username) {
    (UserId([1; 16]), Username::parse("ada").unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// AUD-01: an event says who, what, where, when, how it ended and as part of which request.
#[test]
fn an_event_says_who_what_where_and_when() {
    block_on(async {
        let fixture = Fixture::new();
        let (id, name) = ada();
        let request = RequestId([9; 16]);
        fixture
            .write(
                Event::succeeded(Kind::UserRoleChanged)
                    .by(id, &name)
                    .on_user(UserId([2; 16]), &Username::parse("bob").unwrap())
                    .from("203.0.113.77".parse().unwrap())
                    .request(request)
                    .detail("role", "admin"),
            )
            .await;
        let rows = fixture.rows();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.at, fixture.clock.now());
        assert_eq!((row.kind.as_str(), row.outcome), ("user.role_changed", Outcome::Succeeded));
        assert_eq!((row.actor.as_str(), row.actor_id), ("ada", Some(id)));
        assert_eq!((row.user.as_deref(), row.user_id), (Some("bob"), Some(UserId([2; 16]))));
        assert_eq!(row.request, Some(request.to_string()));
        assert_eq!(row.details, [("role".to_owned(), "admin".to_owned())]);
        assert!(row.place.as_deref().unwrap().starts_with("203.0.x.x ("));
    });
}

/// Invariant 4: a change and its event are one commit; a change that conflicts leaves no event.
#[test]
fn a_refused_change_leaves_no_event() {
    block_on(async {
        let fixture = Fixture::new();
        let mut batch = fixture.store.batch();
        fixture.audit.write(&mut batch, Event::succeeded(Kind::SettingChanged));
        batch.insert_new(b"row", &SequenceRecord { reserved: 1 });
        fixture.store.commit(batch).await.unwrap();
        let mut batch = fixture.store.batch();
        fixture.audit.write(&mut batch, Event::succeeded(Kind::SettingChanged));
        batch.insert_new(b"row", &SequenceRecord { reserved: 1 });
        assert_eq!(fixture.store.commit(batch).await, Err(CommitError::Conflict));
        assert_eq!(fixture.rows().len(), 1);
    });
}

/// AUD-06: a flood of refusals costs a bounded number of events, and the rest is counted.
#[test]
fn a_flood_is_counted_in_one_event() {
    block_on(async {
        let fixture = Fixture::new();
        for _ in 0..5000 {
            fixture.audit.note(Event::refused(Kind::SignInFailed));
        }
        fixture.audit.flush().await.unwrap();
        let filter = Filter { kind_prefix: Some("audit.".into()), ..Filter::default() };
        let page = fixture.audit.page(&filter, None, 200).await.unwrap();
        let [dropped] = page.rows.as_slice() else { panic!("{page:?}") };
        assert_eq!(dropped.details, [("count".to_owned(), (5000 - LONGEST_QUEUE).to_string())]);
        let all = fixture.audit.last_day(|kind, _| kind.name().starts_with("sign_in."));
        assert_eq!(all[HOURS - 1].refused as usize, LONGEST_QUEUE);
    });
}

/// FAIL-02: while the disk is full nothing queued is lost, and it is written when there is room again.
#[test]
fn events_wait_while_the_store_takes_no_writes() {
    block_on(async {
        let fixture = Fixture::new();
        fixture.engine.is_full.store(true, Ordering::SeqCst);
        for number in 0..300 {
            fixture.audit.note(Event::refused(Kind::SignInFailed).detail("number", number));
        }
        assert_eq!(fixture.audit.flush().await, Err(CommitError::Unavailable("no space")));
        assert_eq!(fixture.audit.queued(), 300);
        fixture.engine.is_full.store(false, Ordering::SeqCst);
        fixture.audit.flush().await.unwrap();
        let newest = &fixture.rows()[0];
        assert_eq!(newest.details[0].1, "299");
        let all = fixture.audit.last_day(|kind, _| kind == Kind::SignInFailed);
        assert_eq!(all[HOURS - 1].refused, 300);
    });
}

/// AUD-01: the order of events is kept across restarts, also when the clock was set back in between.
#[test]
fn sequence_numbers_grow_across_restarts_and_clock_steps() {
    block_on(async {
        let fixture = Fixture::new();
        let mut highest = None;
        let mut audit = fixture.audit.clone();
        for round in 0..4 {
            for _ in 0..700 {
                let mut batch = fixture.store.batch();
                audit.write(&mut batch, Event::succeeded(Kind::SettingChanged).detail("round", round));
                fixture.store.commit(batch).await.unwrap();
            }
            let filter = Filter { from: Some(fixture.clock.now()), ..Filter::default() };
            let filter = Filter { until: Some(fixture.clock.now().plus(Duration::from_millis(1))), ..filter };
            let page = audit.page(&filter, None, 200).await.unwrap();
            let newest = page.rows[0].sequence;
            assert!(highest.is_none_or(|highest| newest > highest + 600), "{newest} after {highest:?}");
            highest = Some(newest);
            fixture.clock.set_wall(fixture.clock.now().minus(DAY));
            audit = open(&fixture.store, &fixture.clock);
        }
    });
}

/// PRI-01, PRI-02: after the retention no event, no pseudonym and no key to try addresses with is left.
#[test]
fn after_thirty_days_nothing_is_left_of_an_address() {
    block_on(async {
        let fixture = Fixture::new();
        let address = "203.0.113.77".parse().unwrap();
        fixture.write(Event::refused(Kind::SignInFailed).from(address)).await;
        let before = fixture.audit.place(address);
        assert_eq!(Some(before.as_str()), fixture.rows()[0].place.as_deref());
        assert_eq!(open(&fixture.store, &fixture.clock).place(address), before, "the key survives a restart");

        fixture.clock.advance(8 * DAY);
        fixture.write(Event::refused(Kind::SignInFailed).from(address)).await;
        assert_ne!(fixture.audit.place(address), before, "the key changes");

        fixture.clock.advance(23 * DAY);
        assert_eq!(fixture.audit.purge(fixture.clock.now()).await.unwrap(), 1);
        assert_eq!(fixture.rows().len(), 1);

        fixture.clock.advance(15 * DAY);
        assert_eq!(fixture.audit.purge(fixture.clock.now()).await.unwrap(), 1);
        assert!(fixture.rows().is_empty());
        for table in [Table::AUDIT, Table::PSEUDONYM_KEY] {
            let left = fixture.engine.scan(&table.key(&[]), None, 10).unwrap();
            assert!(left.is_empty(), "{left:?}");
        }
    });
}

#[test]
fn purging_goes_on_past_one_commit() {
    block_on(async {
        let fixture = Fixture::new();
        for _ in 0..600 {
            fixture.write(Event::refused(Kind::SignInFailed)).await;
        }
        fixture.clock.advance(31 * DAY);
        fixture.write(Event::succeeded(Kind::ServerStarted)).await;
        assert_eq!(fixture.audit.purge(fixture.clock.now()).await.unwrap(), 600);
        assert_eq!(fixture.rows().len(), 1);
    });
}

/// INP-07: pages are bounded, meet without overlap, and a forged cursor is harmless.
#[test]
fn pages_meet_without_gap_or_overlap() {
    block_on(async {
        let fixture = Fixture::new();
        for number in 0..505 {
            fixture.clock.advance(Duration::from_millis(number % 3));
            fixture.write(Event::succeeded(Kind::SettingChanged).detail("number", number)).await;
        }
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = fixture.audit.page(&Filter::default(), cursor.as_deref(), 1000).await.unwrap();
            assert!(page.rows.len() <= LARGEST_PAGE);
            seen.extend(page.rows.iter().map(|row| row.details[0].1.parse::<u64>().unwrap()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..505).rev().collect::<Vec<_>>());
        for forged in ["", "x", "!!!!!!!!!!!!!!!!!!!!!!", &"A".repeat(5000)] {
            assert_eq!(fixture.audit.page(&Filter::default(), Some(forged), 0).await.unwrap().rows.len(), 1);
        }
    });
}

#[test]
fn a_filter_picks_by_kind_user_outcome_and_time() {
    block_on(async {
        let fixture = Fixture::new();
        let (id, name) = ada();
        fixture.write(Event::succeeded(Kind::SignInSucceeded).by(id, &name)).await;
        fixture.clock.advance(DAY);
        let middle = fixture.clock.now();
        fixture.write(Event::refused(Kind::SignInFailed).on_user(id, &name)).await;
        fixture.clock.advance(DAY);
        fixture.write(Event::refused(Kind::SetupClaimFailed)).await;
        let kinds = |filter: Filter| -> Vec<String> {
            let page = fixture.audit.part(&filter, None, 50).unwrap();
            assert_eq!(page.next_cursor, None);
            page.rows.into_iter().map(|row| row.kind).collect()
        };
        assert_eq!(
            kinds(Filter { user: Some(id), ..Filter::default() }),
            ["sign_in.failed", "sign_in.succeeded"]
        );
        assert_eq!(
            kinds(Filter { kind_prefix: Some("setup.".into()), ..Filter::default() }),
            ["setup.claim_failed"]
        );
        assert_eq!(kinds(Filter { from: Some(middle), ..Filter::default() }).len(), 2);
        assert_eq!(kinds(Filter { until: Some(middle), ..Filter::default() }), ["sign_in.succeeded"]);
        let refused = Filter { outcome: Some(Outcome::Refused), user: Some(id), ..Filter::default() };
        assert_eq!(kinds(refused), ["sign_in.failed"]);
    });
}

#[test]
fn hours_count_what_succeeded_and_what_did_not() {
    block_on(async {
        let fixture = Fixture::new();
        fixture.write(Event::succeeded(Kind::SignInSucceeded)).await;
        fixture.clock.advance(Duration::from_secs(2 * 3600));
        fixture.write(Event::refused(Kind::SignInFailed)).await;
        fixture.write(Event::refused(Kind::SetupClaimFailed)).await;
        let filter = Filter { kind_prefix: Some("sign_in.".into()), ..Filter::default() };
        let hours = fixture.audit.hours(&filter).await.unwrap().unwrap();
        assert_eq!(hours.len(), 24);
        assert_eq!((hours[21].succeeded, hours[21].refused), (1, 0));
        assert_eq!((hours[23].succeeded, hours[23].refused), (0, 1));
        assert_eq!(fixture.audit.last_day(|_, _| true)[HOURS - 1].refused, 2);
    });
}

#[test]
fn the_background_task_writes_within_a_second_and_once_more_at_the_end() {
    block_on(async {
        let fixture = Fixture::new();
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(fixture.audit.clone().run(shutdown));
        fixture.audit.note(Event::refused(Kind::SignInFailed));
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if !fixture.rows().is_empty() {
                break;
            }
        }
        assert_eq!(fixture.rows().len(), 1);
        fixture.audit.note(Event::refused(Kind::SignInFailed));
        stop.send(true).unwrap();
        task.await.unwrap();
        assert_eq!(fixture.rows().len(), 2);
    });
}

/// AUD-05: the largest event fits into one value of the store.
#[test]
fn the_largest_event_can_be_stored() {
    block_on(async {
        let fixture = Fixture::new();
        let (id, name) = (UserId([1; 16]), Username::parse(&"a".repeat(64)).unwrap());
        let mut event = Event::refused(Kind::SecondFactorFailed)
            .by(id, &name)
            .on_user(id, &name)
            .on("\u{202e}".repeat(1000))
            .from("2001:db8:ffff::1".parse().unwrap())
            .request(RequestId([1; 16]));
        for _ in 0..20 {
            event = event.detail("a_rather_long_key_of_a_detail", "\n".repeat(1000));
        }
        fixture.write(event).await;
        assert_eq!(fixture.rows().len(), 1);
    });
}

/// The counts of the last day are those of the log, also after a restart.
#[test]
fn the_last_day_is_counted_without_reading_the_log() {
    block_on(async {
        let fixture = Fixture::new();
        fixture.write(Event::refused(Kind::SignInFailed)).await;
        fixture.clock.advance(DAY - Duration::from_secs(3600));
        for _ in 0..3 {
            fixture.write(Event::succeeded(Kind::SignInSucceeded)).await;
        }
        let again = open(&fixture.store, &fixture.clock);
        for audit in [&fixture.audit, &again] {
            let counted = audit.last_day(|_, _| true);
            let read = audit.hours(&Filter::default()).await.unwrap().unwrap();
            assert_eq!(counted, read);
            assert_eq!((counted[0].refused, counted[HOURS - 1].succeeded), (1, 3));
            let refused = audit.hours(&Filter { outcome: Some(Outcome::Refused), ..Filter::default() }).await;
            assert_eq!(refused.unwrap().unwrap().iter().map(|hour| hour.succeeded).sum::<u32>(), 0);
        }
        // The oldest hour leaves the window.
        fixture.clock.advance(Duration::from_secs(3600));
        assert_eq!(fixture.audit.last_day(|_, _| true).iter().map(|hour| hour.refused).sum::<u32>(), 0);
    });
}

/// RES-04: however long the log, whoever looks for something in it does not keep everybody else waiting.
#[test]
fn a_long_search_lets_others_have_their_turns() {
    block_on(async {
        let fixture = Fixture::new();
        for _ in 0..4 {
            let mut batch = fixture.store.batch();
            for _ in 0..500 {
                fixture.audit.write(&mut batch, Event::refused(Kind::SignInFailed));
            }
            fixture.store.commit(batch).await.unwrap();
        }
        let nobody = Filter::of_user(ada().0);
        let mut turns = 0;
        let mut search = std::pin::pin!(fixture.audit.page(&nobody, None, 50));
        let counted = std::future::poll_fn(|cx| {
            turns += 1;
            search.as_mut().poll(cx)
        });
        let page = counted.await.unwrap();
        assert!((page.rows.len(), page.next_cursor) == (0, None) && turns >= 4, "{turns}");
        let mut search = std::pin::pin!(fixture.audit.hours(&nobody));
        turns = 0;
        let counted = std::future::poll_fn(|cx| {
            turns += 1;
            search.as_mut().poll(cx)
        });
        assert!(counted.await.unwrap().is_some());
        assert!(turns >= 4, "{turns}");
    });
}

/// Whether somebody reads in pages or in parts, everything is told once and in order.
#[test]
fn parts_tell_what_pages_tell() {
    block_on(async {
        let fixture = Fixture::new();
        let (id, name) = ada();
        for _ in 0..3 {
            fixture.clock.advance(Duration::from_secs(60));
            let mut batch = fixture.store.batch();
            for number in 0..400 {
                let event = Event::refused(Kind::SignInFailed).detail("number", number);
                let event = if number % 3 == 0 { event.by(id, &name) } else { event };
                fixture.audit.write(&mut batch, event);
            }
            fixture.store.commit(batch).await.unwrap();
        }
        let last_two = Some(fixture.clock.now().minus(Duration::from_secs(60)));
        for (from, expected) in [(None, 3 * 134), (last_two, 2 * 134)] {
            let filter = Filter { from, ..Filter::of_user(id) };
            let (mut in_pages, mut in_parts) = (Vec::new(), Vec::new());
            let mut cursor = None;
            loop {
                let page = fixture.audit.page(&filter, cursor.as_deref(), 50).await.unwrap();
                in_pages.extend(page.rows.into_iter().map(|row| row.sequence));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            loop {
                let part = fixture.audit.part(&filter, cursor.as_deref(), 120).unwrap();
                in_parts.extend(part.rows.into_iter().map(|row| row.sequence));
                cursor = part.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert!(in_pages.is_sorted_by(|newer, older| newer > older));
            assert_eq!(in_pages.len(), expected);
            assert_eq!(in_pages, in_parts);
        }
    });
}

/// What an export of one app, or of one host, holds.
#[test]
fn events_are_found_by_what_they_were_done_to() {
    block_on(async {
        let fixture = Fixture::new();
        fixture.write(Event::succeeded(Kind::AppChanged).on("grafana")).await;
        fixture.write(Event::succeeded(Kind::AppChanged).on("gitea")).await;
        let filter = Filter { target: Some("gitea".into()), ..Filter::default() };
        let rows = fixture.audit.page(&filter, None, 10).await.unwrap().rows;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].target.as_deref(), Some("gitea"));
    });
}

/// An event that was written while the clock was days ahead does not silence the overview of the days in between.
#[test]
fn an_event_of_the_future_does_not_silence_the_overview() {
    block_on(async {
        let fixture = Fixture::new();
        let right = fixture.clock.now();
        let count =
            |audit: &Audit| audit.last_day(|_, _| true).iter().map(|hour| hour.succeeded).sum::<u32>();
        fixture.clock.advance(3 * DAY);
        fixture.write(Event::succeeded(Kind::SettingChanged)).await;
        fixture.clock.set_wall(right);
        fixture.write(Event::succeeded(Kind::SettingChanged)).await;
        assert_eq!(count(&fixture.audit), 1);
        assert_eq!(count(&open(&fixture.store, &fixture.clock)), 1);
    });
}

/// PRI-01: a place keeps its name for a week, however many keys a long retention keeps.
#[test]
fn the_key_of_this_week_is_found_among_many() {
    block_on(async {
        let fixture = Fixture::new();
        let address = "203.0.113.77".parse().unwrap();
        for _ in 0..300 {
            fixture.write(Event::succeeded(Kind::SettingChanged).from(address)).await;
            fixture.clock.advance(7 * DAY);
        }
        fixture.write(Event::succeeded(Kind::SettingChanged).from(address)).await;
        let place = fixture.audit.place(address);
        assert_eq!(open(&fixture.store, &fixture.clock).place(address), place);
    });
}
