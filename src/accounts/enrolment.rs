//! Authenticator apps that wait for their first code. A secret belongs to whoever asked for it: nobody else who knows
//! the password is shown it or can confirm it, and the first that is confirmed lets all others die (OTP-02, GEN-03).

use std::time::Duration;

use parking_lot::Mutex;

use super::passwords::end_of_sessions;
use super::records::{PendingTotpRecord, Status, TotpRecord, UserRecord};
use super::users::{AccountError, Accounts};
use crate::crypto::mac::sha256;
use crate::crypto::recovery_code;
use crate::crypto::totp::{self, TotpKey, TotpSecret};
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::time::Timestamp;
use crate::store::{Batch, StoreError, Versioned};

/// How long an unconfirmed secret lives (OTP-02).
pub const ENROLMENT_LIFETIME: Duration = Duration::from_secs(600);

/// The most secrets of one account that wait; the oldest make room (RES-03). All who ask have proven its password.
const MOST_WAITING: usize = 64;

/// What an authenticator app needs; shown once.
pub struct Enrolment {
    /// `otpauth://totp/...`; it contains the secret.
    pub otpauth_uri: String,
    /// The secret in base32, for typing.
    pub secret_base32: String,
    /// The secret itself, for code that confirms it in the same breath.
    pub secret: TotpSecret,
}

/// Who asked for a secret, and alone may see and confirm it.
#[derive(Clone, Copy)]
pub struct Asker {
    digest: [u8; 16],
    /// Whether an app that is in use may be replaced. A password alone replaces none (OTP-08).
    may_replace: bool,
    /// The end of all sessions of the account as it stood when its password was proven, where that is all that was.
    epoch: Option<Timestamp>,
}

impl Asker {
    /// A sign-in that may not go on without a second factor, by its token.
    pub fn waiting_sign_in(token: &str) -> Asker {
        Asker::new(b"sign-in", token.as_bytes(), false)
    }

    /// A session whose owner has just proven every factor.
    pub fn session(id: &SessionId) -> Asker {
        Asker::new(b"session", id.as_bytes(), true)
    }

    /// A browser in the setup wizard, by its token.
    pub fn wizard(token: &str) -> Asker {
        Asker::new(b"wizard", token.as_bytes(), true)
    }

    /// Whoever owns the machine.
    pub fn command_line() -> Asker {
        Asker::new(b"command line", b"", true)
    }

    /// Whoever registered the account: was shown the secret once, and confirms it in a sign-in or session to come.
    pub fn registration() -> Asker {
        Asker::new(b"registration", b"", false)
    }

    fn new(kind: &[u8], name: &[u8], may_replace: bool) -> Asker {
        let digest = sha256([kind, b"\0", name].concat());
        Asker { digest: digest.first_chunk().copied().unwrap_or_default(), may_replace, epoch: None }
    }

    /// Lets this asker confirm only as long as nothing has ended the sessions of the account since `epoch`, and it is
    /// active: a password that is reset meanwhile confirms nothing (PWD-09).
    pub fn as_of(self, epoch: Timestamp) -> Asker {
        Asker { epoch: Some(epoch), ..self }
    }

    fn row(&self, user: UserId) -> Vec<u8> {
        [user.as_bytes().as_slice(), &self.digest].concat()
    }
}

/// A waiting secret whose code was right.
struct Proven {
    row: Vec<u8>,
    waiting: Versioned<PendingTotpRecord>,
    step: u64,
}

impl Accounts {
    /// Starts enrolment: a new secret that waits for its first code and displaces nothing until then (OTP-02).
    pub async fn begin_totp(
        &self,
        user: UserId,
        asker: Asker,
        issuer: &str,
    ) -> Result<Enrolment, AccountError> {
        let username = self.record(&user)?.value.username;
        let mut batch = self.store.batch();
        let mut others = self.waiting(user)?;
        others.retain(|(row, _)| *row != asker.row(user));
        others.sort_unstable_by_key(|(_, other)| other.value.expires_at);
        for (row, _) in others.iter().take((others.len() + 1).saturating_sub(MOST_WAITING)) {
            batch.remove::<PendingTotpRecord>(row);
        }
        let displaces = self.in_use(user)?.as_ref().map(fingerprint);
        let enrolment = self.stage_waiting(&mut batch, user, asker, displaces, username.as_str(), issuer);
        self.store.commit(batch).await?;
        Ok(enrolment)
    }

    /// Starts enrolment for a user who is made by the same batch.
    pub fn stage_begin_totp(
        &self,
        batch: &mut Batch,
        user: UserId,
        username: &str,
        issuer: &str,
    ) -> Enrolment {
        self.stage_waiting(batch, user, Asker::registration(), None, username, issuer)
    }

    fn stage_waiting(
        &self,
        batch: &mut Batch,
        user: UserId,
        asker: Asker,
        displaces: Option<[u8; 16]>,
        username: &str,
        issuer: &str,
    ) -> Enrolment {
        let secret = TotpSecret::random(&self.random);
        let expires_at = self.clock.now().plus(ENROLMENT_LIFETIME);
        let row = asker.row(user);
        batch.put(&row, &PendingTotpRecord { secret: *secret.expose(), expires_at, displaces });
        batch.expire::<PendingTotpRecord>(&row, expires_at);
        enrolment(secret, username, issuer)
    }

