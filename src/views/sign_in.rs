//! Sign-in, sign-out, step-up, one-time links and registration.

use askama::Template;

use super::frame::Frame;
use super::parts::{FieldErrors, Goal, Hidden, Svg, Wait};

/// `GET /signin`.
///
/// Form: POST `/signin`, fields `csrf`, everything in `hidden`, `username`, `password`, `remember` (`yes` if ticked).
#[derive(Debug, Template)]
#[template(path = "signin/password.html")]
pub struct SignIn {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along, such as `rd`, `rm` or `flow`.
    pub hidden: Vec<Hidden>,
    /// What the visitor wants to open: "to continue to photos.home.example", or the name of an app.
    pub continue_to: Option<Goal>,
    /// Prefilled username.
    pub username: String,
    /// Whether "Keep me signed in" is ticked.
    pub remember: bool,
    /// For how many days; none hides the box.
    pub remember_days: u64,
    /// One neutral sentence, the same for unknown name and wrong password;
    pub error: Option<String>,
    /// Set while rate limited or suspended.
    pub wait: Option<Wait>,
    /// What a browser needs for a passkey, as JSON; `None` where no passkey works.
    pub passkey: Option<String>,
    /// Whether anyone may register.
    pub is_registration_open: bool,
    /// Whether the page came over plain HTTP with the insecure switch on: shows a warning (SES-06).
    pub is_insecure: bool,
}

/// `GET /signin/second-factor`: the code of the authenticator app.
///
/// Form: POST `/signin/second-factor`, fields `csrf`, everything in `hidden`, `code`.
#[derive(Debug, Template)]
#[template(path = "signin/second_factor.html")]
pub struct SecondFactor {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along.
    pub hidden: Vec<Hidden>,
    /// What the visitor wants to open.
    pub continue_to: Option<Goal>,
    /// Where "Use a recovery code" leads, query included: `/signin/recovery?flow=…`.
    pub recovery_url: String,
    /// One sentence, the same for a wrong and a used code (OTP-05);
    pub error: Option<String>,
    /// Set while rate limited.
    pub wait: Option<Wait>,
    /// What a browser needs for a passkey, as JSON; `None` if there is none, or none works here.
    pub passkey: Option<String>,
    /// Why no passkey works at this address, or `None` if they do.
    pub passkey_unavailable: Option<&'static str>,
    /// Whether there is an authenticator app.
    pub asks_code: bool,
    /// Adds the hint that the clock of the phone may be off.
    pub hint_clock: bool,
    /// How many digits the codes of this person have.
    pub digits: u8,
}

/// `GET /signin/recovery`: one of the ten recovery codes.
///
/// Form: POST `/signin/recovery`, fields `csrf`, everything in `hidden`, `recovery_code`.
#[derive(Debug, Template)]
#[template(path = "signin/recovery.html")]
pub struct Recovery {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along.
    pub hidden: Vec<Hidden>,
    /// What the visitor wants to open.
    pub continue_to: Option<Goal>,
    /// Where the way back to the second factor leads.
    pub second_factor_url: String,
    /// Whether that is an authenticator app; else a passkey.
    pub has_app: bool,
    /// One sentence, the same for a wrong and a used code.
    pub error: Option<String>,
    /// Set while rate limited.
    pub wait: Option<Wait>,
}

/// `GET /signin/enrol`: a second factor is required before this sign-in may finish.
///
/// Forms: POST `/signin/enrol`, fields `csrf`, everything in `hidden`, and `code` or `credential`.
#[derive(Debug, Template)]
#[template(path = "signin/enrol.html")]
pub struct Enrol {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along.
    pub hidden: Vec<Hidden>,
    /// What the visitor wants to open.
    pub continue_to: Option<Goal>,
    /// What a browser needs to make a passkey, as JSON; none where there are no passkeys.
    pub passkey: Option<String>,
    /// QR code of the otpauth URI.
    pub qr: Svg,
    /// The secret in base32, in groups of four.
    pub secret_text: String,
    /// The otpauth URI, for a link on the same device.
    pub otpauth_uri: String,
    /// Errors on `code`.
    pub errors: FieldErrors,
    /// Set while rate limited.
    pub wait: Option<Wait>,
}

