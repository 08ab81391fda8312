#!/usr/bin/env python3
"""Makes the folder `authelia` beside this file: everybody's password is PASSWORD, hashed by other programs than ours.

Needs passlib, argon2-cffi, bcrypt < 4.1 and cryptography (pip install). Run it again only to change what is in there.
"""
import base64
import json
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from passlib.hash import (argon2, bcrypt, bcrypt_sha256, pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, scrypt,
                          sha256_crypt, sha512_crypt)

PASSWORD = "plum-anchor-violet-seventy"
HERE = pathlib.Path(__file__).parent / "authelia"
SECRETS = {"bea": ("SHA1", 6, 30, 20), "carl": ("SHA256", 8, 30, 32), "dora": ("SHA512", 6, 60, 64),
           "emil": ("SHA512", 8, 30, 32)}

argon = argon2.using(type="ID", memory_cost=65536, time_cost=3, parallelism=4)
people = {
    "ada": (argon.hash(PASSWORD), ["dev"], {}),
    "bea": (bcrypt.using(rounds=10).hash(PASSWORD), ["guests"], {}),
    "carl": (scrypt.using(rounds=15, block_size=8, parallelism=1).hash(PASSWORD), [], {}),
    "dora": (pbkdf2_sha1.using(rounds=50000).hash(PASSWORD), [], {}),
    "emil": (pbkdf2_sha256.using(rounds=50000).hash(PASSWORD), ["dev", "ops"], {}),
    "fritz": (pbkdf2_sha512.using(rounds=50000).hash(PASSWORD), ["dev"], {}),
    "gina": (sha512_crypt.using(rounds=50000).hash(PASSWORD), [], {"given_name": "Gina", "extra": {"quota": 5}}),
    "hans": ("{CRYPT}" + sha256_crypt.using(rounds=50000).hash(PASSWORD), [], {}),
    "ida": (bcrypt_sha256.using(rounds=10).hash(PASSWORD), [], {}),
    "jan": ("{CRYPT}" + sha512_crypt.using(rounds=5000).hash(PASSWORD), ["dev"], {"disabled": True}),
    "Karla": (argon.using(parallelism=8).hash(PASSWORD), ["Dev"], {}),
    "lena": ("$argon2id$v=19$m=4194304,t=3,p=4$uhfC2HvP2bt3bs25t3audQ$YY5tlUvTkCpKGzvO5bf9MuzprWgjmvjGjZB9dqV/LDw",
             [], {}),
    "mara": (bcrypt.using(rounds=4).hash(PASSWORD).replace("$04$", "$31$"), [], {}),
    "nora": (bcrypt.using(rounds=4).hash(PASSWORD), ["dev,ops", "dev"], {}),
    "otto": (bcrypt.using(rounds=4).hash(PASSWORD), [], {}),
    "Otto": (bcrypt.using(rounds=4).hash(PASSWORD), ["dev"], {}),
    "p@home.example": (bcrypt.using(rounds=4).hash(PASSWORD), [], {}),
}
lines = ["---", "users:"]
for name, (hash, groups, more) in people.items():
    lines += [f"  {json.dumps(name)}:", f"    displayname: {json.dumps(name.capitalize() + ' Example')}",
              f"    password: '{hash}'", f"    email: {json.dumps(name.split('@')[0] + '@mail.example')}",
              f"    groups: {json.dumps(groups)}"]
    lines += [f"    {key}: {json.dumps(value)}" for key, value in more.items()]
(HERE / "users_database.yml").write_text("\n".join(lines) + "\n")

lines = ["totp_configurations:"]
for name, (algorithm, digits, period, length) in SECRETS.items():
    # As the test knows it: the name, repeated.
    seed = (name.encode() * 64)[:length]
    text = base64.b32encode(seed).rstrip(b"=")
    lines += ["- created_at: 2024-01-02T03:04:05Z", "  last_used_at: null", f"  username: {name}",
              "  issuer: home.example", f"  algorithm: {algorithm}", f"  digits: {digits}", f"  period: {period}",
              f"  secret: {base64.b64encode(text).decode()}"]
(HERE / "authelia.export.totp.yml").write_text("\n".join(lines) + "\n")

(HERE / "authelia.export.opaque-identifiers.yml").write_text("""identifiers:
- service: openid
  sector_id: ''
  username: gina
  identifier: 5b1a6c1e-6f3b-4c5d-8f3e-0a7d1b2c3d4e
- service: openid
  sector_id: other.example
  username: gina
  identifier: 11111111-6f3b-4c5d-8f3e-0a7d1b2c3d4e
""")
(HERE / "authelia.export.webauthn.yml").write_text("""webauthn_credentials:
- created_at: 2024-01-02T03:04:05Z
  rpid: auth.home.example
  username: ada
  description: Key on the ring
  kid: AAAA
  public_key: AAAA
""")


