// oidc-client-ts (npm) in a real Chromium: an app of a single page, with no secret, that asks everything from the browser.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { decodeJwt } from "jose";
import { launch } from "../e2e/browser.mjs";
import { addClient, assertIsPerson, issuer, person, SCOPE } from "./helpers.mjs";

const library = await readFile(createRequire(import.meta.url).resolve("oidc-client-ts").replace(/dist\/umd\/.*/, "dist/browser/oidc-client-ts.min.js"));
const app = createServer((request, response) => {
  if (request.url === "/oidc-client-ts.js") return response.writeHead(200, { "content-type": "text/javascript" }).end(library);
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>An app</title><script src=/oidc-client-ts.js></script><h1>An app</h1>");
});
let browser;
let origin;

before(async () => {
  await once(app.listen(0), "listening");
  origin = `http://localhost:${app.address().port}`;
  await addClient({ id: "oidc-client-ts", kind: "public", auth_method: "none", consent: "always", redirect_uris: [`${origin}/callback`], post_logout_redirect_uris: [`${origin}/signed-out`], cors_origins: [origin] });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  app.close();
});

/** A page of the app in a browser of its own; `problems` is what the browser complained about. */
async function open() {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(15_000);
  page.problems = [];
  page.on("console", (message) => message.type() === "error" && !message.location().url.endsWith("/favicon.ico") && page.problems.push(message.text()));
  await page.goto(origin);
  return page;
}

/** Runs `act(manager, argument)` in the page, with the app's UserManager. */
function inApp(page, act, argument) {
  const settings = { authority: issuer, client_id: "oidc-client-ts", redirect_uri: `${origin}/callback`, post_logout_redirect_uri: `${origin}/signed-out`, scope: SCOPE, loadUserInfo: true, automaticSilentRenew: false };
  // The answer may be that the page goes elsewhere, so it is not waited for by the one who asked.
  return page.evaluate(`(${act})(new oidc.UserManager(${JSON.stringify(settings)}), ${JSON.stringify(argument)})`);
}

/** From the app through Doorward's pages to the callback, as a person does it. */
async function signIn(page) {
  await inApp(page, (manager) => void manager.signinRedirect({ nonce: "a nonce of mine" }));
  await page.fill("form#sign-in [name=username]", person.username);
  await page.fill("form#sign-in [name=password]", person.password);
  await page.click("#sign-in-submit");
  await page.click("#consent-allow");
  await page.waitForURL(`${origin}/callback?*`);
}

test("oidc-client-ts signs in, refreshes and signs out in Chromium", async () => {
  const page = await open();
  await signIn(page);
  assert.equal(new URL(page.url()).searchParams.get("iss"), issuer);
  const user = await inApp(page, async (manager) => ({ ...(await manager.signinCallback()) }));
  // With loadUserInfo the profile holds both, and the library fails unless they name the same subject.
  assertIsPerson(user.profile);
  assert.equal(decodeJwt(user.id_token).nonce, "a nonce of mine");
  assert.ok(user.refresh_token);

  const keys = await inApp(page, (manager) => manager.metadataService.getSigningKeys());
  assert.ok(keys.some((key) => key.alg === "RS256"), "the page may read the keys");
  const renewed = await inApp(page, async (manager) => ({ ...(await manager.signinSilent()) }));
  assert.notEqual(renewed.access_token, user.access_token);
  assert.notEqual(renewed.refresh_token, user.refresh_token, "a public client's refresh token is replaced");
  assert.equal(renewed.profile.sub, user.profile.sub);
  assert.deepEqual(page.problems, []);

  await inApp(page, (manager) => void manager.signoutRedirect({ state: "bye" }));
  await page.waitForURL((url) => url.pathname !== "/callback");
  if (await page.locator("#sign-out-confirm").isVisible()) await page.click("#sign-out-confirm");
  await page.waitForURL(`${origin}/signed-out?*`);
  assert.ok(new URL(page.url()).searchParams.get("state"));
  const dead = await inApp(page, async (manager, refresh_token) => {
    const body = new URLSearchParams({ grant_type: "refresh_token", client_id: "oidc-client-ts", refresh_token });
    const answer = await fetch(await manager.metadataService.getTokenEndpoint(), { method: "POST", body });
    return [answer.status, (await answer.json()).error];
  }, renewed.refresh_token);
  assert.deepEqual(dead, [400, "invalid_grant"]);
});

test("oidc-client-ts refuses a state that it did not make", async () => {
  const page = await open();
  await signIn(page);
  const refused = await inApp(page, (manager) => {
    const url = new URL(location.href);
    url.searchParams.set("state", "another");
    return manager.signinCallback(url.href).catch((error) => error.message);
  });
  assert.match(refused, /No matching state found in storage/);
});

test("the page of another origin may read the metadata, but no token", async () => {
  const page = await open();
  await page.goto(origin.replace("localhost", "127.0.0.1"));
  const read = (url, options) => page.evaluate(([url, options]) => fetch(url, options).then((answer) => answer.status, () => "blocked"), [url, options]);
  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  assert.equal(await read(`${issuer}/.well-known/openid-configuration`), 200);
  assert.equal(await read(metadata.jwks_uri), 200);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  assert.equal(await read(metadata.token_endpoint, { method: "POST", headers, body: "grant_type=authorization_code&client_id=oidc-client-ts&code=x" }), "blocked");
  assert.equal(await read(metadata.authorization_endpoint), "blocked");
});
