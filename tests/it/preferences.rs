//! Language and colors: who may change them, where the way back leads, and that both languages say the same to strangers.

use doorward::accounts::records::Role;

use crate::harness::{Answer, Client, ORIGIN, PASSWORD, Server};

fn choose(client: &mut Client, back: &str) -> Answer {
    client.form("/preferences", &[("lang", "de"), ("theme", "dark"), ("back", back)])
}

/// WEB-11: the way back is a page of ours; SES-04: the cookies are ours alone.
#[test]
fn a_choice_is_kept_in_cookies_and_leads_back() {
    let server = Server::start();
    let mut client = server.client();
    let chosen = choose(&mut client, "/signin?rd=%2Faccount").expect(303);
    assert_eq!(chosen.header("location"), Some("/signin?rd=%2Faccount"));
    let cookies: Vec<&str> = chosen
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().all(|cookie| cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax")));
    let page = client.get("/signin").expect(200).text();
    assert!(page.contains("<html lang=\"de\" dir=\"ltr\" data-theme=\"dark\">"), "{page}");
    for elsewhere in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/api/v1/keys",
        "x",
    ] {
        assert_eq!(choose(&mut client, elsewhere).expect(303).header("location"), Some("/"), "{elsewhere}");
    }
}

/// WEB-03: another site changes nothing, and what is no language is none.
#[test]
fn only_our_own_pages_may_choose() {
    let server = Server::start();
    let body = b"lang=de&back=%2Fsignin";
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for headers in [
        vec![form, ("Origin", "https://evil.example")],
        vec![form, ("Origin", "null")],
        vec![form, ("Origin", ORIGIN), ("Sec-Fetch-Site", "cross-site")],
        vec![form, ("Sec-Fetch-Site", "same-site")],
        vec![form],
    ] {
        let refused = server.client().send("POST", "/preferences", &headers, body).expect(403);
        assert!(refused.header("set-cookie").is_none(), "{headers:?}");
    }
    let mut client = server.client();
    for (lang, theme) in [("xx", "pink"), ("de; Domain=evil", "dark; x"), ("", "")] {
        let reply = client.form("/preferences", &[("lang", lang), ("theme", theme)]).expect(303);
        assert!(reply.header("set-cookie").is_none(), "{lang} {theme}");
    }
    // Nor does a GET change anything (WEB-04).
    client.get("/preferences?lang=de").expect(405);
}

/// The choice goes before the app's wish, and that before the browser's.
#[test]
fn the_language_is_the_persons_then_the_apps_then_the_browsers() {
    let server = Server::start();
    let lang = |client: &mut Client, path: &str| {
        let page = client.get(path).text();
        page.split("<html lang=\"").nth(1).and_then(|rest| rest.get(..2)).unwrap_or_default().to_owned()
    };
    let wanted = "/signin?rd=%2Foauth2%2Fauthorize%3Fui_locales%3Dfr%2Bde%26client_id%3Dx";
    let mut german = server.client().with_header("Accept-Language", "de-AT,en;q=0.5");
    assert_eq!(lang(&mut german, "/signin"), "de");
    assert_eq!(lang(&mut server.client(), "/signin"), "en");
    let mut sent = server.client();
    assert_eq!(lang(&mut sent, wanted), "de", "the app asks for French, else German");
    assert_eq!(lang(&mut sent, "/signin"), "de", "and on the next page too");
    let mut decided = server.client().with_header("Accept-Language", "de");
    decided.form("/preferences", &[("lang", "en")]).expect(303);
    assert_eq!(lang(&mut decided, wanted), "en");
    // An address elsewhere chooses no language.
    let mut foreign = server.client();
    assert_eq!(lang(&mut foreign, "/signin?rd=https%3A%2F%2Fevil.example%2F%3Fui_locales%3Dde"), "en");
}

/// ENU-01, LIM-07: in each language an unknown name reads like a wrong password, also when it is suspended.
#[test]
fn no_language_tells_whether_a_name_exists() {
    for lang in ["en", "de"] {
        let server = Server::start();
        server.add_user("adazz", Role::Member, &[]);
        let mut pages = Vec::new();
        for name in ["adazz", "evezz"] {
            let mut client = server.client().with_header("Accept-Language", lang);
            let answers = (0..7).map(|_| {
                let form = [("username", name), ("password", "wrong-password-here")];
                let page = client.form("/signin", &form);
                let text = page.text().replace(name, "NAME");
                // A challenge is another one each time.
                let options = text.split("data-options=\"").nth(1).and_then(|rest| rest.split('"').next());
                (page.status, options.map_or(text.clone(), |options| text.replace(options, "")))
            });
            pages.push(answers.collect::<Vec<_>>());
        }
        assert_eq!(pages[0], pages[1], "{lang}");
        assert_eq!(pages[0].last().map(|(status, _)| *status), Some(429), "{lang}");
    }
    let server = Server::start();
    server.add_user("ada", Role::Member, &[]);
    let mut client = server.client().with_header("Accept-Language", "de");
    let right = client.form("/signin", &[("username", "ada"), ("password", PASSWORD)]);
    assert_eq!(right.status, 303);
}
