// An app that is told when somebody signs out: a small receiver, and jose (npm) to judge the logout token.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as oidc from "openid-client";
import { addClient, CALLBACK, issuer, SCOPE, SIGNED_OUT, walk, walkTo } from "./helpers.mjs";

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
const calls = [];
let waiting = () => {};
const receiver = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  calls.push({ app: request.url, method: request.method, type: request.headers["content-type"], form: new URLSearchParams(Buffer.concat(chunks).toString()) });
  response.writeHead(200, { "cache-control": "no-store" }).end();
  waiting();
});

before(() => once(receiver.listen(0, "127.0.0.1"), "listening"));
after(() => receiver.close());

/** Waits for the one call for this app, for ten seconds at most. */
async function call(app) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const mine = calls.filter((one) => one.app === app);
    if (mine.length) return mine;
    if (Date.now() > deadline) throw new Error(`nobody called ${app}; other calls: ${JSON.stringify(calls.map((one) => one.app))}`);
    await new Promise((done) => {
      waiting = done;
      setTimeout(done, 200);
    });
  }
}

/** Adds an app with a receiver and signs in to it in this browser, `times` times; returns what the last one gave. */
async function signIn(id, browser, fields = {}, times = 1) {
  const { client_secret } = await addClient({ id, backchannel_logout_uri: `http://127.0.0.1:${receiver.address().port}/${id}`, ...fields });
  const config = await oidc.discovery(new URL(issuer), id, { client_secret, id_token_signed_response_alg: fields.id_token_alg }, undefined, { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] });
  let tokens;
  for (let time = 0; time < times; time += 1) {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const url = oidc.buildAuthorizationUrl(config, { redirect_uri: CALLBACK, scope: SCOPE, state: "s", code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256" });
    tokens = await oidc.authorizationCodeGrant(config, await walkTo(browser, url), { pkceCodeVerifier, expectedState: "s" });
  }
  return { config, tokens, claims: tokens.claims(), alg: fields.id_token_alg ?? "RS256" };
}

/** Judges what an app was sent as OpenID Connect Back-Channel Logout 1.0, section 2.6, asks for. */
async function judge(id, { config, claims, alg }) {
  const [{ method, type, form }, ...more] = await call(`/${id}`);
  assert.equal(more.length, 0, "one call a sign-out");
  assert.equal(method, "POST");
  assert.match(type, /^application\/x-www-form-urlencoded/);
  assert.deepEqual([...form.keys()], ["logout_token"]);
  const token = form.get("logout_token");
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  const { payload } = await jwtVerify(token, keys, { issuer, audience: id, typ: "logout+jwt", algorithms: [alg], requiredClaims: ["iat", "exp", "jti"], maxTokenAge: "2 minutes" });
  assert.deepEqual(payload.events, { [EVENT]: {} });
  assert.equal(payload.sub, claims.sub);
  assert.equal(payload.sid, claims.sid);
  assert.ok(payload.sid, "there is a sid to find the session by");
  assert.equal("nonce" in payload, false, "a logout token has no nonce");
  await assert.rejects(jwtVerify(token, keys, { issuer, audience: "another", typ: "logout+jwt" }), { code: "ERR_JWT_CLAIM_VALIDATION_FAILED" });
  await assert.rejects(jwtVerify(token, keys, { issuer, audience: id, typ: "JWT" }), { code: "ERR_JWT_CLAIM_VALIDATION_FAILED" });
}

test("when the person signs out at Doorward, every app is told, in its own algorithm", async () => {
  const browser = "back-channel";
  const apps = { "told-rs256": await signIn("told-rs256", browser), "told-eddsa": await signIn("told-eddsa", browser, { id_token_alg: "EdDSA" }) };
  assert.equal(apps["told-rs256"].claims.sid === undefined, false, "the id_token has a sid");
  const elsewhere = await signIn("told-elsewhere", "back-channel elsewhere");
  const end = await walk(browser, `${issuer}/signout`, { press: ["here"] });
  assert.match(end.text, /You are signed out/, end.steps.join("\n"));
  for (const [id, app] of Object.entries(apps)) await judge(id, app);
  for (const { config, tokens } of Object.values(apps)) await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: "invalid_grant" });
  assert.deepEqual(calls.filter((one) => one.app === "/told-elsewhere"), [], "a session in another browser goes on");
  await oidc.refreshTokenGrant(elsewhere.config, elsewhere.tokens.refresh_token);
});

test("an app that the person signed in to twice is told once", async () => {
  const browser = "back-channel twice";
  const app = await signIn("told-once", browser, {}, 2);
  const last = await signIn("told-last", browser);
  await walk(browser, `${issuer}/signout`, { press: ["here"] });
  await judge("told-last", last);
  await judge("told-once", app);
  await new Promise((done) => setTimeout(done, 1000));
  assert.equal(calls.filter((one) => one.app === "/told-once").length, 1);
});

test("when one app asks for the sign-out, the other is told, too", async () => {
  const browser = "back-channel asked";
  const asking = await signIn("asks", browser);
  const told = await signIn("told-too", browser);
  const url = oidc.buildEndSessionUrl(asking.config, { id_token_hint: asking.tokens.id_token, post_logout_redirect_uri: SIGNED_OUT });
  await walkTo(browser, url, SIGNED_OUT);
  await judge("told-too", told);
});
