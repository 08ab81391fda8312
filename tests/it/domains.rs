//! Several root domains with one sign-in, over real HTTP: a browser with the cookie rules of RFC 6265bis, and a reverse
//! proxy in front of the apps that asks in either dialect.

use std::sync::Arc;
use std::time::Duration;

use doorward::accounts::records::Role;
use doorward::app::Options;
use doorward::kernel::time::{TestClock, Timestamp};
use doorward::sessions::Factors;
use url::Url;

use crate::harness::{Answer, Client, PASSWORD, Server, TempDir, exchange, in_parallel};

const MAIN: &str = "https://auth.home.example";
const PORTAL: &str = "https://auth.other.example";
const PHOTOS: &str = "https://photos.home.example/";
const NOTES: &str = "https://notes.other.example/a?b=c%20d&e=/";
const FIRST: &str = "https://a.third.example/x?y=z";
const SECOND: &str = "https://b.third.example/";
const BANK: &str = "https://bank.other.example/money";

const RULES: &[&str] = &[
    "allow two_factor domain=bank.other.example",
    "bypass domain=open.third.example",
    "allow one_factor domain=*.home.example",
    "allow one_factor domain=*.other.example",
    "allow one_factor domain=*.third.example",
];

fn settings(options: &mut Options) {
    options.site.public_origin = Some(MAIN.to_owned());
    options.site.protected_domain = None;
    options.site.protected_domains =
        ["home.example", "other.example portal=auth.other.example", "third.example cookie=host"]
            .map(str::to_owned)
            .to_vec();
}

fn server() -> Server {
    let server = Server::start_with(settings);
    server.set_rules(RULES);
    server
}

fn restart(server: Server) -> Server {
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    Server::start_at(dir, clock, settings)
}

/// How the proxy in front of the apps asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proxy {
    Nginx,
    Traefik,
}

#[derive(Clone, Debug)]
struct Kept {
    name: String,
    value: String,
    /// The host that set it, or with a leading dot the domain that it is for.
    scope: String,
    header: String,
}

/// A browser. It follows redirects over all hosts and keeps cookies as RFC 6265bis says.
#[derive(Clone)]
struct Browser {
    server: std::net::SocketAddr,
    proxy: Proxy,
    jar: Vec<Kept>,
    /// Cookies of this host are not kept.
    forgets: Option<&'static str>,
    /// Redirects stop in front of addresses that begin so.
    stops_at: Option<String>,
    /// Every address that was opened.
    trail: Vec<String>,
}

fn host_of(url: &str) -> String {
    Url::parse(url).unwrap().host_str().unwrap().to_owned()
}

impl Browser {
    fn new(server: &Server, proxy: Proxy) -> Browser {
        let server = server.address;
        Browser { server, proxy, jar: Vec::new(), forgets: None, stops_at: None, trail: Vec::new() }
    }

    fn cookies(&self, host: &str) -> Vec<(String, String)> {
        let is_sent = |kept: &&Kept| match kept.scope.strip_prefix('.') {
            Some(domain) => host == domain || host.ends_with(&kept.scope),
            None => kept.scope == host,
        };
        self.jar.iter().filter(is_sent).map(|kept| (kept.name.clone(), kept.value.clone())).collect()
    }

    fn value(&self, name: &str, host: &str) -> String {
        let found = self.cookies(host).into_iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("no {name} at {host}: {:?}", self.jar)).1
    }

    fn keep(&mut self, host: &str, answer: &Answer) {
        for (_, header) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            assert!(header.len() <= 200, "{} bytes: {header}", header.len());
            let (pair, attributes) = header.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let domain = attributes.split("; ").find_map(|one| one.strip_prefix("Domain="));
            assert!(attributes.contains("; Secure") && attributes.contains("; HttpOnly"), "{header}");
            if name.starts_with("__Host-") {
                assert!(domain.is_none() && attributes.contains("Path=/;"), "{header}");
            }
            if let Some(domain) = domain {
                assert!(host == domain || host.ends_with(&format!(".{domain}")), "{host} sets {header}");
            }
            if self.forgets == Some(host) {
                continue;
            }
            let scope = domain.map_or_else(|| host.to_owned(), |domain| format!(".{domain}"));
            self.jar.retain(|kept| kept.name != name || kept.scope != scope);
            if !attributes.contains("Max-Age=0") {
                let (name, value) = (name.to_owned(), value.to_owned());
                self.jar.push(Kept { name, value, scope, header: header.clone() });
            }
        }
    }

    /// Sends one request to Doorward under its own hosts.
    fn send(&mut self, method: &str, url: &str, fields: &[(&str, &str)]) -> Answer {
        let parsed = Url::parse(url).unwrap();
        let host = parsed.host_str().unwrap().to_owned();
        let target = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        let mut client =
            Client { address: self.server, cookies: self.cookies(&host), bearer: None, headers: Vec::new() };
        client.headers = [("Host", &*host), ("X-Forwarded-Proto", "https"), ("Origin", MAIN)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let answer = if method == "POST" { client.form(&target, fields) } else { client.get(&target) };
        self.keep(&host, &answer);
        answer
    }

    /// Asks as the proxy of an app does, with the cookies that the browser sends to the app.
    fn ask(&self, method: &str, url: &str) -> Answer {
        ask(self.server, self.proxy, method, url, &self.cookies(&host_of(url)))
    }

    /// Opens one address, without following anything.
    fn look(&mut self, url: &str) -> Answer {
        self.trail.push(url.to_owned());
        let host = host_of(url);
        if [MAIN, PORTAL].iter().any(|own| host_of(own) == host) {
            return self.send("GET", url, &[]);
        }
        let answer = self.ask("GET", url);
        let cookies =
            answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).count();
        assert!(cookies <= 1, "nginx hands on one cookie only");
        self.keep(&host, &answer);
        answer
    }

    fn follow(&mut self, mut answer: Answer, mut at: String) -> (String, Answer) {
        for _ in 0..30 {
            let Some(location) = answer.header("location") else { return (at, answer) };
            let next = Url::parse(&at).unwrap().join(location).unwrap().to_string();
            if self.stops_at.as_ref().is_some_and(|stop| next.starts_with(stop)) {
                return (next, answer);
            }
            at = next;
            answer = self.look(&at.clone());
        }
        panic!("a loop: {:#?}", self.trail);
    }

    /// Opens an address and returns where that ends.
    fn open(&mut self, url: &str) -> (String, Answer) {
        self.trail.clear();
        let answer = self.look(url);
        self.follow(answer, url.to_owned())
    }

    /// Opens an app and signs in on the way.
    #[track_caller]
    fn sign_in(&mut self, name: &str, url: &str, remember: bool) -> (String, Answer) {
        let (at, page) = self.open(url);
        assert!(at.starts_with(&format!("{MAIN}/signin")), "{at}");
        let rd = page.expect(200).input("rd").unwrap().replace("&#38;", "&").replace("&amp;", "&");
        assert_eq!(rd, url);
        let mut fields = vec![("username", name), ("password", PASSWORD), ("rd", &*rd)];
        if remember {
            fields.push(("remember", "on"));
        }
        let answer = self.send("POST", &format!("{MAIN}/signin"), &fields).expect(303);
        self.follow(answer, format!("{MAIN}/signin"))
    }

    #[track_caller]
    fn arrives(&mut self, name: &str, url: &str) {
        let (at, answer) = self.open(url);
        assert_eq!((at.as_str(), answer.status), (url, 200), "{:#?}", self.trail);
        assert_eq!(answer.header("remote-user"), Some(name));
    }

    /// Returns where a browser is sent that has to sign in.
    #[track_caller]
    fn must_sign_in(&mut self, url: &str) {
        let (at, answer) = self.open(url);
        assert!(at.starts_with(&format!("{MAIN}/signin?rd=")), "{at}: {answer:?}");
    }
}

