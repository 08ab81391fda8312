//! Private keys as administrators bring them: PKCS#8 (RFC 5958) and PKCS#1 (RFC 8017 appendix A.1.2) in PEM.

use zeroize::Zeroizing;

use super::signing::{KeyError, SigningAlgorithm};
use super::{der, pem};

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const NOT_A_KEY: KeyError = KeyError(
    "This is not a private key that can be used. Use RSA (2048 to 4096 bits), P-256 or Ed25519 in PKCS#8, as \
     `openssl genpkey` writes it.",
);

/// Reads a PEM file into the form that [`super::signing::PrivateKey::from_bytes`] takes.
pub(super) fn parse(text: &str) -> Result<(SigningAlgorithm, Zeroizing<Vec<u8>>), KeyError> {
    let block = pem::read(text).ok_or(KeyError(
        "This is not one PEM block. Give one private key, from its BEGIN line to its END line, without a password.",
    ))?;
    match block.label {
        "PRIVATE KEY" => parse_pkcs8(&block.bytes).ok_or(NOT_A_KEY),
        "RSA PRIVATE KEY" => Ok((SigningAlgorithm::Rs256, block.bytes)),
        "EC PRIVATE KEY" => match wrap_p256(&block.bytes) {
            Some(bytes) => Ok((SigningAlgorithm::Es256, bytes)),
            None => Err(KeyError(
                "Convert this key first: openssl pkcs8 -topk8 -nocrypt -in key.pem -out pkcs8.pem",
            )),
        },
        "ENCRYPTED PRIVATE KEY" => Err(KeyError(
            "This key has a password. Decrypt it first: openssl pkcs8 -in key.pem -out plain.pem",
        )),
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
            Err(KeyError("This is the public part. Give the private key."))
        }
        _ => Err(NOT_A_KEY),
    }
}

struct Pkcs8<'a> {
    algorithm: &'a [u8],
    curve: Option<&'a [u8]>,
    key: &'a [u8],
}

fn open(bytes: &[u8]) -> Option<Pkcs8<'_>> {
    let mut reader = der::Reader::new(der::whole(bytes, der::SEQUENCE)?);
    // Version 1 may bring attributes and a public key after the private one (RFC 5958 section 2).
    let version = reader.take_small()?;
    let mut identifier = der::Reader::new(reader.take(der::SEQUENCE)?);
    let key = reader.take(der::OCTETS)?;
    if version > 1 {
        return None;
    }
    let algorithm = identifier.take(der::OID)?;
    Some(Pkcs8 { algorithm, curve: identifier.take(der::OID), key })
}

fn parse_pkcs8(bytes: &[u8]) -> Option<(SigningAlgorithm, Zeroizing<Vec<u8>>)> {
    let found = open(bytes)?;
    let (algorithm, key) = match (found.algorithm, found.curve) {
        (RSA_ENCRYPTION, None) => (SigningAlgorithm::Rs256, found.key),
        (EC_PUBLIC_KEY, Some(P256)) => (SigningAlgorithm::Es256, bytes),
        // RFC 8410 section 7: the seed is an OCTET STRING inside the OCTET STRING.
        (ED25519, None) => (SigningAlgorithm::EdDsa, der::whole(found.key, der::OCTETS)?),
        _ => return None,
    };
    Some((algorithm, Zeroizing::new(key.to_vec())))
}

/// Puts an ECPrivateKey (RFC 5915 section 3) that says that it is on P-256 into a PKCS#8. Whether its halves belong
/// together is for [`super::signing`] to judge.
fn wrap_p256(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = der::Reader::new(der::whole(bytes, der::SEQUENCE)?);
    let (version, _) = (reader.take_small()?, reader.take(der::OCTETS)?);
    let curve = der::Reader::new(reader.take(der::PARAMETERS)?).take(der::OID)?;
    if version != 1 || curve != P256 {
        return None;
    }
    let mut names = Zeroizing::new(Vec::new());
    der::push(&mut names, der::OID, EC_PUBLIC_KEY)?;
    der::push(&mut names, der::OID, P256)?;
    let mut content = Zeroizing::new(Vec::with_capacity(bytes.len() + 64));
    der::push(&mut content, der::INTEGER, &[0])?;
    der::push(&mut content, der::SEQUENCE, &names)?;
    der::push(&mut content, der::OCTETS, bytes)?;
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(content.len() + 8));
    der::push(&mut pkcs8, der::SEQUENCE, &content)?;
    Some(pkcs8)
}

/// Returns the PKCS#1 inside a PKCS#8 of an RSA key; `None` if it is not one.
pub(super) fn unwrap_rsa(bytes: &[u8]) -> Option<&[u8]> {
    open(bytes).filter(|found| found.algorithm == RSA_ENCRYPTION).map(|found| found.key)
}
