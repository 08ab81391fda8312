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

/// Sample data that people would write in their own language.
fn either(english: &'static str, german: &'static str) -> &'static str {
    match LANGUAGE.get() {
        Lang::En => english,
        Lang::De => german,
    }
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
    When { iso: format!("2026-11-{day:02}T{clock}:00Z") }
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
        frame: shell(words().account_title_app_tokens(), "app-tokens"),
        username: "ana".into(),
        is_fresh: made.is_none(),
        errors: made.as_ref().map_or_else(
            || FieldErrors::one("hosts", words().access_token_host("https://x")),
            |_| FieldErrors::none(),
        ),
        made,
        rows: vec![row(NASTY, "", false), row("NAS", "dav.linden.example, *.files.linden.example", true)],
        proves_two: true,
        name: String::new(),
        hosts: "https://x".into(),
        lives: vec![
            Choice::new("365", either("One year", "Ein Jahr"), true),
            Choice::new("0", either("Until I revoke it", "Bis ich es widerrufe"), false),
        ],
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
        words().setup_check_host(),
        words().setup_check_host_lost("127.0.0.1:8080"),
    );
    kept.snippet = "proxy_set_header Host $host;".into();
    vec![
        Check::new(
            CheckState::Pass,
            words().setup_check_name(),
            words().setup_check_name_found("192.168.1.5", "auth.linden.example"),
        ),
        Check::new(CheckState::Pass, words().setup_check_https(), words().setup_check_certificate_trusted()),
        kept,
        Check::new(CheckState::Fix, words().setup_check_clock(), words().setup_check_clock_fix(95_u64)),
        Check::new(
            CheckState::Skipped,
            words().setup_check_visitors(),
            either(
                "Answer the question about your proxy first.",
                "Beantworten Sie zuerst die Frage nach Ihrem Proxy.",
            ),
        ),
    ]
}

fn who() -> Vec<Choice> {
    vec![
        Choice {
            value: "everyone".into(),
            label: words().setup_protect_who_everyone().into(),
            selected: true,
            ..Choice::default()
        },
        Choice {
            value: "owner".into(),
            label: words().setup_protect_who_me().into(),
            hint: either("You can open it to others later.", "Sie können sie später für andere öffnen.")
                .into(),
            selected: false,
        },
    ]
}

