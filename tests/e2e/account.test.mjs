// What people do with their own account, in a real browser: sign in with a recovery code, end a session elsewhere, let an
// app in and take that back, take their data along, find their apps, and join by a one-time link. In a wide window with
// scripts and a narrow one without; every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import test, { after, before } from "node:test";
import { launch } from "./browser.mjs";
import { PASSWORD, Person, VARIANTS } from "./person.mjs";
import { build, start } from "./server.mjs";

const OWNER = { username: "ana", name: "Ana Sol", password: PASSWORD };
const SETTINGS = { "protect.domain": "home.localhost", "limits.sign_in": "1000/5m" };
/** With scripts in a wide window, and without in a narrow one. */
const TWO = [VARIANTS[0], VARIANTS[3]];
let program;
let browser;

before(async () => {
  program = build();
  browser = await launch();
});
after(() => browser?.close());

/** Sends a form to the token endpoint, as a program does that finds the server by its name; returns status and answer. */
async function exchange(server, form) {
  const headers = { host: new URL(server.origin).host, "content-type": "application/x-www-form-urlencoded" };
  const asked = request({ host: "127.0.0.1", port: server.port, path: "/oauth2/token", method: "POST", headers, agent: false });
  asked.end(new URLSearchParams(form).toString());
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return { status: answer.statusCode, json: JSON.parse(text) };
}

