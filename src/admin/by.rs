//! Who administers: a signed-in administrator, or whoever commands the machine itself.
//!
//! Pages, JSON API and command line run the same use-cases; what differs is only whose power is behind them. Whoever
//! may run a command owns the data anyway, so nothing but the rules about the last administrator and owner binds them.

use super::Admin;
use super::authority::{self, Deed};
use crate::accounts::{Role, User};
use crate::audit::{Event, Kind};
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::sessions::Principal;
use crate::sign_in::Visit;

/// Who administers.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A signed-in administrator, and where the request comes from.
    Person(&'a Principal, &'a Visit<'a>),
    /// Somebody at the command line of the machine.
    Machine,
}

impl By<'_> {
    /// Refuses what the actor may not do to `target`.
    ///
    /// # Errors
    /// As [`authority::require`].
    pub fn require(self, target: &User, deed: Deed) -> Result<(), Problem> {
        match self {
            By::Person(actor, _) => authority::require(&actor.user, target, deed),
            By::Machine => Ok(()),
        }
    }

    /// Refuses to give a role above the own.
    ///
    /// # Errors
    /// As [`authority::require_may_give`].
    pub fn require_may_give(self, role: Role) -> Result<(), Problem> {
        match self {
            By::Person(actor, _) => authority::require_may_give(actor.user.role, role),
            By::Machine => Ok(()),
        }
    }

    /// Refuses unless the actor proved who they are a moment ago.
    ///
    /// # Errors
    /// 403 `step_up_required`.
    pub fn require_fresh(self, room: &Admin) -> Result<(), Problem> {
        match self {
            By::Person(actor, _) => room.require_fresh(actor),
            By::Machine => Ok(()),
        }
    }

    /// Returns who it is; `None` for the machine.
    pub fn user(self) -> Option<UserId> {
        match self {
            By::Person(actor, _) => Some(actor.user.id),
            By::Machine => None,
        }
    }

    /// Tells whether the actor is this user.
    pub fn is(self, user: UserId) -> bool {
        self.user() == Some(user)
    }

    /// Returns the name that people are told, if the actor has one.
    pub fn name(self) -> Option<String> {
        match self {
            By::Person(actor, _) => Some(actor.user.display_name.to_string()),
            By::Machine => None,
        }
    }

    /// Starts an event that the actor did.
    pub fn event(self, kind: Kind) -> Event {
        let event = Event::succeeded(kind);
        match self {
            By::Person(actor, visit) => {
                event.by(actor.user.id, &actor.user.username).from(visit.ip).request(visit.request)
            }
            By::Machine => event.by_system("cli"),
        }
    }
}