def pem(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


(HERE / "secrets" / "rsa.pem").write_text(pem(rsa.generate_private_key(65537, 2048)))
(HERE / "secrets" / "small.pem").write_text(pem(rsa.generate_private_key(65537, 1024)))
(HERE / "secrets" / "ec.pem").write_text(
    # As authelia crypto pair ecdsa generate writes it.
    pem(ec.generate_private_key(ec.SECP256R1()), serialization.PrivateFormat.TraditionalOpenSSL))

CONFIG = """---
theme: dark
server:
  address: 'tcp://:9091'
log: {{level: info}}
totp: {{issuer: home.example, algorithm: sha256, digits: 8}}
authentication_backend:
  file:
    path: /config/users_database.yml
definitions:
  network:
    lan: ['127.0.0.0/8', '192.168.0.0/16']
session:
  secret: '{{{{ secret "/config/secrets/session" }}}}'
  cookies:
    - domain: home.localhost
      authelia_url: 'https://auth.home.localhost'
storage: {{local: {{path: /config/db.sqlite3}}}}
notifier: {{filesystem: {{filename: /config/notification.txt}}}}
access_control:
  default_policy: deny
  rules:
    - domain: public.home.localhost
      policy: bypass
    - domain: secret.home.localhost
      policy: deny
      subject: 'group:guests'
    - domain: secret.home.localhost
      policy: one_factor
      subject:
        - ['group:dev', 'group:ops']
        - 'user:ada'
    - domain: bank.home.localhost
      policy: two_factor
    - domain: api.home.localhost
      policy: bypass
      resources: ['^/hooks([/?].*)?$']
      methods: [POST]
    - domain: [api.home.localhost, '*.tools.home.localhost']
      policy: one_factor
      networks: [lan]
    - domain_regex: '^(?P<User>\\w+)\\.people\\.home\\.localhost$'
      policy: one_factor
    - domain: search.home.localhost
      policy: bypass
      query:
        - - operator: present
            key: token
          - operator: equal
            key: mode
            value: open
identity_providers:
  oidc:
    hmac_secret: 'not-carried-over-0123456789'
    enforce_pkce: public_clients_only
    jwks:
      - key_id: main
        key: {{{{ secret "/config/secrets/rsa.pem" | mindent 10 "|" | msquote }}}}
      - key_id: small
        key: {{{{ secret "/config/secrets/small.pem" | mindent 10 "|" | msquote }}}}
      - key_id: curve
        algorithm: ES256
        key: {{{{ secret "/config/secrets/ec.pem" | mindent 10 "|" | msquote }}}}
    authorization_policies:
      staff:
        default_policy: deny
        rules:
          - policy: one_factor
            subject: ['group:dev', 'group:guests']
      odd:
        default_policy: two_factor
        rules:
          - policy: deny
            subject: 'user:ada'
    clients:
      - client_id: grafana
        client_name: Grafana
        client_secret: '{pbkdf2}'
        redirect_uris: ['https://app.example.org/callback']
        scopes: [openid, profile, groups, email]
        authorization_policy: one_factor
        consent_mode: implicit
        token_endpoint_auth_method: client_secret_basic
      - client_id: wiki
        client_name: Wiki
        client_secret: '{argon}'
        redirect_uris: ['https://app.example.org/callback', 'http://wiki.home.example/callback']
        authorization_policy: staff
        consent_mode: implicit
        id_token_signed_response_alg: ES256
        lifespan: long
      - client_id: odd
        client_secret: '$plaintext$an-open-secret'
        redirect_uris: 'https://odd.example.org/callback'
        authorization_policy: odd
      - client_id: phone
        public: true
        redirect_uris: ['https://phone.example.org/callback']
        authorization_policy: one_factor
      - client_id: dear
        client_secret: '{dear}'
        redirect_uris: ['https://dear.example.org/callback']
        authorization_policy: one_factor
"""
(HERE / "configuration.yml").write_text(CONFIG.format(
    pbkdf2=pbkdf2_sha512.using(rounds=310000).hash("insecure_secret"),
    argon=argon2.using(type="ID", memory_cost=65536, time_cost=3, parallelism=4).hash("insecure secret+2"),
    dear=pbkdf2_sha512.using(rounds=1000).hash("x").replace("$1000$", "$99999999$")))
