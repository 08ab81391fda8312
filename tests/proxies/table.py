"""The one table of cases that every proxy goes through. A case is a sentence, what it needs, and what it does; the order
is that of a day: nobody is signed in, people sign in, somebody tries tricks, Doorward dies, people leave."""

import base64
import signal
import time
import urllib.parse

from world import PASSWORD, another_time

CASES = []
NAMES = ["User", "Groups", "Name", "Email", "Assertion"]
#: What a client may claim, in every spelling and in the header families of all proxies.
SPOOF = [
    *[(f"Remote-{name}", "root") for name in NAMES],
    *[(f"REMOTE-{name.upper()}", "root") for name in NAMES],
    *[(f"Remote_{name}", "root") for name in NAMES],
    *[(f"remote_{name.lower()}", "root") for name in NAMES],
    *[(f"REMOTE_{name.upper()}", "root") for name in NAMES],
    *[(f"Remote.{name}", "root") for name in NAMES],
]
#: What published recipes guard against.
PLAIN = [(f"Remote-{name}", "root") for name in NAMES[:4]]
FAMILIES = [
    ("X-Original-URL", "https://public.home.example/open/"), ("X-Original-Method", "OPTIONS"),
    ("X-Forwarded-Host", "public.home.example"), ("X-Forwarded-Uri", "/open/"), ("X-Forwarded-Method", "OPTIONS"),
    ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "169.254.1.2"), ("X-Real-IP", "169.254.1.2"),
    ("Forwarded", "for=169.254.1.2;host=public.home.example;proto=http"), ("X-Rewrite-URL", "/open/"),
    ("X-Authelia-URL", "https://evil.example/"), ("X_Forwarded_For", "169.254.1.2"), ("X_Forwarded_Uri", "/open/"),
    ("X-Forwarded-Prefix", "/evil"),
]
TRICKS = [
    "/open/../admin", "/open/%2e%2e/admin", "/open/..%2fadmin", "/open/%2e%2e%2fadmin", "/open%2f..%2fadmin",
    "/open/..%5cadmin", "/open/..;/admin", "/open/%252e%252e/admin", "//admin", "/./admin", "/%61dmin", "/admin?/open/",
    "/admin%3f/open/", "/admin%23/open/", "/x?x=/open/", "/OPEN/", "/open", "/xopen/", "/open%00/", "/open\\..\\admin",
]


def case(sentence, needs=()):
    """Adds a case."""

    def add(function):
        CASES.append((sentence, (needs,) if isinstance(needs, str) else needs, function))
        return function

    return add


class Table:
    """Runs the cases over one proxy. `traits` are what a proxy does differently."""

    def __init__(self, world, traits, driver=None):
        self.world, self.traits, self.driver = world, traits, driver
        self.spoof, self.families = (PLAIN, []) if traits.get("is_published") else (SPOOF, FAMILIES)
        self.people, self.passed, self.failed, self.skipped = {}, 0, 0, 0
        self.lines, self.trouble = [], []

    def check(self, what, expected, actual):
        if isinstance(expected, (set, frozenset)):
            is_right = actual in expected
        else:
            is_right = expected == actual
        if not is_right:
            self.trouble.append(f"{what}: expected {expected!r}, got {actual!r}")

    def out(self, what, answer, statuses):
        """The app was not reached, and the answer has one of these statuses."""
        self.check(what, (True, False), (answer.status in statuses, answer.has_reached))
        if answer.status not in statuses:
            self.trouble.append(f"  it was {answer.status}")

    def inside(self, what, answer, user):
        self.check(what, (200, True, user), (answer.status, answer.has_reached, answer.header("Remote-User")))

    def nobody_spoofed(self, what, answer):
        """Nothing of what the client claims to be is among what the app saw."""
        wanted = {name.lower() for name, _ in self.spoof}
        seen = answer.seen["headers"] if answer.seen else [["the app", "was not reached: root"]]
        found = [f"{key}={value}" for key, value in seen if (key.lower() in wanted or not answer.seen) and "root" in value]
        self.check(what, [], found)

    def run(self, only=None):
        for sentence, needs, function in CASES:
            if only is not None and function.__name__ not in only:
                continue
            missing = [need for need in needs if not self.world.has(need)]
            if function.__name__ == "broken_script" and not hasattr(self.driver, "break_script"):
                continue
            if missing:
                self.skipped += 1
                self.lines.append(f"skipped: {sentence} (needs {', '.join(missing)})")
                continue
            self.trouble = []
            begun = time.monotonic()
            try:
                function(self, self.world)
            except Exception as error:  # noqa: BLE001 - whatever breaks a case has failed it
                self.trouble.append(f"{type(error).__name__}: {error}")
            took = f" ({time.monotonic() - begun:.1f} s)"
            if self.trouble:
                self.failed += 1
                self.lines.append(f"FAILED: {sentence}{took}\n  " + "\n  ".join(self.trouble))
            else:
                self.passed += 1
                self.lines.append(f"ok: {sentence}{took}")


