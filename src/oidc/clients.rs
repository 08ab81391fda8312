//! The clients: kept in the store, read from memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use data_encoding::BASE64URL_NOPAD;

use super::Oidc;
use super::claims::CustomScope;
use super::client::{Client, ClientId, ClientSettings, Objection};
use super::records::{ClientPartRecord, ClientRecord, ScopeRecord};
use super::scopes;
use crate::accounts::users::AccountError;
use crate::crypto::foreign::ForeignHash;
use crate::crypto::mac::sha256;
use crate::http::Problem;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::programs::SCOPES;
use crate::store::{Batch, CommitError, Store, StoreError, Versioned};
use crate::words::{Said, Words, english_only};

/// The most clients.
const MOST: usize = 10_000;
/// The largest part of settings in one row, and the most of them.
const PART: usize = 3000;
const MOST_PARTS: u8 = 32;
/// How much of what people gave to an app goes in one commit.
pub(super) const FORGOTTEN_AT_ONCE: usize = 200;
/// The most scopes that an administrator makes up.
const MOST_SCOPES: usize = 100;

/// All clients and scopes in memory.
pub(super) struct Clients {
    all: ArcSwap<BTreeMap<ClientId, Arc<Client>>>,
    scopes: ArcSwap<Vec<CustomScope>>,
}

impl Clients {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut records = Vec::new();
        store.for_each::<ClientRecord>(|row, record| {
            let id = std::str::from_utf8(row).ok().and_then(|text| ClientId::parse(text).ok());
            records.push((id.ok_or(StoreError::Corrupt { table: "client" })?, record));
            Ok(())
        })?;
        let mut all = BTreeMap::new();
        for (id, record) in records {
            let settings = read_settings(store, &id, &record)?;
            all.insert(id.clone(), Arc::new(Client::new(id, settings, &record)));
        }
        let mut scopes = Vec::new();
        store.for_each::<ScopeRecord>(|row, record| {
            let name = String::from_utf8(row.to_vec()).map_err(|_| StoreError::Corrupt { table: "scope" })?;
            scopes.push((name, record.claims));
            Ok(())
        })?;
        Ok(Clients { all: ArcSwap::from_pointee(all), scopes: ArcSwap::from_pointee(scopes) })
    }

    fn put(&self, client: Client) {
        let client = Arc::new(client);
        self.all.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.insert(client.id.clone(), client.clone());
            all
        });
    }

    fn remove(&self, id: &ClientId) {
        self.all.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.remove(id);
            all
        });
    }
}

fn part_row(id: &ClientId, part: u8) -> Vec<u8> {
    [id.as_str().as_bytes(), b"/", &[part]].concat()
}

fn read_settings(store: &Store, id: &ClientId, record: &ClientRecord) -> Result<ClientSettings, StoreError> {
    let damaged = StoreError::Corrupt { table: "client_part" };
    let mut bytes = Vec::new();
    for part in 0..record.parts {
        let found = store.get::<ClientPartRecord>(&part_row(id, part))?;
        bytes.extend_from_slice(&found.ok_or(damaged.clone())?.value.0);
    }
    decode_settings(bytes).ok_or(damaged)
}

/// Reads settings in postcard. Those of before there were launch addresses end where those begin: what comes behind the
/// end is passed over, and here it says that there is none.
fn decode_settings(mut bytes: Vec<u8>) -> Option<ClientSettings> {
    bytes.push(0);
    postcard::from_bytes(&bytes).ok()
}

impl Client {
    fn new(id: ClientId, settings: ClientSettings, record: &ClientRecord) -> Client {
        Client {
            id,
            origins: Client::origins_of(&settings),
            settings,
            secrets: record.secrets.clone(),
            foreign_secret: record.foreign_secret.as_deref().and_then(|text| ForeignHash::parse(text).ok()),
            created_at: record.created_at,
            revision: record.revision,
            registered_itself: record.registration_token.is_some(),
        }
    }
}

/// Why a client could not be added or changed.
#[derive(Debug)]
pub enum AddError {
    /// These settings are not allowed.
    Objections(Vec<Objection>),
    /// There is a client of this name already.
    Taken,
    /// There is no such client.
    NotFound,
    /// There are too many clients.
    TooMany,
    /// The store refused.
    Commit(CommitError),
}

impl From<CommitError> for AddError {
    fn from(error: CommitError) -> Self {
        AddError::Commit(error)
    }
}

impl From<AccountError> for AddError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Commit(error) => AddError::Commit(error),
            _ => AddError::NotFound,
        }
    }
}

