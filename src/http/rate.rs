//! What answers say of rate limits: draft-ietf-httpapi-ratelimit-headers-10 and `Retry-After` (RFC 9110 section 10.2.3).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::limits::Verdict;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// What clients are told of one rule. What it allows is always the same, so that is written once.
pub struct RateFields {
    rule: &'static str,
    limit: u32,
    window: Duration,
    policy: HeaderValue,
    start: OnceLock<Arc<str>>,
}

/// What is left of a rule, ready to be written into an answer.
#[derive(Debug)]
pub(super) struct RateStanding {
    /// The policy, and the beginning of the other field.
    start: Arc<str>,
    remaining: u32,
    /// In whole seconds.
    reset_after: u64,
}

impl RateStanding {
    /// Writes the lines, each with its CRLF.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.start.as_bytes());
        for (key, number) in [(";r=", self.remaining.into()), (";t=", self.reset_after)] {
            text.extend_from_slice(key.as_bytes());
            text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
    }
}

impl RateFields {
    /// Tells of a rule by name: letters, digits, `-`, `_` and `.`; nothing else of it is shown.
    pub fn new(rule: &'static str, limit: u32, window: Duration) -> Self {
        RateFields { rule, limit, window, policy: policy(rule, limit, window), start: OnceLock::new() }
    }

    /// Returns what is left, for an answer to a request that was allowed. See [`RateFields::of`].
    pub(super) fn standing(&self, verdict: &Verdict) -> RateStanding {
        let start = if self.is_usual(verdict) {
            self.start.get_or_init(|| start(self.rule, &self.policy)).clone()
        } else {
            start(self.rule, &policy(self.rule, verdict.limit, verdict.window))
        };
        RateStanding { start, remaining: verdict.remaining, reset_after: whole_seconds(verdict.reset_after) }
    }

    /// Tells whether a verdict is by this very rule: a place may be allowed several times as much as one address.
    fn is_usual(&self, verdict: &Verdict) -> bool {
        (verdict.limit, verdict.window) == (self.limit, self.window)
    }

    /// Returns the fields for an answer that `verdict` was given to.
    ///
    /// Do not send counts of a limit that is keyed by an account before the person has signed in: they would tell
    /// whether others try that account.
    pub fn of(&self, verdict: &Verdict) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let policy = if self.is_usual(verdict) {
            self.policy.clone()
        } else {
            policy(self.rule, verdict.limit, verdict.window)
        };
        let standing =
            field(self.rule, [("r", verdict.remaining.into()), ("t", whole_seconds(verdict.reset_after))]);
        let wait = (!verdict.allowed).then(|| HeaderValue::from(whole_seconds(verdict.retry_after).max(1)));
        let both = [(POLICY.clone(), policy), (STANDING.clone(), standing)];
        both.into_iter().chain(wait.map(|wait| (header::RETRY_AFTER, wait)))
    }
}

fn policy(rule: &str, limit: u32, window: Duration) -> HeaderValue {
    field(rule, [("q", limit.into()), ("w", whole_seconds(window))])
}

/// Returns a rule's policy as a line, and the beginning of the line that says what is left.
fn start(rule: &str, policy: &HeaderValue) -> Arc<str> {
    format!("{POLICY}: {}\r\n{STANDING}: {}", policy.to_str().unwrap_or_default(), quoted(rule)).into()
}

/// Writes a string with two numbers as parameters (RFC 9651 section 3.1.2).
fn field(name: &str, [(one, first), (other, second)]: [(&str, u64); 2]) -> HeaderValue {
    let text = format!("{};{one}={first};{other}={second}", quoted(name));
    HeaderValue::from_str(&text).unwrap_or(const { HeaderValue::from_static("") })
}

fn quoted(name: &str) -> String {
    let plain =
        name.chars().filter(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character));
    format!("\"{}\"", plain.collect::<String>())
}

/// Rounds up: a client that waits this long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Reservation;

    #[test]
    fn the_fields_are_those_of_the_draft() {
        let mut verdict = Verdict {
            allowed: true,
            limit: 5,
            remaining: 2,
            retry_after: Duration::ZERO,
            reset_after: Duration::from_millis(179_100),
            window: Duration::from_secs(300),
            reservation: Reservation::NONE,
        };
        let told = |fields: &RateFields, verdict: &Verdict| -> Vec<String> {
            let told: Vec<_> = fields
                .of(verdict)
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            let mut text = Vec::new();
            fields.standing(verdict).write(&mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("{}\r\n{}\r\n", told[0], told[1]));
            told
        };
        let login = RateFields::new("lo\"gin", 5, Duration::from_secs(300));
        assert_eq!(
            told(&login, &verdict),
            [r#"ratelimit-policy: "login";q=5;w=300"#, r#"ratelimit: "login";r=2;t=180"#]
        );
        verdict.limit = 20;
        assert_eq!(told(&login, &verdict)[0], r#"ratelimit-policy: "login";q=20;w=300"#);
        (verdict.allowed, verdict.remaining, verdict.retry_after) = (false, 0, Duration::from_millis(1));
        assert_eq!(told(&login, &verdict)[2], "retry-after: 1");
    }

    #[test]
    fn the_longest_numbers_fit() {
        let name = "a-rule-with-a-very-long-name";
        let text = format!("\"{name}\";q={};w={}", u32::MAX, u64::MAX);
        assert_eq!(policy(name, u32::MAX, Duration::MAX), text);
    }
}
