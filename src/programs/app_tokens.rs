//! App tokens: making, listing and revoking them. Every change and its audit event are one commit.

use crate::accounts::Status;
use crate::accounts::users::AccountError;
use crate::audit::{Event, Kind};
use crate::http::Problem;
use crate::kernel::ids::{AppTokenId, UserId};
use crate::kernel::text::{DisplayName, Username};
use crate::kernel::time::Timestamp;
use crate::sessions::app_tokens::{MadeAppToken, NewAppToken};
use crate::sessions::{Factors, Principal};
use crate::sign_in::{SignIn, Visit};
use crate::store::Batch;
use crate::words::{Said, Words, said};

use crate::access::domain::normal_host;

/// The most hosts of one token.
const MOST_HOSTS: usize = 20;
/// The longest life that can be given, in days.
const MOST_DAYS: u32 = 3650;

/// What is wanted of a new token, as people and programs type it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What to call it.
    pub name: String,
    /// The hosts that it opens, `host` or `*.parent`; none: every app that its owner may open.
    pub hosts: Vec<String>,
    /// After how many days it expires; `None`: never.
    pub days: Option<u32>,
}

/// A wish that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    name: String,
    hosts: Vec<String>,
    expires_at: Option<Timestamp>,
}

impl Wish {
    /// Checks what was typed.
    ///
    /// # Errors
    /// 422 that names the field `name`, `hosts` or `expires_in_days`.
    pub fn parse(&self, now: Timestamp) -> Result<Sound, Problem> {
        let name = DisplayName::parse(&self.name).map_err(|_| {
            Problem::unprocessable("name", "invalid_value", Said::of(Words::access_token_name))
        })?;
        let mut hosts = Vec::new();
        for text in self.hosts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            let host = parse_host(text).ok_or_else(|| {
                let typed = text.to_owned();
                Problem::unprocessable("hosts", "invalid_value", said(move |t| t.access_token_host(&typed)))
            })?;
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        if hosts.len() > MOST_HOSTS {
            let sentence = said(|t| t.access_token_hosts(MOST_HOSTS));
            return Err(Problem::unprocessable("hosts", "too_many", sentence));
        }
        if self.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
            let sentence = said(|t| t.access_token_life(MOST_DAYS));
            return Err(Problem::unprocessable("expires_in_days", "invalid_value", sentence));
        }
        let life = |days: u32| std::time::Duration::from_secs(u64::from(days) * 86_400);
        let expires_at = self.days.map(|days| now.plus(life(days)));
        Ok(Sound { name: name.to_string(), hosts, expires_at })
    }
}

/// Reads `host` or `*.parent` into the form that hosts are compared in.
fn parse_host(text: &str) -> Option<String> {
    let (star, name) = match text.strip_prefix("*.") {
        Some(parent) => ("*.", parent),
        None => ("", text),
    };
    Some(format!("{star}{}", normal_host(name)?))
}

/// Makes an app token for the caller. It proves what the caller has proven.
///
/// # Errors
/// `step_up_required`, `too_many_app_tokens`, or a conflict if the account changed at the same moment.
pub async fn make(
    room: &SignIn,
    principal: &Principal,
    sound: Sound,
    visit: &Visit<'_>,
) -> Result<MadeAppToken, Problem> {
    room.require_fresh(principal)?;
    let user = &principal.user;
    let event = Event::succeeded(Kind::AppTokenMade).by(user.id, &user.username);
    let mut batch = room.store.batch();
    room.sessions.stage_require_live(&mut batch, principal)?;
    let made = stage(
        room,
        &mut batch,
        user.id,
        principal.factors,
        sound,
        event.from(visit.ip).request(visit.request),
    )?;
    room.store.commit(batch).await?;
    Ok(made)
}

