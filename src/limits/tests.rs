use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;
use crate::kernel::time::{TestClock, Timestamp};

const LOGIN: Rule = Rule::new("login", 5, Duration::from_secs(300));
const API: Rule = Rule::new("api", 100, Duration::from_secs(3600));
const NO_CAUTION: LimitSettings =
    LimitSettings { exact_capacity: 65_536, paced_capacity: 65_536, caution_after_start: Duration::ZERO };

fn limits_with(settings: LimitSettings) -> (Limits, Arc<TestClock>) {
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    (Limits::new(settings, clock.clone(), &Random::os()), clock)
}

fn limits() -> (Limits, Arc<TestClock>) {
    limits_with(NO_CAUTION)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_sixth_of_five_is_refused_until_the_first_is_a_window_old() {
    let (limits, clock) = limits();
    let key = limits.key(&LOGIN, b"ada");
    for used in 0..5 {
        let verdict = limits.acquire(&LOGIN, &key);
        assert!(verdict.allowed);
        assert_eq!((verdict.limit, verdict.remaining), (5, 4 - used));
        clock.advance(seconds(10));
    }
    let verdict = limits.acquire(&LOGIN, &key);
    assert!(!verdict.allowed);
    assert_eq!(verdict.retry_after, seconds(250));
    assert_eq!(verdict.reset_after, seconds(290));
    clock.advance(seconds(250) - Duration::from_millis(100));
    assert!(!limits.acquire(&LOGIN, &key).allowed);
    clock.advance(Duration::from_millis(100));
    assert!(limits.acquire(&LOGIN, &key).allowed);
    assert!(!limits.acquire(&LOGIN, &key).allowed);
}

#[test]
fn looking_changes_nothing() {
    let (limits, _) = limits();
    for rule in [LOGIN, API] {
        let key = limits.key(&rule, b"ada");
        for _ in 0..1000 {
            assert_eq!(limits.peek(&rule, &key).remaining, rule.limit);
        }
        let _ = limits.acquire(&rule, &key);
        assert_eq!(limits.peek(&rule, &key).remaining, rule.limit - 1);
    }
    assert_eq!(limits.stats().refused, 0);
}

/// LIM-11: an attempt that succeeded does not burn the budget for failures.
#[test]
fn a_released_attempt_does_not_count() {
    let (limits, clock) = limits();
    for rule in [LOGIN, API] {
        let key = limits.key(&rule, b"ada");
        for _ in 0..500 {
            let verdict = limits.acquire(&rule, &key);
            assert!(verdict.allowed);
            clock.advance(Duration::from_millis(7));
            limits.release(&rule, &key, verdict.reservation);
        }
        let first = limits.acquire(&rule, &key);
        let second = limits.acquire(&rule, &key);
        limits.release(&rule, &key, first.reservation);
        assert_eq!(limits.peek(&rule, &key).remaining, rule.limit - 1);
        limits.release(&rule, &key, second.reservation);
        limits.release(&rule, &key, second.reservation);
        assert_eq!(limits.peek(&rule, &key).remaining, rule.limit);
    }
    assert_eq!(limits.stats().exact_keys + limits.stats().paced_keys, 0);
}

#[test]
fn recording_counts_beyond_the_limit_and_clearing_forgets() {
    let (limits, clock) = limits();
    let key = limits.key(&LOGIN, b"ada");
    for index in 0..20 {
        assert_eq!(limits.record(&LOGIN, &key).allowed, index < 5);
        clock.advance(seconds(1));
    }
    let verdict = limits.peek(&LOGIN, &key);
    assert!(!verdict.allowed);
    // Of the last five, the oldest was 5 seconds ago.
    assert_eq!(verdict.retry_after, seconds(295));
    limits.clear(&LOGIN, &key);
    assert_eq!(limits.peek(&LOGIN, &key).remaining, 5);
}

#[test]
fn subjects_and_rules_do_not_share_counts() {
    let (limits, _) = limits();
    let other = Rule::new("reset", 5, seconds(300));
    for _ in 0..5 {
        let _ = limits.acquire(&LOGIN, &limits.key(&LOGIN, b"ada"));
    }
    assert!(!limits.peek(&LOGIN, &limits.key(&LOGIN, b"ada")).allowed);
    assert!(limits.peek(&LOGIN, &limits.key(&LOGIN, b"bob")).allowed);
    assert!(limits.peek(&other, &limits.key(&other, b"ada")).allowed);
}

/// No two of who can be told apart have one key, whatever bytes a subject is made of.
#[test]
fn keys_of_places_and_subjects_differ() {
    let (limits, _) = limits();
    let places = ["192.0.2.1", "192.0.2.2", "::", "::1:0:0:0:1", "0:0:c000:201::", "2001:db8::"]
        .map(|address| address.parse::<IpAddr>().unwrap())
        .into_iter()
        .flat_map(|address| std::iter::successors(Some(Place::of(address)), |place| place.coarser()))
        .collect::<std::collections::BTreeSet<Place>>();
    let mut keys = Vec::new();
    for rule in [&LOGIN, &API, &Rule::new("", 5, seconds(1))] {
        keys.push(limits.key(rule, b""));
        keys.push(limits.key(rule, &[0; Place::SHORT]));
        for place in places.iter().copied() {
            keys.push(limits.key(rule, &place.to_short()));
            keys.push(limits.place_key(rule, place, b""));
            keys.push(limits.place_key(rule, place, b"ada"));
        }
    }
    let ids: std::collections::HashSet<Id> = keys.iter().map(|key| key.id).collect();
    assert_eq!(ids.len(), keys.len());
}

/// LIM-10: two rules that find their tables full do not share a bucket because they have the same limit, nor because they
/// have the same window.
#[test]
fn rules_of_one_place_have_buckets_of_their_own() {
    let rules = [(5, 60), (5, 3600), (60, 60), (60, 600)];
    let rules = rules.map(|(limit, window)| Rule::new("some", limit, seconds(window)));
    let mut shared = 0;
    for _ in 0..100 {
        let (limits, _) = limits();
        let place = Place::of(IpAddr::from([192, 0, 2, 1]));
        let buckets = rules.iter().map(|rule| limits.place_key(rule, place, b"").bucket);
        shared += rules.len() - buckets.collect::<std::collections::HashSet<u16>>().len();
    }
    assert!(shared < 5, "{shared}");
}

/// LIM-03: of 100 parallel attempts exactly the limit is admitted.
#[test]
fn a_hundred_threads_get_exactly_five() {
    for rule in [LOGIN, Rule::new("five-of-many", 5, seconds(300)), Rule::new("paced", 50, seconds(3600))] {
        let (limits, _) = limits();
        let key = limits.key(&rule, b"ada");
        let admitted = AtomicUsize::new(0);
        let barrier = std::sync::Barrier::new(100);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    barrier.wait();
                    if limits.acquire(&rule, &key).allowed {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), rule.limit as usize);
    }
}

