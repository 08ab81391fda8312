//! The first start: a setup token proves whose machine this is, a wizard makes the owner's account and asks for what
//! Doorward must know, and then its pages are gone for good.
//!
//! Whether there is an owner is a durable fact ([`records::OwnerRecord`]), not a count of users: deleting everybody
//! does not open the setup again (SET-02). Making the owner is one commit that requires that this fact is absent, so
//! of any number of parallel attempts one succeeds.

mod address;
mod address_pages;
pub mod backup;
mod bootstrap;
pub mod checklist;
mod checks;
pub mod claim;
pub mod echo;
mod first_app;
mod later_pages;
mod looks;
mod owner;
pub mod pages;
pub mod records;
pub mod restore;
mod sightings;
#[cfg(test)]
mod tests;
mod wizards;

pub use bootstrap::{Bootstrap, BootstrapPassword, Bootstrapped, EnrolledTotp};
pub use owner::{OwnerError, OwnerForm};

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode, header};
use parking_lot::Mutex;

use crate::access::{Access, Dialect};
use crate::accounts::User;
use crate::audit::{Event, Kind, place_in_words};
use crate::crypto::mac::sha256;
use crate::http::copies::Copies;
use crate::http::outgoing::Outgoing;
use crate::http::{Problem, Reply, Request};
use crate::kernel::ids::UserId;
use crate::kernel::secret::{SecretText, ct_eq};
use crate::kernel::text::DisplayName;
use crate::kernel::time::Timestamp;
use crate::limits::Rule;
use crate::oidc::Oidc;
use crate::sign_in::{SignIn, Visit};
use crate::site::Setting;
use crate::store::meta::{self, Single};
use crate::store::{Batch, CommitError, StoreError, Versioned};
use crate::views::setup::Step;
use crate::words::{Said, Words, english_only};

use claim::{SetupToken, TokenFileError};
use records::{OwnerRecord, SetupRecord};
use sightings::{Probes, Watch};
use wizards::{Wizard, Wizards};

/// Wrong setup tokens from one place. The token cannot be guessed; this keeps the log readable (SET-01, LIM-01).
pub const CLAIM_RULE: Rule = Rule::new("setup", 5, Duration::from_secs(60));

/// How many times a change is tried again when another one came first.
const TRIES: usize = 5;
/// The path that the pages live below.
const ROOT: &str = "/setup";

/// The file of the master key.
#[derive(Clone, Debug, Default)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether Doorward made it by itself, and may put that of a restored installation in its place.
    pub is_own: bool,
}

/// What the setup is made of.
pub struct Parts {
    /// Signing in, and through it accounts, sessions, site, audit log and store.
    pub sign_in: SignIn,
    /// Access rules.
    pub access: Access,
    /// Apps that sign people in.
    pub oidc: Oidc,
    /// The one way out of this program, for looking at the public address.
    pub outgoing: Outgoing,
    /// Where the token file lives.
    pub data_directory: PathBuf,
    /// Where the master key lies.
    pub key_file: KeyFile,
    /// Where people connect, for the addresses that are shown.
    pub listen: SocketAddr,
}

/// The use-cases of the setup. Cheap to clone.
#[derive(Clone)]
pub struct Setup(Arc<Inner>);

/// What [`Setup`] is made of, shared by its faces.
pub struct Inner {
    sign_in: SignIn,
    access: Access,
    oidc: Oidc,
    outgoing: Outgoing,
    data_directory: PathBuf,
    key_file: KeyFile,
    listen: Mutex<SocketAddr>,
    is_claimed: Arc<AtomicBool>,
    is_finished: Arc<AtomicBool>,
    /// Hash and end (monotonic) of the token that this process made.
    own_token: Mutex<Option<([u8; 32], Duration)>>,
    wizards: Wizards,
    probes: Probes,
    watch: Watch,
    /// Somebody wants this process to start again.
    restart: tokio::sync::Notify,
    copies: Copies,
    /// The whole address that made the owner; in memory only, for whoever came second.
    claimed_from: Mutex<Option<IpAddr>>,
}

impl std::ops::Deref for Setup {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Why the setup could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The store could not be read.
    Store(StoreError),
    /// The setup token could not be written.
    Token(TokenFileError),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::Token(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        OpenError::Store(error)
    }
}

impl From<TokenFileError> for OpenError {
    fn from(error: TokenFileError) -> Self {
        OpenError::Token(error)
    }
}

