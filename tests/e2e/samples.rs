//! Every page with sample data: the unit tests of `src/views` and `render_views.rs` look at these.
//!
//! Included by path, so the views are found one module up: `super::*`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::account::{self, Strip, TotpState};
use super::admin::{DraftChange, DraftNote, FilterLink, RuleForm, RuleRow, RuleTest, Rules, Verdict, Words};
use super::doctor;
use super::domains;
use super::errors::{ErrorPage, WrongHost};
use super::oidc;
use super::qr::qr_svg;
use super::setup::{self, AddedApp, InsecureVisit, NextStep, OpenStep, ProxyQuestion, Snippet, Step, Steps};
use super::sign_in::{self, LinkKind};
use super::words::Lang;
use super::{
    Badge, Check, CheckState, Choice, Event, Fact, FieldErrors, Frame, Goal, Hidden, Kind, OneTimeLink,
    Pager, SessionRow, Svg, Template, Viewer, Wait, When, initials,
};

#[path = "samples/account.rs"]
mod account_samples;
#[path = "samples/apps.rs"]
mod app_samples;
#[path = "samples/home.rs"]
mod home;
#[path = "samples/people.rs"]
mod people_samples;

/// One rendered page.
pub(crate) struct Sample {
    /// File name without extension.
    pub(crate) name: &'static str,
    /// The page.
    pub(crate) html: String,
    /// Renders it again.
    again: Box<dyn Fn()>,
}

impl Sample {
    /// Renders it once more; returns how long that took.
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    pub(crate) fn time(&self) -> Duration {
        let begun = Instant::now();
        (self.again)();
        begun.elapsed()
    }
}

/// A name that would break a page that forgot to escape.
pub(crate) const NASTY: &str = "Ana <script>alert(1)</script> \"O'Neil\" &amp;";

const URI: &str = "otpauth://totp/Home:ana?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Home";
const SECRET: &str = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP";

fn sample<T: Template + 'static>(name: &'static str, view: T) -> Sample {
    let html = view.render().unwrap_or_default();
    Sample { name, html, again: Box::new(move || drop(view.render())) }
}

thread_local! {
    static LANGUAGE: Cell<Lang> = const { Cell::new(Lang::En) };
}

/// The texts in the language of the samples.
fn words() -> super::words::Words {
    super::words::Words::of(LANGUAGE.get())
}

/// Renders every page in a language.
pub(crate) fn all_in(lang: Lang) -> Vec<Sample> {
    LANGUAGE.set(lang);
    let pages = all();
    LANGUAGE.set(Lang::En);
    pages
}

fn gate(title: &str) -> Frame {
    let mut frame = Frame::new(title, "Linden Street").with_csrf("c5rf.t0ken");
    frame.t = words();
    frame
}

fn shell(title: &str, current: &'static str) -> Frame {
    let viewer =
        Viewer { display_name: "Ana Lindqvist".into(), initials: initials("Ana Lindqvist"), is_admin: true };
    gate(title).for_viewer(viewer, current)
}

fn at(day: u32, clock: &str) -> When {
    When { iso: format!("2026-11-{day:02}T{clock}:00Z"), text: format!("{day} Nov 2026, {clock} UTC") }
}

fn qr() -> Svg {
    qr_svg(URI).unwrap_or_default()
}

fn app_tokens(made: Option<account::NewAppToken>) -> account::AppTokens {
    let row = |name: &str, hosts: &str, is_expired: bool| account::AppTokenRow {
        handle: format!("h-{is_expired}"),
        name: name.into(),
        hosts: hosts.into(),
        made: at(1, "10:00"),
        expires: is_expired.then(|| at(2, "10:00")),
        is_expired,
        last_used: (!is_expired).then(|| at(3, "10:00")),
        proves_two: !is_expired,
    };
    account::AppTokens {
        frame: shell("App tokens", "app-tokens"),
        username: "ana".into(),
        is_fresh: made.is_none(),
        errors: made
            .as_ref()
            .map_or_else(|| FieldErrors::one("hosts", "“https://x” is no host."), |_| FieldErrors::none()),
        made,
        rows: vec![row(NASTY, "", false), row("NAS", "dav.linden.example, *.files.linden.example", true)],
        proves_two: true,
        name: String::new(),
        hosts: "https://x".into(),
        lives: vec![Choice::new("365", "One year", true), Choice::new("0", "Until I revoke it", false)],
    }
}

fn codes() -> Vec<String> {
    (0..10).map(|n| format!("k7wq{n}-x2m4p-9tr{n}d-hf3vz")).collect()
}

fn steps(current: Step) -> Steps {
    let done: Vec<Step> = Step::ORDER.into_iter().take_while(|step| *step != current).collect();
    Steps::new(&Step::ORDER, &done, current, gate("").t)
}

fn insecure() -> InsecureVisit {
    InsecureVisit {
        ssh_command: "ssh -L 8080:localhost:8080 pi@192.168.1.5".into(),
        tunnel_url: "http://localhost:8080/setup".into(),
    }
}

