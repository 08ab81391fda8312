//! What administrators do: people, groups, access rules, audit, keys.
//!
//! Whoever calls in here is an administrator; whether they may do it to *this* person is for [`authority`]. What
//! gives power or takes a protection away needs a fresh proof of all factors (ADM-01): roles, links for a password,
//! factors, apps, rules that go into force, and whatever of this an administrator does for themselves, groups too. The
//! groups of others and drafts of rules are everyday work. Every change and its audit event are one commit. Nobody here
//! chooses or sees another person's password (PWD-11).

pub mod api;
pub mod app_new;
pub mod app_pages;
pub mod app_test;
pub mod app_token_api;
pub mod audit;
pub mod audit_pages;
pub mod authority;
pub mod by;
pub mod client_api;
pub mod domain_pages;
pub mod domains;
pub mod group_api;
pub mod group_pages;
pub mod groups;
pub mod invitation_api;
pub mod invitation_pages;
pub mod invitations;
pub mod new_apps;
pub mod passkeys;
pub mod people;
pub mod people_pages;
pub mod people_search;
pub mod person_access;
pub mod person_api;
pub mod person_deeds;
pub mod person_pages;
pub mod profiles;
mod proxied_apps;
mod rule_form;
pub mod rule_pages;
pub mod scope_pages;
pub mod scopes;
pub mod system_api;

use std::sync::Arc;

use crate::access::Access;
use crate::accounts::User;
use crate::audit::{Event, Kind};
use crate::http::{Problem, Request};
use crate::kernel::ids::UserId;
use crate::oidc::Oidc;
use crate::sessions::Principal;
use crate::sign_in::frames;
use crate::sign_in::{SignIn, Visit};
use crate::views::Frame;

/// The use-cases of administrators. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    sign_in: SignIn,
    pub(crate) access: Access,
    pub(crate) oidc: Oidc,
}

/// The rooms below, as signing in holds them.
impl std::ops::Deref for Admin {
    type Target = SignIn;
    fn deref(&self) -> &SignIn {
        &self.sign_in
    }
}

impl Admin {
    /// Takes the rooms that signing in is made of, the access rules and the provider.
    pub fn new(sign_in: SignIn, access: Access, oidc: Oidc) -> Self {
        Admin { sign_in, access, oidc }
    }

    pub(crate) fn event(&self, kind: Kind, actor: &Principal, visit: &Visit<'_>) -> Event {
        Event::succeeded(kind).by(actor.user.id, &actor.user.username).from(visit.ip).request(visit.request)
    }

    /// Finds the person that the `{id}` of the path names.
    fn person(&self, request: &Request) -> Result<Arc<User>, Problem> {
        let id = UserId::parse(request.param("id")).ok_or_else(Problem::not_found)?;
        self.accounts.user(&id).ok_or_else(Problem::not_found)
    }

    pub(crate) fn frame(
        &self,
        request: &Request,
        actor: &Principal,
        title: &str,
        current: &'static str,
    ) -> Frame {
        frames::personal(&self.site, &self.sessions, request, actor, title, current)
    }
}
