// A browser without JavaScript sends what the other stories never send from one: app tokens, other sessions, passkeys that
// are there already, a second factor on the way in and out, apps that end a session, domains, scopes, a backup, and the end of an account.
import assert from "node:assert/strict";
import test from "node:test";
import { startNotes } from "./apps.mjs";
import { plug } from "./browser.mjs";
import { TWO, stage } from "./person.mjs";

// The pages themselves are looked at elsewhere.
const [WIDE, PLAIN] = TWO.map((variant) => ({ ...variant, axe: false }));
const { owner, sit } = stage();

/** Sends the form that leads there, with these fields. */
function send(person, action, fields = {}) {
  return person.submit(`form[action="${action}"]`, fields);
}

async function keepsAppTokens(person) {
  const { page } = person;
  await person.signInTo("/account/app-tokens");
  await send(person, "/account/app-tokens", { name: "Phone", hosts: "" });
  assert.match(await page.locator("#token").textContent(), /^\S{20,}$/);
  await person.goto("/account/app-tokens");
  await send(person, "/account/app-tokens/revoke");
  assert.equal(await page.locator("#app-tokens").count(), 0);
}

async function endsOtherSessions(person) {
  const { page, elsewhere } = person;
  await elsewhere.goto("/signin");
  await elsewhere.enterPassword(person.username, person.password);
  await elsewhere.page.click("#use-recovery");
  await send(elsewhere, "/signin/recovery", { recovery_code: person.server.owner.recovery_codes[0] });
  await elsewhere.page.waitForURL(`${person.server.origin}/`);
  await person.goto("/account/sessions");
  assert.equal(await page.locator("#sessions > li").count(), 2);
  await send(person, "/account/sessions/end-others");
  assert.equal(await page.locator("#sessions > li").count(), 1);
  await elsewhere.goto("/account");
  await elsewhere.page.waitForURL("**/signin?rd=*");
}

async function provesAgain(person) {
  const { page } = person;
  await person.goto("/step-up?next=/account/security");
  const code = await person.code();
  const asksPassword = (await page.locator("#step-up-form #password").count()) > 0;
  await person.submit("#step-up-form", asksPassword ? { password: person.password, code } : { code });
  await page.waitForURL("**/account/security");
}

