// A person at a browser, who looks at every page on the way: accessibility, policy, width. With the directory
// DOORWARD_SHOTS, a picture of each page is kept, in light and dark.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import { axe, axeInBoth, check, launch, open, totp, withScripts } from "./browser.mjs";
import { build, start } from "./server.mjs";

const SHOTS = process.env.DOORWARD_SHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

export const PASSWORD = "violet kettle orbit meadow";
export const OWNER = { username: "ana", name: "Ana Sol", password: PASSWORD };

/** A wide window in light colors with scripts, and a narrow one in dark colors without. */
export const TWO = [
  { width: 1280, scripts: true, colorScheme: "light", axe: true },
  { width: 360, scripts: false, colorScheme: "dark", axe: true },
].map(named);

/** Also the other way around, where axe would find what it found in the two. */
export const FOUR = [...TWO, { width: 360, scripts: true, colorScheme: "dark" }, { width: 1280, scripts: false, colorScheme: "light" }].map(named);

function named(variant) {
  return { ...variant, name: `${variant.width} px wide, ${variant.scripts ? "with" : "without"} scripts` };
}

/**
 * What the stories of a file share: the program, and a browser with these arguments. `house` starts a server for one
 * story, `sit` puts a person at a browser, and `owner` does both for the owner, who is not signed in yet. All of it ends
 * with the story.
 */
export function stage(...args) {
  const stage = {};
  before(async () => {
    stage.program = build();
    stage.browser = await launch(...args);
  });
  after(() => stage.browser?.close());
  stage.house = async (t, options) => {
    const server = await start(stage.program, { host: "auth.home.localhost", ...options });
    t.after(() => server.stop());
    return server;
  };
  stage.sit = async (t, variant, server, more) => {
    const person = await Person.sit(stage.browser, variant, server, more);
    t.after(() => person.leave());
    return person;
  };
  stage.owner = async (t, variant, settings = {}, options = {}) => {
    const server = await stage.house(t, { owner: OWNER, settings: { "limits.sign_in": "1000/5m", ...settings }, ...options });
    const person = await stage.sit(t, variant, server);
    person.username = OWNER.username;
    person.password = OWNER.password;
    person.secret = server.owner.totp_secret;
    // The code of this moment was used up by the setup.
    person.step = Math.floor(Date.now() / 30_000);
    return person;
  };
  return stage;
}

/** What can be seen of a page without axe; runs in the page. Scrolls back, for axe cannot judge what is half hidden. */
function faults(scripts) {
  scrollTo(0, 0);
  for (const region of document.querySelectorAll(".scroll")) region.scrollTo(0, 0);
  const faults = [];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) faults.push(`the page is ${wide} px too wide`);
  if (scripts) return faults;
  for (const button of document.querySelectorAll("button[type=button]")) {
    if (button.checkVisibility()) faults.push(`a button that does nothing without scripts: ${button.textContent}`);
  }
  return faults;
}

/** A person at a browser: opens pages, looks at each one, remembers secrets. */
export class Person {
  constructor(page, variant, server) {
    Object.assign(this, { page, variant, server, findings: [], looked: new Set(), step: 0, secret: "", codes: [], username: "", password: "" });
  }

  static async sit(browser, variant, server, more = {}) {
    const { width, scripts, colorScheme } = variant;
    const page = await open(browser, { viewport: { width, height: 800 }, javaScriptEnabled: scripts, colorScheme, reducedMotion: "reduce", ...more });
    page.setDefaultTimeout(15_000);
    return new Person(page, variant, server);
  }

  leave() {
    return this.page.context().close();
  }

  /**
   * Goes through the steps, each a test by the name of its function, up to the first that fails: it tells where, and
   * what the page said. In the end nothing may have been wrong with a page on the way of this person or of `others`.
   */
  async walk(t, steps, ...others) {
    let failed;
    for (const step of steps) {
      const name = step.name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      await t.test(name, () => step(this).catch(async (error) => {
        failed = name;
        const seen = await Promise.all([this, ...others].map((person) => person.sees()));
        throw new Error(`${error.message}\n${seen.join("\n")}`, { cause: error });
      }));
      if (failed) assert.fail(`the story ends where it should ${failed}`);
    }
    for (const person of [this, ...others]) person.settle();
  }

  /** What a person has before the eyes, and what was wrong so far. */
  async sees() {
    const text = await this.page.locator("main").innerText({ timeout: 1000 }).catch(() => "");
    return `at ${this.page.url()}:\n${text}\n${this.page.problems.join("\n")}`;
  }

