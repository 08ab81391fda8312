//! Password hashes that other sign-in servers made: read, bounded, and compared once, before a hash of our own takes
//! their place. Nothing here makes such a hash for keeping.
//!
//! Formats: argon2 in PHC form; bcrypt (`$2a$`, `$2b$`, `$2y$`) and passlib's `$bcrypt-sha256$` version 2; scrypt in PHC
//! form (RFC 7914); PBKDF2 in the modular crypt format of passlib (RFC 8018); SHA-256- and SHA-512-crypt (Drepper,
//! "Unix crypt using SHA-256 and SHA-512", 0.6).

use blowfish::Blowfish;
use data_encoding::{BASE64, BASE64_NOPAD};
use hmac::Mac as _;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use super::argon::{Memory, StoredHash};
use super::mac;
use crate::kernel::secret::ct_eq;

/// The longest text that is read.
const MAX_TEXT: usize = 512;
/// What one comparison may cost at most: about two seconds and 64 MiB on a small machine. Whoever could store a dearer
/// hash could keep a thread busy with every wrong password (PWD-05).
const MAX_BCRYPT_COST: u32 = 14;
const MAX_SCRYPT_BYTES: u64 = 64 * 1024 * 1024;
const MAX_SCRYPT_LANES: u32 = 4;
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;
const MAX_SHA_CRYPT_ROUNDS: u32 = 500_000;

const BCRYPT_ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const CRYPT_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const MALFORMED: &str = "Its password hash is damaged.";
const TOO_DEAR: &str = "Its password hash takes too much time or memory to compute.";
const UNKNOWN: &str = "Its password hash is of a kind that cannot be read here.";

/// A hash from elsewhere, parsed and within bounds.
#[derive(Clone)]
pub struct ForeignHash(Kind);

#[derive(Clone)]
enum Kind {
    Argon2(StoredHash),
    Bcrypt { cost: u32, salt: Vec<u8>, salt_text: Vec<u8>, hash: Vec<u8>, is_prehashed: bool },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, hash: Vec<u8> },
    Pbkdf2 { digest: Digest, rounds: u32, salt: Vec<u8>, hash: Vec<u8> },
    ShaCrypt { is_512: bool, params: sha_crypt::Params, salt: Vec<u8>, hash: Vec<u8> },
}

