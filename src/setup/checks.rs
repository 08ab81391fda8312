//! What the wizard finds out about the address and about the first app, as sentences. Pure: facts in, findings out.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;

use super::sightings::{Arrival, Asked};
use crate::http::address::{host_matches, is_loopback_name};
use crate::kernel::time::Timestamp;
use crate::site::Origin;
use crate::views::{Check, CheckState};

/// The largest difference between two clocks at which one-time codes work.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// What a request and the site tell about the address.
pub(super) struct AddressFacts<'a> {
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
    /// What the browser's clock showed.
    pub(super) browser_time: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// What came in by the typed address.
    pub(super) arrival: Option<&'a Arrival>,
    pub(super) allows_insecure_http: bool,
}

/// Returns the findings about the address.
pub(super) fn address(facts: &AddressFacts<'_>) -> Vec<Check> {
    vec![https(facts), reachable(facts), visitors(facts), clock(facts)]
}

fn https(facts: &AddressFacts<'_>) -> Check {
    let label = "HTTPS";
    if facts.origin.is_https {
        let sentence = "People reach Doorward over an encrypted connection.";
        return Check::new(CheckState::Pass, label, sentence);
    }
    if is_loopback_name(&facts.origin.host) {
        let sentence = "This address works on this machine alone. Set one that starts with https:// once there is a certificate.";
        return Check::new(CheckState::Skipped, label, sentence);
    }
    let sentence = if facts.allows_insecure_http {
        "Passwords and cookies cross the network unprotected. Put a reverse proxy with a certificate in front as soon as you can."
    } else {
        "Without HTTPS nobody can sign in from another machine. Put a reverse proxy with a certificate in front, or set server.insecure_http = true for a lab."
    };
    Check::new(CheckState::Fix, label, sentence)
}

fn reachable(facts: &AddressFacts<'_>) -> Check {
    let label = "Reached at this address";
    let (host, is_https) = match facts.arrival {
        Some(arrival) => (arrival.host.as_deref(), arrival.is_https),
        None if host_matches(&facts.origin.text, facts.host) => (Some(facts.host), facts.is_https),
        None => {
            let sentence = format!(
                "You opened {}, so {} was not tried yet. Try it with the link below, then check again.",
                facts.host, facts.origin.text
            );
            return Check::new(CheckState::Skipped, label, sentence);
        }
    };
    let Some(host) = host.filter(|host| host_matches(&facts.origin.text, host)) else {
        let sentence = format!(
            "It was reached, but the host name was lost on the way: {} arrived. The proxy must pass the Host header on.",
            host.unwrap_or("none")
        );
        let mut check = Check::new(CheckState::Fix, label, sentence);
        "proxy_set_header Host $host;".clone_into(&mut check.snippet);
        return check;
    };
    if facts.origin.is_https && !is_https {
        let sentence = "It was reached, but Doorward was not told that the connection is HTTPS. Trust your reverse proxy, and let it say so.";
        let mut check = Check::new(CheckState::Fix, label, sentence);
        "proxy_set_header X-Forwarded-Proto $scheme;".clone_into(&mut check.snippet);
        return check;
    }
    Check::new(CheckState::Pass, label, format!("A request for {host} arrived here."))
}

fn visitors(facts: &AddressFacts<'_>) -> Check {
    let label = "Visitors’ addresses";
    let (client, peer, is_trusted) = match facts.arrival {
        Some(arrival) => (arrival.client, arrival.peer, arrival.is_trusted_peer),
        None => (facts.client, facts.peer, facts.is_trusted_peer),
    };
    if is_trusted && client == peer {
        let sentence = format!(
            "The proxy at {peer} does not say who its visitors are, so all of them look alike. Let it add X-Forwarded-For."
        );
        let mut check = Check::new(CheckState::Fix, label, sentence);
        "proxy_set_header X-Forwarded-For $remote_addr;".clone_into(&mut check.snippet);
        return check;
    }
    if is_trusted {
        let sentence = format!("You come from {client}, through the proxy at {peer}.");
        return Check::new(CheckState::Pass, label, sentence);
    }
    if facts.is_forwarded {
        let sentence = format!(
            "All visitors seem to come from {peer}, which looks like a reverse proxy. If it is yours, trust it above."
        );
        return Check::new(CheckState::Fix, label, sentence);
    }
    let sentence = if facts.is_local {
        "You are on this machine itself.".to_owned()
    } else {
        format!("You come from {client}, with no proxy in between.")
    };
    Check::new(CheckState::Pass, label, sentence)
}