  /** Fails if anything was wrong with a page on the way. */
  settle() {
    assert.deepEqual(this.findings, []);
    check(this.page);
  }

  path() {
    const url = new URL(this.page.url());
    return url.pathname + url.search;
  }

  /** Fails unless the page of this path is shown, with this heading; then looks at it. */
  async at(path, heading, name) {
    await this.page.waitForURL((url) => url.pathname + url.search === path);
    await this.page.getByRole("heading", { level: 1, name: heading }).waitFor();
    await this.look(name ?? path);
  }

  /** Notes what is wrong with the page as it is now; once for each name. */
  async look(name) {
    if (this.looked.has(name)) return;
    this.looked.add(name);
    const { page, variant } = this;
    await withScripts(page, async () => {
      const found = await page.evaluate(faults, variant.scripts);
      // All pages are looked at in both colors in samples (pages.test.mjs).
      if (SHOTS) found.push(...(await axeInBoth(page, variant.colorScheme, (scheme) => this.picture(`${name}-${variant.width}-${scheme}`))));
      else if (variant.axe) found.push(...(await axe(page)));
      this.findings.push(...found.map((line) => `${name}: ${line}`));
    });
  }

  picture(name) {
    const file = name.replace(/^\/-/, "home-").replace(/^\//, "").replaceAll(/\W+/g, "-");
    const path = join(SHOTS, `${file}${this.variant.scripts ? "" : "-plain"}.png`);
    return this.page.screenshot({ path, fullPage: true });
  }

  async goto(path) {
    return this.page.goto(new URL(path, this.server.origin).href);
  }

  /** Presses a button that sends a form, and waits for the answer. */
  press(name) {
    return this.send(this.page.getByRole("button", { name, exact: true }));
  }

  /** Fills in a form by the names of its fields, and sends it by its button. */
  async submit(form, fields = {}) {
    const element = this.page.locator(form).first();
    for (const [name, text] of Object.entries(fields)) await element.locator(`[name="${name}"]`).fill(text);
    await this.send(element.locator("button:not([type=button])").first());
  }

  async send(button) {
    await Promise.all([this.page.waitForEvent("load"), button.click()]);
  }

  /** Returns a code that was not used yet; waits for the next one if need be. */
  async code() {
    for (;;) {
      const time = Date.now() + this.server.ahead * 1000;
      const now = Math.floor(time / 30_000);
      // That of the step before is good to the end of this one, which must not come while it is typed.
      const step = Math.max(this.step + 1, time % 30_000 < 15_000 ? now - 1 : now);
      if (step <= now + 1) {
        this.step = step;
        return totp(this.secret, step - now, time);
      }
      await new Promise((done) => setTimeout(done, 30_000 - (time % 30_000)));
    }
  }

  /** Types a code; with scripts the sixth digit sends it. */
  async enterCode(code, button) {
    await this.page.fill("#code", code);
    if (!this.variant.scripts) await this.press(button);
  }

  /** Proves a name and a password at the sign-in page, in whatever language it is. */
  async enterPassword(username = this.username, password = this.password) {
    await this.page.fill("#username", username);
    await this.page.fill("#password", password);
    await this.send(this.page.locator("#sign-in-submit"));
  }

  /** Asks for a page, is sent to sign in, proves password and code, and is where this person wanted to go. */
  async signInTo(path) {
    await this.goto(path);
    await this.page.waitForURL("**/signin?rd=*");
    await this.enterPassword();
    await this.page.waitForURL("**/signin/second-factor");
    await this.enterCode(await this.code(), "Continue");
    await this.page.waitForURL((url) => url.pathname + url.search === path);
  }

  /**
   * Presses a button that asks first, where there are scripts to ask, and says yes; before that no, if `hesitates`.
   * `name` is what the question is called among the pages looked at.
   */
  async confirm(button, { name, hesitates = false } = {}) {
    if (!this.variant.scripts) return this.send(button);
    const dialog = this.page.getByRole("dialog");
    if (hesitates) {
      const before = this.page.url();
      await button.click();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.waitFor({ state: "detached" });
      assert.equal(this.page.url(), before);
    }
    await button.click();
    await dialog.waitFor();
    if (name) await this.look(name);
    return this.send(this.page.locator("#confirm-yes"));
  }

  /** Presses what leads to a file; returns its name and text. */
  async download(button) {
    const [file] = await Promise.all([this.page.waitForEvent("download"), button.click()]);
    return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
  }

  async signOut() {
    await this.page.click("#sign-out");
    await this.at("/signout", "Sign out");
    await this.press("Sign out here");
    await this.at("/signout", "Signed out", "/signed-out");
  }
}

