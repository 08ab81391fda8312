// An owner adds an app from a preset and pastes what the page says into a real OpenID Connect client; somebody else signs in
// to it. The owner tries the sign-in step by step, looks at what the app learns, renews its secret, narrows who may use it,
// and removes it. Then an app behind a reverse proxy: its rule, what a draft changes, and who gets in. With scripts and
// without.
import assert from "node:assert/strict";
import test from "node:test";
import { startApp } from "../clients/app.mjs";
import { TWO, stage } from "./person.mjs";

const GUEST = "quiet harbor lantern seven";
const CALLBACK = "/oauth2/oidc/callback";
const { owner, sit } = stage();

async function signsIn(person) {
  await person.signInTo("/admin/apps");
  await person.at("/admin/apps", "Apps");
  await person.page.getByText("No apps yet").waitFor();
}

async function choosesAPreset(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Add an app" }).click();
  await person.at("/admin/apps/new", "Add an app");
  const shown = () => page.locator("#presets > li:visible").count();
  assert.ok((await shown()) > 20);
  const look = async (q) => {
    await page.fill("#q", q);
    if (!person.variant.scripts) await person.press("Search");
  };
  await look("no such thing");
  await page.locator("#presets-none").waitFor({ state: "visible" });
  await person.look("/admin/apps/new nothing");
  await look("minif");
  await page.locator("#presets > li:not([hidden])").nth(1).waitFor({ state: "detached" });
  await person.look("/admin/apps/new found");
  await page.getByRole("link", { name: "Miniflux" }).click();
  await person.at("/admin/apps/new/miniflux", "Add Miniflux");
}

/** What the page says to paste, by the label of the app. */
async function pasted(page) {
  const rows = await page.locator("#paste .pastes > div").all();
  const values = {};
  for (const row of rows) values[(await row.locator("dt").innerText()).trim()] = (await row.locator("pre, .hint").first().innerText()).trim();
  return values;
}

async function addsTheApp(person) {
  const { page, app } = person;
  await page.fill("#url", `${app.origin}/`);
  await page.check("#who-some");
  await person.press("Add");
  await page.locator("#group-error").waitFor();
  await person.look("/admin/apps/new/miniflux refused");
  assert.equal(await page.inputValue("#url"), `${app.origin}/`, "what was typed stays");
  await page.check("#who-everyone");
  await person.press("Add");
  await page.locator("#added").waitFor();
  await person.look("/admin/apps/miniflux added");
  const values = await pasted(page);
  assert.deepEqual(await page.locator("#redirects li").allInnerTexts(), [`${app.origin}${CALLBACK}`]);
  person.secrets = [values.OAUTH2_CLIENT_SECRET];
  app.configure({
    issuer: values.OAUTH2_OIDC_DISCOVERY_ENDPOINT,
    client_id: values.OAUTH2_CLIENT_ID,
    client_secret: values.OAUTH2_CLIENT_SECRET,
    redirect_uri: values.OAUTH2_REDIRECT_URL,
    scope: "openid profile email",
  });
  await person.goto("/admin/apps/miniflux/values");
  await person.look("/admin/apps/miniflux/values");
  assert.ok(!(await page.content()).includes(person.secrets[0]), "shown once");
}

/** Opens the app as the guest; returns what it says. */
async function open(person) {
  const { page } = person.guest;
  await page.goto(`${person.app.origin}/`);
  if (page.url().includes("/signin")) await person.guest.enterPassword("ben", GUEST);
  return page.locator("h1").innerText();
}

async function somebodySignsInToIt(person) {
  assert.equal(await open(person), "Hello, Ben Okoro (ben)");
  await person.goto("/admin/apps");
  await person.page.locator("#apps").getByText("Last sign-in").waitFor();
  await person.look("/admin/apps one");
}

async function triesTheSignIn(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Miniflux" }).click();
  await page.getByRole("link", { name: "Test sign-in" }).click();
  await person.at("/admin/apps/miniflux/test", "Miniflux");
  await person.press("Test sign-in");
  await page.waitForURL("**/admin/apps/miniflux/test#result");
  await page.getByRole("heading", { name: "Every step went well" }).waitFor();
  await person.look("/admin/apps/miniflux/test done");
  assert.equal(await page.locator("#result .checks > li.ok").count(), 8);
  assert.equal(await page.locator("#result .checks > li").count(), 8);
  const text = await page.locator("#claims").innerText();
  assert.match(text, /preferred_username\s+ana/);
  assert.ok(!(await page.content()).includes("eyJ"), "no token is shown");
  await page.getByRole("link", { name: "What it learns" }).click();
  await person.at("/admin/apps/miniflux/claims", "Miniflux");
  await page.fill("#user", "ben");
  await person.press("Show");
  await page.locator("#claims").waitFor();
  await person.look("/admin/apps/miniflux/claims ben");
  assert.match(await page.locator("#claims").innerText(), /ben@home.example/);
}

