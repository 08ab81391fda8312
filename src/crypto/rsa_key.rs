//! Making RSA-2048 keys (FIPS 186-5 appendix A.1.3: probable primes) and writing them as PKCS#1 (RFC 8017 appendix
//! A.1.2).
//!
//! ring signs with RSA but makes no keys, and the one crate that does both leaks its key through time
//! (RUSTSEC-2023-0071). So the primes are found here with crypto-primes, the rest of the key is computed with
//! crypto-bigint in constant time, and ring's parser and a first signature, which check how the parts hang together,
//! have the last word ([`super::signing`]). A key is made once in three months on a thread that nobody can time.

use std::convert::Infallible;
use std::fmt;

use crypto_bigint::rand_core::{TryCryptoRng, TryRng};
use crypto_bigint::{Limb, NonZero, U1024, U2048, Uint};
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, fips, is_prime, sieve_and_find};
use zeroize::Zeroizing;

use super::der;
use crate::kernel::random::Random;

/// The public exponent, 2^16 + 1.
const E: u32 = 65_537;
const PRIME_BITS: u32 = 1024;
/// FIPS 186-5 appendix A.1.3 step 5.4: the primes differ within their 100 first bits.
const LEAST_DISTANCE_BITS: u32 = PRIME_BITS - 100;
/// FIPS 186-5 table B.1: rounds of Miller-Rabin for primes of 1024 bits.
const ROUNDS: usize = 5;

/// Two primes and the numbers that follow from them, as PKCS#1 DER.
type Pkcs1 = Zeroizing<Vec<u8>>;

/// No key came out. It cannot happen while the arithmetic is sound; the caller reports it and tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RsaKeyError;

impl fmt::Display for RsaKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No RSA key could be made.")
    }
}

/// Our randomness in the form in which the bignum crates ask for it.
struct Source<'a>(&'a Random);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.bytes()))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

/// Makes a key of 2048 bits. Takes from a tenth of a second to several seconds: never call it while a request waits.
///
/// # Errors
/// [`RsaKeyError`] if no key came out.
pub(super) fn generate(random: &Random) -> Result<Pkcs1, RsaKeyError> {
    // A second round is needed only if the primes are too close, which does not happen in the life of a machine.
    for _ in 0..4 {
        let p = Zeroizing::new(prime(random)?);
        let q = Zeroizing::new(prime(random)?);
        let (p, q) = if *p > *q { (p, q) } else { (q, p) };
        if p.wrapping_sub(&q).bit_width() <= LEAST_DISTANCE_BITS {
            continue;
        }
        return from_primes(&p, &q).ok_or(RsaKeyError);
    }
    Err(RsaKeyError)
}

/// A prime of 1024 bits whose two first bits are set, so that the product of two has 2048, and to whose predecessor
/// `E` is coprime.
fn prime(random: &Random) -> Result<U1024, RsaKeyError> {
    let mut source = Source(random);
    let factory = SmallFactorsSieveFactory::<U1024>::new(Flavor::Any, PRIME_BITS, SetBits::TwoMsb)
        .map_err(|_| RsaKeyError)?;
    let options = fips::FipsOptions::with_mr_iterations(ROUNDS);
    sieve_and_find(&mut source, factory, |source, candidate| {
        is_coprime_to_e(candidate)
            && is_prime(Flavor::Any, candidate)
            && fips::is_prime(source, Flavor::Any, candidate, options)
    })
    .ok()
    .flatten()
    .ok_or(RsaKeyError)
}

/// Whether `E`, which is prime itself, does not divide `candidate - 1`.
fn is_coprime_to_e(candidate: &U1024) -> bool {
    let Some(e) = NonZero::new(Limb::from_u32(E)).into_option() else { return false };
    candidate.wrapping_sub(&U1024::ONE).rem_limb(e) != Limb::ZERO
}

