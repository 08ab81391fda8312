//! The pages of signing in and out. They work without JavaScript; every form leads to a redirect or the same page.

use http::{Method, StatusCode};
use url::Url;

use super::api::{ambiguous_cookie, visit};
use super::ceremonies::{Ceremony, Credential};
use super::destinations::Way;
use super::hops::Hops;
use super::passkeys::PasskeyAttempt;
use super::pending::{self, PendingSignIn, Wanted};
use super::registration::Policy;
use super::{Attempt, Ending, Second, SignIn, SignInError, SignedIn, Step};
use crate::accounts::User;
use crate::accounts::enrolment::Asker;
use crate::http::problem::seconds_rounded_up;
use crate::http::{Problem, Reply, Request};
use crate::kernel::secret::SecretText;
use crate::kernel::text::is_deceptive;
use crate::limits::Rule;
use crate::sessions::cookies::{self, Cookie};
use crate::sessions::{Level, Principal, SessionKind, handoff};
use crate::sign_in::frames;
use crate::views::sign_in as views;
use crate::views::{FieldErrors, Kind, Wait, When};
use crate::words::{Lang, Said, Words};

/// The longest name that a link may prefill.
const LONGEST_HINT: usize = 256;

/// What a page says about an error, if there is one: a sentence, or a pause with a countdown.
pub(super) fn explain(
    error: Option<SignInError>,
    words: Words,
) -> Result<(StatusCode, Option<String>, Option<Wait>), Problem> {
    let Some(error) = error else { return Ok((StatusCode::OK, None, None)) };
    let suspended = match &error {
        SignInError::Suspended { until, now } => {
            Some(Wait::suspended(words, &When::from(*until), seconds_rounded_up(until.since(*now))))
        }
        _ => None,
    };
    let problem = Problem::from(error);
    let wait = problem.retry_after.map(seconds_rounded_up);
    match (problem.status, suspended, wait) {
        (status, Some(wait), _) => Ok((status, None, Some(wait))),
        (StatusCode::TOO_MANY_REQUESTS, _, Some(seconds)) => {
            Ok((problem.status, None, Some(Wait::rate_limited(words, seconds.max(1)))))
        }
        (StatusCode::SERVICE_UNAVAILABLE, _, _) if problem.code == "busy" => {
            Ok((problem.status, Some(problem.detail.in_words(words)), None))
        }
        (
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::CONFLICT
            | StatusCode::GONE
            | StatusCode::UNPROCESSABLE_ENTITY,
            _,
            _,
        ) => Ok((problem.status, Some(problem.detail.in_words(words)), None)),
        _ => Err(problem),
    }
}

struct SignInForm<'a> {
    rd: Option<&'a str>,
    username: &'a str,
    remember: bool,
}

fn sign_in_page(
    room: &SignIn,
    request: &Request,
    form: &SignInForm<'_>,
    error: Option<SignInError>,
) -> Result<Reply, Problem> {
    let (status, error, wait) = explain(error, request.words())?;
    let way = Way::to(room, form.rd);
    let own = room.site.origin();
    let mut frame = frames::anonymous(&room.site, request, request.words().signin_sign_in());
    // The answer to a form has no query, and what was wanted must not get lost.
    if let Some(url) = way.target().filter(|_| request.method != Method::GET) {
        frame.here = format!("/signin?{}", query_of("rd", url.as_str()));
    }
    let page = views::SignIn {
        frame,
        hidden: way.hidden(),
        continue_to: way.goal(),
        username: form.username.to_owned(),
        remember: form.remember,
        remember_days: room.sessions.remembered_days(),
        error,
        // Whoever has to wait has to wait with a passkey too.
        passkey: Some(Ceremony::SignIn)
            .filter(|_| wait.is_none())
            .and_then(|ceremony| room.proof_options(&ceremony).ok())
            .map(|options| options.to_string()),
        wait,
        is_registration_open: room.registration == Policy::Open,
        is_insecure: !own.is_https && !request.client.is_local(),
    };
    Ok(way.allow(Reply::html(status, &page)?))
}

