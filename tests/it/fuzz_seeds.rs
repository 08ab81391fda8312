//! The checked-in seeds of `tests/fuzz`, through the same functions, so that they hold without nightly and libFuzzer.

use std::path::PathBuf;

#[path = "../fuzz/targets.rs"]
mod targets;

use targets::TARGETS;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// INP-09, GEN-05: no seed panics, and what each target promises holds for all of them.
#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    for (name, _) in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(folder().join("seeds").join(name)).expect(name) {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            let bytes = std::fs::read(&path).unwrap();
            targets::run(name, &bytes);
            // Every seed cut short and with one bit turned in each byte, as a start.
            for at in 0..bytes.len() {
                targets::run(name, &bytes[..at]);
                let mut turned = bytes.clone();
                turned[at] ^= 1 << (at % 8);
                targets::run(name, &turned);
            }
            count += 1;
        }
        assert!(count >= 5, "{name} has {count} seeds");
    }
}

/// The numbers of a small generator (xorshift64*): the same for the same seed, so that what fails can be done again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end.max(1)
    }

    /// Changes `bytes` in one of the ways of libFuzzer.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let end = at + self.below((bytes.len() - at).min(64) + 1);
        let from = self.below(other.len());
        let to = from + self.below((other.len() - from).min(64) + 1);
        match self.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x58, 0x9f, 0xbf][self.below(8)],
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, other[from..to].iter().copied())),
            5 => drop(bytes.splice(at..end, other[from..to].iter().copied())),
            6 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            _ => bytes.truncate(at),
        }
    }
}

/// A little of what libFuzzer does; `DOORWARD_FUZZ=passkey:300000:7 cargo nextest run changed_seeds` tries so many changes
/// of the seeds of a target, others for every last number.
#[test]
fn changed_seeds_keep_the_promises_of_their_target() {
    let wish = std::env::var("DOORWARD_FUZZ").unwrap_or_else(|_| "passkey:1000:7".to_owned());
    let mut parts = wish.split(':');
    let name = parts.next().unwrap();
    let mut number = || parts.next().expect("TARGET:INPUTS:START").parse::<u64>().unwrap();
    let (count, mut numbers) = (number(), Numbers(number() | 1));
    let files = std::fs::read_dir(folder().join("seeds").join(name)).expect(name);
    let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    for _ in 0..count {
        let mut bytes = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(6) {
            let other = &seeds[numbers.below(seeds.len())];
            numbers.mutate(&mut bytes, other);
        }
        let run = std::panic::catch_unwind(|| targets::run(name, &bytes));
        assert!(run.is_ok(), "{name} fails for {bytes:02x?}");
    }
}

#[test]
fn every_target_has_a_binary() {
    for (name, _) in TARGETS {
        let text =
            std::fs::read_to_string(folder().join("fuzz_targets").join(format!("{name}.rs"))).expect(name);
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
        let package = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        assert!(package.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
