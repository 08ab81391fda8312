//! How a sign-in gets to a host whose cookies our own pages cannot set: another root domain, or an app with a cookie of
//! its own.
//!
//! ```text
//! app ──> public address, GET /?rd=APP        signed in, or signs in now; at the level that the rules want
//!     ──> the other host, HANDOFF?rd=APP      gives the browser a mark, in a cookie of this very host
//!     ──> public address, GET /?rd=APP&mark=  makes a ticket for this session, this host and this mark
//!     ──> the other host, HANDOFF?ticket=     takes the ticket and gives the cookie
//!     ──> app
//! ```
//!
//! `HANDOFF` is `/api/handoff` at the portal of a domain, and `/.doorward/handoff` at an app, which forward-auth answers
//! for. A ticket is good once, for half a minute. The mark binds it to the browser that was sent for it: whoever opens a
//! ticket that somebody else made is not signed in as them (login CSRF).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::cookies::{Cookie, grant_forward};
use super::forward::Scope;
use super::records::HandoffRecord;
use super::{Principal, Sessions};
use crate::crypto::mac::sha256;
use crate::http::redirect::{origin_of, safe_return_target};
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::ct_eq;
use crate::site::{CookieScope, Place, ProtectedDomain, Site};
use crate::store::CommitError;

/// Where the portal of a domain takes tickets.
pub const PORTAL_PATH: &str = "/api/handoff";
/// Where forward-auth takes tickets in the name of an app.
pub const APP_PATH: &str = "/.doorward/handoff";
/// What lies below here is answered by forward-auth itself and never reaches an app.
const APP_PREFIX: &str = "/.doorward/";

/// The life of a ticket.
const TICKET_LIFE: Duration = Duration::from_secs(30);
/// The life of a mark: long enough for a second factor on the way.
const MARK_LIFE: Duration = Duration::from_secs(600);
/// The length of a ticket, a mark and a hash as text: 256 bits in base64url.
const TEXT_LENGTH: usize = 43;

/// Tells whether a canonical path of a protected host is ours to answer, before any rule is asked.
pub fn is_path(path: &str) -> bool {
    path.starts_with(APP_PREFIX)
}

/// What the public address was asked on the way, beside the return address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The hash of the mark, as the other host sent it along.
    pub mark: Option<&'a str>,
    /// Whether a first try has failed.
    pub is_again: bool,
}

/// Sends a signed-in browser on its way to an app whose cookie our own pages cannot set; `None` if they can. `target` is
/// a return address that was judged, of a protected host.
///
/// # Errors
/// If the store does not take the ticket.
pub async fn begin(
    sessions: &Sessions,
    caller: &Principal,
    target: &Url,
    asked: Asked<'_>,
) -> Result<Option<Reply>, Problem> {
    let site = sessions.0.tokens.site();
    let host = target.host_str().unwrap_or_default();
    let Some(domain) = site.protected_domain_of(host) else { return Ok(None) };
    let door = match site.place_of(&domain) {
        Place::Here => return Ok(None),
        Place::Portal(origin) => format!("{origin}{PORTAL_PATH}"),
        Place::App => format!("{}{APP_PATH}", origin_of(target)),
    };
    let ticket = match asked.mark.and_then(decode) {
        Some(mark) => Some(sessions.make_ticket(caller, Scope::of(&domain, host), mark).await?),
        None => None,
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(ticket) = &ticket {
        query.append_pair("ticket", ticket);
    }
    if asked.is_again {
        query.append_pair("again", "1");
    }
    query.append_pair("rd", target.as_str());
    Ok(Some(Reply::see_other(&format!("{door}?{}", query.finish()))))
}

/// A browser that arrives at another host.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// The request, for its cookies: the one of the browser, or the one of a reverse proxy with the browser's cookies.
    pub request: &'a Request,
    /// The method of the browser.
    pub method: &'a str,
    /// The path of the browser, canonical.
    pub path: &'a str,
    /// The query of the browser, without `?`.
    pub query: &'a str,
    /// The host that the browser opened: in normal form, without a port.
    pub host: &'a str,
    /// The domain that the host belongs to.
    pub domain: &'a ProtectedDomain,
    /// The status of an answer with `Location`: 302 or 303, and 401 for proxies that know only that.
    pub redirect: StatusCode,
}

/// Answers a browser at another host: gives it a mark and sends it for a ticket, or takes its ticket and gives it the
/// cookie of the host or domain. What cannot be done is tried once more from the start; then the public address explains.
/// An answer sets one cookie at most, because nginx hands on no more.
///
/// # Errors
/// If the store does not give the ticket out.
pub async fn arrive(sessions: &Sessions, arrival: Arrival<'_>) -> Result<Reply, Problem> {
    if arrival.method != Method::GET.as_str() || !is_door(&arrival) {
        return Ok(Reply::empty(StatusCode::FORBIDDEN));
    }
    let site = sessions.0.tokens.site();
    let asked = Query::of(arrival.query);
    let Some(target) = asked.rd.and_then(|rd| target_of(site, &arrival, &rd)) else {
        return Ok(to(arrival.redirect, &format!("{}/", site.origin().text)));
    };
    let Some(ticket) = &asked.ticket else { return Ok(fetch(sessions, &arrival, &target, asked.is_again)) };
    Ok(match sessions.take_ticket(&arrival, ticket).await {
        Ok(session) => {
            let cookie = sessions.forward_cookie(&session, arrival.domain, arrival.host, arrival.request.now);
            let Some(cookie) = cookie else { return Ok(fetch(sessions, &arrival, &target, true)) };
            grant_forward(site, to(arrival.redirect, target.as_str()), arrival.domain, &cookie)
        }
        Err(Refused::Store(problem)) => return Err(problem),
        Err(Refused::Ticket) if asked.is_again => stuck(site, &arrival, &target),
        Err(Refused::Ticket) => fetch(sessions, &arrival, &target, true),
    })
}