fn ask(
    address: std::net::SocketAddr,
    proxy: Proxy,
    method: &str,
    url: &str,
    cookies: &[(String, String)],
) -> Answer {
    let parsed = Url::parse(url).unwrap();
    let target = &url[url.match_indices('/').nth(2).unwrap().0..];
    let mut head = match proxy {
        Proxy::Nginx => format!(
            "GET /api/authz/auth-request HTTP/1.1\r\nX-Original-URL: {url}\r\nX-Original-Method: {method}\r\n"
        ),
        Proxy::Traefik => format!(
            "GET /api/authz/forward-auth HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: {}\r\n\
             X-Forwarded-Uri: {target}\r\nX-Forwarded-Method: {method}\r\n",
            parsed.host_str().unwrap()
        ),
    };
    head.push_str("Host: doorward\r\nAccept: text/html\r\nConnection: close\r\n");
    if !cookies.is_empty() {
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        head.push_str(&format!("Cookie: {}\r\n", pairs.join("; ")));
    }
    let answer = exchange(address, format!("{head}\r\n").as_bytes());
    let known: &[u16] = if proxy == Proxy::Nginx { &[200, 401, 403] } else { &[200, 302, 303, 400, 403] };
    assert!(known.contains(&answer.status), "{proxy:?}: {}", answer.status);
    answer
}

const PROXIES: [Proxy; 2] = [Proxy::Nginx, Proxy::Traefik];

#[test]
fn one_sign_in_opens_the_apps_of_all_domains() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    for proxy in PROXIES {
        let mut browser = Browser::new(&server, proxy);
        let (at, answer) = browser.sign_in("ada", PHOTOS, false);
        assert_eq!((at.as_str(), answer.status), (PHOTOS, 200));
        for url in [NOTES, FIRST, SECOND, PHOTOS, NOTES, FIRST] {
            browser.arrives("ada", url);
            assert!(browser.trail.len() <= 6, "{:#?}", browser.trail);
        }
        assert_eq!(browser.trail.len(), 1, "who has the cookie is sent nowhere");
        let domains = |name: &str| -> Vec<String> {
            browser.jar.iter().filter(|kept| kept.name == name).map(|kept| kept.scope.clone()).collect()
        };
        assert_eq!(domains("__Secure-dw_fa"), [".home.example", ".other.example"]);
        assert_eq!(domains("__Host-dw_app"), ["a.third.example", "b.third.example"]);
        for kept in
            browser.jar.iter().filter(|kept| kept.name.contains("dw_fa") || kept.name.contains("dw_app"))
        {
            assert!(kept.name.len() + kept.value.len() < 100 && !kept.header.contains("Max-Age"), "{kept:?}");
        }
    }
}

#[test]
fn a_sign_in_that_begins_at_another_domain_ends_on_the_very_page() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    for proxy in PROXIES {
        for url in [NOTES, FIRST] {
            let mut browser = Browser::new(&server, proxy);
            let (at, answer) = browser.sign_in("ada", url, false);
            assert_eq!((at.as_str(), answer.status), (url, 200), "{:#?}", browser.trail);
            assert_eq!(answer.header("remote-user"), Some("ada"));
            browser.arrives("ada", PHOTOS);
        }
    }
}

