//! Administration of people, invitations and groups.

use askama::Template;

use super::frame::Frame;
use super::parts::{Badge, Choice, Event, Fact, FieldErrors, OneTimeLink, Pager, SessionRow, When};

/// One filter above a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterLink {
    /// Such as `No second factor`.
    pub label: String,
    /// Address of the filtered list.
    pub url: String,
    /// Whether it is on.
    pub is_current: bool,
}

/// One person in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// Address of the detail page: `/admin/people/{id}`.
    pub url: String,
    /// Username.
    pub username: String,
    /// Display name.
    pub display_name: String,
    /// E-mail address; may be empty.
    pub email: String,
    /// One or two letters.
    pub initials: String,
    /// Role in words.
    pub role: String,
    /// Group names.
    pub groups: Vec<String>,
    /// Such as `Disabled`, `No second factor`, `Invited`.
    pub badges: Vec<Badge>,
    /// Last sign-in or use.
    pub last_seen: Option<When>,
}

/// `GET /admin/people`. The search form sends GET `/admin/people?q=…&sort=…`, keeping `filter` and `group`.
#[derive(Debug, Template)]
#[template(path = "admin/people.html")]
pub struct People {
    /// Common parts.
    pub frame: Frame,
    /// Search text.
    pub q: String,
    /// Value of the current `filter` query parameter, kept by the search form; may be empty.
    pub filter: String,
    /// The group that the list is limited to, kept by the search form; may be empty.
    pub group: String,
    /// Orders.
    pub sorts: Vec<Choice>,
    /// Filters.
    pub filters: Vec<FilterLink>,
    /// The group as a filter that the link takes away.
    pub group_filter: Option<FilterLink>,
    /// How many one-time links wait to be used.
    pub waiting: usize,
    /// People on this page.
    pub rows: Vec<PersonRow>,
    /// The pages before and after.
    pub pager: Pager,
}

/// `GET /admin/people/new`: creates an account that chooses its password by a one-time link.
///
/// Form: POST `/admin/people/new`, fields `csrf`, `username`, `display_name`, `email`, `role`, `group` (repeated),
/// `new_group`.
#[derive(Debug, Template)]
#[template(path = "admin/person_new.html")]
pub struct PersonNew {
    /// Common parts.
    pub frame: Frame,
    /// Prefilled username.
    pub username: String,
    /// Prefilled display name.
    pub display_name: String,
    /// Prefilled e-mail address.
    pub email: String,
    /// Roles the viewer may give.
    pub roles: Vec<Choice>,
    /// Existing groups.
    pub groups: Vec<Choice>,
    /// Prefilled name of a new group.
    pub new_group: String,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// `GET /admin/people/invite`: makes a link by which somebody makes an account of their own.
///
/// Form: POST `/admin/people/invite`, fields `csrf`, `note`, `role`, `group` (repeated), `days`.
#[derive(Debug, Template)]
#[template(path = "admin/invite.html")]
pub struct Invite {
    /// Common parts.
    pub frame: Frame,
    /// Prefilled note.
    pub note: String,
    /// Roles the viewer may give.
    pub roles: Vec<Choice>,
    /// Existing groups.
    pub groups: Vec<Choice>,
    /// How long the link works.
    pub days: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// A link that waits to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// Handle for withdrawing it.
    pub handle: String,
    /// Whom or what it is for.
    pub title: String,
    /// Role and groups; may be empty.
    pub detail: String,
    /// When it ends by itself.
    pub until: When,
}

/// `GET /admin/people/invitations`: the links that wait to be used.
///
/// Forms: POST `/admin/people/invitations/withdraw`, fields `csrf`, `handle`.
#[derive(Debug, Template)]
#[template(path = "admin/invitations.html")]
pub struct Invitations {
    /// Common parts.
    pub frame: Frame,
    /// A link that was just made.
    pub link: Option<OneTimeLink>,
    /// Newest first.
    pub rows: Vec<WaitingRow>,
}

/// A pause of sign-in for this account from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Handle for lifting it.
    pub handle: String,
    /// Shortened address.
    pub place: String,
    /// When it ends by itself.
    pub until: When,
}

/// Something that speaks for a person and can be taken away: a passkey, an app token, what an app was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Handle for taking it away.
    pub handle: String,
    /// What it is called.
    pub name: String,
    /// What it opens; may be empty.
    pub detail: String,
    /// Since when there is one.
    pub added: When,
    /// When it was last used.
    pub used: Option<When>,
}