#[derive(Clone, Copy)]
enum Digest {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl ForeignHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// A sentence for the administrator; it repeats nothing of the hash.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_TEXT {
            return Err(MALFORMED);
        }
        let name = text.strip_prefix('$').and_then(|rest| rest.split('$').next()).ok_or(UNKNOWN)?;
        let fields: Vec<&str> = text.split('$').skip(2).collect();
        let kind = match (name, fields.as_slice()) {
            ("argon2id" | "argon2i" | "argon2d", _) => argon2(text)?,
            ("2a" | "2b" | "2y", [cost, rest]) => {
                let (salt, hash) = rest.split_at_checked(22).ok_or(MALFORMED)?;
                bcrypt_of(cost, salt, hash, false)?
            }
            ("bcrypt-sha256", [options, salt, hash]) => {
                bcrypt_of(prehashed_cost(options)?, salt, hash, true)?
            }
            ("scrypt", [options, salt, hash]) => scrypt_of(options, salt, hash)?,
            (name, [rounds, salt, hash]) if name.starts_with("pbkdf2") => {
                pbkdf2_of(digest(name)?, rounds, salt, hash)?
            }
            ("5" | "6", [salt, hash]) => sha_crypt_of(name == "6", None, salt, hash)?,
            ("5" | "6", [options, salt, hash]) => sha_crypt_of(name == "6", Some(options), salt, hash)?,
            ("2a" | "2b" | "2y" | "bcrypt-sha256" | "scrypt" | "5" | "6", _) => return Err(MALFORMED),
            _ => return Err(UNKNOWN),
        };
        Ok(ForeignHash(kind))
    }

    /// Returns what kind of hash it is, for a report.
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Argon2(_) => "argon2",
            Kind::Bcrypt { .. } => "bcrypt",
            Kind::Scrypt { .. } => "scrypt",
            Kind::Pbkdf2 { .. } => "pbkdf2",
            Kind::ShaCrypt { is_512: true, .. } => "sha512-crypt",
            Kind::ShaCrypt { is_512: false, .. } => "sha256-crypt",
        }
    }

    /// Returns a hash that costs the same and that no password has: work for a name that is nobody's (ENU-01).
    #[must_use]
    pub fn decoy(&self) -> Self {
        let mut decoy = self.clone();
        let (salt, hash) = match &mut decoy.0 {
            Kind::Argon2(stored) => (&mut stored.salt, &mut stored.hash),
            Kind::Bcrypt { salt, hash, .. }
            | Kind::Scrypt { salt, hash, .. }
            | Kind::Pbkdf2 { salt, hash, .. }
            | Kind::ShaCrypt { salt, hash, .. } => (salt, hash),
        };
        salt.fill(b'0');
        hash.fill(0);
        decoy
    }

    /// Tells whether `password` is the one, byte for byte as it was typed. `None` if there is no memory for it.
    pub(crate) fn matches(&self, password: &[u8], memory: &mut Memory) -> Option<bool> {
        match &self.0 {
            Kind::Argon2(stored) => stored.matches(password, None, memory),
            Kind::Bcrypt { cost, salt, salt_text, hash, is_prehashed } => {
                let computed = if *is_prehashed {
                    let digest = prehash(salt_text, password);
                    bcrypt(*cost, salt, Zeroizing::new(BASE64.encode(&*digest)).as_bytes())
                } else {
                    bcrypt(*cost, salt, password)
                };
                Some(ct_eq(&encode(&computed, BCRYPT_ALPHABET), hash))
            }
            Kind::Scrypt { params, salt, hash } => {
                let mut computed = Zeroizing::new(vec![0; hash.len()]);
                scrypt::scrypt(password, salt, params, &mut computed).ok()?;
                Some(ct_eq(&computed, hash))
            }
            Kind::Pbkdf2 { digest, rounds, salt, hash } => {
                let mut computed = Zeroizing::new(vec![0; hash.len()]);
                match digest {
                    Digest::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, *rounds, &mut computed),
                    Digest::Sha224 => pbkdf2_hmac::<Sha224>(password, salt, *rounds, &mut computed),
                    Digest::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut computed),
                    Digest::Sha384 => pbkdf2_hmac::<Sha384>(password, salt, *rounds, &mut computed),
                    Digest::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut computed),
                }
                Some(ct_eq(&computed, hash))
            }
            Kind::ShaCrypt { is_512, params, salt, hash } => {
                let computed = if *is_512 {
                    crypt_text_512(&sha_crypt::sha512_crypt(password, salt, *params))
                } else {
                    crypt_text_256(&sha_crypt::sha256_crypt(password, salt, *params))
                };
                Some(ct_eq(&computed, hash))
            }
        }
    }
}

fn argon2(text: &str) -> Result<Kind, &'static str> {
    match StoredHash::parse(text) {
        Some(stored) if stored.key_id.is_empty() => Ok(Kind::Argon2(stored)),
        Some(_) => Err(MALFORMED),
        // Parsing does not tell a cost beyond the bounds from damage; the parameters alone may.
        None if text.contains("$m=") => {
            Err("Its password hash is damaged, or takes too much time or memory.")
        }
        None => Err(MALFORMED),
    }
}

