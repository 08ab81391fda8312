// What holds for every page, looked at in all samples (render-views): bytes on the wire, forms without scripts, and
// right-to-left. The pages are written into the directory DOORWARD_PAGES (default: out/foundations beside this file).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import test, { after, before } from "node:test";
import { POLICY, launch, open, serve, stay } from "./browser.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const directory = process.env.DOORWARD_PAGES ?? fileURLToPath(new URL("out/foundations", import.meta.url));
/** Bytes on the wire of a page with all it loads the first time: pages and forms of the sign-in, and all others. */
const BUDGET = { signin: 30_000, other: 60_000 };
/** Nobody can make or prove a passkey without scripts; the page says so. By page and the path the form leads to. */
const PASSKEY_ONLY = new Set([
  "account-passkey-new /account/passkeys",
  "signin-passkey-second /signin/second-factor",
  "signin-passkey-unavailable /signin/second-factor",
]);

let browser;
let names;

before(async () => {
  if (!process.env.DOORWARD_PAGES) {
    execFileSync("cargo", ["run", "--quiet", "--locked", "--example", "render-views", "--", directory], { cwd: root, stdio: "inherit" });
  }
  names = (await readdir(directory)).filter((file) => file.endsWith(".html")).filter((file) => !file.endsWith(".de.html")).map((file) => file.slice(0, -5));
  assert.ok(names.length > 40);
  browser = await launch();
});
after(() => browser?.close());

/** Serves the samples as the server does: pages as they are, assets compressed. Nothing is kept, so each page pays. */
async function wire() {
  const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const body = await readFile(join(directory, path)).catch(() => null);
    if (!body) return response.writeHead(404).end();
    const headers = { "content-type": types[extname(path)], "content-security-policy": POLICY, "cache-control": "no-store" };
    if (!path.startsWith("/assets/")) return response.writeHead(200, headers).end(body);
    response.writeHead(200, { ...headers, "content-encoding": "gzip" }).end(gzipSync(body, { level: 9 }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, origin: `http://localhost:${server.address().port}` };
}

test("every page with all it loads stays within its budget", { timeout: 120_000 }, async (t) => {
  const { server, origin } = await wire();
  t.after(() => server.close());
  const page = await open(browser);
  t.after(() => page.context().close());
  await stay(page);
  let requests = [];
  page.on("requestfinished", (request) => requests.push(request));
  const lines = [];
  const over = [];
  for (const name of names) {
    requests = [];
    await page.goto(`${origin}/${name}.html`, { waitUntil: "load" });
    // A browser without a window asks for no icon.
    const icon = await page.locator("link[rel=icon]").getAttribute("href");
    const sizes = { page: 0, style: 0, script: 0, icon: gzipSync(await readFile(join(directory, icon))).length };
    for (const request of requests) {
      const { responseBodySize } = await request.sizes();
      const kind = { document: "page", stylesheet: "style", script: "script" }[request.resourceType()] ?? "icon";
      sizes[kind] += responseBodySize;
      if (!request.url().startsWith(origin)) over.push(`${name}: a request to another host: ${request.url()}`);
    }
    const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    const budget = /^signin/.test(name) ? BUDGET.signin : BUDGET.other;
    if (total > budget) over.push(`${name}: ${total} bytes, ${budget} allowed`);
    lines.push({ name, total, text: `${name.padEnd(32)} ${String(total).padStart(6)}  ${Object.entries(sizes).map(([kind, size]) => `${kind} ${size}`).join(", ")}` });
  }
  lines.sort((one, other) => other.total - one.total);
  for (const line of lines) t.diagnostic(line.text);
  assert.deepEqual(over, []);
});

/** The routes of the server: method and path, with the pattern the path has to match. */
async function routes() {
  const table = await readFile(join(root, "src/routes/table.rs"), "utf8");
  const found = [...table.matchAll(/\b(Get|Post),\s*"(\/[^"]*)"/g)].map(([, method, path]) => ({
    method: method.toLowerCase(),
    path: new RegExp(`^${path.replaceAll(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll(/\{[^}]*\}/g, "[^/]+")}$`),
  }));
  assert.ok(found.length > 80);
  return found;
}