/// Computes the key of the primes `p > q` and writes it. `None` if they are no primes of a key.
pub(super) fn from_primes(p: &U1024, q: &U1024) -> Option<Pkcs1> {
    let n: U2048 = p.concatenating_mul(q);
    let p_less_one = Zeroizing::new(p.wrapping_sub(&U1024::ONE));
    let q_less_one = Zeroizing::new(q.wrapping_sub(&U1024::ONE));
    let product: Zeroizing<U2048> = Zeroizing::new(p_less_one.concatenating_mul(&*q_less_one));
    let common = Zeroizing::new(p_less_one.gcd(&q_less_one).resize::<{ U2048::LIMBS }>());
    // lambda(n), the least common multiple (RFC 8017 section 2).
    let lambda = Zeroizing::new(product.wrapping_div(&*nonzero(&common)?));
    let d = inverse_of_e(&lambda)?;
    let d_p = inverse_of_e(&p_less_one)?;
    let d_q = inverse_of_e(&q_less_one)?;
    let q_inv = Zeroizing::new(q.invert_mod(&*nonzero(p)?).into_option()?);

    let mut body = Zeroizing::new(Vec::with_capacity(1300));
    der::push_unsigned(&mut body, &[0])?;
    der::push_unsigned(&mut body, &bytes(&n))?;
    der::push_unsigned(&mut body, &E.to_be_bytes())?;
    der::push_unsigned(&mut body, &bytes(&d))?;
    for number in [p, q, &d_p, &d_q, &q_inv] {
        der::push_unsigned(&mut body, &bytes(number))?;
    }
    let mut whole = Zeroizing::new(Vec::with_capacity(1300));
    der::push(&mut whole, der::SEQUENCE, &body)?;
    Some(whole)
}

fn nonzero<const L: usize>(number: &Uint<L>) -> Option<Zeroizing<NonZero<Uint<L>>>> {
    NonZero::new(*number).into_option().map(Zeroizing::new)
}

fn inverse_of_e<const L: usize>(modulus: &Uint<L>) -> Option<Zeroizing<Uint<L>>> {
    Uint::<L>::from_u32(E).invert_mod(&*nonzero(modulus)?).into_option().map(Zeroizing::new)
}

/// Big-endian bytes, of the full width.
fn bytes<const L: usize>(number: &Uint<L>) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(L * Limb::BYTES));
    for limb in number.as_limbs().iter().rev() {
        out.extend_from_slice(&limb.0.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = der::Reader::new(der::whole(key, der::SEQUENCE).unwrap());
        let mut numbers = Vec::new();
        while !reader.is_empty() {
            numbers.push(reader.take(der::INTEGER).unwrap().to_vec());
        }
        numbers
    }

    fn wide(bytes: &[u8]) -> U2048 {
        let mut padded = [0; 256];
        let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        padded[256 - digits.len()..].copy_from_slice(&digits);
        U2048::from_be_slice(&padded)
    }

    /// The parts hang together as RFC 8017 section 3.2 says, and as FIPS 186-5 wants them.
    #[test]
    fn a_key_is_made_of_two_good_primes() {
        let key = generate(&Random::os()).unwrap();
        let numbers: Vec<U2048> = read(&key).iter().map(|bytes| wide(bytes)).collect();
        let [version, n, e, d, p, q, d_p, d_q, q_inv] = numbers.try_into().unwrap();
        let one = U2048::ONE;
        assert_eq!((version, e), (U2048::ZERO, U2048::from_u32(E)));
        assert_eq!(n, p.wrapping_mul(&q));
        assert_eq!((n.bit_width(), p.bit_width(), q.bit_width()), (2048, 1024, 1024));
        assert!(p.bit_vartime(1022) && q.bit_vartime(1022), "two bits are set");
        assert!(p > q && p.wrapping_sub(&q).bit_width() > LEAST_DISTANCE_BITS);
        assert!(d.bit_width() > 1024);
        for (exponent, prime) in [(d, p), (d, q), (d_p, p), (d_q, q)] {
            let modulus = NonZero::new(prime.wrapping_sub(&one)).unwrap();
            assert_eq!(exponent.rem(&modulus).wrapping_mul(&e).rem(&modulus), one);
        }
        assert_eq!(q_inv.wrapping_mul(&q).rem(&NonZero::new(p).unwrap()), one);
        for prime in [p, q] {
            assert!(is_prime(Flavor::Any, &prime.resize::<{ U1024::LIMBS }>()));
        }
        assert!(ring::rsa::KeyPair::from_der(&key).is_ok());
        assert_ne!(*key, *generate(&Random::os()).unwrap(), "no key is made twice");
    }

    #[test]
    fn numbers_below_every_prime_make_no_key() {
        assert!(from_primes(&U1024::ONE, &U1024::ONE).is_none());
        assert!(from_primes(&U1024::ZERO, &U1024::ZERO).is_none());
    }

    #[test]
    fn a_prime_whose_predecessor_e_divides_is_passed_over() {
        assert!(!is_coprime_to_e(&U1024::from_u32(2 * E + 1)));
        assert!(is_coprime_to_e(&U1024::from_u32(2 * E + 3)));
    }
}
