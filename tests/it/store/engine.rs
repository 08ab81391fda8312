//! What the engine promises: durable, atomic, in order, and the same as its model.

use super::*;
use crate::harness::until;

#[test]
fn what_was_committed_is_there_after_the_next_open() {
    let place = Place::new();
    let opened = place.open();
    assert!(opened.is_new && opened.was_clean);
    let instance = opened.instance;
    put(&opened, "theme", "dark");
    opened.close();
    drop(opened);

    let opened = place.open();
    assert!(!opened.is_new && opened.was_clean);
    assert_eq!(opened.instance, instance);
    assert_eq!(get(&opened, "theme").as_deref(), Some("dark"));
    drop(opened);

    let opened = place.open();
    assert!(!opened.was_clean, "nobody closed it");
    assert_eq!(get(&opened, "theme").as_deref(), Some("dark"));
}

/// FAIL-01: each of sled's syncs is a real one in this binary.
#[test]
fn every_group_is_forced_to_disk_through_the_shim() {
    let place = Place::new();
    let opened = place.open();
    for number in 0..5 {
        let before = store::syncs();
        put(&opened, "counter", &number.to_string());
        assert!(store::syncs() > before);
    }
}

#[test]
fn waiting_batches_share_a_flush() {
    let place = Place::new();
    let opened = place.open();
    let before = opened.engine.stats();
    let mut waiting = Vec::new();
    for number in 0..64_u64 {
        for round in 0..10_u64 {
            let key = Table::SETTING.key(&(number * 100 + round).to_be_bytes());
            waiting.push(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![0; 100])])));
        }
    }
    for answer in waiting {
        wait(answer).unwrap();
    }
    let after = opened.engine.stats();
    assert_eq!(after.batches - before.batches, 640);
    let groups = after.groups - before.groups;
    assert!(groups <= 320, "640 batches took {groups} flushes");
    assert_eq!(after.queued, 0);
}

/// GEN-03: of any number of batches that consume the same object, one wins.
#[test]
fn exactly_one_of_many_conflicting_batches_wins() {
    let place = Place::new();
    let opened = place.open();
    let key = Table::SETTING.key(b"once");
    for round in 0..20_u32 {
        let seen = round.to_be_bytes().to_vec();
        wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key.clone(), seen.clone())]))).unwrap();
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                opened.engine.commit(raw(
                    vec![Precondition::Equals(key.clone(), seen.clone())],
                    vec![Write::Remove(key.clone())],
                ))
            })
            .collect();
        let verdicts: Vec<_> = waiting.into_iter().map(wait).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 1);
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Err(CommitError::Conflict)).count(), 49);
        assert_eq!(opened.engine.get(&key).unwrap(), None);
    }
}

#[test]
fn a_conflict_changes_nothing_and_runs_no_hook() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    let ran = Arc::new(AtomicU64::new(0));
    let count = ran.clone();
    let mut batch = opened.store.batch();
    batch.put(b"b", &Setting("2".to_owned())).insert_new(b"a", &Setting("3".to_owned())).after(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(wait(opened.store.commit(batch)), Err(CommitError::Conflict));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert!(opened.store.get::<Setting>(b"b").unwrap().is_none());
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
}

#[test]
fn hooks_run_in_commit_order_before_the_answer() {
    let place = Place::new();
    let opened = place.open();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..100_u32)
        .map(|number| {
            let order = order.clone();
            let mut batch = RawBatch {
                writes: vec![Write::Put(Table::SETTING.key(b"last"), number.to_be_bytes().to_vec())],
                ..RawBatch::default()
            };
            batch.after.push(Box::new(move || order.lock().unwrap().push(number)));
            opened.engine.commit(batch)
        })
        .collect();
    for (number, answer) in waiting.into_iter().enumerate() {
        wait(answer).unwrap();
        assert!(order.lock().unwrap().len() > number);
    }
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(opened.engine.get(&Table::SETTING.key(b"last")).unwrap(), Some(99_u32.to_be_bytes().to_vec()));
}

#[test]
fn a_hook_that_panics_stops_the_store() {
    let place = Place::new();
    let told = Arc::new(AtomicU64::new(0));
    let count = told.clone();
    let mut settings = place.settings();
    settings.on_failure = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let opened = place.open_with(&settings).unwrap();
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("1".to_owned())).after(|| panic!("a bug"));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Store(_))));
    assert!(matches!(wait(opened.store.commit(opened.store.batch())), Err(CommitError::Store(_))));
    opened.engine.close();
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(opened.engine.write_refusal().is_some());
}

#[test]
fn a_value_that_would_become_a_file_of_its_own_is_refused() {
    let place = Place::new();
    let opened = place.open();
    for number in 0..400_u32 {
        let key = Table::SETTING.key(&number.to_be_bytes());
        wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![number as u8; 3580])]))).unwrap();
    }
    let key = Table::SETTING.key(b"large");
    let refused = wait(opened.engine.commit(raw(Vec::new(), vec![Write::Put(key, vec![1; 5000])])));
    assert!(matches!(refused, Err(CommitError::Store(store::StoreError::TooLarge { table: "setting" }))));
    opened.close();
    drop(opened);
    let _ = place.open();
    assert_eq!(fs::read_dir(place.dir.join("store/blobs")).unwrap().count(), 0);
}

