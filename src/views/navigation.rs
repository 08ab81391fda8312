//! The two lists of pages beside the content: one's own account, and administration. A new page is one more line here.

use crate::words::Words;

/// One page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What [`super::Frame::current`] says on this page.
    pub name: &'static str,
    /// Where it is.
    pub path: &'static str,
    label: fn(Words) -> &'static str,
}

impl Entry {
    /// What the entry is called: one or two words.
    pub fn in_words(&self, t: &Words) -> &'static str {
        (self.label)(*t)
    }
}

const fn entry(name: &'static str, path: &'static str, label: fn(Words) -> &'static str) -> Entry {
    Entry { name, path, label }
}

/// One's own account.
pub(super) const ACCOUNT: &[Entry] = &[
    entry("profile", "/account", Words::ui_nav_profile),
    entry("security", "/account/security", Words::ui_nav_security),
    entry("apps-with-access", "/account/apps", Words::ui_nav_apps),
    entry("sessions", "/account/sessions", Words::ui_nav_sessions),
    entry("app-tokens", "/account/app-tokens", Words::ui_nav_app_tokens),
    entry("activity", "/account/activity", Words::ui_nav_activity),
];

/// Administration; the first is where "Admin" leads.
pub(super) const ADMIN: &[Entry] = &[
    entry("overview", "/admin", Words::ui_nav_overview),
    entry("people", "/admin/people", Words::ui_nav_people),
    entry("groups", "/admin/groups", Words::ui_nav_groups),
    entry("apps", "/admin/apps", Words::ui_nav_apps),
    entry("domains", "/admin/domains", Words::ui_nav_domains),
    entry("rules", "/admin/rules", Words::ui_nav_rules),
    entry("doctor", "/admin/doctor", Words::ui_nav_doctor),
    entry("audit", "/admin/audit", Words::ui_nav_audit),
    entry("system", "/admin/system", Words::ui_nav_system),
];

/// Tells whether a list holds the page.
pub(super) fn holds(list: &[Entry], name: &str) -> bool {
    list.iter().any(|entry| entry.name == name)
}
