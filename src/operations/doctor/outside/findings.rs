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
use crate::http::HAD_UNDERSCORES;
use crate::kernel::time::Timestamp;
use crate::operations::doctor::{Finding, Severity};

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
    pub(super) app: Option<HeaderMap>,
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
    pub(super) reached: Result<Option<Timestamp>, String>,
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
    pub(super) portal: Result<StatusCode, String>,
}

struct Check<'a> {
    facts: &'a Facts,
    code: &'static str,
    title: &'static str,
}

impl Check<'_> {
    fn ok(&self, sentence: impl Into<String>) -> Finding {
        self.finding(Severity::Ok, sentence.into(), None)
    }

    fn skipped(&self, sentence: impl Into<String>) -> Finding {
        self.finding(Severity::Skipped, sentence.into(), None)
    }

    fn fix(&self, fault: Fault, sentence: impl Into<String>) -> Finding {
        let line = self.facts.proxy.and_then(|proxy| line(proxy, fault, &self.facts.addresses));
        self.finding(Severity::Fix, sentence.into(), line)
    }

    fn fix_by(&self, line: Option<String>, sentence: impl Into<String>) -> Finding {
        self.finding(Severity::Fix, sentence.into(), line)
    }

    fn finding(&self, severity: Severity, sentence: String, line_to_paste: Option<String>) -> Finding {
        Finding { code: self.code, severity, title: self.title, sentence, line_to_paste }
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

fn check<'a>(facts: &'a Facts, code: &'static str, title: &'static str) -> Check<'a> {
    Check { facts, code, title }
}

fn reached(facts: &Facts) -> Finding {
    let check = check(facts, "certificate", "HTTPS and certificate");
    let end = match &facts.reached {
        Ok(end) => *end,
        Err(why) => {
            return check
                .fix_by(None, format!("https://{}/ cannot be reached safely. {why}", facts.authority));
        }
    };
    match end {
        Some(end) if end <= facts.now.plus(SOON) => check.fix_by(
            None,
            format!(
                "The certificate of {} ends on {end}. Renew it, or find out why that did not happen.",
                facts.host
            ),
        ),
        Some(end) => check.ok(format!("The certificate is good until {end}.")),
        None => check.ok("The certificate is believed."),
    }
}

/// FWD-03, FWD-05
fn asks(facts: &Facts) -> Finding {
    let check = check(facts, "asks", "The proxy asks Doorward");
    let Some(answer) = &facts.plain.answer else { return check.skipped("There was no answer.") };
    let Some(asked) = &facts.plain.question else {
        if answer.status.is_server_error() {
            let sentence = format!(
                "The proxy answers {} and no question arrived here: it looks for Doorward in the wrong place. Doorward is at {}.",
                answer.status.as_u16(),
                facts.addresses.doorward
            );
            return check.fix(Fault::CannotAsk, sentence);
        }
        let sentence = format!(
            "No question about {} arrived, and the answer was {}: whoever comes gets in, without a sign-in.",
            facts.host,
            answer.status.as_u16()
        );
        return check.fix(Fault::DoesNotAsk, sentence);
    };
    match &asked.about {
        Ok(_) => check.ok(format!("A question from {} arrived.", asked.peer)),
        Err(Refusal::UntrustedPeer) => check.fix_by(
            Some(format!("server.trusted_proxies = [\"{}\"]", asked.peer)),
            format!("{} asks, but it is not among server.trusted_proxies, so it gets no answer.", asked.peer),
        ),
        Err(refusal) => {
            let fault = match refusal {
                Refusal::Missing("x-original-method" | "x-forwarded-method")
                | Refusal::Invalid("x-original-method" | "x-forwarded-method") => Fault::Method,
                _ => Fault::Address,
            };
            check.fix(fault, format!("A question arrived and was refused: {refusal}."))
        }
    }
}

