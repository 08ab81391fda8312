//! Moments as people read them.

use super::time::Timestamp;
use crate::words::Words;

/// A moment: machine-readable for `<time datetime>`, and a text for readers without scripts. A script turns the
/// text into the visitor's own time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// RFC 3339, UTC.
    pub iso: String,
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        When { iso: at.to_rfc3339() }
    }
}

impl When {
    /// Returns the moment in a language: `12 Nov 2026, 14:02 UTC`.
    pub fn in_words(&self, t: &Words) -> String {
        self.parts(t).unwrap_or_else(|| self.iso.clone())
    }

    fn parts(&self, t: &Words) -> Option<String> {
        let (date, time) = self.iso.split_once('T')?;
        let [year, month, day] = *date.splitn(3, '-').collect::<Vec<_>>() else { return None };
        let month = month.parse::<usize>().ok()?.checked_sub(1)?;
        let month = t.ui_months().split(' ').nth(month)?;
        Some(t.ui_moment(time.get(..5)?, day.trim_start_matches('0'), month, year))
    }
}
