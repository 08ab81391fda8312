// oauth4webapi (npm), the strictest of the clients: pushed requests, DPoP-bound tokens, a client that signs instead of
// sending a secret.
import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK } from "jose";
import * as oauth from "oauth4webapi";
import { addClient, assertIsPerson, CALLBACK, issuer, SCOPE, SIGNED_OUT, walk, walkTo } from "./helpers.mjs";

const plain = { [oauth.allowInsecureRequests]: true };
const discover = async () => oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), plain));

/** A client with a key of its own, and a fresh key for its tokens. */
async function configure(id, fields = {}) {
  const keys = await oauth.generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(keys.publicKey)), alg: "ES256", use: "sig", kid: `${id}-1` };
  await addClient({ id, auth_method: "private_key_jwt", jwks: { keys: [jwk] }, ...fields });
  const as = await discover();
  const client = { client_id: id, id_token_signed_response_alg: fields.id_token_alg ?? "RS256" };
  const dpop = await oauth.generateKeyPair("ES256");
  // Each request has a proof of its own.
  const options = () => ({ ...plain, DPoP: oauth.DPoP(client, dpop) });
  const authentication = oauth.PrivateKeyJwt({ key: keys.privateKey, kid: jwk.kid });
  return { as, client, authentication, options };
}

/** Pushes a request; returns where to send the person, and what to check the answer against. */
async function push({ as, client, authentication, options }) {
  const secrets = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() };
  const code_challenge = await oauth.calculatePKCECodeChallenge(secrets.verifier);
  const asked = { client_id: client.client_id, response_type: "code", redirect_uri: CALLBACK, scope: SCOPE, state: secrets.state, nonce: secrets.nonce, code_challenge, code_challenge_method: "S256" };
  const response = await oauth.pushedAuthorizationRequest(as, client, authentication, asked, options());
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response);
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  return { url, ...secrets };
}

/** Redeems a code; `options` holds the key of the tokens. */
async function redeem({ as, client, authentication, options }, parameters, { verifier, nonce }) {
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, CALLBACK, verifier, options());
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, response, plain);
  return tokens;
}

/** Calls userinfo and returns its claims, or fails with the client's complaint. */
async function userinfo({ as, client }, tokens, options, sub = oauth.skipSubjectCheck) {
  return oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token, options));
}

for (const [how, fields] of Object.entries({ "DPoP": { dpop: "required" }, "all that FAPI 2.0 asks for": { profile: "fapi2", id_token_alg: "ES256" } })) {
  test(`oauth4webapi signs in, refreshes and signs out with a pushed request, a signing client and ${how}`, () => completes(`oauth4webapi-${fields.profile ?? "dpop"}`, fields));
}

async function completes(browser, fields) {
  const app = await configure(browser, fields);
  const { as, client, authentication, options } = app;
  const request = await push(app);
  const parameters = oauth.validateAuthResponse(as, client, await walkTo(browser, request.url), request.state);
  const tokens = await redeem(app, parameters, request);
  assert.equal(tokens.token_type, "dpop");
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  assertIsPerson(claims);
  assertIsPerson(await userinfo(app, tokens, options(), claims.sub));

  const otherKey = { ...plain, DPoP: oauth.DPoP(client, await oauth.generateKeyPair("ES256")) };
  await assert.rejects(userinfo(app, tokens, plain), { status: 401 }, "a bound token without its proof was taken");
  await assert.rejects(userinfo(app, tokens, otherKey), { status: 401 }, "a bound token with the proof of another key was taken");

  const answer = await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, options());
  const refreshed = await oauth.processRefreshTokenResponse(as, client, answer);
  await oauth.validateApplicationLevelSignature(as, answer, plain);
  assert.equal(refreshed.token_type, "dpop");
  assert.equal(oauth.getValidatedIdTokenClaims(refreshed).sub, claims.sub);

  const leave = new URL(as.end_session_endpoint);
  leave.search = new URLSearchParams({ id_token_hint: refreshed.id_token, post_logout_redirect_uri: SIGNED_OUT });
  assert.equal((await walkTo(browser, leave, SIGNED_OUT)).href, SIGNED_OUT);
  const dead = oauth.refreshTokenGrantRequest(as, client, authentication, refreshed.refresh_token ?? tokens.refresh_token, options());
  await assert.rejects(dead.then((response) => oauth.processRefreshTokenResponse(as, client, response)), { error: "invalid_grant", status: 400 });
}

