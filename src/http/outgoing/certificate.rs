//! When a certificate ends (RFC 5280 section 4.1.2.5), read from its DER. Whether it is to be believed was decided before.

use std::time::Duration;

use crate::kernel::time::Timestamp;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// Returns the end of validity; `None` if this is no certificate.
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = content(der, SEQUENCE)?;
    let (to_be_signed, _) = content(certificate, SEQUENCE)?;
    let mut rest = to_be_signed;
    if rest.first() == Some(&VERSION) {
        rest = skip(rest)?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = skip(rest)?;
    }
    let (validity, _) = content(rest, SEQUENCE)?;
    let end = skip(validity)?;
    match *end.first()? {
        tag @ UTC_TIME => {
            let (text, _) = content(end, tag)?;
            let (year, text) = number(text, 2)?;
            // Two digits mean 1950 to 2049.
            moment(if year >= 50 { 1900 + year } else { 2000 + year }, text)
        }
        tag @ GENERALIZED_TIME => {
            let (text, _) = content(end, tag)?;
            let (year, text) = number(text, 4)?;
            moment(year, text)
        }
        _ => None,
    }
}

/// Splits off a value with this tag: its content, and what follows.
fn content(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    if first != tag {
        return None;
    }
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 3))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    content(der, *der.first()?).map(|(_, rest)| rest)
}

fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    if !head.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((head.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest))
}

fn moment(year: u64, text: &[u8]) -> Option<Timestamp> {
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    (text == b"Z").then_some(())?;
    at(year, month, day, (hour, minute, second))
}

/// Returns a moment of the calendar; `None` if there is none such. A leap second is the next one.
fn at(year: u64, month: u64, day: u64, (hour, minute, second): (u64, u64, u64)) -> Option<Timestamp> {
    let midnight = Timestamp::of_civil_date(year, month, day)?;
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then(|| midnight.plus(Duration::from_secs(hour * 3_600 + minute * 60 + second)))
}

/// Reads a date of HTTP in the form that servers must write (RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    (words.next() == Some("GMT")).then_some(())?;
    at(year, month, day, (hour, minute, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let inner = parts.concat();
        let mut der = vec![tag];
        if inner.len() > 127 {
            der.extend([0x82, (inner.len() >> 8) as u8, inner.len() as u8]);
        } else {
            der.push(inner.len() as u8);
        }
        der.extend(inner);
        der
    }

    fn certificate(end: &[u8]) -> Vec<u8> {
        let validity = wrap(SEQUENCE, &[&wrap(UTC_TIME, &[b"260101000000Z"]), end]);
        let parts = [
            wrap(VERSION, &[&[2, 1, 2]]),
            wrap(2, &[&[1; 20]]),
            wrap(SEQUENCE, &[]),
            wrap(SEQUENCE, &[&[5; 200]]),
            validity,
        ];
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        wrap(SEQUENCE, &[&wrap(SEQUENCE, &parts)])
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let end = not_after(&certificate(&wrap(UTC_TIME, &[b"270301120001Z"])));
        assert_eq!(end, Some(Timestamp::from_secs(1_803_902_401)));
        let end = not_after(&certificate(&wrap(GENERALIZED_TIME, &[b"20700228235959Z"])));
        assert_eq!(end, Some(Timestamp::from_secs(3_160_857_599)));
        let whole = certificate(&wrap(UTC_TIME, &[b"270301120001Z"]));
        for cut in 0..whole.len() {
            assert_eq!(not_after(whole.get(..cut).unwrap()), None, "{cut}");
        }
        assert_eq!(not_after(&certificate(&wrap(UTC_TIME, &[b"2703011200Z"]))), None);
    }

    #[test]
    fn a_date_of_http_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_secs(784_111_777)));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(Timestamp::from_secs(1_709_164_800)));
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Fri, 30 Feb 2024 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 18446744073709551615:00:00 GMT",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
            "Sun, 18446744073709551615 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }
}
