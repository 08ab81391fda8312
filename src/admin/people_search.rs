//! Finding people: by name, by what is missing, by group, in several orders. However many people there are, one question
//! looks at a bounded number of them and keeps no more than a page.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Admin;
use crate::accounts::User;
use crate::kernel::ids::UserId;
use crate::kernel::text::{GroupName, Username};
use crate::kernel::time::Timestamp;

/// How many people one question looks at. In the order of usernames the next page goes on where it stopped.
const MOST_VISITED: usize = 100_000;

/// Which people are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// Admins and owners.
    Admins,
    /// Those without a second factor.
    NoSecondFactor,
    /// Those whose sign-in is paused somewhere, or delayed everywhere.
    Suspended,
    /// Those who are disabled.
    Disabled,
    /// Those who never chose a password.
    Invited,
}

impl Which {
    /// Every filter, in the order of the page.
    pub const EVERY: [Which; 6] =
        [Which::All, Which::Admins, Which::NoSecondFactor, Which::Suspended, Which::Disabled, Which::Invited];

    /// Returns the value of the query parameter `filter`.
    pub fn as_str(self) -> &'static str {
        match self {
            Which::All => "",
            Which::Admins => "admins",
            Which::NoSecondFactor => "no-second-factor",
            Which::Suspended => "suspended",
            Which::Disabled => "disabled",
            Which::Invited => "invited",
        }
    }

    /// Parses the value of the query parameter `filter`.
    pub fn parse(text: &str) -> Option<Which> {
        Which::EVERY.into_iter().find(|which| which.as_str() == text)
    }
}

/// In which order people are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By username.
    #[default]
    Username,
    /// Who was here last comes first.
    LastSeen,
    /// Whose account is newest comes first.
    Newest,
}

impl Order {
    /// Every order, as the page offers them.
    pub const EVERY: [Order; 3] = [Order::Username, Order::LastSeen, Order::Newest];

    /// Returns the value of the query parameter `sort`.
    pub fn as_str(self) -> &'static str {
        match self {
            Order::Username => "",
            Order::LastSeen => "seen",
            Order::Newest => "newest",
        }
    }

    /// Parses the value of the query parameter `sort`.
    pub fn parse(text: &str) -> Option<Order> {
        Order::EVERY.into_iter().find(|order| order.as_str() == text)
    }
}

/// Which people are wanted, and from where on.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Part of a name, username, address or group; empty for all.
    pub q: String,
    /// What they have in common.
    pub which: Which,
    /// The group they are in.
    pub group: Option<GroupName>,
    /// In which order.
    pub order: Order,
    /// The last one of the page before.
    pub after: Option<Place>,
}

/// Where somebody stands in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    moment: Reverse<Timestamp>,
    username: Username,
}

impl Place {
    fn of_name(username: Username) -> Self {
        Place { moment: Reverse(Timestamp::ZERO), username }
    }

    /// Writes the place down; opaque to callers.
    pub fn to_cursor(&self) -> String {
        let text = format!("{} {}", self.moment.0.as_millis(), self.username);
        data_encoding::BASE64URL_NOPAD.encode(text.as_bytes())
    }

    /// Reads what [`Place::to_cursor`] wrote; anything else means the first page.
    pub fn parse(text: &str) -> Option<Place> {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (moment, username) = std::str::from_utf8(&bytes).ok()?.split_once(' ')?;
        let moment = Reverse(Timestamp::from_millis(moment.parse().ok()?));
        Some(Place { moment, username: Username::parse(username).ok()? })
    }
}

/// A page of people.
#[derive(Default)]
pub struct Found {
    /// The people.
    pub people: Vec<Arc<User>>,
    /// How many match in all; `None` if nobody counted them.
    pub total: Option<usize>,
    /// Where the next page begins.
    pub next: Option<Place>,
    /// Where the page before begins, if that is not the first one.
    pub before: Option<Place>,
    /// Who is suspended somewhere.
    pub suspended: HashSet<UserId>,
}

impl Admin {
    /// Finds people by name, username, address or group.
    pub fn find_people(&self, search: &Search, limit: usize) -> Found {
        let suspended = self.lockout.suspended_users();
        let q = search.q.trim().to_lowercase();
        let is_which = |user: &User| match search.which {
            Which::All => true,
            Which::Admins => user.role.is_admin(),
            Which::NoSecondFactor => !user.has_second_factor(),
            Which::Suspended => suspended.contains(&user.id) || self.lockout.is_delayed(user.id),
            Which::Disabled => !user.is_active(),
            Which::Invited => user.password_changed_at.is_none(),
        };
        let is_wanted = |user: &User| {
            is_which(user)
                && search.group.as_ref().is_none_or(|group| user.groups.contains(group))
                && matches(user, &q)
        };
        let mut found = match search.order {
            Order::Username => self.page_by_name(search, limit, &q, is_wanted),
            Order::LastSeen => {
                let seen = |user: &User| self.sessions.last_seen(&user.id).unwrap_or(Timestamp::ZERO);
                self.page_by_moment(search, limit, seen, is_wanted)
            }
            Order::Newest => self.page_by_moment(search, limit, |user| user.created_at, is_wanted),
        };
        found.suspended = suspended;
        found
    }