/// WEB-07: forms may lead over the portal of the other domain, because browsers look at the whole chain of redirects.
#[test]
fn the_sign_in_page_lets_its_form_lead_all_the_way() {
    let server = server();
    let mut browser = Browser::new(&server, Proxy::Nginx);
    for (url, sources) in [
        (NOTES, "form-action 'self' https://notes.other.example https://auth.other.example;"),
        (FIRST, "form-action 'self' https://a.third.example;"),
        (PHOTOS, "form-action 'self' https://photos.home.example;"),
    ] {
        let (_, page) = browser.open(url);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains(sources), "{policy}");
    }
}

/// SES-05: what opens one app or domain opens nothing else, under whatever name it is sent.
#[test]
fn a_cookie_is_worth_nothing_anywhere_else() {
    let server = server();
    server.add_user("ada", Role::Admin, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    for url in [NOTES, FIRST, SECOND] {
        browser.arrives("ada", url);
    }
    let session = ("__Host-dw", browser.value("__Host-dw", "auth.home.example"), MAIN);
    let cookies = [
        session,
        ("__Secure-dw_fa", browser.value("__Secure-dw_fa", "photos.home.example"), PHOTOS),
        ("__Secure-dw_fa", browser.value("__Secure-dw_fa", "notes.other.example"), NOTES),
        ("__Host-dw_app", browser.value("__Host-dw_app", "a.third.example"), FIRST),
        ("__Host-dw_app", browser.value("__Host-dw_app", "b.third.example"), SECOND),
    ];
    let names = ["__Host-dw", "__Secure-dw_fa", "__Host-dw_app"];
    let mut opened = 0;
    for (own_name, value, own_place) in &cookies {
        for name in names {
            let pair = vec![(name.to_owned(), value.clone())];
            for url in [PHOTOS, NOTES, FIRST, SECOND] {
                for proxy in PROXIES {
                    let is_own = url == *own_place && name == *own_name;
                    let answer = ask(server.address, proxy, "GET", url, &pair);
                    assert_eq!(answer.status == 200, is_own, "{own_place} as {name} at {url}");
                    opened += usize::from(is_own);
                }
            }
            let mut client = server.client().with_header("Host", "auth.home.example");
            client.headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
            client.cookies = pair;
            let is_own = *own_place == MAIN && name == *own_name;
            for path in ["/api/v1/users/me", "/api/v1/sessions", "/api/v1/admin/users"] {
                let status = client.get_json(path).status;
                assert_eq!(status == 200, is_own, "{own_place} as {name} at {path}: {status}");
            }
            assert_eq!(client.get("/account").status == 200, is_own);
        }
    }
    assert_eq!(opened, 8, "each opened its own");
}

/// SES-11: a sibling app may have tossed a second one in.
#[test]
fn two_cookies_of_one_name_are_nobodys() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", NOTES, false);
    browser.arrives("ada", FIRST);
    for url in [NOTES, FIRST] {
        let mut cookies = browser.cookies(&host_of(url));
        ask(server.address, Proxy::Nginx, "GET", url, &cookies).expect(200);
        let again =
            cookies.iter().find(|(name, _)| name.contains("dw_fa") || name.contains("dw_app")).cloned();
        cookies.extend(again);
        ask(server.address, Proxy::Nginx, "GET", url, &cookies).expect(401);
    }
}

/// Lets a browser fetch a ticket for `url`, and returns its address without opening it.
fn fetch_ticket(browser: &mut Browser, url: &str) -> String {
    let door = match host_of(url).ends_with("other.example") {
        true => format!("{PORTAL}/api/handoff?ticket="),
        false => format!("https://{}/.doorward/handoff?ticket=", host_of(url)),
    };
    browser.stops_at = Some(door.clone());
    let (at, _) = browser.open(url);
    browser.stops_at = None;
    assert!(at.starts_with(&door), "{at}: {:#?}", browser.trail);
    at
}

/// Login CSRF: whoever opens a ticket that an attacker made is not signed in as the attacker.
#[test]
fn a_ticket_of_somebody_else_signs_nobody_in() {
    let server = server();
    for name in ["ada", "mallory"] {
        server.add_user(name, Role::Member, &[]);
    }
    for proxy in PROXIES {
        for url in [NOTES, FIRST] {
            let mut attacker = Browser::new(&server, proxy);
            attacker.sign_in("mallory", PHOTOS, false);
            let link = fetch_ticket(&mut attacker, url);
            // A stranger, somebody with a mark of their own, and somebody who is signed in.
            let stranger = Browser::new(&server, proxy);
            let mut marked = Browser::new(&server, proxy);
            marked.sign_in("ada", url, false);
            marked.jar.retain(|kept| kept.name == "__Host-dw_handoff");
            assert_eq!(marked.jar.len(), 1);
            for mut victim in [stranger, marked] {
                let (at, _) = victim.open(&link);
                assert!(at.starts_with(&format!("{MAIN}/signin?rd=")), "{at}");
                assert_ne!(victim.ask("GET", url).status, 200);
            }
            let mut victim = Browser::new(&server, proxy);
            victim.sign_in("ada", PHOTOS, false);
            let (at, answer) = victim.open(&link);
            assert_eq!((at.as_str(), answer.header("remote-user")), (url, Some("ada")), "in their own name");
            // Not even the session that somebody has already is replaced.
            let (_, answer) = victim.open(&link);
            assert_eq!(answer.header("remote-user"), Some("ada"));
            // The attacker's browser it was made for still takes it.
            let (at, answer) = attacker.open(&link);
            assert_eq!((at.as_str(), answer.header("remote-user")), (url, Some("mallory")));
        }
    }
}

