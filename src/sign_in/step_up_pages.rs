//! The page that asks for the factors again before a sensitive change.

use http::StatusCode;

use super::api::visit;
use super::ceremonies::{Ceremony, Credential};
use super::destinations::Way;
use super::pages::{explain, own_passkey};
use super::{Proofs, SignIn, SignInError, Visit};
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::sessions::{Principal, cookies};
use crate::sign_in::frames;
use crate::views::Hidden;
use crate::views::sign_in as views;

/// `GET /step-up`: asks for the factors again before a sensitive change.
pub async fn show_step_up(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let next = request.query("next");
    step_up_page(room, request, principal, next.as_deref(), None)
}

fn step_up_page(
    room: &SignIn,
    request: &Request,
    principal: &Principal,
    next: Option<&str>,
    error: Option<SignInError>,
) -> Result<Reply, Problem> {
    let (status, error, wait) = match error {
        Some(SignInError::Wrong | SignInError::WrongCode | SignInError::WrongPasskey) => {
            (StatusCode::UNAUTHORIZED, Some(request.words().signin_step_up_wrong().to_owned()), None)
        }
        other => explain(other, request.words())?,
    };
    let way = Way::to_own(room, next);
    let mut frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().signin_confirm_title(),
        "",
    );
    frame.viewer = None;
    let page = views::StepUp {
        frame,
        hidden: vec![Hidden { name: "next", value: next_path(room, &way) }],
        continue_to: way.goal(),
        username: principal.user.username.to_string(),
        passkey: own_passkey(room, &principal.user, &Ceremony::StepUp(principal.user.id, principal.session)),
        has_app: principal.user.has_totp,
        asks_code: principal.user.has_second_factor(),
        digits: room.accounts.totp_digits(principal.user.id)?,
        error,
        wait,
        cancel_url: "/account/security".to_owned(),
    };
    Ok(way.allow(Reply::html(status, &page)?))
}

/// Returns the path of our own to go on to.
fn next_path(room: &SignIn, way: &Way) -> String {
    way.own_path(room).unwrap_or_else(|| "/account/security".to_owned())
}

/// `POST /step-up`.
pub async fn submit_step_up(
    room: &SignIn,
    request: &Request,
    principal: &Principal,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    let password = SecretText::new(form.text("password").to_owned());
    let next = form.get("next");
    // It leads on to a page that tells nothing of this.
    let visit = Visit { can_tell: false, ..visit(room, request)? };
    let passkey = match form.get("credential").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => match Credential::parse(text) {
            Some(credential) => Some(credential),
            None => {
                return step_up_page(
                    room,
                    request,
                    principal,
                    form.get("next"),
                    Some(SignInError::WrongPasskey),
                );
            }
        },
    };
    let typed = Some(&password).filter(|password| !password.expose().is_empty() || passkey.is_none());
    let proofs = Proofs { password: typed, code: form.get("code"), passkey: passkey.as_ref() };
    match room.step_up(principal, proofs, &visit).await {
        Ok(Some(signed_in)) => {
            let reply = Reply::see_other(&next_path(room, &Way::to_own(room, next)));
            Ok(cookies::grant(&room.site, reply, &signed_in.started, &signed_in.device))
        }
        Ok(None) => Ok(Reply::see_other(&next_path(room, &Way::to_own(room, next)))),
        Err(error) => step_up_page(room, request, principal, next, Some(error)),
    }
}
