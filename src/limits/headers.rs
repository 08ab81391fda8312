//! Rate limits as response fields: draft-ietf-httpapi-ratelimit-headers-10 and `Retry-After` (RFC 9110 section 10.2.3).

use std::time::Duration;

use super::Verdict;

/// Gives the fields that tell a client about a limit to `add`, name and value. `name` is the name of the rule:
/// lower-case letters, digits, `-`, `_` and `.`; nothing else of it is shown.
///
/// Do not send counts of a limit that is keyed by an account before the person has signed in: they would tell
/// whether others try that account.
pub fn rate_limit_headers(name: &str, verdict: &Verdict, mut add: impl FnMut(&'static str, &str)) {
    // Every API answer has two of these, so they share one buffer.
    let mut text = String::with_capacity(64);
    field(&mut text, name, [("q", verdict.limit.into()), ("w", whole_seconds(verdict.window))]);
    add("ratelimit-policy", &text);
    text.clear();
    field(&mut text, name, [("r", verdict.remaining.into()), ("t", whole_seconds(verdict.reset_after))]);
    add("ratelimit", &text);
    if !verdict.allowed {
        add("retry-after", itoa::Buffer::new().format(whole_seconds(verdict.retry_after).max(1)));
    }
}

/// Writes a string with two numbers as parameters (RFC 9651 section 3.1.2).
fn field(text: &mut String, name: &str, parameters: [(&str, u64); 2]) {
    text.push('"');
    text.extend(
        name.chars().filter(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character)),
    );
    text.push('"');
    for (key, number) in parameters {
        text.push(';');
        text.push_str(key);
        text.push('=');
        text.push_str(itoa::Buffer::new().format(number));
    }
}

/// Rounds up: a client that waits this long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
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
        let login = |verdict: &Verdict| {
            let mut fields = Vec::new();
            rate_limit_headers("lo\"gin", verdict, |name, value| fields.push((name, value.to_owned())));
            fields
        };
        assert_eq!(
            login(&verdict),
            [
                ("ratelimit-policy", "\"login\";q=5;w=300".to_owned()),
                ("ratelimit", "\"login\";r=2;t=180".to_owned())
            ]
        );
        (verdict.allowed, verdict.remaining, verdict.retry_after) = (false, 0, Duration::from_millis(1));
        assert_eq!(login(&verdict)[2], ("retry-after", "1".to_owned()));
    }
}
