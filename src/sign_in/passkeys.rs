//! Signing in, stepping up and registering with passkeys. A passkey that made sure who the person is, is a whole sign-in
//! (PK-03); one that was only touched is the factor beside a password. What holds for every sign-in holds here too:
//! suspensions, limits by place, disabled accounts, known devices, the audit log, and one commit that consumes what was
//! proven.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::ceremonies::{CHALLENGE_LIFETIME, Ceremony, Credential};
use super::{Completion, SignIn, SignInError, SignInResult, SignedIn, Visit};
use crate::accounts::User;
use crate::accounts::passkeys::{Counter, NewPasskey, Passkey, passkey_id};
use crate::accounts::records::{PasskeyChallengeRecord, PasskeyRecord};
use crate::audit::{Event, Kind, Outcome};
use crate::crypto::mac::{hmac_sha256, sha256};
use crate::crypto::webauthn::{self, Expected, Refusal};
use crate::http::Problem;
use crate::http::address::is_loopback_name;
use crate::kernel::ids::{PasskeyId, UserId};
use crate::kernel::secret::ct_eq;
use crate::kernel::time::Timestamp;
use crate::limits::Rule;
use crate::sessions::{Factors, SessionKind};
use crate::site::Origin;
use crate::store::{Batch, CommitError, StoreError};
use crate::words::{Said, Words};

/// A sign-in by passkey alone.
pub struct PasskeyAttempt<'a> {
    /// What the browser answered.
    pub credential: &'a Credential,
    /// Browser or program.
    pub kind: SessionKind,
    /// Whether "remember me" was chosen.
    pub is_remembered: bool,
    /// Whether a refresh token is wanted.
    pub with_refresh: bool,
    /// Where to go afterwards, already checked.
    pub return_to: Option<String>,
}

/// A passkey that proved itself; the batch it was staged in consumes the challenge.
pub(super) struct ProvenPasskey {
    pub(super) user: Arc<User>,
    pub(super) factors: Factors,
}

/// Returns why browsers do not let people use passkeys at an address, if they do not: they ask for https or this very
/// machine, and for a name, because an IP address cannot be a relying party.
pub fn unavailable(origin: &Origin) -> Option<fn(Words) -> &'static str> {
    let host = origin.host.trim_matches(['[', ']']);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Some(Words::signin_passkeys_need_name);
    }
    let is_this_machine = is_loopback_name(host) || host.ends_with(".localhost");
    if !origin.is_https && !is_this_machine {
        return Some(Words::signin_passkeys_need_https);
    }
    None
}

