//! The examples of Authelia's documentation of access control, retold: who moves from there finds the same doors open.

use super::*;
use crate::access::rule_text::parse_file;
use crate::kernel::text::GroupName;

/// Somebody: nobody, or a name, groups and a number of factors.
type Who = Option<(&'static str, &'static [&'static str], u8)>;
/// The method, the address without the scheme, and where it comes from.
type Ask = (&'static str, &'static str, &'static str);

const NOBODY: Who = None;
const LAN: &str = "10.10.3.4";
const WAN: &str = "198.51.100.7";

fn decide(rules: &Matcher, (method, url, from): Ask, who: Who) -> &'static str {
    let (host, target) = url.split_at(url.find('/').unwrap_or(url.len()));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    let groups: Vec<GroupName> =
        who.iter().flat_map(|(_, groups, _)| *groups).map(|group| GroupName::parse(group).unwrap()).collect();
    let asked =
        Asked { host, path: Some(path), query, method: Some(method), address: Some(from.parse().unwrap()) };
    let caller = who.map(|(username, _, factors)| Caller {
        username,
        groups: &groups,
        level: if factors == 2 { Level::TwoFactor } else { Level::OneFactor },
        client: None,
    });
    match rules.decide(asked, caller).outcome {
        Outcome::Allow => "in",
        Outcome::NeedSignIn { level: Level::OneFactor } => "one factor",
        Outcome::NeedSignIn { level: Level::TwoFactor } => "two factors",
        Outcome::Forbidden => "out",
    }
}

fn check(lines: &str, table: &[(Ask, Who, &str)]) {
    let rules = Matcher::new(parse_file(lines).unwrap());
    for (ask, who, expected) in table {
        assert_eq!(decide(&rules, *ask, *who), *expected, "{ask:?} {who:?} under\n{lines}");
    }
}

fn get(url: &'static str) -> Ask {
    ("GET", url, WAN)
}

#[test]
fn one_domain_a_list_of_them_and_all_below_one() {
    check(
        "bypass domain=*.example.com",
        &[
            (get("abc.example.com"), NOBODY, "in"),
            (get("a.b.example.com"), NOBODY, "in"),
            (get("example.com"), NOBODY, "out"),
            (get("example.org"), NOBODY, "out"),
        ],
    );
    check(
        "bypass domain=apple.example.com,banana.example.com",
        &[
            (get("apple.example.com"), NOBODY, "in"),
            (get("banana.example.com"), NOBODY, "in"),
            (get("cherry.example.com"), NOBODY, "out"),
        ],
    );
}

#[test]
fn a_domain_or_an_expression_for_domains() {
    check(
        r"bypass domain=apple.example.com host~=^(pub|img)-data\.example\.com$",
        &[
            (get("apple.example.com"), NOBODY, "in"),
            (get("pub-data.example.com"), NOBODY, "in"),
            (get("img-data.example.com"), NOBODY, "in"),
            (get("data.example.com"), NOBODY, "out"),
            (get("xpub-data.example.com"), NOBODY, "out"),
        ],
    );
}

/// The user john, in the groups example and example1.
#[test]
fn expressions_with_the_name_of_the_user_or_of_a_group() {
    const JOHN: Who = Some(("john", &["example", "example1"], 1));
    check(
        r"allow one_factor host~=^user-(?P<User>\w+)\.example\.com$ host~=^group-(?P<Group>\w+)\.example\.com$",
        &[
            (get("user-john.example.com"), JOHN, "in"),
            (get("group-example.example.com"), JOHN, "in"),
            (get("group-example1.example.com"), JOHN, "in"),
            (get("user-fred.example.com"), JOHN, "out"),
            (get("group-admin.example.com"), JOHN, "out"),
            (get("user-fred.example.com"), NOBODY, "one factor"),
            (get("other.example.com"), NOBODY, "out"),
        ],
    );
}

#[test]
fn domains_with_the_name_of_the_user_or_of_a_group() {
    const FRED: Who = Some(("fred", &["admins", "users", "people"], 1));
    check(
        "allow one_factor domain={user}.example.com\nallow two_factor domain={group}.example.com",
        &[
            (get("fred.example.com"), FRED, "in"),
            (get("john.example.com"), FRED, "out"),
            (get("admins.example.com"), FRED, "two factors"),
            (get("admins.example.com"), Some(("eve", &["users"], 2)), "out"),
            (get("admins.example.com"), NOBODY, "one factor"),
        ],
    );
}

/// john, or who is in admin and in app-name, or who is in super-admin.
#[test]
fn lists_of_subjects() {
    check(
        "allow two_factor domain=example.com subject=user:john,group:admin+group:app-name,group:super-admin",
        &[
            (get("example.com"), Some(("john", &[], 2)), "in"),
            (get("example.com"), Some(("john", &[], 1)), "two factors"),
            (get("example.com"), Some(("eve", &["admin", "app-name"], 2)), "in"),
            (get("example.com"), Some(("eve", &["super-admin"], 2)), "in"),
            (get("example.com"), Some(("eve", &["admin"], 2)), "out"),
            (get("example.com"), Some(("eve", &["app-name"], 1)), "out"),
            (get("example.com"), NOBODY, "two factors"),
        ],
    );
}

#[test]
fn preflight_requests_without_signing_in() {
    check(
        "bypass domain=example.com method=OPTIONS\nallow one_factor domain=example.com",
        &[
            (("OPTIONS", "example.com", WAN), NOBODY, "in"),
            (get("example.com"), NOBODY, "one factor"),
            (("POST", "example.com", WAN), NOBODY, "one factor"),
        ],
    );
}

#[test]
fn less_is_asked_of_who_is_near() {
    const ADA: Who = Some(("ada", &[], 1));
    check(
        "allow one_factor domain=secure.example.com network=10.0.0.0/8,172.16.0.0/12,192.168.0.0/18,112.134.145.167/32\n\
         allow two_factor domain=secure.example.com",
        &[
            (("GET", "secure.example.com", "10.1.1.1"), ADA, "in"),
            (("GET", "secure.example.com", "172.31.0.1"), ADA, "in"),
            (("GET", "secure.example.com", "192.168.63.9"), ADA, "in"),
            (("GET", "secure.example.com", "192.168.64.1"), ADA, "two factors"),
            (("GET", "secure.example.com", "112.134.145.167"), ADA, "in"),
            (("GET", "secure.example.com", "112.134.145.168"), ADA, "two factors"),
            (("GET", "secure.example.com", "::ffff:10.1.1.1"), ADA, "in"),
        ],
    );
}

#[test]
fn paths_with_their_query() {
    check(
        "bypass domain=app.example.com resource=^/api([/?].*)?$",
        &[
            (get("app.example.com/api"), NOBODY, "in"),
            (get("app.example.com/api/"), NOBODY, "in"),
            (get("app.example.com/api/x?y"), NOBODY, "in"),
            (get("app.example.com/api?x=1"), NOBODY, "in"),
            (get("app.example.com/apix"), NOBODY, "out"),
            (get("app.example.com/x/api"), NOBODY, "out"),
            (get("app.example.com/?/api"), NOBODY, "out"),
        ],
    );
}

#[test]
fn conditions_on_the_query() {
    check(
        "bypass domain=app.example.com query=secure and=!insecure query=token~=^(abc123|zyx789)$ and=random!~^(1|2)$",
        &[
            (get("app.example.com/?secure"), NOBODY, "in"),
            (get("app.example.com/?secure=0"), NOBODY, "in"),
            (get("app.example.com/?secure&insecure"), NOBODY, "out"),
            (get("app.example.com/?token=abc123"), NOBODY, "in"),
            (get("app.example.com/?token=zyx789&random=3"), NOBODY, "in"),
            (get("app.example.com/?token=abc123&random=1"), NOBODY, "out"),
            (get("app.example.com/?token=abc1234"), NOBODY, "out"),
            (get("app.example.com/"), NOBODY, "out"),
        ],
    );
    check(
        "bypass domain=app.example.com query=mode==public and=user!=root",
        &[
            (get("app.example.com/?mode=public"), NOBODY, "in"),
            (get("app.example.com/?mode=public&user=ada"), NOBODY, "in"),
            (get("app.example.com/?mode=public&user=root"), NOBODY, "out"),
            (get("app.example.com/?user=ada"), NOBODY, "out"),
        ],
    );
}

/// Of several rules that fit, the first decides.
#[test]
fn the_order_of_rules() {
    check(
        "bypass domain=example.com,*.example.com resource=^/api$ resource=^/api/\n\
         allow two_factor domain=app.example.com",
        &[
            (get("app.example.com/api"), NOBODY, "in"),
            (get("app.example.com/api/x"), NOBODY, "in"),
            (get("app.example.com/apis"), NOBODY, "two factors"),
            (get("example.com/api"), NOBODY, "in"),
        ],
    );
    // A rule about people that comes first asks who it is; behind the open one it never does.
    check(
        "allow one_factor domain=a.example.com group=dev\nbypass domain=a.example.com\n\
         bypass domain=b.example.com\nallow one_factor domain=b.example.com group=dev",
        &[
            (get("a.example.com"), NOBODY, "one factor"),
            (get("a.example.com"), Some(("eve", &[], 1)), "in"),
            (get("b.example.com"), NOBODY, "in"),
        ],
    );
}

#[test]
fn an_open_rule_cannot_be_about_people() {
    for line in [
        "bypass domain=example.com group=dev",
        "bypass domain=example.com subject=user:john",
        r"bypass host~=^(?P<User>\w+)\.example\.com$",
        "bypass domain={user}.example.com",
        "bypass domain=example.com resource=^/(?P<Group>[a-z]+)/",
        "bypass domain=example.com client=backup",
    ] {
        assert_eq!(parse_file(line).unwrap_err().1.field, "policy", "{line}");
    }
}

/// The detailed example, but for its last rule, which lets everyone in by a host with a user's name.
#[test]
fn the_detailed_example() {
    const ADMIN: Who = Some(("ann", &["admins"], 2));
    const MODERATOR: Who = Some(("moe", &["moderators"], 1));
    const DEVELOPER: Who = Some(("dan", &["dev"], 2));
    const JOHN: Who = Some(("john", &["dev"], 2));
    const EVE: Who = Some(("eve", &[], 1));
    check(
        r"
        bypass domain=public.example.com
        bypass domain=*.example.com method=OPTIONS
        allow one_factor domain=secure.example.com network=10.10.0.0/16,192.168.2.0/24,10.9.0.0/16,192.168.1.0/24,10.0.0.1
        allow two_factor domain=secure.example.com,private.example.com
        allow one_factor domain=singlefactor.example.com
        deny domain=mx2.mail.example.com group=admins
        allow two_factor domain=*.example.com group=admins,moderators
        allow two_factor domain=dev.example.com resource=^/groups/dev/.*$ group=dev
        allow two_factor domain=dev.example.com resource=^/users/john/.*$ subject=group:dev+user:john,group:admins
        ",
        &[
            (get("public.example.com"), NOBODY, "in"),
            (("OPTIONS", "private.example.com", WAN), NOBODY, "in"),
            (("GET", "secure.example.com", LAN), NOBODY, "one factor"),
            (("GET", "secure.example.com", LAN), EVE, "in"),
            (("GET", "secure.example.com", "10.0.0.1"), EVE, "in"),
            (("GET", "secure.example.com", "10.0.0.2"), EVE, "two factors"),
            (get("secure.example.com"), EVE, "two factors"),
            (get("private.example.com"), ADMIN, "in"),
            (get("singlefactor.example.com"), NOBODY, "one factor"),
            (get("singlefactor.example.com"), EVE, "in"),
            (get("mx2.mail.example.com"), ADMIN, "out"),
            (get("mx2.mail.example.com"), MODERATOR, "two factors"),
            (get("mx2.mail.example.com"), NOBODY, "one factor"),
            (get("mx2.mail.example.com"), EVE, "out"),
            (get("x.example.com"), ADMIN, "in"),
            (get("x.example.com"), EVE, "out"),
            (get("dev.example.com/groups/dev/x"), DEVELOPER, "in"),
            (get("dev.example.com/groups/ops/x"), DEVELOPER, "out"),
            (get("dev.example.com/users/john/x"), DEVELOPER, "out"),
            (get("dev.example.com/users/john/x"), JOHN, "in"),
            (get("dev.example.com/users/john/x"), ADMIN, "in"),
            (get("dev.example.com/users/john/x"), NOBODY, "two factors"),
        ],
    );
}

/// The first example: all criteria at once.
#[test]
fn all_criteria_at_once() {
    const ADAM: Who = Some(("adam", &[], 1));
    let lines = r"
        allow one_factor domain=private.example.com host~=^(\d+\-)?priv-img.example.com$ network=10.0.0.0/8,172.16.0.0/12,192.168.0.0/18,1.1.1.1 subject=user:adam,user:fred,group:admins method=GET,HEAD resource=^/api.* query=secure and=!insecure query=token~=^(abc123|zyx789)$ and=random!~^(1|2)$
    ";
    check(
        lines,
        &[
            (("GET", "private.example.com/api?secure", LAN), ADAM, "in"),
            (("HEAD", "12-priv-img.example.com/api/x?token=abc123", "1.1.1.1"), ADAM, "in"),
            (("GET", "priv-img.example.com/apis?secure", LAN), Some(("eve", &["admins"], 1)), "in"),
            (("POST", "private.example.com/api?secure", LAN), ADAM, "out"),
            (("GET", "private.example.com/x?secure", LAN), ADAM, "out"),
            (("GET", "private.example.com/api", LAN), ADAM, "out"),
            (("GET", "private.example.com/api?secure", WAN), ADAM, "out"),
            (("GET", "private.example.com/api?secure", LAN), Some(("eve", &[], 1)), "out"),
            (("GET", "x-priv-img.example.com/api?secure", LAN), ADAM, "out"),
            (("GET", "private.example.com/api?secure", LAN), NOBODY, "one factor"),
        ],
    );
}
