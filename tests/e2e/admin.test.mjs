// An owner looks after people, rules and the log in a real browser, and the outcome is checked by the people concerned:
// in browsers of their own, at the portal and at an app behind it. In a wide window with scripts and a narrow one without;
// every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { startPhotos } from "./apps.mjs";
import { tabTo } from "./keyboard.mjs";
import { TWO, stage } from "./person.mjs";

const FAILURES = 3;
const { owner, sit } = stage();

function row(person, text) {
  return person.page.locator("#people tbody tr", { hasText: text });
}

async function signsIn(person) {
  await person.signInTo("/admin/people");
  await person.at("/admin/people", "People");
}

async function addsAPerson(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Add a person" }).click();
  await person.at("/admin/people/new", "Add a person");
  await page.fill("#username", "ana");
  await page.fill("#display_name", "Ben Okoro");
  await page.fill("#email", "ben@home.example");
  await page.fill("#new_group", "family");
  await person.press("Create and make a link");
  await page.locator("#username-error").waitFor();
  await person.look("/admin/people/new refused");
  assert.equal(await page.inputValue("#display_name"), "Ben Okoro", "what was typed stays");
  assert.equal(await page.inputValue("#email"), "ben@home.example");
  assert.ok(await page.isChecked("[name=group][value=family]"), "the group that was named stays");
  await page.fill("#username", "ben");
  await person.press("Create and make a link");
  await page.getByRole("heading", { level: 1, name: "Ben Okoro" }).waitFor();
  await person.look("/admin/people/ben invited");
  person.guest.link = await page.locator("#link-url").textContent();
  await page.getByRole("link", { name: "People", exact: true }).first().click();
  await person.at("/admin/people", "People", "/admin/people two");
  await row(person, "Ben Okoro").getByText("Invited").waitFor();
}

/** The person who was invited is real: the link gives a password, once, and the password opens the account. */
async function theyJoin(person) {
  const { guest } = person;
  const { page } = guest;
  await page.goto(guest.link);
  await page.getByRole("heading", { level: 1, name: "Welcome" }).waitFor();
  await guest.look("/link");
  assert.equal(await page.inputValue("#username"), "ben");
  await page.fill("#password", "passwordpassword");
  await guest.press("Set password");
  await page.locator("#password-error").waitFor();
  await guest.look("/link refused");
  await page.fill("#password", guest.password);
  await guest.press("Set password");
  await page.getByRole("heading", { level: 1, name: "Password set" }).waitFor();
  await guest.look("/link done");
  await page.goto(guest.link);
  await page.getByRole("heading", { level: 1, name: "This link is used up" }).waitFor();
  await guest.look("/link gone");
  await enter(guest);
  assert.equal((await guest.goto("/admin/people")).status(), 403);
  await guest.look("/admin refused");
}

async function enter(guest) {
  await guest.goto("/signin");
  await guest.enterPassword();
  await guest.at("/", /^Hello, Ben/);
}

/** Opens the app as the guest; returns what came of it. */
async function visitApp(guest) {
  const reply = await guest.page.goto(guest.app);
  return { status: reply.status(), text: await guest.page.locator("body").innerText() };
}