/// Why a setup token was refused.
#[derive(Debug)]
pub enum ClaimError {
    /// It is not the one.
    Wrong,
    /// It was the one, and its hour is over.
    Expired,
    /// Too many wrong ones from this place; how long to wait.
    Limited(Duration),
    /// There is an owner already.
    Taken,
    /// The token file could not be read.
    Problem(Problem),
}

impl Setup {
    /// Reads how far the setup is. Without an owner it writes a fresh token that is good for an hour; with one it
    /// removes what is left of the token.
    ///
    /// # Errors
    /// If the store cannot be read, or the token file cannot be written.
    pub fn open(parts: Parts) -> Result<Setup, OpenError> {
        let Parts { sign_in, access, oidc, outgoing, data_directory, key_file, listen } = parts;
        let has_owner = meta::read::<OwnerRecord>(&sign_in.store)?.is_some();
        let progress = meta::read::<SetupRecord>(&sign_in.store)?.unwrap_or_default();
        // Users without the record come from elsewhere, such as an import: then there is nothing to claim either.
        let is_foreign = !has_owner && !sign_in.accounts.directory().is_empty();
        let is_finished = progress.finished_at.is_some() || is_foreign;
        let is_claimed = has_owner || is_finished;
        let mut own_token = None;
        if is_claimed {
            claim::remove(&data_directory)?;
        } else {
            let token = claim::renew(&data_directory, &sign_in.random, sign_in.clock.now())?;
            own_token = Some((token.hash(), sign_in.clock.monotonic() + claim::LIFETIME));
        }
        let watch = Watch::default();
        if let Some(host) = &progress.app_host {
            watch.start(host);
        }
        Ok(Setup(Arc::new(Inner {
            wizards: Wizards::new(&sign_in.random),
            sign_in,
            access,
            oidc,
            outgoing,
            data_directory,
            key_file,
            listen: Mutex::new(listen),
            is_claimed: Arc::new(AtomicBool::new(is_claimed)),
            is_finished: Arc::new(AtomicBool::new(is_finished)),
            own_token: Mutex::new(own_token),
            probes: Probes::default(),
            watch,
            restart: tokio::sync::Notify::new(),
            copies: Copies::default(),
            claimed_from: Mutex::new(None),
        })))
    }

    /// Writes down that there is nothing to claim if that only follows from the users that were found: they may all leave
    /// (SET-02). A store that takes no writes now is asked again at the next start.
    pub async fn keep_closed(&self) {
        let is_written = self.progress().map(|progress| progress.finished_at.is_some());
        if !self.is_finished() || is_written.unwrap_or(false) {
            return;
        }
        if let Err(error) = self.close_without_owner().await {
            tracing::warn!(%error, "it could not be written down that the setup is closed");
        }
    }

    /// Tells whether there is, or ever was, an owner.
    pub fn is_claimed(&self) -> bool {
        self.is_claimed.load(Ordering::Acquire)
    }

    /// Tells whether the setup is over: its pages are gone.
    pub fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Returns what to print where the administrator reads it, and nowhere else, when there is no owner yet: the
    /// address of the wizard with the setup token in its fragment, which no proxy ever logs.
    pub fn banner(&self) -> Option<String> {
        if self.is_claimed() {
            return None;
        }
        let token = claim::read(&self.data_directory).ok().flatten()?;
        let token = token.expose();
        let url = self.local_url();
        Some(format!(
            "\nDoorward is new here and belongs to nobody yet. To make it yours, open\n\n    {url}#{token}\n\n\
             From another machine: open a tunnel with `ssh -L 8080:localhost:{port} HOST`, then\n\
             http://localhost:8080{ROOT}, and type the setup code {token}\n\
             It is good for one hour. `doorward setup-token` shows it again or makes a new one.\n",
            port = self.listen().port(),
        ))
    }

    /// Tells the address that was bound, if the system chose it.
    pub fn set_listen(&self, listen: SocketAddr) {
        *self.listen.lock() = listen;
    }

    fn listen(&self) -> SocketAddr {
        *self.listen.lock()
    }

    /// Returns the address of the wizard on this machine. Never 127.0.0.1: browsers refuse passkeys there.
    fn local_url(&self) -> String {
        let (ip, port) = (self.listen().ip(), self.listen().port());
        if ip.is_unspecified() || ip.is_loopback() {
            format!("http://localhost:{port}{ROOT}")
        } else {
            format!("http://{}{ROOT}", SocketAddr::new(ip, port))
        }
    }

