//! The check: who may ask, what is asked, who is signed in, what the rules say. Answered from memory, in one step,
//! unless a password has to be hashed.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::answer;
use super::assertion::REMOTE_ASSERTION;
use super::endpoint::{Dialect, Endpoint};
use super::identity::identity_headers;
use super::inquiry::{Inquiry, Question, Refusal, read};
use super::portal;
use crate::access::asker::{Asker, Credential};
use crate::access::domain::is_local;
use crate::access::matcher::Lacking;
use crate::access::{Access, Outcome, Programs};
use crate::http::{Reply, Request};
use crate::sessions::handoff::{self, Arrival};
use crate::sessions::tokens::Tokens;
use crate::sessions::{Principal, Scope, Sessions};
use crate::site::{ProtectedDomain, Site};

/// Checks that the inquiry is about an app that is protected here, over a channel that its cookie may travel on.
///
/// Returns the protected domain that the app belongs to.
///
/// # Errors
/// [`Refusal::PlainHttp`] or [`Refusal::UnknownHost`].
pub(in crate::access) fn admit(inquiry: &Inquiry<'_>, site: &Site) -> Result<Arc<ProtectedDomain>, Refusal> {
    let domain = site.protected_domain_of(&inquiry.host).ok_or(Refusal::UnknownHost)?;
    if !inquiry.is_secure && !site.allows_insecure_http() && !is_local(&inquiry.host) {
        return Err(Refusal::PlainHttp);
    }
    Ok(domain)
}

/// An inquiry that may be decided.
struct Admitted<'a> {
    inquiry: Inquiry<'a>,
    /// The protected domain of the app.
    domain: Arc<ProtectedDomain>,
    /// No cookie counts, and whoever must sign in is asked for a name and a password.
    is_basic: bool,
    /// The sign-in page that the proxy names, if it names one.
    portal: Option<String>,
}

/// Answers a forward-auth request: who may ask (FWD-03), what is asked (FWD-04, FWD-05), who is signed in by a
/// credential or else by the forward-auth cookie (which slides the session, so the answer needs no cookie), and what
/// the rules say. `None` if a password has to be hashed first, or a browser arrives from the portal and the store has to
/// be asked: then [`check_in_time`] answers.
pub fn check(access: &Access, sessions: &Sessions, request: &Request, endpoint: Endpoint) -> Option<Reply> {
    check_with(access, Some(sessions.tokens()), request, endpoint, |scope| {
        sessions.identify_forward(&access.shared.site, request, scope, request.now)
    })
}

/// Answers where [`check`] did not, and waits for what it takes.
pub async fn check_in_time(
    access: &Access,
    sessions: &Sessions,
    request: &Request,
    endpoint: Endpoint,
) -> Reply {
    let admitted = match inquire(access, request, endpoint) {
        Ok(admitted) => admitted,
        Err(reply) => return reply,
    };
    if is_arrival(&admitted.inquiry) {
        return without_body(request, arrive(access, sessions, request, endpoint, &admitted).await);
    }
    let credential = match programs_asked(access, request) {
        Ok(programs) => programs.prove(access, request, &admitted.inquiry).await,
        Err(credential) => credential,
    };
    let turn = Turn { access, tokens: Some(sessions.tokens()), request, endpoint, admitted: &admitted };
    turn.conclude(credential, |scope| {
        sessions.identify_forward(&access.shared.site, request, scope, request.now)
    })
}

