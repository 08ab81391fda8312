//! The register of event kinds: name, sentence. Names are part of the API and of exports; they are never reused.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $sentence:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $sentence] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Kind] = &[$(Kind::$variant),*];

            /// Returns the stable name, such as `sign_in.failed`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)*
                }
            }

            /// Returns the sentence shown to people.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Kind::$variant => $sentence,)*
                }
            }

            /// Finds the kind with this name; `None` for one that a later or earlier version wrote.
            pub fn parse(name: &str) -> Option<Kind> {
                match name {
                    $($name => Some(Kind::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    SignInSucceeded = "sign_in.succeeded", "Signed in.";
    SignInFailed = "sign_in.failed", "A sign-in was refused.";
    SecondFactorFailed = "sign_in.second_factor_failed", "The second factor of a sign-in was refused.";
    SignInLimited = "sign_in.limited", "Sign-in attempts were turned away because there were too many.";
    SignInSuspended = "sign_in.suspended", "An account was suspended for one place after repeated failures.";
    SuspensionLifted = "suspension.lifted", "A suspension was lifted.";
    NewDevice = "sign_in.new_device", "Signed in from a device that was not known before.";
    StepUpSucceeded = "step_up.succeeded", "Confirmed who is there before a sensitive change.";
    StepUpFailed = "step_up.failed", "A confirmation before a sensitive change was refused.";
    SessionEnded = "session.ended", "A session was ended.";
    AllSessionsEnded = "session.all_ended", "All sessions of a user were ended.";
    RefreshReused = "refresh.reused", "A used refresh token came back; its session was ended.";
    PasswordChanged = "password.changed", "A password was changed by its owner.";
    PasswordReset = "password.reset", "A password was set by a link, an administrator or the command line.";
    TotpEnrolled = "totp.enrolled", "An authenticator app was set up.";
    TotpRemoved = "totp.removed", "An authenticator app was removed.";
    PasskeyAdded = "passkey.added", "A passkey was added.";
    PasskeyChanged = "passkey.changed", "A passkey was given another name.";
    PasskeyRemoved = "passkey.removed", "A passkey was removed.";
    PasskeySuspicious = "passkey.suspicious", "A passkey counted backwards: there may be a copy of it.";
    SecondFactorReset = "second_factor.reset", "Every second factor of a user was taken away by somebody else.";
    RecoveryCodesMade = "recovery_codes.made", "A new set of recovery codes was made.";
    RecoveryCodeUsed = "recovery_code.used", "A recovery code was used.";
    DataExported = "account.exported", "A copy of everything kept about an account was handed to its owner.";
    UserCreated = "user.created", "A user was created.";
    UserChanged = "user.changed", "A user was changed.";
    UserRoleChanged = "user.role_changed", "A user was given another role.";
    UserGroupsChanged = "user.groups_changed", "The groups of a user were changed.";
    UserDisabled = "user.disabled", "A user was disabled.";
    UserEnabled = "user.enabled", "A user was enabled again.";
    UserDeleted = "user.deleted", "A user was deleted.";
    GroupCreated = "group.created", "A group was created.";
    GroupRenamed = "group.renamed", "A group was given another name.";
    GroupDeleted = "group.deleted", "A group was deleted.";
    LinkCreated = "link.created", "A one-time link was made.";
    LinkUsed = "link.used", "A one-time link was used.";
    LinkRefused = "link.refused", "A one-time link was refused.";
    LinkWithdrawn = "link.withdrawn", "A one-time link was withdrawn.";
    RuleChanged = "rule.changed", "The access rules were changed.";
    RuleDrafted = "rule.drafted", "A draft of the access rules was changed; nothing of it is in force yet.";
    AppSignedIn = "app.signed_in", "Signed in to an app.";
    AppRefused = "app.refused", "A sign-in to an app was refused.";
    AppTokenReused = "app.token_reused", "A used code or token of an app came back; what it gave was taken back.";
    AppAdded = "app.added", "An app was added.";
    AppChanged = "app.changed", "An app was changed.";
    AppSecretMade = "app.secret_made", "An app was given a new secret.";
    AppRemoved = "app.removed", "An app was removed.";
    ConsentRevoked = "app.consent_revoked", "Somebody took back what they allowed an app.";
    RegistrationTokenMade = "app.registration_token_made", "A token for apps to register themselves was made or dropped.";
    AppRegistered = "app.registered", "An app registered itself.";
    ScopeChanged = "scope.changed", "A scope was changed.";
    AppTokenMade = "app_token.made", "An app token was made.";
    AppTokenRevoked = "app_token.revoked", "An app token was revoked.";
    ProgramSignedIn = "program.signed_in", "A program signed in with name and password.";
    ProgramRefused = "program.refused", "A program sent a right password that does not suffice for the account.";
    AccessDenied = "access.denied", "A signed-in user was kept out of an app by the access rules.";
    ClientLogoutFailed = "client.logout_failed", "An app could not be told that a session ended.";
    SettingChanged = "setting.changed", "A setting was changed.";
    AdminRefused = "admin.refused", "An administrative request was refused.";
    RequestForged = "request.forged", "A request that did not come from our own pages was refused.";
    SetupClaimFailed = "setup.claim_failed", "A wrong setup token was given.";
    SetupClaimed = "setup.claimed", "The setup token was accepted.";
    SetupCompleted = "setup.completed", "The setup was completed.";
    KeysRotated = "keys.rotated", "The signing keys were rotated.";
    AuditExported = "audit.exported", "The audit log was exported.";
    StoreExported = "store.exported", "The store was exported or backed up.";
    StoreImported = "store.imported", "A backup or an export was brought into the store.";
    StoreDamaged = "store.damaged", "Damaged values were found in the store.";
    ServerStarted = "server.started", "Doorward started.";
    ServerStopped = "server.stopped", "Doorward stopped.";
    ClockStepped = "clock.stepped", "The clock of this machine was moved.";
    EventsDropped = "audit.events_dropped", "Events were dropped because too many came at once.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_plain_and_found_again() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            let name = kind.name();
            assert_eq!(Kind::parse(name), Some(*kind));
            assert!(!Kind::ALL[index + 1..].iter().any(|other| other.name() == name), "{name}");
            let (area, event) = name.split_once('.').unwrap();
            for part in [area, event] {
                assert!(
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                    "{name}"
                );
            }
            assert!(kind.sentence().ends_with('.') && kind.sentence().len() < 90, "{name}");
        }
        assert_eq!(Kind::parse("sign_in.unheard_of"), None);
    }
}
