//! Devices without a browser (RFC 8628): the device shows a code, the person types it here and lets the device in.

use std::collections::HashMap;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde_json::json;

use super::Oidc;
use super::client::{Client, GrantType};
use super::client_auth::Authenticated;
use super::error::OAuthError;
use super::records::{DeviceRecord, DeviceState, Found, Permission, UserCodeRecord};
use super::request::read_resources;
use super::scopes::Scopes;
use super::token::Granted;
use crate::audit::{Event, Kind, place_in_words};
use crate::crypto::mac::sha256;
use crate::http::{Problem, Reply, Request};
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::limits::{Key, Reservation, Rule};
use crate::sessions::{Level, Principal};
use crate::sign_in::frames;
use crate::sign_in::step_up_first;
use crate::store::{CommitError, Versioned};
use crate::views::oidc as views;
use crate::words::{Said, Words};

/// How long a device waits.
const LIFETIME: Duration = Duration::from_secs(600);
/// How often a device may ask; each time it asks sooner, it has to wait so much longer (RFC 8628 section 3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// The letters of a code (RFC 8628 section 6.1): no vowels, so no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LENGTH: usize = 8;
/// The most devices that wait at once.
const MOST_POLLS: usize = 10_000;
/// Wrong codes of one person, and of all (OA-18). 20^8 codes leave a guesser no chance within these.
const GUESSES: Rule = Rule::new("device-code", 10, Duration::from_secs(600));
const GUESSES_OF_ALL: Rule = Rule::new("device-code-all", 200, Duration::from_secs(600));
/// Devices that one client may start from one place.
const STARTS: Rule = Rule::new("device-start", 60, Duration::from_secs(600));
const TRIES: usize = 4;

/// When each device may ask again. In memory: a restart only lets a device ask sooner.
#[derive(Default)]
pub(super) struct Polls(Mutex<HashMap<[u8; 32], Poll>>);

struct Poll {
    next: Duration,
    interval: Duration,
    until: Duration,
}

impl Polls {
    /// Tells whether a device asks too soon; it then has to wait longer from now on.
    fn is_too_soon(&self, row: [u8; 32], now: Duration) -> bool {
        let mut polls = self.0.lock();
        if polls.len() >= MOST_POLLS && !polls.contains_key(&row) {
            return false;
        }
        let poll = polls.entry(row).or_insert(Poll { next: now, interval: INTERVAL, until: now + LIFETIME });
        let is_soon = now < poll.next;
        if is_soon {
            poll.interval += INTERVAL;
        }
        poll.next = now + poll.interval;
        is_soon
    }

    pub(super) fn sweep(&self, now: Duration) {
        self.0.lock().retain(|_, poll| poll.until > now);
    }
}

fn fresh_user_code(random: &Random) -> String {
    let mut code = String::with_capacity(CODE_LENGTH);
    while code.len() < CODE_LENGTH {
        let [byte] = random.bytes::<1>();
        // Of 256 values the last 16 would make some letters more frequent.
        if byte < 240 {
            code.extend(LETTERS.get(usize::from(byte % 20)).map(|letter| char::from(*letter)));
        }
    }
    code
}

/// Reads a code as people type it: any case, with or without hyphen or spaces.
fn read_user_code(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .filter(|character| !matches!(character, '-' | ' ' | '\u{2013}' | '.'))
        .map(|character| character.to_ascii_uppercase())
        .take(CODE_LENGTH + 1)
        .collect();
    (code.len() == CODE_LENGTH && code.bytes().all(|byte| LETTERS.contains(&byte))).then_some(code)
}

fn shown(code: &str) -> String {
    match code.split_at_checked(CODE_LENGTH / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// `POST /oauth2/device_authorization`.
pub async fn start(room: &Oidc, request: &Request) -> Result<Reply, Problem> {
    Ok(match room.start_device(request).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    })
}

/// `GET /device`: the form for the code; with `user_code` the question itself.
pub async fn show(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    match request.query("user_code") {
        Some(code) => room.ask_about(request, principal, &code),
        None => code_page(room, request, principal, "", None),
    }
}

/// `POST /device`: the code, or the decision.
pub async fn submit(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let code = form.text("user_code");
    match form.text("decision") {
        "" => room.ask_about(request, principal, code),
        decision => room.decide_device(request, principal, code, decision == "allow").await,
    }
}

fn code_page(
    room: &Oidc,
    request: &Request,
    principal: &Principal,
    code: &str,
    error: Option<&str>,
) -> Result<Reply, Problem> {
    let mut frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().oidc_device_title(),
        "",
    );
    frame.viewer = None;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = views::DeviceCode { frame, user_code: code.to_owned(), error: error.map(str::to_owned) };
    Reply::html(status, &page)
}