/// LIM-09: a step of the wall clock neither frees nor extends a window.
#[test]
fn the_wall_clock_does_not_matter() {
    let (limits, clock) = limits();
    let key = limits.key(&LOGIN, b"ada");
    for _ in 0..5 {
        let _ = limits.acquire(&LOGIN, &key);
    }
    for wall in [0, 4_000_000_000] {
        clock.set_wall(Timestamp::from_secs(wall));
        assert_eq!(limits.peek(&LOGIN, &key).retry_after, seconds(300));
    }
}

#[test]
fn limits_are_halved_for_a_minute_after_the_start() {
    let (limits, clock) = limits_with(LimitSettings::default());
    for (rule, half) in [(LOGIN, 3), (API, 50), (Rule::new("one", 1, seconds(60)), 1)] {
        let key = limits.key(&rule, b"ada");
        assert_eq!(limits.peek(&rule, &key).limit, half);
    }
    clock.advance(seconds(60));
    assert_eq!(limits.peek(&LOGIN, &limits.key(&LOGIN, b"ada")).limit, 5);
}

/// LIM-01: many addresses of one IPv6 network, or of one IPv4 /24, are not many budgets.
#[test]
fn a_network_has_a_multiple_of_the_limit_and_no_more() {
    let (limits, _) = limits();
    let admitted = |addresses: &mut dyn Iterator<Item = IpAddr>| {
        addresses.filter(|address| limits.acquire_place(&LOGIN, *address, b"").verdict.allowed).count()
    };
    let within_64 =
        &mut (0..1000_u128).map(|low| IpAddr::from((0x2001_0db8_0001_0001_u128 << 64 | low).to_be_bytes()));
    assert_eq!(admitted(within_64), 5);
    let subnets =
        &mut (0..1000_u128).map(|net| IpAddr::from(((0x2001_0db8_0002_0000_u128 + net) << 64).to_be_bytes()));
    assert_eq!(admitted(subnets), 80, "a /48 has sixteen times the limit");
    let within_56 =
        &mut (0..256_u128).map(|net| IpAddr::from(((0x2001_0db8_0003_0000_u128 + net) << 64).to_be_bytes()));
    assert_eq!(admitted(within_56), 20, "a /56 has four times the limit");
    let mapped = &mut (0..=255_u8).flat_map(|last| {
        let four = std::net::Ipv4Addr::new(203, 0, 113, last);
        [IpAddr::V4(four), IpAddr::V6(four.to_ipv6_mapped())]
    });
    assert_eq!(admitted(mapped), 40, "a /24 has eight times the limit");
}

