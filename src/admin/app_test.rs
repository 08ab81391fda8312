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
use crate::views::{Check, CheckState, Choice, FieldErrors, When};

/// `GET /admin/apps/{id}/test`.
pub async fn show_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let result = room.oidc.rehearsed(actor, &client.id, request.now);
    let checks = result.as_deref().map(|result| checks(&client, actor, result)).unwrap_or_default();
    let uris = client.settings.redirect_uris.iter();
    let is_last = |uri: &String| {
        result.as_deref().and_then(|result| result.redirect_uri.as_ref()).is_some_and(|last| last == uri)
    };
    let page = views::AppTest {
        frame: room.frame(request, actor, &client.settings.name, "apps"),
        head: head(&client, "test"),
        untestable: Oidc::untestable(&client).map_or("", why_not).to_owned(),
        redirect_uris: uris.map(|uri| Choice::new(uri.clone(), uri.clone(), is_last(uri))).collect(),
        is_fine: checks.iter().all(|check| check.state == CheckState::Pass),
        claims: result.map(|result| claim_rows(&result.id_token, &result.userinfo)).unwrap_or_default(),
        checks,
    };
    Reply::html(StatusCode::OK, &page)
}

fn why_not(reason: Untestable) -> &'static str {
    match reason {
        Untestable::SwitchedOff => "The app is switched off. Switch it on first.",
        Untestable::NoCodes => "Nobody signs in to this app with a browser, so there is nothing to try.",
        Untestable::OwnKey => {
            "This app proves itself with a private key that only it has (private_key_jwt), so Doorward cannot take its place. Try it from the app."
        }
        Untestable::Pushes => {
            "This app must push its requests (FAPI 2.0), which only the app itself can. Try it from the app."
        }
        Untestable::Bound => {
            "The tokens of this app are bound to a key that only it has (DPoP), so Doorward cannot take its place. Try it from the app."
        }
        Untestable::Encrypted => {
            "What this app is told is encrypted for a key that only it has, so Doorward could not read it. Try it from the app."
        }
    }
}

/// `POST /admin/apps/{id}/test`: begins a rehearsal.
pub async fn start_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let form = request.form()?;
    let begun = room.oidc.begin_rehearsal(actor, &client, form.text("redirect_uri"), request.now);
    let refused = || {
        Problem::unprocessable(
            "redirect_uri",
            "invalid_value",
            "The app takes codes at none of these addresses.",
        )
    };
    Ok(Reply::see_other(&begun.ok_or_else(refused)?))
}

/// `GET /admin/apps/{id}/test/done`: where the answer comes back.
pub async fn end_test(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let client = found(room, request)?;
    let query = request.uri.query().unwrap_or_default();
    let answer = Params::parse(query.as_bytes())
        .map_err(|error| Problem::bad_request("malformed_query", error.description))?;
    let over =
        || Problem::bad_request("test_over", "This test is over. Start it again from the page of the app.");
    room.oidc.end_rehearsal(actor, &client, &answer, request.now).await?.ok_or_else(over)?;
    Ok(Reply::see_other(&format!("{}/test#result", app_url(&client))))
}

fn checks(client: &Client, actor: &Principal, result: &Rehearsed) -> Vec<Check> {
    let failed = result.failed.as_ref().map(|(step, _)| *step);
    let check = |step: Step| {
        let (state, sentence) = match (&result.failed, failed) {
            (Some((at, fault)), _) if *at == step => (CheckState::Fix, in_words(client, fault)),
            // What was given is taken back, whatever came before.
            (Some((at, _)), _) if *at < step && step != Step::End => {
                (CheckState::Skipped, "It did not come to that.".to_owned())
            }
            _ if step == Step::End && result.tokens.is_empty() => {
                (CheckState::Skipped, "There was nothing to take back.".to_owned())
            }
            _ if step >= Step::IdToken && step < Step::End && result.id_token.is_empty() => (
                CheckState::Skipped,
                "The app does not ask for openid, so it gets an access token only.".to_owned(),
            ),
            _ => (CheckState::Pass, passed(client, actor, result, step)),
        };
        Check { state, label: label(step).to_owned(), sentence, snippet: String::new() }
    };
    Step::ALL.into_iter().map(check).collect()
}

fn label(step: Step) -> &'static str {
    match step {
        Step::Request => "Request accepted",
        Step::SignIn => "Signed in",
        Step::Consent => "Consent",
        Step::Code => "Code",
        Step::Tokens => "Token exchange",
        Step::IdToken => "ID token verified",
        Step::Userinfo => "Userinfo",
        Step::End => "Tokens taken back",
    }
}

fn passed(client: &Client, actor: &Principal, result: &Rehearsed, step: Step) -> String {
    let settings = &client.settings;
    match step {
        Step::Request => match &result.redirect_uri {
            Some(uri) => format!("{uri} is an address of the app, and it asked for: {}.", result.scopes),
            None => "The request is one that the app may send.".to_owned(),
        },
        Step::SignIn => format!(
            "As {}, who proved themself on {}.",
            actor.user.username,
            When::from(actor.authenticated_at).text
        ),
        Step::Consent => match client.consent() {
            ConsentMode::Skip => "Nobody is asked: the app belongs to the house.".to_owned(),
            ConsentMode::Once => {
                "You agreed. People are asked once; your answer in this test is not kept.".to_owned()
            }
            ConsentMode::Always => {
                "You agreed. People are asked at every sign-in; your answer in this test is not kept."
                    .to_owned()
            }
        },
        Step::Code => "The app would have got a code, good once and for a minute.".to_owned(),
        Step::Tokens => {
            let how = match settings.auth_method {
                AuthMethod::None => "The app is public and proves itself with PKCE.",
                AuthMethod::Basic => "The app has to send its secret in the header (client_secret_basic).",
                AuthMethod::Post => "The app has to send its secret in the form (client_secret_post).",
                AuthMethod::Any | AuthMethod::PrivateKeyJwt => {
                    "The app may send its secret in the header or in the form."
                }
            };
            let got: Vec<String> =
                result.tokens.iter().map(|(kind, length)| format!("{kind} ({length} characters)")).collect();
            format!("Got {}. {how}", got.join(", "))
        }
        Step::IdToken => {
            format!(
                "Signed with {} by a published key; issuer, audience, nonce and times are right.",
                settings.id_token_alg.as_str()
            )
        }
        Step::Userinfo => "It answers, and tells of the same person.".to_owned(),
        Step::End => "All of them are refused now.".to_owned(),
    }
}

fn in_words(client: &Client, fault: &Fault) -> String {
    match fault {
        Fault::NotAdmitted => {
            format!(
                "{} is not open to your account. See who may use it under Settings.",
                client.settings.name
            )
        }
        Fault::SaidNo => "You said no. The app is told access_denied.".to_owned(),
        Fault::Told(code, text) => format!("The app is told {code}: {text}"),
        Fault::Claim(name) => format!("“{name}” is not what it must be."),
        Fault::StillGood => {
            "A token is still good. End your session, and look at the log of the server.".to_owned()
        }
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
        errors.push("user", format!("There is no account “{name}”."));
    }
    let mut page = views::AppClaims {
        frame: room.frame(request, actor, &client.settings.name, "apps"),
        head: head(&client, "claims"),
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
