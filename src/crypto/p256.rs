//! The curve P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3), as far as it is asked here: whether a point lies on it.
//! Its cofactor is one, so every point on it but infinity, which has no coordinates, is a sound key.

use crypto_bigint::modular::ConstMontyParams as _;
use crypto_bigint::{Odd, U256, const_monty_params};

const_monty_params!(Field, U256, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

type Element = crypto_bigint::modular::ConstMontyForm<Field, { U256::LIMBS }>;

const B: &str = "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b";

/// Tells whether `y^2 = x^3 - 3x + b` holds for these big-endian coordinates, both below the field's prime.
pub(super) fn is_on_curve(x: &[u8; 32], y: &[u8; 32]) -> bool {
    let (x, y) = (U256::from_be_slice(x), U256::from_be_slice(y));
    let modulus: &Odd<U256> = Field::PARAMS.modulus();
    if x >= *modulus.as_ref() || y >= *modulus.as_ref() {
        return false;
    }
    let (x, y, b) = (Element::new(&x), Element::new(&y), Element::new(&U256::from_be_hex(B)));
    let three_x = x.double().add(&x);
    y.square() == x.square().mul(&x).sub(&three_x).add(&b)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use ring::signature::KeyPair as _;

    use super::*;

    fn point(x: &str, y: &str) -> ([u8; 32], [u8; 32]) {
        let read = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap();
        (read(x), read(y))
    }

    #[test]
    fn points_of_the_curve_and_no_others() {
        let (x, y) = point(
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        );
        assert!(is_on_curve(&x, &y), "the generator of SP 800-186");
        assert!(!is_on_curve(&y, &x));
        for at in 0..32 {
            let (mut other_x, mut other_y) = (x, y);
            other_x[at] ^= 1;
            other_y[at] ^= 1;
            assert!(!is_on_curve(&other_x, &y) && !is_on_curve(&x, &other_y));
        }
        assert!(!is_on_curve(&[0; 32], &[0; 32]));
        assert!(!is_on_curve(&[0xff; 32], &[0xff; 32]));
    }

    #[test]
    fn a_coordinate_has_one_spelling() {
        // x = 0 lies on the curve with y = sqrt(b); x = p is the same number spelt otherwise.
        let root = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
        let prime = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
        let (zero, y) = point(&"0".repeat(64), root);
        assert!(is_on_curve(&zero, &y));
        assert!(!is_on_curve(&point(prime, root).0, &y));
    }

    #[test]
    fn every_key_that_ring_makes_lies_on_it() {
        let random = ring::rand::SystemRandom::new();
        let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        for _ in 0..20 {
            let key = ring::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            let key = ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap();
            let bytes = key.public_key().as_ref();
            let (x, y) = (bytes[1..33].try_into().unwrap(), bytes[33..].try_into().unwrap());
            assert!(is_on_curve(&x, &y));
        }
    }
}