async function renewsItsSecret(person) {
  const { page, app } = person;
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await person.at("/admin/apps/miniflux", "Miniflux");
  await person.send(page.locator("#new-secret"));
  await person.look("/admin/apps/miniflux secret");
  person.secrets.push((await page.locator("#client-secret").innerText()).trim());
  const greet = "Hello, Ben Okoro (ben)";
  assert.equal(await open(person), greet, "the old one is still good");
  app.configure({ client_secret: person.secrets[1] });
  assert.equal(await open(person), greet, "the new one is good at once");
  await person.goto("/admin/apps/miniflux");
  await person.send(page.locator("#drop-secret"));
  await page.getByText("The old secret is not good any more.").waitFor();
  app.configure({ client_secret: person.secrets[0] });
  assert.match(await open(person), /^No: /, "the old one is good no more");
  app.configure({ client_secret: person.secrets[1] });
  assert.equal(await open(person), greet);
}

async function narrowsWhoMayUseItAndRemovesIt(person) {
  const { page } = person;
  await page.check("#who-some");
  await page.getByLabel("printers").check();
  await person.send(page.locator("#save"));
  await page.getByText("Saved. It is in force now.").waitFor();
  assert.match(await open(person), /^Not for this account/);
  await page.getByLabel("family").check();
  await person.send(page.locator("#save"));
  assert.equal(await open(person), "Hello, Ben Okoro (ben)");
  await person.send(page.locator("#switch"));
  await page.getByText("Switched off. Its tokens are refused.").waitFor();
  await person.look("/admin/apps/miniflux off");
  assert.notEqual(await open(person), "Hello, Ben Okoro (ben)");
  await page.getByRole("link", { name: "Remove" }).click();
  await person.at("/admin/apps/miniflux/remove", "Miniflux");
  await person.press("Remove for good");
  await person.at("/admin/apps?done=removed", "Apps", "/admin/apps removed");
}

async function addsAnAppBehindAProxy(person) {
  const { page } = person;
  await person.goto("/admin/apps/new");
  await page.getByRole("link", { name: "An app behind a reverse proxy" }).click();
  await person.at("/admin/apps/new/reverse-proxy", "Add an app behind a reverse proxy");
  await page.fill("#name", "Photos");
  await page.fill("#url", "https://photos.elsewhere.example");
  await person.press("Add");
  await page.locator("#url-error").waitFor();
  await person.look("/admin/apps/new/reverse-proxy refused");
  await page.fill("#url", "https://photos.home.localhost");
  await page.check("#who-some");
  await page.getByLabel("family").check();
  await page.check("#level-one_factor");
  await person.press("Add");
  await person.at("/admin/apps/new/reverse-proxy?host=photos.home.localhost", "photos.home.localhost");
  await page.getByRole("link", { name: "Caddy" }).click();
  await page.locator("#lines summary").first().waitFor();
  await person.look("/admin/apps/new/reverse-proxy lines");
  await page.getByRole("link", { name: "Try who gets in" }).click();
  await page.locator("#verdict").waitFor();
  await page.fill("#user", "ben");
  await page.fill("#from", "192.168.1.5");
  await page.selectOption("#method", "POST");
  await person.press("Try");
  await page.getByText("Ben Okoro gets in, by rule 1.").waitFor();
  assert.equal(await page.locator("#rules > li.decided p").first().innerText(), "People in family may open photos.home.localhost with one factor.");
  await person.look("/admin/rules tried");
}

async function draftsARuleAndPutsItInForce(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Add a rule" }).click();
  await page.fill("#domains", "*.home.localhost");
  await page.check("#policy-deny");
  await person.press("Save rule");
  await person.at("/admin/rules?done=drafted", "Access rules");
  await person.send(page.getByRole("button", { name: "Move rule 2 up" }));
  await page.locator("#changes").waitFor();
  await person.look("/admin/rules changes");
  assert.match(await page.locator("#changes").innerText(), /New\s*Nobody may open \*\.home\.localhost\./);
  await page.fill("#address", "photos.home.localhost/");
  await page.fill("#user", "ben");
  await person.press("Try");
  await page.getByText("Ben Okoro is kept out, by rule 1.").waitFor();
  await page.getByText("Ben Okoro gets in, by rule 1.").waitFor();
  await person.press("Put in force");
  await person.at("/admin/rules?done=applied", "Access rules");
}

const STEPS = [signsIn, choosesAPreset, addsTheApp, somebodySignsInToIt, triesTheSignIn, renewsItsSecret, narrowsWhoMayUseItAndRemovesIt, addsAnAppBehindAProxy, draftsARuleAndPutsItInForce];

for (const variant of TWO) {
  test(`an owner adds apps and rules, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "protect.domain": "home.localhost" });
    const { server } = person;
    const add = (name, ...rest) => server.command(["user", "add", name, ...rest, "--password-stdin"], `${GUEST}\n`);
    add("ben", "--name", "Ben Okoro", "--email", "ben@home.example", "--group", "family");
    add("eve", "--name", "Eve", "--group", "printers");
    person.app = await startApp();
    t.after(() => person.app.stop());
    person.guest = await sit(t, variant, server);
    await person.walk(t, STEPS, person.guest);
  });
}
