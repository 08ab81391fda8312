// What people do with their own account, in a real browser: sign in with a recovery code, end a session elsewhere, let an
// app in and take that back, take their data along, find their apps, and join by a one-time link. In a wide window with
// scripts and a narrow one without; every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { startNotes } from "./apps.mjs";
import { PASSWORD, TWO, stage } from "./person.mjs";

const { owner, sit } = stage();

async function signsIn(person) {
  await person.signInTo("/account/security");
  await person.at("/account/security", "Security");
}

/** Makes new codes, leaves, and comes back with one of them. */
async function usesARecoveryCode(person) {
  const { page } = person;
  await person.confirm(page.locator("#recovery-renew"), { name: "asks for new codes" });
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
  await person.enterPassword();
  await person.page.getByRole("link", { name: /recovery code/ }).click();
  await person.page.waitForURL("**/signin/recovery");
  await person.look("/signin/recovery");
  await person.page.fill("#recovery_code", person.codes.pop());
  await person.press("Continue");
  await person.at("/", /^Hello, Ana/);
}

/** Signs in elsewhere, and ends that from here. */
async function endsASessionElsewhere(person) {
  const { page, elsewhere } = person;
  Object.assign(elsewhere, { username: person.username, password: person.password, codes: person.codes });
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

async function findsApps(person) {
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

async function takesBackWhatAnAppMayDo(person) {
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
  await person.confirm(page.getByRole("button", { name: "Take access back from Notes" }), { name: "/account/apps asks" });
  await person.at("/account/apps?done=revoked", "Apps with access", "/account/apps revoked");
  assert.equal(await page.locator("#apps").count(), 0);
  assert.equal(await app.refresh(), 400);
  await page.goto(app.begin());
  await page.getByRole("heading", { level: 1, name: "Allow Notes?" }).waitFor();
}

async function takesDataAlong(person) {
  const { page } = person;
  await person.goto("/account");
  await page.getByRole("link", { name: "Export your data…" }).click();
  await person.at("/account/export", "Export your data");
  const [{ name, text }] = [await person.download(page.locator("#export-submit")), await person.download(page.locator("#export-submit"))];
  assert.equal(name, "doorward-ana.json");
  const data = JSON.parse(text);
  assert.equal(data.account.username, "ana");
  assert.ok(data.activity.length > 3 && data.sessions.length === 1);
  for (const secret of [PASSWORD, person.secret, ...person.codes, "argon2"]) assert.ok(!text.includes(secret));
}

async function readsTheActivity(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Activity" }).click();
  await person.at("/account/activity", "Activity");
  const text = await page.locator(".events").innerText();
  for (const part of [/recovery code/i, /session/i, /app/i]) assert.match(text, part);
}

async function staysTheOnlyOwner(person) {
  await person.goto("/account");
  await person.look("/account only owner");
  await person.page.getByText("You are the only owner.").waitFor();
  await person.goto("/account/delete");
  await person.page.waitForURL("**/account");
}

const STEPS = [signsIn, usesARecoveryCode, endsASessionElsewhere, findsApps, takesBackWhatAnAppMayDo, takesDataAlong, readsTheActivity, staysTheOnlyOwner];

for (const variant of TWO) {
  test(`a person looks after their own account, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "protect.domain": "home.localhost" });
    const { server } = person;
    server.command(["rules", "apply", "-"], "allow one_factor domain=photos.home.localhost\nallow one_factor domain=staff.home.localhost group=staff\n");
    person.app = await startNotes(t, server);
    person.elsewhere = await sit(t, variant, server);
    await person.walk(t, STEPS, person.elsewhere);
  });
}

for (const variant of TWO) {
  test(`somebody joins by a link and comes back by another, ${variant.name}`, { timeout: 120_000 }, async (t) => {
    const { server } = await owner(t, variant, { "accounts.second_factor": "optional" });
    const guest = await sit(t, variant, server);
    const { page } = guest;
    server.command(["user", "add", "ben", "--name", "Ben Okoro"]);
    const link = () => /https?:\/\/\S+\/link\/\S+/.exec(server.command(["user", "link", "ben"]))[0];
    const follow = async (url, heading, password) => {
      await page.goto(url);
      await page.getByRole("heading", { level: 1, name: heading }).waitFor();
      await guest.look(`/link ${heading}`);
      assert.equal(await page.inputValue("#username"), "ben");
      await page.fill("#password", password);
      await guest.press("Set password");
      await page.getByRole("heading", { level: 1, name: "Password set" }).waitFor();
      await page.click("#onward");
      assert.equal(await page.inputValue("#username"), "ben", "the name is filled in");
      await guest.enterPassword("ben", password);
      await guest.at("/", /^Hello, Ben/);
    };
    const isUsedUp = async (url) => {
      await page.goto(url);
      await page.getByRole("heading", { level: 1, name: "This link is used up" }).waitFor();
      await guest.look("/link gone");
    };
    let invitation;
    let older;
    await guest.walk(t, [
      async function joins() {
        invitation = link();
        await follow(invitation, "Welcome", "amber river folds twice");
        assert.match(await page.locator("#strip").innerText(), /password alone[^]*Add a passkey|authenticator app/);
        await isUsedUp(invitation);
      },
      async function comesBack() {
        older = link();
        await follow(link(), "Choose a new password", "copper lantern drifts slowly");
        await isUsedUp(older);
      },
    ]);
  });
}