fn bcrypt_of(cost: &str, salt: &str, hash: &str, is_prehashed: bool) -> Result<Kind, &'static str> {
    let cost = number(cost.strip_prefix('0').filter(|rest| rest.len() == 1).unwrap_or(cost))?;
    let salt_text = salt.as_bytes().to_vec();
    let salt = decode(&salt_text, BCRYPT_ALPHABET).ok_or(MALFORMED)?;
    let is_text = hash.bytes().all(|byte| BCRYPT_ALPHABET.contains(&byte));
    if salt.len() != 16 || hash.len() != 31 || !is_text || cost < 4 {
        return Err(MALFORMED);
    }
    if cost > MAX_BCRYPT_COST {
        return Err(TOO_DEAR);
    }
    Ok(Kind::Bcrypt { cost, salt, salt_text, hash: hash.as_bytes().to_vec(), is_prehashed })
}

/// Reads `v=2,t=2b,r=12`, in any order.
fn prehashed_cost(options: &str) -> Result<&str, &'static str> {
    let mut cost = None;
    let mut version = None;
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("v", value)) => version = Some(value),
            Some(("t", "2a" | "2b" | "2y")) => {}
            Some(("r", value)) => cost = Some(value),
            _ => return Err(MALFORMED),
        }
    }
    if version == Some("2") { cost.ok_or(MALFORMED) } else { Err(UNKNOWN) }
}

fn scrypt_of(options: &str, salt: &str, hash: &str) -> Result<Kind, &'static str> {
    let (mut log_n, mut r, mut p) = (None, None, None);
    for option in options.split(',') {
        let (name, value) = option.split_once('=').ok_or(MALFORMED)?;
        let value = number(value)?;
        match name {
            "ln" => log_n = Some(value),
            "r" => r = Some(value),
            "p" => p = Some(value),
            _ => return Err(MALFORMED),
        }
    }
    let (log_n, r, p) = (log_n.ok_or(MALFORMED)?, r.ok_or(MALFORMED)?, p.ok_or(MALFORMED)?);
    if !(1..=63).contains(&log_n) || r == 0 || p == 0 {
        return Err(MALFORMED);
    }
    let bytes = 1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(u64::from(r)));
    let is_cheap = bytes.and_then(|bytes| bytes.checked_mul(128)).is_some_and(|b| b <= MAX_SCRYPT_BYTES);
    if !is_cheap || p > MAX_SCRYPT_LANES {
        return Err(TOO_DEAR);
    }
    let log_n = u8::try_from(log_n).map_err(|_| MALFORMED)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| MALFORMED)?;
    let salt = BASE64_NOPAD.decode(salt.as_bytes()).map_err(|_| MALFORMED)?;
    let hash = BASE64_NOPAD.decode(hash.as_bytes()).map_err(|_| MALFORMED)?;
    Ok(Kind::Scrypt { params, salt, hash: sound_hash(hash)? })
}

fn digest(name: &str) -> Result<Digest, &'static str> {
    Ok(match name {
        "pbkdf2" | "pbkdf2-sha1" => Digest::Sha1,
        "pbkdf2-sha224" => Digest::Sha224,
        "pbkdf2-sha256" => Digest::Sha256,
        "pbkdf2-sha384" => Digest::Sha384,
        "pbkdf2-sha512" => Digest::Sha512,
        _ => return Err(UNKNOWN),
    })
}

fn pbkdf2_of(digest: Digest, rounds: &str, salt: &str, hash: &str) -> Result<Kind, &'static str> {
    let rounds = number(rounds)?;
    if rounds == 0 {
        return Err(MALFORMED);
    }
    if rounds > MAX_PBKDF2_ROUNDS {
        return Err(TOO_DEAR);
    }
    // passlib's own base64: a dot where others have a plus.
    let adapted = |text: &str| BASE64_NOPAD.decode(text.replace('.', "+").as_bytes()).map_err(|_| MALFORMED);
    Ok(Kind::Pbkdf2 { digest, rounds, salt: adapted(salt)?, hash: sound_hash(adapted(hash)?)? })
}

