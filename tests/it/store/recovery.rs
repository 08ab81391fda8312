//! Damage, and the way back from it.

use super::*;

/// Runs the command that a refusal names, through the library.
fn follow(place: &Place, refused: &OpenError) -> store::ImportReport {
    let text = refused.to_string();
    let (_, path) = text.rsplit_once("doorward store import --replace ").expect(&text);
    place.import(Path::new(path), REPLACE).unwrap()
}

#[test]
fn a_truncated_store_names_the_snapshot_that_restores_it() {
    let (place, snapshot) = with_snapshot();
    let db = fs::OpenOptions::new().write(true).open(place.dir.join("store/db")).unwrap();
    db.set_len(db.metadata().unwrap().len() / 3).unwrap();
    drop(db);
    let refused = place.refusal();
    assert_eq!(refused.refusal, Refusal::Damaged, "{refused}");
    assert!(refused.to_string().contains(&snapshot.display().to_string()), "{refused}");

    place.clock.advance(Duration::from_secs(3600));
    let report = follow(&place, &refused);
    assert_eq!(report.counts.get("setting"), Some(&300));
    assert!(report.kept.unwrap().join("db").exists(), "the damaged store is kept");
    let opened = place.open();
    for number in 0..300 {
        assert_eq!(get(&opened, &format!("row{number}")), Some("x".repeat(200)));
    }
    assert_eq!(meta::not_before(&opened.store).unwrap(), Timestamp::from_secs(NOW + 3600));
}

/// Whatever bit is flipped: the store refuses with the way back, or what it reads is right. (A flip in the newest
/// part of sled's log can make it forget the newest records without a word; the snapshot is what remains then.)
#[test]
fn a_flipped_bit_never_yields_a_wrong_value() {
    let (place, _) = with_snapshot();
    let original = fs::read(place.dir.join("store/db")).unwrap();
    for trial in 0..24_usize {
        let mut damaged = original.clone();
        let at = (trial * 7919 + 4096) * 37 % damaged.len();
        damaged[at] ^= 1 << (trial % 8);
        let copy = Place::new();
        fs::create_dir_all(copy.dir.join("store/blobs")).unwrap();
        fs::set_permissions(&copy.dir, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(place.dir.join("store/conf"), copy.dir.join("store/conf")).unwrap();
        fs::copy(place.dir.join("instance-id"), copy.dir.join("instance-id")).unwrap();
        fs::write(copy.dir.join("store/db"), damaged).unwrap();
        match copy.open_with(&copy.settings()) {
            Err(error) => {
                let is_plain = matches!(
                    error.refusal,
                    Refusal::Damaged | Refusal::DataMissing | Refusal::WrongKey | Refusal::Foreign
                );
                assert!(is_plain && error.to_string().contains("doorward"), "byte {at}: {error}");
            }
            Ok(opened) => {
                for number in 0..300 {
                    let row = format!("row{number}");
                    if let Ok(Some(found)) = opened.store.get::<Setting>(row.as_bytes()) {
                        assert_eq!(found.value.0, "x".repeat(200), "byte {at}");
                    }
                    if let Ok(Some(found)) = opened.store.get::<Sealed>(row.as_bytes()) {
                        assert_eq!(found.value.0, "x".repeat(200), "byte {at}");
                    }
                }
                let report = store::check_now(opened.store.engine(), &copy.sealer());
                drop(report);
            }
        }
    }
}

/// sled takes a half-written snapshot of its page table for the newest one and then does not open.
#[test]
fn a_half_written_page_table_snapshot_is_set_aside() {
    let place = filled(50);
    fs::write(place.dir.join("store/snap.FFFFFFFFFFFFFFF0.generating"), b"half").unwrap();
    assert_eq!(get(&place.open(), "row49"), Some("x".repeat(200)));
    assert!(place.quarantined().iter().any(|name| name.ends_with(".generating")));
}

#[test]
fn a_damaged_page_table_snapshot_costs_nothing() {
    let place = filled(50);
    let mut damaged = 0;
    for entry in fs::read_dir(place.dir.join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            damaged += 1;
        }
    }
    if damaged == 0 {
        fs::write(place.dir.join("store/snap.FFFFFFFFFFFFFFF0"), b"damaged").unwrap();
    }
    let opened = place.open();
    for number in 0..50 {
        assert_eq!(get(&opened, &format!("row{number}")), Some("x".repeat(200)));
    }
    assert!(place.quarantined().iter().any(|name| name.ends_with("store")), "the damaged store is kept");
}