/// A link that names a mark of the attacker's browser gives the attacker nothing: the ticket goes to the victim's browser.
#[test]
fn a_mark_of_somebody_else_lets_nobody_else_in() {
    let server = server();
    for name in ["ada", "mallory"] {
        server.add_user(name, Role::Member, &[]);
    }
    let mut attacker = Browser::new(&server, Proxy::Nginx);
    attacker.stops_at = Some(format!("{MAIN}/?rd="));
    let (link, _) = attacker.open(&format!("{PORTAL}/api/handoff?rd={}", encoded(NOTES)));
    assert!(link.contains("&mark="), "{link}");
    let mut victim = Browser::new(&server, Proxy::Nginx);
    victim.sign_in("ada", PHOTOS, false);
    let (at, answer) = victim.open(&link);
    assert_eq!((at.as_str(), answer.header("remote-user")), (NOTES, Some("ada")), "by a mark of their own");
    assert!(victim.trail.iter().any(|url| url.contains("again=1")), "{:#?}", victim.trail);
}

/// FAIL-02: at the portal of a domain a person is told that the store takes nothing; a proxy understands only a refusal.
#[test]
fn a_ticket_that_cannot_be_taken_is_a_page_of_its_own() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    let at_the_portal = fetch_ticket(&mut browser, NOTES);
    let at_an_app = fetch_ticket(&mut browser, FIRST);
    server.block_on(server.app().close());
    let page = browser.look(&at_the_portal).expect(503);
    assert!(page.text().contains("<h1"), "{}", page.text());
    assert!(page.header("retry-after").is_some());
    browser.look(&at_an_app).expect(403);
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// GEN-03: a hundred uses at once, and one of them counts.
#[test]
fn a_ticket_is_good_once() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Traefik);
    browser.sign_in("ada", PHOTOS, false);
    for (url, name) in [(NOTES, "__Secure-dw_fa="), (FIRST, "__Host-dw_app=")] {
        let link = fetch_ticket(&mut browser, url);
        let (copy, link) = (browser.clone(), link.clone());
        let answers = in_parallel(100, move |_| copy.clone().look(&link));
        let is_taken =
            |answer: &&Answer| answer.header("set-cookie").is_some_and(|set| set.starts_with(name));
        assert_eq!(answers.iter().filter(is_taken).count(), 1, "{url}");
        // Everybody else starts again, and ends on the page.
        assert!(answers.iter().all(|answer| answer.header("location").is_some()));
    }
}

#[test]
fn a_ticket_is_good_for_half_a_minute_at_the_place_it_was_made_for() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    let gives = |browser: &mut Browser, link: &str| {
        let answer = browser.look(link);
        let cookie = answer.header("set-cookie").unwrap_or_default();
        cookie.starts_with("__Secure-dw_fa=") || cookie.starts_with("__Host-dw_app=")
    };
    for url in [NOTES, FIRST] {
        let link = fetch_ticket(&mut browser, url);
        server.clock.advance(Duration::from_secs(30));
        assert!(!gives(&mut browser, &link), "too late");
        browser.arrives("ada", url);
        browser.jar.retain(|kept| kept.name != "__Secure-dw_fa" && kept.name != "__Host-dw_app");
    }
    // At another app, with the very same mark.
    let link = fetch_ticket(&mut browser, FIRST);
    let mark = browser.value("__Host-dw_handoff", "a.third.example");
    let elsewhere = link.replace("a.third.example", "b.third.example");
    let cookies = [("__Host-dw_handoff".to_owned(), mark.clone())];
    for url in [elsewhere.clone(), elsewhere.replace("third.example", "home.example")] {
        let answer = ask(server.address, Proxy::Nginx, "GET", &url, &cookies);
        assert!(answer.header("set-cookie").is_none_or(|set| set.starts_with("__Host-dw_handoff=")), "{url}");
    }
    let mut portal = browser.clone();
    for kept in portal.jar.iter_mut().filter(|kept| kept.name == "__Host-dw_handoff") {
        kept.scope = "auth.other.example".to_owned();
    }
    let query = link.split_once('?').unwrap().1;
    assert!(!gives(&mut portal, &format!("{PORTAL}/api/handoff?{query}")));
    // Other methods, and what is almost the ticket.
    for method in ["HEAD", "POST", "OPTIONS"] {
        let answer = browser.ask(method, &link).expect(403);
        assert_eq!(answer.header("set-cookie"), None);
    }
    for bad in [
        link.replace("ticket=", "ticket=A"),
        link.replace("&rd=", "A&rd="),
        link.replace("ticket=", "ticket=&x="),
    ] {
        assert!(!gives(&mut browser.clone(), &bad), "{bad}");
    }
    assert!(gives(&mut browser.clone(), &link), "none of that used it up");
    // Whose session has ended meanwhile.
    let link = fetch_ticket(&mut browser, SECOND);
    server.disable(ada);
    assert!(!gives(&mut browser, &link));
}

/// A browser that keeps no cookies of a host is told so after the second try.
#[test]
fn what_fails_twice_ends_with_a_page_and_not_with_a_loop() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    for (url, host) in [(NOTES, "auth.other.example"), (FIRST, "a.third.example")] {
        for proxy in PROXIES {
            let mut browser = Browser::new(&server, proxy);
            browser.sign_in("ada", PHOTOS, false);
            browser.forgets = Some(host);
            let (at, page) = browser.open(url);
            assert!(at.starts_with(MAIN), "{at}");
            let text = page.expect(403).text();
            assert!(text.contains(&host_of(url)) && text.contains("Try again"), "{text}");
            assert!(browser.trail.len() <= 9, "{:#?}", browser.trail);
        }
    }
    // A host that takes the ticket but whose apps never get its cookie.
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    let mut pages = 0;
    for _ in 0..6 {
        let (_, answer) = browser.open(NOTES);
        pages += usize::from(answer.status == 403);
        browser.jar.retain(|kept| kept.scope != ".other.example");
    }
    assert!(pages >= 1);
}

