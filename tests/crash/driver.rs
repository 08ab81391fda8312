//! The process that `run` and `powercut` kill, and the check of what it left behind.
//!
//! `write DIR` runs four logical writers until it is killed. Step `c` of writer `w` is one batch: the counter of `w`
//! becomes `c`, slot `c mod 1000` gets a payload that follows from `(w, c)`, index row `(w, c)` appears and
//! `(w, c - 1000)` goes. After the commit is answered, and only then, the line `w c` goes to standard output.
//!
//! `check DIR ACKS` opens the store and compares: each counter is the last acknowledged step or the one after it,
//! and slots and index are exactly what that counter implies. So no acknowledged step is lost and none is half there.
//!
//! `hang DIR` blocks the thread that writes; the watchdog must end the process within some seconds.
//!
//! `server-load PROGRAM DIR KILLS` starts the real server again and again and kills it under load; see `served`.

mod served;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use doorward::crypto::keys::MasterKey;
use doorward::crypto::sealed::Sealer;
use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;
use doorward::store::{self, OpenSettings, Opened, Record, Store, Table, wait};
use serde::{Deserialize, Serialize};

const WRITERS: u64 = 4;
const SLOTS: u64 = 1000;

#[derive(Serialize, Deserialize)]
struct Counter(u64);
impl Record for Counter {
    const TABLE: Table = Table::SETTING;
    const VERSION: u8 = 1;
}

/// In a sealed table, so that the seals are part of what must survive.
#[derive(Serialize, Deserialize)]
struct Slot {
    step: u64,
    payload: Vec<u8>,
}
impl Record for Slot {
    const TABLE: Table = Table::PASSWORD;
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct Index;
impl Record for Index {
    const TABLE: Table = Table::REVOKED;
    const VERSION: u8 = 1;
}

fn row(writer: u64, number: u64) -> [u8; 16] {
    let mut row = [0; 16];
    let (first, second) = row.split_at_mut(8);
    first.copy_from_slice(&writer.to_be_bytes());
    second.copy_from_slice(&number.to_be_bytes());
    row
}

/// 64 to 1200 bytes that follow from writer and step (splitmix64).
fn payload(writer: u64, step: u64) -> Vec<u8> {
    let mut state = writer.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let length = 64 + usize::try_from(next() % 1137).unwrap_or(0);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn open(dir: &str) -> Result<Opened, String> {
    let mut settings = OpenSettings::new(dir);
    settings.free_space_floor = Some(8 * 1024 * 1024);
    let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([42; 32])));
    store::open(&settings, &sealer, &Random::os(), &SystemClock::shared()).map_err(|error| error.to_string())
}

fn counter(store: &Store, writer: u64) -> Result<u64, String> {
    let found = store.get::<Counter>(&row(writer, 0)).map_err(|error| error.to_string())?;
    Ok(found.map_or(0, |counter| counter.value.0))
}

fn write(dir: &str) -> Result<(), String> {
    let opened = open(dir)?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=WRITERS)
            .map(|writer| {
                scope.spawn({
                    let store = opened.store.clone();
                    move || work(&store, writer)
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or_else(|_| Err("a writer panicked".to_owned())))
    })
}

fn work(store: &Store, writer: u64) -> Result<(), String> {
    let last = counter(store, writer)?;
    // A step that was on disk when its process died, before its line was out, is known from here on.
    acknowledge(writer, last)?;
    for step in last + 1.. {
        let mut batch = store.batch();
        batch.put(&row(writer, 0), &Counter(step));
        batch.put(&row(writer, step % SLOTS), &Slot { step, payload: payload(writer, step) });
        batch.insert_new(&row(writer, step), &Index);
        if let Some(old) = step.checked_sub(SLOTS) {
            batch.remove::<Index>(&row(writer, old));
        }
        wait(store.commit(batch)).map_err(|error| error.to_string())?;
        acknowledge(writer, step)?;
    }
    Ok(())
}

fn acknowledge(writer: u64, step: u64) -> Result<(), String> {
    let line = format!("{writer} {step}\n");
    // One write(2): the line is out whole or not at all.
    std::io::stdout().lock().write_all(line.as_bytes()).map_err(|error| error.to_string())
}