/// The check over any way to know people by their cookie.
pub(super) fn check_with(
    access: &Access,
    tokens: Option<&Tokens>,
    request: &Request,
    endpoint: Endpoint,
    identify: impl FnOnce(Scope<'_>) -> Option<Principal>,
) -> Option<Reply> {
    let admitted = match inquire(access, request, endpoint) {
        Ok(admitted) => admitted,
        Err(reply) => return Some(reply),
    };
    // Before the rules: no app ever sees these paths.
    if is_arrival(&admitted.inquiry) {
        return None;
    }
    let credential = match programs_asked(access, request) {
        Ok(programs) => programs.identify(access, request, &admitted.inquiry),
        Err(credential) => credential,
    };
    if matches!(credential, Credential::Unproven) {
        return None;
    }
    let turn = Turn { access, tokens, request, endpoint, admitted: &admitted };
    Some(turn.conclude(credential, identify))
}

/// Returns who judges the `Authorization` header, or what it comes to if nobody does or there is none.
fn programs_asked<'a>(access: &'a Access, request: &Request) -> Result<&'a dyn Programs, Credential> {
    if !request.headers.contains_key(header::AUTHORIZATION) {
        return Err(Credential::None);
    }
    access.shared.programs.get().map(|programs| &**programs).ok_or(Credential::Unknown)
}

/// Tells whether the path is ours to answer in the name of an app.
fn is_arrival(inquiry: &Inquiry<'_>) -> bool {
    inquiry.path.as_deref().is_ok_and(handoff::is_path)
}

/// Gives a browser that arrives from the portal a mark or a cookie of the app's host.
async fn arrive(
    access: &Access,
    sessions: &Sessions,
    request: &Request,
    endpoint: Endpoint,
    Admitted { inquiry, domain, .. }: &Admitted<'_>,
) -> Reply {
    let refused = || {
        let is_plain = access.shared.settings.nginx_statuses_only;
        Reply::empty(Refusal::UnknownHost.status(endpoint.dialect, is_plain))
    };
    let Ok(path) = &inquiry.path else { return refused() };
    let arrival = Arrival {
        request,
        method: inquiry.method.unwrap_or("GET"),
        path,
        query: inquiry.query().unwrap_or_default(),
        host: &inquiry.host,
        domain,
        redirect: match endpoint.dialect {
            Dialect::AuthRequest => StatusCode::UNAUTHORIZED,
            Dialect::ForwardAuth | Dialect::ExtAuthz | Dialect::Legacy => StatusCode::FOUND,
        },
    };
    // A proxy understands no more than that.
    handoff::arrive(sessions, arrival).await.unwrap_or_else(|_| Reply::empty(StatusCode::FORBIDDEN))
}

/// Reads and judges the question, or refuses it and complains.
fn inquire<'a>(access: &Access, request: &'a Request, endpoint: Endpoint) -> Result<Admitted<'a>, Reply> {
    judge(access, request, endpoint).map_err(|refusal| {
        access.shared.complaints.note(refusal, request);
        refuse(request, endpoint, refusal, access.shared.settings.nginx_statuses_only)
    })
}

fn refuse(request: &Request, endpoint: Endpoint, refusal: Refusal, is_plain_for_nginx: bool) -> Reply {
    without_body(request, Reply::empty(refusal.status(endpoint.dialect, is_plain_for_nginx)))
}

fn judge<'a>(access: &Access, request: &'a Request, endpoint: Endpoint) -> Result<Admitted<'a>, Refusal> {
    if !request.client.is_trusted_peer && !request.client.peer.is_loopback() {
        return Err(Refusal::UntrustedPeer);
    }
    let (site, dialect, question) = (&access.shared.site, endpoint.dialect, Question::of(request));
    let inquiry = read(dialect, question)?;
    let domain = admit(&inquiry, site)?;
    let named = portal::named(dialect, question)?;
    let portal = named.as_deref().and_then(|address| portal::judge(site, &inquiry, address));
    if named.is_some() && portal.is_none() {
        // nginx could not tell a 400 from a broken server, so it goes on with the address that is known to be right.
        if dialect != Dialect::AuthRequest || !access.shared.settings.nginx_statuses_only {
            return Err(Refusal::ForeignPortal);
        }
        access.shared.complaints.note(Refusal::ForeignPortal, request);
    }
    let is_basic = endpoint.is_basic || portal::asks_basic(dialect, question);
    Ok(Admitted { inquiry, domain, is_basic, portal })
}

