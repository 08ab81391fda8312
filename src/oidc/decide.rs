//! What has to happen before an authorization request is answered (OIDC Core section 3.1.2.3 and 3.1.2.4). Pure.

use std::time::Duration;

use super::client::ConsentMode;
use super::error::OAuthError;
use super::request::{AuthorizationRequest, Prompt};
use crate::kernel::time::Timestamp;
use crate::sessions::Level;

/// The person in front of the browser, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// What the session proved.
    pub level: Level,
    /// When it was proven.
    pub authenticated_at: Timestamp,
    /// Whether the session proved it in a way that resists phishing.
    pub resists_phishing: bool,
    /// Whether the person has a second factor to prove.
    pub has_second_factor: bool,
    /// Whether the person has a passkey to prove.
    pub has_passkey: bool,
    /// Whether the request is for somebody else: `sub` or `id_token_hint` name another person.
    pub is_somebody_else: bool,
    /// Whether the client admits them.
    pub is_admitted: bool,
    /// Whether they agreed to this very set of scopes before.
    pub has_consented: bool,
    /// Whether they agreed just now, to this request.
    pub consents_now: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum Decision {
    /// Answer with a code.
    Grant,
    /// Show the sign-in page; with `true` also to somebody who is signed in.
    SignIn(bool),
    /// Ask for the second factor.
    StepUp,
    /// The person must have a second factor first.
    Enrol,
    /// Ask whether the app may.
    Consent,
    /// Tell the person that they may not use this app.
    NotAdmitted,
    /// Tell the client.
    Refuse(OAuthError),
}

/// Decides. `asked_at` is when this very request first asked for a fresh proof, if it did.
pub fn decide(
    request: &AuthorizationRequest,
    consent: ConsentMode,
    present: Option<&Present>,
    asked_at: Option<Timestamp>,
    now: Timestamp,
) -> Decision {
    let prompt = request.prompt;
    let Some(present) = present else {
        return if prompt.none { login_required() } else { Decision::SignIn(false) };
    };
    if let Some(decision) = freshness(request, present, asked_at, now) {
        return decision;
    }
    if present.level < request.level {
        let can_prove = present.has_second_factor;
        match (prompt.none, can_prove, request.is_level_essential) {
            (true, _, true) => return login_required(),
            (false, true, _) => return Decision::StepUp,
            (false, false, true) => return Decision::Enrol,
            // What is only liked may be left out (OIDC Core section 3.1.2.1).
            (true, _, false) | (false, false, false) => {}
        }
    }
    if request.claims.asks_phr() && !present.resists_phishing {
        // Whoever was asked for the passkey and proved something else will not prove it the next time either.
        let was_asked = asked_at.is_some_and(|asked| present.authenticated_at >= asked);
        match (prompt.none, present.has_passkey && !was_asked, request.is_level_essential) {
            (true, _, true) => return login_required(),
            (false, true, _) => return Decision::StepUp,
            (false, false, true) => return unmet(),
            (true, _, false) | (false, false, false) => {}
        }
    }
    if !present.is_admitted {
        return if prompt.none {
            Decision::Refuse(OAuthError::new("access_denied", "This person may not use the app."))
        } else {
            Decision::NotAdmitted
        };
    }
    if needs_consent(prompt, consent, present) {
        return if prompt.none {
            Decision::Refuse(OAuthError::new("consent_required", "The person has to agree first."))
        } else {
            Decision::Consent
        };
    }
    Decision::Grant
}

fn login_required() -> Decision {
    Decision::Refuse(OAuthError::new("login_required", "The person has to sign in first."))
}

fn unmet() -> Decision {
    Decision::Refuse(OAuthError::new(
        "unmet_authentication_requirements",
        "The person did not use a passkey, which the app asks for.",
    ))
}