/// Keeps the thread that writes busy for ever, while another batch waits. The watchdog must end the process.
fn hang(dir: &str) -> Result<(), String> {
    let opened = open(dir)?;
    let mut batch = opened.store.batch();
    batch.put(&row(0, 0), &Counter(0)).after(|| std::thread::sleep(Duration::from_secs(3600)));
    let stuck = opened.store.commit(batch);
    let mut batch = opened.store.batch();
    batch.put(&row(0, 1), &Counter(0));
    let waiting = opened.store.commit(batch);
    std::thread::scope(|scope| {
        scope.spawn(|| wait(stuck));
        std::thread::sleep(Duration::from_millis(200));
        wait(waiting).map_err(|error| error.to_string())
    })
}

fn acknowledged(path: &str) -> Result<HashMap<u64, u64>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut last = HashMap::new();
    for line in text.lines() {
        let numbers =
            line.split_once(' ').and_then(|(writer, step)| Some((writer.parse().ok()?, step.parse().ok()?)));
        let (writer, step) = numbers.ok_or_else(|| format!("not an acknowledgement: {line:?}"))?;
        last.insert(writer, step);
    }
    Ok(last)
}

fn check(dir: &str, acks: &str) -> Result<String, String> {
    let acknowledged = acknowledged(acks)?;
    let opened = open(dir)?;
    let mut summary = String::new();
    for writer in 1..=WRITERS {
        let counter = counter(&opened.store, writer)?;
        let acked = acknowledged.get(&writer).copied().unwrap_or(0);
        if counter < acked {
            return Err(format!(
                "writer {writer}: step {acked} was acknowledged, the store has {counter}: LOST"
            ));
        }
        if counter > acked + 1 {
            return Err(format!(
                "writer {writer}: the store has {counter} steps, only {acked} were acknowledged"
            ));
        }
        check_steps(&opened.store, writer, counter)?;
        summary = format!("{summary} {counter}");
    }
    opened.close();
    Ok(format!("steps{summary}"))
}

fn check_steps(store: &Store, writer: u64, counter: u64) -> Result<(), String> {
    let first = (counter + 1).saturating_sub(SLOTS).max(1);
    let expected: Vec<Vec<u8>> = (first..=counter).map(|step| row(writer, step).to_vec()).collect();
    let prefix = writer.to_be_bytes();
    let limit = usize::try_from(SLOTS).unwrap_or(usize::MAX) + 10;
    let found = store.scan::<Index>(&prefix, None, limit).map_err(|error| error.to_string())?;
    if !found.iter().map(|(row, _)| row).eq(&expected) {
        return Err(format!("writer {writer}: the index is not that of step {counter}: HALF APPLIED"));
    }
    let slots = store.scan::<Slot>(&prefix, None, limit).map_err(|error| error.to_string())?;
    if slots.len() as u64 != counter.min(SLOTS) {
        return Err(format!("writer {writer}: {} slots at counter {counter}: HALF APPLIED", slots.len()));
    }
    for (slot_row, slot) in slots {
        let step = slot.value.step;
        let is_in_place = slot_row == row(writer, step % SLOTS) && (first..=counter).contains(&step);
        if !is_in_place || slot.value.payload != payload(writer, step) {
            return Err(format!(
                "writer {writer}: slot of step {step} is wrong at counter {counter}: HALF APPLIED"
            ));
        }
        // Reading one by one takes another way through the tree than the scan.
        if step % 16 == 0
            && store.get::<Slot>(&slot_row).ok().flatten().is_none_or(|one| one.value.step != step)
        {
            return Err(format!("writer {writer}: slot of step {step} is found by a scan only"));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["write", dir] => write(dir),
        ["hang", dir] => hang(dir),
        ["check", dir, acks] => check(dir, acks)
            .and_then(|summary| writeln!(std::io::stdout(), "{summary}").map_err(|error| error.to_string())),
        ["server-load", program, dir, kills] => served::run(program, dir, kills),
        _ => Err("usage: crash-driver write DIR | check DIR ACKS | hang DIR | server-load PROGRAM DIR KILLS"
            .to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
