"""What stands around a proxy in these tests: Doorward, an app, people, certificates, and a place for files."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

from browser import Browser

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
DOORWARD = TARGET / "debug" / "doorward"
TOOLS = ROOT / "target" / "proxies" / "python" / "bin"
PASSWORD = "correct horse battery staple"
APPS = ["photos", "notes", "public", "mail"]
RULES = """
allow two_factor domain=photos.home.example group=family
allow one_factor domain=notes.home.example
bypass domain=public.home.example path=^/open/
deny domain=public.home.example path=^/admin
allow one_factor domain=public.home.example user=ada
"""


class GivenUp(Exception):
    """Nothing after this can be tested."""


def totp(secret, ahead=0):
    """The code of RFC 6238 (SHA-1, 30 s, 6 digits)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, (int(time.time()) // 30 + ahead).to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset:offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


def find(tool):
    """Returns the path of a program: one of the tests' own, or the system's."""
    own = TOOLS / tool
    found = str(own) if own.exists() else shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        raise GivenUp(f"{tool} is missing; tests/setup installs it")
    return found


def another_time(offset):
    """Returns the environment in which a program's clock differs by `offset` ("+61m").

    The library is loaded without its wrapper `faketime`, which gives up where a semaphore of an earlier process with
    the same number was left behind.
    """
    libraries = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        raise GivenUp("libfaketime is missing; tests/setup installs it")
    return {"LD_PRELOAD": str(libraries[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def make_certificates(place, days=60, domains=("home.example", "other.example", "third.example"), authority=None):
    """Makes ca.pem, site.pem, site.key and both.pem for all names of the tests; with the authority of another place."""
    place = pathlib.Path(place)
    place.mkdir(exist_ok=True)
    names = ",".join(f"DNS:{name},DNS:*.{name}" for name in domains)
    (place / "names").write_text(f"subjectAltName={names}\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    commands = [
        ["req", "-x509", *curve, "-days", "90", "-subj", "/CN=proxy test authority", "-keyout", "ca.key", "-out", "ca.pem",
         "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"],
        ["req", *curve, "-subj", "/CN=proxy test", "-keyout", "site.key", "-out", "site.csr"],
        ["x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days),
         "-extfile", "names", "-out", "site.pem"],
    ]
    if authority:
        for name in ["ca.key", "ca.pem"]:
            shutil.copy(pathlib.Path(authority) / name, place)
        commands.pop(0)
    for command in commands:
        subprocess.run([find("openssl"), *command], cwd=place, check=True, capture_output=True)
    (place / "both.pem").write_text((place / "site.pem").read_text() + (place / "site.key").read_text())
    # Servers that are no longer root read them.
    for name in ["site.key", "both.pem"]:
        (place / name).chmod(0o644)
    place.chmod(0o755)


class World:
    """One Doorward with its people, one app, and a port that the proxy under test shall listen on."""

    def __init__(self, place, certificates, address=None):
        self.place, self.certificates = pathlib.Path(place), pathlib.Path(certificates)
        self.port, self.doorward_port, self.app_port = free_ports(3)
        # With an address of its own, the proxy has the usual port.
        self.address = address or "127.0.0.1"
        self.port = 443 if address else self.port
        self.portal = self.url("auth").rstrip("/")
        self.running, self.secrets, self.codes, self.lacks = {}, {}, {}, set()
        self.doorward_url = f"http://127.0.0.1:{self.doorward_port}"
        self.app_url = f"http://127.0.0.1:{self.app_port}"
        self.rules, self.settings = RULES, {}
        self.trusted_proxies = "127.0.0.1"

    def url(self, host, path="/"):
        name = host if "." in host else f"{host}.home.example"
        return f"https://{name}{path}" if self.port == 443 else f"https://{name}:{self.port}{path}"

    def browser(self):
        return Browser((self.address, self.port), self.certificates / "ca.pem")

    # ---- processes

    def start(self, name, command, env=None, cwd=None):
        log = open(self.place / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd or self.place,
            env={**os.environ, **(env or {})})

    def stop(self, name, how=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self):
        for name in list(self.running):
            self.stop(name)

    def logs(self):
        text = ""
        for path in sorted(self.place.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-12:]
            text += f"--- {path.name}\n" + "\n".join(line[:300] for line in lines) + "\n"
        return text

    def wait_for_port(self, port, name, address="127.0.0.1"):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection((address, port), timeout=1).close()
                return
            except OSError:
                if name in self.running and self.running[name].poll() is not None:
                    break
                time.sleep(0.03)
        raise GivenUp(f"{name} did not come up\n{self.logs()}")

    # ---- Doorward

    def doorward(self, *words, stdin=None, data=None):
        settings = {
            "server.listen": f"127.0.0.1:{self.doorward_port}", "server.public_origin": self.portal,
            "server.trusted_proxies": self.trusted_proxies, "protect.domain": "home.example", "metrics.listen": "off",
            "limits.sign_in": "200/5m", "limits.totp": "200/5m", "limits.api": "5000/1h", **self.settings,
        }
        command = [str(DOORWARD), "--data", str(data or self.place / "data")]
        for key, value in settings.items():
            if value is not None:
                command += ["--set", f"{key}={value}"]
        command += words
        if words[0] == "serve":
            return command
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        if done.returncode not in (0, 2):
            raise GivenUp(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def snippet(self, proxy, host, doorward=None):
        """Returns what `doorward proxy-snippet` prints for an app, as {file name: text}, and the paths by name."""
        text = self.doorward("proxy-snippet", proxy, "--host", host, "--app", self.app_url, "--doorward",
                             doorward or self.doorward_url, "--portal", self.portal, "--json")
        return {file["path"].rsplit("/", 1)[-1]: file["text"] for file in json.loads(text)}

    def has(self, capability):
        """Whether this build of Doorward can do what a row of the table needs."""
        if capability == "programs":
            return "app-token" in self.doorward_help("user")
        if capability == "domains":
            return "`protect.domains`" in self.doorward("config", "list")
        if capability == "ext-authz":
            line = http.client.HTTPConnection("127.0.0.1", self.doorward_port, timeout=5)
            line.request("GET", "/api/authz/ext-authz/")
            return line.getresponse().status != 404
        return capability not in self.lacks

    def doorward_help(self, command):
        return subprocess.run([str(DOORWARD), command, "--help"], capture_output=True, text=True).stdout

    def set_up(self):
        if self.has("domains"):
            self.settings["protect.domain"] = None
            self.settings["protect.domains"] = ", ".join(
                ["home.example", "other.example portal=auth.other.example", "third.example cookie=host"])
            self.rules += "allow one_factor domain=*.other.example\nallow one_factor domain=*.third.example\n"
        people = [
            ("ada", "Ada Lövelace", "family", "owner"), ("carl", "Carl", "family", "member"), ("eve", "Eve", "guests", "member"),
        ]
        for name, full, group, role in people:
            person = ["--name", full, "--email", f"{name}@example.org", "--password-stdin"]
            if role == "owner":
                self.doorward("setup", "--non-interactive", "--owner", name, *person, stdin=PASSWORD + "\n")
                self.doorward("user", "change", name, "--group", group)
            else:
                self.doorward("user", "add", name, "--group", group, *person, stdin=PASSWORD + "\n")
        self.doorward("rules", "apply", "-", stdin=self.rules)
        try:
            self.doorward("rules", "add", "allow", "one_factor", "domain=mail.home.example", "programs=basic")
        except GivenUp:
            self.lacks.add("basic")

    def start_doorward(self, env=None):
        self.start("doorward", self.doorward("serve"), env)
        self.wait_for_port(self.doorward_port, "doorward")

    def start_app(self):
        self.start("app", [find("python3"), HERE / "app.py", self.app_port])
        self.wait_for_port(self.app_port, "app")

    # ---- people

    def code(self, name):
        """A code that was not used yet: the one before, the present one, the next one; then it has to be waited for."""
        now = int(time.time()) // 30
        step = max(now - 1, self.codes.get(name, 0) + 1)
        while step > int(time.time()) // 30 + 1:
            time.sleep(0.5)
        self.codes[name] = step
        return totp(self.secrets[name], step - int(time.time()) // 30)

    def sign_in(self, browser, name, url):
        """From the app's address through the pages and back; returns the last page."""
        browser.browse(url)
        browser.submit("/signin", username=name, password=PASSWORD)
        return self.prove(browser, name)

    def prove(self, browser, name):
        """Gives the second factor, or sets it up, wherever a page asks for it."""
        for _ in range(6):
            path = urllib.parse.urlsplit(browser.page.url).path
            body = browser.page.body
            if 'action="/signin/second-factor"' in body:
                browser.submit("/signin/second-factor", code=self.code(name))
            elif 'action="/step-up"' in body:
                browser.submit("/step-up", code=self.code(name), **({"password": PASSWORD} if 'name="password"' in body else {}))
            elif 'action="/account/totp"' in body and "secret=" in body:
                self.secrets[name] = body.split("secret=")[1].split("&")[0].split('"')[0]
                browser.submit("/account/totp", code=self.code(name))
            elif 'href="/account/totp"' in body and browser.page.status == 403:
                browser.browse(self.portal + "/account/totp")
            elif 'action="/signin/enrol"' in body and "secret=" in body:
                self.secrets[name] = body.split("secret=")[1].split("&")[0].split('"')[0]
                browser.submit("/signin/enrol", code=self.code(name))
            elif 'action="/signin/recovery-codes"' in body:
                browser.submit("/signin/recovery-codes", saved="yes")
            else:
                break
            if path == urllib.parse.urlsplit(browser.page.url).path and browser.page.status >= 400:
                break
        return browser.page
