//! What Doorward says to people, in every language it speaks: texts from `web/i18n`, one method of [`Words`] for each key.
//!
//! Pages ask for words in the language of the visitor. A use-case does not know the visitor; it refuses with a [`Said`],
//! which a page turns into words, and which APIs, logs and the command line say in English.

mod lang;
mod rich;
mod said;
#[cfg(test)]
mod tests;

pub use lang::Lang;
pub use rich::Rich;
pub use said::{Said, english_only, said};

/// The texts in one language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words(Lang);

impl Words {
    /// Speaks English: for APIs, logs and the command line.
    pub const ENGLISH: Words = Words(Lang::En);

    /// Speaks a language.
    pub const fn of(lang: Lang) -> Self {
        Words(lang)
    }

    /// Returns the language.
    pub const fn lang(self) -> Lang {
        self.0
    }
}

/// A number that chooses between the singular and the plural of a text.
pub trait Count: Copy {
    /// Returns the number.
    fn count(self) -> u64;
}

impl Count for u64 {
    fn count(self) -> u64 {
        self
    }
}

impl Count for u32 {
    fn count(self) -> u64 {
        self.into()
    }
}

impl Count for usize {
    fn count(self) -> u64 {
        u64::try_from(self).unwrap_or(u64::MAX)
    }
}

impl<T: Count> Count for &T {
    fn count(self) -> u64 {
        (*self).count()
    }
}

include!(concat!(env!("OUT_DIR"), "/words.rs"));
