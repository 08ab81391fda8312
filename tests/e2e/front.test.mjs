// The way in, in a real browser: language and colors with and without scripts, the language that an app asks for, what an
// app would learn, letting a device in, signing out with the apps that are told; and all of it by the keyboard alone.
// Every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import test, { after, before } from "node:test";
import { launch } from "./browser.mjs";
import { PASSWORD, Person, VARIANTS } from "./person.mjs";
import { build, start } from "./server.mjs";

const OWNER = { username: "ana", name: "Ana Sol", password: PASSWORD };
const SETTINGS = { "limits.sign_in": "1000/5m" };
/** With scripts in a wide window, and without in a narrow one. */
const TWO = [VARIANTS[0], VARIANTS[3]];
let program;
let browser;

before(async () => {
  program = build();
  browser = await launch();
});
after(() => browser?.close());

/** Sends a form as a program does; returns status and answer. */
async function post(server, path, form) {
  const headers = { host: new URL(server.origin).host, "content-type": "application/x-www-form-urlencoded" };
  const asked = request({ host: "127.0.0.1", port: server.port, path, method: "POST", headers, agent: false });
  asked.end(new URLSearchParams(form).toString());
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return { status: answer.statusCode, json: JSON.parse(text) };
}

async function cookie(page, name) {
  return (await page.context().cookies()).find((cookie) => cookie.name === name);
}

/** Chooses German and dark colors before anybody signed in, and finds both again. */
async function chooseLanguageAndColors(person) {
  const { page, variant } = person;
  await person.goto("/account");
  await page.waitForURL(/\/signin\?rd=/);
  const here = person.path();
  await person.press("Deutsch");
  await person.at(here, "Anmelden", "/signin de");
  assert.equal(await page.getAttribute("html", "lang"), "de");
  const { httpOnly, sameSite } = await cookie(page, "dw_lang");
  assert.deepEqual({ httpOnly, sameSite }, { httpOnly: true, sameSite: "Lax" });
  // What was wanted is not lost, nor by a wrong password in between.
  await person.enterGerman("ana", "wrong password here");
  await page.locator("#problem").waitFor();
  await person.look("/signin de refused");
  await person.press("English");
  await page.waitForURL((url) => url.pathname === "/signin" && new URL(url.searchParams.get("rd"), url).pathname === "/account");
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await person.press("Deutsch");
  const [shown, hidden, chosen] = variant.colorScheme === "light" ? ["Dunkle Farben", "Helle Farben", "dark"] : ["Helle Farben", "Dunkle Farben", "light"];
  assert.equal(await page.getByRole("button", { name: hidden }).count(), 0);
  if (variant.scripts) {
    const kept = page.waitForResponse("**/preferences");
    await page.getByRole("button", { name: shown }).click();
    await kept;
  } else await person.press(shown);
  assert.equal(await page.getAttribute("html", "data-theme"), chosen);
  await page.reload();
  assert.equal(await page.getAttribute("html", "data-theme"), chosen, "the server knows");
  assert.equal(await page.getAttribute("html", "lang"), "de");
  assert.equal((await cookie(page, "dw_theme")).value, chosen);
}

/** In German up to the account, without one word for strangers more or less. */
async function signInInGerman(person) {
  const { page } = person;
  const refusals = [];
  for (const name of ["ana", "nobody"]) {
    await person.enterGerman(name, "wrong password here");
    refusals.push(await page.locator("main").innerText());
  }
  assert.equal(refusals[0], refusals[1]);
  assert.match(refusals[0], /Benutzername und Passwort passen nicht zusammen\./);
  await person.enterGerman("ana", PASSWORD);
  await person.at("/signin/second-factor", "Code eingeben", "/signin/second-factor de");
  await page.click("#use-recovery");
  await person.at("/signin/recovery", "Wiederherstellungscode verwenden", "/signin/recovery de");
  await page.click("#use-app");
  await person.enterCode("000000", "Weiter");
  await page.locator("#problem").waitFor();
  await person.look("/signin/second-factor de refused");
  await person.enterCode(await person.code(), "Weiter");
  await page.waitForURL("**/account");
  assert.equal(await page.getAttribute("html", "lang"), "de");
  await person.look("/account de");
  await person.goto("/nothing-here");
  await page.getByRole("heading", { name: "Hier ist nichts" }).waitFor();
  await person.look("404 de");
  await person.goto("/account");
  await person.press("English");
  await person.at("/account", "Profile");
}

