//! Builds `src/crypto/blocklist.bin`. Run by `build.sh` beside this file; `src/crypto/blocklist.md` explains it.
//!
//! Arguments: the file to write, a JSON array of passwords, and a text file with one password a line; both lists
//! with the most common password first.

use std::collections::HashSet;
use std::error::Error;

use doorward::crypto::{password, password_policy};
use xorf::{BinaryFuse16, DmaSerializable as _};

/// Shorter passwords are refused for their length; six characters are kept for stems with an ornament.
const SHORTEST_STEM: usize = 6;
/// The least length a policy asks for.
const SHORTEST: usize = 8;
/// As many as fit into 300 KiB.
const KEYS: usize = 125_000;
/// Of the long list, this many ranks give stems as well.
const STEM_RANKS: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: build-blocklist OUTPUT JSON-LIST TEXT-LIST");
    let (output, json, text) = (next()?, next()?, next()?);
    let curated: Vec<String> = serde_json::from_slice(&std::fs::read(json)?)?;
    let ranked = String::from_utf8_lossy(&std::fs::read(text)?).into_owned();
    let ranked = ranked.lines().enumerate().map(|(rank, line)| (line, rank < STEM_RANKS));

    let mut keys = HashSet::new();
    let mut order = Vec::new();
    for (entry, is_stem) in curated.iter().map(|entry| (entry.as_str(), true)).chain(ranked) {
        let folded = password::normalize(entry).to_lowercase();
        let shortest = if is_stem { SHORTEST_STEM } else { SHORTEST };
        let key = password_policy::blocklist_key(&folded);
        if folded.chars().count() >= shortest && order.len() < KEYS && keys.insert(key) {
            order.push(key);
        }
    }
    let filter = BinaryFuse16::try_from(&order)?;
    let mut bytes = vec![0; BinaryFuse16::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend(filter.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
    std::fs::write(&output, &bytes)?;
    eprintln!("{} keys, {} bytes in {output}", order.len(), bytes.len());
    Ok(())
}
