//! The authorization endpoint (RFC 6749 section 3.1, OIDC Core section 3.1.2) and the question whether an app may.
//!
//! A request is judged from scratch each time the browser comes with it, before and after signing in, so nothing about it
//! is kept meanwhile (SES-13).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::client::{Client, ConsentMode};
use super::consents::Question;
use super::decide::{Decision, Present, decide};
use super::error::OAuthError;
use super::par::Pushed;
use super::params::Params;
use super::records::Permission;
use super::request::{AuthorizationRequest, Destination, ResponseMode};
use super::{Oidc, marker, redirect_uri, rehearsal};
use crate::audit::{Event, Kind};
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::limits::Rule;
use crate::sessions::{Level, Principal};
use crate::sign_in::frames;
use crate::sign_in::{self, Destinations};
use crate::store::CommitError;
use crate::views::oidc as views;
use crate::views::sign_in::Message;
use crate::views::{Hidden, errors::ErrorPage};
use crate::words::{Said, Words, said};

/// Where the endpoint is.
pub const PATH: &str = "/oauth2/authorize";
/// The longest query: it has to survive as a return address through the pages of signing in.
const LONGEST_QUERY: usize = 6 * 1024;
/// Codes of one signed-in stay: far more than people open apps, and far less than another site could make a browser fetch
/// (RES-04).
const SIGN_INS: Rule = Rule::new("app-sign-in", 300, Duration::from_secs(300));
/// How often it is written down that somebody may not use an app: they may go on all day (AUD-06).
const REFUSALS: Rule = Rule::new("app-refusal", 1, Duration::from_secs(60));
/// How often a change is tried again when another request changed the same rows.
const TRIES: usize = 4;

/// What a person decided on the consent page.
struct Agreement {
    /// What the page asked.
    question: String,
    /// What they chose.
    is_allowed: bool,
}

/// A request with the client it is of and the destination of its answer.
struct Asked<'a> {
    client: Arc<Client>,
    destination: Destination,
    /// As they stand in the address of this page.
    outer: &'a Params,
    /// Those that count: pushed ones, if there are any.
    inner: Params,
    pushed: Option<Pushed>,
    /// What an administrator began a rehearsal with.
    rehearsal: Option<rehearsal::Ticket>,
}

/// `GET /oauth2/authorize`.
pub async fn show(room: &Oidc, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let query = request.uri.query().unwrap_or_default();
    if query.len() > LONGEST_QUERY {
        return error_page(room, request, request.words().oidc_too_long());
    }
    match Params::parse(query.as_bytes()) {
        Ok(params) => proceed(room, request, caller, &params, None).await,
        Err(error) => error_page(room, request, &error.description),
    }
}

/// `POST /oauth2/authorize`: the same by GET. The browser keeps our cookie back from what another site posts, and the
/// redirect makes it send the cookie again (decision 2).
pub async fn submit(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    match Params::parse(&request.body) {
        Ok(params) => Ok(Reply::see_other(&format!("{PATH}?{}", params.to_query()))),
        Err(error) => error_page(room, request, &error.description),
    }
}

/// `POST /oauth2/consent`: what the person decided.
pub async fn consent(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let params = Params::parse(form.text("request").as_bytes())
        .map_err(|_| Problem::bad_request("malformed_form", Said::of(Words::errors_form_damaged)))?;
    let agreement = Agreement {
        question: form.text("question").to_owned(),
        is_allowed: form.text("decision") == "allow",
    };
    proceed(room, request, Some(principal), &params, Some(agreement)).await
}

async fn proceed(
    room: &Oidc,
    request: &Request,
    caller: Option<&Principal>,
    params: &Params,
    agreement: Option<Agreement>,
) -> Result<Reply, Problem> {
    let mut asked = match room.read_destination(params, true, request.now).await? {
        Ok(asked) => asked,
        Err(why) => return error_page(room, request, &why.in_words(request.words())),
    };
    if params.all(rehearsal::NAME).next().is_some() {
        let both = (asked.outer, &asked.inner);
        asked.rehearsal = room.divert(&asked.client, both, &mut asked.destination, caller, request.now);
        if asked.rehearsal.is_none() {
            return error_page(room, request, request.words().apps_test_over());
        }
    }
    match judge(room, request, caller, &asked, agreement).await {
        Ok(reply) => Ok(reply),
        Err(Refusal::ToClient(error)) => refuse(room, request, &asked.destination, error),
        Err(Refusal::Here(problem)) => Err(problem),
    }
}

