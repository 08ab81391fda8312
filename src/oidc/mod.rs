//! The OpenID Connect provider: apps sign people in here, and learn who they are (OpenID Connect Core 1.0, OAuth 2.0,
//! RFC 9700).
//!
//! [`client`] says what an app may do, [`request`] what it asks for, [`decide`] what has to happen first; `authorize`
//! asks the person and gives a code, `token` exchanges it for a grant. Whatever is asked of a token later goes through
//! [`Oidc::admit`], which reads the person, the app and the grant anew (GEN-02). Grants end with the session they were
//! given in (`grants`).

mod access_token;
pub mod account_api;
pub mod account_pages;
pub mod authorize;
pub mod backchannel;
pub mod claims;
pub mod client;
pub mod client_auth;
mod client_groups;
mod clients;
mod codes;
pub mod consents;
pub mod cors;
pub mod decide;
pub mod device;
pub mod discovery;
pub mod error;
mod grants;
mod id_token;
pub mod inspect;
pub mod keys;
pub mod logout;
mod marker;
pub mod my_apps;
pub mod par;
pub mod params;
pub mod presets;
pub mod preview;
pub mod records;
pub mod redirect_uri;
pub mod registration;
pub mod rehearsal;
pub mod request;
pub mod scopes;
mod shown;
pub mod token;
mod usage;
pub mod userinfo;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::access::asker::Credential;
use crate::accounts::users::AccountError;
use crate::accounts::{Accounts, ProfileRecord, User};
use crate::audit::Audit;
use crate::crypto::key_ring::Schedule;
use crate::crypto::keys::MasterKey;
use crate::crypto::replay::Replay;
use crate::http::outgoing::Outgoing;
use crate::kernel::ids::SessionId;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretKey;
use crate::kernel::time::{SharedClock, Timestamp};
use crate::limits::Limits;
use crate::programs::Bearers;
use crate::sessions::{EndedSession, Lifetimes, OnEnd, Sessions};
use crate::sign_in::{Destination, Destinations, SignIn};
use crate::site::Site;
use crate::store::{Batch, CommitError, Store, StoreError};

pub use client::{Client, ClientId, ClientSettings};
pub use clients::{AddError, Added};
pub use error::OAuthError;
pub use preview::Preview;

use access_token::AccessTokens;
use backchannel::Backchannel;
use clients::Clients;
use discovery::Documents;
use grants::LiveGrants;
use keys::Keys;

/// How long an authorization code is good (OA-04).
pub const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// How long an id_token is good.
pub const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// How long a key is kept after it signed for the last time: an old id_token still tells at the end of a session whose it
/// was.
const HINTS_FOR: Duration = Duration::from_secs(30 * 86_400);

/// The parts that the provider is made of.
pub struct Parts {
    /// Signing in, with the rooms below it.
    pub sign_in: SignIn,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// When signing keys change.
    pub keys: Schedule,
    /// The most verified tokens that are remembered.
    pub token_cache: usize,
    /// What the configuration decides.
    pub settings: OidcSettings,
    /// The one way out of this program.
    pub outgoing: Outgoing,
}

/// What the configuration decides about the provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct OidcSettings {
    /// Whether the metadata names the endpoint for pushed requests (decision 13).
    pub advertise_par: bool,
    /// Whether apps with a token may register themselves (OA-13).
    pub registration: bool,
    /// Whether DPoP proofs must hold a nonce of ours (RFC 9449 section 8).
    pub dpop_nonce: bool,
}

/// The use-cases of the provider. Cheap to clone.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

/// What [`Oidc`] is made of, shared by the files of this room.
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) sign_in: SignIn,
    pub(crate) site: Site,
    pub(crate) audit: Audit,
    pub(crate) limits: Arc<Limits>,
    pub(crate) clock: SharedClock,
    pub(crate) random: Random,
    lifetimes: Lifetimes,
    clients: Clients,
    usage: usage::Usage,
    rehearsals: rehearsal::Rehearsals,
    keys: Keys,
    grants: LiveGrants,
    access_tokens: AccessTokens,
    /// Proofs that were seen (RFC 9449 section 11.1).
    proofs: Replay,
    /// When this process began: proofs from before it may have been seen by the one before.
    started_at: Timestamp,
    refresh_key: SecretKey,
    marker_key: SecretKey,
    rehearsal_key: SecretKey,
    device_polls: device::Polls,
    settings: OidcSettings,
    backchannel: Backchannel,
    /// Counts what the public documents depend on.
    version: AtomicU64,
    documents: ArcSwapOption<Documents>,
    /// How many secrets are compared with hashes from elsewhere at a time; they take the threads that people sign in on.
    foreign_checks: tokio::sync::Semaphore,
}

/// The provider as the rooms below call it. It holds those rooms, so they must not hold it in turn: the store could never
/// be given up.
struct SeenFromBelow(Weak<Inner>);