fn checks() -> Vec<Check> {
    let mut kept = Check::new(
        CheckState::Fix,
        "Host name kept",
        "Your proxy sends “127.0.0.1:8080” instead of the name people typed. Add this line to it.",
    );
    kept.snippet = "proxy_set_header Host $host;".into();
    vec![
        Check::new(CheckState::Pass, "Name", "auth.linden.example leads to this Doorward."),
        Check::new(CheckState::Pass, "HTTPS", "The certificate is trusted and has 74 days left."),
        kept,
        Check::new(
            CheckState::Fix,
            "Clock",
            "This computer’s clock is 95 seconds behind; codes may be refused.",
        ),
        Check::new(CheckState::Skipped, "Client address", "Answer the question about your proxy first."),
    ]
}

fn who() -> Vec<Choice> {
    vec![
        Choice {
            value: "everyone".into(),
            label: "Everyone with an account".into(),
            selected: true,
            ..Choice::default()
        },
        Choice {
            value: "owner".into(),
            label: "Only me".into(),
            hint: "You can open it to others later.".into(),
            selected: false,
        },
    ]
}

fn setup_pages() -> Vec<Sample> {
    let snippet = Snippet {
        title: "nginx".into(),
        place: "In the server block of photos.linden.example, then reload nginx.".into(),
        text: "location /internal/doorward {\n  internal;\n  proxy_pass http://192.168.1.5:8080/api/authz/auth-request;\n  proxy_set_header X-Original-Method $request_method;\n  proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n  proxy_set_header X-Forwarded-For $remote_addr;\n  proxy_set_header Content-Length \"\";\n  proxy_pass_request_body off;\n}\nauth_request /internal/doorward;".into(),
    };
    let protect = |snippets: Vec<Snippet>, test: Vec<Check>| setup::Protect {
        frame: gate("Protect your first app"),
        steps: steps(Step::Protect),
        is_oidc: false,
        presets: vec![Choice::new("immich", "Immich", true), Choice::new("miniflux", "Miniflux", false)],
        app_url: String::new(),
        added: None,
        domain: Some("linden.example".into()),
        seen_url: if test.is_empty() { String::new() } else { "/setup/seen?app".into() },
        seen: "abc".into(),
        app_host: "photos.linden.example".into(),
        example_host: "photos.linden.example".into(),
        who: who(),
        proxies: ["nginx", "Caddy", "Traefik", "HAProxy", "Nginx Proxy Manager", "SWAG", "Apache", "Envoy"]
            .map(|label| FilterLink {
                label: label.into(),
                url: "/setup/protect?proxy=nginx#lines".into(),
                is_current: label == "nginx",
            })
            .to_vec(),
        proxy: "nginx".into(),
        plays_app: false,
        other_app_url: "/setup/protect?proxy=nginx&app=echo#lines".into(),
        reload: "Then run nginx -t, and reload nginx.".into(),
        snippets,
        test,
        errors: FieldErrors::none(),
    };
    vec![
        sample(
            "setup-claim",
            setup::Claim {
                frame: gate("Set up Doorward"),
                token_file: "/var/lib/doorward/setup-token".into(),
                errors: FieldErrors::none(),
                wait: None,
                insecure: None,
            },
        ),
        sample(
            "setup-claim-wrong",
            setup::Claim {
                frame: gate("Set up Doorward"),
                token_file: "/var/lib/doorward/setup-token".into(),
                errors: FieldErrors::one("token", "That is not the setup code. Copy it again from the log."),
                wait: Some(Wait::rate_limited(words(), 20)),
                insecure: Some(insecure()),
            },
        ),
        sample(
            "setup-welcome",
            setup::Welcome {
                frame: gate("Welcome"),
                steps: steps(Step::Welcome),
                languages: languages(),
                instance_name: "Home".into(),
                is_insecure: false,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "setup-restore-refused",
            setup::Welcome {
                frame: gate("Welcome"),
                steps: steps(Step::Welcome),
                languages: languages(),
                instance_name: "Home".into(),
                is_insecure: true,
                errors: restore_errors(),
            },
        ),
        sample(
            "setup-restoring",
            setup::Restoring {
                frame: gate("The backup is being restored"),
                records: 412,
                made: at(12, "14:02"),
            },
        ),
        sample(
            "setup-owner",
            setup::Owner {
                frame: gate("Your account"),
                steps: steps(Step::Owner),
                username: String::new(),
                display_name: String::new(),
                email: String::new(),
                min_length: 15,
                errors: FieldErrors::none(),
                insecure: None,
            },
        ),
        sample("setup-owner-wrong", owner_wrong()),
        sample(
            "setup-address",
            setup::Address {
                frame: gate("Where does Doorward live?"),
                steps: steps(Step::Address),
                origin: "https://auth.linden.example".into(),
                cookie_domain: "linden.example".into(),
                checks: checks(),
                proxy: Some(ProxyQuestion { peer: "172.18.0.3".into(), is_trusted: false }),
                insecure: None,
                continue_at: None,
                probe_url: Some("https://auth.linden.example/setup/probe/abc".into()),
                seen_url: "/setup/seen?probe=abc".into(),
                is_probe_due: false,
                passkeys_at: Some("https://auth.old.example".into()),
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "setup-echo",
            setup::Echo {
                frame: gate("The test page"),
                host: "photos.linden.example".into(),
                facts: vec![
                    Fact::new("User name", "ana"),
                    Fact::new("Name", "Ana Lindqvist"),
                    Fact::new("Groups", "family,admins"),
                    Fact::new("E-mail", "ana@linden.example"),
                ],
                forge_url: "/setup/echo?forged".into(),
                made_up: "doorward-made-up",
            },
        ),
        sample("setup-probed", setup::Probed { frame: gate("It arrived") }),
        sample(
            "setup-address-insecure",
            setup::Address {
                frame: gate("Where does Doorward live?"),
                steps: Steps::new(&Step::ORDER_INSECURE, &[Step::Welcome], Step::Address, gate("").t),
                origin: String::new(),
                cookie_domain: String::new(),
                checks: Vec::new(),
                proxy: Some(ProxyQuestion { peer: "172.18.0.3".into(), is_trusted: true }),
                insecure: Some(insecure()),
                continue_at: Some("https://auth.linden.example/setup/address".into()),
                probe_url: None,
                seen_url: String::new(),
                is_probe_due: false,
                passkeys_at: None,
                errors: FieldErrors::one(
                    "accept_insecure",
                    "Tick the box to continue without HTTPS, or use the tunnel.",
                ),
            },
        ),
        sample(
            "setup-second-factor",
            setup::SecondFactor {
                frame: gate("Add a second factor"),
                steps: steps(Step::SecondFactor),
                passkey: PASSKEY.into(),
                passkey_name: "Firefox on Linux".into(),
                no_passkey: None,
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                may_skip: true,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "setup-second-factor-no-passkey",
            setup::SecondFactor {
                frame: gate("Add a second factor"),
                steps: steps(Step::SecondFactor),
                passkey: String::new(),
                passkey_name: String::new(),
                no_passkey: Some(
                    "Passkeys need HTTPS: browsers refuse them over an unencrypted connection.".into(),
                ),
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                may_skip: false,
                errors: FieldErrors::one("code", "That code was not accepted."),
            },
        ),
        sample(
            "admin-backup",
            setup::Backup {
                frame: shell("Take a backup", "system"),
                last: Some(at(12, "14:02")),
                key_file: "/var/lib/doorward/master.key".into(),
                fingerprint: "0a1b2c3d".into(),
            },
        ),
        sample(
            "setup-recovery-codes",
            setup::RecoveryCodes {
                frame: gate("Keep your recovery codes"),
                steps: steps(Step::SecondFactor),
                username: "ana".into(),
                codes: codes(),
                ask_for: 4,
                errors: FieldErrors::none(),
            },
        ),
        sample("setup-protect", protect(Vec::new(), Vec::new())),
        sample("setup-protect-oidc", setup::Protect { is_oidc: true, ..protect(Vec::new(), Vec::new()) }),
        sample(
            "setup-protect-added",
            setup::Protect {
                is_oidc: true,
                added: Some(AddedApp {
                    name: "Miniflux".into(),
                    has_secret: true,
                    values: vec![
                        Fact::new("Client ID", "miniflux-4f2a"),
                        Fact::new("Client Secret", "o3Zk8wq0fS0cVbX1t2rPpQ"),
                        Fact::new("miniflux.conf", "OAUTH2_PROVIDER=oidc\nOAUTH2_CLIENT_ID=miniflux-4f2a"),
                    ],
                }),
                ..protect(Vec::new(), Vec::new())
            },
        ),
        sample(
            "setup-protect-saved",
            protect(
                vec![snippet],
                vec![
                    Check::new(
                        CheckState::Pass,
                        "Asks to sign in",
                        "A visitor without a session was sent to Doorward.",
                    ),
                    Check::new(
                        CheckState::Fix,
                        "Faked headers",
                        "The app received a Remote-User header that the browser had made up. Paste all lines, not only some.",
                    ),
                ],
            ),
        ),
        sample(
            "setup-done",
            setup::Done {
                frame: gate("All set"),
                steps: steps(Step::Done),
                facts: vec![
                    Fact::new("Address", "https://auth.linden.example"),
                    Fact::new("Owner", "ana"),
                    Fact::new("Second factor", "Authenticator app"),
                    Fact::new("First app", "photos.linden.example"),
                ],
                health: vec![
                    Check::new(CheckState::Pass, "Store", "It takes writes, and the disk has room."),
                    Check::new(
                        CheckState::Pass,
                        "Master key",
                        "It lies in /var/lib/doorward/master.key. A backup opens only with this key, so keep a copy of it somewhere else.",
                    ),
                ],
                left: vec![OpenStep {
                    code: "backup",
                    label: "First backup".into(),
                    sentence: "There is no copy of your accounts anywhere else yet. Download one.".into(),
                    url: "/admin/backup".into(),
                }],
                next: vec![
                    NextStep {
                        title: "Add people".into(),
                        text: "Give your family or team their own sign-in.".into(),
                        url: "/admin/people/new".into(),
                    },
                    NextStep {
                        title: "Protect another app".into(),
                        text: "Rules say who may open what.".into(),
                        url: "/admin/rules".into(),
                    },
                ],
                moved_to: Some("https://auth.linden.example".into()),
            },
        ),
        sample(
            "setup-taken",
            setup::Taken {
                frame: gate("Setup is already finished"),
                by: "Someone else finished setup at 12 Nov 2026, 14:02 UTC from 192.168.1.20.".into(),
            },
        ),
    ]
}

fn languages() -> Vec<Choice> {
    vec![Choice::new("en", "English", true), Choice::new("de", "Deutsch", false)]
}

fn restore_errors() -> FieldErrors {
    let mut errors =
        FieldErrors::one("backup", "The backup is cut off: its end is missing. Take another copy of it.");
    errors.push("key", "This is no key file. One holds a single line of 64 digits and letters from a to f.");
    errors.push("accept_insecure", "Open this page through a tunnel or over HTTPS, or tick the box.");
    errors
}

fn owner_wrong() -> setup::Owner {
    let mut errors = FieldErrors::one("username", "“Ana!” contains a character that usernames cannot have.");
    errors.push("password", "This password is on lists of stolen passwords. Choose another one.");
    setup::Owner {
        frame: gate("Your account"),
        steps: Steps::new(&Step::ORDER_INSECURE, &[Step::Welcome, Step::Address], Step::Owner, gate("").t),
        username: "Ana!".into(),
        display_name: NASTY.into(),
        email: "ana@linden.example".into(),
        min_length: 15,
        errors,
        insecure: Some(insecure()),
    }
}

fn sign_in() -> sign_in::SignIn {
    sign_in::SignIn {
        frame: gate("Sign in"),
        hidden: vec![Hidden { name: "rd", value: "https://photos.linden.example/?a=\"b\"".into() }],
        continue_to: Some(Goal { name: NASTY.into(), host: "photos.linden.example".into() }),
        username: String::new(),
        remember: false,
        remember_days: 30,
        error: None,
        wait: None,
        passkey: Some(PASSKEY.into()),
        is_registration_open: true,
        is_insecure: false,
    }
}

/// What a browser gets to prove a passkey.
const PASSKEY: &str = r#"{"allowCredentials":[],"challenge":"AAECAwQFBgcICQoLDA0ODw","rpId":"auth.linden.example","timeout":300000,"userVerification":"required"}"#;

fn second_passkey(passkey: Option<String>, asks_code: bool) -> sign_in::SecondFactor {
    sign_in::SecondFactor {
        frame: gate("Use your passkey"),
        hidden: Vec::new(),
        continue_to: None,
        recovery_url: "/signin/recovery".into(),
        error: None,
        wait: None,
        passkey_unavailable: passkey.is_none().then_some("Passkeys need HTTPS."),
        passkey,
        asks_code,
        hint_clock: false,
        digits: 6,
    }
}

fn sign_in_pages() -> Vec<Sample> {
    vec![
        sample("signin", sign_in()),
        sample(
            "signin-wrong",
            sign_in::SignIn {
                username: NASTY.into(),
                error: Some(words().signin_wrong().into()),
                is_insecure: true,
                is_registration_open: false,
                continue_to: None,
                passkey: None,
                ..sign_in()
            },
        ),
        sample(
            "signin-suspended",
            sign_in::SignIn {
                username: "ana".into(),
                wait: Some(Wait::suspended(words(), &at(12, "14:02"), 43_200)),
                passkey: None,
                ..sign_in()
            },
        ),
        sample(
            "signin-second-factor",
            sign_in::SecondFactor {
                frame: gate("One more step"),
                hidden: vec![Hidden { name: "flow", value: "abc".into() }],
                continue_to: Some(Goal { name: NASTY.into(), host: "photos.linden.example".into() }),
                recovery_url: "/signin/recovery?flow=abc".into(),
                error: Some(words().signin_wrong_code().into()),
                wait: None,
                passkey: None,
                passkey_unavailable: None,
                asks_code: true,
                hint_clock: true,
                digits: 6,
            },
        ),
        sample("signin-passkey-second", second_passkey(Some(PASSKEY.into()), false)),
        sample("signin-passkey-or-code", second_passkey(Some(PASSKEY.into()), true)),
        sample("signin-passkey-unavailable", second_passkey(None, false)),
        sample(
            "signin-recovery",
            sign_in::Recovery {
                frame: gate("Use a recovery code"),
                hidden: Vec::new(),
                continue_to: None,
                second_factor_url: "/signin/second-factor?flow=abc".into(),
                has_app: true,
                error: None,
                wait: Some(Wait::rate_limited(words(), 300)),
            },
        ),
        sample(
            "signin-enrol",
            sign_in::Enrol {
                frame: gate("Add a second factor"),
                continue_to: Some(Goal { name: NASTY.into(), host: "photos.linden.example".into() }),
                hidden: Vec::new(),
                passkey: Some("{}".to_owned()),
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                errors: FieldErrors::one(
                    "code",
                    "That code was not accepted. Wait for the next one and try again.",
                ),
                wait: None,
            },
        ),
        sample(
            "signin-recovery-codes",
            sign_in::NewRecoveryCodes {
                frame: gate("Keep your recovery codes"),
                action_url: "/signin/recovery-codes".into(),
                hidden: Vec::new(),
                username: "ana".into(),
                codes: codes(),
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "signout",
            sign_in::SignOut { frame: gate("Sign out?"), hidden: Vec::new(), display_name: NASTY.into() },
        ),
        sample(
            "signed-out",
            sign_in::SignedOut {
                frame: gate("Signed out"),
                continue_to: Some(("https://photos.linden.example/".into(), "photos.linden.example".into())),
                told: vec!["Immich".into(), NASTY.into()],
            },
        ),
        sample(
            "step-up",
            sign_in::StepUp {
                frame: gate("Is it you?"),
                continue_to: None,
                hidden: vec![Hidden { name: "next", value: "/account/security".into() }],
                username: "ana".into(),
                purpose: "remove your authenticator app".into(),
                asks_password: true,
                passkey: None,
                asks_code: true,
                has_app: true,
                digits: 8,
                error: None,
                wait: None,
                cancel_url: "/account/security".into(),
            },
        ),
        sample(
            "step-up-passkey",
            sign_in::StepUp {
                frame: gate("Is it you?"),
                continue_to: None,
                hidden: Vec::new(),
                username: "ana".into(),
                purpose: String::new(),
                asks_password: true,
                passkey: Some(PASSKEY.into()),
                asks_code: true,
                has_app: false,
                digits: 6,
                error: None,
                wait: None,
                cancel_url: "/account/security".into(),
            },
        ),
        sample("link-invite", link(LinkKind::Invite, "Welcome to Linden Street")),
        sample("link-reset", link(LinkKind::Reset, "New password")),
        sample("link-gone", sign_in::LinkGone { frame: gate("This link is used up") }),
        sample(
            "register",
            sign_in::Register {
                frame: gate("Create an account"),
                hidden: Vec::new(),
                username: "ana".into(),
                display_name: String::new(),
                email: String::new(),
                min_length: 15,
                errors: FieldErrors::one("password", "A password needs at least 15 characters."),
                wait: None,
            },
        ),
        sample(
            "message",
            sign_in::Message {
                frame: gate("Password set"),
                text: "Now sign in with it.".into(),
                button: "Sign in".into(),
                url: "/signin".into(),
            },
        ),
    ]
}

fn link(kind: LinkKind, title: &str) -> sign_in::Link {
    sign_in::Link {
        frame: gate(title),
        kind,
        action_url: "/link/abc".into(),
        username: "ben".into(),
        min_length: 15,
        errors: FieldErrors::none(),
    }
}

fn sessions() -> Vec<SessionRow> {
    let row = |handle: &str, device: &str, place: &str, is_current| SessionRow {
        handle: handle.into(),
        device: device.into(),
        place: place.into(),
        since: at(3, "08:15"),
        last_seen: at(12, "13:59"),
        is_current,
    };
    vec![
        row("h1", "Firefox on Linux", "192.168.1.x", true),
        row("h2", "Safari on iPhone", "203.0.113.x", false),
        row("h3", NASTY, "", false),
    ]
}

fn events() -> Vec<Event> {
    let event = |kind, text: &str, detail: &str, clock| Event {
        when: at(12, clock),
        kind,
        text: text.into(),
        detail: detail.into(),
    };
    vec![
        event(Kind::Ok, "Signed in with password and code", "Firefox on Linux · 192.168.1.x", "13:59"),
        event(Kind::Danger, "A wrong password was tried", "Unknown browser · 203.0.113.x", "11:40"),
        event(Kind::Warn, "Recovery codes were made anew", "Firefox on Linux", "09:02"),
        event(Kind::Info, NASTY, "", "08:00"),
    ]
}

fn strip(kind: Kind, text: &str) -> Strip {
    let todo = account::Todo { label: "Add a passkey".into(), url: "/account/passkeys" };
    Strip { kind, text: text.into(), todo: (kind == Kind::Warn).then_some(todo) }
}

fn account_pages() -> Vec<Sample> {
    let security = |totp: Option<TotpState>, kind, text: &str| account::Security {
        frame: shell("Security", "security"),
        username: "ana".into(),
        strip: strip(kind, text),
        password_changed: Some(at(1, "10:00")),
        min_length: 15,
        totp,
        cannot_remove_totp: None,
        recovery_left: 2,
        recovery_total: 10,
        passkeys: Vec::new(),
        passkeys_unavailable: None,
        sessions: 3,
        apps: 1,
        app_tokens: 0,
        errors: FieldErrors::none(),
    };
    let passkey = |id: &str, name: &str, last_used, is_synced| account::PasskeyRow {
        id: id.into(),
        name: name.into(),
        added: at(2, "09:00"),
        last_used,
        is_synced,
        is_verified: is_synced,
    };
    let new_passkey = |unavailable| account::NewPasskey {
        frame: shell("Add a passkey", "security"),
        options: PASSKEY.into(),
        name: "Firefox on Linux".into(),
        unavailable,
        errors: FieldErrors::none(),
    };
    let totp = TotpState { added: at(1, "10:04"), last_used: Some(at(12, "13:59")) };
    vec![
        sample(
            "account-passkeys",
            account::Security {
                passkeys: vec![
                    passkey("AAAAAAAAAAAAAAAAAAAAAA", "Phone", Some(at(12, "13:59")), true),
                    passkey("AQEBAQEBAQEBAQEBAQEBAQ", NASTY, None, false),
                ],
                ..security(None, Kind::Ok, "Your account is well protected.")
            },
        ),
        sample("account-passkey-new", new_passkey(None)),
        sample("account-passkey-unavailable", new_passkey(Some("Passkeys need HTTPS."))),
        sample(
            "account",
            account::Profile {
                frame: shell("Profile", "profile").with_notice(Kind::Ok, "Saved."),
                username: "ana".into(),
                display_name: NASTY.into(),
                email: "ana@linden.example".into(),
                role: "Owner".into(),
                groups: vec!["family".into(), "admins".into()],
                since: at(1, "10:00"),
                cannot_delete: None,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "account-delete",
            account::Delete {
                frame: shell("Delete account", "profile"),
                username: "ana".into(),
                passkeys: 2,
                app_tokens: 1,
                errors: FieldErrors::one("confirm_username", "That is not your username."),
            },
        ),
        sample("account-security", security(Some(totp), Kind::Ok, "Good: a password and a second factor.")),
        sample(
            "account-security-plain",
            security(None, Kind::Warn, "Could be better: add an authenticator app."),
        ),
        sample(
            "account-totp",
            account::Totp {
                frame: shell("Authenticator app", "security"),
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                replaces: true,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "account-recovery-codes",
            account::RecoveryCodes {
                frame: shell("New recovery codes", "security"),
                username: "ana".into(),
                codes: codes(),
            },
        ),
        sample("account-app-tokens", app_tokens(None)),
        sample(
            "account-app-tokens-made",
            app_tokens(Some(account::NewAppToken {
                name: NASTY.into(),
                token: "dwa_4kq7x2m4p9tr3dhf3vz5kq7x2m4p6trdhf3vzkq7x2m4p4trdh2f".into(),
            })),
        ),
        sample(
            "account-activity",
            account::Activity {
                frame: shell("Activity", "activity"),
                events: events(),
                pager: Pager { next: Some("/account/activity?before=262".into()), ..Pager::by_time() },
            },
        ),
    ]
}

fn groups() -> Vec<Choice> {
    vec![
        Choice::new("admins", "admins", false),
        Choice::new("family", "family", true),
        Choice::new("guests", "guests", false),
    ]
}

fn roles() -> Vec<Choice> {
    vec![Choice::new("member", "Member", true), Choice::new("admin", "Admin", false)]
}

fn rules(test: RuleTest, decided: bool, is_draft: bool) -> Rules {
    let rule = |position: usize, sentence: Vec<Words>, badge: Badge| RuleRow {
        url: format!("/admin/rules/r{position}"),
        position,
        sentence,
        note: if position == 3 { "Dashboards and the like".into() } else { String::new() },
        badge,
        is_new: is_draft && position == 2,
        is_first: position == 1,
        is_last: position == 3,
        decided: decided && position == 2,
    };
    Rules {
        frame: shell("Access rules", "rules"),
        rules: vec![
            rule(
                1,
                vec![
                    Words::plain("Anyone may open"),
                    Words::name("photos.linden.example"),
                    Words::plain("at paths like"),
                    Words::name("^/share/"),
                ],
                Badge::new(Kind::Warn, "Open to all"),
            ),
            rule(
                2,
                vec![
                    Words::plain("People in"),
                    Words::name("family"),
                    Words::plain("may open"),
                    Words::name("photos.linden.example"),
                    Words::plain("with a password"),
                ],
                Badge::new(Kind::Ok, "Password"),
            ),
            rule(
                3,
                vec![
                    Words::plain("People in"),
                    Words::name("admins"),
                    Words::plain("may open"),
                    Words::name("*.linden.example"),
                    Words::plain("with two factors"),
                ],
                Badge::new(Kind::Ok, "Two factors"),
            ),
        ],
        is_fixed: false,
        draft: is_draft.then(|| DraftNote {
            changes: vec![
                DraftChange {
                    badge: Badge::new(Kind::Danger, "Gone"),
                    sentence: vec![Words::plain("Nobody may open"), Words::name(NASTY), Words::plain(".")],
                    detail: String::new(),
                },
                DraftChange {
                    badge: Badge::new(Kind::Info, "Moved"),
                    sentence: vec![
                        Words::plain("Everyone may open"),
                        Words::name("media.home.example"),
                        Words::plain("with"),
                        Words::name("one factor"),
                    ],
                    detail: "from place 4 to 1".into(),
                },
            ],
            more: 2,
            version: 4,
            is_current: true,
            is_shown: true,
        }),
        warnings: Vec::new(),
        otherwise: "Everything else is refused.".into(),
        otherwise_decided: false,
        test,
        errors: FieldErrors::none(),
    }
}

fn rule_form() -> RuleForm {
    let policy = |value: &str, label: &str, hint: &str, selected| Choice {
        value: value.into(),
        label: label.into(),
        hint: hint.into(),
        selected,
    };
    RuleForm {
        frame: shell("Edit rule 2", "rules"),
        action_url: "/admin/rules/r2".into(),
        domains: "photos.linden.example\n*.music.linden.example".into(),
        paths: String::new(),
        methods: ["GET", "POST", "PUT", "DELETE"].into_iter().map(|m| Choice::new(m, m, false)).collect(),
        who: vec![
            policy("anyone", "Anyone", "Even without an account.", false),
            policy("signed-in", "Everyone with an account", "", false),
            policy("some", "Only these groups and people", "", true),
        ],
        groups: groups(),
        users: "ben".into(),
        domain_regex: String::new(),
        resources: String::new(),
        query: "mode==raw and !token".into(),
        networks: "192.168.1.0/24".into(),
        clients: String::new(),
        subjects: "user:ben group:family".into(),
        programs: vec![Choice::new("basic", "A password in every request (Basic)", false)],
        note: String::new(),
        policies: vec![
            policy("one_factor", "A password", "", true),
            policy("two_factor", "Two factors", "A password and a code.", false),
            policy("bypass", "Nothing", "The app is open; it must protect itself.", false),
            policy("deny", "Refuse", "", false),
        ],
        errors: FieldErrors::one("domains", "“photos linden” is not a host name."),
    }
}

fn admin_pages() -> Vec<Sample> {
    let asked = RuleTest {
        user: "ben".into(),
        address: "https://photos.linden.example/albums".into(),
        from: "192.168.1.5".into(),
        methods: ["GET", "POST"].into_iter().map(|m| Choice::new(m, m, false)).collect(),
        verdicts: vec![Verdict {
            kind: Kind::Ok,
            title: String::new(),
            text: "Ben Okafor gets in, by rule 2.".into(),
            reasons: vec![
                "Rule 1 is for paths that match ^/share/, and /albums does not.".into(),
                "Rule 2 fits, and Ben Okafor has proven enough.".into(),
            ],
        }],
    };
    let mut both = asked.clone();
    both.verdicts.push(Verdict {
        kind: Kind::Danger,
        title: "By the rules in force".into(),
        text: "Ben Okafor is kept out, because no rule matches.".into(),
        reasons: vec!["Rules 1 to 3 are for other hosts than photos.linden.example.".into()],
    });
    both.verdicts.iter_mut().take(1).for_each(|verdict| verdict.title = "By the draft".into());
    let mut live = rules(RuleTest::default(), false, true);
    live.is_fixed = true;
    live.warnings = vec!["Rule 3 never decides: rule 2 comes first and always matches.".into()];
    live.draft = live.draft.map(|draft| DraftNote { is_current: false, is_shown: false, ..draft });
    vec![
        sample("admin-rules", rules(asked, true, false)),
        sample("admin-rules-draft", rules(both, true, true)),
        sample("admin-rules-in-force", live),
        sample("admin-rules-empty", Rules { rules: Vec::new(), ..rules(RuleTest::default(), false, false) }),
        sample("admin-rule", rule_form()),
    ]
}

fn chosen(options: &[(&str, &str)], selected: usize) -> Vec<Choice> {
    let choice = |(index, (value, label)): (usize, &(&str, &str))| Choice {
        value: (*value).into(),
        label: (*label).into(),
        selected: index == selected,
        ..Choice::default()
    };
    options.iter().enumerate().map(choice).collect()
}

fn admin_doctor_pages() -> Vec<Sample> {
    let page = |checks, errors| doctor::Doctor {
        frame: shell("Doctor", "doctor"),
        host: NASTY.into(),
        example_host: "photos.linden.example".into(),
        proxies: chosen(&[("auto", "Whatever it says it is"), ("nginx", "nginx"), ("caddy", "Caddy")], 0),
        checks,
        errors,
    };
    let mut fix = Check::new(
        CheckState::Fix,
        "The app sees no claims of the client",
        "The client’s own Remote-User reaches the app: whoever sends it is taken for somebody else. Delete it.",
    );
    fix.snippet = "proxy_set_header Remote-User $doorward_user;".into();
    let pass =
        Check::new(CheckState::Pass, "The clocks agree", "The proxy has the same time as this machine.");
    let skipped = Check::new(CheckState::Skipped, "WebSockets get through", "There was no answer.");
    vec![
        sample(
            "admin-doctor",
            page(Vec::new(), FieldErrors::one("host", "“x” is no host that is protected.")),
        ),
        sample("admin-doctor-found", page(vec![pass, fix, skipped], FieldErrors::none())),
    ]
}

fn admin_domain_pages() -> Vec<Sample> {
    let row = |domain: &str, sentence: &str| domains::DomainRow {
        url: format!("/admin/domains/{domain}"),
        domain: domain.into(),
        sentence: sentence.into(),
    };
    let list = |rows, errors| domains::Domains {
        frame: shell("Domains", "domains"),
        rows,
        is_fixed: false,
        portal_host: "auth.linden.example".into(),
        domain: NASTY.into(),
        portal: String::new(),
        cookies: chosen(&[("domain", "One for all of its apps"), ("host", "One for each app")], 0),
        errors,
    };
    let rows = vec![
        row("linden.example", "One cookie for all of its apps."),
        row("other.example", "One cookie for all of its apps, set by https://auth.other.example."),
        row("third.example", "Each app has a cookie of its own."),
    ];
    let fixed = domains::Domains { is_fixed: true, ..list(rows.clone(), FieldErrors::none()) };
    vec![
        sample("admin-domains", list(rows, FieldErrors::one("domain", "“co.uk” is a public suffix."))),
        sample("admin-domains-fixed", fixed),
        sample("admin-domains-empty", list(Vec::new(), FieldErrors::none())),
        sample(
            "admin-domain",
            domains::Domain {
                frame: shell("other.example", "domains"),
                url: "/admin/domains/other.example".into(),
                is_fixed: false,
                portal_host: "auth.linden.example".into(),
                portal: "auth.other.example".into(),
                cookies: chosen(&[("domain", "One for all of its apps"), ("host", "One for each app")], 0),
                errors: FieldErrors::one("portal", "A portal looks like auth.other.example."),
            },
        ),
    ]
}

fn consent() -> oidc::Consent {
    oidc::Consent {
        frame: gate("Sign in to Immich?"),
        client_name: "Immich".into(),
        initials: "Im".into(),
        leads_to: "photos.linden.example".into(),
        registered_itself: false,
        display_name: "Ana Lindqvist".into(),
        username: "ana".into(),
        items: vec![
            "Your name and profile".into(),
            oidc::Item { text: "Your e-mail address".into(), value: NASTY.into() },
            oidc::Item { text: "The groups you are in".into(), value: "family · photos".into() },
            "Stay signed in while you are away".into(),
        ],
        is_asked_once: true,
        resources: Vec::new(),
        action: "/oauth2/consent".into(),
        request: "client_id=immich&state=\"a\"".into(),
        question: "openid profile email".into(),
        switch_url: "/signin?rd=%2Foauth2%2Fauthorize&again=1".into(),
    }
}

fn app_pages() -> Vec<Sample> {
    let confirm = oidc::DeviceConfirm {
        frame: gate("Let Jellyfin in?"),
        client_name: "Jellyfin".into(),
        initials: "Je".into(),
        user_code: "WDJB-MJHT".into(),
        place: "192.168.1.x".into(),
        display_name: NASTY.into(),
        items: vec!["Your name and profile".into()],
    };
    vec![
        sample("app-consent", consent()),
        sample(
            "app-consent-stranger",
            oidc::Consent {
                frame: gate(&format!("Sign in to {NASTY}?")),
                client_name: NASTY.into(),
                initials: "A".into(),
                leads_to: "an app on this device (com.example.app)".into(),
                registered_itself: true,
                items: Vec::new(),
                resources: vec!["https://api.linden.example/v1".into()],
                ..consent()
            },
        ),
        sample(
            "app-form-post",
            oidc::FormPost {
                frame: gate("Back to the app"),
                action: "https://photos.linden.example/auth/login".into(),
                fields: vec![Hidden { name: "code", value: NASTY.into() }],
            },
        ),
        sample(
            "app-signout",
            oidc::Logout {
                frame: gate("Sign out"),
                hidden: vec![Hidden { name: "confirmed", value: "yes".into() }],
                client_name: Some(NASTY.into()),
                display_name: "Ana Lindqvist".into(),
            },
        ),
        sample(
            "app-device",
            oidc::DeviceCode { frame: gate("Sign in a device"), user_code: String::new(), error: None },
        ),
        sample(
            "app-device-wrong",
            oidc::DeviceCode {
                frame: gate("Sign in a device"),
                user_code: "WDJB-MJHT".into(),
                error: Some("This code is not known, or its time is over.".into()),
            },
        ),
        sample("app-device-confirm", confirm),
        sample(
            "app-device-done",
            oidc::DeviceDone { frame: gate("Done"), client_name: "Jellyfin".into(), is_allowed: true },
        ),
    ]
}

fn error_pages() -> Vec<Sample> {
    let page = |status| ErrorPage::for_status(gate(""), status, "r_01HX9ZK3V7");
    vec![
        sample("error-403", page(403)),
        sample("error-404", page(404)),
        sample("error-429", ErrorPage { wait: Some(Wait::rate_limited(words(), 240)), ..page(429) }),
        sample("error-500", page(500)),
        sample(
            "error-421",
            WrongHost {
                frame: gate("Wrong address"),
                opened: "door.old.example".into(),
                lives_at: "https://auth.linden.example".into(),
                request_id: "r_01HX9ZK3V7".into(),
            },
        ),
    ]
}

/// Renders every page, some of them in several states.
pub(crate) fn all() -> Vec<Sample> {
    let pages = [
        setup_pages(),
        sign_in_pages(),
        account_pages(),
        account_samples::all(),
        admin_pages(),
        people_samples::all(),
        app_samples::all(),
        admin_doctor_pages(),
        admin_domain_pages(),
        home::pages(),
        app_pages(),
        error_pages(),
    ];
    pages.into_iter().flatten().collect()
}
