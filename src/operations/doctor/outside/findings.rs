//! What the doctor's visits tell about the proxy in front of an app. Pure: facts in, findings out.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use url::Url;

use super::certificate::http_date;
use super::lines::{Fault, line, line_for_header};
use super::probes::{About, Asked, COOKIE, TOLD};
use crate::access::snippet::{Addresses, Proxy};
use crate::access::{Dialect, Refusal};
use crate::http::RequestHeaders;
use crate::kernel::time::Timestamp;
use crate::operations::doctor::{Finding, Severity};
use crate::words::{Said, Words, said};

/// What the visits claim to come from (TEST-NET-1 of RFC 5737, which nobody has).
pub(super) const FORGED_ADDRESS: &str = "192.0.2.77";
/// Whom the visits claim to be.
pub(super) const FORGED_USER: &str = "doorward-doctor";
/// What they claim to ask for.
pub(super) const FORGED_PATH: &str = "/doorward-forged";

const MOST_SKEW: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// One visit: the answer, the questions that the proxy asked about it, and what of it came as far as the app.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    pub(super) answer: Option<Answer>,
    pub(super) question: Option<Asked>,
    pub(super) app: Option<RequestHeaders>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) is_empty: bool,
}

impl Answer {
    fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION).and_then(|value| value.to_str().ok())
    }

    fn has_own_cookie(&self) -> bool {
        let mut cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies.any(|value| value.as_bytes().starts_with(COOKIE.as_bytes()))
    }

    fn is_let_in(&self) -> bool {
        // Caddy answers so for names that it does not know.
        self.status.is_success() && !self.is_empty
    }
}

/// Everything that was seen of one host.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) host: String,
    /// The host with its port, unless that is the usual one.
    pub(super) authority: String,
    pub(super) addresses: Addresses,
    pub(super) proxy: Option<Proxy>,
    pub(super) now: Timestamp,
    /// When the certificate ends, or why there was no connection.
    pub(super) reached: Result<Option<Timestamp>, Said>,
    /// The address that the plain visit asked for, without the origin.
    pub(super) target: String,
    pub(super) plain: Step,
    pub(super) script: Step,
    pub(super) forged: Step,
    pub(super) socket: Step,
    /// The host in other spellings.
    pub(super) spelled: Vec<(String, Step)>,
    /// The address of a visit with an odd path, and the visit.
    pub(super) odd: (String, Step),
    /// A visit to the address of nginx's own question.
    pub(super) internal: Step,
    /// Visits to the addresses of the questions, at the portal.
    pub(super) portal_questions: Vec<(&'static str, StatusCode)>,
    /// The portal's own answer, or why there was none.
    pub(super) portal: Result<StatusCode, Said>,
}

type Title = fn(Words) -> &'static str;

/// Makes a sentence of a key and its values, in the order of their names.
macro_rules! say {
    ($key:ident) => {
        Said::of(Words::$key)
    };
    ($key:ident, $a:expr) => {{
        let a = $a.to_string();
        said(move |t| t.$key(&a))
    }};
    ($key:ident, $a:expr, $b:expr) => {{
        let (a, b) = ($a.to_string(), $b.to_string());
        said(move |t| t.$key(&a, &b))
    }};
    ($key:ident, $a:expr, $b:expr, $c:expr) => {{
        let (a, b, c) = ($a.to_string(), $b.to_string(), $c.to_string());
        said(move |t| t.$key(&a, &b, &c))
    }};
}

struct Check<'a> {
    facts: &'a Facts,
    code: &'static str,
    title: Title,
}

impl Check<'_> {
    fn ok(&self, sentence: Said) -> Finding {
        self.finding(Severity::Ok, sentence, None)
    }

    fn skipped(&self, sentence: Said) -> Finding {
        self.finding(Severity::Skipped, sentence, None)
    }

    fn fix(&self, fault: Fault, sentence: Said) -> Finding {
        let line = self.facts.proxy.and_then(|proxy| line(proxy, fault, &self.facts.addresses));
        self.finding(Severity::Fix, sentence, line)
    }

    fn fix_by(&self, line: Option<String>, sentence: Said) -> Finding {
        self.finding(Severity::Fix, sentence, line)
    }

    fn finding(&self, severity: Severity, sentence: Said, line_to_paste: Option<String>) -> Finding {
        Finding { code: self.code, severity, title: Said::of(self.title), sentence, line_to_paste }
    }
}

/// Judges everything that was seen, the most important first.
pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![reached(facts)];
    if facts.reached.is_err() {
        return findings;
    }
    findings.push(asks(facts));
    let about = facts.plain.question.as_ref().and_then(|asked| Some((asked, asked.about.as_ref().ok()?)));
    if let Some((asked, about)) = about {
        findings.extend([
            asks_about_the_address(facts, about),
            sends_to_sign_in(facts, asked),
            answers_scripts(facts),
            names_the_visitor(facts, asked),
            tells_what_it_must(facts),
            passes_cookies(facts),
            odd_paths(facts),
        ]);
    }
    findings.extend([spellings(facts), internal(facts), web_sockets(facts), identity(facts)]);
    findings.extend([portal(facts), portal_questions(facts), clock(facts)]);
    findings
}

