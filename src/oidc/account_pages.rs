//! What a person allowed apps, as a page of their account.

use std::net::IpAddr;

use http::StatusCode;

use super::Oidc;
use super::client::{ClientId, ConsentMode};
use super::my_apps::{AppWithAccess, Launch};
use super::shown::in_words;
use crate::access::{Access, NamedHost, Outcome};
use crate::http::{Problem, Reply, Request};
use crate::sessions::Principal;
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::views::account as views;
use crate::views::home::AppTile;
use crate::views::{Kind, initials};
use crate::words::Words;

/// The page.
const PAGE: &str = "/account/apps";

/// `GET /account/apps`: the apps that have access to the account.
pub async fn show(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let title = request.words().account_title_apps();
    let mut frame =
        frames::personal(&room.site, &room.sessions, request, principal, title, "apps-with-access");
    if request.query("done").as_deref() == Some("revoked") {
        let done = frame.t.account_done_access_revoked();
        frame = frame.with_notice(Kind::Ok, done);
    }
    let apps = room.apps_with_access(&principal.user.id).await?;
    let page =
        views::AppsWithAccess { frame, rows: apps.iter().map(|app| row(request.words(), app)).collect() };
    Reply::html(StatusCode::OK, &page)
}

fn row(t: Words, app: &AppWithAccess) -> views::AppRow {
    let settings = &app.client.settings;
    views::AppRow {
        client: app.client.id.to_string(),
        initials: shown_initials(&settings.initials, &settings.name),
        name: settings.name.clone(),
        items: app.scopes.iter().filter_map(|scope| in_words(t, scope)).collect(),
        since: app.since.into(),
        last_used: app.last_used.map(Into::into),
        is_signed_in: app.sign_ins > 0,
        stays_signed_in: app.is_offline,
        asks_again: app.client.consent() != ConsentMode::Skip,
    }
}

fn shown_initials(own: &str, name: &str) -> String {
    if own.is_empty() { initials(name) } else { own.to_owned() }
}

/// `POST /account/apps/revoke`: `client`.
pub async fn revoke(room: &Oidc, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    // It was revoked meanwhile, or the page is old: the list shows what there is.
    let Ok(client) = ClientId::parse(form.text("client")) else { return Ok(Reply::see_other(PAGE)) };
    match room.revoke_app(principal, &client, &visit(&room.sign_in, request)?).await {
        Ok(()) => Ok(Reply::see_other("/account/apps?done=revoked")),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(Reply::see_other(PAGE)),
        Err(problem) => Err(problem),
    }
}

/// Returns the apps that a person at `address` may open, as the home shows them: those that sign people in here, and the
/// hosts behind the rules. An app whose host the rules name and refuse is not shown, however it signs people in.
///
/// # Errors
/// If the store cannot be read.
pub fn tiles(
    room: &Oidc,
    access: &Access,
    principal: &Principal,
    address: Option<IpAddr>,
) -> Result<Vec<AppTile>, Problem> {
    Ok(combine(room.launches(principal)?, access.named_hosts(principal, address)))
}

fn combine(launches: Vec<Launch>, hosts: Vec<NamedHost>) -> Vec<AppTile> {
    let is_refused = |launch: &Launch| {
        hosts.iter().any(|named| named.host == launch.host && named.outcome == Outcome::Forbidden)
    };
    let tile = |launch: Launch| AppTile {
        initials: shown_initials(&launch.initials, &launch.name),
        name: launch.name,
        host: launch.host,
        url: launch.url,
        asks_more: launch.asks_more,
    };
    let mut tiles: Vec<AppTile> =
        launches.into_iter().filter(|launch| !is_refused(launch)).map(tile).collect();
    for named in hosts {
        let asks_more = matches!(named.outcome, Outcome::NeedSignIn { .. });
        match tiles.iter_mut().find(|tile| tile.host == named.host) {
            // The app has a name of its own already; its host may ask for more than it does.
            Some(tile) => tile.asks_more |= asks_more,
            None if named.outcome == Outcome::Forbidden => {}
            None => tiles.push(AppTile::of_host(named.host, asks_more)),
        }
    }
    tiles.sort_by_cached_key(|tile| (tile.name.to_lowercase(), tile.host.clone()));
    tiles
}

/// Returns the apps that stay signed in while the person is away, for the page of sessions.
///
/// # Errors
/// If the store cannot be read.
pub fn stays(room: &Oidc, principal: &Principal) -> Result<Vec<views::AppStay>, Problem> {
    let apps = room.live_and_agreed(&principal.user.id)?;
    let stay = |app: &AppWithAccess| views::AppStay {
        name: app.client.settings.name.clone(),
        since: app.since.into(),
        last_used: app.last_used.map(Into::into),
    };
    Ok(apps.iter().filter(|app| app.is_offline).map(stay).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Level;

    fn launch(name: &str, host: &str) -> Launch {
        Launch {
            name: name.to_owned(),
            initials: String::new(),
            url: format!("https://{host}/"),
            host: host.to_owned(),
            asks_more: false,
        }
    }

    #[test]
    fn an_app_stands_there_once_and_never_against_the_rules() {
        let host = |host: &str, outcome| NamedHost { host: host.to_owned(), outcome };
        let launches = vec![launch("Photos", "photos.home.example"), launch("Wiki", "wiki.home.example")];
        let hosts = vec![
            host("wiki.home.example", Outcome::Forbidden),
            host("photos.home.example", Outcome::NeedSignIn { level: Level::TwoFactor }),
            host("nas.home.example", Outcome::Allow),
            host("secret.home.example", Outcome::Forbidden),
        ];
        let tiles = combine(launches, hosts);
        let shown: Vec<_> = tiles.iter().map(|tile| (tile.name.as_str(), tile.asks_more)).collect();
        assert_eq!(shown, [("Nas", false), ("Photos", true)]);
    }
}
