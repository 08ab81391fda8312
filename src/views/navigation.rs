//! The two lists of pages beside the content: one's own account, and administration. A new page is one more line here.

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What [`super::Frame::current`] says on this page.
    pub name: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// One or two words.
    pub label: &'static str,
}

const fn entry(name: &'static str, path: &'static str, label: &'static str) -> Entry {
    Entry { name, path, label }
}

/// One's own account.
pub(super) const ACCOUNT: &[Entry] = &[
    entry("profile", "/account", "Profile"),
    entry("security", "/account/security", "Security"),
    entry("apps-with-access", "/account/apps", "Apps"),
    entry("sessions", "/account/sessions", "Sessions"),
    entry("app-tokens", "/account/app-tokens", "App tokens"),
    entry("activity", "/account/activity", "Activity"),
];

/// Administration; the first is where "Admin" leads.
pub(super) const ADMIN: &[Entry] = &[
    entry("overview", "/admin", "Overview"),
    entry("people", "/admin/people", "People"),
    entry("groups", "/admin/groups", "Groups"),
    entry("apps", "/admin/apps", "Apps"),
    entry("domains", "/admin/domains", "Domains"),
    entry("rules", "/admin/rules", "Access rules"),
    entry("doctor", "/admin/doctor", "Doctor"),
    entry("audit", "/admin/audit", "Audit"),
    entry("system", "/admin/system", "System"),
];

/// Tells whether a list holds the page.
pub(super) fn holds(list: &[Entry], name: &str) -> bool {
    list.iter().any(|entry| entry.name == name)
}