/// FWD-06
fn asks_about_the_address(facts: &Facts, about: &About) -> Finding {
    let check = check(facts, "address", "It asks about the right address");
    let wanted = format!("https://{}{}", facts.authority, facts.target);
    if about.host != facts.host {
        let sentence = format!("The proxy asked about {} where {} was meant.", about.host, facts.host);
        return check.fix(Fault::Address, sentence);
    }
    if !about.is_secure || about.url != wanted || about.method != "GET" {
        let sentence = format!(
            "The visit was to {wanted}, but the question was about {} {}: rules see another address than the app, and people come back to the wrong page.",
            about.method, about.url
        );
        let fault = if about.method == "GET" { Fault::Address } else { Fault::Method };
        return check.fix(fault, sentence);
    }
    let forged = facts.forged.question.as_ref().and_then(|asked| asked.about.as_ref().ok());
    if let Some(forged) =
        forged.filter(|forged| forged.target.contains(FORGED_PATH) || forged.host != facts.host)
    {
        let sentence = format!(
            "A visitor who sends X-Original-URL or X-Forwarded-Uri is judged by that ({}), not by what they open.",
            forged.url
        );
        return check.fix(Fault::Address, sentence);
    }
    check.ok("Host, path and query are those of the visit.")
}

fn sends_to_sign_in(facts: &Facts, asked: &Asked) -> Finding {
    let check = check(facts, "sign_in", "Strangers are sent to sign in, and back");
    if asked.status == StatusCode::OK {
        return check.skipped(format!("By the rules, anyone may open {}.", facts.host));
    }
    if asked.status == StatusCode::FORBIDDEN {
        return check.skipped(format!("By the rules, nobody may open {} from here.", facts.host));
    }
    let Some(answer) = &facts.plain.answer else { return check.skipped("There was no answer.") };
    if answer.is_let_in() {
        let sentence = "Doorward said no, and the proxy let the visit through all the same.";
        return check.fix(Fault::DoesNotAsk, sentence);
    }
    let Some(location) = answer.location().filter(|_| answer.status.is_redirection()) else {
        let sentence = format!(
            "A browser got {} and no address to go to: people see an error page instead of the sign-in.",
            answer.status.as_u16()
        );
        return check.fix(Fault::SignIn, sentence);
    };
    let wanted = format!("https://{}{}", facts.authority, facts.target);
    let back = Url::parse(location)
        .ok()
        .and_then(|url| url.query_pairs().find(|(key, _)| key == "rd").map(|(_, rd)| rd.into_owned()));
    match back {
        None => check
            .fix(Fault::SignIn, format!("A browser is sent to {location}, which is not the sign-in page.")),
        Some(back) if back != wanted => {
            let sentence = format!("Who signs in comes back to {back} and not to {wanted}.");
            check.fix(Fault::Address, sentence)
        }
        Some(_) => check.ok("A browser is sent to the sign-in page, and back to the very address."),
    }
}

fn answers_scripts(facts: &Facts) -> Finding {
    let check = check(facts, "scripts", "Scripts get 401 and no redirect");
    let (Some(answer), Some(asked)) = (&facts.script.answer, &facts.script.question) else {
        return check.skipped("The proxy did not ask about the visit of a script.");
    };
    if asked.status == StatusCode::OK {
        return check.skipped("By the rules, anyone may pass.");
    }
    if answer.status.is_redirection() {
        let sentence = "A script (XMLHttpRequest) is redirected to a page for people: apps that are open when a sign-in ends show strange errors.";
        return check.fix(Fault::Script, sentence);
    }
    check.ok(format!("A script gets {}.", answer.status.as_u16()))
}

/// FWD-01, FWD-02
fn names_the_visitor(facts: &Facts, asked: &Asked) -> Finding {
    let check = check(facts, "visitor", "It says who the visitor is");
    let forged: Option<IpAddr> = FORGED_ADDRESS.parse().ok();
    if facts.forged.question.as_ref().is_some_and(|asked| Some(asked.client) == forged) {
        let sentence = format!(
            "A visitor who sends X-Forwarded-For: {FORGED_ADDRESS} is believed: rules by network, limits and the log can be fooled."
        );
        return check.fix(Fault::Visitor, sentence);
    }
    if asked.is_trusted_peer && !asked.names_visitor {
        let sentence = format!(
            "The proxy at {} does not say who its visitors are: rules by network refuse them all, and they share one limit.",
            asked.peer
        );
        return check.fix(Fault::Visitor, sentence);
    }
    check.ok(format!("The visit came from {}, and a forged address was not believed.", asked.client))
}

