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
