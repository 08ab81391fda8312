// A person at a browser, who looks at every page on the way: accessibility in light and dark, policy, width. With the
// directory DOORWARD_SHOTS, a picture of each page is kept.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { axeInBoth, check, open, totp, withScripts } from "./browser.mjs";

const SHOTS = process.env.DOORWARD_SHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

export const PASSWORD = "violet kettle orbit meadow";

/** A wide and a narrow window, with and without scripts. */
export const VARIANTS = [
  { width: 1280, scripts: true, colorScheme: "light" },
  { width: 360, scripts: true, colorScheme: "dark" },
  { width: 1280, scripts: false, colorScheme: "dark" },
  { width: 360, scripts: false, colorScheme: "light" },
].map((variant) => ({ ...variant, name: `${variant.width} px wide, ${variant.scripts ? "with" : "without"} scripts` }));

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
    Object.assign(this, { page, variant, server, findings: [], looked: new Set(), step: 0, secret: "", codes: [], password: "" });
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

  /** Goes through the steps; a failure tells where, and what the page said. */
  async walk(steps) {
    for (const step of steps) {
      await step(this).catch(async (error) => {
        const text = await this.page.locator("main").innerText({ timeout: 1000 }).catch(() => "");
        throw new Error(`${step.name}, at ${this.page.url()}: ${error.message}\n${text}\n${this.page.problems.join("\n")}`, { cause: error });
      });
    }
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
      const picture = async (scheme) => SHOTS && this.picture(`${name}-${variant.width}-${scheme}`);
      found.push(...(await axeInBoth(page, variant.colorScheme, picture)));
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

  async send(button) {
    await Promise.all([this.page.waitForEvent("load"), button.click()]);
  }

  /** Returns a code that was not used yet; waits for the next one if need be. */
  async code() {
    for (;;) {
      const now = Math.floor(Date.now() / 30_000);
      const step = Math.max(this.step + 1, now - 1);
      if (step <= now + 1) {
        this.step = step;
        return totp(this.secret, step - now);
      }
      await new Promise((done) => setTimeout(done, 30_000 - (Date.now() % 30_000)));
    }
  }

  /** Types a code; with scripts the sixth digit sends it. */
  async enterCode(code, button) {
    await this.page.fill("#code", code);
    if (!this.variant.scripts) await this.press(button);
  }

  async enterPassword(username, password) {
    await this.page.fill("#username", username);
    await this.page.fill("#password", password);
    await this.press("Sign in");
  }

  async signOut() {
    await this.page.click("#sign-out");
    await this.at("/signout", "Sign out");
    await this.press("Sign out here");
    await this.at("/signout", "Signed out", "/signed-out");
  }
}

