//! The frame of every page: name, theme, viewer and CSRF token.

use http::Method;

use super::{Principal, Sessions};
use crate::http::Request;
use crate::site::Site;
use crate::views::{Frame, Theme, Viewer, initials};

/// Returns the frame of a page that anyone may see.
pub fn anonymous(site: &Site, request: &Request, title: &str) -> Frame {
    let mut frame = Frame::new(title, site.name());
    frame.t = request.words();
    frame.here = here(request);
    if let Ok(Some(theme)) = request.cookie(Theme::COOKIE) {
        frame.theme = Theme::from_cookie(theme);
    }
    frame
}

/// Returns the address of the page, for coming back. An answer to a form stands at the form's address.
fn here(request: &Request) -> String {
    match (&request.method, request.uri.path_and_query()) {
        (&Method::GET, Some(address)) => address.to_string(),
        _ => request.path().to_owned(),
    }
}

/// Returns the frame of a page of a signed-in person.
pub fn personal(
    site: &Site,
    sessions: &Sessions,
    request: &Request,
    principal: &Principal,
    title: &str,
    current: &'static str,
) -> Frame {
    let name = principal.user.display_name.as_str();
    let viewer = Viewer {
        display_name: name.to_owned(),
        initials: initials(name),
        is_admin: principal.user.role.is_admin(),
    };
    anonymous(site, request, title)
        .with_csrf(sessions.csrf_token(&principal.session))
        .for_viewer(viewer, current)
}
