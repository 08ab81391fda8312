//! Refusals about accounts in the language of whoever reads them.

use crate::crypto::password_policy::{MAX_CHARACTERS, PolicyError};
use crate::http::Problem;
use crate::kernel::text::TextError;
use crate::words::{Said, Words, said};

/// Says why a text was refused.
pub fn of_text(error: TextError) -> Said {
    Said::of(error.0)
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
pub fn refused(field: &'static str) -> impl Fn(TextError) -> Problem {
    move |error| Problem::unprocessable(field, "invalid_value", of_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::claims::Birthdate;
    use crate::kernel::text::Username;
    use crate::words::Lang;

    #[test]
    fn what_pages_refuse_is_said_in_both_languages() {
        for error in [Username::parse("").unwrap_err(), Birthdate::parse("soon").unwrap_err()] {
            let said = of_text(error);
            assert_eq!(said.english(), error.to_string());
            assert_ne!(said.in_words(Words::of(Lang::De)), error.to_string());
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
