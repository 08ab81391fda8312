// Every page with sample data under the real policy: axe, width, and what the scripts do. The pages are written by the
// example `render-views`, into the directory DOORWARD_PAGES (default: out/pages beside this file).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import test, { after, before } from "node:test";
import { axeInBoth, check, launch, open, serve, stay } from "./browser.mjs";

const directory = process.env.DOORWARD_PAGES ?? fileURLToPath(new URL("out/pages", import.meta.url));
let browser;
let site;

before(async () => {
  if (!process.env.DOORWARD_PAGES) {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    execFileSync("cargo", ["run", "--quiet", "--locked", "--example", "render-views", "--", directory], { cwd: root, stdio: "inherit" });
  }
  site = await serve(directory);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site?.server.close();
});

async function visit(path, options) {
  site.posts.length = 0;
  const page = await open(browser, options);
  await page.goto(`${site.origin}/${path}`);
  return page;
}

test("no page has an accessibility finding or is too wide, at 1280 or 360 px, in light or dark colors", { timeout: 1_200_000 }, async () => {
  const page = await open(browser, { reducedMotion: "reduce" });
  await stay(page);
  const findings = [];
  const files = (await readdir(directory)).filter((file) => file.endsWith(".html"));
  assert.ok(files.length > 200);
  for (const file of files) {
    await page.goto(`${site.origin}/${file}`);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      if (wide) findings.push(`${file} at ${width} px: wider than the window`);
      findings.push(...(await axeInBoth(page, width === 1280 ? "light" : "dark")).map((line) => `${file} at ${width} px ${line}`));
    }
  }
  assert.deepEqual(findings, []);
  check(page);
  await page.context().close();
});

test("the setup code moves from the fragment into the field and leaves the address bar", async () => {
  const page = await visit("setup-claim.html#7K3M-9QXA-VB2C-D4EF-GH5J-KM6N");
  assert.equal(await page.inputValue("#token"), "7K3M-9QXA-VB2C-D4EF-GH5J-KM6N");
  assert.equal(new URL(page.url()).hash, "");
  check(page);
});

test("six digits send themselves, once", async () => {
  const page = await visit("signin-second-factor.html");
  await page.fill("#code", "");
  await page.locator("#code").pressSequentially("123 456".replace(" ", ""));
  await page.waitForURL("**/signin/second-factor");
  assert.equal(site.posts.length, 1);
  assert.equal(site.posts[0].form.get("code"), "123456");
  assert.equal(site.posts[0].form.get("flow"), "abc");
  check(page);
});

test("the name of the pressed button is sent although the form guards against a second click", async () => {
  const page = await visit("setup-second-factor.html");
  await page.click("#skip");
  await page.waitForURL("**/setup/second-factor");
  assert.equal(site.posts[0].form.get("action"), "skip");
});

test("a password can be shown, judged and generated, and is hidden again when sent", async () => {
  const page = await visit("setup-owner.html");
  const status = page.locator("[data-strength-of=password] [role=status]");
  await page.fill("#password", "aaaaaaaaaaaaaaaaaaaa");
  assert.equal(await status.textContent(), "Very weak");
  await page.fill("#password", "short");
  assert.equal(await status.textContent(), "10 more to go");
  await page.fill("#password", "violet kettle orbit meadow");
  assert.equal(await status.textContent(), "Strong");
  await page.click("[data-generate=password]");
  assert.match(await page.inputValue("#password"), /^([a-z2-9]{4}-){4}[a-z2-9]{4}$/);
  assert.equal(await page.getAttribute("#password", "type"), "text");
  assert.equal(await status.textContent(), "Strong");
  await page.click("[data-show=password]");
  assert.equal(await page.getAttribute("#password", "type"), "password");
  check(page);
});

test("a destructive form asks first; Cancel sends nothing", async () => {
  const page = await visit("account-security.html");
  await page.click("#totp-remove");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal(site.posts.length, 0);
  await page.click("#totp-remove");
  await page.click("#confirm-yes");
  await page.waitForURL("**/account/totp/remove");
  assert.equal(site.posts.length, 1);
  check(page);
});

test("recovery codes can be copied and downloaded", async () => {
  const page = await visit("setup-recovery-codes.html", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.click("[data-copy=codes]");
  await page.getByText("Copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied.trim().split("\n").length, 10);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("[data-download]")]);
  assert.equal(download.suggestedFilename(), "doorward-recovery-codes.txt");
  check(page);
});

test("a pause counts down", async () => {
  const page = await visit("error-429.html");
  const clock = page.locator("#wait strong");
  assert.match(await clock.textContent(), /^(4:00|3:5\d)$/);
  check(page);
});

test("the colors button turns the page at once, gives way to the other one, and tells the server", async () => {
  for (const [colorScheme, name, theme, other] of [["light", "Dark colors", "dark", "Light colors"], ["dark", "Light colors", "light", "Dark colors"]]) {
    const page = await visit("signin.html", { colorScheme });
    assert.equal(await page.getByRole("button", { name: other }).count(), 0);
    const [request] = await Promise.all([page.waitForRequest("**/preferences"), page.getByRole("button", { name }).click()]);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
    assert.equal(new URLSearchParams(request.postData()).get("theme"), theme);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), other);
    check(page);
  }
});

test("without scripts the sign-in form works and no dead button is shown", async () => {
  const page = await visit("signin.html", { javaScriptEnabled: false });
  // The form, the language and the colors.
  assert.deepEqual(await page.getByRole("button").allTextContents(), ["Sign in", "Deutsch", "Dark colors"]);
  await page.fill("#username", "ana");
  await page.fill("#password", "violet kettle orbit meadow");
  await page.click("#sign-in-submit");
  await page.waitForURL("**/signin");
  assert.equal(site.posts[0].form.get("username"), "ana");
  assert.equal(site.posts[0].form.get("csrf"), "c5rf.t0ken");
});

test("the tab key reaches the skip link first, then content", async () => {
  const page = await visit("home.html");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  assert.ok((await page.locator(".skip").boundingBox()).width > 50);
});
