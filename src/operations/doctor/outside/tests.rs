//! Findings out of made-up facts. What real proxies make of real visits is tested in tests/proxies/doctor.

use http::{HeaderValue, StatusCode};

use super::findings::{Answer, FORGED_USER, Facts, Step, examine};
use super::probes::{About, Asked};
use crate::access::snippet::{Addresses, Proxy};
use crate::access::{Dialect, Refusal};
use crate::http::RequestHeaders;
use crate::kernel::time::Timestamp;
use crate::operations::doctor::{Finding, Severity};

const TARGET: &str = "/doorward-probe-x/0?a=b%20c&d=%2F";
const NOW: Timestamp = Timestamp::from_secs(784_111_777);

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    Answer { status: StatusCode::from_u16(status).unwrap(), headers: headers.collect(), is_empty: false }
}

fn question() -> Asked {
    Asked {
        dialect: Dialect::AuthRequest,
        about: Ok(About {
            is_secure: true,
            host: "photos.home.example".into(),
            url: format!("https://photos.home.example{TARGET}"),
            target: TARGET.into(),
            method: "GET".into(),
        }),
        client: "192.168.1.9".parse().unwrap(),
        peer: "172.18.0.3".parse().unwrap(),
        is_trusted_peer: true,
        names_visitor: true,
        told: [true; 4],
        status: StatusCode::UNAUTHORIZED,
    }
}

fn step(answer: Answer) -> Step {
    Step { answer: Some(answer), question: Some(question()), app: None }
}

fn sound() -> Facts {
    let back = "https://auth.home.example/?rd=https%3A%2F%2Fphotos.home.example%2Fdoorward-probe-x%2F0%3Fa%3Db%2520c%26d%3D%252F&rm=GET";
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let cookie = "doorward_probe=; Max-Age=0";
    let plain = answer(302, &[("location", back), ("date", date), ("set-cookie", cookie)]);
    Facts {
        host: "photos.home.example".into(),
        authority: "photos.home.example".into(),
        addresses: Addresses {
            portal_origin: "https://auth.home.example".into(),
            doorward: "http://127.0.0.1:8080".into(),
            host: "photos.home.example".into(),
            app: "http://127.0.0.1:3000".into(),
        },
        proxy: Some(Proxy::Nginx),
        now: NOW,
        reached: Ok(Some(Timestamp::from_secs(784_111_777 + 30 * 86_400))),
        target: TARGET.into(),
        plain: step(plain.clone()),
        script: step(answer(401, &[])),
        forged: step(plain.clone()),
        socket: step(answer(401, &[])),
        spelled: vec![("PHOTOS.HOME.EXAMPLE".into(), step(plain.clone()))],
        odd: (TARGET.into(), step(plain)),
        internal: Step { answer: Some(answer(404, &[])), ..Step::default() },
        portal_questions: vec![("/api/verify", StatusCode::NOT_FOUND)],
        portal: Ok(StatusCode::OK),
    }
}

/// Makes one mistake, and returns the one finding that is to be mended.
fn fix(code: &str, mistake: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = sound();
    mistake(&mut facts);
    let mut wrong: Vec<Finding> =
        examine(&facts).into_iter().filter(|finding| finding.severity == Severity::Fix).collect();
    assert_eq!(wrong.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code]);
    let finding = wrong.remove(0);
    assert!(finding.sentence.english().ends_with('.'), "{}", finding.sentence);
    finding
}

fn asked(step: &mut Step) -> &mut Asked {
    step.question.as_mut().unwrap()
}

#[test]
fn a_sound_proxy_has_nothing_to_mend() {
    for finding in examine(&sound()) {
        assert_ne!(finding.severity, Severity::Fix, "{}: {}", finding.code, finding.sentence);
        assert!(finding.sentence.english().ends_with('.'), "{}", finding.sentence);
    }
}

#[test]
fn a_proxy_that_is_not_trusted_is_named() {
    let found = fix("asks", |facts| asked(&mut facts.plain).about = Err(Refusal::UntrustedPeer));
    assert_eq!(found.line_to_paste.as_deref(), Some("server.trusted_proxies = [\"172.18.0.3\"]"));
}

#[test]
fn each_mistake_is_found_once() {
    fix("certificate", |facts| facts.reached = Ok(Some(NOW)));
    fix("certificate", |facts| facts.reached = Err(crate::words::english_only("It is closed.")));
    fix("asks", |facts| {
        facts.plain.question = None;
        facts.plain.answer = Some(answer(200, &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]));
    });
    fix("address", |facts| {
        asked(&mut facts.plain).about.as_mut().unwrap().host = "films.home.example".into()
    });
    fix("visitor", |facts| asked(&mut facts.forged).client = "192.0.2.77".parse().unwrap());
    fix("visitor", |facts| asked(&mut facts.plain).names_visitor = false);
    fix("headers", |facts| asked(&mut facts.script).told = [false, true, true, true]);
    fix("scripts", |facts| facts.script.answer = Some(answer(302, &[])));
    fix("paths", |facts| asked(&mut facts.odd.1).about.as_mut().unwrap().target = "/x".into());
    fix("host", |facts| {
        facts.spelled.push((
            "unknown.home.example".into(),
            Step { answer: Some(answer(200, &[])), ..Step::default() },
        ));
    });
    fix("portal", |facts| facts.portal = Ok(StatusCode::BAD_GATEWAY));
    fix("portal_questions", |facts| {
        facts.portal_questions.push(("/api/authz/forward-auth", StatusCode::BAD_REQUEST))
    });
    fix("clock", |facts| facts.now = NOW.plus(std::time::Duration::from_secs(31)));
    fix("web_socket", |facts| facts.socket.app = Some(RequestHeaders::default()));
}

/// FWD-09
#[test]
fn claims_that_reach_the_app_are_found() {
    let seen = |name: &'static str, value: &'static str| Some(RequestHeaders::from_iter([(name, value)]));
    let found = fix("identity", |facts| facts.forged.app = seen("Remote-User", FORGED_USER));
    assert!(found.sentence.english().contains("Remote-User"));
    assert_eq!(found.line_to_paste.as_deref(), Some("proxy_set_header Remote-User $doorward_user;"));
    let found = fix("identity", |facts| {
        facts.forged.app.get_or_insert_default().had_underscores = true;
    });
    assert_eq!(found.line_to_paste.as_deref(), Some("proxy_set_header Remote_User \"\";"));
    let found = fix("identity", |facts| {
        facts.proxy = None;
        facts.forged.app = seen("x-forwarded-for", "192.0.2.77, 10.0.0.1");
    });
    assert_eq!(found.line_to_paste, None);
}
