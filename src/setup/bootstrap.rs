//! The setup without a browser: for scripts, containers and configuration management.

use super::owner::{Claim, OwnerError, OwnerForm, judge};
use super::{Setup, parse_instance_name};
use crate::accounts::Role;
use crate::accounts::enrolment::Asker;
use crate::audit::{Event, Kind};
use crate::crypto::password::{Ticket, is_argon2id};
use crate::crypto::totp::{code_at, step_at};
use crate::http::Problem;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretText;
use crate::site::Setting;
use crate::words::english_only;

/// The owner's password.
pub enum BootstrapPassword {
    /// As it is typed; checked like any other.
    Plain(SecretText),
    /// argon2id in PHC format, as from a file that configuration management wrote. Nothing can be checked about the
    /// password behind it.
    Hash(String),
}

/// What a setup without a browser is told.
pub struct Bootstrap<'a> {
    /// The owner's username.
    pub username: &'a str,
    /// The owner's name; empty takes the username.
    pub display_name: &'a str,
    /// The owner's e-mail address; may be empty.
    pub email: &'a str,
    /// The owner's password.
    pub password: BootstrapPassword,
    /// The name of the instance; `None` keeps the present one.
    pub instance_name: Option<&'a str>,
    /// The public address; `None` keeps the present one.
    pub origin: Option<&'a str>,
    /// The domain of the apps; `None` keeps the present one.
    pub protected_domain: Option<&'a str>,
    /// Whether to enrol an authenticator app and return its secret. Otherwise the owner does so at the first sign-in.
    pub with_totp: bool,
}

/// An authenticator app that was enrolled; shown once.
pub struct EnrolledTotp {
    /// `otpauth://totp/...`; it contains the secret.
    pub otpauth_uri: String,
    /// The secret in base32.
    pub secret_base32: String,
    /// Ten recovery codes.
    pub recovery_codes: Vec<String>,
}

/// What was made.
pub struct Bootstrapped {
    /// The owner.
    pub user: UserId,
    /// The owner's username in its canonical form.
    pub username: String,
    /// The second factor, if one was asked for.
    pub totp: Option<EnrolledTotp>,
}

impl Setup {
    /// Does the whole setup: owner, name, address and the end of the wizard are one commit.
    ///
    /// # Errors
    /// [`OwnerError::Taken`] if there is, or ever was, an owner; 422 with the field for a value that is not acceptable.
    pub async fn bootstrap(&self, bootstrap: Bootstrap<'_>) -> Result<Bootstrapped, OwnerError> {
        if self.is_claimed() {
            return Err(OwnerError::Taken);
        }
        let Bootstrap { username, display_name, email, .. } = bootstrap;
        let mut new = judge(&OwnerForm { username, display_name, email })?;
        let settings = self.judge_settings(&bootstrap)?;
        let hash = match &bootstrap.password {
            BootstrapPassword::Plain(password) => {
                self.check_password(&new, password)?;
                let hash = self.sign_in.accounts.hash_password(password, Ticket::default()).await;
                hash.map_err(Problem::from)?
            }
            BootstrapPassword::Hash(phc) => {
                let phc = phc.trim();
                if !is_argon2id(phc) {
                    return Err(Problem::unprocessable(
                        "password",
                        "invalid_hash",
                        english_only(
                            "The password hash is not argon2id in PHC format ($argon2id$v=19$m=...).",
                        ),
                    )
                    .into());
                }
                phc.to_owned()
            }
        };
        new.password_hash = Some(hash);
        let username = new.username.to_string();
        let event = |kind| Event::succeeded(kind).by_system("cli");
        let claim = Claim { place: "the command line or the configuration".to_owned(), visit: None };
        let now = self.sign_in.clock.now();
        let user = self
            .commit_owner(new, claim, |batch| {
                for (setting, value) in &settings {
                    self.sign_in.site.stage_set(batch, *setting, value);
                    let changed = event(Kind::SettingChanged).on(setting.key());
                    self.sign_in.audit.write(batch, changed.detail("value", value));
                }
                self.sign_in.audit.write(batch, event(Kind::SetupCompleted));
                self.stage_progress(batch, |record| {
                    record.is_named = true;
                    record.is_addressed = true;
                    record.finished_at = Some(now);
                })
                .map_err(|error| Problem::from(crate::store::CommitError::Store(error)))
            })
            .await?;
        let totp = match bootstrap.with_totp {
            true => Some(self.enrol(user).await?),
            false => None,
        };
        Ok(Bootstrapped { user, username, totp })
    }

    fn judge_settings(&self, bootstrap: &Bootstrap<'_>) -> Result<Vec<(Setting, String)>, Problem> {
        let site = &self.sign_in.site;
        let mut settings = Vec::new();
        if let Some(name) = bootstrap.instance_name {
            settings.push((Setting::InstanceName, parse_instance_name(name)?.to_string()));
        }
        if bootstrap.origin.is_some() || bootstrap.protected_domain.is_some() {
            let present = (site.origin().text, site.protected_domain().unwrap_or_default());
            let origin = bootstrap.origin.unwrap_or(&present.0);
            let domain = bootstrap.protected_domain.unwrap_or(&present.1);
            let address = self.judge_address(origin, domain, true)?;
            if bootstrap.origin.is_some() {
                settings.push((Setting::PublicOrigin, address.origin.text));
            }
            if bootstrap.protected_domain.is_some() {
                settings.push((Setting::ProtectedDomain, address.protected_domain.unwrap_or_default()));
            }
        }
        settings.retain(|(setting, _)| !site.is_fixed(*setting));
        Ok(settings)
    }

    async fn enrol(&self, user: UserId) -> Result<EnrolledTotp, Problem> {
        let accounts = &self.sign_in.accounts;
        let asker = Asker::command_line();
        let enrolment = accounts.begin_totp(user, asker, &self.sign_in.site.name()).await?;
        // The code of the step before, so that the present one is still good for a sign-in right after.
        let code = code_at(&enrolment.secret, step_at(self.sign_in.clock.now()).saturating_sub(1));
        let name = accounts.record(&user)?.value.username;
        let confirmed = accounts
            .confirm_totp(user, asker, &code, |batch, _| {
                let event = Event::succeeded(Kind::TotpEnrolled).by_system("cli").on_user(user, &name);
                self.sign_in.audit.write(batch, event);
            })
            .await?;
        let recovery_codes = confirmed.ok_or_else(|| Problem::internal("an own code was not accepted"))?;
        Ok(EnrolledTotp {
            otpauth_uri: enrolment.otpauth_uri,
            secret_base32: enrolment.secret_base32,
            recovery_codes,
        })
    }

    /// Returns the fewest characters of the owner's password.
    pub fn minimum_password_length(&self) -> u32 {
        u32::try_from(self.sign_in.accounts.minimum_password_length(Role::Owner)).unwrap_or(u32::MAX)
    }
}
