//! What one signature costs on this machine: prints the nanoseconds of RS256 and of EdDSA.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;

use doorward::crypto::signing::{PrivateKey, SigningAlgorithm};
use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;

/// About as much as an id_token holds.
const MESSAGE: [u8; 700] = [7; 700];

fn main() -> Result<(), Box<dyn Error>> {
    let clock = SystemClock::shared();
    for (algorithm, rounds) in [(SigningAlgorithm::Rs256, 500_u32), (SigningAlgorithm::EdDsa, 20_000)] {
        let key = PrivateKey::generate(algorithm, &Random::os())?;
        let begun = clock.monotonic();
        for _ in 0..rounds {
            black_box(key.sign(black_box(&MESSAGE))?);
        }
        let nanos = (clock.monotonic() - begun).as_nanos() / u128::from(rounds);
        writeln!(std::io::stdout(), "{algorithm} {nanos}")?;
    }
    Ok(())
}
