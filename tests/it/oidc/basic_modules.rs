//! The modules of `oidcc-basic-certification-test-plan` (static client), which `oidcc-formpost-basic-certification-test-plan`
//! runs once more with `response_mode=form_post`.

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::mac::sha256;
use serde_json::{Value, json};

use super::suite::browser::Page;
use super::suite::{CALLBACK, HOST, Mode, Request, Suite, Tokens, checks, keys};
use super::{VERIFIER, challenge, text};

/// Makes a test of every module.
macro_rules! basic_modules {
    ($mode:expr) => {
        basic_modules!(@ $mode;
            oidcc_server,
            oidcc_response_type_missing,
            oidcc_idtoken_signature,
            oidcc_idtoken_unsigned,
            oidcc_userinfo_get,
            oidcc_userinfo_post_header,
            oidcc_userinfo_post_body,
            oidcc_ensure_request_without_nonce_succeeds_for_code_flow,
            oidcc_scope_profile,
            oidcc_scope_email,
            oidcc_scope_address,
            oidcc_scope_phone,
            oidcc_scope_all,
            oidcc_alternate_happy_flow,
            oidcc_display_page,
            oidcc_display_popup,
            oidcc_prompt_login,
            oidcc_prompt_none_not_logged_in,
            oidcc_prompt_none_logged_in,
            oidcc_max_age_1,
            oidcc_max_age_10000,
            oidcc_ensure_request_with_unknown_parameter_succeeds,
            oidcc_id_token_hint,
            oidcc_login_hint,
            oidcc_ui_locales,
            oidcc_claims_locales,
            oidcc_ensure_request_with_acr_values_succeeds,
            oidcc_codereuse,
            oidcc_codereuse_30seconds,
            oidcc_ensure_registered_redirect_uri,
            oidcc_ensure_post_request_succeeds,
            oidcc_server_client_secret_post,
            oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported,
            oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported,
            oidcc_claims_essential,
            oidcc_ensure_request_object_with_redirect_uri,
            oidcc_refresh_token,
            oidcc_ensure_request_with_valid_pkce_succeeds,
        );
    };
    (@ $mode:expr; $($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                super::basic_modules::$name(super::suite::Suite::start($mode));
            }
        )*
    };
}
pub(super) use basic_modules;

/// What a person who cannot be asked is refused with.
const MUST_ASK: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];
const PROFILE_CLAIMS: [&str; 14] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
    "preferred_username",
];

pub(super) fn oidcc_server(mut suite: Suite) {
    let request = suite.request();
    let visit = suite.visit(&request);
    assert_eq!(visit.pages[..2], [Page::SignIn, Page::Consent]);
    assert_eq!(visit.showed(Page::FormPost), suite.mode == Mode::FormPost);
    let code = suite.code(&visit, &request);
    let tokens = suite.check_tokens(&suite.exchange(&code), &request);
    let allowed = "iss sub aud exp iat auth_time nonce acr amr azp at_hash c_hash nbf jti sid s_hash";
    for name in tokens.id_token.as_object().unwrap().keys() {
        assert!(allowed.split(' ').any(|own| own == name), "{name} was not asked for");
    }
    for (name, value) in [("at_hash", tokens.access_token()), ("c_hash", &code)] {
        let half = BASE64URL_NOPAD.encode(&sha256(value)[..16]);
        assert!(tokens.id_token.get(name).is_none_or(|hash| *hash == half), "{name}");
    }
    let info = suite.userinfo(&tokens);
    assert_eq!(info.as_object().unwrap().len(), 1, "more than sub: {info}");
}

pub(super) fn oidcc_response_type_missing(mut suite: Suite) {
    let request = suite.request().without("response_type");
    let visit = suite.visit(&request);
    suite.error(&visit, &request, &["invalid_request", "unsupported_response_type"]);
}

pub(super) fn oidcc_idtoken_signature(mut suite: Suite) {
    let request = suite.request();
    let tokens = suite.flow(&request);
    let (header, _) = keys::verify(tokens.text("id_token"), &suite.keys);
    assert_eq!(header["alg"], "RS256", "what is used if a client says nothing");
}

