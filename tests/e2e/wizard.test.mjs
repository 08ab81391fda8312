// The real server in a real browser, from the printed link to the account of the owner: in a wide and a narrow window,
// with and without scripts. Every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { FOUR, PASSWORD, stage } from "./person.mjs";

const { house, sit } = stage();

async function claims(person) {
  const { page, server, variant } = person;
  const [, token] = server.link.split("#");
  assert.match(token, /^([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{2}$/);
  // Before the claim every page leads to the wizard.
  await person.goto("/account");
  await person.at("/setup", "Set up Doorward");
  await page.fill("#token", token.replace(/^..../, "zzzz"));
  await person.press("Continue");
  await page.getByText("That is not the setup code.").first().waitFor();
  await person.look("/setup wrong code");
  assert.equal((await page.reload()).status(), 422, "a reload sends the same again");
  await page.getByText("That is not the setup code.").first().waitFor();
  assert.equal((await person.goto("/setup")).status(), 200);
  await page.goto("about:blank");
  await page.goto(server.link);
  if (variant.scripts) {
    assert.equal(new URL(page.url()).hash, "", "the code leaves the address bar");
    assert.equal(await page.inputValue("#token"), token);
  } else {
    await page.fill("#token", ` ${token.toUpperCase().replaceAll("-", " ")} `);
  }
  await person.press("Continue");
  await person.at("/setup/welcome", "Welcome");
}

async function namesAndOwns(person) {
  const { page, variant } = person;
  await page.fill("#instance_name", "Linden Street");
  await person.press("Continue");
  await person.at("/setup/owner", "Your account");
  await page.fill("#username", "ana");
  await page.fill("#display_name", "Ana Sol");
  await page.fill("#email", "ana@home.example");
  if (variant.home) {
    await page.fill("#password", "passwordpassword");
    await person.press("Create account");
    await page.locator("#password-error").waitFor();
    await person.look("/setup/owner refused");
    assert.equal(await page.inputValue("#username"), "ana", "what was typed stays");
  }
  await page.fill("#password", person.password);
  await person.press("Create account");
  await person.at("/setup/address", "Where Doorward lives");
}

/** Reload, another tab and, where no form was refused before, the back button lead to where the wizard is. */
async function wander(person, path, heading, back = false) {
  const { page } = person;
  await page.reload();
  await person.at(path, heading);
  const tab = await page.context().newPage();
  await tab.goto(`${person.server.origin}/setup`);
  assert.equal(new URL(tab.url()).pathname, path);
  await tab.close();
  if (back) {
    await page.goBack();
    await person.at(path, heading);
  }
  await person.goto("/setup");
  await person.at(path, heading);
}

function wandersAtTheAddress(person) {
  return wander(person, "/setup/address", "Where Doorward lives", !person.variant.home);
}

async function choosesTheAddress(person) {
  const { page, server, variant } = person;
  assert.equal(await page.inputValue("#origin"), server.origin);
  await page.fill("#origin", "not an address");
  await page.locator("#address-form").evaluate((form) => (form.noValidate = true));
  await person.press("Continue");
  await page.locator("#origin-error").waitFor();
  await person.look("/setup/address refused");
  await page.fill("#origin", variant.home ? `http://auth.home.localhost:${server.port}` : server.origin);
  if (variant.home) await page.fill("#cookie_domain", "home.localhost");
  await person.press(await page.locator("#check").textContent());
  await page.getByRole("heading", { name: "Checks" }).waitFor();
  // The script tries the other address by itself, and the page comes again with what was seen.
  if (variant.home && variant.scripts) await page.locator("#continue-at").waitFor();
  await person.look("/setup/address checked");
  await person.press("Continue");
  await person.at("/setup/second-factor", "Your second factor");
}

async function enrols(person) {
  const { page } = person;
  person.secret = await page.locator("#secret").textContent();
  assert.equal(person.secret.replaceAll(" ", "").length, 32);
  await person.enterCode("000000", "Confirm");
  await page.locator("#code-error").waitFor();
  await person.look("/setup/second-factor refused");
  await person.enterCode(await person.code(), "Confirm");
  await person.at("/setup/recovery-codes", "Keep these recovery codes");
  await wander(person, "/setup/recovery-codes", "Keep these recovery codes");
  person.codes = await page.locator("#codes code").allTextContents();
  assert.equal(new Set(person.codes).size, 10);
  const wanted = Number(/number (\d+)/.exec(await page.locator("label[for=typed]").textContent())[1]);
  await page.check("#saved");
  await page.fill("#typed", person.codes[wanted % 10]);
  await person.press("Continue");
  await page.locator("#typed-error").waitFor();
  await person.look("/setup/recovery-codes refused");
  assert.deepEqual(await page.locator("#codes code").allTextContents(), person.codes);
  if (!(await page.isChecked("#saved"))) await page.check("#saved");
  await page.fill("#typed", person.codes[wanted - 1].toUpperCase());
  await person.press("Continue");
  await person.at("/setup/protect", "Your first app");
}

async function protectsAnApp(person) {
  const { page, variant } = person;
  if (!variant.home) {
    await person.press("Do this later");
    return;
  }
  await page.fill("#app_host", "photos.home.localhost");
  await page.check("#who-owner");
  await person.press("Show me the lines to paste");
  await page.getByRole("heading", { name: "Lines for your proxy" }).waitFor();
  assert.match(await page.locator("#main").textContent(), /auth_request /);
  assert.ok(await page.isChecked("#who-owner"));
  await person.look("/setup/protect saved");
  await person.press("Test it now");
  await page.locator("#test-result").waitFor();
  await person.look("/setup/protect tested");
  await page.click("#finish");
}

async function finishes(person) {
  const { page, server, variant } = person;
  await person.at("/setup/done", "All set");
  await page.reload();
  await person.at("/setup/done", "All set");
  if (variant.home) server.origin = `http://auth.home.localhost:${server.port}`;
  await page.click("#open");
  // At another address the browser is another visitor, who signs in.
  if (variant.home) {
    await person.at("/signin", "Sign in");
    await person.enterPassword("ana", person.password);
    await person.at("/signin/second-factor", "Enter your code");
    await person.enterCode(await person.code(), "Continue");
  }
  await person.at("/", "Hello, Ana Sol");
  assert.equal(new URL(page.url()).origin, server.origin);
  for (const path of ["/setup", "/setup/owner", "/setup/protect"]) {
    assert.equal((await person.goto(path)).status(), 404, path);
  }
  await person.look("/setup gone");
}

async function looksAfterTheAccount(person) {
  const { page } = person;
  await person.goto("/");
  await page.getByRole("link", { name: "Account" }).first().click();
  await person.at("/account", "Profile");
  await page.fill("#display_name", "Ana Solé");
  await page.fill("#email", "ana@home.example");
  await person.press("Save");
  await person.at("/account?done=saved", "Profile");
  await page.getByText("Saved.").waitFor();
  await page.getByRole("link", { name: "Security", exact: true }).first().click();
  await person.at("/account/security", "Security");
  await page.fill("#current_password", "wrong password here");
  await page.fill("#new_password", "copper lantern drifts slowly");
  await person.press("Change password");
  await page.locator("#current_password-error").waitFor();
  await person.look("/account/security refused");
  await page.fill("#current_password", person.password);
  person.password = "copper lantern drifts slowly";
  await page.fill("#new_password", person.password);
  await person.press("Change password");
  await person.at("/account/security?done=password", "Security");
  await page.getByRole("link", { name: "Sessions", exact: true }).first().click();
  await person.at("/account/sessions", "Sessions");
  assert.equal(await page.getByText("This device").count(), 1);
  await page.getByRole("link", { name: "Activity", exact: true }).first().click();
  await person.at("/account/activity", "Activity");
}

/** Nothing but keys: the cursor waits in the first field; Tab goes on and Enter sends. */
async function signInByKeyboard(person) {
  const { page } = person;
  const { keyboard } = page;
  await person.goto("/account");
  await page.locator("#username:focus").waitFor();
  await keyboard.type("ana");
  await keyboard.press("Tab");
  await keyboard.type(person.password);
  await keyboard.press("Enter");
  await person.at("/signin/second-factor", "Enter your code");
  await page.locator("#code:focus").waitFor();
  const code = await person.code();
  await keyboard.type(code);
  if (!person.variant.scripts) await keyboard.press("Enter");
}

async function administers(person) {
  for (const [path, heading] of [["/admin/people", /^People/], ["/admin/people/new", /./], ["/admin/rules", /^Access rules/], ["/admin/audit", /^Audit/]]) {
    await person.goto(path);
    await person.at(path, heading);
  }
}

async function signsInAgainByKeysAlone(person) {
  const { page } = person;
  await person.goto("/");
  await person.signOut();
  await person.goto("/account");
  await page.waitForURL("**/signin?rd=*");
  await person.look("/signin");
  const refusals = [];
  for (const name of ["ana", "nobody"]) {
    await person.enterPassword(name, "wrong password here");
    refusals.push(await page.locator("#problem").textContent());
    assert.equal(await page.inputValue("#username"), name);
  }
  assert.deepEqual(refusals, Array(2).fill("That username and password do not match."));
  await person.look("/signin refused");
  await signInByKeyboard(person);
  // The page that was asked for first.
  await person.at("/account", "Profile");
}

async function signsInByRecoveryCode(person) {
  const { page } = person;
  await person.signOut();
  await page.click("#again");
  await person.at("/signin", "Sign in");
  await person.enterPassword("ana", person.password);
  await person.at("/signin/second-factor", "Enter your code");
  await page.click("#use-recovery");
  await person.at("/signin/recovery", "Use a recovery code");
  await page.fill("#recovery_code", "aaaa-bbbb-cccc");
  await person.press("Continue");
  await page.locator("#problem").waitFor();
  await person.look("/signin/recovery refused");
  await page.fill("#recovery_code", person.codes[7]);
  await person.press("Continue");
  await person.at("/", /^Hello, Ana/);
  await person.goto("/account/security");
  await page.getByText("9 of 10 left").waitFor();
}

const STEPS = [claims, namesAndOwns, wandersAtTheAddress, choosesTheAddress, enrols, protectsAnApp, finishes, looksAfterTheAccount, signsInAgainByKeysAlone, administers, signsInByRecoveryCode];

for (const variant of FOUR) {
  // Once in a wide and once in a narrow window, everything that can be done is done.
  variant.home = variant.width === 1280 ? variant.scripts : !variant.scripts;
  test(`a new owner sets up Doorward and signs in, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const server = await house(t, { host: "localhost" });
    const person = await sit(t, variant, server);
    person.password = PASSWORD;
    await person.walk(t, STEPS);
  });
}