def quoted(text):
    return urllib.parse.quote(text, safe="")


@case("an anonymous visitor is sent to sign in, and back to the very address")
def anonymous(t, w):
    nobody = w.browser()
    url = w.url("photos", "/album?year=2026&x=a%20b")
    answer = nobody.visit(url)
    t.out("a page", answer, {302})
    t.check("the way", f"{w.portal}/?rd={quoted(url)}&rm=GET", answer.location)
    page = nobody.browse(url)
    t.check("the end of the redirects", True, 'action="/signin"' in page.body)
    head = nobody.visit(w.url("photos"), "HEAD")
    t.out("HEAD", head, {302})


@case("a script or a program without a sign-in gets 401 and no redirect")
def script(t, w):
    nobody = w.browser()
    statuses = t.traits.get("script", {401})
    t.out("XMLHttpRequest", nobody.visit(w.url("photos"), headers=[("X-Requested-With", "XMLHttpRequest")]), statuses)
    t.out("fetch of JSON", nobody.visit(w.url("photos"), accept="application/json"), statuses)
    t.out("no Accept", nobody.visit(w.url("photos"), accept=None), statuses)
    t.out("curl", nobody.visit(w.url("photos"), accept="*/*"), {302})


@case("a form of somebody whose sign-in ended is not sent to the sign-in page")
def form(t, w):
    nobody = w.browser()
    answer = nobody.visit(w.url("photos", "/upload"), "POST", body={"a": "b"})
    t.out("POST", answer, t.traits.get("form", {303}))
    t.check("the way", True, answer.location.startswith(f"{w.portal}/?rd="))


@case("a WebSocket of nobody does not open")
def socket_of_nobody(t, w):
    answer, _ = w.browser().websocket(w.url("photos", "/socket"))
    t.check("the handshake", {401, 302}, answer.status)


@case("claiming to be somebody is no sign-in, in any spelling")
def claims(t, w):
    t.out("claims", w.browser().visit(w.url("photos"), headers=t.spoof + t.families), {302, 400, 403})
    for header in t.spoof + t.families:
        t.out(f"{header[0]} alone", w.browser().visit(w.url("photos"), headers=[header]), {302, 400, 403})


@case("ada gets in with two factors, and the app knows her by four headers")
def ada(t, w):
    browser = t.people["ada"] = w.browser()
    url = w.url("photos", "/album?year=2026")
    page = w.sign_in(browser, "ada", url)
    t.inside("the page", page, "ada")
    t.check("the address", (url, "/album?year=2026"), (page.url, page.seen and page.seen["path"]))
    t.check("headers", ["ada", "family", "Ada Lövelace", "ada@example.org"], [page.header(f"Remote-{name}") for name in NAMES[:4]])
    t.inside("another app", browser.visit(w.url("notes")), "ada")
    page = browser.visit(w.url("photos", "/upload"), "POST", body={"a": "b"})
    t.check("a form", ("POST", "a=b"), page.seen and (page.seen["method"], page.seen["body"]))


@case("a WebSocket of ada opens, and the app knows her")
def socket_of_ada(t, w):
    answer, echo = t.people["ada"].websocket(w.url("photos", "/socket"), message="hello over there")
    t.check("the handshake", 101, answer.status)
    t.check("the app knows", "ada", answer.header("Remote-User"))
    t.check("the echo", "hello over there", echo)
    answer, _ = t.people["ada"].websocket(w.url("photos", "/socket"), headers=t.spoof)
    t.nobody_spoofed("claims beside a WebSocket", answer)


