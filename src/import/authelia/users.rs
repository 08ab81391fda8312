//! `users_database.yml`.

use super::Parts;
use crate::import::MOST_USERS;
use crate::import::found::FoundUser;
use crate::import::report::Line;
use crate::import::yaml::{Fields, Node};

/// Claims that have the same name there and here.
const CLAIMS: [&str; 11] = [
    "given_name",
    "middle_name",
    "family_name",
    "nickname",
    "gender",
    "birthdate",
    "website",
    "profile",
    "picture",
    "zoneinfo",
    "locale",
];
const ADDRESS: [&str; 5] = ["street_address", "locality", "region", "postal_code", "country"];

pub(super) fn read(parts: &mut Parts, people: Fields) -> Result<(), String> {
    let people = people.rest();
    if people.len() > MOST_USERS {
        return Err(format!("It holds more than {MOST_USERS} people."));
    }
    for (name, node) in people {
        match node.fields().and_then(|fields| person(parts, &name, fields)) {
            Some(user) => parts.found.users.push(user),
            None => {
                let why = "What the file says of this person is not in the form that Authelia reads.";
                parts.say(Line::not_carried("user", name, why));
            }
        }
    }
    Ok(())
}

fn person(parts: &mut Parts, name: &str, mut fields: Fields) -> Option<FoundUser> {
    let mut user = FoundUser {
        username: name.to_owned(),
        display_name: fields.text("displayname")?,
        email: fields.text("email")?,
        is_email_verified: true,
        groups: fields.texts("groups")?,
        is_disabled: fields.truth("disabled")?,
        password: Some(password(&fields.text("password")?)).filter(|hash| !hash.is_empty()),
        ..FoundUser::default()
    };
    for claim in CLAIMS.into_iter().chain(["phone_number"]) {
        let value = fields.text(claim)?;
        if !value.is_empty() {
            user.claims.push((claim.to_owned(), value));
        }
    }
    if let Some(address) = fields.take("address") {
        let mut address = address.fields()?;
        for part in ADDRESS {
            let value = address.text(part)?;
            if !value.is_empty() {
                user.claims.push((format!("address.{part}"), value));
            }
        }
    }
    if let Some(extra) = fields.take("extra") {
        for (key, value) in extra.fields()?.rest() {
            match value {
                Node::Scalar { text, .. } => user.claims.push((format!("attributes.{key}"), text)),
                _ => parts.say(Line::not_carried(
                    "claim",
                    format!("{name}: {key}"),
                    "An attribute has one value here, not several.",
                )),
            }
        }
    }
    for (key, _) in fields.rest() {
        parts.say(Line::not_carried("claim", format!("{name}: {key}"), "This key is not known here."));
    }
    Some(user)
}

/// Early versions wrote a word before the hash.
fn password(text: &str) -> String {
    text.strip_prefix("{CRYPT}").unwrap_or(text).to_owned()
}