fn tells_what_it_must(facts: &Facts) -> Finding {
    let check = check(facts, "headers", "Doorward sees cookie and Authorization");
    let Some(asked) = &facts.script.question else { return check.skipped("The proxy did not ask.") };
    let lost: Vec<&str> =
        TOLD.iter().zip(asked.told).filter(|(_, is_told)| !is_told).map(|(name, _)| name.as_str()).collect();
    if lost.is_empty() {
        return check.ok("The visitor’s cookie, Authorization and Accept headers get here.");
    }
    let sentence = format!(
        "The proxy keeps back {}: nobody who signed in is recognized, or programs are taken for people.",
        lost.join(", ")
    );
    check.fix(Fault::Told, sentence)
}

fn passes_cookies(facts: &Facts) -> Finding {
    let check = check(facts, "set_cookie", "The cookie of an answer gets through");
    let (Some(answer), Some(asked)) = (&facts.plain.answer, &facts.plain.question) else {
        return check.skipped("The proxy did not ask.");
    };
    if asked.status == StatusCode::OK || asked.status == StatusCode::FORBIDDEN {
        return check.skipped("The rules leave nothing to sign in for.");
    }
    if answer.has_own_cookie() {
        return check.ok("A cookie that Doorward sets for the app reaches the browser.");
    }
    let sentence = "The proxy drops the Set-Cookie of Doorward’s answer: apps with a cookie of their own, and those of other domains, go in circles.";
    check.fix(Fault::SetCookie, sentence)
}

/// FWD-06
fn odd_paths(facts: &Facts) -> Finding {
    let check = check(facts, "paths", "Odd paths are told as they are");
    let (target, step) = &facts.odd;
    let asked = step.question.as_ref().and_then(|asked| Some((asked.dialect, asked.about.as_ref().ok()?)));
    match (asked, &step.answer) {
        // Envoy puts the path in order for the app as well.
        (Some((dialect, about)), _) if about.target != *target && dialect != Dialect::ExtAuthz => {
            let sentence = format!(
                "The visit was to {target}, but the question was about {}: a rule for a path can be got around.",
                about.target
            );
            check.fix(Fault::Address, sentence)
        }
        (None, Some(answer)) if answer.is_let_in() => {
            check.fix(Fault::DoesNotAsk, format!("{target} was let through without a question."))
        }
        _ => check.ok("A path with dots and encoded slashes is told as it was sent, or refused."),
    }
}

fn spellings(facts: &Facts) -> Finding {
    let check = check(facts, "host", "The host is one in every spelling");
    for (name, step) in &facts.spelled {
        let is_in = step.answer.as_ref().is_some_and(Answer::is_let_in);
        if is_in && step.question.is_none() {
            let sentence = format!(
                "As {name} the app opens without a question. Let the proxy refuse names that it does not serve."
            );
            return check.fix(Fault::Names, sentence);
        }
        let other = step.question.as_ref().and_then(|asked| asked.about.as_ref().ok());
        if let Some(other) = other.filter(|about| about.host != facts.host && about.host != *name) {
            return check.fix(Fault::Address, format!("As {name} the question is about {}.", other.host));
        }
    }
    check.ok("Capital letters, a dot at the end and unknown names open nothing.")
}

fn internal(facts: &Facts) -> Finding {
    let check = check(facts, "internal", "The question cannot be asked from outside");
    let asked = facts.internal.question.as_ref();
    // Doorward's own refusal came back, cookie and all, and not the proxy's.
    let is_open = asked.is_some_and(|asked| asked.dialect == Dialect::AuthRequest)
        && facts
            .internal
            .answer
            .as_ref()
            .is_some_and(|answer| answer.has_own_cookie() && answer.location().is_none());
    if is_open {
        let sentence =
            "Anybody can ask the proxy’s own question at /.doorward/check: its location is not internal.";
        return check.fix(Fault::Internal, sentence);
    }
    check.ok("The proxy keeps its question to itself.")
}

