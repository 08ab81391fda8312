//! People, invitations, groups, scopes.

use super::super::{people, scopes};
use super::*;

fn person_row(name: &str, username: &str, badges: Vec<Badge>, last_seen: Option<When>) -> people::PersonRow {
    people::PersonRow {
        url: format!("/admin/people/{username}"),
        username: username.into(),
        display_name: name.into(),
        email: format!("{username}@linden.example"),
        initials: initials(name),
        role: words().people_role_member().into(),
        groups: vec!["family".into(), "photos".into()],
        badges,
        last_seen,
    }
}

fn people_list() -> people::People {
    people::People {
        frame: shell(words().people_title(), "people"),
        q: String::new(),
        filter: "no-second-factor".into(),
        group: "family".into(),
        sorts: chosen(
            &[
                ("", words().people_sort_username()),
                ("seen", words().people_last_seen()),
                ("newest", words().people_sort_newest()),
            ],
            0,
        ),
        filters: [
            words().apps_all_kinds(),
            words().people_filter_admins(),
            words().people_badge_no_second_factor(),
            words().people_badge_suspended(),
            words().people_badge_disabled(),
            words().people_badge_invited(),
        ]
        .into_iter()
        .enumerate()
        .map(|(at, label)| people::FilterLink {
            label: label.into(),
            url: format!("/admin/people?filter={at}"),
            is_current: at == 2,
        })
        .collect(),
        group_filter: Some(people::FilterLink {
            label: words().people_filter_group("family"),
            url: "/admin/people".into(),
            is_current: true,
        }),
        waiting: 2,
        rows: vec![
            person_row(
                "Ana Lindqvist",
                "ana",
                vec![Badge::new(Kind::Info, words().people_role_owner())],
                Some(at(12, "13:59")),
            ),
            person_row(
                "Ben Okafor",
                "ben",
                vec![Badge::new(Kind::Warn, words().people_badge_no_second_factor())],
                Some(at(10, "07:12")),
            ),
            person_row(
                "Chidi",
                "chidi",
                vec![Badge::new(Kind::Danger, words().people_badge_disabled())],
                None,
            ),
            person_row(NASTY, "dora", vec![Badge::new(Kind::Info, words().people_badge_invited())], None),
        ],
        pager: Pager {
            label: words().people_count(4_u64),
            previous: Some("/admin/people".into()),
            next: Some("/admin/people?after=x".into()),
            ..Pager::default()
        },
    }
}

fn person() -> people::Person {
    let held = |handle: &str, name: &str, detail: &str, used| people::Held {
        handle: handle.into(),
        name: name.into(),
        detail: detail.into(),
        added: at(1, "09:00"),
        used,
    };
    people::Person {
        frame: shell("Ben Okafor", "people"),
        url: "/admin/people/u_7".into(),
        revision: "AAAA".into(),
        username: "ben".into(),
        display_name: "Ben Okafor".into(),
        profile_name: "Ben Okafor".into(),
        initials: "BO".into(),
        email: "ben@linden.example".into(),
        roles: roles(),
        groups: groups(),
        new_group: String::new(),
        badges: vec![Badge::new(Kind::Warn, words().people_badge_suspended())],
        facts: vec![
            Fact::new(words().people_created(), at(1, "09:00").in_words(&words())),
            Fact::new(words().people_last_seen(), at(10, "07:12").in_words(&words())),
        ],
        claims: vec![
            Fact::new("given_name", "Ben"),
            Fact::new("attributes.quota", "5"),
            Fact::new("email_verified", "true"),
        ],
        claim: String::new(),
        claim_value: String::new(),
        password_set: Some(at(1, "09:00")),
        totp_since: Some(at(2, "10:00")),
        passkeys: vec![
            held("p1", "Pixel 9", "", Some(at(10, "07:12"))),
            held("p2", either("Blue key in the drawer", "Blauer Schlüssel in der Schublade"), "", None),
        ],
        recovery_codes: 8,
        is_disabled: false,
        disabled_why: String::new(),
        reason: String::new(),
        has_second_factor: true,
        may_change: true,
        cannot_change: String::new(),
        suspensions: vec![people::Suspension {
            handle: "s1".into(),
            place: "203.0.113.x".into(),
            until: at(12, "23:10"),
        }],
        is_delayed: true,
        link: Some(OneTimeLink::new(
            "Ben Okafor",
            false,
            "https://auth.linden.example/link/AfV3kQp0Zb1mJw9x2LrT7yUc5HnD8sEgP4iGqB6tXvM".into(),
            at(13, "14:00"),
        )),
        sessions: sessions(),
        tokens: vec![held(
            "t1",
            either("NAS sync", "NAS-Abgleich"),
            "*.linden.example",
            Some(at(11, "03:00")),
        )],
        consents: vec![held("immich", "Immich", "openid profile email", None)],
        timeline: events(),
        errors: FieldErrors::none(),
    }
}