@case("whatever ada claims to be, the app sees ada")
def ada_claims(t, w):
    browser = t.people["ada"]
    for headers in [t.spoof, t.spoof + t.families] + [[header] for header in t.spoof]:
        answer = browser.visit(w.url("photos"), headers=headers)
        what = headers[0][0] if len(headers) == 1 else "all claims"
        t.inside(what, answer, "ada")
        t.nobody_spoofed(what, answer)


@case("what the app is told of the request is what the proxy saw")
def families(t, w):
    answer = t.people["ada"].visit(w.url("photos", "/seen"), headers=t.families)
    t.inside("the page", answer, "ada")
    seen = answer.seen["headers"] if answer.seen else []
    evil = ["169.254.1.2", "/open/", "public.home.example", "/evil", "evil.example"]
    allowed = t.traits.get("leaks", set()) | {"x-authelia-url"}
    found = [f"{name}: {value}" for name, value in seen if any(word in value for word in evil) and name.lower() not in allowed]
    t.check("of the client's claims", [], found)


@case("the client cannot have headers dropped on the way by naming them in Connection")
def connection(t, w):
    browser = t.people["ada"]
    names = "Remote-User, Remote-Groups, X-Forwarded-Host, X-Forwarded-Uri, X-Forwarded-For, X-Original-URL, Cookie, close"
    answer = browser.visit(w.url("photos"), headers=[("Connection", names)])
    if answer.has_reached:
        t.inside("signed in", answer, "ada")
        t.check("groups", "family", answer.header("Remote-Groups"))
    else:
        t.out("signed in", answer, {302, 400, 401, 403})
    answer = w.browser().visit(w.url("photos"), headers=[("Connection", names)])
    t.out("nobody", answer, {302, 400, 401, 403})
    answer = browser.visit(w.url("photos"), headers=[("Connection", "Remote-User"), ("Remote-User", "root")])
    t.nobody_spoofed("with a claim", answer)


@case("the app's own Authorization header does not get in the way")
def foreign_scheme(t, w):
    answer = t.people["ada"].visit(w.url("photos"), headers=[("Authorization", "Token of-the-app")])
    t.inside("the page", answer, "ada")
    t.check("the header", "Token of-the-app", answer.header("Authorization"))


@case("who is in the wrong group is refused, whatever she claims")
def wrong_group(t, w):
    browser = t.people["eve"] = w.browser()
    t.inside("what everyone may open", w.sign_in(browser, "eve", w.url("notes")), "eve")
    t.out("a group that she is not in", browser.visit(w.url("photos")), {403})
    t.out("claims", browser.visit(w.url("photos"), headers=t.spoof + t.families), {403, 400})
    t.out("a rule for another person", browser.visit(w.url("public")), {403})


@case("who lacks the second factor proves it, and is back at the page")
def step_up(t, w):
    browser = w.browser()
    t.inside("with the password alone", w.sign_in(browser, "carl", w.url("notes")), "carl")
    url = w.url("photos", "/album?year=1999")
    t.out("where two are wanted", browser.visit(url), {302})
    browser.browse(url)
    w.prove(browser, "carl")
    if not browser.page.has_reached:
        browser.browse(url)
    t.inside("after the second factor", browser.page, "carl")
    t.check("the address", url, browser.page.url)


@case("a path that is open to all is open, and the app is told that nobody is there")
def bypass(t, w):
    answer = w.browser().visit(w.url("public", "/open/page"))
    t.check("reached", (200, True), (answer.status, answer.has_reached))
    t.check("nobody", [], [f"{name}: {answer.header(f'Remote-{name}')}" for name in NAMES if answer.header(f"Remote-{name}")])
    for headers in [t.spoof, *[[header] for header in t.spoof]]:
        t.nobody_spoofed(headers[-1][0], w.browser().visit(w.url("public", "/open/page"), headers=headers))
    t.inside("somebody signed in", t.people["ada"].visit(w.url("public", "/open/page")), "ada")
    answer, echo = w.browser().websocket(w.url("public", "/open/socket"), headers=[("Remote-User", "root")])
    t.check("a WebSocket", (101, "hello"), (answer.status, echo))
    t.nobody_spoofed("a WebSocket", answer)


