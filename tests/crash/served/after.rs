//! What a client may rely on after a crash: asked over HTTP, of the server that was started again.

use std::collections::HashMap;

use serde_json::json;

use super::PASSWORD;
use super::load::{self, Enrolled, Family, Ledger, Rotator, Stop, Target, Visitor, sign_in, validate};
use super::wire::{self, Answer, Client};

/// Sessions that ended since the last look, and as many older ones, are asked for.
const MOST_ENDED: usize = 24;

type Found = Result<(), String>;

fn lost(error: std::io::Error) -> String {
    format!("an answer was lost after the restart: {error}")
}

fn stopped(stop: Stop) -> String {
    match stop {
        Stop::Lost => "an answer was lost after the restart".to_owned(),
        Stop::Busy => "an idle server is busy".to_owned(),
        Stop::Wrong(what) => what,
    }
}

fn must(is_so: bool, what: impl FnOnce() -> String) -> Found {
    if is_so { Ok(()) } else { Err(what()) }
}

/// Everyone who was acknowledged is there, nobody else is, and disabled people are.
pub(super) fn people(target: &Target, ledger: &Ledger) -> Found {
    let list = wire::order(&target.data, "user list", None).map_err(lost)??;
    let listed: HashMap<&str, &str> = list
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some((fields.next()?, fields.nth(1)?))
        })
        .collect();
    must(listed.len() == list.lines().count(), || "a name is listed twice".to_owned())?;
    // A registration whose answer was lost happened or did not; from now on it has to stay so.
    let doubtful: Vec<String> = ledger.maybe_people.lock().drain().collect();
    ledger.people.lock().extend(doubtful.into_iter().filter(|name| listed.contains_key(name.as_str())));
    let people = ledger.people.lock();
    for name in people.iter() {
        must(listed.contains_key(name.as_str()), || format!("{name} was acknowledged and is gone: LOST"))?;
    }
    must(listed.len() == people.len() + 1, || {
        format!("{} people are listed, {} and the owner were asked for", listed.len(), people.len())
    })?;
    for name in ledger.disabled.lock().iter() {
        let state = listed.get(name.as_str()).copied();
        must(state == Some("disabled"), || format!("{name} was disabled and is {state:?}: LOST"))?;
    }
    Ok(())
}

/// The newest people who registered with a password sign in with it; a name that is there stays taken.
pub(super) fn registrations(client: &mut Client, ledger: &Ledger) -> Found {
    let registered: Vec<String> = {
        let people = ledger.people.lock();
        people.iter().rev().filter(|name| name.starts_with("web")).take(2).cloned().collect()
    };
    for name in &registered {
        let answer = sign_in(client, name).map_err(lost)?;
        must(answer.status == 200, || format!("{name} cannot sign in: {}", answer.verdict()))?;
    }
    let Some(name) = registered.first() else { return Ok(()) };
    let body = json!({"username": name.to_uppercase(), "password": PASSWORD});
    let answer = client.post("/api/v1/users", None, &body).map_err(lost)?;
    must(answer.status == 409, || format!("{name} is registered a second time: {}", answer.verdict()))
}

fn must_be_ended(client: &mut Client, access: &str, refresh: &str) -> Found {
    let answer = validate(client, access).map_err(lost)?;
    must(!answer.is_active() && answer.text("code") == "token_revoked", || {
        format!("an ended session lives again: its access token is {}: LOST", answer.body)
    })?;
    let answer = load::refresh(client, refresh).map_err(lost)?;
    must(answer.verdict() == "401 refresh_invalid", || {
        format!("the refresh token of an ended session is answered {}", answer.verdict())
    })
}

/// Sessions whose end was acknowledged stay ended.
pub(super) fn ended(client: &mut Client, ledger: &Ledger, looked_at: &mut usize, old: usize) -> Found {
    let ended = {
        let all = ledger.ended.lock();
        let new = all.iter().skip(*looked_at).rev().take(MOST_ENDED);
        let older = all.iter().skip(old % all.len().max(1)).take(MOST_ENDED);
        let chosen: Vec<_> = new.chain(older).cloned().collect();
        *looked_at = all.len();
        chosen
    };
    ended.iter().try_for_each(|tokens| must_be_ended(client, &tokens.access, &tokens.refresh))
}

