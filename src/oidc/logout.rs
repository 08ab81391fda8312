//! Signing out at the wish of an app (RP-Initiated Logout 1.0), and telling apps that somebody signed out (Back-Channel
//! Logout 1.0).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::backchannel::{LogoutNotice, LogoutTokens};
use super::client::Client;
use super::params::Params;
use super::records::Permission;
use super::{Oidc, redirect_uri};
use crate::http::redirect::safe_return_target;
use crate::http::{Problem, Reply, Request, headers};
use crate::sessions::{Principal, cookies};
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::store::Batch;
use crate::views::Hidden;
use crate::views::oidc as views;
use crate::words::{Said, Words};

/// How long a logout token is good (OA-20).
const LOGOUT_TOKEN_LIFETIME: Duration = Duration::from_secs(120);
/// The longest `state`.
const LONGEST_STATE: usize = 2048;

/// A wish to sign out, as far as it is understood.
struct Wish {
    client: Option<std::sync::Arc<Client>>,
    /// Where to go afterwards: registered for the client, to the letter, with `state` added.
    target: Option<String>,
    /// What is wrong with it, for the error page: the app asked for what it may not have.
    refusal: Option<fn(Words) -> &'static str>,
}

/// `GET /logout`: asks first (WEB-04: a GET changes nothing).
pub async fn show(room: &Oidc, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let Ok(params) = Params::parse(request.uri.query().unwrap_or_default().as_bytes()) else {
        return super::authorize::error_page(room, request, request.words().oidc_cannot_read());
    };
    ask(room, request, caller, &params)
}

/// `POST /logout`: the same wish in a form (RP-Initiated Logout section 2), or the answer of the person.
pub async fn submit(room: &Oidc, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let Ok(params) = Params::parse(&request.body) else {
        return super::authorize::error_page(room, request, request.words().oidc_cannot_read());
    };
    if params.get("confirmed") != Some("yes") {
        // The browser keeps our cookie back from what another site posts; the redirect makes it send the cookie.
        return Ok(Reply::see_other(&format!("/logout?{}", params.to_query())));
    }
    let wished = Params::parse(params.get("request").unwrap_or_default().as_bytes()).unwrap_or_default();
    let wish = room.read_wish(&wished);
    let Some(principal) = caller else { return after(room, request, &wish, Vec::new()) };
    let is_ours = crate::http::csrf::check_origin(&request.headers, &room.issuer()).is_ok()
        && room.sessions.is_csrf_token(&principal.session, params.get("csrf").unwrap_or_default());
    if !is_ours {
        return Err(Problem::forbidden("csrf", Said::of(Words::errors_old_page)));
    }
    let told = room.sessions.apps_told(&principal.user.id, Some(&principal.sid));
    room.sign_in.sign_out(principal, &visit(&room.sign_in, request)?).await?;
    let mut reply = cookies::revoke(&room.site, after(room, request, &wish, told)?);
    headers::clear_site_data(&mut reply);
    Ok(reply)
}

fn ask(
    room: &Oidc,
    request: &Request,
    caller: Option<&Principal>,
    params: &Params,
) -> Result<Reply, Problem> {
    let wish = room.read_wish(params);
    if let Some(why) = wish.refusal {
        return super::authorize::error_page(room, request, why(request.words()));
    }
    let Some(principal) = caller else { return after(room, request, &wish, Vec::new()) };
    let mut frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().signin_sign_out(),
        "",
    );
    frame.viewer = None;
    let page = views::Logout {
        frame,
        hidden: vec![
            Hidden { name: "confirmed", value: "yes".to_owned() },
            Hidden { name: "request", value: params.to_query() },
        ],
        client_name: wish.client.as_ref().map(|client| client.settings.name.clone()),
        display_name: principal.user.display_name.to_string(),
    };
    let reply = Reply::html(StatusCode::OK, &page)?;
    Ok(match wish.target.as_deref().and_then(redirect_uri::form_target) {
        Some(target) => reply.with_form_target(target),
        None => reply,
    })
}

/// Goes where the app wished, or says that it is done.
fn after(room: &Oidc, request: &Request, wish: &Wish, told: Vec<String>) -> Result<Reply, Problem> {
    if let Some(target) = &wish.target {
        return Ok(Reply::see_other(target));
    }
    let page = crate::views::sign_in::SignedOut {
        frame: frames::anonymous(&room.site, request, request.words().oidc_signed_out_title()),
        continue_to: None,
        told,
    };
    Reply::html(StatusCode::OK, &page)
}