@case("a denied path is denied, also to ada, who may open the rest")
def deny(t, w):
    t.inside("the rest", t.people["ada"].visit(w.url("public", "/else")), "ada")
    for path in ["/admin", "/open/../admin", "/open/%2e%2e/admin", "//admin", "/%61dmin", "/open/..%2fadmin", "/admin;x"]:
        t.out(path, t.people["ada"].visit(w.url("public"), target=path), {301, 302, 307, 308, 400, 403, 404})


@case("nobody gets in by a trick of the path")
def tricks(t, w):
    for path in TRICKS:
        answer = w.browser().visit(w.url("public"), target=path)
        # A proxy may put the path in order first; what the app then sees must be open.
        seen = answer.seen["path"] if answer.seen else "/open/"
        t.check(path, True, seen.startswith("/open/") and ".." not in seen and "%2e" not in seen.lower())


@case("a host is the same in every spelling, and none borrows the rules of another")
def hosts(t, w):
    nobody = w.browser()
    for host in ["PHOTOS.home.example", "photos.home.example.", f"PHOTOS.HOME.EXAMPLE:{w.port}", "photos.home.example:443"]:
        answer = nobody.visit(w.url("photos", "/open/"), host=host)
        t.check(host, False, answer.has_reached)
    absolute = nobody.visit(w.url("public"), target="https://photos.home.example/open/", host="public.home.example", sni="photos.home.example")
    seen = absolute.header("Host") if absolute.seen else ""
    t.check("an absolute request line", False, absolute.has_reached and (seen or "").startswith("photos"))
    twice = nobody.visit(w.url("photos", "/open/"), headers=[("Host", "public.home.example")])
    t.check("two hosts", False, twice.has_reached and (twice.header("Host") or "").startswith("photos"))
    unknown = nobody.visit(w.url("photos", "/open/"), host="unknown.example")
    t.check("an unknown host", False, unknown.has_reached and unknown.header("Host") == "unknown.example")


