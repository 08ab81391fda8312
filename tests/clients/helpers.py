"""What the drivers in Python share."""

import json
import os
import urllib.error
import urllib.request

CALLBACK = "https://app.example/callback"
SIGNED_OUT = "https://app.example/signed-out"
SCOPE = "openid profile email groups offline_access"


def ask(method, path, body=None):
    """Asks the stage; returns its JSON or fails with what it said."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["CLIENTS_STAGE"] + path, data, method=method)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from None


PERSON = ask("GET", "/")
ISSUER = PERSON["issuer"]


def add_client(client_id, **fields):
    """Adds a client; returns its secret."""
    fields = {"id": client_id, "name": client_id, "redirect_uris": [CALLBACK], "post_logout_redirect_uris": [SIGNED_OUT], **fields}
    return ask("POST", "/clients", fields)["client_secret"]


def walk_to(browser, url, until=CALLBACK):
    """Walks a browser of this name through the pages; returns the address it is sent to, which begins with `until`."""
    end = ask("POST", "/walk", {"browser": browser, "url": url, "until": until})
    assert end["url"].startswith(until), "\n".join([*end["steps"], end.get("text", "")])
    return end["url"]


def who(claims):
    """Who these claims say the person is."""
    return {**{name: claims.get(name) for name in ("preferred_username", "name", "email")}, "groups": sorted(claims.get("groups") or [])}


WHO = {"preferred_username": PERSON["username"], "name": PERSON["name"], "email": PERSON["email"], "groups": sorted(PERSON["groups"])}


def tampered(token):
    """The same token with another signature."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
