//! What the wizard finds out about the address and about the first app, as sentences. Pure: facts in, findings out.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;

use super::echo::Told;
use super::looks::{Seen, Unseen};
use super::sightings::{Arrival, Asked};
use crate::http::address::{host_matches, is_loopback_name};
use crate::http::outgoing::reason;
use crate::kernel::time::Timestamp;
use crate::site::Origin;
use crate::views::{Check, CheckState};
use crate::words::Words;

/// The largest difference between two clocks at which one-time codes work.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
/// A certificate that ends within this many days should have been renewed.
const SOON_DAYS: u64 = 14;
/// The most addresses of a name that are shown.
const MOST_SHOWN: usize = 3;

/// What a request and the site tell about the address.
pub(super) struct AddressFacts<'a> {
    /// In which language to speak.
    pub(super) t: Words,
    /// The address that was typed.
    pub(super) origin: &'a Origin,
    /// The host that this request names.
    pub(super) host: &'a str,
    pub(super) is_https: bool,
    pub(super) is_local: bool,
    pub(super) client: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) is_trusted_peer: bool,
    /// The request carries headers that only proxies write.
    pub(super) is_forwarded: bool,
    /// One of them says who the visitor is.
    pub(super) names_visitor: bool,
    /// What the browser's clock showed.
    pub(super) browser_time: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// What came in by the typed address.
    pub(super) arrival: Option<&'a Arrival>,
    pub(super) allows_insecure_http: bool,
    /// Where the name leads, or why nowhere; `None` if it is none that is looked up.
    pub(super) names: Option<Result<Vec<IpAddr>, String>>,
    /// What this machine itself saw at the typed address; `None` if it did not look.
    pub(super) seen: Option<Result<Seen, Unseen>>,
}

/// Returns the findings about the address.
pub(super) fn address(facts: &AddressFacts<'_>) -> Vec<Check> {
    vec![
        name(facts),
        https(facts),
        certificate(facts),
        reached(facts),
        host(facts),
        path(facts),
        headers(facts),
        visitors(facts),
        clock(facts),
    ]
}

fn with_lines(mut check: Check, lines: &str) -> Check {
    lines.clone_into(&mut check.snippet);
    check
}

fn name(facts: &AddressFacts<'_>) -> Check {
    let (t, host) = (facts.t, &facts.origin.host);
    let label = t.setup_check_name();
    let skipped = |sentence: &str| Check::new(CheckState::Skipped, label, sentence);
    match &facts.names {
        Some(Ok(addresses)) => {
            let shown: Vec<String> = addresses.iter().take(MOST_SHOWN).map(ToString::to_string).collect();
            Check::new(CheckState::Pass, label, t.setup_check_name_found(shown.join(", "), host))
        }
        // Whoever came by this name needs nobody to look it up here.
        Some(Err(why)) if arrived(facts).is_some() => {
            Check::new(CheckState::Note, label, t.setup_check_name_browser(host, reason(why, t)))
        }
        Some(Err(why)) => {
            Check::new(CheckState::Fix, label, t.setup_check_name_missing(host, reason(why, t)))
        }
        None if is_loopback_name(host) => skipped(t.setup_check_name_local()),
        None => skipped(t.setup_check_name_numbers()),
    }
}

fn https(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let (state, sentence) = if facts.origin.is_https {
        let is_seen = arrived(facts).is_some_and(|(_, is_https)| is_https);
        let sentence = if is_seen { t.setup_check_https_pass() } else { t.setup_check_https_named() };
        (CheckState::Pass, sentence)
    } else if is_loopback_name(&facts.origin.host) {
        (CheckState::Skipped, t.setup_check_https_local())
    } else if facts.allows_insecure_http {
        (CheckState::Fix, t.setup_check_https_lab())
    } else {
        (CheckState::Fix, t.setup_check_https_fix())
    };
    Check::new(state, t.setup_check_https(), sentence)
}

