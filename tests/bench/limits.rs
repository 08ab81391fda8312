//! Measures the rate limiter: time of a check and memory of a key at a million keys, and a flood of ten million.
//!
//! Run with `cargo run --release --example bench-limits`. Times are CPU times of the thread (best of seven), as other
//! work on the machine would distort wall times.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::HashMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;
use doorward::limits::{LimitSettings, Limits, Place, Rule};

const LOGIN: Rule = Rule::new("login", 5, Duration::from_secs(3600));
const API: Rule = Rule::new("api", 100, Duration::from_secs(3600));
const MILLION: u32 = 1_000_000;

/// CPU time of this thread; exact to a scheduler tick, which is little in runs of a tenth of a second.
fn cpu_nanos() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0)
}

/// Spreads numbers over all addresses, so that neighbours in time are not neighbours in memory.
fn place(number: u32) -> Place {
    Place::of(IpAddr::from(number.wrapping_mul(0x9e37_79b1).to_be_bytes()))
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn each(name: &str, count: u32, mut check: impl FnMut(u32)) {
    let best = (0..7)
        .map(|round| {
            let start = cpu_nanos();
            for number in 0..count {
                // Another order in each round.
                check((number ^ (round * 0x5_5555)) % count);
            }
            (cpu_nanos() - start) / f64::from(count)
        })
        .fold(f64::MAX, f64::min);
    println!("{name:<52} {best:>8.1} ns");
}

fn new_limits(capacity: usize) -> Limits {
    let settings = LimitSettings {
        exact_capacity: capacity,
        paced_capacity: capacity,
        caution_after_start: Duration::ZERO,
    };
    Limits::new(settings, SystemClock::shared(), &Random::os())
}

fn main() {
    // The yardstick: on a busy machine times only mean something beside those of something known.
    let map: HashMap<u32, [u8; 44]> = (0..MILLION).map(|number| (number, [1; 44])).collect();
    println!("std::collections::HashMap<u32, [u8; 44]>");
    each("  look-up of one of a million keys", MILLION, |number| {
        black_box(map.get(&number.wrapping_mul(0x9e37_79b1).wrapping_rem(MILLION)));
    });
    drop(map);

    for rule in [LOGIN, API] {
        let limits = new_limits(MILLION as usize);
        let before = resident_bytes();
        let start = cpu_nanos();
        for number in 0..MILLION {
            let _ = limits.acquire(&rule, &limits.place_key(&rule, place(number), b""));
        }
        let insert = (cpu_nanos() - start) / f64::from(MILLION);
        let stats = limits.stats();
        let resident = (resident_bytes() - before) / MILLION as usize;
        println!("{} (limit {}), {} keys", rule.name, rule.limit, stats.exact_keys + stats.paced_keys);
        println!("{:<52} {insert:>8.1} ns", "  insert");
        println!(
            "{:<52} {:>8} B (resident {resident} B)",
            "  memory of a key",
            stats.bytes / MILLION as usize
        );
        each("  check of one of a million keys", MILLION, |number| {
            let _ = limits.peek(&rule, &limits.place_key(&rule, place(number), b""));
        });
        each("  check and count of one of a million keys", MILLION, |number| {
            let _ = limits.acquire(&rule, &limits.place_key(&rule, place(number), b""));
        });
        each("  check of one of 64 keys", MILLION, |number| {
            let _ = limits.peek(&rule, &limits.place_key(&rule, place(number % 64), b""));
        });
    }

    let limits = new_limits(65_536);
    let before = resident_bytes();
    let victim = limits.place_key(&LOGIN, Place::of(IpAddr::from([192, 0, 2, 1])), b"");
    for _ in 0..LOGIN.limit {
        let _ = limits.acquire(&LOGIN, &victim);
    }
    let start = cpu_nanos();
    let mut admitted_at_first = 0;
    for number in 0..10 * MILLION {
        let is_admitted = limits.acquire(&LOGIN, &limits.place_key(&LOGIN, place(number), b"")).allowed;
        admitted_at_first += u32::from(is_admitted && number < 65_536);
    }
    let spent = (cpu_nanos() - start) / f64::from(10 * MILLION);
    let stats = limits.stats();
    println!("flood of 10,000,000 keys against a table of 65,536");
    println!("{:<52} {spent:>8.1} ns", "  check and count");
    println!("{:<52} {:>8} KiB", "  memory of the tables", stats.bytes / 1024);
    println!("{:<52} {:>8} KiB", "  resident memory grew by", (resident_bytes() - before) / 1024);
    println!("{:<52} {:>8}", "  of the first 65,536 keys admitted", admitted_at_first);
    println!("{:<52} {:>8}", "  the blocked key is still blocked", !limits.peek(&LOGIN, &victim).allowed);
}