/// A hash of a few bytes would let many passwords in; a long one only costs time.
fn sound_hash(hash: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if (16..=64).contains(&hash.len()) { Ok(hash) } else { Err(MALFORMED) }
}

fn sha_crypt_of(is_512: bool, options: Option<&str>, salt: &str, hash: &str) -> Result<Kind, &'static str> {
    let params = match options {
        None => sha_crypt::Params::default(),
        Some(options) => {
            let rounds = number(options.strip_prefix("rounds=").ok_or(MALFORMED)?)?;
            if rounds > MAX_SHA_CRYPT_ROUNDS {
                return Err(TOO_DEAR);
            }
            sha_crypt::Params::new(rounds).map_err(|_| MALFORMED)?
        }
    };
    let length = if is_512 { 86 } else { 43 };
    let is_text = hash.bytes().all(|byte| CRYPT_ALPHABET.contains(&byte));
    if salt.len() > 16 || hash.len() != length || !is_text {
        return Err(MALFORMED);
    }
    Ok(Kind::ShaCrypt { is_512, params, salt: salt.as_bytes().to_vec(), hash: hash.as_bytes().to_vec() })
}

/// Decimal digits only, no sign and no leading zero.
fn number(text: &str) -> Result<u32, &'static str> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && !text.is_empty();
    if is_plain { text.parse().map_err(|_| TOO_DEAR) } else { Err(MALFORMED) }
}

/// bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999): 23 bytes. As everywhere, 72 bytes of the
/// password and of its terminating zero count.
fn bcrypt(cost: u32, salt: &[u8], password: &[u8]) -> [u8; 23] {
    let mut key = Zeroizing::new(Vec::with_capacity(73));
    key.extend(password.iter().take(72));
    key.push(0);
    key.truncate(72);
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(salt, &key);
    for _ in 0..1_u32.checked_shl(cost).unwrap_or(0) {
        state.bc_expand_key(&key);
        state.bc_expand_key(salt);
    }
    // "OrpheanBeholderScryDoubt"
    let mut text: [u32; 6] = [0x4f72_7068, 0x6561_6e42, 0x6568_6f6c, 0x6465_7253, 0x6372_7944, 0x6f75_6274];
    for pair in text.chunks_exact_mut(2) {
        if let [left, right] = pair {
            for _ in 0..64 {
                [*left, *right] = state.bc_encrypt([*left, *right]);
            }
        }
    }
    let mut output = [0; 23];
    let bytes = text.iter().flat_map(|word| word.to_be_bytes());
    output.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    text.zeroize();
    output
}

/// What passlib puts into bcrypt in place of a password, so that any length of it counts.
fn prehash(salt: &[u8], password: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = mac::hmac_sha256_start(salt);
    mac.update(password);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Base64 without padding over an alphabet of one's own, first bits first.
fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 4 / 3 + 1);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().enumerate().fold(0_u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        text.extend((0..=chunk.len()).map(|at| letter(word >> (18 - 6 * at), alphabet)));
    }
    text
}

fn letter(bits: u32, alphabet: &[u8; 64]) -> u8 {
    alphabet.get((bits & 63) as usize).copied().unwrap_or_default()
}

/// The reverse of [`encode`]; left-over bits are dropped, because implementations fill them differently.
fn decode(text: &[u8], alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.chunks(4) {
        let mut word = 0_u32;
        for (at, letter) in chunk.iter().enumerate() {
            let bits = alphabet.iter().position(|own| own == letter)?;
            word |= u32::try_from(bits).ok()? << (18 - 6 * at);
        }
        bytes.extend(word.to_be_bytes().iter().skip(1).take(chunk.len() * 6 / 8));
    }
    Some(bytes)
}

/// Writes three bytes as four letters, last bits first.
fn crypt_letters(text: &mut Vec<u8>, word: u32, count: u32) {
    text.extend((0..count).map(|at| letter(word >> (6 * at), CRYPT_ALPHABET)));
}

