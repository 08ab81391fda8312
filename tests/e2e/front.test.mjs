// The way in, in a real browser: language and colors with and without scripts, the language that an app asks for, what an
// app would learn, letting a device in, signing out with the apps that are told.
// Every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { startNotes, startTelevision } from "./apps.mjs";
import { OWNER, PASSWORD, TWO, stage } from "./person.mjs";

const set = stage();

async function cookie(page, name) {
  return (await page.context().cookies()).find((cookie) => cookie.name === name);
}

/** Chooses German and dark colors before anybody signed in, and finds both again. */
async function choosesLanguageAndColors(person) {
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
  await person.enterPassword("ana", "wrong password here");
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
  person.theme = chosen;
}

/** In German up to the account, without one word for strangers more or less. */
async function signsInInGermanWhichStays(person) {
  const { page } = person;
  const refusals = [];
  for (const name of ["ana", "nobody"]) {
    await person.enterPassword(name, "wrong password here");
    refusals.push(await page.locator("main").innerText());
  }
  assert.equal(refusals[0], refusals[1]);
  assert.match(refusals[0], /Benutzername und Passwort passen nicht zusammen\./);
  await person.enterPassword("ana", PASSWORD);
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
  assert.equal(await page.getAttribute("html", "data-theme"), person.theme);
  await person.look("/account de");
  await person.goto("/nothing-here");
  await page.getByRole("heading", { name: "Hier ist nichts" }).waitFor();
  await person.look("404 de");
  await person.goto("/account");
  await person.press("English");
  await person.at("/account", "Profile");
}

/** The app that asks in German, what it would learn, and the other account. */
async function letsAnAppIn(person) {
  const { page, app } = person;
  await page.goto(app.begin({ ui_locales: "fr de" }));
  await page.getByRole("heading", { name: "Allow Notes?" }).waitFor();
  await page.context().clearCookies({ name: "dw_lang" });
  await page.reload();
  await page.getByRole("heading", { name: "Notes erlauben?" }).waitFor();
  await person.look("consent de");
  await page.goto(app.begin());
  await page.getByRole("heading", { name: "Allow Notes?" }).waitFor();
  const scopes = await page.locator("#scopes").innerText();
  for (const value of ["Your name, username", "Ana Sol · ana", "Your e-mail address", "ana@home.example"]) assert.ok(scopes.includes(value), `${value} in ${scopes}`);
  await person.look("consent");
  await page.click("#switch");
  await page.waitForURL("**/signin?*again=1");
  assert.match(await page.locator("#continue-to").innerText(), /to continue to Notes \(localhost\)/);
  await page.goto(app.begin());
  await person.send(page.locator("#consent-allow"));
  await page.waitForURL(`${app.origin}/cb?*`);
  assert.ok(app.tokens.access_token, JSON.stringify(app.tokens));
}

async function letsADeviceIn(person) {
  const { page, server } = person;
  const television = await (await startTelevision(server)).ask();
  await person.goto("/device");
  await person.at("/device", "Let a device in");
  await page.fill("#user_code", "BCDF-GHJK");
  await person.press("Continue");
  await page.locator("#problem").waitFor();
  await person.look("/device wrong");
  await page.fill("#user_code", television.shown.toLowerCase());
  await person.press("Continue");
  await page.getByRole("heading", { name: "Let Television in?" }).waitFor();
  assert.equal(await page.locator("#shown-code").innerText(), television.shown);
  assert.match(await page.locator("main").innerText(), /It asked from \S+/);
  await person.look("/device confirm");
  await person.press("Let it in");
  await page.getByText("signed in to Television").waitFor();
  await person.look("/device done");
  assert.equal(await television.status(), 200);
}

async function signsOutAndAppsAreTold(person) {
  const { page } = person;
  await person.goto("/signout");
  await person.press("Sign out here");
  await page.locator("#told").waitFor();
  assert.equal(await page.locator("#told").innerText(), "These apps were told: Notes.");
  await person.look("/signout told");
}

/** What the owner's profile says, for an app to read. */
async function hasAnAddress(person) {
  const { page } = person;
  await person.goto("/account");
  await page.fill("#email", "ana@home.example");
  await person.press("Save");
  await page.waitForURL("**/account?done=saved");
}

const STEPS = [choosesLanguageAndColors, signsInInGermanWhichStays, hasAnAddress, letsAnAppIn, letsADeviceIn, signsOutAndAppsAreTold];

for (const variant of TWO) {
  test(`a person chooses language and colors, lets an app and a device in, and leaves, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await set.owner(t, variant);
    person.app = await startNotes(t, person.server);
    await person.walk(t, STEPS);
  });
}

test("without a choice the browser's language holds, else English", { timeout: 60_000 }, async (t) => {
  const server = await set.house(t, { owner: OWNER });
  for (const [locale, lang] of [["de-AT", "de"], ["en-GB", "en"], ["fr-FR", "en"]]) {
    const { page } = await set.sit(t, TWO[0], server, { locale });
    await page.goto(`${server.origin}/signin`);
    assert.equal(await page.getAttribute("html", "lang"), lang, locale);
  }
});
