//! The doctor's look from outside: visits to a protected host through its proxy, as a browser, a script and a forger
//! would make them, and what of them arrives here. Nobody is signed in, nothing is changed, and no visit carries a
//! secret that is worth anything.
//!
//! The visits go to `/doorward-probe-TOKEN/NUMBER`; the token of the run ties the proxy's questions to them. What an app
//! receives can only be seen where Doorward itself is the app: a host whose proxy configuration passes requests on to
//! Doorward, with the rule `bypass domain=HOST path=^/doorward-probe-`. Such requests are noted and answered 204, while a
//! run is under way and its token is in the path.

mod findings;
mod lines;
pub mod pages;
mod probes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use url::Url;

use super::Finding;
use crate::access::Dialect;
use crate::access::domain::normal_host;
use crate::access::snippet::{Addresses, Proxy};
use crate::http::outgoing::{Outgoing, OutgoingError, Visit, Visited, certificate};
use crate::http::{Reply, Request};
use crate::kernel::random::Random;
use crate::kernel::time::SharedClock;
use crate::site::Site;
use crate::words::{Said, Words, said};
use findings::{Answer, FORGED_ADDRESS, FORGED_PATH, FORGED_USER, Facts, Step};
use probes::{Arrival, Probes};

/// Where the questions of proxies are answered.
const QUESTIONS: [&str; 4] =
    ["/api/authz/auth-request", "/api/authz/forward-auth", "/api/authz/ext-authz/", "/api/verify"];
/// The longest run.
const PATIENCE: Duration = Duration::from_secs(45);
const PAGE: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

/// How to look at a host.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The host, such as `photos.home.example`.
    pub host: String,
    /// The proxy, if its answers do not tell.
    pub proxy: Option<Proxy>,
    /// Where to connect to instead of the addresses of the host.
    pub address: Option<SocketAddr>,
    /// Where a proxy reaches Doorward, for the lines to paste.
    pub doorward: String,
}

/// The part of the doctor that lives in the server.
pub struct Outside {
    site: Site,
    outgoing: Outgoing,
    random: Random,
    clock: SharedClock,
    probes: Probes,
}

impl Outside {
    /// Makes one.
    pub fn new(site: Site, outgoing: Outgoing, random: Random, clock: SharedClock) -> Self {
        Outside { site, outgoing, random, clock, probes: Probes::default() }
    }

    /// Notes the question of a proxy, if it is about a visit of the doctor.
    pub fn note_question(&self, dialect: Dialect, request: &Request, reply: &mut Reply) {
        self.probes.note_question(dialect, request, reply);
    }

    /// Answers a visit of the doctor that came as far as the app.
    pub fn note_app(&self, request: &Request) -> Option<Reply> {
        self.probes.note_app(request)
    }

    fn example_host(&self) -> String {
        let domain = self.site.protected_domain();
        format!("photos.{}", domain.as_deref().unwrap_or("home.example"))
    }

    /// Looks at a host and returns what was found, the most important first.
    ///
    /// # Errors
    /// A sentence, if the host is none below the protected domains, or too many runs are under way.
    pub async fn examine(&self, look: &Look) -> Result<Vec<Finding>, Said> {
        let typed = look.host.trim();
        let host = normal_host(typed)
            .filter(|host| self.site.is_protected_host(host))
            .ok_or_else(|| {
                let host = typed.to_owned();
                said(move |t| t.doctor_foreign_host(&host))
            })?
            .into_owned();
        let origin = self.site.origin();
        let portal = Url::parse(&origin.text).map_err(|_| Said::of(Words::doctor_no_address))?;
        if portal.scheme() != "https" {
            return Err(Said::of(Words::doctor_no_https));
        }
        let token = self.probes.begin(&self.random).ok_or_else(|| Said::of(Words::doctor_full))?;
        let under_way = UnderWay { probes: &self.probes, token: &token };
        let run = Run { outside: self, look, token: &token, host, portal, origin: origin.text };
        let facts = tokio::time::timeout(PATIENCE, run.gather()).await;
        drop(under_way);
        let facts = facts.map_err(|_| Said::of(Words::doctor_too_slow))?;
        Ok(findings::examine(&facts))
    }
}

/// Ends a run, also when nobody waits for it any more.
struct UnderWay<'a> {
    probes: &'a Probes,
    token: &'a str,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.probes.end(self.token);
    }
}

struct Run<'a> {
    outside: &'a Outside,
    look: &'a Look,
    token: &'a str,
    host: String,
    portal: Url,
    origin: String,
}

