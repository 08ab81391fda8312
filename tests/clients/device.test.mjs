// openid-client 6 (npm) where nobody can type: a television that shows a code, and a job that has only itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as oidc from "openid-client";
import { addClient, assertIsPerson, issuer, SCOPE, walk } from "./helpers.mjs";

async function configure(id, fields) {
  const { client_secret } = await addClient({ id, redirect_uris: [], post_logout_redirect_uris: [], ...fields });
  return oidc.discovery(new URL(issuer), id, client_secret, client_secret ? undefined : oidc.None(), { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] });
}

const television = { kind: "public", auth_method: "none", grants: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"] };

/** Types the code of the television at its page, and answers the question. */
async function enter(browser, { verification_uri, user_code }, answer) {
  const end = await walk(browser, verification_uri, { fill: { user_code }, press: ["device-submit", answer] });
  const posts = end.steps.filter((step) => step.startsWith("POST"));
  assert.ok(end.status === 200 && posts.length >= 2, `this did not end well:\n${end.steps.join("\n")}\n${end.text}`);
}

test("a television signs in by a code that the person types elsewhere", async () => {
  const config = await configure("television", television);
  const shown = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  assert.ok(shown.user_code.replaceAll("-", "").length >= 8, shown.user_code);
  assert.ok(shown.verification_uri.startsWith(`${issuer}/`), shown.verification_uri);
  const grant = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: shown.device_code };
  await assert.rejects(oidc.genericGrantRequest(config, grant.grant_type, { device_code: shown.device_code }), { error: "authorization_pending", status: 400 });

  await enter("television", shown, "device-allow");
  const tokens = await oidc.pollDeviceAuthorizationGrant(config, shown);
  assertIsPerson(tokens.claims());
  const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assertIsPerson(userinfo);
  const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  assert.equal(refreshed.claims().sub, userinfo.sub);
  await assert.rejects(oidc.genericGrantRequest(config, grant.grant_type, { device_code: shown.device_code }), { error: "invalid_grant", status: 400 });
});

test("a television is told that the person said no", async () => {
  const config = await configure("television-no", television);
  const shown = await oidc.initiateDeviceAuthorization(config, { scope: SCOPE });
  await enter("television no", shown, "device-deny");
  await assert.rejects(oidc.pollDeviceAuthorizationGrant(config, shown), { error: "access_denied" });
});

test("a job gets a token for itself, which is nobody's", async () => {
  const config = await configure("job", { grants: ["client_credentials"], audiences: ["https://api.example.org"] });
  const tokens = await oidc.clientCredentialsGrant(config, { resource: "https://api.example.org" });
  assert.equal(tokens.token_type, "bearer");
  assert.deepEqual([tokens.id_token, tokens.refresh_token], [undefined, undefined]);
  await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, oidc.skipSubjectCheck), (error) => [401, 403].includes(error.status));
  await assert.rejects(oidc.clientCredentialsGrant(config, { resource: "https://other.example.org" }), { error: "invalid_target", status: 400 });
});