fn certificate(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let (state, sentence) = match &facts.seen {
        _ if !facts.origin.is_https => (CheckState::Skipped, t.setup_check_certificate_none().to_owned()),
        Some(Ok(Seen { days_left: Some(days), .. })) if *days < SOON_DAYS => {
            (CheckState::Fix, t.setup_check_certificate_soon(*days))
        }
        Some(Ok(Seen { days_left: Some(days), .. })) => {
            (CheckState::Pass, t.setup_check_certificate_good(*days))
        }
        Some(Ok(Seen { days_left: None, .. })) => {
            (CheckState::Pass, t.setup_check_certificate_trusted().to_owned())
        }
        Some(Err(Unseen::NotTrusted(why))) => {
            (CheckState::Fix, t.setup_check_certificate_untrusted(why.in_words(t)))
        }
        Some(Err(Unseen::NotReached(why))) => unseen_certificate(facts, &why.in_words(t)),
        None => (CheckState::Skipped, t.setup_check_unseen().to_owned()),
    };
    Check::new(state, t.setup_check_certificate(), sentence)
}

/// What is said where this machine could not look: the browser did, if it came.
fn unseen_certificate(facts: &AddressFacts<'_>, why: &str) -> (CheckState, String) {
    let t = facts.t;
    let is_nameless = matches!(facts.names, Some(Err(_)));
    match (facts.arrival.is_some_and(|arrival| arrival.is_https), is_nameless) {
        (true, true) => (CheckState::Pass, t.setup_check_certificate_browser_alone().to_owned()),
        (true, false) => (CheckState::Pass, t.setup_check_certificate_browser(why)),
        (false, true) => (CheckState::Skipped, t.setup_check_certificate_nameless().to_owned()),
        (false, false) => (CheckState::Skipped, t.setup_check_certificate_unreached(why)),
    }
}

/// The host that arrived, and whether it came over HTTPS; `None` if the address was not tried.
fn arrived<'a>(facts: &AddressFacts<'a>) -> Option<(Option<&'a str>, bool)> {
    match facts.arrival {
        Some(arrival) => Some((arrival.host.as_deref(), arrival.is_https)),
        None if host_matches(&facts.origin.text, facts.host) => Some((Some(facts.host), facts.is_https)),
        None => None,
    }
}

fn reached(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let label = t.setup_check_reached();
    match arrived(facts) {
        None => {
            let sentence = t.setup_check_reached_not_tried(facts.host, &facts.origin.text);
            Check::new(CheckState::Skipped, label, sentence)
        }
        Some((_, false)) if facts.origin.is_https => {
            let check = Check::new(CheckState::Fix, label, t.setup_check_scheme_lost());
            with_lines(check, "proxy_set_header X-Forwarded-Proto $scheme;")
        }
        Some((host, _)) => {
            let sentence = t.setup_check_reached_pass(host.unwrap_or(&facts.origin.host));
            Check::new(CheckState::Pass, label, sentence)
        }
    }
}

fn host(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let label = t.setup_check_host();
    let Some((host, _)) = arrived(facts) else {
        return Check::new(CheckState::Skipped, label, t.setup_check_host_untried());
    };
    let is_kept = host.is_some_and(|host| host_matches(&facts.origin.text, host));
    if !is_kept {
        let check = Check::new(CheckState::Fix, label, t.setup_check_host_lost(host.unwrap_or("-")));
        return with_lines(check, "proxy_set_header Host $http_host;");
    }
    let through = facts.arrival.map_or(facts.is_trusted_peer, |arrival| arrival.is_trusted_peer);
    let sentence = if through { t.setup_check_host_pass() } else { t.setup_check_host_direct() };
    Check::new(CheckState::Pass, label, sentence)
}