fn check<'a>(facts: &'a Facts, code: &'static str, title: Title) -> Check<'a> {
    Check { facts, code, title }
}

fn reached(facts: &Facts) -> Finding {
    let check = check(facts, "certificate", Words::doctor_t_certificate);
    let end = match &facts.reached {
        Ok(end) => *end,
        Err(why) => {
            let (host, why) = (facts.authority.clone(), why.clone());
            return check.fix_by(None, said(move |t| t.doctor_unreachable(&host, why.in_words(t))));
        }
    };
    match end {
        Some(end) if end <= facts.now.plus(SOON) => {
            check.fix_by(None, say!(doctor_certificate_ends, end, facts.host))
        }
        Some(end) => check.ok(say!(doctor_certificate_good, end)),
        None => check.ok(say!(doctor_certificate_believed)),
    }
}

/// FWD-03, FWD-05
fn asks(facts: &Facts) -> Finding {
    let check = check(facts, "asks", Words::doctor_t_asks);
    let Some(answer) = &facts.plain.answer else { return check.skipped(say!(doctor_no_answer)) };
    let Some(asked) = &facts.plain.question else {
        if answer.status.is_server_error() {
            let sentence = say!(doctor_asks_elsewhere, facts.addresses.doorward, answer.status.as_u16());
            return check.fix(Fault::CannotAsk, sentence);
        }
        let sentence = say!(doctor_asks_nothing, facts.host, answer.status.as_u16());
        return check.fix(Fault::DoesNotAsk, sentence);
    };
    match &asked.about {
        Ok(_) => check.ok(say!(doctor_asked, asked.peer)),
        Err(Refusal::UntrustedPeer) => check.fix_by(
            Some(format!("server.trusted_proxies = [\"{}\"]", asked.peer)),
            say!(doctor_asks_untrusted, asked.peer),
        ),
        Err(refusal) => {
            let fault = match refusal {
                Refusal::Missing("x-original-method" | "x-forwarded-method")
                | Refusal::Invalid("x-original-method" | "x-forwarded-method") => Fault::Method,
                _ => Fault::Address,
            };
            let refusal = *refusal;
            check.fix(fault, said(move |t| t.doctor_asks_badly(refusal.in_words(t))))
        }
    }
}

/// FWD-06
fn asks_about_the_address(facts: &Facts, about: &About) -> Finding {
    let check = check(facts, "address", Words::doctor_t_address);
    let wanted = format!("https://{}{}", facts.authority, facts.target);
    if about.host != facts.host {
        let sentence = say!(doctor_address_host, about.host, facts.host);
        return check.fix(Fault::Address, sentence);
    }
    if !about.is_secure || about.url != wanted || about.method != "GET" {
        let sentence = say!(doctor_address_other, about.url, about.method, wanted);
        let fault = if about.method == "GET" { Fault::Address } else { Fault::Method };
        return check.fix(fault, sentence);
    }
    let forged = facts.forged.question.as_ref().and_then(|asked| asked.about.as_ref().ok());
    if let Some(forged) =
        forged.filter(|forged| forged.target.contains(FORGED_PATH) || forged.host != facts.host)
    {
        let sentence = say!(doctor_address_forged, forged.url);
        return check.fix(Fault::Address, sentence);
    }
    check.ok(say!(doctor_address_right))
}

fn sends_to_sign_in(facts: &Facts, asked: &Asked) -> Finding {
    let check = check(facts, "sign_in", Words::doctor_t_sign_in);
    if asked.status == StatusCode::OK {
        return check.skipped(say!(doctor_sign_in_anyone, facts.host));
    }
    if asked.status == StatusCode::FORBIDDEN {
        return check.skipped(say!(doctor_sign_in_nobody, facts.host));
    }
    let Some(answer) = &facts.plain.answer else { return check.skipped(say!(doctor_no_answer)) };
    if answer.is_let_in() {
        let sentence = say!(doctor_sign_in_let_in);
        return check.fix(Fault::DoesNotAsk, sentence);
    }
    let Some(location) = answer.location().filter(|_| answer.status.is_redirection()) else {
        let sentence = say!(doctor_sign_in_no_address, answer.status.as_u16());
        return check.fix(Fault::SignIn, sentence);
    };
    let wanted = format!("https://{}{}", facts.authority, facts.target);
    let back = Url::parse(location)
        .ok()
        .and_then(|url| url.query_pairs().find(|(key, _)| key == "rd").map(|(_, rd)| rd.into_owned()));
    match back {
        None => check.fix(Fault::SignIn, say!(doctor_sign_in_other_page, location)),
        Some(back) if back != wanted => {
            let sentence = say!(doctor_sign_in_back_elsewhere, back, wanted);
            check.fix(Fault::Address, sentence)
        }
        Some(_) => check.ok(say!(doctor_sign_in_right)),
    }
}