/// Skipped by the suite because `none` is not listed, and that it is not.
pub(super) fn oidcc_idtoken_unsigned(suite: Suite) {
    for list in ["id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported"] {
        assert!(!checks::has(&suite.metadata[list], "none"), "{list}");
    }
}

/// The tokens of a plain flow that has not asked userinfo yet.
fn tokens(suite: &mut Suite) -> Tokens {
    let request = suite.request();
    let code = suite.authorize(&request);
    suite.check_tokens(&suite.exchange(&code), &request)
}

pub(super) fn oidcc_userinfo_get(mut suite: Suite) {
    let tokens = tokens(&mut suite);
    suite.userinfo(&tokens);
}

pub(super) fn oidcc_userinfo_post_header(mut suite: Suite) {
    let tokens = tokens(&mut suite);
    let header = format!("Bearer {}", tokens.access_token());
    let answer = suite.post("/oauth2/userinfo", &[], &[("Authorization", &header)]);
    suite.check_userinfo(&answer, &tokens);
}

pub(super) fn oidcc_userinfo_post_body(mut suite: Suite) {
    let tokens = tokens(&mut suite);
    let answer = suite.post("/oauth2/userinfo", &[("access_token", tokens.access_token())], &[]);
    suite.check_userinfo(&answer, &tokens);
}

pub(super) fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow(mut suite: Suite) {
    let request = suite.request().without("nonce");
    let tokens = suite.flow(&request);
    assert_eq!(tokens.id_token.get("nonce"), None);
}

/// Scopes in no order of their own.
fn sorted(scope: &str) -> Vec<&str> {
    let mut scopes: Vec<&str> = scope.split(' ').collect();
    scopes.sort_unstable();
    scopes
}

/// Asks for scopes; every claim of theirs must be there.
fn has_claims(suite: &mut Suite, scope: &str, names: &[&str]) -> (Tokens, Value) {
    for scope in scope.split(' ') {
        assert!(checks::has(&suite.metadata["scopes_supported"], scope), "{scope} is not listed");
    }
    let request = suite.request().with("scope", scope);
    let tokens = suite.flow(&request);
    assert_eq!(sorted(tokens.text("scope")), sorted(scope));
    let info = suite.userinfo(&tokens);
    for name in names {
        assert!(info.get(name).is_some(), "no {name}: {info}");
        assert!(checks::has(&suite.metadata["claims_supported"], name), "{name} is not listed");
        assert_eq!(tokens.id_token.get(name), None, "{name} belongs to userinfo");
    }
    assert_eq!(info.as_object().unwrap().len(), names.len() + 1, "something else: {info}");
    (tokens, info)
}

pub(super) fn oidcc_scope_profile(mut suite: Suite) {
    let (_, info) = has_claims(&mut suite, "openid profile", &PROFILE_CLAIMS);
    assert_eq!(info["preferred_username"], "ada");
    assert_eq!(info["name"], "ada Person");
}

pub(super) fn oidcc_scope_email(mut suite: Suite) {
    let (_, info) = has_claims(&mut suite, "openid email", &["email", "email_verified"]);
    assert_eq!((&info["email"], &info["email_verified"]), (&json!("ada@example.org"), &json!(true)));
}

pub(super) fn oidcc_scope_address(mut suite: Suite) {
    let (_, info) = has_claims(&mut suite, "openid address", &["address"]);
    assert_eq!(info["address"]["country"], "United Kingdom");
}

pub(super) fn oidcc_scope_phone(mut suite: Suite) {
    let (_, info) = has_claims(&mut suite, "openid phone", &["phone_number", "phone_number_verified"]);
    assert_eq!(info["phone_number_verified"], true);
}

pub(super) fn oidcc_scope_all(mut suite: Suite) {
    let mut names = PROFILE_CLAIMS.to_vec();
    names.extend(["email", "email_verified", "address", "phone_number", "phone_number_verified"]);
    has_claims(&mut suite, "openid profile email phone address", &names);
}