fn clock(facts: &AddressFacts<'_>) -> Check {
    let label = "Clock";
    let Some(theirs) = facts.browser_time else {
        let sentence = "Your browser did not say what time it has. The codes of an authenticator app need a right clock on this machine.";
        return Check::new(CheckState::Skipped, label, sentence);
    };
    let apart = facts.now.since(theirs).max(theirs.since(facts.now));
    if apart <= CLOCK_TOLERANCE {
        let sentence = "The clocks of your browser and of this machine agree.";
        return Check::new(CheckState::Pass, label, sentence);
    }
    let sentence = format!(
        "The clocks of your browser and of this machine are {} seconds apart, and one-time codes would be refused. Let both follow a time server.",
        apart.as_secs()
    );
    let mut check = Check::new(CheckState::Fix, label, sentence);
    "sudo timedatectl set-ntp true".clone_into(&mut check.snippet);
    check
}

/// Returns the findings about the first app.
pub(super) fn first_app(host: &str, asked: &Asked) -> Vec<Check> {
    vec![proxy_asks(host, asked), strangers(host, asked), owner_gets_in(host, asked)]
}

fn proxy_asks(host: &str, asked: &Asked) -> Check {
    let label = "The proxy asks Doorward";
    if asked.at.is_some() {
        let sentence = format!("A question about {host} arrived.");
        return Check::new(CheckState::Pass, label, sentence);
    }
    let sentence = match (&asked.refusal, &asked.other_host) {
        (Some(refusal), _) => format!("A question arrived, but it was refused: {refusal}."),
        (None, Some(other)) => {
            format!("A question about {other} arrived, but none about {host}. Check the host name.")
        }
        (None, None) => format!(
            "Nothing has arrived yet. Load the new configuration of the proxy, open https://{host}/ in another window, then test again."
        ),
    };
    Check::new(CheckState::Fix, label, sentence)
}

fn strangers(host: &str, asked: &Asked) -> Check {
    let label = "Strangers are sent to the sign-in page";
    let (state, sentence) = match asked.anonymous {
        Some((StatusCode::OK, _)) => (
            CheckState::Fix,
            format!("Somebody who is not signed in was let into {host}. Look at the access rules."),
        ),
        Some((_, true)) => {
            (CheckState::Pass, "Somebody who is not signed in was sent to the sign-in page.".to_owned())
        }
        Some((status, false)) => (
            CheckState::Fix,
            format!(
                "Somebody who is not signed in was refused ({}), without the address of the sign-in page.",
                status.as_u16()
            ),
        ),
        None => (
            CheckState::Skipped,
            format!(
                "Open https://{host}/ in a private window, where you are not signed in, then test again."
            ),
        ),
    };
    Check::new(state, label, sentence)
}

