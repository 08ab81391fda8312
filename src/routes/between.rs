//! Answers that take more than one room. A room knows only those below it, so what one page needs of two is put together
//! here.

use http::StatusCode;

use crate::access;
use crate::app::App;
use crate::http::{Problem, Reply, Request};
use crate::my_account::activity::NameOf;
use crate::my_account::home as account_home;
use crate::oidc::{account_api, account_pages};
use crate::operations::doctor::outside::pages::Desk;
use crate::sessions::handoff::{self, Arrival, PORTAL_PATH};
use crate::sessions::{Level, Principal};
use crate::sign_in::pages as sign_in_pages;
use crate::sign_in::second_factor_first;
use crate::views::account::AppStay;

/// `GET /`: where forward-auth sends browsers (`rd`), else the home of a signed-in person, else the sign-in.
pub(super) async fn home(app: &App, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let wanted = level_of_target(app, request, caller);
    if let Some(reply) = sign_in_pages::portal(&app.sign_in, request, caller, wanted).await? {
        return Ok(reply);
    }
    let Some(caller) = caller else { return Ok(Reply::see_other("/signin")) };
    if app.sessions.falls_short(caller) {
        return Ok(second_factor_first(caller));
    }
    let apps = account_pages::tiles(&app.oidc, &app.access, caller, request.client.visitor())?;
    account_home::show(&app.my_account, request, caller, apps).await
}

/// Returns the level that the rules ask for before the app that `rd` names opens by the method that `rm` names.
fn level_of_target(app: &App, request: &Request, caller: Option<&Principal>) -> Option<Level> {
    let rd = request.query("rd")?;
    let rm = request.query("rm").filter(|method| access::forward_auth::is_method(method));
    match app.access.decide_return(&rd, rm.as_deref(), request.client.visitor(), caller)?.outcome {
        access::Outcome::NeedSignIn { level } => Some(level),
        _ => None,
    }
}

/// The apps with access to the caller's account, as their export shows them.
pub(super) async fn apps_of(app: &App, caller: &Principal) -> Result<serde_json::Value, Problem> {
    account_api::document(&app.oidc, &caller.user.id).await
}

/// The apps that stay signed in to the caller's account.
pub(super) async fn stays_of(app: &App, caller: &Principal) -> Result<Vec<AppStay>, Problem> {
    account_pages::stays(&app.oidc, caller)
}

/// How many apps have access to the caller's account.
pub(super) async fn count_apps(app: &App, caller: &Principal) -> Result<usize, Problem> {
    Ok(app.oidc.live_and_agreed(&caller.user.id)?.len())
}

/// The names of apps, for what happened to the caller's account.
pub(super) async fn names_of_apps<'a>(app: &'a App, _caller: &Principal) -> Result<NameOf<'a>, Problem> {
    Ok(Box::new(|id| app.oidc.client(id).map(|client| client.settings.name.clone())))
}

/// `GET /api/handoff` at the portal of a domain.
pub(super) async fn arrive(app: &App, request: &Request) -> Result<Reply, Problem> {
    let named = request.client.host.as_deref().unwrap_or_default();
    let domain = app.site.domain_of_portal(named).ok_or_else(Problem::not_found)?;
    let host = domain.portal_host().ok_or_else(Problem::not_found)?;
    let arrival = Arrival {
        request,
        method: request.method.as_str(),
        path: PORTAL_PATH,
        query: request.uri.query().unwrap_or_default(),
        host,
        domain: &domain,
        redirect: StatusCode::SEE_OTHER,
    };
    handoff::arrive(&app.sessions, arrival).await
}

/// The doctor, with where proxies reach Doorward.
pub(super) fn desk(app: &App) -> Desk<'_> {
    Desk { outside: &app.outside, admin: &app.admin, doorward: app.setup.own_url() }
}
