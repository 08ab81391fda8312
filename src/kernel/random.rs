//! Randomness, passed in and only ever from the operating system (KEY-06).

use std::sync::Arc;

/// A source of cryptographically secure random bytes.
pub trait Source: Send + Sync + 'static {
    /// Fills `buffer` entirely.
    fn fill(&self, buffer: &mut [u8]);
}

struct OsSource;

impl Source for OsSource {
    fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            // KEY-06: without randomness every secret made from here on would be guessable.
            tracing::error!("the operating system gave no random bytes; stopping");
            std::process::abort();
        }
    }
}

/// A shared source of randomness.
#[derive(Clone)]
pub struct Random(Arc<dyn Source>);

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Uses the operating system's generator.
    pub fn os() -> Self {
        Random(Arc::new(OsSource))
    }

    /// Uses `source`; for tests that need repeatable bytes.
    pub fn from_source(source: impl Source) -> Self {
        Random(Arc::new(source))
    }

    /// Fills `buffer` entirely.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}