const NO_ECHO: &str =
    "What an app receives can be seen where Doorward itself is the app: see doorward doctor --help.";

fn web_sockets(facts: &Facts) -> Finding {
    let check = check(facts, "web_socket", "WebSockets get through, and only with a sign-in");
    let asked = facts.socket.question.as_ref();
    let answer = facts.socket.answer.as_ref();
    if asked.is_none() && answer.is_some_and(|answer| answer.status == StatusCode::SWITCHING_PROTOCOLS) {
        return check.fix(Fault::DoesNotAsk, "A WebSocket opens without a question.");
    }
    let Some(headers) = &facts.socket.app else { return check.skipped(NO_ECHO) };
    let is_upgrade =
        headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let is_connection = headers
        .get(header::CONNECTION)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().windows(7).any(|word| word == b"upgrade"));
    if is_upgrade && is_connection {
        return check.ok("The app gets the request to open a WebSocket.");
    }
    check.fix(
        Fault::WebSocket,
        "The app does not get the headers Upgrade and Connection: WebSockets do not open.",
    )
}

/// FWD-08, FWD-09
fn identity(facts: &Facts) -> Finding {
    let check = check(facts, "identity", "The app sees no claims of the client");
    let Some(headers) = &facts.forged.app else { return check.skipped(NO_ECHO) };
    let forged = headers.iter().find(|(_, value)| {
        let value = value.as_bytes();
        [FORGED_USER, FORGED_ADDRESS, FORGED_PATH].iter().any(|claim| contains(value, claim.as_bytes()))
    });
    // Our own edge takes these out and says so; other apps read them as Remote-User.
    let underscored = headers.contains_key(&HAD_UNDERSCORES).then_some("remote_user");
    let Some(name) = forged.map(|(name, _)| name.as_str()).or(underscored) else {
        return check.ok("No claim of the visit got as far as the app.");
    };
    let line = facts.proxy.and_then(|proxy| line_for_header(proxy, name, &facts.addresses));
    let sentence = format!(
        "The client’s own {} reaches the app: whoever sends it is taken for somebody else. Delete it.",
        spelled(name)
    );
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
    let check = check(facts, "portal", "The sign-in page is reached");
    let origin = &facts.addresses.portal_origin;
    match &facts.portal {
        Ok(StatusCode::OK) => check.ok(format!("{origin} answers.")),
        Ok(StatusCode::MISDIRECTED_REQUEST) => check.fix(
            Fault::PortalHost,
            format!(
                "{origin} reaches Doorward under another name: the proxy does not pass the Host header on."
            ),
        ),
        Ok(status) => check
            .fix(Fault::Portal, format!("{origin} answers {} instead of the sign-in page.", status.as_u16())),
        Err(why) => check.fix(Fault::Portal, format!("{origin} cannot be reached. {why}")),
    }
}

fn portal_questions(facts: &Facts) -> Finding {
    let check = check(facts, "portal_questions", "Nobody asks the proxy’s questions at the portal");
    let open = facts.portal_questions.iter().find(|(_, status)| {
        !matches!(*status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST)
    });
    match open {
        Some((path, _)) => check.fix(
            Fault::PortalQuestions,
            format!("Visitors can ask {}{path}: only the proxy should.", facts.addresses.portal_origin),
        ),
        None => check.ok("The addresses of the questions are closed there."),
    }
}

fn clock(facts: &Facts) -> Finding {
    let check = check(facts, "clock", "The clocks agree");
    let date = facts.plain.answer.as_ref().and_then(|answer| answer.headers.get(header::DATE));
    let Some(theirs) = date.and_then(|date| date.to_str().ok()).and_then(http_date) else {
        return check.skipped("The proxy does not say what time it has.");
    };
    let apart = facts.now.since(theirs).max(theirs.since(facts.now));
    if apart > MOST_SKEW {
        let sentence = format!(
            "The clocks of the proxy and of this machine are {} seconds apart: codes and sign-ins fail.",
            apart.as_secs()
        );
        return check.fix_by(Some("timedatectl set-ntp true".to_owned()), sentence);
    }
    check.ok("The proxy has the same time as this machine.")
}