/// A question on its way to an answer.
struct Turn<'a> {
    access: &'a Access,
    tokens: Option<&'a Tokens>,
    request: &'a Request,
    endpoint: Endpoint,
    admitted: &'a Admitted<'a>,
}

impl Turn<'_> {
    fn conclude(
        &self,
        credential: Credential,
        identify: impl FnOnce(Scope<'_>) -> Option<Principal>,
    ) -> Reply {
        let inquiry = &self.admitted.inquiry;
        let settings = &self.access.shared.settings;
        let is_refused = match credential {
            Credential::Refused | Credential::Unproven | Credential::Busy { .. } => true,
            Credential::Unknown => settings.refuse_unknown_authorization,
            Credential::None | Credential::Caller(_) => false,
        };
        let busy = match credential {
            Credential::Busy { retry_after } => Some(retry_after),
            _ => None,
        };
        let (asker, is_program) = match credential {
            Credential::Caller(asker) => (Some(asker), true),
            _ if is_refused || self.admitted.is_basic => (None, true),
            _ => {
                let scope = Scope::of(&self.admitted.domain, &inquiry.host);
                (identify(scope).map(Asker::from), false)
            }
        };
        let caller = asker.as_ref().map(Asker::caller);
        // Only a proxy asks here, never a visitor, so the other end of the connection is nobody's address.
        let decision = self.access.decide(inquiry, self.request.client.forwarded, caller);
        if let Some(lacking) = decision.lacking {
            let refusal = match lacking {
                Lacking::Address => Refusal::UnknownVisitor,
                Lacking::Method => Refusal::UnknownMethod,
            };
            self.access.shared.complaints.note(refusal, self.request);
        }
        let reply = match decision.outcome {
            Outcome::Allow => self.allow(asker.as_ref()),
            Outcome::Forbidden => {
                if let Some(user) = asker.as_ref().and_then(|asker| asker.user.as_deref()) {
                    let shared = &self.access.shared;
                    shared.denials.note(&shared.audit, user, inquiry, self.request);
                }
                answer::forbidden(self.request.words())
            }
            Outcome::NeedSignIn { .. } => match busy {
                Some(retry_after) => answer::busy(self.endpoint.dialect, retry_after),
                None if is_program => answer::challenge(),
                None => self.to_sign_in(),
            },
        };
        without_body(self.request, reply)
    }

    fn allow(&self, asker: Option<&Asker>) -> Reply {
        let shared = &self.access.shared;
        let identity = match asker.and_then(|asker| asker.user.as_ref()) {
            Some(user) => shared.identities.of(user),
            None if shared.settings.empty_identity_headers => Arc::new(identity_headers(None)),
            None => return answer::allowed(Arc::default()),
        };
        let mut reply = answer::allowed(identity);
        if let (true, Some(tokens)) = (shared.settings.assertion, self.tokens) {
            let signed = asker.and_then(|asker| {
                shared.assertions.of(asker, &self.admitted.inquiry, tokens, &shared.site, self.request.now)
            });
            // What a client sent under this name must not get past a proxy that merges headers.
            reply.set(REMOTE_ASSERTION.clone(), signed.unwrap_or(HeaderValue::from_static("")));
        }
        reply
    }

    fn to_sign_in(&self) -> Reply {
        let (dialect, admitted) = (self.endpoint.dialect, self.admitted);
        // Only who must sign in is sent to the portal; an answer of 200 copies no address.
        let own;
        let portal = match &admitted.portal {
            Some(named) => Some(named.as_str()),
            // The old endpoint leads to a page only if the proxy says where it is.
            None if dialect == Dialect::Legacy => None,
            None => {
                own = format!("{}/", self.access.shared.site.origin().text);
                Some(own.as_str())
            }
        };
        answer::to_sign_in(dialect, &admitted.inquiry, &self.request.headers, portal)
    }
}

fn without_body(request: &Request, mut reply: Reply) -> Reply {
    if request.method == Method::HEAD {
        reply.body = Bytes::new();
    }
    reply
}
