//! The language and the colors of the pages: a visitor's choice, kept in two cookies. They hold no secret and open nothing,
//! so the switch works before anybody signs in, and during the setup.

use std::time::Duration;

use super::{Method2, ROUTES};
use crate::app::App;
use crate::http::cookies::SetCookie;
use crate::http::redirect::safe_return_target;
use crate::http::{Problem, Reply, Request, csrf};
use crate::views::Theme;
use crate::words::{Lang, Said, Words};

/// How long a choice is kept: as long as browsers keep anything.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// `POST /preferences`: `lang` and `theme`, either or both, and `back`, a page of ours. Only our own pages may send it.
pub(super) async fn submit(app: &App, request: &Request) -> Result<Reply, Problem> {
    let expected = app.expected_origin(request);
    // During the setup the public address may be another one than that of the visitor.
    let opened = request.client.origin();
    let is_ours = |origin: &str| csrf::check_origin(&request.headers, origin).is_ok();
    if !is_ours(&expected) && !opened.as_deref().is_some_and(is_ours) {
        return Err(Problem::forbidden("csrf", Said::of(Words::errors_foreign_form)));
    }
    let form = request.form()?;
    let mut reply = Reply::see_other(&back(&expected, form.text("back")));
    if let Some(lang) = Lang::ALL.into_iter().find(|lang| lang.code() == form.text("lang")) {
        reply = reply.with_cookie(cookie(request, Lang::COOKIE, lang.code()));
    }
    let theme = Theme::from_cookie(form.text("theme"));
    if theme != Theme::Auto {
        reply = reply.with_cookie(cookie(request, Theme::COOKIE, theme.as_str()));
    }
    Ok(reply)
}

fn cookie(request: &Request, name: &str, value: &str) -> SetCookie {
    let cookie = SetCookie::host_only(name, value).max_age(KEPT);
    if request.client.is_https { cookie } else { cookie.insecure() }
}

/// Returns where to go back to: a page of ours that is there for looking at (WEB-11), else the one above it, else the
/// first one.
fn back(origin: &str, wanted: &str) -> String {
    let Some(target) = safe_return_target(wanted, origin, |_| false) else { return "/".to_owned() };
    let mut path = target.path();
    if is_page(path) {
        return target.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    }
    while let Some((above, _)) = path.rsplit_once('/') {
        if is_page(above) {
            return above.to_owned();
        }
        path = above;
    }
    "/".to_owned()
}

fn is_page(path: &str) -> bool {
    let is_alike = |pattern: &str| {
        let (mut own, mut asked) = (pattern.split('/'), path.split('/'));
        loop {
            match (own.next(), asked.next()) {
                (None, None) => return true,
                (Some(own), Some(asked)) if own == asked || own.starts_with('{') && !asked.is_empty() => {}
                _ => return false,
            }
        }
    };
    ROUTES
        .iter()
        .any(|route| route.method == Method2::Get && route.face == super::Face::Page && is_alike(route.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WEB-11: the way back leads to pages of ours and nowhere else.
    #[test]
    fn the_way_back_stays_here() {
        let origin = "https://auth.home.example";
        for (wanted, leads_to) in [
            ("/signin", "/signin"),
            ("/signin?rd=%2Faccount&x=1", "/signin?rd=%2Faccount&x=1"),
            ("https://auth.home.example/account", "/account"),
            ("/link/abc", "/link/abc"),
            ("/account/password", "/account"),
            ("/signin/passkey", "/signin"),
            ("/nothing/at/all", "/"),
            ("", "/"),
            ("https://evil.example/signin", "/"),
            ("//evil.example/signin", "/"),
            ("/\\evil.example", "/"),
            ("https://auth.home.example@evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/api/v1/users/me", "/"),
            ("/signin\r\nSet-Cookie: a=b", "/"),
        ] {
            assert_eq!(back(origin, wanted), leads_to, "{wanted}");
        }
    }
}
