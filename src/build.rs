//! Tells the linker to make a release smaller, where both ways are known to work: rust-lld, which links this target.

use std::io::{Result, Write};
use std::process::Command;
use std::{env, io};

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "cargo::rerun-if-changed=src/build.rs")?;
    let is = |name, value| env::var(name).is_ok_and(|own| own == value);
    if !is("TARGET", "x86_64-unknown-linux-gnu") || !is("PROFILE", "release") {
        return Ok(());
    }
    // Functions with the same code stand once. None is told from another by its address.
    writeln!(out, "cargo::rustc-link-arg-bins=-Wl,--icf=all")?;
    // The addresses to adjust at the start are packed; glibc reads them back since 2.36.
    if glibc().is_some_and(|version| version >= (2, 36)) {
        writeln!(out, "cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs")?;
    }
    Ok(())
}

/// Returns the version of the C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) =
        std::str::from_utf8(&told.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