/// The text of SHA-512-crypt: triples of bytes 21 apart, each turned once more than the one before.
fn crypt_text_512(bytes: &[u8; 64]) -> Vec<u8> {
    let at = |index: usize| bytes.get(index).copied().map_or(0, u32::from);
    let mut text = Vec::with_capacity(86);
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        crypt_letters(&mut text, at(a) << 16 | at(b) << 8 | at(c), 4);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    crypt_letters(&mut text, at(63), 2);
    text
}

/// The text of SHA-256-crypt: triples of bytes 10 apart, turned the other way.
fn crypt_text_256(bytes: &[u8; 32]) -> Vec<u8> {
    let at = |index: usize| bytes.get(index).copied().map_or(0, u32::from);
    let mut text = Vec::with_capacity(43);
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        crypt_letters(&mut text, at(a) << 16 | at(b) << 8 | at(c), 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    crypt_letters(&mut text, at(31) << 8 | at(30), 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "plum-Änchor violet 70";
    /// Made by passlib 1.7 and argon2-cffi, except where another source is named.
    const MADE_ELSEWHERE: &[(&str, &str)] = &[
        (
            "argon2",
            "$argon2id$v=19$m=65536,t=3,p=4$uhfC2HvP2bt3bs25t3audQ$YY5tlUvTkCpKGzvO5bf9MuzprWgjmvjGjZB9dqV/LDw",
        ),
        ("bcrypt", "$2b$10$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam"),
        ("bcrypt", "$bcrypt-sha256$v=2,t=2b,r=10$JghYnJlBYTFlz.ma1FNlg.$nGUEZpuOQpwKB5dkp76KvFIGAyA7yHC"),
        (
            "scrypt",
            "$scrypt$ln=14,r=8,p=1$xDiHsDamlPL+H+M8h1AKgQ$69dLd7zuwexfvIaTb6wdCEj0ZjPlmiVj1bjxQ/dTjL4",
        ),
        ("pbkdf2", "$pbkdf2$10000$mjOmFAIgxDiHcE7JOedcyw$eEYr2sHAxiGe5znDwaGM83QDPqQ"),
        ("pbkdf2", "$pbkdf2-sha256$10000$OYfwvvd.b621lpIyBkCIUQ$Q4NJ9cFOqaDmz4WeNmwOBZzHZMAjZY7P.dA5CkJZ5jU"),
        (
            "pbkdf2",
            "$pbkdf2-sha512$10000$otSac.49Z.w9h7BWaq21Vg$E1cyLoKh4DSldLrEauC844yx3hDkJvlBZrRefrM1z8XV8I87.5WuTZZxrFiyi2Y3menhsqtjGx1jzaUEHVMtUw",
        ),
        (
            "sha512-crypt",
            "$6$rounds=5001$6YomZ7fh/Ir/IVYi$0r8efez.7uCcNvcgA/C8w92ctSzKpz6b2iR4uPC7h0mkMF5gVIUNDzirEqJvEmPEuVtknG5oNLRlyMftZyV5Y0",
        ),
        (
            "sha512-crypt",
            "$6$SFYR3OHP.fOaNooi$0qwkDs5vAfhbJI7N3u5SfKOnMZMOf90gQugj3kXFQqfSj9jxdhNn5IvN12zSl7qhN7XCCEEfznDGIkwuAsVcF/",
        ),
        ("sha256-crypt", "$5$rounds=6000$/EJR53fOFtU50kKr$dXo3G4q/mXRK6.frMHjNPogS1GbN90Zw7qkvUIfw4X7"),
    ];

    fn matches(hash: &str, password: &str) -> bool {
        let mut memory = Memory::allocate(8).unwrap();
        ForeignHash::parse(hash).unwrap().matches(password.as_bytes(), &mut memory).unwrap()
    }

    #[test]
    fn hashes_made_elsewhere_take_their_password_alone() {
        for (kind, hash) in MADE_ELSEWHERE {
            assert_eq!(ForeignHash::parse(hash).unwrap().kind(), *kind);
            assert!(matches(hash, PASSWORD), "{hash}");
            // Byte for byte: another spelling of the same letters was another password there.
            for wrong in ["plum-A\u{308}nchor violet 70", "plum-Änchor violet 71", ""] {
                assert!(!matches(hash, wrong), "{hash} {wrong}");
            }
        }
    }

    /// Vectors of the specification of SHA-512-crypt and of bcrypt's own test suite.
    #[test]
    fn published_vectors_hold() {
        for (hash, password) in [
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            (
                "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
                "Hello world!",
            ),
            ("$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", ""),
            ("$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"),
        ] {
            assert!(matches(hash, password), "{hash}");
            assert!(!matches(hash, "b"), "{hash}");
        }
    }

    /// PWD-05: absurd costs are refused before anything is computed.
    #[test]
    fn hashes_beyond_the_bounds_are_refused() {
        let bcrypt = "$2b$10$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam";
        let find =
            |name: &str| MADE_ELSEWHERE.iter().find(|(_, hash)| hash.starts_with(name)).unwrap().1.to_owned();
        let (scrypt, pbkdf2, sha512) = (find("$scrypt"), find("$pbkdf2$"), find("$6$rounds"));
        for hash in [
            bcrypt.replace("$10$", "$31$"),
            bcrypt.replace("$10$", "$15$"),
            scrypt.replace("ln=14", "ln=17"),
            scrypt.replace("ln=14", "ln=63"),
            scrypt.replace("r=8", "r=4294967295"),
            scrypt.replace("p=1", "p=5"),
            pbkdf2.replace("10000", "2000001"),
            pbkdf2.replace("10000", "99999999999"),
            sha512.replace("5001", "999999999"),
        ] {
            assert_eq!(ForeignHash::parse(&hash).err(), Some(TOO_DEAR), "{hash}");
        }
        let argon = find("$argon2id").replace("m=65536", "m=4194304");
        assert!(ForeignHash::parse(&argon).is_err());
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let mut bad = vec![
            String::new(),
            "$".to_owned(),
            "secret".to_owned(),
            "$plaintext$secret".to_owned(),
            "$y$j9T$abc$def".to_owned(),
            "$1$abc$def".to_owned(),
            "$2x$10$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam".to_owned(),
            "$pbkdf2-md5$10$AAAA$AAAA".to_owned(),
            "$6$rounds=999$salt$x".to_owned(),
            "$scrypt$ln=0,r=8,p=1$AAAA$AAAA".to_owned(),
            format!("$6${}$x", "s".repeat(600)),
        ];
        for (_, hash) in MADE_ELSEWHERE {
            bad.push(hash[..hash.len() - 1].to_owned() + "\u{e9}");
            bad.push(format!("{hash}$x"));
            bad.push(hash[1..].to_owned());
        }
        for text in &bad {
            assert!(ForeignHash::parse(text).is_err(), "{text}");
        }
    }

    /// ENU-01: a decoy costs what its model costs and takes no password.
    #[test]
    fn a_decoy_takes_no_password() {
        for (_, hash) in MADE_ELSEWHERE {
            let decoy = ForeignHash::parse(hash).unwrap().decoy();
            let mut memory = Memory::allocate(8).unwrap();
            assert_eq!(decoy.matches(PASSWORD.as_bytes(), &mut memory), Some(false));
        }
    }

    #[test]
    fn bcrypt_looks_at_seventy_two_bytes() {
        let long = "x".repeat(72);
        let salt = [7; 16];
        assert_eq!(bcrypt(4, &salt, long.as_bytes()), bcrypt(4, &salt, format!("{long}y").as_bytes()));
        assert_ne!(bcrypt(4, &salt, &long.as_bytes()[..71]), bcrypt(4, &salt, long.as_bytes()));
    }
}
