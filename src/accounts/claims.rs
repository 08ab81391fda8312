//! The values of a profile, as types that only parsing makes (INP-06). Pure.
//!
//! Lengths are bounded in characters for people and in bytes for the store, whose values are small.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::kernel::ids::UserId;
use crate::kernel::text::{TextError, is_deceptive, text};
use crate::words::Words;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 512;

/// Claims that Doorward, OAuth or OpenID Connect give a meaning of their own (OA-19): nobody sets them as attributes.
/// RFC 7519, RFC 7662, RFC 8693, RFC 9068, RFC 9396, OpenID Connect Core, Front- and Back-Channel Logout, Session
/// Management.
const RESERVED: [&str; 64] = [
    "acr",
    "act",
    "active",
    "address",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "birthdate",
    "c_hash",
    "claims",
    "client_id",
    "cnf",
    "email",
    "email_verified",
    "error",
    "error_description",
    "events",
    "exp",
    "family_name",
    "gender",
    "given_name",
    "groups",
    "iat",
    "iss",
    "jti",
    "jwk",
    "locale",
    "may_act",
    "middle_name",
    "name",
    "nbf",
    "nickname",
    "nonce",
    "orig",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "redirect_uri",
    "resource",
    "rt_hash",
    "s_hash",
    "scope",
    "session_state",
    "sid",
    "state",
    "sub",
    "sub_id",
    "sub_jwk",
    "toe",
    "token_introspection",
    "token_type",
    "txn",
    "updated_at",
    "username",
    "vc",
    "verified_claims",
    "vp",
    "website",
    "zoneinfo",
];

/// Checks a text that is shown as it is: trimmed, not empty, bounded, without characters that deceive.
fn plain(text: &str, characters: usize, bytes: usize, too_long: TextError) -> Result<String, TextError> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().count() > characters || trimmed.len() > bytes {
        return Err(too_long);
    }
    if trimmed.chars().any(is_deceptive) {
        return Err(TextError(Words::accounts_claim_letters));
    }
    Ok(trimmed.to_owned())
}

text!(
    /// A part of a name, a nickname or a gender: 1 to 100 characters in at most 200 bytes.
    PersonText,
    |text| plain(text, 100, 200, TextError(Words::accounts_claim_length))
);

text!(
    /// A web page or picture: an `https` URL without user information, at most 512 bytes as the URL parser writes it.
    SecureUrl,
    |text| web_url(text, false)
);

text!(
    /// A web site: an `https` or `http` URL without user information, at most 512 bytes as the URL parser writes it.
    WebUrl,
    |text| web_url(text, true)
);

/// Parses an absolute URL that spells its scheme and host out, and writes it as the parser does.
fn web_url(text: &str, is_plain_fine: bool) -> Result<String, TextError> {
    let shape =
        TextError(if is_plain_fine { Words::accounts_claim_url } else { Words::accounts_claim_https_url });
    let text = text.trim();
    let unsound = |character: char| is_deceptive(character) || character.is_whitespace() || character == '\\';
    if text.len() > LONGEST_URL || text.chars().any(unsound) {
        return Err(shape);
    }
    let (scheme, rest) = text.split_once("://").ok_or(shape)?;
    let is_wanted =
        scheme.eq_ignore_ascii_case("https") || (is_plain_fine && scheme.eq_ignore_ascii_case("http"));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_wanted || authority.is_empty() || authority.contains('@') {
        return Err(shape);
    }
    let url = Url::parse(text).map_err(|_| shape)?;
    let is_sound = url.has_host() && url.username().is_empty() && url.password().is_none();
    if !is_sound || url.as_str().len() > LONGEST_URL {
        return Err(shape);
    }
    Ok(url.into())
}

text!(
    /// A day of birth (OpenID Connect Core section 5.1): `YYYY-MM-DD`, `YYYY`, or `0000-MM-DD` without the year.
    Birthdate,
    |text| {
        const SHAPE: TextError = TextError(Words::accounts_claim_birthday);
        let digits = |part: &str, count: usize| {
            let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { part.parse::<u32>().ok() } else { None }
        };
        let mut parts = text.split('-');
        let year = parts.next().and_then(|part| digits(part, 4)).ok_or(SHAPE)?;
        let (month, day) = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) if year > 0 => return Ok(text.to_owned()),
            (Some(month), Some(day), None) => (digits(month, 2).ok_or(SHAPE)?, digits(day, 2).ok_or(SHAPE)?),
            _ => return Err(SHAPE),
        };
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 0,
        };
        if !(1..=last).contains(&day) {
            return Err(TextError(Words::accounts_claim_no_day));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// A time zone in the form of the IANA database: `Europe/Paris`, `America/Argentina/Ushuaia`, `Etc/GMT+1`, `UTC`.
    ZoneInfo,
    |text| {
        let is_part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphabetic())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
        };
        if text.len() > 64 || text.split('/').count() > 3 || !text.split('/').all(is_part) {
            return Err(TextError(Words::accounts_claim_zone));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// A language in the form of BCP 47: `en`, `pt-BR`, `zh-Hant-TW`. An underscore is taken for the hyphen.
    Locale,
    |text| {
        let folded = text.replace('_', "-");
        let mut parts = folded.split('-');
        let is_language = parts.next().is_some_and(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
        });
        let is_subtag =
            |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if folded.len() > 35 || !is_language || !parts.all(is_subtag) {
            return Err(TextError(Words::accounts_claim_language));
        }
        Ok(folded)
    }
);

