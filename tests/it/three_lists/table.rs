//! Every action of administrators, with its three faces.

use super::world::{self, Vars, World};

/// The fields of a form.
pub(super) type Fields = &'static [(&'static str, &'static str)];
/// Words after `doorward`.
pub(super) type Line = &'static [&'static str];

/// How it is done on a page.
pub(super) enum Page {
    /// A form: its route, and its fields.
    Form(&'static str, Fields),
    /// A form that changes the draft of the rules, and the draft put in force after it.
    ByDraft(&'static str, Fields),
    /// A download.
    Download(&'static str),
    /// Not at all, and why.
    None(&'static str),
}

/// How it is done in the JSON API.
pub(super) enum Api {
    /// Method, route and body.
    Call(&'static str, &'static str, &'static str),
    /// Not at all, and why.
    None(&'static str),
}

/// How it is done on the command line, where everything is possible.
pub(super) enum Command {
    /// The words after `doorward`.
    Run(Line),
    /// The words, and a line on standard input.
    Typed(Line, &'static str),
}

/// What is refused.
pub(super) enum Wrong {
    /// Wrong input: the fields, body and words in place of the right ones, the code of the API, and a part of what every
    /// face says.
    Input { fields: Fields, body: &'static str, words: Line, code: &'static str, sentence: &'static str },
    /// The same, where the command reads it: the line in place of the right one.
    Typed {
        fields: Fields,
        body: &'static str,
        line: &'static str,
        code: &'static str,
        sentence: &'static str,
    },
    /// Wrong input of something that is fetched: what follows its address, and the words.
    Asked { query: &'static str, words: Line, code: &'static str, sentence: &'static str },
    /// The faces ask for different things (the API takes a list as a whole), so each has wrong input of its own: fields
    /// and sentence; body, code and sentence; words, line and sentence.
    Each {
        make: fn(&mut World) -> Vars,
        page: (Fields, &'static str),
        api: (&'static str, &'static str, &'static str),
        command: (Line, &'static str, &'static str),
    },
    /// The right input in a state that does not allow it.
    State { make: fn(&mut World) -> Vars, code: &'static str, sentence: &'static str },
    /// What it is about is not there.
    Gone(fn(&mut World) -> Vars),
    /// Nothing can be wrong here; the text says why, to readers.
    Nothing(#[expect(dead_code, reason = "for readers")] &'static str),
}

impl Wrong {
    /// Makes what is needed in place of what the action needs.
    pub(super) fn make(&self) -> Option<fn(&mut World) -> Vars> {
        match self {
            Wrong::State { make, .. } | Wrong::Gone(make) | Wrong::Each { make, .. } => Some(*make),
            _ => None,
        }
    }

    /// The fields in place of the right ones.
    pub(super) fn fields(&self) -> Option<Fields> {
        match self {
            Wrong::Input { fields, .. } | Wrong::Typed { fields, .. } => Some(fields),
            Wrong::Each { page, .. } => Some(page.0),
            _ => None,
        }
    }

    /// The body in place of the right one.
    pub(super) fn body(&self) -> Option<&'static str> {
        match self {
            Wrong::Input { body, .. } | Wrong::Typed { body, .. } => Some(body),
            Wrong::Each { api, .. } => Some(api.0),
            _ => None,
        }
    }

    /// What follows the address.
    pub(super) fn query(&self) -> &'static str {
        if let Wrong::Asked { query, .. } = self { query } else { "" }
    }

    /// The words in place of the right ones.
    pub(super) fn words(&self) -> Option<Line> {
        match self {
            Wrong::Input { words, .. } | Wrong::Asked { words, .. } => Some(words),
            Wrong::Each { command, .. } => Some(command.0),
            _ => None,
        }
    }

    /// The line in place of the right one.
    pub(super) fn line(&self) -> Option<&'static str> {
        match self {
            Wrong::Typed { line, .. } => Some(line),
            Wrong::Each { command, .. } => Some(command.1),
            _ => None,
        }
    }

    /// The code that the API answers, and a part of what a way says; `None` if nothing can be wrong.
    pub(super) fn refusal(&self, way: &str) -> Option<(&'static str, &'static str)> {
        match self {
            Wrong::Input { code, sentence, .. }
            | Wrong::Typed { code, sentence, .. }
            | Wrong::Asked { code, sentence, .. }
            | Wrong::State { code, sentence, .. } => Some((code, sentence)),
            Wrong::Each { page, api, command, .. } => Some(match way {
                "page" => ("", page.1),
                "api" => (api.1, api.2),
                _ => ("", command.2),
            }),
            Wrong::Gone(_) => Some(("not_found", "")),
            Wrong::Nothing(_) => None,
        }
    }
}

/// Something that an administrator does.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) page: Page,
    pub(super) api: Api,
    pub(super) command: Command,
    /// The kinds of event that each face leaves.
    pub(super) kinds: &'static [&'static str],
    /// Makes what it needs.
    pub(super) make: fn(&mut World) -> Vars,
    pub(super) wrong: Wrong,
}

/// Routes of administration that are no GET and change nothing.
pub(super) const LOOKING_ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/admin/rules/check", "asks what the rules would say"),
    ("POST", "/api/v1/admin/doctor", "looks at the hosts"),
    ("POST", "/admin/doctor", "looks at the hosts"),
    (
        "POST",
        "/admin/apps/{id}/test",
        "rehearses a sign-in, which needs a browser, and gives nobody anything",
    ),
];

/// Commands that change nothing that administrators change elsewhere.
pub(super) const LOOKING_COMMANDS: &[(&str, &str)] = &[
    ("serve", "is the server"),
    ("setup-token", "is the first start"),
    ("setup", "is the first start"),
    ("health", "looks"),
    ("doctor", "looks"),
    ("proxy-snippet", "prints"),
    ("config check", "looks"),
    ("config show", "looks"),
    ("config list", "looks"),
    ("generate man", "prints"),
    ("generate completions", "prints"),
    ("import authelia", "is a move from elsewhere, into a server that nobody uses yet"),
    ("import pocket-id", "is a move from elsewhere"),
    ("import tinyauth", "is a move from elsewhere"),
    ("store import", "replaces everything, with the server stopped"),
    ("store check", "looks, with the server stopped"),
    ("store compact", "changes no data, with the server stopped"),
    ("store reset-clock", "mends a clock, with the server stopped"),
    ("user list", "looks"),
    ("user links", "looks"),
    ("user sessions list", "looks"),
    ("user consents list", "looks"),
    ("user app-token list", "looks"),
    ("user passkeys list", "looks"),
    ("group list", "looks"),
    ("group members", "looks"),
    ("rules list", "looks"),
    ("rules check", "looks"),
    ("rules export", "looks"),
    ("rules draft show", "looks"),
    ("domain list", "looks"),
    ("app presets", "looks"),
    ("app preset", "looks"),
    ("app list", "looks"),
    ("app show", "looks"),
    ("app scope list", "looks"),
    ("app claims", "looks"),
    ("audit list", "looks"),
    ("keys status", "looks"),
    ("keys list", "looks"),
];

/// Events that no administrator brings about, or only as the person that everybody is here.
pub(super) const KINDS_OF_OTHERS: &[(&str, &str)] = &[
    ("sign_in.", "people sign in"),
    ("step_up.", "people prove who they are"),
    ("refresh.reused", "is an alarm"),
    ("password.changed", "people change their own"),
    ("totp.", "people set up their own"),
    ("passkey.added", "people add their own"),
    ("passkey.changed", "people name their own"),
    ("passkey.suspicious", "is an alarm"),
    ("recovery_codes.made", "people make their own"),
    ("recovery_code.used", "people use their own"),
    ("account.exported", "people take along their own data"),
    ("link.used", "people use it"),
    ("link.refused", "is an alarm"),
    ("app.signed_in", "people sign in"),
    ("app.refused", "an app asks"),
    ("app.not_proven", "an app asks"),
    ("app.token_reused", "is an alarm"),
    ("app.registered", "an app asks"),
    ("program.", "a program asks"),
    ("access.denied", "people ask"),
    ("client.logout_failed", "an app is told"),
    ("admin.refused", "is an alarm"),
    ("request.forged", "is an alarm"),
    ("setup.", "is the first start"),
    ("store.imported", "replaces everything, with the server stopped"),
    ("store.damaged", "is an alarm"),
    ("server.", "is the machine"),
    ("clock.stepped", "is the machine"),
    ("audit.events_dropped", "is the machine"),
];

const CONSOLE: &str =
    "Nobody chooses or sees another person's password (PWD-11); the machine itself is the way back in.";

/// What is done of people and groups.
pub(super) const PEOPLE: &[Action] = &[
    // -- people
    Action {
        name: "add a person",
        page: Page::Form("/admin/people/new", &[("username", "{new}"), ("role", "member")]),
        api: Api::Call("POST", "/api/v1/admin/users", r#"{"username":"{new}"}"#),
        command: Command::Run(&["user", "add", "{new}"]),
        kinds: &["link.created", "user.created"],
        make: world::new_name,
        wrong: Wrong::Input {
            fields: &[("username", "a b"), ("role", "member")],
            body: r#"{"username":"a b"}"#,
            words: &["user", "add", "a b"],
            code: "invalid_value",
            sentence: "A username holds only the letters a-z, digits, dot, underscore and hyphen.",
        },
    },
    Action {
        name: "change name and address",
        page: Page::Form(
            "/admin/people/{id}/profile",
            &[("display_name", "Other"), ("email", "{username}@example.org"), ("role", "member")],
        ),
        api: Api::Call(
            "PATCH",
            "/api/v1/admin/users/{id}",
            r#"{"display_name":"Other","email":"{username}@example.org"}"#,
        ),
        command: Command::Run(&[
            "user",
            "change",
            "{username}",
            "--name",
            "Other",
            "--email",
            "{username}@example.org",
        ]),
        kinds: &["user.changed"],
        make: world::person,
        wrong: Wrong::Input {
            fields: &[("display_name", "Other"), ("email", "nowhere"), ("role", "member")],
            body: r#"{"email":"nowhere"}"#,
            words: &["user", "change", "{username}", "--email", "nowhere"],
            code: "invalid_value",
            sentence: "An e-mail address looks like name@example.org.",
        },
    },
    Action {
        name: "give another role",
        page: Page::Form(
            "/admin/people/{id}/profile",
            &[("display_name", "{username}"), ("email", ""), ("role", "admin")],
        ),
        api: Api::Call("PATCH", "/api/v1/admin/users/{id}", r#"{"role":"admin"}"#),
        command: Command::Run(&["user", "change", "{username}", "--role", "admin"]),
        kinds: &["user.role_changed"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "set groups",
        page: Page::Form(
            "/admin/people/{id}/profile",
            &[("display_name", "{username}"), ("email", ""), ("role", "member"), ("group", "family")],
        ),
        api: Api::Call("PATCH", "/api/v1/admin/users/{id}", r#"{"groups":["family"]}"#),
        command: Command::Run(&["user", "change", "{username}", "--group", "family"]),
        kinds: &["user.groups_changed"],
        make: world::person,
        wrong: Wrong::Input {
            fields: &[
                ("display_name", "{username}"),
                ("email", ""),
                ("role", "member"),
                ("new_group", "a,b"),
            ],
            body: r#"{"groups":["a,b"]}"#,
            words: &["user", "change", "{username}", "--group", "a,b"],
            code: "invalid_value",
            sentence: "A group name has 1 to 64",
        },
    },
    Action {
        name: "set a claim",
        page: Page::Form("/admin/people/{id}/claims", &[("claim", "given_name"), ("value", "Ada")]),
        api: Api::Call("PATCH", "/api/v1/admin/users/{id}/profile", r#"{"given_name":"Ada"}"#),
        command: Command::Run(&["user", "profile", "{username}", "--claim", "given_name=Ada"]),
        kinds: &["user.changed"],
        make: world::person,
        wrong: Wrong::Input {
            fields: &[("claim", "birthdate"), ("value", "tomorrow")],
            body: r#"{"birthdate":"tomorrow"}"#,
            words: &["user", "profile", "{username}", "--claim", "birthdate=tomorrow"],
            code: "invalid_value",
            sentence: "A birthday looks like 1985-10-26",
        },
    },
    Action {
        name: "disable",
        page: Page::Form("/admin/people/{id}/disable", &[("reason", "moved out")]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/disable", r#"{"reason":"moved out"}"#),
        command: Command::Run(&["user", "disable", "{username}", "--reason", "moved out"]),
        kinds: &["user.disabled"],
        make: world::person,
        wrong: Wrong::Input {
            fields: &[("reason", "{long}")],
            body: r#"{"reason":"{long}"}"#,
            words: &["user", "disable", "{username}", "--reason", "{long}"],
            code: "invalid_value",
            sentence: "A reason is one line of at most 200 characters.",
        },
    },
    Action {
        name: "enable",
        page: Page::Form("/admin/people/{id}/enable", &[]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/enable", ""),
        command: Command::Run(&["user", "enable", "{username}"]),
        kinds: &["user.enabled"],
        make: world::disabled,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "reset the second factor",
        page: Page::Form("/admin/people/{id}/reset-second-factor", &[]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/reset-second-factor", ""),
        command: Command::Run(&["user", "reset-2fa", "{username}"]),
        kinds: &["second_factor.reset"],
        make: world::with_totp,
        wrong: Wrong::State {
            make: world::person,
            code: "no_second_factor",
            sentence: "This person has no second factor to reset.",
        },
    },
    Action {
        name: "remove a passkey",
        page: Page::Form("/admin/people/{id}/passkey", &[("handle", "{passkey}")]),
        api: Api::Call("DELETE", "/api/v1/admin/users/{id}/passkeys/{passkey}", ""),
        command: Command::Run(&["user", "passkeys", "remove", "{username}", "{passkey}"]),
        kinds: &["passkey.removed"],
        make: world::with_passkey,
        wrong: Wrong::Gone(world::with_no_handle),
    },
    Action {
        name: "make a link for a password",
        page: Page::Form("/admin/people/{id}/link", &[]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/link", ""),
        command: Command::Run(&["user", "link", "{username}"]),
        kinds: &["link.created", "link.withdrawn"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "set a password",
        page: Page::None(CONSOLE),
        api: Api::None(CONSOLE),
        command: Command::Typed(&["user", "passwd", "{username}"], "plum-anchor-violet-seventy"),
        kinds: &["password.reset"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "sign out everywhere",
        page: Page::Form("/admin/people/{id}/sign-out", &[]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/sign-out", ""),
        command: Command::Run(&["user", "sign-out", "{username}"]),
        kinds: &["session.all_ended"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "end a session",
        page: Page::Form("/admin/people/{id}/session", &[("handle", "{handle}")]),
        api: Api::Call("DELETE", "/api/v1/admin/users/{id}/sessions/{handle}", ""),
        command: Command::Run(&["user", "sessions", "end", "{username}", "{handle}"]),
        kinds: &["session.ended"],
        make: world::with_session,
        wrong: Wrong::Gone(world::with_no_handle),
    },
    Action {
        name: "make an app token",
        page: Page::None(
            "Whoever holds the token acts as the person, so people make their own on their account page.",
        ),
        api: Api::None(
            "Whoever holds the token acts as the person, so people make their own by the API of their account.",
        ),
        command: Command::Run(&["user", "app-token", "add", "{username}", "NAS"]),
        kinds: &["app_token.made"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "revoke an app token",
        page: Page::Form("/admin/people/{id}/app-token", &[("handle", "{token}")]),
        api: Api::Call("DELETE", "/api/v1/admin/users/{id}/app-tokens/{token}", ""),
        command: Command::Run(&["user", "app-token", "remove", "{username}", "{token}"]),
        kinds: &["app_token.revoked"],
        make: world::with_app_token,
        wrong: Wrong::Gone(world::with_no_handle),
    },
    Action {
        name: "take back what an app was allowed",
        page: Page::Form("/admin/people/{id}/consent", &[("handle", "{client}")]),
        api: Api::Call("DELETE", "/api/v1/admin/users/{id}/consents/{client}", ""),
        command: Command::Run(&["user", "consents", "revoke", "{username}", "{client}"]),
        kinds: &["app.consent_revoked"],
        make: world::with_consent,
        wrong: Wrong::Gone(world::with_no_handle),
    },
    Action {
        name: "lift a pause",
        page: Page::Form("/admin/people/{id}/lift", &[]),
        api: Api::Call("POST", "/api/v1/admin/users/{id}/lift", ""),
        command: Command::Run(&["user", "unlock", "{username}"]),
        kinds: &["suspension.lifted"],
        make: world::paused,
        wrong: Wrong::State {
            make: world::person,
            code: "not_found",
            sentence: "Sign-in of this person is not paused.",
        },
    },
    Action {
        name: "delete a person",
        page: Page::Form("/admin/people/{id}/delete", &[]),
        api: Api::Call("DELETE", "/api/v1/admin/users/{id}", ""),
        command: Command::Run(&["user", "remove", "{username}"]),
        kinds: &["user.deleted"],
        make: world::person,
        wrong: Wrong::Gone(world::nobody),
    },
    Action {
        name: "invite",
        page: Page::Form("/admin/people/invite", &[("note", "Grandma"), ("role", "member"), ("days", "7")]),
        api: Api::Call("POST", "/api/v1/admin/invites", r#"{"note":"Grandma"}"#),
        command: Command::Run(&["user", "invite", "--note", "Grandma"]),
        kinds: &["link.created"],
        make: world::nothing,
        wrong: Wrong::Input {
            fields: &[("role", "member"), ("days", "99")],
            body: r#"{"days":99}"#,
            words: &["user", "invite", "--days", "99"],
            code: "invalid_value",
            sentence: "An invitation works for 1 to 30 days.",
        },
    },
    Action {
        name: "withdraw a link",
        page: Page::Form("/admin/people/invitations/withdraw", &[("handle", "{handle}")]),
        api: Api::Call("DELETE", "/api/v1/admin/invites/{handle}", ""),
        command: Command::Run(&["user", "withdraw", "{handle}"]),
        kinds: &["link.withdrawn"],
        make: world::with_invitation,
        wrong: Wrong::Gone(world::no_handle),
    },
    // -- groups
    Action {
        name: "make a group",
        page: Page::Form("/admin/groups", &[("name", "{new}")]),
        api: Api::Call("POST", "/api/v1/admin/groups", r#"{"name":"{new}"}"#),
        command: Command::Run(&["group", "add", "{new}"]),
        kinds: &["group.created"],
        make: world::new_name,
        wrong: Wrong::Input {
            fields: &[("name", "a,b")],
            body: r#"{"name":"a,b"}"#,
            words: &["group", "add", "a,b"],
            code: "invalid_value",
            sentence: "A group name has 1 to 64",
        },
    },
    Action {
        name: "rename a group",
        page: Page::Form("/admin/groups/{name}/rename", &[("name", "{new}")]),
        api: Api::Call("PATCH", "/api/v1/admin/groups/{name}", r#"{"name":"{new}"}"#),
        command: Command::Run(&["group", "rename", "{name}", "{new}"]),
        kinds: &["group.renamed"],
        make: world::group,
        wrong: Wrong::State {
            make: world::group_and_its_wish,
            code: "group_exists",
            sentence: "There is a group of this name.",
        },
    },
    Action {
        name: "delete a group",
        page: Page::Form("/admin/groups/{name}/delete", &[]),
        api: Api::Call("DELETE", "/api/v1/admin/groups/{name}", ""),
        command: Command::Run(&["group", "remove", "{name}"]),
        kinds: &["group.deleted"],
        make: world::group,
        wrong: Wrong::State {
            make: world::group_in_use,
            code: "group_in_use",
            sentence: "The group is in use (people: 0, access rules: 1, apps: 0).",
        },
    },
    Action {
        name: "put somebody into a group",
        page: Page::Form("/admin/groups/{name}/join", &[("username", "{username}")]),
        api: Api::Call("PUT", "/api/v1/admin/groups/{name}/members/{user}", ""),
        command: Command::Run(&["group", "join", "{name}", "{username}"]),
        kinds: &["user.groups_changed"],
        make: world::group_and_person,
        wrong: Wrong::Gone(world::person_and_no_group),
    },
    Action {
        name: "take somebody out of a group",
        page: Page::Form("/admin/groups/{name}/leave", &[("username", "{username}")]),
        api: Api::Call("DELETE", "/api/v1/admin/groups/{name}/members/{user}", ""),
        command: Command::Run(&["group", "leave", "{name}", "{username}"]),
        kinds: &["user.groups_changed"],
        make: world::group_and_member,
        wrong: Wrong::Gone(world::group_and_person),
    },
];
