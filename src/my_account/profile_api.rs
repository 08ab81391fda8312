//! Profile claims as JSON. What is sent is merged into what is there (RFC 7396): an absent key leaves a claim as it is, null
//! removes it.

use http::StatusCode;
use serde_json::{Map, Value};

use super::MyAccount;
use crate::accounts::ProfileRecord;
use crate::accounts::profile::{AddressPart, Edit, EditFault};
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::words::{english_only, said};

/// `GET /api/v1/users/me/profile`.
pub async fn show(room: &MyAccount, _request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let profile = room.accounts.profile(&principal.user.id)?.unwrap_or_default();
    Ok(Reply::json(StatusCode::OK, &document(&profile)))
}

/// `PATCH /api/v1/users/me/profile`: the standard claims of OpenID Connect, null removes one; another `phone_number` needs a
/// step-up.
pub async fn change(room: &MyAccount, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let edits = edits_of(&request.json()?)?;
    let profile = room.change_claims(principal, &edits, &visit(room, request)?).await?;
    Ok(Reply::json(StatusCode::OK, &document(&profile)))
}

/// Writes a profile as the API shows it. What is not known is null.
pub(crate) fn document(profile: &ProfileRecord) -> Value {
    let mut members = Map::new();
    for (name, text) in profile.texts() {
        members.insert(name.to_owned(), text.into());
    }
    let text_map = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
        pairs.map(|(name, text)| (name.to_owned(), Value::from(text))).collect::<Map<_, _>>()
    };
    let address = match profile.address.is_empty() {
        true => Value::Null,
        false => text_map(&mut profile.address.parts()).into(),
    };
    let attributes =
        text_map(&mut profile.attributes.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let updated_at = Some(profile.updated_at).filter(|at| *at > Timestamp::ZERO).map(Timestamp::to_rfc3339);
    members.insert("address".to_owned(), address);
    members.insert("phone_number_verified".to_owned(), profile.phone_number_verified.into());
    members.insert("email_verified".to_owned(), profile.email_verified.into());
    members.insert("attributes".to_owned(), attributes.into());
    members.insert("subject".to_owned(), profile.subject.as_ref().map(|subject| subject.as_str()).into());
    members.insert("updated_at".to_owned(), updated_at.into());
    members.into()
}

/// Reads the changes that a document asks for.
///
/// # Errors
/// 400 `unknown_field` for a claim that there is not, 422 `invalid_value` for a value it cannot have.
pub(crate) fn edits_of(body: &Map<String, Value>) -> Result<Vec<Edit>, Problem> {
    let mut edits = Vec::with_capacity(body.len());
    for (key, value) in body {
        // A dot names a member where there is nothing but text; here members are objects.
        if key.contains('.') {
            return Err(fault(key, EditFault::Unknown));
        }
        let members = match (key.as_str(), value) {
            ("address" | "attributes", Value::Object(members)) => members,
            _ => {
                edits.push(edit(key, value)?);
                continue;
            }
        };
        for (name, value) in members {
            edits.push(edit(&format!("{key}.{name}"), value)?);
        }
    }
    Ok(edits)
}

fn edit(key: &str, value: &Value) -> Result<Edit, Problem> {
    let is_flag = matches!(key, "phone_number_verified" | "email_verified");
    let text = match value {
        Value::Null if !is_flag => None,
        Value::Bool(true) if is_flag => Some("true"),
        Value::Bool(false) if is_flag => Some("false"),
        Value::String(text) if !is_flag => Some(text.as_str()),
        _ => {
            // Knows whether there is such a claim; whatever it is, this is no value of it.
            let known = Edit::parse(key, None).map_err(|error| fault(key, error))?;
            let kind = match (is_flag, &known) {
                (true, _) => "true or false",
                (false, Edit::NoAddress | Edit::NoAttributes) => "an object or null",
                (false, _) => "a text or null",
            };
            let sentence = format!("`{}` is {kind}.", printable(key));
            return Err(Problem::unprocessable(known.claim(), "invalid_value", english_only(sentence)));
        }
    };
    Edit::parse(key, text).map_err(|error| fault(key, error))
}

