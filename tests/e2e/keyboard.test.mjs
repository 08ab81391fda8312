// Every flow with nothing but keys: signing in and out, apps and devices, recovery, passkeys, joining, and administration.
// At each stop the focus can be seen; once around every page, the Tab key reaches everything in order and is never trapped
// (keyboard.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { startNotes, startTelevision } from "./apps.mjs";
import { plug } from "./browser.mjs";
import { go, goAround, tabTo, type } from "./keyboard.mjs";
import { TWO, stage } from "./person.mjs";

const { owner, sit } = stage();
// The pages themselves are looked at elsewhere.
const [WIDE, PLAIN] = TWO.map((variant) => ({ ...variant, axe: false }));

/** The cursor waits in this field; then once around the page and back to it. */
async function beginAt(page, selector) {
  await page.locator(`${selector}:focus`).waitFor();
  await goAround(page);
  await tabTo(page, selector);
}

async function pressEnter(page) {
  await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
}

async function enter({ page, username, password }) {
  await beginAt(page, "#username");
  await page.keyboard.type(username);
  await type(page, "#password", password);
  await pressEnter(page);
}

async function isAt(person, path) {
  await person.page.waitForURL((url) => url.pathname + url.search === path);
}

async function signsInByPasswordAndCode(person) {
  const { page, app } = person;
  await page.goto(app.begin());
  await enter(person);
  await beginAt(page, "#code");
  await page.keyboard.type(await person.code());
  if (!person.variant.scripts) await page.keyboard.press("Enter");
  await page.locator("#consent-form").waitFor();
}

async function letsAnAppIn(person) {
  const { page, app } = person;
  await goAround(page);
  await go(page, "#consent-allow");
  await page.waitForURL(`${app.origin}/cb?*`);
  assert.ok(app.tokens.access_token, JSON.stringify(app.tokens));
}

async function letsADeviceIn(person) {
  const { page, server } = person;
  const television = await (await startTelevision(server)).ask();
  await person.goto("/device");
  await beginAt(page, "#user_code");
  await page.keyboard.type(television.shown);
  await pressEnter(page);
  await page.locator("#device-allow").waitFor();
  await goAround(page);
  await go(page, "#device-allow");
  assert.equal(await television.status(), 200);
}

async function choosesLanguageAndColors(person) {
  const { page, variant } = person;
  await person.goto("/");
  await go(page, "nav a[href='/account']");
  await type(page, "#display_name", "Ana by keys");
  await pressEnter(page);
  await isAt(person, "/account?done=saved");
  await go(page, "footer button[name=lang]");
  await page.locator("html[lang=de]").waitFor();
  const other = variant.colorScheme === "light" ? "dark" : "light";
  const kept = page.waitForResponse("**/preferences");
  await tabTo(page, `footer button[value=${other}]`);
  await page.keyboard.press("Enter");
  await kept;
  await page.locator(`html[data-theme=${other}]`).waitFor();
  person.chosen = `html[lang=de][data-theme=${other}]`;
}

async function signsOut(person) {
  const { page } = person;
  await person.goto("/");
  await go(page, "#sign-out");
  await goAround(page);
  await go(page, "#sign-out-confirm");
  await page.locator("#told").waitFor();
}

async function comesBackByARecoveryCode(person) {
  const { page, chosen } = person;
  await go(page, "#again");
  await page.locator(chosen).waitFor();
  await enter(person);
  await go(page, "#use-recovery");
  await beginAt(page, "#recovery_code");
  await page.keyboard.type(person.codes[0]);
  await pressEnter(page);
  await isAt(person, "/");
  await page.locator(chosen).waitFor();
}

/** A question that a script asks can be left by Escape, and the focus is where it was. */
async function makesNewRecoveryCodes(person) {
  const { page, variant } = person;
  await go(page, "nav a[href='/account']");
  await go(page, "nav a[href='/account/security']");
  await goAround(page);
  if (variant.scripts) {
    await tabTo(page, "#recovery-renew");
    await page.keyboard.press("Enter");
    await page.locator("dialog button:focus").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.locator("#recovery-renew:focus").waitFor();
    await page.keyboard.press("Enter");
    await go(page, "#confirm-yes");
  } else await go(page, "#recovery-renew");
  assert.equal(await page.locator("#codes code").count(), 10);
  await goAround(page);
}

