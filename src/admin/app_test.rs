//! The pages that tell how a sign-in to an app goes, and what the app learns by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::Admin;
use super::app_pages::{app_url, found, head};
use crate::http::{Problem, Reply, Request};
use crate::oidc::Oidc;
use crate::oidc::client::{AuthMethod, Client, ConsentMode};
use crate::oidc::params::Params;
use crate::oidc::rehearsal::{Fault, Rehearsed, Step, Untestable};
use crate::oidc::scopes::Scopes;
use crate::sessions::Principal;
use crate::views::apps as views;
use crate::views::apps::ClaimRow;
use crate::views::{Check, CheckState, Choice, FieldErrors};
use crate::words::{Said, Words};

/// `GET /admin/apps/{id}/test`.
pub async fn show_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let t = request.words();
    let result = room.oidc.rehearsed(actor, &client.id, request.now);
    let checks = result.as_deref().map(|result| checks(t, &client, actor, result)).unwrap_or_default();
    let uris = client.settings.redirect_uris.iter();
    let is_last = |uri: &String| {
        result.as_deref().and_then(|result| result.redirect_uri.as_ref()).is_some_and(|last| last == uri)
    };
    let page = views::AppTest {
        frame: room.frame(request, actor, &client.settings.name, "apps"),
        head: head(&client, "test", t),
        untestable: Oidc::untestable(&client).map_or("", |reason| why_not(reason, t)).to_owned(),
        redirect_uris: uris.map(|uri| Choice::new(uri.clone(), uri.clone(), is_last(uri))).collect(),
        is_fine: checks.iter().all(|check| check.state == CheckState::Pass),
        claims: result.map(|result| claim_rows(&result.id_token, &result.userinfo)).unwrap_or_default(),
        checks,
    };
    Reply::html(StatusCode::OK, &page)
}

fn why_not(reason: Untestable, t: Words) -> &'static str {
    match reason {
        Untestable::SwitchedOff => t.apps_untestable_off(),
        Untestable::NoCodes => t.apps_untestable_no_codes(),
        Untestable::OwnKey => t.apps_untestable_own_key(),
        Untestable::Pushes => t.apps_untestable_pushes(),
        Untestable::Bound => t.apps_untestable_bound(),
        Untestable::Encrypted => t.apps_untestable_encrypted(),
    }
}

/// `POST /admin/apps/{id}/test`: begins a rehearsal.
pub async fn start_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let form = request.form()?;
    let begun = room.oidc.begin_rehearsal(actor, &client, form.text("redirect_uri"), request.now);
    let refused =
        || Problem::unprocessable("redirect_uri", "invalid_value", Said::of(Words::apps_test_no_address));
    Ok(Reply::see_other(&begun.ok_or_else(refused)?))
}

/// `GET /admin/apps/{id}/test/done`: where the answer comes back.
pub async fn end_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let query = request.uri.query().unwrap_or_default();
    let answer = Params::parse(query.as_bytes())
        .map_err(|_| Problem::bad_request("malformed_query", Said::of(Words::errors_query_bad)))?;
    let over = || Problem::bad_request("test_over", Said::of(Words::apps_test_over));
    room.oidc.end_rehearsal(actor, &client, &answer, request.now).await?.ok_or_else(over)?;
    Ok(Reply::see_other(&format!("{}/test#result", app_url(&client))))
}

fn checks(t: Words, client: &Client, actor: &Principal, result: &Rehearsed) -> Vec<Check> {
    let check = |step: Step| {
        let (state, sentence) = match &result.failed {
            Some((at, fault)) if *at == step => (CheckState::Fix, in_words(t, client, fault)),
            // What was given is taken back, whatever came before.
            Some((at, _)) if *at < step && step != Step::End => {
                (CheckState::Skipped, t.apps_not_reached().to_owned())
            }
            _ if step == Step::End && result.tokens.is_empty() => {
                (CheckState::Skipped, t.apps_nothing_to_end().to_owned())
            }
            _ if step >= Step::IdToken && step < Step::End && result.id_token.is_empty() => {
                (CheckState::Skipped, t.apps_no_openid().to_owned())
            }
            _ => (CheckState::Pass, passed(t, client, actor, result, step)),
        };
        Check { state, label: label(step, t).to_owned(), sentence, snippet: String::new() }
    };
    Step::ALL.into_iter().map(check).collect()
}

fn label(step: Step, t: Words) -> &'static str {
    match step {
        Step::Request => t.apps_step_request(),
        Step::SignIn => t.apps_step_sign_in(),
        Step::Consent => t.apps_step_consent(),
        Step::Code => t.apps_step_code(),
        Step::Tokens => t.apps_step_tokens(),
        Step::IdToken => t.apps_step_id_token(),
        Step::Userinfo => t.apps_step_userinfo(),
        Step::End => t.apps_step_end(),
    }
}

