// An owner looks after people in a real browser: invites by a link, filters, lifts a pause, resets a second factor, ends a
// session, keeps groups. What comes of it is checked by the person concerned, in a browser of their own.
import assert from "node:assert/strict";
import test from "node:test";
import { TWO, stage } from "./person.mjs";

const FAILURES = 3;
const { owner, sit } = stage();

function row(person, text) {
  return person.page.locator("#people tbody tr", { hasText: text });
}

async function enter(guest) {
  await guest.goto("/signin");
  await guest.enterPassword();
}

async function signsIn(person) {
  await person.signInTo("/admin/people");
  await person.at("/admin/people", "People");
}

async function makesAGroup(person) {
  const { page } = person;
  await person.goto("/admin/groups");
  await page.getByText("There are no groups yet.").waitFor();
  await page.fill("#name", "No Such Name!");
  await person.press("Create");
  await page.locator("#name-error").waitFor();
  await person.look("/admin/groups refused");
  await page.fill("#name", "family");
  await person.press("Create");
  await person.at("/admin/groups?done=created", "Groups");
  await page.getByRole("link", { name: "family" }).waitFor();
}

/** One link is withdrawn before anybody uses it, the other makes an account, once. */
async function invitesSomebody(person) {
  const { page, guest } = person;
  const make = async (note) => {
    await person.goto("/admin/people");
    await page.click("#invite");
    await person.at("/admin/people/invite", "Invite");
    await page.fill("#note", note);
    await page.check("[name=group][value=family]");
    await person.press("Make the link");
    await page.getByRole("heading", { level: 1, name: "Invitations" }).waitFor();
    await person.look("/admin/people/invite made");
    assert.ok(await page.locator("#link svg.qr").isVisible(), "there is a picture to scan");
    return page.locator("#link-url").textContent();
  };
  const lost = await make("Somebody else");
  await person.confirm(page.getByRole("button", { name: "Withdraw: Somebody else" }));
  await person.at("/admin/people/invitations?done=withdrawn", "Invitations");
  assert.equal((await guest.page.goto(lost)).status(), 410, "a link that was withdrawn is gone");
  const link = await make("Grandma");
  await person.goto("/admin/people");
  await page.locator("#waiting").waitFor();
  await guest.page.goto(link);
  await guest.page.fill("#username", "gran");
  await guest.page.fill("#display_name", "Grandma Sol");
  await guest.page.fill("#password", guest.password);
  await guest.send(guest.page.locator("form button.primary").first());
  await guest.look("/register done");
  assert.equal((await guest.page.goto(link)).status(), 410, "a link works once");
  await person.goto("/admin/people/invitations");
  await page.getByText("No link waits to be used.").waitFor();
}

async function filtersPeople(person) {
  const { page } = person;
  await person.goto("/admin/people");
  await page.getByRole("link", { name: "No second factor" }).click();
  await person.at("/admin/people?filter=no-second-factor", "People");
  assert.equal(await row(person, "Grandma Sol").count(), 1);
  assert.equal(await row(person, "Ana Sol").count(), 0);
  await page.fill("#q", "GRAND");
  await page.selectOption("#sort", "newest");
  await person.press("Search");
  await page.waitForURL("**/admin/people?filter=no-second-factor&q=GRAND&sort=newest");
  assert.equal(await row(person, "Grandma Sol").count(), 1, "the filter stays, and the search does not mind the case");
  await person.goto("/admin/people?group=family");
  await person.look("/admin/people of a group");
  assert.equal(await page.locator("#people tbody tr").count(), 1);
  await page.click("#group-filter");
  await person.at("/admin/people", "People", "/admin/people again");
  assert.equal(await page.locator("#people tbody tr").count(), 2);
}