fn path(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let (state, sentence) = match &facts.seen {
        Some(Ok(seen)) if seen.status == StatusCode::NO_CONTENT => {
            (CheckState::Pass, t.setup_check_path_pass().to_owned())
        }
        Some(Ok(seen)) => (CheckState::Fix, t.setup_check_path_fix(seen.status.as_u16())),
        // A probe only arrives under the very path that it was sent to.
        _ if facts.arrival.is_some() => (CheckState::Pass, t.setup_check_path_pass().to_owned()),
        _ => (CheckState::Skipped, t.setup_check_unseen().to_owned()),
    };
    Check::new(state, t.setup_check_path(), sentence)
}

fn headers(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let (state, sentence) = match &facts.seen {
        Some(Ok(seen)) if seen.status != StatusCode::NO_CONTENT => {
            (CheckState::Skipped, t.setup_check_unseen().to_owned())
        }
        Some(Ok(seen)) if seen.lost_headers.is_empty() => {
            (CheckState::Pass, t.setup_check_headers_pass().to_owned())
        }
        Some(Ok(seen)) => (CheckState::Fix, t.setup_check_headers_fix(seen.lost_headers.join(", "))),
        _ => (CheckState::Skipped, t.setup_check_unseen().to_owned()),
    };
    Check::new(state, t.setup_check_headers(), sentence)
}

fn visitors(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let label = t.setup_check_visitors();
    let (client, peer, is_trusted) = match facts.arrival {
        Some(arrival) => (arrival.client, arrival.peer, arrival.is_trusted_peer),
        None => (facts.client, facts.peer, facts.is_trusted_peer),
    };
    let names_visitor = facts.arrival.map_or(facts.names_visitor, |arrival| arrival.names_visitor);
    if is_trusted && client == peer && !names_visitor {
        let check = Check::new(CheckState::Fix, label, t.setup_check_visitors_same(peer));
        return with_lines(check, "proxy_set_header X-Forwarded-For $remote_addr;");
    }
    if is_trusted {
        return Check::new(CheckState::Pass, label, t.setup_check_visitors_pass(client, peer));
    }
    if facts.is_forwarded {
        return Check::new(CheckState::Fix, label, t.setup_check_visitors_untrusted(peer));
    }
    let sentence = if facts.is_local {
        t.setup_check_visitors_local().to_owned()
    } else {
        t.setup_check_visitors_direct(client)
    };
    Check::new(CheckState::Pass, label, sentence)
}

fn clock(facts: &AddressFacts<'_>) -> Check {
    let t = facts.t;
    let label = t.setup_check_clock();
    let Some(theirs) = facts.browser_time else {
        return Check::new(CheckState::Skipped, label, t.setup_check_clock_unknown());
    };
    let apart = facts.now.since(theirs).max(theirs.since(facts.now));
    if apart <= CLOCK_TOLERANCE {
        return Check::new(CheckState::Pass, label, t.setup_check_clock_pass());
    }
    let check = Check::new(CheckState::Fix, label, t.setup_check_clock_fix(apart.as_secs()));
    with_lines(check, "sudo timedatectl set-ntp true")
}

/// Returns the findings about the first app: what its proxy has asked so far, and how a visit of this machine with a
/// made-up name was answered.
pub(super) fn first_app(
    host: &str,
    asked: &Asked,
    forged: Option<&Result<StatusCode, Unseen>>,
    t: Words,
) -> Vec<Check> {
    let mut checks = vec![proxy_asks(host, asked, t), told(asked, t), strangers(host, asked, t)];
    checks.extend(made_up_names(host, asked, forged, t));
    checks.push(gets_in(host, asked, t));
    checks.extend(asked.told.as_ref().map(|told| app_is_told(told, t)));
    checks
}

