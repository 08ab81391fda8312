"""A browser without JavaScript: cookies, forms, redirects, and requests byte by byte. TLS to one port of this machine,
whatever the name."""

import base64
import html.parser
import http.client
import json
import os
import socket
import ssl
import struct
import urllib.parse

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"


class Answer:
    """What came back: status, headers as pairs, body as text, and from where."""

    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def location(self):
        """The absolute address of a redirect, or an empty text."""
        found = self.values("location")
        return urllib.parse.urljoin(self.url, found[0]) if found and 300 <= self.status < 400 else ""

    @property
    def seen(self):
        """What the app saw, or None if it was not reached."""
        try:
            seen = json.loads(self.body)
        except ValueError:
            return None
        return seen if isinstance(seen, dict) and seen.get("app") == "reached" else None

    @property
    def has_reached(self):
        return self.seen is not None

    def header(self, name):
        """The values that the app saw under this name, joined; None without one."""
        found = [value for key, value in self.seen["headers"] if key.lower() == name.lower()] if self.seen else []
        return " | ".join(found) if found else None


class Forms(html.parser.HTMLParser):
    """Collects the hidden fields of each form by its action."""

    def __init__(self):
        super().__init__()
        self.hidden, self.action = {}, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.action = attrs.get("action")
            self.hidden.setdefault(self.action, [])
        elif tag == "input" and self.action is not None and attrs.get("type") == "hidden":
            self.hidden[self.action].append((attrs["name"], attrs.get("value") or ""))

    def handle_endtag(self, tag):
        if tag == "form":
            self.action = None


class Line:
    """A TLS connection to the proxy, for exact bytes."""

    def __init__(self, place, name, authority):
        context = ssl.create_default_context(cafile=authority)
        plain = socket.create_connection(place, timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=name)

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self, url, method="GET"):
        """Reads one answer; a line that is closed at once has the status 0."""
        response = http.client.HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            body = b"" if response.status == 101 else response.read()
        except (http.client.HTTPException, OSError, ssl.SSLError):
            return Answer(url, 0, [], "")
        headers = [(key, value) for key, value in response.getheaders()]
        return Answer(url, response.status, headers, body.decode("utf-8", "replace"))

    def close(self):
        self.socket.close()


class Browser:
    """One person's browser. `place` is (address, port) of the proxy, `authority` the file of the
    certificate authority."""

    def __init__(self, place, authority):
        self.place, self.authority, self.jar = place, authority, {}
        self.page = None

    def copy(self):
        """Somebody who got hold of all cookies."""
        other = Browser(self.place, self.authority)
        other.jar = dict(self.jar)
        return other

    def cookies_for(self, host, path):
        def fits(domain, is_exact, prefix):
            return (host == domain or (not is_exact and host.endswith("." + domain))) and path.startswith(prefix)

        return "; ".join(f"{name}={value}" for (name, domain, is_exact, prefix), value in self.jar.items() if fits(domain, is_exact, prefix))

    def keep(self, host, lines):
        for line in lines:
            first, *rest = [part.strip() for part in line.split(";")]
            name, _, value = first.partition("=")
            attributes = {key.lower(): text for key, _, text in (part.partition("=") for part in rest)}
            domain = attributes.get("domain", "").lstrip(".").lower()
            if domain and host != domain and not host.endswith("." + domain):
                continue
            key = (name, domain or host, not domain, attributes.get("path", "/"))
            if attributes.get("max-age", "1").strip() in ("0", "-1") or not value:
                self.jar.pop(key, None)
            else:
                self.jar[key] = value

    def visit(self, url, method="GET", headers=(), body=None, accept=PAGE, host=None, cookies=True, target=None, sni=None):
        """Sends one request and follows nothing. `headers` are pairs and sent as they are, in any spelling; `target`
        replaces the path; `host` the Host header."""
        parts = urllib.parse.urlsplit(url)
        name = parts.hostname
        path = target if target is not None else (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or parts.netloc}"]
        if accept:
            lines.append(f"Accept: {accept}")
        cookie = self.cookies_for(name, parts.path or "/") if cookies else ""
        if cookie:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{key}: {value}" for key, value in headers]
        if not any(key.lower() == "connection" for key, _ in headers):
            lines.append("Connection: close")
        payload = b""
        if body is not None:
            payload = body if isinstance(body, bytes) else urllib.parse.urlencode(body).encode()
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(payload)}"]
        line = Line(self.place, sni or name, self.authority)
        try:
            line.send("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
            answer = line.answer(url, method)
        finally:
            line.close()
        self.keep(name, answer.values("set-cookie"))
        return answer

    def browse(self, url, **options):
        """Follows redirects to the page at their end."""
        answer = self.visit(url, **options)
        for _ in range(12):
            if not answer.location:
                break
            answer = self.visit(answer.location)
        self.page = answer
        return answer

    def submit(self, action, **fields):
        """Fills in and sends the form of the page that is shown, and follows the redirects."""
        forms = Forms()
        forms.feed(self.page.body)
        if action not in forms.hidden:
            raise AssertionError(f"{self.page.url} ({self.page.status}) has no form for {action}, only for {sorted(map(str, forms.hidden))}")
        parts = urllib.parse.urlsplit(self.page.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        headers = [("Origin", origin), ("Sec-Fetch-Site", "same-origin")]
        answer = self.visit(origin + action, "POST", headers, forms.hidden[action] + list(fields.items()))
        self.page = answer
        return self.browse(answer.location) if answer.location else answer

    def websocket(self, url, headers=(), message="hello"):
        """Opens a WebSocket. Returns the answer to the handshake, what the app saw and what it sent back."""
        parts = urllib.parse.urlsplit(url)
        line = Line(self.place, parts.hostname, self.authority)
        lines = [
            f"GET {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: websocket",
            f"Origin: https://{parts.netloc}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
        ]
        cookie = self.cookies_for(parts.hostname, parts.path or "/")
        if cookie:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{key}: {value}" for key, value in headers]
        try:
            line.send("\r\n".join(lines) + "\r\n\r\n")
            head = _until(line.socket, b"\r\n\r\n")
            status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/") else 0
            if status != 101:
                return Answer(url, status, [], ""), None
            first = _frame(line.socket)
            mask = os.urandom(4)
            payload = message.encode()
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            line.send(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
            return Answer(url, 101, [], first.decode()), _frame(line.socket).decode()
        except (OSError, ValueError, IndexError) as error:
            return Answer(url, 0, [], str(error)), None
        finally:
            line.close()


def _exactly(line, length):
    data = b""
    while len(data) < length:
        more = line.recv(length - len(data))
        if not more:
            raise OSError("the line was closed")
        data += more
    return data


def _until(line, end):
    data = b""
    while not data.endswith(end):
        more = line.recv(1)
        if not more:
            break
        data += more
    return data


def _frame(line):
    head = _exactly(line, 2)
    length = head[1] & 127
    if length == 126:
        length = struct.unpack(">H", _exactly(line, 2))[0]
    return _exactly(line, length)