pub(super) fn oidcc_alternate_happy_flow(mut suite: Suite) {
    let mut request = suite.request().with("scope", "email openid");
    request.0.reverse();
    let tokens = suite.flow(&request);
    assert_eq!(sorted(tokens.text("scope")), ["email", "openid"]);
    assert_eq!(suite.userinfo(&tokens)["email"], "ada@example.org");
}

/// A flow with one more parameter.
fn flow_with(suite: &mut Suite, name: &str, value: &str) -> Tokens {
    let request = suite.request().with(name, value);
    suite.flow(&request)
}

pub(super) fn oidcc_display_page(mut suite: Suite) {
    flow_with(&mut suite, "display", "page");
}

pub(super) fn oidcc_display_popup(mut suite: Suite) {
    flow_with(&mut suite, "display", "popup");
}

/// A second visit that has to sign in again, some seconds after the first.
fn signs_in_again(suite: &mut Suite, seconds: u64, name: &str, value: &str) {
    let request = suite.request();
    let first = suite.flow(&request);
    suite.wait(seconds);
    let request = suite.request().with(name, value);
    let visit = suite.visit(&request);
    assert_eq!(visit.pages[0], Page::SignIn, "the second request");
    assert_eq!(visit.pages.iter().filter(|page| **page == Page::SignIn).count(), 1, "once");
    let code = suite.code(&visit, &request);
    let second = suite.check_tokens(&suite.exchange(&code), &request);
    assert_eq!(second.id_token["sub"], first.id_token["sub"]);
    assert!(second.auth_time() > first.auth_time(), "{} {}", second.auth_time(), first.auth_time());
    assert!(suite.now().as_secs() - second.auth_time() <= 10, "recent");
    suite.userinfo(&second);
}

pub(super) fn oidcc_prompt_login(mut suite: Suite) {
    signs_in_again(&mut suite, 1, "prompt", "login");
}

pub(super) fn oidcc_max_age_1(mut suite: Suite) {
    signs_in_again(&mut suite, 2, "max_age", "1");
}

pub(super) fn oidcc_prompt_none_not_logged_in(mut suite: Suite) {
    let state = suite.fresh(128);
    let request = suite.request().with("prompt", "none").with("state", &state);
    let visit = suite.visit(&request);
    assert!(
        visit.pages.iter().all(|page| *page == Page::FormPost),
        "nothing may be shown: {:?}",
        visit.pages
    );
    suite.error(&visit, &request, &MUST_ASK);
}

/// A second visit that shows nothing. Returns its tokens.
fn stays_signed_in(suite: &mut Suite, first: &Tokens, request: &Request) -> Tokens {
    suite.wait(1);
    let visit = suite.visit(request);
    assert!(visit.pages.iter().all(|page| *page == Page::FormPost), "something was shown: {:?}", visit.pages);
    let code = suite.code(&visit, request);
    let second = suite.check_tokens(&suite.exchange(&code), request);
    assert_eq!(second.id_token["sub"], first.id_token["sub"]);
    assert_eq!(second.auth_time(), first.auth_time());
    suite.userinfo(&second);
    second
}

pub(super) fn oidcc_prompt_none_logged_in(mut suite: Suite) {
    let request = suite.request();
    let first = suite.flow(&request);
    let request = suite.request().with("prompt", "none");
    stays_signed_in(&mut suite, &first, &request);
}

pub(super) fn oidcc_max_age_10000(mut suite: Suite) {
    let first = flow_with(&mut suite, "max_age", "15000");
    let request = suite.request().with("max_age", "10000");
    stays_signed_in(&mut suite, &first, &request);
}

pub(super) fn oidcc_ensure_request_with_unknown_parameter_succeeds(mut suite: Suite) {
    flow_with(&mut suite, "extra", "foobar");
}