/** Describes the forms of the page; runs in it. Closed details are opened: that takes no script. */
function describeForms() {
  for (const details of document.querySelectorAll("details")) details.open = true;
  // What a form is, whatever it carries: the same one need not be sent from every page.
  const shape = (form) => {
    const copy = form.cloneNode(true);
    for (const field of copy.querySelectorAll("input[type=hidden]")) field.removeAttribute("value");
    return document.body.className + copy.outerHTML;
  };
  return [...document.forms].map((form, index) => {
    const visible = (element) => element.checkVisibility({ visibilityProperty: true });
    const controls = [...form.elements].filter((control) => !["hidden", "submit", "button", "fieldset"].includes(control.type));
    const choices = (control) => [control.type, control.name];
    return {
      index,
      shape: shape(form),
      id: form.getAttribute("id"),
      // A field may be called like a property.
      method: (form.getAttribute("method") ?? "get").toLowerCase(),
      action: form.getAttribute("action") ?? location.pathname,
      // Buttons outside may belong to it.
      buttons: [...document.querySelectorAll("button")].filter((button) => button.form === form && button.type === "submit" && visible(button)).length,
      csrf: form.elements.csrf?.value ?? "",
      unlabelled: controls.filter((control) => visible(control) && !control.labels?.length && !control.ariaLabel).map(choices),
      // What must be filled in and cannot be seen stops the form in silence.
      stuck: controls.filter((control) => control.required && !visible(control) && control.type !== "radio").map(choices),
    };
  });
}