fn passed(t: Words, client: &Client, actor: &Principal, result: &Rehearsed, step: Step) -> String {
    let sentence = match step {
        Step::Request => match &result.redirect_uri {
            Some(uri) => return t.apps_passed_request(&result.scopes, uri),
            None => t.apps_passed_request_plain(),
        },
        Step::SignIn => return t.apps_passed_sign_in(&actor.user.username),
        Step::Consent => match client.consent() {
            ConsentMode::Skip => t.apps_passed_consent_skip(),
            ConsentMode::Once => t.apps_passed_consent_once(),
            ConsentMode::Always => t.apps_passed_consent_always(),
        },
        Step::Code => t.apps_passed_code(),
        Step::Tokens => {
            let how = match client.settings.auth_method {
                AuthMethod::None => t.apps_how_none(),
                AuthMethod::Basic => t.apps_how_basic(),
                AuthMethod::Post => t.apps_how_post(),
                AuthMethod::Any | AuthMethod::PrivateKeyJwt => t.apps_how_any(),
            };
            let got = result.tokens.iter().map(|(kind, length)| t.apps_token_length(kind, length));
            return t.apps_passed_tokens(how, got.collect::<Vec<_>>().join(", "));
        }
        Step::IdToken => return t.apps_passed_id_token(client.settings.id_token_alg.as_str()),
        Step::Userinfo => t.apps_passed_userinfo(),
        Step::End => t.apps_passed_end(),
    };
    sentence.to_owned()
}

fn in_words(t: Words, client: &Client, fault: &Fault) -> String {
    match fault {
        Fault::NotAdmitted => t.apps_fault_not_admitted(&client.settings.name),
        Fault::SaidNo => t.apps_fault_said_no().to_owned(),
        Fault::Told(code, text) => t.apps_fault_told(code, text),
        Fault::Claim(name) => t.apps_fault_claim(name),
        Fault::StillGood => t.apps_fault_still_good().to_owned(),
    }
}

/// Puts the claims of both places into one list.
fn claim_rows(id_token: &Map<String, Value>, userinfo: &Map<String, Value>) -> Vec<ClaimRow> {
    let mut rows: BTreeMap<(&str, String), (bool, bool)> = BTreeMap::new();
    for (name, value) in id_token {
        rows.entry((name, shown(value))).or_default().0 = true;
    }
    for (name, value) in userinfo {
        rows.entry((name, shown(value))).or_default().1 = true;
    }
    let row = |((name, value), (in_id_token, in_userinfo)): ((&str, String), (bool, bool))| ClaimRow {
        name: name.to_owned(),
        value,
        in_id_token,
        in_userinfo,
    };
    rows.into_iter().map(row).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `GET /admin/apps/{id}/claims?user=…&scope=…`.
pub async fn show_claims(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let name = request.query("user").unwrap_or_default().trim().to_owned();
    let asked = asked_scopes(request, &client);
    let mut errors = FieldErrors::none();
    let user = if name.is_empty() { None } else { room.accounts.resolve(&name)? };
    if user.is_none() && !name.is_empty() {
        errors.push("user", request.words().apps_no_account(&name));
    }
    let mut page = views::AppClaims {
        frame: room.frame(request, actor, &client.settings.name, "apps"),
        head: head(&client, "claims", request.words()),
        user: name,
        scopes: client
            .settings
            .scopes
            .iter()
            .map(|scope| Choice::new(scope, scope, asked.has(scope)))
            .collect(),
        person: String::new(),
        is_admitted: false,
        claims: Vec::new(),
        errors,
    };
    if let Some(user) = user {
        let preview = room.oidc.preview(&client, &user, Some(&asked));
        let preview =
            preview.map_err(|error| Problem::internal(error.private.unwrap_or(error.description)))?;
        page.person = user.display_name.to_string();
        page.is_admitted = preview.is_admitted;
        page.claims = claim_rows(&preview.id_token, &preview.userinfo);
    }
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Reply::html(status, &page)
}

/// Returns the scopes of the question; all that the app may ask for, if none is named.
fn asked_scopes(request: &Request, client: &Arc<Client>) -> Scopes {
    let query = request.uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes());
    let named: Vec<String> =
        named.filter(|(name, _)| name == "scope").map(|(_, value)| value.into_owned()).collect();
    let allowed = &client.settings.scopes;
    if named.is_empty() { allowed.clone() } else { Scopes::new(named).within(allowed) }
}