    /// Decides about a request while there is no owner: setup, assets and health answer, everything else waits
    /// (SET-01). `None` lets the request pass.
    ///
    /// # Errors
    /// 503 for whatever is not a page.
    pub fn gate(&self, request: &Request) -> Result<Option<Reply>, Problem> {
        let path = request.path();
        let is_open = path == ROOT
            || path.starts_with("/setup/")
            || path.starts_with("/assets/")
            || path == "/preferences"
            || matches!(path, "/healthz" | "/readyz");
        if is_open || self.is_claimed() {
            return Ok(None);
        }
        let is_page = matches!(request.method, Method::GET | Method::HEAD)
            && request.wants_html()
            && !path.starts_with("/api/");
        if is_page {
            return Ok(Some(Reply::see_other(ROOT)));
        }
        Err(Problem::unavailable(
            "setup_required",
            english_only("This Doorward is new and has to be set up first. Open /setup in a browser."),
            Duration::from_secs(10),
        ))
    }

    /// Decides about a question of a reverse proxy while there is no owner: nobody is let in (SET-01). `None` lets the
    /// rules decide.
    pub fn gate_proxy(&self, dialect: Dialect) -> Option<Reply> {
        if self.is_claimed() {
            return None;
        }
        Some(match dialect {
            // nginx makes a 500 of everything but 200, 401 and 403, and asks at the old endpoint too.
            Dialect::AuthRequest | Dialect::Legacy => Reply::empty(StatusCode::FORBIDDEN),
            Dialect::ForwardAuth | Dialect::ExtAuthz => Reply::empty(StatusCode::SERVICE_UNAVAILABLE)
                .with(header::RETRY_AFTER, http::HeaderValue::from_static("10")),
        })
    }

    /// Notes how a reverse proxy was answered, for the live test of the first app. Costs nothing once the setup is
    /// finished.
    pub fn observe(&self, dialect: Dialect, request: &Request, reply: &Reply) {
        if !self.is_finished() {
            self.watch.note(dialect, request, reply, &self.sign_in.site.origin().text);
        }
    }

    /// Judges a setup token and lets the browser into the wizard; returns the value of its cookie. The token stays
    /// good until there is an owner, so that a closed window is no harm.
    pub fn claim(&self, typed: &str, visit: &Visit<'_>) -> Result<SecretText, ClaimError> {
        if self.is_claimed() {
            return Err(ClaimError::Taken);
        }
        // Reserved before it is judged, so that parallel guesses do not slip past.
        let place = self.sign_in.limits.acquire_place(&CLAIM_RULE, visit.ip, b"");
        if !place.verdict.allowed {
            return Err(ClaimError::Limited(place.verdict.retry_after));
        }
        let judged = self.judge(typed);
        match judged {
            Ok(code) => {
                self.sign_in.limits.release_place(&CLAIM_RULE, place.reservation);
                let mut wizard = Wizard::new(None, None, self.sign_in.clock.now());
                wizard.code = Some(code);
                Ok(self.wizards.insert(&self.sign_in.random, wizard, self.sign_in.clock.monotonic()))
            }
            Err(error) => {
                tracing::warn!(client = %visit.ip, request = %visit.request, "a wrong setup code was given");
                let event = Event::refused(Kind::SetupClaimFailed).from(visit.ip).request(visit.request);
                self.sign_in.audit.note(event);
                Err(error)
            }
        }
    }

    /// Returns the hash of the code that was typed, if it is the one of the file.
    fn judge(&self, typed: &str) -> Result<[u8; 32], ClaimError> {
        let token = claim::read(&self.data_directory)
            .map_err(|error| ClaimError::Problem(Problem::internal(error.to_string())))?;
        let (Some(token), Some(typed)) = (token, claim::normalize(typed)) else {
            return Err(ClaimError::Wrong);
        };
        if !ct_eq(&sha256(typed.as_bytes()), &token.hash()) {
            return Err(ClaimError::Wrong);
        }
        if self.is_in_time(&token) { Ok(token.hash()) } else { Err(ClaimError::Expired) }
    }