/** The app that asks in German, what it would learn, and the other account. */
async function consent(person) {
  const { page, server } = person;
  const app = await startApp(server);
  person.close.push(() => app.site.close());
  await page.goto(app.begin({ ui_locales: "fr de" }));
  await page.getByRole("heading", { name: "Allow Notes?" }).waitFor();
  await page.context().clearCookies({ name: "dw_lang" });
  await page.reload();
  await page.getByRole("heading", { name: "Notes erlauben?" }).waitFor();
  await person.look("consent de");
  await page.goto(app.begin({}));
  await page.getByRole("heading", { name: "Allow Notes?" }).waitFor();
  const scopes = await page.locator("#scopes").innerText();
  for (const value of ["Your name, username", "Ana Sol · ana", "Your e-mail address", "ana@home.example"]) assert.ok(scopes.includes(value), `${value} in ${scopes}`);
  await person.look("consent");
  await page.click("#switch");
  await page.waitForURL("**/signin?*again=1");
  assert.match(await page.locator("#continue-to").innerText(), /to continue to Notes \(localhost\)/);
  await page.goto(app.begin({}));
  await page.click("#consent-allow");
  await page.waitForURL(`${app.origin}/cb?*`);
  assert.ok(new URL(page.url()).searchParams.get("code"));
  const form = { grant_type: "authorization_code", code: new URL(page.url()).searchParams.get("code"), redirect_uri: app.callback, client_id: "notes", code_verifier: app.verifier };
  assert.equal((await post(server, "/oauth2/token", form)).status, 200);
}

/** A public client with PKCE that wants to be told of the end. */
async function startApp(server) {
  const site = createServer((asked, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><html lang=en><title>Notes</title><h1>Notes</h1></html>");
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const origin = `http://localhost:${site.address().port}`;
  const callback = `${origin}/cb`;
  // RFC 7636, appendix B.
  const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  const begin = (more) => {
    const query = new URLSearchParams({
      client_id: "notes", redirect_uri: callback, response_type: "code", scope: "openid profile email", state: "s",
      code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256", ...more,
    });
    return `${server.origin}/oauth2/authorize?${query}`;
  };
  server.command(["app", "add", "--name", "Notes", "--id", "notes", "--public", "--redirect-uri", callback, "--scope", "openid profile email", "--backchannel-uri", `${origin}/bye`]);
  return { site, origin, callback, verifier, begin };
}

async function letDeviceIn(person) {
  const { page, server } = person;
  server.command(["app", "add", "--name", "Television", "--id", "television", "--public", "--redirect-uri", "https://tv.example/cb", "--scope", "openid email"]);
  server.command(["app", "set", "television", "grants=urn:ietf:params:oauth:grant-type:device_code"]);
  const shown = await post(server, "/oauth2/device_authorization", { client_id: "television", scope: "openid email" });
  assert.equal(shown.status, 200, JSON.stringify(shown.json));
  await person.goto("/device");
  await person.at("/device", "Let a device in");
  await page.fill("#user_code", "BCDF-GHJK");
  await person.press("Continue");
  await page.locator("#problem").waitFor();
  await person.look("/device wrong");
  await page.fill("#user_code", shown.json.user_code.toLowerCase());
  await person.press("Continue");
  await page.getByRole("heading", { name: "Let Television in?" }).waitFor();
  assert.equal(await page.locator("#shown-code").innerText(), shown.json.user_code);
  assert.match(await page.locator("main").innerText(), /It asked from \S+/);
  await person.look("/device confirm");
  await person.press("Let it in");
  await page.getByText("signed in to Television").waitFor();
  await person.look("/device done");
  const grant = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: shown.json.device_code, client_id: "television" };
  assert.equal((await post(server, "/oauth2/token", grant)).status, 200);
}

async function signOut(person) {
  const { page } = person;
  await person.goto("/signout");
  await person.press("Sign out here");
  await page.locator("#told").waitFor();
  assert.equal(await page.locator("#told").innerText(), "These apps were told: Notes.");
  await person.look("/signout told");
}

/** Tabs until the element has the focus; at each stop the focus can be seen, and lies within the window. */
async function tabTo(page, selector) {
  for (let stop = 0; stop < 60; stop += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate((wanted) => {
      const element = document.activeElement;
      if (element === document.body) return { is: false };
      const box = element.getBoundingClientRect();
      const ring = getComputedStyle(element.closest(".joined:focus-within") ?? element);
      const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
      const top = document.elementFromPoint(Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1), Math.min(Math.max(box.top + box.height / 2, 1), innerHeight - 1));
      const covered = !(element.contains(top) || top?.contains(element) || element.labels?.length);
      return { is: element.matches(wanted), name: element.outerHTML.slice(0, 80), inside, covered, ring: ring.outlineStyle !== "none" && Number.parseFloat(ring.outlineWidth) >= 2 };
    }, selector);
    if (seen.name) assert.ok(seen.inside && !seen.covered && seen.ring, `the focus cannot be seen: ${JSON.stringify(seen)}`);
    if (seen.is) return;
  }
  assert.fail(`Tab does not reach ${selector}`);
}

