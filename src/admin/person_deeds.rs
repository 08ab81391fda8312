//! The forms on the page of a person.

use super::Admin;
use super::by::By;
use super::people::PersonChange;
use super::people_pages::Typed;
use super::person_pages::{Shown, finish, finish_form, person_page};
use crate::accounts::profile::Edit;
use crate::http::{Form, Problem, Reply, Request};
use crate::kernel::text::DisplayName;
use crate::my_account::api::{parse_email, refused};
use crate::my_account::profile_api::fault;
use crate::sessions::Principal;
use crate::sign_in::api::visit;

/// `POST /admin/people/{id}/profile`.
pub async fn submit_profile(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let form = request.form()?;
    let visit = visit(room, request)?;
    let result = match parse_change(&form) {
        Ok(change) => room.change_person(By::Person(actor, &visit), &user, change).await,
        Err(problem) => Err(problem),
    };
    finish_form(room, request, actor, &user, "saved", result, Some(&form)).await
}

fn parse_change(form: &Form) -> Result<PersonChange, Problem> {
    let typed = Typed::of(form);
    Ok(PersonChange {
        display_name: Some(DisplayName::parse(typed.display_name).map_err(refused("display_name"))?),
        email: Some(parse_email(typed.email)?),
        email_verified: None,
        role: Some(typed.role()?),
        groups: Some(typed.groups?),
        revision: Some(form.text("revision").to_owned()),
    })
}

/// `POST /admin/people/{id}/disable`.
pub async fn disable(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let result = room.disable_person(By::Person(actor, &visit), &user, form.text("reason")).await;
    finish_form(room, request, actor, &user, "disabled", result, Some(&form)).await
}

/// `POST /admin/people/{id}/enable`.
pub async fn enable(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    let result = room.enable_person(By::Person(actor, &visit), &user).await;
    finish(room, request, actor, &user, "enabled", result).await
}

/// `POST /admin/people/{id}/reset-second-factor`.
pub async fn reset_second_factor(
    room: &Admin,
    request: &Request,
    actor: &Principal,
) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    let result = room.reset_second_factor(By::Person(actor, &visit), &user).await;
    finish(room, request, actor, &user, "reset", result).await
}

/// `POST /admin/people/{id}/link`: makes a link and shows it once.
pub async fn make_link(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    match room.make_person_link(By::Person(actor, &visit), &user).await {
        Ok(link) => {
            let shown = Shown { link: Some(link), ..Shown::default() };
            person_page(room, request, actor, &user, shown).await
        }
        Err(problem) => finish(room, request, actor, &user, "", Err(problem)).await,
    }
}

/// `POST /admin/people/{id}/sign-out`.
pub async fn sign_out(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    let result = room.sign_person_out(By::Person(actor, &visit), &user).await;
    finish(room, request, actor, &user, "signed-out", result).await
}

/// `POST /admin/people/{id}/lift`.
pub async fn lift(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let form = request.form()?;
    let visit = visit(room, request)?;
    let result = room.lift_suspension(By::Person(actor, &visit), &user, form.get("handle")).await;
    finish(room, request, actor, &user, "lifted", result).await
}

/// `POST /admin/people/{id}/delete`.
pub async fn delete(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let visit = visit(room, request)?;
    match room.delete_person(By::Person(actor, &visit), &user).await {
        Ok(()) => Ok(Reply::see_other("/admin/people?done=deleted")),
        Err(problem) => finish(room, request, actor, &user, "", Err(problem)).await,
    }
}

/// `POST /admin/people/{id}/claims`: sets one claim, or removes it.
pub async fn change_claims(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let key = form.text("claim").trim();
    let value = Some(form.text("value").trim()).filter(|value| !value.is_empty());
    let result = match Edit::parse(key, value) {
        Ok(edit) => room.change_claims(By::Person(actor, &visit), &user, &[edit]).await.map(|_| ()),
        Err(error) => Err(fault(key, error)),
    };
    // Whatever is wrong stands beside the claim: its name is no field of this page.
    let result = result.map_err(|mut problem| {
        if problem.code != "step_up_required" && problem.status.is_client_error() {
            problem.fields = vec![("claim", problem.detail.clone())];
        }
        problem
    });
    finish_form(room, request, actor, &user, "claim", result, Some(&form)).await
}

/// `POST /admin/people/{id}/session`: ends one session.
pub async fn end_session(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let result = room.end_person_session(By::Person(actor, &visit), &user, form.text("handle")).await;
    finish(room, request, actor, &user, "session", result).await
}

/// `POST /admin/people/{id}/passkey`: removes one passkey.
pub async fn remove_passkey(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let result = room.remove_passkey(By::Person(actor, &visit), &user, form.text("handle")).await;
    finish(room, request, actor, &user, "passkey", result).await
}

/// `POST /admin/people/{id}/app-token`: revokes one app token.
pub async fn revoke_app_token(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let result = room.revoke_app_token(By::Person(actor, &visit), &user, form.text("handle")).await;
    finish(room, request, actor, &user, "app-token", result).await
}

/// `POST /admin/people/{id}/consent`: takes back what an app was allowed.
pub async fn revoke_consent(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let user = room.person(request)?;
    let (form, visit) = (request.form()?, visit(room, request)?);
    let result = room.revoke_consent(By::Person(actor, &visit), &user, form.text("handle")).await;
    finish(room, request, actor, &user, "consent", result).await
}
