//! One's own passkeys as pages. Only adding one takes a script: the browser's answer comes as text in the form.

use http::StatusCode;

use super::MyAccount;
use super::pages::{codes_page, field_errors, frame, go_on, needs_step_up, security_page};
use crate::accounts::passkeys::Passkey;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sessions::labels::device_name;
use crate::sign_in::api::visit;
use crate::sign_in::ceremonies::Credential;
use crate::sign_in::step_up_first;
use crate::views::FieldErrors;
use crate::views::account as views;
use crate::words::{Said, Words};

/// Returns a passkey as lists show it.
pub(crate) fn passkey_row(passkey: &Passkey) -> views::PasskeyRow {
    let record = &passkey.seen.value;
    views::PasskeyRow {
        id: passkey.id.to_string(),
        name: record.name.clone(),
        added: record.created_at.into(),
        last_used: record.last_used.map(Into::into),
        is_synced: record.is_backed_up,
        is_verified: record.is_user_verified,
    }
}

/// `GET /account/passkeys`.
pub async fn show(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let label = request.headers.text(http::header::USER_AGENT);
    let name = device_name(label.unwrap_or_default(), request.words());
    page(room, request, principal, &name, (StatusCode::OK, FieldErrors::none()))
}

fn page(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    name: &str,
    (status, errors): (StatusCode, FieldErrors),
) -> Result<Reply, Problem> {
    let unavailable = room.passkeys_unavailable().map(|why| why(request.words()));
    let options = match unavailable {
        Some(_) => String::new(),
        None => match room.begin_passkey(principal) {
            Ok(options) => options.to_string(),
            Err(problem) if needs_step_up(&problem) => return Ok(step_up_first("/account/passkeys")),
            Err(problem) => return Err(problem),
        },
    };
    let page = views::NewPasskey {
        frame: frame(room, request, principal, request.words().account_title_passkey(), "security"),
        options,
        name: name.to_owned(),
        unavailable,
        errors,
    };
    Reply::html(status, &page)
}

/// `POST /account/passkeys`: adds it, and shows recovery codes if it is the first second factor.
pub async fn add(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let (name, visit) = (form.text("name"), visit(room, request)?);
    let added = match Credential::parse(form.text("credential")) {
        Some(credential) => room.add_passkey(principal, &credential, name, &visit).await,
        None => {
            let sentence = Said::of(Words::setup_factor_passkey_not_sent);
            Err(Problem::unprocessable("name", "invalid_passkey", sentence))
        }
    };
    match added {
        Ok(added) if added.recovery_codes.is_empty() => {
            Ok(go_on(room, Reply::see_other("/account/security?done=passkey-added"), added.renewal))
        }
        Ok(added) => codes_page(room, request, principal, added.recovery_codes, added.renewal),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/passkeys")),
        Err(mut problem) => {
            // There is nothing to type for a credential: what is wrong with it stands at the name.
            for (field, _) in &mut problem.fields {
                *field = "name";
            }
            let status = problem.status;
            let errors = field_errors(problem, "name", request.words())?;
            page(room, request, principal, name, (status, errors))
        }
    }
}

/// `POST /account/passkeys/rename`: `passkey`, `name`.
pub async fn rename(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: usize,
) -> Result<Reply, Problem> {
    let form = request.form()?;
    let visit = visit(room, request)?;
    match room.rename_passkey(principal, form.text("passkey"), form.text("name"), &visit).await {
        Ok(()) => Ok(Reply::see_other("/account/security?done=saved")),
        Err(mut problem) => {
            // Every passkey has such a field; the message leads to the list of them.
            for (field, _) in &mut problem.fields {
                *field = "passkeys";
            }
            let status = problem.status;
            let errors = field_errors(problem, "passkeys", request.words())?;
            security_page(room, request, principal, apps, (status, errors))
        }
    }
}

/// `POST /account/passkeys/remove`: `passkey`.
pub async fn remove(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    match room.remove_passkey(principal, form.text("passkey"), &visit(room, request)?).await {
        Ok(renewal) => Ok(go_on(room, Reply::see_other("/account/security?done=passkey-removed"), renewal)),
        Err(problem) if needs_step_up(&problem) => Ok(step_up_first("/account/security")),
        Err(problem) => Err(problem),
    }
}
