//! What the HTTP observatory of Mozilla would say of the pages: its rules, computed on the real server's answers
//! (`mdn/mdn-http-observatory`, the score table; WEB-07, WEB-08).

use doorward::accounts::records::Role;

use crate::harness::{Answer, Client, PASSWORD, Server};

const HOST: &str = "auth.home.localhost";
/// Half a year, in seconds.
const LONG: u64 = 15_768_000;

/// What one rule gives or takes, and why.
struct Finding {
    rule: &'static str,
    points: i32,
}

fn secure_server() -> Server {
    Server::start_with(|options| {
        options.site.public_origin = Some(format!("https://{HOST}"));
        options.site.default_origin = format!("https://{HOST}");
    })
}

fn over_https(client: Client) -> Client {
    client
        .with_header("Host", HOST)
        .with_header("Origin", &format!("https://{HOST}"))
        .with_header("X-Forwarded-Proto", "https")
        .with_header("Accept", "text/html")
}

/// Returns the sources of a directive; those of `default-src` if it falls back to them.
fn sources<'a>(policy: &'a str, directive: &str) -> Option<Vec<&'a str>> {
    let of = |name: &str| {
        let words = |part: &'a str| part.split_whitespace().collect::<Vec<_>>();
        let found = policy.split(';').map(words).find(|words| words.first() == Some(&name));
        found.map(|words| words.into_iter().skip(1).collect())
    };
    let falls_back = directive.ends_with("-src");
    of(directive).or_else(|| falls_back.then(|| of("default-src")).flatten())
}

fn content_policy(answer: &Answer) -> i32 {
    let Some(policy) = answer.header("content-security-policy") else { return -25 };
    let is_broad = |source: &&str| matches!(*source, "*" | "https:" | "http:" | "data:");
    let is_unsafe = |source: &&str| source.contains("unsafe") || is_broad(source);
    for directive in ["script-src", "object-src", "style-src"] {
        match sources(policy, directive) {
            None => return -20,
            Some(list) if list.iter().any(is_unsafe) => return -20,
            Some(_) => {}
        }
    }
    if policy.contains("http:") {
        return -20;
    }
    let is_own =
        |name: &str| sources(policy, name).is_some_and(|list| matches!(*list, ["'self'" | "'none'"]));
    let is_closed = ["base-uri", "form-action", "frame-ancestors"].into_iter().all(is_own);
    let starts_with_nothing = sources(policy, "default-src").is_some_and(|list| *list == ["'none'"]);
    if starts_with_nothing && is_closed { 10 } else { 5 }
}

fn cookies(answer: &Answer) -> i32 {
    let set = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let mut points = 0;
    for (_, cookie) in set {
        let has = |attribute: &str| cookie.split("; ").any(|part| part.eq_ignore_ascii_case(attribute));
        points = match () {
            () if !has("Secure") => return -40,
            () if !has("HttpOnly") => return -30,
            () if !has("SameSite=Lax") && !has("SameSite=Strict") => return -20,
            () => 5,
        };
    }
    points
}

/// Scripts and styles of our own need no integrity for a full score, but ours have it; one from elsewhere would cost.
fn integrity(answer: &Answer) -> i32 {
    let page = answer.text();
    let tags =
        page.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link rel=\"stylesheet"));
    for tag in tags {
        if !tag.contains("=\"/assets/") {
            return -50;
        }
        assert!(tag.contains("integrity=\"sha384-"), "{tag}");
    }
    0
}

fn findings(answer: &Answer) -> Vec<Finding> {
    let header = |name: &str| answer.header(name).unwrap_or_default();
    let has_private_referrer = matches!(
        header("referrer-policy"),
        "no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin"
    );
    let age = header("strict-transport-security")
        .split(';')
        .find_map(|part| part.trim().strip_prefix("max-age="))
        .and_then(|seconds| seconds.parse::<u64>().ok());
    let policy = header("content-security-policy");
    let is_framed_by_nobody = sources(policy, "frame-ancestors").is_some_and(|list| *list == ["'none'"]);
    let cors = header("access-control-allow-origin");
    let finding = |rule, points| Finding { rule, points };
    vec![
        finding("content policy", content_policy(answer)),
        finding("cookies", cookies(answer)),
        finding("sharing", if cors.is_empty() { 0 } else { -50 }),
        finding(
            "resource policy",
            if header("cross-origin-resource-policy") == "same-origin" { 10 } else { 0 },
        ),
        finding("referrer", if has_private_referrer { 5 } else { -5 }),
        finding("transport", if age.is_some_and(|age| age >= LONG) { 0 } else { -20 }),
        finding("integrity", integrity(answer)),
        finding("types", if header("x-content-type-options") == "nosniff" { 0 } else { -5 }),
        finding("frames", if is_framed_by_nobody { 5 } else { -20 }),
    ]
}

/// Extra points count only on a page that is good without them.
fn score(answer: &Answer) -> i32 {
    let points: Vec<i32> = findings(answer).into_iter().map(|finding| finding.points).collect();
    let base = 100 + points.iter().filter(|points| **points < 0).sum::<i32>();
    let extra = points.iter().filter(|points| **points > 0).sum::<i32>();
    if base >= 90 { base + extra } else { base }
}

#[track_caller]
fn check(what: &str, answer: &Answer) {
    let found: Vec<String> =
        findings(answer).iter().map(|one| format!("{} {:+}", one.rule, one.points)).collect();
    let score = score(answer);
    println!("{score:>4}  {what}: {}", found.join(", "));
    assert!(score >= 115, "{what}: {score}: {}", found.join(", "));
}

/// WEB-07, WEB-08: at least 115 points on every kind of page, with and without a session, found or not.
#[test]
fn every_kind_of_page_scores_high() {
    let server = secure_server();
    server.add_user("ada", Role::Admin, &[]);
    let mut client = over_https(server.client());
    for path in ["/signin", "/register", "/link/none", "/nothing", "/setup"] {
        check(path, &client.get(path));
    }
    let welcome = client.form("/signin", &[("username", "ada"), ("password", PASSWORD)]);
    assert_eq!(welcome.status, 303);
    check("signed in", &welcome);
    assert_eq!(cookies(&welcome), 5, "the answer that signs in sets cookies");
    for path in ["/", "/account", "/account/security", "/admin/people", "/admin/rules", "/signout"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        check(path, &answer);
    }
}

/// The rules find what is wrong; else the test above would prove nothing.
#[test]
fn a_weak_answer_scores_low() {
    let answer = |headers: &[(&str, &str)]| Answer {
        status: 200,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Vec::new(),
    };
    assert!(score(&answer(&[])) < 50);
    for (policy, points) in [
        ("default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", 10),
        ("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", 5),
        ("default-src 'none'; script-src 'self'", 5),
        ("default-src 'none'; script-src 'self' 'unsafe-inline'; base-uri 'none'", -20),
        ("default-src 'none'; style-src 'unsafe-inline'", -20),
        ("script-src 'self'", -20),
        ("default-src https:", -20),
    ] {
        assert_eq!(content_policy(&answer(&[("Content-Security-Policy", policy)])), points, "{policy}");
    }
    for (cookie, points) in [
        ("a=b; HttpOnly; Secure; SameSite=Lax", 5),
        ("a=b; HttpOnly; SameSite=Lax", -40),
        ("a=b; Secure; SameSite=Lax", -30),
        ("a=b; Secure; HttpOnly; SameSite=None", -20),
    ] {
        assert_eq!(cookies(&answer(&[("Set-Cookie", cookie)])), points, "{cookie}");
    }
}