impl Run<'_> {
    fn port(&self) -> u16 {
        // Apps are served where Doorward is.
        self.portal.port_or_known_default().unwrap_or(443)
    }

    fn authority_of(&self, name: &str) -> String {
        match self.portal.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        }
    }

    async fn gather(&self) -> Facts {
        let authority = self.authority_of(&self.host);
        let target = format!("{}?a=b%20c&d=%2F", probes::path(self.token, 0));
        let mut facts = Facts {
            host: self.host.clone(),
            authority,
            addresses: Addresses {
                portal_origin: self.origin.clone(),
                doorward: self.look.doorward.clone(),
                host: self.host.clone(),
                app: "http://127.0.0.1:3000".to_owned(),
            },
            proxy: self.look.proxy,
            now: self.outside.clock.now(),
            reached: Ok(None),
            target,
            plain: Step::default(),
            script: Step::default(),
            forged: Step::default(),
            socket: Step::default(),
            spelled: Vec::new(),
            odd: (String::new(), Step::default()),
            internal: Step::default(),
            portal_questions: Vec::new(),
            portal: Ok(StatusCode::OK),
        };
        let plain = self.visit(0, &facts.target, &facts.authority, &[PAGE]).await;
        facts.reached = match &plain {
            Ok(visited) => Ok(certificate::not_after(&visited.certificate)),
            Err(error) => Err(error.clone().said()),
        };
        if let (Ok(visited), None) = (&plain, facts.proxy) {
            facts.proxy = lines::recognize(&visited.headers);
        }
        facts.plain = self.step(0, plain);
        if facts.reached.is_ok() {
            self.gather_the_rest(&mut facts).await;
        }
        facts
    }

    async fn gather_the_rest(&self, facts: &mut Facts) {
        let authority = facts.authority.clone();
        let told = [
            ("accept", "application/json"),
            ("x-requested-with", "XMLHttpRequest"),
            ("authorization", "Doorward-Doctor none"),
            ("cookie", "doorward_probe=1"),
        ];
        facts.script = self.own(1, &authority, &told).await;
        facts.forged = self.own(2, &authority, &forged_headers()).await;
        let socket = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "ZG9vcndhcmQtZG9jdG9yIQ=="),
        ];
        facts.socket = self.own(3, &authority, &socket).await;
        let unknown = format!("doorward-unknown.{}", self.host);
        for (number, name) in
            [(4, self.host.to_ascii_uppercase()), (5, format!("{}.", self.host)), (6, unknown)]
        {
            let step = self.own(number, &self.authority_of(&name), &[PAGE]).await;
            facts.spelled.push((name, step));
        }
        let odd = format!("{}/%2e%2e/x%2Fy//z?q=%2F..", probes::path(self.token, 7));
        let step = self.visit(7, &odd, &authority, &[PAGE]).await;
        facts.odd = (odd, self.step(7, step));
        let internal = format!("/.doorward/check?{}", probes::path(self.token, 8));
        let step = self.visit(8, &internal, &authority, &[PAGE]).await;
        facts.internal = self.step(8, step);
        for path in QUESTIONS {
            if let Ok(visited) = self.visit_portal(path).await {
                facts.portal_questions.push((path, visited.status));
            }
        }
        facts.portal = match self.visit_portal("/signin").await {
            Ok(visited) => Ok(visited.status),
            Err(error) => Err(error.said()),
        };
    }

    /// Makes a visit to the path of its number.
    async fn own(&self, number: usize, host: &str, headers: &[(&str, &str)]) -> Step {
        let visited = self.visit(number, &probes::path(self.token, number), host, headers).await;
        self.step(number, visited)
    }

    async fn visit(
        &self,
        number: usize,
        target: &str,
        host: &str,
        headers: &[(&str, &str)],
    ) -> Result<Visited, OutgoingError> {
        let mark = probes::path(self.token, number);
        let mut headers = headers.to_vec();
        headers.push((probes::PROBE.as_str(), &mark));
        let visit = Visit {
            name: &self.host,
            port: self.port(),
            address: self.look.address,
            method: Method::GET,
            target,
            host,
            headers: &headers,
        };
        self.outside.outgoing.visit(&visit).await
    }

    async fn visit_portal(&self, target: &str) -> Result<Visited, OutgoingError> {
        let name = self.portal.host_str().unwrap_or_default();
        let visit = Visit {
            name,
            port: self.port(),
            address: self.look.address,
            method: Method::GET,
            target,
            host: &self.authority_of(name),
            headers: &[PAGE],
        };
        self.outside.outgoing.visit(&visit).await
    }

    /// Joins an answer with what arrived here.
    fn step(&self, number: usize, visited: Result<Visited, OutgoingError>) -> Step {
        let mut step = Step::default();
        if let Ok(visited) = visited {
            let Visited { status, headers, is_empty, .. } = visited;
            step.answer = Some(Answer { status, headers, is_empty });
        }
        for arrival in self.outside.probes.arrivals(self.token, number) {
            match arrival {
                Arrival::Question(asked) => step.question = Some(asked),
                Arrival::App(headers) => step.app = Some(headers),
            }
        }
        step
    }
}

/// What a forger would send. The names are those that apps read, and mean nothing: no app has such a user.
fn forged_headers() -> Vec<(&'static str, &'static str)> {
    let mut headers = vec![
        PAGE,
        ("x-forwarded-for", FORGED_ADDRESS),
        ("x-real-ip", FORGED_ADDRESS),
        ("x-original-url", "https://forged.invalid/doorward-forged"),
        ("x-forwarded-uri", FORGED_PATH),
        ("x-forwarded-prefix", FORGED_PATH),
        ("x-rewrite-url", FORGED_PATH),
    ];
    for name in [
        "remote-user",
        "remote-groups",
        "remote-name",
        "remote-email",
        "remote_user",
        "remote_groups",
        "remote.user",
    ] {
        headers.push((name, FORGED_USER));
    }
    headers
}
