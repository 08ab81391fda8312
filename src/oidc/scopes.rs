//! Scopes: sets of names (RFC 6749 section 3.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Those that everybody knows (OIDC Core section 5.4 and 11), and `groups`, which is a custom of the field.
pub const KNOWN: [&str; 7] = ["openid", "profile", "email", "address", "phone", "groups", "offline_access"];
/// The most scopes of one request or client.
pub const MOST: usize = 64;

/// A set of scopes, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Takes names in any order.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Scopes(names)
    }

    /// Reads the parameter `scope`: names separated by spaces. `None` if a name holds what is not allowed, or there are
    /// too many.
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<&str> = text.split(' ').filter(|name| !name.is_empty()).collect();
        let is_sound = names.len() <= MOST && names.iter().all(|name| is_name(name));
        is_sound.then(|| Scopes::new(names.into_iter().map(str::to_owned)))
    }

    /// Tells whether `name` is in the set.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }

    /// Tells whether every scope of `other` is in the set.
    pub fn covers(&self, other: &Scopes) -> bool {
        other.0.iter().all(|name| self.has(name))
    }

    /// Returns what is in either set.
    pub fn with(&self, other: &Scopes) -> Scopes {
        Scopes::new(self.0.iter().chain(&other.0).cloned())
    }

    /// Returns what is in both sets.
    pub fn within(&self, allowed: &Scopes) -> Scopes {
        Scopes(self.0.iter().filter(|name| allowed.has(name)).cloned().collect())
    }

    /// Returns the set without `name`.
    pub fn without(&self, name: &str) -> Scopes {
        Scopes(self.0.iter().filter(|own| *own != name).cloned().collect())
    }

    /// Tells whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Tells whether `name` is a scope token: printable ASCII without space, `"` and `\`.
pub fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_sets() {
        let scopes = Scopes::parse("openid  email openid profile").unwrap();
        assert_eq!(scopes.to_string(), "email openid profile");
        assert!(scopes.covers(&Scopes::parse("openid").unwrap()));
        assert!(!scopes.covers(&Scopes::parse("openid groups").unwrap()));
        assert_eq!(scopes, Scopes::parse("profile email openid").unwrap());
        for bad in ["a\"b", "a\\b", "a\tb", "ä", &"x ".repeat(65)] {
            assert!(Scopes::parse(bad).is_none(), "{bad}");
        }
    }
}
