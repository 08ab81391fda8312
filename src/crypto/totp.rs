//! Time-based one-time codes: RFC 6238 with SHA-1, six digits and steps of 30 seconds, which every app supports. A key
//! that was made elsewhere may have another hash, eight digits or other steps.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::kernel::random::Random;
use crate::kernel::secret::Secret;
use crate::kernel::time::Timestamp;

/// Seconds of one step.
pub const STEP_SECONDS: u64 = 30;
/// Steps before and after the present one that are accepted (OTP-03).
const WINDOW: u64 = 1;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A seed of 160 bits (OTP-01).
#[derive(Clone)]
pub struct TotpSecret(Secret<[u8; 20]>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

impl TotpSecret {
    /// Makes a fresh seed.
    pub fn random(random: &Random) -> Self {
        TotpSecret(Secret::new(random.bytes()))
    }

    /// Takes the 20 bytes of a seed.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        TotpSecret(Secret::new(bytes))
    }

    /// Takes exactly 20 bytes, as opened from the store.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }

    /// Gives the bytes to code that seals them.
    pub fn expose(&self) -> &[u8; 20] {
        self.0.expose()
    }

    /// Returns the seed as a person types it into an app: 32 characters of base32.
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.expose()))
    }
}

/// The hash of a code (RFC 6238 section 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TotpAlgorithm {
    /// HMAC-SHA-1, which every app supports.
    #[serde(rename = "SHA1")]
    Sha1,
    /// HMAC-SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
    /// HMAC-SHA-512.
    #[serde(rename = "SHA512")]
    Sha512,
}

impl TotpAlgorithm {
    /// Parses the name in `otpauth://` addresses, in either case.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "SHA1" => Some(TotpAlgorithm::Sha1),
            "SHA256" => Some(TotpAlgorithm::Sha256),
            "SHA512" => Some(TotpAlgorithm::Sha512),
            _ => None,
        }
    }
}

/// A seed with the way its codes are made.
#[derive(Clone)]
pub struct TotpKey {
    secret: Secret<Vec<u8>>,
    algorithm: TotpAlgorithm,
    digits: u8,
    period: u32,
}

impl From<&TotpSecret> for TotpKey {
    fn from(secret: &TotpSecret) -> Self {
        TotpKey {
            secret: Secret::new(secret.expose().to_vec()),
            algorithm: TotpAlgorithm::Sha1,
            digits: 6,
            period: 30,
        }
    }
}

impl TotpKey {
    /// Puts a key together: a seed of 128 bits (RFC 4226 section 4) to 128 bytes, six or eight digits, steps of 15 to 90
    /// seconds. `None` for anything else.
    pub fn build(secret: &[u8], algorithm: TotpAlgorithm, digits: u8, period: u32) -> Option<Self> {
        let is_sound =
            (16..=128).contains(&secret.len()) && matches!(digits, 6 | 8) && (15..=90).contains(&period);
        is_sound.then(|| TotpKey { secret: Secret::new(secret.to_vec()), algorithm, digits, period })
    }

    /// Returns how many digits a code has.
    pub fn digits(&self) -> u8 {
        self.digits
    }

    /// Returns the seconds of a step.
    pub fn period(&self) -> u32 {
        self.period
    }

    /// Returns the hash.
    pub fn algorithm(&self) -> TotpAlgorithm {
        self.algorithm
    }

    /// Gives the seed to code that seals it.
    pub fn expose(&self) -> &[u8] {
        self.secret.expose()
    }

    /// Returns the step that `now` lies in.
    pub fn step_at(&self, now: Timestamp) -> u64 {
        now.as_secs() / u64::from(self.period.max(1))
    }

    /// Returns the code of a step (RFC 4226 section 5.3).
    pub fn code_at(&self, step: u64) -> String {
        let (number, width) = (self.truncated(step), usize::from(self.digits));
        format!("{:0width$}", number % 10_u32.saturating_pow(u32::from(self.digits)))
    }