impl From<StoreError> for AddError {
    fn from(error: StoreError) -> Self {
        AddError::Commit(error.into())
    }
}

impl From<AddError> for Problem {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Objections(objections) => {
                let (field, why) = objections.first().cloned().unwrap_or(("client", english_only("")));
                let mut problem = Problem::unprocessable(field, "invalid_value", why);
                problem.fields = objections;
                problem
            }
            AddError::Taken => Problem::conflict("client_exists", Said::of(Words::apps_taken)),
            AddError::NotFound => Problem::not_found(),
            AddError::TooMany => Problem::conflict("too_many_clients", Said::of(Words::apps_too_many)),
            AddError::Commit(error) => error.into(),
        }
    }
}

/// A client that was just added, with its secret, which is never shown again.
pub struct Added {
    /// The client.
    pub client: Arc<Client>,
    /// Its secret, if it has one.
    pub secret: Option<SecretText>,
}

/// What a new client brings to prove itself with.
#[derive(Default)]
pub(super) struct Credentials {
    /// SHA-256 of a secret that was made elsewhere.
    pub(super) secret: Option<[u8; 32]>,
    /// SHA-256 of the token with which it manages its registration (RFC 7592).
    pub(super) registration_token: Option<[u8; 32]>,
    /// A hash of a secret that another server made, as [`ForeignHash::parse`] takes it.
    pub(super) foreign_secret: Option<String>,
}

fn without_secret() -> AddError {
    AddError::Objections(vec![("auth_method", Said::of(Words::apps_without_secret))])
}

/// Makes a secret of 256 bits.
pub(super) fn fresh_secret(random: &Random) -> SecretText {
    SecretText::new(BASE64URL_NOPAD.encode(&random.bytes::<32>()))
}

impl Oidc {
    /// Returns a client.
    pub fn client(&self, id: &str) -> Option<Arc<Client>> {
        let id = ClientId::parse(id).ok()?;
        self.clients.all.load().get(&id).cloned()
    }