/// FAIL-02: below the floor writes change nothing, reads go on, and space alone brings writes back.
#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    opened.engine.set_free_space_floor(u64::MAX);
    assert!(opened.engine.write_refusal().is_some());
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("2".to_owned()));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Unavailable(_))));
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
    assert!(snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).is_err());
    opened.engine.set_free_space_floor(0);
    assert_eq!(opened.engine.write_refusal(), None);
    put(&opened, "a", "2");
    opened.close();
    drop(opened);

    let mut settings = place.settings();
    settings.free_space_floor = Some(u64::MAX);
    let opened = place.open_with(&settings).unwrap();
    assert_eq!(get(&opened, "a").as_deref(), Some("2"), "a store opens for reading while the disk is full");
}

#[test]
fn a_closed_store_takes_no_writes_and_still_reads() {
    let place = Place::new();
    let opened = place.open();
    put(&opened, "a", "1");
    opened.close();
    opened.close();
    let mut batch = opened.store.batch();
    batch.put(b"a", &Setting("2".to_owned()));
    assert!(matches!(wait(opened.store.commit(batch)), Err(CommitError::Unavailable(_))));
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
}

#[test]
fn a_snapshot_under_load_shows_one_moment() {
    let place = filled(1);
    let opened = Arc::new(place.open());
    let key = |number: u64| Table::SETTING.key(&(1_000_000 + number).to_be_bytes());
    // Every batch adds one to all of 3000 rows spread over the table, ten rows at a time in one batch per step would
    // tear; so each batch rewrites the same 100 rows with one number.
    let rows: Vec<Vec<u8>> = (0..100).map(|row| key(row * 37)).collect();
    for filler in 0..5000 {
        let write = Write::Put(Table::SESSION.key(&(filler as u64).to_be_bytes()), vec![1; 20]);
        drop(opened.engine.commit(raw(Vec::new(), vec![write])));
    }
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (writer, rows_written, stopped) = (opened.clone(), rows.clone(), stop.clone());
    let thread = std::thread::spawn(move || {
        let mut number = 0_u64;
        while !stopped.load(Ordering::SeqCst) {
            number += 1;
            let writes = rows_written
                .iter()
                .map(|key| Write::Put(key.clone(), number.to_be_bytes().to_vec()))
                .collect();
            match wait(writer.engine.commit(raw(Vec::new(), writes))) {
                Ok(()) | Err(CommitError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    // The writer's first batch waits behind five thousand others; on a busy machine for a while.
    until("the first batch is written", || opened.engine.get(&rows[0]).unwrap().is_some());
    let mut moments = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let pairs: Vec<_> = opened.engine.snapshot().unwrap().map(Result::unwrap).collect();
        assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0), "in key order");
        let seen: std::collections::BTreeSet<_> =
            pairs.iter().filter(|(key, _)| rows.contains(key)).map(|(_, value)| value.clone()).collect();
        assert_eq!(seen.len(), 1, "the snapshot is torn");
        moments.extend(seen);
        // One that nothing was written after proves nothing.
        if moments.len() >= 5 {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    assert!(moments.len() >= 5, "nothing was written meanwhile");
}

#[test]
fn purge_removes_what_expired_and_follows_what_slid() {
    let place = Place::new();
    let opened = place.open();
    let at = |secs: u64| Timestamp::from_secs(NOW + secs);
    let mut batch = opened.store.batch();
    for (row, indexed, expires) in [("gone", 10, 10), ("slid", 10, 500), ("later", 900, 900)] {
        batch
            .put(row.as_bytes(), &Passing { expires: at(expires) })
            .expire::<Passing>(row.as_bytes(), at(indexed));
    }
    batch.expire::<Passing>(b"never", at(5));
    batch.expire::<Passing>(b"damaged", at(4));
    wait(opened.store.commit(batch)).unwrap();
    let damaged = Write::Put(Table::SESSION.key(b"~damaged"), b"no envelope".to_vec());
    let damaged = [
        damaged,
        Write::Put([b"xs".as_slice(), &at(4).as_millis().to_be_bytes(), b"~damaged"].concat(), Vec::new()),
    ];
    wait(opened.engine.commit(raw(Vec::new(), damaged.to_vec()))).unwrap();
    assert_eq!(
        wait(opened.store.purge::<Passing>(at(4), 100)).unwrap(),
        2,
        "a damaged record holds up nothing"
    );
    wait(opened.engine.commit(raw(Vec::new(), vec![Write::Remove(Table::SESSION.key(b"~damaged"))])))
        .unwrap();
    let rows = || -> Vec<String> {
        let found = opened.store.scan::<Passing>(b"", None, 10).unwrap();
        found.into_iter().map(|(row, _)| String::from_utf8(row).unwrap()).collect()
    };
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 2)).unwrap(), 2);
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 2)).unwrap(), 1);
    assert_eq!(rows(), ["later", "slid"]);
    assert_eq!(wait(opened.store.purge::<Passing>(at(100), 100)).unwrap(), 0);
    assert_eq!(wait(opened.store.purge::<Passing>(at(500), 100)).unwrap(), 1);
    assert_eq!(rows(), ["later"]);
    assert_eq!(wait(opened.store.purge::<Passing>(at(900), 100)).unwrap(), 1);
    assert!(opened.engine.scan(b"x", None, 10).unwrap().is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Commit { preconditions: Vec<(u8, Option<u8>)>, writes: Vec<(u8, Option<u8>)> },
    Scan { prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
}

/// Keys that share prefixes and end in the bytes that are awkward for ranges.
fn key(index: u8) -> Vec<u8> {
    const TAILS: [&[u8]; 8] = [b"", b"\0", b"a", b"a\xff", b"\xff", b"\xff\xff", b"b", b"ba"];
    let mut key = vec![[b'a', b'c', b's'][usize::from(index / 8 % 3)]];
    key.extend_from_slice(TAILS[usize::from(index % 8)]);
    key
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pairs = |most| proptest::collection::vec((0..24_u8, proptest::option::of(0..3_u8)), 0..most);
    let commit =
        (pairs(3), pairs(6)).prop_map(|(preconditions, writes)| Step::Commit { preconditions, writes });
    let bound = || proptest::option::of((0..24_u8).prop_map(key));
    let prefix = prop_oneof![Just(Vec::new()), (0..24_u8).prop_map(key)];
    let scan =
        (prefix, bound(), 0..20_usize).prop_map(|(prefix, after, limit)| Step::Scan { prefix, after, limit });
    proptest::collection::vec(prop_oneof![2 => commit, 1 => scan], 1..60)
}

fn to_batch(preconditions: &[(u8, Option<u8>)], writes: &[(u8, Option<u8>)]) -> RawBatch {
    raw(
        preconditions
            .iter()
            .map(|(index, value)| match value {
                Some(value) => Precondition::Equals(key(*index), vec![*value]),
                None => Precondition::Absent(key(*index)),
            })
            .collect(),
        writes
            .iter()
            .map(|(index, value)| match value {
                Some(value) => Write::Put(key(*index), vec![*value]),
                None => Write::Remove(key(*index)),
            })
            .collect(),
    )
}

/// The real engine and the model agree on every verdict, every scan and the final state, also when batches share a
/// group.
#[test]
fn the_engine_behaves_like_its_model() {
    let place = Place::new();
    let opened = place.open();
    let engine: &dyn Engine = opened.engine.as_ref();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(steps(), any::<bool>()), |(steps, waits)| {
            let model = MemoryEngine::default();
            let clear: Vec<Write> = [b'a', b'c', b's']
                .iter()
                .flat_map(|tag| engine.scan(&[*tag], None, 1000).unwrap())
                .map(|(key, _)| Write::Remove(key))
                .collect();
            wait(engine.commit(raw(Vec::new(), clear))).unwrap();
            let mut waiting = Vec::new();
            for step in &steps {
                match step {
                    Step::Commit { preconditions, writes } => {
                        let expected = wait(model.commit(to_batch(preconditions, writes)));
                        let answer = engine.commit(to_batch(preconditions, writes));
                        if waits {
                            prop_assert_eq!(wait(answer), expected);
                        } else {
                            waiting.push((answer, expected));
                        }
                    }
                    Step::Scan { prefix, after, limit } => {
                        for (answer, expected) in waiting.drain(..) {
                            prop_assert_eq!(wait(answer), expected);
                        }
                        let scan = |engine: &dyn Engine| {
                            let mut found = engine.scan(prefix, after.as_deref(), 1000).unwrap();
                            found.retain(|(key, _)| matches!(key.first(), Some(b'a' | b'c' | b's')));
                            found.truncate(*limit);
                            found
                        };
                        prop_assert_eq!(scan(engine), scan(&model));
                        if !prefix.is_empty() {
                            let limited =
                                |engine: &dyn Engine| engine.scan(prefix, after.as_deref(), *limit).unwrap();
                            prop_assert_eq!(limited(engine), limited(&model));
                        }
                    }
                }
            }
            for (answer, expected) in waiting {
                prop_assert_eq!(wait(answer), expected);
            }
            let all = |engine: &dyn Engine| -> Vec<(Vec<u8>, Vec<u8>)> {
                let pairs = engine.snapshot().unwrap().map(Result::unwrap);
                pairs.filter(|(key, _)| matches!(key.first(), Some(b'a' | b'c' | b's'))).collect()
            };
            prop_assert_eq!(all(engine), all(&model));
            for index in 0..24 {
                prop_assert_eq!(engine.get(&key(index)).unwrap(), model.get(&key(index)).unwrap());
            }
            Ok(())
        })
        .unwrap();
}