/// A session whose sign-out was not answered is over whole or not at all; one that was not signed out is there.
pub(super) fn visitor(client: &mut Client, visitor: &mut Visitor, ledger: &Ledger) -> Found {
    let Some(open) = visitor.open.take() else { return Ok(()) };
    let tokens = open.tokens;
    let is_active = validate(client, &tokens.access).map_err(lost)?.is_active();
    must(is_active || open.is_ending, || "an acknowledged session is gone: LOST".to_owned())?;
    if !is_active {
        return must_be_ended(client, &tokens.access, &tokens.refresh);
    }
    let answer = load::refresh(client, &tokens.refresh).map_err(lost)?;
    must(answer.status == 200, || {
        format!("a session is half ended: its refresh is answered {}: HALF APPLIED", answer.verdict())
    })?;
    let answer = client.post("/api/v1/auth/logout", Some(&tokens.access), &json!({})).map_err(lost)?;
    must(answer.status == 204, || format!("a session cannot be ended: {}", answer.verdict()))?;
    ledger.ended.lock().push(tokens);
    Ok(())
}

/// The newest acknowledged refresh token works, also if it was used already and the answer was lost; it has one
/// successor, however often it is used; and with `is_to_end`, the token before it is spent and takes the family down.
pub(super) fn family(client: &mut Client, rotator: &mut Rotator, is_to_end: bool, ledger: &Ledger) -> Found {
    let Some(family) = &mut rotator.family else { return Ok(()) };
    let (is_late, used, spent) = (family.is_late(), family.newest.clone(), family.spent.take());
    let answer = family.rotate(client).map_err(stopped)?;
    if answer.status != 200 && is_late {
        rotator.family = None;
        return Ok(());
    }
    must(answer.status == 200, || {
        format!("the newest acknowledged refresh token is answered {}: LOST", answer.verdict())
    })?;
    let again = load::refresh(client, &used.refresh).map_err(lost)?;
    must(again.text("refresh_token") == family.newest.refresh, || {
        format!("a refresh token has two successors, the second is answered {}", again.verdict())
    })?;
    let answer = validate(client, &family.newest.access).map_err(lost)?;
    must(answer.is_active(), || format!("a fresh access token is {}", answer.body))?;
    match spent {
        Some(spent) if is_to_end => end(client, rotator, &spent, ledger),
        _ => Ok(()),
    }
}

/// Shows a token that was spent two rotations ago.
fn end(client: &mut Client, rotator: &mut Rotator, spent: &str, ledger: &Ledger) -> Found {
    let Some(Family { newest, .. }) = rotator.family.take() else { return Ok(()) };
    let answer = load::refresh(client, spent).map_err(lost)?;
    must(answer.verdict() == "401 refresh_reused", || {
        format!("a spent refresh token is answered {} after the crash", answer.verdict())
    })?;
    must_be_ended(client, &newest.access, &newest.refresh)?;
    ledger.ended.lock().push(newest);
    Ok(())
}

/// The newest people with a second factor still have it, and what they used once does not work again.
pub(super) fn second_factors(client: &mut Client, ledger: &Ledger) -> Found {
    let mut enrolled = ledger.enrolled.lock();
    for person in enrolled.iter_mut().rev().take(2) {
        second_factor(client, person).map_err(|what| format!("{}: {what}", person.name))?;
    }
    Ok(())
}

fn second_factor(client: &mut Client, person: &mut Enrolled) -> Found {
    let answer = sign_in(client, &person.name).map_err(lost)?;
    let is_enrolled = answer.text("status") == "mfa_required";
    let is_in_doubt = person.unused.is_empty() && person.used.is_empty();
    must(is_enrolled || is_in_doubt, || format!("the second factor is gone, {}: LOST", answer.verdict()))?;
    if !is_enrolled {
        let status = answer.text("status");
        return must(status == "mfa_enrolment_required", || format!("the sign-in is {}", answer.verdict()));
    }
    let pending = answer.text("pending_token").to_owned();
    let mut refused =
        |code: &str| -> Result<Answer, String> { load::second_factor(client, &pending, code).map_err(lost) };
    let answer = refused(&person.first_code)?;
    must(answer.verdict() == "401 invalid_code", || format!("a used code is answered {}", answer.verdict()))?;
    if let Some(code) = person.used.last() {
        let answer = refused(code)?;
        must(answer.verdict() == "401 invalid_code", || {
            format!("a used recovery code is answered {}", answer.verdict())
        })?;
    }
    let Some(code) = person.unused.pop() else { return Ok(()) };
    let answer = load::second_factor(client, &pending, &code).map_err(lost)?;
    must(answer.status == 200, || format!("an unused recovery code is answered {}", answer.verdict()))?;
    person.used.push(code);
    let left = answer.body.get("recovery_codes_left").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let unused = person.unused.len() as u64;
    let most = unused + u64::from(person.doubtful.is_some());
    must((unused..=most).contains(&left), || format!("{left} recovery codes are left instead of {unused}"))
}