@case("the questions of the proxy cannot be asked from outside")
def questions(t, w):
    browser = t.people["ada"]
    for path in ["/api/authz/auth-request", "/api/authz/forward-auth", "/api/authz/ext-authz/x", "/api/verify"]:
        headers = [("X-Original-URL", w.url("photos")), ("X-Original-Method", "GET"), ("X-Forwarded-Uri", "/"),
                   ("X-Forwarded-Host", "photos.home.example"), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Proto", "https")]
        answer = browser.visit(w.portal + path, headers=headers)
        t.check(path, {403, 404}, answer.status)
    answer = browser.visit(w.url("photos", "/.doorward/check"))
    t.check("the internal address", False, answer.has_reached and not answer.header("Remote-User"))


@case("an app token opens what it is for, and dies when it is revoked", needs="programs")
def app_token(t, w):
    text = w.doorward("user", "app-token", "add", "ada", "backup", "--host", "notes.home.example")
    token = next(word for word in text.split() if word.startswith("dwa_"))
    bearer = [("Authorization", f"Bearer {token}")]
    t.inside("as a bearer token", w.browser().visit(w.url("notes"), headers=bearer, accept=None), "ada")
    basic = base64.b64encode(f"ada:{token}".encode()).decode()
    t.inside("as the password of Basic", w.browser().visit(w.url("notes"), headers=[("Authorization", f"Basic {basic}")]), "ada")
    t.out("another app", w.browser().visit(w.url("photos"), headers=bearer, accept=None), {401, 403})
    wrong = w.browser().visit(w.url("notes"), headers=[("Authorization", f"Bearer {token[:-4]}aaaa")])
    t.out("a wrong one", wrong, {401})
    t.check("what it is asked for", True, any("Basic" in value for value in wrong.values("www-authenticate")))
    t.check("no redirect", [], wrong.values("location"))
    listed = w.doorward("user", "app-token", "list", "ada").split()
    w.doorward("user", "app-token", "remove", "ada", listed[0])
    t.out("after it was revoked", w.browser().visit(w.url("notes"), headers=bearer, accept=None), {401})


@case("Basic opens where a rule allows it, and never for somebody with a second factor", needs="basic")
def basic(t, w):
    def header(name, password):
        return [("Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())]

    t.inside("eve", w.browser().visit(w.url("mail"), headers=header("eve", PASSWORD), accept=None), "eve")
    t.inside("eve again", w.browser().visit(w.url("mail"), headers=header("eve", PASSWORD), accept=None), "eve")
    t.out("a wrong password", w.browser().visit(w.url("mail"), headers=header("eve", "wrong"), accept=None), {401})
    t.out("where no rule allows it", w.browser().visit(w.url("notes"), headers=header("eve", PASSWORD), accept=None), {401})
    t.out("ada, who has a second factor", w.browser().visit(w.url("mail"), headers=header("ada", PASSWORD), accept=None), {401})


@case("one sign-in opens apps of another root domain", needs="domains")
def domains(t, w):
    browser = t.people["ada"]
    url = w.url("films.other.example", "/film?id=7")
    page = browser.browse(url)
    t.inside("a domain with its own portal", page, "ada")
    t.check("the address", url, page.url)
    t.inside("another app there", browser.visit(w.url("songs.other.example")), "ada")
    t.out("nobody", w.browser().visit(url), {302})


@case("one sign-in opens an app whose cookie is its own", needs="domains")
def own_cookie(t, w):
    browser = t.people["ada"]
    url = w.url("wiki.third.example", "/page?id=7")
    page = browser.browse(url)
    t.inside("the app", page, "ada")
    t.check("the address", url, page.url)
    t.out("nobody", w.browser().visit(url), {302})


@case("while Doorward is dead the door stays shut, and opens again when it is back")
def killed(t, w):
    w.stop("doorward", signal.SIGKILL)
    statuses = t.traits.get("down", {500, 502, 503, 504})
    t.out("ada", t.people["ada"].visit(w.url("photos")), statuses)
    t.out("where anyone may pass", w.browser().visit(w.url("public", "/open/page")), statuses)
    t.out("claims", w.browser().visit(w.url("photos"), headers=t.spoof), statuses)
    answer, _ = t.people["ada"].websocket(w.url("photos", "/socket"))
    t.check("a WebSocket", True, answer.status != 101)
    w.start_doorward()
    for _ in range(60):
        if t.people["ada"].visit(w.url("photos")).status < 500:
            break
        time.sleep(0.1)
    t.inside("ada, who is still signed in", t.people["ada"].visit(w.url("photos")), "ada")
    t.out("eve", t.people["eve"].visit(w.url("photos")), {403})
    t.out("nobody", w.browser().visit(w.url("photos")), {302})


@case("after signing out the door is shut, also for a copy of the cookies")
def logout(t, w):
    browser = t.people["ada"]
    thief = browser.copy()
    browser.browse(f"{w.portal}/signout")
    browser.submit("/signout", scope="here")
    t.out("ada", browser.visit(w.url("photos")), {302})
    t.out("a copy of her cookies", thief.visit(w.url("photos")), {302})
    t.inside("signed in again", w.sign_in(browser, "ada", w.url("photos")), "ada")


@case("a sign-in that was not used for an hour is over")
def expiry(t, w):
    t.inside("eve", t.people["eve"].visit(w.url("notes")), "eve")
    w.stop("doorward")
    w.start_doorward(another_time("+61m"))
    for _ in range(60):
        answer = t.people["eve"].visit(w.url("notes"))
        if answer.status < 500:
            break
        time.sleep(0.1)
    t.out("eve, an hour later", answer, {302})
    t.check("the way", True, answer.location.startswith(f"{w.portal}/?rd="))


@case("a script that breaks lets nobody in")
def broken_script(t, w):
    t.driver.break_script()
    for path in ["/", "/open/page"]:
        answer = w.browser().visit(w.url("public", path), headers=t.spoof)
        t.out(path, answer, {500, 502, 503})
