//! Looks into a copy of what the killed server left, for changes of which a part is missing. Each of these pairs is
//! one commit: a user with the name and the audit event, a second factor with its flag and codes, a session with the
//! event of its sign-in, the end of a session with its revocation.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use doorward::accounts::records::{
    EmailRecord, PasswordRecord, RecoveryCodeRecord, TotpRecord, UserRecord, UsernameRecord,
};
use doorward::audit::{Actor, AuditRecord, Kind};
use doorward::crypto::key_file;
use doorward::crypto::sealed::Sealer;
use doorward::kernel::ids::UserId;
use doorward::kernel::random::Random;
use doorward::kernel::time::SystemClock;
use doorward::sessions::records::{RevokedRecord, SessionRecord};
use doorward::store::{self, OpenSettings, Record, Store};

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// All records of a table by row.
fn all<R: Record>(store: &Store) -> Result<HashMap<Vec<u8>, R>, String> {
    let rows = store.scan::<R>(b"", None, usize::MAX).map_err(text)?;
    Ok(rows.into_iter().map(|(row, record)| (row, record.value)).collect())
}

/// Returns how many records there are, or what is half there.
pub(super) fn check(dir: &Path) -> Result<usize, String> {
    let mut settings = OpenSettings::new(dir);
    settings.free_space_floor = Some(0);
    let random = Random::os();
    let master = key_file::load_or_create(&dir.join("master.key"), &random, false).map_err(text)?;
    let opened = store::open(&settings, &Arc::new(Sealer::new(&master)), &random, &SystemClock::shared());
    let opened = opened.map_err(text)?;
    let users = all::<UserRecord>(&opened.store)?;
    let events = all::<AuditRecord>(&opened.store)?;
    names(&opened.store, &users)?;
    second_factors(&opened.store, &users, &events)?;
    let sessions = sessions(&opened.store, &users, &events)?;
    opened.close();
    Ok(users.len() + events.len() + sessions)
}

fn half(what: String) -> Result<(), String> {
    Err(format!("{what}: HALF APPLIED"))
}

fn of_kind(events: &HashMap<Vec<u8>, AuditRecord>, kind: Kind) -> impl Iterator<Item = &AuditRecord> {
    events.values().filter(move |event| event.kind == kind.name())
}

/// Returns the users of the events of a kind. None may be there twice.
fn users_of(events: &HashMap<Vec<u8>, AuditRecord>, kind: Kind) -> Result<HashSet<UserId>, String> {
    let mut users = HashSet::new();
    for event in of_kind(events, kind) {
        let whose = match (&event.user, &event.actor) {
            (Some((id, _)), _) | (None, Actor::User(id, _)) => *id,
            _ => return Err(format!("{} is there for nobody", kind.name())),
        };
        if !users.insert(whose) {
            return Err(format!("{} is there twice for {whose}", kind.name()));
        }
    }
    Ok(users)
}

fn names(store: &Store, users: &HashMap<Vec<u8>, UserRecord>) -> Result<(), String> {
    let names = all::<UsernameRecord>(store)?;
    for (name, record) in &names {
        let name = String::from_utf8_lossy(name);
        if users.get(record.user.as_bytes().as_slice()).is_none_or(|user| user.username.as_str() != name) {
            return half(format!("the name {name} has no user"));
        }
    }
    if names.len() != users.len() {
        return half(format!("{} users, {} names", users.len(), names.len()));
    }
    let emails = all::<EmailRecord>(store)?;
    for user in users.values() {
        if let Some(email) = &user.email
            && !emails.contains_key(email.as_str().to_lowercase().as_bytes())
        {
            return half(format!("the address of {} is not taken", user.username));
        }
    }
    if emails.len() != users.values().filter(|user| user.email.is_some()).count() {
        return half(format!("{} addresses are taken", emails.len()));
    }
    let passwords = all::<PasswordRecord>(store)?;
    let without = users.iter().find(|(id, user)| {
        !user.username.as_str().starts_with("cli") && !passwords.contains_key(id.as_slice())
    });
    match without {
        Some((_, user)) => half(format!("{} has no password", user.username)),
        None => Ok(()),
    }
}

fn second_factors(
    store: &Store,
    users: &HashMap<Vec<u8>, UserRecord>,
    events: &HashMap<Vec<u8>, AuditRecord>,
) -> Result<(), String> {
    let created = users_of(events, Kind::UserCreated)?;
    let enrolled = users_of(events, Kind::TotpEnrolled)?;
    let factors = all::<TotpRecord>(store)?;
    let mut codes: HashMap<Vec<u8>, usize> = HashMap::new();
    for row in all::<RecoveryCodeRecord>(store)?.keys() {
        *codes.entry(row.get(..16).unwrap_or_default().to_vec()).or_default() += 1;
    }
    for (id, user) in users {
        let has_event = |ids: &HashSet<UserId>| ids.iter().any(|known| known.as_bytes().as_slice() == id);
        if !has_event(&created) {
            return half(format!("{} was made without an event", user.username));
        }
        let has_secret = factors.contains_key(id);
        if user.has_totp != has_secret || user.has_totp != has_event(&enrolled) {
            return half(format!("the second factor of {} is there in part", user.username));
        }
        let left = codes.get(id).copied().unwrap_or_default();
        if usize::from(user.recovery_codes_left) != left {
            return half(format!(
                "{} has {left} recovery codes, not {}",
                user.username, user.recovery_codes_left
            ));
        }
    }
    if created.len() != users.len() {
        return half(format!("{} users, {} events of their making", users.len(), created.len()));
    }
    Ok(())
}

fn sessions(
    store: &Store,
    users: &HashMap<Vec<u8>, UserRecord>,
    events: &HashMap<Vec<u8>, AuditRecord>,
) -> Result<usize, String> {
    let sessions = all::<SessionRecord>(store)?;
    let revoked = all::<RevokedRecord>(store)?;
    if sessions.keys().any(|id| revoked.contains_key(id)) {
        half("a session is there and ended".to_owned())?;
    }
    if let Some(session) = sessions.values().find(|one| !users.contains_key(one.user.as_bytes().as_slice())) {
        half(format!("a session belongs to nobody, {:?}", session.user))?;
    }
    let begun = of_kind(events, Kind::SignInSucceeded).count();
    if begun != sessions.len() + revoked.len() {
        half(format!("{begun} sign-ins, {} sessions and {} ended ones", sessions.len(), revoked.len()))?;
    }
    Ok(sessions.len() + revoked.len())
}