fn setup_pages() -> Vec<Sample> {
    let snippet = Snippet {
        title: "nginx".into(),
        place: words().access_proxy_save("/etc/nginx/sites-available/photos.linden.example.conf"),
        text: "location /internal/doorward {\n  internal;\n  proxy_pass http://192.168.1.5:8080/api/authz/auth-request;\n  proxy_set_header X-Original-Method $request_method;\n  proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n  proxy_set_header X-Forwarded-For $remote_addr;\n  proxy_set_header Content-Length \"\";\n  proxy_pass_request_body off;\n}\nauth_request /internal/doorward;".into(),
    };
    let protect = |snippets: Vec<Snippet>, test: Vec<Check>| setup::Protect {
        frame: gate(words().setup_protect_title()),
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
        reload: words().access_proxy_nginx().into(),
        snippets,
        test,
        errors: FieldErrors::none(),
    };
    vec![
        sample(
            "setup-claim",
            setup::Claim {
                frame: gate(words().setup_claim_title()),
                token_file: "/var/lib/doorward/setup-token".into(),
                errors: FieldErrors::none(),
                wait: None,
                insecure: None,
            },
        ),
        sample(
            "setup-claim-wrong",
            setup::Claim {
                frame: gate(words().setup_claim_title()),
                token_file: "/var/lib/doorward/setup-token".into(),
                errors: FieldErrors::one("token", words().setup_claim_wrong()),
                wait: Some(Wait::rate_limited(words(), 20)),
                insecure: Some(insecure()),
            },
        ),
        sample(
            "setup-welcome",
            setup::Welcome {
                frame: gate(words().setup_welcome_title()),
                steps: steps(Step::Welcome),
                languages: languages(),
                instance_name: either("Home", "Zuhause").into(),
                is_insecure: false,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "setup-restore-refused",
            setup::Welcome {
                frame: gate(words().setup_welcome_title()),
                steps: steps(Step::Welcome),
                languages: languages(),
                instance_name: either("Home", "Zuhause").into(),
                is_insecure: true,
                errors: restore_errors(),
            },
        ),
        sample(
            "setup-restoring",
            setup::Restoring {
                frame: gate(words().setup_restoring_title()),
                records: 412,
                made: at(12, "14:02"),
            },
        ),
        sample(
            "setup-owner",
            setup::Owner {
                frame: gate(words().setup_owner_title()),
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
                frame: gate(words().setup_address_title()),
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
                frame: gate(words().setup_echo_title()),
                host: "photos.linden.example".into(),
                facts: vec![
                    Fact::new(words().setup_echo_user(), "ana"),
                    Fact::new(words().setup_echo_name(), "Ana Lindqvist"),
                    Fact::new(words().setup_echo_groups(), "family,admins"),
                    Fact::new(words().setup_echo_email(), "ana@linden.example"),
                ],
                forge_url: "/setup/echo?forged".into(),
                made_up: "doorward-made-up",
            },
        ),
        sample("setup-probed", setup::Probed { frame: gate(words().setup_probed_title()) }),
        sample(
            "setup-address-insecure",
            setup::Address {
                frame: gate(words().setup_address_title()),
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
                errors: FieldErrors::one("accept_insecure", words().setup_insecure_refused()),
            },
        ),
        sample(
            "setup-second-factor",
            setup::SecondFactor {
                frame: gate(words().setup_factor_title()),
                steps: steps(Step::SecondFactor),
                passkey: PASSKEY.into(),
                passkey_name: words().ui_device_on("Firefox", "Linux"),
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
                frame: gate(words().setup_factor_title()),
                steps: steps(Step::SecondFactor),
                passkey: String::new(),
                passkey_name: String::new(),
                no_passkey: Some(words().signin_passkeys_need_https().into()),
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                may_skip: false,
                errors: FieldErrors::one("code", words().setup_factor_code_wrong()),
            },
        ),
        sample(
            "admin-backup",
            setup::Backup {
                frame: shell(words().setup_backup_title(), "system"),
                last: Some(at(12, "14:02")),
                key_file: "/var/lib/doorward/master.key".into(),
                fingerprint: "0a1b2c3d".into(),
            },
        ),
        sample(
            "setup-recovery-codes",
            setup::RecoveryCodes {
                frame: gate(words().setup_codes_title()),
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
                        Fact::new(words().apps_value_client_id(), "miniflux-4f2a"),
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
                        words().setup_test_strangers(),
                        words().setup_test_strangers_pass(),
                    ),
                    Check::new(
                        CheckState::Fix,
                        words().setup_test_forged(),
                        words().setup_test_forged_fix(200),
                    ),
                ],
            ),
        ),
        sample(
            "setup-done",
            setup::Done {
                frame: gate(words().setup_done_title()),
                steps: steps(Step::Done),
                facts: vec![
                    Fact::new(words().setup_fact_address(), "https://auth.linden.example"),
                    Fact::new(words().people_role_owner(), "ana"),
                    Fact::new(words().setup_fact_factor(), words().setup_fact_authenticator()),
                    Fact::new(words().setup_fact_app(), "photos.linden.example"),
                ],
                health: vec![
                    Check::new(
                        CheckState::Pass,
                        words().setup_health_store(),
                        words().setup_health_store_pass(),
                    ),
                    Check::new(
                        CheckState::Pass,
                        words().setup_health_key(),
                        words().setup_health_key_text("/var/lib/doorward/master.key"),
                    ),
                ],
                left: vec![OpenStep {
                    code: "backup",
                    label: words().setup_open_backup().into(),
                    sentence: words().setup_open_backup_text().into(),
                    url: "/admin/backup".into(),
                }],
                next: vec![
                    NextStep {
                        title: words().setup_next_people().into(),
                        text: words().setup_next_people_text().into(),
                        url: "/admin/people/new".into(),
                    },
                    NextStep {
                        title: words().setup_next_rules().into(),
                        text: words().setup_next_rules_text().into(),
                        url: "/admin/rules".into(),
                    },
                ],
                moved_to: Some("https://auth.linden.example".into()),
            },
        ),
        sample(
            "setup-taken",
            setup::Taken {
                frame: gate(words().setup_taken_title()),
                by: words().setup_taken_by("192.168.1.20", at(12, "14:02").in_words(&words())),
            },
        ),
    ]
}