    /// Tells whether a browser's way into the wizard is still good: before there is an owner, only as long as the code that
    /// it knew is the one of the file. Its hour may be over meanwhile.
    fn is_let_in(&self, code: Option<&[u8; 32]>) -> Result<bool, Problem> {
        if self.is_claimed() {
            return Ok(true);
        }
        let Some(code) = code else { return Ok(false) };
        let token =
            claim::read(&self.data_directory).map_err(|error| Problem::internal(error.to_string()))?;
        // Whoever became the owner meanwhile took the file away.
        Ok(token.map_or_else(|| self.is_claimed(), |token| ct_eq(code, &token.hash())))
    }

    /// Tells whether a token's hour is not over. A token of our own is measured by the clock that nobody can step: a
    /// machine without a battery starts in 1970 and leaps while the administrator reads the log.
    fn is_in_time(&self, token: &SetupToken) -> bool {
        match *self.own_token.lock() {
            Some((hash, until)) if ct_eq(&hash, &token.hash()) => self.sign_in.clock.monotonic() < until,
            _ => self.sign_in.clock.now() < token.expires_at,
        }
    }

    /// Lets the owner back into the wizard by an ordinary session; returns the value of the wizard's cookie.
    fn resume(&self, principal: &crate::sessions::Principal) -> SecretText {
        // The session is alive, so it is younger than what ended the earlier ones, even within one millisecond.
        let dead_until = principal.user.not_before.plus(Duration::from_millis(1));
        let came_in_at = self.sign_in.clock.now().max(dead_until);
        let wizard = Wizard::new(Some(principal.user.id), Some(principal.session), came_in_at);
        self.wizards.insert(&self.sign_in.random, wizard, self.sign_in.clock.monotonic())
    }

    /// Reads how far the wizard is.
    fn progress(&self) -> Result<SetupRecord, StoreError> {
        Ok(meta::read::<SetupRecord>(&self.sign_in.store)?.unwrap_or_default())
    }

    /// Adds a change of the progress to `batch`; the commit conflicts if it was changed meanwhile.
    fn stage_progress(
        &self,
        batch: &mut Batch,
        change: impl FnOnce(&mut SetupRecord),
    ) -> Result<(), StoreError> {
        let seen: Option<Versioned<SetupRecord>> = self.sign_in.store.get(SetupRecord::ROW)?;
        let mut record = seen.as_ref().map(|seen| seen.value.clone()).unwrap_or_default();
        change(&mut record);
        match &seen {
            Some(seen) => batch.replace(SetupRecord::ROW, seen, &record),
            None => batch.insert_new(SetupRecord::ROW, &record),
        };
        if record.finished_at.is_some() {
            let is_finished = self.is_finished.clone();
            batch.after(move || is_finished.store(true, Ordering::Release));
        }
        Ok(())
    }

    /// Commits a change of the progress together with what `also` adds.
    async fn commit_progress(
        &self,
        change: impl Fn(&mut SetupRecord) + Send + Sync,
        also: impl Fn(&mut Batch) -> Result<(), CommitError> + Send + Sync,
    ) -> Result<(), CommitError> {
        self.commit_progress_by(&change, &also).await
    }

    /// [`Setup::commit_progress`], compiled once for all that call it.
    async fn commit_progress_by(
        &self,
        change: &(dyn Fn(&mut SetupRecord) + Send + Sync),
        also: &(dyn Fn(&mut Batch) -> Result<(), CommitError> + Send + Sync),
    ) -> Result<(), CommitError> {
        for _ in 0..TRIES {
            let mut batch = self.sign_in.store.batch();
            also(&mut batch)?;
            self.stage_progress(&mut batch, change)?;
            match self.sign_in.store.commit(batch).await {
                Err(CommitError::Conflict) => {}
                other => return other,
            }
        }
        Err(CommitError::Conflict)
    }

    /// Starts an audit event by the owner or, before there is one, by the setup itself.
    fn event(&self, kind: Kind, by: Option<UserId>, visit: &Visit<'_>) -> Event {
        let event = Event::succeeded(kind).from(visit.ip).request(visit.request);
        match by.and_then(|id| self.sign_in.accounts.user(&id)) {
            Some(user) => event.by(user.id, &user.username),
            None => event.by_system("setup"),
        }
    }

    /// Gives the instance its name.
    ///
    /// # Errors
    /// 422 if it is no name; or the store refused.
    async fn set_name(&self, name: &str, by: Option<UserId>, visit: &Visit<'_>) -> Result<(), Problem> {
        let name = parse_instance_name(name)?;
        let result = self
            .commit_progress(
                |record| record.is_named = true,
                |batch| {
                    self.sign_in.site.stage_set(batch, Setting::InstanceName, name.as_str());
                    let event = self.event(Kind::SettingChanged, by, visit).on(Setting::InstanceName.key());
                    self.sign_in.audit.write(batch, event);
                    Ok(())
                },
            )
            .await;
        result.map_err(Problem::from)
    }