/// Says why there is no such change of a claim.
pub(crate) fn fault(key: &str, fault: EditFault) -> Problem {
    match fault {
        EditFault::Unknown => {
            let key = format!("`{}`", printable(key));
            Problem::bad_request("unknown_field", said(move |t| t.accounts_claim_unknown(&key)))
        }
        EditFault::Value(claim, error) => {
            let key = format!("`{}`", printable(key));
            let sentence = said(move |t| t.accounts_claim_refused(&key, (error.0)(t)));
            Problem::unprocessable(claim, "invalid_value", sentence)
        }
    }
}

fn printable(key: &str) -> String {
    key.chars().filter(|character| !character.is_control()).take(100).collect()
}

/// Names every claim that [`Edit::parse`] knows, for people who mistyped one.
pub(crate) fn known_claims() -> String {
    let texts = ProfileRecord::default().texts().map(|(name, _)| name.to_owned());
    let parts = AddressPart::ALL.map(|part| format!("address.{}", part.as_str()));
    let others = ["phone_number_verified", "email_verified", "subject", "attributes.NAME"].map(str::to_owned);
    texts.into_iter().chain(parts).chain(others).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Vec<Edit>, (u16, &'static str, String)> {
        let Value::Object(body) = body else { unreachable!() };
        edits_of(&body).map_err(|problem| (problem.status.as_u16(), problem.code, problem.detail.english()))
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let body = json!({
            "given_name": "Ada",
            "address": {"locality": "London", "country": "UK"},
            "attributes": {"quota": "5"},
            "email_verified": true,
            "subject": "legacy-1",
            "gender": null,
        });
        let mut profile = ProfileRecord::default();
        profile.apply(&read(body).unwrap());
        let Value::Object(mut shown) = document(&profile) else { unreachable!() };
        assert_eq!(shown["address"], json!({"locality": "London", "country": "UK"}));
        assert_eq!(shown["gender"], Value::Null);
        assert_eq!(shown.remove("updated_at"), Some(Value::Null));
        let mut again = ProfileRecord::default();
        again.apply(&edits_of(&shown).unwrap());
        assert_eq!(again, profile);
    }

    /// INP-05: what is no claim, and what is no value of one, is refused by its name.
    #[test]
    fn what_is_wrong_is_named() {
        for (body, status, name) in [
            (json!({"sub": "x"}), 400, "sub"),
            (json!({"updated_at": 1}), 400, "updated_at"),
            (json!({"address.locality": "x"}), 400, "address.locality"),
            (json!({"attributes.quota": "x"}), 400, "attributes.quota"),
            (json!({"address": {"planet": "x"}}), 400, "address.planet"),
            (json!({"given_name": 1}), 422, "given_name"),
            (json!({"given_name": {"a": "b"}}), 422, "given_name"),
            (json!({"given_name": ""}), 422, "given_name"),
            (json!({"address": "London"}), 422, "address"),
            (json!({"address": ["London"]}), 422, "address"),
            (json!({"attributes": {"quota": 5}}), 422, "attributes.quota"),
            (json!({"attributes": {"iss": "x"}}), 422, "attributes.iss"),
            (json!({"attributes": {"iss": 1}}), 422, "attributes.iss"),
            (json!({"email_verified": "true"}), 422, "email_verified"),
            (json!({"email_verified": null}), 422, "email_verified"),
        ] {
            let (found, code, detail) = read(body.clone()).unwrap_err();
            assert_eq!(found, status, "{body}");
            assert_eq!(code, if status == 400 { "unknown_field" } else { "invalid_value" }, "{body}");
            assert!(detail.contains(name), "{body}: {detail}");
        }
    }

    #[test]
    fn every_claim_that_is_named_is_known() {
        for key in known_claims().split(", ") {
            assert!(Edit::parse(&key.replace("NAME", "quota"), None).is_ok(), "{key}");
        }
    }
}