for (const variant of [WIDE, PLAIN]) {
  test(`the keyboard is enough to sign in and to look after an account, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant);
    person.codes = person.server.owner.recovery_codes;
    person.app = await startNotes(t, person.server);
    await person.walk(t, [
      signsInByPasswordAndCode, letsAnAppIn, letsADeviceIn, choosesLanguageAndColors, signsOut, comesBackByARecoveryCode, makesNewRecoveryCodes,
    ]);
  });
}

async function addsAPasskey(person) {
  const { page } = person;
  await person.signInTo("/account/security");
  await go(page, "#passkey-add");
  await goAround(page);
  await type(page, "#name", "Blue key");
  await tabTo(page, "#passkey");
  await page.keyboard.press("Enter");
  await isAt(person, "/account/security?done=passkey-added");
}

async function signsInByItAlone(person) {
  const { page } = person;
  await page.context().clearCookies();
  await person.goto("/signin");
  await tabTo(page, "#passkey");
  await page.keyboard.press("Enter");
  await isAt(person, "/");
}

async function provesItBehindThePassword(person) {
  const { page } = person;
  await page.context().clearCookies();
  await person.goto("/signin");
  await enter(person);
  await tabTo(page, "#passkey");
  await page.keyboard.press("Enter");
  await isAt(person, "/");
}

test("the keyboard is enough for passkeys", { timeout: 120_000 }, async (t) => {
  const person = await owner(t, WIDE);
  await plug(person.page);
  await person.walk(t, [addsAPasskey, signsInByItAlone, provesItBehindThePassword]);
});

async function invitesSomebody(person) {
  const { page } = person;
  await person.signInTo("/admin/people");
  await goAround(page);
  await go(page, "#invite");
  await goAround(page);
  await type(page, "#note", "Grandma");
  await go(page, "#submit");
  person.guest.link = await page.locator("#link-url").textContent();
  await goAround(page);
}

async function theyJoin({ guest }) {
  const { page } = guest;
  await page.goto(guest.link);
  await goAround(page);
  await type(page, "#username", guest.username);
  await type(page, "#display_name", "Grandma Sol");
  await type(page, "#password", guest.password);
  await pressEnter(page);
  await guest.goto("/signin");
  await enter(guest);
  await isAt(guest, "/");
  await goAround(page);
}

async function addsAnAppFromAPreset(person) {
  const { page, variant } = person;
  await go(page, "nav a[href='/admin/apps']");
  await go(page, "main a[href='/admin/apps/new']");
  await goAround(page);
  await type(page, "#q", "minif");
  if (!variant.scripts) await pressEnter(page);
  await page.locator("#presets > li:not([hidden])").nth(1).waitFor({ state: "detached" });
  await go(page, "#presets a[href='/admin/apps/new/miniflux']");
  await goAround(page);
  await type(page, "#url", "https://feeds.home.localhost/");
  await tabTo(page, "#who input:checked, #who-everyone");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  assert.ok(await page.isChecked("#who-everyone"));
  await go(page, "#submit");
  await page.locator("#added").waitFor();
  await goAround(page);
}

async function changesARule(person) {
  const { page, variant } = person;
  await go(page, "nav a[href='/admin/rules']");
  await go(page, "#add");
  await goAround(page);
  await type(page, "#domains", "photos.home.localhost");
  await go(page, "#save");
  await go(page, "#rules a[href^='/admin/rules/']");
  await type(page, "#domains", "albums.home.localhost");
  await go(page, "#save");
  await goAround(page);
  await go(page, "#apply");
  assert.match(await page.locator("#rules").innerText(), /albums\.home\.localhost/);
  await type(page, "#address", "https://albums.home.localhost/");
  await type(page, "#user", person.username);
  await go(page, "#run-test");
  await page.locator("#verdict").waitFor();
  await goAround(page);
  await tabTo(page, "#rules form[action$='/remove'] button");
  if (!variant.scripts) return;
  await page.keyboard.press("Enter");
  await page.locator("dialog button:focus").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#rules form[action$='/remove'] button:focus").waitFor();
}

async function filtersAndExportsTheAudit(person) {
  const { page } = person;
  await go(page, "nav a[href='/admin/audit']");
  await goAround(page);
  await type(page, "#who", person.username);
  await tabTo(page, "#outcome");
  await page.keyboard.press("ArrowDown");
  const outcome = await page.inputValue("#outcome");
  assert.notEqual(outcome, "");
  await go(page, "#filter-form button");
  await page.waitForURL(`**/admin/audit?*outcome=${outcome}*`);
  assert.equal(await page.inputValue("#who"), person.username);
  await tabTo(page, "#export-csv");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.equal(download.suggestedFilename(), "doorward-audit.csv");
}

async function goesAroundTheRest(person) {
  const paths = await person.page.evaluate(() => [...document.querySelectorAll("nav.side a")].map((a) => a.pathname));
  assert.ok(paths.length > 5, paths.join());
  for (const path of [...paths, "/account/sessions", "/account/apps", "/account/activity", "/account/export", "/account/totp", "/admin/people/new", "/admin/system/settings", "/admin/groups", "/step-up"]) {
    await person.goto(path);
    await goAround(person.page).catch((error) => assert.fail(`${path}: ${error.message}`));
  }
}

for (const variant of [WIDE, PLAIN]) {
  test(`the keyboard is enough for an administrator and for who is invited, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "protect.domain": "home.localhost", "accounts.second_factor": "optional" });
    person.guest = await sit(t, variant, person.server);
    Object.assign(person.guest, { username: "gran", password: "amber river folds twice" });
    const steps = [invitesSomebody, theyJoin, addsAnAppFromAPreset, changesARule, filtersAndExportsTheAudit];
    await person.walk(t, variant === WIDE ? [...steps, goesAroundTheRest] : steps, person.guest);
  });
}