/// `GET /signin`: `rd` says where to go afterwards, `login_hint` prefills the name. Whoever is signed in goes there at once,
/// unless `again=1` asks for the factors anew; the session that begins then takes the place of the one there is.
pub async fn show(room: &SignIn, request: &Request, caller: Option<&Principal>) -> Result<Reply, Problem> {
    let rd = request.query("rd");
    let is_again = request.query("again").as_deref() == Some("1");
    if caller.is_some() && !is_again {
        let own_path = Way::to(room, rd.as_deref()).own_path(room);
        return Ok(Reply::see_other(&own_path.unwrap_or_else(|| portal_path(rd.as_deref()))));
    }
    let username = request.query("login_hint").filter(|hint| is_sound_hint(hint)).unwrap_or_default();
    let form = SignInForm { rd: rd.as_deref(), username: &username, remember: false };
    let reply = sign_in_page(room, request, &form, None)?;
    // The language that the app asked for, until the sign-in is over; the person's own choice goes first.
    let asked = request.asked_language().filter(|_| request.cookie(Lang::COOKIE) == Ok(None));
    Ok(match asked {
        Some(lang) => {
            let cookie =
                crate::http::SetCookie::host_only(Lang::COOKIE, lang.code()).max_age(pending::LIFETIME);
            reply.with_cookie(if request.client.is_https { cookie } else { cookie.insecure() })
        }
        None => reply,
    })
}

fn query_of(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// Tells whether a hint can stand in the field of the name: it comes from whoever made the link.
fn is_sound_hint(hint: &str) -> bool {
    hint.chars().count() <= LONGEST_HINT && !hint.chars().any(is_deceptive)
}

/// Returns the path of the portal, which decides what to do with a return address.
fn portal_path(rd: Option<&str>) -> String {
    match rd {
        Some(rd) => format!("/?{}", query_of("rd", rd)),
        None => "/".to_owned(),
    }
}

/// `POST /signin`.
pub async fn submit(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let form = request.form()?;
    let rd = form.get("rd");
    let password = SecretText::new(form.text("password").to_owned());
    let remember = form.is_ticked("remember");
    let attempt = Attempt {
        name: form.text("username"),
        password: &password,
        code: None,
        kind: SessionKind::Web,
        is_remembered: remember,
        with_refresh: false,
        return_to: Way::to(room, rd).target().map(|url| url.to_string()),
    };
    match room.attempt(attempt, &visit(room, request)?).await {
        Ok(Step::SignedIn(signed_in)) => welcome(room, request, &signed_in),
        Ok(Step::Pending { token, wanted }) => {
            let path = match wanted {
                Wanted::SecondFactor => "/signin/second-factor",
                Wanted::Enrolment => "/signin/enrol",
            };
            let reply = Reply::see_other(path);
            Ok(Cookie::Pending.set(&room.site, reply, token.expose(), Some(pending::LIFETIME)))
        }
        Err(error) => sign_in_page(
            room,
            request,
            &SignInForm { rd, username: form.text("username"), remember },
            Some(error),
        ),
    }
}

/// Sends a person who has just signed in where they wanted to go; first tells them what an administrator did (OTP-11).
fn welcome(room: &SignIn, request: &Request, signed_in: &SignedIn) -> Result<Reply, Problem> {
    let way = Way::to(room, signed_in.return_to.as_deref());
    let url = way.url();
    let reply = match &signed_in.notice {
        Some(notice) => {
            let page = views::Message {
                frame: frames::anonymous(&room.site, request, request.words().signin_read_this()),
                text: notice.in_words(request.words()),
                button: request.words().signin_continue().to_owned(),
                url: url.to_owned(),
            };
            Reply::html(StatusCode::OK, &page)?
        }
        None => Reply::see_other(url),
    };
    Ok(cookies::grant(&room.site, reply, &signed_in.started, &signed_in.device))
}

/// Returns the waiting sign-in of this browser, or sends it back to the start.
fn waiting<'a>(
    room: &SignIn,
    request: &'a Request,
    wanted: Wanted,
) -> Result<Result<(&'a str, PendingSignIn), Reply>, Problem> {
    let cookie = Cookie::Pending.read(&room.site, request).map_err(|_| ambiguous_cookie())?;
    let found = cookie.and_then(|token| room.waiting(token).map(|(waiting, user)| (token, waiting, user)));
    Ok(match found {
        Some((token, waiting, user)) if waiting.wanted == wanted => {
            if wanted == Wanted::Enrolment && user.has_second_factor() {
                return Ok(Err(start_again(room, request, &waiting, SignInError::EnrolledElsewhere)?));
            }
            Ok((token, waiting))
        }
        _ => Err(Reply::see_other("/signin")),
    })
}

