//! The setup wizard: `/setup` and its steps.

use askama::Template;

use super::admin::FilterLink;
use super::frame::Frame;
use crate::words::Words;

use super::parts::{Check, Choice, Fact, FieldErrors, Svg, Wait, When};

/// A step of the wizard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `/setup/welcome`.
    Welcome,
    /// `/setup/owner`.
    Owner,
    /// `/setup/address`.
    Address,
    /// `/setup/second-factor` and `/setup/recovery-codes`.
    SecondFactor,
    /// `/setup/protect`.
    Protect,
    /// `/setup/done`.
    Done,
}

impl Step {
    /// The usual order. Over plain HTTP from another machine, `Address` comes before `Owner`.
    pub const ORDER: [Step; 6] =
        [Step::Welcome, Step::Owner, Step::Address, Step::SecondFactor, Step::Protect, Step::Done];
    /// The order when the wizard is visited over plain HTTP from another machine.
    pub const ORDER_INSECURE: [Step; 6] =
        [Step::Welcome, Step::Address, Step::Owner, Step::SecondFactor, Step::Protect, Step::Done];

    /// Returns the name in the steps bar.
    pub fn label(self, t: Words) -> &'static str {
        match self {
            Step::Welcome => t.setup_step_welcome(),
            Step::Owner => t.setup_step_owner(),
            Step::Address => t.setup_step_address(),
            Step::SecondFactor => t.setup_step_second_factor(),
            Step::Protect => t.setup_step_protect(),
            Step::Done => t.setup_step_done(),
        }
    }

    /// Returns the path.
    pub fn path(self) -> &'static str {
        match self {
            Step::Welcome => "/setup/welcome",
            Step::Owner => "/setup/owner",
            Step::Address => "/setup/address",
            Step::SecondFactor => "/setup/second-factor",
            Step::Protect => "/setup/protect",
            Step::Done => "/setup/done",
        }
    }
}

/// One entry of the steps bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepItem {
    /// Name of the step.
    pub label: &'static str,
    /// Set for a finished step one may go back to.
    pub url: Option<&'static str>,
    /// `done`, `current` or `todo`.
    pub state: &'static str,
}

/// The steps bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Entries in order.
    pub items: Vec<StepItem>,
    /// Position of the current step, from 1.
    pub position: usize,
    /// Name of the current step.
    pub label: &'static str,
}

impl Steps {
    /// Takes the order, the finished steps one may go back to, and the current step.
    pub fn new(order: &[Step], done: &[Step], current: Step, t: Words) -> Self {
        let position = order.iter().position(|step| *step == current).unwrap_or(0);
        let items = order
            .iter()
            .enumerate()
            .map(|(at, step)| {
                let state = match at.cmp(&position) {
                    std::cmp::Ordering::Less => "done",
                    std::cmp::Ordering::Equal => "current",
                    std::cmp::Ordering::Greater => "todo",
                };
                let url = (*step != current && done.contains(step)).then(|| step.path());
                StepItem { label: step.label(t), url, state }
            })
            .collect();
        Steps { items, position: position + 1, label: current.label(t) }
    }
}

/// Shown when the wizard is visited over plain HTTP from another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsecureVisit {
    /// Such as `ssh -L 8080:localhost:8080 pi@192.168.1.5`.
    pub ssh_command: String,
    /// Where to go after that command: `http://localhost:8080/setup`.
    pub tunnel_url: String,
}

/// `GET /setup`: asks for the setup code.
///
/// Form: POST `/setup`, fields `csrf`, `token`. A script moves a code in the URL fragment into the field.
#[derive(Debug, Template)]
#[template(path = "setup/claim.html")]
pub struct Claim {
    /// Common parts.
    pub frame: Frame,
    /// File that holds the code, such as `/var/lib/doorward/setup-token`.
    pub token_file: String,
    /// Errors on `token`.
    pub errors: FieldErrors,
    /// Set after many wrong tries from this address.
    pub wait: Option<Wait>,
    /// Set for an insecure visit.
    pub insecure: Option<InsecureVisit>,
}

/// `GET /setup/welcome`: language and the name of this instance, or a backup in place of everything.
///
/// Forms: POST `/setup/welcome`, fields `csrf`, `language`, `instance_name`; POST `/setup/restore`
/// (`multipart/form-data`), fields `csrf`, `backup`, `key`, and `accept_insecure` when `is_insecure` is set.
#[derive(Debug, Template)]
#[template(path = "setup/welcome.html")]
pub struct Welcome {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// The languages.
    pub languages: Vec<Choice>,
    /// Prefilled name.
    pub instance_name: String,
    /// Set for an insecure visit.
    pub is_insecure: bool,
    /// Errors on `instance_name`, `backup`, `key`, `accept_insecure`.
    pub errors: FieldErrors,
}

impl Welcome {
    fn is_restore_wrong(&self) -> bool {
        self.errors.iter().any(|(field, _)| field != "instance_name")
    }
}