/// A place that is refused does not use up what its neighbours share with it.
#[test]
fn a_refused_place_does_not_burn_the_budget_of_its_network() {
    let (limits, _) = limits();
    let noisy: IpAddr = "203.0.113.1".parse().unwrap();
    for _ in 0..1000 {
        let _ = limits.acquire_place(&LOGIN, noisy, b"");
    }
    for last in 2..9 {
        let neighbour = IpAddr::from([203, 0, 113, last]);
        assert_eq!(limits.acquire_place(&LOGIN, neighbour, b"").verdict.remaining, 4);
    }
}

#[test]
fn a_place_reservation_gives_every_level_back() {
    let (limits, _) = limits();
    let address: IpAddr = "2001:db8::1".parse().unwrap();
    for _ in 0..200 {
        let taken = limits.acquire_place(&LOGIN, address, b"ada");
        assert!(taken.verdict.allowed);
        limits.release_place(&LOGIN, taken.reservation);
    }
    assert_eq!(limits.stats().exact_keys + limits.stats().paced_keys, 0);
    for _ in 0..5 {
        assert!(limits.acquire_place(&LOGIN, address, b"ada").verdict.allowed);
    }
    assert!(!limits.acquire_place(&LOGIN, address, b"ada").verdict.allowed);
    assert!(limits.acquire_place(&LOGIN, address, b"bob").verdict.allowed);
}

/// LIM-08: loopback and private addresses have no exemption.
#[test]
fn no_address_is_exempt() {
    let (limits, _) = limits();
    for address in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fe80::1", "0.0.0.0", "::"] {
        let address: IpAddr = address.parse().unwrap();
        let admitted =
            (0..100).filter(|_| limits.acquire_place(&LOGIN, address, b"").verdict.allowed).count();
        assert!(admitted <= 5, "{address}");
    }
}

