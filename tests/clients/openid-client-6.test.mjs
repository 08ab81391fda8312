// openid-client 6 (npm), with every id_token's signature checked, for each algorithm that a client can ask for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeProtectedHeader } from "jose";
import * as oidc from "openid-client";
import { addClient, assertIsPerson, CALLBACK, issuer, SCOPE, SIGNED_OUT, walkTo } from "./helpers.mjs";

/** A configured client of its own, as an app that insists on this algorithm would have it. */
async function configure(id, alg) {
  const { client_secret } = await addClient({ id, id_token_alg: alg });
  const metadata = { client_secret, id_token_signed_response_alg: alg };
  return oidc.discovery(new URL(issuer), id, metadata, oidc.ClientSecretBasic(client_secret), { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] });
}

/** Asks for a code; returns the callback with what the client must check it against. */
async function authorize(config, browser, more = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true };
  const code_challenge = await oidc.calculatePKCECodeChallenge(pkceCodeVerifier);
  const asked = { redirect_uri: CALLBACK, scope: SCOPE, code_challenge, code_challenge_method: "S256", state: checks.expectedState, nonce: checks.expectedNonce, ...more };
  return { checks, callback: await walkTo(browser, oidc.buildAuthorizationUrl(config, asked)) };
}

/** A check that the client itself complained, of this. */
const complaint = (about) => (error) => assert.match(error.cause?.message ?? String(error), about) ?? true;

for (const alg of ["RS256", "ES256", "EdDSA"]) {
  test(`openid-client 6 signs in, silently again, refreshes and signs out with ${alg}`, async () => {
    const browser = `openid-client-6 ${alg}`;
    const config = await configure(`openid-client-6-${alg}`, alg);
    const { checks, callback } = await authorize(config, browser);
    assert.equal(callback.searchParams.get("iss"), issuer);
    const tokens = await oidc.authorizationCodeGrant(config, callback, checks);
    assert.equal(decodeProtectedHeader(tokens.id_token).alg, alg);
    assertIsPerson(tokens.claims());
    const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    assertIsPerson(userinfo);
    assert.equal(userinfo.sub, tokens.claims().sub);

    const quiet = await authorize(config, browser, { prompt: "none" });
    const again = (await oidc.authorizationCodeGrant(config, quiet.callback, quiet.checks)).claims();
    for (const claim of ["sub", "sid", "auth_time"]) assert.equal(again[claim], tokens.claims()[claim], claim);

    const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(refreshed.access_token, tokens.access_token);
    for (const claim of ["iss", "sub", "aud", "auth_time", "sid"]) assert.equal(refreshed.claims()[claim], tokens.claims()[claim], claim);
    await oidc.fetchUserInfo(config, refreshed.access_token, userinfo.sub);

    const leave = oidc.buildEndSessionUrl(config, { id_token_hint: refreshed.id_token, post_logout_redirect_uri: SIGNED_OUT, state: "on my way" });
    const left = await walkTo(browser, leave, SIGNED_OUT);
    assert.deepEqual([...left.searchParams], [["state", "on my way"]]);
    const dead = oidc.refreshTokenGrant(config, refreshed.refresh_token ?? tokens.refresh_token);
    await assert.rejects(dead, { error: "invalid_grant", status: 400 });
    const silently = await authorize(config, browser, { prompt: "none" });
    await assert.rejects(oidc.authorizationCodeGrant(config, silently.callback, silently.checks), { error: "login_required" });
  });
}

test("openid-client 6 refuses what was tampered with, and the code counts once", async () => {
  const config = await configure("openid-client-6-tampered", "RS256");
  const { checks, callback } = await authorize(config, "openid-client-6 tampered");
  const refused = (changed, checked, how) => assert.rejects(oidc.authorizationCodeGrant(config, changed, { ...checks, ...checked }), how);
  const tampered = (name, value) => {
    const changed = new URL(callback);
    if (value === undefined) changed.searchParams.delete(name);
    else changed.searchParams.set(name, value);
    return changed;
  };
  await refused(tampered("state", "another"), {}, complaint(/unexpected "state"/));
  await refused(tampered("iss", "https://other.example"), {}, complaint(/unexpected "iss"/));
  await refused(tampered("iss"), {}, complaint(/"iss" .*missing/));
  await refused(callback, { pkceCodeVerifier: oidc.randomPKCECodeVerifier() }, { error: "invalid_grant", status: 400 });

  const other = await authorize(config, "openid-client-6 tampered");
  await assert.rejects(oidc.authorizationCodeGrant(config, other.callback, { ...other.checks, expectedNonce: "another" }), complaint(/unexpected ID Token "nonce"/));
  await assert.rejects(oidc.authorizationCodeGrant(config, other.callback, other.checks), { error: "invalid_grant", status: 400 });
});

test("openid-client 6 is told that the person said no", async () => {
  const config = await configure("openid-client-6-no", "RS256");
  const checks = { expectedState: oidc.randomState(), pkceCodeVerifier: oidc.randomPKCECodeVerifier() };
  const code_challenge = await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier);
  const url = oidc.buildAuthorizationUrl(config, { redirect_uri: CALLBACK, scope: SCOPE, code_challenge, code_challenge_method: "S256", state: checks.expectedState });
  const callback = await walkTo("openid-client-6 no", url, CALLBACK, { consent: "deny" });
  assert.equal(callback.searchParams.get("iss"), issuer);
  await assert.rejects(oidc.authorizationCodeGrant(config, callback, checks), { error: "access_denied" });
});