/** From the sign-in through the second factor and an app's question to the account and out again, by keys alone. */
async function byKeyboard(person) {
  const { page, server, variant } = person;
  const { keyboard } = page;
  const app = await startApp(server);
  person.close.push(() => app.site.close());
  await page.goto(app.begin({}));
  await page.locator("#username:focus").waitFor();
  await keyboard.type("ana");
  await tabTo(page, "#password");
  await keyboard.type(PASSWORD);
  await keyboard.press("Enter");
  await page.locator("#code:focus").waitFor();
  await keyboard.type(await person.code());
  if (!variant.scripts) await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Allow Notes?" }).waitFor();
  await tabTo(page, "#consent-deny");
  await keyboard.press("Enter");
  await page.waitForURL(`${app.origin}/cb?*`);
  await person.goto("/");
  await tabTo(page, "nav a[href='/account']");
  await keyboard.press("Enter");
  await page.waitForURL("**/account");
  await tabTo(page, "#display_name");
  await keyboard.press("Control+A");
  await keyboard.type("Ana by keys");
  await keyboard.press("Enter");
  await page.waitForURL("**/account?done=saved");
  await tabTo(page, "footer button[name=lang]");
  await keyboard.press("Enter");
  await page.locator("html[lang=de]").waitFor();
  await tabTo(page, "#sign-out");
  await keyboard.press("Enter");
  await page.waitForURL("**/signout");
  await tabTo(page, "#sign-out-confirm");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Abgemeldet" }).waitFor();
}

async function sit(t, variant) {
  const server = await start(program, { settings: SETTINGS, owner: OWNER });
  t.after(() => server.stop());
  const person = await Person.sit(browser, variant, server);
  t.after(() => person.leave());
  person.close = [];
  t.after(() => person.close.forEach((close) => close()));
  person.secret = server.owner.totp_secret;
  // The code of this moment was used up by the setup.
  person.step = Math.floor(Date.now() / 30_000);
  person.enterGerman = async (name, password) => {
    await person.page.fill("#username", name);
    await person.page.fill("#password", password);
    await person.press("Anmelden");
  };
  return person;
}

/** What the owner's profile says, for an app to read. */
async function haveEmail(person) {
  const { page } = person;
  await person.goto("/account");
  await page.fill("#email", "ana@home.example");
  await person.press("Save");
  await page.waitForURL("**/account?done=saved");
}

for (const variant of TWO) {
  test(`a person chooses language and colors, lets an app and a device in, and leaves, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await sit(t, variant);
    await person.walk([chooseLanguageAndColors, signInInGerman, haveEmail, consent, letDeviceIn, signOut]);
    person.settle();
  });

  test(`the keyboard is enough, and the focus is never hidden, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await sit(t, variant);
    await person.walk([byKeyboard]);
    person.settle();
  });
}

test("without a choice the browser's language holds, else English", { timeout: 60_000 }, async (t) => {
  const server = await start(program, { settings: SETTINGS, owner: OWNER });
  t.after(() => server.stop());
  for (const [locale, lang] of [["de-AT", "de"], ["en-GB", "en"], ["fr-FR", "en"]]) {
    const context = await browser.newContext({ locale });
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(`${server.origin}/signin`);
    assert.equal(await page.getAttribute("html", "lang"), lang, locale);
  }
});