fn answers_scripts(facts: &Facts) -> Finding {
    let check = check(facts, "scripts", Words::doctor_t_scripts);
    let (Some(answer), Some(asked)) = (&facts.script.answer, &facts.script.question) else {
        return check.skipped(say!(doctor_scripts_not_asked));
    };
    if asked.status == StatusCode::OK {
        return check.skipped(say!(doctor_anyone_passes));
    }
    if answer.status.is_redirection() {
        let sentence = say!(doctor_scripts_redirected);
        return check.fix(Fault::Script, sentence);
    }
    check.ok(say!(doctor_scripts_get, answer.status.as_u16()))
}

/// FWD-01, FWD-02
fn names_the_visitor(facts: &Facts, asked: &Asked) -> Finding {
    let check = check(facts, "visitor", Words::doctor_t_visitor);
    let forged: Option<IpAddr> = FORGED_ADDRESS.parse().ok();
    if facts.forged.question.as_ref().is_some_and(|asked| Some(asked.client) == forged) {
        let sentence = say!(doctor_visitor_forged, FORGED_ADDRESS);
        return check.fix(Fault::Visitor, sentence);
    }
    if asked.is_trusted_peer && !asked.names_visitor {
        let sentence = say!(doctor_visitor_unnamed, asked.peer);
        return check.fix(Fault::Visitor, sentence);
    }
    check.ok(say!(doctor_visitor_right, asked.client))
}

fn tells_what_it_must(facts: &Facts) -> Finding {
    let check = check(facts, "headers", Words::doctor_t_headers);
    let Some(asked) = &facts.script.question else { return check.skipped(say!(doctor_not_asked)) };
    let lost: Vec<&str> =
        TOLD.iter().zip(asked.told).filter(|(_, is_told)| !is_told).map(|(name, _)| name.as_str()).collect();
    if lost.is_empty() {
        return check.ok(say!(doctor_headers_right));
    }
    let sentence = say!(doctor_headers_lost, lost.join(", "));
    check.fix(Fault::Told, sentence)
}

fn passes_cookies(facts: &Facts) -> Finding {
    let check = check(facts, "set_cookie", Words::doctor_t_set_cookie);
    let (Some(answer), Some(asked)) = (&facts.plain.answer, &facts.plain.question) else {
        return check.skipped(say!(doctor_not_asked));
    };
    if asked.status == StatusCode::OK || asked.status == StatusCode::FORBIDDEN {
        return check.skipped(say!(doctor_cookie_nothing));
    }
    if answer.has_own_cookie() {
        return check.ok(say!(doctor_cookie_right));
    }
    let sentence = say!(doctor_cookie_dropped);
    check.fix(Fault::SetCookie, sentence)
}

/// FWD-06
fn odd_paths(facts: &Facts) -> Finding {
    let check = check(facts, "paths", Words::doctor_t_paths);
    let (target, step) = &facts.odd;
    let asked = step.question.as_ref().and_then(|asked| Some((asked.dialect, asked.about.as_ref().ok()?)));
    match (asked, &step.answer) {
        // Envoy puts the path in order for the app as well.
        (Some((dialect, about)), _) if about.target != *target && dialect != Dialect::ExtAuthz => {
            let sentence = say!(doctor_paths_other, about.target, target);
            check.fix(Fault::Address, sentence)
        }
        (None, Some(answer)) if answer.is_let_in() => {
            check.fix(Fault::DoesNotAsk, say!(doctor_paths_let_in, target))
        }
        _ => check.ok(say!(doctor_paths_right)),
    }
}

fn spellings(facts: &Facts) -> Finding {
    let check = check(facts, "host", Words::doctor_t_host);
    for (name, step) in &facts.spelled {
        let is_in = step.answer.as_ref().is_some_and(Answer::is_let_in);
        if is_in && step.question.is_none() {
            let sentence = say!(doctor_host_opens, name);
            return check.fix(Fault::Names, sentence);
        }
        let other = step.question.as_ref().and_then(|asked| asked.about.as_ref().ok());
        if let Some(other) = other.filter(|about| about.host != facts.host && about.host != *name) {
            return check.fix(Fault::Address, say!(doctor_host_other, other.host, name));
        }
    }
    check.ok(say!(doctor_host_right))
}

