//! Which administrator may do what to whom. Pure.

use crate::accounts::{Role, User};
use crate::http::Problem;
use crate::words::{Said, Words};

/// What an administrator wants to do to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Change name, address or groups.
    Profile,
    /// Give another role.
    Role,
    /// Disable, enable or delete the account.
    State,
    /// Make a link for a new password, or reset the second factor.
    Credentials,
    /// End all sessions.
    SignOut,
    /// Lift suspensions.
    Lift,
}

/// A code, and the sentence that goes with it.
pub type Objection = (&'static str, fn(Words) -> &'static str);

/// Tells why `actor` may not do `deed` to `target`; `None` allows it.
pub fn objection(actor: &User, target: &User, deed: Deed) -> Option<Objection> {
    let is_own = actor.id == target.id;
    match deed {
        Deed::Lift => None,
        _ if target.role > actor.role => Some(("owner_only", Words::people_owner_only)),
        Deed::Role if is_own => Some(("own_account", Words::people_own_role)),
        Deed::State if is_own => Some(("own_account", Words::people_own_state)),
        Deed::Credentials if is_own => Some(("own_account", Words::people_own_credentials)),
        _ => None,
    }
}

/// Refuses what [`objection`] objects to.
///
/// # Errors
/// 403 `owner_only` or `own_account`.
pub fn require(actor: &User, target: &User, deed: Deed) -> Result<(), Problem> {
    match objection(actor, target, deed) {
        Some((code, sentence)) => Err(Problem::forbidden(code, Said::of(sentence))),
        None => Ok(()),
    }
}

/// Returns the roles that somebody with the role `own` may give: none above the own.
pub fn roles_to_give(own: Role) -> impl Iterator<Item = Role> {
    [Role::Member, Role::Admin, Role::Owner].into_iter().filter(move |role| *role <= own)
}

/// Refuses to give a role above the own.
///
/// # Errors
/// 403 `role_above_own`.
pub fn require_may_give(own: Role, role: Role) -> Result<(), Problem> {
    if role <= own {
        return Ok(());
    }
    Err(Problem::forbidden("role_above_own", Said::of(Words::people_role_above_own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Status;
    use crate::kernel::ids::UserId;
    use crate::kernel::text::{DisplayName, Username};
    use crate::kernel::time::Timestamp;

    fn user(id: u8, role: Role) -> User {
        User {
            id: UserId([id; 16]),
            username: Username::parse("someone").unwrap(),
            display_name: DisplayName::parse("Someone").unwrap(),
            email: None,
            groups: std::sync::Arc::default(),
            role,
            status: Status::Active,
            not_before: Timestamp::ZERO,
            has_totp: false,
            passkeys: 0,
            created_at: Timestamp::ZERO,
            password_changed_at: None,
            recovery_codes_left: 0,
        }
    }

    const DEEDS: [Deed; 5] = [Deed::Profile, Deed::Role, Deed::State, Deed::Credentials, Deed::SignOut];

    /// ADM-01: an admin has no power over an owner, and nobody over their own role or state.
    #[test]
    fn admins_have_no_power_over_owners_or_themselves() {
        let (owner, admin, member) = (user(1, Role::Owner), user(2, Role::Admin), user(3, Role::Member));
        for deed in DEEDS {
            assert_eq!(objection(&admin, &owner, deed).unwrap().0, "owner_only");
            assert!(objection(&admin, &member, deed).is_none());
            assert!(objection(&admin, &user(9, Role::Admin), deed).is_none());
            assert!(objection(&owner, &admin, deed).is_none());
            assert!(objection(&owner, &user(9, Role::Owner), deed).is_none());
        }
        assert!(objection(&admin, &owner, Deed::Lift).is_none());
        for deed in [Deed::Role, Deed::State, Deed::Credentials] {
            assert_eq!(objection(&owner, &owner, deed).unwrap().0, "own_account");
        }
        assert!(objection(&admin, &admin, Deed::Profile).is_none());
    }

    #[test]
    fn nobody_gives_a_role_above_their_own() {
        assert!(require_may_give(Role::Admin, Role::Owner).is_err());
        assert!(require_may_give(Role::Admin, Role::Admin).is_ok());
        assert_eq!(roles_to_give(Role::Admin).collect::<Vec<_>>(), [Role::Member, Role::Admin]);
        assert_eq!(roles_to_give(Role::Owner).count(), 3);
    }
}
