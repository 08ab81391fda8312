// The wizard behind a real nginx, from the printed code to the first protected app: with a passkey and nothing but keys,
// and with an authenticator app and no scripts. And a backup that takes the place of an empty Doorward.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import test from "node:test";
import { plug } from "./browser.mjs";
import { go, tabTo, type } from "./keyboard.mjs";
import { findNginx, startApp, startNginx } from "./nginx.mjs";
import { OWNER, PASSWORD, TWO, stage } from "./person.mjs";

const DOMAIN = "home.example";
const [PORTAL, PHOTOS] = [`auth.${DOMAIN}`, `photos.${DOMAIN}`];
const nginxProgram = findNginx();
const skip = nginxProgram ? false : "nginx is not installed";

// Names of the house lead to this machine.
const set = stage(`--host-resolver-rules=MAP *.${DOMAIN} 127.0.0.1`);

/** The site of the portal, as the files that Doorward prints have it. */
function portalFiles(server, nginx) {
  const words = ["proxy-snippet", "nginx", "--json", "--host", PHOTOS, "--app", "http://127.0.0.1:3000"];
  const printed = server.command([...words, "--portal", `https://${PORTAL}:${nginx.port}`, "--doorward", `http://127.0.0.1:${server.port}`]);
  return JSON.parse(printed).filter(({ path }) => path.includes(PORTAL)).map(({ text }) => [`${PORTAL}.conf`, text]);
}

/** What somebody would paste from the page. */
async function pastedFiles(page) {
  const files = [];
  for (const details of await page.locator("#main details:has(pre[id^=snippet])").all()) {
    const title = await details.locator("summary").textContent();
    files.push([title.split(": ")[1], await details.locator("pre").textContent()]);
  }
  return files;
}

async function asked(page) {
  return Number(/number (\d+)/.exec(await page.locator("label[for=typed]").textContent())[1]);
}

/** The states of the live test by label. */
async function tested(page) {
  const found = {};
  for (const item of await page.locator("#test-result ~ .checks > li").all()) {
    found[await item.locator("strong").textContent()] = await item.locator(".badge").textContent();
  }
  return found;
}

async function strangerIsSentToSignIn(nginx) {
  const stranger = await set.browser.newContext({ ignoreHTTPSErrors: true });
  const page = await stranger.newPage();
  await page.goto(`https://${PHOTOS}:${nginx.port}/album?year=2026`);
  const url = new URL(page.url());
  assert.equal(url.host, `${PORTAL}:${nginx.port}`);
  assert.ok((await page.locator("main").textContent()).includes(PHOTOS), "the page says where it leads");
  await stranger.close();
}

async function setUp(t, settings, variant) {
  const nginx = await startNginx(nginxProgram, DOMAIN);
  t.after(() => nginx.stop());
  const app = await startApp();
  t.after(() => app.stop());
  const server = await set.house(t, { host: "localhost", settings: { ...settings(nginx), "outgoing.ca_file": nginx.certificate } });
  await nginx.serve(portalFiles(server, nginx), app.port);
  const person = await set.sit(t, { ...variant, axe: true }, server, { ignoreHTTPSErrors: true });
  return { nginx, app, server, person };
}

