// openid-client 5 (npm): what many apps still have in them. It wants RS256 unless told otherwise and verifies signatures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { generators, Issuer } from "openid-client-5";
import { addClient, assertIsPerson, CALLBACK, issuer, SCOPE, SIGNED_OUT, walkTo } from "./helpers.mjs";

async function configure(id, fields) {
  const { Client } = await Issuer.discover(issuer);
  const { client_secret } = await addClient({ id, ...fields });
  return new Client({ client_id: id, client_secret, redirect_uris: [CALLBACK], response_types: ["code"], token_endpoint_auth_method: "client_secret_post" });
}

async function authorize(client, browser) {
  const checks = { code_verifier: generators.codeVerifier(), state: generators.state(), nonce: generators.nonce(), response_type: "code" };
  const { state, nonce } = checks;
  const url = client.authorizationUrl({ scope: SCOPE, state, nonce, code_challenge: generators.codeChallenge(checks.code_verifier), code_challenge_method: "S256" });
  return { checks, parameters: client.callbackParams((await walkTo(browser, url)).href) };
}

test("openid-client 5 signs in, refreshes and signs out with what it takes for granted", async () => {
  const browser = "openid-client-5";
  const client = await configure("openid-client-5", { auth_method: "client_secret_post" });
  const { checks, parameters } = await authorize(client, browser);
  assert.equal(parameters.iss, issuer);
  const tokens = await client.callback(CALLBACK, parameters, checks);
  assertIsPerson(tokens.claims());
  const userinfo = await client.userinfo(tokens);
  assertIsPerson(userinfo);
  assert.equal(userinfo.sub, tokens.claims().sub);

  // It compares the subject and verifies the new id_token by itself.
  const refreshed = await client.refresh(tokens);
  assert.notEqual(refreshed.access_token, tokens.access_token);
  assert.equal(refreshed.claims().sub, userinfo.sub);

  const left = await walkTo(browser, client.endSessionUrl({ id_token_hint: refreshed.id_token, post_logout_redirect_uri: SIGNED_OUT, state: "away" }), SIGNED_OUT);
  assert.deepEqual([...left.searchParams], [["state", "away"]]);
  await assert.rejects(client.refresh(refreshed.refresh_token ?? tokens.refresh_token), { error: "invalid_grant" });
});

test("openid-client 5 refuses another nonce, another state and another issuer", async () => {
  const client = await configure("openid-client-5-tampered", { auth_method: "client_secret_post" });
  const { checks, parameters } = await authorize(client, "openid-client-5 tampered");
  await assert.rejects(client.callback(CALLBACK, { ...parameters, state: "another" }, checks), /state mismatch/);
  await assert.rejects(client.callback(CALLBACK, { ...parameters, iss: "https://other.example" }, checks), /iss mismatch/);
  await assert.rejects(client.callback(CALLBACK, parameters, { ...checks, nonce: "another" }), /nonce mismatch/);
});

test("openid-client 5 refuses an EdDSA id_token, so RS256 must stay what clients get unasked", async () => {
  const client = await configure("openid-client-5-eddsa", { auth_method: "client_secret_post", id_token_alg: "EdDSA" });
  const { checks, parameters } = await authorize(client, "openid-client-5 eddsa");
  await assert.rejects(client.callback(CALLBACK, parameters, checks), /unexpected JWT alg received, expected RS256, got: EdDSA/);
});