fn languages() -> Vec<Choice> {
    vec![Choice::new("en", "English", true), Choice::new("de", "Deutsch", false)]
}

fn restore_errors() -> FieldErrors {
    let mut errors = FieldErrors::one("backup", words().setup_restore_cut_off());
    errors.push("key", words().setup_restore_bad_key());
    errors.push("accept_insecure", words().setup_restore_insecure_refused());
    errors
}

fn owner_wrong() -> setup::Owner {
    let mut errors = FieldErrors::one("username", words().accounts_username_letters());
    errors.push("password", words().accounts_password_common());
    setup::Owner {
        frame: gate(words().setup_owner_title()),
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
        frame: gate(words().signin_sign_in()),
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
        frame: gate(words().signin_use_passkey()),
        hidden: Vec::new(),
        continue_to: None,
        recovery_url: "/signin/recovery".into(),
        error: None,
        wait: None,
        passkey_unavailable: passkey.is_none().then_some(words().signin_passkeys_need_https()),
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
                frame: gate(words().signin_one_more_step()),
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
                frame: gate(words().signin_recovery()),
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
                frame: gate(words().setup_factor_title()),
                continue_to: Some(Goal { name: NASTY.into(), host: "photos.linden.example".into() }),
                hidden: Vec::new(),
                passkey: Some("{}".to_owned()),
                qr: qr(),
                secret_text: SECRET.into(),
                otpauth_uri: URI.into(),
                errors: FieldErrors::one("code", words().signin_wrong_code()),
                wait: None,
            },
        ),
        sample(
            "signin-recovery-codes",
            sign_in::NewRecoveryCodes {
                frame: gate(words().setup_codes_title()),
                action_url: "/signin/recovery-codes".into(),
                hidden: Vec::new(),
                username: "ana".into(),
                codes: codes(),
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "signout",
            sign_in::SignOut {
                frame: gate(words().signin_sign_out()),
                hidden: Vec::new(),
                display_name: NASTY.into(),
            },
        ),
        sample(
            "signed-out",
            sign_in::SignedOut {
                frame: gate(words().signin_signed_out_title()),
                continue_to: Some(("https://photos.linden.example/".into(), "photos.linden.example".into())),
                told: vec!["Immich".into(), NASTY.into()],
            },
        ),
        sample(
            "step-up",
            sign_in::StepUp {
                frame: gate(words().signin_confirm_title()),
                continue_to: None,
                hidden: vec![Hidden { name: "next", value: "/account/security".into() }],
                username: "ana".into(),
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
                frame: gate(words().signin_confirm_title()),
                continue_to: None,
                hidden: Vec::new(),
                username: "ana".into(),
                passkey: Some(PASSKEY.into()),
                asks_code: true,
                has_app: false,
                digits: 6,
                error: None,
                wait: None,
                cancel_url: "/account/security".into(),
            },
        ),
        sample("link-invite", link(LinkKind::Invite, words().join_title_invite())),
        sample("link-reset", link(LinkKind::Reset, words().join_title_reset())),
        sample("link-gone", sign_in::LinkGone { frame: gate(words().join_title_gone()) }),
        sample(
            "register",
            sign_in::Register {
                frame: gate(words().join_title_register()),
                hidden: Vec::new(),
                username: "ana".into(),
                display_name: String::new(),
                email: String::new(),
                min_length: 15,
                errors: FieldErrors::one("password", words().accounts_password_short(15)),
                wait: None,
            },
        ),
        sample(
            "message",
            sign_in::Message {
                frame: gate(words().join_title_set()),
                text: words().join_password_is_set().into(),
                button: words().signin_sign_in().into(),
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
        row("h1", &words().ui_device_on("Firefox", "Linux"), "192.168.1.x", true),
        row("h2", &words().ui_device_on("Safari", "iPhone"), "203.0.113.x", false),
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
        event(
            Kind::Ok,
            words().activity_sign_in_succeeded(),
            &format!("{} · 192.168.1.x", words().ui_device_on("Firefox", "Linux")),
            "13:59",
        ),
        event(
            Kind::Danger,
            words().activity_sign_in_failed(),
            &format!("{} · 203.0.113.x", words().ui_device_unknown()),
            "11:40",
        ),
        event(Kind::Warn, words().activity_codes_made(), &words().ui_device_on("Firefox", "Linux"), "09:02"),
        event(Kind::Info, NASTY, "", "08:00"),
    ]
}

fn strip(kind: Kind, text: &str) -> Strip {
    let todo = account::Todo { label: words().account_title_passkey().into(), url: "/account/passkeys" };
    Strip { kind, text: text.into(), todo: (kind == Kind::Warn).then_some(todo) }
}

fn account_pages() -> Vec<Sample> {
    let security = |totp: Option<TotpState>, kind, text: &str| account::Security {
        frame: shell(words().account_title_security(), "security"),
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
        frame: shell(words().account_title_passkey(), "security"),
        options: PASSKEY.into(),
        name: words().ui_device_on("Firefox", "Linux"),
        unavailable,
        errors: FieldErrors::none(),
    };
    let totp = TotpState { added: at(1, "10:04"), last_used: Some(at(12, "13:59")) };
    vec![
        sample(
            "account-passkeys",
            account::Security {
                passkeys: vec![
                    passkey(
                        "AAAAAAAAAAAAAAAAAAAAAA",
                        either("Phone", "Telefon"),
                        Some(at(12, "13:59")),
                        true,
                    ),
                    passkey("AQEBAQEBAQEBAQEBAQEBAQ", NASTY, None, false),
                ],
                ..security(None, Kind::Ok, words().account_strip_good())
            },
        ),
        sample("account-passkey-new", new_passkey(None)),
        sample("account-passkey-unavailable", new_passkey(Some(words().signin_passkeys_need_https()))),
        sample(
            "account",
            account::Profile {
                frame: shell(words().account_title_profile(), "profile")
                    .with_notice(Kind::Ok, words().account_done_saved()),
                username: "ana".into(),
                display_name: NASTY.into(),
                email: "ana@linden.example".into(),
                role: words().people_role_owner().into(),
                groups: vec!["family".into(), "admins".into()],
                since: at(1, "10:00"),
                cannot_delete: None,
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "account-delete",
            account::Delete {
                frame: shell(words().account_title_delete(), "profile"),
                username: "ana".into(),
                passkeys: 2,
                app_tokens: 1,
                errors: FieldErrors::one("confirm_username", words().account_wrong_username()),
            },
        ),
        sample("account-security", security(Some(totp), Kind::Ok, words().account_strip_good())),
        sample("account-security-plain", security(None, Kind::Warn, words().account_strip_no_factor())),
        sample(
            "account-totp",
            account::Totp {
                frame: shell(words().setup_fact_authenticator(), "security"),
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
                frame: shell(words().account_title_codes(), "security"),
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
                frame: shell(words().account_title_activity(), "activity"),
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
    vec![
        Choice::new("member", words().people_role_member(), true),
        Choice::new("admin", words().people_role_admin(), false),
    ]
}

fn rules(test: RuleTest, decided: bool, is_draft: bool) -> Rules {
    let rule = |position: usize, sentence: Vec<Words>, badge: Badge| RuleRow {
        url: format!("/admin/rules/r{position}"),
        position,
        sentence,
        note: if position == 3 {
            either("Dashboards and the like", "Dashboards und Ähnliches").into()
        } else {
            String::new()
        },
        badge,
        is_new: is_draft && position == 2,
        is_first: position == 1,
        is_last: position == 3,
        decided: decided && position == 2,
    };
    Rules {
        frame: shell(words().rules_title(), "rules"),
        rules: vec![
            rule(
                1,
                vec![
                    Words::plain(either("Anyone may open", "Alle dürfen")),
                    Words::name("photos.linden.example"),
                    Words::plain(either("at paths like", "unter Pfaden wie")),
                    Words::name("^/share/"),
                ],
                Badge::new(Kind::Warn, words().rules_badge_bypass()),
            ),
            rule(
                2,
                vec![
                    Words::plain(either("People in", "Leute in")),
                    Words::name("family"),
                    Words::plain(either("may open", "dürfen öffnen:")),
                    Words::name("photos.linden.example"),
                    Words::plain(either("with a password", "mit einem Passwort")),
                ],
                Badge::new(Kind::Ok, words().rules_badge_one()),
            ),
            rule(
                3,
                vec![
                    Words::plain(either("People in", "Leute in")),
                    Words::name("admins"),
                    Words::plain(either("may open", "dürfen öffnen:")),
                    Words::name("*.linden.example"),
                    Words::plain(either("with two factors", "mit zwei Faktoren")),
                ],
                Badge::new(Kind::Ok, words().rules_badge_two()),
            ),
        ],
        is_fixed: false,
        draft: is_draft.then(|| DraftNote {
            changes: vec![
                DraftChange {
                    badge: Badge::new(Kind::Danger, words().rules_change_gone()),
                    sentence: vec![
                        Words::plain(either("Nobody may open", "Niemand darf öffnen:")),
                        Words::name(NASTY),
                        Words::plain("."),
                    ],
                    detail: String::new(),
                },
                DraftChange {
                    badge: Badge::new(Kind::Info, words().rules_change_moved()),
                    sentence: vec![
                        Words::plain(either("Everyone may open", "Alle dürfen öffnen:")),
                        Words::name("media.home.example"),
                        Words::plain(either("with", "mit")),
                        Words::name(either("one factor", "einem Faktor")),
                    ],
                    detail: words().rules_from_to(4, 1),
                },
            ],
            more: 2,
            version: 4,
            is_current: true,
            is_shown: true,
        }),
        warnings: Vec::new(),
        otherwise: words().rules_otherwise().into(),
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
        frame: shell(words().rules_form_change(), "rules"),
        action_url: "/admin/rules/r2".into(),
        domains: "photos.linden.example\n*.music.linden.example".into(),
        paths: String::new(),
        methods: ["GET", "POST", "PUT", "DELETE"].into_iter().map(|m| Choice::new(m, m, false)).collect(),
        who: vec![
            policy(
                "anyone",
                words().rules_who_everyone(),
                either("Even without an account.", "Auch ohne Konto."),
                false,
            ),
            policy("signed-in", words().setup_protect_who_everyone(), "", false),
            policy("some", words().rules_who_some(), "", true),
        ],
        groups: groups(),
        users: "ben".into(),
        domain_regex: String::new(),
        resources: String::new(),
        query: "mode==raw and !token".into(),
        networks: "192.168.1.0/24".into(),
        clients: String::new(),
        subjects: "user:ben group:family".into(),
        programs: vec![Choice::new("basic", words().rules_programs_basic(), false)],
        note: String::new(),
        policies: vec![
            policy("one_factor", words().rules_need_one(), "", true),
            policy("two_factor", words().rules_badge_two(), words().rules_need_one_hint(), false),
            policy("bypass", words().rules_need_none(), words().rules_need_none_hint(), false),
            policy("deny", words().rules_need_deny(), "", false),
        ],
        errors: FieldErrors::one("domains", words().access_host_wrong("photos linden")),
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
            text: words().rules_by_rule(2, words().rules_gets_in("Ben Okafor")),
            reasons: vec![
                words().rules_reason(1, words().rules_why_path("/albums", "^/share/")),
                words().rules_reason(2, words().rules_fits_enough("Ben Okafor")),
            ],
        }],
    };
    let mut both = asked.clone();
    both.verdicts.push(Verdict {
        kind: Kind::Danger,
        title: words().rules_by_live().into(),
        text: words().rules_by_none(words().rules_kept_out("Ben Okafor")),
        reasons: vec![words().rules_other_hosts(1, "photos.linden.example", 3)],
    });
    both.verdicts.iter_mut().take(1).for_each(|verdict| verdict.title = words().rules_by_draft().into());
    let mut live = rules(RuleTest::default(), false, true);
    live.is_fixed = true;
    live.warnings = vec![words().rules_warn_shadowed(2, 3)];
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
        frame: shell(words().doctor_title(), "doctor"),
        host: NASTY.into(),
        example_host: "photos.linden.example".into(),
        proxies: chosen(
            &[("auto", words().doctor_proxy_itself()), ("nginx", "nginx"), ("caddy", "Caddy")],
            0,
        ),
        checks,
        errors,
    };
    let mut fix = Check::new(
        CheckState::Fix,
        words().doctor_t_identity(),
        words().doctor_identity_leaks("Remote-User"),
    );
    fix.snippet = "proxy_set_header Remote-User $doorward_user;".into();
    let pass = Check::new(CheckState::Pass, words().doctor_t_clock(), words().doctor_clock_right());
    let skipped = Check::new(CheckState::Skipped, words().doctor_t_web_socket(), words().doctor_no_answer());
    vec![
        sample("admin-doctor", page(Vec::new(), FieldErrors::one("host", words().doctor_foreign_host("x")))),
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
        frame: shell(words().domains_title(), "domains"),
        rows,
        is_fixed: false,
        portal_host: "auth.linden.example".into(),
        domain: NASTY.into(),
        portal: String::new(),
        cookies: chosen(
            &[("domain", words().domains_cookie_domain()), ("host", words().domains_cookie_host())],
            0,
        ),
        errors,
    };
    let rows = vec![
        row("linden.example", words().domains_row_here()),
        row("other.example", &words().domains_row_portal("https://auth.other.example")),
        row("third.example", words().domains_row_app()),
    ];
    let fixed = domains::Domains { is_fixed: true, ..list(rows.clone(), FieldErrors::none()) };
    vec![
        sample(
            "admin-domains",
            list(rows, FieldErrors::one("domain", words().access_domain_suffix("co.uk"))),
        ),
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
                cookies: chosen(
                    &[("domain", words().domains_cookie_domain()), ("host", words().domains_cookie_host())],
                    0,
                ),
                errors: FieldErrors::one("portal", words().domains_why_portal_host("other.example", "x")),
            },
        ),
    ]
}