test("oauth4webapi must push its request if it keeps to FAPI 2.0", async () => {
  const { as, client } = await configure("oauth4webapi-unpushed", { profile: "fapi2", id_token_alg: "ES256" });
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, response_type: "code", redirect_uri: CALLBACK, scope: "openid", state: "s", code_challenge: "A".repeat(43), code_challenge_method: "S256" });
  const callback = await walkTo("oauth4webapi-unpushed", url);
  assert.throws(() => oauth.validateAuthResponse(as, client, callback, "s"), { error: "invalid_request" });
});

test("oauth4webapi refuses another state, another issuer and another nonce", async () => {
  const browser = "oauth4webapi tampered";
  const app = await configure("oauth4webapi-tampered");
  const { as, client } = app;
  const request = await push(app);
  const callback = await walkTo(browser, request.url);
  assert.throws(() => oauth.validateAuthResponse(as, client, callback, "another"), /unexpected "state"/);
  const foreign = new URL(callback);
  foreign.searchParams.set("iss", "https://other.example");
  assert.throws(() => oauth.validateAuthResponse(as, client, foreign, request.state), /unexpected "iss"/);
  const parameters = oauth.validateAuthResponse(as, client, callback, request.state);
  await assert.rejects(redeem(app, parameters, { ...request, nonce: "another" }), /unexpected ID Token "nonce"/);
});

test("oauth4webapi cannot redeem a code with another verifier, nor use a pushed request twice, nor sign with a foreign key", async () => {
  const browser = "oauth4webapi once";
  const app = await configure("oauth4webapi-once");
  const { as, client } = app;
  const request = await push(app);
  const parameters = oauth.validateAuthResponse(as, client, await walkTo(browser, request.url), request.state);
  await assert.rejects(redeem(app, parameters, { ...request, verifier: oauth.generateRandomCodeVerifier() }), { error: "invalid_grant", status: 400 });

  const again = await walk(browser, request.url, { until: CALLBACK });
  const refused = again.url.startsWith(CALLBACK) ? new URL(again.url).searchParams.get("error") : `page ${again.status}`;
  assert.ok(["invalid_request", "invalid_request_uri", "page 400"].includes(refused), `a pushed request that was used: ${refused}`);

  const { privateKey } = await oauth.generateKeyPair("ES256");
  const impostor = { ...app, authentication: oauth.PrivateKeyJwt({ key: privateKey, kid: "oauth4webapi-once-1" }) };
  const complaint = await push(impostor).catch((error) => error);
  assert.equal(complaint.status, 401, String(complaint));
  // The library reads no body beside a challenge.
  const said = complaint.error ?? (await complaint.response.json()).error;
  assert.equal(said, "invalid_client");
});

test("oauth4webapi is told that an address is not registered before anybody is sent there", async () => {
  const { as, client, authentication, options } = await configure("oauth4webapi-address");
  const asked = { client_id: client.client_id, response_type: "code", redirect_uri: "https://evil.example/", scope: "openid", code_challenge: "A".repeat(43), code_challenge_method: "S256" };
  const answer = await oauth.pushedAuthorizationRequest(as, client, authentication, asked, options());
  await assert.rejects(oauth.processPushedAuthorizationResponse(as, client, answer), { error: "invalid_request", status: 400 });
});

test("oauth4webapi has a token introspected and revoked", async () => {
  const browser = "oauth4webapi revoked";
  const app = await configure("oauth4webapi-revoked");
  const { as, client, authentication, options } = app;
  const request = await push(app);
  const tokens = await redeem(app, oauth.validateAuthResponse(as, client, await walkTo(browser, request.url), request.state), request);
  const introspect = async () => oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, authentication, tokens.refresh_token, plain));
  const seen = await introspect();
  assert.deepEqual([seen.active, seen.client_id], [true, "oauth4webapi-revoked"]);
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, tokens.refresh_token, plain));
  assert.deepEqual(await introspect(), { active: false });
  await assert.rejects(userinfo(app, tokens, options()), { status: 401 }, "an access token outlived the revocation");
});