/// Tells whether the waiting sign-in ended with this error, so that the password has to be typed again.
fn ends_the_waiting(error: &SignInError) -> bool {
    matches!(error, SignInError::TooManyCodes | SignInError::NothingPending | SignInError::EnrolledElsewhere)
}

/// Shows the sign-in page in place of a waiting sign-in that is over, and says why.
fn start_again(
    room: &SignIn,
    request: &Request,
    before: &PendingSignIn,
    error: SignInError,
) -> Result<Reply, Problem> {
    let form = SignInForm { rd: before.return_to.as_deref(), username: "", remember: false };
    let reply = sign_in_page(room, request, &form, Some(error))?;
    Ok(Cookie::Pending.clear(&room.site, reply))
}

/// `POST /signin/passkey`: what the browser answered, as JSON in `credential`.
pub async fn submit_passkey(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let form = request.form()?;
    let rd = form.get("rd");
    let remember = form.is_ticked("remember");
    let result = match Credential::parse(form.text("credential")) {
        Some(credential) => {
            let attempt = PasskeyAttempt {
                credential: &credential,
                kind: SessionKind::Web,
                is_remembered: remember,
                with_refresh: false,
                return_to: Way::to(room, rd).target().map(|url| url.to_string()),
            };
            room.attempt_passkey(attempt, &visit(room, request)?).await
        }
        None => Err(SignInError::WrongPasskey),
    };
    match result {
        Ok(signed_in) => welcome(room, request, &signed_in),
        Err(error) => {
            let form = SignInForm { rd, username: "", remember };
            sign_in_page(room, request, &form, Some(error))
        }
    }
}

/// `GET /signin/second-factor`.
pub async fn show_second_factor(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    match waiting(room, request, Wanted::SecondFactor)? {
        Ok((token, waiting)) => second_factor_page(room, request, token, &waiting, None),
        Err(reply) => Ok(reply),
    }
}

fn second_factor_page(
    room: &SignIn,
    request: &Request,
    token: &str,
    waiting: &PendingSignIn,
    error: Option<SignInError>,
) -> Result<Reply, Problem> {
    let hint_clock = matches!(error, Some(SignInError::WrongCode));
    let (status, error, wait) = explain(error, request.words())?;
    let user = room.accounts.user(&waiting.user).ok_or(SignInError::NothingPending)?;
    let (ceremony, t) = (Ceremony::SecondFactor(waiting.user, token), request.words());
    let way = Way::to(room, waiting.return_to.as_deref());
    let page = views::SecondFactor {
        frame: frames::anonymous(
            &room.site,
            request,
            if user.has_totp { t.signin_enter_code() } else { t.signin_use_passkey() },
        ),
        hidden: Vec::new(),
        continue_to: way.goal(),
        recovery_url: "/signin/recovery".to_owned(),
        passkey: own_passkey(room, &user, &ceremony),
        passkey_unavailable: room.passkeys_unavailable().map(|why| why(t)),
        asks_code: user.has_totp,
        hint_clock,
        digits: room.accounts.totp_digits(waiting.user)?,
        error,
        wait,
    };
    Ok(way.allow(Reply::html(status, &page)?))
}

/// Returns what a browser needs to prove a passkey of this person, if there is one and it works here.
pub(super) fn own_passkey(room: &SignIn, user: &User, ceremony: &Ceremony<'_>) -> Option<String> {
    let options = room.proof_options(ceremony).ok().filter(|_| user.passkeys > 0);
    options.map(|options| options.to_string())
}

/// `POST /signin/second-factor`.
pub async fn submit_second_factor(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    submit_code(room, request, "code", second_factor_page).await
}

/// `GET /signin/recovery`.
pub async fn show_recovery(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    match waiting(room, request, Wanted::SecondFactor)? {
        Ok((token, waiting)) => recovery_page(room, request, token, &waiting, None),
        Err(reply) => Ok(reply),
    }
}

