//! Twenty-five mistakes that OpenID providers made, each tried here.

mod codes;
mod pages;
mod tokens;

use super::steps::*;
use super::*;

const OFFLINE: (&str, &str) = ("scope", "openid email offline_access");

fn rsa_key() -> PrivateKey {
    PrivateKey::from_pem(include_str!("../rsa-key.pem")).unwrap()
}

fn with_challenge(challenge: &str) -> [(&str, &str); 3] {
    [OFFLINE, ("code_challenge", challenge), ("code_challenge_method", "S256")]
}

#[track_caller]
fn refused(answer: Answer, error: &str) {
    let answer = answer.expect(400);
    assert_eq!(error_of(&answer), error, "{}", answer.text());
}

/// The page that an app's mistake is shown on: no redirect, no trace of where it wanted to lead.
#[track_caller]
fn must_stay_here(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert!(answer.header("location").is_none(), "{what}");
    let text = answer.text();
    // The form of language and colors stands on every page and stays here.
    let (forms, own) = (text.matches("<form").count(), text.matches("action=\"/preferences\"").count());
    assert!(!text.contains("evil") && forms == own, "{what}: {text}");
}
