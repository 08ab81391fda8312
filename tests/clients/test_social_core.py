"""social-auth-core (PyPI), behind Python Social Auth in Django and Flask apps: it takes RS256 and nothing else."""

import contextlib
import time
import unittest
from urllib.parse import parse_qsl, urlencode, urlsplit

from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.exceptions import AuthException
from social_core.strategy import BaseStrategy

from helpers import CALLBACK, ISSUER, SCOPE, SIGNED_OUT, WHO, add_client, tampered, walk_to, who


class Associations:
    """Where the library keeps its nonces."""

    kept = []

    @classmethod
    def store(cls, _url, association):
        association.id = len(cls.kept)
        association.is_expired = lambda: association.issued + association.lifetime < time.time()
        cls.kept.append(association)

    @classmethod
    def get(cls, server_url, handle):
        return [association for association in cls.kept if association.handle == handle]

    @classmethod
    def remove(cls, ids):
        cls.kept = [association for association in cls.kept if association.id not in ids]


class States:
    """Where the library keeps its states until they come back, once."""

    kept = set()

    @classmethod
    def use(cls, *state):
        cls.kept.add(state)
        return True

    @classmethod
    def consume(cls, *state):
        known = state in cls.kept
        cls.kept.discard(state)
        return known


class Storage:
    """What the library wants from a database."""

    association = Associations
    nonce = States


class Strategy(BaseStrategy):
    """The smallest web framework there is: one session, one request."""

    def __init__(self, settings):
        super().__init__(Storage)
        self.settings, self.session, self.data = settings, {}, {}

    def get_setting(self, name):
        return self.settings[name]

    def get_request_data(self, merge=True):
        return self.data

    def redirect(self, url):
        return url

    def session_get(self, name, default=None):
        return self.session.get(name, default)

    def session_set(self, name, value):
        self.session[name] = value

    def session_pop(self, name):
        return self.session.pop(name, None)

    def build_absolute_uri(self, path=None):
        return path

    def authenticate(self, backend, *args, **kwargs):
        return kwargs["response"]


def make(name, **fields):
    """A backend with a client of this name."""
    settings = {
        "SOCIAL_AUTH_OIDC_OIDC_ENDPOINT": ISSUER,
        "SOCIAL_AUTH_OIDC_KEY": name,
        "SOCIAL_AUTH_OIDC_SECRET": add_client(name, **fields),
        "SOCIAL_AUTH_OIDC_SCOPE": SCOPE.split(),
        "SOCIAL_AUTH_OIDC_USE_PKCE": True,
    }
    return OpenIdConnectAuth(Strategy(settings), redirect_uri=CALLBACK)


def authorize(backend):
    """Sends the person off; returns what they come back with."""
    back = walk_to(backend.strategy.settings["SOCIAL_AUTH_OIDC_KEY"], backend.start())
    return dict(parse_qsl(urlsplit(back).query))


def complete(backend, data):
    """What the app's callback does."""
    backend.strategy.data = backend.data = data
    return backend.auth_complete()


class SocialCore(unittest.TestCase):
    """Each test is a sentence about social-auth-core."""

    @contextlib.contextmanager
    def refused(self, code):
        """Fails unless the library refuses with this code."""
        with self.assertRaises(AuthException) as refused:
            yield
        self.assertEqual(refused.exception.code, code)

    def test_signs_in_refreshes_and_signs_out(self):
        backend = make("social-core")
        data = authorize(backend)
        self.assertEqual(data["iss"], ISSUER)
        answer = complete(backend, data)
        # The answer is the token response, with what userinfo told.
        self.assertEqual(who(answer), WHO)
        self.assertEqual(who(backend.id_token), WHO)
        self.assertEqual(answer["sub"], backend.id_token["sub"])
        self.assertEqual(backend.get_user_details(answer)["username"], WHO["preferred_username"])

        renewed = backend.refresh_token(answer["refresh_token"])
        self.assertNotEqual(renewed["access_token"], answer["access_token"])
        self.assertEqual(backend.id_token["sub"], answer["sub"])
        with self.refused("invalid_signature"):
            backend.decode_and_validate_id_token(tampered(renewed["id_token"]), renewed["access_token"])

        leave = {"id_token_hint": renewed["id_token"], "post_logout_redirect_uri": SIGNED_OUT, "state": "bye"}
        url = f"{backend.oidc_config()['end_session_endpoint']}?{urlencode(leave)}"
        self.assertEqual(walk_to("social-core", url, SIGNED_OUT), f"{SIGNED_OUT}?state=bye")
        with self.refused("reauthentication_required"):
            backend.refresh_token(renewed.get("refresh_token", answer["refresh_token"]))

    def test_refuses_another_state(self):
        backend = make("social-core-state")
        data = authorize(backend)
        with self.refused("session_context_missing"):
            complete(backend, {**data, "state": "another"})

    def test_refuses_another_nonce(self):
        backend = make("social-core-nonce")
        data = authorize(backend)
        for kept in backend.strategy.session.values():
            if isinstance(kept, dict) and "oidc_nonce" in kept:
                kept["oidc_nonce"] = "another"
        with self.refused("nonce_mismatch"):
            complete(backend, data)

    def test_refuses_an_eddsa_id_token(self):
        backend = make("social-core-eddsa", id_token_alg="EdDSA")
        data = authorize(backend)
        with self.refused("invalid_signature"):
            complete(backend, data)


if __name__ == "__main__":
    unittest.main()