/// Tells whether a ticket of this domain is taken under this path.
fn is_door(arrival: &Arrival<'_>) -> bool {
    arrival.path
        == match arrival.domain.cookie {
            CookieScope::Domain => PORTAL_PATH,
            CookieScope::Host => APP_PATH,
        }
}

struct Query {
    ticket: Option<String>,
    rd: Option<String>,
    is_again: bool,
}

impl Query {
    fn of(text: &str) -> Self {
        let mut query = Query { ticket: None, rd: None, is_again: false };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "ticket" => query.ticket = query.ticket.or_else(|| Some(value.into_owned())),
                "rd" => query.rd = query.rd.or_else(|| Some(value.into_owned())),
                "again" => query.is_again = true,
                _ => {}
            }
        }
        query
    }
}

/// Judges the return address (WEB-11): it leads to this very host, or with a cookie for all of the domain to an app of it.
fn target_of(site: &Site, arrival: &Arrival<'_>, rd: &str) -> Option<Url> {
    let is_fine = |host: &str| {
        let is_same = arrival.domain.cookie == CookieScope::Domain || host == arrival.host;
        is_same && site.protected_domain_of(host).is_some_and(|domain| *domain == *arrival.domain)
    };
    let target = safe_return_target(rd, &site.origin().text, is_fine)?;
    target.host_str().is_some_and(is_fine).then_some(target)
}

/// Gives the browser a mark, the one it has if it has one, and sends it for a ticket.
fn fetch(sessions: &Sessions, arrival: &Arrival<'_>, target: &Url, is_again: bool) -> Reply {
    let site = sessions.0.tokens.site();
    // Kept, so that several tabs can be on their way at once.
    let known =
        Cookie::Handoff.read(site, arrival.request).ok().flatten().filter(|mark| decode(mark).is_some());
    let mark = match known {
        Some(mark) => mark.to_owned(),
        None => BASE64URL_NOPAD.encode(&sessions.0.random.bytes::<32>()),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", target.as_str());
    query.append_pair("mark", &BASE64URL_NOPAD.encode(&sha256(&mark)));
    if is_again {
        query.append_pair("again", "1");
    }
    let reply = to(arrival.redirect, &format!("{}/?{}", site.origin().text, query.finish()));
    Cookie::Handoff.set(site, reply, &mark, Some(MARK_LIFE))
}

/// Two tries have failed. A third one would, too.
fn stuck(site: &Site, arrival: &Arrival<'_>, target: &Url) -> Reply {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("rd", target.as_str()).finish();
    to(arrival.redirect, &format!("{}/?{query}&stuck=1", site.origin().text))
}

fn to(status: StatusCode, location: &str) -> Reply {
    let mut reply = Reply::empty(status);
    if let Ok(location) = HeaderValue::from_str(location) {
        reply.set(header::LOCATION, location);
    }
    reply
}

fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != TEXT_LENGTH {
        return None;
    }
    let mut bytes = [0_u8; 32];
    let written = BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    (written == bytes.len()).then_some(bytes)
}

/// Why a ticket was not taken.
enum Refused {
    /// It is unknown, used, too old, for another host, or of another browser; or its session has ended.
    Ticket,
    /// The store does not read or write.
    Store(Problem),
}

impl Sessions {
    async fn make_ticket(
        &self,
        caller: &Principal,
        scope: Scope<'_>,
        mark: [u8; 32],
    ) -> Result<String, Problem> {
        let ticket = BASE64URL_NOPAD.encode(&self.0.random.bytes::<32>());
        let row = sha256(&ticket);
        let expires_at = self.0.clock.now().plus(TICKET_LIFE);
        let record = HandoffRecord { session: caller.session, scope: scope.text(), mark, expires_at };
        let mut batch = self.0.store.batch();
        batch.insert_new(&row, &record);
        batch.expire::<HandoffRecord>(&row, expires_at);
        self.0.store.commit(batch).await?;
        Ok(ticket)
    }

    /// Takes a ticket; of any number of browsers at once one gets it (GEN-03). One that does not fit stays for whom it was
    /// made for.
    async fn take_ticket(&self, arrival: &Arrival<'_>, ticket: &str) -> Result<super::SessionId, Refused> {
        let site = self.0.tokens.site();
        let mark = Cookie::Handoff.read(site, arrival.request).ok().flatten().ok_or(Refused::Ticket)?;
        let row = sha256(ticket);
        let found = self.0.store.get::<HandoffRecord>(&row).map_err(|error| Refused::Store(error.into()))?;
        let seen = found.ok_or(Refused::Ticket)?;
        let (record, now) = (&seen.value, self.0.clock.now());
        let is_good = decode(ticket).is_some()
            && ct_eq(&sha256(mark), &record.mark)
            && record.scope == Scope::of(arrival.domain, arrival.host).text()
            && now < record.expires_at
            && self.look_at(&record.session, now).is_some();
        if !is_good {
            return Err(Refused::Ticket);
        }
        let mut batch = self.0.store.batch();
        batch.take(&row, &seen);
        batch.unexpire::<HandoffRecord>(&row, record.expires_at);
        match self.0.store.commit(batch).await {
            Ok(()) => Ok(record.session),
            Err(CommitError::Conflict) => Err(Refused::Ticket),
            Err(error) => Err(Refused::Store(error.into())),
        }
    }
}