async function takesABackup(person) {
  await person.goto("/admin/backup");
  const { name, text } = await person.download(person.page.locator('form[action="/admin/backup"] button'));
  assert.match(name, /\.doorward-export$/);
  assert.match(text, /^\{"format":"doorward-export"/);
}

async function keepsDomains(person) {
  const { page } = person;
  await person.goto("/admin/domains");
  await send(person, "/admin/domains", { domain: "home.localhost" });
  await person.goto("/admin/domains/home.localhost");
  await send(person, "/admin/domains/home.localhost");
  await page.waitForURL("**/admin/domains?done=saved");
  await person.goto("/admin/domains/home.localhost");
  await send(person, "/admin/domains/home.localhost/remove");
  await page.waitForURL("**/admin/domains?done=*");
  assert.equal(await page.locator("#domains", { hasText: "home.localhost" }).count(), 0);
}

async function keepsScopesAndRegistration(person) {
  const { page } = person;
  await person.goto("/admin/scopes");
  await send(person, "/admin/scopes", { name: "house", claims: "cost_center=cost_center" });
  await page.locator('form[action="/admin/scopes/remove"]').waitFor();
  await send(person, "/admin/scopes/remove");
  assert.equal(await page.locator('form[action="/admin/scopes/remove"]').count(), 0);
  await send(person, "/admin/registration-tokens", { uses: "2", days: "7" });
  assert.equal(await page.locator("#token").count(), 1);
  await person.goto("/admin/scopes");
  await send(person, "/admin/registration-tokens/drop");
  await page.waitForURL("**/admin/scopes?done=*");
}

/** Only a script can add a passkey; the rest needs none. */
async function guestKeepsPasskeys(person) {
  const { guest, maker } = person;
  const lend = async (one, other) => other.page.context().addCookies(await one.page.context().cookies());
  const add = async () => {
    await lend(guest, maker);
    await maker.goto("/account/passkeys");
    await maker.page.fill("#name", "Blue key");
    await maker.page.click("#passkey");
    // With the first factor come codes.
    await maker.page.locator("#codes, #notice").waitFor();
    await lend(maker, guest);
  };
  await guest.goto("/signin");
  await guest.enterPassword();
  await add();
  await guest.goto("/account/security");
  await guest.page.locator("details:has(form[action='/account/passkeys/rename']) > summary").click();
  await send(guest, "/account/passkeys/rename", { name: "Old key" });
  await guest.page.getByText("Old key").first().waitFor();
  await send(guest, "/account/passkeys/remove");
  assert.equal(await guest.page.locator('form[action="/account/passkeys/remove"]').count(), 0);
  await add();
}

async function guestHasATokenAndAnApp(person) {
  const { guest, app } = person;
  await guest.goto("/account/app-tokens");
  await send(guest, "/account/app-tokens", { name: "Kitchen" });
  await guest.page.goto(app.begin());
  await guest.send(guest.page.locator("#consent-allow"));
  await guest.page.waitForURL(`${app.origin}/cb?*`);
}

async function ownerTakesAllOfItBack(person) {
  const { page } = person;
  await person.goto("/admin/people");
  await page.locator("#people").getByRole("link", { name: "Ben Okoro" }).click();
  for (const deed of ["app-token", "consent", "passkey"]) {
    const form = page.locator(`form[action$="/${deed}"]`);
    assert.equal(await form.count(), 1, deed);
    await person.send(form.locator("button"));
    assert.equal(await form.count(), 0, deed);
  }
}

async function guestSetsUpAndRemovesACode(person) {
  const { guest } = person;
  const { page } = guest;
  await guest.page.context().clearCookies();
  await guest.goto("/signin");
  await guest.enterPassword();
  await guest.goto("/account/totp");
  guest.secret = await page.locator("#secret").textContent();
  await send(guest, "/account/totp", { code: await guest.code() });
  await page.locator("#codes").waitFor();
  await guest.goto("/account/security");
  await send(guest, "/account/totp/remove");
  assert.equal(await page.locator('form[action="/account/totp/remove"]').count(), 0);
}

async function anAppEndsTheSession(person) {
  const { guest, app } = person;
  await guest.page.goto(app.end());
  await send(guest, "/logout");
  await guest.page.waitForURL(`${app.origin}/left*`);
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
}

async function guestDeletesTheAccount(person) {
  const { guest } = person;
  await guest.enterPassword();
  await guest.goto("/account/delete");
  await send(guest, "/account/delete", { confirm_username: guest.username });
  await guest.goto("/signin");
  await guest.enterPassword();
  await guest.page.locator("#problem").waitFor();
}

test("what other stories never send, without scripts", { timeout: 180_000 }, async (t) => {
  const person = await owner(t, PLAIN, { "accounts.second_factor": "optional" });
  const { server } = person;
  person.app = await startNotes(t, server);
  person.elsewhere = await sit(t, PLAIN, server);
  person.guest = await sit(t, PLAIN, server);
  // The same person where there are scripts, with a key.
  person.maker = await sit(t, WIDE, server);
  await plug(person.maker.page);
  const ben = { username: "ben", password: "amber river folds twice" };
  for (const one of [person.guest, person.maker]) Object.assign(one, ben);
  server.command(["user", "add", "ben", "--name", "Ben Okoro", "--password-stdin"], `${ben.password}\n`);
  await person.walk(t, [
    keepsAppTokens, endsOtherSessions, provesAgain, takesABackup, keepsDomains, keepsScopesAndRegistration, guestKeepsPasskeys,
    guestHasATokenAndAnApp, ownerTakesAllOfItBack, guestSetsUpAndRemovesACode, anAppEndsTheSession, guestDeletesTheAccount,
  ], person.guest, person.elsewhere, person.maker);
});

test("an administrator sets up a code on the way in, without scripts", { timeout: 60_000 }, async (t) => {
  const bea = await owner(t, PLAIN);
  const { page, server } = bea;
  Object.assign(bea, { username: "bea", password: "walnut harbor eleven comet", step: 0 });
  server.command(["user", "add", "bea", "--name", "Bea Holm", "--role", "admin", "--password-stdin"], `${bea.password}\n`);
  await bea.goto("/signin");
  await bea.enterPassword();
  await page.waitForURL("**/signin/enrol");
  bea.secret = await page.locator("#secret").textContent();
  await bea.submit("form:has(#code)", { code: await bea.code() });
  assert.equal(await page.locator("#codes code").count(), 10);
  await page.check("#saved");
  await send(bea, "/signin/recovery-codes");
  await bea.at("/", /^Hello, Bea/);
  bea.settle();
});
