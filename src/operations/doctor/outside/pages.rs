//! The doctor's look from outside, for administrators: as a page and as JSON. A few a minute, because each is two dozen
//! requests to the proxy.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::{Look, Outside};
use crate::access::snippet::Proxy;
use crate::admin::Admin;
use crate::http::{Problem, Reply, Request};
use crate::limits::Rule;
use crate::operations::doctor::{Finding, Severity};
use crate::sessions::Principal;
use crate::views::Frame;
use crate::views::doctor as views;
use crate::views::{Check, CheckState, Choice, FieldErrors};
use crate::words::{Said, Words};

/// How often one administrator may look.
const LOOKS: Rule = Rule::new("doctor", 10, Duration::from_secs(300));
/// The choice that leaves the proxy to its answers.
const BY_ITSELF: &str = "auto";

/// What the handlers need beside the doctor.
pub struct Desk<'a> {
    /// The doctor.
    pub outside: &'a Outside,
    /// Administration, whose counters and frames these are.
    pub admin: &'a Admin,
    /// Where a proxy reaches Doorward.
    pub doorward: String,
}

/// `POST /api/v1/admin/doctor`: `{"host", "proxy"?}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookDto {
    host: String,
    #[serde(default)]
    proxy: Option<String>,
}

impl Desk<'_> {
    async fn look(
        &self,
        host: &str,
        proxy: Option<Proxy>,
        actor: &Principal,
    ) -> Result<Vec<Finding>, Problem> {
        let limits = &self.admin.limits;
        let verdict = limits.acquire(&LOOKS, &limits.key(&LOOKS, actor.session.as_bytes()));
        if !verdict.allowed {
            return Err(Problem::too_many_requests(
                "rate_limited",
                Said::of(Words::doctor_busy),
                verdict.retry_after,
            ));
        }
        let look = Look { host: host.to_owned(), proxy, address: None, doorward: self.doorward.clone() };
        let found = self.outside.examine(&look).await;
        found.map_err(|sentence| Problem::unprocessable("host", "invalid_value", sentence))
    }

    /// `POST /api/v1/admin/doctor`: answers `{"host", "findings": [...]}`.
    ///
    /// # Errors
    /// 422 for a host that is not protected here, 429.
    pub async fn look_api(&self, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
        let body: LookDto = request.json()?;
        let proxy = match body.proxy.as_deref() {
            None => None,
            Some(word) => Some(Proxy::parse(word).ok_or_else(|| {
                Problem::unprocessable("proxy", "invalid_value", "There are no lines for this proxy.")
            })?),
        };
        let findings = self.look(&body.host, proxy, actor).await?;
        let document = serde_json::json!({ "host": body.host, "findings": findings });
        Ok(Reply::json(StatusCode::OK, &document))
    }

    /// `GET /admin/doctor`.
    ///
    /// # Errors
    /// If the page cannot be made.
    pub fn show(&self, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
        self.page(self.frame(request, actor), ("", None), Vec::new(), None)
    }

    /// `POST /admin/doctor`.
    ///
    /// # Errors
    /// 429, or what makes no page.
    pub async fn submit(&self, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
        let (form, frame) = (request.form()?, self.frame(request, actor));
        let (host, proxy) = (form.text("host"), Proxy::parse(form.text("proxy")));
        match self.look(host, proxy, actor).await {
            Ok(findings) => self.page(frame, (host, proxy), findings, None),
            Err(problem) if !problem.fields.is_empty() => {
                self.page(frame, (host, proxy), Vec::new(), Some(problem))
            }
            Err(problem) => Err(problem),
        }
    }

    fn frame(&self, request: &Request, actor: &Principal) -> Frame {
        self.admin.frame(request, actor, request.words().doctor_title(), "doctor")
    }

    fn page(
        &self,
        frame: Frame,
        (host, proxy): (&str, Option<Proxy>),
        findings: Vec<Finding>,
        problem: Option<Problem>,
    ) -> Result<Reply, Problem> {
        let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
        let fields = problem.as_ref().map_or(&[][..], |problem| &problem.fields);
        let errors = FieldErrors::said(frame.t, fields);
        let mut proxies = vec![Choice::new(BY_ITSELF, frame.t.doctor_proxy_itself(), proxy.is_none())];
        let choice = |other: Proxy| Choice::new(other.as_str(), other.title(), proxy == Some(other));
        proxies.extend(Proxy::ALL.into_iter().map(choice));
        let words = frame.t;
        let page = views::Doctor {
            frame,
            host: host.to_owned(),
            example_host: self.outside.example_host(),
            proxies,
            checks: findings.into_iter().map(|finding| shown(finding, words)).collect(),
            errors,
        };
        Reply::html(status, &page)
    }
}

fn shown(finding: Finding, words: Words) -> Check {
    let state = match finding.severity {
        Severity::Ok => CheckState::Pass,
        Severity::Fix => CheckState::Fix,
        Severity::Skipped => CheckState::Skipped,
    };
    let mut check = Check::new(state, finding.title.in_words(words), finding.sentence.in_words(words));
    check.snippet = finding.line_to_paste.unwrap_or_default();
    check
}
