//! BREACH: the length of a compressed page tells what it holds, if an attacker's text stands beside a secret that stays
//! the same. Doorward compresses no page, but a reverse proxy may.

use doorward::accounts::records::Role;
use serde_json::json;

use crate::harness::{Answer, PASSWORD, Server};

fn csrf(page: &Answer) -> String {
    page.input("csrf").unwrap_or_else(|| panic!("{}", page.text()))
}

/// Two pages of one session share no token, and both tokens are good.
#[test]
fn no_two_pages_carry_the_same_token() {
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut ada = server.client();
    ada.post("/api/v1/auth/login/web", json!({"username": "ada", "password": PASSWORD})).expect(200);
    let tokens = [(); 3].map(|()| csrf(&ada.get("/account").expect(200)));
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2], "{tokens:?}");
    for token in &tokens {
        let fields = [("csrf", token.as_str()), ("display_name", "Ada"), ("email", "ada@example.org")];
        ada.form("/account", &fields).expect(303);
    }
    let mut turned = tokens[0].clone().into_bytes();
    turned[60] = if turned[60] == b'A' { b'B' } else { b'A' };
    let turned = String::from_utf8(turned).unwrap();
    ada.form("/account", &[("csrf", &turned), ("display_name", "Ada"), ("email", "")]).expect(403);
}

/// Pages lead back to their address with its query, but not those that show a secret.
#[test]
fn no_query_stands_beside_a_secret() {
    let server = Server::start();
    let id = server.add_user("ada", Role::Member, &[]);
    let mut ada = server.web_session(id).client(&server);
    assert_eq!(
        ada.get("/account?guess=JBSW").expect(200).input("back").as_deref(),
        Some("/account?guess=JBSW")
    );
    let page = ada.get("/account/totp?guess=JBSW").expect(200);
    assert_eq!(page.input("back").as_deref(), Some("/account/totp"));
    assert!(!page.text().contains("guess"), "{}", page.text());
}