impl Oidc {
    async fn start_device(&self, request: &Request) -> Result<Reply, OAuthError> {
        let call = self.authenticate(request).await?;
        let client = &*call.client;
        if !client.settings.may(GrantType::DeviceCode) {
            return Err(OAuthError::new("unauthorized_client", "This client may not let devices in."));
        }
        self.limit_place(&STARTS, request, client.id.as_str(), "Too many devices at once.")?;
        let asked = Scopes::parse(call.params.get("scope").unwrap_or_default()).ok_or_else(|| {
            OAuthError::new("invalid_scope", "The parameter scope holds what is not allowed.")
        })?;
        let scopes = asked.within(&client.settings.scopes);
        if !asked.is_empty() && scopes.is_empty() {
            return Err(OAuthError::new("invalid_scope", "This client may ask for none of these scopes."));
        }
        let resources = read_resources(client, &call.params)?;
        let jkt = self.read_client_dpop(request, client)?;
        for _ in 0..TRIES {
            let device_code = SecretText::new(BASE64URL_NOPAD.encode(&self.random.bytes::<32>()));
            let user_code = fresh_user_code(&self.random);
            let (row, until) = (sha256(device_code.expose()), request.now.plus(LIFETIME));
            let record = DeviceRecord {
                client: client.id.clone(),
                scopes: scopes.clone(),
                resources: resources.clone(),
                user_code: user_code.clone(),
                place: self.audit.place(request.client.ip),
                jkt: jkt.clone(),
                state: DeviceState::Waiting,
                until,
            };
            let mut batch = self.store.batch();
            batch.insert_new(&row, &record).expire::<DeviceRecord>(&row, until);
            batch
                .insert_new(user_code.as_bytes(), &UserCodeRecord { device: row, until })
                .expire::<UserCodeRecord>(user_code.as_bytes(), until);
            match self.store.commit(batch).await {
                Ok(()) => return Ok(self.answer_device(&device_code, &user_code)),
                // Another device shows the same code.
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    fn answer_device(&self, device_code: &SecretText, user_code: &str) -> Reply {
        let page = format!("{}/device", self.issuer());
        let answer = json!({
            "device_code": device_code.expose(),
            "user_code": shown(user_code),
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={}", shown(user_code)),
            "expires_in": LIFETIME.as_secs(),
            "interval": INTERVAL.as_secs(),
        });
        Reply::json(StatusCode::OK, &answer).with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Finds the device that shows a code; wrong ones are counted (OA-18). Each try takes its place before it is looked
    /// at, so that many at once are no more than the limit (LIM-03); a right one gives it back.
    fn find_device(
        &self,
        principal: &Principal,
        text: &str,
        now: Timestamp,
    ) -> Result<Result<Found<DeviceRecord>, Said>, Problem> {
        let own = self.limits.key(&GUESSES, principal.user.id.as_bytes());
        let all = self.limits.key(&GUESSES_OF_ALL, b"");
        let mut taken = Vec::with_capacity(2);
        for (rule, key) in [(&GUESSES, &own), (&GUESSES_OF_ALL, &all)] {
            let verdict = self.limits.acquire(rule, key);
            if !verdict.allowed {
                self.give_back(taken);
                return Ok(Err(Said::of(Words::oidc_device_too_many)));
            }
            taken.push((rule, key, verdict.reservation));
        }
        let found = self.waiting_device(text, now)?;
        if found.is_some() {
            self.give_back(taken);
        }
        Ok(found.ok_or_else(|| Said::of(Words::oidc_device_unknown)))
    }

    fn give_back(&self, taken: Vec<(&Rule, &Key, Reservation)>) {
        for (rule, key, reservation) in taken {
            self.limits.release(rule, key, reservation);
        }
    }

    fn waiting_device(&self, text: &str, now: Timestamp) -> Result<Option<Found<DeviceRecord>>, Problem> {
        let Some(code) = read_user_code(text) else { return Ok(None) };
        let Some(found) = self.store.get::<UserCodeRecord>(code.as_bytes())? else { return Ok(None) };
        let row = found.value.device;
        let seen = self.store.get::<DeviceRecord>(&row)?;
        let is_waiting = |seen: &Versioned<DeviceRecord>| {
            seen.value.until > now && matches!(seen.value.state, DeviceState::Waiting)
        };
        Ok(seen.filter(is_waiting).map(|seen| (row, seen)))
    }

    fn ask_about(&self, request: &Request, principal: &Principal, code: &str) -> Result<Reply, Problem> {
        let (_, seen) = match self.find_device(principal, code, request.now)? {
            Ok(found) => found,
            Err(why) => {
                return code_page(self, request, principal, code, Some(&why.in_words(request.words())));
            }
        };
        let device = &seen.value;
        let Some(client) = self.client(device.client.as_str()) else {
            return code_page(self, request, principal, code, Some(request.words().oidc_device_unknown()));
        };
        if let Some(reply) = self.hindrance(request, principal, &client, code)? {
            return Ok(reply);
        }
        let title = request.words().oidc_device_title_of(&client.settings.name);
        let mut frame = frames::personal(&self.site, &self.sessions, request, principal, &title, "");
        frame.viewer = None;
        let page = views::DeviceConfirm {
            frame,
            client_name: client.settings.name.clone(),
            initials: client.settings.initials.clone(),
            user_code: shown(&device.user_code),
            place: place_in_words(&device.place, request.words()),
            display_name: principal.user.display_name.to_string(),
            registered_itself: client.registered_itself,
            items: self.items(request.words(), &principal.user, &device.scopes)?,
            resources: device.resources.clone(),
        };
        Reply::html(StatusCode::OK, &page)
    }

    /// What keeps the person from letting a device of this client in.
    fn hindrance(
        &self,
        request: &Request,
        principal: &Principal,
        client: &Client,
        code: &str,
    ) -> Result<Option<Reply>, Problem> {
        if !client.admits(&principal.user) {
            let why = request.words().oidc_device_not_for_you(&client.settings.name);
            return code_page(self, request, principal, code, Some(&why)).map(Some);
        }
        if client.settings.level == Level::TwoFactor && principal.level() < Level::TwoFactor {
            if principal.user.has_second_factor() {
                let query =
                    form_urlencoded::Serializer::new(String::new()).append_pair("user_code", code).finish();
                return Ok(Some(step_up_first(&format!("/device?{query}"))));
            }
            let why = request.words().oidc_device_set_up_factor(&client.settings.name);
            return code_page(self, request, principal, code, Some(&why)).map(Some);
        }
        Ok(None)
    }

    async fn decide_device(
        &self,
        request: &Request,
        principal: &Principal,
        code: &str,
        is_allowed: bool,
    ) -> Result<Reply, Problem> {
        let (row, seen) = match self.find_device(principal, code, request.now)? {
            Ok(found) => found,
            Err(why) => {
                return code_page(self, request, principal, code, Some(&why.in_words(request.words())));
            }
        };
        let Some(client) = self.client(seen.value.client.as_str()) else {
            return code_page(self, request, principal, code, Some(request.words().oidc_device_unknown()));
        };
        if is_allowed && let Some(reply) = self.hindrance(request, principal, &client, code)? {
            return Ok(reply);
        }
        let user = &principal.user;
        let mut record = seen.value.clone();
        let mut batch = self.store.batch();
        self.sessions.stage_require_live(&mut batch, principal)?;
        if is_allowed {
            self.stage_use(&mut batch, &client.id, request.now);
            let claims = super::claims::ClaimsRequest::default();
            let question = self.question(&client, &record.scopes, &claims, &record.resources);
            self.stage_consent(&mut batch, &user.id, &client.id, &question)?;
            record.state = DeviceState::Allowed(Permission {
                client: client.id.clone(),
                user: user.id,
                sid: principal.sid,
                scopes: record.scopes.clone(),
                resources: record.resources.clone(),
                claims: super::claims::ClaimsRequest::default(),
                factors: principal.factors,
                authenticated_at: principal.authenticated_at,
                given_at: request.now.max(user.not_before.plus(Duration::from_millis(1))),
                jkt: record.jkt.clone(),
            });
        } else {
            record.state = DeviceState::Refused;
        }
        batch.replace(&row, &seen, &record);
        batch.remove::<UserCodeRecord>(record.user_code.as_bytes());
        let kind = if is_allowed { Kind::AppSignedIn } else { Kind::AppRefused };
        let event = Event::succeeded(kind).by(user.id, &user.username).on(client.id.as_str());
        self.audit
            .write(&mut batch, event.detail("by", "device").from(request.client.ip).request(request.id));
        match self.store.commit(batch).await {
            Ok(()) => {}
            Err(CommitError::Conflict) => {
                return code_page(
                    self,
                    request,
                    principal,
                    code,
                    Some(request.words().oidc_device_unknown()),
                );
            }
            Err(error) => return Err(error.into()),
        }
        let mut frame = frames::personal(
            &self.site,
            &self.sessions,
            request,
            principal,
            request.words().oidc_device_done(),
            "",
        );
        frame.viewer = None;
        let page = views::DeviceDone { frame, client_name: client.settings.name.clone(), is_allowed };
        Reply::html(StatusCode::OK, &page)
    }

    /// Exchanges a device code (RFC 8628 section 3.4): bound to its client, once.
    pub(super) async fn redeem_device(
        &self,
        call: &Authenticated,
        jkt: Option<&str>,
        now: Timestamp,
    ) -> Result<Granted, OAuthError> {
        let refused =
            || OAuthError::invalid_grant("The device_code is unknown, used, or meant for another client.");
        let row = sha256(call.params.require("device_code")?);
        let seen = self.store.get::<DeviceRecord>(&row)?.ok_or_else(refused)?;
        let record = &seen.value;
        // A stranger neither learns anything nor slows the device down.
        if record.client != call.client.id {
            return Err(refused());
        }
        if now >= record.until {
            return Err(OAuthError::new("expired_token", "The device waited too long. Start again."));
        }
        if record.jkt.as_deref().is_some_and(|bound| Some(bound) != jkt) {
            return Err(OAuthError::invalid_grant("The device_code is bound to another DPoP key."));
        }
        if self.device_polls.is_too_soon(row, self.clock.monotonic()) {
            return Err(OAuthError::new("slow_down", "Ask five seconds less often."));
        }
        let permission = match &record.state {
            DeviceState::Waiting => {
                return Err(OAuthError::new("authorization_pending", "Nobody has let the device in yet."));
            }
            DeviceState::Refused => return Err(OAuthError::new("access_denied", "The person said no.")),
            DeviceState::Allowed(permission) => permission.clone(),
        };
        let is_signed_in = self.sessions.is_signed_in(&permission.user, &permission.sid, now);
        let user = self.admit(&permission, &call.client).filter(|_| is_signed_in).ok_or_else(refused)?;
        // Refused before it is used up: a request that cannot be answered costs no code.
        super::token::narrowed(&call.params, &call.client, &permission)?;
        let agreement = self.agreement(&permission, &call.client)?.ok_or_else(refused)?;
        let permission = Permission { jkt: super::token::bound_key(&call.client, jkt), ..permission };
        let mut batch = self.store.batch();
        batch.take(&row, &seen);
        agreement.stage_require(&mut batch);
        let granted = self.stage_new_grant(&mut batch, call, user, permission, now);
        match self.store.commit(batch).await {
            Ok(()) if self.grants.get(&granted.id, now).is_some() => Ok(granted),
            Ok(()) | Err(CommitError::Conflict) => Err(refused()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = fresh_user_code(&Random::os());
        assert_eq!(read_user_code(&shown(&code)), Some(code.clone()));
        assert_eq!(read_user_code(&format!(" {} ", shown(&code).to_lowercase())), Some(code));
        for bad in ["", "BCDF", "BCDFGHJKL", "AEIOUAEI", "BCDF-GHJ1"] {
            assert_eq!(read_user_code(bad), None, "{bad}");
        }
    }

    /// RFC 8628 section 3.5: each `slow_down` adds five seconds.
    #[test]
    fn who_asks_too_soon_waits_longer() {
        let polls = Polls::default();
        let seconds = Duration::from_secs;
        assert!(!polls.is_too_soon([1; 32], seconds(0)));
        assert!(!polls.is_too_soon([1; 32], seconds(5)));
        assert!(polls.is_too_soon([1; 32], seconds(9)));
        assert!(polls.is_too_soon([1; 32], seconds(18)));
        assert!(!polls.is_too_soon([1; 32], seconds(34)));
        assert!(!polls.is_too_soon([2; 32], seconds(1)));
    }
}