/// Where a refusal is shown.
enum Refusal {
    /// At the redirect URI, which has been checked.
    ToClient(OAuthError),
    /// On a page of ours.
    Here(Problem),
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Refusal::ToClient(error)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Here(problem)
    }
}

async fn judge(
    room: &Oidc,
    request: &Request,
    caller: Option<&Principal>,
    asked: &Asked<'_>,
    agreement: Option<Agreement>,
) -> Result<Reply, Refusal> {
    let client = &asked.client;
    let is_pushed = asked.pushed.is_some();
    let mut wanted = AuthorizationRequest::read(client, asked.destination.clone(), &asked.inner, is_pushed)?;
    // The guard of the other pages passes this one over: the policy may demand more than the session proved.
    if caller.is_some_and(|principal| room.sessions.falls_short(principal)) {
        (wanted.level, wanted.is_level_essential) = (Level::TwoFactor, true);
    }
    if agreement.as_ref().is_some_and(|agreement| !agreement.is_allowed) {
        if let Some(pushed) = &asked.pushed {
            room.use_pushed(pushed).await?;
        }
        return Err(OAuthError::new("access_denied", "The person said no.").into());
    }
    // What they agreed to is what the page showed, and nothing that was added since.
    let question = room.question(client, &wanted.scopes, &wanted.claims, &wanted.resources);
    let consents_now = agreement.is_some_and(|agreement| agreement.question == question.to_text());
    let asked_at = room.asked_at(asked.outer, request.now);
    let present = match caller {
        Some(principal) => Some(room.present(principal, client, &wanted, &question, consents_now)?),
        None => None,
    };
    match decide(&wanted, client.consent(), present.as_ref(), asked_at, request.now) {
        Decision::Refuse(error) => Err(error.into()),
        Decision::SignIn(again) => Ok(to_sign_in(room, request, asked, again)),
        Decision::StepUp => {
            let next = here(&marked(room, request, asked));
            Ok(Reply::see_other(&with_query("/step-up", &[("next", &next)])))
        }
        Decision::Enrol => Ok(message(room, request, caller, needs_factor(request.words(), client))?),
        Decision::NotAdmitted => Ok(not_admitted(room, request, caller, asked)?),
        Decision::Consent => match caller {
            Some(principal) => Ok(consent_page(room, request, principal, asked, &wanted, &question)?),
            None => Ok(to_sign_in(room, request, asked, false)),
        },
        Decision::Grant => match caller {
            Some(principal) => {
                room.give_code(request, principal, asked, &wanted, (&question, consents_now)).await
            }
            None => Ok(to_sign_in(room, request, asked, false)),
        },
    }
}

/// Returns the address of this request on our own server.
fn here(params: &Params) -> String {
    format!("{PATH}?{}", params.to_query())
}

fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// Returns the request with a mark that says when a fresh proof was first asked for.
fn marked(room: &Oidc, request: &Request, asked: &Asked<'_>) -> Params {
    let mark =
        match asked.outer.once(marker::NAME).filter(|_| room.asked_at(asked.outer, request.now).is_some()) {
            Some(mark) => mark.to_owned(),
            None => room.mark(asked.outer, request.now),
        };
    let mut pairs: Vec<(String, String)> = asked
        .outer
        .pairs()
        .filter(|(name, _)| *name != marker::NAME)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.push((marker::NAME.to_owned(), mark));
    Params::from(pairs)
}

/// Leads to the sign-in page and back.
fn to_sign_in(room: &Oidc, request: &Request, asked: &Asked<'_>, again: bool) -> Reply {
    let back = here(&marked(room, request, asked));
    let mut query = vec![("rd", back.as_str())];
    if again {
        query.push(("again", "1"));
    }
    if let Some(hint) = asked.inner.get("login_hint") {
        query.push(("login_hint", hint));
    }
    Reply::see_other(&with_query("/signin", &query))
}

