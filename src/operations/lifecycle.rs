//! Stopping: the first SIGTERM or SIGINT drains and flushes, the second ends the process at once.

use std::io;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::notify::Notify;
use crate::audit::{Audit, Event, Kind};

/// How long a stop may take until the store is closed; systemd's own limit is longer.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How long open connections get to finish their request.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// The exit code after a second signal: 128 + SIGTERM, as a shell would show it.
const EXIT_ABORTED: i32 = 143;

/// Keeps what is in memory, keys and passwords among it, out of core files and away from other processes of the same
/// user (KEY-05). To be called before the first secret is read. A system that refuses is no reason not to start.
pub fn keep_memory_private() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, nothing) {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the memory of this one");
    }
}

/// Listens for SIGTERM and SIGINT. The receiver turns true at the first; the second ends the process at once, which
/// loses nothing that was acknowledged. Must be called inside the runtime.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn on_signals() -> io::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        // Nobody listening means that the process is ending anyway.
        let _ = stop.send(true);
        next(&mut terminate, &mut interrupt).await;
        tracing::warn!("second signal: stopping at once");
        std::process::exit(EXIT_ABORTED);
    });
    Ok(stopping)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits until `stopping` turns true.
pub async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

/// Stops in order: tells systemd, waits for `drained` (the open connections) as long as [`DRAIN_WITHIN`], then logs
/// the stop and flushes the audit log. What is left after [`STOP_WITHIN`] is given up. Returns whether everything
/// was done in time. The store itself has nothing to flush: each commit was on disk before it was answered.
pub async fn stop(notify: &Notify, drained: impl Future<Output = ()>, audit: &Audit) -> bool {
    notify.stopping();
    let in_order = async {
        let is_drained = tokio::time::timeout(DRAIN_WITHIN, drained).await.is_ok();
        if !is_drained {
            tracing::warn!("some connections were still open and are cut");
        }
        audit.note(Event::succeeded(Kind::ServerStopped).by_system("server"));
        match audit.flush().await {
            Ok(()) => is_drained,
            Err(error) => {
                tracing::error!(%error, "the last audit events could not be written");
                false
            }
        }
    };
    match tokio::time::timeout(STOP_WITHIN, in_order).await {
        Ok(is_clean) => is_clean,
        Err(_) => {
            tracing::error!("stopping took too long and is cut short");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::{DEFAULT_RETENTION, Filter};
    use crate::crypto::keys::MasterKey;
    use crate::crypto::sealed::Sealer;
    use crate::kernel::random::Random;
    use crate::kernel::time::SystemClock;
    use crate::store::{MemoryEngine, Store};

    fn audit() -> Audit {
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([7; 32])));
        let store = Store::new(Arc::new(MemoryEngine::default()), sealer, Random::os());
        Audit::open(store, SystemClock::shared(), Random::os(), DEFAULT_RETENTION).unwrap()
    }

    /// FAIL-06: a stop writes what is queued, and logs itself last.
    #[tokio::test]
    async fn a_stop_flushes_what_is_queued() {
        let audit = audit();
        audit.note(Event::refused(Kind::SignInFailed));
        assert!(stop(&Notify::default(), async {}, &audit).await);
        let kinds: Vec<_> =
            audit.part(&Filter::default(), None, 9).unwrap().rows.into_iter().map(|row| row.kind).collect();
        assert_eq!(kinds, ["server.stopped", "sign_in.failed"]);
    }

    /// FAIL-06: a connection that never ends does not hold the stop up, and the log is flushed all the same.
    #[tokio::test]
    async fn a_hanging_connection_does_not_hold_the_stop_up() {
        let audit = audit();
        let begun = SystemClock::shared();
        assert!(!stop(&Notify::default(), std::future::pending(), &audit).await);
        assert!(begun.monotonic() < STOP_WITHIN);
        assert_eq!(audit.part(&Filter::default(), None, 9).unwrap().rows.len(), 1);
    }
}
