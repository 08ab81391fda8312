// What every browser test needs: a Chromium, a page that records policy violations, axe, and codes from a secret.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);

/** The policy of ordinary pages; the server's own header is compared with it in the tests of the server. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
  "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** Forms that were sent without scripts and accepted are noted in this directory, for the look back at the whole run. */
const SENT = process.env.DOORWARD_SENT;

/** Starts a headless Chromium that talks to nobody but the pages under test; with further arguments. */
export function launch(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...args,
    ],
  });
}

/** Where pages and apps of the tests live; the policy of a page is narrower still. */
const AT_HOME = /^127\.0\.0\.1$|(^|\.)(localhost|home\.example)$/;

/**
 * Opens a page in a context of its own. `page.problems` collects policy violations, script errors, failed assets,
 * foreign requests, and scripts where there should be none; `check` fails if there are any.
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  const problems = [];
  page.problems = problems;
  page.scripts = options.javaScriptEnabled !== false;
  // A violation is reported on the console by the browser itself, so the page needs no helper inside it.
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of [45]\d\d/.test(message.text())) problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!page.scripts && request.resourceType() === "script") problems.push(`a script was fetched: ${request.url()}`);
    const { protocol, hostname } = new URL(request.url());
    if (/^(http|ws)s?:$/.test(protocol) && !AT_HOME.test(hostname)) problems.push(`a foreign request: ${request.url()}`);
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("response", (response) => {
    if (response.status() >= 400 && response.url().includes("/assets/")) problems.push(`${response.status()} ${response.url()}`);
    if (SENT && !page.scripts) note(response);
  });
  return page;
}

function note(response) {
  const request = response.request();
  const { pathname, search } = new URL(response.url());
  if (!request.isNavigationRequest() || response.status() >= 400 || (request.method() === "GET" && !search)) return;
  appendFileSync(join(SENT, String(process.pid)), `${request.method()} ${pathname}\n`);
}

/**
 * Plugs a virtual authenticator into a page, with a finger on it. The page suggests no passkey by itself until
 * `suggests(true)`, as in a browser that cannot; else nobody would find the time to press a button.
 */
export async function plug(page, { verifies = true } = {}) {
  const client = await page.context().newCDPSession(page);
  await client.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: verifies, automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await client.send("WebAuthn.addVirtualAuthenticator", { options });
  let isSuggesting = false;
  await page.exposeFunction("isSuggesting", () => isSuggesting);
  await page.addInitScript(() => {
    if (globalThis.PublicKeyCredential) PublicKeyCredential.isConditionalMediationAvailable = globalThis.isSuggesting;
  });
  return {
    credentials: async () => (await client.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    suggests: (value) => (isSuggesting = value),
  };
}

/** Lets pages stay that send themselves on, so that they can be looked at. */
export async function stay(page) {
  await page.addInitScript(() => {
    HTMLFormElement.prototype.submit = HTMLFormElement.prototype.requestSubmit = () => {};
  });
}

/** Serves the pages and assets that render_views wrote, under the real policy; POST requests are recorded. */
export async function serve(directory) {
  const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
  const posts = [];
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    response.setHeader("content-security-policy", POLICY);
    if (request.method === "POST") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      posts.push({ path, form: new URLSearchParams(Buffer.concat(chunks).toString()) });
      response.writeHead(200, { "content-type": types[".html"] });
      return response.end("<!doctype html><html lang=en><title>Posted</title><h1>Posted</h1></html>");
    }
    try {
      const body = await readFile(join(directory, path));
      response.writeHead(200, { "content-type": types[extname(path)] });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, posts, origin: `http://localhost:${server.address().port}` };
}

/** Fails if the page broke its policy or a script threw. */
export function check(page) {
  assert.deepEqual(page.problems, []);
}

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const COLOR_RULES = ["color-contrast", "link-in-text-block"];
let axeSource;

/**
 * Runs axe (WCAG 2.0 to 2.2, A and AA, and best practices); returns one line for each finding. What axe cannot decide
 * counts as found. Fails if axe does not end.
 */
export async function axe(page, rules = RULES) {
  axeSource ??= await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  const found = await within(30_000, `axe at ${page.url()}`, async () => {
    if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axeSource);
    return page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly, resultTypes: ["violations", "incomplete"] }), rules);
  });
  return [...found.violations, ...found.incomplete].flatMap((finding) =>
    finding.nodes.map((node) => `${finding.id}: ${node.target.join(" ")}: ${node.failureSummary?.split("\n")[1]?.trim()}`),
  );
}

/**
 * Runs axe on the page in light and in dark, ending with `colorScheme`. The style gives each scheme its colors and
 * nothing else, so the first turn is judged by the rules about color alone. `seen` is called in each scheme.
 */
export async function axeInBoth(page, colorScheme, seen = async () => {}) {
  const other = colorScheme === "light" ? "dark" : "light";
  const found = [];
  for (const [scheme, rules] of [[other, COLOR_RULES], [colorScheme, RULES]]) {
    await turn(page, scheme);
    found.push(...(await axe(page, rules)).map((line) => `in ${scheme}: ${line}`));
    await seen(scheme);
  }
  return found;
}

/** Shows the page in light or dark and waits until it has turned. */
export async function turn(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  await within(10_000, `turning ${page.url()} ${colorScheme}`, () =>
    page.evaluate(async (dark) => {
      if (matchMedia("(prefers-color-scheme: dark)").matches !== dark) throw new Error("the colors did not turn");
      await Promise.all(document.getAnimations().map((animation) => animation.finished));
    }, colorScheme === "dark"),
  );
}

/**
 * Runs `act` on the page with scripts allowed. In a page without scripts, only scripts of the test run: the document was
 * parsed without scripting, and the browser does not start its scripts late. It stays the very page that the person
 * has, with what was typed into it.
 */
export async function withScripts(page, act) {
  if (page.scripts) return act();
  page.devtools ??= await page.context().newCDPSession(page);
  const disable = (value) => page.devtools.send("Emulation.setScriptExecutionDisabled", { value });
  // A session that never set it would take "false" for no change.
  await disable(true);
  await disable(false);
  try {
    return await act();
  } finally {
    await disable(true);
  }
}

async function within(milliseconds, what, act) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what} did not end within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([act(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the TOTP code (RFC 6238: SHA-1, 30 s, 6 digits) of a base32 secret, `steps` periods from now. */
export function totp(secret, steps = 0, now = Date.now()) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.toUpperCase().replace(/[^A-Z2-7]/g, "")]
    .map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0"))
    .join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 30_000) + steps));
  const mac = createHmac("sha1", key).update(counter).digest();
  const offset = mac[19] & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
