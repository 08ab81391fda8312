//! Checks, compaction, snapshots, clock mark and the commands.

use super::*;
use crate::harness::until;

#[test]
fn compaction_keeps_every_record_and_gives_space_back() {
    let place = Place::new();
    let opened = place.open();
    for round in 0..60_u8 {
        for part in 0..20_u64 {
            let writes = (0..40_u64)
                .map(|row| Write::Put(Table::SETTING.key(&(part * 40 + row).to_be_bytes()), vec![round; 400]))
                .collect();
            drop(opened.engine.commit(raw(Vec::new(), writes)));
        }
        wait(opened.engine.commit(RawBatch::default())).unwrap();
    }
    put(&opened, "a", "1");
    let before: Vec<_> = opened.engine.snapshot().unwrap().map(Result::unwrap).collect();
    opened.close();
    let instance = opened.instance;
    drop(opened);
    let report = store::compact(&place.settings(), &place.sealer(), &Random::os(), &place.clock()).unwrap();
    assert_eq!(report.records, before.len() as u64);
    assert!(report.after < report.before, "{report:?}");
    let opened = place.open();
    assert!(opened.was_clean);
    assert_eq!(opened.instance, instance);
    let strip = |pairs: Vec<(Vec<u8>, Vec<u8>)>| -> Vec<_> {
        let by_opening = [Table::META.key(b"clean_stop"), Table::META.key(b"progress")];
        pairs.into_iter().filter(|(key, _)| !by_opening.contains(key)).collect()
    };
    assert_eq!(strip(opened.engine.snapshot().unwrap().map(Result::unwrap).collect()), strip(before));
    for gone in ["store.new", "store.old", "store.swap"] {
        assert!(!place.dir.join(gone).exists(), "{gone}");
    }
}

/// Fills 80 MiB of the table of events, and puts one record beside them.
fn fill_with_events(opened: &Opened) {
    let mut waiting = Vec::new();
    for part in 0..500_u64 {
        let writes = (0..50_u64)
            .map(|row| Write::Put(Table::AUDIT.key(&(part * 50 + row).to_be_bytes()), vec![7; 3500]))
            .collect();
        waiting.push(opened.engine.commit(raw(Vec::new(), writes)));
        if waiting.len() == 20 {
            waiting.drain(..).for_each(|answer| wait(answer).unwrap());
        }
    }
    waiting.into_iter().for_each(|answer| wait(answer).unwrap());
    put(opened, "a", "1");
}

fn remove_the_events(opened: &Opened) {
    for part in 0..500_u64 {
        let writes = (0..50_u64)
            .map(|row| Write::Remove(Table::AUDIT.key(&(part * 50 + row).to_be_bytes())))
            .collect();
        drop(opened.engine.commit(raw(Vec::new(), writes)));
    }
}

fn size_of_the_store(place: &Place) -> u64 {
    fs::metadata(place.dir.join("store/db")).unwrap().len()
}

fn assert_is_compacted(place: &Place, opened: &Opened) {
    assert!(size_of_the_store(place) < 4 * 1024 * 1024, "{}", size_of_the_store(place));
    assert_eq!(get(opened, "a").as_deref(), Some("1"));
    assert!(opened.engine.scan(&[Table::AUDIT.tag], None, 10).unwrap().is_empty());
}

#[test]
fn a_bloated_store_is_compacted_at_start() {
    let place = Place::new();
    let opened = place.open();
    fill_with_events(&opened);
    remove_the_events(&opened);
    opened.close();
    drop(opened);
    assert!(size_of_the_store(&place) > 64 * 1024 * 1024, "{}", size_of_the_store(&place));
    assert_is_compacted(&place, &place.open());
}