impl Oidc {
    /// Reads a wish. Nothing leads back to an app unless an id_token of ours, however old, or the person's own answer
    /// together with `client_id` says which app it is (OA-17).
    fn read_wish(&self, params: &Params) -> Wish {
        let hint = params.once("id_token_hint").map(|token| self.read_hint(token));
        let is_bad_hint = matches!(hint, Some(None));
        let hint = hint.flatten();
        let named = params.once("client_id").map(str::to_owned);
        let disagrees = matches!((&hint, &named), (Some(hint), Some(named)) if hint.client_id != *named);
        let id = hint.as_ref().map(|hint| hint.client_id.clone()).or(named);
        let client = id.and_then(|id| self.client(&id));
        let uri = params.once("post_logout_redirect_uri");
        let is_registered = |uri: &str| {
            client.as_ref().is_some_and(|client| {
                client.settings.post_logout_redirect_uris.iter().any(|registered| registered == uri)
            })
        };
        let refusal: Option<fn(Words) -> &'static str> = if is_bad_hint {
            Some(Words::oidc_logout_bad_hint)
        } else if disagrees {
            Some(Words::oidc_logout_other_app)
        } else if uri.is_some() && params.refuse_duplicates().is_err() {
            Some(Words::oidc_logout_twice)
        } else if uri.is_some() && client.is_none() {
            Some(Words::oidc_logout_which_app)
        } else if uri.is_some_and(|uri| !is_registered(uri)) {
            Some(Words::oidc_logout_where)
        } else {
            None
        };
        let target = match uri {
            Some(uri) => Some(with_state(uri, params)).filter(|_| refusal.is_none()),
            // Where Authelia's page of this name leads: our own pages and protected apps, else nowhere (WEB-11).
            None => params.once("rd").and_then(|rd| self.safe_target(rd)),
        };
        Wish { client, target, refusal }
    }

    fn safe_target(&self, rd: &str) -> Option<String> {
        let own = self.site.origin().text;
        safe_return_target(rd, &own, |host| self.site.is_protected_host(host)).map(String::from)
    }

    /// Adds to `batch` that an app is told of the end of a session, if it wants to know.
    pub(super) fn stage_tell(&self, batch: &mut Batch, permission: &Permission) {
        let Some(client) = self.client(permission.client.as_str()) else { return };
        let Some(uri) = client.settings.backchannel_logout_uri.clone() else { return };
        let subject = match self.accounts.user(&permission.user) {
            Some(user) => match self.profile(&user) {
                Ok(profile) => self.subject(&user, profile.as_ref()),
                Err(error) => {
                    tracing::error!(?error, "an app cannot be told that a session ended");
                    return;
                }
            },
            None => permission.user.to_string(),
        };
        let notice = LogoutNotice::new(
            &self.random,
            client.id.to_string(),
            uri,
            subject,
            Some(permission.sid.to_string()),
            self.clock.now(),
        );
        self.backchannel.stage(batch, notice);
    }
}

fn with_state(uri: &str, params: &Params) -> String {
    let Some(state) = params.once("state").filter(|state| state.len() <= LONGEST_STATE) else {
        return uri.to_owned();
    };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    format!("{uri}{}{query}", if uri.contains('?') { "&" } else { "?" })
}

/// Logout tokens (Back-Channel Logout section 2.4): signed as the client's id_tokens are, and of a type of their own.
impl LogoutTokens for Oidc {
    fn make(&self, notice: &LogoutNotice) -> Option<String> {
        let client = self.client(&notice.client_id)?;
        let now = self.clock.now();
        let mut claims = json!({
            "iss": self.issuer(),
            "sub": notice.subject,
            "aud": notice.client_id,
            "iat": now.as_secs(),
            "exp": now.plus(LOGOUT_TOKEN_LIFETIME).as_secs(),
            "jti": data_encoding::BASE64URL_NOPAD.encode(&notice.token_jti),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        if let (Some(sid), Some(members)) = (&notice.sid, claims.as_object_mut()) {
            members.insert("sid".to_owned(), Value::String(sid.clone()));
        }
        let token = self.sign(client.settings.id_token_alg, Some("logout+jwt"), &claims);
        token.map_err(|error| tracing::error!(cause = error.private, "a logout token cannot be signed")).ok()
    }

    fn is_of_stranger(&self, notice: &LogoutNotice) -> bool {
        self.client(&notice.client_id).is_none_or(|client| client.registered_itself)
    }
}
