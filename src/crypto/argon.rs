//! argon2id as stored: the PHC string format, its bounds, and one computation in a given buffer.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::BASE64_NOPAD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::kernel::secret::{SecretKey, ct_eq};

/// Upper bounds of what is read from a stored hash, checked before anything is allocated (PWD-05).
pub(crate) const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 10;
/// Lanes cost nothing here, one thread computes them all; Authelia has written 8.
const MAX_LANES: u32 = 16;
const MAX_TEXT: usize = 512;
pub(crate) const SALT_LENGTH: usize = 16;
pub(crate) const HASH_LENGTH: usize = 32;

/// The cost of one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Cost {
    /// The work of this cost: memory written, in KiB.
    pub(crate) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    /// How many 1 KiB blocks the computation needs.
    pub(crate) fn blocks(self) -> usize {
        usize::try_from(self.memory_kib).unwrap_or(usize::MAX)
    }

    fn params(self, output: usize) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(output)).ok()
    }
}

/// A stored hash, parsed and within bounds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredHash {
    pub(crate) algorithm: Algorithm,
    pub(crate) version: Version,
    pub(crate) cost: Cost,
    /// Names the pepper; empty without one.
    pub(crate) key_id: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl StoredHash {
    /// Parses `$argon2id$v=19$m=..,t=..,p=..[,keyid=..]$salt$hash`. `None` if malformed or out of bounds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut fields = text.strip_prefix('$')?.split('$');
        let algorithm = match fields.next()? {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return None,
        };
        let mut field = fields.next()?;
        let mut version = Version::V0x10;
        if let Some(number) = field.strip_prefix("v=") {
            version = match number {
                "16" => Version::V0x10,
                "19" => Version::V0x13,
                _ => return None,
            };
            field = fields.next()?;
        }
        let mut numbers = field.splitn(4, ',');
        let cost = Cost {
            memory_kib: decimal(numbers.next()?.strip_prefix("m=")?)?,
            passes: decimal(numbers.next()?.strip_prefix("t=")?)?,
            lanes: decimal(numbers.next()?.strip_prefix("p=")?)?,
        };
        let key_id = match numbers.next() {
            None => Vec::new(),
            Some(rest) => BASE64_NOPAD.decode(rest.strip_prefix("keyid=")?.as_bytes()).ok()?,
        };
        let salt = BASE64_NOPAD.decode(fields.next()?.as_bytes()).ok()?;
        let hash = BASE64_NOPAD.decode(fields.next()?.as_bytes()).ok()?;
        let is_bounded = (1..=MAX_LANES).contains(&cost.lanes)
            && (cost.lanes * 8..=MAX_MEMORY_KIB).contains(&cost.memory_kib)
            && (1..=MAX_PASSES).contains(&cost.passes)
            && (8..=64).contains(&salt.len())
            && (16..=64).contains(&hash.len())
            && key_id.len() <= 8
            && fields.next().is_none();
        is_bounded.then_some(StoredHash { algorithm, version, cost, key_id, salt, hash })
    }

    /// Writes the PHC string.
    pub(crate) fn to_phc(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let key_id = match self.key_id.as_slice() {
            [] => String::new(),
            id => format!(",keyid={}", BASE64_NOPAD.encode(id)),
        };
        format!(
            "${}$v={}$m={memory_kib},t={passes},p={lanes}{key_id}${}${}",
            self.algorithm.as_str(),
            u32::from(self.version),
            BASE64_NOPAD.encode(&self.salt),
            BASE64_NOPAD.encode(&self.hash)
        )
    }

    /// Computes the hash of `password` under the parameters of `self` and says whether it is the stored one.
    /// `None` if the computation could not be done.
    pub(crate) fn matches(
        &self,
        password: &[u8],
        pepper: Option<&SecretKey>,
        memory: &mut Memory,
    ) -> Option<bool> {
        let mut computed = Zeroizing::new(vec![0; self.hash.len()]);
        self.compute(password, pepper, memory, &mut computed)?;
        Some(ct_eq(&computed, &self.hash))
    }

    /// Computes the hash of `password` under the parameters of `self` into `output`.
    pub(crate) fn compute(
        &self,
        password: &[u8],
        pepper: Option<&SecretKey>,
        memory: &mut Memory,
        output: &mut [u8],
    ) -> Option<()> {
        let params = self.cost.params(output.len())?;
        let argon = match pepper {
            Some(pepper) => {
                Argon2::new_with_secret(pepper.expose(), self.algorithm, self.version, params).ok()?
            }
            None => Argon2::new(self.algorithm, self.version, params),
        };
        memory.with(self.cost.blocks(), |blocks| {
            argon.hash_password_into_with_memory(password, &self.salt, output, blocks).ok()
        })?
    }
}