/// What the last check counted decides whether a start looks at all, so that a start with many records does not read them
/// twice.
#[test]
fn a_start_looks_for_bloat_by_what_the_last_check_counted() {
    let place = Place::new();
    let checked = || {
        let opened = place.open();
        opened.begin_check();
        until("the check ends", || opened.check.report().is_finished);
        opened
    };
    let opened = place.open();
    fill_with_events(&opened);
    opened.close();
    drop(opened);
    let opened = checked();
    assert!(opened.check.report().bytes > 80 * 1024 * 1024, "{:?}", opened.check.report());
    remove_the_events(&opened);
    opened.close();
    drop(opened);
    let opened = checked();
    assert!(size_of_the_store(&place) > 64 * 1024 * 1024, "the last check had counted a full store");
    assert_eq!(get(&opened, "a").as_deref(), Some("1"));
    opened.close();
    drop(opened);
    assert_is_compacted(&place, &place.open());
}

/// A crash between any two steps of a swap leaves a store that opens, old or new, whole.
#[test]
fn an_interrupted_swap_is_finished_at_the_next_start() {
    for stage in 0..3 {
        let place = filled(3);
        let instance = fs::read_to_string(place.dir.join("instance-id")).unwrap();
        let newer = filled(5);
        let newer_instance = fs::read_to_string(newer.dir.join("instance-id")).unwrap();
        fs::rename(newer.dir.join("store"), place.dir.join("store.new")).unwrap();
        let expected = if stage == 0 {
            // Not decided yet.
            (instance, 3)
        } else {
            fs::write(place.dir.join("store.swap"), format!("store.old\n{newer_instance}")).unwrap();
            if stage == 2 {
                fs::rename(place.dir.join("store"), place.dir.join("store.old")).unwrap();
            }
            (newer_instance, 5)
        };
        let opened = place.open();
        assert_eq!(format!("{}\n", opened.instance), expected.0);
        assert_eq!(opened.store.scan::<Setting>(b"", None, 10).unwrap().len(), expected.1);
        for gone in ["store.new", "store.old", "store.swap"] {
            assert!(!place.dir.join(gone).exists(), "{gone} at stage {stage}");
        }
    }
}

/// A store that opens only without sled's snapshots is exchanged for a copy that was opened before. A crash between the
/// steps of that leaves the store, or the proven copy in its place; an unproven one never gets there.
#[test]
fn an_interrupted_exchange_for_a_proven_copy_is_finished() {
    let copy = |place: &Place, name: &str| {
        let (store, copy) = (place.dir.join("store"), place.dir.join(name));
        assert!(std::process::Command::new("cp").arg("-a").args([store, copy]).status().unwrap().success());
    };
    for name in ["store.retry", "store.proven"] {
        for is_moved in [false, true] {
            let place = filled(3);
            copy(&place, name);
            if is_moved {
                fs::create_dir(place.dir.join("quarantine")).unwrap();
                fs::rename(place.dir.join("store"), place.dir.join("quarantine/store")).unwrap();
            }
            if is_moved && name == "store.retry" {
                assert_eq!(place.refusal().refusal, Refusal::DataMissing);
            } else {
                assert_eq!(get(&place.open(), "row2"), Some("x".repeat(200)), "{name} {is_moved}");
            }
            assert!(!place.dir.join(name).exists(), "{name} {is_moved}");
        }
    }
}

#[test]
fn snapshots_are_listed_with_what_reading_them_showed() {
    let (place, first) = with_snapshot();
    let opened = place.open();
    let second =
        snapshots::take(&opened.store, &place.dir, Reason::Asked, Timestamp::from_secs(NOW + 9)).unwrap();
    assert!(!snapshots::is_daily_due(&place.dir, Timestamp::from_secs(NOW + 9)).unwrap());
    assert!(snapshots::is_daily_due(&place.dir, Timestamp::from_secs(NOW + 86_400)).unwrap());
    let mut text = fs::read(&second).unwrap();
    let middle = text.len() / 2;
    text[middle] ^= 1;
    fs::write(&second, text).unwrap();
    let listed = snapshots::list(&place.dir, Some(&place.sealer())).unwrap();
    let paths: Vec<_> = listed.iter().map(|snapshot| snapshot.path.clone()).collect();
    assert_eq!(paths, [second, first]);
    assert!(listed[0].state.is_err());
    assert!(listed[1].state.is_ok());
}

