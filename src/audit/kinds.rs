//! The register of event kinds: name, sentence. Names are part of the API and of exports; they are never reused.

use crate::words::Words;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $sentence:ident;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
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

            /// Returns the sentence in English, for the API and exports.
            pub fn sentence(self) -> &'static str {
                self.said(Words::ENGLISH)
            }

            /// Returns the sentence shown to people.
            pub fn said(self, words: Words) -> &'static str {
                match self {
                    $(Kind::$variant => words.$sentence(),)*
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
    SignInSucceeded = "sign_in.succeeded", events_sign_in_succeeded;
    SignInFailed = "sign_in.failed", events_sign_in_failed;
    SecondFactorFailed = "sign_in.second_factor_failed", events_sign_in_second_factor_failed;
    SignInLimited = "sign_in.limited", events_sign_in_limited;
    SignInSuspended = "sign_in.suspended", events_sign_in_suspended;
    SuspensionLifted = "suspension.lifted", events_suspension_lifted;
    NewDevice = "sign_in.new_device", events_sign_in_new_device;
    StepUpSucceeded = "step_up.succeeded", events_step_up_succeeded;
    StepUpFailed = "step_up.failed", events_step_up_failed;
    SessionEnded = "session.ended", events_session_ended;
    AllSessionsEnded = "session.all_ended", events_session_all_ended;
    RefreshReused = "refresh.reused", events_refresh_reused;
    PasswordChanged = "password.changed", events_password_changed;
    PasswordReset = "password.reset", events_password_reset;
    TotpEnrolled = "totp.enrolled", events_totp_enrolled;
    TotpRemoved = "totp.removed", events_totp_removed;
    PasskeyAdded = "passkey.added", events_passkey_added;
    PasskeyChanged = "passkey.changed", events_passkey_changed;
    PasskeyRemoved = "passkey.removed", events_passkey_removed;
    PasskeySuspicious = "passkey.suspicious", events_passkey_suspicious;
    SecondFactorReset = "second_factor.reset", events_second_factor_reset;
    RecoveryCodesMade = "recovery_codes.made", events_recovery_codes_made;
    RecoveryCodeUsed = "recovery_code.used", events_recovery_code_used;
    DataExported = "account.exported", events_account_exported;
    UserCreated = "user.created", events_user_created;
    UserChanged = "user.changed", events_user_changed;
    UserRoleChanged = "user.role_changed", events_user_role_changed;
    UserGroupsChanged = "user.groups_changed", events_user_groups_changed;
    UserDisabled = "user.disabled", events_user_disabled;
    UserEnabled = "user.enabled", events_user_enabled;
    UserDeleted = "user.deleted", events_user_deleted;
    GroupCreated = "group.created", events_group_created;
    GroupRenamed = "group.renamed", events_group_renamed;
    GroupDeleted = "group.deleted", events_group_deleted;
    LinkCreated = "link.created", events_link_created;
    LinkUsed = "link.used", events_link_used;
    LinkRefused = "link.refused", events_link_refused;
    LinkWithdrawn = "link.withdrawn", events_link_withdrawn;
    RuleChanged = "rule.changed", events_rule_changed;
    RuleDrafted = "rule.drafted", events_rule_drafted;
    AppSignedIn = "app.signed_in", events_app_signed_in;
    AppRefused = "app.refused", events_app_refused;
    AppTokenReused = "app.token_reused", events_app_token_reused;
    AppNotProven = "app.not_proven", events_app_not_proven;
    AppAdded = "app.added", events_app_added;
    AppChanged = "app.changed", events_app_changed;
    AppSecretMade = "app.secret_made", events_app_secret_made;
    AppRemoved = "app.removed", events_app_removed;
    ConsentRevoked = "app.consent_revoked", events_app_consent_revoked;
    RegistrationTokenMade = "app.registration_token_made", events_app_registration_token_made;
    AppRegistered = "app.registered", events_app_registered;
    ScopeChanged = "scope.changed", events_scope_changed;
    AppTokenMade = "app_token.made", events_app_token_made;
    AppTokenRevoked = "app_token.revoked", events_app_token_revoked;
    ProgramSignedIn = "program.signed_in", events_program_signed_in;
    ProgramRefused = "program.refused", events_program_refused;
    AccessDenied = "access.denied", events_access_denied;
    ClientLogoutFailed = "client.logout_failed", events_client_logout_failed;
    SettingChanged = "setting.changed", events_setting_changed;
    AdminRefused = "admin.refused", events_admin_refused;
    RequestForged = "request.forged", events_request_forged;
    SetupClaimFailed = "setup.claim_failed", events_setup_claim_failed;
    SetupClaimed = "setup.claimed", events_setup_claimed;
    SetupCompleted = "setup.completed", events_setup_completed;
    KeysRotated = "keys.rotated", events_keys_rotated;
    AuditExported = "audit.exported", events_audit_exported;
    StoreExported = "store.exported", events_store_exported;
    StoreImported = "store.imported", events_store_imported;
    StoreDamaged = "store.damaged", events_store_damaged;
    ServerStarted = "server.started", events_server_started;
    ServerStopped = "server.stopped", events_server_stopped;
    ClockStepped = "clock.stepped", events_clock_stepped;
    EventsDropped = "audit.events_dropped", events_audit_events_dropped;
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