/// Answer to a backup that was taken: Doorward starts again and comes back with it.
#[derive(Debug, Template)]
#[template(path = "setup/restoring.html")]
pub struct Restoring {
    /// Common parts.
    pub frame: Frame,
    /// How many records there are in it.
    pub records: u64,
    /// When it was made.
    pub made: When,
}

/// `GET /setup/owner`: the first account.
///
/// Form: POST `/setup/owner`, fields `csrf`, `username`, `display_name`, `email` (optional), `password`.
#[derive(Debug, Template)]
#[template(path = "setup/owner.html")]
pub struct Owner {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
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
    /// Set for an insecure visit that was explicitly continued: shows a warning.
    pub insecure: Option<InsecureVisit>,
}

/// The question "is this your reverse proxy?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyQuestion {
    /// Address the requests come from, such as `172.18.0.3`.
    pub peer: String,
    /// Whether it is trusted already.
    pub is_trusted: bool,
}

/// `GET /setup/address`: where Doorward lives, and live checks.
///
/// Form: POST `/setup/address`, fields `csrf`, `origin`, `cookie_domain`, `browser_time` (milliseconds since 1970,
/// filled by a script, else empty), `accept_insecure` (`yes` if ticked; only shown when `insecure` is set), and
/// `action`: `check` (look again), `save` (continue), `skip` or `trust-proxy` (with `peer`).
#[derive(Debug, Template)]
#[template(path = "setup/address.html")]
pub struct Address {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// Public origin: `https://auth.home.example`.
    pub origin: String,
    /// Parent domain of the protected apps: `home.example`; may be empty.
    pub cookie_domain: String,
    /// Findings; empty before the first check.
    pub checks: Vec<Check>,
    /// Set if the request came through another machine.
    pub proxy: Option<ProxyQuestion>,
    /// Set for an insecure visit: the explicit continue box appears.
    pub insecure: Option<InsecureVisit>,
    /// Set once the new origin is known to work and differs from the one in use: "Continue at the new address".
    pub continue_at: Option<String>,
    /// Address the browser itself should try (`ORIGIN/setup/probe/NONCE`), if a live probe was prepared.
    pub probe_url: Option<String>,
    /// Where the script asks whether that arrived.
    pub seen_url: String,
    /// Nothing arrived by it yet, so the script tries at once.
    pub is_probe_due: bool,
    /// The address that passkeys were made at, if there are any: they are lost with it.
    pub passkeys_at: Option<String>,
    /// Errors on `origin`, `cookie_domain`, `accept_insecure`.
    pub errors: FieldErrors,
}

/// `GET /setup/probe/{nonce}` for somebody who followed the link: the request arrived. Says nothing of this Doorward.
#[derive(Debug, Template)]
#[template(path = "setup/probed.html")]
pub struct Probed {
    /// Common parts.
    pub frame: Frame,
}

/// `GET /setup/echo`: Doorward in the place of the first app shows what it is told. Its script sends a made-up name along.
#[derive(Debug, Template)]
#[template(path = "setup/echo.html")]
pub struct Echo {
    /// Common parts.
    pub frame: Frame,
    /// The host of the app.
    pub host: String,
    /// What came along; empty if no name did.
    pub facts: Vec<Fact>,
    /// Where the script sends the made-up name.
    pub forge_url: String,
    /// That name.
    pub made_up: &'static str,
}

/// `GET /setup/second-factor`: a passkey or an authenticator app for the owner.
///
/// Forms: POST `/setup/passkey`, fields `csrf`, `name`, `credential`; POST `/setup/second-factor`, fields `csrf`, `code`,
/// `action`: `confirm` or, if allowed, `skip`.
#[derive(Debug, Template)]
#[template(path = "setup/second_factor.html")]
pub struct SecondFactor {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// What the browser needs to make a passkey; empty where none can be made.
    pub passkey: String,
    /// Prefilled name of the passkey.
    pub passkey_name: String,
    /// Why no passkey can be made here, if so.
    pub no_passkey: Option<String>,
    /// QR code of the otpauth URI; see [`super::qr::qr_svg`].
    pub qr: Svg,
    /// The secret in base32, in groups of four.
    pub secret_text: String,
    /// The otpauth URI, for a link on the same device.
    pub otpauth_uri: String,
    /// Whether the step may be skipped for now.
    pub may_skip: bool,
    /// Errors on `name`, `code`.
    pub errors: FieldErrors,
}

/// `GET /setup/recovery-codes`: shown once.
///
/// Form: POST `/setup/recovery-codes`, fields `csrf`, `saved` (`yes`), `typed` (the code that was asked for).
#[derive(Debug, Template)]
#[template(path = "setup/recovery_codes.html")]
pub struct RecoveryCodes {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// Username, for the heading of the saved file.
    pub username: String,
    /// The codes.
    pub codes: Vec<String>,
    /// Which code must be typed back, from 1.
    pub ask_for: usize,
    /// Errors on `saved`, `typed`.
    pub errors: FieldErrors,
}

