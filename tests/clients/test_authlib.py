"""Authlib (PyPI) as a Flask app uses it."""

import os
import unittest
from urllib.parse import parse_qs, urlsplit

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import flask
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.oidc.core.claims import InvalidClaimError
from joserfc.errors import BadSignatureError

from helpers import CALLBACK, ISSUER, SCOPE, SIGNED_OUT, WHO, add_client, tampered, walk_to, who


class App:
    """A Flask app with a client of this name, and one visitor."""

    def __init__(self, name, **fields):
        self.name = name
        self.flask = flask.Flask(__name__)
        self.flask.secret_key = "of the app"
        self.oauth = OAuth(self.flask).register(
            name,
            client_id=name,
            client_secret=add_client(name, **fields),
            server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
        )
        self.cookies = {}

    def request(self, url):
        """A request of the visitor, to work in; the session is kept from one to the next."""
        context = self.flask.test_request_context(url)
        return Visit(self, context)

    def authorize(self):
        """Sends the visitor off; returns the address they come back to."""
        with self.request("/login"):
            away = self.oauth.authorize_redirect(CALLBACK).location
        return walk_to(self.name, away)


class Visit:
    """A request context whose session lives on in the app's `cookies`."""

    def __init__(self, app, context):
        self.app, self.context = app, context

    def __enter__(self):
        self.context.push()
        flask.session.update(self.app.cookies)

    def __exit__(self, *_):
        self.app.cookies = dict(flask.session)
        self.context.pop()


class Authlib(unittest.TestCase):
    """Each test is a sentence about Authlib."""

    def sign_in(self, alg):
        app = App(f"authlib-{alg}", id_token_alg=alg)
        back = app.authorize()
        self.assertEqual(parse_qs(urlsplit(back).query)["iss"], [ISSUER])
        with app.request(back):
            token = app.oauth.authorize_access_token()
            self.assertEqual(who(token["userinfo"]), WHO)
            told = app.oauth.userinfo(token=token)
            self.assertEqual(who(told), WHO)
            self.assertEqual(told["sub"], token["userinfo"]["sub"])

            renewed = app.oauth.fetch_access_token(grant_type="refresh_token", refresh_token=token["refresh_token"])
            self.assertNotEqual(renewed["access_token"], token["access_token"])
            claims = app.oauth.parse_id_token(renewed, nonce=None)
            self.assertEqual(claims["sub"], told["sub"])

            with self.assertRaises(BadSignatureError):
                app.oauth.parse_id_token({**token, "id_token": tampered(token["id_token"])}, nonce=token["userinfo"]["nonce"])

            leave = app.oauth.create_logout_url(post_logout_redirect_uri=SIGNED_OUT, id_token_hint=renewed["id_token"], state="bye")
            self.assertEqual(walk_to(app.name, leave["url"], SIGNED_OUT), f"{SIGNED_OUT}?state=bye")
            with self.assertRaises(OAuthError) as refused:
                app.oauth.fetch_access_token(grant_type="refresh_token", refresh_token=renewed.get("refresh_token", token["refresh_token"]))
            self.assertEqual(refused.exception.error, "invalid_grant")

    def test_signs_in_refreshes_and_signs_out_with_rs256(self):
        self.sign_in("RS256")

    def test_signs_in_refreshes_and_signs_out_with_eddsa(self):
        self.sign_in("EdDSA")

    def test_refuses_another_state(self):
        app = App("authlib-state")
        back = app.authorize()
        state = parse_qs(urlsplit(back).query)["state"][0]
        with app.request(back.replace(state, "another")), self.assertRaises(MismatchingStateError):
            app.oauth.authorize_access_token()

    def test_refuses_another_nonce(self):
        app = App("authlib-nonce")
        back = app.authorize()
        for kept in app.cookies.values():
            kept["data"]["nonce"] = "another"
        with app.request(back), self.assertRaisesRegex(InvalidClaimError, "nonce"):
            app.oauth.authorize_access_token()


if __name__ == "__main__":
    unittest.main()