pub(super) fn oidcc_id_token_hint(mut suite: Suite) {
    let request = suite.request();
    let first = suite.flow(&request);
    let request = suite.request().with("prompt", "none").with("id_token_hint", first.text("id_token"));
    stays_signed_in(&mut suite, &first, &request);
}

pub(super) fn oidcc_login_hint(mut suite: Suite) {
    flow_with(&mut suite, "login_hint", &format!("buffy@{HOST}"));
}

pub(super) fn oidcc_ui_locales(mut suite: Suite) {
    flow_with(&mut suite, "ui_locales", "se");
}

pub(super) fn oidcc_claims_locales(mut suite: Suite) {
    flow_with(&mut suite, "claims_locales", "se");
}

pub(super) fn oidcc_ensure_request_with_acr_values_succeeds(mut suite: Suite) {
    let supported = suite.metadata["acr_values_supported"].clone();
    let values: Vec<&str> = supported.as_array().unwrap().iter().map(|acr| acr.as_str().unwrap()).collect();
    let tokens = flow_with(&mut suite, "acr_values", &values.join(" "));
    assert!(checks::has(&supported, text(&tokens.id_token, "acr")));
}

pub(super) fn oidcc_codereuse(mut suite: Suite) {
    let request = suite.request();
    let code = suite.authorize(&request);
    suite.check_tokens(&suite.exchange(&code), &request);
    checks::refusal(&suite.exchange(&code), 400, &["invalid_grant"]);
}

/// OA-04
pub(super) fn oidcc_codereuse_30seconds(mut suite: Suite) {
    let request = suite.request();
    let code = suite.authorize(&request);
    let tokens = suite.check_tokens(&suite.exchange(&code), &request);
    suite.userinfo(&tokens);
    suite.wait(30);
    checks::refusal(&suite.exchange(&code), 400, &["invalid_grant"]);
    let answer = suite.caller().with_bearer(tokens.access_token()).get_json("/oauth2/userinfo");
    assert_eq!(answer.status, 401, "the first access token still works");
    assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
}

/// OA-01, OA-03
pub(super) fn oidcc_ensure_registered_redirect_uri(mut suite: Suite) {
    let other = format!("{CALLBACK}/{}", suite.fresh(10));
    let request = suite.request().with("redirect_uri", &other);
    let visit = suite.visit(&request);
    assert_eq!(visit.pages, []);
    checks::error_page(visit.at_page(), "redirect_uri is not registered");
}

pub(super) fn oidcc_ensure_post_request_succeeds(mut suite: Suite) {
    let request = suite.request();
    let visit = suite.browser.post("/oauth2/authorize", &request.0);
    let code = suite.code(&visit, &request);
    let tokens = suite.check_tokens(&suite.exchange(&code), &request);
    suite.userinfo(&tokens);
}

pub(super) fn oidcc_server_client_secret_post(mut suite: Suite) {
    suite.app = suite.add_app(json!({ "auth_method": "client_secret_post" }));
    let request = suite.request();
    let code = suite.authorize(&request);
    let app = suite.app.clone();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("client_id", &app.id),
        ("client_secret", app.secret.as_deref().unwrap()),
    ];
    let tokens = suite.check_tokens(&suite.post("/oauth2/token", &fields, &[]), &request);
    suite.userinfo(&tokens);
}

/// A request object that nobody signed.
fn request_object(request: &Request, redirect_uri: &str) -> String {
    let mut claims: Value = request.0.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    claims["redirect_uri"] = json!(redirect_uri);
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.", part(json!({ "alg": "none" })), part(claims))
}

/// OA-11
pub(super) fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(mut suite: Suite) {
    assert_eq!(suite.metadata["request_uri_parameter_supported"], false);
    let request =
        suite.request().with("request_uri", "https://app.example.org/test/a/doorward/requesturi/1#x");
    let visit = suite.visit(&request);
    suite.error(&visit, &request, &["request_uri_not_supported"]);
}

