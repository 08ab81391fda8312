//! Snapshots of the store: which there are, one more, and one to take along.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit::{Event, Outcome};
use crate::http::Problem;
use crate::http::copies::Copies;
use crate::kernel::time::Timestamp;
use crate::store::Store;
use crate::store::leftovers::hand_out_place;
use crate::store::snapshots::{self, Reason, Stored};
use crate::words::{Said, Words, english_only, said};

use super::System;

/// The largest snapshot that is sent to a browser; larger ones are copied from the disk.
pub const LARGEST_DOWNLOAD: u64 = 64 * 1024 * 1024;

/// Snapshots that somebody asked for are kept until somebody removes them; a browser makes no more than these.
const MOST_ASKED: usize = 20;

/// Makes and reads snapshots.
pub struct Backups {
    store: Store,
    directory: PathBuf,
    copies: Copies,
}

impl Backups {
    pub(super) fn new(store: Store, directory: PathBuf, copies: Copies) -> Self {
        Backups { store, directory, copies }
    }

    /// Lists what there is, newest first. All were read back whole before they got their names.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>, Problem> {
        snapshots::stored(&self.directory).map_err(|error| Problem::internal(error.to_string()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Path) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (store, directory) = (self.store.clone(), self.directory.clone());
        self.copies.work(move || work(&store, &directory)).await
    }
}

impl System {
    /// Takes a verified snapshot now. `event` tells who asked; it is in the log, and in the snapshot, before it is taken.
    ///
    /// # Errors
    /// 409 when there are too many already, 503 while another is made, or when it cannot be made.
    pub async fn take_snapshot(&self, event: Event) -> Result<Stored, Problem> {
        let backups = self.backups();
        let asked = backups.list()?.iter().filter(|one| one.reason == Reason::Asked).count();
        if asked >= MOST_ASKED {
            let path = backups.directory.join("snapshots");
            let sentence = said(move |t| t.system_snapshot_many(asked, path.display()));
            return Err(Problem::conflict("too_many_snapshots", sentence));
        }
        let mut batch = self.store.batch();
        self.audit.write(&mut batch, event.clone().detail("what", "snapshot"));
        self.store.commit(batch).await?;
        let now: Timestamp = self.clock.now();
        let taken = backups.run(move |store, dir| snapshots::take(store, dir, Reason::Asked, now)).await?;
        let path = match taken {
            Ok(path) => path,
            Err(error) => {
                self.audit.note(event.ended(Outcome::Failed).detail("what", "snapshot"));
                let text = Said::of(Words::system_snapshot_failed);
                return Err(Problem::unavailable("snapshot_failed", text, Duration::from_secs(60))
                    .because(error.to_string()));
            }
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let found = backups.list()?.into_iter().find(|one| one.name == name);
        found.ok_or_else(|| Problem::internal("the new snapshot is not listed"))
    }

    /// Reads a snapshot for somebody who has just proven who they are; `event` tells who.
    ///
    /// # Errors
    /// 404, 409 if it is too large for this way, 503 while another is read.
    pub async fn read_snapshot(&self, name: &str, event: Event) -> Result<Vec<u8>, Problem> {
        let backups = self.backups();
        let found = self.find_snapshot(name)?;
        if found.bytes > LARGEST_DOWNLOAD {
            let path = backups.directory.join("snapshots").join(&found.name);
            let sentence = said(move |t| t.system_snapshot_large(path.display()));
            return Err(Problem::conflict("too_large", sentence));
        }
        self.note_download(&found, event).await?;
        let read = backups.run(move |_, dir| snapshots::read(dir, &found.name, LARGEST_DOWNLOAD)).await?;
        read.map_err(|error| Problem::internal(error.to_string()))?.ok_or_else(Problem::not_found)
    }

    fn find_snapshot(&self, name: &str) -> Result<Stored, Problem> {
        let found = self.backups().list()?.into_iter().find(|one| one.name == name);
        found.ok_or_else(Problem::not_found)
    }

    async fn note_download(&self, snapshot: &Stored, event: Event) -> Result<(), Problem> {
        let mut batch = self.store.batch();
        self.audit.write(&mut batch, event.detail("what", "download").detail("snapshot", &snapshot.name));
        Ok(self.store.commit(batch).await?)
    }

    /// Lets somebody who reads the disk of this machine take a snapshot along; `event` tells who. Returns where it lies.
    ///
    /// # Errors
    /// 404, or the store takes no write.
    pub async fn hand_out_snapshot(&self, name: &str, event: Event) -> Result<PathBuf, Problem> {
        let found = self.find_snapshot(name)?;
        self.note_download(&found, event).await?;
        Ok(self.backups().directory.join("snapshots").join(&found.name))
    }

    /// Writes everything to a new file in the data directory, for somebody who reads the disk of this machine and moves
    /// it from there; `event` tells who. Returns where it lies and how many records it holds.
    ///
    /// # Errors
    /// 503 while a snapshot is made, or if it cannot be written.
    pub async fn hand_out_store(&self, event: Event) -> Result<(PathBuf, u64), Problem> {
        let now = self.setup().note_backup(event).await?;
        let written = self.backups().run(move |store, dir| {
            let file = hand_out_place(dir, now);
            snapshots::export_file(store, &file, now).map(|report| (file, report.counts.values().sum()))
        });
        written.await?.map_err(|error| {
            let text = english_only("The copy could not be written; the log of the server says why.");
            Problem::unavailable("export_failed", text, Duration::from_secs(60)).because(error.to_string())
        })
    }

    /// Removes a copy that [`System::hand_out_store`] wrote under `name` and nobody took along.
    pub fn take_back_store(&self, name: &Path) {
        let file = self.backups().directory.join(name);
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(%error, file = %file.display(), "a copy that nobody wants could not be removed");
        }
    }
}