fn recovery_page(
    room: &SignIn,
    request: &Request,
    _token: &str,
    waiting: &PendingSignIn,
    error: Option<SignInError>,
) -> Result<Reply, Problem> {
    let (status, error, wait) = match error {
        Some(SignInError::WrongCode) => {
            (StatusCode::UNAUTHORIZED, Some(request.words().signin_recovery_wrong().to_owned()), None)
        }
        other => explain(other, request.words())?,
    };
    let way = Way::to(room, waiting.return_to.as_deref());
    let page = views::Recovery {
        frame: frames::anonymous(&room.site, request, request.words().signin_recovery()),
        hidden: Vec::new(),
        continue_to: way.goal(),
        second_factor_url: "/signin/second-factor".to_owned(),
        has_app: room.accounts.user(&waiting.user).is_none_or(|user| user.has_totp),
        error,
        wait,
    };
    Ok(way.allow(Reply::html(status, &page)?))
}

/// `POST /signin/recovery`.
pub async fn submit_recovery(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    submit_code(room, request, "recovery_code", recovery_page).await
}

type PageOf = fn(&SignIn, &Request, &str, &PendingSignIn, Option<SignInError>) -> Result<Reply, Problem>;

async fn submit_code(room: &SignIn, request: &Request, field: &str, page: PageOf) -> Result<Reply, Problem> {
    let (token, before) = match waiting(room, request, Wanted::SecondFactor)? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let form = request.form()?;
    let visit = visit(room, request)?;
    let passkey = form.get("credential").filter(|text| !text.is_empty());
    let result = match passkey.map(Credential::parse) {
        None => room.finish(token, Second::Code(form.text(field)), SessionKind::Web, false, &visit).await,
        Some(Some(passkey)) => {
            room.finish(token, Second::Passkey(&passkey), SessionKind::Web, false, &visit).await
        }
        Some(None) => Err(SignInError::WrongPasskey),
    };
    match result {
        Ok(signed_in) => welcome(room, request, &signed_in),
        Err(error) if ends_the_waiting(&error) => start_again(room, request, &before, error),
        Err(error) => page(room, request, token, &before, Some(error)),
    }
}

/// `GET /signin/enrol`: the account must have a second factor before it may go on.
pub async fn show_enrolment(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    match waiting(room, request, Wanted::Enrolment)? {
        Ok((token, waiting)) => enrolment_page(room, request, token, &waiting, None).await,
        Err(reply) => Ok(reply),
    }
}

async fn enrolment_page(
    room: &SignIn,
    request: &Request,
    token: &str,
    waiting: &PendingSignIn,
    error: Option<SignInError>,
) -> Result<Reply, Problem> {
    let asker = Asker::waiting_sign_in(token);
    let user = room.accounts.user(&waiting.user).ok_or(SignInError::NothingPending)?;
    let passkey = room.registration_options(&Ceremony::Enrol(user.id, token), &user).ok();
    let enrolment = room.accounts.show_totp(waiting.user, asker, &room.site.name()).await?;
    let (status, error, wait) = explain(error, request.words())?;
    let way = Way::to(room, waiting.return_to.as_deref());
    let page = views::Enrol {
        frame: frames::anonymous(&room.site, request, request.words().signin_enrol_title()).without_query(),
        hidden: Vec::new(),
        continue_to: way.goal(),
        passkey: passkey.map(|options| options.to_string()),
        qr: crate::views::qr::qr_svg(&enrolment.otpauth_uri).unwrap_or_default(),
        secret_text: in_groups(&enrolment.secret_base32),
        otpauth_uri: enrolment.otpauth_uri,
        errors: error.map_or_else(FieldErrors::none, |text| FieldErrors::one("code", text)),
        wait,
    };
    Ok(way.allow(Reply::html(status, &page)?))
}

