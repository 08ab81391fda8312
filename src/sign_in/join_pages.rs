//! The pages by which people join: one-time links and registration.

use http::StatusCode;

use super::api::visit;
use super::registration::{Policy, Registration, link_gone};
use super::{SignIn, SignInError};
use crate::accounts::passwords::MINIMUM_ALONE;
use crate::http::problem::seconds_rounded_up;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::sign_in::frames;
use crate::views::sign_in as views;
use crate::views::{FieldErrors, Hidden, Wait};

/// `GET /link/{secret}`: what a one-time link offers.
pub async fn show_link(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    link_page(room, request, FieldErrors::none(), StatusCode::OK)
}

fn link_page(
    room: &SignIn,
    request: &Request,
    errors: FieldErrors,
    status: StatusCode,
) -> Result<Reply, Problem> {
    let secret = request.param("secret");
    let found = room.look_at_link(secret)?;
    let Some((_, user)) = found else {
        let page = views::LinkGone {
            frame: frames::anonymous(&room.site, request, request.words().join_title_gone()),
        };
        return Reply::html(StatusCode::GONE, &page);
    };
    let Some(user) = user else {
        return Ok(Reply::see_other(&format!("/register?invitation={secret}")));
    };
    let is_invite = room.accounts.record(&user.id)?.value.password_changed_at.is_none();
    let t = request.words();
    let title = if is_invite { t.join_title_invite() } else { t.join_title_reset() };
    let page = views::Link {
        frame: frames::anonymous(&room.site, request, title),
        kind: if is_invite { views::LinkKind::Invite } else { views::LinkKind::Reset },
        action_url: format!("/link/{secret}"),
        username: user.username.to_string(),
        min_length: minimum(room, &user),
        errors,
    };
    Reply::html(status, &page)
}

fn minimum(room: &SignIn, user: &crate::accounts::User) -> u32 {
    u32::try_from(room.accounts.minimum_password_length(user.role)).unwrap_or(u32::MAX)
}

/// `POST /link/{secret}`: sets the password. It signs nobody in (PWD-12).
pub async fn submit_link(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let form = request.form()?;
    let password = SecretText::new(form.text("password").to_owned());
    let visit = visit(room, request)?;
    // Whose it is stands in the form anyway; afterwards it fills in the sign-in.
    let username = form.text("username").to_owned();
    let t = request.words();
    match room.reset_password(request.param("secret"), &password, &visit).await {
        Ok(()) => {
            let page = views::Message {
                frame: frames::anonymous(&room.site, request, t.join_title_set()),
                text: t.join_password_is_set().to_owned(),
                button: t.join_sign_in().to_owned(),
                url: sign_in_as(&username),
            };
            Reply::html(StatusCode::OK, &page)
        }
        Err(SignInError::Problem(problem)) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            link_page(
                room,
                request,
                FieldErrors::one("password", problem.detail.in_words(request.words())),
                problem.status,
            )
        }
        Err(SignInError::Problem(problem)) if problem.code == link_gone().code => {
            link_page(room, request, FieldErrors::none(), StatusCode::GONE)
        }
        Err(error) => Err(error.into()),
    }
}

/// The sign-in with the name filled in.
fn sign_in_as(username: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("login_hint", username).finish();
    format!("/signin?{query}")
}

/// `GET /register`.
pub async fn show_registration(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let invitation = request.query("invitation").unwrap_or_default();
    if room.registration != Policy::Open && invitation.is_empty() {
        return Err(Problem::not_found());
    }
    registration_page(room, request, None, &invitation)
}

fn registration_page(
    room: &SignIn,
    request: &Request,
    refused: Option<(crate::http::Form, Problem)>,
    invitation: &str,
) -> Result<Reply, Problem> {
    let mut page = views::Register {
        frame: frames::anonymous(&room.site, request, request.words().join_title_register()),
        hidden: vec![Hidden { name: "invitation", value: invitation.to_owned() }],
        username: String::new(),
        display_name: String::new(),
        email: String::new(),
        min_length: u32::try_from(MINIMUM_ALONE).unwrap_or(u32::MAX),
        errors: FieldErrors::none(),
        wait: None,
    };
    let mut status = StatusCode::OK;
    if let Some((form, problem)) = refused {
        status = problem.status;
        form.text("username").clone_into(&mut page.username);
        form.text("display_name").clone_into(&mut page.display_name);
        form.text("email").clone_into(&mut page.email);
        match (problem.status, problem.retry_after) {
            (StatusCode::TOO_MANY_REQUESTS, Some(wait)) => {
                page.wait = Some(Wait::rate_limited(request.words(), seconds_rounded_up(wait)));
            }
            _ if problem.fields.is_empty() => {
                page.errors.push("username", problem.detail.in_words(request.words()))
            }
            _ => page.errors = FieldErrors::said(request.words(), &problem.fields),
        }
    }
    Reply::html(status, &page)
}

/// `POST /register`.
pub async fn submit_registration(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let form = request.form()?;
    let password = SecretText::new(form.text("password").to_owned());
    let invitation = form.text("invitation").to_owned();
    let registration = Registration {
        username: form.text("username"),
        display_name: form.text("display_name"),
        email: form.text("email"),
        password: &password,
        invitation: &invitation,
    };
    match room.register(registration, &visit(room, request)?).await {
        Ok(registered) => {
            let t = request.words();
            let page = views::Message {
                frame: frames::anonymous(&room.site, request, t.join_title_made()),
                text: t.join_account_is_made().to_owned(),
                button: t.join_sign_in().to_owned(),
                url: sign_in_as(registered.user.username.as_str()),
            };
            Reply::html(StatusCode::CREATED, &page)
        }
        Err(error) => {
            let problem = Problem::from(error);
            if problem.status.is_server_error() {
                return Err(problem);
            }
            registration_page(room, request, Some((form, problem)), &invitation)
        }
    }
}
