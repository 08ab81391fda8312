// What every browser test needs: a Chromium, a page that records policy violations, axe, and codes from a secret.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
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

/** Starts a headless Chromium that talks to nobody but the pages under test. */
export function launch(options = {}) {
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
    ],
    ...options,
  });
}

/**
 * Opens a page in a context of its own. `page.problems` collects policy violations, script errors and failed
 * assets; `check` fails if there are any.
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  const problems = [];
  page.problems = problems;
  // A violation is reported on the console by the browser itself, so the page needs no helper inside it.
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of [45]\d\d/.test(message.text())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("response", (response) => {
    if (response.status() >= 400 && response.url().includes("/assets/")) problems.push(`${response.status()} ${response.url()}`);
  });
  return page;
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

let axeSource;

/** Runs axe (WCAG 2.0 to 2.2, A and AA, and best practices); returns one line for each finding. */
export async function axe(page) {
  axeSource ??= await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(axeSource);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  return found.violations.flatMap((violation) =>
    violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")}: ${node.failureSummary.split("\n")[1]?.trim()}`),
  );
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