async function changesAPerson(person) {
  const { page } = person;
  await page.fill("#q", "nobody of that name");
  await person.press("Search");
  await page.getByText("Nobody matches.").waitFor();
  await person.look("/admin/people none");
  await page.fill("#q", "okoro");
  await person.press("Search");
  await person.at("/admin/people?q=okoro&sort=", "People");
  assert.equal(await page.locator("#people tbody tr").count(), 1);
  await page.getByRole("link", { name: "Ben Okoro" }).click();
  await page.getByRole("heading", { level: 1, name: "Ben Okoro" }).waitFor();
  person.profile = person.path();
  await person.look("/admin/people/ben");
  await page.fill("#display_name", "Ben Okoro-Lind");
  await page.fill("#new_group", "No Such Name!");
  await person.press("Save");
  await page.locator("#new_group-error").waitFor();
  await person.look("/admin/people/ben refused");
  assert.equal(await page.inputValue("#display_name"), "Ben Okoro-Lind", "what was typed stays");
  assert.equal(await page.inputValue("#new_group"), "No Such Name!");
  assert.ok(await page.isChecked("[name=group][value=family]"));
  await page.fill("#new_group", "cooks");
  await person.press("Save");
  await person.at(`${person.profile}?done=saved`, "Ben Okoro-Lind", "/admin/people/ben saved");
  assert.ok(await page.isChecked("[name=group][value=family]"));
  assert.ok(await page.isChecked("[name=group][value=cooks]"));
  await page.uncheck("[name=group][value=cooks]");
  await person.press("Save");
  assert.equal(await page.locator("[name=group][value=cooks]").count(), 0, "a group that nobody is in is gone");
  await person.guest.goto("/");
  await person.guest.page.getByRole("heading", { level: 1, name: "Hello, Ben Okoro-Lind" }).waitFor();
}

/** Adds a rule with nothing but keys. */
async function addsARuleByKeysAlone(person) {
  const { page, guest } = person;
  const { keyboard } = page;
  assert.equal((await visitApp(guest)).status, 403, "no rule, no way in");
  await person.goto("/admin/rules");
  await person.at("/admin/rules", "Access rules");
  await tabTo(page, "#add");
  await keyboard.press("Enter");
  await person.at("/admin/rules/new", "Add a rule");
  await tabTo(page, "#domains");
  await keyboard.type("photos.home.localhost");
  await tabTo(page, "#who-everyone");
  await keyboard.press("ArrowDown");
  assert.equal(await page.locator(":focus").getAttribute("id"), "who-some");
  await tabTo(page, "#save");
  await keyboard.press("Enter");
  await page.locator("#who-error").waitFor();
  await person.look("/admin/rules/new refused");
  await page.locator("#errors a").focus();
  await keyboard.press("Enter");
  await tabTo(page, "[name=group][value=family]");
  await keyboard.press("Space");
  assert.ok(await page.isChecked("[name=group][value=family]"));
  await tabTo(page, "#save");
  await keyboard.press("Enter");
  await person.at("/admin/rules?done=drafted", "Access rules");
  assert.equal((await visitApp(guest)).status, 403, "a draft lets nobody in");
  await tabTo(page, "#apply");
  await keyboard.press("Enter");
  await person.at("/admin/rules?done=applied", "Access rules");
  assert.deepEqual(await visitApp(guest), { status: 200, text: "Photos of ben" });
}

/** Puts the draft in force. */
async function apply(person) {
  await person.press("Put in force");
  await person.at("/admin/rules?done=applied", "Access rules", "/admin/rules applied");
}

async function tryRules(person, verdict, rule) {
  const { page } = person;
  await page.fill("#address", "https://photos.home.localhost/albums");
  await page.fill("#user", "ben");
  await person.press("Try");
  await page.locator("#verdict").waitFor();
  await person.look(`/admin/rules tried ${rule}`);
  assert.equal((await page.locator("#verdict p").first().textContent()).trim(), verdict);
  assert.equal(await page.locator("#rules > li.decided").getAttribute("aria-label"), `Rule ${rule}, decided the test`);
}