fn refused_site(why: fn(Words) -> &'static str) -> Problem {
    Problem::conflict("passkeys_unavailable", Said::of(why))
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl SignIn {
    /// Returns why no passkey works at the public address, if none does.
    pub fn passkeys_unavailable(&self) -> Option<fn(Words) -> &'static str> {
        unavailable(&self.site.origin())
    }

    /// Returns what a browser needs to add a passkey to an account (`PublicKeyCredentialCreationOptionsJSON`); `ceremony`
    /// is [`Ceremony::Register`] or [`Ceremony::Enrol`]. Writes nothing.
    ///
    /// # Errors
    /// `passkeys_unavailable`
    pub fn registration_options(&self, ceremony: &Ceremony<'_>, user: &User) -> Result<Value, Problem> {
        if let Some(why) = self.passkeys_unavailable() {
            return Err(refused_site(why));
        }
        let origin = self.site.origin();
        let handle = self.handle_of(user.id)?;
        let known = self.accounts.passkeys(user.id)?;
        let offered: Vec<Value> =
            webauthn::OFFERED.iter().map(|number| json!({ "type": "public-key", "alg": number })).collect();
        Ok(json!({
            "rp": { "id": origin.host, "name": self.site.name() },
            "user": {
                "id": encode(&handle),
                "name": user.username.as_str(),
                "displayName": user.display_name.as_str(),
            },
            "challenge": self.challenge(ceremony),
            "pubKeyCredParams": offered,
            "timeout": timeout(),
            "excludeCredentials": descriptors(&known),
            "authenticatorSelection": {
                "residentKey": "preferred",
                "requireResidentKey": false,
                "userVerification": "preferred",
            },
            "attestation": "none",
        }))
    }

    /// Returns what authenticators know a user by, or will. Before the first passkey it is made of a key, so that asking
    /// for one writes nothing; then it is kept, and outlives that key (PK-05).
    fn handle_of(&self, user: UserId) -> Result<Vec<u8>, StoreError> {
        if let Some(kept) = self.accounts.passkey_handle(user)? {
            return Ok(kept);
        }
        let half = |number: u8| hmac_sha256(self.handle_key.expose(), &[user.as_bytes(), &[number]]);
        Ok([half(0), half(1)].concat())
    }

    /// Returns what a browser needs to prove a passkey (`PublicKeyCredentialRequestOptionsJSON`). For a sign-in without a
    /// name it is the same for everybody but the challenge, so it tells nothing of anybody (PK-05).
    ///
    /// # Errors
    /// `passkeys_unavailable`
    pub fn proof_options(&self, ceremony: &Ceremony<'_>) -> Result<Value, Problem> {
        if let Some(why) = self.passkeys_unavailable() {
            return Err(refused_site(why));
        }
        let (known, verification) = match ceremony.user() {
            Some(user) => (self.accounts.passkeys(user)?, "preferred"),
            None => (Vec::new(), "required"),
        };
        Ok(json!({
            "rpId": self.site.origin().host,
            "challenge": self.challenge(ceremony),
            "timeout": timeout(),
            "allowCredentials": descriptors(&known),
            "userVerification": verification,
        }))
    }

    fn challenge(&self, ceremony: &Ceremony<'_>) -> String {
        encode(&ceremony.challenge(&self.passkey_key, &self.random, self.clock.now()))
    }

    /// Adds the use of the challenge to `batch`, which conflicts if it was answered before (PK-01, GEN-03). Returns it.
    fn stage_challenge(
        &self,
        batch: &mut Batch,
        ceremony: &Ceremony<'_>,
        client_data: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let challenge = webauthn::unverified_challenge(client_data).ok_or(Refusal::Malformed)?;
        let end = ceremony.end_of(&self.passkey_key, &challenge, self.clock.now());
        UsedChallenge::of(&challenge, end.ok_or(Refusal::Challenge)?).stage(batch);
        Ok(challenge)
    }

    /// Judges a new credential (section 7.1). The batch that adds it must be given to [`JudgedPasskey::stage`].
    ///
    /// # Errors
    /// `invalid_passkey`
    pub fn judge_new_passkey(
        &self,
        ceremony: &Ceremony<'_>,
        credential: &Credential,
        name: &str,
    ) -> Result<JudgedPasskey, Problem> {
        let user = ceremony.user().ok_or_else(refused_credential)?;
        let (record, challenge) = self.try_registration(ceremony, credential, name).map_err(|why| {
            tracing::info!(%why, "a new passkey was refused");
            refused_credential()
        })?;
        Ok(JudgedPasskey { new: NewPasskey { record, handle: self.handle_of(user)? }, challenge })
    }

    fn try_registration(
        &self,
        ceremony: &Ceremony<'_>,
        credential: &Credential,
        name: &str,
    ) -> Result<(PasskeyRecord, UsedChallenge), Refusal> {
        let attested = credential.attested().ok_or(Refusal::Malformed)?;
        let challenge = webauthn::unverified_challenge(&attested.client_data).ok_or(Refusal::Malformed)?;
        let now = self.clock.now();
        let end = ceremony.end_of(&self.passkey_key, &challenge, now).ok_or(Refusal::Challenge)?;
        let origin = self.site.origin();
        let expected = Expected { challenge: &challenge, origin: &origin.text, rp_id: &origin.host };
        let new =
            webauthn::verify_registration(&attested.client_data, &attested.attestation_object, &expected)?;
        if new.id != attested.id {
            return Err(Refusal::Malformed);
        }
        let record = PasskeyRecord {
            credential: new.id,
            key: new.key,
            counter: new.report.counter,
            name: name.to_owned(),
            created_at: now,
            last_used: None,
            is_backup_eligible: new.report.is_backup_eligible,
            is_backed_up: new.report.is_backed_up,
            is_user_verified: new.report.is_user_verified,
            transports: attested.transports,
        };
        Ok((record, UsedChallenge::of(&challenge, end)))
    }

    /// Judges the answer of a passkey and stages its consumption (section 7.2).
    pub(super) fn stage_passkey(
        &self,
        batch: &mut Batch,
        ceremony: &Ceremony<'_>,
        credential: &Credential,
        visit: &Visit<'_>,
    ) -> Result<ProvenPasskey, SignInError> {
        let wrong = |why: Refusal| {
            tracing::debug!(%why, "a passkey was refused");
            SignInError::WrongPasskey
        };
        let asserted = credential.asserted().ok_or_else(|| wrong(Refusal::Malformed))?;
        let challenge = self.stage_challenge(batch, ceremony, &asserted.client_data).map_err(wrong)?;
        let (owner, passkey) =
            self.accounts.find_passkey(&asserted.id)?.ok_or_else(|| wrong(Refusal::Key))?;
        let is_asked = ceremony.user().is_none_or(|user| user == owner);
        if !is_asked || !self.is_own_handle(owner, ceremony, asserted.user_handle.as_deref())? {
            return Err(wrong(Refusal::Key));
        }
        let origin = self.site.origin();
        let expected = Expected { challenge: &challenge, origin: &origin.text, rp_id: &origin.host };
        let report = webauthn::verify_assertion(
            &asserted.client_data,
            &asserted.authenticator_data,
            &asserted.signature,
            &passkey.seen.value.key,
            &expected,
        )
        .map_err(wrong)?;
        let user = self.accounts.user(&owner).filter(|user| user.is_active());
        let user = user.ok_or(SignInError::WrongPasskey)?;
        let counter = self.accounts.stage_passkey_use(batch, owner, &passkey, &report);
        if counter.ok_or_else(|| wrong(Refusal::Flags))? == Counter::Regressed {
            let event = Event::new(Kind::PasskeySuspicious, Outcome::Succeeded).by(owner, &user.username);
            let event = event.detail("passkey", passkey.id).from(visit.ip).request(visit.request);
            self.audit.write(batch, event);
        }
        let factors = if report.is_user_verified { Factors::PASSKEY_UV } else { Factors::PASSKEY };
        Ok(ProvenPasskey { user, factors })
    }

    /// Tells whether the handle that came along is the owner's. Without a name it is the only one who says who that is, so
    /// there it must come (section 7.2, step 6).
    fn is_own_handle(
        &self,
        owner: UserId,
        ceremony: &Ceremony<'_>,
        presented: Option<&[u8]>,
    ) -> Result<bool, SignInError> {
        let Some(presented) = presented else { return Ok(ceremony.user().is_some()) };
        let own = self.accounts.passkey_handle(owner)?;
        Ok(own.is_some_and(|own| ct_eq(&own, presented)))
    }

    /// Signs in with a passkey alone, which must have made sure who the person is (PK-03).
    pub async fn attempt_passkey(
        &self,
        attempt: PasskeyAttempt<'_>,
        visit: &Visit<'_>,
    ) -> Result<SignedIn, SignInError> {
        let place = self.limits.acquire_place(&self.rules.place, visit.ip, b"");
        if !place.verdict.allowed {
            return Err(self.limited(&self.rules.place, place.verdict));
        }
        let mut batch = self.store.batch();
        let proven = self.stage_passkey(&mut batch, &Ceremony::SignIn, attempt.credential, visit);
        let proven = proven.and_then(|proven| {
            if proven.factors.has(Factors::PASSKEY_UV) { Ok(proven) } else { Err(SignInError::WrongPasskey) }
        });
        let result = match proven {
            Ok(proven) => self.complete_passkey(proven, attempt, batch, visit).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(signed_in) => {
                self.limits.release_place(&self.rules.place, place.reservation);
                Ok(signed_in)
            }
            Err(SignInError::WrongPasskey | SignInError::Commit(CommitError::Conflict)) => {
                self.metrics.sign_in(SignInResult::Refused);
                self.audit.note(self.refusal(Kind::SignInFailed, None, visit).detail("by", "passkey"));
                Err(SignInError::WrongPasskey)
            }
            Err(error) => Err(error),
        }
    }

    async fn complete_passkey(
        &self,
        proven: ProvenPasskey,
        attempt: PasskeyAttempt<'_>,
        batch: Batch,
        visit: &Visit<'_>,
    ) -> Result<SignedIn, SignInError> {
        self.refuse_suspended(&proven.user, visit)?;
        let key = self.limits.key(&SIGN_INS, proven.user.id.as_bytes());
        let verdict = self.limits.peek(&SIGN_INS, &key);
        if !verdict.allowed {
            return Err(self.limited(&SIGN_INS, verdict));
        }
        let done = Completion {
            kind: attempt.kind,
            in_place_of: None,
            factors: proven.factors,
            is_remembered: attempt.is_remembered,
            with_refresh: attempt.with_refresh,
            return_to: attempt.return_to,
            recovery_codes_left: None,
        };
        let signed_in = self.complete(&proven.user, done, batch, visit).await?;
        let _ = self.limits.record(&SIGN_INS, &key);
        Ok(signed_in)
    }
}