#[test]
fn the_check_in_the_background_counts_what_is_damaged() {
    let place = filled(20);
    let opened = place.open();
    let mut value = opened.engine.get(&Table::PASSWORD.key(b"row3")).unwrap().unwrap();
    value[30] ^= 1;
    let wrong = Write::Put(Table::SETTING.key(b"row4"), b"no envelope".to_vec());
    let moved = Write::Put(
        Table::PASSWORD.key(b"row5"),
        opened.engine.get(&Table::PASSWORD.key(b"row6")).unwrap().unwrap(),
    );
    let damaged = Write::Put(Table::PASSWORD.key(b"row3"), value);
    wait(opened.engine.commit(raw(Vec::new(), vec![damaged, wrong, moved]))).unwrap();
    drop(opened);
    let opened = place.open();
    assert_eq!(opened.check.report(), store::CheckReport::default());
    opened.begin_check();
    opened.begin_check();
    until("the check ends", || opened.check.report().is_finished);
    let report = opened.check.report();
    assert_eq!(report.damaged, 3);
    assert_eq!(report, store::check_now(opened.store.engine(), &place.sealer()).unwrap(), "looked at once");
    snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    let listed = snapshots::list(&place.dir, Some(&place.sealer())).unwrap();
    let (_, report) = listed[0].state.as_ref().unwrap();
    assert_eq!(report.left_out, 3, "one damaged value does not end the making of backups");
}

