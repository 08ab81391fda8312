//! What people are told at their next sign-in, in the language they then read. Pure.
//!
//! It is stored as text; what an older version stored is a sentence in English and is shown as it stands.

use serde::{Deserialize, Serialize};

use crate::kernel::time::Timestamp;
use crate::kernel::when::When;
use crate::words::{Said, Words, english_only, said};

/// Something that an administrator did to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who did it, by the name that people see; `None` from the command line.
    by: Option<String>,
    /// When, in milliseconds since 1970.
    at: u64,
    /// The passkey that was removed; `None` if every second factor was.
    passkey: Option<String>,
}

impl Told {
    /// Every second factor was taken away.
    pub fn factors_reset(by: Option<String>, at: Timestamp) -> Self {
        Told { by, at: at.as_millis(), passkey: None }
    }

    /// One passkey was taken away.
    pub fn passkey_removed(by: Option<String>, at: Timestamp, name: &str) -> Self {
        Told { by, at: at.as_millis(), passkey: Some(name.to_owned()) }
    }

    /// Returns the text that is stored.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what is stored.
    pub fn said(text: &str) -> Said {
        match serde_json::from_str::<Told>(text) {
            Ok(told) => said(move |t| told.in_words(t)),
            Err(_) => english_only(text.to_owned()),
        }
    }

    fn in_words(&self, t: Words) -> String {
        let who = self.by.as_deref().unwrap_or(t.accounts_told_by_admin());
        let when = When::from(Timestamp::from_millis(self.at)).in_words(&t);
        match &self.passkey {
            Some(name) => t.accounts_told_passkey_removed(name, when, who),
            None => t.accounts_told_factors_reset(when, who),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    #[test]
    fn a_notice_is_read_in_the_language_of_the_reader() {
        let at = Timestamp::from_secs(1_794_492_120);
        let reset = Told::said(&Told::factors_reset(Some("Ada “A.” L".to_owned()), at).to_text());
        assert!(reset.english().starts_with("Ada “A.” L removed your second factor"), "{reset}");
        assert!(reset.in_words(Words::of(Lang::De)).contains("12. Nov. 2026, 14:02 UTC"));
        let removed = Told::said(&Told::passkey_removed(None, at, "Phone").to_text());
        assert!(
            removed.english().starts_with("An administrator removed your passkey “Phone” on 12 Nov 2026")
        );
        assert!(removed.in_words(Words::of(Lang::De)).starts_with("Jemand aus der Verwaltung hat"));
        assert_eq!(Told::said("Ada removed it.").in_words(Words::of(Lang::De)), "Ada removed it.");
    }
}