fn internal(facts: &Facts) -> Finding {
    let check = check(facts, "internal", Words::doctor_t_internal);
    let asked = facts.internal.question.as_ref();
    // Doorward's own refusal came back, cookie and all, and not the proxy's.
    let is_open = asked.is_some_and(|asked| asked.dialect == Dialect::AuthRequest)
        && facts
            .internal
            .answer
            .as_ref()
            .is_some_and(|answer| answer.has_own_cookie() && answer.location().is_none());
    if is_open {
        let sentence = say!(doctor_internal_open);
        return check.fix(Fault::Internal, sentence);
    }
    check.ok(say!(doctor_internal_right))
}

fn web_sockets(facts: &Facts) -> Finding {
    let check = check(facts, "web_socket", Words::doctor_t_web_socket);
    let asked = facts.socket.question.as_ref();
    let answer = facts.socket.answer.as_ref();
    if asked.is_none() && answer.is_some_and(|answer| answer.status == StatusCode::SWITCHING_PROTOCOLS) {
        return check.fix(Fault::DoesNotAsk, say!(doctor_socket_open));
    }
    let Some(headers) = &facts.socket.app else { return check.skipped(say!(doctor_no_echo)) };
    let is_upgrade =
        headers.get(header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let is_connection = headers
        .get(header::CONNECTION)
        .is_some_and(|value| value.to_ascii_lowercase().windows(7).any(|word| word == b"upgrade"));
    if is_upgrade && is_connection {
        return check.ok(say!(doctor_socket_right));
    }
    check.fix(Fault::WebSocket, say!(doctor_socket_lost))
}

/// FWD-08, FWD-09
fn identity(facts: &Facts) -> Finding {
    let check = check(facts, "identity", Words::doctor_t_identity);
    let Some(headers) = &facts.forged.app else { return check.skipped(say!(doctor_no_echo)) };
    let forged = headers.iter().find(|(_, value)| {
        [FORGED_USER, FORGED_ADDRESS, FORGED_PATH].iter().any(|claim| contains(value, claim.as_bytes()))
    });
    // Our own edge takes these out and says so; other apps read them as Remote-User.
    let underscored = headers.had_underscores.then_some("remote_user");
    let Some(name) = forged.map(|(name, _)| name).or(underscored) else {
        return check.ok(say!(doctor_identity_right));
    };
    let line = facts.proxy.and_then(|proxy| line_for_header(proxy, name, &facts.addresses));
    let sentence = say!(doctor_identity_leaks, spelled(name));
    check.fix_by(line, sentence)
}

fn contains(value: &[u8], claim: &[u8]) -> bool {
    value.windows(claim.len()).any(|part| part == claim)
}

/// Writes a header as people do.
fn spelled(name: &str) -> String {
    let mut starts = true;
    let upper = |letter: char| {
        let letter = if starts { letter.to_ascii_uppercase() } else { letter };
        starts = !letter.is_ascii_alphanumeric();
        letter
    };
    name.chars().map(upper).collect()
}

fn portal(facts: &Facts) -> Finding {
    let check = check(facts, "portal", Words::doctor_t_portal);
    let origin = &facts.addresses.portal_origin;
    match &facts.portal {
        Ok(StatusCode::OK) => check.ok(say!(doctor_portal_answers, origin)),
        Ok(StatusCode::MISDIRECTED_REQUEST) => check.fix(Fault::PortalHost, say!(doctor_portal_host, origin)),
        Ok(status) => check.fix(Fault::Portal, say!(doctor_portal_status, origin, status.as_u16())),
        Err(why) => {
            let (origin, why) = (origin.clone(), why.clone());
            check.fix(Fault::Portal, said(move |t| t.doctor_portal_unreachable(&origin, why.in_words(t))))
        }
    }
}

fn portal_questions(facts: &Facts) -> Finding {
    let check = check(facts, "portal_questions", Words::doctor_t_portal_questions);
    let open = facts.portal_questions.iter().find(|(_, status)| {
        !matches!(*status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST)
    });
    match open {
        Some((path, _)) => check.fix(
            Fault::PortalQuestions,
            say!(doctor_questions_open, format!("{}{path}", facts.addresses.portal_origin)),
        ),
        None => check.ok(say!(doctor_questions_closed)),
    }
}

fn clock(facts: &Facts) -> Finding {
    let check = check(facts, "clock", Words::doctor_t_clock);
    let date = facts.plain.answer.as_ref().and_then(|answer| answer.headers.get(header::DATE));
    let Some(theirs) = date.and_then(|date| date.to_str().ok()).and_then(http_date) else {
        return check.skipped(say!(doctor_clock_silent));
    };
    let apart = facts.now.since(theirs).max(theirs.since(facts.now));
    if apart > MOST_SKEW {
        let sentence = say!(doctor_clock_apart, apart.as_secs());
        return check.fix_by(Some("timedatectl set-ntp true".to_owned()), sentence);
    }
    check.ok(say!(doctor_clock_right))
}