/// Returns a secret in groups of four, for typing.
pub fn in_groups(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// `POST /signin/enrol`: signs in and shows the recovery codes once.
pub async fn submit_enrolment(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let (token, before) = match waiting(room, request, Wanted::Enrolment)? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let form = request.form()?;
    let visit = visit(room, request)?;
    let ending = Ending { kind: SessionKind::Web, with_refresh: false };
    let passkey = form.get("credential").filter(|text| !text.is_empty());
    let enrolled = match passkey.map(Credential::parse) {
        None => room.finish_enrolment(token, form.text("code"), ending, &visit).await,
        Some(Some(passkey)) => room.finish_passkey_enrolment(token, &passkey, ending, &visit).await,
        Some(None) => Err(SignInError::WrongPasskey),
    };
    match enrolled {
        Ok((signed_in, codes)) => {
            let way = Way::to(room, before.return_to.as_deref());
            let mut frame = frames::anonymous(&room.site, request, request.words().signin_keep_codes());
            if let Some(notice) = signed_in.as_ref().and_then(|signed_in| signed_in.notice.as_ref()) {
                frame = frame.with_notice(Kind::Warn, notice.in_words(request.words()));
            }
            let user = room.accounts.user(&before.user);
            let page = views::NewRecoveryCodes {
                frame,
                action_url: "/signin/recovery-codes".to_owned(),
                hidden: way.hidden(),
                username: user.map(|user| user.username.to_string()).unwrap_or_default(),
                codes,
                errors: FieldErrors::none(),
            };
            let reply = way.allow(Reply::html(StatusCode::OK, &page)?);
            Ok(match signed_in {
                Some(signed_in) => cookies::grant(&room.site, reply, &signed_in.started, &signed_in.device),
                None => reply,
            })
        }
        Err(error) if ends_the_waiting(&error) => start_again(room, request, &before, error),
        Err(error) => enrolment_page(room, request, token, &before, Some(error)).await,
    }
}

/// `POST /signin/recovery-codes`: the codes are kept; go on.
pub async fn leave_recovery_codes(room: &SignIn, request: &Request) -> Result<Reply, Problem> {
    let form = request.form()?;
    Ok(Reply::see_other(Way::to(room, form.get("rd")).url()))
}

/// `GET /signout`: asks, because a GET changes nothing (WEB-04).
pub async fn show_sign_out(
    room: &SignIn,
    request: &Request,
    caller: Option<&Principal>,
) -> Result<Reply, Problem> {
    let rd = request.query("rd");
    let way = Way::to(room, rd.as_deref());
    let Some(principal) = caller else { return signed_out_page(room, request, &way, Vec::new()) };
    let mut frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().signin_sign_out(),
        "",
    );
    frame.viewer = None;
    let page =
        views::SignOut { frame, hidden: way.hidden(), display_name: principal.user.display_name.to_string() };
    Reply::html(StatusCode::OK, &page)
}

fn signed_out_page(room: &SignIn, request: &Request, way: &Way, told: Vec<String>) -> Result<Reply, Problem> {
    let page = views::SignedOut {
        frame: frames::anonymous(&room.site, request, request.words().signin_signed_out_title()),
        continue_to: way.name().map(|name| (way.url().to_owned(), name)),
        told,
    };
    Reply::html(StatusCode::OK, &page)
}

/// `POST /signout`: here, or everywhere.
pub async fn sign_out(room: &SignIn, request: &Request, principal: &Principal) -> Result<Reply, Problem> {
    let form = request.form()?;
    let visit = visit(room, request)?;
    let is_everywhere = form.text("scope") == "everywhere";
    let stay = Some(&principal.sid).filter(|_| !is_everywhere);
    let told = room.sessions.apps_told(&principal.user.id, stay);
    if is_everywhere {
        room.sign_out_everywhere(principal, &visit).await?;
    } else {
        room.sign_out(principal, &visit).await?;
    }
    let way = Way::to(room, form.get("rd"));
    let mut reply = cookies::revoke(&room.site, signed_out_page(room, request, &way, told)?);
    crate::http::headers::clear_site_data(&mut reply);
    Ok(reply)
}

/// How often one session may be sent to hosts whose cookies our own pages cannot set.
const HANDOFFS: Rule = Rule::new("handoff", 60, std::time::Duration::from_secs(300));