    /// Returns all clients by id.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.all.load().values().cloned().collect()
    }

    /// Returns the scopes that an administrator made up.
    pub fn custom_scopes(&self) -> Arc<Vec<CustomScope>> {
        self.clients.scopes.load_full()
    }

    /// Tells whether there is a scope of this name.
    pub fn is_scope(&self, name: &str) -> bool {
        scopes::KNOWN.contains(&name)
            || SCOPES.contains(&name)
            || self.clients.scopes.load().iter().any(|(own, _)| own == name)
    }

    /// Tells whether scripts of an origin belong to a client (WEB-06).
    pub(super) fn is_client_origin(&self, origin: &str) -> bool {
        self.clients.all.load().values().any(|client| client.origins.iter().any(|own| own == origin))
    }

    /// Completes and checks settings, as adding and changing a client do.
    ///
    /// # Errors
    /// [`AddError::Objections`].
    pub fn check(&self, settings: ClientSettings) -> Result<ClientSettings, AddError> {
        let settings = settings.completed();
        let objections = settings.objections(|scope| self.is_scope(scope), self.is_lab());
        if objections.is_empty() { Ok(settings) } else { Err(AddError::Objections(objections)) }
    }

    /// Tells whether a new client may have this name. Apps and people live in different namespaces (RFC 9700 section 4.15).
    ///
    /// # Errors
    /// [`AddError::Taken`], or what the store said.
    pub fn check_new_id(&self, id: &ClientId) -> Result<(), AddError> {
        if self.client(id.as_str()).is_some() || self.accounts.is_subject(id.as_str())? {
            return Err(AddError::Taken);
        }
        Ok(())
    }

    /// Adds a client; `also` adds the audit event to the same commit. Makes the signing keys it needs first.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn add_client(
        &self,
        id: Option<ClientId>,
        settings: ClientSettings,
        also: impl FnOnce(&mut Batch, &str),
    ) -> Result<Added, AddError> {
        self.add_client_with(id, settings, Credentials::default(), also).await
    }

    /// As [`Oidc::add_client`], for a client whose secret was made elsewhere: `digest` is its SHA-256.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn add_client_with_digest(
        &self,
        id: ClientId,
        settings: ClientSettings,
        digest: [u8; 32],
        also: impl FnOnce(&mut Batch, &str),
    ) -> Result<Added, AddError> {
        let credentials = Credentials { secret: Some(digest), ..Credentials::default() };
        self.add_client_with(Some(id), settings, credentials, also).await
    }

    /// As [`Oidc::add_client`], for a client whose secret nobody knows here but its app: `hash` is what another server
    /// kept of it. The first right use puts a SHA-256 in its place.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn add_client_with_foreign_secret(
        &self,
        id: ClientId,
        settings: ClientSettings,
        hash: String,
        also: impl FnOnce(&mut Batch, &str),
    ) -> Result<Added, AddError> {
        let credentials = Credentials { foreign_secret: Some(hash), ..Credentials::default() };
        self.add_client_with(Some(id), settings, credentials, also).await
    }

    /// As [`Oidc::add_client`], for a client that brings something to prove itself with.
    pub(super) async fn add_client_with(
        &self,
        id: Option<ClientId>,
        settings: ClientSettings,
        credentials: Credentials,
        also: impl FnOnce(&mut Batch, &str),
    ) -> Result<Added, AddError> {
        let settings = self.check(settings)?;
        if self.clients.all.load().len() >= MOST {
            return Err(AddError::TooMany);
        }
        let id = match id {
            Some(id) => {
                self.check_new_id(&id)?;
                // Those of an app that was removed, if a stop came in between: nobody agreed to this one.
                self.forget_consents_of(&id).await?;
                id
            }
            None => self.made_up_id()?,
        };
        self.need_keys(&settings).await?;
        let foreign_secret = credentials.foreign_secret.filter(|_| settings.has_secret());
        let needs_secret = settings.has_secret() && credentials.secret.is_none() && foreign_secret.is_none();
        let secret = needs_secret.then(|| fresh_secret(&self.random));
        let fresh = secret.as_ref().map(|secret| sha256(secret.expose()));
        let digest = credentials.secret.filter(|_| settings.has_secret()).or(fresh);
        let mut record = ClientRecord {
            parts: 0,
            revision: 0,
            secrets: digest.into_iter().collect(),
            created_at: self.clock.now(),
            registration_token: credentials.registration_token,
            foreign_secret,
        };
        let mut batch = self.store.batch();
        stage_settings(&mut batch, &id, &mut record, &settings)?;
        batch.insert_new(id.as_str().as_bytes(), &record);
        also(&mut batch, id.as_str());
        self.publish(&mut batch, &id, settings, &record);
        match self.store.commit(batch).await {
            Err(CommitError::Conflict) => return Err(AddError::Taken),
            other => other?,
        }
        let client = self.client(id.as_str()).ok_or(AddError::NotFound)?;
        Ok(Added { client, secret })
    }

    fn made_up_id(&self) -> Result<ClientId, AddError> {
        let text = BASE64URL_NOPAD.encode(&self.random.bytes::<16>());
        ClientId::parse(&text).map_err(|_| AddError::NotFound)
    }

    pub(super) fn publish(
        &self,
        batch: &mut Batch,
        id: &ClientId,
        settings: ClientSettings,
        record: &ClientRecord,
    ) {
        let (room, client) = (self.clone(), Client::new(id.clone(), settings, record));
        batch.after(move || {
            room.clients.put(client);
            room.touch_documents();
        });
    }

    pub(super) fn client_record(&self, id: &ClientId) -> Result<Versioned<ClientRecord>, AddError> {
        self.store.get(id.as_str().as_bytes())?.ok_or(AddError::NotFound)
    }

    /// Changes the settings of a client, whatever they were. Grants that it may not have any more end at their next use
    /// (OA-15).
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn change_client(
        &self,
        id: &ClientId,
        settings: ClientSettings,
        also: impl FnOnce(&mut Batch),
    ) -> Result<Arc<Client>, AddError> {
        let client = self.client(id.as_str()).ok_or(AddError::NotFound)?;
        self.change_seen_client(&client, settings, also).await
    }

    /// As [`Oidc::change_client`], for settings that were made out of those of `client`: what somebody else decided
    /// meanwhile, such as to switch the app off, is not undone.
    ///
    /// # Errors
    /// [`AddError`]; a conflict if the client is another one by now.
    pub async fn change_seen_client(
        &self,
        client: &Client,
        settings: ClientSettings,
        also: impl FnOnce(&mut Batch),
    ) -> Result<Arc<Client>, AddError> {
        self.change_client_with(client, settings, None, also).await
    }

    /// As [`Oidc::change_seen_client`], and gives the client a secret whose SHA-256 is `secret`.
    pub(super) async fn change_client_with(
        &self,
        client: &Client,
        settings: ClientSettings,
        secret: Option<[u8; 32]>,
        also: impl FnOnce(&mut Batch),
    ) -> Result<Arc<Client>, AddError> {
        let id = &client.id;
        let settings = self.check(settings)?;
        self.need_keys(&settings).await?;
        let seen = self.client_record(id)?;
        if seen.value.revision != client.revision || seen.value.created_at != client.created_at {
            return Err(CommitError::Conflict.into());
        }
        let mut record = seen.value.clone();
        if !settings.has_secret() {
            record.secrets.clear();
            record.foreign_secret = None;
        }
        record.secrets.extend(secret);
        let mut batch = self.store.batch();
        stage_settings(&mut batch, id, &mut record, &settings)?;
        batch.replace(id.as_str().as_bytes(), &seen, &record);
        also(&mut batch);
        self.publish(&mut batch, id, settings, &record);
        self.store.commit(batch).await?;
        self.client(id.as_str()).ok_or(AddError::NotFound)
    }

    /// Gives a client a second secret; the one before stays good until [`Oidc::drop_old_secret`], so that the app can be
    /// changed without a gap.
    ///
    /// # Errors
    /// [`AddError`]; a client without secrets gets objections.
    pub async fn renew_secret(
        &self,
        id: &ClientId,
        also: impl FnOnce(&mut Batch),
    ) -> Result<SecretText, AddError> {
        let seen = self.client_record(id)?;
        let secret = fresh_secret(&self.random);
        let mut record = seen.value.clone();
        record.secrets.insert(0, sha256(secret.expose()));
        self.put_secrets(id, &seen, record, also).await?;
        Ok(secret)
    }

    /// Lets a client prove itself with a secret that was made elsewhere, `digest` being its SHA-256; the one before stays
    /// good until [`Oidc::drop_old_secret`]. Nothing happens if it can do so already.
    ///
    /// # Errors
    /// [`AddError`]; a client without secrets gets objections.
    pub async fn adopt_secret(
        &self,
        id: &ClientId,
        digest: [u8; 32],
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), AddError> {
        let seen = self.client_record(id)?;
        let mut record = seen.value.clone();
        if record.secrets.contains(&digest) {
            return Ok(());
        }
        record.secrets.insert(0, digest);
        self.put_secrets(id, &seen, record, also).await
    }

    /// Puts the SHA-256 of a secret that was just used in the place of the hash that another server made of it.
    pub(super) async fn settle_secret(
        &self,
        client: &Client,
        digest: [u8; 32],
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), AddError> {
        let seen = self.client_record(&client.id)?;
        let mut record = seen.value.clone();
        if record.foreign_secret.take().is_none() {
            return Ok(());
        }
        if !record.secrets.contains(&digest) {
            record.secrets.push(digest);
        }
        self.put_secrets(&client.id, &seen, record, also).await
    }

    /// Writes the secrets of `record`, at most two of them.
    async fn put_secrets(
        &self,
        id: &ClientId,
        seen: &Versioned<ClientRecord>,
        mut record: ClientRecord,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), AddError> {
        // From the store, as the commit demands it: what is in memory may be older or newer.
        let settings = read_settings(&self.store, id, &seen.value)?;
        if !settings.has_secret() {
            return Err(without_secret());
        }
        record.secrets.truncate(2);
        if record.secrets.len() == 2 {
            record.foreign_secret = None;
        }
        record.revision += 1;
        let mut batch = self.store.batch();
        batch.replace(id.as_str().as_bytes(), seen, &record);
        also(&mut batch);
        self.publish(&mut batch, id, settings, &record);
        Ok(self.store.commit(batch).await?)
    }

    /// Takes the older of two secrets away.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn drop_old_secret(
        &self,
        id: &ClientId,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), AddError> {
        let seen = self.client_record(id)?;
        let mut record = seen.value.clone();
        record.secrets.truncate(1);
        if !record.secrets.is_empty() {
            record.foreign_secret = None;
        }
        self.put_secrets(id, &seen, record, also).await
    }

    /// Removes a client with everything that people gave it (REF-07).
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn remove_client(&self, id: &ClientId, also: impl FnOnce(&mut Batch)) -> Result<(), AddError> {
        let seen = self.client_record(id)?;
        let mut batch = self.store.batch();
        batch.take(id.as_str().as_bytes(), &seen);
        for part in 0..seen.value.parts {
            batch.remove::<ClientPartRecord>(&part_row(id, part));
        }
        self.stage_forget_use(&mut batch, id);
        also(&mut batch);
        let (room, removed) = (self.clone(), id.clone());
        batch.after(move || {
            room.clients.remove(&removed);
            room.touch_documents();
        });
        self.store.commit(batch).await?;
        // From here on nothing that was given to it is worth anything. There may be more of that than fits into a commit.
        for chunk in self.grants.of_client(id).chunks(FORGOTTEN_AT_ONCE) {
            let mut batch = self.store.batch();
            for grant in chunk {
                self.stage_end_grant(&mut batch, *grant);
            }
            self.store.commit(batch).await?;
        }
        self.forget_consents_of(id).await?;
        Ok(self.forget_given_up().await?)
    }

    /// Adds or changes a scope that shows attributes of people.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn put_scope(
        &self,
        name: &str,
        claims: Vec<(String, String)>,
        also: impl FnOnce(&mut Batch),
    ) -> Result<(), AddError> {
        let objection = |why| Err(AddError::Objections(vec![("claims", Said::of(why))]));
        if scopes::KNOWN.contains(&name) || SCOPES.contains(&name) || !scopes::is_name(name) {
            return objection(Words::scopes_bad_scope);
        }
        if claims.is_empty() || claims.len() > 16 {
            return objection(Words::scopes_bad_count);
        }
        for (claim, attribute) in &claims {
            if crate::accounts::claims::AttributeName::parse(claim).is_err()
                || crate::accounts::claims::AttributeName::parse(attribute).is_err()
            {
                return objection(Words::scopes_bad_claims);
            }
        }
        let scopes = self.clients.scopes.load_full();
        if scopes.len() >= MOST_SCOPES && !scopes.iter().any(|(own, _)| own == name) {
            return Err(AddError::TooMany);
        }
        let mut batch = self.store.batch();
        batch.put(name.as_bytes(), &ScopeRecord { claims: claims.clone() });
        also(&mut batch);
        let (room, name) = (self.clone(), name.to_owned());
        batch.after(move || room.change_scopes(|scopes| scopes.push((name.clone(), claims.clone())), &name));
        Ok(self.store.commit(batch).await?)
    }

    /// Removes a scope that an administrator made up; clients that still list it are given nothing for it.
    ///
    /// # Errors
    /// [`AddError`].
    pub async fn remove_scope(&self, name: &str, also: impl FnOnce(&mut Batch)) -> Result<(), AddError> {
        let seen = self.store.get::<ScopeRecord>(name.as_bytes())?.ok_or(AddError::NotFound)?;
        let mut batch = self.store.batch();
        batch.take(name.as_bytes(), &seen);
        also(&mut batch);
        let (room, name) = (self.clone(), name.to_owned());
        batch.after(move || room.change_scopes(|_| {}, &name));
        Ok(self.store.commit(batch).await?)
    }

    fn change_scopes(&self, change: impl Fn(&mut Vec<CustomScope>), without: &str) {
        self.clients.scopes.rcu(|scopes| {
            let mut scopes = Vec::clone(scopes);
            scopes.retain(|(name, _)| name != without);
            change(&mut scopes);
            scopes.sort_unstable();
            scopes
        });
        self.touch_documents();
    }
}

