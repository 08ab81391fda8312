//! The jobs that a running store needs now and then: the daily snapshot, the high-water mark of the
//! clock, and the progress of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock_mark::{self, ClockMark};
use super::snapshots::{self, Reason};
use super::{Store, progress, wait};
use crate::kernel::time::SharedClock;

/// How often the progress of the store is written down, and it is looked whether the daily snapshot is due. The first look comes after one such time, so that a
/// process that is started again and again does not spend its life on snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_secs(1);

/// A thread that does these jobs until it is stopped or dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread for the store of `dir`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        store: Store,
        dir: &Path,
        clock: SharedClock,
        mark: Arc<ClockMark>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let work = Work { store, dir: dir.to_owned(), clock, mark };
        let thread =
            std::thread::Builder::new().name("store-keeper".to_owned()).spawn(move || work.run(&stopped))?;
        Ok(Keeper { stop: Some(stop), thread: Some(thread) })
    }

    /// Persists the clock mark once more and ends the thread; waits for a snapshot that is being taken. To be called
    /// before the store is closed.
    pub fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the store panicked");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Work {
    store: Store,
    dir: PathBuf,
    clock: SharedClock,
    mark: Arc<ClockMark>,
}

impl Work {
    fn run(&self, stopped: &Receiver<()>) {
        let mut marked = self.clock.monotonic();
        let mut looked = marked;
        self.persist_mark();
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
            let now = self.clock.monotonic();
            if now.saturating_sub(marked) >= clock_mark::INTERVAL {
                marked = now;
                self.persist_mark();
            }
            if now.saturating_sub(looked) >= SNAPSHOT_INTERVAL {
                looked = now;
                self.note_progress();
                self.take_daily_snapshot();
            }
        }
        self.persist_mark();
    }

    fn persist_mark(&self) {
        if let Err(error) = wait(self.mark.persist(&self.store, self.clock.now())) {
            tracing::warn!(%error, "the clock's high-water mark was not stored");
        }
    }

    fn note_progress(&self) {
        if let Err(error) = progress::advance(&self.store, &self.dir) {
            tracing::warn!(%error, "the progress of the store was not stored");
        }
    }

    fn take_daily_snapshot(&self) {
        let now = self.clock.now();
        // A name from the past would be thinned out before its time.
        if self.mark.is_clock_behind(now) {
            return;
        }
        let taken = snapshots::is_daily_due(&self.dir, now).map_err(Into::into).and_then(|is_due| {
            if is_due {
                snapshots::take(&self.store, &self.dir, Reason::Daily, now).map(Some)
            } else {
                Ok(None)
            }
        });
        if let Err(error) = taken {
            tracing::error!(%error, "the daily snapshot was not taken");
        }
    }
}
