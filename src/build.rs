//! Tells the linker to make a release smaller, where both ways are known to work: with rust-lld, by which rustc links this
//! target if it brings it along. The compilers of some distributions do not.

use std::io::{Result, Write};
use std::path::Path;
use std::process::Command;
use std::{env, io};

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "cargo::rerun-if-changed=src/build.rs")?;
    let is = |name, value| env::var(name).is_ok_and(|own| own == value);
    if !is("TARGET", "x86_64-unknown-linux-gnu") || !is("PROFILE", "release") || !has_rust_lld() {
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

/// Tells whether the compiler has a linker of its own for this target.
fn has_rust_lld() -> bool {
    let Some(compiler) = env::var_os("RUSTC") else { return false };
    let Ok(told) = Command::new(compiler).args(["--print", "sysroot"]).output() else { return false };
    let Ok(sysroot) = std::str::from_utf8(&told.stdout) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld").exists()
}

/// Returns the version of the C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) =
        std::str::from_utf8(&told.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