fn consent() -> oidc::Consent {
    oidc::Consent {
        frame: gate(&words().oidc_allow_title("Immich")),
        client_name: "Immich".into(),
        initials: "Im".into(),
        leads_to: "photos.linden.example".into(),
        registered_itself: false,
        display_name: "Ana Lindqvist".into(),
        username: "ana".into(),
        items: vec![
            words().oidc_profile().into(),
            oidc::Item { text: words().oidc_email().into(), value: NASTY.into() },
            oidc::Item { text: words().oidc_groups().into(), value: "family · photos".into() },
            words().oidc_offline().into(),
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
        frame: gate(&words().oidc_device_title_of("Jellyfin")),
        client_name: "Jellyfin".into(),
        initials: "Je".into(),
        user_code: "WDJB-MJHT".into(),
        place: "192.168.1.x".into(),
        display_name: NASTY.into(),
        registered_itself: true,
        items: vec![words().oidc_profile().into()],
        resources: vec!["https://api.linden.example/v1".into()],
    };
    vec![
        sample("app-consent", consent()),
        sample(
            "app-consent-stranger",
            oidc::Consent {
                frame: gate(&words().oidc_allow_title(NASTY)),
                client_name: NASTY.into(),
                initials: "A".into(),
                leads_to: words().oidc_leads_to_device("com.example.app"),
                registered_itself: true,
                items: Vec::new(),
                resources: vec!["https://api.linden.example/v1".into()],
                ..consent()
            },
        ),
        sample(
            "app-form-post",
            oidc::FormPost {
                frame: gate(words().oidc_form_post_title()),
                action: "https://photos.linden.example/auth/login".into(),
                fields: vec![Hidden { name: "code", value: NASTY.into() }],
            },
        ),
        sample(
            "app-signout",
            oidc::Logout {
                frame: gate(words().signin_sign_out()),
                hidden: vec![Hidden { name: "confirmed", value: "yes".into() }],
                client_name: Some(NASTY.into()),
                display_name: "Ana Lindqvist".into(),
            },
        ),
        sample(
            "app-device",
            oidc::DeviceCode {
                frame: gate(words().oidc_device_title()),
                user_code: String::new(),
                error: None,
            },
        ),
        sample(
            "app-device-wrong",
            oidc::DeviceCode {
                frame: gate(words().oidc_device_title()),
                user_code: "WDJB-MJHT".into(),
                error: Some(words().oidc_device_unknown().into()),
            },
        ),
        sample("app-device-confirm", confirm),
        sample(
            "app-device-done",
            oidc::DeviceDone {
                frame: gate(words().oidc_device_done()),
                client_name: "Jellyfin".into(),
                is_allowed: true,
            },
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
                frame: gate(words().errors_wrong_host()),
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
