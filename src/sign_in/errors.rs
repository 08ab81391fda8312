//! Why a sign-in was refused, and what the person or program is told.

use std::time::Duration;

use http::StatusCode;

use crate::accounts::passwords::PasswordFault;
use crate::accounts::users::AccountError;
use crate::http::Problem;
use crate::http::rate::RateFields;
use crate::kernel::time::Timestamp;
use crate::limits::Verdict;
use crate::store::{CommitError, StoreError};
use crate::words::{Said, Words, said};

/// Why a step of signing in was refused.
#[derive(Debug)]
pub enum SignInError {
    /// Unknown name, wrong password, or an account that may not sign in: all the same, and without a word of how many
    /// attempts are left. A name and an e-mail address of one account share them, so they would tell that both belong
    /// together (ENU-01).
    Wrong,
    /// A wrong, replayed or missing second factor.
    WrongCode,
    /// A passkey that is unknown, answers something else, or did not check who is there.
    WrongPasskey,
    /// So many wrong codes that the password has to be typed again.
    TooManyCodes,
    /// No sign-in waits for this code: it expired, was finished, or never was.
    NothingPending,
    /// Another authenticator app was confirmed while this sign-in waited for one (OTP-02).
    EnrolledElsewhere,
    /// Too many attempts.
    Limited {
        /// The name of the limit that was reached.
        policy: &'static str,
        /// What it says.
        verdict: Verdict,
    },
    /// Too many failures on this account from everywhere; unknown devices wait.
    Delayed {
        /// How long.
        wait: Duration,
    },
    /// This name is suspended for this place.
    Suspended {
        /// Until when.
        until: Timestamp,
        /// What time it is, for `Retry-After`.
        now: Timestamp,
    },
    /// The store refused.
    Commit(CommitError),
    /// Anything else that stopped it.
    Problem(Problem),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        SignInError::Commit(CommitError::Store(error))
    }
}

impl From<CommitError> for SignInError {
    fn from(error: CommitError) -> Self {
        SignInError::Commit(error)
    }
}

impl From<AccountError> for SignInError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Commit(error) => SignInError::Commit(error),
            AccountError::EnrolledElsewhere => SignInError::EnrolledElsewhere,
            AccountError::ProofIsVoid => SignInError::NothingPending,
            other => SignInError::Problem(other.into()),
        }
    }
}

impl From<PasswordFault> for SignInError {
    fn from(fault: PasswordFault) -> Self {
        SignInError::Problem(fault.into())
    }
}

impl From<Problem> for SignInError {
    fn from(problem: Problem) -> Self {
        SignInError::Problem(problem)
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Problem::unauthorized("invalid_credentials", Said::of(Words::signin_wrong)),
            SignInError::WrongCode => {
                Problem::unauthorized("invalid_code", Said::of(Words::signin_wrong_code))
            }
            SignInError::WrongPasskey => {
                Problem::unauthorized("invalid_passkey", Said::of(Words::signin_wrong_passkey))
            }
            SignInError::TooManyCodes => {
                Problem::unauthorized("too_many_codes", Said::of(Words::signin_too_many_codes))
            }
            SignInError::NothingPending => {
                Problem::unauthorized("sign_in_expired", Said::of(Words::signin_expired))
            }
            SignInError::EnrolledElsewhere => AccountError::EnrolledElsewhere.into(),
            SignInError::Limited { policy, verdict } => {
                let problem = Problem::too_many_requests(
                    "rate_limited",
                    Said::of(Words::signin_too_many_attempts),
                    verdict.retry_after,
                );
                with_limit_headers(problem, policy, &verdict)
            }
            SignInError::Delayed { wait } => {
                Problem::too_many_requests("rate_limited", Said::of(Words::signin_too_many_attempts), wait)
            }
            SignInError::Suspended { until, now } => {
                let mut problem = Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "suspended",
                    said(move |t| t.signin_suspended(until)),
                );
                problem.retry_after = Some(until.since(now));
                problem.with_member("until", until.to_rfc3339())
            }
            SignInError::Commit(error) => error.into(),
            SignInError::Problem(problem) => problem,
        }
    }
}

/// Adds the `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) fn with_limit_headers(mut problem: Problem, rule: &'static str, verdict: &Verdict) -> Problem {
    problem.headers.extend(RateFields::new(rule, verdict.limit, verdict.window).of(verdict));
    problem
}