/// Makes an app token for a user from the machine itself, where nobody proves anything.
///
/// # Errors
/// As [`make`].
pub async fn make_for(
    room: &SignIn,
    owner: (UserId, &Username),
    factors: Factors,
    sound: Sound,
) -> Result<MadeAppToken, Problem> {
    let event = Event::succeeded(Kind::AppTokenMade).by_system("cli").on_user(owner.0, owner.1);
    let mut batch = room.store.batch();
    let made = stage(room, &mut batch, owner.0, factors, sound, event)?;
    room.store.commit(batch).await?;
    Ok(made)
}

fn stage(
    room: &SignIn,
    batch: &mut Batch,
    owner: UserId,
    factors: Factors,
    sound: Sound,
    event: Event,
) -> Result<MadeAppToken, Problem> {
    // Whoever is disabled, or changes password or factors, in this very moment gets no token out of it.
    let seen = room.accounts.record(&owner)?;
    if seen.value.status != Status::Active {
        return Err(AccountError::ProofIsVoid.into());
    }
    batch.require(owner.as_bytes(), &seen);
    let Sound { name, hosts, expires_at } = sound;
    let mut event = event.on(&name);
    if !hosts.is_empty() {
        event = event.detail("hosts", hosts.join(" "));
    }
    let made =
        room.sessions.stage_app_token(batch, NewAppToken { owner, name, hosts, factors, expires_at })?;
    room.audit.write(batch, event.detail("token", made.id));
    Ok(made)
}

/// Revokes an app token of `owner`; programs are refused from the next request on. `event` tells who does it.
///
/// # Errors
/// 404 if the user has no such token (ENU-04).
pub async fn revoke(room: &SignIn, owner: &UserId, handle: &str, event: Event) -> Result<(), Problem> {
    let id = AppTokenId::parse(handle).ok_or_else(Problem::not_found)?;
    let mut batch = room.store.batch();
    let token = room.sessions.stage_end_app_token(&mut batch, owner, &id).ok_or_else(Problem::not_found)?;
    room.audit.write(&mut batch, event.on(&token.name).detail("token", id));
    Ok(room.store.commit(batch).await?)
}

/// Begins the audit event of a revocation by the owner.
pub fn revoked_by_owner(principal: &Principal, visit: &Visit<'_>) -> Event {
    let user = &principal.user;
    let event = Event::succeeded(Kind::AppTokenRevoked).by(user.id, &user.username);
    event.from(visit.ip).request(visit.request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str, hosts: &[&str], days: Option<u32>) -> Wish {
        Wish { name: name.to_owned(), hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), days }
    }

    #[test]
    fn a_wish_is_brought_to_one_form_or_refused_by_field() {
        let now = Timestamp::from_secs(1_800_000_000);
        let sound =
            wish(" NAS ", &["Photos.Home.Example.", "", "photos.home.example", "*.DAV.example"], Some(1));
        let sound = sound.parse(now).unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(sound.name, "NAS");
        assert_eq!(sound.hosts, ["photos.home.example", "*.dav.example"]);
        assert_eq!(sound.expires_at, Some(Timestamp::from_secs(1_800_086_400)));
        let many: Vec<String> = (0..21).map(|number| format!("a{number}.home.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (bad, field) in [
            (wish("", &[], None), "name"),
            (wish("a\nb", &[], None), "name"),
            (wish("a", &["https://a.example"], None), "hosts"),
            (wish("a", &["a.example:8443"], None), "hosts"),
            (wish("a", &["*"], None), "hosts"),
            (wish("a", &["*.*.example"], None), "hosts"),
            (wish("a", &["{user}.example"], None), "hosts"),
            (wish("a", &many, None), "hosts"),
            (wish("a", &[], Some(0)), "expires_in_days"),
            (wish("a", &[], Some(MOST_DAYS + 1)), "expires_in_days"),
        ] {
            let Err(problem) = bad.parse(now) else { panic!("{bad:?}") };
            assert_eq!(problem.fields.first().map(|(name, _)| *name), Some(field), "{bad:?}");
        }
    }
}