impl Oidc {
    /// Finds client and destination of a request; with `opens` a pushed request counts as brought by a browser. The
    /// sentence in the inner error is for our own page: nothing may be redirected (OA-03).
    async fn read_destination<'a>(
        &self,
        params: &'a Params,
        opens: bool,
        now: crate::kernel::time::Timestamp,
    ) -> Result<Result<Asked<'a>, Said>, Problem> {
        let client = params.once("client_id").and_then(|id| self.client(id));
        let Some(client) = client else {
            return Ok(Err(Said::of(Words::oidc_app_unknown)));
        };
        if client.settings.is_disabled {
            return Ok(Err({
                let name = client.settings.name.clone();
                said(move |t| t.oidc_app_off(&name))
            }));
        }
        let (inner, pushed) = match params.once("request_uri") {
            Some(uri) if Pushed::is_reference(uri) => {
                match self.open_pushed(&client, uri, opens, now).await? {
                    Some((inner, pushed)) => (inner, Some(pushed)),
                    None => {
                        return Ok(Err(Said::of(Words::oidc_pushed_unknown)));
                    }
                }
            }
            _ => (Params::from(own_pairs(params)), None),
        };
        Ok(Destination::read(&client, &inner).map(|destination| Asked {
            client,
            destination,
            outer: params,
            inner,
            pushed,
            rehearsal: None,
        }))
    }

    /// Gathers what the decision rests on.
    fn present(
        &self,
        principal: &Principal,
        client: &Client,
        wanted: &AuthorizationRequest,
        question: &Question,
        consents_now: bool,
    ) -> Result<Present, OAuthError> {
        let user = &principal.user;
        let profile = self.profile(user)?;
        let sub = self.subject(user, profile.as_ref());
        let hinted = match &wanted.id_token_hint {
            None => None,
            Some(token) => {
                let hint = self.read_hint(token).filter(|hint| hint.client_id == client.id.as_str());
                Some(hint.ok_or_else(|| {
                    OAuthError::invalid_request(
                        "The id_token_hint is no id_token that this client was given here.",
                    )
                })?)
            }
        };
        let is_other = |name: &String| *name != sub;
        let is_somebody_else =
            wanted.sub.as_ref().is_some_and(is_other) || hinted.is_some_and(|hint| is_other(&hint.sub));
        let is_asked = client.consent() != ConsentMode::Skip || wanted.prompt.consent;
        Ok(Present {
            level: principal.level(),
            resists_phishing: principal.factors.resists_phishing(),
            authenticated_at: principal.authenticated_at,
            has_second_factor: user.has_second_factor(),
            has_passkey: user.passkeys > 0,
            is_somebody_else,
            is_admitted: client.admits(user),
            has_consented: is_asked && self.has_consented(&user.id, &client.id, question)?,
            consents_now,
        })
    }

    /// Gives the client a code: one commit with the consent, the end of the pushed request and the audit event.
    async fn give_code(
        &self,
        request: &Request,
        principal: &Principal,
        asked: &Asked<'_>,
        wanted: &AuthorizationRequest,
        (question, consents_now): (&Question, bool),
    ) -> Result<Reply, Refusal> {
        let (client, user) = (&asked.client, &principal.user);
        let key = self.limits.key(&SIGN_INS, principal.sid.as_bytes());
        if !self.has_room_for_grant() || !self.limits.acquire(&SIGN_INS, &key).allowed {
            return Err(OAuthError::new(
                "temporarily_unavailable",
                "Too many apps are being opened. Try again in a few minutes.",
            )
            .into());
        }
        for _ in 0..TRIES {
            let mut batch = self.store.batch();
            self.sessions.stage_require_live(&mut batch, principal)?;
            if let Some(ticket) = &asked.rehearsal {
                if !self.stage_use_ticket(&mut batch, ticket).map_err(OAuthError::from)? {
                    return Err(Problem::bad_request("request_used", Said::of(Words::apps_test_used)).into());
                }
            } else {
                self.stage_use(&mut batch, &client.id, request.now);
            }
            if consents_now && asked.rehearsal.is_none() {
                self.stage_consent(&mut batch, &user.id, &client.id, question).map_err(OAuthError::from)?;
            }
            if let Some(pushed) = &asked.pushed
                && !self.stage_use_pushed(&mut batch, pushed).map_err(OAuthError::from)?
            {
                return Err(Problem::bad_request("request_used", Said::of(Words::oidc_request_used)).into());
            }
            let permission = Permission {
                client: client.id.clone(),
                user: user.id,
                sid: principal.sid,
                scopes: wanted.scopes.clone(),
                resources: wanted.resources.clone(),
                claims: wanted.claims.within(&question.scopes, &self.custom_scopes()),
                factors: principal.factors,
                authenticated_at: principal.authenticated_at,
                given_at: request.now.max(user.not_before.plus(Duration::from_millis(1))),
                jkt: wanted.dpop_jkt.clone(),
            };
            let code = self.stage_code(&mut batch, wanted, permission, request.now);
            let mut event =
                Event::succeeded(Kind::AppSignedIn).by(user.id, &user.username).on(client.id.as_str());
            if asked.rehearsal.is_some() {
                event = event.detail("by", "test");
            }
            self.audit.write(&mut batch, event.from(request.client.ip).request(request.id));
            match self.store.commit(batch).await {
                Ok(()) => return Ok(answer_code(self, request, &asked.destination, &code)?),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(OAuthError::from(error).into()),
            }
        }
        Err(OAuthError::from(CommitError::Conflict).into())
    }
}

