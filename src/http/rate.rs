//! What answers say of rate limits: draft-ietf-httpapi-ratelimit-headers-10 and `Retry-After` (RFC 9110 section 10.2.3).

use std::io::{Cursor, Write as _};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::limits::Verdict;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// More than a name and two numbers take.
const LONGEST: usize = 96;

/// What clients are told of one rule. What it allows is always the same, so that is written once.
pub struct RateFields {
    rule: &'static str,
    limit: u32,
    window: Duration,
    policy: HeaderValue,
}

impl RateFields {
    /// Tells of a rule by name: letters, digits, `-`, `_` and `.`; nothing else of it is shown.
    pub fn new(rule: &'static str, limit: u32, window: Duration) -> Self {
        RateFields { rule, limit, window, policy: policy(rule, limit, window) }
    }

    /// Returns the fields for an answer that `verdict` was given to.
    ///
    /// Do not send counts of a limit that is keyed by an account before the person has signed in: they would tell
    /// whether others try that account.
    pub fn of(&self, verdict: &Verdict) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // A place may be allowed several times as much as one address.
        let is_usual = (verdict.limit, verdict.window) == (self.limit, self.window);
        let policy =
            if is_usual { self.policy.clone() } else { policy(self.rule, verdict.limit, verdict.window) };
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

/// Writes a string with two numbers as parameters (RFC 9651 section 3.1.2). On the stack, because most answers to
/// programs have one.
fn field(name: &str, parameters: [(&str, u64); 2]) -> HeaderValue {
    let mut text = Cursor::new([0; LONGEST]);
    let mut put = |part: &[u8]| {
        let _ = text.write_all(part);
    };
    put(b"\"");
    for byte in name.bytes().filter(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)) {
        put(&[byte]);
    }
    put(b"\"");
    for (key, number) in parameters {
        put(b";");
        put(key.as_bytes());
        put(b"=");
        put(itoa::Buffer::new().format(number).as_bytes());
    }
    let length = usize::try_from(text.position()).unwrap_or(0);
    let value = text.get_ref().get(..length).and_then(|value| HeaderValue::from_bytes(value).ok());
    value.unwrap_or(const { HeaderValue::from_static("") })
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
            fields.of(verdict).map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
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