impl OnEnd for SeenFromBelow {
    fn stage(&self, batch: &mut Batch, ended: &EndedSession) {
        if let Some(inner) = self.0.upgrade() {
            Oidc(inner).stage(batch, ended);
        }
    }

    fn told(&self, sid: &SessionId) -> Vec<String> {
        self.0.upgrade().map(|inner| Oidc(inner).told(sid)).unwrap_or_default()
    }
}

impl Destinations for SeenFromBelow {
    fn describe(&self, target: &url::Url) -> Option<Destination> {
        Oidc(self.0.upgrade()?).describe(target)
    }
}

impl Bearers for SeenFromBelow {
    fn identify(&self, token: &str, origin: &str, now: Timestamp) -> Credential {
        match self.0.upgrade() {
            Some(inner) => Oidc(inner).identify(token, origin, now),
            None => Credential::Refused,
        }
    }
}

impl std::ops::Deref for Oidc {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Oidc {
    /// Reads clients, keys and grants from the store, and sees to it that grants end with their sessions.
    pub fn open(parts: Parts, master: &MasterKey) -> Result<Self, StoreError> {
        let sign_in = parts.sign_in;
        let store = sign_in.store.clone();
        let room = Oidc(Arc::new(Inner {
            clients: Clients::load(&store)?,
            usage: usage::Usage::load(&store)?,
            rehearsals: rehearsal::Rehearsals::default(),
            keys: Keys::load(
                &store,
                Schedule { keep_after: parts.keys.keep_after.max(HINTS_FOR), ..parts.keys },
            )?,
            grants: LiveGrants::load(&store)?,
            access_tokens: AccessTokens::load(&store, parts.token_cache)?,
            proofs: Replay::new(),
            started_at: sign_in.clock.now(),
            refresh_key: master.derive("oidc refresh token"),
            marker_key: master.derive("oidc authorization marker"),
            rehearsal_key: master.derive("oidc rehearsal"),
            device_polls: device::Polls::default(),
            settings: parts.settings,
            backchannel: Backchannel::open(
                store.clone(),
                sign_in.audit.clone(),
                sign_in.clock.clone(),
                sign_in.random.clone(),
                parts.outgoing,
            )?,
            version: AtomicU64::new(0),
            foreign_checks: tokio::sync::Semaphore::new(client_auth::MOST_FOREIGN_CHECKS),
            documents: ArcSwapOption::empty(),
            lifetimes: parts.lifetimes,
            accounts: sign_in.accounts.clone(),
            sessions: sign_in.sessions.clone(),
            site: sign_in.site.clone(),
            audit: sign_in.audit.clone(),
            limits: sign_in.limits.clone(),
            clock: sign_in.clock.clone(),
            random: sign_in.random.clone(),
            store,
            sign_in,
        }));
        room.sessions.add_on_end(Arc::new(SeenFromBelow(Arc::downgrade(&room.0))));
        room.sign_in.add_destinations(Arc::new(SeenFromBelow(Arc::downgrade(&room.0))));
        room.give_up_unagreed()?;
        Ok(room)
    }

    /// Returns what tells whom access tokens speak for at apps behind reverse proxies.
    pub fn bearers(&self) -> Arc<dyn Bearers> {
        Arc::new(SeenFromBelow(Arc::downgrade(&self.0)))
    }

    /// Lets the public documents be made anew: something that they show has changed.
    fn touch_documents(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Returns who we are (OIDC Core section 2): the public origin, without a slash at the end.
    pub fn issuer(&self) -> String {
        self.site.origin().text
    }

    /// Tells whether apps may be reached by plain http: Doorward itself is.
    pub(crate) fn is_lab(&self) -> bool {
        !self.site.origin().is_https || self.site.allows_insecure_http()
    }

    fn profile(&self, user: &User) -> Result<Option<ProfileRecord>, AccountError> {
        self.accounts.profile(&user.id)
    }

    /// Returns the `sub` of a person: random, stable, and never anybody else's (OA-19).
    fn subject(&self, user: &User, profile: Option<&ProfileRecord>) -> String {
        match profile.and_then(|profile| profile.subject.as_ref()) {
            Some(subject) => subject.as_str().to_owned(),
            None => user.id.to_string(),
        }
    }

    /// Tells apps that stays are over until `stopping` says so. Run once, in the background.
    pub async fn tell_apps(self, stopping: watch::Receiver<bool>) {
        self.backchannel.clone().run(Arc::new(self), stopping).await;
    }

    /// Drops what is over. Run every minute.
    pub async fn sweep(&self) -> Result<(), CommitError> {
        let now = self.clock.now();
        self.sweep_grants(now).await?;
        self.access_tokens.sweep(now);
        self.device_polls.sweep(self.clock.monotonic());
        while self.store.purge::<records::CodeRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::GrantRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::PushedRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::DeviceRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::UserCodeRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::UsedOnceRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::RevokedTokenRecord>(now, 500).await? == 500 {}
        while self.store.purge::<records::InitialTokenRecord>(now, 500).await? == 500 {}
        self.keep_keys().await
    }
}