/** An app that signs people in by OpenID Connect: a public client with PKCE, which keeps its tokens in `tokens`. */
async function startApp(server) {
  const app = { tokens: null, verifier: randomBytes(32).toString("base64url") };
  const site = createServer(async (asked, answer) => {
    const url = new URL(asked.url, app.origin);
    if (url.pathname === "/cb") {
      const form = { grant_type: "authorization_code", code: url.searchParams.get("code"), redirect_uri: app.callback, client_id: "notes", code_verifier: app.verifier };
      app.tokens = (await exchange(server, form)).json;
    }
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><html lang=en><title>Notes</title><h1>Notes</h1></html>");
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  app.origin = `http://localhost:${site.address().port}`;
  app.callback = `${app.origin}/cb`;
  app.begin = () => {
    const challenge = createHash("sha256").update(app.verifier).digest("base64url");
    const query = new URLSearchParams({
      client_id: "notes", redirect_uri: app.callback, response_type: "code", scope: "openid email offline_access", state: "s",
      code_challenge: challenge, code_challenge_method: "S256",
    });
    return `${server.origin}/oauth2/authorize?${query}`;
  };
  app.refresh = async () => {
    const form = { grant_type: "refresh_token", refresh_token: app.tokens.refresh_token, client_id: "notes" };
    const answer = await exchange(server, form);
    if (answer.status === 200) app.tokens = answer.json;
    return answer.status;
  };
  app.close = () => site.close();
  server.command(["app", "add", "--name", "Notes", "--id", "notes", "--public", "--redirect-uri", app.callback, "--scope", "openid email offline_access"]);
  return app;
}

/** Presses a button that asks first, where there are scripts to ask. */
async function pressAndConfirm(person, button, name) {
  if (!person.variant.scripts) return person.send(button);
  await button.click();
  await person.page.getByRole("dialog").waitFor();
  await person.look(name);
  await person.send(person.page.locator("#confirm-yes"));
}

async function signIn(person) {
  await person.goto("/account/security");
  await person.page.waitForURL("**/signin?rd=*");
  await person.enterPassword("ana", PASSWORD);
  await person.at("/signin/second-factor", "Enter your code");
  await person.enterCode(await person.code(), "Continue");
  await person.at("/account/security", "Security");
}

/** Makes new codes, leaves, and comes back with one of them. */
async function useRecoveryCode(person) {
  const { page } = person;
  await pressAndConfirm(person, page.locator("#recovery-renew"), "asks for new codes");
  await page.locator("#codes").waitFor();
  person.codes = await page.locator("#codes code").allTextContents();
  assert.equal(person.codes.length, 10);
  await page.click("#kept");
  await person.at("/account/security", "Security");
  assert.match(await page.locator("#recovery").innerText(), /10 of 10 left/);
  assert.equal(await page.locator("#strip").getAttribute("class"), "note ok");
  await person.signOut();
  await enterByCode(person);
  await person.goto("/account/security");
  assert.match(await page.locator("#recovery").innerText(), /9 of 10 left/);
}

async function enterByCode(person) {
  await person.goto("/signin");
  await person.enterPassword("ana", PASSWORD);
  await person.page.getByRole("link", { name: /recovery code/ }).click();
  await person.page.waitForURL("**/signin/recovery");
  await person.look("/signin/recovery");
  await person.page.fill("#recovery_code", person.codes.pop());
  await person.press("Continue");
  await person.at("/", /^Hello, Ana/);
}

/** Signs in elsewhere, and ends that from here. */
async function endSessionElsewhere(person) {
  const { page, elsewhere } = person;
  elsewhere.codes = person.codes;
  await enterByCode(elsewhere);
  await person.goto("/account/sessions");
  await person.at("/account/sessions", "Sessions", "/account/sessions two");
  assert.equal(await page.locator("#sessions > li").count(), 2);
  assert.match(await page.locator("#sessions > li").first().innerText(), /This device/);
  await person.press(/^End the session of/);
  await person.at("/account/sessions?done=ended", "Sessions", "/account/sessions ended");
  assert.equal(await page.locator("#sessions > li").count(), 1);
  await elsewhere.goto("/account");
  await elsewhere.page.waitForURL("**/signin?rd=*");
}

async function findApps(person) {
  const { page, server } = person;
  await person.goto("/");
  await person.at("/", /^Hello, Ana/, "/ apps");
  const names = await page.locator("#apps a").allTextContents();
  assert.deepEqual(names, ["Notes", "Photos"]);
  assert.equal(await page.getByRole("link", { name: "Notes" }).getAttribute("href"), `${person.app.origin}/`);
  assert.equal(await page.getByRole("search").count(), 0, "two apps need no search");
  for (let number = 1; number < 9; number += 1) {
    server.command(["app", "add", "--name", `Tool ${number}`, "--id", `tool${number}`, "--redirect-uri", `https://t${number}.example/cb`]);
  }
  await person.goto("/");
  await page.fill("#q", "tool 7");
  await person.press("Search");
  await page.waitForURL("**/?q=tool+7");
  await person.look("/ search");
  assert.deepEqual(await page.locator("#apps a").allTextContents(), ["Tool 7"]);
  await page.fill("#q", "jelly");
  await person.press("Search");
  await page.locator("#no-apps").waitFor();
  await person.look("/ none found");
}

async function revokeApp(person) {
  const { page, app } = person;
  await page.goto(app.begin());
  await page.getByRole("heading", { level: 1, name: "Allow Notes?" }).waitFor();
  await person.send(page.locator("#consent-allow"));
  await page.getByRole("heading", { level: 1, name: "Notes" }).waitFor();
  assert.equal(await app.refresh(), 200);
  await person.goto("/account/apps");
  await person.at("/account/apps", "Apps with access", "/account/apps one");
  assert.match(await page.locator("#apps > li").innerText(), /Notes[^]*Stays signed in/);
  await page.locator("#apps summary").click();
  await person.look("/account/apps details");
  assert.match(await page.locator("#apps > li").innerText(), /Your e-mail address/);
  await pressAndConfirm(person, page.getByRole("button", { name: "Take access back from Notes" }), "/account/apps asks");
  await person.at("/account/apps?done=revoked", "Apps with access", "/account/apps revoked");
  assert.equal(await page.locator("#apps").count(), 0);
  assert.equal(await app.refresh(), 400);
  await page.goto(app.begin());
  await page.getByRole("heading", { level: 1, name: "Allow Notes?" }).waitFor();
}

async function takeDataAlong(person) {
  const { page } = person;
  await person.goto("/account");
  await page.getByRole("link", { name: "Export your data…" }).click();
  await person.at("/account/export", "Export your data");
  const load = async () => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#export-submit")]);
    assert.equal(download.suggestedFilename(), "doorward-ana.json");
    return readFile(await download.path(), "utf8");
  };
  const text = await load();
  await load();
  const data = JSON.parse(text);
  assert.equal(data.account.username, "ana");
  assert.ok(data.activity.length > 3 && data.sessions.length === 1);
  for (const secret of [PASSWORD, person.secret, ...person.codes, "argon2"]) assert.ok(!text.includes(secret));
}

async function readActivity(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Activity" }).click();
  await person.at("/account/activity", "Activity");
  const text = await page.locator(".events").innerText();
  for (const part of [/recovery code/i, /session/i, /app/i]) assert.match(text, part);
}

async function stayOwner(person) {
  await person.goto("/account");
  await person.look("/account only owner");
  await person.page.getByText("You are the only owner.").waitFor();
  await person.goto("/account/delete");
  await person.page.waitForURL("**/account");
}

const STEPS = [signIn, useRecoveryCode, endSessionElsewhere, findApps, revokeApp, takeDataAlong, readActivity, stayOwner];

for (const variant of TWO) {
  test(`a person looks after their own account, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const server = await start(program, { host: "auth.home.localhost", settings: SETTINGS, owner: OWNER });
    t.after(() => server.stop());
    const app = await startApp(server);
    t.after(() => app.close());
    server.command(["rules", "apply", "-"], "allow one_factor domain=photos.home.localhost\nallow one_factor domain=staff.home.localhost group=staff\n");
    const person = await Person.sit(browser, variant, server);
    t.after(() => person.leave());
    Object.assign(person, { app, secret: server.owner.totp_secret, step: Math.floor(Date.now() / 30_000) });
    person.elsewhere = await Person.sit(browser, variant, server);
    t.after(() => person.elsewhere.leave());
    await person.walk(STEPS);
    person.settle();
    person.elsewhere.settle();
  });

  test(`somebody joins by a link and comes back by another, ${variant.name}`, { timeout: 120_000 }, async (t) => {
    const server = await start(program, { host: "auth.home.localhost", settings: { ...SETTINGS, "accounts.second_factor": "optional" }, owner: OWNER });
    t.after(() => server.stop());
    const guest = await Person.sit(browser, variant, server);
    t.after(() => guest.leave());
    const { page } = guest;
    server.command(["user", "add", "ben", "--name", "Ben Okoro"]);
    const link = () => /https?:\/\/\S+\/link\/\S+/.exec(server.command(["user", "link", "ben"]))[0];
    const join = async (url, heading, password) => {
      await page.goto(url);
      await page.getByRole("heading", { level: 1, name: heading }).waitFor();
      await guest.look(`/link ${heading}`);
      assert.equal(await page.inputValue("#username"), "ben");
      await page.fill("#password", password);
      await guest.press("Set password");
      await page.getByRole("heading", { level: 1, name: "Password set" }).waitFor();
      await page.click("#onward");
      assert.equal(await page.inputValue("#username"), "ben", "the name is filled in");
      await page.fill("#password", password);
      await guest.press("Sign in");
      await guest.at("/", /^Hello, Ben/);
    };
    const invitation = link();
    await join(invitation, "Welcome", "amber river folds twice");
    assert.match(await page.locator("#strip").innerText(), /password alone[^]*Add a passkey|authenticator app/);
    await page.goto(invitation);
    await page.getByRole("heading", { level: 1, name: "This link is used up" }).waitFor();
    await guest.look("/link gone");
    const older = link();
    await join(link(), "Choose a new password", "copper lantern drifts slowly");
    await page.goto(older);
    await page.getByRole("heading", { level: 1, name: "This link is used up" }).waitFor();
    guest.settle();
  });
}