text!(
    /// A telephone number in the form of E.164: `+14155552671`. Spaces, hyphens, dots and brackets are dropped.
    PhoneNumber,
    |text| {
        let folded = text.trim().replace([' ', '-', '.', '(', ')'], "");
        let digits = folded.strip_prefix('+').unwrap_or_default();
        let is_number = (5..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if text.len() > 64 || !is_number {
            return Err(TextError(Words::accounts_claim_phone));
        }
        Ok(folded)
    }
);

text!(
    /// A part of a postal address: 1 to 256 characters in at most 512 bytes, in one line or several.
    AddressText,
    |text| {
        const LONG: TextError = TextError(Words::accounts_claim_address_length);
        let folded = text.trim().replace("\r\n", "\n");
        if folded.is_empty() || folded.chars().count() > 256 || folded.len() > 512 {
            return Err(LONG);
        }
        if folded.chars().any(|character| is_deceptive(character) && character != '\n') {
            return Err(TextError(Words::accounts_claim_address_letters));
        }
        Ok(folded)
    }
);

text!(
    /// The name of a custom attribute: `[a-z][a-z0-9_]{0,63}`, and not that of a claim that has a meaning (OA-19).
    AttributeName,
    |text| {
        let is_sound = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_sound {
            return Err(TextError(Words::accounts_claim_attribute));
        }
        if RESERVED.contains(&text) {
            return Err(TextError(Words::accounts_claim_reserved));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// The value of a custom attribute: 1 to 1024 characters in at most 3072 bytes.
    AttributeValue,
    |text| plain(text, 1024, 3072, TextError(Words::accounts_claim_value))
);

text!(
    /// A subject identifier that was imported from another sign-in server: 1 to 255 printable ASCII characters (OpenID
    /// Connect Core section 2). What looks like a user id of Doorward is refused: it is or was somebody's (OA-19).
    Subject,
    |text| {
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if text.is_empty() || text.len() > 255 || !is_printable || text.trim() != text {
            return Err(TextError(Words::accounts_claim_subject));
        }
        if UserId::parse(text).is_some() {
            return Err(TextError(Words::accounts_claim_subject_ours));
        }
        Ok(text.to_owned())
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn takes<T, E: fmt::Debug>(
        parse: fn(&str) -> Result<T, E>,
        show: fn(&T) -> &str,
        pairs: &[(&str, &str)],
    ) {
        for (typed, kept) in pairs {
            assert_eq!(show(&parse(typed).unwrap()), *kept, "{typed}");
        }
    }

    #[track_caller]
    fn refuses<T>(parse: fn(&str) -> Result<T, TextError>, table: &[&str]) {
        for bad in table {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    /// INP-06: names are bounded and hold nothing that deceives.
    #[test]
    fn names_refuse_what_deceives() {
        takes(PersonText::parse, PersonText::as_str, &[(" Ada ", "Ada"), ("李", "李")]);
        refuses(
            PersonText::parse,
            &["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}", "a\0", &"a".repeat(101), &"李".repeat(70)],
        );
    }

    /// INP-06: a URL of a profile is one, of the web, and names no password.
    #[test]
    fn urls_are_of_the_web() {
        takes(
            SecureUrl::parse,
            SecureUrl::as_str,
            &[
                ("https://Example.ORG", "https://example.org/"),
                ("HTTPS://example.org/ä?x#y", "https://example.org/%C3%A4?x#y"),
            ],
        );
        takes(WebUrl::parse, WebUrl::as_str, &[("http://pi.local:8080/~ada", "http://pi.local:8080/~ada")]);
        let bad = [
            "",
            "example.org",
            "//example.org",
            "https:example.org",
            "https:///x",
            "https://",
            "https://user@example.org/",
            "https://a:b@example.org/",
            "https://@example.org/",
            "javascript://example.org/%0aalert(1)",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://example.org/",
            "https://exa mple.org/",
            "https://example.org\\x",
            "https://example.org/\nx",
            "https://example.org/\u{202e}x",
            &format!("https://example.org/{}", "a".repeat(512)),
            &format!("https://example.org/{}", "ä".repeat(200)),
        ];
        refuses(SecureUrl::parse, &bad);
        refuses(WebUrl::parse, &bad);
        refuses(SecureUrl::parse, &["http://example.org/"]);
    }

    #[test]
    fn birthdays_are_days() {
        let good = ["1985-10-26", "1985", "0000-10-26", "0000-02-29", "2000-02-29", "2024-02-29"];
        takes(Birthdate::parse, Birthdate::as_str, &good.map(|day| (day, day)));
        refuses(
            Birthdate::parse,
            &[
                "",
                "0000",
                "85",
                "1985-10",
                "1985-1-2",
                "1985-13-01",
                "1985-00-01",
                "1985-01-00",
                "1985-04-31",
                "1900-02-29",
                "2023-02-29",
                "1985-10-26T00:00",
                "1985-10-26-",
                "-985-10-26",
                "+985-10-26",
                "١٩٨٥",
                " 1985",
            ],
        );
    }

    #[test]
    fn zones_languages_and_numbers_have_their_form() {
        let zones =
            ["Europe/Paris", "America/Argentina/Ushuaia", "Etc/GMT+1", "UTC", "America/Port-au-Prince"];
        takes(ZoneInfo::parse, ZoneInfo::as_str, &zones.map(|zone| (zone, zone)));
        refuses(
            ZoneInfo::parse,
            &["", "/", "Europe/", "a/b/c/d", "../etc", "Europe/Pa ris", "1/2", "Zürich"],
        );
        takes(
            Locale::parse,
            Locale::as_str,
            &[("en", "en"), ("pt_BR", "pt-BR"), ("zh-Hant-TW", "zh-Hant-TW")],
        );
        refuses(Locale::parse, &["", "e", "en-", "-en", "en--us", "1n", "en us", "englishes-us", "en-ü"]);
        takes(
            PhoneNumber::parse,
            PhoneNumber::as_str,
            &[("+1 (415) 555-2671", "+14155552671"), ("+4930123456", "+4930123456")],
        );
        refuses(
            PhoneNumber::parse,
            &[
                "",
                "+",
                "030123456",
                "+0301234567",
                "+1234567890123456",
                "+1a2345",
                "++123456",
                "+1234\n56",
                "+123",
            ],
        );
    }

    #[test]
    fn addresses_may_have_lines() {
        takes(AddressText::parse, AddressText::as_str, &[("1 Main St\r\nTown\n", "1 Main St\nTown")]);
        refuses(AddressText::parse, &["", "\n", "a\tb", "a\u{200b}", "a\rb", &"a".repeat(257)]);
    }

    /// OA-19: an attribute cannot take the place of a claim that has a meaning.
    #[test]
    fn attributes_cannot_be_reserved_claims() {
        let good = ["quota", "immich_role", "x1", "roles"];
        takes(AttributeName::parse, AttributeName::as_str, &good.map(|name| (name, name)));
        refuses(AttributeName::parse, &["", "1x", "_x", "Quota", "a-b", "a b", "a.b", "ä", &"a".repeat(65)]);
        for reserved in [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "nbf",
            "jti",
            "nonce",
            "acr",
            "amr",
            "azp",
            "auth_time",
            "at_hash",
            "c_hash",
            "s_hash",
            "sid",
            "events",
            "cnf",
            "act",
            "may_act",
            "scope",
            "client_id",
            "groups",
            "email",
            "email_verified",
            "name",
            "preferred_username",
            "given_name",
            "phone_number_verified",
            "address",
            "updated_at",
        ] {
            let refused = AttributeName::parse(reserved).unwrap_err();
            assert!(refused.to_string().contains("reserved"), "{reserved}");
        }
        refuses(AttributeValue::parse, &["", "a\nb", "a\u{202e}", &"a".repeat(1025), &"𝒳".repeat(1000)]);
        assert!(AttributeValue::parse(&"李".repeat(1024)).is_ok());
    }

    /// OA-19: an imported subject cannot be the id of a user of ours, past or present.
    #[test]
    fn a_subject_is_printable_and_no_user_id_of_ours() {
        let good = ["3f0c1d5e-8f0a-4f6b-9c43-6f2d1f0c7a11", "ada", "cn=ada, ou=people", "auth0|507f1f77"];
        takes(Subject::parse, Subject::as_str, &good.map(|subject| (subject, subject)));
        refuses(Subject::parse, &["", " ada", "ada ", "ä", "a\nb", "a\u{7f}", &"a".repeat(256)]);
        refuses(Subject::parse, &[&UserId([7; 16]).to_string(), &UserId([0; 16]).to_string()]);
    }

    #[test]
    fn the_reserved_names_are_sorted_and_each_once() {
        assert!(RESERVED.is_sorted_by(|a, b| a < b));
    }
}
