//! What `authelia storage user {totp,webauthn,identifiers} export` writes.

use data_encoding::{BASE32_NOPAD, BASE64};
use zeroize::Zeroizing;

use super::Parts;
use crate::crypto::totp::TotpAlgorithm;
use crate::import::MOST_USERS;
use crate::import::found::FoundTotp;
use crate::import::report::Line;
use crate::import::yaml::{Fields, Node};

/// Whose authenticator app, and which.
pub(super) type NamedTotp = (String, FoundTotp);
/// Whose subject, and which.
pub(super) type NamedSubject = (String, String);

fn rows(list: Node) -> Result<Vec<Node>, String> {
    let rows = list.list().ok_or("What is in it is no list.")?;
    if rows.len() > MOST_USERS * 4 { Err("It holds too much.".to_owned()) } else { Ok(rows) }
}

pub(super) fn totp(parts: &mut Parts, list: Node) -> Result<(), String> {
    for (number, row) in rows(list)?.into_iter().enumerate() {
        let Some(mut fields) = row.fields() else { continue };
        let name = fields.text("username").unwrap_or_default();
        match totp_of(&mut fields) {
            Some(totp) => parts.totp.push((name, totp)),
            None => {
                let name = if name.is_empty() { format!("number {}", number + 1) } else { name };
                let why = "This authenticator app cannot be used here: its secret, hash, digits or steps are not \
                           those of any common app. The person sets up a new one.";
                parts.say(Line::not_carried("totp", name, why));
            }
        }
    }
    Ok(())
}

fn totp_of(fields: &mut Fields) -> Option<FoundTotp> {
    let algorithm = fields.text("algorithm").filter(|name| !name.is_empty());
    // The bytes that Authelia keeps are the seed in base32, and its export has them in base64.
    let text = Zeroizing::new(BASE64.decode(fields.text("secret")?.as_bytes()).ok()?);
    Some(FoundTotp {
        secret: seed(std::str::from_utf8(&text).ok()?)?,
        algorithm: TotpAlgorithm::parse(algorithm.as_deref().unwrap_or("SHA1"))?,
        digits: fields.number("digits").map_or(Some(6), |digits| u8::try_from(digits).ok())?,
        period: fields.number("period").map_or(Some(30), |period| u32::try_from(period).ok())?,
    })
}

/// Reads a seed in base32, with or without padding and spaces, in either case.
pub(in crate::import) fn seed(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.chars().filter(|letter| !matches!(letter, ' ' | '=')).collect();
    BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).ok()
}

pub(super) fn identifiers(parts: &mut Parts, list: Node) -> Result<(), String> {
    for row in rows(list)? {
        let Some(mut fields) = row.fields() else { continue };
        let text = |fields: &mut Fields, name| fields.text(name).unwrap_or_default();
        let (name, sector) = (text(&mut fields, "username"), text(&mut fields, "sector_id"));
        let (service, identifier) = (text(&mut fields, "service"), text(&mut fields, "identifier"));
        if service != "openid" {
            let why = format!("It belongs to “{service}”, not to OpenID Connect.");
            parts.say(Line::not_carried("subject", name, why));
        } else if sector.is_empty() {
            parts.subjects.push((name, identifier));
        } else {
            let why = format!(
                "A person has one subject here; this one was for the apps of {sector} alone, which will take the \
                 person for somebody new."
            );
            parts.say(Line::not_carried("subject", name, why));
        }
    }
    Ok(())
}

pub(super) fn webauthn(parts: &mut Parts, list: Node) -> Result<(), String> {
    for row in rows(list)? {
        let Some(mut fields) = row.fields() else { continue };
        let name = fields.text("username").unwrap_or_default();
        let description = fields.text("description").unwrap_or_default();
        let why = "Passkeys and security keys are not carried over; the person adds new ones here. Until then the \
                   password signs in, and the authenticator app if there is one.";
        parts.say(Line::not_carried("passkey", format!("{name}: {description}"), why));
    }
    Ok(())
}