/// Leaves out what only we put there.
fn own_pairs(params: &Params) -> Vec<(String, String)> {
    params
        .pairs()
        .filter(|(name, _)| ![marker::NAME, rehearsal::NAME].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn answer_code(
    room: &Oidc,
    request: &Request,
    to: &Destination,
    code: &SecretText,
) -> Result<Reply, Problem> {
    respond(room, request, to, vec![("code", code.expose().clone())])
}

/// Tells the client why not (RFC 6749 section 4.1.2.1).
fn refuse(room: &Oidc, request: &Request, to: &Destination, error: OAuthError) -> Result<Reply, Problem> {
    if let Some(cause) = &error.private {
        tracing::error!(code = error.code, cause, "an authorization request failed");
    }
    respond(
        room,
        request,
        to,
        vec![("error", error.code.to_owned()), ("error_description", error.description)],
    )
}

/// Sends an answer to the destination, with the issuer that gave it (RFC 9207, OA-07).
fn respond(
    room: &Oidc,
    request: &Request,
    to: &Destination,
    mut answer: Vec<(&'static str, String)>,
) -> Result<Reply, Problem> {
    answer.extend(to.state.iter().map(|state| ("state", state.clone())));
    answer.push(("iss", room.issuer()));
    match to.mode {
        ResponseMode::Query => Ok(Reply::see_other(&with_answer(to.answer_uri(), &answer))),
        ResponseMode::FormPost => {
            let page = views::FormPost {
                frame: frames::anonymous(&room.site, request, request.words().oidc_form_post_title()),
                action: to.redirect_uri.clone(),
                fields: answer.into_iter().map(|(name, value)| Hidden { name, value }).collect(),
            };
            let reply = Reply::html(StatusCode::OK, &page)?;
            Ok(with_form_target(reply, &to.redirect_uri))
        }
    }
}

/// Adds parameters to a redirect URI; a query it has already stays as it is.
fn with_answer(uri: &str, answer: &[(&'static str, String)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{query}")
}

fn with_form_target(reply: Reply, uri: &str) -> Reply {
    match redirect_uri::form_target(uri) {
        Some(target) => reply.with_form_target(target),
        None => reply,
    }
}

/// Shows an error that no app may be told of (OA-03).
pub(super) fn error_page(room: &Oidc, request: &Request, why: &str) -> Result<Reply, Problem> {
    let mut frame = frames::anonymous(&room.site, request, "");
    // What was refused is not repeated, not even in a hidden field.
    frame.here = "/".to_owned();
    let mut page = ErrorPage::for_status(frame, 400, request.id.to_string());
    why.clone_into(&mut page.sentence);
    Reply::html(StatusCode::BAD_REQUEST, &page)
}

/// A sentence, and a way on.
struct Notice {
    title: &'static str,
    text: String,
    button: String,
    url: String,
}

fn needs_factor(t: Words, client: &Client) -> Notice {
    Notice {
        title: t.signin_one_more_step(),
        text: t.oidc_needs_factor(&client.settings.name),
        button: t.signin_set_up_app().to_owned(),
        url: "/account/totp".to_owned(),
    }
}

fn not_admitted(
    room: &Oidc,
    request: &Request,
    caller: Option<&Principal>,
    asked: &Asked<'_>,
) -> Result<Reply, Problem> {
    let (name, t) = (&asked.client.settings.name, request.words());
    if let Some(principal) = caller {
        let key = [principal.user.id.as_bytes(), asked.client.id.as_str().as_bytes()].concat();
        let is_news = room.limits.acquire(&REFUSALS, &room.limits.key(&REFUSALS, &key)).allowed;
        let event = Event::refused(Kind::AppRefused).by(principal.user.id, &principal.user.username);
        if is_news {
            room.audit.note(event.on(asked.client.id.as_str()).from(request.client.ip).request(request.id));
        }
    }
    if asked.destination.mode == ResponseMode::FormPost {
        let error = OAuthError::new("access_denied", "This person may not use the app.");
        return refuse(room, request, &asked.destination, error);
    }
    let mut answer = vec![("error", "access_denied".to_owned())];
    answer.extend(asked.destination.state.iter().map(|state| ("state", state.clone())));
    answer.push(("iss", room.issuer()));
    let notice = Notice {
        title: t.oidc_not_admitted_title(),
        text: t.oidc_not_admitted(name),
        button: t.oidc_back_to(name),
        url: with_answer(asked.destination.answer_uri(), &answer),
    };
    message(room, request, caller, notice)
}

fn message(
    room: &Oidc,
    request: &Request,
    caller: Option<&Principal>,
    notice: Notice,
) -> Result<Reply, Problem> {
    let mut frame = match caller {
        Some(principal) => frames::personal(&room.site, &room.sessions, request, principal, notice.title, ""),
        None => frames::anonymous(&room.site, request, notice.title),
    };
    frame.viewer = None;
    let page = Message { frame, text: notice.text, button: notice.button, url: notice.url };
    Reply::html(StatusCode::FORBIDDEN, &page)
}

fn consent_page(
    room: &Oidc,
    request: &Request,
    principal: &Principal,
    asked: &Asked<'_>,
    wanted: &AuthorizationRequest,
    question: &Question,
) -> Result<Reply, Problem> {
    let client = &asked.client;
    let title = request.words().oidc_allow_title(&client.settings.name);
    let mut frame = frames::personal(&room.site, &room.sessions, request, principal, &title, "");
    frame.viewer = None;
    let page = views::Consent {
        frame,
        client_name: client.settings.name.clone(),
        initials: client.settings.initials.clone(),
        leads_to: leads_to(request.words(), &wanted.destination.redirect_uri),
        registered_itself: client.registered_itself,
        display_name: principal.user.display_name.to_string(),
        username: principal.user.username.to_string(),
        items: room.items(request.words(), &principal.user, &question.scopes)?,
        is_asked_once: client.consent() == ConsentMode::Once && !wanted.prompt.consent,
        resources: wanted.resources.clone(),
        action: "/oauth2/consent".to_owned(),
        request: asked.outer.to_query(),
        question: question.to_text(),
        switch_url: with_query("/signin", &[("rd", &here(asked.outer)), ("again", "1")]),
    };
    let reply = Reply::html(StatusCode::OK, &page)?;
    Ok(with_form_target(reply, wanted.destination.answer_uri()))
}

/// The host that a browser is sent to, for people to compare.
fn leads_to(t: Words, uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => url.host_str().unwrap_or_default().to_owned(),
        Ok(url) => t.oidc_leads_to_device(url.scheme()),
        Err(_) => String::new(),
    }
}

/// The pages of signing in name the app that waits, and let their forms lead to it.
impl Destinations for Oidc {
    fn describe(&self, target: &Url) -> Option<sign_in::Destination> {
        if !matches!(target.path(), PATH | "/api/oidc/authorization") {
            return None;
        }
        let params = Params::parse(target.query()?.as_bytes()).ok()?;
        let client = self.client(params.once("client_id")?)?;
        let inner = match params.once("request_uri") {
            Some(uri) if Pushed::is_reference(uri) => self.peek_pushed(&client, uri)?,
            _ => params,
        };
        let destination = Destination::read(&client, &inner).ok()?;
        Some(sign_in::Destination {
            name: client.settings.name.clone(),
            form_targets: redirect_uri::form_target(&destination.redirect_uri).into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_joins_the_query_that_is_there() {
        let answer = [("code", "a b".to_owned()), ("iss", "https://x".to_owned())];
        assert_eq!(with_answer("https://a/cb", &answer), "https://a/cb?code=a+b&iss=https%3A%2F%2Fx");
        assert_eq!(with_answer("https://a/cb?x=1", &answer), "https://a/cb?x=1&code=a+b&iss=https%3A%2F%2Fx");
        assert_eq!(with_answer("https://a/cb?", &answer), "https://a/cb?code=a+b&iss=https%3A%2F%2Fx");
        assert_eq!(
            with_answer("app.immich:///oauth-callback", &answer),
            "app.immich:///oauth-callback?code=a+b&iss=https%3A%2F%2Fx"
        );
    }
}
