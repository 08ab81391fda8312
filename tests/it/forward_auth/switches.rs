//! Where Doorward departs from Authelia, and each departure turned back.

use super::*;

/// Decision 10: empty headers for nobody; turned off, none.
#[test]
fn nobody_is_named_by_empty_headers_or_by_none() {
    let server = start_with(ForwardAuthSettings { empty_identity_headers: false, ..Default::default() });
    let ada = person(&server, "ada", &[], Factors::PASSWORD);
    for by in ALL {
        assert_eq!(identity(&ask(&server, by, &visit("GET", "open.home.example", "/")).expect(200)), NONE);
        let known = ask(&server, by, &visit("GET", "open.home.example", "/").of(&ada)).expect(200);
        assert_eq!(identity(&known), [Some("ada"), Some(""), Some("ada Person"), Some("ada@example.org")]);
    }
}

/// Decision 12: an unknown `Authorization` leaves it to the cookie; turned back, it is refused with a challenge and without
/// a way to a page. `bypass` wins even then, and a denial stays one.
#[test]
fn an_unknown_authorization_is_left_to_the_cookie_or_refused() {
    let server = start_with(ForwardAuthSettings { refuse_unknown_authorization: true, ..Default::default() });
    let ada = person(&server, "ada", &[], Factors::PASSWORD);
    for by in ALL {
        for authorization in ["Token abc", "Digest x=y", "nonsense"] {
            for headers in [[("Accept", "text/html")], [("Accept", "application/json")]] {
                let ask = |method: &str, host: &str| {
                    let mut visit = visit(method, host, "/").of(&ada);
                    visit.headers = headers.to_vec();
                    super::ask(&server, by, &visit.with("Authorization", authorization))
                };
                for method in ["GET", "POST"] {
                    let answer = ask(method, "photos.home.example").expect(401);
                    let challenge = answer.header("www-authenticate");
                    assert_eq!(challenge, Some("Basic realm=\"Authorization Required\""), "{by:?}");
                    assert_eq!((answer.header("location"), identity(&answer)), (None, NONE));
                }
                assert_eq!(identity(&ask("GET", "open.home.example").expect(200)), NOBODY);
                ask("GET", "closed.home.example").expect(403);
            }
        }
        ask(&server, by, &visit("GET", "photos.home.example", "/").of(&ada)).expect(200);
    }
}

/// Decision 11: nginx is answered with three statuses; turned back, with Authelia's 400.
#[test]
fn nginx_is_answered_with_three_statuses_or_with_a_400() {
    let server = start_with(ForwardAuthSettings { nginx_statuses_only: false, ..Default::default() });
    for host in ["elsewhere.example", "auth.home.example", "a..b"] {
        ask(&server, By::AuthRequest, &visit("GET", host, "/")).expect(400);
    }
    ask(&server, By::AuthRequest, &visit("get", "open.home.example", "/")).expect(400);
    let path = "/api/authz/auth-request?authelia_url=https://evil.example/";
    ask_at(&server, By::AuthRequest, path, &visit("GET", "open.home.example", "/")).expect(400);
    ask(&server, By::AuthRequest, &visit("GET", "photos.home.example", "/")).expect(401);
    ask(&server, By::AuthRequest, &visit("GET", "closed.home.example", "/")).expect(403);
}