/// BAK-01, BAK-03
#[test]
fn a_restore_ends_sessions_and_refuses_what_was_issued_before() {
    let place = filled(2);
    let opened = place.open();
    let mut batch = opened.store.batch();
    let expires = Timestamp::from_secs(NOW + 1000);
    batch.put(b"session", &Passing { expires }).expire::<Passing>(b"session", expires);
    wait(opened.store.commit(batch)).unwrap();
    let snapshot =
        snapshots::take(&opened.store, &place.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    drop(opened);
    assert_eq!(
        place.import(&snapshot, ImportOptions::default()).unwrap_err().refusal,
        Refusal::BadExport,
        "only --replace replaces"
    );
    place.clock.advance(Duration::from_secs(60));
    let report = place.import(&snapshot, REPLACE).unwrap();
    assert_eq!(report.ended, 2);
    let opened = place.open();
    assert!(opened.store.get::<Passing>(b"session").unwrap().is_none());
    assert_eq!(meta::read::<NotBefore>(&opened.store).unwrap().unwrap().at, Timestamp::from_secs(NOW + 60));
    assert_eq!(get(&opened, "row1"), Some("x".repeat(200)));
}

/// BAK-02: the whole file is checked before anything is touched.
#[test]
fn a_damaged_export_changes_nothing() {
    let (place, snapshot) = with_snapshot();
    let text = fs::read(&snapshot).unwrap();
    let bad = place.dir.parent().unwrap().join("bad");
    let mut flipped = text.clone();
    flipped[text.len() / 2] ^= 1;
    let middle = text.iter().take(text.len() / 2).rposition(|byte| *byte == b'\n').unwrap();
    let line_gone: Vec<u8> = {
        let next = text.iter().skip(middle + 1).position(|byte| *byte == b'\n').unwrap() + middle + 1;
        text[..middle].iter().chain(&text[next..]).copied().collect()
    };
    for damaged in [
        text[..text.len() - 1].to_vec(),
        text[..=middle].to_vec(),
        flipped,
        line_gone,
        b"{}\n".to_vec(),
        Vec::new(),
    ] {
        fs::write(&bad, &damaged).unwrap();
        let refused = place.import(&bad, REPLACE).unwrap_err();
        assert_eq!(refused.refusal, Refusal::BadExport, "{refused}");
        assert!(place.quarantined().is_empty());
    }
    let mut other = Place::new();
    other.key = 9;
    assert_eq!(other.import(&snapshot, REPLACE).unwrap_err().refusal, Refusal::BadExport, "a wrong key");
    assert_eq!(get(&place.open(), "row299"), Some("x".repeat(200)));
}

#[test]
fn salvage_keeps_every_sound_record() {
    let (place, snapshot) = with_snapshot();
    let mut lines: Vec<Vec<u8>> =
        fs::read(&snapshot).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let is_row = |line: &[u8]| line.starts_with(b"{\"t\":\"setting\"");
    let first = lines.iter().position(|line| is_row(line)).unwrap();
    lines[first][40] ^= 1;
    lines[first + 1] = b"garbage".to_vec();
    lines[first + 2] = vec![b'x'; 40_000];
    lines.truncate(lines.len() - 4);
    let bad = place.dir.parent().unwrap().join("bad");
    fs::write(&bad, lines.join(&b'\n')).unwrap();
    let options = ImportOptions { replace: true, leniency: Leniency { salvage: true, skip_unknown: false } };
    let report = place.import(&bad, options).unwrap();
    assert_eq!(report.counts.get("setting"), Some(&297));
    assert!(report.damaged >= 3, "{report:?}");
    let opened = place.open();
    assert_eq!(opened.store.scan::<Setting>(b"", None, 1000).unwrap().len(), 297);
}

/// Returns an export of these lines with a last line that fits them, signed by `sealer`.
fn ended_again(lines: &[&str], sealer: &Sealer) -> String {
    let (end, before) = lines.split_last().unwrap();
    let before: String = before.iter().map(|line| format!("{line}\n")).collect();
    let (start, _) = end.split_once("\"sha256\"").unwrap();
    let hash = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(before.as_bytes()));
    let end = |mac: &str| format!("{start}\"sha256\":\"{hash}\",\"mac\":\"{mac}\"}}\n");
    let mac = data_encoding::HEXLOWER.encode(&sealer.export_mac(end("").as_bytes()));
    format!("{before}{}", end(&mac))
}

