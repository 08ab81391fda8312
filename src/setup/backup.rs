//! Taking a copy of everything along: an export, as `doorward store export` writes it. What is sealed in the store stays
//! sealed with the master key, which is not in it.

use bytes::Bytes;
use http::StatusCode;

use super::Setup;
use crate::audit::{Event, Kind};
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::sign_in::{Visit, step_up_first};
use crate::store::{CommitError, snapshots};
use crate::views::setup as views;
use crate::words::{Said, Words};

/// The largest store that is handed out in one answer; larger ones are for the command line.
const LARGEST: u64 = 256 * 1024 * 1024;

/// A copy of everything.
pub struct Backup {
    /// The export.
    pub bytes: Bytes,
    /// A name for the file.
    pub name: String,
}

impl Setup {
    /// Returns when an administrator last took a copy, if ever.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_backup(&self) -> Result<Option<Timestamp>, Problem> {
        Ok(self.progress().map_err(CommitError::Store)?.backed_up_at)
    }

    /// Takes a copy of everything. Needs a fresh proof of all factors (ADM-01); it is written down first.
    ///
    /// # Errors
    /// `step_up_required`, `too_large`, or the store could not be read or written.
    pub async fn take_backup(&self, principal: &Principal, visit: &Visit<'_>) -> Result<Backup, Problem> {
        self.sign_in.require_fresh(principal)?;
        let store = self.sign_in.store.clone();
        if store.engine().size_on_disk() > LARGEST {
            return Err(Problem::conflict("too_large", Said::of(Words::setup_backup_too_large)));
        }
        let event = Event::succeeded(Kind::StoreExported).by(principal.user.id, &principal.user.username);
        let now = self.note_backup(event.from(visit.ip).request(visit.request)).await?;
        let written = self.copies.work(move || {
            let mut bytes = Vec::new();
            snapshots::export_to(&store, &mut bytes, now).map(|_| bytes)
        });
        let bytes = written.await?.map_err(|error| Problem::internal(error.to_string()))?;
        let bytes = Bytes::from(bytes);
        let (year, month, day) = now.civil_date();
        Ok(Backup { bytes, name: format!("doorward-{year:04}-{month:02}-{day:02}.doorward-export") })
    }

    /// Writes down that a copy of everything is taken now, and returns when that is; `event` tells who takes it.
    ///
    /// # Errors
    /// If the store takes no write.
    pub async fn note_backup(&self, event: Event) -> Result<Timestamp, Problem> {
        let now = self.sign_in.clock.now();
        let also = |batch: &mut crate::store::Batch| {
            self.sign_in.audit.write(batch, event.clone());
            Ok(())
        };
        self.commit_progress(|record| record.backed_up_at = Some(now), also).await.map_err(Problem::from)?;
        Ok(now)
    }
}

/// Answers the copy as a file, as long as the caller may have it.
fn file(room: &Setup, principal: &Principal, backup: Backup) -> Result<Reply, Problem> {
    let reply = Reply::file(&backup.name, "application/x-ndjson", backup.bytes);
    room.sign_in.sessions.only_for_admin(principal, reply)
}

/// `GET /admin/backup`.
pub async fn show(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    if room.sign_in.require_fresh(principal).is_err() {
        return Ok(step_up_first("/admin/backup"));
    }
    let sign_in = &room.sign_in;
    let page = views::Backup {
        frame: frames::personal(
            &sign_in.site,
            &sign_in.sessions,
            request,
            principal,
            request.words().setup_backup_title(),
            "system",
        ),
        last: room.last_backup()?.map(Into::into),
        key_file: room.key_file.path.display().to_string(),
        fingerprint: sign_in.store.key_fingerprint().to_owned(),
    };
    Reply::html(StatusCode::OK, &page)
}

/// `POST /admin/backup`: answers with the file.
pub async fn take(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    if room.sign_in.require_fresh(principal).is_err() {
        return Ok(step_up_first("/admin/backup"));
    }
    file(room, principal, room.take_backup(principal, &visit(&room.sign_in, request)?).await?)
}

/// `POST /api/v1/admin/backup`: answers with the file.
pub async fn take_by_api(room: &Setup, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    file(room, principal, room.take_backup(principal, &visit(&room.sign_in, request)?).await?)
}