/// Ten new recovery codes, shown once after enrolment during sign-in.
///
/// Form: POST `action_url`, fields `csrf`, everything in `hidden`, `saved` (`yes`).
#[derive(Debug, Template)]
#[template(path = "signin/recovery_codes.html")]
pub struct NewRecoveryCodes {
    /// Common parts.
    pub frame: Frame,
    /// Where the form goes: `/signin/recovery-codes`.
    pub action_url: String,
    /// Fields to carry along.
    pub hidden: Vec<Hidden>,
    /// Username, for the heading of the saved file.
    pub username: String,
    /// The codes.
    pub codes: Vec<String>,
    /// Errors on `saved`.
    pub errors: FieldErrors,
}

/// `GET /signout`: asks before signing out (WEB-04: a GET changes nothing).
///
/// Form: POST `/signout`, fields `csrf`, everything in `hidden`, `scope`: `here` or `everywhere`.
#[derive(Debug, Template)]
#[template(path = "signin/sign_out.html")]
pub struct SignOut {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along, such as `rd`.
    pub hidden: Vec<Hidden>,
    /// Who is signed in.
    pub display_name: String,
}

/// Shown after signing out.
#[derive(Debug, Template)]
#[template(path = "signin/signed_out.html")]
pub struct SignedOut {
    /// Common parts.
    pub frame: Frame,
    /// A validated address to go on to, and the host or app it belongs to.
    pub continue_to: Option<(String, String)>,
    /// The apps that were told.
    pub told: Vec<String>,
}

/// `GET /step-up`: confirm it is you before a sensitive change.
///
/// Form: POST `/step-up`, fields `csrf`, everything in `hidden` (such as `next`), `password`, `code` (only if asked).
#[derive(Debug, Template)]
#[template(path = "signin/step_up.html")]
pub struct StepUp {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along.
    pub hidden: Vec<Hidden>,
    /// What the visitor wants to open.
    pub continue_to: Option<Goal>,
    /// Username, for password managers.
    pub username: String,
    /// What a browser needs for a passkey, as JSON; `None` if there is none, or none works here.
    pub passkey: Option<String>,
    /// Whether to ask for a code.
    pub asks_code: bool,
    /// Whether there is an authenticator app; else the code is a recovery code.
    pub has_app: bool,
    /// How many digits the codes of this person have.
    pub digits: u8,
    /// One neutral sentence;
    pub error: Option<String>,
    /// Set while rate limited.
    pub wait: Option<Wait>,
    /// Where "Cancel" leads.
    pub cancel_url: String,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A new account chooses its first password.
    Invite,
    /// An existing account chooses a new password.
    Reset,
}

/// `GET /link/{token}`: choose a password by a one-time link. Never signs in, never skips a second factor (PWD-12).
///
/// Form: POST `action_url`, fields `csrf`, `password`.
#[derive(Debug, Template)]
#[template(path = "signin/link.html")]
pub struct Link {
    /// Common parts.
    pub frame: Frame,
    /// What the link is for.
    pub kind: LinkKind,
    /// Where the form goes: `/link/{token}`.
    pub action_url: String,
    /// The account's username.
    pub username: String,
    /// Fewest characters of a password.
    pub min_length: u32,
    /// Errors on `password`.
    pub errors: FieldErrors,
}

impl Link {
    /// Whether the link invites a new person.
    pub fn is_invite(&self) -> bool {
        self.kind == LinkKind::Invite
    }
}

/// A one-time link that is unknown, used or expired: one answer for all (410).
#[derive(Debug, Template)]
#[template(path = "signin/link_gone.html")]
pub struct LinkGone {
    /// Common parts.
    pub frame: Frame,
}

/// `GET /register`, when the policy allows it.
///
/// Form: POST `/register`, fields `csrf`, `username`, `display_name`, `email` (optional), `password`.
#[derive(Debug, Template)]
#[template(path = "signin/register.html")]
pub struct Register {
    /// Common parts.
    pub frame: Frame,
    /// Fields to carry along, such as `invitation`.
    pub hidden: Vec<Hidden>,
    /// Prefilled username.
    pub username: String,
    /// Prefilled display name.
    pub display_name: String,
    /// Prefilled e-mail address.
    pub email: String,
    /// Fewest characters of a password.
    pub min_length: u32,
    /// Errors on the fields.
    pub errors: FieldErrors,
    /// Set while rate limited.
    pub wait: Option<Wait>,
}

/// A short message with one way onward, such as "Your password is set".
#[derive(Debug, Template)]
#[template(path = "signin/message.html")]
pub struct Message {
    /// Common parts; the title is the heading.
    pub frame: Frame,
    /// One or two sentences.
    pub text: String,
    /// Text of the button: `Sign in`.
    pub button: String,
    /// Where the button leads.
    pub url: String,
}