    fn truncated(&self, step: u64) -> u32 {
        let key = self.secret.expose();
        let digest = match self.algorithm {
            TotpAlgorithm::Sha1 => hmac_of::<Hmac<Sha1>>(key, step),
            TotpAlgorithm::Sha256 => hmac_of::<Hmac<Sha256>>(key, step),
            TotpAlgorithm::Sha512 => hmac_of::<Hmac<Sha512>>(key, step),
        };
        let offset = usize::from(digest.last().copied().unwrap_or(0) & 0x0f);
        let word = digest.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        u32::from_be_bytes(word) & 0x7fff_ffff
    }

    /// Checks a typed code. Returns the step it belongs to, which the caller must store, by compare-and-swap, as the
    /// new `last_step` before it acts on the code (OTP-04). The step before, at, and after `now` count, and only those
    /// later than `last_step`. A replayed code answers like a wrong one (OTP-05).
    pub fn verify(&self, code: &str, now: Timestamp, last_step: Option<u64>) -> Option<u64> {
        let code = canonical_code_of(code, self.digits)?;
        let present = self.step_at(now);
        let mut matched = None;
        for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
            // All three are always computed and compared: the time tells nothing about which one it was.
            let is_equal: bool = self.code_at(step).as_bytes().ct_eq(code.as_bytes()).into();
            let is_new = last_step.is_none_or(|last| step > last);
            if is_equal && is_new {
                matched = Some(step);
            }
        }
        matched
    }
}

