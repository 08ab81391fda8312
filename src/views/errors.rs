//! Pages for requests that went wrong: one sentence, what to do, and a number to quote.

use askama::Template;

use super::frame::Frame;
use super::parts::Wait;
use crate::words::Words;

/// An error page.
#[derive(Debug, Template)]
#[template(path = "errors/error.html")]
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
        let (title, sentence, advice) = texts(frame.t, status);
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
fn texts(t: Words, status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        400 => (t.errors_title_400(), t.errors_sentence_400(), t.errors_advice_400()),
        401 => (t.errors_title_401(), t.errors_sentence_401(), t.errors_advice_401()),
        403 => (t.errors_title_403(), t.errors_sentence_403(), t.errors_advice_403()),
        404 => (t.errors_title_404(), t.errors_sentence_404(), t.errors_advice_404()),
        405 => (t.errors_title_400(), t.errors_sentence_405(), t.errors_advice_405()),
        409 => (t.errors_title_409(), t.errors_sentence_409(), t.errors_advice_409()),
        413 => (t.errors_title_413(), t.errors_sentence_413(), t.errors_advice_413()),
        429 => (t.errors_title_429(), t.errors_sentence_429(), t.errors_advice_429()),
        503 => (t.errors_title_503(), t.errors_sentence_503(), t.errors_advice_503()),
        410..=499 => (t.errors_title_400(), t.errors_sentence_400(), t.errors_advice_400()),
        _ => (t.errors_title_500(), t.errors_sentence_500(), t.errors_advice_500()),
    }
}

/// Answer to a request for a host that is not ours (421).
#[derive(Debug, Template)]
#[template(path = "errors/wrong_host.html")]
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