/// Recipes of several domains name the portal of each (`authelia_url`). It leads on to where people sign in.
#[test]
fn a_proxy_may_name_the_portal_of_the_domain() {
    let server = server();
    let ask = |portal: &str, host: &str| {
        let path = format!("/api/authz/forward-auth?authelia_url={}", encoded(portal));
        let headers = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", "/"),
            ("Accept", "text/html"),
        ];
        server.client().send("GET", &path, &headers, b"")
    };
    for portal in [PORTAL, "https://auth.other.example/"] {
        let answer = ask(portal, "notes.other.example").expect(302);
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("https://auth.other.example/?rd="), "{location}");
        let answer = Browser::new(&server, Proxy::Nginx).look(location).expect(303);
        assert!(answer.header("location").unwrap().starts_with(&format!("{MAIN}/?rd=")));
    }
    // Of another domain, and none at all.
    ask(PORTAL, "photos.home.example").expect(400);
    ask(PORTAL, "a.third.example").expect(400);
    ask("https://auth.third.example/", "notes.other.example").expect(400);
    ask("http://auth.other.example/", "notes.other.example").expect(400);
}

/// WEB-11: what arrives goes on to the host or domain it is of, or to the portal.
#[test]
fn a_handoff_leads_nowhere_else() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    for url in [NOTES, FIRST] {
        let link = fetch_ticket(&mut browser, url);
        let (head, _) = link.split_once("&rd=").unwrap();
        let (start, _) = head.split_once('?').unwrap();
        for bad in [
            "https://evil.example/",
            "//evil.example",
            "/",
            "/account",
            "javascript:alert(1)",
            "https://auth.home.example/account",
            "https://auth.other.example/api/handoff",
            PHOTOS,
            if url == NOTES { FIRST } else { SECOND },
            "https://notes.other.example@evil.example/",
            "https://a.third.example.evil.example/",
            "http://notes.other.example/",
            "",
        ] {
            for link in [format!("{head}&rd={}", encoded(bad)), format!("{start}?rd={}", encoded(bad))] {
                let answer = browser.look(&link);
                assert_eq!(answer.header("location"), Some("https://auth.home.example/"), "{bad}");
                assert_eq!(answer.header("set-cookie"), None, "{bad}");
            }
        }
        for link in [head, start] {
            assert_eq!(browser.look(link).header("location"), Some("https://auth.home.example/"));
        }
        let (at, answer) = browser.open(&link);
        assert_eq!((at.as_str(), answer.status), (url, 200), "the ticket is still good");
    }
}

