//! What is refused at the start, and in which words.

use super::*;

/// FAIL-06
#[test]
fn a_second_process_is_refused() {
    let place = Place::new();
    let opened = place.open();
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Locked);
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(opened);
    let _ = place.open();
}

/// KEY-02
#[test]
fn a_directory_that_others_may_read_is_refused() {
    let place = filled(1);
    for mode in [0o750, 0o705, 0o770, 0o701] {
        fs::set_permissions(&place.dir, fs::Permissions::from_mode(mode)).unwrap();
        let refused = place.refusal();
        assert_eq!(refused.refusal, Refusal::Permissions);
        assert!(refused.to_string().contains(&format!("chmod 700 {}", place.dir.display())), "{refused}");
    }
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o700)).unwrap();
    let _ = place.open();
}

#[test]
fn everything_in_the_directory_is_for_its_owner_alone() {
    let place = filled(1);
    let opened = place.open();
    let snapshot =
        snapshots::take(&opened.store, &place.dir, Reason::Asked, Timestamp::from_secs(NOW)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.dir), 0o700);
    assert_eq!(mode(&place.dir.join("snapshots")), 0o700);
    assert_eq!(mode(&snapshot), 0o600);
}

/// FAIL-04: an empty store beside the traces of an installation would reopen its setup to whoever comes first.
#[test]
fn a_missing_store_is_never_replaced_by_an_empty_one() {
    let place = filled(3);
    let former = fs::read_to_string(place.dir.join("instance-id")).unwrap();
    fs::rename(place.dir.join("store"), place.dir.parent().unwrap().join("elsewhere")).unwrap();
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::DataMissing);
    assert!(refused.to_string().contains("--accept-new-store"), "{refused}");
    assert!(!place.dir.join("store").exists());

    fs::create_dir(place.dir.join("store")).unwrap();
    assert_eq!(place.refusal().refusal, Refusal::DataMissing, "an empty one is no better");

    let mut settings = place.settings();
    settings.accept_new_store = true;
    let opened = place.open_with(&settings).unwrap();
    assert!(opened.is_new);
    assert_ne!(format!("{}\n", opened.instance), former);
    assert!(place.quarantined().iter().any(|name| name.ends_with("instance-id")), "the former id is kept");
}

/// FAIL-04
#[test]
fn a_caller_that_knows_of_data_gets_no_empty_store() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.expect_data = true;
    assert_eq!(place.open_with(&settings).unwrap_err().refusal, Refusal::DataMissing);
    assert!(!store::has_data(&place.dir).unwrap());
    let _ = place.open();
    assert!(store::has_data(&place.dir).unwrap());
}

#[test]
fn a_store_of_another_installation_is_refused() {
    let (ours, theirs) = (filled(1), filled(1));
    fs::remove_dir_all(ours.dir.join("store")).unwrap();
    fs::rename(theirs.dir.join("store"), ours.dir.join("store")).unwrap();
    let refused = ours.refusal();
    assert_eq!(refused.refusal, Refusal::Foreign);
    assert!(refused.to_string().contains("instance-id"), "{refused}");
}

/// KEY-02
#[test]
fn a_wrong_master_key_is_named_as_such() {
    let mut place = filled(1);
    place.key = 8;
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::WrongKey);
    assert!(refused.to_string().contains("master key does not fit"), "{refused}");
    place.key = 7;
    assert_eq!(get(&place.open(), "row0"), Some("x".repeat(200)));
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let place = filled(1);
    let opened = place.open();
    let mut batch = opened.store.batch();
    let schema = meta::Schema { version: meta::SCHEMA_VERSION + 1, app: "99.0.0".to_owned() };
    meta::put(&mut batch, &schema);
    wait(opened.store.commit(batch)).unwrap();
    drop(opened);
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Newer);
    assert!(refused.to_string().contains("99.0.0"), "{refused}");
}

/// Rows of events counted up until schema 2.
#[test]
fn a_store_of_an_older_program_is_brought_to_this_schema_behind_a_snapshot() {
    let place = filled(1);
    let opened = place.open();
    let row = |at: u64| Table::AUDIT.key(&[at.to_be_bytes(), 5_u64.to_be_bytes()].concat());
    let turned = |at: u64| Table::AUDIT.key(&[(!at).to_be_bytes(), (!5_u64).to_be_bytes()].concat());
    let old = [1_790_000_000_000, 1_790_000_000_001].map(|at| Write::Put(row(at), vec![7]));
    wait(opened.engine.commit(raw(Vec::new(), old.to_vec()))).unwrap();
    let mut batch = opened.store.batch();
    meta::put(&mut batch, &meta::Schema { version: 1, app: "0.1.0".to_owned() });
    wait(opened.store.commit(batch)).unwrap();
    drop(opened);

    let opened = place.open();
    let found = opened.engine.scan(&Table::AUDIT.key(&[]), None, 10).unwrap();
    let rows: Vec<Vec<u8>> = found.into_iter().map(|(key, _)| key).collect();
    assert_eq!(rows, [turned(1_790_000_000_001), turned(1_790_000_000_000)], "newest first");
    let schema = meta::read::<meta::Schema>(&opened.store).unwrap().unwrap();
    assert_eq!(schema.version, meta::SCHEMA_VERSION);
    assert_eq!(snapshots::list(&place.dir, None).unwrap().len(), 1);
}

/// Runs `work` on a thread that acts as the user `nobody`, if we may do that.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::fs::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

/// FAIL-04: no permission to read is not "nothing is there".
#[test]
fn a_store_that_may_not_be_read_is_refused() {
    let (place, snapshot) = with_snapshot();
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(place.dir.join("store/db"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let nobody = (Some(65534), Some(65534));
    let whole = |path: &Path| {
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(path, nobody.0, nobody.1).unwrap();
        }
    };
    if rustix::process::geteuid().is_root() {
        let refused = as_nobody(|| place.refusal());
        assert_eq!(refused.refusal, Refusal::Permissions, "{refused}");
        assert!(
            refused.to_string().contains(&format!("chown -R 65534 {}", place.dir.display())),
            "{refused}"
        );
    }
    for path in [
        &place.dir,
        &place.dir.join("lock"),
        &place.dir.join("store"),
        &place.dir.join("snapshots"),
        &snapshot,
    ] {
        whole(path);
    }
    let before = fs::read(place.dir.join("instance-id")).unwrap();
    let refused = as_nobody(|| place.refusal());
    assert_eq!(refused.refusal, Refusal::Permissions, "{refused}");
    assert!(refused.to_string().contains(&snapshot.display().to_string()), "{refused}");
    assert_eq!(fs::read(place.dir.join("instance-id")).unwrap(), before);
    fs::set_permissions(place.dir.join("store/db"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(get(&place.open(), "row0"), Some("x".repeat(200)), "nothing was harmed");
}