/// HMAC takes a key of any length, so the error of the general trait cannot come.
fn hmac_of<M: Mac + KeyInit>(key: &[u8], step: u64) -> Zeroizing<Vec<u8>> {
    let Ok(mut mac) = M::new_from_slice(key) else { return Zeroizing::default() };
    mac.update(&step.to_be_bytes());
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// Returns the step that `now` lies in, for a seed of our own.
pub fn step_at(now: Timestamp) -> u64 {
    now.as_secs() / STEP_SECONDS
}

/// Returns the six-digit code of a step (RFC 4226 section 5.3), for a seed of our own.
pub fn code_at(secret: &TotpSecret, step: u64) -> String {
    TotpKey::from(secret).code_at(step)
}

/// Brings a typed code to six ASCII digits; spaces do not matter. `None` if it cannot be a code (OTP-05).
pub fn canonical_code(typed: &str) -> Option<String> {
    canonical_code_of(typed, 6)
}

fn canonical_code_of(typed: &str, digits: u8) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let code: String = typed.chars().filter(|character| !character.is_whitespace()).collect();
    (code.len() == usize::from(digits) && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// As [`TotpKey::verify`], for a seed of our own.
pub fn verify(secret: &TotpSecret, code: &str, now: Timestamp, last_step: Option<u64>) -> Option<u64> {
    TotpKey::from(secret).verify(code, now, last_step)
}

/// Returns the `otpauth://` URI that authenticator apps read. It holds the seed.
pub fn otpauth_uri(issuer: &str, account: &str, secret: &TotpSecret) -> Zeroizing<String> {
    let issuer = utf8_percent_encode(issuer, RESERVED);
    let account = utf8_percent_encode(account, RESERVED);
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP_SECONDS}",
        *secret.to_base32()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc_secret() -> TotpSecret {
        TotpSecret::from_bytes(*b"12345678901234567890")
    }

    #[test]
    fn codes_match_rfc_6238_appendix_b() {
        for (seconds, last_six_digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_secs(seconds);
            assert_eq!(code_at(&rfc_secret(), step_at(now)), last_six_digits);
            assert_eq!(verify(&rfc_secret(), last_six_digits, now, None), Some(seconds / 30));
        }
    }

    /// All columns of the table, with eight digits; the seed is as long as the hash, as its errata say.
    #[test]
    fn codes_of_every_hash_match_rfc_6238_appendix_b() {
        let key = |algorithm, length| {
            let seed: Vec<u8> = b"1234567890".iter().copied().cycle().take(length).collect();
            TotpKey::build(&seed, algorithm, 8, 30).unwrap()
        };
        let keys =
            [key(TotpAlgorithm::Sha1, 20), key(TotpAlgorithm::Sha256, 32), key(TotpAlgorithm::Sha512, 64)];
        for (seconds, codes) in [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ] {
            for (key, code) in keys.iter().zip(codes) {
                let now = Timestamp::from_secs(seconds);
                assert_eq!(key.verify(code, now, None), Some(seconds / 30), "{code}");
                assert_eq!(key.verify(&code[2..], now, None), None, "six digits of eight");
            }
        }
    }

    #[test]
    fn keys_from_elsewhere_are_bounded() {
        let build = |length, digits, period| {
            TotpKey::build(&vec![7; length], TotpAlgorithm::Sha1, digits, period).is_some()
        };
        assert!(build(20, 6, 30) && build(16, 8, 15) && build(128, 6, 90));
        for (length, digits, period) in [
            (0, 6, 30),
            (15, 6, 30),
            (129, 6, 30),
            (20, 0, 30),
            (20, 7, 30),
            (20, 10, 30),
            (20, 6, 0),
            (20, 6, 3600),
        ] {
            assert!(!build(length, digits, period), "{length} {digits} {period}");
        }
    }

    #[test]
    fn codes_match_rfc_4226_appendix_d() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in codes.iter().enumerate() {
            assert_eq!(code_at(&rfc_secret(), counter as u64), *code);
        }
    }

    /// OTP-03: one step to either side, no more.
    #[test]
    fn only_the_neighbouring_steps_are_accepted() {
        let now = Timestamp::from_secs(3_000_000);
        let present = step_at(now);
        for (step, is_accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let step = present.checked_add_signed(step).unwrap();
            let found = verify(&rfc_secret(), &code_at(&rfc_secret(), step), now, None);
            assert_eq!(found, is_accepted.then_some(step));
        }
    }

    /// OTP-04: a step that was used, and every step before it, is refused.
    #[test]
    fn a_used_step_and_all_before_it_are_refused() {
        let now = Timestamp::from_secs(3_000_000);
        let present = step_at(now);
        let code = code_at(&rfc_secret(), present);
        assert_eq!(verify(&rfc_secret(), &code, now, Some(present - 1)), Some(present));
        assert_eq!(verify(&rfc_secret(), &code, now, Some(present)), None);
        assert_eq!(verify(&rfc_secret(), &code, now, Some(present + 1)), None);
    }

    /// OTP-05: spelling variants of a code are one code.
    #[test]
    fn a_code_is_six_ascii_digits_after_spaces_are_removed() {
        assert_eq!(canonical_code(" 287 082\n").as_deref(), Some("287082"));
        for bad in ["", "28708", "2870822", "28708a", "+87082", "２８７０８２", "287-082", &" ".repeat(70)]
        {
            assert_eq!(canonical_code(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_steps_of_time_do_not_overflow() {
        assert_eq!(verify(&rfc_secret(), "755224", Timestamp::ZERO, None), Some(0));
        assert_eq!(verify(&rfc_secret(), "000000", Timestamp::from_millis(u64::MAX), None), None);
    }

    #[test]
    fn the_uri_escapes_what_could_end_it_early() {
        let uri = otpauth_uri("Home & Co", "ada:x?y@example.org", &rfc_secret());
        assert_eq!(
            uri.as_str(),
            "otpauth://totp/Home%20%26%20Co:ada%3Ax%3Fy%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Home%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }

    /// OTP-01, KEY-05
    #[test]
    fn a_seed_has_160_bits_and_no_debug_output() {
        let secret = TotpSecret::random(&Random::os());
        assert_eq!(secret.to_base32().len(), 32);
        assert_eq!(format!("{secret:?}"), "TotpSecret");
        assert!(TotpSecret::from_slice(&[0; 19]).is_none());
    }
}
