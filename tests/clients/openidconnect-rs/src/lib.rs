//! openidconnect 4 (Rust), the crate behind Vaultwarden and Proxmox VE, signs in at Doorward.
#![cfg(test)]

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreIdTokenClaims, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, LogoutRequest,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl,
    ProviderMetadataWithLogout, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

const CALLBACK: &str = "https://app.example/callback";
const SIGNED_OUT: &str = "https://app.example/signed-out";

type Configured = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Sends a request as it is: no redirect is followed, no status is an error.
fn http(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
    let mut answer = ureq::Agent::new_with_config(config).run(request)?;
    let body = answer.body_mut().read_to_vec()?;
    let (head, _) = answer.into_parts();
    Ok(HttpResponse::from_parts(head, body))
}

/// Asks the stage; fails with what it said.
fn ask<T: for<'a> Deserialize<'a>>(path: &str, body: Option<Value>) -> T {
    let url = format!("{}{path}", std::env::var("CLIENTS_STAGE").expect("CLIENTS_STAGE names the stage"));
    let request = match body {
        None => openidconnect::http::Request::get(url).body(Vec::new()),
        Some(body) => openidconnect::http::Request::post(url).body(body.to_string().into_bytes()),
    };
    let answer = http(request.expect("a request")).expect("the stage answers");
    let said = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.status().is_success(), "{said}");
    serde_json::from_str(&said).expect(&said)
}

#[derive(Deserialize)]
struct Person {
    issuer: String,
    username: String,
    name: String,
    email: String,
}

/// Walks a browser of this name through the pages; returns the parameters it comes back with.
fn walk_to(browser: &str, url: &str, until: &str) -> std::collections::HashMap<String, String> {
    let end: Value = ask("/walk", Some(json!({ "browser": browser, "url": url, "until": until })));
    let back = end["url"].as_str().unwrap_or_default();
    assert!(back.starts_with(until), "the walk ended elsewhere: {end:#}");
    openidconnect::url::Url::parse(back).expect("an address").query_pairs().into_owned().collect()
}

/// An app with a client of its own.
struct App {
    name: String,
    client: Configured,
    metadata: ProviderMetadataWithLogout,
    person: Person,
}

/// What an app keeps while the person is away.
struct Away {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    code: AuthorizationCode,
}

impl App {
    fn new(name: &str, alg: &str) -> Self {
        let person: Person = ask("/", None);
        let fields = json!({ "id": name, "name": name, "id_token_alg": alg, "redirect_uris": [CALLBACK], "post_logout_redirect_uris": [SIGNED_OUT] });
        let added: Value = ask("/clients", Some(fields));
        let secret = added["client_secret"].as_str().expect("a secret").to_owned();
        let issuer = IssuerUrl::new(person.issuer.clone()).expect("an issuer");
        let metadata = ProviderMetadataWithLogout::discover(&issuer, &http).expect("discovery");
        let id = ClientId::new(name.to_owned());
        let client =
            CoreClient::from_provider_metadata(metadata.clone(), id, Some(ClientSecret::new(secret)))
                .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).expect("an address"));
        App { name: name.to_owned(), client, metadata, person }
    }

    /// Sends the person off and takes them back.
    fn authorize(&self) -> Away {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request = self.client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        let scopes = ["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned()));
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let back = walk_to(&self.name, url.as_str(), CALLBACK);
        assert_eq!(back.get("state"), Some(state.secret()), "{back:?}");
        assert_eq!(back.get("iss"), Some(&self.person.issuer), "{back:?}");
        let code = AuthorizationCode::new(back.get("code").expect("a code").clone());
        Away { nonce, verifier, code }
    }

    fn redeem(
        &self,
        code: AuthorizationCode,
        verifier: PkceCodeVerifier,
    ) -> Result<CoreTokenResponse, String> {
        let request = self.client.exchange_code(code).expect("a token endpoint").set_pkce_verifier(verifier);
        request.request(&http).map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => answer.error().to_string(),
            other => format!("{other:?}"),
        })
    }

    /// Verifies an id_token: signature, issuer, audience, times, nonce and, where it is there, the token's hash.
    fn verify<'a>(&self, tokens: &'a CoreTokenResponse, nonce: &Nonce) -> &'a CoreIdTokenClaims {
        let verifier = self.client.id_token_verifier();
        let id_token = tokens.id_token().expect("an id_token");
        let claims = id_token.claims(&verifier, nonce).expect("a right id_token");
        if let Some(expected) = claims.access_token_hash() {
            let alg = id_token.signing_alg().expect("an algorithm");
            let key = id_token.signing_key(&verifier).expect("a key");
            let hash = AccessTokenHash::from_token(tokens.access_token(), alg, key).expect("a hash");
            assert_eq!(&hash, expected);
        }
        claims
    }

    fn refresh(&self, tokens: &CoreTokenResponse) -> Result<CoreTokenResponse, String> {
        let token = tokens.refresh_token().expect("a refresh token");
        let request = self.client.exchange_refresh_token(token).expect("a token endpoint");
        request.request(&http).map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => answer.error().to_string(),
            other => format!("{other:?}"),
        })
    }

    /// Asks Doorward to end the session, as the one who has this id_token.
    fn sign_out(&self, id_token: &CoreIdToken) {
        let endpoint =
            self.metadata.additional_metadata().end_session_endpoint.clone().expect("an end of sessions");
        let back = PostLogoutRedirectUrl::new(SIGNED_OUT.to_owned()).expect("an address");
        let request =
            LogoutRequest::from(endpoint).set_id_token_hint(id_token).set_post_logout_redirect_uri(back);
        let state = CsrfToken::new_random();
        let parameters =
            walk_to(&self.name, request.set_state(state.clone()).http_get_url().as_str(), SIGNED_OUT);
        assert_eq!(parameters.get("state"), Some(state.secret()), "{parameters:?}");
    }
}