/// Lines for the configuration of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What it is for: "nginx".
    pub title: String,
    /// Where it goes, as a sentence.
    pub place: String,
    /// The lines.
    pub text: String,
}

/// An app that signs people in through OpenID Connect, just added or added before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedApp {
    /// Its name.
    pub name: String,
    /// Whether the secret is among the values: only right after it was made.
    pub has_secret: bool,
    /// What the app's own form asks for.
    pub values: Vec<Fact>,
}

/// `GET /setup/protect`: the first app behind the door: `how=proxy` or `how=oidc`.
///
/// Form: POST `/setup/protect`, fields `csrf`, `app_host`, `who` (one of `who`), `proxy`, and `action`: `save` (make the rule
/// and show the snippet), `test` or `skip`; after saving also `finish`. For an app with OpenID Connect: `how` (`oidc`),
/// `preset`, `app_url`, and `action`: `add-app`, `skip` or `finish`.
#[derive(Debug, Template)]
#[template(path = "setup/protect.html")]
pub struct Protect {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// Whether the app signs people in by itself.
    pub is_oidc: bool,
    /// The apps that there are presets for.
    pub presets: Vec<Choice>,
    /// Address of such an app.
    pub app_url: String,
    /// The one that was added.
    pub added: Option<AddedApp>,
    /// The domain whose apps share a cookie.
    pub domain: Option<String>,
    /// Where the script asks whether something new was seen; empty before the test ran.
    pub seen_url: String,
    /// What was seen when this page was made.
    pub seen: String,
    /// Host of the app: `photos.home.example`.
    pub app_host: String,
    /// An example under the parent domain, for the hint.
    pub example_host: String,
    /// Who may open it.
    pub who: Vec<Choice>,
    /// The proxies that there are lines for.
    pub proxies: Vec<FilterLink>,
    /// The word of the one that is shown.
    pub proxy: String,
    /// Whether the lines lead to Doorward itself, which plays the app for the test.
    pub plays_app: bool,
    /// Where the lines are that lead to the other one of both.
    pub other_app_url: String,
    /// How it loads them, as a sentence.
    pub reload: String,
    /// Lines to paste; empty before the app was saved.
    pub snippets: Vec<Snippet>,
    /// Result of the live test; empty before it ran.
    pub test: Vec<Check>,
    /// Errors on `app_host`, `who`, `preset`, `app_url`.
    pub errors: FieldErrors,
}

impl Protect {
    fn host_hint(&self) -> String {
        self.frame.t.setup_protect_host_hint(&self.example_host)
    }

    fn url_hint(&self) -> String {
        self.frame.t.setup_app_url_hint(format_args!("https://{}", self.example_host))
    }

    /// Whether the app was saved and the snippets are shown.
    pub fn is_saved(&self) -> bool {
        !self.snippets.is_empty()
    }
}

/// Something worth doing next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Verb first: "Add people".
    pub title: String,
    /// One sentence.
    pub text: String,
    /// Where.
    pub url: String,
}

/// A step of the setup that is still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStep {
    /// A stable word for it, such as `second-factor`.
    pub code: &'static str,
    /// What it is, in a word or two.
    pub label: String,
    /// Why it matters and what to do.
    pub sentence: String,
    /// Where it is done.
    pub url: String,
}

/// `GET /setup/done`: the summary.
#[derive(Debug, Template)]
#[template(path = "setup/done.html")]
pub struct Done {
    /// Common parts.
    pub frame: Frame,
    /// Steps bar.
    pub steps: Steps,
    /// What was set up.
    pub facts: Vec<Fact>,
    /// How this machine is doing.
    pub health: Vec<Check>,
    /// What is still open. Form: POST `/setup/done`, field `csrf`, puts the list away.
    pub left: Vec<OpenStep>,
    /// What to do next.
    pub next: Vec<NextStep>,
    /// The address that was chosen, if the wizard was opened at another one: the browser is a stranger there.
    pub moved_to: Option<String>,
}

/// Answer to somebody who submitted the owner form after another visitor had finished setup (409).
#[derive(Debug, Template)]
#[template(path = "setup/taken.html")]
pub struct Taken {
    /// Common parts.
    pub frame: Frame,
    /// When setup was finished, and from which address, as a sentence.
    pub by: String,
}

/// `GET /admin/backup`: a copy of everything to take along.
///
/// Form: POST `/admin/backup`, field `csrf`; answers with the file.
#[derive(Debug, Template)]
#[template(path = "admin/backup.html")]
pub struct Backup {
    /// Common parts.
    pub frame: Frame,
    /// When the last one was taken.
    pub last: Option<When>,
    /// Where the master key lies.
    pub key_file: String,
    /// The fingerprint of the master key.
    pub fingerprint: String,
}
