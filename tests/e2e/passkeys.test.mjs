// Passkeys in a real Chromium with a virtual authenticator: add one, sign in without a name, by the suggestions of the
// name field, as a second factor, as a proof before a change; rename and remove it; and where browsers refuse them.
import assert from "node:assert/strict";
import test from "node:test";
import { plug } from "./browser.mjs";
import { TWO, stage } from "./person.mjs";

const [WIDE, PLAIN] = TWO;
const { owner } = stage();

/** Forgets who was signed in, and asks to sign in. */
async function begin(person) {
  await person.page.context().clearCookies();
  await person.goto("/signin");
}

function isSignedIn(person) {
  return person.page.waitForURL(`${person.server.origin}/`);
}

async function registersAPasskey(person) {
  const { page, key } = person;
  await person.signInTo("/account/security");
  await page.click("#passkey-add");
  await page.waitForURL("**/account/passkeys");
  await person.look("add a passkey");
  await page.fill("#name", "Laptop");
  await page.click("#passkey");
  await page.waitForURL("**/account/security?done=passkey-added");
  await page.getByText("Laptop").first().waitFor();
  await person.look("list of passkeys");
  assert.equal((await key.credentials()).length, 1);
}

/** The browser itself refuses it already. */
async function getsNoSecondOneOnTheSameDevice(person) {
  const { page } = person;
  await page.click("#passkey-add");
  await page.click("#passkey");
  await page.getByText("This device has a passkey already.").waitFor();
}

async function signsInWithoutAName(person) {
  const { page } = person;
  await begin(person);
  await person.look("sign in");
  assert.equal(await page.inputValue("#username"), "");
  await page.click("#passkey");
  await isSignedIn(person);
}

async function signsInBySuggestion(person) {
  person.key.suggests(true);
  await begin(person);
  await isSignedIn(person);
  person.key.suggests(false);
}

/** The page offers the code as well. */
async function signsInBehindThePassword(person) {
  const { page } = person;
  await begin(person);
  await person.enterPassword();
  await page.waitForURL("**/signin/second-factor");
  assert.ok(await page.isVisible("#code"));
  await person.look("second factor");
  await page.click("#passkey");
  await isSignedIn(person);
}

async function provesItBeforeAChange(person) {
  const { page } = person;
  await person.goto("/step-up?next=/account/security");
  await person.look("step up");
  await page.click("#passkey");
  await page.waitForURL("**/account/security");
}

async function renamesAndRemovesIt(person) {
  const { page } = person;
  await page.getByText("Rename").click();
  await page.getByLabel("New name").fill("Old laptop");
  await page.getByText("Save the name").click();
  await page.getByText("Old laptop").first().waitFor();
  await person.confirm(page.getByLabel("Remove the passkey Old laptop"));
  await page.waitForURL("**/account/security?done=passkey-removed");
}

/** The sentence is the one for every refusal. */
async function opensNothingWithWhatWasRemoved(person) {
  const { page } = person;
  await begin(person);
  await page.click("#passkey");
  await page.getByText("That passkey was not accepted.").waitFor();
}

test("a passkey from the first to the last day", { timeout: 120_000 }, async (t) => {
  const person = await owner(t, WIDE);
  person.key = await plug(person.page);
  await person.walk(t, [
    registersAPasskey, getsNoSecondOneOnTheSameDevice, signsInWithoutAName, signsInBySuggestion, signsInBehindThePassword,
    provesItBeforeAChange, renamesAndRemovesIt, opensNothingWithWhatWasRemoved,
  ]);
});

test("where browsers refuse passkeys, the pages say so and offer none", { timeout: 60_000 }, async (t) => {
  const person = await owner(t, WIDE, {}, { host: "127.0.0.1" });
  const { page } = person;
  await person.signInTo("/account/security");
  await page.getByText("Passkeys need a name").waitFor();
  assert.equal(await page.locator("#passkey-add").count(), 0);
  await person.goto("/account/passkeys");
  await page.getByText("Passkeys need a name").waitFor();
  assert.equal(await page.locator("#passkey").count(), 0);
  person.settle();
});

test("without scripts there is no button, and a sentence why", { timeout: 60_000 }, async (t) => {
  const person = await owner(t, PLAIN);
  const { page } = person;
  await person.signInTo("/account/passkeys");
  await page.getByText("Adding one takes JavaScript").waitFor();
  assert.equal(await page.isVisible("#passkey"), false);
  person.settle();
});

// Who administers must have a second factor; a passkey will do, set up on the way in.
test("a passkey set up by the first sign-in of an administrator", { timeout: 120_000 }, async (t) => {
  const person = await owner(t, WIDE);
  const { page, server } = person;
  Object.assign(person, { username: "bea", password: "walnut harbor eleven comet" });
  server.command(["user", "add", "bea", "--name", "Bea Holm", "--role", "admin", "--password-stdin"], `${person.password}\n`);
  const key = await plug(page);
  await person.goto("/signin");
  await person.enterPassword();
  await page.waitForURL("**/signin/enrol");
  await person.look("/signin/enrol");
  await page.getByText("Or with an authenticator app").waitFor();
  await page.click("#passkey");
  await page.getByRole("heading", { name: "Keep these recovery codes" }).waitFor();
  assert.equal((await key.credentials()).length, 1);
  await person.goto("/account/security");
  await page.getByText("Chrome on Linux").first().waitFor();
  // From now on it signs in by itself.
  key.suggests(true);
  await begin(person);
  await isSignedIn(person);
  person.settle();
});
