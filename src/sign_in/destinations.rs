//! Where a person goes after signing in: what the pages say of it, and where their forms may lead on the way.

use std::sync::Arc;

use url::Url;

use super::SignIn;
use crate::http::Reply;
use crate::http::redirect::{origin_of, safe_return_target};
use crate::views::Hidden;

/// A page lets its forms lead to so many further origins at most.
const MOST_FORM_TARGETS: usize = 16;
/// The longest name of a destination that pages show, in characters.
const LONGEST_NAME: usize = 100;

/// What lies behind an address of ours that sends the browser on, such as the app that an authorization request is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// What people call it: "to continue to Grafana". Empty if there is no name.
    pub name: String,
    /// The origins (`https://grafana.example.org`, `http://127.0.0.1:1234`) or schemes (`app.immich:`) that the browser is
    /// sent to in the end. Browsers apply `form-action` to the whole chain of redirects that follows a form.
    pub form_targets: Vec<String>,
}

/// Knows the destinations behind our own addresses. A room above signing in brings it.
pub trait Destinations: Send + Sync {
    /// Returns what lies behind `target`, an address of our own origin; `None` if it is just a page.
    fn describe(&self, target: &Url) -> Option<Destination>;
}

impl SignIn {
    /// Lets `destinations` describe where people go, if nobody who was asked before knows it. At the start, before the
    /// first request.
    pub fn add_destinations(&self, destinations: Arc<dyn Destinations>) {
        self.destinations.write().push(destinations);
    }

    /// Returns what lies behind an address of ours.
    fn describe(&self, target: &Url) -> Option<Destination> {
        // Cloned, so that whoever is asked may ask anything of us.
        let known = self.destinations.read().clone();
        known.iter().find_map(|destinations| destinations.describe(target))
    }
}

/// The way on from a page of signing in.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    target: Option<Url>,
    name: Option<String>,
    form_targets: Vec<String>,
}

impl Way {
    /// Returns the way to `rd`, which may lead to our own pages and protected apps (WEB-11); otherwise there is none.
    pub(super) fn to(room: &SignIn, rd: Option<&str>) -> Way {
        let own = room.site.origin().text;
        let target = rd.and_then(|rd| safe_return_target(rd, &own, |host| room.site.is_protected_host(host)));
        Way::of(room, target)
    }

    /// Returns the way to `next`, which may lead to our own pages alone.
    pub(super) fn to_own(room: &SignIn, next: Option<&str>) -> Way {
        let own = room.site.origin().text;
        Way::of(room, next.and_then(|next| safe_return_target(next, &own, |_| false)))
    }

    fn of(room: &SignIn, target: Option<Url>) -> Way {
        let Some(target) = target else { return Way::default() };
        let origin = origin_of(&target);
        let mut way = Way { name: None, form_targets: vec![origin.clone()], target: None };
        if origin != room.site.origin().text {
            way.name = target.host_str().map(str::to_owned);
        } else if let Some(known) = room.describe(&target) {
            way.name = Some(known.name.chars().take(LONGEST_NAME).collect())
                .filter(|name: &String| !name.is_empty());
            way.form_targets.extend(known.form_targets.into_iter().take(MOST_FORM_TARGETS));
        }
        way.target = Some(target);
        way
    }

    /// Returns where to go, or the portal.
    pub(super) fn url(&self) -> &str {
        self.target.as_ref().map_or("/", Url::as_str)
    }

    /// Returns where to go, if it was said and may be.
    pub(super) fn target(&self) -> Option<&Url> {
        self.target.as_ref()
    }

    /// Returns the path and query to go to, if it is of our own origin.
    pub(super) fn own_path(&self, room: &SignIn) -> Option<String> {
        let target = self.target.as_ref().filter(|target| origin_of(target) == room.site.origin().text)?;
        Some(match target.query() {
            Some(query) => format!("{}?{query}", target.path()),
            None => target.path().to_owned(),
        })
    }

    /// Returns what "to continue to …" names.
    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    /// Returns the field that carries the way along in a form.
    pub(super) fn hidden(&self) -> Vec<Hidden> {
        self.target.iter().map(|url| Hidden { name: "rd", value: url.to_string() }).collect()
    }

    /// Lets the forms of a page lead there.
    pub(super) fn allow(&self, reply: Reply) -> Reply {
        self.form_targets.iter().cloned().fold(reply, Reply::with_form_target)
    }
}