/// BAK-01: whole snapshots make room for whole ones alone, so damage that nobody saw does not push out the last good ones.
#[test]
fn whole_snapshots_outlive_those_of_a_damaged_store() {
    let place = filled(3);
    let opened = place.open();
    let take = |day: u64| {
        let at = Timestamp::from_secs(NOW + day * 86_400);
        snapshots::take(&opened.store, &place.dir, Reason::Daily, at).unwrap()
    };
    let whole: Vec<_> = (0..7).map(take).collect();
    let wrong = Write::Put(Table::SETTING.key(b"row1"), b"no envelope".to_vec());
    wait(opened.engine.commit(raw(Vec::new(), vec![wrong]))).unwrap();
    (7..45).for_each(|day| drop(take(day)));
    for path in &whole {
        assert!(path.exists(), "{}", path.display());
    }
    let all = snapshots::list(&place.dir, Some(&place.sealer())).unwrap();
    let left_out: Vec<u64> = all.iter().map(|one| one.state.as_ref().unwrap().1.left_out).collect();
    assert!(left_out.len() <= whole.len() + 11, "those of the damaged store are thinned out: {left_out:?}");
    assert_eq!(left_out.iter().filter(|count| **count == 0).count(), whole.len());
    let context = doorward::cli::store::StoreContext {
        settings: place.settings(),
        sealer: place.sealer(),
        random: Random::os(),
        clock: place.clock(),
    };
    let mut out = Vec::new();
    let command = doorward::cli::store::StoreCommand::Snapshots { take: false };
    doorward::cli::store::run(&command, &context, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    assert!(lines.lines().next().unwrap().contains("damaged and not in it: 1"), "{lines}");
    assert_eq!(lines.matches("  verified  ").count(), whole.len(), "{lines}");
    let mended = Write::Remove(Table::SETTING.key(b"row1"));
    wait(opened.engine.commit(raw(Vec::new(), vec![mended]))).unwrap();
    (45..85).for_each(|day| drop(take(day)));
    assert!(whole.iter().all(|path| !path.exists()), "they have made room for whole ones");
}

/// FAIL-03
#[test]
fn a_clock_behind_its_high_water_mark_is_noticed_after_a_restart() {
    let place = Place::new();
    let opened = place.open();
    let mark = ClockMark::load(&opened.store).unwrap();
    let at = |secs: u64| Timestamp::from_secs(NOW + secs);
    assert!(!mark.is_clock_behind(at(0)));
    wait(mark.persist(&opened.store, at(10_000))).unwrap();
    wait(mark.persist(&opened.store, at(9_000))).unwrap();
    drop(opened);
    let opened = place.open();
    let mark = ClockMark::load(&opened.store).unwrap();
    assert_eq!(mark.at(), at(10_000));
    assert!(mark.is_clock_behind(at(9_000)));
    assert!(mark.is_clock_behind(Timestamp::ZERO));
    assert!(!mark.is_clock_behind(at(9_990)), "a small step back is NTP at work");
    wait(mark.reset(&opened.store, at(100))).unwrap();
    assert!(!mark.is_clock_behind(at(100)));
    assert_eq!(ClockMark::load(&opened.store).unwrap().at(), at(100));
}

/// Clocks move under the keeper as they would in a day.
#[test]
fn the_keeper_takes_daily_snapshots_and_remembers_the_time() {
    let place = filled(1);
    let opened = place.open();
    let mark = Arc::new(ClockMark::load(&opened.store).unwrap());
    let mut keeper =
        store::Keeper::start(opened.store.clone(), &place.dir, place.clock(), mark.clone()).unwrap();
    let count = || snapshots::list(&place.dir, None).unwrap().len();
    for day in 1..=2 {
        place.clock.set_wall(Timestamp::from_secs(NOW + day * 86_400));
        for _ in 0..20 {
            // The thread may read the clock for the first time only now.
            place.clock.advance(Duration::from_secs(300));
            std::thread::sleep(Duration::from_millis(1100));
            if count() == day as usize {
                break;
            }
        }
        assert_eq!(count(), day as usize);
    }
    place.clock.set_wall(Timestamp::from_secs(NOW + 3 * 86_400));
    keeper.stop();
    assert_eq!(ClockMark::load(&opened.store).unwrap().at(), Timestamp::from_secs(NOW + 3 * 86_400));
}

/// The commands as the administrator runs them.
#[test]
fn the_commands_export_replace_check_and_list() {
    use doorward::cli::store::{StoreCommand, StoreContext, run};
    let (place, snapshot) = with_snapshot();
    let context = StoreContext {
        settings: place.settings(),
        sealer: place.sealer(),
        random: Random::os(),
        clock: place.clock(),
    };
    let run = |command: StoreCommand| {
        let mut out = Vec::new();
        run(&command, &context, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    let file = place.dir.parent().unwrap().join("out");
    assert!(run(StoreCommand::Export { file: file.clone() }).unwrap().contains("verified"));
    assert!(run(StoreCommand::Export { file: file.clone() }).is_err(), "an export overwrites nothing");
    let text = run(StoreCommand::Export { file: "-".into() }).unwrap();
    assert!(text.starts_with("{\"format\":\"doorward-export\"") && text.ends_with("\"}\n"));
    assert!(run(StoreCommand::Check).unwrap().contains(" 0 damaged"));
    assert!(run(StoreCommand::Compact).unwrap().contains("records"));
    assert!(run(StoreCommand::Snapshots { take: true }).unwrap().matches("verified").count() == 2);
    assert!(run(StoreCommand::ResetClock).unwrap().contains("2026"));
    let import =
        |replace| StoreCommand::Import { file: file.clone(), replace, salvage: false, skip_unknown: false };
    assert!(run(import(false)).unwrap_err().contains("--replace"));
    assert!(run(import(true)).unwrap().contains("is kept in"));
    let opened = place.open();
    assert_eq!(get(&opened, "row299"), Some("x".repeat(200)));
    let refused = run(StoreCommand::Export { file: "-".into() }).unwrap_err();
    assert!(refused.contains("Another Doorward") && refused.contains("snapshots/"), "{refused}");
    drop(snapshot);
}