/// WEB-12: the portal of another domain sets its cookie, leads on, and does nothing else.
#[test]
fn the_portal_of_another_domain_serves_nothing_else() {
    let server = server();
    server.add_user("ada", Role::Admin, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", NOTES, false);
    let session = browser.jar.iter().find(|kept| kept.name == "__Host-dw").unwrap().clone();
    browser.jar.push(Kept { scope: "auth.other.example".to_owned(), ..session });
    for path in [
        "/signin",
        "/account",
        "/admin/people",
        "/api/v1/users/me",
        "/setup",
        "/oauth2/authorize",
        "/jwks.json",
        "/.well-known/openid-configuration",
        "/logout",
        "/signout",
        "/step-up",
    ] {
        let status = browser.look(&format!("{PORTAL}{path}")).status;
        assert!(matches!(status, 421 | 404), "{path}: {status}");
    }
    for path in ["/signin", "/api/v1/auth/login/web", "/api/v1/auth/refresh/web", "/api/handoff", "/"] {
        let status = browser.send("POST", &format!("{PORTAL}{path}"), &[]).status;
        assert!(matches!(status, 421 | 405), "{path}: {status}");
    }
    let answer = browser.look(&format!("{PORTAL}/?rd={}&rm=GET", encoded(NOTES))).expect(303);
    let location = format!("{MAIN}/?rd={}&rm=GET", encoded(NOTES));
    assert_eq!(answer.header("location"), Some(&*location));
    assert_eq!(browser.look(&format!("{PORTAL}/")).header("location"), Some("https://auth.home.example/"));
    browser.look(&format!("{MAIN}/api/handoff?rd={}", encoded(NOTES))).expect(404);
    for host in ["notes.other.example", "other.example", "auth.other.example.evil.example", "evil.example"] {
        let mut client = server.client().with_header("Host", host);
        client.headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
        assert_eq!(client.get("/signin").status, 421, "{host}");
        assert_eq!(client.get(&format!("/?rd={}", encoded(NOTES))).status, 421, "{host}");
        assert_eq!(client.get(&format!("/api/handoff?rd={}", encoded(NOTES))).status, 421, "{host}");
    }
    // SES-06: nor over plain HTTP from elsewhere.
    let mut client = server.client().with_header("Host", "auth.other.example");
    client.headers.push(("X-Forwarded-For".to_owned(), "192.0.2.7".to_owned()));
    client.get(&format!("/api/handoff?rd={}", encoded(NOTES))).expect(403);
    // And it is no app: forward-auth does not answer for it.
    for proxy in PROXIES {
        let status = ask(server.address, proxy, "GET", &format!("{PORTAL}/"), &[]).status;
        assert!(matches!(status, 400 | 403), "{status}");
    }
}

/// What lies below /.doorward/ is Doorward's, whatever the rules say, and never the app's.
#[test]
fn the_path_of_the_handoff_never_reaches_an_app() {
    let server = server();
    let open = "https://open.third.example";
    ask(server.address, Proxy::Nginx, "GET", &format!("{open}/x"), &[]).expect(200);
    for path in
        ["/.doorward/x", "/.doorward/", "/%2edoorward/handoff/x", "/x/../.doorward/y", "//.doorward/z"]
    {
        for proxy in PROXIES {
            let answer = ask(server.address, proxy, "GET", &format!("{open}{path}"), &[]).expect(403);
            assert_eq!(answer.header("set-cookie"), None, "{path}");
        }
    }
    // With one cookie for all of the domain, apps have no door of their own.
    let url = format!("https://notes.other.example/.doorward/handoff?rd={}", encoded(NOTES));
    ask(server.address, Proxy::Nginx, "GET", &url, &[]).expect(403);
}

/// SES-08, SES-09, GEN-02: whatever ends the session ends every cookie of it at the next request, also after a restart.
#[test]
fn what_ends_the_session_ends_it_on_all_domains() {
    let mut server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let everywhere = [PHOTOS, NOTES, FIRST, SECOND];
    let signed_in = |server: &Server| {
        let mut browser = Browser::new(server, Proxy::Nginx);
        browser.sign_in("ada", PHOTOS, false);
        for url in everywhere {
            browser.arrives("ada", url);
        }
        browser
    };
    let mut stays = signed_in(&server);
    for scope in ["here", "everywhere"] {
        let mut browser = signed_in(&server);
        let copy = browser.clone();
        let page = browser.look(&format!("{MAIN}/signout")).expect(200);
        let csrf = page.input("csrf").unwrap();
        browser.send("POST", &format!("{MAIN}/signout"), &[("csrf", &csrf), ("scope", scope)]).expect(200);
        for url in everywhere {
            assert_eq!(copy.ask("GET", url).status, 401, "{scope}: {url}");
            browser.must_sign_in(url);
            assert_eq!(
                stays.ask("GET", url).status,
                if scope == "here" { 200 } else { 401 },
                "{scope}: {url}"
            );
        }
    }
    let browser = signed_in(&server);
    server = restart(server);
    stays.server = server.address;
    let mut browser = Browser { server: server.address, ..browser };
    for url in everywhere {
        stays.must_sign_in(url);
        assert_eq!(browser.ask("GET", url).status, 200, "{url}");
    }
    // SES-07: every app keeps the session alive for all of them; a pause ends it everywhere.
    for url in [everywhere, everywhere].concat() {
        server.clock.advance(Duration::from_secs(20 * 60));
        assert_eq!(browser.ask("GET", url).status, 200, "{url}");
    }
    server.clock.advance(Duration::from_secs(30 * 60));
    for url in everywhere {
        assert_eq!(browser.ask("GET", url).status, 401, "{url}");
    }
    browser.must_sign_in(NOTES);
    let browser = signed_in(&server);
    server.disable(ada);
    for url in everywhere {
        assert_eq!(browser.ask("GET", url).status, 401, "{url}");
    }
}

/// SES-07: "stay signed in" outlives the browser at every domain.
#[test]
fn a_remembered_sign_in_is_remembered_on_all_domains() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", NOTES, true);
    for url in [FIRST, PHOTOS] {
        browser.arrives("ada", url);
    }
    server.clock.advance(Duration::from_secs(24 * 3600));
    browser.arrives("ada", SECOND);
    let age = |name: &str, scope: &str| -> u64 {
        let kept = browser.jar.iter().find(|kept| kept.name == name && kept.scope == scope).unwrap();
        kept.header.rsplit_once("Max-Age=").unwrap().1.parse().unwrap()
    };
    let days = 24 * 3600;
    assert_eq!(age("__Secure-dw_fa", ".home.example"), 30 * days);
    assert_eq!(age("__Secure-dw_fa", ".other.example"), 30 * days);
    assert_eq!(age("__Host-dw_app", "a.third.example"), 30 * days);
    assert_eq!(age("__Host-dw_app", "b.third.example"), 29 * days, "no longer than the session");
    for url in [PHOTOS, NOTES, FIRST, SECOND] {
        server.clock.advance(Duration::from_secs(6 * days));
        assert_eq!(browser.ask("GET", url).status, 200);
    }
    server.clock.advance(Duration::from_secs(6 * days));
    for url in [PHOTOS, NOTES, FIRST, SECOND] {
        assert_eq!(browser.ask("GET", url).status, 401);
    }
}

