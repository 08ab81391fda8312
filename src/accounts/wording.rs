//! Refusals about accounts in the language of whoever reads them.

use crate::crypto::password_policy::{MAX_CHARACTERS, PolicyError};
use crate::http::Problem;
use crate::kernel::text::TextError;
use crate::words::{Said, Words, said};

/// The sentences of text types that stand on pages.
const TEXTS: [fn(Words) -> &'static str; 6] = [
    Words::accounts_username_length,
    Words::accounts_username_letters,
    Words::accounts_group_name,
    Words::accounts_display_name_length,
    Words::accounts_display_name_letters,
    Words::accounts_email_shape,
];

/// Says why a text was refused. What no page shows stays English.
pub fn of_text(error: &TextError) -> Said {
    match TEXTS.into_iter().find(|say| say(Words::ENGLISH) == error.0) {
        Some(say) => Said::of(say),
        None => error.0.into(),
    }
}

/// Says why a password was refused.
pub fn of_password(error: &PolicyError) -> Said {
    match *error {
        PolicyError::TooShort { minimum } => said(move |t| t.accounts_password_short(minimum)),
        PolicyError::TooLong => said(|t| t.accounts_password_long(MAX_CHARACTERS)),
        PolicyError::Common => Said::of(Words::accounts_password_common),
        PolicyError::Contextual => Said::of(Words::accounts_password_contextual),
    }
}

/// Turns a refused text into a problem that names its field.
pub(crate) fn refused(field: &'static str) -> impl Fn(TextError) -> Problem {
    move |error| Problem::unprocessable(field, "invalid_value", of_text(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::text::{DisplayName, Email, GroupName, Username};
    use crate::words::Lang;

    #[test]
    fn what_pages_refuse_is_said_in_both_languages() {
        let long = "a".repeat(101);
        let refusals = [
            Username::parse("").unwrap_err(),
            Username::parse("a b").unwrap_err(),
            GroupName::parse("a b").unwrap_err(),
            DisplayName::parse(&long).unwrap_err(),
            DisplayName::parse("a\nb").unwrap_err(),
            Email::parse("a").unwrap_err(),
        ];
        for error in &refusals {
            let said = of_text(error);
            assert_eq!(said.english(), error.0);
            assert_ne!(said.in_words(Words::of(Lang::De)), error.0);
        }
        for error in [
            PolicyError::TooShort { minimum: 15 },
            PolicyError::TooLong,
            PolicyError::Common,
            PolicyError::Contextual,
        ] {
            assert_eq!(of_password(&error).english(), error.to_string());
        }
    }
}