/// LIM-10, RES-03: a flood fills the table but never the memory, flushes out nobody who is blocked, and closes no
/// more than the parts of the network it came from.
#[test]
fn a_flood_neither_frees_the_blocked_nor_refuses_the_innocent() {
    let settings = LimitSettings { exact_capacity: 2000, paced_capacity: 2000, ..NO_CAUTION };
    let (limits, clock) = limits_with(settings);
    let blocked = limits.place_key(&LOGIN, Place::of("198.51.100.9".parse().unwrap()), b"");
    for _ in 0..5 {
        let _ = limits.acquire(&LOGIN, &blocked);
    }
    let flood = |number: u32| Place::of(IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
    // Below the capacity nobody pays for anybody else.
    for number in 0..1999 {
        assert!(limits.acquire(&LOGIN, &limits.place_key(&LOGIN, flood(number), b"")).allowed, "{number}");
    }
    assert_eq!(limits.stats().overflowed, 0);
    let bytes = (limits.stats().bytes, limits.stats().exact_keys);
    let admitted = (2000..200_000)
        .filter(|n| limits.acquire(&LOGIN, &limits.place_key(&LOGIN, flood(*n), b"")).allowed)
        .count();
    // What still fits, and four shared buckets (10.0, 10.1, 10.2, 10.3) of four times the limit each.
    assert!(admitted < 2200 + 4 * 20, "{admitted}");
    assert!(limits.stats().bytes < bytes.0 * 3, "{} after {}", limits.stats().bytes, bytes.0);
    assert!(!limits.peek(&LOGIN, &blocked).allowed);
    // Others in other networks still get in, through their own buckets.
    let innocent = (0..200_u32).filter(|number| {
        let place = Place::of(IpAddr::from((0x5000_0000 + number * 0x1_0000).to_be_bytes()));
        limits.acquire(&LOGIN, &limits.place_key(&LOGIN, place, b"")).allowed
    });
    assert!(innocent.count() >= 190);
    clock.advance(seconds(301));
    assert!(limits.acquire(&LOGIN, &limits.place_key(&LOGIN, flood(150_000), b"")).allowed);
    assert!(limits.peek(&LOGIN, &blocked).allowed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// An attempt is admitted if and only if fewer than the limit were recorded in the window that ends now.
    #[test]
    fn exact_limits_agree_with_a_list_of_moments(
        limit in 1_u32..=6,
        window in 1_u64..40,
        steps in proptest::collection::vec((0_u8..4, 0_u64..12, 0_u8..3), 1..200),
    ) {
        let (limits, clock) = limits();
        let rule = Rule::new("model", limit, Duration::from_millis(window * 100));
        let mut model: [Vec<u64>; 3] = Default::default();
        let mut now = 0;
        for (action, pause, subject) in steps {
            now += pause;
            clock.advance(Duration::from_millis(pause * 100));
            let key = limits.key(&rule, &[subject]);
            let moments = &mut model[usize::from(subject)];
            moments.retain(|moment| moment + window > now);
            let fits = moments.len() < limit as usize;
            let verdict = match action {
                0 => limits.peek(&rule, &key),
                1 | 2 => limits.acquire(&rule, &key),
                _ => {
                    let verdict = limits.acquire(&rule, &key);
                    limits.release(&rule, &key, verdict.reservation);
                    prop_assert_eq!(verdict.allowed, fits);
                    limits.peek(&rule, &key)
                }
            };
            prop_assert_eq!(verdict.allowed, fits);
            if matches!(action, 1 | 2) && fits {
                moments.push(now);
            }
            prop_assert_eq!(verdict.remaining as usize, limit as usize - moments.len());
            let retry = if moments.len() < limit as usize { 0 } else { moments[0] + window - now };
            prop_assert_eq!(verdict.retry_after, Duration::from_millis(retry * 100));
            let reset = moments.last().map_or(0, |last| last + window - now);
            prop_assert_eq!(verdict.reset_after, Duration::from_millis(reset * 100));
        }
    }

    /// A paced limit admits a full burst, never twice the limit in one window, and says truly when to come back.
    #[test]
    fn paced_limits_stay_below_twice_the_limit(
        limit in 7_u32..40,
        pauses in proptest::collection::vec(0_u64..3000, 1..300),
    ) {
        let (limits, clock) = limits();
        let rule = Rule::new("model", limit, seconds(20));
        let key = limits.key(&rule, b"x");
        let (mut now, mut admitted): (u64, Vec<u64>) = (0, Vec::new());
        for pause in pauses {
            now += pause;
            clock.advance(Duration::from_millis(pause));
            let verdict = limits.acquire(&rule, &key);
            if verdict.allowed {
                admitted.push(now);
            } else {
                let wait = verdict.retry_after;
                prop_assert!(wait > Duration::ZERO && wait <= seconds(20));
                let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap();
                now += millis;
                clock.advance(Duration::from_millis(millis));
                prop_assert!(limits.acquire(&rule, &key).allowed);
                admitted.push(now);
            }
        }
        let windows = admitted.iter().map(|end| admitted.iter().filter(|at| *at <= end && *at + 20_000 > *end).count());
        prop_assert!(windows.max().unwrap_or(0) < 2 * limit as usize);
        prop_assert!(admitted.len() >= (limit as usize).min(admitted.len()));
    }
}
