//! A sentence whose language is chosen later, by who reads it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Words;

/// A sentence, and the values in it.
#[derive(Clone)]
pub struct Said(Inner);

#[derive(Clone)]
enum Inner {
    English(Cow<'static, str>),
    Words(fn(Words) -> &'static str),
    Told(Arc<dyn Fn(Words) -> String + Send + Sync>),
}

impl Said {
    /// A sentence without values: `Said::of(Words::accounts_name_taken)`.
    pub const fn of(words: fn(Words) -> &'static str) -> Self {
        Said(Inner::Words(words))
    }

    /// Returns the sentence in a language.
    pub fn in_words(&self, words: Words) -> String {
        match &self.0 {
            Inner::English(text) => text.clone().into_owned(),
            Inner::Words(say) => say(words).to_owned(),
            Inner::Told(say) => say(words),
        }
    }

    /// Returns the sentence in English, for APIs, logs and the command line.
    pub fn english(&self) -> String {
        self.in_words(Words::ENGLISH)
    }
}

/// A sentence with values: `said(move |words| words.accounts_too_short(least))`.
pub fn said(say: impl Fn(Words) -> String + Send + Sync + 'static) -> Said {
    Said(Inner::Told(Arc::new(say)))
}

/// A sentence in English alone, for what no page shows: APIs that programs call, and the command line.
pub fn english_only(text: impl Into<Cow<'static, str>>) -> Said {
    Said(Inner::English(text.into()))
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english())
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.english(), f)
    }
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        self.english() == other.english()
    }
}

impl Eq for Said {}