fn signs_in_refreshes_and_signs_out(alg: &str) {
    let app = App::new(&format!("openidconnect-{alg}"), alg);
    let Away { nonce, verifier, code } = app.authorize();
    let tokens = app.redeem(code, verifier).expect("tokens");
    let claims = app.verify(&tokens, &nonce);
    assert_eq!(claims.preferred_username().map(|name| name.as_str()), Some(app.person.username.as_str()));
    let request = app.client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()));
    let told: CoreUserInfoClaims = request.expect("a userinfo endpoint").request(&http).expect("userinfo");
    assert_eq!(told.subject(), claims.subject());
    assert_eq!(told.preferred_username().map(|name| name.as_str()), Some(app.person.username.as_str()));
    assert_eq!(told.email().map(|email| email.as_str()), Some(app.person.email.as_str()));
    assert_eq!(
        told.name().and_then(|name| name.get(None)).map(|name| name.as_str()),
        Some(app.person.name.as_str())
    );

    let renewed = app.refresh(&tokens).expect("new tokens");
    assert_ne!(renewed.access_token().secret(), tokens.access_token().secret());
    let id_token = renewed.id_token().expect("an id_token");
    let verifier = app.client.id_token_verifier();
    let again = id_token.claims(&verifier, |_: Option<&Nonce>| Ok(())).expect("a right id_token");
    assert_eq!(again.subject(), claims.subject());

    app.sign_out(id_token);
    let last = if renewed.refresh_token().is_some() { &renewed } else { &tokens };
    assert_eq!(app.refresh(last).expect_err("a dead refresh token").to_string(), "invalid_grant");
}

#[test]
fn openidconnect_signs_in_refreshes_and_signs_out_with_rs256() {
    signs_in_refreshes_and_signs_out("RS256");
}

#[test]
fn openidconnect_signs_in_refreshes_and_signs_out_with_eddsa() {
    signs_in_refreshes_and_signs_out("EdDSA");
}

#[test]
fn openidconnect_refuses_another_nonce_and_another_signature() {
    let app = App::new("openidconnect-tampered", "RS256");
    let Away { verifier, code, nonce } = app.authorize();
    let tokens = app.redeem(code, verifier).expect("tokens");
    let id_token = tokens.id_token().expect("an id_token");
    let verifier = app.client.id_token_verifier();
    let refused = id_token.claims(&verifier, &Nonce::new("another".to_owned()));
    assert!(matches!(refused, Err(ClaimsVerificationError::InvalidNonce(_))), "{refused:?}");

    let text = id_token.to_string();
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed: CoreIdToken = format!("{signed}.{first}{}", &signature[1..]).parse().expect("a token");
    let refused = changed.claims(&verifier, &nonce);
    let expected = Err(ClaimsVerificationError::SignatureVerification(
        SignatureVerificationError::CryptoError(String::new()),
    ));
    assert_eq!(std::mem::discriminant(&refused.map(|_| ())), std::mem::discriminant(&expected));
}

#[test]
fn openidconnect_gets_nothing_for_a_code_with_another_verifier_or_twice() {
    let app = App::new("openidconnect-once", "RS256");
    let Away { code, .. } = app.authorize();
    let (_, other) = PkceCodeChallenge::new_random_sha256();
    assert_eq!(app.redeem(code, other).expect_err("another verifier"), "invalid_grant");

    let Away { code, verifier, .. } = app.authorize();
    let again = PkceCodeVerifier::new(verifier.secret().clone());
    let tokens = app.redeem(code.clone(), verifier).expect("tokens");
    assert_eq!(app.redeem(code, again).expect_err("a second use"), "invalid_grant");
    // Who used it first may be the thief, so what they got ends with it.
    assert_eq!(app.refresh(&tokens).expect_err("a refresh token of a stolen code"), "invalid_grant");
}
