// jose (npm) decrypts what Doorward encrypts for a client's key, and finds the signed id_token inside.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compactDecrypt, createRemoteJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify } from "jose";
import * as oidc from "openid-client";
import { addClient, assertIsPerson, CALLBACK, issuer, post, SCOPE, walkTo } from "./helpers.mjs";

/** Signs in by hand, since what comes back is for the key's owner alone; returns the token endpoint's answer. */
async function signIn(client) {
  const config = await oidc.discovery(new URL(issuer), client.id, client.client_secret, undefined, { execute: [oidc.allowInsecureRequests] });
  const metadata = config.serverMetadata();
  const code_verifier = oidc.randomPKCECodeVerifier();
  const code_challenge = await oidc.calculatePKCECodeChallenge(code_verifier);
  const asked = { redirect_uri: CALLBACK, scope: SCOPE, state: "s", nonce: "a nonce of mine", code_challenge, code_challenge_method: "S256" };
  const callback = await walkTo(client.id, oidc.buildAuthorizationUrl(config, asked));
  const form = { grant_type: "authorization_code", code: callback.searchParams.get("code"), redirect_uri: CALLBACK, code_verifier };
  const { status, body } = await post(metadata.token_endpoint, client, form);
  assert.equal(status, 200, JSON.stringify(body));
  return { metadata, tokens: body };
}

for (const alg of ["ECDH-ES", "RSA-OAEP-256"]) {
  test(`jose decrypts id_token and userinfo that are encrypted with ${alg}`, async () => {
    const { publicKey, privateKey } = await generateKeyPair(alg, { crv: "P-256" });
    const jwk = { ...(await exportJWK(publicKey)), alg, use: "enc", kid: "for-secrets" };
    const client = await addClient({ id: `jose-${alg}`, jwks: { keys: [jwk] }, id_token_encryption: alg, userinfo_encryption: alg, userinfo_alg: "RS256" });
    const { metadata, tokens } = await signIn(client);
    assert.ok(metadata.id_token_encryption_alg_values_supported.includes(alg), "discovery names the algorithm");
    const theirs = createRemoteJWKSet(new URL(metadata.jwks_uri));
    const checks = { issuer, audience: client.id, algorithms: ["RS256"] };
    const open = async (secret) => {
      const { plaintext, protectedHeader } = await compactDecrypt(secret, privateKey, { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: ["A256GCM"] });
      assert.equal(protectedHeader.kid, "for-secrets");
      assert.equal(protectedHeader.cty, "JWT");
      return jwtVerify(plaintext, theirs, checks);
    };

    assert.equal(decodeProtectedHeader(tokens.id_token).alg, alg);
    const { payload } = await open(tokens.id_token);
    assertIsPerson(payload);
    assert.equal(payload.nonce, "a nonce of mine");

    const answer = await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    assert.match(answer.headers.get("content-type"), /^application\/jwt/);
    const told = await open(await answer.text());
    assertIsPerson(told.payload);
    assert.equal(told.payload.sub, payload.sub);

    const stranger = await generateKeyPair(alg, { crv: "P-256" });
    await assert.rejects(compactDecrypt(tokens.id_token, stranger.privateKey), { code: "ERR_JWE_DECRYPTION_FAILED" });
    const [head, key, iv, text, tag] = tokens.id_token.split(".");
    const changed = [head, key, iv, (text[0] === "A" ? "B" : "A") + text.slice(1), tag].join(".");
    await assert.rejects(compactDecrypt(changed, privateKey), { code: "ERR_JWE_DECRYPTION_FAILED" });
  });
}

test("the keys for encryption of others are not among Doorward's own", async () => {
  const { jwks_uri } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const { keys } = await (await fetch(jwks_uri)).json();
  assert.ok(keys.length > 0);
  for (const key of keys) {
    assert.equal(key.use, "sig");
    assert.equal(key.d, undefined);
    assert.ok(key.kid && key.alg);
  }
});
