//! The test app: Doorward itself in the place of the first app, behind its proxy and under its host. It shows what an app
//! there would be told, and the live test takes note. While the setup is under way, and by way of a proxy that may ask.

use http::{HeaderName, StatusCode};

use super::Setup;
use super::pages::SEC_FETCH_SITE;
use crate::http::address::without_port;
use crate::http::{Problem, Reply, Request, RequestHeaders};
use crate::sign_in::frames;
use crate::views::{Fact, Frame, setup as views};

/// Where it answers.
pub const PATH: &str = "/setup/echo";
/// The name that its script sends along; nobody is called so.
const MADE_UP: &str = "doorward-made-up";

static REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");

/// What the test app was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Who is there; empty if no name came along.
    pub(super) user: String,
    /// Whether a made-up name came through, once that was tried.
    pub(super) is_forgeable: Option<bool>,
}

/// Returns a header as text; of several, the last one, as most apps take it.
fn text(headers: &RequestHeaders, name: &HeaderName) -> String {
    headers
        .get_all(name)
        .next_back()
        .map_or_else(String::new, |value| String::from_utf8_lossy(value).trim().to_owned())
}

impl Setup {
    /// Returns the host of the first app if this request was passed on to it, and came here.
    fn played_host(&self, request: &Request) -> Option<String> {
        let client = &request.client;
        if self.is_finished() || !(client.is_trusted_peer || client.peer.is_loopback()) {
            return None;
        }
        let host = without_port(client.host.as_deref()?);
        self.watch.host().filter(|watched| watched.eq_ignore_ascii_case(host))
    }

    /// Tells whether Doorward is the test app for this request.
    pub fn plays_the_app(&self, request: &Request) -> bool {
        self.played_host(request).is_some()
    }
}

/// Tells whether a page of this host asks, which is what a browser says and no other page can: a stranger could say
/// otherwise that nothing comes through.
fn is_asked_by_own_page(headers: &RequestHeaders) -> bool {
    headers.get(&SEC_FETCH_SITE) == Some(b"same-origin")
}

/// `GET /setup/echo`: what an app is told here. With `forged`, whether the name came through that the script of this page
/// made up; the live test takes note if it is that script that tried.
pub async fn echo(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let host = room.played_host(request).ok_or_else(Problem::not_found)?;
    let headers = &request.headers;
    if request.query("forged").is_some() {
        let came_through = headers.get_all(&REMOTE_USER).any(|value| value == MADE_UP.as_bytes());
        if is_asked_by_own_page(headers) {
            room.watch.app_told(&host, |told| told.is_forgeable = Some(came_through));
        }
        let answer = serde_json::json!({ "came_through": came_through });
        return Ok(Reply::json(StatusCode::OK, &answer).for_other_host());
    }
    let user = text(headers, &REMOTE_USER);
    room.watch.app_told(&host, |told| user.clone_into(&mut told.user));
    let t = request.words();
    let told = [
        (t.setup_echo_user(), "remote-user"),
        (t.setup_echo_name(), "remote-name"),
        (t.setup_echo_groups(), "remote-groups"),
        (t.setup_echo_email(), "remote-email"),
    ];
    let facts = told.into_iter().map(|(label, name)| {
        let value = text(headers, &HeaderName::from_static(name));
        Fact::new(label, if value.is_empty() { "–".to_owned() } else { value })
    });
    let page = views::Echo {
        // What is chosen at this host would be lost.
        frame: Frame {
            here: String::new(),
            ..frames::anonymous(&room.sign_in.site, request, t.setup_echo_title())
        },
        host,
        facts: if user.is_empty() { Vec::new() } else { facts.collect() },
        forge_url: format!("{PATH}?forged"),
        made_up: MADE_UP,
    };
    Ok(Reply::html(StatusCode::OK, &page)?.for_other_host())
}