test("with a passkey, by keys alone, to a protected app", { skip, timeout: 240_000 }, async (t) => {
  const settings = (nginx) => ({ "server.public_origin": `https://${PORTAL}:${nginx.port}`, "server.trusted_proxies": "127.0.0.1" });
  const { nginx, app, server, person } = await setUp(t, settings, { width: 1280, scripts: true, colorScheme: "light" });
  const { page } = person;
  const [, token] = server.link.split("#");
  server.origin = `https://${PORTAL}:${nginx.port}`;
  await plug(page);

  await person.walk(t, [
    async function claims() {
      await page.goto(`${server.origin}/setup`);
      await person.at("/setup", "Set up Doorward");
      await tabTo(page, "#where-docker > summary");
      await page.keyboard.press("Enter");
      await page.getByText("docker logs doorward").waitFor();
      await type(page, "#token", token);
      await go(page, "#claim");
      await person.at("/setup/welcome", "Welcome");
    },
    async function speaksGerman() {
      await tabTo(page, "#language");
      await page.keyboard.type("Deutsch");
      await type(page, "#instance_name", "Lindenstraße");
      await go(page, "form[action='/setup/welcome'] .primary");
      await person.at("/setup/owner", "Ihr Konto");
      await page.goto(`${server.origin}/setup/welcome`);
      await tabTo(page, "#language");
      await page.keyboard.type("English");
      await go(page, "form[action='/setup/welcome'] .primary");
      await person.at("/setup/owner", "Your account");
    },
    async function owns() {
      await type(page, "#username", "ana");
      await type(page, "#display_name", "Ana Sol");
      await tabTo(page, "[data-show=password]");
      await page.keyboard.press("Space");
      assert.equal(await page.getAttribute("#password", "type"), "text");
            await type(page, "#password", PASSWORD);
      await go(page, "#main form .primary");
      await person.at("/setup/address", "Where Doorward lives");
    },
    async function choosesTheAddress() {
      await type(page, "#cookie_domain", DOMAIN);
      await go(page, "#check");
      await page.locator("#checks").waitFor();
      await person.look("/setup/address behind nginx");
      const text = await page.locator("#checks + .checks").textContent();
      for (const part of ["People reach Doorward over an encrypted connection.", "The proxy keeps the name", "through the proxy at 127.0.0.1", "The clocks of your browser"]) {
        assert.ok(text.includes(part), `${part} in ${text}`);
      }
      await go(page, "#save");
      await person.at("/setup/second-factor", "Your second factor");
    },
    async function addsAPasskey() {
      await type(page, "#name", "Blue key");
      await tabTo(page, "#passkey");
      await Promise.all([page.waitForURL("**/setup/recovery-codes"), page.keyboard.press("Enter")]);
      await person.at("/setup/recovery-codes", "Keep these recovery codes");
      const codes = await page.locator("#codes code").allTextContents();
      await tabTo(page, "#saved");
      await page.keyboard.press("Space");
      await type(page, "#typed", codes[(await asked(page)) - 1]);
      await go(page, "#main form .primary");
      await person.at("/setup/protect", "Your first app");
    },
    async function protectsAnApp() {
      await type(page, "#app_host", PHOTOS);
      await go(page, "#save");
      await page.locator("#lines").waitFor();
      await nginx.serve(await pastedFiles(page), app.port);
      await go(page, "#test");
      await page.locator("#test-result").waitFor();
      await person.look("/setup/protect before any question");
    },
    async function seesTheTestTurnGreen() {
      await strangerIsSentToSignIn(nginx);
      const photos = await page.context().newPage();
      await photos.goto(`https://${PHOTOS}:${nginx.port}/`);
      await photos.getByRole("heading", { name: "Photos of ana" }).waitFor();
      await photos.close();
      // The page looks again by itself.
      await page.waitForFunction(() => document.querySelectorAll("#test-result ~ .checks .badge.ok").length >= 4, null, { timeout: 20_000 });
      const found = await tested(page);
      for (const label of ["The proxy asks Doorward", "The proxy says who asks, and for what", "Strangers are sent to the sign-in page", "You get in"]) {
        assert.equal(found[label], "Pass", JSON.stringify(found));
      }
      await person.look("/setup/protect all green");
    },
    async function doorwardPlaysTheApp() {
      await go(page, "#echo a");
      await page.locator("#lines").waitFor();
      await nginx.serve(await pastedFiles(page), app.port);
      const other = await page.context().newPage();
      await other.goto(`https://${PHOTOS}:${nginx.port}/`);
      await other.getByRole("heading", { name: "The test page" }).waitFor();
      assert.match(await other.locator("#told").textContent(), /ana.*Ana Sol/s);
      await other.locator("#forged-no").waitFor();
      await other.close();
      await go(page, "#test");
      await page.locator("#test-result").waitFor();
      const found = await tested(page);
      for (const label of ["Made-up names are not believed", "The app learns who is there"]) {
        assert.equal(found[label], "Pass", JSON.stringify(found));
      }
      await person.look("/setup/protect with the test page");
    },
    async function finishes() {
      await go(page, "#finish");
      await person.at("/setup/done", "All set");
      assert.ok((await page.locator("#open-steps").textContent()).includes("First backup"));
      await go(page, "#open-backup");
      await person.at("/admin/backup", "Take a backup");
      await tabTo(page, "#take-backup");
      const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
      assert.match(download.suggestedFilename(), /^doorward-\d{4}-\d\d-\d\d\.doorward-export$/);
      const text = await readFile(await download.path(), "utf8");
      assert.match(text, /^\{"format":"doorward-export"/);
      assert.ok(!text.includes(PASSWORD));
      assert.equal((await person.goto("/setup")).status(), 404);
    },
  ]);
});

test("with an authenticator app, without scripts, to a protected app", { skip, timeout: 240_000 }, async (t) => {
  const { nginx, app, server, person } = await setUp(t, () => ({}), { width: 360, scripts: false, colorScheme: "dark" });
  const { page } = person;
  const [link, token] = server.link.split("#");

  await person.walk(t, [
    async function claimsAndOwns() {
      await page.goto(link);
      await page.fill("#token", token);
      await person.press("Continue");
      await page.fill("#instance_name", "Linden Street");
      await person.press("Continue");
      await page.fill("#username", "ana");
      await page.fill("#display_name", "Ana Sol");
      await page.fill("#password", PASSWORD);
      await person.press("Create account");
      await person.at("/setup/address", "Where Doorward lives");
    },
    async function triesTheAddress() {
      await page.fill("#origin", `https://${PORTAL}:${nginx.port}`);
      await page.fill("#cookie_domain", DOMAIN);
      await person.press("Check now");
      const tab = await page.context().newPage();
      await tab.goto(await page.locator("#probe a").getAttribute("href"));
      await tab.getByRole("heading", { name: "It arrived" }).waitFor();
      await tab.close();
      await person.press("Check again");
      // nginx is not trusted yet, so nobody knows that this was HTTPS; the page asks whose proxy it is.
      await page.locator("#proxy-question").waitFor();
      await person.look("/setup/address asks whose proxy it is");
      await person.press("Yes, trust it");
      await page.fill("#origin", `https://${PORTAL}:${nginx.port}`);
      await page.fill("#cookie_domain", DOMAIN);
      await person.press("Check now");
      const again = await page.context().newPage();
      await again.goto(await page.locator("#probe a").getAttribute("href"));
      await again.close();
      await person.press("Check again");
      await page.locator("#continue-at").waitFor();
      await person.look("/setup/address works at the new address");
      await person.press("Continue");
      await person.at("/setup/second-factor", "Your second factor");
    },
    async function enrol() {
      assert.equal(await page.locator("#passkey").count(), 0, "a passkey belongs to another address");
      await page.locator("#no-passkey").waitFor();
      person.secret = await page.locator("#secret").textContent();
      await person.enterCode(await person.code(), "Confirm");
      await person.at("/setup/recovery-codes", "Keep these recovery codes");
      const codes = await page.locator("#codes code").allTextContents();
      await page.check("#saved");
      await page.fill("#typed", codes[(await asked(page)) - 1]);
      await person.press("Continue");
      await person.at("/setup/protect", "Your first app");
    },
    async function protectsAnApp() {
      await page.fill("#app_host", PHOTOS);
      await person.press("Show me the lines to paste");
      await nginx.serve(await pastedFiles(page), app.port);
      await strangerIsSentToSignIn(nginx);
      await person.press("Test it now");
      const found = await tested(page);
      assert.equal(found["The proxy asks Doorward"], "Pass", JSON.stringify(found));
      assert.equal(found["Strangers are sent to the sign-in page"], "Pass", JSON.stringify(found));
      await person.look("/setup/protect tested without scripts");
      await page.click("#finish");
      await person.at("/setup/done", "All set");
      await page.locator("#hide-open").click();
      await person.at("/setup/done", "All set", "/setup/done hidden");
      assert.equal(await page.locator("#open-steps").count(), 0);
    },
    async function opensTheApp() {
      await page.goto(`https://${PHOTOS}:${nginx.port}/`);
      await person.enterPassword("ana", PASSWORD);
      await page.fill("#code", await person.code());
      await person.press("Continue");
      await page.getByRole("heading", { name: "Photos of ana" }).waitFor();
    },
    async function asksTheDoctor() {
      await page.goto(`https://${PORTAL}:${nginx.port}/admin/doctor`);
      await page.fill("#host", PHOTOS);
      await person.send(page.locator("#look"));
      await page.locator(".checks > li").first().waitFor();
    },
  ]);
});

for (const variant of TWO) {
  test(`a backup takes the place of an empty Doorward, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const old = await set.house(t, { host: "localhost", owner: OWNER });
    await old.pause();
    const backup = old.command(["store", "export", "-"]);
    const server = await set.house(t, { host: "localhost" });
    const [file, key] = [`${server.directory}.export`, `${old.directory}/master.key`];
    await writeFile(file, backup);
    const person = await set.sit(t, variant, server);
    const { page } = person;

    await person.walk(t, [
      async function claims() {
        await page.goto(server.link);
        await page.fill("#token", server.link.split("#")[1]);
        await person.press("Continue");
        await person.at("/setup/welcome", "Welcome");
      },
      async function isRefused() {
        await page.getByText("Restore a backup instead").click();
        await page.setInputFiles("#backup", { name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("GIF89a") });
        await person.press("Restore this backup");
        await page.locator("#backup-error").waitFor();
        await person.look("/setup/restore refused");
        await page.setInputFiles("#backup", file);
        await person.press("Restore this backup");
        assert.ok((await page.locator("#key-error").textContent()).includes("another master key"));
      },
      async function restores() {
        await page.setInputFiles("#backup", file);
        await page.setInputFiles("#key", key);
        await person.press("Restore this backup");
        await page.getByRole("heading", { name: "The backup is being restored" }).waitFor();
        await person.look("/setup/restoring");
        // It looks again by itself. The address of the backup is another one, and the page says so.
        await page.waitForFunction(() => !document.title.startsWith("The backup"), null, { timeout: 30_000 });
      },
      async function isOver() {
        server.log = "";
        const origin = `http://localhost:${server.port}`;
        const answer = await page.request.get(`${origin}/setup`, { maxRedirects: 0 });
        assert.ok([404, 421].includes(answer.status()), String(answer.status()));
      },
    ]);
  });
}
