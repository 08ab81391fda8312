//! App tokens as a page of one's own account.

use http::StatusCode;

use super::app_tokens::{self, Wish};
use crate::http::{Problem, Reply, Request};
use crate::my_account::pages::field_errors;
use crate::sessions::app_tokens::AppToken;
use crate::sessions::{Level, Principal};
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::sign_in::{SignIn, step_up_first};
use crate::views::account::{AppTokenRow, AppTokens, NewAppToken};
use crate::views::{Choice, FieldErrors, Kind};
use crate::words::Words;

/// The page.
const PAGE: &str = "/account/app-tokens";
/// How long a token may live, in days, and what people read.
type Life = (u32, fn(Words) -> &'static str);
/// The lives that are offered; 0 is until it is revoked.
const LIVES: [Life; 5] = [
    (30, Words::account_life_30),
    (90, Words::account_life_90),
    (365, Words::account_life_365),
    (1095, Words::account_life_1095),
    (0, Words::account_life_0),
];
const USUAL_LIFE: u32 = 365;

/// What was typed, and what is wrong with it.
struct Typed {
    name: String,
    hosts: String,
    days: u32,
    status: StatusCode,
    errors: FieldErrors,
}

impl Default for Typed {
    fn default() -> Self {
        Typed {
            name: String::new(),
            hosts: String::new(),
            days: USUAL_LIFE,
            status: StatusCode::OK,
            errors: FieldErrors::none(),
        }
    }
}

/// `GET /account/app-tokens`.
pub async fn show(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    page(room, request, principal, Typed::default(), None)
}

fn page(
    room: &SignIn,
    request: &Request,
    principal: &Principal,
    typed: Typed,
    made: Option<NewAppToken>,
) -> Result<Reply, Problem> {
    let title = request.words().account_title_app_tokens();
    let mut frame = frames::personal(&room.site, &room.sessions, request, principal, title, "app-tokens");
    if request.query("done").as_deref() == Some("revoked") {
        let done = frame.t.account_done_token_revoked();
        frame = frame.with_notice(Kind::Ok, done);
    }
    let tokens = room.sessions.app_tokens_of(&principal.user.id);
    let t = frame.t;
    let choice = |(days, label): Life| Choice::new(days.to_string(), label(t), days == typed.days);
    let page = AppTokens {
        frame,
        username: principal.user.username.to_string(),
        made,
        rows: tokens.iter().map(|token| row(token, request)).collect(),
        is_fresh: room.is_fresh(principal),
        proves_two: principal.level() == Level::TwoFactor,
        name: typed.name,
        hosts: typed.hosts,
        lives: LIVES.into_iter().map(choice).collect(),
        errors: typed.errors,
    };
    Reply::html(typed.status, &page)
}

fn row(token: &AppToken, request: &Request) -> AppTokenRow {
    AppTokenRow {
        handle: token.id.to_string(),
        name: token.name.to_string(),
        hosts: token.hosts.join(", "),
        made: token.created_at.into(),
        expires: token.expires_at.map(Into::into),
        is_expired: token.expires_at.is_some_and(|end| end <= request.now),
        last_used: token.last_used().map(Into::into),
        proves_two: token.factors.level() == Level::TwoFactor,
    }
}

/// `POST /account/app-tokens`: makes a token and shows it once.
pub async fn submit(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    if !room.is_fresh(principal) {
        return Ok(step_up_first(PAGE));
    }
    let form = request.form()?;
    let (name, hosts) = (form.text("name"), form.text("hosts"));
    let days = form.text("expires_in_days").parse().unwrap_or(USUAL_LIFE);
    let wish = Wish {
        name: name.to_owned(),
        hosts: hosts.split([',', ' ', '\n', '\r', '\t']).map(str::to_owned).collect(),
        days: (days > 0).then_some(days),
    };
    let made = match wish.parse(request.now) {
        Ok(sound) => app_tokens::make(room, principal, sound, &visit(room, request)?).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => {
            let shown = NewAppToken { name: name.trim().to_owned(), token: made.token.expose().clone() };
            page(room, request, principal, Typed::default(), Some(shown))
        }
        Err(problem) if problem.code == "step_up_required" => Ok(step_up_first(PAGE)),
        Err(problem) => {
            let status = problem.status;
            let errors = field_errors(problem, "name", request.words())?;
            let typed = Typed { name: name.to_owned(), hosts: hosts.to_owned(), days, status, errors };
            page(room, request, principal, typed, None)
        }
    }
}

/// `POST /account/app-tokens/revoke`.
pub async fn revoke(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let event = app_tokens::revoked_by_owner(principal, &visit(room, request)?);
    match app_tokens::revoke(room, &principal.user.id, form.text("handle"), event).await {
        Ok(()) => Ok(Reply::see_other("/account/app-tokens?done=revoked")),
        // It was revoked meanwhile, or the page is old: the list shows what there is.
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(Reply::see_other(PAGE)),
        Err(problem) => Err(problem),
    }
}