async function changesAndTriesRules(person) {
  const { page, guest } = person;
  await page.fill("#address", "https://photos.home.localhost:port/");
  await person.press("Try");
  await page.locator("#address-error").waitFor();
  await person.look("/admin/rules test refused");
  await tryRules(person, "Ben Okoro-Lind gets in, by rule 1.", 1);
  await page.getByRole("link", { name: "Add a rule" }).click();
  await page.fill("#domains", "*.home.localhost");
  await page.check("#who-some");
  await page.fill("#users", "ben");
  await page.check("#policy-deny");
  await page.locator("#more summary").click();
  await page.fill("#paths", "albums");
  await person.press("Save rule");
  await page.locator("#paths-error").waitFor();
  await person.look("/admin/rules/new paths refused");
  await page.fill("#paths", "");
  await person.press("Save rule");
  await person.at("/admin/rules?done=drafted", "Access rules", "/admin/rules two");
  await apply(person);
  assert.equal((await visitApp(guest)).status, 200, "the first rule that fits decides");
  await person.send(page.getByRole("button", { name: "Move rule 2 up" }));
  await person.at("/admin/rules?done=drafted", "Access rules", "/admin/rules two");
  assert.equal((await visitApp(guest)).status, 200, "nothing is in force yet");
  await tryRules(person, "By the draft: Ben Okoro-Lind is kept out, by rule 1.", 1);
  assert.equal((await page.locator("#verdict-2 p").first().textContent()).trim(), "By the rules in force: Ben Okoro-Lind gets in, by rule 1.");
  await page.locator("#verdict summary").click();
  assert.match(await page.locator("#verdict li").first().textContent(), /^Rule 1 fits and refuses/);
  await apply(person);
  assert.equal((await visitApp(guest)).status, 403);
  // The refusal becomes one of another host.
  await page.getByRole("link", { name: "Edit rule 1" }).click();
  await page.getByRole("heading", { level: 1, name: "Change a rule" }).waitFor();
  await person.look("/admin/rules/1");
  assert.equal(await page.inputValue("#domains"), "*.home.localhost");
  assert.equal(await page.inputValue("#users"), "ben");
  assert.ok(await page.isChecked("#policy-deny"));
  await page.fill("#domains", "notes.home.localhost");
  await person.press("Save rule");
  await person.at("/admin/rules?done=drafted", "Access rules", "/admin/rules two");
  await apply(person);
  assert.equal((await visitApp(guest)).status, 200);
  await person.confirm(page.getByRole("button", { name: "Remove rule 2" }), { name: "/admin/rules asks", hesitates: true });
  await person.at("/admin/rules?done=drafted", "Access rules", "/admin/rules draft");
  assert.equal(await page.locator("#rules > li").count(), 1);
  await person.confirm(page.getByRole("button", { name: "Discard the draft" }), { name: "/admin/rules asks to discard", hesitates: true });
  await person.at("/admin/rules?done=discarded", "Access rules", "/admin/rules discarded");
  assert.equal(await page.locator("#rules > li").count(), 2);
  await person.confirm(page.getByRole("button", { name: "Remove rule 2" }), { name: "/admin/rules asks", hesitates: true });
  await person.at("/admin/rules?done=drafted", "Access rules", "/admin/rules draft");
  await apply(person);
  assert.equal((await visitApp(guest)).status, 403);
}

async function liftsASuspension(person) {
  const { page, guest } = person;
  await guest.goto("/");
  await guest.signOut();
  await guest.goto("/signin");
  for (let failure = 0; failure < FAILURES; failure += 1) await guest.enterPassword("ben", "wrong password here");
  await guest.enterPassword();
  await guest.page.locator("#wait").waitFor();
  await guest.look("/signin paused");
  await person.goto("/admin/people?filter=suspended");
  await person.at("/admin/people?filter=suspended", "People");
  await page.getByRole("link", { name: "Ben Okoro-Lind" }).click();
  await page.locator("#suspensions").waitFor();
  await person.look("/admin/people/ben suspended");
  await person.send(page.getByRole("button", { name: /^Lift now/ }));
  await person.at(`${person.profile}?done=lifted`, "Ben Okoro-Lind", "/admin/people/ben saved");
  assert.equal(await page.locator("#suspensions").count(), 0);
  await enter(guest);
}

