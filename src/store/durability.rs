//! The durability shim: the only unsafe code of the crate.
//!
//! sled 0.34 makes its log durable with `sync_file_range(2)`, which writes neither the length of the file nor the
//! cache of the disk: in simulated power cuts most acknowledged writes were lost. The linker takes the first
//! definition of a C symbol, so defining `sync_file_range` here turns each of sled's calls into `fdatasync(2)`,
//! which does both. [`self_test`] proves with every group of writes,
//! the first of which is part of the start, that this binary was linked that way.
//!
//! The feature `without-durability-shim` leaves the definition out, for one purpose: the power-cut test must be able
//! to show that it notices the loss. It does not build without debug assertions, so no released binary can have it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(all(feature = "without-durability-shim", not(debug_assertions)))]
compile_error!(
    "without-durability-shim is for the power-cut test only; a release must not lose acknowledged writes"
);

static SYNCS: AtomicU64 = AtomicU64::new(0);
static SYNC_FAILED: AtomicBool = AtomicBool::new(false);

/// Returns how often data was forced to disk through the shim since the process started.
pub fn syncs() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Returns whether the disk ever refused to sync. After that the kernel may have dropped data it could not write,
/// so a later success proves nothing and the process must restart.
pub(super) fn has_failed() -> bool {
    SYNC_FAILED.load(Ordering::Acquire)
}

#[cfg(not(feature = "without-durability-shim"))]
#[expect(unsafe_code, reason = "takes the place of a C function that sled calls")]
mod shim {
    use std::ffi::{c_int, c_uint};
    use std::sync::atomic::Ordering;

    // SAFETY: this is the prototype of fdatasync in POSIX. It takes a number and touches no memory of ours; a number
    // that is no open file is answered with EBADF. It sets errno, which sled reads after a failure.
    unsafe extern "C" {
        safe fn fdatasync(fd: c_int) -> c_int;
    }

    /// Has the prototype of sync_file_range(2) on 64-bit Linux and promises more than it: all data of `fd` and its
    /// length are on disk when this returns 0.
    // SAFETY: no other definition of this symbol is linked statically (the one of a shared libc is shadowed), the
    // types match the C prototype, and the body calls safe code only and cannot unwind.
    #[unsafe(no_mangle)]
    extern "C" fn sync_file_range(fd: c_int, _offset: i64, _bytes: i64, _flags: c_uint) -> c_int {
        let answer = fdatasync(fd);
        if answer == 0 {
            super::SYNCS.fetch_add(1, Ordering::Relaxed);
        } else {
            super::SYNC_FAILED.store(true, Ordering::Release);
        }
        answer
    }
}

/// Checks that a commit made since [`syncs`] returned `before` passed through the shim.
///
/// # Errors
/// Says in words that writes would not be durable in this binary.
pub(super) fn self_test(before: u64) -> Result<(), String> {
    if cfg!(feature = "without-durability-shim") || syncs() > before {
        return Ok(());
    }
    Err("This build of Doorward does not force its writes to disk (sync_file_range is not interposed), so a power \
         cut would lose data. Install an official build."
        .to_owned())
}