    /// Shows the secret that waits for this asker again, or starts a new enrolment; for pages.
    pub async fn show_totp(
        &self,
        user: UserId,
        asker: Asker,
        issuer: &str,
    ) -> Result<Enrolment, AccountError> {
        let in_use = self.in_use(user)?.as_ref().map(fingerprint);
        match self.store.get::<PendingTotpRecord>(&asker.row(user))? {
            Some(found) if found.value.expires_at > self.clock.now() && found.value.displaces == in_use => {
                let username = self.record(&user)?.value.username;
                Ok(enrolment(TotpSecret::from_bytes(found.value.secret), username.as_str(), issuer))
            }
            _ => self.begin_totp(user, asker, issuer).await,
        }
    }

    /// Confirms the asker's secret, or the one of the registration, with its first code. Returns ten new recovery
    /// codes, shown once, or `None` if the code is wrong or nothing waits. The secret, the codes and the user's flags
    /// change in one commit.
    ///
    /// # Errors
    /// [`AccountError::EnrolledElsewhere`] if another secret was confirmed since this one was asked for;
    /// [`AccountError::ProofIsVoid`] if the account was changed since [`Asker::as_of`].
    pub async fn confirm_totp(
        &self,
        user: UserId,
        asker: Asker,
        code: &str,
        also: impl Fn(&mut Batch, &UserRecord) + Send + Sync,
    ) -> Result<Option<Vec<String>>, AccountError> {
        let now = self.clock.now();
        let Some(Proven { row, waiting, step }) = self.prove_waiting(user, asker, code, now)? else {
            return Ok(None);
        };
        let codes = recovery_code::generate(&self.random);
        let old = self.recovery_rows(user)?;
        let count = u8::try_from(codes.len()).unwrap_or(u8::MAX);
        let in_use = Mutex::new(None);
        self.change(
            user,
            |record| {
                let found = self.in_use(user)?;
                let displaces = found.as_ref().map(fingerprint);
                if displaces != waiting.value.displaces || (displaces.is_some() && !asker.may_replace) {
                    return Err(AccountError::EnrolledElsewhere);
                }
                let is_active = record.status == Status::Active;
                if asker.epoch.is_some_and(|epoch| record.not_before != epoch || !is_active) {
                    return Err(AccountError::ProofIsVoid);
                }
                *in_use.lock() = found;
                record.has_totp = true;
                record.recovery_codes_left = count;
                record.not_before = end_of_sessions(record.not_before, self.clock.now());
                Ok(())
            },
            |batch, record| {
                // The others stay until they expire: they are worth nothing now, and whoever confirms one is told why.
                batch.take(&row, &waiting);
                let key = TotpKey::from(&TotpSecret::from_bytes(waiting.value.secret));
                let confirmed = TotpRecord::new(&key, step, now);
                // The app that this one displaces is still the one that was seen: of two confirmations one wins.
                match &*in_use.lock() {
                    Some(seen) => batch.replace(user.as_bytes(), seen, &confirmed),
                    None => batch.insert_new(user.as_bytes(), &confirmed),
                };
                self.stage_recovery_set(batch, user, &old, &codes);
                also(batch, record);
            },
        )
        .await?;
        Ok(Some(codes))
    }

    fn prove_waiting(
        &self,
        user: UserId,
        asker: Asker,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Proven>, StoreError> {
        for row in [asker.row(user), Asker::registration().row(user)] {
            let Some(waiting) = self.store.get::<PendingTotpRecord>(&row)? else { continue };
            let secret = TotpSecret::from_bytes(waiting.value.secret);
            let step = totp::verify(&secret, code, now, None);
            if let Some(step) = step.filter(|_| waiting.value.expires_at > now) {
                return Ok(Some(Proven { row, waiting, step }));
            }
        }
        Ok(None)
    }

    /// Adds the end of all secrets of a user that wait to `batch`.
    pub(super) fn stage_forget_waiting(&self, batch: &mut Batch, user: UserId) {
        match self.waiting(user) {
            Ok(rows) => rows.iter().for_each(|(row, _)| {
                batch.remove::<PendingTotpRecord>(row);
            }),
            Err(error) => {
                batch.fail(error);
            }
        }
    }

    fn waiting(&self, user: UserId) -> Result<Vec<crate::store::Row<PendingTotpRecord>>, StoreError> {
        // Requests at the same moment may exceed the bound; the next one removes what is too many.
        self.store.scan(user.as_bytes(), None, MOST_WAITING * 16)
    }

    fn in_use(&self, user: UserId) -> Result<Option<Versioned<TotpRecord>>, StoreError> {
        self.store.get(user.as_bytes())
    }
}

/// Tells one confirmed secret from another.
fn fingerprint(totp: &Versioned<TotpRecord>) -> [u8; 16] {
    sha256(&totp.value.secret).first_chunk().copied().unwrap_or_default()
}

fn enrolment(secret: TotpSecret, username: &str, issuer: &str) -> Enrolment {
    let otpauth_uri = totp::otpauth_uri(issuer, username, &secret);
    let (otpauth_uri, secret_base32) = (otpauth_uri.to_string(), secret.to_base32().to_string());
    Enrolment { otpauth_uri, secret_base32, secret }
}