async function liftsASuspension(person) {
  const { page, guest } = person;
  await guest.goto("/signin");
  for (let failure = 0; failure < FAILURES; failure += 1) await guest.enterPassword("gran", "wrong password here");
  await guest.enterPassword();
  await guest.page.locator("#wait").waitFor();
  await person.goto("/admin/people?filter=suspended");
  await page.getByRole("link", { name: "Grandma Sol" }).click();
  await page.locator("#suspensions").waitFor();
  person.profile = person.path();
  await person.look("/admin/people/gran paused");
  await person.send(page.getByRole("button", { name: /^Lift now/ }));
  await person.at(`${person.profile}?done=lifted`, "Grandma Sol", "/admin/people/gran lifted");
  await enter(guest);
  await guest.page.getByRole("heading", { level: 1, name: /^Hello, Grandma/ }).waitFor();
}

async function resetsASecondFactor(person) {
  const { page, guest } = person;
  await guest.goto("/account/totp");
  guest.secret = (await guest.page.locator("#secret").textContent()).replaceAll(" ", "");
  await guest.page.fill("#code", await guest.code());
  if (!guest.variant.scripts) await guest.send(guest.page.locator("form:has(#code) button.primary"));
  await guest.page.locator("#codes").waitFor();
  await person.goto(person.profile);
  await page.getByText("Authenticator app", { exact: true }).waitFor();
  await person.look("/admin/people/gran with app");
  await person.confirm(page.locator("#reset-second-factor"));
  await person.at(`${person.profile}?done=reset`, "Grandma Sol", "/admin/people/gran reset");
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
  await guest.enterPassword();
  await guest.page.getByText(/removed your second factor/).waitFor();
}

async function endsASessionOfSomebody(person) {
  const { page, guest } = person;
  await guest.goto("/account");
  await person.goto(person.profile);
  await person.send(page.getByRole("button", { name: /^End: / }).first());
  await person.at(`${person.profile}?done=session`, "Grandma Sol", "/admin/people/gran session ended");
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
}

async function disablesAndEnables(person) {
  const { page } = person;
  await page.fill("#reason", "on a long journey");
  await person.confirm(page.locator("#disable"));
  await person.at(`${person.profile}?done=disabled`, "Grandma Sol", "/admin/people/gran disabled");
  await page.getByText("Reason: on a long journey").waitFor();
  await person.press("Enable");
  await person.at(`${person.profile}?done=enabled`, "Grandma Sol", "/admin/people/gran enabled");
  await page.locator("#claims summary").click();
  await page.fill("#claim", "birthdate");
  await page.fill("#value", "tomorrow");
  await person.press("Set the claim");
  await page.locator("#claim-error").waitFor();
  await person.look("/admin/people/gran claim refused");
  await page.fill("#value", "1950-01-31");
  await person.press("Set the claim");
  await page.waitForURL("**?done=claim");
}

async function keepsGroups(person) {
  const { page } = person;
  await person.goto("/admin/groups/family");
  await person.at("/admin/groups/family", "family");
  await page.fill("#username", "nobody-at-all");
  await person.press("Put in");
  await page.locator("#username-error").waitFor();
  await person.look("/admin/groups/family refused");
  await page.fill("#username", "ana");
  await person.press("Put in");
  await person.at("/admin/groups/family?done=joined", "family");
  await page.fill("#name", "kin");
  await person.press("Rename");
  await person.at("/admin/groups/kin?done=renamed", "kin");
  assert.equal((await person.goto("/admin/groups/family")).status(), 404);
  await person.goto("/admin/groups/kin");
  await person.send(page.getByRole("button", { name: "Take out: Ana Sol" }));
  await person.send(page.getByRole("button", { name: "Take out: Grandma Sol" }));
  await page.getByText("Nobody is in it and nothing names it.").waitFor();
  await person.confirm(page.locator("#delete"));
  await person.at("/admin/groups?done=deleted", "Groups", "/admin/groups deleted");
}

const STEPS = [signsIn, makesAGroup, invitesSomebody, filtersPeople, liftsASuspension, resetsASecondFactor, endsASessionOfSomebody, disablesAndEnables, keepsGroups];

for (const variant of TWO) {
  test(`an owner looks after people, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "limits.suspend_after": FAILURES });
    person.guest = await sit(t, variant, person.server);
    Object.assign(person.guest, { username: "gran", password: "amber river folds twice" });
    await person.walk(t, STEPS, person.guest);
  });
}