    fn page_by_name(
        &self,
        search: &Search,
        limit: usize,
        q: &str,
        is_wanted: impl Fn(&User) -> bool,
    ) -> Found {
        let directory = self.accounts.directory();
        let is_all = q.is_empty() && search.which == Which::All && search.group.is_none();
        let after = search.after.as_ref().map(|place| &place.username);
        // Who wants to know how many there are has to look at all of them.
        let is_counting = !is_all && directory.len() <= MOST_VISITED;
        let mut found = Found::default();
        let (mut matching, mut visited) = (0, 0);
        let (mut last, mut is_more) = (None, false);
        directory.walk(after.filter(|_| !is_counting), |user| {
            visited += 1;
            if is_wanted(user) {
                matching += 1;
                if after.is_none_or(|after| user.username > *after) {
                    if found.people.len() < limit {
                        found.people.push(user.clone());
                    } else {
                        is_more = true;
                    }
                }
            }
            if visited >= MOST_VISITED || (is_more && !is_counting) {
                last = Some(user.username.clone());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        found.total = if is_all { Some(directory.len()) } else { is_counting.then_some(matching) };
        // The page is full, or the search stopped on the way.
        let stopped = if is_more { found.people.last().map(|user| user.username.clone()) } else { last };
        found.next = stopped.map(Place::of_name);
        found.before = after.and_then(|after| self.name_before(after, limit, is_wanted)).map(Place::of_name);
        found
    }

    /// Returns the name behind which the page begins that ends with `last`; `None` for the first page.
    fn name_before(
        &self,
        last: &Username,
        limit: usize,
        is_wanted: impl Fn(&User) -> bool,
    ) -> Option<Username> {
        let (mut matching, mut visited, mut before) = (0, 0, None);
        self.accounts.directory().walk_back(last, |user| {
            visited += 1;
            matching += usize::from(is_wanted(user));
            if matching > limit || visited >= MOST_VISITED {
                before = Some(user.username.clone());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        before
    }

    fn page_by_moment(
        &self,
        search: &Search,
        limit: usize,
        moment: impl Fn(&User) -> Timestamp,
        is_wanted: impl Fn(&User) -> bool,
    ) -> Found {
        // Those of the page, and those before it as far as the page before reaches.
        let (mut kept, mut before) = (BTreeMap::<Place, Arc<User>>::new(), BTreeSet::<Place>::new());
        let (mut matching, mut visited, mut is_more) = (0, 0, false);
        self.accounts.directory().walk(None, |user| {
            visited += 1;
            if is_wanted(user) {
                matching += 1;
                let key = (Reverse(moment(user)), &user.username);
                let is_after = |place: &Place| key > (place.moment, &place.username);
                if search.after.as_ref().is_none_or(is_after) {
                    if kept.len() == limit {
                        is_more = true;
                        if kept.last_key_value().is_some_and(|(last, _)| is_after(last)) {
                            return stop_at(visited);
                        }
                        kept.pop_last();
                    }
                    kept.insert(Place { moment: key.0, username: user.username.clone() }, user.clone());
                } else {
                    if before.len() > limit {
                        if before.first().is_some_and(|first| !is_after(first)) {
                            return stop_at(visited);
                        }
                        before.pop_first();
                    }
                    before.insert(Place { moment: key.0, username: user.username.clone() });
                }
            }
            stop_at(visited)
        });
        Found {
            next: if is_more { kept.keys().next_back().cloned() } else { None },
            before: if before.len() > limit { before.pop_first() } else { None },
            people: kept.into_values().collect(),
            total: (visited < MOST_VISITED).then_some(matching),
            suspended: HashSet::new(),
        }
    }
}

fn stop_at(visited: usize) -> ControlFlow<()> {
    if visited >= MOST_VISITED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn matches(user: &User, q: &str) -> bool {
    q.is_empty()
        || user.username.as_str().contains(q)
        || holds(user.display_name.as_str(), q)
        || user.email.as_ref().is_some_and(|email| holds(email.as_str(), q))
        || user.groups.iter().any(|group| group.as_str().contains(q))
}

/// Tells whether `text` holds `q`, which is in small letters, however `text` is spelled.
fn holds(text: &str, q: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(q);
    }
    text.as_bytes().windows(q.len()).any(|part| part.eq_ignore_ascii_case(q.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        for (text, q, found) in [
            ("Ada Lovelace", "love", true),
            ("Ada Lovelace", "lovelaces", false),
            ("Ädä", "äd", true),
            ("ÄDÄ", "ädä", true),
            ("Ada", "ä", false),
            ("", "a", false),
        ] {
            assert_eq!(holds(text, q), found, "{text} {q}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_written() {
        let place = Place {
            moment: Reverse(Timestamp::from_millis(1234)),
            username: Username::parse("ada").unwrap(),
        };
        assert_eq!(Place::parse(&place.to_cursor()), Some(place));
        for bad in ["", "x", "YWRh", "MSA"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