fn proxy_asks(host: &str, asked: &Asked, t: Words) -> Check {
    let label = t.setup_test_asks();
    if asked.at.is_some() {
        return Check::new(CheckState::Pass, label, t.setup_test_asks_pass(host));
    }
    let sentence = match (&asked.refusal, &asked.other_host) {
        (Some(refusal), _) => t.setup_test_asks_refused(refusal.in_words(t)),
        (None, Some(other)) => t.setup_test_asks_other(host, other),
        (None, None) => t.setup_test_asks_none(host),
    };
    Check::new(CheckState::Fix, label, sentence)
}

fn told(asked: &Asked, t: Words) -> Check {
    let (state, sentence) = match asked.at {
        None => (CheckState::Skipped, t.setup_test_told_none()),
        Some(_) if asked.names_visitor => (CheckState::Pass, t.setup_test_told_pass()),
        Some(_) => (CheckState::Fix, t.setup_test_told_fix()),
    };
    Check::new(state, t.setup_test_told(), sentence)
}

fn strangers(host: &str, asked: &Asked, t: Words) -> Check {
    let (state, sentence) = match (asked.anonymous, &asked.back) {
        (Some((StatusCode::OK, _)), _) => (CheckState::Fix, t.setup_test_strangers_let_in(host)),
        (Some((_, true)), Some(back)) if back != host => {
            (CheckState::Fix, t.setup_test_strangers_wrong_return(back, host))
        }
        (Some((_, true)), _) => (CheckState::Pass, t.setup_test_strangers_pass().to_owned()),
        (Some((status, false)), _) => (CheckState::Fix, t.setup_test_strangers_no_address(status.as_u16())),
        (None, _) => (CheckState::Skipped, t.setup_test_strangers_open(host)),
    };
    Check::new(state, t.setup_test_strangers(), sentence)
}

/// What was seen from this machine as a stranger, and from the test app by somebody who is signed in.
fn made_up_names(
    host: &str,
    asked: &Asked,
    forged: Option<&Result<StatusCode, Unseen>>,
    t: Words,
) -> Option<Check> {
    let is_forgeable = asked.told.as_ref().and_then(|told| told.is_forgeable);
    let (state, sentence) = match (forged, is_forgeable) {
        (_, Some(true)) => (CheckState::Fix, t.setup_test_forged_came().to_owned()),
        (Some(Ok(status)), _) if !status.is_redirection() && *status != StatusCode::UNAUTHORIZED => {
            (CheckState::Fix, t.setup_test_forged_fix(status.as_u16()))
        }
        (_, Some(false)) => (CheckState::Pass, t.setup_test_forged_stripped().to_owned()),
        (Some(Ok(_)), None) => (CheckState::Pass, t.setup_test_forged_pass().to_owned()),
        (Some(Err(Unseen::NotTrusted(why) | Unseen::NotReached(why))), None) => {
            (CheckState::Skipped, t.setup_test_forged_unseen(host, why.in_words(t)))
        }
        (None, None) => return None,
    };
    Some(Check::new(state, t.setup_test_forged(), sentence))
}

fn app_is_told(told: &Told, t: Words) -> Check {
    let (state, sentence) = match told.user.as_str() {
        "" => (CheckState::Fix, t.setup_test_told_app_fix().to_owned()),
        user => (CheckState::Pass, t.setup_test_told_app_pass(user)),
    };
    Check::new(state, t.setup_test_told_app(), sentence)
}

