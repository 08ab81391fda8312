//! Where a person goes after signing in: what the pages say of it, and where their forms may lead on the way.

use std::sync::Arc;

use url::Url;

use super::SignIn;
use crate::http::Reply;
use crate::http::redirect::{origin_of, safe_return_target};
use crate::site::Place;
use crate::views::{Goal, Hidden};

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
    /// The host behind a name.
    host: String,
    form_targets: Vec<String>,
    /// The portal's own address for a target whose cookie our own pages cannot set.
    detour: Option<String>,
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
        let mut way = Way { form_targets: vec![origin.clone()], ..Way::default() };
        if origin != room.site.origin().text {
            way.name = target.host_str().map(str::to_owned);
            way.detour = way.pass_by(room, &target);
        } else if let Some(app) = app_behind(room, &target) {
            // The portal leads on to the app, and the form with it.
            way.name = app.host_str().map(str::to_owned);
            way.form_targets.push(origin_of(&app));
            way.pass_by(room, &app);
        } else if let Some(known) = room.describe(&target) {
            way.name = Some(known.name.chars().take(LONGEST_NAME).collect())
                .filter(|name: &String| !name.is_empty());
            way.host = known.form_targets.iter().find_map(|target| host_of(target)).unwrap_or_default();
            way.form_targets.extend(known.form_targets.into_iter().take(MOST_FORM_TARGETS));
        }
        way.target = Some(target);
        way
    }

    /// Lets forms lead past the portal of another domain. Returns the address of our own that the way to an app begins
    /// with, if our own pages cannot set its cookie.
    fn pass_by(&mut self, room: &SignIn, target: &Url) -> Option<String> {
        let domain = target.host_str().and_then(|host| room.site.protected_domain_of(host))?;
        match room.site.place_of(&domain) {
            Place::Here => return None,
            Place::App => {}
            Place::Portal(origin) => self.form_targets.push(origin),
        }
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("rd", target.as_str()).finish();
        Some(format!("/?{query}"))
    }

    /// Returns where to go, or the portal.
    pub(super) fn url(&self) -> &str {
        match &self.detour {
            Some(detour) => detour,
            None => self.target.as_ref().map_or("/", Url::as_str),
        }
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

    /// Returns what the pages say of it.
    pub(super) fn goal(&self) -> Option<Goal> {
        self.name.clone().map(|name| Goal { name, host: self.host.clone() })
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

/// Returns the host of an origin of the web.
fn host_of(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    url.host_str().map(str::to_owned)
}

/// Returns the app that our own address `/?rd=` leads to.
fn app_behind(room: &SignIn, target: &Url) -> Option<Url> {
    let (_, rd) = target.query_pairs().find(|(name, _)| target.path() == "/" && name == "rd")?;
    let own = room.site.origin().text;
    let app = safe_return_target(&rd, &own, |host| room.site.is_protected_host(host))?;
    (origin_of(&app) != own).then_some(app)
}
