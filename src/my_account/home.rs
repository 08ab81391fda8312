//! The home of a signed-in person: hello, what could be safer, and the apps to open.

use http::StatusCode;

use super::MyAccount;
use super::pages::frame;
use crate::audit::place_in_words;
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::views::Kind;
use crate::views::account::{Strip, Todo};
use crate::views::home::{AppTile, Home};
use crate::words::Words;

/// With fewer recovery codes than this the page says so.
const FEW_CODES: u8 = 3;
/// With more apps than this a search is offered.
const FEW_APPS: usize = 8;
/// The longest search for an app.
const LONGEST_QUERY: usize = 100;

/// Returns how well an account is protected, and what would make it safer.
pub(super) fn strip(
    t: Words,
    has_second_factor: bool,
    recovery_codes_left: u8,
    passkeys_work: bool,
) -> Strip {
    let warn = |text: String, label: &str, url: &'static str| Strip {
        kind: Kind::Warn,
        text,
        todo: Some(Todo { label: label.to_owned(), url }),
    };
    let codes = "/account/security#recovery";
    match (has_second_factor, recovery_codes_left) {
        (false, _) => {
            let (label, url) = match passkeys_work {
                true => (t.account_todo_passkey(), "/account/passkeys"),
                false => (t.account_todo_totp(), "/account/totp"),
            };
            warn(t.account_strip_no_factor().to_owned(), label, url)
        }
        (true, 0) => warn(t.account_strip_no_codes().to_owned(), t.account_todo_codes(), codes),
        (true, left) if left < FEW_CODES => {
            warn(t.account_strip_few_codes(u32::from(left)), t.account_todo_codes(), codes)
        }
        (true, _) => Strip { kind: Kind::Ok, text: t.account_strip_good().to_owned(), todo: None },
    }
}

/// `GET /`: the home of a signed-in person. `apps` are all that they may open.
pub async fn show(
    room: &MyAccount,
    request: &Request,
    principal: &Principal,
    apps: Vec<AppTile>,
) -> Result<Reply, Problem> {
    let user = &principal.user;
    let record = room.accounts.record(&user.id)?.value;
    let before = room.sessions.signed_in_before(&principal.session)?;
    let query = request.query("q").unwrap_or_default();
    let query: String = query.trim().chars().take(LONGEST_QUERY).collect();
    let has_search = apps.len() > FEW_APPS;
    let t = request.words();
    let passkeys_work = room.passkeys_unavailable().is_none();
    let strip = strip(t, user.has_second_factor(), record.recovery_codes_left, passkeys_work);
    let page = Home {
        frame: frame(room, request, principal, t.home_title(), "home"),
        display_name: user.display_name.to_string(),
        strip: Some(strip).filter(|strip| strip.todo.is_some()),
        apps: if has_search { found(apps, &query) } else { apps },
        has_search,
        query,
        last_sign_in: before.as_ref().map(|before| before.at.into()),
        last_sign_in_from: before.map(|before| place_in_words(&before.place, t)).unwrap_or_default(),
    };
    Reply::html(StatusCode::OK, &page)
}

/// Leaves the apps in whose name or host every word of a query is found.
fn found(apps: Vec<AppTile>, query: &str) -> Vec<AppTile> {
    let query = query.to_lowercase();
    let is_found = |app: &AppTile| {
        let text = format!("{} {}", app.name, app.host).to_lowercase();
        query.split_whitespace().all(|word| text.contains(word))
    };
    apps.into_iter().filter(is_found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strip_says_what_to_do_and_where() {
        let todo = |strip: Strip| strip.todo.map(|todo| todo.url);
        let strip = |has, left, passkeys| strip(Words::ENGLISH, has, left, passkeys);
        assert_eq!((strip(true, 10, true).kind, todo(strip(true, 10, true))), (Kind::Ok, None));
        assert!(strip(true, 1, true).text.contains("only 1 recovery code left"));
        assert!(strip(true, 0, true).text.contains("no recovery codes"));
        assert_eq!(todo(strip(true, 0, true)), Some("/account/security#recovery"));
        assert_eq!(todo(strip(false, 0, true)), Some("/account/passkeys"));
        assert_eq!(todo(strip(false, 0, false)), Some("/account/totp"));
    }

    #[test]
    fn a_search_finds_words_of_name_and_host_in_any_order() {
        let app = |name: &str, host: &str| AppTile {
            name: name.to_owned(),
            initials: String::new(),
            host: host.to_owned(),
            url: format!("https://{host}/"),
            asks_more: false,
        };
        let all = || vec![app("Grafana", "metrics.home.example"), app("Photos", "photos.home.example")];
        for (query, names) in
            [("", 2), ("GRAF", 1), ("example photos", 1), ("metrics graf", 1), ("graf photos", 0)]
        {
            assert_eq!(found(all(), query).len(), names, "{query}");
        }
    }
}