/// Adds the settings of a client to `batch`, in parts that fit into rows.
pub(super) fn stage_settings(
    batch: &mut Batch,
    id: &ClientId,
    record: &mut ClientRecord,
    settings: &ClientSettings,
) -> Result<(), AddError> {
    let too_long = || AddError::Objections(vec![("client", Said::of(Words::apps_too_long))]);
    let bytes = postcard::to_allocvec(settings).map_err(|_| too_long())?;
    let parts = u8::try_from(bytes.chunks(PART).len()).ok().filter(|parts| *parts <= MOST_PARTS);
    let parts = parts.ok_or_else(too_long)?;
    for (part, bytes) in (0..parts).zip(bytes.chunks(PART)) {
        batch.put(&part_row(id, part), &ClientPartRecord(bytes.to_vec()));
    }
    for part in parts..record.parts {
        batch.remove::<ClientPartRecord>(&part_row(id, part));
    }
    record.parts = parts;
    record.revision += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_before_launch_addresses_are_read() {
        let mut settings =
            ClientSettings { name: "Photos".to_owned(), is_disabled: true, ..ClientSettings::default() };
        let mut bytes = postcard::to_allocvec(&settings).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the last setting is the launch address");
        assert_eq!(decode_settings(bytes), Some(settings.clone()));
        settings.launch_url = Some("https://photos.home.example/".to_owned());
        assert_eq!(decode_settings(postcard::to_allocvec(&settings).unwrap()), Some(settings));
    }
}