/// Decimal digits only: no sign, no leading zero, so that a cost has one spelling.
fn decimal(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// The working memory of one thread: allocated once, wiped after every use.
pub(crate) struct Memory {
    blocks: Vec<Block>,
}

impl Memory {
    /// Allocates `blocks` KiB; `None` if there is no room. They are reserved but not touched, so that an instance at
    /// which nobody has signed in yet stays small.
    pub(crate) fn allocate(blocks: usize) -> Option<Self> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).ok()?;
        Some(Memory { blocks: memory })
    }

    /// Lends `count` blocks to `work` and wipes them. A stored hash that needs more than was allocated at the start
    /// gets a buffer of its own for this one time; [`MAX_MEMORY_KIB`] bounds it.
    pub(crate) fn with<T>(&mut self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> Option<T> {
        if self.blocks.len() < count && count <= self.blocks.capacity() {
            // Within what was reserved, so nothing moves.
            self.blocks.resize(count, Block::new());
        }
        if let Some(blocks) = self.blocks.get_mut(..count) {
            let result = work(blocks);
            blocks.iter_mut().for_each(|block| block.zeroize());
            return Some(result);
        }
        Memory::allocate(count)?.with(count, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWASP: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_phc_string_survives_parsing() {
        for text in [OWASP, &OWASP.replace("p=1", "p=1,keyid=3q2+7w"), &OWASP.replace("argon2id", "argon2i")]
        {
            assert_eq!(StoredHash::parse(text).unwrap().to_phc(), text);
        }
    }

    /// PWD-05: what a stored hash asks for is bounded before anything is allocated.
    #[test]
    fn parameters_beyond_the_bounds_are_refused() {
        for (from, to) in [
            ("m=19456", "m=4294967295"),
            ("m=19456", "m=65537"),
            ("m=19456", "m=7"),
            ("m=19456", "m=019456"),
            ("m=19456", "m=+19456"),
            ("m=19456", "m=-1"),
            ("t=2", "t=0"),
            ("t=2", "t=11"),
            ("p=1", "p=0"),
            ("p=1", "p=17"),
            ("p=1", "p=1,data=AAAA"),
            ("p=1", "p=1,keyid=AAAAAAAAAAAAAAAA"),
            ("v=19", "v=18"),
            ("argon2id", "argon2"),
            ("argon2id", "scrypt"),
            ("$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAA$"),
            ("$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAAAAAAAAAAAAAAAAAAAB$"),
            ("$argon2id", "argon2id"),
        ] {
            assert!(StoredHash::parse(&OWASP.replacen(from, to, 1)).is_none(), "{from} -> {to}");
        }
        assert!(StoredHash::parse(&format!("{OWASP}$")).is_none());
        assert!(StoredHash::parse(&format!("{OWASP}=")).is_none());
        assert!(StoredHash::parse("").is_none());
    }

    /// The vector of the reference implementation for `password`, `somesalt`, t=2, m=2^16, p=1.
    #[test]
    fn argon2id_matches_the_reference_implementation() {
        let stored = StoredHash::parse(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        )
        .unwrap();
        let mut memory = Memory::allocate(8).unwrap();
        assert_eq!(stored.matches(b"password", None, &mut memory), Some(true));
        assert_eq!(stored.matches(b"passwore", None, &mut memory), Some(false));
    }

    /// KEY-05: nothing of a computation stays in the buffer.
    #[test]
    fn the_buffer_is_wiped_after_use() {
        let mut stored = StoredHash::parse(OWASP).unwrap();
        stored.cost.memory_kib = 64;
        let mut memory = Memory::allocate(64).unwrap();
        assert_eq!(stored.matches(b"password", None, &mut memory), Some(false));
        assert!(memory.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