fn group() -> people::Group {
    people::Group {
        frame: shell("family", "groups"),
        group: group_row("family", 3, 2, 1),
        members: vec![
            person_row("Ana Lindqvist", "ana", Vec::new(), None),
            person_row(NASTY, "dora", Vec::new(), None),
        ],
        pager: Pager::default(),
        username: String::new(),
        name: "family".into(),
        is_free: false,
        errors: FieldErrors::none(),
    }
}

fn group_row(name: &str, members: usize, rules: usize, apps: usize) -> people::GroupRow {
    people::GroupRow { url: format!("/admin/groups/{name}"), name: name.into(), members, rules, apps }
}

/// The pages about people, invitations, groups and scopes.
pub(super) fn all() -> Vec<Sample> {
    let waiting = |title: &str, detail: &str| people::WaitingRow {
        handle: title.into(),
        title: title.into(),
        detail: detail.into(),
        until: at(19, "14:00"),
    };
    let groups_list = people::Groups {
        frame: shell(words().groups_title(), "groups"),
        rows: vec![group_row("family", 3, 2, 1), group_row("photos", 12, 0, 0)],
        name: String::new(),
        errors: FieldErrors::none(),
    };
    let nobody = words().groups_nobody();
    vec![
        sample("admin-people", people_list()),
        sample(
            "admin-people-empty",
            people::People {
                rows: Vec::new(),
                q: NASTY.into(),
                group_filter: None,
                waiting: 0,
                pager: Pager::default(),
                ..people_list()
            },
        ),
        sample(
            "admin-person-new",
            people::PersonNew {
                frame: shell(words().people_add(), "people"),
                username: String::new(),
                display_name: String::new(),
                email: String::new(),
                roles: roles(),
                groups: groups(),
                new_group: String::new(),
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "admin-invite",
            people::Invite {
                frame: shell(words().people_invite(), "people"),
                note: either("Grandma", "Oma").into(),
                roles: roles(),
                groups: groups(),
                days: chosen(
                    &[
                        ("1", &words().ui_days(1_u64)),
                        ("3", &words().ui_days(3_u64)),
                        ("7", &words().ui_days(7_u64)),
                        ("30", &words().ui_days(30_u64)),
                    ],
                    2,
                ),
                errors: FieldErrors::none(),
            },
        ),
        sample(
            "admin-invitations",
            people::Invitations {
                frame: shell(words().invitations_title(), "people"),
                link: person().link,
                rows: vec![
                    waiting(either("Grandma", "Oma"), &format!("{} · family", words().people_role_member())),
                    waiting(&words().invitations_first_password("Dora"), "dora"),
                    waiting(NASTY, ""),
                ],
            },
        ),
        sample("admin-person", person()),
        sample(
            "admin-person-disabled",
            people::Person {
                is_disabled: true,
                disabled_why: format!(
                    "{} {}",
                    words().people_disabled_since(at(12, "14:02").in_words(&words()), "ana"),
                    words().people_disabled_reason(either("moved out", "ausgezogen"))
                ),
                is_delayed: false,
                suspensions: Vec::new(),
                link: None,
                ..person()
            },
        ),
        sample(
            "admin-person-owner",
            people::Person {
                display_name: NASTY.into(),
                profile_name: NASTY.into(),
                may_change: false,
                cannot_change: words().people_owner_only().into(),
                link: None,
                suspensions: Vec::new(),
                is_delayed: false,
                sessions: Vec::new(),
                tokens: Vec::new(),
                consents: Vec::new(),
                passkeys: Vec::new(),
                claims: Vec::new(),
                timeline: Vec::new(),
                has_second_factor: false,
                totp_since: None,
                ..person()
            },
        ),
        sample(
            "admin-scopes",
            scopes::Scopes {
                frame: shell(words().scopes_title(), "apps"),
                rows: vec![scopes::ScopeRow {
                    name: "accounting".into(),
                    claims: "cost_center = attributes.cost_center".into(),
                }],
                name: String::new(),
                claims: String::new(),
                uses: "1".into(),
                days: "7".into(),
                token: Some(scopes::Token {
                    text: "8cFzq0x3mK1vYwT5nB7rQ2dLhJ6sGpXa9eUoIiZtRkM".into(),
                    until: at(19, "14:00"),
                }),
                errors: FieldErrors::none(),
            },
        ),
        sample("admin-groups", groups_list),
        sample("admin-group", group()),
        sample(
            "admin-group-refused",
            people::Group {
                group: group_row("photos", 0, 0, 0),
                members: Vec::new(),
                is_free: true,
                username: "nobody".into(),
                errors: FieldErrors::one("username", nobody),
                ..group()
            },
        ),
    ]
}