    /// Closes the setup for good.
    async fn finish(&self, by: UserId, visit: &Visit<'_>) -> Result<(), Problem> {
        let now = self.sign_in.clock.now();
        let result = self
            .commit_progress(
                |record| record.finished_at = Some(now),
                |batch| {
                    let event = self.event(Kind::SetupCompleted, Some(by), visit);
                    self.sign_in.audit.write(batch, event);
                    Ok(())
                },
            )
            .await;
        result.map_err(Problem::from)?;
        let name = self.sign_in.accounts.user(&by).map(|user| user.username.to_string()).unwrap_or_default();
        tracing::info!(owner = name, client = %visit.ip, "the setup was completed; its pages are closed");
        Ok(())
    }

    /// Closes the setup for good without making an owner: for an installation whose users come from elsewhere, such as
    /// an import or the command line.
    ///
    /// # Errors
    /// If the store took no write.
    pub async fn close_without_owner(&self) -> Result<(), CommitError> {
        let now = self.sign_in.clock.now();
        self.commit_progress(
            |record| record.finished_at = Some(now),
            |batch| {
                self.sign_in.audit.write(batch, Event::succeeded(Kind::SetupCompleted).by_system("cli"));
                let is_claimed = self.is_claimed.clone();
                batch.after(move || is_claimed.store(true, Ordering::Release));
                Ok(())
            },
        )
        .await?;
        forget_token(self);
        Ok(())
    }

    /// Returns who works with copies of the whole store.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Returns who was faster, as a sentence with time and place.
    fn taken_by(&self, t: Words) -> Result<String, StoreError> {
        let record = meta::read::<OwnerRecord>(&self.sign_in.store)?;
        let from = self.claimed_from.lock().map(|ip| ip.to_string());
        Ok(match record {
            Some(record) => {
                let at = crate::views::When::from(record.at).in_words(&t);
                t.setup_taken_by(from.unwrap_or_else(|| place_in_words(&record.place, t)), at)
            }
            None => t.setup_taken_by_unknown().to_owned(),
        })
    }

    /// Tells whether the owner may no longer go on in this browser: its ordinary session is over, or all of them are.
    fn is_ended(&self, user: &UserId, wizard: &Wizard) -> bool {
        let is_signed_out = wizard.session.is_some_and(|id| self.sign_in.sessions.owner(&id) != Some(*user));
        let is_over = |user: &User| user.not_before > Timestamp::ZERO && wizard.started_at <= user.not_before;
        let user = self.sign_in.active_user(user);
        is_signed_out || user.is_none_or(|user| !user.role.is_admin() || is_over(&user))
    }
}

/// Reads the name of an installation.
pub(crate) fn parse_instance_name(name: &str) -> Result<DisplayName, Problem> {
    let refuse = |why: Said| Problem::unprocessable("instance_name", "invalid_value", why);
    let parsed = DisplayName::parse(name).map_err(|_| refuse(Said::of(Words::setup_welcome_name_short)))?;
    if parsed.as_str().chars().count() > 64 {
        return Err(refuse(Said::of(Words::setup_welcome_name_long)));
    }
    Ok(parsed)
}

/// Removes the token file after the owner was made; a file that stays is worth nothing.
fn forget_token(setup: &Setup) {
    *setup.own_token.lock() = None;
    if let Err(error) = claim::remove(&setup.data_directory) {
        tracing::warn!(%error, "the used setup code could not be removed");
    }
}

/// Returns the step with this word, if it may be done again after the setup.
fn resumable(word: &str) -> Option<Step> {
    match word {
        "address" => Some(Step::Address),
        "protect" => Some(Step::Protect),
        _ => None,
    }
}

/// Tells whether the request carries a header that says who the visitor is.
fn names_visitor(request: &Request) -> bool {
    request.headers.contains_key("x-forwarded-for") || request.headers.contains_key(header::FORWARDED)
}

/// Tells whether the request carries headers that only proxies write.
fn is_forwarded(request: &Request) -> bool {
    ["x-forwarded-for", "x-forwarded-proto", "x-real-ip"]
        .iter()
        .any(|name| request.headers.contains_key(name))
        || request.headers.contains_key(header::FORWARDED)
}