fn gets_in(host: &str, asked: &Asked, t: Words) -> Check {
    let (state, sentence) = match asked.let_in {
        true => (CheckState::Pass, t.setup_test_in_pass(host)),
        false => (CheckState::Skipped, t.setup_test_in_none(host)),
    };
    Check::new(state, t.setup_test_in(), sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Words = Words::ENGLISH;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn facts<'a>(origin: &'a Origin, host: &'a str) -> AddressFacts<'a> {
        let lan: IpAddr = "192.168.1.20".parse().unwrap();
        AddressFacts {
            t: T,
            origin,
            host,
            is_https: false,
            is_local: false,
            client: lan,
            peer: lan,
            is_trusted_peer: false,
            is_forwarded: false,
            names_visitor: false,
            browser_time: None,
            now: Timestamp::from_secs(1_800_000_000),
            arrival: None,
            allows_insecure_http: false,
            names: Some(Ok(vec![lan])),
            seen: None,
        }
    }

    fn seen() -> Seen {
        Seen { status: StatusCode::NO_CONTENT, days_left: Some(60), lost_headers: Vec::new() }
    }

    fn states(checks: &[Check]) -> Vec<CheckState> {
        checks.iter().map(|check| check.state).collect()
    }

    use CheckState::{Fix, Pass, Skipped};

    #[test]
    fn an_address_that_was_not_tried_is_not_judged() {
        let origin = origin("https://auth.home.example");
        let found = address(&facts(&origin, "192.168.1.5:8080"));
        assert_eq!(states(&found), [Pass, Pass, Skipped, Skipped, Skipped, Skipped, Skipped, Pass, Skipped]);
        for check in &found {
            assert!(check.sentence.ends_with('.'), "{}", check.sentence);
        }
    }

    #[test]
    fn a_proxy_that_keeps_host_scheme_path_and_visitor_passes() {
        let origin = origin("https://auth.home.example");
        let arrival = Arrival {
            host: Some("auth.home.example".into()),
            is_https: true,
            client: "192.168.1.20".parse().unwrap(),
            peer: "172.18.0.3".parse().unwrap(),
            is_trusted_peer: true,
            is_forwarded: true,
            names_visitor: true,
        };
        let mut facts = facts(&origin, "localhost:8080");
        facts.arrival = Some(&arrival);
        facts.seen = Some(Ok(seen()));
        facts.browser_time = Some(Timestamp::from_secs(1_800_000_029));
        assert_eq!(states(&address(&facts)), [Pass; 9]);
        let lost = Arrival { host: Some("127.0.0.1:8080".into()), ..arrival.clone() };
        facts.arrival = Some(&lost);
        assert_eq!(states(&address(&facts))[3..5], [Pass, Fix]);
        let plain =
            Arrival { is_https: false, client: arrival.peer, names_visitor: false, ..arrival.clone() };
        facts.arrival = Some(&plain);
        facts.browser_time = Some(Timestamp::from_secs(1_799_999_900));
        let found = address(&facts);
        assert_eq!(states(&found), [Pass, Pass, Pass, Fix, Pass, Pass, Pass, Fix, Fix]);
        assert!(found[8].sentence.contains("100 seconds"));
    }

    #[test]
    fn what_this_machine_saw_of_the_address_is_judged() {
        let origin = origin("https://auth.home.example");
        let mut facts = facts(&origin, "localhost:8080");
        facts.names = Some(Err("no such name".into()));
        facts.seen = Some(Ok(Seen { days_left: Some(3), ..seen() }));
        assert_eq!(states(&address(&facts))[..3], [Fix, Pass, Fix]);
        facts.seen = Some(Ok(Seen { status: StatusCode::NOT_FOUND, ..seen() }));
        assert_eq!(states(&address(&facts))[5..7], [Fix, Skipped]);
        facts.seen = Some(Ok(Seen { lost_headers: vec!["content-security-policy"], ..seen() }));
        assert_eq!(states(&address(&facts))[5..7], [Pass, Fix]);
        facts.seen = Some(Err(Unseen::NotTrusted(crate::words::english_only("unknown issuer"))));
        assert_eq!(states(&address(&facts))[2], Fix);
        facts.seen = Some(Err(Unseen::NotReached(crate::words::english_only("refused"))));
        assert_eq!(states(&address(&facts))[2], Skipped);
    }

    #[test]
    fn a_name_that_only_the_browser_finds_is_no_fault() {
        let origin = origin("https://auth.home.example");
        let mut facts = facts(&origin, "localhost:8080");
        facts.names = Some(Err("no such name".into()));
        assert_eq!(address(&facts)[0].state, Fix);
        facts.host = "auth.home.example";
        let found = &address(&facts)[0];
        assert_eq!(found.state, CheckState::Note);
        assert!(found.sentence.contains("no such name"), "{}", found.sentence);
    }

    #[test]
    fn plain_http_and_untrusted_proxies_need_a_fix() {
        let origin = origin("http://192.168.1.5:8080");
        let mut facts = facts(&origin, "192.168.1.5:8080");
        facts.names = None;
        facts.is_forwarded = true;
        assert_eq!(
            states(&address(&facts)),
            [Skipped, Fix, Skipped, Pass, Pass, Skipped, Skipped, Fix, Skipped]
        );
        facts.allows_insecure_http = true;
        assert_eq!(states(&address(&facts))[1], Fix);
        let local = Origin::parse("http://localhost:8080").unwrap();
        facts.origin = &local;
        assert_eq!(states(&address(&facts))[1], Skipped);
    }

    #[test]
    fn the_first_app_is_judged_by_what_was_asked() {
        let host = "photos.home.example";
        let judge = |asked: &Asked| states(&first_app(host, asked, None, T));
        assert_eq!(judge(&Asked::default()), [Fix, Skipped, Skipped, Skipped]);
        let mut asked = Asked { refusal: Some(crate::access::Refusal::Missing("x")), ..Asked::default() };
        assert!(first_app(host, &asked, None, T)[0].sentence.contains("did not send the header x."));
        asked = Asked { other_host: Some("films.home.example".into()), ..Asked::default() };
        assert!(first_app(host, &asked, None, T)[0].sentence.contains("films.home.example"));
        asked.at = Some(Timestamp::ZERO);
        asked.anonymous = Some((StatusCode::OK, false));
        assert_eq!(judge(&asked), [Pass, Fix, Fix, Skipped]);
        asked.anonymous = Some((StatusCode::UNAUTHORIZED, false));
        assert_eq!(judge(&asked)[2], Fix);
        asked.anonymous = Some((StatusCode::FOUND, true));
        asked.back = Some("films.home.example".into());
        assert_eq!(judge(&asked)[2], Fix);
        asked.back = Some(host.into());
        asked.names_visitor = true;
        asked.let_in = true;
        assert_eq!(judge(&asked), [Pass; 4]);
        for (forged, state) in [
            (Ok(StatusCode::FOUND), Pass),
            (Ok(StatusCode::OK), Fix),
            (Err(Unseen::NotReached(crate::words::english_only("refused"))), Skipped),
        ] {
            assert_eq!(states(&first_app(host, &asked, Some(&forged), T))[3], state);
        }
    }

    #[test]
    fn the_test_app_tells_what_an_app_learns() {
        let told = |user: &str, is_forgeable| {
            let told = Some(Told { user: user.into(), is_forgeable });
            Asked { told, ..Asked::default() }
        };
        let judge = |asked: &Asked, forged: Option<&Result<StatusCode, Unseen>>| {
            states(&first_app("photos.home.example", asked, forged, T))[3..].to_vec()
        };
        assert_eq!(judge(&told("", None), None), [Skipped, Fix]);
        assert_eq!(judge(&told("ana", None), None), [Skipped, Pass]);
        assert_eq!(judge(&told("ana", Some(false)), None), [Pass, Skipped, Pass]);
        let (sent_away, let_in, unseen) = (
            Ok(StatusCode::FOUND),
            Ok(StatusCode::OK),
            Err(Unseen::NotReached(crate::words::english_only("refused"))),
        );
        // The worse of both is told.
        assert_eq!(judge(&told("ana", Some(true)), Some(&sent_away))[0], Fix);
        assert_eq!(judge(&told("ana", Some(false)), Some(&let_in))[0], Fix);
        assert_eq!(judge(&told("ana", Some(false)), Some(&unseen))[0], Pass);
    }
}
