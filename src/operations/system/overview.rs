//! The overview: a few numbers, the last day by hour, what is wrong, and what is left to set up. Everything in it is
//! counted already; a view reads nothing of the log.

use serde::Serialize;

use super::System;
use super::warnings::{self, Warning};
use crate::accounts::User;
use crate::audit::{Hour, Kind};
use crate::http::Problem;
use crate::views::setup::OpenStep;
use crate::words::Words;

/// The kinds that are refused sign-ins.
pub(super) const REFUSED: [Kind; 3] = [Kind::SignInFailed, Kind::SecondFactorFailed, Kind::SignInLimited];

/// A warning as the API tells it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    /// What, and how bad it is.
    #[serde(flatten)]
    pub warning: Warning,
    /// A few words, in English.
    pub title: &'static str,
    /// What was seen and what to do, in English.
    pub text: String,
    /// Warnings that would hide this one.
    pub depends_on: Vec<&'static str>,
}

impl From<Warning> for Told {
    fn from(warning: Warning) -> Self {
        let t = Words::ENGLISH;
        Told {
            title: warning.title(t),
            text: warning.text(t),
            depends_on: warning.code.causes().iter().map(|code| code.as_str()).collect(),
            warning,
        }
    }
}

/// What the overview shows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// People.
    pub people: usize,
    /// Sign-ins of the last day.
    pub sign_ins: u64,
    /// Refused sign-ins of the last day.
    pub refused: u64,
    /// Accounts whose sign-in is paused somewhere now.
    pub paused: usize,
    /// The last day by hour, the running hour last.
    pub hours: Vec<Hour>,
    /// What is wrong.
    pub warnings: Vec<Warning>,
    /// What is left to set up; nothing if somebody put the list away.
    pub steps: Vec<OpenStep>,
}

impl System {
    /// Puts the overview together, for `user` as far as it is about their own account.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn overview(&self, user: &User, t: Words) -> Result<Overview, Problem> {
        let hours = self.audit.last_day(|kind, is_done| {
            if is_done { kind == Kind::SignInSucceeded } else { REFUSED.contains(&kind) }
        });
        let directory = self.accounts.directory();
        let mut steps = self.setup().open_steps(user, t)?;
        let is_alone = directory.count_active(|one| one.role.is_admin()) < 2;
        if is_alone && !self.setup().is_checklist_hidden()? {
            steps.push(OpenStep {
                code: "second-admin",
                label: t.overview_second_admin().to_owned(),
                sentence: t.overview_second_admin_text().to_owned(),
                url: "/admin/people".to_owned(),
            });
        }
        Ok(Overview {
            people: directory.len(),
            sign_ins: hours.iter().map(|hour| u64::from(hour.succeeded)).sum(),
            refused: hours.iter().map(|hour| u64::from(hour.refused)).sum(),
            paused: self.lockout.len(),
            hours,
            warnings: warnings::examine(&self.facts()),
            steps,
        })
    }
}
