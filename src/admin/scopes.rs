//! Scopes that administrators make up, and tokens with which apps may register themselves.

use super::Admin;
use super::by::By;
use crate::audit::Kind;
use crate::http::Problem;
use crate::kernel::secret::SecretText;
use crate::kernel::time::Timestamp;
use crate::words::said;

/// The most apps that may register themselves with one token.
pub const MOST_USES: u32 = 1000;
/// The longest life of such a token, in days.
pub const MOST_DAYS: u32 = 365;

impl Admin {
    /// Makes a scope, or changes what it shows: `claims` are pairs of claim and attribute. Needs a fresh proof.
    ///
    /// # Errors
    /// `step_up_required`, or what is wrong with the scope.
    pub async fn put_scope(
        &self,
        by: By<'_>,
        name: &str,
        claims: Vec<(String, String)>,
    ) -> Result<(), Problem> {
        by.require_fresh(self)?;
        let shown: Vec<String> =
            claims.iter().map(|(claim, attribute)| format!("{claim}={attribute}")).collect();
        let event = by.event(Kind::ScopeChanged).on(name).detail("claims", shown.join(" "));
        Ok(self.oidc.put_scope(name, claims, |batch| self.audit.write(batch, event)).await?)
    }

    /// Removes a scope that an administrator made up. Needs a fresh proof.
    ///
    /// # Errors
    /// `step_up_required`, 404.
    pub async fn remove_scope(&self, by: By<'_>, name: &str) -> Result<(), Problem> {
        by.require_fresh(self)?;
        let event = by.event(Kind::ScopeChanged).on(name).detail("change", "removed");
        Ok(self.oidc.remove_scope(name, |batch| self.audit.write(batch, event)).await?)
    }

    /// Makes a token with which apps may register themselves, `uses` times within `days`; it is shown once. Needs a fresh
    /// proof.
    ///
    /// # Errors
    /// `step_up_required`, 422 `uses` or `days`.
    pub async fn make_registration_token(
        &self,
        by: By<'_>,
        uses: u32,
        days: u32,
    ) -> Result<(SecretText, Timestamp), Problem> {
        by.require_fresh(self)?;
        for (field, value, most) in [("uses", uses, MOST_USES), ("days", days, MOST_DAYS)] {
            if !(1..=most).contains(&value) {
                return Err(Problem::unprocessable(
                    field,
                    "invalid_value",
                    said(move |t| t.scopes_range(most)),
                ));
            }
        }
        let event = by.event(Kind::RegistrationTokenMade).detail("uses", uses).detail("days", days);
        Ok(self.oidc.make_initial_token(uses, days, |batch| self.audit.write(batch, event)).await?)
    }

    /// Makes every such token useless. Needs a fresh proof.
    ///
    /// # Errors
    /// `step_up_required`.
    pub async fn drop_registration_tokens(&self, by: By<'_>) -> Result<(), Problem> {
        by.require_fresh(self)?;
        let event = by.event(Kind::RegistrationTokenMade).detail("dropped", "all");
        Ok(self.oidc.drop_initial_tokens(|batch| self.audit.write(batch, event)).await?)
    }
}