/// Sign-ins of one account by passkey. Nobody has to guess or to wait for them, as for a password, and each writes a
/// session and events to the disk (RES-04).
const SIGN_INS: Rule = Rule::new("passkey-sign-in", 60, Duration::from_secs(300));
/// How long it is known that a challenge was answered, beyond its end: a clock that is set back does not revive it.
const KEPT_FOR: Duration = Duration::from_secs(86_400);

fn refused_credential() -> Problem {
    let sentence = "That passkey could not be added. Please start again.";
    Problem::unprocessable("credential", "invalid_passkey", sentence)
}

/// A new passkey that was found sound.
pub struct JudgedPasskey {
    /// The passkey, for [`crate::accounts::Accounts::add_passkey`].
    pub new: NewPasskey,
    challenge: UsedChallenge,
}

impl JudgedPasskey {
    /// Returns its handle.
    pub fn id(&self) -> PasskeyId {
        passkey_id(&self.new.record.credential)
    }

    /// Returns what making it proved.
    pub fn factors(&self) -> Factors {
        if self.new.record.is_user_verified { Factors::PASSKEY_UV } else { Factors::PASSKEY }
    }

    /// Adds the use of its challenge to `batch`, which conflicts if it was answered before (PK-01).
    pub fn stage(&self, batch: &mut Batch) {
        self.challenge.stage(batch);
    }
}