async function disablesAndEnables(person) {
  const { page, guest } = person;
  await person.confirm(page.locator("#disable"), { name: "/admin/people/ben asks", hesitates: true });
  await person.at(`${person.profile}?done=disabled`, "Ben Okoro-Lind", "/admin/people/ben disabled");
  // At once: the session is over, and the right password does not help.
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
  await guest.enterPassword();
  await guest.page.locator("#problem").waitFor();
  await guest.look("/signin disabled");
  await person.press("Enable");
  await person.at(`${person.profile}?done=enabled`, "Ben Okoro-Lind", "/admin/people/ben saved");
  await enter(guest);
}

async function helpsAPerson(person) {
  const { page, guest } = person;
  await person.goto(person.profile);
  await person.confirm(page.locator("#force-sign-out"), { name: "/admin/people/ben asks to sign out", hesitates: true });
  await person.at(`${person.profile}?done=signed-out`, "Ben Okoro-Lind", "/admin/people/ben signed out");
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
  await person.press("Make a link");
  const link = await page.locator("#link-url").textContent();
  await person.look("/admin/people/ben link");
  await guest.page.goto(link);
  await guest.page.getByRole("heading", { level: 1, name: "Choose a new password" }).waitFor();
  await guest.look("/link reset");
  guest.password = "copper lantern drifts slowly";
  await guest.page.fill("#password", guest.password);
  await guest.press("Set password");
  await guest.page.click("#onward");
  await guest.enterPassword();
  await guest.at("/", /^Hello, Ben/);
}

async function filtersTheAudit(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Audit" }).click();
  await person.at("/admin/audit", "Audit");
  const all = await page.locator("#events tbody tr").count();
  await page.fill("#who", "ben");
  await page.selectOption("#kind", "sign_in.");
  await page.selectOption("#outcome", "refused");
  await person.press("Show");
  await page.waitForURL("**/admin/audit?*outcome=refused*");
  await person.look("/admin/audit filtered");
  const rows = await page.locator("#events tbody tr").allInnerTexts();
  assert.ok(rows.length >= FAILURES && rows.length < all, `${rows.length} of ${all}`);
  for (const text of rows) assert.match(text, /ben[^]*refused/);
  assert.equal(await page.inputValue("#who"), "ben", "the filter stays");
  await page.locator("#events summary").first().click();
  await person.look("/admin/audit details");
  await page.fill("#to", "2001-01-01");
  await person.press("Show");
  await page.getByText("Nothing matches.").waitFor();
  await page.fill("#who", "nobody-of-that-name");
  await page.fill("#to", "");
  await person.press("Show");
  await page.waitForURL("**who=nobody-of-that-name*");
  await person.look("/admin/audit unknown");
}

async function deletesAPerson(person) {
  const { page, guest } = person;
  await person.goto(person.profile);
  await person.confirm(page.locator("#delete"), { name: "/admin/people/ben asks to delete", hesitates: true });
  await person.at("/admin/people?done=deleted", "People");
  assert.equal(await row(person, "ben").count(), 0);
  assert.equal((await person.goto(person.profile)).status(), 404);
  await guest.goto("/account");
  await guest.page.waitForURL("**/signin?rd=*");
  await guest.enterPassword();
  await guest.page.getByText("That username and password do not match.").waitFor();
}

const STEPS = [
  signsIn, addsAPerson, theyJoin, changesAPerson, addsARuleByKeysAlone, changesAndTriesRules, liftsASuspension, disablesAndEnables,
  helpsAPerson, filtersTheAudit, deletesAPerson,
];

for (const variant of TWO) {
  test(`an owner looks after people, rules and the log, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "protect.domain": "home.localhost", "limits.suspend_after": FAILURES });
    const { server } = person;
    person.guest = await sit(t, variant, server);
    Object.assign(person.guest, { username: "ben", password: "amber river folds twice", app: await startPhotos(t, server) });
    await person.walk(t, STEPS, person.guest);
  });
}