/// `GET /?rd=`: the portal that forward-auth sends browsers to. A person who is signed in well enough goes on to the
/// app; the cookie for the apps is renewed on the way, in case the protected domain was set after the sign-in. The way
/// to another domain, and to an app with a cookie of its own, is that of [`handoff`].
/// `wanted` is the level that the access rules ask of this person before the app opens, if it is not reached yet.
pub async fn portal(
    room: &SignIn,
    request: &Request,
    caller: Option<&Principal>,
    wanted: Option<Level>,
) -> Result<Option<Reply>, Problem> {
    let Some(rd) = request.query("rd") else { return Ok(None) };
    let Some(principal) = caller else {
        let onward = onward_from_sign_in(rd, request.query("rm").as_deref());
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("rd", &onward).finish();
        return Ok(Some(Reply::see_other(&format!("/signin?{query}"))));
    };
    let way = Way::to(room, Some(&rd));
    let Some(target) = way.target() else { return Ok(None) };
    let host = target.host_str().unwrap_or_default().to_owned();
    let hops = hops(request);
    if hops.is_circle(&host) || request.query("stuck").is_some() {
        return circle(room, request, principal, target).map(Some);
    }
    if wanted.is_some_and(|level| principal.level() < level) {
        return missing_factor(room, request, principal, &host).map(Some);
    }
    let mark = request.query("mark");
    if mark.is_some() {
        let verdict =
            room.limits.acquire(&HANDOFFS, &room.limits.key(&HANDOFFS, principal.session.as_bytes()));
        if !verdict.allowed {
            let sentence = Said::of(Words::signin_handoffs);
            return Err(Problem::too_many_requests("rate_limited", sentence, verdict.retry_after));
        }
    }
    let asked = handoff::Asked { mark: mark.as_deref(), is_again: request.query("again").is_some() };
    let hop = hop_cookie(room, &hops.counted(&host));
    if let Some(reply) = handoff::begin(&room.sessions, principal, target, asked).await? {
        // Once for each time that the app is gone to, not for each host on the way.
        return Ok(Some(if mark.is_some() { reply.with_cookie(hop) } else { reply }));
    }
    let mut reply = Reply::see_other(target.as_str()).with_cookie(hop);
    if let Some(domain) = room.site.protected_domain_of(&host)
        && let Some(cookie) = room.sessions.forward_cookie(&principal.session, &domain, &host, request.now)
    {
        reply = cookies::grant_forward(&room.site, reply, &domain, &cookie);
    }
    Ok(Some(reply))
}

/// Returns where a sign-in leads that `rd` and `rm` asked for. A browser comes back with GET, whatever it was kept from;
/// if that was another method, the portal looks again at what the rules ask for that one, and asks for the second factor
/// before the person has filled the form in once more.
fn onward_from_sign_in(rd: String, rm: Option<&str>) -> String {
    match rm.filter(|method| !matches!(*method, "" | "GET" | "HEAD")) {
        Some(method) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            format!("/?{}", query.append_pair("rd", &rd).append_pair("rm", method).finish())
        }
        None => rd,
    }
}

/// Says that a browser comes back from an app again and again, or from the host that should have let it in.
fn circle(room: &SignIn, request: &Request, principal: &Principal, target: &Url) -> Result<Reply, Problem> {
    let host = target.host_str().unwrap_or_default();
    let text = request.words().signin_circle(host);
    let frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().signin_circle_title(),
        "",
    );
    let page = views::Message {
        frame,
        text,
        button: request.words().signin_try_again().to_owned(),
        url: target.to_string(),
    };
    Ok(Reply::html(StatusCode::FORBIDDEN, &page)?.with_cookie(hop_cookie(room, &hops(request).without(host))))
}

/// Leads a person with one factor to the second: to prove it, or to have one first.
fn missing_factor(
    room: &SignIn,
    request: &Request,
    principal: &Principal,
    host: &str,
) -> Result<Reply, Problem> {
    if principal.user.has_second_factor() {
        let here = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
        return Ok(Reply::see_other(&format!("/step-up?{query}")));
    }
    let frame = frames::personal(
        &room.site,
        &room.sessions,
        request,
        principal,
        request.words().signin_one_more_step(),
        "",
    );
    let page = views::Message {
        frame,
        text: request.words().signin_needs_second_factor(host),
        button: request.words().signin_set_up_app().to_owned(),
        url: "/account/totp".to_owned(),
    };
    Reply::html(StatusCode::FORBIDDEN, &page)
}

/// The browser counts how often the portal sent it on within half a minute.
const HOP_COOKIE: &str = "dw_hops";

fn hops(request: &Request) -> Hops {
    request.cookie(HOP_COOKIE).ok().flatten().map(Hops::parse).unwrap_or_default()
}

fn hop_cookie(room: &SignIn, hops: &Hops) -> crate::http::SetCookie {
    let cookie = crate::http::SetCookie::host_only(HOP_COOKIE, &hops.write())
        .max_age(std::time::Duration::from_secs(30));
    if room.site.has_secure_cookies() { cookie } else { cookie.insecure() }
}
