//! Restoring a backup in place of making an owner: an upload by a browser that gave the setup code, while this Doorward
//! belongs to nobody. The file is read whole and must be signed with the master key that it was made under; then it is
//! laid beside the store, and Doorward starts again, which puts it in place ([`crate::store::staged`]). The setup is over
//! then, because the backup has an owner.

use http::{HeaderName, HeaderValue, StatusCode};

use super::Setup;
use super::pages::{Here, enter, is_insecure, refuse_foreign, taken_page, welcome_page};
use super::records::{OwnerRecord, SetupRecord};
use crate::accounts::records::UserRecord;
use crate::crypto::keys::MasterKey;
use crate::crypto::sealed::Sealer;
use crate::http::multipart;
use crate::http::{Problem, Reply, Request};
use crate::store::export::ExportError;
use crate::store::{Store, StoreError, meta, staged};
use crate::views::setup::{self as views, Step};
use crate::views::{FieldErrors, When};
use crate::words::{Said, Words};

/// The largest upload; larger backups are for the command line.
pub const LARGEST_UPLOAD: usize = 64 * 1024 * 1024;

static REFRESH: HeaderName = HeaderName::from_static("refresh");
/// Longer than a stop and a start take.
const COME_BACK: HeaderValue = HeaderValue::from_static("8; url=/");

/// Tells whether a store belongs to nobody, so that a backup may take its place.
///
/// # Errors
/// If it cannot be read.
pub fn is_free(store: &Store) -> Result<bool, StoreError> {
    let is_finished = meta::read::<SetupRecord>(store)?.is_some_and(|record| record.finished_at.is_some());
    let has_owner = meta::read::<OwnerRecord>(store)?.is_some();
    let has_users = !store.scan::<UserRecord>(&[], None, 1)?.is_empty();
    Ok(!is_finished && !has_owner && !has_users)
}

impl Setup {
    /// Tells whether the body of an upload may be read at all: only from a browser in the wizard, and only while there is
    /// no owner. Everybody else would fill the memory.
    ///
    /// # Errors
    /// 403, or 404 once the setup is over.
    pub fn admit_upload(&self, request: &Request) -> Result<(), Problem> {
        if self.is_finished() {
            return Err(Problem::not_found());
        }
        refuse_foreign(request)?;
        let is_in_wizard = Here::find(self, request)?.is_some();
        if is_in_wizard && !self.is_claimed() {
            return Ok(());
        }
        Err(Problem::forbidden("not_in_setup", Said::of(Words::setup_restore_who)))
    }

    /// Waits until somebody wants Doorward to start again.
    pub async fn restart_wanted(&self) {
        self.restart.notified().await;
    }
}

/// What was sent.
struct Sent<'a> {
    export: &'a [u8],
    key: &'a str,
}

/// What is wrong with it: field and sentence.
type Objection = (&'static str, String);

/// `POST /setup/restore` (`multipart/form-data`).
pub async fn restore(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Welcome)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    if room.is_claimed() {
        return taken_page(room, request);
    }
    let form = multipart::parse(&request.headers, &request.body)?;
    here.check_csrf(form.text("csrf"))?;
    let t = request.words();
    if is_insecure(request) && form.text("accept_insecure") != "yes" {
        return refused(&here, ("accept_insecure", t.setup_restore_insecure_refused().to_owned()));
    }
    let sent = Sent { export: form.bytes("backup"), key: form.text("key") };
    let key = match judge_key(room, &sent, t) {
        Ok(key) => key,
        Err(objection) => return refused(&here, objection),
    };
    let (bytes, dir) = (request.body.slice_ref(sent.export), room.data_directory.clone());
    let store = room.sign_in.store.clone();
    let worked = room.copies.work(move || {
        let sealer = key.as_ref().map(Sealer::new);
        let (header, report) = staged::verify(&bytes, sealer.as_ref().unwrap_or_else(|| store.sealer()))?;
        if !report.counts.contains_key("user") {
            return Ok(None);
        }
        staged::stage(&dir, &bytes, key.as_ref())?;
        Ok(Some((header, report)))
    });
    let outcome = worked.await?;
    let (header, report) = match outcome {
        Ok(Some(staged)) => staged,
        Ok(None) => return refused(&here, ("backup", t.setup_restore_nobody().to_owned())),
        Err(ExportError::Io(error)) => return Err(Problem::internal(error.to_string())),
        Err(error) => return refused(&here, objection(&error, t)),
    };
    tracing::warn!(client = %request.client.ip, made = header.created, "a backup was brought in the setup; Doorward starts again to restore it");
    room.restart.notify_one();
    let page = views::Restoring {
        frame: here.frame(t.setup_restoring_title()),
        records: report.counts.values().sum(),
        made: made_at(&header.created),
    };
    Ok(Reply::html(StatusCode::ACCEPTED, &page)?.with(REFRESH.clone(), COME_BACK))
}

fn made_at(created: &str) -> When {
    When { iso: created.to_owned() }
}

fn refused(here: &Here<'_>, (field, sentence): Objection) -> Result<Reply, Problem> {
    let name = here.room.sign_in.site.name();
    welcome_page(here, name, FieldErrors::one(field, sentence))
}

/// Returns the key that came along, if the backup needs another one than ours.
fn judge_key(room: &Setup, sent: &Sent<'_>, t: Words) -> Result<Option<MasterKey>, Objection> {
    if sent.export.is_empty() {
        return Err(("backup", t.setup_restore_no_file().to_owned()));
    }
    let header = staged::header(sent.export).map_err(|error| objection(&error, t))?;
    let wanted: String = header.key_fingerprint().chars().filter(char::is_ascii_hexdigit).take(64).collect();
    if wanted == room.sign_in.store.key_fingerprint() {
        return Ok(None);
    }
    if !room.key_file.is_own {
        let path = room.key_file.path.display();
        return Err(("key", t.setup_restore_key_is_given(path, wanted)));
    }
    if sent.key.trim().is_empty() {
        return Err(("key", t.setup_restore_no_key(wanted)));
    }
    let key = MasterKey::parse_file(sent.key).map_err(|_| ("key", t.setup_restore_bad_key().to_owned()))?;
    if key.fingerprint() != wanted {
        return Err(("key", t.setup_restore_other_key(key.fingerprint(), wanted)));
    }
    Ok(Some(key))
}

/// Says what is wrong with a file.
fn objection(error: &ExportError, t: Words) -> Objection {
    let sentence = match error {
        ExportError::Malformed { line: 1, .. } => t.setup_restore_foreign().to_owned(),
        ExportError::CutOff => t.setup_restore_cut_off().to_owned(),
        ExportError::Unsigned => t.setup_restore_unsigned().to_owned(),
        ExportError::NotAuthentic => t.setup_restore_not_authentic().to_owned(),
        ExportError::NewerSchema(_) | ExportError::UnknownTable(_) => t.setup_restore_newer().to_owned(),
        _ => t.setup_restore_damaged().to_owned(),
    };
    ("backup", sentence)
}