/// BAK-02: who can write a backup file, but has no master key, changes nothing in it: not a plain row, not one more, not
/// one less, not the last line. Nothing of the store is touched before all of it is proven.
#[test]
fn a_forged_export_is_refused() {
    let (place, snapshot) = with_snapshot();
    let mut thief = Place::new();
    thief.key = 9;
    let opened = thief.open();
    put(&opened, "row0", "owned by the thief");
    let theirs =
        snapshots::take(&opened.store, &thief.dir, Reason::Daily, Timestamp::from_secs(NOW)).unwrap();
    drop(opened);
    let (text, theirs) = (fs::read_to_string(&snapshot).unwrap(), fs::read_to_string(theirs).unwrap());
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &&str| line.starts_with("{\"t\":\"setting\"");
    let evil = theirs.lines().find(is_row).unwrap();
    let row = lines.iter().position(|line| line.get(..30) == evil.get(..30)).unwrap();
    let mut changed = lines.clone();
    changed[row] = evil;
    let fewer = text.replace("\"setting\":300", "\"setting\":299");
    let mut fewer: Vec<&str> = fewer.lines().collect();
    fewer.remove(row);
    let forged = place.dir.parent().unwrap().join("forged");
    for lines in [changed, fewer] {
        fs::write(&forged, ended_again(&lines, &thief.sealer())).unwrap();
        let refused = place.import(&forged, REPLACE).unwrap_err();
        assert_eq!(refused.refusal, Refusal::BadExport, "{refused}");
        assert!(refused.to_string().contains("somebody has changed it"), "{refused}");
        assert!(place.quarantined().is_empty());
        // The one who has the key could have written it.
        fs::write(&forged, ended_again(&lines, &place.sealer())).unwrap();
        place.import(&forged, REPLACE).unwrap();
        fs::remove_dir_all(place.dir.join("quarantine")).unwrap();
    }
    place.import(&snapshot, REPLACE).unwrap();
    assert_eq!(get(&place.open(), "row0"), Some("x".repeat(200)));
}

/// BAK-02: an export of another master key is refused with a sentence that says what to do.
#[test]
fn an_export_of_another_key_asks_for_its_key_file() {
    let (place, snapshot) = with_snapshot();
    let mut other = Place::new();
    other.key = 9;
    let refused = other.import(&snapshot, ImportOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("key file of the installation that made it"), "{refused}");
    assert!(!store::has_data(&other.dir).unwrap());
    drop(place);
}

/// BAK-02: an export from before exports were signed is refused, and only a salvage takes it, which says what it is worth.
#[test]
fn an_unsigned_export_is_taken_by_a_salvage_alone() {
    let (place, snapshot) = with_snapshot();
    let text = fs::read_to_string(&snapshot).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[0] = lines[0].replace("\"version\":2", "\"version\":1");
    let (start, _) = lines[0].split_once(",\"key\"").unwrap();
    lines[0] = format!("{start}}}");
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let signed = ended_again(&lines, &place.sealer());
    let (unsigned, _) = signed.split_once(",\"mac\"").unwrap();
    let old = place.dir.parent().unwrap().join("old");
    fs::write(&old, format!("{unsigned}}}\n")).unwrap();
    let refused = place.import(&old, REPLACE).unwrap_err().to_string();
    assert!(refused.contains("before exports were signed") && refused.contains("--salvage"), "{refused}");
    let options = ImportOptions { replace: true, leniency: Leniency { salvage: true, skip_unknown: false } };
    let report = place.import(&old, options).unwrap();
    assert_eq!((report.counts.get("setting"), report.is_authentic), (Some(&300), false));
    assert!(place.import(&snapshot, REPLACE).unwrap().is_authentic);
}

#[test]
fn unknown_records_are_an_error_unless_skipped() {
    let (place, snapshot) = with_snapshot();
    let text = fs::read_to_string(&snapshot).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let extra = r#"{"t":"starship","k":"AAAA","v":"AAAA"}"#;
    lines.insert(1, extra);
    let future = place.dir.parent().unwrap().join("future");
    fs::write(&future, ended_again(&lines, &place.sealer())).unwrap();
    let refused = place.import(&future, REPLACE).unwrap_err();
    assert!(refused.to_string().contains("starship"), "{refused}");
    let options = ImportOptions { replace: true, leniency: Leniency { salvage: false, skip_unknown: true } };
    assert_eq!(place.import(&future, options).unwrap().unknown, 1);
}

#[test]
fn an_export_reads_back_what_was_written() {
    let (place, snapshot) = with_snapshot();
    let file = std::io::BufReader::new(fs::File::open(&snapshot).unwrap());
    let (header, report) = export::verify(file, Some(&place.sealer())).unwrap();
    assert_eq!(header.schema, meta::SCHEMA_VERSION);
    assert!(report.is_whole);
    assert_eq!(report.counts.get("setting"), Some(&300));
    assert_eq!(report.counts.get("password"), Some(&300));
}