fn owner_gets_in(host: &str, asked: &Asked) -> Check {
    let label = "You get in";
    if asked.let_in {
        return Check::new(CheckState::Pass, label, format!("Somebody who signed in was let into {host}."));
    }
    let sentence = format!("Open https://{host}/, sign in with both factors, then test again.");
    Check::new(CheckState::Skipped, label, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn facts<'a>(origin: &'a Origin, host: &'a str) -> AddressFacts<'a> {
        let lan: IpAddr = "192.168.1.20".parse().unwrap();
        AddressFacts {
            origin,
            host,
            is_https: false,
            is_local: false,
            client: lan,
            peer: lan,
            is_trusted_peer: false,
            is_forwarded: false,
            browser_time: None,
            now: Timestamp::from_secs(1_800_000_000),
            arrival: None,
            allows_insecure_http: false,
        }
    }

    fn states(checks: &[Check]) -> Vec<CheckState> {
        checks.iter().map(|check| check.state).collect()
    }

    use CheckState::{Fix, Pass, Skipped};

    #[test]
    fn an_address_that_was_not_tried_is_not_judged() {
        let origin = origin("https://auth.home.example");
        let found = address(&facts(&origin, "192.168.1.5:8080"));
        assert_eq!(states(&found), [Pass, Skipped, Pass, Skipped]);
        for check in &found {
            assert!(check.sentence.ends_with('.'), "{}", check.sentence);
        }
    }

    #[test]
    fn a_proxy_that_keeps_host_scheme_and_visitor_passes() {
        let origin = origin("https://auth.home.example");
        let arrival = Arrival {
            host: Some("auth.home.example".into()),
            is_https: true,
            client: "192.168.1.20".parse().unwrap(),
            peer: "172.18.0.3".parse().unwrap(),
            is_trusted_peer: true,
        };
        let mut facts = facts(&origin, "localhost:8080");
        facts.arrival = Some(&arrival);
        facts.browser_time = Some(Timestamp::from_secs(1_800_000_029));
        assert_eq!(states(&address(&facts)), [Pass; 4]);
        let lost = Arrival { host: Some("127.0.0.1:8080".into()), ..arrival.clone() };
        facts.arrival = Some(&lost);
        assert_eq!(states(&address(&facts)), [Pass, Fix, Pass, Pass]);
        let plain = Arrival { is_https: false, client: arrival.peer, ..arrival.clone() };
        facts.arrival = Some(&plain);
        facts.browser_time = Some(Timestamp::from_secs(1_799_999_900));
        let found = address(&facts);
        assert_eq!(states(&found), [Pass, Fix, Fix, Fix]);
        assert!(found[3].sentence.contains("100 seconds"));
    }

    #[test]
    fn plain_http_and_untrusted_proxies_need_a_fix() {
        let origin = origin("http://192.168.1.5:8080");
        let mut facts = facts(&origin, "192.168.1.5:8080");
        facts.is_forwarded = true;
        assert_eq!(states(&address(&facts)), [Fix, Pass, Fix, Skipped]);
        facts.allows_insecure_http = true;
        assert_eq!(states(&address(&facts))[0], Fix);
        let local = Origin::parse("http://localhost:8080").unwrap();
        facts.origin = &local;
        assert_eq!(states(&address(&facts))[0], Skipped);
    }

    #[test]
    fn the_first_app_is_judged_by_what_was_asked() {
        let host = "photos.home.example";
        assert_eq!(states(&first_app(host, &Asked::default())), [Fix, Skipped, Skipped]);
        let mut asked = Asked { refusal: Some("the header x is missing".into()), ..Asked::default() };
        assert!(first_app(host, &asked)[0].sentence.contains("x is missing."));
        asked = Asked { other_host: Some("films.home.example".into()), ..Asked::default() };
        assert!(first_app(host, &asked)[0].sentence.contains("films.home.example"));
        asked.at = Some(Timestamp::ZERO);
        asked.anonymous = Some((StatusCode::OK, false));
        assert_eq!(states(&first_app(host, &asked)), [Pass, Fix, Skipped]);
        asked.anonymous = Some((StatusCode::UNAUTHORIZED, false));
        assert_eq!(states(&first_app(host, &asked))[1], Fix);
        asked.anonymous = Some((StatusCode::FOUND, true));
        asked.let_in = true;
        assert_eq!(states(&first_app(host, &asked)), [Pass; 3]);
    }
}
