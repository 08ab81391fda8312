// Passkeys in a real Chromium with a virtual authenticator: add one, sign in without a name, by the suggestions of the
// name field, as a second factor, as a proof before a change; rename and remove it; and where browsers refuse them.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { axeInBoth, check, launch, open, totp } from "./browser.mjs";
import { build, start } from "./server.mjs";

const OWNER = { username: "ana", name: "Ana Lindqvist", password: "violet kettle orbit meadow" };
let browser;
let program;

before(async () => {
  program = build();
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

/** Plugs a virtual authenticator into a page. */
async function plug(page, { verifies = true } = {}) {
  const client = await page.context().newCDPSession(page);
  await client.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: verifies, automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await client.send("WebAuthn.addVirtualAuthenticator", { options });
  return {
    credentials: async () => (await client.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    presence: (enabled) => client.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled }),
    verifies: (isUserVerified) => client.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
  };
}

async function signInWithCode(page, server) {
  await page.goto(`${server.origin}/signin`);
  await page.fill("#username", OWNER.username);
  await page.fill("#password", OWNER.password);
  await page.click("#sign-in-submit");
  await page.fill("#code", totp(server.owner.totp_secret));
  if (!page.scripts) await page.click("#second-factor-submit");
  await page.waitForURL(`${server.origin}/`);
}

const signOut = async (page, server) => {
  await page.context().clearCookies();
  await page.goto(`${server.origin}/signin`);
};

test("a passkey from the first to the last day", async () => {
  const server = await start(program, { owner: OWNER });
  const page = await open(browser, { viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
  page.setDefaultTimeout(15_000);
  const findings = [];
  const look = async (name) => findings.push(...(await axeInBoth(page, "light")).map((line) => `${name} ${line}`));
  try {
    const key = await plug(page);
    await key.presence(false);
    await signInWithCode(page, server);
    await page.goto(`${server.origin}/account/security`);
    await page.click("#passkey-add");
    await page.waitForURL("**/account/passkeys");
    await look("add");
    await page.fill("#name", "Laptop");
    await key.presence(true);
    await page.click("#passkey");
    await page.waitForURL("**/account/security?done=passkey-added");
    await page.getByText("Laptop").first().waitFor();
    await look("list");
    assert.equal((await key.credentials()).length, 1);

    // A second one on the same device is refused by the browser already.
    await page.click("#passkey-add");
    await page.click("#passkey");
    await page.getByText("This device has a passkey already.").waitFor();

    // Without a name, by the button. Nobody is there at first, so that the suggestions do not sign in by themselves.
    await key.presence(false);
    await signOut(page, server);
    await look("sign in");
    await key.presence(true);
    await page.click("#passkey");
    await page.waitForURL(`${server.origin}/`);

    // Without a button, by the suggestions.
    await signOut(page, server);
    await page.waitForURL(`${server.origin}/`);

    // Behind the password; the page offers the code as well.
    await key.presence(false);
    await signOut(page, server);
    await page.fill("#username", OWNER.username);
    await page.fill("#password", OWNER.password);
    await page.click("#sign-in-submit");
    await page.waitForURL("**/signin/second-factor");
    assert.ok(await page.isVisible("#code"));
    await look("second factor");
    await key.presence(true);
    await page.click("#passkey");
    await page.waitForURL(`${server.origin}/`);

    // Before a change.
    await page.goto(`${server.origin}/step-up?next=/account/security`);
    await look("step up");
    await page.click("#passkey");
    await page.waitForURL("**/account/security");

    await page.getByText("Rename").click();
    await page.getByLabel("New name").fill("Old laptop");
    await page.getByText("Save the name").click();
    await page.getByText("Old laptop").first().waitFor();
    await page.getByLabel("Remove the passkey Old laptop").click();
    await page.click("#confirm-yes");
    await page.waitForURL("**/account/security?done=passkey-removed");

    // What was removed opens nothing; the sentence is the one for every refusal.
    await key.presence(false);
    await signOut(page, server);
    await key.presence(true);
    await page.click("#passkey");
    await page.getByText("That passkey was not accepted.").waitFor();
    assert.deepEqual(findings, []);
    check(page);
  } finally {
    await page.context().close();
    await server.stop();
  }
});

test("where browsers refuse passkeys, the pages say so and offer none", async () => {
  const server = await start(program, { host: "127.0.0.1", owner: OWNER });
  const page = await open(browser);
  page.setDefaultTimeout(15_000);
  try {
    await signInWithCode(page, server);
    await page.goto(`${server.origin}/account/security`);
    await page.getByText("Passkeys need a name").waitFor();
    assert.equal(await page.locator("#passkey-add").count(), 0);
    await page.goto(`${server.origin}/account/passkeys`);
    await page.getByText("Passkeys need a name").waitFor();
    assert.equal(await page.locator("#passkey").count(), 0);
    check(page);
  } finally {
    await page.context().close();
    await server.stop();
  }
});

test("without scripts there is no button, and a sentence why", async () => {
  const server = await start(program, { owner: OWNER });
  const page = await open(browser, { javaScriptEnabled: false });
  page.setDefaultTimeout(15_000);
  try {
    await signInWithCode(page, server);
    await page.goto(`${server.origin}/account/passkeys`);
    await page.getByText("Adding one takes JavaScript").waitFor();
    assert.equal(await page.isVisible("#passkey"), false);
    check(page);
  } finally {
    await page.context().close();
    await server.stop();
  }
});

// Who administers must have a second factor; a passkey will do, set up on the way in.
test("a passkey set up by the first sign-in of an administrator", async () => {
  const server = await start(program, { owner: OWNER });
  const page = await open(browser, { viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
  page.setDefaultTimeout(15_000);
  const findings = [];
  try {
    server.command(["user", "add", "bea", "--name", "Bea Holm", "--role", "admin", "--password-stdin"], "walnut harbor eleven comet\n");
    const key = await plug(page);
    await page.goto(`${server.origin}/signin`);
    await page.fill("#username", "bea");
    await page.fill("#password", "walnut harbor eleven comet");
    await page.click("#sign-in-submit");
    await page.waitForURL("**/signin/enrol");
    findings.push(...(await axeInBoth(page, "light")));
    await page.getByText("Or with an authenticator app").waitFor();
    await page.click("#passkey");
    await page.getByRole("heading", { name: "Keep these recovery codes" }).waitFor();
    assert.equal((await key.credentials()).length, 1);
    await page.goto(`${server.origin}/account/security`);
    await page.getByText("Chrome on Linux").first().waitFor();
    // From now on it signs in by itself.
    await key.presence(false);
    await signOut(page, server);
    await key.presence(true);
    await page.click("#passkey");
    await page.waitForURL(`${server.origin}/`);
    check(page);
    assert.deepEqual(findings, []);
  } finally {
    await page.context().close();
    await server.stop();
  }
});