/// Whether the person has to sign in again: as somebody else, because the request says so, or because it was too long ago.
fn freshness(
    request: &AuthorizationRequest,
    present: &Present,
    asked_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Decision> {
    let prompt = request.prompt;
    let is_fresh = asked_at.is_some_and(|asked| present.authenticated_at >= asked);
    if present.is_somebody_else {
        // Once they signed in again as the same person, asking once more would go in circles.
        return Some(if prompt.none || is_fresh { login_required() } else { Decision::SignIn(true) });
    }
    let is_too_old = request.max_age.is_some_and(|age| {
        now.since(present.authenticated_at)
            >= Duration::from_secs(age.saturating_add(1).min(u64::from(u32::MAX)))
            || age == 0
    });
    let wants_proof = prompt.login || prompt.select_account || is_too_old;
    if !wants_proof || is_fresh {
        return None;
    }
    Some(if prompt.none { login_required() } else { Decision::SignIn(true) })
}

fn needs_consent(prompt: Prompt, mode: ConsentMode, present: &Present) -> bool {
    if present.consents_now {
        return false;
    }
    match mode {
        _ if prompt.consent => true,
        ConsentMode::Skip => false,
        ConsentMode::Once => !present.has_consented,
        ConsentMode::Always => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::{Destination, ResponseMode};
    use super::super::scopes::Scopes;
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            destination: Destination {
                redirect_uri: "https://app.example.org/cb".to_owned(),
                mode: ResponseMode::Query,
                state: None,
                stand_in: None,
            },
            scopes: Scopes::parse("openid").unwrap(),
            nonce: None,
            challenge: None,
            prompt: Prompt::default(),
            max_age: None,
            level: Level::OneFactor,
            is_level_essential: false,
            claims: Default::default(),
            sub: None,
            resources: Vec::new(),
            id_token_hint: None,
            dpop_jkt: None,
        }
    }

    fn present() -> Present {
        Present {
            level: Level::OneFactor,
            resists_phishing: false,
            authenticated_at: NOW.minus(Duration::from_secs(60)),
            has_second_factor: false,
            has_passkey: false,
            is_somebody_else: false,
            is_admitted: true,
            has_consented: true,
            consents_now: false,
        }
    }

    fn says(request: &AuthorizationRequest, present: Option<Present>, asked_at: Option<Timestamp>) -> String {
        match decide(request, ConsentMode::Once, present.as_ref(), asked_at, NOW) {
            Decision::Refuse(error) => error.code.to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn somebody_signed_in_who_agreed_before_goes_straight_on() {
        assert_eq!(says(&request(), Some(present()), None), "Grant");
        assert_eq!(says(&request(), None, None), "SignIn(false)");
    }

    /// OA-14: `prompt=none` shows nothing and agrees to nothing.
    #[test]
    fn prompt_none_never_shows_anything() {
        let mut request = request();
        request.prompt.none = true;
        assert_eq!(says(&request, Some(present()), None), "Grant");
        assert_eq!(says(&request, None, None), "login_required");
        let not = |change: fn(&mut Present)| {
            let mut present = present();
            change(&mut present);
            Some(present)
        };
        assert_eq!(says(&request, not(|p| p.has_consented = false), None), "consent_required");
        assert_eq!(says(&request, not(|p| p.is_admitted = false), None), "access_denied");
        assert_eq!(says(&request, not(|p| p.is_somebody_else = true), None), "login_required");
        request.max_age = Some(30);
        assert_eq!(says(&request, Some(present()), None), "login_required");
        request.max_age = None;
        (request.level, request.is_level_essential) = (Level::TwoFactor, true);
        assert_eq!(says(&request, not(|p| p.has_second_factor = true), None), "login_required");
    }

    /// OA-14: a fresh proof is one that came after the request asked for it, and no other.
    #[test]
    fn a_fresh_proof_comes_after_the_question() {
        for change in [
            (|r| r.prompt.login = true) as fn(&mut AuthorizationRequest),
            |r| r.prompt.select_account = true,
            |r| r.max_age = Some(59),
            |r| r.max_age = Some(0),
        ] {
            let mut request = request();
            change(&mut request);
            assert_eq!(says(&request, Some(present()), None), "SignIn(true)");
            let asked = NOW.minus(Duration::from_secs(10));
            assert_eq!(says(&request, Some(present()), Some(asked)), "SignIn(true)");
            let fresh = Present { authenticated_at: NOW.minus(Duration::from_secs(5)), ..present() };
            assert_eq!(says(&request, Some(fresh), Some(asked)), "Grant");
        }
        let mut request = request();
        request.max_age = Some(60);
        assert_eq!(says(&request, Some(present()), None), "Grant");
    }

    #[test]
    fn a_second_factor_is_asked_for_where_it_is_wanted() {
        let mut request = request();
        request.level = Level::TwoFactor;
        let with = Present { has_second_factor: true, ..present() };
        assert_eq!(says(&request, Some(with), None), "StepUp");
        assert_eq!(says(&request, Some(present()), None), "Grant", "it was only liked");
        request.is_level_essential = true;
        assert_eq!(says(&request, Some(present()), None), "Enrol");
        assert_eq!(says(&request, Some(Present { level: Level::TwoFactor, ..present() }), None), "Grant");
    }

    /// A passkey is asked for once; an app that cannot do without is told, and one that only likes it goes on.
    #[test]
    fn a_passkey_is_asked_for_where_phishing_resistance_is_wanted() {
        let mut request = request();
        (request.level, request.claims) = (Level::TwoFactor, request.claims.and_phr());
        let asked = NOW.minus(Duration::from_secs(120));
        let two = Present { level: Level::TwoFactor, has_second_factor: true, ..present() };
        let with = Present { has_passkey: true, ..two };
        assert_eq!(says(&request, Some(two), None), "Grant", "it was only liked");
        assert_eq!(says(&request, Some(with), None), "StepUp");
        assert_eq!(says(&request, Some(with), Some(asked)), "Grant");
        request.is_level_essential = true;
        assert_eq!(says(&request, Some(two), None), "unmet_authentication_requirements");
        assert_eq!(says(&request, Some(with), None), "StepUp");
        assert_eq!(says(&request, Some(with), Some(asked)), "unmet_authentication_requirements");
        assert_eq!(says(&request, Some(Present { resists_phishing: true, ..with }), None), "Grant");
        request.prompt.none = true;
        assert_eq!(says(&request, Some(with), None), "login_required");
    }

    #[test]
    fn consent_is_asked_for_by_mode_and_by_prompt() {
        let mut request = request();
        let fresh = Present { has_consented: false, ..present() };
        assert_eq!(says(&request, Some(fresh), None), "Consent");
        assert_eq!(says(&request, Some(Present { consents_now: true, ..fresh }), None), "Grant");
        request.prompt.consent = true;
        assert_eq!(says(&request, Some(present()), None), "Consent");
        let skip = decide(&request, ConsentMode::Skip, Some(&present()), None, NOW);
        assert!(matches!(skip, Decision::Consent));
        request.prompt.consent = false;
        assert!(matches!(decide(&request, ConsentMode::Skip, Some(&fresh), None, NOW), Decision::Grant));
        assert!(matches!(
            decide(&request, ConsentMode::Always, Some(&present()), None, NOW),
            Decision::Consent
        ));
    }

    /// A request for somebody else is not answered with whoever is there.
    #[test]
    fn a_request_for_somebody_else_does_not_go_in_circles() {
        let other = Present { is_somebody_else: true, ..present() };
        assert_eq!(says(&request(), Some(other), None), "SignIn(true)");
        let asked = NOW.minus(Duration::from_secs(10));
        let again = Present { authenticated_at: NOW, ..other };
        assert_eq!(says(&request(), Some(again), Some(asked)), "login_required");
    }
}