/// An app of another domain that asks for more leads to the second factor and back to the page.
#[test]
fn a_step_up_works_across_domains() {
    let server = server();
    let ada = server.add_user("ada", Role::Member, &[]);
    let (authenticator, _) = server.enrol_totp(ada);
    for proxy in PROXIES {
        let session = server.web_session_with(ada, Factors::PASSWORD);
        let mut browser = Browser::new(&server, proxy);
        let (name, value, scope) = ("__Host-dw".to_owned(), session.cookie, "auth.home.example".to_owned());
        browser.jar.push(Kept { name, value, scope, header: String::new() });
        browser.arrives("ada", NOTES);
        let (at, page) = browser.open(BANK);
        assert!(at.starts_with(&format!("{MAIN}/step-up?next=")), "{at}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("https://bank.other.example https://auth.other.example;"), "{policy}");
        let value = |name: &str| page.input(name).unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let (csrf, next, code) = (value("csrf"), value("next"), authenticator.next_code());
        let fields = [("csrf", &*csrf), ("next", &next), ("password", PASSWORD), ("code", &code)];
        let answer = browser.send("POST", &format!("{MAIN}/step-up"), &fields).expect(303);
        let (at, answer) = browser.follow(answer, format!("{MAIN}/step-up"));
        assert_eq!((at.as_str(), answer.status), (BANK, 200), "{:#?}", browser.trail);
        browser.arrives("ada", NOTES);
        browser.arrives("ada", FIRST);
    }
}

/// Several tabs at once do not disturb each other: they share the mark of the browser.
#[test]
fn two_tabs_on_their_way_both_arrive() {
    let server = server();
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", PHOTOS, false);
    let one = fetch_ticket(&mut browser, NOTES);
    let two = fetch_ticket(&mut browser, "https://music.other.example/");
    for (link, url) in [(two, "https://music.other.example/"), (one, NOTES)] {
        let (at, answer) = browser.open(&link);
        assert_eq!((at.as_str(), answer.status), (url, 200));
        assert_eq!(browser.trail.len(), 2, "{:#?}", browser.trail);
    }
}

/// The setting of one domain, from before there could be several, is still read from the store.
#[test]
fn an_installation_with_one_domain_goes_on() {
    let dir = Arc::new(TempDir::new());
    let by_store = |options: &mut Options| {
        options.site.public_origin = Some(MAIN.to_owned());
        options.site.protected_domain = None;
    };
    let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
    let server = Server::start_at(dir.clone(), clock.clone(), by_store);
    let mut batch = server.app().store().batch();
    let old = doorward::site::SettingRecord { value: "home.example".to_owned() };
    batch.put(b"protect.domain", &old);
    server.block_on(server.app().store().commit(batch)).unwrap();
    drop(server);
    let server = Server::start_at(dir, clock, by_store);
    let site = &server.app().site;
    assert!(site.is_protected_host("photos.home.example") && !site.is_protected_host("auth.home.example"));
    let mut batch = server.app().store().batch();
    site.stage_set(
        &mut batch,
        doorward::site::Setting::ProtectedDomain,
        "home.example,third.example cookie=host",
    );
    server.block_on(server.app().store().commit(batch)).unwrap();
    assert!(site.is_protected_host("a.third.example"));
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    let server = Server::start_at(dir, clock, by_store);
    assert_eq!(server.app().site.protected_domains().len(), 2);
    let old = server.app().store().get::<doorward::site::SettingRecord>(b"protect.domain").unwrap();
    assert!(old.is_none(), "the old row has gone with the first change");
}

fn editable(options: &mut Options) {
    options.site.public_origin = Some(MAIN.to_owned());
    options.site.protected_domain = None;
}

/// A browser of an administrator at the public address.
fn administrator(server: &Server) -> Client {
    let name = format!("admin-{}", server.app().sessions.live_count());
    let user = server.add_bare_user(&name, Role::Admin);
    let session = server.web_session(user);
    let mut client = server.client().with_header("Host", "auth.home.example").with_header("Origin", MAIN);
    client.headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
    client.headers.push(("X-CSRF-Token".to_owned(), session.csrf));
    client.cookies.push(("__Host-dw".to_owned(), session.cookie));
    client
}

#[test]
fn administrators_add_change_and_remove_domains() {
    let server = Server::start_with(editable);
    server.set_rules(RULES);
    let mut admin = administrator(&server);
    let list = |admin: &mut Client| admin.get_json("/api/v1/admin/domains").expect(200).json();
    assert_eq!(list(&mut admin), serde_json::json!({"domains": [], "fixed": false}));
    let is_app = |url: &str| ask(server.address, Proxy::Nginx, "GET", url, &[]).status == 401;
    assert!(!is_app(PHOTOS));
    for (body, field) in [
        (serde_json::json!({"domain": "co.uk"}), "domain"),
        (serde_json::json!({"domain": ""}), "domain"),
        (serde_json::json!({"domain": "https://home.example/"}), "domain"),
        (serde_json::json!({"domain": "other.example"}), "portal"),
        (serde_json::json!({"domain": "other.example", "portal": "auth.home.example"}), "portal"),
        (serde_json::json!({"domain": "other.example", "portal": "auth.other.example/x"}), "portal"),
        (serde_json::json!({"domain": "home.example", "portal": "auth.home.example"}), "portal"),
        (serde_json::json!({"domain": "third.example", "cookie": "both"}), "cookie"),
        (
            serde_json::json!({"domain": "third.example", "cookie": "host", "portal": "a.third.example"}),
            "portal",
        ),
    ] {
        let problem = admin.post("/api/v1/admin/domains", body.clone()).expect(422).json();
        let sentence = problem["detail"].as_str().unwrap();
        assert!(problem["fields"].to_string().contains(field), "{body}: {problem}");
        assert!(sentence.ends_with('.') && !sentence.starts_with(char::is_lowercase), "{sentence}");
    }
    for (body, written) in [
        (serde_json::json!({"domain": "Home.example"}), "home.example"),
        (
            serde_json::json!({"domain": "other.example", "portal": "auth.other.example", "cookie": "domain"}),
            "other.example portal=auth.other.example",
        ),
        (serde_json::json!({"domain": "third.example", "cookie": "host"}), "third.example cookie=host"),
    ] {
        admin.post("/api/v1/admin/domains", body).expect(201);
        assert_eq!(server.app().site.protected_domains().last().unwrap().to_string(), written);
    }
    assert!(is_app(PHOTOS) && is_app(NOTES) && is_app(FIRST), "in force at the next request");
    let problem =
        admin.post("/api/v1/admin/domains", serde_json::json!({"domain": "a.home.example"})).expect(422);
    assert!(problem.text().contains("cookie would reach"), "{}", problem.text());
    admin.post("/api/v1/admin/domains", serde_json::json!({"domain": "third.example"})).expect(422);
    // Another kind of cookie: what was given before opens nothing any more.
    server.add_user("ada", Role::Member, &[]);
    let mut browser = Browser::new(&server, Proxy::Nginx);
    browser.sign_in("ada", NOTES, false);
    let path = "/api/v1/admin/domains/other.example";
    admin.json("PUT", path, &serde_json::json!({"cookie": "host"})).expect(200);
    assert_eq!(browser.ask("GET", NOTES).status, 401);
    browser.arrives("ada", NOTES);
    admin.json("DELETE", path, &serde_json::json!({})).expect(204);
    assert_eq!(browser.ask("GET", NOTES).status, 403);
    admin.json("DELETE", path, &serde_json::json!({})).expect(404);
    admin.json("PUT", path, &serde_json::json!({})).expect(404);
    let events = admin.get_json("/api/v1/admin/audit?kind=setting.changed").expect(200).text();
    assert_eq!(events.matches("protect.domains").count(), 5, "{events}");
    assert!(events.contains("third.example cookie=host"), "{events}");
    // ADM-01: only with a fresh proof.
    server.clock.advance(Duration::from_secs(11 * 60));
    let again = serde_json::json!({"domain": "fourth.example", "cookie": "host"});
    assert_eq!(admin.post("/api/v1/admin/domains", again).expect(403).code(), "step_up_required");
    let (dir, clock) = (server.dir.clone(), server.clock.clone());
    drop(server);
    let server = Server::start_at(dir, clock, editable);
    assert_eq!(server.app().site.protected_domains().len(), 2);
}

#[test]
fn what_the_configuration_fixes_is_shown_and_cannot_be_changed() {
    let server = server();
    let mut admin = administrator(&server);
    let shown = admin.get_json("/api/v1/admin/domains").expect(200).json();
    assert_eq!((&shown["fixed"], shown["domains"].as_array().unwrap().len()), (&true.into(), 3));
    let body = serde_json::json!({"domain": "fourth.example", "cookie": "host"});
    assert_eq!(admin.post("/api/v1/admin/domains", body).expect(409).code(), "fixed_setting");
    let page = admin.get("/admin/domains").expect(200).text();
    assert!(page.contains("protect.domains") && page.contains("third.example"), "{page}");
    assert!(!page.contains("id=\"domain-form\""), "{page}");
}

#[test]
fn the_pages_add_change_and_remove_domains() {
    let server = Server::start_with(editable);
    let mut admin = administrator(&server);
    let page = admin.get("/admin/domains").expect(200).text();
    assert!(page.contains("No domain yet") && page.contains("aria-current=\"page\">Domains"), "{page}");
    let wrong = admin.form("/admin/domains", &[("domain", "co.uk"), ("cookie", "domain"), ("portal", "")]);
    let text = wrong.expect(422).text();
    assert!(text.contains("public suffix") && text.contains("value=\"co.uk\""), "{text}");
    for (domain, cookie) in [("home.example", "domain"), ("third.example", "host")] {
        let done = admin.form("/admin/domains", &[("domain", domain), ("cookie", cookie), ("portal", "")]);
        assert_eq!(done.expect(303).header("location"), Some("/admin/domains?done=saved"));
    }
    let page = admin.get("/admin/domains?done=saved").expect(200).text();
    assert!(page.contains("In force") || page.contains("in force now"), "{page}");
    let page = admin.get("/admin/domains/third.example").expect(200).text();
    assert!(page.contains("value=\"host\" id=\"cookie-host\" checked"), "{page}");
    admin.get("/admin/domains/fourth.example").expect(404);
    let path = "/admin/domains/third.example";
    let text = admin.form(path, &[("cookie", "domain"), ("portal", "")]).expect(422).text();
    assert!(text.contains("portal=auth.third.example"), "{text}");
    admin.form(path, &[("cookie", "domain"), ("portal", "auth.third.example")]).expect(303);
    let written = |server: &Server| server.app().site.protected_domains().last().unwrap().to_string();
    assert_eq!(written(&server), "third.example portal=auth.third.example");
    admin.form("/admin/domains/third.example/remove", &[]).expect(303);
    assert_eq!(written(&server), "home.example");
    server.clock.advance(Duration::from_secs(11 * 60));
    let answer = admin.form("/admin/domains/home.example/remove", &[]).expect(303);
    assert!(answer.header("location").unwrap().starts_with("/step-up?next="));
}

#[test]
fn of_two_changes_at_once_none_is_lost() {
    let server = Server::start_with(editable);
    let admin = administrator(&server);
    let mut added = 0;
    for round in 0..4 {
        let admin = admin.clone();
        let statuses = in_parallel(7, move |number| {
            let body = serde_json::json!({"domain": format!("d{number}.r{round}.example"), "cookie": "host"});
            admin.clone().post("/api/v1/admin/domains", body).status
        });
        assert!(statuses.iter().all(|status| matches!(status, 201 | 409)), "{statuses:?}");
        added += statuses.iter().filter(|status| **status == 201).count();
        assert_eq!(server.app().site.protected_domains().len(), added);
    }
}