/** Fills in what is required, as a person would. */
async function fill(form) {
  for (const control of await form.locator("input[required], textarea[required], select[required]").all()) {
    const type = (await control.getAttribute("type")) ?? "text";
    if (type === "radio") {
      const name = await control.getAttribute("name");
      if (!(await form.locator(`input[name="${name}"]:checked`).count())) await control.check();
    } else if (type === "checkbox") await control.check();
    else if (type === "file") await control.setInputFiles({ name: "backup", mimeType: "text/plain", buffer: Buffer.from("x") });
    else if (await control.evaluate((field) => field.tagName !== "SELECT" && !field.readOnly && !field.validity.valid)) {
      const digits = ((await control.getAttribute("pattern")) ?? "").match(/^\[0-9 \]\{(\d)/);
      const texts = { email: "ana@home.example", url: "https://app.home.example", date: "2026-11-25", number: "5" };
      await control.fill(digits ? "7".repeat(Number(digits[1])) : (texts[type] ?? "violet kettle orbit meadow"));
    }
  }
}

test("every form of every page can be sent without scripts, to a route that exists", { timeout: 480_000 }, async (t) => {
  const site = await serve(directory);
  t.after(() => site.server.close());
  const page = await open(browser, { javaScriptEnabled: false });
  t.after(() => page.context().close());
  // Wherever a form leads, the answer is an empty page.
  await page.route((url) => !/\.html$|^\/assets\//.test(url.pathname), (route) => route.fulfill({ contentType: "text/html", body: "<title>Sent</title>" }));
  const known = await routes();
  const faults = [];
  const sent = new Set();
  for (const name of names) {
    const address = `${site.origin}/${name}.html`;
    await page.goto(address);
    for (const form of await page.evaluate(describeForms)) {
      const what = `${name} ${form.action}`;
      const { pathname } = new URL(form.action, site.origin);
      if (form.unlabelled.length) faults.push(`${what}: without a label: ${form.unlabelled}`);
      if (!form.buttons && form.id !== "passkey-form" && !PASSKEY_ONLY.has(what)) faults.push(`${what}: no button to send it with`);
      // An answer for an app goes to the app.
      if (!form.action.startsWith("/")) continue;
      if (!known.some((route) => route.method === form.method && route.path.test(pathname))) faults.push(`${what}: no route for ${form.method}`);
      if (form.method === "post" && form.csrf !== "c5rf.t0ken") faults.push(`${what}: no csrf`);
      if (form.stuck.length) faults.push(`${what}: required but not to be seen: ${form.stuck}`);
      if (!form.buttons || form.stuck.length || sent.has(form.shape)) continue;
      if (page.url() !== address) await page.goto(address);
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
      const element = page.locator("form").nth(form.index);
      await fill(element);
      const asked = page.waitForRequest((request) => request.isNavigationRequest(), { timeout: 5000 });
      const id = await element.getAttribute("id");
      const outside = id ? `, button[form="${id}"]:not([type=button]):visible` : "";
      const button = page.locator(`form >> nth=${form.index} >> button:not([type=button]):visible${outside}`).first();
      const request = await Promise.all([asked, button.click({ timeout: 5000 })]).then(([request]) => request, (error) => error.message.split("\n")[0]);
      if (typeof request === "string") faults.push(`${what}: ${request}`);
      else if (new URL(request.url()).pathname !== pathname || request.method().toLowerCase() !== form.method) faults.push(`${what}: went to ${request.method()} ${request.url()}`);
      await page.waitForLoadState();
      sent.add(form.shape);
    }
  }
  t.diagnostic(`${sent.size} forms sent`);
  assert.deepEqual(faults, []);
  assert.ok(sent.size > 60);
});

test("no page is too wide from right to left, at 1280 or 360 px", { timeout: 120_000 }, async (t) => {
  const site = await serve(directory);
  t.after(() => site.server.close());
  const page = await open(browser, { reducedMotion: "reduce" });
  t.after(() => page.context().close());
  await stay(page);
  const wide = [];
  for (const name of names) {
    await page.goto(`${site.origin}/${name}.html`);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const left = await page.evaluate(() => {
        document.documentElement.dir = "rtl";
        const { scrollWidth, clientWidth } = document.documentElement;
        // The first heading begins at the right edge of what surrounds it.
        const heading = document.querySelector("main h1").getBoundingClientRect();
        return scrollWidth > clientWidth ? `${scrollWidth - clientWidth} px too wide` : heading.right < clientWidth / 2 ? "begins at the left" : "";
      });
      if (left) wide.push(`${name} at ${width} px: ${left}`);
      if (process.env.DOORWARD_SHOTS && /^(signin|home|admin-people|setup-owner)$/.test(name)) {
        await page.screenshot({ path: join(process.env.DOORWARD_SHOTS, `rtl-${name}-${width}.png`), fullPage: true });
      }
    }
  }
  assert.deepEqual(wide, []);
});

test("motion stops, colors give way and paper shows recovery codes alone, where the visitor says so", async (t) => {
  const site = await serve(directory);
  t.after(() => site.server.close());
  const page = await open(browser, { reducedMotion: "reduce", forcedColors: "active" });
  t.after(() => page.context().close());
  await stay(page);
  for (const name of names) {
    await page.goto(`${site.origin}/${name}.html`);
    const moving = await page.evaluate(() => document.getAnimations().length + [...document.querySelectorAll("*")].filter((element) => Number.parseFloat(getComputedStyle(element).transitionDuration) > 0).length);
    assert.equal(moving, 0, name);
    // Where backgrounds vanish, a border tells what belongs together.
    const bare = await page.evaluate(() => [...document.querySelectorAll(".note, .badge, .card, button.primary")].filter((element) => element.checkVisibility() && getComputedStyle(element).borderTopWidth === "0px").map((element) => element.className));
    assert.deepEqual(bare, [], name);
  }
  for (const name of names.filter((name) => /recovery-codes/.test(name))) {
    await page.emulateMedia({ media: "print", colorScheme: "dark", forcedColors: "none" });
    await page.goto(`${site.origin}/${name}.html`);
    const seen = await page.evaluate(() => ({
      codes: [...document.querySelectorAll("#codes code")].filter((code) => code.checkVisibility()).length,
      title: getComputedStyle(document.querySelector("#codes"), "::before").content,
      others: [...document.querySelectorAll("header, footer, nav, button, .note")].filter((element) => element.checkVisibility()).length,
      paper: getComputedStyle(document.body).backgroundColor,
    }));
    assert.equal(seen.codes, 10, name);
    assert.match(seen.title, /Recovery codes of|attr/, name);
    assert.equal(seen.others, 0, name);
    assert.equal(seen.paper, "rgb(255, 255, 255)", name);
  }
});