/// A challenge that a batch consumes.
struct UsedChallenge {
    row: [u8; 32],
    expires_at: Timestamp,
}

impl UsedChallenge {
    fn of(challenge: &[u8], end: Timestamp) -> Self {
        UsedChallenge { row: sha256(challenge), expires_at: end.plus(KEPT_FOR) }
    }

    fn stage(&self, batch: &mut Batch) {
        batch.insert_new(&self.row, &PasskeyChallengeRecord { expires_at: self.expires_at });
        batch.expire::<PasskeyChallengeRecord>(&self.row, self.expires_at);
    }
}

fn timeout() -> u64 {
    CHALLENGE_LIFETIME.as_secs() * 1000
}

fn descriptors(known: &[Passkey]) -> Vec<Value> {
    let descriptor = |passkey: &Passkey| {
        let record = &passkey.seen.value;
        json!({ "type": "public-key", "id": encode(&record.credential), "transports": record.transports })
    };
    known.iter().map(descriptor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_work_where_browsers_let_them() {
        let says =
            |text: &str| unavailable(&Origin::parse(text).unwrap()).map_or("", |why| why(Words::ENGLISH));
        for fine in ["https://auth.home.example", "http://localhost:8080", "http://auth.localhost"] {
            assert_eq!(says(fine), "", "{fine}");
        }
        for numbers in ["http://127.0.0.1:8080", "https://192.168.1.5", "https://[fd00::1]"] {
            assert!(says(numbers).contains("numbers"), "{numbers}");
        }
        assert!(says("http://auth.home.lan").contains("HTTPS"));
    }
}
