//! Pages for requests that went wrong: one sentence, what to do, and a number to quote.

use askama::Template;

use super::frame::Frame;
use super::parts::Wait;

/// An error page.
#[derive(Debug, Template)]
#[template(path = "errors/error.html", config = "web/askama.toml")]
pub struct ErrorPage {
    /// Common parts; the title is the heading.
    pub frame: Frame,
    /// HTTP status.
    pub status: u16,
    /// One sentence: what happened.
    pub sentence: String,
    /// One sentence: what to do now.
    pub advice: String,
    /// To find the request in the log; may be empty.
    pub request_id: String,
    /// Set if trying again later helps.
    pub wait: Option<Wait>,
    /// Where the button leads; empty for no button.
    pub home_url: String,
}

impl ErrorPage {
    /// Makes the page of a status from the built-in texts; the frame's title is replaced by the heading.
    pub fn for_status(mut frame: Frame, status: u16, request_id: impl Into<String>) -> Self {
        let (title, sentence, advice) = texts(status);
        frame.title = title.to_owned();
        ErrorPage {
            frame,
            status,
            sentence: sentence.to_owned(),
            advice: advice.to_owned(),
            request_id: request_id.into(),
            wait: None,
            home_url: "/".to_owned(),
        }
    }
}

/// Returns heading, sentence and advice.
fn texts(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        400 => (
            "That did not work",
            "The request was not understood.",
            "Go back, reload the page and try again.",
        ),
        401 => {
            ("Please sign in", "This page is for people who are signed in.", "Sign in, then open it again.")
        }
        403 => (
            "Not allowed",
            "You are not allowed to do this.",
            "If you need it, ask the person who runs this server. If a form brought you here, reload it and try again.",
        ),
        404 => (
            "Nothing here",
            "There is no page at this address.",
            "Check the address for typing mistakes, or start from the home page.",
        ),
        405 => (
            "That did not work",
            "This address does not accept that kind of request.",
            "Go back and use the buttons on the page.",
        ),
        409 => (
            "Somebody was faster",
            "This was changed by someone else while you were looking at it.",
            "Go back, reload the page and look at what changed.",
        ),
        413 => ("Too large", "What you sent is larger than this server accepts.", "Send less and try again."),
        429 => (
            "One moment",
            "There were too many requests from where you are.",
            "Wait a little and try again. Nothing is lost.",
        ),
        503 => ("Not ready", "Doorward is starting or busy.", "Wait a few seconds and reload the page."),
        _ => (
            "Something broke",
            "Doorward made a mistake while handling this request.",
            "Try again. If it keeps happening, send the number below to the person who runs this server.",
        ),
    }
}

/// Answer to a request for a host that is not ours (421).
#[derive(Debug, Template)]
#[template(path = "errors/wrong_host.html", config = "web/askama.toml")]
pub struct WrongHost {
    /// Common parts.
    pub frame: Frame,
    /// The host that was opened.
    pub opened: String,
    /// The origin Doorward lives at: `https://auth.home.example`.
    pub lives_at: String,
    /// To find the request in the log.
    pub request_id: String,
}