/// `GET /admin/people/{id}`.
///
/// Forms, all POST below `url`: `/profile` (`csrf`, `display_name`, `email`, `role`, `group` repeated, `new_group`);
/// `/claims` (`csrf`, `claim`, `value`); `/disable` (`csrf`, `reason`); `/enable`, `/reset-second-factor`, `/link`,
/// `/sign-out`, `/delete` (`csrf`); `/lift`, `/passkey`, `/session`, `/app-token`, `/consent` (`csrf`, `handle`).
#[derive(Debug, Template)]
#[template(path = "admin/person.html")]
pub struct Person {
    /// Common parts.
    pub frame: Frame,
    /// `/admin/people/{id}`.
    pub url: String,
    /// What the form was made of; it is refused if that is something else by then.
    pub revision: String,
    /// Username.
    pub username: String,
    /// Display name.
    pub display_name: String,
    /// Prefilled display name; differs after a refusal.
    pub profile_name: String,
    /// One or two letters.
    pub initials: String,
    /// Prefilled e-mail address; may be empty.
    pub email: String,
    /// Roles the viewer may give; the current one selected.
    pub roles: Vec<Choice>,
    /// All groups; the person's selected.
    pub groups: Vec<Choice>,
    /// Prefilled name of a new group.
    pub new_group: String,
    /// Such as `Disabled`, `Owner`.
    pub badges: Vec<Badge>,
    /// Facts such as created and last seen.
    pub facts: Vec<Fact>,
    /// What apps may be told besides name and address.
    pub claims: Vec<Fact>,
    /// Prefilled name of a claim.
    pub claim: String,
    /// Prefilled value of a claim.
    pub claim_value: String,
    /// When the password was last set; `None` if it never was.
    pub password_set: Option<When>,
    /// Since when there is an authenticator app.
    pub totp_since: Option<When>,
    /// Passkeys.
    pub passkeys: Vec<Held>,
    /// How many recovery codes are left.
    pub recovery_codes: u32,
    /// Whether the account is disabled.
    pub is_disabled: bool,
    /// Since when and why, as a sentence.
    pub disabled_why: String,
    /// Prefilled reason for disabling.
    pub reason: String,
    /// Whether there is a second factor to reset.
    pub has_second_factor: bool,
    /// Whether the viewer may change this account at all (nobody disables or deletes the owner or themselves).
    pub may_change: bool,
    /// Why not, if `may_change` is false.
    pub cannot_change: String,
    /// Pauses of sign-in.
    pub suspensions: Vec<Suspension>,
    /// Whether attempts from unknown devices have to wait, wherever they come from.
    pub is_delayed: bool,
    /// A link that was just made.
    pub link: Option<OneTimeLink>,
    /// Open sessions.
    pub sessions: Vec<SessionRow>,
    /// App tokens.
    pub tokens: Vec<Held>,
    /// What apps were allowed.
    pub consents: Vec<Held>,
    /// Newest first.
    pub timeline: Vec<Event>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// A group in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Address of its page: `/admin/groups/{name}`.
    pub url: String,
    /// Name.
    pub name: String,
    /// How many people are in it.
    pub members: usize,
    /// How many access rules name it.
    pub rules: usize,
    /// How many apps name it.
    pub apps: usize,
}

/// `GET /admin/groups`.
///
/// Form: POST `/admin/groups`, fields `csrf`, `name`.
#[derive(Debug, Template)]
#[template(path = "admin/groups.html")]
pub struct Groups {
    /// Common parts.
    pub frame: Frame,
    /// By name.
    pub rows: Vec<GroupRow>,
    /// Prefilled name of a new group.
    pub name: String,
    /// Errors on the field.
    pub errors: FieldErrors,
}

/// `GET /admin/groups/{name}`.
///
/// Forms, all POST below the group's `url`: `/join`, `/leave` (`csrf`, `username`), `/rename` (`csrf`, `name`), `/delete`
/// (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/group.html")]
pub struct Group {
    /// Common parts.
    pub frame: Frame,
    /// The group.
    pub group: GroupRow,
    /// People in it on this page.
    pub members: Vec<PersonRow>,
    /// More of them.
    pub pager: Pager,
    /// Prefilled username of somebody to put in.
    pub username: String,
    /// Prefilled new name.
    pub name: String,
    /// Whether it can be deleted.
    pub is_free: bool,
    /// Errors on the fields.
    pub errors: FieldErrors,
}