/// State and nonce are in the object alone, so it must not be passed over.
pub(super) fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(mut suite: Suite) {
    assert_eq!(suite.metadata["request_parameter_supported"], false);
    let inner = suite.request();
    let outer = inner.clone().without("state").without("nonce");
    let outer = outer.with("request", &request_object(&inner, CALLBACK));
    let visit = suite.visit(&outer);
    suite.error(&visit, &outer, &["request_not_supported"]);
}

/// OA-03: the redirect URI is looked at before the object is.
pub(super) fn oidcc_ensure_request_object_with_redirect_uri(mut suite: Suite) {
    let request = suite.request().with("redirect_uri", &format!("{CALLBACK}_invalid"));
    let request = request.clone().with("request", &request_object(&request, CALLBACK));
    let visit = suite.visit(&request);
    checks::error_page(visit.at_page(), "redirect_uri is not registered");
}

pub(super) fn oidcc_claims_essential(mut suite: Suite) {
    assert_eq!(suite.metadata["claims_parameter_supported"], true);
    let wish = json!({ "userinfo": { "name": { "essential": true } } }).to_string();
    let tokens = flow_with(&mut suite, "claims", &wish);
    assert_eq!(suite.userinfo(&tokens)["name"], "ada Person");
    assert_eq!(tokens.id_token.get("name"), None, "it was asked for in userinfo");
}

/// Goes through the flow with offline access. Returns the scope with the tokens.
fn offline(suite: &mut Suite, scope: &str) -> Tokens {
    let request = suite.request().with("scope", scope).with("prompt", "consent");
    let visit = suite.visit(&request);
    assert!(visit.showed(Page::Consent), "prompt=consent asks");
    let code = suite.code(&visit, &request);
    let tokens = suite.check_tokens(&suite.exchange(&code), &request);
    suite.userinfo(&tokens);
    tokens
}

pub(super) fn oidcc_refresh_token(mut suite: Suite) {
    assert!(checks::has(&suite.metadata["scopes_supported"], "offline_access"));
    assert!(checks::has(&suite.metadata["grant_types_supported"], "refresh_token"));
    let scope = "openid offline_access";
    let refresh = |suite: &Suite, token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        suite.post_as(&suite.app, "/oauth2/token", &fields)
    };
    let first = offline(&mut suite, scope);
    suite.wait(1);
    let body = checks::tokens(&refresh(&suite, first.text("refresh_token")), "Bearer");
    assert_ne!(text(&body, "access_token"), first.access_token());
    checks::is_unguessable(text(&body, "refresh_token"));
    let id_token = suite.check_id_token(text(&body, "id_token"), &suite.app.id);
    for name in ["iss", "sub", "aud", "azp", "auth_time"] {
        assert_eq!(id_token.get(name), first.id_token.get(name), "{name}");
    }
    assert_ne!(id_token["iat"], first.id_token["iat"]);
    assert!(id_token.get("nonce").is_none_or(|nonce| *nonce == first.id_token["nonce"]));
    suite.userinfo(&Tokens { body, id_token });
    // Another client, and its token in the hands of the first.
    let app = suite.app.clone();
    suite.app = suite.add_app(json!({ "name": "Second" }));
    suite.browser.client.cookies.clear();
    let second = offline(&mut suite, scope);
    let other = std::mem::replace(&mut suite.app, app);
    checks::refusal(&refresh(&suite, second.text("refresh_token")), 400, &["invalid_grant"]);
    suite.app = other;
    checks::tokens(&refresh(&suite, second.text("refresh_token")), "Bearer");
}

pub(super) fn oidcc_ensure_request_with_valid_pkce_succeeds(mut suite: Suite) {
    assert!(checks::has(&suite.metadata["code_challenge_methods_supported"], "S256"));
    let request = suite.request();
    let request = request.with("code_challenge", &challenge(VERIFIER)).with("code_challenge_method", "S256");
    let code = suite.authorize(&request);
    let answer = suite.exchange_as(&suite.app, &code, &[("code_verifier", VERIFIER)]);
    let tokens = suite.check_tokens(&answer, &request);
    suite.userinfo(&tokens);
}
